#include "persist/sqlite_indexes.h"

#include <stdio.h>

#include "persist/sqlite_store.h"

struct indexes {
	struct mf_sql *sql;
	mf_indexes_tell *tell;
	void *user;
};

/* ---- as many entries as rows ---- */

struct counted {
	const char *table, *what;
	const char *rows; /* how many the table has */
	struct {
		const char *name, *entries; /* how many the index has */
	} indexes[3];
};

#define ROWS(column, table) "SELECT count(" column ") FROM " table " NOT INDEXED"
#define ENTRIES(column, table, index) "SELECT count(" column ") FROM " table " INDEXED BY " index

static const struct counted tables[] = {
	{"events", "events", ROWS("epoch", "events"),
	 {{"documents", ENTRIES("doc_id", "events", "ix_events_doc_lsn")}, {"keys", ENTRIES("idempotency_key", "events", MF_SQLITE_KEY_INDEX)}}},
	{"compacted_keys", "compacted events", ROWS("checksum", "compacted_keys"),
	 {{"compacted keys", ENTRIES("idempotency_key", "compacted_keys", MF_SQLITE_COMPACTED_KEY_INDEX)}}},
	{"snapshots", "snapshots", ROWS("checksum", "snapshots"),
	 {{"snapshots", ENTRIES("doc_id", "snapshots", MF_SQLITE_SNAPSHOT_INDEX)}, {"snapshots by time", ENTRIES("doc_id", "snapshots", "ix_snapshots_doc_created")}}},
	{"snapshot_chunks", "chunks", ROWS("checksum", "snapshot_chunks"), {{"chunks", ENTRIES("doc_id", "snapshot_chunks", MF_SQLITE_CHUNK_INDEX)}}},
};

static enum mf_status compare_counts(const struct indexes *indexes, const struct counted *table, struct mf_error *error)
{
	char message[160];
	int64_t rows = 0;
	enum mf_status status = mf_sql_number(indexes->sql, table->rows, &rows, error);
	for (size_t i = 0; status == MF_OK && table->indexes[i].name; i++) {
		int64_t entries = 0;
		status = mf_sql_number(indexes->sql, table->indexes[i].entries, &entries, error);
		if (status != MF_OK || entries == rows)
			continue;
		snprintf(message, sizeof(message), "the index of %s has %lld entries for %lld %s", table->indexes[i].name, (long long)entries, (long long)rows, table->what);
		indexes->tell(indexes->user, "index", NULL, 0, message);
	}
	return status;
}

static enum mf_status check_counts(const struct indexes *indexes, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && status == MF_OK; i++) {
		status = mf_sql_begin_reading(indexes->sql, error); /* one moment for table and indexes */
		if (status == MF_OK)
			status = compare_counts(indexes, &tables[i], error);
		(void)mf_sql_rollback(indexes->sql, NULL);
	}
	return status;
}

/* ---- every row is found ---- */

struct lookup {
	const char *what, *message;
	const char *lost; /* document and LSN of the rows that are not found */
};

#define NOT_FOUND_SNAPSHOT \
	"index", "the index of snapshots does not have it", \
	"SELECT doc_id, upto_lsn FROM snapshots s NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM snapshots i INDEXED BY " MF_SQLITE_SNAPSHOT_INDEX \
	" WHERE i.doc_id = s.doc_id AND i.upto_lsn = s.upto_lsn AND i.rowid = s.rowid)"
#define NOT_FOUND_BY_TIME \
	"index", "the index of snapshots by time does not have it", \
	"SELECT doc_id, upto_lsn FROM snapshots s NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM snapshots i INDEXED BY ix_snapshots_doc_created" \
	" WHERE i.doc_id = s.doc_id AND i.created_at = s.created_at AND i.rowid = s.rowid)"
#define NOT_FOUND_CHUNK \
	"index", "the index of chunks does not have one of its chunks", \
	"SELECT doc_id, upto_lsn FROM snapshot_chunks s NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM snapshot_chunks i INDEXED BY " MF_SQLITE_CHUNK_INDEX \
	" WHERE i.doc_id = s.doc_id AND i.upto_lsn = s.upto_lsn AND i.take = s.take AND i.chunk = s.chunk AND i.rowid = s.rowid)"
