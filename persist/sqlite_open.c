/* Opening a SQLite store.
 *
 * For writing: directory, lock, look at what is there, database, schema, compare with the watermark, new epoch
 * (committed and synced before the first append), go on with compactions that a crash interrupted. Nothing is
 * written before what is there was recognised, and nothing is created where something was.
 * For reading: neither lock nor write; works beside a writer, and after one. */
#include "persist/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/checksum.h"
#include "persist/fork_guard.h"
#include "persist/inodes.h"
#include "persist/sqlite_indexes.h"
#include "persist/sqlite_paths.h"

extern const struct mf_store_ops mf_sqlite_ops;

#define FIRST_PAGE 4096 /* bytes, unless SQLite was built otherwise */

/* What lies in the directory. */
struct presence {
	int64_t db_size, log_size, journal_size; /* 0: missing or empty */
	enum mf_watermark_state watermark_state;
	struct mf_watermark watermark;
};

/* ---- files ---- */

/* The directory is there, if there is one at all. */
static enum mf_status make_paths(struct mf_sqlite *store, struct mf_error *error)
{
	char home[MF_PATH_MAX];
	int result = store->env->resolve(store->env->user, store->dir, home);
	if (result == -ENOMEM)
		return mf_sqlite_os_failed(error, result, "look for", store->dir);
	store->home = mf_strdup(result < 0 ? store->dir : home); /* else whoever opens something there will say what is wrong */
	if (store->home) {
		store->db_path = mf_path_join(store->home, "store.db");
		store->wal_path = mf_path_join(store->home, "store.db-wal");
		store->index_path = mf_path_join(store->home, "store.db-shm");
		store->journal_path = mf_path_join(store->home, "store.db-journal");
		store->watermark_path = mf_path_join(store->home, "watermark");
		store->lock_path = mf_path_join(store->home, "lock");
		store->metrics_path = mf_path_join(store->home, "metrics");
	}
	bool made = store->home && store->db_path && store->wal_path && store->index_path && store->journal_path && store->watermark_path && store->lock_path && store->metrics_path;
	return made ? MF_OK : mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while opening %.300s", store->dir);
}

static enum mf_status make_dir(const struct mf_sqlite *store, struct mf_error *error)
{
	/* Documents may be private: nobody else reads them unless the owner says so. */
	int result = store->env->mkdir(store->env->user, store->dir, 0700);
	if (result == -EEXIST)
		return MF_OK;
	return result < 0 ? mf_sqlite_os_failed(error, result, "create the directory", store->dir) : mf_path_sync_parent(store->env, store->dir, error);
}

/* SQLite would make it readable for everybody; its log and index take over what the database has. And it would follow a link to nowhere, and
 * make the database and its log in another directory. */
