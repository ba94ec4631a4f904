#include "persist/sqlite_db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/inodes.h"
#include "persist/sqlite_log.h"

#define BUSY_TIMEOUT_MS 2000

struct mf_sql {
	sqlite3 *db;
	struct mf_inode *inode;
	struct mf_log_vfs *vfs;
	sqlite3_file *log;
	int64_t log_pages;
	bool starved; /* a rollback had no memory */
	int index_regions; /* of the log's index, that have room on the device: the number of the last one */
	enum mf_sql_mode mode;
	bool committing;
	struct mf_stmt *begin, *commit, *rollback; /* made at first use */
};

struct mf_stmt {
	struct mf_sql *sql;
	sqlite3_stmt *handle;
	int bind_rc;
};

/* ---- errors ---- */

bool mf_sql_out_of_space(int system_errno)
{
	return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG; /* EFBIG: the process may write no larger files */
}

static enum mf_status io_status(int extended, int system_errno)
{
	switch (extended) {
	case SQLITE_IOERR_NOMEM:
		return MF_ERR_NO_MEMORY;
	case SQLITE_IOERR_CORRUPTFS:
		return MF_ERR_CORRUPTED;
	case SQLITE_IOERR_FSYNC: /* also for ENOSPC: what the kernel dropped stays dropped */
	case SQLITE_IOERR_DIR_FSYNC:
		return MF_ERR_UNKNOWN_OUTCOME;
	default:
		break;
	}
	if (mf_sql_out_of_space(system_errno))
		return MF_ERR_STORAGE_FULL;
	switch (extended) {
	case SQLITE_IOERR_WRITE:
	case SQLITE_IOERR_TRUNCATE:
	case SQLITE_IOERR_CLOSE:
	case SQLITE_IOERR_DELETE:
		return MF_ERR_UNKNOWN_OUTCOME;
	default:
		return MF_ERR_IO;
	}
}

static enum mf_status status_of(int extended, int system_errno)
{
	switch (extended & 0xff) {
	case SQLITE_NOMEM: return MF_ERR_NO_MEMORY;
	case SQLITE_FULL: return MF_ERR_STORAGE_FULL;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL: return MF_ERR_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: return MF_ERR_CORRUPTED; /* our statements are sound: what they need is not in the database, or is another thing */
	case SQLITE_CONSTRAINT: return MF_ERR_DUPLICATE_KEY;
	case SQLITE_TOOBIG:
	case SQLITE_MISUSE: return MF_ERR_INVALID;
	case SQLITE_INTERRUPT: return MF_ERR_STATE;
	case SQLITE_IOERR: return io_status(extended, system_errno);
	default: return mf_sql_out_of_space(system_errno) ? MF_ERR_STORAGE_FULL : MF_ERR_IO;
	}
}

static const char *advice_for(enum mf_status status)
{
	switch (status) {
	case MF_ERR_STORAGE_FULL: return "; free some space, then go on";
	case MF_ERR_CORRUPTED: return "; run 'mf verify', restore a backup";
	case MF_ERR_UNKNOWN_OUTCOME: return "; check the device, then reopen the store and retry with the same keys";
	case MF_ERR_IO: return "; check the device and the permissions";
	case MF_ERR_BUSY: return "; another program holds the database file";
	default: return "";
	}
}

static int log_errno(struct mf_sql *sql)
{
	int code = 0;
	if (sql->log)
		sql->log->pMethods->xFileControl(sql->log, SQLITE_FCNTL_LAST_ERRNO, &code);
	return code;
}

/* The errno behind the last error. SQLite keeps it for the connection, but not when COMMIT fails: then it is still
 * that of an older error, and the log's file has to be asked. */
