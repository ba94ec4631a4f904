/* test_clock.c - the wall clock jumps by an hour back and by a day ahead, while the store works.
 *
 * The C library's clocks are defined here, in the executable, so that library and plugins ask these. The wall clock has
 * jumped by what the test says; the monotonic one goes on. What waited by the wall clock would wait for a day, or for
 * nothing at all: an alarm ends the former, and the latter is looked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/runtime.h>

#include "oracle.h"
#include "scratch.h"
#include "workload.h"

#define OK(call) assert_int_equal(MF_OK, (call))
#define HOUR_BACK (-3600)
#define DAY_AHEAD 86400
#define PATIENCE_MS 20000

/* ---- the clocks ---- */
static atomic_long jumped_s;

int clock_gettime(clockid_t clock, struct timespec *out)
{
	int result = (int)syscall(SYS_clock_gettime, clock, out);
	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		out->tv_sec += atomic_load(&jumped_s);
	return result;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}

static void jump(long seconds)
{
	atomic_fetch_add(&jumped_s, seconds);
}

/* ---- a store ---- */
static struct ledger *ledger;
static struct mf_runtime *runtime;
static struct mf_error error;

static int setup(void **unused)
{
	(void)unused;
	scratch_make();
	ledger = ledger_new();
	runtime = NULL;
	atomic_store(&jumped_s, 0);
	alarm(120);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	OK(mf_runtime_close(runtime, MF_WAIT_FOREVER, NULL));
	ledger_free(ledger);
	return scratch_remove();
}

static void open_runtime(const char *mode, const char *options)
{
	struct mf_runtime_options how = {.config_path = scratch_config, .mode = mode};
	assert_true(proof_write_config(scratch_config, scratch_data, options));
	if (mf_runtime_open(&how, &runtime, &error) != MF_OK)
		fail_msg("%s", error.message);
}

