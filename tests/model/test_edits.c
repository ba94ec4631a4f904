/* Edits in numbers: random ones against a plain tree, order labels under stress, a million children. */
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
#include "model/node.h"
#include "plain_doc.h"

static uint64_t seed;
static size_t below(size_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % limit);
}

/* ---- the invariants of node.h ---- */

static void check_children(const struct mf_doc *doc, const struct mf_node *node)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	uint64_t last = 0;
	size_t index = 0;
	assert_true(mf_seq_is_valid(NULL, node->children));
	assert_int_equal(node->height, 1 + mf_seq_top(node->children));
	mf_seq_iterate(&iter, node->children, 0);
	for (; mf_seq_next(&iter, &entry); index++) {
		const struct mf_node *child = mf_doc_child(doc, node, index);
		const struct mf_seq_entry expected = mf_child_entry(child);
		assert_true(entry.sort > last && entry.sort < UINT64_MAX);
		assert_int_equal(entry.sort, expected.sort);
		assert_int_equal(entry.item, expected.item);
		assert_string_equal(child->parent->bytes, node->id->bytes);
		assert_int_equal(mf_doc_index(doc, child), index);
		last = entry.sort;
	}
}

static void check_doc(const struct mf_doc *doc)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	size_t children = 0;
	assert_true(mf_seq_is_valid(&mf_node_items, doc->nodes));
	mf_seq_iterate(&iter, doc->nodes, 0);
	while (mf_seq_next(&iter, &entry)) {
		const struct mf_node *node = mf_entry_node(&entry);
		check_children(doc, node);
		children += mf_node_child_count(node);
	}
	assert_int_equal(children + 1, mf_doc_node_count(doc));
}

/* ---- random edits against a plain tree ---- */

static struct plain_doc plain;
static struct mf_edit *edit;

static const char *id_of(int node, char buffer[16])
{
	if (node == 0)
		return "root";
	snprintf(buffer, 16, "n%d", node);
	return buffer;
}

static int some_node(bool present)
{
	for (;;) {
		int node = (int)below(PLAIN_MAX);
		if (plain.nodes[node].present == present)
			return node;
	}
}

static size_t node_count(void)
{
	return mf_doc_node_count(mf_edit_doc(edit));
}

static void random_insert(void)
{
	char id[16], child_id[16], parent_id[16], json[200];
	int parent = some_node(true), node = some_node(false);
	size_t index = below(plain.nodes[parent].child_count + 1);
	plain.nodes[node].present = true;
	int child = some_node(false);
	snprintf(json, sizeof(json), "{'id':'%s','type':'p','children':[{'id':'%s','type':'p','attrs':{'text':'ab'}}]}", id_of(node, id), id_of(child, child_id));
	struct mf_fragment *fragment = fragment_of(json);
	id_of(parent, parent_id);
	enum mf_status status = mf_edit_insert(edit, id_of(parent, parent_id), strlen(id_of(parent, parent_id)), index, fragment, NULL);
	mf_fragment_unref(fragment);
	if (plain_depth(&plain, parent) + 2 > MF_DEPTH_MAX) {
		assert_int_equal(status, MF_ERR_INVALID);
		plain.nodes[node].present = false;
		return;
	}
	assert_int_equal(status, MF_OK);
	plain_attach(&plain, node, parent, index);
	plain_attach(&plain, child, node, 0);
	strcpy(plain.nodes[child].text, "ab");
}

static void random_remove(void)
{
	char id[16];
	int node = some_node(true);
	struct mf_fragment *fragment = NULL;
	size_t index = 0;
	if (node == 0)
		return;
	id_of(node, id);
	assert_int_equal(mf_edit_remove(edit, id, strlen(id), &fragment, NULL, &index, NULL), MF_OK);
	assert_int_equal(fragment->height, plain_height(&plain, node));
	assert_int_equal(index, plain_detach(&plain, node));
	plain_remove(&plain, node);
	mf_fragment_unref(fragment);
}

static void random_move(void)
{
	char id[16], parent_id[16];
	int node = some_node(true), parent = some_node(true);
	if (node == 0)
		return;
	bool same = plain.nodes[node].parent == parent;
	size_t index = below(plain.nodes[parent].child_count + 1 - same), old_index = 0;
	id_of(node, id);
	enum mf_status status = mf_edit_move(edit, id, strlen(id), id_of(parent, parent_id), strlen(id_of(parent, parent_id)), index, NULL, &old_index, NULL);
	if (plain_is_below(&plain, parent, node) || plain_depth(&plain, parent) + plain_height(&plain, node) > MF_DEPTH_MAX) {
		assert_int_equal(status, MF_ERR_INVALID);
		return;
	}
	assert_int_equal(status, MF_OK);
	assert_int_equal(old_index, plain_detach(&plain, node));
	plain_attach(&plain, node, parent, index);
}