static int system_errno_of(struct mf_sql *sql, int extended)
{
	if (!sql->committing)
		return (extended & 0xff) == SQLITE_IOERR || (extended & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(sql->db) : 0;
	return extended == SQLITE_IOERR_WRITE ? log_errno(sql) : 0;
}

/* Which store it is about. */
static const char *file_of(const struct mf_sql *sql)
{
	const char *path = sql->db ? sqlite3_db_filename(sql->db, "main") : NULL;
	return path && path[0] ? path : "the database";
}

/* The version that one must know to write it, in its header: what SQLite cannot know it opens for reading only. */
#define WRITE_VERSION_AT 18
#define WRITE_VERSION_MAX 2

/* NULL: there is none, or it is not open yet. */
static sqlite3_file *database_file(struct mf_sql *sql)
{
	sqlite3_file *file = NULL;
	(void)sqlite3_file_control(sql->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	return file && file->pMethods ? file : NULL;
}

static bool says_read_only(struct mf_sql *sql)
{
	unsigned char version = 0;
	sqlite3_file *file = database_file(sql);
	return file && file->pMethods->xRead(file, &version, 1, WRITE_VERSION_AT) == SQLITE_OK && version > WRITE_VERSION_MAX;
}

/* The one translation of SQLite's errors. */
static enum mf_status translate_as(struct mf_sql *sql, int rc, const char *doing, bool opening, struct mf_error *error)
{
	int extended = sql->db ? sqlite3_extended_errcode(sql->db) : rc;
	if ((extended & 0xff) != (rc & 0xff))
		extended = rc;
	int system_errno = system_errno_of(sql, extended);
	enum mf_status status = status_of(extended, system_errno);
	if (opening && (extended & 0xff) == SQLITE_ERROR) /* nothing was read yet: an extension of the application refused it */
		status = MF_ERR_IO;
	else if (extended == SQLITE_READONLY && says_read_only(sql))
		status = MF_ERR_CORRUPTED;
	bool is_left = extended == SQLITE_READONLY_ROLLBACK && sql->mode == MF_SQL_READ; /* a writer hears it of a file that it could open for reading only */
	if (is_left)
		status = MF_ERR_BUSY;
	return mf_error_set(error, status, "%.220s: %s: %s (SQLite %d%s%s)%s", file_of(sql), doing, sql->db ? sqlite3_errmsg(sql->db) : sqlite3_errstr(rc), extended,
			    system_errno ? ", " : "", system_errno ? strerror(system_errno) : "",
			    is_left ? "; whoever was changing it ended before it was done: open the store for writing, which takes that back" : advice_for(status));
}

static enum mf_status translate(struct mf_sql *sql, int rc, const char *doing, struct mf_error *error)
{
	return translate_as(sql, rc, doing, false, error);
}

/* ---- life cycle ---- */

static int count_log_pages(void *user, sqlite3 *db, const char *name, int pages)
{
	(void)db;
	(void)name;
	((struct mf_sql *)user)->log_pages = pages;
	return SQLITE_OK;
}

static enum mf_status configure(struct mf_sql *sql, struct mf_error *error)
{
	int on = 0;
	int rc = sqlite3_extended_result_codes(sql->db, 1);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_timeout(sql->db, BUSY_TIMEOUT_MS);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(sql->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &on);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(sql->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &on);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(sql->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &on);
	if (rc != SQLITE_OK)
		return translate(sql, rc, "the connection could not be set up", error);
	sqlite3_wal_hook(sql->db, count_log_pages, sql); /* takes the place of the automatic checkpoint */
	return MF_OK;
}

/* Their directory, which is another's, may have no room, or be one that may not be written: that must not keep a sound store from being read. */
static enum mf_status keep_out_of_files(struct mf_sql *sql, struct mf_error *error)
{
	enum mf_status status = mf_sql_pragma(sql, "temp_store", "MEMORY", NULL, error);
	return status == MF_OK ? mf_sql_pragma(sql, "temp_store", NULL, "2", error) : status;
}

static enum mf_status connect_to(struct mf_sql *sql, const char *path, int flags, struct mf_error *error)
{
	int rc = sqlite3_open_v2(path, &sql->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, mf_log_vfs_name(sql->vfs));
	int most, len = rc == SQLITE_OK ? 0 : mf_log_vfs_too_long(sql->vfs, path, &most);
	if (len > 0)
		return mf_error_set(error, MF_ERR_INVALID, "%.200s...: the path is too long: whole and without symbolic links it has %d bytes, and SQLite takes %d; give the store a shorter one", path, len, most);
	return rc == SQLITE_OK ? configure(sql, error) : translate_as(sql, rc, "it could not be opened", true, error);
}

enum mf_status mf_sql_open(const char *path, const char *vfs, enum mf_sql_mode mode, struct mf_sql **out, struct mf_error *error)
{
	static const int flags[] = {
		[MF_SQL_READ] = SQLITE_OPEN_READONLY,
		[MF_SQL_WRITE] = SQLITE_OPEN_READWRITE,
		[MF_SQL_CREATE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	};
	struct mf_sql *sql = mf_calloc(1, sizeof(*sql));
	if (!sql)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while opening %s", path);
	sql->mode = mode;
	enum mf_status status = mf_inode_enter(path, &sql->inode, error);
	if (status == MF_OK)
		status = mf_log_vfs_new(vfs, mode != MF_SQL_READ, &sql->vfs, error);
	if (status == MF_OK)
		status = connect_to(sql, path, flags[mode], error);
	if (status == MF_OK)
		status = keep_out_of_files(sql, error);
	if (status != MF_OK) {
		mf_sql_close(sql, NULL);
		return status;
	}
	*out = sql;
	return MF_OK;
}

enum mf_status mf_sql_close(struct mf_sql *sql, struct mf_error *error)
{
	if (!sql)
		return MF_OK;
	mf_stmt_free(sql->begin);
	mf_stmt_free(sql->commit);
	mf_stmt_free(sql->rollback);
	enum mf_status status = MF_OK;
	int rc = sqlite3_close(sql->db);
	if (rc != SQLITE_OK) {
		status = translate(sql, rc, "it could not be closed", error);
		sqlite3_close_v2(sql->db);
		return status; /* what is still open in it needs the rest */
	}
	mf_log_vfs_free(sql->vfs);
	mf_inode_leave(sql->inode);
	mf_free(sql);
	return status;
}

/* ---- statements ---- */

enum mf_status mf_sql_exec(struct mf_sql *sql, const char *text, struct mf_error *error)
{
	int rc = sqlite3_exec(sql->db, text, NULL, NULL, NULL);
	return rc == SQLITE_OK ? MF_OK : translate(sql, rc, "a statement was refused", error);
}

enum mf_status mf_sql_prepare(struct mf_sql *sql, const char *text, struct mf_stmt **out, struct mf_error *error)
{
	struct mf_stmt *stmt = mf_calloc(1, sizeof(*stmt));
	if (!stmt)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while preparing a statement");
	stmt->sql = sql;
	int rc = sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt->handle, NULL);
	if (rc != SQLITE_OK) {
		enum mf_status status = translate(sql, rc, "a statement could not be prepared", error);
		mf_free(stmt);
		return status;
	}
	*out = stmt;
	return MF_OK;
}

bool mf_sql_starved(const struct mf_sql *sql) { return sql->starved; }

const char *mf_sql_file(const struct mf_sql *sql) { return file_of(sql); }

enum mf_status mf_sql_status_of_finding(const char *said)
{
	static const char mark[] = "error code=";
	const char *at = strstr(said, mark);
	enum mf_status status = at ? status_of((int)strtol(at + sizeof(mark) - 1, NULL, 10), 0) : MF_ERR_CORRUPTED;
	return status == MF_ERR_IO || status == MF_ERR_NO_MEMORY ? status : MF_ERR_CORRUPTED;
}

enum mf_status mf_sql_check_pages(struct mf_sql *sql, struct mf_error *error)
{
	bool row = false;
	struct mf_stmt *stmt = NULL;
	enum mf_status status = mf_sql_prepare(sql, "PRAGMA quick_check(1)", &stmt, error);
	if (status != MF_OK)
		return status;
	status = mf_stmt_step(stmt, &row, error);
	const char *said = status == MF_OK ? mf_stmt_text(stmt, 0, NULL) : NULL; /* it has a row: "ok", if nothing else */
	if (status == MF_OK && !said)
		status = mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while checking %.300s", file_of(sql));
	else if (status == MF_OK && strcmp(said, "ok") != 0) {
		status = mf_sql_status_of_finding(said);
		mf_error_set(error, status, "%.200s is damaged: SQLite says: %.200s%s", file_of(sql), said, advice_for(status));
	}
	mf_stmt_free(stmt);
	return status;
}

void mf_stmt_free(struct mf_stmt *stmt)
{
	if (!stmt)
		return;
	sqlite3_finalize(stmt->handle);
	mf_free(stmt);
}

static void note_bind(struct mf_stmt *stmt, int rc)
{
	if (rc != SQLITE_OK)
		stmt->bind_rc = rc;
}

void mf_stmt_bind_int(struct mf_stmt *stmt, int index, int64_t value)
{
	note_bind(stmt, sqlite3_bind_int64(stmt->handle, index, value));
}

void mf_stmt_bind_text(struct mf_stmt *stmt, int index, const char *text, size_t len)
{
	note_bind(stmt, text ? sqlite3_bind_text64(stmt->handle, index, text, len, SQLITE_STATIC, SQLITE_UTF8)
			     : sqlite3_bind_null(stmt->handle, index));
}

void mf_stmt_bind_blob(struct mf_stmt *stmt, int index, const void *bytes, size_t len)
{
	/* SQLite takes a NULL pointer for the value NULL, also when the length is 0. */
	note_bind(stmt, sqlite3_bind_blob64(stmt->handle, index, len ? bytes : "", len, SQLITE_STATIC));
}

enum mf_status mf_stmt_step(struct mf_stmt *stmt, bool *out_row, struct mf_error *error)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): what was prepared with MF_OK is there */
	int rc = stmt->bind_rc ? stmt->bind_rc : sqlite3_step(stmt->handle);
	if (rc == SQLITE_ROW) {
		*out_row = true;
		return MF_OK;
	}
	enum mf_status status = rc == SQLITE_DONE ? MF_OK : translate(stmt->sql, rc, "the database failed", error);
	mf_stmt_reset(stmt);
	if (status == MF_OK)
		*out_row = false;
	return status;
}

