/* What only reads a store, its health and its metrics, where the store fails or answers oddly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "fake_store.h"
#include "persist/record.h"
#include <moduforge/health.h>

/* ---- a store whose reads fail in turn ---- */

static struct {
	struct mf_store_ops truth;
	int reads, fail_at;
	enum mf_status with;
	enum mf_status snapshot_says;
} says;

static enum mf_status failing(struct mf_error *error)
{
	return ++says.reads == says.fail_at ? mf_error_set(error, says.with, "the device does not answer") : MF_OK;
}

static enum mf_status load_since(struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	enum mf_status status = failing(error);
	return status ? status : says.truth.load_since(store, doc_id, from_lsn, limit, out, error);
}

static enum mf_status stats(struct mf_store *store, struct mf_store_stats *out, struct mf_error *error)
{
	enum mf_status status = failing(error);
	return status ? status : says.truth.stats(store, out, error);
}

static enum mf_status latest_snapshot(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	enum mf_status status = failing(error);
	if (status == MF_OK && says.snapshot_says)
		return mf_error_set(error, says.snapshot_says, "it was there just now");
	return status ? status : says.truth.latest_snapshot(store, doc_id, at_most, out, error);
}

static enum mf_status snapshots(struct mf_store *store, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error)
{
	enum mf_status status = failing(error);
	return status ? status : says.truth.snapshots(store, doc_id, visit, user, error);
}

static enum mf_status verify(struct mf_store *store, mf_damage_visit *visit, void *user, struct mf_error *error)
{
	enum mf_status status = failing(error);
	return status ? status : says.truth.verify(store, visit, user, error);
}

/* 20 events of two documents, with a snapshot each. */
static struct fake_store *filled_store(void)
{
	static const unsigned char payload[MF_RECORD_HEADER_LEN + 1] = {MF_RECORD_VERSION};
	struct fake_store *fake = fake_store_new(true);
	for (int i = 0; i < 20; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		struct mf_event event = {.doc_id = i % 2 ? "b" : "a", .idempotency_key = key, .meta = "{}", .meta_len = 2, .payload = payload, .payload_len = sizeof(payload)};
		int64_t lsn;
		assert_int_equal(mf_store_append(&fake->base, &event, &lsn, NULL), MF_OK);
	}
	for (int i = 0; i < 2; i++) {
		struct mf_snapshot snapshot = {.doc_id = i ? "b" : "a", .upto_lsn = 10, .version = 1, .state_blob = payload, .state_len = sizeof(payload)};
		assert_int_equal(mf_store_write_snapshot(&fake->base, &snapshot, NULL), MF_OK);
	}
	memset(&says, 0, sizeof(says));
	says.truth = fake->ops;
	fake->ops.load_since = load_since;
	fake->ops.stats = stats;
	fake->ops.latest_snapshot = latest_snapshot;
	fake->ops.snapshots = snapshots;
	fake->ops.verify = verify;
	return fake;
}

/* ---- health ---- */

static struct {
	int count;
	char what[32];
} found;

static void hear(void *user, const struct mf_health_finding *finding)
{
	(void)user;
	found.count++;
	snprintf(found.what, sizeof(found.what), "%s", finding->what);
}

static enum mf_status check(struct fake_store *fake, const struct mf_health_options *options, struct mf_health_report *out, struct mf_error *error)
{
	*out = (struct mf_health_report){.size = sizeof(*out)};
	memset(&found, 0, sizeof(found));
	says.reads = 0;
	return mf_check_storage_health(&fake->base, options, hear, NULL, out, error);
}

static struct mf_health_options small_sample(void)
{
	struct mf_health_options options;
	mf_health_options_init(&options);
	options.sample_events = 8;
	return options;
}

static void every_level_has_a_name_and_no_other_number(void **unused)
{
	(void)unused;
	static const char *const names[] = {"healthy", "warning", "critical", "unhealthy", "unknown"};
	for (int level = 0; level < 5; level++)
		assert_string_equal(mf_health_level_name((enum mf_health_level)level), names[level]);
}

