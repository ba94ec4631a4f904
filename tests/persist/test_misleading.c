/* Indexes and records that mislead: one flipped bit in them, and what is deleted, replaced or numbered by them would be another's. An
 * opening for writing looks; and where it was told not to (accept_damage), whoever deletes looks at the row itself. */
#include "store_kit.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sql_fail.h"

static struct mf_error error;

static int tear_down(void **state)
{
	sql_fail_end();
	return kit_tear_down(state);
}

/* Its snapshots, in the order of their rows: 1 zero, 2 and 4 asks, 3 best. The events of best are gone. */
static void make_store(void)
{
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "asks", "a", 20);
	kit_append_many(store, "best", "b", 20);
	kit_append_many(store, "zero", "z", 2);
	kit_write_snapshot(store, "zero", 41, 100);
	kit_write_snapshot(store, "asks", 10, 100);
	kit_write_snapshot(store, "best", 40, 100);
	kit_write_snapshot(store, "asks", 20, 100);
	KIT_OK(mf_store_compact(store, "best", 40, &error), &error);
	kit_close(store);
}

/* The entry of asks' first snapshot in the index of snapshots: a header, the document, the LSN, the row. */
#define ENTRY "\x04\x15\x01\x01" "asks\x0a\x02"

static void put(const char *bytes, size_t len, size_t at, unsigned char value)
{
	kit_poke(kit_dir, "store.db", kit_find(kit_dir, "store.db", bytes, len) + (int64_t)at, &value, 1);
}

static void lead_to_the_row_of_best(void)
{
	put(ENTRY, 10, 9, 3);
}

/* Entry number n, from 0, of the page that these bytes are on, and the next one change places. */
static void swap_entries(const char *bytes, size_t len, int n)
{
	unsigned char where[4];
	int64_t list = kit_find(kit_dir, "store.db", bytes, len) / 4096 * 4096 + 8 + 2 * n;
	char *path = kit_path(kit_dir, "store.db");
	int fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, where, 4, list), 4);
	close(fd);
	free(path);
	const unsigned char swapped[4] = {where[2], where[3], where[0], where[1]};
	kit_poke(kit_dir, "store.db", list, swapped, 4);
}

static void expect_snapshot(struct mf_store *store, const char *doc_id, int64_t upto_lsn)
{
	struct mf_snapshot snapshot;
	KIT_OK(mf_store_latest_snapshot(store, doc_id, upto_lsn, &snapshot, &error), &error);
	assert_int_equal(snapshot.upto_lsn, upto_lsn);
	mf_snapshot_deinit(&snapshot);
}

/* ---- snapshots ---- */

static void a_snapshot_that_its_index_does_not_lead_to_is_refused_for_writing(void **state)
{
	(void)state;
	make_store();
	lead_to_the_row_of_best();
	kit_expect_refused(false, "the index of snapshots does not have it", &error);
	kit_close(kit_open_reader(kit_dir));
}

static void no_pruning_deletes_the_snapshot_of_another_document(void **state)
{
	(void)state;
	make_store();
	lead_to_the_row_of_best();
	struct mf_store *store = kit_open_all_the_same();
	assert_int_equal(mf_store_prune_snapshots(store, "asks", 1, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 10);
	expect_snapshot(store, "best", 40);
	kit_close(store);
}

static void no_snapshot_replaces_that_of_another_document(void **state)
{
	(void)state;
	make_store();
	lead_to_the_row_of_best();
	struct mf_store *store = kit_open_all_the_same();
	assert_int_equal(kit_try_snapshot(store, "asks", 10, 0, 50, &error), MF_ERR_CORRUPTED);
	expect_snapshot(store, "best", 40);
	kit_close(store);
}

static void no_snapshot_builds_on_one_that_is_another_documents(void **state)
{
	(void)state;
	make_store();
	lead_to_the_row_of_best();
	struct mf_store *store = kit_open_all_the_same();
	assert_int_equal(kit_try_snapshot(store, "asks", 15, 10, 50, &error), MF_ERR_CORRUPTED);
	kit_close(store);
}

static void no_event_goes_for_a_snapshot_that_is_another_documents(void **state)
{
	(void)state;
	make_store();
	lead_to_the_row_of_best();
	struct mf_store *store = kit_open_all_the_same();
	assert_int_equal(mf_store_compact(store, "asks", 10, &error), MF_ERR_CORRUPTED);
	assert_int_equal(kit_count(store, "asks", 0), 20);
	kit_close(store);
}

static void no_pruning_goes_by_the_row_of_another_document(void **state)
{
	(void)state;
	make_store();
	put("\x04\x15\x01\x01" "asks\x14\x04", 10, 9, 3); /* of the one that is to stay */
	struct mf_store *store = kit_open_all_the_same();
	assert_int_equal(mf_store_prune_snapshots(store, "asks", 1, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 20);
	expect_snapshot(store, "asks", 10);
	kit_close(store);
}

/* Of four entries the second is looked at first: 30 is found there, before 20. */
static void no_pruning_takes_an_older_snapshot_for_the_newest(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "asks", "a", 30);
	kit_append(store, "zero", "z");
	kit_write_snapshot(store, "zero", 31, 100);
	for (int lsn = 10; lsn <= 30; lsn += 10)
		kit_write_snapshot(store, "asks", lsn, 100);
	kit_close(store);
	swap_entries(ENTRY, 10, 1);
	kit_expect_refused(false, "the index of snapshots", &error);
	store = kit_open_all_the_same();
	assert_int_equal(mf_store_prune_snapshots(store, "asks", 1, &error), MF_ERR_CORRUPTED);
	kit_close(store);
	kit_sql(kit_dir, "REINDEX snapshots");
	store = kit_open(kit_dir);
	expect_snapshot(store, "asks", 30);
	kit_close(store);
}

static void a_snapshot_is_replaced_and_counted_once(void **state)
{
	(void)state;
	struct mf_store_stats stats;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	kit_write_snapshot(store, "asks", 10, 200);
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.snapshots, 4);
	kit_write_snapshot(store, "asks", 10, 300);
	KIT_OK(mf_store_prune_snapshots(store, "asks", 1, &error), &error);
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.snapshots, 3);
	expect_snapshot(store, "asks", 20);
	kit_close(store);
}

