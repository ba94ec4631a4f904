/* commit_group.c - what a leader does with one group: append, sync, done, settle; or fail.
 *
 * Why in one pass: everything that can fail (append, sync) comes first; from then on nothing can. */
#include "persist/commit_queue_parts.h"

#include <string.h>

#include "model/probes.h"

/* Requests in order. */
struct chain {
	struct mf_commit_request *head, **tail;
	size_t requests, events, bytes;
	bool sync;
};

static void chain_init(struct chain *chain)
{
	*chain = (struct chain){.tail = &chain->head};
}

static void chain_add(struct chain *chain, struct mf_commit_request *request)
{
	request->next = NULL;
	*chain->tail = request;
	chain->tail = &request->next;
	chain->requests++;
	chain->events += request->count;
	chain->bytes += request->bytes;
	chain->sync = chain->sync || request->sync;
}

static struct mf_commit_request *chain_pop(struct chain *chain)
{
	struct mf_commit_request *request = chain->head;
	chain->head = request->next;
	if (!chain->head)
		chain->tail = &chain->head;
	return request;
}

/* ---- taking ---- */

static struct mf_commit_request *pop(struct mf_commit_queue *queue)
{
	struct mf_commit_request *request = queue->head;
	queue->head = request->next;
	if (!queue->head)
		queue->tail = &queue->head;
	queue->queued_events -= request->count;
	queue->queued_bytes -= request->bytes;
	return request;
}

static void take_group(struct mf_commit_queue *queue, struct chain *group)
{
	size_t bytes = 0;
	do {
		bytes += queue->head->bytes;
		chain_add(group, pop(queue));
	} while (queue->head && group->events + queue->head->count <= MF_GROUP_EVENTS && bytes + queue->head->bytes <= MF_GROUP_BYTES);
}

/* ---- storing ---- */

static void stamp(struct mf_commit_queue *queue, const struct chain *group)
{
	int64_t now = queue->source.env->wall_us(queue->source.env->user);
	if (now > queue->last_ts_us)
		queue->last_ts_us = now;
	for (struct mf_commit_request *request = group->head; request; request = request->next)
		for (size_t i = 0; i < request->count; i++)
			request->events[i].ts_us = queue->last_ts_us;
}

static enum mf_status append_events(struct mf_commit_queue *queue, struct mf_event *events, size_t count, struct mf_error *error)
{
	int64_t last = 0;
	enum mf_status status = queue->store->ops->append_batch(queue->store, events, count, &last, error);
	if (status != MF_OK && error->status != status)
		mf_error_set(error, status, "the store refused %zu events with %s", count, mf_status_name(status));
	return status;
}

static enum mf_status append_whole(struct mf_commit_queue *queue, struct chain *group, struct mf_error *error)
{
	if (group->requests == 1)
		return append_events(queue, group->head->events, group->head->count, error);
	struct mf_event *at = queue->scratch;
	for (struct mf_commit_request *request = group->head; request; at += request->count, request = request->next)
		memcpy(at, request->events, request->count * sizeof(*at));
	enum mf_status status = append_events(queue, queue->scratch, group->events, error);
	if (status != MF_OK)
		return status;
	at = queue->scratch;
	for (struct mf_commit_request *request = group->head; request; at += request->count, request = request->next)
		memcpy(request->events, at, request->count * sizeof(*at));
	return MF_OK;
}

/* Is it the fault of one request, so that its neighbours may be tried without it? */
static bool concerns_one(enum mf_status status)
{
	return status == MF_ERR_DUPLICATE_KEY || status == MF_ERR_INVALID;
}

/* Moves what was stored from group to stored; what is left in group failed, its head first. */
static enum mf_status append_group(struct mf_commit_queue *queue, struct chain *group, struct chain *stored, struct mf_error *error)
{
	enum mf_status status = append_whole(queue, group, error);
	if (status == MF_OK) {
		while (group->head)
			chain_add(stored, chain_pop(group));
		return MF_OK;
	}
	if (!concerns_one(status) || group->requests == 1)
		return status;
	while (group->head) {
		status = append_events(queue, group->head->events, group->head->count, error);
		if (status != MF_OK)
			return status;
		chain_add(stored, chain_pop(group));
	}
	return MF_OK;
}

/* ---- what is known to be synced ---- */

