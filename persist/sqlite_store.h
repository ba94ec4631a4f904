/* sqlite_store.h - the inside of the SQLite store, shared by sqlite_open, _setup, _journal, _files, _append, _read, _keys,
 * _snapshot, _prune, _compact, _followers, _backup, _restore, _cut, _verify and _store.
 *
 * A store is a directory: store.db (with -wal and -shm), watermark, lock.
 *
 * Invariants
 * 1. One connection, the writer, writes and checkpoints; all others only read. (SQLite before 3.51.3 can lose
 *    rows when two connections checkpoint and write.)
 * 2. Locks are taken in the order compact_lock, count_lock, write_lock, sync_lock, and one of the others last.
 * 3. Every sync and every checkpoint runs under sync_lock, and so does an append that may be the first after a
 *    checkpoint, in which SQLite syncs by itself: a failed sync is reported to one of two concurrent callers only.
 * 4. synced_lsn moves only after a sync that began after that event was committed.
 * 5. Once poisoned, nothing is written or synced any more; reads go on.
 * 6. What is told as synced was written to the files that are at their paths then, and a transaction begins only with the
 *    numbers that the last one of ours left (sqlite_files.c). Else the store stops, as after a failed sync.
 * 7. No descriptor of the database file but SQLite's is closed while a store is open: that would drop SQLite's locks in
 *    this process (inodes.h). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <moduforge/store.h>

#include "persist/env.h"
#include "persist/heads.h"
#include "persist/key_filter.h"
#include "persist/sqlite_db.h"
#include "persist/sqlite_schema.h"
#include "persist/watermark.h"

enum mf_sqlite_write_stmt {
	MF_WRITE_EVENT, MF_WRITE_FIND_KEY, MF_WRITE_FIND_COMPACTED_KEY, MF_WRITE_HEAD, MF_WRITE_CHAIN,
	MF_WRITE_CHUNK, MF_WRITE_SNAPSHOT,
	MF_WRITE_STMTS
};

enum mf_sqlite_read_stmt {
	MF_READ_DOC_EVENTS, MF_READ_DENSE_EVENTS, MF_READ_ALL_EVENTS, MF_READ_KEY, MF_READ_COMPACTED_KEY, MF_READ_HEAD, MF_READ_CHAIN, MF_READ_EXPLAIN, MF_READ_SNAPSHOT, MF_READ_CHUNKS,
	MF_READ_STMTS
};

enum mf_sqlite_file { MF_SQLITE_FILE_DB, MF_SQLITE_FILE_LOG, MF_SQLITE_FILE_INDEX, MF_SQLITE_FILE_WATERMARK, MF_SQLITE_FILE_LOCK, MF_SQLITE_FILES };

struct mf_sqlite {
	struct mf_store base;
	const struct mf_env *env;
	unsigned generation; /* of forks: a child must keep its hands off */
	bool read_only;
	struct mf_logger logger;
	uint32_t checkpoint_pages;
	char *dir;  /* as it was given: for people */
	char *home; /* resolved: for the system */
	char *db_path, *wal_path, *index_path, *journal_path, *watermark_path, *lock_path, *metrics_path;
	int64_t epoch, openings;
	struct mf_file_identity files[MF_SQLITE_FILES]; /* as they were opened; no names: not asked yet, or in vain */
	bool files_known;                               /* all */
	int64_t page_bytes;
	char watermark_note[256];    /* "" or what was wrong with the watermark at open */
	char watermark_failure[256]; /* watermark_lock: "" or why it could not be written the last time */

	pthread_mutex_t compact_lock; /* one compaction at a time */
	pthread_mutex_t write_lock;
	atomic_int writers_waiting; /* so that background work lets them pass */
	struct mf_sql *writer; /* NULL when read-only */
	struct mf_stmt *write[MF_WRITE_STMTS];
	struct mf_heads *heads;
	bool log_may_restart; /* the next commit may sync by itself: see invariant 3 */
	bool any_compacted_keys;
	uint32_t data_version; /* SQLite's, after the last transaction of ours: another one says that others wrote */
	int64_t look_at_room; /* when so many pages wait in the log */
	int64_t next_last_lsn; /* what last_lsn becomes when the transaction under way commits */
	int lock_fd;

	pthread_mutex_t sync_lock;
	int64_t synced_commits;
	_Atomic int64_t checkpoints; /* of the log */
	_Atomic int64_t commits; /* committed writes of every kind */
	_Atomic int64_t last_lsn, synced_lsn;
	_Atomic int64_t log_pages, log_done;     /* in the log; of those, copied into the database */
	int64_t log_told_at;                     /* log size that was last warned of; 0: none */
	_Atomic int64_t retry_checkpoint_at;     /* log size at which another try pays, after one that readers held up */

	pthread_mutex_t watermark_lock;
	int watermark_fd;

	pthread_mutex_t metrics_lock; /* the thread that syncs saves, and so does the one that closes */
	int metrics_fd;               /* -1: nothing was saved yet */
	struct mf_file_identity metrics; /* of what it was opened for */
	size_t metrics_size;

	bool writer_stopped; /* reading only: the watermark tells of a failed sync that no opening has looked at since */
	atomic_bool full; /* the last write failed for want of room */
	atomic_bool poisoned;
	pthread_mutex_t poison_lock;
	char poison_reason[MF_ERROR_MESSAGE_SIZE];

	pthread_mutex_t read_lock;
	struct mf_sql *reader;
	struct mf_stmt *read[MF_READ_STMTS];
	_Atomic(struct mf_sql *) spare; /* another one, that nobody uses now */
	int64_t dense_at; /* LSN at which a reading of a document ended that has most events there; 0: none */

	/* The filter of keys; added to under write_lock. */
	struct mf_key_filter keys;
	atomic_bool keys_known; /* it has every key of the store */
	struct mf_key_load {
		struct mf_sql *sql; /* NULL: done, or given up */
		size_t table;
		char after[MF_ID_MAX + 1];
	} key_load;

	/* Counters of stats: counted once, at the first question, then kept, under write_lock. */
	_Atomic int64_t new_documents, new_snapshots, deleted_events;
	pthread_mutex_t count_lock;
	bool counted;
	int64_t base_documents, base_snapshots, lost_events;
};

