/* commit.c - the walk of one transaction, or of one batch over several documents, and its doors.
 *
 * Invariants
 * 1. Nothing is held while a ticket is waited for: the locks are given back and the walk starts again.
 *    It has passed the gates already, so newcomers cannot overtake it for ever.
 * 2. Every way out of an attempt gives back what it reserved: the bus took it, or it was released.
 * 3. A proposal that the committer accepted belongs to done; one that it refused was never seen.
 * 4. The walk locks are taken in the order of the documents' numbers, so that two batches cannot wait for each other. */
#include <stdint.h>
#include <stdlib.h>

#include "host/walk.h"
#include "model/mem.h"
#include "model/transaction.h"

/* ---- the documents of the walk ---- */
static int compare_places(const void *a, const void *b)
{
	const struct mf_walk_place *left = a, *right = b;
	uint64_t one = left->document->number, other = right->document->number;
	return (one > other) - (one < other);
}

static size_t place_of(const struct mf_walk *walk, const struct mf_document *document)
{
	size_t low = 0, high = walk->place_count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		*(document->number < walk->places[middle].document->number ? &high : &low) = middle;
	}
	return low;
}

static void drop_twins(struct mf_walk *walk)
{
	size_t kept = 0;
	for (size_t i = 0; i < walk->place_count; i++) {
		if (kept > 0 && walk->places[kept - 1].document == walk->places[i].document)
			mf_documents_put(&walk->runtime->documents, walk->places[i].document);
		else
			walk->places[kept++] = walk->places[i];
	}
	walk->place_count = kept;
}

static enum mf_status get_documents(struct mf_walk *walk, struct mf_error *error)
{
	for (size_t i = 0; i < walk->count; i++) {
		walk->item = i;
		enum mf_status status = mf_runtime_get_document(walk->runtime, walk->items[i].doc_id, &walk->places[i].document, error);
		if (status != MF_OK)
			return status;
		walk->items[i].document = walk->places[i].document;
		walk->items[i].doc_id = walk->places[i].document->doc_id;
		walk->place_count++;
	}
	if (walk->count > 1)
		qsort(walk->places, walk->place_count, sizeof(*walk->places), compare_places);
	drop_twins(walk);
	for (size_t i = 0; i < walk->count; i++)
		walk->items[i].place = place_of(walk, walk->items[i].document);
	return MF_OK;
}

static enum mf_status begin(struct mf_walk *walk, struct mf_error *error)
{
	walk->places = mf_calloc(walk->count, sizeof(*walk->places));
	walk->proposals = mf_calloc(walk->count, sizeof(*walk->proposals));
	if (!walk->places || !walk->proposals)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to commit %zu transaction(s)", walk->count);
	enum mf_status status = get_documents(walk, error);
	if (status != MF_OK)
		return status;
	for (size_t i = 0; i < walk->count; i++)
		mf_transaction_seal(walk->items[i].request);
	for (size_t i = 0; i < walk->place_count; i++)
		mf_document_pass_gate(walk->places[i].document);
	return MF_OK;
}

static void end(struct mf_walk *walk)
{
	for (size_t i = 0; i < walk->place_count; i++) {
		if (walk->places[i].wants_quiet)
			mf_document_unwant_quiet(walk->places[i].document);
		mf_documents_put(&walk->runtime->documents, walk->places[i].document);
	}
	mf_free(walk->places);
	mf_free(walk->proposals);
}

static void wait_quiet(struct mf_walk *walk)
{
	for (size_t i = 0; i < walk->place_count; i++) {
		if (!walk->places[i].wants_quiet)
			mf_document_want_quiet(walk->places[i].document);
		walk->places[i].wants_quiet = true;
	}
	for (size_t i = 0; i < walk->place_count; i++)
		mf_document_wait_quiet(walk->places[i].document);
}

/* ---- handing over: under the walk locks ---- */
static enum mf_status hand_over(struct mf_walk *walk, struct mf_ticket **out_ticket, struct mf_error *error)
{
	for (size_t i = 0; i < walk->count; i++) {
		struct mf_walk_item *item = &walk->items[i];
		struct mf_pending *pending = item->pending;
		walk->proposals[i] = (struct mf_proposal){
			.doc_id = item->doc_id,
			.transaction = pending->transaction,
			.old_state = pending->old_state,
			.new_state = pending->new_state,
			.reservation = item->reservation,
			.generation = pending->document->head_generation,
			.done = mf_pending_done,
			.done_user = pending,
			.release = mf_pending_release,
		};
		item->reservation = NULL;
		mf_document_add_pending(pending->document);
	}
	walk->item = walk->count;
	enum mf_status status = mf_bus_commit(walk->runtime->bus, walk->proposals, walk->count, walk->mode, out_ticket, error);
	for (size_t i = 0; i < walk->count; i++) {
		if (status != MF_OK)
			mf_document_end_pending(walk->items[i].pending->document, NULL);
		else
			walk->items[i].pending = NULL; /* done's, and maybe gone */
	}
	return status;
}

static void take_heads(struct mf_walk *walk, struct mf_ticket *ticket)
{
	for (size_t i = 0; i < walk->place_count; i++) {
		struct mf_walk_place *place = &walk->places[i];
		mf_state_unref(place->document->head);
		place->document->head = place->tip;
		place->tip = NULL;
		mf_document_set_ticket(place->document, ticket);
	}
}

/* MF_ERR_BUSY of a proposal that was built on a state which failed meanwhile. */
static bool outdated(const struct mf_walk *walk, enum mf_status status)
{
	const struct mf_committer *committer = walk->runtime->committer;
	if (status != MF_ERR_BUSY)
		return false;
	uint64_t generation = committer->generation(committer->user);
	for (size_t i = 0; i < walk->place_count; i++)
		if (walk->places[i].document->head_generation != generation)
			return true;
	return false;
}

