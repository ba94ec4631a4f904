#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/mem.h"
#include "persist/key_filter.h"

static size_t key_number(char out[32], unsigned number)
{
	return (size_t)snprintf(out, 32, "key-%08x", number * 2654435761u);
}

static void every_key_that_was_added_may_be_there(void **state)
{
	(void)state;
	char key[32];
	struct mf_key_filter filter;
	mf_key_filter_init(&filter);
	for (unsigned i = 0; i < 300000; i++)
		mf_key_filter_add(&filter, key, key_number(key, i));
	assert_true(filter.layer_count > 2);
	for (unsigned i = 0; i < 300000; i++)
		assert_true(mf_key_filter_may_have(&filter, key, key_number(key, i)));
	mf_key_filter_deinit(&filter);
}

static void nearly_every_other_key_is_reported_new(void **state)
{
	(void)state;
	char key[32];
	unsigned alarms = 0;
	struct mf_key_filter filter;
	mf_key_filter_init(&filter);
	for (unsigned i = 0; i < 200000; i++)
		mf_key_filter_add(&filter, key, key_number(key, i));
	for (unsigned i = 200000; i < 400000; i++)
		alarms += mf_key_filter_may_have(&filter, key, key_number(key, i));
	assert_true(alarms < 2000); /* 1 in 100; about 2 in 1,000 a layer are expected */
	mf_key_filter_deinit(&filter);
}

static void an_empty_filter_has_nothing(void **state)
{
	(void)state;
	struct mf_key_filter filter;
	mf_key_filter_init(&filter);
	assert_false(mf_key_filter_may_have(&filter, "a", 1));
	assert_false(mf_key_filter_may_have(&filter, "", 0));
	mf_key_filter_deinit(&filter);
}

static void without_memory_everything_may_be_there(void **state)
{
	(void)state;
	char key[32];
	struct mf_key_filter filter;
	mf_key_filter_init(&filter);
	mf_mem_fail_at(2, false); /* the second layer */
	for (unsigned i = 0; i < 100000; i++)
		mf_key_filter_add(&filter, key, key_number(key, i));
	mf_mem_fail_at(0, false);
	assert_true(mf_key_filter_may_have(&filter, "never added", 11));
	mf_key_filter_deinit(&filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_that_was_added_may_be_there),
		cmocka_unit_test(nearly_every_other_key_is_reported_new),
		cmocka_unit_test(an_empty_filter_has_nothing),
		cmocka_unit_test(without_memory_everything_may_be_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
