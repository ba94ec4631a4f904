/* The persistent sequence: everything that changes it.
 *
 * A change goes down with the address of the pointer to each block, owns the block (copies it if
 * somebody else has it), changes the level below, and on the way up brings this block's numbers
 * about its child up to date, then splits or mends.
 *
 * Splits are even, but for an insert at the very end of a block: there the left part stays fuller,
 * since more will follow at the end (children are mostly appended).
 *
 * Blocks needed, of l levels: insert 2 l + 1 (each copied and split, a new top); remove 2 l (each
 * copied and one beside it); replace and own l. */
#include "model/seq.h"

#include <assert.h>
#include <string.h>

#include "model/spare.h"

#define LEAF_MIN 4
#define INNER_MIN 3

/* ---- references ---- */

struct mf_seq *mf_seq_ref(const struct mf_seq *root)
{
	struct mf_seq *same = (struct mf_seq *)root;
	if (same)
		atomic_fetch_add_explicit(&same->ref, 1, memory_order_relaxed);
	return same;
}

static void release(const struct mf_seq_items *items, struct mf_seq *block)
{
	if (block->level > 0) {
		for (unsigned i = 0; i < block->n; i++)
			mf_seq_unref(items, block->inner.blocks[i]);
	} else if (items) {
		for (unsigned i = 0; i < block->n; i++)
			items->unref(block->leaf.items[i]);
	}
	mf_spare_give(MF_SPARE_SEQ, block);
}

void mf_seq_unref(const struct mf_seq_items *items, struct mf_seq *root)
{
	if (!root)
		return;
	/* A count of 1 is ours: nobody else can raise it, so the costly atomic subtraction can be left out. */
	if (atomic_load_explicit(&root->ref, memory_order_acquire) == 1 || atomic_fetch_sub_explicit(&root->ref, 1, memory_order_acq_rel) == 1)
		release(items, root);
}

/* What a copy refers to may be far away in memory: ask for all of it before waiting for the first. */
static void ref_content(const struct mf_seq_items *items, const struct mf_seq *block)
{
	if (block->level > 0) {
		for (unsigned i = 0; i < block->n; i++)
			__builtin_prefetch(block->inner.blocks[i], 1);
		for (unsigned i = 0; i < block->n; i++)
			mf_seq_ref(block->inner.blocks[i]);
	} else if (items) {
		for (unsigned i = 0; i < block->n; i++)
			__builtin_prefetch((void *)(uintptr_t)block->leaf.items[i], 1);
		for (unsigned i = 0; i < block->n; i++)
			items->ref(block->leaf.items[i]);
	}
}

static struct mf_seq *own(const struct mf_seq_items *items, struct mf_seq *block)
{
	if (atomic_load_explicit(&block->ref, memory_order_acquire) == 1)
		return block;
	struct mf_seq *copy = mf_spare_take(MF_SPARE_SEQ);
	ref_content(items, block);
	copy->count = block->count;
	copy->level = block->level;
	copy->n = block->n;
	copy->top = block->top;
	if (block->level > 0)
		copy->inner = block->inner;
	else
		copy->leaf = block->leaf;
	atomic_init(&copy->ref, 1);
	mf_seq_unref(items, block);
	return copy;
}

/* ---- one block ---- */

static struct mf_seq *new_block(unsigned level)
{
	struct mf_seq *block = mf_spare_take(MF_SPARE_SEQ);
	memset(block, 0, sizeof(*block)); /* searches look at places beyond n, and ignore them */
	atomic_init(&block->ref, 1);
	block->level = (uint8_t)level;
	return block;
}

