/* follow.c - the bus's door to followers that go at their own pace. */
#include <moduforge/follow.h>

#include <string.h>

#include "bus/bus_parts.h"
#include "bus/follower.h"
#include "bus/loop.h"
#include "model/mem.h"
#include "model/utf8.h"

#define QUEUE_EVENTS_MAX (1u << 20)

/* ---- options ---- */
void mf_follow_options_init(struct mf_follow_options *options)
{
	*options = (struct mf_follow_options){
		.size = sizeof(*options),
		.topics = MF_TOPICS_EVENTS,
		.queue_events = 1024,
		.queue_bytes = (size_t)4 << 20,
		.checkpoint_events = 1000,
		.checkpoint_ms = 1000,
		.retry_ms = 100,
		.retry_max_ms = 30000,
		.nap_us = 200,
	};
}

static enum mf_status check_place(const struct mf_follow_options *options, struct mf_error *error)
{
	if ((unsigned)options->on > MF_FOLLOW_ON_LOOP || (unsigned)options->from > MF_FOLLOW_FROM_PLACE)
		return mf_error_set(error, MF_ERR_INVALID, "follower '%.200s': on is %d and from is %d, one of them does not exist", options->name, (int)options->on, (int)options->from);
	if (options->place && options->keep_checkpoint)
		return mf_error_set(error, MF_ERR_INVALID, "follower '%.200s' keeps its own place, so the store cannot keep one too", options->name);
	if (options->start_lsn < 0 || options->start_epoch < 0)
		return mf_error_set(error, MF_ERR_INVALID, "follower '%.200s': LSN %lld of epoch %lld is no place to begin", options->name, (long long)options->start_lsn, (long long)options->start_epoch);
	return MF_OK;
}

static enum mf_status check_options(const struct mf_follow_options *options, mf_event_handler *handler, struct mf_error *error)
{
	size_t len = options->name ? strnlen(options->name, MF_ID_MAX + 1) : 0;
	if (len == 0 || len > MF_ID_MAX || !mf_utf8_valid(options->name, len))
		return mf_error_set(error, MF_ERR_INVALID, "a follower needs a name of 1 to %d bytes of UTF-8", MF_ID_MAX);
	if (!handler)
		return mf_error_set(error, MF_ERR_INVALID, "follower '%.200s' has no handler", options->name);
	if (options->topics == 0 || (options->topics & ~(uint32_t)MF_TOPICS_FOLLOW))
		return mf_error_set(error, MF_ERR_INVALID, "follower '%.200s': topics are 0x%x, must be some of 0x%x; notices go to synchronous followers", options->name, (unsigned)options->topics,
				    (unsigned)MF_TOPICS_FOLLOW);
	if (options->queue_events == 0 || options->queue_events > QUEUE_EVENTS_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "follower '%.200s': queue_events is %u, must be 1 to %u", options->name, options->queue_events, QUEUE_EVENTS_MAX);
	if (options->retry_ms == 0 || options->retry_max_ms < options->retry_ms)
		return mf_error_set(error, MF_ERR_INVALID, "follower '%.200s': retry_ms is %u, must be 1 to retry_max_ms, %u", options->name, options->retry_ms, options->retry_max_ms);
	if (options->checkpoint_events == 0)
		return mf_error_set(error, MF_ERR_INVALID, "follower '%.200s': checkpoint_events must be 1 or more", options->name);
	return check_place(options, error);
}

enum mf_status mf_follow_options_take(const struct mf_follow_options *given, struct mf_follow_options *out, struct mf_error *error)
{
	mf_follow_options_init(out);
	if (!given)
		return MF_OK;
	if (given->size < offsetof(struct mf_follow_options, topics) || given->size > sizeof(*given))
		return mf_error_set(error, MF_ERR_INVALID, "the options say they are %zu bytes long, %zu are known; begin with mf_follow_options_init", given->size, sizeof(*given));
	memcpy(out, given, given->size);
	out->size = sizeof(*out);
	return MF_OK;
}

