/* SQLite runs out of memory: each of its own allocations fails in turn, in every call of the store. The call says so, or had all that it
 * needed; the next one works; nothing is broken, and nothing is there that was refused. Our own allocations: test_store_contract.c. */
#include "store_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include <moduforge/backup.h>


/* ---- SQLite's memory ---- */
static sqlite3_mem_methods real;
static int64_t fail_at, made; /* 0: none fails */
static bool for_ever;

static bool fails(void)
{
	made++;
	return fail_at > 0 && (for_ever ? made >= fail_at : made == fail_at);
}

static void *allocate(int size)
{
	return fails() ? NULL : real.xMalloc(size);
}

static void *reallocate(void *memory, int size)
{
	return fails() ? NULL : real.xRealloc(memory, size);
}

static void begin_to_fail(int64_t n, bool forever)
{
	made = 0;
	for_ever = forever;
	fail_at = n;
}

static int take_memory_over(void **state)
{
	sqlite3_mem_methods ours;
	(void)state;
	sqlite3_shutdown();
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real), SQLITE_OK);
	ours = real;
	ours.xMalloc = allocate;
	ours.xRealloc = reallocate;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours), SQLITE_OK);
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK); /* every allocation is one of these */
	return 0;
}

static struct mf_store *reopened(struct mf_store *store)
{
	struct mf_error error;
	(void)mf_store_close(store, &error);
	return kit_open(kit_dir);
}

/* After a commit whose outcome is unknown, the store is opened anew, as the contract asks. */
static void each_call_says_that_there_was_no_memory_and_the_next_one_works(void **state)
{
	(void)state;
	struct mf_error error;
	struct store_work work = {.store = kit_open(kit_dir)};
	kit_append(work.store, "d", "first");
	int64_t total = 0;
	begin_to_fail(0, false);
	KIT_OK(store_append_three(&work, &error), &error);
	for (size_t c = 0; c < store_call_count; c++) {
		int64_t n = 0, reached;
		do {
			work.round++;
			begin_to_fail(0, false);
			if (store_calls[c].before)
				KIT_OK(store_calls[c].before(&work, &error), &error);
			work.round++;
			n += STORE_CALLS_SPARSE * (n < 120 ? 1 : 11); /* most of the others are pages alike */
			begin_to_fail(n, n % 3 == 0);
			enum mf_status status = store_calls[c].call(&work, n % 5 ? &error : NULL);
			reached = made;
			begin_to_fail(0, false);
			if (status == MF_ERR_UNKNOWN_OUTCOME) {
				work.store = reopened(work.store);
				struct mf_store_stats stats;
				KIT_OK(mf_store_stats(work.store, &stats, &error), &error);
				work.last = stats.last_lsn > work.last ? stats.last_lsn : work.last;
			} else if (status != MF_OK && status != MF_ERR_NO_MEMORY) {
				fail_msg("%s, allocation %d: %s: %s", store_calls[c].name, (int)n, mf_status_name(status), n % 5 ? error.message : "");
			}
			work.round++;
			if (store_calls[c].again)
				KIT_OK(store_calls[c].call(&work, &error), &error);
		} while (reached >= n && n < 2000);
		total += n;
	}
	assert_true(total > 300);
	KIT_OK(store_find_no_damage(&work, &error), &error);
	kit_close(work.store);
}

static void an_opening_says_that_there_was_no_memory_and_the_next_one_works(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_close(store);
	for (int reader = 0; reader < 2; reader++) {
		const struct mf_sqlite_options options = {.dir = kit_dir, .read_only = reader};
		int64_t n = 0, reached;
		do {
			store = NULL;
			n += STORE_CALLS_SPARSE;
			begin_to_fail(n, n % 3 == 0);
			enum mf_status status = mf_store_open_sqlite(&options, &store, &error);
			if (status == MF_OK)
				status = mf_store_close(store, &error);
			reached = made;
			begin_to_fail(0, false);
			if (status != MF_OK && status != MF_ERR_NO_MEMORY && status != MF_ERR_UNKNOWN_OUTCOME)
				fail_msg("reader %d, allocation %d: %s: %s", reader, (int)n, mf_status_name(status), error.message);
		} while (reached >= n && n < 2000);
		assert_true(n > 50);
		store = kit_open(kit_dir);
		assert_int_equal(kit_count(store, "d", 0), 5);
		kit_close(store);
	}
}

static void a_restore_says_that_there_was_no_memory_and_the_next_one_works(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	char *file = kit_path(kit_dir, "backup"), *dir = kit_path(kit_dir, "restored");
	kit_append_many(store, "d", "k", 5);
	kit_write_snapshot(store, "d", 5, 300);
	kit_append_many(store, "d", "l", 3);
	KIT_OK(mf_store_backup(store, file, NULL, NULL, NULL, &error), &error);
	kit_close(store);
	for (int cut = 0; cut < 2; cut++) {
		const struct mf_restore_options options = {.file = file, .dir = dir, .at_lsn = cut ? 6 : 0};
		int64_t n = 0, reached;
		do {
			n += STORE_CALLS_SPARSE * (n < 300 ? 1 : 7);
			begin_to_fail(n, n % 3 == 0);
			enum mf_status status = mf_store_restore(&options, NULL, &error);
			reached = made;
			begin_to_fail(0, false);
			if (status != MF_OK && status != MF_ERR_NO_MEMORY && status != MF_ERR_UNKNOWN_OUTCOME)
				fail_msg("allocation %d: %s: %s", (int)n, mf_status_name(status), error.message);
			assert_int_equal(access(dir, F_OK) == 0, status == MF_OK);
			if (status == MF_OK)
				kit_remove_dir(strdup(dir));
		} while (reached >= n && n < 4000);
		assert_true(n > 50);
	}
	free(file);
	free(dir);
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_call_says_that_there_was_no_memory_and_the_next_one_works),
		T(an_opening_says_that_there_was_no_memory_and_the_next_one_works),
		T(a_restore_says_that_there_was_no_memory_and_the_next_one_works),
	};
	return cmocka_run_group_tests(tests, take_memory_over, NULL);
}
