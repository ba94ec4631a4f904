#include "store_kit.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "persist/sqlite_db.h"
#include "persist/sqlite_log.h"
#include "tests/leave.h"
#include "tests/memory_fails.h"
#include "vfs_shim.h"

static char *dir, *path;
static struct mf_sql *writer, *reader;
static struct mf_error error;

static void run(struct mf_sql *sql, const char *text)
{
	KIT_OK(mf_sql_exec(sql, text, &error), &error);
}

static int64_t number(struct mf_sql *sql, const char *text)
{
	int64_t out;
	KIT_OK(mf_sql_number(sql, text, &out, &error), &error);
	return out;
}

/* A writer whose cache is far smaller than its transactions, and a reader beside it, through no VFS of ours. */
static int set_up(void **state)
{
	(void)state;
	dir = kit_make_dir();
	path = kit_path(dir, "log.db");
	KIT_OK(mf_sql_open(path, vfs_shim_env()->sqlite_vfs, MF_SQL_CREATE, &writer, &error), &error);
	run(writer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = 4; PRAGMA cache_spill = 1");
	run(writer, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, filler BLOB)");
	KIT_OK(mf_sql_find_log(writer, &error), &error);
	KIT_OK(mf_sql_open(path, NULL, MF_SQL_READ, &reader, &error), &error);
	vfs_shim_reset();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	vfs_shim_reset();
	KIT_OK(mf_sql_close(reader, &error), &error);
	KIT_OK(mf_sql_close(writer, &error), &error);
	free(path);
	kit_remove_dir(dir);
	return 0;
}

static void add_rows(int count)
{
	char text[256];
	snprintf(text, sizeof(text), "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) INSERT INTO t(n, filler) SELECT i, zeroblob(900) FROM c", count);
	run(writer, text);
}

static void the_pages_of_a_commit_reach_the_system_in_one_write(void **state)
{
	(void)state;
	run(writer, "PRAGMA cache_size = 1000");
	KIT_OK(mf_sql_begin(writer, &error), &error);
	add_rows(40);
	assert_int_equal(vfs_shim_log_writes(), 0);
	KIT_OK(mf_sql_commit(writer, &error), &error);
	assert_int_equal(vfs_shim_log_writes(), 1);
	assert_true(vfs_shim_count(SHIM_LOG, SHIM_WRITE) > 20);
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 40);
}

static void more_than_is_gathered_at_once_is_written_in_order(void **state)
{
	(void)state;
	run(writer, "PRAGMA cache_size = 1000");
	KIT_OK(mf_sql_begin(writer, &error), &error);
	add_rows(400);
	KIT_OK(mf_sql_commit(writer, &error), &error);
	assert_in_range(vfs_shim_log_writes(), 2, 20);
	assert_int_equal(number(reader, "SELECT sum(n) FROM t"), 400 * 401 / 2);
}

/* With a cache of four pages a transaction writes pages to the log, reads them back, writes them again and has
 * SQLite correct the headers of frames in place. */
