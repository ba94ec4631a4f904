#include "model/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/utf8.h"
#include "model/value.h"
#include "tests/memory_fails.h"

/* The naive model: an array of code points. */
struct naive {
	uint32_t *points;
	size_t count;
};

static uint64_t seed;

static size_t below(size_t limit)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)(seed >> 33) % limit;
}

static uint32_t random_point(void)
{
	static const uint32_t points[] = {'a', 'b', ' ', '\n', 0, 0xE9, 0x7FF, 0x20AC, 0xFFFD, 0x1F600, 0x10FFFF};
	return points[below(sizeof(points) / sizeof(*points))];
}

static size_t encode(const uint32_t *points, size_t count, char *out)
{
	size_t at = 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t number = points[i];
		size_t len = number < 0x80 ? 1 : number < 0x800 ? 2 : number < 0x10000 ? 3 : 4;
		for (size_t k = len - 1; k > 0; k--, number >>= 6)
			out[at + k] = (char)(0x80 | (number & 0x3F));
		out[at] = (char)(len == 1 ? number : (0xF00 >> len & 0xFF) | number);
		at += len;
	}
	return at;
}

static void naive_splice(struct naive *text, size_t pos, size_t del, const uint32_t *insert, size_t count)
{
	uint32_t *points = calloc(text->count - del + count + 1, sizeof(*points));
	memcpy(points, text->points, pos * sizeof(*points));
	memcpy(points + pos, insert, count * sizeof(*points));
	memcpy(points + pos + count, text->points + pos + del, (text->count - pos - del) * sizeof(*points));
	free(text->points);
	text->points = points;
	text->count = text->count - del + count;
}

static struct mf_value *from_points(const uint32_t *points, size_t count)
{
	char *bytes = malloc(4 * count + 1);
	struct mf_value *value;
	assert_int_equal(mf_value_new_string(bytes, encode(points, count, bytes), &value, NULL), MF_OK);
	free(bytes);
	return value;
}

static struct mf_value *string(const char *text)
{
	struct mf_value *value;
	assert_int_equal(mf_value_new_string(text, strlen(text), &value, NULL), MF_OK);
	return value;
}

static struct mf_value *repeated(char letter, size_t count)
{
	char *bytes = malloc(count + 1);
	memset(bytes, letter, count);
	struct mf_value *value;
	assert_int_equal(mf_value_new_string(bytes, count, &value, NULL), MF_OK);
	free(bytes);
	return value;
}

static bool gather(void *user, const char *bytes, size_t len)
{
	char **at = user;
	memcpy(*at, bytes, len);
	*at += len;
	return true;
}

/* Bytes, lengths and form are those of count points. */
static void check_content(const struct mf_value *value, const uint32_t *points, size_t count)
{
	char *wanted = malloc(4 * count + 1), *pieces = malloc(4 * count + 1), *copy = malloc(4 * count + 1), *at = pieces;
	size_t len = encode(points, count, wanted);
	assert_int_equal(mf_value_string_bytes(value), len);
	assert_int_equal(mf_value_string_code_points(value), count);
	mf_value_string_pieces(value, gather, &at);
	assert_int_equal(at - pieces, len);
	assert_memory_equal(pieces, wanted, len);
	size_t from = below(len + 1), part = below(len - from + 1);
	mf_value_string_copy(value, from, part, copy);
	assert_memory_equal(copy, wanted + from, part);
	assert_int_equal(mf_value_string_flat(value) != NULL, len <= MF_STRING_FLAT_MAX);
	if (mf_value_string_flat(value))
		assert_memory_equal(mf_value_string_flat(value), wanted, len);
	free(wanted);
	free(pieces);
	free(copy);
}

static struct mf_value *splice(struct mf_value *value, size_t pos, size_t del, const struct mf_value *insert)
{
	struct mf_value *result;
	assert_int_equal(mf_value_string_splice(value, pos, del, insert, &result, NULL, NULL), MF_OK);
	mf_value_unref(value);
	return result;
}

/* ---- ropes themselves ---- */

