/* The contract of every store, run against both: whatever holds for one must hold for the other. */
#include "store_kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/backup.h>

#include "model/mem.h"
#include "persist/checksum.h"
#include "persist/env.h"
#include "persist/record.h"

struct place {
	bool sqlite;
	char *dir;
	struct mf_store *store;
};

static int set_up(struct place *place, void **state)
{
	struct mf_error error;
	if (place->sqlite) {
		place->dir = kit_make_dir();
		place->store = kit_open(place->dir);
	} else {
		KIT_OK(mf_store_open_memory(NULL, &place->store, &error), &error);
	}
	*state = place;
	return 0;
}

static int set_up_memory(void **state)
{
	static struct place place;
	place = (struct place){.sqlite = false};
	return set_up(&place, state);
}

static int set_up_sqlite(void **state)
{
	static struct place place;
	place = (struct place){.sqlite = true};
	return set_up(&place, state);
}

static int tear_down(void **state)
{
	struct place *place = *state;
	kit_close(place->store);
	if (place->dir)
		kit_remove_dir(place->dir);
	return 0;
}

static struct mf_store *store_of(void **state)
{
	return ((struct place *)*state)->store;
}

/* ---- append ---- */

static void numbers_start_at_1_and_have_no_gaps(void **state)
{
	struct mf_store *store = store_of(state);
	for (int64_t i = 1; i <= 5; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", (int)i);
		assert_int_equal(kit_append(store, i & 1 ? "odd" : "even", key), i);
	}
}

static void a_batch_gets_consecutive_numbers_and_chains(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append(store, "a", "before");
	struct mf_event events[3] = {kit_event("a", "1"), kit_event("b", "2"), kit_event("a", "3")};
	int64_t last;
	struct mf_error error;
	KIT_OK(mf_store_append_batch(store, events, 3, &last, &error), &error);
	assert_int_equal(last, 4);
	assert_int_equal(events[0].lsn, 2);
	assert_int_equal(events[0].prev_lsn, 1);
	assert_int_equal(events[1].lsn, 3);
	assert_int_equal(events[1].prev_lsn, 0);
	assert_int_equal(events[2].lsn, 4);
	assert_int_equal(events[2].prev_lsn, 2);
	for (int i = 0; i < 3; i++) {
		assert_true(events[i].epoch >= 1);
		assert_int_equal(events[i].checksum, mf_event_checksum(&events[i]));
	}
}

static void assert_same_event(const struct mf_event *a, const struct mf_event *b)
{
	assert_int_equal(a->lsn, b->lsn);
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->prev_lsn, b->prev_lsn);
	assert_int_equal(a->tr_id, b->tr_id);
	assert_int_equal(a->ts_us, b->ts_us);
	assert_int_equal(a->source_lsn, b->source_lsn);
	assert_int_equal(a->action, b->action);
	assert_int_equal(a->checksum, b->checksum);
	assert_string_equal(a->doc_id, b->doc_id);
	assert_int_equal(a->actor == NULL, b->actor == NULL);
	if (a->actor)
		assert_string_equal(a->actor, b->actor);
	assert_string_equal(a->idempotency_key, b->idempotency_key);
	assert_int_equal(a->meta_len, b->meta_len);
	assert_memory_equal(a->meta, b->meta, a->meta_len);
	assert_int_equal(a->payload_len, b->payload_len);
	assert_memory_equal(a->payload, b->payload, a->payload_len);
}

static void f22_every_field_is_read_back_as_it_was_given(void **state)
{
	struct mf_store *store = store_of(state);
	unsigned char *large = malloc(3000000);
	assert_non_null(large);
	for (size_t i = 0; i < 3000000; i++)
		large[i] = (unsigned char)(i * 7 + i / 256);
	struct mf_event events[4] = {kit_event("caf\xc3\xa9/'\"", "k1"), kit_event("d", "k2"), kit_event("d", "k3"), kit_event("d", "k4")};
	events[0].actor = "J\xc3\xbcrgen";
	events[0].tr_id = INT64_MAX;
	events[0].ts_us = INT64_MIN;
	events[1].actor = "";
	events[1].action = MF_ACTION_UNDO;
	events[1].source_lsn = INT64_MAX;
	events[1].meta = "{\"a\":[1,2,\"\xe2\x82\xac\"]}";
	events[1].meta_len = strlen(events[1].meta);
	events[2].action = MF_ACTION_REDO;
	events[2].payload = NULL;
	events[2].payload_len = 0;
	events[3].payload = large;
	events[3].payload_len = 3000000;
	struct mf_error error;
	KIT_OK(mf_store_append_batch(store, events, 4, NULL, &error), &error);
	struct mf_event_list list;
	KIT_OK(mf_store_load_since(store, NULL, 0, 10, &list, &error), &error);
	assert_int_equal(list.count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_same_event(&events[i], &list.events[i]);
	mf_event_list_deinit(&list);
	free(large);
}

static void ids_may_be_1024_bytes_and_not_more(void **state)
{
	struct mf_store *store = store_of(state);
	char longest[MF_ID_MAX + 1], longer[MF_ID_MAX + 2];
	memset(longest, 'x', MF_ID_MAX);
	longest[MF_ID_MAX] = '\0';
	memset(longer, 'x', MF_ID_MAX + 1);
	longer[MF_ID_MAX + 1] = '\0';
	kit_append(store, longest, longest);
	int64_t lsn;
	struct mf_error error;
	KIT_OK(store->ops->last_lsn(store, longest, &lsn, &error), &error);
	assert_int_equal(lsn, 1);
	struct mf_event event = kit_event(longer, "k");
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_INVALID);
	event = kit_event("d", longer);
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_INVALID);
	event = kit_event("d", "k");
	event.actor = longer;
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_INVALID);
}

static void what_cannot_be_stored_is_refused_with_a_sentence(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_event wrong[] = {
		kit_event(NULL, "k"), kit_event("", "k"), kit_event("d", ""), kit_event("d", "k"), kit_event("d", "k"), kit_event("d", "k"),
		kit_event("d", "k"), kit_event("d", "k"), kit_event("d", "k"), kit_event("d", "k"),
	};
	wrong[2].idempotency_key = NULL;
	wrong[3].idempotency_key = "";
	wrong[4].tr_id = (uint64_t)INT64_MAX + 1;
	wrong[5].action = (enum mf_action)3;
	wrong[6].source_lsn = -1;
	wrong[7].meta = NULL;
	wrong[8].meta = "a\0b";
	wrong[8].meta_len = 3;
	wrong[9].payload = NULL;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct mf_error error = {0};
		assert_int_equal(mf_store_append(store, &wrong[i], NULL, &error), MF_ERR_INVALID);
		assert_true(error.message[0] != '\0');
	}
	struct mf_event pair[2] = {kit_event("d", "k"), wrong[0]};
	struct mf_error error;
	assert_int_equal(mf_store_append_batch(store, pair, 2, NULL, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "event 1"));
	assert_int_equal(mf_store_append_batch(store, pair, 0, NULL, &error), MF_ERR_INVALID);
	assert_int_equal(kit_append(store, "d", "k"), 1);
}

