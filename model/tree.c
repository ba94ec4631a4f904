/* The persistent tree: everything that changes it.
 *
 * Each change takes nodes apart on the way down (open_node) and puts them together on the way
 * up (make, balance, join). open_node hands out the parts as owned references and an empty
 * shell to build with: the node itself if nobody else has it, else a spare one. So sharing is
 * decided in one place, and the rest reads like the algorithm.
 *
 * How many spare nodes an operation can need, h being the bound on the height: insert, remove
 * and replace open h nodes on the path and at most 2 beside it per level (a double rotation),
 * plus the new one: 3 h + 2. A join walks down one spine, so concat needs twice that. In a split
 * the walks of its joins add up to one spine per side: h + 2 * 3 h, plus what rounding takes.
 *
 * Why these rotations: with weight = count + 1, a side is too heavy at more than 3 times the
 * other, and a single rotation is enough when the inner grandchild weighs less than 2 times
 * the outer one. (3, 2) is the only pair of integers for which this keeps invariant 1. */
#include "model/tree.h"

#include <assert.h>
#include <string.h>

#include "model/spare.h"

#define DELTA 3
#define GAMMA 2

struct parts {
	struct mf_tree *left, *right;
	struct mf_tree_entry entry;
};

static size_t height_bound(size_t count)
{
	size_t bits = 0;
	for (size_t n = count + 1; n; n >>= 1)
		bits++;
	return bits * 5 / 2 + 1; /* log(2) / log(4/3) = 2.41 */
}

static bool reserve_path(size_t count)
{
	return mf_spare_reserve(MF_SPARE_TREE, 3 * height_bound(count) + 2);
}

static uint64_t weight(const struct mf_tree *tree)
{
	return (uint64_t)mf_tree_count(tree) + 1;
}

/* ---- references ---- */

struct mf_tree *mf_tree_ref(const struct mf_tree *root)
{
	struct mf_tree *same = (struct mf_tree *)root;
	if (same)
		atomic_fetch_add_explicit(&same->ref, 1, memory_order_relaxed);
	return same;
}

/* A count of 1 is ours: nobody else can raise it, so the costly atomic subtraction can be left out. */
static bool drop_last(struct mf_tree *node)
{
	return atomic_load_explicit(&node->ref, memory_order_acquire) == 1 || atomic_fetch_sub_explicit(&node->ref, 1, memory_order_acq_rel) == 1;
}

void mf_tree_unref(const struct mf_tree_ops *ops, struct mf_tree *root)
{
	while (root && drop_last(root)) {
		struct mf_tree *left = root->left, *right = root->right;
		ops->unref(&root->entry);
		mf_spare_give(MF_SPARE_TREE, root);
		mf_tree_unref(ops, left);
		root = right;
	}
}

/* ---- taking apart and putting together ---- */

static struct mf_tree_entry entry_of(const struct mf_tree_ops *ops, const struct mf_tree *node)
{
	struct mf_tree_entry entry = node->entry;
	if (ops->kind == MF_TREE_SUM) {
		entry.sum -= mf_tree_sum(node->left) + mf_tree_sum(node->right);
		entry.sum2 -= mf_tree_sum2(node->left) + mf_tree_sum2(node->right);
	}
	return entry;
}

static struct mf_tree *open_node(const struct mf_tree_ops *ops, struct mf_tree *node, struct parts *out)
{
	out->left = node->left; /* NOLINT(clang-analyzer-core.NullDereference): nothing is heavier than an empty tree but a node */
	out->right = node->right;
	out->entry = entry_of(ops, node);
	if (atomic_load_explicit(&node->ref, memory_order_acquire) == 1)
		return node;
	mf_tree_ref(out->left);
	mf_tree_ref(out->right);
	ops->ref(&out->entry);
	mf_tree_unref(ops, node);
	return mf_spare_take(MF_SPARE_TREE);
}

