/* Metrics: the histogram, the three reports, the counters read back, and what a store without a writer tells. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/metrics.h"
#include "persist/metrics_fields.h"
#include "store_kit.h"
#include "tests/memory_fails.h"
#include <moduforge/value.h>

/* ---- the histogram ---- */

static struct mf_histogram histogram;

static struct mf_distribution distribution_of(const int64_t *values, size_t count)
{
	struct mf_distribution out;
	memset(&histogram, 0, sizeof(histogram));
	for (size_t i = 0; i < count; i++)
		mf_histogram_add(&histogram, values[i]);
	mf_histogram_read(&histogram, &out);
	return out;
}

static void an_empty_distribution_is_all_zero(void **state)
{
	(void)state;
	static const struct mf_distribution zero;
	struct mf_distribution d = distribution_of(NULL, 0);
	assert_memory_equal(&d, &zero, sizeof(d));
}

static void small_values_are_exact(void **state)
{
	(void)state;
	const int64_t values[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 15};
	struct mf_distribution d = distribution_of(values, 10);
	assert_int_equal(d.count, 10);
	assert_int_equal(d.sum, 51);
	assert_int_equal(d.p50, 4);
	assert_int_equal(d.p90, 8);
	assert_int_equal(d.p99, 15);
	assert_int_equal(d.max, 15);
}

static void every_value_is_found_within_4_percent(void **state)
{
	(void)state;
	for (int64_t value = 1; value < (int64_t)1 << 39; value += 1 + value / 37) {
		const int64_t values[] = {value, value, value, INT64_MAX};
		struct mf_distribution d = distribution_of(values, 4);
		int64_t off = (int64_t)d.p50 - value;
		if ((off < 0 ? -off : off) * 25 > value)
			fail_msg("%lld was found as %llu", (long long)value, (unsigned long long)d.p50);
	}
}

static void percentiles_are_ranks(void **state)
{
	(void)state;
	static int64_t values[10000];
	for (int i = 0; i < 10000; i++)
		values[i] = i + 1;
	struct mf_distribution d = distribution_of(values, 10000);
	assert_int_equal(d.count, 10000);
	assert_int_equal(d.sum, 50005000);
	assert_int_equal(d.max, 10000);
	assert_in_range(d.p50, 4800, 5200);
	assert_in_range(d.p90, 8700, 9300);
	assert_in_range(d.p99, 9550, 10000);
	assert_in_range(d.p999, 9650, 10000);
}

static void negative_and_huge_values_do_no_harm(void **state)
{
	(void)state;
	const int64_t values[] = {-5, INT64_MIN, INT64_MAX};
	struct mf_distribution d = distribution_of(values, 3);
	assert_int_equal(d.count, 3);
	assert_int_equal(d.p50, 0);
	assert_int_equal(d.max, INT64_MAX);
	assert_true(d.p999 >= (uint64_t)1 << 39);
}

/* ---- the reports ---- */

static struct mf_metrics sample(void)
{
	struct mf_metrics metrics = {
		.size = sizeof(metrics),
		.taken_us = 1700000000123456,
		.opened_us = 1699999999000000,
		.total_events = 1234,
		.total_snapshots = 3,
		.documents = 2,
		.events_measured = 1000,
		.event_bytes = 41000,
		.event_raw_bytes = 100000,
		.snapshots_measured = 2,
		.snapshot_bytes = 200,
		.snapshot_raw_bytes = 3000,
		.commit_us = {.count = 1000, .sum = 34500, .p50 = 30, .p90 = 50, .p99 = 90, .p999 = 1500, .max = 2000001},
		.recovery_us = {.count = 2, .sum = 1234, .p50 = 600, .p90 = 634, .p99 = 634, .p999 = 634, .max = 634},
		.errors = {[MF_ERR_CONFLICT] = 7},
		.unsynced_us = 9500,
	};
	mf_metrics_derive(&metrics);
	return metrics;
}

static char *report(const struct mf_metrics *metrics, enum mf_metrics_format format)
{
	struct mf_buffer text = {0};
	assert_int_equal(mf_metrics_report(metrics, format, &text, NULL), MF_OK);
	assert_int_equal(mf_buffer_append(&text, "", 1), MF_OK);
	return (char *)text.bytes;
}

