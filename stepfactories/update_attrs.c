/* update_attrs.c - the step type update_attrs: {"id", "set": {...}, "unset": [keys]}.
 *
 * The keys to unset are kept as an object, key -> null: so they are sorted, unique, and each in one piece,
 * as apply wants them. The inverse names only what really changed, and shares the old values. */
#include "stepfactories/update_attrs.h"

#include <stdlib.h>
#include <string.h>

enum slots { ID, SET, UNSET };

/* ---- keys ---- */

static int compare_keys(const void *a, const void *b)
{
	const struct mf_member *left = a, *right = b;
	size_t shorter = left->key_len < right->key_len ? left->key_len : right->key_len;
	int order = memcmp(left->key, right->key, shorter);
	if (order != 0)
		return order;
	return (left->key_len > right->key_len) - (left->key_len < right->key_len);
}

/* Naming a key twice asks for the same thing once. */
static size_t sort_unique(struct mf_member *members, size_t count)
{
	qsort(members, count, sizeof(*members), compare_keys);
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || compare_keys(&members[kept - 1], &members[i]) != 0)
			members[kept++] = members[i];
	return kept;
}

static void copy_keys(const struct mf_value *array, struct mf_member *members, char *text)
{
	for (size_t i = 0; i < mf_value_count(array); i++) {
		const struct mf_value *key = mf_value_item(array, i);
		size_t len = mf_value_string_bytes(key);
		mf_value_string_copy(key, 0, len, text);
		members[i] = (struct mf_member){.key = text, .key_len = len, .value = mf_value_null()};
		text += len;
	}
}

static enum mf_status make_keys(const struct mf_value *array, size_t text_len, union step_slot *out, struct mf_error *error)
{
	size_t count = mf_value_count(array);
	struct mf_member *members = STEP_CALLOC(count, sizeof(*members));
	char *text = STEP_CALLOC(1, text_len + 1);
	enum mf_status status;
	if (members && text) {
		copy_keys(array, members, text);
		status = mf_value_new_object_take(members, sort_unique(members, count), &out->value, error);
	} else {
		status = step_no_memory(error);
	}
	STEP_FREE(text);
	STEP_FREE(members);
	return status;
}

static enum mf_status parse_keys(const struct mf_value *value, union step_slot *out, struct mf_error *error)
{
	out->value = NULL;
	if (!value)
		return MF_OK;
	if (mf_value_kind(value) != MF_VALUE_ARRAY)
		return mf_error_set(error, MF_ERR_INVALID, "must be an array of strings");
	size_t text_len = 0;
	for (size_t i = 0; i < mf_value_count(value); i++) {
		if (mf_value_kind(mf_value_item(value, i)) != MF_VALUE_STRING)
			return mf_error_set(error, MF_ERR_INVALID, "must be an array of strings");
		text_len += mf_value_string_bytes(mf_value_item(value, i));
	}
	return mf_value_count(value) > 0 ? make_keys(value, text_len, out, error) : MF_OK;
}

static enum mf_status show_keys(const union step_slot *slot, struct mf_value **out)
{
	if (!slot->value)
		return MF_OK;
	size_t count = mf_value_count(slot->value), made = 0;
	struct mf_value **keys = STEP_CALLOC(count, sizeof(*keys));
	if (!keys)
		return MF_ERR_NO_MEMORY;
	enum mf_status status = MF_OK;
	for (; made < count && status == MF_OK; made++) {
		const char *key;
		size_t len;
		mf_value_member(slot->value, made, &key, &len);
		status = mf_value_new_string(key, len, &keys[made], NULL);
	}
	if (status == MF_OK)
		status = mf_value_new_array_take(keys, count, out, NULL);
	else
		while (made > 0)
			mf_value_unref(keys[--made]); /* the failed one is NULL */
	STEP_FREE(keys);
	return status;
}

static enum mf_status pack_keys(const union step_slot *slot, struct mf_buffer *out)
{
	size_t count = slot->value ? mf_value_count(slot->value) : 0;
	enum mf_status status = count <= UINT32_MAX ? mf_pack_array(out, (uint32_t)count) : MF_ERR_NO_MEMORY;
	for (size_t i = 0; i < count && status == MF_OK; i++) {
		const char *key;
		size_t len;
		mf_value_member(slot->value, i, &key, &len);
		status = mf_pack_str(out, key, len);
	}
	return status;
}

static const struct member_kind member_keys;

static enum mf_status unpack_keys(struct mf_unpack *in, union step_slot *out)
{
	return slot_unpack_as(&member_keys, in, out);
}

static const struct member_kind member_keys = {parse_keys, show_keys, pack_keys, unpack_keys, slot_release_value};


/* ---- the step ---- */

