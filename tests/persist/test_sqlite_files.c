/* Files that are others than those that were opened, and a second writer: nothing that was acknowledged as synced is in files that
 * nobody will find, and no LSN is given twice (persist/sqlite_files.c). */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include <moduforge/backup.h>

#include "env_fail.h"
#include "persist/env.h"
#include "persist/sqlite_store.h"
#include "sql_fail.h"
#include "vfs_shim.h"

static struct mf_error error;

static int tear_down(void **state)
{
	sql_fail_end();
	env_fail_end();
	return kit_tear_down(state);
}

static void in_store(const char *command)
{
	char text[700];
	snprintf(text, sizeof(text), "cd '%s' && %s", kit_dir, command);
	assert_int_equal(system(text), 0);
}

static void expect_stopped(struct mf_store *store, const char *words)
{
	struct mf_event event = kit_event("d", "one more");
	int64_t synced = -1;
	assert_int_equal(mf_store_sync(store, &synced, &error), MF_ERR_UNKNOWN_OUTCOME);
	if (!strstr(error.message, words))
		fail_msg("'%s' is not in '%s'", words, error.message);
	assert_int_equal(synced, -1);
	assert_int_equal(mf_store_append_batch(store, &event, 1, NULL, &error), MF_ERR_IO);
	assert_int_equal(mf_store_sync(store, NULL, &error), MF_ERR_UNKNOWN_OUTCOME);
}

/* ---- other files ---- */

/* In a folder beside it, as a tool does that gives files their names when they are whole. */
static void a_copy_that_takes_the_place_of_an_open_store_is_noticed_by_the_next_sync(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	in_store("mkdir copy && cp store.db store.db-wal watermark lock copy");
	kit_append_many(store, "d", "l", 3);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	in_store("mv copy/* .");
	kit_append_many(store, "d", "m", 3);
	expect_stopped(store, "was replaced by another");
	assert_non_null(strstr(error.message, "store.db of the store"));
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	store = kit_open(kit_dir); /* what the copy had */
	assert_int_equal(kit_count(store, "d", 0), 3);
	kit_close(store);
}

static void each_file_that_is_gone_or_another_stops_the_store(void **state)
{
	static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm", "watermark", "lock"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (int replaced = 0; replaced < 2; replaced++) {
			char command[100];
			struct mf_store *store = kit_open(kit_dir);
			kit_append(store, "d", "k");
			snprintf(command, sizeof(command), replaced ? "cp %s x && mv x %s" : "rm %s", names[i], names[i]);
			in_store(command);
			expect_stopped(store, replaced ? "was replaced by another" : "was moved or removed");
			if (strncmp(error.message + strcspn(error.message, ":") + 2, names[i], strlen(names[i])) != 0)
				fail_msg("'%s' does not name %s", error.message, names[i]);
			assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
			kit_tear_down(state);
			kit_set_up(state);
		}
}

/* Also when there is nothing to be synced: closing would copy the hole in the log into the database. */
static void a_log_that_was_cut_short_is_not_copied_into_the_database(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	int64_t whole = kit_file_size(kit_dir, "store.db");
	kit_truncate(kit_dir, "store.db-wal", 32 + 4120); /* its header and one page */
	assert_int_equal(mf_sqlite_checkpoint(mf_sqlite_of(store), false, &error), MF_ERR_UNKNOWN_OUTCOME);
	expect_stopped(store, "store.db-wal of the store");
	assert_non_null(strstr(error.message, "was cut short"));
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	assert_int_equal(kit_file_size(kit_dir, "store.db"), whole);
}

