/* Indexes that lack rows: queries would omit them without a word. And what else an opening looks at. */
#include "store_kit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVENTS 400

/* Two documents in turn, a snapshot of each in the middle. */
static void make_store(void)
{
	struct mf_store *store = kit_open(kit_dir);
	for (int i = 1; i <= EVENTS; i++) {
		char key[32];
		snprintf(key, sizeof(key), "key-%d", i);
		kit_append(store, i % 2 ? "odd" : "even", key);
	}
	kit_write_snapshot(store, "odd", 201, 100);
	kit_write_snapshot(store, "even", 200, 100);
	kit_close(store);
}

/* Builds the index anew without the rows of a condition, and has it look like a whole one. */
static void take_from_index(const char *name, const char *columns, const char *without)
{
	char sql[512];
	snprintf(sql, sizeof(sql), "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE INDEX %s ON %s WHERE NOT (%s)' WHERE name = '%s'", name, columns, without, name);
	kit_sql(kit_dir, sql);
	snprintf(sql, sizeof(sql), "REINDEX %s", name);
	kit_sql(kit_dir, sql);
	snprintf(sql, sizeof(sql), "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE INDEX %s ON %s' WHERE name = '%s'", name, columns, name);
	kit_sql(kit_dir, sql);
}

static void an_index_without_the_newest_event_of_a_document_is_noticed_when_the_store_is_opened(void **state)
{
	(void)state;
	struct mf_error error;
	make_store();
	take_from_index("ix_events_doc_lsn", "events(doc_id, lsn)", "lsn >= 390 AND doc_id = ''odd''");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = i}, &error), MF_ERR_CORRUPTED);
		assert_int_equal(error.lsn, 399);
		assert_non_null(strstr(error.message, "'odd'"));
	}
	kit_expect_finding("index", "odd", 391);
}

static void an_index_without_an_old_event_is_noticed_by_verify(void **state)
{
	(void)state;
	make_store();
	take_from_index("ix_events_doc_lsn", "events(doc_id, lsn)", "lsn = 17");
	kit_expect_finding("index", "odd", 17);
}

/* ---- a store that is not too large is looked at whole when it is opened ---- */

static void expect_refused(bool read_only, const char *words)
{
	struct mf_error error;
	kit_expect_refused(read_only, words, &error);
}

static void an_index_without_an_old_event_opens_neither_for_reading_nor_for_writing(void **state)
{
	(void)state;
	make_store();
	take_from_index("ix_events_doc_lsn", "events(doc_id, lsn)", "lsn = 17");
	expect_refused(true, "the index of documents does not have");
	expect_refused(false, "the index of documents does not have");
}

/* Deletes an event behind the back of the index of documents. */
static void an_index_with_more_than_there_is_does_not_open_for_writing(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE INDEX ix_events_doc_lsn ON events(doc_id, lsn) WHERE lsn < 0' WHERE name = 'ix_events_doc_lsn'");
	kit_sql(kit_dir, "DELETE FROM events NOT INDEXED WHERE lsn = 17");
	kit_sql(kit_dir, "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE INDEX ix_events_doc_lsn ON events(doc_id, lsn)' WHERE name = 'ix_events_doc_lsn'");
	expect_refused(false, "the index of documents has 400 entries for 399 events");
}

static unsigned char database[1 << 20];

static size_t read_database(void)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/store.db", kit_dir);
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	size_t size = fread(database, 1, sizeof(database), file);
	assert_int_equal(fclose(file), 0);
	return size;
}

static void put(size_t at, unsigned char value)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/store.db", kit_dir);
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, (long)at, SEEK_SET), 0);
	assert_int_equal(fputc(value, file), value);
	assert_int_equal(fclose(file), 0);
}

static size_t find(const char *bytes, size_t len)
{
	size_t size = read_database();
	unsigned char *at = memmem(database, size, bytes, len);
	assert_non_null(at);
	return (size_t)(at - database);
}

