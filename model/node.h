/* node.h - what a document holds for one node, and the document itself.
 *
 * A document is one persistent map, id -> node record, and nothing else: every
 * change to a node is one path copied in that map. Children are not pointers
 * but ids, so a changed node leaves its parent alone. The way from a child to
 * its index is the order label: record -> label -> rank in the parent's list.
 *
 * tree        kind  sort                    key            item            order
 * nodes       MAP   hash of the id          -              the record      hash, then bytes of the id
 * attributes  MAP   first 8 bytes of key    struct mf_str  struct mf_value bytes of the key
 * marks       MAP   first 8 bytes of type   struct mf_str  an object       bytes of the type
 * children    LIST  order label             id (mf_str)    own, max height order label
 *
 * Invariants
 * 1. A child's record holds the id of its parent and the label under which the parent's list has it.
 * 2. height is 1 for a leaf, else 1 + the max of the children list, whose entries' own is the child's height.
 * 3. Labels lie between 1 and UINT64_MAX - 1; the distances left between them make room for inserts.
 * 4. A record never changes once another thread can reach it; it is changed in place only while its
 *    count is 1 and the path to it in the map is owned (mf_tree_own). */
#pragma once

#include <moduforge/doc.h>
#include "model/str.h"
#include "model/tree.h"

struct mf_node {
	atomic_uint ref;
	uint32_t height;
	struct mf_str *id, *type;
	struct mf_str *parent; /* NULL: the root */
	uint64_t label;        /* under the parent; 0 for the root */
	struct mf_tree *attrs, *marks, *children;
};

struct mf_doc {
	atomic_uint ref;
	struct mf_tree *nodes;
};

extern const struct mf_tree_ops mf_node_ops;  /* nodes; compare takes a struct mf_bytes * */
extern const struct mf_tree_ops mf_attr_ops;  /* attributes and marks; compare takes a struct mf_bytes * */
extern const struct mf_tree_ops mf_child_ops; /* children */

/* What a node says about itself; everything borrowed. */
struct mf_node_parts {
	struct mf_str *id, *type;
	struct mf_tree *attrs, *marks;
};
/* A record without children: height 1, label 0, no parent. Takes references of its own. NULL: no memory. */
struct mf_node *mf_node_new(const struct mf_node_parts *parts);
struct mf_node *mf_node_copy(const struct mf_node *node); /* ref 1; NULL: no memory */
void mf_node_unref(struct mf_node *node);

/* ---- attributes and marks: a tree of mf_attr_ops ---- */
const struct mf_value *mf_attrs_get(const struct mf_tree *attrs, const char *key, size_t key_len); /* NULL if absent */
/* Takes references of its own. out_old (may be NULL) receives the caller's reference to the old value, or NULL. */
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