/* The next commit would lie behind a hole, and make the log as long as it should be. */
static void a_log_that_was_cut_short_is_not_written_again(void **state)
{
	(void)state;
	for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
		struct mf_event event = kit_event("d", "l");
		struct mf_store *store = kit_open(kit_dir);
		kit_append_many(store, "d", "k", 3);
		KIT_OK(mf_store_sync(store, NULL, &error), &error);
		if (checkpointed)
			KIT_OK(mf_sqlite_checkpoint(mf_sqlite_of(store), true, &error), &error);
		kit_append_many(store, "d", "m", 3);
		KIT_OK(mf_store_sync(store, NULL, &error), &error);
		int64_t whole = kit_file_size(kit_dir, "store.db");
		kit_truncate(kit_dir, "store.db-wal", 0);
		assert_int_equal(mf_store_append_batch(store, &event, 1, NULL, &error), MF_ERR_UNKNOWN_OUTCOME);
		assert_non_null(strstr(error.message, "was cut short"));
		assert_int_equal(kit_file_size(kit_dir, "store.db-wal"), 0);
		assert_int_equal(mf_store_append_batch(store, &event, 1, NULL, &error), MF_ERR_IO);
		assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
		assert_int_equal(kit_file_size(kit_dir, "store.db"), whole);
		kit_expect_refused(true, checkpointed ? "holds events up to LSN 3, but up to 6" : "", &error);
		kit_tear_down(state);
		kit_set_up(state);
	}
}

static void a_log_is_cut_short_as_long_as_nothing_says_that_it_was_copied(void **state)
{
	(void)state;
	for (int asked = 0; asked < 2; asked++) {
		struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = vfs_shim_env()});
		kit_append_many(store, "d", asked ? "l" : "k", 3);
		KIT_OK(mf_store_sync(store, NULL, &error), &error);
		kit_truncate(kit_dir, "store.db-wal", 0);
		vfs_shim_reset();
		if (asked)
			vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_SHM, .at = 1, .times = 1, .rc = SQLITE_IOERR});
		else
			sql_fail_begin(SQL_CONTROL, 1, SQL_FOR_EVER, SQLITE_OK);
		assert_int_equal(mf_store_sync(store, NULL, &error), MF_ERR_UNKNOWN_OUTCOME);
		assert_non_null(strstr(error.message, "was cut short"));
		sql_fail_end();
		assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
		kit_tear_down(state);
		kit_set_up(state);
	}
}

static void a_directory_that_was_moved_stops_the_store_and_loses_nothing(void **state)
{
	(void)state;
	char *dir = kit_path(kit_dir, "here"), *elsewhere = kit_path(kit_dir, "there");
	struct mf_store *store = kit_open(dir);
	kit_append_many(store, "d", "k", 3);
	assert_int_equal(rename(dir, elsewhere), 0);
	expect_stopped(store, "was moved or removed");
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	store = kit_open(elsewhere);
	assert_int_equal(kit_count(store, "d", 0), 3);
	kit_close(store);
	free(dir);
	free(elsewhere);
}

/* A path below what is now a file leads nowhere either. */
static void a_directory_that_became_a_file_stops_the_store(void **state)
{
	(void)state;
	char *dir = kit_path(kit_dir, "here"), *elsewhere = kit_path(kit_dir, "there");
	struct mf_store *store = kit_open(dir);
	kit_append(store, "d", "k");
	assert_int_equal(rename(dir, elsewhere), 0);
	int fd = open(dir, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	expect_stopped(store, "was moved or removed");
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	free(dir);
	free(elsewhere);
}

/* It is in a program that closes all descriptors that it does not know that this happens. */
static void what_somebody_else_has_closed_is_neither_written_nor_closed_again(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "theirs");
	for (int round = 0; round < 4; round++) {
		bool lock = round / 2, reused = round % 2;
		struct mf_store *store = kit_open(kit_dir);
		int fd = lock ? mf_sqlite_of(store)->lock_fd : mf_sqlite_of(store)->watermark_fd, theirs = -1;
		char key[] = {(char)('k' + round), '\0'};
		assert_int_equal(kit_append(store, "d", key), 1 + round);
		close(fd);
		if (reused) {
			theirs = open(path, O_RDWR | O_CREAT, 0600);
			assert_int_equal(theirs, fd); /* the lowest that is free */
		}
		expect_stopped(store, "was closed by somebody else in this process");
		assert_non_null(strstr(error.message, lock ? "lock of the store" : "watermark of the store"));
		assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
		if (reused)
			assert_int_equal(close(theirs), 0);
	}
	assert_int_equal(kit_file_size(kit_dir, "theirs"), 0);
	free(path);
}

