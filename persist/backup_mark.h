/* backup_mark.h - the last bytes of a backup: what it holds, and the digest of everything before them.
 *
 * A store has a watermark beside it; a backup is one file, so what is known of it stands at its own end. SQLite does not
 * mind: the database's header says how many pages there are, and nothing behind them is read.
 *
 *   offset  size            (integers little-endian, from the beginning of the mark)
 *   0       8    "MFBACKUP"
 *   8       4    format version: 1
 *   12      4    CRC-32 of bytes 0 to 11 and 16 to 79
 *   16      8    bytes before the mark: the database
 *   24      8    newest LSN
 *   32      8    epoch of the newest opening
 *   40      8    when the backup was made, microseconds since 1970 UTC
 *   48      8    events
 *   56      8    documents
 *   64      16   XXH3-128 (seed 0, canonical form) of the bytes before the mark
 *
 * Invariants
 * 1. It is written last, after all it speaks of: a file that was cut off has none.
 * 2. It ends the file. What was appended to or cut from a backup is noticed.
 *
 * Thread: one at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <moduforge/store.h>

struct mf_env;

#define MF_BACKUP_MARK_LEN 80

struct mf_backup_mark {
	struct mf_backup_info info; /* bytes: of the file, the mark included */
	uint8_t digest[16];
};

/* fd: of a file of size bytes. MF_ERR_CORRUPTED: no mark, or one of something else. path is for the message. */
enum mf_status mf_backup_mark_read(const struct mf_env *env, int fd, int64_t size, const char *path, struct mf_backup_mark *out, struct mf_error *error);

/* Digest of the first size bytes of from; with to >= 0 they are written there too. MF_ERR_STATE: progress stopped it. */
struct mf_backup_reading {
	const struct mf_env *env;
	int from, to;
	int64_t size;
	const char *from_path, *to_path;
	mf_backup_progress *progress; /* may be NULL */
	void *user;
};
enum mf_status mf_backup_read_through(const struct mf_backup_reading *reading, uint8_t out_digest[16], struct mf_error *error);

/* Writes the mark behind the database of the same file; mark->digest and mark->info.bytes are set from it. No sync. */
enum mf_status mf_backup_mark_write(const struct mf_env *env, int fd, int64_t size, const char *path, struct mf_backup_mark *mark, struct mf_error *error);
