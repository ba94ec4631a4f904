/* Tests of the plugin mark_steps: add_mark and remove_mark. */
#include <string.h>

#include "tests/stepfactories/steps_fixture.h"

#define PLAIN "[{'id':'a','type':'p'}]"
#define MARKED(marks) "[{'id':'a','type':'p','marks':[" marks "]}]"

static void a_mark_is_added(void **state)
{
	(void)state;
	check_change(PLAIN, "add_mark", "{'id':'a','mark':{'type':'bold'}}", MARKED("{'type':'bold','attrs':{}}"));
	check_change(PLAIN, "add_mark", "{'id':'a','mark':{'type':'link','attrs':{'href':'x'}}}", MARKED("{'type':'link','attrs':{'href':'x'}}"));
}

static void the_root_can_be_marked(void **state)
{
	(void)state;
	struct mf_doc *doc = doc_of(NULL);
	struct mf_step *step = step_of("add_mark", "{'id':'root','mark':{'type':'bold'}}"), *inverse;
	struct mf_doc *after = applied(doc, step, &inverse);
	assert_non_null(mf_node_mark(mf_doc_root(after), "bold", 4));
	mf_step_unref(inverse);
	mf_step_unref(step);
	mf_doc_unref(after);
	mf_doc_unref(doc);
}

static void marks_are_a_set_sorted_by_type(void **state)
{
	(void)state;
	check_change(MARKED("{'type':'a'},{'type':'c'}"), "add_mark", "{'id':'a','mark':{'type':'b'}}", MARKED("{'type':'a'},{'type':'b'},{'type':'c'}"));
}

static void adding_replaces_the_mark_of_that_type(void **state)
{
	(void)state;
	check_change(MARKED("{'type':'link','attrs':{'href':'x','t':1}}"), "add_mark", "{'id':'a','mark':{'type':'link','attrs':{'href':'y'}}}",
		     MARKED("{'type':'link','attrs':{'href':'y'}}"));
}

static void the_inverse_of_replacing_adds_the_old_mark(void **state)
{
	(void)state;
	check_inverse(MARKED("{'type':'link','attrs':{'href':'x'}}"), "add_mark", "{'id':'a','mark':{'type':'link'}}",
		      "add_mark", "{'id':'a','mark':{'type':'link','attrs':{'href':'x'}}}");
	check_inverse(MARKED("{'type':'bold'}"), "add_mark", "{'id':'a','mark':{'type':'bold','attrs':{'w':700}}}",
		      "add_mark", "{'id':'a','mark':{'type':'bold'}}");
}

static void the_inverse_of_a_new_mark_removes_it(void **state)
{
	(void)state;
	check_inverse(PLAIN, "add_mark", "{'id':'a','mark':{'type':'bold'}}", "remove_mark", "{'id':'a','type':'bold'}");
}

static void a_mark_is_removed(void **state)
{
	(void)state;
	check_change(MARKED("{'type':'a'},{'type':'b','attrs':{'k':[1,2.5,null]}}"), "remove_mark", "{'id':'a','type':'b'}", MARKED("{'type':'a'}"));
	check_inverse(MARKED("{'type':'b','attrs':{'k':1}}"), "remove_mark", "{'id':'a','type':'b'}", "add_mark", "{'id':'a','mark':{'type':'b','attrs':{'k':1}}}");
}

static void removing_an_absent_mark_changes_nothing(void **state)
{
	(void)state;
	check_change(MARKED("{'type':'a'}"), "remove_mark", "{'id':'a','type':'b'}", MARKED("{'type':'a'}"));
	check_inverse(PLAIN, "remove_mark", "{'id':'a','type':'b'}", "remove_mark", "{'id':'a','type':'b'}");
}

static void a_missing_node_is_refused(void **state)
{
	(void)state;
	check_refused(PLAIN, "add_mark", "{'id':'zz','mark':{'type':'b'}}", "zz");
	check_refused(PLAIN, "remove_mark", "{'id':'zz','type':'b'}", "zz");
}

