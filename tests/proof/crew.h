/* crew.h - everybody who works on one opened runtime at the same time (threads.c): who commits, who follows, who takes
 * snapshots, compacts, backs up, reads and watches. What each of them does is decided by its own dice.
 *
 *   crew_start(crew); ... crew_stop(crew); mf_runtime_close(...); crew_settle(crew); ... crew_free(crew);
 *
 * crew_stop ends the callers only: followers go on, submitted tickets have not been waited for, and snapshots are under
 * way, so that the close which comes next is one in the middle of work.
 *
 * What a call may say is decided where it is made; anything else is a complaint. */
#pragma once

#include <pthread.h>

#include "witness.h"

#define PRODUCERS 8
#define NAMED 2      /* followers with a checkpoint in the store, which come and go */
#define GAPS_MAX 8
#define PASSERS_MAX 200 /* other followers of one life */
#define WORKERS_MAX (PRODUCERS + NAMED + 8)

struct crew;

/* Where a follower has come to; of a named one also in earlier lives of the store. */
struct passer {
	struct crew *crew;
	char name[KEY_ROOM];
	_Atomic uint64_t id;   /* 0: not known yet */
	uint64_t dice;
	int64_t last, epoch;   /* -1: has seen nothing; the next one must be last + 1 */
	bool looped, synced_only;
	unsigned slow_us, fails_in, echoes_in, leaves_in; /* one in so many; 0: never */
	_Atomic bool ended;    /* unsubscribed, and waited for */
	bool running;          /* its keeper's own mark */
	struct acks acks;      /* of what it has committed itself */
	struct {
		int64_t from_lsn, upto_lsn;
	} gaps[GAPS_MAX];      /* the first ones that it was told of */
	unsigned gap_count;
};

struct worker {
	struct crew *crew;
	pthread_t thread;
	unsigned number;
	uint64_t dice;
	void (*work)(struct worker *worker);
	struct acks acks;
};

/* What was done, over all lives of a round. */
struct crew_figures {
	uint64_t events, deliveries, followers, snapshots, compactions, backups;
};

struct crew {
	struct mf_runtime *runtime;
	struct witness *witness;
	const char *dir; /* for backups */
	uint64_t seed;
	unsigned life, count; /* count: transactions of each producer */
	bool durable, eager; /* eager: followers keep up and begin at the present, so that compaction has its way */
	_Atomic bool stopping;
	struct worker workers[WORKERS_MAX];
	unsigned worker_count;
	struct passer *named; /* NAMED of them, the round's */
	struct passer passers[PASSERS_MAX];
	_Atomic unsigned passer_count, echoes;
	_Atomic uint64_t deliveries, starts, snapshots, compactions, backups;
};

void crew_start(struct crew *crew);
void crew_stop(struct crew *crew);
/* After the close: outcomes of all tickets, and each acknowledgement against the witness. Adds to the figures. */
void crew_settle(struct crew *crew, struct crew_figures *figures);
/* With the runtime opened again: every key is known. */
void crew_resubmit(struct crew *crew, struct mf_runtime *runtime);
void crew_free(struct crew *crew);

/* ---- the parts ---- */
void produce(struct worker *worker);          /* crew_produce.c */
enum mf_status crew_transaction(struct mf_runtime *runtime, const char *key, const char *type_id, const char *json, struct mf_transaction **out);
void follow_by_name(struct worker *worker);   /* crew_follow.c */
void follow_and_leave(struct worker *worker);
void follow_on_loop(struct worker *worker);
void follow_synchronously(struct worker *worker);
void passer_start(struct passer *passer, const struct mf_follow_options *options);
void take_snapshots(struct worker *worker);   /* crew_watch.c */
void take_backups(struct worker *worker);
void watch(struct worker *worker);
void sleep_us(unsigned us);