/* ---- coming and going ---- */
static enum mf_status may_follow(struct mf_bus *bus, const struct mf_follow_options *options, struct mf_error *error)
{
	const struct mf_committer *committer = mf_bus_committer(bus);
	if (committer && !bus->feed.source)
		return mf_error_set(error, MF_ERR_STATE, "follower '%.200s': the committer %s gives no events to followers; one that only reads does not", options->name, committer->name);
	if (options->on == MF_FOLLOW_ON_LOOP && !bus->feed.loop)
		return mf_loop_new(&bus->feed.loop, error);
	return MF_OK;
}

enum mf_status mf_bus_follow(struct mf_bus *bus, const struct mf_follow_options *given, mf_event_handler *handler, void *user, uint64_t *out_id, struct mf_error *error)
{
	struct mf_follow_options options;
	struct mf_follow *follow;
	enum mf_status status = mf_follow_options_take(given, &options, error);
	if (status == MF_OK)
		status = check_options(&options, handler, error);
	if (status == MF_OK)
		status = mf_follow_new(&bus->feed, &options, handler, user, &follow, error);
	if (status != MF_OK)
		return status;
	follow->stored = mf_feed_committed(&bus->feed); /* who begins at a state that he has just read has seen it already */
	pthread_mutex_lock(&bus->feed.mutex);
	uint64_t id = atomic_fetch_add(&bus->last_id, 1) + 1;
	status = may_follow(bus, &options, error);
	if (status == MF_OK)
		status = mf_feed_add(&bus->feed, follow, id, error);
	if (status == MF_OK)
		*out_id = id;
	else
		mf_follow_unref(follow);
	pthread_mutex_unlock(&bus->feed.mutex);
	if (status == MF_OK)
		mf_feed_listen(&bus->feed);
	return status;
}

enum mf_status mf_bus_unfollow(struct mf_bus *bus, uint64_t id, int64_t timeout_ms, struct mf_error *error)
{
	pthread_mutex_lock(&bus->feed.mutex);
	struct mf_follow *follow = mf_feed_find(&bus->feed, id);
	enum mf_status status = follow ? mf_feed_remove(&bus->feed, follow, mf_deadline_in_ms(timeout_ms), error)
				       : mf_error_set(error, MF_ERR_NOT_FOUND, "the bus has no subscriber %llu", (unsigned long long)id);
	pthread_mutex_unlock(&bus->feed.mutex);
	return status;
}

/* ---- all of them ---- */
/* In order of id, though they come and go meanwhile. */
static struct mf_follow *next_after(const struct mf_feed *feed, uint64_t id)
{
	struct mf_follow *follow = feed->first; /* which is in that order */
	while (follow && follow->id <= id)
		follow = follow->next;
	return follow;
}

void mf_bus_visit_followers(struct mf_bus *bus, bool (*visit)(void *user, const struct mf_subscriber_info *info), void *user)
{
	struct mf_follow *follow;
	uint64_t id = 0;
	bool go_on = true;
	pthread_mutex_lock(&bus->feed.mutex);
	while (go_on && (follow = next_after(&bus->feed, id))) {
		struct mf_subscriber_info info;
		char last_error[MF_ERROR_MESSAGE_SIZE];
		id = follow->id;
		follow->refs++; /* for its name */
		mf_follow_info(follow, &info, last_error);
		pthread_mutex_unlock(&bus->feed.mutex);
		go_on = visit(user, &info);
		pthread_mutex_lock(&bus->feed.mutex);
		mf_follow_unref(follow);
	}
	pthread_mutex_unlock(&bus->feed.mutex);
}

static const struct mf_follow *first_behind(const struct mf_feed *feed, int64_t lsn)
{
	for (const struct mf_follow *follow = feed->first; follow; follow = follow->next)
		if (!mf_follow_has_seen(follow, lsn))
			return follow;
	return NULL;
}

enum mf_status mf_bus_await_followers(struct mf_bus *bus, int64_t timeout_ms, struct mf_error *error)
{
	struct mf_feed *feed = &bus->feed;
	int64_t deadline = mf_deadline_in_ms(timeout_ms);
	enum mf_status status = MF_OK;
	if (mf_follow_inside(feed))
		return mf_error_set(error, MF_ERR_STATE, "a follower's handler would wait for itself");
	pthread_mutex_lock(&feed->mutex);
	mf_feed_learn_synced(feed);
	int64_t lsn = feed->published;
	feed->waiters++;
	for (const struct mf_follow *behind; status == MF_OK && (behind = first_behind(feed, lsn));) {
		if (deadline != INT64_MAX && mf_now_us() >= deadline)
			status = mf_error_set(error, MF_ERR_TIMEOUT, "follower '%.200s' has come up to LSN %lld only, of %lld", behind->name, (long long)behind->lsn, (long long)lsn);
		else
			mf_feed_wait(feed, deadline);
	}
	feed->waiters--;
	pthread_mutex_unlock(&feed->mutex);
	return status;
}

