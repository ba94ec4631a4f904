#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model/mem.h"
#include "model/transaction.h"
#include "model/tree.h"
#include "small_steps.h"

/* ---- apply ---- */
static void a_new_state_is_empty(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(10);
	assert_int_equal(mf_state_lsn(state), 0);
	assert_int_equal(mf_state_undo_depth(state), 0);
	assert_int_equal(mf_state_redo_depth(state), 0);
	assert_int_equal(mf_state_history_limit(state), 10);
	assert_int_equal(mf_doc_node_count(mf_state_doc(state)), 1);
	mf_state_unref(state);
	mf_state_unref(NULL);
}

static void apply_makes_a_new_state_and_leaves_the_old_one(void **unused)
{
	(void)unused;
	struct mf_state *old = small_state_new(10), *next;
	struct mf_digest before = small_steps_digest(old);
	struct mf_transaction *transaction = small_transaction_new();
	ADD_SET(transaction, "root", "n", 5);
	assert_int_equal(mf_state_apply(old, transaction, &next, NULL), MF_OK);
	small_assert_digest(old, &before);
	assert_int_equal(mf_state_undo_depth(old), 0);
	assert_int_equal(small_number_in(next), 5);
	assert_int_equal(mf_state_undo_depth(next), 1);
	mf_transaction_free(transaction);
	mf_state_unref(old);
	mf_state_unref(next);
}

static void a_state_has_no_lsn_until_it_is_committed(void **unused)
{
	(void)unused;
	struct mf_state *old = small_state_new(10), *next;
	struct mf_transaction *transaction = small_transaction_new();
	ADD_SET(transaction, "root", "n", 5);
	assert_int_equal(mf_state_apply(old, transaction, &next, NULL), MF_OK);
	assert_int_equal(mf_state_lsn(next), -1);
	mf_state_set_lsn(next, 7);
	assert_int_equal(mf_state_lsn(next), 7);
	assert_int_equal(mf_state_lsn(old), 0);
	mf_transaction_free(transaction);
	mf_state_unref(old);
	mf_state_unref(next);
}

static void a_step_that_does_not_fit_refuses_the_whole_transaction_by_number(void **unused)
{
	(void)unused;
	struct mf_state *state = small_set_number(small_state_new(10), 1, 1), *next = NULL;
	struct mf_digest before = small_steps_digest(state);
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_error error = {0};
	ADD_SET(transaction, "root", "n", 2);
	ADD_INSERT(transaction, "root", 0, "a");
	ADD_SET(transaction, "nobody", "n", 3);
	assert_int_equal(mf_state_apply(state, transaction, &next, &error), MF_ERR_INVALID);
	assert_ptr_equal(strstr(error.message, "step 3 (test_set): "), error.message);
	assert_non_null(strstr(error.message, "nobody"));
	assert_int_equal(mf_state_apply(state, transaction, &next, NULL), MF_ERR_INVALID);
	assert_null(next);
	small_assert_digest(state, &before);
	assert_int_equal(mf_state_undo_depth(state), 1);
	mf_transaction_free(transaction);
	mf_state_unref(state);
}

static void a_step_type_that_breaks_its_rules_is_reported(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(10), *next = NULL;
	struct mf_transaction *silent = small_transaction_new(), *oneway = small_transaction_new();
	struct mf_error error = {0};
	small_steps_add(silent, small_registry, "test_refuse", "{}");
	assert_int_equal(mf_state_apply(state, silent, &next, &error), MF_ERR_INVALID);
	assert_string_equal(error.message, "step 1 (test_refuse): MF_ERR_INVALID");
	small_steps_add(oneway, small_registry, "test_oneway", "{}");
	assert_int_equal(mf_state_apply(state, oneway, &next, &error), MF_ERR_PLUGIN);
	assert_non_null(strstr(error.message, "test_oneway"));
	assert_null(next);
	mf_transaction_free(silent);
	mf_transaction_free(oneway);
	mf_state_unref(state);
}

