#include "persist/watermark.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "persist/checksum.h"
#include "persist/env.h"
#include "persist/sqlite_store.h"

static const unsigned char magic[4] = {'M', 'F', 'W', 'M'};

static void put(unsigned char *at, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *at, size_t size)
{
	uint64_t value = 0;
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static uint32_t crc_of(const unsigned char *bytes)
{
	return mf_crc32(0, bytes + 8, MF_WATERMARK_LEN - 8);
}

static bool decode(const unsigned char *bytes, struct mf_watermark *out)
{
	if (memcmp(bytes, magic, sizeof(magic)) != 0 || get(bytes + 4, 4) != crc_of(bytes))
		return false;
	out->synced_lsn = (int64_t)get(bytes + 8, 8);
	out->epoch = (int64_t)get(bytes + 16, 8);
	out->sync_failed = bytes[24] != 0;
	return out->synced_lsn >= 0 && out->synced_lsn < INT64_MAX - 1 && out->epoch >= 0 && out->epoch < INT64_MAX - 1; /* they are counted on from */
}

enum mf_status mf_watermark_read(const struct mf_env *env, const char *path, struct mf_watermark *out, enum mf_watermark_state *out_state, struct mf_error *error)
{
	unsigned char bytes[MF_WATERMARK_LEN];
	int fd = env->open(env->user, path, O_RDONLY, 0);
	if (fd == -ENOENT) {
		memset(out, 0, sizeof(*out));
		*out_state = MF_WATERMARK_MISSING;
		return MF_OK;
	}
	if (fd < 0)
		return mf_sqlite_os_failed(error, fd, "open the watermark", path);
	ssize_t got = mf_env_read_all(env, fd, bytes, sizeof(bytes), 0);
	env->close(env->user, fd);
	if (got < 0)
		return mf_error_set(error, MF_ERR_IO, "cannot read %s: %s", path, strerror((int)-got));
	struct mf_watermark found;
	bool good = got == MF_WATERMARK_LEN && decode(bytes, &found);
	memset(out, 0, sizeof(*out));
	if (good)
		*out = found;
	/* An opening that ended before its first write leaves an empty file. */
	*out_state = good ? MF_WATERMARK_GOOD : got == 0 ? MF_WATERMARK_MISSING : MF_WATERMARK_DAMAGED;
	return MF_OK;
}

enum mf_status mf_watermark_write(const struct mf_env *env, int fd, const struct mf_watermark *watermark, struct mf_error *error)
{
	unsigned char bytes[MF_WATERMARK_LEN] = {0};
	memcpy(bytes, magic, sizeof(magic));
	put(bytes + 8, (uint64_t)watermark->synced_lsn, 8);
	put(bytes + 16, (uint64_t)watermark->epoch, 8);
	bytes[24] = watermark->sync_failed;
	put(bytes + 4, crc_of(bytes), 4);
	int result = mf_env_write_all(env, fd, bytes, sizeof(bytes), 0);
	if (result < 0)
		return mf_error_set(error, mf_sql_out_of_space(-result) ? MF_ERR_STORAGE_FULL : MF_ERR_IO, "cannot write the watermark: %s", strerror(-result));
	return MF_OK;
}
