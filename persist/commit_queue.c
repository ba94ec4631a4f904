/* commit_queue.c - the queue's door: submit, drain, close, and what a waiting ticket asks of it. */
#include "persist/commit_queue_parts.h"

#include <assert.h>

#include "model/mem.h"
#include "model/thread.h"
#include <moduforge/value.h>

#define BACKLOG_EVENTS 256 /* so many waiting events end a nap early */
#define BACKLOG_BYTES ((size_t)1 << 20)
#define FREED_BY_SUBMIT 4 /* retired requests: more than come, so that they cannot pile up */

static struct mf_commit_queue *queue_of(struct mf_ticket_source *source)
{
	return (struct mf_commit_queue *)source;
}

int64_t mf_commit_queue_now(const struct mf_commit_queue *queue)
{
	return queue->source.env->monotonic_us(queue->source.env->user);
}

/* ---- what tickets ask ---- */

static bool help(struct mf_ticket_source *source)
{
	struct mf_commit_queue *queue = queue_of(source);
	if (queue->leading)
		return false;
	assert(queue->head); /* who asks has a ticket that is pending */
	mf_commit_queue_lead(queue);
	return true;
}

static void leave(struct mf_ticket_source *source)
{
	struct mf_commit_queue *queue = queue_of(source);
	if (queue->head && !queue->leading)
		mf_commit_queue_kick(queue);
}

static bool in_callback(struct mf_ticket_source *source)
{
	const struct mf_commit_queue *queue = queue_of(source);
	return queue->leading && pthread_equal(queue->leader, pthread_self());
}

/* ---- life ---- */

static void free_queue(struct mf_ticket_source *source)
{
	struct mf_commit_queue *queue = queue_of(source);
	mf_cond_destroy(&queue->worker_wake);
	mf_cond_destroy(&queue->progress);
	mf_ticket_source_deinit(source);
	mf_free(queue->scratch);
	mf_free(queue);
}

static enum mf_status init_queue(struct mf_commit_queue *queue, const struct mf_commit_queue_options *options)
{
	queue->scratch = mf_calloc(MF_GROUP_EVENTS, sizeof(*queue->scratch));
	if (!queue->scratch)
		return MF_ERR_NO_MEMORY;
	mf_cond_init(&queue->progress);
	mf_cond_init(&queue->worker_wake);
	mf_ticket_source_init(&queue->source, options->env, options->store->ops->durable);
	queue->source.help = help;
	queue->source.leave = leave;
	queue->source.in_callback = in_callback;
	queue->source.free = free_queue;
	queue->store = options->store;
	queue->recorder = options->recorder;
	queue->logger = options->logger;
	queue->save = options->save;
	queue->save_user = options->save_user;
	queue->saved_at_us = queue->slow_told_at_us = -1;
	queue->window_us = (int64_t)options->group_window_ms * 1000;
	queue->tail = &queue->head;
	queue->unsynced_since_us = -1;
	atomic_init(&queue->generation, 1);
	atomic_init(&queue->committed, options->committed);
	queue->source.synced_lsn = options->synced;
	return MF_OK;
}

enum mf_status mf_commit_queue_new(const struct mf_commit_queue_options *options, struct mf_commit_queue **out, struct mf_error *error)
{
	struct mf_commit_queue *queue = mf_calloc(1, sizeof(*queue));
	if (!queue)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the commit queue");
	if (init_queue(queue, options)) {
		mf_free(queue);
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the commit queue");
	}
	int rc = mf_thread_start(&queue->worker, "commit", mf_commit_worker, queue);
	if (rc) {
		free_queue(&queue->source);
		return mf_error_set(error, MF_ERR_NO_MEMORY, "the store's background thread could not be started (error %d); allow the process more threads", rc);
	}
	*out = queue;
	return MF_OK;
}

void mf_commit_queue_refuse(struct mf_commit_queue *queue, bool refuse)
{
	pthread_mutex_lock(&queue->source.mutex);
	queue->refusing = refuse;
	pthread_mutex_unlock(&queue->source.mutex);
}

void mf_commit_queue_close(struct mf_commit_queue *queue)
{
	if (!queue)
		return;
	pthread_mutex_lock(&queue->source.mutex);
	queue->ending = true;
	queue->refusing = true;
	mf_commit_queue_kick(queue);
	pthread_mutex_unlock(&queue->source.mutex);
	mf_thread_join(queue->worker);
	mf_commit_queue_free(mf_commit_queue_take_retired(queue, SIZE_MAX));
	mf_ticket_source_unref(&queue->source);
}

struct mf_ticket_source *mf_commit_queue_source(struct mf_commit_queue *queue)
{
	return &queue->source;
}

/* ---- submit ---- */

int64_t mf_commit_queue_committed(const struct mf_commit_queue *queue)
{
	return atomic_load_explicit(&queue->committed, memory_order_acquire);
}

int64_t mf_commit_queue_synced_lsn(struct mf_commit_queue *queue)
{
	pthread_mutex_lock(&queue->source.mutex);
	int64_t lsn = queue->source.synced_lsn;
	pthread_mutex_unlock(&queue->source.mutex);
	return lsn;
}

void mf_commit_queue_on_synced(struct mf_commit_queue *queue, void (*notify)(void *user), void *user)
{
	pthread_mutex_lock(&queue->source.mutex);
	queue->synced_notify = notify;
	queue->synced_user = user;
	pthread_mutex_unlock(&queue->source.mutex);
}

uint64_t mf_commit_queue_generation(const struct mf_commit_queue *queue)
{
	return atomic_load_explicit(&queue->generation, memory_order_acquire);
}

