#include "env_fail.h"

static int64_t from, most, made;
static int code;

void env_fail_begin(int64_t n, int64_t times, int with)
{
	from = n;
	most = times;
	code = with;
	made = 0;
}

void env_fail_end(void)
{
	from = 0;
}

int64_t env_fail_made(void)
{
	return made;
}

static bool strikes(void)
{
	made++;
	return from > 0 && made >= from && made - from < most;
}

#define OS mf_env_os()
#define FAILING(type, name, params, ...) \
	static type fail_##name params { return strikes() ? -code : OS->name(user, __VA_ARGS__); }

FAILING(int, random, (void *user, void *bytes, size_t len), bytes, len)
FAILING(int, open, (void *user, const char *path, int flags, mode_t mode), path, flags, mode)
FAILING(ssize_t, pread, (void *user, int fd, void *bytes, size_t len, int64_t offset), fd, bytes, len, offset)
FAILING(ssize_t, pwrite, (void *user, int fd, const void *bytes, size_t len, int64_t offset), fd, bytes, len, offset)
FAILING(int, fsync, (void *user, int fd), fd)
FAILING(int, lock, (void *user, int fd), fd)
FAILING(int, mkdir, (void *user, const char *path, mode_t mode), path, mode)
FAILING(int64_t, size, (void *user, const char *path), path)
FAILING(int, identity, (void *user, const char *path, int fd, struct mf_file_identity *out), path, fd, out)
FAILING(int, resolve, (void *user, const char *path, char out[MF_PATH_MAX]), path, out)
FAILING(int, drop_cache, (void *user, const char *path), path)
FAILING(int, rename, (void *user, const char *before, const char *after, bool replace), before, after, replace)
FAILING(int, remove, (void *user, const char *path), path)
FAILING(int64_t, free_bytes, (void *user, const char *path), path)
FAILING(int, is_empty, (void *user, const char *dir), dir)

static int fail_close(void *user, int fd)
{
	int result = OS->close(user, fd);
	return strikes() ? -code : result;
}

const struct mf_env *env_fail(void)
{
	static struct mf_env env;
	env = *OS;
	env.random = fail_random;
	env.open = fail_open;
	env.close = fail_close;
	env.pread = fail_pread;
	env.pwrite = fail_pwrite;
	env.fsync = fail_fsync;
	env.lock = fail_lock;
	env.mkdir = fail_mkdir;
	env.size = fail_size;
	env.identity = fail_identity;
	env.resolve = fail_resolve;
	env.drop_cache = fail_drop_cache;
	env.rename = fail_rename;
	env.remove = fail_remove;
	env.free_bytes = fail_free_bytes;
	env.is_empty = fail_is_empty;
	return &env;
}
