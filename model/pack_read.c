/* pack_read.c - the reading half of pack.h: MessagePack tokens. The byte table is in pack_write.c.
 *
 * A longer form than needed is accepted, as MessagePack says; what we never write (extension
 * types, float32) is damage.
 *
 * Invariants
 * 1. A length fits the bytes that are left; so does a count, at one byte an item and two a member.
 * 2. A failed call leaves the input where it was. */
#include "model/pack_read.h"

#include <stddef.h>

struct form {
	uint8_t kind, width; /* width: bytes of the number that follows the first byte */
};

static const struct form forms[32] = {
	/* from 0xc0 */
	{MF_TOKEN_NIL, 0}, {MF_TOKEN_NONE, 0}, {MF_TOKEN_FALSE, 0}, {MF_TOKEN_TRUE, 0},
	{MF_TOKEN_BIN, 1}, {MF_TOKEN_BIN, 2}, {MF_TOKEN_BIN, 4}, {MF_TOKEN_NONE, 0},
	{MF_TOKEN_NONE, 0}, {MF_TOKEN_NONE, 0}, {MF_TOKEN_NONE, 0}, {MF_TOKEN_DOUBLE, 8},
	{MF_TOKEN_UINT, 1}, {MF_TOKEN_UINT, 2}, {MF_TOKEN_UINT, 4}, {MF_TOKEN_UINT, 8},
	{MF_TOKEN_INT, 1}, {MF_TOKEN_INT, 2}, {MF_TOKEN_INT, 4}, {MF_TOKEN_INT, 8},
	{MF_TOKEN_NONE, 0}, {MF_TOKEN_NONE, 0}, {MF_TOKEN_NONE, 0}, {MF_TOKEN_NONE, 0},
	{MF_TOKEN_NONE, 0}, {MF_TOKEN_STR, 1}, {MF_TOKEN_STR, 2}, {MF_TOKEN_STR, 4},
	{MF_TOKEN_ARRAY, 2}, {MF_TOKEN_ARRAY, 4}, {MF_TOKEN_MAP, 2}, {MF_TOKEN_MAP, 4},
};

static uint64_t big_endian(const unsigned char *bytes, size_t width)
{
	uint64_t number = 0;
	for (size_t i = 0; i < width; i++)
		number = number << 8 | bytes[i];
	return number;
}

static uint64_t sign_extended(uint64_t number, size_t width)
{
	uint64_t sign = UINT64_C(1) << (8 * width - 1); /* NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult): width is 1 to 8 */
	return (number ^ sign) - sign;
}

static struct mf_token token(enum mf_token_kind kind, uint64_t number)
{
	return (struct mf_token){.kind = kind, .number = number};
}

/* The head of a token; *at is moved behind it. */
static enum mf_status read_head(const unsigned char **at, const unsigned char *end, struct mf_token *out)
{
	if (*at == end)
		return MF_ERR_CORRUPTED;
	unsigned first = *(*at)++;
	if (first < 0x80)
		*out = token(MF_TOKEN_UINT, first);
	else if (first < 0x90)
		*out = token(MF_TOKEN_MAP, first & 0x0f);
	else if (first < 0xa0)
		*out = token(MF_TOKEN_ARRAY, first & 0x0f);
	else if (first < 0xc0)
		*out = token(MF_TOKEN_STR, first & 0x1f);
	else if (first >= 0xe0)
		*out = token(MF_TOKEN_INT, sign_extended(first, 1));
	else {
		struct form form = forms[first - 0xc0];
		if (form.kind == MF_TOKEN_NONE || form.width > (size_t)(end - *at))
			return MF_ERR_CORRUPTED;
		uint64_t number = big_endian(*at, form.width);
		*at += form.width;
		*out = token((enum mf_token_kind)form.kind, form.kind == MF_TOKEN_INT ? sign_extended(number, form.width) : number);
	}
	return MF_OK;
}