static inline struct mf_sqlite *mf_sqlite_of(struct mf_store *store)
{
	return (struct mf_sqlite *)store;
}

/* ---- sqlite_store.c: what every part uses ---- */
enum mf_status mf_sqlite_check_owner(const struct mf_sqlite *store, struct mf_error *error);
enum mf_status mf_sqlite_check_readable(const struct mf_sqlite *store, struct mf_error *error); /* the owner, and of a reader the database */
enum mf_status mf_sqlite_check_writable(struct mf_sqlite *store, struct mf_error *error);
void mf_sqlite_lock_writer(struct mf_sqlite *store);
void mf_sqlite_let_writers_pass(struct mf_sqlite *store); /* call without the lock, between two pieces of background work */
/* Ends a write: an unknown outcome poisons the store. error must not be NULL. */
void mf_sqlite_end_write(struct mf_sqlite *store, enum mf_status status, const struct mf_error *error);
/* One that fails is told to the log, and by verify until one has been written. */
enum mf_status mf_sqlite_write_watermark(struct mf_sqlite *store, struct mf_error *error);
/* One short transaction on the writer: begins, calls work, commits, or rolls back when work fails; under sync_lock
 * where invariant 3 asks for it. The first takes write_lock, the second wants it held. error of work is not NULL. */
typedef enum mf_status mf_sqlite_work(struct mf_sqlite *store, void *user, struct mf_error *error);
enum mf_status mf_sqlite_transact(struct mf_sqlite *store, mf_sqlite_work *work, void *user, struct mf_error *error);
enum mf_status mf_sqlite_transact_locked(struct mf_sqlite *store, mf_sqlite_work *work, void *user, struct mf_error *error);
enum mf_status mf_sqlite_vacuum_locked(struct mf_sqlite *store, struct mf_error *error); /* write_lock is held */
enum mf_status mf_sqlite_corrupted(struct mf_error *error, const char *doc_id, int64_t lsn, const char *what);

/* From now on nothing is written or synced, because of that; nor is the watermark, which may be another's by now. */
void mf_sqlite_stop(struct mf_sqlite *store, const struct mf_error *error);

