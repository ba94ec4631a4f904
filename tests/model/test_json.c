#include <moduforge/value.h>

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/json_write.h"
#include "model/mem.h"
#include "model/number.h"
#include "model/tree.h"
#include "tests/model/second_opinion.h"

#define SIZE(array) (sizeof(array) / sizeof(*(array)))

static struct mf_value *parse(const char *text, size_t len)
{
	struct mf_value *value;
	struct mf_error error = {0};
	if (mf_value_parse_json(text, len, &value, &error) != MF_OK)
		fail_msg("%.*s: %s", (int)len, text, error.message);
	mf_value_unref(value);
	const char *difference = second_opinion(text, len, &value);
	if (difference)
		fail_msg("%.*s: %s", (int)len, text, difference);
	return value;
}

static void check_prints(const char *json, const char *canonical)
{
	struct mf_value *value = parse(json, strlen(json));
	char *text;
	size_t len;
	assert_int_equal(mf_value_to_json(value, &text, &len), MF_OK);
	assert_string_equal(text, canonical);
	assert_int_equal(len, strlen(canonical));
	mf_free(text);
	mf_value_unref(value);
}

static void check_refused_bytes(const char *json, size_t len, const char *reason)
{
	struct mf_value *value = NULL;
	struct mf_error error = {0};
	if (mf_value_parse_json(json, len, &value, &error) != MF_ERR_INVALID)
		fail_msg("taken: %.*s", (int)(len < 60 ? len : 60), json);
	assert_null(value);
	assert_int_equal(error.status, MF_ERR_INVALID);
	if (!strstr(error.message, reason))
		fail_msg("\"%s\" does not say \"%s\"", error.message, reason);
	const char *difference = second_opinion(json, len, &value);
	if (difference)
		fail_msg("%.*s: %s", (int)(len < 60 ? len : 60), json, difference);
}

static void check_refused(const char *json, const char *reason)
{
	check_refused_bytes(json, strlen(json), reason);
}

/* ---- canonical form ---- */

static void keys_are_sorted_and_white_space_goes(void **state)
{
	(void)state;
	check_prints(" { \"b\" : [ 1 , 2 ] ,\n\t\"a\" : { } , \"\" : null,\"B\":true, \"\xC3\xA9\":false } \r\n", "{\"\":null,\"B\":true,\"a\":{},\"b\":[1,2],\"\xC3\xA9\":false}");
	check_prints("null", "null");
	check_prints("[]", "[]");
	check_prints("[[],{},\"\"]", "[[],{},\"\"]");
}

/* U+FF61 is below U+1F600, in UTF-8 as by code point; in UTF-16 it would be above. */
static void keys_are_sorted_by_utf8_and_not_by_utf16(void **state)
{
	(void)state;
	check_prints("{\"\xF0\x9F\x98\x80\":1,\"\xEF\xBD\xA1\":2}", "{\"\xEF\xBD\xA1\":2,\"\xF0\x9F\x98\x80\":1}");
}

