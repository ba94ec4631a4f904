#include "persist/sqlite_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <moduforge/value.h>

#include "model/mem.h"

#define FRAME_HEADER 24
#define GATHER_MAX (16 * (FRAME_HEADER + 4096)) /* whole frames, of pages of the usual size */

/* Those of the VFS below for a kind of file, but for one or two. */
struct own_methods {
	sqlite3_io_methods base; /* first */
	const sqlite3_io_methods *real;
	char index_path[512]; /* of the log of the database; "" */
};

struct mf_log_vfs {
	sqlite3_vfs base; /* first */
	sqlite3_vfs *below;
	bool writes;
	struct own_methods db, other; /* others have no locks, and so other methods */
	char name[48];
};

struct log_file {
	sqlite3_file base; /* first */
	sqlite3_file *real;
	unsigned char *bytes; /* gathered, not yet written */
	sqlite3_int64 at;     /* where they belong */
	sqlite3_int64 read_at; /* of the last read; -1 after a write */
	int len;
	int failure;  /* result code of a write that failed */
	bool commits; /* the last header had the commit mark */
};

static struct log_file *of(sqlite3_file *file)
{
	return (struct log_file *)file;
}

/* Was it cut since it was last written? SQLite would write behind what is missing, and a checkpoint copy the hole into the database. */
static bool was_cut(struct log_file *log, sqlite3_int64 at)
{
	sqlite3_int64 size = at; /* of what cannot be asked */
	(void)log->real->pMethods->xFileSize(log->real, &size);
	return size < at;
}

static int write_below(struct log_file *log, const void *bytes, int len, sqlite3_int64 at)
{
	int rc = was_cut(log, at) ? SQLITE_IOERR_CORRUPTFS : log->real->pMethods->xWrite(log->real, bytes, len, at);
	if (rc != SQLITE_OK && log->failure == SQLITE_OK)
		log->failure = rc;
	return rc;
}

int mf_log_write_out(sqlite3_file *file)
{
	struct log_file *log = of(file);
	int len = log->len;
	log->len = 0; /* also if it fails: it must not be written later */
	return len ? write_below(log, log->bytes, len, log->at) : SQLITE_OK;
}

int mf_log_failure(const sqlite3_file *file)
{
	return ((const struct log_file *)file)->failure;
}

void mf_log_forget_failure(sqlite3_file *file)
{
	of(file)->failure = SQLITE_OK;
}

int mf_log_sync(sqlite3_file *file, int flags)
{
	sqlite3_file *real = of(file)->real;
	return real->pMethods->xSync(real, flags);
}

/* ---- writing ---- */

static int pass_on(struct log_file *log, const void *bytes, int len, sqlite3_int64 at)
{
	int rc = mf_log_write_out(&log->base);
	return rc == SQLITE_OK ? write_below(log, bytes, len, at) : rc;
}

static int gather(struct log_file *log, const void *bytes, int len, sqlite3_int64 at)
{
	if (log->len && (at != log->at + log->len || len > GATHER_MAX - log->len)) {
		int rc = mf_log_write_out(&log->base);
		if (rc != SQLITE_OK)
			return rc;
	}
	if (log->len == 0)
		log->at = at;
	memcpy(log->bytes + log->len, bytes, (size_t)len);
	log->len += len;
	return SQLITE_OK;
}

static bool has_commit_mark(const unsigned char *header)
{
	return header[4] || header[5] || header[6] || header[7];
}

static int log_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	struct log_file *log = of(file);
	bool header = len == FRAME_HEADER, ends = !header && log->commits;
	bool corrects = header && at == log->read_at; /* or begins where the recovery of a log stopped reading: that is written too */
	log->read_at = -1;
	log->commits = header && has_commit_mark(bytes);
	if (corrects || len > GATHER_MAX)
		return pass_on(log, bytes, len, at);
	int rc = gather(log, bytes, len, at);
	return rc == SQLITE_OK && ends ? mf_log_write_out(file) : rc;
}

/* ---- everything else: first what is gathered ---- */

#define REAL of(file)->real
#define AFTER_WRITING_OUT(expression) \
	do { \
		int rc_ = mf_log_write_out(file); \
		return rc_ == SQLITE_OK ? (expression) : rc_; \
	} while (0)

/* SQLite's name for EIO; higher up it becomes the one of a damaged database. */
static int told_as_unreadable(int rc)
{
	return rc == SQLITE_IOERR_CORRUPTFS ? SQLITE_IOERR_READ : rc;
}

