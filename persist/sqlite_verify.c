/* Everything that can be checked in a store: each finding is told, none ends the walk.
 *
 * Events are read by LSN, from the table itself, never through an index; then the indexes are compared with them,
 * row by row and in number. It runs on a connection of its own, a page at a time, so that neither commits nor
 * checkpoints wait for it; what is checked is the store up to the newest event when it began. */
#include "persist/sqlite_store.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <moduforge/value.h>

#include "persist/sqlite_indexes.h"

#define PAGE_ROWS 500

enum verify_stmt { EVENTS, BY_DOC, BEFORE, BY_KEY, COMPACTED_BY_KEY, CHAIN, EXPLAIN, EPOCH, KEYS, SNAPSHOTS, CHUNKS, SNAPSHOT_IN, VERIFY_STMTS };

static const char *const texts[VERIFY_STMTS] = {
	[EVENTS] = "SELECT " MF_SQLITE_EVENT_COLUMNS " FROM events NOT INDEXED WHERE lsn > ?1 AND lsn <= ?2 ORDER BY lsn LIMIT ?3",
	/* By its own number: an entry under a smaller one is found by a search up to it, but not by one for what comes behind that. */
	[BY_DOC] = "SELECT lsn FROM events INDEXED BY ix_events_doc_lsn WHERE doc_id = ?1 AND lsn = ?2",
	[BEFORE] = "SELECT lsn FROM events INDEXED BY ix_events_doc_lsn WHERE doc_id = ?1 AND lsn < ?2 ORDER BY lsn DESC LIMIT 1",
	[BY_KEY] = "SELECT lsn FROM events INDEXED BY " MF_SQLITE_KEY_INDEX " WHERE idempotency_key = ?1",
	[COMPACTED_BY_KEY] = "SELECT lsn FROM compacted_keys INDEXED BY " MF_SQLITE_COMPACTED_KEY_INDEX " WHERE idempotency_key = ?1",
	[CHAIN] = "SELECT chain_lsn FROM compactions WHERE doc_id = ?1",
	[EXPLAIN] = MF_SQLITE_EXPLAIN_HOLE,
	[EPOCH] = "SELECT first_lsn FROM epochs WHERE epoch = ?1",
	[KEYS] = "SELECT lsn, idempotency_key, content_hash, checksum FROM compacted_keys NOT INDEXED WHERE lsn > ?1 ORDER BY lsn LIMIT ?2",
	[SNAPSHOTS] = "SELECT " MF_SQLITE_READ_SNAPSHOT ", s.rowid FROM " MF_SQLITE_SNAPSHOTS " NOT INDEXED WHERE s.rowid > ?1 ORDER BY s.rowid LIMIT 1",
	[CHUNKS] = MF_SQLITE_CHUNKS_OF,
	/* The index is only the quick way to a row: without one, all rows are looked at. */
	[SNAPSHOT_IN] = "SELECT CASE WHEN EXISTS (SELECT 1 FROM " MF_SQLITE_SNAPSHOT_ENTRIES " WHERE s.doc_id = ?1 AND s.upto_lsn BETWEEN ?2 AND ?3 AND " MF_SQLITE_IS_ITS_ROW ")"
			" THEN 1 ELSE EXISTS (SELECT 1 FROM snapshots NOT INDEXED WHERE doc_id = ?1 AND upto_lsn BETWEEN ?2 AND ?3) END",
};

struct walk {
	struct mf_sqlite *store;
	struct mf_sql *sql;
	struct mf_stmt *stmts[VERIFY_STMTS];
	mf_damage_visit *visit;
	void *user;
	int64_t last, findings;
	int64_t unreadable; /* of the findings: the device's errors, which say nothing about what is stored there */
	int64_t epoch; /* of the event before */
	bool no_memory;
	char first[256];
	struct mf_error error;
};

static void report(struct walk *walk, const char *what, const char *doc_id, int64_t lsn, const char *format, ...) MF_PRINTF(5, 6);

static void report(struct walk *walk, const char *what, const char *doc_id, int64_t lsn, const char *format, ...)
{
	char message[MF_ERROR_MESSAGE_SIZE];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (walk->findings++ == 0)
		snprintf(walk->first, sizeof(walk->first), "%s%s%.100s%s, LSN %lld: %.100s", what, doc_id ? " of '" : "", doc_id ? doc_id : "", doc_id ? "'" : "", (long long)lsn, message);
	struct mf_damage damage = {what, doc_id, lsn, message};
	walk->visit(walk->user, &damage);
}

