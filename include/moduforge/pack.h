/* moduforge/pack.h - the compact binary form that step types store: MessagePack (msgpack.org
 * specification), written and read with bounds on everything.
 *
 * Written for the encode and decode of a step type, in the plugin of anyone; documents and states use it too.
 *
 * Reader invariants: never reads beyond end; a count is checked against the bytes that are left before
 * anything is allocated for it; nesting is bounded; every failure but MF_ERR_NO_MEMORY is MF_ERR_CORRUPTED
 * and leaves nothing allocated. A decode that has read all it expects checks at == end: bytes that are
 * left over are MF_ERR_CORRUPTED too.
 *
 * Thread: a buffer and a reader belong to one caller. */
#pragma once

#include <moduforge/step.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- writing: appends to an mf_buffer; MF_ERR_NO_MEMORY is the only failure ---- */
MF_API MF_MUST_CHECK enum mf_status mf_pack_array(struct mf_buffer *out, uint32_t count);
MF_API MF_MUST_CHECK enum mf_status mf_pack_map(struct mf_buffer *out, uint32_t count);
MF_API MF_MUST_CHECK enum mf_status mf_pack_uint(struct mf_buffer *out, uint64_t value);
MF_API MF_MUST_CHECK enum mf_status mf_pack_int(struct mf_buffer *out, int64_t value);
MF_API MF_MUST_CHECK enum mf_status mf_pack_nil(struct mf_buffer *out);
MF_API MF_MUST_CHECK enum mf_status mf_pack_str(struct mf_buffer *out, const char *bytes, size_t len);
MF_API MF_MUST_CHECK enum mf_status mf_pack_bin(struct mf_buffer *out, const void *bytes, size_t len);
MF_API MF_MUST_CHECK enum mf_status mf_pack_value(struct mf_buffer *out, const struct mf_value *value);
MF_API MF_MUST_CHECK enum mf_status mf_pack_fragment(struct mf_buffer *out, const struct mf_fragment *fragment);

/* ---- reading ---- */
struct mf_unpack {
	const unsigned char *at, *end;
};
MF_API MF_MUST_CHECK enum mf_status mf_unpack_array(struct mf_unpack *in, uint32_t *out_count);
MF_API MF_MUST_CHECK enum mf_status mf_unpack_map(struct mf_unpack *in, uint32_t *out_count);
MF_API MF_MUST_CHECK enum mf_status mf_unpack_uint(struct mf_unpack *in, uint64_t *out);
MF_API MF_MUST_CHECK enum mf_status mf_unpack_int(struct mf_unpack *in, int64_t *out);
MF_API MF_MUST_CHECK enum mf_status mf_unpack_nil(struct mf_unpack *in, bool *out_was_nil); /* consumes it only if it is nil */
MF_API MF_MUST_CHECK enum mf_status mf_unpack_str(struct mf_unpack *in, const char **out, size_t *out_len); /* borrowed; not yet checked as UTF-8 */
MF_API MF_MUST_CHECK enum mf_status mf_unpack_bin(struct mf_unpack *in, const void **out, size_t *out_len);
MF_API MF_MUST_CHECK enum mf_status mf_unpack_value(struct mf_unpack *in, struct mf_value **out);
MF_API MF_MUST_CHECK enum mf_status mf_unpack_fragment(struct mf_unpack *in, struct mf_fragment **out);

#ifdef __cplusplus
}
#endif
