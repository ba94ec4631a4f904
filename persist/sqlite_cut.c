/* A database up to an LSN, made anew from the rows of a backup.
 *
 * Nothing of the backup is changed or believed but the rows up to the LSN: they are read from the tables themselves, and
 * written to empty ones, whose indexes they make. So an index that was damaged is whole again, and what lies behind the LSN, damaged as it
 * may be, is not even read. Rows are copied as they are: each has its checksum, and whoever opens and verifies the new database finds
 * what is wrong with them. What he could not find is told here: a row that has no place of its own beside the others, and an end that is missing.
 *
 * The backup is of any version: what a newer one adds is there and empty, and the opening fills it, as in an old store. */
#include "persist/sqlite_store.h"

#include <stdio.h>
#include <string.h>

#define WHOLE_EVENTS "FROM whole.events e NOT INDEXED WHERE e.lsn <= ?1"

/* IGNORE: what is passed over leaves a hole in the numbers, or in the number of followers. A damaged number leads back into what was copied: only
 * the first is it. A base_lsn that the backup does not have is the 0 beside the table. */
static const char *const copies[] = {
	"INSERT OR IGNORE INTO main.events (" MF_SQLITE_EVENT_COLUMNS ") SELECT " MF_SQLITE_EVENT_COLUMNS " " WHOLE_EVENTS " ORDER BY e.lsn",
	"INSERT OR IGNORE INTO main.compacted_keys (lsn, idempotency_key, content_hash, checksum)"
	" SELECT lsn, idempotency_key, content_hash, checksum FROM whole.compacted_keys NOT INDEXED WHERE lsn <= ?1 ORDER BY lsn",
	"INSERT OR ABORT INTO main.snapshots (" MF_SQLITE_SNAPSHOT_COLUMNS ") SELECT s.doc_id, s.upto_lsn, s.created_at, s.state_blob, s.version, s.state_len, s.chunks, s.take, s.checksum,"
	" (SELECT base_lsn FROM whole.snapshots b WHERE b.rowid = s.rowid) FROM (SELECT 0 AS base_lsn) CROSS JOIN whole.snapshots s NOT INDEXED WHERE s.upto_lsn <= ?1 ORDER BY s.rowid",
	"INSERT OR ABORT INTO main.snapshot_chunks (doc_id, upto_lsn, take, chunk, bytes, checksum)"
	" SELECT doc_id, upto_lsn, take, chunk, bytes, checksum FROM whole.snapshot_chunks NOT INDEXED WHERE upto_lsn <= ?1 ORDER BY rowid",
	"INSERT OR ABORT INTO main.epochs (epoch, first_lsn, lost_from, checksum) SELECT epoch, first_lsn, lost_from, checksum FROM whole.epochs WHERE first_lsn <= ?1 + 1",
	"INSERT OR ABORT INTO main.compactions (" MF_SQLITE_COMPACTION_COLUMNS ") SELECT " MF_SQLITE_COMPACTION_COLUMNS " FROM whole.compactions WHERE ?1 > 0",
};

#define COPY_FOLLOWERS "INSERT OR IGNORE INTO main.followers (name, epoch, lsn, checksum) SELECT name, epoch, lsn, checksum FROM whole.followers WHERE ?1 > 0"

static enum mf_status prepare_with(struct mf_sql *sql, const char *text, int64_t lsn, struct mf_stmt **out, struct mf_error *error)
{
	enum mf_status status = mf_sql_prepare(sql, text, out, error);
	if (status == MF_OK)
		mf_stmt_bind_int(*out, 1, lsn);
	return status;
}

static enum mf_status run_with(struct mf_sql *sql, const char *text, int64_t lsn, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = prepare_with(sql, text, lsn, &stmt, error);
	if (status != MF_OK)
		return status;
	status = mf_stmt_run(stmt, error);
	mf_stmt_free(stmt);
	return status;
}

/* ---- the new database ---- */

/* It is nobody's yet: a failure removes it, so its journal need not outlive the process. */
static enum mf_status set_up(struct mf_sql *sql, const char *from, struct mf_error *error)
{
	enum mf_status status = mf_sql_pragma(sql, "cache_size", "-64000", NULL, error);
	if (status == MF_OK)
		status = mf_sql_pragma(sql, "journal_mode", "MEMORY", "memory", error);
	return status == MF_OK ? mf_sql_run_with(sql, "ATTACH ?1 AS whole", from, error) : status;
}

/* With the version of the backup: the opening adds what came later. */
static enum mf_status write_schema(struct mf_sql *sql, struct mf_error *error)
{
	char marks[96];
	int64_t id = 0, version = 0;
	enum mf_status status = mf_sql_number(sql, "PRAGMA whole.application_id", &id, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, "PRAGMA whole.user_version", &version, error);
	snprintf(marks, sizeof(marks), "; PRAGMA main.application_id = %lld; PRAGMA main.user_version = %lld", (long long)id, (long long)version);
	if (status == MF_OK)
		status = mf_sql_exec(sql, MF_SQLITE_SCHEMA MF_SQLITE_ADDITIONS MF_SQLITE_ADD_BASE_LSN, error);
	return status == MF_OK ? mf_sql_exec(sql, marks, error) : status;
}

/* ---- rows ---- */

static bool is_sound(struct mf_stmt *epoch)
{
	return mf_stmt_int(epoch, 3) == mf_sqlite_epoch_checksum(mf_stmt_int(epoch, 0), mf_stmt_int(epoch, 1), mf_stmt_int(epoch, 2));
}

