/* record.h - one event as bytes: the payload column of an event.
 *
 * Layout (docs/formats.md has the rest); the header is the same in every format version
 *
 *   offset  size
 *   0       1    format version: 1
 *   1       1    flags: bit 0 = the body is compressed, the others are 0
 *   2       16   content hash: XXH3-128 of document, operation and encoded steps
 *   18      ...  body: the frames, or varint raw length and one zstd frame of them
 *
 *   frames: varint count, then each: varint length, type_id, varint length, data
 *
 * Varints are LEB128, as short as possible. Events store {doc, operation, steps} so that the content
 * hash does not depend on how the body is compressed. The store reads nothing but that hash, which it keeps
 * with the key when an event is compacted away.
 *
 * Reader invariants: bounded by the payload and by MF_RECORD_RAW_MAX; every failure is MF_ERR_CORRUPTED (or
 * MF_ERR_NO_MEMORY) and leaves nothing allocated. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <moduforge/persist.h>

#define MF_RECORD_VERSION 1
#define MF_RECORD_COMPRESSED 1u
#define MF_RECORD_HASH_AT 2
#define MF_RECORD_HASH_LEN 16
#define MF_RECORD_HEADER_LEN 18
#define MF_RECORD_RAW_MAX ((size_t)256 << 20) /* of one event's frames */

/* Borrowed from payload; NULL for a payload that is too short to have one. */
static inline const uint8_t *mf_record_content_hash(const unsigned char *payload, size_t len)
{
	return len < MF_RECORD_HEADER_LEN ? NULL : payload + MF_RECORD_HASH_AT;
}

/* The payload's length without compression. It need not be checked yet: what is no record counts as it is. */
size_t mf_record_raw_len(const unsigned char *payload, size_t len);

/* ... and of a snapshot that was just encoded (snapshot_codec.c). */
size_t mf_snapshot_raw_len(const struct mf_snapshot *snapshot);

/* The content hash; frames count for apply only: undo and redo are known by document and operation. */
void mf_record_hash(const char *doc_id, enum mf_action action, const void *frames, size_t len, uint8_t out[MF_RECORD_HASH_LEN]);

/* Appends a payload to an empty buffer. MF_ERR_INVALID: a step that does not serialise, or too large. */
enum mf_status mf_record_write(struct mf_buffer *out, const char *doc_id, const struct mf_transaction *transaction,
			       const struct mf_persist_options *options, struct mf_error *error);

/* ---- reading: open, next while left > 0, close ---- */
struct mf_frame { /* borrowed until close */
	const char *type_id;
	size_t type_id_len;
	const unsigned char *data;
	size_t data_len;
};
struct mf_record {
	const unsigned char *at, *end;
	uint64_t left;
	void *memory;
};
enum mf_status mf_record_open(struct mf_record *record, const unsigned char *payload, size_t len, struct mf_error *error);
enum mf_status mf_record_next(struct mf_record *record, struct mf_frame *out, struct mf_error *error);
void mf_record_close(struct mf_record *record);

/* mf_event_decode without actor, key and meta, which a replay does not look at (event_codec.c). */
enum mf_status mf_event_decode_for_replay(const struct mf_event *event, const struct mf_step_registry *registry, struct mf_transaction **out, struct mf_error *error);