enum mf_status mf_unpack_token(struct mf_unpack *in, struct mf_token *out)
{
	const unsigned char *at = in->at;
	struct mf_token head;
	enum mf_status status = read_head(&at, in->end, &head);
	if (status != MF_OK)
		return status;
	uint64_t left = (uint64_t)(in->end - at);
	switch (head.kind) {
	case MF_TOKEN_STR:
	case MF_TOKEN_BIN:
		if (head.number > left)
			return MF_ERR_CORRUPTED;
		head.bytes = (const char *)at;
		at += head.number;
		break;
	case MF_TOKEN_ARRAY:
		if (head.number > left)
			return MF_ERR_CORRUPTED;
		break;
	case MF_TOKEN_MAP:
		if (head.number > left / 2)
			return MF_ERR_CORRUPTED;
		break;
	case MF_TOKEN_INT:
		if (head.number <= INT64_MAX)
			head.kind = MF_TOKEN_UINT;
		break;
	default:
		break;
	}
	in->at = at;
	*out = head;
	return MF_OK;
}

/* A token that must be of this kind. */
static enum mf_status expect(struct mf_unpack *in, enum mf_token_kind kind, struct mf_token *out)
{
	struct mf_unpack ahead = *in;
	struct mf_token found;
	enum mf_status status = mf_unpack_token(&ahead, &found);
	if (status != MF_OK)
		return status;
	if (found.kind != kind)
		return MF_ERR_CORRUPTED;
	*in = ahead;
	*out = found;
	return MF_OK;
}

enum mf_status mf_unpack_array(struct mf_unpack *in, uint32_t *out_count)
{
	struct mf_token found;
	enum mf_status status = expect(in, MF_TOKEN_ARRAY, &found);
	if (status == MF_OK)
		*out_count = (uint32_t)found.number;
	return status;
}

enum mf_status mf_unpack_map(struct mf_unpack *in, uint32_t *out_count)
{
	struct mf_token found;
	enum mf_status status = expect(in, MF_TOKEN_MAP, &found);
	if (status == MF_OK)
		*out_count = (uint32_t)found.number;
	return status;
}

enum mf_status mf_unpack_uint(struct mf_unpack *in, uint64_t *out)
{
	struct mf_token found;
	enum mf_status status = expect(in, MF_TOKEN_UINT, &found);
	if (status == MF_OK)
		*out = found.number;
	return status;
}

enum mf_status mf_unpack_int(struct mf_unpack *in, int64_t *out)
{
	struct mf_unpack ahead = *in;
	struct mf_token found;
	enum mf_status status = mf_unpack_token(&ahead, &found);
	if (status != MF_OK)
		return status;
	bool fits = found.kind == MF_TOKEN_INT || (found.kind == MF_TOKEN_UINT && found.number <= INT64_MAX);
	if (!fits)
		return MF_ERR_CORRUPTED;
	*in = ahead;
	*out = (int64_t)found.number;
	return MF_OK;
}

enum mf_status mf_unpack_nil(struct mf_unpack *in, bool *out_was_nil)
{
	if (in->at == in->end)
		return MF_ERR_CORRUPTED;
	*out_was_nil = *in->at == 0xc0;
	in->at += *out_was_nil;
	return MF_OK;
}

enum mf_status mf_unpack_str(struct mf_unpack *in, const char **out, size_t *out_len)
{
	struct mf_token found;
	enum mf_status status = expect(in, MF_TOKEN_STR, &found);
	if (status != MF_OK)
		return status;
	*out = found.bytes;
	*out_len = (size_t)found.number;
	return MF_OK;
}

enum mf_status mf_unpack_bin(struct mf_unpack *in, const void **out, size_t *out_len)
{
	struct mf_token found;
	enum mf_status status = expect(in, MF_TOKEN_BIN, &found);
	if (status != MF_OK)
		return status;
	*out = found.bytes;
	*out_len = (size_t)found.number;
	return MF_OK;
}
