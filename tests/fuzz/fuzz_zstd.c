/* Compressed bytes as a record or a snapshot may hold them, hostile: frames that say a wrong size, or none, bombs, frames cut
 * off, with a dictionary or a checksum, skippable ones, several in a row, garbage.
 *
 * A script says what is built (or it is given as it is), and what raw length the reader is told. Promises: memory is asked for
 * only when the frame says that length itself and could hold it; never more than that is written; what is accepted is
 * what zstd gives piece by piece as well; a record of it is accepted just when its body is, and says so twice. */
#include "tests/fuzz/target.h"

#include <stdlib.h>

#include <zstd.h>

#include "persist/compress.h"
#include "persist/record.h"
#include "tests/fuzz/script.h"

#define BUILT_MAX ((size_t)1 << 16)
#define UNPACKED_MAX ((size_t)1 << 20) /* more is only asked about */
#define BLOCK_MAX ((size_t)128 << 10)
#define RATIO_MAX 32768 /* of zstd itself: see persist/compress.c */

struct built {
	uint8_t bytes[BUILT_MAX];
	size_t len;
	uint64_t promised; /* what the frames so far hold, if they are honest */
};

static void put(struct built *out, const void *bytes, size_t len)
{
	if (len > BUILT_MAX - out->len)
		len = BUILT_MAX - out->len;
	if (len > 0)
		memcpy(out->bytes + out->len, bytes, len);
	out->len += len;
}

static void put_le(struct built *out, uint64_t value, unsigned bytes)
{
	uint8_t le[8];
	for (unsigned i = 0; i < bytes; i++)
		le[i] = (uint8_t)(value >> (8 * i));
	put(out, le, bytes);
}

/* ---- whole frames ---- */

static void put_honest_frame(struct built *out, struct script *script)
{
	static uint8_t raw[UNPACKED_MAX], packed[UNPACKED_MAX + 1024];
	static ZSTD_CCtx *context;
	if (!context)
		context = ZSTD_createCCtx();
	int level = (int)script_choice(script, 19) + 1;
	uint8_t how = script_byte(script);
	size_t len, repeat = script_choice(script, 512) + 1, raw_len = 0;
	const uint8_t *piece = script_piece(script, script_byte(script), &len);
	for (size_t i = 0; i < repeat && len <= UNPACKED_MAX - raw_len; i++) {
		memcpy(raw + raw_len, piece, len);
		raw_len += len;
	}
	ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level > 6 ? level % 6 + 1 : level);
	ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, how & 1);
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, how >> 1 & 1);
	size_t packed_len = ZSTD_compress2(context, packed, sizeof(packed), raw, raw_len);
	if (ZSTD_isError(packed_len))
		__builtin_trap();
	put(out, packed, how & 4 ? script_choice(script, packed_len + 1) : packed_len);
	out->promised += raw_len;
}

static void put_skippable_frame(struct built *out, struct script *script)
{
	size_t len;
	put_le(out, 0x184D2A50u + script_choice(script, 16), 4);
	uint8_t said = script_byte(script);
	const uint8_t *piece = script_piece(script, script_byte(script), &len);
	put_le(out, said & 1 ? said : len, 4);
	put(out, piece, len);
}

/* ---- a frame block by block ---- */

static void put_block(struct built *out, struct script *script, bool last, uint64_t *raw_len)
{
	size_t len, size = 0;
	unsigned type = (unsigned)script_choice(script, 4); /* raw, one byte again and again, compressed, reserved */
	if (type == 1) {
		size = script_number(script, 3) % (BLOCK_MAX + 2);
		put_le(out, (uint64_t)last | 1u << 1 | size << 3, 3);
		put_le(out, script_byte(script), 1);
		*raw_len += size;
		return;
	}
	const uint8_t *piece = script_piece(script, script_byte(script), &len);
	put_le(out, (uint64_t)last | (uint64_t)type << 1 | len << 3, 3);
	put(out, piece, len);
	*raw_len += type == 0 ? len : 0;
}

static void put_built_frame(struct built *out, struct script *script)
{
	static const unsigned size_bytes[] = {0, 2, 4, 8}, dictionary_bytes[] = {0, 1, 2, 4};
	uint8_t descriptor = script_byte(script);
	bool single = descriptor & 0x20;
	unsigned wide = descriptor >> 6 ? size_bytes[descriptor >> 6] : single ? 1 : 0;
	put_le(out, ZSTD_MAGICNUMBER, 4);
	put_le(out, descriptor, 1);
	if (!single)
		put_le(out, script_byte(script), 1);
	put_le(out, script_number(script, dictionary_bytes[descriptor & 3]), dictionary_bytes[descriptor & 3]);
	size_t size_at = out->len;
	put_le(out, 0, wide);
	uint64_t raw_len = 0;
	uint8_t lie = script_byte(script), blocks = script_byte(script) % 16;
	for (unsigned i = 0; i < blocks; i++)
		put_block(out, script, i + 1 == blocks, &raw_len);
	if (descriptor & 4)
		put_le(out, script_number(script, 4), 4);
	uint64_t said = (lie & 1 ? script_number(script, 8) : raw_len) - (wide == 2 ? 256 : 0);
	for (unsigned i = 0; i < wide && size_at + i < BUILT_MAX; i++)
		out->bytes[size_at + i] = (uint8_t)(said >> (8 * i));
	out->promised += lie & 1 ? said : raw_len;
}