static void only_what_must_be_is_escaped(void **state)
{
	(void)state;
	check_prints("\"\\u0022\\u005c\\/\\u0008\\u000c\\u000a\\u000d\\u0009\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"");
	check_prints("\"\\u0000\\u0001\\u000B\\u001f\\u0020\\u007f\"", "\"\\u0000\\u0001\\u000b\\u001f \x7F\"");
	check_prints("\"\\u00e9\\u20AC\\ud83d\\ude00<>&'\\u2028\"", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80<>&'\xE2\x80\xA8\"");
	check_prints("{\"\\n\":1}", "{\"\\n\":1}");
}

/* The escaper looks at eight bytes at a time: every byte at every place, against a walk. */
static void every_byte_is_escaped_alike_at_every_place(void **state)
{
	(void)state;
	for (int byte = 0; byte < 0x80; byte++)
		for (size_t at = 0; at < 17; at++) {
			char text[17], wanted[64], *json;
			memset(text, byte % 2 ? 'a' : '!', sizeof(text)); /* '!' is next to '"' */
			text[at] = (char)byte;
			char escaped[8] = {(char)byte, '\0'};
			static const char *const named[] = {['\b'] = "\\b", ['\f'] = "\\f", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t", ['"'] = "\\\"", ['\\'] = "\\\\"};
			if ((size_t)byte < SIZE(named) && named[byte])
				snprintf(escaped, sizeof(escaped), "%s", named[byte]);
			else if (byte < 0x20)
				snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)byte);
			snprintf(wanted, sizeof(wanted), "\"%.*s%s%.*s\"", (int)at, text, escaped, (int)(16 - at), text + at + 1);
			struct mf_value *value;
			assert_int_equal(mf_value_new_string(text, sizeof(text), &value, NULL), MF_OK);
			assert_int_equal(mf_value_to_json(value, &json, NULL), MF_OK);
			assert_string_equal(json, wanted);
			mf_free(json);
			mf_value_unref(value);
		}
}

/* ---- numbers ---- */

static void numbers_print_as_the_header_says(void **state)
{
	(void)state;
	static const char *const numbers[][2] = {
		{"0", "0"}, {"-0", "0"}, {"1", "1"}, {"-1", "-1"}, {"9223372036854775807", "9223372036854775807"}, {"-9223372036854775808", "-9223372036854775808"},
		{"0.0", "0.0"}, {"-0.0", "0.0"}, {"-0e5", "0.0"}, {"1.0", "1.0"}, {"1e0", "1.0"}, {"-1.50", "-1.5"}, {"100.0", "100.0"}, {"1E2", "100.0"},
		{"0.1", "0.1"}, {"0.10000000000000001", "0.1"}, {"0.30000000000000004", "0.30000000000000004"}, {"19.99", "19.99"}, {"1234567.891", "1234567.891"},
		{"0.001", "0.001"}, {"0.0001", "0.0001"}, {"0.00012345", "0.00012345"}, {"0.00001", "1e-05"}, {"1.5e-7", "1.5e-07"}, {"123e-20", "1.23e-18"},
		{"1e15", "1000000000000000.0"}, {"9007199254740993.0", "9007199254740992.0"}, {"9999999999999998.0", "9999999999999998.0"}, {"1e16", "1e+16"}, {"12345678901234567890.0", "1.2345678901234567e+19"},
		{"1e22", "1e+22"}, {"1e23", "1e+23"}, {"1e100", "1e+100"}, {"1e300", "1e+300"}, {"1.7976931348623157e308", "1.7976931348623157e+308"}, {"-1.7976931348623157e308", "-1.7976931348623157e+308"},
		{"2.2250738585072014e-308", "2.2250738585072014e-308"}, {"2.225073858507201e-308", "2.225073858507201e-308"}, {"5e-324", "5e-324"}, {"4.9406564584124654e-324", "5e-324"}, {"1e-323", "1e-323"},
		{"5.6843418860808015e-14", "5.684341886080802e-14"}, /* 2^-44: the 16 nearest digits do not read back, the next ones up do */
		{"1e-400", "0.0"}, {"3.141592653589793", "3.141592653589793"}, {"2.718281828459045235360287471352662497757", "2.718281828459045"}};
	for (size_t i = 0; i < SIZE(numbers); i++)
		check_prints(numbers[i][0], numbers[i][1]);
}

static uint64_t random_bits(void)
{
	static uint64_t x = 88172645463325252u;
	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

static int significant_digits(const char *text)
{
	char digits[40];
	int count = 0;
	for (; *text && *text != 'e'; text++)
		if (*text >= '0' && *text <= '9' && (count > 0 || *text != '0'))
			digits[count++] = *text;
	while (count > 0 && digits[count - 1] == '0')
		count--;
	return count;
}

static void check_double(double number)
{
	char text[MF_NUMBER_MAX];
	size_t len = mf_number_print_double(number, text);
	assert_int_equal(len, strlen(text));
	assert_true(len < MF_NUMBER_MAX);
	double back = strtod(text, NULL);
	if (memcmp(&back, &number, sizeof(back)) != 0) /* NOLINT(bugprone-suspicious-memory-comparison): bit by bit is meant */
		fail_msg("%a prints as %s", number, text);
	assert_true(strchr(text, '.') || strchr(text, 'e'));
	/* No shorter one: the nearest decimal with a digit fewer is another number. */
	int digits = significant_digits(text);
	if (digits < 2)
		return;
	char shorter[64];
	snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, number);
	if (strtod(shorter, NULL) == number)
		fail_msg("%s is shorter than %s", shorter, text);
}

static void doubles_read_back_bit_for_bit_and_are_shortest(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t bits = random_bits();
		double number;
		memcpy(&number, &bits, sizeof(number));
		if (isfinite(number) && number != 0)
			check_double(number);
	}
}

static double from_bits(uint64_t bits)
{
	double number;
	memcpy(&number, &bits, sizeof(number));
	return number;
}

