/* tree.h - a persistent balanced tree: the attributes and marks of a node, the pieces of a long text.
 * (For what may have a million entries, ids and children, see seq.h.)
 *
 * A weight-balanced binary tree (Adams; the integer parameters (3,2) that Hirai and Yamamoto
 * proved), changed by copying the path to the change. Nodes that have one owner are changed in
 * place instead, so a private copy that grows costs one path copy and then nothing. It serves
 * two uses, told apart by the kind in the table of operations:
 *
 *   kind   entry.sort        entry.key   entry.item   found by
 *   MAP    order prefix      the key     the value    (sort, key); index
 *   SUM    sum (aggregate)   sum2 (agg.) the item     position in sum or sum2; index
 *
 * Invariants
 * 1. For each node: count(left) + 1 <= 3 * (count(right) + 1) and the other way round; so the
 *    height is at most MF_TREE_HEIGHT_MAX, which bounds every recursion and every stack here.
 * 2. MAP: strictly ascending by sort, then by ops->compare, from left to right.
 * 3. In a node of a SUM tree sum and sum2 are those of its whole subtree; entries given to and
 *    received from functions hold those of the one item.
 * 4. A node that somebody else can reach has ref > 1 on the way to it, and never changes.
 * 5. NULL is the empty tree.
 *
 * Memory: an operation that changes a tree first makes sure of all the nodes it can need, so it
 * fails before it began or not at all: on MF_ERR_NO_MEMORY *root is as it was. (spare.h)
 *
 * Ownership: *root is one reference, owned by the caller. An entry that is put in hands its
 * references over on success only; one that is taken out hands them to the caller.
 * Thread: trees may be read by any thread; reference counts are atomic. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <moduforge/status.h>

#define MF_TREE_HEIGHT_MAX 80 /* log(2^32) / log(4/3) = 77.1 */

enum mf_tree_kind { MF_TREE_MAP, MF_TREE_SUM };

struct mf_tree_entry {
	union {
		uint64_t sort;
		uint64_t sum;
	};
	union {
		const void *key;
		uint64_t sum2;
	};
	void *item;
};

struct mf_tree {
	atomic_uint ref;
	uint32_t count; /* entries in this subtree */
	struct mf_tree_entry entry;
	struct mf_tree *left, *right;
};

struct mf_tree_ops {
	enum mf_tree_kind kind;
	void (*ref)(const struct mf_tree_entry *entry);   /* take the references that entry holds once more */
	void (*unref)(const struct mf_tree_entry *entry); /* give them back */
	/* Order of key (as the caller passed it) against an entry with the same sort. MAP only. */
	int (*compare)(const void *key, const struct mf_tree_entry *entry);
};

/* ---- life cycle ---- */
static inline size_t mf_tree_count(const struct mf_tree *root)
{
	return root ? root->count : 0;
}
struct mf_tree *mf_tree_ref(const struct mf_tree *root); /* NULL gives NULL */
void mf_tree_unref(const struct mf_tree_ops *ops, struct mf_tree *root);
/* A tree of entries[0..count), already in order; takes all their references on success. O(count). */
MF_MUST_CHECK enum mf_status mf_tree_build(const struct mf_tree_ops *ops, const struct mf_tree_entry *entries, size_t count, struct mf_tree **out);

/* ---- MAP: by (sort, key) ---- */
static inline int mf_tree_order(const struct mf_tree_ops *ops, uint64_t sort, const void *key, const struct mf_tree *node)
{
	if (sort != node->entry.sort)
		return sort < node->entry.sort ? -1 : 1;
	return ops->compare(key, &node->entry);
}
const struct mf_tree_entry *mf_tree_find(const struct mf_tree_ops *ops, const struct mf_tree *root, uint64_t sort, const void *key); /* NULL if absent */
/* How many entries come before (sort, key), which need not be there. */
size_t mf_tree_rank(const struct mf_tree_ops *ops, const struct mf_tree *root, uint64_t sort, const void *key);
/* key is what ops->compare understands and equals entry->key. A present entry is replaced and handed
 * to out_old (NULL: given back); *out_replaced tells which it was. */
MF_MUST_CHECK enum mf_status mf_tree_put(const struct mf_tree_ops *ops, struct mf_tree **root, const void *key, const struct mf_tree_entry *entry,
					 struct mf_tree_entry *out_old, bool *out_replaced);
/* The entry must be there. out_old NULL: its references are given back. */
MF_MUST_CHECK enum mf_status mf_tree_remove(const struct mf_tree_ops *ops, struct mf_tree **root, uint64_t sort, const void *key, struct mf_tree_entry *out_old);

/* ---- both kinds: by index, which must be below the count (insert: at most the count) ---- */
const struct mf_tree_entry *mf_tree_at(const struct mf_tree *root, size_t index); /* SUM: sums are those of the subtree; see mf_tree_item */
MF_MUST_CHECK enum mf_status mf_tree_insert_at(const struct mf_tree_ops *ops, struct mf_tree **root, size_t index, const struct mf_tree_entry *entry);
MF_MUST_CHECK enum mf_status mf_tree_remove_at(const struct mf_tree_ops *ops, struct mf_tree **root, size_t index, struct mf_tree_entry *out_old);
MF_MUST_CHECK enum mf_status mf_tree_replace_at(const struct mf_tree_ops *ops, struct mf_tree **root, size_t index, const struct mf_tree_entry *entry,
						struct mf_tree_entry *out_old);
/* Entries [0, index) and [index, count). Takes root's reference on success: *root is NULL then. index <= count. */
MF_MUST_CHECK enum mf_status mf_tree_split(const struct mf_tree_ops *ops, struct mf_tree **root, size_t index, struct mf_tree **out_left, struct mf_tree **out_right);
/* The entries of *left, then those of *right (for MAP the caller vouches for the order).
 * Takes both references on success: they are NULL then. */
MF_MUST_CHECK enum mf_status mf_tree_concat(const struct mf_tree_ops *ops, struct mf_tree **left, struct mf_tree **right, struct mf_tree **out);

/* ---- SUM ---- */
static inline uint64_t mf_tree_sum(const struct mf_tree *root)
{
	return root ? root->entry.sum : 0;
}
static inline uint64_t mf_tree_sum2(const struct mf_tree *root)
{
	return root ? root->entry.sum2 : 0;
}
/* The entry at index, with the sums of that one item. */
struct mf_tree_entry mf_tree_item(const struct mf_tree *root, size_t index);
/* The item that holds position (below the total sum): its index, and in *out_offset how far into
 * the item position lies. With mf_tree_locate2 position counts in sum2. */
size_t mf_tree_locate(const struct mf_tree *root, uint64_t position, uint64_t *out_offset);
size_t mf_tree_locate2(const struct mf_tree *root, uint64_t position, uint64_t *out_offset);

/* ---- in order, without recursion: for (const struct mf_tree_entry *e; (e = mf_tree_next(&iter));) ---- */
struct mf_tree_iter {
	const struct mf_tree *stack[MF_TREE_HEIGHT_MAX];
	unsigned depth;
};
void mf_tree_iterate(struct mf_tree_iter *iter, const struct mf_tree *root, size_t from); /* from index, at most the count */
const struct mf_tree_entry *mf_tree_next(struct mf_tree_iter *iter);                      /* NULL at the end; SUM: subtree sums */

/* ---- for tests ---- */
void mf_tree_trim(void); /* frees the calling thread's spare nodes (spare.h), of all kinds */
bool mf_tree_is_valid(const struct mf_tree_ops *ops, const struct mf_tree *root); /* invariants 1 to 3; key order is not looked at */
