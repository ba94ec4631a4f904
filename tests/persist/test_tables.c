/* The small parts under the stores: checksums, the map of strings, the cache of heads, pages of events. */
#include "store_kit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <moduforge/persist.h>
#include <moduforge/value.h>

#include "persist/checksum.h"
#include "persist/event_page.h"
#include "persist/env.h"
#include "persist/heads.h"
#include "persist/metrics.h"
#include "persist/snapshot_keep.h"
#include "persist/sqlite_paths.h"
#include "persist/strmap.h"
#include "tests/memory_fails.h"

/* ---- checksums ---- */

static struct mf_event full_event(void)
{
	return (struct mf_event){
		.lsn = 1, .epoch = 2, .prev_lsn = 3, .tr_id = 4, .ts_us = 5, .source_lsn = 6, .action = MF_ACTION_UNDO, .doc_id = "doc", .actor = "act",
		.idempotency_key = "key", .meta = "{}", .meta_len = 2, .payload = (const unsigned char *)"payload", .payload_len = 7};
}

static void the_layout_of_an_event_is_that_of_the_formats_page(void **state)
{
	(void)state;
	static const char bytes[] =
		"\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0\1"
		"\3\0\0\0doc\1\3\0\0\0act\3\0\0\0key\2\0\0\0{}\7\0\0\0payload";
	struct mf_event event = full_event();
	assert_int_equal(mf_event_checksum(&event), crc32(0, (const Bytef *)bytes, sizeof(bytes) - 1));
	static const char row[] = "\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\3\0\0\0abc\2\0\0\0xy";
	const int64_t numbers[] = {1, -1};
	assert_int_equal(mf_row_checksum(numbers, 2, "abc", "xy", 2), crc32(0, (const Bytef *)row, sizeof(row) - 1));
}

static void f22_every_field_of_an_event_changes_its_checksum(void **state)
{
	(void)state;
	struct mf_event changed[16];
	size_t count = 0;
	const struct mf_event event = full_event();
#define CHANGE(field, value) \
	changed[count] = event; \
	changed[count++].field = value
	CHANGE(lsn, 9);
	CHANGE(epoch, 9);
	CHANGE(prev_lsn, 9);
	CHANGE(tr_id, 9);
	CHANGE(ts_us, 9);
	CHANGE(source_lsn, 9);
	CHANGE(action, MF_ACTION_REDO);
	CHANGE(doc_id, "dod");
	CHANGE(actor, "acu");
	CHANGE(actor, NULL);
	CHANGE(actor, "");
	CHANGE(idempotency_key, "kez");
	CHANGE(meta, "[]");
	CHANGE(payload, (const unsigned char *)"pazload");
	CHANGE(payload_len, 6);
	changed[count] = event; /* the same bytes, cut elsewhere */
	changed[count].doc_id = "docact";
	changed[count++].actor = "";
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(mf_event_checksum(&changed[i]), mf_event_checksum(&changed[j]));
	for (size_t i = 0; i < count; i++)
		assert_int_not_equal(mf_event_checksum(&changed[i]), mf_event_checksum(&event));
}

static void long_and_short_fields_give_the_checksum_of_their_bytes(void **state)
{
	(void)state;
	unsigned char *bytes = malloc(5000);
	assert_non_null(bytes);
	for (size_t i = 0; i < 5000; i++)
		bytes[i] = (unsigned char)(i * 13);
	for (size_t len = 0; len <= 5000; len += len < 1100 ? 1 : 977) {
		const unsigned char head[8] = {0, 0, 0, 0, (unsigned char)len, (unsigned char)(len >> 8), 0, 0};
		uLong expected = crc32(crc32(0, head, 8), bytes, (uInt)len);
		assert_int_equal(mf_row_checksum(NULL, 0, NULL, bytes, len), len ? expected : crc32(0, head, 8));
	}
	free(bytes);
}

/* ---- the map ---- */

