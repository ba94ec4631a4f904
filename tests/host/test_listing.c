/* test_listing.c - tables and JSON lines of the program, without the program: cells at their limits, widths, what is hidden,
 * and each allocation failed in turn, those of libsmartcols too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <locale.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/listing.h"
#include "host/options.h"
#include "host/table_text.h"
#include "host/visible.h"
#include "model/mem.h"

#define TEXT_MAX 300000

static struct mf_output out;
static char written[TEXT_MAX];
static int pipe_end;

/* ---- the allocations of libsmartcols ---- */
#if defined(__GLIBC__) && !defined(MF_SANITIZED) /* a sanitizer has its own */
#define CAN_FAIL 1
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
static uint64_t countdown; /* 0: none fails */

static bool fails(void)
{
	return countdown > 0 && --countdown == 0;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	return fails() ? NULL : __libc_realloc(memory, size);
}
#endif

/* ---- what was written ---- */
static const char *take(void)
{
	char piece[4096];
	size_t len = 0;
	mf_output_flush(&out);
	assert_int_equal(lseek(pipe_end, 0, SEEK_SET), 0);
	for (ssize_t got; (got = read(pipe_end, piece, sizeof(piece))) > 0; len += (size_t)got) {
		assert_true(len + (size_t)got < TEXT_MAX);
		memcpy(written + len, piece, (size_t)got);
	}
	written[len] = '\0';
	assert_int_equal(ftruncate(pipe_end, 0), 0);
	assert_int_equal(lseek(pipe_end, 0, SEEK_SET), 0);
	return written;
}

static int setup(void **state)
{
	(void)state;
	FILE *file = tmpfile();
	if (!file || !setlocale(LC_CTYPE, "C.UTF-8"))
		return -1;
	setenv("LC_ALL", "C.UTF-8", 1);
	pipe_end = fileno(file);
	mf_output_init(&out, pipe_end);
	return 0;
}

static const struct mf_column columns[] = {
	{"doc", "DOCUMENT", MF_COLUMN_TEXT, NULL},
	{"n", "N", MF_COLUMN_INT, NULL},
	{"at_us", "AT", MF_COLUMN_TIME, "at"},
	{"bytes", "SIZE", MF_COLUMN_BYTES, NULL},
	{"good", "GOOD", MF_COLUMN_BOOL, NULL},
	{"ms", "MS", MF_COLUMN_DECIMAL, NULL},
	{"hidden", NULL, MF_COLUMN_INT, NULL},
	{NULL, "AGAIN", MF_COLUMN_TEXT, NULL},
	{"steps", "STEPS", MF_COLUMN_JSON, NULL},
	{"why", "WHY", MF_COLUMN_PROSE, NULL},
	{0},
};
static const struct mf_cell cells[] = {
	{.text = "d\x1b[31m"},
	{.number = -7},
	{.number = 1500000},
	{.number = 2048},
	{.number = 1, .tone = MF_TONE_BAD},
	{.text = "1.500"},
	{.number = 42},
	{.text = NULL},
	{.text = "[1,2]tail", .len = 5, .shown = "one, two"},
	{.text = "because", .shown = "for a reason"},
};

static void list(unsigned form, int rows)
{
	struct mf_args args = {.given = form};
	struct mf_listing listing;
	mf_listing_init(&listing, &args, &out, columns);
	for (int i = 0; i < rows; i++)
		mf_listing_row(&listing, cells);
	mf_listing_end(&listing);
}

static void a_row_is_an_object_with_every_named_column(void **state)
{
	(void)state;
	list(MF_ARG_JSON, 1);
	assert_string_equal(take(), "{\"doc\":\"d\\u001b[31m\",\"n\":-7,\"at\":\"1970-01-01T00:00:01.500000Z\",\"at_us\":1500000,\"bytes\":2048,\"good\":true,"
				    "\"ms\":1.500,\"hidden\":42,\"steps\":[1,2],\"why\":\"because\"}\n");
	list(0, 0); /* the file is no terminal */
	assert_string_equal(take(), "");
}

static void a_row_is_a_line_with_every_column_that_has_a_header(void **state)
{
	(void)state;
	list(MF_ARG_TABLE, 2);
	assert_string_equal(take(), "DOCUMENT      N  AT                       SIZE  GOOD     MS  AGAIN  STEPS     WHY\n"
				    "d\\u001b[31m  -7  1970-01-01T00:00:01Z  2.0 KiB  yes   1.500         one, two  for a reason\n"
				    "d\\u001b[31m  -7  1970-01-01T00:00:01Z  2.0 KiB  yes   1.500         one, two  for a reason\n");
}

static void a_table_without_rows_has_its_header_or_is_none(void **state)
{
	(void)state;
	struct mf_args args = {.given = MF_ARG_TABLE};
	struct mf_listing listing;
	list(MF_ARG_TABLE, 0);
	assert_string_equal(take(), "DOCUMENT  N  AT  SIZE  GOOD  MS  AGAIN  STEPS  WHY\n");
	mf_listing_init(&listing, &args, &out, columns);
	mf_listing_end_quietly(&listing);
	assert_string_equal(take(), "");
}