enum mf_status mf_stmt_run(struct mf_stmt *stmt, struct mf_error *error)
{
	bool row = true;
	enum mf_status status = MF_OK;
	while (status == MF_OK && row)
		status = mf_stmt_step(stmt, &row, error);
	return status;
}

void mf_stmt_reset(struct mf_stmt *stmt)
{
	stmt->bind_rc = SQLITE_OK;
	sqlite3_reset(stmt->handle);
}

int64_t mf_stmt_int(struct mf_stmt *stmt, int column)
{
	return sqlite3_column_int64(stmt->handle, column);
}

const char *mf_stmt_text(struct mf_stmt *stmt, int column, size_t *out_len)
{
	/* One flipped bit makes a text a blob of the same bytes, which SQL finds different: damage, as one that is missing. */
	bool blob = sqlite3_column_type(stmt->handle, column) == SQLITE_BLOB;
	const char *text = blob ? NULL : (const char *)sqlite3_column_text(stmt->handle, column);
	if (out_len)
		*out_len = blob ? 0 : (size_t)sqlite3_column_bytes(stmt->handle, column);
	return text;
}

const void *mf_stmt_blob(struct mf_stmt *stmt, int column, size_t *out_len)
{
	const void *bytes = sqlite3_column_blob(stmt->handle, column);
	*out_len = (size_t)sqlite3_column_bytes(stmt->handle, column);
	return bytes;
}

