/* State fields in the store: in snapshots, on recovery, through compaction. A memory store behind the fake one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "fake_store.h"
#include "model/mem.h"
#include "model/transaction.h"
#include "model/tree.h"
#include "persist/recovery.h"
#include "persist/snapshot_codec.h"
#include "small_fields.h"
#include "small_steps.h"

#define DOC "doc"

static struct mf_persist_options options;
static struct mf_step_registry *all, *honest; /* registries */

static struct mf_state *new_state(const struct mf_step_registry *registry)
{
	struct mf_state *state;
	assert_int_equal(mf_state_new_with_fields(registry, 100, &state, NULL), MF_OK);
	return state;
}

/* Actor, key and meta as a user gives them: test_trail looks at all of them. */
static struct mf_transaction *next_transaction(const struct mf_state *state, int number)
{
	struct mf_transaction *transaction = NULL;
	struct mf_value *meta;
	char text[40];
	if (number % 5 == 3)
		assert_int_equal(mf_state_make_undo(state, &transaction, NULL), MF_OK);
	else if (number % 5 == 4)
		assert_int_equal(mf_state_make_redo(state, &transaction, NULL), MF_OK);
	else
		transaction = small_transaction_new();
	snprintf(text, sizeof(text), "n%d", number);
	if (number % 5 < 2)
		ADD_INSERT(transaction, "root", 0, text);
	else if (number % 5 == 2)
		ADD_SET(transaction, "root", "n", number);
	mf_transaction_set_id(transaction, (uint64_t)number + 1);
	assert_int_equal(mf_transaction_set_key(transaction, text, NULL), MF_OK);
	assert_int_equal(mf_transaction_set_actor(transaction, number % 3 ? text : NULL, NULL), MF_OK);
	assert_int_equal(mf_value_parse_json("{\"a\":[1,2]}", 11, &meta, NULL), MF_OK);
	if (number % 2)
		mf_transaction_set_meta(transaction, meta);
	mf_value_unref(meta);
	return transaction;
}

/* Stores one event; takes state. */
static struct mf_state *advance(struct fake_store *fake, struct mf_state *state, int number)
{
	struct mf_transaction *transaction = next_transaction(state, number);
	struct mf_event event;
	void *memory;
	int64_t lsn;
	assert_int_equal(mf_event_encode(DOC, transaction, &options, &event, &memory, NULL), MF_OK);
	assert_int_equal(mf_store_append(&fake->base, &event, &lsn, NULL), MF_OK);
	mf_free(memory);
	return small_steps_commit(state, transaction, lsn);
}

static struct mf_state *write_history(struct fake_store *fake, struct mf_state *state, int from, int to)
{
	for (int i = from; i < to; i++)
		state = advance(fake, state, i);
	return state;
}

static void take_snapshot(struct fake_store *fake, const struct mf_state *state)
{
	struct mf_snapshot snapshot;
	struct mf_error error = {0};
	if (mf_snapshot_encode(DOC, state, &options, &snapshot, &error) != MF_OK)
		fail_msg("%s", error.message);
	assert_int_equal(mf_store_write_snapshot(&fake->base, &snapshot, NULL), MF_OK);
	mf_snapshot_deinit(&snapshot);
}

/* What changed since base, which a snapshot was taken of; takes base, and gives the next one. */
static struct mf_state *take_difference(struct fake_store *fake, struct mf_state *base, struct mf_state *state)
{
	struct mf_snapshot_base on = {.state = base, .raw_max = SIZE_MAX / 2};
	struct mf_snapshot snapshot;
	bool fits = false;
	if (base && mf_state_lsn(base) == mf_state_lsn(state))
		return base;
	if (base)
		assert_int_equal(mf_doc_digest(mf_state_doc(base), &on.digest), MF_OK);
	assert_int_equal(mf_snapshot_encode_on(DOC, base ? &on : NULL, state, &options, &snapshot, &fits, NULL), MF_OK);
	assert_true(fits || !base);
	assert_int_equal(snapshot.base_lsn, base ? mf_state_lsn(base) : 0);
	assert_int_equal(mf_store_write_snapshot(&fake->base, &snapshot, NULL), MF_OK);
	mf_snapshot_deinit(&snapshot);
	mf_state_unref(base);
	return mf_state_ref(state);
}

