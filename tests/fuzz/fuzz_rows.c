/* A hostile store, changed as whoever has the sqlite3 program can: values of rows, rows that go, come twice or change places,
 * tables and indexes that are others, triggers. Then everything that is done with a store (stores.h).
 *
 *   1 byte   base (2 bits); 4: the checksums of changed rows are made to fit; 8: ... of what lies in payloads and blobs too;
 *            16: only read; 32: only written to; 64: the log is moved into the database first
 *   changes  see change()
 *
 * Inputs are scripts, so they are small and every one means something. */
#include "tests/fuzz/stores.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "persist/sqlite_schema.h"
#include "tests/fuzz/row_repair.h"
#include "tests/fuzz/script.h"
#include "tests/fuzz/target.h"

#define CHANGES_MAX 8
#define TEXT_MAX 400

static const struct {
	const char *name, *key;
	unsigned columns;
	const char *const *column;
} tables[] = {
	{"events", "lsn", 13, (const char *const[]){"lsn", "tr_id", "doc_id", "ts", "actor", "idempotency_key", "meta", "payload", "checksum", "epoch", "prev_lsn", "action", "source_lsn"}},
	{"snapshots", "rowid", 10, (const char *const[]){"doc_id", "upto_lsn", "created_at", "state_blob", "version", "state_len", "chunks", "take", "checksum", "base_lsn"}},
	{"snapshot_chunks", "rowid", 6, (const char *const[]){"doc_id", "upto_lsn", "take", "chunk", "bytes", "checksum"}},
	{"epochs", "epoch", 4, (const char *const[]){"epoch", "first_lsn", "lost_from", "checksum"}},
	{"compactions", "doc_id", 6, (const char *const[]){"doc_id", "compacted_upto", "chain_lsn", "deleted", "done", "checksum"}},
	{"compacted_keys", "lsn", 4, (const char *const[]){"lsn", "idempotency_key", "content_hash", "checksum"}},
	{"followers", "name", 4, (const char *const[]){"name", "epoch", "lsn", "checksum"}},
};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

static const char *const schema_changes[] = {
	"DROP INDEX ix_events_doc_lsn",
	"DROP INDEX ix_snapshots_doc_created",
	"DROP INDEX ix_events_doc_lsn; CREATE INDEX ix_events_doc_lsn ON events(doc_id, lsn) WHERE lsn > 6",
	"DROP INDEX ix_events_doc_lsn; CREATE INDEX ix_events_doc_lsn ON events(doc_id, lsn DESC)",
	"DROP INDEX ix_events_doc_lsn; CREATE INDEX ix_events_doc_lsn ON events(lower(doc_id), lsn)",
	"DROP TABLE snapshots",
	"DROP TABLE followers",
	"DROP TABLE epochs; CREATE VIEW epochs AS SELECT 1 AS epoch, 1 AS first_lsn, 0 AS lost_from, 0 AS checksum",
	"CREATE TRIGGER t1 AFTER INSERT ON epochs BEGIN DELETE FROM events WHERE lsn = 7; END",
	"CREATE TRIGGER t2 BEFORE INSERT ON epochs BEGIN SELECT RAISE(IGNORE); END",
	"CREATE TRIGGER t3 BEFORE INSERT ON events BEGIN SELECT RAISE(IGNORE); END",
	"CREATE TRIGGER t4 AFTER INSERT ON events BEGIN UPDATE events SET payload = zeroblob(3) WHERE lsn = new.lsn; END",
	"CREATE TRIGGER t5 AFTER INSERT ON epochs BEGIN INSERT INTO more SELECT x FROM (WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r LIMIT 20000) SELECT x FROM r); END",
	"CREATE TRIGGER t6 AFTER INSERT ON events BEGIN SELECT RAISE(FAIL, 'no'); END",
	"CREATE TRIGGER t7 AFTER INSERT ON events BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
	"CREATE VIEW v AS SELECT * FROM v2; CREATE VIEW v2 AS SELECT * FROM v",
	"ALTER TABLE events ADD COLUMN more TEXT DEFAULT 'x'",
	"ALTER TABLE events RENAME COLUMN payload TO load",
	"ALTER TABLE snapshots DROP COLUMN base_lsn",
	"CREATE UNIQUE INDEX u1 ON events(epoch, action, doc_id, lsn)",
	"CREATE UNIQUE INDEX u2 ON epochs(lost_from)",
	"CREATE TABLE more(x)",
	"PRAGMA user_version = 1",
	"PRAGMA user_version = 0",
	"PRAGMA user_version = 3",
	"PRAGMA application_id = 7",
	"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'ix_snapshots_doc_created') WHERE name = 'ix_events_doc_lsn'",
	"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'snapshots') WHERE name = 'events'",
	"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 999 WHERE name = 'compactions'",
	"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '') WHERE type = 'table'",
	"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'UNIQUE', '') WHERE name = 'events'",
	"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'BLOB', 'TEXT') WHERE name = 'events'",
	"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'lsn INTEGER', 'lsn TEXT') WHERE name = 'events'",
	"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'epoch INTEGER NOT NULL', 'epoch AS (abs(-9223372036854775807 - 1))') WHERE name = 'events'",
	"PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_events_1'",
	"PRAGMA writable_schema = ON; INSERT INTO sqlite_schema SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema WHERE name = 'events'",
};