static void doubles_next_to_powers_and_subnormals_read_back_too(void **state)
{
	(void)state;
	for (uint64_t exponent = 1; exponent < 2047; exponent++) {
		check_double(from_bits(exponent << 52));
		check_double(from_bits((exponent << 52) + 1));
		check_double(-from_bits((exponent << 52) - 1));
	}
	for (uint64_t bit = 0; bit < 52; bit++)
		check_double(from_bits(UINT64_C(1) << bit));
	for (int i = 0; i < 5000; i++)
		check_double(from_bits(random_bits() >> (12 + i % 52) | 1)); /* no exponent: subnormal */
	for (int i = 1; i < 20000; i++)
		check_double(i / 100.0);
}

static void integers_read_back(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		int64_t number = (int64_t)(random_bits() >> (i % 64));
		for (int sign = 0; sign < 2; sign++, number = (int64_t)(0 - (uint64_t)number)) {
			char text[MF_NUMBER_MAX];
			size_t len = mf_number_print_int(number, text);
			assert_int_equal(len, strlen(text));
			assert_true(strtoll(text, NULL, 10) == number);
			assert_null(strchr(text, '.'));
		}
	}
}

static void integers_outside_int64_and_reals_outside_double_are_refused(void **state)
{
	(void)state;
	check_refused("9223372036854775808", "too big integer");
	check_refused("-9223372036854775809", "too big negative integer");
	check_refused("[1,\n 123456789012345678901234567890]", "line 2");
	check_refused("1e309", "real number overflow");
	check_refused("-1.8e308", "real number overflow");
	check_refused("1e99999999999999999999", "real number overflow");
}

/* ---- numbers, read as jansson reads them with strtod and all digits ---- */

static void agree(const char *text, size_t len)
{
	struct mf_value *value;
	const char *difference = second_opinion(text, len, &value);
	if (difference)
		fail_msg("%.*s: %s", (int)len, text, difference);
	mf_value_unref(value);
}

static size_t put_digits(char *text, size_t count)
{
	for (size_t i = 0; i < count; i++)
		text[i] = (char)('0' + random_bits() % 10);
	return count;
}

static void random_numbers_are_those_of_the_second_opinion(void **state)
{
	(void)state;
	char text[2200];
	for (int i = 0; i < 60000; i++) {
		size_t most = i % 100 == 0 ? 1000 : i % 3 == 0 ? 25 : 9, len = 0;
		if (random_bits() % 4 == 0)
			text[len++] = '-';
		len += put_digits(text + len, 1 + random_bits() % (random_bits() % 3 ? most : 1));
		if (random_bits() % 3 > 0) {
			text[len++] = '.';
			len += put_digits(text + len, random_bits() % most + (random_bits() % 50 > 0));
		}
		if (random_bits() % 2)
			len += (size_t)sprintf(text + len, "%c%s%d", random_bits() % 2 ? 'e' : 'E', random_bits() % 2 ? "-" : random_bits() % 2 ? "+" : "", (int)(random_bits() % 340 / (1 + random_bits() % 20)));
		agree(text, len);
	}
}

/* Half-way between two doubles: to the even one, and up for whatever stands behind, however far behind. */
static void what_lies_half_way_between_two_doubles_goes_to_the_even_one(void **state)
{
	(void)state;
	static char text[5000];
	for (int i = 0; i < 3000; i++) {
		uint64_t bits = i == 0 ? 0 : i == 1 ? 1 : i == 2 ? UINT64_C(0x000FFFFFFFFFFFFF) : i == 3 ? UINT64_C(0x0010000000000000) : random_bits() % (UINT64_C(0x7FE) << 52);
		long double half = ((long double)from_bits(bits) + from_bits(bits + 1)) / 2;
		if (half == from_bits(bits) || half == from_bits(bits + 1))
			continue; /* a long double has no bit more here */
		int len = sprintf(text, "%.1100Le", half), exponent = len;
		while (text[exponent] != 'e')
			exponent--;
		for (int zeros = 0; zeros < 2; zeros++) {
			char more[800];
			size_t count = (size_t)(zeros ? 700 : 0);
			memset(more, '0', count);
			for (int last = '0'; last <= '1'; last++) {
				more[count] = (char)last;
				char whole[6000];
				int whole_len = sprintf(whole, "%.*s%.*s%s", exponent, text, (int)count + 1, more, text + exponent);
				struct mf_value *value = parse(whole, (size_t)whole_len);
				double wanted = from_bits(bits + (last == '1' ? 1 : bits % 2));
				assert_true(mf_value_as_double(value) == wanted);
				mf_value_unref(value);
			}
		}
	}
}

