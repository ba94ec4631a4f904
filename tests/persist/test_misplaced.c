/* A page in the place of another one: sound as a page, and without the rows that should be there. SQLite finds nothing in that. */
#include "store_kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <moduforge/backup.h>

#define PAGE 4096

static struct mf_error error;

/* The table's name leads to an empty one. Its indexes stay as they are. */
static void empty(const char *table)
{
	char sql[512];
	snprintf(sql, sizeof(sql), "CREATE TABLE other (a); CREATE TEMP TABLE roots AS SELECT name, rootpage FROM sqlite_master WHERE name IN ('other', '%s');"
				   " PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = (SELECT r.rootpage FROM roots r WHERE r.name <> sqlite_master.name)"
				   " WHERE name IN ('other', '%s')", table, table);
	kit_sql(kit_dir, sql);
}

/* ---- snapshots ---- */

static void snapshots_or_chunks_that_are_gone_while_their_index_has_them_are_missed(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	kit_write_snapshot(store, "d", 3, 1200000);
	kit_close(store);
	empty("snapshot_chunks");
	kit_expect_refused(false, "there are no chunks", &error);
	kit_sql(kit_dir, "DROP TABLE other");
	empty("snapshots");
	kit_expect_refused(false, "there are no snapshots", &error);
}

/* ---- records of compactions ---- */

static void compact_whole(void)
{
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_append(store, "e", "e");
	kit_write_snapshot(store, "d", 5, 100);
	KIT_OK(mf_store_compact(store, "d", 5, &error), &error);
	kit_close(store);
}

/* Its next event would be its first. */
static void a_document_whose_events_are_gone_does_not_go_on_without_its_record(void **state)
{
	(void)state;
	compact_whole();
	kit_sql(kit_dir, "DELETE FROM compactions");
	kit_expect_refused(false, "no record of a compaction", &error);
	kit_expect_finding("chain", "d", 5);
}

/* Not even by who goes on all the same, and whose newer snapshot takes the place of the one that told of it. */
static void a_lost_record_of_a_compaction_is_found_for_ever(void **state)
{
	(void)state;
	compact_whole();
	kit_sql(kit_dir, "DELETE FROM compactions");
	struct mf_store *store = kit_open_all_the_same();
	assert_int_equal(kit_append(store, "d", "next"), 7);
	kit_write_snapshot(store, "d", 7, 100);
	KIT_OK(mf_store_prune_snapshots(store, "d", 1, &error), &error);
	kit_close(store);
	kit_expect_finding("chain", "", 0);
}

/* ---- records of openings ---- */

static void a_store_without_the_record_of_its_newest_events_opening_is_not_written(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	kit_close(store);
	kit_close(kit_open(kit_dir));
	kit_sql(kit_dir, "DELETE FROM epochs WHERE epoch = 1");
	kit_expect_refused(false, "no record of the opening", &error);
	assert_int_equal(error.lsn, 3);
	kit_sql(kit_dir, "DELETE FROM epochs");
	kit_expect_refused(false, "no record of the opening", &error);
	kit_close(kit_open_all_the_same());
}

/* ---- followers ---- */

#define FOLLOWERS 600

static void save(struct mf_store *store, const char *name)
{
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){name, 1, 4}, &error), &error);
}

static const char *name_of(int number)
{
	static char name[64];
	snprintf(name, sizeof(name), "a follower with a rather long name, %04d", number);
	return name;
}

/* One over another one with as many rows. */
static void copy_a_page_of_followers(void)
{
	static unsigned char pages[64][PAGE];
	off_t places[64];
	int found = 0;
	char *path = kit_path(kit_dir, "store.db");
	int fd = open(path, O_RDWR | O_CLOEXEC);
	free(path);
	assert_true(fd >= 0);
	for (off_t at = 0; found < 64 && pread(fd, pages[found], PAGE, at) == PAGE; at += PAGE) {
		places[found] = at;
		found += pages[found][0] == 10 && memmem(pages[found], PAGE, "a follower", 10); /* a leaf of an index, as such a table is stored */
	}
	for (int i = 1; i < found; i++)
		if (memcmp(pages[0] + 3, pages[i] + 3, 2) == 0) {
			assert_int_equal(pwrite(fd, pages[0], PAGE, places[i]), PAGE);
			close(fd);
			return;
		}
	fail_msg("no two of %d pages have as many rows", found);
}

