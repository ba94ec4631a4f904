/* A store again from a backup, all of it or up to an LSN.
 *
 * It comes into being in a directory of another name, beside the one that is wanted:
 * 1. The database is copied and its digest compared with the backup's mark: from there on every byte is what was backed up.
 * 2. With an LSN: what is up to it is copied, row by row, into a database that is made anew, and the copy of the backup removed (sqlite_cut.c).
 * 3. A watermark says what must be there, and it is opened for writing as any store: that compares the two, and begins an
 *    epoch. The old store may have had many epochs since the backup, and the backup may be restored twice, so the number
 *    jumps to microseconds since 1970, and up to a second on by chance, for clocks that stand still: (epoch, LSN) does not repeat,
 *    and whoever saw events of the other store finds that his epoch ended where this one begins.
 * 4. Everything is verified, closed, synced; then the directory gets its name.
 * Whatever fails removes the directory of the other name. */
#include "persist/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <moduforge/backup.h>
#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/backup_mark.h"
#include "persist/inodes.h"
#include "persist/sqlite_paths.h"

#define WHOLE "whole" /* the backup's database, where only a part of it is wanted */

struct restore {
	const struct mf_restore_options *options;
	const struct mf_env *env;
	char *partial; /* the directory; NULL: not made */
	struct mf_backup_mark mark;
	int64_t lsn; /* up to which */
	struct mf_backup_info info;
};

/* ---- the backup ---- */

static enum mf_status open_backup(const struct mf_env *env, const char *path, int *out_fd, struct mf_backup_mark *out, struct mf_error *error)
{
	int64_t size = env->size(env->user, path);
	if (size < 0)
		return mf_sqlite_os_failed(error, size, "look at the backup", path);
	int fd = env->open(env->user, path, O_RDONLY | O_NONBLOCK, 0); /* a pipe would wait for ever */
	if (fd < 0)
		return mf_sqlite_os_failed(error, fd, "open the backup", path);
	enum mf_status status = mf_backup_mark_read(env, fd, size, path, out, error);
	if (status == MF_OK)
		*out_fd = fd;
	else
		env->close(env->user, fd);
	return status;
}

enum mf_status mf_backup_look(const char *path, struct mf_backup_info *out, struct mf_error *error)
{
	int fd = -1;
	struct mf_backup_mark mark;
	const struct mf_env *env = mf_env_or_default(NULL);
	enum mf_status status = open_backup(env, path, &fd, &mark, error);
	if (status != MF_OK)
		return status;
	env->close(env->user, fd);
	*out = mark.info;
	return MF_OK;
}

static enum mf_status copy(const struct restore *restore, int from, int to, struct mf_error *error)
{
	uint8_t digest[16];
	const struct mf_restore_options *options = restore->options;
	struct mf_backup_reading reading = {
		.env = restore->env,
		.from = from,
		.to = to,
		.size = restore->mark.info.bytes - MF_BACKUP_MARK_LEN,
		.from_path = options->file,
		.to_path = options->dir,
		.progress = options->progress,
		.user = options->user,
	};
	enum mf_status status = mf_backup_read_through(&reading, digest, error);
	if (status != MF_OK || memcmp(digest, restore->mark.digest, sizeof(digest)) == 0)
		return status;
	return mf_error_set(error, MF_ERR_CORRUPTED, "the backup %.300s is damaged: its digest is not the one that it was given; use another", options->file);
}

/* ---- files of the new store ---- */

static enum mf_status create(const struct restore *restore, const char *name, int *out_fd, struct mf_error *error)
{
	char *path = mf_path_join(restore->partial, name);
	if (!path)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while restoring %.300s", restore->options->file);
	int fd = restore->env->open(restore->env->user, path, O_RDWR | O_CREAT | O_EXCL, 0600);
	enum mf_status status = fd < 0 ? mf_sqlite_os_failed(error, fd, "create", path) : MF_OK;
	mf_free(path);
	if (status == MF_OK)
		*out_fd = fd;
	return status;
}

