/* A rollback journal beside a store: SQLite's, from turning a database without a log into one with a log, which is gone on with; or
 * another's, which is told and left alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env_fail.h"
#include "persist/env.h"
#include "store_kit.h"
#include "vfs_shim.h"

#define JOURNAL "store.db-journal"
#define SECTOR 512 /* of its header */

static struct mf_error error;

/* Three events, and no log, as in a copy that VACUUM INTO made. */
static void make_store_without_log(void)
{
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "key", 3);
	kit_close(store);
	kit_sql(kit_dir, "PRAGMA journal_mode = DELETE");
}

static void die_while_opening(enum shim_call call)
{
	int result;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct mf_store *store;
		const struct mf_env *env = vfs_shim_env();
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = call, .at = 1, .times = 1, .kill = true});
		_exit(mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = kit_dir, .env = env}, &store, NULL) == MF_OK);
	}
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFSIGNALED(result));
	assert_int_equal(kit_file_size(kit_dir, JOURNAL), SECTOR + 4 + 4096 + 4);
}

/* Killed when the header of its database says already that it has a log. */
static void make_store_with_journal(void)
{
	make_store_without_log();
	die_while_opening(SHIM_SYNC);
}

static enum mf_status opening_fails(bool read_only)
{
	return kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, &error);
}

static void expect_sound(void)
{
	struct kit_findings found;
	struct mf_store *store = kit_open(kit_dir);
	assert_int_equal(kit_verify(store, NULL, &found), MF_OK);
	assert_int_equal(kit_count(store, "d", 0), 3);
	assert_int_equal(kit_file_size(kit_dir, JOURNAL), -1);
	kit_close(store);
}

static void remove_file(const char *name)
{
	char *path = kit_path(kit_dir, name);
	assert_int_equal(unlink(path), 0);
	free(path);
}

/* ---- SQLite's own ---- */

static void an_opening_that_was_killed_while_it_gave_a_database_its_log_is_gone_on_with(void **state)
{
	(void)state;
	static const enum shim_call calls[] = {SHIM_WRITE, SHIM_SYNC}; /* before its header says so, and after */
	make_store_without_log();
	for (size_t i = 0; i < 2; i++) {
		die_while_opening(calls[i]);
		assert_int_equal(opening_fails(true), MF_ERR_BUSY);
		assert_non_null(strstr(error.message, "open the store for writing"));
		expect_sound();
		kit_close(kit_open_reader(kit_dir));
		kit_sql(kit_dir, "PRAGMA journal_mode = DELETE");
	}
}

/* Which an answer of the kind "there is none" would be. */
static void a_reader_beside_a_change_that_was_killed_gets_no_wrong_answer(void **state)
{
	(void)state;
	struct mf_key_info key;
	make_store_with_journal();
	kit_copy_file(kit_dir, JOURNAL, "aside");
	expect_sound();
	kit_sql(kit_dir, "PRAGMA journal_mode = DELETE");
	struct mf_store *reader = kit_open_reader(kit_dir);
	kit_copy_file(kit_dir, "aside", JOURNAL);
	assert_int_equal(reader->ops->find_key(reader, "key-0", &key, &error), MF_ERR_BUSY);
	remove_file(JOURNAL);
	KIT_OK(reader->ops->find_key(reader, "key-0", &key, &error), &error);
	kit_close(reader);
}

static void a_whole_store_without_a_watermark_is_not_taken_for_one_that_is_just_being_made(void **state)
{
	(void)state;
	make_store_with_journal();
	remove_file("watermark");
	assert_int_equal(opening_fails(true), MF_ERR_BUSY);
	struct mf_store *store = kit_open(kit_dir);
	assert_int_equal(kit_count(store, "d", 0), 3);
	kit_close(store);
}

/* Killed, or without power, before the header of its journal was written: one opening went well then, and the next one was refused. */
static void a_journal_that_was_never_complete_is_passed_over(void **state)
{
	(void)state;
	static const int64_t sizes[] = {0, 1, SECTOR, SECTOR + 4 + 4096 + 4};
	struct kit_findings found;
	make_store_with_journal();
	kit_copy_file(kit_dir, JOURNAL, "aside");
	kit_poke(kit_dir, "aside", 0, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
	kit_poke(kit_dir, "aside", SECTOR + 4 + 40, "\0\0\0\x0b", 4); /* played back it would be noticed */
	expect_sound();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		kit_copy_file(kit_dir, "aside", JOURNAL);
		kit_truncate(kit_dir, JOURNAL, sizes[i]);
		for (int times = 0; times < 2; times++) {
			struct mf_store *store = kit_open(kit_dir);
			assert_int_equal(kit_verify(store, NULL, &found), MF_OK);
			assert_int_equal(kit_count(store, "d", 0), 3);
			kit_close(store);
			kit_close(kit_open_reader(kit_dir));
			assert_int_equal(kit_file_size(kit_dir, JOURNAL), sizes[i]);
		}
		remove_file(JOURNAL);
	}
}

/* ---- another's ---- */

