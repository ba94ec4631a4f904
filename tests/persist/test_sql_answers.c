/* What one connection makes of SQLite's answers, those too that a file, a device or a disk never gives in a test. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "persist/sqlite_db.h"
#include "sql_fail.h"
#include "vfs_shim.h"

static char *path;
static struct mf_sql *sql;
static struct mf_error error;

static void open_with(const char *vfs)
{
	KIT_OK(mf_sql_open(path, vfs, MF_SQL_CREATE, &sql, &error), &error);
}

static void run(const char *text)
{
	KIT_OK(mf_sql_exec(sql, text, &error), &error);
}

static int64_t number(const char *text)
{
	int64_t out = -1;
	KIT_OK(mf_sql_number(sql, text, &out, &error), &error);
	return out;
}

static int set_up(void **state)
{
	kit_set_up(state);
	path = kit_path(kit_dir, "one.db");
	sql = NULL;
	return 0;
}

/* With a log, a table and a row, over the VFS that a test lets fail. */
static int set_up_log(void **state)
{
	set_up(state);
	open_with(vfs_shim_env()->sqlite_vfs);
	run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t (n INTEGER, filler BLOB); INSERT INTO t VALUES (1, '')");
	KIT_OK(mf_sql_find_log(sql, &error), &error);
	vfs_shim_reset();
	return 0;
}

static int tear_down(void **state)
{
	sql_fail_end();
	vfs_shim_reset();
	KIT_OK(mf_sql_close(sql, &error), &error);
	free(path);
	return kit_tear_down(state);
}

/* ---- one statement ---- */

static void each_result_code_has_its_status(void **state)
{
	(void)state;
	static const struct {
		int rc;
		enum mf_status status;
	} codes[] = {
		{SQLITE_NOMEM, MF_ERR_NO_MEMORY}, {SQLITE_FULL, MF_ERR_STORAGE_FULL}, {SQLITE_BUSY, MF_ERR_BUSY}, {SQLITE_LOCKED, MF_ERR_BUSY},
		{SQLITE_PROTOCOL, MF_ERR_BUSY}, {SQLITE_CORRUPT, MF_ERR_CORRUPTED}, {SQLITE_NOTADB, MF_ERR_CORRUPTED}, {SQLITE_ERROR, MF_ERR_CORRUPTED},
		{SQLITE_CONSTRAINT_UNIQUE, MF_ERR_DUPLICATE_KEY}, {SQLITE_TOOBIG, MF_ERR_INVALID}, {SQLITE_MISUSE, MF_ERR_INVALID}, {SQLITE_INTERRUPT, MF_ERR_STATE},
		{SQLITE_READONLY_ROLLBACK, MF_ERR_IO}, {SQLITE_READONLY_DBMOVED, MF_ERR_IO}, {SQLITE_AUTH, MF_ERR_IO}, {SQLITE_CANTOPEN, MF_ERR_IO},
		{SQLITE_IOERR_NOMEM, MF_ERR_NO_MEMORY}, {SQLITE_IOERR_CORRUPTFS, MF_ERR_CORRUPTED}, {SQLITE_IOERR_FSYNC, MF_ERR_UNKNOWN_OUTCOME},
		{SQLITE_IOERR_DIR_FSYNC, MF_ERR_UNKNOWN_OUTCOME}, {SQLITE_IOERR_WRITE, MF_ERR_UNKNOWN_OUTCOME}, {SQLITE_IOERR_TRUNCATE, MF_ERR_UNKNOWN_OUTCOME},
		{SQLITE_IOERR_CLOSE, MF_ERR_UNKNOWN_OUTCOME}, {SQLITE_IOERR_DELETE, MF_ERR_UNKNOWN_OUTCOME}, {SQLITE_IOERR_READ, MF_ERR_IO}};
	open_with(NULL);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		int64_t out = 7;
		char said[32];
		sql_fail_begin(SQL_STEP, 1, 1, codes[i].rc);
		assert_int_equal(mf_sql_number(sql, "SELECT 1", &out, &error), codes[i].status);
		sql_fail_end();
		snprintf(said, sizeof(said), "(SQLite %d)", codes[i].rc);
		assert_non_null(strstr(error.message, said));
		assert_int_equal(out, 7);
		assert_int_equal(number("SELECT 1"), 1);
	}
}

