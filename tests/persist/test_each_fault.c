/* What is below the store fails, each of its calls in turn, once and for ever, in every call of the store: SQLite's functions, whatever
 * their reason, the environment's, our own allocations. The store's call says what it was, or did not need it; the next one works; what was
 * acknowledged is there. */
#include "store_calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include <moduforge/backup.h>

#include "env_fail.h"
#include "model/mem.h"
#include "sql_fail.h"

enum layer { SQL, ENV, MEM };

static const struct fault {
	enum layer layer;
	enum sql_call call;
	int code;
	enum mf_status status; /* what it is to the store's caller */
	int stride; /* of the calls that are struck */
} faults[] = {
	{SQL, SQL_STEP, SQLITE_NOMEM, MF_ERR_NO_MEMORY, 1},
	{SQL, SQL_STEP, SQLITE_CORRUPT, MF_ERR_CORRUPTED, 3},
	{SQL, SQL_STEP, SQLITE_IOERR_READ, MF_ERR_IO, 7},
	{SQL, SQL_STEP, SQLITE_FULL, MF_ERR_STORAGE_FULL, 7},
	{SQL, SQL_STEP, SQLITE_BUSY, MF_ERR_BUSY, 7},
	{SQL, SQL_PREPARE, SQLITE_NOMEM, MF_ERR_NO_MEMORY, 1},
	{SQL, SQL_PREPARE, SQLITE_NOTADB, MF_ERR_CORRUPTED, 7},
	{SQL, SQL_EXEC, SQLITE_NOMEM, MF_ERR_NO_MEMORY, 1},
	{SQL, SQL_EXEC, SQLITE_IOERR_READ, MF_ERR_IO, 1},
	{SQL, SQL_COLUMN, 0, MF_ERR_NO_MEMORY, 2},
	{SQL, SQL_BIND, SQLITE_NOMEM, MF_ERR_NO_MEMORY, 7},
	{SQL, SQL_SET_UP, SQLITE_NOMEM, MF_ERR_NO_MEMORY, 1},
	{SQL, SQL_INITIALIZE, SQLITE_NOMEM, MF_ERR_NO_MEMORY, 1},
	{SQL, SQL_REGISTER, SQLITE_NOMEM, MF_ERR_NO_MEMORY, 1},
	{ENV, 0, EIO, MF_ERR_IO, 1},
	{ENV, 0, ENOSPC, MF_ERR_STORAGE_FULL, 5},
	{ENV, 0, ENOMEM, MF_ERR_NO_MEMORY, 5},
	{MEM, 0, 0, MF_ERR_NO_MEMORY, 1},
};

static void begin(const struct fault *fault, int64_t n, bool forever)
{
	int64_t times = forever ? SQL_FOR_EVER : 1;
	if (fault->layer == SQL)
		sql_fail_begin(fault->call, n, times, fault->code);
	else if (fault->layer == ENV)
		env_fail_begin(n, times, fault->code);
	else
		mf_mem_fail_at((uint64_t)n, forever);
	mf_mem_tight(fault->layer == MEM);
}

/* How many there were. */
static int64_t end(const struct fault *fault)
{
	int64_t made = fault->layer == SQL ? sql_fail_made(fault->call) : fault->layer == ENV ? env_fail_made() : (int64_t)mf_mem_count();
	sql_fail_end();
	env_fail_end();
	mf_mem_fail_at(0, false);
	mf_mem_tight(false);
	return made;
}

/* A rollback that never succeeds is taken for want of memory: nothing else lets it fail. */
static bool is_right(const struct fault *fault, bool forever, enum mf_status status)
{
	return status == MF_OK || status == fault->status || status == MF_ERR_UNKNOWN_OUTCOME || (forever && status == MF_ERR_NO_MEMORY);
}

static void tell(const char *name, const struct fault *fault, int64_t n, bool forever, enum mf_status status, const struct mf_error *error)
{
	fail_msg("%s, layer %d, call %d, code %d, number %d %s: %s: %s", name, fault->layer, fault->call, fault->code, (int)n, forever ? "and all later" : "only", mf_status_name(status),
		 status == MF_OK ? "" : error->message);
}

