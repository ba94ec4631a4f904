/* picture.h - everything that a reader can get from a store, so that two stores can be compared.
 *
 * A picture never fails: what the store refuses to give is in it as a status with its sentence. It is taken through the
 * public API only, of a store that is opened for reading.
 *
 * Invariants
 * 1. Two pictures of unchanged files are equal.
 * 2. Each item says which kind of answer it is, so that a difference can be told by name.
 * 3. Hashes cover every field: of an event its checksum and place, of a state its packed form with both undo stacks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <moduforge/runtime.h>

enum picture_kind {
	PICTURE_STATE,      /* mf_runtime_state: what a program works with */
	PICTURE_STATE_AT,   /* mf_runtime_state_at: a moment of the past */
	PICTURE_LOG,        /* the events of a document */
	PICTURE_WHOLE_LOG,  /* those of the store */
	PICTURE_KEY,        /* of an acknowledged transaction */
	PICTURE_CHECKPOINT, /* of a follower */
	PICTURE_LISTING,    /* documents, snapshots: no promise but that verify finds what is missing */
	PICTURE_KINDS,
};
extern const char *const picture_kind_names[PICTURE_KINDS];

struct picture_item {
	enum picture_kind kind;
	char name[48]; /* document, key, follower */
	int64_t at;    /* STATE_AT */
	enum mf_status status;
	uint64_t hash;
	int64_t lsn; /* up to it; of an error, the one that it names */
	char told[200];
};

#define PICTURE_ITEMS 160
#define PICTURE_FINDINGS 4

struct picture {
	enum mf_status opened, verified;
	char told[200];                        /* of the opening */
	int64_t told_lsn;
	char finding[PICTURE_FINDINGS][200];   /* the first ones of verify: kind, document, LSN, sentence */
	int findings;
	size_t count;
	struct picture_item items[PICTURE_ITEMS];
};

/* What to look at: names end with NULL. Events above upto_lsn are left out of logs (0: none are). */
struct picture_plan {
	const char *config;
	const char *const *docs, *const *keys, *const *followers;
	const int64_t *moments; /* of each document; ends with 0 */
	int64_t upto_lsn;
};

void picture_take(const struct picture_plan *plan, const char *dir, struct picture *out);
/* verify alone, also of a store that does not open without accepting a loss. */
void picture_verify(const char *dir, struct picture *out);
/* A state with its stacks, as one number. 0: it cannot be packed. */
uint64_t picture_state_hash(const struct mf_state *state);
