/* The database of a store: which statements it prepares, how a connection is set up, whether a file is a store of
 * ours, and how an empty one becomes one. */
#include "persist/sqlite_store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TABLES 6

enum mf_status mf_sqlite_os_failed(struct mf_error *error, int64_t result, const char *doing, const char *path)
{
	int code = (int)-result;
	enum mf_status status = code == ENOENT ? MF_ERR_NOT_FOUND : mf_sql_out_of_space(code) ? MF_ERR_STORAGE_FULL : code == ENOMEM ? MF_ERR_NO_MEMORY : MF_ERR_IO;
	const char *what = code == ENXIO ? "it is not a plain file, but a directory, a FIFO, a socket or a device" : strerror(code);
	const char *advice = status == MF_ERR_STORAGE_FULL ? "; free some space, then go on" : status == MF_ERR_IO ? "; check the path, the permissions and the device" : "";
	return mf_error_set(error, status, "cannot %s %.300s: %s%s", doing, path, what, advice);
}

/* The directory is there: only a link leads to where nothing can be made. That is no store's absence. */
enum mf_status mf_sqlite_not_made(struct mf_error *error, int result, const char *doing, const char *path)
{
	if (result != -ENOENT)
		return mf_sqlite_os_failed(error, result, doing, path);
	return mf_error_set(error, MF_ERR_IO, "cannot %s %.300s: it, or its directory, is a symbolic link to a place that is not there; remove the link, or make what it leads to", doing, path);
}

static enum mf_status prepare_all(struct mf_sql *sql, const char *const *texts, struct mf_stmt **out, size_t count, struct mf_error *error)
{
	for (size_t i = 0; i < count; i++) {
		enum mf_status status = mf_sql_prepare(sql, texts[i], &out[i], error);
		if (status != MF_OK)
			return status;
	}
	return MF_OK;
}

#define FIND_KEY "SELECT " MF_SQLITE_EVENT_COLUMNS " FROM events WHERE idempotency_key = ?1"
#define FIND_COMPACTED_KEY "SELECT lsn, idempotency_key, content_hash, checksum FROM compacted_keys WHERE idempotency_key = ?1"

/* OR ABORT: a conflict clause that somebody gave the table would pass over a row, or delete another, and say that all is well. */
static const char *const write_texts[MF_WRITE_STMTS] = {
	[MF_WRITE_EVENT] = "INSERT OR ABORT INTO events (" MF_SQLITE_EVENT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
	[MF_WRITE_FIND_KEY] = FIND_KEY,
	[MF_WRITE_FIND_COMPACTED_KEY] = FIND_COMPACTED_KEY,
	[MF_WRITE_HEAD] = "SELECT newest, (SELECT doc_id = ?1 FROM events NOT INDEXED WHERE lsn = newest) FROM (SELECT max(lsn) AS newest FROM events WHERE doc_id = ?1)",
	[MF_WRITE_CHAIN] = MF_SQLITE_COMPACTION_OF,
	[MF_WRITE_CHUNK] = "INSERT OR ABORT INTO snapshot_chunks (doc_id, upto_lsn, take, chunk, bytes, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[MF_WRITE_SNAPSHOT] = "INSERT OR ABORT INTO snapshots (" MF_SQLITE_SNAPSHOT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
};

static const char *const read_texts[MF_READ_STMTS] = {
	[MF_READ_DOC_EVENTS] = "SELECT " MF_SQLITE_EVENT_COLUMNS " FROM events INDEXED BY ix_events_doc_lsn WHERE doc_id = ?3 AND lsn > ?1 ORDER BY lsn LIMIT ?2",
	[MF_READ_DENSE_EVENTS] = "SELECT " MF_SQLITE_EVENT_COLUMNS " FROM events NOT INDEXED WHERE lsn > ?1 AND lsn <= ?4 AND doc_id = ?3 ORDER BY lsn LIMIT ?2",
	[MF_READ_ALL_EVENTS] = "SELECT " MF_SQLITE_EVENT_COLUMNS " FROM events NOT INDEXED WHERE lsn > ?1 ORDER BY lsn LIMIT ?2",
	[MF_READ_KEY] = FIND_KEY,
	[MF_READ_COMPACTED_KEY] = FIND_COMPACTED_KEY,
	[MF_READ_HEAD] = "SELECT max(lsn) FROM events WHERE doc_id = ?1",
	[MF_READ_CHAIN] = MF_SQLITE_COMPACTION_OF,
	[MF_READ_EXPLAIN] = MF_SQLITE_EXPLAIN_HOLE,
	[MF_READ_SNAPSHOT] = "SELECT " MF_SQLITE_READ_SNAPSHOT " FROM " MF_SQLITE_SNAPSHOTS " WHERE s.doc_id = ?1 AND s.upto_lsn <= ?2 ORDER BY s.upto_lsn DESC LIMIT 1",
	[MF_READ_CHUNKS] = MF_SQLITE_CHUNKS_OF,
};

enum mf_status mf_sqlite_not_ours(const struct mf_sqlite *store, struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_INVALID, "%.300s is not a store of ModuForge; give the directory of one, or an empty one", store->db_path);
}

