/* record.c - see persist/record.h. One buffer an event: the frames are written behind the header, and
 * compressed through a second one only when they are larger than the threshold. */
#include "persist/record.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model/mem.h"
#include "persist/compress.h"
#include <moduforge/value.h>

#define VARINT_MAX 10
#define FRAME_MIN 3 /* two lengths and one byte of type */

/* ---- varints ---- */

static size_t put_varint(unsigned char out[VARINT_MAX], uint64_t value)
{
	size_t len = 0;
	for (; value >= 0x80; value >>= 7)
		out[len++] = (unsigned char)(value | 0x80);
	out[len++] = (unsigned char)value;
	return len;
}

static bool get_varint(struct mf_record *in, uint64_t *out)
{
	uint64_t value = 0;
	for (unsigned shift = 0; in->at < in->end; shift += 7) { /* the tenth byte is the last: it has no room to go on */
		unsigned char byte = *in->at++;
		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7F) << shift;
		if (byte & 0x80)
			continue;
		*out = value;
		return byte != 0 || shift == 0; /* the shortest form only */
	}
	return false;
}

static enum mf_status append_varint(struct mf_buffer *out, uint64_t value)
{
	unsigned char bytes[VARINT_MAX];
	return mf_buffer_append(out, bytes, put_varint(bytes, value));
}

/* ---- hash ---- */

void mf_record_hash(const char *doc_id, enum mf_action action, const void *frames, size_t len, uint8_t out[MF_RECORD_HASH_LEN])
{
	XXH3_state_t state;
	size_t doc_len = strlen(doc_id);
	unsigned char prefix[9];
	for (unsigned i = 0; i < 8; i++)
		prefix[i] = (unsigned char)((uint64_t)doc_len >> (8 * i));
	prefix[8] = (unsigned char)action;
	XXH3_128bits_reset(&state);
	XXH3_128bits_update(&state, prefix, 8);
	XXH3_128bits_update(&state, doc_id, doc_len);
	XXH3_128bits_update(&state, prefix + 8, 1);
	if (action == MF_ACTION_APPLY && len > 0)
		XXH3_128bits_update(&state, frames, len);
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
	memcpy(out, canonical.digest, MF_RECORD_HASH_LEN);
}

size_t mf_record_raw_len(const unsigned char *payload, size_t len)
{
	struct mf_record body = {.at = payload + MF_RECORD_HEADER_LEN, .end = payload + len};
	uint64_t raw;
	if (len <= MF_RECORD_HEADER_LEN || !(payload[1] & MF_RECORD_COMPRESSED) || !get_varint(&body, &raw) || raw > MF_RECORD_RAW_MAX)
		return len;
	return MF_RECORD_HEADER_LEN + (size_t)raw;
}

/* ---- writing ---- */

/* The data goes right behind a one-byte length, which is widened when the data turns out longer. */
static enum mf_status append_data(struct mf_buffer *out, const struct mf_step *step)
{
	static const unsigned char room[VARINT_MAX];
	size_t at = out->len;
	enum mf_status status = mf_buffer_append(out, room, 1);
	if (status == MF_OK)
		status = step->type->encode(step, out);
	if (status != MF_OK)
		return status;
	unsigned char varint[VARINT_MAX];
	size_t len = out->len - at - 1, varint_len = put_varint(varint, len);
	status = mf_buffer_append(out, room, varint_len - 1);
	if (status != MF_OK)
		return status;
	memmove(out->bytes + at + varint_len, out->bytes + at + 1, len);
	memcpy(out->bytes + at, varint, varint_len);
	return MF_OK;
}

static enum mf_status append_frames(struct mf_buffer *out, const struct mf_transaction *transaction, struct mf_error *error)
{
	size_t count = mf_transaction_step_count(transaction);
	enum mf_status status = append_varint(out, count);
	for (size_t i = 0; i < count && status == MF_OK; i++) {
		const struct mf_step *step = mf_transaction_step(transaction, i);
		size_t type_len = strlen(step->type->type_id);
		status = append_varint(out, type_len);
		if (status == MF_OK)
			status = mf_buffer_append(out, step->type->type_id, type_len);
		if (status == MF_OK)
			status = append_data(out, step);
		if (status == MF_OK && out->len > MF_RECORD_RAW_MAX)
			return mf_error_set(error, MF_ERR_INVALID, "the steps of one transaction are more than %zu MiB long; make several transactions", MF_RECORD_RAW_MAX >> 20);
		if (status != MF_OK)
			return mf_error_set(error, status, "step %zu ('%.100s') cannot be encoded: %s", i + 1, step->type->type_id, mf_status_name(status));
	}
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "no memory to encode %zu steps", count);
}

