/* States of a store that need an odd file, an old accident or a lie of SQLite's: each is told, and the store stays right. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/backup.h>

#include "env_fail.h"
#include "persist/checksum.h"
#include "persist/sqlite_store.h"
#include "sql_fail.h"
#include "tests/leave.h"
#include "vfs_shim.h"

static struct mf_error error;

static int tear_down(void **state)
{
	sql_fail_end();
	env_fail_end();
	return kit_tear_down(state);
}

/* ---- the reader that lies ready ---- */

static int stop_at_once(void *unused)
{
	(void)unused;
	return 1;
}

static int64_t newest_of(struct mf_sql *sql)
{
	int64_t lsn = 0;
	assert_int_equal(mf_sqlite_newest(sql, &lsn, &error), MF_OK);
	return lsn;
}

static void a_reader_that_was_closed_is_the_next_one_and_knows_nothing_of_the_last(void **state)
{
	(void)state;
	struct mf_sql *first, *again, *second;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_sqlite *sqlite = mf_sqlite_of(store);
	kit_append(store, "d", "a");
	assert_int_equal(mf_sqlite_open_reader(sqlite, &first, &error), MF_OK);
	assert_int_equal(mf_sqlite_open_reader(sqlite, &second, &error), MF_OK);
	assert_ptr_not_equal(first, second);
	assert_int_equal(mf_sql_begin_reading(first, &error), MF_OK);
	assert_int_equal(newest_of(first), 1);
	mf_sql_watch(first, stop_at_once, NULL);
	mf_sqlite_close_reader(sqlite, first, true);
	mf_sqlite_close_reader(sqlite, second, true); /* one is enough */
	kit_append(store, "d", "b");
	assert_int_equal(mf_sqlite_open_reader(sqlite, &again, &error), MF_OK);
	assert_ptr_equal(first, again);
	assert_int_equal(newest_of(again), 2); /* what was read before ended with it */
	assert_int_equal(mf_sql_check_pages(again, &error), MF_OK);
	mf_sqlite_close_reader(sqlite, again, false);
	assert_null(atomic_load(&sqlite->spare));
	kit_close(store);
}

static void a_reader_that_lies_ready_is_not_used_when_the_database_is_another_one(void **state)
{
	(void)state;
	struct mf_sql *sql;
	char aside[PATH_MAX];
	struct mf_store *store = kit_open(kit_dir);
	struct mf_sqlite *sqlite = mf_sqlite_of(store);
	assert_int_equal(mf_sqlite_open_reader(sqlite, &sql, &error), MF_OK);
	mf_sqlite_close_reader(sqlite, sql, true);
	assert_non_null(atomic_load(&sqlite->spare));
	snprintf(aside, sizeof(aside), "%s.aside", sqlite->db_path);
	assert_int_equal(rename(sqlite->db_path, aside), 0);
	assert_int_equal(mf_sqlite_open_reader(sqlite, &sql, &error), MF_ERR_IO);
	assert_null(atomic_load(&sqlite->spare));
	assert_int_equal(rename(aside, sqlite->db_path), 0);
	kit_close(store);
}

static void a_reader_whose_transaction_cannot_be_ended_is_not_kept(void **state)
{
	(void)state;
	struct mf_sql *sql;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_sqlite *sqlite = mf_sqlite_of(store);
	kit_append(store, "d", "a");
	assert_int_equal(mf_sqlite_open_reader(sqlite, &sql, &error), MF_OK);
	assert_int_equal(mf_sql_begin_reading(sql, &error), MF_OK);
	sql_fail_begin(SQL_STEP, 1, 2, SQLITE_NOMEM); /* it is tried twice */
	mf_sqlite_close_reader(sqlite, sql, true);
	assert_int_equal(sql_fail_made(SQL_STEP), 2);
	sql_fail_end();
	assert_null(atomic_load(&sqlite->spare));
	kit_close(store);
}

