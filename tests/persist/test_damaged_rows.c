/* Rows that are damaged in one place, each place of its own: who reads the row tells it, and verify does, of what it was and where. */
#include "store_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moduforge/value.h>

#include "persist/checksum.h"
#include "persist/sqlite_store.h"

#define LARGE ((3u << 20) + 1000) /* a snapshot in four pieces */

static struct mf_error error;

/* Six events of "d", a snapshot of all of them and one that builds on it, in pieces; "gone" is compacted away; a follower. */
static void make_store(void)
{
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 6);
	kit_append_many(store, "gone", "g", 2);
	kit_write_snapshot(store, "d", 3, 100);
	KIT_OK(kit_try_snapshot(store, "d", 6, 3, LARGE, &error), &error);
	kit_write_snapshot(store, "gone", 8, 100);
	KIT_OK(mf_store_compact(store, "gone", 8, &error), &error);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"f", 1, 5}, &error), &error);
	kit_close(store);
}

static int64_t ask(const char *text)
{
	int64_t out;
	struct mf_store *store = kit_open_damaged();
	KIT_OK(mf_sql_number(mf_sqlite_of(store)->reader, text, &out, &error), &error);
	kit_close(store);
	return out;
}

static void a_whole_store_has_no_finding(void **state)
{
	(void)state;
	struct kit_findings findings;
	make_store();
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(kit_verify(store, "event", &findings), MF_OK);
	kit_close(store);
}

/* One flipped bit makes a text a blob of the same bytes: it is there, and SQL finds another value. */
static void a_text_of_an_event_that_became_a_blob_is_damage(void **state)
{
	(void)state;
	static const char *const columns[] = {"idempotency_key", "meta"};
	struct mf_event_list list;
	make_store();
	for (size_t i = 0; i < 2; i++) {
		char text[160];
		snprintf(text, sizeof(text), "UPDATE events SET %s = CAST(%s AS BLOB) WHERE lsn = 4", columns[i], columns[i]);
		kit_sql(kit_dir, text);
		struct mf_store *store = kit_open_damaged();
		assert_int_equal(mf_store_load_since(store, "d", 3, 10, &list, &error), MF_ERR_CORRUPTED);
		assert_non_null(strstr(error.message, "a field of the event is missing"));
		assert_int_equal(error.lsn, 4);
		assert_int_equal(kit_count(store, "gone", 0), 0); /* the others are read */
		kit_close(store);
		kit_expect_finding("event", "d", 4);
		snprintf(text, sizeof(text), "UPDATE events SET %s = CAST(%s AS TEXT) WHERE lsn = 4", columns[i], columns[i]);
		kit_sql(kit_dir, text);
	}
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(kit_count(store, "d", 0), 6);
	kit_close(store);
}

static void a_key_of_a_compacted_event_that_became_a_blob_is_damage(void **state)
{
	(void)state;
	make_store();
	static const uint8_t zeros[16];
	char text[240];
	kit_sql(kit_dir, "UPDATE compacted_keys SET idempotency_key = CAST(idempotency_key AS BLOB) WHERE lsn = 7");
	kit_expect_finding("key", "", 7);
	snprintf(text, sizeof(text), "UPDATE compacted_keys SET content_hash = zeroblob(16), checksum = %u WHERE lsn = 7", mf_sqlite_key_checksum(7, NULL, zeros));
	kit_sql(kit_dir, text); /* as if there had been none */
	kit_expect_finding("key", "", 7);
}

/* The checksum is that of the bytes which a hash has: those behind a shorter one are never read. */
static void a_hash_of_a_compacted_event_that_is_cut_or_longer_is_damage(void **state)
{
	(void)state;
	static const char *const hashes[] = {"substr(content_hash, 1, 15)", "content_hash || x'00'"};
	for (size_t i = 0; i < 2; i++) {
		char text[160];
		char *outer = kit_dir;
		kit_dir = kit_path(outer, i ? "longer" : "cut");
		make_store();
		snprintf(text, sizeof(text), "UPDATE compacted_keys SET content_hash = CAST(%s AS BLOB) WHERE lsn = 8", hashes[i]);
		kit_sql(kit_dir, text);
		kit_expect_finding("key", "", 8);
		struct mf_store *store = kit_open_damaged();
		struct mf_key_info info;
		assert_int_equal(store->ops->find_key(store, "g-1", &info, &error), MF_ERR_CORRUPTED);
		KIT_OK(store->ops->find_key(store, "g-0", &info, &error), &error);
		kit_close(store);
		free(kit_dir);
		kit_dir = outer;
	}
}

