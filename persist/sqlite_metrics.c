/* sqlite_metrics.c - the file of counters beside the database: written anew and renamed, so that a reader in another
 * process sees the old or the new ones whole. It is not synced: after a power loss it may be old, cut or gone, and that is
 * no loss. */
#include "persist/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>

#define METRICS_MAX 65536 /* of the file: what is longer is not ours */

enum mf_status mf_sqlite_save_metrics(struct mf_store *base, const void *text, size_t len, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	const struct mf_env *env = store->env;
	enum mf_status status = mf_sqlite_check_owner(store, error);
	if (status != MF_OK)
		return status;
	if (store->read_only)
		return mf_error_set(error, MF_ERR_STATE, "the store in %.200s was opened for reading only", store->dir);
	int fd = env->open(env->user, store->metrics_new_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return mf_sqlite_os_failed(error, fd, "make", store->metrics_new_path);
	int result = mf_env_write_all(env, fd, text, len, 0);
	int closed = env->close(env->user, fd);
	if (result == 0)
		result = closed;
	if (result == 0)
		result = env->rename(env->user, store->metrics_new_path, store->metrics_path, true);
	return result < 0 ? mf_sqlite_os_failed(error, result, "write", store->metrics_path) : MF_OK;
}

enum mf_status mf_sqlite_load_metrics(struct mf_store *base, struct mf_buffer *out, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	const struct mf_env *env = store->env;
	unsigned char bytes[4096];
	int fd = env->open(env->user, store->metrics_path, O_RDONLY, 0);
	if (fd == -ENOENT)
		return mf_error_set(error, MF_ERR_NOT_FOUND, "nobody has saved counters in %.200s", store->dir);
	if (fd < 0)
		return mf_sqlite_os_failed(error, fd, "open", store->metrics_path);
	enum mf_status status = MF_OK;
	ssize_t got;
	do {
		got = mf_env_read_all(env, fd, bytes, sizeof(bytes), (int64_t)out->len);
		if (got > 0)
			status = mf_buffer_append(out, bytes, (size_t)got);
	} while (got == (ssize_t)sizeof(bytes) && status == MF_OK && out->len < METRICS_MAX);
	env->close(env->user, fd);
	if (got < 0)
		return mf_sqlite_os_failed(error, got, "read", store->metrics_path);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "no memory to read %.200s", store->metrics_path);
}