static struct mf_tree *make(const struct mf_tree_ops *ops, struct mf_tree *shell, struct mf_tree *left, const struct mf_tree_entry *entry, struct mf_tree *right)
{
	atomic_init(&shell->ref, 1);
	shell->count = (uint32_t)(mf_tree_count(left) + mf_tree_count(right) + 1);
	shell->entry = *entry;
	shell->left = left;
	shell->right = right;
	if (ops->kind == MF_TREE_SUM) {
		shell->entry.sum += mf_tree_sum(left) + mf_tree_sum(right);
		shell->entry.sum2 += mf_tree_sum2(left) + mf_tree_sum2(right);
	}
	return shell;
}

static struct mf_tree *rotate_left(const struct mf_tree_ops *ops, struct mf_tree *shell, struct mf_tree *left, const struct mf_tree_entry *entry, struct mf_tree *right)
{
	struct parts outer, inner;
	struct mf_tree *outer_shell = open_node(ops, right, &outer);
	if (weight(outer.left) < GAMMA * weight(outer.right))
		return make(ops, outer_shell, make(ops, shell, left, entry, outer.left), &outer.entry, outer.right);
	struct mf_tree *inner_shell = open_node(ops, outer.left, &inner);
	left = make(ops, shell, left, entry, inner.left);
	right = make(ops, outer_shell, inner.right, &outer.entry, outer.right);
	return make(ops, inner_shell, left, &inner.entry, right);
}

static struct mf_tree *rotate_right(const struct mf_tree_ops *ops, struct mf_tree *shell, struct mf_tree *left, const struct mf_tree_entry *entry, struct mf_tree *right)
{
	struct parts outer, inner;
	struct mf_tree *outer_shell = open_node(ops, left, &outer);
	if (weight(outer.right) < GAMMA * weight(outer.left))
		return make(ops, outer_shell, outer.left, &outer.entry, make(ops, shell, outer.right, entry, right));
	struct mf_tree *inner_shell = open_node(ops, outer.right, &inner);
	right = make(ops, shell, inner.right, entry, right);
	left = make(ops, outer_shell, outer.left, &outer.entry, inner.left);
	return make(ops, inner_shell, left, &inner.entry, right);
}

/* left and right differ from balanced ones by one insert or remove, or by one step of a join. */
static struct mf_tree *balance(const struct mf_tree_ops *ops, struct mf_tree *shell, struct mf_tree *left, const struct mf_tree_entry *entry, struct mf_tree *right)
{
	if (weight(right) > DELTA * weight(left))
		return rotate_left(ops, shell, left, entry, right);
	if (weight(left) > DELTA * weight(right))
		return rotate_right(ops, shell, left, entry, right);
	return make(ops, shell, left, entry, right);
}

/* left and right of any sizes: go down the heavier one's spine to where the lighter one fits. */
static struct mf_tree *join(const struct mf_tree_ops *ops, struct mf_tree *shell, struct mf_tree *left, const struct mf_tree_entry *entry, struct mf_tree *right)
{
	struct parts parts;
	if (weight(left) > DELTA * weight(right)) {
		struct mf_tree *top = open_node(ops, left, &parts);
		return balance(ops, top, parts.left, &parts.entry, join(ops, shell, parts.right, entry, right));
	}
	if (weight(right) > DELTA * weight(left)) {
		struct mf_tree *top = open_node(ops, right, &parts);
		return balance(ops, top, join(ops, shell, left, entry, parts.left), &parts.entry, parts.right);
	}
	return make(ops, shell, left, entry, right);
}

/* ---- recursions, at most height deep ---- */

static struct mf_tree *insert(const struct mf_tree_ops *ops, struct mf_tree *node, size_t index, const struct mf_tree_entry *entry)
{
	if (!node)
		return make(ops, mf_spare_take(MF_SPARE_TREE), NULL, entry, NULL);
	struct parts parts;
	struct mf_tree *shell = open_node(ops, node, &parts);
	size_t before = mf_tree_count(parts.left);
	if (index <= before)
		parts.left = insert(ops, parts.left, index, entry);
	else
		parts.right = insert(ops, parts.right, index - before - 1, entry);
	return balance(ops, shell, parts.left, &parts.entry, parts.right);
}