static void whatever_has_been_committed_is_there_for_others(void **state)
{
	(void)state;
	int64_t rows = 0;
	for (int round = 0; round < 60; round++) {
		char text[96];
		KIT_OK(mf_sql_begin(writer, &error), &error);
		add_rows(20 + round % 7);
		snprintf(text, sizeof(text), "UPDATE t SET n = n + 1 WHERE id %% %d = 0", 2 + round % 5);
		run(writer, text);
		add_rows(3);
		run(writer, "UPDATE t SET n = n + 1 WHERE id < 10");
		int64_t sum = number(writer, "SELECT sum(n) FROM t");
		if (round % 4 == 3) {
			KIT_OK(mf_sql_rollback(writer, &error), &error);
			sum = number(writer, "SELECT sum(n) FROM t");
		} else {
			KIT_OK(mf_sql_commit(writer, &error), &error);
			rows += 23 + round % 7;
		}
		assert_int_equal(number(reader, "SELECT count(*) FROM t"), rows);
		assert_int_equal(number(reader, "SELECT sum(n) FROM t"), sum);
		assert_int_equal(number(reader, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
		if (round % 16 == 15) {
			int64_t done;
			KIT_OK(mf_sql_checkpoint(writer, false, &done, &error), &error);
		}
	}
	assert_true(vfs_shim_count(SHIM_LOG, SHIM_READ) > 0);
}

/* Readers keep the log as it is; a checkpoint does not wait for them. */
static void a_checkpoint_that_a_reader_holds_up_is_no_failure(void **state)
{
	(void)state;
	int64_t done;
	run(writer, "INSERT INTO t(n) VALUES (1)");
	run(reader, "BEGIN");
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
	run(writer, "INSERT INTO t(n) VALUES (2)");
	KIT_OK(mf_sql_checkpoint(writer, true, &done, &error), &error);
	assert_true(done < mf_sql_log_pages(writer));
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
	run(reader, "COMMIT");
	KIT_OK(mf_sql_checkpoint(writer, true, &done, &error), &error);
	assert_int_equal(mf_sql_log_pages(writer), 0);
	assert_int_equal(kit_file_size(dir, "log.db-wal"), 0);
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 2);
}

static void a_refused_commit_leaves_nothing_behind_that_is_written_later(void **state)
{
	(void)state;
	run(writer, "PRAGMA cache_size = 1000");
	for (int64_t at = 1; at < 30; at++) {
		int64_t before = number(reader, "SELECT count(*) FROM t");
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = at, .times = 1, .rc = SQLITE_FULL, .system_errno = ENOSPC});
		KIT_OK(mf_sql_begin(writer, &error), &error);
		add_rows(60);
		enum mf_status status = mf_sql_commit(writer, &error);
		if (status != MF_ERR_STORAGE_FULL)
			fail_msg("piece %d of %d: %s", (int)at, (int)vfs_shim_count(SHIM_LOG, SHIM_WRITE), mf_status_name(status));
		vfs_shim_reset();
		assert_int_equal(number(reader, "SELECT count(*) FROM t"), before);
		KIT_OK(mf_sql_sync_log(writer, &error), &error);
		assert_int_equal(vfs_shim_log_writes(), 0);
		run(writer, "INSERT INTO t(n) VALUES (1)");
		assert_int_equal(number(reader, "SELECT count(*) FROM t"), before + 1);
	}
	assert_int_equal(number(reader, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

/* Another process: leaves frames behind in a log that was begun anew, which touch no page of t. */
static void die_with_a_log(void)
{
	int64_t done;
	struct mf_sql *sql;
	bool good = mf_sql_open(path, NULL, MF_SQL_WRITE, &sql, NULL) == MF_OK && mf_sql_exec(sql, "CREATE TABLE u (n INTEGER)", NULL) == MF_OK &&
		    mf_sql_exec(sql, "INSERT INTO t(n) VALUES (1)", NULL) == MF_OK && mf_sql_checkpoint(sql, false, &done, NULL) == MF_OK &&
		    mf_sql_exec(sql, "INSERT INTO u VALUES (1)", NULL) == MF_OK;
	leave(good ? 0 : 1);
}

/* Recovery reads a log frame by frame and ends at the place where the next frame will be written: to write there is
 * not to correct what was read. */
static void the_first_commit_after_a_recovery_is_written(void **state)
{
	(void)state;
	struct mf_sql *next;
	KIT_OK(mf_sql_close(reader, &error), &error); /* SQLite forbids to take connections through a fork */
	KIT_OK(mf_sql_close(writer, &error), &error);
	pid_t child = fork();
	if (child == 0)
		die_with_a_log();
	int result;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_int_equal(result, 0);
	KIT_OK(mf_sql_open(path, NULL, MF_SQL_WRITE, &next, &error), &error);
	KIT_OK(mf_sql_pragma(next, "synchronous", "NORMAL", NULL, &error), &error); /* else a sync follows, which writes too */
	KIT_OK(mf_sql_begin(next, &error), &error);
	run(next, "INSERT INTO t(n) VALUES (2)"); /* one page, read from the database */
	KIT_OK(mf_sql_commit(next, &error), &error);
	KIT_OK(mf_sql_open(path, NULL, MF_SQL_READ, &reader, &error), &error);
	assert_int_equal(number(reader, "SELECT sum(n) FROM t"), 3);
	assert_int_equal(number(reader, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
	KIT_OK(mf_sql_close(next, &error), &error);
	KIT_OK(mf_sql_open(path, NULL, MF_SQL_WRITE, &writer, &error), &error);
}

/* A write that fails may show in a read, and then SQLite undoes one statement only and would go on. */
static void a_transaction_whose_pages_could_not_be_written_is_not_committed(void **state)
{
	(void)state;
	int struck = 0;
	run(writer, "CREATE TABLE u (id INTEGER PRIMARY KEY, k UNIQUE, b)");
	run(writer, "INSERT INTO u(k, b) VALUES (1, zeroblob(9000)), (2, zeroblob(9000)), (3, zeroblob(9000)), (4, zeroblob(9000)), (5, zeroblob(9000))");
	for (int rows = 1; rows < 12; rows++) {
		for (int at = 1; at <= 6; at++) {
			char text[96];
			KIT_OK(mf_sql_begin(writer, &error), &error);
			snprintf(text, sizeof(text), "INSERT INTO t(filler) VALUES (zeroblob(%d))", rows * 4000);
			run(writer, text);
			vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = at, .times = 1, .rc = SQLITE_FULL, .system_errno = ENOSPC});
			enum mf_status status = mf_sql_exec(writer, "UPDATE u SET k = k + 100, b = b || 'x'", &error);
			bool failed = vfs_shim_failed() > 0;
			vfs_shim_reset();
			status = mf_sql_commit(writer, &error);
			struck += failed;
			assert_int_equal(status, failed ? MF_ERR_STORAGE_FULL : MF_OK);
			assert_int_equal(number(reader, "SELECT count(*) FROM t"), failed ? 0 : 1);
			assert_int_equal(number(reader, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
			run(writer, "DELETE FROM t");
		}
	}
	assert_true(struck > 20);
}

static void a_vfs_that_is_not_there_is_refused(void **state)
{
	(void)state;
	struct mf_sql *sql;
	assert_int_equal(mf_sql_open(path, "nobody", MF_SQL_WRITE, &sql, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "nobody"));
}

static void opening_survives_every_allocation_that_fails(void **state)
{
	(void)state;
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_sql *sql = NULL;
		memory_fails_at(n);
		enum mf_status status = mf_sql_open(path, SHIM_VFS, MF_SQL_WRITE, &sql, &error);
		if (status == MF_OK)
			status = mf_sql_exec(sql, "INSERT INTO t(n) VALUES (7)", &error); /* opens the log */
		failed = memory_failed(n);
		KIT_OK(mf_sql_close(sql, NULL), &error);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		assert_true(failed || n > 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_pages_of_a_commit_reach_the_system_in_one_write, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_than_is_gathered_at_once_is_written_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(whatever_has_been_committed_is_there_for_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_checkpoint_that_a_reader_holds_up_is_no_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refused_commit_leaves_nothing_behind_that_is_written_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_first_commit_after_a_recovery_is_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_transaction_whose_pages_could_not_be_written_is_not_committed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_vfs_that_is_not_there_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(opening_survives_every_allocation_that_fails, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
