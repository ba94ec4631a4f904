/* compaction.c - the proof before the deletion.
 *
 * Of the keep_snapshots newest snapshots the oldest, S, is what every later state is rolled forward from once
 * the events up to it are gone. So it is read back and decoded, and compared by digest with a replay of the
 * events up to it from an older snapshot, or from nothing. Only then the store may delete.
 *
 * Invariants
 * 1. Fewer snapshots than keep_snapshots: nothing is deleted.
 * 2. Any doubt about S or the events before it is MF_ERR_CORRUPTED and deletes nothing. */
#include <string.h>

#include "model/mem.h"
#include "persist/recovery.h"
#include <moduforge/value.h>

/* ---- which one is S? ---- */

struct oldest_kept {
	uint32_t left; /* to be kept, not seen yet */
	int64_t lsn;   /* of the oldest so far */
};

static bool count_down(void *user, const struct mf_snapshot_info *info)
{
	struct oldest_kept *kept = user;
	kept->lsn = info->upto_lsn;
	return --kept->left > 0;
}

/* ---- the proof ---- */

static enum mf_status digest_of(const struct mf_state *state, const char *doc_id, struct mf_digest *out, struct mf_error *error)
{
	enum mf_status status = mf_doc_digest(mf_state_doc(state), out);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "document '%.100s': no memory for its digest", doc_id);
}

static enum mf_status snapshot_digest(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, size_t history_limit, int64_t lsn,
				      struct mf_digest *out, struct mf_error *error)
{
	struct mf_snapshot snapshot = {0};
	struct mf_state *state;
	enum mf_status status = store->ops->latest_snapshot(store, doc_id, lsn, &snapshot, error);
	if (status != MF_OK)
		return status;
	bool right = snapshot.upto_lsn == lsn;
	status = right ? mf_snapshot_decode(&snapshot, registry, history_limit, &state, error)
		       : mf_error_set(error, MF_ERR_CORRUPTED, "document '%.100s': the snapshot at LSN %lld is listed but cannot be read", doc_id, (long long)lsn);
	mf_snapshot_deinit(&snapshot);
	if (status != MF_OK)
		return status;
	status = digest_of(state, doc_id, out, error);
	mf_state_unref(state);
	return status;
}

static enum mf_status replay_digest(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_persist_options *options, int64_t lsn,
				    struct mf_digest *out, struct mf_error *error)
{
	struct mf_replay_options replay = {
		.batch = options->recovery_batch ? options->recovery_batch : 1000,
		.history_limit = options->history_limit,
		.at_lsn = lsn,
		.committed = INT64_MAX,
		.snapshot_at_most = lsn - 1,
	};
	struct mf_state *state;
	enum mf_status status = mf_replay(store, doc_id, registry, &replay, &state, NULL, error);
	if (status != MF_OK)
		return status;
	if (mf_state_lsn(state) != lsn)
		status = mf_error_set(error, MF_ERR_CORRUPTED, "document '%.100s': the event at LSN %lld is missing, which a snapshot covers", doc_id, (long long)lsn);
	else
		status = digest_of(state, doc_id, out, error);
	mf_state_unref(state);
	return status;
}

static enum mf_status prove(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_persist_options *options, int64_t lsn,
			    struct mf_error *error)
{
	struct mf_digest kept, replayed;
	enum mf_status status = snapshot_digest(store, doc_id, registry, options->history_limit, lsn, &kept, error);
	if (status == MF_OK)
		status = replay_digest(store, doc_id, registry, options, lsn, &replayed, error);
	if (status != MF_OK)
		return mf_error_prefix(error, status, "nothing was deleted");
	if (memcmp(&kept, &replayed, sizeof(kept)) == 0)
		return MF_OK;
	mf_error_set(error, MF_ERR_CORRUPTED, "document '%.100s': the snapshot at LSN %lld differs from a replay of the events up to it; nothing was deleted; run verify", doc_id,
		     (long long)lsn);
	if (error)
		error->lsn = lsn;
	return MF_ERR_CORRUPTED;
}

/* Are there events up to lsn that are still stored? */
static enum mf_status anything_to_delete(struct mf_store *store, const char *doc_id, int64_t lsn, bool *out, struct mf_error *error)
{
	struct mf_event_list first = {0};
	enum mf_status status = store->ops->load_since(store, doc_id, 0, 1, &first, error);
	if (status != MF_OK)
		return status;
	*out = first.count > 0 && first.events[0].lsn <= lsn;
	mf_event_list_deinit(&first);
	return MF_OK;
}

enum mf_status mf_compact_document(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, const struct mf_persist_options *options,
				   int64_t *out_upto_lsn, struct mf_error *error)
{
	struct oldest_kept kept = {.left = options->keep_snapshots ? options->keep_snapshots : 1};
	struct mf_digest digest;
	bool anything = false;
	enum mf_status status = store->ops->snapshots(store, doc_id, count_down, &kept, error);
	if (status != MF_OK)
		return status;
	int64_t upto_lsn = kept.left == 0 ? kept.lsn : 0;
	if (upto_lsn > 0)
		status = anything_to_delete(store, doc_id, upto_lsn, &anything, error);
	if (status == MF_OK && anything)
		status = prove(store, doc_id, registry, options, upto_lsn, error);
	else if (status == MF_OK && upto_lsn > 0)
		status = snapshot_digest(store, doc_id, registry, options->history_limit, upto_lsn, &digest, error); /* only older snapshots may be left to delete */
	if (status == MF_OK && upto_lsn > 0)
		status = store->ops->compact(store, doc_id, upto_lsn, error);
	if (status == MF_OK)
		*out_upto_lsn = upto_lsn;
	return status;
}
