#include "model/value.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/mem.h"
#include "model/tree.h"
#include "tests/memory_fails.h"

#define SIZE(array) (sizeof(array) / sizeof(*(array)))

/* ---- makers that must not fail ---- */

static struct mf_value *integer(int64_t number)
{
	struct mf_value *value;
	assert_int_equal(mf_value_new_int(number, &value), MF_OK);
	return value;
}

static struct mf_value *real(double number)
{
	struct mf_value *value;
	assert_int_equal(mf_value_new_double(number, &value, NULL), MF_OK);
	return value;
}

static struct mf_value *string(const char *bytes, size_t len)
{
	struct mf_value *value;
	assert_int_equal(mf_value_new_string(bytes, len, &value, NULL), MF_OK);
	return value;
}

static struct mf_value *parse(const char *json)
{
	struct mf_value *value;
	struct mf_error error = {0};
	if (mf_value_parse_json(json, strlen(json), &value, &error) != MF_OK)
		fail_msg("%s: %s", json, error.message);
	return value;
}

static unsigned refs(struct mf_value *value)
{
	return atomic_load(&value->refs);
}

/* levels containers, one in the other */
static struct mf_value *nested(size_t levels)
{
	struct mf_value *value = NULL;
	for (size_t i = 0; i < levels; i++)
		assert_int_equal(mf_value_new_array_take(&value, i > 0, &value, NULL), MF_OK);
	return value;
}

/* ---- scalars ---- */

static void null_and_booleans_are_one_object_each(void **state)
{
	(void)state;
	assert_ptr_equal(mf_value_null(), mf_value_null());
	assert_ptr_equal(mf_value_bool(true), mf_value_bool(true));
	assert_ptr_not_equal(mf_value_bool(true), mf_value_bool(false));
	assert_int_equal(mf_value_kind(mf_value_null()), MF_VALUE_NULL);
	assert_int_equal(mf_value_kind(mf_value_bool(false)), MF_VALUE_BOOL);
	assert_true(mf_value_as_bool(mf_value_bool(true)));
	assert_false(mf_value_as_bool(mf_value_bool(false)));
	for (int i = 0; i < 10; i++)
		mf_value_unref(mf_value_null()); /* not counted */
	assert_ptr_equal(mf_value_ref(mf_value_null()), mf_value_null());
	assert_int_equal(mf_value_depth(mf_value_null()), 1);
	mf_value_unref(NULL);
}

static void integers_keep_all_their_bits(void **state)
{
	(void)state;
	static const int64_t numbers[] = {0, 1, -1, INT64_MAX, INT64_MIN, (INT64_C(1) << 53) + 1};
	for (size_t i = 0; i < SIZE(numbers); i++) {
		struct mf_value *value = integer(numbers[i]);
		assert_int_equal(mf_value_kind(value), MF_VALUE_INT);
		assert_true(mf_value_as_int(value) == numbers[i]);
		assert_int_equal(mf_value_depth(value), 1);
		mf_value_unref(value);
	}
}

static void a_double_must_be_finite(void **state)
{
	(void)state;
	const double numbers[] = {NAN, -NAN, INFINITY, -INFINITY};
	for (size_t i = 0; i < SIZE(numbers); i++) {
		struct mf_value *value = (struct mf_value *)&numbers;
		struct mf_error error = {0};
		assert_int_equal(mf_value_new_double(numbers[i], &value, &error), MF_ERR_INVALID);
		assert_int_equal(error.status, MF_ERR_INVALID);
		assert_non_null(strstr(error.message, "finite"));
		assert_ptr_equal(value, &numbers); /* written on success only */
		assert_int_equal(mf_value_new_double(numbers[i], &value, NULL), MF_ERR_INVALID);
	}
}

static void minus_zero_is_zero(void **state)
{
	(void)state;
	struct mf_value *value = real(-0.0);
	assert_false(signbit(mf_value_as_double(value)));
	mf_value_unref(value);
	value = real(-5e-324);
	assert_true(mf_value_as_double(value) == -5e-324);
	mf_value_unref(value);
}

static void strings_may_contain_nul_and_must_be_utf8(void **state)
{
	(void)state;
	struct mf_value *value = string("a\0\xC3\xA9", 4);
	assert_int_equal(mf_value_kind(value), MF_VALUE_STRING);
	assert_int_equal(mf_value_string_bytes(value), 4);
	assert_int_equal(mf_value_string_code_points(value), 3);
	assert_memory_equal(mf_value_string_flat(value), "a\0\xC3\xA9", 5); /* and a NUL at the end */
	mf_value_unref(value);
	struct mf_error error = {0};
	assert_int_equal(mf_value_new_string("abc\xFF", 4, &value, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "byte 3"));
	assert_int_equal(mf_value_new_string("\xED\xA0\x80", 3, &value, NULL), MF_ERR_INVALID);
	value = string(NULL, 0);
	assert_string_equal(mf_value_string_flat(value), "");
	mf_value_unref(value);
}

