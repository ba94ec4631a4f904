/* Snapshots in the SQLite store.
 *
 * A small one lies in its row (state_blob, as in the seed); a large one arrives in chunks, each its own short
 * transaction, and its row is written last. The chunks of one arrival share a number, the take, so that a snapshot
 * can be replaced by another for the same LSN without a moment in which neither is whole. Chunks whose take no row
 * names are rests of an arrival that did not finish, or of a snapshot that was replaced; they are swept later. */
#include "persist/sqlite_store.h"

#include <assert.h>
#include <string.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/checksum.h"

/* ---- checksums ---- */

static uint32_t row_checksum(const struct mf_snapshot *snapshot, int64_t chunks, int64_t take, const void *inline_bytes, size_t inline_len)
{
	const int64_t numbers[] = {snapshot->upto_lsn, snapshot->created_at, snapshot->version, (int64_t)snapshot->state_len, chunks, take, snapshot->base_lsn};
	return mf_row_checksum(numbers, snapshot->base_lsn ? 7 : 6, snapshot->doc_id, inline_bytes, inline_len);
}

static uint32_t chunk_checksum(const char *doc_id, int64_t upto_lsn, int64_t take, int64_t chunk, const void *bytes, size_t len)
{
	const int64_t numbers[] = {upto_lsn, take, chunk};
	return mf_row_checksum(numbers, 3, doc_id, bytes, len);
}

/* ---- writing ---- */

struct arrival {
	const char *doc_id;
	int64_t upto_lsn;
	int64_t open_take, chunks, bytes; /* newest take among the chunks */
	struct mf_sqlite_snapshot_place row;
};

static enum mf_status ask_row(struct mf_sql *sql, const char *text, const char *doc_id, int64_t lsn, int64_t *out, int columns, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, text, &stmt, error);
	if (status != MF_OK)
		return status;
	bool row;
	mf_stmt_bind_text(stmt, 1, doc_id, strlen(doc_id));
	mf_stmt_bind_int(stmt, 2, lsn);
	status = mf_stmt_step(stmt, &row, error);
	for (int i = 0; i < columns && status == MF_OK; i++)
		out[i] = row ? mf_stmt_int(stmt, i) : 0;
	mf_stmt_free(stmt);
	return status;
}

enum mf_status mf_sqlite_find_snapshot(struct mf_sqlite *store, const char *doc_id, int64_t upto_lsn, struct mf_sqlite_snapshot_place *out, struct mf_error *error)
{
	int64_t found[4];
	enum mf_status status = ask_row(store->writer, "SELECT 1, s.rowid, " MF_SQLITE_IS_ITS_ROW ", r.take FROM " MF_SQLITE_SNAPSHOT_ENTRIES " WHERE s.doc_id = ?1 AND s.upto_lsn = ?2",
					doc_id, upto_lsn, found, 4, error);
	if (status != MF_OK)
		return status;
	if (found[0] && !found[2])
		return mf_sqlite_corrupted(error, doc_id, upto_lsn, "the index of snapshots leads to another one");
	*out = (struct mf_sqlite_snapshot_place){.found = found[0], .rowid = found[1], .take = found[3]};
	return MF_OK;
}

/* By its number, which is in no index. */
static enum mf_status delete_row(struct mf_sql *sql, const char *text, const char *doc_id, int64_t upto_lsn, int64_t rowid, int64_t take, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, text, &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, doc_id, strlen(doc_id));
	mf_stmt_bind_int(stmt, 2, upto_lsn);
	mf_stmt_bind_int(stmt, 3, rowid);
	mf_stmt_bind_int(stmt, 4, take);
	status = mf_stmt_run(stmt, error);
	mf_stmt_free(stmt);
	if (status == MF_OK && mf_sql_changes(sql) != 1)
		return mf_sqlite_corrupted(error, doc_id, upto_lsn, "an index leads to a row that is not the snapshot's, or not there");
	return status;
}

