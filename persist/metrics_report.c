/* metrics_report.c - struct mf_metrics as text, as JSON, and for Prometheus. Nothing here depends on the locale. */
#include "persist/metrics_fields.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "model/number.h"

/* What is written, and the first failure of writing it. */
struct report {
	struct mf_buffer *out;
	enum mf_status status;
};

static void put(struct report *report, const char *format, ...) MF_PRINTF(2, 3);
static void put(struct report *report, const char *format, ...)
{
	char line[300];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (report->status == MF_OK)
		report->status = mf_buffer_append(report->out, line, (size_t)len);
}

static void put_double(struct report *report, double value)
{
	char text[MF_NUMBER_MAX];
	mf_number_print_double(value, text);
	put(report, "%s", text);
}

/* value with two decimals and a unit; value is small and not negative. */
static void put_hundredths(struct report *report, const char *label, double value, const char *unit)
{
	uint64_t hundredths = (uint64_t)(value * 100 + 0.5);
	put(report, "%s: %" PRIu64 ".%02" PRIu64 "%s\n", label, hundredths / 100, hundredths % 100, unit);
}

static void put_time(struct report *report, int64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm utc;
	if (us < 0) {
		put(report, "1970-01-01T00:00:00.000000Z");
		return;
	}
	(void)gmtime_r(&seconds, &utc); /* whose year fits: there are not enough microseconds for another */
	put(report, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
	    (int)(us % 1000000));
}

static const char *source_name(enum mf_metrics_source source)
{
	return source == MF_METRICS_LIVE ? "live" : source == MF_METRICS_SAVED ? "saved" : "none";
}

static bool has_ratio(const struct mf_metrics *metrics)
{
	return metrics->event_raw_bytes + metrics->snapshot_raw_bytes > 0;
}

/* ---- text ---- */

static void text_distribution(struct report *report, const struct mf_metrics_field *field, const struct mf_distribution *d)
{
	const char *unit = field->kind == MF_FIELD_LATENCIES ? " us" : "";
	if (d->count == 0)
		put(report, "%s: none yet\n", field->name);
	else
		put(report, "%s: p50 %" PRIu64 ", p90 %" PRIu64 ", p99 %" PRIu64 ", p99.9 %" PRIu64 ", max %" PRIu64 "%s (%" PRIu64 " measured)\n", field->name, d->p50, d->p90,
		    d->p99, d->p999, d->max, unit, d->count);
}

static void text_errors(struct report *report, const struct mf_metrics_field *field, const uint64_t *errors)
{
	const char *between = "";
	put(report, "%s:", field->name);
	for (int i = 0; i < MF_STATUS_COUNT; i++) {
		if (errors[i] == 0)
			continue;
		put(report, "%s %s %" PRIu64, between, mf_status_name((enum mf_status)i), errors[i]);
		between = ",";
	}
	put(report, "%s\n", between[0] ? "" : " none");
}

static void text_field(struct report *report, const struct mf_metrics_field *field, struct mf_metrics *metrics)
{
	const uint64_t *number = mf_metrics_number(metrics, field);
	switch (field->kind) {
	case MF_FIELD_COUNT: put(report, "%s: %" PRIu64 "\n", field->name, *number); break;
	case MF_FIELD_BYTES: put(report, "%s: %" PRIu64 " bytes\n", field->name, *number); break;
	case MF_FIELD_US: put(report, "%s: %" PRIu64 " us\n", field->name, *number); break;
	case MF_FIELD_ERRORS: text_errors(report, field, number); break;
	case MF_FIELD_SIZES:
	case MF_FIELD_LATENCIES: text_distribution(report, field, mf_metrics_distribution(metrics, field)); break;
	}
}

static void text_size(struct report *report, const char *label, uint64_t bytes, bool known)
{
	if (known)
		put(report, "%s: %" PRIu64 " bytes\n", label, bytes);
	else
		put(report, "%s: unknown\n", label);
}

