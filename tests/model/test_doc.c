/* Documents: what can be asked of them, and their way to fragments and back. */
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

#define EMPTY "{'attrs':{},'children':[],'id':'root','marks':[],'type':'doc'}"
#define FAMILY \
	"{'id':'a','type':'sec','attrs':{'k':1,'':null,'long key of more than eight bytes':[1]},'marks':[{'type':'z'},{'type':'b','attrs':{'w':2}}]," \
	"'children':[{'id':'b','type':'p','children':[{'id':'d','type':'p'}]},{'id':'c','type':'p','attrs':{'text':'x'}}]}"

static void a_new_document_is_the_root_alone(void **state)
{
	(void)state;
	struct mf_doc *doc = empty_doc();
	const struct mf_node *root = mf_doc_root(doc);
	size_t len;
	assert_int_equal(mf_doc_node_count(doc), 1);
	assert_ptr_equal(find(doc, "root"), root);
	assert_string_equal(mf_node_id(root, &len), "root");
	assert_int_equal(len, 4);
	assert_string_equal(mf_node_type(root, NULL), "doc");
	assert_null(mf_doc_parent(doc, root));
	assert_null(mf_doc_child(doc, root, 0));
	assert_int_equal(mf_doc_index(doc, root), 0);
	assert_int_equal(mf_node_child_count(root) + mf_node_attr_count(root) + mf_node_mark_count(root), 0);
	assert_null(find(doc, "nobody"));
	assert_null(mf_doc_find(doc, "", 0));
	assert_dump(doc, EMPTY);
	mf_doc_unref(doc);
	mf_doc_unref(NULL);
}

static bool collect_id(void *user, const struct mf_node *child)
{
	strcat(user, mf_node_id(child, NULL));
	return strcmp(mf_node_id(child, NULL), "stop") != 0;
}

static void nodes_know_their_parent_and_children(void **state)
{
	(void)state;
	struct mf_doc *doc = doc_of(FAMILY);
	const struct mf_node *a = find(doc, "a"), *b = find(doc, "b"), *c = find(doc, "c");
	char ids[16] = "";
	assert_int_equal(mf_doc_node_count(doc), 5);
	assert_ptr_equal(mf_doc_child(doc, mf_doc_root(doc), 0), a);
	assert_ptr_equal(mf_doc_child(doc, a, 0), b);
	assert_ptr_equal(mf_doc_child(doc, a, 1), c);
	assert_null(mf_doc_child(doc, a, 2));
	assert_null(mf_doc_child(doc, a, SIZE_MAX));
	assert_ptr_equal(mf_doc_parent(doc, b), a);
	assert_int_equal(mf_doc_index(doc, b), 0);
	assert_int_equal(mf_doc_index(doc, c), 1);
	assert_int_equal(mf_node_child_count(a), 2);
	mf_doc_children(doc, a, collect_id, ids);
	assert_string_equal(ids, "bc");
	mf_doc_unref(doc);
}

static void visiting_children_stops_when_told(void **state)
{
	(void)state;
	struct mf_doc *empty = empty_doc();
	struct mf_edit *edit = edit_of(empty);
	char ids[64] = "";
	insert_leaf(edit, "root", MF_APPEND, "go");
	insert_leaf(edit, "root", MF_APPEND, "stop");
	insert_leaf(edit, "root", MF_APPEND, "never");
	mf_doc_children(mf_edit_doc(edit), mf_doc_root(mf_edit_doc(edit)), collect_id, ids);
	assert_string_equal(ids, "gostop");
	mf_edit_drop(edit);
	mf_doc_unref(empty);
}

static bool collect_key(void *user, const char *key, size_t key_len, const struct mf_value *value)
{
	assert_non_null(value);
	assert_int_equal(strlen(key), key_len);
	strcat(strcat(user, key), ";");
	return strcmp(key, "k") != 0;
}

static void attributes_and_marks_come_in_key_order(void **state)
{
	(void)state;
	struct mf_doc *doc = doc_of(FAMILY);
	const struct mf_node *a = find(doc, "a");
	char keys[128] = "", types[128] = "";
	assert_int_equal(mf_node_attr_count(a), 3);
	assert_int_equal(mf_node_mark_count(a), 2);
	mf_node_attrs(a, collect_key, keys);
	assert_string_equal(keys, ";k;"); /* stops at k */
	mf_node_marks(a, collect_key, types);
	assert_string_equal(types, "b;z;");
	assert_int_equal(mf_value_as_int(mf_node_attr(a, "k", 1)), 1);
	assert_int_equal(mf_value_kind(mf_node_attr(a, "", 0)), MF_VALUE_NULL);
	assert_null(mf_node_attr(a, "long key", 8));
	assert_int_equal(mf_value_as_int(mf_value_get(mf_node_mark(a, "b", 1), "w")), 2);
	assert_int_equal(mf_value_count(mf_node_mark(a, "z", 1)), 0);
	assert_null(mf_node_mark(a, "k", 1));
	mf_doc_unref(doc);
}

