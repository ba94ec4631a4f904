#include "persist/sqlite_paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/env.h"
#include "persist/sqlite_store.h"

static const char *here_if_needed(const char *path)
{
	return strncmp(path, "file:", 5) == 0 ? "./" : "";
}

/* Without slashes at the end, but for the root. */
static size_t trimmed(const char *path)
{
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	return len;
}

char *mf_path_join(const char *dir, const char *name)
{
	const char *here = here_if_needed(dir);
	size_t len = strlen(dir), size = strlen(here) + len + strlen(name) + 2;
	while (len > 0 && dir[len - 1] == '/') /* also of the root */
		len--;
	char *path = mf_malloc(size);
	if (path)
		snprintf(path, size, "%s%.*s/%s", here, (int)len, dir, name);
	return path;
}

enum mf_status mf_path_partial(const struct mf_env *env, const char *path, char **out, struct mf_error *error)
{
	uint64_t number;
	size_t len = trimmed(path), size = len + 32;
	int result = env->random(env->user, &number, sizeof(number));
	if (result < 0)
		return mf_sqlite_os_failed(error, result, "get random numbers for", path);
	char *partial = mf_malloc(size);
	if (!partial)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for the name %.300s", path);
	snprintf(partial, size, "%s%.*s.%016llx.partial", here_if_needed(path), (int)len, path, (unsigned long long)number);
	*out = partial;
	return MF_OK;
}

/* Of the directory that holds path, which it changes. */
static const char *parent_of(char *path)
{
	path[trimmed(path)] = '\0';
	char *slash = strrchr(path, '/');
	if (slash)
		slash[slash == path] = '\0';
	return slash ? path : ".";
}

enum mf_status mf_path_check_free(const struct mf_env *env, const char *path, struct mf_error *error)
{
	static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm", "store.db-journal", "watermark", "lock", "metrics"};
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	bool used = false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		used = used || strcmp(name, names[i]) == 0;
	if (!used)
		return MF_OK;
	char *copy = mf_strdup(path), *database = copy ? mf_path_join(parent_of(copy), names[0]) : NULL;
	int64_t size = database ? env->size(env->user, database) : 0;
	mf_free(copy);
	mf_free(database);
	if (!database)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory for the name %.300s", path);
	return size == -ENOENT ? MF_OK : mf_error_set(error, MF_ERR_INVALID, "%.300s is the name of a file of the store there; give it another name", path);
}

enum mf_status mf_path_sync_parent(const struct mf_env *env, const char *path, struct mf_error *error)
{
	char *parent = mf_strdup(path);
	if (!parent)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while syncing the directory of %.300s", path);
	const char *name = parent_of(parent);
	int result = mf_env_sync_dir(env, name);
	enum mf_status status = result < 0 ? mf_sqlite_os_failed(error, result, "sync the directory", name) : MF_OK;
	mf_free(parent);
	return status;
}
