/* workload.c - the thread that submits; what goes on beside it is in workload_beside.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "workload_parts.h"

#define FAILURES_MAX 20
#define CHILDREN_MAX 40 /* of a root: then some go */

/* ---- the states as this run expects them ---- */

static void forget_states(struct run *run)
{
	for (size_t i = 0; i < WORKLOAD_DOCS; i++) {
		mf_state_unref(run->states[i]);
		run->states[i] = NULL;
	}
}

static enum mf_status state_of(struct run *run, uint32_t doc, struct mf_error *error)
{
	if (run->states[doc])
		return MF_OK;
	return mf_runtime_state(run->runtime, run->names[doc], &run->states[doc], error);
}

/* ---- transactions ---- */

static size_t payload_of(struct run *run, char *out)
{
	uint32_t len = proof_below(&run->random, 200);
	if ((run->w->what & WORKLOAD_BIG) && proof_below(&run->random, 40) == 0)
		len = proof_below(&run->random, WORKLOAD_PAYLOAD);
	bool random = proof_below(&run->random, 2) == 0;
	for (uint32_t i = 0; i < len; i++)
		out[i] = random ? (char)('a' + proof_below(&run->random, 26)) : 'y';
	out[len] = '\0';
	return len;
}

/* One or two steps that fit the state. */
static enum mf_status add_steps(struct run *run, struct mf_transaction *transaction, const struct mf_doc *doc, struct mf_error *error)
{
	const struct mf_step_registry *steps = mf_runtime_steps(run->runtime);
	const struct mf_node *root = mf_doc_root(doc);
	size_t children = mf_node_child_count(root);
	char id[LEDGER_NAME];
	if (children > 0 && (children > CHILDREN_MAX || proof_below(&run->random, 8) == 0)) {
		const struct mf_node *child = mf_doc_child(doc, root, proof_below(&run->random, (uint32_t)children));
		return mf_transaction_add_format(transaction, steps, "delete_node", error, "{\"id\":%s}", mf_node_id(child, NULL));
	}
	if (proof_below(&run->random, 4) == 0) {
		const struct mf_node *node = children > 0 ? mf_doc_child(doc, root, proof_below(&run->random, (uint32_t)children)) : root;
		return mf_transaction_add_format(transaction, steps, "update_attrs", error, "{\"id\":%s,\"set\":{\"n\":%lld}}", mf_node_id(node, NULL), (long long)run->keys);
	}
	payload_of(run, run->payload);
	snprintf(id, sizeof(id), "n%" PRIu32 "-%" PRIu64, run->w->life, run->keys);
	enum mf_status status = mf_transaction_add_format(transaction, steps, "insert_node", error, "{\"parent\":\"root\",\"node\":{\"id\":%s,\"type\":\"p\",\"attrs\":{\"text\":%s}}}", id, run->payload);
	if (status == MF_OK && proof_below(&run->random, 4) == 0)
		status = mf_transaction_add_format(transaction, steps, "replace_text", error, "{\"id\":%s,\"pos\":0,\"delete\":0,\"insert\":%s}", id, "\xc3\xa9\xc3\xa9");
	return status;
}

static bool can_undo(const struct run *run, const struct mf_state *state, uint32_t count)
{
	return (run->w->what & WORKLOAD_UNDO) && count == 1 && run->waiting == 0 && mf_state_undo_depth(state) + mf_state_redo_depth(state) > 0;
}

static enum mf_status make_transaction(struct run *run, struct mf_state *state, uint32_t count, struct mf_transaction **out, struct mf_error *error)
{
	if (can_undo(run, state, count) && proof_below(&run->random, 3) == 0) {
		bool redo = mf_state_redo_depth(state) > 0 && (mf_state_undo_depth(state) == 0 || proof_below(&run->random, 2) == 0);
		return redo ? mf_state_make_redo(state, out, error) : mf_state_make_undo(state, out, error);
	}
	enum mf_status status = mf_transaction_new(out);
	if (status != MF_OK)
		return status;
	status = add_steps(run, *out, mf_state_doc(state), error);
	if (status != MF_OK) {
		mf_transaction_free(*out);
		*out = NULL;
	}
	return status;
}

/* One item of the batch: made, applied to the run's own state, said. */
static enum mf_status make_item(struct run *run, uint32_t index, uint32_t count, enum mf_commit_kind mode, struct mf_error *error)
{
	struct ledger_item item = {.batch = run->batch, .index = index, .count = count, .mode = mode};
	uint32_t doc = proof_below(&run->random, run->w->docs);
	struct mf_state *next;
	enum mf_status status = state_of(run, doc, error);
	if (status == MF_OK)
		status = make_transaction(run, run->states[doc], count, &run->items[index].transaction, error);
	if (status != MF_OK)
		return status;
	snprintf(item.key, sizeof(item.key), "k%" PRIu32 "-%" PRIu64, run->w->life, run->keys++);
	snprintf(item.doc, sizeof(item.doc), "%s", run->names[doc]);
	run->items[index].doc_id = run->names[doc];
	status = mf_transaction_set_key(run->items[index].transaction, item.key, error);
	if (status == MF_OK)
		status = mf_state_apply(run->states[doc], run->items[index].transaction, &next, error);
	if (status != MF_OK)
		return status;
	mf_state_unref(run->states[doc]);
	run->states[doc] = next;
	item.action = mf_transaction_action(run->items[index].transaction);
	if (!ledger_state_of(next, &item.after))
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a digest");
	ledger_say_submitted(&run->w->out, &item);
	return MF_OK;
}

