#include "tests/fuzz/layers.h"

#include <string.h>

#include "model/delta.h"
#include "model/field.h"
#include "model/mem.h"
#include "model/state.h"
#include "persist/checksum.h"
#include "persist/compress.h"
#include "persist/record.h"
#include "persist/snapshot_codec.h"

#define INSIDE_MAX ((size_t)1 << 18)
#define HEADER_LEN 36
#define VERSION_AT 4
#define FLAGS_AT 5
#define RAW_LEN_AT 8
#define DIGEST_AT 16
#define CRC_AT 32
#define BASE_LSN_AT 36
#define BASE_DIGEST_AT 44
#define LONG_HEADER_LEN 60

void fuzz_put_le(uint8_t *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

uint64_t fuzz_get_le(const uint8_t *in, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)in[i] << (8 * i);
	return value;
}

/* ---- inside zstd ---- */

/* Changes the raw_len bytes of one frame. Returns the length of the new frame, at the same place; 0: there is none, or no room. */
static size_t change_frame(uint8_t *frame, size_t len, size_t max_len, uint64_t *raw_len, fuzz_change *change)
{
	static uint8_t raw[INSIDE_MAX];
	size_t packed_len = 0;
	if (*raw_len > INSIDE_MAX || !mf_compressed_is(frame, len, *raw_len) || mf_decompress(frame, len, raw, *raw_len) != MF_OK)
		return 0;
	*raw_len = change(raw, *raw_len, INSIDE_MAX);
	return mf_compress(1, raw, *raw_len, frame, max_len, &packed_len) == MF_OK ? packed_len : 0;
}

static size_t get_varint(const uint8_t *in, size_t len, uint64_t *out)
{
	size_t at = 0;
	*out = 0;
	while (at < len && at < 9) {
		*out |= (uint64_t)(in[at] & 0x7f) << (7 * at);
		if (!(in[at++] & 0x80))
			return at;
	}
	return 0;
}

size_t fuzz_inside_record(uint8_t *bytes, size_t len, size_t max_len, fuzz_change *change)
{
	static uint8_t packed[INSIDE_MAX + 1024];
	uint64_t raw_len;
	uint8_t *body = bytes + MF_RECORD_HEADER_LEN;
	if (len <= MF_RECORD_HEADER_LEN || bytes[0] != MF_RECORD_VERSION || bytes[1] != MF_RECORD_COMPRESSED)
		return 0;
	size_t body_len = len - MF_RECORD_HEADER_LEN, varint_len = get_varint(body, body_len, &raw_len), written = 0;
	if (varint_len == 0 || body_len - varint_len > sizeof(packed))
		return 0;
	memcpy(packed, body + varint_len, body_len - varint_len);
	size_t packed_len = change_frame(packed, body_len - varint_len, sizeof(packed), &raw_len, change);
	if (packed_len == 0 || packed_len + 10 > max_len - MF_RECORD_HEADER_LEN)
		return 0;
	uint64_t left = raw_len;
	for (; left >= 0x80; left >>= 7)
		body[written++] = (uint8_t)(left | 0x80);
	body[written++] = (uint8_t)left;
	memcpy(body + written, packed, packed_len);
	return MF_RECORD_HEADER_LEN + written + packed_len;
}

static size_t header_len(const uint8_t *blob)
{
	return blob[VERSION_AT] == MF_SNAPSHOT_INCREMENTAL ? LONG_HEADER_LEN : HEADER_LEN;
}

size_t fuzz_inside_snapshot(uint8_t *bytes, size_t len, size_t max_len, fuzz_change *change)
{
	if (len < LONG_HEADER_LEN || !(bytes[FLAGS_AT] & 1))
		return 0;
	size_t at = header_len(bytes);
	uint64_t raw_len = fuzz_get_le(bytes + RAW_LEN_AT, 8);
	size_t packed_len = change_frame(bytes + at, len - at, max_len - at, &raw_len, change);
	if (packed_len == 0)
		return 0;
	fuzz_put_le(bytes + RAW_LEN_AT, raw_len, 8);
	return at + packed_len;
}

/* ---- digests and checksums ---- */

