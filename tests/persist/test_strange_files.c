/* What a store finds in its directory that is none of its files, or that stands in the place of one; and what other oddities of the world
 * around it must not become a loss or a wait: names, links, clocks. Each is told by its name. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/backup.h>

#include "model/mem.h"
#include "persist/env.h"
#include "persist/sqlite_db.h"
#include "persist/sqlite_paths.h"
#include "store_kit.h"

static void make_store(void)
{
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "key", 3);
	KIT_OK(store->ops->save_metrics(store, "{}", 2, &error), &error);
	kit_close(store);
}

static void expect_sound(void)
{
	struct kit_findings found;
	struct mf_store *store = kit_open_reader(kit_dir);
	assert_int_equal(kit_verify(store, NULL, &found), MF_OK);
	assert_int_equal(kit_count(store, "d", 0), 3);
	kit_close(store);
}

static enum mf_status opening_fails(bool read_only, struct mf_error *error)
{
	return kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, error);
}

/* A test that waits for ever is stopped by this. */
static int set_up(void **state)
{
	alarm(60);
	return kit_set_up(state);
}

static int tear_down(void **state)
{
	alarm(0);
	return kit_tear_down(state);
}

/* ---- no files ---- */

static void make_fifo(const char *path) { assert_int_equal(mkfifo(path, 0600), 0); }
static void make_directory(const char *path) { assert_int_equal(mkdir(path, 0700), 0); }
static void make_device(const char *path) { assert_int_equal(symlink("/dev/zero", path), 0); }

static void (*const kinds[])(const char *path) = {make_fifo, make_directory, make_device};

static void what_is_no_file_in_a_files_place_is_told_and_never_waited_for(void **state)
{
	(void)state;
	static const char *const names[] = {"watermark", "store.db", "store.db-wal", "store.db-journal"};
	make_store();
	char *aside = kit_path(kit_dir, "aside");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = kit_path(kit_dir, names[i]);
		bool was = rename(path, aside) == 0;
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			struct mf_error error;
			kinds[k](path);
			for (int read_only = 0; read_only < 2; read_only++) {
				assert_int_equal(opening_fails(read_only, &error), MF_ERR_IO);
				if (!strstr(error.message, names[i]) || !strstr(error.message, "not a plain file"))
					fail_msg("%s: %s", names[i], error.message);
			}
			assert_int_equal(remove(path), 0);
		}
		if (was)
			assert_int_equal(rename(aside, path), 0);
		expect_sound();
		free(path);
	}
	free(aside);
}

static void a_lock_or_counters_that_are_no_file_are_told_and_events_are_synced_all_the_same(void **state)
{
	(void)state;
	make_store();
	char *lock = kit_path(kit_dir, "lock"), *metrics = kit_path(kit_dir, "metrics");
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct mf_error error;
		int64_t synced;
		assert_int_equal(remove(lock), 0);
		kinds[k](lock);
		assert_int_equal(opening_fails(false, &error), MF_ERR_IO);
		assert_non_null(strstr(error.message, "lock"));
		assert_int_equal(remove(lock), 0);
		assert_int_equal(remove(metrics), 0);
		kinds[k](metrics);
		struct mf_store *store = kit_open(kit_dir);
		kit_append(store, "other", kinds[k] == make_fifo ? "a" : kinds[k] == make_directory ? "b" : "c");
		assert_int_equal(store->ops->save_metrics(store, "{}", 2, &error), MF_ERR_IO);
		assert_non_null(strstr(error.message, "metrics"));
		KIT_OK(mf_store_sync(store, &synced, &error), &error);
		assert_int_equal(synced, 4 + (int)k);
		kit_close(store);
	}
	free(lock);
	free(metrics);
}