static enum mf_status stop_listed(struct mf_feed *feed, int64_t deadline, struct mf_error *error)
{
	enum mf_status first = MF_OK;
	struct mf_follow *follow;
	uint64_t id = 0;
	for (follow = feed->first; follow; follow = follow->next) /* all at once, then one after the other */
		mf_follow_ask_to_stop(follow);
	while ((follow = next_after(feed, id))) {
		id = follow->id;
		follow->refs++;
		enum mf_status status = mf_follow_end(follow, deadline, first == MF_OK ? error : NULL);
		mf_follow_unref(follow);
		first = first == MF_OK ? status : first;
	}
	return first;
}

static bool has_running(const struct mf_feed *feed)
{
	const struct mf_follow *follow = feed->first;
	while (follow && follow->stop)
		follow = follow->next;
	return follow;
}

/* Those that unsubscribed themselves are on no list, but may still be in the call in which they did so. Who is in such a call
 * does not wait for himself. */
static enum mf_status await_orphans(struct mf_feed *feed, int64_t deadline, struct mf_error *error)
{
	while (feed->orphans > 0 && !mf_follow_inside(feed)) {
		if (deadline != INT64_MAX && mf_now_us() >= deadline)
			return mf_error_set(error, MF_ERR_TIMEOUT, "a follower is still at work in the call in which it unsubscribed itself");
		mf_feed_wait(feed, deadline);
	}
	return MF_OK;
}

enum mf_status mf_bus_stop_followers(struct mf_bus *bus, int64_t timeout_ms, struct mf_error *error)
{
	struct mf_feed *feed = &bus->feed;
	int64_t deadline = mf_deadline_in_ms(timeout_ms);
	enum mf_status status;
	pthread_mutex_lock(&feed->mutex);
	do {
		status = stop_listed(feed, deadline, error);
		if (status == MF_OK)
			status = await_orphans(feed, deadline, error);
	} while (status == MF_OK && has_running(feed)); /* one that an orphan has begun */
	pthread_mutex_unlock(&feed->mutex);
	return status;
}

void mf_bus_abandon_followers(struct mf_bus *bus)
{
	pthread_mutex_lock(&bus->feed.mutex);
	for (struct mf_follow *follow = bus->feed.first; follow; follow = follow->next)
		if (follow->driven)
			mf_follow_become_orphan(follow);
	pthread_mutex_unlock(&bus->feed.mutex);
}

bool mf_bus_inside_follower(const struct mf_bus *bus)
{
	return mf_follow_inside(&bus->feed);
}

/* ---- the application's loop ---- */
int mf_bus_fd(struct mf_bus *bus)
{
	pthread_mutex_lock(&bus->feed.mutex);
	enum mf_status status = bus->feed.loop ? MF_OK : mf_loop_new(&bus->feed.loop, NULL);
	int fd = status == MF_OK ? bus->feed.loop->fd : -1;
	pthread_mutex_unlock(&bus->feed.mutex);
	return fd;
}

enum mf_status mf_bus_dispatch(struct mf_bus *bus, size_t max_events, struct mf_error *error)
{
	return mf_loop_dispatch(&bus->feed, max_events, error);
}

/* ---- small things ---- */
void mf_bus_set_logger(struct mf_bus *bus, const struct mf_logger *logger)
{
	bus->feed.logger = *logger;
}

const char *mf_follower_state_name(enum mf_follower_state state)
{
	switch (state) {
	case MF_FOLLOWER_SYNCHRONOUS: return "synchronous";
	case MF_FOLLOWER_WAITING: return "waiting";
	case MF_FOLLOWER_CATCHING_UP: return "catching up";
	case MF_FOLLOWER_LIVE: return "live";
	case MF_FOLLOWER_RETRYING: return "retrying";
	case MF_FOLLOWER_STOPPED: return "stopped";
	}
	return "unknown";
}
