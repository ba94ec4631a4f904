#include "store_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <moduforge/backup.h>

static bool all_documents(void *user, const struct mf_document_info *info)
{
	(void)user, (void)info;
	return true;
}

static bool all_snapshots(void *user, const struct mf_snapshot_info *info)
{
	(void)user, (void)info;
	return true;
}

static bool all_checkpoints(void *user, const struct mf_checkpoint *checkpoint)
{
	(void)user, (void)checkpoint;
	return true;
}

static void no_damage(void *user, const struct mf_damage *damage)
{
	struct store_work *work = user;
	work->told = true;
	if (!work->may_be_damaged)
		print_error("%s %lld: %s\n", damage->what, (long long)damage->lsn, damage->message);
}

enum mf_status store_append_three(struct store_work *work, struct mf_error *error)
{
	char keys[3][32];
	struct mf_event events[3];
	for (int i = 0; i < 3; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%d/%d", work->round, i);
		events[i] = kit_event(i == 1 ? "other" : "d", keys[i]);
	}
	return mf_store_append_batch(work->store, events, 3, &work->last, error);
}

static enum mf_status append_again(struct store_work *work, struct mf_error *error)
{
	struct mf_event event = kit_event("d", "first");
	int64_t lsn;
	enum mf_status status = mf_store_append(work->store, &event, &lsn, error);
	return status == MF_ERR_DUPLICATE_KEY ? MF_OK : status;
}

static enum mf_status sync_it(struct store_work *work, struct mf_error *error)
{
	int64_t lsn;
	return mf_store_sync(work->store, &lsn, error);
}

static enum mf_status maintain(struct store_work *work, struct mf_error *error)
{
	return work->store->ops->maintain(work->store, error);
}

static enum mf_status load_from(struct store_work *work, const char *doc_id, size_t least, struct mf_error *error)
{
	struct mf_event_list list;
	enum mf_status status = mf_store_load_since(work->store, doc_id, 0, 10, &list, error);
	if (status != MF_OK)
		return status;
	assert_true(list.count >= least);
	mf_event_list_deinit(&list);
	return MF_OK;
}

static enum mf_status load_all(struct store_work *work, struct mf_error *error) { return load_from(work, NULL, 2, error); }
static enum mf_status load_document(struct store_work *work, struct mf_error *error) { return load_from(work, "d", 3, error); }
static enum mf_status load_other(struct store_work *work, struct mf_error *error) { return load_from(work, "other", 1, error); }

static enum mf_status find(struct store_work *work, struct mf_error *error)
{
	struct mf_key_info info;
	int64_t lsn;
	enum mf_status status = work->store->ops->find_key(work->store, "first", &info, error);
	if (status != MF_OK)
		return status;
	assert_int_equal(info.lsn, 1);
	status = work->store->ops->find_key(work->store, "never", &info, error);
	if (status != MF_ERR_NOT_FOUND)
		return status;
	return work->store->ops->last_lsn(work->store, "d", &lsn, error);
}

static enum mf_status write_snapshot(struct store_work *work, struct mf_error *error)
{
	const struct mf_snapshot snapshot = {.doc_id = "d", .upto_lsn = work->last, .version = 1, .state_blob = (const unsigned char *)"state", .state_len = 5};
	return mf_store_write_snapshot(work->store, &snapshot, error);
}

static enum mf_status write_in_chunks(struct store_work *work, struct mf_error *error)
{
	const struct mf_snapshot snapshot = {.doc_id = "d", .upto_lsn = work->last, .version = 1, .state_len = 5};
	enum mf_status status = work->store->ops->snapshot_chunk(work->store, "d", work->last, 0, "st", 2, error);
	if (status == MF_OK)
		status = work->store->ops->snapshot_chunk(work->store, "d", work->last, 1, "ate", 3, error);
	return status == MF_OK ? work->store->ops->snapshot_finish(work->store, &snapshot, error) : status;
}

static enum mf_status read_snapshot(struct store_work *work, struct mf_error *error)
{
	struct mf_snapshot snapshot;
	enum mf_status status = mf_store_latest_snapshot(work->store, "d", INT64_MAX, &snapshot, error);
	if (status == MF_OK)
		mf_snapshot_deinit(&snapshot);
	return status;
}

static enum mf_status list(struct store_work *work, struct mf_error *error)
{
	struct mf_store_stats stats;
	int64_t lsn;
	enum mf_status status = work->store->ops->documents(work->store, all_documents, NULL, error);
	if (status == MF_OK)
		status = work->store->ops->snapshots(work->store, work->round % 2 ? "d" : NULL, all_snapshots, NULL, error);
	if (status == MF_OK)
		status = mf_store_checkpoints(work->store, all_checkpoints, NULL, error);
	if (status == MF_OK)
		status = mf_store_epoch_end(work->store, 1, &lsn, error);
	return status == MF_OK ? mf_store_stats(work->store, &stats, error) : status;
}

