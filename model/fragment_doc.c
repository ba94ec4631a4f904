/* Between documents and fragments: a subtree's records to a flat array of parts, and back.
 *
 * Back: the array is read from its end, so that the children of a node are complete when its turn
 * comes. They wait on a stack that grows downwards, where they lie in order, as the entries that
 * their parent's list is built from in one go. */
#include "model/fragment.h"

#include <stdlib.h>

#include "model/mem.h"
#include "model/place.h"
#include "model/records.h"

/* ---- from a document ---- */

struct copying {
	const struct mf_doc *doc;
	struct mf_fragment_builder builder;
	enum mf_status status;
};

static bool copy_subtree(void *user, const struct mf_node *node)
{
	struct copying *copying = user;
	if (!mf_fragment_builder_reserve(&copying->builder, 1)) {
		copying->status = MF_ERR_NO_MEMORY;
		return false;
	}
	const struct mf_node_parts parts = {mf_str_ref(node->id), mf_str_ref(node->type), mf_tree_ref(node->attrs), mf_tree_ref(node->marks)};
	mf_fragment_builder_push(&copying->builder, &parts);
	mf_doc_children(copying->doc, node, copy_subtree, copying);
	mf_fragment_builder_close(&copying->builder);
	return copying->status == MF_OK;
}

enum mf_status mf_fragment_from_node(const struct mf_doc *doc, const struct mf_node *node, struct mf_fragment **out)
{
	struct copying copying = {.doc = doc, .status = MF_OK};
	mf_fragment_builder_init(&copying.builder);
	if (!mf_fragment_builder_reserve(&copying.builder, 1 + mf_node_child_count(node)))
		return MF_ERR_NO_MEMORY;
	copy_subtree(&copying, node);
	if (!copying.status)
		copying.status = mf_fragment_builder_finish(&copying.builder, out, NULL);
	mf_fragment_builder_deinit(&copying.builder);
	return copying.status;
}

enum mf_status mf_fragment_from_doc(const struct mf_doc *doc, struct mf_fragment **out)
{
	return mf_fragment_from_node(doc, mf_doc_root(doc), out);
}

/* ---- to records ---- */

/* A child on the stack: key is its record until its parent's turn. */
static void adopt(const struct mf_node *parent, struct mf_tree_entry *children, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct mf_node *child = (struct mf_node *)children[i].key;
		child->parent = mf_str_ref(parent->id);
		child->label = MF_LABEL_FIRST + i * MF_LABEL_GAP;
		children[i] = (struct mf_tree_entry){.sort = child->label, .key = child->id, .own = child->height};
	}
}

static enum mf_status build_children(struct mf_node *parent, struct mf_tree_entry *children, size_t count)
{
	adopt(parent, children, count);
	enum mf_status status = mf_tree_build(&mf_child_ops, children, count, &parent->children);
	if (status)
		return status;
	for (size_t i = 0; i < count; i++)
		mf_str_ref(children[i].key); /* the list's */
	parent->height = 1 + mf_tree_max(parent->children);
	return MF_OK;
}

static enum mf_status build_records(const struct mf_fragment *fragment, struct mf_tree_entry *stack, struct mf_tree_entry *records)
{
	size_t top = fragment->count;
	for (size_t i = fragment->count; i-- > 0;) {
		const struct mf_fragment_node *from = &fragment->nodes[i];
		struct mf_node *node = mf_node_new(&from->parts);
		if (!node)
			return MF_ERR_NO_MEMORY;
		records[i] = (struct mf_tree_entry){.sort = node->id->hash, .item = node};
		enum mf_status status = build_children(node, stack + top, from->child_count);
		if (status)
			return status;
		top += from->child_count;
		stack[--top].key = node;
	}
	return MF_OK;
}

enum mf_status mf_records_from_fragment(const struct mf_fragment *fragment, struct mf_tree_entry **out)
{
	struct mf_tree_entry *stack = mf_calloc(fragment->count, sizeof(*stack));
	struct mf_tree_entry *records = mf_calloc(fragment->count, sizeof(*records));
	enum mf_status status = stack && records ? build_records(fragment, stack, records) : MF_ERR_NO_MEMORY;
	mf_free(stack);
	if (status) {
		if (records)
			mf_records_free(records, fragment->count);
		return status;
	}
	*out = records;
	return MF_OK;
}