void mf_commit_queue_stop(struct mf_commit_queue *queue, const struct mf_error *error)
{
	if (queue->stopped.status)
		return;
	queue->stopped = *error;
	queue->source.sync_error = *error;
	queue->source.sync_error.status = MF_ERR_UNKNOWN_OUTCOME;
	mf_logf(&queue->logger, MF_LOG_ERROR, "writes have stopped until the store is reopened: %s", error->message);
	mf_cond_broadcast(&queue->source.synced);
	mf_cond_broadcast(&queue->progress); /* who drains waits for no sync any more */
}

static void note_written(struct mf_commit_queue *queue, const struct chain *stored)
{
	const struct mf_commit_request *last = stored->head;
	while (last->next)
		last = last->next;
	int64_t now = mf_commit_queue_now(queue);
	queue->stored_at_us = now;
	pthread_mutex_lock(&queue->source.mutex);
	queue->written_lsn = last->events[last->count - 1].lsn;
	queue->groups_unmaintained++;
	if (!stored->sync && queue->unsynced_since_us < 0 && queue->written_lsn > queue->source.synced_lsn) {
		queue->unsynced_since_us = now;
		/* A sleeper would miss the window's end, and a nap is too long for a window of 0. */
		if (queue->place == WORKER_SLEEPS || queue->window_us < MF_NAP_US)
			mf_commit_queue_kick(queue);
	}
	pthread_mutex_unlock(&queue->source.mutex);
}

#define SLOW_TOLD_EVERY_US 60000000
#define VERY_SLOW_US 1000000

/* A window that is longer than asked for is a promise kept late: told once a minute, to be looked at when it is very late. */
static void tell_slow_sync(struct mf_commit_queue *queue, int64_t now, int64_t us)
{
	if (us <= queue->window_us || (queue->slow_told_at_us >= 0 && now - queue->slow_told_at_us < SLOW_TOLD_EVERY_US))
		return;
	queue->slow_told_at_us = now;
	mf_logf(&queue->logger, us > VERY_SLOW_US ? MF_LOG_WARNING : MF_LOG_INFO, "a sync took %lld ms, longer than the group window of %lld ms: a power loss may take as much more",
		(long long)(us / 1000), (long long)(queue->window_us / 1000));
}

int64_t mf_commit_queue_synced(struct mf_commit_queue *queue, int64_t began_us, enum mf_status status)
{
	int64_t now = mf_commit_queue_now(queue);
	MF_PROBE3(sync, queue->written_lsn, now - began_us, (int)status);
	if (status != MF_OK)
		return now;
	if (queue->recorder)
		mf_histogram_add(&queue->recorder->sync_us, now - began_us);
	tell_slow_sync(queue, now, now - began_us);
	return now;
}

/* Only the leader appends, so a sync by the leader covers everything written. */
static enum mf_status sync_stored(struct mf_commit_queue *queue, struct mf_error *error)
{
	int64_t synced = 0, began = queue->stored_at_us; /* just now */
	enum mf_status status = queue->store->ops->sync(queue->store, &synced, error);
	pthread_mutex_lock(&queue->source.mutex);
	queue->stored_at_us = mf_commit_queue_synced(queue, began, status);
	if (status == MF_OK && !queue->stopped.status) {
		if (synced > queue->source.synced_lsn)
			queue->source.synced_lsn = synced;
		queue->unsynced_since_us = -1;
		mf_cond_broadcast(&queue->source.synced);
	}
	pthread_mutex_unlock(&queue->source.mutex);
	if (status == MF_OK)
		return MF_OK;
	if (error->status == MF_OK)
		mf_error_set(error, status, "the sync failed with %s", mf_status_name(status));
	error->status = MF_ERR_UNKNOWN_OUTCOME;
	return MF_ERR_UNKNOWN_OUTCOME;
}

/* A sync in the background may have failed meanwhile: then nothing more is acknowledged. */
static enum mf_status check_running(struct mf_commit_queue *queue, struct mf_error *error)
{
	pthread_mutex_lock(&queue->source.mutex);
	enum mf_status status = queue->stopped.status;
	if (status)
		*error = queue->source.sync_error;
	pthread_mutex_unlock(&queue->source.mutex);
	return status ? MF_ERR_UNKNOWN_OUTCOME : MF_OK;
}

