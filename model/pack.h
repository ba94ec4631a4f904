/* pack.h - the compact binary form of values, fragments, documents and states: MessagePack
 * (msgpack.org specification), written and read with bounds on everything.
 *
 * Why not msgpack-c: its parser nests at most 32 deep (we need 64) and allocates an object tree
 * that we would only copy.
 *
 * Reader invariants: never reads beyond end; a count is checked against the bytes that are left before
 * anything is allocated for it; nesting is bounded; every failure is MF_ERR_CORRUPTED and leaves
 * nothing allocated. */
#pragma once

#include <moduforge/transaction.h>

/* ---- writing: appends to an mf_buffer; MF_ERR_NO_MEMORY is the only failure ---- */
enum mf_status mf_pack_array(struct mf_buffer *out, uint32_t count);
enum mf_status mf_pack_map(struct mf_buffer *out, uint32_t count);
enum mf_status mf_pack_uint(struct mf_buffer *out, uint64_t value);
enum mf_status mf_pack_int(struct mf_buffer *out, int64_t value);
enum mf_status mf_pack_nil(struct mf_buffer *out);
enum mf_status mf_pack_str(struct mf_buffer *out, const char *bytes, size_t len);
enum mf_status mf_pack_bin(struct mf_buffer *out, const void *bytes, size_t len);
enum mf_status mf_pack_value(struct mf_buffer *out, const struct mf_value *value);
enum mf_status mf_pack_fragment(struct mf_buffer *out, const struct mf_fragment *fragment);
enum mf_status mf_pack_doc(struct mf_buffer *out, const struct mf_doc *doc);
enum mf_status mf_pack_state(struct mf_buffer *out, const struct mf_state *state); /* document, LSN, both stacks, step types with versions */

/* ---- reading ---- */
struct mf_unpack {
	const unsigned char *at, *end;
};
enum mf_status mf_unpack_array(struct mf_unpack *in, uint32_t *out_count);
enum mf_status mf_unpack_map(struct mf_unpack *in, uint32_t *out_count);
enum mf_status mf_unpack_uint(struct mf_unpack *in, uint64_t *out);
enum mf_status mf_unpack_int(struct mf_unpack *in, int64_t *out);
enum mf_status mf_unpack_nil(struct mf_unpack *in, bool *out_was_nil); /* consumes it only if it is nil */
enum mf_status mf_unpack_str(struct mf_unpack *in, const char **out, size_t *out_len); /* borrowed; not yet checked as UTF-8 */
enum mf_status mf_unpack_bin(struct mf_unpack *in, const void **out, size_t *out_len);
enum mf_status mf_unpack_value(struct mf_unpack *in, struct mf_value **out);
enum mf_status mf_unpack_fragment(struct mf_unpack *in, struct mf_fragment **out);
enum mf_status mf_unpack_doc(struct mf_unpack *in, struct mf_doc **out);
/* MF_ERR_UNKNOWN_STEP when the stacks need a type that the registry does not have, or another version of it. */
enum mf_status mf_unpack_state(struct mf_unpack *in, const struct mf_step_registry *registry, size_t history_limit, struct mf_state **out, struct mf_error *error);
