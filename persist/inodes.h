/* inodes.h - the databases that this process has open, so that none of their locks is lost by accident.
 *
 * SQLite's locks are POSIX locks, which belong to a process and a file: closing any descriptor of the file, whoever opened it and
 * what for, drops all of them. Another program then takes itself for the last that uses the database, and deletes the log
 * under the writer: what is committed from then on is lost when the writer is killed. SQLite sees to its own descriptors; this to ours.
 * 1. A database is in the list from before SQLite opens it until SQLite has closed it, once for each connection.
 * 2. What else the library opens of a file in the list it does not close but park; it is used for the next such opening, and
 *    closed with the last connection. So no more are parked than were open at one time. (mf_env_os does this in its open and close.)
 *    One that somebody else has closed meanwhile is neither used nor closed, whatever has its number.
 * 3. Looking for a file in the list and closing a descriptor of it is one step, under mf_fork_hold, and so is entering one.
 * 4. A child of fork inherits what SQLite remembers of the locks of its parent, but not the locks: SQLite would believe that it has
 *    them. And threads of the parent may have been inside SQLite: its mutexes are locked for ever in the child, its memory is half changed.
 *    So where the parent had any database open when it forked the child opens none, nor does a child of its own.
 * A file is told by its device and inode. Files that the kernel does not know, as those of tests, and those that SQLite will make, have
 * no locks to lose, and one entry for all.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>

#include <moduforge/status.h>

struct mf_inode;

/* MF_ERR_STATE: see 4. For who would make or lock files before SQLite opens one. */
enum mf_status mf_inodes_check(const char *path, struct mf_error *error);
/* *out: for mf_inode_leave, which does nothing in a child. MF_ERR_STATE: see 4. */
enum mf_status mf_inode_enter(const char *path, struct mf_inode **out, struct mf_error *error);
void mf_inode_leave(struct mf_inode *inode);

int mf_inode_reuse(const char *path, int flags); /* a parked descriptor that does for open with these flags; -1: open one */
int mf_inode_close(int fd);                      /* closes it, or parks it; as close */