static void random_splices_keep_a_rope_as_the_header_says(void **state)
{
	(void)state;
	seed = 11;
	struct naive naive = {.points = calloc(1, sizeof(uint32_t))};
	struct mf_tree *text = NULL;
	for (int round = 0; round < 3000; round++) {
		uint32_t insert[3000];
		char bytes[4 * 3000];
		size_t count = below(8) ? below(5) : below(3000), pos = below(naive.count + 1), room = naive.count - pos;
		size_t del = below(room + 1) % (below(8) ? 6 : naive.count > 20000 ? 20000 : 2000);
		for (size_t i = 0; i < count; i++)
			insert[i] = random_point();
		size_t len = encode(insert, count, bytes);
		struct mf_tree *next;
		assert_int_equal(mf_text_splice(text, pos, del, bytes, len, &next), MF_OK);
		naive_splice(&naive, pos, del, insert, count);
		if (round % 16 == 0)
			assert_true(mf_text_is_valid(text)); /* the old version */
		mf_text_unref(text);
		text = next;
		assert_int_equal(mf_text_code_points(text), naive.count);
		if (!mf_text_is_valid(text))
			fail_msg("after splice %d", round);
	}
	char *wanted = malloc(4 * naive.count), *copy = malloc(4 * naive.count);
	size_t len = encode(naive.points, naive.count, wanted);
	assert_int_equal(mf_text_bytes(text), len);
	mf_text_copy(text, 0, len, copy);
	assert_memory_equal(copy, wanted, len);
	for (size_t pos = 0; pos <= naive.count; pos += 1 + below(50))
		assert_int_equal(mf_text_offset(text, pos), mf_utf8_offset(wanted, len, pos));
	free(wanted);
	free(copy);
	free(naive.points);
	mf_text_unref(text);
}

static struct mf_tree *put(struct mf_tree *text, size_t pos, size_t del, const char *insert)
{
	struct mf_tree *next;
	assert_int_equal(mf_text_splice(text, pos, del, insert, strlen(insert), &next), MF_OK);
	mf_text_unref(text);
	return next;
}

static void typing_does_not_make_a_chunk_for_each_letter(void **state)
{
	(void)state;
	enum { LETTERS = 50000 };
	struct mf_tree *end = NULL, *front = NULL, *middle = NULL;
	for (size_t i = 0; i < LETTERS; i++) {
		end = put(end, i, 0, "e");
		front = put(front, 0, 0, "f");
		middle = put(middle, i / 2, 0, "\xE2\x82\xAC");
	}
	size_t most = LETTERS / (MF_TEXT_CHUNK_MAX / 4);
	assert_in_range(mf_tree_count(end), LETTERS / MF_TEXT_CHUNK_MAX, most);
	assert_in_range(mf_tree_count(front), LETTERS / MF_TEXT_CHUNK_MAX, most);
	assert_in_range(mf_tree_count(middle), 3 * LETTERS / MF_TEXT_CHUNK_MAX, 3 * most);
	assert_true(mf_text_is_valid(end) && mf_text_is_valid(front) && mf_text_is_valid(middle));
	mf_text_unref(end);
	mf_text_unref(front);
	mf_text_unref(middle);
}

static void deleting_letter_by_letter_leaves_no_small_chunks(void **state)
{
	(void)state;
	char bytes[20000];
	memset(bytes, 'x', sizeof(bytes));
	struct mf_tree *text;
	assert_int_equal(mf_text_new(bytes, sizeof(bytes), &text), MF_OK);
	seed = 5;
	for (size_t left = sizeof(bytes); left > 0; left--) {
		text = put(text, below(left), 1, "");
		if (!mf_text_is_valid(text))
			fail_msg("with %zu letters left", left - 1);
	}
	assert_null(text);
}

static void an_empty_rope_can_be_asked_and_filled(void **state)
{
	(void)state;
	struct mf_tree *text = (struct mf_tree *)&text;
	assert_int_equal(mf_text_new(NULL, 0, &text), MF_OK);
	assert_null(text);
	assert_int_equal(mf_text_offset(text, 0), 0);
	mf_text_copy(text, 0, 0, NULL);
	text = put(text, 0, 0, "");
	assert_null(text);
	text = put(text, 0, 0, "abc");
	text = put(text, 3, 0, "d");
	text = put(text, 0, 2, "");
	char copy[2];
	mf_text_copy(text, 0, 2, copy);
	assert_memory_equal(copy, "cd", 2);
	mf_text_unref(text);
}

