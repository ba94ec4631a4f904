/* sqlite_log.h - a VFS of each connection's own: what SQLite writes to the log in small pieces reaches the system in large
 * ones, and what SQLite hides about the device is told.
 *
 * SQLite writes each page of a commit in two calls, its frame's 24 bytes and the page, and on the machines we measured
 * these calls cost more than the rest of a commit. Here they are gathered and written in one: the VFS wraps the log's file.
 * Everything else passes to the VFS below, but for four things:
 * - A full disk may not end the process where SQLite maps its index of the log into memory.
 * - A device that cannot be read (EIO) is told as such. SQLite takes it for a damaged database, and people would restore a
 *   backup for a loose cable.
 * - A disk that has no room for a new file is told as such. SQLite says of one it could not make that it is not there.
 * - SQLite syncs the directory when it has made a log, and ignores it when that fails; the next sync, ours, would not fail
 *   again. So SQLite is told that the log was there: who opens a store syncs its directory, and looks at the result.
 *
 * Invariants
 * 1. A commit's frames are written before SQLite tells any reader of them, and before COMMIT returns: the page that
 *    follows a frame with the commit mark (bytes 4 to 7 not zero, https://www.sqlite.org/fileformat2.html#walformat)
 *    writes everything out, and so does every call but a write.
 * 2. The bytes reach the VFS below in the order in which SQLite wrote them, and nothing gathered outlives a failure.
 * 3. A header that SQLite corrects in place (it reads the frame, then writes the header there) is not gathered: no
 *    page follows it.
 * 4. Nothing is written beyond the end of the log: SQLite appends, and who has cut it has made a hole. SQLITE_IOERR_CORRUPTFS.
 * 5. A write that fails may be reported by a later call than the one that made it, even by a read, after which SQLite
 *    may go on with the transaction. So whoever commits asks mf_log_failure first.
 *
 * Thread: the connection's; mf_log_sync may run beside its calls, for it does not touch what is gathered. */
#pragma once

#include <stdbool.h>

#include <moduforge/status.h>

struct mf_log_vfs;
struct sqlite3_file;

/* below NULL: SQLite's default VFS. It must outlive the connection. writes: else the log is not wrapped. */
enum mf_status mf_log_vfs_new(const char *below, bool writes, struct mf_log_vfs **out, struct mf_error *error);
const char *mf_log_vfs_name(const struct mf_log_vfs *vfs); /* for sqlite3_open_v2 */
void mf_log_vfs_free(struct mf_log_vfs *vfs);              /* NULL is fine */
/* The length of the whole name of a database when that is why it cannot be opened, and the limit; else 0. */
int mf_log_vfs_too_long(const struct mf_log_vfs *vfs, const char *path, int *out_most);

bool mf_log_is_one(const struct sqlite3_file *file); /* is it the log of such a connection? The others take only those. */
/* These return SQLite's result code. */
int mf_log_sync(struct sqlite3_file *log, int flags); /* of what was committed before the call */
int mf_log_write_out(struct sqlite3_file *log);
int mf_log_failure(const struct sqlite3_file *log); /* of the first write that failed since mf_log_forget_failure */
void mf_log_forget_failure(struct sqlite3_file *log);