static struct mf_sqlite_options options(void)
{
	return (struct mf_sqlite_options){.dir = kit_dir, .env = env_fail()};
}

static struct mf_store *open_it(void)
{
	struct mf_sqlite_options with = options();
	return kit_open_with(&with);
}

/* ---- calls of a store ---- */
static void begin_anew(struct store_work *work)
{
	struct mf_error error;
	struct mf_store_stats stats;
	(void)mf_store_close(work->store, &error);
	work->store = open_it();
	KIT_OK(mf_store_stats(work->store, &stats, &error), &error);
	work->last = stats.last_lsn > work->last ? stats.last_lsn : work->last;
}

/* Number n; false: there were not so many. */
static bool strike(struct store_work *work, const struct store_call *call, const struct fault *fault, int64_t n, bool forever)
{
	struct mf_error error = {0};
	work->round++;
	if (call->before)
		KIT_OK(call->before(work, &error), &error);
	work->round++;
	work->may_be_damaged = true;
	work->may_be_left = forever && fault->layer == ENV;
	begin(fault, n, forever);
	enum mf_status status = call->call(work, n % 5 ? &error : NULL);
	bool reached = end(fault) >= n;
	work->may_be_damaged = work->may_be_left = false;
	bool told = status == MF_ERR_CORRUPTED && work->told; /* verify: what it could not read is a finding */
	if (!is_right(fault, forever, status) && !told)
		tell(call->name, fault, n, forever, status, &error);
	if (reached)
		begin_anew(work);
	work->round++;
	if (call->again)
		KIT_OK(call->call(work, &error), &error);
	return reached;
}

/* In a store of its own. How many struck. */
static int64_t strike_every_call(const struct fault *fault)
{
	struct mf_error error;
	struct store_work work = {.store = open_it()};
	int64_t struck = 0;
	kit_append(work.store, "d", "first");
	KIT_OK(store_append_three(&work, &error), &error);
	for (size_t c = 0; c < store_call_count; c++)
		for (int64_t n = 1; n < 2000 && strike(&work, &store_calls[c], fault, n, n % 3 == 0); n += STORE_CALLS_SPARSE * (n < 30 ? fault->stride : 17))
			struck++;
	KIT_OK(store_find_no_damage(&work, &error), &error);
	kit_close(work.store);
	return struck;
}

static void each_call_says_what_failed_and_the_next_one_works(void **state)
{
	for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++) {
		int64_t struck = strike_every_call(&faults[f]);
		print_message("# layer %d, call %d, code %d: %d\n", faults[f].layer, faults[f].call, faults[f].code, (int)struck);
		assert_true(struck > 0);
		kit_tear_down(state);
		kit_set_up(state);
	}
}

/* ---- opening ---- */

/* With a compaction that did not come to its end. */
static void make_store(void)
{
	struct mf_error error;
	struct mf_store *store = open_it();
	kit_append_many(store, "d", "k", 6);
	kit_append_many(store, "e", "l", 6);
	kit_write_snapshot(store, "d", 4, 10);
	KIT_OK(mf_store_compact(store, "d", 4, &error), &error);
	kit_write_snapshot(store, "e", 10, 10);
	sql_fail_begin(SQL_STEP, 9, SQL_FOR_EVER, SQLITE_INTERRUPT);
	assert_int_equal(mf_store_compact(store, "e", 10, &error), MF_ERR_UNKNOWN_OUTCOME);
	sql_fail_end();
	(void)mf_store_close(store, &error);
}

static int64_t unfinished(void)
{
	struct sqlite3 *db;
	struct sqlite3_stmt *stmt;
	char *path = kit_path(kit_dir, "store.db");
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM compactions WHERE done = 0", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	int64_t result = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	free(path);
	return result;
}