static void every_failed_read_is_a_finding_or_the_callers_trouble(void **unused)
{
	(void)unused;
	static const struct {
		enum mf_status with, status;
		enum mf_health_level level;
		const char *what;
	} cases[] = {
		{MF_ERR_IO, MF_OK, MF_HEALTH_UNHEALTHY, "connection"},
		{MF_ERR_CORRUPTED, MF_OK, MF_HEALTH_CRITICAL, "integrity"},
		{MF_ERR_NO_MEMORY, MF_ERR_NO_MEMORY, MF_HEALTHY, ""},
	};
	struct fake_store *fake = filled_store();
	struct mf_health_report report;
	for (int full = 0; full < 2; full++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct mf_health_options options = small_sample();
			options.full = full;
			says.with = cases[i].with;
			for (says.fail_at = 1;; says.fail_at++) {
				struct mf_error error = {0};
				enum mf_status status = check(fake, &options, &report, &error);
				if (says.reads < says.fail_at)
					break;
				if (cases[i].with == MF_ERR_CORRUPTED && full && says.fail_at == 3)
					continue; /* verify tells its damage by itself, one by one */
				assert_int_equal(status, cases[i].status);
				assert_string_equal(found.what, cases[i].what);
				if (status == MF_OK)
					assert_int_equal(report.level, cases[i].level);
			}
			assert_true(says.fail_at > (full ? 3 : 8));
			says.fail_at = 0;
		}
	}
	fake_store_free(fake);
}

static void a_snapshot_that_was_compacted_meanwhile_is_no_finding(void **unused)
{
	(void)unused;
	struct fake_store *fake = filled_store();
	struct mf_health_report report;
	says.snapshot_says = MF_ERR_NOT_FOUND;
	assert_int_equal(check(fake, NULL, &report, NULL), MF_OK);
	assert_int_equal(report.level, MF_HEALTHY);
	assert_int_equal(report.snapshots_checked, 0);
	fake_store_free(fake);
}

static void a_sample_is_as_large_as_it_was_asked_for(void **unused)
{
	(void)unused;
	struct fake_store *fake = filled_store();
	struct mf_health_options options = small_sample();
	struct mf_health_report report;
	options.sample_snapshots = 1; /* of two documents */
	assert_int_equal(check(fake, &options, &report, NULL), MF_OK);
	assert_int_equal(report.events_checked, 8);
	assert_int_equal(report.snapshots_checked, 1);
	options.sample_events = 0;
	assert_int_equal(check(fake, &options, &report, NULL), MF_OK);
	assert_int_equal(report.events_checked, 0);
	fake->ops.snapshots = NULL; /* of a store that lists none */
	assert_int_equal(check(fake, &options, &report, NULL), MF_OK);
	assert_int_equal(report.snapshots_checked, 0);
	assert_int_equal(report.level, MF_HEALTHY);
	fake_store_free(fake);
}

static int no_random(void *user, void *bytes, size_t len)
{
	(void)user, (void)bytes, (void)len;
	return -5;
}

static void a_sample_needs_chance(void **unused)
{
	(void)unused;
	struct fake_store *fake = filled_store();
	struct mf_health_options options = small_sample();
	struct mf_health_report report;
	struct mf_error error = {0};
	struct mf_env blind = *mf_env_os();
	blind.random = no_random;
	options.env = &blind;
	assert_int_equal(check(fake, &options, &report, &error), MF_ERR_IO);
	assert_non_null(strstr(error.message, "no random numbers"));
	fake_store_free(fake);
}

static void sizes_of_another_time_are_refused(void **unused)
{
	(void)unused;
	struct fake_store *fake = filled_store();
	struct mf_health_options options = small_sample();
	struct mf_health_report report = {.size = sizeof(report) + 1};
	struct mf_metrics metrics = {.size = sizeof(metrics) + 1};
	assert_int_equal(mf_check_storage_health(&fake->base, NULL, NULL, NULL, &report, NULL), MF_ERR_INVALID);
	options.size = sizeof(size_t) - 1;
	assert_int_equal(check(fake, &options, &report, NULL), MF_ERR_INVALID);
	assert_int_equal(mf_store_metrics(&fake->base, &metrics, NULL), MF_ERR_INVALID);
	metrics.size = sizeof(size_t) - 1;
	assert_int_equal(mf_store_metrics(&fake->base, &metrics, NULL), MF_ERR_INVALID);
	fake_store_free(fake);
}

