/* test_inodes.c - the locks that SQLite has on the database of an open store are lost by nothing that the library opens and closes.
 *
 * A lock is seen by another process only: each question is asked by a child, which has a descriptor of its own. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/backup.h>
#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/env.h"
#include "persist/inodes.h"
#include "tests/leave.h"

/* Where the unix VFS of SQLite has its locks: the pending byte, the reserved byte, then these. */
#define SHARED_FIRST (0x40000000 + 2)
#define SHARED_SIZE 510

static int ask(const char *path)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHARED_FIRST, .l_len = SHARED_SIZE};
	int fd = open(path, O_RDWR | O_CLOEXEC);
	return fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 ? lock.l_type != F_UNLCK : 2;
}

static bool locked_in(const char *dir)
{
	int result;
	char *path = kit_path(dir, "store.db");
	pid_t child = fork();
	if (child == 0)
		leave(ask(path));
	free(path);
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFEXITED(result) && WEXITSTATUS(result) < 2);
	return WEXITSTATUS(result) == 1;
}

/* Descriptors of the database that this process has. */
static int descriptors(const char *dir)
{
	struct stat wanted, info;
	int count = 0;
	char *path = kit_path(dir, "store.db");
	assert_int_equal(stat(path, &wanted), 0);
	free(path);
	for (int fd = 0; fd < 1024; fd++)
		count += fstat(fd, &info) == 0 && info.st_dev == wanted.st_dev && info.st_ino == wanted.st_ino;
	return count;
}

static enum mf_status look(const char *dir)
{
	struct mf_backup_info info;
	char *path = kit_path(dir, "store.db");
	enum mf_status status = mf_backup_look(path, &info, NULL);
	free(path);
	return status;
}

/* ---- what the library does ---- */

static void to_look_for_a_backup_in_the_database_of_an_open_store_costs_no_lock(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	assert_true(locked_in(kit_dir));
	assert_int_equal(look(kit_dir), MF_ERR_CORRUPTED);
	assert_true(locked_in(kit_dir));
	kit_close(store);
	assert_false(locked_in(kit_dir));
}

static void nor_does_an_attempt_to_restore_it(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	char *file = kit_path(kit_dir, "store.db"), *dir = kit_path(kit_dir, "new");
	assert_int_equal(mf_store_restore(&(struct mf_restore_options){.file = file, .dir = dir}, NULL, &error), MF_ERR_CORRUPTED);
	assert_true(locked_in(kit_dir));
	kit_close(store);
	free(file);
	free(dir);
}

/* With a damaged watermark it lets the kernel forget the database, and opens it for that. */
static void nor_does_the_opening_of_a_writer_beside_a_reader(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	kit_close(store);
	kit_poke(kit_dir, "watermark", 0, "damaged", 7);
	struct mf_store *reader = kit_open_reader(kit_dir);
	assert_true(locked_in(kit_dir));
	store = kit_open(kit_dir);
	assert_true(locked_in(kit_dir));
	kit_close(store);
	assert_true(locked_in(kit_dir)); /* the reader's */
	assert_int_equal(kit_count(reader, NULL, 0), 1);
	kit_close(reader);
	assert_false(locked_in(kit_dir));
}

/* As `test_inodes DATABASE`: what any program with SQLite does that reads a database, and closes it. */
static int read_elsewhere(const char *path)
{
	sqlite3 *db;
	int rc = sqlite3_open(path, &db);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "SELECT count(*) FROM events", NULL, NULL, NULL);
	int closed = sqlite3_close(db);
	return rc == SQLITE_OK ? closed : rc;
}

