/* forks.h - children of fork, as a test makes them: noticed by the library or not, and how each ended. */
#pragma once

#include "store_kit.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Through a pointer: what a coverage build makes of a call of fork forgets what was counted in the child until then. */
static pid_t (*volatile noticed_fork)(void) = fork;

/* What pthread_atfork knows nothing of. */
static inline pid_t unnoticed_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* Its exit status, or its signal with a minus. */
static inline int wait_for(pid_t child)
{
	int result;
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &result, 0), child);
	return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
}
