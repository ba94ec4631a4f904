/* What recovery does when the newest snapshot cannot be used, and what compaction does with incremental ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "ladder_kit.h"
#include "model/transaction.h"
#include <moduforge/value.h>

/* ---- damage ---- */

static void p4_the_next_older_snapshot_is_used_and_what_was_passed_over_is_counted(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 10);
	write_ladder(&ladder, 4);
	assert_snapshots(&ladder, "80<70 70<60 60<50 50 ");
	assert_string_equal(recovers_from(&ladder, 80).passed_over, "");
	spoil(&ladder, 0, 80);
	assert_int_equal(recovers_from(&ladder, 70).damaged_snapshots, 1);
	spoil(&ladder, 1, 70);
	struct mf_recovery_report report = recovers_from(&ladder, 60);
	assert_int_equal(report.damaged_snapshots, 2);
	assert_int_equal(report.stale_snapshots, 0);
	assert_non_null(strstr(report.passed_over, "snapshot at LSN 80: its checksum does not fit"));
	ladder.fake->spoiled_lsn = 75; /* then an event, which nothing can replace */
	struct mf_error error = {0};
	assert_int_equal(fails(&ladder, small_registry, 0, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 75);
	assert_non_null(strstr(error.message, DOC));
	tear_down(&ladder);
}

static void p4_what_builds_on_a_damaged_snapshot_goes_with_it(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 10);
	write_ladder(&ladder, 2);
	restart(&ladder);
	write_ladder(&ladder, 3);
	assert_snapshots(&ladder, "93<83 83<73 73 60<50 50 ");
	spoil(&ladder, 0, 73);
	assert_int_equal(recovers_from(&ladder, 60).damaged_snapshots, 3);
	spoil(&ladder, 1, 50);
	assert_int_equal(recovers_from(&ladder, 0).damaged_snapshots, 5);
	tear_down(&ladder);
}

static void a_damaged_snapshot_whose_events_are_gone_is_named(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	set_up(&ladder, 2);
	write_ladder(&ladder, 3);
	compacts_to(&ladder, 60);
	recovers_from(&ladder, 70);
	spoil(&ladder, 0, 70);
	assert_int_equal(recovers_from(&ladder, 60).damaged_snapshots, 1);
	spoil(&ladder, 1, 60);
	assert_int_equal(fails(&ladder, small_registry, 0, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 70);
	assert_non_null(strstr(error.message, "events that could replace it are gone"));
	tear_down(&ladder);
}

static void p4_the_last_good_snapshot_is_found_below_many_damaged_ones(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 13);
	ladder.options.full_snapshot_every = 1;
	write_ladder(&ladder, 13);
	compacts_to(&ladder, 50); /* so there is no replay from nothing */
	for (int i = 0; i < 12; i++)
		spoil(&ladder, i, 60 + 10 * i);
	assert_int_equal(recovers_from(&ladder, 50).damaged_snapshots, 12);
	tear_down(&ladder);
}

/* ---- the limit ---- */

static void p4_falling_back_has_a_limit(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	struct mf_state *state;
	set_up(&ladder, 10);
	write_ladder(&ladder, 1); /* 53 events, a snapshot at 50 */
	assert_int_equal(recover_with(&ladder, small_registry, 1, &state, NULL, NULL), MF_OK); /* it is for falling back only */
	mf_state_unref(state);
	spoil(&ladder, 0, 50);
	assert_int_equal(fails(&ladder, small_registry, 52, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "fallback_max_events"));
	assert_non_null(strstr(error.message, "more than 52 events"));
	assert_non_null(strstr(error.message, "snapshot at LSN 50"));
	assert_int_equal(error.lsn, 50);
	assert_int_equal(recover_with(&ladder, small_registry, 53, &state, NULL, NULL), MF_OK);
	mf_state_unref(state);
	assert_int_equal(recover_with(&ladder, small_registry, UINT64_MAX, &state, NULL, NULL), MF_OK);
	mf_state_unref(state);
	tear_down(&ladder);
}

/* ---- stale ---- */

/* All small types, test_remove in a newer version; or without it. */
static struct mf_step_registry *other_registry(bool newer)
{
	static struct mf_step_type changed;
	struct mf_step_registry *registry;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	for (size_t i = 0; i < mf_step_registry_count(small_registry); i++) {
		const struct mf_step_type *type = mf_step_registry_item(small_registry, i);
		if (strcmp(type->type_id, "test_remove") == 0) {
			changed = *type;
			changed.version++;
			type = newer ? &changed : NULL;
		}
		if (type)
			assert_int_equal(mf_step_registry_add(registry, type, NULL), MF_OK);
	}
	mf_step_registry_freeze(registry);
	return registry;
}