static void a_map_finds_what_was_put_and_nothing_else(void **state)
{
	(void)state;
	struct mf_strmap map;
	static char keys[3000][16];
	mf_strmap_init(&map, 42);
	assert_null(mf_strmap_get(&map, "nothing"));
	for (int i = 0; i < 3000; i++) {
		snprintf(keys[i], sizeof(keys[i]), "key %d", i);
		assert_int_equal(mf_strmap_reserve(&map, 1), MF_OK);
		mf_strmap_put(&map, keys[i], &keys[i]);
	}
	assert_int_equal(map.count, 3000);
	for (int i = 0; i < 3000; i++)
		assert_ptr_equal(mf_strmap_get(&map, keys[i]), &keys[i]);
	assert_null(mf_strmap_get(&map, "key 3000"));
	mf_strmap_remove(&map, "key 3000");
	for (int round = 0; round < 3; round++) { /* every third goes, and comes again */
		for (int i = round; i < 3000; i += 3)
			mf_strmap_remove(&map, keys[i]);
		assert_int_equal(map.count, 2000);
		for (int i = 0; i < 3000; i++)
			assert_ptr_equal(mf_strmap_get(&map, keys[i]), i % 3 == round ? NULL : (void *)&keys[i]);
		for (int i = round; i < 3000; i += 3)
			mf_strmap_put(&map, keys[i], &keys[i]);
	}
	mf_strmap_deinit(&map);
	assert_int_equal(mf_strmap_reserve(&map, SIZE_MAX / 2), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_strmap_reserve(&map, 1), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	mf_strmap_deinit(&map);
}

/* ---- heads ---- */

static void heads_remember_the_newest_and_forget_what_is_dropped(void **state)
{
	(void)state;
	struct mf_heads *heads;
	int64_t lsn;
	assert_int_equal(mf_heads_new(7, &heads), MF_OK);
	assert_false(mf_heads_get(heads, "a", &lsn));
	mf_heads_put(heads, "a", 5);
	mf_heads_put(heads, "b", 6);
	mf_heads_put(heads, "a", 7);
	assert_true(mf_heads_get(heads, "a", &lsn));
	assert_int_equal(lsn, 7);
	mf_heads_drop(heads, "a");
	mf_heads_drop(heads, "never");
	assert_false(mf_heads_get(heads, "a", &lsn));
	assert_true(mf_heads_get(heads, "b", &lsn));
	mf_mem_fail_at(1, false);
	mf_heads_put(heads, "c", 8); /* short of memory: it may forget */
	mf_mem_fail_at(0, false);
	assert_false(mf_heads_get(heads, "c", &lsn));
	mf_heads_free(heads);
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_heads_new(7, &heads), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	mf_heads_free(NULL);
}

/* By the linker in place of xxHash's: all hashes are one. */
static bool colliding;
uint64_t __real_XXH3_64bits_withSeed(const void *bytes, size_t len, uint64_t seed);
uint64_t __wrap_XXH3_64bits_withSeed(const void *bytes, size_t len, uint64_t seed);
uint64_t __wrap_XXH3_64bits_withSeed(const void *bytes, size_t len, uint64_t seed) { return colliding ? 77 : __real_XXH3_64bits_withSeed(bytes, len, seed); }

static void heads_of_documents_with_one_hash_are_told_apart(void **state)
{
	(void)state;
	struct mf_heads *heads;
	int64_t lsn;
	assert_int_equal(mf_heads_new(7, &heads), MF_OK);
	colliding = true;
	mf_heads_put(heads, "a", 5);
	mf_heads_put(heads, "b", 6);
	assert_true(mf_heads_get(heads, "a", &lsn));
	assert_int_equal(lsn, 5);
	assert_true(mf_heads_get(heads, "b", &lsn));
	assert_int_equal(lsn, 6);
	assert_false(mf_heads_get(heads, "c", &lsn));
	mf_heads_put(heads, "a", 7);
	mf_heads_drop(heads, "b");
	assert_true(mf_heads_get(heads, "a", &lsn));
	assert_int_equal(lsn, 7);
	assert_false(mf_heads_get(heads, "b", &lsn));
	colliding = false;
	mf_heads_free(heads);
}

static void heads_are_bounded_and_never_wrong(void **state)
{
	(void)state;
	struct mf_heads *heads;
	assert_int_equal(mf_heads_new(7, &heads), MF_OK);
	const int many = 200000;
	for (int i = 0; i < many; i++) {
		char doc[24];
		snprintf(doc, sizeof(doc), "doc %d", i);
		mf_heads_put(heads, doc, i + 1);
	}
	int found = 0;
	for (int i = 0; i < many; i++) {
		char doc[24];
		int64_t lsn;
		snprintf(doc, sizeof(doc), "doc %d", i);
		if (!mf_heads_get(heads, doc, &lsn))
			continue;
		assert_int_equal(lsn, i + 1);
		found++;
	}
	assert_true(found > 40000 && found <= 65536);
	mf_heads_free(heads);
}

/* ---- pages ---- */

static enum mf_status fill(struct mf_event_page *page, int count)
{
	for (int i = 0; i < count; i++) {
		char doc[16], key[16];
		snprintf(doc, sizeof(doc), "doc %d", i / 3);
		snprintf(key, sizeof(key), "key %d", i);
		struct mf_event event = full_event();
		event.lsn = i + 1;
		event.doc_id = doc;
		event.idempotency_key = key;
		event.actor = i % 2 ? "ann" : NULL;
		enum mf_status status = mf_event_page_add(page, &event);
		if (status != MF_OK)
			return status;
	}
	return MF_OK;
}

static void a_page_gives_back_copies_of_its_events(void **state)
{
	(void)state;
	struct mf_event_page page;
	struct mf_event_list list;
	mf_event_page_init(&page);
	assert_int_equal(fill(&page, 500), MF_OK);
	mf_event_page_finish(&page, &list);
	assert_int_equal(page.count, 0);
	assert_int_equal(list.count, 500);
	for (int i = 0; i < 500; i++) {
		char doc[16], key[16];
		snprintf(doc, sizeof(doc), "doc %d", i / 3);
		snprintf(key, sizeof(key), "key %d", i);
		assert_string_equal(list.events[i].doc_id, doc);
		assert_string_equal(list.events[i].idempotency_key, key);
		assert_memory_equal(list.events[i].payload, "payload", 7);
		assert_memory_equal(list.events[i].meta, "{}", 3);
		if (i % 2)
			assert_string_equal(list.events[i].actor, "ann");
		else
			assert_null(list.events[i].actor);
	}
	mf_event_list_deinit(&list);
	mf_event_page_finish(&page, &list); /* an empty page is an empty list */
	assert_int_equal(list.count, 0);
	mf_event_list_deinit(&list);
}

static void a_page_survives_every_failed_allocation(void **state)
{
	(void)state;
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_event_page page;
		mf_event_page_init(&page);
		memory_fails_at(n);
		enum mf_status status = fill(&page, 100);
		failed = memory_failed(n);
		mf_event_page_deinit(&page);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		assert_true(n < 100);
	}
}

