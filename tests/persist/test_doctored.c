/* Rows that somebody has changed so that each alone is right, checksum and all: those around them tell. And what fails where no other
 * test leads: behind a compaction, beside a writer, while the tables are made. */
#include <moduforge/backup.h>

#include "store_kit.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "env_fail.h"
#include "persist/checksum.h"
#include "persist/sqlite_store.h"
#include "sql_fail.h"

static struct mf_error error;

static int tear_down(void **state)
{
	sql_fail_end();
	env_fail_end();
	return kit_tear_down(state);
}

/* Two documents interleaved, one compacted up to 41; snapshots inline, in chunks, and one that builds on another. */
static void make_store(void)
{
	struct mf_store *store = kit_open(kit_dir);
	for (int i = 1; i <= 100; i++) {
		char key[32];
		snprintf(key, sizeof(key), "key-%d", i);
		kit_append(store, i % 2 ? "odd" : "even", key);
	}
	kit_write_snapshot(store, "odd", 41, 2000);
	kit_write_snapshot(store, "odd", 81, 1200000);
	kit_write_snapshot(store, "even", 50, 3000);
	KIT_OK(kit_try_snapshot(store, "even", 90, 50, 300, &error), &error);
	KIT_OK(mf_store_compact(store, "odd", 41, &error), &error);
	kit_close(store);
}

/* ---- verify ---- */

struct finding {
	const char *what, *doc_id, *words;
	int64_t lsn;
	bool found;
};

static void look_for(void *user, const struct mf_damage *damage)
{
	struct finding *wanted = user;
	bool same = strcmp(damage->what, wanted->what) == 0 && strcmp(damage->doc_id ? damage->doc_id : "", wanted->doc_id) == 0 && damage->lsn == wanted->lsn;
	wanted->found = wanted->found || (same && strstr(damage->message, wanted->words));
}

static void expect_finding(const char *sql, struct finding wanted)
{
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(mf_store_verify(store, look_for, &wanted, &error), MF_ERR_CORRUPTED);
	if (!wanted.found)
		fail_msg("%s: no finding '%s' of '%s', LSN %lld: %s", sql, wanted.what, wanted.doc_id, (long long)wanted.lsn, wanted.words);
	kit_close(store);
}

static void a_key_that_is_stored_and_compacted_too_is_found(void **state)
{
	(void)state;
	static const uint8_t hash[16];
	char sql[256];
	make_store();
	snprintf(sql, sizeof(sql), "INSERT INTO compacted_keys (lsn, idempotency_key, content_hash, checksum) VALUES (43, 'key-60', zeroblob(16), %lld)",
		 (long long)mf_sqlite_key_checksum(43, "key-60", hash));
	kit_sql(kit_dir, sql);
	expect_finding(sql, (struct finding){.what = "key", .doc_id = "even", .lsn = 60, .words = "'key-60' is also that of the compacted LSN 43"});
}

/* Its checksum fits: it is told by those around it. */
static void an_event_of_an_older_epoch_than_the_one_before_it_is_found(void **state)
{
	(void)state;
	char sql[256];
	struct mf_event_list list;
	make_store();
	kit_close(kit_open(kit_dir));
	struct mf_store *store = kit_open(kit_dir); /* the third */
	kit_append(store, "even", "one more");
	kit_append(store, "even", "and one");
	KIT_OK(mf_store_load_since(store, NULL, 101, 1, &list, &error), &error);
	struct mf_event event = list.events[0];
	assert_int_equal(event.lsn, 102);
	assert_int_equal(event.epoch, 3);
	event.epoch = 2;
	snprintf(sql, sizeof(sql), "UPDATE events SET epoch = 2, checksum = %lld WHERE lsn = 102", (long long)mf_event_checksum(&event));
	mf_event_list_deinit(&list);
	kit_close(store);
	kit_sql(kit_dir, sql);
	expect_finding(sql, (struct finding){.what = "event", .doc_id = "even", .lsn = 102, .words = "of epoch 2, but one before it is of epoch 3"});
}

/* ---- reading ---- */

static bool take_document(void *user, const struct mf_document_info *info)
{
	(void)user;
	assert_non_null(info->doc_id);
	return true;
}

static bool take_snapshot(void *user, const struct mf_snapshot_info *info)
{
	(void)user;
	assert_non_null(info->doc_id);
	return true;
}

static void a_row_without_its_name_is_not_listed_but_told(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE events SET doc_id = CAST(doc_id AS BLOB) WHERE lsn = 60; UPDATE snapshots SET doc_id = CAST(doc_id AS BLOB) WHERE upto_lsn = 90");
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(store->ops->documents(store, take_document, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "an event without a document"));
	assert_int_equal(error.lsn, 60);
	assert_int_equal(store->ops->snapshots(store, NULL, take_snapshot, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "a snapshot without a document"));
	assert_int_equal(error.lsn, 90);
	kit_close(store);
}

