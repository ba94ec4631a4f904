#include "sim.h"

#include "dice.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/thread.h"

#define THREADS_MAX 1024
#define YIELD_EVERY 12       /* unlocks, about */
#define FIRST_US 1000000000 /* so that no deadline is below zero */

enum place {
	CAN_RUN,
	WAITS,    /* on a condition, until a deadline */
	LOCKS,    /* a mutex that another has */
	JOINS,    /* until another has ended */
	IDLE,     /* the application's thread between two calls; the driver in sim_call */
	SETTLES,  /* the driver: when nobody else can run */
	ENDED,
	DEAD,     /* its process was killed */
};

struct thread {
	pthread_t id;
	pthread_cond_t turn;
	enum place place;
	bool mortal; /* of the simulated process */
	const void *on; /* the condition or mutex */
	int64_t deadline;
	const struct thread *other; /* that it joins */
	void *(*run)(void *user);
	void *user;
	unsigned globals; /* mutexes that outlive the simulated process, and that it has */
};

extern char __data_start[], _end[]; /* the linker's */
int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);

/* All of it under big, which whoever has the turn takes only to give the turn away. */
static pthread_mutex_t big = PTHREAD_MUTEX_INITIALIZER;
static struct thread threads[THREADS_MAX]; /* 0: the driver */
static unsigned count;
static struct thread *current, *application;
static int64_t now_us = FIRST_US;
static uint64_t state, switches;
static bool died, begun;
static void (*job)(void *user);
static void *job_user;

/* ---- chance ---- */
void sim_seed(uint64_t seed)
{
	state = seed;
}

uint64_t sim_random(void)
{
	return proof_random(&state);
}

uint32_t sim_below(uint32_t limit)
{
	return proof_below(&state, limit);
}

/* ---- time ---- */
int64_t sim_now_us(void)
{
	return now_us;
}

void sim_spend(int64_t us)
{
	now_us += us;
}

uint64_t sim_switches(void)
{
	return switches;
}

/* ---- who is next ---- */
static void wake_late(void)
{
	for (unsigned i = 0; i < count; i++)
		if (threads[i].place == WAITS && threads[i].deadline <= now_us)
			threads[i].place = CAN_RUN;
}

static struct thread *pick(void)
{
	unsigned ready = 0;
	for (unsigned i = 0; i < count; i++)
		ready += threads[i].place == CAN_RUN;
	if (ready == 0)
		return threads[0].place == SETTLES ? &threads[0] : NULL;
	unsigned wanted = ready == 1 ? 0 : sim_below(ready);
	for (unsigned i = 0; i < count; i++)
		if (threads[i].place == CAN_RUN && wanted-- == 0)
			return &threads[i];
	return NULL;
}

static void pass_time(void)
{
	int64_t next = INT64_MAX;
	for (unsigned i = 0; i < count; i++)
		if (threads[i].place == WAITS && threads[i].deadline < next)
			next = threads[i].deadline;
	if (next == INT64_MAX) {
		fprintf(stderr, "the simulated process is stuck: %u threads, every one waits for ever\n", count);
		fflush(NULL);
		_exit(3);
	}
	now_us = next > now_us ? next : now_us;
}

/* big held; me has said in its place why it stops. Returns when it has the turn again. */
static void give_turn(struct thread *me)
{
	struct thread *next;
	for (;;) {
		wake_late();
		next = pick();
		if (next)
			break;
		pass_time();
	}
	switches += next != me;
	current = next;
	if (next != me)
		pthread_cond_signal(&next->turn);
	while (current != me || me->place == DEAD)
		pthread_cond_wait(&me->turn, &big);
	me->place = CAN_RUN;
}

/* ---- mutexes ---- */
/* It must not die with one. */
static void count_global(const pthread_mutex_t *mutex, int change)
{
	uintptr_t at = (uintptr_t)mutex;
	if (at >= (uintptr_t)__data_start && at < (uintptr_t)_end)
		current->globals += (unsigned)change;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	int rc = __real_pthread_mutex_trylock(mutex);
	if (begun && rc == 0)
		count_global(mutex, 1);
	return rc;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (!begun)
		return __real_pthread_mutex_lock(mutex);
	__real_pthread_mutex_lock(&big);
	int rc;
	while ((rc = __real_pthread_mutex_trylock(mutex)) == EBUSY) {
		struct thread *me = current;
		me->place = LOCKS;
		me->on = mutex;
		give_turn(me);
	}
	count_global(mutex, 1);
	__real_pthread_mutex_unlock(&big);
	return rc;
}

/* big held. */
static void unlock(pthread_mutex_t *mutex)
{
	count_global(mutex, -1);
	__real_pthread_mutex_unlock(mutex);
	for (unsigned i = 0; i < count; i++)
		if (threads[i].place == LOCKS && threads[i].on == mutex)
			threads[i].place = CAN_RUN;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	if (!begun)
		return __real_pthread_mutex_unlock(mutex);
	__real_pthread_mutex_lock(&big);
	unlock(mutex);
	if (current->globals == 0 && sim_below(YIELD_EVERY) == 0) {
		current->place = CAN_RUN;
		give_turn(current);
	}
	__real_pthread_mutex_unlock(&big);
	return 0;
}

