/* Edits, one at a time: what they change, what they give back, what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/node.h"
#include "doc_fixture.h"
#include "model/mem.h"
#include "model/tree.h"

#define LEAF(id) "{'attrs':{},'children':[],'id':'" id "','marks':[],'type':'p'}"
#define ROOT(children) "{'attrs':{},'children':[" children "],'id':'root','marks':[],'type':'doc'}"

static struct mf_edit *edit_of_abc(void)
{
	struct mf_doc *doc = empty_doc();
	struct mf_edit *edit = edit_of(doc);
	mf_doc_unref(doc);
	insert_leaf(edit, "root", MF_APPEND, "a");
	insert_leaf(edit, "root", MF_APPEND, "b");
	insert_leaf(edit, "root", MF_APPEND, "c");
	return edit;
}

static void assert_refused(enum mf_status status, const struct mf_error *error, const char *named)
{
	assert_int_equal(status, MF_ERR_INVALID);
	assert_int_equal(error->status, MF_ERR_INVALID);
	if (!strstr(error->message, named))
		fail_msg("\"%s\" does not name %s", error->message, named);
}

/* ---- insert ---- */

static void nodes_are_inserted_at_any_index(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	insert_leaf(edit, "root", 0, "first");
	insert_leaf(edit, "root", 4, "last");
	insert_leaf(edit, "root", 2, "mid");
	insert(edit, "b", MF_APPEND, "{'id':'x','type':'p','children':[{'id':'y','type':'p'},{'id':'z','type':'p'}]}");
	assert_dump(mf_edit_doc(edit), ROOT(LEAF("first") "," LEAF("a") "," LEAF("mid") ",{'attrs':{},'children':["
					    "{'attrs':{},'children':[" LEAF("y") "," LEAF("z") "],'id':'x','marks':[],'type':'p'}"
					    "],'id':'b','marks':[],'type':'p'}," LEAF("c") "," LEAF("last")));
	mf_edit_drop(edit);
}

static void an_insert_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_error error = {0};
	char *before = dump(mf_edit_doc(edit));
	struct mf_fragment *new_node = fragment_of("{'id':'new','type':'p'}");
	struct mf_fragment *taken = fragment_of("{'id':'new','type':'p','children':[{'id':'b','type':'p'}]}");
	struct mf_fragment *root = fragment_of("{'id':'root','type':'doc'}");
	assert_refused(mf_edit_insert(edit, "nobody", 6, 0, new_node, &error), &error, "\"nobody\"");
	assert_refused(mf_edit_insert(edit, "\xff", 1, 0, new_node, &error), &error, "no node");
	assert_refused(mf_edit_insert(edit, "root", 4, 4, new_node, &error), &error, "index 4 is out of range");
	assert_refused(mf_edit_insert(edit, "a", 1, SIZE_MAX - 1, new_node, &error), &error, "out of range");
	assert_refused(mf_edit_insert(edit, "root", 4, 0, taken, &error), &error, "\"b\"");
	assert_refused(mf_edit_insert(edit, "a", 1, 0, root, &error), &error, "\"root\"");
	assert_int_equal(mf_edit_insert(edit, "nobody", 6, 0, new_node, NULL), MF_ERR_INVALID);
	assert_dump(mf_edit_doc(edit), before);
	mf_free(before);
	mf_fragment_unref(new_node);
	mf_fragment_unref(taken);
	mf_fragment_unref(root);
	mf_edit_drop(edit);
}

/* ---- remove ---- */

