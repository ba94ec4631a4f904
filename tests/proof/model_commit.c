/* model_commit.c - transactions: made by chance, their outcome foretold by the reference, then submitted. */
#include <stdlib.h>
#include <string.h>

#include "model_parts.h"

#define BATCH_MAX 5
#define REFUSED_ACTOR "nobody" /* the guard's */

/* ---- chance ---- */
static struct ref_step random_step(const struct ref_doc *doc)
{
	struct ref_step step;
	memset(&step, 0, sizeof(step));
	bool wild = sim_below(12) == 0; /* may not fit */
	const struct ref_node *node = doc->count ? &doc->nodes[sim_below(doc->count)] : NULL;
	step.type = !node || sim_below(3) == 0 ? REF_INSERT : (enum ref_step_type)sim_below(REF_STEP_TYPES);
	step.id = wild || !node || step.type == REF_INSERT ? 1 + (int)sim_below(14) : node->id;
	for (unsigned i = 0; step.type == REF_INSERT && !wild && i < doc->count; i++)
		if (doc->nodes[i].id == step.id) /* taken: change it instead */
			step.type = REF_SET;
	switch (step.type) {
	case REF_INSERT:
		step.index = sim_below(doc->count + 1) + (wild ? sim_below(2) : 0);
		step.value = (int)sim_below(1000);
		step.letter = (char)('a' + sim_below(26));
		break;
	case REF_MOVE:
		step.index = sim_below(doc->count ? doc->count : 1) + (wild ? sim_below(3) : 0);
		break;
	case REF_SET:
		step.value = (int)sim_below(1000);
		break;
	case REF_REPLACE:
		step.letter = (char)('A' + sim_below(26));
		step.index = sim_below(6) + (wild ? 30 : 0);
		step.value = 1 + (int)sim_below(3); /* no text grows */
		break;
	default:
		break;
	}
	return step;
}

static struct ref_event random_event(int doc, const struct ref_state *state)
{
	struct ref_event event;
	struct ref_state after = *state;
	memset(&event, 0, sizeof(event));
	event.doc = doc;
	event.key = sim_below(3) ? ++the.next_key : 0;
	event.step_count = 1 + sim_below(REF_STEPS);
	for (unsigned i = 0; i < event.step_count; i++) {
		event.steps[i] = random_step(&after.doc);
		struct ref_event so_far = event;
		so_far.step_count = i + 1;
		after = *state;
		(void)ref_apply(&after, &so_far);
	}
	return event;
}

static enum mf_commit_kind random_kind(void)
{
	if (the.kind == MF_COMMIT_MEMORY_ONLY)
		return MF_COMMIT_MEMORY_ONLY;
	static const enum mf_commit_kind kinds[] = {MF_COMMIT_MEMORY_ONLY, MF_COMMIT_MEMORY_ONLY, MF_COMMIT_ASYNC_DURABLE, MF_COMMIT_SYNC_DURABLE};
	return kinds[sim_below(4)]; /* the first: as configured */
}