static void an_index_without_a_key_does_not_open_for_writing_so_that_no_key_is_taken_twice(void **state)
{
	(void)state;
	make_store();
	put(find("key-17\x11", 7) + 5, 'x'); /* the entry: the key and its LSN */
	kit_close(kit_open_reader(kit_dir)); /* whom nobody asks for a key */
	expect_refused(false, "the index of keys does not have");
}

/* To compare each entry would take long: whoever wants to know asks verify. */
static void a_store_too_large_to_be_compared_opens_with_an_index_that_only_verify_finds_wanting(void **state)
{
	(void)state;
	struct mf_error error;
	static char keys[1000][16];
	struct mf_event events[1000];
	struct mf_store *store = kit_open(kit_dir);
	for (int batch = 0; batch < 51; batch++) {
		for (int i = 0; i < 1000; i++) {
			snprintf(keys[i], sizeof(keys[i]), "%d-%d", batch, i);
			events[i] = (struct mf_event){.doc_id = i % 2 ? "odd" : "even", .idempotency_key = keys[i], .meta = "{}", .meta_len = 2};
		}
		KIT_OK(mf_store_append_batch(store, events, 1000, NULL, &error), &error);
	}
	kit_close(store);
	/* Records are few, and looked at in any. */
	kit_sql(kit_dir, "INSERT INTO compactions VALUES ('even', 2, 2, 1, 1, 0)");
	expect_refused(false, "the record of the document's compaction");
	kit_sql(kit_dir, "DELETE FROM compactions");
	take_from_index("ix_events_doc_lsn", "events(doc_id, lsn)", "lsn = 17");
	store = kit_open(kit_dir);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, "index", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.lsn, 17);
	kit_close(store);
	/* What the newest events need is looked at in any. */
	take_from_index("ix_events_doc_lsn", "events(doc_id, lsn)", "lsn > 50900");
	expect_refused(false, "the index of documents does not have");
}

static void a_damaged_record_of_an_opening_opens_nothing_so_that_no_number_is_left_out(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE epochs SET lost_from = 5, first_lsn = 4000000000");
	expect_refused(true, "the record of an opening");
	expect_refused(false, "the record of an opening");
	struct mf_error error; /* nor is it a loss that could be accepted */
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true}, &error), MF_ERR_CORRUPTED);
}

static void a_page_whose_free_room_is_wrong_does_not_open_for_writing(void **state)
{
	(void)state;
	make_store();
	size_t size = read_database(), leaf = 4096;
	while (leaf < size && (database[leaf] != 0x0a || database[leaf + 4] < 20)) /* a leaf of an index with many entries */
		leaf += 4096;
	assert_true(leaf < size);
	put(leaf + 1, 0x0f); /* where its free room begins: in the middle of them */
	kit_close(kit_open_reader(kit_dir));
	expect_refused(false, "SQLite says");
}

static void a_table_without_a_column_is_damage_and_no_failing_device(void **state)
{
	(void)state;
	make_store();
	put(find("idempotency_key TEXT", 20), 'j');
	expect_refused(true, "idempotency_key");
	expect_refused(false, "idempotency_key");
}

static void a_database_that_says_it_is_not_to_be_written_is_damage_and_no_lack_of_rights(void **state)
{
	(void)state;
	make_store();
	put(18, 0x22); /* the version of SQLite that may write it */
	expect_refused(false, "readonly");
}

/* ---- what leads back to itself ---- */

