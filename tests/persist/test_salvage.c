/* A damaged store and no backup: it is backed up as it is, and what lies before the damage restored. */
#include "backup_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/mem.h"

/* Events 1 to 100, keys "key-1" and so on: those with an even LSN are of "odd". */
static void make_store(void)
{
	struct mf_store *store = kit_open(data);
	fill(store, false);
	kit_close(store);
}

/* One bit of the byte at an offset behind where these bytes are in the file. */
static void flip(const void *bytes, size_t len, size_t at, unsigned char bit)
{
	unsigned char changed = (unsigned char)(((const unsigned char *)bytes)[at] ^ bit);
	kit_poke(data, "store.db", kit_find(data, "store.db", bytes, len) + (int64_t)at, &changed, 1);
}

static void back_up_as_it_is(void)
{
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = data, .read_only = true, .accept_damage = true});
	back_up(store);
	kit_close(store);
}

static void expect_all_upto(int64_t lsn)
{
	struct mf_backup_info info = restore(lsn);
	assert_int_equal(info.lsn, lsn);
	assert_int_equal(info.events, lsn);
	struct mf_store *copy = kit_open(fresh);
	expect_clean(copy);
	assert_int_equal(kit_count(copy, NULL, 0), lsn);
	assert_int_equal(last_of(copy, "odd"), lsn / 2 * 2);
	assert_int_equal(last_of(copy, "even"), (lsn + 1) / 2 * 2 - 1);
	assert_int_equal(kit_append(copy, "odd", "next"), lsn + 1);
	kit_close(copy);
	remove_fresh();
}

/* at_lsn 0: all. */
static void expect_told(int64_t at_lsn, int64_t lsn, const char *words)
{
	struct mf_error error;
	assert_int_equal(try_restore(at_lsn, NULL, &error), MF_ERR_CORRUPTED);
	assert_int_equal(try_restore(at_lsn, NULL, NULL), MF_ERR_CORRUPTED);
	if (error.lsn != lsn || !strstr(error.message, words))
		fail_msg("LSN %lld: %s", (long long)error.lsn, error.message);
	assert_int_equal(entries(), 2); /* nothing is left */
}

/* ---- events ---- */

static void what_lies_before_a_flipped_bit_in_a_key_is_restored(void **state)
{
	(void)state;
	make_store();
	flip("key-60{}", 8, 0, 1);
	back_up_as_it_is();
	expect_told(0, 60, "document 'odd', LSN 60");
	for (int64_t lsn = 60; lsn <= 100; lsn += 20)
		expect_told(lsn, 60, "document 'odd', LSN 60");
	expect_all_upto(59);
}

static void what_lies_before_a_key_that_became_anothers_is_restored(void **state)
{
	(void)state;
	make_store();
	flip("key-60{}", 8, 5, 1); /* key-61 */
	back_up_as_it_is();
	expect_told(100, 60, "document 'odd', LSN 60");
	expect_told(61, 60, "document 'odd', LSN 60");
	expect_told(60, 60, "document 'odd', LSN 60");
	expect_all_upto(59);
}

static void a_key_behind_the_lsn_that_became_anothers_is_not_in_the_way(void **state)
{
	(void)state;
	make_store();
	flip("key-61{}", 8, 5, 1); /* key-60 */
	back_up_as_it_is();
	expect_told(61, 61, "document 'even', LSN 61");
	expect_all_upto(60);
}

static void what_lies_before_a_zeroed_payload_is_restored(void **state)
{
	(void)state;
	make_store();
	kit_sql(data, "UPDATE events SET payload = zeroblob(length(payload)) WHERE lsn = 60");
	back_up_as_it_is();
	expect_told(0, 60, "document 'odd', LSN 60");
	expect_told(60, 60, "document 'odd', LSN 60");
	expect_told(80, 60, "document 'odd', LSN 60");
	expect_all_upto(59);
}

