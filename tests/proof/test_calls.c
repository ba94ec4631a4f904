/* test_calls.c - the interposer of file system calls: what is seen, in which order, and what a hook may do to a call. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "calls.h"

static char dir[64], file[96], other[96];

/* What the hooks were told, and what they are to do at one call. */
static struct {
	char text[4096]; /* a word a call: name, or name! when it failed, name~ when pretended */
	int64_t strike_at;
	struct calls_verdict verdict;
	struct calls_call last;
	char last_path[128], last_to[128], last_bytes[32];
	bool writes_itself;
} seen;

static struct calls_verdict before(void *user, const struct calls_call *call)
{
	(void)user;
	if (seen.writes_itself)
		close(open(other, O_RDWR | O_CREAT, 0600));
	return call->index == seen.strike_at ? seen.verdict : (struct calls_verdict){0};
}

static void after(void *user, const struct calls_call *call)
{
	(void)user;
	size_t len = strlen(seen.text);
	snprintf(seen.text + len, sizeof(seen.text) - len, "%s%s%s ", call->name, call->result == -1 ? "!" : "", call->pretended ? "~" : "");
	seen.last = *call;
	snprintf(seen.last_path, sizeof(seen.last_path), "%s", call->path);
	snprintf(seen.last_to, sizeof(seen.last_to), "%s", call->to ? call->to : "");
	if (call->bytes && call->len < sizeof(seen.last_bytes))
		memcpy(seen.last_bytes, call->bytes, call->len);
}

static void watch(int64_t strike_at, struct calls_verdict verdict)
{
	memset(&seen, 0, sizeof(seen));
	seen.strike_at = strike_at;
	seen.verdict = verdict;
	assert_true(calls_watch(dir, &(struct calls_hooks){.before = before, .after = after}));
}

