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

static enum mf_status list_rows(struct mf_sqlite *store, struct listing *listing, struct mf_error *error)
{
	struct mf_stmt *stmt;
	bool row = true;
	enum mf_status status = mf_sql_prepare(store->writer, "SELECT upto_lsn, base_lsn FROM snapshots WHERE doc_id = ?1 ORDER BY upto_lsn", &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, listing->doc_id, strlen(listing->doc_id));
	while (status == MF_OK && row) {
		status = mf_stmt_step(stmt, &row, error);
		if (status == MF_OK && row)
			status = add_row(&listing->rows, mf_stmt_int(stmt, 0), mf_stmt_int(stmt, 1), error);
	}
	mf_stmt_free(stmt);
	return status;
}

/* The snapshot that the events that are left follow on is found by this number. */
static enum mf_status read_compacted(struct listing *listing, struct mf_stmt *stmt, struct mf_error *error)
{
	int64_t upto = mf_stmt_int(stmt, 0);
	if (mf_stmt_int(stmt, 4) != mf_sqlite_compaction_checksum(listing->doc_id, upto, mf_stmt_int(stmt, 1), mf_stmt_int(stmt, 2), mf_stmt_int(stmt, 3)))
		return mf_sqlite_corrupted(error, listing->doc_id, upto, "the record of the document's compaction does not fit its checksum");
	listing->compacted_upto = upto;
	return MF_OK;
}

static enum mf_status list(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	struct listing *listing = user;
	struct mf_stmt *stmt;
	bool row = false;
	enum mf_status status = list_rows(store, listing, error);
	if (status == MF_OK)
		status = mf_sql_prepare(store->writer, "SELECT compacted_upto, chain_lsn, deleted, done, checksum FROM compactions WHERE doc_id = ?1", &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, listing->doc_id, strlen(listing->doc_id));
	status = mf_stmt_step(stmt, &row, error);
	listing->compacted_upto = INT64_MAX;
	if (status == MF_OK && row)
		status = read_compacted(listing, stmt, error);
	mf_stmt_free(stmt);
	return status;
}

struct drop {
	const char *doc_id;
	int64_t upto_lsn;
};

static enum mf_status drop_row(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	struct drop *drop = user;
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(store->writer, "DELETE FROM snapshots WHERE doc_id = ?1 AND upto_lsn = ?2", &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, drop->doc_id, strlen(drop->doc_id));
	mf_stmt_bind_int(stmt, 2, drop->upto_lsn);
	status = mf_stmt_run(stmt, error);
	mf_stmt_free(stmt);
	return status;
}

static enum mf_status drop_one(struct mf_sqlite *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct drop drop = {doc_id, upto_lsn};
	mf_sqlite_lock_writer(store);
	enum mf_status status = mf_sqlite_transact_locked(store, drop_row, &drop, error);
	if (status == MF_OK) /* under the lock: see count_base */
		atomic_fetch_add(&store->new_snapshots, -mf_sql_changes(store->writer));
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
