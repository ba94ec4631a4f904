/* race_vfs.h - an SQLite VFS, made the default one, that sees who locks what, and can stop a checkpoint at its weak moment.
 *
 * Watching: of one database file it counts breaches of the rule that one connection writes and checkpoints, one sync at a time
 * (persist/sqlite_store.h, 1 and 3). It sees the lock that SQLite takes to checkpoint, the writes, and the syncs.
 *
 * Stopping: a sync calls back while it is under way. A checkpoint of one connection calls back just after it has read how far the log goes, and before it looks how much
 * of it has been copied. What another connection commits there makes the log begin anew behind its back.
 *
 * One watch and one stop at a time in a process. Thread: any. */
#pragma once

#include <stdbool.h>

void race_vfs_register(void);

/* path: as SQLite opens it. NULL ends the watch. */
void race_vfs_watch(const char *path);
struct race_breaches {
	long connections; /* times that a second connection wrote or was about to checkpoint */
	long syncs;       /* times that a sync began while another was under way */
	long writes, all_syncs; /* what was seen in all */
};
struct race_breaches race_vfs_breaches(void);

/* The next checkpoint, or sync, that this thread makes is stopped once, at that moment; NULL: no more. */
void race_vfs_stop(void (*call)(void *user), void *user);
void race_vfs_stop_sync(void (*call)(void *user), void *user);
