/* Tests of the plugin node_steps: insert_node, delete_node, move_node, update_attrs. */
#include <stdio.h>
#include <string.h>

#include "tests/stepfactories/steps_fixture.h"

#define N(id) "{'id':'" id "','type':'p'}"
#define IN(id, children) "{'id':'" id "','type':'p','children':[" children "]}"
#define ATTRS(attrs) "[{'id':'a','type':'p','attrs':{" attrs "}}]"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- insert_node ---- */

static void a_node_is_inserted_at_its_index(void **state)
{
	(void)state;
	check_change("[" N("a") "," N("b") "]", "insert_node", "{'parent':'root','index':0,'node':" N("x") "}", "[" N("x") "," N("a") "," N("b") "]");
	check_change("[" N("a") "," N("b") "]", "insert_node", "{'parent':'root','index':1,'node':" N("x") "}", "[" N("a") "," N("x") "," N("b") "]");
	check_change("[" N("a") "," N("b") "]", "insert_node", "{'parent':'root','index':2,'node':" N("x") "}", "[" N("a") "," N("b") "," N("x") "]");
}

static void a_node_without_an_index_is_appended(void **state)
{
	(void)state;
	check_change("[" N("a") "]", "insert_node", "{'parent':'root','node':" N("x") "}", "[" N("a") "," N("x") "]");
	check_change("[" N("a") "]", "insert_node", "{'parent':'a','node':" N("x") "}", "[" IN("a", N("x")) "]");
}

static void a_subtree_is_inserted_whole(void **state)
{
	(void)state;
	check_change("[]", "insert_node", "{'parent':'root','node':{'id':'x','type':'list','attrs':{'n':1,'r':1.5,'s':'日'},'marks':[{'type':'m'}],'children':[" IN("y", N("z")) "]}}",
		     "[{'id':'x','type':'list','attrs':{'n':1,'r':1.5,'s':'日'},'marks':[{'type':'m','attrs':{}}],'children':[" IN("y", N("z")) "]}]");
}

static void the_inverse_of_an_insert_deletes(void **state)
{
	(void)state;
	check_inverse("[]", "insert_node", "{'parent':'root','node':" IN("x", N("y")) "}", "delete_node", "{'id':'x'}");
}

static void an_insert_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	check_refused("[" N("a") "]", "insert_node", "{'parent':'root','index':2,'node':" N("x") "}", "");
	check_refused("[" N("a") "]", "insert_node", "{'parent':'root','index':9223372036854775807,'node':" N("x") "}", "");
	check_refused("[" N("a") "]", "insert_node", "{'parent':'zz','node':" N("x") "}", "zz");
	check_refused("[" N("a") "]", "insert_node", "{'parent':'root','node':" N("a") "}", "a");
	check_refused("[" N("a") "]", "insert_node", "{'parent':'root','node':" IN("x", N("a")) "}", "a");
	check_refused("[" N("a") "]", "insert_node", "{'parent':'root','node':" N("root") "}", "root");
}

static void wrong_insert_data_is_refused_and_the_member_named(void **state)
{
	(void)state;
	static const struct bad_data cases[] = {
		{"null", "object"},
		{"{'node':" N("x") "}", "parent"},
		{"{'parent':'root'}", "node"},
		{"{'parent':'root','index':-1,'node':" N("x") "}", "index"},
		{"{'parent':'root','index':0.0,'node':" N("x") "}", "index"},
		{"{'parent':'root','index':null,'node':" N("x") "}", "index"},
		{"{'parent':'','node':" N("x") "}", "parent"},
		{"{'parent':1,'node':" N("x") "}", "parent"},
		{"{'parent':'root','node':7}", "node"},
		{"{'parent':'root','node':{'id':'x'}}", "node"},
		{"{'parent':'root','node':" IN("x", N("x")) "}", "node"},
		{"{'parent':'root','node':{'id':'x','type':'p','kids':[]}}", "kids"},
		{"{'parent':'root','at':0,'node':" N("x") "}", "unknown member \"at\""},
	};
	check_bad_data("insert_node", cases, COUNT(cases));
}

