/* Recovery, preflight and compaction over a memory store behind the fake one. */
#include <stdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "fake_store.h"
#include "model/mem.h"
#include "model/transaction.h"
#include "model/tree.h"
#include "persist/recovery.h"
#include "small_steps.h"
#include <moduforge/value.h>

#define DOC "doc"
#define ANOTHER "another"

static struct mf_persist_options options;

static int64_t store_one(struct fake_store *fake, const char *doc_id, const struct mf_transaction *transaction)
{
	struct mf_event event;
	void *memory;
	int64_t lsn;
	assert_int_equal(mf_event_encode(doc_id, transaction, &options, &event, &memory, NULL), MF_OK);
	assert_int_equal(mf_store_append(&fake->base, &event, &lsn, NULL), MF_OK);
	mf_free(memory);
	return lsn;
}

static void give_key(struct mf_transaction *transaction)
{
	static int number;
	char key[32];
	snprintf(key, sizeof(key), "key-%d", ++number);
	assert_int_equal(mf_transaction_set_key(transaction, key, NULL), MF_OK);
	mf_transaction_set_id(transaction, (uint64_t)number);
}

/* Applies, stores, and takes the transaction. */
static struct mf_state *step_on(struct fake_store *fake, const char *doc_id, struct mf_state *state, struct mf_transaction *transaction)
{
	give_key(transaction);
	int64_t lsn = store_one(fake, doc_id, transaction);
	return small_steps_commit(state, transaction, lsn);
}

static struct mf_state *insert(struct fake_store *fake, const char *doc_id, struct mf_state *state)
{
	static int number;
	char id[32];
	struct mf_transaction *transaction = small_transaction_new();
	snprintf(id, sizeof(id), "node-%d", ++number);
	ADD_INSERT(transaction, "root", 0, id);
	return step_on(fake, doc_id, state, transaction);
}

static struct mf_state *take_back(struct fake_store *fake, const char *doc_id, struct mf_state *state)
{
	struct mf_transaction *transaction;
	assert_int_equal(mf_state_make_undo(state, &transaction, NULL), MF_OK);
	return step_on(fake, doc_id, state, transaction);
}

/* n events of DOC, those of another document between them. */
static struct mf_state *write_history(struct fake_store *fake, struct mf_state *state, int n)
{
	struct mf_state *another = small_state_new(100);
	for (int i = 0; i < n; i++) {
		state = i % 5 == 4 ? take_back(fake, DOC, state) : insert(fake, DOC, state);
		if (i % 3 == 0)
			another = insert(fake, ANOTHER, another);
	}
	mf_state_unref(another);
	return state;
}

static void take_snapshot(struct fake_store *fake, const struct mf_state *state)
{
	struct mf_snapshot snapshot;
	assert_int_equal(mf_snapshot_encode(DOC, state, &options, &snapshot, NULL), MF_OK);
	assert_int_equal(mf_store_write_snapshot(&fake->base, &snapshot, NULL), MF_OK);
	mf_snapshot_deinit(&snapshot);
}

static enum mf_status recover(struct fake_store *fake, int64_t at_lsn, struct mf_state **out, struct mf_recovery_report *out_report, struct mf_error *error)
{
	struct mf_recovery_options recovery = {.batch = 7, .history_limit = 100, .at_lsn = at_lsn, .want_digest = true};
	return mf_recover_state(&fake->base, DOC, small_registry, &recovery, out, out_report, error);
}

static void assert_recovers(struct fake_store *fake, const struct mf_state *expected, int64_t at_lsn, struct mf_recovery_report *out_report)
{
	struct mf_state *state;
	struct mf_error error = {0};
	struct mf_digest digest = small_steps_digest(expected);
	if (recover(fake, at_lsn, &state, out_report, &error) != MF_OK)
		fail_msg("%s", error.message);
	small_assert_digest(state, &digest);
	assert_memory_equal(&out_report->digest, &digest, sizeof(digest));
	assert_int_equal(mf_state_lsn(state), mf_state_lsn(expected));
	assert_int_equal(out_report->lsn, mf_state_lsn(expected));
	assert_int_equal(mf_state_undo_depth(state), mf_state_undo_depth(expected));
	assert_int_equal(mf_state_redo_depth(state), mf_state_redo_depth(expected));
	mf_state_unref(state);
}

