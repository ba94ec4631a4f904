/* undo.c - the doors of undo and redo: requests without steps, which the walk makes from the stacks.
 *
 * The key is looked up before the stack is: a retry of an undo that was stored is a duplicate, not an
 * empty stack. */
#include "host/walk.h"
#include "model/mem.h"
#include "model/transaction.h"

enum mf_status mf_runtime_submit_undo(struct mf_runtime *runtime, const char *doc_id, enum mf_action action, struct mf_transaction *request,
				      enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error)
{
	enum mf_status status = mf_runtime_check(runtime, true, error);
	if (status != MF_OK)
		return status;
	if (action != MF_ACTION_UNDO && action != MF_ACTION_REDO)
		return mf_error_set(error, MF_ERR_INVALID, "the action must be undo or redo");
	if (mf_transaction_step_count(request) > 0)
		return mf_error_set(error, MF_ERR_INVALID, "an undo or redo brings no steps of its own");
	mf_transaction_set_action(request, action, 0);
	struct mf_walk_item item = {.doc_id = doc_id, .request = request, .from_stack = true};
	return mf_walk(runtime, &item, 1, mode, out_ticket, error);
}

static enum mf_status make_requests(struct mf_walk_item *items, size_t n, const char *doc_id, enum mf_action action, const char *actor,
				    const char *key, struct mf_error *error)
{
	for (size_t i = 0; i < n; i++) {
		items[i] = (struct mf_walk_item){.doc_id = doc_id, .from_stack = true};
		if (mf_transaction_new(&items[i].request) != MF_OK)
			return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %zu undo requests", n);
		mf_transaction_set_action(items[i].request, action, 0);
		enum mf_status status = mf_transaction_set_actor(items[i].request, actor, error);
		if (status == MF_OK)
			status = mf_transaction_set_key(items[i].request, key, error);
		if (status != MF_OK)
			return status;
	}
	return MF_OK;
}

static enum mf_status walk_stack(struct mf_runtime *runtime, struct mf_walk_item *items, size_t n, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_ticket *ticket;
	enum mf_status status = mf_walk(runtime, items, n, MF_COMMIT_MEMORY_ONLY, &ticket, error);
	if (status != MF_OK)
		return status;
	status = mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, out_lsn, error);
	mf_ticket_unref(ticket);
	return status;
}

/* No stack is deeper than its limit: a number beyond it needs no memory to be refused. */
static enum mf_status check_n(struct mf_runtime *runtime, const char *doc_id, size_t n, const char *key, struct mf_error *error)
{
	if (n == 0 || (key && n != 1))
		return mf_error_set(error, MF_ERR_INVALID, "%s", n == 0 ? "undo or redo of 0 entries" : "a key goes with one undo or redo only");
	if (n == 1)
		return MF_OK;
	struct mf_state *state;
	enum mf_status status = mf_runtime_state(runtime, doc_id, &state, error);
	if (status != MF_OK)
		return status;
	size_t limit = mf_state_history_limit(state);
	mf_state_unref(state);
	if (n > limit)
		return mf_error_set(error, MF_ERR_STATE, "%zu entries to undo or redo were asked for, the history holds at most %zu", n, limit);
	return MF_OK;
}

static enum mf_status take_back(struct mf_runtime *runtime, const char *doc_id, enum mf_action action, size_t n, const char *actor,
				const char *key, int64_t *out_lsn, struct mf_error *error)
{
	enum mf_status status = mf_runtime_check(runtime, true, error);
	if (status == MF_OK)
		status = check_n(runtime, doc_id, n, key, error);
	if (status != MF_OK)
		return status;
	struct mf_walk_item *items = mf_calloc(n, sizeof(*items));
	if (!items)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %zu undo requests", n);
	status = make_requests(items, n, doc_id, action, actor, key, error);
	if (status == MF_OK)
		status = walk_stack(runtime, items, n, out_lsn, error);
	for (size_t i = 0; i < n; i++)
		mf_transaction_free(items[i].request);
	mf_free(items);
	return status;
}

enum mf_status mf_runtime_undo(struct mf_runtime *runtime, const char *doc_id, size_t n, const char *actor, const char *key, int64_t *out_lsn, struct mf_error *error)
{
	return take_back(runtime, doc_id, MF_ACTION_UNDO, n, actor, key, out_lsn, error);
}

enum mf_status mf_runtime_redo(struct mf_runtime *runtime, const char *doc_id, size_t n, const char *actor, const char *key, int64_t *out_lsn, struct mf_error *error)
{
	return take_back(runtime, doc_id, MF_ACTION_REDO, n, actor, key, out_lsn, error);
}