/* ---- the library's form of it ---- */
static void add_step(struct mf_transaction *transaction, const struct ref_step *step)
{
	static const char *const types[] = {"insert_node", "delete_node", "move_node", "update_attrs", "update_attrs", "replace_text", "add_mark", "remove_mark"};
	char json[200], text[11] = {0};
	struct mf_error error;
	switch (step->type) {
	case REF_INSERT:
		memset(text, step->letter, 10);
		snprintf(json, sizeof(json), "{\"parent\":\"root\",\"index\":%u,\"node\":{\"id\":\"n%d\",\"type\":\"p\",\"attrs\":{\"text\":\"%s\",\"v\":%d}}}", step->index, step->id, text, step->value);
		break;
	case REF_DELETE: snprintf(json, sizeof(json), "{\"id\":\"n%d\"}", step->id); break;
	case REF_MOVE: snprintf(json, sizeof(json), "{\"id\":\"n%d\",\"parent\":\"root\",\"index\":%u}", step->id, step->index); break;
	case REF_SET: snprintf(json, sizeof(json), "{\"id\":\"n%d\",\"set\":{\"v\":%d}}", step->id, step->value); break;
	case REF_UNSET: snprintf(json, sizeof(json), "{\"id\":\"n%d\",\"unset\":[\"v\"]}", step->id); break;
	case REF_REPLACE: snprintf(json, sizeof(json), "{\"id\":\"n%d\",\"pos\":%u,\"delete\":%d,\"insert\":\"%c\"}", step->id, step->index, step->value, step->letter); break;
	case REF_MARK: snprintf(json, sizeof(json), "{\"id\":\"n%d\",\"mark\":{\"type\":\"m\"}}", step->id); break;
	default: snprintf(json, sizeof(json), "{\"id\":\"n%d\",\"type\":\"m\"}", step->id); break;
	}
	CHECK(mf_transaction_add_json(transaction, mf_runtime_steps(the.runtime), types[step->type], json, &error) == MF_OK, "the step %s %s was not taken: %s", types[step->type], json, error.message);
}

static struct mf_transaction *make(const struct ref_event *event)
{
	struct mf_transaction *transaction;
	char key[24];
	snprintf(key, sizeof(key), "k%d", event->key);
	if (mf_transaction_new(&transaction) != MF_OK || (event->key && mf_transaction_set_key(transaction, key, NULL) != MF_OK))
		model_fail("a transaction could not be made");
	for (unsigned i = 0; event->action == REF_APPLY && i < event->step_count; i++)
		add_step(transaction, &event->steps[i]);
	return transaction;
}

/* ---- what the reference says ---- */
struct foretold {
	enum mf_status status;
	int64_t lsn; /* of a duplicate; of the document that is in conflict */
	bool same;
};

/* Keys of all items first, then item by item, then the guard. Appends the events to the log when they are to be stored. */
static struct foretold foretell(struct ref_event *events, size_t count, int64_t expect, bool refused)
{
	struct ref_log *log = &the.world->log;
	for (size_t i = 0; i < count; i++) {
		int64_t known = ref_find_key(log, events[i].key);
		if (known)
			return (struct foretold){MF_ERR_DUPLICATE_KEY, known, ref_same_content(&events[i], &log->events[known])};
		for (size_t j = 0; events[i].key && j < i; j++)
			if (events[j].key == events[i].key)
				return (struct foretold){MF_ERR_DUPLICATE_KEY, 0, ref_same_content(&events[i], &events[j])};
	}
	struct ref_state state;
	for (size_t i = 0; i < count; i++) {
		ref_state_at(log, events[i].doc, log->last + (int64_t)i, &state);
		if (expect != MF_EXPECT_ANY && i == 0 && expect != state.lsn)
			return (struct foretold){MF_ERR_CONFLICT, state.lsn, false};
		enum mf_status status = ref_apply(&state, &events[i]);
		if (status != MF_OK)
			return (struct foretold){status, 0, false};
		log->events[log->last + 1 + (int64_t)i] = events[i];
		log->events[log->last + 1 + (int64_t)i].batch = log->last + 1;
	}
	return (struct foretold){refused ? MF_ERR_PLUGIN : MF_OK, 0, false};
}

/* ---- what the library says ---- */
static void told(const struct foretold *foretold, enum mf_status status, const struct mf_error *error)
{
	if (model_excuses(status))
		return;
	CHECK(status == foretold->status, "expected %s, got %s (%s)", mf_status_name(foretold->status), mf_status_name(status), status ? error->message : "");
	if (status == MF_ERR_DUPLICATE_KEY && foretold->status == status)
		CHECK(error->lsn == foretold->lsn && error->same == foretold->same, "expected a duplicate of LSN %lld, %s, got LSN %lld, %s", (long long)foretold->lsn, foretold->same ? "same" : "other",
		      (long long)error->lsn, error->same ? "same" : "other");
	if (status == MF_ERR_CONFLICT && foretold->status == status)
		CHECK(error->found == foretold->lsn, "expected a conflict with LSN %lld, got %lld", (long long)foretold->lsn, (long long)error->found);
}

