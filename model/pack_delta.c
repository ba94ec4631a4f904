/* pack_delta.c - the difference of two states, written. patch.c reads it.
 *
 *   array of 7
 *     1  uint    format, 1
 *     2  int     LSN of the base
 *     3  int     LSN of the state
 *     4  array   step types of the entries below (pack_stack.h)
 *     5  array   the document: 1 uint nodes in all, then 3 items for each node that is new or changed
 *                  str id
 *                  nil (as before) or [str type, map attributes, map marks, splices]; splices: 4 items for each
 *                  attribute that is not in the map, but a string that was there before with code points replaced:
 *                  str key, uint first one, uint how many, str instead
 *                  nil (as before) or array of children in order: str id, or [uint from, uint count] = that run of
 *                  the children that the node had before; runs ascend and do not overlap
 *     6  array   undo: [uint popped, uint kept, array of entries pushed, the oldest first]
 *     7  array   redo: the same
 *
 * Nodes that are gone are not named: nothing lists them any more. A node that is new has both parts, and no run.
 * Labels and heights are not stored, as in a packed state: they follow from the order. */
#include "model/delta.h"

#include "model/mem.h"
#include "model/node.h"
#include "model/pack_stack.h"
#include "model/splice.h"
#include "model/state.h"

/* One piece of a list of children: the new child, or (NULL) a run of the old ones. */
struct piece {
	const struct mf_node *child;
	size_t from, count;
};

struct spliced {
	const char *key;
	size_t key_len;
	struct mf_splice splice;
};

struct change {
	const struct mf_node *old, *node; /* old NULL: new */
};

struct delta {
	struct mf_stack_writer stack;
	const struct mf_state *base, *state;
	size_t end; /* out may grow to there */
	bool too_long;
	struct change *changes;
	size_t change_count, change_capacity;
	struct piece *pieces; /* of the list at hand */
	size_t piece_count, piece_capacity;
	struct spliced *spliced; /* attributes of the node at hand */
	size_t spliced_count, spliced_capacity;
	const struct change *at;
	enum mf_status status; /* of a visit */
};

static enum mf_status grow(void **items, size_t count, size_t *capacity, size_t item_size)
{
	if (count < *capacity)
		return MF_OK;
	size_t larger = *capacity ? *capacity * 2 : 16;
	void *grown = mf_realloc(*items, larger * item_size);
	if (!grown)
		return MF_ERR_NO_MEMORY;
	*items = grown;
	*capacity = larger;
	return MF_OK;
}

/* ---- which nodes ---- */

static bool same_content(const struct mf_node *a, const struct mf_node *b)
{
	return a->type == b->type && a->attrs == b->attrs && a->marks == b->marks;
}

static enum mf_status collect_node(void *user, const struct mf_seq *shared, const struct mf_seq_entry *entry)
{
	struct delta *delta = user;
	if (shared)
		return MF_OK;
	const struct mf_node *node = mf_entry_node(entry), *old = mf_nodes_find_str(delta->base->doc->nodes, node->id, NULL);
	if (old == node || (old && same_content(old, node) && old->children == node->children))
		return MF_OK;
	enum mf_status status = grow((void **)&delta->changes, delta->change_count, &delta->change_capacity, sizeof(*delta->changes));
	if (status == MF_OK)
		delta->changes[delta->change_count++] = (struct change){old, node};
	return status;
}

/* ---- lists of children ---- */

static enum mf_status add_piece(struct delta *delta, const struct piece *piece)
{
	if (delta->piece_count > 0 && !piece->child) {
		struct piece *last = &delta->pieces[delta->piece_count - 1];
		if (!last->child && last->from + last->count == piece->from) {
			last->count += piece->count;
			return MF_OK;
		}
	}
	enum mf_status status = grow((void **)&delta->pieces, delta->piece_count, &delta->piece_capacity, sizeof(*delta->pieces));
	if (status == MF_OK)
		delta->pieces[delta->piece_count++] = *piece;
	return status;
}

