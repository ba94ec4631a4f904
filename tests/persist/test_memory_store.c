/* The store without a disk, where it differs: its own memory is all that can fail, or be damaged. */
#include "store_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/mem.h"
#include "persist/memory_store.h"
#include "persist/record.h"

static struct mf_store *open_memory(void)
{
	struct mf_store *store;
	struct mf_error error;
	KIT_OK(mf_store_open_memory(NULL, &store, &error), &error);
	return store;
}

/* Did allocation n come, and fail? */
static bool memory_failed(uint64_t n)
{
	bool failed = mf_mem_count() >= n;
	mf_mem_fail_at(0, false);
	return failed;
}

static bool count_one(void *user, const struct mf_checkpoint *checkpoint)
{
	(void)checkpoint;
	++*(int *)user;
	return true;
}

static int checkpoints_in(struct mf_store *store)
{
	int count = 0;
	assert_int_equal(mf_store_checkpoints(store, count_one, &count, NULL), MF_OK);
	return count;
}

static void a_checkpoint_is_kept_or_there_was_no_memory(void **state)
{
	(void)state;
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_store *store = open_memory();
		struct mf_checkpoint checkpoint = {"follower", 1, 7};
		assert_int_equal(checkpoints_in(store), 0);
		mf_mem_fail_at(n, false);
		enum mf_status status = mf_store_save_checkpoint(store, &checkpoint, NULL);
		failed = memory_failed(n);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		assert_int_equal(checkpoints_in(store), failed ? 0 : 1);
		assert_int_equal(mf_store_save_checkpoint(store, &checkpoint, NULL), MF_OK);
		assert_int_equal(checkpoints_in(store), 1);
		kit_close(store);
	}
}

static void the_first_event_of_a_document_is_kept_or_there_was_no_memory(void **state)
{
	(void)state;
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_store *store = open_memory();
		struct mf_event event = kit_event("d", "k");
		int64_t lsn = 0;
		mf_mem_fail_at(n, false);
		enum mf_status status = mf_store_append(store, &event, &lsn, NULL);
		failed = memory_failed(n);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		if (failed)
			assert_int_equal(kit_append(store, "d", "k"), 1); /* the key and the number are free */
		kit_close(store);
	}
}

/* In one piece, and in several. */
static void a_snapshot_of_a_document_without_events_is_kept_or_there_was_no_memory(void **state)
{
	(void)state;
	static unsigned char bytes[3 << 20];
	for (int large = 0; large < 2; large++) {
		bool failed = true;
		for (uint64_t n = 1; failed; n++) {
			struct mf_store *store = open_memory();
			struct mf_snapshot snapshot = {.doc_id = "new", .upto_lsn = 1, .version = 1, .state_blob = bytes, .state_len = large ? sizeof(bytes) : 100}, read;
			kit_append(store, "d", "k");
			mf_mem_fail_at(n, false);
			enum mf_status status = mf_store_write_snapshot(store, &snapshot, NULL);
			failed = memory_failed(n);
			assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
			assert_int_equal(mf_store_latest_snapshot(store, "new", INT64_MAX, &read, NULL), failed ? MF_ERR_NOT_FOUND : MF_OK);
			if (!failed) {
				assert_int_equal(read.state_len, snapshot.state_len);
				mf_snapshot_deinit(&read);
			}
			kit_close(store);
		}
	}
}

static void what_is_not_there_at_just_this_lsn_is_no_base_and_nothing_to_compact_to(void **state)
{
	(void)state;
	struct mf_store *store = open_memory();
	struct mf_error error;
	kit_append_many(store, "d", "k", 9);
	kit_write_snapshot(store, "d", 5, 100);
	struct mf_snapshot snapshot = {.doc_id = "d", .upto_lsn = 7, .base_lsn = 3, .version = 2, .state_blob = (const unsigned char *)"x", .state_len = 1};
	assert_int_equal(mf_store_write_snapshot(store, &snapshot, &error), MF_ERR_NOT_FOUND); /* there is one, above it */
	assert_int_equal(mf_store_compact(store, "d", 3, &error), MF_ERR_INVALID);
	assert_int_equal(mf_store_compact(store, "d", 5, &error), MF_OK);
	kit_close(store);
}

static void a_duplicate_whose_content_has_no_hash_is_not_the_same(void **state)
{
	(void)state;
	struct mf_store *store = open_memory();
	struct mf_event event = kit_event("d", "k");
	struct mf_error error = {.same = true};
	int64_t lsn;
	kit_append(store, "d", "k");
	event.payload_len = 1; /* shorter than a record's header */
	assert_int_equal(store->ops->append_batch(store, &event, 1, &lsn, &error), MF_ERR_DUPLICATE_KEY);
	assert_false(error.same);
	assert_int_equal(error.lsn, 1);
	assert_int_equal(store->ops->append_batch(store, &event, 1, &lsn, NULL), MF_ERR_DUPLICATE_KEY);
	kit_close(store);
}

static void note_damage(void *user, const struct mf_damage *damage)
{
	*(int64_t *)user = damage->lsn;
}

static void an_event_that_was_overwritten_is_found(void **state)
{
	(void)state;
	struct mf_store *store = open_memory();
	struct mf_error error;
	int64_t found = 0;
	kit_append_many(store, "d", "k", 3);
	assert_int_equal(mf_store_verify(store, note_damage, &found, &error), MF_OK);
	struct mf_event *event = &mf_memory_of(store)->log[1]->event;
	((unsigned char *)event->payload)[0] ^= 1;
	assert_int_equal(mf_store_verify(store, note_damage, &found, &error), MF_ERR_CORRUPTED);
	assert_int_equal(mf_store_verify(store, NULL, NULL, &error), MF_ERR_CORRUPTED);
	assert_int_equal(found, 2);
	kit_close(store);
}

/* As in a child of fork, without one: it remembers another generation of processes. */
static void every_call_of_another_process_is_refused(void **state)
{
	(void)state;
	struct mf_store *store = open_memory();
	struct mf_memory *memory = mf_memory_of(store);
	struct mf_error error;
	kit_append(store, "d", "k");
	memory->generation++;
	assert_int_equal(kit_try_snapshot(store, "d", 1, 0, 100, &error), MF_ERR_STATE);
	assert_non_null(strstr(error.message, "belongs to the process that opened it"));
	assert_int_equal(kit_try_snapshot(store, "d", 1, 0, 3 << 20, &error), MF_ERR_STATE);
	assert_int_equal(mf_store_compact(store, "d", 1, &error), MF_ERR_STATE);
	memory->generation--;
	assert_int_equal(kit_try_snapshot(store, "d", 1, 0, 100, &error), MF_OK);
	kit_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checkpoint_is_kept_or_there_was_no_memory),
		cmocka_unit_test(the_first_event_of_a_document_is_kept_or_there_was_no_memory),
		cmocka_unit_test(a_snapshot_of_a_document_without_events_is_kept_or_there_was_no_memory),
		cmocka_unit_test(what_is_not_there_at_just_this_lsn_is_no_base_and_nothing_to_compact_to),
		cmocka_unit_test(a_duplicate_whose_content_has_no_hash_is_not_the_same),
		cmocka_unit_test(an_event_that_was_overwritten_is_found),
		cmocka_unit_test(every_call_of_another_process_is_refused),
	};
	return cmocka_run_group_tests_name("memory store", tests, NULL, NULL);
}