static enum mf_status check_disjoint(const struct step_data *data, struct mf_error *error)
{
	const struct mf_value *set = data->slots[SET].value, *unset = data->slots[UNSET].value;
	for (size_t i = 0; set && unset && i < mf_value_count(unset); i++) {
		const char *key;
		size_t len;
		mf_value_member(unset, i, &key, &len);
		if (mf_value_get(set, key))
			return mf_error_set(error, MF_ERR_INVALID, "update_attrs: key \"%s\" is in both \"set\" and \"unset\"", key);
	}
	return MF_OK;
}

/* What takes the changes back. changes[] has room for one a change: what had an old value
 * fills it from the front, what had none from the back. */
struct undo {
	struct mf_member *changes;
	size_t replaced, added; /* changes[0..replaced), changes[added..room) */
	size_t room;
};

static void note_change(struct undo *undo, struct mf_member change, const struct mf_value *now)
{
	if (!change.value && now) {
		change.value = mf_value_null();
		undo->changes[--undo->added] = change;
	} else if (change.value && !(now && mf_value_equal(change.value, now))) {
		undo->changes[undo->replaced++] = change;
	} else {
		mf_value_unref(change.value);
	}
}

static enum mf_status change_all(const struct step_data *data, const struct mf_value *keys, bool unset, struct mf_edit *edit, struct undo *undo, struct mf_error *error)
{
	size_t id_len;
	const char *id = step_name(&data->slots[ID], &id_len);
	for (size_t i = 0; keys && i < mf_value_count(keys); i++) {
		struct mf_member change = {0};
		const struct mf_value *value = mf_value_member(keys, i, &change.key, &change.key_len);
		if (unset)
			value = NULL;
		enum mf_status status = mf_edit_set_attr(edit, id, id_len, change.key, change.key_len, value, &change.value, error);
		if (status != MF_OK)
			return status;
		note_change(undo, change, value);
	}
	return MF_OK;
}

static enum mf_status object_or_none(struct mf_member *members, size_t count, struct mf_value **out, struct mf_error *error)
{
	return count > 0 ? mf_value_new_object_take(members, count, out, error) : MF_OK;
}

static enum mf_status make_inverse(const struct step_data *data, struct undo *undo, struct step_data *inverse, struct mf_error *error)
{
	inverse->slots[ID].value = mf_value_ref(data->slots[ID].value);
	size_t replaced = undo->replaced;
	undo->replaced = 0; /* taken, whatever happens */
	enum mf_status status = object_or_none(undo->changes, replaced, &inverse->slots[SET].value, error);
	if (status != MF_OK)
		return status;
	return object_or_none(undo->changes + undo->added, undo->room - undo->added, &inverse->slots[UNSET].value, error);
}

static enum mf_status change_and_note(const struct step_data *data, struct mf_edit *edit, struct undo *undo, struct step_data *inverse, struct mf_error *error)
{
	enum mf_status status = change_all(data, data->slots[SET].value, false, edit, undo, error);
	if (status == MF_OK)
		status = change_all(data, data->slots[UNSET].value, true, edit, undo, error);
	if (status == MF_OK)
		status = make_inverse(data, undo, inverse, error);
	while (undo->replaced > 0)
		mf_value_unref(undo->changes[--undo->replaced].value);
	return status;
}

static size_t count_of(const struct mf_value *object)
{
	return object ? mf_value_count(object) : 0;
}

static enum mf_status apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	const struct step_data *data = step_data_of(step);
	size_t id_len;
	const char *id = step_name(&data->slots[ID], &id_len);
	if (!mf_doc_find(mf_edit_doc(edit), id, id_len)) /* also when there is nothing to change */
		return mf_error_set(error, MF_ERR_INVALID, "there is no node \"%s\"", id);
	size_t room = count_of(data->slots[SET].value) + count_of(data->slots[UNSET].value);
	struct undo undo = {.added = room, .room = room, .changes = STEP_CALLOC(room ? room : 1, sizeof(struct mf_member))};
	if (!undo.changes)
		return step_no_memory(error);
	struct step_data *inverse;
	enum mf_status status = step_data_new(&update_attrs, &inverse, error);
	if (status == MF_OK) {
		status = change_and_note(data, edit, &undo, inverse, error);
		if (status == MF_OK)
			*out_inverse = &inverse->step;
		else
			step_free(&inverse->step);
	}
	STEP_FREE(undo.changes);
	return status;
}

static const struct step_member members[] = {
	{"id", &member_name, ID, false},
	{"set", &member_object, SET, true},
	{"unset", &member_keys, UNSET, true},
	{0},
};
const struct step_kind update_attrs = STEP_KIND("update_attrs", 1, members, check_disjoint, apply);
