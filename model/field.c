#include "model/field.h"

#include <string.h>

#include "model/mem.h"
#include "model/state.h"

struct mf_field_value {
	atomic_uint ref;
	const struct mf_state_field *field;
	void *value;
};

/* ---- one value ---- */
enum mf_status mf_field_value_new_take(const struct mf_state_field *field, void *value, struct mf_field_value **out)
{
	struct mf_field_value *box = mf_malloc(sizeof(*box));
	if (!box) {
		field->free(field, value);
		return MF_ERR_NO_MEMORY;
	}
	atomic_init(&box->ref, 1);
	box->field = field;
	box->value = value;
	*out = box;
	return MF_OK;
}

static struct mf_field_value *value_ref(struct mf_field_value *value)
{
	atomic_fetch_add_explicit(&value->ref, 1, memory_order_relaxed);
	return value;
}

void mf_field_value_unref(struct mf_field_value *value)
{
	if (!value || atomic_fetch_sub_explicit(&value->ref, 1, memory_order_acq_rel) != 1)
		return;
	value->field->free(value->field, value->value);
	mf_free(value);
}

/* What a function of the plugin said, with the field's key before it. */
static enum mf_status complain(const struct mf_state_field *field, const char *function, enum mf_status status, const struct mf_error *reason, struct mf_error *error)
{
	if (strcmp(mf_status_name(status), "MF_ERR_UNKNOWN") == 0)
		return mf_error_set(error, MF_ERR_PLUGIN, "state field '%s': its %s returned %d, which is no status", field->key, function, (int)status);
	return mf_error_set(error, status, "state field '%s': %.350s", field->key, reason->message[0] ? reason->message : mf_status_name(status));
}

static enum mf_status no_value(const struct mf_state_field *field, const char *function, struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_PLUGIN, "state field '%s': its %s gave no value", field->key, function);
}

static enum mf_status no_memory(const struct mf_state_field *field, struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_NO_MEMORY, "state field '%s': out of memory", field->key);
}

enum mf_status mf_field_init(const struct mf_state_field *field, const struct mf_doc *doc, struct mf_field_value **out, struct mf_error *error)
{
	struct mf_error reason;
	mf_error_clear(&reason);
	void *value = NULL;
	enum mf_status status = field->init(field, doc, &value, &reason);
	if (status != MF_OK)
		return complain(field, "init", status, &reason, error);
	if (!value)
		return no_value(field, "init", error);
	return mf_field_value_new_take(field, value, out) == MF_OK ? MF_OK : no_memory(field, error);
}

enum mf_status mf_field_encode(const struct mf_state_field *field, const struct mf_field_value *value, struct mf_buffer *out, struct mf_error *error)
{
	struct mf_error none;
	mf_error_clear(&none);
	enum mf_status status = field->encode(field, value->value, out);
	return status == MF_OK ? MF_OK : complain(field, "encode", status, &none, error);
}

/* ---- sets ---- */
static struct mf_fields *set_new(size_t count)
{
	struct mf_fields *fields = mf_calloc(1, sizeof(*fields) + count * sizeof(fields->slots[0]));
	if (!fields)
		return NULL;
	atomic_init(&fields->ref, 1);
	fields->count = count;
	return fields;
}

enum mf_status mf_fields_new(const struct mf_step_registry *registry, struct mf_fields **out)
{
	size_t count = mf_step_registry_field_count(registry);
	struct mf_fields *fields = count ? set_new(count) : NULL;
	if (count && !fields)
		return MF_ERR_NO_MEMORY;
	for (size_t i = 0; i < count; i++)
		fields->slots[i].field = mf_step_registry_field(registry, i);
	*out = fields;
	return MF_OK;
}

enum mf_status mf_fields_fill(struct mf_fields *fields, const struct mf_doc *doc, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	for (size_t i = 0; status == MF_OK && i < fields->count; i++)
		if (!fields->slots[i].value)
			status = mf_field_init(fields->slots[i].field, doc, &fields->slots[i].value, error);
	return status;
}