static void p5_a_stale_snapshot_is_passed_over_while_the_events_are_there(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_step_registry *newer = other_registry(true);
	struct mf_state *state;
	struct mf_recovery_report report;
	set_up(&ladder, 10);
	write_ladder(&ladder, 2);
	assert_snapshots(&ladder, "60<50 50 ");
	assert_int_equal(recover_with(&ladder, newer, 0, &state, &report, NULL), MF_OK);
	assert_int_equal(report.snapshot_lsn, 0);
	assert_int_equal(report.stale_snapshots, 2);
	assert_int_equal(report.damaged_snapshots, 0);
	assert_int_equal(report.dropped_entries, 0);
	assert_int_equal(mf_state_undo_depth(state), mf_state_undo_depth(ladder.state));
	mf_state_unref(state);
	/* Too many to replay: then it is used. */
	assert_int_equal(recover_with(&ladder, newer, 30, &state, &report, NULL), MF_OK);
	assert_int_equal(report.snapshot_lsn, 60);
	assert_int_equal(report.stale_snapshots, 1);
	mf_state_unref(state);
	mf_step_registry_free(newer);
	tear_down(&ladder);
}

static void p5_a_stale_snapshot_is_used_where_the_events_are_gone(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_step_registry *newer = other_registry(true);
	struct mf_state *state;
	struct mf_recovery_report report;
	struct mf_digest digest;
	set_up(&ladder, 1);
	write_ladder(&ladder, 2);
	compacts_to(&ladder, 60);
	write_events(&ladder, 4, false);
	take_snapshot(&ladder); /* incremental, on the one that compaction made whole */
	assert_snapshots(&ladder, "67<60 60 ");
	digest = small_steps_digest(ladder.state);
	assert_int_equal(recover_with(&ladder, newer, 0, &state, &report, NULL), MF_OK);
	small_assert_digest(state, &digest);
	assert_int_equal(report.snapshot_lsn, 67);
	assert_int_equal(report.stale_snapshots, 1);
	assert_int_equal(report.dropped_entries, NODES);
	assert_non_null(strstr(report.passed_over, "test_remove"));
	assert_int_equal(mf_state_undo_depth(state), 27); /* what lies above the inserts */
	for (int i = 0; i < 27; i++)
		state = small_undo(state, 68 + i);
	assert_int_equal(small_number_in(state), -1);
	mf_state_unref(state);
	mf_step_registry_free(newer);
	tear_down(&ladder);
}

static void a_missing_step_type_never_costs_the_history(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_step_registry *without = other_registry(false);
	struct mf_error error = {0};
	int64_t upto;
	set_up(&ladder, 1);
	write_ladder(&ladder, 1);
	assert_int_equal(mf_compact_document(&ladder.fake->base, DOC, small_registry, &ladder.options, &upto, NULL), MF_OK);
	assert_int_equal(fails(&ladder, without, 0, &error), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "test_remove"));
	mf_step_registry_free(without);
	tear_down(&ladder);
}

/* ---- compaction ---- */

static void compaction_makes_the_oldest_kept_snapshot_whole(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 3);
	write_ladder(&ladder, 6);
	assert_snapshots(&ladder, "100<90 90<80 80<70 70<60 60<50 50 ");
	compacts_to(&ladder, 80);
	assert_snapshots(&ladder, "100<90 90<80 80 ");
	recovers_from(&ladder, 100);
	spoil(&ladder, 0, 100);
	recovers_from(&ladder, 90);
	spoil(&ladder, 1, 90);
	recovers_from(&ladder, 80);
	spoil(&ladder, 0, 0);
	spoil(&ladder, 1, 0);
	write_ladder(&ladder, 3); /* and the chain goes on from there */
	recovers_from(&ladder, 133);
	compacts_to(&ladder, 113);
	recovers_from(&ladder, 133);
	tear_down(&ladder);
}

