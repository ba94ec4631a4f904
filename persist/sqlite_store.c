/* The SQLite store: what its parts share, stats, close, and the table of its operations. */
#include "persist/sqlite_store.h"

#include <stdio.h>
#include <string.h>

#include "model/thread.h"
#include "persist/fork_guard.h"

/* ---- guards ---- */

enum mf_status mf_sqlite_check_owner(const struct mf_sqlite *store, struct mf_error *error)
{
	if (!mf_forked_since(store->generation))
		return MF_OK;
	return mf_error_set(error, MF_ERR_STATE, "the store in %.200s belongs to the process that opened it; a child of fork opens it, or another, after exec only", store->dir);
}

enum mf_status mf_sqlite_check_readable(const struct mf_sqlite *store, struct mf_error *error)
{
	enum mf_status status = mf_sqlite_check_owner(store, error);
	/* Who follows a writer would wait for ever. */
	return status == MF_OK && store->read_only ? mf_sqlite_check_database(store, error) : status;
}

enum mf_status mf_sqlite_check_writable(struct mf_sqlite *store, struct mf_error *error)
{
	enum mf_status status = mf_sqlite_check_owner(store, error);
	if (status != MF_OK)
		return status;
	if (store->read_only)
		return mf_error_set(error, MF_ERR_STATE, "the store in %.200s was opened for reading only", store->dir);
	if (!atomic_load(&store->poisoned))
		return MF_OK;
	pthread_mutex_lock(&store->poison_lock);
	status = mf_error_set(error, MF_ERR_IO, "the store in %.200s takes no more writes until it is reopened, because: %.250s", store->dir, store->poison_reason);
	pthread_mutex_unlock(&store->poison_lock);
	return status;
}

enum mf_status mf_sqlite_corrupted(struct mf_error *error, const char *doc_id, int64_t lsn, const char *what)
{
	if (doc_id)
		mf_error_set(error, MF_ERR_CORRUPTED, "document '%.200s', LSN %lld: %s; run 'mf verify', then restore a backup", doc_id, (long long)lsn, what);
	else
		mf_error_set(error, MF_ERR_CORRUPTED, "LSN %lld: %s; run 'mf verify', then restore a backup", (long long)lsn, what);
	if (error)
		error->lsn = lsn;
	return MF_ERR_CORRUPTED;
}

/* ---- writing ---- */

void mf_sqlite_lock_writer(struct mf_sqlite *store)
{
	atomic_fetch_add(&store->writers_waiting, 1);
	pthread_mutex_lock(&store->write_lock);
	atomic_fetch_sub(&store->writers_waiting, 1);
}

void mf_sqlite_let_writers_pass(struct mf_sqlite *store)
{
	/* A mutex goes to whoever is running, which is us: wait until those who sleep on it have had it. */
	while (atomic_load(&store->writers_waiting) > 0)
		mf_thread_yield();
}

enum mf_status mf_sqlite_write_watermark(struct mf_sqlite *store, struct mf_error *error)
{
	pthread_mutex_lock(&store->watermark_lock);
	struct mf_watermark now = {atomic_load(&store->synced_lsn), store->epoch, atomic_load(&store->poisoned)};
	struct mf_error reason = {0};
	/* What was synced stays synced when this fails: the old watermark is still true. */
	enum mf_status status = mf_watermark_write(store->env, store->watermark_fd, &now, &reason);
	if (status != MF_OK && strncmp(store->watermark_failure, reason.message, sizeof(store->watermark_failure) - 1) != 0)
		mf_logf(&store->logger, MF_LOG_WARNING, "the store in %.200s: %.200s; a loss of what was synced since would not be noticed", store->dir, reason.message);
	snprintf(store->watermark_failure, sizeof(store->watermark_failure), "%.255s", reason.message);
	pthread_mutex_unlock(&store->watermark_lock);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "%s", reason.message);
}

/* Was it we who did? */
static bool stop(struct mf_sqlite *store, const struct mf_error *error)
{
	pthread_mutex_lock(&store->poison_lock);
	bool first = !atomic_load(&store->poisoned);
	if (first) {
		memcpy(store->poison_reason, error->message, sizeof(store->poison_reason));
		atomic_store(&store->poisoned, true);
	}
	pthread_mutex_unlock(&store->poison_lock);
	return first;
}

