/* memfs_vfs.c - the files of memfs.h as SQLite wants them. */
#include "tests/fuzz/memfs.h"
#include "tests/vfs_answers.h"

#include <malloc.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/memfs_files.h"

struct vfs_file {
	sqlite3_file base; /* first */
	struct mem_file *file;
	int level;
	bool maps, unlink_at_close;
	uint16_t shared, exclusive; /* its locks of the index, bit by bit */
};

#define LOCKED(expression) \
	do { \
		pthread_mutex_lock(&memfs_lock); \
		int rc_ = (expression); \
		pthread_mutex_unlock(&memfs_lock); \
		return rc_; \
	} while (0)

static struct vfs_file *of(sqlite3_file *file)
{
	return (struct vfs_file *)file;
}

/* ---- bytes ---- */

static int read_bytes(const struct vfs_file *file, void *bytes, int len, sqlite3_int64 at)
{
	size_t done = memfs_read(file->file, bytes, (size_t)len, at);
	if (done == (size_t)len)
		return SQLITE_OK;
	memset((char *)bytes + done, 0, (size_t)len - done);
	return SQLITE_IOERR_SHORT_READ;
}

static int vfs_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at) { LOCKED(read_bytes(of(file), bytes, len, at)); }
static int vfs_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at) { LOCKED(memfs_write(of(file)->file, bytes, (size_t)len, at) ? SQLITE_OK : SQLITE_FULL); }
static int vfs_truncate(sqlite3_file *file, sqlite3_int64 size) { LOCKED(size >= 0 && memfs_resize(of(file)->file, (size_t)size) ? SQLITE_OK : SQLITE_IOERR_TRUNCATE); }

static int vfs_sync(sqlite3_file *file, int flags)
{
	(void)file, (void)flags;
	return SQLITE_OK;
}

static int vfs_size(sqlite3_file *file, sqlite3_int64 *out)
{
	pthread_mutex_lock(&memfs_lock);
	*out = (sqlite3_int64)of(file)->file->len;
	pthread_mutex_unlock(&memfs_lock);
	return SQLITE_OK;
}

/* ---- locks of the database ---- */

static int lock_file(struct vfs_file *handle, int level)
{
	struct mem_file *file = handle->file;
	if (handle->level >= level)
		return SQLITE_OK;
	if (handle->level == SQLITE_LOCK_NONE) {
		if (file->pending)
			return SQLITE_BUSY;
		file->readers++;
		handle->level = SQLITE_LOCK_SHARED;
	}
	if (level == SQLITE_LOCK_SHARED)
		return SQLITE_OK;
	if (file->reserved_by && file->reserved_by != handle)
		return SQLITE_BUSY;
	file->reserved_by = handle;
	if (level >= SQLITE_LOCK_PENDING)
		file->pending = true;
	if (level == SQLITE_LOCK_EXCLUSIVE && file->readers > 1) {
		handle->level = SQLITE_LOCK_PENDING;
		return SQLITE_BUSY;
	}
	handle->level = level;
	return SQLITE_OK;
}

static int unlock_file(struct vfs_file *handle, int level)
{
	struct mem_file *file = handle->file;
	if (level < SQLITE_LOCK_RESERVED && file->reserved_by == handle) {
		file->reserved_by = NULL;
		file->pending = false;
	}
	if (level == SQLITE_LOCK_NONE && handle->level > SQLITE_LOCK_NONE)
		file->readers--;
	if (handle->level > level)
		handle->level = level;
	return SQLITE_OK;
}

static int vfs_lock(sqlite3_file *file, int level) { LOCKED(lock_file(of(file), level)); }
static int vfs_unlock(sqlite3_file *file, int level) { LOCKED(unlock_file(of(file), level)); }

static int vfs_reserved(sqlite3_file *file, int *out)
{
	pthread_mutex_lock(&memfs_lock);
	*out = of(file)->file->reserved_by != NULL;
	pthread_mutex_unlock(&memfs_lock);
	return SQLITE_OK;
}

/* ---- the index of the log ---- */