static void counters_are_neither_written_into_a_file_of_others_nor_is_that_closed(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "theirs");
	for (int saved_again = 0; saved_again < 2; saved_again++) {
		struct mf_store *store = kit_open(kit_dir);
		KIT_OK(store->ops->save_metrics(store, "{}", 2, &error), &error);
		int fd = mf_sqlite_of(store)->metrics_fd;
		close(fd);
		int theirs = open(path, O_RDWR | O_CREAT, 0600);
		assert_int_equal(theirs, fd);
		if (saved_again)
			KIT_OK(store->ops->save_metrics(store, "{\"a\":1}", 7, &error), &error);
		kit_close(store);
		assert_int_equal(close(theirs), 0);
		assert_int_equal(kit_file_size(kit_dir, "theirs"), 0);
	}
	free(path);
}

static int asked, answer;
static uint64_t other_device;

static int answer_identity(void *user, const char *path, int fd, struct mf_file_identity *out)
{
	asked++;
	int result = answer && path ? -answer : mf_env_os()->identity(user, path, fd, out);
	out->device += other_device;
	return result;
}

static void a_device_that_was_mounted_over_the_store_is_another_place(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.identity = answer_identity;
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env});
	kit_append(store, "d", "k");
	other_device = 1; /* where its files have the same numbers */
	expect_stopped(store, "was replaced by another");
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	other_device = 0;
}

/* A process that gave up its rights may not search the directory any more; the files are none the worse. */
static void files_that_cannot_be_looked_at_are_taken_for_the_same(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.identity = answer_identity;
	answer = 0;
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env});
	kit_append(store, "d", "k");
	answer = EACCES;
	asked = 0;
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	assert_true(asked >= MF_SQLITE_FILES);
	kit_close(store);
	answer = 0;
	kit_close(kit_open(kit_dir));
}

static int no_index(void *user, const char *path, int fd, struct mf_file_identity *out)
{
	size_t len = path ? strlen(path) : 0;
	return len > 4 && strcmp(path + len - 4, "-shm") == 0 ? -ENOENT : mf_env_os()->identity(user, path, fd, out);
}

static void an_index_that_a_vfs_keeps_in_memory_is_not_missed(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.identity = no_index;
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env});
	kit_append(store, "d", "k");
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	kit_close(store);
}

static void run_in_child(void (*work)(void))
{
	int ended = 0;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		work();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &ended, 0), child);
	assert_int_equal(ended, 0);
}

static void beside(const char *sql)
{
	char *path = kit_path(kit_dir, "store.db");
	struct sqlite3 *db;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(path);
}

static const char *in_beside;

static void do_beside(void)
{
	beside(in_beside);
}

static void empty_the_log(void)
{
	in_beside = "PRAGMA wal_checkpoint(TRUNCATE)";
	run_in_child(do_beside);
	assert_int_equal(kit_file_size(kit_dir, "store.db-wal"), 0);
}

static struct mf_store *looking;
static int looks;

static void *commit_in_thread(void *unused)
{
	(void)unused;
	kit_append(looking, "d", "between");
	return NULL;
}

static void commit_beside(void)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, commit_in_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Another program empties the log; before we ask the index we commit, and before we ask the log again it is emptied once more. */
static int emptied_while_looking(void *user, const char *path, int fd, struct mf_file_identity *out)
{
	size_t len = path ? strlen(path) : 0;
	bool log = looking && len > 4 && strcmp(path + len - 4, "-wal") == 0;
	if (log && ++looks == 2)
		empty_the_log();
	int result = mf_env_os()->identity(user, path, fd, out);
	if (log && looks == 1)
		commit_beside();
	return result;
}

static void a_log_that_others_empty_time_and_again_is_not_taken_for_cut(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.identity = emptied_while_looking;
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env});
	kit_append_many(store, "d", "k", 3);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	empty_the_log();
	looking = store;
	looks = 0;
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	looking = NULL;
	assert_int_equal(looks, 3);
	assert_int_equal(kit_append(store, "d", "m"), 5);
	kit_close(store);
}

