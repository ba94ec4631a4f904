/* test_starve.c - what ./dev oom has found: each allocation fails, of the libraries below ours too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/store.h>
#include <moduforge/value.h>

#include "starve.h"
#include "tests/leave.h"

static enum starve_world libraries(void)
{
	return starve_has(STARVE_ALL) ? STARVE_ALL : STARVE_OTHERS;
}

/* Also where a sanitizer has malloc: the parser takes its memory from the library's seam. */
static enum starve_world own(void)
{
	return starve_has(STARVE_ALL) ? STARVE_ALL : STARVE_OWN;
}

static void sound_json_is_neither_changed_nor_called_wrong_for_want_of_memory(void **unused)
{
	(void)unused;
	static const char text[] = "{\"a\": [1, 2.5, true, null, \"a longer string, so that the lexer's buffer must grow\", 7], \"b\": {\"c\": \"\\u00e9\\ud83d\\ude00\\n\"}}";
	struct mf_value *whole;
	assert_int_equal(MF_OK, mf_value_parse_json(text, strlen(text), &whole, NULL));
	int refused = 0;
	for (int forever = 0; forever < 2; forever++)
		for (uint64_t n = 1, reached = 1; reached; n++) {
			struct mf_value *value;
			struct mf_error error = {0};
			starve_begin(own(), n, forever);
			enum mf_status status = mf_value_parse_json(text, strlen(text), &value, &error);
			starve_end();
			reached = starve_count() >= n;
			if (status != MF_OK && status != MF_ERR_NO_MEMORY)
				fail_msg("allocation %llu: %s: %s", (unsigned long long)n, mf_status_name(status), error.message);
			refused += status != MF_OK;
			if (status == MF_OK) { /* the parser once left out the byte for which it had no room */
				assert_true(mf_value_equal(whole, value));
				mf_value_unref(value);
			}
		}
	mf_value_unref(whole);
	assert_true(refused > 20);
}

static void a_long_number_loses_no_digit_for_want_of_memory(void **unused)
{
	(void)unused;
	static const char *const texts[] = {"[12345678901234567]", "{\"price\": 1234567.8901234567, \"x\": 1}", "-0.1234567890123456"};
	for (size_t i = 0; i < 2 * sizeof(texts) / sizeof(texts[0]); i++) {
		const char *text = texts[i / 2];
		struct mf_value *whole, *value;
		int refused = 0;
		assert_int_equal(MF_OK, mf_value_parse_json(text, strlen(text), &whole, NULL));
		for (uint64_t n = 1, reached = 1; reached; n++) {
			starve_begin(own(), n, i % 2);
			enum mf_status status = mf_value_parse_json(text, strlen(text), &value, NULL);
			starve_end();
			reached = starve_count() >= n;
			refused += status != MF_OK;
			if (status == MF_OK) {
				assert_true(mf_value_equal(whole, value));
				mf_value_unref(value);
			}
		}
		mf_value_unref(whole);
		assert_true(refused > 0);
	}
}

#define FIRST 60 /* allocations: SQLite's first ones are among them */

/* 0: as it should be; 1: another status; 2: nothing failed. */
static int open_in_child(const char *dir, uint64_t n)
{
	struct mf_error error = {0};
	struct mf_store *store;
	starve_begin(libraries(), n, true);
	enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = dir}, &store, &error);
	starve_end();
	if (starve_count() < n)
		return 2;
	if (status != MF_ERR_NO_MEMORY)
		fprintf(stderr, "allocation %llu: %s: %s\n", (unsigned long long)n, mf_status_name(status), error.message);
	return status != MF_ERR_NO_MEMORY;
}

/* SQLite begins to work with the first store of a process. */
static void the_first_store_of_a_process_without_memory_is_no_memory(void **unused)
{
	(void)unused;
	char dir[] = "/tmp/mf-starve-XXXXXX", command[64];
	assert_non_null(mkdtemp(dir));
	for (uint64_t n = 1; n <= FIRST; n++) {
		int ended = 0;
		pid_t pid = fork();
		if (pid == 0)
			leave(open_in_child(dir, n));
		assert_int_equal(pid, waitpid(pid, &ended, 0));
		assert_true(WIFEXITED(ended));
		assert_int_equal(WEXITSTATUS(ended), 0);
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_json_is_neither_changed_nor_called_wrong_for_want_of_memory),
		cmocka_unit_test(a_long_number_loses_no_digit_for_want_of_memory),
		cmocka_unit_test(the_first_store_of_a_process_without_memory_is_no_memory),
	};
	starve_prepare();
	return cmocka_run_group_tests_name("starve", tests, NULL, NULL);
}
