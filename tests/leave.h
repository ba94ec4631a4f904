/* leave.h - how a child of a test ends by itself: at once, without what exit() would run there (the parent's handlers, threads that
 * a fork did not take along), but with what a coverage build has counted, which _exit would forget. For a process whose memory is
 * whole; the counts are added to files of the build, outside of what the tests make. */
#pragma once

#include <unistd.h>

#ifdef MF_COVERAGE
void __gcov_dump(void);
#endif
#ifdef MF_PROFILE
int __llvm_profile_write_file(void);
#endif

static inline _Noreturn void leave(int status)
{
#ifdef MF_COVERAGE
	__gcov_dump();
#endif
#ifdef MF_PROFILE
	(void)__llvm_profile_write_file(); /* adds to the file of this program (./dev coverage mcdc: %m) */
#endif
	_exit(status);
}