void mf_sqlite_stop(struct mf_sqlite *store, const struct mf_error *error)
{
	(void)stop(store, error);
}

void mf_sqlite_end_write(struct mf_sqlite *store, enum mf_status status, const struct mf_error *error)
{
	if (status == MF_ERR_UNKNOWN_OUTCOME && stop(store, error)) /* whoever writes has its file open */
		(void)mf_sqlite_write_watermark(store, NULL);
}

/* After a commit: what the other threads may know. */
static void note_commit(struct mf_sqlite *store)
{
	int64_t pages = mf_sql_log_pages(store->writer);
	if (pages < atomic_load(&store->log_done)) /* the log began anew */
		atomic_store(&store->log_done, 0);
	atomic_store(&store->log_pages, pages);
	atomic_store(&store->last_lsn, store->next_last_lsn); /* before commits: see mf_sqlite_sync */
	atomic_fetch_add(&store->commits, 1);
	store->log_may_restart = false;
}

/* write_lock is held: a full disk is a state that is entered and left. */
static void note_room(struct mf_sqlite *store, enum mf_status status, const struct mf_error *error)
{
	bool full = status == MF_ERR_STORAGE_FULL;
	if ((status != MF_OK && !full) || atomic_exchange(&store->full, full) == full)
		return;
	if (full)
		mf_logf(&store->logger, MF_LOG_ERROR, "the store in %.200s has no room: writes are refused until there is some, reads go on: %.200s", store->dir, error->message);
	else
		mf_logf(&store->logger, MF_LOG_INFO, "the store in %.200s has room again: writes go on", store->dir);
}

static enum mf_status run_in_transaction(struct mf_sqlite *store, mf_sqlite_work *work, void *user, struct mf_error *error)
{
	enum mf_status status = mf_sql_begin(store->writer, error);
	if (status != MF_OK)
		return status;
	store->next_last_lsn = atomic_load(&store->last_lsn);
	status = mf_sqlite_check_alone(store, error);
	if (status == MF_OK)
		status = work(store, user, error);
	if (status == MF_OK)
		return mf_sql_commit(store->writer, error);
	struct mf_error undo;
	if (mf_sql_rollback(store->writer, &undo) == MF_OK)
		return status;
	*error = undo;
	return MF_ERR_UNKNOWN_OUTCOME;
}

static enum mf_status run(struct mf_sqlite *store, mf_sqlite_work *work, void *user, struct mf_error *error)
{
	enum mf_status status = mf_sqlite_check_writable(store, error);
	if (status != MF_OK)
		return status;
	status = run_in_transaction(store, work, user, error);
	if (status == MF_OK || status == MF_ERR_DUPLICATE_KEY || atomic_load(&store->poisoned))
		return status;
	enum mf_status found = mf_sqlite_check_files(store, error); /* what went wrong may be that they are others */
	return found == MF_OK ? status : found;
}

enum mf_status mf_sqlite_transact_locked(struct mf_sqlite *store, mf_sqlite_work *work, void *user, struct mf_error *error)
{
	struct mf_error unasked;
	error = error ? error : &unasked;
	bool may_sync = store->log_may_restart;
	if (may_sync)
		pthread_mutex_lock(&store->sync_lock);
	enum mf_status status = run(store, work, user, error);
	mf_sqlite_end_write(store, status, error);
	if (may_sync)
		pthread_mutex_unlock(&store->sync_lock);
	note_room(store, status, error);
	if (status != MF_OK)
		return status;
	note_commit(store);
	store->data_version = mf_sql_data_version(store->writer);
	return MF_OK;
}

static enum mf_status change_nothing(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	(void)store, (void)user, (void)error;
	return MF_OK;
}

enum mf_status mf_sqlite_vacuum_locked(struct mf_sqlite *store, struct mf_error *error)
{
	struct mf_error reason;
	bool may_sync = store->log_may_restart;
	enum mf_status status = mf_sqlite_transact_locked(store, change_nothing, NULL, error); /* are we alone? What it finds later the next transaction sees */
	if (status != MF_OK)
		return status;
	store->log_may_restart = may_sync; /* it wrote nothing */
	if (may_sync)
		pthread_mutex_lock(&store->sync_lock);
	store->next_last_lsn = atomic_load(&store->last_lsn);
	status = mf_sql_vacuum(store->writer, &reason);
	mf_sqlite_end_write(store, status, &reason);
	if (may_sync)
		pthread_mutex_unlock(&store->sync_lock);
	if (status != MF_OK)
		return mf_error_set(error, status, "%s", reason.message);
	note_commit(store);
	return MF_OK;
}