/* A program elsewhere took itself for the last one, and deleted the log under the writer. */
static void another_program_leaves_the_log_to_the_writer(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	look(kit_dir);
	int64_t log = kit_file_size(kit_dir, "store.db-wal");
	assert_true(log > 0);
	int result;
	pid_t child = fork();
	if (child == 0) {
		char *path = kit_path(kit_dir, "store.db");
		execl("/proc/self/exe", "test_inodes", path, (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_int_equal(result, 0);
	assert_int_equal(kit_file_size(kit_dir, "store.db-wal"), log);
	kit_close(store);
}

static void what_is_kept_is_used_again_and_closed_with_the_last_connection(void **state)
{
	(void)state;
	char *other = kit_make_dir();
	struct mf_store *aside = kit_open(other), *store = kit_open(kit_dir), *reader = kit_open_reader(kit_dir);
	int before = descriptors(kit_dir), before_aside = descriptors(other);
	for (int i = 0; i < 20; i++)
		look(kit_dir);
	assert_int_equal(descriptors(kit_dir), before + 1);
	assert_int_equal(descriptors(other), before_aside);
	kit_close(aside);
	kit_close(store);
	assert_true(descriptors(kit_dir) > 0);
	kit_close(reader);
	assert_int_equal(descriptors(kit_dir), 0);
	assert_int_equal(descriptors(other), 0);
	look(kit_dir);
	assert_int_equal(descriptors(kit_dir), 0);
	kit_remove_dir(other);
}

/* ---- descriptors ---- */

static int open_as(const char *path, int flags)
{
	int fd = mf_env_os()->open(NULL, path, flags, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void shut(int fd)
{
	assert_int_equal(mf_env_os()->close(NULL, fd), 0);
}

static void each_way_of_opening_gets_its_own(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	char *path = kit_path(kit_dir, "store.db"), *missing = kit_path(kit_dir, "missing");
	int reads = open_as(path, O_RDONLY), writes = open_as(path, O_RDWR), again;
	shut(writes);
	again = open_as(path, O_RDONLY);
	assert_int_not_equal(again, writes);
	shut(reads);
	shut(again);
	assert_int_equal(open_as(path, O_RDWR), writes);
	int one = open_as(path, O_RDONLY | O_NONBLOCK), two = open_as(path, O_RDONLY);
	assert_true((one == reads && two == again) || (one == again && two == reads));
	shut(again);
	assert_int_equal(mf_env_os()->open(NULL, path, O_RDONLY | O_CREAT | O_EXCL, 0600), -EEXIST);
	assert_int_equal(mf_env_os()->open(NULL, path, O_RDONLY | O_DIRECTORY, 0), -ENOTDIR);
	assert_int_equal(mf_env_os()->open(NULL, missing, O_RDONLY, 0), -ENOENT);
	shut(open_as(missing, O_RDWR | O_CREAT)); /* of another file, and of another device: they are closed */
	shut(open_as("/proc/self/status", O_RDONLY));
	assert_int_equal(mf_env_os()->close(NULL, 1023), -EBADF);
	assert_int_equal(fcntl(again, F_GETFD), FD_CLOEXEC);
	shut(reads);
	shut(writes);
	assert_true(locked_in(kit_dir));
	kit_close(store);
	assert_int_equal(descriptors(kit_dir), 0);
	free(path);
	free(missing);
}

/* More than there is room for at first. */
static void many_at_a_time_are_kept(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	int fds[10], before = descriptors(kit_dir);
	char *path = kit_path(kit_dir, "store.db");
	for (int i = 0; i < 10; i++)
		fds[i] = open_as(path, O_RDONLY);
	for (int i = 0; i < 10; i++)
		shut(fds[i]);
	assert_int_equal(descriptors(kit_dir), before + 10);
	for (int i = 0; i < 10; i++)
		fds[i] = open_as(path, O_RDONLY);
	assert_int_equal(descriptors(kit_dir), before + 10);
	for (int i = 0; i < 10; i++)
		shut(fds[i]);
	assert_true(locked_in(kit_dir));
	kit_close(store);
	assert_int_equal(descriptors(kit_dir), 0);
	free(path);
}

static void without_memory_to_keep_it_a_descriptor_stays_open(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	char *path = kit_path(kit_dir, "store.db");
	int fd = open_as(path, O_RDONLY);
	mf_mem_fail_at(1, false);
	shut(fd);
	mf_mem_fail_at(0, false);
	assert_true(locked_in(kit_dir));
	kit_close(store);
	assert_int_equal(descriptors(kit_dir), 1);
	assert_int_equal(close(fd), 0);
	free(path);
}

/* ---- entries ---- */

static void a_file_that_is_not_there_has_no_entry_and_no_memory_is_an_error(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_inode *inode = (struct mf_inode *)&error;
	char *missing = kit_path(kit_dir, "missing"), *path = kit_path(kit_dir, "store.db");
	KIT_OK(mf_inode_enter(missing, &inode, &error), &error);
	assert_null(inode);
	mf_inode_leave(inode);
	kit_close(kit_open(kit_dir));
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_inode_enter(path, &inode, &error), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	assert_null(inode);
	free(missing);
	free(path);
}

/* ---- a child of fork ---- */

static int open_in_child(bool read_only, struct mf_error *error)
{
	struct mf_store *store;
	enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, &store, error);
	return status == MF_OK ? (int)mf_store_close(store, error) : (int)status;
}

/* SQLite in the child would go by locks that only the parent has. */
static void what_the_parent_had_open_a_child_cannot_open(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	int result, ends[2];
	char byte;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid_t child = fork();
	if (child == 0) {
		int answers = open_in_child(true, &error) == MF_ERR_STATE && strstr(error.message, "exec") ? 0 : 1;
		answers += open_in_child(false, &error) == MF_ERR_LOCKED ? 0 : 2;
		answers += write(ends[0], "x", 1) == 1 && read(ends[0], &byte, 1) == 1 ? 0 : 4;
		answers += open_in_child(false, &error) == MF_ERR_STATE ? 0 : 8; /* the parent's lock is gone, what SQLite remembers of it is not */
		leave(answers);
	}
	assert_int_equal(read(ends[1], &byte, 1), 1);
	kit_close(store);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_int_equal(result, 0);
	child = fork();
	if (child == 0)
		leave(open_in_child(true, &error) + 16 * open_in_child(false, &error)); /* nothing is open any more */
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_int_equal(result, 0);
	close(ends[0]);
	close(ends[1]);
	kit_close(kit_open(kit_dir));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(to_look_for_a_backup_in_the_database_of_an_open_store_costs_no_lock, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(nor_does_an_attempt_to_restore_it, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(nor_does_the_opening_of_a_writer_beside_a_reader, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(another_program_leaves_the_log_to_the_writer, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(what_is_kept_is_used_again_and_closed_with_the_last_connection, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(each_way_of_opening_gets_its_own, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(many_at_a_time_are_kept, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(without_memory_to_keep_it_a_descriptor_stays_open, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_is_not_there_has_no_entry_and_no_memory_is_an_error, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(what_the_parent_had_open_a_child_cannot_open, kit_set_up, kit_tear_down),
	};
	if (argc == 2)
		return read_elsewhere(argv[1]);
	return cmocka_run_group_tests_name("inodes", tests, NULL, NULL);
}