/* A query that failed is a finding, unless it says nothing about the stored bytes. */
static enum mf_status failed(struct walk *walk, enum mf_status status, const char *what, const char *doc_id, int64_t lsn)
{
	if (status == MF_ERR_NO_MEMORY || status == MF_ERR_BUSY)
		return status;
	walk->unreadable += status == MF_ERR_IO;
	report(walk, what, doc_id, lsn, "%s", walk->error.message);
	return MF_OK;
}

/* ---- one event ---- */

/* The first rows of a query by text and number: how many, and their first column. */
static enum mf_status numbers(struct walk *walk, enum verify_stmt which, const char *text, int64_t lsn, int64_t *out, size_t max, size_t *out_count)
{
	struct mf_stmt *stmt = walk->stmts[which];
	mf_stmt_bind_text(stmt, 1, text, strlen(text));
	if (which == BY_DOC || which == BEFORE)
		mf_stmt_bind_int(stmt, 2, lsn);
	size_t count = 0;
	enum mf_status status = MF_OK;
	while (count < max) {
		bool row;
		status = mf_stmt_step(stmt, &row, &walk->error);
		if (status != MF_OK || !row)
			break;
		out[count++] = mf_stmt_int(stmt, 0);
	}
	mf_stmt_reset(stmt);
	*out_count = count;
	return status;
}

static enum mf_status check_hole(struct walk *walk, int64_t first, int64_t last)
{
	if (first > last)
		return MF_OK;
	bool row;
	struct mf_stmt *stmt = walk->stmts[EXPLAIN];
	mf_stmt_bind_int(stmt, 1, first);
	mf_stmt_bind_int(stmt, 2, last);
	enum mf_status status = mf_stmt_step(stmt, &row, &walk->error);
	assert(status != MF_OK || row); /* an aggregate */
	int64_t missing = last - first + 1 - (status == MF_OK ? mf_stmt_int(stmt, 0) : 0);
	mf_stmt_reset(stmt);
	if (status != MF_OK)
		return failed(walk, status, "event", NULL, first);
	if (missing != 0)
		report(walk, "event", NULL, first, "of the events with LSN %lld to %lld, %lld are missing", (long long)first, (long long)last, (long long)missing);
	return MF_OK;
}

static enum mf_status check_document_index(struct walk *walk, const struct mf_event *event)
{
	int64_t found, previous = 0, chain = 0;
	size_t count, before = 0, rows;
	enum mf_status status = numbers(walk, BY_DOC, event->doc_id, event->lsn, &found, 1, &count);
	if (status == MF_OK && count == 1)
		status = numbers(walk, BEFORE, event->doc_id, event->lsn, &previous, 1, &before);
	if (status != MF_OK)
		return failed(walk, status, "index", event->doc_id, event->lsn);
	if (count == 0 || found != event->lsn) {
		report(walk, "index", event->doc_id, event->lsn, "the index of documents does not have the event");
		return MF_OK;
	}
	if (before == 0) {
		status = numbers(walk, CHAIN, event->doc_id, 0, &chain, 1, &rows);
		if (status != MF_OK)
			return failed(walk, status, "chain", event->doc_id, event->lsn);
		previous = chain;
	}
	/* A compaction under way will take this event too: what came before it is among the compacted already. */
	if (chain >= event->lsn)
		return event->prev_lsn == 0 ? MF_OK : check_hole(walk, event->prev_lsn, event->prev_lsn);
	if (previous != event->prev_lsn)
		report(walk, "chain", event->doc_id, event->lsn, "the event follows on LSN %lld, but the document's event before it is LSN %lld", (long long)event->prev_lsn, (long long)previous);
	return MF_OK;
}

static enum mf_status check_key_index(struct walk *walk, const struct mf_event *event)
{
	int64_t found;
	size_t count;
	enum mf_status status = numbers(walk, BY_KEY, event->idempotency_key, 0, &found, 1, &count);
	if (status != MF_OK)
		return failed(walk, status, "key", event->doc_id, event->lsn);
	if (count == 0 || found != event->lsn)
		report(walk, "key", event->doc_id, event->lsn, "the index of keys does not have the event's key '%.100s'", event->idempotency_key);
	status = numbers(walk, COMPACTED_BY_KEY, event->idempotency_key, 0, &found, 1, &count);
	if (status != MF_OK)
		return failed(walk, status, "key", event->doc_id, event->lsn);
	if (count > 0)
		report(walk, "key", event->doc_id, event->lsn, "the event's key '%.100s' is also that of the compacted LSN %lld", event->idempotency_key, (long long)found);
	return MF_OK;
}