static void zeros_and_absurd_exponents_are_numbers_too(void **state)
{
	(void)state;
	static const char *const numbers[][2] = {
		{"0e99999999999999999999999", "0.0"}, {"-0.000E-99999999999999999999999", "0.0"}, {"1e-99999999999999999999999", "0.0"}, {"-1e-324", "0.0"}, {"0.000001e+6", "1.0"}, {"1e0000000000000000000000000000002", "100.0"},
		{"9007199254740992e22", "9.007199254740992e+37"}, {"9007199254740993e0", "9007199254740992.0"}, {"9007199254740991e-22", "9.007199254740991e-07"}, {"123456789012345678e0", "1.2345678901234568e+17"}, {"1e23", "1e+23"}, {"1e-23", "1e-23"}};
	for (size_t i = 0; i < SIZE(numbers); i++)
		check_prints(numbers[i][0], numbers[i][1]);
	char text[3000];
	for (int shift = -1200; shift <= 1200; shift += 7) { /* 5 at any place, and the exponent that puts it right */
		int zeros = abs(shift), len = shift < 0 ? sprintf(text, "0.%0*de%d", zeros, 5, zeros) : sprintf(text, "5%0*de-%d", zeros, 0, zeros ? zeros : 1);
		text[len] = '\0';
		struct mf_value *value = parse(text, (size_t)len);
		assert_true(mf_value_as_double(value) == 5);
		mf_value_unref(value);
	}
	check_refused("-1e99999999999999999999", "column 1: real number overflow");
	check_refused("0.00001e999", "real number overflow");
	check_refused("1.7976931348623159e308", "real number overflow");
	check_prints("1.7976931348623158e308", "1.7976931348623157e+308");
	check_refused("99999999999999999999999999999999999999", "too big integer");
	check_refused("18446744073709551617", "too big integer"); /* 2^64 + 1 */
	check_refused("-18446744073709551616", "too big negative integer");
}

static bool set_comma_locale(const char *directory)
{
	static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8", "de_DE"};
	for (size_t i = 0; i < SIZE(names); i++)
		if (setlocale(LC_ALL, names[i]) && localeconv()->decimal_point[0] == ',')
			return true;
	char command[256]; /* none is installed: make one, where the tool and its sources are */
	snprintf(command, sizeof(command), "localedef -c -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", directory);
	if (system(command) != 0)
		return false;
	setenv("LOCPATH", directory, 1);
	return setlocale(LC_ALL, "de_DE.UTF-8") && localeconv()->decimal_point[0] == ',';
}

static void a_decimal_comma_of_the_host_does_not_leak_in(void **state)
{
	(void)state;
	char directory[128], command[160];
	const char *base = getenv("TMPDIR");
	snprintf(directory, sizeof(directory), "%s/mf_locale_XXXXXX", base && strlen(base) < 100 ? base : "/tmp");
	assert_non_null(mkdtemp(directory));
	bool set = set_comma_locale(directory);
	if (set) {
		char text[16];
		snprintf(text, sizeof(text), "%.1f", 0.5);
		assert_string_equal(text, "0,5"); /* the locale is really on */
		numbers_print_as_the_header_says(NULL);
		zeros_and_absurd_exponents_are_numbers_too(NULL);
		check_refused("0,5", "end of file");
	}
	setlocale(LC_ALL, "C");
	unsetenv("LOCPATH");
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	assert_int_equal(system(command), 0);
	if (!set) {
		print_message("skipped: no locale with a decimal comma, and none could be made\n");
		skip();
	}
}

/* ---- refusals ---- */

