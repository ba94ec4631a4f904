#include "persist/backup_mark.h"

#include <string.h>
#define XXH_INLINE_ALL /* its state lies on the stack */
#include <xxhash.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/checksum.h"
#include "persist/env.h"
#include "persist/sqlite_store.h"

#define VERSION 1
#define BLOCK (1u << 20)

static const char magic[8] = {'M', 'F', 'B', 'A', 'C', 'K', 'U', 'P'};

/* ---- the bytes ---- */

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
	return mf_crc32(mf_crc32(0, bytes, 12), bytes + 16, MF_BACKUP_MARK_LEN - 16);
}

static void encode(const struct mf_backup_mark *mark, unsigned char bytes[MF_BACKUP_MARK_LEN])
{
	const struct mf_backup_info *info = &mark->info;
	const int64_t numbers[] = {info->bytes - MF_BACKUP_MARK_LEN, info->lsn, info->epoch, info->time_us, info->events, info->documents};
	memcpy(bytes, magic, sizeof(magic));
	put(bytes + 8, VERSION, 4);
	for (size_t i = 0; i < 6; i++)
		put(bytes + 16 + 8 * i, (uint64_t)numbers[i], 8);
	memcpy(bytes + 64, mark->digest, 16);
	put(bytes + 12, crc_of(bytes), 4);
}

/* Of a file of size bytes; its magic and CRC are right. */
static bool decode(const unsigned char *bytes, int64_t size, struct mf_backup_mark *out)
{
	int64_t numbers[6];
	for (size_t i = 0; i < 6; i++) {
		numbers[i] = (int64_t)get(bytes + 16 + 8 * i, 8);
		if (numbers[i] < 0)
			return false;
	}
	out->info = (struct mf_backup_info){numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], size};
	memcpy(out->digest, bytes + 64, 16);
	return numbers[0] == size - MF_BACKUP_MARK_LEN;
}

/* ---- reading ---- */

static enum mf_status no_mark(const char *path, struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_CORRUPTED, "%.300s is not a whole backup: its end is not one of a backup, so it was cut off, changed, or never was one; use another", path);
}

enum mf_status mf_backup_mark_read(const struct mf_env *env, int fd, int64_t size, const char *path, struct mf_backup_mark *out, struct mf_error *error)
{
	unsigned char bytes[MF_BACKUP_MARK_LEN];
	struct mf_backup_mark mark;
	if (size < MF_BACKUP_MARK_LEN)
		return no_mark(path, error);
	ssize_t got = mf_env_read_all(env, fd, bytes, sizeof(bytes), size - MF_BACKUP_MARK_LEN);
	if (got < 0)
		return mf_sqlite_os_failed(error, got, "read", path);
	if (got != MF_BACKUP_MARK_LEN || memcmp(bytes, magic, sizeof(magic)) != 0 || get(bytes + 12, 4) != crc_of(bytes))
		return no_mark(path, error);
	if (get(bytes + 8, 4) > VERSION)
		return mf_error_set(error, MF_ERR_INVALID, "the backup %.300s was made by a newer version; use that one", path);
	if (!decode(bytes, size, &mark))
		return no_mark(path, error);
	*out = mark;
	return MF_OK;
}

static enum mf_status pass_block(const struct mf_backup_reading *reading, unsigned char *block, int64_t at, XXH3_state_t *state, int64_t *out_len, struct mf_error *error)
{
	int64_t left = reading->size - at;
	size_t wanted = left < BLOCK ? (size_t)left : BLOCK;
	ssize_t got = mf_env_read_all(reading->env, reading->from, block, wanted, at);
	if (got < 0)
		return mf_sqlite_os_failed(error, got, "read", reading->from_path);
	if ((size_t)got != wanted)
		return mf_error_set(error, MF_ERR_IO, "%.300s became shorter while it was read", reading->from_path);
	XXH3_128bits_update(state, block, wanted);
	int result = reading->to < 0 ? 0 : mf_env_write_all(reading->env, reading->to, block, wanted, at);
	if (result < 0)
		return mf_sqlite_os_failed(error, result, "write", reading->to_path);
	*out_len = got;
	return MF_OK;
}

enum mf_status mf_backup_read_through(const struct mf_backup_reading *reading, uint8_t out_digest[16], struct mf_error *error)
{
	unsigned char *block = mf_malloc(BLOCK);
	if (!block)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading %.300s", reading->from_path);
	XXH3_state_t state;
	XXH3_128bits_reset(&state);
	enum mf_status status = MF_OK;
	for (int64_t at = 0, len = 0; at < reading->size && status == MF_OK; at += len) {
		if (reading->progress && !reading->progress(reading->user, at, reading->size))
			status = mf_error_set(error, MF_ERR_STATE, "stopped while reading %.300s, as was asked", reading->from_path);
		else
			status = pass_block(reading, block, at, &state, &len, error);
	}
	mf_free(block);
	if (status != MF_OK)
		return status;
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
	memcpy(out_digest, canonical.digest, 16);
	return MF_OK;
}

/* ---- writing ---- */

enum mf_status mf_backup_mark_write(const struct mf_env *env, int fd, int64_t size, const char *path, struct mf_backup_mark *mark, struct mf_error *error)
{
	unsigned char bytes[MF_BACKUP_MARK_LEN];
	struct mf_backup_reading reading = {.env = env, .from = fd, .to = -1, .size = size, .from_path = path};
	enum mf_status status = mf_backup_read_through(&reading, mark->digest, error);
	if (status != MF_OK)
		return status;
	mark->info.bytes = size + MF_BACKUP_MARK_LEN;
	encode(mark, bytes);
	int result = mf_env_write_all(env, fd, bytes, sizeof(bytes), size);
	return result < 0 ? mf_sqlite_os_failed(error, result, "write", path) : MF_OK;
}
