/* thread.h - threads, waits and the monotonic clock of the library in a process that is not ours.
 *
 * Invariants
 * 1. Signals belong to the application: a thread of ours takes none of them, so no handler runs in it, whatever its
 *    stack or locks. Only those that a thread raises itself by a fault stay as they are, and a profiler's.
 * 2. A debugger shows who they are: "mf:NAME".
 * 3. Every thread of ours begins and is waited for here, every wait for another thread is one of these, and every window
 *    and time-out is measured on mf_now_us. So a test that replaces them decides who runs when, and what time it is
 *    (tests/proof/sim.h). Mutexes are pthread's: nobody waits here while holding one that others need.
 *
 * Thread: any. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* 0, or an errno value as of pthread_create. name: at most 12 bytes count. */
int mf_thread_start(pthread_t *out, const char *name, void *(*run)(void *user), void *user);
void mf_thread_join(pthread_t thread);

int64_t mf_now_us(void);                         /* never goes back; since some moment */
int64_t mf_deadline_in_ms(int64_t timeout_ms);   /* negative, or too far: INT64_MAX, which is for ever */

void mf_cond_init(pthread_cond_t *cond); /* on that clock; with what it asks for it cannot fail on Linux */
void mf_cond_destroy(pthread_cond_t *cond);
void mf_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
void mf_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us); /* INT64_MAX: for ever */
void mf_cond_wait_us(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t us);             /* negative: for ever */
void mf_cond_signal(pthread_cond_t *cond);
void mf_cond_broadcast(pthread_cond_t *cond);

void mf_sleep_us(int64_t us);
void mf_thread_yield(void); /* to those who can run */

/* ---- for tests ---- */
struct mf_threads {
	int (*start)(pthread_t *out, const char *name, void *(*run)(void *user), void *user);
	void (*join)(pthread_t thread);
	void (*wait)(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us); /* a sleep: without cond and mutex */
	void (*wake)(pthread_cond_t *cond, bool all);
	int64_t (*now_us)(void);
};
void mf_threads_replace(const struct mf_threads *threads); /* before anything is open; NULL: the system's again */