static void random_attr(void)
{
	char id[16], key[16];
	int node = some_node(true), number = (int)below(PLAIN_KEYS), to = (int)below(3);
	struct mf_value *value = NULL;
	if (to)
		assert_int_equal(mf_value_new_int(to, &value), MF_OK);
	snprintf(key, sizeof(key), "k%d", number);
	assert_int_equal(mf_edit_set_attr(edit, id_of(node, id), strlen(id_of(node, id)), key, 2, value, NULL, NULL), MF_OK);
	plain.nodes[node].attrs[number] = to;
	mf_value_unref(value);
}

static void random_mark(void)
{
	char id[16], type[16];
	int node = some_node(true), number = (int)below(PLAIN_KEYS);
	bool set = below(2);
	struct mf_value *attrs = set ? value_of("{}") : NULL;
	snprintf(type, sizeof(type), "m%d", number);
	assert_int_equal(mf_edit_set_mark(edit, id_of(node, id), strlen(id_of(node, id)), type, 2, attrs, NULL, NULL), MF_OK);
	plain.nodes[node].marks[number] = set;
	mf_value_unref(attrs);
}

static void random_text(void)
{
	char id[16];
	int node = some_node(true);
	char *text = plain.nodes[node].text;
	size_t len = strlen(text), pos = below(len + 1);
	struct mf_value *more = value_of("'xyz'");
	enum mf_status status = mf_edit_replace_text(edit, id_of(node, id), strlen(id_of(node, id)), pos, 0, more, NULL, NULL);
	mf_value_unref(more);
	assert_int_equal(status, len ? MF_OK : MF_ERR_INVALID);
	if (!len)
		return;
	memmove(text + pos + 3, text + pos, len - pos + 1);
	memcpy(text + pos, "xyz", 3);
	if (strlen(text) < 50)
		return;
	struct mf_value *restart = value_of("'ab'");
	assert_int_equal(mf_edit_set_attr(edit, id, strlen(id), "text", 4, restart, NULL, NULL), MF_OK);
	mf_value_unref(restart);
	strcpy(text, "ab");
}

static void random_edit(void)
{
	size_t dice = below(100);
	if (dice < 30 && node_count() < PLAIN_MAX - 2)
		random_insert();
	else if (dice < 38)
		random_remove();
	else if (dice < 70)
		random_move();
	else if (dice < 80)
		random_attr();
	else if (dice < 90)
		random_mark();
	else
		random_text();
}

static void random_edits_match_a_plain_tree_and_old_versions_stay(void **state)
{
	(void)state;
	struct mf_doc *doc = empty_doc(), *old = NULL;
	char *old_dump = NULL;
	plain_init(&plain);
	seed = 42;
	for (unsigned round = 0; round < 1500; round++) {
		edit = edit_of(doc);
		for (size_t n = below(4); n > 0; n--)
			random_edit();
		if (round % 5 == 0)
			random_edit();
		mf_doc_unref(doc);
		doc = finish(edit);
		char *is = dump(doc), *should = plain_dump(&plain);
		assert_string_equal(is, should);
		free(should);
		if (round % 20 == 0) {
			check_doc(doc);
			if (old)
				assert_dump(old, old_dump);
			mf_doc_unref(old);
			mf_free(old_dump);
			old = mf_doc_ref(doc);
			old_dump = is;
		} else {
			mf_free(is);
		}
	}
	mf_doc_unref(old);
	mf_free(old_dump);
	mf_doc_unref(doc);
}

/* ---- order labels ---- */

#define STRESS 10000

static struct mf_fragment *numbered(size_t number)
{
	char json[64];
	snprintf(json, sizeof(json), "{'id':'s%zu','type':'p'}", number);
	return fragment_of(json);
}

static void insert_numbered(struct mf_edit *into, size_t index, size_t number)
{
	struct mf_fragment *fragment = numbered(number);
	assert_int_equal(mf_edit_insert(into, "root", 4, index, fragment, NULL), MF_OK);
	mf_fragment_unref(fragment);
}

