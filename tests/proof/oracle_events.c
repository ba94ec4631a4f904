/* oracle_events.c - the log against the ledger: what is there, where, and whether all that was promised is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_parts.h"

/* ---- what is there ---- */

static void found_at(struct oracle *oracle, struct ledger_item *item, int64_t lsn, bool is_event)
{
	if (item->found && item->found != lsn)
		oracle_broken(oracle, "key %s is there twice, as LSN %" PRId64 " and LSN %" PRId64, item->key, item->found, lsn);
	if (lsn < 1 || lsn > oracle->stats.last_lsn) {
		oracle_broken(oracle, "key %s has LSN %" PRId64 ", and the newest is %" PRId64, item->key, lsn, oracle->stats.last_lsn);
		return;
	}
	if (oracle->by_lsn[lsn] && oracle->by_lsn[lsn] != item)
		oracle_broken(oracle, "LSN %" PRId64 " is that of key %s and of key %s", lsn, oracle->by_lsn[lsn]->key, item->key);
	item->found = lsn;
	oracle->by_lsn[lsn] = item;
	oracle->is_event[lsn] = is_event;
	oracle->report->recovered++;
}

static void take_event(struct oracle *oracle, const struct mf_event *event, int64_t *last_epoch)
{
	struct ledger_item *item = ledger_find(oracle->ledger, event->idempotency_key);
	if (!item) {
		oracle_broken(oracle, "LSN %" PRId64 " has key %s, which nobody submitted", event->lsn, event->idempotency_key);
		return;
	}
	found_at(oracle, item, event->lsn, true);
	if (strcmp(item->doc, event->doc_id) != 0 || item->action != event->action)
		oracle_broken(oracle, "LSN %" PRId64 ", key %s, is action %d of document %s, submitted was action %d of document %s", event->lsn, item->key,
			      (int)event->action, event->doc_id, (int)item->action, item->doc);
	if (event->epoch < *last_epoch)
		oracle_broken(oracle, "LSN %" PRId64 " has epoch %" PRId64 ", one before it has %" PRId64, event->lsn, event->epoch, *last_epoch);
	const struct ledger_life *life = &oracle->ledger->lives[item->life];
	if (life->mode != MF_COMMIT_MEMORY_ONLY && event->epoch != life->epoch)
		oracle_broken(oracle, "LSN %" PRId64 " has epoch %" PRId64 ", it was submitted in epoch %" PRId64, event->lsn, event->epoch, life->epoch);
	*last_epoch = event->epoch;
}

static bool read_log(struct oracle *oracle)
{
	struct mf_error error = {0};
	int64_t from = 0, epoch = 0;
	for (;;) {
		struct mf_event_list list = {0};
		enum mf_status status = mf_store_load_since(oracle->store, NULL, from, 1000, &list, &error);
		if (status != MF_OK)
			return oracle_refused(oracle, "events", status, &error);
		for (size_t i = 0; i < list.count; i++) {
			if (list.events[i].lsn <= from)
				oracle_broken(oracle, "LSN %" PRId64 " comes after LSN %" PRId64, list.events[i].lsn, from);
			from = list.events[i].lsn;
			take_event(oracle, &list.events[i], &epoch);
		}
		size_t count = list.count;
		mf_event_list_deinit(&list);
		if (count == 0)
			return true;
	}
}

/* Of what compaction took the keys are left. */
static bool look_up_keys(struct oracle *oracle)
{
	struct mf_error error = {0};
	struct mf_key_info info;
	for (size_t i = 0; i < oracle->ledger->count; i++) {
		struct ledger_item *item = &oracle->ledger->items[i];
		if (item->level == LEDGER_REPLACED)
			continue;
		enum mf_status status = oracle->store->ops->find_key(oracle->store, item->key, &info, &error);
		if (status != MF_OK && status != MF_ERR_NOT_FOUND)
			return oracle_refused(oracle, "key", status, &error);
		if (status == MF_ERR_NOT_FOUND && item->found)
			oracle_broken(oracle, "LSN %" PRId64 " is there, its key %s is not found", item->found, item->key);
		if (status != MF_OK)
			continue;
		if (item->found && item->found != info.lsn)
			oracle_broken(oracle, "key %s is said to be LSN %" PRId64 ", and is LSN %" PRId64, item->key, info.lsn, item->found);
		if (item->found)
			continue;
		found_at(oracle, item, info.lsn, false);
		oracle->report->compacted++;
		if (!ledger_place(oracle->ledger, item->doc)->compacting)
			oracle_broken(oracle, "the event LSN %" PRId64 " of document %s is gone, and no compaction was asked for", info.lsn, item->doc);
	}
	return true;
}

