/* step.c - reference counts of steps, and the registry of their types.
 *
 * The registry is an array sorted by the bytes of type_id: a few dozen types at most, looked up
 * once a step, so a binary search over one small block beats anything that hashes. */
#include "model/step.h"

#include <string.h>

#include "model/mem.h"
#include "model/node.h"
#include "model/utf8.h"

/* ---- steps ---- */
void mf_step_init(struct mf_step *step, const struct mf_step_type *type)
{
	step->type = type;
	__atomic_store_n(&step->ref, 1, __ATOMIC_RELAXED);
}

struct mf_step *mf_step_ref(const struct mf_step *step)
{
	struct mf_step *shared = (struct mf_step *)step;
	__atomic_fetch_add(&shared->ref, 1, __ATOMIC_RELAXED);
	return shared;
}

void mf_step_unref(struct mf_step *step)
{
	if (step && __atomic_fetch_sub(&step->ref, 1, __ATOMIC_ACQ_REL) == 1)
		step->type->free(step);
}

/* ---- registry ---- */
enum mf_status mf_step_registry_new(struct mf_step_registry **out)
{
	struct mf_step_registry *registry = mf_calloc(1, sizeof(*registry));
	if (!registry)
		return MF_ERR_NO_MEMORY;
	*out = registry;
	return MF_OK;
}

void mf_step_registry_free(struct mf_step_registry *registry)
{
	if (!registry)
		return;
	mf_free(registry->items);
	mf_free((void *)registry->fields);
	mf_free(registry);
}

static int compare(const struct mf_step_item *item, const char *id, size_t len)
{
	size_t common = item->id_len < len ? item->id_len : len;
	int order = memcmp(item->type->type_id, id, common);
	if (order != 0)
		return order;
	return (item->id_len > len) - (item->id_len < len);
}

/* The first item not less than id; *out_found: it is id itself. */
static size_t position(const struct mf_step_registry *registry, const char *id, size_t len, bool *out_found)
{
	size_t low = 0, high = registry->count;
	*out_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(&registry->items[middle], id, len);
		if (order < 0) {
			low = middle + 1;
			continue;
		}
		high = middle;
		*out_found |= order == 0;
	}
	return low;
}

static const char *missing_function(const struct mf_step_type *type)
{
	if (!type->from_value)
		return "from_value";
	if (!type->to_value)
		return "to_value";
	if (!type->encode)
		return "encode";
	if (!type->decode)
		return "decode";
	if (!type->apply)
		return "apply";
	return type->free ? NULL : "free";
}

static enum mf_status check_type(const struct mf_step_type *type, struct mf_error *error)
{
	size_t least = offsetof(struct mf_step_type, free) + sizeof(type->free);
	if (!type || type->size < least)
		return mf_error_set(error, MF_ERR_INVALID, "step type: its description is %zu bytes, at least %zu are needed; rebuild the plugin against this library's headers", type ? type->size : 0, least);
	size_t len = type->type_id ? strnlen(type->type_id, MF_TYPE_ID_MAX + 1) : 0;
	if (len == 0 || len > MF_TYPE_ID_MAX || !mf_utf8_valid(type->type_id, len))
		return mf_error_set(error, MF_ERR_INVALID, "step type: its type_id must be 1 to %d bytes of UTF-8", MF_TYPE_ID_MAX);
	const char *missing = missing_function(type);
	if (missing)
		return mf_error_set(error, MF_ERR_INVALID, "step type '%s': its function '%s' is missing", type->type_id, missing);
	return MF_OK;
}

static enum mf_status make_room(struct mf_step_registry *registry)
{
	if (registry->count < registry->capacity)
		return MF_OK;
	size_t capacity = registry->capacity ? registry->capacity * 2 : 16;
	struct mf_step_item *items = mf_realloc(registry->items, capacity * sizeof(*items));
	if (!items)
		return MF_ERR_NO_MEMORY;
	registry->items = items;
	registry->capacity = capacity;
	return MF_OK;
}

enum mf_status mf_step_registry_add(struct mf_step_registry *registry, const struct mf_step_type *type, struct mf_error *error)
{
	enum mf_status status = check_type(type, error);
	if (status != MF_OK)
		return status;
	if (registry->frozen)
		return mf_error_set(error, MF_ERR_INVALID, "step type '%s': the registry is frozen; register step types during init only", type->type_id);
	size_t len = strlen(type->type_id);
	bool found;
	size_t at = position(registry, type->type_id, len, &found);
	if (found)
		return mf_error_set(error, MF_ERR_INVALID, "step type '%s' is registered already; remove one of the two plugins that bring it", type->type_id);
	if (make_room(registry) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "step type '%s': out of memory", type->type_id);

	memmove(registry->items + at + 1, registry->items + at, (registry->count - at) * sizeof(*registry->items));
	registry->items[at] = (struct mf_step_item){.type = type, .id_len = len};
	registry->count++;
	return MF_OK;
}

void mf_step_registry_remove(struct mf_step_registry *registry, const struct mf_step_type *type)
{
	if (registry->frozen)
		return;
	for (size_t i = 0; i < registry->count; i++) {
		if (registry->items[i].type != type)
			continue;
		registry->count--;
		memmove(registry->items + i, registry->items + i + 1, (registry->count - i) * sizeof(*registry->items));
		return;
	}
}

void mf_step_registry_freeze(struct mf_step_registry *registry)
{
	registry->frozen = true;
}

const struct mf_step_type *mf_step_registry_find(const struct mf_step_registry *registry, const char *type_id, size_t len)
{
	bool found;
	size_t at = position(registry, type_id, len, &found);
	return found ? registry->items[at].type : NULL;
}

size_t mf_step_registry_count(const struct mf_step_registry *registry)
{
	return registry->count;
}

const struct mf_step_type *mf_step_registry_item(const struct mf_step_registry *registry, size_t index)
{
	return index < registry->count ? registry->items[index].type : NULL;
}

enum mf_status mf_step_registry_create(const struct mf_step_registry *registry, const char *type_id, size_t type_id_len,
				       const struct mf_value *data, struct mf_step **out, struct mf_error *error)
{
	const struct mf_step_type *type = mf_step_registry_find(registry, type_id, type_id_len);
	if (!type)
		return mf_error_set(error, MF_ERR_UNKNOWN_STEP, "no step factory for type_id '%.*s'; load the plugin that brings it", MF_SHOW(type_id, type_id_len));
	struct mf_step *step = NULL;
	struct mf_error reason;
	mf_error_clear(&reason);
	enum mf_status status = type->from_value(type, data, &step, &reason);
	if (status != MF_OK && !reason.message[0])
		return mf_error_set(error, status, "step type '%.100s' failed with %s and gave no reason", type->type_id, mf_status_name(status));
	if (status != MF_OK) {
		if (error)
			*error = reason;
		return status;
	}
	if (!step)
		return mf_error_set(error, MF_ERR_PLUGIN, "step type '%s': from_value made no step", type->type_id);
	*out = step;
	return MF_OK;
}
