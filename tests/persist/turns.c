#include "turns.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "model/thread.h"

#define THREADS 8
#define STUCK 1000 /* waits in a row in which nobody could help */

struct turns turns;

static struct thread {
	const char *name; /* NULL: none */
	void *(*run)(void *user);
	void *user;
} threads[THREADS];
static jmp_buf *rest; /* of whose turn it is; NULL: the test's */
static int waits;

static void turn(const struct thread *thread)
{
	jmp_buf *outer = rest, own;
	rest = &own;
	if (!setjmp(own))
		(void)thread->run(thread->user);
	rest = outer;
}

static int start(pthread_t *out, const char *name, void *(*run)(void *user), void *user)
{
	size_t number = 0;
	while (number < THREADS && threads[number].name)
		number++;
	if (number == THREADS)
		return -1;
	threads[number] = (struct thread){name, run, user};
	memset(out, 0, sizeof(*out));
	memcpy(out, &number, sizeof(number));
	return 0;
}

static void join(pthread_t thread)
{
	size_t number;
	memcpy(&number, &thread, sizeof(number));
	turn(&threads[number]);
	threads[number].name = NULL;
}

static void everybody(void)
{
	if (++waits == STUCK)
		abort();
	for (size_t i = 0; i < THREADS; i++)
		if (threads[i].name)
			turn(&threads[i]);
}

static void wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us)
{
	(void)cond;
	(void)deadline_us;
	pthread_mutex_unlock(mutex);
	if (rest)
		longjmp(*rest, 1);
	void (*meanwhile)(void) = turns.meanwhile ? turns.meanwhile : everybody;
	turns.meanwhile = NULL;
	meanwhile();
	pthread_mutex_lock(mutex);
}

static void wake(pthread_cond_t *cond, bool all)
{
	(void)cond;
	(void)all;
	turns.signals++;
	waits = 0;
}

static int64_t now_us(void)
{
	return atomic_load(&turns.env.now_us);
}

void turns_begin(void)
{
	static const struct mf_threads own = {start, join, wait, wake, now_us};
	memset(&turns, 0, sizeof(turns));
	fake_env_init(&turns.env);
	memset(threads, 0, sizeof(threads));
	waits = 0;
	mf_threads_replace(&own);
}

void turns_end(void)
{
	mf_threads_replace(NULL);
}

void turn_of(const char *name)
{
	for (size_t i = 0; i < THREADS; i++)
		if (threads[i].name && strcmp(threads[i].name, name) == 0)
			turn(&threads[i]);
}