/* Not as if there were no store. */
static void a_link_to_nowhere_is_called_that(void **state)
{
	(void)state;
	static const char *const names[] = {"lock", "store.db", "watermark"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct mf_error error;
		char *path = kit_path(kit_dir, names[i]);
		assert_int_equal(symlink("nowhere/at/all", path), 0);
		assert_int_equal(opening_fails(false, &error), i == 1 ? MF_ERR_STATE : MF_ERR_IO);
		assert_non_null(strstr(error.message, "symbolic link to a place that is not there"));
		assert_non_null(strstr(error.message, names[i]));
		assert_int_equal(unlink(path), 0);
		free(path);
	}
	make_store();
	expect_sound();
}

/* The directory that it leads to has a log and a lock of its own. */
static void no_database_is_made_through_a_link(void **state)
{
	(void)state;
	struct mf_error error;
	char *other = kit_path(kit_dir, "other"), *path = kit_path(kit_dir, "store.db");
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(symlink("other/x.db", path), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(opening_fails(false, &error), MF_ERR_STATE);
		assert_int_equal(opening_fails(true, &error), MF_ERR_NOT_FOUND);
		assert_int_equal(mf_env_os()->is_empty(NULL, other), 1);
		assert_int_equal(kit_file_size(kit_dir, "watermark"), -1);
	}
	assert_int_equal(unlink(path), 0);
	make_store();
	expect_sound();
	free(other);
	free(path);
}

/* ---- a journal ---- */

static void a_journal_beside_a_store_is_told_and_left_alone(void **state)
{
	(void)state;
	struct mf_error error;
	make_store();
	char *path = kit_path(kit_dir, "store.db-journal");
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("somebody's", file);
	assert_int_equal(fclose(file), 0);
	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(opening_fails(read_only, &error), MF_ERR_CORRUPTED);
		assert_non_null(strstr(error.message, "store.db-journal is not of this store"));
	}
	assert_int_equal(kit_file_size(kit_dir, "store.db-journal"), 10);
	kit_truncate(kit_dir, "store.db-journal", 0); /* SQLite takes an empty one for none */
	expect_sound();
	assert_int_equal(unlink(path), 0);
	kit_close(kit_open(kit_dir));
	expect_sound();
	free(path);
}

static void no_backup_takes_a_name_that_a_store_uses(void **state)
{
	(void)state;
	static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm", "store.db-journal", "watermark", "lock", "metrics"};
	struct mf_error error;
	make_store();
	struct mf_store *store = kit_open_reader(kit_dir);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = kit_path(kit_dir, names[i]);
		assert_int_equal(mf_store_backup(store, path, NULL, NULL, NULL, &error), MF_ERR_INVALID);
		assert_non_null(strstr(error.message, "the name of a file of the store there"));
		free(path);
	}
	char *inside = kit_path(kit_dir, "inside"), *own = kit_path(inside, "store.db"), *fifo = kit_path(kit_dir, "fifo"), *same = kit_path(kit_dir, "store.db-journal");
	assert_int_equal(mkdir(inside, 0700), 0);
	KIT_OK(mf_store_backup(store, own, NULL, NULL, NULL, &error), &error); /* there is no store there */
	make_fifo(fifo);
	assert_int_equal(mf_store_backup(store, fifo, NULL, NULL, NULL, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "exists already"));
	for (int n = 1; n <= 2; n++) {
		mf_mem_fail_at((uint64_t)n, false);
		assert_int_equal(mf_path_check_free(mf_env_os(), same, &error), MF_ERR_NO_MEMORY);
		mf_mem_fail_at(0, false);
	}
	assert_int_equal(mf_path_check_free(mf_env_os(), "lock", &error), MF_OK); /* here */
	kit_close(store);
	free(inside);
	free(own);
	free(fifo);
	free(same);
}

/* ---- names ---- */

static char *long_dir(size_t len)
{
	char *path = malloc(len + 1);
	assert_non_null(path);
	snprintf(path, len + 1, "%s", kit_dir);
	for (size_t at = strlen(path); at < len;) {
		size_t part = len - at > 101 ? 100 : len - at;
		path[at] = '/';
		memset(path + at + 1, 'x', part - 1);
		path[at + part] = '\0';
		at += part;
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST); /* of a shorter one */
	}
	return path;
}

