/* scene.h - small stores with everything in them that can be damaged, and what is known of them while they are sound.
 *
 * Each is made by a child process through the runtime, so that the parent never has had it open:
 *   closed   all in the database: events, undo and redo, whole and incremental snapshots, a compacted document, free pages,
 *            checkpoints of followers, several openings; a document whose events are not among the newest 256 of the store
 *   hot      the same, and then a log of some dozen commits, as kill -9 leaves it, without the index of the log
 *   beside   the same with the index of the log (store.db-shm), which a restart of the machine would have taken
 *   large    a document whose snapshots lie in chunks
 *   backup   a backup file of the closed one
 *
 * Invariants
 * 1. Nothing in a scene depends on anything but its number, except clocks, random keys and epochs of the library.
 * 2. A copy of the directory is as good as the original: nobody has it open. */
#pragma once

#include "picture.h"

enum scene_number { SCENE_CLOSED, SCENE_HOT, SCENE_BESIDE, SCENE_LARGE, SCENE_BACKUP, SCENES };
extern const char *const scene_names[SCENES];

#define SCENE_DOCS 5
#define SCENE_FILES 5

/* What a transaction after the damage must lead to. */
struct scene_next {
	uint64_t after_commit, after_undo; /* scene_digest */
	int64_t lsn;                       /* of the document's newest event */
};

struct scene {
	enum scene_number number;
	char dir[128];               /* of the store; the backup file is in it too */
	struct picture_plan plan;
	struct picture good;         /* of the sound store */
	struct scene_next next[SCENE_DOCS];
};

/* Makes it under base, with the plugins.json at config. false: a sentence is on stderr. */
bool scene_make(enum scene_number number, const char *base, const char *config, struct scene *out);

/* A transaction that sets an attribute of the root. */
enum mf_status scene_commit(struct mf_runtime *runtime, const char *doc, const char *key, int value, int64_t *out_lsn, struct mf_error *error);
uint64_t scene_digest(struct mf_runtime *runtime, const char *doc, struct mf_error *error); /* of the newest state; 0: error */
const char *scene_file(size_t i); /* names of the files in the directory that matter; NULL at the end */
bool scene_copy(const char *from, const char *to); /* these files, into a directory that is made if need be; others there go */
