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
#include <sqlite3.h>

#include <moduforge/store.h>
#include <moduforge/value.h>

#include "oom_plan.h"
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

/* ---- the harness' own ways ---- */

/* A bit for each of three allocations that got memory. */
static __attribute__((noinline)) int three_times(uint64_t stack, uint64_t n)
{
	void *memory[3];
	int got = 0;
	if (stack)
		starve_begin_at(libraries(), stack, n, false);
	else
		starve_begin(libraries(), n, false);
	for (int i = 0; i < 3; i++) {
		memory[i] = sqlite3_malloc(64);
		got |= (memory[i] != NULL) << i;
	}
	starve_end();
	for (int i = 0; i < 3; i++)
		sqlite3_free(memory[i]);
	return got;
}

static void a_call_stack_can_be_aimed_at(void **unused)
{
	(void)unused;
	static uint64_t stacks[3];
	static struct starve_trace trace;
	static const int wanted[] = {7, 6, 5, 3, 7};
	int got[5];
	assert_int_equal(sqlite3_initialize(), SQLITE_OK);
	for (uint64_t n = 0; n <= 4; n++) { /* one place for all calls: it is part of the stack */
		starve_profile_to(n == 0 ? stacks : NULL, 3);
		starve_trace_to(n == 3 ? &trace : NULL);
		got[n] = three_times(n == 0 ? 0 : stacks[0], n);
	}
	starve_profile_to(NULL, 0);
	starve_trace_to(NULL);
	assert_memory_equal(got, wanted, sizeof(got));
	assert_true(stacks[0] != 0 && stacks[0] == stacks[1] && stacks[1] == stacks[2]);
	assert_true(starve_stack(trace.at, trace.frames) == stacks[0]);
}

static void of_each_call_stack_some_allocations_are_taken(void **unused)
{
	(void)unused;
	static const uint64_t stacks[] = {7, 5, 7, 7, 9, 7, 7, 7, 5}; /* 7: 1 3 4 6 7 8; 5: 2 9; 9: 5 */
	static const uint64_t wanted[][10] = {{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 5}, {1, 2, 5, 8, 9}, {1, 2, 4, 5, 8, 9}};
	for (uint64_t each = 0; each < 4; each++) {
		struct oom_plan *plan = oom_plan_new(stacks, 9, each);
		assert_non_null(plan);
		assert_int_equal(oom_plan_stacks(plan), 3);
		for (size_t i = 0; wanted[each][i]; i++)
			assert_int_equal(oom_plan_next(plan), wanted[each][i]);
		assert_int_equal(oom_plan_next(plan), 0);
		assert_int_equal(oom_plan_missed(plan), 3);
		oom_plan_struck(plan, 7);
		oom_plan_struck(plan, 4);
		assert_int_equal(oom_plan_missed(plan), 2);
		assert_int_equal(oom_plan_next_missed(plan), 5);
		assert_int_equal(oom_plan_next_missed(plan), 9);
		oom_plan_struck(plan, 5);
		assert_int_equal(oom_plan_next_missed(plan), 9);
		assert_int_equal(oom_plan_next_missed(plan), 9);
		assert_int_equal(oom_plan_next_missed(plan), 0); /* often enough */
		oom_plan_free(plan);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_json_is_neither_changed_nor_called_wrong_for_want_of_memory),
		cmocka_unit_test(a_long_number_loses_no_digit_for_want_of_memory),
		cmocka_unit_test(the_first_store_of_a_process_without_memory_is_no_memory),
		cmocka_unit_test(a_call_stack_can_be_aimed_at),
		cmocka_unit_test(of_each_call_stack_some_allocations_are_taken),
	};
	starve_prepare();
	return cmocka_run_group_tests_name("starve", tests, NULL, NULL);
}