enum mf_status mf_sqlite_delete_snapshot(struct mf_sqlite *store, const char *doc_id, int64_t upto_lsn, const struct mf_sqlite_snapshot_place *place, struct mf_error *error)
{
	return delete_row(store->writer, "DELETE FROM snapshots NOT INDEXED WHERE rowid = ?3 AND doc_id = ?1 AND upto_lsn = ?2 AND take = ?4", doc_id, upto_lsn, place->rowid, place->take, error);
}

static enum mf_status look(struct mf_sqlite *store, struct arrival *arrival, struct mf_error *error)
{
	int64_t open[3];
	enum mf_status status = ask_row(store->writer,
					"SELECT max(take), count(*), sum(length(bytes)) FROM snapshot_chunks WHERE doc_id = ?1 AND upto_lsn = ?2 AND take ="
					" (SELECT max(take) FROM snapshot_chunks WHERE doc_id = ?1 AND upto_lsn = ?2)",
					arrival->doc_id, arrival->upto_lsn, open, 3, error);
	if (status != MF_OK)
		return status;
	arrival->open_take = open[0];
	arrival->chunks = open[1];
	arrival->bytes = open[2];
	return mf_sqlite_find_snapshot(store, arrival->doc_id, arrival->upto_lsn, &arrival->row, error);
}

static int64_t next_take(const struct arrival *arrival)
{
	return (arrival->open_take > arrival->row.take ? arrival->open_take : arrival->row.take) + 1;
}

static enum mf_status out_of_order(const struct arrival *arrival, struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_STATE, "the chunks of the snapshot of '%.200s' up to LSN %lld are not all there, in order: begin again", arrival->doc_id,
			    (long long)arrival->upto_lsn);
}

struct chunk {
	struct arrival arrival;
	uint32_t index;
	const void *bytes;
	size_t len;
};

static enum mf_status write_chunk(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	struct chunk *chunk = user;
	struct arrival *arrival = &chunk->arrival;
	enum mf_status status = look(store, arrival, error);
	if (status != MF_OK)
		return status;
	if (chunk->index > 0 && (arrival->open_take <= arrival->row.take || arrival->chunks != chunk->index))
		return out_of_order(arrival, error);
	int64_t take = chunk->index == 0 ? next_take(arrival) : arrival->open_take;
	struct mf_stmt *stmt = store->write[MF_WRITE_CHUNK];
	mf_stmt_bind_text(stmt, 1, arrival->doc_id, strlen(arrival->doc_id));
	mf_stmt_bind_int(stmt, 2, arrival->upto_lsn);
	mf_stmt_bind_int(stmt, 3, take);
	mf_stmt_bind_int(stmt, 4, chunk->index);
	mf_stmt_bind_blob(stmt, 5, chunk->bytes, chunk->len);
	mf_stmt_bind_int(stmt, 6, chunk_checksum(arrival->doc_id, arrival->upto_lsn, take, chunk->index, chunk->bytes, chunk->len));
	return mf_stmt_run(stmt, error);
}

enum mf_status mf_sqlite_snapshot_chunk(struct mf_store *base, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_writable(store, error);
	if (status != MF_OK)
		return status;
	struct chunk chunk = {{.doc_id = doc_id, .upto_lsn = upto_lsn}, index, bytes, len};
	/* Where the disk is full, commits need the room more than a part of a snapshot does. */
	if (index == 0)
		status = mf_sqlite_sweep_chunks(store, doc_id, upto_lsn, error);
	if (status == MF_OK)
		status = mf_sqlite_transact(store, write_chunk, &chunk, error);
	if (status == MF_ERR_STORAGE_FULL)
		(void)mf_sqlite_sweep_chunks(store, doc_id, upto_lsn, NULL);
	return status;
}

struct finish {
	struct arrival arrival;
	const struct mf_snapshot *snapshot;
};