static enum mf_status fails(struct fake_store *fake, int64_t at_lsn, struct mf_error *error)
{
	struct mf_state *state = NULL;
	enum mf_status status = recover(fake, at_lsn, &state, NULL, error);
	assert_null(state);
	return status;
}

/* ---- the normal path ---- */

static void a_document_without_events_is_new(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = small_state_new(100);
	struct mf_recovery_report report;
	assert_recovers(fake, state, 0, &report);
	assert_recovers(fake, state, 5, &report);
	assert_int_equal(report.events_replayed, 0);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void every_event_is_replayed_in_pages(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 60);
	struct mf_recovery_report report;
	assert_recovers(fake, state, 0, &report);
	assert_int_equal(report.events_replayed, 60);
	assert_int_equal(report.snapshot_lsn, 0);
	assert_int_equal(fake->largest_page, 7); /* p06: never more than a page */
	mf_state_unref(state);
	fake_store_free(fake);
}

static void f16_the_newest_snapshot_is_read_once_and_rolled_forward(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 20);
	take_snapshot(fake, state);
	state = write_history(fake, state, 20);
	take_snapshot(fake, state);
	int64_t newest = mf_state_lsn(state);
	state = write_history(fake, state, 7);
	struct mf_recovery_report report;
	assert_recovers(fake, state, 0, &report);
	assert_int_equal(report.snapshot_lsn, newest);
	assert_int_equal(report.events_replayed, 7);
	assert_int_equal(report.damaged_snapshots, 0);
	assert_int_equal(fake->snapshots_read, 1);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void a_state_of_the_past_comes_back_at_every_lsn(void **unused)
{
	(void)unused;
	enum { EVENTS = 25 };
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *states[EVENTS + 1] = {small_state_new(100)};
	struct mf_recovery_report report;
	for (int i = 0; i < EVENTS; i++) {
		states[i + 1] = i % 4 == 3 ? take_back(fake, DOC, mf_state_ref(states[i])) : insert(fake, DOC, mf_state_ref(states[i]));
		if (i == 10)
			take_snapshot(fake, states[i + 1]);
	}
	for (int i = 1; i <= EVENTS; i++) {
		assert_recovers(fake, states[i], i, &report);
		assert_int_equal(report.snapshot_lsn, i < 11 ? 0 : 11);
	}
	assert_recovers(fake, states[EVENTS], 1000, &report);
	assert_int_equal(fails(fake, -1, NULL), MF_ERR_INVALID);
	for (int i = 0; i <= EVENTS; i++)
		mf_state_unref(states[i]);
	fake_store_free(fake);
}

static void at_the_lsn_of_another_document_a_state_is_that_of_its_event_before(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = insert(fake, DOC, small_state_new(100)), *another = insert(fake, ANOTHER, small_state_new(100));
	struct mf_recovery_report report;
	struct mf_state *before = mf_state_ref(state);
	state = insert(fake, DOC, state);
	assert_int_equal(mf_state_lsn(another), 2);
	assert_recovers(fake, before, 2, &report);
	mf_state_unref(before);
	mf_state_unref(state);
	mf_state_unref(another);
	fake_store_free(fake);
}

static void p13_what_was_done_before_the_restart_can_be_undone(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *empty = small_state_new(100), *state = mf_state_ref(empty), *recovered;
	struct mf_digest nothing = small_steps_digest(empty);
	for (int i = 0; i < 6; i++)
		state = insert(fake, DOC, state);
	take_snapshot(fake, state);
	state = insert(fake, DOC, state);
	assert_int_equal(recover(fake, 0, &recovered, NULL, NULL), MF_OK);
	for (int i = 0; i < 7; i++)
		recovered = take_back(fake, DOC, recovered);
	small_assert_digest(recovered, &nothing);
	mf_state_unref(recovered);
	mf_state_unref(state);
	mf_state_unref(empty);
	fake_store_free(fake);
}

