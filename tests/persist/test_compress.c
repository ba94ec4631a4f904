/* Compression: frames come back exactly, and nothing is believed that a frame claims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model/mem.h"
#include "persist/compress.h"
#include <moduforge/value.h>

#define RAW_LEN ((size_t)8 << 20)

static size_t compressed(unsigned char **out, const void *raw, size_t len)
{
	size_t packed_len = 0;
	*out = mf_malloc(len);
	assert_int_equal(mf_compress(3, raw, len, *out, len, &packed_len), MF_OK);
	assert_true(packed_len > 0);
	return packed_len;
}

static void the_most_compressible_bytes_come_back(void **state)
{
	(void)state;
	unsigned char *packed, *raw = mf_calloc(1, RAW_LEN), *again = mf_malloc(RAW_LEN);
	size_t len = compressed(&packed, raw, RAW_LEN);
	assert_true(mf_compressed_is(packed, len, RAW_LEN));
	assert_int_equal(mf_decompress(packed, len, again, RAW_LEN), MF_OK);
	assert_memory_equal(raw, again, RAW_LEN);
	mf_free(again);
	mf_free(packed);
	mf_free(raw);
}

static void what_does_not_fit_is_said(void **state)
{
	(void)state;
	unsigned char raw[64], packed[64];
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (unsigned char)(i * 37);
	size_t len = 1;
	assert_int_equal(mf_compress(3, raw, sizeof(raw), packed, 10, &len), MF_OK);
	assert_int_equal(len, 0);
}

static void another_length_than_the_frame_has_is_refused(void **state)
{
	(void)state;
	unsigned char raw[1000] = {0}, again[1001], *packed;
	size_t len = compressed(&packed, raw, sizeof(raw));
	assert_false(mf_compressed_is(packed, len, sizeof(raw) + 1));
	assert_int_equal(mf_decompress(packed, len, again, sizeof(raw) + 1), MF_ERR_CORRUPTED);
	assert_int_equal(mf_decompress(packed, len, again, sizeof(raw) - 1), MF_ERR_CORRUPTED);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(mf_decompress(packed, cut, again, sizeof(raw)), MF_ERR_CORRUPTED);
	mf_free(packed);
}

static void a_frame_cannot_claim_more_than_its_bytes_can_hold(void **state)
{
	(void)state;
	static const unsigned char frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x58, 0, 0, 0, 0xc0, 0, 0, 0, 0, 1, 0, 0};
	assert_false(mf_compressed_is(frame, sizeof(frame), UINT64_C(3) << 30));
}

static void a_context_that_grew_large_is_made_anew(void **state)
{
	(void)state;
	unsigned char *raw = mf_calloc(1, RAW_LEN), *packed = mf_malloc(RAW_LEN), *again = mf_malloc(RAW_LEN);
	size_t len = 0;
	for (size_t i = 0; i < RAW_LEN; i += 97)
		raw[i] = (unsigned char)(i * 31);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mf_compress(19, raw, RAW_LEN / 4, packed, RAW_LEN, &len), MF_OK);
		assert_true(len > 0);
		assert_int_equal(mf_decompress(packed, len, again, RAW_LEN / 4), MF_OK);
		assert_memory_equal(raw, again, RAW_LEN / 4);
	}
	mf_free(raw);
	mf_free(packed);
	mf_free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_compressible_bytes_come_back),
		cmocka_unit_test(what_does_not_fit_is_said),
		cmocka_unit_test(another_length_than_the_frame_has_is_refused),
		cmocka_unit_test(a_frame_cannot_claim_more_than_its_bytes_can_hold),
		cmocka_unit_test(a_context_that_grew_large_is_made_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
