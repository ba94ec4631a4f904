/* loop.h - the descriptor that wakes an application's loop, and the followers that run on it.
 *
 * An epoll descriptor over two others: an eventfd, written when something is there for a follower, and a timer for what is
 * due by itself (a retry, a checkpoint). The eventfd is written only after the loop has read it, so a loop that is busy
 * costs publishers nothing.
 *
 * Invariant: when no dispatch is under way and a follower on the loop is ready, the descriptor is readable.
 * Thread: with the feed's mutex, but for mf_loop_new, mf_loop_free and mf_loop_dispatch. */
#pragma once

#include "bus/feed.h"

struct mf_loop {
	int fd, event_fd, timer_fd;
	bool signalled;   /* event_fd is readable */
	bool dispatching;
	uint64_t last_id; /* of the follower that had its turn */
};

enum mf_status mf_loop_new(struct mf_loop **out, struct mf_error *error);
void mf_loop_free(struct mf_loop *loop); /* NULL is fine */
void mf_loop_wake(struct mf_loop *loop);
enum mf_status mf_loop_dispatch(struct mf_feed *feed, size_t max_events, struct mf_error *error);
