/* Damage in a store's files: each kind has its finding, none is passed over, and nothing wrong is ever read as right. */
#include "store_kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two documents interleaved, one compacted up to 41, snapshots inline and in chunks. */
static void make_store(void)
{
	struct mf_store *store = kit_open(kit_dir);
	struct mf_error error;
	for (int i = 0; i < 100; i++) {
		char key[32];
		snprintf(key, sizeof(key), "key-%d-%08x", i, (unsigned)i * 2654435761u);
		kit_append(store, i % 2 ? "odd" : "even", key);
	}
	kit_write_snapshot(store, "even", 41, 2000);
	kit_write_snapshot(store, "even", 81, 1200000);
	kit_write_snapshot(store, "odd", 50, 3000);
	KIT_OK(mf_store_compact(store, "even", 41, &error), &error);
	kit_close(store);
}

/* ---- one kind of damage, one finding ---- */

struct damage {
	const char *sql, *kind, *doc_id;
	int64_t lsn;
};

static void each_kind_of_damage_has_its_finding(void **state)
{
	(void)state;
	static const struct damage damages[] = {
		{"UPDATE events SET payload = x'00' WHERE lsn = 60", "event", "odd", 60},
		{"UPDATE events SET ts = ts + 1 WHERE lsn = 61", "event", "even", 61},
		{"UPDATE events SET checksum = checksum + 4294967296 WHERE lsn = 61", "event", "even", 61},
		{"UPDATE events SET action = action + 256 WHERE lsn = 61", "event", "even", 61},
		{"UPDATE events SET lsn = 1000 WHERE lsn = 60", "event", "", 60},
		{"UPDATE events SET idempotency_key = 'another' WHERE lsn = 60", "event", "odd", 60},
		{"UPDATE events SET doc_id = CAST(doc_id AS BLOB) WHERE lsn = 60", "event", "", 60},
		{"DELETE FROM events WHERE lsn = 60", "event", "", 60},
		{"DELETE FROM events WHERE lsn = 60", "chain", "odd", 62},
		{"DELETE FROM events WHERE lsn = 43", "chain", "even", 45},
		{"DELETE FROM compacted_keys WHERE lsn = 11", "event", "", 11},
		{"UPDATE compacted_keys SET idempotency_key = 'another' WHERE lsn = 11", "key", "", 11},
		{"UPDATE compacted_keys SET content_hash = x'00112233445566778899aabbccddeeff' WHERE lsn = 11", "key", "", 11},
		{"UPDATE snapshots SET state_blob = x'00' WHERE upto_lsn = 50", "snapshot", "odd", 50},
		{"UPDATE snapshots SET created_at = 6 WHERE upto_lsn = 81", "snapshot", "even", 81},
		{"UPDATE snapshots SET upto_lsn = 82 WHERE upto_lsn = 81", "snapshot", "even", 82},
		{"DELETE FROM snapshot_chunks WHERE chunk = 1", "snapshot", "even", 81},
		{"UPDATE snapshot_chunks SET bytes = x'01' WHERE chunk = 1", "snapshot", "even", 81},
		{"DELETE FROM snapshots WHERE doc_id = 'even'", "snapshot", "even", 41},
		{"UPDATE compactions SET chain_lsn = 39", "chain", "even", 43},
		{"UPDATE epochs SET first_lsn = 2", "database", "", 2},
	};
	make_store();
	kit_copy_file(kit_dir, "store.db", "good");
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *damage = &damages[i];
		struct kit_findings findings;
		kit_copy_file(kit_dir, "good", "store.db");
		kit_sql(kit_dir, damage->sql);
		struct mf_store *store = kit_open_damaged();
		assert_int_equal(kit_verify(store, damage->kind, &findings), MF_ERR_CORRUPTED);
		if (findings.of_kind == 0)
			fail_msg("%s: no finding '%s', but '%s'", damage->sql, damage->kind, findings.what);
		if (strcmp(findings.what, damage->kind) == 0) {
			assert_string_equal(findings.doc_id, damage->doc_id);
			assert_int_equal(findings.lsn, damage->lsn);
		}
		kit_close(store);
	}
}

static void without_a_visitor_verify_tells_its_result(void **state)
{
	(void)state;
	struct mf_error error;
	make_store();
	kit_sql(kit_dir, "UPDATE events SET payload = x'00' WHERE lsn IN (60, 61)");
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(mf_store_verify(store, NULL, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "LSN 60"));
	kit_close(store);
}