static void a_removed_subtree_is_handed_out_and_fits_back(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	insert(edit, "b", MF_APPEND, "{'id':'x','type':'p','attrs':{'k':1},'marks':[{'type':'m'}],'children':[{'id':'y','type':'p'}]}");
	char *before = dump(mf_edit_doc(edit));
	struct mf_fragment *fragment = NULL;
	struct mf_value *parent = NULL;
	size_t index = 99;
	assert_int_equal(mf_edit_remove(edit, "b", 1, &fragment, &parent, &index, NULL), MF_OK);
	assert_dump(mf_edit_doc(edit), ROOT(LEAF("a") "," LEAF("c")));
	assert_int_equal(mf_doc_node_count(mf_edit_doc(edit)), 3);
	assert_null(find(mf_edit_doc(edit), "y"));
	assert_int_equal(index, 1);
	assert_string_equal(mf_value_string_flat(parent), "root");
	assert_int_equal(mf_fragment_node_count(fragment), 3);
	assert_int_equal(mf_edit_insert(edit, "root", 4, index, fragment, NULL), MF_OK);
	assert_dump(mf_edit_doc(edit), before);
	assert_int_equal(mf_edit_remove(edit, "b", 1, NULL, NULL, NULL, NULL), MF_OK);
	mf_free(before);
	mf_value_unref(parent);
	mf_fragment_unref(fragment);
	mf_edit_drop(edit);
}

static void neither_the_root_nor_a_missing_node_can_be_removed(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_error error = {0};
	struct mf_fragment *fragment = NULL;
	assert_refused(mf_edit_remove(edit, "root", 4, &fragment, NULL, NULL, &error), &error, "root");
	assert_refused(mf_edit_remove(edit, "zz", 2, &fragment, NULL, NULL, &error), &error, "\"zz\"");
	assert_null(fragment);
	assert_dump(mf_edit_doc(edit), ROOT(LEAF("a") "," LEAF("b") "," LEAF("c")));
	mf_edit_drop(edit);
}

/* ---- move ---- */

static void the_index_of_a_move_counts_without_the_moved_node(void **state)
{
	(void)state;
	static const struct {
		size_t index;
		const char *after;
	} cases[] = {
		{0, ROOT(LEAF("a") "," LEAF("b") "," LEAF("c"))},
		{1, ROOT(LEAF("b") "," LEAF("a") "," LEAF("c"))},
		{2, ROOT(LEAF("b") "," LEAF("c") "," LEAF("a"))},
		{MF_APPEND, ROOT(LEAF("b") "," LEAF("c") "," LEAF("a"))},
	};
	for (size_t i = 0; i < 4; i++) {
		struct mf_edit *edit = edit_of_abc();
		struct mf_value *parent = NULL;
		size_t index = 99;
		assert_int_equal(mf_edit_move(edit, "a", 1, "root", 4, cases[i].index, &parent, &index, NULL), MF_OK);
		assert_dump(mf_edit_doc(edit), cases[i].after);
		assert_string_equal(mf_value_string_flat(parent), "root");
		assert_int_equal(index, 0);
		mf_value_unref(parent);
		mf_edit_drop(edit);
	}
}

static void a_node_moves_with_its_subtree(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	insert_leaf(edit, "a", 0, "x");
	assert_int_equal(mf_edit_move(edit, "a", 1, "c", 1, 0, NULL, NULL, NULL), MF_OK);
	assert_dump(mf_edit_doc(edit), ROOT(LEAF("b") ",{'attrs':{},'children':[{'attrs':{},'children':[" LEAF("x") "],'id':'a','marks':[],'type':'p'}],'id':'c','marks':[],'type':'p'}"));
	mf_edit_drop(edit);
}

static void a_move_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_error error = {0};
	insert(edit, "a", 0, "{'id':'x','type':'p','children':[{'id':'y','type':'p'}]}");
	char *before = dump(mf_edit_doc(edit));
	assert_refused(mf_edit_move(edit, "root", 4, "a", 1, 0, NULL, NULL, &error), &error, "root");
	assert_refused(mf_edit_move(edit, "zz", 2, "a", 1, 0, NULL, NULL, &error), &error, "\"zz\"");
	assert_refused(mf_edit_move(edit, "a", 1, "zz", 2, 0, NULL, NULL, &error), &error, "\"zz\"");
	assert_refused(mf_edit_move(edit, "a", 1, "a", 1, 0, NULL, NULL, &error), &error, "under itself");
	assert_refused(mf_edit_move(edit, "b", 1, "b", 1, 0, NULL, NULL, &error), &error, "under itself");
	assert_refused(mf_edit_move(edit, "a", 1, "y", 1, 0, NULL, NULL, &error), &error, "under itself");
	assert_refused(mf_edit_move(edit, "a", 1, "root", 4, 3, NULL, NULL, &error), &error, "index 3 is out of range");
	assert_refused(mf_edit_move(edit, "a", 1, "b", 1, 1, NULL, NULL, &error), &error, "index 1 is out of range");
	assert_dump(mf_edit_doc(edit), before);
	mf_free(before);
	mf_edit_drop(edit);
}

