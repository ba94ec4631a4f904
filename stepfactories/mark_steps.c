/* mark_steps.c - the plugin that brings add_mark and remove_mark.
 *
 * A node has at most one mark of a type: add_mark replaces it, and its inverse brings the old one back.
 * Removing a mark that is not there changes nothing, and so does the inverse of that. */
#include "stepfactories/step_data.h"

#include <string.h>

enum slots { ID, TYPE, ATTRS }; /* a mark takes two: TYPE and the one after it */

/* ---- mark: slot 0 is its type, slot 1 its attributes ---- */

static enum mf_status empty_object(struct mf_value **out)
{
	struct mf_member none;
	return mf_value_new_object_take(&none, 0, out, NULL);
}

static enum mf_status parse_mark_attrs(const struct mf_value *value, union step_slot *out, struct mf_error *error)
{
	if (!value)
		return empty_object(&out->value) == MF_OK ? MF_OK : step_no_memory(error);
	if (mf_value_kind(value) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "\"attrs\" must be an object");
	out->value = mf_value_ref(value);
	return MF_OK;
}

static enum mf_status parse_mark(const struct mf_value *value, union step_slot *out, struct mf_error *error)
{
	if (mf_value_kind(value) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "must be an object");
	for (size_t i = 0; i < mf_value_count(value); i++) {
		const char *key;
		mf_value_member(value, i, &key, NULL);
		if (strcmp(key, "type") != 0 && strcmp(key, "attrs") != 0)
			return mf_error_set(error, MF_ERR_INVALID, "unknown member \"%s\"", key);
	}
	const struct mf_value *type = mf_value_get(value, "type");
	if (!type)
		return mf_error_set(error, MF_ERR_INVALID, "member \"type\" is missing");
	enum mf_status status = slot_parse_name(type, &out[0], error);
	if (status != MF_OK) {
		mf_error_prefix(error, status, "\"type\"");
		return status;
	}
	return parse_mark_attrs(mf_value_get(value, "attrs"), &out[1], error);
}

static enum mf_status show_mark(const union step_slot *slot, struct mf_value **out)
{
	struct mf_member members[] = {
		{.key = "type", .key_len = 4, .value = mf_value_ref(slot[0].value)},
		{.key = "attrs", .key_len = 5, .value = mf_value_ref(slot[1].value)},
	};
	return mf_value_new_object_take(members, 2, out, NULL);
}

static enum mf_status pack_mark(const union step_slot *slot, struct mf_buffer *out)
{
	enum mf_status status = mf_pack_array(out, 2);
	if (status == MF_OK)
		status = slot_pack_value(&slot[0], out);
	return status == MF_OK ? slot_pack_value(&slot[1], out) : status;
}

static enum mf_status unpack_mark(struct mf_unpack *in, union step_slot *out)
{
	uint32_t count;
	enum mf_status status = mf_unpack_array(in, &count);
	if (status != MF_OK || count != 2)
		return status != MF_OK ? status : MF_ERR_CORRUPTED;
	status = slot_unpack_name(in, &out[0]);
	if (status != MF_OK)
		return status;
	status = mf_unpack_value(in, &out[1].value);
	if (status != MF_OK)
		return status;
	return mf_value_kind(out[1].value) == MF_VALUE_OBJECT ? MF_OK : MF_ERR_CORRUPTED;
}

static void release_mark(union step_slot *slot)
{
	slot_release_value(&slot[0]);
	slot_release_value(&slot[1]);
}

static const struct member_kind member_mark = {parse_mark, show_mark, pack_mark, unpack_mark, release_mark};

/* ---- the steps ---- */

static const struct step_kind add_mark, remove_mark;

/* old: the mark as it was, or NULL; taken. */
static enum mf_status make_inverse(const struct step_data *data, struct mf_value *old, struct mf_step **out, struct mf_error *error)
{
	struct step_data *inverse;
	enum mf_status status = step_data_new(old ? &add_mark : &remove_mark, &inverse, error);
	if (status != MF_OK) {
		mf_value_unref(old);
		return status;
	}
	inverse->slots[ID].value = mf_value_ref(data->slots[ID].value);
	inverse->slots[TYPE].value = mf_value_ref(data->slots[TYPE].value);
	inverse->slots[ATTRS].value = old;
	*out = &inverse->step;
	return MF_OK;
}

/* Both steps: remove_mark has no attributes, which is how an edit is told to remove. */
static enum mf_status apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	const struct step_data *data = step_data_of(step);
	size_t id_len, type_len;
	const char *id = step_name(&data->slots[ID], &id_len);
	const char *type = step_name(&data->slots[TYPE], &type_len);
	struct mf_value *old = NULL;
	enum mf_status status = mf_edit_set_mark(edit, id, id_len, type, type_len, data->slots[ATTRS].value, &old, error);
	return status == MF_OK ? make_inverse(data, old, out_inverse, error) : status;
}

/* ---- the plugin ---- */

static const struct step_member add_members[] = {
	{"id", &member_name, ID, false},
	{"mark", &member_mark, TYPE, false},
	{0},
};
static const struct step_member remove_members[] = {
	{"id", &member_name, ID, false},
	{"type", &member_name, TYPE, false},
	{0},
};
static const struct step_kind add_mark = STEP_KIND("add_mark", 1, add_members, NULL, apply);
static const struct step_kind remove_mark = STEP_KIND("remove_mark", 1, remove_members, NULL, apply);

static const struct step_kind *const kinds[] = {&add_mark, &remove_mark};

static enum mf_status init(void *instance, struct mf_registrar *registrar, struct mf_error *error)
{
	(void)instance;
	return step_register(registrar, kinds, sizeof(kinds) / sizeof(kinds[0]), error);
}

static const struct mf_plugin plugin = STEP_PLUGIN("mark_steps", "Steps on marks: add_mark, remove_mark.", init);

MF_PLUGIN_EXPORT const struct mf_plugin *moduforge_plugin(void)
{
	return &plugin;
}
