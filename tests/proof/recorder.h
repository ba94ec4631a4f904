/* recorder.h - writes an oplog of what this process does to the files under a directory, through calls.h.
 *
 *   recorder_begin(dir, 0);       -- what is there is the log's base
 *   ... the product runs; who is told something calls recorder_mark ...
 *   struct oplog *log = recorder_end();
 *
 * A call that the log cannot express (a hard link, a rename between two directories, a hole punched, an unnamed file) ends the
 * process with a sentence: the model would be wrong about it. Thread: any may make calls and mark; one recorder at a time. */
#pragma once

#include "oplog.h"

/* Syncs that are answered with success and left out of the log, as by a device or a product that lies: to see that
 * the rest of the machinery notices. */
enum recorder_lie {
	RECORDER_NO_LOG_SYNC = 1, /* of files whose name ends in "-wal" */
	RECORDER_NO_DIR_SYNC = 2,
	RECORDER_NO_DB_SYNC = 4,  /* of "store.db" */
	RECORDER_LIES_MAX = 7,    /* all of them */
};

void recorder_begin(const char *dir, unsigned lies);
void recorder_mark(void *unused, const char *line, size_t len); /* a ledger_out's line */
struct oplog *recorder_end(void); /* the caller's: oplog_deinit, free */