static int map(struct vfs_file *handle, int region, int size, int extend, void volatile **out)
{
	struct mem_file *file = handle->file;
	*out = NULL;
	if (region >= REGIONS_MAX)
		return SQLITE_IOERR_SHMSIZE;
	if (!handle->maps) {
		handle->maps = true;
		file->mappers++;
	}
	if (!file->regions[region] && extend) {
		void *memory = NULL;
		if (posix_memalign(&memory, 4096, (size_t)size) != 0)
			return SQLITE_NOMEM;
		file->regions[region] = memset(memory, 0, (size_t)size);
	}
	*out = file->regions[region];
	return SQLITE_OK;
}

static int shm_lock(struct vfs_file *handle, int offset, int count, int flags)
{
	struct mem_file *file = handle->file;
	for (int i = offset; i < offset + count; i++) {
		bool own_shared = handle->shared >> i & 1, own_exclusive = handle->exclusive >> i & 1;
		if (!(flags & SQLITE_SHM_LOCK))
			continue;
		if (file->exclusive[i] && !own_exclusive)
			return SQLITE_BUSY;
		if ((flags & SQLITE_SHM_EXCLUSIVE) && file->shared[i] > own_shared)
			return SQLITE_BUSY;
	}
	for (int i = offset; i < offset + count; i++) {
		uint16_t bit = (uint16_t)(1u << i), *own = flags & SQLITE_SHM_EXCLUSIVE ? &handle->exclusive : &handle->shared;
		bool has = (*own & bit) != 0, wants = (flags & SQLITE_SHM_LOCK) != 0;
		if (has == wants)
			continue;
		*own ^= bit;
		if (flags & SQLITE_SHM_EXCLUSIVE)
			file->exclusive[i] = wants ? handle : NULL;
		else
			file->shared[i] += wants ? 1 : (unsigned)-1;
	}
	return SQLITE_OK;
}

static int unmap(struct vfs_file *handle)
{
	struct mem_file *file = handle->file;
	if (!handle->maps)
		return SQLITE_OK;
	shm_lock(handle, 0, SHM_LOCKS, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
	shm_lock(handle, 0, SHM_LOCKS, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
	handle->maps = false;
	if (--file->mappers > 0)
		return SQLITE_OK;
	for (size_t i = 0; i < REGIONS_MAX; i++) { /* the last one is gone: the next makes it anew from the log */
		free(file->regions[i]);
		file->regions[i] = NULL;
	}
	return SQLITE_OK;
}

static int vfs_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out) { LOCKED(map(of(file), region, size, extend, out)); }
static int vfs_shm_lock(sqlite3_file *file, int offset, int count, int flags) { LOCKED(shm_lock(of(file), offset, count, flags)); }

static void vfs_shm_barrier(sqlite3_file *file)
{
	(void)file;
	pthread_mutex_lock(&memfs_lock);
	pthread_mutex_unlock(&memfs_lock);
}

static int vfs_shm_unmap(sqlite3_file *file, int drop)
{
	(void)drop;
	LOCKED(unmap(of(file)));
}

/* ---- the rest of a file ---- */

static int close_file(struct vfs_file *handle)
{
	unmap(handle);
	unlock_file(handle, SQLITE_LOCK_NONE);
	if (handle->unlink_at_close && handle->file->named)
		memfs_unlink(handle->file);
	memfs_unuse(handle->file);
	return SQLITE_OK;
}

static int vfs_close(sqlite3_file *file) { LOCKED(close_file(of(file))); }

static const sqlite3_io_methods methods = {
	.iVersion = 2, .xClose = vfs_close, .xRead = vfs_read, .xWrite = vfs_write, .xTruncate = vfs_truncate, .xSync = vfs_sync, .xFileSize = vfs_size,
	.xLock = vfs_lock, .xUnlock = vfs_unlock, .xCheckReservedLock = vfs_reserved, .xFileControl = vfs_control, .xSectorSize = vfs_sector,
	.xDeviceCharacteristics = vfs_device, .xShmMap = vfs_shm_map, .xShmLock = vfs_shm_lock, .xShmBarrier = vfs_shm_barrier, .xShmUnmap = vfs_shm_unmap};

/* ---- the VFS ---- */

static int open_file(const char *path, struct vfs_file *handle, int flags)
{
	struct mem_file *file = path ? memfs_find(path) : NULL;
	if (path && !file && !(flags & SQLITE_OPEN_CREATE))
		return SQLITE_CANTOPEN;
	if (file && file->is_dir)
		return SQLITE_CANTOPEN;
	handle->file = file ? file : memfs_make(path);
	handle->unlink_at_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
	handle->base.pMethods = &methods;
	memfs_use(handle->file);
	return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
	(void)vfs;
	memset(file, 0, sizeof(struct vfs_file));
	if (out_flags)
		*out_flags = flags;
	LOCKED(open_file(path, of(file), flags));
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
	(void)vfs, (void)sync_dir;
	pthread_mutex_lock(&memfs_lock);
	struct mem_file *file = memfs_find(path);
	if (file)
		memfs_unlink(file);
	pthread_mutex_unlock(&memfs_lock);
	return file ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
	(void)vfs;
	pthread_mutex_lock(&memfs_lock);
	const struct mem_file *file = memfs_find(path);
	*out = file && (flags != SQLITE_ACCESS_EXISTS || file->len > 0); /* as SQLite has it on Unix: an empty file is none */
	pthread_mutex_unlock(&memfs_lock);
	return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *path, int size, char *out)
{
	(void)vfs;
	sqlite3_snprintf(size, out, "%s", path);
	return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int size, char *out)
{
	(void)vfs;
	pthread_mutex_lock(&memfs_lock);
	memfs_random(out, (size_t)size);
	pthread_mutex_unlock(&memfs_lock);
	return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	usleep((useconds_t)us); /* another thread may hold it, and has to come to its turn: SQLite tries a hundred times only */
	return us;
}

static int vfs_time(sqlite3_vfs *vfs, double *out)
{
	(void)vfs;
	*out = 2460000.5;
	return SQLITE_OK;
}

void memfs_vfs_seed(void)
{
	sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, NULL);
}