/* ---- paths ---- */

static int no_random(void *user, void *bytes, size_t len)
{
	(void)user, (void)bytes, (void)len;
	return -ENOSYS;
}

static void paths_are_made_of_what_a_person_may_write(void **state)
{
	(void)state;
	struct mf_env blind = *mf_env_os();
	struct mf_error error;
	char *path = mf_path_join("file:here", "store.db"), *partial;
	assert_string_equal(path, "./file:here/store.db"); /* no URI to SQLite */
	mf_free(path);
	path = mf_path_join("/", "store.db");
	assert_string_equal(path, "/store.db");
	mf_free(path);
	path = mf_path_join("some/where//", "store.db");
	assert_string_equal(path, "some/where/store.db");
	mf_free(path);
	assert_int_equal(mf_path_partial(mf_env_os(), "some/where///", &partial, &error), MF_OK);
	assert_memory_equal(partial, "some/where.", strlen("some/where."));
	assert_string_equal(partial + strlen(partial) - strlen(".partial"), ".partial");
	mf_free(partial);
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_path_partial(mf_env_os(), "a", &partial, &error), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_path_sync_parent(mf_env_os(), "a", &error), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(1, false);
	assert_null(mf_path_join("a", "b"));
	mf_mem_fail_at(0, false);
	blind.random = no_random;
	assert_int_equal(mf_path_partial(&blind, "a", &partial, &error), MF_ERR_IO);
	assert_int_equal(mf_path_sync_parent(mf_env_os(), "a file here", &error), MF_OK);
	assert_int_equal(mf_path_sync_parent(mf_env_os(), "/a file in the root", &error), MF_OK);
	assert_int_equal(mf_path_sync_parent(mf_env_os(), "/", &error), MF_OK);
	assert_int_not_equal(mf_path_sync_parent(mf_env_os(), "/nowhere/at/all", &error), MF_OK);
}

/* ---- which snapshots stay ---- */

