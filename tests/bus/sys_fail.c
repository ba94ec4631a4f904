#include "sys_fail.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <unistd.h>

static struct {
	enum sys_call call;
	int at, seen, error;
	const char *from, *to;
} plan;

void sys_fail(enum sys_call call, int n, int error)
{
	plan.call = call;
	plan.at = n;
	plan.seen = 0;
	plan.error = error;
}

int sys_calls(void)
{
	return plan.seen;
}

void sys_redirect(const char *from, const char *to)
{
	plan.from = from;
	plan.to = to;
}

static bool fails(enum sys_call call)
{
	if (plan.at == 0 || plan.call != call || (++plan.seen != plan.at && plan.at > 0))
		return false;
	errno = plan.error;
	return true;
}

/* Converts the address of the C library's own function to the type of ours. */
#define REAL(name, ...) \
	__extension__({ \
		__typeof__(&name) real_; \
		*(void **)&real_ = dlsym(RTLD_NEXT, #name); \
		real_(__VA_ARGS__); \
	})

int open(const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (fails(SYS_OPEN))
		return -1;
	return REAL(open, plan.from && strcmp(path, plan.from) == 0 ? plan.to : path, flags, mode);
}

ssize_t read(int fd, void *bytes, size_t len)
{
	if (fails(SYS_READ))
		return plan.error ? -1 : 0;
	return REAL(read, fd, bytes, len);
}

ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
	if (fails(SYS_PREAD))
		return plan.error ? -1 : 0;
	return REAL(pread, fd, bytes, len, offset);
}

static ino_t moved, moved_to; /* 0: none */

static ino_t number_of(const char *path)
{
	struct stat info;
	return path && REAL(stat, path, &info) == 0 ? info.st_ino : 0;
}

void sys_other_device(const char *path, const char *like)
{
	moved = number_of(path);
	moved_to = number_of(like);
}

static int tell_device(int rc, struct stat *out)
{
	if (rc == 0 && moved && out->st_ino == moved) {
		out->st_dev++;
		out->st_ino = moved_to;
	}
	return rc;
}

int fstat(int fd, struct stat *out)
{
	return fails(SYS_FSTAT) ? -1 : tell_device(REAL(fstat, fd, out), out);
}

int stat(const char *path, struct stat *out)
{
	return fails(SYS_STAT) ? -1 : tell_device(REAL(stat, path, out), out);
}

char *realpath(const char *path, char *out)
{
	return fails(SYS_REALPATH) ? NULL : REAL(realpath, plan.from && !plan.from[0] ? plan.to : path, out);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	if (fails(SYS_PWRITE))
		return plan.error ? -1 : 0;
	return REAL(pwrite, fd, bytes, len, offset);
}

int close(int fd) /* it is closed all the same, as on Linux */
{
	int failed = fails(SYS_CLOSE), code = errno, rc = REAL(close, fd);
	errno = failed ? code : errno;
	return failed ? -1 : rc;
}

int fsync(int fd)
{
	return fails(SYS_FSYNC) ? -1 : REAL(fsync, fd);
}

ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
	if (fails(SYS_GETRANDOM))
		return plan.error ? -1 : 0;
	return REAL(getrandom, bytes, len, flags);
}

int statvfs(const char *path, struct statvfs *out)
{
	return fails(SYS_STATVFS) ? -1 : REAL(statvfs, path, out);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	return fails(SYS_RENAMEAT2) ? -1 : REAL(renameat2, from_dir, from, to_dir, to, flags);
}

struct dirent *readdir(DIR *dir)
{
	return fails(SYS_READDIR) ? NULL : REAL(readdir, dir);
}

int epoll_create1(int flags)
{
	return fails(SYS_EPOLL_CREATE) ? -1 : REAL(epoll_create1, flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	return fails(SYS_EPOLL_CTL) ? -1 : REAL(epoll_ctl, epoll, operation, fd, event);
}

int eventfd(unsigned count, int flags)
{
	return fails(SYS_EVENTFD) ? -1 : REAL(eventfd, count, flags);
}

int timerfd_create(clockid_t clock, int flags)
{
	return fails(SYS_TIMERFD) ? -1 : REAL(timerfd_create, clock, flags);
}

int dlinfo(void *handle, int request, void *out)
{
	return fails(SYS_DLINFO) ? -1 : REAL(dlinfo, handle, request, out);
}

int dladdr(const void *address, Dl_info *out)
{
	return fails(SYS_DLADDR) ? 0 : REAL(dladdr, address, out);
}

int dladdr1(const void *address, Dl_info *out, void **extra, int flags)
{
	return fails(SYS_DLADDR1) ? 0 : REAL(dladdr1, address, out, extra, flags);
}

static const char *link_refusal, *link_reason;

void sys_refuse_to_link(const char *reason)
{
	link_refusal = reason;
}

/* dlsym forgets what dlerror would tell: so it is asked for the real one before. */
static char *(*real_dlerror)(void);

static void find_dlerror(void)
{
	if (!real_dlerror)
		*(void **)&real_dlerror = dlsym(RTLD_NEXT, "dlerror");
}

void *dlopen(const char *path, int mode)
{
	find_dlerror();
	if (!link_refusal)
		return REAL(dlopen, path, mode);
	link_reason = link_refusal;
	link_refusal = NULL;
	return NULL;
}

char *dlerror(void)
{
	char *reason = (char *)link_reason;
	link_reason = NULL;
	if (reason)
		return reason[0] ? reason : NULL;
	find_dlerror();
	return real_dlerror();
}
