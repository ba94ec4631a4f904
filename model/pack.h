/* pack.h - documents and whole states in the compact binary form of moduforge/pack.h, for snapshots.
 *
 * Why not msgpack-c: its parser nests at most 32 deep (we need 64) and allocates an object tree
 * that we would only copy.
 *
 * Each is one MessagePack object. The layouts are in pack_doc.c and pack_state.c; the reader
 * invariants of the public header hold here too. */
#pragma once

#include <moduforge/pack.h>
#include <moduforge/transaction.h>

struct mf_tree;
MF_MUST_CHECK enum mf_status mf_pack_members(struct mf_buffer *out, const struct mf_tree *members); /* attributes or marks, as a map */
MF_MUST_CHECK enum mf_status mf_pack_doc(struct mf_buffer *out, const struct mf_doc *doc);
#define MF_PACK_STATE_FORMAT 1 /* the first number in a packed state */
#define MF_PACK_STATE_ITEMS 6
/* Document, LSN, both stacks, step types with versions. MF_ERR_STATE: not committed yet. Else what a type's encode says. */
MF_MUST_CHECK enum mf_status mf_pack_state(struct mf_buffer *out, const struct mf_state *state);

MF_MUST_CHECK enum mf_status mf_unpack_doc(struct mf_unpack *in, struct mf_doc **out);

struct mf_state_reading {
	const struct mf_step_registry *registry; /* NULL: document and LSN only, the stacks are passed over and empty (where their step types are gone) */
	size_t history_limit;
	bool drop_changed; /* an entry whose step type is here in another version ends its stack, instead of the reading */
	size_t dropped;       /* out: entries that were dropped for that; counts on */
};
MF_MUST_CHECK enum mf_status mf_unpack_state_with(struct mf_unpack *in, struct mf_state_reading *how, struct mf_state **out, struct mf_error *error);
/* MF_ERR_UNKNOWN_STEP when the stacks need a type that the registry does not have, or another version of it. */
MF_MUST_CHECK enum mf_status mf_unpack_state(struct mf_unpack *in, const struct mf_step_registry *registry, size_t history_limit, struct mf_state **out, struct mf_error *error);

/* ---- the fields of a state, behind it (pack_fields.c) ---- */
/* Nothing for a state without fields. What a field's encode says. */
MF_MUST_CHECK enum mf_status mf_pack_fields(struct mf_buffer *out, const struct mf_state *state, struct mf_error *error);
/* Whatever a field lacks: */
enum mf_fields_policy {
	MF_FIELDS_COMPLETE, /* is MF_ERR_UNKNOWN_STEP: it is not there, in another version, or its decode does not read it */
	MF_FIELDS_ANEW,     /* makes the field begin anew from the document */
};
/* Into a private state that mf_unpack_state has just made, all that is left of in. A field that registry does not have is
 * passed over; registry NULL: all of them are. What became of them: mf_state_fields_note. */
MF_MUST_CHECK enum mf_status mf_unpack_fields(struct mf_unpack *in, const struct mf_step_registry *registry, enum mf_fields_policy policy, struct mf_state *state,
					      struct mf_error *error);