/* How many pages are free, in the header of the database: no table and no index is wrong. */
static void what_only_sqlite_can_see_is_told_too(void **state)
{
	(void)state;
	static const unsigned char another_count[4] = {0, 0, 0, 77};
	struct kit_findings findings;
	make_store();
	kit_poke(kit_dir, "store.db", 36, another_count, sizeof(another_count));
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(kit_verify(store, "database", &findings), MF_ERR_CORRUPTED);
	assert_true(findings.of_kind > 0);
	kit_close(store);
}

static void several_damages_are_all_told(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE events SET payload = x'00' WHERE lsn IN (50, 60, 70); UPDATE snapshots SET version = 9");
	struct mf_store *store = kit_open_damaged();
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, "event", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 3);
	assert_int_equal(findings.count, 6);
	kit_close(store);
}

/* ---- reading what is damaged ---- */

static void f22_a_damaged_event_is_never_read_as_a_sound_one(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE events SET meta = '{\"a\":1}' WHERE lsn = 60");
	struct mf_store *store = kit_open_reader(kit_dir);
	struct mf_event_list list;
	struct mf_error error;
	assert_int_equal(mf_store_load_since(store, "odd", 0, 100, &list, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 60);
	assert_non_null(strstr(error.message, "odd"));
	assert_int_equal(mf_store_load_since(store, NULL, 50, 100, &list, &error), MF_ERR_CORRUPTED);
	KIT_OK(mf_store_load_since(store, "odd", 60, 100, &list, &error), &error);
	assert_int_equal(list.count, 20);
	mf_event_list_deinit(&list);
	KIT_OK(mf_store_load_since(store, "odd", 0, 5, &list, &error), &error);
	mf_event_list_deinit(&list);
	kit_close(store);
}

static void a_missing_event_is_noticed_by_every_reading(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "DELETE FROM events WHERE lsn = 60");
	struct mf_store *store = kit_open_reader(kit_dir);
	struct mf_event_list list;
	struct mf_error error;
	assert_int_equal(mf_store_load_since(store, "odd", 0, 100, &list, &error), MF_ERR_CORRUPTED);
	assert_int_equal(mf_store_load_since(store, "odd", 58, 100, &list, &error), MF_ERR_CORRUPTED);
	assert_int_equal(mf_store_load_since(store, NULL, 0, 100, &list, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 60);
	assert_int_equal(mf_store_load_since(store, NULL, 59, 100, &list, &error), MF_ERR_CORRUPTED);
	KIT_OK(mf_store_load_since(store, "even", 0, 100, &list, &error), &error);
	mf_event_list_deinit(&list);
	KIT_OK(mf_store_load_since(store, "odd", 61, 100, &list, &error), &error);
	mf_event_list_deinit(&list);
	kit_close(store);
}

static void f15_a_damaged_snapshot_is_named_so_that_the_one_before_can_be_asked_for(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE snapshot_chunks SET bytes = zeroblob(length(bytes)) WHERE chunk = 0");
	struct mf_store *store = kit_open_reader(kit_dir);
	struct mf_snapshot snapshot;
	struct mf_error error;
	assert_int_equal(mf_store_latest_snapshot(store, "even", INT64_MAX, &snapshot, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 81);
	KIT_OK(mf_store_latest_snapshot(store, "even", error.lsn - 1, &snapshot, &error), &error);
	assert_int_equal(snapshot.upto_lsn, 41);
	mf_snapshot_deinit(&snapshot);
	kit_close(store);
}

static void a_damaged_key_of_a_compacted_event_is_an_error(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE compacted_keys SET content_hash = x'00112233445566778899aabbccddeeff'");
	struct mf_store *store = kit_open_reader(kit_dir);
	struct mf_key_info info;
	struct mf_error error;
	assert_int_equal(store->ops->find_key(store, "key-0-00000000", &info, &error), MF_ERR_CORRUPTED);
	kit_close(store);
}

static void compaction_stops_at_a_damaged_event(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE events SET actor = 'x' WHERE lsn = 20");
	struct mf_store *store = kit_open(kit_dir);
	struct mf_error error;
	assert_int_equal(mf_store_compact(store, "odd", 50, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 20);
	struct mf_event_list list;
	KIT_OK(mf_store_load_since(store, "odd", 0, 9, &list, &error), &error);
	assert_int_equal(list.count, 9);
	mf_event_list_deinit(&list);
	kit_append(store, "odd", "writing goes on");
	kit_close(store);
}

/* ---- any flipped bit ---- */

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Everything that a reader can get, as one number; false when any of it is refused. */
static bool read_all(struct mf_store *store, uint64_t *out)
{
	uint64_t sum = 0;
	static const char *const docs[] = {"even", "odd", NULL};
	for (int i = 0; i < 3; i++) {
		struct mf_event_list list;
		if (mf_store_load_since(store, docs[i], 0, 1000, &list, NULL) != MF_OK)
			return false;
		for (size_t j = 0; j < list.count; j++)
			sum = sum * 31 + list.events[j].checksum;
		mf_event_list_deinit(&list);
		struct mf_snapshot snapshot;
		if (docs[i] && mf_store_latest_snapshot(store, docs[i], INT64_MAX, &snapshot, NULL) != MF_OK)
			return false;
		for (size_t j = 0; docs[i] && j < snapshot.state_len; j += 17)
			sum = sum * 31 + snapshot.state_blob[j];
		if (docs[i])
			mf_snapshot_deinit(&snapshot);
	}
	for (int i = 0; i < 100; i++) {
		char key[32];
		struct mf_key_info info;
		snprintf(key, sizeof(key), "key-%d-%08x", i, (unsigned)i * 2654435761u);
		enum mf_status status = store->ops->find_key(store, key, &info, NULL);
		if (status != MF_OK && status != MF_ERR_NOT_FOUND)
			return false;
		sum = sum * 31 + (status == MF_OK ? (uint64_t)info.lsn * 256 + info.content_hash[3] : 77);
	}
	*out = sum;
	return true;
}

static void no_flipped_bit_is_silent(void **state)
{
	(void)state;
	const char *seed = getenv("MF_TEST_SEED"), *cases = getenv("MF_TEST_CASES");
	random_state = seed ? strtoull(seed, NULL, 0) : 0x9e3779b97f4a7c15u;
	int count = cases ? atoi(cases) : 300, found = 0;
	uint64_t good = 0;
	make_store();
	struct mf_store *store = kit_open_reader(kit_dir);
	assert_true(read_all(store, &good));
	kit_close(store);
	kit_copy_file(kit_dir, "store.db", "good");
	int64_t size = kit_file_size(kit_dir, "store.db");
	/* The 1.2 MB of the large snapshot would take nearly all the hits: half of them go to the first pages. */
	for (int i = 0; i < count; i++) {
		uint64_t before = random_state;
		int64_t at = (int64_t)(next_random() % (uint64_t)(i % 2 ? size : 14 * 4096));
		unsigned char byte, bit = (unsigned char)(1u << (next_random() % 8));
		char *path = kit_path(kit_dir, "store.db");
		kit_copy_file(kit_dir, "good", "store.db");
		int fd = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= bit;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		free(path);
		struct mf_error error;
		if (mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .accept_damage = true}, &store, &error) != MF_OK) {
			found++;
			continue;
		}
		struct kit_findings findings;
		enum mf_status status = kit_verify(store, NULL, &findings);
		uint64_t sum = 0;
		bool readable = read_all(store, &sum);
		if (status == MF_OK && (!readable || sum != good))
			fail_msg("MF_TEST_SEED=%#llx: bit %#x at offset %lld: %s, and verify found nothing", (unsigned long long)before, bit, (long long)at, readable ? "other data is read" : "reading fails");
		found += status != MF_OK;
		kit_close(store);
	}
	assert_true(found > count / 3);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		T(each_kind_of_damage_has_its_finding),
		T(without_a_visitor_verify_tells_its_result),
		T(what_only_sqlite_can_see_is_told_too),
		T(several_damages_are_all_told),
		T(f22_a_damaged_event_is_never_read_as_a_sound_one),
		T(a_missing_event_is_noticed_by_every_reading),
		T(f15_a_damaged_snapshot_is_named_so_that_the_one_before_can_be_asked_for),
		T(a_damaged_key_of_a_compacted_event_is_an_error),
		T(compaction_stops_at_a_damaged_event),
		T(no_flipped_bit_is_silent),
	};
	return cmocka_run_group_tests_name("sqlite verify", tests, NULL, NULL);
}
