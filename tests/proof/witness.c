#include "witness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dice.h"

_Atomic long complaints;

const char *const doc_names[DOCS] = {"d0", "d1", "d2", "d3", "d4"};

void complain(const char *format, ...)
{
	char line[1200];
	va_list list;
	if (atomic_fetch_add(&complaints, 1) >= 20)
		return; /* the first ones tell */
	va_start(list, format);
	vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	printf("# %s\n", line);
}

/* ---- watching ---- */
enum mf_status witness_new(struct witness **out)
{
	struct witness *witness = calloc(1, sizeof(*witness));
	if (witness)
		witness->events = calloc(EVENTS_MAX + 1, sizeof(*witness->events));
	if (!witness || !witness->events) {
		free(witness);
		return MF_ERR_NO_MEMORY;
	}
	*out = witness;
	return MF_OK;
}

void witness_free(struct witness *witness)
{
	if (witness)
		free(witness->events);
	free(witness);
}

void witness_forget(struct witness *witness)
{
	memset(witness->events, 0, (EVENTS_MAX + 1) * sizeof(*witness->events));
	memset(witness->newest, 0, sizeof(witness->newest));
	for (int d = 0; d < DOCS; d++)
		atomic_store(&witness->gone[d], 0);
	witness->last = 0;
}

static signed char doc_number(const char *doc_id)
{
	for (signed char d = 0; d < DOCS; d++)
		if (strcmp(doc_id, doc_names[d]) == 0)
			return d;
	return -1;
}

static enum mf_status see(void *user, const struct mf_publication *publication)
{
	struct witness *witness = user;
	int64_t lsn = publication->lsn;
	signed char doc = doc_number(publication->doc_id);
	if (lsn != witness->last + 1 || lsn > EVENTS_MAX || doc < 0) {
		complain("the witness was told of LSN %lld after %lld (document %s)", (long long)lsn, (long long)witness->last, publication->doc_id);
		return MF_OK;
	}
	struct witnessed *event = &witness->events[lsn];
	event->doc = doc;
	if (publication->event)
		snprintf(event->key, sizeof(event->key), "%s", publication->event->idempotency_key);
	if (mf_state_lsn(publication->new_state) != lsn || mf_state_lsn(publication->old_state) != witness->newest[doc])
		complain("LSN %lld of %s leads from state %lld to %lld, the one before was %lld", (long long)lsn, publication->doc_id,
			 (long long)mf_state_lsn(publication->old_state), (long long)mf_state_lsn(publication->new_state), (long long)witness->newest[doc]);
	if (mf_doc_digest(mf_state_doc(publication->new_state), &event->digest) != MF_OK)
		complain("no digest of LSN %lld", (long long)lsn);
	witness->newest[doc] = lsn;
	witness->last = lsn;
	return MF_OK;
}

void witness_watch(struct witness *witness, struct mf_runtime *runtime)
{
	struct mf_error error;
	witness->first = witness->last + 1;
	mf_error_clear(&error);
	if (mf_bus_subscribe(mf_runtime_bus(runtime), "witness", MF_TOPICS_EVENTS, see, witness, &witness->id, &error) != MF_OK)
		complain("the witness cannot subscribe: %s", error.message);
}

/* ---- acknowledgements ---- */
struct ack *acks_add(struct acks *acks, const char *key, int64_t lsn, struct mf_ticket *ticket, unsigned back)
{
	if (acks->count == acks->room) {
		size_t room = acks->room ? 2 * acks->room : 256;
		struct ack *items = realloc(acks->items, room * sizeof(*items));
		if (!items)
			abort();
		acks->items = items;
		acks->room = room;
	}
	struct ack *ack = &acks->items[acks->count++];
	*ack = (struct ack){.lsn = lsn, .ticket = ticket ? mf_ticket_ref(ticket) : NULL, .back = back, .expect = MF_EXPECT_ANY};
	snprintf(ack->key, sizeof(ack->key), "%s", key);
	return ack;
}

