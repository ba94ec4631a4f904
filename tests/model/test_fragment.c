/* Fragments: from JSON values and back, and the builder that trusts nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "doc_fixture.h"
#include "model/fragment.h"
#include "model/mem.h"

#define FULL \
	"{\"attrs\":{\"k\":1},\"children\":[{\"attrs\":{},\"children\":[],\"id\":\"b\",\"marks\":[],\"type\":\"p\"}],\"id\":\"a\"," \
	"\"marks\":[{\"attrs\":{\"w\":2},\"type\":\"bold\"},{\"attrs\":{},\"type\":\"em\"}],\"type\":\"sec\"}"

static void a_fragment_is_read_from_and_written_to_json(void **state)
{
	(void)state;
	struct mf_fragment *fragment =
		fragment_of("{'type':'sec','id':'a','children':[{'id':'b','type':'p'}],'marks':[{'type':'em'},{'type':'bold','attrs':{'w':2}}],'attrs':{'k':1}}");
	struct mf_value *value = NULL;
	char *text = NULL;
	size_t len;
	assert_int_equal(mf_fragment_node_count(fragment), 2);
	assert_string_equal(mf_fragment_id(fragment, &len), "a");
	assert_int_equal(len, 1);
	assert_int_equal(fragment->height, 2);
	assert_int_equal(mf_fragment_node(fragment, 0)->child_count, 1);
	assert_int_equal(mf_fragment_to_value(fragment, &value), MF_OK);
	assert_int_equal(mf_value_to_json(value, &text, &len), MF_OK);
	assert_string_equal(text, FULL);
	mf_free(text);
	mf_value_unref(value);
	mf_fragment_unref(mf_fragment_ref(fragment));
	mf_fragment_unref(fragment);
	mf_fragment_unref(NULL);
}

struct bad {
	const char *json;
	const char *named; /* must be in the message */
};

