/* fragment.h - detached subtrees from the inside: an immutable array of nodes in preorder.
 *
 * Flat, because it is only ever walked from the front: written to a step, read
 * from one, put into a document. Taking a subtree out of a document makes one
 * by taking references; nothing is copied deeply.
 *
 * Invariants
 * 1. nodes[0] is the top; the children of a node follow it, each with its own subtree.
 * 2. Ids are unique, and with the types valid (moduforge/doc.h, invariant 2).
 * 3. height is that of the top, 1 to MF_DEPTH_MAX; mark attributes are objects. */
#pragma once

#include <moduforge/doc.h>
#include "model/node.h"

struct mf_fragment_node {
	struct mf_node_parts parts; /* references of the fragment's own */
	uint32_t child_count;
};

struct mf_fragment {
	atomic_uint ref;
	uint32_t height;
	size_t count;
	struct mf_fragment_node nodes[];
};

/* index below mf_fragment_node_count, in preorder. Borrowed. For attributes and marks: mf_attrs_visit. */
static inline const struct mf_fragment_node *mf_fragment_node(const struct mf_fragment *fragment, size_t index)
{
	return &fragment->nodes[index];
}

/* ---- between documents and fragments ---- */
/* The whole document; its top is the root. O(n log n). */
MF_MUST_CHECK enum mf_status mf_fragment_from_doc(const struct mf_doc *doc, struct mf_fragment **out);
/* The subtree of node in doc. */
MF_MUST_CHECK enum mf_status mf_fragment_from_node(const struct mf_doc *doc, const struct mf_node *node, struct mf_fragment **out);
/* MF_ERR_INVALID if the top is not the root node {"id":"root","type":"doc"}. */
MF_MUST_CHECK enum mf_status mf_doc_from_fragment(const struct mf_fragment *fragment, struct mf_doc **out, struct mf_error *error);

/* ---- building one, node after node ----
 * init; open, attr..., mark..., {open ... close}..., close; finish; deinit in any case.
 * Every failure is MF_ERR_INVALID with a sentence that names the node, or MF_ERR_NO_MEMORY. */
struct mf_fragment_builder {
	struct mf_fragment *fragment; /* what there is so far; count is real, height is that of the deepest node */
	size_t capacity;
	size_t *slots;                /* ids seen: open addressing, node index + 1 */
	size_t slot_count;            /* a power of 2, or 0 */
	size_t open[MF_DEPTH_MAX];    /* nodes not closed, outermost first */
	unsigned depth;
};
void mf_fragment_builder_init(struct mf_fragment_builder *builder);
void mf_fragment_builder_deinit(struct mf_fragment_builder *builder);
/* A node under the innermost open one; the first is the top, and there is only one top. */
MF_MUST_CHECK enum mf_status mf_fragment_builder_open(struct mf_fragment_builder *builder, const struct mf_bytes *id, const struct mf_bytes *type, struct mf_error *error);
/* The same with parts that exist already; takes references of its own. Id, depth and top are checked as for open. */
MF_MUST_CHECK enum mf_status mf_fragment_builder_share(struct mf_fragment_builder *builder, const struct mf_node_parts *parts, struct mf_error *error);
/* Of the node opened last, before its first child. A repeated key or type is MF_ERR_INVALID. Takes a reference of its own. */
MF_MUST_CHECK enum mf_status mf_fragment_builder_attr(struct mf_fragment_builder *builder, const char *key, size_t key_len, const struct mf_value *value, struct mf_error *error);
MF_MUST_CHECK enum mf_status mf_fragment_builder_mark(struct mf_fragment_builder *builder, const char *type, size_t type_len, const struct mf_value *attrs, struct mf_error *error);
/* Without the checks, for nodes that come from a document: room first, then push as often as there is
 * room. push opens the node and takes the references in parts. */
bool mf_fragment_builder_reserve(struct mf_fragment_builder *builder, size_t more);
void mf_fragment_builder_push(struct mf_fragment_builder *builder, const struct mf_node_parts *parts);
void mf_fragment_builder_close(struct mf_fragment_builder *builder);
/* The fragment; the builder is as after init. MF_ERR_INVALID when a node is open or there is none. */
MF_MUST_CHECK enum mf_status mf_fragment_builder_finish(struct mf_fragment_builder *builder, struct mf_fragment **out, struct mf_error *error);