static void an_entry_that_leads_back_is_an_error_and_no_endless_reading(void **state)
{
	(void)state;
	struct mf_event_list list;
	struct mf_error error;
	make_store();
	put(find("odd\x01\x11\x01\x11", 7) + 6, 0x05); /* the entry of LSN 273 says that its row is 261 */
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(mf_store_load_since(store, "odd", 271, 100, &list, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 261);
	kit_close(store);
}

/* ---- what leads to the row of another ---- */

static void snapshots_out_of_order_give_no_state_of_the_future(void **state)
{
	(void)state;
	struct mf_snapshot snapshot;
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "odd", "k", 300);
	for (int lsn = 100; lsn <= 300; lsn += 100)
		kit_write_snapshot(store, "odd", lsn, 100);
	kit_close(store);
	size_t leaf = find("\x04\x13\x01\x09odd\x64", 8) / 4096 * 4096; /* three entries; then where each lies, 2 bytes from byte 8 on */
	unsigned char where[4];
	memcpy(where, database + leaf + 8, sizeof(where));
	for (size_t i = 0; i < sizeof(where); i++)
		put(leaf + 8 + i, where[i ^ 2]); /* 200 before 100 */
	store = kit_open_damaged();
	assert_int_equal(mf_store_latest_snapshot(store, "odd", 150, &snapshot, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 200);
	kit_close(store);
}

static void an_entry_that_leads_to_the_snapshot_of_another_document_is_an_error(void **state)
{
	(void)state;
	struct mf_snapshot snapshot;
	struct mf_error error;
	make_store();
	put(find("\x04\x15\x02\x01" "even\x00\xc8\x02", 11) + 10, 1); /* the row of the first */
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(mf_store_latest_snapshot(store, "even", 300, &snapshot, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 200);
	kit_close(store);
}

static void an_entry_that_leads_to_an_event_of_another_document_is_an_error(void **state)
{
	(void)state;
	struct mf_event_list list;
	struct mf_error error;
	make_store();
	put(find("odd\x01\x11\x01\x11", 7) + 6, 0x12); /* the entry of LSN 273 says that its row is 274 */
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(mf_store_load_since(store, "odd", 272, 1, &list, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 274);
	kit_close(store);
}

static void expect_no_compaction(int64_t lsn)
{
	struct mf_error error;
	struct mf_store *store = kit_open_all_the_same();
	assert_int_equal(mf_store_compact(store, "odd", 201, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, lsn);
	assert_int_equal(kit_count(store, NULL, 0), EVENTS);
	kit_close(store);
	kit_remove_dir(kit_dir);
	kit_dir = kit_make_dir();
}

/* What it reads is an event of the document, whose checksum fits; and what it reads it deletes. */
static void a_compaction_deletes_nothing_where_an_entry_leads_to_another_event_of_the_document(void **state)
{
	(void)state;
	make_store();
	put(find("odd\x11\x11", 5) + 4, 0x13); /* the entry of LSN 17 says that its row is 19 */
	expect_no_compaction(19);
	make_store();
	put(find("odd\x00\xc9\x00\xc9", 7) + 5, 0x01); /* that of LSN 201, which is the last one, says 457 */
	put(find("odd\x00\xc9\x01\xc9", 7) + 6, 0x8f); /* 399: newer than the snapshot */
	expect_no_compaction(399);
	make_store();
	take_from_index("ix_events_doc_lsn", "events(doc_id, lsn)", "lsn = 17");
	expect_no_compaction(19);
}

static void no_event_is_appended_behind_one_that_is_not_there(void **state)
{
	(void)state;
	struct mf_error error;
	make_store();
	put(find("odd\x01\x8f\x01\x8f", 7) + 5, 0x7f); /* the entry of LSN 399, the newest */
	expect_refused(true, "the index of documents does not have");
	expect_refused(false, "the index of documents does not have");
	struct mf_store *store = kit_open_all_the_same();
	struct mf_event event = kit_event("odd", "one more");
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 0x7f8f);
	kit_append(store, "even", "another");
	kit_close(store);
	put(find("odd\x01\x8f\x7f\x8f", 7) + 5, 0x01);
	put(find("odd\x01\x8f\x01\x8f", 7) + 6, 0x90); /* LSN 400 is the other document's */
	store = kit_open_all_the_same();
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 400);
	kit_close(store);
}

/* The leaf of the table of events that has those bytes. */
static size_t leaf_with(const char *bytes)
{
	size_t size = read_database();
	for (size_t page = 0; page < size; page += 4096)
		if (database[page] == 0x0d && memmem(database + page, 4096, bytes, strlen(bytes)))
			return page;
	fail_msg("no page has %s", bytes);
	return 0;
}

static void note_event(void *user, const struct mf_damage *damage)
{
	if (strcmp(damage->what, "event") == 0)
		*(int64_t *)user = damage->lsn;
}

static void what_lies_behind_an_unreadable_page_is_verified(void **state)
{
	(void)state;
	/* Nearer to the end than the page is long, and farther: the steps over it grow. */
	static const char *const keys[] = {"key-350", "key-330", "key-310", "key-290", "key-250", "key-200", "key-150", "key-50"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct mf_error error;
		int64_t found = 0;
		make_store();
		size_t last = leaf_with("key-400"), page = leaf_with(keys[i]);
		if (page == last) {
			assert_true(i < 2);
			kit_remove_dir(kit_dir);
			kit_dir = kit_make_dir();
			continue;
		}
		put(page, 0);
		put(last + (size_t)((unsigned char *)memmem(database + last, 4096, "key-400", 7) - (database + last)), 'c');
		struct mf_store *store = kit_open_damaged();
		assert_int_equal(mf_store_verify(store, note_event, &found, &error), MF_ERR_CORRUPTED);
		if (found != EVENTS)
			fail_msg("with the page of %s unreadable LSN %d is the last finding", keys[i], (int)found);
		kit_close(store);
		kit_remove_dir(kit_dir);
		kit_dir = kit_make_dir();
	}
}

static void an_entry_that_leads_to_an_event_with_another_key_is_no_duplicate(void **state)
{
	(void)state;
	struct mf_key_info info;
	struct mf_error error;
	make_store();
	put(find("key-17\x11", 7) + 6, 0x12); /* the row of key-18 */
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(store->ops->find_key(store, "key-17", &info, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 18);
	kit_close(store);
}

static void an_entry_under_a_smaller_number_is_noticed_by_verify(void **state)
{
	(void)state;
	make_store();
	put(find("odd\x01\x11\x01\x11", 7) + 4, 0x10); /* the entry of LSN 273 says 272: who asks for what comes behind 272 does not find it */
	kit_expect_finding("index", "odd", 273);
}

static void a_compaction_of_a_name_that_is_none_does_not_go_on_for_ever(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "INSERT INTO compactions VALUES ('odd' || char(0) || 'x', 1, 0, 0, 0, 0)"); /* what comes behind 'odd' */
	alarm(60);
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true});
	alarm(0);
	kit_append(store, "odd", "one more");
	kit_close(store);
}

