/* pack_write.c - the writing half of pack.h: MessagePack tokens and values.
 *
 * Every token takes its smallest form, so equal values give equal bytes (content hashes are made
 * of them). Doubles are always float64: a shorter one would read back as the same number, but
 * cost a test for nothing we store much of.
 *
 *   positive int   0x00-0x7f | cc u8 | cd u16 | ce u32 | cf u64
 *   negative int   0xe0-0xff | d0 i8 | d1 i16 | d2 i32 | d3 i64
 *   nil c0, false c2, true c3, float64 cb
 *   str            0xa0-0xbf | d9 len8 | da len16 | db len32     then bytes
 *   bin            c4 len8 | c5 len16 | c6 len32                 then bytes
 *   array          0x90-0x9f | dc count16 | dd count32           then items
 *   map            0x80-0x8f | de count16 | df count32           then key (str), value, in key order
 *
 * Numbers are big-endian. */
#include "model/pack.h"

#include <string.h>

/* first byte, then the low `width` bytes of number, big-endian */
static enum mf_status token(struct mf_buffer *out, unsigned first, uint64_t number, size_t width)
{
	unsigned char bytes[9] = {(unsigned char)first};
	for (size_t i = 0; i < width; i++)
		bytes[width - i] = (unsigned char)(number >> (8 * i));
	return mf_buffer_append(out, bytes, 1 + width);
}

enum mf_status mf_pack_array(struct mf_buffer *out, uint32_t count)
{
	if (count < 16)
		return token(out, 0x90 | count, 0, 0);
	if (count <= UINT16_MAX)
		return token(out, 0xdc, count, 2);
	return token(out, 0xdd, count, 4);
}

enum mf_status mf_pack_map(struct mf_buffer *out, uint32_t count)
{
	if (count < 16)
		return token(out, 0x80 | count, 0, 0);
	if (count <= UINT16_MAX)
		return token(out, 0xde, count, 2);
	return token(out, 0xdf, count, 4);
}

enum mf_status mf_pack_uint(struct mf_buffer *out, uint64_t value)
{
	if (value < 0x80)
		return token(out, (unsigned)value, 0, 0);
	if (value <= UINT8_MAX)
		return token(out, 0xcc, value, 1);
	if (value <= UINT16_MAX)
		return token(out, 0xcd, value, 2);
	if (value <= UINT32_MAX)
		return token(out, 0xce, value, 4);
	return token(out, 0xcf, value, 8);
}

enum mf_status mf_pack_int(struct mf_buffer *out, int64_t value)
{
	uint64_t bits = (uint64_t)value;
	if (value >= 0)
		return mf_pack_uint(out, bits);
	if (value >= -32)
		return token(out, (unsigned)(bits & 0xff), 0, 0);
	if (value >= INT8_MIN)
		return token(out, 0xd0, bits, 1);
	if (value >= INT16_MIN)
		return token(out, 0xd1, bits, 2);
	if (value >= INT32_MIN)
		return token(out, 0xd2, bits, 4);
	return token(out, 0xd3, bits, 8);
}

enum mf_status mf_pack_nil(struct mf_buffer *out)
{
	return token(out, 0xc0, 0, 0);
}

static enum mf_status pack_double(struct mf_buffer *out, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return token(out, 0xcb, bits, 8);
}

/* More than 4 GiB does not fit the format; who has such a string has no memory to write it twice. */
static enum mf_status str_header(struct mf_buffer *out, size_t len)
{
	if (len < 32)
		return token(out, 0xa0 | (unsigned)len, 0, 0);
	if (len <= UINT8_MAX)
		return token(out, 0xd9, len, 1);
	if (len <= UINT16_MAX)
		return token(out, 0xda, len, 2);
	if (len <= UINT32_MAX)
		return token(out, 0xdb, len, 4);
	return MF_ERR_NO_MEMORY;
}

enum mf_status mf_pack_str(struct mf_buffer *out, const char *bytes, size_t len)
{
	enum mf_status status = str_header(out, len);
	return status == MF_OK ? mf_buffer_append(out, bytes, len) : status;
}

static enum mf_status bin_header(struct mf_buffer *out, size_t len)
{
	if (len <= UINT8_MAX)
		return token(out, 0xc4, len, 1);
	if (len <= UINT16_MAX)
		return token(out, 0xc5, len, 2);
	if (len <= UINT32_MAX)
		return token(out, 0xc6, len, 4);
	return MF_ERR_NO_MEMORY;
}

enum mf_status mf_pack_bin(struct mf_buffer *out, const void *bytes, size_t len)
{
	enum mf_status status = bin_header(out, len);
	return status == MF_OK ? mf_buffer_append(out, bytes, len) : status;
}

/* ---- values ---- */
struct piece_writer {
	struct mf_buffer *out;
	enum mf_status status;
};

static bool write_piece(void *user, const char *bytes, size_t len)
{
	struct piece_writer *writer = user;
	writer->status = mf_buffer_append(writer->out, bytes, len);
	return writer->status == MF_OK;
}

static enum mf_status pack_string(struct mf_buffer *out, const struct mf_value *string)
{
	struct piece_writer writer = {.out = out, .status = str_header(out, mf_value_string_bytes(string))};
	if (writer.status == MF_OK)
		mf_value_string_pieces(string, write_piece, &writer);
	return writer.status;
}

static enum mf_status pack_items(struct mf_buffer *out, const struct mf_value *array)
{
	size_t count = mf_value_count(array);
	enum mf_status status = count <= UINT32_MAX ? mf_pack_array(out, (uint32_t)count) : MF_ERR_NO_MEMORY;
	for (size_t i = 0; status == MF_OK && i < count; i++)
		status = mf_pack_value(out, mf_value_item(array, i));
	return status;
}

static enum mf_status pack_members(struct mf_buffer *out, const struct mf_value *object)
{
	size_t count = mf_value_count(object);
	enum mf_status status = count <= UINT32_MAX ? mf_pack_map(out, (uint32_t)count) : MF_ERR_NO_MEMORY;
	for (size_t i = 0; status == MF_OK && i < count; i++) {
		const char *key;
		size_t key_len;
		const struct mf_value *value = mf_value_member(object, i, &key, &key_len);
		status = mf_pack_str(out, key, key_len);
		if (status == MF_OK)
			status = mf_pack_value(out, value);
	}
	return status;
}

/* Recursion is bounded by the depth of values, MF_NESTING_MAX. */
enum mf_status mf_pack_value(struct mf_buffer *out, const struct mf_value *value)
{
	switch (mf_value_kind(value)) {
	case MF_VALUE_NULL: return mf_pack_nil(out);
	case MF_VALUE_BOOL: return token(out, mf_value_as_bool(value) ? 0xc3 : 0xc2, 0, 0);
	case MF_VALUE_INT: return mf_pack_int(out, mf_value_as_int(value));
	case MF_VALUE_DOUBLE: return pack_double(out, mf_value_as_double(value));
	case MF_VALUE_STRING: return pack_string(out, value);
	case MF_VALUE_ARRAY: return pack_items(out, value);
	case MF_VALUE_OBJECT: return pack_members(out, value);
	}
	return MF_ERR_INVALID; /* no such kind */
}