static void strings_up_to_the_limit_are_in_one_piece(void **state)
{
	(void)state;
	char bytes[MF_STRING_FLAT_MAX + 1];
	memset(bytes, 'x', sizeof(bytes));
	struct mf_value *flat = string(bytes, MF_STRING_FLAT_MAX), *rope = string(bytes, MF_STRING_FLAT_MAX + 1);
	assert_non_null(mf_value_string_flat(flat));
	assert_int_equal(mf_value_string_flat(flat)[MF_STRING_FLAT_MAX], '\0');
	assert_null(mf_value_string_flat(rope));
	assert_int_equal(mf_value_string_bytes(rope), MF_STRING_FLAT_MAX + 1);
	assert_false(mf_value_equal(flat, rope));
	mf_value_unref(flat);
	mf_value_unref(rope);
}

/* ---- containers ---- */

static void an_array_takes_its_items(void **state)
{
	(void)state;
	struct mf_value *shared = integer(7), *items[] = {mf_value_ref(shared), mf_value_null(), string("s", 1)}, *array;
	assert_int_equal(mf_value_new_array_take(items, SIZE(items), &array, NULL), MF_OK);
	assert_int_equal(refs(shared), 2);
	assert_int_equal(mf_value_kind(array), MF_VALUE_ARRAY);
	assert_int_equal(mf_value_count(array), 3);
	assert_ptr_equal(mf_value_item(array, 0), shared);
	assert_ptr_equal(mf_value_item(array, 1), mf_value_null());
	assert_int_equal(mf_value_depth(array), 2);
	mf_value_unref(array);
	assert_int_equal(refs(shared), 1);
	mf_value_unref(shared);
}

static void an_object_is_sorted_by_the_bytes_of_its_keys(void **state)
{
	(void)state;
	struct mf_member members[] = {
		{"b", 1, integer(1)}, {"\xC3\xA9", 2, integer(2)}, {"", 0, integer(3)}, {"a", 1, integer(4)},
		{"aa", 2, integer(5)}, {"Z", 1, integer(6)}, {"\xF0\x9F\x98\x80", 4, integer(7)}, {"\xEF\xBF\xBD", 3, integer(8)}};
	static const char *const order[] = {"", "Z", "a", "aa", "b", "\xC3\xA9", "\xEF\xBF\xBD", "\xF0\x9F\x98\x80"};
	struct mf_value *object;
	assert_int_equal(mf_value_new_object_take(members, SIZE(members), &object, NULL), MF_OK);
	assert_int_equal(mf_value_kind(object), MF_VALUE_OBJECT);
	assert_int_equal(mf_value_count(object), SIZE(members));
	for (size_t i = 0; i < SIZE(order); i++) {
		const char *key;
		size_t key_len;
		const struct mf_value *value = mf_value_member(object, i, &key, &key_len);
		assert_string_equal(key, order[i]);
		assert_int_equal(key_len, strlen(order[i]));
		assert_ptr_equal(mf_value_get(object, key), value);
	}
	assert_int_equal(mf_value_as_int(mf_value_get(object, "aa")), 5);
	assert_null(mf_value_get(object, "A"));
	assert_null(mf_value_get(object, "aaa"));
	assert_null(mf_value_get(object, "zzz"));
	assert_non_null(mf_value_member(object, 0, NULL, NULL));
	mf_value_unref(object);
}

static void an_objects_keys_are_its_own(void **state)
{
	(void)state;
	char key[] = "key";
	struct mf_member member = {key, 2, integer(1)}; /* "ke": the length decides */
	struct mf_value *object;
	assert_int_equal(mf_value_new_object_take(&member, 1, &object, NULL), MF_OK);
	memset(key, 'x', sizeof(key));
	assert_non_null(mf_value_get(object, "ke"));
	mf_value_unref(object);
}

static void check_refused(struct mf_member *members, size_t count, const char *reason)
{
	struct mf_value *shared = integer(1), *object = NULL;
	struct mf_error error = {0};
	for (size_t i = 0; i < count; i++)
		members[i].value = mf_value_ref(shared);
	assert_int_equal(mf_value_new_object_take(members, count, &object, &error), MF_ERR_INVALID);
	if (!strstr(error.message, reason))
		fail_msg("\"%s\" does not say \"%s\"", error.message, reason);
	assert_null(object);
	assert_int_equal(refs(shared), 1); /* taken on failure too */
	mf_value_unref(shared);
}