/* ---- keys ---- */

static void f2_a_duplicate_leaves_the_store_usable(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append(store, "d", "k");
	for (int i = 0; i < 3; i++) {
		struct mf_event again = kit_event("d", "k");
		struct mf_error error;
		assert_int_equal(mf_store_append(store, &again, NULL, &error), MF_ERR_DUPLICATE_KEY);
		assert_int_equal(error.lsn, 1);
		assert_int_equal(error.same, 1);
	}
	assert_int_equal(kit_append(store, "d", "next"), 2);
	assert_int_equal(kit_count(store, "d", 0), 2);
}

static void a_duplicate_in_another_document_with_other_content_is_one_too(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append(store, "a", "first");
	kit_append(store, "a", "k");
	struct mf_event other = kit_event("b", "something else");
	other.idempotency_key = "k";
	struct mf_error error;
	assert_int_equal(mf_store_append(store, &other, NULL, &error), MF_ERR_DUPLICATE_KEY);
	assert_int_equal(error.lsn, 2);
	assert_int_equal(error.same, 0);
	assert_non_null(strstr(error.message, "event 0"));
}

static void a_duplicate_refuses_the_whole_batch_and_gives_the_numbers_back(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append(store, "d", "k");
	struct mf_event events[4] = {kit_event("d", "1"), kit_event("new", "2"), kit_event("d", "k"), kit_event("d", "4")};
	struct mf_error error;
	assert_int_equal(mf_store_append_batch(store, events, 4, NULL, &error), MF_ERR_DUPLICATE_KEY);
	assert_non_null(strstr(error.message, "event 2"));
	assert_non_null(strstr(error.message, "'k'"));
	assert_int_equal(error.lsn, 1);
	assert_int_equal(kit_count(store, NULL, 0), 1);
	int64_t lsn;
	KIT_OK(store->ops->last_lsn(store, "new", &lsn, &error), &error);
	assert_int_equal(lsn, 0);
	struct mf_event next[2] = {kit_event("d", "1"), kit_event("new", "2")};
	KIT_OK(mf_store_append_batch(store, next, 2, &lsn, &error), &error);
	assert_int_equal(lsn, 3);
	assert_int_equal(next[0].prev_lsn, 1);
	assert_int_equal(next[1].prev_lsn, 0);
}

static void a_key_twice_in_one_batch_is_refused(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_event events[3] = {kit_event("d", "1"), kit_event("d", "2"), kit_event("e", "1")};
	struct mf_error error;
	assert_int_equal(mf_store_append_batch(store, events, 3, NULL, &error), MF_ERR_DUPLICATE_KEY);
	assert_non_null(strstr(error.message, "event 2"));
	assert_non_null(strstr(error.message, "event 0"));
	assert_int_equal(kit_count(store, NULL, 0), 0);
	assert_int_equal(kit_append(store, "d", "1"), 1);
}

