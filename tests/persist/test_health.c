/* The health of a store: each level, each kind of finding, and what a check does not do. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/env.h"
#include "store_kit.h"
#include "tests/memory_fails.h"
#include "vfs_shim.h"
#include <moduforge/health.h>
#include <moduforge/value.h>

/* ---- asking ---- */

static struct {
	int count;
	char what[32];
	enum mf_health_level level;
} told;

static void hear(void *user, const struct mf_health_finding *finding)
{
	assert_ptr_equal(user, &told);
	told.count++;
	snprintf(told.what, sizeof(told.what), "%s", finding->what);
	told.level = finding->level;
	assert_true(finding->message[0]);
}

static struct mf_health_report check_with(struct mf_store *store, const struct mf_health_options *options)
{
	struct mf_health_report report = {.size = sizeof(report)};
	struct mf_error error;
	memset(&told, 0, sizeof(told));
	KIT_OK(mf_check_storage_health(store, options, hear, &told, &report, &error), &error);
	assert_int_equal(told.count > 0, report.level != MF_HEALTHY);
	assert_int_equal(report.message[0] != '\0', report.level != MF_HEALTHY);
	return report;
}

static struct mf_health_report check(struct mf_store *store)
{
	return check_with(store, NULL);
}

static void says(const struct mf_health_report *report, enum mf_health_level level, const char *what, const char *part)
{
	assert_string_equal(mf_health_level_name(report->level), mf_health_level_name(level));
	assert_string_equal(told.what, what);
	if (!strstr(report->message, part))
		fail_msg("'%s' is not in '%s'", part, report->message);
}

static int64_t free_now;

static int64_t free_bytes(void *user, const char *path)
{
	(void)user, (void)path;
	return free_now;
}

static struct mf_store *open_with_free(const struct mf_env *base, struct mf_env *env)
{
	*env = *base;
	env->free_bytes = free_bytes;
	free_now = (int64_t)1 << 40;
	return kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = env});
}

static int set_up(void **state)
{
	vfs_shim_reset();
	return kit_set_up(state);
}

/* ---- the levels ---- */

static void a_store_that_is_well_is_healthy(void **state)
{
	(void)state;
	struct mf_env env;
	struct mf_store *store = open_with_free(mf_env_os(), &env);
	assert_int_equal(check(store).level, MF_HEALTHY); /* also an empty one */
	kit_append_many(store, "a", "a", 500);
	kit_write_snapshot(store, "a", 100, 2000000);
	kit_write_snapshot(store, "a", 200, 30);
	kit_append_many(store, "b", "b", 10);
	kit_write_snapshot(store, "b", 510, 30);
	struct mf_health_report report = check(store);
	assert_int_equal(report.level, MF_HEALTHY);
	assert_int_equal(report.events_checked, 200);
	assert_int_equal(report.snapshots_checked, 2); /* the newest of each document */
	assert_int_equal(report.free_bytes, free_now);
	assert_true(report.log_bytes > 0);
	struct mf_health_options options;
	mf_health_options_init(&options);
	options.full = true;
	report = check_with(store, &options);
	assert_int_equal(report.events_checked, 510);
	assert_int_equal(report.snapshots_checked, 3);
	kit_close(store);
}

static void less_than_100_mb_free_is_a_warning(void **state)
{
	(void)state;
	struct mf_env env;
	struct mf_store *store = open_with_free(mf_env_os(), &env);
	free_now = 100000000;
	assert_int_equal(check(store).level, MF_HEALTHY);
	free_now = 99999999;
	struct mf_health_report report = check(store);
	says(&report, MF_HEALTH_WARNING, "disk", "99999999 bytes are free on the store's device, less than 100000000");
	free_now = -1;
	assert_int_equal(check(store).level, MF_HEALTHY);
	free_now = 1;
	struct mf_health_options options;
	mf_health_options_init(&options);
	options.min_free_bytes = 0; /* not looked at */
	assert_int_equal(check_with(store, &options).level, MF_HEALTHY);
	kit_close(store);
}

