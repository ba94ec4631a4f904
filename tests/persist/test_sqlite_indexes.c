/* Indexes that lack rows: queries would omit them without a word. */
#include "store_kit.h"

#include <stdio.h>
#include <string.h>

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

static void expect_finding(const char *kind, const char *doc_id, int64_t lsn)
{
	struct kit_findings findings;
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .accept_damage = true});
	assert_int_equal(kit_verify(store, kind, &findings), MF_ERR_CORRUPTED);
	assert_string_equal(findings.what, kind);
	assert_string_equal(findings.doc_id, doc_id);
	assert_int_equal(findings.lsn, lsn);
	kit_close(store);
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
	expect_finding("index", "odd", 391);
}

static void an_index_without_an_old_event_is_noticed_by_verify(void **state)
{
	(void)state;
	make_store();
	take_from_index("ix_events_doc_lsn", "events(doc_id, lsn)", "lsn = 17");
	kit_close(kit_open_reader(kit_dir));
	expect_finding("index", "odd", 17);
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
	expect_finding("chain", "d", 5);
}

static void an_event_of_an_epoch_without_a_record_is_noticed_by_verify(void **state)
{
	(void)state;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "odd", "more", 3);
	kit_close(store);
	kit_sql(kit_dir, "DELETE FROM epochs WHERE epoch = 1");
	expect_finding("database", "odd", 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		T(an_index_without_the_newest_event_of_a_document_is_noticed_when_the_store_is_opened),
		T(an_index_without_an_old_event_is_noticed_by_verify),
		T(an_index_without_a_snapshot_is_noticed_by_verify),
		T(a_snapshot_of_a_document_that_is_nowhere_else_is_noticed_by_verify),
		T(an_event_of_an_epoch_without_a_record_is_noticed_by_verify),
	};
	return cmocka_run_group_tests_name("sqlite indexes", tests, NULL, NULL);
}