static enum mf_status close_file(const struct restore *restore, int fd, enum mf_status status, struct mf_error *error)
{
	int result = restore->env->close(restore->env->user, fd);
	return status == MF_OK && result < 0 ? mf_sqlite_os_failed(error, result, "write to", restore->partial) : status;
}

static enum mf_status copy_database(const struct restore *restore, int from, struct mf_error *error)
{
	int to = -1;
	enum mf_status status = create(restore, restore->options->at_lsn ? WHOLE : "store.db", &to, error);
	return status == MF_OK ? close_file(restore, to, copy(restore, from, to, error), error) : status;
}

static enum mf_status choose_epoch(const struct restore *restore, int64_t *out, struct mf_error *error)
{
	uint32_t distance;
	int64_t epoch = restore->mark.info.epoch, now_us = restore->env->wall_us(restore->env->user);
	int result = restore->env->random(restore->env->user, &distance, sizeof(distance));
	if (result < 0)
		return mf_sqlite_os_failed(error, result, "get random numbers for", restore->options->dir);
	if (epoch > INT64_MAX / 2)
		return mf_error_set(error, MF_ERR_CORRUPTED, "the backup %.300s has no epochs left", restore->options->file);
	*out = (epoch > now_us ? epoch : now_us) + 1 + distance % (1u << 20);
	return MF_OK;
}

static enum mf_status write_watermark(const struct restore *restore, struct mf_error *error)
{
	int fd = -1;
	struct mf_watermark watermark = {.synced_lsn = restore->lsn};
	enum mf_status chosen = choose_epoch(restore, &watermark.epoch, error);
	if (chosen != MF_OK)
		return chosen;
	enum mf_status status = create(restore, "watermark", &fd, error);
	return status == MF_OK ? close_file(restore, fd, mf_watermark_write(restore->env, fd, &watermark, error), error) : status;
}

/* Every file that a store has, or a failed one may have; the last is the directory. */
static const char *const file_names[] = {WHOLE, "store.db", "store.db-wal", "store.db-shm", "store.db-journal", "watermark", "lock", "."};
#define FILES (sizeof(file_names) / sizeof(file_names[0]))
#define ITSELF (FILES - 1) /* the directory */

static void remove_partial(const struct restore *restore)
{
	for (size_t i = 0; i + 1 < FILES; i++) {
		char *path = mf_path_join(restore->partial, file_names[i]);
		if (path)
			restore->env->remove(restore->env->user, path);
		mf_free(path);
	}
	restore->env->remove(restore->env->user, restore->partial);
}

static enum mf_status sync_files(const struct restore *restore, struct mf_error *error)
{
	for (size_t i = 0; i < FILES; i++) {
		char *path = mf_path_join(restore->partial, file_names[i]);
		if (!path)
			return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while restoring %.300s", restore->options->file);
		int fd = restore->env->open(restore->env->user, path, i == ITSELF ? O_RDONLY | O_DIRECTORY : O_RDONLY, 0);
		int result = fd == -ENOENT ? 0 : fd < 0 ? fd : restore->env->fsync(restore->env->user, fd);
		if (fd >= 0)
			restore->env->close(restore->env->user, fd);
		enum mf_status status = result < 0 ? mf_sqlite_os_failed(error, result, "sync", path) : MF_OK;
		mf_free(path);
		if (status != MF_OK)
			return status;
	}
	return MF_OK;
}

/* ---- up to an LSN ---- */

static enum mf_status cut(const struct restore *restore, const char *whole, const char *database, struct mf_error *error)
{
	int fd = -1;
	enum mf_status status = create(restore, "store.db", &fd, error); /* ours alone to read, before SQLite makes it */
	if (status == MF_OK)
		status = close_file(restore, fd, status, error);
	if (status == MF_OK)
		status = mf_sqlite_cut(restore->env, whole, database, restore->lsn, error);
	if (status != MF_OK)
		return status;
	int result = restore->env->remove(restore->env->user, whole); /* what is left out is not in the directory either */
	return result < 0 ? mf_sqlite_os_failed(error, result, "remove", whole) : MF_OK;
}