enum mf_status mf_sqlite_transact(struct mf_sqlite *store, mf_sqlite_work *work, void *user, struct mf_error *error)
{
	mf_sqlite_lock_writer(store);
	enum mf_status status = mf_sqlite_transact_locked(store, work, user, error);
	pthread_mutex_unlock(&store->write_lock);
	return status;
}

/* ---- stats ---- */

/* Of damaged rows both may be any number; verify tells of them. */
static int64_t missing(int64_t lost, int64_t deleted, int64_t last)
{
	return lost >= 0 && lost <= last && deleted >= 0 && deleted <= last - lost ? lost + deleted : 0;
}

static enum mf_status count_all(struct mf_sqlite *store, struct mf_sql *sql, struct mf_error *error)
{
	int64_t deleted = 0;
	enum mf_status status = mf_sql_number(sql, "SELECT count(*) FROM snapshots", &store->base_snapshots, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, "SELECT sum(deleted) FROM compactions", &deleted, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, "SELECT sum(first_lsn - lost_from) FROM epochs WHERE lost_from > 0", &store->lost_events, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, MF_SQLITE_COUNT_DOCUMENTS, &store->base_documents, error);
	store->lost_events = missing(store->lost_events, deleted, atomic_load(&store->last_lsn));
	return status;
}

/* Counts once, in a read transaction that begins at a moment when the running counters are known. */
static enum mf_status count_base(struct mf_sqlite *store, struct mf_error *error)
{
	struct mf_sql *sql;
	enum mf_status status = mf_sqlite_open_reader(store, &sql, error);
	if (status != MF_OK)
		return status;
	int64_t pinned;
	mf_sqlite_lock_writer(store);
	int64_t documents = atomic_load(&store->new_documents), snapshots = atomic_load(&store->new_snapshots), deleted = atomic_load(&store->deleted_events);
	status = mf_sql_begin(sql, error);
	if (status == MF_OK)
		status = mf_sqlite_newest(sql, &pinned, error);
	pthread_mutex_unlock(&store->write_lock);
	if (status == MF_OK)
		status = count_all(store, sql, error);
	mf_sqlite_close_reader(store, sql, status == MF_OK);
	if (status != MF_OK)
		return status;
	store->base_documents -= documents;
	store->base_snapshots -= snapshots;
	store->lost_events -= deleted;
	store->counted = !store->read_only; /* a reader cannot follow the writer's counters */
	return MF_OK;
}

static int64_t file_size(const struct mf_sqlite *store, const char *path)
{
	int64_t size = store->env->size(store->env->user, path);
	return size < 0 ? 0 : size;
}

static enum mf_status writing_of(const struct mf_sqlite *store)
{
	if (atomic_load(&store->poisoned) || store->writer_stopped)
		return MF_ERR_IO;
	return atomic_load(&store->full) ? MF_ERR_STORAGE_FULL : MF_OK;
}

/* What the writer in another process has done since: the watermark first, so that what it says is among what is found. One that
 * is just being written does not fit its CRC: what was synced before it stays so. */
static enum mf_status look_at_writer(struct mf_sqlite *store, struct mf_error *error)
{
	struct mf_watermark watermark;
	enum mf_watermark_state state;
	int64_t last = 0;
	enum mf_status status = mf_watermark_read(store->env, store->watermark_path, &watermark, &state, error);
	if (status != MF_OK)
		return status;
	pthread_mutex_lock(&store->read_lock);
	status = mf_sqlite_newest(store->reader, &last, error);
	pthread_mutex_unlock(&store->read_lock);
	if (status != MF_OK)
		return status;
	if (state == MF_WATERMARK_GOOD)
		store->writer_stopped = watermark.sync_failed;
	int64_t synced = state == MF_WATERMARK_GOOD ? watermark.synced_lsn : atomic_load(&store->synced_lsn);
	atomic_store(&store->synced_lsn, synced < last ? synced : last);
	atomic_store(&store->last_lsn, last);
	return MF_OK;
}