/* ---- numbers at their end ---- */

static void a_store_whose_numbers_are_used_up_takes_no_event(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_event events[2] = {kit_event("d", "a"), kit_event("d", "b")};
	kit_append(store, "d", "first");
	atomic_store(&mf_sqlite_of(store)->last_lsn, INT64_MAX - 1);
	assert_int_equal(mf_store_append_batch(store, events, 2, NULL, &error), MF_ERR_STATE);
	assert_non_null(strstr(error.message, "no LSNs left"));
	atomic_store(&mf_sqlite_of(store)->last_lsn, 1);
	assert_int_equal(kit_append(store, "d", "a"), 2);
	kit_close(store);
}

/* Before a byte of it is looked at. */
static void an_event_that_is_too_large_is_refused(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_event event = kit_event("d", "k");
	event.meta_len = 900000001;
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_INVALID);
	event.meta_len = 2;
	event.payload_len = 900000000 - 1;
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "2 and 899999999 bytes, together at most 900000000"));
	assert_int_equal(kit_count(store, "d", 0), 0);
	kit_close(store);
}

static void an_opening_that_cannot_be_counted_on_from_is_damage(void **state)
{
	(void)state;
	kit_close(kit_open(kit_dir));
	kit_sql(kit_dir, "UPDATE epochs SET first_lsn = -5");
	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, &error), MF_ERR_CORRUPTED);
		assert_non_null(strstr(error.message, "-5, which is impossible"));
	}
}

static void reading_from_near_the_last_number_finds_nothing(void **state)
{
	(void)state;
	struct mf_event_list list;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	mf_sqlite_of(store)->dense_at = INT64_MAX - 1; /* as if a reading had ended there */
	KIT_OK(mf_store_load_since(store, "d", INT64_MAX - 1, 10, &list, &error), &error);
	assert_int_equal(list.count, 0);
	mf_event_list_deinit(&list);
	kit_close(store);
}

/* Each is damage that verify tells of; stats does not count with it. */
static void impossible_numbers_of_lost_or_deleted_events_are_not_counted_with(void **state)
{
	(void)state;
	static const char *const changes[] = {
		"INSERT INTO compactions (doc_id, compacted_upto, chain_lsn, deleted, done, checksum) VALUES ('x', 0, 0, -1, 1, 0)",
		"UPDATE compactions SET deleted = 4",
		"UPDATE compactions SET deleted = 0; UPDATE epochs SET lost_from = first_lsn + 1 WHERE epoch = 1",
		"UPDATE epochs SET lost_from = 1, first_lsn = 4"}; /* both epochs lost them all */
	struct mf_store_stats stats;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	kit_close(store);
	kit_close(kit_open(kit_dir));
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		kit_sql(kit_dir, changes[i]);
		store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .accept_damage = true});
		KIT_OK(mf_store_stats(store, &stats, &error), &error);
		assert_int_equal(stats.events, 3);
		kit_close(store);
	}
}

/* ---- keys ---- */

static void the_same_key_with_a_payload_that_has_no_hash_is_not_the_same(void **state)
{
	(void)state;
	int64_t lsn;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_event event = kit_event("d", "k");
	event.payload = (const unsigned char *)"x";
	event.payload_len = 1;
	KIT_OK(mf_store_append(store, &event, &lsn, &error), &error);
	assert_int_equal(mf_store_append(store, &event, &lsn, &error), MF_ERR_DUPLICATE_KEY);
	assert_int_equal(error.lsn, 1);
	assert_false(error.same);
	kit_close(store);
}

