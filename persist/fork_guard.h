/* fork_guard.h - which side of a fork are we on, and what must a child of one not have?
 *
 * A store must not be used by a child of fork: its locks, files and SQLite's memory belong to the parent. Asking
 * the kernel (getpid) costs a system call in every call of a store; this is one read of memory.
 *
 * A lock of flock belongs to every process that has the descriptor: a child would hold the store for as long as it lives,
 * also when the parent has closed it, or is no more. So:
 * 1. A descriptor that will be locked is opened and added between mf_fork_hold and mf_fork_go_on: no thread forks in between.
 * 2. In a child those that were added are closed before fork returns, if they are still those files, and not unlocked: that would
 *    unlock them in the parent too. Nothing of the child's may use their numbers from then on.
 * 3. The process that added one unlocks it before it closes it: a child that was not noticed may have it too.
 *
 * Thread: any. A child made by _Fork or a bare clone is not noticed. */
#pragma once

#include <stdbool.h>

/* Remember this when something is opened. */
unsigned mf_fork_generation(void);
/* Does this process differ from the one that remembered it? */
bool mf_forked_since(unsigned generation);

/* May be nested; shortly: what is in between asks for no turn of a simulated process and waits for no thread. It also is the lock of
 * what a child must find whole. */
void mf_fork_hold(void);
void mf_fork_go_on(void);

bool mf_fork_add_lock(int fd); /* false: no memory, or it is not open */
bool mf_fork_forget_lock(int fd); /* was it added, and by this process? Then unlock it. */