static void a_snapshot_whose_document_became_a_blob_is_damage(void **state)
{
	(void)state;
	struct kit_findings findings;
	unsigned char bytes[100] = {0};
	int64_t numbers[6] = {3, 5, 1, sizeof(bytes), 0, 0};
	char text[240];
	make_store();
	numbers[5] = ask("SELECT take FROM snapshots WHERE upto_lsn = 3");
	snprintf(text, sizeof(text), "UPDATE snapshots SET doc_id = CAST(doc_id AS BLOB), state_blob = zeroblob(100), checksum = %u WHERE upto_lsn = 3",
		 mf_row_checksum(numbers, 6, NULL, bytes, sizeof(bytes))); /* which fits, as if there had been none */
	kit_sql(kit_dir, text);
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(kit_verify(store, "snapshot", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 2); /* and the one that builds on it has no base */
	kit_close(store);
}

static void a_snapshot_without_its_base_is_found_by_verify(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "DELETE FROM snapshots WHERE upto_lsn = 3");
	kit_expect_finding("snapshot", "d", 6);
}

static void expect_damaged_pieces(const char *change)
{
	struct mf_snapshot snapshot;
	kit_sql(kit_dir, change);
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(mf_store_latest_snapshot(store, "d", INT64_MAX, &snapshot, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 6);
	assert_non_null(strstr(error.message, "a chunk of the snapshot does not fit its checksum"));
	KIT_OK(mf_store_latest_snapshot(store, "d", 5, &snapshot, &error), &error); /* the one before is */
	assert_int_equal(snapshot.upto_lsn, 3);
	mf_snapshot_deinit(&snapshot);
	kit_close(store);
	kit_expect_finding("snapshot", "d", 6);
}

static void a_piece_of_a_snapshot_under_another_number_is_damage(void **state)
{
	(void)state;
	make_store();
	expect_damaged_pieces("UPDATE snapshot_chunks SET chunk = 7 WHERE chunk = 3");
}

static void a_piece_of_a_snapshot_that_is_longer_than_what_is_left_is_damage(void **state)
{
	(void)state;
	static const char zeros[LARGE % (1u << 20) + 1];
	int64_t numbers[3] = {6, 0, 3};
	char text[160];
	make_store();
	numbers[1] = ask("SELECT take FROM snapshot_chunks WHERE chunk = 3");
	snprintf(text, sizeof(text), "UPDATE snapshot_chunks SET bytes = zeroblob(%zu), checksum = %u WHERE chunk = 3", sizeof(zeros),
		 mf_row_checksum(numbers, 3, "d", zeros, sizeof(zeros))); /* which fits */
	expect_damaged_pieces(text);
}

/* ---- followers ---- */

static bool never(void *user, const struct mf_checkpoint *checkpoint)
{
	(void)user, (void)checkpoint;
	fail_msg("a damaged checkpoint was told");
	return false;
}

static void a_follower_whose_name_became_a_blob_is_damage(void **state)
{
	(void)state;
	make_store();
	char text[120];
	snprintf(text, sizeof(text), "UPDATE followers SET name = CAST(name AS BLOB), checksum = %u WHERE name = 'f'", mf_sqlite_checkpoint_checksum(&(struct mf_checkpoint){NULL, 1, 5}));
	kit_sql(kit_dir, text);
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(mf_store_checkpoints(store, never, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "follower ''"));
	kit_close(store);
	kit_expect_finding("follower", "", 5);
}

/* Its checksum fits: whoever wrote it wrote what no event has. */
static void a_checkpoint_at_an_event_that_cannot_be_is_damage(void **state)
{
	(void)state;
	const struct mf_checkpoint checkpoint = {"f", 1, -3};
	struct mf_checkpoint out;
	char text[160];
	make_store();
	snprintf(text, sizeof(text), "UPDATE followers SET lsn = -3, checksum = %u WHERE name = 'f'", mf_sqlite_checkpoint_checksum(&checkpoint));
	kit_sql(kit_dir, text);
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(mf_store_load_checkpoint(store, "f", &out, &error), MF_ERR_CORRUPTED);
	kit_close(store);
}

/* The number of followers, with a checksum that fits: one more of it would not be a number. */
static void a_number_of_followers_that_cannot_be_is_damage(void **state)
{
	(void)state;
	const int64_t numbers[] = {INT64_MAX, -1};
	make_store();
	for (size_t i = 0; i < 2; i++) {
		struct mf_checkpoint row = {"", 0, numbers[i]}, out;
		char text[160];
		snprintf(text, sizeof(text), "UPDATE followers SET lsn = %lld, checksum = %u WHERE name = ''", (long long)row.lsn, mf_sqlite_checkpoint_checksum(&row));
		kit_sql(kit_dir, text);
		struct mf_store *store = kit_open(kit_dir);
		KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){i ? "g" : "h", 1, 1}, &error), &error);
		assert_int_equal(mf_store_load_checkpoint(store, "nobody", &out, &error), MF_ERR_CORRUPTED);
		kit_close(store);
	}
}