static enum mf_status locked_part(struct mf_walk *walk, enum mf_walk_step *out_step, struct mf_ticket **out_ticket, struct mf_error *error)
{
	enum mf_status status = mf_walk_build(walk, out_step, error);
	if (status != MF_OK || *out_step != MF_WALK_ON)
		return status;
	status = hand_over(walk, out_ticket, error);
	if (status == MF_OK)
		take_heads(walk, *out_ticket);
	if (!outdated(walk, status))
		return status;
	*out_step = MF_WALK_AGAIN_WHEN_QUIET;
	return MF_OK;
}

/* ---- the walk ---- */
/* What an attempt that was not accepted leaves behind. */
static void clean_up(struct mf_walk *walk)
{
	mf_walk_release(walk);
	for (size_t i = 0; i < walk->count; i++) {
		mf_pending_free(walk->items[i].pending);
		walk->items[i].pending = NULL;
	}
	for (size_t i = 0; i < walk->place_count; i++) {
		mf_state_unref(walk->places[i].tip);
		walk->places[i].tip = NULL;
	}
}

static enum mf_status attempt(struct mf_walk *walk, enum mf_walk_step *out_step, struct mf_ticket **out_ticket, struct mf_error *error)
{
	enum mf_status status = mf_walk_reserve(walk, out_step, error);
	if (status == MF_OK && *out_step == MF_WALK_ON) {
		for (size_t i = 0; i < walk->place_count; i++)
			pthread_mutex_lock(&walk->places[i].document->walk);
		status = locked_part(walk, out_step, out_ticket, error);
		for (size_t i = walk->place_count; i-- > 0;)
			pthread_mutex_unlock(&walk->places[i].document->walk);
	}
	clean_up(walk);
	return status;
}

static void refuse(const struct mf_walk *walk, enum mf_status status, struct mf_error *error)
{
	if (error->status != status)
		mf_error_set(error, status, "the transaction could not be committed (%s)", mf_status_name(status));
	if (walk->count > 1 && walk->item < walk->count)
		mf_error_prefix(error, status, "item %zu of %zu", walk->item + 1, walk->count);
	for (size_t i = 0; i < walk->count; i++)
		mf_runtime_count_error(walk->runtime, status);
	if (status == MF_ERR_DUPLICATE_KEY)
		return; /* nothing failed: it is done already */
	for (size_t i = 0; i < walk->count; i++) {
		struct mf_publication publication = {
			.topic = MF_NOTICE_TR_FAILED,
			.doc_id = mf_runtime_doc_id(walk->runtime, walk->items[i].doc_id),
			.transaction = walk->items[i].request,
			.status = status,
			.message = error->message,
		};
		mf_runtime_publish(walk->runtime, &publication);
	}
}

enum mf_status mf_walk(struct mf_runtime *runtime, struct mf_walk_item *items, size_t count, enum mf_commit_kind mode,
		       struct mf_ticket **out_ticket, struct mf_error *error)
{
	struct mf_walk walk = {.runtime = runtime, .items = items, .count = count, .mode = mode};
	struct mf_ticket *ticket = NULL;
	struct mf_error why = {0};
	enum mf_walk_step step = MF_WALK_AGAIN;
	enum mf_status status = begin(&walk, &why);
	while (status == MF_OK && step != MF_WALK_ON) {
		step = MF_WALK_ON;
		status = attempt(&walk, &step, &ticket, &why);
		if (step == MF_WALK_AGAIN_WHEN_QUIET)
			wait_quiet(&walk);
	}
	if (status != MF_OK)
		refuse(&walk, status, &why);
	end(&walk);
	if (status != MF_OK && error)
		*error = why;
	if (status == MF_OK)
		*out_ticket = ticket;
	return status;
}

/* ---- the doors ---- */
enum mf_status mf_runtime_submit(struct mf_runtime *runtime, const char *doc_id, struct mf_transaction *transaction, enum mf_commit_kind mode,
				 struct mf_ticket **out_ticket, struct mf_error *error)
{
	struct mf_walk_item item = {.doc_id = doc_id, .request = transaction};
	enum mf_status status = mf_runtime_check(runtime, true, error);
	return status == MF_OK ? mf_walk(runtime, &item, 1, mode, out_ticket, error) : status;
}

enum mf_status mf_runtime_commit(struct mf_runtime *runtime, const char *doc_id, struct mf_transaction *transaction, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_ticket *ticket;
	enum mf_status status = mf_runtime_submit(runtime, doc_id, transaction, MF_COMMIT_MEMORY_ONLY, &ticket, error);
	if (status != MF_OK)
		return status;
	status = mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, out_lsn, error);
	mf_ticket_unref(ticket);
	return status;
}

enum mf_status mf_runtime_submit_batch(struct mf_runtime *runtime, const struct mf_batch_item *items, size_t count, enum mf_commit_kind mode,
				       struct mf_ticket **out_ticket, struct mf_error *error)
{
	enum mf_status status = mf_runtime_check(runtime, true, error);
	if (status != MF_OK)
		return status;
	if (count == 0)
		return mf_error_set(error, MF_ERR_INVALID, "a batch needs at least one transaction");
	struct mf_walk_item *walk_items = mf_calloc(count, sizeof(*walk_items));
	if (!walk_items)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a batch of %zu transactions", count);
	for (size_t i = 0; i < count; i++)
		walk_items[i] = (struct mf_walk_item){.doc_id = items[i].doc_id, .request = items[i].transaction};
	status = mf_walk(runtime, walk_items, count, mode, out_ticket, error);
	mf_free(walk_items);
	return status;
}
