/* damage.h - one change of one file, as a bad device or a bad copy makes it. */
#pragma once

#include "damage_rows.h"
#include "scene.h"

enum damage_kind {
	DAMAGE_BIT,      /* one bit */
	DAMAGE_BYTE,     /* one byte gets another value */
	DAMAGE_ZERO,     /* a 512-byte sector is zero */
	DAMAGE_GARBAGE,  /* a sector is noise */
	DAMAGE_ZERO_PAGE, /* 4096 bytes are zero */
	DAMAGE_SWAP,     /* two pages have changed places */
	DAMAGE_COPY,     /* a page went to the place of another too */
	DAMAGE_CUT,      /* the file ends early */
	DAMAGE_KINDS,
};

struct damage {
	const char *file;
	enum damage_kind kind;
	int64_t at, other; /* byte offsets; BIT: other is the bit, BYTE: the value */
	char place[48];    /* what lies there: the table or index of the page, "header", "frame" ... */
};

/* Where what lies in the scene's files: made once a scene. */
struct damage_map;
struct damage_map *damage_map_new(const struct scene *scene); /* NULL: it cannot be read */

/* The damage of this seed. It changes the file, or the bytes would stay as they are: then another seed is taken. */
void damage_choose(const struct damage_map *map, uint64_t seed, struct damage *out);
/* Each bit of each small thing, and each length of each small file, in turn. false: there are no more. */
bool damage_enumerate(const struct damage_map *map, uint64_t index, struct damage *out);
bool damage_do(const struct damage *damage, const char *dir); /* false: it changes nothing, or cannot be done */
/* The event, snapshot or chunk in whose values all lies that it changes; NULL: it is more, or something else. */
const struct damage_row *damage_row(const struct damage_map *map, const struct damage *damage, bool *named);
/* Whether it lies where keys are looked up; then each key of the database is to be asked for: index from 0. false: there are no more. */
bool damage_of_keys(const struct damage *damage);
bool damage_key(const struct damage_map *map, int index, const char **key, int64_t *lsn);
const char *damage_tell(const struct damage *damage, char *buffer, size_t size);
