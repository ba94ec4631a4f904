/* patch.c - packed differences applied to a state: the reading half of delta.h. The layout: pack_delta.c. */
#include "model/delta.h"

#include "model/mem.h"
#include "model/pack_stack.h"
#include "model/patch_nodes.h"
#include "model/state.h"

struct mf_patch {
	struct mf_stack_reader stack; /* in and error are those of the difference at hand */
	struct mf_patch_nodes nodes;
	int64_t lsn;
	struct mf_stack undo, redo;
	const char *part; /* for the error */
};

enum mf_status mf_patch_new(const struct mf_state *base, struct mf_state_reading *how, struct mf_patch **out)
{
	struct mf_patch *patch = mf_calloc(1, sizeof(*patch));
	if (!patch)
		return MF_ERR_NO_MEMORY;
	patch->stack.how = how;
	patch->nodes.base = base->doc;
	patch->nodes.node_count = mf_doc_node_count(base->doc);
	patch->lsn = mf_state_lsn(base);
	patch->undo = mf_stack_ref(&base->undo);
	patch->redo = mf_stack_ref(&base->redo);
	*out = patch;
	return MF_OK;
}

void mf_patch_free(struct mf_patch *patch)
{
	if (!patch)
		return;
	mf_stack_reader_deinit(&patch->stack);
	mf_patch_nodes_deinit(&patch->nodes);
	mf_stack_unref(&patch->undo);
	mf_stack_unref(&patch->redo);
	mf_free(patch);
}

/* ---- the stacks ---- */

/* A stack may hold less than its difference knows of: an entry that could not be read has cut it. What is left is its
 * upper part, and stays that. (The history limit of today cuts at the end only: what is popped shows what lies deeper.) */
static void pop(struct mf_stack *stack, uint64_t popped, uint64_t kept)
{
	while (popped-- > 0 && stack->depth > 0)
		mf_stack_pop(stack);
	if (kept < stack->depth)
		stack->depth = (size_t)kept;
	if (stack->depth == 0)
		mf_stack_unref(stack);
}

static enum mf_status push(struct mf_patch *patch, struct mf_stack *stack)
{
	struct mf_state_reading *how = patch->stack.how;
	struct mf_entry_head head;
	struct mf_entry *entry = NULL;
	enum mf_status status = mf_stack_reader_head(&patch->stack, &head);
	if (status == MF_OK)
		status = mf_stack_reader_entry(&patch->stack, &head, how->registry ? &entry : NULL);
	if (status != MF_OK || !how->registry)
		return status;
	if (entry) {
		mf_stack_push_take(stack, SIZE_MAX, entry);
		return MF_OK;
	}
	how->dropped += 1 + stack->depth;
	mf_stack_unref(stack);
	return MF_OK;
}

static enum mf_status read_stack(struct mf_patch *patch, struct mf_stack *stack, const char *part)
{
	uint32_t items, pushed;
	uint64_t popped, kept;
	struct mf_unpack *in = &patch->stack.in;
	patch->part = part;
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK)
		status = items == 3 ? mf_unpack_uint(in, &popped) : MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = mf_unpack_uint(in, &kept);
	if (status == MF_OK)
		status = mf_unpack_array(in, &pushed);
	if (status != MF_OK)
		return status;
	pop(stack, popped, kept);
	for (uint32_t i = 0; status == MF_OK && i < pushed; i++)
		status = push(patch, stack);
	return status;
}

/* As of a packed state: undo LSNs fall, redo LSNs rise, each between the one before and the far end. */
static bool in_order(const struct mf_stack *stack, int64_t low, int64_t high, bool falling)
{
	struct mf_stack_iter iter = {.stack = stack};
	for (const struct mf_entry *entry; (entry = mf_stack_next(&iter));) {
		int64_t lsn = atomic_load_explicit(&entry->lsn, memory_order_relaxed);
		if (lsn <= low || lsn > high)
			return false;
		if (falling)
			high = lsn - 1;
		else
			low = lsn;
	}
	return true;
}

