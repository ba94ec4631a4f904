/* What recovery and compaction do with a store, a plugin as any other, that answers wrongly, late, or without a word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "ladder_kit.h"
#include "model/transaction.h"
#include <moduforge/value.h>

/* ---- a store that lies ---- */

static struct {
	struct mf_store_ops truth;
	int reads, fail_at; /* number of the read that fails, 1 = the first; 0: none */
	bool silent;        /* ... without a word */
	enum mf_status snapshot_says;
	bool always_newest, other_document, standing_still;
	int snapshots_asked;
} lies;

static enum mf_status failing(struct mf_error *error)
{
	if (++lies.reads != lies.fail_at)
		return MF_OK;
	return lies.silent ? MF_ERR_IO : mf_error_set(error, MF_ERR_IO, "the device does not answer");
}

static enum mf_status load_since(struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	enum mf_status status = failing(error);
	if (status == MF_OK)
		status = lies.truth.load_since(store, doc_id, from_lsn, limit, out, error);
	if (status != MF_OK)
		return status;
	for (size_t i = 0; i < out->count; i++) {
		struct mf_event *event = (struct mf_event *)&out->events[i];
		if (lies.other_document && event->lsn == 5)
			event->doc_id = "another";
		if (lies.standing_still && event->lsn == 5)
			event->lsn = event->prev_lsn;
	}
	return MF_OK;
}

static enum mf_status last_lsn(struct mf_store *store, const char *doc_id, int64_t *out_lsn, struct mf_error *error)
{
	enum mf_status status = failing(error);
	return status == MF_OK ? lies.truth.last_lsn(store, doc_id, out_lsn, error) : status;
}

static enum mf_status latest_snapshot(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	lies.snapshots_asked++;
	enum mf_status status = failing(error);
	if (status != MF_OK)
		return status;
	if (lies.snapshot_says)
		return mf_error_set(error, lies.snapshot_says, "it cannot be read now");
	return lies.truth.latest_snapshot(store, doc_id, lies.always_newest ? INT64_MAX : at_most, out, error);
}

static enum mf_status snapshots(struct mf_store *store, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error)
{
	enum mf_status status = failing(error);
	return status == MF_OK ? lies.truth.snapshots(store, doc_id, visit, user, error) : status;
}

static void begin_lying(struct ladder *ladder)
{
	memset(&lies, 0, sizeof(lies));
	lies.truth = ladder->fake->ops;
	ladder->fake->ops.load_since = load_since;
	ladder->fake->ops.last_lsn = last_lsn;
	ladder->fake->ops.latest_snapshot = latest_snapshot;
	ladder->fake->ops.snapshots = snapshots;
}

static enum mf_status compact(struct ladder *ladder, int64_t *out_upto, struct mf_error *error)
{
	*out_upto = 0;
	return mf_compact_document(&ladder->fake->base, DOC, small_registry, &ladder->options, out_upto, error);
}

static int64_t first_event(struct ladder *ladder)
{
	struct mf_event_list list;
	assert_int_equal(lies.truth.load_since(&ladder->fake->base, DOC, 0, 1, &list, NULL), MF_OK);
	int64_t lsn = list.count > 0 ? list.events[0].lsn : 0;
	mf_event_list_deinit(&list);
	return lsn;
}

/* ---- snapshots ---- */

static void a_newer_snapshot_than_was_asked_for_costs_no_more_than_the_snapshots(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 3);
	write_ladder(&ladder, 3);
	begin_lying(&ladder);
	spoil(&ladder, 0, 70);
	lies.always_newest = true; /* the damaged one, again and again */
	assert_int_equal(recovers_from(&ladder, 0).damaged_snapshots, 4); /* those at 70, 60, 50, and once more, when there is none left */
	tear_down(&ladder);
}

static void a_list_that_cannot_be_read_is_an_error_and_no_missing_snapshot(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	set_up(&ladder, 2);
	write_ladder(&ladder, 2);
	begin_lying(&ladder);
	lies.snapshot_says = MF_ERR_CORRUPTED; /* which one is not told, so the list is asked */
	lies.fail_at = 3;
	assert_int_equal(fails(&ladder, small_registry, 0, &error), MF_ERR_IO);
	assert_string_equal(error.message, "the device does not answer");
	tear_down(&ladder);
}