/* Events of an epoch stand together, behind the row that its opening wrote before the first of them. */
static enum mf_status check_epoch_of(struct walk *walk, const struct mf_event *event)
{
	bool row;
	if (event->epoch == walk->epoch)
		return MF_OK;
	if (event->epoch < walk->epoch)
		report(walk, "event", event->doc_id, event->lsn, "the event is of epoch %lld, but one before it is of epoch %lld", (long long)event->epoch, (long long)walk->epoch);
	walk->epoch = event->epoch;
	struct mf_stmt *stmt = walk->stmts[EPOCH];
	mf_stmt_bind_int(stmt, 1, event->epoch);
	enum mf_status status = mf_stmt_step(stmt, &row, &walk->error);
	bool good = status == MF_OK && row && mf_stmt_int(stmt, 0) <= event->lsn;
	mf_stmt_reset(stmt);
	if (status != MF_OK)
		return failed(walk, status, "database", event->doc_id, event->lsn);
	if (!good)
		report(walk, "database", event->doc_id, event->lsn, "the event is of epoch %lld, of which there is no record that begins before it", (long long)event->epoch);
	return MF_OK;
}

static enum mf_status check_event(struct walk *walk, struct mf_stmt *stmt, int64_t previous, int64_t lsn)
{
	struct mf_event event;
	enum mf_status status = check_hole(walk, previous + 1, lsn - 1);
	if (status != MF_OK)
		return status;
	status = mf_sqlite_read_event(stmt, &event, &walk->error);
	if (status != MF_OK) /* its fields cannot be believed: nothing more to compare */
		return failed(walk, status, "event", mf_stmt_text(stmt, 2, NULL), lsn);
	status = check_epoch_of(walk, &event);
	if (status == MF_OK)
		status = check_document_index(walk, &event);
	return status == MF_OK ? check_key_index(walk, &event) : status;
}

/* ---- all events ---- */

/* A damaged number of a row leads a walk back to where it has been: it would never end. */
static bool out_of_order(struct walk *walk, const char *table, int64_t previous, int64_t number)
{
	if (number > previous)
		return false;
	report(walk, "database", NULL, 0, "the rows of the table %s are out of order: row %lld comes after row %lld", table, (long long)number, (long long)previous);
	return true;
}

/* Rows after *previous; false when there are no more. An unreadable place is told, then jumped over in growing steps. */
static enum mf_status check_page(struct walk *walk, int64_t *previous, int64_t *jump, bool *out_more)
{
	struct mf_stmt *stmt = walk->stmts[EVENTS];
	int64_t from = *previous + *jump, before = from;
	size_t rows = 0;
	bool lost = false;
	mf_stmt_bind_int(stmt, 1, from);
	mf_stmt_bind_int(stmt, 2, walk->last);
	mf_stmt_bind_int(stmt, 3, PAGE_ROWS);
	enum mf_status status;
	for (;;) {
		bool row;
		status = mf_stmt_step(stmt, &row, &walk->error);
		if (status != MF_OK || !row)
			break;
		int64_t lsn = mf_stmt_int(stmt, 0);
		lost = out_of_order(walk, "events", before, lsn);
		if (lost) /* pages that lead back to themselves would give rows for ever */
			break;
		if (*jump > 0)
			*previous = lsn - 1; /* the gap was told when it was met */
		*jump = 0;
		rows++;
		status = check_event(walk, stmt, *previous, lsn);
		*previous = before = lsn; /* the next page goes on from there: never back */
		if (status != MF_OK)
			break;
	}
	mf_stmt_reset(stmt);
	*out_more = rows == PAGE_ROWS;
	if ((status == MF_OK && !lost) || status == MF_ERR_NO_MEMORY || status == MF_ERR_BUSY)
		return status;
	walk->unreadable += status == MF_ERR_IO;
	if (*jump == 0 && !lost)
		report(walk, "database", NULL, *previous + 1, "the events from LSN %lld on cannot be read: %.200s", (long long)*previous + 1, walk->error.message);
	int64_t rest = walk->last - *previous, tried = *jump;
	*jump = tried == 0 ? 1 : tried < rest - tried ? 2 * tried : tried + (rest - tried + 1) / 2; /* twice as far; then half of what is left */
	*out_more = *jump < rest;
	return MF_OK;
}

