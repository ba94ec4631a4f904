/* The state fields behind a packed state: whatever the bytes, an error, or values that pack and unpack to themselves.
 *
 * No fuzzer guesses a digest: fuzz_repair makes that of each value fit. The layout is that of model/pack_fields.c. */
#include "tests/fuzz/target.h"

#include <string.h>

#include "model/field.h"
#include "model/pack.h"
#include "tests/fuzz/number_fields.h"

static enum mf_status unpack(const uint8_t *bytes, size_t len, enum mf_fields_policy policy, struct mf_state **out)
{
	struct mf_unpack in = {bytes, bytes + len};
	fuzz_expect(mf_state_new(10, out), MF_OK, MF_OK);
	enum mf_status status = mf_unpack_fields(&in, fuzz_fields(), policy, *out, NULL);
	if (status == MF_OK && in.at != in.end)
		__builtin_trap();
	return status;
}

static void expect_same_again(const struct mf_state *state)
{
	struct mf_buffer bytes = {0}, bytes_again = {0};
	struct mf_state *again;
	fuzz_expect(mf_pack_fields(&bytes, state, NULL), MF_OK, MF_OK);
	fuzz_expect(unpack(bytes.bytes, bytes.len, MF_FIELDS_COMPLETE, &again), MF_OK, MF_OK);
	fuzz_expect(mf_pack_fields(&bytes_again, again, NULL), MF_OK, MF_OK);
	if (bytes.len != bytes_again.len || memcmp(bytes.bytes, bytes_again.bytes, bytes.len) != 0)
		__builtin_trap();
	mf_state_unref(again);
	mf_buffer_deinit(&bytes_again);
	mf_buffer_deinit(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const enum mf_fields_policy policies[] = {MF_FIELDS_COMPLETE, MF_FIELDS_ANEW};
	for (size_t i = 0; i < 2; i++) {
		struct mf_state *state;
		enum mf_status status = unpack(bytes, len, policies[i], &state);
		if (status == MF_OK)
			expect_same_again(state);
		else
			fuzz_expect(status, MF_ERR_CORRUPTED, MF_ERR_UNKNOWN_STEP);
		mf_state_unref(state);
	}
	return 0;
}

/* ---- repair ---- */

static enum mf_status repair_one(struct mf_unpack *in)
{
	uint32_t items;
	uint64_t version;
	const char *key;
	const void *digest, *value;
	size_t key_len, digest_len, len;
	enum mf_status status = mf_unpack_array(in, &items);
	if (status == MF_OK)
		status = mf_unpack_str(in, &key, &key_len);
	if (status == MF_OK)
		status = mf_unpack_uint(in, &version);
	if (status == MF_OK)
		status = mf_unpack_bin(in, &digest, &digest_len);
	if (status == MF_OK)
		status = mf_unpack_bin(in, &value, &len);
	if (status == MF_OK && digest_len == MF_DIGEST_BYTES) {
		struct mf_digest right;
		mf_digest_of_bytes(value, len, &right);
		memcpy((void *)digest, right.bytes, sizeof(right.bytes));
	}
	return status;
}

void fuzz_repair(uint8_t *bytes, size_t len)
{
	struct mf_unpack in = {bytes, bytes + len};
	uint32_t items, count;
	uint64_t format;
	if (mf_unpack_array(&in, &items) != MF_OK || mf_unpack_uint(&in, &format) != MF_OK || mf_unpack_array(&in, &count) != MF_OK)
		return;
	while (count-- > 0 && repair_one(&in) == MF_OK)
		;
}
