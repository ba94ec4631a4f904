/* test_open_memory.c - opening and closing the runtime while each allocation in turn fails.
 *
 * The library is linked in whole and its functions exported, so that the plugins use this very copy and the
 * counter of allocations (model/mem.h, not in the public API) is the one in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/runtime.h>

#include "model/mem.h"
#include "scratch.h"

static int setup(void **unused)
{
	(void)unused;
	scratch_make();
	scratch_write_config(&(struct scratch_plan){0});
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	return scratch_remove();
}

static void commit_one(struct mf_runtime *runtime)
{
	struct mf_transaction *transaction;
	struct mf_error error;
	int64_t lsn;
	assert_int_equal(MF_OK, mf_transaction_new(&transaction));
	assert_int_equal(MF_OK, mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "update_attrs", "{\"id\":\"root\",\"set\":{\"n\":1}}", &error));
	assert_int_equal(MF_OK, mf_transaction_set_key(transaction, "once", &error)); /* a growing store would never end the loop */
	enum mf_status status = mf_runtime_commit(runtime, NULL, transaction, &lsn, &error);
	assert_true(status == MF_OK || status == MF_ERR_DUPLICATE_KEY);
	mf_transaction_free(transaction);
}

static int refusals(const char *mode, bool read_only)
{
	int refused = 0;
	bool reached = true;
	for (uint64_t i = 1; reached; i++) {
		struct mf_runtime_options options = {.config_path = scratch_config, .mode = mode, .data_dir = scratch_dir, .read_only = read_only};
		struct mf_runtime *runtime = NULL;
		struct mf_error error = {0};
		mf_mem_fail_at(i, false);
		enum mf_status status = mf_runtime_open(&options, &runtime, &error);
		reached = mf_mem_count() >= i;
		mf_mem_fail_at(0, false);
		if (status == MF_OK) {
			if (!read_only)
				commit_one(runtime);
			assert_int_equal(MF_OK, mf_runtime_close(runtime, MF_WAIT_FOREVER, &error));
			continue;
		}
		assert_int_equal(MF_ERR_NO_MEMORY, status);
		assert_int_equal(status, error.status);
		assert_true(strlen(error.message) > 5);
		refused++;
	}
	return refused;
}

static void each_allocation_that_fails_while_opening_is_told_and_the_next_try_works(void **unused)
{
	(void)unused;
	assert_true(refusals("memory", false) > 50);
	assert_true(refusals("async", false) > 50);
	assert_true(refusals("async", true) > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_allocation_that_fails_while_opening_is_told_and_the_next_try_works, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
