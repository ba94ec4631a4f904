#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "model/mem.h"
#include "model/pack.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct mf_unpack reading(const struct mf_buffer *buffer)
{
	return (struct mf_unpack){.at = buffer->bytes, .end = buffer->len ? buffer->bytes + buffer->len : NULL};
}

static struct mf_value *parse(const char *json)
{
	struct mf_value *value;
	struct mf_error error = {0};
	if (mf_value_parse_json(json, strlen(json), &value, &error) != MF_OK)
		fail_msg("%s: %s", json, error.message);
	return value;
}

static struct mf_value *string_of(size_t len)
{
	char *bytes = mf_malloc(len);
	struct mf_value *value;
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)('a' + i % 26);
	assert_int_equal(mf_value_new_string(bytes, len, &value, NULL), MF_OK);
	mf_free(bytes);
	return value;
}

/* ---- tokens ---- */
static void ints_take_their_smallest_form_and_read_back(void **state)
{
	(void)state;
	static const struct {
		int64_t number;
		const char *bytes;
		size_t len;
	} table[] = {
		{0, "\x00", 1}, {127, "\x7f", 1}, {128, "\xcc\x80", 2}, {255, "\xcc\xff", 2}, {256, "\xcd\x01\x00", 3},
		{65535, "\xcd\xff\xff", 3}, {65536, "\xce\x00\x01\x00\x00", 5}, {4294967295, "\xce\xff\xff\xff\xff", 5},
		{4294967296, "\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 9}, {INT64_MAX, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
		{-1, "\xff", 1}, {-32, "\xe0", 1}, {-33, "\xd0\xdf", 2}, {-128, "\xd0\x80", 2}, {-129, "\xd1\xff\x7f", 3},
		{-32768, "\xd1\x80\x00", 3}, {-32769, "\xd2\xff\xff\x7f\xff", 5}, {INT32_MIN, "\xd2\x80\x00\x00\x00", 5},
		{(int64_t)INT32_MIN - 1, "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", 9}, {INT64_MIN, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9},
	};
	for (size_t i = 0; i < COUNT(table); i++) {
		struct mf_buffer buffer = {0};
		int64_t back;
		assert_int_equal(mf_pack_int(&buffer, table[i].number), MF_OK);
		assert_int_equal(buffer.len, table[i].len);
		assert_memory_equal(buffer.bytes, table[i].bytes, table[i].len);
		struct mf_unpack in = reading(&buffer);
		assert_int_equal(mf_unpack_int(&in, &back), MF_OK);
		assert_true(back == table[i].number);
		assert_ptr_equal(in.at, in.end);
		mf_buffer_deinit(&buffer);
	}
}

static void a_longer_form_of_an_int_is_read_too(void **state)
{
	(void)state;
	static const unsigned char five[] = {0xd3, 0, 0, 0, 0, 0, 0, 0, 5};
	struct mf_unpack in = {.at = five, .end = five + sizeof(five)};
	uint64_t number;
	assert_int_equal(mf_unpack_uint(&in, &number), MF_OK);
	assert_int_equal(number, 5);
}

static void the_largest_uint_is_kept_but_is_no_int(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	uint64_t back;
	int64_t number;
	assert_int_equal(mf_pack_uint(&buffer, UINT64_MAX), MF_OK);
	struct mf_unpack in = reading(&buffer);
	assert_int_equal(mf_unpack_int(&in, &number), MF_ERR_CORRUPTED);
	assert_int_equal(mf_unpack_uint(&in, &back), MF_OK);
	assert_true(back == UINT64_MAX);
	mf_buffer_deinit(&buffer);
}

static void where_the_bytes_end_there_is_no_int(void **state)
{
	(void)state;
	static const unsigned char cut_off[] = {0xd3, 0, 0, 0};
	for (size_t len = 0; len <= sizeof(cut_off); len++) {
		struct mf_unpack in = {.at = cut_off, .end = cut_off + len};
		int64_t number = 7;
		assert_int_equal(mf_unpack_int(&in, &number), MF_ERR_CORRUPTED);
		assert_ptr_equal(in.at, cut_off); /* as it was */
		assert_int_equal(number, 7);
	}
}

static void a_negative_number_is_no_uint(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	uint64_t number;
	assert_int_equal(mf_pack_int(&buffer, -1), MF_OK);
	struct mf_unpack in = reading(&buffer);
	assert_int_equal(mf_unpack_uint(&in, &number), MF_ERR_CORRUPTED);
	mf_buffer_deinit(&buffer);
}

static void strings_and_bytes_of_every_length_class_read_back(void **state)
{
	(void)state;
	static const size_t lens[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 70000};
	static char bytes[70000];
	memset(bytes, 'x', sizeof(bytes));
	for (size_t i = 0; i < COUNT(lens); i++) {
		struct mf_buffer buffer = {0};
		const char *str;
		const void *bin;
		size_t str_len, bin_len;
		assert_int_equal(mf_pack_str(&buffer, bytes, lens[i]), MF_OK);
		assert_int_equal(mf_pack_bin(&buffer, bytes, lens[i]), MF_OK);
		struct mf_unpack in = reading(&buffer);
		assert_int_equal(mf_unpack_bin(&in, &bin, &bin_len), MF_ERR_CORRUPTED);
		assert_int_equal(mf_unpack_str(&in, &str, &str_len), MF_OK);
		assert_int_equal(str_len, lens[i]);
		assert_memory_equal(str, bytes, lens[i]);
		assert_int_equal(mf_unpack_str(&in, &str, &str_len), MF_ERR_CORRUPTED);
		assert_int_equal(mf_unpack_bin(&in, &bin, &bin_len), MF_OK);
		assert_int_equal(bin_len, lens[i]);
		assert_memory_equal(bin, bytes, lens[i]);
		assert_ptr_equal(in.at, in.end);
		mf_buffer_deinit(&buffer);
	}
}

static void counts_of_every_class_read_back(void **state)
{
	(void)state;
	static const uint32_t counts[] = {0, 15, 16, 65535, 65536};
	static const unsigned char padding[2 * 65536] = {0};
	for (size_t i = 0; i < COUNT(counts); i++) {
		struct mf_buffer buffer = {0};
		uint32_t array, map;
		assert_int_equal(mf_pack_array(&buffer, counts[i]), MF_OK);
		assert_int_equal(mf_pack_map(&buffer, counts[i]), MF_OK);
		assert_int_equal(mf_buffer_append(&buffer, padding, sizeof(padding)), MF_OK);
		struct mf_unpack in = reading(&buffer);
		assert_int_equal(mf_unpack_map(&in, &map), MF_ERR_CORRUPTED);
		assert_int_equal(mf_unpack_array(&in, &array), MF_OK);
		assert_int_equal(array, counts[i]);
		assert_int_equal(mf_unpack_array(&in, &array), MF_ERR_CORRUPTED);
		assert_int_equal(mf_unpack_map(&in, &map), MF_OK);
		assert_int_equal(map, counts[i]);
		mf_buffer_deinit(&buffer);
	}
}

static void counts_take_their_smallest_form(void **state)
{
	static const struct {
		uint32_t count;
		size_t len;
	} forms[] = {{0, 1}, {15, 1}, {16, 3}, {UINT16_MAX, 3}, {UINT16_MAX + 1, 5}, {UINT32_MAX, 5}};
	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct mf_buffer buffer = {0};
		assert_int_equal(mf_pack_array(&buffer, forms[i].count), MF_OK);
		assert_int_equal(buffer.len, forms[i].len);
		assert_int_equal(mf_pack_map(&buffer, forms[i].count), MF_OK);
		assert_int_equal(buffer.len, 2 * forms[i].len);
		mf_buffer_deinit(&buffer);
	}
}

