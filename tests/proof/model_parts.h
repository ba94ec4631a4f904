/* model_parts.h - between the files of one simulated run: model_run.c (calls, death and what comes after it),
 * model_commit.c (transactions), model_look.c (reading and comparing), model_follow.c. */
#pragma once

#include <moduforge/backup.h>
#include <moduforge/runtime.h>

#include "model_run.h"
#include "reference.h"
#include "sim.h"

#define FOLLOWERS 2
#define TICKETS 16
#define SYNC_US 4000 /* the longest that a sync, and one under way before it, take in memory_files.c, with room */

struct world { /* a store, and what is known of it */
	struct ref_log log; /* up to last: submitted */
	int64_t upper;      /* what a call that the process died in may have stored: events up to there are in log */
	int64_t acked;      /* acknowledged */
	int64_t promised;   /* must outlive a loss of power */
	int64_t acked_at[REF_EVENTS];
	bool sync[REF_EVENTS]; /* submitted to be synced before it is seen */
	int64_t compacted[REF_DOCS];
	bool compaction_unknown; /* the process died in one */
	bool compaction_failed;  /* the next opening goes on with it */
};

struct model_ticket {
	struct mf_ticket *ticket; /* NULL: free */
	int64_t lsn;
};

struct model_follower {
	uint64_t id; /* 0: not following */
	int64_t seen, floor; /* handled; what the checkpoint is at least */
	bool fresh;          /* nothing was given yet: may begin anywhere from the checkpoint on */
	unsigned fails;      /* the next so many calls of its handler */
	bool on_loop, synced_only;
	char name[8];
};

enum model_illness { MODEL_WELL, MODEL_FULL, MODEL_BROKEN };

struct model {
	const struct model_plan *plan;
	struct model_result *result;
	struct world disk, memory, *world; /* world: the one that is open */
	struct mf_runtime *runtime; /* NULL: closed, or dead */
	enum mf_commit_kind kind;
	int64_t window_us;
	struct model_ticket tickets[TICKETS];
	struct model_follower followers[2][FOLLOWERS]; /* of the memory store, of the one on disk */
	int64_t ran_until;  /* the background threads had their turns until then */
	bool powerless;     /* the next death is a loss of power */
	enum model_illness ill; /* of the device */
	unsigned ill_calls;     /* so many more calls */
	bool hurt;              /* a call has said so */
	bool had_been_ill;      /* before the opening, or since: the watermark may be torn, and verify may say so */
	bool torn_watermark;    /* ... and did */
	unsigned call, backups;
	int next_key;
};
extern struct model the;

#define CHECK(condition, ...) \
	do { \
		if (!(condition)) \
			model_fail(__VA_ARGS__); \
	} while (0)

void model_fail(const char *format, ...) __attribute__((format(printf, 1, 2))); /* the first one counts */
void model_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *model_doc_name(int doc);

/* model_commit.c: calls, in the application's thread */
void model_seen(int64_t lsn); /* by a reader: so it is stored as it was submitted to be */
void model_commit(void);
void model_batch(void);
void model_undo(void);
void model_resubmit(void);
void model_submit(void);
void model_wait(void);
void model_wait_all(void);
void model_refused(void);

/* model_look.c */
void model_look(void);      /* states of all documents */
void model_state_at(void);
void model_read_log(void);
void model_look_deeply(void); /* all of it, verify, keys: after an opening */
void model_snapshot(void);
void model_compact(void);
void model_vacuum(void);
void model_backup(void);
bool model_compare(const struct ref_log *log, int doc, const struct mf_state *state); /* the state with what the model says of its LSN */

/* model_ill.c */
void model_fall_ill(void); /* no ticket is open */
bool model_is_struck(void);
bool model_excuses(enum mf_status status); /* and the store is to be looked at, before the next call */
bool model_excuses_read(enum mf_status status); /* of a call that only reads */
void model_get_well(void);

/* model_follow.c */
struct model_follower *model_followers(void); /* of the open store: FOLLOWERS of them */
void model_follow(void);
void model_unfollow(void);
void model_dispatch(void);
void model_follow_catch_up(void);
void model_followers_closed(bool struck);
void model_followers_died(void);
