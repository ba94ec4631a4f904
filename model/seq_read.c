/* The persistent sequence: everything that only reads it.
 *
 * What a lookup in a large sequence costs is waiting for memory, block after block. So it asks for all
 * four cache lines of the next block at once, and it searches within a block without a branch that
 * depends on what was read: the processor then runs ahead into whatever does not depend on it either,
 * such as the next lookup. */
#include "model/seq.h"

#include <assert.h>

static const struct mf_seq *enter(const struct mf_seq *block)
{
	for (unsigned i = 0; i < sizeof(*block); i += 64)
		__builtin_prefetch((const char *)block + i);
	return block;
}

/* How many of the first n sorts are smaller; sorts has max places. */
static inline unsigned smaller(const uint64_t *sorts, unsigned n, unsigned max, uint64_t sort)
{
	unsigned count = 0;
	for (unsigned i = 0; i < max; i++)
		count += (i < n) & (sorts[i] < sort);
	return count;
}

static unsigned leaf_place(const struct mf_seq *leaf, uint64_t sort)
{
	return smaller(leaf->leaf.sorts, leaf->n, MF_SEQ_LEAF_MAX, sort);
}

/* The child in which the first entry with at least this sort lies, or at whose end it would. */
static unsigned child_for(const struct mf_seq *block, uint64_t sort)
{
	unsigned i = smaller(block->inner.sorts, block->n, MF_SEQ_INNER_MAX, sort);
	return i - (i > 0);
}

/* The child that holds the entry at *index, which becomes the index in it. */
static unsigned child_of(const struct mf_seq *block, size_t *index)
{
	size_t end = 0, before = 0;
	unsigned child = 0;
	for (unsigned i = 0; i < MF_SEQ_INNER_MAX; i++) {
		uint32_t count = block->inner.counts[i];
		bool passed = (i < block->n) & (*index >= end + count);
		end += count;
		before = passed ? end : before;
		child += passed;
	}
	*index -= before;
	return child;
}

static size_t count_before(const struct mf_seq *block, unsigned child)
{
	size_t count = 0;
	for (unsigned i = 0; i < child; i++)
		count += block->inner.counts[i];
	return count;
}

struct mf_seq_entry mf_seq_at(const struct mf_seq *root, size_t index)
{
	assert(index < mf_seq_count(root));
	const struct mf_seq *block = root;
	while (block->level > 0)
		block = enter(block->inner.blocks[child_of(block, &index)]);
	return (struct mf_seq_entry){block->leaf.sorts[index], block->leaf.items[index]};
}

size_t mf_seq_rank(const struct mf_seq *root, uint64_t sort)
{
	struct mf_seq_iter iter;
	return mf_seq_seek(&iter, root, sort);
}

unsigned mf_seq_top_without(const struct mf_seq *root, size_t index)
{
	unsigned top = 0;
	assert(index < mf_seq_count(root));
	const struct mf_seq *block = root;
	while (block->level > 0) {
		unsigned child = child_of(block, &index);
		for (unsigned i = 0; i < block->n; i++)
			if (i != child && block->inner.tops[i] > top)
				top = block->inner.tops[i];
		block = enter(block->inner.blocks[child]);
	}
	for (unsigned i = 0; i < block->n; i++)
		if (i != index && (uint8_t)block->leaf.items[i] > top)
			top = (uint8_t)block->leaf.items[i];
	return top;
}

/* ---- iteration: next[level] is the place in blocks[level] that comes next ---- */

void mf_seq_iterate(struct mf_seq_iter *iter, const struct mf_seq *root, size_t from)
{
	iter->levels = 0;
	if (from >= mf_seq_count(root))
		return;
	iter->levels = root->level + 1u;
	for (const struct mf_seq *block = root;;) {
		iter->blocks[block->level] = block;
		if (block->level == 0)
			break;
		unsigned child = child_of(block, &from);
		iter->next[block->level] = (uint8_t)(child + 1);
		block = enter(block->inner.blocks[child]);
	}
	iter->next[0] = (uint8_t)from;
}