static enum mf_status make_database_private(const struct mf_sqlite *store, struct mf_error *error)
{
	int fd = store->env->open(store->env->user, store->db_path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (fd == -ELOOP)
		return mf_error_set(error, MF_ERR_STATE, "%.300s is a symbolic link to a place that is not there, and a store is not made through a link; remove the link, or open the directory that it leads to",
				    store->db_path);
	if (fd < 0)
		return mf_sqlite_not_made(error, fd, "create the database", store->db_path);
	store->env->close(store->env->user, fd);
	return MF_OK;
}

static enum mf_status take_lock(struct mf_sqlite *store, struct mf_error *error)
{
	int fd = store->env->open(store->env->user, store->lock_path, O_RDWR | O_CREAT | MF_OPEN_TO_LOCK, 0600);
	if (fd < 0)
		return mf_sqlite_not_made(error, fd, "open the lock", store->lock_path);
	store->lock_fd = fd;
	int result = store->env->lock(store->env->user, fd);
	if (result == -EWOULDBLOCK)
		return mf_error_set(error, MF_ERR_LOCKED, "another process (or runtime) writes the store in %.300s; a store has one writer, open it for reading or stop the other", store->dir);
	return result < 0 ? mf_sqlite_os_failed(error, result, "lock", store->lock_path) : MF_OK;
}

static enum mf_status size_of(const struct mf_sqlite *store, const char *path, int64_t *out, struct mf_error *error)
{
	int64_t size = store->env->size(store->env->user, path);
	if (size < 0 && size != -ENOENT)
		return mf_sqlite_os_failed(error, (int)size, "look at", path);
	*out = size < 0 ? 0 : size;
	return MF_OK;
}

/* The watermark before the log, the log before the database: a writer beside us makes them, and moves them on, in
 * the opposite order. */
static enum mf_status look(struct mf_sqlite *store, struct presence *out, struct mf_error *error)
{
	enum mf_status status = mf_watermark_read(store->env, store->watermark_path, &out->watermark, &out->watermark_state, error);
	if (status == MF_OK)
		status = size_of(store, store->wal_path, &out->log_size, error);
	if (status == MF_OK)
		status = size_of(store, store->db_path, &out->db_size, error);
	if (status == MF_OK)
		status = size_of(store, store->journal_path, &out->journal_size, error);
	if (status != MF_OK || out->journal_size == 0 || out->db_size == 0 || out->watermark_state == MF_WATERMARK_MISSING)
		return status;
	return mf_sqlite_check_journal(store, error);
}

static enum mf_status set_loss(struct mf_error *error, int64_t expected, int64_t found)
{
	if (error) {
		error->expected = expected;
		error->found = found;
	}
	return MF_ERR_CORRUPTED;
}

static enum mf_status lost(const struct mf_sqlite *store, int64_t expected, int64_t found, struct mf_error *error)
{
	mf_error_set(error, MF_ERR_CORRUPTED,
		     "the store in %.200s holds events up to LSN %lld, but up to %lld were on the device: its files were damaged or deleted; restore a backup, or accept the loss "
		     "with 'mf verify --accept-loss'",
		     store->dir, (long long)found, (long long)expected);
	return set_loss(error, expected, found);
}

/* There is nothing to go on with, so no loss to accept either. */
static enum mf_status gone(const struct mf_sqlite *store, const struct presence *presence, struct mf_error *error)
{
	mf_error_set(error, MF_ERR_CORRUPTED, "the database %.200s is gone or empty, but events up to LSN %lld were on the device; restore a backup, or begin anew in another directory",
		     store->db_path, (long long)presence->watermark.synced_lsn);
	return set_loss(error, presence->watermark.synced_lsn, 0);
}

/* ---- is everything there? ---- */

/* What the next opening is called, and how far followers are set back, is learnt from these records. */
static enum mf_status check_its_epoch(struct mf_sql *sql, const struct mf_event *event, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, "SELECT 1 FROM epochs WHERE epoch = ?1", &stmt, error);
	if (status != MF_OK)
		return status;
	bool row;
	mf_stmt_bind_int(stmt, 1, event->epoch);
	status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK && !row)
		status = mf_sqlite_corrupted(error, event->doc_id, event->lsn, "there is no record of the opening that stored the event");
	mf_stmt_free(stmt);
	return status;
}

static enum mf_status check_newest_row(struct mf_sql *sql, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, "SELECT " MF_SQLITE_EVENT_COLUMNS " FROM events NOT INDEXED ORDER BY lsn DESC LIMIT 1", &stmt, error);
	if (status != MF_OK)
		return status;
	bool row;
	struct mf_event event;
	status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK && row)
		status = mf_sqlite_read_event(stmt, &event, error);
	if (status == MF_OK && row)
		status = check_its_epoch(sql, &event, error);
	mf_stmt_free(stmt);
	return status;
}

/* Recovery, and the next event of a document, believe the index of documents; a commit believes that of keys too, and that
 * the pages it writes to are sound. Of a store that is not too large all of that is looked at in each opening. Of a larger one
 * only that the index of documents has the newest events: the rest only verify sees. */
#define COMPARED_FOR_READING 10000 /* events: some milliseconds */
#define COMPARED_FOR_WRITING 50000 /* some hundredths of a second, as reading their keys takes in any case */
#define CHECKED_BYTES (16 << 20)   /* some hundredths of a second */
#define NEWEST_EVENTS "256"
#define NOT_IN_INDEX \
	"SELECT lsn, doc_id FROM (SELECT max(lsn) AS lsn, doc_id FROM (SELECT lsn, doc_id FROM events NOT INDEXED ORDER BY lsn DESC LIMIT " NEWEST_EVENTS ") GROUP BY doc_id) e" \
	" WHERE (SELECT max(lsn) FROM events i INDEXED BY ix_events_doc_lsn WHERE i.doc_id = e.doc_id) IS NOT e.lsn ORDER BY lsn DESC LIMIT 1"

static enum mf_status check_newest_in_index(struct mf_sql *sql, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, NOT_IN_INDEX, &stmt, error);
	if (status != MF_OK)
		return status;
	bool row;
	status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK && row)
		status = mf_sqlite_corrupted(error, mf_stmt_text(stmt, 1, NULL), mf_stmt_int(stmt, 0), "the index of documents does not have the event as its document's newest");
	mf_stmt_free(stmt);
	return status;
}