#define NOT_FOUND_COMPACTION \
	"index", "the record of the document's compaction is there, but is not found under its name", \
	"SELECT doc_id, compacted_upto FROM compactions c WHERE NOT EXISTS (SELECT 1 FROM compactions i WHERE i.doc_id = c.doc_id)"

#define NO_CHAIN \
	"chain", "the document has a snapshot, but no event up to it and no record of a compaction", \
	"SELECT doc_id, upto_lsn FROM snapshots s NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.doc_id = s.doc_id AND e.lsn <= s.upto_lsn)" \
	" AND NOT EXISTS (SELECT 1 FROM compactions c WHERE c.doc_id = s.doc_id)"

static const struct lookup lookups[] = {
	{NOT_FOUND_SNAPSHOT},
	{NOT_FOUND_BY_TIME},
	{NOT_FOUND_CHUNK},
	{NOT_FOUND_COMPACTION},
	{NO_CHAIN},
	/* The record is all that tells where a document goes on whose events are gone; once there are newer ones, only the numbers tell that it was lost. */
	{"chain", "the records of compactions do not tell of as many events as there are compacted keys",
	 "SELECT NULL, 0 WHERE (SELECT ifnull(sum(deleted), 0) FROM compactions) <> (SELECT count(checksum) FROM compacted_keys NOT INDEXED)"},
};

static enum mf_status tell_lost(const struct indexes *indexes, const struct lookup *lookup, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(indexes->sql, lookup->lost, &stmt, error);
	if (status != MF_OK)
		return status;
	for (bool row = true; row;) {
		status = mf_stmt_step(stmt, &row, error);
		if (status != MF_OK)
			break;
		if (row)
			indexes->tell(indexes->user, lookup->what, mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1), lookup->message);
	}
	mf_stmt_free(stmt);
	return status;
}

/* ---- those that recovery and commits believe, when the store is opened ---- */

/* A search that finds every row finds the rows between any two, too: so the entries are in order. */
static const struct lookup believed[] = {
	{"events", "the index of documents does not have the event",
	 "SELECT doc_id, lsn FROM events e NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM events i INDEXED BY ix_events_doc_lsn WHERE i.doc_id = e.doc_id AND i.lsn = e.lsn) LIMIT 1"},
	{"events", "the index of keys does not have the event's key",
	 "SELECT doc_id, lsn FROM events e NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM events i INDEXED BY " MF_SQLITE_KEY_INDEX
	 " WHERE i.idempotency_key = e.idempotency_key AND i.lsn = e.lsn) LIMIT 1"},
	{"compacted_keys", "the index of compacted keys does not have the event's key",
	 "SELECT NULL, lsn FROM compacted_keys e NOT INDEXED WHERE NOT EXISTS (SELECT 1 FROM compacted_keys i INDEXED BY " MF_SQLITE_COMPACTED_KEY_INDEX
	 " WHERE i.idempotency_key = e.idempotency_key AND i.lsn = e.lsn) LIMIT 1"},
};

static enum mf_status refuse_lost(struct mf_sql *sql, const struct lookup *lookup, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, lookup->lost, &stmt, error);
	if (status != MF_OK)
		return status;
	bool row;
	status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK && row)
		status = mf_sqlite_corrupted(error, mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1), lookup->message);
	mf_stmt_free(stmt);
	return status;
}

static void refuse(void *user, const char *what, const char *doc_id, int64_t lsn, const char *message)
{
	(void)what;
	(void)doc_id;
	(void)lsn;
	mf_error_set(user, MF_ERR_CORRUPTED, "%s; run 'mf verify', then restore a backup", message);
}

static enum mf_status refuse_counts(struct mf_sql *sql, const struct counted *table, struct mf_error *error)
{
	struct mf_error found = {0};
	const struct indexes indexes = {sql, refuse, &found};
	enum mf_status status = compare_counts(&indexes, table, error);
	if (status != MF_OK || found.status == MF_OK)
		return status;
	return mf_error_set(error, found.status, "%s", found.message);
}