/* ---- sqlite_files.c ---- */
/* Before it is opened; it may be looked at from then on. */
enum mf_status mf_sqlite_note_database(struct mf_sqlite *store, struct mf_error *error);
/* As soon as SQLite has opened its files. */
void mf_sqlite_note_opened(struct mf_sqlite *store);
/* Once all are there; what they are then is what the others compare with. MF_ERR_IO: one that was noted before is another by now. */
enum mf_status mf_sqlite_note_files(struct mf_sqlite *store, struct mf_error *error);
/* MF_ERR_STATE: the database has more names, by hard or symbolic links, and so more logs. */
enum mf_status mf_sqlite_refuse_other_names(const struct mf_sqlite *store, struct mf_error *error);
/* read_lock is not held. MF_ERR_UNKNOWN_OUTCOME when they are others, and then the store has stopped. */
enum mf_status mf_sqlite_check_files(struct mf_sqlite *store, struct mf_error *error);
/* Is it still open for that file? */
bool mf_sqlite_is_ours(const struct mf_sqlite *store, int fd, const struct mf_file_identity *file);
/* At the end: closes what is still ours. */
void mf_sqlite_close_files(struct mf_sqlite *store);
/* Of whoever opens another connection: MF_ERR_IO when it would be one to another database. */
enum mf_status mf_sqlite_check_database(const struct mf_sqlite *store, struct mf_error *error);
/* In a transaction that has just begun. MF_ERR_LOCKED, MF_ERR_CORRUPTED: another program has written, and the store has stopped. */
enum mf_status mf_sqlite_check_alone(struct mf_sqlite *store, struct mf_error *error);

/* ---- sqlite_append.c ---- */
enum mf_status mf_sqlite_append_batch(struct mf_store *store, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error);
enum mf_status mf_sqlite_sync(struct mf_store *store, int64_t *out_synced_lsn, struct mf_error *error);
enum mf_status mf_sqlite_maintain(struct mf_store *store, struct mf_error *error);
enum mf_status mf_sqlite_checkpoint(struct mf_sqlite *store, bool truncate, struct mf_error *error);

/* ---- sqlite_read.c ---- */
/* The row's event, borrowed from the statement until its next step, checked against its checksum. */
enum mf_status mf_sqlite_read_event(struct mf_stmt *stmt, struct mf_event *out, struct mf_error *error);
enum mf_status mf_sqlite_read_compacted_key(struct mf_stmt *stmt, const char **out_key, struct mf_key_info *out, struct mf_error *error);
uint32_t mf_sqlite_key_checksum(int64_t lsn, const char *key, const uint8_t hash[16]);
void mf_sqlite_event_hash(const struct mf_event *event, uint8_t out[16]); /* zero when the payload is too short to have one */
enum mf_status mf_sqlite_load_since(struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error);
enum mf_status mf_sqlite_last_lsn(struct mf_store *store, const char *doc_id, int64_t *out_lsn, struct mf_error *error);
enum mf_status mf_sqlite_find_key(struct mf_store *store, const char *key, struct mf_key_info *out, struct mf_error *error);
enum mf_status mf_sqlite_documents(struct mf_store *store, mf_document_visit *visit, void *user, struct mf_error *error);
enum mf_status mf_sqlite_newest(struct mf_sql *sql, int64_t *out_lsn, struct mf_error *error); /* of events stored and compacted, and accepted losses */

/* ---- sqlite_metrics.c ---- */
enum mf_status mf_sqlite_save_metrics(struct mf_store *store, const void *text, size_t len, struct mf_error *error);
enum mf_status mf_sqlite_load_metrics(struct mf_store *store, struct mf_buffer *out, struct mf_error *error);

/* ---- sqlite_keys.c ---- */
void mf_sqlite_open_keys(struct mf_sqlite *store);
void mf_sqlite_close_keys(struct mf_sqlite *store);
void mf_sqlite_maintain_keys(struct mf_sqlite *store);                       /* fills the filter a little further */
bool mf_sqlite_key_is_new(const struct mf_sqlite *store, const char *key); /* false: ask the database */

/* ---- sqlite_snapshot.c ---- */
enum mf_status mf_sqlite_latest_snapshot(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error);
enum mf_status mf_sqlite_snapshot_chunk(struct mf_store *store, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error);
enum mf_status mf_sqlite_snapshot_finish(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_error *error);
enum mf_status mf_sqlite_snapshots(struct mf_store *store, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error);
/* Deletes the document's chunks up to upto_lsn that belong to no snapshot, one a transaction. */
enum mf_status mf_sqlite_sweep_chunks(struct mf_sqlite *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error);
/* Reads a whole snapshot through two statements of one connection; the caller holds a read transaction. */
enum mf_status mf_sqlite_read_snapshot(struct mf_stmt *row, struct mf_stmt *chunks, struct mf_snapshot *out, struct mf_error *error);
/* The row of a snapshot, for who changes or deletes it, or deletes what goes by it: the index says where, the row itself whether that
 * is true, else MF_ERR_CORRUPTED. In a transaction of the writer. */
