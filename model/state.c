/* state.c - a document with its version and its undo and redo stacks; how a transaction leads
 * from one state to the next.
 *
 *   action   needs                          pops    pushes
 *   apply    -                              -       inverse on undo, LSN known at the commit; clears redo
 *   undo     source_lsn = top of undo       undo    inverse on redo, with source_lsn
 *   redo     source_lsn = top of redo       redo    inverse on undo, with source_lsn
 *
 * The inverse of a transaction is the inverses of its steps, last step first. An entry is pushed
 * also when nothing changed: so undo always takes back the newest event, whatever it did. */
#include "model/state.h"

#include <assert.h>

#include "model/mem.h"
#include "model/node.h"
#include "model/transaction.h"

/* ---- life cycle ---- */
enum mf_status mf_state_new_take(struct mf_doc *doc, int64_t lsn, size_t history_limit, struct mf_state **out)
{
	struct mf_state *state = mf_calloc(1, sizeof(*state));
	if (!state) {
		mf_doc_unref(doc);
		return MF_ERR_NO_MEMORY;
	}
	atomic_init(&state->ref, 1);
	atomic_init(&state->lsn, lsn);
	state->doc = doc;
	state->history_limit = history_limit;
	*out = state;
	return MF_OK;
}

enum mf_status mf_state_new(size_t history_limit, struct mf_state **out)
{
	struct mf_doc *doc;
	enum mf_status status = mf_doc_new(&doc);
	return status == MF_OK ? mf_state_new_take(doc, 0, history_limit, out) : status;
}

struct mf_state *mf_state_ref(const struct mf_state *state)
{
	struct mf_state *shared = (struct mf_state *)state;
	atomic_fetch_add_explicit(&shared->ref, 1, memory_order_relaxed);
	return shared;
}

void mf_state_unref(struct mf_state *state)
{
	if (!state || atomic_fetch_sub_explicit(&state->ref, 1, memory_order_acq_rel) != 1)
		return;
	mf_stack_unref(&state->undo);
	mf_stack_unref(&state->redo);
	mf_fields_unref(state->fields);
	mf_doc_unref(state->doc);
	mf_free(state);
}

/* ---- queries ---- */
const struct mf_doc *mf_state_doc(const struct mf_state *state)
{
	return state->doc;
}

int64_t mf_state_lsn(const struct mf_state *state)
{
	return atomic_load_explicit(&state->lsn, memory_order_acquire);
}

size_t mf_state_undo_depth(const struct mf_state *state)
{
	return state->undo.depth;
}

size_t mf_state_redo_depth(const struct mf_state *state)
{
	return state->redo.depth;
}

size_t mf_state_history_limit(const struct mf_state *state)
{
	return state->history_limit;
}

struct mf_fields_note mf_state_fields_note(const struct mf_state *state)
{
	return state->fields_note;
}

static void write_once(_Atomic int64_t *field, int64_t lsn)
{
	int64_t unknown = MF_LSN_UNKNOWN;
	bool first = atomic_compare_exchange_strong_explicit(field, &unknown, lsn, memory_order_acq_rel, memory_order_acquire);
	assert(first);
	(void)first;
}

void mf_state_set_lsn(struct mf_state *state, int64_t lsn)
{
	if (state->pushed)
		write_once(&mf_stack_top(&state->undo)->lsn, lsn);
	write_once(&state->lsn, lsn);
}

/* ---- from one state to the next ---- */
static enum mf_status no_memory(struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory");
}

static const char *action_name(enum mf_action action)
{
	return action == MF_ACTION_UNDO ? "undo" : "redo";
}

static int64_t entry_lsn(const struct mf_entry *entry)
{
	return atomic_load_explicit(&entry->lsn, memory_order_acquire);
}

/* The entry that an undo or redo takes from its stack. NULL: none, which only a replay allows. */
static enum mf_status find_source(const struct mf_state *state, const struct mf_transaction *transaction, bool replay,
				  const struct mf_entry **out, struct mf_error *error)
{
	enum mf_action action = mf_transaction_action(transaction);
	int64_t source = mf_transaction_source_lsn(transaction);
	const struct mf_entry *top = mf_stack_top(action == MF_ACTION_UNDO ? &state->undo : &state->redo);
	if (!top && !replay)
		return mf_error_set(error, MF_ERR_STATE, "nothing to %s: the stack is empty", action_name(action));
	if (source <= 0 || (top && entry_lsn(top) != source))
		return mf_error_set(error, MF_ERR_STATE, "%s of event %lld does not fit: the newest one to %s is event %lld; ask for a new %s",
				    action_name(action), (long long)source, action_name(action), top ? (long long)entry_lsn(top) : 0, action_name(action));
	*out = top;
	return MF_OK;
}

