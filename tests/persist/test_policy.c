#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "fake_store.h"
#include "persist/snapshot_policy.h"

static struct mf_persist_options only(uint64_t events, uint64_t bytes, uint64_t ms)
{
	struct mf_persist_options options;
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = events;
	options.snapshot_every_bytes = bytes;
	options.snapshot_every_ms = ms;
	return options;
}

static bool should(const struct mf_persist_options *options, uint64_t events, uint64_t bytes, int64_t last_ms, int64_t now_ms)
{
	struct mf_snapshot_counters counters = {.events_since = events, .bytes_since = bytes, .last_snapshot_ms = last_ms, .now_ms = now_ms};
	return mf_should_snapshot(options, &counters);
}

static void each_limit_of_the_seed_is_reached_exactly(void **unused)
{
	(void)unused;
	struct mf_persist_options events = only(100, 0, 0), bytes = only(0, 5000, 0), ms = only(0, 0, 60000);
	assert_false(should(&events, 99, UINT64_MAX, 0, INT64_MAX));
	assert_true(should(&events, 100, 0, 0, 0));
	assert_true(should(&events, 101, 0, 0, 0));
	assert_false(should(&bytes, UINT64_MAX, 4999, 0, INT64_MAX));
	assert_true(should(&bytes, 0, 5000, 0, 0));
	assert_false(should(&ms, UINT64_MAX, UINT64_MAX, 1000, 60999));
	assert_true(should(&ms, 0, 0, 1000, 61000));
}

static void zero_switches_a_limit_off(void **unused)
{
	(void)unused;
	struct mf_persist_options off = only(0, 0, 0);
	assert_false(should(&off, UINT64_MAX, UINT64_MAX, 0, INT64_MAX));
}

static void a_clock_that_went_back_takes_no_snapshot(void **unused)
{
	(void)unused;
	struct mf_persist_options ms = only(0, 0, 1000);
	assert_false(should(&ms, 1, 1, 5000, 4000));
}

static void adaptive_limits_are_the_seeds(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(1, 1, 1);
	mf_adaptive_limits(100, 10000, &options);
	assert_int_equal(options.snapshot_every_n_events, 1000);
	assert_int_equal(options.snapshot_every_bytes, 100000000);
	mf_adaptive_limits(100.5, 10000.5, &options);
	assert_int_equal(options.snapshot_every_n_events, 200);
	assert_int_equal(options.snapshot_every_bytes, 10000000);
	assert_int_equal(options.snapshot_every_ms, 1); /* not its business */
}

static void the_defaults_are_the_documented_ones(void **unused)
{
	(void)unused;
	struct mf_persist_options options;
	mf_persist_options_init(&options);
	assert_int_equal(options.size, sizeof(options));
	assert_int_equal(options.commit_mode.kind, MF_COMMIT_ASYNC_DURABLE);
	assert_int_equal(options.commit_mode.group_window_ms, 10);
	assert_int_equal(options.snapshot_every_n_events, 1000);
	assert_int_equal(options.snapshot_every_bytes, 100000000);
	assert_int_equal(options.snapshot_every_ms, 300000);
	assert_int_equal(options.keep_snapshots, 2);
	assert_int_equal(options.compression_threshold, 1024);
	assert_int_equal(options.compression_level, 3);
	assert_int_equal(options.history_limit, 1000);
}

/* ---- counters ---- */

static struct fake_env env;

static struct mf_snapshot_policy *new_policy(struct mf_persist_options *options)
{
	struct mf_snapshot_policy *policy;
	fake_env_init(&env);
	options->env = &env.env;
	assert_int_equal(mf_snapshot_policy_new(options, &policy), MF_OK);
	return policy;
}

static int commits_until_due(struct mf_snapshot_policy *policy, const char *doc_id, uint64_t bytes, int limit)
{
	for (int i = 1; i <= limit; i++)
		if (mf_snapshot_policy_committed(policy, doc_id, i, bytes))
			return i;
	return 0;
}

