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

/* A child on the stack: item is its record until its parent's turn. */
static void adopt(const struct mf_node *parent, struct mf_seq_entry *children, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct mf_node *child = mf_entry_node(&children[i]);
		child->parent = mf_str_ref(parent->id);
		child->label = MF_LABEL_FIRST + i * MF_LABEL_GAP;
		children[i] = mf_child_entry(child);
	}
}

static enum mf_status build_children(struct mf_node *parent, struct mf_seq_entry *children, size_t count)
{
	adopt(parent, children, count);
	enum mf_status status = mf_seq_build(NULL, children, count, &parent->children);
	if (!status)
		parent->height = 1 + mf_seq_top(parent->children);
	return status;
}

static enum mf_status build_records(const struct mf_fragment *fragment, struct mf_seq_entry *stack, struct mf_seq_entry *records)
{
	size_t top = fragment->count;
	for (size_t i = fragment->count; i-- > 0;) {
		const struct mf_fragment_node *from = &fragment->nodes[i];
		struct mf_node *node = mf_node_new(&from->parts);
		if (!node)
			return MF_ERR_NO_MEMORY;
		records[i] = mf_node_entry(node);
		enum mf_status status = build_children(node, stack + top, from->child_count);
		if (status)
			return status;
		top += from->child_count;
		stack[--top] = records[i];
	}
	return MF_OK;
}

enum mf_status mf_records_from_fragment(const struct mf_fragment *fragment, struct mf_seq_entry **out)
{
	struct mf_seq_entry *stack = mf_calloc(fragment->count, sizeof(*stack));
	struct mf_seq_entry *records = mf_calloc(fragment->count, sizeof(*records));
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

void mf_records_free(struct mf_seq_entry *records, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mf_node_unref(mf_entry_node(&records[i]));
	mf_free(records);
}

/* ---- records into the map ---- */

static int compare_records(const void *a, const void *b)
{
	const struct mf_seq_entry *first = a, *second = b;
	return first->sort < second->sort ? -1 : first->sort > second->sort;
}

static enum mf_status add_singly(struct mf_seq **nodes, struct mf_seq_entry *records, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum mf_status status = mf_seq_insert(&mf_node_items, nodes, mf_seq_rank(*nodes, records[i].sort), &records[i]);
		if (status)
			return status;
		records[i].item = 0;
	}
	return MF_OK;
}

/* A new map of what is there and what comes; takes no references. */
static enum mf_status merge(const struct mf_seq *nodes, const struct mf_seq_entry *records, size_t count, struct mf_seq **out)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry old;
	size_t total = mf_seq_count(nodes) + count, from = 0;
	struct mf_seq_entry *all = mf_malloc(total * sizeof(*all));
	if (!all)
		return MF_ERR_NO_MEMORY;
	mf_seq_iterate(&iter, nodes, 0);
	bool more = mf_seq_next(&iter, &old);
	for (size_t i = 0; i < total; i++) {
		if (more && (from == count || old.sort < records[from].sort)) {
			all[i] = old;
			more = mf_seq_next(&iter, &old);
		} else {
			all[i] = records[from++];
		}
	}
	enum mf_status status = mf_seq_build(&mf_node_items, all, total, out);
	mf_free(all);
	return status;
}

static enum mf_status rebuild(struct mf_seq **nodes, struct mf_seq_entry *records, size_t count)
{
	struct mf_seq *all = NULL;
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	enum mf_status status = merge(*nodes, records, count, &all);
	if (status)
		return status;
	mf_seq_iterate(&iter, *nodes, 0);
	while (mf_seq_next(&iter, &entry))
		mf_node_items.ref(entry.item);
	for (size_t i = 0; i < count; i++)
		records[i].item = 0;
	mf_seq_unref(&mf_node_items, *nodes);
	*nodes = all;
	return MF_OK;
}

enum mf_status mf_records_add(struct mf_seq **nodes, struct mf_seq_entry *records, size_t count)
{
	if (count > 1)
		qsort(records, count, sizeof(*records), compare_records); /* neighbours in the map, one after the other */
	return count > 1 && count >= mf_seq_count(*nodes) ? rebuild(nodes, records, count) : add_singly(nodes, records, count);
}

enum mf_status mf_doc_from_fragment(const struct mf_fragment *fragment, struct mf_doc **out, struct mf_error *error)
{
	const struct mf_node_parts *top = &fragment->nodes[0].parts;
	if (!mf_str_is(top->id, MF_ROOT_ID, sizeof(MF_ROOT_ID) - 1) || !mf_str_is(top->type, MF_ROOT_TYPE, sizeof(MF_ROOT_TYPE) - 1))
		return mf_error_set(error, MF_ERR_INVALID, "the top node is not {\"id\":\"%s\",\"type\":\"%s\"}", MF_ROOT_ID, MF_ROOT_TYPE);
	struct mf_seq_entry *records;
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