/* ---- SQL ---- */

static void run(sqlite3 *db, const char *sql)
{
	(void)sqlite3_exec(db, sql, NULL, NULL, NULL); /* what SQLite refuses is no change */
}

static void bind_value(sqlite3_stmt *stmt, int index, struct script *script)
{
	static const int64_t numbers[] = {0, 1, -1, 2, INT64_MAX, INT64_MIN, INT64_MAX - 1, (int64_t)1 << 32, UINT32_MAX, INT32_MAX, (int64_t)1 << 53, 12, 13};
	size_t len;
	const uint8_t *piece;
	switch (script_choice(script, 8)) {
	case 0: sqlite3_bind_int64(stmt, index, numbers[script_choice(script, sizeof(numbers) / sizeof(numbers[0]))]); return;
	case 1: sqlite3_bind_int64(stmt, index, (int8_t)script_byte(script)); return;
	case 2: sqlite3_bind_int64(stmt, index, (int64_t)script_number(script, 8)); return;
	case 3: sqlite3_bind_null(stmt, index); return;
	case 4: sqlite3_bind_double(stmt, index, (double)(int8_t)script_byte(script) / 4); return;
	case 5: sqlite3_bind_zeroblob(stmt, index, (int)script_number(script, 2)); return;
	default: break;
	}
	bool text = script_byte(script) & 1;
	piece = script_piece(script, script_byte(script), &len);
	if (text)
		sqlite3_bind_text(stmt, index, len ? (const char *)piece : "", (int)len, SQLITE_STATIC);
	else
		sqlite3_bind_blob(stmt, index, len ? (const void *)piece : "", (int)len, SQLITE_STATIC);
}

static void step(sqlite3 *db, const char *sql, struct script *script, size_t row)
{
	sqlite3_stmt *stmt;
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return;
	sqlite3_bind_int64(stmt, 2, (int64_t)row);
	if (script)
		bind_value(stmt, 1, script);
	(void)sqlite3_step(stmt);
	sqlite3_finalize(stmt);
}

/* The row with number ?2, by its key. */
static const char *at_row(size_t table)
{
	static char text[TEXT_MAX];
	const char *key = tables[table].key;
	snprintf(text, sizeof(text), " WHERE %s = (SELECT %s FROM %s ORDER BY %s LIMIT 1 OFFSET ?2)", key, key, tables[table].name, key);
	return text;
}

static void set_value(sqlite3 *db, size_t table, const char *column, size_t row, struct script *script)
{
	char sql[2 * TEXT_MAX];
	snprintf(sql, sizeof(sql), "UPDATE OR REPLACE %s SET %s = ?1%s", tables[table].name, column, at_row(table));
	step(db, sql, script, row);
}

/* A part of a value is written over, which leaves the rest of a payload as it was. */
static void patch_value(sqlite3 *db, size_t table, const char *column, size_t row, struct script *script)
{
	char sql[2 * TEXT_MAX];
	unsigned at = (unsigned)script_number(script, 2) % 2048 + 1, gone = script_byte(script) % 16;
	snprintf(sql, sizeof(sql), "UPDATE OR IGNORE %s SET %s = CAST(substr(CAST(%s AS BLOB), 1, %u) || ?1 || substr(CAST(%s AS BLOB), %u) AS BLOB)%s", tables[table].name, column, column,
		 at - 1, column, at + gone, at_row(table));
	sqlite3_stmt *stmt;
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return;
	size_t len;
	const uint8_t *piece = script_piece(script, script_byte(script) % 16, &len);
	sqlite3_bind_blob(stmt, 1, len ? (const void *)piece : "", (int)len, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 2, (int64_t)row);
	(void)sqlite3_step(stmt);
	sqlite3_finalize(stmt);
}

