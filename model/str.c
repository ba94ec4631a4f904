#include "model/str.h"

#include <string.h>
#include <sys/auxv.h>
#include <xxhash.h>

#include "model/mem.h"
#include <moduforge/value.h>

static uint64_t seed;

/* Of the 16 random bytes that the kernel gives each process, so that nobody can make ids that all have one hash. */
__attribute__((constructor)) static void choose_seed(void)
{
	const void *bytes = (const void *)getauxval(AT_RANDOM);
	if (bytes)
		seed = XXH3_64bits(bytes, 16);
}

struct mf_str *mf_str_new(const char *bytes, size_t len)
{
	if (len >= UINT32_MAX)
		return NULL;
	struct mf_str *str = mf_malloc(sizeof(*str) + len + 1);
	if (!str)
		return NULL;
	atomic_init(&str->ref, 1);
	str->len = (uint32_t)len;
	str->hash = mf_str_hash(bytes, len);
	if (len)
		memcpy(str->bytes, bytes, len);
	str->bytes[len] = '\0';
	return str;
}

void mf_str_unref(struct mf_str *str)
{
	if (!str || atomic_fetch_sub_explicit(&str->ref, 1, memory_order_acq_rel) != 1)
		return;
	mf_free(str);
}

uint64_t mf_str_hash(const char *bytes, size_t len)
{
	return XXH3_64bits_withSeed(bytes, len, seed);
}

int mf_bytes_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t shorter = a_len < b_len ? a_len : b_len;
	int order = shorter ? memcmp(a, b, shorter) : 0;
	if (order)
		return order;
	return a_len < b_len ? -1 : a_len > b_len;
}

uint64_t mf_bytes_prefix(const char *bytes, size_t len)
{
	uint64_t prefix = 0;
	for (size_t i = 0; i < sizeof(prefix); i++)
		prefix = prefix << 8 | (i < len ? (unsigned char)bytes[i] : 0);
	return prefix;
}