/* Stored and told so. */
static void acknowledged(int64_t lsn, bool synced)
{
	struct world *world = the.world;
	for (int64_t at = world->acked + 1; at <= lsn; at++)
		world->acked_at[at] = sim_now_us();
	if (lsn > world->acked)
		world->acked = lsn;
	if (synced && lsn > world->promised)
		world->promised = lsn;
}

void model_seen(int64_t lsn)
{
	if (lsn > 0)
		acknowledged(lsn, the.world->sync[lsn]);
}

/* Of the events behind last, before they are submitted. */
static void note_mode(int64_t last, int64_t lsn, bool sync)
{
	for (int64_t at = last + 1; at <= lsn; at++)
		the.world->sync[at] = sync;
}

static void hold(struct mf_ticket *ticket, int64_t lsn)
{
	for (unsigned i = 0; i < TICKETS; i++) {
		if (!the.tickets[i].ticket) {
			the.tickets[i] = (struct model_ticket){ticket, lsn};
			return;
		}
	}
	int64_t given;
	struct mf_error error;
	enum mf_status status = mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, &given, &error);
	CHECK(status == MF_OK && given == lsn, "expected LSN %lld of a ticket, got %s", (long long)lsn, mf_status_name(status));
	acknowledged(lsn, false);
	mf_ticket_unref(ticket);
}

static bool wait_for(struct mf_ticket *ticket, int64_t lsn, enum mf_level level, bool synced)
{
	int64_t given = 0;
	struct mf_error error = {0};
	enum mf_status status = mf_ticket_wait(ticket, level, MF_WAIT_FOREVER, &given, &error);
	model_trace(" -> %s %lld", mf_status_name(status), (long long)given);
	CHECK((status == MF_OK && given == lsn) || model_excuses(status), "expected LSN %lld, got %s %lld (%s)", (long long)lsn, mf_status_name(status), (long long)given, error.message);
	if (status == MF_OK)
		acknowledged(given, synced);
	return status == MF_OK;
}

/* Up to where it may be stored: a full disk stores nothing. */
static void refused(int64_t last, int64_t lsn)
{
	the.world->log.last = last;
	the.world->upper = the.ill == MODEL_BROKEN ? lsn : last;
}

struct submission {
	struct ref_event events[BATCH_MAX];
	size_t count;
	int64_t expect;
	bool refused, wait, as_batch;
	enum mf_commit_kind kind;
};

static enum mf_status submit(const struct submission *submission, struct mf_transaction **transactions, struct mf_ticket **out, struct mf_error *error)
{
	const struct ref_event *first = &submission->events[0];
	if (first->action != REF_APPLY)
		return mf_runtime_submit_undo(the.runtime, model_doc_name(first->doc), first->action == REF_UNDO ? MF_ACTION_UNDO : MF_ACTION_REDO, transactions[0], submission->kind, out, error);
	if (!submission->as_batch)
		return mf_runtime_submit(the.runtime, model_doc_name(first->doc), transactions[0], submission->kind, out, error);
	struct mf_batch_item items[BATCH_MAX];
	for (size_t i = 0; i < submission->count; i++)
		items[i] = (struct mf_batch_item){model_doc_name(submission->events[i].doc), transactions[i]};
	return mf_runtime_submit_batch(the.runtime, items, submission->count, submission->kind, out, error);
}

