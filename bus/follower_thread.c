/* follower_thread.c - who drives a follower, and how it ends. */
#include "bus/follower.h"
#include "bus/loop.h"
#include "model/thread.h"

#define STEP_EVENTS 64

/* ---- driving ---- */
static void drive_begin(struct mf_follow *follow)
{
	follow->driven = true;
	follow->driver = pthread_self();
	follow->asleep = false;
}

/* Its last driver leaves it: nobody looks at what is at hand any more. */
static void leave(struct mf_follow *follow)
{
	follow->ended = true;
	follow->driven = false;
	follow->state = MF_FOLLOWER_STOPPED;
	mf_feed_tell(follow->feed);
}

enum mf_follow_result mf_follow_drive(struct mf_follow *follow, size_t max_events, size_t *out_delivered)
{
	struct mf_feed *feed = follow->feed;
	follow->refs++;
	drive_begin(follow);
	pthread_mutex_unlock(&feed->mutex);
	enum mf_follow_result result = mf_follow_step(follow, max_events, out_delivered);
	pthread_mutex_lock(&feed->mutex);
	if (follow->stop) {
		pthread_mutex_unlock(&feed->mutex);
		mf_follow_save(follow);
		pthread_mutex_lock(&feed->mutex);
		leave(follow);
	}
	follow->driven = false;
	follow->asleep = true;
	mf_feed_tell(feed);
	mf_follow_unref(follow);
	return result;
}

/* ---- the thread ---- */
/* A nap first, if it has worked: nobody needs to wake it for what comes meanwhile. */
static void sleep_until_ready(struct mf_follow *follow, bool has_worked)
{
	int64_t nap_us = has_worked ? follow->options.nap_us : 0;
	pthread_mutex_lock(&follow->feed->mutex);
	for (int64_t now; !mf_follow_ready(follow, (now = mf_now_us())); nap_us = 0) {
		int64_t due = mf_follow_due(follow);
		if (nap_us > 0 && now + nap_us < due)
			due = now + nap_us;
		follow->asleep = nap_us == 0;
		mf_cond_wait_until(&follow->wake, &follow->feed->mutex, due);
		follow->asleep = false;
	}
	pthread_mutex_unlock(&follow->feed->mutex);
}

static void *run(void *argument)
{
	struct mf_follow *follow = argument;
	struct mf_feed *feed = follow->feed;
	enum mf_follow_result result;
	size_t delivered;
	for (bool has_worked = false; (result = mf_follow_step(follow, STEP_EVENTS, &delivered)) != MF_FOLLOW_ENDED;) {
		has_worked = has_worked || delivered > 0;
		if (result != MF_FOLLOW_NOTHING)
			continue;
		sleep_until_ready(follow, has_worked);
		has_worked = false;
	}
	mf_follow_save(follow);
	pthread_mutex_lock(&feed->mutex);
	leave(follow);
	if (follow->orphan) {
		feed->orphans--;
		mf_feed_tell(feed);
	}
	mf_follow_unref(follow);
	pthread_mutex_unlock(&feed->mutex);
	return NULL;
}

enum mf_status mf_follow_start(struct mf_follow *follow, struct mf_error *error)
{
	follow->asleep = true;
	if (follow->options.on == MF_FOLLOW_ON_LOOP) {
		mf_loop_wake(follow->feed->loop);
		return MF_OK;
	}
	if (follow->has_thread) {
		mf_follow_wake(follow);
		return MF_OK;
	}
	if (follow->stop)
		return MF_OK;
	follow->refs++;
	drive_begin(follow);
	int rc = mf_thread_start(&follow->thread, follow->name, run, follow);
	if (rc) {
		follow->driven = false;
		follow->refs--;
		return mf_error_set(error, MF_ERR_NO_MEMORY, "the thread of follower '%.200s' could not be started (error %d); allow the process more threads", follow->name, rc);
	}
	follow->has_thread = true;
	follow->driver = follow->thread;
	return MF_OK;
}

void mf_follow_wake(struct mf_follow *follow)
{
	follow->asleep = false;
	mf_cond_signal(&follow->wake);
}

/* ---- ending ---- */
void mf_follow_ask_to_stop(struct mf_follow *follow)
{
	follow->stop = true;
	if (follow->has_thread)
		mf_follow_wake(follow);
}

void mf_follow_become_orphan(struct mf_follow *follow)
{
	if (!follow->has_thread || follow->orphan)
		return;
	follow->orphan = true;
	follow->feed->orphans++;
	pthread_detach(follow->thread);
}

static void join(struct mf_follow *follow)
{
	if (!follow->has_thread || follow->joined || follow->orphan)
		return;
	follow->joined = true;
	pthread_mutex_unlock(&follow->feed->mutex);
	mf_thread_join(follow->thread);
	pthread_mutex_lock(&follow->feed->mutex);
}

/* Nobody drives it: who ends it does its driver's last duty. */
static void end_undriven(struct mf_follow *follow)
{
	follow->ended = true;
	drive_begin(follow);
	pthread_mutex_unlock(&follow->feed->mutex);
	mf_follow_save(follow);
	pthread_mutex_lock(&follow->feed->mutex);
	leave(follow);
}

enum mf_status mf_follow_end(struct mf_follow *follow, int64_t deadline_us, struct mf_error *error)
{
	mf_follow_ask_to_stop(follow);
	if (follow->driven && pthread_equal(follow->driver, pthread_self())) {
		mf_follow_become_orphan(follow);
		return MF_OK;
	}
	while (follow->driven) {
		if (deadline_us != INT64_MAX && mf_now_us() >= deadline_us)
			return mf_error_set(error, MF_ERR_TIMEOUT, "follower '%.200s' is still at work on the event after LSN %lld", follow->name, (long long)follow->lsn);
		mf_feed_wait(follow->feed, deadline_us);
	}
	if (!follow->ended)
		end_undriven(follow);
	join(follow);
	return MF_OK;
}