static void wrong_json_is_refused_and_member_and_node_named(void **state)
{
	(void)state;
	static const struct bad cases[] = {
		{"[]", "object"},
		{"{'type':'p'}", "\"id\""},
		{"{'id':'a'}", "node \"a\": a node lacks \"type\""},
		{"{'id':1,'type':'p'}", "\"id\""},
		{"{'id':'a','type':null}", "\"type\""},
		{"{'id':'','type':'p'}", "node id is 0 bytes"},
		{"{'id':'a','type':''}", "node \"a\": type is 0 bytes"},
		{"{'id':'a\\u0000b','type':'p'}", "U+0000"},
		{"{'id':'a','type':'p\\u0000'}", "node \"a\""},
		{"{'id':'a','type':'p','attr':{}}", "node \"a\": a node has no member \"attr\""},
		{"{'id':'a','type':'p','attrs':[]}", "\"attrs\""},
		{"{'id':'a','type':'p','attrs':null}", "\"attrs\""},
		{"{'id':'a','type':'p','marks':{}}", "\"marks\""},
		{"{'id':'a','type':'p','marks':[1]}", "mark"},
		{"{'id':'a','type':'p','marks':[{}]}", "\"type\" of a mark"},
		{"{'id':'a','type':'p','marks':[{'type':1}]}", "\"type\" of a mark"},
		{"{'id':'a','type':'p','marks':[{'type':''}]}", "mark type is 0 bytes"},
		{"{'id':'a','type':'p','marks':[{'type':'m','attrs':1}]}", "mark \"m\""},
		{"{'id':'a','type':'p','marks':[{'type':'m','more':{}}]}", "other members"},
		{"{'id':'a','type':'p','marks':[{'type':'m'},{'type':'m'}]}", "node \"a\": mark \"m\" occurs twice"},
		{"{'id':'a','type':'p','children':{}}", "\"children\""},
		{"{'id':'a','type':'p','children':[7]}", "object"},
		{"{'id':'a','type':'p','children':[{'id':'b','type':'p'},{'id':'a','type':'p'}]}", "\"a\" occurs twice"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mf_fragment *fragment = NULL;
		struct mf_error error = {0};
		struct mf_value *value = value_of(cases[i].json);
		assert_int_equal(mf_fragment_from_value(value, &fragment, &error), MF_ERR_INVALID);
		if (!strstr(error.message, cases[i].named))
			fail_msg("%s: \"%s\" does not name %s", cases[i].json, error.message, cases[i].named);
		assert_null(fragment);
		mf_value_unref(value);
	}
}

static struct mf_value *string_of(size_t len)
{
	struct mf_value *value;
	char *bytes = malloc(len);
	memset(bytes, 'x', len);
	assert_int_equal(mf_value_new_string(bytes, len, &value, NULL), MF_OK);
	free(bytes);
	return value;
}

static enum mf_status read_with_id_of(size_t len)
{
	struct mf_fragment *fragment = NULL;
	struct mf_value *value, *type;
	assert_int_equal(mf_value_new_string("p", 1, &type, NULL), MF_OK);
	struct mf_member members[] = {{"id", 2, string_of(len)}, {"type", 4, type}};
	assert_int_equal(mf_value_new_object_take(members, 2, &value, NULL), MF_OK);
	enum mf_status status = mf_fragment_from_value(value, &fragment, NULL);
	mf_value_unref(value);
	mf_fragment_unref(fragment);
	return status;
}

static void an_id_has_at_most_1024_bytes(void **state)
{
	(void)state;
	assert_int_equal(read_with_id_of(1024), MF_OK);
	assert_int_equal(read_with_id_of(1025), MF_ERR_INVALID);
	assert_int_equal(read_with_id_of(1000000), MF_ERR_INVALID);
}

/* ---- the builder ---- */

static enum mf_status open_numbered(struct mf_fragment_builder *builder, unsigned number, struct mf_error *error)
{
	char bytes[16];
	const struct mf_bytes type = {"p", 1};
	const struct mf_bytes id = {bytes, (size_t)snprintf(bytes, sizeof(bytes), "n%u", number)};
	return mf_fragment_builder_open(builder, &id, &type, error);
}

static void a_fragment_is_at_most_64_deep(void **state)
{
	(void)state;
	struct mf_fragment_builder builder;
	struct mf_fragment *fragment = NULL;
	struct mf_error error = {0};
	mf_fragment_builder_init(&builder);
	for (unsigned i = 0; i < MF_DEPTH_MAX; i++)
		assert_int_equal(open_numbered(&builder, i, NULL), MF_OK);
	assert_int_equal(open_numbered(&builder, 64, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "n64"));
	for (unsigned i = 0; i < MF_DEPTH_MAX; i++)
		mf_fragment_builder_close(&builder);
	assert_int_equal(mf_fragment_builder_finish(&builder, &fragment, NULL), MF_OK);
	assert_int_equal(fragment->height, MF_DEPTH_MAX);
	mf_fragment_builder_deinit(&builder);
	mf_fragment_unref(fragment);
}

static void an_incomplete_fragment_cannot_be_finished(void **state)
{
	(void)state;
	struct mf_fragment_builder builder;
	struct mf_fragment *fragment = NULL;
	mf_fragment_builder_init(&builder);
	assert_int_equal(mf_fragment_builder_finish(&builder, &fragment, NULL), MF_ERR_INVALID);
	assert_int_equal(open_numbered(&builder, 0, NULL), MF_OK);
	assert_int_equal(mf_fragment_builder_finish(&builder, &fragment, NULL), MF_ERR_INVALID);
	mf_fragment_builder_close(&builder);
	assert_int_equal(open_numbered(&builder, 1, NULL), MF_ERR_INVALID); /* a second top */
	assert_int_equal(mf_fragment_builder_finish(&builder, &fragment, NULL), MF_OK);
	mf_fragment_builder_deinit(&builder);
	mf_fragment_unref(fragment);
}

static void bytes_that_are_not_text_are_refused(void **state)
{
	(void)state;
	struct mf_fragment_builder builder;
	struct mf_value *number;
	const struct mf_bytes bad = {"\xff\xfe", 2}, good = {"a", 1};
	assert_int_equal(mf_value_new_int(1, &number), MF_OK);
	mf_fragment_builder_init(&builder);
	assert_int_equal(mf_fragment_builder_open(&builder, &bad, &good, NULL), MF_ERR_INVALID);
	assert_int_equal(mf_fragment_builder_open(&builder, &good, &bad, NULL), MF_ERR_INVALID);
	assert_int_equal(mf_fragment_builder_open(&builder, &good, &good, NULL), MF_OK);
	assert_int_equal(mf_fragment_builder_attr(&builder, "\xc0\x80", 2, number, NULL), MF_ERR_INVALID);
	assert_int_equal(mf_fragment_builder_attr(&builder, "a\0b", 3, number, NULL), MF_ERR_INVALID);
	assert_int_equal(mf_fragment_builder_attr(&builder, "k", 1, number, NULL), MF_OK);
	assert_int_equal(mf_fragment_builder_attr(&builder, "k", 1, number, NULL), MF_ERR_INVALID);
	assert_int_equal(mf_fragment_builder_mark(&builder, "m", 1, number, NULL), MF_ERR_INVALID);
	mf_fragment_builder_deinit(&builder);
	mf_value_unref(number);
}

static void many_ids_are_all_told_apart(void **state)
{
	(void)state;
	struct mf_fragment_builder builder;
	struct mf_fragment *fragment = NULL;
	mf_fragment_builder_init(&builder);
	assert_int_equal(open_numbered(&builder, 0, NULL), MF_OK);
	for (unsigned i = 1; i < 5000; i++) {
		assert_int_equal(open_numbered(&builder, i, NULL), MF_OK);
		mf_fragment_builder_close(&builder);
		assert_int_equal(open_numbered(&builder, i * 7 % (i + 1), NULL), MF_ERR_INVALID);
	}
	mf_fragment_builder_close(&builder);
	assert_int_equal(mf_fragment_builder_finish(&builder, &fragment, NULL), MF_OK);
	assert_int_equal(mf_fragment_node_count(fragment), 5000);
	mf_fragment_builder_deinit(&builder);
	mf_fragment_unref(fragment);
}

static void running_out_of_memory_leaves_nothing_behind(void **state)
{
	(void)state;
	struct mf_value *value = value_of(FULL), *back = NULL;
	struct mf_fragment *fragment = NULL;
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 0;
	while (status) {
		mf_tree_trim();
		mf_mem_fail_at(++n, false);
		status = mf_fragment_from_value(value, &fragment, NULL);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && !fragment));
	}
	assert_true(n > 10);
	for (n = 0, status = MF_ERR_NO_MEMORY; status;) {
		mf_mem_fail_at(++n, false);
		status = mf_fragment_to_value(fragment, &back);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && !back));
	}
	assert_true(n > 10);
	assert_true(mf_value_equal(value, back));
	mf_value_unref(value);
	mf_value_unref(back);
	mf_fragment_unref(fragment);
}