/* What SQLite cannot know it opens for reading only; that is said in the header. A file that is none yet has no header. */
static void a_database_that_is_read_only_is_damaged_only_if_it_says_so(void **state)
{
	(void)state;
	int64_t out;
	open_with(NULL);
	sql_fail_begin(SQL_STEP, 1, 1, SQLITE_READONLY);
	assert_int_equal(mf_sql_number(sql, "SELECT 1", &out, &error), MF_ERR_IO); /* it has no bytes */
	run("CREATE TABLE t (n INTEGER)");
	sql_fail_begin(SQL_STEP, 1, 1, SQLITE_READONLY);
	assert_int_equal(mf_sql_number(sql, "SELECT 1", &out, &error), MF_ERR_IO); /* it can be written */
	kit_poke(kit_dir, "one.db", 18, "\x03", 1);
	sql_fail_begin(SQL_STEP, 1, 1, SQLITE_READONLY);
	assert_int_equal(mf_sql_number(sql, "SELECT 1", &out, &error), MF_ERR_CORRUPTED);
	sql_fail_begin(SQL_STEP, 1, 1, SQLITE_READONLY);
	sql_fail_begin(SQL_CONTROL, 1, 1, SQLITE_ERROR);
	assert_int_equal(mf_sql_number(sql, "SELECT 1", &out, &error), MF_ERR_IO); /* there is no file to ask */
	kit_poke(kit_dir, "one.db", 18, "\x01", 1);
}

/* A writer would roll it back; SQLite opens for reading only what it cannot open for writing, and then says this to a writer too. */
static void a_change_that_was_interrupted_is_busy_for_a_reader_and_no_damage_for_a_writer(void **state)
{
	(void)state;
	int64_t out;
	open_with(NULL);
	run("CREATE TABLE t (n INTEGER)");
	sql_fail_begin(SQL_STEP, 1, 1, SQLITE_READONLY_ROLLBACK);
	assert_int_equal(mf_sql_number(sql, "SELECT 1", &out, &error), MF_ERR_IO);
	sql_fail_end();
	KIT_OK(mf_sql_close(sql, &error), &error);
	KIT_OK(mf_sql_open(path, NULL, MF_SQL_READ, &sql, &error), &error);
	sql_fail_begin(SQL_STEP, 1, 1, SQLITE_READONLY_ROLLBACK);
	assert_int_equal(mf_sql_number(sql, "SELECT 1", &out, &error), MF_ERR_BUSY);
	assert_non_null(strstr(error.message, "open the store for writing"));
}

static void a_database_without_a_file_has_no_name(void **state)
{
	(void)state;
	int64_t out;
	KIT_OK(mf_sql_open("", NULL, MF_SQL_CREATE, &sql, &error), &error);
	sql_fail_begin(SQL_STEP, 1, 1, SQLITE_READONLY);
	assert_int_equal(mf_sql_number(sql, "SELECT 1", &out, &error), MF_ERR_IO);
	assert_memory_equal(error.message, "the database: ", 14);
}

static void a_query_without_rows_gives_0(void **state)
{
	(void)state;
	open_with(NULL);
	assert_int_equal(number("SELECT 5 WHERE 0"), 0);
	assert_int_equal(number("SELECT NULL"), 0);
	assert_int_equal(number("SELECT 5"), 5);
}

static void a_setting_that_does_not_become_what_it_should_is_told(void **state)
{
	(void)state;
	open_with(NULL);
	KIT_OK(mf_sql_pragma(sql, "user_version", "3", NULL, &error), &error);
	KIT_OK(mf_sql_pragma(sql, "user_version", NULL, "3", &error), &error);
	assert_int_equal(mf_sql_pragma(sql, "user_version", NULL, "4", &error), MF_ERR_IO);
	assert_non_null(strstr(error.message, "/one.db: PRAGMA user_version is '3' instead of '4'"));
	assert_int_equal(mf_sql_pragma(sql, "no_such_setting", NULL, "4", &error), MF_ERR_IO); /* which SQLite passes over */
	assert_non_null(strstr(error.message, ": PRAGMA no_such_setting is '' instead of '4'"));
	sql_fail_begin(SQL_COLUMN, 1, 1, 0);
	assert_int_equal(mf_sql_pragma(sql, "user_version", NULL, "3", &error), MF_ERR_NO_MEMORY);
}