/* ---- attributes and marks ---- */

static void an_attribute_is_set_replaced_and_unset(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_value *one = value_of("[1]"), *two = value_of("{'x':2}"), *old = one;
	assert_int_equal(mf_edit_set_attr(edit, "a", 1, "k", 1, one, &old, NULL), MF_OK);
	assert_null(old);
	assert_int_equal(mf_edit_set_attr(edit, "a", 1, "k", 1, two, &old, NULL), MF_OK);
	assert_ptr_equal(old, one);
	mf_value_unref(old);
	assert_ptr_equal(mf_node_attr(find(mf_edit_doc(edit), "a"), "k", 1), two);
	assert_int_equal(mf_edit_set_attr(edit, "a", 1, "k", 1, NULL, &old, NULL), MF_OK);
	assert_ptr_equal(old, two);
	mf_value_unref(old);
	assert_int_equal(mf_edit_set_attr(edit, "a", 1, "k", 1, NULL, &old, NULL), MF_OK); /* absent: nothing changes */
	assert_null(old);
	assert_int_equal(mf_edit_set_attr(edit, "a", 1, "", 0, one, NULL, NULL), MF_OK);
	assert_ptr_equal(mf_node_attr(find(mf_edit_doc(edit), "a"), "", 0), one);
	mf_value_unref(one);
	mf_value_unref(two);
	mf_edit_drop(edit);
}

static struct mf_value *nested(unsigned depth)
{
	struct mf_value *value = mf_value_null();
	for (unsigned i = 1; i < depth; i++) {
		struct mf_value *item = value;
		if (mf_value_new_array_take(&item, 1, &value, NULL))
			return NULL;
	}
	return value;
}

static void a_wrong_attribute_is_refused(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_error error = {0};
	struct mf_value *deep = nested(MF_DEPTH_MAX), *deeper = nested(MF_DEPTH_MAX + 1);
	assert_refused(mf_edit_set_attr(edit, "zz", 2, "k", 1, deep, NULL, &error), &error, "\"zz\"");
	assert_refused(mf_edit_set_attr(edit, "a", 1, "k\0", 2, deep, NULL, &error), &error, "U+0000");
	assert_refused(mf_edit_set_attr(edit, "a", 1, "\xed\xa0\x80", 3, deep, NULL, &error), &error, "UTF-8");
	if (deeper) /* values may be refused where they are made */
		assert_refused(mf_edit_set_attr(edit, "a", 1, "k", 1, deeper, NULL, &error), &error, "deeper");
	assert_int_equal(mf_edit_set_attr(edit, "a", 1, "k", 1, deep, NULL, NULL), MF_OK);
	mf_value_unref(deep);
	mf_value_unref(deeper);
	mf_edit_drop(edit);
}