static void a_count_larger_than_the_input_is_refused(void **state)
{
	(void)state;
	static const unsigned char array[] = {0xdd, 0xff, 0xff, 0xff, 0xff, 0}, map[] = {0x82, 0xa0, 0xc0, 0xa0};
	struct mf_unpack in = {.at = array, .end = array + sizeof(array)};
	uint32_t count;
	assert_int_equal(mf_unpack_array(&in, &count), MF_ERR_CORRUPTED);
	assert_ptr_equal(in.at, array);
	in = (struct mf_unpack){.at = map, .end = map + sizeof(map)};
	assert_int_equal(mf_unpack_map(&in, &count), MF_ERR_CORRUPTED);
	assert_ptr_equal(in.at, map);
}

static void nil_is_consumed_only_when_it_is_there(void **state)
{
	(void)state;
	static const unsigned char bytes[] = {0xc0, 0x01};
	struct mf_unpack in = {.at = bytes, .end = bytes + sizeof(bytes)};
	bool was_nil;
	assert_int_equal(mf_unpack_nil(&in, &was_nil), MF_OK);
	assert_true(was_nil);
	assert_int_equal(mf_unpack_nil(&in, &was_nil), MF_OK);
	assert_false(was_nil);
	assert_ptr_equal(in.at, bytes + 1);
	in.at = in.end;
	assert_int_equal(mf_unpack_nil(&in, &was_nil), MF_ERR_CORRUPTED);
}