static void a_loss_is_refused_to_one_who_does_not_ask_for_the_reason_too(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "DELETE FROM events WHERE lsn > 98");
	for (int read_only = 0; read_only < 2; read_only++) {
		struct mf_store *store = NULL;
		const struct mf_sqlite_options options = {.dir = kit_dir, .read_only = read_only};
		assert_int_equal(mf_store_open_sqlite(&options, &store, NULL), MF_ERR_CORRUPTED);
		assert_null(store);
		assert_int_equal(kit_open_fails(&options, &error), MF_ERR_CORRUPTED);
		assert_int_equal(error.expected, 100);
		assert_int_equal(error.found, 98);
	}
}

/* ---- the record of a compaction ---- */

static void a_compaction_whose_record_is_damaged_does_not_go_on(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE compactions SET compacted_upto = 39");
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true});
	assert_int_equal(mf_store_compact(store, "odd", 81, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "the record of the document's compaction"));
	assert_int_equal(kit_count(store, "odd", 41), 29); /* 43 to 99: none was taken */
	KIT_OK(mf_store_compact(store, "even", 50, &error), &error); /* the damage is the other's */
	kit_close(store);
}

/* An opening goes on with what a kill cut short; it takes nothing away on the word of a record that is damaged. */
static void a_compaction_that_was_cut_short_and_then_damaged_does_not_go_on(void **state)
{
	(void)state;
	const char *sql = "UPDATE compactions SET done = 0, compacted_upto = 81";
	make_store();
	kit_sql(kit_dir, sql);
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir}, &error), MF_ERR_CORRUPTED);
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true});
	assert_int_equal(kit_append(store, "odd", "next"), 101);
	assert_int_equal(kit_count(store, "odd", 41), 30);
	kit_close(store);
	expect_finding(sql, (struct finding){.what = "chain", .doc_id = "odd", .lsn = 81, .words = "the record of the document's compaction"});
}

/* ---- what fails ---- */

static const struct {
	int code;
	enum mf_status status;
} failures[] = {{SQLITE_NOMEM, MF_ERR_NO_MEMORY}, {SQLITE_IOERR_READ, MF_ERR_IO}, {SQLITE_CORRUPT, MF_ERR_CORRUPTED}};

#define FAILURES (sizeof(failures) / sizeof(failures[0]))

/* Its first event follows on one that was compacted, which is asked for. */
static void reading_what_a_compaction_left_tells_each_failure(void **state)
{
	(void)state;
	struct mf_event_list list;
	make_store();
	struct mf_store *store = kit_open_reader(kit_dir);
	for (size_t i = 0; i < FAILURES; i++) {
		int64_t n = 1;
		for (;; n++) {
			sql_fail_begin(SQL_STEP, n, 1, failures[i].code);
			enum mf_status status = mf_store_load_since(store, "odd", 0, 5, &list, &error);
			sql_fail_end();
			assert_int_equal(status, sql_fail_made(SQL_STEP) < n ? MF_OK : failures[i].status);
			if (status == MF_OK)
				break;
			assert_int_equal(error.status, status);
		}
		assert_true(n > 2);
		assert_int_equal(list.count, 5);
		assert_int_equal(list.events[0].lsn, 43);
		mf_event_list_deinit(&list);
	}
	kit_close(store);
}

/* So that the next one is made, in as many steps as the last time. */
static void lay_no_reader_ready(struct mf_store *store)
{
	struct mf_sql *sql;
	KIT_OK(mf_sqlite_open_reader(mf_sqlite_of(store), &sql, &error), &error);
	mf_sqlite_close_reader(mf_sqlite_of(store), sql, false);
}

static void a_reader_that_cannot_look_at_the_writer_says_so(void **state)
{
	(void)state;
	struct mf_store_stats stats;
	make_store();
	struct mf_store *store = kit_open_reader(kit_dir);
	for (size_t i = 0; i < FAILURES; i++) {
		int64_t n = 1, ends = 0;
		for (bool struck = true; struck; n++) {
			lay_no_reader_ready(store);
			sql_fail_begin(SQL_STEP, n, 1, failures[i].code);
			enum mf_status status = mf_store_stats(store, &stats, &error);
			sql_fail_end();
			struck = sql_fail_made(SQL_STEP) >= n;
			bool again = sql_fail_made(SQL_STEP) > n; /* the end of the transaction, when all was answered: it is tried once more */
			assert_int_equal(status, struck && !again ? failures[i].status : MF_OK);
			ends += again;
		}
		assert_true(n > 2);
		assert_int_equal(stats.last_lsn, 100);
		assert_int_equal(stats.synced_lsn, 100);
		assert_int_equal(ends, 1);
	}
	kit_close(store);
}

