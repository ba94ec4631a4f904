/* utf8.h - strict UTF-8: is it, how long is it, where is code point n.
 *
 * Strict means RFC 3629: no overlong form, no surrogate (U+D800 to U+DFFF), nothing
 * above U+10FFFF. U+0000 is a code point like any other; the length tells where text ends.
 *
 * mf_utf8_count and mf_utf8_offset want valid text: they only look at lead bytes, so
 * on other bytes they answer something meaningless, but never read outside.
 * Thread: any; pure functions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

bool mf_utf8_valid(const char *bytes, size_t len);
/* Bytes up to the first that breaks the rules; len if none does. */
size_t mf_utf8_valid_len(const char *bytes, size_t len);
/* Code points of valid text. */
size_t mf_utf8_count(const char *bytes, size_t len);
/* Byte offset of code point n (0 = the first); len when the text has n code points or fewer. */
size_t mf_utf8_offset(const char *bytes, size_t len, size_t n);
/* Is this byte the first of a code point (or no UTF-8 at all)? */
static inline bool mf_utf8_is_lead(char byte)
{
	return ((unsigned char)byte & 0xC0) != 0x80;
}