/* A limit that was lowered cuts what a state keeps, not what is stored: the undos after 60 show what lies deeper. */
static void compaction_cuts_no_history_that_later_snapshots_need(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_state *state;
	const struct mf_recovery_options low = {.history_limit = 10};
	set_up(&ladder, 2);
	write_ladder(&ladder, 2);
	for (int i = 0; i < 8; i++)
		commit_undo(&ladder);
	take_snapshot(&ladder);
	assert_snapshots(&ladder, "71<60 60<50 50 ");
	ladder.options.history_limit = 10;
	compacts_to(&ladder, 60);
	assert_snapshots(&ladder, "71<60 60 ");
	assert_int_equal(mf_recover_state(&ladder.fake->base, DOC, small_registry, &low, &state, NULL, NULL), MF_OK);
	assert_int_equal(mf_state_lsn(state), 71);
	assert_int_equal(mf_state_undo_depth(state), 10);
	mf_state_unref(state);
	tear_down(&ladder);
}

static void compaction_with_a_damaged_chain_deletes_nothing(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	int64_t upto;
	set_up(&ladder, 2);
	write_ladder(&ladder, 3);
	assert_snapshots(&ladder, "70<60 60<50 50 ");
	spoil(&ladder, 0, 50);
	assert_int_equal(mf_compact_document(&ladder.fake->base, DOC, small_registry, &ladder.options, &upto, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "nothing was deleted"));
	assert_snapshots(&ladder, "70<60 60<50 50 ");
	assert_int_equal(recovers_from(&ladder, 0).damaged_snapshots, 3);
	tear_down(&ladder);
}

static void every_failed_allocation_in_a_compaction_loses_nothing(void **unused)
{
	(void)unused;
	struct ladder ladder;
	bool failed = true;
	int64_t upto = 0;
	for (uint64_t n = 1; failed; n++) {
		set_up(&ladder, 2);
		write_ladder(&ladder, 3);
		memory_fails_at(n);
		enum mf_status status = mf_compact_document(&ladder.fake->base, DOC, small_registry, &ladder.options, &upto, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed));
		assert_int_equal(upto, status == MF_OK ? 60 : 0);
		assert_int_equal(recovers_from(&ladder, 70).damaged_snapshots, 0);
		if (status == MF_OK) {
			assert_snapshots(&ladder, "70<60 60 ");
			spoil(&ladder, 0, 70);
			recovers_from(&ladder, 60);
		}
		upto = 0;
		tear_down(&ladder);
	}
}

static void every_failed_allocation_in_a_snapshot_loses_nothing(void **unused)
{
	(void)unused;
	struct ladder ladder;
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		set_up(&ladder, 1);
		write_ladder(&ladder, 2);
		memory_fails_at(n);
		enum mf_status status = mf_snapshotter_take(ladder.snapshotter, DOC, ladder.state, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed));
		assert_int_equal(recovers_from(&ladder, status == MF_OK ? 63 : 60).damaged_snapshots, 0);
		tear_down(&ladder);
	}
}

static void only_the_newest_are_kept(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 2);
	ladder.options.full_snapshot_every = 2;
	restart(&ladder);
	write_ladder(&ladder, 6);
	assert_snapshots(&ladder, "100<90 90 ");
	recovers_from(&ladder, 100);
	tear_down(&ladder);
}

/* ---- a writer that is faster ---- */

static struct ladder *racing;
static enum mf_status (*latest)(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error);

static enum mf_status latest_and_race(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	struct ladder *ladder = racing;
	if (ladder && at_most == 50) { /* the base is asked for: two newer snapshots come, and it goes */
		racing = NULL;
		restart(ladder);
		write_ladder(ladder, 2);
		assert_int_equal(mf_store_prune_snapshots(&ladder->fake->base, DOC, 1, NULL), MF_OK);
	}
	return latest(store, doc_id, at_most, out, error);
}

static void a_base_that_was_deleted_meanwhile_is_no_damage(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 1);
	write_ladder(&ladder, 2);
	assert_snapshots(&ladder, "60<50 50 ");
	racing = &ladder;
	latest = ladder.fake->ops.latest_snapshot;
	ladder.fake->ops.latest_snapshot = latest_and_race;
	struct mf_state *state;
	struct mf_recovery_report report;
	assert_int_equal(recover_with(&ladder, small_registry, 0, &state, &report, NULL), MF_OK);
	assert_null(racing);
	assert_int_equal(report.damaged_snapshots, 0);
	assert_int_equal(report.snapshot_lsn, 83);
	struct mf_digest digest = small_steps_digest(ladder.state);
	small_assert_digest(state, &digest);
	mf_state_unref(state);
	tear_down(&ladder);
}

