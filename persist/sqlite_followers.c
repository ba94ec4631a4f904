/* How far followers have come, and where epochs end: what a follower that begins again asks for.
 *
 * Saving goes through the writer, between commits, and is not synced: it lies in the log behind the events that it
 * speaks of, so it can be lost together with the newest of them, but cannot outlive them. */
#include "persist/sqlite_store.h"

#include <string.h>

#include "persist/checksum.h"

uint32_t mf_sqlite_checkpoint_checksum(const struct mf_checkpoint *checkpoint)
{
	const int64_t numbers[] = {checkpoint->epoch, checkpoint->lsn};
	return mf_row_checksum(numbers, 2, checkpoint->name, NULL, 0);
}

/* ---- how many there are ---- */

enum mf_status mf_sqlite_has_followers(struct mf_sql *sql, bool *out, struct mf_error *error)
{
	int64_t there = 0; /* not in a store of version 1, before it is upgraded */
	enum mf_status status = mf_sql_number(sql, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'followers'", &there, error);
	*out = there > 0;
	return status;
}

/* Nobody is called '': this row, the first, has the number of the others in lsn. */
struct follower_count {
	bool whole;   /* that row is there and fits its checksum */
	bool ordered; /* each name is a text above the one before it, as where each page is in its own place */
	int64_t saved, rows;
};

/* As they stand in the tree: a page in the place of another one may have as many. */
static enum mf_status count_row(struct mf_stmt *stmt, struct mf_buffer *before, struct follower_count *out)
{
	size_t len = 0;
	const char *name = mf_stmt_text(stmt, 0, &len);
	if (mf_stmt_no_memory(stmt))
		return MF_ERR_NO_MEMORY;
	if (name && len == 0) {
		const struct mf_checkpoint row = {"", mf_stmt_int(stmt, 1), mf_stmt_int(stmt, 2)};
		out->saved = row.lsn;
		out->whole = row.lsn >= 0 && row.lsn < INT64_MAX && mf_stmt_int(stmt, 3) == mf_sqlite_checkpoint_checksum(&row);
		return MF_OK;
	}
	out->rows++;
	out->ordered = name && strcmp(before->len ? (const char *)before->bytes : "", name) < 0;
	before->len = 0;
	return out->ordered ? mf_buffer_append(before, name, len + 1) : MF_OK;
}

static enum mf_status read_count(struct mf_sql *sql, struct follower_count *out, struct mf_error *error)
{
	struct mf_stmt *stmt;
	struct mf_buffer before = {0};
	*out = (struct follower_count){.ordered = true};
	enum mf_status status = mf_sql_prepare(sql, "SELECT name, epoch, lsn, checksum FROM followers", &stmt, error);
	if (status != MF_OK)
		return status;
	for (bool row = true; row && out->ordered && status == MF_OK;) { /* no further: pages may lead back to themselves */
		status = mf_stmt_step(stmt, &row, error);
		if (status == MF_OK && row && count_row(stmt, &before, out) != MF_OK)
			status = mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while counting followers");
	}
	mf_buffer_deinit(&before);
	mf_stmt_free(stmt);
	return status;
}

enum mf_status mf_sqlite_check_follower_count(struct mf_sql *sql, struct mf_error *error)
{
	int64_t version = 0;
	bool there = false;
	struct follower_count count = {0};
	enum mf_status status = mf_sql_number(sql, "PRAGMA user_version", &version, error);
	if (status != MF_OK || version < MF_SQLITE_COUNTS_FOLLOWERS) /* a writer that begins now may add it */
		return status;
	status = mf_sqlite_has_followers(sql, &there, error);
	if (status == MF_OK && there)
		status = read_count(sql, &count, error);
	if (status != MF_OK || (count.whole && count.ordered && count.saved == count.rows))
		return status;
	return mf_error_set(error, MF_ERR_CORRUPTED, "checkpoints of followers are missing, or their number: who is not found may be one of them, and is told everything again;"
						     " restore a backup, or if 'mf verify' finds nothing else accept it with sqlite3: PRAGMA user_version = %d has them counted anew",
			    MF_SQLITE_COUNTS_FOLLOWERS - 1);
}

/* ---- saving ---- */

static enum mf_status put_row(struct mf_sql *sql, const struct mf_checkpoint *checkpoint, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, "INSERT OR REPLACE INTO followers (name, epoch, lsn, checksum) VALUES (?1, ?2, ?3, ?4)", &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, checkpoint->name, strlen(checkpoint->name));
	mf_stmt_bind_int(stmt, 2, checkpoint->epoch);
	mf_stmt_bind_int(stmt, 3, checkpoint->lsn);
	mf_stmt_bind_int(stmt, 4, mf_sqlite_checkpoint_checksum(checkpoint));
	status = mf_stmt_run(stmt, error);
	mf_stmt_free(stmt);
	return status;
}

enum mf_status mf_sqlite_count_followers(struct mf_sql *sql, struct mf_error *error)
{
	struct mf_checkpoint row = {.name = ""};
	enum mf_status status = mf_sql_number(sql, "SELECT count(*) FROM followers WHERE name <> ''", &row.lsn, error);
	return status == MF_OK ? put_row(sql, &row, error) : status;
}

static enum mf_status is_there(struct mf_sql *sql, const char *name, bool *out, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, "SELECT 1 FROM followers WHERE name = ?1", &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, name, strlen(name));
	status = mf_stmt_step(stmt, out, error);
	mf_stmt_free(stmt);
	return status;
}

