/* Properties of all built-in steps, over random transactions: undo is exact, forms are identities, a
 * snapshot holds everything, what does not fit leaves the state untouched.
 *
 * MF_SEED=N repeats a run, MF_COUNT=N makes it longer or shorter (10,000 transactions). */
#include "tests/stepfactories/random_steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/delta.h"
#include "model/transaction.h"

#define HISTORY_LIMIT 50
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void check_same_doc(const struct mf_doc *doc, const struct mf_doc *wanted)
{
	struct mf_digest digest, wanted_digest;
	assert_int_equal(mf_doc_digest(doc, &digest), MF_OK);
	assert_int_equal(mf_doc_digest(wanted, &wanted_digest), MF_OK);
	if (memcmp(digest.bytes, wanted_digest.bytes, sizeof(digest.bytes)) == 0)
		return;
	char *tree = tree_of(doc), *wanted_tree = tree_of(wanted);
	assert_string_equal(tree, wanted_tree);
	fail_msg("equal trees have different digests");
}

#define CHAIN_MAX 8

struct run {
	struct random random;
	int64_t lsn;
	struct mf_state *state;
	uint64_t refused, by_type[7];
	struct mf_state *base, *newest;     /* base as it was read back; newest: up to where the differences go */
	struct mf_buffer chain[CHAIN_MAX];
	size_t chain_len;
};

/* The state becomes next, as after a commit. */
static void advance(struct run *run, struct mf_state *next)
{
	mf_state_set_lsn(next, ++run->lsn);
	mf_state_unref(run->state);
	run->state = next;
}

static struct mf_state *applied_state(const struct mf_state *state, const struct mf_transaction *transaction)
{
	struct mf_state *next;
	struct mf_error error = {0};
	if (mf_state_apply(state, transaction, &next, &error) != MF_OK)
		fail_msg("%s", error.message);
	return next;
}

/* One edit per step: what the state must come to, built another way. NULL when a step does not fit. */
static struct mf_doc *stepwise(struct mf_doc *doc, const struct mf_step *step)
{
	struct mf_edit *edit;
	struct mf_step *inverse;
	struct mf_doc *after = NULL;
	assert_int_equal(mf_edit_begin(doc, &edit), MF_OK);
	enum mf_status status = step->type->apply(step, edit, &inverse, NULL);
	if (status == MF_OK) {
		mf_step_unref(inverse);
		assert_int_equal(mf_edit_finish(edit, &after), MF_OK);
	} else {
		assert_int_equal(status, MF_ERR_INVALID);
		mf_edit_drop(edit);
	}
	mf_doc_unref(doc);
	return after;
}

/* A transaction of 1 to 5 steps; *out_doc is where it leads, NULL if it does not fit. */
static struct mf_transaction *random_transaction(struct run *run, struct mf_doc **out_doc)
{
	struct mf_transaction *transaction;
	struct mf_doc *doc = mf_doc_ref(mf_state_doc(run->state));
	assert_int_equal(mf_transaction_new(&transaction), MF_OK);
	for (uint64_t i = 0, n = 1 + random_below(&run->random, 5); i < n && doc; i++) {
		struct mf_step *step = random_step(&run->random, doc);
		check_forms(step);
		assert_int_equal(mf_transaction_add(transaction, step), MF_OK);
		doc = stepwise(doc, step);
		for (size_t type = 0; type < COUNT(run->by_type); type++)
			run->by_type[type] += doc && step->type == mf_step_registry_item(builtin_steps(), type);
		mf_step_unref(step);
	}
	*out_doc = doc;
	return transaction;
}

static void check_refusal(struct run *run, const struct mf_transaction *transaction)
{
	struct mf_state *next = NULL;
	struct mf_error error = {0};
	char *before = tree_of(mf_state_doc(run->state));
	size_t undo_depth = mf_state_undo_depth(run->state), redo_depth = mf_state_redo_depth(run->state);
	assert_int_equal(mf_state_apply(run->state, transaction, &next, &error), MF_ERR_INVALID);
	assert_null(next);
	assert_true(error.message[0] != '\0');
	char *after = tree_of(mf_state_doc(run->state));
	assert_string_equal(after, before);
	assert_int_equal(mf_state_undo_depth(run->state), undo_depth);
	assert_int_equal(mf_state_redo_depth(run->state), redo_depth);
	mf_free(before);
	mf_free(after);
	run->refused++;
}

static void check_forms_of(const struct mf_transaction *transaction)
{
	for (size_t i = 0; i < mf_transaction_step_count(transaction); i++)
		check_forms(mf_transaction_step(transaction, i));
}

typedef enum mf_status make_back(const struct mf_state *state, struct mf_transaction **out, struct mf_error *error);

/* Undo or redo: the document must become wanted. */
static void go(struct run *run, make_back *make, const struct mf_doc *wanted)
{
	struct mf_transaction *transaction;
	assert_int_equal(make(run->state, &transaction, NULL), MF_OK);
	check_forms_of(transaction);
	advance(run, applied_state(run->state, transaction));
	check_same_doc(mf_state_doc(run->state), wanted);
	mf_transaction_free(transaction);
}

