/* Documents: creation, and every question that can be asked of one. */
#include <moduforge/doc.h>

#include "model/mem.h"
#include "model/node.h"

/* ---- life cycle ---- */

static struct mf_node *new_root(void)
{
	struct mf_node_parts parts = {0};
	struct mf_node *root = NULL;
	parts.id = mf_str_new(MF_ROOT_ID, sizeof(MF_ROOT_ID) - 1);
	parts.type = mf_str_new(MF_ROOT_TYPE, sizeof(MF_ROOT_TYPE) - 1);
	if (parts.id && parts.type)
		root = mf_node_new(&parts);
	mf_str_unref(parts.id);
	mf_str_unref(parts.type);
	return root;
}

enum mf_status mf_doc_new(struct mf_doc **out)
{
	struct mf_doc *doc = mf_calloc(1, sizeof(*doc));
	struct mf_node *root = new_root();
	if (!doc || !root)
		goto fail;
	const struct mf_seq_entry entry = mf_node_entry(root);
	if (mf_seq_build(&mf_node_items, &entry, 1, &doc->nodes))
		goto fail;
	atomic_init(&doc->ref, 1);
	*out = doc;
	return MF_OK;
fail:
	mf_node_unref(root);
	mf_free(doc);
	return MF_ERR_NO_MEMORY;
}

struct mf_doc *mf_doc_ref(const struct mf_doc *doc)
{
	struct mf_doc *same = (struct mf_doc *)doc;
	atomic_fetch_add_explicit(&same->ref, 1, memory_order_relaxed);
	return same;
}

void mf_doc_unref(struct mf_doc *doc)
{
	if (!doc || atomic_fetch_sub_explicit(&doc->ref, 1, memory_order_acq_rel) != 1)
		return;
	mf_seq_unref(&mf_node_items, doc->nodes);
	mf_free(doc);
}

/* ---- documents ---- */

size_t mf_doc_node_count(const struct mf_doc *doc)
{
	return mf_seq_count(doc->nodes);
}

const struct mf_node *mf_doc_find(const struct mf_doc *doc, const char *id, size_t id_len)
{
	const struct mf_bytes key = {id, id_len};
	return mf_nodes_find(doc->nodes, &key, mf_str_hash(id, id_len), NULL);
}

const struct mf_node *mf_doc_root(const struct mf_doc *doc)
{
	return mf_doc_find(doc, MF_ROOT_ID, sizeof(MF_ROOT_ID) - 1);
}

const struct mf_node *mf_doc_parent(const struct mf_doc *doc, const struct mf_node *node)
{
	return node->parent ? mf_nodes_find_str(doc->nodes, node->parent, NULL) : NULL;
}

const struct mf_node *mf_doc_child(const struct mf_doc *doc, const struct mf_node *node, size_t index)
{
	if (index >= mf_seq_count(node->children))
		return NULL;
	const struct mf_seq_entry entry = mf_seq_at(node->children, index);
	return mf_nodes_child(doc->nodes, node, &entry, NULL);
}

size_t mf_doc_index(const struct mf_doc *doc, const struct mf_node *node)
{
	const struct mf_node *parent = mf_doc_parent(doc, node);
	return parent ? mf_seq_rank(parent->children, node->label) : 0;
}

void mf_doc_children(const struct mf_doc *doc, const struct mf_node *node, bool (*visit)(void *user, const struct mf_node *child), void *user)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	mf_seq_iterate(&iter, node->children, 0);
	while (mf_seq_next(&iter, &entry))
		if (!visit(user, mf_nodes_child(doc->nodes, node, &entry, NULL)))
			return;
}

/* ---- nodes ---- */

const char *mf_node_id(const struct mf_node *node, size_t *out_len)
{
	if (out_len)
		*out_len = node->id->len;
	return node->id->bytes;
}

const char *mf_node_type(const struct mf_node *node, size_t *out_len)
{
	if (out_len)
		*out_len = node->type->len;
	return node->type->bytes;
}

size_t mf_node_child_count(const struct mf_node *node)
{
	return mf_seq_count(node->children);
}

size_t mf_node_attr_count(const struct mf_node *node)
{
	return mf_tree_count(node->attrs);
}

size_t mf_node_mark_count(const struct mf_node *node)
{
	return mf_tree_count(node->marks);
}

const struct mf_value *mf_node_attr(const struct mf_node *node, const char *key, size_t key_len)
{
	return mf_attrs_get(node->attrs, key, key_len);
}

const struct mf_value *mf_node_mark(const struct mf_node *node, const char *type, size_t type_len)
{
	return mf_attrs_get(node->marks, type, type_len);
}

void mf_node_attrs(const struct mf_node *node, mf_member_visit *visit, void *user)
{
	mf_attrs_visit(node->attrs, visit, user);
}

void mf_node_marks(const struct mf_node *node, mf_member_visit *visit, void *user)
{
	mf_attrs_visit(node->marks, visit, user);
}
