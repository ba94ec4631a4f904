/* foreign.h - errors that come from code which is not ours: plugins, guards.
 *
 * Such code may fail without a word, or return a number that is no status. The user still gets a
 * sentence that says who it was. */
#pragma once

#include <moduforge/status.h>

/* Makes error (may be NULL) from what who returned: a status other than MF_OK, and the error it was given, which was
 * zero before. "WHO: its message"; without a message "WHO failed with MF_ERR_... and gave no reason"; an unknown
 * status becomes MF_ERR_PLUGIN. Returns the status that error gets. Changes given. */
enum mf_status mf_foreign_failure(struct mf_error *error, enum mf_status status, struct mf_error *given, const char *who);
