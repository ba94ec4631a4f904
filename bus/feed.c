#include "bus/feed.h"

#include <string.h>

#include "bus/follower.h"
#include "bus/loop.h"
#include "model/mem.h"

/* ---- waiting ---- */
void mf_feed_tell(struct mf_feed *feed)
{
	if (feed->waiters > 0)
		mf_cond_broadcast(&feed->changed);
}

/* What they wait for was changed before this looks for them. */
void mf_feed_tell_if_waited(struct mf_feed *feed)
{
	if (feed->waiters == 0)
		return;
	pthread_mutex_lock(&feed->mutex);
	mf_cond_broadcast(&feed->changed);
	pthread_mutex_unlock(&feed->mutex);
}

void mf_feed_wait(struct mf_feed *feed, int64_t deadline_us)
{
	feed->waiters++;
	mf_cond_wait_until(&feed->changed, &feed->mutex, deadline_us);
	feed->waiters--;
}

/* ---- publishing ---- */
int64_t mf_feed_visible(const struct mf_feed *feed, bool synced_only)
{
	return synced_only && feed->synced < feed->published ? feed->synced : feed->published;
}

static void wake_sleepers(struct mf_feed *feed)
{
	bool loop = false;
	for (struct mf_follow *follow = feed->first; follow; follow = follow->next) {
		if (!follow->asleep || !mf_follow_ready(follow, 0))
			continue;
		if (follow->options.on == MF_FOLLOW_ON_LOOP)
			loop = true;
		else
			mf_follow_wake(follow);
	}
	if (loop)
		mf_loop_wake(feed->loop);
}

void mf_feed_learn_synced(struct mf_feed *feed)
{
	if (feed->synced_count == 0 || !feed->source)
		return;
	const struct mf_event_source *source = feed->source;
	int64_t synced = source->synced_lsn(source->user);
	if (synced > feed->synced)
		feed->synced = synced;
}

void mf_feed_publish(struct mf_feed *feed, const struct mf_publication *publication)
{
	pthread_mutex_lock(&feed->mutex);
	if (publication->lsn > feed->published)
		feed->published = publication->lsn;
	if (feed->count > 0 && publication->event)
		mf_recent_add(&feed->recent, publication->event);
	mf_feed_learn_synced(feed);
	wake_sleepers(feed);
	pthread_mutex_unlock(&feed->mutex);
}

/* ---- what the source tells and asks ---- */
static void synced_grew(void *user)
{
	struct mf_feed *feed = user;
	pthread_mutex_lock(&feed->mutex);
	mf_feed_learn_synced(feed);
	if (feed->synced_count > 0)
		wake_sleepers(feed);
	pthread_mutex_unlock(&feed->mutex);
}

static int64_t needed_above(void *user)
{
	struct mf_feed *feed = user;
	int64_t least = INT64_MAX;
	pthread_mutex_lock(&feed->mutex);
	for (const struct mf_follow *follow = feed->first; follow; follow = follow->next) {
		int64_t needed = mf_follow_needs_above(follow);
		least = needed < least ? needed : least;
	}
	pthread_mutex_unlock(&feed->mutex);
	return least;
}

/* ---- the source ---- */
const struct mf_event_source *mf_feed_enter(struct mf_feed *feed)
{
	feed->inside++;
	const struct mf_event_source *source = feed->source;
	if (!source)
		mf_feed_leave(feed);
	return source;
}

void mf_feed_leave(struct mf_feed *feed)
{
	if (--feed->inside == 0)
		mf_feed_tell_if_waited(feed);
}

int64_t mf_feed_committed(struct mf_feed *feed)
{
	const struct mf_event_source *source = mf_feed_enter(feed);
	int64_t lsn = source ? source->committed_lsn(source->user) : 0;
	if (source)
		mf_feed_leave(feed);
	return lsn;
}

static void take_away(struct mf_feed *feed)
{
	const struct mf_event_source *source = feed->source;
	if (!source)
		return;
	bool listening = feed->listening;
	feed->source = NULL;
	feed->waiters++;
	while (feed->inside > 0)
		mf_feed_wait(feed, INT64_MAX);
	feed->waiters--;
	feed->listening = false;
	mf_recent_clear(&feed->recent);
	pthread_mutex_unlock(&feed->mutex);
	if (listening)
		source->listen(source->user, NULL);
	pthread_mutex_lock(&feed->mutex);
}

/* Only where there is a follower: who has none need not know in which order bus and committer end. */
void mf_feed_listen(struct mf_feed *feed)
{
	pthread_mutex_lock(&feed->mutex);
	const struct mf_event_source *source = feed->source;
	bool begin = source && feed->count > 0 && !feed->listening;
	if (begin) {
		feed->listening = true;
		feed->inside++;
	}
	pthread_mutex_unlock(&feed->mutex);
	if (!begin)
		return;
	source->listen(source->user, &feed->listener);
	mf_feed_leave(feed);
	synced_grew(feed); /* what it did before it was listened to */
}