static bool stacks_are_sound(const struct mf_patch *patch)
{
	const struct mf_entry *top = mf_stack_top(&patch->undo);
	int64_t undo_lsn = top ? atomic_load_explicit(&top->lsn, memory_order_relaxed) : 0;
	return in_order(&patch->undo, 0, patch->lsn, true) && in_order(&patch->redo, undo_lsn, patch->lsn, false);
}

/* ---- one difference ---- */

static enum mf_status read_head(struct mf_patch *patch)
{
	uint32_t items;
	uint64_t format;
	int64_t from, to;
	struct mf_unpack *in = &patch->stack.in;
	patch->part = "head";
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK)
		status = mf_unpack_uint(in, &format);
	if (status != MF_OK)
		return status;
	if (format != MF_PACK_DELTA_FORMAT)
		return mf_error_set(patch->stack.error, MF_ERR_CORRUPTED,
				    "the packed difference has format %llu, this library reads format %d; it was written by a newer version or is damaged",
				    (unsigned long long)format, MF_PACK_DELTA_FORMAT);
	status = items == MF_PACK_DELTA_ITEMS ? mf_unpack_int(in, &from) : MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = mf_unpack_int(in, &to);
	if (status == MF_OK && (from != patch->lsn || to <= from))
		status = MF_ERR_CORRUPTED;
	if (status == MF_OK)
		patch->lsn = to;
	return status;
}

static enum mf_status read_delta(struct mf_patch *patch)
{
	enum mf_status status = read_head(patch);
	if (status != MF_OK)
		return status;
	patch->part = "list of step types";
	status = mf_stack_reader_types(&patch->stack);
	if (status != MF_OK)
		return status;
	patch->part = "document";
	status = mf_patch_nodes_read(&patch->nodes, &patch->stack.in);
	if (status == MF_OK)
		status = read_stack(patch, &patch->undo, "undo stack");
	if (status == MF_OK)
		status = read_stack(patch, &patch->redo, "redo stack");
	return status == MF_OK && !stacks_are_sound(patch) ? MF_ERR_CORRUPTED : status;
}

enum mf_status mf_patch_add(struct mf_patch *patch, struct mf_unpack *in, struct mf_error *error)
{
	struct mf_error reason = {0};
	patch->stack.in = *in;
	patch->stack.error = &reason;
	enum mf_status status = read_delta(patch);
	patch->stack.error = NULL;
	if (status == MF_OK) {
		*in = patch->stack.in;
		return MF_OK;
	}
	if (reason.status == status)
		return mf_error_set(error, status, "%s", reason.message);
	if (status == MF_ERR_NO_MEMORY)
		return mf_error_set(error, status, "out of memory while reading a packed difference");
	return mf_error_set(error, status, "the packed difference is damaged: its %s, near byte %zu", patch->part, (size_t)(patch->stack.in.at - in->at));
}

static struct mf_stack cut(const struct mf_stack *stack, size_t limit)
{
	struct mf_stack upper = mf_stack_ref(stack);
	if (upper.depth > limit)
		upper.depth = limit;
	if (upper.depth == 0)
		mf_stack_unref(&upper);
	return upper;
}

enum mf_status mf_patch_finish(struct mf_patch *patch, struct mf_state **out, struct mf_error *error)
{
	struct mf_doc *doc;
	struct mf_state *state;
	enum mf_status status = mf_patch_nodes_build(&patch->nodes, &doc);
	if (status == MF_OK)
		status = mf_state_new_take(doc, patch->lsn, patch->stack.how->history_limit, &state);
	if (status != MF_OK)
		return mf_error_set(error, status, status == MF_ERR_NO_MEMORY ? "out of memory while applying packed differences" : "the packed differences make no document");
	state->undo = cut(&patch->undo, state->history_limit);
	state->redo = cut(&patch->redo, state->history_limit);
	*out = state;
	return MF_OK;
}