bool mf_stmt_no_memory(struct mf_stmt *stmt)
{
	return sqlite3_errcode(stmt->sql->db) == SQLITE_NOMEM;
}

void mf_sql_watch(struct mf_sql *sql, int (*tick)(void *user), void *user)
{
	sqlite3_progress_handler(sql->db, 1000, tick, user);
}

bool mf_sql_rest(struct mf_sql *sql)
{
	mf_sql_watch(sql, NULL, NULL);
	if (mf_sql_rollback(sql, NULL) != MF_OK)
		return false;
	sqlite3_db_release_memory(sql->db);
	return true;
}

#define INDEX_REGION 32768 /* of the log's index, store.db-shm */
#define INDEX_FRAMES_AT 4  /* mxFrame, as the fifth number: https://www.sqlite.org/walformat.html#the_wal_index_file_format */

int64_t mf_sql_index_frames(struct mf_sql *sql)
{
	void volatile *region = NULL;
	sqlite3_file *file = database_file(sql);
	if (file) /* with a log it has this method */
		(void)file->pMethods->xShmMap(file, 0, INDEX_REGION, 0, &region);
	return region ? (int64_t)((const volatile uint32_t *)region)[INDEX_FRAMES_AT] : -1;
}

uint32_t mf_sql_data_version(struct mf_sql *sql)
{
	unsigned version = 0;
	(void)sqlite3_file_control(sql->db, "main", SQLITE_FCNTL_DATA_VERSION, &version);
	return version;
}