size_t mf_seq_seek(struct mf_seq_iter *iter, const struct mf_seq *root, uint64_t sort)
{
	size_t rank = 0;
	iter->levels = root ? root->level + 1u : 0;
	if (!root)
		return 0;
	const struct mf_seq *block = root;
	while (block->level > 0) {
		unsigned child = child_for(block, sort);
		const struct mf_seq *below = enter(block->inner.blocks[child]);
		rank += count_before(block, child);
		iter->blocks[block->level] = block;
		iter->next[block->level] = (uint8_t)(child + 1);
		block = below;
	}
	iter->blocks[0] = block;
	iter->next[0] = (uint8_t)leaf_place(block, sort);
	return rank + iter->next[0];
}

void mf_seq_expect_change(const struct mf_seq_iter *iter, const struct mf_seq_items *items)
{
	unsigned at = iter->levels > 0 ? iter->next[0] : 0;
	if (iter->levels > 0 && items) {
		const struct mf_seq *leaf = iter->blocks[0];
		if (at < leaf->n)
			__builtin_prefetch((const void *)(uintptr_t)leaf->leaf.items[at], 1); /* wanted first */
		for (unsigned i = 0; i < leaf->n; i++)
			__builtin_prefetch((const void *)(uintptr_t)leaf->leaf.items[i], 1);
	}
	if (iter->levels > 1)
		for (unsigned i = 0; i < iter->blocks[1]->n; i++)
			__builtin_prefetch(iter->blocks[1]->inner.blocks[i], 1);
}

/* The next leaf, or false at the end. */
static bool next_leaf(struct mf_seq_iter *iter)
{
	unsigned level = 1;
	while (level < iter->levels && iter->next[level] == iter->blocks[level]->n)
		level++;
	if (level >= iter->levels)
		return false;
	for (; level > 0; level--) {
		iter->blocks[level - 1] = enter(iter->blocks[level]->inner.blocks[iter->next[level]++]);
		iter->next[level - 1] = 0;
	}
	return true;
}

bool mf_seq_next(struct mf_seq_iter *iter, struct mf_seq_entry *out)
{
	if (iter->levels == 0 || (iter->next[0] == iter->blocks[0]->n && !next_leaf(iter)))
		return false;
	unsigned at = iter->next[0]++;
	*out = (struct mf_seq_entry){iter->blocks[0]->leaf.sorts[at], iter->blocks[0]->leaf.items[at]};
	return true;
}

/* ---- invariants ---- */

static bool leaf_is_valid(const struct mf_seq_items *items, const struct mf_seq *leaf)
{
	unsigned top = 0;
	for (unsigned i = 0; i < leaf->n; i++) {
		if (i > 0 && leaf->leaf.sorts[i] < leaf->leaf.sorts[i - 1])
			return false;
		if (!items && (uint8_t)leaf->leaf.items[i] > top)
			top = (uint8_t)leaf->leaf.items[i];
	}
	return leaf->count == leaf->n && leaf->top == top;
}

static uint64_t first_sort(const struct mf_seq *block)
{
	return block->level > 0 ? block->inner.sorts[0] : block->leaf.sorts[0];
}

static bool is_valid(const struct mf_seq_items *items, const struct mf_seq *block, bool is_top);

static bool inner_is_valid(const struct mf_seq_items *items, const struct mf_seq *block)
{
	unsigned top = 0;
	size_t count = 0;
	for (unsigned i = 0; i < block->n; i++) {
		const struct mf_seq *child = block->inner.blocks[i];
		if (child->level + 1 != block->level || child->count != block->inner.counts[i] || child->top != block->inner.tops[i])
			return false;
		if (first_sort(child) != block->inner.sorts[i] || (i > 0 && first_sort(child) < block->inner.sorts[i - 1]) || !is_valid(items, child, false))
			return false;
		count += child->count;
		top = child->top > top ? child->top : top;
	}
	return block->count == count && block->top == top;
}

static bool is_valid(const struct mf_seq_items *items, const struct mf_seq *block, bool is_top)
{
	unsigned least = block->level > 0 ? 3 : 4, most = block->level > 0 ? MF_SEQ_INNER_MAX : MF_SEQ_LEAF_MAX;
	if (is_top)
		least = block->level > 0 ? 2 : 1;
	if (atomic_load(&block->ref) == 0 || block->level >= MF_SEQ_LEVELS || block->n < least || block->n > most)
		return false;
	return block->level > 0 ? inner_is_valid(items, block) : leaf_is_valid(items, block);
}

bool mf_seq_is_valid(const struct mf_seq_items *items, const struct mf_seq *root)
{
	return !root || is_valid(items, root, true);
}