/* The filter of keys cannot hold it, so every look-up asks the database. */
static void a_key_that_is_too_long_costs_the_filter_and_no_more(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	kit_close(store);
	kit_sql(kit_dir, "INSERT INTO compacted_keys (lsn, idempotency_key, content_hash, checksum) VALUES (-1, printf('%.1025c', 'x'), x'00', 0)");
	store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true});
	assert_false(atomic_load(&mf_sqlite_of(store)->keys_known));
	KIT_OK(store->ops->maintain(store, &error), &error); /* it was given up: not tried again */
	assert_false(atomic_load(&mf_sqlite_of(store)->keys_known));
	struct mf_event event = kit_event("d", "k");
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_DUPLICATE_KEY);
	kit_append(store, "d", "another");
	kit_close(store);
}

/* More than an opening reads: maintenance reads the rest, a slice at a time. */
static void the_keys_of_a_large_store_are_read_in_slices(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	kit_close(store);
	kit_sql(kit_dir, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000100)"
			 " INSERT INTO compacted_keys (lsn, idempotency_key, content_hash, checksum) SELECT -n, 'c' || n, x'00', 0 FROM c");
	store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true});
	struct mf_sqlite *own = mf_sqlite_of(store);
	assert_false(atomic_load(&own->keys_known));
	assert_int_equal(own->key_load.table, 1);
	assert_false(mf_sqlite_key_is_new(own, "never"));
	KIT_OK(store->ops->maintain(store, &error), &error);
	assert_true(atomic_load(&own->keys_known));
	assert_true(mf_sqlite_key_is_new(own, "never"));
	assert_false(mf_sqlite_key_is_new(own, "c1000100"));
	kit_close(store);
}

/* ---- compaction ---- */

static struct mf_store *store_to_compact(void)
{
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 8);
	kit_write_snapshot(store, "d", 4, 10);
	kit_write_snapshot(store, "d", 8, 10);
	return store;
}

static int64_t ask(struct mf_store *store, const char *text)
{
	int64_t out;
	KIT_OK(mf_sql_number(mf_sqlite_of(store)->reader, text, &out, &error), &error);
	return out;
}

static void a_compaction_to_where_one_was_before_leaves_its_record(void **state)
{
	(void)state;
	struct mf_store *store = store_to_compact();
	KIT_OK(mf_store_compact(store, "d", 8, &error), &error);
	kit_write_snapshot(store, "d", 4, 10); /* the document's past as somebody else kept it */
	KIT_OK(mf_store_compact(store, "d", 4, &error), &error);
	assert_int_equal(ask(store, "SELECT compacted_upto FROM compactions"), 8);
	assert_int_equal(ask(store, "SELECT count(*) FROM compacted_keys"), 8);
	kit_close(store);
}

/* Of so large a store an opening does not check every page. */
static void a_compaction_of_large_events_goes_on_until_all_are_gone(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	size_t len = 3 << 20;
	unsigned char *payload = calloc(1, len);
	assert_non_null(payload);
	for (int i = 0; i < 6; i++) {
		char key[8];
		snprintf(key, sizeof(key), "k%d", i);
		struct mf_event event = kit_event("d", key);
		event.payload = payload;
		event.payload_len = len;
		KIT_OK(mf_store_append(store, &event, NULL, &error), &error);
	}
	kit_write_snapshot(store, "d", 6, 10);
	kit_close(store);
	assert_true(kit_file_size(kit_dir, "store.db") > 16 << 20);
	store = kit_open(kit_dir);
	KIT_OK(mf_store_compact(store, "d", 6, &error), &error);
	assert_int_equal(ask(store, "SELECT count(*) FROM events"), 0);
	assert_int_equal(ask(store, "SELECT count(*) FROM compacted_keys"), 6);
	kit_close(store);
	free(payload);
}

static void a_key_that_was_kept_before_stops_a_compaction(void **state)
{
	(void)state;
	struct mf_store *store = store_to_compact();
	kit_close(store);
	kit_sql(kit_dir, "INSERT INTO compacted_keys (lsn, idempotency_key, content_hash, checksum) VALUES (2, 'other', x'00', 0)");
	store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true});
	assert_int_equal(mf_store_compact(store, "d", 8, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 2);
	assert_int_equal(ask(store, "SELECT count(*) FROM events"), 8);
	kit_close(store);
}