static enum mf_status check_events(struct walk *walk)
{
	int64_t previous = 0, jump = 0;
	bool more = true;
	while (more) {
		enum mf_status status = check_page(walk, &previous, &jump, &more);
		if (status != MF_OK)
			return status;
	}
	return jump == 0 && previous < walk->last ? check_hole(walk, previous + 1, walk->last) : MF_OK; /* there is no LSN behind the largest */
}

/* ---- indexes ---- */

static void tell(void *user, const char *what, const char *doc_id, int64_t lsn, const char *message)
{
	report(user, what, doc_id, lsn, "%s", message);
}

static enum mf_status check_indexes(struct walk *walk)
{
	enum mf_status status = mf_sqlite_check_indexes(walk->sql, tell, walk, &walk->error);
	return status == MF_OK ? MF_OK : failed(walk, status, "database", NULL, 0);
}

/* ---- compacted keys ---- */

static enum mf_status check_key(struct walk *walk, struct mf_stmt *stmt, int64_t lsn)
{
	const char *key;
	struct mf_key_info info;
	enum mf_status status = mf_sqlite_read_compacted_key(stmt, &key, &info, &walk->error);
	if (status != MF_OK)
		return failed(walk, status, "key", NULL, lsn);
	int64_t found;
	size_t count;
	status = numbers(walk, COMPACTED_BY_KEY, key, 0, &found, 1, &count);
	if (status != MF_OK)
		return failed(walk, status, "key", NULL, lsn);
	if (count == 0 || found != lsn)
		report(walk, "key", NULL, lsn, "the index of compacted keys does not have the key '%.100s'", key);
	return MF_OK;
}

static enum mf_status check_compacted_keys(struct walk *walk)
{
	struct mf_stmt *stmt = walk->stmts[KEYS];
	int64_t lsn = 0;
	for (size_t rows = PAGE_ROWS; rows == PAGE_ROWS;) {
		mf_stmt_bind_int(stmt, 1, lsn);
		mf_stmt_bind_int(stmt, 2, PAGE_ROWS);
		for (rows = 0;; rows++) {
			bool row;
			enum mf_status status = mf_stmt_step(stmt, &row, &walk->error);
			if (status != MF_OK)
				return failed(walk, status, "database", NULL, lsn + 1);
			if (!row)
				break;
			if (out_of_order(walk, "compacted_keys", lsn, mf_stmt_int(stmt, 0))) {
				mf_stmt_reset(stmt);
				return MF_OK;
			}
			lsn = mf_stmt_int(stmt, 0);
			status = check_key(walk, stmt, lsn);
			if (status != MF_OK) {
				mf_stmt_reset(stmt);
				return status;
			}
		}
	}
	return MF_OK;
}

/* ---- snapshots, compactions, epochs ---- */

/* A writer beside us goes on since the walk began; what it commits it commits in order. */
static bool is_ahead(const struct walk *walk, int64_t upto_lsn)
{
	int64_t newest = walk->last;
	if (upto_lsn <= newest)
		return false;
	return mf_sqlite_newest(walk->sql, &newest, NULL) == MF_OK && upto_lsn > newest;
}

/* Is there one of the document from one number to another? */
static enum mf_status has_snapshot(struct walk *walk, const char *doc_id, int64_t from, int64_t upto, bool *out)
{
	bool row;
	struct mf_stmt *stmt = walk->stmts[SNAPSHOT_IN];
	mf_stmt_bind_text(stmt, 1, doc_id, strlen(doc_id));
	mf_stmt_bind_int(stmt, 2, from);
	mf_stmt_bind_int(stmt, 3, upto);
	enum mf_status status = mf_stmt_step(stmt, &row, &walk->error);
	*out = status == MF_OK && mf_stmt_int(stmt, 0);
	mf_stmt_reset(stmt);
	return status;
}

/* Between the reading of the snapshot's row and the next: all of one moment. */
static enum mf_status check_base(struct walk *walk, const struct mf_snapshot *snapshot)
{
	bool there;
	if (snapshot->base_lsn == 0)
		return MF_OK;
	enum mf_status status = has_snapshot(walk, snapshot->doc_id, snapshot->base_lsn, snapshot->base_lsn, &there);
	if (status != MF_OK)
		return failed(walk, status, "snapshot", snapshot->doc_id, snapshot->upto_lsn);
	if (!there)
		report(walk, "snapshot", snapshot->doc_id, snapshot->upto_lsn, "the snapshot at LSN %lld, on which it builds, is missing", (long long)snapshot->base_lsn);
	return MF_OK;
}

