/* fork_guard.h - which side of a fork are we on?
 *
 * A store must not be used by a child of fork: its locks, files and SQLite's memory belong to the parent. Asking
 * the kernel (getpid) costs a system call in every call of a store; this is one read of memory.
 *
 * Thread: any. A child made by _Fork or a bare clone is not noticed. */
#pragma once

#include <stdbool.h>

/* Remember this when something is opened. */
unsigned mf_fork_generation(void);
/* Does this process differ from the one that remembered it? */
bool mf_forked_since(unsigned generation);