static void an_index_without_a_compacted_key_is_noticed_by_verify(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_key_info info;
	struct kit_findings findings;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(mf_store_compact(store, "odd", 201, &error), &error);
	KIT_OK(store->ops->maintain(store, &error), &error);
	kit_close(store);
	size_t size = read_database();
	for (unsigned char *at = database; (at = memmem(at, size - (size_t)(at - database), "key-199\x00\xc7", 9)); at++) /* the entry, and what is left of that of the event */
		put((size_t)(at - database) + 6, ':'); /* in order: the others are found */
	store = kit_open_damaged();
	assert_int_equal(kit_verify(store, "key", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 1);
	KIT_OK(store->ops->find_key(store, "key-197", &info, &error), &error);
	assert_int_equal(store->ops->find_key(store, "key-199", &info, &error), MF_ERR_NOT_FOUND);
	kit_close(store);
}

static void a_database_without_an_index_is_a_finding_of_verify(void **state)
{
	(void)state;
	struct kit_findings findings;
	make_store();
	kit_sql(kit_dir, "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'idempotency_key TEXT NOT NULL UNIQUE', 'idempotency_key TEXT NOT NULL')"
			 " WHERE name = 'events'; DELETE FROM sqlite_master WHERE name = 'sqlite_autoindex_events_1'");
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(kit_verify(store, "database", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 1);
	kit_close(store);
}

static void pages_that_lead_to_themselves_end_verify(void **state)
{
	(void)state;
	make_store();
	size_t root = 4096, size = read_database(), cell = root + (database[root + 12] << 8 | database[root + 13]);
	assert_int_equal(database[root], 0x05); /* of the events: a page of children */
	size_t child = ((size_t)database[cell + 2] << 8 | database[cell + 3]) - 1;
	assert_true(child > 0 && (child + 1) * 4096 <= size);
	for (size_t i = 0; i < 4096; i++)
		put(child * 4096 + i, database[root + i]);
	struct kit_findings findings;
	struct mf_store *store = kit_open_damaged();
	alarm(60);
	assert_int_equal(kit_verify(store, "database", &findings), MF_ERR_CORRUPTED);
	alarm(0);
	assert_true(findings.of_kind > 0);
	kit_close(store);
}

static void an_index_without_a_snapshot_is_noticed_by_verify(void **state)
{
	(void)state;
	make_store();
	take_from_index("ix_snapshots_doc_created", "snapshots(doc_id, created_at DESC)", "upto_lsn = 200");
	struct kit_findings findings;
	struct mf_store *store = kit_open_reader(kit_dir);
	assert_int_equal(kit_verify(store, "index", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 2); /* their number, and which */
	kit_close(store);
}

static void a_snapshot_of_a_document_that_is_nowhere_else_is_noticed_by_verify(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_append_many(store, "other", "o", 1);
	kit_write_snapshot(store, "d", 5, 100);
	KIT_OK(mf_store_compact(store, "d", 5, &error), &error);
	kit_close(store);
	kit_sql(kit_dir, "DELETE FROM compactions");
	kit_expect_finding("chain", "d", 5);
}

static void an_event_of_an_epoch_without_a_record_is_noticed_by_verify(void **state)
{
	(void)state;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "odd", "more", 3);
	kit_close(store);
	kit_sql(kit_dir, "DELETE FROM epochs WHERE epoch = 1");
	kit_expect_finding("database", "odd", 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		T(an_index_without_the_newest_event_of_a_document_is_noticed_when_the_store_is_opened),
		T(an_index_without_an_old_event_is_noticed_by_verify),
		T(an_index_without_an_old_event_opens_neither_for_reading_nor_for_writing),
		T(an_index_with_more_than_there_is_does_not_open_for_writing),
		T(an_index_without_a_key_does_not_open_for_writing_so_that_no_key_is_taken_twice),
		T(a_store_too_large_to_be_compared_opens_with_an_index_that_only_verify_finds_wanting),
		T(a_damaged_record_of_an_opening_opens_nothing_so_that_no_number_is_left_out),
		T(a_page_whose_free_room_is_wrong_does_not_open_for_writing),
		T(a_table_without_a_column_is_damage_and_no_failing_device),
		T(a_database_that_says_it_is_not_to_be_written_is_damage_and_no_lack_of_rights),
		T(an_entry_that_leads_back_is_an_error_and_no_endless_reading),
		T(snapshots_out_of_order_give_no_state_of_the_future),
		T(an_entry_that_leads_to_the_snapshot_of_another_document_is_an_error),
		T(an_entry_that_leads_to_an_event_of_another_document_is_an_error),
		T(an_entry_that_leads_to_an_event_with_another_key_is_no_duplicate),
		T(a_compaction_deletes_nothing_where_an_entry_leads_to_another_event_of_the_document),
		T(no_event_is_appended_behind_one_that_is_not_there),
		T(what_lies_behind_an_unreadable_page_is_verified),
		T(an_entry_under_a_smaller_number_is_noticed_by_verify),
		T(a_compaction_of_a_name_that_is_none_does_not_go_on_for_ever),
		T(an_index_without_a_compacted_key_is_noticed_by_verify),
		T(a_database_without_an_index_is_a_finding_of_verify),
		T(pages_that_lead_to_themselves_end_verify),
		T(an_index_without_a_snapshot_is_noticed_by_verify),
		T(a_snapshot_of_a_document_that_is_nowhere_else_is_noticed_by_verify),
		T(an_event_of_an_epoch_without_a_record_is_noticed_by_verify),
	};
	return cmocka_run_group_tests_name("sqlite indexes", tests, NULL, NULL);
}
