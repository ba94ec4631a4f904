/* recovery.h - replay as the committer and compaction need it; moduforge/persist.h has the public form.
 *
 * Thread: any; reads the store only. */
#pragma once

#include <moduforge/persist.h>

struct mf_replay_options {
	uint32_t batch;           /* events a page */
	size_t history_limit;
	int64_t at_lsn;           /* INT64_MAX: the newest */
	int64_t committed;        /* events after this LSN are still under way, and as good as not there; INT64_MAX: none are */
	int64_t snapshot_at_most; /* begin from a snapshot no newer than this; INT64_MAX: any */
	uint64_t fallback_max_events; /* to be replayed when the newest snapshot cannot be used; 0: no limit */
};
struct mf_replay_report {
	int64_t snapshot_lsn, damaged_snapshots;
	uint64_t events, bytes; /* replayed; of payload */
	int64_t stale_snapshots, dropped_entries, fields_anew, fields_left_out; /* see struct mf_recovery_report */
	struct mf_error passed_over; /* why the newest of them could not be used as it is */
};
enum mf_status mf_replay(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_replay_options *options,
			 struct mf_state **out, struct mf_replay_report *out_report, struct mf_error *error);

void mf_replay_fill_report(const struct mf_replay_report *from, const struct mf_state *state, struct mf_recovery_report *out); /* without time and digest */

/* Which step types of the document's events after from_lsn are unknown? MF_ERR_UNKNOWN_STEP lists them all, with
 * counts and first LSN. Reads type ids only. */
enum mf_status mf_missing_types(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, int64_t from_lsn, uint32_t batch, struct mf_error *error);

/* The newest snapshot's LSN <= at_most, from the listing (nothing is read or checked); 0: none. */
enum mf_status mf_newest_snapshot_lsn(struct mf_store *store, const char *doc_id, int64_t at_most, int64_t *out_lsn, struct mf_error *error);

/* compaction.c: the proof, then the deletion (contract, section 5). *out_upto_lsn 0: nothing to delete yet. */
enum mf_status mf_compact_document(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_persist_options *options,
				   int64_t *out_upto_lsn, struct mf_error *error);
/* The same, but events above needed_above stay: followers have still to read them. INT64_MAX: nobody needs any. */
enum mf_status mf_compact_upto(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_persist_options *options, int64_t needed_above,
			       int64_t *out_upto_lsn, struct mf_error *error);