/* Before there is a source: one that has a thread begins as soon as it sees it, without the mutex. */
static void expect_newest(struct mf_feed *feed)
{
	for (struct mf_follow *follow = feed->first; follow; follow = follow->next)
		if (!follow->begun)
			follow->newest = follow->stored = feed->published;
}

static enum mf_status start_all(struct mf_feed *feed, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	for (struct mf_follow *follow = feed->first; follow && status == MF_OK; follow = follow->next)
		status = mf_follow_start(follow, error);
	return status;
}

static bool is_complete(const struct mf_event_source *source)
{
	return source->size >= sizeof(*source) && source->read && source->free_events && source->decode && source->committed_lsn && source->synced_lsn &&
	       source->epoch && source->epoch_end && source->load_checkpoint && source->save_checkpoint && source->listen;
}

enum mf_status mf_feed_set_source(struct mf_feed *feed, const struct mf_event_source *source, struct mf_error *error)
{
	if (source && !is_complete(source))
		return mf_error_set(error, MF_ERR_INVALID, "the committer's event source is incomplete: build it against this version");
	pthread_mutex_lock(&feed->mutex);
	take_away(feed);
	enum mf_status status = MF_OK;
	if (source) {
		feed->published = source->committed_lsn(source->user);
		feed->synced = source->synced_lsn(source->user);
		expect_newest(feed);
		feed->source = source;
		status = start_all(feed, error);
	}
	pthread_mutex_unlock(&feed->mutex);
	if (status != MF_OK)
		(void)!mf_feed_set_source(feed, NULL, NULL);
	else
		mf_feed_listen(feed);
	return status;
}

/* ---- the list ---- */
enum mf_status mf_feed_add(struct mf_feed *feed, struct mf_follow *follow, uint64_t id, struct mf_error *error)
{
	struct mf_follow **tail = &feed->first;
	for (; *tail; tail = &(*tail)->next)
		if (follow->options.keep_checkpoint && (*tail)->options.keep_checkpoint && strcmp((*tail)->name, follow->name) == 0)
			return mf_error_set(error, MF_ERR_STATE, "there is a follower '%.200s' already, and both would keep a checkpoint under this name", follow->name);
	if (mf_recent_reserve(&feed->recent, follow->options.queue_events, follow->options.queue_bytes) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to keep %u events for follower '%.200s'", follow->options.queue_events, follow->name);
	follow->id = id;
	follow->newest = feed->published;
	if (follow->stored < feed->published)
		follow->stored = feed->published;
	enum mf_status status = feed->source ? mf_follow_start(follow, error) : MF_OK;
	if (status != MF_OK)
		return status;
	*tail = follow;
	feed->count++;
	feed->synced_count += follow->options.synced_only;
	mf_feed_learn_synced(feed);
	return MF_OK;
}

struct mf_follow *mf_feed_find(const struct mf_feed *feed, uint64_t id)
{
	struct mf_follow *follow = feed->first;
	while (follow && follow->id != id)
		follow = follow->next;
	return follow;
}

static void take_out(struct mf_feed *feed, struct mf_follow *gone)
{
	struct mf_follow **place = &feed->first;
	while (*place && *place != gone)
		place = &(*place)->next;
	if (!*place)
		return; /* another thread was first */
	*place = gone->next;
	feed->count--;
	feed->synced_count -= gone->options.synced_only;
	if (feed->count == 0)
		mf_recent_clear(&feed->recent);
	mf_follow_unref(gone);
}

enum mf_status mf_feed_remove(struct mf_feed *feed, struct mf_follow *follow, int64_t deadline_us, struct mf_error *error)
{
	follow->refs++;
	enum mf_status status = mf_follow_end(follow, deadline_us, error);
	if (status == MF_OK)
		take_out(feed, follow);
	mf_follow_unref(follow);
	return status;
}

/* ---- life cycle ---- */
void mf_feed_init(struct mf_feed *feed)
{
	memset(feed, 0, sizeof(*feed));
	mf_cond_init(&feed->changed);
	pthread_mutex_init(&feed->mutex, NULL);
	feed->listener = (struct mf_event_listener){feed, synced_grew, needed_above};
}

void mf_feed_deinit(struct mf_feed *feed)
{
	pthread_mutex_lock(&feed->mutex);
	while (feed->first)
		(void)!mf_feed_remove(feed, feed->first, INT64_MAX, NULL);
	while (feed->orphans > 0)
		mf_feed_wait(feed, INT64_MAX);
	if (feed->listening)
		take_away(feed);
	pthread_mutex_unlock(&feed->mutex);
	mf_loop_free(feed->loop);
	mf_recent_deinit(&feed->recent);
	mf_cond_destroy(&feed->changed);
	pthread_mutex_destroy(&feed->mutex);
}