static void a_mark_is_set_replaced_and_removed(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_error error = {0};
	struct mf_value *none = value_of("{}"), *some = value_of("{'w':2}"), *list = value_of("[]"), *old = NULL;
	assert_int_equal(mf_edit_set_mark(edit, "a", 1, "m", 1, none, &old, NULL), MF_OK);
	assert_null(old);
	assert_int_equal(mf_edit_set_mark(edit, "a", 1, "m", 1, some, &old, NULL), MF_OK);
	assert_ptr_equal(old, none);
	mf_value_unref(old);
	assert_int_equal(mf_node_mark_count(find(mf_edit_doc(edit), "a")), 1);
	assert_refused(mf_edit_set_mark(edit, "a", 1, "", 0, none, NULL, &error), &error, "mark type");
	assert_refused(mf_edit_set_mark(edit, "a", 1, "m", 1, list, NULL, &error), &error, "\"m\"");
	assert_refused(mf_edit_set_mark(edit, "zz", 2, "m", 1, none, NULL, &error), &error, "\"zz\"");
	assert_int_equal(mf_edit_set_mark(edit, "a", 1, "m", 1, NULL, &old, NULL), MF_OK);
	assert_ptr_equal(old, some);
	mf_value_unref(old);
	assert_int_equal(mf_edit_set_mark(edit, "a", 1, "m", 1, NULL, &old, NULL), MF_OK);
	assert_null(old);
	mf_value_unref(none);
	mf_value_unref(some);
	mf_value_unref(list);
	mf_edit_drop(edit);
}

/* ---- text ---- */

static void text_is_replaced_in_code_points(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_value *text = value_of("'aé日z'"), *other = value_of("'XY'"), *deleted = NULL;
	assert_int_equal(mf_edit_set_attr(edit, "a", 1, "text", 4, text, NULL, NULL), MF_OK);
	assert_int_equal(mf_edit_replace_text(edit, "a", 1, 1, 2, other, &deleted, NULL), MF_OK);
	char *is, *was;
	size_t len;
	assert_int_equal(mf_value_to_json(mf_node_attr(find(mf_edit_doc(edit), "a"), "text", 4), &is, &len), MF_OK);
	assert_int_equal(mf_value_to_json(deleted, &was, &len), MF_OK);
	assert_string_equal(is, "\"aXYz\"");
	assert_string_equal(was, "\"é日\"");
	assert_int_equal(mf_edit_replace_text(edit, "a", 1, 0, 4, other, NULL, NULL), MF_OK);
	mf_free(is);
	mf_free(was);
	mf_value_unref(deleted);
	mf_value_unref(text);
	mf_value_unref(other);
	mf_edit_drop(edit);
}

static void text_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_error error = {0};
	struct mf_value *text = value_of("'abc'"), *number = value_of("7"), *deleted = NULL;
	assert_refused(mf_edit_replace_text(edit, "a", 1, 0, 0, text, &deleted, &error), &error, "node \"a\": attribute \"text\" is missing");
	assert_int_equal(mf_edit_set_attr(edit, "a", 1, "text", 4, number, NULL, NULL), MF_OK);
	assert_refused(mf_edit_replace_text(edit, "a", 1, 0, 0, text, &deleted, &error), &error, "not a string");
	assert_int_equal(mf_edit_set_attr(edit, "a", 1, "text", 4, text, NULL, NULL), MF_OK);
	assert_refused(mf_edit_replace_text(edit, "a", 1, 2, 2, text, &deleted, &error), &error, "node \"a\"");
	assert_refused(mf_edit_replace_text(edit, "a", 1, SIZE_MAX, 2, text, &deleted, &error), &error, "node \"a\"");
	assert_refused(mf_edit_replace_text(edit, "a", 1, 0, 0, number, &deleted, &error), &error, "not a string");
	assert_refused(mf_edit_replace_text(edit, "a", 1, 0, 0, NULL, &deleted, &error), &error, "not a string");
	assert_refused(mf_edit_replace_text(edit, "zz", 2, 0, 0, text, &deleted, &error), &error, "\"zz\"");
	assert_null(deleted);
	mf_value_unref(text);
	mf_value_unref(number);
	mf_edit_drop(edit);
}

/* ---- depth ---- */

/* A chain d1 ... d<count>, each under the one before, the first under the root. */
static void insert_chain(struct mf_edit *edit, unsigned count)
{
	char parent[16] = "root", id[16];
	for (unsigned i = 1; i <= count; i++) {
		snprintf(id, sizeof(id), "d%u", i);
		insert_leaf(edit, parent, MF_APPEND, id);
		strcpy(parent, id);
	}
}

