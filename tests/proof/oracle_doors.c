/* oracle_doors.c - what can be done with a store that was recovered: an old key is a duplicate, a new event is the next
 * one, and followers go on where they were. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oracle_parts.h"
#include "workload.h"

/* ---- followers ---- */

static bool check_place(void *user, const struct mf_checkpoint *checkpoint)
{
	struct oracle *oracle = user;
	const struct ledger *ledger = oracle->ledger;
	int64_t handled = 0;
	for (size_t i = 0; i < ledger->follower_count; i++)
		if (strcmp(ledger->followers[i].name, checkpoint->name) == 0)
			handled = ledger->followers[i].handled;
	if (checkpoint->lsn > handled)
		oracle_broken(oracle, "the checkpoint of follower %s is LSN %" PRId64 ", it had handled those up to %" PRId64, checkpoint->name, checkpoint->lsn, handled);
	/* In a copy whose pages are of different moments it may be: then the follower is told, and set back (contract, section 2). */
	if (oracle->plan->crash != ORACLE_COPIED && checkpoint->lsn > oracle->stats.last_lsn)
		oracle_broken(oracle, "the checkpoint of follower %s is LSN %" PRId64 ", the newest is %" PRId64, checkpoint->name, checkpoint->lsn, oracle->stats.last_lsn);
	oracle->report->checkpoints++;
	return true;
}

bool oracle_check_followers(struct oracle *oracle)
{
	struct mf_error error = {0};
	enum mf_status status = mf_store_checkpoints(oracle->store, check_place, oracle, &error);
	return status == MF_OK || oracle_refused(oracle, "checkpoints", status, &error);
}

/* ---- duplicates ---- */

/* The transaction that was stored, or, where compaction took it, another one with its key. */
static enum mf_status transaction_of(struct oracle *oracle, int64_t lsn, struct mf_transaction **out, struct mf_error *error)
{
	const struct mf_step_registry *steps = mf_runtime_steps(oracle->runtime);
	struct mf_event_list list = {0};
	enum mf_status status;
	if (oracle->is_event[lsn]) {
		status = mf_store_load_since(oracle->store, NULL, lsn - 1, 1, &list, error);
		if (status == MF_OK)
			status = list.count == 1 ? mf_event_decode(&list.events[0], steps, out, error) : mf_error_set(error, MF_ERR_NOT_FOUND, "no event");
		mf_event_list_deinit(&list);
		return status;
	}
	status = mf_transaction_new(out);
	if (status == MF_OK)
		status = mf_transaction_set_key(*out, oracle->by_lsn[lsn]->key, error);
	return status == MF_OK ? mf_transaction_add_json(*out, steps, "update_attrs", "{\"id\":\"root\",\"set\":{\"other\":1}}", error) : status;
}

static bool try_duplicate(struct oracle *oracle, int64_t lsn)
{
	const struct ledger_item *item = oracle->by_lsn[lsn];
	struct mf_transaction *transaction = NULL;
	struct mf_error error = {0};
	int64_t got = 0;
	enum mf_status status = transaction_of(oracle, lsn, &transaction, &error);
	if (status != MF_OK) {
		mf_transaction_free(transaction);
		return oracle_refused(oracle, "stored transaction", status, &error);
	}
	status = mf_runtime_commit(oracle->runtime, item->doc, transaction, &got, &error);
	mf_transaction_free(transaction);
	if (status == MF_OK)
		oracle_broken(oracle, "key %s is LSN %" PRId64 ", submitted again it was stored as LSN %" PRId64, item->key, lsn, got);
	else if (status != MF_ERR_DUPLICATE_KEY)
		return oracle_refused(oracle, "submitted again", status, &error);
	else if (error.lsn != lsn || error.same != oracle->is_event[lsn])
		oracle_broken(oracle, "key %s is LSN %" PRId64 ", submitted again it is a duplicate of LSN %" PRId64 " with %s content", item->key, lsn, error.lsn, error.same ? "the same" : "other");
	return true;
}

bool oracle_try_duplicates(struct oracle *oracle)
{
	int64_t last = oracle->stats.last_lsn;
	if (last == 0)
		return true;
	int64_t picked[3] = {1, last, 1 + proof_below(&oracle->random, (uint32_t)last)};
	for (size_t i = 0; i < 3; i++)
		if (oracle->by_lsn[picked[i]] && !try_duplicate(oracle, picked[i]))
			return false;
	return true;
}

/* ---- a clean append ---- */

static enum mf_status append(struct oracle *oracle, struct ledger_item *item, int64_t *out_lsn, struct mf_error *error)
{
	struct ledger_out out = {ledger_line_to_ledger, oracle->ledger};
	struct mf_transaction *transaction;
	struct mf_state *state = NULL, *next = NULL;
	char json[96];
	snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"epoch\":%" PRId64 "}}", oracle->stats.epoch);
	enum mf_status status = mf_transaction_new(&transaction);
	if (status != MF_OK)
		return status;
	status = mf_transaction_set_key(transaction, item->key, error);
	if (status == MF_OK)
		status = mf_transaction_add_json(transaction, mf_runtime_steps(oracle->runtime), "update_attrs", json, error);
	if (status == MF_OK)
		status = mf_runtime_state(oracle->runtime, item->doc, &state, error);
	if (status == MF_OK)
		status = mf_state_apply(state, transaction, &next, error);
	if (status == MF_OK && ledger_state_of(next, &item->after)) {
		ledger_say_submitted(&out, item);
		status = mf_runtime_commit(oracle->runtime, item->doc, transaction, out_lsn, error);
	}
	mf_state_unref(next);
	mf_state_unref(state);
	mf_transaction_free(transaction);
	return status;
}

bool oracle_try_append(struct oracle *oracle)
{
	struct ledger_out out = {ledger_line_to_ledger, oracle->ledger};
	struct ledger_item item = {.doc = "oracle", .count = 1, .mode = MF_COMMIT_SYNC_DURABLE, .batch = (uint64_t)1 << 63 | (uint64_t)oracle->stats.epoch};
	struct mf_error error = {0};
	int64_t lsn = 0;
	snprintf(item.key, sizeof(item.key), "oracle-%" PRId64, oracle->stats.epoch);
	enum mf_status status = append(oracle, &item, &lsn, &error);
	if (status != MF_OK)
		return oracle_refused(oracle, "a clean append", status, &error);
	ledger_say_ended(&out, item.batch, LEDGER_SYNCED, lsn);
	struct ledger_item *known = ledger_find(oracle->ledger, item.key);
	known->found = lsn;
	if (lsn != oracle->stats.last_lsn + 1)
		oracle_broken(oracle, "a clean append got LSN %" PRId64 ", the newest was %" PRId64, lsn, oracle->stats.last_lsn);
	struct oracle_doc *doc = oracle_doc(oracle, item.doc);
	if (doc) {
		doc->lsn = lsn;
		doc->state = item.after;
	}
	oracle->stats.last_lsn = lsn; /* by_lsn ends before it: nothing of it is read from here on */
	return true;
}
