/* subscriber_metrics.c - the snapshot subscriber's metrics: put together from recorder, queue and store; saved beside the store. */
#include "persist/subscriber_parts.h"

static void collect(struct mf_snapshot_subscriber *subscriber, struct mf_metrics *out)
{
	*out = (struct mf_metrics){
		.size = sizeof(*out),
		.source = MF_METRICS_LIVE,
		.taken_us = subscriber->env->wall_us(subscriber->env->user),
		.opened_us = subscriber->opened_us,
	};
	mf_recorder_read(subscriber->recorder, out);
	mf_commit_queue_look(subscriber->queue, out);
	mf_metrics_derive(out);
}

enum mf_status mf_subscriber_metrics(void *user, struct mf_metrics *out, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	struct mf_store_stats stats;
	struct mf_metrics full;
	enum mf_status status = mf_store_stats(subscriber->store, &stats, error);
	if (status != MF_OK)
		return status;
	collect(subscriber, &full);
	mf_metrics_totals(&stats, &full);
	full.log_checkpoints = (uint64_t)stats.log_checkpoints;
	return mf_metrics_give(&full, out, error);
}

/* An opening that only compacted, say, leaves the counters of the one that committed. */
static bool has_worked(const struct mf_metrics *metrics)
{
	uint64_t sum = metrics->commit_us.count;
	for (int i = 0; i < MF_STATUS_COUNT; i++)
		sum += metrics->errors[i];
	return sum > 0;
}

/* Without totals, which a reader counts himself: the first count takes long in a large store, and this comes from the
 * thread that syncs. */
void mf_subscriber_save_metrics(void *user)
{
	struct mf_snapshot_subscriber *subscriber = user;
	struct mf_metrics metrics;
	struct mf_buffer text = {0};
	struct mf_error error = {0};
	collect(subscriber, &metrics);
	if (!has_worked(&metrics))
		return;
	enum mf_status status = mf_metrics_report(&metrics, MF_METRICS_JSON, &text, &error);
	if (status == MF_OK)
		status = subscriber->store->ops->save_metrics(subscriber->store, text.bytes, text.len, &error);
	if (status != MF_OK)
		mf_logf(&subscriber->options.logger, MF_LOG_DEBUG, "the counters could not be saved: %s", error.message);
	mf_buffer_deinit(&text);
}