/* Replaces the frames by their compressed form, if that is shorter. */
static enum mf_status compress_body(struct mf_buffer *out, int level)
{
	unsigned char *frames = out->bytes + MF_RECORD_HEADER_LEN;
	size_t len = out->len - MF_RECORD_HEADER_LEN, packed_len = 0;
	unsigned char *packed = mf_malloc(len);
	if (!packed)
		return MF_ERR_NO_MEMORY;
	size_t varint_len = put_varint(packed, len);
	enum mf_status status = mf_compress(level, frames, len, packed + varint_len, len - varint_len - 1, &packed_len);
	if (status == MF_OK && packed_len > 0) {
		memcpy(frames, packed, varint_len + packed_len);
		out->len = MF_RECORD_HEADER_LEN + varint_len + packed_len;
		out->bytes[1] |= MF_RECORD_COMPRESSED;
	}
	mf_free(packed);
	return status;
}

enum mf_status mf_record_write(struct mf_buffer *out, const char *doc_id, const struct mf_transaction *transaction,
			       const struct mf_persist_options *options, struct mf_error *error)
{
	static const unsigned char header[MF_RECORD_HEADER_LEN] = {MF_RECORD_VERSION};
	enum mf_status status = mf_buffer_append(out, header, sizeof(header));
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory to encode a transaction");
	status = append_frames(out, transaction, error);
	if (status != MF_OK)
		return status;
	size_t len = out->len - MF_RECORD_HEADER_LEN;
	mf_record_hash(doc_id, mf_transaction_action(transaction), out->bytes + MF_RECORD_HEADER_LEN, len, out->bytes + MF_RECORD_HASH_AT);
	if (!options->compression || len <= options->compression_threshold || len <= VARINT_MAX)
		return MF_OK;
	status = compress_body(out, options->compression_level);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "no memory to compress %zu bytes of steps", len);
}

/* ---- reading ---- */

static enum mf_status corrupted(struct mf_error *error, const char *what)
{
	return mf_error_set(error, MF_ERR_CORRUPTED, "the encoded steps are damaged: %s", what);
}

static enum mf_status open_compressed(struct mf_record *record, struct mf_error *error)
{
	uint64_t raw_len;
	if (!get_varint(record, &raw_len) || raw_len == 0 || raw_len > MF_RECORD_RAW_MAX)
		return corrupted(error, "the raw length is wrong");
	size_t len = (size_t)(record->end - record->at);
	if (!mf_compressed_is(record->at, len, raw_len))
		return corrupted(error, "the compressed frame has another length");
	unsigned char *raw = mf_malloc(raw_len);
	if (!raw)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to decompress %llu bytes of steps", (unsigned long long)raw_len);
	enum mf_status status = mf_decompress(record->at, len, raw, raw_len);
	if (status != MF_OK) {
		mf_free(raw);
		return status == MF_ERR_CORRUPTED ? corrupted(error, "they cannot be decompressed") : mf_error_set(error, status, "no memory to decompress steps");
	}
	record->memory = raw;
	record->at = raw;
	record->end = raw + raw_len;
	return MF_OK;
}

static enum mf_status read_count(struct mf_record *record, struct mf_error *error)
{
	if (!get_varint(record, &record->left) || record->left > (uint64_t)(record->end - record->at) / FRAME_MIN)
		return corrupted(error, "the number of steps is wrong");
	if (record->left == 0 && record->at != record->end)
		return corrupted(error, "there are bytes behind the last step");
	return MF_OK;
}

enum mf_status mf_record_open(struct mf_record *record, const unsigned char *payload, size_t len, struct mf_error *error)
{
	if (len < MF_RECORD_HEADER_LEN)
		return corrupted(error, "they are too short");
	if (payload[0] != MF_RECORD_VERSION)
		return mf_error_set(error, MF_ERR_CORRUPTED, "the encoded steps have format %u, this version of the library reads %u; use a newer one", payload[0], MF_RECORD_VERSION);
	if (payload[1] & ~MF_RECORD_COMPRESSED)
		return corrupted(error, "unknown flags");
	struct mf_record opened = {.at = payload + MF_RECORD_HEADER_LEN, .end = payload + len};
	enum mf_status status = payload[1] & MF_RECORD_COMPRESSED ? open_compressed(&opened, error) : MF_OK;
	if (status == MF_OK)
		status = read_count(&opened, error);
	if (status != MF_OK) {
		mf_record_close(&opened);
		return status;
	}
	*record = opened;
	return MF_OK;
}

static bool get_bytes(struct mf_record *record, const unsigned char **out, size_t *out_len)
{
	uint64_t len;
	if (!get_varint(record, &len) || len > (uint64_t)(record->end - record->at))
		return false;
	*out = record->at;
	*out_len = len;
	record->at += len;
	return true;
}

enum mf_status mf_record_next(struct mf_record *record, struct mf_frame *out, struct mf_error *error)
{
	struct mf_frame frame;
	const unsigned char *type_id;
	if (!get_bytes(record, &type_id, &frame.type_id_len) || frame.type_id_len == 0 || frame.type_id_len > 255)
		return corrupted(error, "a step type is cut off");
	if (!get_bytes(record, &frame.data, &frame.data_len))
		return corrupted(error, "the data of a step is cut off");
	if (--record->left == 0 && record->at != record->end)
		return corrupted(error, "there are bytes behind the last step");
	frame.type_id = (const char *)type_id;
	*out = frame;
	return MF_OK;
}

void mf_record_close(struct mf_record *record)
{
	mf_free(record->memory);
	record->memory = NULL;
}
