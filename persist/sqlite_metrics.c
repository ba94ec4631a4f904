/* sqlite_metrics.c - the file of counters beside the database:
 *
 *   the text, a newline, the CRC-32 (zlib's) of the text as 8 hexadecimal digits, a newline, spaces to a multiple of 4096
 *
 * Written over in place, by one call and never synced: it comes from the thread that syncs, which must not wait for the
 * file system to make or rename files. A reader beside it may see half of two texts: the CRC tells, and it looks again.
 * After a power loss the file may be old, cut or gone, and that is no loss. */
#include "persist/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/mem.h"
#include "persist/checksum.h"
#include <moduforge/value.h>

#define METRICS_MAX 65536 /* of the file: what is longer is not ours */
#define METRICS_BLOCK 4096
#define SEAL_LEN 10 /* newline, 8 digits, newline */
#define READS 5

/* ---- writing: under the metrics lock ---- */

static enum mf_status open_file(struct mf_sqlite *store, struct mf_error *error)
{
	if (store->metrics_fd >= 0 && mf_sqlite_is_ours(store, store->metrics_fd, &store->metrics))
		return MF_OK;
	int fd = store->env->open(store->env->user, store->metrics_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return mf_sqlite_os_failed(error, fd, "make", store->metrics_path);
	store->metrics_fd = fd;
	(void)store->env->identity(store->env->user, NULL, fd, &store->metrics);
	return MF_OK;
}

/* What is written is never shorter than what was: nothing old is left behind it. */
static size_t file_size_for(struct mf_sqlite *store, size_t len)
{
	size_t size = (len + SEAL_LEN + METRICS_BLOCK - 1) / METRICS_BLOCK * METRICS_BLOCK;
	if (size > store->metrics_size)
		store->metrics_size = size;
	return store->metrics_size;
}

static enum mf_status write_file(struct mf_sqlite *store, const void *text, size_t len, struct mf_error *error)
{
	size_t size = file_size_for(store, len);
	char *bytes = mf_malloc(size + 1);
	if (!bytes)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to save the counters");
	memcpy(bytes, text, len);
	snprintf(bytes + len, SEAL_LEN + 1, "\n%08x\n", mf_crc32(0, text, len));
	memset(bytes + len + SEAL_LEN, ' ', size - len - SEAL_LEN);
	enum mf_status status = open_file(store, error);
	if (status == MF_OK) {
		int result = mf_env_write_all(store->env, store->metrics_fd, bytes, size, 0);
		if (result < 0)
			status = mf_sqlite_os_failed(error, result, "write", store->metrics_path);
	}
	mf_free(bytes);
	return status;
}

enum mf_status mf_sqlite_save_metrics(struct mf_store *base, const void *text, size_t len, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_owner(store, error);
	if (status != MF_OK)
		return status;
	if (store->read_only)
		return mf_error_set(error, MF_ERR_STATE, "the store in %.200s was opened for reading only", store->dir);
	const char *newline = len > 0 ? memchr(text, '\n', len) : NULL;
	if (newline) /* one line; where it ends is no part of it */
		len = (size_t)(newline - (const char *)text);
	if (len > METRICS_MAX - METRICS_BLOCK)
		return mf_error_set(error, MF_ERR_INVALID, "counters of %zu bytes are too long to be saved", len);
	pthread_mutex_lock(&store->metrics_lock);
	status = write_file(store, text, len, error);
	pthread_mutex_unlock(&store->metrics_lock);
	return status;
}

/* ---- reading ---- */

/* Length of the text, 0 when it is not whole. */
static size_t unseal(const char *bytes, size_t len)
{
	const char *end = memchr(bytes, '\n', len);
	char digits[9] = "";
	if (!end || (size_t)(bytes + len - end) < SEAL_LEN || end[SEAL_LEN - 1] != '\n')
		return 0;
	memcpy(digits, end + 1, 8);
	size_t text_len = (size_t)(end - bytes);
	return strtoul(digits, NULL, 16) == mf_crc32(0, bytes, text_len) ? text_len : 0;
}

static enum mf_status read_file(const struct mf_sqlite *store, char *bytes, size_t *out_len, struct mf_error *error)
{
	const struct mf_env *env = store->env;
	int fd = env->open(env->user, store->metrics_path, O_RDONLY, 0);
	if (fd == -ENOENT)
		return mf_error_set(error, MF_ERR_NOT_FOUND, "nobody has saved counters in %.200s", store->dir);
	if (fd < 0)
		return mf_sqlite_os_failed(error, fd, "open", store->metrics_path);
	ssize_t got = mf_env_read_all(env, fd, bytes, METRICS_MAX, 0);
	env->close(env->user, fd);
	if (got < 0)
		return mf_sqlite_os_failed(error, got, "read", store->metrics_path);
	*out_len = unseal(bytes, (size_t)got);
	return MF_OK;
}

enum mf_status mf_sqlite_load_metrics(struct mf_store *base, struct mf_buffer *out, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	char *bytes = mf_malloc(METRICS_MAX);
	size_t len = 0;
	if (!bytes)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to read %.200s", store->metrics_path);
	enum mf_status status = MF_OK;
	for (int i = 0; i < READS && status == MF_OK && len == 0; i++)
		status = read_file(store, bytes, &len, error);
	if (status == MF_OK && len == 0)
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "the counters in %.200s are not whole", store->metrics_path);
	else if (status == MF_OK && mf_buffer_append(out, bytes, len) != MF_OK)
		status = mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to read %.200s", store->metrics_path);
	mf_free(bytes);
	return status;
}
