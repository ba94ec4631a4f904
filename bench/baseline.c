#include "bench/baseline.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zlib.h>

struct baseline {
	sqlite3 *db;
	sqlite3_stmt *insert, *begin, *commit;
};

static const char schema[] =
	"CREATE TABLE events (lsn INTEGER PRIMARY KEY AUTOINCREMENT, tr_id INTEGER NOT NULL, doc_id TEXT NOT NULL,"
	" ts INTEGER NOT NULL, actor TEXT, idempotency_key TEXT NOT NULL UNIQUE, meta TEXT NOT NULL,"
	" payload BLOB NOT NULL, checksum INTEGER NOT NULL);"
	"CREATE INDEX ix_events_doc_lsn ON events(doc_id, lsn);";

static void check(sqlite3 *db, int rc, const char *what)
{
	if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
		return;
	fprintf(stderr, "baseline: %s: %s\n", what, db ? sqlite3_errmsg(db) : "no memory");
	exit(1);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL), sql);
	return statement;
}

struct baseline *baseline_open(const char *dir, const char *synchronous)
{
	struct baseline *baseline = calloc(1, sizeof(*baseline));
	char path[4096], pragmas[256];
	snprintf(path, sizeof(path), "%s/baseline.db", dir);
	check(NULL, sqlite3_open(path, &baseline->db), path);
	snprintf(pragmas, sizeof(pragmas),
		 "PRAGMA journal_mode=WAL; PRAGMA synchronous=%s; PRAGMA cache_size=-64000;"
		 "PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=1000;",
		 synchronous);
	check(baseline->db, sqlite3_exec(baseline->db, pragmas, NULL, NULL, NULL), "pragmas");
	check(baseline->db, sqlite3_exec(baseline->db, schema, NULL, NULL, NULL), "schema");
	baseline->insert = prepare(baseline->db, "INSERT INTO events(tr_id, doc_id, ts, actor, idempotency_key, meta, payload, checksum)"
						 " VALUES (?1, ?2, ?3, NULL, ?4, '{}', ?5, ?6)");
	baseline->begin = prepare(baseline->db, "BEGIN IMMEDIATE");
	baseline->commit = prepare(baseline->db, "COMMIT");
	return baseline;
}

static void run(struct baseline *baseline, sqlite3_stmt *statement)
{
	check(baseline->db, sqlite3_step(statement), sqlite3_sql(statement));
	sqlite3_reset(statement);
}

void baseline_begin(struct baseline *baseline)
{
	run(baseline, baseline->begin);
}

void baseline_commit(struct baseline *baseline)
{
	run(baseline, baseline->commit);
}

void baseline_insert(struct baseline *baseline, const struct baseline_event *event)
{
	sqlite3_stmt *insert = baseline->insert;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	sqlite3_bind_int64(insert, 1, (int64_t)event->tr_id);
	sqlite3_bind_text(insert, 2, event->doc_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(insert, 3, now.tv_sec * 1000000 + now.tv_nsec / 1000);
	sqlite3_bind_text(insert, 4, event->key, -1, SQLITE_STATIC);
	sqlite3_bind_blob(insert, 5, event->payload, (int)event->payload_len, SQLITE_STATIC);
	sqlite3_bind_int64(insert, 6, (int64_t)crc32(0, event->payload, (uInt)event->payload_len));
	run(baseline, insert);
}

void baseline_close(struct baseline *baseline)
{
	sqlite3_finalize(baseline->insert);
	sqlite3_finalize(baseline->begin);
	sqlite3_finalize(baseline->commit);
	check(baseline->db, sqlite3_close(baseline->db), "close");
	free(baseline);
}

int64_t baseline_scan(const char *db_path, const char *doc_id)
{
	sqlite3 *db = NULL;
	check(NULL, sqlite3_open_v2(db_path, &db, SQLITE_OPEN_READONLY, NULL), db_path);
	sqlite3_stmt *select = prepare(db, "SELECT lsn, tr_id, ts, actor, idempotency_key, meta, payload, checksum FROM events WHERE doc_id=?1 ORDER BY lsn");
	sqlite3_bind_text(select, 1, doc_id, -1, SQLITE_STATIC);
	volatile uLong sum = 0;
	int64_t rows = 0;
	while (sqlite3_step(select) == SQLITE_ROW) {
		sum ^= crc32(0, sqlite3_column_blob(select, 6), (uInt)sqlite3_column_bytes(select, 6));
		rows++;
	}
	sqlite3_finalize(select);
	check(db, sqlite3_close(db), "close");
	return rows;
}