static struct mf_tree *pop_first(const struct mf_tree_ops *ops, struct mf_tree *node, struct mf_tree **out_shell, struct mf_tree_entry *out)
{
	struct parts parts;
	struct mf_tree *shell = open_node(ops, node, &parts);
	if (parts.left) {
		parts.left = pop_first(ops, parts.left, out_shell, out);
		return balance(ops, shell, parts.left, &parts.entry, parts.right);
	}
	*out = parts.entry;
	*out_shell = shell;
	return parts.right;
}

static struct mf_tree *pop_last(const struct mf_tree_ops *ops, struct mf_tree *node, struct mf_tree **out_shell, struct mf_tree_entry *out)
{
	struct parts parts;
	struct mf_tree *shell = open_node(ops, node, &parts);
	if (parts.right) {
		parts.right = pop_last(ops, parts.right, out_shell, out);
		return balance(ops, shell, parts.left, &parts.entry, parts.right);
	}
	*out = parts.entry;
	*out_shell = shell;
	return parts.left;
}

/* left and right are the children of a node that is gone. */
static struct mf_tree *glue(const struct mf_tree_ops *ops, struct mf_tree *left, struct mf_tree *right)
{
	struct mf_tree *shell;
	struct mf_tree_entry entry;
	if (!left || !right)
		return left ? left : right;
	if (left->count > right->count)
		left = pop_last(ops, left, &shell, &entry);
	else
		right = pop_first(ops, right, &shell, &entry);
	return balance(ops, shell, left, &entry, right);
}

static struct mf_tree *take_out(const struct mf_tree_ops *ops, struct mf_tree *node, size_t index, struct mf_tree_entry *out)
{
	struct parts parts;
	struct mf_tree *shell = open_node(ops, node, &parts);
	size_t before = mf_tree_count(parts.left);
	if (index == before) {
		*out = parts.entry;
		mf_spare_give(MF_SPARE_TREE, shell);
		return glue(ops, parts.left, parts.right);
	}
	if (index < before)
		parts.left = take_out(ops, parts.left, index, out);
	else
		parts.right = take_out(ops, parts.right, index - before - 1, out);
	return balance(ops, shell, parts.left, &parts.entry, parts.right);
}

static struct mf_tree *exchange(const struct mf_tree_ops *ops, struct mf_tree *node, size_t index, const struct mf_tree_entry *entry, struct mf_tree_entry *out)
{
	struct parts parts;
	struct mf_tree *shell = open_node(ops, node, &parts);
	size_t before = mf_tree_count(parts.left);
	if (index == before) {
		*out = parts.entry;
		return make(ops, shell, parts.left, entry, parts.right);
	}
	if (index < before)
		parts.left = exchange(ops, parts.left, index, entry, out);
	else
		parts.right = exchange(ops, parts.right, index - before - 1, entry, out);
	return make(ops, shell, parts.left, &parts.entry, parts.right);
}

static void split(const struct mf_tree_ops *ops, struct mf_tree *node, size_t index, struct mf_tree **out_left, struct mf_tree **out_right)
{
	*out_left = *out_right = NULL;
	if (!node)
		return;
	struct parts parts;
	struct mf_tree *shell = open_node(ops, node, &parts);
	size_t before = mf_tree_count(parts.left);
	if (index <= before) {
		split(ops, parts.left, index, out_left, out_right);
		*out_right = join(ops, shell, *out_right, &parts.entry, parts.right);
	} else {
		split(ops, parts.right, index - before - 1, out_left, out_right);
		*out_left = join(ops, shell, parts.left, &parts.entry, *out_left);
	}
}

static struct mf_tree *build(const struct mf_tree_ops *ops, const struct mf_tree_entry *entries, size_t count)
{
	if (count == 0)
		return NULL;
	size_t middle = count / 2;
	struct mf_tree *left = build(ops, entries, middle);
	struct mf_tree *right = build(ops, entries + middle + 1, count - middle - 1);
	return make(ops, mf_spare_take(MF_SPARE_TREE), left, &entries[middle], right);
}

/* ---- the interface ---- */