void acks_settle(struct acks *acks)
{
	for (size_t i = 0; i < acks->count; i++) {
		struct ack *ack = &acks->items[i];
		struct mf_error error;
		int64_t lsn = 0;
		if (!ack->ticket)
			continue;
		mf_error_clear(&error);
		enum mf_status status = mf_ticket_wait(ack->ticket, MF_LEVEL_COMMITTED, 0, &lsn, &error);
		if (status == MF_OK)
			ack->lsn = lsn - ack->back;
		else /* nothing fails here, and close drains */
			complain("%s, submitted before the close, ended as %s: %s", ack->key, mf_status_name(status), error.message);
		mf_ticket_unref(ack->ticket);
		ack->ticket = NULL;
	}
}

static int64_t event_before(const struct witness *witness, int64_t lsn)
{
	int64_t before = lsn - 1;
	while (before > 0 && witness->events[before].doc != witness->events[lsn].doc)
		before--;
	return before;
}

void witness_check_gap(const struct witness *witness, const char *name, int64_t from_lsn, int64_t upto_lsn)
{
	for (int64_t lsn = from_lsn; lsn <= upto_lsn; lsn++)
		if (lsn > witness->last || lsn > atomic_load(&witness->gone[(int)witness->events[lsn].doc])) {
			complain("%s is told that LSN %lld is gone, which nobody has compacted", name, (long long)lsn);
			return;
		}
}

void acks_check(const struct acks *acks, const struct witness *witness)
{
	for (size_t i = 0; i < acks->count; i++) {
		const struct ack *ack = &acks->items[i];
		if (ack->lsn < 1 || ack->lsn > witness->last)
			complain("%s was given LSN %lld, the newest is %lld", ack->key, (long long)ack->lsn, (long long)witness->last);
		else if (strcmp(witness->events[ack->lsn].key, ack->key) != 0)
			complain("%s was given LSN %lld, which is %s", ack->key, (long long)ack->lsn, witness->events[ack->lsn].key);
		else if (ack->expect != MF_EXPECT_ANY && event_before(witness, ack->lsn) != ack->expect)
			complain("%s expected the document at LSN %lld, and was stored at %lld behind %lld", ack->key, (long long)ack->expect, (long long)ack->lsn,
				 (long long)event_before(witness, ack->lsn));
	}
}

void acks_deinit(struct acks *acks)
{
	for (size_t i = 0; i < acks->count; i++)
		mf_ticket_unref(acks->items[i].ticket);
	free(acks->items);
	*acks = (struct acks){0};
}

void acks_resubmit(const struct acks *acks, struct mf_runtime *runtime)
{
	for (size_t i = 0; i < acks->count; i++) {
		const struct ack *ack = &acks->items[i];
		struct mf_transaction *transaction;
		struct mf_error error;
		int64_t lsn;
		mf_error_clear(&error);
		enum mf_status status = mf_transaction_new(&transaction);
		if (status == MF_OK)
			status = mf_transaction_set_key(transaction, ack->key, &error);
		if (status == MF_OK)
			status = mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "update_attrs", "{\"id\":\"root\",\"set\":{\"again\":1}}", &error);
		if (status == MF_OK)
			status = mf_runtime_commit(runtime, doc_names[0], transaction, &lsn, &error);
		if (status != MF_ERR_DUPLICATE_KEY || error.lsn != ack->lsn)
			complain("%s, stored as LSN %lld, is answered %s LSN %lld: %s", ack->key, (long long)ack->lsn, mf_status_name(status), (long long)error.lsn, error.message);
		mf_transaction_free(transaction);
	}
}

/* ---- the store ---- */
static void tell_damage(void *user, const struct mf_damage *damage)
{
	(void)user;
	complain("verify: %s: %s", damage->what, damage->message);
}

static void check_event(const struct witness *witness, const struct mf_event *event)
{
	const struct witnessed *seen = &witness->events[event->lsn];
	if (doc_number(event->doc_id) != seen->doc || strcmp(event->idempotency_key, seen->key) != 0)
		complain("LSN %lld is stored as %s of %s, published was %s of %s", (long long)event->lsn, event->idempotency_key, event->doc_id, seen->key, doc_names[(int)seen->doc]);
}

