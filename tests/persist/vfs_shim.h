/* vfs_shim.h - an SQLite VFS that counts calls and lets some of them fail.
 *
 * One plan for the process. Calls are numbered by kind of file and kind of call, from 1, since the last vfs_shim_reset;
 * a write of several frames to the log counts as two for each, its header and its page. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "persist/env.h"

enum shim_file { SHIM_DB, SHIM_LOG, SHIM_FILES };
enum shim_call { SHIM_READ, SHIM_WRITE, SHIM_SYNC, SHIM_TRUNCATE, SHIM_SHM, SHIM_CALLS };

struct shim_plan {
	enum shim_file file;
	enum shim_call call;
	int64_t at;      /* number of the first call that fails; 0: none */
	int64_t times;   /* how many from there on */
	int rc;          /* SQLite's result code */
	int system_errno;
	bool done_first; /* the call is carried out, then reported as failed */
	bool kill;       /* instead of failing: the process is killed, by SIGKILL */
};

#define SHIM_VFS "shim"

const struct mf_env *vfs_shim_env(void); /* registers the VFS; the operating system's environment otherwise */
void vfs_shim_reset(void);               /* counters to 0, no plan */
void vfs_shim_plan(const struct shim_plan *plan);
int64_t vfs_shim_count(enum shim_file file, enum shim_call call);
int64_t vfs_shim_log_writes(void); /* as they came, however many frames each */
int64_t vfs_shim_failed(void); /* calls that failed by plan */