struct newest {
	int64_t found, expected, epoch, openings;
};

/* They are counted on from here; no store comes near their end but by damage. */
static enum mf_status check_numbers(const struct newest *newest, int64_t first_lsn, struct mf_error *error)
{
	const int64_t numbers[] = {newest->found, newest->epoch, newest->openings, first_lsn};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i] < 0 || numbers[i] >= INT64_MAX - 1)
			return mf_error_set(error, MF_ERR_CORRUPTED, "the newest LSN or epoch of the database is %lld, which is impossible: it is damaged; restore a backup", (long long)numbers[i]);
	return MF_OK;
}

/* What comes last names the least: the first says document and LSN. */
static enum mf_status check_for_reading(struct mf_sql *sql, const struct newest *newest, struct mf_error *error)
{
	enum mf_status status = check_newest_in_index(sql, error);
	return status == MF_OK && newest->found <= COMPARED_FOR_READING ? mf_sqlite_find_lost(sql, false, error) : status;
}

/* On a connection of its own: the writer's memory is for the pages that it writes. */
static enum mf_status check_for_writing(struct mf_sqlite *store, const struct presence *presence, const struct newest *newest, struct mf_error *error)
{
	struct mf_sql *sql;
	if (newest->found == 0)
		return MF_OK;
	enum mf_status status = mf_sqlite_open_reader(store, &sql, error);
	if (status != MF_OK)
		return status;
	status = check_newest_in_index(sql, error);
	if (status == MF_OK)
		status = mf_sqlite_check_few(sql, error);
	if (status == MF_OK && newest->found <= COMPARED_FOR_WRITING)
		status = mf_sqlite_find_lost(sql, true, error);
	if (status == MF_OK && presence->db_size <= CHECKED_BYTES)
		status = mf_sql_check_pages(sql, error);
	mf_sqlite_close_reader(store, sql, status == MF_OK);
	return status;
}

static enum mf_status find_newest(struct mf_sql *sql, const struct presence *presence, struct newest *out, struct mf_error *error)
{
	int64_t first = 0;
	enum mf_status status = mf_sql_begin_reading(sql, error); /* a writer may be beside us: one moment for all */
	if (status == MF_OK)
		status = mf_sqlite_find_end(sql, &out->found, &out->epoch, error);
	if (status == MF_OK) /* each opening wrote down what there was, and synced it */
		status = mf_sql_number(sql, "SELECT max(first_lsn) FROM epochs", &first, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, "SELECT count(*) FROM epochs", &out->openings, error);
	(void)mf_sql_rollback(sql, NULL);
	if (status == MF_OK)
		status = check_numbers(out, first, error);
	if (status != MF_OK)
		return status;
	out->expected = presence->watermark.synced_lsn;
	if (first - 1 > out->expected)
		out->expected = first - 1;
	return MF_OK;
}

static void note_watermark(struct mf_sqlite *store, const struct presence *presence, const struct newest *newest)
{
	bool missing = presence->watermark_state == MF_WATERMARK_MISSING, damaged = presence->watermark_state == MF_WATERMARK_DAMAGED;
	/* Missing in an empty store: nothing was there to be lost, and each opening so far may have been killed before it wrote one. */
	if ((missing && newest->found > 0) || (damaged && (newest->found > 0 || newest->epoch > 1)))
		snprintf(store->watermark_note, sizeof(store->watermark_note), "the watermark is %s: a loss before this opening would not be noticed", missing ? "missing" : "damaged");
	else if (newest->epoch < presence->watermark.epoch)
		snprintf(store->watermark_note, sizeof(store->watermark_note), "the watermark knows epoch %lld, the store only %lld: the end of the log was lost", (long long)presence->watermark.epoch,
			 (long long)newest->epoch);
}

/* ---- the new epoch ---- */

struct new_epoch {
	int64_t epoch, first_lsn, lost_from;
	const struct newest *newest; /* as this opening has found it */
};

static enum mf_status write_epoch(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	const struct new_epoch *from = user;
	int64_t newest = 0, epoch = 0;
	enum mf_status status = mf_sqlite_find_end(store->writer, &newest, &epoch, error);
	if (status != MF_OK)
		return status;
	if (newest != from->newest->found || epoch != from->newest->epoch)
		return mf_error_set(error, MF_ERR_LOCKED, "another process wrote to the store in %.250s while it was opened, though its lock was ours: was the file 'lock' deleted?", store->dir);
	return mf_sqlite_write_epoch(store, from->epoch, from->first_lsn, from->lost_from, error);
}