/* After each insert the order must be that of a plain array: checked now and then, and at the end. */
static void stress(size_t (*index_of)(size_t count))
{
	static size_t order[STRESS];
	struct mf_doc *doc = empty_doc();
	struct mf_edit *stressed = edit_of(doc);
	for (size_t n = 0; n < STRESS; n++) {
		size_t index = index_of(n);
		insert_numbered(stressed, index, n);
		memmove(order + index + 1, order + index, (n - index) * sizeof(order[0]));
		order[index] = n;
		if (n % 2500 == 2499)
			check_doc(mf_edit_doc(stressed));
	}
	const struct mf_doc *now = mf_edit_doc(stressed);
	for (size_t i = 0; i < STRESS; i++) {
		char id[32];
		snprintf(id, sizeof(id), "s%zu", order[i]);
		assert_string_equal(mf_node_id(mf_doc_child(now, mf_doc_root(now), i), NULL), id);
	}
	mf_edit_drop(stressed);
	mf_doc_unref(doc);
}

static size_t at_front(size_t count)
{
	(void)count;
	return 0;
}

static size_t at_second(size_t count)
{
	return count > 0;
}

static size_t before_last(size_t count)
{
	return count > 0 ? count - 1 : 0;
}

static size_t in_middle(size_t count)
{
	return count / 2;
}

/* Each between the two inserted last: the gap is halved every time. */
static size_t halving(size_t count)
{
	static size_t low;
	if (count < 2)
		return low = count;
	low += count % 2;
	return low;
}

static size_t anywhere(size_t count)
{
	return below(count + 1);
}

static void labels_keep_their_order_wherever_nodes_are_inserted(void **state)
{
	(void)state;
	seed = 7;
	stress(at_front);
	stress(at_second);
	stress(before_last);
	stress(in_middle);
	stress(halving);
	stress(anywhere);
}

/* count children whose labels are set by hand, as if many more had come and gone there. */
static struct mf_edit *edit_with_labels(size_t count, uint64_t (*label_of)(size_t index))
{
	struct mf_doc *doc = empty_doc();
	struct mf_edit *pushed = edit_of(doc);
	for (size_t n = 0; n < count; n++)
		insert_numbered(pushed, n, n);
	mf_doc_unref(doc);
	doc = finish(pushed);
	struct mf_node *root = (struct mf_node *)mf_doc_root(doc), **nodes = calloc(count, sizeof(struct mf_node *));
	struct mf_seq *children = NULL;
	for (size_t n = 0; n < count; n++)
		nodes[n] = (struct mf_node *)mf_doc_child(doc, root, n);
	for (size_t n = 0; n < count; n++) {
		nodes[n]->label = label_of(n);
		const struct mf_seq_entry entry = mf_child_entry(nodes[n]);
		assert_int_equal(mf_seq_insert(NULL, &children, n, &entry), MF_OK);
	}
	free(nodes);
	mf_seq_unref(NULL, root->children);
	root->children = children;
	pushed = edit_of(doc);
	mf_doc_unref(doc);
	return pushed;
}

static uint64_t at_the_ends(size_t index)
{
	return index < 10 ? index + 1 : UINT64_MAX - 20 + index;
}

static uint64_t crowded(size_t index)
{
	return ((uint64_t)1 << 40) + index;
}

static void labels_at_the_ends_of_their_range_make_room(void **state)
{
	(void)state;
	struct mf_edit *squeezed = edit_with_labels(20, at_the_ends);
	for (size_t n = 20; n < 60; n++) {
		insert_numbered(squeezed, n % 2 ? MF_APPEND : 0, n);
		check_doc(mf_edit_doc(squeezed));
	}
	mf_edit_drop(squeezed);
}

static void a_whole_list_without_room_is_spread_over_the_range(void **state)
{
	(void)state;
	enum { COUNT = 10000 };
	struct mf_edit *squeezed = edit_with_labels(COUNT, crowded);
	insert_numbered(squeezed, COUNT / 2, COUNT);
	check_doc(mf_edit_doc(squeezed));
	assert_int_equal(mf_doc_index(mf_edit_doc(squeezed), find(mf_edit_doc(squeezed), "s10000")), COUNT / 2);
	assert_int_equal(mf_doc_index(mf_edit_doc(squeezed), find(mf_edit_doc(squeezed), "s5000")), COUNT / 2 + 1);
	mf_edit_drop(squeezed);
}

/* ---- a million ---- */

