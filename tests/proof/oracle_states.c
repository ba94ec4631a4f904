/* oracle_states.c - the documents: what the live run had at the LSN to which each was recovered, and at one of the past. */
#include <inttypes.h>
#include <string.h>

#include "oracle_parts.h"
#include "workload.h"

static bool same(const struct ledger_state *a, const struct ledger_state *b)
{
	return memcmp(&a->digest, &b->digest, sizeof(a->digest)) == 0 && a->undo == b->undo && a->redo == b->redo;
}

static void compare(struct oracle *oracle, const char *when, const char *doc, int64_t lsn, const struct ledger_state *expected, const struct ledger_state *found)
{
	char hex[2][MF_DIGEST_HEX + 1];
	if (!expected->known || !found->known || same(expected, found))
		return;
	mf_digest_hex(&expected->digest, hex[0]);
	mf_digest_hex(&found->digest, hex[1]);
	oracle_broken(oracle, "document %s %s at LSN %" PRId64 " is %s with %" PRIu32 " to undo and %" PRIu32 " to redo; it was %s with %" PRIu32 " and %" PRIu32, doc, when, lsn,
		      hex[1], found->undo, found->redo, hex[0], expected->undo, expected->redo);
}

static bool list_document(void *user, const struct mf_document_info *info)
{
	struct oracle *oracle = user;
	if (!oracle_doc(oracle, info->doc_id))
		oracle_broken(oracle, "there are more than %d documents", ORACLE_DOCS);
	return true;
}

/* Documents of the ledger and of the store, with the newest event of each. */
static bool list_documents(struct oracle *oracle)
{
	struct mf_error error = {0};
	for (size_t i = 0; i < oracle->ledger->count; i++) {
		struct ledger_item *item = &oracle->ledger->items[i];
		struct oracle_doc *doc = oracle_doc(oracle, item->doc);
		if (doc && item->found && (!doc->last || doc->last->found < item->found))
			doc->last = item;
	}
	enum mf_status status = oracle->store->ops->documents(oracle->store, list_document, oracle, &error);
	return status == MF_OK || oracle_refused(oracle, "documents", status, &error);
}

static bool recover(struct oracle *oracle, const char *doc, struct ledger_state *out, int64_t *out_lsn)
{
	struct mf_state *state;
	struct mf_error error = {0};
	enum mf_status status = mf_runtime_state(oracle->runtime, doc, &state, &error);
	if (status != MF_OK)
		return oracle_refused(oracle, "state", status, &error);
	*out_lsn = mf_state_lsn(state);
	(void)ledger_state_of(state, out);
	mf_state_unref(state);
	return true;
}

/* An event picked at random, that is still there: the document just after it. */
static bool check_past(struct oracle *oracle)
{
	struct ledger_state found;
	struct mf_state *state;
	struct mf_error error = {0};
	if (oracle->stats.last_lsn == 0)
		return true;
	int64_t lsn = 1 + proof_below(&oracle->random, (uint32_t)oracle->stats.last_lsn);
	const struct ledger_item *item = oracle->by_lsn[lsn];
	if (!item || !oracle->is_event[lsn])
		return true;
	enum mf_status status = mf_runtime_state_at(oracle->runtime, item->doc, lsn, &state, NULL, &error);
	if (status != MF_OK)
		return oracle_refused(oracle, "state of the past", status, &error);
	(void)ledger_state_of(state, &found);
	compare(oracle, "of the past", item->doc, lsn, &item->after, &found);
	mf_state_unref(state);
	return true;
}

bool oracle_check_states(struct oracle *oracle)
{
	if (!list_documents(oracle))
		return false;
	for (size_t i = 0; i < oracle->doc_count; i++) {
		struct oracle_doc *doc = &oracle->docs[i];
		if (!recover(oracle, doc->id, &doc->state, &doc->lsn))
			return false;
		if (doc->lsn != (doc->last ? doc->last->found : 0))
			oracle_broken(oracle, "document %s is recovered to LSN %" PRId64 ", its newest event is LSN %" PRId64, doc->id, doc->lsn, doc->last ? doc->last->found : 0);
		else if (doc->last)
			compare(oracle, "recovered", doc->id, doc->lsn, &doc->last->after, &doc->state);
	}
	return check_past(oracle);
}

bool oracle_same_states(struct oracle *oracle)
{
	struct ledger_state state;
	int64_t lsn;
	for (size_t i = 0; i < oracle->doc_count; i++) {
		struct oracle_doc *doc = &oracle->docs[i];
		if (!recover(oracle, doc->id, &state, &lsn))
			return false;
		if (lsn != doc->lsn)
			oracle_broken(oracle, "document %s is recovered to LSN %" PRId64 " a second time, the first time it was %" PRId64, doc->id, lsn, doc->lsn);
		compare(oracle, "recovered a second time", doc->id, lsn, &doc->state, &state);
	}
	return true;
}
