/* str.h - short immutable strings with a hash, shared by reference: ids, types, keys.
 *
 * Layout, one allocation
 *   ref   4 bytes   atomic
 *   len   4 bytes   bytes, without the NUL
 *   hash  8 bytes   XXH3_64bits(bytes, len)
 *   bytes len + 1   NUL-terminated; may hold any bytes
 *
 * Thread: any. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_str {
	atomic_uint ref;
	uint32_t len;
	uint64_t hash;
	char bytes[];
};

/* Bytes that somebody else owns; what lookups take. */
struct mf_bytes {
	const char *bytes;
	size_t len;
};

struct mf_str *mf_str_new(const char *bytes, size_t len); /* NULL: no memory, or len above UINT32_MAX */
uint64_t mf_str_hash(const char *bytes, size_t len); /* differs from process to process: never stored, nothing is ordered by it outside */
/* As memcmp, a prefix before what it is a prefix of. */
int mf_bytes_compare(const char *a, size_t a_len, const char *b, size_t b_len);
/* The first 8 bytes as a big-endian number, padded with 0: ordered as the bytes are. */
uint64_t mf_bytes_prefix(const char *bytes, size_t len);

static inline struct mf_str *mf_str_ref(const struct mf_str *str)
{
	struct mf_str *same = (struct mf_str *)str;
	atomic_fetch_add_explicit(&same->ref, 1, memory_order_relaxed);
	return same;
}
void mf_str_unref(struct mf_str *str); /* NULL is fine */
static inline bool mf_str_is(const struct mf_str *str, const char *bytes, size_t len)
{
	return str->len == len && (str->bytes == bytes || mf_bytes_compare(str->bytes, len, bytes, len) == 0);
}