static void a_tree_is_64_deep_and_not_deeper(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_error error = {0};
	struct mf_fragment *leaf = fragment_of("{'id':'new','type':'p'}"), *two = fragment_of("{'id':'new','type':'p','children':[{'id':'x','type':'p'}]}");
	insert_chain(edit, MF_DEPTH_MAX - 1);
	assert_refused(mf_edit_insert(edit, "d63", 3, 0, leaf, &error), &error, "65 deep");
	assert_refused(mf_edit_insert(edit, "d62", 3, 0, two, &error), &error, "65 deep");
	assert_refused(mf_edit_move(edit, "a", 1, "d63", 3, 0, NULL, NULL, &error), &error, "65 deep");
	assert_int_equal(mf_edit_insert(edit, "d62", 3, 0, leaf, NULL), MF_OK);
	assert_int_equal(mf_edit_move(edit, "a", 1, "d62", 3, 0, NULL, NULL, NULL), MF_OK);
	assert_refused(mf_edit_move(edit, "d1", 2, "b", 1, 0, NULL, NULL, &error), &error, "65 deep");
	mf_fragment_unref(leaf);
	mf_fragment_unref(two);
	mf_edit_drop(edit);
}

static void the_depth_limit_follows_moves_and_removals(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_error error = {0};
	insert_chain(edit, 40);
	insert(edit, "a", 0, "{'id':'x','type':'p','children':[{'id':'y','type':'p'}]}");
	assert_int_equal(mf_edit_move(edit, "d20", 3, "b", 1, 0, NULL, NULL, NULL), MF_OK);    /* d1..d19, b-d20..d40 */
	assert_int_equal(mf_edit_move(edit, "d1", 2, "d40", 3, 0, NULL, NULL, NULL), MF_OK);   /* b-d20..d40-d1..d19: 42 deep */
	assert_int_equal(mf_edit_move(edit, "a", 1, "d19", 3, 0, NULL, NULL, NULL), MF_OK);    /* 45 deep */
	assert_int_equal(mf_edit_remove(edit, "d30", 3, NULL, NULL, NULL, NULL), MF_OK);       /* b-d20..d29: 12 deep */
	assert_null(find(mf_edit_doc(edit), "y"));
	struct mf_fragment *rest = NULL;
	assert_int_equal(mf_edit_remove(edit, "b", 1, &rest, NULL, NULL, NULL), MF_OK);
	insert_chain(edit, 53);
	assert_refused(mf_edit_insert(edit, "d53", 3, 0, rest, &error), &error, "already has");
	mf_fragment_unref(rest);
	mf_edit_drop(edit);
}

/* ---- versions ---- */

static void an_edit_leaves_the_old_document_alone(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_value *value = value_of("1");
	struct mf_doc *old = finish(edit);
	char *before = dump(old);
	edit = edit_of(old);
	insert_leaf(edit, "a", 0, "x");
	assert_int_equal(mf_edit_move(edit, "b", 1, "a", 1, 0, NULL, NULL, NULL), MF_OK);
	assert_int_equal(mf_edit_remove(edit, "c", 1, NULL, NULL, NULL, NULL), MF_OK);
	assert_int_equal(mf_edit_set_attr(edit, "root", 4, "k", 1, value, NULL, NULL), MF_OK);
	struct mf_doc *new_doc = finish(edit);
	assert_dump(old, before);
	mf_doc_unref(old);
	assert_dump(new_doc, "{'attrs':{'k':1},'children':[{'attrs':{},'children':[" LEAF("b") "," LEAF("x") "],'id':'a','marks':[],'type':'p'}],'id':'root','marks':[],'type':'doc'}");
	mf_doc_unref(new_doc);
	mf_value_unref(value);
	mf_free(before);
	mf_edit_drop(NULL);
}

/* ---- no memory ---- */

static struct mf_fragment *big;
static struct mf_value *text;

static enum mf_status try_insert(struct mf_edit *edit)
{
	return mf_edit_insert(edit, "a", 1, 0, big, NULL);
}