static void a_journal_that_would_change_a_page_is_told_and_left_alone(void **state)
{
	(void)state;
	static const struct {
		int64_t at;
		const char *bytes;
		size_t len;
	} changes[] = {
		{16, "\0\0\0\x0d", 4},             /* SQLite would cut the database to so many pages */
		{20, "\0\0\2\1", 4},               /* another sector: the page is elsewhere */
		{24, "\0\0\4\0", 4},               /* another size of pages */
		{SECTOR, "\0\0\0\2", 4},           /* another page */
		{SECTOR + 4 + 40, "\0\0\0\x0b", 4}, /* the number of the tables' version */
		{SECTOR + 4 + 4090, "\x55", 1},   /* the last bytes of the page */
		{SECTOR + 4 + 4096 + 4, "\0", 1},  /* and something behind it */
	};
	make_store_with_journal();
	kit_copy_file(kit_dir, JOURNAL, "aside");
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		kit_copy_file(kit_dir, "aside", JOURNAL);
		kit_poke(kit_dir, JOURNAL, changes[i].at, changes[i].bytes, changes[i].len);
		for (int read_only = 0; read_only < 2; read_only++) {
			if (opening_fails(read_only) != MF_ERR_CORRUPTED || !strstr(error.message, JOURNAL " is not of this store"))
				fail_msg("change %d: %s", (int)i, error.message);
		}
		assert_int_equal(kit_file_size(kit_dir, JOURNAL), SECTOR + 4 + 4096 + 4 + (changes[i].at > SECTOR + 4096 + 4));
		remove_file(JOURNAL);
	}
	kit_copy_file(kit_dir, "aside", JOURNAL);
	expect_sound();
}

/* Reading and writing it by one version is what a log is; SQLite made no others. */
static void a_header_of_which_half_says_that_there_is_a_log_says_so(void **state)
{
	(void)state;
	static const char *const halves[] = {"\1\2", "\2\1"};
	make_store_with_journal();
	kit_poke(kit_dir, JOURNAL, SECTOR + 4 + 40, "\0\0\0\x0b", 4);
	for (size_t i = 0; i < 2; i++) {
		kit_poke(kit_dir, "store.db", 18, halves[i], 2);
		assert_int_equal(opening_fails(false), MF_ERR_CORRUPTED);
		assert_non_null(strstr(error.message, "is not of this store"));
	}
}

static void an_empty_database_with_a_journal_and_a_watermark_is_a_loss(void **state)
{
	(void)state;
	make_store_with_journal();
	kit_truncate(kit_dir, "store.db", 0);
	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(opening_fails(read_only), MF_ERR_CORRUPTED);
		assert_non_null(strstr(error.message, "gone or empty"));
	}
	assert_int_equal(kit_file_size(kit_dir, JOURNAL), SECTOR + 4 + 4096 + 4);
}

static void a_database_without_tables_and_with_a_watermark_is_a_loss(void **state)
{
	(void)state;
	make_store_without_log();
	remove_file("store.db");
	kit_sql(kit_dir, "CREATE TABLE t (x); DROP TABLE t; VACUUM");
	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(opening_fails(read_only), MF_ERR_CORRUPTED);
		assert_non_null(strstr(error.message, "gone or empty"));
	}
}

/* ---- beside a writer, and beside failures ---- */

static const char *gone_when_this_is_opened;

static int open_late(void *user, const char *path, int flags, mode_t mode)
{
	const char *name = strrchr(path, '/');
	if (gone_when_this_is_opened && name && strcmp(name + 1, gone_when_this_is_opened) == 0) {
		gone_when_this_is_opened = NULL;
		remove_file(JOURNAL);
	}
	return mf_env_os()->open(user, path, flags, mode);
}

static void a_journal_that_a_writer_is_done_with_in_that_moment_is_none(void **state)
{
	(void)state;
	static const char *const names[] = {JOURNAL, "store.db"};
	struct mf_env env = *mf_env_os();
	env.open = open_late;
	make_store_with_journal();
	kit_poke(kit_dir, JOURNAL, SECTOR + 4 + 40, "\0\0\0\x0b", 4); /* the writer has gone on: the page is another by now */
	kit_copy_file(kit_dir, JOURNAL, "aside");
	remove_file(JOURNAL);
	for (size_t i = 0; i < 2; i++) {
		kit_copy_file(kit_dir, "aside", JOURNAL);
		gone_when_this_is_opened = names[i];
		kit_close(kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .env = &env}));
		assert_null(gone_when_this_is_opened);
	}
	expect_sound();
}

static void what_cannot_be_looked_at_is_not_called_damage(void **state)
{
	(void)state;
	int failures = 0;
	make_store_with_journal();
	bool enough = false;
	for (int64_t n = 1; !enough; n++) {
		env_fail_begin(n, 1, EIO);
		enum mf_status status = kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .env = env_fail()}, &error);
		enough = env_fail_made() < n;
		env_fail_end();
		failures += status == MF_ERR_IO;
		if (status != MF_ERR_IO && status != MF_ERR_BUSY) /* BUSY: it did without */
			fail_msg("call %d: %s", (int)n, error.message);
	}
	assert_true(failures >= 8);
	expect_sound();
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_opening_that_was_killed_while_it_gave_a_database_its_log_is_gone_on_with),
		T(a_reader_beside_a_change_that_was_killed_gets_no_wrong_answer),
		T(a_whole_store_without_a_watermark_is_not_taken_for_one_that_is_just_being_made),
		T(a_journal_that_was_never_complete_is_passed_over),
		T(a_journal_that_would_change_a_page_is_told_and_left_alone),
		T(a_header_of_which_half_says_that_there_is_a_log_says_so),
		T(an_empty_database_with_a_journal_and_a_watermark_is_a_loss),
		T(a_database_without_tables_and_with_a_watermark_is_a_loss),
		T(a_journal_that_a_writer_is_done_with_in_that_moment_is_none),
		T(what_cannot_be_looked_at_is_not_called_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
