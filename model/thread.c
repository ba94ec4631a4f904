#include "model/thread.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

int mf_thread_start(pthread_t *out, const char *name, void *(*run)(void *user), void *user)
{
	static const int stay[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
	sigset_t blocked, before;
	char full_name[16];
	sigfillset(&blocked);
	for (size_t i = 0; i < sizeof(stay) / sizeof(stay[0]); i++)
		sigdelset(&blocked, stay[i]);
	pthread_sigmask(SIG_BLOCK, &blocked, &before); /* what the caller blocks stays blocked; the new thread inherits it */
	int rc = pthread_create(out, NULL, run, user);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return rc;
	snprintf(full_name, sizeof(full_name), "mf:%.12s", name);
	pthread_setname_np(*out, full_name);
	return 0;
}
