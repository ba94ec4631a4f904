/* metrics.c - the committer's metrics, and what only bus and runtime know. */
#include "host/runtime.h"

#include "persist/metrics.h"

void mf_runtime_count_error(struct mf_runtime *runtime, enum mf_status status)
{
	if (status > MF_OK && status < MF_STATUS_COUNT)
		atomic_fetch_add_explicit(&runtime->errors[status], 1, memory_order_relaxed);
}

static bool add_follower(void *user, const struct mf_subscriber_info *info)
{
	struct mf_metrics *metrics = user;
	if (!(info->topics & MF_TOPICS_EVENTS))
		return true;
	metrics->followers++;
	metrics->follower_failures += info->failures;
	if (info->lag > 0 && (uint64_t)info->lag > metrics->follower_lag_lsns)
		metrics->follower_lag_lsns = (uint64_t)info->lag;
	return true;
}

static void add_own(struct mf_runtime *runtime, struct mf_metrics *metrics)
{
	mf_bus_subscribers(runtime->bus, add_follower, metrics);
	pthread_mutex_lock(&runtime->documents.lock);
	metrics->documents_loaded = runtime->documents.count;
	pthread_mutex_unlock(&runtime->documents.lock);
	for (int i = 0; i < MF_STATUS_COUNT; i++)
		metrics->errors[i] = atomic_load_explicit(&runtime->errors[i], memory_order_relaxed);
}

enum mf_status mf_runtime_metrics(struct mf_runtime *runtime, struct mf_metrics *out, struct mf_error *error)
{
	struct mf_metrics full = {.size = sizeof(full)};
	enum mf_status status = mf_runtime_check(runtime, false, error);
	if (status == MF_OK && !runtime->committer->metrics)
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "the committer %s counts nothing", runtime->committer->name);
	if (status == MF_OK)
		status = runtime->committer->metrics(runtime->committer->user, &full, error);
	if (status != MF_OK)
		return status;
	if (!runtime->read_only)
		add_own(runtime, &full);
	return mf_metrics_give(&full, out, error);
}