/* Every piece must end between code points, also when the even cut falls inside of one each time. */
static void text_of_wide_letters_is_cut_between_them(void **state)
{
	(void)state;
	static const char *const letters[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
	for (size_t kind = 0; kind < 3; kind++)
		for (size_t shift = 0; shift < 4; shift++) {
			char bytes[30000];
			size_t len = shift, width = strlen(letters[kind]);
			memset(bytes, 'a', shift);
			for (; len + width <= sizeof(bytes); len += width)
				memcpy(bytes + len, letters[kind], width);
			for (size_t cut = 0; cut < 600; cut += 7) {
				struct mf_tree *text;
				size_t part = len - cut * width;
				assert_int_equal(mf_text_new(bytes, part, &text), MF_OK);
				assert_true(mf_text_is_valid(text));
				assert_int_equal(mf_text_bytes(text), part);
				mf_text_unref(text);
			}
		}
}

/* ---- strings, as the public header has them ---- */

static void random_splices_agree_with_an_array_of_code_points(void **state)
{
	(void)state;
	seed = 7;
	for (int text = 0; text < 12; text++) {
		struct naive naive = {.points = calloc(1, sizeof(uint32_t))};
		struct mf_value *value = string("");
		for (int round = 0; round < 300; round++) {
			uint32_t insert[2500];
			size_t count = below(6) ? below(40) : below(2500), pos = below(naive.count + 1), room = naive.count - pos;
			size_t del = below(4) ? below((room < 50 ? room : 50) + 1) : below(room + 1);
			for (size_t i = 0; i < count; i++)
				insert[i] = random_point();
			struct mf_value *inserted = from_points(insert, count), *result, *deleted;
			assert_int_equal(mf_value_string_splice(value, pos, del, inserted, &result, &deleted, NULL), MF_OK);
			check_content(deleted, naive.points + pos, del);
			check_content(value, naive.points, naive.count); /* the old one is as it was */
			naive_splice(&naive, pos, del, insert, count);
			check_content(result, naive.points, naive.count);
			struct mf_value *fresh = from_points(naive.points, naive.count);
			assert_true(mf_value_equal(fresh, result)); /* however it is cut */
			/* the inverse brings the old text back */
			struct mf_value *back;
			assert_int_equal(mf_value_string_splice(result, pos, count, deleted, &back, NULL, NULL), MF_OK);
			assert_true(mf_value_equal(back, value));
			mf_value_unref(back);
			mf_value_unref(fresh);
			mf_value_unref(deleted);
			mf_value_unref(inserted);
			mf_value_unref(value);
			value = result;
		}
		mf_value_unref(value);
		free(naive.points);
	}
}

static void a_million_code_points_are_edited_anywhere(void **state)
{
	(void)state;
	enum { COUNT = 1000000, EDITS = 2000 };
	seed = 3;
	struct naive naive = {.points = calloc(COUNT + 1, sizeof(uint32_t)), .count = COUNT};
	for (size_t i = 0; i < COUNT; i++)
		naive.points[i] = random_point();
	struct mf_value *value = from_points(naive.points, COUNT);
	static const uint32_t points[] = {'x', 0x1F600, 0xE9};
	struct mf_value *insert = from_points(points, 3);
	for (int i = 0; i < EDITS; i++) {
		/* Three for three: the array is changed in place, so the model keeps up. */
		size_t pos = below(COUNT - 3);
		struct mf_value *result, *deleted;
		assert_int_equal(mf_value_string_splice(value, pos, 3, insert, &result, &deleted, NULL), MF_OK);
		check_content(deleted, naive.points + pos, 3);
		memcpy(naive.points + pos, points, sizeof(points));
		mf_value_unref(deleted);
		mf_value_unref(value);
		value = result;
	}
	check_content(value, naive.points, COUNT);
	struct mf_value *fresh = from_points(naive.points, COUNT), *other;
	assert_true(mf_value_equal(value, fresh));
	other = splice(fresh, COUNT - 1, 1, insert);
	assert_false(mf_value_equal(value, other));
	mf_value_unref(other);
	mf_value_unref(insert);
	mf_value_unref(value);
	free(naive.points);
}

static void a_string_turns_into_a_rope_and_back_at_the_limit(void **state)
{
	(void)state;
	struct mf_value *value = repeated('a', MF_STRING_FLAT_MAX), *letter = string("b"), *none = string("");
	value = splice(value, 500, 0, letter);
	assert_null(mf_value_string_flat(value));
	struct mf_value *deleted, *flat;
	assert_int_equal(mf_value_string_splice(value, 500, 1, none, &flat, &deleted, NULL), MF_OK);
	assert_non_null(mf_value_string_flat(flat));
	assert_string_equal(mf_value_string_flat(deleted), "b");
	assert_int_equal(strspn(mf_value_string_flat(flat), "a"), MF_STRING_FLAT_MAX);
	mf_value_unref(flat);
	mf_value_unref(deleted);
	mf_value_unref(value);
	mf_value_unref(letter);
	mf_value_unref(none);
}

static void a_long_insert_and_a_long_delete_work_too(void **state)
{
	(void)state;
	struct mf_value *value = string("[]"), *longer = repeated('x', 100000), *none = string(""), *deleted, *rest;
	value = splice(value, 1, 0, longer);  /* a rope into a flat string */
	value = splice(value, 50000, 0, longer); /* and into a rope */
	assert_int_equal(mf_value_string_code_points(value), 200002);
	assert_int_equal(mf_value_string_splice(value, 1, 200000, none, &rest, &deleted, NULL), MF_OK);
	assert_string_equal(mf_value_string_flat(rest), "[]");
	assert_int_equal(mf_value_string_bytes(deleted), 200000);
	value = splice(value, 0, 200002, none);
	assert_string_equal(mf_value_string_flat(value), "");
	mf_value_unref(value);
	mf_value_unref(rest);
	mf_value_unref(deleted);
	mf_value_unref(longer);
	mf_value_unref(none);
}

static void a_splice_that_changes_nothing_shares_the_string(void **state)
{
	(void)state;
	struct mf_value *value = repeated('x', 5000), *none = string(""), *result, *deleted;
	assert_int_equal(mf_value_string_splice(value, 5000, 0, none, &result, &deleted, NULL), MF_OK);
	assert_ptr_equal(result, value);
	assert_string_equal(mf_value_string_flat(deleted), "");
	mf_value_unref(value);
	mf_value_unref(result);
	mf_value_unref(deleted);
	mf_value_unref(none);
}

static void positions_beyond_the_end_are_refused(void **state)
{
	(void)state;
	struct mf_value *texts[] = {string("h\xC3\xA9llo"), repeated('x', 5000)}, *insert = string("!");
	for (size_t i = 0; i < 2; i++) {
		size_t count = mf_value_string_code_points(texts[i]);
		const size_t bad[][2] = {{count + 1, 0}, {count, 1}, {0, count + 1}, {1, SIZE_MAX}, {SIZE_MAX, 0}, {SIZE_MAX, SIZE_MAX}};
		for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
			struct mf_value *result = NULL, *deleted = NULL;
			struct mf_error error = {0};
			assert_int_equal(mf_value_string_splice(texts[i], bad[k][0], bad[k][1], insert, &result, &deleted, &error), MF_ERR_INVALID);
			assert_non_null(strstr(error.message, "beyond the end"));
			assert_null(result);
			assert_null(deleted);
		}
		mf_value_unref(texts[i]);
	}
	mf_value_unref(insert);
}