static enum mf_status sync_watermark(const struct mf_sqlite *store, struct mf_error *error)
{
	int result = store->env->fsync(store->env->user, store->watermark_fd);
	return result < 0 ? mf_sqlite_os_failed(error, result, "sync", store->watermark_path) : MF_OK;
}

static enum mf_status begin_epoch(struct mf_sqlite *store, const struct presence *presence, const struct newest *newest, struct mf_error *error)
{
	bool accepted = newest->found < newest->expected;
	struct new_epoch next = {
		.epoch = (newest->epoch > presence->watermark.epoch ? newest->epoch : presence->watermark.epoch) + 1,
		.first_lsn = (accepted ? newest->expected : newest->found) + 1,
		.lost_from = accepted ? newest->found + 1 : 0,
		.newest = newest,
	};
	int64_t keys = 0;
	enum mf_status status = mf_sql_number(store->writer, "SELECT EXISTS (SELECT 1 FROM compacted_keys)", &keys, error);
	store->any_compacted_keys = keys > 0;
	store->log_may_restart = true;
	if (status == MF_OK)
		status = mf_sql_find_log(store->writer, error);
	if (status == MF_OK)
		status = mf_sqlite_transact(store, write_epoch, &next, error);
	if (status == MF_OK) /* the names of the log and of the watermark too, whose errors SQLite does not report */
		status = mf_sqlite_sync_dir(store, error);
	if (status == MF_OK)
		status = mf_sqlite_sync(&store->base, NULL, error);
	if (status != MF_OK)
		return status;
	store->openings = newest->openings + 1;
	store->epoch = next.epoch; /* not before: the watermark must not know an epoch that may be lost */
	status = mf_sqlite_write_watermark(store, error);
	if (status != MF_OK)
		return status;
	/* It is on the device before there is anything to lose; from now on it is written over in place. Else a power loss leaves its
	 * name and no more, and the next opening could not tell that from damage. One that was there too: who wrote it may have been
	 * killed before this. */
	return sync_watermark(store, error);
}