static void one_transaction(struct run *run)
{
	struct mf_doc *wanted, *before = mf_doc_ref(mf_state_doc(run->state));
	struct mf_transaction *transaction = random_transaction(run, &wanted);
	if (wanted) {
		advance(run, applied_state(run->state, transaction));
		check_same_doc(mf_state_doc(run->state), wanted);
		go(run, mf_state_make_undo, before);
		if (random_below(&run->random, 10) > 0)
			go(run, mf_state_make_redo, wanted);
		mf_doc_unref(wanted);
	} else {
		check_refusal(run, transaction);
	}
	mf_transaction_free(transaction);
	mf_doc_unref(before);
}

static struct mf_state *restored(const struct mf_buffer *bytes)
{
	struct mf_unpack in = {.at = bytes->bytes, .end = bytes->bytes + bytes->len};
	struct mf_state *state;
	struct mf_error error = {0};
	if (mf_unpack_state(&in, builtin_steps(), HISTORY_LIMIT, &state, &error) != MF_OK)
		fail_msg("%s", error.message);
	assert_ptr_equal(in.at, in.end);
	return state;
}

/* The run goes on from the restored state. */
static void snapshot_and_restore(struct run *run)
{
	struct mf_buffer bytes = {0}, again = {0};
	assert_int_equal(mf_pack_state(&bytes, run->state), MF_OK);
	struct mf_state *state = restored(&bytes);
	check_same_doc(mf_state_doc(state), mf_state_doc(run->state));
	assert_int_equal(mf_state_lsn(state), mf_state_lsn(run->state));
	assert_int_equal(mf_state_undo_depth(state), mf_state_undo_depth(run->state));
	assert_int_equal(mf_state_redo_depth(state), mf_state_redo_depth(run->state));
	assert_int_equal(mf_pack_state(&again, state), MF_OK);
	assert_int_equal(again.len, bytes.len);
	assert_memory_equal(again.bytes, bytes.bytes, bytes.len);
	mf_buffer_deinit(&bytes);
	mf_buffer_deinit(&again);
	mf_state_unref(run->state);
	run->state = state;
}

static void forget_chain(struct run *run)
{
	mf_state_unref(run->base);
	mf_state_unref(run->newest);
	run->base = run->newest = NULL;
	while (run->chain_len > 0)
		mf_buffer_deinit(&run->chain[--run->chain_len]);
}

static void begin_chain(struct run *run)
{
	struct mf_buffer bytes = {0};
	forget_chain(run);
	assert_int_equal(mf_pack_state(&bytes, run->state), MF_OK);
	run->base = restored(&bytes);
	run->newest = mf_state_ref(run->state);
	mf_buffer_deinit(&bytes);
}

static struct mf_state *follow_chain(const struct run *run)
{
	struct mf_state_reading how = {.registry = builtin_steps(), .history_limit = HISTORY_LIMIT};
	struct mf_patch *patch;
	struct mf_state *state;
	struct mf_error error = {0};
	assert_int_equal(mf_patch_new(run->base, &how, &patch), MF_OK);
	for (size_t i = 0; i < run->chain_len; i++) {
		struct mf_unpack in = {.at = run->chain[i].bytes, .end = run->chain[i].bytes + run->chain[i].len};
		if (mf_patch_add(patch, &in, &error) != MF_OK)
			fail_msg("%s", error.message);
		assert_ptr_equal(in.at, in.end);
	}
	if (mf_patch_finish(patch, &state, &error) != MF_OK)
		fail_msg("%s", error.message);
	mf_patch_free(patch);
	assert_int_equal(how.dropped, 0);
	return state;
}

/* One difference more; the base with all of them must be the state, to the byte. */
static void extend_chain(struct run *run)
{
	struct mf_buffer wanted = {0}, is = {0};
	bool fits = false;
	if (!run->base || run->chain_len == CHAIN_MAX)
		begin_chain(run);
	if (mf_state_lsn(run->newest) == mf_state_lsn(run->state))
		return;
	assert_int_equal(mf_pack_delta(&run->chain[run->chain_len], run->newest, run->state, SIZE_MAX / 2, &fits), MF_OK);
	assert_true(fits);
	run->chain_len++;
	struct mf_state *state = follow_chain(run);
	check_same_doc(mf_state_doc(state), mf_state_doc(run->state));
	assert_int_equal(mf_pack_state(&wanted, run->state), MF_OK);
	assert_int_equal(mf_pack_state(&is, state), MF_OK);
	assert_int_equal(is.len, wanted.len);
	assert_memory_equal(is.bytes, wanted.bytes, wanted.len);
	mf_buffer_deinit(&wanted);
	mf_buffer_deinit(&is);
	mf_state_unref(state);
	mf_state_unref(run->newest);
	run->newest = mf_state_ref(run->state);
}

