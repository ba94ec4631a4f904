/* Tests of the plugin text_steps: replace_text. */
#include <string.h>

#include "tests/stepfactories/steps_fixture.h"

#define NODE(text) "[{'id':'a','type':'p','attrs':{'text':'" text "'}}]"

static void text_is_replaced_in_code_points(void **state)
{
	(void)state;
	check_change(NODE("hello"), "replace_text", "{'id':'a','pos':1,'delete':3,'insert':'ipp'}", NODE("hippo"));
	check_change(NODE("aé日😀z"), "replace_text", "{'id':'a','pos':3,'delete':1,'insert':'ß'}", NODE("aé日ßz"));
	check_change(NODE("aé日😀z"), "replace_text", "{'id':'a','pos':1,'delete':3,'insert':''}", NODE("az"));
}

static void text_can_grow_at_both_ends_and_from_nothing(void **state)
{
	(void)state;
	check_change(NODE("bc"), "replace_text", "{'id':'a','pos':0,'delete':0,'insert':'a'}", NODE("abc"));
	check_change(NODE("bc"), "replace_text", "{'id':'a','pos':2,'delete':0,'insert':'d'}", NODE("bcd"));
	check_change(NODE(""), "replace_text", "{'id':'a','pos':0,'delete':0,'insert':'日本'}", NODE("日本"));
	check_change(NODE("abc"), "replace_text", "{'id':'a','pos':0,'delete':3,'insert':''}", NODE(""));
}

static void text_may_contain_a_nul_character(void **state)
{
	(void)state;
	check_change(NODE("ab"), "replace_text", "{'id':'a','pos':1,'delete':0,'insert':'\\u0000'}", NODE("a\\u0000b"));
}

static void replacing_nothing_by_nothing_changes_nothing(void **state)
{
	(void)state;
	check_change(NODE("ab"), "replace_text", "{'id':'a','pos':2,'delete':0,'insert':''}", NODE("ab"));
}

static void the_inverse_puts_back_what_was_deleted(void **state)
{
	(void)state;
	check_inverse(NODE("aé日😀z"), "replace_text", "{'id':'a','pos':1,'delete':3,'insert':'12345'}",
		      "replace_text", "{'id':'a','pos':1,'delete':5,'insert':'é日😀'}");
}

static void what_does_not_fit_the_text_is_refused(void **state)
{
	(void)state;
	check_refused(NODE("abc"), "replace_text", "{'id':'a','pos':4,'delete':0,'insert':'x'}", "");
	check_refused(NODE("abc"), "replace_text", "{'id':'a','pos':1,'delete':3,'insert':''}", "");
	check_refused(NODE("é"), "replace_text", "{'id':'a','pos':0,'delete':2,'insert':''}", "");
	check_refused(NODE("abc"), "replace_text", "{'id':'a','pos':9223372036854775807,'delete':9223372036854775807,'insert':''}", "");
	check_refused(NODE("abc"), "replace_text", "{'id':'b','pos':0,'delete':0,'insert':''}", "b");
}

static void a_node_without_a_string_called_text_is_refused(void **state)
{
	(void)state;
	check_refused("[{'id':'a','type':'p'}]", "replace_text", "{'id':'a','pos':0,'delete':0,'insert':'x'}", "text");
	check_refused("[{'id':'a','type':'p','attrs':{'text':5}}]", "replace_text", "{'id':'a','pos':0,'delete':0,'insert':'x'}", "text");
}

static void wrong_data_is_refused_and_the_member_named(void **state)
{
	(void)state;
	static const struct bad_data cases[] = {
		{"[]", "object"},
		{"{}", "id"},
		{"{'id':'a','delete':0,'insert':''}", "pos"},
		{"{'id':'a','pos':0,'insert':''}", "delete"},
		{"{'id':'a','pos':0,'delete':0}", "insert"},
		{"{'id':'a','pos':-1,'delete':0,'insert':''}", "pos"},
		{"{'id':'a','pos':0,'delete':-1,'insert':''}", "delete"},
		{"{'id':'a','pos':1.0,'delete':0,'insert':''}", "pos"},
		{"{'id':'a','pos':'0','delete':0,'insert':''}", "pos"},
		{"{'id':'a','pos':null,'delete':0,'insert':''}", "pos"},
		{"{'id':'a','pos':0,'delete':0,'insert':null}", "insert"},
		{"{'id':'','pos':0,'delete':0,'insert':''}", "id"},
		{"{'id':'a','pos':0,'delete':0,'insert':'','text':''}", "unknown member \"text\""},
	};
	check_bad_data("replace_text", cases, sizeof(cases) / sizeof(cases[0]));
}

static void f19_bad_bytes_are_an_error_never_a_crash(void **state)
{
	(void)state;
	check_hostile_bytes("replace_text", "{'id':'a','pos':200,'delete':70000,'insert':'日本'}");
	check_damaged("replace_text", "\x94\xa1\x61\xff\x00\xa0", 6); /* pos -1 */
	check_damaged("replace_text", "\x94\xa1\x61\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x00\xa0", 14); /* pos UINT64_MAX */
	check_damaged("replace_text", "\x94\xa1\x61\x00\x00\x01", 6); /* insert is a number */
	check_damaged("replace_text", "\x94\xa1\x61\x00\x00\xa1\xff", 7); /* insert is not UTF-8 */
	check_damaged("replace_text", "\x94\xa0\x00\x00\xa0", 5); /* empty id */
}

static void the_stored_form_is_compact(void **state)
{
	(void)state;
	struct mf_step *step = step_of("replace_text", "{'id':'a','pos':3,'delete':0,'insert':'x'}");
	struct mf_buffer bytes = {0};
	assert_int_equal(step->type->encode(step, &bytes), MF_OK);
	assert_int_equal(bytes.len, 7);
	assert_memory_equal(bytes.bytes, "\x94\xa1\x61\x03\x00\xa1\x78", 7);
	mf_buffer_deinit(&bytes);
	mf_step_unref(step);
}

static void running_out_of_memory_changes_nothing(void **state)
{
	(void)state;
	check_out_of_memory(NODE("hello"), "replace_text", "{'id':'a','pos':1,'delete':3,'insert':'日本'}");
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
		cmocka_unit_test(text_is_replaced_in_code_points),
		cmocka_unit_test(text_can_grow_at_both_ends_and_from_nothing),
		cmocka_unit_test(text_may_contain_a_nul_character),
		cmocka_unit_test(replacing_nothing_by_nothing_changes_nothing),
		cmocka_unit_test(the_inverse_puts_back_what_was_deleted),
		cmocka_unit_test(what_does_not_fit_the_text_is_refused),
		cmocka_unit_test(a_node_without_a_string_called_text_is_refused),
		cmocka_unit_test(wrong_data_is_refused_and_the_member_named),
		cmocka_unit_test(f19_bad_bytes_are_an_error_never_a_crash),
		cmocka_unit_test(the_stored_form_is_compact),
		cmocka_unit_test(running_out_of_memory_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, tear_down);
}
