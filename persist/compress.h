/* compress.h - zstd, seen by nobody else. Contexts are reused: one pair a thread, given back when the thread ends;
 * a context that has grown large (a high level, a big document) is not kept.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <moduforge/status.h>

/* One frame that carries its raw length. *out_len 0: it would not fit into capacity. MF_ERR_NO_MEMORY. */
enum mf_status mf_compress(int level, const void *in, size_t len, void *out, size_t capacity, size_t *out_len);
/* Does this look like one of our frames with this raw length? To be asked before memory is taken for it. */
bool mf_compressed_is(const void *in, size_t len, uint64_t raw_len);
/* Exactly raw_len bytes, never more. MF_ERR_CORRUPTED; MF_ERR_NO_MEMORY. */
enum mf_status mf_decompress(const void *in, size_t len, void *out, size_t raw_len);
