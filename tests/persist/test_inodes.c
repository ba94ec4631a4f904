/* test_inodes.c - the locks that SQLite has on the database of an open store are lost by nothing that the library opens and closes.
 *
 * A lock is seen by another process only: each question is asked by a child, which has a descriptor of its own. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/backup.h>
#include <moduforge/value.h>

#include "forks.h"
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

/* A program that closes all descriptors that it does not know; each case: which of two that are parked became another file, and which. */
static void a_file_that_got_the_number_of_what_is_kept_is_neither_used_nor_closed(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "store.db"), *own = kit_path(kit_dir, "own");
	const char *const others[] = {own, "/proc/self/status", NULL};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct mf_store *store = kit_open(kit_dir);
		int kept = open_as(path, O_RDONLY), taken = open_as(path, O_RDONLY);
		shut(kept);
		shut(taken);
		int other = others[i] ? open(others[i], O_RDONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
		close(taken); /* with SQLite's locks: that is theirs to answer for */
		if (other >= 0)
			assert_int_equal(dup2(other, taken), taken);
		assert_int_equal(open_as(path, O_RDONLY), kept);
		int fresh = open_as(path, O_RDONLY);
		assert_true(fresh != kept && (fresh == taken) == (other < 0));
		shut(kept);
		shut(fresh);
		if (other >= 0) { /* what is kept at the end */
			assert_int_equal(dup2(other, kept), kept);
			kit_close(store);
			assert_true(fcntl(taken, F_GETFD) >= 0 && fcntl(kept, F_GETFD) >= 0);
			close(taken);
			close(kept);
			close(other);
		} else {
			close(kept);
			kit_close(store);
		}
		assert_int_equal(descriptors(kit_dir), 0);
	}
	free(path);
	free(own);
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

static void files_that_are_not_there_share_an_entry_and_no_memory_is_an_error(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_inode *inode, *other;
	char *missing = kit_path(kit_dir, "missing"), *path = kit_path(kit_dir, "store.db");
	KIT_OK(mf_inode_enter(missing, &inode, &error), &error);
	KIT_OK(mf_inode_enter("", &other, &error), &error);
	assert_non_null(inode);
	assert_ptr_equal(other, inode);
	mf_inode_leave(other);
	mf_inode_leave(inode);
	mf_inode_leave(NULL);
	kit_close(kit_open(kit_dir));
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_inode_enter(path, &inode, &error), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	assert_null(inode);
	free(missing);
	free(path);
}

/* ---- a child of fork ---- */

static int try_to_open(const char *dir, bool read_only, struct mf_error *error)
{
	struct mf_store *store;
	enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = dir, .read_only = read_only}, &store, error);
	return status == MF_OK ? (int)mf_store_close(store, error) : (int)status;
}

static bool is_refused(int status, const struct mf_error *error)
{
	return status == MF_ERR_STATE && strstr(error->message, "exec");
}

/* Bits of what was not refused. */
static int try_all(const char *other, const char *absent, const char *backup)
{
	struct mf_error error;
	struct mf_inode *inode;
	char *database = kit_path(other, "store.db");
	int answers = is_refused(try_to_open(kit_dir, true, &error), &error) ? 0 : 1;
	answers += is_refused(try_to_open(kit_dir, false, &error), &error) ? 0 : 2;
	answers += is_refused(try_to_open(other, true, &error), &error) ? 0 : 4;
	answers += is_refused(try_to_open(other, false, &error), &error) ? 0 : 8;
	answers += is_refused(try_to_open(absent, false, &error), &error) ? 0 : 16;
	answers += is_refused(mf_store_restore(&(struct mf_restore_options){.file = backup, .dir = absent}, NULL, &error), &error) ? 0 : 32;
	answers += is_refused(mf_inode_enter(database, &inode, &error), &error) && !inode ? 0 : 64;
	free(database);
	return answers + (access(absent, F_OK) == 0 ? 128 : 0);
}

/* It has threads, which fork stops wherever they are in SQLite; and locks, which SQLite would believe to have. */
static void a_child_whose_parent_had_a_store_open_opens_none(void **state)
{
	(void)state;
	struct mf_error error;
	char *other = kit_make_dir(), *absent = kit_path(kit_dir, "absent"), *backup = kit_path(other, "backup"), byte;
	struct mf_store *store = kit_open(kit_dir);
	int ends[2];
	kit_append(store, "d", "k");
	KIT_OK(mf_store_backup(store, backup, NULL, NULL, NULL, &error), &error);
	kit_close(kit_open(other));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid_t child = noticed_fork();
	if (child == 0) {
		alarm(60); /* who waits for a thread that is not there waits for ever */
		int answers = try_all(other, absent, backup);
		if (write(ends[0], "x", 1) != 1 || read(ends[0], &byte, 1) != 1)
			leave(255);
		leave(answers | try_all(other, absent, backup)); /* the parent has closed it: that is not known here */
	}
	assert_int_equal(read(ends[1], &byte, 1), 1);
	kit_close(store);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(wait_for(child), 0);
	close(ends[0]);
	close(ends[1]);
	kit_close(kit_open(kit_dir));
	free(absent);
	free(backup);
	kit_remove_dir(other);
}

