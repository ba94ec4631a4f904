/* subscriber_commit.c - the committer's way in and out: reserve, release, commit, and what happens when a batch has ended.
 *
 * reserve   key, id, content hash, encoding
 * commit    reservations -> one request of the queue
 * done      (from the leader, in LSN order) the proposer is told; counters; a due snapshot is handed on
 *
 * Invariants
 * 1. What a proposer is told first, nobody undoes: done comes after the store took the event, to the level asked for.
 * 2. A key leaves the pending ones after the store has it or after the proposal has failed, and before the ticket is settled. */
#include "persist/subscriber_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "model/mem.h"
#include "model/probes.h"
#include "model/transaction.h"
#include "model/utf8.h"
#include <moduforge/value.h>

#define MADE_KEY_MAX 64

/* ---- a batch under way ---- */

struct item {
	struct mf_reservation *reservation;
	struct mf_state *old_state, *new_state; /* references; old_state only when a replay is to be measured */
	mf_commit_done *done;
	void (*release)(void *done_user);
	void *done_user;
};

struct batch {
	struct mf_commit_request request; /* first */
	struct mf_snapshot_subscriber *subscriber;
	void **memories; /* of events that were encoded at commit, one an item; NULL: the reservation has it */
	struct item items[];
};

static void measure_replay(struct mf_snapshot_subscriber *subscriber, const struct mf_event *event, const struct mf_state *old_state)
{
	struct mf_transaction *transaction;
	struct mf_state *state;
	if (!mf_snapshot_policy_wants_cost(subscriber->policy, event->doc_id))
		return;
	int64_t begun = subscriber->env->monotonic_us(subscriber->env->user);
	if (mf_event_decode(event, subscriber->registry, &transaction, NULL) != MF_OK)
		return;
	enum mf_status status = mf_state_apply(old_state, transaction, &state, NULL);
	mf_transaction_free(transaction);
	if (status != MF_OK)
		return;
	mf_state_unref(state);
	mf_snapshot_policy_cost(subscriber->policy, event->doc_id, subscriber->env->monotonic_us(subscriber->env->user) - begun);
}

/* Is a snapshot due? Asked before done, in which the document may be let go, and its counters with it. */
static bool count_item(struct mf_snapshot_subscriber *subscriber, const struct mf_event *event, const struct item *item)
{
	if (item->old_state)
		measure_replay(subscriber, event, item->old_state);
	return mf_snapshot_policy_committed(subscriber->policy, event->doc_id, event->lsn, event->payload_len);
}

static void end_item(struct batch *batch, size_t index, const struct mf_error *error)
{
	struct item *item = &batch->items[index];
	const struct mf_event *event = &batch->request.events[index];
	struct mf_commit_result result = {.status = error ? error->status : MF_OK, .error = error};
	if (!error) {
		result.lsn = event->lsn;
		result.epoch = event->epoch;
		result.ts_us = event->ts_us;
		result.event = event;
	}
	if (!error && mf_state_lsn(item->new_state) < 0) /* else it is no state that mf_state_apply made */
		mf_state_set_lsn(item->new_state, event->lsn);
	if (error)
		mf_recorder_error(batch->subscriber->recorder, error->status);
	else
		mf_recorder_event(batch->subscriber->recorder, event);
	MF_PROBE4(commit, event->doc_id, result.lsn, event->payload_len, (int)result.status);
	bool due = !error && count_item(batch->subscriber, event, item);
	item->done(item->done_user, &result);
	if (due)
		mf_subscriber_snapshot_due(batch->subscriber, event->doc_id, item->new_state);
	mf_pending_keys_remove(batch->subscriber->keys, item->reservation);
}

static void end_batch(struct mf_commit_request *request, const struct mf_error *error)
{
	struct batch *batch = (struct batch *)request;
	for (size_t i = 0; i < request->count; i++)
		end_item(batch, i, error);
}

