/* The persistent tree: everything that only reads it. */
#include "model/tree.h"

#include <assert.h>
#include <string.h>

const struct mf_tree_entry *mf_tree_find(const struct mf_tree_ops *ops, const struct mf_tree *root, uint64_t sort, const void *key)
{
	for (const struct mf_tree *node = root; node;) {
		int order = mf_tree_order(ops, sort, key, node);
		if (order == 0)
			return &node->entry;
		node = order < 0 ? node->left : node->right;
	}
	return NULL;
}

size_t mf_tree_rank(const struct mf_tree_ops *ops, const struct mf_tree *root, uint64_t sort, const void *key)
{
	size_t rank = 0;
	for (const struct mf_tree *node = root; node;) {
		if (mf_tree_order(ops, sort, key, node) <= 0) {
			node = node->left;
		} else {
			rank += mf_tree_count(node->left) + 1;
			node = node->right;
		}
	}
	return rank;
}

static const struct mf_tree *node_at(const struct mf_tree *root, size_t index)
{
	const struct mf_tree *node = root;
	assert(index < mf_tree_count(root));
	for (;;) {
		size_t before = mf_tree_count(node->left);
		if (index == before)
			return node;
		if (index < before) {
			node = node->left;
		} else {
			index -= before + 1;
			node = node->right;
		}
	}
}

const struct mf_tree_entry *mf_tree_at(const struct mf_tree *root, size_t index)
{
	return &node_at(root, index)->entry;
}

struct mf_tree_entry mf_tree_item(const struct mf_tree *root, size_t index)
{
	const struct mf_tree *node = node_at(root, index);
	struct mf_tree_entry entry = node->entry;
	entry.sum -= mf_tree_sum(node->left) + mf_tree_sum(node->right);
	entry.sum2 -= mf_tree_sum2(node->left) + mf_tree_sum2(node->right);
	return entry;
}

static uint64_t sum_of(const struct mf_tree *root, bool second)
{
	return second ? mf_tree_sum2(root) : mf_tree_sum(root);
}

static size_t locate(const struct mf_tree *root, uint64_t position, bool second, uint64_t *out_offset)
{
	size_t index = 0;
	assert(position < sum_of(root, second));
	for (const struct mf_tree *node = root;;) {
		uint64_t left = sum_of(node->left, second), right = sum_of(node->right, second);
		uint64_t item_end = sum_of(node, second) - right;
		if (position < left) {
			node = node->left;
		} else if (position < item_end) {
			*out_offset = position - left;
			return index + mf_tree_count(node->left);
		} else {
			position -= item_end;
			index += mf_tree_count(node->left) + 1;
			node = node->right;
		}
	}
}

size_t mf_tree_locate(const struct mf_tree *root, uint64_t position, uint64_t *out_offset)
{
	return locate(root, position, false, out_offset);
}

size_t mf_tree_locate2(const struct mf_tree *root, uint64_t position, uint64_t *out_offset)
{
	return locate(root, position, true, out_offset);
}

/* ---- iteration: the stack holds the nodes whose entry is still to come ---- */

void mf_tree_iterate(struct mf_tree_iter *iter, const struct mf_tree *root, size_t from)
{
	iter->depth = 0;
	for (const struct mf_tree *node = root; node;) {
		size_t before = mf_tree_count(node->left);
		if (from > before) {
			from -= before + 1;
			node = node->right;
			continue;
		}
		iter->stack[iter->depth++] = node;
		if (from == before)
			return;
		node = node->left;
	}
}

const struct mf_tree_entry *mf_tree_next(struct mf_tree_iter *iter)
{
	if (iter->depth == 0)
		return NULL;
	const struct mf_tree *node = iter->stack[--iter->depth];
	for (const struct mf_tree *next = node->right; next; next = next->left)
		iter->stack[iter->depth++] = next;
	return &node->entry;
}

/* ---- invariants ---- */

static bool node_is_valid(const struct mf_tree_ops *ops, const struct mf_tree *node)
{
	const struct mf_tree *left = node->left, *right = node->right;
	uint64_t left_weight = (uint64_t)mf_tree_count(left) + 1, right_weight = (uint64_t)mf_tree_count(right) + 1;
	if (atomic_load(&node->ref) == 0 || node->count != mf_tree_count(left) + mf_tree_count(right) + 1)
		return false;
	if (left_weight > 3 * right_weight || right_weight > 3 * left_weight)
		return false;
	if (ops->kind == MF_TREE_SUM)
		return node->entry.sum >= mf_tree_sum(left) + mf_tree_sum(right) && node->entry.sum2 >= mf_tree_sum2(left) + mf_tree_sum2(right);
	return (!left || left->entry.sort <= node->entry.sort) && (!right || right->entry.sort >= node->entry.sort);
}

bool mf_tree_is_valid(const struct mf_tree_ops *ops, const struct mf_tree *root)
{
	return !root || (node_is_valid(ops, root) && mf_tree_is_valid(ops, root->left) && mf_tree_is_valid(ops, root->right));
}