static enum mf_status may_submit(struct mf_commit_queue *queue, const struct mf_commit_request *request, struct mf_error *error)
{
	if (in_callback(&queue->source))
		return mf_error_set(error, MF_ERR_STATE, "a handler may not commit; do it after the delivery has ended");
	if (queue->refusing)
		return mf_error_set(error, MF_ERR_STATE, "the store is being closed; open it again to write");
	if (queue->stopped.status)
		return mf_error_set(error, MF_ERR_IO, "writes stopped after: %.300s; reopen the store", queue->stopped.message);
	if (request->generation != mf_commit_queue_generation(queue))
		return mf_error_set(error, MF_ERR_BUSY, "an earlier transaction was not stored; start again from the committed state");
	return MF_OK;
}

static void enqueue(struct mf_commit_queue *queue, struct mf_commit_request *request, int64_t now)
{
	for (struct mf_ticket *ticket = request->tickets; ticket; ticket = ticket->next) {
		ticket->queued = true;
		ticket->submitted_us = now;
	}
	request->next = NULL;
	request->submitter = pthread_self();
	*queue->tail = request;
	queue->tail = &request->next;
	queue->queued_events += request->count;
	queue->queued_bytes += request->bytes;
	queue->submits++;
	if (queue->recorder && queue->queued_events > mf_counter_read(&queue->recorder->queue_events_max))
		atomic_store_explicit(&queue->recorder->queue_events_max, queue->queued_events, memory_order_relaxed);
	if (queue->leading)
		return; /* who leads sees it, and passes it on */
	bool backlog = queue->queued_events >= BACKLOG_EVENTS || queue->queued_bytes >= BACKLOG_BYTES;
	if (queue->place == WORKER_SLEEPS || backlog)
		mf_commit_queue_kick(queue);
}

enum mf_status mf_commit_queue_submit(struct mf_commit_queue *queue, struct mf_commit_request *request, struct mf_error *error)
{
	int64_t now = queue->recorder ? mf_commit_queue_now(queue) : 0;
	pthread_mutex_lock(&queue->source.mutex);
	enum mf_status status = may_submit(queue, request, error);
	if (status == MF_OK)
		enqueue(queue, request, now);
	struct mf_commit_request *retired = mf_commit_queue_take_retired(queue, FREED_BY_SUBMIT);
	pthread_mutex_unlock(&queue->source.mutex);
	mf_commit_queue_free(retired);
	return status;
}

enum mf_status mf_commit_queue_make_room(struct mf_commit_queue *queue, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	pthread_mutex_lock(&queue->source.mutex);
	queue->pushers++;
	if (in_callback(&queue->source))
		status = mf_error_set(error, MF_ERR_STATE, "a handler may not commit; do it after the delivery has ended");
	while (status == MF_OK && (queue->queued_events > MF_QUEUE_EVENTS || queue->queued_bytes > MF_QUEUE_BYTES)) {
		mf_commit_queue_kick(queue);
		mf_cond_wait_us(&queue->progress, &queue->source.mutex, -1);
	}
	queue->pushers--;
	pthread_mutex_unlock(&queue->source.mutex);
	return status;
}

void mf_commit_queue_look(struct mf_commit_queue *queue, struct mf_metrics *out)
{
	int64_t now = mf_commit_queue_now(queue);
	pthread_mutex_lock(&queue->source.mutex);
	int64_t since = queue->syncing ? queue->syncing_since_us : queue->unsynced_since_us;
	out->queue_events = queue->queued_events;
	out->queue_bytes = queue->queued_bytes;
	if (queue->source.durable && queue->written_lsn > queue->source.synced_lsn)
		out->unsynced_lsns = (uint64_t)(queue->written_lsn - queue->source.synced_lsn);
	if (since >= 0 && now > since)
		out->unsynced_us = (uint64_t)(now - since);
	pthread_mutex_unlock(&queue->source.mutex);
}

/* ---- drain ---- */

static bool drained(const struct mf_commit_queue *queue)
{
	if (queue->head || queue->leading || queue->syncing)
		return false;
	return !queue->source.durable || queue->stopped.status || queue->unsynced_since_us < 0;
}

enum mf_status mf_commit_queue_drain(struct mf_commit_queue *queue, int64_t timeout_ms, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	int64_t deadline = timeout_ms < 0 || timeout_ms > INT64_MAX / 2000 ? INT64_MAX : mf_commit_queue_now(queue) + timeout_ms * 1000;
	pthread_mutex_lock(&queue->source.mutex);
	if (in_callback(&queue->source)) {
		pthread_mutex_unlock(&queue->source.mutex);
		return mf_error_set(error, MF_ERR_STATE, "a handler may not wait for the store to drain");
	}
	queue->drainers++;
	while (!drained(queue)) {
		int64_t left = deadline == INT64_MAX ? -1 : deadline - mf_commit_queue_now(queue);
		if (deadline != INT64_MAX && left <= 0) {
			status = mf_error_set(error, MF_ERR_TIMEOUT, "%zu events are still to be stored, or a sync is under way, after %lld ms", queue->queued_events, (long long)timeout_ms);
			break;
		}
		mf_commit_queue_kick(queue);
		mf_cond_wait_us(&queue->progress, &queue->source.mutex, left);
	}
	queue->drainers--;
	if (status == MF_OK && queue->source.durable && queue->stopped.status && queue->written_lsn > queue->source.synced_lsn) {
		status = queue->source.sync_error.status;
		if (error)
			*error = queue->source.sync_error;
	}
	pthread_mutex_unlock(&queue->source.mutex);
	return status;
}