/* Whatever of it failed, the next opening makes it. */
static void a_store_whose_tables_cannot_be_made_is_none_yet(void **state)
{
	(void)state;
	int64_t n = 1;
	for (bool struck = true; struck; n++) {
		struct mf_store *store = NULL;
		char *dir = kit_make_dir();
		sql_fail_begin(SQL_EXEC, n, 1, SQLITE_NOMEM);
		enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = dir}, &store, &error);
		sql_fail_end();
		struck = sql_fail_made(SQL_EXEC) >= n;
		assert_int_equal(status, struck ? MF_ERR_NO_MEMORY : MF_OK);
		if (struck)
			store = kit_open(dir);
		assert_int_equal(kit_append(store, "d", "first"), 1);
		kit_close(store);
		kit_remove_dir(dir);
	}
	assert_true(n > 4); /* tables, followers, a column, the marks */
}

static void counters_that_cannot_be_saved_are_told_and_those_before_them_stay(void **state)
{
	(void)state;
	static const struct {
		int code;
		enum mf_status status;
	} reasons[] = {{EIO, MF_ERR_IO}, {ENOSPC, MF_ERR_STORAGE_FULL}};
	struct mf_buffer out = {0};
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = env_fail()});
	KIT_OK(store->ops->save_metrics(store, "{\"a\": 1}", 8, &error), &error);
	for (size_t i = 0; i < 2; i++) {
		env_fail_begin(2, 1, reasons[i].code); /* the file is open, and is still ours: then it is written */
		assert_int_equal(store->ops->save_metrics(store, "{\"a\": 2}", 8, &error), reasons[i].status);
		env_fail_end();
		assert_non_null(strstr(error.message, "metrics"));
		mf_buffer_deinit(&out);
		KIT_OK(store->ops->load_metrics(store, &out, &error), &error);
		assert_int_equal(out.len, 8);
		assert_memory_equal(out.bytes, "{\"a\": 1}", 8);
	}
	kit_append(store, "d", "it goes on");
	mf_buffer_deinit(&out);
	kit_close(store);
}

#define FREE_OF_RULES \
	"CREATE TABLE kept AS SELECT * FROM events; DROP TABLE events; CREATE TABLE events (lsn INTEGER PRIMARY KEY, tr_id, doc_id, ts, actor, idempotency_key, meta, payload, checksum, epoch," \
	" prev_lsn, action, source_lsn); INSERT INTO events SELECT * FROM kept; DROP TABLE kept; CREATE INDEX ix_events_doc_lsn ON events(doc_id, lsn);"

/* A restore up to an LSN cannot copy it, and then looks for the first event that is damaged. */
static void an_event_without_a_value_is_named_by_the_restore_and_a_search_that_fails_is_told(void **state)
{
	(void)state;
	char *file = kit_path(kit_dir, "backup"), *dir = kit_path(kit_dir, "restored");
	const struct mf_restore_options with = {.file = file, .dir = dir, .at_lsn = 6};
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 8);
	kit_close(store);
	kit_sql(kit_dir, FREE_OF_RULES "UPDATE events SET meta = NULL WHERE lsn = 4");
	store = kit_open_damaged();
	KIT_OK(mf_store_backup(store, file, NULL, NULL, NULL, &error), &error);
	kit_close(store);
	int64_t busy = 0;
	bool reached = true;
	for (int64_t n = 1; reached; n++) {
		sql_fail_begin(SQL_STEP, n, SQL_FOR_EVER, SQLITE_CORRUPT);
		assert_int_equal(mf_store_restore(&with, NULL, &error), MF_ERR_CORRUPTED);
		reached = sql_fail_made(SQL_STEP) >= n;
		sql_fail_end();
		sql_fail_begin(SQL_STEP, n, 1, SQLITE_BUSY);
		enum mf_status status = mf_store_restore(&with, NULL, &error);
		reached = sql_fail_made(SQL_STEP) >= n;
		sql_fail_end();
		busy += status == MF_ERR_BUSY;
		assert_true(status == MF_ERR_BUSY || status == MF_ERR_CORRUPTED);
		assert_int_equal(access(dir, F_OK), -1);
	}
	assert_true(busy > 10);
	assert_int_equal(error.lsn, 4);
	assert_non_null(strstr(error.message, "document 'd', LSN 4"));
	free(file);
	free(dir);
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_key_that_is_stored_and_compacted_too_is_found),
		T(an_event_of_an_older_epoch_than_the_one_before_it_is_found),
		T(a_row_without_its_name_is_not_listed_but_told),
		T(a_loss_is_refused_to_one_who_does_not_ask_for_the_reason_too),
		T(a_compaction_whose_record_is_damaged_does_not_go_on),
		T(a_compaction_that_was_cut_short_and_then_damaged_does_not_go_on),
		T(reading_what_a_compaction_left_tells_each_failure),
		T(a_reader_that_cannot_look_at_the_writer_says_so),
		T(a_store_whose_tables_cannot_be_made_is_none_yet),
		T(counters_that_cannot_be_saved_are_told_and_those_before_them_stay),
		T(an_event_without_a_value_is_named_by_the_restore_and_a_search_that_fails_is_told),
	};
	return cmocka_run_group_tests_name("doctored stores", tests, NULL, NULL);
}