static struct mf_ticket *submit(int n)
{
	struct mf_transaction *transaction;
	struct mf_ticket *ticket;
	OK(mf_transaction_new(&transaction));
	OK(mf_transaction_add_format(transaction, mf_runtime_steps(runtime), "update_attrs", &error, "{\"id\":\"root\",\"set\":{\"n\":%lld}}", (long long)n));
	OK(mf_runtime_submit(runtime, "d", transaction, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	mf_transaction_free(transaction);
	return ticket;
}

static int64_t commit(int n)
{
	int64_t lsn;
	struct mf_ticket *ticket = submit(n);
	OK(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, PATIENCE_MS, &lsn, &error));
	mf_ticket_unref(ticket);
	return lsn;
}

static struct mf_store_stats stats(void)
{
	struct mf_store_stats now;
	OK(mf_store_stats(mf_runtime_store(runtime), &now, &error));
	return now;
}

/* ---- everything, across jumps ---- */
struct jumps {
	uint64_t random;
	unsigned batches;
};

static void jump_now_and_then(void *user)
{
	struct jumps *jumps = user;
	if (++jumps->batches % 3 == 0)
		jump(proof_below(&jumps->random, 2) ? HOUR_BACK : DAY_AHEAD);
}

static void a_run_across_jumps_loses_nothing(void **unused)
{
	(void)unused;
	static const struct {
		const char *mode;
		enum mf_commit_kind kind;
	} modes[] = {{"async:5", MF_COMMIT_ASYNC_DURABLE}, {"sync", MF_COMMIT_SYNC_DURABLE}, {"async:50", MF_COMMIT_ASYNC_DURABLE}, {"memory", MF_COMMIT_MEMORY_ONLY}};
	struct oracle_report report;
	struct oracle_plan plan = {.dir = scratch_data, .config = scratch_config, .crash = ORACLE_KILLED};
	assert_true(proof_write_config(scratch_config, scratch_data, ", \"snapshot_every_ms\": 5"));
	for (uint32_t life = 0; life < 4; life++) {
		struct jumps jumps = {.random = life};
		struct workload workload = {.config = scratch_config, .mode = modes[life].mode, .kind = modes[life].kind, .seed = 5, .life = life, .batches = 100, .batch_max = 20, .docs = 3,
					    .what = WORKLOAD_ALL & ~(unsigned)WORKLOAD_BACKUP, .out = {ledger_line_to_ledger, ledger}, .between = jump_now_and_then, .user = &jumps};
		if (workload_run(&workload, &error) != MF_OK)
			fail_msg("%s", error.message);
		if (!oracle_check(&plan, ledger, &report))
			fail_msg("%s", report.text);
		jump(HOUR_BACK); /* the next opening is earlier than the last event */
	}
}

/* ---- windows ---- */

static void a_group_window_ends_across_a_jump(void **unused)
{
	(void)unused;
	static const long jumps[] = {HOUR_BACK, DAY_AHEAD};
	int64_t lsn;
	open_runtime("async:50", NULL);
	for (int i = 0; i < 10; i++) {
		struct mf_ticket *ticket = submit(i);
		jump(jumps[i % 2]);
		OK(mf_ticket_wait(ticket, MF_LEVEL_WRITTEN, PATIENCE_MS, &lsn, &error)); /* nor does the wait's own time-out end */
		OK(mf_ticket_wait(ticket, MF_LEVEL_SYNCED, PATIENCE_MS, &lsn, &error));
		mf_ticket_unref(ticket);
	}
}

static void a_day_ahead_does_not_end_a_window(void **unused)
{
	(void)unused;
	int64_t lsn;
	open_runtime("async:60000", NULL);
	struct mf_ticket *ticket = submit(1);
	OK(mf_ticket_wait(ticket, MF_LEVEL_WRITTEN, PATIENCE_MS, &lsn, &error));
	jump(DAY_AHEAD);
	struct mf_ticket *next = submit(2); /* wakes who looks at the clock */
	OK(mf_ticket_wait(next, MF_LEVEL_WRITTEN, PATIENCE_MS, &lsn, &error));
	assert_int_equal(MF_ERR_TIMEOUT, mf_ticket_wait(ticket, MF_LEVEL_SYNCED, 100, &lsn, &error));
	mf_ticket_unref(next);
	mf_ticket_unref(ticket);
}

/* ---- snapshots by time ---- */
#define BY_TIME(ms) ", \"snapshot_every_n_events\": 0, \"snapshot_every_bytes\": 0, \"snapshot_every_ms\": " #ms

static int64_t snapshots_now(int64_t at_least)
{
	for (int i = 0; i < PATIENCE_MS && stats().snapshots < at_least; i++) {
		usleep(1000);
		commit(i);
	}
	return stats().snapshots;
}

static void a_snapshot_by_time_is_taken_though_the_clock_fell(void **unused)
{
	(void)unused;
	open_runtime("sync", BY_TIME(5));
	commit(0);
	jump(HOUR_BACK);
	assert_true(snapshots_now(1) >= 1);
	jump(HOUR_BACK);
	assert_true(snapshots_now(2) >= 2);
}

static void a_day_ahead_makes_no_snapshot_due(void **unused)
{
	(void)unused;
	open_runtime("sync", BY_TIME(600000));
	for (int i = 0; i < 20; i++) {
		commit(i);
		jump(DAY_AHEAD);
	}
	OK(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error)); /* what was due is taken first */
	open_runtime("sync", BY_TIME(600000));
	assert_int_equal(0, stats().snapshots);
}

static void the_newest_snapshot_is_the_one_with_the_highest_lsn(void **unused)
{
	(void)unused;
	int64_t upto;
	struct mf_snapshot snapshot;
	open_runtime("sync", BY_TIME(0));
	for (int i = 0; i < 3; i++) {
		commit(i);
		OK(mf_runtime_snapshot(runtime, "d", &upto, &error));
		jump(HOUR_BACK);
	}
	OK(mf_store_latest_snapshot(mf_runtime_store(runtime), "d", INT64_MAX, &snapshot, &error));
	assert_int_equal(3, snapshot.upto_lsn);
	mf_snapshot_deinit(&snapshot);
}