static enum mf_status stats_counted(struct mf_sqlite *store, struct mf_store_stats *out, struct mf_error *error)
{
	enum mf_status status = store->counted ? MF_OK : count_base(store, error);
	if (status == MF_OK && store->read_only)
		status = look_at_writer(store, error);
	if (status != MF_OK)
		return status;
	struct mf_store_stats stats = {
		.synced_lsn = atomic_load(&store->synced_lsn),
		.epoch = store->epoch,
		.openings = store->openings,
		.snapshots = store->base_snapshots + atomic_load(&store->new_snapshots),
		.documents = store->base_documents + atomic_load(&store->new_documents),
		.bytes = file_size(store, store->db_path) + file_size(store, store->wal_path),
		.log_pages = atomic_load(&store->log_pages) - atomic_load(&store->log_done),
		.log_checkpoints = atomic_load(&store->checkpoints),
		.log_bytes = file_size(store, store->wal_path),
		.free_bytes = store->env->free_bytes(store->env->user, store->home),
		.writing = writing_of(store),
	};
	stats.last_lsn = atomic_load(&store->last_lsn);
	stats.events = stats.last_lsn - store->lost_events - atomic_load(&store->deleted_events);
	*out = stats;
	return MF_OK;
}

static enum mf_status sqlite_stats(struct mf_store *base, struct mf_store_stats *out, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_owner(store, error);
	if (status != MF_OK)
		return status;
	pthread_mutex_lock(&store->count_lock);
	status = stats_counted(store, out, error);
	pthread_mutex_unlock(&store->count_lock);
	return status;
}

/* ---- close ---- */

static enum mf_status settle(struct mf_sqlite *store, struct mf_error *error)
{
	if (atomic_load(&store->poisoned)) {
		mf_sqlite_check_writable(store, error);
		return mf_error_prefix(error, MF_ERR_IO, "closed as it is");
	}
	enum mf_status status = mf_sqlite_sync(&store->base, NULL, error);
	if (status != MF_OK)
		return status;
	status = mf_sqlite_checkpoint(store, true, error);
	/* Everything is on the device, in the log: a full disk only means that it stays there. */
	return status == MF_ERR_STORAGE_FULL ? MF_OK : status;
}

static enum mf_status sqlite_close(struct mf_store *base, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_owner(store, error);
	if (status != MF_OK) /* the parent's locks and files hang on that memory: left alone */
		return status;
	if (!store->read_only)
		status = settle(store, error);
	enum mf_status freed = mf_sqlite_free(store, status == MF_OK ? error : NULL);
	return status == MF_OK ? freed : status;
}

const struct mf_store_ops mf_sqlite_ops = {
	.size = sizeof(struct mf_store_ops),
	.name = "sqlite",
	.durable = true,
	.append_batch = mf_sqlite_append_batch,
	.sync = mf_sqlite_sync,
	.maintain = mf_sqlite_maintain,
	.load_since = mf_sqlite_load_since,
	.last_lsn = mf_sqlite_last_lsn,
	.find_key = mf_sqlite_find_key,
	.latest_snapshot = mf_sqlite_latest_snapshot,
	.snapshot_chunk = mf_sqlite_snapshot_chunk,
	.snapshot_finish = mf_sqlite_snapshot_finish,
	.compact = mf_sqlite_compact,
	.documents = mf_sqlite_documents,
	.snapshots = mf_sqlite_snapshots,
	.verify = mf_sqlite_verify,
	.stats = sqlite_stats,
	.close = sqlite_close,
	.load_checkpoint = mf_sqlite_load_checkpoint,
	.save_checkpoint = mf_sqlite_save_checkpoint,
	.checkpoints = mf_sqlite_checkpoints,
	.epoch_end = mf_sqlite_epoch_end,
	.backup = mf_sqlite_backup,
	.save_metrics = mf_sqlite_save_metrics,
	.load_metrics = mf_sqlite_load_metrics,
	.prune_snapshots = mf_sqlite_prune,
	.vacuum = mf_sqlite_vacuum,
};