static enum mf_status check_snapshots(struct walk *walk)
{
	struct mf_stmt *stmt = walk->stmts[SNAPSHOTS];
	for (int64_t rowid = 0;;) {
		bool row;
		mf_stmt_bind_int(stmt, 1, rowid);
		enum mf_status status = mf_stmt_step(stmt, &row, &walk->error);
		if (status != MF_OK)
			return failed(walk, status, "database", NULL, 0);
		if (!row)
			return MF_OK;
		if (out_of_order(walk, "snapshots", rowid, mf_stmt_int(stmt, 10))) {
			mf_stmt_reset(stmt);
			return MF_OK;
		}
		rowid = mf_stmt_int(stmt, 10);
		struct mf_snapshot snapshot = {0};
		status = mf_sqlite_read_snapshot(stmt, walk->stmts[CHUNKS], &snapshot, &walk->error);
		if (status != MF_OK)
			status = failed(walk, status, "snapshot", mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1));
		else if (is_ahead(walk, snapshot.upto_lsn))
			report(walk, "snapshot", snapshot.doc_id, snapshot.upto_lsn, "the snapshot is newer than the newest event");
		else
			status = check_base(walk, &snapshot);
		mf_snapshot_deinit(&snapshot);
		mf_stmt_reset(stmt);
		if (status != MF_OK)
			return status;
	}
}

#define COMPACTIONS \
	"SELECT " MF_SQLITE_COMPACTION_COLUMNS ", EXISTS (SELECT 1 FROM events e WHERE e.doc_id = c.doc_id AND e.lsn <= c.compacted_upto) FROM compactions c"

static enum mf_status check_compaction(struct walk *walk, struct mf_stmt *stmt)
{
	bool there = true;
	struct mf_sqlite_compaction record;
	enum mf_status status = mf_sqlite_read_compaction(stmt, &record, &walk->error);
	if (status == MF_ERR_CORRUPTED) {
		report(walk, "chain", mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1), "the record of the document's compaction does not fit its checksum");
		return MF_OK;
	}
	if (status == MF_OK)
		status = has_snapshot(walk, record.doc_id, record.upto_lsn, INT64_MAX, &there);
	if (status != MF_OK)
		return status;
	if (record.done && mf_stmt_int(stmt, 6))
		report(walk, "event", record.doc_id, record.upto_lsn, "events that compaction deleted are there");
	else if (!there)
		report(walk, "snapshot", record.doc_id, record.upto_lsn, "the document was compacted up to here and has no snapshot from here on: its state is lost");
	return MF_OK;
}

static enum mf_status check_epoch(struct walk *walk, struct mf_stmt *stmt)
{
	int64_t epoch = mf_stmt_int(stmt, 0), first = mf_stmt_int(stmt, 1), lost_from = mf_stmt_int(stmt, 2);
	if (mf_stmt_int(stmt, 3) != mf_sqlite_epoch_checksum(epoch, first, lost_from))
		report(walk, "database", NULL, first, "the record of epoch %lld does not fit its checksum", (long long)epoch);
	return MF_OK;
}

static enum mf_status check_follower(struct walk *walk, struct mf_stmt *stmt)
{
	const struct mf_checkpoint checkpoint = {mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1), mf_stmt_int(stmt, 2)};
	if (!checkpoint.name || mf_stmt_int(stmt, 3) != mf_sqlite_checkpoint_checksum(&checkpoint))
		report(walk, "follower", NULL, checkpoint.lsn, "the checkpoint of follower '%.100s' does not fit its checksum: it will be told everything again", checkpoint.name ? checkpoint.name : "");
	return MF_OK;
}

static enum mf_status check_rows(struct walk *walk, const char *text, enum mf_status (*check)(struct walk *walk, struct mf_stmt *stmt))
{
	struct mf_stmt *stmt = NULL;
	enum mf_status status = mf_sql_prepare(walk->sql, text, &stmt, &walk->error);
	while (status == MF_OK) {
		bool row;
		status = mf_stmt_step(stmt, &row, &walk->error);
		if (status != MF_OK || !row)
			break;
		status = check(walk, stmt);
	}
	mf_stmt_free(stmt);
	return status == MF_OK ? MF_OK : failed(walk, status, "database", NULL, 0);
}