static void snapshots_that_are_never_free_are_done_without(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 2);
	write_ladder(&ladder, 2);
	begin_lying(&ladder);
	lies.snapshot_says = MF_ERR_BUSY;
	assert_int_equal(recovers_from(&ladder, 0).damaged_snapshots, 0);
	assert_int_equal(lies.snapshots_asked, 8); /* not for ever */
	tear_down(&ladder);
}

static int turn;

/* The newest one and the one below it in turn, as if they came and went. */
static enum mf_status latest_in_turn(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	if (at_most == INT64_MAX)
		at_most = turn++ % 2 ? 50 : 60;
	return lies.truth.latest_snapshot(store, doc_id, at_most, out, error);
}

static void a_break_that_never_ends_is_damage_at_last(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	set_up(&ladder, 2);
	write_ladder(&ladder, 2);
	begin_lying(&ladder);
	turn = 0;
	ladder.fake->ops.latest_snapshot = latest_in_turn;
	ladder.fake->hidden_lsn = 62;
	assert_int_equal(fails(&ladder, small_registry, 0, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 63);
	assert_int_equal(error.expected, 62);
	assert_int_equal(error.found, 61);
	assert_int_equal(turn, 30);
	tear_down(&ladder);
}

static int with_base, whole;

static enum mf_status finish_without_bases(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_error *error)
{
	*(snapshot->base_lsn ? &with_base : &whole) += 1;
	if (snapshot->base_lsn)
		return mf_error_set(error, MF_ERR_NOT_FOUND, "what it builds on is not stored");
	return lies.truth.snapshot_finish(store, snapshot, error);
}

static void a_snapshot_whose_base_went_meanwhile_becomes_a_whole_one(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 3);
	write_ladder(&ladder, 1);
	begin_lying(&ladder);
	with_base = whole = 0;
	ladder.fake->ops.snapshot_finish = finish_without_bases;
	write_events(&ladder, 1, false);
	take_snapshot(&ladder);
	assert_int_equal(with_base, 1);
	assert_int_equal(whole, 1);
	assert_snapshots(&ladder, "54 50 ");
	recovers_from(&ladder, 54);
	tear_down(&ladder);
}

/* ---- events ---- */

