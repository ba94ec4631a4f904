#include "tests/fuzz/calls_model.h"

#include <stdio.h>
#include <string.h>

#include "model/transaction.h"
#include "tests/fuzz/target.h"

static struct mf_digest empty; /* of a document that nobody wrote */

static void take_digest(const struct mf_state *state, struct mf_digest *out)
{
	fuzz_expect(mf_doc_digest(mf_state_doc(state), out), MF_OK, MF_OK);
}

void model_init(struct model *model, size_t history_limit)
{
	memset(model, 0, sizeof(*model));
	model->history_limit = history_limit;
	for (int i = 0; i < CALLS_DOCS; i++) {
		fuzz_expect(mf_state_new(history_limit, &model->docs[i].state), MF_OK, MF_OK);
		take_digest(model->docs[i].state, &model->docs[i].digest);
	}
	empty = model->docs[0].digest;
}

void model_deinit(struct model *model)
{
	for (int i = 0; i < CALLS_DOCS; i++)
		mf_state_unref(model->docs[i].state);
}

/* ---- requests ---- */

struct step_text {
	const char *type;
	char data[256];
};

static void write_step(const struct request_step *step, struct step_text *out)
{
	static const char *const types[] = {"insert_node", "delete_node", "move_node", "update_attrs", "replace_text", "add_mark", "remove_mark"};
	char parent[16] = "root", *data = out->data;
	size_t kind = step->kind % (sizeof(types) / sizeof(types[0])), size = sizeof(out->data);
	unsigned node = step->node % 8, other = step->other % 8, value = step->value;
	out->type = types[kind];
	if (step->other & 8)
		snprintf(parent, sizeof(parent), "n%u", other);
	switch (kind) {
	case 0: snprintf(data, size, "{\"parent\":\"%s\",\"node\":{\"id\":\"n%u\",\"type\":\"p\",\"attrs\":{\"text\":\"some text %u\"}}}", parent, node, value); break;
	case 1: snprintf(data, size, "{\"id\":\"n%u\"}", node); break;
	case 2: snprintf(data, size, "{\"id\":\"n%u\",\"parent\":\"%s\",\"index\":%u}", node, parent, value % 4); break;
	case 3: snprintf(data, size, "{\"id\":\"n%u\",\"set\":{\"a%u\":%u},\"unset\":[\"a%u\"]}", node, other, value, (other + 1) % 8); break;
	case 4: snprintf(data, size, "{\"id\":\"n%u\",\"pos\":%u,\"delete\":%u,\"insert\":\"%u\"}", node, value % 16, other % 4, value); break;
	case 5: snprintf(data, size, "{\"id\":\"n%u\",\"mark\":{\"type\":\"m%u\",\"attrs\":{\"v\":%u}}}", node, other, value); break;
	default: snprintf(data, size, "{\"id\":\"n%u\",\"type\":\"m%u\"}", node, other);
	}
}

static void add_step(struct mf_transaction *transaction, const struct request_step *step)
{
	struct step_text text;
	write_step(step, &text);
	fuzz_expect(mf_transaction_add_json(transaction, fuzz_steps(), text.type, text.data, NULL), MF_OK, MF_OK);
}

static bool same_step(const struct request_step *a, const struct request_step *b)
{
	struct step_text one, other;
	write_step(a, &one);
	write_step(b, &other);
	return one.type == other.type && strcmp(one.data, other.data) == 0;
}

struct mf_transaction *request_transaction(const struct request *request)
{
	struct mf_transaction *transaction;
	fuzz_expect(mf_transaction_new(&transaction), MF_OK, MF_OK);
	mf_transaction_set_expect(transaction, request->expect);
	for (size_t i = 0; i < request->steps && request->action == MF_ACTION_APPLY; i++)
		add_step(transaction, &request->step[i]);
	return transaction;
}

/* ---- answers ---- */

static bool same_content(const struct request *a, const struct request *b)
{
	if (a->doc != b->doc || a->action != b->action)
		return false;
	if (a->action != MF_ACTION_APPLY)
		return true;
	bool same = a->steps == b->steps;
	for (size_t i = 0; i < a->steps && same; i++)
		same = same_step(&a->step[i], &b->step[i]);
	return same;
}

static int64_t fact_of(const struct model *model, int key)
{
	for (int64_t lsn = 1; lsn <= model->last_lsn; lsn++)
		if (model->facts[lsn].request.key == key)
			return lsn;
	return 0;
}

static bool known_key(const struct model *model, const struct request *requests, size_t count, int64_t *out_known, bool *out_same)
{
	for (size_t i = 0; i < count; i++) {
		if (requests[i].key < 0)
			continue;
		*out_known = fact_of(model, requests[i].key);
		*out_same = *out_known && same_content(&model->facts[*out_known].request, &requests[i]);
		if (*out_known)
			return true;
		for (size_t k = 0; k < i; k++)
			if (requests[k].key == requests[i].key)
				return true;
	}
	return false;
}

/* A document while a batch is tried. */
struct trial {
	struct mf_state *state; /* the model's, or a later one */
	size_t undos, redos;
	int64_t lsn;
	bool moved; /* by an earlier request of the batch: it has no LSN to expect */
};