static void free_batch(struct mf_commit_request *request)
{
	struct batch *batch = (struct batch *)request;
	for (size_t i = 0; i < request->count; i++) {
		if (batch->items[i].release)
			batch->items[i].release(batch->items[i].done_user);
		mf_state_unref(batch->items[i].old_state);
		mf_state_unref(batch->items[i].new_state);
		mf_reservation_free(batch->items[i].reservation);
		mf_free(batch->memories[i]);
	}
	mf_free(batch);
}

/* ---- reserve ---- */

static enum mf_status give_id(struct mf_snapshot_subscriber *subscriber, struct mf_transaction *transaction, struct mf_error *error)
{
	char key[MADE_KEY_MAX];
	bool has_key = mf_transaction_key(transaction);
	if (has_key && mf_transaction_id(transaction))
		return MF_OK;
	uint64_t counter = atomic_fetch_add_explicit(&subscriber->counter, 1, memory_order_relaxed) + 1;
	if (counter >> MF_ID_COUNTER_BITS)
		return mf_error_set(error, MF_ERR_STATE, "this opening of the store has given out all its transaction ids; close it and open it again");
	if (!mf_transaction_id(transaction))
		mf_transaction_set_id(transaction, (uint64_t)subscriber->opening << MF_ID_COUNTER_BITS | counter);
	if (has_key)
		return MF_OK;
	snprintf(key, sizeof(key), "mf:%" PRIx64 "-%016" PRIx64 "-%" PRIx64, (uint64_t)subscriber->epoch, subscriber->random, counter);
	enum mf_status status = mf_transaction_assign_key(transaction, key);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "no memory for a transaction's key");
}

static enum mf_status make_reservation(struct mf_snapshot_subscriber *subscriber, const char *doc_id, const struct mf_transaction *transaction, struct mf_reservation **out,
				       struct mf_error *error)
{
	struct mf_reservation *reservation;
	enum mf_status status = mf_reservation_new(mf_transaction_key(transaction), mf_commit_queue_source(subscriber->queue), &reservation);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory to reserve a key");
	if (mf_transaction_action(transaction) != MF_ACTION_APPLY) {
		/* Its steps are made later; its content is document and operation. */
		mf_record_hash(doc_id, mf_transaction_action(transaction), NULL, 0, reservation->content_hash);
		*out = reservation;
		return MF_OK;
	}
	status = mf_event_encode(doc_id, transaction, &subscriber->options, &reservation->event, &reservation->memory, error);
	if (status != MF_OK) {
		mf_reservation_free(reservation);
		return status;
	}
	reservation->encoded = true;
	memcpy(reservation->content_hash, reservation->event.payload + MF_RECORD_HASH_AT, MF_RECORD_HASH_LEN);
	*out = reservation;
	return MF_OK;
}

static void give_up(struct mf_snapshot_subscriber *subscriber, struct mf_reservation *reservation)
{
	mf_pending_keys_remove(subscriber->keys, reservation);
	mf_ticket_withdraw(reservation->ticket, MF_ERR_BUSY, "the transaction that held this key was withdrawn before it was stored; try again");
	mf_reservation_free(reservation);
}

/* The reservation is listed: is the key stored already? */
static enum mf_status look_up(struct mf_snapshot_subscriber *subscriber, struct mf_reservation *reservation, struct mf_key_answer *out, struct mf_error *error)
{
	struct mf_key_info info;
	struct mf_error reason = {0};
	enum mf_status status = subscriber->store->ops->find_key(subscriber->store, reservation->key, &info, &reason);
	if (status == MF_ERR_NOT_FOUND) {
		*out = (struct mf_key_answer){.found = MF_KEY_NEW, .reservation = reservation};
		return MF_OK;
	}
	/* Nobody holds the key, and its event has not been committed: its sync failed. It may still be lost, and so is no success. */
	if (status == MF_OK && info.lsn > mf_commit_queue_committed(subscriber->queue))
		status = mf_error_set(&reason, MF_ERR_UNKNOWN_OUTCOME, "the store has LSN %lld with this key, but a sync failed: whether it stays is not known; reopen the store and send it again", (long long)info.lsn);
	if (status == MF_OK)
		*out = (struct mf_key_answer){
			.found = MF_KEY_STORED,
			.lsn = info.lsn,
			.same = memcmp(info.content_hash, reservation->content_hash, MF_RECORD_HASH_LEN) == 0,
		};
	if (status == MF_OK)
		mf_recorder_duplicate(subscriber->recorder);
	else if (error)
		*error = reason;
	give_up(subscriber, reservation);
	return status;
}