static enum mf_status try_remove(struct mf_edit *edit)
{
	struct mf_fragment *fragment = NULL;
	struct mf_value *parent = NULL;
	size_t index = 99;
	enum mf_status status = mf_edit_remove(edit, "d2", 2, &fragment, &parent, &index, NULL);
	assert_true(status ? !fragment && !parent && index == 99 : fragment && parent && index == 0);
	mf_fragment_unref(fragment);
	mf_value_unref(parent);
	return status;
}

static enum mf_status try_move(struct mf_edit *edit)
{
	struct mf_value *parent = NULL;
	enum mf_status status = mf_edit_move(edit, "d2", 2, "a", 1, 0, &parent, NULL, NULL);
	assert_int_equal(status == MF_OK, parent != NULL);
	mf_value_unref(parent);
	return status;
}

static enum mf_status try_attr(struct mf_edit *edit)
{
	struct mf_value *old = NULL;
	enum mf_status status = mf_edit_set_attr(edit, "d1", 2, "text", 4, text, &old, NULL);
	assert_int_equal(status == MF_OK, old != NULL);
	mf_value_unref(old);
	return status;
}

static enum mf_status try_unset(struct mf_edit *edit)
{
	return mf_edit_set_attr(edit, "d1", 2, "text", 4, NULL, NULL, NULL);
}

static enum mf_status try_text(struct mf_edit *edit)
{
	struct mf_value *deleted = NULL;
	enum mf_status status = mf_edit_replace_text(edit, "d1", 2, 1, 1, text, &deleted, NULL);
	assert_int_equal(status == MF_OK, deleted != NULL);
	mf_value_unref(deleted);
	return status;
}

static struct mf_doc *doc_for_failures(void)
{
	struct mf_edit *edit = edit_of_abc();
	char id[16];
	insert_chain(edit, 6);
	for (int i = 0; i < 300; i++) {
		snprintf(id, sizeof(id), "m%d", i);
		insert_leaf(edit, "d2", 0, id);
	}
	assert_int_equal(mf_edit_set_attr(edit, "d1", 2, "text", 4, text, NULL, NULL), MF_OK);
	return finish(edit);
}

static void an_edit_without_memory_is_as_it_was(void **state)
{
	(void)state;
	static enum mf_status (*const attempts[])(struct mf_edit *) = {try_insert, try_remove, try_move, try_attr, try_unset, try_text};
	text = value_of("'some text'");
	big = fragment_of("{'id':'x1','type':'p','attrs':{'k':1},'children':[{'id':'x2','type':'p','children':[{'id':'x3','type':'p'}]},{'id':'x4','type':'p'}]}");
	struct mf_doc *doc = doc_for_failures();
	char *before = dump(doc);
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		struct mf_edit *edit = edit_of(doc);
		enum mf_status status = MF_ERR_NO_MEMORY;
		unsigned failures = 0;
		for (uint64_t n = 1; status; n++) {
			mf_tree_trim();
			mf_mem_fail_at(n, n % 2);
			status = attempts[i](edit);
			mf_mem_fail_at(0, false);
			if (!status)
				break;
			assert_int_equal(status, MF_ERR_NO_MEMORY);
			char *after = dump(mf_edit_doc(edit));
			assert_string_equal(after, before);
			mf_free(after);
			failures++;
		}
		assert_true(failures > 2);
		mf_edit_drop(edit);
	}
	struct mf_edit *edit = NULL;
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_edit_begin(doc, &edit), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	assert_null(edit);
	assert_dump(doc, before);
	mf_free(before);
	mf_doc_unref(doc);
	mf_fragment_unref(big);
	mf_value_unref(text);
}