static void a_compaction_that_deletes_other_events_than_it_read_is_undone(void **state)
{
	(void)state;
	struct mf_store *store = store_to_compact();
	sql_fail_begin(SQL_CHANGES, 1, 1, 7);
	assert_int_equal(mf_store_compact(store, "d", 8, &error), MF_ERR_CORRUPTED);
	sql_fail_end();
	assert_int_equal(ask(store, "SELECT count(*) FROM events"), 8);
	assert_int_equal(ask(store, "SELECT count(*) FROM compacted_keys"), 0);
	kit_close(store);
	store = kit_open(kit_dir); /* which ends it */
	assert_int_equal(ask(store, "SELECT count(*) FROM events"), 0);
	kit_close(store);
}

/* ---- rows that do not fit ---- */

static void a_checkpoint_of_an_epoch_that_cannot_be_is_damage(void **state)
{
	(void)state;
	const struct mf_checkpoint checkpoint = {"f", -1, 3};
	struct mf_checkpoint out;
	char text[160];
	kit_close(kit_open(kit_dir));
	snprintf(text, sizeof(text), "INSERT INTO followers (name, epoch, lsn, checksum) VALUES ('f', -1, 3, %u)", mf_sqlite_checkpoint_checksum(&checkpoint));
	kit_sql(kit_dir, text);
	struct mf_store *store = kit_open(kit_dir);
	assert_int_equal(mf_store_load_checkpoint(store, "f", &out, &error), MF_ERR_CORRUPTED);
	kit_close(store);
}

static void a_snapshot_of_a_negative_length_or_without_a_document_is_damage(void **state)
{
	(void)state;
	static const char *const changes[] = {"UPDATE snapshots SET state_len = -1", "UPDATE snapshots SET state_len = 10, version = 4294967297"};
	struct mf_snapshot snapshot;
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	kit_write_snapshot(store, "d", 1, 10);
	kit_close(store);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		kit_sql(kit_dir, changes[i]);
		store = kit_open(kit_dir);
		assert_int_equal(mf_store_latest_snapshot(store, "d", INT64_MAX, &snapshot, &error), MF_ERR_CORRUPTED);
		assert_int_equal(error.lsn, 1);
		kit_close(store);
	}
}

static void an_event_of_no_known_action_is_damage(void **state)
{
	(void)state;
	struct mf_event_list list;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	kit_close(store);
	kit_sql(kit_dir, "UPDATE events SET action = -1 WHERE lsn = 2");
	store = kit_open(kit_dir);
	assert_int_equal(mf_store_load_since(store, "d", 0, 10, &list, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 2);
	kit_close(store);
}

/* ---- which files are there ---- */

static void make_empty_database(void)
{
	sqlite3 *db;
	char *path = kit_path(kit_dir, "store.db");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 0; CREATE TABLE t (n); DROP TABLE t", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(path);
}

static void an_empty_database_beside_a_watermark_is_a_loss_and_no_store_without_one(void **state)
{
	(void)state;
	char *watermark = kit_path(kit_dir, "watermark");
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	kit_close(store);
	make_empty_database();
	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, &error), MF_ERR_CORRUPTED);
		assert_int_equal(error.expected, 1);
		assert_int_equal(error.found, 0);
	}
	assert_int_equal(unlink(watermark), 0);
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true}, &error), MF_ERR_NOT_FOUND);
	kit_close(kit_open(kit_dir)); /* who writes may begin there */
	free(watermark);
}

static void a_database_of_tables_that_say_nothing_of_themselves_is_not_ours(void **state)
{
	(void)state;
	kit_close(kit_open(kit_dir));
	kit_sql(kit_dir, "PRAGMA application_id = 0");
	for (int read_only = 0; read_only < 2; read_only++)
		assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, &error), MF_ERR_INVALID);
}

/* ---- the watermark ---- */