#define DIR_MAX (512 - 8 - 9) /* what SQLite takes, without "-journal" and "/store.db" */

static void a_path_that_is_too_long_for_sqlite_is_called_that(void **state)
{
	(void)state;
	struct mf_error error;
	char *fits = long_dir(DIR_MAX), *longer = long_dir(DIR_MAX + 6), *much = long_dir(900);
	assert_int_equal(strlen(longer), DIR_MAX + 6);
	kit_close(kit_open(fits));
	kit_close(kit_open_reader(fits));
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = longer}, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "has 510 bytes, and SQLite takes 504"));
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = much}, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "has 909 bytes, and SQLite takes 504"));
	char *link = kit_path(kit_dir, "short");
	assert_int_equal(symlink(much, link), 0);
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = link}, &error), MF_ERR_INVALID);
	free(link);
	free(fits);
	free(longer);
	free(much);
}

static void a_path_that_leads_round_in_links_is_not_called_too_long(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_sql *sql;
	char *loop = kit_path(kit_dir, "loop"), *under = kit_path(loop, "store.db");
	assert_int_equal(symlink("loop", loop), 0);
	assert_int_equal(mf_sql_open(under, NULL, MF_SQL_CREATE, &sql, &error), MF_ERR_IO);
	assert_null(strstr(error.message, "too long"));
	free(loop);
	free(under);
}

/* As in a container of which the store is all that there is. -1: this user may not. */
static int live_in_the_root(void)
{
	struct mf_error error;
	if (chroot(kit_dir) != 0 && (unshare(CLONE_NEWUSER) != 0 || chroot(kit_dir) != 0))
		return -1;
	if (chdir("/") != 0)
		return 1;
	for (int i = 0; i < 3; i++) {
		struct mf_store *store;
		struct mf_event event = kit_event("d", i == 0 ? "a" : i == 1 ? "b" : "c");
		enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = i == 2 ? "." : "/"}, &store, &error);
		if (status == MF_OK)
			status = mf_store_append(store, &event, NULL, &error);
		if (status == MF_OK)
			status = mf_store_close(store, &error);
		if (status != MF_OK) {
			fprintf(stderr, "# opening %d: %s\n", i + 1, error.message);
			return 2 + i;
		}
	}
	return 0;
}

static void a_store_in_the_root_directory_is_opened_again_and_again(void **state)
{
	(void)state;
	int result;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(live_in_the_root());
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFEXITED(result));
	if (WEXITSTATUS(result) == 255)
		skip();
	assert_int_equal(WEXITSTATUS(result), 0);
	expect_sound();
}

/* ---- clocks ---- */

static int64_t before_1970(void *user)
{
	(void)user;
	return -86400000000;
}

static void a_backup_made_when_the_clock_stood_before_1970_is_restored(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	struct mf_error error;
	struct mf_backup_info info;
	env.wall_us = before_1970;
	char *file = kit_path(kit_dir, "copy"), *fresh = kit_path(kit_dir, "fresh");
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env});
	kit_append(store, "d", "a");
	KIT_OK(mf_store_backup(store, file, NULL, NULL, &info, &error), &error);
	assert_int_equal(info.time_us, 0);
	kit_close(store);
	KIT_OK(mf_store_restore(&(struct mf_restore_options){.file = file, .dir = fresh}, NULL, &error), &error);
	kit_close(kit_open(fresh));
	free(file);
	free(fresh);
}

/* ---- a writer that is just beginning ---- */

static int looks;
static bool writer_is_late; /* it has not yet written its watermark whole */