static void a_snapshot_stays_with_all_that_it_builds_on_and_nothing_between(void **state)
{
	(void)state;
	struct mf_snapshot_row rows[] = {{.upto_lsn = 10}, {.upto_lsn = 20}, {.upto_lsn = 30, .base_lsn = 10}, {.upto_lsn = 40}, {.upto_lsn = 50, .base_lsn = 40}, {.upto_lsn = 60, .base_lsn = 30}};
	static const bool kept[] = {true, false, true, false, false, true};
	mf_snapshot_keep(rows, 6, &(struct mf_keep_rule){.newest = 1, .from_lsn = INT64_MAX, .events_from = INT64_MAX});
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(rows[i].kept, kept[i]);
	rows[2].base_lsn = 5; /* which is gone: nothing takes its place */
	mf_snapshot_keep(rows, 6, &(struct mf_keep_rule){.newest = 1, .from_lsn = INT64_MAX, .events_from = INT64_MAX});
	assert_false(rows[0].kept);
	assert_true(rows[2].kept && rows[5].kept);
}

/* ---- maps, recorders and reports of nothing ---- */

static void an_empty_map_has_nothing_to_take_out(void **state)
{
	(void)state;
	struct mf_strmap map;
	mf_strmap_init(&map, 7);
	mf_strmap_remove(&map, "absent");
	assert_null(mf_strmap_get(&map, "absent"));
	mf_strmap_deinit(&map);
}

static void a_recorder_that_is_switched_off_is_asked_for_nothing(void **state)
{
	(void)state;
	const struct mf_event event = full_event();
	mf_recorder_event(NULL, &event);
	mf_recorder_error(NULL, MF_ERR_IO);
	mf_recorder_duplicate(NULL);
	mf_recorder_snapshot(NULL, 1, 1, 1);
	mf_recorder_snapshot_failed(NULL);
	mf_recorder_recovery(NULL, 1);
	mf_recorder_free(NULL);
	struct mf_recorder *recorder = mf_recorder_new();
	struct mf_metrics none = {.size = sizeof(none)}, some = none;
	mf_recorder_error(recorder, MF_OK);
	mf_recorder_error(recorder, (enum mf_status)999); /* neither of them is an error */
	mf_recorder_read(recorder, &some);
	struct mf_recorder *other = mf_recorder_new();
	mf_recorder_read(other, &none);
	assert_memory_equal(&some, &none, sizeof(none));
	mf_recorder_free(other);
	mf_recorder_free(recorder);
}

static void count_lines(void *user, enum mf_log_level level, const char *message)
{
	assert_int_equal(level, MF_LOG_WARNING);
	snprintf((char *)user + strlen(user), 2000 - strlen(user), "%s\n", message);
}

static void a_recovery_warns_of_what_it_passed_over(void **state)
{
	(void)state;
	char log[2000] = "";
	const struct mf_logger logger = {count_lines, log};
	struct mf_recovery_report report = {.snapshot_lsn = 77};
	mf_recovery_warn(&report, "doc", &logger);
	assert_string_equal(log, "");
	report.damaged_snapshots = 2;
	report.stale_snapshots = 3;
	report.dropped_entries = 4;
	report.fields_anew = 5;
	report.fields_left_out = 6;
	mf_recovery_warn(&report, "doc", &logger);
	assert_non_null(strstr(log, "2 snapshot(s) that could not be used"));
	assert_non_null(strstr(log, "3 snapshot(s) were made with other versions"));
	assert_non_null(strstr(log, "5 state field(s) begin anew from the snapshot at LSN 77"));
	assert_non_null(strstr(log, "holds 6 state field(s)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_layout_of_an_event_is_that_of_the_formats_page),
		cmocka_unit_test(f22_every_field_of_an_event_changes_its_checksum),
		cmocka_unit_test(long_and_short_fields_give_the_checksum_of_their_bytes),
		cmocka_unit_test(a_map_finds_what_was_put_and_nothing_else),
		cmocka_unit_test(heads_remember_the_newest_and_forget_what_is_dropped),
		cmocka_unit_test(heads_of_documents_with_one_hash_are_told_apart),
		cmocka_unit_test(heads_are_bounded_and_never_wrong),
		cmocka_unit_test(a_page_gives_back_copies_of_its_events),
		cmocka_unit_test(a_page_survives_every_failed_allocation),
		cmocka_unit_test(paths_are_made_of_what_a_person_may_write),
		cmocka_unit_test(a_snapshot_stays_with_all_that_it_builds_on_and_nothing_between),
		cmocka_unit_test(an_empty_map_has_nothing_to_take_out),
		cmocka_unit_test(a_recorder_that_is_switched_off_is_asked_for_nothing),
		cmocka_unit_test(a_recovery_warns_of_what_it_passed_over),
	};
	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