/* All the way back and forth again, over stacks that went through a snapshot. */
static void undo_and_redo_everything(struct run *run)
{
	struct mf_doc *docs[HISTORY_LIMIT + 1];
	size_t depth = 0;
	while (mf_state_undo_depth(run->state) > 0) {
		struct mf_transaction *transaction;
		docs[depth++] = mf_doc_ref(mf_state_doc(run->state));
		assert_int_equal(mf_state_make_undo(run->state, &transaction, NULL), MF_OK);
		advance(run, applied_state(run->state, transaction));
		mf_transaction_free(transaction);
	}
	while (depth > 0) {
		go(run, mf_state_make_redo, docs[--depth]);
		mf_doc_unref(docs[depth]);
	}
}

static void f12_random_transactions_are_undone_stored_and_restored_exactly(void **state)
{
	(void)state;
	uint64_t seed = from_environment("MF_SEED", (uint64_t)time(NULL)), count = from_environment("MF_COUNT", 10000);
	struct run run = {.random = {seed}};
	print_message("# MF_SEED=%llu MF_COUNT=%llu\n", (unsigned long long)seed, (unsigned long long)count);
	assert_int_equal(mf_state_new(HISTORY_LIMIT, &run.state), MF_OK);
	for (uint64_t i = 1; i <= count; i++) {
		one_transaction(&run);
		if (random_below(&run.random, 8) == 0)
			extend_chain(&run);
		if (i % 100 == 0)
			snapshot_and_restore(&run);
		if (i % 1000 == 0)
			undo_and_redo_everything(&run);
	}
	forget_chain(&run);
	print_message("# %llu refused\n", (unsigned long long)run.refused);
	for (size_t type = 0; count >= 1000 && type < COUNT(run.by_type); type++)
		assert_true(run.by_type[type] > count / 100);
	assert_true(count < 1000 || (run.refused > 0 && run.refused < count / 2));
	mf_state_unref(run.state);
}

static void f19_every_built_in_type_is_registered_and_recovers(void **state)
{
	(void)state;
	static const struct {
		const char *type_id, *data;
	} steps[] = {
		{"insert_node", "{'parent':'root','node':{'id':'a','type':'p','attrs':{'text':'hello'}}}"},
		{"insert_node", "{'parent':'root','index':0,'node':{'id':'b','type':'p'}}"},
		{"update_attrs", "{'id':'a','set':{'k':[1,1.0,null]}}"},
		{"add_mark", "{'id':'a','mark':{'type':'bold'}}"},
		{"add_mark", "{'id':'b','mark':{'type':'bold'}}"},
		{"remove_mark", "{'id':'b','type':'bold'}"},
		{"replace_text", "{'id':'a','pos':5,'delete':0,'insert':'!'}"},
		{"move_node", "{'id':'b','parent':'a'}"},
		{"delete_node", "{'id':'b'}"},
	};
	assert_int_equal(mf_step_registry_count(builtin_steps()), 7);
	struct mf_doc *doc = doc_of(NULL);
	for (size_t i = 0; i < COUNT(steps); i++) {
		const struct mf_step_type *type = mf_step_registry_find(builtin_steps(), steps[i].type_id, strlen(steps[i].type_id));
		assert_non_null(type);
		assert_int_equal(type->version, 1);
		struct mf_step *step = step_of(steps[i].type_id, steps[i].data), *recovered, *inverse;
		struct mf_buffer bytes = {0};
		assert_int_equal(type->encode(step, &bytes), MF_OK);
		assert_int_equal(type->decode(type, bytes.bytes, bytes.len, &recovered, NULL), MF_OK);
		struct mf_doc *after = applied(doc, recovered, &inverse);
		mf_doc_unref(doc);
		doc = after;
		mf_step_unref(inverse);
		mf_step_unref(recovered);
		mf_step_unref(step);
		mf_buffer_deinit(&bytes);
	}
	struct mf_doc *wanted = doc_of("[{'id':'a','type':'p','attrs':{'k':[1,1.0,null],'text':'hello!'},'marks':[{'type':'bold'}]}]");
	check_same_doc(doc, wanted);
	mf_doc_unref(wanted);
	mf_doc_unref(doc);
}

static void f19_an_unknown_type_is_an_error(void **state)
{
	(void)state;
	struct mf_value *data = value_of("{'id':'a'}");
	struct mf_step *step;
	struct mf_error error = {0};
	assert_int_equal(mf_step_registry_create(builtin_steps(), "insert_nod", 10, data, &step, &error), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "insert_nod"));
	mf_value_unref(data);
}

static int tear_down(void **state)
{
	(void)state;
	builtin_steps_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(f19_every_built_in_type_is_registered_and_recovers),
		cmocka_unit_test(f19_an_unknown_type_is_an_error),
		cmocka_unit_test(f12_random_transactions_are_undone_stored_and_restored_exactly),
	};
	return cmocka_run_group_tests(tests, NULL, tear_down);
}
