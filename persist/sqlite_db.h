/* sqlite_db.h - one SQLite connection and its statements: the only door to sqlite3.h.
 *
 * It turns SQLite's result codes into statuses and sentences in one place, checks what SQLite does not
 * report by itself, and knows what a failed write means:
 * 1. MF_ERR_UNKNOWN_OUTCOME is a write or sync that failed, or a COMMIT after which the transaction may or may
 *    not come back. The caller must stop writing.
 * 2. Any other status: the transaction is absent for certain and the connection usable.
 * 3. Nothing is checkpointed but by mf_sql_checkpoint: SQLite's own checkpoints (automatic, or in close)
 *    swallow errors of fsync, so both are switched off.
 *
 * Thread: a connection and its statements belong to whoever holds its owner's lock. mf_sql_sync_log may run
 * beside the connection's other calls: it touches nothing but the log's file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <moduforge/status.h>

struct mf_sql;
struct mf_stmt;

/* Does this errno say that there is no room: on the device, for the user, in the file? */
bool mf_sql_out_of_space(int system_errno);

enum mf_sql_mode { MF_SQL_READ, MF_SQL_WRITE, MF_SQL_CREATE };

/* ---- life cycle ---- */
/* vfs NULL: SQLite's default. Opens the file but does not read it yet. */
enum mf_status mf_sql_open(const char *path, const char *vfs, enum mf_sql_mode mode, struct mf_sql **out, struct mf_error *error);
/* Statements must have been freed. NULL is fine. Never checkpoints. */
enum mf_status mf_sql_close(struct mf_sql *sql, struct mf_error *error);

/* ---- statements ---- */
enum mf_status mf_sql_exec(struct mf_sql *sql, const char *text, struct mf_error *error);
/* PRAGMA name = value (value NULL: only asks); MF_ERR_IO unless the answer is expected (NULL: whatever it is). */
enum mf_status mf_sql_pragma(struct mf_sql *sql, const char *name, const char *value, const char *expected, struct mf_error *error);
/* The one number that a query gives; 0 for NULL or no row. */
enum mf_status mf_sql_number(struct mf_sql *sql, const char *text, int64_t *out, struct mf_error *error);
enum mf_status mf_sql_run_with(struct mf_sql *sql, const char *text, const char *value, struct mf_error *error); /* value is its ?1 */

enum mf_status mf_sql_prepare(struct mf_sql *sql, const char *text, struct mf_stmt **out, struct mf_error *error);
void mf_stmt_free(struct mf_stmt *stmt); /* NULL is fine */
/* Parameters count from 1. Text and blobs are borrowed until the next mf_stmt_reset. Failures show at the next step. */
void mf_stmt_bind_int(struct mf_stmt *stmt, int index, int64_t value);
void mf_stmt_bind_text(struct mf_stmt *stmt, int index, const char *text, size_t len); /* NULL text binds NULL */
void mf_stmt_bind_blob(struct mf_stmt *stmt, int index, const void *bytes, size_t len);
/* *out_row: is there a row to read? A step without a row, and a failed one, reset the statement. */
enum mf_status mf_stmt_step(struct mf_stmt *stmt, bool *out_row, struct mf_error *error);
/* A statement without rows, run to its end. */
enum mf_status mf_stmt_run(struct mf_stmt *stmt, struct mf_error *error);
void mf_stmt_reset(struct mf_stmt *stmt);
/* Columns count from 0; borrowed until the next step or reset. */
int64_t mf_stmt_int(struct mf_stmt *stmt, int column);
const char *mf_stmt_text(struct mf_stmt *stmt, int column, size_t *out_len); /* NULL for NULL, and for a blob; NUL-terminated; out_len may be NULL */
const void *mf_stmt_blob(struct mf_stmt *stmt, int column, size_t *out_len); /* NULL for an empty one */
bool mf_stmt_no_memory(struct mf_stmt *stmt); /* was a column NULL for want of memory? */
/* Calls tick now and then while statements run; not 0: the statement ends with MF_ERR_STATE. NULL: no more. */
void mf_sql_watch(struct mf_sql *sql, int (*tick)(void *user), void *user);
/* Between two uses of a connection: no transaction, nobody who watches, no pages in memory. Its statements must have been freed. false: it is of no more use. */
bool mf_sql_rest(struct mf_sql *sql);
/* Changes with each commit, of any connection, and when the cache was thrown away; what others did it tells from the beginning of the
 * next transaction on (SQLITE_FCNTL_DATA_VERSION, https://www.sqlite.org/c3ref/c_fcntl_begin_atomic_write.html). */
uint32_t mf_sql_data_version(struct mf_sql *sql);
int64_t mf_sql_total_changes(struct mf_sql *sql); /* such rows since it was opened */
int64_t mf_sql_changes(struct mf_sql *sql); /* rows that the last statement inserted, changed or deleted */

/* ---- transactions ---- */
enum mf_status mf_sql_begin_reading(struct mf_sql *sql, struct mf_error *error); /* one moment for several queries; ends with a rollback */
enum mf_status mf_sql_begin(struct mf_sql *sql, struct mf_error *error); /* IMMEDIATE on a writing connection */
/* Rolls back by itself when it fails. */
enum mf_status mf_sql_commit(struct mf_sql *sql, struct mf_error *error);
/* Fine outside a transaction too (SQLite ends one by itself after some errors). */
enum mf_status mf_sql_rollback(struct mf_sql *sql, struct mf_error *error);

/* Rewrites the database without its free pages; outside a transaction. Any failure leaves it as it was. */
enum mf_status mf_sql_vacuum(struct mf_sql *sql, struct mf_error *error);

/* Whether every page is what the pages that lead to it say, free room included: who writes where that is wrong spoils what could
 * be read before. Reads all of the database. MF_ERR_CORRUPTED says what SQLite says. */
enum mf_status mf_sql_check_pages(struct mf_sql *sql, struct mf_error *error);
/* SQLite tells of a page that it could not read, or had no memory for, among its findings of damage: MF_ERR_IO, MF_ERR_NO_MEMORY, else
 * MF_ERR_CORRUPTED. */
enum mf_status mf_sql_status_of_finding(const char *said);
const char *mf_sql_file(const struct mf_sql *sql); /* that each error of it names */
bool mf_sql_starved(const struct mf_sql *sql); /* a transaction is still open, since a rollback had no memory */

/* ---- the log ---- */
/* Finds the log's file; call once, after something was written or read. */
enum mf_status mf_sql_find_log(struct mf_sql *sql, struct mf_error *error);
enum mf_status mf_sql_sync_log(struct mf_sql *sql, struct mf_error *error); /* one fdatasync */
/* So many are in it by its index, which all processes share: 0 after a checkpoint of any of them that emptied the log. -1: there is none. */
int64_t mf_sql_index_frames(struct mf_sql *sql);
int64_t mf_sql_log_pages(const struct mf_sql *sql); /* in the log after the last commit */
/* truncate: also empties the log when no reader holds it. *out_done: pages copied into the database so far.
 * A reader in the way is not an error. MF_ERR_STORAGE_FULL: not now, nothing lost. */
enum mf_status mf_sql_checkpoint(struct mf_sql *sql, bool truncate, int64_t *out_done, struct mf_error *error);
