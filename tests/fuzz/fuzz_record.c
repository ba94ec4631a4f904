/* The frames of a record, no more: whatever the bytes, an error, or frames that lie one behind the other to the end and,
 * written again, are the same bytes. The smallest target and the fastest: what fuzz_event tries through whole transactions.
 *
 * Behind zstd a fuzzer changes nothing by chance: fuzz_inside unpacks the frames, lets them be changed, and packs them again. */
#include "tests/fuzz/target.h"

#include <stdlib.h>
#include <string.h>

#include "persist/record.h"
#include "tests/fuzz/layers.h"

static size_t put_varint(uint8_t *out, uint64_t value)
{
	size_t len = 0;
	for (; value >= 0x80; value >>= 7)
		out[len++] = (uint8_t)(value | 0x80);
	out[len++] = (uint8_t)value;
	return len;
}

/* One frame must be written as it stands at *at, which moves behind it. */
static void expect_written(const struct mf_frame *frame, const uint8_t **at)
{
	uint8_t varint[10];
	size_t len = put_varint(varint, frame->type_id_len);
	if (memcmp(*at, varint, len) != 0 || (const uint8_t *)frame->type_id != *at + len)
		__builtin_trap();
	*at += len + frame->type_id_len;
	len = put_varint(varint, frame->data_len);
	if (memcmp(*at, varint, len) != 0 || frame->data != *at + len)
		__builtin_trap();
	*at += len + frame->data_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mf_record record;
	struct mf_frame frame;
	if (mf_record_raw_len(bytes, len) < len && !(len > 1 && bytes[1] & MF_RECORD_COMPRESSED))
		__builtin_trap();
	enum mf_status status = mf_record_open(&record, bytes, len, NULL);
	if (status != MF_OK) {
		fuzz_expect(status, MF_ERR_CORRUPTED, MF_ERR_CORRUPTED);
		return 0;
	}
	const uint8_t *begin = record.at, *end = record.end, *at = begin;
	while (status == MF_OK && record.left > 0) {
		status = mf_record_next(&record, &frame, NULL);
		fuzz_expect(status, MF_OK, MF_ERR_CORRUPTED);
		if (status == MF_OK)
			expect_written(&frame, &at);
	}
	if (status == MF_OK && at != end)
		__builtin_trap();
	if (status == MF_OK)
		FUZZ_BEHIND(begin, (size_t)(end - begin));
	mf_record_close(&record);
	return 0;
}

size_t fuzz_inside(uint8_t *bytes, size_t len, size_t max_len, fuzz_change *change)
{
	return fuzz_inside_record(bytes, len, max_len, change);
}