static const char *note(void)
{
	static char copy[256];
	struct mf_store *store = kit_open_reader(kit_dir);
	snprintf(copy, sizeof(copy), "%s", mf_sqlite_of(store)->watermark_note);
	kit_close(store);
	return copy;
}

static void a_damaged_watermark_is_told_if_there_was_anything_to_lose(void **state)
{
	(void)state;
	kit_close(kit_open(kit_dir));
	kit_poke(kit_dir, "watermark", 9, "\x55", 1);
	assert_string_equal(note(), ""); /* the first opening, and no event: a creation that was cut off */
	kit_close(kit_open(kit_dir));
	kit_poke(kit_dir, "watermark", 9, "\x55", 1);
	assert_non_null(strstr(note(), "damaged")); /* the second */
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	kit_close(store);
	kit_poke(kit_dir, "watermark", 9, "\x55", 1);
	assert_non_null(strstr(note(), "damaged"));
}

static void after_a_failed_sync_the_damage_may_be_accepted_unseen(void **state)
{
	(void)state;
	struct mf_sqlite_options options = {.dir = kit_dir, .env = vfs_shim_env()};
	struct mf_store *store = kit_open_with(&options);
	kit_append_many(store, "d", "k", 3);
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO});
	assert_int_equal(mf_store_sync(store, NULL, &error), MF_ERR_UNKNOWN_OUTCOME);
	(void)mf_store_close(store, &error);
	vfs_shim_reset();
	kit_sql(kit_dir, "UPDATE events SET ts = ts + 1 WHERE lsn = 2");
	assert_int_equal(kit_open_fails(&options, &error), MF_ERR_CORRUPTED);
	options.accept_damage = true;
	store = kit_open_with(&options);
	assert_int_equal(kit_append(store, "d", "next"), 4);
	kit_close(store);
	vfs_shim_reset();
}

static void the_first_reason_to_stop_writing_is_the_one_that_stays(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_sqlite *own = mf_sqlite_of(store);
	struct mf_event event = kit_event("d", "k");
	mf_error_set(&error, MF_ERR_UNKNOWN_OUTCOME, "the first");
	mf_sqlite_end_write(own, MF_ERR_UNKNOWN_OUTCOME, &error);
	mf_error_set(&error, MF_ERR_UNKNOWN_OUTCOME, "the second");
	mf_sqlite_end_write(own, MF_ERR_UNKNOWN_OUTCOME, &error);
	assert_int_not_equal(mf_store_append(store, &event, NULL, &error), MF_OK);
	assert_non_null(strstr(error.message, "the first"));
	(void)mf_store_close(store, &error);
}

static void a_sync_that_fails_before_a_checkpoint_stops_the_store(void **state)
{
	(void)state;
	struct mf_sqlite_options options = {.dir = kit_dir, .env = vfs_shim_env(), .checkpoint_pages = 1};
	struct mf_store *store = kit_open_with(&options);
	kit_append_many(store, "d", "k", 30);
	int64_t checkpoints = atomic_load(&mf_sqlite_of(store)->checkpoints);
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO});
	assert_int_equal(store->ops->maintain(store, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(atomic_load(&mf_sqlite_of(store)->checkpoints), checkpoints);
	(void)mf_store_close(store, &error);
	vfs_shim_reset();
}

/* ---- backups ---- */

static void a_copy_that_ends_before_its_store_is_no_backup(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "backup");
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	sql_fail_begin(SQL_NUMBER, 1, 1, 1000); /* what the store held before */
	assert_int_equal(mf_store_backup(store, path, NULL, NULL, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "the store held LSN 1000"));
	assert_int_equal(access(path, F_OK), -1);
	kit_close(store);
	free(path);
}