static void says(const struct mf_metrics *metrics, enum mf_metrics_format format, const char *line)
{
	char *text = report(metrics, format);
	if (!strstr(text, line))
		fail_msg("'%s' is not in:\n%s", line, text);
	mf_free(text);
}

static void the_text_begins_with_the_seeds_report(void **state)
{
	(void)state;
	static const char seed[] = "=== Persistence metrics ===\n"
				   "Events: 1234\n"
				   "Snapshots: 3\n"
				   "Compression ratio: 40.00% (stored/raw)\n"
				   "Mean write latency: 0.03ms\n"
				   "Recovery time: 1.23ms\n"
				   "Mean event size: 41 bytes\n"
				   "Mean snapshot size: 100 bytes\n"
				   "--- counters: live, read 2023-11-14T22:13:20.123456Z, since 2023-11-14T22:13:19.000000Z ---\n";
	struct mf_metrics metrics = sample();
	char *text = report(&metrics, MF_METRICS_TEXT);
	text[strlen(seed)] = '\0';
	assert_string_equal(text, seed);
	mf_free(text);
	says(&metrics, MF_METRICS_TEXT, "\ncommit_us: p50 30, p90 50, p99 90, p99.9 1500, max 2000001 us (1000 measured)\n");
	says(&metrics, MF_METRICS_TEXT, "\nsync_us: none yet\n");
	says(&metrics, MF_METRICS_TEXT, "\nerrors: MF_ERR_CONFLICT 7\n");
}

static void what_was_never_measured_is_unknown(void **state)
{
	(void)state;
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	says(&metrics, MF_METRICS_TEXT, "Compression ratio: unknown\nMean write latency: unknown\nRecovery time: unknown\nMean event size: unknown\nMean snapshot size: unknown\n");
	says(&metrics, MF_METRICS_JSON, "\"taken\":null,\"taken_us\":null,\"opened\":null,\"opened_us\":null,\"compression_ratio\":null,\"write_latency_ms\":null,\"recovery_time_ms\":null,\"avg_event_size\":null,\"avg_snapshot_size\":null,");
	says(&metrics, MF_METRICS_PROMETHEUS, "mf_commit_latency_seconds{quantile=\"0.5\"} NaN\n");
	says(&metrics, MF_METRICS_TEXT, "\nerrors: none\n");
}

static void what_the_source_cannot_know_is_left_out(void **state)
{
	(void)state;
	struct mf_metrics metrics = sample();
	metrics.source = MF_METRICS_SAVED;
	says(&metrics, MF_METRICS_JSON, "\"followers\":null,");
	says(&metrics, MF_METRICS_JSON, "\"duplicates\":0,");
	metrics.source = MF_METRICS_NONE;
	says(&metrics, MF_METRICS_JSON, "\"commit_us\":null,");
	says(&metrics, MF_METRICS_JSON, "\"total_events\":1234,");
	for (int format = MF_METRICS_TEXT; format <= MF_METRICS_PROMETHEUS; format += MF_METRICS_PROMETHEUS - MF_METRICS_TEXT) {
		char *text = report(&metrics, (enum mf_metrics_format)format);
		assert_null(strstr(text, "commit_"));
		assert_null(strstr(text, "follower"));
		assert_null(strstr(text, "timestamp"));
		assert_non_null(strstr(text, "1234"));
		mf_free(text);
	}
}

static void json_is_one_object_on_one_line(void **state)
{
	(void)state;
	struct mf_metrics metrics = sample();
	struct mf_value *object;
	char *text = report(&metrics, MF_METRICS_JSON);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_int_equal(mf_value_parse_json(text, strlen(text), &object, NULL), MF_OK);
	assert_int_equal(mf_value_as_int(mf_value_get(object, "total_events")), 1234);
	assert_true(mf_value_as_double(mf_value_get(object, "compression_ratio")) == 0.4);
	assert_true(mf_value_as_double(mf_value_get(object, "write_latency_ms")) == 0.0345);
	assert_int_equal(mf_value_as_int(mf_value_get(mf_value_get(object, "commit_us"), "p999")), 1500);
	assert_int_equal(mf_value_as_int(mf_value_get(mf_value_get(object, "errors"), "MF_ERR_CONFLICT")), 7);
	assert_int_equal(mf_value_count(mf_value_get(object, "errors")), MF_STATUS_COUNT - 1);
	mf_value_unref(object);
	mf_free(text);
}