static int log_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at)
{
	of(file)->read_at = at;
	AFTER_WRITING_OUT(told_as_unreadable(REAL->pMethods->xRead(REAL, bytes, len, at)));
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size) { AFTER_WRITING_OUT(REAL->pMethods->xTruncate(REAL, size)); }
static int log_sync(sqlite3_file *file, int flags) { AFTER_WRITING_OUT(REAL->pMethods->xSync(REAL, flags)); }
static int log_size(sqlite3_file *file, sqlite3_int64 *out) { AFTER_WRITING_OUT(REAL->pMethods->xFileSize(REAL, out)); }
static int log_lock(sqlite3_file *file, int level) { return REAL->pMethods->xLock(REAL, level); }
static int log_unlock(sqlite3_file *file, int level) { return REAL->pMethods->xUnlock(REAL, level); }
static int log_reserved(sqlite3_file *file, int *out) { return REAL->pMethods->xCheckReservedLock(REAL, out); }
static int log_control(sqlite3_file *file, int op, void *arg) { return REAL->pMethods->xFileControl(REAL, op, arg); }
static int log_sector(sqlite3_file *file) { return REAL->pMethods->xSectorSize(REAL); }
static int log_device(sqlite3_file *file) { return REAL->pMethods->xDeviceCharacteristics(REAL); }

static int log_close(sqlite3_file *file)
{
	int rc = mf_log_write_out(file), closed = REAL->pMethods->xClose(REAL);
	mf_free(REAL);
	return rc == SQLITE_OK ? closed : rc;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1, .xClose = log_close, .xRead = log_read, .xWrite = log_write, .xTruncate = log_truncate, .xSync = log_sync,
	.xFileSize = log_size, .xLock = log_lock, .xUnlock = log_unlock, .xCheckReservedLock = log_reserved, .xFileControl = log_control,
	.xSectorSize = log_sector, .xDeviceCharacteristics = log_device};

bool mf_log_is_one(const struct sqlite3_file *file)
{
	return file->pMethods == &methods;
}

/* ---- other files ---- */

static const sqlite3_io_methods *real_of(const sqlite3_file *file)
{
	return ((const struct own_methods *)file->pMethods)->real;
}

static int other_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at)
{
	return told_as_unreadable(real_of(file)->xRead(file, bytes, len, at));
}

/* Where SQLite cannot make a file it tries to open one that is there, and tells why that failed. Why it could not be made
 * is asked once more: 0, or errno is set. The log and its index stay: another process may have opened them by now, and two that
 * hold different files by one name know nothing of each other's locks and commits. */
static int could_be_made(const char *name, bool shared)
{
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	close(fd);
	return shared ? 0 : unlink(name);
}

static bool hides_why(int rc, int flags)
{
	return (rc & 0xff) == SQLITE_CANTOPEN && (flags & SQLITE_OPEN_CREATE) && errno == ENOENT;
}

/* The database's index of the log, which SQLite maps into memory. It writes one byte of each page of it, so that the file
 * has room; where blocks are smaller than pages, and the disk is full, a write to the others would end the process with
 * SIGBUS. Asked for beforehand, it is an error like any other. */
static int db_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	const struct own_methods *own = (const struct own_methods *)file->pMethods;
	int rc = own->real->xShmMap(file, region, size, extend, out);
	if (hides_why(rc, SQLITE_OPEN_CREATE) && own->index_path[0] && could_be_made(own->index_path, true) == 0)
		rc = own->real->xShmMap(file, region, size, extend, out);
#ifdef MADV_POPULATE_WRITE
	if (rc == SQLITE_OK && *out && madvise((void *)*out, (size_t)size, MADV_POPULATE_WRITE) != 0 && errno == EFAULT) {
		*out = NULL;
		errno = ENOSPC;
		return SQLITE_IOERR_SHMSIZE;
	}
#endif
	return rc;
}

static void take_over(struct own_methods *own, bool writes, const char *name, sqlite3_file *file)
{
	if (!file->pMethods || (own->real && own->real != file->pMethods))
		return;
	if (!own->real) {
		*own = (struct own_methods){.base = *file->pMethods, .real = file->pMethods};
		own->base.xRead = other_read;
		if (writes && own->base.iVersion >= 2 && own->base.xShmMap) {
			own->base.xShmMap = db_shm_map;
			if (name && strlen(name) + sizeof("-shm") <= sizeof(own->index_path))
				snprintf(own->index_path, sizeof(own->index_path), "%s-shm", name);
		}
	}
	file->pMethods = &own->base;
}

/* ---- the VFS ---- */

static sqlite3_vfs *below(sqlite3_vfs *base)
{
	return ((struct mf_log_vfs *)base)->below;
}

static int vfs_delete(sqlite3_vfs *base, const char *name, int sync_dir) { return below(base)->xDelete(below(base), name, sync_dir); }
static int vfs_access(sqlite3_vfs *base, const char *name, int flags, int *out) { return below(base)->xAccess(below(base), name, flags, out); }
static int vfs_full_name(sqlite3_vfs *base, const char *name, int size, char *out) { return below(base)->xFullPathname(below(base), name, size, out); }
static int vfs_random(sqlite3_vfs *base, int size, char *out) { return below(base)->xRandomness(below(base), size, out); }
static int vfs_sleep(sqlite3_vfs *base, int us) { return below(base)->xSleep(below(base), us); }
static int vfs_time(sqlite3_vfs *base, double *out) { return below(base)->xCurrentTime(below(base), out); }
static int vfs_last_error(sqlite3_vfs *base, int size, char *out) { return below(base)->xGetLastError ? below(base)->xGetLastError(below(base), size, out) : 0; }