static void a_history_limit_that_was_lowered_does_not_stop_recovery(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = small_state_new(100), *recovered;
	for (int i = 0; i < 6; i++)
		state = insert(fake, DOC, state);
	for (int i = 0; i < 4; i++)
		state = take_back(fake, DOC, state);
	struct mf_digest digest = small_steps_digest(state);
	struct mf_recovery_options lower = {.batch = 7, .history_limit = 2};
	assert_int_equal(mf_recover_state(&fake->base, DOC, small_registry, &lower, &recovered, NULL, NULL), MF_OK);
	small_assert_digest(recovered, &digest);
	mf_state_unref(recovered);
	mf_state_unref(state);
	fake_store_free(fake);
}

/* ---- damage ---- */

static void p04_damaged_snapshots_are_passed_over(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 10);
	int64_t lsns[3];
	struct mf_recovery_report report;
	for (int i = 0; i < 3; i++) {
		take_snapshot(fake, state);
		lsns[i] = mf_state_lsn(state);
		state = write_history(fake, state, 10);
	}
	fake->spoiled_snapshots[0] = lsns[2];
	assert_recovers(fake, state, 0, &report);
	assert_int_equal(report.snapshot_lsn, lsns[1]);
	assert_int_equal(report.damaged_snapshots, 1);
	fake->refused_snapshot = lsns[1]; /* by the store, that does not say which one */
	assert_recovers(fake, state, 0, &report);
	assert_int_equal(report.snapshot_lsn, lsns[0]);
	assert_int_equal(report.damaged_snapshots, 2);
	fake->spoiled_snapshots[1] = lsns[0];
	assert_recovers(fake, state, 0, &report);
	assert_int_equal(report.snapshot_lsn, 0);
	assert_int_equal(report.damaged_snapshots, 3);
	assert_int_equal(report.events_replayed, 40);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void a_damaged_snapshot_whose_events_are_gone_is_corrupted(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 10);
	struct mf_error error = {0};
	take_snapshot(fake, state);
	fake->spoiled_snapshots[0] = mf_state_lsn(state);
	assert_int_equal(mf_store_compact(&fake->base, DOC, mf_state_lsn(state), NULL), MF_OK);
	assert_int_equal(fails(fake, 0, &error), MF_ERR_CORRUPTED); /* never an empty document */
	assert_non_null(strstr(error.message, "gone"));
	assert_int_equal(error.lsn, mf_state_lsn(state));
	state = insert(fake, DOC, state);
	assert_int_equal(fails(fake, 0, &error), MF_ERR_CORRUPTED);
	assert_int_equal(fails(fake, mf_state_lsn(state), &error), MF_ERR_CORRUPTED);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void a_damaged_event_stops_with_document_and_lsn(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 20);
	struct mf_event_list list;
	struct mf_error error = {0};
	assert_int_equal(mf_store_load_since(&fake->base, DOC, 10, 1, &list, NULL), MF_OK);
	fake->spoiled_lsn = list.events[0].lsn;
	mf_event_list_deinit(&list);
	assert_int_equal(fails(fake, 0, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, fake->spoiled_lsn);
	assert_non_null(strstr(error.message, "'" DOC "'"));
	mf_state_unref(state);
	fake_store_free(fake);
}

