/* Backup of a SQLite store: one file, the store at one moment.
 *
 * VACUUM INTO on a reading connection of its own: one read transaction, so it is consistent, and it holds up neither
 * commits nor syncs, in this process or in another. It does hold back checkpoints: the log grows by what is committed
 * meanwhile. It leaves out free pages, and with them what compaction deleted, and the copy is no database in WAL mode,
 * so that the one file is all of it. (sqlite3_backup begins anew whenever another process commits, and on the writer's
 * own connection every step would hold up the commits.)
 *
 * 1. A file of another name, in the same directory, private; VACUUM INTO fills it.
 * 2. What it holds is asked of the copy, not of the store, which has gone on.
 * 3. The mark is appended (backup_mark.h), the file synced, renamed, the directory synced.
 * Whatever fails removes the file. Nothing is written to the store. */
#include "persist/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/backup_mark.h"
#include "persist/sqlite_paths.h"

struct backup {
	struct mf_sqlite *store;
	const char *path;
	char *partial;
	mf_backup_progress *progress;
	void *user;
	int64_t total; /* bytes, about */
	bool stopped;
	int64_t newest_before;
	struct mf_backup_mark mark;
};

/* ---- the copy ---- */

static int tick(void *user)
{
	struct backup *backup = user;
	const struct mf_env *env = backup->store->env;
	int64_t size = env->size(env->user, backup->partial);
	backup->stopped = !backup->progress(backup->user, size < 0 ? 0 : size, backup->total);
	return backup->stopped;
}

/* SQLite speaks of the database, and advises what helps a store. */
static enum mf_status copy_failed(const struct backup *backup, enum mf_status status, const struct mf_error *reason, struct mf_error *error)
{
	if (backup->stopped)
		return mf_error_set(error, MF_ERR_STATE, "the backup %.300s was stopped, as was asked", backup->path);
	if (status == MF_ERR_UNKNOWN_OUTCOME) /* of the copy: the store was only read */
		status = MF_ERR_IO;
	const char *advice = status == MF_ERR_STORAGE_FULL ? "free some space there, or write it elsewhere" : status == MF_ERR_CORRUPTED ? "run 'mf verify'" : "look at the device, then try again";
	return mf_error_set(error, status, "the backup %.150s could not be written: %.*s; the store is as it was; %s", backup->path, (int)strcspn(reason->message, ";"), reason->message, advice);
}

static enum mf_status fill(struct backup *backup, struct mf_error *error)
{
	struct mf_sql *sql;
	int64_t pages = 0, page_size = 0, unused = 0;
	struct mf_error reason = {0};
	int64_t known = atomic_load(&backup->store->last_lsn);
	enum mf_status status = mf_sqlite_open_reader(backup->store, &sql, error);
	if (status != MF_OK)
		return status;
	status = mf_sqlite_newest(sql, &backup->newest_before, &reason);
	if (status == MF_OK && backup->newest_before < known)
		backup->newest_before = known;
	if (status == MF_OK)
		status = mf_sql_number(sql, "PRAGMA page_count", &pages, &reason);
	if (status == MF_OK)
		status = mf_sql_number(sql, "PRAGMA freelist_count", &unused, &reason);
	if (status == MF_OK)
		status = mf_sql_number(sql, "PRAGMA page_size", &page_size, &reason);
	backup->total = (pages - unused) * page_size;
	if (backup->progress)
		mf_sql_watch(sql, tick, backup);
	if (status == MF_OK)
		status = mf_sql_run_with(sql, "VACUUM INTO ?1", backup->partial, &reason);
	enum mf_status closed = mf_sql_close(sql, status == MF_OK ? &reason : NULL);
	status = status == MF_OK ? closed : status;
	return status == MF_OK ? MF_OK : copy_failed(backup, status, &reason, error);
}

/* ---- what it holds ---- */

static enum mf_status ask_copy(struct backup *backup, struct mf_error *error)
{
	struct mf_sql *sql;
	struct mf_backup_info *info = &backup->mark.info;
	enum mf_status status = mf_sql_open(backup->partial, backup->store->env->sqlite_vfs, MF_SQL_READ, &sql, error);
	if (status != MF_OK)
		return status;
	status = mf_sqlite_newest(sql, &info->lsn, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, "SELECT max(epoch) FROM epochs", &info->epoch, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, "SELECT count(*) FROM events NOT INDEXED", &info->events, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, MF_SQLITE_COUNT_DOCUMENTS, &info->documents, error);
	mf_sql_close(sql, NULL);
	if (status == MF_OK && info->lsn < backup->newest_before)
		status = mf_error_set(error, MF_ERR_CORRUPTED, "the backup %.200s ends at LSN %lld, the store held LSN %lld before: the copy is wrong; run 'mf verify', then try again", backup->path,
				      (long long)info->lsn, (long long)backup->newest_before);
	return status;
}

