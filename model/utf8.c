/* Text is mostly ASCII, so all three functions look at eight bytes at a time and go to
 * single code points only where a byte above 0x7F turns up. */
#include "model/utf8.h"

#include <stdint.h>
#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)
#define LOW_BITS UINT64_C(0x0101010101010101)

static uint64_t load_word(const unsigned char *at)
{
	uint64_t word;
	memcpy(&word, at, sizeof(word));
	return word;
}

static bool is_continuation(unsigned char byte)
{
	return (byte & 0xC0) == 0x80;
}

/* The second byte's range is what shuts out overlong forms, surrogates and what lies
 * above U+10FFFF (Unicode standard, table 3-7). */
static bool second_is_allowed(unsigned char lead, unsigned char second)
{
	switch (lead) {
	case 0xE0: return second >= 0xA0 && second <= 0xBF;
	case 0xED: return second >= 0x80 && second <= 0x9F;
	case 0xF0: return second >= 0x90 && second <= 0xBF;
	case 0xF4: return second >= 0x80 && second <= 0x8F;
	default: return is_continuation(second);
	}
}

/* Length of the sequence that starts with a byte above 0x7F; 0 if it is not valid. */
static size_t sequence_len(const unsigned char *at, size_t left)
{
	unsigned char lead = at[0];
	size_t len = lead >= 0xC2 && lead <= 0xDF ? 2 : lead >= 0xE0 && lead <= 0xEF ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
	if (len == 0 || len > left || !second_is_allowed(lead, at[1]))
		return 0;
	for (size_t i = 2; i < len; i++)
		if (!is_continuation(at[i]))
			return 0;
	return len;
}

size_t mf_utf8_valid_len(const char *bytes, size_t len)
{
	const unsigned char *start = (const unsigned char *)bytes, *at = start, *end = at + len;
	while (at < end) {
		if (end - at >= 8 && (load_word(at) & HIGH_BITS) == 0) {
			at += 8;
			continue;
		}
		size_t step = *at < 0x80 ? 1 : sequence_len(at, (size_t)(end - at));
		if (step == 0)
			break;
		at += step;
	}
	return (size_t)(at - start);
}

bool mf_utf8_valid(const char *bytes, size_t len)
{
	return mf_utf8_valid_len(bytes, len) == len;
}

/* Bytes 10xxxxxx in a word: the one bit above is clear, so it can be shifted next to the top one. */
static size_t continuations_in(uint64_t word)
{
	uint64_t marks = (word & HIGH_BITS) >> 7 & ~(word >> 6) & LOW_BITS;
	return (size_t)(marks * LOW_BITS >> 56);
}

size_t mf_utf8_count(const char *bytes, size_t len)
{
	const unsigned char *at = (const unsigned char *)bytes, *end = at + len;
	size_t continuations = 0;
	for (; end - at >= 8; at += 8)
		continuations += continuations_in(load_word(at));
	for (; at < end; at++)
		continuations += is_continuation(*at);
	return len - continuations;
}

size_t mf_utf8_offset(const char *bytes, size_t len, size_t n)
{
	const unsigned char *start = (const unsigned char *)bytes, *at = start, *end = at + len;
	/* Whole words are passed over as long as the wanted lead byte cannot lie in them. */
	while (end - at >= 8) {
		size_t leads = 8 - continuations_in(load_word(at));
		if (leads > n)
			break;
		n -= leads;
		at += 8;
	}
	for (; at < end; at++)
		if (!is_continuation(*at) && n-- == 0)
			break;
	return (size_t)(at - start);
}
