/* splice.h - what changed in a long string, as one splice: so that a packed difference (pack_delta.c) need not repeat a
 * text in which a word was typed.
 *
 * Thread: any. */
#pragma once

#include <moduforge/value.h>

#define MF_SPLICE_MIN 32 /* bytes; a shorter string is repeated */

/* Code points [pos, pos + del) of the old string replaced by these bytes. */
struct mf_splice {
	size_t pos, del;
	char *insert; /* mf_free it */
	size_t insert_len;
};
/* old may be NULL. *out_found false: they are not both strings, or the splice would not be much shorter than the new one. */
MF_MUST_CHECK enum mf_status mf_splice_find(const struct mf_value *old, const struct mf_value *value, struct mf_splice *out, bool *out_found);