static void hostile_texts_are_refused_with_line_and_column(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"", " ", "\n\n", "nul", "True", "NaN", "Infinity", "-", "+1", "01", "1.", ".5", "1e", "0x10", "--1", "1 2", "[1]]", "{}{}", "[1,]", "[,1]", "[1 2]", "{,}", "{\"a\"}", "{\"a\":}",
		"{\"a\":1,}", "{a:1}", "{'a':1}", "{1:2}", "\"", "\"abc", "\"\\\"", "\"\\x41\"", "\"\\u12\"", "\"\\u12G4\"", "\"\n\"", "\"\t\"", "\"\x01\"", "[\"a\":1]", "{\"a\":1", "[[[[", "]", "}", "//c\n1", "/**/1",
		"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"", "\"\x80\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", "\"\xFF\"", "\"\xE2\x82\"", "\xEF\xBB\xBF{}", "\xFE\xFF"};
	for (size_t i = 0; i < SIZE(texts); i++)
		check_refused(texts[i], "JSON line ");
	check_refused("{\"a\":1,\n\"b\":tru}", "line 2, column ");
	check_refused_bytes("1\0", 2, "line 1, column 2: a NUL byte");
	check_refused_bytes("\0", 1, "a NUL byte");
	check_refused_bytes("[1,\n2]\0 junk", 12, "line 2, column 3: a NUL byte");
	check_refused_bytes("\"a\0b\"", 5, "a NUL byte");
	check_refused_bytes("[1,2]", 4, "JSON line "); /* the length counts, not the NUL */
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
	(void)state;
	static const char *const texts[][2] = {
		{"", "JSON line 1, column 1: a value is expected near end of file"},
		{"[1,\n ", "JSON line 2, column 2: a value is expected near end of file"},
		{"[1,]", "JSON line 1, column 4: a value is expected"},
		{"[1\n 2]", "JSON line 2, column 2: ',' or ']' is expected"},
		{"[01]", "JSON line 1, column 3: ',' or ']' is expected"},
		{"[[1]", "JSON line 1, column 5: ',' or ']' is expected near end of file"},
		{"{\"a\":1 \"b\":2}", "JSON line 1, column 8: ',' or '}' is expected"},
		{"{\"a\" 1}", "JSON line 1, column 6: ':' is expected"},
		{"{\"a\":1,}", "JSON line 1, column 8: a string is expected as the key of a member"},
		{"[\"\xC3\xA9\xE2\x82\xAC\", tru]", "JSON line 1, column 8: invalid token"}, /* columns are code points */
		{"nul", "JSON line 1, column 1: invalid token"},
		{"1 2", "JSON line 1, column 3: end of file expected"},
		{"-x", "JSON line 1, column 2: a digit is expected"},
		{"1.", "JSON line 1, column 3: a digit is expected near end of file"},
		{"[1e+]", "JSON line 1, column 5: a digit is expected"},
		{"\"ab", "JSON line 1, column 4: premature end of input"},
		{"\"ab\\", "JSON line 1, column 4: premature end of input"},
		{"[\"a\tb\"]", "JSON line 1, column 4: control character in a string"},
		{"[\"a\xFF\tb\"]", "JSON line 1, column 4: not UTF-8"},
		{"[\"ab\\x\"]", "JSON line 1, column 5: invalid escape"},
		{"[\"ab\\\n\"]", "JSON line 1, column 5: invalid escape"},
		{"[\"\\u12\"]", "JSON line 1, column 3: invalid Unicode escape"},
		{"[\"\\ud834\\u0020\"]", "JSON line 1, column 3: invalid Unicode escape"},
		{"{\"k\\u0000\":1}", "JSON line 1, column 3: NUL in an object key"},
		{"{\"k\\q\":1}", "JSON line 1, column 4: invalid escape"},
		{"[99999999999999999999]", "JSON line 1, column 2: too big integer"},
		{"[1e999]", "JSON line 1, column 2: real number overflow"},
		{"{\"a\":1,\n\"b\":2,\"a\":3,\"b\":4}", "JSON line 2, column 8: duplicate object key: a"},
		{"{\"a\":1, \"\\u0061\":2}", "JSON line 1, column 10: duplicate object key: a"},
		{"{\"\\u0061\\n\":1, \"a\\n\":2}", "JSON line 1, column 17: duplicate object key: a?"}};
	for (size_t i = 0; i < SIZE(texts); i++) {
		struct mf_value *value = NULL;
		struct mf_error error = {0};
		assert_int_equal(mf_value_parse_json(texts[i][0], strlen(texts[i][0]), &value, &error), MF_ERR_INVALID);
		assert_string_equal(error.message, texts[i][1]);
		check_refused(texts[i][0], texts[i][1]);
	}
}

/* Of several it is the first that repeats one, wherever sorting puts them. */
static void a_repeated_key_is_found_among_many(void **state)
{
	(void)state;
	static char text[2000000];
	for (int escaped = 0; escaped < 2; escaped++) {
		size_t len = 0;
		text[len++] = '{';
		for (int i = 0; i < 50000; i++)
			len += (size_t)sprintf(text + len, "\"%s%d\":%d,", escaped ? "\\u006b" : "k", i * 7919 % 50000, i);
		size_t whole = len;
		len += (size_t)sprintf(text + len, "\n\"k4711\":0,\n\"k%d\":0,\"k4711\":0}", 17);
		check_refused_bytes(text, len, "line 2, column 2: duplicate object key: k4711");
		text[whole - 1] = '}';
		mf_value_unref(parse(text, whole));
	}
}

