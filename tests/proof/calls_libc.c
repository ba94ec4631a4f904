/* The C library's functions that touch files, defined anew: see calls.h. Each asks calls.c whether the call is seen, and
 * calls the real one, which is the next definition that the dynamic linker knows. */
#undef _FILE_OFFSET_BITS /* else open means open64, and neither could be defined beside the other */
#undef _FORTIFY_SOURCE   /* else they are inline functions */
#include "calls_parts.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* NOLINTBEGIN(bugprone-macro-parentheses): names and types, which bear none */
#define REAL(name) \
	__extension__({ \
		static _Atomic(uintptr_t) at_; \
		uintptr_t found_ = atomic_load_explicit(&at_, memory_order_relaxed); \
		if (!found_) { \
			found_ = (uintptr_t)dlsym(RTLD_NEXT, #name); \
			atomic_store_explicit(&at_, found_, memory_order_relaxed); \
		} \
		(__typeof__(&name))found_; \
	})

/* ---- open, close ---- */

static int open_at(const char *name, int at, const char *path, int flags, mode_t mode, bool wide)
{
	struct calls_call call;
	if (!calls_begin_path(&call, CALLS_OPEN, name, at, path, 0, NULL))
		return wide ? REAL(openat64)(at, path, flags, mode) : REAL(openat)(at, path, flags, mode);
	call.flags = flags;
	call.mode = mode;
	if (calls_before(&call))
		call.result = wide ? REAL(openat64)(at, path, flags, mode) : REAL(openat)(at, path, flags, mode);
	return (int)calls_after(&call);
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

#define DEFINE_OPEN(name, wide) \
	int name(const char *path, int flags, ...) \
	{ \
		va_list args; \
		va_start(args, flags); \
		mode_t mode = mode_of(flags, args); \
		va_end(args); \
		return open_at(#name, AT_FDCWD, path, flags, mode, wide); \
	}
#define DEFINE_OPENAT(name, wide) \
	int name(int at, const char *path, int flags, ...) \
	{ \
		va_list args; \
		va_start(args, flags); \
		mode_t mode = mode_of(flags, args); \
		va_end(args); \
		return open_at(#name, at, path, flags, mode, wide); \
	}
DEFINE_OPEN(open, false)
DEFINE_OPEN(open64, true)
DEFINE_OPENAT(openat, false)
DEFINE_OPENAT(openat64, true)

int creat(const char *path, mode_t mode)
{
	return open_at("creat", AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, false);
}

int creat64(const char *path, mode_t mode)
{
	return open_at("creat64", AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, true);
}

int close(int fd)
{
	struct calls_call call;
	if (!calls_begin_fd(&call, CALLS_CLOSE, "close", fd))
		return REAL(close)(fd);
	if (calls_before(&call))
		call.result = REAL(close)(fd);
	return (int)calls_after(&call);
}

int dup(int fd)
{
	int to = REAL(dup)(fd);
	calls_note_dup(fd, to);
	return to;
}

int dup2(int fd, int to)
{
	int result = REAL(dup2)(fd, to);
	calls_note_dup(fd, result);
	return result;
}

int dup3(int fd, int to, int flags)
{
	int result = REAL(dup3)(fd, to, flags);
	calls_note_dup(fd, result);
	return result;
}

/* ---- read and write ---- */

/* Where a call without an offset reads or writes. */
static int64_t position(int fd, bool writes)
{
	if (writes && fcntl(fd, F_GETFL) & O_APPEND) {
		struct stat info;
		return fstat(fd, &info) == 0 ? info.st_size : -1;
	}
	return lseek(fd, 0, SEEK_CUR);
}

static bool begin_transfer(struct calls_call *call, enum calls_kind kind, const char *name, int fd, const void *bytes, size_t len, int64_t offset)
{
	if (!calls_begin_fd(call, kind, name, fd))
		return false;
	call->bytes = kind == CALLS_WRITE ? bytes : NULL;
	call->len = len;
	call->offset = offset >= 0 ? offset : position(fd, kind == CALLS_WRITE);
	return true;
}

#define DEFINE_TRANSFER(name, kind, bytes_type, parameters, offset, arguments, call_arguments) \
	ssize_t name(int fd, bytes_type bytes, size_t len parameters) \
	{ \
		struct calls_call call; \
		if (!begin_transfer(&call, kind, #name, fd, bytes, len, offset)) \
			return REAL(name)(fd, bytes, len arguments); \
		if (calls_before(&call)) \
			call.result = REAL(name)(fd, bytes, call.len call_arguments); \
		return calls_after(&call); \
	}
#define NOTHING
#define WITH(...) , __VA_ARGS__
DEFINE_TRANSFER(read, CALLS_READ, void *, NOTHING, -1, NOTHING, NOTHING)
DEFINE_TRANSFER(write, CALLS_WRITE, const void *, NOTHING, -1, NOTHING, NOTHING)
DEFINE_TRANSFER(pread, CALLS_READ, void *, WITH(off_t at), at, WITH(at), WITH(at))
DEFINE_TRANSFER(pwrite, CALLS_WRITE, const void *, WITH(off_t at), at, WITH(at), WITH(at))
DEFINE_TRANSFER(pread64, CALLS_READ, void *, WITH(off64_t at), at, WITH(at), WITH(at))
DEFINE_TRANSFER(pwrite64, CALLS_WRITE, const void *, WITH(off64_t at), at, WITH(at), WITH(at))

static size_t length_of(const struct iovec *parts, int count)
{
	size_t len = 0;
	for (int i = 0; i < count; i++)
		len += parts[i].iov_len;
	return len;
}

/* A vector is written as one piece, so that it can be told and shortened; at -1: where the descriptor stands. */
static ssize_t write_parts(const char *name, int fd, const struct iovec *parts, int count, int64_t at, bool *out_seen)
{
	struct calls_call call;
	*out_seen = calls_begin_fd(&call, CALLS_WRITE, name, fd);
	if (!*out_seen)
		return 0;
	call.len = length_of(parts, count);
	call.offset = at >= 0 ? at : position(fd, true);
	char *joined = malloc(call.len + 1);
	if (!joined)
		abort();
	size_t done = 0;
	for (int i = 0; i < count; i++) {
		memcpy(joined + done, parts[i].iov_base, parts[i].iov_len);
		done += parts[i].iov_len;
	}
	call.bytes = joined;
	if (calls_before(&call))
		call.result = at >= 0 ? REAL(pwrite64)(fd, joined, call.len, at) : REAL(write)(fd, joined, call.len);
	int64_t result = calls_after(&call);
	int error = errno;
	free(joined);
	errno = error;
	return result;
}

#define DEFINE_WRITE_PARTS(name, parameters, at, arguments) \
	ssize_t name(int fd, const struct iovec *parts, int count parameters) \
	{ \
		bool seen; \
		ssize_t result = write_parts(#name, fd, parts, count, at, &seen); \
		return seen ? result : REAL(name)(fd, parts, count arguments); \
	}
DEFINE_WRITE_PARTS(writev, NOTHING, -1, NOTHING)
DEFINE_WRITE_PARTS(pwritev, WITH(off_t at), at, WITH(at))
DEFINE_WRITE_PARTS(pwritev64, WITH(off64_t at), at, WITH(at))

/* ---- sync, size ---- */

#define DEFINE_SYNC(name, kind) \
	int name(int fd) \
	{ \
		struct calls_call call; \
		if (!calls_begin_fd(&call, kind, #name, fd)) \
			return REAL(name)(fd); \
		if (calls_before(&call)) \
			call.result = REAL(name)(fd); \
		return (int)calls_after(&call); \
	}
DEFINE_SYNC(fsync, CALLS_SYNC)
DEFINE_SYNC(fdatasync, CALLS_DATASYNC)

int sync_file_range(int fd, off64_t at, off64_t len, unsigned int flags)
{
	struct calls_call call;
	if (!calls_begin_fd(&call, CALLS_RANGE, "sync_file_range", fd))
		return REAL(sync_file_range)(fd, at, len, flags);
	if (calls_before(&call))
		call.result = REAL(sync_file_range)(fd, at, len, flags);
	return (int)calls_after(&call);
}

#define DEFINE_TRUNCATE(name, target_type, begin, size_type) \
	int name(target_type target, size_type size) \
	{ \
		struct calls_call call; \
		if (!(begin)) \
			return REAL(name)(target, size); \
		call.offset = size; \
		if (calls_before(&call)) \
			call.result = REAL(name)(target, size); \
		return (int)calls_after(&call); \
	}
#define TRUNCATE_FD(name) calls_begin_fd(&call, CALLS_TRUNCATE, name, target)
#define TRUNCATE_PATH(name) calls_begin_path(&call, CALLS_TRUNCATE, name, AT_FDCWD, target, 0, NULL)
DEFINE_TRUNCATE(ftruncate, int, TRUNCATE_FD("ftruncate"), off_t)
DEFINE_TRUNCATE(ftruncate64, int, TRUNCATE_FD("ftruncate64"), off64_t)
DEFINE_TRUNCATE(truncate, const char *, TRUNCATE_PATH("truncate"), off_t)
DEFINE_TRUNCATE(truncate64, const char *, TRUNCATE_PATH("truncate64"), off64_t)

#define DEFINE_ALLOCATE(name, offset_type) \
	int name(int fd, int mode, offset_type at, offset_type len) \
	{ \
		struct calls_call call; \
		if (!calls_begin_fd(&call, CALLS_ALLOCATE, #name, fd)) \
			return REAL(name)(fd, mode, at, len); \
		call.flags = mode; \
		call.offset = at; \
		call.len = (size_t)len; \
		if (calls_before(&call)) \
			call.result = REAL(name)(fd, mode, at, len); \
		return (int)calls_after(&call); \
	}
DEFINE_ALLOCATE(fallocate, off_t)
DEFINE_ALLOCATE(fallocate64, off64_t)

/* These answer the error number and leave errno alone. */
#define DEFINE_POSIX_ALLOCATE(name, offset_type) \
	int name(int fd, offset_type at, offset_type len) \
	{ \
		struct calls_call call; \
		if (!calls_begin_fd(&call, CALLS_ALLOCATE, #name, fd)) \
			return REAL(name)(fd, at, len); \
		call.offset = at; \
		call.len = (size_t)len; \
		int kept = errno; \
		if (calls_before(&call)) { \
			int error = REAL(name)(fd, at, len); \
			call.result = error ? -1 : 0; \
			errno = error; \
		} \
		int answer = calls_after(&call) == 0 ? 0 : errno; \
		errno = kept; \
		return answer; \
	}
DEFINE_POSIX_ALLOCATE(posix_fallocate, off_t)
DEFINE_POSIX_ALLOCATE(posix_fallocate64, off64_t)

/* ---- names ---- */

#define DEFINE_TWO_NAMES(name, kind, parameters, from_at, to_at, its_flags, arguments) \
	int name parameters \
	{ \
		struct calls_call call; \
		if (!calls_begin_path(&call, kind, #name, from_at, from, to_at, to)) \
			return REAL(name) arguments; \
		call.flags = (int)(its_flags); \
		if (calls_before(&call)) \
			call.result = REAL(name) arguments; \
		return (int)calls_after(&call); \
	}
DEFINE_TWO_NAMES(rename, CALLS_RENAME, (const char *from, const char *to), AT_FDCWD, AT_FDCWD, 0, (from, to))
DEFINE_TWO_NAMES(renameat, CALLS_RENAME, (int at, const char *from, int to_at, const char *to), at, to_at, 0, (at, from, to_at, to))
DEFINE_TWO_NAMES(renameat2, CALLS_RENAME, (int at, const char *from, int to_at, const char *to, unsigned int flags), at, to_at, flags, (at, from, to_at, to, flags))
DEFINE_TWO_NAMES(link, CALLS_LINK, (const char *from, const char *to), AT_FDCWD, AT_FDCWD, 0, (from, to))
DEFINE_TWO_NAMES(linkat, CALLS_LINK, (int at, const char *from, int to_at, const char *to, int flags), at, to_at, flags, (at, from, to_at, to, flags))

#define DEFINE_ONE_NAME(name, kind, parameters, from_at, its_mode, arguments) \
	int name parameters \
	{ \
		struct calls_call call; \
		if (!calls_begin_path(&call, kind, #name, from_at, path, 0, NULL)) \
			return REAL(name) arguments; \
		call.mode = its_mode; \
		if (calls_before(&call)) \
			call.result = REAL(name) arguments; \
		return (int)calls_after(&call); \
	}
DEFINE_ONE_NAME(unlink, CALLS_UNLINK, (const char *path), AT_FDCWD, 0, (path))
DEFINE_ONE_NAME(unlinkat, CALLS_UNLINK, (int at, const char *path, int flags), at, 0, (at, path, flags))
DEFINE_ONE_NAME(remove, CALLS_UNLINK, (const char *path), AT_FDCWD, 0, (path)) /* the C library's does not call its own unlink by name */
DEFINE_ONE_NAME(rmdir, CALLS_UNLINK, (const char *path), AT_FDCWD, 0, (path))
DEFINE_ONE_NAME(mkdir, CALLS_MKDIR, (const char *path, mode_t mode), AT_FDCWD, mode, (path, mode))
DEFINE_ONE_NAME(mkdirat, CALLS_MKDIR, (int at, const char *path, mode_t mode), at, mode, (at, path, mode))

/* ---- memory, locks ---- */

#define DEFINE_MAP(name, offset_type) \
	void *name(void *where, size_t len, int protection, int flags, int fd, offset_type at) \
	{ \
		struct calls_call call; \
		if (flags & MAP_ANONYMOUS || fd < 0 || !calls_begin_fd(&call, CALLS_MAP, #name, fd)) \
			return REAL(name)(where, len, protection, flags, fd, at); \
		call.flags = protection; \
		call.len = len; \
		call.offset = at; \
		if (calls_before(&call)) \
			call.result = (int64_t)(intptr_t)REAL(name)(where, len, protection, flags, fd, at); \
		return (void *)(intptr_t)calls_after(&call); /* MAP_FAILED is -1 */ \
	}
DEFINE_MAP(mmap, off_t)
DEFINE_MAP(mmap64, off64_t)

int flock(int fd, int operation)
{
	struct calls_call call;
	if (!calls_begin_fd(&call, CALLS_LOCK, "flock", fd))
		return REAL(flock)(fd, operation);
	call.flags = operation;
	if (calls_before(&call))
		call.result = REAL(flock)(fd, operation);
	return (int)calls_after(&call);
}

#define DEFINE_FCNTL(name) \
	int name(int fd, int operation, ...) \
	{ \
		va_list args; \
		va_start(args, operation); \
		void *argument = va_arg(args, void *); \
		va_end(args); \
		struct calls_call call; \
		bool locks = operation == F_SETLK || operation == F_SETLKW || operation == F_OFD_SETLK || operation == F_OFD_SETLKW; \
		if (!locks || !calls_begin_fd(&call, CALLS_LOCK, #name, fd)) { \
			int result = REAL(name)(fd, operation, argument); \
			if (operation == F_DUPFD || operation == F_DUPFD_CLOEXEC) \
				calls_note_dup(fd, result); \
			return result; \
		} \
		call.flags = operation; \
		if (calls_before(&call)) \
			call.result = REAL(name)(fd, operation, argument); \
		return (int)calls_after(&call); \
	}
DEFINE_FCNTL(fcntl)
DEFINE_FCNTL(fcntl64)
/* NOLINTEND(bugprone-macro-parentheses) */