static enum mf_status leave_out(const struct restore *restore, struct mf_error *error)
{
	if (restore->options->at_lsn == 0)
		return MF_OK;
	char *whole = mf_path_join(restore->partial, WHOLE), *database = mf_path_join(restore->partial, "store.db");
	enum mf_status status = MF_ERR_NO_MEMORY;
	if (whole && database)
		status = cut(restore, whole, database, error);
	else
		mf_error_set(error, status, "out of memory while restoring %.300s", restore->options->file);
	mf_free(whole);
	mf_free(database);
	return status;
}

static enum mf_status check_compactions(const struct restore *restore, struct mf_sql *sql, struct mf_error *error)
{
	int64_t first = 0;
	enum mf_status status = mf_sql_number(sql, "SELECT max(compacted_upto) FROM compactions", &first, error);
	if (status != MF_OK || first <= restore->lsn)
		return status;
	mf_error_set(error, MF_ERR_NOT_FOUND, "%.200s cannot be restored to LSN %lld: compaction has deleted what that needs; the first LSN that is possible is %lld", restore->options->file,
		     (long long)restore->lsn, (long long)first);
	if (error)
		error->lsn = first;
	return MF_ERR_NOT_FOUND;
}

/* ---- the store ---- */

struct findings {
	int64_t count, lsn; /* lsn of the first */
	char first[256];
};

static void note(void *user, const struct mf_damage *damage)
{
	struct findings *findings = user;
	if (strcmp(damage->what, "follower") == 0) /* no event is lost: it is told everything again */
		return;
	if (findings->count++ > 0)
		return;
	findings->lsn = damage->lsn;
	snprintf(findings->first, sizeof(findings->first), "%.*s", (int)strcspn(damage->message, ";"), damage->message);
}

/* The bytes are those that were backed up: the store was damaged before. */
static enum mf_status check(struct mf_sqlite *store, struct mf_error *error)
{
	struct findings findings = {0};
	enum mf_status status = mf_sqlite_verify(&store->base, note, &findings, error);
	if (findings.count == 0 || status == MF_ERR_IO)
		return status == MF_ERR_CORRUPTED ? MF_OK : status; /* it has followers to tell of at the most */
	mf_error_set(error, MF_ERR_CORRUPTED, "the store was damaged when it was backed up (findings: %lld): %s; use an older backup, or restore this one up to an LSN below the damage",
		     (long long)findings.count, findings.first);
	if (error)
		error->lsn = findings.lsn;
	return MF_ERR_CORRUPTED;
}

static enum mf_status count(struct restore *restore, struct mf_sqlite *store, struct mf_error *error)
{
	struct mf_backup_info *info = &restore->info;
	*info = (struct mf_backup_info){.lsn = restore->lsn, .epoch = store->epoch, .time_us = restore->mark.info.time_us};
	enum mf_status status = mf_sql_number(store->writer, "SELECT count(*) FROM events NOT INDEXED", &info->events, error);
	return status == MF_OK ? mf_sql_number(store->writer, MF_SQLITE_COUNT_DOCUMENTS, &info->documents, error) : status;
}

static enum mf_status settle(struct restore *restore, struct mf_sqlite *store, struct mf_error *error)
{
	store->watermark_note[0] = '\0'; /* that its epoch is ahead was our doing */
	enum mf_status status = check_compactions(restore, store->writer, error);
	if (status == MF_OK)
		status = check(store, error);
	return status == MF_OK ? count(restore, store, error) : status;
}

static enum mf_status make_store(struct restore *restore, struct mf_error *error)
{
	struct mf_store *store;
	enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = restore->partial, .env = restore->env}, &store, error);
	if (status != MF_OK)
		return status;
	status = settle(restore, mf_sqlite_of(store), error);
	enum mf_status closed = mf_store_close(store, status == MF_OK ? error : NULL);
	return status == MF_OK ? closed : status;
}

/* The new store's outcome is known: it is not there. */
static enum mf_status store_failed(const struct restore *restore, enum mf_status status, struct mf_error *error)
{
	mf_error_prefix(error, status, "restoring %.150s", restore->options->file);
	if (status == MF_ERR_UNKNOWN_OUTCOME)
		status = MF_ERR_IO;
	if (error)
		error->status = status;
	return status;
}

