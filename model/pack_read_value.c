/* pack_read_value.c - packed values read back.
 *
 * The parts of open containers live on two stacks that grow as items are really read, never by
 * what a count claims, so that memory stays in proportion to the input.
 *
 * Invariants
 * 1. Each stack belongs to the calls that are open, the innermost call's part on top; a call that
 *    returns has taken its part away, on success and on failure.
 * 2. Recursion is at most MF_NESTING_MAX deep. */
#include "model/pack_read.h"

#include <string.h>

#include "model/mem.h"

static enum mf_status read_value(struct mf_value_reader *reader, struct mf_unpack *in, unsigned depth, struct mf_value **out);

static enum mf_status make_room(void **memory, size_t *capacity, size_t count, size_t item_size)
{
	if (count < *capacity)
		return MF_OK;
	size_t wanted = *capacity ? *capacity * 2 : 16;
	void *larger = mf_realloc(*memory, wanted * item_size);
	if (!larger)
		return MF_ERR_NO_MEMORY;
	*memory = larger;
	*capacity = wanted;
	return MF_OK;
}

static enum mf_status push_item(struct mf_value_reader *reader, struct mf_unpack *in, unsigned depth)
{
	void *memory = reader->items;
	enum mf_status status = make_room(&memory, &reader->item_capacity, reader->item_count, sizeof(*reader->items));
	reader->items = memory;
	struct mf_value *item = NULL;
	if (status == MF_OK)
		status = read_value(reader, in, depth, &item);
	if (status != MF_OK)
		return status;
	/* the nested call may have moved the stack, but left room where this item goes */
	reader->items[reader->item_count++] = item;
	return MF_OK;
}

static enum mf_status read_array(struct mf_value_reader *reader, struct mf_unpack *in, uint64_t count, unsigned depth, struct mf_value **out)
{
	size_t base = reader->item_count;
	enum mf_status status = MF_OK;
	for (uint64_t i = 0; status == MF_OK && i < count; i++)
		status = push_item(reader, in, depth + 1);
	if (status == MF_OK) {
		reader->item_count = base;
		return mf_value_new_array_take(count ? reader->items + base : NULL, (size_t)count, out, NULL);
	}
	while (reader->item_count > base)
		mf_value_unref(reader->items[--reader->item_count]);
	return status;
}

static enum mf_status push_member(struct mf_value_reader *reader, struct mf_unpack *in, unsigned depth)
{
	void *memory = reader->members;
	enum mf_status status = make_room(&memory, &reader->member_capacity, reader->member_count, sizeof(*reader->members));
	reader->members = memory;
	struct mf_member member = {0};
	if (status == MF_OK)
		status = mf_unpack_str(in, &member.key, &member.key_len);
	if (status == MF_OK)
		status = read_value(reader, in, depth, &member.value);
	if (status != MF_OK)
		return status;
	reader->members[reader->member_count++] = member;
	return MF_OK;
}

static enum mf_status read_object(struct mf_value_reader *reader, struct mf_unpack *in, uint64_t count, unsigned depth, struct mf_value **out)
{
	size_t base = reader->member_count;
	enum mf_status status = MF_OK;
	for (uint64_t i = 0; status == MF_OK && i < count; i++)
		status = push_member(reader, in, depth + 1);
	if (status == MF_OK) {
		reader->member_count = base;
		return mf_value_new_object_take(count ? reader->members + base : NULL, (size_t)count, out, NULL);
	}
	while (reader->member_count > base)
		mf_value_unref(reader->members[--reader->member_count].value);
	return status;
}

static enum mf_status read_double(uint64_t bits, struct mf_value **out)
{
	double number;
	memcpy(&number, &bits, sizeof(number));
	return mf_value_new_double(number, out, NULL);
}

static enum mf_status read_value(struct mf_value_reader *reader, struct mf_unpack *in, unsigned depth, struct mf_value **out)
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
	case MF_TOKEN_ARRAY: return read_array(reader, in, token.number, depth, out);
	case MF_TOKEN_MAP: return read_object(reader, in, token.number, depth, out);
	case MF_TOKEN_BIN:
	case MF_TOKEN_NONE: break;
	}
	return MF_ERR_CORRUPTED;
}

enum mf_status mf_value_reader_next(struct mf_value_reader *reader, struct mf_unpack *in, struct mf_value **out)
{
	struct mf_unpack ahead = *in;
	enum mf_status status = mf_unpack_status(read_value(reader, &ahead, 1, out));
	if (status == MF_OK)
		*in = ahead;
	return status;
}

void mf_value_reader_deinit(struct mf_value_reader *reader)
{
	mf_free(reader->items);
	mf_free(reader->members);
	*reader = (struct mf_value_reader){0};
}

enum mf_status mf_unpack_value(struct mf_unpack *in, struct mf_value **out)
{
	struct mf_value_reader reader = {0};
	enum mf_status status = mf_value_reader_next(&reader, in, out);
	mf_value_reader_deinit(&reader);
	return status;
}