/* ---- what becomes of them ---- */

static enum ledger_level level_of(enum mf_status status)
{
	return status == MF_ERR_UNKNOWN_OUTCOME ? LEDGER_UNKNOWN : LEDGER_ABSENT;
}

/* A failure after which the contract lets it go on: counted, too many in a row are the end. */
static enum mf_status failed(struct run *run, enum mf_status status)
{
	forget_states(run);
	run->drain = true;
	if (status == MF_ERR_UNKNOWN_OUTCOME || status == MF_ERR_CORRUPTED || status == MF_ERR_DUPLICATE_KEY || ++run->failures >= FAILURES_MAX)
		return status;
	return MF_OK;
}

static enum mf_status wait_for_oldest(struct run *run, struct mf_error *error)
{
	struct waiting *oldest = &run->queue[run->first];
	int64_t lsn = 0;
	enum mf_status status = mf_ticket_wait(oldest->ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, &lsn, error);
	if (status != MF_OK) {
		ledger_say_ended(&run->w->out, oldest->batch, level_of(status), 0);
	} else {
		ledger_say_ended(&run->w->out, oldest->batch, oldest->mode == MF_COMMIT_SYNC_DURABLE ? LEDGER_SYNCED : LEDGER_WRITTEN, lsn);
		run->failures = 0;
	}
	if (status == MF_OK && (run->w->what & WORKLOAD_SYNC_WAITS) && run->w->kind != MF_COMMIT_MEMORY_ONLY && proof_below(&run->random, 10) == 0 &&
	    mf_ticket_wait(oldest->ticket, MF_LEVEL_SYNCED, MF_WAIT_FOREVER, &lsn, NULL) == MF_OK)
		ledger_say_synced(&run->w->out, lsn);
	mf_ticket_unref(oldest->ticket);
	run->first = (run->first + 1) % WORKLOAD_WAITING;
	run->waiting--;
	return status == MF_OK ? MF_OK : failed(run, status);
}

static enum mf_status wait_until(struct run *run, uint32_t most, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	while (run->waiting > most) { /* all are told, whatever becomes of them */
		enum mf_status next = wait_for_oldest(run, status == MF_OK ? error : NULL);
		status = status == MF_OK ? next : status;
	}
	return status;
}

/* ---- one batch ---- */

static enum mf_status submit(struct run *run, uint32_t count, enum mf_commit_kind mode, struct mf_error *error)
{
	struct mf_ticket *ticket;
	enum mf_commit_kind asked = mode == run->w->kind ? MF_COMMIT_MEMORY_ONLY : mode;
	enum mf_status status = count == 1 ? mf_runtime_submit(run->runtime, run->items[0].doc_id, run->items[0].transaction, asked, &ticket, error)
					   : mf_runtime_submit_batch(run->runtime, run->items, count, asked, &ticket, error);
	if (status != MF_OK) {
		ledger_say_ended(&run->w->out, run->batch, level_of(status), 0);
		return failed(run, status);
	}
	run->queue[(run->first + run->waiting++) % WORKLOAD_WAITING] = (struct waiting){.ticket = ticket, .batch = run->batch, .mode = mode};
	return MF_OK;
}

static uint32_t pick_count(struct run *run)
{
	uint32_t most = run->w->batch_max;
	if (most <= 1 || proof_below(&run->random, 2) == 0)
		return 1;
	return 1 + proof_below(&run->random, proof_below(&run->random, 8) == 0 ? most : most < 10 ? most : 10);
}

static enum mf_status run_batch(struct run *run, struct mf_error *error)
{
	uint32_t count = pick_count(run), made = 0;
	enum mf_commit_kind mode = run->w->kind;
	enum mf_status status = run->drain ? wait_until(run, 0, error) : MF_OK;
	if (status != MF_OK)
		return status;
	run->drain = false;
	run->batch++;
	if (run->waiting == 0)
		forget_states(run); /* only a committed state knows the LSNs that an undo names */
	if ((run->w->what & WORKLOAD_RAISE) && mode == MF_COMMIT_ASYNC_DURABLE && proof_below(&run->random, 12) == 0)
		mode = MF_COMMIT_SYNC_DURABLE;
	memset(run->items, 0, sizeof(run->items));
	while (status == MF_OK && made < count)
		status = make_item(run, made++, count, mode, error);
	if (status == MF_OK)
		status = submit(run, count, mode, error);
	else {
		if (made > 1) /* those before the last were said */
			ledger_say_ended(&run->w->out, run->batch, LEDGER_ABSENT, 0);
		status = failed(run, status);
	}
	for (uint32_t i = 0; i < made; i++)
		mf_transaction_free(run->items[i].transaction);
	if (status != MF_OK)
		return status;
	return wait_until(run, (run->w->what & WORKLOAD_TICKETS) ? WORKLOAD_WAITING - 1 : 0, error);
}

