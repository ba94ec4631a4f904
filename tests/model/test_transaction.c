#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <moduforge/transaction.h>

#include "model/mem.h"
#include "model/transaction.h"
#include "small_steps.h"

#define SET_DATA "{\"id\":\"root\",\"key\":\"a\",\"value\":1}"

static struct mf_transaction *new_transaction(void)
{
	struct mf_transaction *transaction;
	assert_int_equal(mf_transaction_new(&transaction), MF_OK);
	return transaction;
}

static void a_new_transaction_is_empty(void **state)
{
	(void)state;
	struct mf_transaction *transaction = new_transaction();
	assert_int_equal(mf_transaction_id(transaction), 0);
	assert_int_equal(mf_transaction_action(transaction), MF_ACTION_APPLY);
	assert_int_equal(mf_transaction_source_lsn(transaction), 0);
	assert_null(mf_transaction_actor(transaction));
	assert_null(mf_transaction_key(transaction));
	assert_int_equal(mf_value_kind(mf_transaction_meta(transaction)), MF_VALUE_OBJECT);
	assert_int_equal(mf_value_count(mf_transaction_meta(transaction)), 0);
	assert_int_equal(mf_transaction_expect(transaction), MF_EXPECT_ANY);
	assert_int_equal(mf_transaction_step_count(transaction), 0);
	assert_null(mf_transaction_step(transaction, 0));
	mf_transaction_free(transaction);
	mf_transaction_free(NULL);
}

static void what_was_set_is_there(void **state)
{
	(void)state;
	struct mf_transaction *transaction = new_transaction();
	char actor[] = "ann", key[] = "k1";
	struct mf_value *meta;
	assert_int_equal(mf_transaction_set_actor(transaction, actor, NULL), MF_OK);
	assert_int_equal(mf_transaction_set_key(transaction, key, NULL), MF_OK);
	actor[0] = key[0] = 'X'; /* the strings are copies */
	assert_int_equal(mf_value_new_int(7, &meta), MF_OK);
	mf_transaction_set_meta(transaction, meta);
	mf_value_unref(meta);
	mf_transaction_set_expect(transaction, 12);
	mf_transaction_set_id(transaction, 99);
	mf_transaction_set_action(transaction, MF_ACTION_UNDO, 5);
	assert_string_equal(mf_transaction_actor(transaction), "ann");
	assert_string_equal(mf_transaction_key(transaction), "k1");
	assert_int_equal(mf_value_as_int(mf_transaction_meta(transaction)), 7);
	assert_int_equal(mf_transaction_expect(transaction), 12);
	assert_int_equal(mf_transaction_id(transaction), 99);
	assert_int_equal(mf_transaction_action(transaction), MF_ACTION_UNDO);
	assert_int_equal(mf_transaction_source_lsn(transaction), 5);
	assert_int_equal(mf_transaction_set_actor(transaction, NULL, NULL), MF_OK);
	assert_int_equal(mf_transaction_set_key(transaction, NULL, NULL), MF_OK);
	mf_transaction_set_meta(transaction, NULL);
	assert_null(mf_transaction_actor(transaction));
	assert_null(mf_transaction_key(transaction));
	assert_int_equal(mf_value_kind(mf_transaction_meta(transaction)), MF_VALUE_OBJECT);
	mf_transaction_free(transaction);
}

static void a_name_that_breaks_the_rules_is_refused_and_the_old_one_stays(void **state)
{
	(void)state;
	struct mf_transaction *transaction = new_transaction();
	struct mf_error error = {0};
	char longest[MF_ID_MAX + 2];
	memset(longest, 'k', sizeof(longest));
	longest[MF_ID_MAX] = '\0';
	assert_int_equal(mf_transaction_set_key(transaction, longest, NULL), MF_OK);
	assert_int_equal(mf_transaction_set_actor(transaction, longest, NULL), MF_OK);
	longest[MF_ID_MAX] = 'k';
	longest[MF_ID_MAX + 1] = '\0';
	assert_int_equal(mf_transaction_set_key(transaction, longest, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "1025"));
	assert_int_equal(mf_transaction_set_actor(transaction, longest, &error), MF_ERR_INVALID);
	assert_int_equal(mf_transaction_set_key(transaction, "", &error), MF_ERR_INVALID);
	assert_int_equal(mf_transaction_set_actor(transaction, "", &error), MF_ERR_INVALID);
	assert_int_equal(mf_transaction_set_key(transaction, "\xed\xa0\x80", &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "UTF-8"));
	assert_int_equal(strlen(mf_transaction_key(transaction)), MF_ID_MAX);
	assert_int_equal(strlen(mf_transaction_actor(transaction)), MF_ID_MAX);
	mf_transaction_free(transaction);
}