static enum mf_status make_durable(struct mf_commit_queue *queue, const struct chain *stored, struct mf_error *error)
{
	if (!queue->source.durable) {
		queue->stored_at_us = queue->recorder ? mf_commit_queue_now(queue) : 0;
		return MF_OK;
	}
	note_written(queue, stored);
	enum mf_status status = stored->sync ? sync_stored(queue, error) : MF_OK;
	return status ? status : check_running(queue, error);
}

/* ---- ending ---- */

/* Tickets that are to be settled, in order. */
struct settling {
	struct mf_ticket *head, **tail;
	enum mf_status status; /* of those added from now on */
	struct chain retired;  /* the requests that had them */
};

/* Ends one request: its tickets move to out, and so does what is left of it. */
static void retire(struct mf_commit_request *request, enum mf_status status, struct settling *out)
{
	struct mf_ticket *ticket = request->tickets;
	int64_t lsn = status ? 0 : request->events[request->count - 1].lsn;
	request->tickets = NULL;
	if (pthread_equal(request->submitter, pthread_self()))
		request->free(request);
	else
		chain_add(&out->retired, request);
	while (ticket) {
		struct mf_ticket *next = ticket->next;
		ticket->lsn = lsn;
		ticket->status = status;
		ticket->next = NULL;
		*out->tail = ticket;
		out->tail = &ticket->next;
		ticket = next;
	}
}

static void complete(struct mf_commit_queue *queue, struct chain *stored, struct settling *out)
{
	while (stored->head) {
		struct mf_commit_request *request = chain_pop(stored);
		atomic_store_explicit(&queue->committed, request->events[request->count - 1].lsn, memory_order_release);
		request->done(request, NULL);
		retire(request, MF_OK, out);
	}
}

/* The tickets of what was stored, before any that failed are added. */
static void measure(struct mf_commit_queue *queue, const struct settling *settling, size_t events)
{
	if (!queue->recorder || events == 0)
		return;
	for (const struct mf_ticket *ticket = settling->head; ticket; ticket = ticket->next)
		mf_histogram_add(&queue->recorder->commit_us, queue->stored_at_us - ticket->submitted_us);
	mf_histogram_add(&queue->recorder->group_events, (int64_t)events);
}

/* generation grows, and everything queued behind fails too, before the first of them is told. */
static void take_dependants(struct mf_commit_queue *queue, struct chain *failed, const struct mf_error *error)
{
	pthread_mutex_lock(&queue->source.mutex);
	atomic_fetch_add_explicit(&queue->generation, 1, memory_order_release);
	if (error->status == MF_ERR_UNKNOWN_OUTCOME)
		mf_commit_queue_stop(queue, error);
	while (queue->head)
		chain_add(failed, pop(queue));
	pthread_mutex_unlock(&queue->source.mutex);
}

/* The first of failed is the culprit when the error concerns one request. */
static void fail(struct chain *failed, const struct mf_error *error, const struct mf_error *behind, struct settling *out)
{
	const struct mf_error *told = error;
	while (failed->head) {
		struct mf_commit_request *request = chain_pop(failed);
		request->done(request, told);
		retire(request, told->status, out);
		told = behind;
	}
}

static void settle_all(const struct settling *settling, struct mf_ticket_failure *first, struct mf_ticket_failure *rest)
{
	struct mf_ticket_failure *failure = first;
	enum mf_status first_status = MF_OK;
	for (struct mf_ticket *ticket = settling->head; ticket; ticket = ticket->next) {
		if (ticket->status && !first_status)
			first_status = ticket->status;
		if (ticket->status != first_status)
			failure = rest;
		mf_ticket_settle(ticket, ticket->status, ticket->status ? failure : NULL);
	}
}

static void wake_all(const struct settling *settling)
{
	for (struct mf_ticket *ticket = settling->head, *next; ticket; ticket = next) {
		next = ticket->next;
		mf_ticket_wake(ticket);
		mf_ticket_unref(ticket);
	}
}

struct mf_commit_request *mf_commit_queue_take_retired(struct mf_commit_queue *queue, size_t most)
{
	struct mf_commit_request *first = queue->retired, **end = &queue->retired;
	for (size_t i = 0; *end && i < most; i++) {
		queue->retired_events -= (*end)->count;
		queue->retired_bytes -= (*end)->bytes;
		end = &(*end)->next;
	}
	if (end == &queue->retired)
		return NULL;
	queue->retired = *end;
	*end = NULL;
	return first;
}

