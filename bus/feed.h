/* feed.h - what was published, for followers that go at their own pace, and the list of them.
 *
 *   publisher                      followers (follower.h)
 *   mf_feed_publish  --> recent <-- mf_feed_fetch
 *                        store  <-- mf_event_source.read, when recent does not have it
 *
 * Joining live after reading from the store needs no protocol: events have consecutive numbers, so a follower asks for
 * the one after its own, here first and in the store second, and stops at what was published.
 *
 * Invariants
 * 1. published never shrinks while there is a source, and every event up to it is in the store. No follower is given more.
 * 2. A follower goes to sleep only under the mutex, and only when there is nothing for it; a publisher looks at that
 *    under the same mutex: no wake-up is lost, and nobody who is awake is woken.
 * 3. The source is used without the mutex, between mf_feed_enter and mf_feed_leave; it is taken away when nobody is inside.
 *    (Who enters is counted before he looks for it; who takes it away does so before he looks at the count.)
 * 4. The mutex is a leaf but for what the source's synced_lsn takes.
 *
 * Thread: any. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <moduforge/follow.h>

#include "bus/recent.h"
#include "model/thread.h"

struct mf_follow;
struct mf_loop;

struct mf_feed {
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* somebody left the source, has come up to the end, or has ended; when somebody waits for that */
	atomic_uint waiters; /* counted before they look at what they wait for */
	struct mf_recent recent;
	int64_t published, synced; /* newest LSNs */
	_Atomic(const struct mf_event_source *) source;
	struct mf_event_listener listener; /* ours, at the source, */
	bool listening;                    /* once there is a follower */
	atomic_uint inside; /* users of the source */
	struct mf_follow *first;
	unsigned count, synced_count; /* followers, and those of them that want synced events only */
	unsigned orphans;             /* threads of followers that removed themselves */
	struct mf_loop *loop; /* NULL: nobody asked for it yet */
	struct mf_logger logger;
};

void mf_feed_init(struct mf_feed *feed);
void mf_feed_deinit(struct mf_feed *feed); /* ends and frees the followers that are left */

void mf_feed_publish(struct mf_feed *feed, const struct mf_publication *publication); /* events, in LSN order */
/* Starts the followers that wait for it. NULL: takes it away, when nobody is inside. */
enum mf_status mf_feed_set_source(struct mf_feed *feed, const struct mf_event_source *source, struct mf_error *error);

void mf_feed_listen(struct mf_feed *feed); /* after a follower was added */

/* ---- the list: with the mutex ---- */
enum mf_status mf_feed_add(struct mf_feed *feed, struct mf_follow *follow, uint64_t id, struct mf_error *error); /* takes the reference on success */
struct mf_follow *mf_feed_find(const struct mf_feed *feed, uint64_t id); /* NULL: not there */
/* Lets go of the mutex while it waits for it to end. MF_ERR_TIMEOUT: it is still there. */
enum mf_status mf_feed_remove(struct mf_feed *feed, struct mf_follow *follow, int64_t deadline_us, struct mf_error *error);
void mf_feed_learn_synced(struct mf_feed *feed);

/* ---- for followers ---- */
const struct mf_event_source *mf_feed_enter(struct mf_feed *feed); /* NULL: there is none; else leave it */
void mf_feed_leave(struct mf_feed *feed);
int64_t mf_feed_committed(struct mf_feed *feed); /* what is committed is published a moment later; 0: there is no source */
int64_t mf_feed_visible(const struct mf_feed *feed, bool synced_only); /* with the mutex */
void mf_feed_tell(struct mf_feed *feed);                               /* with the mutex: changed */
void mf_feed_tell_if_waited(struct mf_feed *feed);                     /* without it */
void mf_feed_wait(struct mf_feed *feed, int64_t deadline_us);          /* with the mutex, on changed; INT64_MAX: for ever */
