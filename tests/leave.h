/* leave.h - how a child of a test ends by itself: at once, without what exit() would run there (the parent's handlers, threads that
 * a fork did not take along), but with what a coverage build has counted, which _exit would forget. For a process whose memory is
 * whole; the counts are added to files of the build, outside of what the tests make. */
#pragma once

#include <unistd.h>

#ifdef MF_COVERAGE
void __gcov_dump(void);
#endif

static inline _Noreturn void leave(int status)
{
#ifdef MF_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}
