/* moduforge/step.h - steps: typed changes to a document, and the registry of their types.
 *
 * A step is one immutable change: {type_id, data}. Its type, usually brought by
 * a step-factory plugin, knows how to make it from JSON data or from its stored
 * bytes, how to apply it, and what its exact inverse is.
 *
 * Invariants a step type keeps
 * 1. apply is pure and deterministic: no clock, no I/O, no randomness, no state of its own.
 * 2. apply then the inverse restores the digest, order of children included.
 * 3. decode(encode(step)) is the same step; decode never trusts its bytes:
 *    wrong ones are MF_ERR_CORRUPTED, never a crash.
 *
 * Ownership: steps are reference counted; the registry keeps the types, which
 * the plugin owns and which must outlive every step (plugins are never unmapped).
 * Thread: steps may be used by any thread. A registry is filled by one thread,
 * frozen, and from then on read by any. */
#pragma once

#include <moduforge/doc.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_step;
struct mf_step_type;
struct mf_step_registry;

/* A growing byte buffer for encode. The caller zero-initialises it and gives bytes to mf_free. */
struct mf_buffer {
	unsigned char *bytes;
	size_t len, capacity;
};
MF_API MF_MUST_CHECK enum mf_status mf_buffer_append(struct mf_buffer *buffer, const void *bytes, size_t len);
MF_API void mf_buffer_deinit(struct mf_buffer *buffer);

/* What a step factory provides. Only appended to; size tells how much the plugin knew. */
struct mf_step_type {
	size_t size;          /* sizeof(struct mf_step_type) */
	const char *type_id;  /* 1 to 255 bytes; static */
	uint32_t version;     /* of the encoding and the meaning; stored with snapshots */
	/* From the JSON form (an object). MF_ERR_INVALID with a sentence that names the member. */
	enum mf_status (*from_value)(const struct mf_step_type *type, const struct mf_value *data, struct mf_step **out, struct mf_error *error);
	enum mf_status (*to_value)(const struct mf_step *step, struct mf_value **out);
	/* The stored form. */
	enum mf_status (*encode)(const struct mf_step *step, struct mf_buffer *out);
	enum mf_status (*decode)(const struct mf_step_type *type, const void *bytes, size_t len, struct mf_step **out, struct mf_error *error);
	/* Change the edit; give the inverse (out_inverse is never NULL). On failure the edit may be
	 * half-changed: the caller drops it. */
	enum mf_status (*apply)(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error);
	void (*free)(struct mf_step *step); /* releases what the type put into its step, then the memory it allocated */
};

/* A type's own step begins with this. ref starts at 1 (mf_step_init). */
struct mf_step {
	const struct mf_step_type *type;
	uint32_t ref; /* only through mf_step_ref and mf_step_unref */
};
MF_API void mf_step_init(struct mf_step *step, const struct mf_step_type *type);
MF_API struct mf_step *mf_step_ref(const struct mf_step *step);
MF_API void mf_step_unref(struct mf_step *step); /* NULL is fine */

/* ---- registry: of step types, and of state fields (field.h) ---- */
MF_API MF_MUST_CHECK enum mf_status mf_step_registry_new(struct mf_step_registry **out);
MF_API void mf_step_registry_free(struct mf_step_registry *registry);
/* MF_ERR_INVALID for a type_id that is taken (the first keeps working), an incomplete type, or after the freeze. */
MF_API MF_MUST_CHECK enum mf_status mf_step_registry_add(struct mf_step_registry *registry, const struct mf_step_type *type, struct mf_error *error);
/* Takes back what was added, only before the freeze (a plugin whose init failed). */
MF_API void mf_step_registry_remove(struct mf_step_registry *registry, const struct mf_step_type *type);
MF_API void mf_step_registry_freeze(struct mf_step_registry *registry);
MF_API const struct mf_step_type *mf_step_registry_find(const struct mf_step_registry *registry, const char *type_id, size_t len); /* NULL if unknown */
MF_API size_t mf_step_registry_count(const struct mf_step_registry *registry);
MF_API const struct mf_step_type *mf_step_registry_item(const struct mf_step_registry *registry, size_t index);
/* MF_ERR_UNKNOWN_STEP, or what from_value says. */
MF_API MF_MUST_CHECK enum mf_status mf_step_registry_create(const struct mf_step_registry *registry, const char *type_id, size_t type_id_len,
							    const struct mf_value *data, struct mf_step **out, struct mf_error *error);

#ifdef __cplusplus
}
#endif