static enum mf_status apply_step(const struct mf_step *step, size_t number, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	struct mf_error reason;
	mf_error_clear(&reason);
	enum mf_status status = step->type->apply(step, edit, out_inverse, &reason);
	if (status == MF_OK && !*out_inverse)
		return mf_error_set(error, MF_ERR_PLUGIN, "step %zu (%s): its type gave no inverse", number, step->type->type_id);
	if (status != MF_OK)
		return mf_error_set(error, status, "step %zu (%s): %s", number, step->type->type_id, reason.message[0] ? reason.message : mf_status_name(status));
	return MF_OK;
}

/* Applies all steps; entry gets the inverses, last step first. */
static enum mf_status apply_steps(struct mf_edit *edit, const struct mf_transaction *transaction, struct mf_entry *entry, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	for (size_t i = 0; status == MF_OK && i < entry->count; i++)
		status = apply_step(mf_transaction_step(transaction, i), i + 1, edit, &entry->steps[entry->count - 1 - i], error);
	return status;
}

/* What takes transaction back, once its steps have been applied to edit. *out_pop: its source leaves its stack. */
static enum mf_status change(const struct mf_state *state, const struct mf_transaction *transaction, bool replay, int64_t lsn, struct mf_edit *edit,
			     struct mf_entry **out, bool *out_pop, struct mf_error *error)
{
	enum mf_action action = mf_transaction_action(transaction);
	size_t count = mf_transaction_step_count(transaction);
	if (count == 0)
		return mf_error_set(error, MF_ERR_INVALID, "the transaction has no steps; add at least one");
	const struct mf_entry *source = NULL;
	enum mf_status status = action == MF_ACTION_APPLY ? MF_OK : find_source(state, transaction, replay, &source, error);
	if (status != MF_OK)
		return status;
	struct mf_entry *entry;
	if (action != MF_ACTION_APPLY)
		lsn = mf_transaction_source_lsn(transaction);
	if (mf_entry_new(count, lsn, source ? source->tr_id : mf_transaction_id(transaction), &entry) != MF_OK)
		return no_memory(error);
	status = apply_steps(edit, transaction, entry, error);
	if (status != MF_OK) {
		mf_entry_unref(entry);
		return status;
	}
	*out = entry;
	*out_pop = source != NULL;
	return MF_OK;
}

/* state has the stacks of the one before; entry is taken. Cannot fail. */
static void move_history(struct mf_state *state, enum mf_action action, bool pop, struct mf_entry *entry)
{
	struct mf_stack *from = action == MF_ACTION_UNDO ? &state->undo : &state->redo;
	struct mf_stack *to = action == MF_ACTION_UNDO ? &state->redo : &state->undo;
	if (action == MF_ACTION_APPLY)
		mf_stack_unref(&state->redo);
	else if (pop)
		mf_stack_pop(from);
	mf_stack_push_take(to, state->history_limit, entry);
}

/* A private state with the stacks of another one; takes doc. */
static enum mf_status follow(const struct mf_state *state, struct mf_doc *doc, struct mf_state **out, struct mf_error *error)
{
	struct mf_state *next;
	if (mf_state_new_take(doc, MF_LSN_UNKNOWN, state->history_limit, &next) != MF_OK)
		return no_memory(error);
	next->undo = mf_stack_ref(&state->undo);
	next->redo = mf_stack_ref(&state->redo);
	*out = next;
	return MF_OK;
}

/* The fields of the state before, taken on by one event. */
static enum mf_status change_fields(const struct mf_fields *fields, const struct mf_transaction *transaction, const struct mf_doc *old_doc,
				    const struct mf_doc *new_doc, struct mf_fields **out, struct mf_error *error)
{
	const struct mf_field_change change = {.transaction = transaction, .old_doc = old_doc, .new_doc = new_doc};
	return mf_fields_apply(fields, &change, out, error);
}

enum mf_status mf_state_apply(const struct mf_state *state, const struct mf_transaction *transaction, struct mf_state **out, struct mf_error *error)
{
	struct mf_edit *edit;
	struct mf_entry *entry;
	struct mf_state *next = NULL;
	bool pop;
	if (mf_edit_begin(state->doc, &edit) != MF_OK)
		return no_memory(error);
	enum mf_status status = change(state, transaction, false, MF_LSN_UNKNOWN, edit, &entry, &pop, error);
	if (status != MF_OK) {
		mf_edit_drop(edit);
		return status;
	}
	struct mf_doc *doc = mf_edit_end(edit);
	if (follow(state, doc, &next, error) != MF_OK) {
		mf_entry_unref(entry);
		return no_memory(error);
	}
	if (state->fields)
		status = change_fields(state->fields, transaction, state->doc, doc, &next->fields, error);
	if (status != MF_OK) {
		mf_entry_unref(entry);
		mf_state_unref(next);
		return status;
	}
	enum mf_action action = mf_transaction_action(transaction);
	next->pushed = action == MF_ACTION_APPLY && next->history_limit > 0;
	move_history(next, action, pop, entry);
	*out = next;
	return MF_OK;
}

/* ---- replay ---- */
struct mf_replayer {
	struct mf_state *state; /* without a document: that is the edit */
	struct mf_edit *edit;
	struct mf_doc *doc; /* before the event; NULL: there are no fields, which alone want to see it */
};

