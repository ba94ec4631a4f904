#include "model/history.h"

#include <assert.h>

#include "model/mem.h"

enum mf_status mf_entry_new(size_t count, int64_t lsn, uint64_t tr_id, struct mf_entry **out)
{
	if (count > (SIZE_MAX - sizeof(struct mf_entry)) / sizeof(struct mf_step *))
		return MF_ERR_NO_MEMORY;
	struct mf_entry *entry = mf_calloc(1, sizeof(*entry) + count * sizeof(*entry->steps));
	if (!entry)
		return MF_ERR_NO_MEMORY;
	atomic_init(&entry->ref, 1);
	atomic_init(&entry->lsn, lsn);
	entry->tr_id = tr_id;
	entry->count = count;
	*out = entry;
	return MF_OK;
}

static struct mf_entry *entry_ref(struct mf_entry *entry)
{
	if (entry)
		atomic_fetch_add_explicit(&entry->ref, 1, memory_order_relaxed);
	return entry;
}

void mf_entry_unref(struct mf_entry *entry)
{
	while (entry && atomic_fetch_sub_explicit(&entry->ref, 1, memory_order_acq_rel) == 1) {
		struct mf_entry *next = entry->next;
		for (size_t i = 0; i < entry->count; i++)
			mf_step_unref(entry->steps[i]);
		mf_free(entry);
		entry = next;
	}
}

struct mf_stack mf_stack_ref(const struct mf_stack *stack)
{
	entry_ref(stack->recent);
	entry_ref(stack->older);
	return *stack;
}

void mf_stack_unref(struct mf_stack *stack)
{
	mf_entry_unref(stack->recent);
	mf_entry_unref(stack->older);
	*stack = (struct mf_stack){0};
}

void mf_stack_push_take(struct mf_stack *stack, size_t limit, struct mf_entry *entry)
{
	assert(!entry->next);
	if (limit == 0) {
		mf_entry_unref(entry);
		return;
	}
	if (stack->recent_count >= limit) {
		mf_entry_unref(stack->older);
		stack->older = stack->recent;
		stack->recent = NULL;
		stack->recent_count = 0;
	}
	entry->next = stack->recent;
	stack->recent = entry;
	stack->recent_count++;
	if (stack->depth < limit)
		stack->depth++;
}

void mf_stack_pop(struct mf_stack *stack)
{
	assert(stack->depth > 0);
	struct mf_entry **chain = stack->recent ? &stack->recent : &stack->older;
	struct mf_entry *top = *chain;
	stack->recent_count -= stack->recent != NULL;
	stack->depth--;
	*chain = entry_ref(top->next);
	mf_entry_unref(top);
	if (stack->depth == 0)
		mf_stack_unref(stack);
}

struct mf_entry *mf_stack_top(const struct mf_stack *stack)
{
	if (stack->depth == 0)
		return NULL;
	return stack->recent ? stack->recent : stack->older;
}

const struct mf_entry *mf_stack_next(struct mf_stack_iter *iter)
{
	if (iter->seen == iter->stack->depth)
		return NULL;
	const struct mf_entry *next = iter->last ? iter->last->next : iter->stack->recent;
	if (!next) /* once: the depth ends before the older ones do */
		next = iter->stack->older;
	iter->last = next;
	iter->seen++;
	return next;
}