static int rename_after_another(void *user, const char *from, const char *to, bool replace)
{
	int fd = open(to, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	return mf_env_os()->rename(user, from, to, replace);
}

static void a_backup_takes_no_place_of_a_file_that_came_meanwhile(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "backup");
	struct mf_env env = *mf_env_os();
	env.rename = rename_after_another;
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env});
	kit_append(store, "d", "k");
	assert_int_equal(mf_store_backup(store, path, NULL, NULL, NULL, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "meanwhile"));
	assert_int_equal(kit_file_size(kit_dir, "backup"), 0); /* it is as it was */
	kit_close(store);
	free(path);
}

static int64_t reads, short_read;

static ssize_t read_less(void *user, int fd, void *bytes, size_t len, int64_t offset)
{
	return ++reads == short_read ? 0 : mf_env_os()->pread(user, fd, bytes, len, offset);
}

static void a_backup_that_becomes_shorter_is_not_restored(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "backup"), *dir = kit_path(kit_dir, "restored");
	struct mf_env env = *mf_env_os();
	env.pread = read_less;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	KIT_OK(mf_store_backup(store, path, NULL, NULL, NULL, &error), &error);
	kit_close(store);
	const struct mf_restore_options options = {.file = path, .dir = dir, .env = &env};
	reads = 0;
	short_read = 1; /* its end, which is its mark */
	assert_int_equal(mf_store_restore(&options, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "not a whole backup"));
	reads = 0;
	short_read = 2;
	assert_int_equal(mf_store_restore(&options, NULL, &error), MF_ERR_IO);
	assert_non_null(strstr(error.message, "became shorter"));
	assert_int_equal(access(dir, F_OK), -1);
	free(path);
	free(dir);
}

static bool count_calls(void *user, int64_t done, int64_t of)
{
	assert_true(done >= 0 && done <= of);
	++*(int *)user;
	return true;
}

static bool never(void *user, int64_t done, int64_t of)
{
	(void)user, (void)done, (void)of;
	return false;
}

static void a_restore_stops_when_it_is_asked_to(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "backup"), *dir = kit_path(kit_dir, "restored");
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	KIT_OK(mf_store_backup(store, path, NULL, NULL, NULL, &error), &error);
	kit_close(store);
	assert_int_equal(mf_store_restore(&(struct mf_restore_options){.file = path, .dir = dir, .progress = never}, NULL, &error), MF_ERR_STATE);
	assert_non_null(strstr(error.message, "as was asked"));
	assert_int_equal(access(dir, F_OK), -1);
	int calls = 0;
	KIT_OK(mf_store_restore(&(struct mf_restore_options){.file = path, .dir = dir, .progress = count_calls, .user = &calls}, NULL, &error), &error);
	assert_true(calls > 0);
	free(path);
	free(dir);
}

/* ---- counters ---- */

static void counters_whose_seal_is_not_at_the_end_of_a_line_are_not_whole(void **state)
{
	(void)state;
	struct mf_buffer out = {0};
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(store->ops->save_metrics(store, "{\"a\": 1}", 8, &error), &error);
	kit_close(store);
	kit_poke(kit_dir, "metrics", 8 + 9, " ", 1);
	store = kit_open(kit_dir);
	assert_int_equal(store->ops->load_metrics(store, &out, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(out.len, 0);
	kit_close(store);
	mf_buffer_deinit(&out);
}

/* ---- who may ---- */

static void only_the_owner_backs_up_and_counts_and_only_a_writer_takes_snapshots(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "backup");
	struct mf_store *store = kit_open(kit_dir);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		leave(mf_store_backup(store, path, NULL, NULL, NULL, NULL) == MF_ERR_STATE && store->ops->save_metrics(store, "{}", 2, NULL) == MF_ERR_STATE ? 0 : 1);
	int ended;
	assert_int_equal(waitpid(child, &ended, 0), child);
	assert_int_equal(ended, 0);
	assert_int_equal(access(path, F_OK), -1);
	kit_append(store, "d", "k");
	struct mf_store *reader = kit_open_reader(kit_dir);
	const struct mf_snapshot snapshot = {.doc_id = "d", .upto_lsn = 1, .version = 1};
	assert_int_equal(reader->ops->snapshot_finish(reader, &snapshot, &error), MF_ERR_STATE);
	kit_close(reader);
	kit_close(store);
	free(path);
}

static void a_reader_that_cannot_see_the_watermark_says_so(void **state)
{
	(void)state;
	struct mf_store_stats stats;
	kit_close(kit_open(kit_dir));
	struct mf_store *reader = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .env = env_fail()});
	env_fail_begin(2, 1, EIO); /* before it: is it still the same database? That is not known then */
	assert_int_equal(mf_store_stats(reader, &stats, &error), MF_ERR_IO);
	env_fail_end();
	KIT_OK(mf_store_stats(reader, &stats, &error), &error);
	sql_fail_begin(SQL_STEP, 1, 1, SQLITE_NOMEM);
	assert_int_equal(mf_store_stats(reader, &stats, &error), MF_ERR_NO_MEMORY);
	sql_fail_end();
	kit_close(reader);
}