static void a_long_table_has_one_header_and_straight_columns(void **state)
{
	(void)state;
	list(MF_ARG_TABLE, 1501);
	const char *text = take();
	size_t lines = 0, width = strcspn(strchr(text, '\n') + 1, "\n");
	for (const char *at = strchr(text, '\n') + 1; *at; at += strcspn(at, "\n") + 1, lines++)
		assert_int_equal(strcspn(at, "\n"), width);
	assert_int_equal(lines, 1501);
	assert_null(strstr(text + 1, "DOCUMENT"));
}

static void a_stream_that_is_idle_has_written_everything(void **state)
{
	(void)state;
	for (int form = 0; form < 2; form++) {
		struct mf_args args = {.given = form ? MF_ARG_TABLE : MF_ARG_JSON};
		struct mf_listing listing;
		mf_listing_init(&listing, &args, &out, columns);
		mf_listing_row(&listing, cells);
		mf_listing_flush(&listing);
		assert_int_equal(out.len, 0);
		assert_non_null(strstr(take(), form ? "for a reason" : "because"));
		mf_listing_flush(&listing);
		mf_listing_end(&listing);
		assert_string_equal(take(), "");
	}
}

/* ---- cells ---- */
static const char *formatted(enum mf_column_kind kind, int64_t number)
{
	static char text[100];
	struct mf_buffer buffer = {0};
	assert_true(mf_table_format(&(struct mf_column){"x", "X", kind, NULL}, &(struct mf_cell){.number = number}, &buffer));
	snprintf(text, sizeof(text), "%s", (const char *)buffer.bytes);
	mf_buffer_deinit(&buffer);
	return text;
}

static void sizes_have_the_unit_that_suits_them(void **state)
{
	(void)state;
	assert_string_equal(formatted(MF_COLUMN_BYTES, 0), "0 B");
	assert_string_equal(formatted(MF_COLUMN_BYTES, 1023), "1023 B");
	assert_string_equal(formatted(MF_COLUMN_BYTES, 1024), "1.0 KiB");
	assert_string_equal(formatted(MF_COLUMN_BYTES, 1048575), "1.0 MiB");
	assert_string_equal(formatted(MF_COLUMN_BYTES, 18140365), "17.3 MiB");
	assert_string_equal(formatted(MF_COLUMN_BYTES, INT64_MAX), "8.0 EiB");
}

static void times_are_told_to_the_second_whatever_they_are(void **state)
{
	(void)state;
	assert_string_equal(formatted(MF_COLUMN_TIME, 1795773127135564), "2026-11-27T09:52:07Z");
	assert_string_equal(formatted(MF_COLUMN_TIME, -1), "1969-12-31T23:59:59Z");
	assert_non_null(strchr(formatted(MF_COLUMN_TIME, INT64_MAX), 'Z'));
	assert_non_null(strchr(formatted(MF_COLUMN_TIME, INT64_MIN), 'Z'));
}

/* ---- widths ---- */
static const char *fitted(bool (*fit)(const char *text, size_t width, struct mf_buffer *out), const char *text, size_t width)
{
	static char result[200];
	struct mf_buffer buffer = {0};
	assert_true(fit(text, width, &buffer));
	snprintf(result, sizeof(result), "%s", (const char *)buffer.bytes);
	mf_buffer_deinit(&buffer);
	return result;
}

static void text_is_cut_with_a_mark(void **state)
{
	(void)state;
	assert_string_equal(fitted(mf_table_cut, "abcdef", 4), "abc…");
	assert_string_equal(fitted(mf_table_cut, "漢字仮名", 5), "漢字…");
	assert_string_equal(fitted(mf_table_cut, "漢字仮名", 4), "漢…");
	assert_int_equal(mf_table_width("漢字e\xCC\x81"), 5);
	setlocale(LC_CTYPE, "C");
	assert_string_equal(fitted(mf_table_cut, "abcdef", 4), "abc~");
	setlocale(LC_CTYPE, "C.UTF-8");
}

static void prose_is_broken_at_spaces_and_long_words_where_they_must_be(void **state)
{
	(void)state;
	assert_string_equal(fitted(mf_table_break, "the quick brown fox", 9), "the quick\nbrown fox");
	assert_string_equal(fitted(mf_table_break, "the quick brown fox", 8), "the\nquick\nbrown\nfox");
	assert_string_equal(fitted(mf_table_break, "abcdefgh ij", 3), "abc\ndef\ngh\nij");
	assert_string_equal(fitted(mf_table_break, "漢字", 1), "漢\n字"); /* too narrow, but it ends */
	assert_string_equal(fitted(mf_table_break, "", 5), "");
}

