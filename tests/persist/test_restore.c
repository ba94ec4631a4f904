/* A store again from a backup: where to, up to an LSN, with epochs of its own. */
#include "backup_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "persist/backup_mark.h"
#include "persist/checksum.h"

/* ---- up to an LSN ---- */

static bool count_snapshot(void *user, const struct mf_snapshot_info *info)
{
	int64_t *newest = user;
	*newest = info->upto_lsn > *newest ? info->upto_lsn : *newest;
	return true;
}

static void expect_restored_upto(struct mf_store *store, int64_t lsn)
{
	struct mf_error error;
	struct mf_store_stats stats;
	int64_t newest_snapshot = 0;
	assert_int_equal(restore(lsn).lsn, lsn);
	struct mf_store *copy = kit_open(fresh);
	assert_int_equal(kit_count(copy, NULL, 0), lsn);
	expect_same_events(store, copy, lsn);
	assert_int_equal(last_of(copy, NULL), lsn);
	assert_int_equal(last_of(copy, "odd"), lsn / 2 * 2);
	assert_int_equal(last_of(copy, "even"), (lsn + 1) / 2 * 2 - 1);
	KIT_OK(copy->ops->snapshots(copy, NULL, count_snapshot, &newest_snapshot, &error), &error);
	assert_int_equal(newest_snapshot, lsn >= 81 ? 81 : lsn >= 50 ? 50 : lsn >= 41 ? 41 : 0);
	KIT_OK(mf_store_stats(copy, &stats, &error), &error);
	assert_int_equal(stats.last_lsn, lsn);
	assert_int_equal(stats.synced_lsn, lsn);
	char key[32];
	snprintf(key, sizeof(key), "key-%lld", (long long)lsn);
	struct mf_event again = kit_event("odd", key);
	assert_int_equal(mf_store_append(copy, &again, NULL, &error), MF_ERR_DUPLICATE_KEY);
	snprintf(key, sizeof(key), "key-%lld", (long long)lsn + 1); /* was left out: free again */
	assert_int_equal(kit_append(copy, "odd", key), lsn + 1);
	expect_clean(copy);
	kit_close(copy);
	kit_close(kit_open(fresh));
	remove_fresh();
}