static unsigned larger(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static unsigned most(const struct mf_seq *block)
{
	return block->level > 0 ? MF_SEQ_INNER_MAX : MF_SEQ_LEAF_MAX;
}

/* count and top from what the block holds. */
static void add_up(const struct mf_seq_items *items, struct mf_seq *block)
{
	unsigned top = 0;
	size_t count = block->n;
	if (block->level > 0) {
		count = 0;
		for (unsigned i = 0; i < block->n; i++) {
			count += block->inner.counts[i];
			top = larger(top, block->inner.tops[i]);
		}
	} else if (!items) {
		for (unsigned i = 0; i < block->n; i++)
			top = larger(top, (uint8_t)block->leaf.items[i]);
	}
	block->count = (uint32_t)count;
	block->top = (uint8_t)top;
}

/* What block says about its child i. */
static void describe(struct mf_seq *block, unsigned i)
{
	const struct mf_seq *child = block->inner.blocks[i];
	block->inner.sorts[i] = child->level > 0 ? child->inner.sorts[0] : child->leaf.sorts[0];
	block->inner.counts[i] = child->count;
	block->inner.tops[i] = child->top;
}

#define MOVE(field) memmove(&to->field[at], &from->field[start], n * sizeof(to->field[0]))

/* n places of from, beginning at start, to places from at on; both of one level, or the same block. */
static void move_places(struct mf_seq *to, unsigned at, const struct mf_seq *from, unsigned start, unsigned n)
{
	if (from->level > 0) {
		MOVE(inner.sorts);
		MOVE(inner.blocks);
		MOVE(inner.counts);
		MOVE(inner.tops);
	} else {
		MOVE(leaf.sorts);
		MOVE(leaf.items);
	}
}

static void open_place(struct mf_seq *block, unsigned at)
{
	move_places(block, at + 1, block, at, block->n - at);
	block->n++;
}

static void close_place(struct mf_seq *block, unsigned at)
{
	block->n--;
	move_places(block, at, block, at + 1, block->n - at);
}

/* The last n places of left become the first of right. */
static void shift_right(struct mf_seq *left, struct mf_seq *right, unsigned n)
{
	move_places(right, n, right, 0, right->n);
	move_places(right, 0, left, left->n - n, n);
	left->n = (uint8_t)(left->n - n);
	right->n = (uint8_t)(right->n + n);
}

static void shift_left(struct mf_seq *left, struct mf_seq *right, unsigned n)
{
	move_places(left, left->n, right, 0, n);
	move_places(right, 0, right, n, right->n - n);
	left->n = (uint8_t)(left->n + n);
	right->n = (uint8_t)(right->n - n);
}

/* The child that holds index, which becomes the index in it. At a border the left child: that is
 * where an insert may go; where an entry is wanted, ask with index + 1 and take 1 away again. */
static unsigned child_at(const struct mf_seq *block, size_t *index)
{
	unsigned i = 0;
	while (*index > block->inner.counts[i])
		*index -= block->inner.counts[i++];
	return i;
}

static unsigned child_of(const struct mf_seq *block, size_t *index)
{
	*index += 1;
	unsigned i = child_at(block, index);
	*index -= 1;
	return i;
}

/* ---- insert ---- */

/* A place at *at in a block that may be full; then the block is split, *target is the half that has the
 * place, *at is counted in it, and the new right half is returned. */
static struct mf_seq *make_place(struct mf_seq *block, unsigned *at, struct mf_seq **target)
{
	struct mf_seq *right = NULL;
	*target = block;
	if (block->n == most(block)) {
		unsigned least = block->level > 0 ? INNER_MIN : LEAF_MIN;
		unsigned keep = *at == block->n ? block->n + 1u - least : (block->n + 1u) / 2;
		right = new_block(block->level);
		shift_right(block, right, block->n - keep);
		if (*at > keep) {
			*at -= keep;
			*target = right;
		}
	}
	open_place(*target, *at);
	return right;
}

/* Returns the right half when *slot was split. */
static struct mf_seq *insert(const struct mf_seq_items *items, struct mf_seq **slot, size_t index, const struct mf_seq_entry *entry)
{
	struct mf_seq *block = *slot = own(items, *slot), *right = NULL, *target;
	if (block->level == 0) {
		unsigned at = (unsigned)index;
		right = make_place(block, &at, &target);
		target->leaf.sorts[at] = entry->sort;
		target->leaf.items[at] = entry->item;
	} else {
		unsigned at = child_at(block, &index);
		struct mf_seq *extra = insert(items, &block->inner.blocks[at], index, entry);
		describe(block, at);
		if (extra) {
			at++;
			right = make_place(block, &at, &target);
			target->inner.blocks[at] = extra;
			describe(target, at);
		}
	}
	add_up(items, block);
	if (right)
		add_up(items, right);
	return right;
}

static struct mf_seq *new_top(const struct mf_seq_items *items, struct mf_seq *left, struct mf_seq *right)
{
	struct mf_seq *top = new_block(left->level + 1u);
	top->n = 2;
	top->inner.blocks[0] = left;
	top->inner.blocks[1] = right;
	describe(top, 0);
	describe(top, 1);
	add_up(items, top);
	return top;
}

/* ---- remove ---- */

/* Child i of block has become too small: even it out with a neighbour, or make one of the two. */
static void mend(const struct mf_seq_items *items, struct mf_seq *block, unsigned i)
{
	unsigned first = i > 0 ? i - 1 : i;
	struct mf_seq *left = block->inner.blocks[first] = own(items, block->inner.blocks[first]);
	struct mf_seq *right = block->inner.blocks[first + 1] = own(items, block->inner.blocks[first + 1]);
	unsigned both = left->n + right->n, half = both / 2;
	if (both <= most(left))
		shift_left(left, right, right->n);
	else if (left->n > half)
		shift_right(left, right, left->n - half);
	else
		shift_left(left, right, half - left->n);
	add_up(items, left);
	describe(block, first);
	if (right->n == 0) {
		mf_spare_give(MF_SPARE_SEQ, right);
		close_place(block, first + 1);
	} else {
		add_up(items, right);
		describe(block, first + 1);
	}
}

static void take_out(const struct mf_seq_items *items, struct mf_seq **slot, size_t index, struct mf_seq_entry *out)
{
	struct mf_seq *block = *slot = own(items, *slot);
	if (block->level == 0) {
		*out = (struct mf_seq_entry){block->leaf.sorts[index], block->leaf.items[index]};
		close_place(block, (unsigned)index);
	} else {
		unsigned at = child_of(block, &index);
		take_out(items, &block->inner.blocks[at], index, out);
		if (block->inner.blocks[at]->n < (block->level > 1 ? INNER_MIN : LEAF_MIN))
			mend(items, block, at);
		else
			describe(block, at);
	}
	add_up(items, block);
}

static struct mf_seq *drop_empty_top(struct mf_seq *top)
{
	if (top->n > 1 || (top->n == 1 && top->level == 0))
		return top;
	struct mf_seq *below = top->n ? top->inner.blocks[0] : NULL;
	mf_spare_give(MF_SPARE_SEQ, top);
	return below;
}

static void exchange(const struct mf_seq_items *items, struct mf_seq **slot, size_t index, const struct mf_seq_entry *entry, struct mf_seq_entry *out)
{
	struct mf_seq *block = *slot = own(items, *slot);
	if (block->level == 0) {
		*out = (struct mf_seq_entry){block->leaf.sorts[index], block->leaf.items[index]};
		block->leaf.sorts[index] = entry->sort;
		block->leaf.items[index] = entry->item;
	} else {
		unsigned at = child_of(block, &index);
		exchange(items, &block->inner.blocks[at], index, entry, out);
		describe(block, at);
	}
	add_up(items, block);
}

/* ---- the interface ---- */

static size_t levels(const struct mf_seq *root)
{
	return root ? root->level + 1u : 0;
}

enum mf_status mf_seq_insert(const struct mf_seq_items *items, struct mf_seq **root, size_t index, const struct mf_seq_entry *entry)
{
	assert(index <= mf_seq_count(*root));
	if (mf_seq_count(*root) == UINT32_MAX || !mf_spare_reserve(MF_SPARE_SEQ, 2 * levels(*root) + 1))
		return MF_ERR_NO_MEMORY;
	if (!*root)
		*root = new_block(0);
	struct mf_seq *right = insert(items, root, index, entry);
	if (right)
		*root = new_top(items, *root, right);
	return MF_OK;
}

enum mf_status mf_seq_remove(const struct mf_seq_items *items, struct mf_seq **root, size_t index, struct mf_seq_entry *out_old)
{
	assert(index < mf_seq_count(*root));
	if (!mf_spare_reserve(MF_SPARE_SEQ, 2 * levels(*root)))
		return MF_ERR_NO_MEMORY;
	take_out(items, root, index, out_old);
	*root = drop_empty_top(*root);
	return MF_OK;
}

enum mf_status mf_seq_replace(const struct mf_seq_items *items, struct mf_seq **root, size_t index, const struct mf_seq_entry *entry, struct mf_seq_entry *out_old)
{
	assert(index < mf_seq_count(*root));
	if (!mf_spare_reserve(MF_SPARE_SEQ, levels(*root)))
		return MF_ERR_NO_MEMORY;
	exchange(items, root, index, entry, out_old);
	return MF_OK;
}

enum mf_status mf_seq_own(const struct mf_seq_items *items, struct mf_seq **root, size_t index, uint64_t **out_item)
{
	assert(items && index < mf_seq_count(*root));
	if (!mf_spare_reserve(MF_SPARE_SEQ, levels(*root)))
		return MF_ERR_NO_MEMORY;
	struct mf_seq *block = *root = own(items, *root);
	while (block->level > 0) {
		struct mf_seq **slot = &block->inner.blocks[child_of(block, &index)];
		block = *slot = own(items, *slot);
	}
	*out_item = &block->leaf.items[index];
	return MF_OK;
}

/* ---- building ---- */

/* count entries, at most what one block of this level can hold below it, spread evenly. NULL: no memory;
 * then no reference has been taken. */
static struct mf_seq *build(const struct mf_seq_items *items, unsigned level, size_t child_capacity, const struct mf_seq_entry *entries, size_t count)
{
	if (!mf_spare_reserve(MF_SPARE_SEQ, 1))
		return NULL;
	struct mf_seq *block = new_block(level);
	size_t blocks = (count + child_capacity - 1) / child_capacity, grandchild_capacity = level > 1 ? child_capacity / MF_SEQ_INNER_MAX : 1;
	for (size_t i = 0; i < blocks; i++) {
		size_t part = level > 0 ? count / blocks + (i < count % blocks) : 1;
		if (level == 0) {
			block->leaf.sorts[i] = entries->sort;
			block->leaf.items[i] = entries->item;
		} else {
			struct mf_seq *child = build(items, level - 1, grandchild_capacity, entries, part);
			if (!child) {
				mf_seq_unref(NULL, block);
				return NULL;
			}
			block->inner.blocks[i] = child;
			describe(block, (unsigned)i);
		}
		block->n++;
		entries += part;
	}
	add_up(items, block);
	return block;
}

enum mf_status mf_seq_build(const struct mf_seq_items *items, const struct mf_seq_entry *entries, size_t count, struct mf_seq **out)
{
	unsigned level = 0;
	size_t capacity = MF_SEQ_LEAF_MAX, child_capacity = 1;
	if (count > UINT32_MAX)
		return MF_ERR_NO_MEMORY;
	for (; capacity < count; level++) {
		child_capacity = capacity;
		capacity *= MF_SEQ_INNER_MAX;
	}
	struct mf_seq *root = count ? build(items, level, child_capacity, entries, count) : NULL;
	if (count && !root)
		return MF_ERR_NO_MEMORY;
	*out = root;
	return MF_OK;
}