void mf_commit_queue_free(struct mf_commit_request *requests)
{
	while (requests) {
		struct mf_commit_request *next = requests->next;
		requests->free(requests);
		requests = next;
	}
}

/* Mutex held. Returns what is to be freed by the caller: there is too much of it, or nobody else awake to do it. */
static struct mf_commit_request *keep_retired(struct mf_commit_queue *queue, struct chain *retired)
{
	if (!retired->head)
		return NULL;
	*retired->tail = queue->retired;
	queue->retired = retired->head;
	queue->retired_events += retired->events;
	queue->retired_bytes += retired->bytes;
	bool many = queue->retired_events > MF_RETIRED_EVENTS || queue->retired_bytes > MF_RETIRED_BYTES || queue->place == WORKER_SLEEPS;
	return many ? mf_commit_queue_take_retired(queue, SIZE_MAX) : NULL;
}

/* Mutex held: see that what is left gets a leader. The background thread goes on by itself. */
static void hand_over(struct mf_commit_queue *queue)
{
	queue->leading = false;
	if (queue->drainers || queue->pushers)
		mf_cond_broadcast(&queue->progress);
	if (!queue->head || pthread_equal(queue->leader, queue->worker))
		return;
	if (queue->head->tickets->waiters)
		mf_ticket_wake(queue->head->tickets);
	else
		mf_commit_queue_kick(queue);
}

/* No mutex. Group is taken; *error says what failed, if anything did. */
static void process(struct mf_commit_queue *queue, struct chain *group, struct chain *stored, struct mf_error *error)
{
	stamp(queue, group);
	enum mf_status status = check_running(queue, error);
	if (status == MF_OK)
		status = append_group(queue, group, stored, error);
	if (status == MF_OK)
		error->status = MF_OK; /* a first try as a whole may have left its own */
	if (!stored->head)
		return;
	struct mf_error sync_error;
	mf_error_clear(&sync_error);
	if (make_durable(queue, stored, &sync_error) == MF_OK)
		return;
	*error = sync_error;
	while (group->head)
		chain_add(stored, chain_pop(group));
	*group = *stored;
	group->tail = stored->tail;
	chain_init(stored);
}

void mf_commit_queue_lead(struct mf_commit_queue *queue)
{
	struct chain group, stored;
	struct mf_error error, behind;
	struct settling settling = {.tail = &settling.head};
	struct mf_ticket_failure *failure = NULL, *failure_behind = NULL;
	chain_init(&group);
	chain_init(&stored);
	chain_init(&settling.retired);
	mf_error_clear(&error);
	queue->leading = true;
	queue->leader = pthread_self();
	take_group(queue, &group);
	pthread_mutex_unlock(&queue->source.mutex);

	process(queue, &group, &stored, &error);
	size_t events = stored.events;
	MF_PROBE4(group, events, stored.bytes, (int)stored.sync, (int)error.status);
	complete(queue, &stored, &settling);
	measure(queue, &settling, events);
	if (group.head) {
		take_dependants(queue, &group, &error);
		behind = error;
		if (concerns_one(error.status))
			mf_error_set(&behind, MF_ERR_BUSY, "not stored, because an earlier transaction was refused (%.300s); start again from the committed state", error.message);
		fail(&group, &error, &behind, &settling);
		failure = mf_ticket_failure_new(&error);
		failure_behind = mf_ticket_failure_new(&behind);
	}

	pthread_mutex_lock(&queue->source.mutex);
	settle_all(&settling, failure, failure_behind);
	struct mf_commit_request *surplus = keep_retired(queue, &settling.retired);
	if (surplus) { /* still leading: who drains must not find them alive */
		pthread_mutex_unlock(&queue->source.mutex);
		mf_commit_queue_free(surplus);
		pthread_mutex_lock(&queue->source.mutex);
	}
	hand_over(queue);
	pthread_mutex_unlock(&queue->source.mutex);
	wake_all(&settling);
	mf_ticket_failure_unref(failure);
	mf_ticket_failure_unref(failure_behind);
	pthread_mutex_lock(&queue->source.mutex);
}