static bool stop_at_once(void *user, const char *bytes, size_t len)
{
	(void)bytes;
	*(size_t *)user += len;
	return false;
}

static void pieces_stop_when_told(void **state)
{
	(void)state;
	struct mf_value *value = repeated('x', 5000);
	size_t seen = 0;
	mf_value_string_pieces(value, stop_at_once, &seen);
	assert_in_range(seen, 1, MF_TEXT_CHUNK_MAX);
	mf_value_unref(value);
}

static void canonical_text_does_not_show_the_cut(void **state)
{
	(void)state;
	struct mf_value *typed = string(""), *letter = string("\""), *at_once = repeated('"', 3000);
	for (size_t i = 0; i < 3000; i++)
		typed = splice(typed, i / 3, 0, letter);
	char *a, *b;
	size_t a_len, b_len;
	assert_int_equal(mf_value_to_json(typed, &a, &a_len), MF_OK);
	assert_int_equal(mf_value_to_json(at_once, &b, &b_len), MF_OK);
	assert_int_equal(a_len, 6002);
	assert_int_equal(b_len, 6002);
	assert_string_equal(a, b);
	mf_free(a);
	mf_free(b);
	mf_value_unref(typed);
	mf_value_unref(letter);
	mf_value_unref(at_once);
}

/* ---- memory ---- */

