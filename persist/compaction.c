/* compaction.c - the proof before the deletion.
 *
 * Of the keep_snapshots newest snapshots the oldest, S, is what every later state is rolled forward from once
 * the events up to it are gone. So it is read back and decoded, and compared by digests (of the document, and of the
 * state fields) with a replay of the events up to it from an older snapshot, or from nothing. Only then the store may
 * delete. An incremental S is first stored as a whole one, in its own place.
 *
 * Invariants
 * 1. Fewer snapshots than keep_snapshots: nothing is deleted; and no event that a follower has still to read: then S is
 *    the newest of those behind it, if there is one.
 * 2. Any doubt about S or the events before it is MF_ERR_CORRUPTED and deletes nothing. */
#include <string.h>

#include "model/field.h"
#include "model/mem.h"
#include "model/pack.h"
#include "persist/recovery.h"
#include <moduforge/value.h>

/* ---- which one is S? ---- */

struct oldest_kept {
	uint32_t left;         /* to be kept, not seen yet */
	int64_t needed_above;  /* ... and it may not be newer than this */
	int64_t lsn, base_lsn; /* lsn 0: not found yet */
};

static bool count_down(void *user, const struct mf_snapshot_info *info)
{
	struct oldest_kept *kept = user;
	kept->left -= kept->left > 0;
	if (kept->left > 0 || info->upto_lsn > kept->needed_above)
		return true;
	kept->lsn = info->upto_lsn;
	kept->base_lsn = info->base_lsn;
	return false;
}

/* ---- the proof ---- */

/* Of all that a state is but its stacks. */
struct digests {
	struct mf_digest doc, fields;
};

static enum mf_status digest_of(const struct mf_state *state, const char *doc_id, struct digests *out, struct mf_error *error)
{
	struct mf_buffer fields = {0};
	struct mf_error reason = {0};
	mf_digest_of_doc(mf_state_doc(state), &out->doc);
	enum mf_status status = mf_pack_fields(&fields, state, &reason);
	if (status == MF_OK)
		mf_digest_of_bytes(fields.bytes, fields.len, &out->fields);
	mf_buffer_deinit(&fields);
	if (status == MF_OK)
		return MF_OK;
	return mf_error_set(error, status, "document '%.100s': its digest could not be computed (%.300s)", doc_id, reason.status ? reason.message : mf_status_name(status));
}

struct job {
	struct mf_store *store;
	const char *doc_id;
	const struct mf_step_registry *registry;
	const struct mf_persist_options *options;
};

/* A store is a plugin as any other: it may fail without a word, and then error has no status that could be returned. */
static enum mf_status nothing_deleted(const struct job *job, enum mf_status status, struct mf_error *error)
{
	if (error && error->status != status)
		mf_error_set(error, status, "document '%.100s': the store failed with %s", job->doc_id, mf_status_name(status));
	(void)mf_error_prefix(error, status, "nothing was deleted");
	return status;
}

/* The state of the snapshot at exactly this LSN, with all of its history, whatever the limit of today: what builds on it
 * may take entries away, and then shows what lies below. */
static enum mf_status read_back(const struct job *job, int64_t lsn, struct mf_state **out, struct mf_error *error)
{
	struct mf_snapshot snapshot = {0};
	enum mf_status status = job->store->ops->latest_snapshot(job->store, job->doc_id, lsn, &snapshot, error);
	if (status != MF_OK)
		return status;
	bool right = snapshot.upto_lsn == lsn;
	status = right ? mf_snapshot_load(job->store, &snapshot, job->registry, SIZE_MAX, out, error)
		       : mf_error_set(error, MF_ERR_CORRUPTED, "document '%.100s': the snapshot at LSN %lld is listed but cannot be read", job->doc_id, (long long)lsn);
	mf_snapshot_deinit(&snapshot);
	return status;
}

/* What no plugin here brings would not be in the whole one. Takes state when it fails. */
static enum mf_status check_fields(const struct job *job, struct mf_state *state, int64_t lsn, struct mf_error *error)
{
	int64_t dropped = (int64_t)mf_state_fields_note(state).dropped;
	if (dropped == 0)
		return MF_OK;
	mf_state_unref(state);
	return mf_error_set(error, MF_ERR_UNKNOWN_STEP, "document '%.100s': the snapshot at LSN %lld holds %lld state field(s) that no plugin here brings; load the plugin, or compact when there are newer snapshots",
			    job->doc_id, (long long)lsn, (long long)dropped);
}

