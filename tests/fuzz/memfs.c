#include "tests/fuzz/memfs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/memfs_files.h"

static struct mem_file *files[FILES_MAX];
static struct handle {
	struct mem_file *file; /* NULL: free */
	bool locks;
} handles[HANDLES_MAX];
#define FIRST_FD 1000
#define BEGINNING_US 1700000000000000

static int64_t now_us;
static uint64_t random_state;
pthread_mutex_t memfs_lock = PTHREAD_MUTEX_INITIALIZER;

static void *got(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---- files, under the lock ---- */

struct mem_file *memfs_find(const char *path)
{
	for (size_t i = 0; i < FILES_MAX; i++)
		if (files[i] && strcmp(files[i]->path, path) == 0)
			return files[i];
	return NULL;
}

static void free_file(struct mem_file *file)
{
	for (size_t i = 0; i < REGIONS_MAX; i++)
		free(file->regions[i]);
	free(file->bytes);
	free(file->path);
	free(file);
}

static void free_unused(struct mem_file *file)
{
	if (file->uses == 0 && !file->named)
		free_file(file);
}

struct mem_file *memfs_make(const char *path)
{
	struct mem_file *file = got(calloc(1, sizeof(*file)));
	file->path = got(strdup(path ? path : ""));
	file->named = path != NULL;
	for (size_t i = 0; path; i++) {
		if (i == FILES_MAX)
			abort();
		if (!files[i]) {
			files[i] = file;
			break;
		}
	}
	return file;
}

void memfs_unlink(struct mem_file *file)
{
	for (size_t i = 0; i < FILES_MAX; i++)
		if (files[i] == file)
			files[i] = NULL;
	file->named = false;
	free_unused(file);
}

void memfs_use(struct mem_file *file)
{
	file->uses++;
}

void memfs_unuse(struct mem_file *file)
{
	file->uses--;
	free_unused(file);
}

static size_t total_size(void)
{
	size_t size = 0;
	for (size_t i = 0; i < FILES_MAX; i++)
		size += files[i] ? files[i]->len : 0;
	return size;
}

bool memfs_resize(struct mem_file *file, size_t len)
{
	if (len > file->len && (len > MEMFS_MAX || total_size() - file->len > MEMFS_MAX - len))
		return false;
	if (len > file->capacity) {
		file->capacity = len + len / 2 + 4096;
		file->bytes = got(realloc(file->bytes, file->capacity));
	}
	if (len > file->len)
		memset(file->bytes + file->len, 0, len - file->len);
	file->len = len;
	return true;
}

size_t memfs_read(const struct mem_file *file, void *bytes, size_t len, int64_t at)
{
	if (at < 0 || (uint64_t)at >= file->len)
		return 0;
	if (len > file->len - (size_t)at)
		len = file->len - (size_t)at;
	memcpy(bytes, file->bytes + at, len);
	return len;
}

bool memfs_write(struct mem_file *file, const void *bytes, size_t len, int64_t at)
{
	if (at < 0 || (uint64_t)at > MEMFS_MAX || ((size_t)at + len > file->len && !memfs_resize(file, (size_t)at + len)))
		return false;
	memcpy(file->bytes + at, bytes, len);
	return true;
}

void memfs_random(void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		random_state ^= random_state << 13;
		random_state ^= random_state >> 7;
		random_state ^= random_state << 17;
		((uint8_t *)bytes)[i] = (uint8_t)(random_state >> 32);
	}
}

/* ---- the seam ---- */

static struct handle *handle_of(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + HANDLES_MAX && handles[fd - FIRST_FD].file ? &handles[fd - FIRST_FD] : NULL;
}

static int64_t env_time(void *user)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	int64_t time = ++now_us;
	pthread_mutex_unlock(&memfs_lock);
	return time;
}

static int env_random(void *user, void *bytes, size_t len)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	memfs_random(bytes, len);
	pthread_mutex_unlock(&memfs_lock);
	return 0;
}

static int open_file(struct mem_file *file)
{
	for (int i = 0; i < HANDLES_MAX; i++) {
		if (handles[i].file)
			continue;
		handles[i] = (struct handle){file, false};
		memfs_use(file);
		return FIRST_FD + i;
	}
	return -EMFILE;
}