void mf_records_free(struct mf_tree_entry *records, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mf_node_unref(records[i].item);
	mf_free(records);
}

/* ---- records into the map ---- */

static int compare_records(const void *a, const void *b)
{
	const struct mf_tree_entry *first = a, *second = b;
	if (first->sort != second->sort)
		return first->sort < second->sort ? -1 : 1;
	const struct mf_str *first_id = ((struct mf_node *)first->item)->id, *second_id = ((struct mf_node *)second->item)->id;
	return mf_bytes_compare(first_id->bytes, first_id->len, second_id->bytes, second_id->len);
}

static enum mf_status add_singly(struct mf_tree **nodes, struct mf_tree_entry *records, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct mf_node *node = records[i].item;
		const struct mf_bytes key = {node->id->bytes, node->id->len};
		size_t rank = mf_tree_rank(&mf_node_ops, *nodes, node->id->hash, &key);
		enum mf_status status = mf_tree_insert_at(&mf_node_ops, nodes, rank, &records[i]);
		if (status)
			return status;
		records[i].item = NULL;
	}
	return MF_OK;
}

/* A new tree of what is there and what comes; takes no references. */
static enum mf_status merge(const struct mf_tree *nodes, const struct mf_tree_entry *records, size_t count, struct mf_tree **out)
{
	struct mf_tree_iter iter;
	size_t total = mf_tree_count(nodes) + count, from = 0;
	struct mf_tree_entry *all = mf_malloc(total * sizeof(*all));
	if (!all)
		return MF_ERR_NO_MEMORY;
	mf_tree_iterate(&iter, nodes, 0);
	const struct mf_tree_entry *old = mf_tree_next(&iter);
	for (size_t i = 0; i < total; i++) {
		if (old && (from == count || compare_records(old, &records[from]) < 0)) {
			all[i] = *old;
			old = mf_tree_next(&iter);
		} else {
			all[i] = records[from++];
		}
	}
	enum mf_status status = mf_tree_build(&mf_node_ops, all, total, out);
	mf_free(all);
	return status;
}

static enum mf_status rebuild(struct mf_tree **nodes, struct mf_tree_entry *records, size_t count)
{
	struct mf_tree *all = NULL;
	struct mf_tree_iter iter;
	enum mf_status status = merge(*nodes, records, count, &all);
	if (status)
		return status;
	mf_tree_iterate(&iter, *nodes, 0);
	for (const struct mf_tree_entry *entry; (entry = mf_tree_next(&iter));)
		mf_node_ops.ref(entry);
	for (size_t i = 0; i < count; i++)
		records[i].item = NULL;
	mf_tree_unref(&mf_node_ops, *nodes);
	*nodes = all;
	return MF_OK;
}

enum mf_status mf_records_add(struct mf_tree **nodes, struct mf_tree_entry *records, size_t count)
{
	if (count > 1)
		qsort(records, count, sizeof(*records), compare_records); /* neighbours in the map, one after the other */
	return count > 1 && count >= mf_tree_count(*nodes) ? rebuild(nodes, records, count) : add_singly(nodes, records, count);
}

enum mf_status mf_doc_from_fragment(const struct mf_fragment *fragment, struct mf_doc **out, struct mf_error *error)
{
	const struct mf_node_parts *top = &fragment->nodes[0].parts;
	if (!mf_str_is(top->id, MF_ROOT_ID, sizeof(MF_ROOT_ID) - 1) || !mf_str_is(top->type, MF_ROOT_TYPE, sizeof(MF_ROOT_TYPE) - 1))
		return mf_error_set(error, MF_ERR_INVALID, "the top node is not {\"id\":\"%s\",\"type\":\"%s\"}", MF_ROOT_ID, MF_ROOT_TYPE);
	struct mf_tree_entry *records;
	struct mf_doc *doc = mf_calloc(1, sizeof(*doc));
	if (!doc)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a document");
	atomic_init(&doc->ref, 1);
	enum mf_status status = mf_records_from_fragment(fragment, &records);
	if (!status) {
		status = mf_records_add(&doc->nodes, records, fragment->count);
		mf_records_free(records, fragment->count);
	}
	if (status) {
		mf_doc_unref(doc);
		return mf_error_set(error, status, "no memory for a document of %zu nodes", fragment->count);
	}
	*out = doc;
	return MF_OK;
}