static enum mf_status recover(struct fake_store *fake, const struct mf_step_registry *registry, int64_t at_lsn, struct mf_state **out,
			      struct mf_recovery_report *out_report, struct mf_error *error)
{
	struct mf_recovery_options how = {.batch = 7, .history_limit = 100, .at_lsn = at_lsn};
	return mf_recover_state(&fake->base, DOC, registry, &how, out, out_report, error);
}

static struct mf_state *recovered(struct fake_store *fake, const struct mf_step_registry *registry, struct mf_recovery_report *out_report)
{
	struct mf_state *state;
	struct mf_error error = {0};
	if (recover(fake, registry, 0, &state, out_report, &error) != MF_OK)
		fail_msg("%s", error.message);
	return state;
}

/* ---- the normal path ---- */
static void the_values_are_the_same_live_replayed_and_from_any_snapshot(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *states[41] = {new_state(all)}, *back;
	struct mf_recovery_report report;
	for (int i = 0; i < 40; i++)
		states[i + 1] = advance(fake, mf_state_ref(states[i]), i);
	back = recovered(fake, all, &report);
	assert_int_equal(report.events_replayed, 40);
	small_assert_same_fields(back, states[40], small_all_fields);
	mf_state_unref(back);
	for (int i = 1; i <= 40; i++) {
		take_snapshot(fake, states[i]);
		back = recovered(fake, all, &report);
		assert_int_equal(report.snapshot_lsn, i);
		assert_int_equal(report.events_replayed, 40 - i);
		small_assert_same_fields(back, states[40], small_all_fields);
		mf_state_unref(back);
		assert_int_equal(recover(fake, all, i, &back, &report, NULL), MF_OK);
		small_assert_same_fields(back, states[i], small_all_fields);
		mf_state_unref(back);
	}
	for (int i = 0; i <= 40; i++)
		mf_state_unref(states[i]);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

static void the_values_survive_compaction(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 20), *back;
	int64_t upto;
	take_snapshot(fake, state);
	state = write_history(fake, state, 20, 30);
	take_snapshot(fake, state);
	state = write_history(fake, state, 30, 37);
	assert_int_equal(mf_compact_document(&fake->base, DOC, all, &options, &upto, NULL), MF_OK);
	assert_int_equal(upto, 20);
	struct mf_recovery_report report;
	back = recovered(fake, all, &report);
	assert_int_equal(report.snapshot_lsn, 30);
	small_assert_same_fields(back, state, small_all_fields);
	mf_state_unref(back);
	mf_state_unref(state);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

/* ---- any history ---- */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* A number of the kind of event that fits: see next_transaction. */
static int random_number(const struct mf_state *state, int n, uint64_t *seed)
{
	int kind = (int)(next_random(seed) % 5);
	if ((kind == 3 && mf_state_undo_depth(state) == 0) || (kind == 4 && mf_state_redo_depth(state) == 0))
		kind = 0;
	return 5 * n + kind;
}

/* MF_SEED=N repeats it. */
static void any_mix_of_events_snapshots_compactions_and_restarts_gives_the_live_values(void **unused)
{
	(void)unused;
	const char *text = getenv("MF_SEED");
	uint64_t seed = text && *text ? strtoull(text, NULL, 10) | 1 : (uint64_t)time(NULL) | 1;
	print_message("# MF_SEED=%llu\n", (unsigned long long)seed);
	for (int round = 0; round < 20; round++) {
		struct fake_store *fake = fake_store_new(true);
		struct mf_state *live = new_state(all), *base = NULL, *back;
		int64_t upto;
		for (int i = 0; i < 100; i++) {
			live = advance(fake, live, random_number(live, i, &seed));
			if (next_random(&seed) % 8 == 0)
				base = take_difference(fake, base, live);
			if (next_random(&seed) % 16 == 0)
				assert_int_equal(mf_compact_document(&fake->base, DOC, all, &options, &upto, NULL), MF_OK);
			if (next_random(&seed) % 8 > 0)
				continue;
			back = recovered(fake, all, NULL);
			small_assert_same_fields(back, live, small_all_fields);
			mf_state_unref(live);
			live = back;
			mf_state_unref(base); /* what it was made of is gone with the process: the next one is whole */
			base = NULL;
		}
		mf_state_unref(base);
		assert_int_equal(small_field_number(live, "test_moody"), 100);
		mf_state_unref(live);
		fake_store_free(fake);
	}
	assert_int_equal(small_fields_alive(), 0);
}

/* ---- other plugins than then ---- */
static void a_field_that_no_plugin_brings_is_left_out(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 20), *back;
	struct mf_recovery_report report;
	take_snapshot(fake, state);
	state = write_history(fake, state, 20, 25);
	back = recovered(fake, honest, &report);
	assert_int_equal(report.snapshot_lsn, 20);
	assert_int_equal(report.damaged_snapshots, 0);
	assert_int_equal(report.fields_left_out, 1);
	assert_null(mf_state_field_value(back, "test_moody"));
	small_assert_same_fields(back, state, small_honest_fields);
	mf_state_unref(back);
	mf_state_unref(state);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

static void p5_a_new_field_sees_the_whole_history(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *old = write_history(fake, new_state(honest), 0, 20), *state;
	struct mf_recovery_report report;
	take_snapshot(fake, old);
	state = recovered(fake, all, &report);
	assert_int_equal(report.snapshot_lsn, 0);
	assert_int_equal(report.events_replayed, 20);
	assert_int_equal(report.damaged_snapshots, 0);
	assert_int_equal(report.stale_snapshots, 1);
	assert_int_equal(small_field_number(state, "test_moody"), 20);
	small_assert_same_fields(state, old, small_honest_fields);
	take_snapshot(fake, state);
	mf_state_unref(state);
	state = recovered(fake, all, &report);
	assert_int_equal(report.damaged_snapshots, 0);
	assert_int_equal(small_field_number(state, "test_moody"), 20);
	mf_state_unref(state);
	mf_state_unref(old);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

static void p5_a_value_in_another_version_is_made_anew_from_the_history(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 20), *back;
	struct mf_recovery_report report;
	take_snapshot(fake, state);
	small_moody_field.version = small_moody_field.oldest_version = 2;
	back = recovered(fake, all, &report);
	assert_int_equal(report.damaged_snapshots, 0);
	assert_int_equal(report.stale_snapshots, 1);
	small_assert_same_fields(back, state, small_all_fields);
	small_moody_field.version = small_moody_field.oldest_version = 1;
	mf_state_unref(back);
	mf_state_unref(state);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

/* Its snapshots at 10 and 20 know nothing of it, and the events up to 10 are gone. */
static void p5_a_new_field_begins_anew_where_the_events_are_gone(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *old = write_history(fake, new_state(honest), 0, 10), *state;
	struct mf_recovery_report report;
	struct mf_error error = {0};
	int64_t upto = 0;
	take_snapshot(fake, old);
	old = write_history(fake, old, 10, 20);
	take_snapshot(fake, old);
	assert_int_equal(mf_compact_document(&fake->base, DOC, honest, &options, &upto, NULL), MF_OK);
	assert_int_equal(upto, 10);
	old = write_history(fake, old, 20, 25);
	state = recovered(fake, all, &report);
	assert_int_equal(report.snapshot_lsn, 20);
	assert_int_equal(report.fields_anew, 1);
	assert_int_equal(report.stale_snapshots, 1);
	assert_int_equal(report.damaged_snapshots, 0);
	assert_int_equal(small_field_number(state, "test_moody"), 5); /* events since then */
	small_assert_same_fields(state, old, small_honest_fields);
	assert_int_equal(mf_compact_document(&fake->base, DOC, all, &options, &upto, &error), MF_ERR_UNKNOWN_STEP); /* not on such a base */
	assert_non_null(strstr(error.message, "'test_moody'"));
	take_snapshot(fake, state);
	mf_state_unref(state);
	state = recovered(fake, all, &report); /* from there on it is exact again */
	assert_int_equal(report.snapshot_lsn, 25);
	assert_int_equal(report.fields_anew + report.stale_snapshots, 0);
	assert_int_equal(small_field_number(state, "test_moody"), 5);
	mf_state_unref(state);
	mf_state_unref(old);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

/* The snapshot that compaction makes whole would lose its value for good. */
static void compaction_rewrites_no_snapshot_whose_field_no_plugin_brings(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 10), *base, *back;
	struct mf_error error = {0};
	int64_t upto = 0;
	base = take_difference(fake, NULL, state);
	state = write_history(fake, state, 10, 20);
	base = take_difference(fake, base, state);
	struct mf_state *then = mf_state_ref(state);
	state = write_history(fake, state, 20, 30);
	base = take_difference(fake, base, state);
	assert_int_equal(mf_compact_document(&fake->base, DOC, honest, &options, &upto, &error), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "nothing was deleted"));
	assert_non_null(strstr(error.message, "1 state field(s)"));
	assert_int_equal(mf_compact_document(&fake->base, DOC, all, &options, &upto, &error), MF_OK);
	assert_int_equal(upto, 20);
	assert_int_equal(recover(fake, all, 20, &back, NULL, NULL), MF_OK);
	small_assert_same_fields(back, then, small_all_fields);
	mf_state_unref(back);
	mf_state_unref(then);
	mf_state_unref(base);
	mf_state_unref(state);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

/* ---- what a plugin may do wrong ---- */
static void a_field_that_is_not_deterministic_stops_compaction(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 10);
	struct mf_error error = {0};
	int64_t upto = 0;
	for (int i = 0; i < 2; i++) {
		take_snapshot(fake, state);
		state = write_history(fake, state, 10 + i, 11 + i);
	}
	small_moods.forgets = 1;
	assert_int_equal(mf_compact_document(&fake->base, DOC, all, &options, &upto, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "nothing was deleted"));
	small_moods.forgets = 0;
	assert_int_equal(mf_compact_document(&fake->base, DOC, all, &options, &upto, NULL), MF_OK);
	assert_int_equal(upto, 10);
	mf_state_unref(state);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

static struct fake_store *store_to_compact(void)
{
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 10);
	for (int i = 0; i < 2; i++) {
		take_snapshot(fake, state);
		state = write_history(fake, state, 10 + i, 11 + i);
	}
	mf_state_unref(state);
	return fake;
}

static void a_value_that_cannot_be_encoded_stops_compaction(void **unused)
{
	(void)unused;
	struct fake_store *fake = store_to_compact();
	struct mf_error error = {0};
	int64_t upto = 0;
	small_moods.encode = MF_ERR_IO;
	small_moods.encodes_left = 1; /* when it is read back it is compared */
	assert_int_equal(mf_compact_document(&fake->base, DOC, all, &options, &upto, &error), MF_ERR_IO);
	small_moods.encode = small_moods.encodes_left = 0;
	assert_string_equal(error.message, "nothing was deleted: document '" DOC "': its digest could not be computed (state field 'test_moody': MF_ERR_IO)");
	assert_int_equal(upto, 0);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

static void every_failed_allocation_in_a_compaction_deletes_nothing(void **unused)
{
	(void)unused;
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct fake_store *fake = store_to_compact();
		int64_t upto = 0;
		memory_fails_at(n);
		enum mf_status status = mf_compact_document(&fake->base, DOC, all, &options, &upto, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK ? upto == 10 : status == MF_ERR_NO_MEMORY && failed && upto == 0);
		fake_store_free(fake);
	}
	assert_int_equal(small_fields_alive(), 0);
}

static void a_field_that_refuses_a_stored_event_ends_the_recovery_with_document_and_lsn(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 20), *back = NULL;
	struct mf_error error = {0};
	small_moods.refuse_from = 13;
	assert_int_equal(recover(fake, all, 0, &back, NULL, &error), MF_ERR_PLUGIN);
	small_moods.refuse_from = 0;
	assert_null(back);
	assert_int_equal(error.status, MF_ERR_PLUGIN);
	assert_int_equal(error.lsn, 13);
	assert_non_null(strstr(error.message, "'" DOC "', LSN 13"));
	assert_non_null(strstr(error.message, "'test_moody': no more than 12 events"));
	mf_state_unref(state);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

static void a_field_whose_init_fails_ends_the_recovery_with_the_document(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *back = NULL;
	struct mf_error error = {0};
	small_moods.init = MF_ERR_INVALID;
	assert_int_equal(recover(fake, all, 0, &back, NULL, &error), MF_ERR_INVALID);
	small_moods.init = 0;
	assert_null(back);
	assert_string_equal(error.message, "document '" DOC "': state field 'test_moody': MF_ERR_INVALID");
	fake_store_free(fake);
}

static void f17_a_value_that_cannot_be_encoded_is_no_snapshot(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 3);
	struct mf_snapshot snapshot = {0};
	struct mf_error error = {0};
	small_moods.encode = MF_ERR_IO;
	assert_int_equal(mf_snapshot_encode(DOC, state, &options, &snapshot, &error), MF_ERR_IO);
	small_moods.encode = 0;
	assert_null(snapshot.memory);
	assert_non_null(strstr(error.message, "'" DOC "'"));
	assert_non_null(strstr(error.message, "'test_moody'"));
	mf_state_unref(state);
	fake_store_free(fake);
}

