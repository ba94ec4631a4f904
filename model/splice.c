/* See model/splice.h. What both strings begin and end with is compared byte by byte, over copies in one piece: the
 * digest of a snapshot reads all of the text anyway. */
#include "model/splice.h"

#include <string.h>

#include "model/mem.h"
#include "model/utf8.h"

static char *copy_of(const struct mf_value *string, size_t len)
{
	char *bytes = mf_malloc(len);
	if (bytes)
		mf_value_string_copy(string, 0, len, bytes);
	return bytes;
}

/* How many bytes both begin with, cut where a code point begins: as both are valid, in one as in the other. */
static size_t common_start(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t most = a_len < b_len ? a_len : b_len, len = 0;
	while (len < most && a[len] == b[len])
		len++;
	while (len < a_len && !mf_utf8_is_lead(a[len]))
		len--;
	return len;
}

static size_t common_end(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t most = a_len < b_len ? a_len : b_len, len = 0;
	while (len < most && a[a_len - len - 1] == b[b_len - len - 1])
		len++;
	while (len > 0 && !mf_utf8_is_lead(a[a_len - len])) /* the bytes are equal: of b it is the same */
		len--;
	return len;
}

static enum mf_status find(const char *old, size_t old_len, const char *now, size_t len, struct mf_splice *out, bool *out_found)
{
	size_t start = common_start(old, old_len, now, len);
	size_t end = common_end(old + start, old_len - start, now + start, len - start);
	size_t insert_len = len - start - end;
	*out_found = insert_len < len / 2;
	if (!*out_found)
		return MF_OK;
	char *insert = mf_malloc(insert_len);
	if (!insert)
		return MF_ERR_NO_MEMORY;
	memcpy(insert, now + start, insert_len);
	*out = (struct mf_splice){mf_utf8_count(old, start), mf_utf8_count(old + start, old_len - start - end), insert, insert_len};
	return MF_OK;
}

enum mf_status mf_splice_find(const struct mf_value *old, const struct mf_value *value, struct mf_splice *out, bool *out_found)
{
	*out_found = false;
	if (!old || mf_value_kind(old) != MF_VALUE_STRING || mf_value_kind(value) != MF_VALUE_STRING)
		return MF_OK;
	size_t old_len = mf_value_string_bytes(old), len = mf_value_string_bytes(value);
	if (old_len < MF_SPLICE_MIN || len < MF_SPLICE_MIN)
		return MF_OK;
	char *old_bytes = copy_of(old, old_len), *bytes = copy_of(value, len);
	enum mf_status status = old_bytes && bytes ? find(old_bytes, old_len, bytes, len, out, out_found) : MF_ERR_NO_MEMORY;
	mf_free(old_bytes);
	mf_free(bytes);
	return status;
}