static void a_node_is_not_named_by_an_id_that_is_too_long(void **state)
{
	(void)state;
	struct mf_fragment *fragment = NULL;
	struct mf_error error = {0};
	struct mf_value *value;
	for (size_t len = MF_ID_MAX; len <= MF_ID_MAX + 1; len++) {
		struct mf_member members[] = {{"id", 2, string_of(len)}};
		assert_int_equal(mf_value_new_object_take(members, 1, &value, NULL), MF_OK);
		assert_int_equal(mf_fragment_from_value(value, &fragment, &error), MF_ERR_INVALID);
		assert_int_equal(strstr(error.message, "node \"xxxx") != NULL, len <= MF_ID_MAX);
		assert_non_null(strstr(error.message, "lacks \"type\""));
		mf_value_unref(value);
	}
}

static void a_mark_without_attributes_needs_memory_too(void **state)
{
	(void)state;
	struct mf_value *value = value_of("{'id':'a','type':'p','marks':[{'type':'m'}]}");
	struct mf_fragment *fragment = NULL;
	enum mf_status status = MF_ERR_NO_MEMORY;
	for (uint64_t n = 1; status != MF_OK; n++) {
		mf_tree_trim();
		mf_mem_fail_at(n, false);
		status = mf_fragment_from_value(value, &fragment, NULL);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && !fragment));
	}
	assert_int_equal(mf_fragment_node_count(fragment), 1);
	mf_fragment_unref(fragment);
	mf_value_unref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fragment_is_read_from_and_written_to_json),
		cmocka_unit_test(wrong_json_is_refused_and_member_and_node_named),
		cmocka_unit_test(an_id_has_at_most_1024_bytes),
		cmocka_unit_test(a_fragment_is_at_most_64_deep),
		cmocka_unit_test(an_incomplete_fragment_cannot_be_finished),
		cmocka_unit_test(bytes_that_are_not_text_are_refused),
		cmocka_unit_test(many_ids_are_all_told_apart),
		cmocka_unit_test(running_out_of_memory_leaves_nothing_behind),
		cmocka_unit_test(a_node_is_not_named_by_an_id_that_is_too_long),
		cmocka_unit_test(a_mark_without_attributes_needs_memory_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