static enum mf_status check_followers(struct walk *walk)
{
	bool there;
	enum mf_status status = mf_sqlite_has_followers(walk->sql, &there, &walk->error);
	if (status != MF_OK)
		return failed(walk, status, "database", NULL, 0);
	if (there)
		status = check_rows(walk, "SELECT name, epoch, lsn, checksum FROM followers WHERE name <> ''", check_follower);
	if (status != MF_OK)
		return status;
	status = mf_sqlite_check_follower_count(walk->sql, &walk->error);
	return status == MF_OK ? MF_OK : failed(walk, status, "follower", NULL, 0);
}

static enum mf_status check_quick(struct walk *walk, struct mf_stmt *stmt)
{
	const char *message = mf_stmt_text(stmt, 0, NULL);
	enum mf_status status = message ? mf_sql_status_of_finding(message) : MF_ERR_NO_MEMORY;
	if (status == MF_ERR_NO_MEMORY) {
		walk->no_memory = true;
	} else if (strcmp(message, "ok") != 0) {
		walk->unreadable += status == MF_ERR_IO;
		report(walk, "database", NULL, 0, "SQLite says: %.300s", message);
	}
	return MF_OK;
}

/* ---- the walk ---- */

static enum mf_status prepare_walk(struct walk *walk)
{
	int64_t known = atomic_load(&walk->store->last_lsn);
	enum mf_status status = mf_sqlite_open_reader(walk->store, &walk->sql, &walk->error);
	for (size_t i = 0; i < VERIFY_STMTS && status == MF_OK; i++)
		status = mf_sql_prepare(walk->sql, texts[i], &walk->stmts[i], &walk->error);
	if (status == MF_OK)
		status = mf_sqlite_newest(walk->sql, &walk->last, &walk->error);
	if (status == MF_OK && walk->last < known)
		report(walk, "database", NULL, walk->last, "the newest event is LSN %lld, and LSN %lld was committed", (long long)walk->last, (long long)known);
	return status;
}

static enum mf_status walk_all(struct walk *walk)
{
	char failure[sizeof(walk->store->watermark_failure)];
	pthread_mutex_lock(&walk->store->watermark_lock);
	memcpy(failure, walk->store->watermark_failure, sizeof(failure));
	pthread_mutex_unlock(&walk->store->watermark_lock);
	for (const char *note = walk->store->watermark_note; note; note = note == failure ? NULL : failure)
		if (note[0])
			report(walk, "watermark", NULL, 0, "%s", note);
	enum mf_status status = check_rows(walk, "PRAGMA quick_check(100)", check_quick);
	if (walk->no_memory)
		return mf_error_set(&walk->error, MF_ERR_NO_MEMORY, "out of memory while checking the database");
	if (status == MF_OK)
		status = check_events(walk);
	if (status == MF_OK)
		status = check_indexes(walk);
	if (status == MF_OK)
		status = check_compacted_keys(walk);
	if (status == MF_OK)
		status = check_snapshots(walk);
	if (status == MF_OK)
		status = check_rows(walk, COMPACTIONS, check_compaction);
	if (status == MF_OK)
		status = check_rows(walk, "SELECT epoch, first_lsn, lost_from, checksum FROM epochs", check_epoch);
	return status == MF_OK ? check_followers(walk) : status;
}

enum mf_status mf_sqlite_verify(struct mf_store *base, mf_damage_visit *visit, void *user, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_owner(store, error);
	if (status != MF_OK)
		return status;
	struct walk walk = {.store = store, .visit = visit, .user = user};
	status = prepare_walk(&walk);
	if (status == MF_OK)
		status = walk_all(&walk);
	else if (status == MF_ERR_CORRUPTED)
		status = failed(&walk, status, "database", NULL, 0);
	if (status != MF_OK && error)
		*error = walk.error;
	for (size_t i = 0; i < VERIFY_STMTS; i++)
		mf_stmt_free(walk.stmts[i]);
	mf_sqlite_close_reader(store, walk.sql, status == MF_OK);
	if (status != MF_OK || walk.findings == 0)
		return status;
	return mf_error_set(error, walk.unreadable > 0 ? MF_ERR_IO : MF_ERR_CORRUPTED, "%lld findings in %.150s%s, the first: %s", (long long)walk.findings, store->dir,
			    walk.unreadable > 0 ? ", and not all of it can be read" : "", walk.first);
}