static void every_document_counts_for_itself(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(10, 0, 0);
	struct mf_snapshot_policy *policy = new_policy(&options);
	assert_int_equal(commits_until_due(policy, "a", 1, 9), 0);
	assert_int_equal(commits_until_due(policy, "b", 1, 100), 10);
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 1);
	mf_snapshot_policy_free(policy);
}

static void what_comes_during_an_attempt_counts_for_the_next_one(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(10, 0, 0);
	struct mf_snapshot_policy *policy = new_policy(&options);
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 10);
	assert_int_equal(commits_until_due(policy, "a", 1, 7), 0); /* one attempt at a time */
	mf_snapshot_policy_end(policy, "a");
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 3);
	assert_false(mf_snapshot_policy_end(policy, "a"));
	assert_false(mf_snapshot_policy_end(policy, "a")); /* a second end is nothing */
	assert_false(mf_snapshot_policy_end(policy, "nobody"));
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 10);
	mf_snapshot_policy_free(policy);
}

static bool loaded(struct mf_snapshot_policy *policy, const char *doc_id, int64_t lsn, uint64_t events, uint64_t bytes, int64_t elapsed_us)
{
	return mf_snapshot_policy_loaded(policy, doc_id, &(struct mf_recovered){lsn, events, bytes, elapsed_us});
}

static void a_long_recovery_makes_a_snapshot_due_at_once(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(10, 1000, 0);
	struct mf_snapshot_policy *policy = new_policy(&options);
	assert_true(loaded(policy, "a", 10, 10, 10, 0));
	assert_int_equal(commits_until_due(policy, "a", 1, 20), 0); /* the attempt has begun */
	mf_snapshot_policy_end(policy, "a");
	assert_int_equal(commits_until_due(policy, "a", 1, 20), 1); /* 20 came meanwhile */
	assert_true(loaded(policy, "b", 3, 3, 1000, 0));
	assert_false(loaded(policy, "b", 3, 3, 1000, 0)); /* counted already */
	assert_false(loaded(policy, "c", 9, 9, 999, 1000000)); /* there is no target */
	mf_snapshot_policy_free(policy);
	options.recovery_target_ms = 50;
	policy = new_policy(&options);
	assert_false(loaded(policy, "a", 1, 1, 1, 50999));
	assert_false(loaded(policy, "d", 1, 1, 1, 0)); /* faster than the clock can tell */
	assert_true(loaded(policy, "b", 1, 1, 1, 51000));
	assert_false(loaded(policy, "c", 1, 0, 0, 51000)); /* the snapshot alone took so long: another one helps nobody */
	mf_snapshot_policy_free(policy);
	options.strategy = MF_STRATEGY_ADAPTIVE;
	options.recovery_target_ms = 0;
	policy = new_policy(&options);
	assert_false(loaded(policy, "a", 999, 999, 99999999, 0));
	assert_true(loaded(policy, "b", 1000, 1000, 1, 0));
	mf_snapshot_policy_free(policy);
}

static void what_was_replayed_counts_after_a_restart(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(10, 1000, 0);
	struct mf_snapshot_policy *policy = new_policy(&options);
	assert_false(loaded(policy, "a", 8, 8, 80, 0));
	assert_false(loaded(policy, "a", 8, 8, 80, 0)); /* recovered again: counted already */
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 2);
	assert_false(loaded(policy, "b", 8, 1, 999, 0));
	assert_int_equal(commits_until_due(policy, "b", 1, 100), 1);
	mf_snapshot_policy_free(policy);
}

