/* moduforge/value.h - attribute values: any JSON value, immutable and shared.
 *
 * A value is null, a boolean, an int64, a finite double, a UTF-8 string, an
 * array or an object. Values never change; "changing" one makes a new one.
 *
 * Invariants
 * 1. Strings are valid UTF-8 and may contain U+0000. Object keys are valid
 *    UTF-8 without U+0000, unique, and sorted by their bytes.
 * 2. Doubles are finite, and -0.0 is stored as 0.0. 1 and 1.0 are different.
 * 3. Nesting is at most MF_NESTING_MAX deep; in an attribute or a mark of a document at most MF_DEPTH_MAX.
 * 4. A string of any length is split, spliced and measured in code points in
 *    O(log n): long strings are balanced ropes inside.
 *
 * Ownership: _new and _ref give the caller one reference, _unref takes it back
 * and accepts NULL. Values returned as const are borrowed from their container.
 * Thread: reference counts are atomic; a value may be read by any thread. */
#pragma once

#include <stdbool.h>
#include <moduforge/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MF_DEPTH_MAX 64 /* deepest nesting of nodes in a document, and of the value of an attribute */
/* Deepest nesting of any value: a step in a line carries a tree of MF_DEPTH_MAX, two levels a node, attributes
 * as deep again, and what is around them. */
#define MF_NESTING_MAX 224

enum mf_value_kind {
	MF_VALUE_NULL, MF_VALUE_BOOL, MF_VALUE_INT, MF_VALUE_DOUBLE,
	MF_VALUE_STRING, MF_VALUE_ARRAY, MF_VALUE_OBJECT,
};

struct mf_value;

/* ---- life cycle ---- */
MF_API struct mf_value *mf_value_null(void);       /* these three cannot fail */
MF_API struct mf_value *mf_value_bool(bool value);
MF_API struct mf_value *mf_value_ref(const struct mf_value *value);
MF_API void mf_value_unref(struct mf_value *value);

MF_API MF_MUST_CHECK enum mf_status mf_value_new_int(int64_t value, struct mf_value **out);
/* MF_ERR_INVALID for NaN and infinities. */
MF_API MF_MUST_CHECK enum mf_status mf_value_new_double(double value, struct mf_value **out, struct mf_error *error);
/* MF_ERR_INVALID for bytes that are not UTF-8. len in bytes. */
MF_API MF_MUST_CHECK enum mf_status mf_value_new_string(const char *bytes, size_t len, struct mf_value **out, struct mf_error *error);
/* Takes the references in items[0..count) on success and on failure. */
MF_API MF_MUST_CHECK enum mf_status mf_value_new_array_take(struct mf_value **items, size_t count, struct mf_value **out, struct mf_error *error);

/* A member for building an object: key is borrowed, value is taken. */
struct mf_member {
	const char *key;
	size_t key_len;
	struct mf_value *value;
};
/* Takes the values on success and on failure; sorts members in place;
 * MF_ERR_INVALID for a duplicate, a key with U+0000 or not UTF-8, or too deep. */
MF_API MF_MUST_CHECK enum mf_status mf_value_new_object_take(struct mf_member *members, size_t count, struct mf_value **out, struct mf_error *error);

/* ---- queries: the kind must match (a broken promise of the caller is asserted) ---- */
MF_API enum mf_value_kind mf_value_kind(const struct mf_value *value);
MF_API bool mf_value_as_bool(const struct mf_value *value);
MF_API int64_t mf_value_as_int(const struct mf_value *value);
MF_API double mf_value_as_double(const struct mf_value *value);
MF_API size_t mf_value_depth(const struct mf_value *value); /* 1 for a scalar */

MF_API size_t mf_value_string_bytes(const struct mf_value *string);       /* length in bytes */
MF_API size_t mf_value_string_code_points(const struct mf_value *string); /* length in code points */
/* Copies the bytes [from, from + len) into buffer; the range must lie inside. */
MF_API void mf_value_string_copy(const struct mf_value *string, size_t from, size_t len, char *buffer);
/* Calls visit for the string's pieces in order, until one returns false. O(n). */
MF_API void mf_value_string_pieces(const struct mf_value *string, bool (*visit)(void *user, const char *bytes, size_t len), void *user);
/* The bytes of a string that is held in one piece, or NULL if it is a rope. Borrowed. Strings made by
 * mf_value_new_string with at most MF_STRING_FLAT_MAX bytes are always in one piece, NUL-terminated. */
#define MF_STRING_FLAT_MAX 1024
MF_API const char *mf_value_string_flat(const struct mf_value *string);
/* A new string: code points [pos, pos + del) replaced by insert (a string). O(log n + del + insert).
 * MF_ERR_INVALID if pos + del is beyond the end. out_deleted (may be NULL) receives what was removed. */
MF_API MF_MUST_CHECK enum mf_status mf_value_string_splice(const struct mf_value *string, size_t pos, size_t del, const struct mf_value *insert,
							   struct mf_value **out, struct mf_value **out_deleted, struct mf_error *error);

MF_API size_t mf_value_count(const struct mf_value *array_or_object);
MF_API const struct mf_value *mf_value_item(const struct mf_value *array, size_t index);
MF_API const struct mf_value *mf_value_get(const struct mf_value *object, const char *key); /* NULL if absent */
/* Member number index in key order; *out_key is NUL-terminated, borrowed. */
MF_API const struct mf_value *mf_value_member(const struct mf_value *object, size_t index, const char **out_key, size_t *out_key_len);
MF_API bool mf_value_equal(const struct mf_value *a, const struct mf_value *b); /* 1 and 1.0 differ */

/* ---- JSON at the edges ---- */
/* Parse one JSON text (RFC 8259), to its last byte. Refused with MF_ERR_INVALID, line and column: what is not its grammar or
 * not UTF-8, a NUL byte, a repeated key, U+0000 in a key, an integer outside int64, a real outside double, more than MF_NESTING_MAX levels.
 * The message repeats nothing of the text but a repeated key. Any locale. */
MF_API MF_MUST_CHECK enum mf_status mf_value_parse_json(const char *text, size_t len, struct mf_value **out, struct mf_error *error);
/* Canonical JSON: keys sorted by bytes, no white space, shortest round-trip numbers. The text is
 * NUL-terminated and the caller's, to be given to mf_free. */
MF_API MF_MUST_CHECK enum mf_status mf_value_to_json(const struct mf_value *value, char **out_text, size_t *out_len);

/* Frees what the library handed out as plain memory. NULL is fine. */
MF_API void mf_free(void *memory);

#ifdef __cplusplus
}
#endif