/* ---- what the library asks for ---- */
static struct thread *add(void *(*run)(void *user), void *user)
{
	if (count == THREADS_MAX) {
		fprintf(stderr, "more than %d threads\n", THREADS_MAX);
		_exit(3);
	}
	struct thread *thread = &threads[count];
	*thread = (struct thread){.place = CAN_RUN, .mortal = true, .run = run, .user = user};
	pthread_cond_init(&thread->turn, NULL);
	count++;
	return thread;
}

static void *begin_thread(void *argument)
{
	struct thread *me = argument;
	__real_pthread_mutex_lock(&big);
	while (current != me || me->place == DEAD)
		pthread_cond_wait(&me->turn, &big);
	__real_pthread_mutex_unlock(&big);
	me->run(me->user);
	__real_pthread_mutex_lock(&big);
	me->place = ENDED;
	for (unsigned i = 0; i < count; i++)
		if (threads[i].place == JOINS && threads[i].other == me)
			threads[i].place = CAN_RUN;
	struct thread *next;
	for (wake_late(); !(next = pick()); wake_late())
		pass_time();
	current = next;
	switches++;
	pthread_cond_signal(&next->turn);
	__real_pthread_mutex_unlock(&big);
	return NULL;
}

static int start(pthread_t *out, const char *name, void *(*run)(void *user), void *user)
{
	(void)name;
	__real_pthread_mutex_lock(&big);
	struct thread *thread = add(run, user);
	int rc = pthread_create(&thread->id, NULL, begin_thread, thread);
	if (rc)
		count--;
	else
		*out = thread->id;
	__real_pthread_mutex_unlock(&big);
	return rc;
}

static void join(pthread_t id)
{
	__real_pthread_mutex_lock(&big);
	struct thread *other = NULL;
	for (unsigned i = 1; i < count; i++) /* ids are used again: the newest */
		if (pthread_equal(threads[i].id, id))
			other = &threads[i];
	struct thread *me = current;
	while (other && other->place != ENDED) {
		me->place = JOINS;
		me->other = other;
		give_turn(me);
	}
	__real_pthread_mutex_unlock(&big);
	pthread_join(id, NULL);
}

static void wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us)
{
	__real_pthread_mutex_lock(&big);
	struct thread *me = current;
	me->place = WAITS;
	me->on = cond;
	me->deadline = deadline_us;
	if (mutex)
		unlock(mutex);
	give_turn(me);
	__real_pthread_mutex_unlock(&big);
	if (mutex)
		__wrap_pthread_mutex_lock(mutex);
}

void sim_take(int64_t us)
{
	if (current->globals > 0)
		now_us += us;
	else
		wait(NULL, NULL, now_us + us);
}

static void wake(pthread_cond_t *cond, bool all)
{
	__real_pthread_mutex_lock(&big);
	unsigned waiters = 0;
	for (unsigned i = 0; i < count; i++)
		waiters += threads[i].place == WAITS && threads[i].on == cond;
	unsigned chosen = all || waiters < 2 ? 0 : sim_below(waiters);
	for (unsigned i = 0; i < count; i++)
		if (threads[i].place == WAITS && threads[i].on == cond && (all || chosen-- == 0))
			threads[i].place = CAN_RUN;
	__real_pthread_mutex_unlock(&big);
}

/* ---- the simulated process ---- */
static void *apply_for_jobs(void *unused)
{
	for (;;) {
		job(job_user);
		__real_pthread_mutex_lock(&big);
		struct thread *me = current;
		threads[0].place = CAN_RUN;
		me->place = IDLE;
		give_turn(me);
		__real_pthread_mutex_unlock(&big);
	}
	return unused;
}

bool sim_call(void (*work)(void *user), void *user)
{
	pthread_t id;
	job = work;
	job_user = user;
	died = false;
	if (!application) {
		if (start(&id, "application", apply_for_jobs, NULL) != 0) {
			fprintf(stderr, "no thread for the application\n");
			_exit(3);
		}
		__real_pthread_mutex_lock(&big);
		application = &threads[count - 1];
	} else {
		__real_pthread_mutex_lock(&big);
		application->place = CAN_RUN;
	}
	threads[0].place = IDLE;
	give_turn(&threads[0]);
	__real_pthread_mutex_unlock(&big);
	return !died;
}

bool sim_advance(int64_t us)
{
	died = false;
	wait(NULL, NULL, now_us + us);
	return !died;
}

bool sim_settle(void)
{
	died = false;
	__real_pthread_mutex_lock(&big);
	threads[0].place = SETTLES;
	give_turn(&threads[0]);
	__real_pthread_mutex_unlock(&big);
	return !died;
}

/* big held. */
static void bury(void)
{
	for (unsigned i = 1; i < count; i++)
		if (threads[i].mortal && threads[i].place != ENDED)
			threads[i].place = DEAD;
	application = NULL;
}

void sim_kill(void)
{
	__real_pthread_mutex_lock(&big);
	bury();
	__real_pthread_mutex_unlock(&big);
}

_Noreturn void sim_die(void)
{
	__real_pthread_mutex_lock(&big);
	struct thread *me = current;
	bury();
	died = true;
	current = &threads[0];
	threads[0].place = CAN_RUN;
	pthread_cond_signal(&threads[0].turn);
	for (;;)
		pthread_cond_wait(&me->turn, &big);
}

void sim_begin(uint64_t seed)
{
	static const struct mf_threads simulated = {start, join, wait, wake, sim_now_us};
	sim_seed(seed);
	add(NULL, NULL)->mortal = false;
	threads[0].id = pthread_self();
	current = &threads[0];
	begun = true;
	mf_threads_replace(&simulated);
}