static void a_key_is_found_with_its_number_and_content(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append(store, "d", "one");
	struct mf_event event = kit_event("d", "two");
	struct mf_error error;
	KIT_OK(mf_store_append(store, &event, NULL, &error), &error);
	struct mf_key_info info = {0};
	KIT_OK(store->ops->find_key(store, "two", &info, &error), &error);
	assert_int_equal(info.lsn, 2);
	assert_memory_equal(info.content_hash, mf_record_content_hash(event.payload, event.payload_len), 16);
	assert_int_equal(store->ops->find_key(store, "three", &info, &error), MF_ERR_NOT_FOUND);
	event = kit_event("d", "short");
	event.payload_len = 5;
	KIT_OK(mf_store_append(store, &event, NULL, &error), &error);
	KIT_OK(store->ops->find_key(store, "short", &info, &error), &error);
	assert_memory_equal(info.content_hash, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

/* ---- reading ---- */

static void reading_goes_page_by_page_for_one_document_and_for_all(void **state)
{
	struct mf_store *store = store_of(state);
	for (int i = 0; i < 250; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		kit_append(store, i % 5 ? "often" : "rare", key);
	}
	assert_int_equal(kit_count(store, NULL, 0), 250);
	assert_int_equal(kit_count(store, "often", 0), 200);
	assert_int_equal(kit_count(store, "rare", 0), 50);
	assert_int_equal(kit_count(store, "rare", 101), 29);
	assert_int_equal(kit_count(store, NULL, 250), 0);
	assert_int_equal(kit_count(store, NULL, INT64_MAX), 0);
	assert_int_equal(kit_count(store, "never", 0), 0);
	struct mf_event_list list;
	struct mf_error error;
	KIT_OK(mf_store_load_since(store, "often", 3, 7, &list, &error), &error);
	assert_int_equal(list.count, 7);
	assert_int_equal(list.events[0].lsn, 4);
	assert_int_equal(list.events[0].prev_lsn, 3);
	mf_event_list_deinit(&list);
	assert_null(list.events);
	assert_int_equal(mf_store_load_since(store, NULL, 0, 0, &list, &error), MF_ERR_INVALID);
	assert_int_equal(mf_store_load_since(store, NULL, -1, 5, &list, &error), MF_ERR_INVALID);
}

/* Stretches in which a document has all events, most, few and none: whichever way the store reads them, and
 * whatever it was asked before, each event comes once and the end is the end. */
static void documents_that_come_and_go_are_read_whole_at_every_page_size(void **state)
{
	static const struct {
		int count, every; /* of every so many events one is of "main" */
	} stretches[] = {{40, 1}, {60, 2}, {90, 30}, {50, 1}, {200, 1000}, {30, 1}, {40, 3}, {1, 1}};
	struct mf_store *store = store_of(state);
	int64_t lsns[2][600], counts[2] = {0};
	for (size_t i = 0; i < sizeof(stretches) / sizeof(stretches[0]); i++) {
		for (int k = 0; k < stretches[i].count; k++) {
			char key[32];
			int other = k % stretches[i].every != 0;
			snprintf(key, sizeof(key), "%d/%d", (int)i, k);
			lsns[other][counts[other]++] = kit_append(store, other ? "others" : "main", key);
		}
	}
	for (uint32_t limit = 1; limit <= 200; limit += limit < 12 ? 1 : 47) {
		for (int other = 0; other < 2; other++) {
			struct mf_event_list list = {0};
			struct mf_error error;
			int64_t seen = 0, from = 0;
			do {
				mf_event_list_deinit(&list);
				KIT_OK(mf_store_load_since(store, other ? "others" : "main", from, limit, &list, &error), &error);
				assert_true(list.count <= limit);
				for (size_t k = 0; k < list.count; k++)
					assert_int_equal(list.events[k].lsn, lsns[other][seen++]);
				if (list.count > 0)
					from = list.events[list.count - 1].lsn;
			} while (list.count > 0);
			assert_int_equal(seen, counts[other]);
		}
	}
}

static void a_page_ends_at_16_mib_but_holds_one_event_at_least(void **state)
{
	struct mf_store *store = store_of(state);
	size_t len = 18u << 20;
	unsigned char *large = calloc(1, len);
	assert_non_null(large);
	struct mf_error error;
	for (int i = 0; i < 4; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		struct mf_event event = kit_event("d", key);
		event.payload = large;
		event.payload_len = i == 0 ? len : 6u << 20;
		KIT_OK(mf_store_append(store, &event, NULL, &error), &error);
	}
	struct mf_event_list list;
	KIT_OK(mf_store_load_since(store, "d", 0, 10, &list, &error), &error);
	assert_int_equal(list.count, 1);
	mf_event_list_deinit(&list);
	KIT_OK(mf_store_load_since(store, NULL, 1, 10, &list, &error), &error);
	assert_int_equal(list.count, 3);
	mf_event_list_deinit(&list);
	free(large);
}

static void a_document_that_nobody_wrote_has_nothing(void **state)
{
	struct mf_store *store = store_of(state);
	int64_t lsn = -1;
	struct mf_error error;
	struct mf_snapshot snapshot;
	KIT_OK(store->ops->last_lsn(store, "never", &lsn, &error), &error);
	assert_int_equal(lsn, 0);
	KIT_OK(store->ops->last_lsn(store, NULL, &lsn, &error), &error);
	assert_int_equal(lsn, 0);
	assert_int_equal(mf_store_latest_snapshot(store, "never", INT64_MAX, &snapshot, &error), MF_ERR_NOT_FOUND);
	kit_append(store, "d", "k");
	KIT_OK(store->ops->last_lsn(store, NULL, &lsn, &error), &error);
	assert_int_equal(lsn, 1);
}

/* ---- snapshots ---- */

static void assert_snapshot(struct mf_store *store, const char *doc_id, int64_t at_most, int64_t upto_lsn, size_t len)
{
	struct mf_snapshot got;
	struct mf_error error;
	KIT_OK(mf_store_latest_snapshot(store, doc_id, at_most, &got, &error), &error);
	assert_string_equal(got.doc_id, doc_id);
	assert_int_equal(got.upto_lsn, upto_lsn);
	assert_int_equal(got.state_len, len);
	for (size_t i = 0; i < len; i++)
		if (got.state_blob[i] != (unsigned char)(i * 31 + (size_t)upto_lsn))
			fail_msg("byte %zu of the snapshot is wrong", i);
	mf_snapshot_deinit(&got);
	assert_null(got.memory);
}

static void small_and_large_snapshots_are_read_back(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append_many(store, "d", "k", 10);
	kit_write_snapshot(store, "d", 2, 1);
	kit_write_snapshot(store, "d", 4, 1u << 20);
	kit_write_snapshot(store, "d", 6, (1u << 20) + 1);
	kit_write_snapshot(store, "d", 8, 5000000);
	assert_snapshot(store, "d", INT64_MAX, 8, 5000000);
	assert_snapshot(store, "d", 8, 8, 5000000);
	assert_snapshot(store, "d", 7, 6, (1u << 20) + 1);
	assert_snapshot(store, "d", 5, 4, 1u << 20);
	assert_snapshot(store, "d", 3, 2, 1);
	struct mf_snapshot none;
	struct mf_error error;
	assert_int_equal(mf_store_latest_snapshot(store, "d", 1, &none, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(mf_store_latest_snapshot(store, "other", 8, &none, &error), MF_ERR_NOT_FOUND);
}

static void f14_the_newest_snapshot_is_that_of_the_highest_number_not_of_the_latest_clock(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append_many(store, "d", "k", 10);
	struct mf_error error;
	struct mf_snapshot late_clock = {.doc_id = "d", .upto_lsn = 3, .created_at = 2000, .version = 1, .state_blob = (const unsigned char *)"old", .state_len = 3};
	struct mf_snapshot early_clock = {.doc_id = "d", .upto_lsn = 9, .created_at = 1000, .version = 1, .state_blob = (const unsigned char *)"new", .state_len = 3};
	KIT_OK(mf_store_write_snapshot(store, &early_clock, &error), &error);
	KIT_OK(mf_store_write_snapshot(store, &late_clock, &error), &error);
	struct mf_snapshot got;
	KIT_OK(mf_store_latest_snapshot(store, "d", INT64_MAX, &got, &error), &error);
	assert_int_equal(got.upto_lsn, 9);
	assert_int_equal(got.created_at, 1000);
	assert_memory_equal(got.state_blob, "new", 3);
	mf_snapshot_deinit(&got);
}

static void a_snapshot_can_be_replaced(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append_many(store, "d", "k", 3);
	static const size_t lens[] = {10, 3000000, 20, 1500000, 2500000, 5};
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		kit_write_snapshot(store, "d", 3, lens[i]);
		assert_snapshot(store, "d", INT64_MAX, 3, lens[i]);
	}
	struct mf_store_stats stats;
	struct mf_error error;
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.snapshots, 1);
}

static void chunks_are_invisible_until_they_are_finished(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append_many(store, "d", "k", 3);
	kit_write_snapshot(store, "d", 1, 7);
	struct mf_error error;
	KIT_OK(store->ops->snapshot_chunk(store, "d", 3, 0, "aaaa", 4, &error), &error);
	KIT_OK(store->ops->snapshot_chunk(store, "d", 3, 1, "bb", 2, &error), &error);
	assert_snapshot(store, "d", INT64_MAX, 1, 7);
	struct mf_snapshot row = {.doc_id = "d", .upto_lsn = 3, .created_at = 1, .version = 1, .state_len = 6};
	KIT_OK(store->ops->snapshot_finish(store, &row, &error), &error);
	struct mf_snapshot got;
	KIT_OK(mf_store_latest_snapshot(store, "d", INT64_MAX, &got, &error), &error);
	assert_int_equal(got.upto_lsn, 3);
	assert_int_equal(got.state_len, 6);
	assert_memory_equal(got.state_blob, "aaaabb", 6);
	mf_snapshot_deinit(&got);
}

static void chunks_out_of_order_or_missing_are_refused(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append_many(store, "d", "k", 3);
	struct mf_error error;
	assert_int_equal(store->ops->snapshot_chunk(store, "d", 3, 1, "x", 1, &error), MF_ERR_STATE);
	KIT_OK(store->ops->snapshot_chunk(store, "d", 3, 0, "aaaa", 4, &error), &error);
	assert_int_equal(store->ops->snapshot_chunk(store, "d", 3, 2, "x", 1, &error), MF_ERR_STATE);
	struct mf_snapshot row = {.doc_id = "d", .upto_lsn = 3, .version = 1, .state_len = 6};
	assert_int_equal(store->ops->snapshot_finish(store, &row, &error), MF_ERR_STATE);
	row.upto_lsn = 2;
	assert_int_equal(store->ops->snapshot_finish(store, &row, &error), MF_ERR_STATE);
	/* Beginning again drops what came before. */
	KIT_OK(store->ops->snapshot_chunk(store, "d", 3, 0, "bb", 2, &error), &error);
	row.upto_lsn = 3;
	row.state_len = 2;
	KIT_OK(store->ops->snapshot_finish(store, &row, &error), &error);
	struct mf_snapshot got;
	KIT_OK(mf_store_latest_snapshot(store, "d", INT64_MAX, &got, &error), &error);
	assert_memory_equal(got.state_blob, "bb", 2);
	mf_snapshot_deinit(&got);
}

static void f6_a_snapshot_beyond_the_newest_event_is_refused(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append_many(store, "d", "k", 3);
	struct mf_snapshot early = {.doc_id = "d", .upto_lsn = 4, .version = 1, .state_blob = (const unsigned char *)"x", .state_len = 1};
	struct mf_error error;
	assert_int_equal(mf_store_write_snapshot(store, &early, &error), MF_ERR_INVALID);
	early.upto_lsn = 0;
	assert_int_equal(mf_store_write_snapshot(store, &early, &error), MF_ERR_INVALID);
	early.upto_lsn = 3;
	early.state_len = 0;
	assert_int_equal(mf_store_write_snapshot(store, &early, &error), MF_ERR_INVALID);
	early.state_len = 1;
	early.doc_id = "";
	assert_int_equal(mf_store_write_snapshot(store, &early, &error), MF_ERR_INVALID);
}

/* ---- listings ---- */

struct listing {
	struct mf_store *store;
	int count, stop_after;
	char text[400];
};

static bool note_document(void *user, const struct mf_document_info *info)
{
	struct listing *listing = user;
	size_t len = strlen(listing->text);
	snprintf(listing->text + len, sizeof(listing->text) - len, "%s:%d:%d:%d ", info->doc_id, (int)info->last_lsn, (int)info->events, (int)info->snapshots);
	int64_t lsn; /* the visitor may ask the store */
	struct mf_error error;
	KIT_OK(listing->store->ops->last_lsn(listing->store, info->doc_id, &lsn, &error), &error);
	assert_int_equal(lsn, info->last_lsn);
	return ++listing->count != listing->stop_after;
}

static bool note_snapshot(void *user, const struct mf_snapshot_info *info)
{
	struct listing *listing = user;
	size_t len = strlen(listing->text);
	snprintf(listing->text + len, sizeof(listing->text) - len, "%s:%d:%d:%d ", info->doc_id, (int)info->upto_lsn, (int)info->bytes, (int)info->version);
	return ++listing->count != listing->stop_after;
}

static void listings_are_in_order_and_can_be_stopped(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append_many(store, "b", "b", 2);
	kit_append_many(store, "a", "a", 3);
	kit_append_many(store, "B", "B", 1);
	kit_append_many(store, "ab", "ab", 1);
	kit_write_snapshot(store, "a", 3, 10);
	kit_write_snapshot(store, "a", 5, 2000000);
	kit_write_snapshot(store, "b", 2, 30);
	struct mf_error error;
	struct listing documents = {.store = store};
	KIT_OK(store->ops->documents(store, note_document, &documents, &error), &error);
	assert_string_equal(documents.text, "B:6:1:0 a:5:3:2 ab:7:1:0 b:2:2:1 ");
	struct listing two = {.store = store, .stop_after = 2};
	KIT_OK(store->ops->documents(store, note_document, &two, &error), &error);
	assert_int_equal(two.count, 2);
	struct listing all = {.store = store};
	KIT_OK(store->ops->snapshots(store, NULL, note_snapshot, &all, &error), &error);
	assert_string_equal(all.text, "a:5:2000000:1 a:3:10:1 b:2:30:1 ");
	struct listing of_b = {.store = store};
	KIT_OK(store->ops->snapshots(store, "b", note_snapshot, &of_b, &error), &error);
	assert_string_equal(of_b.text, "b:2:30:1 ");
	struct listing one = {.store = store, .stop_after = 1};
	KIT_OK(store->ops->snapshots(store, NULL, note_snapshot, &one, &error), &error);
	assert_int_equal(one.count, 1);
}

/* ---- compaction ---- */

static void compaction_takes_events_and_keeps_keys_and_the_chain(void **state)
{
	struct mf_store *store = store_of(state);
	for (int i = 0; i < 1500; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		kit_append(store, i % 2 ? "odd" : "even", key);
	}
	kit_write_snapshot(store, "even", 5, 10);
	kit_write_snapshot(store, "even", 7, 2000000);
	kit_write_snapshot(store, "even", 1401, 20);
	struct mf_error error;
	KIT_OK(mf_store_compact(store, "even", 1401, &error), &error);
	assert_int_equal(kit_count(store, "even", 1401), 49);
	assert_int_equal(kit_count(store, "even", 0), 49);
	assert_int_equal(kit_count(store, "odd", 0), 750);
	assert_int_equal(kit_count(store, NULL, 0), 799);
	struct mf_event_list list;
	KIT_OK(mf_store_load_since(store, "even", 1401, 1, &list, &error), &error);
	assert_int_equal(list.events[0].prev_lsn, 1401);
	mf_event_list_deinit(&list);
	struct mf_snapshot none;
	assert_int_equal(mf_store_latest_snapshot(store, "even", 1400, &none, &error), MF_ERR_NOT_FOUND);
	struct mf_key_info info;
	KIT_OK(store->ops->find_key(store, "k4", &info, &error), &error);
	assert_int_equal(info.lsn, 5);
	struct mf_event again = kit_event("even", "k4");
	assert_int_equal(mf_store_append(store, &again, NULL, &error), MF_ERR_DUPLICATE_KEY);
	assert_int_equal(error.lsn, 5);
	assert_int_equal(error.same, 1);
	struct mf_event other = kit_event("even", "unlike");
	other.idempotency_key = "k4";
	assert_int_equal(mf_store_append(store, &other, NULL, &error), MF_ERR_DUPLICATE_KEY);
	assert_int_equal(error.same, 0);
	assert_int_equal(kit_append(store, "even", "next"), 1501);
	struct mf_store_stats stats;
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.events, 800);
	assert_int_equal(stats.snapshots, 1);
	assert_int_equal(stats.documents, 2);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
}

static void a_document_whose_events_are_all_compacted_goes_on_where_it_was(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append_many(store, "d", "k", 5);
	kit_write_snapshot(store, "d", 5, 10);
	struct mf_error error;
	KIT_OK(mf_store_compact(store, "d", 5, &error), &error);
	assert_int_equal(kit_count(store, NULL, 0), 0);
	int64_t lsn;
	KIT_OK(store->ops->last_lsn(store, "d", &lsn, &error), &error);
	assert_int_equal(lsn, 5);
	struct listing documents = {.store = store};
	KIT_OK(store->ops->documents(store, note_document, &documents, &error), &error);
	assert_string_equal(documents.text, "d:5:0:1 ");
	struct mf_event next = kit_event("d", "next");
	KIT_OK(mf_store_append(store, &next, &lsn, &error), &error);
	assert_int_equal(lsn, 6);
	assert_int_equal(next.prev_lsn, 5);
	kit_write_snapshot(store, "d", 6, 10);
	KIT_OK(mf_store_compact(store, "d", 6, &error), &error);
	KIT_OK(mf_store_compact(store, "d", 6, &error), &error);
	assert_int_equal(kit_append(store, "d", "last"), 7);
	assert_int_equal(kit_count(store, "d", 6), 1);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
}

static void compaction_wants_a_snapshot_to_compact_to(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append_many(store, "d", "k", 5);
	kit_write_snapshot(store, "d", 3, 10);
	struct mf_error error;
	assert_int_equal(mf_store_compact(store, "d", 4, &error), MF_ERR_INVALID);
	assert_int_equal(mf_store_compact(store, "never", 3, &error), MF_ERR_INVALID);
	assert_int_equal(kit_count(store, "d", 0), 5);
}

/* ---- incremental snapshots, and those that go ---- */

static void write_incremental(struct mf_store *store, int64_t upto_lsn, int64_t base_lsn, size_t len)
{
	struct mf_error error;
	KIT_OK(kit_try_snapshot(store, "d", upto_lsn, base_lsn, len, &error), &error);
}

static bool note_snapshot_lsns(void *user, const struct mf_snapshot_info *info)
{
	char *text = user, one[64];
	if (info->base_lsn)
		snprintf(one, sizeof(one), "%lld<%lld ", (long long)info->upto_lsn, (long long)info->base_lsn);
	else
		snprintf(one, sizeof(one), "%lld ", (long long)info->upto_lsn);
	strcat(text, one);
	return true;
}

static void assert_snapshots(struct mf_store *store, const char *expected)
{
	struct mf_error error;
	char text[500] = "";
	KIT_OK(store->ops->snapshots(store, "d", note_snapshot_lsns, text, &error), &error);
	assert_string_equal(text, expected);
}

static void an_incremental_snapshot_tells_its_base(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_error error;
	struct mf_snapshot snapshot;
	struct kit_findings findings;
	kit_append_many(store, "d", "k", 20);
	kit_write_snapshot(store, "d", 3, 100);
	write_incremental(store, 7, 3, 10);
	write_incremental(store, 9, 7, 3000000);
	assert_snapshots(store, "9<7 7<3 3 ");
	KIT_OK(mf_store_latest_snapshot(store, "d", INT64_MAX, &snapshot, &error), &error);
	assert_int_equal(snapshot.base_lsn, 7);
	mf_snapshot_deinit(&snapshot);
	KIT_OK(mf_store_latest_snapshot(store, "d", 3, &snapshot, &error), &error);
	assert_int_equal(snapshot.base_lsn, 0);
	mf_snapshot_deinit(&snapshot);
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_write_snapshot(store, "d", 9, 50); /* whole now */
	assert_snapshots(store, "9 7<3 3 ");
}

static void a_snapshot_needs_its_base(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_error error;
	kit_append_many(store, "d", "k", 20);
	kit_write_snapshot(store, "d", 3, 100);
	assert_int_equal(kit_try_snapshot(store, "d", 8, 4, 10, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(kit_try_snapshot(store, "e", 8, 3, 10, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(kit_try_snapshot(store, "d", 8, 4, 3000000, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(kit_try_snapshot(store, "d", 8, 8, 10, &error), MF_ERR_INVALID);
	assert_int_equal(kit_try_snapshot(store, "d", 8, 9, 10, &error), MF_ERR_INVALID);
	assert_int_equal(kit_try_snapshot(store, "d", 8, -1, 10, &error), MF_ERR_INVALID);
	assert_snapshots(store, "3 ");
}

static void the_newest_stay_with_what_they_build_on(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_error error;
	struct mf_store_stats stats;
	struct kit_findings findings;
	kit_append_many(store, "d", "k", 20);
	kit_append(store, "e", "other");
	kit_write_snapshot(store, "e", 21, 10);
	kit_write_snapshot(store, "d", 1, 10);
	kit_write_snapshot(store, "d", 3, 2000000);
	write_incremental(store, 5, 3, 10);
	write_incremental(store, 7, 5, 10);
	write_incremental(store, 9, 7, 10);
	KIT_OK(mf_store_prune_snapshots(store, "d", 2, &error), &error);
	assert_snapshots(store, "9<7 7<5 5<3 3 ");
	kit_write_snapshot(store, "d", 11, 10);
	write_incremental(store, 13, 11, 10);
	KIT_OK(mf_store_prune_snapshots(store, "d", 3, &error), &error);
	assert_snapshots(store, "13<11 11 9<7 7<5 5<3 3 ");
	KIT_OK(mf_store_prune_snapshots(store, "d", 2, &error), &error);
	assert_snapshots(store, "13<11 11 ");
	KIT_OK(mf_store_prune_snapshots(store, "d", 0, &error), &error); /* never the newest */
	assert_snapshots(store, "13<11 11 ");
	KIT_OK(mf_store_prune_snapshots(store, "never", 2, &error), &error);
	assert_int_equal(kit_count(store, "d", 0), 20);
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.snapshots, 3);
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
}

static void the_snapshot_that_the_events_left_follow_on_stays(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_error error;
	kit_append_many(store, "d", "k", 20);
	for (int lsn = 2; lsn <= 10; lsn += 2)
		kit_write_snapshot(store, "d", lsn, 10);
	KIT_OK(mf_store_compact(store, "d", 4, &error), &error);
	assert_snapshots(store, "10 8 6 4 ");
	KIT_OK(mf_store_prune_snapshots(store, "d", 2, &error), &error);
	assert_snapshots(store, "10 8 4 ");
}

static void compaction_leaves_what_a_later_snapshot_builds_on(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_error error;
	struct kit_findings findings;
	kit_append_many(store, "d", "k", 20);
	kit_write_snapshot(store, "d", 2, 10);
	kit_write_snapshot(store, "d", 4, 10);
	write_incremental(store, 8, 4, 10);
	KIT_OK(mf_store_compact(store, "d", 8, &error), &error);
	assert_snapshots(store, "8<4 4 ");
	assert_int_equal(kit_count(store, "d", 0), 12);
	kit_write_snapshot(store, "d", 8, 10);
	KIT_OK(mf_store_compact(store, "d", 8, &error), &error);
	assert_snapshots(store, "8 ");
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
}

/* ---- the rest ---- */

static void stats_count_what_is_there(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_store_stats stats;
	struct mf_error error;
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.last_lsn, 0);
	assert_int_equal(stats.events, 0);
	assert_int_equal(stats.documents, 0);
	kit_append_many(store, "a", "a", 3);
	kit_append_many(store, "b", "b", 4);
	kit_write_snapshot(store, "a", 2, 10);
	int64_t synced;
	KIT_OK(mf_store_sync(store, &synced, &error), &error);
	assert_int_equal(synced, 7);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.last_lsn, 7);
	assert_int_equal(stats.synced_lsn, 7);
	assert_int_equal(stats.epoch, 1);
	assert_int_equal(stats.events, 7);
	assert_int_equal(stats.documents, 2);
	assert_int_equal(stats.snapshots, 1);
	assert_true(stats.bytes > 0);
	KIT_OK(store->ops->maintain(store, &error), &error);
}

#define THREADS 8
#define EACH 60

struct worker {
	struct mf_store *store;
	int number;
};

static void *append_and_read(void *user)
{
	const struct worker *worker = user;
	int64_t last = 0;
	for (int i = 0; i < EACH; i++) {
		char doc[16], key[32];
		snprintf(doc, sizeof(doc), "d%d", worker->number % 3);
		snprintf(key, sizeof(key), "%d/%d", worker->number, i);
		struct mf_event event = kit_event(doc, key);
		struct mf_key_info info;
		if (mf_store_append(worker->store, &event, NULL, NULL) != MF_OK || event.lsn <= last || event.prev_lsn >= event.lsn)
			return (void *)1;
		last = event.lsn;
		if (worker->store->ops->find_key(worker->store, key, &info, NULL) != MF_OK || info.lsn != last)
			return (void *)1;
		if (i % 10 == worker->number && mf_store_sync(worker->store, NULL, NULL) != MF_OK)
			return (void *)1;
	}
	return NULL;
}

static void many_threads_get_numbers_without_gaps_and_whole_chains(void **state)
{
	struct mf_store *store = store_of(state);
	pthread_t threads[THREADS];
	struct worker workers[THREADS];
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){store, i};
		assert_int_equal(pthread_create(&threads[i], NULL, append_and_read, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *result;
		pthread_join(threads[i], &result);
		assert_null(result);
	}
	assert_int_equal(kit_count(store, NULL, 0), THREADS * EACH);
	int64_t lsn;
	struct mf_error error;
	KIT_OK(store->ops->last_lsn(store, NULL, &lsn, &error), &error);
	assert_int_equal(lsn, THREADS * EACH);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
}

/* The exit code of a child that tries everything: the first call that was not refused, or 0. */
static int try_everything(struct mf_store *store)
{
	struct mf_event event = kit_event("d", "from the child");
	struct mf_event_list list;
	struct mf_key_info info;
	struct mf_store_stats stats;
	struct mf_snapshot snapshot;
	int64_t lsn;
	const enum mf_status answers[] = {
		mf_store_append(store, &event, NULL, NULL),
		mf_store_sync(store, NULL, NULL),
		mf_store_load_since(store, "d", 0, 1, &list, NULL),
		store->ops->last_lsn(store, NULL, &lsn, NULL),
		store->ops->find_key(store, "k", &info, NULL),
		mf_store_latest_snapshot(store, "d", 1, &snapshot, NULL),
		store->ops->snapshot_chunk(store, "d", 1, 0, "x", 1, NULL),
		mf_store_compact(store, "d", 1, NULL),
		store->ops->documents(store, NULL, NULL, NULL),
		store->ops->snapshots(store, NULL, NULL, NULL, NULL),
		mf_store_verify(store, NULL, NULL, NULL),
		mf_store_stats(store, &stats, NULL),
		mf_store_close(store, NULL),
	};
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i] != MF_ERR_STATE)
			return (int)i + 1;
	return 0;
}

static bool ignore_document(void *user, const struct mf_document_info *info)
{
	(void)user;
	(void)info;
	return true;
}

static bool ignore_snapshot(void *user, const struct mf_snapshot_info *info)
{
	(void)user;
	(void)info;
	return true;
}

static void ignore_damage(void *user, const struct mf_damage *damage)
{
	(void)user;
	(void)damage;
}

static bool list_checkpoint(void *user, const struct mf_checkpoint *checkpoint)
{
	char *text = user;
	size_t len = strlen(text);
	snprintf(text + len, 200 - len, "%s:%d:%d ", checkpoint->name, (int)checkpoint->epoch, (int)checkpoint->lsn);
	return strcmp(checkpoint->name, "last") != 0;
}

/* 100 and more: the number of the call that was not refused. */
static int try_the_rest(struct mf_store *store)
{
	struct mf_error error;
	struct mf_checkpoint checkpoint = {"f", 1, 1};
	struct mf_store_stats stats;
	char listed[200] = "";
	int64_t lsn;
	const enum mf_status answers[] = {
		store->ops->documents(store, ignore_document, NULL, &error),
		store->ops->snapshots(store, NULL, ignore_snapshot, NULL, &error),
		store->ops->snapshot_chunk(store, "d", 1, 0, "st", 2, &error),
		mf_store_prune_snapshots(store, "d", 1, &error),
		mf_store_compact(store, "d", 1, &error),
		store->ops->durable ? mf_store_vacuum(store, &error) : MF_ERR_STATE, /* in memory there is nothing to do, nor to refuse */
		mf_store_verify(store, ignore_damage, NULL, &error),
		mf_store_stats(store, &stats, &error),
		mf_store_save_checkpoint(store, &checkpoint, &error),
		mf_store_load_checkpoint(store, "f", &checkpoint, &error),
		mf_store_checkpoints(store, list_checkpoint, listed, &error),
		store->ops->durable ? mf_store_epoch_end(store, 1, &lsn, &error) : MF_ERR_STATE,
		mf_store_close(store, &error),
	};
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i] != MF_ERR_STATE)
			return 100 + (int)i;
	return 0;
}