static struct mf_doc *flat_doc(size_t count)
{
	char bytes[32];
	struct mf_fragment_builder builder;
	struct mf_fragment *fragment = NULL;
	struct mf_doc *doc = NULL;
	const struct mf_bytes root = {"root", 4}, root_type = {"doc", 3}, type = {"p", 1};
	mf_fragment_builder_init(&builder);
	assert_int_equal(mf_fragment_builder_open(&builder, &root, &root_type, NULL), MF_OK);
	for (size_t i = 0; i < count; i++) {
		const struct mf_bytes id = {bytes, (size_t)snprintf(bytes, sizeof(bytes), "n%zu", i)};
		assert_int_equal(mf_fragment_builder_open(&builder, &id, &type, NULL), MF_OK);
		mf_fragment_builder_close(&builder);
	}
	mf_fragment_builder_close(&builder);
	assert_int_equal(mf_fragment_builder_finish(&builder, &fragment, NULL), MF_OK);
	assert_int_equal(mf_doc_from_fragment(fragment, &doc, NULL), MF_OK);
	mf_fragment_builder_deinit(&builder);
	mf_fragment_unref(fragment);
	return doc;
}

static void a_million_children_are_inserted_moved_and_removed(void **state)
{
	(void)state;
	struct mf_doc *doc = flat_doc(1000000);
	struct mf_edit *large = edit_of(doc);
	const struct mf_doc *now = mf_edit_doc(large);
	struct mf_fragment *gone = NULL;
	size_t index = 0;
	insert_leaf(large, "root", 500000, "new");
	assert_int_equal(mf_doc_index(now, find(now, "new")), 500000);
	assert_int_equal(mf_doc_index(now, find(now, "n500000")), 500001);
	assert_int_equal(mf_edit_move(large, "n999999", 7, "root", 4, 1, NULL, &index, NULL), MF_OK);
	assert_int_equal(index, 1000000);
	assert_string_equal(mf_node_id(mf_doc_child(now, mf_doc_root(now), 2), NULL), "n1");
	assert_int_equal(mf_edit_move(large, "n7", 2, "new", 3, 0, NULL, &index, NULL), MF_OK);
	assert_int_equal(index, 8);
	assert_int_equal(mf_edit_remove(large, "new", 3, &gone, NULL, &index, NULL), MF_OK);
	assert_int_equal(index, 500000);
	assert_int_equal(mf_fragment_node_count(gone), 2);
	assert_int_equal(mf_doc_node_count(now), 1000000);
	mf_fragment_unref(gone);
	mf_edit_drop(large);
	assert_int_equal(mf_doc_node_count(doc), 1000001);
	assert_int_equal(mf_doc_index(doc, find(doc, "n7")), 7);
	mf_doc_unref(doc);
}

/* More than the document has: the map is built anew instead of filled one by one. */
static void a_large_subtree_goes_in_and_out(void **state)
{
	(void)state;
	struct mf_doc *source = flat_doc(3000), *doc = empty_doc();
	struct mf_edit *from = edit_of(source), *to = edit_of(doc);
	struct mf_fragment *fragment = NULL, *back = NULL;
	insert_leaf(from, "root", 0, "top");
	for (size_t i = 0; i < 3000; i++) {
		char id[16];
		snprintf(id, sizeof(id), "n%zu", i);
		assert_int_equal(mf_edit_move(from, id, strlen(id), "top", 3, MF_APPEND, NULL, NULL, NULL), MF_OK);
	}
	assert_int_equal(mf_edit_remove(from, "top", 3, &fragment, NULL, NULL, NULL), MF_OK);
	insert_leaf(to, "root", 0, "a");
	assert_int_equal(mf_edit_insert(to, "a", 1, 0, fragment, NULL), MF_OK);
	check_doc(mf_edit_doc(to));
	assert_int_equal(mf_doc_node_count(mf_edit_doc(to)), 3003);
	assert_int_equal(mf_doc_index(mf_edit_doc(to), find(mf_edit_doc(to), "n1234")), 1234);
	assert_int_equal(mf_edit_remove(to, "a", 1, &back, NULL, NULL, NULL), MF_OK);
	check_doc(mf_edit_doc(to));
	assert_int_equal(mf_doc_node_count(mf_edit_doc(to)), 1);
	assert_int_equal(mf_fragment_node_count(back), 3002);
	mf_fragment_unref(fragment);
	mf_fragment_unref(back);
	mf_edit_drop(from);
	mf_edit_drop(to);
	mf_doc_unref(source);
	mf_doc_unref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_edits_match_a_plain_tree_and_old_versions_stay),
		cmocka_unit_test(labels_keep_their_order_wherever_nodes_are_inserted),
		cmocka_unit_test(labels_at_the_ends_of_their_range_make_room),
		cmocka_unit_test(a_whole_list_without_room_is_spread_over_the_range),
		cmocka_unit_test(a_million_children_are_inserted_moved_and_removed),
		cmocka_unit_test(a_large_subtree_goes_in_and_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