static void a_transaction_without_steps_is_invalid_whatever_its_action(void **unused)
{
	(void)unused;
	struct mf_state *state = small_set_number(small_state_new(10), 1, 1), *next = NULL;
	for (int action = MF_ACTION_APPLY; action <= MF_ACTION_REDO; action++) {
		struct mf_transaction *transaction = small_transaction_new();
		mf_transaction_set_action(transaction, (enum mf_action)action, action ? 1 : 0);
		assert_int_equal(mf_state_apply(state, transaction, &next, NULL), MF_ERR_INVALID);
		assert_int_equal(small_replay(state, transaction, 9, &next), MF_ERR_INVALID);
		mf_transaction_free(transaction);
	}
	assert_null(next);
	mf_state_unref(state);
}

/* ---- undo and redo ---- */
static void undo_and_redo_move_through_the_events(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(10);
	for (int i = 1; i <= 3; i++)
		state = small_set_number(state, i, i);
	state = small_undo(small_undo(state, 4), 5);
	assert_int_equal(small_number_in(state), 1);
	assert_int_equal(mf_state_undo_depth(state), 1);
	assert_int_equal(mf_state_redo_depth(state), 2);
	assert_int_equal(mf_state_lsn(state), 5);
	state = small_redo(state, 6);
	assert_int_equal(small_number_in(state), 2);
	state = small_redo(state, 7);
	assert_int_equal(small_number_in(state), 3);
	assert_int_equal(mf_state_undo_depth(state), 3);
	assert_int_equal(mf_state_redo_depth(state), 0);
	state = small_undo(small_undo(small_undo(state, 8), 9), 10);
	assert_int_equal(small_number_in(state), -1);
	mf_state_unref(state);
}

static void undo_and_redo_name_the_apply_event(void **unused)
{
	(void)unused;
	struct mf_state *state = small_set_number(small_set_number(small_state_new(10), 1, 11), 2, 12);
	struct mf_transaction *transaction;
	for (int64_t lsn = 13; lsn < 19; lsn += 2) {
		assert_int_equal(mf_state_make_undo(state, &transaction, NULL), MF_OK);
		assert_int_equal(mf_transaction_action(transaction), MF_ACTION_UNDO);
		assert_int_equal(mf_transaction_source_lsn(transaction), 12);
		state = small_steps_commit(state, transaction, lsn);
		assert_int_equal(mf_state_make_redo(state, &transaction, NULL), MF_OK);
		assert_int_equal(mf_transaction_action(transaction), MF_ACTION_REDO);
		assert_int_equal(mf_transaction_source_lsn(transaction), 12);
		state = small_steps_commit(state, transaction, lsn + 1);
	}
	mf_state_unref(state);
}

static void a_new_event_clears_what_could_be_redone(void **unused)
{
	(void)unused;
	struct mf_state *state = small_undo(small_set_number(small_set_number(small_state_new(10), 1, 1), 2, 2), 3);
	struct mf_transaction *transaction;
	state = small_set_number(state, 9, 4);
	assert_int_equal(mf_state_redo_depth(state), 0);
	assert_int_equal(mf_state_undo_depth(state), 2);
	assert_int_equal(mf_state_make_redo(state, &transaction, NULL), MF_ERR_STATE);
	state = small_undo(state, 5);
	assert_int_equal(small_number_in(state), 1);
	mf_state_unref(state);
}

static void empty_stacks_have_nothing_to_offer(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(10);
	struct mf_transaction *transaction = NULL;
	struct mf_error error = {0};
	assert_int_equal(mf_state_make_undo(state, &transaction, &error), MF_ERR_STATE);
	assert_non_null(strstr(error.message, "undo"));
	assert_int_equal(mf_state_make_redo(state, &transaction, &error), MF_ERR_STATE);
	assert_non_null(strstr(error.message, "redo"));
	assert_null(transaction);
	mf_state_unref(state);
}