struct mf_sqlite_snapshot_place {
	bool found;
	int64_t rowid, take;
};
enum mf_status mf_sqlite_find_snapshot(struct mf_sqlite *store, const char *doc_id, int64_t upto_lsn, struct mf_sqlite_snapshot_place *out, struct mf_error *error);
enum mf_status mf_sqlite_delete_snapshot(struct mf_sqlite *store, const char *doc_id, int64_t upto_lsn, const struct mf_sqlite_snapshot_place *place, struct mf_error *error);
/* Entries of the index of snapshots, as s, each with the row that it leads to, as r; MF_SQLITE_IS_ITS_ROW: and is that the one? */
#define MF_SQLITE_SNAPSHOT_ENTRIES "snapshots s INDEXED BY " MF_SQLITE_SNAPSHOT_INDEX " LEFT JOIN snapshots r NOT INDEXED ON r.rowid = s.rowid"
#define MF_SQLITE_IS_ITS_ROW "r.doc_id IS s.doc_id AND r.upto_lsn IS s.upto_lsn"
#define MF_SQLITE_SNAPSHOT_COLUMNS "doc_id, upto_lsn, created_at, state_blob, version, state_len, chunks, take, checksum, base_lsn"
/* The same, read from MF_SQLITE_SNAPSHOTS. A store of version 1 that is only read has no base_lsn: then the name means
 * the 0 beside the table. So a statement fits both, also when a writer upgrades the store under it. */
#define MF_SQLITE_READ_SNAPSHOT \
	"s.doc_id, s.upto_lsn, s.created_at, s.state_blob, s.version, s.state_len, s.chunks, s.take, s.checksum," \
	" (SELECT base_lsn FROM snapshots b WHERE b.rowid = s.rowid)"
#define MF_SQLITE_SNAPSHOTS "(SELECT 0 AS base_lsn) CROSS JOIN snapshots s"
#define MF_SQLITE_CHUNKS_OF "SELECT chunk, bytes, checksum FROM snapshot_chunks WHERE doc_id = ?1 AND upto_lsn = ?2 AND take = ?3 ORDER BY chunk"

/* ---- sqlite_prune.c ---- */
enum mf_status mf_sqlite_prune(struct mf_store *store, const char *doc_id, uint32_t keep, struct mf_error *error);
/* Deletes snapshots before from_lsn that none from there on builds on; compact_lock is held. */
enum mf_status mf_sqlite_drop_older(struct mf_sqlite *store, const char *doc_id, int64_t from_lsn, struct mf_error *error);

/* ---- sqlite_compact.c ---- */
enum mf_status mf_sqlite_vacuum(struct mf_store *store, struct mf_error *error);
enum mf_status mf_sqlite_compact(struct mf_store *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error);
/* The record of a document's compaction, checked against its checksum by each of the three. */
struct mf_sqlite_compaction {
	const char *doc_id; /* NULL: there is none, and the numbers are 0 */
	int64_t upto_lsn, chain_lsn, deleted, done;
};
#define MF_SQLITE_COMPACTION_COLUMNS "doc_id, compacted_upto, chain_lsn, deleted, done, checksum"
#define MF_SQLITE_COMPACTION_OF "SELECT " MF_SQLITE_COMPACTION_COLUMNS " FROM compactions WHERE doc_id = ?1"
enum mf_status mf_sqlite_read_compaction(struct mf_stmt *stmt, struct mf_sqlite_compaction *out, struct mf_error *error); /* of a row; its name is borrowed until the next step */
enum mf_status mf_sqlite_find_compaction(struct mf_stmt *compaction_of, const char *doc_id, struct mf_sqlite_compaction *out, struct mf_error *error);
enum mf_status mf_sqlite_ask_compaction(struct mf_sql *sql, const char *doc_id, struct mf_sqlite_compaction *out, struct mf_error *error);
enum mf_status mf_sqlite_resume_compactions(struct mf_sqlite *store, struct mf_error *error);

/* ---- sqlite_followers.c ---- */
/* Is there a table of followers? Not in a store of version 1 that nobody has written since. */
enum mf_status mf_sqlite_has_followers(struct mf_sql *sql, bool *out, struct mf_error *error);
enum mf_status mf_sqlite_count_followers(struct mf_sql *sql, struct mf_error *error); /* anew, into the row that has their number */
/* MF_ERR_CORRUPTED: there are not as many as that row says, or some twice. Of an older format than 3: MF_OK. */
enum mf_status mf_sqlite_check_follower_count(struct mf_sql *sql, struct mf_error *error);
uint32_t mf_sqlite_checkpoint_checksum(const struct mf_checkpoint *checkpoint);
enum mf_status mf_sqlite_load_checkpoint(struct mf_store *store, const char *name, struct mf_checkpoint *out, struct mf_error *error);
enum mf_status mf_sqlite_save_checkpoint(struct mf_store *store, const struct mf_checkpoint *checkpoint, struct mf_error *error);
enum mf_status mf_sqlite_checkpoints(struct mf_store *store, mf_checkpoint_visit *visit, void *user, struct mf_error *error);
enum mf_status mf_sqlite_epoch_end(struct mf_store *store, int64_t epoch, int64_t *out_lsn, struct mf_error *error);

