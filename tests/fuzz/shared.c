#include "tests/fuzz/target.h"

#include <string.h>

#include "model/state.h"
#include "model/transaction.h"

#define HISTORY_LIMIT 1000
#define WALK_MAX 8 /* undos of one state */

/* ---- the document ---- */

static const char children[] =
	"[{\"id\":\"a\",\"type\":\"p\",\"attrs\":{\"text\":\"one \u00e9\u20ac\U0001f600 two\",\"n\":1,\"x\":1.5},\"marks\":[{\"type\":\"bold\",\"attrs\":{\"by\":\"ann\"}}]},"
	"{\"id\":\"b\",\"type\":\"list\",\"children\":[{\"id\":\"c\",\"type\":\"item\"},{\"id\":\"d\",\"type\":\"item\",\"children\":[{\"id\":\"e\",\"type\":\"p\",\"attrs\":{\"text\":\"\"}}]}]}]";

static void insert_child(struct mf_edit *edit, const struct mf_value *child)
{
	struct mf_fragment *fragment;
	fuzz_expect(mf_fragment_from_value(child, &fragment, NULL), MF_OK, MF_OK);
	fuzz_expect(mf_edit_insert(edit, MF_ROOT_ID, strlen(MF_ROOT_ID), MF_APPEND, fragment, NULL), MF_OK, MF_OK);
	mf_fragment_unref(fragment);
}

static struct mf_doc *make_document(void)
{
	struct mf_doc *doc;
	struct mf_edit *edit;
	struct mf_value *nodes;
	fuzz_expect(mf_value_parse_json(children, strlen(children), &nodes, NULL), MF_OK, MF_OK);
	fuzz_expect(mf_doc_new(&doc), MF_OK, MF_OK);
	fuzz_expect(mf_edit_begin(doc, &edit), MF_OK, MF_OK);
	for (size_t i = 0; i < mf_value_count(nodes); i++)
		insert_child(edit, mf_value_item(nodes, i));
	mf_doc_unref(doc);
	fuzz_expect(mf_edit_finish(edit, &doc), MF_OK, MF_OK);
	mf_value_unref(nodes);
	return doc;
}

const struct mf_state *fuzz_document(void)
{
	static struct mf_state *state;
	if (!state)
		fuzz_expect(mf_state_new_take(make_document(), 1, HISTORY_LIMIT, &state), MF_OK, MF_OK);
	return state;
}

/* ---- promises ---- */

void fuzz_expect(enum mf_status status, enum mf_status a, enum mf_status b)
{
	if (status != a && status != b)
		__builtin_trap();
}

static struct mf_digest digest_of(const struct mf_state *state)
{
	struct mf_digest digest;
	fuzz_expect(mf_doc_digest(mf_state_doc(state), &digest), MF_OK, MF_OK);
	return digest;
}

static void expect_same(const struct mf_state *a, const struct mf_state *b)
{
	struct mf_digest left = digest_of(a), right = digest_of(b);
	if (memcmp(left.bytes, right.bytes, MF_DIGEST_BYTES) != 0)
		__builtin_trap();
}

/* Committed, as far as the state can tell; NULL: refused. */
static struct mf_state *applied(const struct mf_state *state, const struct mf_transaction *transaction)
{
	struct mf_state *after;
	enum mf_status status = mf_state_apply(state, transaction, &after, NULL);
	fuzz_expect(status, MF_OK, MF_ERR_INVALID);
	if (status != MF_OK)
		return NULL;
	int64_t lsn = mf_state_lsn(state);
	mf_state_set_lsn(after, lsn < INT64_MAX ? lsn + 1 : lsn);
	return after;
}

typedef enum mf_status make(const struct mf_state *state, struct mf_transaction **out, struct mf_error *error);

/* NULL: the stack is empty, or its top does not fit. */
static struct mf_state *stepped(const struct mf_state *state, make *make_transaction)
{
	struct mf_transaction *transaction;
	enum mf_status status = make_transaction(state, &transaction, NULL);
	fuzz_expect(status, MF_OK, MF_ERR_STATE);
	if (status != MF_OK)
		return NULL;
	struct mf_state *after = applied(state, transaction);
	mf_transaction_free(transaction);
	return after;
}

/* after is one step from before: back by the one way, forth by the other. */
static void expect_exact(const struct mf_state *before, const struct mf_state *after, make *back, make *forth)
{
	struct mf_state *again = stepped(after, back);
	if (!again)
		__builtin_trap();
	expect_same(again, before);
	struct mf_state *last = stepped(again, forth);
	if (!last)
		__builtin_trap();
	expect_same(last, after);
	mf_state_unref(last);
	mf_state_unref(again);
}

void fuzz_apply(const struct mf_state *state, const struct mf_transaction *transaction)
{
	struct mf_state *after = applied(state, transaction);
	if (!after)
		return;
	expect_exact(state, after, mf_state_make_undo, mf_state_make_redo);
	mf_state_unref(after);
}

void fuzz_walk_stacks(const struct mf_state *state)
{
	struct mf_state *at = mf_state_ref(state), *next = stepped(at, mf_state_make_redo);
	if (next)
		expect_exact(at, next, mf_state_make_undo, mf_state_make_redo);
	mf_state_unref(next);
	for (int i = 0; i < WALK_MAX && (next = stepped(at, mf_state_make_undo)); i++) {
		expect_exact(at, next, mf_state_make_redo, mf_state_make_undo);
		mf_state_unref(at);
		at = next;
	}
	mf_state_unref(at);
}
