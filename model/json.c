/* json.c - JSON text into values: jansson reads, our rules decide.
 *
 * jansson refuses: bad syntax, bad UTF-8, lone surrogates, repeated keys, U+0000 in keys, integers
 * outside int64, reals outside double, more than 2048 levels. Added here: at most MF_NESTING_MAX levels, no raw
 * NUL (jansson takes one outside of a string for the end of the text), -0.0 is 0.0.
 *
 * jansson's tree is only a way station, because it has hash tables, no sharing between threads
 * and 64 bytes and more a value. Its memory comes from the process's malloc, not from model/mem.h: its
 * allocator is one for the whole process and belongs to the application. */
#include "model/value.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "model/mem.h"

static enum mf_status convert(const json_t *json, size_t depth, struct mf_value **out, struct mf_error *error);

static void unref_members(struct mf_member *members, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mf_value_unref(members[i].value);
}

static enum mf_status convert_members(json_t *json, size_t depth, struct mf_member *members, struct mf_value **out, struct mf_error *error)
{
	size_t count = 0;
	for (void *iter = json_object_iter(json); iter; iter = json_object_iter_next(json, iter)) {
		struct mf_member *member = &members[count];
		member->key = json_object_iter_key(iter);
		member->key_len = strlen(member->key);
		enum mf_status status = convert(json_object_iter_value(iter), depth + 1, &member->value, error);
		if (status != MF_OK) {
			unref_members(members, count);
			return status;
		}
		count++;
	}
	return mf_value_new_object_take(members, count, out, error);
}

static enum mf_status convert_object(const json_t *json, size_t depth, struct mf_value **out, struct mf_error *error)
{
	size_t count = json_object_size(json);
	struct mf_member *members = mf_calloc(count, sizeof(*members));
	if (!members)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for an object of %zu members", count);
	enum mf_status status = convert_members((json_t *)json, depth, members, out, error); /* jansson's iterators want no const */
	mf_free(members);
	return status;
}

static enum mf_status convert_items(const json_t *json, size_t depth, struct mf_value **items, struct mf_value **out, struct mf_error *error)
{
	size_t count = json_array_size(json);
	for (size_t i = 0; i < count; i++) {
		enum mf_status status = convert(json_array_get(json, i), depth + 1, &items[i], error);
		if (status != MF_OK) {
			while (i > 0)
				mf_value_unref(items[--i]);
			return status;
		}
	}
	return mf_value_new_array_take(items, count, out, error);
}

static enum mf_status convert_array(const json_t *json, size_t depth, struct mf_value **out, struct mf_error *error)
{
	size_t count = json_array_size(json);
	struct mf_value **items = mf_calloc(count, sizeof(struct mf_value *));
	if (!items)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for an array of %zu items", count);
	enum mf_status status = convert_items(json, depth, items, out, error);
	mf_free(items);
	return status;
}

