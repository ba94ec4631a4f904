#include "tests/fuzz/row_repair.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "persist/checksum.h"
#include "persist/sqlite_schema.h"
#include "tests/fuzz/layers.h"

/* ---- what a row's checksum should be ---- */

static uint32_t of_event(sqlite3_stmt *row)
{
	const struct mf_event event = {
		.lsn = sqlite3_column_int64(row, 0),
		.tr_id = (uint64_t)sqlite3_column_int64(row, 1),
		.doc_id = (const char *)sqlite3_column_text(row, 2),
		.ts_us = sqlite3_column_int64(row, 3),
		.actor = (const char *)sqlite3_column_text(row, 4),
		.idempotency_key = (const char *)sqlite3_column_text(row, 5),
		.meta = (const char *)sqlite3_column_text(row, 6),
		.meta_len = (size_t)sqlite3_column_bytes(row, 6),
		.payload = sqlite3_column_blob(row, 7),
		.payload_len = (size_t)sqlite3_column_bytes(row, 7),
		.epoch = sqlite3_column_int64(row, 9),
		.prev_lsn = sqlite3_column_int64(row, 10),
		.action = (enum mf_action)sqlite3_column_int(row, 11),
		.source_lsn = sqlite3_column_int64(row, 12),
	};
	bool whole = event.doc_id && event.idempotency_key && event.meta && event.payload;
	return whole ? mf_event_checksum(&event) : 0;
}

#define NUMBERS_MAX 8

/* The others: numbers, then text, then bytes; which column is which stands in a string, a letter each: n, t, b, c (the checksum), and
 * o (a number that counts unless it is 0). The first column is the key. */
static uint32_t of_row(sqlite3_stmt *row, const char *columns)
{
	int64_t numbers[NUMBERS_MAX];
	size_t count = 0, len = 0;
	const char *text = NULL;
	const void *bytes = NULL;
	for (int i = 0; columns[i]; i++) {
		if (columns[i] == 'n' || (columns[i] == 'o' && sqlite3_column_int64(row, i) != 0))
			numbers[count++] = sqlite3_column_int64(row, i);
		if (columns[i] == 't')
			text = (const char *)sqlite3_column_text(row, i);
		if (columns[i] == 'b') {
			bytes = sqlite3_column_blob(row, i);
			len = (size_t)sqlite3_column_bytes(row, i);
		}
	}
	return mf_row_checksum(numbers, count, text, bytes, len);
}

static const struct repaired {
	const char *select, *update, *columns; /* columns NULL: an event */
} repaired[] = {
	{"SELECT " MF_SQLITE_EVENT_COLUMNS ", lsn FROM events", "UPDATE events SET checksum = ?1 WHERE lsn = ?2", NULL},
	{"SELECT upto_lsn, created_at, version, state_len, chunks, take, base_lsn, doc_id, state_blob, checksum, rowid FROM snapshots", "UPDATE snapshots SET checksum = ?1 WHERE rowid = ?2", "nnnnnnotbc"},
	{"SELECT upto_lsn, take, chunk, doc_id, bytes, checksum, rowid FROM snapshot_chunks", "UPDATE snapshot_chunks SET checksum = ?1 WHERE rowid = ?2", "nnntbc"},
	{"SELECT epoch, first_lsn, lost_from, checksum, epoch FROM epochs", "UPDATE epochs SET checksum = ?1 WHERE epoch = ?2", "nnnc"},
	{"SELECT compacted_upto, chain_lsn, deleted, done, doc_id, checksum, doc_id FROM compactions", "UPDATE compactions SET checksum = ?1 WHERE doc_id = ?2", "nnnntc"},
	{"SELECT lsn, idempotency_key, content_hash, checksum, lsn FROM compacted_keys", "UPDATE compacted_keys SET checksum = ?1 WHERE lsn = ?2", "ntbc"},
	{"SELECT epoch, lsn, name, checksum, name FROM followers", "UPDATE followers SET checksum = ?1 WHERE name = ?2", "nntc"},
};

static void repair_row(sqlite3_stmt *row, sqlite3_stmt *update, const struct repaired *table)
{
	int checksum_at = table->columns ? (int)(strchr(table->columns, 'c') - table->columns) : 8;
	uint32_t right = table->columns ? of_row(row, table->columns) : of_event(row);
	if (sqlite3_column_type(row, checksum_at) == SQLITE_INTEGER && sqlite3_column_int64(row, checksum_at) == right)
		return;
	sqlite3_bind_int64(update, 1, right);
	sqlite3_bind_value(update, 2, sqlite3_column_value(row, sqlite3_column_count(row) - 1));
	(void)sqlite3_step(update);
	sqlite3_reset(update);
}

static void repair_table(sqlite3 *db, const struct repaired *table)
{
	sqlite3_stmt *rows = NULL, *update = NULL;
	if (sqlite3_prepare_v2(db, table->select, -1, &rows, NULL) == SQLITE_OK && sqlite3_prepare_v2(db, table->update, -1, &update, NULL) == SQLITE_OK)
		for (int i = 0; i < 100 && sqlite3_step(rows) == SQLITE_ROW; i++)
			repair_row(rows, update, table);
	sqlite3_finalize(rows);
	sqlite3_finalize(update);
}

/* ---- what lies in blobs ---- */

/* Whole snapshots only: of an incremental one the base's digest would have to be known. */
static void repair_blobs(sqlite3 *db)
{
	sqlite3_stmt *rows = NULL, *update = NULL;
	int prepared = sqlite3_prepare_v2(db, "SELECT state_blob, rowid FROM snapshots WHERE length(state_blob) > 36 AND version = 1", -1, &rows, NULL);
	if (prepared == SQLITE_OK && sqlite3_prepare_v2(db, "UPDATE snapshots SET state_blob = ?1, state_len = length(?1) WHERE rowid = ?2", -1, &update, NULL) == SQLITE_OK) {
		for (int i = 0; i < 100 && sqlite3_step(rows) == SQLITE_ROW; i++) {
			size_t len = (size_t)sqlite3_column_bytes(rows, 0);
			uint8_t *blob = malloc(len);
			if (!blob)
				abort();
			memcpy(blob, sqlite3_column_blob(rows, 0), len);
			fuzz_repair_snapshot(blob, len, NULL);
			sqlite3_bind_blob64(update, 1, blob, len, free);
			sqlite3_bind_int64(update, 2, sqlite3_column_int64(rows, 1));
			(void)sqlite3_step(update);
			sqlite3_reset(update);
			sqlite3_clear_bindings(update);
		}
	}
	sqlite3_finalize(rows);
	sqlite3_finalize(update);
}

void fuzz_repair_rows(sqlite3 *db, bool inside)
{
	if (inside)
		repair_blobs(db);
	for (size_t i = 0; i < sizeof(repaired) / sizeof(repaired[0]); i++)
		repair_table(db, &repaired[i]);
}
