/* The packed difference of two states, behind the packed base that it is applied to: whatever the bytes, an error, or a
 * state that packs and unpacks to itself, and whose own difference from the base leads to it again.
 *
 *   packed base (it ends where it ends), packed difference */
#include "tests/fuzz/target.h"

#include <string.h>

#include "model/delta.h"

static struct mf_state *patched(const struct mf_state *base, struct mf_unpack *in, enum mf_status *out_status)
{
	struct mf_state_reading how = {.registry = fuzz_steps(), .history_limit = 1000};
	struct mf_patch *patch;
	struct mf_state *state = NULL;
	fuzz_expect(mf_patch_new(base, &how, &patch), MF_OK, MF_OK);
	*out_status = mf_patch_add(patch, in, NULL);
	if (*out_status == MF_OK)
		*out_status = mf_patch_finish(patch, &state, NULL);
	mf_patch_free(patch);
	return state;
}

static void expect_same(const struct mf_state *a, const struct mf_state *b)
{
	struct mf_buffer first = {0}, second = {0};
	fuzz_expect(mf_pack_state(&first, a), MF_OK, MF_OK);
	fuzz_expect(mf_pack_state(&second, b), MF_OK, MF_OK);
	if (first.len != second.len || memcmp(first.bytes, second.bytes, first.len) != 0)
		__builtin_trap();
	mf_buffer_deinit(&first);
	mf_buffer_deinit(&second);
}

static void expect_to_lead_there_again(const struct mf_state *base, const struct mf_state *state)
{
	struct mf_buffer bytes = {0};
	bool fits = false;
	enum mf_status status;
	fuzz_expect(mf_pack_delta(&bytes, base, state, SIZE_MAX / 2, &fits), MF_OK, MF_OK);
	struct mf_unpack in = {bytes.bytes, bytes.bytes + bytes.len};
	struct mf_state *again = patched(base, &in, &status);
	fuzz_expect(status, MF_OK, MF_OK);
	if (!fits || in.at != in.end)
		__builtin_trap();
	expect_same(again, state);
	mf_state_unref(again);
	mf_buffer_deinit(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mf_unpack in = {bytes, bytes + len};
	struct mf_state *base, *state;
	enum mf_status status = mf_unpack_state(&in, fuzz_steps(), 1000, &base, NULL);
	if (status != MF_OK)
		return 0;
	state = patched(base, &in, &status);
	if (status == MF_OK) {
		expect_to_lead_there_again(base, state);
		fuzz_walk_stacks(state);
		mf_state_unref(state);
	} else {
		fuzz_expect(status, MF_ERR_CORRUPTED, MF_ERR_UNKNOWN_STEP);
	}
	mf_state_unref(base);
	return 0;
}