static int env_open(void *user, const char *path, int flags, mode_t mode)
{
	(void)user, (void)mode;
	pthread_mutex_lock(&memfs_lock);
	struct mem_file *file = memfs_find(path);
	int result = !file && !(flags & O_CREAT) ? -ENOENT : file && (flags & O_EXCL) ? -EEXIST : file && file->is_dir && !(flags & O_DIRECTORY) && (flags & O_ACCMODE) != O_RDONLY ? -EISDIR : 0;
	if (result == 0) {
		file = file ? file : memfs_make(path);
		if (flags & O_TRUNC)
			file->len = 0;
		result = open_file(file);
	}
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

static int env_close(void *user, int fd)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	struct handle *handle = handle_of(fd);
	if (!handle)
		abort(); /* closed twice */
	if (handle->locks)
		handle->file->flocked = false;
	memfs_unuse(handle->file);
	handle->file = NULL;
	pthread_mutex_unlock(&memfs_lock);
	return 0;
}

static ssize_t env_pread(void *user, int fd, void *bytes, size_t len, int64_t offset)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	struct handle *handle = handle_of(fd);
	ssize_t result = handle ? (ssize_t)memfs_read(handle->file, bytes, len, offset) : -EBADF;
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

static ssize_t env_pwrite(void *user, int fd, const void *bytes, size_t len, int64_t offset)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	struct handle *handle = handle_of(fd);
	ssize_t result = !handle ? -EBADF : memfs_write(handle->file, bytes, len, offset) ? (ssize_t)len : -ENOSPC;
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

static int env_fsync(void *user, int fd)
{
	(void)user;
	return fd < FIRST_FD ? -EBADF : 0;
}

static int env_lock(void *user, int fd)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	struct handle *handle = handle_of(fd);
	int result = !handle ? -EBADF : handle->file->flocked && !handle->locks ? -EWOULDBLOCK : 0;
	if (result == 0)
		handle->locks = handle->file->flocked = true;
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

static int env_mkdir(void *user, const char *path, mode_t mode)
{
	(void)user, (void)mode;
	pthread_mutex_lock(&memfs_lock);
	int result = memfs_find(path) ? -EEXIST : 0;
	if (result == 0)
		memfs_make(path)->is_dir = true;
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

static int64_t env_size(void *user, const char *path)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	const struct mem_file *file = memfs_find(path);
	int64_t result = file ? (int64_t)file->len : -ENOENT;
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

static int env_identity(void *user, const char *path, int fd, struct mf_file_identity *out)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	const struct handle *handle = path ? NULL : handle_of(fd);
	const struct mem_file *file = path ? memfs_find(path) : handle ? handle->file : NULL;
	if (file)
		*out = (struct mf_file_identity){.number = (uintptr_t)file, .names = 1, .size = (int64_t)file->len};
	pthread_mutex_unlock(&memfs_lock);
	return file ? 0 : path ? -ENOENT : -EBADF;
}

static int env_resolve(void *user, const char *path, char out[MF_PATH_MAX])
{
	(void)user;
	snprintf(out, MF_PATH_MAX, "%s", path);
	return 0;
}

static int env_drop_cache(void *user, const char *path)
{
	(void)user, (void)path;
	return 0;
}

/* Does it lie in that directory, at any depth? */
static bool lies_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	return strncmp(path, dir, len) == 0 && path[len] == '/';
}

static bool is_empty(const char *dir)
{
	for (size_t i = 0; i < FILES_MAX; i++)
		if (files[i] && lies_in(files[i]->path, dir))
			return false;
	return true;
}

static void move(struct mem_file *file, const char *from, const char *to)
{
	size_t rest = strlen(file->path) - strlen(from);
	char *path = got(malloc(strlen(to) + rest + 1));
	memcpy(path, to, strlen(to));
	memcpy(path + strlen(to), file->path + strlen(from), rest + 1);
	free(file->path);
	file->path = path;
}

static int env_rename(void *user, const char *from, const char *to, bool replace)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	struct mem_file *file = memfs_find(from), *old = memfs_find(to);
	int result = !file ? -ENOENT : old && !replace ? -EEXIST : old && old->is_dir && !is_empty(to) ? -ENOTEMPTY : 0;
	if (result == 0 && old)
		memfs_unlink(old);
	for (size_t i = 0; result == 0 && i < FILES_MAX; i++)
		if (files[i] && (files[i] == file || lies_in(files[i]->path, from)))
			move(files[i], from, to);
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

static int env_remove(void *user, const char *path)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	struct mem_file *file = memfs_find(path);
	int result = !file ? -ENOENT : file->is_dir && !is_empty(path) ? -ENOTEMPTY : 0;
	if (result == 0)
		memfs_unlink(file);
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

