/* memory_vfs.c - SQLite's door to the files in memory: locks, the index of the log and all, within one process. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory_files_parts.h"
#include "sim.h"
#include "tests/vfs_answers.h"

struct handle {
	sqlite3_file base; /* first */
	struct node *node;
	struct handle *next; /* of the same file */
	char *delete_path;   /* when it is closed; NULL: not */
	int level;           /* SQLITE_LOCK_... */
	unsigned shared, exclusive; /* locks on the index, a bit each */
	bool mapped;
	bool sync_dir; /* with its first sync, as SQLite's own VFS does for a new log or journal */
};

static int last_errno;

/* SQLite's word for what the system said. */
static int failed(int error, int code)
{
	last_errno = error;
	return error == ENOSPC && code == SQLITE_IOERR_WRITE ? SQLITE_FULL : code;
}

static struct handle *of(sqlite3_file *file)
{
	return (struct handle *)file;
}

/* ---- contents ---- */
static int vfs_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at)
{
	int error = memory_fails(MEMORY_READS);
	if (error)
		return failed(error, SQLITE_IOERR_READ);
	int64_t got = memory_read(of(file)->node, bytes, len, at);
	if (got == len)
		return SQLITE_OK;
	memset((char *)bytes + got, 0, (size_t)(len - got));
	return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	int error = memory_fails(MEMORY_GROWS), written = error ? (int)sim_below((uint32_t)len) : len;
	if (written > 0)
		memory_write(of(file)->node, bytes, written, at);
	return error ? failed(error, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

static int vfs_truncate(sqlite3_file *file, sqlite3_int64 len)
{
	int error = memory_fails(MEMORY_CHANGES);
	if (error)
		return failed(error, SQLITE_IOERR_TRUNCATE);
	memory_truncate(of(file)->node, len);
	return SQLITE_OK;
}

static int sync_node(struct node *node, int code)
{
	int error = memory_fails(MEMORY_CHANGES);
	(error ? memory_fail_to_sync : memory_sync)(node);
	return error ? failed(error, code) : SQLITE_OK;
}

static int sync_dir_of(const char *path)
{
	char dir[PATH_LEN];
	snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	slash[slash == dir] = '\0';
	return sync_node(memory_find(dir), SQLITE_IOERR_DIR_FSYNC);
}

static int vfs_sync(sqlite3_file *file, int flags)
{
	(void)flags;
	int result = sync_node(of(file)->node, SQLITE_IOERR_FSYNC);
	if (result == SQLITE_OK && of(file)->sync_dir) {
		result = sync_dir_of(of(file)->node->path);
		of(file)->sync_dir = false;
	}
	return result;
}

static int vfs_size(sqlite3_file *file, sqlite3_int64 *out)
{
	*out = of(file)->node->now.len;
	return SQLITE_OK;
}

/* ---- locks of the database ---- */
static int highest_of_others(const struct handle *me)
{
	int highest = SQLITE_LOCK_NONE;
	for (const struct handle *other = me->node->handles; other; other = other->next)
		if (other != me && other->level > highest)
			highest = other->level;
	return highest;
}

static int vfs_lock(sqlite3_file *file, int level)
{
	struct handle *me = of(file);
	int others = highest_of_others(me);
	if (level <= me->level)
		return SQLITE_OK;
	if (others >= SQLITE_LOCK_PENDING || (level >= SQLITE_LOCK_RESERVED && others >= SQLITE_LOCK_RESERVED))
		return SQLITE_BUSY;
	if (level == SQLITE_LOCK_EXCLUSIVE && others >= SQLITE_LOCK_SHARED) {
		me->level = SQLITE_LOCK_PENDING;
		return SQLITE_BUSY;
	}
	me->level = level;
	return SQLITE_OK;
}

static int vfs_unlock(sqlite3_file *file, int level)
{
	if (level < of(file)->level)
		of(file)->level = level;
	return SQLITE_OK;
}

static int vfs_reserved(sqlite3_file *file, int *out)
{
	*out = of(file)->level >= SQLITE_LOCK_RESERVED || highest_of_others(of(file)) >= SQLITE_LOCK_RESERVED;
	return SQLITE_OK;
}

/* ---- the index of the log ---- */
static int shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	struct node *node = of(file)->node;
	of(file)->mapped = true;
	*out = NULL;
	if (region >= SHM_REGIONS || size > SHM_BYTES)
		return SQLITE_IOERR_SHMSIZE;
	if (region >= node->shm_count && !extend)
		return SQLITE_OK;
	for (; node->shm_count <= region; node->shm_count++) /* a dead process' memory is not used again */
		if (!(node->shm[node->shm_count] = calloc(1, SHM_BYTES)))
			return SQLITE_NOMEM;
	*out = node->shm[region];
	return SQLITE_OK;
}

static int shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	struct handle *me = of(file);
	unsigned mask = ((1u << n) - 1) << offset;
	if (flags & SQLITE_SHM_UNLOCK) {
		me->shared &= ~mask;
		me->exclusive &= ~mask;
		return SQLITE_OK;
	}
	for (const struct handle *other = me->node->handles; other; other = other->next)
		if (other != me && ((other->exclusive & mask) || ((flags & SQLITE_SHM_EXCLUSIVE) && (other->shared & mask))))
			return SQLITE_BUSY;
	*(flags & SQLITE_SHM_SHARED ? &me->shared : &me->exclusive) |= mask;
	return SQLITE_OK;
}

