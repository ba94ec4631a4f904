/* Compaction: a document's events up to a snapshot go, their keys stay.
 *
 * 1. One transaction records how far (compacted_upto) and which event is the last to go (chain_lsn): from then on
 *    the document can be read from there on only.
 * 2. Rows go in short transactions, oldest first, each moving its keys and counting what it deleted; other writers
 *    pass in between.
 * 3. Older snapshots go, then the record is marked done.
 * A crash leaves a record that is not done: the next opening for writing goes on from there.
 * A damaged event stops it: nothing that cannot be read is deleted. */
#include "persist/sqlite_store.h"

#include <assert.h>
#include <string.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/checksum.h"

#define ROWS_AT_ONCE 500
#define BYTES_AT_ONCE (8u << 20)

struct compaction {
	const char *doc_id;
	int64_t upto_lsn, chain_lsn, deleted;
	int64_t rows; /* that the last transaction took away */
	int64_t last; /* the newest of them; 0: none yet */
};

/* ---- the record ---- */

static uint32_t record_checksum(const struct mf_sqlite_compaction *record)
{
	const int64_t numbers[] = {record->upto_lsn, record->chain_lsn, record->deleted, record->done};
	return mf_row_checksum(numbers, 4, record->doc_id, NULL, 0);
}

enum mf_status mf_sqlite_read_compaction(struct mf_stmt *stmt, struct mf_sqlite_compaction *out, struct mf_error *error)
{
	const struct mf_sqlite_compaction record = {mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1), mf_stmt_int(stmt, 2), mf_stmt_int(stmt, 3), mf_stmt_int(stmt, 4)};
	if (mf_stmt_no_memory(stmt))
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading the record of a compaction");
	if (!record.doc_id || mf_stmt_int(stmt, 5) != record_checksum(&record))
		return mf_sqlite_corrupted(error, record.doc_id, record.upto_lsn, "the record of the document's compaction does not fit its checksum");
	*out = record;
	return MF_OK;
}

enum mf_status mf_sqlite_find_compaction(struct mf_stmt *compaction_of, const char *doc_id, struct mf_sqlite_compaction *out, struct mf_error *error)
{
	bool row;
	struct mf_sqlite_compaction record = {0};
	mf_stmt_bind_text(compaction_of, 1, doc_id, strlen(doc_id));
	enum mf_status status = mf_stmt_step(compaction_of, &row, error);
	if (status != MF_OK || !row) {
		*out = record;
		return status;
	}
	status = mf_sqlite_read_compaction(compaction_of, &record, error);
	mf_stmt_reset(compaction_of);
	record.doc_id = doc_id;
	*out = record;
	return status;
}

enum mf_status mf_sqlite_ask_compaction(struct mf_sql *sql, const char *doc_id, struct mf_sqlite_compaction *out, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, MF_SQLITE_COMPACTION_OF, &stmt, error);
	if (status != MF_OK)
		return status;
	status = mf_sqlite_find_compaction(stmt, doc_id, out, error);
	mf_stmt_free(stmt);
	return status;
}

static enum mf_status write_record(struct mf_sqlite *store, const struct compaction *from, bool done, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(store->writer,
					       "INSERT OR REPLACE INTO compactions (" MF_SQLITE_COMPACTION_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
					       &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, from->doc_id, strlen(from->doc_id));
	mf_stmt_bind_int(stmt, 2, from->upto_lsn);
	mf_stmt_bind_int(stmt, 3, from->chain_lsn);
	mf_stmt_bind_int(stmt, 4, from->deleted);
	mf_stmt_bind_int(stmt, 5, done);
	mf_stmt_bind_int(stmt, 6, record_checksum(&(struct mf_sqlite_compaction){from->doc_id, from->upto_lsn, from->chain_lsn, from->deleted, done}));
	status = mf_stmt_run(stmt, error);
	mf_stmt_free(stmt);
	return status;
}

/* The one number that a query over document and LSN gives. */
static enum mf_status ask(struct mf_sqlite *store, const char *text, const struct compaction *about, int64_t *out, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(store->writer, text, &stmt, error);
	if (status != MF_OK)
		return status;
	bool row;
	mf_stmt_bind_text(stmt, 1, about->doc_id, strlen(about->doc_id));
	mf_stmt_bind_int(stmt, 2, about->upto_lsn);
	status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK) {
		assert(row); /* an aggregate */
		*out = mf_stmt_int(stmt, 0);
	}
	mf_stmt_free(stmt);
	return status;
}