static enum mf_status publish(struct restore *restore, struct mf_error *error)
{
	const struct mf_env *env = restore->env;
	char *database = mf_path_join(restore->partial, "store.db");
	if (!database)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while restoring %.300s", restore->options->file);
	restore->info.bytes = env->size(env->user, database);
	mf_free(database);
	int result = env->rename(env->user, restore->partial, restore->options->dir, true);
	if (result < 0)
		return mf_sqlite_os_failed(error, result, "give its name to the store", restore->options->dir);
	enum mf_status status = mf_path_sync_parent(env, restore->options->dir, error);
	if (status != MF_OK) /* its name may not last */
		env->rename(env->user, restore->options->dir, restore->partial, true);
	return status;
}

static enum mf_status fill(struct restore *restore, int from, struct mf_error *error)
{
	enum mf_status status = copy_database(restore, from, error);
	if (status == MF_OK)
		status = write_watermark(restore, error);
	if (status != MF_OK)
		return status;
	status = leave_out(restore, error);
	if (status == MF_OK)
		status = make_store(restore, error);
	if (status != MF_OK)
		return store_failed(restore, status, error);
	status = sync_files(restore, error);
	return status == MF_OK ? publish(restore, error) : status;
}

static enum mf_status make_partial(struct restore *restore, struct mf_error *error)
{
	char *partial;
	enum mf_status status = mf_path_partial(restore->env, restore->options->dir, &partial, error);
	if (status != MF_OK)
		return status;
	int result = restore->env->mkdir(restore->env->user, partial, 0700);
	if (result < 0) {
		mf_free(partial);
		return mf_sqlite_os_failed(error, result, "create the directory", restore->options->dir);
	}
	restore->partial = partial;
	return MF_OK;
}

/* ---- checks before anything is made ---- */

static enum mf_status check_dir(const struct restore *restore, struct mf_error *error)
{
	const char *dir = restore->options->dir;
	int empty = restore->env->is_empty(restore->env->user, dir);
	if (empty == 1 || empty == -ENOENT)
		return MF_OK;
	if (empty == 0 || empty == -ENOTDIR)
		return mf_error_set(error, MF_ERR_INVALID, "%.300s is %s; a store is restored into a directory that is new or empty", dir, empty == 0 ? "not empty" : "no directory");
	return mf_sqlite_os_failed(error, empty, "look at", dir);
}

static enum mf_status choose_lsn(struct restore *restore, struct mf_error *error)
{
	int64_t last = restore->mark.info.lsn, at = restore->options->at_lsn;
	restore->lsn = at ? at : last;
	if (at <= last)
		return MF_OK;
	return mf_error_set(error, MF_ERR_NOT_FOUND, "the backup %.300s ends at LSN %lld: LSN %lld is not in it", restore->options->file, (long long)last, (long long)at);
}

enum mf_status mf_store_restore(const struct mf_restore_options *options, struct mf_backup_info *out_info, struct mf_error *error)
{
	int from = -1;
	struct restore restore = {.options = options, .env = mf_env_or_default(options->env)};
	if (!options->file || !options->file[0] || !options->dir || !options->dir[0] || options->at_lsn < 0)
		return mf_error_set(error, MF_ERR_INVALID, "restoring needs a file, a directory, and an LSN from 1 on (or 0: all)");
	enum mf_status status = mf_inodes_check(options->dir, error);
	if (status == MF_OK)
		status = check_dir(&restore, error);
	if (status == MF_OK)
		status = open_backup(restore.env, options->file, &from, &restore.mark, error);
	if (status != MF_OK)
		return status;
	status = choose_lsn(&restore, error);
	if (status == MF_OK)
		status = make_partial(&restore, error);
	if (status == MF_OK)
		status = fill(&restore, from, error);
	if (status != MF_OK && restore.partial)
		remove_partial(&restore);
	restore.env->close(restore.env->user, from);
	mf_free(restore.partial);
	if (status == MF_OK && out_info)
		*out_info = restore.info;
	return status;
}