static void shm_barrier(sqlite3_file *file)
{
	(void)file;
}

static int shm_unmap(sqlite3_file *file, int drop)
{
	struct handle *me = of(file);
	(void)drop;
	me->mapped = false;
	me->shared = me->exclusive = 0;
	for (const struct handle *other = me->node->handles; other; other = other->next)
		if (other->mapped)
			return SQLITE_OK;
	for (int i = 0; i < me->node->shm_count; i++)
		free(me->node->shm[i]);
	me->node->shm_count = 0; /* the next one who opens it makes it anew */
	return SQLITE_OK;
}

/* ---- the rest of a file ---- */
static int vfs_close(sqlite3_file *file)
{
	struct handle *me = of(file);
	struct handle **place = &me->node->handles;
	while (*place && *place != me)
		place = &(*place)->next;
	if (*place)
		*place = me->next;
	if (me->delete_path && memory_find(me->delete_path))
		memory_unlink(me->delete_path);
	free(me->delete_path);
	return SQLITE_OK;
}

static int vfs_ask(sqlite3_file *file, int op, void *arg)
{
	if (op != SQLITE_FCNTL_LAST_ERRNO)
		return vfs_control(file, op, arg);
	*(int *)arg = last_errno;
	return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
	2, vfs_close, vfs_read, vfs_write, vfs_truncate, vfs_sync, vfs_size, vfs_lock, vfs_unlock, vfs_reserved,
	vfs_ask, vfs_sector, vfs_device, shm_map, shm_lock, shm_barrier, shm_unmap, NULL, NULL};

/* ---- the VFS ---- */
static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	(void)vfs;
	struct handle *me = of(file);
	memset(me, 0, sizeof(*me));
	struct node *node = name ? memory_find(name) : memory_make_unnamed();
	if (node && name && (flags & SQLITE_OPEN_EXCLUSIVE) && (flags & SQLITE_OPEN_CREATE))
		return SQLITE_CANTOPEN;
	if (!node && (flags & SQLITE_OPEN_CREATE)) {
		int error = memory_fails(MEMORY_GROWS);
		if (error)
			return failed(error, SQLITE_CANTOPEN);
		node = memory_make(name, false);
		me->sync_dir = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL)) != 0;
	}
	if (!node || node->is_dir)
		return SQLITE_CANTOPEN;
	me->base.pMethods = &methods;
	me->node = node;
	me->next = node->handles;
	node->handles = me;
	if (name && (flags & SQLITE_OPEN_DELETEONCLOSE))
		me->delete_path = strdup(name);
	if (out_flags)
		*out_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	(void)vfs;
	if (!memory_find(name))
		return SQLITE_IOERR_DELETE_NOENT;
	int error = memory_fails(MEMORY_CHANGES);
	if (error)
		return failed(error, SQLITE_IOERR_DELETE);
	memory_unlink(name);
	return sync_dir ? sync_dir_of(name) : SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out)
{
	(void)vfs;
	if (size > 0)
		out[0] = '\0';
	return last_errno;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs;
	const struct node *node = memory_find(name);
	*out = node && (flags != SQLITE_ACCESS_EXISTS || node->is_dir || node->now.len > 0);
	return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	return snprintf(out, (size_t)size, "%s", name) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_random(sqlite3_vfs *vfs, int size, char *out)
{
	(void)vfs;
	for (int i = 0; i < size; i++)
		out[i] = (char)sim_below(256);
	return size;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	sim_take(us);
	return us;
}

static int vfs_time64(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	(void)vfs;
	*out = 210866760000000 + memory_files_wall_us() / 1000; /* Julian day 2440587.5 is 1970-01-01 */
	return SQLITE_OK;
}

static int vfs_time(sqlite3_vfs *vfs, double *out)
{
	sqlite3_int64 ms;
	vfs_time64(vfs, &ms);
	*out = (double)ms / 86400000.0;
	return SQLITE_OK;
}

void memory_vfs_register(void)
{
	static sqlite3_vfs vfs = {
		.iVersion = 2, .szOsFile = sizeof(struct handle), .mxPathname = PATH_LEN, .zName = MEMORY_VFS, .xOpen = vfs_open, .xDelete = vfs_delete,
		.xAccess = vfs_access, .xFullPathname = vfs_full_name, .xRandomness = vfs_random, .xSleep = vfs_sleep, .xCurrentTime = vfs_time,
		.xGetLastError = vfs_last_error, .xCurrentTimeInt64 = vfs_time64};
	if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK) {
		fprintf(stderr, "the VFS could not be registered\n");
		_Exit(3);
	}
}