static void a_document_that_was_let_go_is_counted_anew(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(3, 0, 0);
	struct mf_snapshot_policy *policy = new_policy(&options);
	assert_int_equal(commits_until_due(policy, "a", 1, 2), 0);
	mf_snapshot_policy_forget(policy, "a");
	mf_snapshot_policy_forget(policy, "nobody");
	assert_false(loaded(policy, "a", 2, 1, 1, 0)); /* there is a snapshot at 1 */
	assert_int_equal(commits_until_due(policy, "a", 1, 9), 2);
	mf_snapshot_policy_forget(policy, "a"); /* while the attempt is under way: it goes when that ends */
	assert_int_equal(commits_until_due(policy, "a", 1, 2), 0);
	mf_snapshot_policy_forget(policy, "a");
	assert_true(mf_snapshot_policy_end(policy, "a")); /* and says so */
	assert_int_equal(commits_until_due(policy, "a", 1, 9), 3);
	mf_snapshot_policy_forget(policy, "a"); /* and stays when it was recovered before the end */
	assert_false(loaded(policy, "a", 5, 0, 0, 0));
	assert_int_equal(commits_until_due(policy, "a", 1, 2), 0);
	assert_false(mf_snapshot_policy_end(policy, "a"));
	assert_int_equal(commits_until_due(policy, "a", 1, 9), 1);
	mf_snapshot_policy_free(policy);
}

static void an_attempt_that_did_not_take_place_is_due_again_at_the_next_event(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(10, 0, 0);
	struct mf_snapshot_policy *policy = new_policy(&options);
	mf_snapshot_policy_withdraw(policy, "nobody");
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 10);
	mf_snapshot_policy_withdraw(policy, "a");
	mf_snapshot_policy_withdraw(policy, "a"); /* a second time is nothing */
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 1);
	assert_false(mf_snapshot_policy_end(policy, "a")); /* which covers all eleven */
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 10);
	mf_snapshot_policy_forget(policy, "a");
	mf_snapshot_policy_withdraw(policy, "a"); /* nobody has it any more */
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 10);
	mf_snapshot_policy_free(policy);
	options.recovery_target_ms = 50;
	policy = new_policy(&options);
	assert_true(loaded(policy, "slow", 1, 1, 1, 51000)); /* for what it took, not for what it was */
	mf_snapshot_policy_withdraw(policy, "slow");
	assert_int_equal(commits_until_due(policy, "slow", 1, 100), 1);
	mf_snapshot_policy_free(policy);
}

static void a_snapshot_by_hand_resets_the_counters_of_a_current_state(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(10, 0, 0);
	struct mf_snapshot_policy *policy = new_policy(&options);
	assert_int_equal(commits_until_due(policy, "a", 1, 9), 0);
	assert_false(mf_snapshot_policy_begin(policy, "a", 8)); /* of an older state: later events still count */
	assert_true(mf_snapshot_policy_begin(policy, "a", 9));
	assert_false(mf_snapshot_policy_begin(policy, "a", 9));
	mf_snapshot_policy_end(policy, "a");
	assert_false(mf_snapshot_policy_begin(policy, "nobody", 1));
	assert_int_equal(commits_until_due(policy, "a", 1, 100), 10);
	mf_snapshot_policy_free(policy);
}

static void time_is_measured_on_the_monotonic_clock(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(0, 0, 1000);
	struct mf_snapshot_policy *policy = new_policy(&options);
	assert_int_equal(commits_until_due(policy, "a", 1, 5), 0);
	atomic_fetch_add(&env.wall_us, 3600000000);
	assert_int_equal(commits_until_due(policy, "a", 1, 5), 0);
	atomic_fetch_add(&env.now_us, 1000000);
	assert_int_equal(commits_until_due(policy, "a", 1, 5), 1);
	mf_snapshot_policy_free(policy);
}

static void adaptive_follows_the_rate_and_the_size(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(5, 5, 0); /* replaced by the strategy */
	options.strategy = MF_STRATEGY_ADAPTIVE;
	struct mf_snapshot_policy *policy = new_policy(&options);
	assert_int_equal(commits_until_due(policy, "fast", 1, 5000), 200); /* all within a second */
	int slow = 0;
	while (slow < 5000 && !mf_snapshot_policy_committed(policy, "slow", ++slow, 1))
		atomic_fetch_add(&env.now_us, 20000); /* 50 a second */
	assert_int_equal(slow, 1000);
	int large = 0;
	while (large < 5000 && !mf_snapshot_policy_committed(policy, "large", ++large, 100000))
		atomic_fetch_add(&env.now_us, 20000);
	assert_int_equal(large, 100); /* 10 MB */
	mf_snapshot_policy_free(policy);
}

