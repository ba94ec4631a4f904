/* followers.c - followers at their own pace, through the one door; and their end. */
#include "bus/bus_parts.h"
#include "host/runtime.h"

#define PATIENCE_MS 10000 /* at the closing, for them to see what is committed */
#define STOP_MS 1000      /* at least, for a call under way to end */

/* ---- the door ---- */
enum mf_status mf_runtime_follow(struct mf_runtime *runtime, const struct mf_follow_options *options, mf_event_handler *handler, void *user, uint64_t *out_id, struct mf_error *error)
{
	enum mf_status status = mf_runtime_check(runtime, false, error);
	if (status == MF_OK && runtime->read_only)
		status = mf_error_set(error, MF_ERR_STATE, "the runtime was opened read-only: it does not learn what another process commits");
	return status == MF_OK ? mf_bus_follow(runtime->bus, options, handler, user, out_id, error) : status;
}

enum mf_status mf_runtime_unfollow(struct mf_runtime *runtime, uint64_t id, int64_t timeout_ms, struct mf_error *error)
{
	enum mf_status status = mf_runtime_check_process(runtime, error); /* handlers may leave while it is closed */
	return status == MF_OK ? mf_bus_unsubscribe_within(runtime->bus, id, timeout_ms, error) : status;
}

int mf_runtime_get_fd(struct mf_runtime *runtime)
{
	return mf_runtime_check_process(runtime, NULL) == MF_OK ? mf_bus_fd(runtime->bus) : -1;
}

enum mf_status mf_runtime_dispatch(struct mf_runtime *runtime, size_t max_events, struct mf_error *error)
{
	enum mf_status status = mf_runtime_check(runtime, false, error);
	return status == MF_OK ? mf_bus_dispatch(runtime->bus, max_events, error) : status;
}

/* ---- the end ---- */
bool mf_runtime_inside_follower(const struct mf_runtime *runtime)
{
	return mf_bus_inside_follower(runtime->bus);
}

enum mf_status mf_runtime_end_followers(struct mf_runtime *runtime, int64_t timeout_ms, struct mf_error *error)
{
	struct mf_error late = {0};
	int64_t patience = timeout_ms < 0 || timeout_ms > PATIENCE_MS ? PATIENCE_MS : timeout_ms;
	int64_t deadline = mf_deadline_in_ms(patience);
	if (mf_bus_await_followers(runtime->bus, patience, &late) != MF_OK)
		mf_logf(&runtime->logger, MF_LOG_WARNING, "closing: %s; it goes on from there when the store is opened again", late.message);
	int64_t left = (deadline - mf_now_us()) / 1000;
	enum mf_status status = mf_bus_stop_followers(runtime->bus, left > STOP_MS ? left : STOP_MS, error);
	runtime->followers_busy = status == MF_ERR_TIMEOUT;
	if (runtime->followers_busy)
		mf_bus_abandon_followers(runtime->bus);
	return status;
}
