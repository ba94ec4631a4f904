/* health.c - the store's health, and what only the runtime knows. */
#include "host/runtime.h"

#include "persist/health.h"

enum mf_status mf_runtime_health(struct mf_runtime *runtime, const struct mf_health_options *options, mf_health_visit *visit, void *user, struct mf_health_report *out,
				 struct mf_error *error)
{
	struct mf_health_check check = {.visit = visit, .user = user};
	enum mf_status status = mf_runtime_check(runtime, false, error);
	if (status == MF_OK)
		status = mf_health_check_store(&check, mf_runtime_store(runtime), options, error);
	return status == MF_OK ? mf_health_give(&check, out, error) : status;
}