static void a_check_of_the_pages_without_memory_for_what_it_found_is_no_memory(void **state)
{
	(void)state;
	open_with(NULL);
	run("CREATE TABLE t (n INTEGER)");
	sql_fail_begin(SQL_COLUMN, 1, 1, 0);
	assert_int_equal(mf_sql_check_pages(sql, &error), MF_ERR_NO_MEMORY);
	KIT_OK(mf_sql_check_pages(sql, &error), &error);
}

static void a_transaction_that_could_not_be_undone_before_holds_up_the_next_reading(void **state)
{
	(void)state;
	open_with(NULL);
	KIT_OK(mf_sql_begin_reading(sql, &error), &error);
	sql_fail_begin(SQL_STEP, 1, 2, SQLITE_NOMEM); /* of ROLLBACK, twice */
	assert_int_equal(mf_sql_begin_reading(sql, &error), MF_ERR_NO_MEMORY);
	KIT_OK(mf_sql_begin_reading(sql, &error), &error);
	assert_int_equal(number("SELECT 1"), 1);
	KIT_OK(mf_sql_rollback(sql, &error), &error);
}

/* ---- closing ---- */

static struct mf_sql *volatile left; /* what could not be closed stays, for what is still open in it */

static void a_connection_with_an_open_statement_is_not_closed(void **state)
{
	(void)state;
	bool row;
	struct mf_stmt *stmt;
	open_with(NULL);
	KIT_OK(mf_sql_prepare(sql, "SELECT 1 UNION SELECT 2", &stmt, &error), &error);
	KIT_OK(mf_stmt_step(stmt, &row, &error), &error);
	left = sql;
	sql = NULL;
	assert_int_equal(mf_sql_close(left, &error), MF_ERR_BUSY);
	assert_non_null(strstr(error.message, "could not be closed"));
	KIT_OK(mf_stmt_step(stmt, &row, &error), &error);
	assert_true(row);
	mf_stmt_free(stmt); /* SQLite's part ends with it */
}

/* ---- the log's file ---- */

static void a_database_without_a_log_has_none_to_find(void **state)
{
	(void)state;
	open_with(NULL);
	run("CREATE TABLE t (n INTEGER)");
	assert_int_equal(mf_sql_find_log(sql, &error), MF_ERR_IO); /* a rollback journal is none */
	sql_fail_begin(SQL_CONTROL, 1, 1, SQLITE_OK);
	assert_int_equal(mf_sql_find_log(sql, &error), MF_ERR_IO);
	sql_fail_begin(SQL_CONTROL, 1, 1, SQLITE_NOMEM);
	assert_int_equal(mf_sql_find_log(sql, &error), MF_ERR_NO_MEMORY);
	KIT_OK(mf_sql_begin(sql, &error), &error);
	KIT_OK(mf_sql_commit(sql, &error), &error);
}

/* Two of SQLite's own VFSs that have no index in shared memory: a log works there for one connection alone. */
static void a_log_whose_index_is_no_file_needs_no_room_for_it(void **state)
{
	(void)state;
	static const char *const vfs_names[] = {"unix-none", "unix-dotfile"};
	for (size_t i = 0; i < 2; i++) {
		open_with(vfs_names[i]);
		KIT_OK(mf_sql_pragma(sql, "locking_mode", "EXCLUSIVE", "exclusive", &error), &error);
		KIT_OK(mf_sql_pragma(sql, "journal_mode", "WAL", "wal", &error), &error); /* allowed where nobody else can come in */
		run("CREATE TABLE IF NOT EXISTS t (n INTEGER)");
		KIT_OK(mf_sql_find_log(sql, &error), &error);
		KIT_OK(mf_sql_begin(sql, &error), &error);
		run("INSERT INTO t VALUES (1)");
		KIT_OK(mf_sql_commit(sql, &error), &error);
		assert_int_equal(number("SELECT count(*) FROM t"), 1 + (int64_t)i);
		KIT_OK(mf_sql_close(sql, &error), &error);
		sql = NULL;
	}
}