/* Texts with a few bytes changed, put in or left out: taken by both parsers or by none. */
static void changed_texts_are_read_as_the_second_opinion_reads_them(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"{\"a\":[1,-2.5e+3,true,false,null],\"b\":{\"c\":\"\\u00e9\\ud83d\\ude00\\n\\\"\",\"\":{}}}", "[\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 text\",0.1,1E-7,[[]],{\"k\":[{}]}]",
		" {\"a\" : 1 ,\r\n\t\"b\\t\":2, \"aa\":3}  ", "-9223372036854775808", "[9223372036854775807, 1.7976931348623157e308]", "\"\\ud800\\udc00\\udbff\\udfff\\u0000\""};
	static const char pieces[] = "{}[]:,\"\\/0123456789+-.eEutfnr \n\t\xC3\xA9\xED\xA0\x80\xFF\x7F\x01";
	int taken = 0;
	for (int i = 0; i < 60000; i++) {
		char text[256];
		const char *from = texts[random_bits() % SIZE(texts)];
		size_t len = strlen(from);
		memcpy(text, from, len);
		for (uint64_t changes = 1 + random_bits() % 3; changes > 0 && len > 0; changes--) {
			size_t at = random_bits() % len, how = random_bits() % 3;
			if (how > 0)
				memmove(text + at + (how == 1), text + at + (how == 2), len - at - (how == 2));
			len = how == 1 ? len + 1 : how == 2 ? len - 1 : len;
			if (how < 2)
				text[at] = random_bits() % 8 ? pieces[random_bits() % (sizeof(pieces) - 1)] : (char)random_bits();
		}
		struct mf_value *value;
		const char *difference = second_opinion(text, len, &value);
		if (difference)
			fail_msg("change %d, %.*s: %s", i, (int)len, text, difference);
		taken += value != NULL;
		mf_value_unref(value);
	}
	assert_in_range(taken, 6000, 54000);
}

static void a_message_is_one_line_of_text(void **state)
{
	(void)state;
	struct mf_value *value;
	struct mf_error error = {0};
	char text[3000];
	memset(text, '\n', sizeof(text));
	memset(text + 1000, '\x01', 1000);
	assert_int_equal(mf_value_parse_json(text, sizeof(text), &value, &error), MF_ERR_INVALID);
	for (const char *c = error.message; *c; c++)
		assert_true((unsigned char)*c >= 0x20);
	assert_non_null(strstr(error.message, "line 1001"));
}

static void a_repeated_key_is_refused(void **state)
{
	(void)state;
	check_refused("{\"a\":1,\"b\":2,\"a\":1}", "duplicate object key");
	check_refused("[{\"x\":{\"\":1,\n\"\":1}}]", "line 2");
	check_refused("{\"a\":1,\"\\u0061\":2}", "duplicate object key");
}

static void nul_is_refused_in_a_key_and_taken_in_a_string(void **state)
{
	(void)state;
	check_refused("{\"a\\u0000b\":1}", "NUL");
	check_refused("{\"\\u0000\":1}", "NUL");
	check_prints("\"a\\u0000b\"", "\"a\\u0000b\"");
}

/* levels times open, core, levels times close */
static void check_nesting(const char *open, const char *core, const char *close, size_t levels, bool fits)
{
	size_t open_len = strlen(open), core_len = strlen(core), close_len = strlen(close), at = 0;
	char *text = malloc(levels * (open_len + close_len) + core_len + 1);
	for (size_t i = 0; i < levels; i++, at += open_len)
		memcpy(text + at, open, open_len);
	memcpy(text + at, core, core_len);
	at += core_len;
	for (size_t i = 0; i < levels; i++, at += close_len)
		memcpy(text + at, close, close_len);
	if (fits) {
		struct mf_value *value = parse(text, at);
		assert_int_equal(mf_value_depth(value), levels + (core_len > 0));
		char *json;
		size_t len;
		assert_int_equal(mf_value_to_json(value, &json, &len), MF_OK);
		assert_int_equal(len, at);
		assert_memory_equal(json, text, len);
		mf_free(json);
		mf_value_unref(value);
	} else {
		check_refused_bytes(text, at, "nested more than 224 deep");
	}
	free(text);
}