struct mf_fields *mf_fields_ref(const struct mf_fields *fields)
{
	struct mf_fields *shared = (struct mf_fields *)fields;
	if (shared)
		atomic_fetch_add_explicit(&shared->ref, 1, memory_order_relaxed);
	return shared;
}

void mf_fields_unref(struct mf_fields *fields)
{
	if (!fields || atomic_fetch_sub_explicit(&fields->ref, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < fields->count; i++)
		mf_field_value_unref(fields->slots[i].value);
	mf_free(fields);
}

static enum mf_status apply_slot(const struct mf_field_slot *slot, const struct mf_field_change *change, struct mf_field_value **out, struct mf_error *error)
{
	struct mf_error reason;
	mf_error_clear(&reason);
	const struct mf_state_field *field = slot->field;
	void *value = NULL;
	enum mf_status status = field->apply(field, change, slot->value->value, &value, &reason);
	if (status != MF_OK)
		return complain(field, "apply", status, &reason, error);
	if (!value)
		return no_value(field, "apply", error);
	if (value == slot->value->value) {
		*out = value_ref(slot->value);
		return MF_OK;
	}
	return mf_field_value_new_take(field, value, out) == MF_OK ? MF_OK : no_memory(field, error);
}

static bool same_values(const struct mf_fields *a, const struct mf_fields *b)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->slots[i].value != b->slots[i].value)
			return false;
	return true;
}

enum mf_status mf_fields_apply(const struct mf_fields *fields, const struct mf_field_change *change, struct mf_fields **out, struct mf_error *error)
{
	struct mf_fields *next = set_new(fields->count);
	if (!next)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for the state fields");
	enum mf_status status = MF_OK;
	for (size_t i = 0; status == MF_OK && i < fields->count; i++) {
		next->slots[i].field = fields->slots[i].field;
		status = apply_slot(&fields->slots[i], change, &next->slots[i].value, error);
	}
	if (status == MF_OK && !same_values(fields, next)) {
		*out = next;
		return MF_OK;
	}
	mf_fields_unref(next);
	if (status == MF_OK)
		*out = mf_fields_ref(fields);
	return status;
}

/* ---- of a state ---- */
enum mf_status mf_state_new_with_fields(const struct mf_step_registry *registry, size_t history_limit, struct mf_state **out, struct mf_error *error)
{
	struct mf_state *state;
	enum mf_status status = mf_state_new(history_limit, &state);
	if (status == MF_OK)
		status = mf_fields_new(registry, &state->fields);
	else
		state = NULL;
	if (status != MF_OK)
		mf_error_set(error, status, "no memory for a new state");
	else if (state->fields)
		status = mf_fields_fill(state->fields, state->doc, error);
	if (status == MF_OK)
		*out = state;
	else
		mf_state_unref(state);
	return status;
}

static const struct mf_field_slot *find_slot(const struct mf_state *state, const char *key)
{
	for (size_t i = 0; state->fields && i < state->fields->count; i++)
		if (strcmp(state->fields->slots[i].field->key, key) == 0)
			return &state->fields->slots[i];
	return NULL;
}

const void *mf_state_field_value(const struct mf_state *state, const char *key)
{
	const struct mf_field_slot *slot = find_slot(state, key);
	return slot ? slot->value->value : NULL;
}

enum mf_status mf_state_field_digest(const struct mf_state *state, const char *key, struct mf_digest *out, struct mf_error *error)
{
	const struct mf_field_slot *slot = find_slot(state, key);
	struct mf_buffer bytes = {0};
	if (!slot)
		return mf_error_set(error, MF_ERR_NOT_FOUND, "there is no state field '%.255s'", key);
	enum mf_status status = mf_field_encode(slot->field, slot->value, &bytes, error);
	if (status == MF_OK)
		mf_digest_of_bytes(bytes.bytes, bytes.len, out);
	mf_buffer_deinit(&bytes);
	return status;
}