/* The seed's report: its lines in its order, with its precision. */
static void text_seed(struct report *report, const struct mf_metrics *metrics)
{
	put(report, "=== Persistence metrics ===\n");
	put(report, "Events: %" PRIu64 "\n", metrics->total_events);
	put(report, "Snapshots: %" PRIu64 "\n", metrics->total_snapshots);
	if (has_ratio(metrics))
		put_hundredths(report, "Compression ratio", metrics->compression_ratio * 100, "% (stored/raw)");
	else
		put(report, "Compression ratio: unknown\n");
	if (metrics->commit_us.count)
		put_hundredths(report, "Mean write latency", metrics->write_latency_ms, "ms");
	else
		put(report, "Mean write latency: unknown\n");
	if (metrics->recovery_us.count)
		put_hundredths(report, "Recovery time", metrics->recovery_time_ms, "ms");
	else
		put(report, "Recovery time: unknown\n");
}

static void write_text(struct report *report, struct mf_metrics *metrics)
{
	text_seed(report, metrics);
	text_size(report, "Mean event size", metrics->avg_event_size, metrics->events_measured > 0);
	text_size(report, "Mean snapshot size", metrics->avg_snapshot_size, metrics->snapshots_measured > 0);
	put(report, "--- counters: %s", source_name(metrics->source));
	if (metrics->source != MF_METRICS_NONE) {
		put(report, ", read ");
		put_time(report, metrics->taken_us);
	}
	if (metrics->opened_us) {
		put(report, ", since ");
		put_time(report, metrics->opened_us);
	}
	put(report, " ---\n");
	for (const struct mf_metrics_field *field = mf_metrics_fields; field->name; field++)
		if (mf_metrics_knows(metrics, field))
			text_field(report, field, metrics);
}

/* ---- JSON ---- */

static void json_time(struct report *report, const char *name, int64_t us)
{
	if (us == 0) {
		put(report, "\"%s\":null,\"%s_us\":null,", name, name);
		return;
	}
	put(report, "\"%s\":\"", name);
	put_time(report, us);
	put(report, "\",\"%s_us\":%" PRId64 ",", name, us);
}

static void json_double(struct report *report, const char *name, double value, bool known)
{
	put(report, "\"%s\":", name);
	if (known)
		put_double(report, value);
	else
		put(report, "null");
	put(report, ",");
}

static void json_size(struct report *report, const char *name, uint64_t value, bool known)
{
	if (known)
		put(report, "\"%s\":%" PRIu64, name, value);
	else
		put(report, "\"%s\":null", name);
}

static void json_distribution(struct report *report, const struct mf_distribution *d)
{
	put(report, "{\"count\":%" PRIu64 ",\"sum\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}", d->count,
	    d->sum, d->p50, d->p90, d->p99, d->p999, d->max);
}

static void json_errors(struct report *report, const uint64_t *errors)
{
	for (int i = 1; i < MF_STATUS_COUNT; i++)
		put(report, "%s\"%s\":%" PRIu64, i == 1 ? "{" : ",", mf_status_name((enum mf_status)i), errors[i]);
	put(report, "}");
}

static void json_field(struct report *report, const struct mf_metrics_field *field, struct mf_metrics *metrics)
{
	put(report, ",\"%s\":", field->name);
	if (!mf_metrics_knows(metrics, field))
		put(report, "null");
	else if (field->kind == MF_FIELD_SIZES || field->kind == MF_FIELD_LATENCIES)
		json_distribution(report, mf_metrics_distribution(metrics, field));
	else if (field->kind == MF_FIELD_ERRORS)
		json_errors(report, mf_metrics_number(metrics, field));
	else
		put(report, "%" PRIu64, *mf_metrics_number(metrics, field));
}

static void write_json(struct report *report, struct mf_metrics *metrics)
{
	put(report, "{\"source\":\"%s\",", source_name(metrics->source));
	json_time(report, "taken", metrics->taken_us);
	json_time(report, "opened", metrics->opened_us);
	json_double(report, "compression_ratio", metrics->compression_ratio, has_ratio(metrics));
	json_double(report, "write_latency_ms", metrics->write_latency_ms, metrics->commit_us.count > 0);
	json_double(report, "recovery_time_ms", metrics->recovery_time_ms, metrics->recovery_us.count > 0);
	json_size(report, "avg_event_size", metrics->avg_event_size, metrics->events_measured > 0);
	put(report, ",");
	json_size(report, "avg_snapshot_size", metrics->avg_snapshot_size, metrics->snapshots_measured > 0);
	for (const struct mf_metrics_field *field = mf_metrics_fields; field->name; field++)
		json_field(report, field, metrics);
	put(report, "}\n");
}