/* ---- sqlite_verify.c ---- */
enum mf_status mf_sqlite_verify(struct mf_store *store, mf_damage_visit *visit, void *user, struct mf_error *error);

/* ---- sqlite_backup.c ---- */
enum mf_status mf_sqlite_backup(struct mf_store *store, const char *path, mf_backup_progress *progress, void *user, struct mf_backup_info *out, struct mf_error *error);

/* ---- sqlite_journal.c ---- */
/* There is one. MF_ERR_CORRUPTED: SQLite would change, or delete, with it what is not its business. */
enum mf_status mf_sqlite_check_journal(const struct mf_sqlite *store, struct mf_error *error);

/* ---- sqlite_cut.c ---- */
/* Both are paths: of a backup's database, which is only read, and of an empty file, which becomes a database with what the other has up to the LSN.
 * MF_ERR_CORRUPTED: some of that is not there, or cannot be copied; rows that do not fit their checksums are copied. */
enum mf_status mf_sqlite_cut(const struct mf_env *env, const char *from, const char *to, int64_t lsn, struct mf_error *error);

/* ---- sqlite_setup.c ---- */
enum mf_sqlite_identity { MF_SQLITE_OURS, MF_SQLITE_EMPTY };
/* MF_ERR_INVALID: not a store, or of a newer version. MF_ERR_NOT_FOUND: an empty database where a watermark says
 * that there was a store (error is not set). */
enum mf_status mf_sqlite_identify(const struct mf_sqlite *store, struct mf_sql *sql, bool had_watermark, enum mf_sqlite_identity *out, struct mf_error *error);
enum mf_status mf_sqlite_open_writer(struct mf_sqlite *store, bool exists, bool had_watermark, struct mf_error *error); /* creates the schema if need be */
/* Once nothing speaks against writing: adds what an older store lacks, and makes the writer ready. */
enum mf_status mf_sqlite_prepare_writer(struct mf_sqlite *store, struct mf_error *error);
/* Another connection for reading; the store has one, and what takes long opens its own. Making one means reading the schema, so one that was
 * closed is kept for who opens the next; any thread. MF_ERR_IO: the database at the store's path is another one by now. */
enum mf_status mf_sqlite_open_reader(struct mf_sqlite *store, struct mf_sql **out, struct mf_error *error);
/* Its statements must have been freed. sound: it answered what it was asked; else it is not kept. sql NULL is fine. */
void mf_sqlite_close_reader(struct mf_sqlite *store, struct mf_sql *sql, bool sound);
enum mf_status mf_sqlite_prepare_reads(struct mf_sqlite *store, struct mf_error *error);
enum mf_status mf_sqlite_not_ours(const struct mf_sqlite *store, struct mf_error *error);
enum mf_status mf_sqlite_sync_dir(const struct mf_sqlite *store, struct mf_error *error);
enum mf_status mf_sqlite_os_failed(struct mf_error *error, int64_t result, const char *doing, const char *path); /* result: -errno */
enum mf_status mf_sqlite_not_made(struct mf_error *error, int result, const char *doing, const char *path); /* of a file that was to be made where it was not there */

/* ---- sqlite_epochs.c ---- */
uint32_t mf_sqlite_epoch_checksum(int64_t epoch, int64_t first_lsn, int64_t lost_from);
enum mf_status mf_sqlite_find_end(struct mf_sql *sql, int64_t *out_lsn, int64_t *out_epoch, struct mf_error *error); /* the newest of each */
enum mf_status mf_sqlite_check_epochs(struct mf_sql *sql, struct mf_error *error); /* MF_ERR_CORRUPTED: a record does not fit its checksum */
enum mf_status mf_sqlite_insert_epoch(struct mf_sql *sql, int64_t epoch, int64_t first_lsn, int64_t lost_from, struct mf_error *error);
/* Inside a transaction; next_last_lsn becomes first_lsn - 1. */
enum mf_status mf_sqlite_write_epoch(struct mf_sqlite *store, int64_t epoch, int64_t first_lsn, int64_t lost_from, struct mf_error *error);

/* ---- sqlite_open.c ---- */
/* Frees everything that is there, in any state of opening; no sync, no checkpoint. */
enum mf_status mf_sqlite_free(struct mf_sqlite *store, struct mf_error *error);
