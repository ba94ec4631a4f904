/* memory_env.c - the library's door to the files in memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "memory_files_parts.h"
#include "sim.h"

#define FDS_MAX 64
#define FIRST_FD 1000 /* not to be taken for one of the system */

struct descriptor {
	struct node *node; /* NULL: free */
	int flags;
};
static struct descriptor fds[FDS_MAX];

static struct descriptor *of(int fd)
{
	return fd >= FIRST_FD && fd < FIRST_FD + FDS_MAX && fds[fd - FIRST_FD].node ? &fds[fd - FIRST_FD] : NULL;
}

static int64_t wall_us(void *user)
{
	(void)user;
	return memory_files_wall_us();
}

static int64_t monotonic_us(void *user)
{
	(void)user;
	return sim_now_us();
}

static int chance(void *user, void *bytes, size_t len)
{
	(void)user;
	for (size_t i = 0; i < len; i++)
		((unsigned char *)bytes)[i] = (unsigned char)sim_below(256);
	return 0;
}

static int open_file(void *user, const char *path, int flags, mode_t mode)
{
	(void)user, (void)mode;
	int at = 0;
	while (at < FDS_MAX && fds[at].node)
		at++;
	if (at == FDS_MAX)
		return -EMFILE;
	struct node *node = memory_find(path);
	if (node && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (!node && !(flags & O_CREAT))
		return -ENOENT;
	int error = node ? 0 : memory_fails(MEMORY_GROWS);
	if (error)
		return -error;
	if (!node)
		node = memory_make(path, false);
	if (!node)
		return -ENOENT;
	if ((flags & O_DIRECTORY) && !node->is_dir)
		return -ENOTDIR;
	if (node->is_dir && (flags & O_ACCMODE) != O_RDONLY)
		return -EISDIR;
	if ((flags & O_TRUNC) && node->now.len > 0)
		memory_truncate(node, 0);
	fds[at] = (struct descriptor){node, flags};
	return FIRST_FD + at;
}

static int close_file(void *user, int fd)
{
	(void)user;
	struct descriptor *descriptor = of(fd);
	if (!descriptor)
		return -EBADF;
	if (descriptor->node->lock_fd == fd)
		descriptor->node->lock_fd = -1;
	descriptor->node = NULL;
	return 0;
}

static ssize_t read_file(void *user, int fd, void *bytes, size_t len, int64_t offset)
{
	(void)user;
	struct descriptor *descriptor = of(fd);
	if (!descriptor || (descriptor->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	int error = memory_fails(MEMORY_READS);
	if (error)
		return -error;
	return descriptor->node->is_dir ? -EISDIR : (ssize_t)memory_read(descriptor->node, bytes, (int64_t)len, offset);
}

static ssize_t write_file(void *user, int fd, const void *bytes, size_t len, int64_t offset)
{
	(void)user;
	struct descriptor *descriptor = of(fd);
	if (!descriptor || (descriptor->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	int error = memory_fails(MEMORY_GROWS);
	size_t written = error ? sim_below((uint32_t)len + 1) : len;
	if (written > 0)
		memory_write(descriptor->node, bytes, (int64_t)written, offset);
	return error && (written == 0 || written == len) ? -error : (ssize_t)written;
}

static int sync_file(void *user, int fd)
{
	(void)user;
	struct descriptor *descriptor = of(fd);
	if (!descriptor)
		return -EBADF;
	int error = memory_fails(MEMORY_CHANGES);
	(error ? memory_fail_to_sync : memory_sync)(descriptor->node);
	return -error;
}

static int lock_file(void *user, int fd)
{
	(void)user;
	struct descriptor *descriptor = of(fd);
	if (!descriptor)
		return -EBADF;
	if (descriptor->node->lock_fd >= 0 && descriptor->node->lock_fd != fd)
		return -EWOULDBLOCK;
	descriptor->node->lock_fd = fd;
	return 0;
}

static int make_dir(void *user, const char *path, mode_t mode)
{
	(void)user, (void)mode;
	if (memory_find(path))
		return -EEXIST;
	int error = memory_fails(MEMORY_GROWS);
	return error ? -error : memory_make(path, true) ? 0 : -ENOENT;
}

static int64_t size_of(void *user, const char *path)
{
	(void)user;
	const struct node *node = memory_find(path);
	return node ? node->now.len : -ENOENT;
}

static int identity_of(void *user, const char *path, int fd, struct mf_file_identity *out)
{
	(void)user;
	const struct descriptor *descriptor = path ? NULL : of(fd);
	const struct node *node = path ? memory_find(path) : descriptor ? descriptor->node : NULL;
	if (!node)
		return path ? -ENOENT : -EBADF;
	*out = (struct mf_file_identity){.number = (uintptr_t)node, .names = 1, .size = node->now.len};
	return 0;
}

static int resolve(void *user, const char *path, char out[MF_PATH_MAX])
{
	(void)user;
	snprintf(out, MF_PATH_MAX, "%s", path);
	return 0;
}

static int drop_cache(void *user, const char *path)
{
	(void)user;
	struct node *node = memory_find(path);
	if (node)
		memory_evict(node);
	return node ? 0 : -ENOENT;
}

static int rename_file(void *user, const char *from, const char *to, bool replace)
{
	(void)user;
	const struct node *target = memory_find(to);
	if (!memory_find(from))
		return -ENOENT;
	if (target && (!replace || (target->is_dir && !memory_is_empty(to))))
		return replace ? -ENOTEMPTY : -EEXIST;
	int error = memory_fails(MEMORY_CHANGES);
	if (!error)
		memory_rename(from, to);
	return -error;
}

static int remove_file(void *user, const char *path)
{
	(void)user;
	const struct node *node = memory_find(path);
	if (!node)
		return -ENOENT;
	if (node->is_dir && !memory_is_empty(path))
		return -ENOTEMPTY;
	int error = memory_fails(MEMORY_CHANGES);
	if (!error)
		memory_unlink(path);
	return -error;
}

static int64_t free_bytes(void *user, const char *path)
{
	(void)user, (void)path;
	return memory_is_full() ? 0 : (int64_t)1 << 40;
}

static int is_empty(void *user, const char *path)
{
	(void)user;
	const struct node *node = memory_find(path);
	return !node ? -ENOENT : !node->is_dir ? -ENOTDIR : memory_is_empty(path);
}

void memory_env_forget(void)
{
	memset(fds, 0, sizeof(fds));
}

void memory_env_replace(void)
{
	static const struct mf_env env = {
		.sqlite_vfs = MEMORY_VFS, .wall_us = wall_us, .monotonic_us = monotonic_us, .random = chance, .open = open_file, .close = close_file,
		.pread = read_file, .pwrite = write_file, .fsync = sync_file, .lock = lock_file, .mkdir = make_dir, .size = size_of, .identity = identity_of, .resolve = resolve,
		.drop_cache = drop_cache, .rename = rename_file, .remove = remove_file, .free_bytes = free_bytes, .is_empty = is_empty,
	};
	mf_env_replace(&env);
}
