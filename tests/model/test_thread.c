/* test_thread.c - the seam of threads, waits and the clock: the system's, and one that a test puts in its place. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/mem.h"
#include "model/thread.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond;
static int turn;

static void *take_turn(void *user)
{
	pthread_mutex_lock(&lock);
	while (turn != 1)
		mf_cond_wait(&cond, &lock);
	turn = 2;
	mf_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	return user;
}

static void a_thread_is_waited_for_and_woken(void **state)
{
	(void)state;
	pthread_t thread;
	mf_cond_init(&cond);
	assert_int_equal(mf_thread_start(&thread, "turn", take_turn, NULL), 0);
	pthread_mutex_lock(&lock);
	turn = 1;
	mf_cond_signal(&cond);
	while (turn != 2)
		mf_cond_wait_us(&cond, &lock, 1000000);
	pthread_mutex_unlock(&lock);
	mf_thread_join(thread);
	mf_cond_destroy(&cond);
}

static void a_wait_ends_at_its_deadline(void **state)
{
	(void)state;
	mf_cond_init(&cond);
	int64_t deadline = mf_now_us() + 2000;
	pthread_mutex_lock(&lock);
	while (mf_now_us() < deadline)
		mf_cond_wait_until(&cond, &lock, deadline);
	pthread_mutex_unlock(&lock);
	mf_sleep_us(10);
	mf_thread_yield();
	assert_true(mf_now_us() >= deadline + 10);
	assert_true(mf_deadline_in_ms(1000) > deadline);
	assert_true(mf_deadline_in_ms(-1) == INT64_MAX);
	assert_true(mf_deadline_in_ms(INT64_MAX) == INT64_MAX);
	mf_cond_destroy(&cond);
}

/* ---- replaced ---- */
static int started, joined, waited, woken, woken_all;
static int64_t last_deadline;

static int fake_start(pthread_t *out, const char *name, void *(*run)(void *user), void *user)
{
	(void)out, (void)name;
	started++;
	run(user);
	return 0;
}

static void fake_join(pthread_t thread)
{
	(void)thread;
	joined++;
}

static void fake_wait(pthread_cond_t *on, pthread_mutex_t *mutex, int64_t deadline_us)
{
	(void)on, (void)mutex;
	waited++;
	last_deadline = deadline_us;
}

static void fake_wake(pthread_cond_t *on, bool all)
{
	(void)on;
	*(all ? &woken_all : &woken) += 1;
}

static int64_t fake_now(void)
{
	return 5000;
}

static void *nothing(void *user)
{
	return user;
}

static void what_replaces_the_system_is_asked_for_everything(void **state)
{
	(void)state;
	static const struct mf_threads fake = {fake_start, fake_join, fake_wait, fake_wake, fake_now};
	pthread_t thread = pthread_self();
	mf_cond_init(&cond);
	mf_threads_replace(&fake);
	assert_int_equal(mf_thread_start(&thread, "nothing", nothing, NULL), 0);
	mf_thread_join(thread);
	mf_cond_wait(&cond, &lock);
	assert_true(last_deadline == INT64_MAX);
	mf_cond_wait_us(&cond, &lock, -1);
	assert_true(last_deadline == INT64_MAX);
	mf_cond_wait_us(&cond, &lock, 7);
	assert_true(last_deadline == 5007);
	mf_cond_wait_us(&cond, &lock, INT64_MAX - 1);
	assert_true(last_deadline == INT64_MAX);
	mf_sleep_us(9);
	assert_true(last_deadline == 5009);
	mf_thread_yield();
	assert_true(last_deadline == 5010);
	mf_cond_signal(&cond);
	mf_cond_broadcast(&cond);
	assert_true(mf_now_us() == 5000 && mf_deadline_in_ms(2) == 7000);
	mf_threads_replace(NULL);
	assert_true(started == 1 && joined == 1 && waited == 6 && woken == 1 && woken_all == 1);
	assert_true(mf_now_us() != 5000);
	mf_cond_destroy(&cond);
}

static int refusal; /* what the next pthread_create answers, once; 0: it is the system's */

/* In place of the C library's, for this whole program. */
int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *user)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	int rc = refusal;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	refusal = 0;
	return rc ? rc : real(out, attributes, run, user);
}

static void a_thread_that_cannot_start_is_an_error_and_leaks_nothing(void **state)
{
	(void)state;
	pthread_t thread;
	refusal = EAGAIN;
	assert_int_equal(mf_thread_start(&thread, "test", nothing, NULL), EAGAIN);
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_thread_start(&thread, "test", nothing, NULL), ENOMEM);
	mf_mem_fail_at(0, false);
	assert_int_equal(mf_thread_start(&thread, "test", nothing, NULL), 0);
	mf_thread_join(thread);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_is_waited_for_and_woken),
		cmocka_unit_test(a_wait_ends_at_its_deadline),
		cmocka_unit_test(what_replaces_the_system_is_asked_for_everything),
		cmocka_unit_test(a_thread_that_cannot_start_is_an_error_and_leaks_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
