#include "vfs_shim.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

static sqlite3_vfs shim_vfs;
static sqlite3_vfs *real_vfs;
static struct mf_env env;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shim_plan plan;
static int64_t counts[SHIM_FILES][SHIM_CALLS], failed, log_writes;

struct shim_handle {
	sqlite3_file base;
	enum shim_file file;
	bool watched;
	int last_errno; /* of a planned failure */
	sqlite3_file *real; /* behind this struct */
};

static struct shim_handle *of(sqlite3_file *file)
{
	return (struct shim_handle *)file;
}

/* 0: go on. Else the planned result; *out_first: carry the call out all the same. */
static int strike(struct shim_handle *handle, enum shim_call call, bool *out_first)
{
	*out_first = false;
	if (!handle->watched)
		return SQLITE_OK;
	pthread_mutex_lock(&lock);
	int64_t number = ++counts[handle->file][call];
	int rc = SQLITE_OK;
	if (plan.at > 0 && plan.file == handle->file && plan.call == call && number >= plan.at && number - plan.at < plan.times) {
		if (plan.kill)
			raise(SIGKILL);
		rc = plan.rc;
		failed++;
		*out_first = plan.done_first;
		errno = handle->last_errno = plan.system_errno;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

#define CALL(kind, expression) \
	do { \
		bool first_; \
		struct shim_handle *handle_ = of(file); \
		int rc_ = strike(handle_, kind, &first_); \
		if (rc_ != SQLITE_OK && !first_) \
			return rc_; \
		int saved_ = errno, real_rc_ = (expression); \
		errno = rc_ != SQLITE_OK ? saved_ : errno; \
		return rc_ != SQLITE_OK ? rc_ : real_rc_; \
	} while (0)

#define REAL of(file)->real

static int shim_close(sqlite3_file *file) { return REAL->pMethods ? REAL->pMethods->xClose(REAL) : SQLITE_OK; }
static int shim_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at) { CALL(SHIM_READ, REAL->pMethods->xRead(REAL, bytes, len, at)); }
static int write_piece(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at) { CALL(SHIM_WRITE, REAL->pMethods->xWrite(REAL, bytes, len, at)); }

/* Frames of the log that arrive in one call are written header by header and page by page, each piece a call that can
 * fail: a write that stops anywhere in between. */
static int shim_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	enum { HEADER = 24, PAGE = 4096 };
	pthread_mutex_lock(&lock);
	log_writes += of(file)->file == SHIM_LOG;
	pthread_mutex_unlock(&lock);
	if (of(file)->file != SHIM_LOG || len % (HEADER + PAGE) != 0)
		return write_piece(file, bytes, len, at);
	int rc = SQLITE_OK;
	for (int done = 0; rc == SQLITE_OK && done < len;) {
		int piece = done % (HEADER + PAGE) == 0 ? HEADER : PAGE;
		rc = write_piece(file, (const char *)bytes + done, piece, at + done);
		done += piece;
	}
	return rc;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size) { CALL(SHIM_TRUNCATE, REAL->pMethods->xTruncate(REAL, size)); }
static int shim_sync(sqlite3_file *file, int flags) { CALL(SHIM_SYNC, REAL->pMethods->xSync(REAL, flags)); }
static int shim_size(sqlite3_file *file, sqlite3_int64 *out) { return REAL->pMethods->xFileSize(REAL, out); }
static int shim_lock(sqlite3_file *file, int level) { return REAL->pMethods->xLock(REAL, level); }
static int shim_unlock(sqlite3_file *file, int level) { return REAL->pMethods->xUnlock(REAL, level); }
static int shim_reserved(sqlite3_file *file, int *out) { return REAL->pMethods->xCheckReservedLock(REAL, out); }

static int shim_control(sqlite3_file *file, int op, void *arg)
{
	if (op != SQLITE_FCNTL_LAST_ERRNO || of(file)->last_errno == 0)
		return REAL->pMethods->xFileControl(REAL, op, arg);
	*(int *)arg = of(file)->last_errno;
	return SQLITE_OK;
}

static int shim_sector(sqlite3_file *file) { return REAL->pMethods->xSectorSize(REAL); }
static int shim_device(sqlite3_file *file) { return REAL->pMethods->xDeviceCharacteristics(REAL); }
static int shim_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out) { CALL(SHIM_SHM, REAL->pMethods->xShmMap(REAL, region, size, extend, out)); }
static int shim_shm_lock(sqlite3_file *file, int offset, int n, int flags) { return REAL->pMethods->xShmLock(REAL, offset, n, flags); }
static void shim_shm_barrier(sqlite3_file *file) { REAL->pMethods->xShmBarrier(REAL); }
static int shim_shm_unmap(sqlite3_file *file, int drop) { return REAL->pMethods->xShmUnmap(REAL, drop); }

static const sqlite3_io_methods methods = {
	2, shim_close, shim_read, shim_write, shim_truncate, shim_sync, shim_size, shim_lock, shim_unlock, shim_reserved,
	shim_control, shim_sector, shim_device, shim_shm_map, shim_shm_lock, shim_shm_barrier, shim_shm_unmap, NULL, NULL};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	(void)vfs;
	struct shim_handle *handle = of(file);
	memset(handle, 0, sizeof(*handle));
	handle->real = (sqlite3_file *)(void *)(handle + 1);
	handle->file = flags & SQLITE_OPEN_WAL ? SHIM_LOG : SHIM_DB;
	handle->watched = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB)) != 0;
	int rc = real_vfs->xOpen(real_vfs, name, handle->real, flags, out_flags);
	if (handle->real->pMethods)
		handle->base.pMethods = &methods;
	return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	(void)vfs;
	return real_vfs->xDelete(real_vfs, name, sync_dir);
}

static void register_shim(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	shim_vfs = *real_vfs;
	shim_vfs.pNext = NULL;
	shim_vfs.zName = SHIM_VFS;
	shim_vfs.szOsFile = (int)sizeof(struct shim_handle) + real_vfs->szOsFile;
	shim_vfs.xOpen = shim_open;
	shim_vfs.xDelete = shim_delete;
	sqlite3_vfs_register(&shim_vfs, 0);
	env = *mf_env_os();
	env.sqlite_vfs = SHIM_VFS;
}

const struct mf_env *vfs_shim_env(void)
{
	pthread_once(&once, register_shim);
	vfs_shim_reset();
	return &env;
}

void vfs_shim_reset(void)
{
	pthread_mutex_lock(&lock);
	memset(counts, 0, sizeof(counts));
	memset(&plan, 0, sizeof(plan));
	failed = log_writes = 0;
	pthread_mutex_unlock(&lock);
}

void vfs_shim_plan(const struct shim_plan *wanted)
{
	vfs_shim_reset();
	pthread_mutex_lock(&lock);
	plan = *wanted;
	pthread_mutex_unlock(&lock);
}

int64_t vfs_shim_count(enum shim_file file, enum shim_call call)
{
	pthread_mutex_lock(&lock);
	int64_t count = counts[file][call];
	pthread_mutex_unlock(&lock);
	return count;
}

int64_t vfs_shim_log_writes(void)
{
	pthread_mutex_lock(&lock);
	int64_t count = log_writes;
	pthread_mutex_unlock(&lock);
	return count;
}

int64_t vfs_shim_failed(void)
{
	pthread_mutex_lock(&lock);
	int64_t count = failed;
	pthread_mutex_unlock(&lock);
	return count;
}
