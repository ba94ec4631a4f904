/* test_sqlite_hostile.c - stores that somebody has changed on purpose, with the sqlite3 program: what the fuzz targets rows, pages
 * and log have found, each once more by name. */
#include "store_kit.h"

#include <sqlite3.h>
#include <string.h>

#include "persist/checksum.h"

/* A closed store with a few events, then changed. */
static void make_store(const char *sql)
{
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	kit_close(store);
	kit_sql(kit_dir, sql);
}

static void expect_corrupted(const char *sql, const char *message)
{
	struct mf_error error;
	make_store(sql);
	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, &error), MF_ERR_CORRUPTED);
		if (!strstr(error.message, message))
			fail_msg("'%s' is not in: %s", message, error.message);
	}
}

/* Found by fuzz rows: it emptied the payload of each event as it was stored; the append was MF_OK. */
static void a_store_with_a_trigger_is_refused(void **state)
{
	(void)state;
	expect_corrupted("CREATE TRIGGER t AFTER INSERT ON events BEGIN UPDATE events SET payload = x'00' WHERE lsn = new.lsn; END", "triggers");
}

/* The tables' own text may say what to do with a row that does not fit: pass over it, and say that all is well. */
static void an_append_that_the_table_would_pass_over_is_no_success(void **state)
{
	(void)state;
	struct mf_error error;
	make_store("ALTER TABLE events ADD COLUMN x GENERATED ALWAYS AS (CASE WHEN lsn > 3 THEN NULL ELSE 1 END) VIRTUAL NOT NULL ON CONFLICT IGNORE");
	struct mf_store *store = kit_open(kit_dir);
	struct mf_event event = kit_event("d", "next");
	assert_int_not_equal(mf_store_append(store, &event, NULL, &error), MF_OK);
	assert_int_equal(kit_count(store, "d", 0), 3);
	kit_close(store);
}

/* Whose record it was nobody knows: the next event of that document would follow on none. */
static void a_damaged_name_of_a_compaction_is_refused_for_writing(void **state)
{
	(void)state;
	struct mf_error error;
	make_store("INSERT INTO compactions (doc_id, compacted_upto, chain_lsn, deleted, done, checksum) VALUES (x'64', 1, 1, 0, 0, 0)");
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir}, &error), MF_ERR_CORRUPTED);
	kit_close(kit_open_reader(kit_dir));
	kit_close(kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true}));
}

/* Found by fuzz rows: the number of events overflowed. */
static void an_impossible_count_of_deleted_events_is_not_counted_with(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store_stats stats;
	make_store("INSERT INTO compactions (doc_id, compacted_upto, chain_lsn, deleted, done, checksum) VALUES ('x', 0, 0, -9223372036854775800, 1, 0)");
	struct mf_store *store = kit_open_reader(kit_dir);
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.events, 3);
	kit_close(store);
}

static int refuse(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
	(void)db, (void)message, (void)api;
	return SQLITE_ERROR;
}

/* An application shares SQLite with us, and what it asks of each connection. */
static void a_connection_that_the_application_refuses_is_no_damage(void **state)
{
	(void)state;
	struct mf_error error;
	make_store("SELECT 1");
	sqlite3_auto_extension((void (*)(void))refuse);
	enum mf_status status = kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir}, &error);
	sqlite3_reset_auto_extension();
	assert_int_equal(status, MF_ERR_IO);
	kit_close(kit_open(kit_dir));
}

/* An append that another column's index refuses would be called a known key. */
static void a_store_with_a_unique_index_of_somebody_elses_is_refused(void **state)
{
	(void)state;
	expect_corrupted("CREATE UNIQUE INDEX u ON events(epoch, prev_lsn)", "unique indexes");
}

static void a_table_or_index_that_does_no_harm_is_left_alone(void **state)
{
	(void)state;
	make_store("CREATE TABLE mine (x); CREATE INDEX my_index ON events(actor); CREATE VIEW v AS SELECT * FROM events");
	kit_close(kit_open(kit_dir));
	kit_close(kit_open_reader(kit_dir));
}

/* Found by fuzz rows: it was MF_ERR_IO, with the advice to check the device. */
static void a_store_without_one_of_its_indexes_is_damaged(void **state)
{
	(void)state;
	expect_corrupted("DROP INDEX ix_events_doc_lsn", "ix_events_doc_lsn");
}

static void a_store_without_one_of_its_columns_is_damaged(void **state)
{
	(void)state;
	expect_corrupted("ALTER TABLE events RENAME COLUMN payload TO load", "payload");
}

/* Found by fuzz rows: the next epoch overflowed, and the store went on with a negative one. */
static void an_epoch_that_cannot_be_counted_on_from_is_damage(void **state)
{
	(void)state;
	expect_corrupted("UPDATE epochs SET epoch = 9223372036854775807", "impossible");
}

static void an_lsn_that_cannot_be_counted_on_from_is_damage(void **state)
{
	(void)state;
	expect_corrupted("UPDATE events SET lsn = 9223372036854775807 WHERE lsn = 3", "impossible");
}

/* Its CRC is right: whoever changes it on purpose sees to that. */
static void a_watermark_that_cannot_be_counted_on_from_is_as_good_as_none(void **state)
{
	(void)state;
	unsigned char bytes[32] = "MFWM";
	struct mf_store_stats stats;
	make_store("SELECT 1");
	memset(bytes + 8, 0xff, 16);
	bytes[15] = bytes[23] = 0x7f;
	uint32_t crc = mf_crc32(0, bytes + 8, 24);
	for (int i = 0; i < 4; i++)
		bytes[4 + i] = (unsigned char)(crc >> (8 * i));
	kit_poke(kit_dir, "watermark", 0, bytes, sizeof(bytes));
	struct mf_store *store = kit_open(kit_dir);
	assert_int_equal(mf_store_stats(store, &stats, NULL), MF_OK);
	assert_int_equal(stats.epoch, 2);
	kit_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_store_with_a_trigger_is_refused),
		TEST(an_append_that_the_table_would_pass_over_is_no_success),
		TEST(a_damaged_name_of_a_compaction_is_refused_for_writing),
		TEST(an_impossible_count_of_deleted_events_is_not_counted_with),
		TEST(a_connection_that_the_application_refuses_is_no_damage),
		TEST(a_store_with_a_unique_index_of_somebody_elses_is_refused),
		TEST(a_table_or_index_that_does_no_harm_is_left_alone),
		TEST(a_store_without_one_of_its_indexes_is_damaged),
		TEST(a_store_without_one_of_its_columns_is_damaged),
		TEST(an_epoch_that_cannot_be_counted_on_from_is_damage),
		TEST(an_lsn_that_cannot_be_counted_on_from_is_damage),
		TEST(a_watermark_that_cannot_be_counted_on_from_is_as_good_as_none),
	};
	return cmocka_run_group_tests_name("hostile stores", tests, NULL, NULL);
}
