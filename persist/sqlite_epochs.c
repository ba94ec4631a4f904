/* The records of openings: which epoch began at which LSN, and what was lost before it. */
#include "persist/sqlite_store.h"

#include "persist/checksum.h"

uint32_t mf_sqlite_epoch_checksum(int64_t epoch, int64_t first_lsn, int64_t lost_from)
{
	const int64_t numbers[] = {epoch, first_lsn, lost_from};
	return mf_row_checksum(numbers, 3, NULL, NULL, 0);
}

enum mf_status mf_sqlite_insert_epoch(struct mf_sql *sql, int64_t epoch, int64_t first_lsn, int64_t lost_from, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, "INSERT OR ABORT INTO epochs (epoch, first_lsn, lost_from, checksum) VALUES (?1, ?2, ?3, ?4)", &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_int(stmt, 1, epoch);
	mf_stmt_bind_int(stmt, 2, first_lsn);
	mf_stmt_bind_int(stmt, 3, lost_from);
	mf_stmt_bind_int(stmt, 4, mf_sqlite_epoch_checksum(epoch, first_lsn, lost_from));
	status = mf_stmt_run(stmt, error);
	mf_stmt_free(stmt);
	return status;
}

enum mf_status mf_sqlite_write_epoch(struct mf_sqlite *store, int64_t epoch, int64_t first_lsn, int64_t lost_from, struct mf_error *error)
{
	store->next_last_lsn = first_lsn - 1;
	return mf_sqlite_insert_epoch(store->writer, epoch, first_lsn, lost_from, error);
}

enum mf_status mf_sqlite_find_end(struct mf_sql *sql, int64_t *out_lsn, int64_t *out_epoch, struct mf_error *error)
{
	enum mf_status status = mf_sqlite_newest(sql, out_lsn, error);
	return status == MF_OK ? mf_sql_number(sql, "SELECT max(epoch) FROM epochs", out_epoch, error) : status;
}

/* What the next LSN is, and what must be there, is learnt from these records. */
enum mf_status mf_sqlite_check_epochs(struct mf_sql *sql, struct mf_error *error)
{
	struct mf_stmt *stmt;
	enum mf_status status = mf_sql_prepare(sql, "SELECT epoch, first_lsn, lost_from, checksum FROM epochs", &stmt, error);
	if (status != MF_OK)
		return status;
	for (bool row = true; row && status == MF_OK;) {
		status = mf_stmt_step(stmt, &row, error);
		if (status == MF_OK && row && mf_stmt_int(stmt, 3) != mf_sqlite_epoch_checksum(mf_stmt_int(stmt, 0), mf_stmt_int(stmt, 1), mf_stmt_int(stmt, 2)))
			status = mf_sqlite_corrupted(error, NULL, mf_stmt_int(stmt, 1), "the record of an opening does not fit its checksum");
	}
	mf_stmt_free(stmt);
	return status;
}