static void the_recovery_target_uses_the_measured_cost(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(0, 0, 0);
	options.recovery_target_ms = 10;
	struct mf_snapshot_policy *policy = new_policy(&options);
	assert_false(mf_snapshot_policy_wants_cost(policy, "a")); /* nothing committed yet */
	assert_int_equal(commits_until_due(policy, "a", 1, 500), 0); /* not measured: no guess */
	assert_true(mf_snapshot_policy_wants_cost(policy, "a"));
	assert_false(mf_snapshot_policy_wants_cost(policy, "a")); /* only now and then */
	mf_snapshot_policy_cost(policy, "a", 20);
	assert_int_equal(commits_until_due(policy, "a", 1, 500), 1); /* 501 events of 20 us are more than 10 ms */
	mf_snapshot_policy_end(policy, "a");
	mf_snapshot_policy_cost(policy, "a", 100); /* the average moves by an eighth: 30 us */
	assert_int_equal(commits_until_due(policy, "a", 1, 1000), 334);
	mf_snapshot_policy_cost(policy, "gone", 100); /* let go meanwhile: nothing to remember it by */
	assert_int_equal(commits_until_due(policy, "gone", 1, 500), 0);
	mf_snapshot_policy_cost(policy, "gone", 0); /* faster than the clock can tell: a microsecond, or it would never be due */
	assert_int_equal(commits_until_due(policy, "gone", 1, 20000), 10001 - 500);
	mf_snapshot_policy_free(policy);
	options.recovery_target_ms = 0;
	policy = new_policy(&options);
	assert_int_equal(commits_until_due(policy, "a", 1, 1), 0);
	assert_false(mf_snapshot_policy_wants_cost(policy, "a")); /* without a target nobody asks */
	mf_snapshot_policy_free(policy);
}

static void every_failed_allocation_only_delays_a_snapshot(void **unused)
{
	(void)unused;
	struct mf_persist_options options = only(1, 0, 0);
	struct mf_snapshot_policy *policy;
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_snapshot_policy_new(&options, &policy), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	policy = new_policy(&options);
	bool due = false;
	for (uint64_t n = 1; !due; n++) {
		memory_fails_at(n);
		due = mf_snapshot_policy_committed(policy, "a", 1, 1);
		assert_int_equal(due, !memory_failed(n));
		assert_true(!due || n > 2);
	}
	mf_mem_fail_at(1, true);
	assert_false(loaded(policy, "b", 9, 9, 9, 0)); /* nothing can be counted: nothing is due */
	mf_mem_fail_at(0, false);
	assert_true(loaded(policy, "b", 9, 9, 9, 0));
	mf_snapshot_policy_free(policy);
	mf_snapshot_policy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_limit_of_the_seed_is_reached_exactly),
		cmocka_unit_test(zero_switches_a_limit_off),
		cmocka_unit_test(a_clock_that_went_back_takes_no_snapshot),
		cmocka_unit_test(adaptive_limits_are_the_seeds),
		cmocka_unit_test(the_defaults_are_the_documented_ones),
		cmocka_unit_test(every_document_counts_for_itself),
		cmocka_unit_test(what_comes_during_an_attempt_counts_for_the_next_one),
		cmocka_unit_test(what_was_replayed_counts_after_a_restart),
		cmocka_unit_test(a_long_recovery_makes_a_snapshot_due_at_once),
		cmocka_unit_test(a_document_that_was_let_go_is_counted_anew),
		cmocka_unit_test(an_attempt_that_did_not_take_place_is_due_again_at_the_next_event),
		cmocka_unit_test(a_snapshot_by_hand_resets_the_counters_of_a_current_state),
		cmocka_unit_test(time_is_measured_on_the_monotonic_clock),
		cmocka_unit_test(adaptive_follows_the_rate_and_the_size),
		cmocka_unit_test(the_recovery_target_uses_the_measured_cost),
		cmocka_unit_test(every_failed_allocation_only_delays_a_snapshot),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