static enum mf_status latest_and_compact(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	struct ladder *ladder = racing;
	int64_t upto;
	if (ladder && at_most == 50) { /* the base is asked for: compaction makes 60 a whole one, and the base goes */
		racing = NULL;
		assert_int_equal(mf_compact_document(store, DOC, small_registry, &ladder->options, &upto, NULL), MF_OK);
		assert_int_equal(upto, 60);
	}
	return latest(store, doc_id, at_most, out, error);
}

static void a_base_that_compaction_made_needless_meanwhile_is_no_damage(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_snapshot snapshot;
	struct mf_state *state;
	set_up(&ladder, 1);
	write_ladder(&ladder, 2);
	assert_snapshots(&ladder, "60<50 50 ");
	assert_int_equal(mf_store_latest_snapshot(&ladder.fake->base, DOC, INT64_MAX, &snapshot, NULL), MF_OK);
	racing = &ladder;
	latest = ladder.fake->ops.latest_snapshot;
	ladder.fake->ops.latest_snapshot = latest_and_compact;
	assert_int_equal(mf_snapshot_load(&ladder.fake->base, &snapshot, small_registry, 100, &state, NULL), MF_ERR_BUSY);
	assert_null(racing);
	assert_snapshots(&ladder, "60 ");
	mf_snapshot_deinit(&snapshot);
	assert_int_equal(recovers_from(&ladder, 60).damaged_snapshots, 0);
	tear_down(&ladder);
}

static int outruns;

/* Each time that the newest is read a newer one comes, and the events between are gone. */
static enum mf_status latest_and_outrun(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	struct ladder *ladder = racing;
	int64_t upto;
	enum mf_status status = latest(store, doc_id, at_most, out, error);
	if (at_most == INT64_MAX && outruns > 0) {
		outruns--;
		write_ladder(ladder, 1);
		assert_int_equal(mf_compact_document(store, DOC, small_registry, &ladder->options, &upto, NULL), MF_OK);
	}
	return status;
}

static void a_writer_that_is_faster_many_times_is_no_damage(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 1);
	write_ladder(&ladder, 2);
	racing = &ladder;
	latest = ladder.fake->ops.latest_snapshot;
	ladder.fake->ops.latest_snapshot = latest_and_outrun;
	outruns = 12;
	struct mf_state *state;
	struct mf_recovery_report report;
	struct mf_error error = {0};
	if (recover_with(&ladder, small_registry, 0, &state, &report, &error) != MF_OK)
		fail_msg("%s", error.message);
	racing = NULL;
	assert_int_equal(outruns, 0);
	assert_int_equal(report.damaged_snapshots, 0);
	assert_int_equal(mf_state_lsn(state), mf_state_lsn(ladder.state));
	mf_state_unref(state);
	tear_down(&ladder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(p4_the_next_older_snapshot_is_used_and_what_was_passed_over_is_counted),
		cmocka_unit_test(p4_what_builds_on_a_damaged_snapshot_goes_with_it),
		cmocka_unit_test(a_damaged_snapshot_whose_events_are_gone_is_named),
		cmocka_unit_test(p4_the_last_good_snapshot_is_found_below_many_damaged_ones),
		cmocka_unit_test(p4_falling_back_has_a_limit),
		cmocka_unit_test(p5_a_stale_snapshot_is_passed_over_while_the_events_are_there),
		cmocka_unit_test(p5_a_stale_snapshot_is_used_where_the_events_are_gone),
		cmocka_unit_test(a_missing_step_type_never_costs_the_history),
		cmocka_unit_test(compaction_makes_the_oldest_kept_snapshot_whole),
		cmocka_unit_test(compaction_cuts_no_history_that_later_snapshots_need),
		cmocka_unit_test(compaction_with_a_damaged_chain_deletes_nothing),
		cmocka_unit_test(every_failed_allocation_in_a_compaction_loses_nothing),
		cmocka_unit_test(every_failed_allocation_in_a_snapshot_loses_nothing),
		cmocka_unit_test(only_the_newest_are_kept),
		cmocka_unit_test(a_base_that_was_deleted_meanwhile_is_no_damage),
		cmocka_unit_test(a_base_that_compaction_made_needless_meanwhile_is_no_damage),
		cmocka_unit_test(a_writer_that_is_faster_many_times_is_no_damage),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
