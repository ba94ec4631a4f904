#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "persist/env.h"
#include "tests/bus/sys_fail.h"

static void clocks_and_randomness_work(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	assert_true(env->wall_us(env->user) > 1600000000000000);
	int64_t before = env->monotonic_us(env->user);
	assert_true(env->monotonic_us(env->user) >= before);
	unsigned char a[32] = {0}, b[32] = {0};
	assert_int_equal(env->random(env->user, a, sizeof(a)), 0);
	assert_int_equal(env->random(env->user, b, sizeof(b)), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void files_are_written_and_read_back(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	char *path = kit_path(kit_dir, "file"), *sub = kit_path(kit_dir, "sub"), *under = kit_path(kit_dir, "sub/file");
	assert_int_equal(env->open(env->user, path, O_RDONLY, 0), -ENOENT);
	assert_int_equal(env->size(env->user, path), -ENOENT);
	assert_int_equal(env->open(env->user, under, O_RDWR | O_CREAT, 0600), -ENOENT);
	int fd = env->open(env->user, path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(mf_env_write_all(env, fd, "hello world", 11, 100), 0);
	assert_int_equal(env->size(env->user, path), 111);
	char bytes[20];
	assert_int_equal(mf_env_read_all(env, fd, bytes, 20, 100), 11);
	assert_memory_equal(bytes, "hello world", 11);
	assert_int_equal(env->pread(env->user, fd, bytes, 5, 106), 5);
	assert_int_equal(env->pwrite(env->user, fd, "x", 1, 0), 1);
	assert_int_equal(env->fsync(env->user, fd), 0);
	assert_int_equal(env->drop_cache(env->user, path), 0);
	assert_int_equal(env->drop_cache(env->user, under), -ENOENT);
	assert_int_equal(env->mkdir(env->user, sub, 0700), 0);
	assert_int_equal(env->mkdir(env->user, sub, 0700), -EEXIST);
	assert_int_equal(mf_env_sync_dir(env, sub), 0);
	assert_int_equal(mf_env_sync_dir(env, under), -ENOENT);
	assert_int_equal(mf_env_sync_dir(env, path), -ENOTDIR);
	assert_int_equal(env->close(env->user, fd), 0);
	assert_int_equal(env->close(env->user, fd), -EBADF);
	assert_int_equal(env->fsync(env->user, fd), -EBADF);
	assert_int_equal(env->pread(env->user, fd, bytes, 1, 0), -EBADF);
	assert_int_equal(mf_env_read_all(env, fd, bytes, 1, 0), -EBADF);
	assert_int_equal(mf_env_write_all(env, fd, bytes, 1, 0), -EBADF);
	free(path);
	free(sub);
	free(under);
}

static void make_file(const char *path)
{
	int fd = mf_env_os()->open(NULL, path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(mf_env_os()->close(NULL, fd), 0);
}

static void names_are_given_and_taken_away(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	char *a = kit_path(kit_dir, "a"), *b = kit_path(kit_dir, "b"), *dir = kit_path(kit_dir, "dir"), *used = kit_path(kit_dir, "used"), *inside = kit_path(kit_dir, "used/file");
	make_file(a);
	assert_int_equal(env->rename(env->user, a, b, false), 0);
	assert_int_equal(env->rename(env->user, a, b, false), -ENOENT);
	make_file(a);
	assert_int_equal(env->rename(env->user, a, b, false), -EEXIST);
	assert_int_equal(env->rename(env->user, a, b, true), 0);
	assert_int_equal(env->mkdir(env->user, dir, 0700), 0);
	assert_int_equal(env->mkdir(env->user, used, 0700), 0);
	make_file(inside);
	assert_int_equal(env->is_empty(env->user, dir), 1);
	assert_int_equal(env->is_empty(env->user, used), 0);
	assert_int_equal(env->is_empty(env->user, a), -ENOENT);
	assert_int_equal(env->is_empty(env->user, b), -ENOTDIR);
	assert_int_equal(env->rename(env->user, dir, used, true), -ENOTEMPTY);
	assert_int_equal(env->rename(env->user, used, dir, false), -EEXIST);
	assert_int_equal(env->rename(env->user, used, dir, true), 0); /* an empty one gives way */
	assert_int_equal(env->remove(env->user, dir), -ENOTEMPTY);
	assert_int_equal(env->remove(env->user, b), 0);
	assert_int_equal(env->remove(env->user, b), -ENOENT);
	char *const paths[] = {a, b, dir, used, inside};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		free(paths[i]);
}

static void a_lock_is_refused_while_another_holds_it(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	char *path = kit_path(kit_dir, "lock");
	int first = env->open(env->user, path, O_RDWR | O_CREAT, 0600), second = env->open(env->user, path, O_RDWR, 0600);
	assert_int_equal(env->lock(env->user, first), 0);
	assert_int_equal(env->lock(env->user, second), -EWOULDBLOCK);
	env->close(env->user, first);
	assert_int_equal(env->lock(env->user, second), 0);
	env->close(env->user, second);
	free(path);
}

/* A device that takes and gives at most three bytes at a time, then none. */
static int left;

static ssize_t few_pread(void *user, int fd, void *bytes, size_t len, int64_t offset)
{
	return mf_env_os()->pread(user, fd, bytes, len < 3 ? len : 3, offset);
}

static ssize_t few_pwrite(void *user, int fd, const void *bytes, size_t len, int64_t offset)
{
	return left-- > 0 ? mf_env_os()->pwrite(user, fd, bytes, len < 3 ? len : 3, offset) : 0;
}

static void short_counts_are_completed(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.pread = few_pread;
	env.pwrite = few_pwrite;
	char *path = kit_path(kit_dir, "short"), bytes[16];
	int fd = env.open(env.user, path, O_RDWR | O_CREAT, 0600);
	left = 100;
	assert_int_equal(mf_env_write_all(&env, fd, "0123456789", 10, 0), 0);
	assert_int_equal(mf_env_read_all(&env, fd, bytes, 16, 0), 10);
	assert_memory_equal(bytes, "0123456789", 10);
	left = 2;
	assert_int_equal(mf_env_write_all(&env, fd, "0123456789", 10, 0), -EIO);
	env.close(env.user, fd);
	free(path);
}

static void what_a_signal_interrupts_is_done_again_but_a_close_is_not(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	char *path = kit_path(kit_dir, "file"), bytes[8];
	sys_fail(SYS_OPEN, 1, EINTR);
	int fd = env->open(env->user, path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(sys_calls(), 2);
	assert_true(fd > 2);
	sys_fail(SYS_PWRITE, 1, EINTR);
	assert_int_equal(env->pwrite(env->user, fd, "12345678", 8, 0), 8);
	sys_fail(SYS_PREAD, 1, EINTR);
	assert_int_equal(env->pread(env->user, fd, bytes, 8, 0), 8);
	sys_fail(SYS_GETRANDOM, 1, EINTR);
	assert_int_equal(env->random(env->user, bytes, 8), 0);
	sys_fail(SYS_GETRANDOM, 1, 0);
	assert_int_equal(env->random(env->user, bytes, 8), 0);
	sys_fail(SYS_GETRANDOM, 1, ENOSYS);
	assert_int_equal(env->random(env->user, bytes, 8), -ENOSYS);
	sys_fail(SYS_CLOSE, 1, EINTR);
	assert_int_equal(env->close(env->user, fd), 0);
	assert_int_equal(sys_calls(), 1);
	sys_fail(SYS_CLOSE, 0, 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	free(path);
}

static void what_writes_nothing_is_an_io_error(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	char *path = kit_path(kit_dir, "file");
	int fd = env->open(env->user, path, O_RDWR | O_CREAT, 0600);
	sys_fail(SYS_PWRITE, 1, 0);
	assert_int_equal(mf_env_write_all(env, fd, "x", 1, 0), -EIO);
	sys_fail(SYS_FSYNC, 1, EIO);
	assert_int_equal(mf_env_sync_dir(env, kit_dir), -EIO);
	sys_fail(SYS_CLOSE, 1, EIO);
	assert_int_equal(mf_env_sync_dir(env, kit_dir), -EIO);
	sys_fail(SYS_STATVFS, 1, EIO);
	assert_int_equal(env->free_bytes(env->user, kit_dir), -EIO);
	sys_fail(SYS_READDIR, 1, EIO);
	assert_int_equal(env->is_empty(env->user, kit_dir), -EIO);
	sys_fail(SYS_READDIR, 0, 0);
	assert_int_equal(env->is_empty(env->user, path), -ENOTDIR);
	assert_int_equal(env->remove(env->user, kit_dir), -ENOTEMPTY);
	assert_int_equal(env->close(env->user, fd), 0);
	free(path);
}

static void where_a_rename_cannot_spare_a_file_it_is_looked_for_first(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	char *from = kit_path(kit_dir, "from"), *to = kit_path(kit_dir, "to");
	static const int no_such_flag[] = {EINVAL, ENOSYS};
	assert_int_equal(env->rename(env->user, from, to, true), -ENOENT);
	for (int i = 0; i < 2; i++) {
		env->close(env->user, env->open(env->user, from, O_RDWR | O_CREAT, 0600));
		sys_fail(SYS_RENAMEAT2, 1, no_such_flag[i]);
		assert_int_equal(env->rename(env->user, from, to, false), 0);
		env->close(env->user, env->open(env->user, from, O_RDWR | O_CREAT, 0600));
		sys_fail(SYS_RENAMEAT2, 1, no_such_flag[i]);
		assert_int_equal(env->rename(env->user, from, to, false), -EEXIST);
		assert_int_equal(env->rename(env->user, from, to, false), -EEXIST); /* and so it is in one step */
		assert_int_equal(env->remove(env->user, from), 0);
		assert_int_equal(env->remove(env->user, to), 0);
		sys_fail(SYS_RENAMEAT2, 1, no_such_flag[i]);
		assert_int_equal(env->rename(env->user, from, to, false), -ENOENT);
	}
	sys_fail(SYS_RENAMEAT2, 0, 0);
	free(from);
	free(to);
}

/* The one of the system, unless a test gives the whole process another; what a caller gives comes first. */
static void an_environment_of_the_whole_process_takes_the_place_of_the_systems(void **state)
{
	(void)state;
	const struct mf_env own = *mf_env_os(), given = own;
	assert_ptr_equal(mf_env_or_default(NULL), mf_env_os());
	mf_env_replace(&own);
	assert_ptr_equal(mf_env_or_default(NULL), &own);
	assert_ptr_equal(mf_env_or_default(&given), &given);
	assert_ptr_not_equal(mf_env_os(), &own);
	mf_env_replace(NULL);
	assert_ptr_equal(mf_env_or_default(NULL), mf_env_os());
}

static void only_files_are_opened_and_measured_and_none_that_cannot_be_looked_at(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	char *path = kit_path(kit_dir, "file"), *fifo = kit_path(kit_dir, "fifo");
	int fd = env->open(env->user, path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	env->close(env->user, fd);
	sys_fail(SYS_FSTAT, 1, EIO);
	assert_int_equal(env->open(env->user, path, O_RDWR, 0), -EIO);
	sys_fail(SYS_FSTAT, 0, 0);
	assert_int_equal(env->open(env->user, path, O_RDWR, 0), fd); /* so it was closed */
	env->close(env->user, fd);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	static const int ways[] = {O_RDONLY, O_WRONLY, O_RDWR};
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		assert_int_equal(env->open(env->user, fifo, ways[i] | O_CREAT, 0600), -ENXIO);
	assert_int_equal(env->size(env->user, fifo), -ENXIO);
	assert_int_equal(env->open(env->user, kit_dir, O_RDONLY, 0), -ENXIO);
	assert_int_equal(env->size(env->user, kit_dir), -ENXIO);
	free(path);
	free(fifo);
}

/* Who has a lease on a file is told to give it back; who opens it without waiting is refused until then. */
static void a_file_that_a_file_server_has_a_lease_on_is_opened(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	char *path = kit_path(kit_dir, "leased");
	sys_fail(SYS_OPEN, 1, EWOULDBLOCK);
	assert_int_equal(env->open(env->user, path, O_RDONLY, 0), -EWOULDBLOCK);
	sys_fail(SYS_OPEN, 1, EWOULDBLOCK);
	assert_int_equal(env->open(env->user, kit_dir, O_RDONLY, 0), -EWOULDBLOCK);
	sys_fail(SYS_OPEN, 0, 0);
	int fd = env->open(env->user, path, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	env->close(env->user, fd);
	sys_fail(SYS_OPEN, 1, EWOULDBLOCK);
	assert_int_equal(env->open(env->user, path, O_RDWR, 0), fd);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	sys_fail(SYS_OPEN, -1, EWOULDBLOCK);
	assert_int_equal(env->open(env->user, path, O_RDWR, 0), -EWOULDBLOCK);
	assert_int_equal(sys_calls(), 2); /* without waiting, then waiting; who is refused then is told */
	assert_int_equal(env->open(env->user, path, O_RDWR | MF_OPEN_TO_LOCK, 0), -EWOULDBLOCK);
	sys_fail(SYS_OPEN, 0, 0);
	env->close(env->user, fd);
	sys_fail(SYS_OPEN, 2, EMFILE); /* it is opened twice */
	assert_int_equal(env->open(env->user, path, O_RDWR | MF_OPEN_TO_LOCK, 0), -EMFILE);
	sys_fail(SYS_OPEN, 0, 0);
	assert_int_equal(env->open(env->user, path, O_RDWR, 0), fd); /* the first is closed */
	env->close(env->user, fd);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_and_randomness_work),
		cmocka_unit_test(files_are_written_and_read_back),
		cmocka_unit_test(names_are_given_and_taken_away),
		cmocka_unit_test(a_lock_is_refused_while_another_holds_it),
		cmocka_unit_test(short_counts_are_completed),
		cmocka_unit_test(what_a_signal_interrupts_is_done_again_but_a_close_is_not),
		cmocka_unit_test(what_writes_nothing_is_an_io_error),
		cmocka_unit_test(where_a_rename_cannot_spare_a_file_it_is_looked_for_first),
		cmocka_unit_test(only_files_are_opened_and_measured_and_none_that_cannot_be_looked_at),
		cmocka_unit_test(a_file_that_a_file_server_has_a_lease_on_is_opened),
		cmocka_unit_test(an_environment_of_the_whole_process_takes_the_place_of_the_systems),
	};
	return cmocka_run_group_tests_name("env", tests, kit_set_up, kit_tear_down);
}
