/* The blob of a snapshot, whole or incremental: whatever the bytes, an error, or a state that is encoded and decoded to itself.
 *
 *   a whole one, or: 4 bytes length of a whole one, that one, an incremental one that builds on it
 *
 * Behind the CRC and the digests a fuzzer finds nothing by chance: fuzz_repair makes all fit what is there. */
#include "tests/fuzz/target.h"

#include <string.h>

#include "persist/snapshot_codec.h"
#include "tests/fuzz/layers.h"
#include "tests/fuzz/seed_lsn.h"

#define HISTORY_LIMIT 1000

struct blob {
	uint8_t *bytes;
	size_t len;
};

/* How many: the base is the first of two. */
static size_t split(uint8_t *bytes, size_t len, struct blob out[2])
{
	out[0] = (struct blob){bytes, len};
	if (len < 4 || memcmp(bytes, "MFSN", 4) == 0)
		return 1;
	size_t base_len = fuzz_get_le(bytes, 4) % (len - 4 + 1);
	out[0] = (struct blob){bytes + 4, base_len};
	out[1] = (struct blob){bytes + 4 + base_len, len - 4 - base_len};
	return 2;
}

/* ---- a store that has just the base ---- */

static struct mf_snapshot stored;

static enum mf_status latest_snapshot(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	(void)store, (void)doc_id, (void)error;
	if (at_most < stored.upto_lsn)
		return MF_ERR_NOT_FOUND;
	*out = stored;
	return MF_OK;
}

static enum mf_status list(struct mf_store *store, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error)
{
	(void)store, (void)error;
	const struct mf_snapshot_info newest = {.doc_id = doc_id, .upto_lsn = SEED_LSN, .version = MF_SNAPSHOT_INCREMENTAL, .base_lsn = SEED_MIDDLE_LSN};
	(void)visit(user, &newest);
	return MF_OK;
}

static const struct mf_store_ops ops = {.size = sizeof(struct mf_store_ops), .name = "base", .latest_snapshot = latest_snapshot, .snapshots = list};
static struct mf_store store = {&ops};

/* ---- promises ---- */

static struct mf_snapshot row_of(const uint8_t *bytes, size_t len, int64_t upto_lsn, int64_t base_lsn)
{
	return (struct mf_snapshot){
		.doc_id = "d", .upto_lsn = upto_lsn, .version = base_lsn ? MF_SNAPSHOT_INCREMENTAL : MF_SNAPSHOT_WHOLE, .state_blob = bytes, .state_len = len, .base_lsn = base_lsn};
}

static enum mf_status load(const struct blob *blobs, size_t count, struct mf_state **out)
{
	stored = row_of(blobs[0].bytes, blobs[0].len, SEED_MIDDLE_LSN, 0);
	struct mf_snapshot newest = count == 1 ? row_of(blobs[0].bytes, blobs[0].len, SEED_LSN, 0) : row_of(blobs[1].bytes, blobs[1].len, SEED_LSN, SEED_MIDDLE_LSN);
	return mf_snapshot_load(&store, &newest, fuzz_steps(), HISTORY_LIMIT, out, NULL);
}

static void expect_same_again(const struct mf_state *state)
{
	struct mf_snapshot snapshot;
	struct mf_state *again;
	fuzz_expect(mf_snapshot_encode("d", state, NULL, &snapshot, NULL), MF_OK, MF_OK);
	fuzz_expect(mf_snapshot_decode(&snapshot, fuzz_steps(), HISTORY_LIMIT, &again, NULL), MF_OK, MF_OK);
	fuzz_walk_stacks(again);
	FUZZ_BEHIND(snapshot.state_blob + 36, snapshot.state_len - 36);
	mf_snapshot_deinit(&snapshot);
	mf_state_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct blob blobs[2];
	struct mf_state *state;
	enum mf_status status = load(blobs, split((uint8_t *)bytes, len, blobs), &state);
	if (status != MF_OK) {
		fuzz_expect(status, MF_ERR_CORRUPTED, MF_ERR_UNKNOWN_STEP);
		return 0;
	}
	expect_same_again(state);
	mf_state_unref(state);
	return 0;
}

/* ---- repair ---- */

static struct mf_state *base_in(const struct blob *blob)
{
	struct mf_snapshot base = row_of(blob->bytes, blob->len, SEED_MIDDLE_LSN, 0);
	struct mf_state *state;
	return mf_snapshot_decode(&base, fuzz_steps(), SIZE_MAX, &state, NULL) == MF_OK ? state : NULL;
}

void fuzz_repair(uint8_t *bytes, size_t len)
{
	struct blob blobs[2];
	size_t count = split(bytes, len, blobs);
	fuzz_repair_snapshot(blobs[0].bytes, blobs[0].len, NULL);
	struct mf_state *base = count == 2 ? base_in(&blobs[0]) : NULL;
	if (base)
		fuzz_repair_snapshot(blobs[1].bytes, blobs[1].len, base);
	mf_state_unref(base);
}

/* Of two the newest: it is at the end, and may grow. */
size_t fuzz_inside(uint8_t *bytes, size_t len, size_t max_len, fuzz_change *change)
{
	struct blob blobs[2];
	size_t at = blobs[split(bytes, len, blobs) - 1].bytes - bytes;
	size_t changed = fuzz_inside_snapshot(bytes + at, len - at, max_len - at, change);
	return changed ? at + changed : 0;
}