int64_t mf_sql_changes(struct mf_sql *sql) { return sqlite3_changes64(sql->db); }

int64_t mf_sql_total_changes(struct mf_sql *sql) { return sqlite3_total_changes64(sql->db); }

/* ---- transactions ---- */

static enum mf_status run_cached(struct mf_sql *sql, struct mf_stmt **stmt, const char *text, struct mf_error *error)
{
	enum mf_status status = *stmt ? MF_OK : mf_sql_prepare(sql, text, stmt, error);
	return status == MF_OK ? mf_stmt_run(*stmt, error) : status;
}

static enum mf_status prepare_rollback(struct mf_sql *sql, struct mf_error *error)
{
	return sql->rollback ? MF_OK : mf_sql_prepare(sql, "ROLLBACK", &sql->rollback, error); /* so that it needs no memory */
}

enum mf_status mf_sql_begin_reading(struct mf_sql *sql, struct mf_error *error)
{
	enum mf_status status = prepare_rollback(sql, error);
	if (status == MF_OK && mf_sql_rollback(sql, NULL) != MF_OK) /* one before may have had no memory for it */
		status = mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading %.300s", file_of(sql));
	return status == MF_OK ? mf_sql_exec(sql, "BEGIN", error) : status;
}

/* The log's index has a region of 32 KiB for the first 4062 frames and for each 4096 after them
 * (https://www.sqlite.org/walformat.html). SQLite makes the next one in the middle of a COMMIT whose frames are written
 * already: without room the outcome would be unknown. So there is always one more than the log needs. */
#define INDEX_FRAMES 4096
#define INDEX_HEADER_FRAMES 34 /* whose place the header takes in the first one */

static enum mf_status reserve_index(struct mf_sql *sql, struct mf_error *error)
{
	int region = (int)((sql->log_pages + INDEX_HEADER_FRAMES) / INDEX_FRAMES) + 1;
	void volatile *unused;
	if (!sql->log || region <= sql->index_regions)
		return MF_OK;
	sqlite3_file *file = database_file(sql);
	if (!file || file->pMethods->iVersion < 2 || !file->pMethods->xShmMap)
		return MF_OK; /* then it is made when it is needed */
	errno = 0;
	int rc = file->pMethods->xShmMap(file, region, INDEX_REGION, 1, &unused);
	int code = errno;
	if (rc != SQLITE_OK) {
		enum mf_status status = status_of(rc, code);
		return mf_error_set(error, status, "%.220s-shm: it could not be made larger: %s (SQLite %d%s%s)%s", file_of(sql), sqlite3_errstr(rc), rc, code ? ", " : "", code ? strerror(code) : "", advice_for(status));
	}
	sql->index_regions = region;
	return MF_OK;
}

enum mf_status mf_sql_begin(struct mf_sql *sql, struct mf_error *error)
{
	enum mf_status status = prepare_rollback(sql, error);
	if (status == MF_OK)
		status = reserve_index(sql, error);
	if (sql->log)
		mf_log_forget_failure(sql->log);
	return status != MF_OK ? status : run_cached(sql, &sql->begin, sql->mode == MF_SQL_READ ? "BEGIN" : "BEGIN IMMEDIATE", error);
}

/* Frames of the transaction may lie in the log with a valid commit mark although COMMIT failed after writing
 * them. Only a refused write of the frames themselves, or not even a try, leaves none. */
static bool surely_absent(struct mf_sql *sql)
{
	int extended = sqlite3_extended_errcode(sql->db);
	if ((extended & 0xff) == SQLITE_FULL || (extended & 0xff) == SQLITE_BUSY)
		return true;
	return extended == SQLITE_IOERR_WRITE && mf_sql_out_of_space(system_errno_of(sql, extended));
}

/* Pages that did not fit into the cache could not be written to the log, and SQLite may not have noticed. */
static enum mf_status check_log(struct mf_sql *sql, struct mf_error *error)
{
	int rc = sql->log ? mf_log_failure(sql->log) : SQLITE_OK;
	if (rc == SQLITE_OK)
		return MF_OK;
	enum mf_status status = status_of(rc, (rc & 0xff) == SQLITE_IOERR ? log_errno(sql) : 0);
	return mf_error_set(error, status, "%.220s: a part of the transaction could not be written: %s (SQLite %d)%s", file_of(sql), sqlite3_errstr(rc), rc, advice_for(status));
}

