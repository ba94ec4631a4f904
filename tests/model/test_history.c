#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "model/history.h"
#include "model/state.h"
#include "model/transaction.h"
#include "small_steps.h"

/* ---- the limit ---- */
static void at_the_limit_the_oldest_entry_falls_off(void **unused)
{
	(void)unused;
	for (size_t limit = 1; limit < 8; limit++) {
		struct mf_state *state = small_state_new(limit);
		int64_t lsn = 0;
		while (lsn < 20) {
			lsn++;
			state = small_set_number(state, (int)lsn, lsn);
			assert_int_equal(mf_state_undo_depth(state), (size_t)lsn < limit ? (size_t)lsn : limit);
		}
		for (size_t i = 0; i < limit; i++)
			state = small_undo(state, ++lsn);
		assert_int_equal(small_number_in(state), 20 - (int)limit);
		assert_int_equal(mf_state_undo_depth(state), 0);
		assert_int_equal(mf_state_redo_depth(state), limit);
		state = small_redo(state, ++lsn);
		assert_int_equal(small_number_in(state), 21 - (int)limit);
		mf_state_unref(state);
	}
}

static void a_limit_of_zero_keeps_no_history(void **unused)
{
	(void)unused;
	struct mf_state *state = small_set_number(small_state_new(0), 1, 1);
	struct mf_transaction *transaction;
	assert_int_equal(mf_state_lsn(state), 1);
	assert_int_equal(mf_state_undo_depth(state), 0);
	assert_int_equal(mf_state_make_undo(state, &transaction, NULL), MF_ERR_STATE);
	mf_state_unref(state);
}

static void a_long_history_keeps_no_more_than_twice_its_limit(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(100);
	for (int i = 1; i <= 1000; i++)
		state = small_set_number(state, i, i);
	size_t kept = 0;
	for (const struct mf_entry *entry = state->undo.recent; entry; entry = entry->next)
		kept++;
	for (const struct mf_entry *entry = state->undo.older; entry; entry = entry->next)
		kept++;
	assert_in_range(kept, 100, 200);
	mf_state_unref(state);
}

static void a_million_entries_are_freed_without_recursion(void **unused)
{
	(void)unused;
	struct mf_stack stack = {0};
	for (int i = 0; i < 1000000; i++) {
		struct mf_entry *entry;
		assert_int_equal(mf_entry_new(0, i, 0, &entry), MF_OK);
		mf_stack_push_take(&stack, 1000000, entry);
	}
	assert_int_equal(stack.depth, 1000000);
	mf_stack_unref(&stack);
}

static void replay_accepts_stored_undos_that_a_smaller_limit_no_longer_has(void **unused)
{
	(void)unused;
	for (size_t limit = 0; limit <= 6; limit++) {
		struct mf_state *live = small_state_new(100), *copy = small_state_new(limit), *next;
		for (int i = 1; i <= 18; i++) {
			struct mf_transaction *transaction;
			if (i <= 6) {
				transaction = small_transaction_new();
				ADD_SET(transaction, "root", "n", i);
			} else if (i <= 12)
				assert_int_equal(mf_state_make_undo(live, &transaction, NULL), MF_OK);
			else
				assert_int_equal(mf_state_make_redo(live, &transaction, NULL), MF_OK);
			assert_int_equal(small_replay(copy, transaction, i, &next), MF_OK);
			mf_state_unref(copy);
			copy = next;
			live = small_steps_commit(live, transaction, i);
			assert_int_equal(small_number_in(copy), small_number_in(live));
			assert_in_range(mf_state_undo_depth(copy), 0, limit);
		}
		assert_int_equal(mf_state_undo_depth(copy), limit);
		for (size_t i = 0; i < limit; i++)
			copy = small_undo(copy, 19 + (int64_t)i);
		assert_int_equal(small_number_in(copy), limit == 6 ? -1 : 6 - (int)limit);
		mf_state_unref(live);
		mf_state_unref(copy);
	}
}

/* ---- random sequences ---- */
#define LIMIT 20
#define EVENTS 3000

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Some node of the document: down from the root for a random while. */
static const struct mf_node *random_node(const struct mf_doc *doc, uint64_t *seed)
{
	const struct mf_node *node = mf_doc_root(doc);
	while (mf_node_child_count(node) > 0 && next_random(seed) % 4 != 0)
		node = mf_doc_child(doc, node, next_random(seed) % mf_node_child_count(node));
	return node;
}

