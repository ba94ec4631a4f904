/* step.h - the registry from the inside: what step.c (step types) and field_registry.c (state fields) keep in it. */
#pragma once

#include <moduforge/field.h>

#define MF_TYPE_ID_MAX 255 /* bytes of a type_id, and of a field's key */

struct mf_step_item {
	const struct mf_step_type *type;
	size_t id_len;
};

/* Invariants
 * 1. items[0..count) is sorted by type_id, fields[0..field_count) by key; neither holds one twice.
 * 2. Every type and field in it is complete: all functions are there.
 * 3. A frozen registry never changes, so readers need no lock. */
struct mf_step_registry {
	struct mf_step_item *items;
	size_t count, capacity;
	const struct mf_state_field **fields;
	size_t field_count, field_capacity;
	bool frozen;
};

/* NULL if unknown. */
const struct mf_state_field *mf_step_registry_find_field(const struct mf_step_registry *registry, const char *key, size_t len);
