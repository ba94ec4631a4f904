/* watermark.h - what is known to be on the device, kept beside the log itself.
 *
 * SQLite drops a damaged tail of its log without a word. The watermark turns that silent loss into
 * MF_ERR_CORRUPTED {expected, found}: a small file that says up to which LSN everything was synced.
 *
 * Invariants
 * 1. It is written only after the sync that covers it; so whenever it reaches the device it is true, and it
 *    needs no sync of its own, but once an opening, so that there is one.
 * 2. It is written in one piece of 32 bytes inside one sector. A bad CRC is a warning, never an error: the file
 *    may be lost or torn without any event being lost.
 * 3. One process writes it: the one that holds the store's lock.
 *
 *   offset  size            (integers little-endian)
 *   0       4    "MFWM"
 *   4       4    CRC-32 of bytes 8 to 31
 *   8       8    synced LSN
 *   16      8    epoch
 *   24      1    1 = a sync failed: the next opening distrusts the kernel's cache and verifies everything
 *   25      7    zero
 *
 * Thread: one at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <moduforge/status.h>

struct mf_env;

#define MF_WATERMARK_LEN 32

struct mf_watermark {
	int64_t synced_lsn, epoch;
	bool sync_failed;
};

enum mf_watermark_state { MF_WATERMARK_GOOD, MF_WATERMARK_MISSING, MF_WATERMARK_DAMAGED };

/* Reads the file at path; *out is zero unless the answer is GOOD. MF_ERR_IO when it cannot be read. */
enum mf_status mf_watermark_read(const struct mf_env *env, const char *path, struct mf_watermark *out, enum mf_watermark_state *out_state, struct mf_error *error);
/* fd: open for writing. */
enum mf_status mf_watermark_write(const struct mf_env *env, int fd, const struct mf_watermark *watermark, struct mf_error *error);
