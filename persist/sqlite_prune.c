/* Snapshots that are not needed any more go, a row a transaction, so that commits pass in between. Their chunks then
 * belong to no row and are swept. A crash leaves some of them for the next time, each with what it builds on. */
#include "persist/sqlite_store.h"

#include <string.h>

#include "model/mem.h"
#include "persist/snapshot_keep.h"

struct rows {
	struct mf_snapshot_row *items;
	size_t count, capacity;
};

static enum mf_status add_row(struct rows *rows, int64_t upto_lsn, int64_t base_lsn, struct mf_error *error)
{
	if (rows->count == rows->capacity) {
		size_t capacity = rows->capacity ? 2 * rows->capacity : 16;
		struct mf_snapshot_row *grown = mf_realloc(rows->items, capacity * sizeof(*grown));
		if (!grown)
			return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while looking for snapshots that may go");
		rows->items = grown;
		rows->capacity = capacity;
	}
	rows->items[rows->count++] = (struct mf_snapshot_row){.upto_lsn = upto_lsn, .base_lsn = base_lsn};
	return MF_OK;
}

struct listing {
	const char *doc_id;
	struct rows rows;
	int64_t compacted_upto; /* INT64_MAX: never */
};

/* The numbers come from the index, what a snapshot builds on from its row. */
#define ROWS_OF "SELECT s.upto_lsn, r.base_lsn, " MF_SQLITE_IS_ITS_ROW " FROM " MF_SQLITE_SNAPSHOT_ENTRIES " WHERE s.doc_id = ?1 ORDER BY s.upto_lsn"

static enum mf_status list_row(struct listing *listing, struct mf_stmt *stmt, struct mf_error *error)
{
	struct rows *rows = &listing->rows;
	int64_t upto = mf_stmt_int(stmt, 0);
	if (!mf_stmt_int(stmt, 2) || (rows->count > 0 && upto <= rows->items[rows->count - 1].upto_lsn))
		return mf_sqlite_corrupted(error, listing->doc_id, upto, "the index of snapshots leads to another one, or is out of order");
	return add_row(rows, upto, mf_stmt_int(stmt, 1), error);
}

static enum mf_status list_rows(struct mf_sqlite *store, struct listing *listing, struct mf_error *error)
{
	struct mf_stmt *stmt;
	bool row = true;
	enum mf_status status = mf_sql_prepare(store->writer, ROWS_OF, &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, listing->doc_id, strlen(listing->doc_id));
	while (status == MF_OK && row) {
		status = mf_stmt_step(stmt, &row, error);
		if (status == MF_OK && row)
			status = list_row(listing, stmt, error);
	}
	mf_stmt_free(stmt);
	return status;
}

static enum mf_status list(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	struct listing *listing = user;
	struct mf_sqlite_compaction record;
	enum mf_status status = list_rows(store, listing, error);
	if (status == MF_OK) /* the snapshot that the events that are left follow on is found by its number */
		status = mf_sqlite_ask_compaction(store->writer, listing->doc_id, &record, error);
	if (status == MF_OK)
		listing->compacted_upto = record.doc_id ? record.upto_lsn : INT64_MAX;
	return status;
}

struct drop {
	const char *doc_id;
	int64_t upto_lsn;
};

/* compact_lock is held: nobody else has deleted it since it was listed. */
static enum mf_status drop_row(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	const struct drop *drop = user;
	struct mf_sqlite_snapshot_place place;
	enum mf_status status = mf_sqlite_find_snapshot(store, drop->doc_id, drop->upto_lsn, &place, error);
	return status == MF_OK ? mf_sqlite_delete_snapshot(store, drop->doc_id, drop->upto_lsn, &place, error) : status;
}

static enum mf_status drop_one(struct mf_sqlite *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct drop drop = {doc_id, upto_lsn};
	mf_sqlite_lock_writer(store);
	enum mf_status status = mf_sqlite_transact_locked(store, drop_row, &drop, error);
	if (status == MF_OK) /* under the lock: see count_base */
		atomic_fetch_sub(&store->new_snapshots, 1);
	pthread_mutex_unlock(&store->write_lock);
	if (status == MF_OK)
		status = mf_sqlite_maintain(&store->base, error);
	mf_sqlite_let_writers_pass(store);
	return status;
}

/* The newest first: wherever it is cut off, none is left without the one that it builds on. */
static enum mf_status drop_unkept(struct mf_sqlite *store, const struct listing *listing, const struct mf_keep_rule *rule, struct mf_error *error)
{
	int64_t newest = 0;
	enum mf_status status = MF_OK;
	mf_snapshot_keep(listing->rows.items, listing->rows.count, rule);
	for (size_t i = listing->rows.count; status == MF_OK && i > 0; i--) {
		const struct mf_snapshot_row *row = &listing->rows.items[i - 1];
		if (row->kept)
			continue;
		if (newest == 0)
			newest = row->upto_lsn;
		status = drop_one(store, listing->doc_id, row->upto_lsn, error);
	}
	return status == MF_OK && newest > 0 ? mf_sqlite_sweep_chunks(store, listing->doc_id, newest, error) : status;
}

enum mf_status mf_sqlite_drop_older(struct mf_sqlite *store, const char *doc_id, int64_t from_lsn, struct mf_error *error)
{
	struct listing listing = {.doc_id = doc_id};
	const struct mf_keep_rule rule = {.from_lsn = from_lsn, .events_from = INT64_MAX};
	enum mf_status status = mf_sqlite_transact(store, list, &listing, error);
	if (status == MF_OK)
		status = drop_unkept(store, &listing, &rule, error);
	mf_free(listing.rows.items);
	return status;
}

enum mf_status mf_sqlite_prune(struct mf_store *base, const char *doc_id, uint32_t keep, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_writable(store, error);
	if (status != MF_OK)
		return status;
	struct listing listing = {.doc_id = doc_id};
	pthread_mutex_lock(&store->compact_lock);
	status = mf_sqlite_transact(store, list, &listing, error);
	if (status == MF_OK) {
		const struct mf_keep_rule rule = {.newest = keep, .from_lsn = INT64_MAX, .events_from = listing.compacted_upto};
		status = drop_unkept(store, &listing, &rule, error);
	}
	pthread_mutex_unlock(&store->compact_lock);
	mf_free(listing.rows.items);
	return status;
}
