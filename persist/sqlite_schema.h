/* sqlite_schema.h - the tables of a store, as docs/formats.md describes them.
 *
 * Tables, columns and indexes of the seed have the seed's names; what was added stands at the end of each row.
 * There is no AUTOINCREMENT: the store gives LSNs itself and never reuses a synced one, and AUTOINCREMENT would
 * write one page more in every commit.
 *
 * Invariants (verify checks each)
 * 1. Every LSN from 1 to the newest is in events, or in compacted_keys, or in the range lost_from to first_lsn - 1
 *    of an epoch (a loss that a person accepted).
 * 2. A document's events are a chain: prev_lsn of each is the lsn of the one before, or, for the first one that
 *    is left after compaction, the document's chain_lsn.
 * 3. A key is in events or in compacted_keys, once.
 * 4. A snapshot's row is written last; its chunks are those with the same take.
 * 5. There are as many followers as the row of the follower without a name says in lsn, each once. No other structure has their
 *    names, so a page of them that is without rows, or with others, would else be as good as any. */
#pragma once

#define MF_SQLITE_APPLICATION_ID 0x4d465045 /* "MFPE" */
#define MF_SQLITE_VERSION 3
#define MF_SQLITE_COUNTS_FOLLOWERS 3 /* from this format on a row of followers has their number: an older store is counted when it is written */

#define MF_SQLITE_SCHEMA \
	"CREATE TABLE events (" \
	" lsn INTEGER PRIMARY KEY," \
	" tr_id INTEGER NOT NULL," \
	" doc_id TEXT NOT NULL," \
	" ts INTEGER NOT NULL," \
	" actor TEXT," \
	" idempotency_key TEXT NOT NULL UNIQUE," \
	" meta TEXT NOT NULL," \
	" payload BLOB NOT NULL," \
	" checksum INTEGER NOT NULL," \
	" epoch INTEGER NOT NULL," \
	" prev_lsn INTEGER NOT NULL," \
	" action INTEGER NOT NULL," \
	" source_lsn INTEGER NOT NULL);" \
	"CREATE INDEX ix_events_doc_lsn ON events(doc_id, lsn);" \
	"CREATE TABLE snapshots (" \
	" doc_id TEXT NOT NULL," \
	" upto_lsn INTEGER NOT NULL," \
	" created_at INTEGER NOT NULL," \
	" state_blob BLOB NOT NULL," \
	" version INTEGER NOT NULL," \
	" state_len INTEGER NOT NULL," \
	" chunks INTEGER NOT NULL," \
	" take INTEGER NOT NULL," \
	" checksum INTEGER NOT NULL," \
	" PRIMARY KEY (doc_id, upto_lsn));" \
	"CREATE INDEX ix_snapshots_doc_created ON snapshots(doc_id, created_at DESC);" \
	"CREATE TABLE snapshot_chunks (" \
	" doc_id TEXT NOT NULL," \
	" upto_lsn INTEGER NOT NULL," \
	" take INTEGER NOT NULL," \
	" chunk INTEGER NOT NULL," \
	" bytes BLOB NOT NULL," \
	" checksum INTEGER NOT NULL," \
	" PRIMARY KEY (doc_id, upto_lsn, take, chunk));" \
	"CREATE TABLE epochs (" \
	" epoch INTEGER PRIMARY KEY," \
	" first_lsn INTEGER NOT NULL," \
	" lost_from INTEGER NOT NULL," \
	" checksum INTEGER NOT NULL);" \
	"CREATE TABLE compactions (" \
	" doc_id TEXT NOT NULL PRIMARY KEY," \
	" compacted_upto INTEGER NOT NULL," \
	" chain_lsn INTEGER NOT NULL," \
	" deleted INTEGER NOT NULL," \
	" done INTEGER NOT NULL," \
	" checksum INTEGER NOT NULL) WITHOUT ROWID;" \
	"CREATE TABLE compacted_keys (" \
	" lsn INTEGER PRIMARY KEY," \
	" idempotency_key TEXT NOT NULL UNIQUE," \
	" content_hash BLOB NOT NULL," \
	" checksum INTEGER NOT NULL);"

/* What came with version 2; an older store gets it when it is opened for writing. */
#define MF_SQLITE_ADDITIONS \
	"CREATE TABLE IF NOT EXISTS followers (" \
	" name TEXT NOT NULL PRIMARY KEY," \
	" epoch INTEGER NOT NULL," \
	" lsn INTEGER NOT NULL," \
	" checksum INTEGER NOT NULL) WITHOUT ROWID;"

#define MF_SQLITE_ADD_BASE_LSN "ALTER TABLE snapshots ADD COLUMN base_lsn INTEGER NOT NULL DEFAULT 0" /* 0: it is whole */

/* The columns of an event, in the order in which statements read and write them. */
#define MF_SQLITE_EVENT_COLUMNS \
	"lsn, tr_id, doc_id, ts, actor, idempotency_key, meta, payload, checksum, epoch, prev_lsn, action, source_lsn"

#define MF_SQLITE_KEY_INDEX "sqlite_autoindex_events_1"
#define MF_SQLITE_COMPACTED_KEY_INDEX "sqlite_autoindex_compacted_keys_1"
#define MF_SQLITE_SNAPSHOT_INDEX "sqlite_autoindex_snapshots_1"
#define MF_SQLITE_CHUNK_INDEX "sqlite_autoindex_snapshot_chunks_1"

/* How many of the LSNs from ?1 to ?2 are missing with a reason. */
#define MF_SQLITE_EXPLAIN_HOLE \
	"SELECT (SELECT count(*) FROM compacted_keys WHERE lsn BETWEEN ?1 AND ?2)" \
	" + (SELECT ifnull(sum(min(first_lsn - 1, ?2) - max(lost_from, ?1) + 1), 0) FROM epochs WHERE lost_from > 0 AND lost_from <= ?2 AND first_lsn > ?1)"

/* One after the other, and in no table that would be as large as they are many: such a one SQLite puts into the temporary files' directory,
 * which may have no room. In a damaged index the next id may be one that was met before, for ever: it ends where they do not ascend. */
#define MF_SQLITE_COUNT_DOCUMENTS \
	"WITH RECURSIVE ids(id, before) AS (SELECT min(doc_id), NULL FROM events UNION ALL" \
	" SELECT (SELECT min(doc_id) FROM events WHERE doc_id > ids.id), ids.id FROM ids WHERE ids.id IS NOT NULL AND (ids.before IS NULL OR ids.id > ids.before))" \
	" SELECT (SELECT count(*) FROM ids WHERE id IS NOT NULL AND (before IS NULL OR id > before)) + (SELECT count(*) FROM compactions c" \
	" WHERE chain_lsn > 0 AND NOT EXISTS (SELECT 1 FROM events e WHERE e.doc_id = c.doc_id))"