/* ---- chunks ---- */

static void no_sweep_deletes_chunks_of_a_snapshot_that_the_index_does_not_have(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "asks", "a", 20);
	kit_append(store, "zero", "z");
	kit_write_snapshot(store, "zero", 21, 100);
	kit_write_snapshot(store, "asks", 10, 1200000);
	kit_close(store);
	put(ENTRY, 10, 8, 0x0b); /* 11 in place of 10 */
	kit_expect_refused(false, "the index of snapshots does not have it", &error);
	store = kit_open_all_the_same();
	kit_write_snapshot(store, "asks", 20, 100);
	assert_int_equal(store->ops->snapshot_chunk(store, "asks", 20, 0, "x", 1, &error), MF_ERR_CORRUPTED);
	kit_close(store);
	kit_sql(kit_dir, "REINDEX snapshots");
	store = kit_open(kit_dir);
	expect_snapshot(store, "asks", 10);
	kit_close(store);
}

static void no_sweep_deletes_the_chunk_of_another_snapshot(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "asks", "a", 20);
	kit_append_many(store, "best", "b", 20);
	kit_write_snapshot(store, "best", 40, 1200000); /* chunks 1 and 2 */
	KIT_OK(store->ops->snapshot_chunk(store, "asks", 10, 0, "rest", 4, &error), &error);
	kit_close(store);
	put("\x06\x15\x01\x09\x08\x01" "asks\x0a\x03", 12, 11, 2);
	kit_expect_refused(false, "the index of chunks does not have one of its chunks", &error);
	store = kit_open_all_the_same();
	assert_int_equal(store->ops->snapshot_chunk(store, "asks", 20, 0, "x", 1, &error), MF_ERR_CORRUPTED);
	expect_snapshot(store, "best", 40);
	kit_close(store);
}

/* Two takes of one snapshot, which is pruned. */
static void chunks_of_each_take_are_swept(void **state)
{
	(void)state;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	kit_write_snapshot(store, "asks", 10, 1200000);
	KIT_OK(store->ops->snapshot_chunk(store, "asks", 10, 0, "x", 1, &error), &error);
	KIT_OK(mf_store_prune_snapshots(store, "asks", 1, &error), &error);
	kit_close(store);
	kit_sql(kit_dir, "CREATE TEMP TABLE t (n CHECK (n = 0)); INSERT INTO t SELECT count(*) FROM snapshot_chunks");
}

/* ---- what fails on the way ---- */

static enum mf_status replace(struct mf_store *store)
{
	return kit_try_snapshot(store, "asks", 10, 0, 50, &error);
}

static enum mf_status sweep(struct mf_store *store)
{
	return store->ops->snapshot_chunk(store, "asks", 20, 0, "x", 1, &error);
}