static void a_store_is_restored_to_any_lsn(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(data);
	fill(store, false);
	back_up(store);
	for (int64_t lsn = 1; lsn <= 100; lsn += lsn >= 39 && lsn <= 52 ? 1 : 6)
		expect_restored_upto(store, lsn);
	expect_restored_upto(store, 80);
	expect_restored_upto(store, 81);
	expect_restored_upto(store, 100);
	kit_close(store);
	struct mf_error error;
	assert_int_equal(try_restore(101, NULL, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(try_restore(-1, NULL, &error), MF_ERR_INVALID);
	assert_int_equal(entries(), 2);
}

static bool file_contains(const char *dir, const char *name, const char *text)
{
	int64_t size = kit_file_size(dir, name);
	char *path = kit_path(dir, name), *bytes = malloc((size_t)size);
	FILE *stream = fopen(path, "r");
	assert_non_null(stream);
	assert_int_equal(fread(bytes, 1, (size_t)size, stream), size);
	bool found = memmem(bytes, (size_t)size, text, strlen(text)) != NULL;
	fclose(stream);
	free(bytes);
	free(path);
	return found;
}

static void what_was_left_out_is_not_in_the_files_either(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(data);
	kit_append_many(store, "d", "kept", 100);
	kit_append_many(store, "d", "left-out", 3000);
	back_up(store);
	kit_close(store);
	struct mf_backup_info all = restore(0);
	assert_true(file_contains(fresh, "store.db", "left-out-2999"));
	remove_fresh();
	struct mf_backup_info some = restore(100);
	assert_true(file_contains(fresh, "store.db", "kept-99"));
	assert_false(file_contains(fresh, "store.db", "left-out"));
	assert_true(some.bytes < all.bytes / 4);
}

static void what_compaction_has_deleted_cannot_be_restored(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(data);
	fill(store, true);
	back_up(store);
	kit_close(store);
	assert_int_equal(try_restore(40, NULL, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(error.lsn, 41);
	assert_non_null(strstr(error.message, "41"));
	assert_int_equal(try_restore(40, NULL, NULL), MF_ERR_NOT_FOUND);
	assert_int_equal(entries(), 2);
	assert_int_equal(restore(41).lsn, 41);
	struct mf_store *copy = kit_open(fresh);
	expect_clean(copy);
	struct mf_event again = kit_event("even", "key-1");
	assert_int_equal(mf_store_append(copy, &again, NULL, &error), MF_ERR_DUPLICATE_KEY);
	assert_int_equal(kit_append(copy, "even", "key-99"), 42);
	assert_int_equal(last_of(copy, "even"), 42);
	expect_clean(copy);
	kit_close(copy);
}

/* Events 8 to 10 were lost in a crash and the loss accepted; LSNs go on at 11. */
static void a_store_is_restored_to_an_lsn_that_was_lost(void **state)
{
	(void)state;
	struct mf_store *store = kit_open_after_a_loss(data);
	back_up(store);
	kit_close(store);
	for (int64_t lsn = 6; lsn <= 11; lsn++) {
		assert_int_equal(restore(lsn).lsn, lsn);
		struct mf_store *copy = kit_open(fresh);
		expect_clean(copy);
		assert_int_equal(last_of(copy, "d"), lsn < 11 ? (lsn < 7 ? lsn : 7) : 11);
		assert_int_equal(kit_append(copy, "d", "next"), lsn + 1);
		kit_close(copy);
		remove_fresh();
	}
}

/* ---- epochs ---- */

static int64_t epoch_of_fresh(void)
{
	struct mf_store *store = kit_open(fresh);
	struct mf_store_stats stats;
	struct mf_error error;
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	kit_close(store);
	return stats.epoch;
}

static void a_restored_store_has_epochs_of_its_own(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(data);
	kit_append_many(store, "d", "k", 10);
	int64_t epoch = back_up(store).epoch;
	kit_close(store);
	assert_true(restore(0).epoch > epoch);
	int64_t first = epoch_of_fresh(), next = epoch_of_fresh();
	assert_int_equal(next, first + 1);
	remove_fresh();
	restore(5);
	int64_t second = epoch_of_fresh();
	assert_true(first > epoch + 1000000 && second > epoch + 1000000 && first != second);
}

/* Whoever follows the store learns that what it saw above is gone. */
static void a_follower_that_is_ahead_of_a_restored_store_is_told_so(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(data);
	kit_append_many(store, "d", "k", 10);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"audit", 1, 8}, &error), &error);
	back_up(store);
	kit_close(store);
	restore(6);
	struct mf_store *copy = kit_open(fresh);
	struct mf_checkpoint found;
	int64_t end = 0;
	KIT_OK(mf_store_load_checkpoint(copy, "audit", &found, &error), &error);
	KIT_OK(mf_store_epoch_end(copy, found.epoch, &end, &error), &error);
	assert_int_equal(found.lsn, 8);
	assert_int_equal(end, 6);
	KIT_OK(mf_store_epoch_end(copy, 12, &end, &error), &error); /* a later epoch of the old store */
	assert_int_equal(end, 6);
	kit_close(copy);
}

/* ---- its last bytes, changed on purpose ---- */

/* A number of the mark, with the CRC that fits: backup_mark.h has the layout. */
static void change_mark(size_t at, size_t size, uint64_t value)
{
	unsigned char bytes[MF_BACKUP_MARK_LEN];
	FILE *stream = fopen(file, "r");
	assert_non_null(stream);
	assert_int_equal(fseek(stream, -MF_BACKUP_MARK_LEN, SEEK_END), 0);
	assert_int_equal(fread(bytes, 1, sizeof(bytes), stream), sizeof(bytes));
	fclose(stream);
	for (size_t i = 0; i < size; i++)
		bytes[at + i] = (unsigned char)(value >> (8 * i));
	uint32_t crc = mf_crc32(mf_crc32(0, bytes, 12), bytes + 16, sizeof(bytes) - 16);
	for (size_t i = 0; i < 4; i++)
		bytes[12 + i] = (unsigned char)(crc >> (8 * i));
	kit_poke(kit_dir, "one.backup", -MF_BACKUP_MARK_LEN, bytes, sizeof(bytes));
}

static void expect_refused(enum mf_status status, const char *words)
{
	struct mf_error error;
	struct mf_backup_info info;
	assert_int_equal(mf_backup_look(file, &info, &error), status);
	assert_non_null(strstr(error.message, words));
	assert_int_equal(try_restore(0, NULL, &error), status);
	assert_non_null(strstr(error.message, words));
	assert_int_equal(entries(), 2); /* nothing is made */
}

static void a_backup_whose_mark_says_what_cannot_be_is_refused(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(data);
	kit_append_many(store, "d", "k", 10);
	struct mf_backup_info info = back_up(store);
	kit_close(store);
	change_mark(8, 4, 2);
	expect_refused(MF_ERR_INVALID, "newer version");
	change_mark(8, 4, 1);
	for (size_t at = 16; at < 64; at += 8) { /* a number below 0 */
		uint64_t right[] = {(uint64_t)info.bytes - MF_BACKUP_MARK_LEN, (uint64_t)info.lsn, (uint64_t)info.epoch, (uint64_t)info.time_us, (uint64_t)info.events, (uint64_t)info.documents};
		change_mark(at, 8, (uint64_t)-1);
		expect_refused(MF_ERR_CORRUPTED, "not a whole backup");
		change_mark(at, 8, right[at / 8 - 2]);
	}
	change_mark(16, 8, (uint64_t)info.bytes - MF_BACKUP_MARK_LEN - 1); /* it is not its file's */
	expect_refused(MF_ERR_CORRUPTED, "not a whole backup");
	change_mark(16, 8, (uint64_t)info.bytes - MF_BACKUP_MARK_LEN);
	assert_int_equal(restore(0).lsn, 10);
}

/* The restored store's epoch is above that, and so are all that come. */
static void a_backup_whose_epochs_are_used_up_is_refused(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(data);
	kit_append_many(store, "d", "k", 10);
	back_up(store);
	kit_close(store);
	change_mark(32, 8, (uint64_t)INT64_MAX / 2 + 1);
	assert_int_equal(try_restore(0, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "no epochs left"));
	assert_int_equal(entries(), 2);
}

/* ---- where to ---- */

static void a_store_is_restored_only_into_a_new_or_empty_directory(void **state)
{
	(void)state;
	struct mf_error error;
	struct stat info;
	assert_int_equal(try_restore(0, NULL, &error), MF_ERR_NOT_FOUND);
	struct mf_store *store = kit_open(data);
	kit_append(store, "d", "k");
	back_up(store);
	struct mf_restore_options onto = {.file = file, .dir = data};
	assert_int_equal(mf_store_restore(&onto, NULL, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "not empty"));
	kit_append(store, "d", "k2");
	kit_close(store);
	onto.dir = file;
	assert_int_equal(mf_store_restore(&onto, NULL, &error), MF_ERR_INVALID);
	char *deep = kit_path(kit_dir, "not/there");
	onto.dir = deep;
	assert_int_equal(mf_store_restore(&onto, NULL, &error), MF_ERR_NOT_FOUND);
	onto.dir = "";
	assert_int_equal(mf_store_restore(&onto, NULL, &error), MF_ERR_INVALID);
	free(deep);
	onto.file = kit_dir; /* a directory is no backup */
	onto.dir = fresh;
	assert_int_not_equal(mf_store_restore(&onto, NULL, &error), MF_OK);
	assert_int_equal(entries(), 2);
	assert_int_equal(mkdir(fresh, 0755), 0);
	assert_int_equal(restore(0).lsn, 1);
	assert_int_equal(stat(fresh, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0700);
	remove_fresh();
	char *slashes = kit_path(fresh, "/");
	onto = (struct mf_restore_options){.file = file, .dir = slashes};
	KIT_OK(mf_store_restore(&onto, NULL, &error), &error);
	free(slashes);
	kit_close(kit_open(fresh));
	assert_int_equal(entries(), 3);
}

#define T(test) cmocka_unit_test_setup_teardown(test, backup_set_up, backup_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_store_is_restored_to_any_lsn),
		T(what_was_left_out_is_not_in_the_files_either),
		T(what_compaction_has_deleted_cannot_be_restored),
		T(a_store_is_restored_to_an_lsn_that_was_lost),
		T(a_restored_store_has_epochs_of_its_own),
		T(a_follower_that_is_ahead_of_a_restored_store_is_told_so),
		T(a_backup_whose_mark_says_what_cannot_be_is_refused),
		T(a_backup_whose_epochs_are_used_up_is_refused),
		T(a_store_is_restored_only_into_a_new_or_empty_directory),
	};
	return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