static void the_attributes_of_a_mark_are_not_nested_deeper_than_a_documents(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	struct mf_error error = {0};
	struct mf_value *fits = nested(MF_DEPTH_MAX - 1), *object;
	for (int more = 0; more < 2; more++) {
		struct mf_member member = {"k", 1, fits};
		assert_int_equal(mf_value_new_object_take(&member, 1, &object, NULL), MF_OK);
		if (!more)
			assert_int_equal(mf_edit_set_mark(edit, "a", 1, "m", 1, object, NULL, NULL), MF_OK);
		fits = object;
	}
	assert_refused(mf_edit_set_mark(edit, "a", 1, "m", 1, fits, NULL, &error), &error, "deeper");
	mf_value_unref(fits);
	mf_edit_drop(edit);
}

static void a_long_name_is_shown_up_to_a_whole_character(void **state)
{
	(void)state;
	char name[200];
	memset(name, 'n', sizeof(name));
	assert_int_equal(mf_show_len(name, 64), 64);
	assert_int_equal(mf_show_len(name, 65), 64);
	memcpy(name + 62, "\xe2\x82\xac", 3);
	assert_int_equal(mf_show_len(name, sizeof(name)), 62);
	name[150] = (char)0xff;
	assert_int_equal(mf_show_len(name, sizeof(name)), 0);
}

/* Always at the same place, so that there is no number left between two neighbours again and again. */
static void making_room_between_children_may_fail_and_changes_nothing(void **state)
{
	(void)state;
	struct mf_edit *edit = edit_of_abc();
	for (int i = 0; i < 100; i++) {
		char json[64];
		struct mf_fragment *fragment;
		snprintf(json, sizeof(json), "{'id':'n%d','type':'p'}", i);
		struct mf_value *value = value_of(json);
		assert_int_equal(mf_fragment_from_value(value, &fragment, NULL), MF_OK);
		enum mf_status status = MF_ERR_NO_MEMORY;
		for (uint64_t n = 1; status != MF_OK; n++) {
			mf_tree_trim();
			mf_mem_fail_at(n, false);
			status = mf_edit_insert(edit, "root", 4, 1, fragment, NULL);
			mf_mem_fail_at(0, false);
			assert_true(status == MF_OK || status == MF_ERR_NO_MEMORY);
			assert_int_equal(mf_doc_node_count(mf_edit_doc(edit)), 4 + i + (status == MF_OK));
		}
		mf_fragment_unref(fragment);
		mf_value_unref(value);
	}
	const struct mf_doc *doc = mf_edit_doc(edit);
	for (size_t i = 0; i < 103; i++) {
		char id[16];
		snprintf(id, sizeof(id), "n%d", 100 - (int)i);
		assert_string_equal(mf_node_id(mf_doc_child(doc, mf_doc_root(doc), i), NULL), i == 0 ? "a" : i == 101 ? "b" : i == 102 ? "c" : id);
	}
	mf_edit_drop(edit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_are_inserted_at_any_index),
		cmocka_unit_test(an_insert_that_does_not_fit_is_refused),
		cmocka_unit_test(a_removed_subtree_is_handed_out_and_fits_back),
		cmocka_unit_test(neither_the_root_nor_a_missing_node_can_be_removed),
		cmocka_unit_test(the_index_of_a_move_counts_without_the_moved_node),
		cmocka_unit_test(a_node_moves_with_its_subtree),
		cmocka_unit_test(a_move_that_does_not_fit_is_refused),
		cmocka_unit_test(an_attribute_is_set_replaced_and_unset),
		cmocka_unit_test(a_wrong_attribute_is_refused),
		cmocka_unit_test(a_mark_is_set_replaced_and_removed),
		cmocka_unit_test(text_is_replaced_in_code_points),
		cmocka_unit_test(text_that_does_not_fit_is_refused),
		cmocka_unit_test(a_tree_is_64_deep_and_not_deeper),
		cmocka_unit_test(the_depth_limit_follows_moves_and_removals),
		cmocka_unit_test(an_edit_leaves_the_old_document_alone),
		cmocka_unit_test(an_edit_without_memory_is_as_it_was),
		cmocka_unit_test(the_attributes_of_a_mark_are_not_nested_deeper_than_a_documents),
		cmocka_unit_test(a_long_name_is_shown_up_to_a_whole_character),
		cmocka_unit_test(making_room_between_children_may_fail_and_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
