#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <moduforge/step.h>

#include "model/mem.h"
#include "small_steps.h"

static int made, freed;

static enum mf_status from_value(const struct mf_step_type *type, const struct mf_value *data, struct mf_step **out, struct mf_error *error)
{
	(void)error;
	if (mf_value_kind(data) == MF_VALUE_NULL)
		return MF_OK; /* a broken type: no step */
	struct mf_step *step = mf_malloc(sizeof(*step));
	if (!step)
		return MF_ERR_NO_MEMORY;
	mf_step_init(step, type);
	made++;
	*out = step;
	return MF_OK;
}

static enum mf_status to_value(const struct mf_step *step, struct mf_value **out)
{
	(void)step, (void)out;
	return MF_ERR_INVALID;
}

static enum mf_status encode(const struct mf_step *step, struct mf_buffer *out)
{
	(void)step, (void)out;
	return MF_OK;
}

static enum mf_status decode(const struct mf_step_type *type, const void *bytes, size_t len, struct mf_step **out, struct mf_error *error)
{
	(void)type, (void)bytes, (void)len, (void)out, (void)error;
	return MF_ERR_CORRUPTED;
}

static enum mf_status apply(const struct mf_step *step, struct mf_edit *edit, struct mf_step **out_inverse, struct mf_error *error)
{
	(void)step, (void)edit, (void)out_inverse, (void)error;
	return MF_ERR_INVALID;
}

static void free_step(struct mf_step *step)
{
	freed++;
	mf_free(step);
}

static struct mf_step_type make_type(const char *id)
{
	return (struct mf_step_type){.size = sizeof(struct mf_step_type), .type_id = id, .version = 1, .from_value = from_value, .to_value = to_value, .encode = encode, .decode = decode, .apply = apply, .free = free_step};
}

static struct mf_step_registry *new_registry(void)
{
	struct mf_step_registry *registry;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	return registry;
}

static void a_step_is_freed_with_its_last_reference(void **state)
{
	(void)state;
	struct mf_step_type type = make_type("one");
	struct mf_step *step = NULL;
	made = freed = 0;
	assert_int_equal(from_value(&type, mf_value_bool(true), &step, NULL), MF_OK);
	assert_ptr_equal(mf_step_ref(step), step);
	mf_step_unref(step);
	assert_int_equal(freed, 0);
	mf_step_unref(step);
	assert_int_equal(freed, 1);
	mf_step_unref(NULL);
}

static void types_are_found_by_their_bytes(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	static const char *const ids[] = {"move_node", "a", "insert_node", "b", "aa", "insert", "\xc3\xa9", "delete_node"};
	struct mf_step_type types[8];
	for (size_t i = 0; i < 8; i++) {
		types[i] = make_type(ids[i]);
		assert_int_equal(mf_step_registry_add(registry, &types[i], NULL), MF_OK);
	}
	mf_step_registry_freeze(registry);
	for (size_t i = 0; i < 8; i++)
		assert_ptr_equal(mf_step_registry_find(registry, ids[i], strlen(ids[i])), &types[i]);
	assert_null(mf_step_registry_find(registry, "insert_nod", 10));
	assert_null(mf_step_registry_find(registry, "insert_node2", 12));
	assert_null(mf_step_registry_find(registry, "", 0));
	assert_null(mf_step_registry_find(registry, "a\0", 2));
	assert_ptr_equal(mf_step_registry_find(registry, "aaa", 2), &types[4]);
	mf_step_registry_free(registry);
}

static void types_are_listed_once_each_sorted(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	struct mf_step_type types[3] = {make_type("b"), make_type("c"), make_type("a")};
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(mf_step_registry_add(registry, &types[i], NULL), MF_OK);
	assert_int_equal(mf_step_registry_count(registry), 3);
	assert_string_equal(mf_step_registry_item(registry, 0)->type_id, "a");
	assert_string_equal(mf_step_registry_item(registry, 1)->type_id, "b");
	assert_string_equal(mf_step_registry_item(registry, 2)->type_id, "c");
	assert_null(mf_step_registry_item(registry, 3));
	mf_step_registry_free(registry);
}

static void many_types_fit(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	static char ids[500][8];
	static struct mf_step_type types[500];
	for (size_t i = 0; i < 500; i++) {
		snprintf(ids[i], sizeof(ids[i]), "t%zu", (i * 7919) % 500);
		types[i] = make_type(ids[i]);
		assert_int_equal(mf_step_registry_add(registry, &types[i], NULL), MF_OK);
	}
	for (size_t i = 0; i < 500; i++)
		assert_ptr_equal(mf_step_registry_find(registry, ids[i], strlen(ids[i])), &types[i]);
	mf_step_registry_free(registry);
}