/* Every LSN is there, or was compacted. */
static void check_events(const struct witness *witness, struct mf_store *store)
{
	int64_t next = 1;
	for (;;) {
		struct mf_event_list list = {0};
		struct mf_error error;
		mf_error_clear(&error);
		if (mf_store_load_since(store, NULL, next - 1, 500, &list, &error) != MF_OK) {
			complain("events after LSN %lld: %s", (long long)next - 1, error.message);
			return;
		}
		for (size_t i = 0; i < list.count && list.events[i].lsn <= witness->last; next = list.events[i++].lsn + 1) {
			for (int64_t lsn = next; lsn < list.events[i].lsn; lsn++)
				if (lsn > atomic_load(&witness->gone[(int)witness->events[lsn].doc]))
					complain("LSN %lld of %s is not in the store", (long long)lsn, doc_names[(int)witness->events[lsn].doc]);
			check_event(witness, &list.events[i]);
		}
		bool over = list.count == 0 || next > witness->last;
		mf_event_list_deinit(&list);
		if (over)
			break;
	}
	for (; next <= witness->last; next++)
		if (next > atomic_load(&witness->gone[(int)witness->events[next].doc]))
			complain("LSN %lld of %s is not in the store, which ends before it", (long long)next, doc_names[(int)witness->events[next].doc]);
}

static void check_state(const struct witness *witness, const struct mf_state *state, const char *doc_id, int64_t lsn, const char *how)
{
	struct mf_digest digest;
	if (mf_state_lsn(state) != lsn)
		complain("%s of %s is at LSN %lld, seen was %lld", how, doc_id, (long long)mf_state_lsn(state), (long long)lsn);
	else if (lsn > 0 && (mf_doc_digest(mf_state_doc(state), &digest) != MF_OK || memcmp(&digest, &witness->events[lsn].digest, sizeof(digest)) != 0))
		complain("%s of %s at LSN %lld has another digest than was seen", how, doc_id, (long long)lsn);
}

/* An LSN of the document's that is still there, before the newest one; 0: none was hit. */
static int64_t some_lsn(const struct witness *witness, int doc, uint64_t *dice)
{
	for (int i = 0; i < 50 && witness->newest[doc] > 0; i++) {
		int64_t lsn = 1 + (int64_t)roll(dice, (uint64_t)witness->newest[doc]);
		if (witness->events[lsn].doc == doc && lsn > atomic_load(&witness->gone[doc]))
			return lsn;
	}
	return 0;
}

static void check_document(const struct witness *witness, struct mf_runtime *runtime, int doc, uint64_t *dice)
{
	struct mf_state *state;
	struct mf_error error;
	mf_error_clear(&error);
	if (mf_runtime_state(runtime, doc_names[doc], &state, &error) != MF_OK) {
		complain("recovering %s: %s", doc_names[doc], error.message);
		return;
	}
	check_state(witness, state, doc_names[doc], witness->newest[doc], "the recovered state");
	mf_state_unref(state);
	int64_t lsn = some_lsn(witness, doc, dice);
	if (lsn == 0)
		return;
	if (mf_runtime_state_at(runtime, doc_names[doc], lsn, &state, NULL, &error) != MF_OK) {
		complain("the state of %s at LSN %lld: %s", doc_names[doc], (long long)lsn, error.message);
		return;
	}
	check_state(witness, state, doc_names[doc], lsn, "the past state");
	mf_state_unref(state);
}

void witness_check(const struct witness *witness, struct mf_runtime *runtime, uint64_t seed)
{
	struct mf_store *store = mf_runtime_store(runtime);
	struct mf_store_stats stats;
	struct mf_error error;
	mf_error_clear(&error);
	if (mf_store_stats(store, &stats, &error) != MF_OK)
		complain("stats: %s", error.message);
	else if (stats.last_lsn != witness->last || stats.synced_lsn > stats.last_lsn)
		complain("the store ends at LSN %lld (synced %lld), published was %lld", (long long)stats.last_lsn, (long long)stats.synced_lsn, (long long)witness->last);
	if (mf_store_verify(store, tell_damage, NULL, &error) != MF_OK)
		complain("verify: %s", error.message);
	check_events(witness, store);
	for (int doc = 0; doc < DOCS; doc++)
		check_document(witness, runtime, doc, &seed);
}
