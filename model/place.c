/* Where a node stands.
 *
 * Order labels. A child's label is chosen once: 2^32 beyond the last child or before the first, or
 * half-way between two neighbours. Where two labels have no number between them, a window around
 * the place is doubled until its labels lie 2^20 apart on average, and is then spread evenly. The
 * wider the window, the more inserts it took to fill it, so an insert costs O(log n) labels
 * amortised, and one that only appends never relabels (2^31 of them fit).
 *
 * Heights. A record knows the height of its subtree, its parent's list the largest of them, so a
 * move is checked against the depth limit without walking the subtree. A new height goes up
 * towards the root only as far as it changes something there: at most MF_DEPTH_MAX levels. */
#include "model/place.h"

#include <assert.h>

#define GAP_WANTED ((uint64_t)1 << 20) /* what relabelling leaves at least */
#define WINDOW_FIRST 8

static enum mf_status own_at(struct mf_doc *doc, size_t index, struct mf_node **out)
{
	uint64_t *item;
	enum mf_status status = mf_seq_own(&mf_node_items, &doc->nodes, index, &item);
	if (status)
		return status;
	struct mf_node *node = (struct mf_node *)(uintptr_t)*item;
	if (atomic_load_explicit(&node->ref, memory_order_acquire) != 1) {
		struct mf_node *copy = mf_node_copy(node);
		if (!copy)
			return MF_ERR_NO_MEMORY;
		*item = (uintptr_t)copy;
		mf_node_unref(node);
		node = copy;
	}
	*out = node;
	return MF_OK;
}

enum mf_status mf_place_own(struct mf_doc *doc, const struct mf_str *id, struct mf_node **out)
{
	size_t index = 0;
	mf_nodes_find_str(doc->nodes, id, &index);
	return own_at(doc, index, out);
}

/* ---- heights ---- */

static enum mf_status set_height_in_parent(struct mf_doc *doc, const struct mf_node *node, struct mf_node **out_parent)
{
	struct mf_node *parent;
	enum mf_status status = mf_place_own(doc, node->parent, &parent);
	if (status)
		return status;
	const struct mf_seq_entry entry = mf_child_entry(node);
	struct mf_seq_entry old;
	*out_parent = parent;
	return mf_seq_replace(NULL, &parent->children, mf_seq_rank(parent->children, node->label), &entry, &old);
}

/* The children of node, an owned record, have changed. */
static enum mf_status update_heights(struct mf_doc *doc, struct mf_node *node)
{
	for (;;) {
		uint32_t height = 1 + mf_seq_top(node->children);
		if (height == node->height)
			return MF_OK;
		node->height = height;
		if (!node->parent)
			return MF_OK;
		enum mf_status status = set_height_in_parent(doc, node, &node);
		if (status)
			return status;
	}
}

/* ---- labels ---- */

static uint64_t label_at(const struct mf_node *parent, size_t index)
{
	return mf_seq_at(parent->children, index).sort;
}

/* Children [from, to), to be spread over the labels strictly between below and above. */
struct window {
	size_t from, to;
	uint64_t below, above;
};

static uint64_t gap_of(const struct window *window)
{
	return (window->above - window->below) / (window->to - window->from + 1);
}

static struct window window_around(const struct mf_node *parent, size_t index, size_t size)
{
	size_t count = mf_seq_count(parent->children);
	struct window window = {.from = index > size / 2 ? index - size / 2 : 0};
	window.to = count - window.from > size ? window.from + size : count;
	uint64_t first = label_at(parent, window.from), last = label_at(parent, window.to - 1);
	if (window.from > 0)
		window.below = label_at(parent, window.from - 1);
	else
		window.below = first > MF_LABEL_GAP ? first - MF_LABEL_GAP : 0;
	if (window.to < count)
		window.above = label_at(parent, window.to);
	else
		window.above = last < UINT64_MAX - MF_LABEL_GAP ? last + MF_LABEL_GAP : UINT64_MAX;
	if (window.to - window.from == count && gap_of(&window) < GAP_WANTED) {
		window.below = 0;
		window.above = UINT64_MAX;
	}
	return window;
}

static enum mf_status set_label(struct mf_doc *doc, struct mf_node *parent, size_t index, uint64_t label)
{
	struct mf_seq_entry old, entry = mf_seq_at(parent->children, index);
	struct mf_node *child;
	size_t place = 0;
	mf_nodes_child(doc->nodes, parent, &entry, &place);
	enum mf_status status = own_at(doc, place, &child);
	if (status)
		return status;
	child->label = entry.sort = label;
	return mf_seq_replace(NULL, &parent->children, index, &entry, &old);
}

static enum mf_status relabel(struct mf_doc *doc, struct mf_node *parent, size_t index)
{
	size_t size = WINDOW_FIRST;
	struct window window = window_around(parent, index, size);
	while (gap_of(&window) < GAP_WANTED) {
		size *= 2;
		window = window_around(parent, index, size);
	}
	uint64_t gap = gap_of(&window);
	for (size_t i = window.from; i < window.to; i++) {
		enum mf_status status = set_label(doc, parent, i, window.below + gap * (i - window.from + 1));
		if (status)
			return status;
	}
	return MF_OK;
}

/* A label for a new child at index, or 0 when there is no room. */
static uint64_t free_label(const struct mf_node *parent, size_t index)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry entry;
	uint64_t below = 0, above = UINT64_MAX;
	size_t count = mf_seq_count(parent->children);
	if (count == 0)
		return MF_LABEL_FIRST;
	mf_seq_iterate(&iter, parent->children, index > 0 ? index - 1 : 0);
	mf_seq_expect_change(&iter, NULL);
	if (index > 0) {
		mf_seq_next(&iter, &entry);
		below = entry.sort;
	}
	if (mf_seq_next(&iter, &entry))
		above = entry.sort;
	if (index == count && above - below > MF_LABEL_GAP)
		return below + MF_LABEL_GAP;
	if (index == 0 && above - below > MF_LABEL_GAP)
		return above - MF_LABEL_GAP;
	return above - below >= 2 ? below + (above - below) / 2 : 0;
}

/* ---- attach and detach ---- */

enum mf_status mf_place_attach(struct mf_doc *doc, const struct mf_str *parent_id, size_t index, struct mf_node *child)
{
	struct mf_node *parent;
	enum mf_status status = mf_place_own(doc, parent_id, &parent);
	if (status)
		return status;
	uint64_t label = free_label(parent, index);
	if (label == 0) {
		status = relabel(doc, parent, index);
		if (status)
			return status;
		label = free_label(parent, index);
		assert(label != 0);
	}
	child->label = label;
	const struct mf_seq_entry entry = mf_child_entry(child);
	status = mf_seq_insert(NULL, &parent->children, index, &entry);
	if (status)
		return status;
	struct mf_str *old_parent = child->parent;
	child->parent = mf_str_ref(parent->id);
	mf_str_unref(old_parent);
	return update_heights(doc, parent);
}

enum mf_status mf_place_detach(struct mf_doc *doc, const struct mf_node *child)
{
	struct mf_node *parent;
	enum mf_status status = mf_place_own(doc, child->parent, &parent);
	if (status)
		return status;
	struct mf_seq_entry old;
	status = mf_seq_remove(NULL, &parent->children, mf_seq_rank(parent->children, child->label), &old);
	return status ? status : update_heights(doc, parent);
}
