/* The state fields behind a packed state: whatever the bytes, an error, or values that pack and unpack to themselves.
 *
 * No fuzzer guesses a digest: fuzz_repair makes that of each value fit. */
#include "tests/fuzz/target.h"

#include <string.h>

#include "model/field.h"
#include "model/pack.h"
#include "tests/fuzz/layers.h"
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

static void expect_same_again(const struct mf_state *state, enum mf_fields_policy policy)
{
	struct mf_buffer bytes = {0}, bytes_again = {0};
	struct mf_state *again;
	fuzz_expect(mf_pack_fields(&bytes, state, NULL), MF_OK, MF_OK);
	fuzz_expect(unpack(bytes.bytes, bytes.len, MF_FIELDS_COMPLETE, &again), MF_OK, MF_OK);
	fuzz_expect(mf_pack_fields(&bytes_again, again, NULL), MF_OK, MF_OK);
	if (policy == MF_FIELDS_COMPLETE) /* else they may have begun anew */
		FUZZ_BEHIND(bytes.bytes, bytes.len);
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
			expect_same_again(state, policies[i]);
		else
			fuzz_expect(status, MF_ERR_CORRUPTED, MF_ERR_UNKNOWN_STEP);
		mf_state_unref(state);
	}
	return 0;
}

void fuzz_repair(uint8_t *bytes, size_t len)
{
	fuzz_repair_fields(bytes, len);
}