/* Another program: a child of fork cannot open what its parent has open. As `test_sqlite_files WORK DIRECTORY` it is this one. */
static void run_elsewhere(const char *work)
{
	int ended = 0;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		execl("/proc/self/exe", "test_sqlite_files", work, kit_dir, (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(child, &ended, 0), child);
	assert_int_equal(ended, 0);
}

/* ---- while it is opened ---- */

static void (*while_opening)(void);
static const char *opening_command;

/* After what there is was read, before anything is written. */
static int open_and_do_it(void *user, const char *path, int flags, mode_t mode)
{
	size_t len = strlen(path);
	if (while_opening && len > 9 && strcmp(path + len - 9, "watermark") == 0 && (flags & O_CREAT)) {
		void (*once)(void) = while_opening;
		while_opening = NULL;
		once();
	}
	return mf_env_os()->open(user, path, flags, mode);
}

static void run_opening_command(void)
{
	in_store(opening_command);
}

static void files_that_are_replaced_while_they_are_opened_are_not_written_as_if_they_were_there(void **state)
{
	(void)state;
	static const struct {
		const char *command, *words;
	} cases[] = {{"cp store.db x && mv x store.db", "store.db of the store"}, {"cp store.db-wal x && mv x store.db-wal", "store.db-wal of the store"},
		     {"rm store.db-shm", "store.db-shm of the store"}};
	struct mf_env env = *mf_env_os();
	env.open = open_and_do_it;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mf_store *store = kit_open(kit_dir);
		kit_append_many(store, "d", "k", 3);
		kit_close(store);
		while_opening = run_opening_command;
		opening_command = cases[i].command;
		assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env}, &error), MF_ERR_IO);
		assert_non_null(strstr(error.message, cases[i].words));
		assert_non_null(strstr(error.message, "while it was opened"));
		kit_tear_down(state);
		kit_set_up(state);
	}
}

static struct mf_store *first_writer;
static bool first_compacts;

static void first_writer_goes_on(void)
{
	kit_append_many(first_writer, "d", "l", 2);
	if (!first_compacts)
		return;
	kit_write_snapshot(first_writer, "d", 5, 10);
	KIT_OK(mf_store_compact(first_writer, "d", 5, &error), &error);
}

/* Who deletes the lock lets it in while the first one writes; what that one compacts meanwhile looks free. */
static void let_another_one_in(void)
{
	in_store("rm lock");
	run_elsewhere("open");
}

static void an_opening_beside_another_takes_no_epoch_again(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.open = open_and_do_it;
	kit_close(kit_open(kit_dir));
	while_opening = let_another_one_in;
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env}, &error), MF_ERR_LOCKED);
	kit_close(kit_open(kit_dir));
}

static int no_database(void *user, const char *path, int fd, struct mf_file_identity *out)
{
	size_t len = path ? strlen(path) : 0;
	return len > 3 && strcmp(path + len - 3, ".db") == 0 ? -ENOENT : mf_env_os()->identity(user, path, fd, out);
}

/* Whoever made it was stopped before it had a watermark, and takes it away again. */
static void a_database_that_goes_while_a_reader_opens_it_is_no_store_yet(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.identity = no_database;
	kit_close(kit_open(kit_dir));
	in_store("rm watermark");
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .env = &env}, &error), MF_ERR_NOT_FOUND);
}

static void an_opening_beside_a_writer_gives_no_number_again(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.open = open_and_do_it;
	for (int compacts = 0; compacts < 2; compacts++) {
		first_writer = kit_open(kit_dir);
		kit_append_many(first_writer, "d", "k", 3);
		in_store("rm lock");
		first_compacts = compacts;
		while_opening = first_writer_goes_on;
		assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env}, &error), MF_ERR_LOCKED);
		assert_non_null(strstr(error.message, "was the file 'lock' deleted?"));
		assert_int_equal(kit_append(first_writer, "d", "m"), 6);
		(void)mf_store_close(first_writer, &error); /* its lock is another by now */
		struct mf_store *store = kit_open(kit_dir);
		assert_int_equal(kit_append(store, "d", "n"), 7);
		KIT_OK(mf_store_verify(store, NULL, NULL, &error), &error);
		kit_close(store);
		kit_tear_down(state);
		kit_set_up(state);
	}
}

