#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <zlib.h>

#include "fake_store.h"
#include "model/transaction.h"
#include "small_steps.h"
#include <moduforge/persist.h>

static struct mf_persist_options options;

/* A document of so many nodes with a history, at LSN nodes + 1. */
static struct mf_state *sample(int nodes)
{
	struct mf_state *state = small_state_new(100);
	for (int i = 0; i < nodes; i++) {
		char id[32];
		struct mf_transaction *transaction = small_transaction_new();
		mf_transaction_set_id(transaction, (uint64_t)i + 1);
		snprintf(id, sizeof(id), "node-%d", i);
		ADD_INSERT(transaction, "root", i, id);
		state = small_steps_commit(state, transaction, i + 1);
	}
	return small_undo(state, nodes + 1);
}

static struct mf_snapshot encode(const struct mf_state *state)
{
	struct mf_snapshot snapshot;
	struct mf_error error = {0};
	if (mf_snapshot_encode("doc", state, &options, &snapshot, &error) != MF_OK)
		fail_msg("%s", error.message);
	return snapshot;
}

static enum mf_status decode(const struct mf_snapshot *snapshot)
{
	struct mf_state *state = NULL;
	enum mf_status status = mf_snapshot_decode(snapshot, small_registry, 100, &state, NULL);
	if (status != MF_OK)
		assert_null(state);
	mf_state_unref(state);
	return status;
}

static void without_options_a_snapshot_is_that_of_the_defaults(void **unused)
{
	(void)unused;
	struct mf_persist_options before = options;
	struct mf_state *state = sample(50);
	struct mf_snapshot snapshot, expected;
	struct mf_error error = {0};
	mf_persist_options_init(&options);
	expected = encode(state);
	options = before;
	assert_int_equal(mf_snapshot_encode("doc", state, NULL, &snapshot, &error), MF_OK);
	assert_int_equal(snapshot.upto_lsn, 51);
	assert_int_equal(snapshot.state_len, expected.state_len);
	assert_memory_equal(snapshot.state_blob, expected.state_blob, expected.state_len);
	assert_int_equal(decode(&snapshot), MF_OK);
	mf_snapshot_deinit(&snapshot);
	mf_snapshot_deinit(&expected);
	mf_state_unref(state);
}

static void a_state_comes_back_with_its_stacks(void **unused)
{
	(void)unused;
	for (int compressed = 0; compressed < 2; compressed++) {
		options.compression = compressed;
		struct mf_state *state = sample(50), *decoded;
		struct mf_snapshot snapshot = encode(state);
		struct mf_digest digest = small_steps_digest(state);
		assert_string_equal(snapshot.doc_id, "doc");
		assert_int_equal(snapshot.upto_lsn, 51);
		assert_int_equal(snapshot.version, 1);
		assert_int_equal(snapshot.state_blob[5], compressed);
		assert_memory_equal(snapshot.state_blob + 16, digest.bytes, MF_DIGEST_BYTES);
		assert_int_equal(mf_snapshot_decode(&snapshot, small_registry, 100, &decoded, NULL), MF_OK);
		small_assert_digest(decoded, &digest);
		assert_int_equal(mf_state_lsn(decoded), 51);
		assert_int_equal(mf_state_undo_depth(decoded), 49);
		assert_int_equal(mf_state_redo_depth(decoded), 1);
		struct mf_state *a = small_redo(decoded, 52), *b = small_redo(mf_state_ref(state), 52);
		digest = small_steps_digest(b);
		small_assert_digest(a, &digest);
		mf_state_unref(a);
		mf_state_unref(b);
		mf_state_unref(state);
		mf_snapshot_deinit(&snapshot);
	}
	mf_persist_options_init(&options);
}

static void an_uncommitted_state_is_refused(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(10), *next;
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_snapshot snapshot;
	ADD_SET(transaction, "root", "a", 1);
	assert_int_equal(mf_state_apply(state, transaction, &next, NULL), MF_OK);
	assert_int_equal(mf_snapshot_encode("doc", next, &options, &snapshot, NULL), MF_ERR_STATE);
	mf_transaction_free(transaction);
	mf_state_unref(next);
	mf_state_unref(state);
}