static void a_parent_id_longer_than_1024_bytes_is_refused(void **state)
{
	(void)state;
	char data[1200], id[1026];
	memset(id, 'x', sizeof(id));
	id[1024] = '\0';
	snprintf(data, sizeof(data), "{'parent':'%s','node':" N("n") "}", id);
	mf_step_unref(step_of("insert_node", data));
	id[1024] = 'x';
	id[1025] = '\0';
	snprintf(data, sizeof(data), "{'parent':'%s','node':" N("n") "}", id);
	struct bad_data cases[] = {{data, "parent"}};
	check_bad_data("insert_node", cases, 1);
}

/* ---- delete_node ---- */

static void a_node_is_deleted_with_its_subtree_and_comes_back_in_its_place(void **state)
{
	(void)state;
	check_change("[" N("a") "," IN("b", N("c") "," IN("d", N("e"))) "," N("f") "]", "delete_node", "{'id':'b'}", "[" N("a") "," N("f") "]");
	check_change("[" IN("b", N("c") "," N("d")) "]", "delete_node", "{'id':'d'}", "[" IN("b", N("c")) "]");
}

static void f12_the_inverse_of_a_delete_inserts_at_the_same_index(void **state)
{
	(void)state;
	check_inverse("[" N("a") "," IN("b", N("c")) "," N("d") "]", "delete_node", "{'id':'b'}", "insert_node", "{'parent':'root','index':1,'node':" IN("b", N("c")) "}");
}

static void neither_the_root_nor_a_missing_node_can_be_deleted(void **state)
{
	(void)state;
	check_refused("[]", "delete_node", "{'id':'root'}", "root");
	check_refused("[]", "delete_node", "{'id':'zz'}", "zz");
}

static void wrong_delete_data_is_refused_and_the_member_named(void **state)
{
	(void)state;
	static const struct bad_data cases[] = {{"{}", "id"}, {"{'id':[]}", "id"}, {"{'id':'a','parent':'root'}", "unknown member \"parent\""}};
	check_bad_data("delete_node", cases, COUNT(cases));
}

/* A tree of depth 64: in the JSON form of the inverse each node is two levels. */
static void the_inverse_of_deleting_the_deepest_subtree_has_both_forms(void **state)
{
	(void)state;
	struct mf_doc *doc = doc_of("[" N("n2") "]");
	char data[100];
	for (int depth = 3; depth <= MF_DEPTH_MAX; depth++) {
		snprintf(data, sizeof(data), "{'parent':'n%d','node':{'id':'n%d','type':'p','attrs':{'k':[[1]]}}}", depth - 1, depth);
		struct mf_step *step = step_of("insert_node", data), *unused;
		struct mf_doc *deeper = applied(doc, step, &unused);
		mf_step_unref(unused);
		mf_step_unref(step);
		mf_doc_unref(doc);
		doc = deeper;
	}
	struct mf_step *step = step_of("delete_node", "{'id':'n2'}"), *inverse, *unused;
	struct mf_doc *after = applied(doc, step, &inverse);
	check_forms(inverse);
	struct mf_doc *back = applied(after, inverse, &unused);
	char *before = tree_of(doc), *now = tree_of(back);
	assert_string_equal(now, before);
	mf_free(before);
	mf_free(now);
	mf_step_unref(unused);
	mf_step_unref(inverse);
	mf_step_unref(step);
	mf_doc_unref(back);
	mf_doc_unref(after);
	mf_doc_unref(doc);
}