static void add_to_value(sqlite3 *db, size_t table, const char *column, size_t row, int by)
{
	char sql[2 * TEXT_MAX];
	snprintf(sql, sizeof(sql), "UPDATE OR REPLACE %s SET %s = %s + %d%s", tables[table].name, column, column, by, at_row(table));
	step(db, sql, NULL, row);
}

static void delete_row(sqlite3 *db, size_t table, size_t row)
{
	char sql[2 * TEXT_MAX];
	snprintf(sql, sizeof(sql), "DELETE FROM %s%s", tables[table].name, at_row(table));
	step(db, sql, NULL, row);
}

/* The column of another row: its document, its key, its payload. */
static void take_from(sqlite3 *db, size_t table, const char *column, size_t row, size_t other)
{
	char sql[2 * TEXT_MAX];
	snprintf(sql, sizeof(sql), "UPDATE OR REPLACE %s SET %s = (SELECT %s FROM %s ORDER BY %s LIMIT 1 OFFSET %zu)%s", tables[table].name, column, column, tables[table].name, tables[table].key,
		 other, at_row(table));
	step(db, sql, NULL, row);
}

static void repeat_row(sqlite3 *db, size_t table, size_t row, const char *but, int by)
{
	char sql[2 * TEXT_MAX];
	int len = snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO %s SELECT ", tables[table].name);
	for (unsigned i = 0; i < tables[table].columns; i++)
		len += snprintf(sql + len, sizeof(sql) - (size_t)len, "%s%s%s", i ? ", " : "", tables[table].column[i], tables[table].column[i] == but ? (by & 1 ? " || 'x'" : " + 1") : "");
	snprintf(sql + len, sizeof(sql) - (size_t)len, " FROM %s%s", tables[table].name, at_row(table));
	step(db, sql, NULL, row);
}

/* ---- a script ---- */

/* Returns whether it is one that a checksum must find. */
static bool change(sqlite3 *db, struct script *script)
{
	uint8_t kind = script_byte(script);
	if (kind % 8 == 7) {
		run(db, schema_changes[script_choice(script, sizeof(schema_changes) / sizeof(schema_changes[0]))]);
		return false;
	}
	size_t table = script_choice(script, TABLES), row = script_choice(script, 16);
	const char *column = tables[table].column[script_choice(script, tables[table].columns)];
	bool plain = strcmp(column, "checksum") != 0;
	switch (kind % 8) {
	case 0: set_value(db, table, column, row, script); return plain;
	case 1: patch_value(db, table, column, row, script); return plain;
	case 2: add_to_value(db, table, column, row, (int8_t)script_byte(script)); return plain;
	case 3: delete_row(db, table, row); return false;
	case 4: take_from(db, table, column, row, script_choice(script, 16)); return plain;
	case 5: repeat_row(db, table, row, column, script_byte(script)); return false;
	default: patch_value(db, 0, "payload", row, script); return true; /* the most interesting one */
	}
}

static bool change_store(struct script *script, uint8_t how)
{
	sqlite3 *db;
	bool honest = !(how & 12);
	if (sqlite3_open_v2(FUZZ_DB, &db, SQLITE_OPEN_READWRITE, MEMFS_VFS) != SQLITE_OK)
		__builtin_trap();
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	run(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; BEGIN");
	for (int i = 0; i < CHANGES_MAX && !script_ended(script); i++)
		honest &= change(db, script);
	if (how & 12)
		fuzz_repair_rows(db, how & 8);
	run(db, "COMMIT");
	if (how & 64)
		run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	if (sqlite3_close(db) != SQLITE_OK)
		__builtin_trap();
	return honest;
}

const uint8_t fuzz_repair_bits = 12;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct script script = {bytes, bytes + len};
	uint8_t how = script_byte(&script);
	const struct fuzz_base *base = fuzz_base((enum fuzz_base_kind)(how % FUZZ_BASES));
	fuzz_base_load(base);
	bool honest = change_store(&script, how);
	const struct fuzz_probe probe = {.base = base, .honest = honest, .reading = (how & 48) != 32, .writing = !(how & 16)};
	fuzz_probe(&probe);
	memfs_reset();
	return 0;
}
