/* seq.h - a persistent sequence of a million entries whose lookups touch few cache lines: the map
 * id -> node, and the children of a node.
 *
 * A counted B+ tree, changed by copying the blocks on the path to the change, or in place where a
 * block has one owner. Why not the binary tree (tree.h) here: in a million entries it is 20 to 24
 * levels high, the lower half of them cold, and each level waits for the one before; measured, one
 * lookup took 1.9 us against 0.16 us in a thousand. Blocks of 256 bytes make it 7 levels.
 *
 * An entry is a number to sort by and an item, which is a number or a counted pointer:
 *
 *   use        sort             item                                     equal sorts
 *   map        hash of the id   the node record                          allowed, any order
 *   children   order label      hash of the id, its low byte: the height   never
 *
 * block, 256 bytes
 *   head     16   ref, count, level (0 = leaf), n, top
 *   leaf    240   15 sorts, 15 items
 *   inner   231   11 smallest sorts, 11 blocks, 11 counts, 11 tops
 *
 * Invariants
 * 1. Entries ascend by sort.
 * 2. A leaf holds 4 to 15 entries, an inner block 3 to 11 blocks of one level less; the topmost one may
 *    hold fewer (an inner one 2). So a sequence of 2^32 entries is at most MF_SEQ_LEVELS high.
 * 3. In an inner block the smallest sort, count and top of each child stand beside it. top is the
 *    largest low byte of all items (0 for counted items).
 * 4. A block that somebody else can reach has ref > 1 on the way to it, and never changes.
 * 5. NULL is the empty sequence.
 *
 * Memory: a change first makes sure of all the blocks it can need; on MF_ERR_NO_MEMORY *root is as it was.
 * Ownership: *root is one reference. An entry that goes in hands its reference over on success only,
 * one that is taken out hands it to the caller.
 * Thread: sequences may be read by any thread; reference counts are atomic. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <moduforge/status.h>

#define MF_SEQ_LEVELS 24 /* 1 + log(2^32 / 4) / log(3) = 19.9 */
#define MF_SEQ_LEAF_MAX 15
#define MF_SEQ_INNER_MAX 11

struct mf_seq {
	atomic_uint ref;
	uint32_t count; /* entries below */
	uint8_t level, n, top;
	union {
		struct {
			uint64_t sorts[MF_SEQ_LEAF_MAX], items[MF_SEQ_LEAF_MAX];
		} leaf;
		struct {
			uint64_t sorts[MF_SEQ_INNER_MAX];
			struct mf_seq *blocks[MF_SEQ_INNER_MAX];
			uint32_t counts[MF_SEQ_INNER_MAX];
			uint8_t tops[MF_SEQ_INNER_MAX];
		} inner;
	};
};

struct mf_seq_entry {
	uint64_t sort, item;
};

/* Items that are counted pointers; NULL where they are numbers. */
struct mf_seq_items {
	void (*ref)(uint64_t item);
	void (*unref)(uint64_t item);
};

/* ---- life cycle ---- */
static inline size_t mf_seq_count(const struct mf_seq *root)
{
	return root ? root->count : 0;
}
struct mf_seq *mf_seq_ref(const struct mf_seq *root); /* NULL gives NULL */
void mf_seq_unref(const struct mf_seq_items *items, struct mf_seq *root);
/* entries[0..count) are in order; takes all their references on success. O(count). */
MF_MUST_CHECK enum mf_status mf_seq_build(const struct mf_seq_items *items, const struct mf_seq_entry *entries, size_t count, struct mf_seq **out);

/* ---- changes; index must be below the count (insert: at most the count) ---- */
MF_MUST_CHECK enum mf_status mf_seq_insert(const struct mf_seq_items *items, struct mf_seq **root, size_t index, const struct mf_seq_entry *entry);
MF_MUST_CHECK enum mf_status mf_seq_remove(const struct mf_seq_items *items, struct mf_seq **root, size_t index, struct mf_seq_entry *out_old);
MF_MUST_CHECK enum mf_status mf_seq_replace(const struct mf_seq_items *items, struct mf_seq **root, size_t index, const struct mf_seq_entry *entry,
					    struct mf_seq_entry *out_old);
/* The item at index, in a path that is the caller's alone: it may be exchanged until the next call with
 * this sequence. For counted items only. */
MF_MUST_CHECK enum mf_status mf_seq_own(const struct mf_seq_items *items, struct mf_seq **root, size_t index, uint64_t **out_item);

/* ---- queries ---- */
struct mf_seq_entry mf_seq_at(const struct mf_seq *root, size_t index);
size_t mf_seq_rank(const struct mf_seq *root, uint64_t sort); /* entries with a smaller sort */
static inline unsigned mf_seq_top(const struct mf_seq *root)
{
	return root ? root->top : 0;
}
unsigned mf_seq_top_without(const struct mf_seq *root, size_t index); /* of all entries but one */

/* ---- in order, without recursion: while (mf_seq_next(&iter, &entry)) ---- */
struct mf_seq_iter {
	const struct mf_seq *blocks[MF_SEQ_LEVELS]; /* leaf first */
	uint8_t next[MF_SEQ_LEVELS];
	unsigned levels;
};
void mf_seq_iterate(struct mf_seq_iter *iter, const struct mf_seq *root, size_t from); /* from index, at most the count */
/* From the first entry with at least this sort; returns its index. */
size_t mf_seq_seek(struct mf_seq_iter *iter, const struct mf_seq *root, uint64_t sort);
bool mf_seq_next(struct mf_seq_iter *iter, struct mf_seq_entry *out); /* false at the end */
/* A change at the place that was sought comes soon: begin to fetch what copying its path will count. */
void mf_seq_expect_change(const struct mf_seq_iter *iter, const struct mf_seq_items *items);

/* ---- against an older version, seq_diff.c: O(changes * log n) ---- */
/* In order: a block that both versions have (entry NULL), or one entry of a block that only root has (shared NULL).
 * Any status but MF_OK ends the walk, and is its result. */
typedef enum mf_status mf_seq_piece_visit(void *user, const struct mf_seq *shared, const struct mf_seq_entry *entry);
MF_MUST_CHECK enum mf_status mf_seq_diff(const struct mf_seq *old, const struct mf_seq *root, mf_seq_piece_visit *visit, void *user);
uint64_t mf_seq_first_sort(const struct mf_seq *block); /* of a block, which is never empty */

/* ---- for tests ---- */
bool mf_seq_is_valid(const struct mf_seq_items *items, const struct mf_seq *root); /* invariants 1 to 3 */