/* What changes or refuses rows behind our back: no version of this library makes such things. */
#define COUNT_FOREIGN "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' OR (type = 'index' AND sql LIKE 'CREATE UNIQUE %')"

enum mf_status mf_sqlite_identify(const struct mf_sqlite *store, struct mf_sql *sql, bool had_watermark, enum mf_sqlite_identity *out, struct mf_error *error)
{
	int64_t id = 0, version = 0, tables = 0, ours = 0, foreign = 0;
	enum mf_status status = mf_sql_begin_reading(sql, error); /* it may be coming into being just now */
	if (status == MF_OK)
		status = mf_sql_number(sql, "PRAGMA application_id", &id, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, "PRAGMA user_version", &version, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, "SELECT count(*) FROM sqlite_master", &tables, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN"
				       " ('events', 'snapshots', 'snapshot_chunks', 'epochs', 'compactions', 'compacted_keys')", &ours, error);
	if (status == MF_OK)
		status = mf_sql_number(sql, COUNT_FOREIGN, &foreign, error);
	if (mf_sql_rollback(sql, NULL) != MF_OK && status == MF_OK) /* what comes next would be refused for being in a transaction */
		status = mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory after looking at %.300s", store->db_path);
	if (status != MF_OK)
		return status;
	*out = MF_SQLITE_OURS;
	if (id == 0 && tables == 0 && !had_watermark) { /* its creation was interrupted before it was one */
		*out = MF_SQLITE_EMPTY;
		return MF_OK;
	}
	if (id == 0 && tables == 0)
		return MF_ERR_NOT_FOUND;
	if (id != MF_SQLITE_APPLICATION_ID)
		return mf_sqlite_not_ours(store, error);
	if (version > MF_SQLITE_VERSION)
		return mf_error_set(error, MF_ERR_INVALID, "the store in %.200s was written by a newer version (format %lld, this one knows %d); use that one", store->dir, (long long)version, MF_SQLITE_VERSION);
	if (version < 1 || ours != TABLES)
		return mf_error_set(error, MF_ERR_CORRUPTED, "the database of the store in %.200s lacks tables; restore a backup", store->dir);
	if (foreign > 0)
		return mf_error_set(error, MF_ERR_CORRUPTED, "the database of the store in %.200s has triggers or unique indexes (%lld) that are not ours and could change what is stored;"
				    " drop them with sqlite3 (.schema shows them), or restore a backup", store->dir, (long long)foreign);
	return MF_OK;
}