/* ---- values ---- */
static void round_trip(const struct mf_value *value)
{
	struct mf_buffer buffer = {0}, again = {0};
	struct mf_value *back;
	assert_int_equal(mf_pack_value(&buffer, value), MF_OK);
	struct mf_unpack in = reading(&buffer);
	assert_int_equal(mf_unpack_value(&in, &back), MF_OK);
	assert_ptr_equal(in.at, in.end);
	assert_true(mf_value_equal(back, value));
	assert_int_equal(mf_pack_value(&again, back), MF_OK);
	assert_int_equal(again.len, buffer.len);
	assert_memory_equal(again.bytes, buffer.bytes, buffer.len);
	mf_value_unref(back);
	mf_buffer_deinit(&buffer);
	mf_buffer_deinit(&again);
}

static void every_kind_of_value_reads_back_the_same(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"null", "true", "false", "0", "-1", "9223372036854775807", "-9223372036854775808", "1.0", "0.1", "-2.5e-308", "1.7976931348623157e308",
		"\"\"", "\"a\\u0000b\"", "\"\xf0\x9f\x98\x80\xc3\xa9\"", "[]", "{}", "[[],[[]],{}]", "[1,1.0,\"1\",null]",
		"{\"\":0,\"a\":{\"b\":{\"c\":[1,{\"d\":[]}]}},\"\xc3\xa9\":true}",
	};
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct mf_value *value = parse(texts[i]);
		round_trip(value);
		mf_value_unref(value);
	}
}

static void strings_of_every_length_class_read_back_as_values(void **state)
{
	(void)state;
	static const size_t lens[] = {31, 32, 255, 256, 1023, 1024, 1025, 65535, 65536, 300000};
	for (size_t i = 0; i < COUNT(lens); i++) {
		struct mf_value *value = string_of(lens[i]);
		round_trip(value);
		mf_value_unref(value);
	}
}

static void a_long_string_that_was_edited_is_written_in_one_piece(void **state)
{
	(void)state;
	struct mf_value *text = string_of(20000), *insert = parse("\"\xc3\xa9\xe2\x82\xac\""), *edited;
	for (size_t pos = 0; pos < 20000; pos += 1777) {
		assert_int_equal(mf_value_string_splice(text, pos, 3, insert, &edited, NULL, NULL), MF_OK);
		mf_value_unref(text);
		text = edited;
	}
	round_trip(text);
	mf_value_unref(text);
	mf_value_unref(insert);
}

static struct mf_value *array_of(size_t count)
{
	struct mf_value **items = mf_malloc(count * sizeof(*items)), *value;
	for (size_t i = 0; i < count; i++)
		assert_int_equal(mf_value_new_int((int64_t)i - 100, &items[i]), MF_OK);
	assert_int_equal(mf_value_new_array_take(items, count, &value, NULL), MF_OK);
	mf_free(items);
	return value;
}

static struct mf_value *object_of(size_t count)
{
	struct mf_member *members = mf_malloc(count * sizeof(*members));
	char (*keys)[12] = mf_malloc(count * sizeof(*keys));
	struct mf_value *value;
	for (size_t i = 0; i < count; i++) {
		int len = snprintf(keys[i], sizeof(keys[i]), "%zu", (i * 7919) % count);
		members[i] = (struct mf_member){.key = keys[i], .key_len = (size_t)len, .value = mf_value_null()};
	}
	assert_int_equal(mf_value_new_object_take(members, count, &value, NULL), MF_OK);
	mf_free(members);
	mf_free(keys);
	return value;
}