/* A chain of so many nodes inside each other, as one step. */
static char *chain(int nodes, char *data, size_t size)
{
	size_t at = (size_t)snprintf(data, size, "{'parent':'root','node':");
	for (int i = 0; i < nodes; i++)
		at += (size_t)snprintf(data + at, size - at, "{'id':'n%d','type':'p','attrs':{'k':[1]}%s", i, i + 1 < nodes ? ",'children':[" : "}");
	for (int i = 1; i < nodes; i++)
		at += (size_t)snprintf(data + at, size - at, "]}");
	snprintf(data + at, size - at, "}");
	return data;
}

static void a_tree_of_any_allowed_depth_is_one_step(void **state)
{
	(void)state;
	char data[8192];
	struct mf_doc *doc = doc_of(NULL);
	struct mf_step *step = step_of("insert_node", chain(MF_DEPTH_MAX - 1, data, sizeof(data))), *inverse;
	struct mf_doc *after = applied(doc, step, &inverse);
	assert_int_equal(mf_doc_node_count(after), MF_DEPTH_MAX);
	check_forms(step);
	mf_step_unref(inverse);
	mf_step_unref(step);
	mf_doc_unref(after);
	mf_doc_unref(doc);
	check_refused("[]", "insert_node", chain(MF_DEPTH_MAX, data, sizeof(data)), "deep");
	struct bad_data cases[] = {{chain(MF_DEPTH_MAX + 1, data, sizeof(data)), "deep"}};
	check_bad_data("insert_node", cases, 1);
}

/* ---- move_node ---- */

static void a_node_moves_within_its_parent(void **state)
{
	(void)state;
	const char *abcd = "[" N("a") "," N("b") "," N("c") "," N("d") "]";
	check_change(abcd, "move_node", "{'id':'a','parent':'root','index':2}", "[" N("b") "," N("c") "," N("a") "," N("d") "]");
	check_change(abcd, "move_node", "{'id':'d','parent':'root','index':0}", "[" N("d") "," N("a") "," N("b") "," N("c") "]");
	check_change(abcd, "move_node", "{'id':'a','parent':'root','index':3}", "[" N("b") "," N("c") "," N("d") "," N("a") "]");
	check_change(abcd, "move_node", "{'id':'b','parent':'root'}", "[" N("a") "," N("c") "," N("d") "," N("b") "]");
	check_change(abcd, "move_node", "{'id':'b','parent':'root','index':1}", abcd);
}

static void a_node_moves_with_its_subtree_to_another_parent(void **state)
{
	(void)state;
	check_change("[" IN("a", IN("b", N("c")) "," N("x")) "," IN("d", N("e")) "]", "move_node", "{'id':'b','parent':'d','index':0}", "[" IN("a", N("x")) "," IN("d", IN("b", N("c")) "," N("e")) "]");
	check_change("[" IN("a", IN("b", N("c"))) "]", "move_node", "{'id':'c','parent':'root','index':0}", "[" N("c") "," IN("a", N("b")) "]");
}

static void f12_the_inverse_of_a_move_names_the_old_parent_and_index(void **state)
{
	(void)state;
	check_inverse("[" IN("a", N("x") "," N("b")) "," N("d") "]", "move_node", "{'id':'b','parent':'root'}", "move_node", "{'id':'b','parent':'a','index':1}");
}

static void a_move_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	const char *tree = "[" IN("a", IN("b", N("c"))) "," N("d") "]";
	check_refused(tree, "move_node", "{'id':'root','parent':'a'}", "root");
	check_refused(tree, "move_node", "{'id':'a','parent':'a'}", "a");
	check_refused(tree, "move_node", "{'id':'a','parent':'c'}", "a");
	check_refused(tree, "move_node", "{'id':'zz','parent':'a'}", "zz");
	check_refused(tree, "move_node", "{'id':'a','parent':'zz'}", "zz");
	check_refused(tree, "move_node", "{'id':'a','parent':'root','index':2}", "");
	check_refused(tree, "move_node", "{'id':'d','parent':'a','index':2}", "");
}

