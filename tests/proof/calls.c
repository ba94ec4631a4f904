/* What is watched, the numbers, the verdicts. The C library's names are in calls_libc.c. */
#include "calls_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS 4096 /* those above are not seen; a harness has a few dozen */

struct descriptor {
	char *path; /* NULL: not under the directory */
	bool is_dir;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_bool watching;
static _Thread_local bool inside; /* a hook's own calls */
/* All below: under the lock. */
static char root[PATH_MAX];
static size_t root_len;
static struct calls_hooks hooks;
static struct descriptor descriptors[DESCRIPTORS];
static char path_buffer[PATH_MAX], to_buffer[PATH_MAX];
static int64_t seen, seen_of[CALLS_KINDS];
static struct calls_verdict verdict; /* of the call under way */

static const char *const kind_names[CALLS_KINDS] = {
	[CALLS_OPEN] = "open", [CALLS_CLOSE] = "close", [CALLS_READ] = "read", [CALLS_WRITE] = "write", [CALLS_SYNC] = "fsync",
	[CALLS_DATASYNC] = "fdatasync", [CALLS_RANGE] = "sync_range", [CALLS_TRUNCATE] = "truncate", [CALLS_ALLOCATE] = "allocate",
	[CALLS_RENAME] = "rename", [CALLS_LINK] = "link", [CALLS_UNLINK] = "unlink", [CALLS_MKDIR] = "mkdir", [CALLS_MAP] = "map",
	[CALLS_LOCK] = "lock"};

const char *calls_kind_name(enum calls_kind kind)
{
	return kind_names[kind];
}

/* ---- watching ---- */

static void take(void)
{
	pthread_mutex_lock(&lock);
}
static void release(void)
{
	pthread_mutex_unlock(&lock);
}
static void mind_forks(void)
{
	pthread_atfork(take, release, release);
}

static void forget(struct descriptor *descriptor)
{
	free(descriptor->path);
	*descriptor = (struct descriptor){0};
}

static void forget_all(void)
{
	for (size_t i = 0; i < DESCRIPTORS; i++)
		forget(&descriptors[i]);
}

bool calls_watch(const char *directory, const struct calls_hooks *with)
{
	pthread_once(&once, mind_forks);
	take();
	forget_all();
	seen = 0;
	memset(seen_of, 0, sizeof(seen_of));
	hooks = *with;
	bool found = realpath(directory, root) != NULL;
	root_len = found ? strlen(root) : 0;
	atomic_store(&watching, found);
	release();
	return found;
}

void calls_unwatch(void)
{
	take();
	atomic_store(&watching, false);
	forget_all();
	release();
}

int64_t calls_seen(void)
{
	take();
	int64_t result = seen;
	release();
	return result;
}

int64_t calls_seen_of(enum calls_kind kind)
{
	take();
	int64_t result = seen_of[kind];
	release();
	return result;
}

/* ---- names ---- */

static struct descriptor *descriptor_of(int fd)
{
	return fd >= 0 && fd < DESCRIPTORS && descriptors[fd].path ? &descriptors[fd] : NULL;
}

/* Absolute, without empty and "." parts; ".." and symbolic links are left as they are: nobody here uses them. */
static bool resolve(int at, const char *path, char *out)
{
	size_t len = 0;
	if (path[0] != '/') {
		const struct descriptor *dir = at == AT_FDCWD ? NULL : descriptor_of(at);
		if (at != AT_FDCWD && !dir)
			return false;
		if (dir)
			len = (size_t)snprintf(out, PATH_MAX, "%s", dir->path);
		else if (getcwd(out, PATH_MAX))
			len = strlen(out);
	}
	while (*path) {
		size_t part = strcspn(path, "/");
		if (part > 0 && !(part == 1 && path[0] == '.')) {
			if (len + part + 2 > PATH_MAX)
				return false;
			out[len++] = '/';
			memcpy(out + len, path, part);
			len += part;
		}
		path += part;
		path += *path == '/';
	}
	out[len] = '\0';
	return true;
}

static bool is_under_root(const char *path)
{
	return strncmp(path, root, root_len) == 0 && (path[root_len] == '\0' || path[root_len] == '/');
}

/* ---- one call ---- */

static bool may_be_seen(void)
{
	return atomic_load(&watching) && !inside;
}

static bool begin(struct calls_call *call, enum calls_kind kind, const char *name)
{
	*call = (struct calls_call){.kind = kind, .name = name, .fd = -1};
	return true;
}

bool calls_begin_fd(struct calls_call *call, enum calls_kind kind, const char *name, int fd)
{
	if (!may_be_seen())
		return false;
	take();
	const struct descriptor *descriptor = descriptor_of(fd);
	if (!descriptor || !atomic_load(&watching)) {
		release();
		return false;
	}
	begin(call, kind, name);
	call->fd = fd;
	call->path = descriptor->path;
	call->is_dir = descriptor->is_dir;
	return true;
}

bool calls_begin_path(struct calls_call *call, enum calls_kind kind, const char *name, int at, const char *path, int to_at, const char *to)
{
	if (!may_be_seen())
		return false;
	int error = errno;
	take();
	bool resolved = resolve(at, path, path_buffer) && (!to || resolve(to_at, to, to_buffer));
	errno = error;
	if (!resolved || (!is_under_root(path_buffer) && !(to && is_under_root(to_buffer))) || !atomic_load(&watching)) {
		release();
		return false;
	}
	begin(call, kind, name);
	call->path = path_buffer;
	call->to = to ? to_buffer : NULL;
	return true;
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static bool can_pretend(enum calls_kind kind)
{
	return kind == CALLS_SYNC || kind == CALLS_DATASYNC || kind == CALLS_RANGE || kind == CALLS_TRUNCATE || kind == CALLS_ALLOCATE || kind == CALLS_WRITE ||
	       kind == CALLS_RENAME || kind == CALLS_UNLINK;
}

/* What was made for the caller would be lost by a failure that comes after it. */
static bool gives(enum calls_kind kind)
{
	return kind == CALLS_OPEN || kind == CALLS_MAP || kind == CALLS_LOCK;
}

bool calls_before(struct calls_call *call)
{
	call->index = ++seen;
	call->index_of_kind = ++seen_of[call->kind];
	verdict = (struct calls_verdict){0};
	if (hooks.before) {
		inside = true;
		verdict = hooks.before(hooks.user, call);
		inside = false;
	}
	if (verdict.action == CALLS_DO_AND_FAIL && gives(call->kind))
		verdict.action = CALLS_FAIL;
	switch (verdict.action) {
	case CALLS_KILL: die(); break;
	case CALLS_FAIL:
		call->result = -1;
		errno = verdict.error;
		if (call->kind == CALLS_CLOSE)
			return true; /* its result is overwritten in calls_after */
		return false;
	case CALLS_SHORTEN:
		if ((call->kind == CALLS_READ || call->kind == CALLS_WRITE) && verdict.len < call->len)
			call->len = verdict.len;
		return true;
	case CALLS_PRETEND:
		if (!can_pretend(call->kind))
			return true;
		call->pretended = true;
		call->result = call->kind == CALLS_WRITE ? (int64_t)call->len : 0;
		return false;
	case CALLS_PASS:
	case CALLS_DO_AND_FAIL: break;
	}
	return true;
}

static void remember(int fd, const char *path, bool is_dir)
{
	if (fd < 0 || fd >= DESCRIPTORS)
		return;
	forget(&descriptors[fd]);
	descriptors[fd] = (struct descriptor){.path = strdup(path), .is_dir = is_dir};
}

static void note_opened(struct calls_call *call)
{
	struct stat info;
	call->fd = (int)call->result;
	call->is_dir = fstat(call->fd, &info) == 0 && S_ISDIR(info.st_mode);
	remember(call->fd, call->path, call->is_dir);
}

int64_t calls_after(struct calls_call *call)
{
	int error = call->result == -1 ? errno : 0;
	call->error = error;
	if (call->kind == CALLS_OPEN && call->result >= 0)
		note_opened(call);
	if (hooks.after) {
		inside = true;
		hooks.after(hooks.user, call);
		inside = false;
	}
	if (verdict.then_kill)
		die();
	if (call->kind == CALLS_CLOSE)
		forget(&descriptors[call->fd]);
	int64_t result = call->result;
	if (verdict.action == CALLS_DO_AND_FAIL || (verdict.action == CALLS_FAIL && call->kind == CALLS_CLOSE)) {
		result = -1;
		error = verdict.error;
	}
	release();
	if (error)
		errno = error;
	return result;
}

void calls_note_dup(int from, int to)
{
	if (!may_be_seen() || to < 0 || from == to || to >= DESCRIPTORS)
		return;
	take();
	const struct descriptor *descriptor = descriptor_of(from);
	if (descriptor)
		remember(to, descriptor->path, descriptor->is_dir);
	else
		forget(&descriptors[to]);
	release();
}

/* ---- for people ---- */

const char *calls_tell(const struct calls_call *call, char *buffer, size_t size)
{
	const char *path = call->path + (is_under_root(call->path) && call->path[root_len] ? root_len + 1 : 0);
	int len = snprintf(buffer, size, "call %lld (%s %lld): %s %s", (long long)call->index, calls_kind_name(call->kind), (long long)call->index_of_kind, call->name, path);
	if (len < 0 || (size_t)len >= size)
		return buffer;
	if (call->to)
		snprintf(buffer + len, size - (size_t)len, " to %s", call->to + (is_under_root(call->to) && call->to[root_len] ? root_len + 1 : 0));
	else if (call->kind == CALLS_READ || call->kind == CALLS_WRITE)
		snprintf(buffer + len, size - (size_t)len, ", %zu bytes at %lld", call->len, (long long)call->offset);
	return buffer;
}