static enum mf_status try_request(struct trial *trial, const struct request *request, int64_t next_lsn, size_t limit)
{
	struct mf_state *after;
	struct mf_transaction *transaction = NULL;
	enum mf_status status = MF_OK;
	bool undo = request->action == MF_ACTION_UNDO;
	if (request->expect != MF_EXPECT_ANY && (trial->moved || request->expect != trial->lsn))
		return trial->moved ? MF_ERR_INVALID : MF_ERR_CONFLICT;
	if (request->action == MF_ACTION_APPLY) {
		transaction = request_transaction(request);
		if (request->steps == 0)
			status = MF_ERR_INVALID;
	} else {
		size_t left = undo ? trial->undos : trial->redos;
		status = (undo ? mf_state_make_undo : mf_state_make_redo)(trial->state, &transaction, NULL);
		if ((left == 0) != (status == MF_ERR_STATE))
			__builtin_trap(); /* the document counts otherwise than the model */
	}
	if (status == MF_OK)
		status = mf_state_apply(trial->state, transaction, &after, NULL);
	mf_transaction_free(transaction);
	if (status != MF_OK)
		return status;
	mf_state_set_lsn(after, next_lsn);
	mf_state_unref(trial->state);
	trial->state = after;
	trial->lsn = next_lsn;
	trial->moved = true;
	trial->redos = request->action == MF_ACTION_APPLY ? 0 : undo ? trial->redos + 1 : trial->redos - 1;
	trial->undos = undo ? trial->undos - 1 : trial->undos + 1;
	if (trial->undos > limit)
		trial->undos = limit;
	return MF_OK;
}

static void begin_trials(const struct model *model, struct trial trials[CALLS_DOCS])
{
	for (int i = 0; i < CALLS_DOCS; i++) {
		const struct model_doc *doc = &model->docs[i];
		trials[i] = (struct trial){.state = mf_state_ref(doc->state), .undos = doc->undo.count, .redos = doc->redo.count, .lsn = doc->lsn};
	}
}

static void end_trials(struct trial trials[CALLS_DOCS])
{
	for (int i = 0; i < CALLS_DOCS; i++)
		mf_state_unref(trials[i].state);
}

enum mf_status model_ask(const struct model *model, const struct request *requests, size_t count, int64_t *out_known, bool *out_same)
{
	struct trial trials[CALLS_DOCS];
	enum mf_status status = MF_OK;
	*out_known = 0;
	*out_same = false;
	if (known_key(model, requests, count, out_known, out_same))
		return MF_ERR_DUPLICATE_KEY;
	begin_trials(model, trials);
	for (size_t i = 0; i < count && status == MF_OK; i++)
		status = try_request(&trials[requests[i].doc], &requests[i], model->last_lsn + 1 + (int64_t)i, model->history_limit);
	end_trials(trials);
	return status;
}

/* ---- facts ---- */

static void push(struct moves *moves, const struct move *move, size_t limit)
{
	if (moves->count == limit)
		memmove(moves->items, moves->items + 1, --moves->count * sizeof(moves->items[0]));
	moves->items[moves->count++] = *move;
}

static void expect_digest(const struct mf_digest *found, const struct mf_digest *wanted, const char *what)
{
	if (memcmp(found->bytes, wanted->bytes, MF_DIGEST_BYTES) == 0)
		return;
	fprintf(stderr, "%s led to another document than the one it should lead to\n", what);
	__builtin_trap();
}

static void move_along(const struct model *model, struct model_doc *doc, enum mf_action action, const struct mf_digest *after)
{
	struct move move = {doc->digest, *after};
	if (action == MF_ACTION_APPLY) {
		push(&doc->undo, &move, model->history_limit);
		doc->redo.count = 0;
		return;
	}
	bool undo = action == MF_ACTION_UNDO;
	struct moves *from = undo ? &doc->undo : &doc->redo;
	move = from->items[--from->count];
	expect_digest(after, undo ? &move.before : &move.after, undo ? "an undo" : "a redo");
	push(undo ? &doc->redo : &doc->undo, &move, model->history_limit);
}

void model_take(struct model *model, const struct request *requests, size_t count)
{
	struct trial trials[CALLS_DOCS];
	begin_trials(model, trials);
	for (size_t i = 0; i < count; i++) {
		const struct request *request = &requests[i];
		struct model_doc *doc = &model->docs[request->doc];
		struct fact *fact = &model->facts[++model->last_lsn];
		fuzz_expect(try_request(&trials[request->doc], request, model->last_lsn, model->history_limit), MF_OK, MF_OK);
		fact->request = *request;
		take_digest(trials[request->doc].state, &fact->digest);
		move_along(model, doc, request->action, &fact->digest);
		doc->digest = fact->digest;
		doc->lsn = model->last_lsn;
		mf_state_unref(doc->state);
		doc->state = mf_state_ref(trials[request->doc].state);
	}
	end_trials(trials);
}

const struct mf_digest *model_at(const struct model *model, int doc, int64_t lsn)
{
	for (; lsn > 0; lsn--)
		if (model->facts[lsn].request.doc == doc)
			return &model->facts[lsn].digest;
	return &empty;
}
