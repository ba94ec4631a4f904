/* Compression: frames come back exactly, and nothing is believed that a frame claims. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/wait.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "model/mem.h"
#include "persist/compress.h"
#include "tests/leave.h"
#include <moduforge/value.h>

#define RAW_LEN ((size_t)8 << 20)

/* ---- what fails: the linker gives __real_F for the F that it replaces by __wrap_F ---- */
static enum { NOTHING, KEY, SLOT, CONTEXTS, WORK } failing;

#define REPLACED(type, name, params) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params

REPLACED(int, pthread_key_create, (pthread_key_t *key, void (*end)(void *))) { return failing == KEY ? ENOMEM : __real_pthread_key_create(key, end); }
REPLACED(int, pthread_setspecific, (pthread_key_t key, const void *value)) { return failing == SLOT ? ENOMEM : __real_pthread_setspecific(key, value); }
REPLACED(ZSTD_CCtx *, ZSTD_createCCtx, (void)) { return failing == CONTEXTS ? NULL : __real_ZSTD_createCCtx(); }
REPLACED(ZSTD_DCtx *, ZSTD_createDCtx, (void)) { return failing == CONTEXTS ? NULL : __real_ZSTD_createDCtx(); }
#define NO_MEMORY ((size_t)-ZSTD_error_memory_allocation)
REPLACED(size_t, ZSTD_compressCCtx, (ZSTD_CCtx *context, void *out, size_t capacity, const void *in, size_t len, int level))
{
	return failing == WORK ? NO_MEMORY : __real_ZSTD_compressCCtx(context, out, capacity, in, len, level);
}
REPLACED(size_t, ZSTD_decompressDCtx, (ZSTD_DCtx *context, void *out, size_t capacity, const void *in, size_t len))
{
	return failing == WORK ? NO_MEMORY : __real_ZSTD_decompressDCtx(context, out, capacity, in, len);
}

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

/* A thread that had its contexts does not ask for them again: so each is tried on a thread of its own. */
static void *work_without_memory(void *user)
{
	unsigned char raw[200] = {0}, packed[200];
	size_t len = 7;
	(void)user;
	assert_int_equal(mf_compress(3, raw, sizeof(raw), packed, sizeof(packed), &len), MF_ERR_NO_MEMORY);
	assert_int_equal(len, 7);
	assert_int_equal(mf_decompress(raw, sizeof(raw), packed, sizeof(packed)), MF_ERR_NO_MEMORY);
	failing = NOTHING;
	assert_int_equal(mf_compress(3, raw, sizeof(raw), packed, sizeof(packed), &len), MF_OK);
	assert_int_equal(mf_decompress(packed, len, raw, sizeof(raw)), MF_OK);
	return NULL;
}

static void each_want_of_memory_is_told_and_the_next_call_works(void **state)
{
	(void)state;
	for (int what = SLOT; what <= WORK; what++) {
		pthread_t thread;
		failing = what;
		assert_int_equal(pthread_create(&thread, NULL, work_without_memory, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

/* A process makes its key once. */
static void a_process_without_a_key_for_its_threads_never_compresses(void **state)
{
	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		unsigned char raw[200] = {0}, packed[200];
		size_t len = 7;
		failing = KEY;
		bool told = mf_compress(3, raw, sizeof(raw), packed, sizeof(packed), &len) == MF_ERR_NO_MEMORY;
		failing = NOTHING;
		leave(told && mf_decompress(raw, sizeof(raw), packed, sizeof(packed)) == MF_ERR_NO_MEMORY ? 0 : 1);
	}
	int ended;
	assert_int_equal(waitpid(child, &ended, 0), child);
	assert_int_equal(ended, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_without_a_key_for_its_threads_never_compresses), /* before anything is compressed */
		cmocka_unit_test(each_want_of_memory_is_told_and_the_next_call_works),
		cmocka_unit_test(the_most_compressible_bytes_come_back),
		cmocka_unit_test(what_does_not_fit_is_said),
		cmocka_unit_test(another_length_than_the_frame_has_is_refused),
		cmocka_unit_test(a_frame_cannot_claim_more_than_its_bytes_can_hold),
		cmocka_unit_test(a_context_that_grew_large_is_made_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
