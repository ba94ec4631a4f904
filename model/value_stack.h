/* value_stack.h - the parts of arrays and objects that are still being read, for readers of bytes from outside: packed
 * values and JSON.
 *
 * One stack for items and one for members. Each belongs to the containers that are open, the innermost on top: a reader
 * remembers the count at which its container began, pushes what it reads, and pops or drops down to there again.
 *
 * They grow as parts are really read, never by what a count claims, so that memory stays in proportion to the input. The
 * memory serves the next container, and the next value.
 *
 * Zero-initialise, use, deinit. Thread: one. */
#pragma once

#include <moduforge/value.h>

struct mf_value_stack {
	struct mf_value **items;
	size_t item_count, item_capacity;
	struct mf_member *members;
	size_t member_count, member_capacity;
};

/* Both take the value, also on failure (MF_ERR_NO_MEMORY). The key is borrowed until the object is popped or dropped. */
enum mf_status mf_value_stack_push_item(struct mf_value_stack *stack, struct mf_value *item);
enum mf_status mf_value_stack_push_member(struct mf_value_stack *stack, const char *key, size_t key_len, struct mf_value *value);
/* What lies above base becomes a value, or goes with the failure. Members that were popped, sorted by then, can be
 * looked at (not their values) until the next push. */
enum mf_status mf_value_stack_pop_array(struct mf_value_stack *stack, size_t base, struct mf_value **out, struct mf_error *error);
enum mf_status mf_value_stack_pop_object(struct mf_value_stack *stack, size_t base, struct mf_value **out, struct mf_error *error);
void mf_value_stack_drop_items(struct mf_value_stack *stack, size_t base);
void mf_value_stack_drop_members(struct mf_value_stack *stack, size_t base);
void mf_value_stack_deinit(struct mf_value_stack *stack); /* it is empty */