static void a_taken_type_id_is_refused_and_the_first_keeps_working(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	struct mf_step_type first = make_type("twice"), second = make_type("twice");
	struct mf_error error = {0};
	assert_int_equal(mf_step_registry_add(registry, &first, NULL), MF_OK);
	assert_int_equal(mf_step_registry_add(registry, &second, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "twice"));
	assert_int_equal(mf_step_registry_count(registry), 1);
	assert_ptr_equal(mf_step_registry_find(registry, "twice", 5), &first);
	mf_step_registry_free(registry);
}

static void refused(struct mf_step_registry *registry, const struct mf_step_type *type, const char *why)
{
	struct mf_error error = {0};
	assert_int_equal(mf_step_registry_add(registry, type, &error), MF_ERR_INVALID);
	if (!strstr(error.message, why))
		fail_msg("'%s' does not say '%s'", error.message, why);
	assert_int_equal(mf_step_registry_count(registry), 0);
}

static void an_incomplete_type_is_refused_by_name(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	struct mf_step_type type = make_type("odd");
	type.from_value = NULL;
	refused(registry, &type, "from_value");
	type = make_type("odd");
	type.to_value = NULL;
	refused(registry, &type, "to_value");
	type = make_type("odd");
	type.encode = NULL;
	refused(registry, &type, "encode");
	type = make_type("odd");
	type.decode = NULL;
	refused(registry, &type, "decode");
	type = make_type("odd");
	type.apply = NULL;
	refused(registry, &type, "apply");
	type = make_type("odd");
	type.free = NULL;
	refused(registry, &type, "'free'");
	type = make_type("odd");
	type.size = offsetof(struct mf_step_type, free);
	refused(registry, &type, "rebuild");
	refused(registry, NULL, "rebuild");
	mf_step_registry_free(registry);
}

static void a_bad_type_id_is_refused(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	char longest[257];
	memset(longest, 'x', sizeof(longest));
	longest[256] = '\0';
	struct mf_step_type type = make_type(longest);
	refused(registry, &type, "1 to 255");
	type = make_type("");
	refused(registry, &type, "1 to 255");
	type = make_type(NULL);
	refused(registry, &type, "1 to 255");
	type = make_type("\xff");
	refused(registry, &type, "UTF-8");
	longest[255] = '\0';
	type = make_type(longest);
	assert_int_equal(mf_step_registry_add(registry, &type, NULL), MF_OK);
	mf_step_registry_free(registry);
}

static void a_type_may_know_more_than_this_library(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	struct mf_step_type type = make_type("newer");
	type.size += 64;
	assert_int_equal(mf_step_registry_add(registry, &type, NULL), MF_OK);
	mf_step_registry_free(registry);
}

static void a_frozen_registry_does_not_change(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	struct mf_step_type first = make_type("first"), second = make_type("second");
	struct mf_error error = {0};
	assert_int_equal(mf_step_registry_add(registry, &first, NULL), MF_OK);
	mf_step_registry_freeze(registry);
	assert_int_equal(mf_step_registry_add(registry, &second, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "frozen"));
	mf_step_registry_remove(registry, &first);
	assert_ptr_equal(mf_step_registry_find(registry, "first", 5), &first);
	assert_null(mf_step_registry_find(registry, "second", 6));
	mf_step_registry_free(registry);
}

static void a_removed_type_is_gone_and_its_id_is_free(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	struct mf_step_type a = make_type("a"), b = make_type("b"), c = make_type("c"), stranger = make_type("b");
	assert_int_equal(mf_step_registry_add(registry, &a, NULL), MF_OK);
	assert_int_equal(mf_step_registry_add(registry, &b, NULL), MF_OK);
	assert_int_equal(mf_step_registry_add(registry, &c, NULL), MF_OK);
	mf_step_registry_remove(registry, &stranger);
	assert_int_equal(mf_step_registry_count(registry), 3);
	mf_step_registry_remove(registry, &b);
	assert_int_equal(mf_step_registry_count(registry), 2);
	assert_null(mf_step_registry_find(registry, "b", 1));
	assert_ptr_equal(mf_step_registry_find(registry, "a", 1), &a);
	assert_ptr_equal(mf_step_registry_find(registry, "c", 1), &c);
	assert_int_equal(mf_step_registry_add(registry, &stranger, NULL), MF_OK);
	assert_ptr_equal(mf_step_registry_find(registry, "b", 1), &stranger);
	mf_step_registry_free(registry);
}

