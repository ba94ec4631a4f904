/* recent.h - the newest events in memory, for followers that keep up: a ring of copies, bounded in number and bytes.
 *
 * One ring serves all followers of a bus, so what an event costs its committer does not depend on how many there
 * are. Followers copy out of it, a batch at a time; who finds that what he needs has been overwritten reads the store.
 *
 * Invariants
 * 1. It holds the events oldest to newest, without a gap; newest < oldest: none.
 * 2. Whatever does not fit, or for which there is no memory, is simply not in it. Nothing here fails.
 * 3. A place's memory is used again by the next event in it: a ring at work allocates nothing.
 *
 * Thread: one at a time (the feed's mutex). */
#pragma once

#include <moduforge/event.h>

struct mf_recent_place {
	struct mf_event event; /* what it points to lies in bytes */
	char *bytes;
	size_t size;
};

struct mf_recent {
	struct mf_recent_place *places; /* event lsn lies in lsn % capacity */
	size_t capacity, max_bytes;
	size_t bytes; /* of all places */
	int64_t oldest, newest;
};

void mf_recent_deinit(struct mf_recent *recent);
/* Room for at least these: grows, and is empty then. A zeroed ring has none. */
MF_MUST_CHECK enum mf_status mf_recent_reserve(struct mf_recent *recent, size_t events, size_t bytes);
void mf_recent_clear(struct mf_recent *recent); /* frees what the events lie in */
void mf_recent_add(struct mf_recent *recent, const struct mf_event *event);

/* ---- copies that a follower takes ---- */
struct mf_event_batch {
	struct mf_event *events;
	size_t count, capacity;
	char *bytes;
	size_t size;
};
void mf_event_batch_deinit(struct mf_event_batch *batch);

enum mf_recent_answer { MF_RECENT_TAKEN, MF_RECENT_NOT_HERE };
/* The events after from_lsn up to upto_lsn, as many as one batch takes: at least one. NOT_HERE: the first of them is not in
 * the ring, or there is no memory to copy it. */
enum mf_recent_answer mf_recent_take(const struct mf_recent *recent, int64_t from_lsn, int64_t upto_lsn, struct mf_event_batch *batch);
