#include "ladder_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "model/transaction.h"
#include <moduforge/value.h>

static void nobody_hears(void *user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error)
{
	(void)user, (void)doc_id, (void)upto_lsn, (void)error;
}

void ladder_commit(struct ladder *ladder, struct mf_transaction *transaction)
{
	struct mf_event event;
	void *memory;
	int64_t lsn = mf_state_lsn(ladder->state) + 1;
	char key[32];
	snprintf(key, sizeof(key), "key-%lld", (long long)lsn);
	assert_int_equal(mf_transaction_set_key(transaction, key, NULL), MF_OK);
	mf_transaction_set_id(transaction, (uint64_t)lsn);
	assert_int_equal(mf_event_encode(DOC, transaction, &ladder->options, &event, &memory, NULL), MF_OK);
	assert_int_equal(mf_store_append(&ladder->fake->base, &event, &lsn, NULL), MF_OK);
	mf_free(memory);
	ladder->state = small_steps_commit(ladder->state, transaction, lsn);
}

void commit_undo(struct ladder *ladder)
{
	struct mf_transaction *transaction;
	assert_int_equal(mf_state_make_undo(ladder->state, &transaction, NULL), MF_OK);
	ladder_commit(ladder, transaction);
}

void write_events(struct ladder *ladder, int count, bool insert)
{
	for (int i = 0; i < count; i++) {
		struct mf_transaction *transaction = small_transaction_new();
		char id[32];
		snprintf(id, sizeof(id), "n%lld", (long long)mf_state_lsn(ladder->state));
		if (insert)
			ADD_INSERT(transaction, "root", 0, id);
		else
			ADD_SET(transaction, "root", "n", i);
		ladder_commit(ladder, transaction);
	}
}

void take_snapshot(struct ladder *ladder)
{
	struct mf_error error = {0};
	if (mf_snapshotter_take(ladder->snapshotter, DOC, ladder->state, &error) != MF_OK)
		fail_msg("%s", error.message);
}

void restart(struct ladder *ladder)
{
	const struct mf_snapshotter_options snapshotter = {.store = &ladder->fake->base, .persist = &ladder->options, .ended = nobody_hears};
	if (ladder->snapshotter)
		assert_int_equal(mf_snapshotter_stop(ladder->snapshotter, 0, NULL), MF_OK);
	mf_snapshotter_free(ladder->snapshotter);
	assert_int_equal(mf_snapshotter_new(&snapshotter, &ladder->snapshotter), MF_OK);
}

void set_up(struct ladder *ladder, uint32_t keep)
{
	*ladder = (struct ladder){.fake = fake_store_new(true), .state = small_state_new(100)};
	mf_persist_options_init(&ladder->options);
	ladder->options.keep_snapshots = keep;
	ladder->options.history_limit = 100;
	restart(ladder);
	write_events(ladder, NODES, true);
}

void write_ladder(struct ladder *ladder, int snapshots)
{
	for (int i = 0; i < snapshots; i++) {
		write_events(ladder, 10, false);
		take_snapshot(ladder);
	}
	write_events(ladder, 3, false);
}

void tear_down(struct ladder *ladder)
{
	assert_int_equal(mf_snapshotter_stop(ladder->snapshotter, 0, NULL), MF_OK);
	mf_snapshotter_free(ladder->snapshotter);
	mf_state_unref(ladder->state);
	fake_store_free(ladder->fake);
}

static bool note(void *user, const struct mf_snapshot_info *info)
{
	char *text = user, one[64];
	snprintf(one, sizeof(one), info->base_lsn ? "%lld<%lld " : "%lld ", (long long)info->upto_lsn, (long long)info->base_lsn);
	strcat(text, one);
	return true;
}

void assert_snapshots(struct ladder *ladder, const char *expected)
{
	char text[500] = "";
	assert_int_equal(ladder->fake->ops.snapshots(&ladder->fake->base, DOC, note, text, NULL), MF_OK);
	assert_string_equal(text, expected);
}

void compacts_to(struct ladder *ladder, int64_t lsn)
{
	int64_t upto = -1;
	struct mf_error error = {0};
	if (mf_compact_document(&ladder->fake->base, DOC, small_registry, &ladder->options, &upto, &error) != MF_OK)
		fail_msg("%s", error.message);
	assert_int_equal(upto, lsn);
}

enum mf_status recover_with(struct ladder *ladder, const struct mf_step_registry *registry, uint64_t limit, struct mf_state **out, struct mf_recovery_report *out_report,
			    struct mf_error *error)
{
	const struct mf_recovery_options options = {.batch = 7, .history_limit = 100, .fallback_max_events = limit};
	return mf_recover_state(&ladder->fake->base, DOC, registry, &options, out, out_report, error);
}

struct mf_recovery_report recovers_from(struct ladder *ladder, int64_t snapshot_lsn)
{
	struct mf_state *state;
	struct mf_recovery_report report;
	struct mf_error error = {0};
	struct mf_digest digest = small_steps_digest(ladder->state);
	if (recover_with(ladder, small_registry, 0, &state, &report, &error) != MF_OK)
		fail_msg("%s", error.message);
	small_assert_digest(state, &digest);
	assert_int_equal(mf_state_lsn(state), mf_state_lsn(ladder->state));
	assert_int_equal(mf_state_undo_depth(state), mf_state_undo_depth(ladder->state));
	assert_int_equal(report.snapshot_lsn, snapshot_lsn);
	assert_int_equal(report.events_replayed, mf_state_lsn(ladder->state) - snapshot_lsn);
	mf_state_unref(state);
	return report;
}

void spoil(struct ladder *ladder, int at, int64_t lsn)
{
	ladder->fake->spoiled_snapshots[at] = lsn;
}

enum mf_status fails(struct ladder *ladder, const struct mf_step_registry *registry, uint64_t limit, struct mf_error *error)
{
	struct mf_state *state = NULL;
	enum mf_status status = recover_with(ladder, registry, limit, &state, NULL, error);
	assert_null(state);
	return status;
}
