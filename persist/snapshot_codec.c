/* snapshot_codec.c - a state as one blob; what is in a blob. snapshot_load.c makes a state of it again.
 *
 *   offset  size
 *   0       4    magic "MFSN"
 *   4       1    format version: 1 whole, 2 incremental (the same number as the snapshot's version)
 *   5       1    flags: bit 0 = the body is one zstd frame, the others are 0
 *   6       2    0
 *   8       8    raw length: bytes of the body before compression, little-endian
 *   16      16   digest of the document
 *   32      4    CRC-32 (zlib's) of bytes 0 to 31 and 36 to the end, little-endian
 *   36      8    version 2 only: LSN of the base, little-endian
 *   44      16   version 2 only: digest of the base's document
 *   36, 60  ...  body: the packed state (model/pack.h), in version 2 the difference (model/delta.h); then its fields
 *
 * Invariant
 * 1. Nothing is parsed before the CRC fits, and nothing allocated that the blob does not account for. */
#include "persist/snapshot_codec.h"

#include <assert.h>
#include <string.h>

#include "model/field.h"
#include "model/mem.h"
#include "persist/checksum.h"
#include "persist/compress.h"
#include "persist/env.h"
#include "persist/record.h"

#define COMPRESSED 1u
#define RAW_LEN_AT 8
#define DIGEST_AT 16
#define CRC_AT 32
#define HEADER_LEN 36
#define BASE_LSN_AT 36
#define BASE_DIGEST_AT 44
#define LONG_HEADER_LEN 60
#define RAW_MAX ((uint64_t)4 << 30)

static void put_le(unsigned char *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get_le(const unsigned char *in, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)in[i] << (8 * i);
	return value;
}

static uint32_t blob_crc(const unsigned char *blob, size_t len)
{
	return mf_crc32(mf_crc32(0, blob, CRC_AT), blob + HEADER_LEN, len - HEADER_LEN);
}

static size_t header_len(unsigned char version)
{
	return version == MF_SNAPSHOT_INCREMENTAL ? LONG_HEADER_LEN : HEADER_LEN;
}

/* ---- encoding ---- */

struct encoding {
	const struct mf_snapshot_base *base; /* NULL: whole */
	const struct mf_state *state;
	const struct mf_persist_options *options;
	struct mf_buffer blob;
	bool fits;
};

/* Replaces the body by its compressed form, if that is shorter. */
static enum mf_status compress_body(struct mf_buffer *blob, int level)
{
	size_t at = header_len(blob->bytes[4]), len = blob->len - at, packed_len = 0;
	unsigned char *packed = mf_malloc(len);
	if (!packed)
		return MF_ERR_NO_MEMORY;
	enum mf_status status = mf_compress(level, blob->bytes + at, len, packed, len - 1, &packed_len);
	if (status == MF_OK && packed_len > 0) {
		memcpy(blob->bytes + at, packed, packed_len);
		blob->len = at + packed_len;
		blob->bytes[5] |= COMPRESSED;
	}
	mf_free(packed);
	return status;
}

static enum mf_status append_header(struct encoding *encoding)
{
	unsigned char header[LONG_HEADER_LEN] = {'M', 'F', 'S', 'N', encoding->base ? MF_SNAPSHOT_INCREMENTAL : MF_SNAPSHOT_WHOLE};
	struct mf_digest digest;
	mf_digest_of_doc(mf_state_doc(encoding->state), &digest);
	memcpy(header + DIGEST_AT, digest.bytes, MF_DIGEST_BYTES);
	if (encoding->base) {
		put_le(header + BASE_LSN_AT, (uint64_t)mf_state_lsn(encoding->base->state), 8);
		memcpy(header + BASE_DIGEST_AT, encoding->base->digest.bytes, MF_DIGEST_BYTES);
	}
	return mf_buffer_append(&encoding->blob, header, header_len(header[4]));
}