static void a_step_is_made_by_its_type(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_value *data, *back;
	struct mf_step *step;
	assert_int_equal(mf_value_parse_json("{\"id\":\"x\"}", 10, &data, NULL), MF_OK);
	assert_int_equal(mf_step_registry_create(registry, "test_set", 8, data, &step, NULL), MF_OK);
	assert_ptr_equal(step->type, small_steps_set());
	assert_int_equal(step->type->to_value(step, &back), MF_OK);
	assert_true(mf_value_equal(back, data));
	mf_value_unref(back);
	mf_value_unref(data);
	mf_step_unref(step);
	mf_step_registry_free(registry);
}

static void what_from_value_says_is_passed_on(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_step *step = NULL;
	struct mf_error error = {0};
	assert_int_equal(mf_step_registry_create(registry, "test_set", 8, mf_value_bool(true), &step, &error), MF_ERR_INVALID);
	assert_string_equal(error.message, "data must be an object");
	assert_null(step);
	mf_step_registry_free(registry);
}

static void f19_an_unknown_type_id_is_an_error_that_names_it(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_step *step = NULL;
	struct mf_error error = {0};
	assert_int_equal(mf_step_registry_create(registry, "price", 5, mf_value_null(), &step, &error), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "'price'"));
	assert_null(step);
	mf_step_registry_free(registry);
}

static void a_type_that_makes_no_step_is_a_plugin_error(void **state)
{
	(void)state;
	struct mf_step_registry *registry = new_registry();
	struct mf_step_type type = make_type("lazy");
	struct mf_step *step = NULL;
	assert_int_equal(mf_step_registry_add(registry, &type, NULL), MF_OK);
	assert_int_equal(mf_step_registry_create(registry, "lazy", 4, mf_value_null(), &step, NULL), MF_ERR_PLUGIN);
	assert_null(step);
	mf_step_registry_free(registry);
}

static void every_failed_allocation_leaves_the_registry_usable(void **state)
{
	(void)state;
	static char ids[40][8];
	static struct mf_step_type types[40];
	struct mf_step_registry *registry;
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_step_registry_new(&registry), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	registry = new_registry();
	size_t failures = 0;
	for (size_t i = 0; i < 40; i++) {
		snprintf(ids[i], sizeof(ids[i]), "t%zu", i);
		types[i] = make_type(ids[i]);
		mf_mem_fail_at(1, false);
		enum mf_status status = mf_step_registry_add(registry, &types[i], NULL);
		mf_mem_fail_at(0, false);
		if (status == MF_OK)
			continue;
		assert_int_equal(status, MF_ERR_NO_MEMORY);
		assert_int_equal(mf_step_registry_count(registry), i);
		assert_int_equal(mf_step_registry_add(registry, &types[i], NULL), MF_OK);
		failures++;
	}
	assert_in_range(failures, 1, 39);
	assert_int_equal(mf_step_registry_count(registry), 40);
	mf_step_registry_free(registry);
	mf_step_registry_free(NULL);
}

static void a_refusal_may_be_asked_for_without_its_reason(void **state)
{
	(void)state;
	struct mf_step_registry *registry = small_steps_registry();
	struct mf_step *step = NULL;
	assert_int_equal(mf_step_registry_create(registry, "test_set", 8, mf_value_bool(true), &step, NULL), MF_ERR_INVALID);
	assert_null(step);
	mf_step_registry_free(registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_is_freed_with_its_last_reference),
		cmocka_unit_test(types_are_found_by_their_bytes),
		cmocka_unit_test(types_are_listed_once_each_sorted),
		cmocka_unit_test(many_types_fit),
		cmocka_unit_test(a_taken_type_id_is_refused_and_the_first_keeps_working),
		cmocka_unit_test(an_incomplete_type_is_refused_by_name),
		cmocka_unit_test(a_bad_type_id_is_refused),
		cmocka_unit_test(a_type_may_know_more_than_this_library),
		cmocka_unit_test(a_frozen_registry_does_not_change),
		cmocka_unit_test(a_removed_type_is_gone_and_its_id_is_free),
		cmocka_unit_test(a_step_is_made_by_its_type),
		cmocka_unit_test(what_from_value_says_is_passed_on),
		cmocka_unit_test(f19_an_unknown_type_id_is_an_error_that_names_it),
		cmocka_unit_test(a_type_that_makes_no_step_is_a_plugin_error),
		cmocka_unit_test(every_failed_allocation_leaves_the_registry_usable),
		cmocka_unit_test(a_refusal_may_be_asked_for_without_its_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
