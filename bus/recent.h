/* recent.h - the newest events in memory, for followers that keep up: a ring of copies, bounded in number and bytes.
 *
 * One ring serves all followers of a bus, so what an event costs its committer does not depend on how many there
 * are. Followers take references, a batch at a time, so that the lock is held for a moment only; who finds that what he needs
 * has been overwritten reads the store.
 *
 * Invariants
 * 1. It holds the events oldest to newest, without a gap; newest < oldest: none.
 * 2. Whatever does not fit, or for which there is no memory, is simply not in it. Nothing here fails.
 * 3. A copy never changes and goes with its last reference. What followers hold beside the ring is at most a batch each.
 *
 * Thread: one at a time (the feed's mutex), but for mf_event_batch_release. */
#pragma once

#include <stdatomic.h>

#include <moduforge/event.h>

struct mf_event_copy {
	atomic_uint refs;
	size_t size;
	struct mf_event event; /* what it points to lies in bytes */
	char bytes[];
};

struct mf_recent {
	struct mf_event_copy **places; /* event lsn lies in lsn % capacity */
	size_t capacity, max_bytes;
	size_t bytes;
	int64_t oldest, newest;
};

void mf_recent_deinit(struct mf_recent *recent);
/* Room for at least these: grows, and is empty then. A zeroed ring has none. */
MF_MUST_CHECK enum mf_status mf_recent_reserve(struct mf_recent *recent, size_t events, size_t bytes);
void mf_recent_clear(struct mf_recent *recent);
void mf_recent_add(struct mf_recent *recent, const struct mf_event *event);

/* ---- what a follower takes ---- */
#define MF_BATCH_EVENTS 64

struct mf_event_batch {
	struct mf_event_copy *copies[MF_BATCH_EVENTS];
	size_t count;
};
void mf_event_batch_release(struct mf_event_batch *batch); /* without the mutex */
/* References to the events after from_lsn up to upto_lsn, as many as one batch takes, into an empty one. False: the first of
 * them is not in the ring. */
bool mf_recent_take(const struct mf_recent *recent, int64_t from_lsn, int64_t upto_lsn, struct mf_event_batch *batch);