/* ---- what the database says of itself ---- */

static void a_format_number_below_the_first_is_damage(void **state)
{
	(void)state;
	make_store();
	for (int version = 0; version >= -1; version--) {
		char text[40];
		snprintf(text, sizeof(text), "PRAGMA user_version = %d", version);
		kit_sql(kit_dir, text);
		for (int read_only = 0; read_only < 2; read_only++)
			assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, &error), MF_ERR_CORRUPTED);
	}
	kit_sql(kit_dir, "PRAGMA user_version = 1"); /* the first: all that came later is there */
	struct mf_store *store = kit_open(kit_dir);
	assert_int_equal(kit_count(store, "d", 0), 6);
	kit_close(store);
}

/* The place of each follower is lost with it, no event: each is told everything again. */
static void a_lost_table_of_followers_is_made_anew(void **state)
{
	(void)state;
	struct mf_checkpoint out = {.name = "f"};
	make_store();
	kit_sql(kit_dir, "DROP TABLE followers");
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(mf_store_load_checkpoint(store, "f", &out, &error), MF_ERR_CORRUPTED);
	kit_close(store);
	kit_expect_finding("follower", "", 0);
	store = kit_open(kit_dir);
	assert_int_equal(mf_store_load_checkpoint(store, "f", &out, &error), MF_ERR_CORRUPTED);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"f", 2, 6}, &error), &error);
	kit_append(store, "d", "next");
	kit_close(store);
	store = kit_open(kit_dir);
	KIT_OK(mf_store_load_checkpoint(store, "f", &out, &error), &error);
	assert_int_equal(out.lsn, 6);
	assert_int_equal(mf_store_load_checkpoint(store, "g", &out, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "PRAGMA user_version = 2"));
	kit_close(store);
	kit_sql(kit_dir, "PRAGMA user_version = 2");
	store = kit_open(kit_dir);
	assert_int_equal(mf_store_load_checkpoint(store, "g", &out, &error), MF_ERR_NOT_FOUND);
	struct mf_snapshot snapshot;
	KIT_OK(mf_store_latest_snapshot(store, "d", INT64_MAX, &snapshot, &error), &error);
	assert_int_equal(snapshot.base_lsn, 3); /* which came with the same version */
	mf_snapshot_deinit(&snapshot);
	kit_close(store);
}

/* ---- counters ---- */

static void counters_whose_line_has_no_end_are_not_whole(void **state)
{
	(void)state;
	struct mf_buffer out = {0};
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(store->ops->save_metrics(store, "{\"a\": 1}", 8, &error), &error);
	KIT_OK(store->ops->load_metrics(store, &out, &error), &error);
	assert_int_equal(out.len, 8);
	mf_buffer_deinit(&out);
	out = (struct mf_buffer){0};
	kit_truncate(kit_dir, "metrics", 8); /* all of it but its end */
	assert_int_equal(store->ops->load_metrics(store, &out, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(out.len, 0);
	kit_close(store);
	mf_buffer_deinit(&out);
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_whole_store_has_no_finding),
		T(a_text_of_an_event_that_became_a_blob_is_damage),
		T(a_key_of_a_compacted_event_that_became_a_blob_is_damage),
		T(a_hash_of_a_compacted_event_that_is_cut_or_longer_is_damage),
		T(a_snapshot_whose_document_became_a_blob_is_damage),
		T(a_snapshot_without_its_base_is_found_by_verify),
		T(a_piece_of_a_snapshot_under_another_number_is_damage),
		T(a_piece_of_a_snapshot_that_is_longer_than_what_is_left_is_damage),
		T(a_follower_whose_name_became_a_blob_is_damage),
		T(a_checkpoint_at_an_event_that_cannot_be_is_damage),
		T(a_number_of_followers_that_cannot_be_is_damage),
		T(a_format_number_below_the_first_is_damage),
		T(a_lost_table_of_followers_is_made_anew),
		T(counters_whose_line_has_no_end_are_not_whole),
	};
	return cmocka_run_group_tests_name("damaged rows", tests, NULL, NULL);
}