/* ---- what is hidden ---- */
static void what_a_terminal_obeys_and_what_nobody_sees_is_made_visible(void **state)
{
	(void)state;
	static const struct {
		const char *text, *shown, *ascii;
	} pairs[] = {
		{"a", "a", "a"},
		{"\n", "\\n", "\\n"},
		{"\x1b", "\\u001b", "\\u001b"},
		{"\x7f", "\\u007f", "\\u007f"},
		{"\xC2\x9B", "\\u009b", "\\u009b"},
		{"\xC2\xAD", "\\u00ad", "\\u00ad"},
		{"\xE2\x80\xAE", "\\u202e", "\\u202e"},
		{"\xEF\xBB\xBF", "\\ufeff", "\\ufeff"},
		{"\xF3\xA0\x81\x81", "\\u{e0041}", "\\u{e0041}"},
		{"é", "é", "\\u00e9"},
		{"漢", "漢", "\\u6f22"},
		{"😀", "😀", "\\u{1f600}"},
		{"\xFF", "\xEF\xBF\xBD", "\\ufffd"},
		{"\xC0\xAF", "\xEF\xBF\xBD", "\\ufffd"},
		{"\xED\xA0\x80", "\xEF\xBF\xBD", "\\ufffd"},
		{"\xE6\xBC", "\xEF\xBF\xBD", "\\ufffd"},
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		char shown[MF_VISIBLE_MAX];
		mf_visible_next(pairs[i].text, false, shown);
		assert_string_equal(shown, pairs[i].shown);
		mf_visible_next(pairs[i].text, true, shown);
		assert_string_equal(shown, pairs[i].ascii);
	}
}

/* Every place of a character against the end of the buffer. */
static void json_on_a_terminal_is_the_same_json_without_them(void **state)
{
	(void)state;
	static char filler[MF_OUTPUT_SIZE];
	memset(filler, 'x', sizeof(filler));
	for (size_t before = MF_OUTPUT_SIZE - 12; before <= MF_OUTPUT_SIZE; before++) {
		out.veiled = true;
		mf_output_bytes(&out, filler, before);
		mf_output_bytes(&out, "\xC2\x9B漢\xE2\x80\xAE\xF3\xA0\x81\x81😀\x7f\n", 18);
		out.veiled = true;
		const char *text = take();
		assert_int_equal(strspn(text, "x"), before);
		assert_string_equal(text + before, "\\u009b漢\\u202e\\udb40\\udc41😀\\u007f\n");
		out.veiled = false;
	}
}

/* ---- failures ---- */
static void without_memory_the_output_has_an_error_and_nothing_is_leaked(void **state)
{
	(void)state;
	for (uint64_t i = 1, reached = i; reached >= i; i++) {
		mf_mem_fail_at(i, false);
		list(MF_ARG_TABLE, 3);
		reached = mf_mem_count();
		mf_mem_fail_at(0, false);
		assert_true((out.error != 0) == (reached >= i));
		out.error = 0;
		take();
	}
}

#ifdef CAN_FAIL
static void without_memory_for_the_table_neither(void **state)
{
	(void)state;
	countdown = 1;
	void *volatile probe = malloc(1);
	free(probe);
	if (countdown == 1) { /* valgrind has its own, too */
		countdown = 0;
		return;
	}
	bool reached = true;
	int errors = 0;
	for (uint64_t i = 1; reached; i++) {
		countdown = i;
		list(MF_ARG_TABLE, 3);
		reached = countdown == 0;
		countdown = 0;
		errors += out.error != 0;
		out.error = 0;
		take();
	}
	assert_in_range(errors, 20, 100000);
}
#endif

static void a_write_that_fails_is_remembered(void **state)
{
	(void)state;
	int fd = out.fd;
	out.fd = -1;
	list(MF_ARG_TABLE, 3);
	mf_output_flush(&out);
	assert_int_not_equal(out.error, 0);
	list(MF_ARG_JSON, 3);
	out.fd = fd;
	assert_string_equal(take(), "");
	out.error = 0;
	take();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_is_an_object_with_every_named_column),
		cmocka_unit_test(a_row_is_a_line_with_every_column_that_has_a_header),
		cmocka_unit_test(a_table_without_rows_has_its_header_or_is_none),
		cmocka_unit_test(a_long_table_has_one_header_and_straight_columns),
		cmocka_unit_test(a_stream_that_is_idle_has_written_everything),
		cmocka_unit_test(sizes_have_the_unit_that_suits_them),
		cmocka_unit_test(times_are_told_to_the_second_whatever_they_are),
		cmocka_unit_test(text_is_cut_with_a_mark),
		cmocka_unit_test(prose_is_broken_at_spaces_and_long_words_where_they_must_be),
		cmocka_unit_test(what_a_terminal_obeys_and_what_nobody_sees_is_made_visible),
		cmocka_unit_test(json_on_a_terminal_is_the_same_json_without_them),
		cmocka_unit_test(without_memory_the_output_has_an_error_and_nothing_is_leaked),
#ifdef CAN_FAIL
		cmocka_unit_test(without_memory_for_the_table_neither),
#endif
		cmocka_unit_test(a_write_that_fails_is_remembered),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