static void a_missing_event_is_seen_wherever_it_is(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 20);
	struct mf_event_list list;
	assert_int_equal(mf_store_load_since(&fake->base, DOC, 0, 1000, &list, NULL), MF_OK);
	assert_int_equal(list.count, 20);
	for (size_t i = 0; i < list.count; i++) {
		struct mf_error error = {0};
		fake->hidden_lsn = list.events[i].lsn;
		assert_int_equal(fails(fake, 0, &error), MF_ERR_CORRUPTED);
		assert_int_equal(error.lsn, i + 1 < list.count ? list.events[i + 1].lsn : list.events[i].lsn);
		assert_int_equal(error.expected, list.events[i].lsn);
		assert_int_equal(error.found, list.events[i].prev_lsn);
	}
	mf_event_list_deinit(&list);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void stored_steps_that_do_not_apply_are_corrupted(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = insert(fake, DOC, small_state_new(100));
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_error error = {0};
	small_steps_add(transaction, small_registry, "test_remove", "{\"id\":\"nobody\"}");
	give_key(transaction);
	int64_t lsn = store_one(fake, DOC, transaction);
	assert_int_equal(fails(fake, 0, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, lsn);
	assert_non_null(strstr(error.message, "'" DOC "'"));
	mf_transaction_free(transaction);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void f15_a_read_error_is_an_error_and_no_missing_snapshot(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 5);
	struct mf_error error = {0};
	take_snapshot(fake, state);
	fake->read_error = MF_ERR_IO;
	assert_int_equal(fails(fake, 0, &error), MF_ERR_IO);
	assert_int_equal(error.status, MF_ERR_IO);
	mf_state_unref(state);
	fake_store_free(fake);
}

/* ---- unknown step types ---- */

static void f19_every_missing_type_is_listed_with_count_and_first_lsn(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = small_state_new(100);
	struct mf_step_registry *poor;
	struct mf_error error = {0};
	struct mf_recovery_options recovery = {0};
	assert_int_equal(mf_step_registry_new(&poor), MF_OK);
	assert_int_equal(mf_step_registry_add(poor, small_steps_set(), NULL), MF_OK);
	mf_step_registry_freeze(poor);
	struct mf_transaction *transaction = small_transaction_new();
	ADD_SET(transaction, "root", "a", 1);
	state = step_on(fake, DOC, state, transaction); /* 1: known */
	state = insert(fake, DOC, state);               /* 2 */
	state = insert(fake, DOC, state);               /* 3 */
	state = take_back(fake, DOC, state);            /* 4: a test_remove */
	struct mf_state *recovered = NULL;
	assert_int_equal(mf_recover_state(&fake->base, DOC, poor, &recovery, &recovered, NULL, &error), MF_ERR_UNKNOWN_STEP);
	assert_null(recovered);
	assert_non_null(strstr(error.message, "'test_insert' (2 steps, first LSN 2)"));
	assert_non_null(strstr(error.message, "'test_remove' (1 steps, first LSN 4)"));
	assert_int_equal(mf_preflight(&fake->base, poor, &error), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "test_remove"));
	assert_int_equal(mf_preflight(&fake->base, small_registry, &error), MF_OK);
	take_snapshot(fake, state);
	assert_int_equal(mf_preflight(&fake->base, poor, &error), MF_OK); /* only what comes after the newest snapshot is asked for */
	mf_step_registry_free(poor);
	mf_state_unref(state);
	fake_store_free(fake);
}

/* ---- compaction ---- */

static int64_t events_left(struct fake_store *fake)
{
	struct mf_event_list list;
	assert_int_equal(mf_store_load_since(&fake->base, DOC, 0, 10000, &list, NULL), MF_OK);
	int64_t count = (int64_t)list.count;
	mf_event_list_deinit(&list);
	return count;
}

static enum mf_status compact(struct fake_store *fake, int64_t *out_upto, struct mf_error *error)
{
	return mf_compact_document(&fake->base, DOC, small_registry, &options, out_upto, error);
}

static void too_few_snapshots_delete_nothing(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 10);
	int64_t upto = -1;
	assert_int_equal(compact(fake, &upto, NULL), MF_OK);
	assert_int_equal(upto, 0);
	take_snapshot(fake, state);
	assert_int_equal(compact(fake, &upto, NULL), MF_OK);
	assert_int_equal(upto, 0);
	assert_int_equal(events_left(fake), 10);
	mf_state_unref(state);
	fake_store_free(fake);
}