static enum mf_status check_base(struct mf_sqlite *store, const struct mf_snapshot *snapshot, struct mf_error *error)
{
	struct mf_sqlite_snapshot_place base = {0};
	enum mf_status status = mf_sqlite_find_snapshot(store, snapshot->doc_id, snapshot->base_lsn, &base, error);
	if (status != MF_OK || base.found)
		return status;
	return mf_error_set(error, MF_ERR_NOT_FOUND, "the snapshot of '%.200s' up to LSN %lld builds on the one up to LSN %lld, which is not stored", snapshot->doc_id,
			    (long long)snapshot->upto_lsn, (long long)snapshot->base_lsn);
}

static enum mf_status write_row(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	struct finish *finish = user;
	const struct mf_snapshot *snapshot = finish->snapshot;
	struct arrival *arrival = &finish->arrival;
	if (snapshot->upto_lsn > store->next_last_lsn) /* last_lsn, seen from inside: readers may already see a commit that it does not count yet */
		return mf_error_set(error, MF_ERR_INVALID, "a snapshot of '%.200s' up to LSN %lld, but the newest event is %lld", snapshot->doc_id,
				    (long long)snapshot->upto_lsn, (long long)store->next_last_lsn);
	enum mf_status status = snapshot->base_lsn ? check_base(store, snapshot, error) : MF_OK;
	if (status == MF_OK)
		status = look(store, arrival, error);
	if (status != MF_OK)
		return status;
	bool chunked = !snapshot->state_blob;
	if (chunked && (arrival->open_take <= arrival->row.take || arrival->bytes != (int64_t)snapshot->state_len))
		return out_of_order(arrival, error);
	if (arrival->row.found) /* which this one replaces */
		status = mf_sqlite_delete_snapshot(store, snapshot->doc_id, snapshot->upto_lsn, &arrival->row, error);
	if (status != MF_OK)
		return status;
	int64_t take = chunked ? arrival->open_take : next_take(arrival), chunks = chunked ? arrival->chunks : 0;
	size_t inline_len = chunked ? 0 : snapshot->state_len;
	struct mf_stmt *stmt = store->write[MF_WRITE_SNAPSHOT];
	mf_stmt_bind_text(stmt, 1, snapshot->doc_id, strlen(snapshot->doc_id));
	mf_stmt_bind_int(stmt, 2, snapshot->upto_lsn);
	mf_stmt_bind_int(stmt, 3, snapshot->created_at);
	mf_stmt_bind_blob(stmt, 4, snapshot->state_blob, inline_len);
	mf_stmt_bind_int(stmt, 5, snapshot->version);
	mf_stmt_bind_int(stmt, 6, (int64_t)snapshot->state_len);
	mf_stmt_bind_int(stmt, 7, chunks);
	mf_stmt_bind_int(stmt, 8, take);
	mf_stmt_bind_int(stmt, 9, row_checksum(snapshot, chunks, take, snapshot->state_blob, inline_len));
	mf_stmt_bind_int(stmt, 10, snapshot->base_lsn);
	return mf_stmt_run(stmt, error);
}

struct sweep {
	const char *doc_id;
	int64_t upto_lsn;
	bool more;
	int64_t rest_upto, rest_take; /* of the chunks that are known to be rests; 0: of none yet */
};

#define FIND_REST \
	"SELECT 1, c.rowid, c.upto_lsn, c.take FROM snapshot_chunks c INDEXED BY " MF_SQLITE_CHUNK_INDEX " WHERE c.doc_id = ?1 AND c.upto_lsn <= ?2 AND NOT EXISTS" \
	" (SELECT 1 FROM snapshots s INDEXED BY " MF_SQLITE_SNAPSHOT_INDEX " WHERE s.doc_id = c.doc_id AND s.upto_lsn = c.upto_lsn AND s.take = c.take) LIMIT 1"

/* The index does not have the row that names the take; does the other? They share no page, so no one damage is in both. To look through
 * the table would hold up commits (0.3 s where it has 100,000 rows). */