static enum mf_status check_doc_id(const char *doc_id, struct mf_error *error)
{
	size_t len = strlen(doc_id);
	if (len == 0 || len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "the document id is %zu bytes long, it must be 1 to %d", len, MF_ID_MAX);
	return mf_utf8_valid(doc_id, len) ? MF_OK : mf_error_set(error, MF_ERR_INVALID, "the document id is not valid UTF-8");
}

static enum mf_status reserve(struct mf_snapshot_subscriber *subscriber, const char *doc_id, struct mf_transaction *transaction, struct mf_key_answer *out, struct mf_error *error)
{
	struct mf_reservation *reservation = NULL;
	struct mf_ticket *ticket;
	bool given = mf_transaction_key(transaction), same;
	enum mf_status status = check_doc_id(doc_id, error);
	if (status == MF_OK)
		status = mf_commit_queue_make_room(subscriber->queue, error);
	if (status == MF_OK)
		status = give_id(subscriber, transaction, error);
	if (status == MF_OK)
		status = make_reservation(subscriber, doc_id, transaction, &reservation, error);
	if (status != MF_OK)
		return status;
	if (!given) {
		*out = (struct mf_key_answer){.found = MF_KEY_NEW, .reservation = reservation};
		return MF_OK;
	}
	if (mf_pending_keys_add(subscriber->keys, reservation, &ticket, &same))
		return look_up(subscriber, reservation, out, error);
	mf_reservation_free(reservation);
	*out = (struct mf_key_answer){.found = MF_KEY_PENDING, .ticket = ticket, .same = same};
	return MF_OK;
}

enum mf_status mf_subscriber_reserve(void *user, const char *doc_id, struct mf_transaction *transaction, struct mf_key_answer *out, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	enum mf_status status = reserve(subscriber, doc_id, transaction, out, error);
	mf_recorder_error(subscriber->recorder, status);
	return status;
}

void mf_subscriber_release(void *user, struct mf_reservation *reservation)
{
	if (reservation)
		give_up(user, reservation);
}

/* ---- commit ---- */

static enum mf_status needs_sync(const struct mf_snapshot_subscriber *subscriber, enum mf_commit_kind mode, bool *out, struct mf_error *error)
{
	if ((unsigned)mode > MF_COMMIT_SYNC_DURABLE)
		return mf_error_set(error, MF_ERR_INVALID, "%d is not a commit mode", (int)mode);
	if (mode != MF_COMMIT_MEMORY_ONLY && !subscriber->store->ops->durable)
		return mf_error_set(error, MF_ERR_INVALID, "this store is kept in memory only: a transaction in it cannot be made durable");
	*out = subscriber->options.commit_mode.kind == MF_COMMIT_SYNC_DURABLE || mode == MF_COMMIT_SYNC_DURABLE;
	return MF_OK;
}

static struct batch *new_batch(struct mf_snapshot_subscriber *subscriber, size_t count)
{
	size_t each = sizeof(struct item) + sizeof(struct mf_event) + sizeof(void *); /* of proposals that lie in memory: the product fits */
	struct batch *batch = mf_calloc(1, sizeof(*batch) + count * each);
	if (!batch)
		return NULL;
	batch->subscriber = subscriber;
	batch->request.events = (struct mf_event *)(batch->items + count);
	batch->memories = (void **)(batch->request.events + count);
	batch->request.done = end_batch;
	batch->request.free = free_batch;
	return batch;
}

