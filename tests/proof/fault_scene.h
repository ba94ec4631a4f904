/* fault_scene.h - what a process does while a call is struck, and what it owes: each operation says so in the ledger, and
 * holds what it was told against the weight of the fault (fault_plan.h).
 *
 * The process side of the promise (docs/errors.md), checked here; what is on the disk afterwards is the oracle's:
 *  1. every failure is typed, with a sentence; none before a call was struck; none at all from a harmless fault
 *  2. no room: MF_ERR_STORAGE_FULL, reads go on, and with room again the same transaction is stored, without a restart
 *  3. no descriptor: MF_ERR_IO, the same
 *  4. a failed sync of database or log: what waits ends as MF_ERR_UNKNOWN_OUTCOME, nothing is committed any more, reads go on,
 *     nothing is synced again; opened anew it is usable, and the same key is stored once
 *  5. a broken write: as 4, or refused and usable
 *  6. whatever it was: once the fault is lifted and the store opened anew, it commits, takes snapshots and closes well, and
 *     no descriptor is left
 * A finding is a sentence in scene->wrong, the first one only. */
#pragma once

#include "fault_plan.h"
#include "ledger.h"

struct mf_runtime;

#define SCENE_MOST 40 /* transactions of one scene */

struct scene_try { /* a transaction that was refused, to be tried again */
	char key[LEDGER_NAME], doc[LEDGER_NAME];
	uint64_t batch;
	enum mf_status status;
};

struct scene {
	/* Filled in by who runs it. */
	const char *root;    /* the watched directory: root/store, root/one.backup, ... */
	const char *config;
	const char *mode;    /* "sync", "async:5" */
	uint64_t seed;       /* of a drawn workload */
	struct ledger_out out;
	const struct fault_plan *plan;
	struct fault_report *report; /* shared */
	char *wrong, *doing;         /* shared; 300 bytes each */

	struct mf_runtime *runtime;
	unsigned life;
	uint64_t batches; /* so far */
	bool stopped;     /* it said that its outcome is unknown, or refused as stopped: no commit may succeed */
	bool lifted;
	int64_t last_lsn; /* acknowledged */
	struct scene_try refused[SCENE_MOST];
	size_t refused_count;
	uint64_t follower;
	bool reader;      /* the runtime only reads */
};

void scene_begin(struct scene *scene, unsigned life);
void scene_expect(struct scene *scene); /* says that a durable store may come to be there */
void scene_arm(struct scene *scene);

/* Each returns whether it was done; that it was not is no finding by itself. Without a runtime they do nothing. */
bool scene_open(struct scene *scene);
bool scene_commit(struct scene *scene, const char *doc, unsigned items); /* one batch of so many */
bool scene_undo(struct scene *scene, const char *doc);
bool scene_wait_synced(struct scene *scene); /* for what was committed last */
bool scene_snapshot(struct scene *scene, const char *doc);
bool scene_compact(struct scene *scene, const char *doc);
bool scene_maintain(struct scene *scene);
bool scene_vacuum(struct scene *scene);
bool scene_back_up(struct scene *scene);
bool scene_restore(struct scene *scene); /* the backup of the preparation, beside the store */
bool scene_follow(struct scene *scene);
bool scene_unfollow(struct scene *scene);
bool scene_read(struct scene *scene);
bool scene_open_reader(struct scene *scene);
bool scene_verify(struct scene *scene);
void scene_die_at(struct scene *scene, const char *plan); /* of the calls from now on, without a word */
void scene_look_for_file(struct scene *scene, const char *name, int64_t least); /* of the store: complains unless it has so many bytes; -1: is not there */
void scene_look_for_compaction(struct scene *scene); /* complains unless one has begun, moved nothing yet, and an opening goes on with it */
bool scene_close(struct scene *scene);
bool scene_workload(struct scene *scene, uint32_t batches); /* drawn from the seed (workload.h); opens and closes */

void scene_aftermath(struct scene *scene); /* lifts the fault, and checks 2 to 6 */

/* ---- the scenes ---- */
enum scene_calls {
	SCENE_STEADY, /* the same each time, but for those on the file of counters: a thread saves it in every scene, when it does */
	SCENE_BESIDE, /* some are a thread's, which makes them when it does: one that is to be struck may not come */
};

struct scene_kind {
	const char *name;
	const char *mode;
	const char *options; /* of the subscriber; JSON members, each beginning with a comma */
	void (*prepare)(struct scene *scene); /* without a fault; its process ends without closing what is still open */
	void (*play)(struct scene *scene);    /* arms it */
	enum scene_calls calls;
	void (*look)(struct scene *scene);    /* NULL; else the process that prepares may kill itself, and this looks at what it left */
};
extern const struct scene_kind scene_kinds[];
extern const size_t scene_kind_count;  /* the first scene_fixed_count of them do not depend on a seed */
extern const size_t scene_fixed_count;