/* The LSN may lie in a loss that was accepted: the loss then ends with it. */
static enum mf_status keep_loss(struct mf_sql *sql, int64_t lsn, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = prepare_with(sql, "SELECT epoch, first_lsn, lost_from, checksum FROM whole.epochs WHERE lost_from > 0 AND lost_from <= ?1 AND first_lsn > ?1 + 1", lsn, &stmt, error);
	if (status != MF_OK)
		return status;
	for (bool row = true; row && status == MF_OK;) {
		status = mf_stmt_step(stmt, &row, error);
		if (status == MF_OK && row && is_sound(stmt)) /* else what it explains is missing */
			status = mf_sqlite_insert_epoch(sql, mf_stmt_int(stmt, 0), lsn + 1, mf_stmt_int(stmt, 2), error);
	}
	mf_stmt_free(stmt);
	return status;
}

static enum mf_status copy_followers(struct mf_sql *sql, int64_t lsn, struct mf_error *error)
{
	int64_t there = 0;
	enum mf_status status = mf_sql_number(sql, "SELECT count(*) FROM whole.sqlite_master WHERE type = 'table' AND name = 'followers'", &there, error);
	return status == MF_OK && there ? run_with(sql, COPY_FOLLOWERS, lsn, error) : status;
}

static enum mf_status copy_rows(struct mf_sql *sql, int64_t lsn, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]) && status == MF_OK; i++)
		status = run_with(sql, copies[i], lsn, error);
	if (status == MF_OK)
		status = keep_loss(sql, lsn, error);
	return status == MF_OK ? copy_followers(sql, lsn, error) : status;
}

/* ---- is everything there? ---- */

/* The first event that cannot be read, or does not fit its checksum. */
static enum mf_status check_events(struct mf_sql *sql, int64_t lsn, struct mf_error *error)
{
	struct mf_stmt *stmt;
	struct mf_event event = {0};
	enum mf_status status = prepare_with(sql, "SELECT " MF_SQLITE_EVENT_COLUMNS " " WHOLE_EVENTS " ORDER BY e.lsn", lsn, &stmt, error);
	if (status != MF_OK)
		return status;
	for (bool row = true; row && status == MF_OK;) {
		status = mf_stmt_step(stmt, &row, error);
		if (status == MF_ERR_CORRUPTED)
			mf_sqlite_corrupted(error, NULL, event.lsn + 1, "the event cannot be read");
		else if (status == MF_OK && row)
			status = mf_sqlite_read_event(stmt, &event, error);
	}
	mf_stmt_free(stmt);
	return status;
}

#define PASSED_OVER "SELECT e.doc_id, e.lsn " WHOLE_EVENTS " AND NOT EXISTS (SELECT 1 FROM main.events k NOT INDEXED WHERE k.lsn = e.lsn) ORDER BY e.lsn LIMIT 1"

/* One of two events with one key was passed over: the one whose key was changed need not be that. */
static enum mf_status check_all_there(struct mf_sql *sql, int64_t lsn, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = prepare_with(sql, PASSED_OVER, lsn, &stmt, error);
	if (status != MF_OK)
		return status;
	bool row = false;
	status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK && row) {
		status = check_events(sql, lsn, error);
		if (status == MF_OK)
			status = mf_sqlite_corrupted(error, mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1), "the event's key is also that of another one, or one of its values is missing");
	}
	mf_stmt_free(stmt);
	return status;
}

/* An opening would take the one before for the newest. */
static enum mf_status check_end(struct mf_sql *sql, int64_t lsn, struct mf_error *error)
{
	int64_t newest = 0;
	enum mf_status status = mf_sqlite_newest(sql, &newest, error);
	if (status == MF_OK && newest < lsn)
		status = mf_sqlite_corrupted(error, NULL, newest + 1, "the event is missing");
	return status;
}

static enum mf_status fill(struct mf_sql *sql, int64_t lsn, struct mf_error *error)
{
	enum mf_status named, status = mf_sql_exec(sql, "BEGIN", error);
	if (status == MF_OK)
		status = write_schema(sql, error);
	if (status == MF_OK)
		status = copy_rows(sql, lsn, error);
	if (status == MF_ERR_CORRUPTED && (named = check_events(sql, lsn, error)) != MF_OK) /* SQLite does not say of which row */
		status = named;
	if (status == MF_OK)
		status = check_all_there(sql, lsn, error);
	if (status == MF_OK)
		status = check_end(sql, lsn, error);
	return status == MF_OK ? mf_sql_exec(sql, "COMMIT", error) : status;
}

/* The bytes are those that were backed up. */
static enum mf_status was_damaged(const struct mf_error *found, struct mf_error *error)
{
	mf_error_set(error, MF_ERR_CORRUPTED, "the store was damaged when it was backed up: %.*s; use an older backup, or restore this one up to an LSN below the damage",
		     (int)strcspn(found->message, ";"), found->message);
	if (error)
		error->lsn = found->lsn;
	return MF_ERR_CORRUPTED;
}

enum mf_status mf_sqlite_cut(const struct mf_env *env, const char *from, const char *to, int64_t lsn, struct mf_error *error)
{
	struct mf_sql *sql;
	struct mf_error found = {0};
	enum mf_status status = mf_sql_open(to, env->sqlite_vfs, MF_SQL_CREATE, &sql, error);
	if (status != MF_OK)
		return status;
	status = set_up(sql, from, &found);
	if (status == MF_OK)
		status = fill(sql, lsn, &found);
	enum mf_status closed = mf_sql_close(sql, status == MF_OK ? &found : NULL);
	status = status == MF_OK ? closed : status;
	if (status == MF_ERR_CORRUPTED || status == MF_ERR_DUPLICATE_KEY) /* the latter of rows of which there is one by each name */
		return was_damaged(&found, error);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "%s", found.message);
}
