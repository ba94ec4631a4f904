#include "stepfactories/step_data.h"

#include <string.h>

enum mf_status step_no_memory(struct mf_error *error)
{
	mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory");
	return MF_ERR_NO_MEMORY; /* the compiler must see that it is not MF_OK */
}

static const struct step_kind *kind_of(const struct mf_step *step)
{
	return (const struct step_kind *)step->type;
}

static uint32_t count_members(const struct step_kind *kind)
{
	uint32_t count = 0;
	while (kind->members[count].name)
		count++;
	return count;
}

enum mf_status step_data_new(const struct step_kind *kind, struct step_data **out, struct mf_error *error)
{
	struct step_data *data = STEP_CALLOC(1, sizeof(*data));
	if (!data)
		return step_no_memory(error);
	mf_step_init(&data->step, &kind->type);
	*out = data;
	return MF_OK;
}

void step_free(struct mf_step *step)
{
	struct step_data *data = (struct step_data *)step;
	for (const struct step_member *member = kind_of(step)->members; member->name; member++)
		member->kind->release(&data->slots[member->slot]);
	STEP_FREE(data);
}

enum mf_status step_register(struct mf_registrar *registrar, const struct step_kind *const *kinds, size_t count, struct mf_error *error)
{
	for (size_t i = 0; i < count; i++) {
		enum mf_status status = mf_register_step_type(registrar, &kinds[i]->type, error);
		if (status != MF_OK)
			return status;
	}
	return MF_OK;
}

/* ---- JSON ---- */

static enum mf_status refuse_strangers(const struct step_kind *kind, const struct mf_value *data, struct mf_error *error)
{
	for (size_t i = 0; i < mf_value_count(data); i++) {
		const char *key;
		size_t key_len;
		mf_value_member(data, i, &key, &key_len);
		const struct step_member *member = kind->members;
		while (member->name && strcmp(member->name, key) != 0)
			member++;
		if (!member->name)
			return mf_error_set(error, MF_ERR_INVALID, "%s: unknown member \"%s\"", kind->type.type_id, key);
	}
	return MF_OK;
}

static enum mf_status parse_member(const struct step_kind *kind, const struct step_member *member, const struct mf_value *value,
				   struct step_data *into, struct mf_error *error)
{
	if (!value && !member->optional)
		return mf_error_set(error, MF_ERR_INVALID, "%s: member \"%s\" is missing", kind->type.type_id, member->name);
	enum mf_status status = member->kind->parse(value, &into->slots[member->slot], error);
	if (status == MF_ERR_NO_MEMORY)
		return step_no_memory(error);
	if (status != MF_OK)
		mf_error_prefix(error, status, "%s: member \"%s\"", kind->type.type_id, member->name);
	return status;
}

static enum mf_status parse_members(const struct step_kind *kind, const struct mf_value *data, struct step_data *into, struct mf_error *error)
{
	for (const struct step_member *member = kind->members; member->name; member++) {
		enum mf_status status = parse_member(kind, member, mf_value_get(data, member->name), into, error);
		if (status != MF_OK)
			return status;
	}
	return kind->check ? kind->check(into, error) : MF_OK;
}

enum mf_status step_from_value(const struct mf_step_type *type, const struct mf_value *data, struct mf_step **out, struct mf_error *error)
{
	const struct step_kind *kind = (const struct step_kind *)type;
	if (mf_value_kind(data) != MF_VALUE_OBJECT)
		return mf_error_set(error, MF_ERR_INVALID, "%s: data must be an object", type->type_id);
	enum mf_status status = refuse_strangers(kind, data, error);
	if (status != MF_OK)
		return status;
	struct step_data *step;
	status = step_data_new(kind, &step, error);
	if (status != MF_OK)
		return status;
	status = parse_members(kind, data, step, error);
	if (status != MF_OK) {
		step_free(&step->step);
		return status;
	}
	*out = &step->step;
	return MF_OK;
}

enum mf_status step_to_value(const struct mf_step *step, struct mf_value **out)
{
	const struct step_data *data = step_data_of(step);
	struct mf_member shown[STEP_SLOTS];
	size_t count = 0;
	for (const struct step_member *member = kind_of(step)->members; member->name; member++) {
		struct mf_value *value = NULL;
		enum mf_status status = member->kind->show(&data->slots[member->slot], &value);
		if (status != MF_OK) {
			while (count > 0)
				mf_value_unref(shown[--count].value);
			return status;
		}
		if (value)
			shown[count++] = (struct mf_member){.key = member->name, .key_len = strlen(member->name), .value = value};
	}
	return mf_value_new_object_take(shown, count, out, NULL);
}

/* ---- stored bytes ---- */

enum mf_status step_encode(const struct mf_step *step, struct mf_buffer *out)
{
	const struct step_data *data = step_data_of(step);
	enum mf_status status = mf_pack_array(out, count_members(kind_of(step)));
	for (const struct step_member *member = kind_of(step)->members; member->name && status == MF_OK; member++)
		status = member->kind->pack(&data->slots[member->slot], out);
	return status;
}

static enum mf_status damaged(const struct step_kind *kind, enum mf_status status, const char *where, struct mf_error *error)
{
	if (status == MF_ERR_NO_MEMORY)
		return step_no_memory(error);
	return mf_error_set(error, MF_ERR_CORRUPTED, "%s: the stored step is damaged (%s)", kind->type.type_id, where);
}

static enum mf_status unpack_members(const struct step_kind *kind, struct mf_unpack *in, struct step_data *into, struct mf_error *error)
{
	uint32_t count;
	enum mf_status status = mf_unpack_array(in, &count);
	if (status != MF_OK || count != count_members(kind))
		return damaged(kind, status, "number of members", error);
	for (const struct step_member *member = kind->members; member->name; member++) {
		status = member->kind->unpack(in, &into->slots[member->slot]);
		if (status != MF_OK)
			return damaged(kind, status, member->name, error);
	}
	if (in->at != in->end)
		return damaged(kind, MF_ERR_CORRUPTED, "bytes left over", error);
	status = kind->check ? kind->check(into, NULL) : MF_OK;
	return status == MF_OK ? MF_OK : damaged(kind, status, "members contradict each other", error);
}

enum mf_status step_decode(const struct mf_step_type *type, const void *bytes, size_t len, struct mf_step **out, struct mf_error *error)
{
	const struct step_kind *kind = (const struct step_kind *)type;
	struct mf_unpack in = {.at = bytes, .end = (const unsigned char *)bytes + len};
	struct step_data *step;
	enum mf_status status = step_data_new(kind, &step, error);
	if (status != MF_OK)
		return status;
	status = unpack_members(kind, &in, step, error);
	if (status != MF_OK) {
		step_free(&step->step);
		return status;
	}
	*out = &step->step;
	return MF_OK;
}
