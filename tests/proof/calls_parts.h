/* calls_parts.h - between calls_libc.c, which has the C library's names, and calls.c, which knows what is watched.
 *
 *   if (!calls_begin_fd(&call, CALLS_WRITE, "write", fd))  -- not watched, or a hook's own: no lock is held
 *     return real(...);
 *   ... the rest of call is filled in ...
 *   if (calls_before(&call))                               -- else it must not be done
 *     call.result = real(..., call.len ...);
 *   return calls_after(&call);                             -- errno is set, the lock released */
#pragma once

#include "calls.h"

bool calls_begin_fd(struct calls_call *call, enum calls_kind kind, const char *name, int fd);
/* at: a descriptor or AT_FDCWD. to may be NULL. Seen when either is under the directory. */
bool calls_begin_path(struct calls_call *call, enum calls_kind kind, const char *name, int at, const char *path, int to_at, const char *to);
bool calls_before(struct calls_call *call);
int64_t calls_after(struct calls_call *call);

/* Descriptors: duplicated and closed by calls that are not hooked. */
void calls_note_dup(int from, int to);
