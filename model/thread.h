/* thread.h - threads of the library in a process that is not ours.
 *
 * Invariants
 * 1. Signals belong to the application: a thread of ours takes none of them, so no handler runs in it, whatever its
 *    stack or locks. Only those that a thread raises itself by a fault stay as they are, and a profiler's.
 * 2. A debugger shows who they are: "mf:NAME". */
#pragma once

#include <pthread.h>

/* 0, or an errno value as of pthread_create. name: at most 12 bytes count. */
int mf_thread_start(pthread_t *out, const char *name, void *(*run)(void *user), void *user);