static enum mf_status follow(struct store_work *work, struct mf_error *error)
{
	char name[32];
	snprintf(name, sizeof(name), "f%d", work->round);
	const struct mf_checkpoint checkpoint = {name, 1, work->last};
	struct mf_checkpoint out;
	enum mf_status status = mf_store_save_checkpoint(work->store, &checkpoint, error);
	if (status == MF_OK)
		status = mf_store_load_checkpoint(work->store, name, &out, error);
	if (status == MF_OK)
		assert_int_equal(out.lsn, work->last);
	return status;
}

static enum mf_status count(struct store_work *work, struct mf_error *error)
{
	struct mf_buffer out = {0};
	enum mf_status status = work->store->ops->save_metrics(work->store, "{}", 2, error);
	if (status == MF_OK)
		status = work->store->ops->load_metrics(work->store, &out, error);
	mf_buffer_deinit(&out);
	return status;
}

enum mf_status store_find_no_damage(struct store_work *work, struct mf_error *error)
{
	work->told = false;
	enum mf_status status = mf_store_verify(work->store, no_damage, work, error);
	assert_true(work->may_be_damaged || !work->told);
	assert_false(work->told && status == MF_OK);
	return status;
}

static enum mf_status prune(struct store_work *work, struct mf_error *error)
{
	return mf_store_prune_snapshots(work->store, "d", 1, error);
}

static enum mf_status vacuum(struct store_work *work, struct mf_error *error)
{
	return mf_store_vacuum(work->store, error);
}

static enum mf_status append_and_snapshot(struct store_work *work, struct mf_error *error)
{
	enum mf_status status = store_append_three(work, error);
	return status == MF_OK ? write_snapshot(work, error) : status;
}

static enum mf_status snapshot_and_append(struct store_work *work, struct mf_error *error)
{
	enum mf_status status = write_snapshot(work, error);
	work->base = work->last;
	return status == MF_OK ? store_append_three(work, error) : status;
}

static enum mf_status write_incremental(struct store_work *work, struct mf_error *error)
{
	const struct mf_snapshot snapshot = {
		.doc_id = "d", .upto_lsn = work->last, .version = 2, .state_blob = (const unsigned char *)"delta", .state_len = 5, .base_lsn = work->base};
	return mf_store_write_snapshot(work->store, &snapshot, error);
}

static enum mf_status compact(struct store_work *work, struct mf_error *error)
{
	return mf_store_compact(work->store, "d", work->last, error);
}

static enum mf_status back_up(struct store_work *work, struct mf_error *error)
{
	char *path = kit_path(kit_dir, "backup");
	enum mf_status status = mf_store_backup(work->store, path, NULL, NULL, NULL, error);
	if (status == MF_OK || !work->may_be_left)
		assert_int_equal(access(path, F_OK) == 0, status == MF_OK);
	(void)unlink(path);
	free(path);
	return status;
}

const struct store_call store_calls[] = {
	{"append", store_append_three, NULL, true},
	{"append again", append_again, NULL, true},
	{"sync", sync_it, store_append_three, true},
	{"maintain", maintain, store_append_three, true},
	{"load all", load_all, NULL, true},
	{"load a document", load_document, NULL, true},
	{"find", find, NULL, true},
	{"write a snapshot", write_snapshot, store_append_three, true},
	{"read a snapshot", read_snapshot, NULL, true},
	{"write a snapshot in chunks", write_in_chunks, store_append_three, true},
	{"read a snapshot in chunks", read_snapshot, NULL, true},
	{"write an incremental snapshot", write_incremental, snapshot_and_append, true},
	{"list", list, NULL, true},
	{"follow", follow, NULL, true},
	{"count", count, NULL, true},
	{"verify", store_find_no_damage, NULL, true},
	{"prune", prune, write_snapshot, true},
	{"vacuum", vacuum, NULL, true},
	{"back up", back_up, NULL, true},
	{"compact", compact, append_and_snapshot, false},
	{"append a compacted key again", append_again, NULL, true},
	{"find a compacted key", find, NULL, true},
	{"load what is left", load_all, NULL, true},
	{"load another document", load_other, NULL, true},
	{"list what is left", list, NULL, true},
	{"verify what is left", store_find_no_damage, NULL, true},
};
const size_t store_call_count = sizeof(store_calls) / sizeof(store_calls[0]);