static enum mf_status add_item(struct batch *batch, const struct mf_proposal *proposal, struct mf_error *error)
{
	size_t at = batch->request.count;
	struct mf_reservation *reservation = proposal->reservation;
	struct mf_event *event = &batch->request.events[at];
	if (reservation->encoded) {
		*event = reservation->event;
	} else {
		enum mf_status status = mf_event_encode(proposal->doc_id, proposal->transaction, &batch->subscriber->options, event, &batch->memories[at], error);
		if (status != MF_OK)
			return status;
	}
	batch->request.bytes += event->payload_len;
	batch->items[at] = (struct item){
		.reservation = reservation,
		.new_state = mf_state_ref(proposal->new_state),
		.old_state = batch->subscriber->options.recovery_target_ms ? mf_state_ref(proposal->old_state) : NULL,
		.done = proposal->done,
		.release = proposal->release,
		.done_user = proposal->done_user,
	};
	batch->request.count = at + 1;
	return MF_OK;
}

/* The first proposal's ticket is the batch's; the others are settled with it. */
static void add_tickets(struct batch *batch)
{
	struct mf_ticket **tail = &batch->request.tickets;
	for (size_t i = 0; i < batch->request.count; i++) {
		*tail = mf_ticket_ref(batch->items[i].reservation->ticket);
		tail = &(*tail)->next;
	}
	*tail = NULL;
}

static void drop_tickets(struct batch *batch)
{
	for (struct mf_ticket *ticket = batch->request.tickets, *next; ticket; ticket = next) {
		next = ticket->next;
		ticket->next = NULL;
		mf_ticket_unref(ticket);
	}
	batch->request.tickets = NULL;
}

static enum mf_status fill_batch(struct batch *batch, const struct mf_proposal *proposals, size_t count, struct mf_error *error)
{
	for (size_t i = 0; i < count; i++) {
		if (proposals[i].generation != proposals[0].generation)
			return mf_error_set(error, MF_ERR_BUSY, "an earlier transaction was not stored; start again from the committed state");
		enum mf_status status = add_item(batch, &proposals[i], error);
		if (status != MF_OK)
			return status;
	}
	batch->request.generation = proposals[0].generation;
	return MF_OK;
}

/* A batch that was not accepted: its reservations go back to the caller's array. */
static void drop_batch(struct batch *batch)
{
	drop_tickets(batch);
	for (size_t i = 0; i < batch->request.count; i++) {
		batch->items[i].reservation = NULL;
		batch->items[i].release = NULL;
	}
	free_batch(&batch->request);
}

static enum mf_status submit(struct mf_snapshot_subscriber *subscriber, const struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket,
			     struct mf_error *error)
{
	bool sync = false;
	enum mf_status status = needs_sync(subscriber, mode, &sync, error);
	if (status != MF_OK)
		return status;
	struct batch *batch = new_batch(subscriber, count);
	if (!batch)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to commit %zu transactions", count);
	status = fill_batch(batch, proposals, count, error);
	if (status == MF_OK) {
		batch->request.sync = sync;
		add_tickets(batch);
		struct mf_ticket *ticket = mf_ticket_ref(batch->request.tickets); /* before the batch can end and go */
		status = mf_commit_queue_submit(subscriber->queue, &batch->request, error);
		if (status == MF_OK) {
			*out_ticket = ticket;
			return MF_OK;
		}
		mf_ticket_unref(ticket);
	}
	drop_batch(batch);
	return status;
}

enum mf_status mf_subscriber_commit(void *user, struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	if (count == 0)
		return mf_error_set(error, MF_ERR_INVALID, "a batch needs at least one transaction");
	enum mf_status status = submit(subscriber, proposals, count, mode, out_ticket, error);
	for (size_t i = 0; i < count; i++) {
		mf_recorder_error(subscriber->recorder, status);
		if (status != MF_OK)
			mf_subscriber_release(subscriber, proposals[i].reservation);
		proposals[i].reservation = NULL;
	}
	return status;
}