static void containers_of_every_count_class_read_back(void **state)
{
	(void)state;
	static const size_t counts[] = {15, 16, 17, 65535, 65536};
	for (size_t i = 0; i < COUNT(counts); i++) {
		struct mf_value *array = array_of(counts[i]), *object = object_of(counts[i]);
		round_trip(array);
		round_trip(object);
		mf_value_unref(array);
		mf_value_unref(object);
	}
}

static enum mf_status read_nested(unsigned char byte, size_t depth)
{
	/* depth - 1 containers around a nil; 0x81 0xa0 is a map with one member of key "" */
	struct mf_buffer buffer = {0};
	struct mf_value *value;
	for (size_t i = 1; i < depth; i++) {
		assert_int_equal(mf_buffer_append(&buffer, &byte, 1), MF_OK);
		if (byte == 0x81)
			assert_int_equal(mf_buffer_append(&buffer, "\xa0", 1), MF_OK);
	}
	assert_int_equal(mf_pack_nil(&buffer), MF_OK);
	struct mf_unpack in = reading(&buffer);
	enum mf_status status = mf_unpack_value(&in, &value);
	if (status == MF_OK) {
		assert_int_equal(mf_value_depth(value), depth);
		mf_value_unref(value);
	} else
		assert_ptr_equal(in.at, buffer.bytes);
	mf_buffer_deinit(&buffer);
	return status;
}

static void nesting_ends_at_its_limit(void **state)
{
	(void)state;
	assert_int_equal(read_nested(0x91, MF_NESTING_MAX), MF_OK);
	assert_int_equal(read_nested(0x81, MF_NESTING_MAX), MF_OK);
	assert_int_equal(read_nested(0x91, MF_NESTING_MAX + 1), MF_ERR_CORRUPTED);
	assert_int_equal(read_nested(0x81, MF_NESTING_MAX + 1), MF_ERR_CORRUPTED);
	assert_int_equal(read_nested(0x91, 1000000), MF_ERR_CORRUPTED);
}

static void bytes_that_are_no_value_are_corrupted(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
	} table[] = {
		{"", 0}, {"\xc1", 1}, {"\xc4\x01x", 3}, {"\xc7\x01\x01\x01", 4}, {"\xca\x00\x00\x00\x00", 5}, {"\xd4\x01\x01", 3}, {"\xd8\x01", 2},
		{"\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9},             /* above INT64_MAX */
		{"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", 9},             /* NaN */
		{"\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", 9},             /* -infinity */
		{"\xa1\xff", 2}, {"\xa2\xc0\x80", 3}, {"\xa3\xed\xa0\x80", 4}, /* not UTF-8 */
		{"\x81\x01\x01", 3},                                     /* a key that is no string */
		{"\x81\xa1\xff\x01", 4}, {"\x81\xa1\x00\x01", 4},        /* a key not UTF-8, with U+0000 */
		{"\x82\xa1""a\x01\xa1""a\x02", 7},                       /* a key twice */
		{"\x91", 1}, {"\x92\xc0", 2}, {"\x81\xa1""a", 3}, {"\xd9\x05""abcd", 6}, {"\xda\x00", 2}, {"\xcd\x01", 2},
		{"\x93\xa1""a\x91\x01\xc1", 6},
	};
	for (size_t i = 0; i < COUNT(table); i++) {
		const unsigned char *bytes = (const unsigned char *)table[i].bytes;
		struct mf_unpack in = {.at = bytes, .end = bytes + table[i].len};
		struct mf_value *value = NULL;
		if (mf_unpack_value(&in, &value) != MF_ERR_CORRUPTED)
			fail_msg("case %zu was read", i);
		assert_null(value);
		assert_ptr_equal(in.at, bytes);
	}
}