enum mf_status mf_sql_commit(struct mf_sql *sql, struct mf_error *error)
{
	enum mf_status prepared = check_log(sql, error);
	if (prepared == MF_OK)
		prepared = prepare_rollback(sql, error);
	if (prepared == MF_OK && !sql->commit)
		prepared = mf_sql_prepare(sql, "COMMIT", &sql->commit, error);
	if (prepared != MF_OK) {
		enum mf_status undone = mf_sql_rollback(sql, NULL);
		return undone == MF_OK ? prepared : mf_error_set(error, undone, "a transaction could not be rolled back");
	}
	sql->committing = true;
	enum mf_status status = mf_stmt_run(sql->commit, error);
	if (status == MF_OK && sql->log && mf_log_write_out(sql->log) != SQLITE_OK) /* nothing is left there, unless SQLite changes its ways */
		status = mf_error_set(error, MF_ERR_UNKNOWN_OUTCOME, "the end of a commit could not be written");
	bool absent = status != MF_OK && surely_absent(sql);
	sql->committing = false;
	if (status == MF_OK || sql->mode == MF_SQL_READ)
		return status;
	if (mf_sql_rollback(sql, NULL) != MF_OK)
		absent = false;
	if (!absent && status != MF_ERR_UNKNOWN_OUTCOME) {
		mf_error_prefix(error, status, "a commit failed half-way");
		if (error)
			error->status = MF_ERR_UNKNOWN_OUTCOME;
	}
	return absent ? status : MF_ERR_UNKNOWN_OUTCOME;
}

enum mf_status mf_sql_rollback(struct mf_sql *sql, struct mf_error *error)
{
	if (sqlite3_get_autocommit(sql->db))
		return MF_OK;
	struct mf_error reason;
	for (int tries = 0; tries < 2; tries++) /* out of memory it may not even begin; what is left open would refuse all that follows */
		if (run_cached(sql, &sql->rollback, "ROLLBACK", &reason) == MF_OK || sqlite3_get_autocommit(sql->db))
			return MF_OK;
	sql->starved = reason.status == MF_ERR_NO_MEMORY;
	return mf_error_set(error, MF_ERR_UNKNOWN_OUTCOME, "a transaction could not be rolled back: %s", reason.message);
}

/* ---- the log ---- */

enum mf_status mf_sql_find_log(struct mf_sql *sql, struct mf_error *error)
{
	sqlite3_file *file = NULL;
	int rc = sqlite3_file_control(sql->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
	if (rc != SQLITE_OK)
		return translate(sql, rc, "the log's file could not be found", error);
	if (!file || !mf_log_is_one(file))
		return mf_error_set(error, MF_ERR_IO, "the database has no log file open");
	sql->log = file;
	return MF_OK;
}

enum mf_status mf_sql_sync_log(struct mf_sql *sql, struct mf_error *error)
{
	int rc = mf_log_sync(sql->log, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
	if (rc == SQLITE_OK)
		return MF_OK;
	return mf_error_set(error, MF_ERR_UNKNOWN_OUTCOME, "%.220s: syncing the log failed: %s (SQLite %d)%s", file_of(sql), sqlite3_errstr(rc), rc, advice_for(MF_ERR_UNKNOWN_OUTCOME));
}

int64_t mf_sql_log_pages(const struct mf_sql *sql) { return sql->log_pages; }

enum mf_status mf_sql_checkpoint(struct mf_sql *sql, bool truncate, int64_t *out_done, struct mf_error *error)
{
	int pages = 0, done = 0;
	/* Waiting for a reader would hold up every commit. */
	sqlite3_busy_timeout(sql->db, 0);
	int rc = sqlite3_wal_checkpoint_v2(sql->db, NULL, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &pages, &done);
	enum mf_status status = rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY ? MF_OK : translate(sql, rc, "copying the log into it failed", error);
	sqlite3_busy_timeout(sql->db, BUSY_TIMEOUT_MS);
	if (status != MF_OK)
		return status;
	sql->log_pages = pages < 0 ? 0 : pages;
	*out_done = done < 0 ? 0 : done;
	return MF_OK;
}
