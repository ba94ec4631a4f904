/* value_string.c - strings: up to MF_STRING_FLAT_MAX bytes in one piece, longer ones a rope (model/text.h).
 *
 * Invariants
 * 1. The form follows from the length alone: flat up to MF_STRING_FLAT_MAX bytes, a rope above.
 * 2. bytes and code_points are those of the content; flat bytes are followed by a NUL. */
#include "model/value.h"

#include <assert.h>
#include <string.h>

#include "model/mem.h"
#include "model/text.h"
#include "model/utf8.h"

struct string {
	struct mf_value head;
	size_t bytes, code_points;
	struct mf_tree *rope; /* NULL: flat */
	char flat[];
};

static const struct string *as_string(const struct mf_value *value)
{
	assert(value->kind == MF_VALUE_STRING);
	return (const struct string *)value;
}

void mf_string_free(struct mf_value *value)
{
	struct string *string = (struct string *)value;
	mf_text_unref(string->rope);
	mf_free(string);
}

/* ---- making ---- */

/* Room for flat_len bytes; the caller writes them, or sets the rope. */
static struct string *new_string(size_t bytes, size_t code_points, size_t flat_len)
{
	struct string *string = mf_malloc(sizeof(*string) + flat_len + 1);
	if (!string)
		return NULL;
	mf_value_init(&string->head, MF_VALUE_STRING, 1);
	string->bytes = bytes;
	string->code_points = code_points;
	string->rope = NULL;
	string->flat[flat_len] = '\0';
	return string;
}

enum mf_status mf_string_make(const char *bytes, size_t len, struct mf_value **out)
{
	bool flat = len <= MF_STRING_FLAT_MAX;
	struct string *string = new_string(len, mf_utf8_count(bytes, len), flat ? len : 0);
	if (!string)
		return MF_ERR_NO_MEMORY;
	if (flat && len > 0)
		memcpy(string->flat, bytes, len);
	if (!flat && mf_text_new(bytes, len, &string->rope) != MF_OK) {
		mf_free(string);
		return MF_ERR_NO_MEMORY;
	}
	*out = &string->head;
	return MF_OK;
}

