/* memfs.h - files in memory: for SQLite a VFS, for the rest of a store a struct mf_env. No system call, no surprise: a
 * fuzzer opens a store thousands of times a second, and the same bytes do the same things.
 *
 * There is one set of files in the process, with absolute paths; the directory / is there. It can be kept as an image and brought back, which is also what a killed
 * process leaves behind: every write that was made is in it.
 *
 * Invariants
 * 1. Time goes on by one microsecond a question, random numbers come from a fixed seed, both from memfs_reset on.
 * 2. Locks of SQLite and of the lock file work between connections of this process, and are gone after memfs_load.
 * 3. Room is limited: what would make all files together larger than MEMFS_MAX finds the disk full.
 *
 * Thread: any; load and reset when nothing is open. */
#pragma once

#include "persist/env.h"

#define MEMFS_VFS "memfs"
#define MEMFS_MAX ((size_t)64 << 20)

const struct mf_env *memfs_env(void); /* registers the VFS at the first call */
void memfs_reset(void);               /* no files; time and random numbers begin anew */

/* ---- one file: NULL if there is none ---- */
const uint8_t *memfs_bytes(const char *path, size_t *out_len); /* borrowed until it is written to */
void memfs_put(const char *path, const void *bytes, size_t len); /* replaces or makes it */
void memfs_remove(const char *path);

/* ---- all of them ---- */
struct memfs_image;
struct memfs_image *memfs_save(void);
void memfs_load(const struct memfs_image *image); /* time and random numbers begin anew too */
void memfs_image_free(struct memfs_image *image);
size_t memfs_size(void); /* of all files */