static enum mf_status convert_int(const json_t *json, struct mf_value **out, struct mf_error *error)
{
	if (mf_value_new_int(json_integer_value(json), out) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for a number");
	return MF_OK;
}

/* depth counts from 1; the check comes before the descent, so hostile nesting costs at most MF_NESTING_MAX frames. */
static enum mf_status convert(const json_t *json, size_t depth, struct mf_value **out, struct mf_error *error)
{
	if (depth > MF_NESTING_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "JSON is nested more than %d deep", MF_NESTING_MAX);
	switch (json_typeof(json)) {
	case JSON_OBJECT: return convert_object(json, depth, out, error);
	case JSON_ARRAY: return convert_array(json, depth, out, error);
	case JSON_STRING: return mf_value_new_string(json_string_value(json), json_string_length(json), out, error);
	case JSON_INTEGER: return convert_int(json, out, error);
	case JSON_REAL: return mf_value_new_double(json_real_value(json), out, error);
	case JSON_TRUE: *out = mf_value_bool(true); break;
	case JSON_FALSE: *out = mf_value_bool(false); break;
	case JSON_NULL: *out = mf_value_null(); break;
	}
	return MF_OK;
}

static enum mf_status refuse_nul(const char *text, const char *nul, struct mf_error *error)
{
	size_t line = 1;
	const char *start = text;
	for (const char *at = text; at < nul; at++)
		if (*at == '\n') {
			line++;
			start = at + 1;
		}
	return mf_error_set(error, MF_ERR_INVALID, "JSON line %zu, column %zu: a NUL byte", line, (size_t)(nul - start) + 1);
}

static enum mf_status translate(const json_error_t *from, struct mf_error *error)
{
	if (!from->text[0]) /* the parser has a reason for every text that it refuses, but none when it had no memory */
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading JSON");
	return mf_error_set(error, MF_ERR_INVALID, "JSON line %d, column %d: %s", from->line, from->column, from->text);
}

/* ---- did the parser have memory for every byte? ---- */

#define BUFFER_BYTES 15 /* what jansson's buffer for a token has room for before it grows */

/* What a \u stands for, in UTF-8. *at is at the u, and goes to its last digit. */
static size_t escaped_bytes(const char *text, size_t *at)
{
	unsigned code = 0;
	for (int i = 1; i <= 4; i++) {
		char digit = text[*at + (size_t)i];
		code = code << 4 | (unsigned)(digit <= '9' ? digit - '0' : (digit & ~0x20) - 'A' + 10);
	}
	bool pair = code >= 0xd800 && code < 0xdc00;
	*at += pair ? 10 : 4;
	return pair ? 4 : code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
}

/* Bytes of all strings in the text, which the parser has accepted. */
static size_t bytes_in_text(const char *text, size_t len)
{
	size_t bytes = 0;
	bool inside = false;
	for (size_t at = 0; at < len; at++) {
		if (text[at] == '"')
			inside = !inside;
		else if (inside && text[at] == '\\' && text[++at] == 'u')
			bytes += escaped_bytes(text, &at);
		else
			bytes += inside;
	}
	return bytes;
}

/* The same of what it made. Its depth was limited by convert. */
static size_t bytes_in(const json_t *json)
{
	size_t bytes = 0, index;
	const char *key;
	json_t *value;
	if (json_is_string(json))
		return json_string_length(json);
	json_array_foreach((json_t *)(uintptr_t)json, index, value)
		bytes += bytes_in(value);
	json_object_foreach((json_t *)(uintptr_t)json, key, value)
		bytes += strlen(key) + bytes_in(value);
	return bytes;
}

/* A number so long that the parser's buffer had to grow for it. */
static bool has_long_number(const char *text, size_t len)
{
	bool inside = false;
	size_t run = 0;
	for (size_t at = 0; at < len && run < BUFFER_BYTES; at++) {
		if (text[at] == '\\' && inside)
			at++;
		else if (text[at] == '"')
			inside = !inside;
		run = !inside && strchr("+-.0123456789Ee", text[at]) ? run + 1 : 0;
	}
	return run >= BUFFER_BYTES;
}

/* Whether reading it once more gives the same numbers: a digit that was lost is lost in both only where memory ran out at the
 * same place twice. */
static bool reads_the_same(const json_t *json, const char *text, size_t len)
{
	json_t *again = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	bool same = again && json_equal(json, again);
	json_decref(again);
	return same;
}

/* jansson drops the byte for which its buffer could not grow, and goes on: sound JSON becomes other JSON, or a wrong token. errno tells,
 * unless a number came later, which clears it. A parser of our own would need none of this. */
static bool lost_a_byte(const json_t *json, const char *text, size_t len)
{
	return bytes_in(json) != bytes_in_text(text, len) || (has_long_number(text, len) && !reads_the_same(json, text, len));
}

enum mf_status mf_value_parse_json(const char *text, size_t len, struct mf_value **out, struct mf_error *error)
{
	const char *nul = len > 0 ? memchr(text, '\0', len) : NULL;
	if (nul)
		return refuse_nul(text, nul, error);
	json_error_t problem;
	errno = 0;
	json_t *json = json_loadb(len > 0 ? text : "", len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
	bool starved = errno == ENOMEM;
	if (!json)
		return starved ? mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading JSON") : translate(&problem, error);
	struct mf_value *value = NULL;
	enum mf_status status = convert(json, 1, &value, error);
	if (status == MF_OK && (starved || lost_a_byte(json, text, len))) {
		mf_value_unref(value);
		status = mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading JSON");
	}
	if (status == MF_OK)
		*out = value;
	json_decref(json);
	return status;
}
