/* crew_produce.c - who commits: alone, without waiting, in batches, by undo and redo; keys that nobody had, keys that
 * another producer hands in at the same moment, keys that are known. */
#include <stdio.h>
#include <string.h>

#include "crew.h"
#include "dice.h"

#define BATCH_MAX 10

enum mf_status crew_transaction(struct mf_runtime *runtime, const char *key, const char *type_id, const char *json, struct mf_transaction **out)
{
	struct mf_error error;
	struct mf_transaction *transaction;
	enum mf_status status = mf_transaction_new(&transaction);
	mf_error_clear(&error);
	if (status == MF_OK)
		status = mf_transaction_set_key(transaction, key, &error);
	if (status == MF_OK)
		status = mf_transaction_add_json(transaction, mf_runtime_steps(runtime), type_id, json, &error);
	if (status != MF_OK)
		complain("making %s: %s: %s", key, mf_status_name(status), error.message);
	else
		*out = transaction;
	return status;
}

/* What one in so many calls says, and may: the step does not fit any more (an undo took its node away), a guard refuses. */
static bool may_say(enum mf_status status, bool fits)
{
	return status == MF_OK || status == MF_ERR_CONFLICT || (status == MF_ERR_INVALID && !fits);
}

/* A change that the key alone decides, but for the node that it deletes. *out_fits: it can be applied to any state. */
static enum mf_status make_change(struct worker *worker, const char *key, unsigned n, struct mf_transaction **out, bool *out_fits)
{
	char json[256];
	uint64_t kind = roll(&worker->dice, 100);
	*out_fits = kind < 50;
	if (kind < 50) {
		snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"p%u\":%u}}", worker->number, n);
		return crew_transaction(worker->crew->runtime, key, "update_attrs", json, out);
	}
	if (kind < 75) {
		snprintf(json, sizeof(json), "{\"parent\":\"root\",\"index\":0,\"node\":{\"id\":\"%s\",\"type\":\"p\",\"attrs\":{\"text\":\"some text of %s\"}}}", key, key);
		return crew_transaction(worker->crew->runtime, key, "insert_node", json, out);
	}
	char node[KEY_ROOM];
	snprintf(node, sizeof(node), "p%u-%u-%u", worker->crew->life, worker->number, n - (unsigned)roll(&worker->dice, n < 12 ? n + 1 : 12));
	if (kind < 90) {
		snprintf(json, sizeof(json), "{\"id\":\"%s\"}", node);
		return crew_transaction(worker->crew->runtime, key, "delete_node", json, out);
	}
	snprintf(json, sizeof(json), "{\"id\":\"%s\",\"pos\":2,\"delete\":3,\"insert\":\"%s\"}", node, key);
	return crew_transaction(worker->crew->runtime, key, "replace_text", json, out);
}

static const char *some_doc(struct worker *worker)
{
	return doc_names[roll(&worker->dice, DOCS)];
}

/* What has been acknowledged can be read. */
static void read_back(struct worker *worker, const char *doc_id, int64_t lsn)
{
	struct mf_state *state;
	struct mf_error error;
	mf_error_clear(&error);
	if (mf_runtime_state(worker->crew->runtime, doc_id, &state, &error) != MF_OK) {
		complain("reading %s: %s", doc_id, error.message);
		return;
	}
	if (mf_state_lsn(state) < lsn)
		complain("%s is at LSN %lld, %lld was acknowledged", doc_id, (long long)mf_state_lsn(state), (long long)lsn);
	mf_state_unref(state);
}

/* By the time that it is used somebody else may have committed: then it is a conflict. */
static int64_t version_of(struct worker *worker, const char *doc_id)
{
	struct mf_state *state;
	struct mf_error error;
	if (mf_runtime_state(worker->crew->runtime, doc_id, &state, &error) != MF_OK)
		return MF_EXPECT_ANY;
	int64_t lsn = mf_state_lsn(state);
	mf_state_unref(state);
	return lsn;
}