static void carry_out(struct submission *submission)
{
	struct world *world = the.world;
	struct mf_transaction *transactions[BATCH_MAX];
	struct mf_ticket *ticket = NULL;
	struct mf_error error = {0};
	struct foretold foretold = foretell(submission->events, submission->count, submission->expect, submission->refused);
	for (size_t i = 0; i < submission->count; i++)
		transactions[i] = make(&submission->events[i]);
	mf_transaction_set_expect(transactions[0], submission->expect);
	if (submission->refused)
		CHECK(mf_transaction_set_actor(transactions[submission->count - 1], REFUSED_ACTOR, NULL) == MF_OK, "no actor");
	int64_t lsn = world->log.last + (int64_t)submission->count;
	bool sync = submission->kind == MF_COMMIT_SYNC_DURABLE || the.kind == MF_COMMIT_SYNC_DURABLE;
	if (foretold.status == MF_OK)
		world->upper = lsn; /* if the process dies in it */
	note_mode(world->log.last, lsn, sync);
	model_trace("%zu of %s, first %s key %d, mode %d%s", submission->count, model_doc_name(submission->events[0].doc),
		    submission->events[0].action == REF_APPLY ? "apply" : submission->events[0].action == REF_UNDO ? "undo" : "redo", submission->events[0].key, (int)submission->kind,
		    submission->wait ? "" : ", not waited for");
	enum mf_status status = submit(submission, transactions, &ticket, &error);
	if (status != MF_OK)
		model_trace(" -> %s %lld %d", mf_status_name(status), (long long)error.lsn, (int)error.same);
	told(&foretold, status, &error);
	for (size_t i = 0; i < submission->count; i++)
		mf_transaction_free(transactions[i]);
	if (status != MF_OK && foretold.status == MF_OK)
		refused(world->log.last, lsn);
	if (status != MF_OK)
		return;
	world->log.last = lsn;
	if (!submission->wait) {
		hold(ticket, lsn);
		return;
	}
	if (!wait_for(ticket, lsn, MF_LEVEL_COMMITTED, sync))
		refused(lsn - (int64_t)submission->count, lsn);
	mf_ticket_unref(ticket);
}

static struct submission begin(bool wait)
{
	struct submission submission;
	memset(&submission, 0, sizeof(submission));
	submission.expect = MF_EXPECT_ANY;
	submission.wait = wait || the.ill != MODEL_WELL;
	submission.kind = random_kind();
	return submission;
}

static struct ref_event one(int doc)
{
	struct ref_state state;
	ref_state_at(&the.world->log, doc, the.world->log.last, &state);
	return random_event(doc, &state);
}

/* ---- the calls ---- */
void model_commit(void)
{
	struct submission submission = begin(true);
	int doc = (int)sim_below(REF_DOCS);
	submission.events[0] = one(doc);
	submission.count = 1;
	if (sim_below(4) == 0) {
		struct ref_state state;
		ref_state_at(&the.world->log, doc, the.world->log.last, &state);
		submission.expect = sim_below(2) ? state.lsn : (int64_t)sim_below((uint32_t)the.world->log.last + 2);
	}
	carry_out(&submission);
}

void model_submit(void)
{
	struct submission submission = begin(false);
	submission.events[0] = one((int)sim_below(REF_DOCS));
	submission.count = 1;
	carry_out(&submission);
}

void model_batch(void)
{
	struct submission submission = begin(sim_below(3) > 0);
	struct ref_state states[REF_DOCS];
	for (int doc = 0; doc < REF_DOCS; doc++)
		ref_state_at(&the.world->log, doc, the.world->log.last, &states[doc]);
	submission.count = 1 + sim_below(BATCH_MAX);
	submission.as_batch = true;
	for (size_t i = 0; i < submission.count; i++) {
		int doc = (int)sim_below(REF_DOCS);
		submission.events[i] = random_event(doc, &states[doc]);
		(void)ref_apply(&states[doc], &submission.events[i]);
	}
	if (sim_below(10) == 0 && submission.count > 1 && submission.events[0].key) /* a key twice */
		submission.events[submission.count - 1].key = submission.events[0].key;
	carry_out(&submission);
}

void model_refused(void)
{
	struct submission submission = begin(true);
	submission.events[0] = one((int)sim_below(REF_DOCS));
	submission.count = 1;
	submission.refused = true;
	carry_out(&submission);
}