bool oracle_read_events(struct oracle *oracle)
{
	size_t room = (size_t)oracle->stats.last_lsn + 2;
	oracle->by_lsn = calloc(room, sizeof(struct ledger_item *));
	oracle->is_event = calloc(room, sizeof(bool));
	if (!oracle->by_lsn || !oracle->is_event)
		abort();
	if (!read_log(oracle) || !look_up_keys(oracle))
		return false;
	for (int64_t lsn = 1; lsn <= oracle->stats.last_lsn; lsn++)
		if (!oracle->by_lsn[lsn])
			oracle_broken(oracle, "LSN %" PRId64 " is missing, and the newest is %" PRId64, lsn, oracle->stats.last_lsn);
	return true;
}

/* ---- whether it is what was promised ---- */

static void check_item(struct oracle *oracle, const struct ledger_item *item)
{
	struct oracle_report *report = oracle->report;
	bool acknowledged = item->level == LEDGER_WRITTEN || item->level == LEDGER_SYNCED;
	report->submitted++;
	report->acknowledged += acknowledged;
	report->unheard += item->found && !acknowledged;
	report->lost += acknowledged && !item->found;
	if (oracle_is_promised(oracle, item) && !item->found)
		oracle_broken(oracle, "LSN %" PRId64 ", key %s, was acknowledged as %s and is not there", item->lsn, item->key, item->level == LEDGER_SYNCED ? "synced" : "written");
	if (item->found && item->lsn && item->found != item->lsn)
		oracle_broken(oracle, "key %s was acknowledged as LSN %" PRId64 ", and is LSN %" PRId64, item->key, item->lsn, item->found);
	if (item->found && item->level == LEDGER_ABSENT)
		oracle_broken(oracle, "key %s ended absent, and is there as LSN %" PRId64, item->key, item->found);
	if (item->found && item->level == LEDGER_LOST)
		oracle_broken(oracle, "key %s was lost, and is there as LSN %" PRId64, item->key, item->found);
}

/* Its neighbours in the batch are its neighbours in the log. */
static void check_batch(struct oracle *oracle, const struct ledger_item *item)
{
	for (int step = -1; step <= 1; step += 2) {
		int64_t place = (int64_t)item->index + step, lsn = item->found + step;
		if (place < 0 || place >= (int64_t)item->count)
			continue;
		const struct ledger_item *next = lsn >= 1 && lsn <= oracle->stats.last_lsn ? oracle->by_lsn[lsn] : NULL;
		if (!next || next->batch != item->batch || next->index != (uint32_t)place)
			oracle_broken(oracle, "LSN %" PRId64 ", key %s, is item %" PRIu32 " of a batch of %" PRIu32 "; item %" PRId64 " is not at LSN %" PRId64, item->found, item->key,
				      item->index, item->count, place, lsn);
	}
}

/* What a reader saw is stored as the mode promises, and was what its event makes. */
static void check_seen(struct oracle *oracle, const struct ledger_seen *seen)
{
	if (seen->lsn > oracle->stats.last_lsn) {
		if (oracle->plan->crash == ORACLE_KILLED || (oracle->plan->crash == ORACLE_POWER_LOST && seen->mode == MF_COMMIT_SYNC_DURABLE))
			oracle_broken(oracle, "a reader saw LSN %" PRId64 " of document %s, which is not there", seen->lsn, seen->doc);
		return;
	}
	const struct ledger_item *item = seen->lsn > 0 ? oracle->by_lsn[seen->lsn] : NULL;
	if (!item)
		return; /* a new document, or the hole was said */
	const struct ledger_state *after = &item->after;
	if (strcmp(item->doc, seen->doc) != 0)
		oracle_broken(oracle, "a reader saw document %s at LSN %" PRId64 ", which is of document %s", seen->doc, seen->lsn, item->doc);
	else if (after->known && seen->state.known &&
		 (memcmp(&after->digest, &seen->state.digest, sizeof(after->digest)) != 0 || after->undo != seen->state.undo || after->redo != seen->state.redo))
		oracle_broken(oracle, "what a reader saw of document %s at LSN %" PRId64 " is not what key %s makes of it", seen->doc, seen->lsn, item->key);
}

void oracle_check_items(struct oracle *oracle)
{
	struct ledger *ledger = oracle->ledger;
	for (size_t i = 0; i < ledger->count; i++) {
		if (ledger->items[i].level == LEDGER_REPLACED)
			continue;
		check_item(oracle, &ledger->items[i]);
		if (ledger->items[i].found)
			check_batch(oracle, &ledger->items[i]);
	}
	for (size_t i = 0; i < ledger->seen_count; i++)
		check_seen(oracle, &ledger->seen[i]);
	if (oracle->plan->crash == ORACLE_COPIED)
		return;
	if (ledger->synced_lsn > oracle->stats.last_lsn)
		oracle_broken(oracle, "LSN %" PRId64 " was reported synced, and the newest is %" PRId64, ledger->synced_lsn, oracle->stats.last_lsn);
	for (size_t i = 0; i < ledger->life_count; i++)
		if (ledger->lives[i].epoch >= oracle->stats.epoch)
			oracle_broken(oracle, "this opening has epoch %" PRId64 ", one before it had %" PRId64, oracle->stats.epoch, ledger->lives[i].epoch);
}
