#include "bus/json_place.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/mem.h"

#define FILE_SHOWN 160 /* bytes of a file's path in a message: the rule must fit too */

static bool continues(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

int mf_text_cut(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);
	if (len <= max)
		return (int)len;
	for (len = max; len > 0 && continues(text[len]);)
		len--;
	return (int)len;
}

struct mf_json_place mf_json_place_member(const struct mf_json_place *outer, const char *key)
{
	struct mf_json_place inner = *outer;
	size_t len = strlen(inner.pointer);
	if (len < MF_POINTER_SIZE - 1)
		inner.pointer[len++] = '/';
	for (; *key && len < MF_POINTER_SIZE - 2; key++) {
		bool escaped = *key == '~' || *key == '/';
		inner.pointer[len++] = escaped ? '~' : *key;
		if (escaped)
			inner.pointer[len++] = *key == '~' ? '0' : '1';
	}
	inner.pointer[len] = '\0';
	if (continues(*key))
		inner.pointer[mf_text_cut(inner.pointer, len - 1)] = '\0';
	return inner;
}

struct mf_json_place mf_json_place_item(const struct mf_json_place *outer, size_t index)
{
	char number[24];
	snprintf(number, sizeof(number), "%zu", index);
	return mf_json_place_member(outer, number);
}

enum mf_status mf_json_place_error(const struct mf_json_place *place, struct mf_error *error, const char *format, ...)
{
	char text[MF_ERROR_MESSAGE_SIZE];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	size_t len = strlen(place->file);
	const char *file = len > FILE_SHOWN ? place->file + len - FILE_SHOWN : place->file;
	while (file > place->file && continues(*file))
		file++;
	return mf_error_set(error, MF_ERR_INVALID, "%s%s: %s%s%s", file > place->file ? "..." : "", file, place->pointer, place->pointer[0] ? ": " : "", text);
}

const char *mf_value_kind_name(enum mf_value_kind kind)
{
	switch (kind) {
	case MF_VALUE_NULL: return "null";
	case MF_VALUE_BOOL: return "a boolean";
	case MF_VALUE_INT: return "an integer";
	case MF_VALUE_DOUBLE: return "a decimal number";
	case MF_VALUE_STRING: return "a string";
	case MF_VALUE_ARRAY: return "an array";
	case MF_VALUE_OBJECT: return "an object";
	}
	return "something else";
}

enum mf_status mf_json_place_expect(const struct mf_json_place *place, const struct mf_value *value, enum mf_value_kind kind, struct mf_error *error)
{
	if (mf_value_kind(value) == kind)
		return MF_OK;
	return mf_json_place_error(place, error, "must be %s, is %s", mf_value_kind_name(kind), mf_value_kind_name(mf_value_kind(value)));
}

char *mf_json_place_string(const struct mf_json_place *place, const struct mf_value *value, size_t max, struct mf_error *error)
{
	if (mf_json_place_expect(place, value, MF_VALUE_STRING, error) != MF_OK)
		return NULL;
	size_t len = mf_value_string_bytes(value);
	if (len > max) {
		(void)mf_json_place_error(place, error, "is %zu bytes long, at most %zu are allowed", len, max);
		return NULL;
	}
	char *text = mf_malloc(len + 1);
	if (!text) {
		(void)mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %zu bytes of configuration", len);
		return NULL;
	}
	mf_value_string_copy(value, 0, len, text);
	text[len] = '\0';
	if (strlen(text) == len)
		return text;
	mf_free(text);
	(void)mf_json_place_error(place, error, "must not contain the character U+0000");
	return NULL;
}