/* A count that is wrong stays so until they are counted anew: who was lost stays unknown. */
static enum mf_status count_one_more(struct mf_sql *sql, struct mf_error *error)
{
	struct follower_count count;
	enum mf_status status = read_count(sql, &count, error);
	if (status != MF_OK || !count.whole)
		return status;
	return put_row(sql, &(struct mf_checkpoint){.name = "", .lsn = count.saved + 1}, error);
}

static enum mf_status write_row(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	const struct mf_checkpoint *checkpoint = user;
	bool there = false;
	enum mf_status status = is_there(store->writer, checkpoint->name, &there, error);
	if (status == MF_OK && !there)
		status = count_one_more(store->writer, error);
	return status == MF_OK ? put_row(store->writer, checkpoint, error) : status;
}

enum mf_status mf_sqlite_save_checkpoint(struct mf_store *base, const struct mf_checkpoint *checkpoint, struct mf_error *error)
{
	struct mf_checkpoint copy = *checkpoint;
	return mf_sqlite_transact(mf_sqlite_of(base), write_row, &copy, error);
}

/* ---- loading ---- */

static enum mf_status read_row(struct mf_stmt *stmt, struct mf_checkpoint *out, struct mf_error *error)
{
	*out = (struct mf_checkpoint){mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1), mf_stmt_int(stmt, 2)};
	if (mf_stmt_no_memory(stmt))
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading a follower's checkpoint");
	if (out->name && out->epoch >= 0 && out->lsn >= 0 && mf_stmt_int(stmt, 3) == mf_sqlite_checkpoint_checksum(out))
		return MF_OK;
	return mf_error_set(error, MF_ERR_CORRUPTED, "the checkpoint of follower '%.200s' does not fit its checksum; run 'mf verify'", out->name ? out->name : "");
}

/* Rows of the table, on a connection of its own: the visitor may call the store. At their end none may be missing. */
static enum mf_status visit_rows(struct mf_sql *sql, const char *text, const char *name, mf_checkpoint_visit *visit, void *user, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, text, &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, name, strlen(name));
	bool row = true;
	for (bool go_on = true; go_on;) {
		struct mf_checkpoint checkpoint;
		status = mf_stmt_step(stmt, &row, error);
		if (status != MF_OK || !row)
			break;
		status = read_row(stmt, &checkpoint, error);
		go_on = status == MF_OK && visit(user, &checkpoint);
	}
	mf_stmt_free(stmt);
	return status == MF_OK && !row ? mf_sqlite_check_follower_count(sql, error) : status;
}

static enum mf_status read_rows(struct mf_sqlite *store, const char *text, const char *name, mf_checkpoint_visit *visit, void *user, struct mf_error *error)
{
	struct mf_sql *sql;
	bool there = false;
	enum mf_status status = mf_sqlite_check_owner(store, error);
	if (status == MF_OK)
		status = mf_sqlite_open_reader(store, &sql, error);
	if (status != MF_OK)
		return status;
	status = mf_sqlite_has_followers(sql, &there, error);
	if (status == MF_OK)
		status = there ? visit_rows(sql, text, name, visit, user, error) : mf_sqlite_check_follower_count(sql, error);
	mf_sqlite_close_reader(store, sql, status == MF_OK);
	return status;
}

struct found {
	bool yes;
	struct mf_checkpoint *out;
};

static bool take(void *user, const struct mf_checkpoint *checkpoint)
{
	struct found *found = user;
	found->yes = true;
	found->out->epoch = checkpoint->epoch;
	found->out->lsn = checkpoint->lsn;
	return false;
}

enum mf_status mf_sqlite_load_checkpoint(struct mf_store *base, const char *name, struct mf_checkpoint *out, struct mf_error *error)
{
	struct mf_checkpoint loaded = {.name = name};
	struct found found = {.out = &loaded};
	enum mf_status status = read_rows(mf_sqlite_of(base), "SELECT name, epoch, lsn, checksum FROM followers WHERE name = ?1", name, take, &found, error);
	if (status == MF_OK && !found.yes)
		return mf_error_set(error, MF_ERR_NOT_FOUND, "no follower '%.200s' has saved a checkpoint", name);
	if (status == MF_OK)
		*out = loaded;
	return status;
}

enum mf_status mf_sqlite_checkpoints(struct mf_store *base, mf_checkpoint_visit *visit, void *user, struct mf_error *error)
{
	return read_rows(mf_sqlite_of(base), "SELECT name, epoch, lsn, checksum FROM followers WHERE name > ?1 ORDER BY name", "", visit, user, error);
}

/* ---- epochs ---- */

enum mf_status mf_sqlite_epoch_end(struct mf_store *base, int64_t epoch, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	struct mf_stmt *stmt = NULL;
	enum mf_status status = mf_sqlite_check_readable(store, error);
	if (status != MF_OK)
		return status;
	pthread_mutex_lock(&store->read_lock);
	status = mf_sql_prepare(store->reader, "SELECT min(first_lsn) FROM epochs WHERE epoch > ?1 HAVING count(*) > 0", &stmt, error);
	if (status == MF_OK) {
		bool row = false;
		mf_stmt_bind_int(stmt, 1, epoch);
		status = mf_stmt_step(stmt, &row, error);
		int64_t next = row ? mf_stmt_int(stmt, 0) : INT64_MAX;
		if (status == MF_OK && next < 1)
			status = mf_sqlite_corrupted(error, NULL, next, "an opening began with this LSN, but the first one is 1");
		if (status == MF_OK)
			*out_lsn = row ? next - 1 : INT64_MAX;
		mf_stmt_free(stmt);
	}
	pthread_mutex_unlock(&store->read_lock);
	return status;
}