static void prometheus_has_seconds_and_a_type_for_each_name(void **state)
{
	(void)state;
	struct mf_metrics metrics = sample();
	says(&metrics, MF_METRICS_PROMETHEUS, "# HELP mf_commit_latency_seconds Transactions, from submit until stored as the commit mode promises.\n"
					      "# TYPE mf_commit_latency_seconds summary\n"
					      "mf_commit_latency_seconds{quantile=\"0.5\"} 0.000030\n"
					      "mf_commit_latency_seconds{quantile=\"0.9\"} 0.000050\n"
					      "mf_commit_latency_seconds{quantile=\"0.99\"} 0.000090\n"
					      "mf_commit_latency_seconds{quantile=\"0.999\"} 0.001500\n"
					      "mf_commit_latency_seconds_sum 0.034500\n"
					      "mf_commit_latency_seconds_count 1000\n");
	says(&metrics, MF_METRICS_PROMETHEUS, "# TYPE mf_commit_latency_seconds_max gauge\nmf_commit_latency_seconds_max 2.000001\n");
	says(&metrics, MF_METRICS_PROMETHEUS, "# TYPE mf_errors_total counter\nmf_errors_total{status=\"MF_ERR_INVALID\"} 0\n");
	says(&metrics, MF_METRICS_PROMETHEUS, "\nmf_unsynced_seconds 0.009500\n");
	says(&metrics, MF_METRICS_PROMETHEUS, "\nmf_compression_ratio 0.4\n");
}

/* Exposition format: every sample line belongs to the family whose TYPE came last; names and values are well formed. */
static void every_prometheus_line_is_well_formed(void **state)
{
	(void)state;
	struct mf_metrics metrics = sample();
	char *text = report(&metrics, MF_METRICS_PROMETHEUS), *rest = text, family[100] = "", type[20] = "", name[100], value[40];
	while (*rest) {
		char *end = strchr(rest, '\n');
		assert_non_null(end);
		*end = '\0';
		if (sscanf(rest, "# TYPE %99s %19s", family, type) != 2 && strncmp(rest, "# HELP ", 7) != 0) {
			assert_int_equal(sscanf(rest, "%99[a-z_]%*[^ ] %39s", name, value) == 2 || sscanf(rest, "%99[a-z_] %39s", name, value) == 2, 1);
			assert_int_equal(strncmp(name, family, strlen(family)), 0);
			assert_true(strspn(value, "0123456789.") == strlen(value) || strcmp(value, "NaN") == 0);
			if (strcmp(type, "counter") == 0)
				assert_string_equal(name + strlen(name) - 6, "_total");
		}
		rest = end + 1;
	}
	mf_free(text);
}

static void no_name_comes_twice_in_the_table(void **state)
{
	(void)state;
	for (const struct mf_metrics_field *a = mf_metrics_fields; a->name; a++)
		for (const struct mf_metrics_field *b = a + 1; b->name; b++) {
			assert_string_not_equal(a->name, b->name);
			assert_string_not_equal(a->exposed, b->exposed);
			assert_int_not_equal(a->offset, b->offset);
		}
}

static void an_unknown_format_or_size_is_invalid(void **state)
{
	(void)state;
	struct mf_metrics metrics = sample();
	struct mf_buffer text = {0};
	struct mf_error error;
	assert_int_equal(mf_metrics_report(&metrics, (enum mf_metrics_format)9, &text, &error), MF_ERR_INVALID);
	assert_string_equal(error.message, "9 is not a format of reports");
	metrics.size = 0;
	assert_int_equal(mf_metrics_report(&metrics, MF_METRICS_TEXT, &text, &error), MF_ERR_INVALID);
	metrics.size = sizeof(metrics) + 1;
	assert_int_equal(mf_metrics_report(&metrics, MF_METRICS_TEXT, &text, &error), MF_ERR_INVALID);
	assert_null(text.bytes);
}

