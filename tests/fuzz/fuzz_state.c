/* The packed form of a state: whatever the bytes, an error, or a state that packs and unpacks to itself. */
#include "tests/fuzz/target.h"

#include <string.h>

#include "model/pack.h"

static void expect_same_again(const struct mf_state *state)
{
	struct mf_buffer bytes = {0}, bytes_again = {0};
	struct mf_state *again;
	fuzz_expect(mf_pack_state(&bytes, state), MF_OK, MF_OK);
	struct mf_unpack in = {bytes.bytes, bytes.bytes + bytes.len};
	fuzz_expect(mf_unpack_state(&in, fuzz_steps(), 1000, &again, NULL), MF_OK, MF_OK);
	fuzz_expect(mf_pack_state(&bytes_again, again), MF_OK, MF_OK);
	if (in.at != in.end || bytes.len != bytes_again.len || memcmp(bytes.bytes, bytes_again.bytes, bytes.len) != 0)
		__builtin_trap();
	mf_state_unref(again);
	mf_buffer_deinit(&bytes_again);
	mf_buffer_deinit(&bytes);
}

static void unpack_without_types(const uint8_t *bytes, size_t len)
{
	struct mf_unpack in = {bytes, bytes + len};
	struct mf_state *state;
	enum mf_status status = mf_unpack_state(&in, NULL, 1000, &state, NULL);
	fuzz_expect(status, MF_OK, MF_ERR_CORRUPTED);
	if (status == MF_OK)
		mf_state_unref(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mf_unpack in = {bytes, bytes + len};
	struct mf_state *state;
	unpack_without_types(bytes, len);
	enum mf_status status = mf_unpack_state(&in, fuzz_steps(), 1000, &state, NULL);
	if (status != MF_OK) {
		fuzz_expect(status, MF_ERR_CORRUPTED, MF_ERR_UNKNOWN_STEP);
		return 0;
	}
	expect_same_again(state);
	fuzz_walk_stacks(state);
	mf_state_unref(state);
	return 0;
}
