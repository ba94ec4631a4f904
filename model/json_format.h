/* json_format.h - JSON text from a format whose holes are filled with what comes from outside.
 *
 * Why: text of a user put between quotes by snprintf can close them and become structure.
 * Here %s is a whole JSON string, quoted and escaped, so a value stays a value. */
#pragma once

#include <stdarg.h>
#include <moduforge/step.h>

/* Appends to out, NUL-terminated (the NUL is not counted). %s: a string, not NULL; %lld: a long long; %%: a percent sign.
 * MF_ERR_INVALID for any other conversion, or a NULL. */
MF_MUST_CHECK enum mf_status mf_json_format(struct mf_buffer *out, struct mf_error *error, const char *format, va_list arguments);
