/* snapshot_codec.h - snapshots as blobs: what of it the snapshotter, recovery and compaction use beside moduforge/persist.h.
 *
 * A snapshot is whole, or incremental: what changed since its base, an older snapshot of the same document. Its state
 * then is that of the whole one at the other end of the chain, with every difference on the way applied.
 *
 * Invariants
 * 1. A base is older than what builds on it, so a chain ends.
 * 2. Digest and LSN of a state that comes out are those that the blob and its row promise, whatever the chain.
 *
 * Thread: any. */
#pragma once

#include "model/delta.h"
#include <moduforge/persist.h>
#include <moduforge/value.h>

#define MF_SNAPSHOT_WHOLE 1 /* versions of the blob */
#define MF_SNAPSHOT_INCREMENTAL 2
#define MF_SNAPSHOT_CHAIN_MAX 1000

/* ---- writing ---- */
struct mf_snapshot_base {
	const struct mf_state *state; /* what the base was made of */
	struct mf_digest digest;
	size_t raw_max; /* a difference that needs more, before compression, is not worth it */
};
/* base NULL: whole. *out_fits (may be NULL then) false: out is not set, write a whole one. */
MF_MUST_CHECK enum mf_status mf_snapshot_encode_on(const char *doc_id, const struct mf_snapshot_base *base, const struct mf_state *state,
						   const struct mf_persist_options *options, struct mf_snapshot *out, bool *out_fits, struct mf_error *error);

/* ---- one blob ---- */
struct mf_snapshot_head {
	uint64_t raw_len;
	struct mf_digest digest; /* of the whole document */
	int64_t base_lsn;        /* 0: whole */
	struct mf_digest base_digest;
};
/* Checked: checksum, format, flags, and that the row says the same. MF_ERR_CORRUPTED; *out_newer (may be NULL): it is
 * whole, but in a format that this version of the library does not know. */
MF_MUST_CHECK enum mf_status mf_snapshot_read_head(const struct mf_snapshot *snapshot, struct mf_snapshot_head *out, bool *out_newer, struct mf_error *error);
/* The packed state or difference: in the blob, or in *out_memory, to be freed. The head has been read. */
MF_MUST_CHECK enum mf_status mf_snapshot_open_body(const struct mf_snapshot *snapshot, struct mf_unpack *out_body, void **out_memory, struct mf_error *error);

/* ---- the state, snapshot_load.c ---- */
struct mf_snapshot_loading {
	struct mf_state_reading stacks; /* registry, history_limit; drop_changed */
	enum mf_fields_policy fields;
	/* out */
	bool stale;         /* it failed, or lost entries of its stacks or values of its fields, since a format, a step type or a state field has another version here */
	int64_t failed_lsn; /* when it failed: the snapshot of the chain that is to blame, as far as known */
	size_t passed;      /* ... and how many are of no use for that, it included */
};
/* store NULL: whole snapshots only (MF_ERR_INVALID). */
MF_MUST_CHECK enum mf_status mf_snapshot_load_with(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_snapshot_loading *how, struct mf_state **out,
						   struct mf_error *error);
