/* follower.h - one follower: where it is, what it has at hand, how it fails, its checkpoint.
 *
 * Whoever drives it (its thread, or the loop) calls mf_follow_step again and again, one driver at a time. A step
 * begins, or fetches a batch when none is at hand, or delivers from it.
 *
 *   WAITING -> CATCHING_UP <-> LIVE -> STOPPED        and from each of them RETRYING, and back
 *
 * Invariants
 * 1. lsn is that of the last event that was handled, or passed over because of its topic. It moves after the handler
 *    has returned MF_OK, and never back but at the beginning.
 * 2. What is at hand follows on lsn.
 * 3. The checkpoint that is saved is settled_lsn at that moment: lsn, but for a handler that gathers.
 * 4. After stop is set no call of the handler begins.
 * 5. While it is still to be told that it was set back, no checkpoint is saved if its present place will show that again.
 *
 * Fields: those of the driver belong to it alone, and others may look at them only while it is asleep. Those marked (m) are
 * under the feed's mutex, which a follower at work takes for a batch, not for an event: publishers take it too. */
#pragma once

#include "bus/feed.h"

enum mf_follow_result {
	MF_FOLLOW_MOVED,   /* something was done: step again */
	MF_FOLLOW_NOTHING, /* nothing to be done now: sleep, until mf_follow_ready */
	MF_FOLLOW_ENDED,   /* stopped */
};

struct mf_follow {
	struct mf_feed *feed;
	uint64_t id;
	char *name;
	struct mf_follow_options options; /* name is the one above */
	mf_event_handler *handler;
	void *user;

	/* The driver's */
	struct mf_event_batch batch;
	struct mf_event_list page;
	void (*free_page)(struct mf_event_list *list);
	size_t at_hand, next_at_hand; /* events in the batch, or in the page when the batch is empty */
	unsigned failed_in_row;
	char *notice; /* that it was set back, still to be delivered; NULL: none */
	int64_t set_back_from;
	int64_t epoch;      /* of the event at settled_lsn */
	bool gathering;     /* the handler may have kept the last event for the next call */
	bool lasting;       /* the epochs show again, after a restart, that it was set back */
	struct mf_follow *outer; /* in whose call its own is: a handler on the loop may run another loop */
	int64_t save_at_us; /* when a checkpoint is due; 0: nothing to save */
	uint64_t unsaved;   /* events since the last one */
	bool save_failed;   /* the last try to save one */

	/* Written by the driver, read by anybody. */
	atomic_bool begun;
	_Atomic int64_t lsn, settled_lsn; /* settled: what is up to there is not kept for a later call */
	_Atomic int64_t retry_at_us /* 0: not failing */, checkpoint_lsn;
	_Atomic uint64_t delivered, failures;

	atomic_bool stop; /* asked to, or by itself */
	struct mf_follow *next; /* (m) in the feed's list */
	unsigned refs;                          /* (m) */
	enum mf_follower_state state;           /* (m) */
	char last_error[MF_ERROR_MESSAGE_SIZE]; /* (m) */
	int64_t newest;      /* (m) published when it was started */
	int64_t stored;      /* (m) committed then, and so to be seen in states */
	bool asleep;         /* (m) wake it when there is something */
	bool driven, ended;  /* (m) a driver is at work; it has left for ever */
	pthread_t driver;    /* (m) while driven */

	/* follower_thread.c */
	pthread_t thread;
	pthread_cond_t wake;
	bool has_thread, joined, orphan; /* orphan: it removed itself, nobody will join it */
};

enum mf_status mf_follow_new(struct mf_feed *feed, const struct mf_follow_options *options, mf_event_handler *handler, void *user, struct mf_follow **out, struct mf_error *error);
void mf_follow_unref(struct mf_follow *follow); /* with the mutex */

/* ---- by the driver ---- */
enum mf_follow_result mf_follow_step(struct mf_follow *follow, size_t max_events, size_t *out_delivered);
void mf_follow_save(struct mf_follow *follow); /* the checkpoint, if it is not saved yet */
enum mf_status mf_follow_ask_place(struct mf_follow *follow, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error); /* of options.place */
/* One call of the handler, counted, unless it is to stop: then MF_ERR_STATE. */
enum mf_status mf_follow_call(struct mf_follow *follow, const struct mf_publication *publication, struct mf_error *error);
void mf_follow_report(struct mf_follow *follow, enum mf_log_level level, const char *sentence); /* last_error and the logger */
/* follower_begin.c */
/* MF_OK without having begun: there is no source. */
enum mf_status mf_follow_begin(struct mf_follow *follow, struct mf_error *error);

/* ---- with the mutex ---- */
bool mf_follow_ready(const struct mf_follow *follow, int64_t now_us); /* would a step do anything? 0: without looking at the clock */
int64_t mf_follow_due(const struct mf_follow *follow);                /* when it becomes ready by itself; INT64_MAX: never */
bool mf_follow_has_seen(const struct mf_follow *follow, int64_t lsn); /* or will not, as things are */
int64_t mf_follow_needs_above(const struct mf_follow *follow);
void mf_follow_info(const struct mf_follow *follow, struct mf_subscriber_info *out, char last_error[MF_ERROR_MESSAGE_SIZE]);

/* ---- follower_thread.c: with the mutex ---- */
enum mf_status mf_follow_start(struct mf_follow *follow, struct mf_error *error); /* there is a source; a second time: nothing */
void mf_follow_wake(struct mf_follow *follow);
void mf_follow_ask_to_stop(struct mf_follow *follow); /* does not wait */
/* No call begins any more; waits, without the mutex, until the one under way has ended and the checkpoint is saved.
 * MF_ERR_TIMEOUT. From inside its own handler it returns at once, and the follower ends after that. */
enum mf_status mf_follow_end(struct mf_follow *follow, int64_t deadline_us, struct mf_error *error);
void mf_follow_become_orphan(struct mf_follow *follow); /* nobody will wait for its thread: it cleans up behind itself */
/* For the loop: a step of a follower that is ready. */
enum mf_follow_result mf_follow_drive(struct mf_follow *follow, size_t max_events, size_t *out_delivered);
bool mf_follow_inside(const struct mf_feed *feed); /* is this thread in a handler of a follower of this feed? Without the mutex */