static enum mf_status begin(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	struct compaction *wanted = user;
	int64_t last;
	struct mf_sqlite_snapshot_place snapshot;
	enum mf_status status = mf_sqlite_find_snapshot(store, wanted->doc_id, wanted->upto_lsn, &snapshot, error);
	if (status == MF_OK && !snapshot.found)
		status = mf_error_set(error, MF_ERR_INVALID, "'%.200s' has no snapshot up to LSN %lld to compact to", wanted->doc_id, (long long)wanted->upto_lsn);
	if (status == MF_OK)
		status = ask(store, "SELECT max(lsn) FROM events WHERE doc_id = ?1 AND lsn <= ?2", wanted, &last, error);
	if (status != MF_OK)
		return status;
	struct mf_sqlite_compaction before;
	status = mf_sqlite_ask_compaction(store->writer, wanted->doc_id, &before, error);
	if (status != MF_OK)
		return status;
	if (wanted->upto_lsn < before.upto_lsn)
		wanted->upto_lsn = before.upto_lsn;
	wanted->chain_lsn = last > before.chain_lsn ? last : before.chain_lsn;
	wanted->deleted = before.deleted;
	return write_record(store, wanted, false, error);
}

/* ---- events ---- */

static enum mf_status keep_key(struct mf_stmt *stmt, const struct mf_event *event, struct mf_error *error)
{
	uint8_t hash[16];
	mf_sqlite_event_hash(event, hash);
	mf_stmt_bind_int(stmt, 1, event->lsn);
	mf_stmt_bind_text(stmt, 2, event->idempotency_key, strlen(event->idempotency_key));
	mf_stmt_bind_blob(stmt, 3, hash, sizeof(hash));
	mf_stmt_bind_int(stmt, 4, mf_sqlite_key_checksum(event->lsn, event->idempotency_key, hash));
	return mf_stmt_run(stmt, error);
}

/* The index of documents says that it is the next one of the document up to there; but an entry may lead to another. */
static enum mf_status check_turn(const struct compaction *job, const struct mf_event *event, struct mf_error *error)
{
	if (event->lsn <= job->upto_lsn && (job->last == 0 || event->prev_lsn == job->last))
		return MF_OK;
	return mf_sqlite_corrupted(error, event->doc_id, event->lsn, "the index of documents leads to it where another event of the document should be");
}

/* Keys of the next rows to the other table; out_lsns are these rows. */
static enum mf_status keep_keys(struct mf_stmt *select, struct mf_stmt *insert, struct compaction *job, int64_t out_lsns[ROWS_AT_ONCE], struct mf_error *error)
{
	mf_stmt_bind_text(select, 1, job->doc_id, strlen(job->doc_id));
	mf_stmt_bind_int(select, 2, job->upto_lsn);
	for (size_t bytes = 0; job->rows < ROWS_AT_ONCE && bytes < BYTES_AT_ONCE; job->rows++) {
		bool row;
		struct mf_event event;
		enum mf_status status = mf_stmt_step(select, &row, error);
		if (status != MF_OK || !row)
			return status;
		status = mf_sqlite_read_event(select, &event, error);
		if (status == MF_OK)
			status = check_turn(job, &event, error);
		if (status == MF_OK)
			status = keep_key(insert, &event, error);
		if (status == MF_ERR_DUPLICATE_KEY)
			status = mf_sqlite_corrupted(error, event.doc_id, event.lsn, "the event's key was kept before");
		if (status != MF_OK)
			return status;
		out_lsns[job->rows] = job->last = event.lsn;
		bytes += event.payload_len + event.meta_len;
	}
	return MF_OK;
}

/* Those that were read, and no index is asked for them again. */
static enum mf_status delete_rows(struct mf_sqlite *store, const int64_t *lsns, int64_t count, struct mf_error *error)
{
	struct mf_stmt *stmt = NULL;
	enum mf_status status = mf_sql_prepare(store->writer, "DELETE FROM events WHERE lsn = ?1", &stmt, error);
	for (int64_t i = 0; status == MF_OK && i < count; i++) {
		mf_stmt_bind_int(stmt, 1, lsns[i]);
		status = mf_stmt_run(stmt, error);
		if (status == MF_OK && mf_sql_changes(store->writer) != 1)
			status = mf_sqlite_corrupted(error, NULL, lsns[i], "the event was read, and is not there to be deleted");
	}
	mf_stmt_free(stmt);
	return status;
}

static enum mf_status move_some(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	struct compaction *job = user;
	struct mf_stmt *select = NULL, *insert = NULL;
	int64_t lsns[ROWS_AT_ONCE];
	job->rows = 0;
	enum mf_status status = mf_sql_prepare(store->writer,
					       "SELECT " MF_SQLITE_EVENT_COLUMNS " FROM events INDEXED BY ix_events_doc_lsn WHERE doc_id = ?1 AND lsn <= ?2 ORDER BY lsn", &select, error);
	if (status == MF_OK)
		status = mf_sql_prepare(store->writer, "INSERT OR ABORT INTO compacted_keys (lsn, idempotency_key, content_hash, checksum) VALUES (?1, ?2, ?3, ?4)", &insert, error);
	if (status == MF_OK)
		status = keep_keys(select, insert, job, lsns, error);
	mf_stmt_free(select);
	mf_stmt_free(insert);
	if (status != MF_OK || job->rows == 0)
		return status;
	store->any_compacted_keys = true;
	status = delete_rows(store, lsns, job->rows, error);
	if (status != MF_OK)
		return status;
	struct compaction counted = *job;
	counted.deleted += job->rows;
	return write_record(store, &counted, false, error);
}

