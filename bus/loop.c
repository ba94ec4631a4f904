#include "bus/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bus/follower.h"
#include "model/mem.h"

#define DEFAULT_EVENTS 256
#define TURN_EVENTS 32

/* ---- life cycle ---- */
static bool add(const struct mf_loop *loop, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	return epoll_ctl(loop->fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

enum mf_status mf_loop_new(struct mf_loop **out, struct mf_error *error)
{
	struct mf_loop *loop = mf_calloc(1, sizeof(*loop));
	if (!loop)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for followers on a loop");
	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	loop->event_fd = loop->fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->timer_fd = loop->event_fd < 0 ? -1 : timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer_fd < 0 || !add(loop, loop->event_fd) || !add(loop, loop->timer_fd)) {
		int code = errno;
		mf_loop_free(loop);
		return mf_error_set(error, MF_ERR_IO, "no descriptor for followers on a loop: %s", strerror(code));
	}
	*out = loop;
	return MF_OK;
}

void mf_loop_free(struct mf_loop *loop)
{
	if (!loop)
		return;
	const int fds[] = {loop->timer_fd, loop->event_fd, loop->fd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	mf_free(loop);
}

/* ---- the descriptor ---- */
void mf_loop_wake(struct mf_loop *loop)
{
	const uint64_t one = 1;
	if (loop->signalled)
		return;
	loop->signalled = write(loop->event_fd, &one, sizeof(one)) == sizeof(one); /* at 0 before: it cannot be full */
}

static void quiet(struct mf_loop *loop)
{
	uint64_t count;
	if (loop->signalled)
		loop->signalled = read(loop->event_fd, &count, sizeof(count)) != sizeof(count);
	(void)!read(loop->timer_fd, &count, sizeof(count));
}

/* Readable at once, at the next moment that something is due, or only when it is woken. */
static void arm(struct mf_feed *feed)
{
	int64_t now = mf_now_us(), due = INT64_MAX;
	for (const struct mf_follow *follow = feed->first; follow; follow = follow->next) {
		if (follow->options.on != MF_FOLLOW_ON_LOOP)
			continue;
		if (mf_follow_ready(follow, now))
			mf_loop_wake(feed->loop);
		else if (!follow->ended && mf_follow_due(follow) < due)
			due = mf_follow_due(follow);
	}
	struct itimerspec when = {0};
	if (due != INT64_MAX)
		when.it_value = (struct timespec){.tv_sec = due / 1000000, .tv_nsec = due % 1000000 * 1000 + 1};
	(void)timerfd_settime(feed->loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ---- dispatching ---- */
/* The ready one after the one that had its turn last. */
static struct mf_follow *next_ready(const struct mf_feed *feed)
{
	int64_t now = mf_now_us();
	struct mf_follow *first = NULL;
	for (struct mf_follow *follow = feed->first; follow; follow = follow->next) {
		if (follow->options.on != MF_FOLLOW_ON_LOOP || !mf_follow_ready(follow, now))
			continue;
		if (follow->id > feed->loop->last_id)
			return follow;
		if (!first)
			first = follow;
	}
	return first;
}

static void dispatch(struct mf_feed *feed, size_t max_events)
{
	struct mf_follow *follow;
	for (size_t done = 0; done < max_events && (follow = next_ready(feed));) {
		size_t left = max_events - done, delivered;
		feed->loop->last_id = follow->id;
		(void)mf_follow_drive(follow, left < TURN_EVENTS ? left : TURN_EVENTS, &delivered);
		done += delivered > 0 ? delivered : 1; /* a step without a delivery is work too */
	}
}

enum mf_status mf_loop_dispatch(struct mf_feed *feed, size_t max_events, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	pthread_mutex_lock(&feed->mutex);
	if (feed->loop && feed->loop->dispatching)
		status = mf_error_set(error, MF_ERR_STATE, "events are being dispatched already, further up or in another thread");
	else if (feed->loop) {
		feed->loop->dispatching = true;
		quiet(feed->loop);
		dispatch(feed, max_events ? max_events : DEFAULT_EVENTS);
		arm(feed);
		feed->loop->dispatching = false;
	}
	pthread_mutex_unlock(&feed->mutex);
	return status;
}
