/* step_members.c - the kinds of members that several step types share: name, index, count, text, object.
 *
 * What comes from stored bytes goes through the same rules as what comes from JSON. */
#include "stepfactories/step_data.h"

#include <string.h>

#define NAME_RULE "must be a string of 1 to 1024 bytes without U+0000"

void slot_release_value(union step_slot *slot)
{
	mf_value_unref(slot->value);
}

enum mf_status slot_show_value(const union step_slot *slot, struct mf_value **out)
{
	*out = mf_value_ref(slot->value);
	return MF_OK;
}

enum mf_status slot_pack_value(const union step_slot *slot, struct mf_buffer *out)
{
	return mf_pack_value(out, slot->value);
}

enum mf_status slot_unpack_as(const struct member_kind *kind, struct mf_unpack *in, union step_slot *out)
{
	struct mf_value *value;
	enum mf_status status = mf_unpack_value(in, &value);
	if (status != MF_OK)
		return status;
	status = kind->parse(value, out, NULL);
	mf_value_unref(value);
	return status;
}

/* ---- name ---- */

static enum mf_status make_name(const char *bytes, size_t len, union step_slot *out, struct mf_error *error)
{
	if (len == 0 || len > MF_ID_MAX || memchr(bytes, '\0', len))
		return mf_error_set(error, MF_ERR_INVALID, NAME_RULE);
	return mf_value_new_string(bytes, len, &out->value, error);
}

enum mf_status slot_parse_name(const struct mf_value *value, union step_slot *out, struct mf_error *error)
{
	if (mf_value_kind(value) != MF_VALUE_STRING || mf_value_string_bytes(value) > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, NAME_RULE);
	/* A short string may still be in several pieces; apply wants one. */
	char bytes[MF_ID_MAX];
	size_t len = mf_value_string_bytes(value);
	mf_value_string_copy(value, 0, len, bytes);
	return make_name(bytes, len, out, error);
}

enum mf_status slot_unpack_name(struct mf_unpack *in, union step_slot *out)
{
	const char *bytes;
	size_t len;
	enum mf_status status = mf_unpack_str(in, &bytes, &len);
	return status == MF_OK ? make_name(bytes, len, out, NULL) : status;
}

const struct member_kind member_name = {slot_parse_name, slot_show_value, slot_pack_value, slot_unpack_name, slot_release_value};

/* ---- index, count ---- */

static void release_number(union step_slot *slot)
{
	(void)slot;
}

static enum mf_status parse_count(const struct mf_value *value, union step_slot *out, struct mf_error *error)
{
	if (mf_value_kind(value) != MF_VALUE_INT || mf_value_as_int(value) < 0 || (uint64_t)mf_value_as_int(value) >= MF_APPEND)
		return mf_error_set(error, MF_ERR_INVALID, "must be an integer, 0 or more");
	out->number = (size_t)mf_value_as_int(value);
	return MF_OK;
}

static enum mf_status show_count(const union step_slot *slot, struct mf_value **out)
{
	return mf_value_new_int((int64_t)slot->number, out);
}

static enum mf_status pack_count(const union step_slot *slot, struct mf_buffer *out)
{
	return mf_pack_uint(out, slot->number);
}

static enum mf_status unpack_count(struct mf_unpack *in, union step_slot *out)
{
	uint64_t number;
	enum mf_status status = mf_unpack_uint(in, &number);
	if (status != MF_OK || number > INT64_MAX || number >= MF_APPEND)
		return status != MF_OK ? status : MF_ERR_CORRUPTED;
	out->number = (size_t)number;
	return MF_OK;
}

const struct member_kind member_count = {parse_count, show_count, pack_count, unpack_count, release_number};

static enum mf_status parse_index(const struct mf_value *value, union step_slot *out, struct mf_error *error)
{
	if (value)
		return parse_count(value, out, error);
	out->number = MF_APPEND;
	return MF_OK;
}

static enum mf_status show_index(const union step_slot *slot, struct mf_value **out)
{
	return slot->number == MF_APPEND ? MF_OK : show_count(slot, out);
}

static enum mf_status pack_index(const union step_slot *slot, struct mf_buffer *out)
{
	return slot->number == MF_APPEND ? mf_pack_nil(out) : pack_count(slot, out);
}

static enum mf_status unpack_index(struct mf_unpack *in, union step_slot *out)
{
	bool append;
	enum mf_status status = mf_unpack_nil(in, &append);
	if (status != MF_OK)
		return status;
	return append ? parse_index(NULL, out, NULL) : unpack_count(in, out);
}

const struct member_kind member_index = {parse_index, show_index, pack_index, unpack_index, release_number};

/* ---- text ---- */

static enum mf_status parse_text(const struct mf_value *value, union step_slot *out, struct mf_error *error)
{
	if (mf_value_kind(value) != MF_VALUE_STRING)
		return mf_error_set(error, MF_ERR_INVALID, "must be a string");
	out->value = mf_value_ref(value);
	return MF_OK;
}

static enum mf_status unpack_text(struct mf_unpack *in, union step_slot *out)
{
	return slot_unpack_as(&member_text, in, out);
}

const struct member_kind member_text = {parse_text, slot_show_value, slot_pack_value, unpack_text, slot_release_value};

/* ---- object ---- */

static enum mf_status parse_object(const struct mf_value *value, union step_slot *out, struct mf_error *error)
{
	if (value && mf_value_kind(value) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "must be an object");
	out->value = value && mf_value_count(value) > 0 ? mf_value_ref(value) : NULL;
	return MF_OK;
}

static enum mf_status show_object(const union step_slot *slot, struct mf_value **out)
{
	return slot->value ? slot_show_value(slot, out) : MF_OK;
}

static enum mf_status pack_object(const union step_slot *slot, struct mf_buffer *out)
{
	return slot->value ? slot_pack_value(slot, out) : mf_pack_map(out, 0);
}

static enum mf_status unpack_object(struct mf_unpack *in, union step_slot *out)
{
	return slot_unpack_as(&member_object, in, out);
}

const struct member_kind member_object = {parse_object, show_object, pack_object, unpack_object, slot_release_value};
