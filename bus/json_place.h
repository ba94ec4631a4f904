/* json_place.h - where in a JSON file we are, for messages: the file and a JSON pointer (RFC 6901).
 *
 * A place is a small value: entering a member makes a new one from it. Pointers and file names too
 * long for a message are cut. */
#pragma once

#include <moduforge/value.h>

#define MF_POINTER_SIZE 200

struct mf_json_place {
	const char *file; /* borrowed */
	char pointer[MF_POINTER_SIZE];
};

struct mf_json_place mf_json_place_member(const struct mf_json_place *outer, const char *key);
struct mf_json_place mf_json_place_item(const struct mf_json_place *outer, size_t index);
/* MF_ERR_INVALID "FILE: POINTER: ..." */
enum mf_status mf_json_place_error(const struct mf_json_place *place, struct mf_error *error, const char *format, ...) MF_PRINTF(3, 4);
/* MF_ERR_INVALID unless value has this kind: "... must be a string, is a number". */
enum mf_status mf_json_place_expect(const struct mf_json_place *place, const struct mf_value *value, enum mf_value_kind kind, struct mf_error *error);
const char *mf_value_kind_name(enum mf_value_kind kind); /* "an integer" */

/* A copy of a string value without U+0000, at most max bytes, for mf_free; NULL with the error set. */
char *mf_json_place_string(const struct mf_json_place *place, const struct mf_value *value, size_t max, struct mf_error *error);

/* How many bytes of text to show, at most max, without half a UTF-8 sequence at the end: for "%.*s". */
int mf_text_cut(const char *text, size_t max);
