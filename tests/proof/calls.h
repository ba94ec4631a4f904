/* calls.h - the file system calls of this process, seen and changed: what recorders and fault plans stand on.
 *
 * calls_libc.c defines open, pwrite64, fdatasync, rename ... in the harness' own executable, which exports its symbols
 * (export_dynamic in its meson.build): libmoduforge, libsqlite3 and the plugins call these, and these call the C library's. So the
 * product under test is the one that is shipped, in an ordinary process, without LD_PRELOAD.
 *
 * Only calls on what lies under the watched directory, and on the directory itself, are seen; all else passes.
 *
 * Invariants
 * 1. A seen call holds one lock from its hook `before` until its hook `after` has returned: calls are seen in the order in
 *    which they took effect, and their numbers have no gaps. What is seen never waits for another thread of the process.
 * 2. A call that a hook makes itself is not seen.
 * 3. What a hook is told is what the kernel is asked: offset of a plain write, path of a descriptor, length after shortening.
 * 4. Nothing that changes a file under the directory passes by (test_calls.py compares with strace). What is not here because it
 *    changes nothing: stat, access, opendir, readlink. Memory written through mmap cannot be seen; only that it is mapped.
 *
 * Thread: calls_watch and calls_unwatch while no other thread makes calls; hooks come from any thread, one at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum calls_kind {
	CALLS_OPEN,     /* open, openat, creat, with or without 64; directories too */
	CALLS_CLOSE,
	CALLS_READ,     /* read, pread, readv, preadv */
	CALLS_WRITE,    /* write, pwrite, writev, pwritev */
	CALLS_SYNC,     /* fsync, of a file or a directory; sync_file_range does not count as one */
	CALLS_DATASYNC, /* fdatasync */
	CALLS_RANGE,    /* sync_file_range: promises nothing */
	CALLS_TRUNCATE, /* ftruncate, truncate */
	CALLS_ALLOCATE, /* fallocate, posix_fallocate */
	CALLS_RENAME,   /* rename, renameat, renameat2 */
	CALLS_LINK,     /* link, linkat */
	CALLS_UNLINK,   /* unlink, unlinkat, rmdir, remove */
	CALLS_MKDIR,
	CALLS_MAP,      /* mmap of a file */
	CALLS_LOCK,     /* flock; fcntl that sets a lock */
	CALLS_KINDS
};

struct calls_call {
	enum calls_kind kind;
	const char *name;     /* of the function: "pwrite64" */
	int64_t index;        /* among all seen calls since calls_watch: 1, 2, 3 ... */
	int64_t index_of_kind; /* among those of its kind */
	const char *path;     /* absolute; of a descriptor: as it was opened. Borrowed for the hook */
	const char *to;       /* rename and link: the new name; else NULL */
	int fd;               /* -1: a call by name (open: the new one, in `after`) */
	int flags;            /* open's; renameat2's; mmap's protection; the operation of flock; fallocate's mode */
	mode_t mode;          /* open, mkdir */
	int64_t offset;       /* read, write, allocate, map; truncate: the new size */
	size_t len;           /* read, write, allocate, map */
	const void *bytes;    /* write: what is written, in one piece; else NULL */
	bool is_dir;          /* the descriptor is a directory's */
	/* in `after`: */
	int64_t result;       /* -1: failed */
	int error;            /* errno of a failure, else 0 */
	bool pretended;       /* success was answered and nothing done */
};

enum calls_action {
	CALLS_PASS,
	CALLS_FAIL,        /* nothing is done, the caller gets `error` (close closes all the same, as Linux does) */
	CALLS_DO_AND_FAIL, /* it is done, the caller gets `error`: an outcome that nobody knows */
	CALLS_SHORTEN,     /* read, write: only the first `len` bytes, and the caller is told so */
	CALLS_PRETEND,     /* nothing is done, the caller is told that it was: sync, truncate, rename, unlink, write; others pass */
	CALLS_KILL,        /* SIGKILL before anything is done */
};
struct calls_verdict {
	enum calls_action action;
	int error;
	size_t len;
	bool then_kill; /* SIGKILL after the call had its effect, before the caller knows; with SHORTEN: a torn write */
};

struct calls_hooks {
	void *user;
	struct calls_verdict (*before)(void *user, const struct calls_call *call); /* NULL: all pass */
	void (*after)(void *user, const struct calls_call *call);                  /* NULL: nothing */
};

/* directory must exist; hooks are copied. Descriptors that are open already are not known: watch first, open then. false: no such
 * directory, or no memory. The numbers begin at 1. */
bool calls_watch(const char *directory, const struct calls_hooks *hooks);
void calls_unwatch(void);

int64_t calls_seen(void);                       /* in all since calls_watch, also after calls_unwatch */
int64_t calls_seen_of(enum calls_kind kind);
const char *calls_kind_name(enum calls_kind kind); /* "write" */

/* What a person reads in a failure: "call 17 (3rd write): pwrite64 store.db-wal, 4120 bytes at 32". Returns buffer. */
const char *calls_tell(const struct calls_call *call, char *buffer, size_t size);