/* A key that was used before: the same again, or something else under it. */
void model_resubmit(void)
{
	const struct ref_log *log = &the.world->log;
	if (log->last == 0)
		return;
	struct submission submission = begin(true);
	const struct ref_event *old = &log->events[1 + sim_below((uint32_t)log->last)];
	submission.events[0] = *old;
	if (sim_below(2)) {
		submission.events[0] = one((int)sim_below(REF_DOCS));
		submission.events[0].key = old->key;
	}
	submission.events[0].batch = 0;
	submission.count = 1;
	carry_out(&submission);
}

/* One with a key, through the general form; or several at once. */
void model_undo(void)
{
	struct world *world = the.world;
	struct ref_event event;
	struct ref_state state;
	memset(&event, 0, sizeof(event));
	event.doc = (int)sim_below(REF_DOCS);
	ref_state_at(&world->log, event.doc, world->log.last, &state);
	enum ref_action action = sim_below(2) && (state.redos > 0 || sim_below(4) == 0) ? REF_REDO : REF_UNDO;
	event.action = action;
	if (sim_below(3) == 0) {
		struct submission submission = begin(sim_below(2));
		submission.events[0] = event;
		submission.events[0].key = sim_below(2) ? ++the.next_key : 0;
		submission.count = 1;
		carry_out(&submission);
		return;
	}
	size_t n = 1 + sim_below(sim_below(4) ? 2 : 7);
	enum mf_status foretold = MF_OK;
	for (size_t i = 0; i < n && foretold == MF_OK; i++) {
		foretold = ref_apply(&state, &event);
		world->log.events[world->log.last + 1 + (int64_t)i] = event;
		world->log.events[world->log.last + 1 + (int64_t)i].batch = world->log.last + 1;
	}
	int64_t lsn = world->log.last + (int64_t)n, given = 0;
	if (foretold == MF_OK)
		world->upper = lsn;
	note_mode(world->log.last, lsn, the.kind == MF_COMMIT_SYNC_DURABLE);
	struct mf_error error = {0};
	model_trace("%s %zu of %s", action == REF_UNDO ? "undo" : "redo", n, model_doc_name(event.doc));
	enum mf_status status = (action == REF_UNDO ? mf_runtime_undo : mf_runtime_redo)(the.runtime, model_doc_name(event.doc), n, NULL, NULL, &given, &error);
	model_trace(" -> %s %lld", mf_status_name(status), (long long)given);
	CHECK((status == foretold && (status != MF_OK || given == lsn)) || model_excuses(status), "expected %s %lld, got %s %lld (%s)", mf_status_name(foretold), (long long)lsn, mf_status_name(status), (long long)given, error.message);
	if (status != MF_OK && foretold == MF_OK)
		refused(world->log.last, lsn);
	if (status != MF_OK)
		return;
	world->log.last = lsn;
	acknowledged(lsn, the.kind == MF_COMMIT_SYNC_DURABLE);
}

void model_wait(void)
{
	for (unsigned i = 0; i < TICKETS; i++) {
		if (!the.tickets[i].ticket || sim_below(3) == 0)
			continue;
		bool synced = the.kind != MF_COMMIT_MEMORY_ONLY && sim_below(3) == 0;
		model_trace("ticket of LSN %lld%s", (long long)the.tickets[i].lsn, synced ? " until it is synced" : "");
		wait_for(the.tickets[i].ticket, the.tickets[i].lsn, synced ? MF_LEVEL_SYNCED : MF_LEVEL_COMMITTED, synced);
		mf_ticket_unref(the.tickets[i].ticket);
		the.tickets[i].ticket = NULL;
	}
}

void model_wait_all(void)
{
	for (unsigned i = 0; i < TICKETS; i++) {
		if (!the.tickets[i].ticket)
			continue;
		wait_for(the.tickets[i].ticket, the.tickets[i].lsn, MF_LEVEL_COMMITTED, false);
		mf_ticket_unref(the.tickets[i].ticket);
		the.tickets[i].ticket = NULL;
	}
}