/* ---- all of it ---- */

static enum mf_status finish(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	return write_record(store, user, true, error);
}

/* A transaction at a time, until there is nothing more to move. */
static enum mf_status move_events(struct mf_sqlite *store, struct compaction *job, struct mf_error *error)
{
	do {
		mf_sqlite_lock_writer(store);
		enum mf_status status = mf_sqlite_transact_locked(store, move_some, job, error);
		if (status == MF_OK) /* under the lock: see count_base */
			atomic_fetch_add(&store->deleted_events, job->rows);
		pthread_mutex_unlock(&store->write_lock);
		if (status == MF_OK)
			status = mf_sqlite_maintain(&store->base, error);
		if (status != MF_OK)
			return status;
		job->deleted += job->rows;
		mf_sqlite_let_writers_pass(store);
	} while (job->rows > 0);
	return MF_OK;
}

/* From a record that is written to its end. */
static enum mf_status carry_out(struct mf_sqlite *store, struct compaction *job, struct mf_error *error)
{
	enum mf_status status = move_events(store, job, error);
	if (status == MF_OK)
		status = mf_sqlite_drop_older(store, job->doc_id, job->upto_lsn, error);
	if (status == MF_OK)
		status = mf_sqlite_sweep_chunks(store, job->doc_id, job->upto_lsn, error);
	if (status == MF_OK)
		status = mf_sqlite_transact(store, finish, job, error);
	return status;
}

enum mf_status mf_sqlite_compact(struct mf_store *base, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_writable(store, error);
	if (status != MF_OK)
		return status;
	struct compaction job = {.doc_id = doc_id, .upto_lsn = upto_lsn};
	pthread_mutex_lock(&store->compact_lock);
	status = mf_sqlite_transact(store, begin, &job, error);
	if (status == MF_OK)
		status = carry_out(store, &job, error);
	pthread_mutex_unlock(&store->compact_lock);
	return status;
}

/* ---- space ---- */

enum mf_status mf_sqlite_vacuum(struct mf_store *base, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	pthread_mutex_lock(&store->compact_lock);
	mf_sqlite_lock_writer(store);
	enum mf_status status = mf_sqlite_check_writable(store, error);
	if (status == MF_OK)
		status = mf_sqlite_vacuum_locked(store, error);
	pthread_mutex_unlock(&store->write_lock);
	if (status == MF_OK) /* the file shrinks when the log is copied into it */
		status = mf_sqlite_checkpoint(store, true, error);
	pthread_mutex_unlock(&store->compact_lock);
	return status;
}

/* ---- after a crash ---- */

/* The first one behind *doc_id, which is freed. NULL: before all; there is no more. */
static enum mf_status next_unfinished(struct mf_sqlite *store, char **doc_id, struct mf_error *error)
{
	struct mf_stmt *stmt;
	const char *after = *doc_id ? *doc_id : "";
	/* A name with a NUL is none: behind the part before that, the same would come again. */
	enum mf_status status = mf_sql_prepare(store->writer, "SELECT doc_id FROM compactions WHERE done = 0 AND doc_id > ?1 AND typeof(doc_id) = 'text' AND instr(doc_id, char(0)) = 0"
					       " ORDER BY doc_id LIMIT 1", &stmt, error);
	if (status != MF_OK)
		return status;
	bool row;
	mf_stmt_bind_text(stmt, 1, after, strlen(after));
	status = mf_stmt_step(stmt, &row, error);
	char *next = NULL;
	if (status == MF_OK && row) {
		next = mf_strdup(mf_stmt_text(stmt, 0, NULL));
		if (!next)
			status = mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while going on with a compaction");
	}
	mf_stmt_free(stmt);
	mf_free(*doc_id);
	*doc_id = next;
	return status;
}

enum mf_status mf_sqlite_resume_compactions(struct mf_sqlite *store, struct mf_error *error)
{
	char *doc_id = NULL;
	for (;;) {
		enum mf_status status = next_unfinished(store, &doc_id, error);
		if (status != MF_OK || !doc_id) {
			mf_free(doc_id); /* it may not have come so far as to do that */
			return status;
		}
		struct mf_sqlite_compaction begun;
		status = mf_sqlite_ask_compaction(store->writer, doc_id, &begun, error);
		if (status == MF_OK && begun.doc_id) {
			struct compaction job = {.doc_id = doc_id, .upto_lsn = begun.upto_lsn, .chain_lsn = begun.chain_lsn, .deleted = begun.deleted};
			status = carry_out(store, &job, error);
		}
		/* Damage in one document must not keep the others from being written. It is as it was: verify tells of it,
		 * and so does whoever reads it. */
		if (status != MF_OK && status != MF_ERR_CORRUPTED) {
			mf_free(doc_id);
			return status;
		}
	}
}