static enum mf_status append_body(struct encoding *encoding, struct mf_error *error)
{
	const struct mf_snapshot_base *base = encoding->base;
	encoding->fits = true;
	enum mf_status status = base ? mf_pack_delta(&encoding->blob, base->state, encoding->state, base->raw_max, &encoding->fits)
				     : mf_pack_state(&encoding->blob, encoding->state);
	return status == MF_OK && encoding->fits ? mf_pack_fields(&encoding->blob, encoding->state, error) : status;
}

static enum mf_status fill_blob(struct encoding *encoding, struct mf_error *error)
{
	struct mf_buffer *blob = &encoding->blob;
	enum mf_status status = append_header(encoding);
	size_t at = blob->len;
	if (status == MF_OK)
		status = append_body(encoding, error);
	if (status != MF_OK || !encoding->fits)
		return status;
	if (blob->len - at > RAW_MAX)
		return MF_ERR_INVALID;
	put_le(blob->bytes + RAW_LEN_AT, blob->len - at, 8);
	if (encoding->options->compression)
		status = compress_body(blob, encoding->options->compression_level);
	if (status == MF_OK)
		put_le(blob->bytes + CRC_AT, blob_crc(blob->bytes, blob->len), 4);
	return status;
}

static struct mf_snapshot finished(const struct encoding *encoding, size_t len)
{
	const struct mf_env *env = mf_env_or_default(encoding->options->env);
	return (struct mf_snapshot){
		.doc_id = (const char *)encoding->blob.bytes + len,
		.upto_lsn = mf_state_lsn(encoding->state),
		.created_at = env->wall_us(env->user),
		.version = encoding->blob.bytes[4],
		.state_blob = encoding->blob.bytes,
		.state_len = len,
		.memory = encoding->blob.bytes,
		.base_lsn = encoding->base ? mf_state_lsn(encoding->base->state) : 0,
	};
}

enum mf_status mf_snapshot_encode_on(const char *doc_id, const struct mf_snapshot_base *base, const struct mf_state *state, const struct mf_persist_options *options,
				     struct mf_snapshot *out, bool *out_fits, struct mf_error *error)
{
	struct encoding encoding = {.base = base, .state = state, .options = options};
	struct mf_error reason = {0};
	if (mf_state_lsn(state) < 0)
		return mf_error_set(error, MF_ERR_STATE, "document '%.100s': a snapshot is taken of committed states only", doc_id);
	enum mf_status status = fill_blob(&encoding, &reason);
	size_t len = encoding.blob.len;
	if (status == MF_OK)
		status = mf_buffer_append(&encoding.blob, doc_id, strlen(doc_id) + 1);
	if (status != MF_OK) {
		mf_buffer_deinit(&encoding.blob);
		return mf_error_set(error, status, "document '%.100s': the snapshot at LSN %lld could not be made (%.300s)", doc_id, (long long)mf_state_lsn(state),
				    reason.status ? reason.message : mf_status_name(status));
	}
	if (encoding.fits)
		*out = finished(&encoding, len);
	else
		mf_buffer_deinit(&encoding.blob);
	if (out_fits)
		*out_fits = encoding.fits;
	return MF_OK;
}

enum mf_status mf_snapshot_encode(const char *doc_id, const struct mf_state *state, const struct mf_persist_options *options, struct mf_snapshot *out, struct mf_error *error)
{
	struct mf_persist_options defaults;
	mf_persist_options_init(&defaults);
	return mf_snapshot_encode_on(doc_id, NULL, state, options ? options : &defaults, out, NULL, error);
}

/* ---- what is in a blob ---- */

size_t mf_snapshot_raw_len(const struct mf_snapshot *snapshot)
{
	assert(snapshot->state_len >= HEADER_LEN);
	return header_len(snapshot->state_blob[4]) + (size_t)get_le(snapshot->state_blob + RAW_LEN_AT, 8);
}

