#include "host/visible.h"

#include <langinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool mf_visible_is_ascii(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
}

size_t mf_utf8_next(const char *text, unsigned *out_code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *at = (const unsigned char *)text;
	size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
	uint32_t code = len == 1 ? at[0] : at[0] & (0xFFu >> (len + 1));
	if (len > 1 && (at[0] < 0xC2 || at[0] > 0xF4))
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3F);
	}
	*out_code = code;
	return code < least[len] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ? 0 : len;
}

/* Source: Unicode 15, the general categories Cc, Cf, Zl, Zp, Co and the other characters with Default_Ignorable_Code_Point. */
static bool is_hidden(unsigned code)
{
	static const struct {
		unsigned first, last;
	} ranges[] = {
		{0x00, 0x1F}, {0x7F, 0x9F}, {0xAD, 0xAD}, {0x34F, 0x34F}, {0x600, 0x605}, {0x61C, 0x61C}, {0x6DD, 0x6DD},
		{0x70F, 0x70F}, {0x890, 0x891}, {0x8E2, 0x8E2}, {0x115F, 0x1160}, {0x17B4, 0x17B5}, {0x180B, 0x180F}, {0x200B, 0x200F},
		{0x2028, 0x202E}, {0x2060, 0x206F}, {0x3164, 0x3164}, {0xE000, 0xF8FF}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0},
		{0xFFF0, 0xFFFB}, {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0x10FFFF},
	};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

size_t mf_visible_next(const char *text, bool ascii, char out[MF_VISIBLE_MAX])
{
	unsigned code = 0;
	size_t len = mf_utf8_next(text, &code);
	if (len == 0) {
		snprintf(out, MF_VISIBLE_MAX, "%s", ascii ? "\\ufffd" : "\xEF\xBF\xBD");
		return 1;
	}
	if (code == '\n' || code == '\t' || code == '\r')
		snprintf(out, MF_VISIBLE_MAX, "\\%c", code == '\n' ? 'n' : code == '\t' ? 't' : 'r');
	else if (is_hidden(code) || (ascii && code > 0x7E))
		snprintf(out, MF_VISIBLE_MAX, code > 0xFFFF ? "\\u{%x}" : "\\u%04x", code);
	else
		snprintf(out, MF_VISIBLE_MAX, "%.*s", (int)len, text);
	return len;
}

size_t mf_visible_json(const char *text, char out[MF_VISIBLE_MAX])
{
	unsigned code = 0xFFFD;
	size_t len = mf_utf8_next(text, &code);
	out[0] = '\0';
	if (len == 0 || (is_hidden(code) && code != '\n' && code <= 0xFFFF))
		snprintf(out, MF_VISIBLE_MAX, "\\u%04x", len > 0 ? code : 0xFFFD);
	else if (is_hidden(code) && code != '\n')
		snprintf(out, MF_VISIBLE_MAX, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + (code & 0x3FF));
	return len > 0 ? len : 1;
}