static void an_event_that_is_not_committed_yet_is_busy_and_its_lsn_reaches_later_states(void **unused)
{
	(void)unused;
	struct mf_state *old = small_state_new(10), *first, *second;
	struct mf_transaction *one = small_transaction_new(), *two = small_transaction_new(), *taken;
	ADD_SET(one, "root", "n", 1);
	ADD_SET(two, "root", "n", 2);
	assert_int_equal(mf_state_apply(old, one, &first, NULL), MF_OK);
	assert_int_equal(mf_state_apply(first, two, &second, NULL), MF_OK);
	assert_int_equal(mf_state_make_undo(second, &taken, NULL), MF_ERR_BUSY);
	mf_state_set_lsn(first, 1);
	assert_int_equal(mf_state_make_undo(second, &taken, NULL), MF_ERR_BUSY);
	mf_state_set_lsn(second, 2);
	second = small_undo(second, 3);
	assert_int_equal(mf_state_make_undo(second, &taken, NULL), MF_OK);
	assert_int_equal(mf_transaction_source_lsn(taken), 1);
	mf_transaction_free(taken);
	mf_transaction_free(one);
	mf_transaction_free(two);
	mf_state_unref(old);
	mf_state_unref(first);
	mf_state_unref(second);
}

/* Whoever sees the LSN of a state also sees that of the entry it pushed. */
static void *undo_when_committed(void *user)
{
	const struct mf_state *next = user;
	struct mf_transaction *transaction = NULL;
	while (mf_state_lsn(next) < 0)
		sched_yield();
	return mf_state_make_undo(next, &transaction, NULL) == MF_OK ? transaction : NULL;
}

static void a_thread_that_sees_the_commit_can_undo_it(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(10);
	for (int64_t lsn = 1; lsn <= 50; lsn++) {
		struct mf_transaction *transaction = small_transaction_new();
		struct mf_state *next;
		pthread_t thread;
		void *made;
		ADD_SET(transaction, "root", "n", (int)lsn);
		assert_int_equal(mf_state_apply(state, transaction, &next, NULL), MF_OK);
		assert_int_equal(pthread_create(&thread, NULL, undo_when_committed, next), 0);
		mf_state_set_lsn(next, lsn);
		assert_int_equal(pthread_join(thread, &made), 0);
		assert_non_null(made);
		assert_int_equal(mf_transaction_source_lsn(made), lsn);
		mf_transaction_free(made);
		mf_transaction_free(transaction);
		mf_state_unref(state);
		state = next;
	}
	mf_state_unref(state);
}

static void several_undos_can_be_made_before_the_first_is_committed(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(10), *steps[4];
	for (int i = 1; i <= 3; i++)
		state = small_set_number(state, i, i);
	steps[0] = state;
	for (int i = 0; i < 3; i++) {
		struct mf_transaction *transaction;
		assert_int_equal(mf_state_make_undo(steps[i], &transaction, NULL), MF_OK);
		assert_int_equal(mf_transaction_source_lsn(transaction), 3 - i);
		assert_int_equal(mf_state_apply(steps[i], transaction, &steps[i + 1], NULL), MF_OK);
		mf_transaction_free(transaction);
	}
	for (int i = 1; i <= 3; i++)
		mf_state_set_lsn(steps[i], 3 + i);
	assert_int_equal(small_number_in(steps[3]), -1);
	assert_int_equal(mf_state_redo_depth(steps[3]), 3);
	for (int i = 0; i < 4; i++)
		mf_state_unref(steps[i]);
}

static void an_undo_that_does_not_fit_the_top_is_refused(void **unused)
{
	(void)unused;
	struct mf_state *state = small_set_number(small_set_number(small_state_new(10), 1, 1), 2, 2), *next = NULL;
	struct mf_transaction *stale;
	assert_int_equal(mf_state_make_undo(state, &stale, NULL), MF_OK);
	state = small_undo(state, 3); /* somebody was faster */
	assert_int_equal(mf_state_apply(state, stale, &next, NULL), MF_ERR_STATE);
	assert_int_equal(small_replay(state, stale, 9, &next), MF_ERR_STATE);
	mf_transaction_set_action(stale, MF_ACTION_REDO, 1);
	assert_int_equal(mf_state_apply(state, stale, &next, NULL), MF_ERR_STATE);
	mf_transaction_set_action(stale, MF_ACTION_UNDO, -1);
	assert_int_equal(mf_state_apply(state, stale, &next, NULL), MF_ERR_STATE);
	state = small_undo(state, 4);
	mf_transaction_set_action(stale, MF_ACTION_UNDO, -1);
	assert_int_equal(small_replay(state, stale, 9, &next), MF_ERR_STATE); /* a replay may have less to undo, but never what is no event */
	mf_transaction_set_action(stale, MF_ACTION_UNDO, 1);
	assert_int_equal(mf_state_apply(state, stale, &next, NULL), MF_ERR_STATE); /* the stack is empty */
	assert_null(next);
	mf_transaction_free(stale);
	mf_state_unref(state);
}

