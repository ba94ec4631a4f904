/* The blob of a snapshot: whatever the bytes, an error, or a state that is encoded and decoded to itself.
 *
 * Behind the CRC and the digest a fuzzer finds nothing by chance: fuzz_repair makes both fit what is there.
 * The layout is that of persist/snapshot_codec.c. */
#include "tests/fuzz/target.h"

#include <string.h>

#include <zlib.h>

#include <moduforge/persist.h>

#include "model/mem.h"
#include "model/pack.h"
#include "persist/compress.h"
#include "tests/fuzz/seed_lsn.h"

#define HEADER_LEN 36
#define FLAGS_AT 5
#define RAW_LEN_AT 8
#define DIGEST_AT 16
#define CRC_AT 32
#define REPAIR_RAW_MAX (1u << 20) /* what a repair unpacks to find the digest */

static enum mf_status decode(const uint8_t *blob, size_t len, struct mf_state **out)
{
	struct mf_snapshot snapshot = {.doc_id = "d", .upto_lsn = SEED_LSN, .version = 1, .state_blob = blob, .state_len = len};
	return mf_snapshot_decode(&snapshot, fuzz_steps(), 1000, out, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mf_state *state, *again;
	enum mf_status status = decode(bytes, len, &state);
	if (status != MF_OK) {
		fuzz_expect(status, MF_ERR_CORRUPTED, MF_ERR_UNKNOWN_STEP);
		return 0;
	}
	struct mf_snapshot snapshot;
	fuzz_expect(mf_snapshot_encode("d", state, NULL, &snapshot, NULL), MF_OK, MF_OK);
	fuzz_expect(decode(snapshot.state_blob, snapshot.state_len, &again), MF_OK, MF_OK);
	fuzz_walk_stacks(again);
	mf_snapshot_deinit(&snapshot);
	mf_state_unref(again);
	mf_state_unref(state);
	return 0;
}

/* ---- repair ---- */

static void put_le(uint8_t *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *in, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)in[i] << (8 * i);
	return value;
}

static void repair_digest(uint8_t *blob, const uint8_t *raw, size_t raw_len)
{
	struct mf_unpack in = {raw, raw + raw_len};
	struct mf_state *state;
	struct mf_digest digest;
	if (mf_unpack_state(&in, NULL, 0, &state, NULL) != MF_OK)
		return;
	if (mf_doc_digest(mf_state_doc(state), &digest) == MF_OK)
		memcpy(blob + DIGEST_AT, digest.bytes, MF_DIGEST_BYTES);
	mf_state_unref(state);
}

static void repair_compressed(uint8_t *blob, size_t len)
{
	uint64_t raw_len = get_le(blob + RAW_LEN_AT, 8);
	if (raw_len > REPAIR_RAW_MAX || !mf_compressed_is(blob + HEADER_LEN, len - HEADER_LEN, raw_len))
		return;
	void *raw = mf_malloc(raw_len);
	if (mf_decompress(blob + HEADER_LEN, len - HEADER_LEN, raw, raw_len) == MF_OK)
		repair_digest(blob, raw, raw_len);
	mf_free(raw);
}

void fuzz_repair(uint8_t *bytes, size_t len)
{
	if (len < HEADER_LEN)
		return;
	memcpy(bytes, "MFSN\1", 5);
	bytes[FLAGS_AT] &= 1;
	memset(bytes + FLAGS_AT + 1, 0, 2);
	if (bytes[FLAGS_AT]) {
		repair_compressed(bytes, len);
	} else {
		put_le(bytes + RAW_LEN_AT, len - HEADER_LEN, 8);
		repair_digest(bytes, bytes + HEADER_LEN, len - HEADER_LEN);
	}
	uLong crc = crc32_z(0, bytes, CRC_AT);
	put_le(bytes + CRC_AT, crc32_z(crc, bytes + HEADER_LEN, len - HEADER_LEN), 4);
}
