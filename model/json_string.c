/* See model/json_string.h.
 *
 * Escapes are ASCII, so the bytes around them are checked as UTF-8 before they are decoded. What an escape stands for is never
 * longer than itself. */
#include "model/json_string.h"

#include <string.h>

#include "model/json_write.h"
#include "model/utf8.h"

const char *mf_json_quoted_scan(const char **at, const char *end, struct mf_json_quoted *out)
{
	const char *start = *at;
	out->escaped = false;
	for (;;) {
		*at += mf_json_plain_len(*at, (size_t)(end - *at));
		if (end - *at < 2 && (*at == end || **at == '\\'))
			return "premature end of input";
		if (**at != '\\')
			break;
		out->escaped = true;
		*at += 2;
	}
	size_t len = (size_t)(*at - start), valid = mf_utf8_valid_len(start, len);
	if (valid == len && **at != '"')
		return "control character in a string";
	*at = start + (valid < len ? valid : len + 1);
	out->bytes = start;
	out->len = len;
	return valid < len ? "not UTF-8" : NULL;
}

/* The value of four digits, or -1. Ends at what is no digit, and so at the closing quote at the latest. */
static int read_hex(const char *at)
{
	int code = 0;
	for (int i = 0; i < 4; i++) {
		int lower = at[i] | 0x20;
		if (at[i] >= '0' && at[i] <= '9')
			code = code << 4 | (at[i] - '0');
		else if (lower >= 'a' && lower <= 'f')
			code = code << 4 | (lower - 'a' + 10);
		else
			return -1;
	}
	return code;
}

/* *at is at the digits, and goes behind them, those of a second half included. -1: no code point. */
static int read_code_point(const char **at)
{
	int code = read_hex(*at);
	if (code < 0 || (code & 0xF800) != 0xD800) {
		*at += 4;
		return code;
	}
	if (code >= 0xDC00 || (*at)[4] != '\\' || (*at)[5] != 'u')
		return -1;
	int low = read_hex(*at + 6);
	*at += 10;
	return low < 0xDC00 || low > 0xDFFF ? -1 : 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
}

static char *write_code_point(char *out, int code)
{
	static const int lead[] = {0, 0xC0, 0xE0, 0xF0};
	int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3; /* bytes after the first */
	*out++ = (char)(lead[more] | code >> 6 * more);
	while (more-- > 0)
		*out++ = (char)(0x80 | (code >> 6 * more & 0x3F));
	return out;
}

/* *at is behind the backslash, and goes behind the escape. */
static const char *decode_escape(const char **at, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char letter = *(*at)++;
	if (letter == 'u') {
		int code = read_code_point(at);
		if (code < 0)
			return "invalid Unicode escape";
		*out = write_code_point(*out, code);
		return NULL;
	}
	const char *found = memchr(from, letter, sizeof(from) - 1);
	if (!found)
		return "invalid escape";
	*(*out)++ = to[found - from];
	return NULL;
}

const char *mf_json_quoted_decode(const struct mf_json_quoted *quoted, char *out, size_t *out_len, const char **out_where)
{
	const char *at = quoted->bytes, *end = at + quoted->len, *problem = NULL;
	char *next = out;
	while (!problem) {
		size_t plain = mf_json_plain_len(at, (size_t)(end - at));
		memcpy(next, at, plain);
		next += plain;
		at += plain;
		if (at == end)
			break;
		*out_where = at++;
		problem = decode_escape(&at, &next);
	}
	*out_len = (size_t)(next - out);
	return problem;
}
