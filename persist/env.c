#include "persist/env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "model/thread.h"
#include "persist/fork_guard.h"
#include "persist/inodes.h"

static int64_t os_wall_us(void *user)
{
	(void)user;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t os_monotonic_us(void *user)
{
	(void)user;
	return mf_now_us();
}

static int os_random(void *user, void *bytes, size_t len)
{
	(void)user;
	size_t done = 0;
	while (done < len) {
		ssize_t got = getrandom((unsigned char *)bytes + done, len - done, 0);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got > 0)
			done += (size_t)got;
	}
	return 0;
}

/* In a process that was started without standard streams a file would take their place, and what is printed
 * would be written into it. */
static int above_standard(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int error = errno;
	close(fd);
	return moved < 0 ? -error : moved;
}

/* Of a FIFO or a device, which somebody put in a file's place, reading and writing may wait for ever, or lead anywhere. */
static int plain_only(int fd)
{
	struct stat info;
	int error = fstat(fd, &info) != 0 ? errno : S_ISREG(info.st_mode) ? 0 : ENXIO;
	if (error)
		close(fd);
	return error ? -error : fd;
}

static bool is_plain(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static int try_to_open(const char *path, int flags, mode_t mode)
{
	int fd;
	do {
		fd = open(path, flags | O_CLOEXEC | O_NOCTTY, mode);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int accept_file(int fd, int flags)
{
	if (fd >= 0 && !(flags & O_DIRECTORY))
		fd = plain_only(fd);
	return fd < 0 || fd > STDERR_FILENO ? fd : above_standard(fd);
}

/* Opening a FIFO waits, too. */
static int open_without_waiting(const char *path, int flags, mode_t mode)
{
	return accept_file(try_to_open(path, flags | O_NONBLOCK, mode), flags);
}

static int open_file(const char *path, int flags, mode_t mode)
{
	int fd = open_without_waiting(path, flags, mode);
	if (fd == -EWOULDBLOCK && is_plain(path)) /* a file server has a lease on it, which the kernel takes back meanwhile */
		fd = accept_file(try_to_open(path, flags, mode), flags);
	return fd;
}

/* No fork waits for who has a lease on the file, nor for a slow device: it was opened before. While that is open nobody gets a lease. */
static int open_to_lock(const char *path, int flags, mode_t mode)
{
	int first = open_file(path, flags, mode);
	if (first < 0)
		return first;
	mf_fork_hold();
	int fd = open_without_waiting(path, flags, mode);
	if (fd >= 0 && !mf_fork_add_lock(fd)) {
		close(fd);
		fd = -ENOMEM;
	}
	mf_fork_go_on();
	close(first);
	return fd;
}

static int os_open(void *user, const char *path, int flags, mode_t mode)
{
	(void)user;
	if (flags & MF_OPEN_TO_LOCK)
		return open_to_lock(path, flags & ~MF_OPEN_TO_LOCK, mode);
	int fd = mf_inode_reuse(path, flags);
	return fd >= 0 ? fd : open_file(path, flags, mode);
}

static int os_close(void *user, int fd)
{
	(void)user;
	if (mf_fork_forget_lock(fd))
		flock(fd, LOCK_UN);
	/* Linux releases the descriptor also when close is interrupted: never again. */
	return mf_inode_close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

static ssize_t os_pread(void *user, int fd, void *bytes, size_t len, int64_t offset)
{
	(void)user;
	ssize_t got;
	do {
		got = pread(fd, bytes, len, offset);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static ssize_t os_pwrite(void *user, int fd, const void *bytes, size_t len, int64_t offset)
{
	(void)user;
	ssize_t put;
	do {
		put = pwrite(fd, bytes, len, offset);
	} while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}

static int os_fsync(void *user, int fd)
{
	(void)user;
	return fsync(fd) == 0 ? 0 : -errno;
}

static int os_lock(void *user, int fd)
{
	(void)user;
	return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

static int os_mkdir(void *user, const char *path, mode_t mode)
{
	(void)user;
	return mkdir(path, mode) == 0 ? 0 : -errno;
}

static int64_t os_size(void *user, const char *path)
{
	(void)user;
	struct stat info;
	if (stat(path, &info) != 0)
		return -(int64_t)errno;
	return S_ISREG(info.st_mode) ? (int64_t)info.st_size : -ENXIO;
}

static int os_identity(void *user, const char *path, int fd, struct mf_file_identity *out)
{
	(void)user;
	struct stat info;
	if ((path ? stat(path, &info) : fstat(fd, &info)) != 0)
		return -errno;
	*out = (struct mf_file_identity){.device = info.st_dev, .number = info.st_ino, .names = info.st_nlink, .size = info.st_size};
	return 0;
}

static int os_resolve(void *user, const char *path, char out[MF_PATH_MAX])
{
	(void)user;
	_Static_assert(MF_PATH_MAX >= PATH_MAX, "realpath fills so much");
	return realpath(path, out) ? 0 : -errno;
}

static int64_t os_free_bytes(void *user, const char *path)
{
	(void)user;
	struct statvfs info;
	return statvfs(path, &info) == 0 ? (int64_t)(info.f_bavail * info.f_frsize) : -(int64_t)errno;
}

static int os_drop_cache(void *user, const char *path)
{
	int fd = os_open(user, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	int error = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	os_close(user, fd);
	return -error;
}

/* Where the file system cannot do it in one step (NFS) somebody may be faster between the two. */
static int rename_new(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	struct stat info;
	if (lstat(to, &info) == 0)
		return -EEXIST;
	return rename(from, to) == 0 ? 0 : -errno;
}

static int os_rename(void *user, const char *from, const char *to, bool replace)
{
	(void)user;
	if (!replace)
		return rename_new(from, to);
	return rename(from, to) == 0 ? 0 : -errno;
}

static int os_remove(void *user, const char *path)
{
	(void)user;
	return remove(path) == 0 ? 0 : -errno;
}

static int os_is_empty(void *user, const char *path)
{
	(void)user;
	DIR *dir = opendir(path);
	if (!dir)
		return -errno;
	const struct dirent *entry;
	int error;
	do {
		errno = 0;
		entry = readdir(dir);
		error = errno;
	} while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
	closedir(dir);
	return error ? -error : !entry;
}

static const struct mf_env os_env = {
	.wall_us = os_wall_us,
	.monotonic_us = os_monotonic_us,
	.random = os_random,
	.open = os_open,
	.close = os_close,
	.pread = os_pread,
	.pwrite = os_pwrite,
	.fsync = os_fsync,
	.lock = os_lock,
	.mkdir = os_mkdir,
	.size = os_size, .identity = os_identity, .resolve = os_resolve,
	.drop_cache = os_drop_cache,
	.rename = os_rename,
	.remove = os_remove,
	.is_empty = os_is_empty,
	.free_bytes = os_free_bytes,
};

const struct mf_env *mf_env_os(void)
{
	return &os_env;
}

static const struct mf_env *replaced; /* NULL: the system's */

void mf_env_replace(const struct mf_env *env)
{
	replaced = env;
}

const struct mf_env *mf_env_or_default(const struct mf_env *env)
{
	return env ? env : replaced ? replaced : &os_env;
}

ssize_t mf_env_read_all(const struct mf_env *env, int fd, void *bytes, size_t len, int64_t offset)
{
	size_t done = 0;
	while (done < len) {
		ssize_t got = env->pread(env->user, fd, (unsigned char *)bytes + done, len - done, offset + (int64_t)done);
		if (got < 0)
			return got;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

int mf_env_write_all(const struct mf_env *env, int fd, const void *bytes, size_t len, int64_t offset)
{
	size_t done = 0;
	while (done < len) {
		ssize_t put = env->pwrite(env->user, fd, (const unsigned char *)bytes + done, len - done, offset + (int64_t)done);
		if (put < 0)
			return (int)put;
		if (put == 0)
			return -EIO;
		done += (size_t)put;
	}
	return 0;
}

int mf_env_sync_dir(const struct mf_env *env, const char *path)
{
	int fd = env->open(env->user, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	int result = env->fsync(env->user, fd);
	int closed = env->close(env->user, fd);
	return result < 0 ? result : closed;
}