static void what_lies_before_an_event_that_is_gone_is_restored(void **state)
{
	(void)state;
	make_store();
	kit_sql(data, "DELETE FROM events WHERE lsn = 60");
	back_up_as_it_is();
	expect_told(0, 60, "LSN 60");
	expect_told(80, 60, "LSN 60");
	expect_told(60, 60, "LSN 60: the event is missing");
	expect_all_upto(59);
}

static void what_lies_before_a_row_that_cannot_be_read_is_restored(void **state)
{
	(void)state;
	make_store();
	flip("\x3c\x0e\x00\x01\x13", 5, 1, 0x40); /* the length of its header, behind its number */
	back_up_as_it_is();
	expect_told(80, 60, "LSN 60: the event cannot be read");
	expect_all_upto(59);
}

static void a_store_that_has_lost_its_newest_event_is_restored_without_it(void **state)
{
	(void)state;
	struct mf_error error;
	make_store();
	kit_sql(data, "DELETE FROM events WHERE lsn = 100");
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = data, .read_only = true}, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "up to 100 were on the device"));
	back_up_as_it_is();
	expect_all_upto(99);
	assert_int_equal(restore(0).lsn, 99);
}

static void what_is_behind_the_lsn_is_not_even_read(void **state)
{
	(void)state;
	make_store();
	kit_sql(data, "UPDATE events SET meta = x'00', payload = 'no', epoch = -5 WHERE lsn > 70; UPDATE snapshots SET state_blob = x'00' WHERE upto_lsn > 70;"
		      " UPDATE epochs SET checksum = checksum + 1 WHERE first_lsn > 70");
	back_up_as_it_is();
	expect_all_upto(70);
}

/* ---- indexes ---- */

static void an_index_of_keys_is_made_anew_from_the_events(void **state)
{
	(void)state;
	make_store();
	flip("key-60\x3c", 7, 0, 1); /* the number behind the key: an entry, not a row */
	back_up_as_it_is();
	expect_told(0, 60, "LSN 60: the index of keys");
	expect_all_upto(59);
	expect_all_upto(100);
}

static void an_index_of_documents_is_made_anew_from_the_events(void **state)
{
	(void)state;
	struct mf_error error;
	make_store();
	flip("even\x03", 5, 4, 0x40);
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = data, .read_only = true}, &error), MF_ERR_CORRUPTED);
	back_up_as_it_is();
	expect_told(0, 3, "document 'even', LSN 3: the index of documents");
	expect_all_upto(2);
	expect_all_upto(100);
}

/* ---- what cannot be by chance ---- */

#define WITHOUT_UNIQUE \
	"CREATE TABLE kept AS SELECT * FROM events; DROP TABLE events; CREATE TABLE events (lsn INTEGER PRIMARY KEY, tr_id, doc_id, ts, actor, idempotency_key, meta, payload," \
	" checksum, epoch, prev_lsn, action, source_lsn); INSERT INTO events SELECT * FROM kept; DROP TABLE kept; CREATE INDEX ix_events_doc_lsn ON events(doc_id, lsn);"

/* The event with LSN 61 has the key of LSN 60, and a checksum that fits. */
static void make_store_with_one_key_twice(void)
{
	char sql[2048], *other = kit_path(data, "other");
	make_store();
	struct mf_store *store = kit_open(other);
	for (int i = 1; i <= 61; i++) {
		char key[32];
		snprintf(key, sizeof(key), "key-%d", i == 61 ? 60 : i + 1000);
		kit_append(store, i % 2 ? "even" : "odd", key);
	}
	kit_close(store);
	snprintf(sql, sizeof(sql), WITHOUT_UNIQUE "ATTACH '%s/store.db' AS other; DELETE FROM events WHERE lsn = 61; INSERT INTO events SELECT * FROM other.events WHERE lsn = 61", other);
	kit_sql(data, sql);
	kit_remove_dir(other);
	back_up_as_it_is();
}

static void two_events_of_one_key_are_told(void **state)
{
	(void)state;
	make_store_with_one_key_twice();
	expect_told(61, 61, "document 'even', LSN 61: the event's key is also that of another one");
	expect_all_upto(60);
}