/* Each snapshot is a day older than the one before it, by the clock. */
static void f14_a_clock_that_steps_back_changes_neither_recovery_nor_compaction(void **unused)
{
	(void)unused;
	struct fake_env clock;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = small_state_new(100);
	int64_t lsns[4], upto = -1;
	struct mf_recovery_report report;
	fake_env_init(&clock);
	options.env = &clock.env;
	for (int i = 0; i < 4; i++) {
		state = write_history(fake, state, 10);
		take_snapshot(fake, state);
		lsns[i] = mf_state_lsn(state);
		atomic_fetch_sub(&clock.wall_us, 86400000000);
		assert_recovers(fake, state, 0, &report);
		assert_int_equal(report.snapshot_lsn, lsns[i]);
	}
	assert_int_equal(compact(fake, &upto, NULL), MF_OK);
	options.env = NULL;
	assert_int_equal(upto, lsns[2]);
	assert_int_equal(events_left(fake), 10);
	assert_recovers(fake, state, 0, &report);
	assert_int_equal(report.snapshot_lsn, lsns[3]);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void f06_compaction_keeps_what_every_kept_snapshot_needs(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = small_state_new(100);
	int64_t lsns[4], upto = -1;
	struct mf_recovery_report report;
	for (int i = 0; i < 4; i++) {
		state = write_history(fake, state, 10);
		take_snapshot(fake, state);
		lsns[i] = mf_state_lsn(state);
	}
	assert_int_equal(compact(fake, &upto, NULL), MF_OK);
	assert_int_equal(upto, lsns[2]);
	assert_int_equal(events_left(fake), 10);
	assert_recovers(fake, state, 0, &report);
	fake->spoiled_snapshots[0] = lsns[3]; /* the older of the two can still be rolled forward */
	assert_recovers(fake, state, 0, &report);
	assert_int_equal(report.snapshot_lsn, lsns[2]);
	fake->spoiled_snapshots[0] = 0;
	assert_int_equal(compact(fake, &upto, NULL), MF_OK); /* again: nothing new */
	assert_int_equal(upto, lsns[2]);
	state = write_history(fake, state, 10);
	take_snapshot(fake, state);
	assert_int_equal(compact(fake, &upto, NULL), MF_OK); /* proved by a replay from the one before */
	assert_int_equal(upto, lsns[3]);
	assert_recovers(fake, state, 0, &report);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void a_state_older_than_compaction_is_not_found(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 10);
	struct mf_error error = {0};
	take_snapshot(fake, state);
	int64_t upto = mf_state_lsn(state);
	assert_int_equal(mf_store_compact(&fake->base, DOC, upto, NULL), MF_OK);
	assert_int_equal(fails(fake, upto - 1, &error), MF_ERR_NOT_FOUND);
	state = insert(fake, DOC, state);
	assert_int_equal(fails(fake, upto - 1, &error), MF_ERR_NOT_FOUND);
	struct mf_recovery_report report;
	assert_recovers(fake, state, 0, &report);
	mf_state_unref(state);
	fake_store_free(fake);
}

/* Compaction under way, or interrupted: the events are gone, an older snapshot is still there. */
static void a_state_between_a_snapshot_and_compacted_events_is_not_found(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *old = write_history(fake, small_state_new(100), 10), *state = write_history(fake, mf_state_ref(old), 10);
	struct mf_error error = {0};
	struct mf_recovery_report report;
	int64_t from = mf_state_lsn(old), upto = mf_state_lsn(state);
	take_snapshot(fake, state);
	assert_int_equal(mf_store_compact(&fake->base, DOC, upto, NULL), MF_OK);
	take_snapshot(fake, old);
	for (int i = 0; i < 2; i++) { /* no event is left, then one */
		assert_int_equal(fails(fake, from + 1, &error), MF_ERR_NOT_FOUND);
		assert_int_equal(fails(fake, upto - 1, &error), MF_ERR_NOT_FOUND);
		assert_recovers(fake, old, from, &report);
		state = insert(fake, DOC, state);
		assert_recovers(fake, state, 0, &report);
	}
	mf_state_unref(old);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void a_missing_event_is_missed_at_its_own_lsn_too(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 10);
	struct mf_error error = {0};
	int64_t hidden = mf_state_lsn(state) - 2;
	fake->hidden_lsn = hidden;
	assert_int_equal(fails(fake, hidden, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.expected, hidden);
	fake->hidden_lsn = mf_state_lsn(state); /* the newest */
	assert_int_equal(fails(fake, mf_state_lsn(state), &error), MF_ERR_CORRUPTED);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void compaction_with_any_doubt_deletes_nothing(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 10);
	int64_t upto = -1, kept = mf_state_lsn(state);
	struct mf_error error = {0};
	take_snapshot(fake, state);
	state = write_history(fake, state, 10);
	take_snapshot(fake, state);
	fake->spoiled_snapshots[0] = kept;
	assert_int_equal(compact(fake, &upto, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "nothing was deleted"));
	fake->spoiled_snapshots[0] = 0;
	fake->hidden_lsn = 1;
	assert_int_equal(compact(fake, &upto, &error), MF_ERR_CORRUPTED);
	fake->hidden_lsn = kept;
	assert_int_equal(compact(fake, &upto, &error), MF_ERR_CORRUPTED);
	fake->hidden_lsn = 0;
	fake->read_error = MF_ERR_IO;
	assert_int_equal(compact(fake, &upto, &error), MF_ERR_IO);
	fake->read_error = MF_OK;
	assert_int_equal(upto, -1);
	assert_int_equal(events_left(fake), 20);
	mf_state_unref(state);
	fake_store_free(fake);
}

static void a_snapshot_that_differs_from_the_events_is_found_out(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 10), *wrong = small_state_new(100);
	int64_t upto = -1, lsn = mf_state_lsn(state);
	struct mf_error error = {0};
	wrong = small_set_number(wrong, 1, lsn); /* another document, labelled with that LSN */
	take_snapshot(fake, wrong);
	state = write_history(fake, state, 10);
	take_snapshot(fake, state);
	assert_int_equal(compact(fake, &upto, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, lsn);
	assert_non_null(strstr(error.message, "differs"));
	assert_int_equal(compact(fake, &upto, NULL), MF_ERR_CORRUPTED);
	assert_int_equal(events_left(fake), 20);
	mf_state_unref(wrong);
	mf_state_unref(state);
	fake_store_free(fake);
}

struct reader {
	struct fake_store *fake;
	atomic_bool stop;
	atomic_int wrong, right;
};

static void *read_on(void *user)
{
	struct reader *reader = user;
	while (!atomic_load(&reader->stop)) {
		struct mf_state *state;
		enum mf_status newest = recover(reader->fake, 0, &state, NULL, NULL);
		if (newest == MF_OK)
			mf_state_unref(state);
		enum mf_status old = recover(reader->fake, 30, &state, NULL, NULL);
		if (old == MF_OK)
			mf_state_unref(state);
		bool right = newest == MF_OK && (old == MF_OK || old == MF_ERR_NOT_FOUND);
		atomic_fetch_add(right ? &reader->right : &reader->wrong, 1);
	}
	return NULL;
}

static void recovery_beside_compaction_sees_no_damage(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = small_state_new(100);
	struct reader reader = {.fake = fake};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
	for (int i = 0; i < 25; i++) {
		int64_t upto;
		state = write_history(fake, state, 20);
		take_snapshot(fake, state);
		assert_int_equal(compact(fake, &upto, NULL), MF_OK);
	}
	while (atomic_load(&reader.right) + atomic_load(&reader.wrong) == 0)
		sched_yield();
	atomic_store(&reader.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(reader.wrong, 0);
	mf_state_unref(state);
	fake_store_free(fake);
}

/* ---- memory ---- */

static struct mf_state *write_three(struct fake_store *fake)
{
	struct mf_state *state = write_history(fake, small_state_new(100), 6);
	take_snapshot(fake, state);
	state = write_history(fake, state, 6);
	take_snapshot(fake, state);
	return write_history(fake, state, 6);
}

static void every_failed_allocation_is_no_memory(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_three(fake);
	struct mf_digest digest = small_steps_digest(state);
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_state *recovered = NULL;
		memory_fails_at(n);
		enum mf_status status = recover(fake, 0, &recovered, NULL, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed && !recovered));
		if (status == MF_OK)
			small_assert_digest(recovered, &digest);
		mf_state_unref(recovered);
	}
	mf_state_unref(state);
	fake_store_free(fake);
}

static void every_failed_allocation_in_a_compaction_deletes_nothing(void **unused)
{
	(void)unused;
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct fake_store *fake = fake_store_new(true);
		mf_state_unref(write_three(fake));
		int64_t upto = -1;
		memory_fails_at(n);
		enum mf_status status = compact(fake, &upto, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed));
		assert_int_equal(events_left(fake), status == MF_OK ? 12 : 18);
		fake_store_free(fake);
	}
}

