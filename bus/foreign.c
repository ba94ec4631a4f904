#include "bus/foreign.h"

#include <string.h>

enum mf_status mf_foreign_failure(struct mf_error *error, enum mf_status status, struct mf_error *given, const char *who)
{
	if ((int)status < MF_OK || (int)status > MF_ERR_TIMEOUT)
		return mf_error_set(error, MF_ERR_PLUGIN, "%s returned status %d, which does not exist: report this to its author", who, (int)status);
	given->message[sizeof(given->message) - 1] = '\0';
	if (!given->message[0])
		return mf_error_set(error, status, "%s failed with %s and gave no reason", who, mf_status_name(status));
	given->status = status;
	(void)mf_error_prefix(given, status, "%s", who);
	if (error)
		memcpy(error, given, sizeof(*error));
	return status;
}
