/* field_registry.c - the state fields of a registry: a short array sorted by the bytes of the key. */
#include <string.h>

#include "model/mem.h"
#include "model/step.h"
#include "model/utf8.h"

static const char *missing_function(const struct mf_state_field *field)
{
	if (!field->init)
		return "init";
	if (!field->apply)
		return "apply";
	if (!field->encode)
		return "encode";
	if (!field->decode)
		return "decode";
	return field->free ? NULL : "free";
}

static enum mf_status check_field(const struct mf_state_field *field, struct mf_error *error)
{
	size_t least = offsetof(struct mf_state_field, free) + sizeof(field->free);
	if (!field || field->size < least)
		return mf_error_set(error, MF_ERR_INVALID, "state field: its description is %zu bytes, at least %zu are needed; rebuild the plugin against this library's headers", field ? field->size : 0, least);
	size_t len = field->key ? strnlen(field->key, MF_TYPE_ID_MAX + 1) : 0;
	if (len == 0 || len > MF_TYPE_ID_MAX || !mf_utf8_valid(field->key, len))
		return mf_error_set(error, MF_ERR_INVALID, "state field: its key must be 1 to %d bytes of UTF-8", MF_TYPE_ID_MAX);
	if (field->oldest_version > field->version)
		return mf_error_set(error, MF_ERR_INVALID, "state field '%s': its oldest_version %lu is above its version %lu", field->key, (unsigned long)field->oldest_version, (unsigned long)field->version);
	const char *missing = missing_function(field);
	if (missing)
		return mf_error_set(error, MF_ERR_INVALID, "state field '%s': its function '%s' is missing", field->key, missing);
	return MF_OK;
}

static enum mf_status make_room(struct mf_step_registry *registry)
{
	if (registry->field_count < registry->field_capacity)
		return MF_OK;
	size_t capacity = registry->field_capacity ? registry->field_capacity * 2 : 4;
	const struct mf_state_field **fields = mf_realloc((void *)registry->fields, capacity * sizeof(*fields));
	if (!fields)
		return MF_ERR_NO_MEMORY;
	registry->fields = fields;
	registry->field_capacity = capacity;
	return MF_OK;
}

/* The first field whose key is not less. */
static size_t position(const struct mf_step_registry *registry, const char *key)
{
	size_t at = 0;
	while (at < registry->field_count && strcmp(registry->fields[at]->key, key) < 0)
		at++;
	return at;
}

enum mf_status mf_step_registry_add_field(struct mf_step_registry *registry, const struct mf_state_field *field, struct mf_error *error)
{
	enum mf_status status = check_field(field, error);
	if (status != MF_OK)
		return status;
	if (registry->frozen)
		return mf_error_set(error, MF_ERR_INVALID, "state field '%s': the registry is frozen; register state fields during init only", field->key);
	size_t at = position(registry, field->key);
	if (at < registry->field_count && strcmp(registry->fields[at]->key, field->key) == 0)
		return mf_error_set(error, MF_ERR_INVALID, "state field '%s' is registered already; remove one of the two plugins that bring it", field->key);
	if (make_room(registry) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "state field '%s': out of memory", field->key);
	memmove((void *)(registry->fields + at + 1), (const void *)(registry->fields + at), (registry->field_count - at) * sizeof(*registry->fields));
	registry->fields[at] = field;
	registry->field_count++;
	return MF_OK;
}

void mf_step_registry_remove_field(struct mf_step_registry *registry, const struct mf_state_field *field)
{
	if (registry->frozen)
		return;
	for (size_t i = 0; i < registry->field_count; i++) {
		if (registry->fields[i] != field)
			continue;
		registry->field_count--;
		memmove((void *)(registry->fields + i), (const void *)(registry->fields + i + 1), (registry->field_count - i) * sizeof(*registry->fields));
		return;
	}
}

size_t mf_step_registry_field_count(const struct mf_step_registry *registry)
{
	return registry->field_count;
}

const struct mf_state_field *mf_step_registry_field(const struct mf_step_registry *registry, size_t index)
{
	return index < registry->field_count ? registry->fields[index] : NULL;
}

const struct mf_state_field *mf_step_registry_find_field(const struct mf_step_registry *registry, const char *key, size_t len)
{
	for (size_t i = 0; i < registry->field_count; i++)
		if (strlen(registry->fields[i]->key) == len && memcmp(registry->fields[i]->key, key, len) == 0)
			return registry->fields[i];
	return NULL;
}