static enum mf_status count_rows(struct mf_sql *sql, const char *doc_id, int64_t upto_lsn, int64_t take, int64_t *out, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, "SELECT count(*) FROM snapshots INDEXED BY ix_snapshots_doc_created WHERE doc_id = ?1 AND upto_lsn = ?2 AND take = ?3", &stmt, error);
	if (status != MF_OK)
		return status;
	bool row;
	mf_stmt_bind_text(stmt, 1, doc_id, strlen(doc_id));
	mf_stmt_bind_int(stmt, 2, upto_lsn);
	mf_stmt_bind_int(stmt, 3, take);
	status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK) {
		assert(row); /* an aggregate */
		*out = mf_stmt_int(stmt, 0);
	}
	mf_stmt_free(stmt);
	return status;
}

/* Once for all chunks of a take: no row can come to name it that the index does not get too. */
static enum mf_status check_rest(struct mf_sqlite *store, struct sweep *sweep, int64_t upto_lsn, int64_t take, struct mf_error *error)
{
	int64_t rows = 0;
	if (upto_lsn == sweep->rest_upto && take == sweep->rest_take)
		return MF_OK;
	enum mf_status status = count_rows(store->writer, sweep->doc_id, upto_lsn, take, &rows, error);
	if (status == MF_OK && rows > 0)
		status = mf_sqlite_corrupted(error, sweep->doc_id, upto_lsn, "the index of snapshots does not have it, but that by time does");
	sweep->rest_upto = upto_lsn;
	sweep->rest_take = take;
	return status;
}

static enum mf_status sweep_one(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	struct sweep *sweep = user;
	int64_t rest[4];
	enum mf_status status = ask_row(store->writer, FIND_REST, sweep->doc_id, sweep->upto_lsn, rest, 4, error);
	if (status != MF_OK)
		return status;
	sweep->more = rest[0];
	if (sweep->more)
		status = check_rest(store, sweep, rest[2], rest[3], error);
	if (status != MF_OK || !sweep->more)
		return status;
	return delete_row(store->writer, "DELETE FROM snapshot_chunks NOT INDEXED WHERE rowid = ?3 AND doc_id = ?1 AND upto_lsn = ?2 AND take = ?4", sweep->doc_id, rest[2], rest[1], rest[3], error);
}

enum mf_status mf_sqlite_sweep_chunks(struct mf_sqlite *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct sweep sweep = {.doc_id = doc_id, .upto_lsn = upto_lsn, .more = true};
	enum mf_status status = MF_OK;
	while (status == MF_OK && sweep.more) {
		status = mf_sqlite_transact(store, sweep_one, &sweep, error);
		mf_sqlite_let_writers_pass(store);
	}
	return status;
}

enum mf_status mf_sqlite_snapshot_finish(struct mf_store *base, const struct mf_snapshot *snapshot, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_writable(store, error);
	if (status != MF_OK)
		return status;
	struct finish finish = {{.doc_id = snapshot->doc_id, .upto_lsn = snapshot->upto_lsn}, snapshot};
	mf_sqlite_lock_writer(store);
	status = mf_sqlite_transact_locked(store, write_row, &finish, error);
	if (status == MF_OK && !finish.arrival.row.found)
		atomic_fetch_add(&store->new_snapshots, 1);
	pthread_mutex_unlock(&store->write_lock);
	if (status != MF_OK)
		return status;
	/* The snapshot is stored, whatever becomes of the rests. */
	(void)mf_sqlite_sweep_chunks(store, snapshot->doc_id, snapshot->upto_lsn, NULL);
	return MF_OK;
}

/* ---- reading ---- */

static enum mf_status out_of_memory(struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading a snapshot");
}