static void a_child_of_fork_is_refused(void **state)
{
	struct mf_store *store = store_of(state);
	kit_append(store, "d", "k");
	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int answer = try_everything(store);
		exit(answer ? answer : try_the_rest(store)); /* not _exit, which would forget what a coverage build has counted */
	}
	int result;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFEXITED(result));
	assert_int_equal(WEXITSTATUS(result), 0);
	assert_int_equal(kit_append(store, "d", "next"), 2);
}

/* One call of each kind; the first that failed decides. */
/* ---- checkpoints of followers ---- */

static void a_checkpoint_is_kept_under_its_name_and_replaced(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_error error;
	struct mf_checkpoint checkpoint = {"b", 1, 7};
	char text[200] = "";
	assert_int_equal(mf_store_load_checkpoint(store, "b", &checkpoint, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(checkpoint.lsn, 7);
	KIT_OK(mf_store_save_checkpoint(store, &checkpoint, &error), &error);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"last", 1, 0}, &error), &error);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"other", 1, 2}, &error), &error);
	checkpoint.lsn = 9;
	KIT_OK(mf_store_save_checkpoint(store, &checkpoint, &error), &error);
	checkpoint = (struct mf_checkpoint){0};
	KIT_OK(mf_store_load_checkpoint(store, "b", &checkpoint, &error), &error);
	assert_int_equal(checkpoint.epoch, 1);
	assert_int_equal(checkpoint.lsn, 9);
	assert_string_equal(checkpoint.name, "b");
	KIT_OK(mf_store_checkpoints(store, list_checkpoint, text, &error), &error);
	assert_string_equal(text, "b:1:9 last:1:0 ");
}

