#include "host/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/visible.h"

void mf_output_init(struct mf_output *out, int fd)
{
	out->fd = fd;
	out->error = 0;
	out->first = true;
	out->veiled = isatty(fd);
	out->len = 0;
}

/* ---- bytes ---- */
static void write_all(struct mf_output *out, const char *bytes, size_t len)
{
	for (size_t done = 0; done < len && !out->error;) {
		ssize_t written = write(out->fd, bytes + done, len - done);
		if (written >= 0)
			done += (size_t)written;
		else if (errno != EINTR)
			out->error = errno;
	}
}

/* What a terminal would obey stands in strings only, and so may be written as \u009b there. */
static void write_veiled(struct mf_output *out, size_t len)
{
	char escaped[MF_VISIBLE_MAX];
	size_t from = 0, one;
	for (size_t at = 0; at < len; at += one) {
		one = mf_visible_json(out->bytes + at, escaped);
		if (escaped[0] == '\0')
			continue;
		write_all(out, out->bytes + from, at - from);
		write_all(out, escaped, strlen(escaped));
		from = at + one;
	}
	write_all(out, out->bytes + from, len - from);
}

/* Without a character at the end that is not all there yet. */
static size_t whole_characters(const struct mf_output *out)
{
	for (size_t back = 1; back <= 3 && back <= out->len; back++) {
		unsigned char byte = (unsigned char)out->bytes[out->len - back];
		if (byte < 0x80)
			break;
		if (byte < 0xC0)
			continue;
		size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
		return length > back ? out->len - back : out->len;
	}
	return out->len;
}

void mf_output_flush(struct mf_output *out)
{
	size_t len = out->veiled ? whole_characters(out) : out->len;
	out->bytes[out->len] = '\0';
	if (out->veiled)
		write_veiled(out, len);
	else
		write_all(out, out->bytes, len);
	out->len -= len;
	memmove(out->bytes, out->bytes + len, out->len);
}

void mf_output_bytes(struct mf_output *out, const void *bytes, size_t len)
{
	const char *from = bytes;
	while (len > 0 && !out->error) {
		size_t room = MF_OUTPUT_SIZE - out->len;
		size_t piece = len < room ? len : room;
		memcpy(out->bytes + out->len, from, piece);
		out->len += piece;
		from += piece;
		len -= piece;
		if (out->len == MF_OUTPUT_SIZE)
			mf_output_flush(out);
	}
}

enum mf_status mf_output_sink(void *out, const void *bytes, size_t len)
{
	mf_output_bytes(out, bytes, len);
	return ((struct mf_output *)out)->error ? MF_ERR_IO : MF_OK;
}

/* ---- strings ---- */
static void escape(struct mf_output *out, unsigned c)
{
	static const char letters[] = "btn.fr";
	char text[8];
	if (c == '"' || c == '\\')
		snprintf(text, sizeof(text), "\\%c", c);
	else if (c >= '\b' && c <= '\r' && c != '\v')
		snprintf(text, sizeof(text), "\\%c", letters[c - '\b']);
	else
		snprintf(text, sizeof(text), "\\u%04x", c);
	mf_output_bytes(out, text, strlen(text));
}

void mf_output_quoted(struct mf_output *out, const char *text)
{
	if (!text) {
		mf_output_bytes(out, "null", 4);
		return;
	}
	mf_output_bytes(out, "\"", 1);
	for (const char *at = text; *at;) {
		unsigned code = 0;
		size_t len = mf_utf8_next(at, &code);
		if (len == 0)
			mf_output_bytes(out, "\xEF\xBF\xBD", 3);
		else if (code < 0x20 || code == '"' || code == '\\')
			escape(out, code);
		else
			mf_output_bytes(out, at, len);
		at += len ? len : 1;
	}
	mf_output_bytes(out, "\"", 1);
}

/* ---- objects ---- */
void mf_output_open(struct mf_output *out)
{
	mf_output_bytes(out, "{", 1);
	out->first = true;
}

void mf_output_close(struct mf_output *out)
{
	mf_output_bytes(out, "}\n", 2);
}

void mf_output_key(struct mf_output *out, const char *key)
{
	if (!out->first)
		mf_output_bytes(out, ",", 1);
	out->first = false;
	mf_output_quoted(out, key);
	mf_output_bytes(out, ":", 1);
}

void mf_output_json(struct mf_output *out, const char *key, const char *json, size_t len)
{
	mf_output_key(out, key);
	mf_output_bytes(out, json, len);
}

void mf_output_text(struct mf_output *out, const char *key, const char *text)
{
	mf_output_key(out, key);
	mf_output_quoted(out, text);
}

void mf_output_int(struct mf_output *out, const char *key, int64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%lld", (long long)value);
	mf_output_json(out, key, text, (size_t)len);
}

void mf_output_bool(struct mf_output *out, const char *key, bool value)
{
	mf_output_json(out, key, value ? "true" : "false", value ? 4 : 5);
}

enum mf_status mf_output_value(struct mf_output *out, const char *key, const struct mf_value *value)
{
	char *json;
	size_t len;
	enum mf_status status = mf_value_to_json(value, &json, &len);
	if (status != MF_OK)
		return status;
	mf_output_json(out, key, json, len);
	mf_free(json);
	return MF_OK;
}

void mf_time_format(int64_t us, char out[MF_TIME_TEXT])
{
	bool before = us % 1000000 < 0; /* 1970: division goes towards zero */
	int64_t fraction = us % 1000000 + (before ? 1000000 : 0);
	time_t seconds = (time_t)(us / 1000000 - before);
	struct tm utc;
	if (gmtime_r(&seconds, &utc))
		snprintf(out, MF_TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
			 utc.tm_min, utc.tm_sec, (int)fraction);
	else
		snprintf(out, MF_TIME_TEXT, "1970-01-01T00:00:00.000000Z");
}

void mf_output_time(struct mf_output *out, const char *key, int64_t us)
{
	char text[MF_TIME_TEXT];
	mf_time_format(us, text);
	mf_output_text(out, key, text);
}