/* ---- between batches ---- */

static void look(struct run *run)
{
	struct ledger_state seen;
	struct mf_state *state;
	const char *doc = run->names[proof_below(&run->random, run->w->docs)];
	if (mf_runtime_state(run->runtime, doc, &state, NULL) != MF_OK)
		return;
	if (mf_state_lsn(state) > 0 && ledger_state_of(state, &seen))
		ledger_say_seen(&run->w->out, doc, mf_state_lsn(state), &seen);
	mf_state_unref(state);
}

/* The newest event of the store again, as the store has it. */
static enum mf_status resubmit(struct run *run, struct mf_error *error)
{
	struct mf_event_list list = {0};
	struct mf_transaction *transaction;
	struct mf_store *store = mf_runtime_store(run->runtime);
	struct mf_store_stats stats;
	int64_t lsn = 0;
	if (mf_store_stats(store, &stats, NULL) != MF_OK || stats.last_lsn == 0 || mf_store_load_since(store, NULL, stats.last_lsn - 1, 1, &list, NULL) != MF_OK)
		return MF_OK;
	enum mf_status status = MF_OK;
	if (list.count == 1 && mf_event_decode(&list.events[0], mf_runtime_steps(run->runtime), &transaction, NULL) == MF_OK) {
		struct mf_error answer = {0};
		status = mf_runtime_commit(run->runtime, list.events[0].doc_id, transaction, &lsn, &answer);
		if (status == MF_OK || (status == MF_ERR_DUPLICATE_KEY && (answer.lsn != list.events[0].lsn || !answer.same)))
			status = mf_error_set(error, MF_ERR_STATE, "LSN %" PRId64 " submitted again: %s", list.events[0].lsn, status == MF_OK ? "it was stored" : answer.message);
		else
			status = MF_OK;
		mf_transaction_free(transaction);
	}
	mf_event_list_deinit(&list);
	return status;
}

static enum mf_status between(struct run *run, struct mf_error *error)
{
	if (run->w->between)
		run->w->between(run->w->user);
	if (proof_below(&run->random, 6) == 0)
		look(run);
	if (!(run->w->what & WORKLOAD_BESIDE) && proof_below(&run->random, 8) == 0)
		workload_side_work(run, &run->random);
	if ((run->w->what & WORKLOAD_DUPLICATES) && run->waiting == 0 && proof_below(&run->random, 16) == 0)
		return resubmit(run, error);
	return MF_OK;
}

static enum mf_status run_batches(struct run *run, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	for (uint32_t i = 0; status == MF_OK && (run->w->batches == 0 || i < run->w->batches); i++) {
		status = run_batch(run, error);
		if (status == MF_OK)
			status = between(run, error);
	}
	enum mf_status last = wait_until(run, 0, status == MF_OK ? error : NULL);
	forget_states(run);
	return status == MF_OK ? last : status;
}

static enum mf_status say_opened(struct run *run, struct mf_error *error)
{
	struct mf_store_stats stats;
	enum mf_status status = mf_store_stats(mf_runtime_store(run->runtime), &stats, error);
	if (status == MF_OK)
		ledger_say_opened(&run->w->out, run->w->kind, run->w->kind == MF_COMMIT_MEMORY_ONLY ? 0 : stats.epoch, stats.last_lsn);
	return status;
}

enum mf_status workload_run(const struct workload *workload, struct mf_error *error)
{
	struct run run = {.w = workload, .random = workload->seed ^ (uint64_t)(workload->life + 1) << 32, .batch = (uint64_t)workload->life << 32};
	struct mf_runtime_options options = {.config_path = workload->config, .data_dir = workload->dir, .mode = workload->mode};
	for (unsigned i = 0; i < WORKLOAD_DOCS; i++)
		snprintf(run.names[i], sizeof(run.names[i]), "d%u", i);
	ledger_say_opening(&workload->out, workload->kind);
	enum mf_status status = mf_runtime_open(&options, &run.runtime, error);
	if (status != MF_OK)
		return status;
	status = say_opened(&run, error);
	if (status == MF_OK)
		status = workload_begin_beside(&run, error);
	if (status == MF_OK)
		status = run_batches(&run, error);
	workload_end_beside(&run);
	enum mf_status closed = mf_runtime_close(run.runtime, 60000, status == MF_OK ? error : NULL);
	ledger_say_closed(&workload->out, closed);
	return status == MF_OK ? closed : status;
}