static enum mf_status read_row(struct mf_stmt *row, struct mf_snapshot *out, int64_t *out_chunks, int64_t *out_take, const void **out_inline, struct mf_error *error)
{
	size_t inline_len;
	struct mf_snapshot snapshot = {
		.doc_id = mf_stmt_text(row, 0, NULL),
		.upto_lsn = mf_stmt_int(row, 1),
		.created_at = mf_stmt_int(row, 2),
	};
	const void *inline_bytes = mf_stmt_blob(row, 3, &inline_len);
	int64_t version = mf_stmt_int(row, 4), state_len = mf_stmt_int(row, 5), chunks = mf_stmt_int(row, 6), take = mf_stmt_int(row, 7);
	if (mf_stmt_no_memory(row))
		return out_of_memory(error);
	snapshot.version = (int32_t)version;
	snapshot.state_len = (size_t)state_len;
	snapshot.base_lsn = mf_stmt_int(row, 9);
	if (!snapshot.doc_id || snapshot.upto_lsn < 1 || state_len < 0 || version != snapshot.version || chunks < 0 || (chunks == 0 && inline_len != snapshot.state_len) ||
	    mf_stmt_int(row, 8) != row_checksum(&snapshot, chunks, take, inline_bytes, inline_len))
		return mf_sqlite_corrupted(error, snapshot.doc_id, snapshot.upto_lsn, "the snapshot's row does not fit its checksum");
	*out = snapshot;
	*out_chunks = chunks;
	*out_take = take;
	*out_inline = inline_bytes;
	return MF_OK;
}

static enum mf_status take_chunk(struct mf_stmt *stmt, const struct mf_snapshot *snapshot, int64_t take, int64_t index, struct mf_buffer *bytes, struct mf_error *error)
{
	size_t len;
	const void *chunk = mf_stmt_blob(stmt, 1, &len);
	if (mf_stmt_no_memory(stmt))
		return out_of_memory(error);
	if (mf_stmt_int(stmt, 0) != index || len > snapshot->state_len - bytes->len ||
	    mf_stmt_int(stmt, 2) != chunk_checksum(snapshot->doc_id, snapshot->upto_lsn, take, index, chunk, len))
		return mf_sqlite_corrupted(error, snapshot->doc_id, snapshot->upto_lsn, "a chunk of the snapshot does not fit its checksum");
	return mf_buffer_append(bytes, chunk, len) == MF_OK ? MF_OK : out_of_memory(error);
}

/* Memory grows with what is there, not with what the row says. */
static enum mf_status read_chunks(struct mf_stmt *stmt, const struct mf_snapshot *snapshot, int64_t take, struct mf_buffer *bytes, struct mf_error *error)
{
	mf_stmt_bind_text(stmt, 1, snapshot->doc_id, strlen(snapshot->doc_id));
	mf_stmt_bind_int(stmt, 2, snapshot->upto_lsn);
	mf_stmt_bind_int(stmt, 3, take);
	enum mf_status status = MF_OK;
	for (int64_t index = 0; status == MF_OK; index++) {
		bool row;
		status = mf_stmt_step(stmt, &row, error);
		if (status != MF_OK || !row)
			break;
		status = take_chunk(stmt, snapshot, take, index, bytes, error);
	}
	mf_stmt_reset(stmt);
	if (status == MF_OK && bytes->len != snapshot->state_len)
		return mf_sqlite_corrupted(error, snapshot->doc_id, snapshot->upto_lsn, "chunks of the snapshot are missing");
	return status;
}

enum mf_status mf_sqlite_read_snapshot(struct mf_stmt *row, struct mf_stmt *chunks_of, struct mf_snapshot *out, struct mf_error *error)
{
	struct mf_snapshot snapshot = {0};
	struct mf_buffer bytes = {0};
	int64_t chunks = 0, take = 0;
	const void *inline_bytes = NULL;
	enum mf_status status = read_row(row, &snapshot, &chunks, &take, &inline_bytes, error);
	if (status != MF_OK)
		return status;
	if (chunks > 0)
		status = read_chunks(chunks_of, &snapshot, take, &bytes, error);
	else if (mf_buffer_append(&bytes, inline_bytes, snapshot.state_len) != MF_OK)
		status = out_of_memory(error);
	if (status == MF_OK && mf_buffer_append(&bytes, snapshot.doc_id, strlen(snapshot.doc_id) + 1) != MF_OK) /* NOLINT(clang-analyzer-core.NonNullParamChecker): MF_OK means that there is an id */
		status = out_of_memory(error);
	if (status != MF_OK) {
		mf_buffer_deinit(&bytes);
		return status;
	}
	snapshot.doc_id = (const char *)bytes.bytes + snapshot.state_len;
	snapshot.state_blob = bytes.bytes;
	snapshot.memory = bytes.bytes;
	*out = snapshot;
	return MF_OK;
}