static void an_object_refuses_bad_keys(void **state)
{
	(void)state;
	check_refused((struct mf_member[]){{.key = "a", .key_len = 1}, {.key = "b", .key_len = 1}, {.key = "a", .key_len = 1}}, 3, "\"a\" is there twice");
	check_refused((struct mf_member[]){{.key = "", .key_len = 0}, {.key = "", .key_len = 0}}, 2, "twice");
	check_refused((struct mf_member[]){{.key = "a\0b", .key_len = 3}}, 1, "U+0000");
	check_refused((struct mf_member[]){{.key = "ok", .key_len = 2}, {.key = "a\xC0", .key_len = 2}}, 2, "UTF-8 (byte 1)");
}

static void nesting_ends_at_the_limit(void **state)
{
	(void)state;
	struct mf_value *deepest = nested(MF_NESTING_MAX), *value;
	assert_int_equal(mf_value_depth(deepest), MF_NESTING_MAX);
	struct mf_error error = {0};
	struct mf_value *item = mf_value_ref(deepest);
	assert_int_equal(mf_value_new_array_take(&item, 1, &value, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "224 deep"));
	struct mf_member member = {"k", 1, mf_value_ref(deepest)};
	assert_int_equal(mf_value_new_object_take(&member, 1, &value, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "224 deep"));
	assert_int_equal(refs(deepest), 1);
	mf_value_unref(deepest);
	/* An empty container counts as one level, a scalar inside as one more. */
	struct mf_value *inner = nested(MF_NESTING_MAX - 1);
	member.value = inner;
	assert_int_equal(mf_value_new_object_take(&member, 1, &value, NULL), MF_OK);
	assert_int_equal(mf_value_depth(value), MF_NESTING_MAX);
	mf_value_unref(value);
}

static void empty_containers_are_fine(void **state)
{
	(void)state;
	struct mf_value *array, *object;
	assert_int_equal(mf_value_new_array_take(NULL, 0, &array, NULL), MF_OK);
	assert_int_equal(mf_value_new_object_take(NULL, 0, &object, NULL), MF_OK);
	assert_int_equal(mf_value_count(array) + mf_value_count(object), 0);
	assert_int_equal(mf_value_depth(array), 1);
	assert_null(mf_value_get(object, ""));
	assert_false(mf_value_equal(array, object));
	mf_value_unref(array);
	mf_value_unref(object);
}

static void a_large_object_finds_every_member(void **state)
{
	(void)state;
	enum { COUNT = 5000 };
	static char keys[COUNT][8];
	static struct mf_member members[COUNT];
	for (int i = 0; i < COUNT; i++) {
		int number = (i * 7919) % COUNT; /* 7919 is prime: every number once, out of order */
		int len = snprintf(keys[i], sizeof(keys[i]), "k%d", number);
		members[i] = (struct mf_member){keys[i], (size_t)len, integer(number)};
	}
	struct mf_value *object;
	assert_int_equal(mf_value_new_object_take(members, COUNT, &object, NULL), MF_OK);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(mf_value_as_int(mf_value_get(object, keys[i])), atoi(keys[i] + 1));
	mf_value_unref(object);
}

/* ---- equality ---- */

static void equality_looks_at_content(void **state)
{
	(void)state;
	static const char *const different[] = {
		"null", "true", "false", "0", "1", "1.0", "1.5", "\"\"", "\"1\"", "\"a\"", "\"b\"", "\"ab\"", "[]", "{}", "[1]", "[1.0]", "[1,1]", "[[1]]", "[[]]",
		"{\"a\":1}", "{\"a\":2}", "{\"b\":1}", "{\"a\":1,\"b\":1}", "{\"a\":[1]}", "{\"\":1}"};
	for (size_t i = 0; i < SIZE(different); i++)
		for (size_t j = 0; j < SIZE(different); j++) {
			struct mf_value *a = parse(different[i]), *b = parse(different[j]);
			if (mf_value_equal(a, b) != (i == j))
				fail_msg("%s and %s", different[i], different[j]);
			mf_value_unref(a);
			mf_value_unref(b);
		}
	struct mf_value *a = parse("{\"x\":[1,{\"y\":null}],\"a\":2.5}"), *b = parse("{\"a\":2.50,\"x\":[1,{\"y\":null}]}");
	assert_true(mf_value_equal(a, b));
	mf_value_unref(a);
	mf_value_unref(b);
}

/* ---- memory ---- */

typedef enum mf_status maker(struct mf_value **out, struct mf_error *error);

static enum mf_status make_int(struct mf_value **out, struct mf_error *error)
{
	enum mf_status status = mf_value_new_int(5, out);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "none");
}