static void a_caller_that_knows_less_is_given_less(void **state)
{
	(void)state;
	struct mf_metrics metrics = sample(), out;
	memset(&out, 0x55, sizeof(out));
	out.size = offsetof(struct mf_metrics, documents);
	assert_int_equal(mf_metrics_give(&metrics, &out, NULL), MF_OK);
	assert_int_equal(out.total_events, 1234);
	assert_int_equal(out.documents, 0x5555555555555555);
	assert_int_equal(out.size, offsetof(struct mf_metrics, documents));
	says(&out, MF_METRICS_JSON, "\"documents\":0,");
}

static void every_allocation_that_fails_in_a_report_is_told(void **state)
{
	(void)state;
	struct mf_metrics metrics = sample();
	for (int format = MF_METRICS_TEXT; format <= MF_METRICS_PROMETHEUS; format++) {
		bool failed = true;
		for (uint64_t n = 1; failed; n++) {
			struct mf_buffer text = {0};
			memory_fails_at(n);
			enum mf_status status = mf_metrics_report(&metrics, (enum mf_metrics_format)format, &text, NULL);
			failed = memory_failed(n);
			mf_buffer_deinit(&text);
			assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		}
	}
}

/* ---- reading back ---- */

static void a_json_report_reads_back_as_saved(void **state)
{
	(void)state;
	struct mf_metrics metrics = sample(), read = {.size = sizeof(read)};
	char *text = report(&metrics, MF_METRICS_JSON);
	assert_int_equal(mf_metrics_parse(text, strlen(text), &read, NULL), MF_OK);
	metrics.source = MF_METRICS_SAVED;
	assert_memory_equal(&metrics, &read, sizeof(read));
	mf_free(text);
}

static void what_is_no_report_is_invalid_and_odd_members_count_as_0(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "[]", "17", "{}", "{\"taken_us\":1", "\"taken_us\""};
	struct mf_metrics read = {.size = sizeof(read)};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(mf_metrics_parse(bad[i], strlen(bad[i]), &read, NULL), MF_ERR_INVALID);
	static const char odd[] = "{\"taken_us\":-4,\"total_events\":-1,\"documents\":1.5,\"commit_us\":7,\"sync_us\":{\"count\":\"x\"},\"errors\":[1]}";
	assert_int_equal(mf_metrics_parse(odd, strlen(odd), &read, NULL), MF_OK);
	assert_int_equal(read.taken_us, 0);
	assert_int_equal(read.total_events, 0);
	assert_int_equal(read.documents, 0);
	assert_int_equal(read.commit_us.count, 0);
	assert_int_equal(read.sync_us.count, 0);
}

static void every_allocation_that_fails_in_reading_back_is_told(void **state)
{
	(void)state;
	struct mf_metrics metrics = sample(), read = {.size = sizeof(read)};
	char *text = report(&metrics, MF_METRICS_JSON);
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		memory_fails_at(n);
		enum mf_status status = mf_metrics_parse(text, strlen(text), &read, NULL);
		failed = memory_failed(n);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
	}
	mf_free(text);
}

/* ---- of a store ---- */

static struct mf_metrics metrics_of(struct mf_store *store)
{
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	struct mf_error error;
	KIT_OK(mf_store_metrics(store, &metrics, &error), &error);
	return metrics;
}

static void a_store_that_nobody_counted_gives_totals_and_a_sample(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "a", "a", 1100);
	kit_append_many(store, "b", "b", 100);
	kit_write_snapshot(store, "a", 1100, 500);
	kit_close(store);
	store = kit_open_reader(kit_dir);
	struct mf_metrics metrics = metrics_of(store);
	kit_close(store);
	assert_int_equal(metrics.source, MF_METRICS_NONE);
	assert_int_equal(metrics.taken_us, 0);
	assert_int_equal(metrics.total_events, 1200);
	assert_int_equal(metrics.documents, 2);
	assert_int_equal(metrics.total_snapshots, 1);
	assert_int_equal(metrics.events_measured, 1000);
	assert_int_equal(metrics.avg_event_size, KIT_PAYLOAD_LEN);
	assert_int_equal(metrics.avg_snapshot_size, 500);
	assert_true(metrics.compression_ratio == 1); /* of the events; what the snapshot was is not known */
}

