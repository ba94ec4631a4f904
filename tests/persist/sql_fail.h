/* sql_fail.h - SQLite's functions fail when a test wants it, whatever the reason would be.
 *
 * The names are replaced at link time (tests/persist/meson.build), so only in programs that are built with that. One plan for each kind of
 * call, in a process whose store is used by one thread. A function that fails is not carried out, but for SQL_STEP_DONE. */
#pragma once

#include <stdint.h>

enum sql_call {
	SQL_STEP,       /* of a statement */
	SQL_STEP_DONE,  /* it is carried out, then reported as failed */
	SQL_PREPARE,
	SQL_EXEC,
	SQL_COLUMN,     /* no text or blob for want of memory: the answer is not looked at */
	SQL_NUMBER,     /* of a column: the answer, in place of what is there */
	SQL_BIND,
	SQL_SET_UP,     /* of a connection, each of its functions */
	SQL_CONTROL,    /* of a file; the file that is asked for is NULL. SQLITE_OK: there is none */
	SQL_INITIALIZE,
	SQL_REGISTER,   /* of a VFS */
	SQL_CHANGES,    /* the answer is the count that is told */
	SQL_CALLS
};

#define SQL_FOR_EVER 1000000000

/* The calls of this kind that follow: number n (from 1; 0: none) and those after it, times in all, give the answer. */
void sql_fail_begin(enum sql_call call, int64_t n, int64_t times, int64_t answer);
void sql_fail_end(void); /* all kinds */
int64_t sql_fail_made(enum sql_call call); /* since its sql_fail_begin */
struct sqlite3 *sql_fail_db(void); /* of the last step */