static enum mf_status set_pragmas(struct mf_sql *sql, const char *cache_size, struct mf_error *error)
{
	enum mf_status status = mf_sql_pragma(sql, "mmap_size", "0", "0", error);
	if (status == MF_OK)
		status = mf_sql_pragma(sql, "cache_size", cache_size, NULL, error);
	if (status == MF_OK)
		status = mf_sql_pragma(sql, "cache_size", NULL, cache_size, error);
	if (status == MF_OK)
		status = mf_sql_pragma(sql, "cell_size_check", "ON", NULL, error);
	if (status == MF_OK)
		status = mf_sql_pragma(sql, "cell_size_check", NULL, "1", error);
	return status;
}

static enum mf_status set_synchronous(struct mf_sql *sql, const char *level, const char *number, struct mf_error *error)
{
	enum mf_status status = mf_sql_pragma(sql, "synchronous", level, NULL, error);
	return status == MF_OK ? mf_sql_pragma(sql, "synchronous", NULL, number, error) : status;
}

static enum mf_status set_writer_pragmas(struct mf_sql *sql, struct mf_error *error)
{
	enum mf_status status = set_pragmas(sql, "-64000", error);
	if (status == MF_OK)
		status = set_synchronous(sql, "FULL", "2", error);
	if (status == MF_OK)
		status = mf_sql_pragma(sql, "journal_mode", "WAL", "wal", error);
	if (status == MF_OK)
		status = mf_sql_pragma(sql, "secure_delete", "FAST", "2", error);
	return status;
}

enum mf_status mf_sqlite_sync_dir(const struct mf_sqlite *store, struct mf_error *error)
{
	int result = mf_env_sync_dir(store->env, store->home);
	return result < 0 ? mf_sqlite_os_failed(error, result, "sync the directory", store->dir) : MF_OK;
}

#define ADDED \
	"SELECT (SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'followers')" \
	" + 2 * (SELECT count(*) FROM pragma_table_info('snapshots') WHERE name = 'base_lsn')"
#define ADDED_BASE_LSN 2
#define ADDED_ALL 3

/* What came with versions 2 and 3, as far as it is not there. */
static enum mf_status add_additions(struct mf_sqlite *store, bool count, struct mf_error *error)
{
	int64_t version = 0, added = 0;
	enum mf_status status = mf_sql_number(store->writer, "PRAGMA user_version", &version, error);
	if (status == MF_OK)
		status = mf_sql_number(store->writer, ADDED, &added, error);
	if (status == MF_OK)
		status = mf_sql_exec(store->writer, MF_SQLITE_ADDITIONS, error);
	if (status == MF_OK && !(added & ADDED_BASE_LSN))
		status = mf_sql_exec(store->writer, MF_SQLITE_ADD_BASE_LSN, error);
	if (status == MF_OK && count && version < MF_SQLITE_COUNTS_FOLLOWERS) /* else the table was lost, and its rows stay missing */
		status = mf_sqlite_count_followers(store->writer, error);
	return status;
}

static enum mf_status write_schema(struct mf_sqlite *store, enum mf_sqlite_identity identity, bool count, struct mf_error *error)
{
	char marks[96];
	snprintf(marks, sizeof(marks), "PRAGMA application_id = %d; PRAGMA user_version = %d", MF_SQLITE_APPLICATION_ID, MF_SQLITE_VERSION);
	enum mf_status status = mf_sql_begin(store->writer, error);
	if (status != MF_OK)
		return status;
	status = identity == MF_SQLITE_EMPTY ? mf_sql_exec(store->writer, MF_SQLITE_SCHEMA, error) : MF_OK;
	if (status == MF_OK)
		status = add_additions(store, count, error);
	if (status == MF_OK)
		status = mf_sql_exec(store->writer, marks, error);
	if (status == MF_OK)
		return mf_sql_commit(store->writer, error);
	(void)mf_sql_rollback(store->writer, NULL);
	return status;
}

/* Into the database file, so that a lost log cannot take the tables with it. The name of the log first: SQLite keeps it only where it made
 * the log itself, not where that was made by a process which was killed, and without the log a checkpoint that is cut short leaves a
 * database that cannot be read. */