/* Did the old list have this child at this label? *out_index is its place there. */
static bool was_there(const struct delta *delta, const struct mf_seq_entry *entry, const struct mf_node *child, size_t *out_index)
{
	struct mf_seq_iter iter;
	struct mf_seq_entry before;
	const struct mf_node *parent = delta->at->old;
	if (!parent)
		return false;
	*out_index = mf_seq_seek(&iter, parent->children, entry->sort);
	if (!mf_seq_next(&iter, &before) || before.sort != entry->sort || (before.item ^ entry->item) >> 8)
		return false;
	const struct mf_node *old = mf_nodes_child(delta->base->doc->nodes, parent, &before, NULL);
	return old == child || mf_str_is(old->id, child->id->bytes, child->id->len);
}

static enum mf_status collect_child(void *user, const struct mf_seq *shared, const struct mf_seq_entry *entry)
{
	struct delta *delta = user;
	if (shared)
		return add_piece(delta, &(struct piece){.from = mf_seq_rank(delta->at->old->children, mf_seq_first_sort(shared)), .count = shared->count});
	struct piece piece = {.child = mf_nodes_child(delta->state->doc->nodes, delta->at->node, entry, NULL)};
	if (was_there(delta, entry, piece.child, &piece.from))
		piece = (struct piece){.from = piece.from, .count = 1};
	return add_piece(delta, &piece);
}

static enum mf_status write_piece(struct delta *delta, const struct piece *piece)
{
	struct mf_buffer *out = delta->stack.out;
	if (piece->child)
		return mf_pack_str(out, piece->child->id->bytes, piece->child->id->len);
	enum mf_status status = mf_pack_array(out, 2);
	if (status == MF_OK)
		status = mf_pack_uint(out, piece->from);
	if (status == MF_OK)
		status = mf_pack_uint(out, piece->count);
	return status;
}

static enum mf_status write_children(struct delta *delta)
{
	const struct mf_seq *before = delta->at->old ? delta->at->old->children : NULL, *now = delta->at->node->children;
	if (delta->at->old && before == now)
		return mf_pack_nil(delta->stack.out);
	delta->piece_count = 0;
	enum mf_status status = mf_seq_diff(before, now, collect_child, delta);
	if (status == MF_OK)
		status = mf_pack_array(delta->stack.out, (uint32_t)delta->piece_count);
	for (size_t i = 0; status == MF_OK && i < delta->piece_count; i++)
		status = write_piece(delta, &delta->pieces[i]);
	return status;
}

/* ---- attributes ---- */

static bool collect_attr(void *user, const char *key, size_t key_len, const struct mf_value *value)
{
	struct delta *delta = user;
	struct spliced spliced = {.key = key, .key_len = key_len};
	bool found = false;
	delta->status = mf_splice_find(mf_attrs_get(delta->at->old->attrs, key, key_len), value, &spliced.splice, &found);
	if (delta->status != MF_OK || !found)
		return delta->status == MF_OK;
	delta->status = grow((void **)&delta->spliced, delta->spliced_count, &delta->spliced_capacity, sizeof(*delta->spliced));
	if (delta->status == MF_OK)
		delta->spliced[delta->spliced_count++] = spliced;
	else
		mf_free(spliced.splice.insert);
	return delta->status == MF_OK;
}

struct attr_writer {
	struct delta *delta;
	size_t next; /* of spliced, which are in the order of the attributes */
};

static bool write_attr(void *user, const char *key, size_t key_len, const struct mf_value *value)
{
	struct attr_writer *writer = user;
	struct delta *delta = writer->delta;
	if (writer->next < delta->spliced_count && delta->spliced[writer->next].key == key) {
		writer->next++;
		return true;
	}
	delta->status = mf_pack_str(delta->stack.out, key, key_len);
	if (delta->status == MF_OK)
		delta->status = mf_pack_value(delta->stack.out, value);
	return delta->status == MF_OK;
}