static void room_for_the_index_that_is_refused_is_told_before_anything_is_written(void **state)
{
	(void)state;
	KIT_OK(mf_sql_close(sql, &error), &error);
	open_with(SHIM_VFS);
	assert_int_equal(number("SELECT count(*) FROM t"), 1);
	KIT_OK(mf_sql_find_log(sql, &error), &error);
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_SHM, .at = 1, .times = 1, .rc = SQLITE_IOERR_SHMSIZE, .system_errno = ENOSPC});
	assert_int_equal(mf_sql_begin(sql, &error), MF_ERR_STORAGE_FULL);
	assert_non_null(strstr(error.message, "could not be made larger"));
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_SHM, .at = 1, .times = 1, .rc = SQLITE_IOERR_SHMSIZE});
	assert_int_equal(mf_sql_begin(sql, &error), MF_ERR_IO);
	assert_null(strstr(error.message, strerror(ENOSPC)));
	sql_fail_begin(SQL_CONTROL, 1, 1, SQLITE_ERROR); /* then it is made when it is needed */
	KIT_OK(mf_sql_begin(sql, &error), &error);
	run("INSERT INTO t VALUES (2, '')");
	KIT_OK(mf_sql_commit(sql, &error), &error);
	assert_int_equal(number("SELECT count(*) FROM t"), 2);
}

/* ---- commits ---- */

static void begin_and_insert(void)
{
	KIT_OK(mf_sql_begin(sql, &error), &error);
	run("INSERT INTO t VALUES (2, '')");
}

static void a_commit_that_fails_for_a_reason_of_its_own_is_of_unknown_outcome(void **state)
{
	(void)state;
	for (int told = 0; told < 2; told++) {
		begin_and_insert();
		sql_fail_begin(SQL_STEP, 1, 1, SQLITE_IOERR_READ);
		assert_int_equal(mf_sql_commit(sql, told ? &error : NULL), MF_ERR_UNKNOWN_OUTCOME);
		assert_int_equal(number("SELECT count(*) FROM t"), 1);
	}
	assert_int_equal(error.status, MF_ERR_UNKNOWN_OUTCOME);
}

static void a_commit_that_cannot_be_undone_is_of_unknown_outcome(void **state)
{
	(void)state;
	begin_and_insert();
	sql_fail_begin(SQL_PREPARE, 1, 1, SQLITE_NOMEM); /* of COMMIT */
	sql_fail_begin(SQL_STEP, 1, 2, SQLITE_NOMEM);    /* of ROLLBACK, twice */
	assert_int_equal(mf_sql_commit(sql, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_true(mf_sql_starved(sql));
	KIT_OK(mf_sql_rollback(sql, &error), &error);
	assert_int_equal(number("SELECT count(*) FROM t"), 1);
	begin_and_insert(); /* what could be undone is surely absent */
	sql_fail_begin(SQL_PREPARE, 1, 1, SQLITE_NOMEM);
	assert_int_equal(mf_sql_commit(sql, &error), MF_ERR_NO_MEMORY);
	assert_int_equal(number("SELECT count(*) FROM t"), 1);
}

static void a_rollback_that_is_done_and_told_as_failed_is_done(void **state)
{
	(void)state;
	begin_and_insert();
	sql_fail_begin(SQL_STEP_DONE, 1, 1, SQLITE_IOERR_READ);
	KIT_OK(mf_sql_rollback(sql, &error), &error);
	assert_int_equal(number("SELECT count(*) FROM t"), 1);
}

static void a_reader_whose_transaction_does_not_end_has_lost_nothing(void **state)
{
	(void)state;
	struct mf_sql *writer = sql;
	KIT_OK(mf_sql_open(path, NULL, MF_SQL_READ, &sql, &error), &error);
	KIT_OK(mf_sql_begin(sql, &error), &error);
	assert_int_equal(number("SELECT count(*) FROM t"), 1);
	sql_fail_begin(SQL_STEP, 1, 1, SQLITE_NOMEM);
	assert_int_equal(mf_sql_commit(sql, &error), MF_ERR_NO_MEMORY);
	KIT_OK(mf_sql_rollback(sql, &error), &error);
	KIT_OK(mf_sql_close(sql, &error), &error);
	sql = writer;
}

/* Without a log another connection that reads can hold up a commit; with it nobody can. */
static void a_commit_that_others_hold_up_is_surely_absent(void **state)
{
	(void)state;
	sqlite3 *other;
	open_with(NULL);
	run("CREATE TABLE t (n INTEGER, filler BLOB)");
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN; SELECT count(*) FROM t", NULL, NULL, NULL), SQLITE_OK);
	begin_and_insert();
	assert_int_equal(mf_sql_commit(sql, &error), MF_ERR_BUSY);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(number("SELECT count(*) FROM t"), 0);
	sqlite3_close(other);
}

/* Pages that do not fit into the cache go to the log before the commit, and what became of them SQLite may not notice. */
static void a_part_of_a_transaction_that_could_not_be_written_is_told_with_its_reason(void **state)
{
	(void)state;
	static const struct {
		int rc, system_errno;
		enum mf_status status;
	} reasons[] = {{SQLITE_FULL, 0, MF_ERR_STORAGE_FULL}, {SQLITE_IOERR_WRITE, EIO, MF_ERR_UNKNOWN_OUTCOME}, {SQLITE_IOERR_WRITE, ENOSPC, MF_ERR_STORAGE_FULL}};
	run("PRAGMA cache_size = 4; PRAGMA cache_spill = 1");
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		KIT_OK(mf_sql_begin(sql, &error), &error);
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = 1, .times = 1, .rc = reasons[i].rc, .system_errno = reasons[i].system_errno});
		(void)mf_sql_exec(sql, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 60) INSERT INTO t SELECT n, zeroblob(3000) FROM c", NULL);
		assert_int_equal(vfs_shim_failed(), 1);
		assert_int_equal(mf_sql_commit(sql, &error), reasons[i].status);
		assert_int_equal(number("SELECT count(*) FROM t"), 1);
	}
}

