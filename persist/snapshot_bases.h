/* snapshot_bases.h - the last snapshot of each document that this process has stored, with its state: what the next
 * one may build on. After a restart there is none, and the next snapshot is whole.
 *
 * Invariants
 * 1. One a document, and none of a document that was let go (once the attempt under way at that moment has ended).
 * 2. A chain has at most full_snapshot_every members, the whole one included.
 * 3. It is the document's newest snapshot: none lies between a snapshot and its base, so whoever cannot use the base
 *    need not look between the two.
 *
 * Thread: any. */
#pragma once

#include "persist/snapshot_codec.h"

struct mf_snapshot_bases;

enum mf_status mf_snapshot_bases_new(const struct mf_persist_options *options, struct mf_snapshot_bases **out);
void mf_snapshot_bases_free(struct mf_snapshot_bases *bases); /* NULL is fine */
/* What a snapshot at lsn may build on, with a reference to its state; false: it has to be whole. */
bool mf_snapshot_bases_get(struct mf_snapshot_bases *bases, const char *doc_id, int64_t lsn, struct mf_snapshot_base *out);
/* A snapshot of state was stored. Without memory there is none to build on. */
void mf_snapshot_bases_put(struct mf_snapshot_bases *bases, const struct mf_snapshot *snapshot, const struct mf_state *state);
void mf_snapshot_bases_forget(struct mf_snapshot_bases *bases, const char *doc_id);
