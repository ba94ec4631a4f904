/* sys_fail.h - calls of the C library that fail when a test says so: defined in the test's own program, in place of the C
 * library's, which they call otherwise. One thing is set at a time; all of it is for one thread. */
#pragma once

enum sys_call { SYS_OPEN, SYS_READ, SYS_PREAD, SYS_FSTAT, SYS_STAT, SYS_REALPATH, SYS_EPOLL_CREATE, SYS_EPOLL_CTL, SYS_EVENTFD, SYS_TIMERFD,
		SYS_PWRITE, SYS_CLOSE, SYS_FSYNC, SYS_GETRANDOM, SYS_STATVFS, SYS_RENAMEAT2, SYS_READDIR, SYS_DLINFO, SYS_DLADDR, SYS_DLADDR1 };

/* Call number n (1 = the next) of this kind fails with this errno; 0: a read gives 0 bytes. n 0: nothing fails; -1: every one. */
void sys_fail(enum sys_call call, int n, int error);
int sys_calls(void); /* of that kind since then */
/* The file at path is on another device than it is, and has the number that like has there, wherever it is met. NULL: no more. */
void sys_other_device(const char *path, const char *like);
/* The next dlopen refuses, and dlerror gives this as its reason; "": none. */
void sys_refuse_to_link(const char *reason);
/* Who opens from gets to; from "": whose real path is asked for, it is to's. NULL: no more. */
void sys_redirect(const char *from, const char *to);