/* ---- f12: exactness ---- */
static void f12_undo_takes_the_steps_back_in_reverse_order(void **unused)
{
	(void)unused;
	struct mf_state *state = small_set_number(small_state_new(10), 1, 1);
	struct mf_digest before = small_steps_digest(state), after;
	struct mf_transaction *transaction = small_transaction_new();
	ADD_SET(transaction, "root", "n", 2);
	ADD_SET(transaction, "root", "n", 3);
	ADD_INSERT(transaction, "root", 0, "a");
	ADD_INSERT(transaction, "a", 0, "b");
	ADD_SET(transaction, "b", "n", 4);
	state = small_steps_commit(state, transaction, 2);
	after = small_steps_digest(state);
	for (int64_t lsn = 3; lsn < 9; lsn += 2) {
		state = small_undo(state, lsn);
		small_assert_digest(state, &before);
		state = small_redo(state, lsn + 1);
		small_assert_digest(state, &after);
	}
	mf_state_unref(state);
}

static void f12_undo_unsets_what_was_not_there(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(10);
	struct mf_digest before = small_steps_digest(state);
	state = small_undo(small_set_number(state, 1, 1), 2);
	assert_int_equal(mf_node_attr_count(mf_doc_root(mf_state_doc(state))), 0);
	small_assert_digest(state, &before);
	mf_state_unref(state);
}

static void f12_undo_puts_a_subtree_back_in_its_place(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(10);
	struct mf_transaction *transaction = small_transaction_new();
	static const char *const ids[] = {"a", "b", "c", "d", "e"};
	for (int i = 0; i < 5; i++)
		ADD_INSERT(transaction, "root", i, ids[i]);
	ADD_INSERT(transaction, "b", 0, "b2");
	ADD_INSERT(transaction, "b", 0, "b1");
	ADD_SET(transaction, "b1", "x", 1);
	state = small_steps_commit(state, transaction, 1);
	struct mf_digest before = small_steps_digest(state);
	transaction = small_transaction_new();
	small_steps_add(transaction, small_registry, "test_remove", "{\"id\":\"b\"}");
	small_steps_add(transaction, small_registry, "test_remove", "{\"id\":\"a\"}");
	state = small_steps_commit(state, transaction, 2);
	assert_int_equal(mf_doc_node_count(mf_state_doc(state)), 4);
	state = small_undo(state, 3);
	small_assert_digest(state, &before);
	const struct mf_doc *doc = mf_state_doc(state);
	assert_int_equal(mf_doc_index(doc, mf_doc_find(doc, "b", 1)), 1);
	assert_int_equal(mf_doc_index(doc, mf_doc_find(doc, "b2", 2)), 1);
	mf_state_unref(state);
}

static void f12_an_event_that_changes_nothing_is_undone_as_one(void **unused)
{
	(void)unused;
	struct mf_state *state = small_set_number(small_state_new(10), 1, 1);
	struct mf_transaction *transaction = small_transaction_new();
	ADD_UNSET(transaction, "root", "not there");
	state = small_steps_commit(state, transaction, 2);
	assert_int_equal(mf_state_undo_depth(state), 2);
	state = small_undo(state, 3);
	assert_int_equal(small_number_in(state), 1);
	assert_int_equal(mf_state_undo_depth(state), 1);
	assert_int_equal(mf_state_redo_depth(state), 1);
	state = small_undo(state, 4);
	assert_int_equal(small_number_in(state), -1);
	mf_state_unref(state);
}

