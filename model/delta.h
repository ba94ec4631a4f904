/* delta.h - what changed from one state of a document to a later one, packed; and a base state with such changes
 * applied to it.
 *
 * The document is immutable and versions share what did not change, so the difference is found by comparing
 * pointers (seq_diff.c): O(changes * log n), whatever the size of the document. The stacks share their entries too.
 *
 * A patch takes any number of differences, oldest first, and builds the resulting document once, at the end: O(n),
 * as reading a packed state is. The layout is in pack_delta.c.
 *
 * Invariants of the reader
 * 1. Bytes are never trusted: every failure is MF_ERR_CORRUPTED (MF_ERR_NO_MEMORY, MF_ERR_UNKNOWN_STEP) and leaves nothing behind.
 * 2. What comes out is a document with all its invariants, since it is built node by node as one that is read
 *    from outside; whether it is the right one, its digest tells.
 *
 * Thread: one a patch; states may be shared. */
#pragma once

#include "model/pack.h"

#define MF_PACK_DELTA_FORMAT 1 /* the first number in a packed difference */
#define MF_PACK_DELTA_ITEMS 7
/* Both are committed, base is the older one of the same document, and state was made from it by transactions.
 * *out_fits false: more than max_len bytes would be needed, and what out got is of no use. Else as mf_pack_state. */
MF_MUST_CHECK enum mf_status mf_pack_delta(struct mf_buffer *out, const struct mf_state *base, const struct mf_state *state, size_t max_len, bool *out_fits);

struct mf_patch;
/* base: borrowed until the patch is freed; how: too. The history limit cuts the stacks of the result; base has all that
 * were packed, or what lies below them is lost where differences take entries away. */
MF_MUST_CHECK enum mf_status mf_patch_new(const struct mf_state *base, struct mf_state_reading *how, struct mf_patch **out);
void mf_patch_free(struct mf_patch *patch); /* NULL is fine */
/* The next difference; it must begin at the LSN that the patch has come to. After a failure only free is left. */
MF_MUST_CHECK enum mf_status mf_patch_add(struct mf_patch *patch, struct mf_unpack *in, struct mf_error *error);
MF_MUST_CHECK enum mf_status mf_patch_finish(struct mf_patch *patch, struct mf_state **out, struct mf_error *error);