/* ---- where the store is ---- */

static void a_process_that_changes_its_directory_keeps_its_store(void **state)
{
	(void)state;
	char here[4096], *backup = kit_path(kit_dir, "b"), *dir = kit_path(kit_dir, "store");
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(kit_dir), 0);
	struct mf_store *store = kit_open("store");
	assert_int_equal(chdir("/"), 0);
	kit_append_many(store, "d", "k", 3);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	KIT_OK(mf_store_verify(store, NULL, NULL, &error), &error);
	KIT_OK(mf_store_backup(store, backup, NULL, NULL, NULL, &error), &error);
	kit_append(store, "d", "l");
	kit_close(store);
	assert_int_equal(chdir(here), 0);
	store = kit_open(dir);
	assert_int_equal(kit_count(store, "d", 0), 4);
	kit_close(store);
	free(backup);
	free(dir);
}

static void a_link_that_leads_elsewhere_meanwhile_changes_nothing(void **state)
{
	(void)state;
	struct mf_backup_info info;
	char *one = kit_path(kit_dir, "one"), *two = kit_path(kit_dir, "two"), *link = kit_path(kit_dir, "link"), *backup = kit_path(kit_dir, "b");
	struct mf_store *other = kit_open(two);
	kit_append(other, "other", "o");
	kit_close(other);
	assert_int_equal(mkdir(one, 0700), 0);
	assert_int_equal(symlink("one", link), 0);
	struct mf_store *store = kit_open(link);
	kit_append_many(store, "d", "k", 3);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("two", link), 0);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	KIT_OK(mf_store_backup(store, backup, NULL, NULL, &info, &error), &error);
	assert_int_equal(info.lsn, 3);
	kit_close(store);
	free(one);
	free(two);
	free(link);
	free(backup);
}

static int no_memory_to_resolve(void *user, const char *path, char out[MF_PATH_MAX])
{
	(void)user, (void)path, (void)out;
	return -ENOMEM;
}

static void a_directory_that_cannot_be_resolved_for_want_of_memory_is_not_opened(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.resolve = no_memory_to_resolve;
	for (int read_only = 0; read_only < 2; read_only++)
		assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only, .env = &env}, &error), MF_ERR_NO_MEMORY);
}

/* ---- connections that are opened later ---- */

static void whoever_opens_another_connection_gets_none_to_another_database(void **state)
{
	(void)state;
	char *backup = kit_path(kit_dir, "b");
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	struct mf_store *reader = kit_open_reader(kit_dir);
	struct mf_store_stats stats;
	KIT_OK(mf_store_stats(reader, &stats, &error), &error);
	in_store("cp store.db x && mv x store.db");
	assert_int_equal(mf_store_backup(store, backup, NULL, NULL, NULL, &error), MF_ERR_IO);
	assert_non_null(strstr(error.message, "was replaced by another"));
	assert_int_equal(access(backup, F_OK), -1);
	assert_int_equal(mf_store_verify(store, NULL, NULL, &error), MF_ERR_IO);
	assert_int_equal(mf_store_stats(reader, &stats, &error), MF_ERR_IO);
	assert_non_null(strstr(error.message, "open it again"));
	struct mf_event_list list;
	struct mf_key_info key;
	struct mf_snapshot snapshot = {0};
	int64_t lsn;
	assert_int_equal(mf_store_load_since(reader, "d", 0, 10, &list, &error), MF_ERR_IO); /* what it reads is nobody's any more */
	assert_int_equal(reader->ops->last_lsn(reader, "d", &lsn, &error), MF_ERR_IO);
	assert_int_equal(reader->ops->find_key(reader, "k-0", &key, &error), MF_ERR_IO);
	assert_int_equal(mf_store_epoch_end(reader, 1, &lsn, &error), MF_ERR_IO);
	assert_int_equal(mf_store_latest_snapshot(reader, "d", INT64_MAX, &snapshot, &error), MF_ERR_IO);
	kit_close(reader);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_UNKNOWN_OUTCOME);
	free(backup);
}

/* ---- another writer ---- */