/* ---- followers ---- */

static enum mf_status handle(void *user, const struct mf_publication *publication, struct mf_error *failure)
{
	(void)publication;
	(void)failure;
	atomic_fetch_add((atomic_int *)user, 1);
	return MF_OK;
}

static atomic_int handled;

static void follow(uint32_t checkpoint_ms)
{
	struct mf_follow_options options;
	uint64_t id;
	mf_follow_options_init(&options);
	options.name = "f";
	options.keep_checkpoint = true;
	options.checkpoint_events = 1000000;
	options.checkpoint_ms = checkpoint_ms;
	atomic_store(&handled, 0);
	OK(mf_runtime_follow(runtime, &options, handle, &handled, &id, &error));
}

static int64_t checkpoint(void)
{
	struct mf_checkpoint found;
	enum mf_status status = mf_store_load_checkpoint(mf_runtime_store(runtime), "f", &found, &error);
	return status == MF_OK ? found.lsn : 0;
}

static void a_checkpoint_by_time_is_saved_though_the_clock_fell(void **unused)
{
	(void)unused;
	open_runtime("sync", NULL);
	follow(10);
	for (int round = 0; round < 3; round++) {
		int64_t lsn = commit(round);
		jump(HOUR_BACK);
		for (int i = 0; i < PATIENCE_MS && checkpoint() < lsn; i++)
			usleep(1000);
		assert_int_equal(lsn, checkpoint());
	}
}

static void a_day_ahead_makes_no_checkpoint_due(void **unused)
{
	(void)unused;
	open_runtime("sync", NULL);
	follow(600000);
	for (int i = 0; i < 20; i++) {
		commit(i);
		OK(mf_bus_await_followers(mf_runtime_bus(runtime), PATIENCE_MS, &error));
		jump(DAY_AHEAD);
	}
	assert_int_equal(20, atomic_load(&handled));
	assert_int_equal(0, checkpoint());
	OK(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error));
	open_runtime("sync", NULL);
	assert_int_equal(20, checkpoint());
}

/* ---- what is stored ---- */

static void stored_times_never_fall_within_an_opening(void **unused)
{
	(void)unused;
	struct mf_event_list list = {0};
	open_runtime("sync", NULL);
	int64_t before = (int64_t)time(NULL);
	for (int i = 0; i < 10; i++) {
		commit(i);
		jump(i % 3 == 0 ? DAY_AHEAD : HOUR_BACK);
	}
	OK(mf_store_load_since(mf_runtime_store(runtime), NULL, 0, 100, &list, &error));
	assert_int_equal(10, list.count);
	for (size_t i = 0; i < list.count; i++) {
		assert_int_equal(i + 1, list.events[i].lsn);
		assert_true(i == 0 || list.events[i].ts_us >= list.events[i - 1].ts_us);
	}
	assert_true(list.events[9].ts_us >= (before + DAY_AHEAD) * 1000000); /* the jumps were seen at all */
	mf_event_list_deinit(&list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_run_across_jumps_loses_nothing),
		TEST(a_group_window_ends_across_a_jump),
		TEST(a_day_ahead_does_not_end_a_window),
		TEST(a_snapshot_by_time_is_taken_though_the_clock_fell),
		TEST(a_day_ahead_makes_no_snapshot_due),
		TEST(the_newest_snapshot_is_the_one_with_the_highest_lsn),
		TEST(a_checkpoint_by_time_is_saved_though_the_clock_fell),
		TEST(a_day_ahead_makes_no_checkpoint_due),
		TEST(stored_times_never_fall_within_an_opening),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]); /* one of them */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