enum mf_status mf_value_new_string(const char *bytes, size_t len, struct mf_value **out, struct mf_error *error)
{
	size_t valid = mf_utf8_valid_len(bytes, len);
	if (valid < len)
		return mf_error_set(error, MF_ERR_INVALID, "a string is not UTF-8 (byte %zu)", valid);
	if (mf_string_make(bytes, len, out) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for a string of %zu bytes", len);
	return MF_OK;
}

/* ---- queries ---- */

size_t mf_value_string_bytes(const struct mf_value *value)
{
	return as_string(value)->bytes;
}

size_t mf_value_string_code_points(const struct mf_value *value)
{
	return as_string(value)->code_points;
}

const char *mf_value_string_flat(const struct mf_value *value)
{
	const struct string *string = as_string(value);
	return string->rope ? NULL : string->flat;
}

void mf_value_string_copy(const struct mf_value *value, size_t from, size_t len, char *buffer)
{
	const struct string *string = as_string(value);
	assert(from <= string->bytes && len <= string->bytes - from);
	if (string->rope)
		mf_text_copy(string->rope, from, len, buffer);
	else if (len > 0)
		memcpy(buffer, string->flat + from, len);
}

void mf_value_string_pieces(const struct mf_value *value, bool (*visit)(void *user, const char *bytes, size_t len), void *user)
{
	const struct string *string = as_string(value);
	if (string->rope)
		mf_text_pieces(string->rope, visit, user);
	else if (string->bytes > 0)
		visit(user, string->flat, string->bytes);
}

struct comparison {
	const struct mf_value *other;
	size_t at;
	bool equal;
};

static bool compare_piece(void *user, const char *bytes, size_t len)
{
	struct comparison *comparison = user;
	char buffer[MF_TEXT_CHUNK_MAX];
	assert(len <= sizeof(buffer)); /* a rope's piece */
	mf_value_string_copy(comparison->other, comparison->at, len, buffer);
	comparison->at += len;
	return comparison->equal = memcmp(bytes, buffer, len) == 0;
}

bool mf_string_equal(const struct mf_value *left, const struct mf_value *right)
{
	const struct string *a = as_string(left), *b = as_string(right);
	if (a->bytes != b->bytes || a->code_points != b->code_points)
		return false;
	if (!a->rope) /* then b is flat as well: equal length, equal form */
		return memcmp(a->flat, b->flat, a->bytes) == 0;
	struct comparison comparison = {.other = right, .equal = true};
	mf_text_pieces(a->rope, compare_piece, &comparison);
	return comparison.equal;
}

/* ---- splice ---- */

static size_t byte_offset(const struct string *string, size_t pos)
{
	if (string->bytes == string->code_points)
		return pos;
	return string->rope ? mf_text_offset(string->rope, pos) : mf_utf8_offset(string->flat, string->bytes, pos);
}

/* One splice, its code point range translated to bytes. */
struct splice {
	const struct mf_value *value;
	const struct string *string;
	const struct mf_value *insert_value;
	const struct string *insert;
	size_t pos, del, from, to; /* code points; bytes */
	size_t bytes, code_points; /* of the result */
};

static void write_result(const struct splice *splice, char *out)
{
	mf_value_string_copy(splice->value, 0, splice->from, out);
	mf_value_string_copy(splice->insert_value, 0, splice->insert->bytes, out + splice->from);
	mf_value_string_copy(splice->value, splice->to, splice->string->bytes - splice->to, out + splice->from + splice->insert->bytes);
}

static enum mf_status flat_result(const struct splice *splice, struct mf_value **out)
{
	struct string *result = new_string(splice->bytes, splice->code_points, splice->bytes);
	if (!result)
		return MF_ERR_NO_MEMORY;
	write_result(splice, result->flat);
	*out = &result->head;
	return MF_OK;
}

/* A flat string that outgrows the limit. */
static enum mf_status first_rope(const struct splice *splice, struct mf_tree **out)
{
	char *bytes = mf_malloc(splice->bytes);
	if (!bytes)
		return MF_ERR_NO_MEMORY;
	write_result(splice, bytes);
	enum mf_status status = mf_text_new(bytes, splice->bytes, out);
	mf_free(bytes);
	return status;
}

static enum mf_status next_rope(const struct splice *splice, struct mf_tree **out)
{
	const struct string *insert = splice->insert;
	if (!insert->rope)
		return mf_text_splice(splice->string->rope, splice->pos, splice->del, insert->flat, insert->bytes, out);
	char *bytes = mf_malloc(insert->bytes);
	if (!bytes)
		return MF_ERR_NO_MEMORY;
	mf_text_copy(insert->rope, 0, insert->bytes, bytes);
	enum mf_status status = mf_text_splice(splice->string->rope, splice->pos, splice->del, bytes, insert->bytes, out);
	mf_free(bytes);
	return status;
}

static enum mf_status rope_result(const struct splice *splice, struct mf_value **out)
{
	struct string *result = new_string(splice->bytes, splice->code_points, 0);
	if (!result)
		return MF_ERR_NO_MEMORY;
	enum mf_status status = splice->string->rope ? next_rope(splice, &result->rope) : first_rope(splice, &result->rope);
	if (status != MF_OK) {
		mf_free(result);
		return status;
	}
	*out = &result->head;
	return MF_OK;
}

static enum mf_status make_result(const struct splice *splice, struct mf_value **out)
{
	if (splice->del == 0 && splice->insert->bytes == 0) {
		*out = mf_value_ref(splice->value);
		return MF_OK;
	}
	return splice->bytes <= MF_STRING_FLAT_MAX ? flat_result(splice, out) : rope_result(splice, out);
}

static enum mf_status make_deleted(const struct splice *splice, struct mf_value **out)
{
	size_t len = splice->to - splice->from;
	if (!splice->string->rope)
		return mf_string_make(splice->string->flat + splice->from, len, out);
	char few[MF_STRING_FLAT_MAX];
	char *bytes = len <= sizeof(few) ? few : mf_malloc(len);
	if (!bytes)
		return MF_ERR_NO_MEMORY;
	mf_text_copy(splice->string->rope, splice->from, len, bytes);
	enum mf_status status = mf_string_make(bytes, len, out);
	if (bytes != few)
		mf_free(bytes);
	return status;
}

enum mf_status mf_value_string_splice(const struct mf_value *value, size_t pos, size_t del, const struct mf_value *insert, struct mf_value **out,
				      struct mf_value **out_deleted, struct mf_error *error)
{
	const struct string *string = as_string(value);
	if (pos > string->code_points || del > string->code_points - pos)
		return mf_error_set(error, MF_ERR_INVALID, "position %zu with %zu to delete is beyond the end of a text of %zu code points", pos, del, string->code_points);
	struct splice splice = {
		.value = value, .string = string, .insert_value = insert, .insert = as_string(insert), .pos = pos, .del = del,
		.from = byte_offset(string, pos), .to = byte_offset(string, pos + del)};
	splice.bytes = string->bytes - (splice.to - splice.from) + splice.insert->bytes;
	splice.code_points = string->code_points - del + splice.insert->code_points;
	struct mf_value *deleted = NULL, *result;
	if (out_deleted && make_deleted(&splice, &deleted) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for the deleted text");
	if (make_result(&splice, &result) != MF_OK) {
		mf_value_unref(deleted);
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for a text of %zu bytes", splice.bytes);
	}
	if (out_deleted)
		*out_deleted = deleted;
	*out = result;
	return MF_OK;
}
