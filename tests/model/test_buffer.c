#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <moduforge/step.h>

#include "model/mem.h"
#include "model/str.h"

static void what_is_appended_is_there_in_order(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	for (unsigned i = 0; i < 100000; i++) {
		unsigned char byte = (unsigned char)(i * 7);
		assert_int_equal(mf_buffer_append(&buffer, &byte, 1), MF_OK);
	}
	assert_int_equal(buffer.len, 100000);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(buffer.bytes[i], (unsigned char)(i * 7));
	mf_buffer_deinit(&buffer);
}

static void it_grows_by_doubling(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	mf_mem_fail_at(0, false);
	for (unsigned i = 0; i < 1 << 20; i++)
		assert_int_equal(mf_buffer_append(&buffer, "x", 1), MF_OK);
	assert_in_range(mf_mem_count(), 1, 21);
	mf_buffer_deinit(&buffer);
}

static void one_large_piece_fits_at_once(void **state)
{
	(void)state;
	static const char piece[12345] = {1, 2, 3};
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_buffer_append(&buffer, "ab", 2), MF_OK);
	assert_int_equal(mf_buffer_append(&buffer, piece, sizeof(piece)), MF_OK);
	assert_int_equal(buffer.len, 2 + sizeof(piece));
	assert_memory_equal(buffer.bytes, "ab", 2);
	assert_memory_equal(buffer.bytes + 2, piece, sizeof(piece));
	mf_buffer_deinit(&buffer);
}

static void nothing_may_be_appended(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_buffer_append(&buffer, NULL, 0), MF_OK);
	assert_int_equal(buffer.len, 0);
	mf_buffer_deinit(&buffer);
}

static void deinit_leaves_an_empty_buffer_to_use_again(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_buffer_append(&buffer, "abc", 3), MF_OK);
	mf_buffer_deinit(&buffer);
	assert_null(buffer.bytes);
	assert_int_equal(buffer.len, 0);
	assert_int_equal(buffer.capacity, 0);
	assert_int_equal(mf_buffer_append(&buffer, "d", 1), MF_OK);
	assert_memory_equal(buffer.bytes, "d", 1);
	mf_buffer_deinit(&buffer);
}

static void a_length_that_overflows_is_out_of_memory(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_buffer_append(&buffer, "abc", 3), MF_OK);
	assert_int_equal(mf_buffer_append(&buffer, "abc", SIZE_MAX - 2), MF_ERR_NO_MEMORY);
	assert_int_equal(buffer.len, 3);
	assert_memory_equal(buffer.bytes, "abc", 3);
	mf_buffer_deinit(&buffer);
}

static void a_failed_allocation_leaves_the_buffer_as_it_was(void **state)
{
	(void)state;
	char large[1000] = {0};
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_buffer_append(&buffer, "abc", 3), MF_OK);
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_buffer_append(&buffer, large, sizeof(large)), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	assert_int_equal(buffer.len, 3);
	assert_memory_equal(buffer.bytes, "abc", 3);
	assert_int_equal(mf_buffer_append(&buffer, "d", 1), MF_OK);
	assert_memory_equal(buffer.bytes, "abcd", 4);
	mf_buffer_deinit(&buffer);
}

static void more_than_half_of_all_memory_is_asked_for_and_not_given(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_buffer_append(&buffer, "abc", 3), MF_OK);
	mf_mem_fail_at(1, true);
	assert_int_equal(mf_buffer_append(&buffer, "abc", SIZE_MAX / 2 + 2), MF_ERR_NO_MEMORY);
	assert_int_equal(mf_mem_count(), 1);
	mf_mem_fail_at(0, false);
	assert_int_equal(buffer.len, 3);
	mf_buffer_deinit(&buffer);
}

static void a_tight_buffer_has_no_room_to_spare(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	mf_mem_tight(true);
	for (size_t len = 1; len <= 100; len++) {
		assert_int_equal(mf_buffer_append(&buffer, "x", 1), MF_OK);
		assert_int_equal(buffer.capacity, len);
	}
	mf_mem_tight(false);
	mf_buffer_deinit(&buffer);
}

static void memory_for_nothing_is_memory_too(void **state)
{
	(void)state;
	void *some = mf_malloc(0), *more = mf_calloc(0, 0);
	assert_non_null(some);
	assert_non_null(more);
	some = mf_realloc(some, 0);
	assert_non_null(some);
	mf_free(some);
	mf_free(more);
	assert_null(mf_str_new("x", UINT32_MAX)); /* longer than a string can say */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_appended_is_there_in_order),
		cmocka_unit_test(it_grows_by_doubling),
		cmocka_unit_test(one_large_piece_fits_at_once),
		cmocka_unit_test(nothing_may_be_appended),
		cmocka_unit_test(deinit_leaves_an_empty_buffer_to_use_again),
		cmocka_unit_test(a_length_that_overflows_is_out_of_memory),
		cmocka_unit_test(a_failed_allocation_leaves_the_buffer_as_it_was),
		cmocka_unit_test(more_than_half_of_all_memory_is_asked_for_and_not_given),
		cmocka_unit_test(a_tight_buffer_has_no_room_to_spare),
		cmocka_unit_test(memory_for_nothing_is_memory_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