/* Each of its steps fails in turn: all of it happens or nothing, and the snapshot is there. */
static void let_each_step_fail(enum mf_status (*call)(struct mf_store *store))
{
	int64_t n = 1;
	for (bool reached = true; reached; n++) {
		struct mf_store *store = kit_open(kit_dir);
		KIT_OK(store->ops->snapshot_chunk(store, "asks", 15, 0, "rest", 4, &error), &error);
		sql_fail_begin(SQL_STEP, n, 1, SQLITE_NOMEM);
		enum mf_status status = call(store);
		reached = sql_fail_made(SQL_STEP) >= n;
		sql_fail_end();
		assert_true(status == MF_OK || (reached && (status == MF_ERR_NO_MEMORY || status == MF_ERR_UNKNOWN_OUTCOME)));
		expect_snapshot(store, "asks", 10);
		(void)mf_store_close(store, NULL); /* after an unknown outcome it says so */
	}
	assert_true(n > 5);
}

static void a_replacement_that_fails_leaves_the_snapshot_that_was_there(void **state)
{
	(void)state;
	make_store();
	let_each_step_fail(replace);
}

static void a_sweep_that_fails_deletes_no_other_chunk(void **state)
{
	(void)state;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	kit_write_snapshot(store, "asks", 10, 1200000);
	kit_close(store);
	let_each_step_fail(sweep);
}

static void ignore(void *user, const struct mf_damage *damage)
{
	(void)user, (void)damage;
}

static void verify_of_what_builds_on_another_tells_each_failure(void **state)
{
	(void)state;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(kit_try_snapshot(store, "asks", 30, 20, 50, &error), &error);
	int64_t n = 1;
	for (;; n++) {
		sql_fail_begin(SQL_STEP, n, 1, SQLITE_NOMEM);
		enum mf_status status = mf_store_verify(store, ignore, NULL, &error);
		bool reached = sql_fail_made(SQL_STEP) >= n;
		sql_fail_end();
		assert_true(status == MF_OK || (reached && status == MF_ERR_NO_MEMORY));
		if (!reached)
			break;
	}
	assert_true(n > 100);
	kit_close(store);
}

/* ---- verify ---- */

struct wanted {
	const char *doc_id, *words;
	int found;
};

static void look_for(void *user, const struct mf_damage *damage)
{
	struct wanted *wanted = user;
	wanted->found += damage->doc_id && strcmp(damage->doc_id, wanted->doc_id) == 0 && strstr(damage->message, wanted->words);
}

static void expect_finding(const char *doc_id, const char *words, int times)
{
	struct wanted wanted = {doc_id, words, 0};
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .accept_damage = true});
	assert_int_equal(mf_store_verify(store, look_for, &wanted, &error), MF_ERR_CORRUPTED);
	assert_int_equal(wanted.found, times);
	kit_close(store);
}

/* As whoever deletes through the index does it: the row goes, and the entry that led to it; the row's own entry stays. */
static void verify_does_not_believe_an_entry_that_a_snapshot_is_there(void **state)
{
	(void)state;
	make_store();
	lead_to_the_row_of_best();
	expect_finding("best", "its state is lost", 0);
	kit_sql(kit_dir, "DELETE FROM snapshots WHERE doc_id = 'asks' AND upto_lsn = 10");
	expect_finding("best", "its state is lost", 1);
}

static void verify_does_not_believe_an_entry_that_a_base_is_there(void **state)
{
	(void)state;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(kit_try_snapshot(store, "best", 42, 40, 50, &error), &error);
	kit_close(store);
	lead_to_the_row_of_best();
	expect_finding("best", "on which it builds, is missing", 0);
	kit_sql(kit_dir, "DELETE FROM snapshots WHERE doc_id = 'asks' AND upto_lsn = 10");
	expect_finding("best", "on which it builds, is missing", 1);
	expect_finding("best", "its state is lost", 0);
}

static void verify_finds_a_snapshot_that_no_entry_leads_to(void **state)
{
	(void)state;
	make_store();
	put("\x04\x15\x01\x01" "best\x28\x03", 10, 9, 2); /* to a row of asks */
	expect_finding("best", "its state is lost", 0);
	expect_finding("best", "the index of snapshots does not have it", 1);
}

/* ---- records of compactions ---- */

#define DAMAGED_RECORD "the record of the document's compaction does not fit its checksum"

static void a_damaged_record_of_a_compaction_is_refused_for_writing(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE compactions SET chain_lsn = 4");
	kit_expect_refused(false, DAMAGED_RECORD, &error);
}

static void a_record_of_a_compaction_that_is_not_found_is_refused_for_writing(void **state)
{
	(void)state;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(mf_store_compact(store, "asks", 10, &error), &error);
	kit_close(store);
	swap_entries("asks\x0a\x0a\x0a", 7, 0);
	kit_expect_refused(false, "is not found under its name", &error);
}