/* ---- Prometheus ---- */

static void expose_head(struct report *report, const char *name, const char *suffix, const char *type, const char *help)
{
	put(report, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix, type);
}

/* Microseconds as seconds, digit by digit. */
static void expose_number(struct report *report, uint64_t value, bool is_us)
{
	if (is_us)
		put(report, " %" PRIu64 ".%06" PRIu64 "\n", value / 1000000, value % 1000000);
	else
		put(report, " %" PRIu64 "\n", value);
}

static void expose_distribution(struct report *report, const struct mf_metrics_field *field, const struct mf_distribution *d)
{
	const struct {
		const char *quantile;
		uint64_t value;
	} lines[] = {{"0.5", d->p50}, {"0.9", d->p90}, {"0.99", d->p99}, {"0.999", d->p999}};
	bool is_us = field->kind == MF_FIELD_LATENCIES;
	expose_head(report, field->exposed, "", "summary", field->help);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		put(report, "%s{quantile=\"%s\"}", field->exposed, lines[i].quantile);
		if (d->count)
			expose_number(report, lines[i].value, is_us);
		else
			put(report, " NaN\n");
	}
	put(report, "%s_sum", field->exposed);
	expose_number(report, d->sum, is_us);
	put(report, "%s_count %" PRIu64 "\n", field->exposed, d->count);
	expose_head(report, field->exposed, "_max", "gauge", field->help);
	put(report, "%s_max", field->exposed);
	expose_number(report, d->max, is_us);
}

static void expose_field(struct report *report, const struct mf_metrics_field *field, struct mf_metrics *metrics)
{
	if (field->kind == MF_FIELD_SIZES || field->kind == MF_FIELD_LATENCIES) {
		expose_distribution(report, field, mf_metrics_distribution(metrics, field));
		return;
	}
	const uint64_t *number = mf_metrics_number(metrics, field);
	expose_head(report, field->exposed, "", field->counter ? "counter" : "gauge", field->help);
	if (field->kind == MF_FIELD_ERRORS) {
		for (int i = 1; i < MF_STATUS_COUNT; i++)
			put(report, "%s{status=\"%s\"} %" PRIu64 "\n", field->exposed, mf_status_name((enum mf_status)i), number[i]);
		return;
	}
	put(report, "%s", field->exposed);
	expose_number(report, *number, field->kind == MF_FIELD_US);
}

static void write_prometheus(struct report *report, struct mf_metrics *metrics)
{
	if (has_ratio(metrics)) {
		expose_head(report, "mf_compression_ratio", "", "gauge", "Stored bytes of events and snapshots by their bytes before compression.");
		put(report, "mf_compression_ratio ");
		put_double(report, metrics->compression_ratio);
		put(report, "\n");
	}
	for (const struct mf_metrics_field *field = mf_metrics_fields; field->name; field++)
		if (mf_metrics_knows(metrics, field))
			expose_field(report, field, metrics);
	if (metrics->source == MF_METRICS_NONE)
		return;
	expose_head(report, "mf_metrics_timestamp_seconds", "", "gauge", "When the counters were read, since 1970-01-01 UTC.");
	put(report, "mf_metrics_timestamp_seconds");
	expose_number(report, metrics->taken_us > 0 ? (uint64_t)metrics->taken_us : 0, true);
}

enum mf_status mf_metrics_report(const struct mf_metrics *metrics, enum mf_metrics_format format, struct mf_buffer *out, struct mf_error *error)
{
	struct mf_metrics full = {0};
	struct report report = {.out = out};
	if (metrics->size < sizeof(size_t) || metrics->size > sizeof(full))
		return mf_error_set(error, MF_ERR_INVALID, "the metrics say they are %zu bytes long, %zu are known; set their size before they are filled", metrics->size, sizeof(full));
	memcpy(&full, metrics, metrics->size);
	switch (format) {
	case MF_METRICS_TEXT: write_text(&report, &full); break;
	case MF_METRICS_JSON: write_json(&report, &full); break;
	case MF_METRICS_PROMETHEUS: write_prometheus(&report, &full); break;
	default: return mf_error_set(error, MF_ERR_INVALID, "%d is not a format of reports", (int)format);
	}
	return report.status == MF_OK ? MF_OK : mf_error_set(error, report.status, "no memory for the report of the metrics");
}
