/* Backup of a store: one moment of it, one file; nothing half, nothing wrong passed off as right. */
#include "backup_kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "persist/backup_mark.h"
#include "persist/env.h"

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

/* Gives the changed database a mark that fits, as somebody might who means harm. */
static void seal_again(int64_t size)
{
	struct mf_error error;
	struct mf_backup_mark mark;
	const struct mf_env *env = mf_env_os();
	int fd = env->open(NULL, file, O_RDWR, 0);
	assert_true(fd >= 0);
	KIT_OK(mf_backup_mark_read(env, fd, size, file, &mark, &error), &error);
	KIT_OK(mf_backup_mark_write(env, fd, size - MF_BACKUP_MARK_LEN, file, &mark, &error), &error);
	assert_int_equal(env->close(NULL, fd), 0);
}

static void a_backup_with_a_right_mark_and_wrong_bytes_is_never_restored_wrong(void **state)
{
	(void)state;
	const char *wanted = getenv("MF_COUNT");
	int count = wanted ? atoi(wanted) / 2 : 150, refused = 0;
	struct mf_error error;
	struct mf_store *store = kit_open(data);
	fill(store, true);
	int64_t size = back_up(store).bytes;
	kit_copy_file(kit_dir, "one.backup", "data/whole");
	uint64_t random = 362436069362436069u;
	for (int i = 0; i < count; i++) {
		unsigned char bytes[4];
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		/* Three of four in the first pages: the large snapshot would take nearly all the hits. */
		int64_t at = (int64_t)(random % (uint64_t)(i % 4 ? 24 * 4096 : size - 100));
		memcpy(bytes, &random, sizeof(bytes));
		kit_copy_file(kit_dir, "data/whole", "one.backup");
		kit_poke(kit_dir, "one.backup", at, bytes, 1 + random % 4);
		seal_again(size);
		if (try_restore(0, NULL, &error) != MF_OK) {
			refused++;
			assert_true(error.message[0] != '\0');
			assert_int_equal(entries(), 2);
			continue;
		}
		struct mf_store *copy = kit_open(fresh);
		assert_int_equal(kit_count(copy, NULL, 0), 79);
		expect_same_events(store, copy, 100);
		expect_clean(copy);
		kit_close(copy);
		remove_fresh();
	}
	assert_true(refused > count / 3);
	kit_close(store);
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

#define T(test) cmocka_unit_test_setup_teardown(test, backup_set_up, backup_tear_down)

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
		T(a_backup_with_a_right_mark_and_wrong_bytes_is_never_restored_wrong),
		T(a_backup_of_a_damaged_store_is_not_restored_but_below_the_damage),
	};
	return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