enum mf_status mf_replayer_new(const struct mf_state *from, struct mf_replayer **out)
{
	struct mf_replayer *replayer = mf_calloc(1, sizeof(*replayer));
	if (!replayer)
		return MF_ERR_NO_MEMORY;
	if (mf_edit_begin(from->doc, &replayer->edit) != MF_OK || follow(from, NULL, &replayer->state, NULL) != MF_OK) {
		mf_replayer_free(replayer);
		return MF_ERR_NO_MEMORY;
	}
	atomic_init(&replayer->state->lsn, mf_state_lsn(from));
	replayer->state->fields = mf_fields_ref(from->fields);
	replayer->doc = from->fields ? mf_doc_ref(from->doc) : NULL;
	*out = replayer;
	return MF_OK;
}

void mf_replayer_free(struct mf_replayer *replayer)
{
	if (!replayer)
		return;
	mf_edit_drop(replayer->edit);
	mf_doc_unref(replayer->doc);
	mf_state_unref(replayer->state);
	mf_free(replayer);
}

int64_t mf_replayer_lsn(const struct mf_replayer *replayer)
{
	return mf_state_lsn(replayer->state);
}

/* Fields see each event's document, so each event has an edit of its own. */
static enum mf_status replay_fields(struct mf_replayer *replayer, const struct mf_transaction *transaction, struct mf_error *error)
{
	struct mf_doc *doc = mf_edit_end(replayer->edit);
	struct mf_fields *fields;
	replayer->edit = NULL;
	enum mf_status status = mf_edit_begin(doc, &replayer->edit);
	if (status == MF_OK)
		status = change_fields(replayer->state->fields, transaction, replayer->doc, doc, &fields, error);
	else
		no_memory(error);
	if (status != MF_OK) {
		mf_doc_unref(doc);
		status = status == MF_ERR_NO_MEMORY ? status : MF_ERR_PLUGIN; /* it was accepted before: the field is not what it was */
		if (error)
			error->status = status;
		return status;
	}
	mf_fields_unref(replayer->state->fields);
	mf_doc_unref(replayer->doc);
	replayer->state->fields = fields;
	replayer->doc = doc;
	return MF_OK;
}

enum mf_status mf_replayer_apply(struct mf_replayer *replayer, const struct mf_transaction *transaction, int64_t lsn, struct mf_error *error)
{
	struct mf_entry *entry;
	bool pop;
	enum mf_status status = change(replayer->state, transaction, true, lsn, replayer->edit, &entry, &pop, error);
	if (status != MF_OK)
		return status;
	if (replayer->doc)
		status = replay_fields(replayer, transaction, error);
	if (status != MF_OK) {
		mf_entry_unref(entry);
		return status;
	}
	move_history(replayer->state, mf_transaction_action(transaction), pop, entry);
	atomic_store_explicit(&replayer->state->lsn, lsn, memory_order_relaxed);
	return MF_OK;
}

struct mf_state *mf_replayer_finish(struct mf_replayer *replayer)
{
	struct mf_state *state = replayer->state;
	state->doc = mf_edit_end(replayer->edit);
	replayer->edit = NULL;
	replayer->state = NULL;
	mf_replayer_free(replayer);
	return state;
}

/* ---- undo and redo ---- */
static enum mf_status add_steps(struct mf_transaction *transaction, const struct mf_entry *entry)
{
	for (size_t i = 0; i < entry->count; i++) {
		enum mf_status status = mf_transaction_add(transaction, entry->steps[i]);
		if (status != MF_OK)
			return status;
	}
	return MF_OK;
}

static enum mf_status make(const struct mf_stack *stack, enum mf_action action, struct mf_transaction **out, struct mf_error *error)
{
	const struct mf_entry *top = mf_stack_top(stack);
	if (!top)
		return mf_error_set(error, MF_ERR_STATE, "nothing to %s: the stack is empty", action_name(action));
	int64_t source = entry_lsn(top);
	if (source == MF_LSN_UNKNOWN)
		return mf_error_set(error, MF_ERR_BUSY, "the newest event to %s is not committed yet; wait for its ticket", action_name(action));
	struct mf_transaction *transaction;
	enum mf_status status = mf_transaction_new(&transaction);
	if (status == MF_OK) {
		mf_transaction_set_action(transaction, action, source);
		status = add_steps(transaction, top);
		if (status != MF_OK)
			mf_transaction_free(transaction);
	}
	if (status != MF_OK)
		return no_memory(error);
	*out = transaction;
	return MF_OK;
}

enum mf_status mf_state_make_undo(const struct mf_state *state, struct mf_transaction **out, struct mf_error *error)
{
	return make(&state->undo, MF_ACTION_UNDO, out, error);
}

enum mf_status mf_state_make_redo(const struct mf_state *state, struct mf_transaction **out, struct mf_error *error)
{
	return make(&state->redo, MF_ACTION_REDO, out, error);
}