static void compact_all_of_e(void)
{
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "e", "l", 3);
	kit_write_snapshot(store, "e", 6, 10);
	KIT_OK(mf_store_compact(store, "e", 6, &error), &error);
	kit_close(store);
}

/* Who deletes the lock lets another one in, which gives the next numbers; compacted, they look free. */
static void a_writer_that_another_one_has_overtaken_gives_no_number_again(void **state)
{
	(void)state;
	struct mf_event event = kit_event("d", "m");
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	in_store("rm lock");
	run_elsewhere("compact");
	assert_int_equal(mf_store_append_batch(store, &event, 1, NULL, &error), MF_ERR_LOCKED);
	assert_non_null(strstr(error.message, "was the file 'lock' deleted?"));
	assert_int_equal(mf_store_append_batch(store, &event, 1, NULL, &error), MF_ERR_IO);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	store = kit_open(kit_dir);
	assert_int_equal(kit_append(store, "d", "m"), 7);
	KIT_OK(mf_store_verify(store, NULL, NULL, &error), &error);
	kit_close(store);
}

static void open_and_close(void)
{
	kit_close(kit_open(kit_dir));
}

static void a_writer_that_another_one_has_followed_stores_nothing(void **state)
{
	(void)state;
	struct mf_event event = kit_event("d", "m");
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	in_store("rm lock");
	run_elsewhere("open");
	assert_int_equal(mf_store_append_batch(store, &event, 1, NULL, &error), MF_ERR_LOCKED);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	store = kit_open(kit_dir);
	assert_int_equal(kit_count(store, "d", 0), 3);
	kit_close(store);
}

static void an_event_that_was_deleted_beside_the_writer_is_not_given_again(void **state)
{
	(void)state;
	struct mf_event event = kit_event("d", "m");
	struct kit_findings findings;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	in_beside = "DELETE FROM events WHERE lsn = 3";
	run_in_child(do_beside);
	assert_int_equal(kit_verify(store, NULL, &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.lsn, 2);
	assert_int_equal(mf_store_append_batch(store, &event, 1, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "another program changed the store"));
	assert_int_equal(mf_store_append_batch(store, &event, 1, NULL, &error), MF_ERR_IO);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
}

static void a_backup_of_what_lost_its_newest_event_is_refused(void **state)
{
	(void)state;
	char *backup = kit_path(kit_dir, "b");
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	in_beside = "DELETE FROM events WHERE lsn = 3";
	run_in_child(do_beside);
	assert_int_equal(mf_store_backup(store, backup, NULL, NULL, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "ends at LSN 2, the store held LSN 3 before"));
	assert_int_equal(access(backup, F_OK), -1);
	(void)mf_store_close(store, &error);
	free(backup);
}

static void what_changes_no_event_does_not_stop_the_writer(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	in_beside = "PRAGMA wal_checkpoint(TRUNCATE); REINDEX; ANALYZE";
	run_in_child(do_beside);
	assert_int_equal(kit_append(store, "d", "m"), 4);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	kit_close(store);
}

/* All of the log is in the database then; not one transaction of ours came after that. */
static void a_checkpoint_of_another_program_that_empties_the_log_stops_nothing(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	empty_the_log();
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	assert_int_equal(kit_append(store, "d", "m"), 4);
	kit_close(store);
}

static void a_writer_that_another_one_has_followed_does_not_vacuum(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	in_store("rm lock");
	run_elsewhere("open");
	assert_int_equal(mf_store_vacuum(store, &error), MF_ERR_LOCKED);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
}

static void a_look_at_who_wrote_that_fails_appends_nothing(void **state)
{
	(void)state;
	struct mf_event event = kit_event("d", "m");
	int failed = 0;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	for (int64_t n = 1; n <= 3; n++) { /* BEGIN, then the two questions */
		in_beside = "PRAGMA user_version = 3";
		run_in_child(do_beside);
		sql_fail_begin(SQL_STEP, n, 1, SQLITE_NOMEM);
		failed += mf_store_append_batch(store, &event, 1, NULL, &error) == MF_ERR_NO_MEMORY;
		sql_fail_end();
	}
	assert_int_equal(failed, 3);
	assert_int_equal(kit_append(store, "d", "m"), 4);
	kit_close(store);
}

/* ---- other names ---- */

static void a_database_with_another_name_is_not_opened_for_writing(void **state)
{
	(void)state;
	char *db = kit_path(kit_dir, "store.db"), *other = kit_path(kit_dir, "other.db");
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	kit_close(store);
	assert_int_equal(link(db, other), 0);
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir}, &error), MF_ERR_STATE);
	assert_non_null(strstr(error.message, "has 2 names"));
	store = kit_open_reader(kit_dir);
	assert_int_equal(kit_count(store, "d", 0), 1);
	kit_close(store);
	assert_int_equal(unlink(other), 0);
	kit_close(kit_open(kit_dir));
	free(db);
	free(other);
}