static enum mf_status make_double(struct mf_value **out, struct mf_error *error)
{
	return mf_value_new_double(5.5, out, error);
}

static enum mf_status make_flat(struct mf_value **out, struct mf_error *error)
{
	return mf_value_new_string("flat", 4, out, error);
}

static enum mf_status make_rope(struct mf_value **out, struct mf_error *error)
{
	static char bytes[10000];
	memset(bytes, 'r', sizeof(bytes));
	return mf_value_new_string(bytes, sizeof(bytes), out, error);
}

static struct mf_value *member_value; /* made before memory runs out */

static enum mf_status make_array(struct mf_value **out, struct mf_error *error)
{
	struct mf_value *items[] = {mf_value_ref(member_value), mf_value_ref(member_value)};
	return mf_value_new_array_take(items, SIZE(items), out, error);
}

static enum mf_status make_object(struct mf_value **out, struct mf_error *error)
{
	struct mf_member members[] = {{"b", 1, mf_value_ref(member_value)}, {"a", 1, mf_value_ref(member_value)}};
	return mf_value_new_object_take(members, SIZE(members), out, error);
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	static maker *const makers[] = {make_int, make_double, make_flat, make_rope, make_array, make_object};
	member_value = integer(3);
	for (size_t i = 0; i < SIZE(makers); i++) {
		bool failed = true;
		for (uint64_t n = 1; failed; n++) {
			struct mf_value *value = NULL;
			struct mf_error error = {0};
			memory_fails_at(n);
			enum mf_status status = makers[i](&value, &error);
			failed = memory_failed(n);
			assert_int_equal(refs(member_value), status == MF_OK && i >= 4 ? 3 : 1);
			if (status == MF_OK) {
				assert_true(n > 1);
				mf_value_unref(value);
				continue;
			}
			assert_int_equal(status, MF_ERR_NO_MEMORY);
			assert_int_equal(error.status, MF_ERR_NO_MEMORY);
			assert_null(value);
		}
	}
	mf_value_unref(member_value);
}

static void *take_and_give_back(void *shared)
{
	for (int i = 0; i < 20000; i++)
		mf_value_unref(mf_value_ref(shared));
	mf_value_unref(shared);
	return NULL;
}

static void threads_may_share_a_value(void **state)
{
	(void)state;
	struct mf_value *value = parse("{\"a\":[1,2,{\"b\":\"c\"}]}");
	pthread_t threads[4];
	for (size_t i = 0; i < SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give_back, mf_value_ref(value)), 0);
	for (size_t i = 0; i < SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(refs(value), 1);
	mf_value_unref(value);
}

static void strings_of_equal_bytes_and_unequal_length_differ(void **state)
{
	(void)state;
	struct mf_value *two, *one;
	assert_int_equal(mf_value_new_string("ab", 2, &two, NULL), MF_OK);
	assert_int_equal(mf_value_new_string("\xc3\xa9", 2, &one, NULL), MF_OK);
	assert_false(mf_value_equal(one, two));
	mf_value_unref(one);
	mf_value_unref(two);
}

static void a_long_key_that_is_there_twice_is_shown_in_part(void **state)
{
	(void)state;
	char key[300];
	struct mf_value *value;
	struct mf_error error = {0};
	memset(key, 'k', sizeof(key));
	struct mf_member members[] = {{key, sizeof(key), integer(1)}, {key, sizeof(key), integer(2)}};
	assert_int_equal(mf_value_new_object_take(members, 2, &value, &error), MF_ERR_INVALID);
	const char *first = strstr(error.message, "kk");
	assert_non_null(first);
	assert_int_equal(strspn(first, "k"), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_and_booleans_are_one_object_each),
		cmocka_unit_test(integers_keep_all_their_bits),
		cmocka_unit_test(a_double_must_be_finite),
		cmocka_unit_test(minus_zero_is_zero),
		cmocka_unit_test(strings_may_contain_nul_and_must_be_utf8),
		cmocka_unit_test(strings_up_to_the_limit_are_in_one_piece),
		cmocka_unit_test(an_array_takes_its_items),
		cmocka_unit_test(an_object_is_sorted_by_the_bytes_of_its_keys),
		cmocka_unit_test(an_objects_keys_are_its_own),
		cmocka_unit_test(an_object_refuses_bad_keys),
		cmocka_unit_test(nesting_ends_at_the_limit),
		cmocka_unit_test(empty_containers_are_fine),
		cmocka_unit_test(a_large_object_finds_every_member),
		cmocka_unit_test(equality_looks_at_content),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(threads_may_share_a_value),
		cmocka_unit_test(strings_of_equal_bytes_and_unequal_length_differ),
		cmocka_unit_test(a_long_key_that_is_there_twice_is_shown_in_part),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