static enum mf_status repair_field(struct mf_unpack *in)
{
	uint32_t items;
	uint64_t version;
	const char *key;
	const void *digest, *value;
	size_t key_len, digest_len, len;
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK)
		status = mf_unpack_str(in, &key, &key_len);
	if (status == MF_OK)
		status = mf_unpack_uint(in, &version);
	if (status == MF_OK)
		status = mf_unpack_bin(in, &digest, &digest_len);
	if (status == MF_OK)
		status = mf_unpack_bin(in, &value, &len);
	if (status == MF_OK && digest_len == MF_DIGEST_BYTES) {
		struct mf_digest right;
		mf_digest_of_bytes(value, len, &right);
		memcpy((void *)digest, right.bytes, sizeof(right.bytes));
	}
	return status;
}

void fuzz_repair_fields(uint8_t *bytes, size_t len)
{
	struct mf_unpack in = {bytes, bytes + len};
	uint32_t items, count;
	uint64_t format;
	if (mf_unpack_array(&in, &items) != MF_OK || mf_unpack_uint(&in, &format) != MF_OK || mf_unpack_array(&in, &count) != MF_OK)
		return;
	while (count-- > 0 && repair_field(&in) == MF_OK)
		;
}

/* The state that the body holds, and where its fields begin; NULL: none. */
static struct mf_state *state_in(struct mf_unpack *in, const struct mf_state *base)
{
	struct mf_state_reading how = {.history_limit = SIZE_MAX};
	struct mf_state *state = NULL;
	struct mf_patch *patch = NULL;
	if (!base)
		return mf_unpack_state(in, NULL, SIZE_MAX, &state, NULL) == MF_OK ? state : NULL;
	if (mf_patch_new(base, &how, &patch) != MF_OK || mf_patch_add(patch, in, NULL) != MF_OK || mf_patch_finish(patch, &state, NULL) != MF_OK)
		state = NULL;
	mf_patch_free(patch);
	return state;
}

static void repair_digest(uint8_t *blob, uint8_t *raw, size_t raw_len, const struct mf_state *base)
{
	struct mf_unpack in = {raw, raw + raw_len};
	struct mf_digest digest;
	struct mf_state *state = state_in(&in, base);
	if (!state)
		return;
	if (mf_doc_digest(mf_state_doc(state), &digest) == MF_OK)
		memcpy(blob + DIGEST_AT, digest.bytes, MF_DIGEST_BYTES);
	fuzz_repair_fields(raw + (in.at - raw), (size_t)(in.end - in.at));
	mf_state_unref(state);
}

/* The digest of the document is in the header; those of fields lie inside, where only fuzz_inside gets. */
static void repair_compressed(uint8_t *blob, size_t len, const struct mf_state *base)
{
	static uint8_t raw[INSIDE_MAX];
	size_t at = header_len(blob);
	uint64_t raw_len = fuzz_get_le(blob + RAW_LEN_AT, 8);
	if (raw_len > INSIDE_MAX || !mf_compressed_is(blob + at, len - at, raw_len))
		return;
	if (mf_decompress(blob + at, len - at, raw, raw_len) == MF_OK)
		repair_digest(blob, raw, raw_len, base);
}

static void write_base(uint8_t *blob, const struct mf_state *base)
{
	struct mf_digest digest;
	if (mf_doc_digest(mf_state_doc(base), &digest) == MF_OK)
		memcpy(blob + BASE_DIGEST_AT, digest.bytes, MF_DIGEST_BYTES);
	fuzz_put_le(blob + BASE_LSN_AT, (uint64_t)mf_state_lsn(base), 8);
}

void fuzz_repair_snapshot(uint8_t *bytes, size_t len, const struct mf_state *base)
{
	size_t at = base ? LONG_HEADER_LEN : HEADER_LEN;
	if (len < at)
		return;
	memcpy(bytes, "MFSN", 4);
	bytes[VERSION_AT] = base ? MF_SNAPSHOT_INCREMENTAL : MF_SNAPSHOT_WHOLE;
	bytes[FLAGS_AT] &= 1;
	memset(bytes + FLAGS_AT + 1, 0, 2);
	if (base)
		write_base(bytes, base);
	if (bytes[FLAGS_AT]) {
		repair_compressed(bytes, len, base);
	} else {
		fuzz_put_le(bytes + RAW_LEN_AT, len - at, 8);
		repair_digest(bytes, bytes + at, len - at, base);
	}
	fuzz_put_le(bytes + CRC_AT, mf_crc32(mf_crc32(0, bytes, CRC_AT), bytes + HEADER_LEN, len - HEADER_LEN), 4);
}