static void a_checkpoint_without_a_name_or_a_place_is_refused(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_error error;
	char long_name[MF_ID_MAX + 2];
	memset(long_name, 'n', sizeof(long_name));
	long_name[MF_ID_MAX + 1] = '\0';
	const struct mf_checkpoint wrong[] = {{"", 1, 1}, {NULL, 1, 1}, {long_name, 1, 1}, {"\xff", 1, 1}, {"n", 1, -1}, {"n", -1, 1}};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(mf_store_save_checkpoint(store, &wrong[i], &error), MF_ERR_INVALID);
	struct mf_checkpoint out;
	assert_int_equal(mf_store_load_checkpoint(store, "", &out, &error), MF_ERR_INVALID);
}

static void a_store_of_an_older_interface_has_no_checkpoints(void **state)
{
	struct mf_store_ops older = *store_of(state)->ops;
	struct mf_store store = {.ops = &older};
	struct mf_checkpoint out;
	struct mf_error error;
	int64_t lsn;
	older.size = offsetof(struct mf_store_ops, load_checkpoint);
	assert_int_equal(mf_store_load_checkpoint(&store, "n", &out, &error), MF_ERR_INVALID);
	assert_int_equal(mf_store_epoch_end(&store, 1, &lsn, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "epoch_end"));
}

