#include "persist/checksum.h"

#include <endian.h>
#include <string.h>
#include <libdeflate.h>

/* The small fields are gathered first: crc32 is fast on one long run and slow on many short ones. */
#define GATHER_MAX 512

struct gather {
	uint32_t crc;
	size_t len;
	unsigned char bytes[GATHER_MAX];
};

static void flush(struct gather *to)
{
	to->crc = libdeflate_crc32(to->crc, to->bytes, to->len);
	to->len = 0;
}

static void put_bytes(struct gather *to, const void *bytes, size_t len)
{
	if (len > GATHER_MAX - to->len)
		flush(to);
	if (len > GATHER_MAX) {
		to->crc = libdeflate_crc32(to->crc, bytes, len);
		return;
	}
	if (len > 0)
		memcpy(to->bytes + to->len, bytes, len);
	to->len += len;
}

static void put_u64(struct gather *to, uint64_t value)
{
	value = htole64(value);
	put_bytes(to, &value, sizeof(value));
}

static void put_u32(struct gather *to, uint32_t value)
{
	value = htole32(value);
	put_bytes(to, &value, sizeof(value));
}

static void put_u8(struct gather *to, unsigned char value)
{
	put_bytes(to, &value, sizeof(value));
}

static void put_sized(struct gather *to, const void *bytes, size_t len)
{
	put_u32(to, (uint32_t)len);
	put_bytes(to, bytes, len);
}

static void put_text(struct gather *to, const char *text)
{
	put_sized(to, text, text ? strlen(text) : 0);
}

static uint32_t finish(struct gather *from)
{
	flush(from);
	return from->crc;
}

uint32_t mf_event_checksum(const struct mf_event *event)
{
	struct gather all;
	all.crc = 0;
	all.len = 0;
	put_u64(&all, (uint64_t)event->lsn);
	put_u64(&all, (uint64_t)event->epoch);
	put_u64(&all, (uint64_t)event->prev_lsn);
	put_u64(&all, event->tr_id);
	put_u64(&all, (uint64_t)event->ts_us);
	put_u64(&all, (uint64_t)event->source_lsn);
	put_u8(&all, (unsigned char)event->action);
	put_text(&all, event->doc_id);
	put_u8(&all, event->actor != NULL);
	put_text(&all, event->actor);
	put_text(&all, event->idempotency_key);
	put_sized(&all, event->meta, event->meta_len);
	put_sized(&all, event->payload, event->payload_len);
	return finish(&all);
}

uint32_t mf_row_checksum(const int64_t *numbers, size_t count, const char *text, const void *bytes, size_t len)
{
	struct gather all;
	all.crc = 0;
	all.len = 0;
	for (size_t i = 0; i < count; i++)
		put_u64(&all, (uint64_t)numbers[i]);
	put_text(&all, text);
	put_sized(&all, bytes, len);
	return finish(&all);
}

/* One statement may hold a little less than SQLite's limit of a thousand million bytes a row. */
#define BYTES_MAX 900000000u

static enum mf_status check_id(const char *id, const char *name, struct mf_error *error)
{
	if (!id)
		return mf_error_set(error, MF_ERR_INVALID, "the event has no %s", name);
	size_t len = strnlen(id, MF_ID_MAX + 1);
	if (len == 0 || len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "the event's %s is %s; it must be 1 to %d bytes", name, len == 0 ? "empty" : "too long", MF_ID_MAX);
	return MF_OK;
}

enum mf_status mf_event_check(const struct mf_event *event, struct mf_error *error)
{
	enum mf_status status = check_id(event->doc_id, "doc_id", error);
	if (status != MF_OK)
		return status;
	status = check_id(event->idempotency_key, "idempotency_key", error);
	if (status != MF_OK)
		return status;
	if (event->actor && strnlen(event->actor, MF_ID_MAX + 1) > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "the event's actor is longer than %d bytes", MF_ID_MAX);
	if (event->tr_id > INT64_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "the event's tr_id is larger than %lld", (long long)INT64_MAX);
	if ((unsigned)event->action > MF_ACTION_REDO)
		return mf_error_set(error, MF_ERR_INVALID, "the event's action is %d; it must be apply, undo or redo", (int)event->action);
	if (event->source_lsn < 0)
		return mf_error_set(error, MF_ERR_INVALID, "the event's source_lsn is negative");
	if (event->meta_len > BYTES_MAX || event->payload_len > BYTES_MAX - event->meta_len)
		return mf_error_set(error, MF_ERR_INVALID, "meta and payload are %zu and %zu bytes, together at most %u", event->meta_len, event->payload_len, BYTES_MAX);
	if (!event->meta || memchr(event->meta, 0, event->meta_len))
		return mf_error_set(error, MF_ERR_INVALID, "the event has no meta, or one with a NUL byte; it must be JSON text");
	if (!event->payload && event->payload_len > 0)
		return mf_error_set(error, MF_ERR_INVALID, "the event has no payload");
	return MF_OK;
}

uint32_t mf_crc32(uint32_t crc, const void *bytes, size_t len)
{
	return libdeflate_crc32(crc, bytes, len);
}
