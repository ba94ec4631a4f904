/* health.c - the store's health, and what only the runtime knows. */
#include "host/runtime.h"

#include "persist/health.h"

/* One that was asked to stop has no error. */
static bool check_follower(void *user, const struct mf_subscriber_info *info)
{
	if (info->state == MF_FOLLOWER_STOPPED && info->last_error[0])
		mf_health_find(user, MF_HEALTH_WARNING, "follower", "follower '%.100s' has stopped, %lld events behind: %.300s", info->name, (long long)info->lag, info->last_error);
	if (info->state == MF_FOLLOWER_RETRYING)
		mf_health_find(user, MF_HEALTH_WARNING, "follower", "follower '%.100s' fails and is tried again, %lld events behind: %.300s", info->name, (long long)info->lag, info->last_error);
	return true;
}

enum mf_status mf_runtime_health(struct mf_runtime *runtime, const struct mf_health_options *options, mf_health_visit *visit, void *user, struct mf_health_report *out,
				 struct mf_error *error)
{
	struct mf_health_check check = {.visit = visit, .user = user};
	enum mf_status status = mf_runtime_check(runtime, false, error);
	if (status == MF_OK)
		status = mf_health_check_store(&check, mf_runtime_store(runtime), options, error);
	if (status == MF_OK)
		mf_bus_subscribers(runtime->bus, check_follower, &check);
	return status == MF_OK ? mf_health_give(&check, out, error) : status;
}
