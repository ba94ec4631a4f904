/* commit_queue.h - the order of commits, groups, syncs, and who does the work.
 *
 * Leader and followers: a thread that waits for its ticket leads when nobody does, else the queue's one
 * background thread. docs/commit_path.md tells the invariants; here is the calling sequence:
 *
 *   new -> submit ... submit -> drain -> close
 *
 * Thread: any. */
#pragma once

#include <moduforge/store.h>

#include "persist/ticket.h"

struct mf_commit_queue;
struct mf_recorder;

/* A batch under way. The caller fills it and the queue takes it at a successful submit. */
struct mf_commit_request {
	struct mf_commit_request *next; /* the queue's, like submitter */
	pthread_t submitter;
	struct mf_ticket *tickets;      /* a list through next, one reference each; at least one */
	struct mf_event *events;        /* what they point to lives as long as the request */
	size_t count, bytes;            /* events; payload bytes, for the size of groups */
	bool sync;                      /* complete only after a sync */
	uint64_t generation;            /* that the batch was built on */
	/* In order, one at a time, without the mutex. NULL: committed, the events have their numbers. May not call the queue. */
	void (*done)(struct mf_commit_request *request, const struct mf_error *error);
	/* Some time after done, as a rule by a thread that submits: memory that another thread made is dear to free, for both.
	 * The tickets are taken out before. */
	void (*free)(struct mf_commit_request *request);
};

struct mf_commit_queue_options {
	struct mf_store *store; /* borrowed; must live until close has returned */
	uint32_t group_window_ms;
	const struct mf_env *env;
	int64_t committed, synced; /* newest LSN that the store has; and has on the device */
	struct mf_recorder *recorder; /* borrowed; NULL: nothing is measured */
	struct mf_logger logger;
	/* Called by the background thread, and by no other: after there was something to measure, once a second at most, and when it ends; NULL: never. */
	void (*save)(void *user);
	void *save_user;
};

enum mf_status mf_commit_queue_new(const struct mf_commit_queue_options *options, struct mf_commit_queue **out, struct mf_error *error); /* starts the thread */
/* At the tail. Takes the request on success only. MF_ERR_BUSY: old generation. MF_ERR_STATE: closing, or from inside done.
 * MF_ERR_IO: writes stopped. Never waits. */
enum mf_status mf_commit_queue_submit(struct mf_commit_queue *queue, struct mf_commit_request *request, struct mf_error *error);
int64_t mf_commit_queue_committed(const struct mf_commit_queue *queue); /* LSN up to which every event may be seen: stored, and synced if that was asked for */
int64_t mf_commit_queue_synced_lsn(struct mf_commit_queue *queue); /* LSN up to which every event is known to be on the device; durable stores */
/* Called after that has grown, without the mutex, by who synced; before the first submit. */
void mf_commit_queue_on_synced(struct mf_commit_queue *queue, void (*notify)(void *user), void *user);
uint64_t mf_commit_queue_generation(const struct mf_commit_queue *queue);
/* Waits while the queue is too long to take more. MF_ERR_STATE from inside done. */
enum mf_status mf_commit_queue_make_room(struct mf_commit_queue *queue, struct mf_error *error);
/* Everything submitted before has ended, and what a durable store has written is synced. MF_ERR_TIMEOUT: not yet.
 * MF_ERR_UNKNOWN_OUTCOME: committed events could not be synced. */
enum mf_status mf_commit_queue_drain(struct mf_commit_queue *queue, int64_t timeout_ms, struct mf_error *error);
void mf_commit_queue_refuse(struct mf_commit_queue *queue, bool refuse); /* submits are MF_ERR_STATE from now on, or no longer */
void mf_commit_queue_close(struct mf_commit_queue *queue); /* drained and refusing; ends the thread, drops the reference. NULL is fine */
/* What waits and what is not synced yet. */
struct mf_metrics;
void mf_commit_queue_look(struct mf_commit_queue *queue, struct mf_metrics *out);
struct mf_ticket_source *mf_commit_queue_source(struct mf_commit_queue *queue); /* for mf_ticket_new */
