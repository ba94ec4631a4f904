/* Backup and restore of a store: one moment of it, nothing half, nothing wrong passed off as right. */
#include "store_kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <moduforge/backup.h>
#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/env.h"
#include "vfs_shim.h"

static char *data, *file, *fresh; /* in kit_dir: the store, its backup, the restored store */

static int set_up(void **state)
{
	kit_set_up(state);
	data = kit_path(kit_dir, "data");
	file = kit_path(kit_dir, "one.backup");
	fresh = kit_path(kit_dir, "fresh");
	return 0;
}

static int tear_down(void **state)
{
	vfs_shim_reset();
	free(data);
	free(file);
	free(fresh);
	return kit_tear_down(state);
}

/* Entries of kit_dir: what failed has left nothing there. */
static int entries(void)
{
	int count = 0;
	DIR *dir = opendir(kit_dir);
	assert_non_null(dir);
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static struct mf_backup_info back_up(struct mf_store *store)
{
	struct mf_error error;
	struct mf_backup_info info = {0};
	KIT_OK(mf_store_backup(store, file, NULL, NULL, &info, &error), &error);
	return info;
}

static enum mf_status try_restore(int64_t at_lsn, struct mf_backup_info *out, struct mf_error *error)
{
	return mf_store_restore(&(struct mf_restore_options){.file = file, .dir = fresh, .at_lsn = at_lsn}, out, error);
}

static struct mf_backup_info restore(int64_t at_lsn)
{
	struct mf_error error;
	struct mf_backup_info info = {0};
	KIT_OK(try_restore(at_lsn, &info, &error), &error);
	return info;
}

static void remove_fresh(void)
{
	kit_remove_dir(strdup(fresh));
}

/* ---- the same events ---- */

/* Checksums cover every field. */
static void expect_same_events(struct mf_store *a, struct mf_store *b, int64_t upto)
{
	for (int64_t lsn = 0; lsn < upto;) {
		struct mf_event_list of_a, of_b;
		struct mf_error error;
		KIT_OK(mf_store_load_since(a, NULL, lsn, 50, &of_a, &error), &error);
		KIT_OK(mf_store_load_since(b, NULL, lsn, 50, &of_b, &error), &error);
		if (of_b.count == 0)
			assert_true(of_a.count == 0 || of_a.events[0].lsn > upto);
		lsn = of_b.count ? lsn : upto;
		for (size_t i = 0; i < of_b.count; i++) {
			lsn = of_b.events[i].lsn;
			assert_true(lsn <= upto);
			assert_int_equal(of_a.events[i].lsn, lsn);
			assert_int_equal(of_a.events[i].checksum, of_b.events[i].checksum);
		}
		mf_event_list_deinit(&of_a);
		mf_event_list_deinit(&of_b);
	}
}

static void expect_clean(struct mf_store *store)
{
	struct kit_findings findings;
	if (kit_verify(store, NULL, &findings) != MF_OK)
		fail_msg("'%s', LSN %lld", findings.what, (long long)findings.lsn);
}

static int64_t last_of(struct mf_store *store, const char *doc_id)
{
	struct mf_error error;
	int64_t lsn = -1;
	KIT_OK(store->ops->last_lsn(store, doc_id, &lsn, &error), &error);
	return lsn;
}

/* 100 events of two documents, snapshots inline and in chunks; "even" compacted up to 41 if asked. */
static void fill(struct mf_store *store, bool compacted)
{
	struct mf_error error;
	for (int i = 0; i < 100; i++) {
		char key[32];
		snprintf(key, sizeof(key), "key-%d", i + 1);
		kit_append(store, i % 2 ? "odd" : "even", key);
	}
	kit_write_snapshot(store, "even", 41, 2000);
	kit_write_snapshot(store, "even", 81, 1200000);
	kit_write_snapshot(store, "odd", 50, 3000);
	if (compacted)
		KIT_OK(mf_store_compact(store, "even", 41, &error), &error);
}

/* ---- one moment ---- */

static void a_restored_store_has_every_event_snapshot_and_key(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(data);
	fill(store, true);
	struct mf_backup_info info = back_up(store);
	assert_int_equal(info.lsn, 100);
	assert_int_equal(info.epoch, 1);
	assert_int_equal(info.events, 79);
	assert_int_equal(info.documents, 2);
	assert_int_equal(info.bytes, kit_file_size(kit_dir, "one.backup"));
	assert_true(info.time_us > 0);
	struct mf_backup_info seen, made = restore(0);
	struct mf_error error;
	KIT_OK(mf_backup_look(file, &seen, &error), &error);
	assert_memory_equal(&seen, &info, sizeof(seen));
	assert_int_equal(made.lsn, 100);
	assert_int_equal(made.events, 79);
	assert_int_equal(made.documents, 2);
	struct mf_store *copy = kit_open(fresh);
	expect_same_events(store, copy, 100);
	expect_clean(copy);
	struct mf_snapshot snapshot;
	KIT_OK(mf_store_latest_snapshot(copy, "even", 100, &snapshot, &error), &error);
	assert_int_equal(snapshot.state_len, 1200000);
	mf_snapshot_deinit(&snapshot);
	struct mf_event again = kit_event("even", "key-1"); /* compacted */
	assert_int_equal(mf_store_append(copy, &again, NULL, &error), MF_ERR_DUPLICATE_KEY);
	assert_int_equal(error.lsn, 1);
	again = kit_event("odd", "key-100");
	assert_int_equal(mf_store_append(copy, &again, NULL, &error), MF_ERR_DUPLICATE_KEY);
	assert_int_equal(error.same, 1);
	assert_int_equal(kit_append(copy, "odd", "new"), 101);
	expect_clean(copy);
	kit_close(copy);
	kit_close(store);
}

static atomic_int stop, written;

static void *write_on(void *store)
{
	for (int i = 0; !atomic_load(&stop); i++) {
		char key[32];
		snprintf(key, sizeof(key), "on-%d", i);
		kit_append(store, i % 3 ? "busy" : "other", key);
		atomic_fetch_add(&written, 1);
	}
	return NULL;
}

static bool go_on(void *user, int64_t done, int64_t total)
{
	int *calls = user;
	assert_true(done >= 0 && total > 0);
	int before = atomic_load(&written);
	while (*calls == 3 && atomic_load(&written) < before + 20) /* commits come through in the middle of it */
		sched_yield();
	(*calls)++;
	return true;
}

static void a_backup_is_one_moment_while_a_writer_goes_on(void **state)
{
	(void)state;
	pthread_t thread;
	struct mf_store *store = kit_open(data), *reader;
	kit_append_many(store, "busy", "first", 3000);
	atomic_store(&stop, 0);
	pthread_create(&thread, NULL, write_on, store);
	for (int round = 0; round < 4; round++) {
		int calls = 0;
		struct mf_error error;
		struct mf_backup_info info;
		reader = round % 2 ? kit_open_reader(data) : store; /* as another process would, and in the writer's own */
		int64_t before = last_of(reader, NULL);
		KIT_OK(mf_store_backup(reader, file, go_on, &calls, &info, &error), &error);
		assert_true(calls > 3);
		assert_true(info.lsn >= before);
		assert_int_equal(info.lsn, info.events);
		restore(0);
		struct mf_store *copy = kit_open(fresh);
		assert_int_equal(kit_count(copy, NULL, 0), info.lsn);
		expect_same_events(store, copy, info.lsn);
		expect_clean(copy);
		kit_close(copy);
		remove_fresh();
		assert_int_equal(remove(file), 0);
		if (reader != store)
			kit_close(reader);
	}
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
	expect_clean(store);
	kit_close(store);
}

static void an_empty_store_is_backed_up_too(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(data);
	assert_int_equal(back_up(store).lsn, 0);
	kit_close(store);
	assert_int_equal(restore(0).lsn, 0);
	store = kit_open(fresh);
	assert_int_equal(kit_append(store, "d", "k"), 1);
	kit_close(store);
}

/* ---- the file ---- */

static void a_backup_is_one_private_database_that_sqlite_reads(void **state)
{
	(void)state;
	struct stat info;
	sqlite3 *db;
	sqlite3_stmt *stmt;
	struct mf_store *store = kit_open(data);
	fill(store, false);
	back_up(store);
	kit_close(store);
	assert_int_equal(entries(), 2);
	assert_int_equal(stat(file, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	static const char *const questions[] = {"PRAGMA integrity_check", "ok", "SELECT count(*) FROM events", "100", "PRAGMA application_id", "1296453701", "PRAGMA journal_mode", "delete"};
	assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	for (size_t i = 0; i < 8; i += 2) {
		assert_int_equal(sqlite3_prepare_v2(db, questions[i], -1, &stmt, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
		assert_string_equal((const char *)sqlite3_column_text(stmt, 0), questions[i + 1]);
		sqlite3_finalize(stmt);
	}
	sqlite3_close(db);
	assert_int_equal(entries(), 2);
	assert_int_equal(restore(0).lsn, 100); /* reading changed nothing */
}

static void a_backup_takes_no_files_place(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(data);
	kit_append(store, "d", "k");
	assert_int_equal(mf_store_backup(store, data, NULL, NULL, NULL, &error), MF_ERR_INVALID);
	back_up(store);
	kit_append(store, "d", "k2");
	assert_int_equal(mf_store_backup(store, file, NULL, NULL, NULL, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "exists already"));
	assert_int_equal(mf_store_backup(store, "", NULL, NULL, NULL, &error), MF_ERR_INVALID);
	char *nowhere = kit_path(kit_dir, "no/where");
	assert_int_equal(mf_store_backup(store, nowhere, NULL, NULL, NULL, &error), MF_ERR_NOT_FOUND);
	free(nowhere);
	kit_close(store);
	assert_int_equal(entries(), 2);
	assert_int_equal(restore(0).lsn, 1);
}

static void a_store_in_memory_has_no_backup(void **state)
{
	(void)state;
	struct mf_store *store;
	struct mf_error error;
	KIT_OK(mf_store_open_memory(NULL, &store, &error), &error);
	assert_int_equal(mf_store_backup(store, file, NULL, NULL, NULL, &error), MF_ERR_INVALID);
	kit_close(store);
	assert_int_equal(entries(), 0);
}

static bool stop_at_once(void *user, int64_t done, int64_t total)
{
	(void)user, (void)done, (void)total;
	return false;
}

static void a_backup_and_a_restore_can_be_stopped(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(data);
	kit_append_many(store, "d", "k", 1000);
	assert_int_equal(mf_store_backup(store, file, stop_at_once, NULL, NULL, &error), MF_ERR_STATE);
	assert_int_equal(entries(), 1);
	back_up(store);
	kit_close(store);
	struct mf_restore_options options = {.file = file, .dir = fresh, .progress = stop_at_once};
	assert_int_equal(mf_store_restore(&options, NULL, &error), MF_ERR_STATE);
	assert_int_equal(entries(), 2);
}

/* ---- damage ---- */

static void expect_refused(void)
{
	struct mf_error error;
	assert_int_equal(try_restore(0, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "one.backup"));
	assert_int_equal(entries(), 2);
}

static void every_changed_bit_of_a_backup_is_refused(void **state)
{
	(void)state;
	const char *wanted = getenv("MF_COUNT");
	int count = wanted ? atoi(wanted) : 300;
	struct mf_store *store = kit_open(data);
	fill(store, true);
	int64_t size = back_up(store).bytes;
	kit_close(store);
	uint64_t random = 88172645463325252u;
	for (int i = 0; i < count; i++) {
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		/* Every fourth in the mark itself. */
		int64_t at = i % 4 ? (int64_t)(random % (uint64_t)size) : size - 1 - (int64_t)(random % 80);
		unsigned char byte, changed;
		FILE *stream = fopen(file, "r");
		assert_non_null(stream);
		assert_int_equal(fseek(stream, at, SEEK_SET), 0);
		assert_int_equal(fread(&byte, 1, 1, stream), 1);
		fclose(stream);
		changed = (unsigned char)(byte ^ 1u << (random >> 40) % 8);
		kit_poke(kit_dir, "one.backup", at, &changed, 1);
		expect_refused();
		kit_poke(kit_dir, "one.backup", at, &byte, 1);
	}
	assert_int_equal(restore(0).lsn, 100);
}

static void a_backup_that_was_cut_off_or_appended_to_is_refused(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(data);
	kit_append_many(store, "d", "k", 50);
	int64_t size = back_up(store).bytes;
	kit_close(store);
	kit_copy_file(kit_dir, "one.backup", "data/whole");
	const int64_t sizes[] = {0, 1, 79, 80, 4096, size / 2, size - 81, size - 80, size - 79, size - 1, size + 1, size + 80, size * 2};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		kit_copy_file(kit_dir, "data/whole", "one.backup");
		kit_truncate(kit_dir, "one.backup", sizes[i]);
		expect_refused();
	}
	kit_copy_file(kit_dir, "data/store.db", "one.backup"); /* of a closed store: whole, but nobody can know */
	expect_refused();
}

/* The damage was in the store already: the copy is what was there, and says so when it is verified. */
static void a_backup_of_a_damaged_store_is_not_restored_but_below_the_damage(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(data);
	fill(store, false);
	kit_close(store);
	kit_sql(data, "UPDATE events SET meta = '[]' WHERE lsn = 60");
	store = kit_open(data);
	back_up(store);
	kit_close(store);
	assert_int_equal(try_restore(0, NULL, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "LSN 60"));
	assert_int_equal(entries(), 2);
	assert_int_equal(restore(59).lsn, 59);
}

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
	struct mf_error error;
	struct mf_store *store = kit_open(data);
	kit_append_many(store, "d", "k", 10);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	kit_close(store);
	kit_sql(data, "DELETE FROM events WHERE lsn > 7");
	store = kit_open_with(&(struct mf_sqlite_options){.dir = data, .accept_damage = true});
	assert_int_equal(kit_append(store, "d", "after"), 11);
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

/* ---- failures ---- */

static int failing, call, failing_with;

static bool strikes(void)
{
	return ++call == failing;
}

static int fail_open(void *user, const char *path, int flags, mode_t mode)
{
	return strikes() ? failing_with : mf_env_os()->open(user, path, flags, mode);
}

static ssize_t fail_pread(void *user, int fd, void *bytes, size_t len, int64_t offset)
{
	return strikes() ? failing_with : mf_env_os()->pread(user, fd, bytes, len, offset);
}

static ssize_t fail_pwrite(void *user, int fd, const void *bytes, size_t len, int64_t offset)
{
	return strikes() ? failing_with : mf_env_os()->pwrite(user, fd, bytes, len, offset);
}

static int fail_fsync(void *user, int fd)
{
	return strikes() ? failing_with : mf_env_os()->fsync(user, fd);
}

static int fail_random(void *user, void *bytes, size_t len)
{
	return strikes() ? failing_with : mf_env_os()->random(user, bytes, len);
}

static int fail_mkdir(void *user, const char *path, mode_t mode)
{
	return strikes() ? failing_with : mf_env_os()->mkdir(user, path, mode);
}

static int fail_rename(void *user, const char *from, const char *to, bool replace)
{
	return strikes() ? failing_with : mf_env_os()->rename(user, from, to, replace);
}

static int fail_is_empty(void *user, const char *path)
{
	return strikes() ? failing_with : mf_env_os()->is_empty(user, path);
}

static struct mf_env failing_env(void)
{
	struct mf_env env = *mf_env_os();
	env.open = fail_open;
	env.pread = fail_pread;
	env.pwrite = fail_pwrite;
	env.fsync = fail_fsync;
	env.random = fail_random;
	env.mkdir = fail_mkdir;
	env.rename = fail_rename;
	env.is_empty = fail_is_empty;
	return env;
}

static void expect_typed(enum mf_status status, const struct mf_error *error)
{
	assert_true(status == MF_ERR_IO || status == MF_ERR_STORAGE_FULL || status == MF_ERR_NO_MEMORY);
	assert_int_equal(error->status, status);
	assert_true(strlen(error->message) > 20);
}

static void every_call_to_the_environment_may_fail(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_env env = failing_env();
	failing = 0;
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = data, .env = &env});
	fill(store, false);
	for (int round = 0; round < 2; round++) {
		enum mf_status status = MF_ERR_IO;
		failing_with = round ? -ENOSPC : -EIO;
		for (failing = 1; status != MF_OK; failing++) {
			call = 0;
			status = mf_store_backup(store, file, NULL, NULL, NULL, &error);
			assert_int_equal(entries(), status == MF_OK ? 2 : 1);
			if (status != MF_OK)
				expect_typed(status, &error);
		}
		assert_true(failing > 6);
		failing = 0;
		assert_int_equal(remove(file), 0);
	}
	back_up(store);
	kit_close(store);
	for (int round = 0; round < 2; round++) {
		enum mf_status status = MF_ERR_IO;
		failing_with = round ? -ENOSPC : -EIO;
		for (failing = 1; status != MF_OK; failing++) {
			struct mf_restore_options options = {.file = file, .dir = fresh, .at_lsn = 45, .env = &env};
			call = 0;
			status = mf_store_restore(&options, NULL, &error);
			assert_int_equal(entries(), status == MF_OK ? 3 : 2);
			if (status != MF_OK)
				expect_typed(status, &error);
		}
		assert_true(failing > 15);
		failing = 0;
		store = kit_open(fresh);
		expect_clean(store);
		assert_int_equal(last_of(store, NULL), 45);
		kit_close(store);
		remove_fresh();
	}
}

static void every_call_of_sqlite_may_fail(void **state)
{
	(void)state;
	static const struct shim_plan plans[] = {
		{.file = SHIM_DB, .call = SHIM_WRITE, .rc = SQLITE_FULL, .system_errno = ENOSPC},
		{.file = SHIM_DB, .call = SHIM_WRITE, .rc = SQLITE_IOERR_WRITE, .system_errno = EIO},
		{.file = SHIM_DB, .call = SHIM_READ, .rc = SQLITE_IOERR_READ, .system_errno = EIO},
		{.file = SHIM_DB, .call = SHIM_SYNC, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO},
		{.file = SHIM_LOG, .call = SHIM_READ, .rc = SQLITE_IOERR_READ, .system_errno = EIO},
		{.file = SHIM_LOG, .call = SHIM_WRITE, .rc = SQLITE_FULL, .system_errno = ENOSPC},
		{.file = SHIM_LOG, .call = SHIM_SYNC, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO},
	};
	const struct mf_env *env = vfs_shim_env();
	struct mf_error error;
	int64_t struck = 0;
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = data, .env = env});
	kit_append_many(store, "d", "k", 300);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		for (int64_t at = 1;; at += at < 20 ? 1 : 17) {
			struct shim_plan plan = plans[i];
			plan.at = at;
			plan.times = 1;
			vfs_shim_plan(&plan);
			enum mf_status status = mf_store_backup(store, file, NULL, NULL, NULL, &error);
			bool hit = vfs_shim_failed() > 0;
			vfs_shim_reset();
			struck += hit;
			assert_int_equal(entries(), status == MF_OK ? 2 : 1);
			if (status != MF_OK)
				expect_typed(status, &error);
			else
				assert_int_equal(remove(file), 0);
			if (!hit)
				break;
		}
	assert_true(struck > 20);
	kit_append(store, "d", "usable");
	back_up(store);
	kit_close(store);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		for (int64_t at = 1;; at += at < 20 ? 1 : 17) {
			struct shim_plan plan = plans[i];
			struct mf_restore_options options = {.file = file, .dir = fresh, .at_lsn = 200, .env = env};
			plan.at = at;
			plan.times = 1;
			vfs_shim_plan(&plan);
			enum mf_status status = mf_store_restore(&options, NULL, &error);
			bool hit = vfs_shim_failed() > 0;
			vfs_shim_reset();
			assert_int_equal(entries(), status == MF_OK ? 3 : 2);
			if (status == MF_OK) {
				store = kit_open(fresh);
				expect_clean(store);
				assert_int_equal(last_of(store, NULL), 200);
				kit_close(store);
				remove_fresh();
			} else if (status != MF_ERR_CORRUPTED) { /* what verify could not read is a finding */
				expect_typed(status, &error);
			}
			if (!hit)
				break;
		}
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(data);
	fill(store, true);
	enum mf_status status = MF_ERR_NO_MEMORY;
	for (uint64_t n = 1; status != MF_OK; n++) {
		mf_mem_fail_at(n, false);
		status = mf_store_backup(store, file, NULL, NULL, NULL, &error);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || status == MF_ERR_NO_MEMORY);
		assert_int_equal(entries(), status == MF_OK ? 2 : 1);
	}
	kit_close(store);
	status = MF_ERR_NO_MEMORY;
	for (uint64_t n = 1; status != MF_OK; n++) {
		mf_mem_fail_at(n, false);
		status = try_restore(45, NULL, &error);
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || status == MF_ERR_NO_MEMORY);
		assert_int_equal(entries(), status == MF_OK ? 3 : 2);
		if (status != MF_OK)
			continue;
		store = kit_open(fresh);
		expect_clean(store);
		kit_close(store);
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_restored_store_has_every_event_snapshot_and_key),
		T(a_backup_is_one_moment_while_a_writer_goes_on),
		T(an_empty_store_is_backed_up_too),
		T(a_backup_is_one_private_database_that_sqlite_reads),
		T(a_backup_takes_no_files_place),
		T(a_store_in_memory_has_no_backup),
		T(a_backup_and_a_restore_can_be_stopped),
		T(every_changed_bit_of_a_backup_is_refused),
		T(a_backup_that_was_cut_off_or_appended_to_is_refused),
		T(a_backup_of_a_damaged_store_is_not_restored_but_below_the_damage),
		T(a_store_is_restored_to_any_lsn),
		T(what_was_left_out_is_not_in_the_files_either),
		T(what_compaction_has_deleted_cannot_be_restored),
		T(a_store_is_restored_to_an_lsn_that_was_lost),
		T(a_restored_store_has_epochs_of_its_own),
		T(a_follower_that_is_ahead_of_a_restored_store_is_told_so),
		T(a_store_is_restored_only_into_a_new_or_empty_directory),
		T(every_call_to_the_environment_may_fail),
		T(every_call_of_sqlite_may_fail),
		T(every_allocation_may_fail),
	};
	return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