static void wrong_move_data_is_refused_and_the_member_named(void **state)
{
	(void)state;
	static const struct bad_data cases[] = {
		{"{'id':'a'}", "parent"},
		{"{'parent':'a'}", "id"},
		{"{'id':'a','parent':'b','index':-5}", "index"},
		{"{'id':'a','parent':null}", "parent"},
		{"{'id':'a','parent':'b','to':1}", "unknown member \"to\""},
	};
	check_bad_data("move_node", cases, COUNT(cases));
}

/* ---- update_attrs ---- */

static void attributes_are_set_and_unset(void **state)
{
	(void)state;
	check_change(ATTRS("'k':1,'l':2"), "update_attrs", "{'id':'a','set':{'k':'x','m':[1,{'n':null}]},'unset':['l']}", ATTRS("'k':'x','m':[1,{'n':null}]"));
	check_change(ATTRS(""), "update_attrs", "{'id':'a','set':{'k':null}}", ATTRS("'k':null"));
	check_change(ATTRS("'k':null"), "update_attrs", "{'id':'a','unset':['k']}", ATTRS(""));
	check_change(ATTRS("'k':1"), "update_attrs", "{'id':'a','set':{'k':1.0}}", ATTRS("'k':1.0"));
	check_change(ATTRS("''  :1"), "update_attrs", "{'id':'a','unset':['']}", ATTRS(""));
}

static void unsetting_what_is_absent_changes_nothing(void **state)
{
	(void)state;
	check_change(ATTRS("'k':1"), "update_attrs", "{'id':'a','unset':['z','y','z']}", ATTRS("'k':1"));
	check_change(ATTRS("'k':1"), "update_attrs", "{'id':'a'}", ATTRS("'k':1"));
	check_change(ATTRS("'k':1"), "update_attrs", "{'id':'a','set':{},'unset':[]}", ATTRS("'k':1"));
}

static void f12_the_inverse_of_an_update_names_what_changed_and_unsets_what_was_new(void **state)
{
	(void)state;
	check_inverse(ATTRS("'k':1,'l':2,'same':[1]"), "update_attrs", "{'id':'a','set':{'k':3,'new':4,'same':[1]},'unset':['l','absent']}",
		      "update_attrs", "{'id':'a','set':{'k':1,'l':2},'unset':['new']}");
	check_inverse(ATTRS("'k':1"), "update_attrs", "{'id':'a','set':{'k':1}}", "update_attrs", "{'id':'a'}");
}

static void a_long_key_is_unset_too(void **state)
{
	(void)state;
	char key[5001], before[5200], data[5200];
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	snprintf(before, sizeof(before), ATTRS("'%s':1"), key);
	snprintf(data, sizeof(data), "{'id':'a','unset':['b','%s']}", key);
	check_change(before, "update_attrs", data, ATTRS(""));
}

static void an_update_of_a_missing_node_is_refused(void **state)
{
	(void)state;
	check_refused("[]", "update_attrs", "{'id':'zz','set':{'k':1}}", "zz");
	check_refused("[]", "update_attrs", "{'id':'zz','unset':['k']}", "zz");
	check_refused("[]", "update_attrs", "{'id':'zz'}", "zz");
}

static void wrong_update_data_is_refused_and_the_member_named(void **state)
{
	(void)state;
	static const struct bad_data cases[] = {
		{"{'set':{}}", "id"},
		{"{'id':'a','set':[]}", "set"},
		{"{'id':'a','set':null}", "set"},
		{"{'id':'a','unset':{}}", "unset"},
		{"{'id':'a','unset':[1]}", "unset"},
		{"{'id':'a','unset':['x\\u0000']}", "unset"},
		{"{'id':'a','set':{'k':1,'l':1},'unset':['j','l']}", "\"l\""},
		{"{'id':'a','attrs':{}}", "unknown member \"attrs\""},
	};
	check_bad_data("update_attrs", cases, COUNT(cases));
}

/* ---- all of them ---- */

