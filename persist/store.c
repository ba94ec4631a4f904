#include <moduforge/backup.h>

#include <stddef.h>
#include <string.h>

#include "model/mem.h"
#include "model/utf8.h"
#include "persist/checksum.h"
#include "persist/page_pool.h"

#define CHUNK_BYTES (1u << 20)

/* What a backend of an older interface does not have. */
#define REQUIRE(store, op) \
	do { \
		if (!(store)->ops->op) \
			return mf_error_set(error, MF_ERR_INVALID, "the store '%s' has no %s", (store)->ops->name, #op); \
	} while (0)

void mf_event_list_deinit(struct mf_event_list *list)
{
	mf_page_pool_give(MF_PAGE_EVENTS, list->events, list->room[MF_PAGE_EVENTS]);
	mf_page_pool_give(MF_PAGE_BYTES, list->memory, list->room[MF_PAGE_BYTES]);
	memset(list, 0, sizeof(*list));
}

void mf_snapshot_deinit(struct mf_snapshot *snapshot)
{
	mf_free(snapshot->memory);
	memset(snapshot, 0, sizeof(*snapshot));
}

enum mf_status mf_store_append(struct mf_store *store, struct mf_event *event, int64_t *out_lsn, struct mf_error *error)
{
	return mf_store_append_batch(store, event, 1, out_lsn, error);
}

enum mf_status mf_store_append_batch(struct mf_store *store, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error)
{
	REQUIRE(store, append_batch);
	if (count == 0)
		return mf_error_set(error, MF_ERR_INVALID, "a batch without events");
	for (size_t i = 0; i < count; i++) {
		enum mf_status status = mf_event_check(&events[i], error);
		if (status != MF_OK)
			return count == 1 ? status : mf_error_prefix(error, status, "event %zu of the batch", i);
	}
	return store->ops->append_batch(store, events, count, out_last_lsn, error);
}

enum mf_status mf_store_sync(struct mf_store *store, int64_t *out_synced_lsn, struct mf_error *error)
{
	REQUIRE(store, sync);
	return store->ops->sync(store, out_synced_lsn, error);
}

enum mf_status mf_store_load_since(struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	REQUIRE(store, load_since);
	if (limit == 0 || from_lsn < 0)
		return mf_error_set(error, MF_ERR_INVALID, "reading events needs a limit above 0 and an LSN that is not negative");
	*out = (struct mf_event_list){0};
	return store->ops->load_since(store, doc_id, from_lsn, limit, out, error);
}

enum mf_status mf_store_latest_snapshot(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	REQUIRE(store, latest_snapshot);
	return store->ops->latest_snapshot(store, doc_id, at_most, out, error);
}

static enum mf_status check_snapshot(const struct mf_snapshot *snapshot, struct mf_error *error)
{
	size_t len = snapshot->doc_id ? strnlen(snapshot->doc_id, MF_ID_MAX + 1) : 0;
	if (len == 0 || len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "the snapshot's doc_id must be 1 to %d bytes", MF_ID_MAX);
	if (snapshot->upto_lsn < 1)
		return mf_error_set(error, MF_ERR_INVALID, "the snapshot's upto_lsn is %lld; it must be that of an event", (long long)snapshot->upto_lsn);
	if (snapshot->base_lsn < 0 || snapshot->base_lsn >= snapshot->upto_lsn)
		return mf_error_set(error, MF_ERR_INVALID, "the snapshot up to LSN %lld cannot build on the one up to LSN %lld", (long long)snapshot->upto_lsn, (long long)snapshot->base_lsn);
	if (!snapshot->state_blob || snapshot->state_len == 0)
		return mf_error_set(error, MF_ERR_INVALID, "the snapshot is empty");
	return MF_OK;
}

enum mf_status mf_store_write_snapshot(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_error *error)
{
	REQUIRE(store, snapshot_chunk);
	REQUIRE(store, snapshot_finish);
	enum mf_status status = check_snapshot(snapshot, error);
	if (status != MF_OK)
		return status;
	if (snapshot->state_len <= CHUNK_BYTES)
		return store->ops->snapshot_finish(store, snapshot, error);
	uint32_t index = 0;
	for (size_t at = 0; at < snapshot->state_len && status == MF_OK; at += CHUNK_BYTES, index++) {
		size_t left = snapshot->state_len - at;
		status = store->ops->snapshot_chunk(store, snapshot->doc_id, snapshot->upto_lsn, index, snapshot->state_blob + at,
						    left < CHUNK_BYTES ? left : CHUNK_BYTES, error);
	}
	if (status != MF_OK)
		return status;
	struct mf_snapshot row = *snapshot;
	row.state_blob = NULL;
	return store->ops->snapshot_finish(store, &row, error);
}

enum mf_status mf_store_compact(struct mf_store *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	REQUIRE(store, compact);
	return store->ops->compact(store, doc_id, upto_lsn, error);
}

enum mf_status mf_store_prune_snapshots(struct mf_store *store, const char *doc_id, uint32_t keep, struct mf_error *error)
{
	REQUIRE(store, prune_snapshots);
	return store->ops->prune_snapshots(store, doc_id, keep ? keep : 1, error);
}

enum mf_status mf_store_vacuum(struct mf_store *store, struct mf_error *error)
{
	REQUIRE(store, vacuum);
	return store->ops->vacuum(store, error);
}

static void pass_over(void *user, const struct mf_damage *damage)
{
	(void)user;
	(void)damage;
}

enum mf_status mf_store_verify(struct mf_store *store, mf_damage_visit *visit, void *user, struct mf_error *error)
{
	REQUIRE(store, verify);
	return store->ops->verify(store, visit ? visit : pass_over, user, error);
}

enum mf_status mf_store_stats(struct mf_store *store, struct mf_store_stats *out, struct mf_error *error)
{
	REQUIRE(store, stats);
	return store->ops->stats(store, out, error);
}

/* ---- what backends of an older interface do not know ---- */
#define REQUIRE_NEW(store, op) \
	do { \
		if ((store)->ops->size < offsetof(struct mf_store_ops, op) + sizeof((store)->ops->op)) \
			return mf_error_set(error, MF_ERR_INVALID, "the store '%s' has no %s", (store)->ops->name, #op); \
		REQUIRE(store, op); \
	} while (0)

static enum mf_status check_follower(const char *name, struct mf_error *error)
{
	size_t len = name ? strnlen(name, MF_ID_MAX + 1) : 0;
	if (len == 0 || len > MF_ID_MAX || !mf_utf8_valid(name, len))
		return mf_error_set(error, MF_ERR_INVALID, "the name of a follower must be 1 to %d bytes of UTF-8", MF_ID_MAX);
	return MF_OK;
}

enum mf_status mf_store_load_checkpoint(struct mf_store *store, const char *name, struct mf_checkpoint *out, struct mf_error *error)
{
	REQUIRE_NEW(store, load_checkpoint);
	enum mf_status status = check_follower(name, error);
	return status == MF_OK ? store->ops->load_checkpoint(store, name, out, error) : status;
}

enum mf_status mf_store_save_checkpoint(struct mf_store *store, const struct mf_checkpoint *checkpoint, struct mf_error *error)
{
	REQUIRE_NEW(store, save_checkpoint);
	enum mf_status status = check_follower(checkpoint->name, error);
	if (status != MF_OK)
		return status;
	if (checkpoint->lsn < 0 || checkpoint->epoch < 0)
		return mf_error_set(error, MF_ERR_INVALID, "follower '%.100s': LSN %lld of epoch %lld is no checkpoint", checkpoint->name, (long long)checkpoint->lsn, (long long)checkpoint->epoch);
	return store->ops->save_checkpoint(store, checkpoint, error);
}

enum mf_status mf_store_checkpoints(struct mf_store *store, mf_checkpoint_visit *visit, void *user, struct mf_error *error)
{
	REQUIRE_NEW(store, checkpoints);
	return store->ops->checkpoints(store, visit, user, error);
}

enum mf_status mf_store_epoch_end(struct mf_store *store, int64_t epoch, int64_t *out_lsn, struct mf_error *error)
{
	REQUIRE_NEW(store, epoch_end);
	return store->ops->epoch_end(store, epoch, out_lsn, error);
}

enum mf_status mf_store_backup(struct mf_store *store, const char *path, mf_backup_progress *progress, void *user, struct mf_backup_info *out_info, struct mf_error *error)
{
	REQUIRE_NEW(store, backup);
	if (!path || !path[0])
		return mf_error_set(error, MF_ERR_INVALID, "a backup needs the name of a file");
	return store->ops->backup(store, path, progress, user, out_info, error);
}

enum mf_status mf_store_close(struct mf_store *store, struct mf_error *error)
{
	return store ? store->ops->close(store, error) : MF_OK;
}