static void minus_zero_reads_as_zero(void **state)
{
	(void)state;
	static const unsigned char bytes[] = {0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0};
	struct mf_unpack in = {.at = bytes, .end = bytes + sizeof(bytes)};
	struct mf_value *value, *zero = parse("0.0");
	assert_int_equal(mf_unpack_value(&in, &value), MF_OK);
	round_trip(value);
	assert_true(mf_value_equal(value, zero));
	mf_value_unref(value);
	mf_value_unref(zero);
}

static void members_out_of_order_read_as_the_sorted_object(void **state)
{
	(void)state;
	static const unsigned char bytes[] = {0x82, 0xa1, 'b', 0x01, 0xa1, 'a', 0x02};
	struct mf_unpack in = {.at = bytes, .end = bytes + sizeof(bytes)};
	struct mf_value *value, *same = parse("{\"a\":2,\"b\":1}");
	assert_int_equal(mf_unpack_value(&in, &value), MF_OK);
	assert_true(mf_value_equal(value, same));
	mf_value_unref(value);
	mf_value_unref(same);
}

/* ---- out of memory ---- */
static enum mf_status write_and_read(const struct mf_value *value)
{
	struct mf_buffer buffer = {0};
	struct mf_value *back;
	enum mf_status status = mf_pack_value(&buffer, value);
	struct mf_unpack in = reading(&buffer);
	if (status == MF_OK)
		status = mf_unpack_value(&in, &back);
	if (status == MF_OK) {
		assert_true(mf_value_equal(value, back));
		mf_value_unref(back);
	}
	mf_buffer_deinit(&buffer);
	return status;
}

static void every_failed_allocation_is_reported_as_such(void **state)
{
	(void)state;
	mf_mem_tight(true); /* each piece that is appended may find no room */
	struct mf_value *value = parse("{\"a\":[1,2,[3,{\"b\":\"a text of some length that is not short at all, to be sure\"}]],\"c\":{\"d\":[null,true,1.5]}}");
	for (int forever = 0; forever < 2; forever++) {
		uint64_t n = 0, reached;
		do {
			mf_mem_fail_at(++n, forever);
			enum mf_status status = write_and_read(value);
			reached = mf_mem_count();
			mf_mem_fail_at(0, false);
			assert_int_equal(status, reached < n ? MF_OK : MF_ERR_NO_MEMORY);
		} while (reached >= n);
		assert_true(n > 5);
	}
	mf_value_unref(value);
	mf_mem_tight(false);
}

static void a_string_beyond_the_format_is_refused_before_it_is_read(void **state)
{
	(void)state;
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_pack_str(&buffer, "x", (size_t)UINT32_MAX + 1), MF_ERR_NO_MEMORY);
	assert_int_equal(mf_pack_bin(&buffer, "x", (size_t)UINT32_MAX + 1), MF_ERR_NO_MEMORY);
	assert_int_equal(buffer.len, 0);
	mf_buffer_deinit(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ints_take_their_smallest_form_and_read_back),
		cmocka_unit_test(a_longer_form_of_an_int_is_read_too),
		cmocka_unit_test(the_largest_uint_is_kept_but_is_no_int),
		cmocka_unit_test(where_the_bytes_end_there_is_no_int),
		cmocka_unit_test(a_negative_number_is_no_uint),
		cmocka_unit_test(strings_and_bytes_of_every_length_class_read_back),
		cmocka_unit_test(counts_of_every_class_read_back),
		cmocka_unit_test(counts_take_their_smallest_form),
		cmocka_unit_test(a_count_larger_than_the_input_is_refused),
		cmocka_unit_test(nil_is_consumed_only_when_it_is_there),
		cmocka_unit_test(every_kind_of_value_reads_back_the_same),
		cmocka_unit_test(strings_of_every_length_class_read_back_as_values),
		cmocka_unit_test(a_long_string_that_was_edited_is_written_in_one_piece),
		cmocka_unit_test(containers_of_every_count_class_read_back),
		cmocka_unit_test(nesting_ends_at_its_limit),
		cmocka_unit_test(bytes_that_are_no_value_are_corrupted),
		cmocka_unit_test(minus_zero_reads_as_zero),
		cmocka_unit_test(members_out_of_order_read_as_the_sorted_object),
		cmocka_unit_test(every_failed_allocation_is_reported_as_such),
		cmocka_unit_test(a_string_beyond_the_format_is_refused_before_it_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