/* The row is sound, but the entries of a damaged index may be out of order, and lead to a later one. */
static enum mf_status read_asked(struct mf_stmt *row, struct mf_stmt *chunks_of, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	struct mf_snapshot snapshot;
	enum mf_status status = mf_sqlite_read_snapshot(row, chunks_of, &snapshot, error);
	if (status != MF_OK)
		return status;
	if (snapshot.upto_lsn > at_most) {
		status = mf_sqlite_corrupted(error, snapshot.doc_id, snapshot.upto_lsn, "the index of snapshots has this one before older ones");
		mf_snapshot_deinit(&snapshot);
		return status;
	}
	*out = snapshot;
	return MF_OK;
}

enum mf_status mf_sqlite_latest_snapshot(struct mf_store *base, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_readable(store, error);
	if (status != MF_OK)
		return status;
	bool row;
	struct mf_stmt *stmt = store->read[MF_READ_SNAPSHOT];
	pthread_mutex_lock(&store->read_lock);
	mf_stmt_bind_text(stmt, 1, doc_id, strlen(doc_id));
	mf_stmt_bind_int(stmt, 2, at_most);
	status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK && row) /* the open statement keeps the chunks from changing meanwhile */
		status = read_asked(stmt, store->read[MF_READ_CHUNKS], at_most, out, error);
	else if (status == MF_OK)
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "'%.200s' has no snapshot up to LSN %lld", doc_id, (long long)at_most);
	mf_stmt_reset(stmt);
	pthread_mutex_unlock(&store->read_lock);
	return status;
}

enum mf_status mf_sqlite_snapshots(struct mf_store *base, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_owner(store, error);
	if (status != MF_OK)
		return status;
	struct mf_sql *sql; /* of its own: the visitor may call the store */
	status = mf_sqlite_open_reader(store, &sql, error);
	if (status != MF_OK)
		return status;
	struct mf_stmt *stmt = NULL;
	status = mf_sql_prepare(sql, "SELECT s.doc_id, s.upto_lsn, s.created_at, s.state_len, s.version, (SELECT base_lsn FROM snapshots b WHERE b.rowid = s.rowid) FROM " MF_SQLITE_SNAPSHOTS
				" WHERE s.doc_id = ?1 OR ?1 IS NULL ORDER BY s.doc_id, s.upto_lsn DESC", &stmt, error);
	if (status == MF_OK)
		mf_stmt_bind_text(stmt, 1, doc_id, doc_id ? strlen(doc_id) : 0);
	while (status == MF_OK) {
		bool row;
		status = mf_stmt_step(stmt, &row, error);
		if (status != MF_OK || !row)
			break;
		struct mf_snapshot_info info = {mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1), mf_stmt_int(stmt, 2), mf_stmt_int(stmt, 3), (int32_t)mf_stmt_int(stmt, 4), mf_stmt_int(stmt, 5)};
		if (!info.doc_id)
			status = mf_stmt_no_memory(stmt) ? mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while listing snapshots")
							 : mf_sqlite_corrupted(error, NULL, info.upto_lsn, "a snapshot without a document");
		else if (!visit(user, &info))
			break;
	}
	mf_stmt_free(stmt);
	mf_sqlite_close_reader(store, sql, status == MF_OK);
	return status;
}