static void p4_a_snapshot_whose_value_cannot_be_read_is_passed_over(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 20), *back;
	struct mf_recovery_report report;
	take_snapshot(fake, state);
	small_moods.decode = MF_ERR_CORRUPTED;
	back = recovered(fake, all, &report);
	small_moods.decode = 0;
	assert_int_equal(report.stale_snapshots, 1);
	small_assert_same_fields(back, state, small_all_fields);
	mf_state_unref(back);
	mf_state_unref(state);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

/* ---- damage and memory ---- */
static enum mf_status decode(const struct mf_snapshot *snapshot, struct mf_state **out)
{
	return mf_snapshot_decode(snapshot, all, 100, out, NULL);
}

static void f22_every_flipped_bit_of_a_snapshot_with_fields_is_found(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 4), *back = NULL;
	struct mf_snapshot snapshot;
	assert_int_equal(mf_snapshot_encode(DOC, state, &options, &snapshot, NULL), MF_OK);
	unsigned char *blob = snapshot.memory;
	for (size_t bit = 0; bit < 8 * snapshot.state_len; bit++) {
		blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_int_equal(decode(&snapshot, &back), MF_ERR_CORRUPTED);
		blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	assert_null(back);
	mf_snapshot_deinit(&snapshot);
	mf_state_unref(state);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

static void every_failed_allocation_is_no_memory(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_state *state = write_history(fake, new_state(all), 0, 12);
	take_snapshot(fake, state);
	state = write_history(fake, state, 12, 15);
	uint64_t n = 0, reached;
	do {
		struct mf_state *back = NULL;
		int alive = small_fields_alive();
		mf_tree_trim();
		mf_mem_fail_at(++n, false);
		enum mf_status status = recover(fake, all, 0, &back, NULL, NULL);
		reached = mf_mem_count();
		mf_mem_fail_at(0, false);
		/* a shrink that fails is no failure, so MF_OK does not end the loop */
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && !back && reached >= n));
		if (status == MF_OK)
			small_assert_same_fields(back, state, small_all_fields);
		mf_state_unref(back);
		assert_int_equal(small_fields_alive(), alive);
	} while (reached >= n);
	assert_true(n > 40);
	mf_state_unref(state);
	fake_store_free(fake);
	assert_int_equal(small_fields_alive(), 0);
}