static int open_below(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	int rc = vfs->xOpen(vfs, name, file, flags, out_flags);
	if (!name || !hides_why(rc, flags) || could_be_made(name, flags & SQLITE_OPEN_WAL) != 0)
		return rc;
	if (file->pMethods)
		file->pMethods->xClose(file);
	return vfs->xOpen(vfs, name, file, flags, out_flags);
}

/* SQLite's VFS opens for reading what it cannot open for writing: a log that another process made between its two tries
 * would be one that cannot be written, for as long as the connection lives. (Where SQLite opens a log it asks for the flags.) */
static int open_existing(sqlite3_vfs *vfs, const char *name, sqlite3_file *real, int flags, int *out_flags)
{
	int rc = vfs->xOpen(vfs, name, real, flags & ~SQLITE_OPEN_CREATE, out_flags);
	if (rc != SQLITE_OK || !(*out_flags & SQLITE_OPEN_READONLY))
		return rc;
	real->pMethods->xClose(real);
	return vfs->xOpen(vfs, name, real, flags & ~SQLITE_OPEN_CREATE, out_flags);
}

/* One that is made has to be opened again: see the top of the header. */
static int open_log(sqlite3_vfs *vfs, const char *name, sqlite3_file *real, int flags, int *out_flags)
{
	int rc = open_existing(vfs, name, real, flags, out_flags);
	if (rc == SQLITE_OK || !(flags & SQLITE_OPEN_CREATE))
		return rc;
	if (real->pMethods)
		real->pMethods->xClose(real);
	rc = open_below(vfs, name, real, flags, out_flags);
	if (rc != SQLITE_OK)
		return rc;
	real->pMethods->xClose(real);
	return open_existing(vfs, name, real, flags, out_flags);
}

static int vfs_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct mf_log_vfs *vfs = (struct mf_log_vfs *)base;
	if (!vfs->writes || !(flags & SQLITE_OPEN_WAL)) {
		int opened = open_below(below(base), name, file, flags, out_flags);
		take_over(flags & SQLITE_OPEN_MAIN_DB ? &vfs->db : &vfs->other, vfs->writes, name, file);
		return opened;
	}
	struct log_file *log = of(file);
	file->pMethods = NULL;
	sqlite3_file *real = mf_calloc(1, (size_t)below(base)->szOsFile + GATHER_MAX);
	if (!real)
		return SQLITE_NOMEM;
	int rc = open_log(below(base), name, real, flags, out_flags);
	if (!real->pMethods) {
		mf_free(real);
		return rc;
	}
	*log = (struct log_file){.base.pMethods = &methods, .real = real, .bytes = (unsigned char *)real + below(base)->szOsFile, .read_at = -1};
	return rc; /* if it failed, SQLite closes it */
}

enum mf_status mf_log_vfs_new(const char *name, bool writes, struct mf_log_vfs **out, struct mf_error *error)
{
	if (sqlite3_initialize() == SQLITE_NOMEM) /* then it would find none */
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for SQLite");
	sqlite3_vfs *found = sqlite3_vfs_find(name);
	if (!found)
		return mf_error_set(error, MF_ERR_INVALID, "SQLite has no VFS '%s'", name ? name : "(default)");
	struct mf_log_vfs *vfs = mf_calloc(1, sizeof(*vfs));
	if (!vfs)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a VFS");
	snprintf(vfs->name, sizeof(vfs->name), "moduforge-log-%p", (void *)vfs);
	vfs->base = (sqlite3_vfs){
		.iVersion = 1, .szOsFile = found->szOsFile, .mxPathname = found->mxPathname, .zName = vfs->name, .xOpen = vfs_open, .xDelete = vfs_delete,
		.xAccess = vfs_access, .xFullPathname = vfs_full_name, .xRandomness = vfs_random, .xSleep = vfs_sleep, .xCurrentTime = vfs_time,
		.xGetLastError = vfs_last_error};
	if (vfs->base.szOsFile < (int)sizeof(struct log_file))
		vfs->base.szOsFile = (int)sizeof(struct log_file);
	vfs->below = found;
	vfs->writes = writes;
	if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
		mf_free(vfs);
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a VFS");
	}
	*out = vfs;
	return MF_OK;
}

const char *mf_log_vfs_name(const struct mf_log_vfs *vfs)
{
	return vfs->name;
}

#define WHOLE_NAME_MAX 8192
#define LONGEST_SUFFIX 8 /* "-journal": SQLite makes that name too */

int mf_log_vfs_too_long(const struct mf_log_vfs *vfs, const char *path, int *out_most)
{
	char whole[WHOLE_NAME_MAX];
	int rc = vfs->below->xFullPathname(vfs->below, path, sizeof(whole), whole), most = vfs->below->mxPathname - LONGEST_SUFFIX;
	if ((rc & 0xff) != SQLITE_OK || strlen(whole) <= (size_t)most) /* OK_SYMLINK is OK */
		return 0;
	*out_most = most;
	return (int)strlen(whole);
}

void mf_log_vfs_free(struct mf_log_vfs *vfs)
{
	if (!vfs)
		return;
	sqlite3_vfs_unregister(&vfs->base);
	mf_free(vfs);
}