static struct mf_sql *volatile left; /* a connection that could not be closed */

static void a_close_that_fails_says_so_and_lets_the_next_writer_in(void **state)
{
	(void)state;
	bool row;
	struct mf_stmt *stmt;
	struct mf_store *store = kit_open(kit_dir);
	left = mf_sqlite_of(store)->reader;
	KIT_OK(mf_sql_prepare(left, "SELECT 1 UNION SELECT 2", &stmt, &error), &error);
	KIT_OK(mf_stmt_step(stmt, &row, &error), &error);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_BUSY);
	mf_stmt_free(stmt);
	kit_close(kit_open(kit_dir));
}

/* ---- lies ---- */

static void count_finding(void *user, const struct mf_damage *damage)
{
	(void)damage;
	++*(int *)user;
}

/* As a flipped bit in a page of a table or an index would have it: each number that verify reads is another, in turn. It comes to its end,
 * and what it tells is damage. */
static void verify_ends_whatever_numbers_it_reads(void **state)
{
	(void)state;
	static const int64_t lies[] = {0, -1, 1, 5, INT64_MAX, INT64_MIN / 2};
	int64_t told = 0;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 6);
	kit_write_snapshot(store, "d", 3, 10);
	KIT_OK(mf_store_compact(store, "d", 3, &error), &error);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		for (int64_t n = 1, reached = 1; reached >= n; n++) {
			int findings = 0;
			sql_fail_begin(SQL_NUMBER, n, 1, lies[i]);
			enum mf_status status = mf_store_verify(store, count_finding, &findings, &error);
			reached = sql_fail_made(SQL_NUMBER);
			sql_fail_end();
			assert_true(status == MF_OK || status == MF_ERR_CORRUPTED);
			assert_int_equal(status == MF_ERR_CORRUPTED, findings > 0);
			told += findings;
		}
	assert_true(told > 100);
	int findings = 0;
	KIT_OK(mf_store_verify(store, count_finding, &findings, &error), &error);
	kit_close(store);
}

static void note_lowest(void *user, const struct mf_damage *damage)
{
	int64_t *lowest = user;
	*lowest = damage->lsn < *lowest ? damage->lsn : *lowest;
}

/* Behind it there is none, so none is missing: the walk counted on, and told of events with negative numbers. */
static void an_event_with_the_largest_number_has_none_behind_it(void **state)
{
	(void)state;
	int64_t lowest = INT64_MAX;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	kit_write_snapshot(store, "d", 1, 10);
	KIT_OK(mf_store_compact(store, "d", 1, &error), &error);
	kit_sql(kit_dir, "UPDATE events SET lsn = 9223372036854775807 WHERE lsn = 3"); /* while it is open */
	assert_int_equal(mf_store_verify(store, note_lowest, &lowest, &error), MF_ERR_CORRUPTED);
	assert_true(lowest >= 0);
	kit_close(store);
}