static void absent_attributes_and_empty_ones_are_the_same_step(void **state)
{
	(void)state;
	struct mf_step *absent = step_of("add_mark", "{'id':'a','mark':{'type':'b'}}");
	struct mf_step *empty = step_of("add_mark", "{'id':'a','mark':{'type':'b','attrs':{}}}");
	struct mf_buffer bytes = {0}, bytes_of_empty = {0};
	assert_int_equal(absent->type->encode(absent, &bytes), MF_OK);
	assert_int_equal(empty->type->encode(empty, &bytes_of_empty), MF_OK);
	assert_int_equal(bytes.len, bytes_of_empty.len);
	assert_memory_equal(bytes.bytes, bytes_of_empty.bytes, bytes.len);
	assert_int_equal(bytes.len, 7);
	mf_buffer_deinit(&bytes);
	mf_buffer_deinit(&bytes_of_empty);
	mf_step_unref(absent);
	mf_step_unref(empty);
}

static void wrong_data_is_refused_and_the_member_named(void **state)
{
	(void)state;
	static const struct bad_data add[] = {
		{"'x'", "object"},
		{"{'mark':{'type':'b'}}", "id"},
		{"{'id':'a'}", "mark"},
		{"{'id':7,'mark':{'type':'b'}}", "id"},
		{"{'id':'a','mark':'b'}", "mark"},
		{"{'id':'a','mark':{}}", "type"},
		{"{'id':'a','mark':{'type':''}}", "type"},
		{"{'id':'a','mark':{'type':null}}", "type"},
		{"{'id':'a','mark':{'type':'b','attrs':[]}}", "attrs"},
		{"{'id':'a','mark':{'type':'b','attrs':null}}", "attrs"},
		{"{'id':'a','mark':{'type':'b','attr':{}}}", "unknown member \"attr\""},
		{"{'id':'a','mark':{'type':'b'},'type':'b'}", "unknown member \"type\""},
	};
	check_bad_data("add_mark", add, sizeof(add) / sizeof(add[0]));
	static const struct bad_data removal[] = {
		{"{'id':'a'}", "type"},
		{"{'id':'a','type':'x\\u0000'}", "type"},
		{"{'id':'a','mark':{'type':'b'}}", "unknown member \"mark\""},
	};
	check_bad_data("remove_mark", removal, sizeof(removal) / sizeof(removal[0]));
}

static void f19_bad_bytes_are_an_error_never_a_crash(void **state)
{
	(void)state;
	check_hostile_bytes("add_mark", "{'id':'a','mark':{'type':'link','attrs':{'k':[1,-1,2.5,true,null,{'z':'日'}]}}}");
	check_hostile_bytes("remove_mark", "{'id':'a','type':'b'}");
	check_damaged("add_mark", "\x92\xa1\x61\x93\xa1\x62\x80\x80", 8); /* a mark of three */
	check_damaged("add_mark", "\x92\xa1\x61\x92\xa1\x62\xc0", 7);	  /* attributes nil */
	check_damaged("add_mark", "\x92\xa1\x61\x92\xa0\x80", 6);	  /* empty type */
	check_damaged("remove_mark", "\x92\xa1\x61\xa1\x00", 5);	  /* U+0000 in the type */
	check_damaged("remove_mark", "\x91\xa1\x61", 3);
}

static void running_out_of_memory_changes_nothing(void **state)
{
	(void)state;
	check_out_of_memory(MARKED("{'type':'b','attrs':{'k':1}}"), "add_mark", "{'id':'a','mark':{'type':'b','attrs':{'k':2}}}");
	check_out_of_memory(PLAIN, "add_mark", "{'id':'a','mark':{'type':'b'}}");
	check_out_of_memory(MARKED("{'type':'b','attrs':{'k':1}}"), "remove_mark", "{'id':'a','type':'b'}");
}

static int tear_down(void **state)
{
	(void)state;
	builtin_steps_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mark_is_added),
		cmocka_unit_test(the_root_can_be_marked),
		cmocka_unit_test(marks_are_a_set_sorted_by_type),
		cmocka_unit_test(adding_replaces_the_mark_of_that_type),
		cmocka_unit_test(the_inverse_of_replacing_adds_the_old_mark),
		cmocka_unit_test(the_inverse_of_a_new_mark_removes_it),
		cmocka_unit_test(a_mark_is_removed),
		cmocka_unit_test(removing_an_absent_mark_changes_nothing),
		cmocka_unit_test(a_missing_node_is_refused),
		cmocka_unit_test(absent_attributes_and_empty_ones_are_the_same_step),
		cmocka_unit_test(wrong_data_is_refused_and_the_member_named),
		cmocka_unit_test(f19_bad_bytes_are_an_error_never_a_crash),
		cmocka_unit_test(running_out_of_memory_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, tear_down);
}