#ifdef FUZZ_HURRIED
/* SQLite's memory from the C library itself: it asks for so much of it that a sanitizer, which cannot see into SQLite anyway,
 * takes most of the time of a run. Behind its size, for SQLite wants to know that. */
void *__libc_malloc(size_t size);
void __libc_free(void *memory);
void *__libc_realloc(void *memory, size_t size);
#define SIZE_ROOM 16

static void *hurried_malloc(int size)
{
	char *memory = __libc_malloc((size_t)size + SIZE_ROOM);
	if (!memory)
		return NULL;
	*(int *)(void *)memory = size;
	return memory + SIZE_ROOM;
}

static void hurried_free(void *memory)
{
	if (memory)
		__libc_free((char *)memory - SIZE_ROOM);
}

static void *hurried_realloc(void *old, int size)
{
	char *memory = __libc_realloc((char *)old - SIZE_ROOM, (size_t)size + SIZE_ROOM);
	if (!memory)
		return NULL;
	*(int *)(void *)memory = size;
	return memory + SIZE_ROOM;
}

static int hurried_size(void *memory)
{
	return memory ? *(int *)(void *)((char *)memory - SIZE_ROOM) : 0;
}

static int hurried_round(int size)
{
	return (size + 7) & ~7;
}

static int hurried_init(void *user)
{
	(void)user;
	return SQLITE_OK;
}

static void hurried_shut_down(void *user)
{
	(void)user;
}

static void hurry(void)
{
	mallopt(M_MMAP_THRESHOLD, 64 << 20); /* what was given back is used again, without asking the system */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	static const sqlite3_mem_methods memory = {hurried_malloc, hurried_free, hurried_realloc, hurried_size, hurried_round, hurried_init, hurried_shut_down, NULL};
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) != SQLITE_OK || sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK)
		abort();
}
#else
static void hurry(void)
{
}
#endif

void memfs_vfs_register(void)
{
	hurry();
	static sqlite3_vfs vfs = {
		.iVersion = 1, .szOsFile = sizeof(struct vfs_file), .mxPathname = 256, .zName = MEMFS_VFS, .xOpen = vfs_open, .xDelete = vfs_delete, .xAccess = vfs_access,
		.xFullPathname = vfs_full_name, .xRandomness = vfs_random, .xSleep = vfs_sleep, .xCurrentTime = vfs_time};
	if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
		abort();
}
