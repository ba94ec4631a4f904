/* value.h - what the files that implement values share.
 *
 * Every value begins with this header. Null and the booleans are static and not counted;
 * everything else is one allocation (a rope's chunks apart) that is never written again
 * after it was made, but for the count.
 *
 * A count of 32 bits: overflow would need 2^32 pointers to one value, 32 GiB of them. */
#pragma once

#include <stdatomic.h>
#include <moduforge/value.h>

struct mf_value {
	_Alignas(8) atomic_uint refs; /* aligned like what follows it in any kind */
	unsigned char kind;
	unsigned char depth; /* 1 for a scalar and for an empty container */
};

static inline void mf_value_init(struct mf_value *value, enum mf_value_kind kind, size_t depth)
{
	atomic_init(&value->refs, 1);
	value->kind = (unsigned char)kind;
	value->depth = (unsigned char)depth;
}

/* model/value_string.c */
enum mf_status mf_string_make(const char *bytes, size_t len, struct mf_value **out); /* of bytes that are known to be UTF-8 */
void mf_string_free(struct mf_value *string); /* the count has reached 0 */
bool mf_string_equal(const struct mf_value *a, const struct mf_value *b);