static void saved_counters_come_back_beside_totals_of_now(void **state)
{
	(void)state;
	struct mf_metrics saved = sample();
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "a", "a", 5);
	char *text = report(&saved, MF_METRICS_JSON);
	KIT_OK(store->ops->save_metrics(store, text, strlen(text), &error), &error);
	struct mf_store *reader = kit_open_reader(kit_dir);
	assert_int_equal(reader->ops->save_metrics(reader, text, strlen(text), &error), MF_ERR_STATE);
	struct mf_metrics metrics = metrics_of(reader);
	kit_close(reader);
	kit_close(store);
	mf_free(text);
	assert_int_equal(metrics.source, MF_METRICS_SAVED);
	assert_int_equal(metrics.taken_us, saved.taken_us);
	assert_int_equal(metrics.total_events, 5);
	assert_int_equal(metrics.commit_us.p999, 1500);
	assert_int_equal(metrics.events_measured, 1000);
}

static void damaged_counters_are_as_good_as_none(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "{", "\xff\xff\xff", "{\"a\":1}"};
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "a", "a", 5);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		KIT_OK(store->ops->save_metrics(store, bad[i], strlen(bad[i]), &error), &error);
		struct mf_metrics metrics = metrics_of(store);
		assert_int_equal(metrics.source, MF_METRICS_NONE);
		assert_int_equal(metrics.total_events, 5);
	}
	char *large = mf_calloc(1, 1 << 20);
	memset(large, ' ', 1 << 20);
	assert_int_equal(store->ops->save_metrics(store, large, 1 << 20, &error), MF_ERR_INVALID);
	mf_free(large);
	kit_close(store);
}

static void counters_that_were_changed_or_cut_or_shorter_than_before_are_told_apart(void **state)
{
	(void)state;
	struct mf_metrics saved = sample();
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	char *text = report(&saved, MF_METRICS_JSON), *longer = mf_calloc(1, 6000);
	memset(longer, ' ', 5999);
	memcpy(longer, text, strlen(text) - 1);
	KIT_OK(store->ops->save_metrics(store, longer, 5999, &error), &error);
	assert_int_equal(metrics_of(store).source, MF_METRICS_SAVED);
	KIT_OK(store->ops->save_metrics(store, text, strlen(text) - 1, &error), &error); /* nothing of the longer one is left */
	assert_int_equal(metrics_of(store).source, MF_METRICS_SAVED);
	kit_poke(kit_dir, "metrics", 30, "9", 1);
	assert_int_equal(metrics_of(store).source, MF_METRICS_NONE);
	KIT_OK(store->ops->save_metrics(store, text, strlen(text) - 1, &error), &error);
	kit_truncate(kit_dir, "metrics", (int64_t)strlen(text) + 5);
	assert_int_equal(metrics_of(store).source, MF_METRICS_NONE);
	mf_free(text);
	mf_free(longer);
	kit_close(store);
}

struct saver {
	struct mf_store *store;
	atomic_bool stop;
};

static void text_of(unsigned n, char out[3001])
{
	memset(out, (int)('a' + n % 26), 3000);
	out[3000] = '\0';
}

static void *save_on(void *argument)
{
	struct saver *saver = argument;
	char text[3001];
	for (unsigned n = 0; !atomic_load(&saver->stop); n++) {
		text_of(n, text);
		if (saver->store->ops->save_metrics(saver->store, text, 3000, NULL) != MF_OK)
			abort();
	}
	return NULL;
}

