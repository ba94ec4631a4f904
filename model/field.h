/* field.h - the values of a state's fields.
 *
 * A state has one set of values, or NULL when its registry has no fields: then nothing here costs anything. An event
 * that changes no value shares the set of the state before it.
 *
 * Invariants
 * 1. A set is immutable once it was given out, and in the order of the keys.
 * 2. A value is freed by its field, once, when no set has it any more. */
#pragma once

#include <stdatomic.h>

#include <moduforge/field.h>

struct mf_field_value; /* a plugin's value with a count of references */

struct mf_field_slot {
	const struct mf_state_field *field;
	struct mf_field_value *value;
};
struct mf_fields {
	atomic_uint ref;
	size_t count;
	struct mf_field_slot slots[];
};

/* ---- one value ---- */
/* Takes value, on failure too. */
MF_MUST_CHECK enum mf_status mf_field_value_new_take(const struct mf_state_field *field, void *value, struct mf_field_value **out);
void mf_field_value_unref(struct mf_field_value *value); /* NULL is fine */
/* Appends to out. */
MF_MUST_CHECK enum mf_status mf_field_encode(const struct mf_state_field *field, const struct mf_field_value *value, struct mf_buffer *out, struct mf_error *error);
/* What init gives for doc. */
MF_MUST_CHECK enum mf_status mf_field_init(const struct mf_state_field *field, const struct mf_doc *doc, struct mf_field_value **out, struct mf_error *error);

/* ---- sets ---- */
/* Room for the registry's fields, their values NULL, to be filled in. *out NULL: it has none. */
MF_MUST_CHECK enum mf_status mf_fields_new(const struct mf_step_registry *registry, struct mf_fields **out);
/* Calls init for every value that is NULL. */
MF_MUST_CHECK enum mf_status mf_fields_fill(struct mf_fields *fields, const struct mf_doc *doc, struct mf_error *error);
struct mf_fields *mf_fields_ref(const struct mf_fields *fields); /* NULL gives NULL */
void mf_fields_unref(struct mf_fields *fields);                  /* NULL is fine */
MF_MUST_CHECK enum mf_status mf_fields_apply(const struct mf_fields *fields, const struct mf_field_change *change, struct mf_fields **out, struct mf_error *error);

/* What became of the fields when a state was unpacked. */
struct mf_fields_note {
	uint32_t begun_anew; /* got the value of init */
	uint32_t dropped;    /* stored, but nothing here brings them */
};
struct mf_fields_note mf_state_fields_note(const struct mf_state *state);

/* XXH3-128 of bytes, as of a document (canonical.c). */
void mf_digest_of_bytes(const void *bytes, size_t len, struct mf_digest *out);
void mf_digest_of_doc(const struct mf_doc *doc, struct mf_digest *out); /* mf_doc_digest without its status: nothing in it can fail */