static enum mf_status write_attrs(struct delta *delta)
{
	const struct mf_node *node = delta->at->node;
	struct attr_writer writer = {delta, 0};
	delta->status = MF_OK;
	if (delta->at->old)
		mf_attrs_visit(node->attrs, collect_attr, delta);
	if (delta->status == MF_OK)
		delta->status = mf_pack_map(delta->stack.out, (uint32_t)(mf_tree_count(node->attrs) - delta->spliced_count));
	if (delta->status == MF_OK)
		mf_attrs_visit(node->attrs, write_attr, &writer);
	return delta->status;
}

static enum mf_status write_splice(struct mf_buffer *out, const struct spliced *spliced)
{
	enum mf_status status = mf_pack_str(out, spliced->key, spliced->key_len);
	if (status == MF_OK)
		status = mf_pack_uint(out, spliced->splice.pos);
	if (status == MF_OK)
		status = mf_pack_uint(out, spliced->splice.del);
	return status == MF_OK ? mf_pack_str(out, spliced->splice.insert, spliced->splice.insert_len) : status;
}

static enum mf_status write_splices(struct delta *delta)
{
	enum mf_status status = mf_pack_array(delta->stack.out, (uint32_t)(4 * delta->spliced_count));
	for (size_t i = 0; status == MF_OK && i < delta->spliced_count; i++)
		status = write_splice(delta->stack.out, &delta->spliced[i]);
	return status;
}

static void forget_splices(struct delta *delta)
{
	while (delta->spliced_count > 0)
		mf_free(delta->spliced[--delta->spliced_count].splice.insert);
}

/* ---- the document ---- */

static enum mf_status write_content(struct delta *delta)
{
	struct mf_buffer *out = delta->stack.out;
	const struct mf_node *node = delta->at->node;
	if (delta->at->old && same_content(delta->at->old, node))
		return mf_pack_nil(out);
	enum mf_status status = mf_pack_array(out, 4);
	if (status == MF_OK)
		status = mf_pack_str(out, node->type->bytes, node->type->len);
	if (status == MF_OK)
		status = write_attrs(delta);
	if (status == MF_OK)
		status = mf_pack_members(out, node->marks);
	if (status == MF_OK)
		status = write_splices(delta);
	forget_splices(delta);
	return status;
}

static enum mf_status write_change(struct delta *delta)
{
	const struct mf_str *id = delta->at->node->id;
	enum mf_status status = mf_pack_str(delta->stack.out, id->bytes, id->len);
	if (status == MF_OK)
		status = write_content(delta);
	return status == MF_OK ? write_children(delta) : status;
}

static enum mf_status write_doc(struct delta *delta)
{
	enum mf_status status = mf_seq_diff(delta->base->doc->nodes, delta->state->doc->nodes, collect_node, delta);
	if (status == MF_OK && delta->change_count > (UINT32_MAX - 1) / 3)
		status = MF_ERR_NO_MEMORY;
	if (status == MF_OK)
		status = mf_pack_array(delta->stack.out, (uint32_t)(1 + 3 * delta->change_count));
	if (status == MF_OK)
		status = mf_pack_uint(delta->stack.out, mf_doc_node_count(delta->state->doc));
	for (size_t i = 0; status == MF_OK && i < delta->change_count && !delta->too_long; i++) {
		delta->at = &delta->changes[i];
		status = write_change(delta);
		delta->too_long = delta->stack.out->len > delta->end;
	}
	return status;
}

/* ---- the stacks ---- */

struct stack_change {
	const struct mf_entry **pushed; /* the newest first */
	size_t pushed_count, popped, kept;
};

/* Both stacks go on with the same entries from the first one that they share. Until there, whichever top lies further
 * from the bottom by its LSN comes off; the same LSN twice is an event undone and redone. */