static void commit_one(struct worker *worker, const char *key, unsigned n)
{
	struct mf_transaction *transaction;
	struct mf_error error;
	int64_t lsn = 0;
	bool fits;
	const char *doc_id = some_doc(worker);
	if (make_change(worker, key, n, &transaction, &fits) != MF_OK)
		return;
	int64_t expect = roll(&worker->dice, 4) == 0 ? version_of(worker, doc_id) : MF_EXPECT_ANY;
	mf_transaction_set_expect(transaction, expect);
	mf_error_clear(&error);
	enum mf_status status = mf_runtime_commit(worker->crew->runtime, doc_id, transaction, &lsn, &error);
	mf_transaction_free(transaction);
	if (!may_say(status, fits))
		complain("commit of %s: %s: %s", key, mf_status_name(status), error.message);
	if (status != MF_OK)
		return;
	acks_add(&worker->acks, key, lsn, NULL, 0)->expect = expect;
	read_back(worker, doc_id, lsn);
}

/* Now and then somebody waits for one of them, for this level or that, patiently or not. */
static void wait_a_little(struct worker *worker, struct mf_ticket *ticket, const char *key)
{
	static const enum mf_level levels[] = {MF_LEVEL_COMMITTED, MF_LEVEL_WRITTEN, MF_LEVEL_SYNCED};
	static const int64_t timeouts_ms[] = {0, 1, 5, MF_WAIT_FOREVER};
	enum mf_level level = levels[roll(&worker->dice, worker->crew->durable ? 3 : 2)];
	struct mf_error error;
	int64_t lsn;
	mf_error_clear(&error);
	enum mf_status status = mf_ticket_wait(ticket, level, timeouts_ms[roll(&worker->dice, 4)], &lsn, &error);
	if (status != MF_OK && status != MF_ERR_TIMEOUT)
		complain("waiting for %s: %s: %s", key, mf_status_name(status), error.message);
}

static enum mf_commit_kind some_mode(struct worker *worker)
{
	return worker->crew->durable && roll(&worker->dice, 6) == 0 ? MF_COMMIT_SYNC_DURABLE : MF_COMMIT_MEMORY_ONLY;
}

static void submit_one(struct worker *worker, const char *key, unsigned n)
{
	struct mf_transaction *transaction;
	struct mf_ticket *ticket;
	struct mf_error error;
	bool fits;
	if (make_change(worker, key, n, &transaction, &fits) != MF_OK)
		return;
	mf_error_clear(&error);
	enum mf_status status = mf_runtime_submit(worker->crew->runtime, some_doc(worker), transaction, some_mode(worker), &ticket, &error);
	mf_transaction_free(transaction);
	if (!may_say(status, fits))
		complain("submit of %s: %s: %s", key, mf_status_name(status), error.message);
	if (status != MF_OK)
		return;
	acks_add(&worker->acks, key, 0, ticket, 0);
	if (roll(&worker->dice, 4) == 0)
		wait_a_little(worker, ticket, key);
	mf_ticket_unref(ticket);
}

static void submit_batch(struct worker *worker, const char *key)
{
	struct mf_batch_item items[BATCH_MAX];
	char keys[BATCH_MAX][KEY_ROOM], json[BATCH_MAX * KEY_ROOM + 64];
	struct mf_ticket *ticket;
	struct mf_error error;
	enum mf_status status = MF_OK;
	unsigned count = 0, wanted = 1 + (unsigned)roll(&worker->dice, BATCH_MAX);
	for (; count < wanted && status == MF_OK; count++) {
		snprintf(keys[count], KEY_ROOM, "%.30s-%u", key, count);
		snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"p%u\":\"%s\"}}", worker->number, keys[count]);
		items[count].doc_id = some_doc(worker);
		status = crew_transaction(worker->crew->runtime, keys[count], "update_attrs", json, &items[count].transaction);
	}
	if (status != MF_OK)
		return;
	mf_error_clear(&error);
	status = mf_runtime_submit_batch(worker->crew->runtime, items, count, some_mode(worker), &ticket, &error);
	if (!may_say(status, true))
		complain("batch %s: %s: %s", key, mf_status_name(status), error.message);
	for (unsigned i = 0; i < count; i++) {
		if (status == MF_OK)
			acks_add(&worker->acks, keys[i], 0, ticket, count - 1 - i);
		mf_transaction_free(items[i].transaction);
	}
	if (status == MF_OK)
		mf_ticket_unref(ticket);
}