/* ---- out of memory ---- */
static enum mf_status walk(struct mf_state *start, const struct mf_transaction *transaction)
{
	struct mf_state *next = NULL, *back = NULL;
	struct mf_transaction *undoing = NULL;
	enum mf_status status = mf_state_apply(start, transaction, &next, NULL);
	if (status == MF_OK) {
		mf_state_set_lsn(next, 2);
		status = mf_state_make_undo(next, &undoing, NULL);
	}
	if (status == MF_OK)
		status = mf_state_apply(next, undoing, &back, NULL);
	mf_transaction_free(undoing);
	mf_state_unref(next);
	mf_state_unref(back);
	return status;
}

static void every_failed_allocation_leaves_the_old_state(void **unused)
{
	(void)unused;
	struct mf_state *state = small_set_number(small_state_new(10), 1, 1);
	struct mf_digest before = small_steps_digest(state);
	struct mf_transaction *transaction = small_transaction_new();
	ADD_SET(transaction, "root", "n", 2);
	ADD_INSERT(transaction, "root", 0, "a");
	ADD_SET(transaction, "a", "n", 3);
	for (int forever = 0; forever < 2; forever++) {
		uint64_t n = 0, reached;
		do {
			mf_tree_trim();
			mf_mem_fail_at(++n, forever);
			enum mf_status status = walk(state, transaction);
			reached = mf_mem_count();
			mf_mem_fail_at(0, false);
			small_assert_digest(state, &before);
			assert_int_equal(mf_state_undo_depth(state), 1);
			/* a shrink that fails is no failure, so MF_OK does not end the loop */
			assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && reached >= n));
		} while (reached >= n);
		assert_true(n > 20);
	}
	enum mf_status replayed = MF_ERR_NO_MEMORY;
	for (uint64_t n = 1; replayed != MF_OK; n++) {
		struct mf_replayer *replayer = NULL;
		struct mf_state *next = NULL;
		mf_tree_trim();
		mf_mem_fail_at(n, false);
		replayed = mf_replayer_new(state, &replayer);
		if (replayed == MF_OK && (replayed = mf_replayer_apply(replayer, transaction, 2, NULL)) != MF_OK)
			mf_replayer_free(replayer);
		else if (replayed == MF_OK)
			next = mf_replayer_finish(replayer);
		mf_mem_fail_at(0, false);
		assert_true(replayed == MF_OK ? mf_state_lsn(next) == 2 : replayed == MF_ERR_NO_MEMORY);
		mf_state_unref(next);
	}
	mf_replayer_free(NULL);
	mf_mem_fail_at(1, true);
	struct mf_state *none;
	assert_int_equal(mf_state_new(10, &none), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	mf_transaction_free(transaction);
	mf_state_unref(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_state_is_empty),
		cmocka_unit_test(apply_makes_a_new_state_and_leaves_the_old_one),
		cmocka_unit_test(a_state_has_no_lsn_until_it_is_committed),
		cmocka_unit_test(a_step_that_does_not_fit_refuses_the_whole_transaction_by_number),
		cmocka_unit_test(a_step_type_that_breaks_its_rules_is_reported),
		cmocka_unit_test(a_transaction_without_steps_is_invalid_whatever_its_action),
		cmocka_unit_test(undo_and_redo_move_through_the_events),
		cmocka_unit_test(undo_and_redo_name_the_apply_event),
		cmocka_unit_test(a_new_event_clears_what_could_be_redone),
		cmocka_unit_test(empty_stacks_have_nothing_to_offer),
		cmocka_unit_test(an_event_that_is_not_committed_yet_is_busy_and_its_lsn_reaches_later_states),
		cmocka_unit_test(a_thread_that_sees_the_commit_can_undo_it),
		cmocka_unit_test(several_undos_can_be_made_before_the_first_is_committed),
		cmocka_unit_test(an_undo_that_does_not_fit_the_top_is_refused),
		cmocka_unit_test(f12_undo_takes_the_steps_back_in_reverse_order),
		cmocka_unit_test(f12_undo_unsets_what_was_not_there),
		cmocka_unit_test(f12_undo_puts_a_subtree_back_in_its_place),
		cmocka_unit_test(f12_an_event_that_changes_nothing_is_undone_as_one),
		cmocka_unit_test(every_failed_allocation_leaves_the_old_state),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
