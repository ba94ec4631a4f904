/* node.h - what a document holds for one node, and the document itself.
 *
 * A document is one persistent map, id -> node record, and nothing else: every
 * change to a node is one path copied in that map. A parent knows its children
 * by number, not by pointer, so a changed node leaves its parent alone. The way
 * from a child to its index is the order label: record -> label -> rank.
 *
 * what        is a  sort                    key            item
 * nodes       seq   hash of the id          -              the record, counted
 * children    seq   order label             -              the upper 56 bits of the child's hash, its height
 * attributes  tree  first 8 bytes of key    struct mf_str  struct mf_value
 * marks       tree  first 8 bytes of type   struct mf_str  an object
 *
 * A child is found by its hash among the nodes; should several have these 56 bits in common, it is the
 * one with this parent and this label. No reference count is touched when a list of children is copied.
 *
 * Invariants
 * 1. A child's record holds the id of its parent and the label under which the parent's list has it.
 * 2. height is 1 for a leaf, else 1 + the top of the children list.
 * 3. Labels lie between 1 and UINT64_MAX - 1; the distances left between them make room for inserts.
 * 4. A record never changes once another thread can reach it; it is changed in place only while its
 *    count is 1 and the path to it in the map is owned (mf_seq_own). */
#pragma once

#include <moduforge/doc.h>
#include "model/seq.h"
#include "model/str.h"
#include "model/tree.h"

struct mf_node {
	atomic_uint ref;
	uint32_t height;
	struct mf_str *id, *type;
	struct mf_str *parent; /* NULL: the root */
	uint64_t label;        /* under the parent; 0 for the root */
	struct mf_tree *attrs, *marks;
	struct mf_seq *children;
};

struct mf_doc {
	atomic_uint ref;
	struct mf_seq *nodes;
};

struct mf_doc *mf_edit_end(struct mf_edit *edit); /* mf_edit_finish without its status: nothing in it can fail */

extern const struct mf_seq_items mf_node_items; /* of nodes; children have none */
extern const struct mf_tree_ops mf_attr_ops;    /* of attributes and marks; compare takes a struct mf_bytes * */

/* What a node says about itself; everything borrowed. */
struct mf_node_parts {
	struct mf_str *id, *type;
	struct mf_tree *attrs, *marks;
};
/* A record without children: height 1, label 0, no parent. Takes references of its own. NULL: no memory. */
struct mf_node *mf_node_new(const struct mf_node_parts *parts);
struct mf_node *mf_node_copy(const struct mf_node *node); /* ref 1; NULL: no memory */
void mf_node_unref(struct mf_node *node);

/* ---- the map and the lists of children ---- */
/* NULL if absent. *out_index is its place in the map, for a change; NULL when it is only to be read. */
struct mf_node *mf_nodes_find(const struct mf_seq *nodes, const struct mf_bytes *id, uint64_t hash, size_t *out_index);
static inline struct mf_node *mf_nodes_find_str(const struct mf_seq *nodes, const struct mf_str *id, size_t *out_index)
{
	const struct mf_bytes bytes = {id->bytes, id->len};
	return mf_nodes_find(nodes, &bytes, id->hash, out_index);
}
/* The child that this entry of parent's children stands for; it is there. */
struct mf_node *mf_nodes_child(const struct mf_seq *nodes, const struct mf_node *parent, const struct mf_seq_entry *entry, size_t *out_index);
static inline struct mf_seq_entry mf_child_entry(const struct mf_node *child)
{
	return (struct mf_seq_entry){child->label, (child->id->hash & ~(uint64_t)0xff) | child->height};
}
static inline struct mf_seq_entry mf_node_entry(const struct mf_node *node)
{
	return (struct mf_seq_entry){node->id->hash, (uintptr_t)node};
}
static inline struct mf_node *mf_entry_node(const struct mf_seq_entry *entry)
{
	return (struct mf_node *)(uintptr_t)entry->item;
}

/* ---- attributes and marks: a tree of mf_attr_ops ---- */
const struct mf_value *mf_attrs_get(const struct mf_tree *attrs, const char *key, size_t key_len); /* NULL if absent */
/* Takes references of its own. out_old (may be NULL) receives the caller's reference to the old value, or NULL.
 * What is removed must be there, and out_old too. */
MF_MUST_CHECK enum mf_status mf_attrs_put(struct mf_tree **attrs, const char *key, size_t key_len, const struct mf_value *value, struct mf_value **out_old);
MF_MUST_CHECK enum mf_status mf_attrs_remove(struct mf_tree **attrs, const char *key, size_t key_len, struct mf_value **out_old);
void mf_attrs_visit(const struct mf_tree *attrs, mf_member_visit *visit, void *user); /* in key order, until false */

/* ---- checks that edits and fragments share: MF_ERR_INVALID with a sentence ---- */
/* 1 to MF_ID_MAX bytes of UTF-8 without U+0000; what is "node id", "mark type" ... */
MF_MUST_CHECK enum mf_status mf_check_name(const char *what, const char *bytes, size_t len, struct mf_error *error);
/* An attribute: any key of UTF-8 without U+0000 (also the empty one), value (NULL: none) at most MF_DEPTH_MAX deep. */
MF_MUST_CHECK enum mf_status mf_check_attr(const char *key, size_t key_len, const struct mf_value *value, struct mf_error *error);
/* A mark: type as a name, attrs (NULL: none) an object at most MF_DEPTH_MAX deep. */
MF_MUST_CHECK enum mf_status mf_check_mark(const char *type, size_t type_len, const struct mf_value *attrs, struct mf_error *error);

/* Bytes as they may stand in an error: "%.*s", MF_SHOW(bytes, len). Valid UTF-8, cut at 64 bytes. */
int mf_show_len(const char *bytes, size_t len);
#define MF_SHOW(bytes, len) mf_show_len(bytes, len), (bytes)