static void a_document_becomes_a_fragment_and_back(void **state)
{
	(void)state;
	struct mf_doc *doc = doc_of(FAMILY), *back = NULL;
	struct mf_fragment *fragment = NULL;
	assert_int_equal(mf_fragment_from_doc(doc, &fragment), MF_OK);
	assert_int_equal(mf_fragment_node_count(fragment), 5);
	assert_int_equal(fragment->height, 4);
	assert_int_equal(mf_doc_from_fragment(fragment, &back, NULL), MF_OK);
	char *one = dump(doc), *two = dump(back);
	assert_string_equal(one, two);
	mf_free(one);
	mf_free(two);
	assert_int_equal(mf_doc_index(back, find(back, "c")), 1);
	assert_string_equal(mf_node_id(mf_doc_parent(back, find(back, "d")), NULL), "b");
	mf_fragment_unref(fragment);
	mf_doc_unref(doc);
	mf_doc_unref(back);
}

static void a_document_from_a_fragment_can_be_edited(void **state)
{
	(void)state;
	struct mf_doc *doc = doc_of(FAMILY), *back = NULL;
	struct mf_fragment *fragment = NULL;
	assert_int_equal(mf_fragment_from_doc(doc, &fragment), MF_OK);
	assert_int_equal(mf_doc_from_fragment(fragment, &back, NULL), MF_OK);
	struct mf_edit *edit = edit_of(back);
	assert_int_equal(mf_edit_move(edit, "d", 1, "a", 1, 1, NULL, NULL, NULL), MF_OK);
	insert_leaf(edit, "a", 0, "e");
	assert_int_equal(mf_edit_remove(edit, "b", 1, NULL, NULL, NULL, NULL), MF_OK);
	char ids[16] = "";
	mf_doc_children(mf_edit_doc(edit), find(mf_edit_doc(edit), "a"), collect_id, ids);
	assert_string_equal(ids, "edc");
	mf_edit_drop(edit);
	mf_fragment_unref(fragment);
	mf_doc_unref(doc);
	mf_doc_unref(back);
}

static void only_the_root_node_makes_a_document(void **state)
{
	(void)state;
	static const char *const tops[] = {"{'id':'a','type':'doc'}", "{'id':'root','type':'p'}"};
	for (size_t i = 0; i < 2; i++) {
		struct mf_doc *doc = NULL;
		struct mf_error error = {0};
		struct mf_fragment *fragment = fragment_of(tops[i]);
		assert_int_equal(mf_doc_from_fragment(fragment, &doc, &error), MF_ERR_INVALID);
		assert_non_null(strstr(error.message, "root"));
		assert_null(doc);
		mf_fragment_unref(fragment);
	}
}

static void a_document_without_memory_is_an_error(void **state)
{
	(void)state;
	struct mf_doc *doc = NULL;
	enum mf_status status = MF_ERR_NO_MEMORY;
	for (uint64_t n = 1; status; n++) {
		mf_tree_trim();
		mf_mem_fail_at(n, false);
		status = mf_doc_new(&doc);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && !doc && n < 20));
	}
	mf_doc_unref(doc);
}

static void converting_without_memory_is_an_error(void **state)
{
	(void)state;
	struct mf_doc *doc = doc_of(FAMILY), *back = NULL;
	struct mf_fragment *fragment = NULL;
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 0;
	while (status) {
		mf_mem_fail_at(++n, false);
		status = mf_fragment_from_doc(doc, &fragment);
		mf_mem_fail_at(0, false);
	}
	assert_true(n > 1);
	for (n = 0, status = MF_ERR_NO_MEMORY; status;) {
		mf_tree_trim();
		mf_mem_fail_at(++n, false);
		status = mf_doc_from_fragment(fragment, &back, NULL);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || status == MF_ERR_NO_MEMORY);
	}
	assert_true(n > 5);
	assert_int_equal(mf_doc_node_count(back), 5);
	mf_fragment_unref(fragment);
	mf_doc_unref(doc);
	mf_doc_unref(back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_document_is_the_root_alone),
		cmocka_unit_test(nodes_know_their_parent_and_children),
		cmocka_unit_test(visiting_children_stops_when_told),
		cmocka_unit_test(attributes_and_marks_come_in_key_order),
		cmocka_unit_test(a_document_becomes_a_fragment_and_back),
		cmocka_unit_test(a_document_from_a_fragment_can_be_edited),
		cmocka_unit_test(only_the_root_node_makes_a_document),
		cmocka_unit_test(a_document_without_memory_is_an_error),
		cmocka_unit_test(converting_without_memory_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