static int64_t env_free_bytes(void *user, const char *path)
{
	(void)user, (void)path;
	pthread_mutex_lock(&memfs_lock);
	int64_t result = (int64_t)(MEMFS_MAX - total_size());
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

static int env_is_empty(void *user, const char *dir)
{
	(void)user;
	pthread_mutex_lock(&memfs_lock);
	const struct mem_file *file = memfs_find(dir);
	int result = !file ? -ENOENT : !file->is_dir ? -ENOTDIR : is_empty(dir);
	pthread_mutex_unlock(&memfs_lock);
	return result;
}

const struct mf_env *memfs_env(void)
{
	static const struct mf_env env = {
		.sqlite_vfs = MEMFS_VFS, .wall_us = env_time, .monotonic_us = env_time, .random = env_random, .open = env_open, .close = env_close, .pread = env_pread,
		.pwrite = env_pwrite, .fsync = env_fsync, .lock = env_lock, .mkdir = env_mkdir, .size = env_size, .identity = env_identity, .resolve = env_resolve, .drop_cache = env_drop_cache, .rename = env_rename,
		.remove = env_remove, .free_bytes = env_free_bytes, .is_empty = env_is_empty};
	static bool begun;
	if (!begun) {
		begun = true;
		memfs_vfs_register();
		memfs_reset();
	}
	return &env;
}

/* ---- from outside ---- */

static void begin_anew(void)
{
	for (size_t i = 0; i < HANDLES_MAX; i++)
		if (handles[i].file)
			abort(); /* something is still open */
	for (size_t i = 0; i < FILES_MAX; i++)
		if (files[i])
			memfs_unlink(files[i]);
	now_us = BEGINNING_US;
	random_state = 88172645463325252u;
	memfs_vfs_seed();
}

void memfs_reset(void)
{
	pthread_mutex_lock(&memfs_lock);
	begin_anew();
	memfs_make("/")->is_dir = true;
	pthread_mutex_unlock(&memfs_lock);
}

const uint8_t *memfs_bytes(const char *path, size_t *out_len)
{
	pthread_mutex_lock(&memfs_lock);
	const struct mem_file *file = memfs_find(path);
	*out_len = file ? file->len : 0;
	pthread_mutex_unlock(&memfs_lock);
	return file ? file->bytes : NULL;
}

void memfs_put(const char *path, const void *bytes, size_t len)
{
	pthread_mutex_lock(&memfs_lock);
	struct mem_file *file = memfs_find(path);
	if (!file)
		file = memfs_make(path);
	file->len = 0;
	if (len > 0 && !memfs_write(file, bytes, len, 0))
		abort();
	pthread_mutex_unlock(&memfs_lock);
}

void memfs_remove(const char *path)
{
	(void)env_remove(NULL, path);
}

size_t memfs_size(void)
{
	pthread_mutex_lock(&memfs_lock);
	size_t size = total_size();
	pthread_mutex_unlock(&memfs_lock);
	return size;
}

struct memfs_image {
	struct kept {
		char *path;
		uint8_t *bytes;
		size_t len;
		bool is_dir;
	} files[FILES_MAX];
};

struct memfs_image *memfs_save(void)
{
	struct memfs_image *image = got(calloc(1, sizeof(*image)));
	pthread_mutex_lock(&memfs_lock);
	for (size_t i = 0; i < FILES_MAX; i++) {
		if (!files[i])
			continue;
		image->files[i] = (struct kept){got(strdup(files[i]->path)), got(malloc(files[i]->len + 1)), files[i]->len, files[i]->is_dir};
		if (files[i]->len > 0)
			memcpy(image->files[i].bytes, files[i]->bytes, files[i]->len);
	}
	pthread_mutex_unlock(&memfs_lock);
	return image;
}

void memfs_load(const struct memfs_image *image)
{
	pthread_mutex_lock(&memfs_lock);
	begin_anew();
	for (size_t i = 0; i < FILES_MAX; i++) {
		const struct kept *kept = &image->files[i];
		if (!kept->path)
			continue;
		struct mem_file *file = memfs_make(kept->path);
		file->is_dir = kept->is_dir;
		if (kept->len > 0 && !memfs_write(file, kept->bytes, kept->len, 0))
			abort();
	}
	pthread_mutex_unlock(&memfs_lock);
}

void memfs_image_free(struct memfs_image *image)
{
	for (size_t i = 0; image && i < FILES_MAX; i++) {
		free(image->files[i].path);
		free(image->files[i].bytes);
	}
	free(image);
}