static void nesting_ends_at_the_limit_and_never_eats_the_stack(void **state)
{
	(void)state;
	check_nesting("[", "", "]", MF_NESTING_MAX, true);
	check_nesting("[", "", "]", MF_NESTING_MAX + 1, false);
	check_nesting("[", "1", "]", MF_NESTING_MAX - 1, true);
	check_nesting("[", "1", "]", MF_NESTING_MAX, false);
	check_nesting("{\"a\":", "{}", "}", MF_NESTING_MAX - 1, true);
	check_nesting("{\"a\":", "{}", "}", MF_NESTING_MAX, false);
	check_nesting("[{\"a\":", "null", "}]", 1000, false);
	check_nesting("[", "", "]", 2047, false);
	check_nesting("[", "", "]", 1000000, false);
	check_nesting("{\"a\":", "1", "}", 1000000, false);
	check_nesting("[", "", "", 1000000, false);
}

/* ---- round trips ---- */

static struct mf_value *random_string(void)
{
	static const char *const parts[] = {"a", "\"", "\\", "\n", "\x01", "\xC3\xA9", "\xF0\x9F\x98\x80", "plain words "};
	char text[4096];
	size_t len = 0, count = random_bits() % (random_bits() % 8 ? 10 : 300);
	for (size_t i = 0; i < count; i++) {
		const char *part = parts[random_bits() % SIZE(parts)];
		memcpy(text + len, part, strlen(part));
		len += strlen(part);
	}
	struct mf_value *value;
	assert_int_equal(mf_value_new_string(text, len, &value, NULL), MF_OK);
	return value;
}

static struct mf_value *random_value(int depth)
{
	struct mf_value *value, *items[6];
	struct mf_member members[6];
	char keys[6][8];
	size_t count = random_bits() % 6;
	switch (random_bits() % (depth > 0 ? 8 : 6)) {
	case 0: return mf_value_null();
	case 1: return mf_value_bool(random_bits() % 2);
	case 2: assert_int_equal(mf_value_new_int((int64_t)random_bits() >> random_bits() % 64, &value), MF_OK); return value;
	case 3: assert_int_equal(mf_value_new_double((double)random_bits() / 1e9, &value, NULL), MF_OK); return value;
	case 4:
	case 5: return random_string();
	case 6:
		for (size_t i = 0; i < count; i++)
			items[i] = random_value(depth - 1);
		assert_int_equal(mf_value_new_array_take(items, count, &value, NULL), MF_OK);
		return value;
	default:
		for (size_t i = 0; i < count; i++) {
			int len = snprintf(keys[i], sizeof(keys[i]), "%c%zu", 'z' - (int)(random_bits() % 26), i);
			members[i] = (struct mf_member){keys[i], (size_t)len, random_value(depth - 1)};
		}
		assert_int_equal(mf_value_new_object_take(members, count, &value, NULL), MF_OK);
		return value;
	}
}

static void values_survive_the_way_through_text(void **state)
{
	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct mf_value *value = random_value(5);
		char *text, *again;
		size_t len, again_len;
		assert_int_equal(mf_value_to_json(value, &text, &len), MF_OK);
		struct mf_value *back = parse(text, len);
		assert_true(mf_value_equal(value, back));
		assert_int_equal(mf_value_to_json(back, &again, &again_len), MF_OK);
		assert_int_equal(again_len, len);
		assert_memory_equal(again, text, len + 1); /* and the NUL */
		mf_free(text);
		mf_free(again);
		mf_value_unref(back);
		mf_value_unref(value);
	}
}

static enum mf_status refuse_second(void *user, const void *bytes, size_t len)
{
	(void)bytes;
	(void)len;
	return ++*(int *)user == 2 ? MF_ERR_IO : MF_OK;
}

static void a_failed_sink_is_not_called_again(void **state)
{
	(void)state;
	char text[5 * MF_JSON_BUFFER];
	memset(text, 'x', sizeof(text));
	struct mf_json_writer writer;
	int calls = 0;
	mf_json_begin(&writer, refuse_second, &calls);
	for (int i = 0; i < 3; i++)
		mf_json_string(&writer, text, sizeof(text));
	assert_int_equal(mf_json_finish(&writer), MF_ERR_IO);
	assert_int_equal(calls, 2);
}

/* ---- memory ---- */