static bool see(void *user, const struct mf_checkpoint *checkpoint)
{
	(void)checkpoint;
	++*(int *)user;
	return true;
}

static void a_page_of_other_followers_is_missed_though_their_number_is_right(void **state)
{
	(void)state;
	int seen = 0, lost = 0;
	struct mf_checkpoint out;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	for (int i = 0; i < FOLLOWERS; i++)
		save(store, name_of(i));
	kit_close(store);
	copy_a_page_of_followers();
	store = kit_open(kit_dir);
	for (int i = 0; i < FOLLOWERS; i++) {
		enum mf_status status = mf_store_load_checkpoint(store, name_of(i), &out, &error);
		assert_true(status == MF_OK || status == MF_ERR_CORRUPTED);
		lost += status == MF_ERR_CORRUPTED;
	}
	assert_true(lost > 0);
	assert_int_equal(mf_store_checkpoints(store, see, &seen, &error), MF_ERR_CORRUPTED);
	kit_close(store);
	kit_expect_finding("follower", "", 0);
}

/* They are counted as a store of format 2 is first written; where they cannot be, who accepts damage gets it all the same. */
static void followers_that_cannot_be_counted_keep_nobody_from_the_events(void **state)
{
	(void)state;
	struct mf_checkpoint out;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	save(store, "a follower");
	kit_close(store);
	kit_sql(kit_dir, "DELETE FROM followers WHERE name = ''; PRAGMA user_version = 2");
	static const unsigned char nothing[PAGE];
	int64_t at = kit_find(kit_dir, "store.db", "a follower", 10);
	kit_poke(kit_dir, "store.db", at / PAGE * PAGE, nothing, PAGE);
	kit_expect_refused(false, "", &error);
	store = kit_open_all_the_same();
	assert_int_equal(kit_append(store, "d", "next"), 6);
	assert_int_equal(mf_store_load_checkpoint(store, "a follower", &out, &error), MF_ERR_CORRUPTED);
	kit_close(store);
	kit_expect_finding("database", "", 0);
}

/* Events are what a backup is for: that followers are missing is told by the store that it becomes. */
static void a_backup_whose_followers_are_missing_is_restored_and_says_so(void **state)
{
	(void)state;
	struct mf_checkpoint out;
	char *file = kit_path(kit_dir, "backup"), *dir = kit_path(kit_dir, "restored");
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	save(store, "a");
	kit_close(store);
	kit_sql(kit_dir, "DELETE FROM followers WHERE name = 'a'");
	store = kit_open(kit_dir);
	KIT_OK(mf_store_backup(store, file, NULL, NULL, NULL, &error), &error);
	kit_close(store);
	KIT_OK(mf_store_restore(&(struct mf_restore_options){.file = file, .dir = dir}, NULL, &error), &error);
	store = kit_open(dir);
	assert_int_equal(kit_count(store, "d", 0), 5);
	assert_int_equal(mf_store_load_checkpoint(store, "a", &out, &error), MF_ERR_CORRUPTED);
	kit_close(store);
	free(file);
	free(dir);
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(snapshots_or_chunks_that_are_gone_while_their_index_has_them_are_missed),
		T(a_document_whose_events_are_gone_does_not_go_on_without_its_record),
		T(a_lost_record_of_a_compaction_is_found_for_ever),
		T(a_store_without_the_record_of_its_newest_events_opening_is_not_written),
		T(a_page_of_other_followers_is_missed_though_their_number_is_right),
		T(followers_that_cannot_be_counted_keep_nobody_from_the_events),
		T(a_backup_whose_followers_are_missing_is_restored_and_says_so),
	};
	return cmocka_run_group_tests_name("misplaced", tests, NULL, NULL);
}
