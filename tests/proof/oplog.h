/* oplog.h - what happened to the files of one directory tree, in order, with the data: what a device was asked for, and
 * between it what the world was told meanwhile (lines of the ledger).
 *
 * Files are numbers: 0 is the watched directory itself, others are given when a file is first seen. A name leads from a directory
 * to a file, as on a device; so a file that was renamed or unlinked while it is open stays what it is.
 *
 * Invariants
 * 1. The ops before `base` make the tree that was there when recording began; it counts as durable.
 * 2. An op stands for a call that succeeded, and for what it did (a short write: what was written).
 * 3. A mark stands where the world was told: after the ops that it depends on.
 *
 * Out of memory ends the process: a log that is not whole proves nothing. Thread: one at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum op_kind {
	OP_FILE,     /* a new file; flag: it is a directory */
	OP_NAME,     /* in dir: name leads to file */
	OP_UNNAME,   /* in dir: name no longer leads to file */
	OP_RENAME,   /* in dir: name -> to; what `to` led to before has lost it */
	OP_WRITE,    /* offset, bytes */
	OP_TRUNCATE, /* offset: the size, smaller or larger */
	OP_SYNC,     /* fsync or fdatasync of a file or directory */
	OP_MAP,      /* mapped to be written: what is in it is not known from here on */
	OP_MARK,     /* bytes: a line of the ledger */
};

struct op {
	enum op_kind kind;
	bool flag;
	uint32_t file, dir;
	int64_t offset;
	size_t len;             /* of bytes */
	const char *name, *to;  /* NULL: none */
	const unsigned char *bytes;
};

struct oplog {
	struct op *ops;
	size_t count, base;
	uint64_t seed;     /* of the choices of states; kept with it */
	struct oplog_block *blocks; /* what names and bytes point to */
	size_t capacity;
};

void oplog_deinit(struct oplog *log); /* of one that is zero, too */
/* Copies what op points to. */
void oplog_add(struct oplog *log, const struct op *op);

/* To a file and back; false: it cannot be written or read, errno; or it is not one, errno 0. */
bool oplog_save(const struct oplog *log, const char *path);
bool oplog_load(struct oplog *log, const char *path);

/* For people: "write store.db-wal, 4120 bytes at 32". Returns buffer. */
const char *op_tell(const struct oplog *log, size_t index, char *buffer, size_t size);
/* The last name that file was given before index; "" for the root. */
const char *oplog_name_of(const struct oplog *log, size_t index, uint32_t file);
