/* pack_read_value.c - packed values read back.
 *
 * The parts of open containers live on a stack (model/value_stack.h).
 *
 * Invariants
 * 1. A call that returns has taken its part of the stack away, on success and on failure.
 * 2. Recursion is at most MF_NESTING_MAX deep. */
#include "model/pack_read.h"

#include <string.h>

static enum mf_status read_value(struct mf_value_stack *stack, struct mf_unpack *in, unsigned depth, struct mf_value **out);

static enum mf_status read_array(struct mf_value_stack *stack, struct mf_unpack *in, uint64_t count, unsigned depth, struct mf_value **out)
{
	size_t base = stack->item_count;
	enum mf_status status = MF_OK;
	for (uint64_t i = 0; status == MF_OK && i < count; i++) {
		struct mf_value *item;
		status = read_value(stack, in, depth + 1, &item);
		if (status == MF_OK)
			status = mf_value_stack_push_item(stack, item);
	}
	if (status == MF_OK)
		return mf_value_stack_pop_array(stack, base, out, NULL);
	mf_value_stack_drop_items(stack, base);
	return status;
}

static enum mf_status read_member(struct mf_value_stack *stack, struct mf_unpack *in, unsigned depth)
{
	const char *key;
	size_t key_len;
	struct mf_value *value;
	enum mf_status status = mf_unpack_str(in, &key, &key_len);
	if (status == MF_OK)
		status = read_value(stack, in, depth, &value);
	return status == MF_OK ? mf_value_stack_push_member(stack, key, key_len, value) : status;
}

static enum mf_status read_object(struct mf_value_stack *stack, struct mf_unpack *in, uint64_t count, unsigned depth, struct mf_value **out)
{
	size_t base = stack->member_count;
	enum mf_status status = MF_OK;
	for (uint64_t i = 0; status == MF_OK && i < count; i++)
		status = read_member(stack, in, depth + 1);
	if (status == MF_OK)
		return mf_value_stack_pop_object(stack, base, out, NULL);
	mf_value_stack_drop_members(stack, base);
	return status;
}

static enum mf_status read_double(uint64_t bits, struct mf_value **out)
{
	double number;
	memcpy(&number, &bits, sizeof(number));
	return mf_value_new_double(number, out, NULL);
}

static enum mf_status read_value(struct mf_value_stack *stack, struct mf_unpack *in, unsigned depth, struct mf_value **out)
{
	struct mf_token token;
	if (depth > MF_NESTING_MAX)
		return MF_ERR_CORRUPTED;
	enum mf_status status = mf_unpack_token(in, &token);
	if (status != MF_OK)
		return status;
	switch (token.kind) {
	case MF_TOKEN_NIL: *out = mf_value_null(); return MF_OK;
	case MF_TOKEN_FALSE: *out = mf_value_bool(false); return MF_OK;
	case MF_TOKEN_TRUE: *out = mf_value_bool(true); return MF_OK;
	case MF_TOKEN_UINT: return token.number <= INT64_MAX ? mf_value_new_int((int64_t)token.number, out) : MF_ERR_CORRUPTED;
	case MF_TOKEN_INT: return mf_value_new_int((int64_t)token.number, out);
	case MF_TOKEN_DOUBLE: return read_double(token.number, out);
	case MF_TOKEN_STR: return mf_value_new_string(token.bytes, (size_t)token.number, out, NULL);
	case MF_TOKEN_ARRAY: return read_array(stack, in, token.number, depth, out);
	case MF_TOKEN_MAP: return read_object(stack, in, token.number, depth, out);
	case MF_TOKEN_BIN:
	case MF_TOKEN_NONE: break;
	}
	return MF_ERR_CORRUPTED;
}

enum mf_status mf_unpack_next_value(struct mf_value_stack *stack, struct mf_unpack *in, struct mf_value **out)
{
	struct mf_unpack ahead = *in;
	enum mf_status status = mf_unpack_status(read_value(stack, &ahead, 1, out));
	if (status == MF_OK)
		*in = ahead;
	return status;
}

enum mf_status mf_unpack_value(struct mf_unpack *in, struct mf_value **out)
{
	struct mf_value_stack stack = {0};
	enum mf_status status = mf_unpack_next_value(&stack, in, out);
	mf_value_stack_deinit(&stack);
	return status;
}
