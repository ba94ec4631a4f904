/* pack.h - documents and whole states in the compact binary form of moduforge/pack.h, for snapshots.
 *
 * Why not msgpack-c: its parser nests at most 32 deep (we need 64) and allocates an object tree
 * that we would only copy.
 *
 * The reader invariants of the public header hold here too. */
#pragma once

#include <moduforge/pack.h>
#include <moduforge/transaction.h>

enum mf_status mf_pack_doc(struct mf_buffer *out, const struct mf_doc *doc);
enum mf_status mf_pack_state(struct mf_buffer *out, const struct mf_state *state); /* document, LSN, both stacks, step types with versions */

enum mf_status mf_unpack_doc(struct mf_unpack *in, struct mf_doc **out);
/* MF_ERR_UNKNOWN_STEP when the stacks need a type that the registry does not have, or another version of it. */
enum mf_status mf_unpack_state(struct mf_unpack *in, const struct mf_step_registry *registry, size_t history_limit, struct mf_state **out, struct mf_error *error);