/* ---- metrics ---- */

static void every_failed_read_ends_the_metrics(void **unused)
{
	(void)unused;
	struct fake_store *fake = filled_store();
	struct mf_metrics metrics;
	says.with = MF_ERR_IO;
	for (says.fail_at = 1;; says.fail_at++) {
		struct mf_error error = {0};
		metrics = (struct mf_metrics){.size = sizeof(metrics)};
		says.reads = 0;
		enum mf_status status = mf_store_metrics(&fake->base, &metrics, &error);
		if (says.reads < says.fail_at) {
			assert_int_equal(status, MF_OK);
			break;
		}
		assert_int_equal(status, MF_ERR_IO);
		assert_string_equal(error.message, "the device does not answer");
		assert_int_equal(metrics.total_events, 0);
	}
	assert_int_equal(says.fail_at, 4); /* totals, sample, snapshots */
	assert_int_equal(metrics.total_events, 20);
	assert_int_equal(metrics.events_measured, 20);
	assert_int_equal(metrics.snapshots_measured, 2);
	says.fail_at = 0;
	fake->ops.snapshots = NULL;
	metrics = (struct mf_metrics){.size = sizeof(metrics)};
	assert_int_equal(mf_store_metrics(&fake->base, &metrics, NULL), MF_OK);
	assert_int_equal(metrics.snapshots_measured, 0);
	fake_store_free(fake);
}

static const char *saved;

static enum mf_status load_saved(struct mf_store *store, struct mf_buffer *out, struct mf_error *error)
{
	(void)store, (void)error;
	return mf_buffer_append(out, saved, strlen(saved));
}

static void snapshots_that_were_counted_are_not_listed(void **unused)
{
	(void)unused;
	struct fake_store *fake = filled_store();
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	struct mf_buffer text = {0};
	struct mf_metrics counted = {.size = sizeof(counted), .source = MF_METRICS_LIVE, .events_measured = 5, .event_bytes = 50, .snapshots_measured = 7, .snapshot_bytes = 70,
				     .snapshot_us = {.count = 7}};
	assert_int_equal(mf_metrics_report(&counted, MF_METRICS_JSON, &text, NULL), MF_OK);
	assert_int_equal(mf_buffer_append(&text, "", 1), MF_OK);
	saved = (const char *)text.bytes;
	fake->ops.load_metrics = load_saved;
	assert_int_equal(mf_store_metrics(&fake->base, &metrics, NULL), MF_OK);
	assert_int_equal(metrics.source, MF_METRICS_SAVED);
	assert_int_equal(metrics.snapshots_measured, 7);
	assert_int_equal(says.reads, 1); /* the totals alone */
	mf_buffer_deinit(&text);
	fake_store_free(fake);
}

static void a_time_before_1970_is_told_as_the_beginning(void **unused)
{
	(void)unused;
	struct mf_metrics metrics = {.size = sizeof(metrics), .source = MF_METRICS_LIVE, .taken_us = -1, .opened_us = 1000000};
	struct mf_buffer text = {0};
	assert_int_equal(mf_metrics_report(&metrics, MF_METRICS_TEXT, &text, NULL), MF_OK);
	assert_int_equal(mf_buffer_append(&text, "", 1), MF_OK);
	assert_non_null(strstr((const char *)text.bytes, "read 1970-01-01T00:00:00.000000Z, since 1970-01-01T00:00:01.000000Z"));
	mf_buffer_deinit(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_level_has_a_name_and_no_other_number),
		cmocka_unit_test(every_failed_read_is_a_finding_or_the_callers_trouble),
		cmocka_unit_test(a_snapshot_that_was_compacted_meanwhile_is_no_finding),
		cmocka_unit_test(a_sample_is_as_large_as_it_was_asked_for),
		cmocka_unit_test(a_sample_needs_chance),
		cmocka_unit_test(sizes_of_another_time_are_refused),
		cmocka_unit_test(every_failed_read_ends_the_metrics),
		cmocka_unit_test(snapshots_that_were_counted_are_not_listed),
		cmocka_unit_test(a_time_before_1970_is_told_as_the_beginning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