static void undo_or_redo(struct worker *worker, const char *key)
{
	const char *doc_id = some_doc(worker);
	bool undo = roll(&worker->dice, 2) == 0;
	size_t n = 1 + (size_t)roll(&worker->dice, 3);
	struct mf_error error;
	int64_t lsn = 0;
	mf_error_clear(&error);
	enum mf_status status = (undo ? mf_runtime_undo : mf_runtime_redo)(worker->crew->runtime, doc_id, n, "somebody", n == 1 ? key : NULL, &lsn, &error);
	if (status != MF_OK && status != MF_ERR_STATE && status != MF_ERR_CONFLICT)
		complain("%s of %zu in %s: %s: %s", undo ? "undo" : "redo", n, doc_id, mf_status_name(status), error.message);
	if (status == MF_OK && n == 1)
		acks_add(&worker->acks, key, lsn, NULL, 0);
	if (status == MF_OK)
		read_back(worker, doc_id, lsn);
}

/* All producers hand in the same few keys: one of them stores it, the others are told where it is. */
static void commit_rival(struct worker *worker, unsigned n)
{
	char key[KEY_ROOM], json[64];
	struct mf_transaction *transaction;
	struct mf_error error;
	int64_t lsn = 0;
	snprintf(key, sizeof(key), "r%u-%u", worker->crew->life, n / 16);
	snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"r\":%u}}", n / 16);
	if (crew_transaction(worker->crew->runtime, key, "update_attrs", json, &transaction) != MF_OK)
		return;
	mf_error_clear(&error);
	enum mf_status status = mf_runtime_commit(worker->crew->runtime, doc_names[n / 16 % DOCS], transaction, &lsn, &error);
	mf_transaction_free(transaction);
	if (status == MF_ERR_DUPLICATE_KEY && error.same == 1)
		acks_add(&worker->acks, key, error.lsn, NULL, 0);
	else if (status == MF_OK)
		acks_add(&worker->acks, key, lsn, NULL, 0);
	else if (status != MF_ERR_CONFLICT)
		complain("%s, which all hand in: %s (same: %d): %s", key, mf_status_name(status), error.same, error.message);
}

/* A key of its own that was stored long ago, with other content. */
static void commit_known(struct worker *worker)
{
	struct mf_transaction *transaction;
	struct mf_error error;
	int64_t lsn = 0;
	const struct ack *ack = worker->acks.count ? &worker->acks.items[roll(&worker->dice, worker->acks.count)] : NULL;
	if (!ack || ack->ticket || crew_transaction(worker->crew->runtime, ack->key, "update_attrs", "{\"id\":\"root\",\"set\":{\"again\":1}}", &transaction) != MF_OK)
		return;
	mf_error_clear(&error);
	enum mf_status status = mf_runtime_commit(worker->crew->runtime, doc_names[0], transaction, &lsn, &error);
	if (status != MF_ERR_DUPLICATE_KEY || error.lsn != ack->lsn || error.same != 0)
		complain("%s, stored as LSN %lld with other content, is answered %s LSN %lld: %s", ack->key, (long long)ack->lsn, mf_status_name(status), (long long)error.lsn, error.message);
	mf_transaction_free(transaction);
}

void produce(struct worker *worker)
{
	struct crew *crew = worker->crew;
	for (unsigned n = 0; n < crew->count && !atomic_load(&crew->stopping); n++) {
		char key[KEY_ROOM];
		uint64_t what = roll(&worker->dice, 100);
		snprintf(key, sizeof(key), "p%u-%u-%u", crew->life, worker->number, n);
		if (n % 16 == 15)
			commit_rival(worker, n);
		else if (what < 30)
			commit_one(worker, key, n);
		else if (what < 70)
			submit_one(worker, key, n);
		else if (what < 80)
			submit_batch(worker, key);
		else if (what < 95)
			undo_or_redo(worker, key);
		else
			commit_known(worker);
	}
}