static void too_little_free_to_open_the_store_for_writing_is_critical(void **state)
{
	(void)state;
	struct mf_env env;
	struct mf_store *store = open_with_free(mf_env_os(), &env);
	free_now = 131072;
	assert_int_equal(check(store).level, MF_HEALTH_WARNING);
	free_now = 131071;
	struct mf_health_report report = check(store);
	says(&report, MF_HEALTH_CRITICAL, "disk", "131071 bytes are free on the store's device, which may be too little to open the store for writing");
	free_now = 0;
	assert_int_equal(check(store).level, MF_HEALTH_CRITICAL);
	kit_close(store);
}

static void no_room_for_the_last_write_is_critical_until_one_succeeds(void **state)
{
	(void)state;
	struct mf_env env;
	struct mf_store *store = open_with_free(vfs_shim_env(), &env);
	struct mf_event event = kit_event("d", "a");
	struct mf_error error;
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = 1, .times = 1000, .rc = SQLITE_FULL});
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_STORAGE_FULL);
	struct mf_health_report report = check(store);
	says(&report, MF_HEALTH_CRITICAL, "writing", "found no room");
	vfs_shim_reset();
	kit_append(store, "d", "a");
	assert_int_equal(check(store).level, MF_HEALTHY);
	kit_close(store);
}

static void a_store_that_stopped_writing_is_unhealthy_also_from_outside(void **state)
{
	(void)state;
	struct mf_env env;
	struct mf_store *store = open_with_free(vfs_shim_env(), &env);
	struct mf_error error;
	kit_append(store, "d", "a");
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = 5});
	assert_int_equal(mf_store_sync(store, NULL, &error), MF_ERR_UNKNOWN_OUTCOME);
	vfs_shim_reset();
	struct mf_health_report report = check(store);
	says(&report, MF_HEALTH_UNHEALTHY, "writing", "writes have stopped");
	struct mf_store *reader = kit_open_reader(kit_dir);
	report = check(reader);
	says(&report, MF_HEALTH_UNHEALTHY, "writing", "writes have stopped");
	kit_close(reader);
	(void)mf_store_close(store, NULL);
	kit_close(kit_open(kit_dir)); /* verifies it */
	reader = kit_open_reader(kit_dir);
	assert_true(check(reader).level < MF_HEALTH_UNHEALTHY);
	kit_close(reader);
}

static void a_log_that_is_long_is_a_warning(void **state)
{
	(void)state;
	struct mf_env env;
	struct mf_health_options options;
	struct mf_store *store = open_with_free(mf_env_os(), &env);
	kit_append_many(store, "d", "k", 50);
	mf_health_options_init(&options);
	options.max_log_bytes = 1000;
	struct mf_health_report report = check_with(store, &options);
	says(&report, MF_HEALTH_WARNING, "log", "more than 1000");
	options.max_log_bytes = 0;
	assert_int_equal(check_with(store, &options).level, MF_HEALTHY);
	kit_close(store);
}

static void damage_in_the_sample_is_critical(void **state)
{
	(void)state;
	kit_close(kit_open(kit_dir));
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 300);
	kit_close(store);
	kit_sql(kit_dir, "UPDATE events SET actor = 'x' WHERE lsn = 250");
	store = kit_open_reader(kit_dir);
	struct mf_health_report report = check(store);
	says(&report, MF_HEALTH_CRITICAL, "integrity", "LSN 250");
	kit_close(store);
}

static void damage_beyond_the_newest_is_found_by_chance_and_by_a_full_check(void **state)
{
	(void)state;
	struct mf_health_options options;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 20);
	kit_close(store);
	kit_sql(kit_dir, "UPDATE events SET actor = 'x' WHERE lsn <= 10");
	store = kit_open_reader(kit_dir);
	mf_health_options_init(&options);
	options.sample_events = 20; /* 10 newest, and 10 of the first 10 */
	struct mf_health_report report = check_with(store, &options);
	says(&report, MF_HEALTH_CRITICAL, "integrity", "data is damaged");
	options.sample_events = 1;
	assert_true(check_with(store, &options).level < MF_HEALTH_CRITICAL);
	options.full = true;
	report = check_with(store, &options);
	says(&report, MF_HEALTH_CRITICAL, "integrity", "LSN 1:");
	assert_int_equal(told.count >= 10, 1);
	kit_close(store);
}