/* Of a store whose interface ends before each operation, and of one that has all but this one. */
static void a_store_without_an_operation_says_which(void **state)
{
	struct mf_store_ops ops;
	struct mf_store *whole = store_of(state), store = {.ops = &ops};
	struct mf_event event = kit_event("d", "k");
	struct mf_event_list list;
	struct mf_snapshot snapshot = {.doc_id = "d", .upto_lsn = 1, .version = 1, .state_blob = (const unsigned char *)"state", .state_len = 5};
	struct mf_checkpoint checkpoint = {"f", 1, 1};
	struct mf_store_stats stats;
	struct mf_error error;
	char listed[200] = "";
	int64_t lsn;
#define LACKS(operation, call) \
	do { \
		ops = *whole->ops; \
		ops.operation = NULL; \
		assert_int_equal(call, MF_ERR_INVALID); \
		assert_non_null(strstr(error.message, #operation)); \
	} while (0)
#define NEWER(operation, call) \
	do { \
		LACKS(operation, call); \
		ops = *whole->ops; \
		ops.size = offsetof(struct mf_store_ops, operation); \
		assert_int_equal(call, MF_ERR_INVALID); \
		assert_non_null(strstr(error.message, #operation)); \
	} while (0)
	LACKS(append_batch, mf_store_append(&store, &event, &lsn, &error));
	LACKS(sync, mf_store_sync(&store, &lsn, &error));
	LACKS(load_since, mf_store_load_since(&store, "d", 0, 1, &list, &error));
	LACKS(latest_snapshot, mf_store_latest_snapshot(&store, "d", 1, &snapshot, &error));
	LACKS(snapshot_chunk, mf_store_write_snapshot(&store, &snapshot, &error));
	LACKS(snapshot_finish, mf_store_write_snapshot(&store, &snapshot, &error));
	LACKS(compact, mf_store_compact(&store, "d", 1, &error));
	LACKS(prune_snapshots, mf_store_prune_snapshots(&store, "d", 1, &error));
	LACKS(vacuum, mf_store_vacuum(&store, &error));
	LACKS(verify, mf_store_verify(&store, ignore_damage, NULL, &error));
	LACKS(stats, mf_store_stats(&store, &stats, &error));
	NEWER(load_checkpoint, mf_store_load_checkpoint(&store, "f", &checkpoint, &error));
	NEWER(save_checkpoint, mf_store_save_checkpoint(&store, &checkpoint, &error));
	NEWER(checkpoints, mf_store_checkpoints(&store, list_checkpoint, listed, &error));
	NEWER(epoch_end, mf_store_epoch_end(&store, 1, &lsn, &error));
	NEWER(backup, mf_store_backup(&store, "file", NULL, NULL, NULL, &error));
	assert_int_equal(mf_store_close(NULL, &error), MF_OK);
}

static int no_random(void *user, void *bytes, size_t len)
{
	(void)user, (void)bytes, (void)len;
	return -5;
}

static void what_names_no_place_is_refused(void **state)
{
	(void)state;
	static const struct mf_restore_options wrong[] = {{.dir = "d"}, {.file = "", .dir = "d"}, {.file = "f"}, {.file = "f", .dir = ""}, {.file = "f", .dir = "d", .at_lsn = -1}};
	struct mf_sqlite_options nowhere = {.dir = NULL}, empty = {.dir = ""};
	struct mf_env blind = *mf_env_os();
	struct mf_store *store = NULL;
	struct mf_error error;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(mf_store_restore(&wrong[i], NULL, &error), MF_ERR_INVALID);
	assert_int_equal(mf_store_open_sqlite(&nowhere, &store, &error), MF_ERR_INVALID);
	assert_int_equal(mf_store_open_sqlite(&empty, &store, &error), MF_ERR_INVALID);
	blind.random = no_random;
	assert_int_equal(mf_store_open_memory(&blind, &store, &error), MF_ERR_IO);
	assert_null(store);
}

static void a_snapshot_of_nothing_or_of_no_document_is_refused(void **state)
{
	struct mf_store *store = store_of(state);
	static char endless[MF_ID_MAX + 2];
	const struct mf_snapshot good = {.doc_id = "d", .upto_lsn = 1, .version = 1, .state_blob = (const unsigned char *)"state", .state_len = 5};
	struct mf_snapshot bad = good;
	struct mf_error error;
	kit_append(store, "d", "k");
	memset(endless, 'd', sizeof(endless) - 1);
	bad.doc_id = NULL;
	assert_int_equal(mf_store_write_snapshot(store, &bad, &error), MF_ERR_INVALID);
	bad.doc_id = endless;
	assert_int_equal(mf_store_write_snapshot(store, &bad, &error), MF_ERR_INVALID);
	bad = good;
	bad.state_len = 0;
	assert_int_equal(mf_store_write_snapshot(store, &bad, &error), MF_ERR_INVALID);
	bad.state_len = 5;
	bad.state_blob = NULL;
	assert_int_equal(mf_store_write_snapshot(store, &bad, &error), MF_ERR_INVALID);
	KIT_OK(mf_store_write_snapshot(store, &good, &error), &error);
	assert_int_equal(mf_store_backup(store, "", NULL, NULL, NULL, &error), MF_ERR_INVALID);
	assert_int_equal(mf_store_backup(store, NULL, NULL, NULL, NULL, &error), MF_ERR_INVALID);
}

static void the_epoch_of_now_has_no_end(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_error error;
	int64_t lsn = 0;
	kit_append(store, "d", "k");
	KIT_OK(mf_store_epoch_end(store, 1, &lsn, &error), &error);
	assert_true(lsn == INT64_MAX);
	KIT_OK(mf_store_epoch_end(store, 0, &lsn, &error), &error);
	assert_int_equal(lsn, 0);
}

static enum mf_status do_all(struct mf_store *store, int round, struct mf_error *error)
{
	char keys[3][32];
	struct mf_event events[3];
	for (int i = 0; i < 3; i++) {
		snprintf(keys[i], sizeof(keys[i]), "round %d/%d", round, i);
		events[i] = kit_event(i == 1 ? keys[i] : "d", keys[i]);
	}
	struct mf_event_list list;
	struct mf_snapshot got;
	struct mf_key_info info;
	struct mf_store_stats stats;
	int64_t last;
	enum mf_status status = mf_store_append_batch(store, events, 3, &last, error);
	if (status != MF_OK)
		return status;
	struct mf_snapshot snapshot = {.doc_id = "d", .upto_lsn = last, .version = 1, .state_blob = (const unsigned char *)"state", .state_len = 5};
	if ((status = mf_store_write_snapshot(store, &snapshot, error)) != MF_OK)
		return status;
	if ((status = store->ops->snapshot_chunk(store, "d", last, 0, "st", 2, error)) != MF_OK)
		return status;
	if ((status = mf_store_load_since(store, "d", last - 2, 10, &list, error)) != MF_OK)
		return status;
	mf_event_list_deinit(&list);
	if ((status = mf_store_latest_snapshot(store, "d", INT64_MAX, &got, error)) != MF_OK)
		return status;
	mf_snapshot_deinit(&got);
	if ((status = store->ops->find_key(store, keys[0], &info, error)) != MF_OK)
		return status;
	if ((status = store->ops->documents(store, ignore_document, NULL, error)) != MF_OK)
		return status;
	if ((status = store->ops->snapshots(store, NULL, ignore_snapshot, NULL, error)) != MF_OK)
		return status;
	if ((status = mf_store_stats(store, &stats, error)) != MF_OK)
		return status;
	if ((status = mf_store_save_checkpoint(store, &(struct mf_checkpoint){"f", 1, last}, error)) != MF_OK)
		return status;
	if ((status = mf_store_save_checkpoint(store, &(struct mf_checkpoint){keys[2], 1, last}, error)) != MF_OK) /* a new one each time */
		return status;
	struct mf_checkpoint checkpoint;
	char listed[200] = "";
	if ((status = mf_store_load_checkpoint(store, "f", &checkpoint, error)) != MF_OK)
		return status;
	if ((status = mf_store_checkpoints(store, list_checkpoint, listed, error)) != MF_OK)
		return status;
	if ((status = mf_store_epoch_end(store, 1, &last, error)) != MF_OK)
		return status;
	last = snapshot.upto_lsn;
	if ((status = mf_store_verify(store, ignore_damage, NULL, error)) != MF_OK)
		return status;
	if ((status = mf_store_prune_snapshots(store, "d", 1, error)) != MF_OK)
		return status;
	if ((status = mf_store_vacuum(store, error)) != MF_OK)
		return status;
	return mf_store_compact(store, "d", last, error);
}

static void every_allocation_may_fail(void **state)
{
	struct mf_store *store = store_of(state);
	struct mf_error error;
	for (int round = 1;; round++) {
		mf_mem_fail_at((uint64_t)round, false);
		enum mf_status status = do_all(store, round, &error);
		uint64_t made = mf_mem_count();
		mf_mem_fail_at(0, false);
		if (status == MF_OK && made < (uint64_t)round)
			break;
		if (status != MF_OK && status != MF_ERR_NO_MEMORY)
			fail_msg("allocation %d: %s: %s", round, mf_status_name(status), error.message);
		KIT_OK(do_all(store, -round, &error), &error); /* nothing is left behind, nor broken */
		assert_true(round < 300);
	}
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_append(store, "d", "after it all");
}

#define T(test) \
	{"memory: " #test, test, set_up_memory, tear_down, NULL}, {"sqlite: " #test, test, set_up_sqlite, tear_down, NULL}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(numbers_start_at_1_and_have_no_gaps),
		T(a_batch_gets_consecutive_numbers_and_chains),
		T(f22_every_field_is_read_back_as_it_was_given),
		T(ids_may_be_1024_bytes_and_not_more),
		T(what_cannot_be_stored_is_refused_with_a_sentence),
		T(f2_a_duplicate_leaves_the_store_usable),
		T(a_duplicate_in_another_document_with_other_content_is_one_too),
		T(a_duplicate_refuses_the_whole_batch_and_gives_the_numbers_back),
		T(a_key_twice_in_one_batch_is_refused),
		T(a_key_is_found_with_its_number_and_content),
		T(reading_goes_page_by_page_for_one_document_and_for_all),
		T(documents_that_come_and_go_are_read_whole_at_every_page_size),
		T(a_page_ends_at_16_mib_but_holds_one_event_at_least),
		T(a_document_that_nobody_wrote_has_nothing),
		T(small_and_large_snapshots_are_read_back),
		T(f14_the_newest_snapshot_is_that_of_the_highest_number_not_of_the_latest_clock),
		T(a_snapshot_can_be_replaced),
		T(chunks_are_invisible_until_they_are_finished),
		T(chunks_out_of_order_or_missing_are_refused),
		T(f6_a_snapshot_beyond_the_newest_event_is_refused),
		T(listings_are_in_order_and_can_be_stopped),
		T(compaction_takes_events_and_keeps_keys_and_the_chain),
		T(a_document_whose_events_are_all_compacted_goes_on_where_it_was),
		T(compaction_wants_a_snapshot_to_compact_to),
		T(an_incremental_snapshot_tells_its_base),
		T(a_snapshot_needs_its_base),
		T(the_newest_stay_with_what_they_build_on),
		T(the_snapshot_that_the_events_left_follow_on_stays),
		T(compaction_leaves_what_a_later_snapshot_builds_on),
		T(stats_count_what_is_there),
		T(a_checkpoint_is_kept_under_its_name_and_replaced),
		T(a_checkpoint_without_a_name_or_a_place_is_refused),
		T(a_store_of_an_older_interface_has_no_checkpoints),
		T(a_store_without_an_operation_says_which),
		T(a_snapshot_of_nothing_or_of_no_document_is_refused),
		cmocka_unit_test(what_names_no_place_is_refused),
		T(the_epoch_of_now_has_no_end),
		T(many_threads_get_numbers_without_gaps_and_whole_chains),
		T(a_child_of_fork_is_refused),
		T(every_allocation_may_fail),
	};
	return cmocka_run_group_tests_name("store contract", tests, NULL, NULL);
}