static void nor_does_a_child_of_that_child(void **state)
{
	(void)state;
	struct mf_error error;
	char *other = kit_make_dir();
	struct mf_store *reader, *store = kit_open(other);
	kit_close(kit_open(kit_dir));
	reader = kit_open_reader(kit_dir);
	kit_close(store); /* a reader is enough */
	pid_t child = noticed_fork();
	if (child == 0) {
		pid_t grandchild = noticed_fork();
		if (grandchild == 0)
			leave(is_refused(try_to_open(other, false, &error), &error) ? 0 : 1);
		leave(wait_for(grandchild));
	}
	assert_int_equal(wait_for(child), 0);
	kit_close(reader);
	kit_remove_dir(other);
}

static void nor_one_that_was_not_noticed(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	pid_t child = unnoticed_fork();
	if (child == 0)
		leave(is_refused(try_to_open(kit_dir, true, &error), &error) ? 0 : 1);
	assert_int_equal(wait_for(child), 0);
	kit_close(store);
}

/* The first of a namespace of processes has the number 1, and so has the first of one inside of it. */
static void nor_one_that_has_the_number_of_its_parent(void **state)
{
	(void)state;
	struct mf_error error;
	kit_close(kit_open(kit_dir));
	pid_t outside = noticed_fork();
	if (outside == 0) {
		if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
			leave(77);
		pid_t first = noticed_fork();
		if (first != 0)
			leave(wait_for(first));
		pid_t self = getpid();
		struct mf_store *reader = kit_open_reader(kit_dir);
		if (unshare(CLONE_NEWPID) != 0)
			leave(77);
		pid_t second = noticed_fork();
		if (second == 0)
			leave(getpid() == self && is_refused(try_to_open(kit_dir, true, &error), &error) ? 0 : 1);
		int result = wait_for(second);
		kit_close(reader);
		leave(result);
	}
	int result = wait_for(outside);
	if (result == 77)
		skip();
	assert_int_equal(result, 0);
}

static void a_child_whose_parent_had_closed_all_or_had_memory_only_opens_any(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *memory;
	KIT_OK(mf_store_open_memory(NULL, &memory, &error), &error);
	kit_close(kit_open(kit_dir));
	struct mf_store *store = kit_open(kit_dir), *reader = kit_open_reader(kit_dir);
	look(kit_dir);
	kit_close(reader);
	kit_close(store);
	pid_t child = noticed_fork();
	if (child == 0)
		leave(try_to_open(kit_dir, true, &error) + 16 * try_to_open(kit_dir, false, &error));
	assert_int_equal(wait_for(child), 0);
	kit_close(memory);
}

/* Its parent has the connection still, whatever becomes of it in the child. */
static void an_opening_that_a_fork_cuts_in_two_is_remembered_by_the_child(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_inode *inode;
	KIT_OK(mf_inode_enter("", &inode, &error), &error);
	pid_t child = noticed_fork();
	if (child == 0) {
		mf_inode_leave(inode);
		leave(is_refused(try_to_open(kit_dir, false, &error), &error) ? 0 : 1);
	}
	assert_int_equal(wait_for(child), 0);
	mf_inode_leave(inode);
	kit_close(kit_open(kit_dir));
}

static void a_database_of_its_parent_is_to_a_child_as_any_file(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	look(kit_dir); /* one is parked */
	char *path = kit_path(kit_dir, "store.db");
	pid_t child = noticed_fork();
	if (child == 0) {
		int before = descriptors(kit_dir);
		look(kit_dir);
		int answers = descriptors(kit_dir) == before ? 0 : 1;
		int fd = mf_env_os()->open(NULL, path, O_RDONLY, 0);
		answers += descriptors(kit_dir) == before + 1 ? 0 : 2; /* none of the parent's */
		leave(answers + (mf_env_os()->close(NULL, fd) == 0 && descriptors(kit_dir) == before ? 0 : 4));
	}
	assert_int_equal(wait_for(child), 0);
	kit_close(store);
	free(path);
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
		cmocka_unit_test_setup_teardown(a_file_that_got_the_number_of_what_is_kept_is_neither_used_nor_closed, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(without_memory_to_keep_it_a_descriptor_stays_open, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(files_that_are_not_there_share_an_entry_and_no_memory_is_an_error, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_child_whose_parent_had_a_store_open_opens_none, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(nor_does_a_child_of_that_child, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(nor_one_that_was_not_noticed, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(nor_one_that_has_the_number_of_its_parent, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_child_whose_parent_had_closed_all_or_had_memory_only_opens_any, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(an_opening_that_a_fork_cuts_in_two_is_remembered_by_the_child, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_database_of_its_parent_is_to_a_child_as_any_file, kit_set_up, kit_tear_down),
	};
	if (argc == 2)
		return read_elsewhere(argv[1]);
	return cmocka_run_group_tests_name("inodes", tests, NULL, NULL);
}
