/* build.c - check and apply: every item's transaction and new state, each on the one before it.
 *
 * Under the walk locks of all documents concerned. The states are private until the commit. */
#include "host/walk.h"
#include "model/mem.h"
#include "model/transaction.h"

static enum mf_status check_expect(const struct mf_walk_item *item, const struct mf_walk_place *place, enum mf_walk_step *out_step, struct mf_error *error)
{
	int64_t expect = mf_transaction_expect(item->request);
	if (expect == MF_EXPECT_ANY)
		return MF_OK;
	if (place->tip)
		return mf_error_set(error, MF_ERR_INVALID, "document '%s': only the first transaction of a batch may expect an LSN of it", item->doc_id);
	int64_t lsn = mf_state_lsn(place->document->head);
	if (lsn < 0) {
		*out_step = MF_WALK_AGAIN_WHEN_QUIET;
		return MF_OK;
	}
	if (lsn == expect)
		return MF_OK;
	mf_error_set(error, MF_ERR_CONFLICT, "document '%s' is at LSN %lld, not at the expected %lld", item->doc_id, (long long)lsn, (long long)expect);
	error->lsn = lsn;
	error->expected = expect;
	error->found = lsn;
	return MF_ERR_CONFLICT;
}

/* The newest entry of the stack as a transaction, with the identity of the request. */
static enum mf_status make_inverse(const struct mf_walk_item *item, const struct mf_state *state, struct mf_transaction **out, struct mf_error *error)
{
	struct mf_transaction *made;
	const struct mf_transaction *request = item->request;
	bool undo = mf_transaction_action(request) == MF_ACTION_UNDO;
	enum mf_status status = undo ? mf_state_make_undo(state, &made, error) : mf_state_make_redo(state, &made, error);
	if (status != MF_OK)
		return status;
	mf_transaction_set_id(made, mf_transaction_id(request));
	mf_transaction_set_meta(made, mf_transaction_meta(request));
	status = mf_transaction_set_actor(made, mf_transaction_actor(request), error);
	if (status == MF_OK && mf_transaction_assign_key(made, mf_transaction_key(request)) != MF_OK)
		status = mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the %s", undo ? "undo" : "redo");
	if (status != MF_OK) {
		mf_transaction_free(made);
		return status;
	}
	mf_transaction_seal(made);
	*out = made;
	return MF_OK;
}

static enum mf_status apply(struct mf_pending *pending, const struct mf_walk_item *item, const struct mf_state *base, struct mf_error *error)
{
	if (!item->from_stack) {
		pending->transaction = mf_transaction_ref(item->request);
	} else {
		enum mf_status status = make_inverse(item, base, &pending->transaction, error);
		if (status != MF_OK)
			return status;
	}
	enum mf_status status = mf_state_apply(base, pending->transaction, &pending->new_state, error);
	if (status == MF_OK)
		pending->old_state = mf_state_ref(base);
	return status;
}

static enum mf_status build_item(struct mf_walk *walk, struct mf_walk_item *item, enum mf_walk_step *out_step, struct mf_error *error)
{
	struct mf_walk_place *place = &walk->places[item->place];
	enum mf_status status = check_expect(item, place, out_step, error);
	if (status != MF_OK || *out_step != MF_WALK_ON)
		return status;
	struct mf_pending *pending = mf_calloc(1, sizeof(*pending));
	if (!pending)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "document '%s': no memory to commit", item->doc_id);
	pending->runtime = walk->runtime;
	pending->document = place->document;
	mf_documents_use(&walk->runtime->documents, place->document);
	status = apply(pending, item, place->tip ? place->tip : place->document->head, error);
	if (status != MF_OK) {
		mf_error_prefix(error, status, "document '%s'", item->doc_id);
		mf_pending_free(pending);
		return status;
	}
	mf_state_unref(place->tip);
	place->tip = mf_state_ref(pending->new_state);
	item->pending = pending;
	return MF_OK;
}

/* Undo and redo name the LSN of an event, so those before them must have theirs. */
static bool touches_stacks(const struct mf_walk *walk)
{
	for (size_t i = 0; i < walk->count; i++)
		if (mf_transaction_action(walk->items[i].request) != MF_ACTION_APPLY)
			return true;
	return false;
}

/* Invariant 3 of documents.h: start from the committed state whenever nothing is pending. */
static bool find_heads(struct mf_walk *walk, bool need_quiet, uint64_t generation)
{
	for (size_t i = 0; i < walk->place_count; i++) {
		struct mf_document *document = walk->places[i].document;
		struct mf_state *committed = NULL;
		pthread_mutex_lock(&document->lock);
		if (document->pending == 0)
			committed = mf_state_ref(document->committed);
		pthread_mutex_unlock(&document->lock);
		if (!committed && (need_quiet || document->head_generation != generation))
			return false;
		if (!committed)
			continue;
		mf_state_unref(document->head);
		document->head = committed;
		document->head_generation = generation;
	}
	return true;
}

enum mf_status mf_walk_build(struct mf_walk *walk, enum mf_walk_step *out_step, struct mf_error *error)
{
	const struct mf_runtime *runtime = walk->runtime;
	uint64_t generation = runtime->committer->generation(runtime->committer->user);
	if (runtime->stop_at_failure && generation != runtime->first_generation)
		return mf_error_set(error, MF_ERR_BUSY, "an earlier transaction could not be stored; nothing more is accepted until the runtime is opened anew");
	if (!find_heads(walk, touches_stacks(walk), generation)) {
		*out_step = MF_WALK_AGAIN_WHEN_QUIET;
		return MF_OK;
	}
	for (size_t i = 0; i < walk->count; i++) {
		walk->item = i;
		enum mf_status status = build_item(walk, &walk->items[i], out_step, error);
		if (status != MF_OK || *out_step != MF_WALK_ON)
			return status;
	}
	return MF_OK;
}