static enum mf_status open_watermark(struct mf_sqlite *store, struct mf_error *error)
{
	int fd = store->env->open(store->env->user, store->watermark_path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return mf_sqlite_not_made(error, fd, "open the watermark", store->watermark_path);
	store->watermark_fd = fd;
	return MF_OK;
}

/* ---- after a failed sync ---- */

/* What the kernel could not write it may still show to readers, and takes for written: only the device counts. The watermark says
 * that a sync failed, unless it could not be written either: then a log is left, which no clean end leaves, and while a
 * store is made no watermark. What a log holds of the database is written to it again. */
static void forget_cache(const struct mf_sqlite *store, const struct presence *presence)
{
	if (presence->watermark.sync_failed || presence->watermark_state != MF_WATERMARK_GOOD)
		(void)store->env->drop_cache(store->env->user, store->db_path);
	if (presence->log_size > 0)
		(void)store->env->drop_cache(store->env->user, store->wal_path);
}

/* ---- opening ---- */

static enum mf_status open_for_writing(struct mf_sqlite *store, const struct mf_sqlite_options *options, struct mf_error *error)
{
	struct presence presence;
	struct newest newest;
	enum mf_status status = make_dir(store, error);
	if (status == MF_OK)
		status = make_paths(store, error);
	if (status == MF_OK)
		status = take_lock(store, error);
	if (status == MF_OK)
		status = look(store, &presence, error);
	if (status == MF_OK)
		status = mf_sqlite_refuse_other_names(store, error);
	if (status != MF_OK)
		return status;
	if (presence.db_size == 0 && (presence.watermark_state != MF_WATERMARK_MISSING || presence.log_size > 0))
		return gone(store, &presence, error);
	forget_cache(store, &presence);
	if (presence.db_size == 0)
		status = make_database_private(store, error);
	if (status == MF_OK)
		status = mf_sqlite_note_database(store, error);
	if (status == MF_OK)
		status = mf_sqlite_open_writer(store, presence.db_size > 0, presence.watermark_state != MF_WATERMARK_MISSING, error);
	if (status == MF_ERR_NOT_FOUND)
		return gone(store, &presence, error);
	mf_sqlite_note_opened(store);
	if (status == MF_OK)
		status = find_newest(store->writer, &presence, &newest, error);
	if (status == MF_OK) /* also when a loss is accepted: it must be a true one */
		status = mf_sqlite_check_epochs(store->writer, error);
	if (status != MF_OK)
		return status;
	note_watermark(store, &presence, &newest);
	if (newest.found < newest.expected && !options->accept_damage)
		return lost(store, newest.expected, newest.found, error);
	if (!options->accept_damage)
		status = check_newest_row(store->writer, error);
	if (status == MF_OK && !options->accept_damage)
		status = check_for_writing(store, &presence, &newest, error);
	if (status == MF_OK && presence.watermark.sync_failed && !options->accept_damage) {
		atomic_store(&store->last_lsn, newest.found);
		status = mf_store_verify(&store->base, NULL, NULL, error);
	}
	if (status == MF_OK)
		status = open_watermark(store, error);
	if (status == MF_OK)
		status = mf_sqlite_prepare_writer(store, error);
	store->epoch = presence.watermark.epoch; /* a failure from here on writes the watermark */
	atomic_store(&store->synced_lsn, presence.watermark.synced_lsn);
	if (status == MF_OK)
		status = begin_epoch(store, &presence, &newest, error);
	if (status == MF_OK)
		status = mf_sqlite_note_files(store, error);
	if (status == MF_OK && store->watermark_note[0])
		mf_logf(&store->logger, MF_LOG_WARNING, "the store in %.200s: %s; it was made anew", store->dir, store->watermark_note);
	if (status == MF_OK)
		status = mf_sqlite_open_reader(store, &store->reader, error);
	if (status == MF_OK)
		status = mf_sqlite_prepare_reads(store, error);
	return status == MF_OK ? mf_sqlite_resume_compactions(store, error) : status;
}

/* A writer beside us may have made the store, or just been writing the watermark, since we looked. It has one before it stores its first
 * event: one that is missing now is missing. */
static enum mf_status look_again(const struct mf_sqlite *store, struct presence *presence, struct newest *newest, struct mf_error *error)
{
	enum mf_status status = mf_watermark_read(store->env, store->watermark_path, &presence->watermark, &presence->watermark_state, error);
	return status == MF_OK ? find_newest(store->reader, presence, newest, error) : status; /* what it knows of is there before it */
}

static enum mf_status open_for_reading(struct mf_sqlite *store, const struct mf_sqlite_options *options, struct mf_error *error)
{
	struct presence presence;
	struct newest newest;
	enum mf_sqlite_identity identity = MF_SQLITE_OURS;
	enum mf_status status = make_paths(store, error);
	if (status == MF_OK)
		status = look(store, &presence, error);
	if (status != MF_OK)
		return status;
	bool had_watermark = presence.watermark_state != MF_WATERMARK_MISSING;
	if (presence.db_size == 0 && (had_watermark || presence.log_size > 0))
		return gone(store, &presence, error);
	if (presence.db_size == 0)
		return mf_error_set(error, MF_ERR_NOT_FOUND, "there is no store in %.300s", store->dir);
	status = mf_sqlite_note_database(store, error);
	if (status == MF_OK)
		status = mf_sqlite_open_reader(store, &store->reader, error);
	if (status == MF_OK)
		status = mf_sqlite_identify(store, store->reader, had_watermark, &identity, error);
	if (status == MF_ERR_NOT_FOUND && had_watermark)
		return gone(store, &presence, error);
	/* BUSY: with a rollback journal, which a creation writes before the log comes into use. One page has no store in it. */
	if (status == MF_ERR_BUSY && !had_watermark && presence.db_size <= FIRST_PAGE)
		status = MF_ERR_NOT_FOUND;
	if (status == MF_ERR_NOT_FOUND || (status == MF_OK && identity == MF_SQLITE_EMPTY))
		return mf_error_set(error, MF_ERR_NOT_FOUND, "there is no store in %.300s yet", store->dir);
	if (status == MF_OK)
		status = mf_sqlite_prepare_reads(store, error);
	if (status == MF_OK)
		status = find_newest(store->reader, &presence, &newest, error);
	if (status == MF_OK && presence.watermark_state != MF_WATERMARK_GOOD && newest.found > 0)
		status = look_again(store, &presence, &newest, error);
	if (status == MF_OK && !options->accept_damage)
		status = mf_sqlite_check_epochs(store->reader, error);
	if (status != MF_OK)
		return status;
	note_watermark(store, &presence, &newest);
	if (newest.found < newest.expected && !options->accept_damage)
		return lost(store, newest.expected, newest.found, error);
	if (!options->accept_damage)
		status = check_for_reading(store->reader, &newest, error);
	if (status != MF_OK)
		return status;
	if (newest.found < newest.expected)
		snprintf(store->watermark_note, sizeof(store->watermark_note), "events up to LSN %lld were on the device, the store holds them up to %lld", (long long)newest.expected, (long long)newest.found);
	store->epoch = newest.epoch;
	store->writer_stopped = presence.watermark.sync_failed;
	store->openings = newest.openings;
	atomic_store(&store->last_lsn, newest.found);
	atomic_store(&store->synced_lsn, presence.watermark.synced_lsn < newest.found ? presence.watermark.synced_lsn : newest.found);
	return MF_OK;
}

static pthread_mutex_t *lock_of(struct mf_sqlite *store, size_t i)
{
	pthread_mutex_t *const locks[] = {&store->compact_lock, &store->write_lock, &store->sync_lock, &store->watermark_lock, &store->poison_lock, &store->read_lock, &store->count_lock, &store->metrics_lock};
	return i < sizeof(locks) / sizeof(locks[0]) ? locks[i] : NULL;
}

static enum mf_status prepare_store(struct mf_sqlite *store, const struct mf_sqlite_options *options, struct mf_error *error)
{
	store->base.ops = &mf_sqlite_ops;
	store->env = mf_env_or_default(options->env);
	store->generation = mf_fork_generation();
	store->read_only = options->read_only;
	store->logger = options->logger;
	store->checkpoint_pages = options->checkpoint_pages ? options->checkpoint_pages : 1000;
	store->lock_fd = store->watermark_fd = store->metrics_fd = -1;
	for (size_t i = 0; lock_of(store, i); i++)
		pthread_mutex_init(lock_of(store, i), NULL);
	uint64_t seed;
	int result = store->env->random(store->env->user, &seed, sizeof(seed));
	if (result < 0)
		return mf_sqlite_os_failed(error, result, "get random numbers for", options->dir);
	store->dir = mf_strdup(options->dir);
	if (!store->dir || (!store->read_only && mf_heads_new(seed, &store->heads) != MF_OK)) /* only who appends asks them */
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while opening %.300s", options->dir);
	return MF_OK;
}

enum mf_status mf_sqlite_free(struct mf_sqlite *store, struct mf_error *error)
{
	for (size_t i = 0; i < MF_READ_STMTS; i++)
		mf_stmt_free(store->read[i]);
	for (size_t i = 0; i < MF_WRITE_STMTS; i++)
		mf_stmt_free(store->write[i]);
	mf_sql_close(atomic_load(&store->spare), NULL);
	enum mf_status status = mf_sql_close(store->reader, error);
	enum mf_status closed = mf_sql_close(store->writer, status == MF_OK ? error : NULL);
	mf_sqlite_close_files(store);
	for (size_t i = 0; lock_of(store, i); i++)
		pthread_mutex_destroy(lock_of(store, i));
	char *const paths[] = {store->dir, store->home, store->db_path, store->wal_path, store->index_path, store->journal_path, store->watermark_path, store->lock_path, store->metrics_path};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		mf_free(paths[i]);
	mf_heads_free(store->heads);
	mf_sqlite_close_keys(store);
	mf_free(store);
	return status == MF_OK ? closed : status;
}

enum mf_status mf_store_open_sqlite(const struct mf_sqlite_options *options, struct mf_store **out, struct mf_error *error)
{
	if (!options->dir || !options->dir[0])
		return mf_error_set(error, MF_ERR_INVALID, "a store needs a directory");
	enum mf_status status = mf_inodes_check(options->dir, error);
	if (status != MF_OK)
		return status;
	struct mf_sqlite *store = mf_calloc(1, sizeof(*store));
	if (!store)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while opening %.300s", options->dir);
	status = prepare_store(store, options, error);
	if (status == MF_OK)
		status = options->read_only ? open_for_reading(store, options, error) : open_for_writing(store, options, error);
	if (status != MF_OK) {
		bool starved = store->writer && mf_sql_starved(store->writer);
		mf_sqlite_free(store, NULL);
		/* Nobody has handed in an event yet, so nothing's outcome is unknown. */
		if (status == MF_ERR_UNKNOWN_OUTCOME) {
			status = starved ? MF_ERR_NO_MEMORY : MF_ERR_IO;
			if (error)
				error->status = status;
		}
		return status;
	}
	mf_sqlite_open_keys(store);
	*out = &store->base;
	return MF_OK;
}