static char *large_json(size_t *out_len)
{
	char *text = malloc(20000);
	int len = sprintf(text, "{\"long\":\"");
	memset(text + len, 'y', 15000);
	len += 15000;
	len += sprintf(text + len, "\",\"list\":[1,2.5,null,true,[\"\\u0001\",{\"b\":{},\"a\":[]}],3],\"alpha\":-7,\"\\u006bey\":\"\\n\",\"\\t\":\"\\n\\n\\n\"}");
	*out_len = (size_t)len;
	return text;
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	size_t len, printed;
	char *text = large_json(&len), *json = NULL;
	struct mf_value *value = NULL;
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 1;
	for (; status != MF_OK; n++) {
		struct mf_error error = {0};
		mf_tree_trim();
		mf_mem_fail_at(n, false);
		status = mf_value_parse_json(text, len, &value, &error);
		mf_mem_fail_at(0, false);
		assert_int_equal(status, status == MF_OK ? MF_OK : MF_ERR_NO_MEMORY);
		assert_int_equal(error.status, status);
	}
	assert_true(n > 20);
	status = MF_ERR_NO_MEMORY;
	for (n = 1; status != MF_OK; n++) {
		mf_mem_fail_at(n, false);
		status = mf_value_to_json(value, &json, &printed);
		mf_mem_fail_at(0, false);
		assert_int_equal(status, status == MF_OK ? MF_OK : MF_ERR_NO_MEMORY);
	}
	assert_true(n > 2);
	assert_true(printed > 15000);
	mf_free(json);
	mf_value_unref(value);
	free(text);
}

static enum mf_status count_calls(void *user, const void *bytes, size_t len)
{
	(void)bytes;
	(void)len;
	++*(int *)user;
	return MF_OK;
}

static void a_failed_sink_ends_an_array_and_an_object(void **state)
{
	(void)state;
	size_t len = 0;
	char *text = malloc(40 * MF_JSON_BUFFER);
	struct mf_json_writer writer;
	for (int object = 0; object < 2; object++) {
		len = (size_t)sprintf(text, object ? "{\"k0\":0" : "[0");
		for (int i = 1; len < 9 * MF_JSON_BUFFER; i++)
			len += (size_t)(object ? sprintf(text + len, ",\"k%d\":%d", i, i) : sprintf(text + len, ",%d", i));
		text[len++] = object ? '}' : ']';
		struct mf_value *value = parse(text, len);
		int calls = 0, all = 0;
		mf_json_begin(&writer, count_calls, &all);
		mf_json_value(&writer, value);
		assert_int_equal(mf_json_finish(&writer), MF_OK);
		assert_true(all > 5);
		mf_json_begin(&writer, refuse_second, &calls);
		mf_json_value(&writer, value);
		assert_int_equal(mf_json_finish(&writer), MF_ERR_IO);
		assert_int_equal(calls, 2);
		mf_value_unref(value);
	}
	free(text);
	int calls = 0;
	mf_json_begin(&writer, refuse_second, &calls);
	assert_int_equal(mf_json_finish(&writer), MF_OK); /* nothing was written: nothing is given to the sink */
	assert_int_equal(calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_sorted_and_white_space_goes),
		cmocka_unit_test(keys_are_sorted_by_utf8_and_not_by_utf16),
		cmocka_unit_test(only_what_must_be_is_escaped),
		cmocka_unit_test(every_byte_is_escaped_alike_at_every_place),
		cmocka_unit_test(numbers_print_as_the_header_says),
		cmocka_unit_test(doubles_read_back_bit_for_bit_and_are_shortest),
		cmocka_unit_test(doubles_next_to_powers_and_subnormals_read_back_too),
		cmocka_unit_test(integers_read_back),
		cmocka_unit_test(integers_outside_int64_and_reals_outside_double_are_refused),
		cmocka_unit_test(random_numbers_are_those_of_the_second_opinion),
		cmocka_unit_test(what_lies_half_way_between_two_doubles_goes_to_the_even_one),
		cmocka_unit_test(zeros_and_absurd_exponents_are_numbers_too),
		cmocka_unit_test(a_decimal_comma_of_the_host_does_not_leak_in),
		cmocka_unit_test(hostile_texts_are_refused_with_line_and_column),
		cmocka_unit_test(what_is_wrong_is_said_with_its_place),
		cmocka_unit_test(a_repeated_key_is_found_among_many),
		cmocka_unit_test(changed_texts_are_read_as_the_second_opinion_reads_them),
		cmocka_unit_test(a_message_is_one_line_of_text),
		cmocka_unit_test(a_repeated_key_is_refused),
		cmocka_unit_test(nul_is_refused_in_a_key_and_taken_in_a_string),
		cmocka_unit_test(nesting_ends_at_the_limit_and_never_eats_the_stack),
		cmocka_unit_test(values_survive_the_way_through_text),
		cmocka_unit_test(a_failed_sink_is_not_called_again),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(a_failed_sink_ends_an_array_and_an_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
