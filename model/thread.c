#include "model/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "model/mem.h"
#include <moduforge/value.h>

static const struct mf_threads *replaced; /* NULL: the system's */

void mf_threads_replace(const struct mf_threads *threads)
{
	replaced = threads;
}

/* ---- threads ---- */

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
	if (replaced)
		return replaced->start(out, name, run, user);
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

void mf_thread_join(pthread_t thread)
{
	if (replaced)
		replaced->join(thread);
	else
		pthread_join(thread, NULL);
}

/* ---- the clock ---- */

int64_t mf_now_us(void)
{
	if (replaced)
		return replaced->now_us();
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t mf_deadline_in_ms(int64_t timeout_ms)
{
	return timeout_ms < 0 || timeout_ms > INT64_MAX / 2000 ? INT64_MAX : mf_now_us() + timeout_ms * 1000;
}

/* ---- waits ---- */

void mf_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

void mf_cond_destroy(pthread_cond_t *cond)
{
	pthread_cond_destroy(cond);
}

void mf_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	mf_cond_wait_until(cond, mutex, INT64_MAX);
}

void mf_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us)
{
	if (replaced) {
		replaced->wait(cond, mutex, deadline_us);
		return;
	}
	if (deadline_us == INT64_MAX) {
		pthread_cond_wait(cond, mutex);
		return;
	}
	struct timespec until = {.tv_sec = deadline_us / 1000000, .tv_nsec = deadline_us % 1000000 * 1000};
	pthread_cond_timedwait(cond, mutex, &until);
}

void mf_cond_wait_us(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t us)
{
	mf_cond_wait_until(cond, mutex, us < 0 || us > INT64_MAX / 2 ? INT64_MAX : mf_now_us() + us);
}

void mf_cond_signal(pthread_cond_t *cond)
{
	if (replaced)
		replaced->wake(cond, false);
	else
		pthread_cond_signal(cond);
}

void mf_cond_broadcast(pthread_cond_t *cond)
{
	if (replaced)
		replaced->wake(cond, true);
	else
		pthread_cond_broadcast(cond);
}

void mf_sleep_us(int64_t us)
{
	if (replaced)
		replaced->wait(NULL, NULL, replaced->now_us() + us);
	else
		usleep((useconds_t)us);
}

void mf_thread_yield(void)
{
	if (replaced)
		replaced->wait(NULL, NULL, replaced->now_us() + 10); /* whom it lets go first may be in the middle of a call of the system */
	else
		sched_yield();
}