static void who_reads_while_they_are_saved_sees_one_text_whole(void **state)
{
	(void)state;
	struct saver saver = {.store = kit_open(kit_dir)};
	pthread_t thread;
	char text[3001];
	text_of(0, text);
	assert_int_equal(saver.store->ops->save_metrics(saver.store, text, 3000, NULL), MF_OK);
	assert_int_equal(pthread_create(&thread, NULL, save_on, &saver), 0);
	for (int i = 0; i < 2000; i++) {
		struct mf_buffer read = {0};
		struct mf_error error;
		enum mf_status status = saver.store->ops->load_metrics(saver.store, &read, &error);
		if (status == MF_OK) {
			text_of((unsigned)(read.bytes[0] - 'a'), text);
			assert_int_equal(read.len, 3000);
			assert_memory_equal(read.bytes, text, 3000);
		} else {
			assert_int_equal(status, MF_ERR_NOT_FOUND); /* torn, five times in a row */
		}
		mf_buffer_deinit(&read);
	}
	atomic_store(&saver.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	kit_close(saver.store);
}

static size_t open_files(void)
{
	size_t count = 0;
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void *save_first(void *argument)
{
	struct saver *saver = argument;
	while (!atomic_load(&saver->stop)) /* all at once */
		continue;
	return saver->store->ops->save_metrics(saver->store, "{}", 2, NULL) == MF_OK ? NULL : saver;
}

/* As the thread that syncs and the one that closes do. */
static void two_that_save_at_once_leave_no_file_open(void **state)
{
	(void)state;
	size_t before = open_files();
	for (int round = 0; round < 30; round++) {
		struct saver saver = {.store = kit_open(kit_dir)};
		pthread_t threads[4];
		void *failed;
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, save_first, &saver), 0);
		atomic_store(&saver.stop, true);
		for (size_t i = 0; i < 4; i++) {
			assert_int_equal(pthread_join(threads[i], &failed), 0);
			assert_null(failed);
		}
		kit_close(saver.store);
	}
	assert_int_equal(open_files(), before);
}

static void a_store_in_memory_has_totals(void **state)
{
	(void)state;
	struct mf_store *store;
	assert_int_equal(mf_store_open_memory(NULL, &store, NULL), MF_OK);
	kit_append_many(store, "a", "a", 7);
	struct mf_metrics metrics = metrics_of(store);
	assert_int_equal(metrics.source, MF_METRICS_NONE);
	assert_int_equal(metrics.total_events, 7);
	assert_int_equal(metrics.events_measured, 7);
	kit_close(store);
}

#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_distribution_is_all_zero),
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(every_value_is_found_within_4_percent),
		cmocka_unit_test(percentiles_are_ranks),
		cmocka_unit_test(negative_and_huge_values_do_no_harm),
		cmocka_unit_test(the_text_begins_with_the_seeds_report),
		cmocka_unit_test(what_was_never_measured_is_unknown),
		cmocka_unit_test(what_the_source_cannot_know_is_left_out),
		cmocka_unit_test(json_is_one_object_on_one_line),
		cmocka_unit_test(prometheus_has_seconds_and_a_type_for_each_name),
		cmocka_unit_test(every_prometheus_line_is_well_formed),
		cmocka_unit_test(no_name_comes_twice_in_the_table),
		cmocka_unit_test(an_unknown_format_or_size_is_invalid),
		cmocka_unit_test(a_caller_that_knows_less_is_given_less),
		cmocka_unit_test(every_allocation_that_fails_in_a_report_is_told),
		cmocka_unit_test(a_json_report_reads_back_as_saved),
		cmocka_unit_test(what_is_no_report_is_invalid_and_odd_members_count_as_0),
		cmocka_unit_test(every_allocation_that_fails_in_reading_back_is_told),
		T(a_store_that_nobody_counted_gives_totals_and_a_sample),
		T(saved_counters_come_back_beside_totals_of_now),
		T(damaged_counters_are_as_good_as_none),
		T(counters_that_were_changed_or_cut_or_shorter_than_before_are_told_apart),
		T(who_reads_while_they_are_saved_sees_one_text_whole),
		T(two_that_save_at_once_leave_no_file_open),
		T(a_store_in_memory_has_totals),
	};
	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
