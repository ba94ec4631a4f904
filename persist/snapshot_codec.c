/* snapshot_codec.c - a state as one blob, and back: mf_snapshot_encode, mf_snapshot_decode.
 *
 *   offset  size
 *   0       4    magic "MFSN"
 *   4       1    format version: 1 (the same number as the snapshot's version)
 *   5       1    flags: bit 0 = the body is one zstd frame, the others are 0
 *   6       2    0
 *   8       8    raw length: bytes of the packed state, little-endian
 *   16      16   digest of the document
 *   32      4    CRC-32 (zlib's) of bytes 0 to 31 and 36 to the end, little-endian
 *   36      ...  body: the packed state (model/pack.h)
 *
 * Invariants
 * 1. Nothing is parsed before the CRC fits, and nothing allocated that the blob does not account for.
 * 2. A decoded state has the digest and the LSN that the blob and its row promise. */
#include <string.h>

#include "model/mem.h"
#include "model/pack.h"
#include "persist/checksum.h"
#include "persist/compress.h"
#include "persist/env.h"
#include "persist/record.h"
#include <moduforge/persist.h>

#define VERSION 1
#define COMPRESSED 1u
#define HEADER_LEN 36
#define CRC_AT 32
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

/* ---- encoding ---- */

/* Replaces the body by its compressed form, if that is shorter. */
static enum mf_status compress_body(struct mf_buffer *blob, int level)
{
	size_t len = blob->len - HEADER_LEN, packed_len = 0;
	unsigned char *packed = mf_malloc(len);
	if (!packed)
		return MF_ERR_NO_MEMORY;
	enum mf_status status = mf_compress(level, blob->bytes + HEADER_LEN, len, packed, len - 1, &packed_len);
	if (status == MF_OK && packed_len > 0) {
		memcpy(blob->bytes + HEADER_LEN, packed, packed_len);
		blob->len = HEADER_LEN + packed_len;
		blob->bytes[5] |= COMPRESSED;
	}
	mf_free(packed);
	return status;
}

static enum mf_status fill_blob(struct mf_buffer *blob, const struct mf_state *state, const struct mf_persist_options *options, struct mf_error *error)
{
	static const unsigned char header[HEADER_LEN] = {'M', 'F', 'S', 'N', VERSION};
	struct mf_digest digest;
	enum mf_status status = mf_doc_digest(mf_state_doc(state), &digest);
	if (status == MF_OK)
		status = mf_buffer_append(blob, header, sizeof(header));
	if (status == MF_OK)
		status = mf_pack_state(blob, state);
	if (status == MF_OK)
		status = mf_pack_fields(blob, state, error);
	if (status != MF_OK)
		return status;
	if (blob->len - HEADER_LEN > RAW_MAX)
		return MF_ERR_INVALID;
	put_le(blob->bytes + 8, blob->len - HEADER_LEN, 8);
	memcpy(blob->bytes + 16, digest.bytes, MF_DIGEST_BYTES);
	if (options->compression)
		status = compress_body(blob, options->compression_level);
	if (status == MF_OK)
		put_le(blob->bytes + CRC_AT, blob_crc(blob->bytes, blob->len), 4);
	return status;
}

enum mf_status mf_snapshot_encode(const char *doc_id, const struct mf_state *state, const struct mf_persist_options *options,
				  struct mf_snapshot *out, struct mf_error *error)
{
	struct mf_persist_options defaults;
	struct mf_buffer blob = {0};
	struct mf_error reason = {0};
	mf_persist_options_init(&defaults);
	if (!options)
		options = &defaults;
	if (mf_state_lsn(state) < 0)
		return mf_error_set(error, MF_ERR_STATE, "document '%.100s': a snapshot is taken of committed states only", doc_id);
	enum mf_status status = fill_blob(&blob, state, options, &reason);
	size_t len = blob.len;
	if (status == MF_OK)
		status = mf_buffer_append(&blob, doc_id, strlen(doc_id) + 1);
	if (status != MF_OK) {
		mf_buffer_deinit(&blob);
		return mf_error_set(error, status, "document '%.100s': the snapshot at LSN %lld could not be made (%.300s)", doc_id, (long long)mf_state_lsn(state),
				    reason.status ? reason.message : mf_status_name(status));
	}
	const struct mf_env *env = options->env ? options->env : mf_env_os();
	*out = (struct mf_snapshot){
		.doc_id = (const char *)blob.bytes + len,
		.upto_lsn = mf_state_lsn(state),
		.created_at = env->wall_us(env->user),
		.version = VERSION,
		.state_blob = blob.bytes,
		.state_len = len,
		.memory = blob.bytes,
	};
	return MF_OK;
}