static void check_splice_without_memory(struct mf_value *value, size_t pos, size_t del, const struct mf_value *insert)
{
	size_t bytes = mf_value_string_bytes(value);
	struct mf_value *wanted, *wanted_deleted;
	assert_int_equal(mf_value_string_splice(value, pos, del, insert, &wanted, &wanted_deleted, NULL), MF_OK);
	uint64_t refused = 0;
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_value *result = NULL, *deleted = NULL;
		struct mf_error error = {0};
		memory_fails_at(n);
		enum mf_status status = mf_value_string_splice(value, pos, del, insert, &result, &deleted, &error);
		failed = memory_failed(n);
		assert_int_equal(mf_value_string_bytes(value), bytes);
		if (status == MF_OK) {
			assert_true(mf_value_equal(result, wanted)); /* else one that failed was not told */
			assert_true(mf_value_equal(deleted, wanted_deleted));
			mf_value_unref(result);
			mf_value_unref(deleted);
			continue;
		}
		refused++;
		assert_int_equal(status, MF_ERR_NO_MEMORY);
		assert_int_equal(error.status, MF_ERR_NO_MEMORY);
		assert_null(result);
		assert_null(deleted);
	}
	assert_true(refused >= 2);
	mf_value_unref(wanted);
	mf_value_unref(wanted_deleted);
}

static void every_allocation_of_a_splice_may_fail(void **state)
{
	(void)state;
	struct mf_value *flat = repeated('f', 900), *rope = repeated('r', 30000), *letter = string("x"), *longer = repeated('l', 6000);
	struct mf_value *const texts[] = {flat, rope};
	for (size_t i = 0; i < 2; i++) {
		check_splice_without_memory(texts[i], 450, 0, letter);
		check_splice_without_memory(texts[i], 450, 10, letter);
		check_splice_without_memory(texts[i], 450, 450, longer);
		check_splice_without_memory(texts[i], 0, mf_value_string_code_points(texts[i]), letter);
	}
	check_splice_without_memory(rope, 3000, 20000, longer);
	check_splice_without_memory(rope, 1, 29998, letter);
	mf_value_unref(flat);
	mf_value_unref(rope);
	mf_value_unref(letter);
	mf_value_unref(longer);
}

struct its_chunk { /* as in text.c */
	atomic_uint refs;
	unsigned len;
	char bytes[];
};

static void the_check_of_a_rope_sees_what_is_wrong(void **state)
{
	(void)state;
	static char text[20 * MF_TEXT_CHUNK_MAX];
	struct mf_tree *rope;
	memset(text, 't', sizeof(text));
	assert_int_equal(mf_text_new(text, sizeof(text), &rope), MF_OK);
	assert_true(mf_text_is_valid(rope));
	struct its_chunk *chunk = rope->entry.item;
	unsigned len = chunk->len;
	const unsigned wrong[] = {MF_TEXT_CHUNK_MAX + 1, MF_TEXT_CHUNK_MIN - 1, len - 1};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		chunk->len = wrong[i];
		assert_false(mf_text_is_valid(rope));
		chunk->len = len;
	}
	memcpy(chunk->bytes, "\xc3\xa9", 2); /* one code point less than the sum says */
	assert_false(mf_text_is_valid(rope));
	memcpy(chunk->bytes, "\xff\xff", 2);
	assert_false(mf_text_is_valid(rope));
	memcpy(chunk->bytes, "tt", 2);
	chunk->bytes[0] = (char)0xff; /* counts as one, and is none */
	assert_false(mf_text_is_valid(rope));
	chunk->bytes[0] = 't';
	assert_true(mf_text_is_valid(rope));
	rope->count++;
	assert_false(mf_text_is_valid(rope));
	rope->count--;
	mf_text_unref(rope);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_splices_keep_a_rope_as_the_header_says),
		cmocka_unit_test(typing_does_not_make_a_chunk_for_each_letter),
		cmocka_unit_test(deleting_letter_by_letter_leaves_no_small_chunks),
		cmocka_unit_test(an_empty_rope_can_be_asked_and_filled),
		cmocka_unit_test(text_of_wide_letters_is_cut_between_them),
		cmocka_unit_test(random_splices_agree_with_an_array_of_code_points),
		cmocka_unit_test(a_million_code_points_are_edited_anywhere),
		cmocka_unit_test(a_string_turns_into_a_rope_and_back_at_the_limit),
		cmocka_unit_test(a_long_insert_and_a_long_delete_work_too),
		cmocka_unit_test(a_splice_that_changes_nothing_shares_the_string),
		cmocka_unit_test(positions_beyond_the_end_are_refused),
		cmocka_unit_test(pieces_stop_when_told),
		cmocka_unit_test(canonical_text_does_not_show_the_cut),
		cmocka_unit_test(every_allocation_of_a_splice_may_fail),
		cmocka_unit_test(the_check_of_a_rope_sees_what_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
