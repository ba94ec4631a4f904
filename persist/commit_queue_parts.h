/* commit_queue_parts.h - the queue's inside, shared by its three files only:
 * commit_queue.c (door), commit_group.c (a leader's work), commit_worker.c (the background thread). */
#pragma once

#include "persist/commit_queue.h"
#include "persist/metrics.h"

#define MF_GROUP_EVENTS 1024
#define MF_GROUP_BYTES ((size_t)4 << 20)
#define MF_QUEUE_EVENTS 32768
#define MF_QUEUE_BYTES ((size_t)64 << 20)
#define MF_RETIRED_EVENTS 4096 /* more than these, or these bytes, are freed by the leader at once */
#define MF_RETIRED_BYTES ((size_t)4 << 20)

/* Where the background thread is. Naps end by themselves within MF_NAP_US; a sleep ends by a signal only (or a
 * window's end), so whoever makes work for a sleeper signals. */
enum worker_place { WORKER_AWAKE, WORKER_NAPS, WORKER_SLEEPS };
#define MF_NAP_US 1000
#define MF_NAPS_BEFORE_SLEEP 16

struct mf_commit_queue {
	struct mf_ticket_source source; /* first; its mutex guards everything below that is not marked */
	struct mf_store *store;
	struct mf_recorder *recorder; /* may be NULL */
	struct mf_logger logger;
	int64_t window_us;
	struct mf_event *scratch; /* the leader's: MF_GROUP_EVENTS of them */
	int64_t stored_at_us;     /* the leader's: when its group was stored, and synced if that was asked for; monotonic */
	int64_t last_ts_us;       /* the leader's: stored time never steps back within an opening */

	struct mf_commit_request *head, **tail;
	size_t queued_events, queued_bytes;
	uint64_t submits;
	atomic_uint_fast64_t generation; /* written under the mutex */
	_Atomic int64_t committed;       /* written by the leader */
	bool refusing;

	struct mf_commit_request *retired; /* ended, to be freed */
	size_t retired_events, retired_bytes;

	bool leading;
	pthread_t leader;
	int64_t written_lsn;       /* newest that the store took */
	int64_t unsynced_since_us; /* first write that no sync has covered; -1: none */
	bool syncing;              /* the background thread is in the store's sync */
	int64_t syncing_since_us;  /* what unsynced_since_us was before */
	void (*synced_notify)(void *user);
	void *synced_user;
	struct mf_error stopped;   /* status MF_OK: running */
	unsigned groups_unmaintained;
	enum mf_status maintained; /* what the last housekeeping said */

	pthread_cond_t progress; /* for drain and make_room */
	unsigned drainers, pushers;

	pthread_t worker;
	pthread_cond_t worker_wake;
	enum worker_place place;
	bool ending;

	void (*save)(void *user); /* may be NULL */
	void *save_user;
	int64_t saved_at_us;    /* -1: not yet */
	uint64_t saved_submits; /* what submits was then */
	int64_t slow_told_at_us; /* when a slow sync was last logged; -1: never */
};

/* Mutex held on entry and on return, not between. No leader, and the queue is not empty. Does one group. */
void mf_commit_queue_lead(struct mf_commit_queue *queue);
/* Mutex held: nothing more is written or synced until the store is reopened. */
void mf_commit_queue_stop(struct mf_commit_queue *queue, const struct mf_error *error);
/* Mutex held: takes at most this many of the retired requests; give them to mf_commit_queue_free without it. */
struct mf_commit_request *mf_commit_queue_take_retired(struct mf_commit_queue *queue, size_t most);
void mf_commit_queue_free(struct mf_commit_request *requests);
/* Mutex held: a sync that began then has ended. Returns the time of now. */
int64_t mf_commit_queue_synced(struct mf_commit_queue *queue, int64_t began_us, enum mf_status status);
void mf_commit_queue_kick(struct mf_commit_queue *queue); /* mutex held: see that the background thread looks */
void *mf_commit_worker(void *queue);
int64_t mf_commit_queue_now(const struct mf_commit_queue *queue);