/* ---- decoding ---- */

size_t mf_snapshot_raw_len(const struct mf_snapshot *snapshot)
{
	return snapshot->state_len < HEADER_LEN ? snapshot->state_len : HEADER_LEN + (size_t)get_le(snapshot->state_blob + 8, 8);
}

static enum mf_status check_header(const struct mf_snapshot *snapshot, struct mf_error *error)
{
	const unsigned char *blob = snapshot->state_blob;
	if (!blob || snapshot->state_len < HEADER_LEN)
		return mf_error_set(error, MF_ERR_CORRUPTED, "it is cut off");
	if (memcmp(blob, "MFSN", 4) != 0)
		return mf_error_set(error, MF_ERR_CORRUPTED, "it does not begin as a snapshot does");
	if (blob_crc(blob, snapshot->state_len) != get_le(blob + CRC_AT, 4))
		return mf_error_set(error, MF_ERR_CORRUPTED, "its checksum does not fit");
	if (blob[4] != VERSION || snapshot->version != VERSION)
		return mf_error_set(error, MF_ERR_CORRUPTED, "it has format %u, this version of the library reads %d", blob[4], VERSION);
	if ((blob[5] & ~COMPRESSED) || blob[6] || blob[7])
		return mf_error_set(error, MF_ERR_CORRUPTED, "it has unknown flags");
	return MF_OK;
}

/* *out_body points into the blob, or into *out_memory. */
static enum mf_status open_body(const struct mf_snapshot *snapshot, struct mf_unpack *out_body, void **out_memory, struct mf_error *error)
{
	const unsigned char *body = snapshot->state_blob + HEADER_LEN;
	size_t len = snapshot->state_len - HEADER_LEN;
	uint64_t raw_len = get_le(snapshot->state_blob + 8, 8);
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

static enum mf_status check_state(const struct mf_snapshot *snapshot, const struct mf_unpack *rest, const struct mf_state *state, struct mf_error *error)
{
	struct mf_digest digest;
	if (rest->at != rest->end)
		return mf_error_set(error, MF_ERR_CORRUPTED, "there are bytes behind its end");
	if (mf_state_lsn(state) != snapshot->upto_lsn)
		return mf_error_set(error, MF_ERR_CORRUPTED, "its state is of LSN %lld", (long long)mf_state_lsn(state));
	enum mf_status status = mf_doc_digest(mf_state_doc(state), &digest);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory to check its digest");
	if (memcmp(digest.bytes, snapshot->state_blob + 16, MF_DIGEST_BYTES) != 0)
		return mf_error_set(error, MF_ERR_CORRUPTED, "its document has another digest than it says");
	return MF_OK;
}

static enum mf_status decode(const struct mf_snapshot *snapshot, const struct mf_step_registry *registry, size_t history_limit, struct mf_state **out, struct mf_error *error)
{
	struct mf_unpack body;
	void *memory;
	struct mf_state *state = NULL;
	enum mf_status status = check_header(snapshot, error);
	if (status == MF_OK)
		status = open_body(snapshot, &body, &memory, error);
	if (status != MF_OK)
		return status;
	status = mf_unpack_state(&body, registry, history_limit, &state, error);
	if (status == MF_OK)
		status = mf_unpack_fields(&body, registry, MF_FIELDS_COMPLETE, state, error);
	if (status == MF_OK)
		status = check_state(snapshot, &body, state, error);
	mf_free(memory);
	if (status != MF_OK) {
		mf_state_unref(state);
		return status;
	}
	*out = state;
	return MF_OK;
}

enum mf_status mf_snapshot_decode(const struct mf_snapshot *snapshot, const struct mf_step_registry *registry, size_t history_limit,
				  struct mf_state **out, struct mf_error *error)
{
	struct mf_error reason = {0};
	enum mf_status status = decode(snapshot, registry, history_limit, out, &reason);
	if (status == MF_OK)
		return MF_OK;
	mf_error_set(error, status, "document '%.100s', snapshot at LSN %lld: %.330s", snapshot->doc_id ? snapshot->doc_id : "", (long long)snapshot->upto_lsn,
		     reason.status ? reason.message : mf_status_name(status));
	if (error)
		error->lsn = snapshot->upto_lsn;
	return status;
}