static void f22_every_flipped_bit_and_every_cut_is_found(void **unused)
{
	(void)unused;
	for (int compressed = 0; compressed < 2; compressed++) {
		options.compression = compressed;
		struct mf_state *state = sample(10);
		struct mf_snapshot snapshot = encode(state), cut;
		unsigned char *blob = snapshot.memory;
		for (size_t len = 0; len < snapshot.state_len; len++) {
			cut = snapshot;
			cut.state_blob = malloc(len + 1);
			cut.state_len = len;
			memcpy((unsigned char *)cut.state_blob, blob, len);
			assert_int_equal(decode(&cut), MF_ERR_CORRUPTED);
			free((unsigned char *)cut.state_blob);
		}
		for (size_t bit = 0; bit < 8 * snapshot.state_len; bit++) {
			blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
			assert_int_equal(decode(&snapshot), MF_ERR_CORRUPTED);
			blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
		assert_int_equal(decode(&snapshot), MF_OK);
		mf_snapshot_deinit(&snapshot);
		mf_state_unref(state);
	}
	mf_persist_options_init(&options);
}

static void repair(struct mf_snapshot *snapshot)
{
	unsigned char *blob = snapshot->memory;
	uLong crc = crc32(crc32(0, blob, 32), blob + 36, (uInt)(snapshot->state_len - 36));
	for (unsigned i = 0; i < 4; i++)
		blob[32 + i] = (unsigned char)(crc >> (8 * i));
}

/* A checksum proves nothing about who wrote the bytes. */
static void hostile_blobs_with_a_right_checksum_never_crash(void **unused)
{
	(void)unused;
	for (int compressed = 0; compressed < 2; compressed++) {
		options.compression = compressed;
		struct mf_state *state = sample(10);
		struct mf_snapshot snapshot = encode(state);
		unsigned char *blob = snapshot.memory;
		for (size_t bit = 0; bit < 8 * snapshot.state_len; bit++) {
			if (bit >= 32 * 8 && bit < 36 * 8)
				continue;
			blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
			repair(&snapshot);
			enum mf_status status = decode(&snapshot);
			/* A flip in an undo entry gives another history with the same document: only the CRC can see that. */
			assert_true(status == MF_ERR_CORRUPTED || status == MF_ERR_UNKNOWN_STEP || (status == MF_OK && bit >= 36 * 8));
			blob[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
		mf_snapshot_deinit(&snapshot);
		mf_state_unref(state);
	}
	mf_persist_options_init(&options);
}

static void each_promise_of_the_row_is_compared(void **unused)
{
	(void)unused;
	struct mf_state *state = sample(3), *decoded;
	struct mf_snapshot snapshot = encode(state);
	struct mf_error error = {0};
	unsigned char *blob = snapshot.memory;
	snapshot.upto_lsn++;
	assert_int_equal(mf_snapshot_decode(&snapshot, small_registry, 100, &decoded, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 5);
	assert_non_null(strstr(error.message, "doc"));
	snapshot.upto_lsn--;
	snapshot.version = 2;
	assert_int_equal(decode(&snapshot), MF_ERR_CORRUPTED);
	snapshot.version = 1;
	blob[16] ^= 1;
	repair(&snapshot);
	assert_int_equal(mf_snapshot_decode(&snapshot, small_registry, 100, &decoded, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "digest"));
	mf_snapshot_deinit(&snapshot);
	mf_state_unref(state);
}

static void what_is_missing_of_a_blob_is_damage(void **unused)
{
	(void)unused;
	struct mf_state *state = sample(3), *decoded;
	struct mf_snapshot snapshot = encode(state), part = snapshot;
	struct mf_error error = {0};
	unsigned char *blob = snapshot.memory;
	part.state_blob = NULL;
	part.doc_id = NULL; /* of a row that nobody could read */
	assert_int_equal(mf_snapshot_decode(&part, small_registry, 100, &decoded, &error), MF_ERR_CORRUPTED);
	assert_string_equal(error.message, "document '', snapshot at LSN 4: it is cut off");
	part = snapshot;
	part.version = blob[4] = 2; /* whose header is longer than what is left */
	part.state_len = 59;
	repair(&part);
	assert_int_equal(mf_snapshot_decode(&part, small_registry, 100, &decoded, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "cut off"));
	blob[4] = 1;
	assert_true(blob[5] & 1);
	memset(blob + 8, 0, 8); /* nothing, compressed */
	repair(&snapshot);
	assert_int_equal(mf_snapshot_decode(&snapshot, small_registry, 100, &decoded, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "its length is wrong"));
	mf_snapshot_deinit(&snapshot);
	mf_state_unref(state);
}

/* A frame that is sound, and holds nothing. */
static void a_body_of_no_bytes_is_damage_however_it_is_compressed(void **unused)
{
	(void)unused;
	static const unsigned char nothing[] = {0x28, 0xB5, 0x2F, 0xFD, 0x20, 0, 1, 0, 0};
	struct mf_state *state = sample(3), *decoded;
	struct mf_snapshot snapshot = encode(state);
	struct mf_error error = {0};
	unsigned char *blob = snapshot.memory;
	assert_true(blob[5] & 1);
	memset(blob + 8, 0, 8);
	memcpy(blob + 36, nothing, sizeof(nothing));
	snapshot.state_len = 36 + sizeof(nothing);
	repair(&snapshot);
	assert_int_equal(mf_snapshot_decode(&snapshot, small_registry, 100, &decoded, &error), MF_ERR_CORRUPTED);
	if (!strstr(error.message, "its length is wrong"))
		fail_msg("%s", error.message);
	mf_snapshot_deinit(&snapshot);
	mf_state_unref(state);
}

static void p05_a_history_of_unknown_step_types_is_named(void **unused)
{
	(void)unused;
	struct mf_state *state = sample(3), *decoded = NULL;
	struct mf_snapshot snapshot = encode(state);
	struct mf_step_registry *empty;
	assert_int_equal(mf_step_registry_new(&empty), MF_OK);
	mf_step_registry_freeze(empty);
	assert_int_equal(mf_snapshot_decode(&snapshot, empty, 100, &decoded, NULL), MF_ERR_UNKNOWN_STEP);
	assert_null(decoded);
	mf_step_registry_free(empty);
	mf_snapshot_deinit(&snapshot);
	mf_state_unref(state);
}

static void every_failed_allocation_is_no_memory(void **unused)
{
	(void)unused;
	struct mf_state *state = sample(20);
	struct mf_snapshot whole = encode(state);
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_snapshot snapshot = {0};
		memory_fails_at(n);
		enum mf_status status = mf_snapshot_encode("doc", state, &options, &snapshot, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed && !snapshot.memory));
		mf_snapshot_deinit(&snapshot);
	}
	failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_state *decoded = NULL;
		memory_fails_at(n);
		enum mf_status status = mf_snapshot_decode(&whole, small_registry, 100, &decoded, NULL);
		failed = memory_failed(n);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed && !decoded));
		mf_state_unref(decoded);
	}
	mf_snapshot_deinit(&whole);
	mf_state_unref(state);
}

static int setup(void **state)
{
	mf_persist_options_init(&options);
	return small_make_registry(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_options_a_snapshot_is_that_of_the_defaults),
		cmocka_unit_test(a_state_comes_back_with_its_stacks),
		cmocka_unit_test(an_uncommitted_state_is_refused),
		cmocka_unit_test(f22_every_flipped_bit_and_every_cut_is_found),
		cmocka_unit_test(hostile_blobs_with_a_right_checksum_never_crash),
		cmocka_unit_test(each_promise_of_the_row_is_compared),
		cmocka_unit_test(what_is_missing_of_a_blob_is_damage),
		cmocka_unit_test(a_body_of_no_bytes_is_damage_however_it_is_compressed),
		cmocka_unit_test(p05_a_history_of_unknown_step_types_is_named),
		cmocka_unit_test(every_failed_allocation_is_no_memory),
	};
	return cmocka_run_group_tests(tests, setup, small_free_registry);
}
