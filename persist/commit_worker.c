/* commit_worker.c - the store's one background thread: leads when nobody waits, syncs at the window's end, maintains.
 *
 * It naps for a while after work (so that a submit needs no signal, and submits pile up into groups) and sleeps when
 * nothing has come for MF_NAPS_BEFORE_SLEEP naps (so that an idle store costs nothing). */
#include "persist/commit_queue_parts.h"

#include <assert.h>

#define GROUPS_BETWEEN_MAINTAINS 16

void mf_commit_queue_kick(struct mf_commit_queue *queue)
{
	if (queue->place == WORKER_AWAKE)
		return;
	queue->place = WORKER_AWAKE;
	mf_cond_signal(&queue->worker_wake);
}

/* Microseconds until the window's end; negative: nothing is waiting for a sync. */
static int64_t sync_in(const struct mf_commit_queue *queue)
{
	if (queue->unsynced_since_us < 0 || queue->stopped.status)
		return -1;
	if (queue->drainers || queue->ending)
		return 0;
	int64_t left = queue->unsynced_since_us + queue->window_us - mf_commit_queue_now(queue);
	return left > 0 ? left : 0;
}

static void tell_progress(struct mf_commit_queue *queue)
{
	if (queue->drainers || queue->pushers)
		mf_cond_broadcast(&queue->progress);
}

static void tell_synced(struct mf_commit_queue *queue)
{
	if (!queue->synced_notify)
		return;
	pthread_mutex_unlock(&queue->source.mutex);
	queue->synced_notify(queue->synced_user);
	pthread_mutex_lock(&queue->source.mutex);
}

/* Beside the leader: commits go on during the sync. What is written meanwhile starts a window of its own. */
static void sync_window(struct mf_commit_queue *queue)
{
	struct mf_error error = {0};
	int64_t synced = 0, began = mf_commit_queue_now(queue);
	queue->syncing_since_us = queue->unsynced_since_us;
	queue->unsynced_since_us = -1;
	queue->syncing = true;
	pthread_mutex_unlock(&queue->source.mutex);
	enum mf_status status = queue->store->ops->sync(queue->store, &synced, &error);
	pthread_mutex_lock(&queue->source.mutex);
	queue->syncing = false;
	(void)mf_commit_queue_synced(queue, began, status);
	if (status != MF_OK) {
		if (error.status == MF_OK)
			mf_error_set(&error, status, "the sync failed with %s", mf_status_name(status));
		mf_commit_queue_stop(queue, &error);
	} else if (synced > queue->source.synced_lsn) {
		queue->source.synced_lsn = synced;
		mf_cond_broadcast(&queue->source.synced);
		tell_synced(queue);
	}
	tell_progress(queue);
}

static void maintain(struct mf_commit_queue *queue)
{
	struct mf_error error = {0};
	queue->groups_unmaintained = 0;
	pthread_mutex_unlock(&queue->source.mutex);
	enum mf_status status = queue->store->ops->maintain ? queue->store->ops->maintain(queue->store, &error) : MF_OK;
	pthread_mutex_lock(&queue->source.mutex);
	if (status != queue->maintained && status != MF_OK && !queue->stopped.status)
		mf_logf(&queue->logger, MF_LOG_WARNING, "housekeeping of the store failed, and is tried again: %s", error.message);
	queue->maintained = status;
	if (status == MF_ERR_UNKNOWN_OUTCOME)
		mf_commit_queue_stop(queue, &error);
}

/* What the thread remembers between two looks. */
struct watch {
	unsigned naps;    /* in a row */
	uint64_t submits; /* seen so far */
};

/* Nobody submits any more. */
static void free_retired(struct mf_commit_queue *queue)
{
	struct mf_commit_request *retired = mf_commit_queue_take_retired(queue, SIZE_MAX);
	pthread_mutex_unlock(&queue->source.mutex);
	mf_commit_queue_free(retired);
	pthread_mutex_lock(&queue->source.mutex);
}

#define SAVE_EVERY_US 1000000

/* Microseconds until the counters are to be saved; negative: they have not changed. */
static int64_t save_in(const struct mf_commit_queue *queue)
{
	if (!queue->save || queue->submits == queue->saved_submits)
		return -1;
	if (queue->saved_at_us < 0)
		return 0;
	int64_t left = queue->saved_at_us + SAVE_EVERY_US - mf_commit_queue_now(queue);
	return left > 0 ? left : 0;
}

static void save(struct mf_commit_queue *queue)
{
	queue->saved_submits = queue->submits;
	queue->saved_at_us = mf_commit_queue_now(queue);
	pthread_mutex_unlock(&queue->source.mutex);
	queue->save(queue->save_user);
	pthread_mutex_lock(&queue->source.mutex);
}

/* The sooner of two times; negative: never. */
static int64_t sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Nothing to do: nap, or sleep. */
static void rest(struct mf_commit_queue *queue, struct watch *watch)
{
	if (queue->submits != watch->submits)
		watch->naps = 0;
	watch->submits = queue->submits;
	int64_t until_sync = sync_in(queue);
	int64_t us = watch->naps < MF_NAPS_BEFORE_SLEEP ? MF_NAP_US : -1;
	us = sooner(us, until_sync);
	us = sooner(us, save_in(queue));
	if (watch->naps < MF_NAPS_BEFORE_SLEEP)
		watch->naps++;
	queue->place = us >= 0 && us <= MF_NAP_US ? WORKER_NAPS : WORKER_SLEEPS;
	mf_cond_wait_us(&queue->worker_wake, &queue->source.mutex, us);
	queue->place = WORKER_AWAKE;
}

static bool maintain_due(const struct mf_commit_queue *queue, const struct watch *watch, bool busy)
{
	if (queue->groups_unmaintained >= GROUPS_BETWEEN_MAINTAINS)
		return true;
	return queue->groups_unmaintained > 0 && !busy && watch->naps == MF_NAPS_BEFORE_SLEEP; /* about to sleep */
}

void *mf_commit_worker(void *argument)
{
	struct mf_commit_queue *queue = argument;
	struct watch watch = {.naps = MF_NAPS_BEFORE_SLEEP};
	pthread_mutex_lock(&queue->source.mutex);
	for (;;) {
		bool busy = queue->head && !queue->leading;
		if (sync_in(queue) == 0)
			sync_window(queue);
		else if (maintain_due(queue, &watch, busy))
			maintain(queue);
		else if (save_in(queue) == 0 && !queue->ending)
			save(queue); /* a page written over in place, as the watermark is */
		else if (busy)
			mf_commit_queue_lead(queue);
		else if (queue->ending)
			break;
		else if (queue->retired && watch.naps == MF_NAPS_BEFORE_SLEEP)
			free_retired(queue);
		else
			rest(queue, &watch);
	}
	assert(!queue->leading); /* drained and refusing: nobody can lead any more */
	if (queue->save)
		save(queue); /* with all that was counted; by this thread as ever: the store may take one at a time */
	pthread_mutex_unlock(&queue->source.mutex);
	return NULL;
}
