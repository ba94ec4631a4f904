/* json_string.h - a JSON string as it is written: finding where it ends, and what it means.
 *
 * Both functions return NULL, or in a few words what is wrong, with the place. Thread: any; pure functions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What stands between the quotes: UTF-8, without a control character, and no backslash is the last byte. */
struct mf_json_quoted {
	const char *bytes;
	size_t len;
	bool escaped; /* there are backslashes: it must be decoded */
};
/* *at is behind the opening quote, and then behind the closing one or at what is wrong. */
const char *mf_json_quoted_scan(const char **at, const char *end, struct mf_json_quoted *out);
/* At most quoted->len bytes, which are UTF-8; may hold U+0000. */
const char *mf_json_quoted_decode(const struct mf_json_quoted *quoted, char *out, size_t *out_len, const char **out_where);