/* Of three the one that comes first then is met, but not found. */
static void a_record_that_is_met_but_not_found_is_not_written_anew(void **state)
{
	(void)state;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(mf_store_compact(store, "asks", 10, &error), &error);
	KIT_OK(mf_store_compact(store, "zero", 41, &error), &error);
	kit_close(store);
	kit_sql(kit_dir, "UPDATE compactions SET done = 0");
	swap_entries("asks\x0a\x0a\x0a", 7, 0);
	alarm(60);
	kit_close(kit_open_all_the_same());
	alarm(0);
	kit_sql(kit_dir, "CREATE TEMP TABLE t (n CHECK (n = 3)); INSERT INTO t SELECT count(*) FROM compactions");
}

static void no_event_is_numbered_by_a_damaged_record_of_a_compaction(void **state)
{
	(void)state;
	make_store();
	kit_sql(kit_dir, "UPDATE compactions SET chain_lsn = 4");
	struct mf_store *store = kit_open_all_the_same();
	struct mf_event event = kit_event("best", "next");
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, DAMAGED_RECORD));
	assert_int_equal(kit_append(store, "asks", "of another"), 43);
	kit_close(store);
}

static void the_next_event_of_a_document_without_events_follows_on_the_compacted(void **state)
{
	(void)state;
	struct mf_event_list list;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "best", "next");
	KIT_OK(mf_store_load_since(store, "best", 40, 10, &list, &error), &error);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.events[0].prev_lsn, 40);
	mf_event_list_deinit(&list);
	kit_close(store);
}

static void no_reading_believes_a_damaged_record_of_a_compaction(void **state)
{
	(void)state;
	int64_t lsn;
	struct mf_event_list list;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(store->ops->last_lsn(store, "best", &lsn, &error), &error);
	assert_int_equal(lsn, 40);
	KIT_OK(mf_store_compact(store, "asks", 10, &error), &error);
	kit_close(store);
	kit_sql(kit_dir, "UPDATE compactions SET deleted = deleted + 64");
	store = kit_open_reader(kit_dir);
	assert_int_equal(store->ops->last_lsn(store, "best", &lsn, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, DAMAGED_RECORD));
	assert_int_equal(mf_store_load_since(store, "asks", 5, 10, &list, &error), MF_ERR_CORRUPTED); /* 11 follows on 10, which is gone */
	assert_non_null(strstr(error.message, DAMAGED_RECORD));
	kit_close(store);
}

/* ---- followers ---- */

static void a_checkpoint_of_a_follower_that_is_not_found_is_refused_for_writing(void **state)
{
	(void)state;
	make_store();
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"follower one", 1, 5}, &error), &error);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"follower two", 1, 6}, &error), &error);
	kit_close(store);
	kit_close(kit_open(kit_dir));
	swap_entries("follower one", 12, 0);
	kit_expect_refused(false, "a follower's checkpoint is there, but is not found under its name", &error);
	struct kit_findings findings;
	store = kit_open_reader(kit_dir);
	assert_int_equal(kit_verify(store, "follower", &findings), MF_ERR_CORRUPTED);
	assert_true(findings.of_kind > 0);
	kit_close(store);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_snapshot_that_its_index_does_not_lead_to_is_refused_for_writing),
		T(no_pruning_deletes_the_snapshot_of_another_document),
		T(no_snapshot_replaces_that_of_another_document),
		T(no_snapshot_builds_on_one_that_is_another_documents),
		T(no_event_goes_for_a_snapshot_that_is_another_documents),
		T(no_pruning_goes_by_the_row_of_another_document),
		T(no_pruning_takes_an_older_snapshot_for_the_newest),
		T(a_snapshot_is_replaced_and_counted_once),
		T(no_sweep_deletes_chunks_of_a_snapshot_that_the_index_does_not_have),
		T(no_sweep_deletes_the_chunk_of_another_snapshot),
		T(chunks_of_each_take_are_swept),
		T(a_replacement_that_fails_leaves_the_snapshot_that_was_there),
		T(a_sweep_that_fails_deletes_no_other_chunk),
		T(verify_of_what_builds_on_another_tells_each_failure),
		T(verify_does_not_believe_an_entry_that_a_snapshot_is_there),
		T(verify_does_not_believe_an_entry_that_a_base_is_there),
		T(verify_finds_a_snapshot_that_no_entry_leads_to),
		T(a_damaged_record_of_a_compaction_is_refused_for_writing),
		T(a_record_of_a_compaction_that_is_not_found_is_refused_for_writing),
		T(a_record_that_is_met_but_not_found_is_not_written_anew),
		T(no_event_is_numbered_by_a_damaged_record_of_a_compaction),
		T(the_next_event_of_a_document_without_events_follows_on_the_compacted),
		T(no_reading_believes_a_damaged_record_of_a_compaction),
		T(a_checkpoint_of_a_follower_that_is_not_found_is_refused_for_writing),
	};
	return cmocka_run_group_tests_name("misleading", tests, NULL, NULL);
}