/* What it builds on is to go: so it is stored as a whole one, in its own place, in one transaction. */
static enum mf_status make_whole(const struct job *job, int64_t lsn, struct mf_error *error)
{
	struct mf_state *state;
	struct mf_snapshot whole;
	enum mf_status status = read_back(job, lsn, &state, error);
	if (status == MF_OK)
		status = check_fields(job, state, lsn, error);
	if (status != MF_OK)
		return nothing_deleted(job, status, error);
	status = mf_snapshot_encode(job->doc_id, state, job->options, &whole, error);
	mf_state_unref(state);
	if (status != MF_OK)
		return status;
	status = mf_store_write_snapshot(job->store, &whole, error);
	mf_snapshot_deinit(&whole);
	return status;
}

static enum mf_status snapshot_digest(const struct job *job, int64_t lsn, struct digests *out, struct mf_error *error)
{
	struct mf_state *state;
	enum mf_status status = read_back(job, lsn, &state, error);
	if (status != MF_OK)
		return status;
	status = digest_of(state, job->doc_id, out, error);
	mf_state_unref(state);
	return status;
}

static enum mf_status replay_digest(const struct job *job, int64_t lsn, struct digests *out, struct mf_error *error)
{
	struct mf_replay_options replay = {
		.batch = job->options->recovery_batch ? job->options->recovery_batch : 1000,
		.history_limit = job->options->history_limit,
		.at_lsn = lsn,
		.committed = INT64_MAX,
		.snapshot_at_most = lsn - 1,
	};
	struct mf_state *state;
	enum mf_status status = mf_replay(job->store, job->doc_id, job->registry, &replay, &state, NULL, error);
	if (status != MF_OK)
		return status;
	if (mf_state_lsn(state) != lsn)
		status = mf_error_set(error, MF_ERR_CORRUPTED, "document '%.100s': the event at LSN %lld is missing, which a snapshot covers", job->doc_id, (long long)lsn);
	else
		status = digest_of(state, job->doc_id, out, error);
	mf_state_unref(state);
	return status;
}

static enum mf_status prove(const struct job *job, int64_t lsn, struct mf_error *error)
{
	struct digests kept, replayed;
	enum mf_status status = snapshot_digest(job, lsn, &kept, error);
	if (status == MF_OK)
		status = replay_digest(job, lsn, &replayed, error);
	if (status != MF_OK)
		return nothing_deleted(job, status, error);
	if (memcmp(&kept, &replayed, sizeof(kept)) == 0)
		return MF_OK;
	mf_error_set(error, MF_ERR_CORRUPTED, "document '%.100s': the snapshot at LSN %lld differs from a replay of the events up to it; nothing was deleted; run verify", job->doc_id,
		     (long long)lsn);
	if (error)
		error->lsn = lsn;
	return MF_ERR_CORRUPTED;
}

/* Are there events up to lsn that are still stored? */
static enum mf_status anything_to_delete(const struct job *job, int64_t lsn, bool *out, struct mf_error *error)
{
	struct mf_event_list first = {0};
	enum mf_status status = job->store->ops->load_since(job->store, job->doc_id, 0, 1, &first, error);
	if (status != MF_OK)
		return status;
	*out = first.count > 0 && first.events[0].lsn <= lsn;
	mf_event_list_deinit(&first);
	return MF_OK;
}

enum mf_status mf_compact_upto(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_persist_options *options, int64_t needed_above,
			       int64_t *out_upto_lsn, struct mf_error *error)
{
	const struct job job = {store, doc_id, registry, options};
	struct oldest_kept kept = {.left = options->keep_snapshots ? options->keep_snapshots : 1, .needed_above = needed_above};
	struct digests digests;
	bool anything = false;
	enum mf_status status = store->ops->snapshots(store, doc_id, count_down, &kept, error);
	if (status != MF_OK)
		return status;
	int64_t upto_lsn = kept.lsn;
	if (upto_lsn > 0)
		status = anything_to_delete(&job, upto_lsn, &anything, error);
	if (status == MF_OK && upto_lsn > 0 && kept.base_lsn)
		status = make_whole(&job, upto_lsn, error);
	if (status == MF_OK && anything)
		status = prove(&job, upto_lsn, error);
	else if (status == MF_OK && upto_lsn > 0)
		status = snapshot_digest(&job, upto_lsn, &digests, error); /* only older snapshots may be left to delete */
	if (status == MF_OK && upto_lsn > 0)
		status = store->ops->compact(store, doc_id, upto_lsn, error);
	if (status == MF_OK)
		*out_upto_lsn = upto_lsn;
	return status;
}

enum mf_status mf_compact_document(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_persist_options *options,
				   int64_t *out_upto_lsn, struct mf_error *error)
{
	return mf_compact_upto(store, doc_id, registry, options, INT64_MAX, out_upto_lsn, error);
}
