/* moduforge/field.h - state fields: named values that a plugin keeps beside every document.
 *
 * A field begins with the document (init) and is taken from event to event (apply), live and on replay alike:
 * an index, a counter, a summary that would be dear to compute anew. Its value is part of the state: it goes
 * into snapshots with a digest of its own, and recovery brings it back. The digest of the document does not cover it.
 *
 * Invariants a field keeps
 * 1. init and apply are pure and deterministic: no clock, no I/O, no randomness, no state of their own, no
 *    configuration. Undo and redo are events like any other.
 * 2. A value never changes once it was given out: many states share it. apply makes a new one, or gives the old one again.
 * 3. encode is canonical: equal values give equal bytes, and encode(decode(bytes)) is bytes, which is checked. decode never
 *    trusts its bytes: wrong ones are MF_ERR_CORRUPTED, never a crash.
 *
 * Ownership: the library counts references to a value and calls free once, when no state has it any more. The plugin
 * owns the description, which must outlive every state (plugins are never unmapped).
 * Thread: any, and several at once for different documents. */
#pragma once

#include <moduforge/transaction.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One event. Lives as long as the call. */
struct mf_field_change {
	/* Steps, action, source LSN, id, actor, key and meta are the stored ones, on replay too. What it expected is not stored. */
	const struct mf_transaction *transaction;
	const struct mf_doc *old_doc, *new_doc; /* just before and just after it */
};

/* What a plugin provides. Only appended to; size tells how much the plugin knew. A failing function gives a status and a sentence. */
struct mf_state_field {
	size_t size;             /* sizeof(struct mf_state_field) */
	const char *key;         /* 1 to 255 bytes of UTF-8; static; unique in a registry */
	uint32_t version;        /* of the encoding and the meaning; stored with the value */
	uint32_t oldest_version; /* the oldest one that decode still reads; at most version */
	/* The value of a document that no event has a value for: mostly a new one, the root alone. docs/plugins.md has the other case. */
	enum mf_status (*init)(const struct mf_state_field *field, const struct mf_doc *doc, void **out_value, struct mf_error *error);
	/* The value after one event. *out_value may be old_value: then nothing changed. A failure refuses the transaction;
	 * on replay it ends the recovery (MF_ERR_PLUGIN): an event that was stored must be accepted again. */
	enum mf_status (*apply)(const struct mf_state_field *field, const struct mf_field_change *change, const void *old_value, void **out_value, struct mf_error *error);
	enum mf_status (*encode)(const struct mf_state_field *field, const void *value, struct mf_buffer *out);
	enum mf_status (*decode)(const struct mf_state_field *field, uint32_t version, const void *bytes, size_t len, void **out_value, struct mf_error *error);
	void (*free)(const struct mf_state_field *field, void *value);
};

/* ---- in a registry, beside the step types (step.h) ---- */
/* MF_ERR_INVALID for a key that is taken (the first keeps working), an incomplete description, or after the freeze. */
MF_API MF_MUST_CHECK enum mf_status mf_step_registry_add_field(struct mf_step_registry *registry, const struct mf_state_field *field, struct mf_error *error);
/* Takes back what was added, only before the freeze. */
MF_API void mf_step_registry_remove_field(struct mf_step_registry *registry, const struct mf_state_field *field);
MF_API size_t mf_step_registry_field_count(const struct mf_step_registry *registry);
MF_API const struct mf_state_field *mf_step_registry_field(const struct mf_step_registry *registry, size_t index); /* in the order of the bytes of the key; NULL beyond the end */

/* ---- in a state ---- */
/* mf_state_new, with the registry's fields. What an init says, with the key before it. */
MF_API MF_MUST_CHECK enum mf_status mf_state_new_with_fields(const struct mf_step_registry *registry, size_t history_limit, struct mf_state **out, struct mf_error *error);
/* NULL if the state has no such field. Borrowed from the state; whoever knows the field knows what it points to. */
MF_API const void *mf_state_field_value(const struct mf_state *state, const char *key);
/* XXH3-128 (seed 0, canonical byte order) of the encoded value. MF_ERR_NOT_FOUND: no such field. */
MF_API MF_MUST_CHECK enum mf_status mf_state_field_digest(const struct mf_state *state, const char *key, struct mf_digest *out, struct mf_error *error);

#ifdef __cplusplus
}
#endif