static void build(struct built *out, struct script *script)
{
	out->len = 0;
	out->promised = 0;
	for (unsigned pieces = script_byte(script) % 6; pieces > 0; pieces--) {
		switch (script_choice(script, 4)) {
		case 0: put_honest_frame(out, script); break;
		case 1: put_built_frame(out, script); break;
		case 2: put_skippable_frame(out, script); break;
		default: {
			size_t len;
			const uint8_t *piece = script_piece(script, script_byte(script), &len);
			put(out, piece, len);
		}
		}
	}
}

/* ---- promises ---- */

/* Is it something else when zstd gives it piece by piece? What that refuses (a window too large for it) it has no say in. */
static bool streams_otherwise(const uint8_t *in, size_t len, const uint8_t *raw, size_t raw_len)
{
	static ZSTD_DCtx *context;
	uint8_t piece[4096];
	size_t done = 0;
	if (!context)
		context = ZSTD_createDCtx();
	ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
	for (ZSTD_inBuffer from = {in, len, 0};;) {
		ZSTD_outBuffer to = {piece, sizeof(piece), 0};
		size_t rest = ZSTD_decompressStream(context, &to, &from);
		if (ZSTD_isError(rest))
			return false;
		if (to.pos > raw_len - done || memcmp(raw + done, piece, to.pos) != 0)
			return true;
		done += to.pos;
		if (from.pos == from.size && (rest == 0 || to.pos < to.size))
			return rest != 0 || done != raw_len;
	}
}

static bool unpacks(const uint8_t *in, size_t len, uint64_t raw_len)
{
	if (!mf_compressed_is(in, len, raw_len))
		return false;
	if (raw_len / RATIO_MAX > len || ZSTD_getFrameContentSize(in, len) != raw_len)
		__builtin_trap();
	if (raw_len > UNPACKED_MAX)
		return false;
	uint8_t *raw = malloc(raw_len ? raw_len : 1); /* of exactly that size: a sanitizer sees one byte more */
	enum mf_status status = raw ? mf_decompress(in, len, raw, raw_len) : MF_ERR_NO_MEMORY;
	fuzz_expect(status, MF_OK, MF_ERR_CORRUPTED);
	if (status == MF_OK && raw_len > 0 && streams_otherwise(in, len, raw, raw_len))
		__builtin_trap();
	free(raw);
	return status == MF_OK;
}

static void expect_of_record(const uint8_t *in, size_t len, uint64_t raw_len, bool accepted)
{
	static uint8_t payload[MF_RECORD_HEADER_LEN + 10 + BUILT_MAX];
	size_t at = MF_RECORD_HEADER_LEN;
	struct mf_record record;
	memset(payload, 0, at);
	payload[0] = MF_RECORD_VERSION;
	payload[1] = MF_RECORD_COMPRESSED;
	for (uint64_t left = raw_len; at == MF_RECORD_HEADER_LEN || left > 0; left >>= 7)
		payload[at++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
	if (len > 0)
		memcpy(payload + at, in, len);
	enum mf_status status = mf_record_open(&record, payload, at + len, NULL);
	fuzz_expect(status, MF_OK, MF_ERR_CORRUPTED);
	if (status != MF_OK)
		return;
	if (!accepted || raw_len == 0)
		__builtin_trap();
	mf_record_close(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct built built;
	struct script script = {bytes, bytes + len};
	uint8_t how = script_byte(&script);
	uint64_t told = script_number(&script, how & 2 ? 8 : 0);
	if (how & 1) {
		built.len = 0;
		put(&built, script.at, (size_t)(script.end - script.at));
		built.promised = ZSTD_getFrameContentSize(built.bytes, built.len);
	} else {
		build(&built, &script);
	}
	uint64_t raw_len = how & 2 ? told : built.promised + (uint64_t)(int64_t)(int8_t)(how & 4 ? how : 0);
	uint8_t *exact = malloc(built.len ? built.len : 1);
	if (!exact)
		__builtin_trap();
	memcpy(exact, built.bytes, built.len);
	bool accepted = unpacks(exact, built.len, raw_len);
	if (raw_len <= UNPACKED_MAX)
		expect_of_record(exact, built.len, raw_len, accepted);
	free(exact);
	return 0;
}