enum mf_status mf_sqlite_find_lost(struct mf_sql *sql, bool keys, struct mf_error *error)
{
	enum mf_status status = mf_sql_begin_reading(sql, error);
	for (size_t i = 0; i < (keys ? sizeof(believed) / sizeof(believed[0]) : 1) && status == MF_OK; i++)
		status = refuse_lost(sql, &believed[i], error);
	for (size_t i = 0; i < (keys ? 2 : 0) && status == MF_OK; i++)
		status = refuse_counts(sql, &tables[i], error);
	(void)mf_sql_rollback(sql, NULL);
	return status;
}

/* ---- those that deletions and replacements go by ---- */

/* Of snapshots and chunks the newest: some hundredths of a second. What an older one misleads, who deletes finds out. */
#define NEWEST(table) " AND s.rowid > (SELECT max(rowid) FROM " table " NOT INDEXED) - 5000"

/* A page without rows in the place of a table's first is sound. */
#define EMPTY(table, index) "SELECT doc_id, upto_lsn FROM " table " INDEXED BY " index " WHERE NOT EXISTS (SELECT 1 FROM " table " NOT INDEXED) LIMIT 1"

static const struct lookup few[] = {
	{NOT_FOUND_SNAPSHOT NEWEST("snapshots")},
	{NOT_FOUND_BY_TIME NEWEST("snapshots")},
	{NOT_FOUND_CHUNK NEWEST("snapshot_chunks")},
	{NOT_FOUND_COMPACTION},
	{NO_CHAIN NEWEST("snapshots")},
	{"index", "the index of snapshots has it, and there are no snapshots", EMPTY("snapshots", MF_SQLITE_SNAPSHOT_INDEX)},
	{"index", "the index of chunks has one of its chunks, and there are no chunks", EMPTY("snapshot_chunks", MF_SQLITE_CHUNK_INDEX)},
};

static const struct lookup follower_lookup = {
	"follower", "a follower's checkpoint is there, but is not found under its name",
	"SELECT NULL, lsn FROM followers f WHERE NOT EXISTS (SELECT 1 FROM followers i WHERE i.name = f.name)"};

static enum mf_status check_compactions(struct mf_sql *sql, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, "SELECT " MF_SQLITE_COMPACTION_COLUMNS " FROM compactions", &stmt, error);
	if (status != MF_OK)
		return status;
	for (bool row = true; row && status == MF_OK;) {
		struct mf_sqlite_compaction record;
		status = mf_stmt_step(stmt, &row, error);
		if (status == MF_OK && row)
			status = mf_sqlite_read_compaction(stmt, &record, error);
	}
	mf_stmt_free(stmt);
	return status;
}

enum mf_status mf_sqlite_check_few(struct mf_sql *sql, struct mf_error *error)
{
	bool followers = false;
	enum mf_status status = mf_sql_begin_reading(sql, error);
	for (size_t i = 0; i < sizeof(few) / sizeof(few[0]) && status == MF_OK; i++)
		status = refuse_lost(sql, &few[i], error);
	if (status == MF_OK)
		status = check_compactions(sql, error);
	if (status == MF_OK)
		status = mf_sqlite_has_followers(sql, &followers, error);
	if (followers)
		status = refuse_lost(sql, &follower_lookup, error);
	(void)mf_sql_rollback(sql, NULL);
	return status;
}

enum mf_status mf_sqlite_check_indexes(struct mf_sql *sql, mf_indexes_tell *tell, void *user, struct mf_error *error)
{
	const struct indexes indexes = {sql, tell, user};
	bool followers = false;
	enum mf_status status = check_counts(&indexes, error);
	for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]) && status == MF_OK; i++)
		status = tell_lost(&indexes, &lookups[i], error);
	if (status == MF_OK)
		status = mf_sqlite_has_followers(sql, &followers, error);
	return followers ? tell_lost(&indexes, &follower_lookup, error) : status;
}
