/* moduforge/doc.h - documents: immutable trees of nodes, and edits that make new ones.
 *
 * A document is a value: reading it needs no lock and it never changes. An edit
 * is a private copy that grows step by step and is then finished into a new
 * document, or dropped; the two share everything that the edit did not touch.
 *
 * Invariants
 * 1. Every document has a root, id "root", type "doc"; it can be neither moved nor deleted.
 * 2. Ids are unique within a document. Ids and types are 1 to 1024 bytes of UTF-8 without U+0000.
 * 3. Children are ordered; marks are a set by type, sorted by type; attributes
 *    are a map sorted by the bytes of the key.
 * 4. The tree is at most MF_DEPTH_MAX deep (the root alone is depth 1).
 * 5. Every call below that takes an index or an id is O(log n) in the number of
 *    nodes (amortised for inserts), also in a flat document with a million
 *    children; what takes or gives a subtree of m nodes is O(m log n).
 *
 * Ownership: _ref/_unref; nodes are borrowed from their document (or edit, until its next change).
 * Thread: documents may be read by any thread; an edit belongs to one thread. */
#pragma once

#include <moduforge/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MF_ID_MAX 1024            /* bytes of an id, a type, a doc_id, a key */
#define MF_APPEND ((size_t)-1)    /* as an index: after the last child */
#define MF_ROOT_ID "root"
#define MF_ROOT_TYPE "doc"

struct mf_doc;
struct mf_node;
struct mf_edit;
struct mf_fragment;

/* ---- documents ---- */
MF_API MF_MUST_CHECK enum mf_status mf_doc_new(struct mf_doc **out); /* the root alone */
MF_API struct mf_doc *mf_doc_ref(const struct mf_doc *doc);
MF_API void mf_doc_unref(struct mf_doc *doc);
MF_API size_t mf_doc_node_count(const struct mf_doc *doc);              /* root included */
MF_API const struct mf_node *mf_doc_root(const struct mf_doc *doc);
MF_API const struct mf_node *mf_doc_find(const struct mf_doc *doc, const char *id, size_t id_len); /* NULL if absent */
MF_API const struct mf_node *mf_doc_parent(const struct mf_doc *doc, const struct mf_node *node);  /* NULL for the root */
MF_API const struct mf_node *mf_doc_child(const struct mf_doc *doc, const struct mf_node *node, size_t index); /* NULL beyond the end */
MF_API size_t mf_doc_index(const struct mf_doc *doc, const struct mf_node *node); /* position under its parent; 0 for the root */
/* Calls visit for every child of node, in order, until one returns false. O(children * log n). */
MF_API void mf_doc_children(const struct mf_doc *doc, const struct mf_node *node, bool (*visit)(void *user, const struct mf_node *child), void *user);

/* ---- nodes ---- */
MF_API const char *mf_node_id(const struct mf_node *node, size_t *out_len);   /* NUL-terminated; out_len may be NULL */
MF_API const char *mf_node_type(const struct mf_node *node, size_t *out_len);
MF_API size_t mf_node_child_count(const struct mf_node *node);
MF_API size_t mf_node_attr_count(const struct mf_node *node);
MF_API size_t mf_node_mark_count(const struct mf_node *node);
MF_API const struct mf_value *mf_node_attr(const struct mf_node *node, const char *key, size_t key_len); /* NULL if absent */
MF_API const struct mf_value *mf_node_mark(const struct mf_node *node, const char *type, size_t type_len); /* its attrs, an object; NULL if absent */
/* In key order; stop when visit returns false. For marks, key is the type and value its attributes. */
typedef bool mf_member_visit(void *user, const char *key, size_t key_len, const struct mf_value *value);
MF_API void mf_node_attrs(const struct mf_node *node, mf_member_visit *visit, void *user);
MF_API void mf_node_marks(const struct mf_node *node, mf_member_visit *visit, void *user);

/* ---- fragments: a detached subtree, immutable, reference counted ---- */
/* From the JSON form {"id","type","attrs","marks","children"} (attrs, marks, children may be absent;
 * any other member, a wrong type, a repeated id or mark is MF_ERR_INVALID). */
