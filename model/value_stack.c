/* See model/value_stack.h. */
#include "model/value_stack.h"

#include <assert.h>

#include "model/mem.h"

#define FIRST_CAPACITY 16

/* What is pushed lies in memory already, or did: growing fails before it overflows. */
static enum mf_status make_room(void **memory, size_t *capacity, size_t count, size_t part_size)
{
	if (count < *capacity)
		return MF_OK;
	size_t wanted = *capacity ? *capacity * 2 : FIRST_CAPACITY;
	void *larger = mf_realloc(*memory, wanted * part_size);
	if (!larger)
		return MF_ERR_NO_MEMORY;
	*memory = larger;
	*capacity = wanted;
	return MF_OK;
}

enum mf_status mf_value_stack_push_item(struct mf_value_stack *stack, struct mf_value *item)
{
	void *memory = stack->items;
	enum mf_status status = make_room(&memory, &stack->item_capacity, stack->item_count, sizeof(*stack->items));
	stack->items = memory;
	if (status == MF_OK)
		stack->items[stack->item_count++] = item;
	else
		mf_value_unref(item);
	return status;
}

enum mf_status mf_value_stack_push_member(struct mf_value_stack *stack, const char *key, size_t key_len, struct mf_value *value)
{
	void *memory = stack->members;
	enum mf_status status = make_room(&memory, &stack->member_capacity, stack->member_count, sizeof(*stack->members));
	stack->members = memory;
	if (status == MF_OK)
		stack->members[stack->member_count++] = (struct mf_member){key, key_len, value};
	else
		mf_value_unref(value);
	return status;
}

enum mf_status mf_value_stack_pop_array(struct mf_value_stack *stack, size_t base, struct mf_value **out, struct mf_error *error)
{
	size_t count = stack->item_count - base;
	stack->item_count = base;
	return mf_value_new_array_take(count ? stack->items + base : NULL, count, out, error);
}

enum mf_status mf_value_stack_pop_object(struct mf_value_stack *stack, size_t base, struct mf_value **out, struct mf_error *error)
{
	size_t count = stack->member_count - base;
	stack->member_count = base;
	return mf_value_new_object_take(count ? stack->members + base : NULL, count, out, error);
}

void mf_value_stack_drop_items(struct mf_value_stack *stack, size_t base)
{
	while (stack->item_count > base)
		mf_value_unref(stack->items[--stack->item_count]);
}

void mf_value_stack_drop_members(struct mf_value_stack *stack, size_t base)
{
	while (stack->member_count > base)
		mf_value_unref(stack->members[--stack->member_count].value);
}

void mf_value_stack_deinit(struct mf_value_stack *stack)
{
	assert(stack->item_count == 0 && stack->member_count == 0);
	mf_free(stack->items);
	mf_free(stack->members);
	*stack = (struct mf_value_stack){0};
}