static void a_database_that_is_a_link_is_not_opened_for_writing(void **state)
{
	(void)state;
	char *one = kit_path(kit_dir, "one"), *two = kit_path(kit_dir, "two"), *link = kit_path(kit_dir, "two/store.db");
	struct mf_store *store = kit_open(one);
	kit_append(store, "d", "k");
	kit_close(store);
	assert_int_equal(mkdir(two, 0700), 0);
	assert_int_equal(symlink("../one/store.db", link), 0);
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = two}, &error), MF_ERR_STATE);
	assert_non_null(strstr(error.message, "/one/store.db, whose directory has"));
	store = kit_open(one);
	struct mf_store_stats stats;
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.epoch, 2); /* nothing was written through the link */
	kit_close(store);
	free(one);
	free(two);
	free(link);
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(a_copy_that_takes_the_place_of_an_open_store_is_noticed_by_the_next_sync),
		T(each_file_that_is_gone_or_another_stops_the_store),
		T(a_log_that_was_cut_short_is_not_copied_into_the_database),
		T(a_log_that_was_cut_short_is_not_written_again),
		T(a_log_is_cut_short_as_long_as_nothing_says_that_it_was_copied),
		T(a_directory_that_was_moved_stops_the_store_and_loses_nothing),
		T(a_directory_that_became_a_file_stops_the_store),
		T(what_somebody_else_has_closed_is_neither_written_nor_closed_again),
		T(counters_are_neither_written_into_a_file_of_others_nor_is_that_closed),
		T(a_device_that_was_mounted_over_the_store_is_another_place),
		T(files_that_cannot_be_looked_at_are_taken_for_the_same),
		T(an_index_that_a_vfs_keeps_in_memory_is_not_missed),
		T(a_log_that_others_empty_time_and_again_is_not_taken_for_cut),
		T(files_that_are_replaced_while_they_are_opened_are_not_written_as_if_they_were_there),
		T(an_opening_beside_another_takes_no_epoch_again),
		T(a_database_that_goes_while_a_reader_opens_it_is_no_store_yet),
		T(an_opening_beside_a_writer_gives_no_number_again),
		T(a_process_that_changes_its_directory_keeps_its_store),
		T(a_link_that_leads_elsewhere_meanwhile_changes_nothing),
		T(a_directory_that_cannot_be_resolved_for_want_of_memory_is_not_opened),
		T(whoever_opens_another_connection_gets_none_to_another_database),
		T(a_writer_that_another_one_has_overtaken_gives_no_number_again),
		T(a_writer_that_another_one_has_followed_stores_nothing),
		T(an_event_that_was_deleted_beside_the_writer_is_not_given_again),
		T(a_backup_of_what_lost_its_newest_event_is_refused),
		T(what_changes_no_event_does_not_stop_the_writer),
		T(a_checkpoint_of_another_program_that_empties_the_log_stops_nothing),
		T(a_writer_that_another_one_has_followed_does_not_vacuum),
		T(a_look_at_who_wrote_that_fails_appends_nothing),
		T(a_database_with_another_name_is_not_opened_for_writing),
		T(a_database_that_is_a_link_is_not_opened_for_writing),
	};
	if (argc == 3) {
		kit_dir = argv[2];
		(strcmp(argv[1], "compact") == 0 ? compact_all_of_e : open_and_close)();
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
