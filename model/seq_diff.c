/* What a sequence does not share with an older version of it.
 *
 * A change copies the blocks on the path to it and leaves all others to both versions. So a block that both have
 * is equal in both, and everything that differs is found in O(changes * log n): by asking, from the top down, whether
 * the older version has this very block where its smallest sort belongs. */
#include "model/seq.h"

static uint64_t first_sort(const struct mf_seq *block)
{
	return block->level > 0 ? block->inner.sorts[0] : block->leaf.sorts[0];
}

/* The last child that begins at or before sort. Equal sorts may hide a shared block: then it is only looked into. */
static const struct mf_seq *child_with(const struct mf_seq *block, uint64_t sort)
{
	unsigned i = 0;
	while (i + 1u < block->n && block->inner.sorts[i + 1] <= sort)
		i++;
	return block->inner.blocks[i];
}

static bool has_block(const struct mf_seq *root, const struct mf_seq *block)
{
	uint64_t sort = first_sort(block);
	while (root && root->level > block->level)
		root = child_with(root, sort);
	return root == block;
}

static enum mf_status walk(const struct mf_seq *old, const struct mf_seq *block, mf_seq_piece_visit *visit, void *user)
{
	enum mf_status status = MF_OK;
	if (has_block(old, block))
		return visit(user, block, NULL);
	for (unsigned i = 0; status == MF_OK && i < block->n; i++) {
		if (block->level > 0) {
			status = walk(old, block->inner.blocks[i], visit, user);
			continue;
		}
		const struct mf_seq_entry entry = {block->leaf.sorts[i], block->leaf.items[i]};
		status = visit(user, NULL, &entry);
	}
	return status;
}

enum mf_status mf_seq_diff(const struct mf_seq *old, const struct mf_seq *root, mf_seq_piece_visit *visit, void *user)
{
	return root ? walk(old, root, visit, user) : MF_OK;
}

uint64_t mf_seq_first_sort(const struct mf_seq *block)
{
	return first_sort(block);
}