static enum mf_status settle_schema(struct mf_sqlite *store, struct mf_error *error)
{
	int64_t done;
	enum mf_status status = mf_sqlite_sync_dir(store, error);
	return status == MF_OK ? mf_sql_checkpoint(store->writer, false, &done, error) : status;
}

/* All tables, or those that an older store lacks. Under synchronous=FULL: under NORMAL a power cut can lose the tables
 * themselves. */
static enum mf_status create_schema(struct mf_sqlite *store, enum mf_sqlite_identity identity, struct mf_error *error)
{
	/* The journal with which the database came into use is gone for good before the log has anything: found again beside it, it
	 * would make the database empty, and a log beside an empty one looks like a store whose database was lost. */
	enum mf_status status = identity == MF_SQLITE_EMPTY ? mf_sqlite_sync_dir(store, error) : MF_OK;
	if (status == MF_OK)
		status = write_schema(store, identity, true, error);
	if (status == MF_ERR_CORRUPTED) /* which was accepted: without their number followers are missing */
		status = write_schema(store, identity, false, error);
	return status == MF_OK ? settle_schema(store, error) : status;
}

enum mf_status mf_sqlite_open_writer(struct mf_sqlite *store, bool exists, bool had_watermark, struct mf_error *error)
{
	enum mf_sqlite_identity identity = MF_SQLITE_EMPTY;
	enum mf_status status = mf_sql_open(store->db_path, store->env->sqlite_vfs, exists ? MF_SQL_WRITE : MF_SQL_CREATE, &store->writer, error);
	if (status == MF_OK && exists)
		status = mf_sqlite_identify(store, store->writer, had_watermark, &identity, error);
	if (status == MF_OK)
		status = set_writer_pragmas(store->writer, error);
	if (status != MF_OK || (identity == MF_SQLITE_OURS && had_watermark))
		return status;
	/* Who made the tables may have been killed before that: with a watermark beside it a database without tables is a loss. */
	return identity == MF_SQLITE_OURS ? settle_schema(store, error) : create_schema(store, identity, error);
}

enum mf_status mf_sqlite_prepare_writer(struct mf_sqlite *store, struct mf_error *error)
{
	int64_t version = 0, added = 0;
	enum mf_status status = mf_sql_number(store->writer, "PRAGMA user_version", &version, error);
	if (status == MF_OK)
		status = mf_sql_number(store->writer, ADDED, &added, error);
	if (status == MF_OK && (version < MF_SQLITE_VERSION || added != ADDED_ALL))
		status = create_schema(store, MF_SQLITE_OURS, error);
	if (status == MF_OK)
		status = set_synchronous(store->writer, "NORMAL", "1", error);
	return status == MF_OK ? prepare_all(store->writer, write_texts, store->write, MF_WRITE_STMTS, error) : status;
}

enum mf_status mf_sqlite_open_reader(struct mf_sqlite *store, struct mf_sql **out, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	struct mf_sql *sql = atomic_exchange(&store->spare, NULL);
	if (!sql) {
		status = mf_sql_open(store->db_path, store->env->sqlite_vfs, MF_SQL_READ, &sql, error);
		if (status != MF_OK)
			return status;
		status = set_pragmas(sql, "-2000", error);
	}
	if (status == MF_OK)
		status = mf_sqlite_check_database(store, error);
	if (status != MF_OK) {
		mf_sql_close(sql, NULL);
		return status;
	}
	*out = sql;
	return MF_OK;
}

void mf_sqlite_close_reader(struct mf_sqlite *store, struct mf_sql *sql, bool sound)
{
	struct mf_sql *none = NULL;
	if (sql && !(sound && mf_sql_rest(sql) && atomic_compare_exchange_strong(&store->spare, &none, sql)))
		mf_sql_close(sql, NULL);
}

enum mf_status mf_sqlite_prepare_reads(struct mf_sqlite *store, struct mf_error *error)
{
	return prepare_all(store->reader, read_texts, store->read, MF_READ_STMTS, error);
}
