#include "model/json_write.h"

#include <string.h>
#include <moduforge/step.h>

#include "model/number.h"

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

void mf_json_begin(struct mf_json_writer *writer, mf_sink *sink, void *user)
{
	writer->sink = sink;
	writer->user = user;
	writer->status = MF_OK;
	writer->used = 0; /* the buffer itself needs no clearing */
}

static void flush(struct mf_json_writer *writer)
{
	if (writer->status == MF_OK && writer->used > 0)
		writer->status = writer->sink(writer->user, writer->buffer, writer->used);
	writer->used = 0;
}

enum mf_status mf_json_finish(struct mf_json_writer *writer)
{
	flush(writer);
	return writer->status;
}

void mf_json_raw(struct mf_json_writer *writer, const char *bytes, size_t len)
{
	while (len > 0) {
		if (writer->used == MF_JSON_BUFFER)
			flush(writer);
		size_t room = MF_JSON_BUFFER - writer->used;
		size_t part = len < room ? len : room;
		memcpy(writer->buffer + writer->used, bytes, part);
		writer->used += part;
		bytes += part;
		len -= part;
	}
}

/* ---- strings ---- */

static bool must_escape(char byte)
{
	return (unsigned char)byte < 0x20 || byte == '"' || byte == '\\';
}

/* Is there one among these eight? x - 1 borrows into the top bit where x is 0; a byte with the top bit of
 * its own is no match. A match may also light up the byte above it, so the answer is only yes or no. */
static bool word_must_escape(const char *at)
{
	uint64_t word, quote, backslash;
	memcpy(&word, at, sizeof(word));
	quote = word ^ EACH_BYTE('"');
	backslash = word ^ EACH_BYTE('\\');
	uint64_t hits = ((word - EACH_BYTE(0x20)) & ~word) | ((quote - EACH_BYTE(1)) & ~quote) | ((backslash - EACH_BYTE(1)) & ~backslash);
	return hits & EACH_BYTE(0x80);
}

size_t mf_json_plain_len(const char *bytes, size_t len)
{
	size_t i = 0;
	while (len - i >= 8 && !word_must_escape(bytes + i))
		i += 8;
	while (i < len && !must_escape(bytes[i]))
		i++;
	return i;
}

/* The letter of the short form, 0 if there is none. */
static char short_form(unsigned char byte)
{
	switch (byte) {
	case '"': return '"';
	case '\\': return '\\';
	case '\b': return 'b';
	case '\f': return 'f';
	case '\n': return 'n';
	case '\r': return 'r';
	case '\t': return 't';
	default: return '\0';
	}
}

static void escape_byte(struct mf_json_writer *writer, unsigned char byte)
{
	static const char hex[] = "0123456789abcdef";
	char letter = short_form(byte);
	char shorter[] = {'\\', letter};
	char longer[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
	mf_json_raw(writer, letter ? shorter : longer, letter ? sizeof(shorter) : sizeof(longer));
}

static bool escape(void *user, const char *bytes, size_t len)
{
	struct mf_json_writer *writer = user;
	for (size_t at = 0; at < len;) {
		size_t span = mf_json_plain_len(bytes + at, len - at);
		mf_json_raw(writer, bytes + at, span);
		at += span;
		if (at < len)
			escape_byte(writer, (unsigned char)bytes[at++]);
	}
	return writer->status == MF_OK;
}

void mf_json_string(struct mf_json_writer *writer, const char *bytes, size_t len)
{
	mf_json_literal(writer, "\"");
	escape(writer, bytes, len);
	mf_json_literal(writer, "\"");
}

static void string_value(struct mf_json_writer *writer, const struct mf_value *value)
{
	mf_json_literal(writer, "\"");
	mf_value_string_pieces(value, escape, writer);
	mf_json_literal(writer, "\"");
}

/* ---- values ---- */

static void array(struct mf_json_writer *writer, const struct mf_value *value)
{
	size_t count = mf_value_count(value);
	mf_json_literal(writer, "[");
	for (size_t i = 0; i < count && writer->status == MF_OK; i++) {
		if (i > 0)
			mf_json_literal(writer, ",");
		mf_json_value(writer, mf_value_item(value, i));
	}
	mf_json_literal(writer, "]");
}

static void object(struct mf_json_writer *writer, const struct mf_value *value)
{
	size_t count = mf_value_count(value);
	mf_json_literal(writer, "{");
	for (size_t i = 0; i < count && writer->status == MF_OK; i++) {
		const char *key;
		size_t key_len;
		const struct mf_value *member = mf_value_member(value, i, &key, &key_len);
		if (i > 0)
			mf_json_literal(writer, ",");
		mf_json_string(writer, key, key_len);
		mf_json_literal(writer, ":");
		mf_json_value(writer, member);
	}
	mf_json_literal(writer, "}");
}

static void number(struct mf_json_writer *writer, const struct mf_value *value)
{
	char text[MF_NUMBER_MAX];
	size_t len = mf_value_kind(value) == MF_VALUE_INT ? mf_number_print_int(mf_value_as_int(value), text) : mf_number_print_double(mf_value_as_double(value), text);
	mf_json_raw(writer, text, len);
}

/* Recursion ends at MF_NESTING_MAX: no value is deeper. */
void mf_json_value(struct mf_json_writer *writer, const struct mf_value *value)
{
	switch (mf_value_kind(value)) {
	case MF_VALUE_NULL: mf_json_literal(writer, "null"); break;
	case MF_VALUE_BOOL:
		if (mf_value_as_bool(value))
			mf_json_literal(writer, "true");
		else
			mf_json_literal(writer, "false");
		break;
	case MF_VALUE_INT:
	case MF_VALUE_DOUBLE: number(writer, value); break;
	case MF_VALUE_STRING: string_value(writer, value); break;
	case MF_VALUE_ARRAY: array(writer, value); break;
	case MF_VALUE_OBJECT: object(writer, value); break;
	}
}

static enum mf_status append(void *user, const void *bytes, size_t len)
{
	return mf_buffer_append(user, bytes, len);
}

enum mf_status mf_value_to_json(const struct mf_value *value, char **out_text, size_t *out_len)
{
	struct mf_buffer text = {0};
	struct mf_json_writer writer;
	mf_json_begin(&writer, append, &text);
	mf_json_value(&writer, value);
	mf_json_raw(&writer, "", 1); /* the NUL at the end */
	enum mf_status status = mf_json_finish(&writer);
	if (status != MF_OK) {
		mf_buffer_deinit(&text);
		return status;
	}
	*out_text = (char *)text.bytes;
	if (out_len)
		*out_len = text.len - 1;
	return MF_OK;
}
