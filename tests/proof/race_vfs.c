#include "race_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define CHECKPOINT_LOCK 1 /* its place among SQLite's locks in shared memory; https://www.sqlite.org/walformat.html */

struct handle {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
	char path[200];     /* of the database, for its log too */
	bool log;
};

static sqlite3_vfs race_vfs, *real_vfs;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char watched[200];
static const struct handle *first[2]; /* of the database, of the log: who wrote first */
static int syncing;
static struct race_breaches breaches;
/* To be called once. */
struct stop {
	void (*call)(void *user);
	void *user;
};
static _Thread_local struct stop at_checkpoint, at_sync;

static struct handle *of(sqlite3_file *file)
{
	return (struct handle *)file;
}

#define REAL of(file)->real
#define CALL(method, ...) REAL->pMethods->method(REAL, ##__VA_ARGS__)

static void stop_at(struct stop *stop)
{
	struct stop now = *stop;
	*stop = (struct stop){0};
	if (now.call)
		now.call(now.user);
}

/* ---- what is watched ---- */
static void note_writer(const struct handle *handle)
{
	pthread_mutex_lock(&lock);
	if (strcmp(handle->path, watched) == 0) {
		if (!first[handle->log])
			first[handle->log] = handle;
		breaches.connections += first[handle->log] != handle;
		breaches.writes++;
	}
	pthread_mutex_unlock(&lock);
}

/* The lock for writing tells nothing: a reader takes it too, where it finds the log's index half written. */
static int race_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	if (flags == (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) && offset <= CHECKPOINT_LOCK && offset + n > CHECKPOINT_LOCK)
		note_writer(of(file));
	return CALL(xShmLock, offset, n, flags);
}

static int race_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	note_writer(of(file));
	return CALL(xWrite, bytes, len, at);
}

static int race_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	note_writer(of(file));
	return CALL(xTruncate, size);
}

static int race_sync(sqlite3_file *file, int flags)
{
	pthread_mutex_lock(&lock);
	bool watch = strcmp(of(file)->path, watched) == 0;
	if (watch) {
		breaches.syncs += syncing++ > 0;
		breaches.all_syncs++;
	}
	pthread_mutex_unlock(&lock);
	int rc = CALL(xSync, flags);
	stop_at(&at_sync); /* the device has it, and nobody knows yet */
	pthread_mutex_lock(&lock);
	syncing -= watch;
	pthread_mutex_unlock(&lock);
	return rc;
}

/* A checkpoint that finds a log which has changed since it last looked drops its memory map here. */
static int race_unfetch(sqlite3_file *file, sqlite3_int64 at, void *page)
{
	stop_at(&at_checkpoint);
	return CALL(xUnfetch, at, page);
}

/* ---- what is handed on ---- */
static int race_close(sqlite3_file *file)
{
	pthread_mutex_lock(&lock);
	if (first[of(file)->log] == of(file))
		first[of(file)->log] = NULL;
	pthread_mutex_unlock(&lock);
	return REAL->pMethods ? CALL(xClose) : SQLITE_OK;
}
static int race_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at) { return CALL(xRead, bytes, len, at); }
static int race_size(sqlite3_file *file, sqlite3_int64 *out) { return CALL(xFileSize, out); }
static int race_lock(sqlite3_file *file, int level) { return CALL(xLock, level); }
static int race_unlock(sqlite3_file *file, int level) { return CALL(xUnlock, level); }
static int race_reserved(sqlite3_file *file, int *out) { return CALL(xCheckReservedLock, out); }
static int race_control(sqlite3_file *file, int op, void *arg) { return CALL(xFileControl, op, arg); }
static int race_sector(sqlite3_file *file) { return CALL(xSectorSize); }
static int race_device(sqlite3_file *file) { return CALL(xDeviceCharacteristics); }
static int race_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out) { return CALL(xShmMap, region, size, extend, out); }
static void race_shm_barrier(sqlite3_file *file) { CALL(xShmBarrier); }
static int race_shm_unmap(sqlite3_file *file, int drop) { return CALL(xShmUnmap, drop); }
static int race_fetch(sqlite3_file *file, sqlite3_int64 at, int len, void **out) { return CALL(xFetch, at, len, out); }

static const sqlite3_io_methods methods = {
	3, race_close, race_read, race_write, race_truncate, race_sync, race_size, race_lock, race_unlock, race_reserved, race_control,
	race_sector, race_device, race_shm_map, race_shm_lock, race_shm_barrier, race_shm_unmap, race_fetch, race_unfetch};

static int race_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	(void)vfs;
	struct handle *handle = of(file);
	memset(handle, 0, sizeof(*handle));
	handle->real = (sqlite3_file *)(void *)(handle + 1);
	if (name && flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL))
		snprintf(handle->path, sizeof(handle->path), "%s", name);
	handle->log = flags & SQLITE_OPEN_WAL;
	if (handle->log)
		handle->path[strlen(handle->path) - strlen("-wal")] = '\0';
	int rc = real_vfs->xOpen(real_vfs, name, handle->real, flags, out_flags);
	if (handle->real->pMethods)
		handle->base.pMethods = &methods;
	return rc;
}

static int race_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	(void)vfs;
	return real_vfs->xDelete(real_vfs, name, sync_dir);
}

static void register_once(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	race_vfs = *real_vfs;
	race_vfs.pNext = NULL;
	race_vfs.zName = "race";
	race_vfs.szOsFile = (int)sizeof(struct handle) + real_vfs->szOsFile;
	race_vfs.xOpen = race_open;
	race_vfs.xDelete = race_delete;
	sqlite3_vfs_register(&race_vfs, 1);
}

void race_vfs_register(void)
{
	pthread_once(&once, register_once);
}

void race_vfs_watch(const char *path)
{
	pthread_mutex_lock(&lock);
	snprintf(watched, sizeof(watched), "%s", path ? path : "");
	first[0] = first[1] = NULL;
	memset(&breaches, 0, sizeof(breaches));
	pthread_mutex_unlock(&lock);
}

struct race_breaches race_vfs_breaches(void)
{
	pthread_mutex_lock(&lock);
	struct race_breaches found = breaches;
	pthread_mutex_unlock(&lock);
	return found;
}

void race_vfs_stop(void (*call)(void *user), void *user)
{
	at_checkpoint = (struct stop){call, user};
}

void race_vfs_stop_sync(void (*call)(void *user), void *user)
{
	at_sync = (struct stop){call, user};
}