static void two_snapshots_of_one_name_are_told(void **state)
{
	(void)state;
	make_store();
	kit_sql(data, "CREATE TABLE kept AS SELECT * FROM snapshots; DROP TABLE snapshots; ALTER TABLE kept RENAME TO snapshots; INSERT INTO snapshots SELECT * FROM snapshots WHERE upto_lsn = 50");
	back_up_as_it_is();
	expect_told(100, 0, "UNIQUE constraint failed");
	expect_all_upto(49);
}

/* Events 8 to 10 are explained by a record. */
static void make_store_with_a_loss(void)
{
	kit_close(kit_open_after_a_loss(data));
}

static void a_record_of_a_loss_that_is_damaged_explains_nothing(void **state)
{
	(void)state;
	make_store_with_a_loss();
	kit_sql(data, "UPDATE epochs SET checksum = checksum + 1 WHERE lost_from > 0");
	back_up_as_it_is();
	expect_told(9, 8, "LSN 8: the event is missing");
	assert_int_equal(restore(7).lsn, 7);
}

/* ---- what fails on the way ---- */

static void expect_memory_is_told(int64_t at_lsn, enum mf_status wanted)
{
	struct mf_error error;
	enum mf_status status = MF_ERR_NO_MEMORY;
	for (uint64_t n = 1; status == MF_ERR_NO_MEMORY; n++) {
		mf_mem_fail_at(n, false);
		status = try_restore(at_lsn, NULL, &error);
		mf_mem_fail_at(0, false);
		if (status == MF_ERR_NO_MEMORY)
			assert_int_equal(entries(), 2);
	}
	assert_int_equal(status, wanted); /* the first that failed when all was known */
}

static void memory_that_is_missing_is_no_damage(void **state)
{
	(void)state;
	make_store_with_one_key_twice();
	expect_memory_is_told(80, MF_ERR_CORRUPTED);
}

static void memory_that_is_missing_is_no_end_of_a_loss(void **state)
{
	(void)state;
	make_store_with_a_loss();
	back_up_as_it_is();
	expect_memory_is_told(9, MF_OK);
	struct mf_store *copy = kit_open(fresh);
	expect_clean(copy);
	kit_close(copy);
}

/* ---- old stores ---- */

static void a_store_of_the_first_version_is_restored_to_an_lsn(void **state)
{
	(void)state;
	make_store();
	kit_sql(data, "DROP TABLE followers; ALTER TABLE snapshots DROP COLUMN base_lsn; PRAGMA user_version = 1");
	struct mf_store *store = kit_open_reader(data);
	back_up(store);
	kit_close(store);
	expect_all_upto(60);
	expect_all_upto(100);
}

#define T(test) cmocka_unit_test_setup_teardown(test, backup_set_up, backup_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_lies_before_a_flipped_bit_in_a_key_is_restored),
		T(what_lies_before_a_key_that_became_anothers_is_restored),
		T(a_key_behind_the_lsn_that_became_anothers_is_not_in_the_way),
		T(what_lies_before_a_zeroed_payload_is_restored),
		T(what_lies_before_an_event_that_is_gone_is_restored),
		T(what_lies_before_a_row_that_cannot_be_read_is_restored),
		T(a_store_that_has_lost_its_newest_event_is_restored_without_it),
		T(what_is_behind_the_lsn_is_not_even_read),
		T(an_index_of_keys_is_made_anew_from_the_events),
		T(an_index_of_documents_is_made_anew_from_the_events),
		T(two_events_of_one_key_are_told),
		T(two_snapshots_of_one_name_are_told),
		T(a_record_of_a_loss_that_is_damaged_explains_nothing),
		T(memory_that_is_missing_is_no_damage),
		T(memory_that_is_missing_is_no_end_of_a_loss),
		T(a_store_of_the_first_version_is_restored_to_an_lsn),
	};
	return cmocka_run_group_tests_name("salvage", tests, NULL, NULL);
}