static void steps_keep_their_order(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_transaction *transaction = new_transaction();
	for (int i = 0; i < 100; i++)
		small_steps_add(transaction, registry, i % 2 ? "test_set" : "test_remove", "{\"id\":\"%d\"}", i);
	assert_int_equal(mf_transaction_step_count(transaction), 100);
	for (size_t i = 0; i < 100; i++)
		assert_string_equal(mf_transaction_step(transaction, i)->type->type_id, i % 2 ? "test_set" : "test_remove");
	assert_null(mf_transaction_step(transaction, 100));
	mf_transaction_free(transaction);
	mf_step_registry_free(registry);
}

static void a_step_is_shared_not_taken(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_transaction *first = new_transaction(), *second = new_transaction();
	small_steps_add(first, registry, "test_set", SET_DATA);
	const struct mf_step *step = mf_transaction_step(first, 0);
	assert_int_equal(mf_transaction_add(second, step), MF_OK);
	mf_transaction_free(first);
	assert_ptr_equal(mf_transaction_step(second, 0), step);
	assert_string_equal(step->type->type_id, "test_set");
	mf_transaction_free(second);
	mf_step_registry_free(registry);
}

static void a_bad_step_adds_nothing(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_transaction *transaction = new_transaction();
	struct mf_error error = {0};
	assert_int_equal(mf_transaction_add_json(transaction, registry, "nope", "{}", &error), MF_ERR_UNKNOWN_STEP);
	assert_int_equal(mf_transaction_add_json(transaction, registry, "test_set", "{", &error), MF_ERR_INVALID);
	assert_int_equal(mf_transaction_add_json(transaction, registry, "test_set", "[]", &error), MF_ERR_INVALID);
	assert_int_equal(mf_transaction_step_count(transaction), 0);
	mf_transaction_free(transaction);
	mf_step_registry_free(registry);
}

/* Text of a user cannot close its quotes and add a member. */
static void what_comes_from_outside_stays_a_string(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_transaction *transaction = new_transaction();
	struct mf_value *data;
	char *json;
	static const char *const hostile = "a\",\"key\":\"\\\n%s\x01";
	assert_int_equal(mf_transaction_add_format(transaction, registry, "test_set", NULL, "{\"id\":%s,\"key\":\"100%%\",\"value\":[%s,%lld]}", "root", hostile,
						   -9223372036854775807LL), MF_OK);
	const struct mf_step *step = mf_transaction_step(transaction, 0);
	assert_int_equal(step->type->to_value(step, &data), MF_OK);
	assert_int_equal(mf_value_to_json(data, &json, NULL), MF_OK);
	assert_string_equal(json, "{\"id\":\"root\",\"key\":\"100%\",\"value\":[\"a\\\",\\\"key\\\":\\\"\\\\\\n%s\\u0001\",-9223372036854775807]}");
	mf_free(json);
	mf_value_unref(data);
	mf_transaction_free(transaction);
	mf_step_registry_free(registry);
}

static void a_format_that_says_something_else_adds_nothing(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_transaction *transaction = new_transaction();
	struct mf_error error = {0};
	const char *volatile nothing = NULL;
	assert_int_equal(mf_transaction_add_format(transaction, registry, "test_set", &error, "{\"id\":%d}", 1), MF_ERR_INVALID);
	assert_string_equal(error.message, "the format may have %s, %lld and %%, not %d}");
	assert_int_equal(mf_transaction_add_format(transaction, registry, "test_set", &error, "{\"id\":%s}", nothing), MF_ERR_INVALID);
	assert_int_equal(mf_transaction_add_format(transaction, registry, "test_set", &error, "{\"id\":\"%s\"}", "root"), MF_ERR_INVALID); /* quoted twice */
	assert_int_equal(mf_transaction_add_format(transaction, registry, "test_set", &error, "{\"id\":%s}", "\xff"), MF_ERR_INVALID);
	assert_int_equal(mf_transaction_step_count(transaction), 0);
	mf_transaction_free(transaction);
	mf_step_registry_free(registry);
}

