#include "tests/model/second_opinion.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

static bool same_string(const struct mf_value *ours, const json_t *theirs)
{
	size_t len = json_string_length(theirs), at = 0;
	const char *bytes = json_string_value(theirs);
	char part[256];
	if (mf_value_string_bytes(ours) != len)
		return false;
	for (; at < len; at += sizeof(part)) {
		size_t part_len = len - at < sizeof(part) ? len - at : sizeof(part);
		mf_value_string_copy(ours, at, part_len, part);
		if (memcmp(part, bytes + at, part_len) != 0)
			return false;
	}
	return true;
}

/* Bit by bit, but for the sign of zero, which ours has not. */
static bool same_real(double ours, double theirs)
{
	uint64_t bits, wanted;
	theirs = theirs == 0 ? 0.0 : theirs;
	memcpy(&bits, &ours, sizeof(bits));
	memcpy(&wanted, &theirs, sizeof(wanted));
	return bits == wanted;
}

static bool same(const struct mf_value *ours, const json_t *theirs);

static bool same_members(const struct mf_value *ours, json_t *theirs)
{
	const char *key;
	json_t *value;
	if (mf_value_kind(ours) != MF_VALUE_OBJECT || mf_value_count(ours) != json_object_size(theirs))
		return false;
	json_object_foreach(theirs, key, value) {
		const struct mf_value *member = mf_value_get(ours, key);
		if (!member || !same(member, value))
			return false;
	}
	return true;
}

static bool same_items(const struct mf_value *ours, const json_t *theirs)
{
	if (mf_value_kind(ours) != MF_VALUE_ARRAY || mf_value_count(ours) != json_array_size(theirs))
		return false;
	for (size_t i = 0; i < mf_value_count(ours); i++)
		if (!same(mf_value_item(ours, i), json_array_get(theirs, i)))
			return false;
	return true;
}

static bool same(const struct mf_value *ours, const json_t *theirs)
{
	enum mf_value_kind kind = mf_value_kind(ours);
	switch (json_typeof(theirs)) {
	case JSON_OBJECT: return same_members(ours, (json_t *)(uintptr_t)theirs);
	case JSON_ARRAY: return same_items(ours, theirs);
	case JSON_STRING: return kind == MF_VALUE_STRING && same_string(ours, theirs);
	case JSON_INTEGER: return kind == MF_VALUE_INT && mf_value_as_int(ours) == json_integer_value(theirs);
	case JSON_REAL: return kind == MF_VALUE_DOUBLE && same_real(mf_value_as_double(ours), json_real_value(theirs));
	case JSON_TRUE: return ours == mf_value_bool(true);
	case JSON_FALSE: return ours == mf_value_bool(false);
	default: return ours == mf_value_null();
	}
}

static bool is_too_deep(json_t *json, size_t depth)
{
	size_t index;
	const char *key;
	json_t *value;
	if (depth > MF_NESTING_MAX)
		return true;
	json_array_foreach(json, index, value)
		if (is_too_deep(value, depth + 1))
			return true;
	json_object_foreach(json, key, value)
		if (is_too_deep(value, depth + 1))
			return true;
	return false;
}

static const char *compare(const struct mf_value *ours, json_t *theirs, bool has_nul)
{
	bool refused = !theirs || has_nul || is_too_deep(theirs, 1);
	if (refused || !ours)
		return refused && !ours ? NULL : ours ? "taken, and should be refused" : "refused, and should be taken";
	return same(ours, theirs) ? NULL : "taken for another value";
}

const char *second_opinion(const char *text, size_t len, struct mf_value **out)
{
	*out = NULL;
	enum mf_status status = mf_value_parse_json(text, len, out, NULL);
	if (status != MF_OK && status != MF_ERR_INVALID)
		return mf_status_name(status);
	json_t *theirs = json_loadb(len > 0 ? text : "", len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	const char *difference = compare(*out, theirs, len > 0 && memchr(text, '\0', len));
	json_decref(theirs);
	return difference;
}