/* The store comes into being, and gets its first events, right behind the first look at its watermark. */
static int open_then_make(void *user, const char *path, int flags, mode_t mode)
{
	int fd = mf_env_os()->open(user, path, flags, mode);
	const char *name = strrchr(path, '/');
	if (!name || strcmp(name, "/watermark") != 0 || looks++ > 0)
		return fd;
	make_store();
	if (!writer_is_late)
		return fd;
	char *torn = kit_path(kit_dir, "torn");
	int half = mf_env_os()->open(user, torn, O_RDWR | O_CREAT, 0600);
	free(torn);
	assert_int_equal(mf_env_write_all(mf_env_os(), half, "MFWM", 4, 0), 0);
	return half;
}

static void a_store_that_is_made_while_it_is_opened_for_reading_is_sound(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	struct mf_error error;
	struct mf_store_stats stats;
	struct kit_findings found;
	env.open = open_then_make;
	for (int late = 0; late < 2; late++) {
		looks = 0;
		writer_is_late = late;
		struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env, .read_only = true});
		assert_int_equal(kit_verify(store, NULL, &found), MF_OK);
		KIT_OK(mf_store_stats(store, &stats, &error), &error);
		assert_int_equal(stats.synced_lsn, 3);
		kit_close(store);
		char *old = kit_dir;
		kit_dir = kit_make_dir();
		kit_remove_dir(old);
	}
}

static int fail_second_look(void *user, const char *path, int flags, mode_t mode)
{
	const char *name = strrchr(path, '/');
	bool is_it = name && strcmp(name, "/watermark") == 0;
	return is_it && looks++ > 0 ? -EIO : is_it ? -ENOENT : mf_env_os()->open(user, path, flags, mode);
}

static void a_watermark_that_is_missing_at_both_looks_is_missing(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	struct mf_error error;
	make_store();
	env.open = fail_second_look;
	looks = 0;
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env, .read_only = true}, &error), MF_ERR_IO);
	assert_int_equal(looks, 2);
	char *path = kit_path(kit_dir, "watermark");
	assert_int_equal(unlink(path), 0);
	free(path);
	struct kit_findings found;
	struct mf_store *store = kit_open_reader(kit_dir);
	assert_int_equal(kit_verify(store, "watermark", &found), MF_ERR_CORRUPTED);
	assert_int_equal(found.of_kind, 1);
	kit_close(store);
}

/* ---- what an application gives SQLite ---- */

static int pass_over_inserts(void *user, int action, const char *table, const char *b, const char *c, const char *d)
{
	(void)user, (void)b, (void)c, (void)d;
	return action == SQLITE_INSERT && strcmp(table, "events") == 0 ? SQLITE_IGNORE : SQLITE_OK;
}

static int authorize(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
	(void)message, (void)api;
	return sqlite3_set_authorizer(db, pass_over_inserts, NULL);
}

static void an_insert_that_is_passed_over_is_never_acknowledged(void **state)
{
	(void)state;
	struct mf_error error;
	make_store();
	sqlite3_auto_extension((void (*)(void))authorize);
	struct mf_store *store = kit_open(kit_dir);
	sqlite3_reset_auto_extension();
	for (int i = 0; i < 2; i++) {
		struct mf_event event = kit_event("d", "new");
		assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_IO);
		assert_non_null(strstr(error.message, "authorizer"));
	}
	kit_close(store);
	expect_sound();
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_no_file_in_a_files_place_is_told_and_never_waited_for),
		T(a_lock_or_counters_that_are_no_file_are_told_and_events_are_synced_all_the_same),
		T(a_link_to_nowhere_is_called_that),
		T(no_database_is_made_through_a_link),
		T(a_journal_beside_a_store_is_told_and_left_alone),
		T(no_backup_takes_a_name_that_a_store_uses),
		T(a_path_that_is_too_long_for_sqlite_is_called_that),
		T(a_path_that_leads_round_in_links_is_not_called_too_long),
		T(a_store_in_the_root_directory_is_opened_again_and_again),
		T(a_backup_made_when_the_clock_stood_before_1970_is_restored),
		T(a_store_that_is_made_while_it_is_opened_for_reading_is_sound),
		T(a_watermark_that_is_missing_at_both_looks_is_missing),
		T(an_insert_that_is_passed_over_is_never_acknowledged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