static void every_failed_allocation_in_a_preflight_is_no_memory(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, small_state_new(100), 6);
	struct mf_step_registry *empty;
	assert_int_equal(mf_step_registry_new(&empty), MF_OK);
	mf_step_registry_freeze(empty);
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		memory_fails_at(n);
		enum mf_status status = mf_preflight(&fake->base, empty, NULL);
		failed = memory_failed(n);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_ERR_UNKNOWN_STEP);
	}
	mf_step_registry_free(empty);
	mf_state_unref(state);
	fake_store_free(fake);
}

static int setup(void **state)
{
	mf_persist_options_init(&options);
	options.history_limit = 100;
	return small_make_registry(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_without_events_is_new),
		cmocka_unit_test(every_event_is_replayed_in_pages),
		cmocka_unit_test(f16_the_newest_snapshot_is_read_once_and_rolled_forward),
		cmocka_unit_test(a_state_of_the_past_comes_back_at_every_lsn),
		cmocka_unit_test(a_history_limit_that_was_lowered_does_not_stop_recovery),
		cmocka_unit_test(at_the_lsn_of_another_document_a_state_is_that_of_its_event_before),
		cmocka_unit_test(p13_what_was_done_before_the_restart_can_be_undone),
		cmocka_unit_test(p04_damaged_snapshots_are_passed_over),
		cmocka_unit_test(a_damaged_snapshot_whose_events_are_gone_is_corrupted),
		cmocka_unit_test(a_damaged_event_stops_with_document_and_lsn),
		cmocka_unit_test(a_missing_event_is_seen_wherever_it_is),
		cmocka_unit_test(stored_steps_that_do_not_apply_are_corrupted),
		cmocka_unit_test(f15_a_read_error_is_an_error_and_no_missing_snapshot),
		cmocka_unit_test(f19_every_missing_type_is_listed_with_count_and_first_lsn),
		cmocka_unit_test(too_few_snapshots_delete_nothing),
		cmocka_unit_test(f14_a_clock_that_steps_back_changes_neither_recovery_nor_compaction),
		cmocka_unit_test(f06_compaction_keeps_what_every_kept_snapshot_needs),
		cmocka_unit_test(a_state_older_than_compaction_is_not_found),
		cmocka_unit_test(a_state_between_a_snapshot_and_compacted_events_is_not_found),
		cmocka_unit_test(a_missing_event_is_missed_at_its_own_lsn_too),
		cmocka_unit_test(compaction_with_any_doubt_deletes_nothing),
		cmocka_unit_test(a_snapshot_that_differs_from_the_events_is_found_out),
		cmocka_unit_test(recovery_beside_compaction_sees_no_damage),
		cmocka_unit_test(every_failed_allocation_is_no_memory),
		cmocka_unit_test(every_failed_allocation_in_a_compaction_deletes_nothing),
		cmocka_unit_test(every_failed_allocation_in_a_preflight_is_no_memory),
	};
	return cmocka_run_group_tests(tests, setup, small_free_registry);
}