static void a_sealed_transaction_does_not_change(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_transaction *transaction = new_transaction();
	struct mf_error error = {0};
	small_steps_add(transaction, registry, "test_set", SET_DATA);
	assert_int_equal(mf_transaction_set_actor(transaction, "ann", NULL), MF_OK);
	mf_transaction_seal(transaction);
	mf_transaction_seal(transaction);
	assert_int_equal(mf_transaction_set_actor(transaction, "bob", &error), MF_ERR_STATE);
	assert_int_equal(mf_transaction_set_key(transaction, "k", &error), MF_ERR_STATE);
	assert_int_equal(mf_transaction_add(transaction, mf_transaction_step(transaction, 0)), MF_ERR_STATE);
	assert_int_equal(mf_transaction_add_json(transaction, registry, "test_set", SET_DATA, &error), MF_ERR_STATE);
	mf_transaction_set_meta(transaction, mf_value_bool(true));
	mf_transaction_set_expect(transaction, 3);
	assert_string_equal(mf_transaction_actor(transaction), "ann");
	assert_null(mf_transaction_key(transaction));
	assert_int_equal(mf_transaction_step_count(transaction), 1);
	assert_int_equal(mf_value_kind(mf_transaction_meta(transaction)), MF_VALUE_OBJECT);
	assert_int_equal(mf_transaction_expect(transaction), MF_EXPECT_ANY);
	assert_int_equal(mf_transaction_assign_key(transaction, "made"), MF_OK);
	assert_string_equal(mf_transaction_key(transaction), "made");
	mf_transaction_set_id(transaction, 4);
	assert_int_equal(mf_transaction_id(transaction), 4);
	mf_transaction_free(transaction);
	mf_step_registry_free(registry);
}

static void a_transaction_lives_as_long_as_somebody_has_it(void **state)
{
	(void)state;
	struct mf_transaction *transaction = new_transaction();
	assert_int_equal(mf_transaction_set_key(transaction, "k", NULL), MF_OK);
	assert_ptr_equal(mf_transaction_ref(transaction), transaction);
	mf_transaction_free(transaction);
	assert_string_equal(mf_transaction_key(transaction), "k");
	mf_transaction_free(transaction);
}

static enum mf_status fill(const struct mf_step_registry *registry, struct mf_error *error)
{
	struct mf_transaction *transaction;
	enum mf_status status = mf_transaction_new(&transaction);
	if (status != MF_OK)
		return status;
	status = mf_transaction_set_actor(transaction, "ann", error);
	if (status == MF_OK)
		status = mf_transaction_set_key(transaction, "key", error);
	for (int i = 0; status == MF_OK && i < 6; i++)
		status = mf_transaction_add_json(transaction, registry, "test_set", SET_DATA, error);
	if (status == MF_OK)
		status = mf_transaction_add_format(transaction, registry, "test_set", error, "{\"id\":%s,\"key\":\"a\",\"value\":1}", "root");
	if (status == MF_OK)
		status = mf_transaction_assign_key(transaction, "other");
	mf_transaction_free(transaction);
	return status;
}

static void every_failed_allocation_is_reported(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	for (int forever = 0; forever < 2; forever++) {
		uint64_t n = 0, reached;
		do {
			mf_mem_fail_at(++n, forever);
			enum mf_status status = fill(registry, NULL);
			reached = mf_mem_count();
			mf_mem_fail_at(0, false);
			assert_int_equal(status, reached < n ? MF_OK : MF_ERR_NO_MEMORY);
		} while (reached >= n);
		assert_true(n > 10);
	}
	mf_step_registry_free(registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_transaction_is_empty),
		cmocka_unit_test(what_was_set_is_there),
		cmocka_unit_test(a_name_that_breaks_the_rules_is_refused_and_the_old_one_stays),
		cmocka_unit_test(steps_keep_their_order),
		cmocka_unit_test(a_step_is_shared_not_taken),
		cmocka_unit_test(a_bad_step_adds_nothing),
		cmocka_unit_test(what_comes_from_outside_stays_a_string),
		cmocka_unit_test(a_format_that_says_something_else_adds_nothing),
		cmocka_unit_test(a_sealed_transaction_does_not_change),
		cmocka_unit_test(a_transaction_lives_as_long_as_somebody_has_it),
		cmocka_unit_test(every_failed_allocation_is_reported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
