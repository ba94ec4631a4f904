/* Are the files that we have open still those of the store, and are we its only writer?
 *
 * A program that restores a copy over an open store, moves its directory, or deletes what it takes for a leftover leaves us with
 * files that no path leads to: all calls go well, and nothing of it is there at the next opening, not even a watermark that knew. And
 * who deletes the lock lets a second writer in. So what is acknowledged as synced was written to files that are at their paths at that
 * moment, and each transaction begins with the numbers that the last one of ours left.
 *
 * What cannot be asked (no permission to search a directory any more, say) says nothing against the files. */
#include "persist/sqlite_store.h"

#include <errno.h>
#include <string.h>

#include "persist/fork_guard.h"

#define LOG_HEADER 32
#define LOG_FRAME 24 /* beside its page; https://www.sqlite.org/fileformat2.html#walformat */

static const char *const names[MF_SQLITE_FILES] = {"store.db", "store.db-wal", "store.db-shm", "watermark", "lock"};

static const char *path_of(const struct mf_sqlite *store, enum mf_sqlite_file file)
{
	const char *const paths[MF_SQLITE_FILES] = {store->db_path, store->wal_path, store->index_path, store->watermark_path, store->lock_path};
	return paths[file];
}

static bool same(const struct mf_file_identity *a, const struct mf_file_identity *b)
{
	return a->device == b->device && a->number == b->number;
}

/* ---- what they are ---- */

/* What cannot be asked has the size -1, and no names. */
static int look_at(const struct mf_sqlite *store, enum mf_sqlite_file file, struct mf_file_identity *out)
{
	*out = (struct mf_file_identity){.size = -1};
	return store->env->identity(store->env->user, path_of(store, file), -1, out);
}

static enum mf_status note(struct mf_sqlite *store, enum mf_sqlite_file file, struct mf_error *error)
{
	int result = look_at(store, file, &store->files[file]);
	return result < 0 ? mf_sqlite_os_failed(error, result, "look at", path_of(store, file)) : MF_OK;
}

enum mf_status mf_sqlite_note_database(struct mf_sqlite *store, struct mf_error *error)
{
	return note(store, MF_SQLITE_FILE_DB, error);
}

enum mf_status mf_sqlite_refuse_other_names(const struct mf_sqlite *store, struct mf_error *error)
{
	struct mf_file_identity database;
	char path[MF_PATH_MAX];
	if (store->env->resolve(store->env->user, store->db_path, path) == 0 && strcmp(path, store->db_path) != 0)
		return mf_error_set(error, MF_ERR_STATE, "%.200s is a link to %.200s, whose directory has a log and a lock of its own; open that one", store->db_path, path);
	if (look_at(store, MF_SQLITE_FILE_DB, &database) < 0 || database.names <= 1)
		return MF_OK;
	return mf_error_set(error, MF_ERR_STATE,
			    "%.300s has %llu names (hard links): under another one it would be a store of its own with a log of its own, and each would lose what the other writes; "
			    "copy it, and give the copy this name",
			    store->db_path, (unsigned long long)database.names);
}

/* ---- are they still? ---- */

/* NULL, or what is wrong. */
static const char *wrong_with(const struct mf_sqlite *store, enum mf_sqlite_file file, struct mf_file_identity *now)
{
	const struct mf_file_identity *then = &store->files[file];
	int result = look_at(store, file, now);
	if (then->names == 0)
		return NULL;
	if (result == -ENOENT || result == -ENOTDIR)
		return "was moved or removed";
	return result < 0 || same(now, then) ? NULL : "was replaced by another";
}

void mf_sqlite_note_opened(struct mf_sqlite *store)
{
	(void)look_at(store, MF_SQLITE_FILE_LOG, &store->files[MF_SQLITE_FILE_LOG]);
	(void)look_at(store, MF_SQLITE_FILE_INDEX, &store->files[MF_SQLITE_FILE_INDEX]);
}

static enum mf_status note_or_compare(struct mf_sqlite *store, enum mf_sqlite_file file, struct mf_error *error)
{
	struct mf_file_identity now;
	const char *wrong = wrong_with(store, file, &now);
	if (wrong)
		return mf_error_set(error, MF_ERR_IO, "%s of the store in %.200s %s while it was opened; open it again", names[file], store->dir, wrong);
	if (store->files[file].names > 0)
		return MF_OK;
	enum mf_status status = note(store, file, error);
	return file == MF_SQLITE_FILE_INDEX ? MF_OK : status; /* a VFS may keep it in memory */
}

enum mf_status mf_sqlite_note_files(struct mf_sqlite *store, struct mf_error *error)
{
	enum mf_status status = mf_sql_number(store->writer, "PRAGMA page_size", &store->page_bytes, error);
	for (int file = 0; status == MF_OK && file < MF_SQLITE_FILES; file++)
		status = note_or_compare(store, (enum mf_sqlite_file)file, error);
	store->files_known = status == MF_OK;
	return status;
}

static bool is_enough(const struct mf_sqlite *store, int64_t size, int64_t pages)
{
	return size < 0 || pages == 0 || size >= LOG_HEADER + pages * (store->page_bytes + LOG_FRAME);
}

static int64_t index_frames(struct mf_sqlite *store)
{
	pthread_mutex_lock(&store->read_lock);
	int64_t frames = mf_sql_index_frames(store->reader);
	pthread_mutex_unlock(&store->read_lock);
	return frames;
}

/* Has the log the pages that it had before it was asked for its size? Checkpoints of other programs shorten it too, when all of it is
 * in the database; their index says so, if it says the same before and after. */