MF_API MF_MUST_CHECK enum mf_status mf_fragment_from_value(const struct mf_value *value, struct mf_fragment **out, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_fragment_to_value(const struct mf_fragment *fragment, struct mf_value **out);
MF_API struct mf_fragment *mf_fragment_ref(const struct mf_fragment *fragment);
MF_API void mf_fragment_unref(struct mf_fragment *fragment);
MF_API size_t mf_fragment_node_count(const struct mf_fragment *fragment);
MF_API const char *mf_fragment_id(const struct mf_fragment *fragment, size_t *out_len); /* of its top node */

/* ---- edits ---- */
/* A failed call leaves the edit as it was. Errors: MF_ERR_INVALID when the change does not fit the
 * state (missing node, duplicate id, move under itself, index out of range, too deep), MF_ERR_NO_MEMORY. */
MF_API MF_MUST_CHECK enum mf_status mf_edit_begin(const struct mf_doc *doc, struct mf_edit **out);
MF_API MF_MUST_CHECK enum mf_status mf_edit_finish(struct mf_edit *edit, struct mf_doc **out); /* frees the edit on success and on failure */
MF_API void mf_edit_drop(struct mf_edit *edit);                                                /* NULL is fine */
/* The edit as it is now, for the queries above; borrowed until the next change of the edit. */
MF_API const struct mf_doc *mf_edit_doc(const struct mf_edit *edit);

MF_API MF_MUST_CHECK enum mf_status mf_edit_insert(struct mf_edit *edit, const char *parent, size_t parent_len, size_t index,
						   const struct mf_fragment *fragment, struct mf_error *error);
/* Any out parameter may be NULL. out_parent is the id of the old parent (a value of kind string). */
MF_API MF_MUST_CHECK enum mf_status mf_edit_remove(struct mf_edit *edit, const char *id, size_t id_len, struct mf_fragment **out_fragment,
						   struct mf_value **out_parent, size_t *out_index, struct mf_error *error);
/* index counts positions after the node was taken out. */
MF_API MF_MUST_CHECK enum mf_status mf_edit_move(struct mf_edit *edit, const char *id, size_t id_len, const char *parent, size_t parent_len,
						 size_t index, struct mf_value **out_old_parent, size_t *out_old_index, struct mf_error *error);
/* value NULL unsets. out_old (may be NULL) receives a reference to the old value, or NULL if there was none. */
MF_API MF_MUST_CHECK enum mf_status mf_edit_set_attr(struct mf_edit *edit, const char *id, size_t id_len, const char *key, size_t key_len,
						     const struct mf_value *value, struct mf_value **out_old, struct mf_error *error);
/* attrs (an object) NULL removes the mark. */
MF_API MF_MUST_CHECK enum mf_status mf_edit_set_mark(struct mf_edit *edit, const char *id, size_t id_len, const char *type, size_t type_len,
						     const struct mf_value *attrs, struct mf_value **out_old, struct mf_error *error);
/* On the string attribute "text"; pos and del in code points; insert is a string. */
MF_API MF_MUST_CHECK enum mf_status mf_edit_replace_text(struct mf_edit *edit, const char *id, size_t id_len, size_t pos, size_t del,
							 const struct mf_value *insert, struct mf_value **out_deleted, struct mf_error *error);

/* ---- canonical form and digest ---- */
/* Receives pieces of a byte stream in order; a status other than MF_OK stops it and is returned. */
typedef enum mf_status mf_sink(void *user, const void *bytes, size_t len);

/* The canonical JSON of the tree: {"attrs":{},"children":[],"id":"root","marks":[],"type":"doc"},
 * keys sorted, no insignificant white space. O(n); recursion at most MF_DEPTH_MAX. */
MF_API MF_MUST_CHECK enum mf_status mf_doc_write_json(const struct mf_doc *doc, mf_sink *sink, void *user);

/* XXH3-128 (xxHash 0.8, seed 0) of the canonical JSON, in its canonical (big-endian) byte order.
 * Equal trees have equal digests, whatever way led there. */
#define MF_DIGEST_BYTES 16
#define MF_DIGEST_HEX (2 * MF_DIGEST_BYTES)
struct mf_digest {
	uint8_t bytes[MF_DIGEST_BYTES];
};
MF_API MF_MUST_CHECK enum mf_status mf_doc_digest(const struct mf_doc *doc, struct mf_digest *out);
MF_API void mf_digest_hex(const struct mf_digest *digest, char out[MF_DIGEST_HEX + 1]); /* lower case */

#ifdef __cplusplus
}
#endif
