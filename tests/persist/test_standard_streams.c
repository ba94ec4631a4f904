/* Files of a store never take the numbers of the standard streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "persist/env.h"

/* The test's own report goes to standard error, so only the first two are closed. */
static void a_file_is_never_opened_as_a_standard_stream(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10), out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	int first = env->open(env->user, "/proc/self/exe", O_RDONLY, 0), second = env->open(env->user, "/proc/self/exe", O_RDONLY, 0);
	bool taken = fcntl(STDIN_FILENO, F_GETFD) >= 0 || fcntl(STDOUT_FILENO, F_GETFD) >= 0;
	if (in >= 0)
		dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	assert_false(taken);
	assert_true(first > STDERR_FILENO && second > STDERR_FILENO);
	assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
	env->close(env->user, first);
	env->close(env->user, second);
}

/* Standard input is closed, and no other descriptor is free: the file that took its number cannot be moved. */
static void a_file_that_cannot_be_moved_is_not_opened(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10), last = STDERR_FILENO;
	struct rlimit before, low;
	while (fcntl(last + 1, F_GETFD) >= 0)
		last++;
	if (last == STDERR_FILENO) /* else some are taken already */
		last = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = (rlim_t)last + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	close(STDIN_FILENO);
	int opened = env->open(env->user, "/proc/self/exe", O_RDONLY, 0);
	bool taken = fcntl(STDIN_FILENO, F_GETFD) >= 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	if (in >= 0)
		dup2(in, STDIN_FILENO);
	assert_int_equal(opened, -EMFILE);
	assert_false(taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_never_opened_as_a_standard_stream),
		cmocka_unit_test(a_file_that_cannot_be_moved_is_not_opened),
	};
	return cmocka_run_group_tests_name("standard streams", tests, NULL, NULL);
}