static bool log_is_whole(struct mf_sqlite *store, int64_t size, int64_t pages)
{
	if (is_enough(store, size, pages))
		return true;
	struct mf_file_identity now;
	int64_t frames;
	do {
		frames = index_frames(store);
		(void)look_at(store, MF_SQLITE_FILE_LOG, &now);
	} while (index_frames(store) != frames);
	return frames >= 0 && is_enough(store, now.size, frames);
}

/* A program that closes all descriptors that it does not know has ours written into whatever it opens next. */
bool mf_sqlite_is_ours(const struct mf_sqlite *store, int fd, const struct mf_file_identity *file)
{
	struct mf_file_identity now;
	int result = store->env->identity(store->env->user, NULL, fd, &now);
	return result < 0 ? result != -EBADF : same(&now, file);
}

static enum mf_status stop(struct mf_sqlite *store, enum mf_sqlite_file file, const char *what, struct mf_error *error)
{
	struct mf_error reason;
	mf_error_set(&reason, MF_ERR_UNKNOWN_OUTCOME,
		     "%s of the store in %.150s %s while the store was open: what was written since the last sync may be lost; put the files back, or restore a backup, open the store again and retry "
		     "with the same keys",
		     names[file], store->dir, what);
	mf_sqlite_stop(store, &reason);
	return mf_error_set(error, reason.status, "%s", reason.message);
}

enum mf_status mf_sqlite_check_files(struct mf_sqlite *store, struct mf_error *error)
{
	static const char closed[] = "was closed by somebody else in this process";
	if (!store->files_known)
		return MF_OK;
	int64_t pages = atomic_load(&store->log_pages); /* first: they become more beside us */
	struct mf_file_identity now[MF_SQLITE_FILES];
	for (int file = 0; file < MF_SQLITE_FILES; file++) {
		const char *wrong = wrong_with(store, (enum mf_sqlite_file)file, &now[file]);
		if (wrong)
			return stop(store, (enum mf_sqlite_file)file, wrong, error);
	}
	if (!log_is_whole(store, now[MF_SQLITE_FILE_LOG].size, pages))
		return stop(store, MF_SQLITE_FILE_LOG, "was cut short", error);
	if (!mf_sqlite_is_ours(store, store->watermark_fd, &store->files[MF_SQLITE_FILE_WATERMARK]))
		return stop(store, MF_SQLITE_FILE_WATERMARK, closed, error);
	return mf_sqlite_is_ours(store, store->lock_fd, &store->files[MF_SQLITE_FILE_LOCK]) ? MF_OK : stop(store, MF_SQLITE_FILE_LOCK, closed, error);
}

void mf_sqlite_close_files(struct mf_sqlite *store)
{
	/* What somebody else has closed may be theirs by now. */
	if (store->watermark_fd >= 0 && (!store->files_known || mf_sqlite_is_ours(store, store->watermark_fd, &store->files[MF_SQLITE_FILE_WATERMARK])))
		store->env->close(store->env->user, store->watermark_fd);
	if (store->metrics_fd >= 0 && mf_sqlite_is_ours(store, store->metrics_fd, &store->metrics))
		store->env->close(store->env->user, store->metrics_fd);
	if (store->lock_fd < 0 || mf_forked_since(store->generation)) /* a child closed it when it began */
		return;
	if (!store->files_known || mf_sqlite_is_ours(store, store->lock_fd, &store->files[MF_SQLITE_FILE_LOCK]))
		store->env->close(store->env->user, store->lock_fd); /* last: who waits for it may open now */
	else
		(void)mf_fork_forget_lock(store->lock_fd);
}

enum mf_status mf_sqlite_check_database(const struct mf_sqlite *store, struct mf_error *error)
{
	struct mf_file_identity now;
	const char *wrong = wrong_with(store, MF_SQLITE_FILE_DB, &now);
	return wrong ? mf_error_set(error, MF_ERR_IO, "store.db of the store in %.200s %s while the store was open; open it again", store->dir, wrong) : MF_OK;
}

/* ---- are we alone? ---- */

static enum mf_status look_who_wrote(struct mf_sqlite *store, struct mf_error *error)
{
	int64_t newest = 0, epoch = 0, last = atomic_load(&store->last_lsn);
	enum mf_status status = mf_sqlite_find_end(store->writer, &newest, &epoch, error);
	if (status != MF_OK || (newest == last && epoch == store->epoch))
		return status;
	struct mf_error reason;
	if (epoch != store->epoch)
		mf_error_set(&reason, MF_ERR_LOCKED, "another process has opened the store in %.200s for writing (epoch %lld, ours is %lld), though its lock was ours: was the file 'lock' deleted?", store->dir,
			     (long long)epoch, (long long)store->epoch);
	else
		mf_error_set(&reason, MF_ERR_CORRUPTED, "another program changed the store in %.200s: its newest event is LSN %lld, and was %lld; run 'mf verify', then restore a backup", store->dir,
			     (long long)newest, (long long)last);
	mf_sqlite_stop(store, &reason);
	mf_logf(&store->logger, MF_LOG_ERROR, "writes have stopped until the store is reopened: %.400s", reason.message); /* of a failed sync its caller tells */
	return mf_error_set(error, reason.status, "%s", reason.message);
}

enum mf_status mf_sqlite_check_alone(struct mf_sqlite *store, struct mf_error *error)
{
	uint32_t version = mf_sql_data_version(store->writer);
	if (!store->files_known || version == store->data_version)
		return MF_OK;
	enum mf_status status = look_who_wrote(store, error);
	if (status == MF_OK) /* a checkpoint of another program, or a transaction of ours that was rolled back */
		store->data_version = version;
	return status;
}
