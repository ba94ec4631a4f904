#include "model/thread.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#include "model/mem.h"
#include <moduforge/value.h>

struct start {
	void *(*run)(void *user);
	void *user;
	char name[16];
};

/* A thread that names itself asks the system; one that names another opens a file in /proc. */
static void *run_named(void *argument)
{
	struct start start = *(struct start *)argument;
	mf_free(argument);
	pthread_setname_np(pthread_self(), start.name);
	return start.run(start.user);
}

static int create_deaf(pthread_t *out, struct start *start)
{
	static const int stay[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
	sigset_t blocked, before;
	sigfillset(&blocked);
	for (size_t i = 0; i < sizeof(stay) / sizeof(stay[0]); i++)
		sigdelset(&blocked, stay[i]);
	pthread_sigmask(SIG_BLOCK, &blocked, &before); /* what the caller blocks stays blocked; the new thread inherits it */
	int rc = pthread_create(out, NULL, run_named, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int mf_thread_start(pthread_t *out, const char *name, void *(*run)(void *user), void *user)
{
	struct start *start = mf_malloc(sizeof(*start));
	if (!start)
		return ENOMEM;
	*start = (struct start){.run = run, .user = user};
	snprintf(start->name, sizeof(start->name), "mf:%.12s", name);
	int rc = create_deaf(out, start);
	if (rc)
		mf_free(start);
	return rc;
}
