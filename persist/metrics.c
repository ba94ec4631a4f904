#include "persist/metrics.h"

#include <string.h>

#include "model/mem.h"
#include "persist/record.h"
#include <moduforge/value.h>

struct mf_recorder *mf_recorder_new(void)
{
	struct mf_recorder *recorder = mf_calloc(1, sizeof(*recorder));
	if (recorder)
		pthread_mutex_init(&recorder->mutex, NULL);
	return recorder;
}

void mf_recorder_free(struct mf_recorder *recorder)
{
	if (!recorder)
		return;
	pthread_mutex_destroy(&recorder->mutex);
	mf_free(recorder);
}

/* ---- recording ---- */

void mf_recorder_event(struct mf_recorder *recorder, const struct mf_event *event)
{
	if (!recorder)
		return;
	mf_counter_add(&recorder->events, 1);
	mf_counter_add(&recorder->event_bytes, event->payload_len);
	mf_counter_add(&recorder->event_raw_bytes, mf_record_raw_len(event->payload, event->payload_len));
}

void mf_recorder_error(struct mf_recorder *recorder, enum mf_status status)
{
	if (recorder && status > MF_OK && status < MF_STATUS_COUNT)
		atomic_fetch_add_explicit(&recorder->errors[status], 1, memory_order_relaxed);
}

void mf_recorder_duplicate(struct mf_recorder *recorder)
{
	if (recorder)
		atomic_fetch_add_explicit(&recorder->duplicates, 1, memory_order_relaxed);
}

void mf_recorder_snapshot(struct mf_recorder *recorder, int64_t us, uint64_t bytes, uint64_t raw_bytes)
{
	if (!recorder)
		return;
	pthread_mutex_lock(&recorder->mutex);
	mf_histogram_add(&recorder->snapshot_us, us);
	mf_counter_add(&recorder->snapshot_bytes, bytes);
	mf_counter_add(&recorder->snapshot_raw_bytes, raw_bytes);
	pthread_mutex_unlock(&recorder->mutex);
}

void mf_recorder_snapshot_failed(struct mf_recorder *recorder)
{
	if (recorder)
		atomic_fetch_add_explicit(&recorder->snapshot_failures, 1, memory_order_relaxed);
}

void mf_recorder_recovery(struct mf_recorder *recorder, int64_t us)
{
	if (!recorder)
		return;
	pthread_mutex_lock(&recorder->mutex);
	mf_histogram_add(&recorder->recovery_us, us);
	pthread_mutex_unlock(&recorder->mutex);
}

/* ---- reading ---- */

void mf_recorder_read(const struct mf_recorder *recorder, struct mf_metrics *out)
{
	if (!recorder)
		return;
	mf_histogram_read(&recorder->commit_us, &out->commit_us);
	mf_histogram_read(&recorder->group_events, &out->group_events);
	mf_histogram_read(&recorder->sync_us, &out->sync_us);
	mf_histogram_read(&recorder->snapshot_us, &out->snapshot_us);
	mf_histogram_read(&recorder->recovery_us, &out->recovery_us);
	out->events_measured = mf_counter_read(&recorder->events);
	out->event_bytes = mf_counter_read(&recorder->event_bytes);
	out->event_raw_bytes = mf_counter_read(&recorder->event_raw_bytes);
	out->snapshots_measured = out->snapshot_us.count;
	out->snapshot_bytes = mf_counter_read(&recorder->snapshot_bytes);
	out->snapshot_raw_bytes = mf_counter_read(&recorder->snapshot_raw_bytes);
	out->queue_events_max = mf_counter_read(&recorder->queue_events_max);
	out->duplicates = mf_counter_read(&recorder->duplicates);
	out->snapshot_failures = mf_counter_read(&recorder->snapshot_failures);
	for (int i = 0; i < MF_STATUS_COUNT; i++)
		out->errors[i] = mf_counter_read(&recorder->errors[i]);
}

void mf_metrics_totals(const struct mf_store_stats *stats, struct mf_metrics *out)
{
	out->total_events = (uint64_t)stats->events;
	out->total_snapshots = (uint64_t)stats->snapshots;
	out->documents = (uint64_t)stats->documents;
	out->last_lsn = (uint64_t)stats->last_lsn;
	out->synced_lsn = (uint64_t)stats->synced_lsn;
	out->epoch = (uint64_t)stats->epoch;
	out->store_bytes = (uint64_t)stats->bytes;
	out->log_pages = (uint64_t)stats->log_pages;
}

void mf_metrics_derive(struct mf_metrics *metrics)
{
	uint64_t raw = metrics->event_raw_bytes + metrics->snapshot_raw_bytes;
	uint64_t stored = metrics->event_bytes + (metrics->snapshot_raw_bytes ? metrics->snapshot_bytes : 0);
	metrics->avg_event_size = metrics->events_measured ? metrics->event_bytes / metrics->events_measured : 0;
	metrics->avg_snapshot_size = metrics->snapshots_measured ? metrics->snapshot_bytes / metrics->snapshots_measured : 0;
	metrics->compression_ratio = raw ? (double)stored / (double)raw : 0;
	metrics->write_latency_ms = metrics->commit_us.count ? (double)metrics->commit_us.sum / (double)metrics->commit_us.count / 1000 : 0;
	metrics->recovery_time_ms = (double)metrics->recovery_us.sum / 1000;
}

enum mf_status mf_metrics_give(const struct mf_metrics *full, struct mf_metrics *out, struct mf_error *error)
{
	size_t size = out->size;
	if (size < sizeof(size_t) || size > sizeof(*full))
		return mf_error_set(error, MF_ERR_INVALID, "the metrics say they are %zu bytes long, %zu are known; set their size before they are filled", size, sizeof(*full));
	memcpy(out, full, size);
	out->size = size;
	return MF_OK;
}