/* Whether a writer beside us has come so far since is asked of the database, which may not answer. */
static void a_snapshot_of_events_that_are_not_there_is_told_if_memory_allows(void **state)
{
	(void)state;
	int findings = 0, starved = 0;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	atomic_store(&mf_sqlite_of(store)->last_lsn, 99); /* as if there were so many */
	kit_write_snapshot(store, "d", 99, 10);
	atomic_store(&mf_sqlite_of(store)->last_lsn, 3);
	assert_int_equal(mf_store_verify(store, count_finding, &findings, &error), MF_ERR_CORRUPTED);
	assert_int_equal(findings, 1);
	bool more = true;
	for (int64_t n = 1; more; n++) {
		sql_fail_begin(SQL_STEP, n, 1, SQLITE_NOMEM);
		enum mf_status status = mf_store_verify(store, count_finding, &findings, &error);
		more = sql_fail_made(SQL_STEP) >= n;
		sql_fail_end();
		assert_true(status == MF_ERR_CORRUPTED || status == MF_ERR_NO_MEMORY || status == MF_OK);
		starved += status == MF_ERR_NO_MEMORY;
	}
	assert_true(starved > 10);
	kit_close(store);
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_reader_that_was_closed_is_the_next_one_and_knows_nothing_of_the_last),
		T(a_reader_that_lies_ready_is_not_used_when_the_database_is_another_one),
		T(a_reader_whose_transaction_cannot_be_ended_is_not_kept),
		T(a_store_whose_numbers_are_used_up_takes_no_event),
		T(an_event_that_is_too_large_is_refused),
		T(an_opening_that_cannot_be_counted_on_from_is_damage),
		T(reading_from_near_the_last_number_finds_nothing),
		T(impossible_numbers_of_lost_or_deleted_events_are_not_counted_with),
		T(the_same_key_with_a_payload_that_has_no_hash_is_not_the_same),
		T(a_key_that_is_too_long_costs_the_filter_and_no_more),
		T(the_keys_of_a_large_store_are_read_in_slices),
		T(a_compaction_to_where_one_was_before_leaves_its_record),
		T(a_compaction_of_large_events_goes_on_until_all_are_gone),
		T(a_key_that_was_kept_before_stops_a_compaction),
		T(a_compaction_that_deletes_other_events_than_it_read_is_undone),
		T(a_checkpoint_of_an_epoch_that_cannot_be_is_damage),
		T(a_snapshot_of_a_negative_length_or_without_a_document_is_damage),
		T(an_event_of_no_known_action_is_damage),
		T(an_empty_database_beside_a_watermark_is_a_loss_and_no_store_without_one),
		T(a_database_of_tables_that_say_nothing_of_themselves_is_not_ours),
		T(a_damaged_watermark_is_told_if_there_was_anything_to_lose),
		T(after_a_failed_sync_the_damage_may_be_accepted_unseen),
		T(the_first_reason_to_stop_writing_is_the_one_that_stays),
		T(a_sync_that_fails_before_a_checkpoint_stops_the_store),
		T(a_copy_that_ends_before_its_store_is_no_backup),
		T(a_backup_takes_no_place_of_a_file_that_came_meanwhile),
		T(a_backup_that_becomes_shorter_is_not_restored),
		T(a_restore_stops_when_it_is_asked_to),
		T(counters_whose_seal_is_not_at_the_end_of_a_line_are_not_whole),
		T(only_the_owner_backs_up_and_counts_and_only_a_writer_takes_snapshots),
		T(a_reader_that_cannot_see_the_watermark_says_so),
		T(a_close_that_fails_says_so_and_lets_the_next_writer_in),
		T(verify_ends_whatever_numbers_it_reads),
		T(an_event_with_the_largest_number_has_none_behind_it),
		T(a_snapshot_of_events_that_are_not_there_is_told_if_memory_allows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