/* ---- the file ---- */

static enum mf_status make_partial(struct backup *backup, struct mf_error *error)
{
	const struct mf_env *env = backup->store->env;
	enum mf_status status = mf_path_check_free(env, backup->path, error);
	if (status != MF_OK)
		return status;
	int64_t size = env->size(env->user, backup->path);
	if (size >= 0 || size == -ENXIO)
		return mf_error_set(error, MF_ERR_INVALID, "%.300s exists already; a backup takes no file's place: give it another name", backup->path);
	status = mf_path_partial(env, backup->path, &backup->partial, error);
	if (status != MF_OK)
		return status;
	int fd = env->open(env->user, backup->partial, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {
		mf_free(backup->partial);
		backup->partial = NULL;
		return mf_sqlite_os_failed(error, fd, "create the backup", backup->path);
	}
	env->close(env->user, fd);
	return MF_OK;
}

/* And the journal that SQLite may not have been able to remove. */
static void remove_partial(const struct backup *backup)
{
	const struct mf_env *env = backup->store->env;
	size_t size = strlen(backup->partial) + sizeof("-journal");
	char *journal = mf_malloc(size);
	env->remove(env->user, backup->partial);
	if (journal) {
		snprintf(journal, size, "%s-journal", backup->partial);
		env->remove(env->user, journal);
	}
	mf_free(journal);
}

static enum mf_status seal(struct backup *backup, struct mf_error *error)
{
	const struct mf_env *env = backup->store->env;
	int fd = env->open(env->user, backup->partial, O_RDWR, 0);
	if (fd < 0)
		return mf_sqlite_os_failed(error, fd, "open the backup", backup->partial);
	int64_t size = env->size(env->user, backup->partial);
	int64_t now = env->wall_us(env->user);
	backup->mark.info.time_us = now < 0 ? 0 : now; /* a clock before 1970: a mark has no negative numbers */
	enum mf_status status = size < 0 ? mf_sqlite_os_failed(error, size, "look at", backup->partial) : mf_backup_mark_write(env, fd, size, backup->partial, &backup->mark, error);
	int result = status == MF_OK ? env->fsync(env->user, fd) : 0;
	int closed = env->close(env->user, fd);
	result = result < 0 ? result : closed;
	return status == MF_OK && result < 0 ? mf_sqlite_os_failed(error, result, "write the backup", backup->path) : status;
}

static enum mf_status publish(struct backup *backup, struct mf_error *error)
{
	const struct mf_env *env = backup->store->env;
	int result = env->rename(env->user, backup->partial, backup->path, false);
	if (result == -EEXIST)
		return mf_error_set(error, MF_ERR_INVALID, "%.300s has come into being meanwhile; a backup takes no file's place: give it another name", backup->path);
	if (result < 0)
		return mf_sqlite_os_failed(error, result, "give its name to the backup", backup->path);
	enum mf_status status = mf_path_sync_parent(env, backup->path, error);
	if (status != MF_OK) /* its name may not last */
		env->remove(env->user, backup->path);
	return status;
}

enum mf_status mf_sqlite_backup(struct mf_store *base, const char *path, mf_backup_progress *progress, void *user, struct mf_backup_info *out, struct mf_error *error)
{
	struct backup backup = {.store = mf_sqlite_of(base), .path = path, .progress = progress, .user = user};
	enum mf_status status = mf_sqlite_check_owner(backup.store, error);
	if (status == MF_OK)
		status = make_partial(&backup, error);
	if (status != MF_OK)
		return status;
	status = fill(&backup, error);
	if (status == MF_OK)
		status = ask_copy(&backup, error);
	if (status == MF_OK)
		status = seal(&backup, error);
	if (status == MF_OK)
		status = publish(&backup, error);
	if (status != MF_OK)
		remove_partial(&backup);
	mf_free(backup.partial);
	if (status == MF_OK && out)
		*out = backup.mark.info;
	return status;
}