static int setup(void **state)
{
	mf_persist_options_init(&options);
	all = small_fields_registry(small_all_fields);
	honest = small_fields_registry(small_honest_fields);
	return small_make_registry(state);
}

static int teardown(void **state)
{
	mf_step_registry_free(all);
	mf_step_registry_free(honest);
	return small_free_registry(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_values_are_the_same_live_replayed_and_from_any_snapshot),
		cmocka_unit_test(the_values_survive_compaction),
		cmocka_unit_test(any_mix_of_events_snapshots_compactions_and_restarts_gives_the_live_values),
		cmocka_unit_test(a_field_that_no_plugin_brings_is_left_out),
		cmocka_unit_test(p5_a_new_field_sees_the_whole_history),
		cmocka_unit_test(p5_a_value_in_another_version_is_made_anew_from_the_history),
		cmocka_unit_test(p5_a_new_field_begins_anew_where_the_events_are_gone),
		cmocka_unit_test(compaction_rewrites_no_snapshot_whose_field_no_plugin_brings),
		cmocka_unit_test(a_field_that_is_not_deterministic_stops_compaction),
		cmocka_unit_test(a_value_that_cannot_be_encoded_stops_compaction),
		cmocka_unit_test(a_field_that_refuses_a_stored_event_ends_the_recovery_with_document_and_lsn),
		cmocka_unit_test(a_field_whose_init_fails_ends_the_recovery_with_the_document),
		cmocka_unit_test(f17_a_value_that_cannot_be_encoded_is_no_snapshot),
		cmocka_unit_test(p4_a_snapshot_whose_value_cannot_be_read_is_passed_over),
		cmocka_unit_test(f22_every_flipped_bit_of_a_snapshot_with_fields_is_found),
		cmocka_unit_test(every_failed_allocation_is_no_memory),
		cmocka_unit_test(every_failed_allocation_in_a_compaction_deletes_nothing),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