static void f19_bad_bytes_are_an_error_never_a_crash(void **state)
{
	(void)state;
	check_hostile_bytes("insert_node", "{'parent':'root','index':3,'node':{'id':'x','type':'p','attrs':{'k':1},'marks':[{'type':'m'}],'children':[" IN("y", N("z")) "," N("w") "]}}");
	check_hostile_bytes("delete_node", "{'id':'abc'}");
	check_hostile_bytes("move_node", "{'id':'a','parent':'b'}");
	check_hostile_bytes("update_attrs", "{'id':'a','set':{'k':[1,2]},'unset':['l','m']}");
	check_damaged("delete_node", "", 0);
	check_damaged("delete_node", "\x91\xa1\xff", 3);			/* not UTF-8 */
	check_damaged("delete_node", "\xdd\xff\xff\xff\xff\xa1\x61", 7);	/* a count beyond the bytes */
	check_damaged("update_attrs", "\x93\xa1\x61\x81\xa1k\x01\x91\xa1k", 10); /* in set and unset */
	check_damaged("update_attrs", "\x93\xa1\x61\x80\x91\x01", 6);		/* a key that is no string */
}

static void running_out_of_memory_changes_nothing(void **state)
{
	(void)state;
	const char *tree = "[" IN("a", N("b") "," N("c")) ",{'id':'d','type':'p','attrs':{'k':1,'l':2}}]";
	check_out_of_memory(tree, "insert_node", "{'parent':'a','index':1,'node':" IN("x", N("y")) "}");
	check_out_of_memory(tree, "delete_node", "{'id':'a'}");
	check_out_of_memory(tree, "move_node", "{'id':'a','parent':'d'}");
	check_out_of_memory(tree, "update_attrs", "{'id':'d','set':{'k':2,'m':'x'},'unset':['l','z']}");
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
		cmocka_unit_test(a_node_is_inserted_at_its_index),
		cmocka_unit_test(a_node_without_an_index_is_appended),
		cmocka_unit_test(a_subtree_is_inserted_whole),
		cmocka_unit_test(the_inverse_of_an_insert_deletes),
		cmocka_unit_test(an_insert_that_does_not_fit_is_refused),
		cmocka_unit_test(wrong_insert_data_is_refused_and_the_member_named),
		cmocka_unit_test(a_parent_id_longer_than_1024_bytes_is_refused),
		cmocka_unit_test(a_node_is_deleted_with_its_subtree_and_comes_back_in_its_place),
		cmocka_unit_test(f12_the_inverse_of_a_delete_inserts_at_the_same_index),
		cmocka_unit_test(neither_the_root_nor_a_missing_node_can_be_deleted),
		cmocka_unit_test(wrong_delete_data_is_refused_and_the_member_named),
		cmocka_unit_test(the_inverse_of_deleting_the_deepest_subtree_has_both_forms),
		cmocka_unit_test(a_tree_of_any_allowed_depth_is_one_step),
		cmocka_unit_test(a_node_moves_within_its_parent),
		cmocka_unit_test(a_node_moves_with_its_subtree_to_another_parent),
		cmocka_unit_test(f12_the_inverse_of_a_move_names_the_old_parent_and_index),
		cmocka_unit_test(a_move_that_does_not_fit_is_refused),
		cmocka_unit_test(wrong_move_data_is_refused_and_the_member_named),
		cmocka_unit_test(attributes_are_set_and_unset),
		cmocka_unit_test(unsetting_what_is_absent_changes_nothing),
		cmocka_unit_test(f12_the_inverse_of_an_update_names_what_changed_and_unsets_what_was_new),
		cmocka_unit_test(a_long_key_is_unset_too),
		cmocka_unit_test(an_update_of_a_missing_node_is_refused),
		cmocka_unit_test(wrong_update_data_is_refused_and_the_member_named),
		cmocka_unit_test(f19_bad_bytes_are_an_error_never_a_crash),
		cmocka_unit_test(running_out_of_memory_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, tear_down);
}
