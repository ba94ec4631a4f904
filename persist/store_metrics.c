/* store_metrics.c - the metrics of a store that is only read: exact totals, the counters that the writing process saved
 * last, and where there are none a sample of the newest events. */
#include <string.h>

#include "persist/metrics.h"
#include "persist/record.h"

#define SAMPLE_EVENTS 1000

static void add_snapshot(struct mf_metrics *out, int64_t bytes)
{
	out->snapshots_measured++;
	out->snapshot_bytes += (uint64_t)bytes;
}

static bool visit_snapshot(void *user, const struct mf_snapshot_info *info)
{
	add_snapshot(user, info->bytes);
	return true;
}

static enum mf_status sample(struct mf_store *store, struct mf_metrics *out, struct mf_error *error)
{
	struct mf_event_list list;
	int64_t newest = (int64_t)out->last_lsn;
	enum mf_status status = mf_store_load_since(store, NULL, newest > SAMPLE_EVENTS ? newest - SAMPLE_EVENTS : 0, SAMPLE_EVENTS, &list, error);
	if (status != MF_OK)
		return status;
	for (size_t i = 0; i < list.count; i++) {
		out->event_bytes += list.events[i].payload_len;
		out->event_raw_bytes += mf_record_raw_len(list.events[i].payload, list.events[i].payload_len);
	}
	out->events_measured = list.count;
	mf_event_list_deinit(&list);
	return MF_OK;
}

/* Counters that cannot be read are as good as none: they are no part of the data. */
static void read_saved(struct mf_store *store, struct mf_metrics *out)
{
	struct mf_buffer text = {0};
	out->source = MF_METRICS_NONE;
	if (store->ops->load_metrics && store->ops->load_metrics(store, &text, NULL) == MF_OK)
		(void)!mf_metrics_parse((const char *)text.bytes, text.len, out, NULL);
	mf_buffer_deinit(&text);
}

enum mf_status mf_store_metrics(struct mf_store *store, struct mf_metrics *out, struct mf_error *error)
{
	struct mf_metrics full = {.size = sizeof(full)};
	struct mf_store_stats stats;
	read_saved(store, &full);
	enum mf_status status = mf_store_stats(store, &stats, error);
	if (status != MF_OK)
		return status;
	mf_metrics_totals(&stats, &full);
	if (full.source == MF_METRICS_NONE)
		full.taken_us = 0;
	if (full.events_measured == 0)
		status = sample(store, &full, error);
	if (status == MF_OK && full.snapshots_measured == 0 && store->ops->snapshots)
		status = store->ops->snapshots(store, NULL, visit_snapshot, &full, error);
	if (status != MF_OK)
		return status;
	mf_metrics_derive(&full);
	return mf_metrics_give(&full, out, error);
}