static enum mf_status check_format(const struct mf_snapshot *snapshot, bool *out_newer, struct mf_error *error)
{
	const unsigned char *blob = snapshot->state_blob;
	if (!blob || snapshot->state_len < HEADER_LEN)
		return mf_error_set(error, MF_ERR_CORRUPTED, "it is cut off");
	if (memcmp(blob, "MFSN", 4) != 0)
		return mf_error_set(error, MF_ERR_CORRUPTED, "it does not begin as a snapshot does");
	if (blob_crc(blob, snapshot->state_len) != get_le(blob + CRC_AT, 4))
		return mf_error_set(error, MF_ERR_CORRUPTED, "its checksum does not fit");
	if (out_newer)
		*out_newer = blob[4] > MF_SNAPSHOT_INCREMENTAL && snapshot->version == blob[4];
	if (blob[4] < MF_SNAPSHOT_WHOLE || blob[4] > MF_SNAPSHOT_INCREMENTAL || snapshot->version != blob[4])
		return mf_error_set(error, MF_ERR_CORRUPTED, "it has format %u, this version of the library reads %d and %d", blob[4], MF_SNAPSHOT_WHOLE, MF_SNAPSHOT_INCREMENTAL);
	if ((blob[5] & ~COMPRESSED) || blob[6] || blob[7])
		return mf_error_set(error, MF_ERR_CORRUPTED, "it has unknown flags");
	return snapshot->state_len < header_len(blob[4]) ? mf_error_set(error, MF_ERR_CORRUPTED, "it is cut off") : MF_OK;
}

enum mf_status mf_snapshot_read_head(const struct mf_snapshot *snapshot, struct mf_snapshot_head *out, bool *out_newer, struct mf_error *error)
{
	const unsigned char *blob = snapshot->state_blob;
	struct mf_snapshot_head head = {0};
	if (out_newer)
		*out_newer = false;
	enum mf_status status = check_format(snapshot, out_newer, error);
	if (status != MF_OK)
		return status;
	head.raw_len = get_le(blob + RAW_LEN_AT, 8);
	memcpy(head.digest.bytes, blob + DIGEST_AT, MF_DIGEST_BYTES);
	if (blob[4] == MF_SNAPSHOT_INCREMENTAL) {
		head.base_lsn = (int64_t)get_le(blob + BASE_LSN_AT, 8);
		memcpy(head.base_digest.bytes, blob + BASE_DIGEST_AT, MF_DIGEST_BYTES);
		if (head.base_lsn < 1 || head.base_lsn >= snapshot->upto_lsn)
			return mf_error_set(error, MF_ERR_CORRUPTED, "it cannot build on a snapshot at LSN %lld", (long long)head.base_lsn);
	}
	if (head.base_lsn != snapshot->base_lsn)
		return mf_error_set(error, MF_ERR_CORRUPTED, "it builds on another snapshot than its row says");
	*out = head;
	return MF_OK;
}

enum mf_status mf_snapshot_open_body(const struct mf_snapshot *snapshot, struct mf_unpack *out_body, void **out_memory, struct mf_error *error)
{
	const unsigned char *body = snapshot->state_blob + header_len(snapshot->state_blob[4]);
	size_t len = snapshot->state_len - header_len(snapshot->state_blob[4]);
	uint64_t raw_len = get_le(snapshot->state_blob + RAW_LEN_AT, 8);
	*out_memory = NULL;
	*out_body = (struct mf_unpack){body, body + len};
	if (!(snapshot->state_blob[5] & COMPRESSED))
		return raw_len == len ? MF_OK : mf_error_set(error, MF_ERR_CORRUPTED, "its length is wrong");
	if (raw_len == 0 || raw_len > RAW_MAX || !mf_compressed_is(body, len, raw_len))
		return mf_error_set(error, MF_ERR_CORRUPTED, "its length is wrong");
	unsigned char *raw = mf_malloc(raw_len);
	enum mf_status status = raw ? mf_decompress(body, len, raw, raw_len) : MF_ERR_NO_MEMORY;
	if (status != MF_OK) {
		mf_free(raw);
		return mf_error_set(error, status, "its %llu bytes could not be decompressed", (unsigned long long)raw_len);
	}
	*out_memory = raw;
	*out_body = (struct mf_unpack){raw, raw + raw_len};
	return MF_OK;
}
