/* Linked into tests of one thread in place of pthread_create: what ThreadSanitizer need not see has no second thread, or its test ends here.
 * A test that begins to make one is named in its meson.build among those with threads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *with);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *with)
{
	(void)thread, (void)attr, (void)run, (void)with;
	fputs("a test that is said to have one thread makes another, and ThreadSanitizer does not see it: see tests/meson.build\n", stderr);
	abort();
}