/* false: there were not so many. */
static bool strike_opening(const struct fault *fault, bool reader, int64_t n, bool forever)
{
	struct mf_error error = {0};
	struct mf_store *store = NULL;
	struct mf_sqlite_options with = options();
	with.read_only = reader;
	begin(fault, n, forever);
	enum mf_status status = mf_store_open_sqlite(&with, &store, n % 5 ? &error : NULL);
	bool opened = status == MF_OK;
	if (opened) {
		(void)store->ops->maintain(store, NULL);
		status = mf_store_close(store, &error);
	}
	bool reached = end(fault) >= n;
	/* Of an opening no outcome is unknown; after a failed sync it verifies, which finds what it cannot read. */
	bool right = status == MF_OK || status == fault->status || status == MF_ERR_CORRUPTED || status == MF_ERR_NO_MEMORY || status == MF_ERR_IO || (opened && status == MF_ERR_UNKNOWN_OUTCOME);
	if (!right)
		tell(reader ? "open for reading" : "open", fault, n, forever, status, &error);
	store = open_it();
	assert_int_equal(kit_count(store, "d", 4), 2);
	assert_int_equal(kit_count(store, "e", 10), 2);
	kit_close(store);
	assert_int_equal(unfinished(), 0);
	return reached;
}

static void each_opening_says_what_failed_and_the_next_one_works(void **state)
{
	for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++)
		for (int reader = 0; reader < 2; reader++) {
			bool more = true;
			for (int64_t n = 1; n < 2000 && more; n += STORE_CALLS_SPARSE * (n < 100 || faults[f].layer == MEM ? faults[f].stride : 17)) {
				if (n == 1 || !reader) {
					kit_tear_down(state);
					kit_set_up(state);
					make_store();
					assert_int_equal(unfinished(), 1);
				}
				more = strike_opening(&faults[f], reader, n, n % 3 == 0);
			}
			assert_false(more);
		}
}

/* ---- restoring ---- */

static bool strike_restore(const struct fault *fault, const struct mf_restore_options *with, int64_t n, bool forever)
{
	struct mf_error error = {0};
	struct mf_backup_info info;
	begin(fault, n, forever);
	enum mf_status status = mf_store_restore(with, &info, n % 5 ? &error : NULL);
	bool reached = end(fault) >= n;
	if (status != MF_OK && status != fault->status && status != MF_ERR_NO_MEMORY && status != MF_ERR_IO && status != MF_ERR_CORRUPTED)
		tell("restore", fault, n, forever, status, &error);
	if (fault->layer != ENV || !forever) /* what undoes it may fail as well */
		assert_int_equal(access(with->dir, F_OK) == 0, status == MF_OK);
	if (status == MF_OK) {
		assert_int_equal(info.lsn, with->at_lsn ? with->at_lsn : 8);
		struct mf_store *store = kit_open(with->dir);
		assert_int_equal(kit_count(store, "d", 0), (size_t)info.lsn);
		kit_close(store);
	}
	if (access(with->dir, F_OK) == 0)
		kit_remove_dir(strdup(with->dir));
	return reached;
}

static void each_restore_says_what_failed_and_leaves_nothing(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = open_it();
	char *file = kit_path(kit_dir, "backup"), *dir = kit_path(kit_dir, "restored");
	kit_append_many(store, "d", "k", 5);
	kit_write_snapshot(store, "d", 5, 300);
	kit_append_many(store, "d", "l", 3);
	KIT_OK(mf_store_backup(store, file, NULL, NULL, NULL, &error), &error);
	kit_close(store);
	for (int whole = 0; whole < 2; whole++) {
		const struct mf_restore_options with = {.file = file, .dir = dir, .at_lsn = whole ? 0 : 6, .env = env_fail()};
		for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]); f++)
			for (int64_t n = 1; n < 2000 && strike_restore(&faults[f], &with, n, n % 3 == 0); n += STORE_CALLS_SPARSE * (n < 60 || !whole ? faults[f].stride : 17))
				;
	}
	free(file);
	free(dir);
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_call_says_what_failed_and_the_next_one_works),
		T(each_opening_says_what_failed_and_the_next_one_works),
		T(each_restore_says_what_failed_and_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