static void an_event_of_another_document_is_a_break(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	set_up(&ladder, 1);
	begin_lying(&ladder);
	lies.other_document = true;
	assert_int_equal(fails(&ladder, small_registry, 0, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 5);
	tear_down(&ladder);
}

static void an_event_that_is_not_above_the_one_before_it_is_a_break(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	set_up(&ladder, 1);
	begin_lying(&ladder);
	lies.standing_still = true;
	assert_int_equal(fails(&ladder, small_registry, 0, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 4);
	tear_down(&ladder);
}

static void a_gap_behind_a_damaged_snapshot_is_named_as_the_gap(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	set_up(&ladder, 2);
	write_ladder(&ladder, 1);
	begin_lying(&ladder);
	spoil(&ladder, 0, 50);
	ladder.fake->hidden_lsn = 30;
	assert_int_equal(fails(&ladder, small_registry, 0, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 31);
	assert_int_equal(error.expected, 30);
	assert_int_equal(error.found, 29);
	tear_down(&ladder);
}

/* ---- a read that fails ---- */

static enum mf_status recover_at(struct ladder *ladder, int64_t at_lsn, struct mf_error *error)
{
	const struct mf_recovery_options options = {.batch = 7, .at_lsn = at_lsn};
	struct mf_state *state = NULL;
	enum mf_status status = mf_recover_state(&ladder->fake->base, DOC, small_registry, &options, &state, NULL, error);
	assert_int_equal(status == MF_OK, state != NULL);
	mf_state_unref(state);
	return status;
}

/* Each read in turn, until none is left to fail; expected: how it then ends. */
static void each_read_fails_in_turn(struct ladder *ladder, int64_t at_lsn, enum mf_status expected)
{
	for (int silent = 0; silent < 2; silent++) {
		lies.silent = silent;
		for (lies.fail_at = 1;; lies.fail_at++) {
			struct mf_error error = {0};
			lies.reads = 0;
			enum mf_status status = recover_at(ladder, at_lsn, silent ? NULL : &error);
			if (lies.reads < lies.fail_at) {
				assert_int_equal(status, expected);
				break;
			}
			assert_int_equal(status, MF_ERR_IO);
			assert_true(silent || strstr(error.message, "the device does not answer"));
		}
		assert_true(lies.fail_at > 4);
	}
	lies.fail_at = 0;
}

static void every_failed_read_ends_a_recovery(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 2);
	write_ladder(&ladder, 3);
	begin_lying(&ladder);
	each_read_fails_in_turn(&ladder, 0, MF_OK);
	each_read_fails_in_turn(&ladder, 100, MF_OK); /* later than any event: is it all? */
	each_read_fails_in_turn(&ladder, 65, MF_OK);
	compacts_to(&ladder, 60);
	each_read_fails_in_turn(&ladder, 55, MF_ERR_NOT_FOUND);
	tear_down(&ladder);
}

static void every_failed_read_ends_a_compaction_and_deletes_nothing(void **unused)
{
	(void)unused;
	struct ladder ladder;
	int64_t upto;
	for (int silent = 0; silent < 2; silent++) {
		set_up(&ladder, 2);
		write_ladder(&ladder, 3);
		begin_lying(&ladder);
		lies.silent = silent;
		for (lies.fail_at = 1;; lies.fail_at++) {
			struct mf_error error = {0};
			lies.reads = 0;
			enum mf_status status = compact(&ladder, &upto, &error);
			if (lies.reads < lies.fail_at)
				break;
			assert_int_equal(status, MF_ERR_IO);
			assert_int_equal(upto, 0);
			assert_int_equal(first_event(&ladder), 1);
		}
		assert_int_equal(upto, 60);
		assert_int_equal(first_event(&ladder), 61);
		assert_true(lies.fail_at > 4);
		tear_down(&ladder);
	}
}

static void a_failure_without_a_word_gets_its_sentence_in_a_compaction(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	int64_t upto;
	set_up(&ladder, 1);
	write_ladder(&ladder, 1);
	begin_lying(&ladder);
	lies.silent = true;
	lies.fail_at = 3; /* of the snapshot that is to be the base of all */
	assert_int_equal(compact(&ladder, &upto, &error), MF_ERR_IO);
	assert_int_equal(error.status, MF_ERR_IO);
	assert_string_equal(error.message, "nothing was deleted: document 'doc': the store failed with MF_ERR_IO");
	tear_down(&ladder);
}

/* ---- compaction ---- */

static void a_snapshot_that_is_listed_and_not_there_deletes_nothing(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	int64_t upto;
	set_up(&ladder, 2);
	write_ladder(&ladder, 2);
	begin_lying(&ladder);
	lies.always_newest = true; /* 50 is listed, and 60 comes */
	assert_int_equal(compact(&ladder, &upto, &error), MF_ERR_CORRUPTED);
	assert_string_equal(error.message, "nothing was deleted: document 'doc': the snapshot at LSN 50 is listed but cannot be read");
	assert_int_equal(first_event(&ladder), 1);
	tear_down(&ladder);
}

/* An event of another document, and a snapshot that says it is of that moment. */
static void snapshot_without_an_event(struct ladder *ladder)
{
	struct mf_event event = {.doc_id = "another", .idempotency_key = "x", .meta = "{}", .meta_len = 2, .payload = (const unsigned char *)"0123456789abcdefghijk", .payload_len = 20};
	struct mf_transaction *transaction = small_transaction_new();
	int64_t lsn;
	assert_int_equal(mf_store_append(&ladder->fake->base, &event, &lsn, NULL), MF_OK);
	ADD_SET(transaction, "root", "n", 99);
	ladder->state = small_steps_commit(ladder->state, transaction, lsn);
	take_snapshot(ladder);
}

static void a_snapshot_of_an_event_that_never_was_deletes_nothing(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_error error = {0};
	int64_t upto;
	set_up(&ladder, 1);
	begin_lying(&ladder);
	snapshot_without_an_event(&ladder);
	assert_int_equal(compact(&ladder, &upto, &error), MF_ERR_CORRUPTED);
	assert_string_equal(error.message, "nothing was deleted: document 'doc': the event at LSN 41 is missing, which a snapshot covers");
	assert_int_equal(first_event(&ladder), 1);
	tear_down(&ladder);
}

static void options_of_zero_mean_one_snapshot_and_pages_of_the_usual_size(void **unused)
{
	(void)unused;
	struct ladder ladder;
	int64_t upto;
	set_up(&ladder, 3);
	write_ladder(&ladder, 3);
	begin_lying(&ladder);
	ladder.options.keep_snapshots = 0;
	ladder.options.recovery_batch = 0;
	assert_int_equal(compact(&ladder, &upto, NULL), MF_OK);
	assert_int_equal(upto, 70);
	assert_snapshots(&ladder, "70 ");
	recovers_from(&ladder, 70);
	tear_down(&ladder);
}

static void what_a_follower_still_needs_keeps_older_snapshots_too(void **unused)
{
	(void)unused;
	struct ladder ladder;
	int64_t upto = 0;
	set_up(&ladder, 3);
	write_ladder(&ladder, 3);
	begin_lying(&ladder);
	ladder.options.keep_snapshots = 1;
	assert_int_equal(mf_compact_upto(&ladder.fake->base, DOC, small_registry, &ladder.options, 65, &upto, NULL), MF_OK);
	assert_int_equal(upto, 60); /* the newest that is not above it */
	assert_int_equal(first_event(&ladder), 61);
	assert_snapshots(&ladder, "70<60 60 ");
	tear_down(&ladder);
}

static void a_document_whose_events_are_all_gone_may_be_compacted_again(void **unused)
{
	(void)unused;
	struct ladder ladder;
	set_up(&ladder, 1);
	write_events(&ladder, 10, false);
	take_snapshot(&ladder);
	begin_lying(&ladder);
	for (int again = 0; again < 2; again++) {
		compacts_to(&ladder, 50);
		assert_int_equal(first_event(&ladder), 0);
	}
	recovers_from(&ladder, 50);
	tear_down(&ladder);
}

static void a_recovery_without_options_is_of_the_newest_state(void **unused)
{
	(void)unused;
	struct ladder ladder;
	struct mf_state *state;
	set_up(&ladder, 1);
	assert_int_equal(mf_recover_state(&ladder.fake->base, DOC, small_registry, NULL, &state, NULL, NULL), MF_OK);
	assert_int_equal(mf_state_lsn(state), NODES);
	assert_int_equal(mf_state_undo_depth(state), NODES);
	mf_state_unref(state);
	tear_down(&ladder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_newer_snapshot_than_was_asked_for_costs_no_more_than_the_snapshots),
		cmocka_unit_test(a_list_that_cannot_be_read_is_an_error_and_no_missing_snapshot),
		cmocka_unit_test(snapshots_that_are_never_free_are_done_without),
		cmocka_unit_test(a_break_that_never_ends_is_damage_at_last),
		cmocka_unit_test(a_snapshot_whose_base_went_meanwhile_becomes_a_whole_one),
		cmocka_unit_test(an_event_of_another_document_is_a_break),
		cmocka_unit_test(an_event_that_is_not_above_the_one_before_it_is_a_break),
		cmocka_unit_test(a_gap_behind_a_damaged_snapshot_is_named_as_the_gap),
		cmocka_unit_test(every_failed_read_ends_a_recovery),
		cmocka_unit_test(every_failed_read_ends_a_compaction_and_deletes_nothing),
		cmocka_unit_test(a_failure_without_a_word_gets_its_sentence_in_a_compaction),
		cmocka_unit_test(a_snapshot_that_is_listed_and_not_there_deletes_nothing),
		cmocka_unit_test(a_snapshot_of_an_event_that_never_was_deletes_nothing),
		cmocka_unit_test(options_of_zero_mean_one_snapshot_and_pages_of_the_usual_size),
		cmocka_unit_test(what_a_follower_still_needs_keeps_older_snapshots_too),
		cmocka_unit_test(a_document_whose_events_are_all_gone_may_be_compacted_again),
		cmocka_unit_test(a_recovery_without_options_is_of_the_newest_state),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