static void add_random_step(struct mf_transaction *transaction, const struct mf_state *state, uint64_t *seed, unsigned number)
{
	const struct mf_doc *doc = mf_state_doc(state);
	const struct mf_node *node = random_node(doc, seed);
	const char *id = mf_node_id(node, NULL);
	switch (next_random(seed) % 6) {
	case 0:
	case 1:
	case 2: {
		char fresh[32];
		snprintf(fresh, sizeof(fresh), "n%u", number);
		ADD_INSERT(transaction, id, (int)(next_random(seed) % (mf_node_child_count(node) + 1)), fresh);
		break;
	}
	case 3: small_steps_add(transaction, small_registry, "test_remove", "{\"id\":\"%s\"}", id); break;
	case 4: ADD_SET(transaction, id, next_random(seed) % 2 ? "x" : "y", (int)(next_random(seed) % 5)); break;
	case 5: ADD_UNSET(transaction, id, next_random(seed) % 2 ? "x" : "y"); break;
	}
}

/* What the history must look like: one digest for each event that is not undone, and for those that are. */
struct expected {
	struct mf_digest digests[EVENTS + 1];
	size_t now, newest; /* indexes of the present digest and the last one that can be redone */
	size_t undo_depth;
};

static void expect_apply(struct expected *expected, const struct mf_state *state)
{
	expected->digests[++expected->now] = small_steps_digest(state);
	expected->newest = expected->now;
	if (expected->undo_depth < LIMIT)
		expected->undo_depth++;
}

static void assert_as_expected(const struct expected *expected, const struct mf_state *state)
{
	small_assert_digest(state, &expected->digests[expected->now]);
	assert_int_equal(mf_state_undo_depth(state), expected->undo_depth);
	assert_int_equal(mf_state_redo_depth(state), expected->newest - expected->now);
}

static struct mf_state *random_apply(struct mf_state *state, struct expected *expected, uint64_t *seed, int64_t *lsn)
{
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_state *next;
	unsigned steps = 1 + (unsigned)(next_random(seed) % 4);
	for (unsigned i = 0; i < steps; i++)
		add_random_step(transaction, state, seed, (unsigned)*lsn * 8 + i);
	/* the steps were made for the old state one by one: some transactions do not fit, and must change nothing */
	enum mf_status status = mf_state_apply(state, transaction, &next, NULL);
	mf_transaction_free(transaction);
	if (status != MF_OK) {
		assert_int_equal(status, MF_ERR_INVALID);
		return state;
	}
	mf_state_set_lsn(next, ++*lsn);
	mf_state_unref(state);
	expect_apply(expected, next);
	return next;
}

static struct mf_state *random_event(struct mf_state *state, struct expected *expected, uint64_t *seed, int64_t *lsn)
{
	unsigned choice = (unsigned)(next_random(seed) % 10);
	if (choice < 5)
		return random_apply(state, expected, seed, lsn);
	if (choice < 8 && expected->undo_depth > 0) {
		expected->undo_depth--;
		expected->now--;
		return small_undo(state, ++*lsn);
	}
	if (choice >= 8 && expected->now < expected->newest) {
		expected->undo_depth++;
		expected->now++;
		return small_redo(state, ++*lsn);
	}
	return state;
}

static void f12_random_events_undone_and_redone_give_the_recorded_digests(void **unused)
{
	(void)unused;
	static struct expected expected;
	for (uint64_t first_seed = 1; first_seed <= 3; first_seed++) {
		uint64_t seed = first_seed * 7919;
		int64_t lsn = 0;
		struct mf_state *state = small_state_new(LIMIT);
		memset(&expected, 0, sizeof(expected));
		expected.digests[0] = small_steps_digest(state);
		for (unsigned i = 0; i < EVENTS; i++) {
			state = random_event(state, &expected, &seed, &lsn);
			assert_as_expected(&expected, state);
		}
		assert_true(lsn > EVENTS / 2);
		mf_state_unref(state);
	}
}

static void an_entry_that_overflows_is_out_of_memory(void **unused)
{
	(void)unused;
	struct mf_entry *entry = NULL;
	assert_int_equal(mf_entry_new(SIZE_MAX / sizeof(void *), 1, 1, &entry), MF_ERR_NO_MEMORY);
	assert_null(entry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_the_limit_the_oldest_entry_falls_off),
		cmocka_unit_test(a_limit_of_zero_keeps_no_history),
		cmocka_unit_test(a_long_history_keeps_no_more_than_twice_its_limit),
		cmocka_unit_test(a_million_entries_are_freed_without_recursion),
		cmocka_unit_test(replay_accepts_stored_undos_that_a_smaller_limit_no_longer_has),
		cmocka_unit_test(f12_random_events_undone_and_redone_give_the_recorded_digests),
		cmocka_unit_test(an_entry_that_overflows_is_out_of_memory),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