static enum mf_status compare_stacks(const struct mf_stack *before, const struct mf_stack *now, bool falling, struct stack_change *out)
{
	struct mf_stack_iter old_iter = {.stack = before}, iter = {.stack = now};
	const struct mf_entry *old = mf_stack_next(&old_iter), *entry = mf_stack_next(&iter);
	while (entry && entry != old) {
		int64_t old_lsn = old ? atomic_load_explicit(&old->lsn, memory_order_acquire) : 0, lsn = atomic_load_explicit(&entry->lsn, memory_order_acquire);
		if (old && lsn != old_lsn && (lsn < old_lsn) == falling) {
			out->popped++;
			old = mf_stack_next(&old_iter);
			continue;
		}
		if (old && lsn == old_lsn) {
			out->popped++;
			old = mf_stack_next(&old_iter);
		}
		out->pushed[out->pushed_count++] = entry;
		entry = mf_stack_next(&iter);
	}
	out->kept = now->depth - out->pushed_count;
	return MF_OK;
}

static enum mf_status note_stack(struct delta *delta, const struct mf_stack *before, const struct mf_stack *now, bool falling, struct stack_change *out)
{
	out->pushed = mf_calloc(now->depth ? now->depth : 1, sizeof(*out->pushed));
	if (!out->pushed)
		return MF_ERR_NO_MEMORY;
	enum mf_status status = compare_stacks(before, now, falling, out);
	for (size_t i = 0; status == MF_OK && i < out->pushed_count; i++)
		status = mf_stack_writer_note(&delta->stack, out->pushed[i]);
	return status;
}

static enum mf_status write_stack(struct delta *delta, const struct stack_change *change)
{
	struct mf_buffer *out = delta->stack.out;
	enum mf_status status = mf_pack_array(out, 3);
	if (status == MF_OK)
		status = mf_pack_uint(out, change->popped);
	if (status == MF_OK)
		status = mf_pack_uint(out, change->kept);
	if (status == MF_OK)
		status = mf_pack_array(out, (uint32_t)change->pushed_count);
	for (size_t i = change->pushed_count; status == MF_OK && i > 0 && !delta->too_long; i--) {
		status = mf_stack_writer_entry(&delta->stack, change->pushed[i - 1]);
		delta->too_long = out->len > delta->end;
	}
	return status;
}

/* ---- all of it ---- */

static enum mf_status write_delta(struct delta *delta, const struct stack_change *undo, const struct stack_change *redo)
{
	struct mf_buffer *out = delta->stack.out;
	enum mf_status status = mf_pack_array(out, MF_PACK_DELTA_ITEMS);
	if (status == MF_OK)
		status = mf_pack_uint(out, MF_PACK_DELTA_FORMAT);
	if (status == MF_OK)
		status = mf_pack_int(out, mf_state_lsn(delta->base));
	if (status == MF_OK)
		status = mf_pack_int(out, mf_state_lsn(delta->state));
	if (status == MF_OK)
		status = mf_stack_writer_types(&delta->stack);
	if (status == MF_OK)
		status = write_doc(delta);
	if (status == MF_OK && !delta->too_long)
		status = write_stack(delta, undo);
	if (status == MF_OK && !delta->too_long)
		status = write_stack(delta, redo);
	return status;
}

enum mf_status mf_pack_delta(struct mf_buffer *out, const struct mf_state *base, const struct mf_state *state, size_t max_len, bool *out_fits)
{
	if (mf_state_lsn(base) == MF_LSN_UNKNOWN || mf_state_lsn(state) <= mf_state_lsn(base))
		return MF_ERR_STATE;
	struct delta delta = {.stack = {.out = out}, .base = base, .state = state, .end = out->len + max_len};
	struct stack_change undo = {0}, redo = {0};
	enum mf_status status = note_stack(&delta, &base->undo, &state->undo, true, &undo);
	if (status == MF_OK)
		status = note_stack(&delta, &base->redo, &state->redo, false, &redo);
	if (status == MF_OK)
		status = write_delta(&delta, &undo, &redo);
	mf_free((void *)undo.pushed);
	mf_free((void *)redo.pushed);
	mf_free(delta.changes);
	mf_free(delta.pieces);
	mf_free(delta.spliced);
	mf_stack_writer_deinit(&delta.stack);
	if (status == MF_OK)
		*out_fits = !delta.too_long;
	return status;
}
