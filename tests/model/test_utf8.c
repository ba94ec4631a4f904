#include "model/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE(array) (sizeof(array) / sizeof(*(array)))

/* Writes what the formula of UTF-8 gives, also for numbers that it must not be used for. */
static size_t encode(uint32_t number, char *out)
{
	if (number < 0x80) {
		out[0] = (char)number;
		return 1;
	}
	size_t len = number < 0x800 ? 2 : number < 0x10000 ? 3 : 4;
	for (size_t i = len - 1; i > 0; i--, number >>= 6)
		out[i] = (char)(0x80 | (number & 0x3F));
	out[0] = (char)((0xF00 >> len & 0xFF) | number);
	return len;
}

static void every_code_point_is_valid_and_surrogates_are_not(void **state)
{
	(void)state;
	for (uint32_t point = 0; point < 0x110000; point++) {
		char bytes[4];
		size_t len = encode(point, bytes);
		bool surrogate = point >= 0xD800 && point <= 0xDFFF;
		if (mf_utf8_valid(bytes, len) == surrogate)
			fail_msg("U+%04X", point);
		if (!surrogate && mf_utf8_count(bytes, len) != 1)
			fail_msg("U+%04X is not counted as one", point);
	}
}

static void every_sequence_of_two_bytes_is_judged_by_the_table(void **state)
{
	(void)state;
	for (unsigned pair = 0; pair < 0x10000; pair++) {
		unsigned char bytes[] = {(unsigned char)(pair >> 8), (unsigned char)pair};
		bool two = bytes[0] >= 0xC2 && bytes[0] <= 0xDF && bytes[1] >= 0x80 && bytes[1] <= 0xBF;
		bool ascii = bytes[0] < 0x80 && bytes[1] < 0x80;
		if (mf_utf8_valid((char *)bytes, 2) != (two || ascii))
			fail_msg("%02X %02X", bytes[0], bytes[1]);
	}
}

/* Three bytes in a row that are one sequence: exactly those that a code point from U+0800 on encodes to. */
static void every_three_byte_form_is_judged_by_its_code_point(void **state)
{
	(void)state;
	for (unsigned lead = 0xE0; lead <= 0xEF; lead++)
		for (unsigned pair = 0; pair < 0x10000; pair++) {
			unsigned char bytes[] = {(unsigned char)lead, (unsigned char)(pair >> 8), (unsigned char)pair};
			uint32_t point = (lead & 0xFu) << 12 | (bytes[1] & 0x3Fu) << 6 | (bytes[2] & 0x3Fu);
			bool shape = (bytes[1] & 0xC0) == 0x80 && (bytes[2] & 0xC0) == 0x80;
			bool right = shape && point >= 0x800 && !(point >= 0xD800 && point <= 0xDFFF);
			if (mf_utf8_valid((char *)bytes, 3) != right)
				fail_msg("%02X %02X %02X", bytes[0], bytes[1], bytes[2]);
		}
}

static const char *const broken[] = {
	"\x80", "\xBF", "\xC0\x80", "\xC1\xBF",                         /* lone continuation, overlong */
	"\xC2", "\xE2\x82", "\xF0\x9F\x98", "\xE2", "\xF0",             /* cut off */
	"\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", /* overlong */
	"\xED\xA0\x80", "\xED\xBF\xBF", "\xED\xA0\xBD\xED\xB8\x80",     /* surrogates, also in pairs */
	"\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF7\xBF\xBF\xBF",     /* above U+10FFFF */
	"\xF8\x88\x80\x80\x80", "\xFC\x84\x80\x80\x80\x80", "\xFE", "\xFF",
	"\xE2\x28\xA1", "\xF0\x9F\x28\x80", "\xC3\x28", "\xF0\x9F\x98\x28",
};

static void broken_bytes_are_found_at_any_place_in_a_word(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZE(broken); i++)
		for (size_t before = 0; before < 20; before++)
			for (size_t after = 0; after < 10; after++) {
				char text[64];
				size_t len = strlen(broken[i]);
				memset(text, 'a', sizeof(text));
				memcpy(text + before, broken[i], len);
				if (mf_utf8_valid(text, before + len + after))
					fail_msg("number %zu after %zu bytes", i, before);
				assert_int_equal(mf_utf8_valid_len(text, before + len + after), before);
			}
}

static void empty_text_and_nul_are_valid(void **state)
{
	(void)state;
	assert_true(mf_utf8_valid("", 0));
	assert_true(mf_utf8_valid(NULL, 0));
	assert_int_equal(mf_utf8_count(NULL, 0), 0);
	assert_int_equal(mf_utf8_offset("", 0, 3), 0);
	assert_true(mf_utf8_valid("a\0b", 3));
	assert_int_equal(mf_utf8_count("a\0b", 3), 3);
}

static void counts_and_offsets_agree_with_a_walk(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 2000; round++) {
		static const uint32_t kinds[] = {'x', 'y', 'z', 0, 0xE9, 0x20AC, 0x1F600, 0x10FFFF};
		char text[160];
		size_t offsets[41], len = 0, count = (size_t)rand() % 40;
		for (size_t i = 0; i < count; i++) {
			offsets[i] = len;
			len += encode(kinds[(size_t)rand() % (round % 2 ? SIZE(kinds) : 4)], text + len);
		}
		offsets[count] = len;
		assert_true(mf_utf8_valid(text, len));
		assert_int_equal(mf_utf8_count(text, len), count);
		for (size_t i = 0; i <= count; i++)
			assert_int_equal(mf_utf8_offset(text, len, i), offsets[i]);
		assert_int_equal(mf_utf8_offset(text, len, count + 1), len);
		assert_int_equal(mf_utf8_offset(text, len, SIZE_MAX), len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_is_valid_and_surrogates_are_not),
		cmocka_unit_test(every_sequence_of_two_bytes_is_judged_by_the_table),
		cmocka_unit_test(every_three_byte_form_is_judged_by_its_code_point),
		cmocka_unit_test(broken_bytes_are_found_at_any_place_in_a_word),
		cmocka_unit_test(empty_text_and_nul_are_valid),
		cmocka_unit_test(counts_and_offsets_agree_with_a_walk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
