/* env.h - the seam to the operating system: clocks, randomness, and the file operations of our own files (lock,
 * watermark, directories). Tests replace it to replay a seed exactly and to inject faults; SQLite's file operations are
 * reached through the VFS named in sqlite_vfs. Threads, waits and the monotonic clock itself are model/thread.h.
 *
 * Functions return 0 (or a count) on success and -errno on failure. Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Which file it is, whatever its name, for as long as somebody has it open. */
struct mf_file_identity {
	uint64_t device, number;
	uint64_t names; /* hard links */
	int64_t size;   /* bytes */
};

#define MF_PATH_MAX 4096 /* bytes, with the NUL */

/* A flag of open: what is opened will be locked. Closing it ends the lock, whatever children of fork have of it, and those that are
 * noticed have nothing of it (fork_guard.h). None of the system's. */
#define MF_OPEN_TO_LOCK (1 << 30)

struct mf_env {
	void *user;
	const char *sqlite_vfs; /* NULL: SQLite's default */
	int64_t (*wall_us)(void *user);      /* since 1970-01-01 UTC; may jump */
	int64_t (*monotonic_us)(void *user); /* never goes back; the clock of every window and time-out */
	int (*random)(void *user, void *bytes, size_t len);
	/* O_CLOEXEC is added. -ENXIO: it is there, and neither a file nor, with O_DIRECTORY, a directory.
	 * Of a database that this process has open, close keeps the descriptor, for the next that opens it (inodes.h). */
	int (*open)(void *user, const char *path, int flags, mode_t mode);
	int (*close)(void *user, int fd);
	ssize_t (*pread)(void *user, int fd, void *bytes, size_t len, int64_t offset);
	ssize_t (*pwrite)(void *user, int fd, const void *bytes, size_t len, int64_t offset);
	int (*fsync)(void *user, int fd);
	int (*lock)(void *user, int fd); /* exclusive, without waiting: -EWOULDBLOCK when another has it */
	int (*mkdir)(void *user, const char *path, mode_t mode);
	/* Without opening it: closing any descriptor of a database file would drop SQLite's locks on it in this process. */
	int64_t (*size)(void *user, const char *path); /* -ENOENT when there is none, -ENXIO: it is no file */
	/* Of the file that the path leads to; NULL: that of the descriptor. It is not opened either. */
	int (*identity)(void *user, const char *path, int fd, struct mf_file_identity *out);
	/* The path from the root without symbolic links: it leads there wherever the process changes to, and whoever changes a link. */
	int (*resolve)(void *user, const char *path, char out[MF_PATH_MAX]);
	/* Lets the kernel forget the clean pages of a file, so that the next read tells what the device holds. */
	int (*drop_cache)(void *user, const char *path);
	/* Gives a file or directory its final name. replace: it may take the place of a file, or of an empty directory;
	 * else -EEXIST. */
	int (*rename)(void *user, const char *from, const char *to, bool replace);
	int (*remove)(void *user, const char *path); /* a file, or an empty directory */
	int64_t (*free_bytes)(void *user, const char *path); /* on its device, for this user */
	int (*is_empty)(void *user, const char *dir); /* 1, or 0 when it has entries */
};

const struct mf_env *mf_env_os(void);
/* env; where that is NULL the system's, unless a test replaced it. */
const struct mf_env *mf_env_or_default(const struct mf_env *env);
void mf_env_replace(const struct mf_env *env); /* for tests, before anything is open; NULL: the system's again */

/* All of it: a short count that is not an error is completed. Returns len, less at the end of the file, or -errno. */
ssize_t mf_env_read_all(const struct mf_env *env, int fd, void *bytes, size_t len, int64_t offset);
int mf_env_write_all(const struct mf_env *env, int fd, const void *bytes, size_t len, int64_t offset);
/* fsync of a directory: makes the names in it durable. */
int mf_env_sync_dir(const struct mf_env *env, const char *path);