static int setup(void **unused)
{
	(void)unused;
	const char *base = getenv("TMPDIR");
	snprintf(dir, sizeof(dir), "%.40s/mf-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(dir));
	char *real = realpath(dir, NULL);
	snprintf(dir, sizeof(dir), "%.60s", real);
	free(real);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	char command[96];
	calls_unwatch();
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static int make_file(void)
{
	int fd = open(file, O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void a_file_s_life_is_seen_call_by_call(void **unused)
{
	(void)unused;
	char bytes[8];
	watch(0, (struct calls_verdict){0});
	int fd = make_file();
	assert_int_equal(5, pwrite(fd, "abcde", 5, 0));
	assert_int_equal(5, pread(fd, bytes, 8, 0));
	assert_int_equal(0, fsync(fd));
	assert_int_equal(0, fdatasync(fd));
	assert_int_equal(0, ftruncate(fd, 3));
	assert_int_equal(0, posix_fallocate(fd, 0, 10));
	void *map = mmap(NULL, 10, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(MAP_FAILED, map);
	assert_int_equal(0, munmap(map, 10));
	assert_int_equal(0, flock(fd, LOCK_EX | LOCK_NB));
	assert_int_equal(0, fcntl(fd, F_SETLK, &(struct flock){.l_type = F_WRLCK}));
	assert_int_equal(0, close(fd));
	assert_int_equal(0, rename(file, other));
	assert_string_equal(other, seen.last_to);
	assert_int_equal(0, link(other, file));
	assert_int_equal(0, unlink(other));
	assert_int_equal(0, remove(file));
	assert_int_equal(0, mkdir(other, 0700));
	assert_int_equal(0, rmdir(other));
	assert_int_equal(-1, unlink(other));
	assert_int_equal(ENOENT, errno);
	char names[1024], *out = names;
	for (char *word = strtok(seen.text, " "); word; word = strtok(NULL, " ")) { /* how a name is spelled is the C library's matter */
		char *wide = strstr(word, "64");
		out += sprintf(out, "%.*s%s ", (int)(wide ? wide - word : (ptrdiff_t)strlen(word)), word, wide ? wide + 2 : "");
	}
	assert_string_equal("open pwrite pread fsync fdatasync ftruncate posix_fallocate mmap flock fcntl close rename link unlink remove mkdir rmdir unlink! ", names);
	assert_int_equal(18, calls_seen());
	assert_int_equal(4, calls_seen_of(CALLS_UNLINK));
}

static void only_what_is_under_the_directory_is_seen(void **unused)
{
	(void)unused;
	char beside[128];
	snprintf(beside, sizeof(beside), "%s-beside", dir);
	watch(0, (struct calls_verdict){0});
	int fd = open(beside, O_RDWR | O_CREAT, 0600);
	assert_int_equal(1, write(fd, "x", 1));
	assert_int_equal(0, close(fd));
	assert_int_equal(0, calls_seen());
	assert_int_equal(0, rename(beside, file)); /* in: seen */
	assert_int_equal(0, rename(file, beside)); /* out: seen */
	assert_int_equal(0, unlink(beside));
	assert_int_equal(2, calls_seen());
	int self = open(dir, O_RDONLY | O_DIRECTORY);
	assert_true(seen.last.is_dir);
	fd = openat(self, "./file", O_CREAT | O_WRONLY, 0600);
	assert_string_equal(file, seen.last_path);
	assert_int_equal(0, close(fd) + close(self));
	assert_int_equal(6, calls_seen());
}

static void a_write_without_an_offset_is_told_where_it_goes(void **unused)
{
	(void)unused;
	watch(0, (struct calls_verdict){0});
	int fd = make_file();
	assert_int_equal(3, write(fd, "abc", 3));
	assert_int_equal(0, seen.last.offset);
	char d = 'd', e = 'e';
	assert_int_equal(2, writev(fd, (struct iovec[]){{.iov_base = &d, .iov_len = 1}, {.iov_base = &e, .iov_len = 1}}, 2));
	assert_int_equal(3, seen.last.offset);
	assert_memory_equal("de", seen.last_bytes, 2);
	int end = open(file, O_WRONLY | O_APPEND);
	assert_int_equal(1, write(end, "f", 1));
	assert_int_equal(5, seen.last.offset);
	int twin = dup(end);
	assert_int_equal(1, write(twin, "g", 1));
	assert_int_equal(6, seen.last.offset);
	assert_int_equal(0, close(twin) + close(end) + close(fd));
}

static void a_verdict_fails_shortens_or_pretends_a_call(void **unused)
{
	(void)unused;
	struct stat info;
	watch(2, (struct calls_verdict){.action = CALLS_FAIL, .error = ENOSPC});
	int fd = make_file();
	assert_int_equal(-1, pwrite(fd, "abc", 3, 0));
	assert_int_equal(ENOSPC, errno);
	assert_int_equal(0, fstat(fd, &info));
	assert_int_equal(0, info.st_size);
	seen.verdict = (struct calls_verdict){.action = CALLS_DO_AND_FAIL, .error = EIO};
	seen.strike_at = 3;
	assert_int_equal(-1, pwrite(fd, "abc", 3, 0));
	assert_int_equal(EIO, errno);
	assert_int_equal(3, seen.last.result); /* a recorder is told what happened */
	seen.verdict = (struct calls_verdict){.action = CALLS_SHORTEN, .len = 1};
	seen.strike_at = 4;
	assert_int_equal(1, pwrite(fd, "xyz", 3, 0));
	seen.verdict = (struct calls_verdict){.action = CALLS_PRETEND};
	seen.strike_at = 5;
	assert_int_equal(0, ftruncate(fd, 0));
	assert_true(seen.last.pretended);
	char bytes[4] = "";
	assert_int_equal(3, pread(fd, bytes, 3, 0));
	assert_string_equal("xbc", bytes);
	assert_int_equal(0, close(fd));
}

static void a_close_that_fails_closes_all_the_same(void **unused)
{
	(void)unused;
	watch(2, (struct calls_verdict){.action = CALLS_FAIL, .error = EIO});
	int fd = make_file();
	assert_int_equal(-1, close(fd));
	assert_int_equal(EIO, errno);
	assert_int_equal(-1, fcntl(fd, F_GETFD));
}

static int killed_at(int64_t index, struct calls_verdict verdict)
{
	int status;
	pid_t child = fork();
	if (child == 0) {
		watch(index, verdict);
		int fd = make_file();
		_exit(pwrite(fd, "abcdef", 6, 0) < 0);
	}
	assert_int_equal(child, waitpid(child, &status, 0));
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int64_t size_of_file(void)
{
	struct stat info;
	return stat(file, &info) == 0 ? info.st_size : -1;
}

static void a_verdict_kills_before_or_after_or_in_the_middle(void **unused)
{
	(void)unused;
	assert_int_equal(SIGKILL, killed_at(1, (struct calls_verdict){.action = CALLS_KILL}));
	assert_int_equal(-1, size_of_file());
	assert_int_equal(SIGKILL, killed_at(2, (struct calls_verdict){.action = CALLS_KILL}));
	assert_int_equal(0, size_of_file());
	assert_int_equal(SIGKILL, killed_at(2, (struct calls_verdict){.action = CALLS_SHORTEN, .len = 4, .then_kill = true}));
	assert_int_equal(4, size_of_file());
	assert_int_equal(SIGKILL, killed_at(2, (struct calls_verdict){.then_kill = true}));
	assert_int_equal(6, size_of_file());
}

static void what_a_hook_does_itself_is_not_seen(void **unused)
{
	(void)unused;
	watch(0, (struct calls_verdict){0});
	seen.writes_itself = true;
	close(make_file());
	assert_int_equal(2, calls_seen());
	assert_int_equal(0, access(other, F_OK));
}

#define WRITES 500
static void *write_many(void *unused)
{
	(void)unused;
	int fd = open(file, O_WRONLY | O_CREAT, 0600);
	for (int i = 0; i < WRITES; i++)
		if (pwrite(fd, "x", 1, i) != 1)
			abort();
	close(fd);
	return NULL;
}

static int64_t expected_index;
static void count_up(void *user, const struct calls_call *call)
{
	(void)user;
	if (call->index != ++expected_index)
		abort();
}

static void threads_are_seen_one_call_after_the_other(void **unused)
{
	(void)unused;
	pthread_t threads[4];
	expected_index = 0;
	assert_true(calls_watch(dir, &(struct calls_hooks){.after = count_up}));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(0, pthread_create(&threads[i], NULL, write_many, NULL));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(0, pthread_join(threads[i], NULL));
	assert_int_equal(4 * (WRITES + 2), calls_seen());
	assert_int_equal(4 * (WRITES + 2), expected_index);
}

static void a_call_is_told_in_words(void **unused)
{
	(void)unused;
	char text[128];
	watch(0, (struct calls_verdict){0});
	int fd = make_file();
	assert_int_equal(3, pwrite(fd, "abc", 3, 7));
	seen.last.name = "pwrite64";
	assert_string_equal("call 2 (write 1): pwrite64 file, 3 bytes at 7", calls_tell(&seen.last, text, sizeof(text)));
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_file_s_life_is_seen_call_by_call),
		TEST(only_what_is_under_the_directory_is_seen),
		TEST(a_write_without_an_offset_is_told_where_it_goes),
		TEST(a_verdict_fails_shortens_or_pretends_a_call),
		TEST(a_close_that_fails_closes_all_the_same),
		TEST(a_verdict_kills_before_or_after_or_in_the_middle),
		TEST(what_a_hook_does_itself_is_not_seen),
		TEST(threads_are_seen_one_call_after_the_other),
		TEST(a_call_is_told_in_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