enum mf_status mf_tree_build(const struct mf_tree_ops *ops, const struct mf_tree_entry *entries, size_t count, struct mf_tree **out)
{
	if (count >= UINT32_MAX || !mf_spare_reserve(MF_SPARE_TREE, count))
		return MF_ERR_NO_MEMORY;
	*out = build(ops, entries, count);
	return MF_OK;
}

enum mf_status mf_tree_insert_at(const struct mf_tree_ops *ops, struct mf_tree **root, size_t index, const struct mf_tree_entry *entry)
{
	size_t count = mf_tree_count(*root);
	assert(index <= count);
	if (count >= UINT32_MAX - 1 || !reserve_path(count))
		return MF_ERR_NO_MEMORY;
	*root = insert(ops, *root, index, entry);
	return MF_OK;
}

static void hand_out(const struct mf_tree_ops *ops, const struct mf_tree_entry *old, struct mf_tree_entry *out_old)
{
	if (out_old)
		*out_old = *old;
	else
		ops->unref(old);
}

enum mf_status mf_tree_remove_at(const struct mf_tree_ops *ops, struct mf_tree **root, size_t index, struct mf_tree_entry *out_old)
{
	struct mf_tree_entry old;
	assert(index < mf_tree_count(*root));
	if (!reserve_path(mf_tree_count(*root)))
		return MF_ERR_NO_MEMORY;
	*root = take_out(ops, *root, index, &old);
	hand_out(ops, &old, out_old);
	return MF_OK;
}

enum mf_status mf_tree_replace_at(const struct mf_tree_ops *ops, struct mf_tree **root, size_t index, const struct mf_tree_entry *entry, struct mf_tree_entry *out_old)
{
	struct mf_tree_entry old;
	assert(index < mf_tree_count(*root));
	if (!reserve_path(mf_tree_count(*root)))
		return MF_ERR_NO_MEMORY;
	*root = exchange(ops, *root, index, entry, &old);
	hand_out(ops, &old, out_old);
	return MF_OK;
}

enum mf_status mf_tree_put(const struct mf_tree_ops *ops, struct mf_tree **root, const void *key, const struct mf_tree_entry *entry, struct mf_tree_entry *out_old,
			   bool *out_replaced)
{
	bool found = mf_tree_find(ops, *root, entry->sort, key) != NULL;
	size_t index = mf_tree_rank(ops, *root, entry->sort, key);
	enum mf_status status = found ? mf_tree_replace_at(ops, root, index, entry, out_old) : mf_tree_insert_at(ops, root, index, entry);
	*out_replaced = found;
	return status;
}

enum mf_status mf_tree_remove(const struct mf_tree_ops *ops, struct mf_tree **root, uint64_t sort, const void *key, struct mf_tree_entry *out_old)
{
	return mf_tree_remove_at(ops, root, mf_tree_rank(ops, *root, sort, key), out_old);
}

enum mf_status mf_tree_split(const struct mf_tree_ops *ops, struct mf_tree **root, size_t index, struct mf_tree **out_left, struct mf_tree **out_right)
{
	struct mf_tree *whole = *root;
	assert(index <= mf_tree_count(whole));
	if (!mf_spare_reserve(MF_SPARE_TREE, 8 * height_bound(mf_tree_count(whole)) + 8))
		return MF_ERR_NO_MEMORY;
	*root = NULL;
	split(ops, whole, index, out_left, out_right);
	return MF_OK;
}

enum mf_status mf_tree_concat(const struct mf_tree_ops *ops, struct mf_tree **left, struct mf_tree **right, struct mf_tree **out)
{
	struct mf_tree *first = *left, *second = *right, *shell;
	struct mf_tree_entry entry;
	size_t count = mf_tree_count(first) + mf_tree_count(second);
	if (count >= UINT32_MAX || !mf_spare_reserve(MF_SPARE_TREE, 6 * height_bound(count) + 4))
		return MF_ERR_NO_MEMORY;
	*left = *right = NULL;
	if (!first || !second) {
		*out = first ? first : second;
		return MF_OK;
	}
	first = pop_last(ops, first, &shell, &entry);
	*out = join(ops, shell, first, &entry, second);
	return MF_OK;
}