/* SQLite's commits end with the page that has the mark. Should it change its ways, what it leaves behind is written before the commit counts. */
static void what_is_left_of_a_commit_is_written_or_its_outcome_is_unknown(void **state)
{
	(void)state;
	static const unsigned char header[24];
	for (int fails = 0; fails < 2; fails++) {
		sqlite3_file *log = NULL;
		KIT_OK(mf_sql_begin(sql, &error), &error);
		assert_int_equal(number("SELECT count(*) FROM t"), 1);
		assert_int_equal(sqlite3_file_control(sql_fail_db(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &log), SQLITE_OK);
		int64_t before = vfs_shim_log_writes();
		sqlite3_int64 end = 0;
		assert_int_equal(log->pMethods->xFileSize(log, &end), SQLITE_OK);
		assert_int_equal(log->pMethods->xWrite(log, header, sizeof(header), end), SQLITE_OK);
		assert_int_equal(vfs_shim_log_writes(), before); /* it waits for its page */
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = fails, .times = 1, .rc = SQLITE_IOERR_WRITE, .system_errno = EIO});
		assert_int_equal(mf_sql_commit(sql, &error), fails ? MF_ERR_UNKNOWN_OUTCOME : MF_OK);
		assert_int_equal(vfs_shim_log_writes(), 1);
	}
	assert_non_null(strstr(error.message, "the end of a commit"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define L(test) cmocka_unit_test_setup_teardown(test, set_up_log, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_result_code_has_its_status),
		T(a_database_that_is_read_only_is_damaged_only_if_it_says_so),
		T(a_change_that_was_interrupted_is_busy_for_a_reader_and_no_damage_for_a_writer),
		T(a_database_without_a_file_has_no_name),
		T(a_query_without_rows_gives_0),
		T(a_setting_that_does_not_become_what_it_should_is_told),
		T(a_check_of_the_pages_without_memory_for_what_it_found_is_no_memory),
		T(a_transaction_that_could_not_be_undone_before_holds_up_the_next_reading),
		T(a_connection_with_an_open_statement_is_not_closed),
		T(a_database_without_a_log_has_none_to_find),
		T(a_log_whose_index_is_no_file_needs_no_room_for_it),
		L(room_for_the_index_that_is_refused_is_told_before_anything_is_written),
		L(a_commit_that_fails_for_a_reason_of_its_own_is_of_unknown_outcome),
		L(a_commit_that_cannot_be_undone_is_of_unknown_outcome),
		L(a_rollback_that_is_done_and_told_as_failed_is_done),
		L(a_reader_whose_transaction_does_not_end_has_lost_nothing),
		T(a_commit_that_others_hold_up_is_surely_absent),
		L(what_is_left_of_a_commit_is_written_or_its_outcome_is_unknown),
		L(a_part_of_a_transaction_that_could_not_be_written_is_told_with_its_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
