/* A JSON text from a user: jansson reads it as we do; an error, or a value that prints and parses to itself, packs and unpacks to
 * itself, and perhaps is the data of a step, which then encodes and decodes to itself. */
#include "tests/fuzz/target.h"
#include "tests/model/second_opinion.h"

#include <string.h>

#include <moduforge/pack.h>

static void expect_same_text(const struct mf_value *value)
{
	char *text;
	size_t len;
	struct mf_value *again;
	fuzz_expect(mf_value_to_json(value, &text, &len), MF_OK, MF_OK);
	fuzz_expect(mf_value_parse_json(text, len, &again, NULL), MF_OK, MF_OK);
	if (!mf_value_equal(value, again))
		__builtin_trap();
	mf_value_unref(again);
	mf_free(text);
}

static void expect_same_packed(const struct mf_value *value)
{
	struct mf_buffer bytes = {0};
	struct mf_value *again;
	fuzz_expect(mf_pack_value(&bytes, value), MF_OK, MF_OK);
	struct mf_unpack in = {bytes.bytes, bytes.bytes + bytes.len};
	fuzz_expect(mf_unpack_value(&in, &again), MF_OK, MF_OK);
	if (in.at != in.end || !mf_value_equal(value, again))
		__builtin_trap();
	mf_value_unref(again);
	mf_buffer_deinit(&bytes);
}

static void try_step(const struct mf_step_type *type, const struct mf_value *data)
{
	struct mf_step *step, *again;
	enum mf_status status = type->from_value(type, data, &step, NULL);
	fuzz_expect(status, MF_OK, MF_ERR_INVALID);
	if (status != MF_OK)
		return;
	struct mf_buffer bytes = {0}, bytes_again = {0};
	fuzz_expect(type->encode(step, &bytes), MF_OK, MF_OK);
	fuzz_expect(type->decode(type, bytes.bytes, bytes.len, &again, NULL), MF_OK, MF_OK);
	fuzz_expect(type->encode(again, &bytes_again), MF_OK, MF_OK);
	if (bytes.len != bytes_again.len || memcmp(bytes.bytes, bytes_again.bytes, bytes.len) != 0)
		__builtin_trap();
	mf_buffer_deinit(&bytes_again);
	mf_buffer_deinit(&bytes);
	mf_step_unref(again);
	mf_step_unref(step);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mf_value *value;
	if (second_opinion((const char *)bytes, len, &value))
		__builtin_trap();
	if (!value)
		return 0;
	expect_same_text(value);
	expect_same_packed(value);
	for (size_t i = 0; i < mf_step_registry_count(fuzz_steps()); i++)
		try_step(mf_step_registry_item(fuzz_steps(), i), value);
	mf_value_unref(value);
	return 0;
}