static void a_damaged_snapshot_is_critical(void **state)
{
	(void)state;
	struct mf_health_options options;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_write_snapshot(store, "d", 5, 3000);
	kit_close(store);
	kit_sql(kit_dir, "UPDATE snapshots SET state_blob = zeroblob(3000)");
	store = kit_open_reader(kit_dir);
	struct mf_health_report report = check(store);
	says(&report, MF_HEALTH_CRITICAL, "integrity", "data is damaged");
	mf_health_options_init(&options);
	options.sample_snapshots = 0;
	assert_true(check_with(store, &options).level < MF_HEALTH_CRITICAL);
	kit_close(store);
}

/* ---- a store that does not answer ---- */

static enum mf_status refuse_reading(struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	(void)store, (void)doc_id, (void)from_lsn, (void)limit, (void)out;
	return mf_error_set(error, MF_ERR_IO, "the device is gone");
}

static void a_store_that_does_not_answer_is_unhealthy(void **state)
{
	(void)state;
	struct mf_store_ops ops = {.size = sizeof(ops), .name = "dead", .load_since = refuse_reading};
	struct mf_store store = {.ops = &ops};
	struct mf_health_report report = check(&store);
	says(&report, MF_HEALTH_UNHEALTHY, "connection", "the device is gone");
	assert_int_equal(told.count, 1);
	assert_int_equal(report.free_bytes, -1);
}

/* ---- the call ---- */

static void a_store_in_memory_has_no_disk_to_be_short_of(void **state)
{
	(void)state;
	struct mf_store *store;
	assert_int_equal(mf_store_open_memory(NULL, &store, NULL), MF_OK);
	kit_append_many(store, "d", "k", 5);
	struct mf_health_report report = check(store);
	assert_int_equal(report.level, MF_HEALTHY);
	assert_int_equal(report.events_checked, 5);
	assert_int_equal(report.free_bytes, -1);
	kit_close(store);
}

static void wrong_sizes_are_invalid(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_health_options options;
	struct mf_health_report report = {.size = 3};
	struct mf_error error;
	mf_health_options_init(&options);
	assert_int_equal(mf_check_storage_health(store, &options, NULL, NULL, &report, &error), MF_ERR_INVALID);
	report.size = sizeof(report);
	options.size = sizeof(options) + 1;
	assert_int_equal(mf_check_storage_health(store, &options, NULL, NULL, &report, &error), MF_ERR_INVALID);
	kit_close(store);
}

static void every_allocation_that_fails_is_the_callers_trouble(void **state)
{
	(void)state;
	struct mf_env env;
	struct mf_store *store = open_with_free(mf_env_os(), &env);
	struct mf_health_report report = {.size = sizeof(report)};
	struct mf_error error;
	kit_append_many(store, "d", "k", 5);
	kit_write_snapshot(store, "d", 5, 3000);
	assert_int_equal(check(store).level, MF_HEALTHY);
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		memory_fails_at(n);
		enum mf_status status = mf_check_storage_health(store, NULL, NULL, NULL, &report, &error);
		failed = memory_failed(n);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		if (status == MF_OK)
			assert_int_equal(report.level, MF_HEALTHY);
		assert_true(failed || n > 3);
	}
	kit_close(store);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_store_that_is_well_is_healthy),
		T(less_than_100_mb_free_is_a_warning),
		T(too_little_free_to_open_the_store_for_writing_is_critical),
		T(no_room_for_the_last_write_is_critical_until_one_succeeds),
		T(a_store_that_stopped_writing_is_unhealthy_also_from_outside),
		T(a_log_that_is_long_is_a_warning),
		T(damage_in_the_sample_is_critical),
		T(damage_beyond_the_newest_is_found_by_chance_and_by_a_full_check),
		T(a_damaged_snapshot_is_critical),
		T(a_store_that_does_not_answer_is_unhealthy),
		T(a_store_in_memory_has_no_disk_to_be_short_of),
		T(wrong_sizes_are_invalid),
		T(every_allocation_that_fails_is_the_callers_trouble),
	};
	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
