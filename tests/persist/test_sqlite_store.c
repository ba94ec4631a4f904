/* What is special to the SQLite store: its files, opening and reopening, one writer and many readers, the watermark,
 * when it syncs and when it checkpoints. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/mem.h"
#include "persist/checksum.h"
#include "persist/env.h"
#include "persist/watermark.h"
#include "tests/leave.h"
#include "vfs_shim.h"

static struct mf_sqlite_options options(void)
{
	return (struct mf_sqlite_options){.dir = kit_dir};
}

static struct mf_sqlite_options reading(void)
{
	return (struct mf_sqlite_options){.dir = kit_dir, .read_only = true};
}

/* Runs work in a child that ends as if it were killed: no close, no exit handlers. */
static void in_a_child_that_dies(void (*work)(void))
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		work();
		leave(0);
	}
	int result;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
}

static int64_t watermark_lsn(void)
{
	struct mf_watermark mark;
	enum mf_watermark_state found;
	char *path = kit_path(kit_dir, "watermark");
	struct mf_error error;
	KIT_OK(mf_watermark_read(mf_env_os(), path, &mark, &found, &error), &error);
	assert_int_equal(found, MF_WATERMARK_GOOD);
	free(path);
	return mark.synced_lsn;
}

/* ---- files ---- */

static void a_new_store_is_a_private_directory(void **state)
{
	(void)state;
	char *inner = kit_path(kit_dir, "data");
	kit_close(kit_open(inner));
	struct stat info;
	assert_int_equal(stat(inner, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0700);
	assert_true(kit_file_size(inner, "store.db") > 0);
	assert_int_equal(kit_file_size(inner, "store.db-wal"), 0);
	assert_int_equal(kit_file_size(inner, "watermark"), MF_WATERMARK_LEN);
	assert_int_equal(kit_file_size(inner, "lock"), 0);
	free(inner);
	char *deep = kit_path(kit_dir, "no/such");
	struct mf_error error;
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = deep}, &error), MF_ERR_NOT_FOUND);
	assert_non_null(strstr(error.message, deep));
	free(deep);
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = ""}, &error), MF_ERR_INVALID);
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = "/dev/null"}, &error), MF_ERR_IO);
}

static void the_database_is_marked_as_ours(void **state)
{
	(void)state;
	kit_close(kit_open(kit_dir));
	unsigned char head[100];
	char *path = kit_path(kit_dir, "store.db");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
	close(fd);
	free(path);
	assert_memory_equal(head, "SQLite format 3", 16);
	assert_memory_equal(head + 68, "MFPE", 4);     /* application id */
	assert_memory_equal(head + 60, "\0\0\0\3", 4); /* user version */
	assert_memory_equal(head + 18, "\2\2", 2);     /* write-ahead log */
	kit_sql(kit_dir, "INSERT INTO events VALUES (1, 1, 'd', 0, NULL, 'k', '{}', x'', 0, 1, 0, 0, 0); SELECT doc_id, upto_lsn, created_at, state_blob, version FROM snapshots");
}

static void f1_reopening_goes_on_with_numbers_and_keys(void **state)
{
	(void)state;
	struct mf_store_stats stats;
	struct mf_error error;
	for (int64_t i = 1; i <= 4; i++) {
		struct mf_store *store = kit_open(kit_dir);
		char key[16];
		snprintf(key, sizeof(key), "k%d", (int)i);
		struct mf_event again = kit_event("d", "k1");
		if (i > 1)
			assert_int_equal(mf_store_append(store, &again, NULL, &error), MF_ERR_DUPLICATE_KEY);
		assert_int_equal(kit_append(store, "d", key), i);
		KIT_OK(mf_store_stats(store, &stats, &error), &error);
		assert_int_equal(stats.epoch, i);
		assert_int_equal(stats.events, i);
		struct mf_event_list list;
		KIT_OK(mf_store_load_since(store, "d", i - 1, 1, &list, &error), &error);
		assert_int_equal(list.events[0].epoch, i);
		assert_int_equal(list.events[0].prev_lsn, i - 1);
		mf_event_list_deinit(&list);
		kit_close(store);
	}
}

static void nobody_else_can_read_what_is_stored(void **state)
{
	(void)state;
	static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm", "watermark", "lock"};
	mode_t before = umask(0);
	struct mf_store *store = kit_open(kit_dir); /* the directory was there before, and anybody may enter it */
	kit_append_many(store, "d", "k", 3);
	umask(before);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct stat info;
		char *path = kit_path(kit_dir, names[i]);
		assert_int_equal(stat(path, &info), 0);
		if (info.st_mode & 0077)
			fail_msg("%s has mode %04o", names[i], (unsigned)(info.st_mode & 07777));
		free(path);
	}
	kit_close(store);
}

static void an_interrupted_creation_is_finished_by_the_next_opening(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "store.db");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	free(path);
	kit_close(kit_open(kit_dir));
	char *other = kit_path(kit_dir, "other");
	assert_int_equal(mkdir(other, 0700), 0);
	kit_sql(other, "PRAGMA journal_mode = WAL; CREATE TABLE t (x); DROP TABLE t; VACUUM");
	kit_close(kit_open(other));
	free(other);
}

/* Killed while SQLite turns the new file into one with a log: a journal is left, which only a writer may roll back. */
static void a_creation_that_left_a_journal_is_no_store_yet(void **state)
{
	(void)state;
	static const unsigned char journal[512] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7, [22] = 2, [26] = 0x10};
	struct mf_error error;
	struct mf_sqlite_options read = reading();
	kit_sql(kit_dir, "CREATE TABLE t (x); DROP TABLE t; VACUUM");
	char *path = kit_path(kit_dir, "store.db-journal");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, journal, sizeof(journal)), sizeof(journal));
	close(fd);
	free(path);
	assert_int_equal(kit_open_fails(&read, &error), MF_ERR_NOT_FOUND);
	assert_non_null(strstr(error.message, "there is no store in"));
	kit_close(kit_open(kit_dir));
	kit_close(kit_open_reader(kit_dir));
}

/* ---- what is not a store ---- */

static void names_the_file_once(const struct mf_error *error)
{
	const char *at = strstr(error->message, "store.db: ");
	assert_non_null(at);
	assert_null(strstr(at + 1, "store.db: "));
}

static void a_foreign_or_newer_database_is_refused_and_left_alone(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_sqlite_options write = options(), read = reading();
	kit_sql(kit_dir, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
	int64_t size = kit_file_size(kit_dir, "store.db");
	assert_int_equal(kit_open_fails(&write, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "store.db"));
	assert_int_equal(kit_open_fails(&read, &error), MF_ERR_INVALID);
	assert_int_equal(kit_file_size(kit_dir, "store.db"), size);
	assert_int_equal(kit_file_size(kit_dir, "store.db-wal"), -1);
	kit_poke(kit_dir, "store.db", 0, "this is not a database at all", 29);
	assert_int_equal(kit_open_fails(&write, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "not a database"));
	names_the_file_once(&error);
	assert_int_equal(kit_open_fails(&read, &error), MF_ERR_CORRUPTED);
	names_the_file_once(&error);
	char *inner = kit_path(kit_dir, "newer");
	kit_close(kit_open(inner));
	kit_sql(inner, "PRAGMA user_version = 4");
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = inner}, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "newer version"));
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = inner, .read_only = true}, &error), MF_ERR_INVALID);
	kit_sql(inner, "PRAGMA user_version = 1; DROP TABLE snapshots");
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = inner}, &error), MF_ERR_CORRUPTED);
	free(inner);
}

static bool has_no_base(void *user, const struct mf_snapshot_info *info)
{
	(void)user;
	assert_int_equal(info->base_lsn, 0);
	return true;
}

static void a_store_of_version_1_is_read_as_it_is_and_upgraded_when_it_is_written(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_checkpoint checkpoint;
	struct mf_snapshot snapshot;
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", "k");
	kit_write_snapshot(store, "d", 1, 100);
	kit_close(store);
	kit_sql(kit_dir, "DROP TABLE followers; ALTER TABLE snapshots DROP COLUMN base_lsn; PRAGMA user_version = 1");
	store = kit_open_reader(kit_dir);
	KIT_OK(mf_store_latest_snapshot(store, "d", INT64_MAX, &snapshot, &error), &error);
	assert_int_equal(snapshot.base_lsn, 0);
	mf_snapshot_deinit(&snapshot);
	KIT_OK(store->ops->snapshots(store, "d", has_no_base, NULL, &error), &error);
	assert_int_equal(mf_store_load_checkpoint(store, "f", &checkpoint, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(kit_count(store, NULL, 0), 1);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	struct mf_store *beside = store;
	unsigned char head[64];
	store = kit_open(kit_dir);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"f", 2, 1}, &error), &error);
	assert_int_equal(kit_append(store, "d", "l"), 2);
	KIT_OK(kit_try_snapshot(store, "d", 2, 1, 10, &error), &error);
	KIT_OK(mf_store_latest_snapshot(beside, "d", INT64_MAX, &snapshot, &error), &error); /* a reader that was there before */
	assert_int_equal(snapshot.base_lsn, 1);
	mf_snapshot_deinit(&snapshot);
	kit_close(beside);
	kit_close(store);
	char *path = kit_path(kit_dir, "store.db");
	FILE *file = fopen(path, "rb");
	free(path);
	assert_non_null(file);
	assert_int_equal(fread(head, 1, sizeof(head), file), sizeof(head));
	fclose(file);
	assert_memory_equal(head + 60, "\0\0\0\3", 4);
	store = kit_open(kit_dir);
	KIT_OK(mf_store_load_checkpoint(store, "f", &checkpoint, &error), &error);
	assert_int_equal(checkpoint.lsn, 1);
	kit_close(store);
}

static void an_epoch_ends_where_the_next_one_begins(void **state)
{
	(void)state;
	struct mf_error error;
	int64_t lsn;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "first", 3);
	kit_close(store);
	kit_close(kit_open(kit_dir)); /* an epoch without an event */
	store = kit_open(kit_dir);
	kit_append_many(store, "d", "third", 2);
	KIT_OK(mf_store_epoch_end(store, 1, &lsn, &error), &error);
	assert_int_equal(lsn, 3);
	KIT_OK(mf_store_epoch_end(store, 2, &lsn, &error), &error);
	assert_int_equal(lsn, 3);
	KIT_OK(mf_store_epoch_end(store, 3, &lsn, &error), &error);
	assert_true(lsn == INT64_MAX);
	kit_close(store);
}

/* Whoever can write the file can fit the checksum to what he writes. */
static void a_number_below_all_numbers_is_damage(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_snapshot snapshot;
	int64_t lsn;
	char sql[200];
	const int64_t epoch[] = {2, INT64_MIN, 0}, row[] = {INT64_MIN, 5, 1, 10, 0, 1};
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "first", 3);
	kit_write_snapshot(store, "d", 3, 10);
	kit_close(store);
	kit_close(kit_open(kit_dir));
	snprintf(sql, sizeof(sql), "UPDATE epochs SET first_lsn = -9223372036854775808, checksum = %u WHERE epoch = 2", mf_row_checksum(epoch, 3, NULL, NULL, 0));
	kit_sql(kit_dir, sql);
	snprintf(sql, sizeof(sql), "UPDATE snapshots SET upto_lsn = -9223372036854775808, state_blob = x'00010203040506070809', checksum = %u",
		 mf_row_checksum(row, 6, "d", "\0\1\2\3\4\5\6\7\x8\x9", 10));
	kit_sql(kit_dir, sql);
	store = kit_open_reader(kit_dir);
	assert_int_equal(mf_store_epoch_end(store, 1, &lsn, &error), MF_ERR_CORRUPTED);
	assert_int_equal(mf_store_latest_snapshot(store, "d", INT64_MAX, &snapshot, &error), MF_ERR_CORRUPTED);
	kit_close(store);
}

static void a_damaged_checkpoint_is_found(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_checkpoint checkpoint;
	struct kit_findings findings;
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"f", 1, 5}, &error), &error);
	kit_close(store);
	kit_sql(kit_dir, "UPDATE followers SET lsn = 6 WHERE name = 'f'");
	store = kit_open(kit_dir);
	assert_int_equal(mf_store_load_checkpoint(store, "f", &checkpoint, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "'f'"));
	assert_int_equal(kit_verify(store, "follower", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 1);
	kit_close(store);
}

static bool count_checkpoint(void *user, const struct mf_checkpoint *checkpoint)
{
	assert_true(checkpoint->name[0] != '\0');
	++*(int *)user;
	return true;
}

static void expect_missing(struct mf_store *store, const char *name)
{
	struct mf_error error;
	struct mf_checkpoint checkpoint;
	struct kit_findings findings;
	int count = 0;
	assert_int_equal(mf_store_load_checkpoint(store, name, &checkpoint, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "missing"));
	assert_int_equal(mf_store_checkpoints(store, count_checkpoint, &count, &error), MF_ERR_CORRUPTED);
	assert_int_equal(kit_verify(store, "follower", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 1);
	kit_close(store);
}

/* Another page in the place of theirs may be one without rows, and sound as a page: nothing else has their names. */
static void a_follower_that_is_missing_is_damage_and_not_one_that_is_new(void **state)
{
	(void)state;
	static const char *const losses[] = {"DELETE FROM followers", "DELETE FROM followers WHERE name = 'a'", "DELETE FROM followers WHERE name = ''",
					     "UPDATE followers SET lsn = 1, epoch = 0 WHERE name = ''"};
	struct mf_error error;
	struct mf_checkpoint checkpoint;
	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
		char name[8];
		snprintf(name, sizeof(name), "%zu", i);
		char *dir = kit_path(kit_dir, name);
		struct mf_store *store = kit_open(dir);
		KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"a", 1, 5}, &error), &error);
		KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"b", 1, 6}, &error), &error);
		KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"b", 1, 7}, &error), &error);
		assert_int_equal(mf_store_load_checkpoint(store, "z", &checkpoint, &error), MF_ERR_NOT_FOUND);
		kit_close(store);
		kit_sql(dir, losses[i]);
		expect_missing(kit_open_reader(dir), "z");
		store = kit_open(dir);
		KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"c", 2, 8}, &error), &error); /* who is not missing goes on */
		KIT_OK(mf_store_load_checkpoint(store, "c", &checkpoint, &error), &error);
		assert_int_equal(checkpoint.lsn, 8);
		expect_missing(store, "z");
		free(dir);
	}
}

static void a_store_of_version_2_counts_its_followers_when_it_is_written(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_checkpoint checkpoint;
	struct kit_findings findings;
	struct mf_store *store = kit_open(kit_dir);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"a", 1, 5}, &error), &error);
	KIT_OK(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"b", 1, 6}, &error), &error);
	kit_close(store);
	kit_sql(kit_dir, "DELETE FROM followers WHERE name = ''; PRAGMA user_version = 2");
	store = kit_open_reader(kit_dir);
	assert_int_equal(mf_store_load_checkpoint(store, "z", &checkpoint, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_close(store);
	store = kit_open(kit_dir);
	int count = 0;
	KIT_OK(mf_store_checkpoints(store, count_checkpoint, &count, &error), &error);
	assert_int_equal(count, 2);
	assert_int_equal(mf_store_load_checkpoint(store, "z", &checkpoint, &error), MF_ERR_NOT_FOUND);
	kit_close(store);
	kit_sql(kit_dir, "DELETE FROM followers WHERE name = 'b'");
	expect_missing(kit_open(kit_dir), "z");
}

static void reading_where_there_is_no_store_finds_none_and_makes_none(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_sqlite_options read = reading();
	assert_int_equal(kit_open_fails(&read, &error), MF_ERR_NOT_FOUND);
	assert_int_equal(kit_file_size(kit_dir, "store.db"), -1);
	assert_int_equal(kit_file_size(kit_dir, "lock"), -1);
	char *nowhere = kit_path(kit_dir, "nowhere");
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = nowhere, .read_only = true}, &error), MF_ERR_NOT_FOUND);
	free(nowhere);
}

/* ---- one writer, many readers ---- */

static void p7_a_second_writer_is_locked_out(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_sqlite_options to_write = options();
	int result, ends[2];
	char byte;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork(); /* before: else it may open nothing */
	if (child == 0) {
		struct mf_store *second;
		leave(read(ends[0], &byte, 1) == 1 && mf_store_open_sqlite(&to_write, &second, NULL) == MF_ERR_LOCKED ? 0 : 1);
	}
	struct mf_store *store = kit_open(kit_dir);
	assert_int_equal(kit_open_fails(&to_write, &error), MF_ERR_LOCKED);
	assert_non_null(strstr(error.message, kit_dir));
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_int_equal(result, 0);
	close(ends[0]);
	close(ends[1]);
	kit_append(store, "d", "k");
	kit_close(store);
	kit_close(kit_open(kit_dir));
}

static void a_reader_beside_the_writer_sees_what_is_written_and_cannot_write(void **state)
{
	(void)state;
	struct mf_store *writer = kit_open(kit_dir), *reader = kit_open_reader(kit_dir);
	assert_int_equal(kit_count(reader, NULL, 0), 0);
	kit_append_many(writer, "d", "k", 20);
	kit_write_snapshot(writer, "d", 10, 100);
	assert_int_equal(kit_count(reader, "d", 0), 20);
	struct mf_event event = kit_event("d", "from the reader");
	struct mf_error error;
	struct mf_snapshot snapshot;
	assert_int_equal(mf_store_append(reader, &event, NULL, &error), MF_ERR_STATE);
	assert_int_equal(mf_store_sync(reader, NULL, &error), MF_ERR_STATE);
	assert_int_equal(mf_store_compact(reader, "d", 10, &error), MF_ERR_STATE);
	assert_int_equal(reader->ops->snapshot_chunk(reader, "d", 10, 0, "x", 1, &error), MF_ERR_STATE);
	KIT_OK(reader->ops->maintain(reader, &error), &error);
	KIT_OK(mf_store_latest_snapshot(reader, "d", INT64_MAX, &snapshot, &error), &error);
	mf_snapshot_deinit(&snapshot);
	int64_t lsn;
	KIT_OK(reader->ops->last_lsn(reader, NULL, &lsn, &error), &error);
	assert_int_equal(lsn, 20);
	struct mf_store_stats stats;
	KIT_OK(mf_store_stats(reader, &stats, &error), &error);
	assert_int_equal(stats.last_lsn, 20);
	assert_int_equal(stats.events, 20);
	assert_int_equal(stats.documents, 1);
	struct kit_findings findings;
	assert_int_equal(kit_verify(reader, NULL, &findings), MF_OK);
	KIT_OK(mf_store_compact(writer, "d", 10, &error), &error);
	KIT_OK(mf_store_stats(reader, &stats, &error), &error);
	assert_int_equal(stats.events, 10);
	kit_close(writer);
	assert_int_equal(kit_count(reader, "d", 10), 10);
	kit_close(reader);
}

static void a_reader_beside_the_writer_sees_how_far_it_has_synced(void **state)
{
	(void)state;
	struct mf_store *writer = kit_open(kit_dir);
	struct mf_store *reader = kit_open_reader(kit_dir);
	struct mf_store_stats stats;
	struct mf_error error;
	for (int64_t round = 0; round < 3; round++) { /* the middle one without a watermark that can be read */
		kit_append_many(writer, "d", round == 0 ? "a" : round == 1 ? "b"
									   : "c",
				10);
		KIT_OK(mf_store_stats(reader, &stats, &error), &error);
		assert_int_equal(stats.last_lsn, 10 * (round + 1));
		assert_int_equal(stats.synced_lsn, 10 * round);
		KIT_OK(mf_store_sync(writer, NULL, &error), &error);
		KIT_OK(mf_store_stats(reader, &stats, &error), &error);
		assert_int_equal(stats.synced_lsn, 10 * (round + 1));
		if (round == 1) {
			kit_poke(kit_dir, "watermark", 9, "x", 1);
			KIT_OK(mf_store_stats(reader, &stats, &error), &error);
			assert_int_equal(stats.synced_lsn, 20); /* what it knew */
		}
	}
	kit_close(reader);
	kit_close(writer);
}

static void append_30_and_die(void)
{
	kit_append_many(kit_open(kit_dir), "d", "k", 30);
}

static void a_reader_works_when_the_writer_was_killed_and_left_its_log(void **state)
{
	(void)state;
	in_a_child_that_dies(append_30_and_die);
	assert_true(kit_file_size(kit_dir, "store.db-wal") > 0);
	struct mf_store *reader = kit_open_reader(kit_dir);
	assert_int_equal(kit_count(reader, "d", 0), 30);
	kit_close(reader);
	assert_true(kit_file_size(kit_dir, "store.db-wal") > 0);
	struct mf_store *writer = kit_open(kit_dir);
	assert_int_equal(kit_append(writer, "d", "next"), 31);
	kit_close(writer);
}

/* ---- loss ---- */

static void expect_loss(int64_t expected, int64_t found)
{
	struct mf_error error;
	const struct mf_sqlite_options both[] = {options(), reading()};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(kit_open_fails(&both[i], &error), MF_ERR_CORRUPTED);
		assert_int_equal(error.expected, expected);
		assert_int_equal(error.found, found);
		assert_non_null(strstr(error.message, kit_dir));
	}
}

static void remove_file(const char *name)
{
	char *path = kit_path(kit_dir, name);
	assert_int_equal(unlink(path), 0);
	free(path);
}

static void a_deleted_or_emptied_database_is_a_loss_and_nothing_is_made_anew(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_close(store);
	kit_copy_file(kit_dir, "store.db", "copy");
	kit_truncate(kit_dir, "store.db", 0);
	expect_loss(5, 0);
	assert_int_equal(kit_file_size(kit_dir, "store.db"), 0);
	remove_file("store.db");
	expect_loss(5, 0);
	assert_int_equal(kit_file_size(kit_dir, "store.db"), -1);
	kit_poke(kit_dir, "watermark", 10, "x", 1); /* even a damaged watermark says that there was a store */
	expect_loss(0, 0);
	kit_copy_file(kit_dir, "copy", "store.db");
	store = kit_open(kit_dir);
	assert_int_equal(kit_count(store, "d", 0), 5);
	kit_close(store);
}

static void a_log_without_a_database_is_a_loss(void **state)
{
	(void)state;
	in_a_child_that_dies(append_30_and_die);
	remove_file("store.db");
	remove_file("watermark");
	expect_loss(0, 0);
}

static void append_sync_append_and_die(void)
{
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "synced", 50);
	if (mf_store_sync(store, NULL, NULL) != MF_OK)
		_exit(1);
	kit_append_many(store, "d", "later", 50);
}

static void a_log_cut_below_the_watermark_is_a_loss_above_it_is_none(void **state)
{
	(void)state;
	in_a_child_that_dies(append_sync_append_and_die);
	assert_int_equal(watermark_lsn(), 50);
	int64_t size = kit_file_size(kit_dir, "store.db-wal");
	kit_truncate(kit_dir, "store.db-wal", size - 10 * 4096);
	struct mf_store *reader = kit_open_reader(kit_dir);
	size_t left = kit_count(reader, "d", 0);
	assert_true(left >= 50 && left < 100);
	kit_close(reader);
	kit_truncate(kit_dir, "store.db-wal", size / 4);
	struct mf_error error;
	struct mf_sqlite_options write = options();
	assert_int_equal(kit_open_fails(&write, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.expected, 50);
	assert_true(error.found > 0 && error.found < 50);
	expect_loss(50, error.found);
	assert_int_equal(kit_file_size(kit_dir, "store.db-wal"), size / 4);
}

static void a_flipped_bit_in_the_log_is_a_loss(void **state)
{
	(void)state;
	in_a_child_that_dies(append_sync_append_and_die);
	unsigned char flipped = 0x5a;
	kit_poke(kit_dir, "store.db-wal", 32 + 20 * 4120 + 777, &flipped, 1);
	struct mf_error error;
	struct mf_sqlite_options write = options();
	assert_int_equal(kit_open_fails(&write, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.expected, 50);
}

static void a_deleted_log_is_a_loss(void **state)
{
	(void)state;
	in_a_child_that_dies(append_sync_append_and_die);
	remove_file("store.db-wal");
	expect_loss(50, 0);
}

static void an_accepted_loss_never_gives_a_synced_number_again(void **state)
{
	(void)state;
	in_a_child_that_dies(append_sync_append_and_die);
	kit_truncate(kit_dir, "store.db-wal", kit_file_size(kit_dir, "store.db-wal") / 4);
	struct mf_sqlite_options accept = {.dir = kit_dir, .read_only = true, .accept_damage = true};
	struct mf_store *reader = kit_open_with(&accept);
	struct kit_findings findings;
	assert_int_equal(kit_verify(reader, "watermark", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 1);
	int64_t left = (int64_t)kit_count(reader, "d", 0);
	kit_close(reader);
	accept.read_only = false;
	struct mf_store *writer = kit_open_with(&accept);
	assert_int_equal(kit_append(writer, "d", "after the loss"), 51);
	struct mf_error error;
	struct mf_store_stats stats;
	KIT_OK(mf_store_stats(writer, &stats, &error), &error);
	assert_int_equal(stats.events, left + 1);
	assert_int_equal(kit_count(writer, NULL, 0), left + 1);
	assert_int_equal(kit_count(writer, "d", 0), left + 1);
	kit_close(writer);
	writer = kit_open(kit_dir);
	assert_int_equal(kit_verify(writer, NULL, &findings), MF_OK);
	assert_int_equal(kit_append(writer, "d", "and on"), 52);
	kit_close(writer);
}

static void a_damaged_or_missing_watermark_is_a_warning(void **state)
{
	(void)state;
	struct kit_findings findings;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_close(store);
	for (int round = 0; round < 2; round++) {
		if (round == 0)
			kit_poke(kit_dir, "watermark", 9, "x", 1);
		else
			remove_file("watermark");
		store = kit_open_reader(kit_dir);
		assert_int_equal(kit_verify(store, "watermark", &findings), MF_ERR_CORRUPTED);
		assert_int_equal(findings.count, 1);
		assert_int_equal(findings.of_kind, 1);
		kit_close(store);
		store = kit_open(kit_dir);
		assert_int_equal(kit_verify(store, "watermark", &findings), MF_ERR_CORRUPTED);
		kit_close(store);
		store = kit_open(kit_dir);
		assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
		kit_close(store);
	}
}

static void an_opening_remembers_what_there_was_even_without_a_watermark(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_close(store);
	kit_close(kit_open(kit_dir));
	kit_sql(kit_dir, "DELETE FROM events WHERE lsn > 3");
	remove_file("watermark");
	expect_loss(5, 3);
}

static void after_a_failed_sync_the_next_opening_verifies_everything(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_close(store);
	char *path = kit_path(kit_dir, "watermark");
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct mf_error error;
	KIT_OK(mf_watermark_write(mf_env_os(), fd, &(struct mf_watermark){5, 1, true}, &error), &error);
	kit_close(kit_open(kit_dir));
	kit_sql(kit_dir, "UPDATE events SET ts = ts + 1 WHERE lsn = 2");
	kit_close(kit_open(kit_dir)); /* only the newest event is read at a usual opening */
	KIT_OK(mf_watermark_write(mf_env_os(), fd, &(struct mf_watermark){5, 3, true}, &error), &error);
	struct mf_sqlite_options write = options();
	assert_int_equal(kit_open_fails(&write, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "LSN 2"));
	close(fd);
	free(path);
}

static void a_damaged_newest_event_stops_the_opening(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_close(store);
	kit_sql(kit_dir, "UPDATE events SET actor = 'someone' WHERE lsn = 5");
	struct mf_error error;
	struct mf_sqlite_options write = options();
	assert_int_equal(kit_open_fails(&write, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 5);
}

/* ---- syncs and checkpoints ---- */

static struct mf_store *open_shim(uint32_t checkpoint_pages)
{
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = vfs_shim_env(), .checkpoint_pages = checkpoint_pages});
	vfs_shim_reset();
	return store;
}

static void f21_a_commit_is_no_checkpoint_and_a_sync_is_one_sync_of_the_log(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(0);
	struct mf_error error;
	kit_append_many(store, "d", "k", 100);
	assert_int_equal(vfs_shim_count(SHIM_LOG, SHIM_SYNC), 0);
	for (int i = 0; i < 50; i++) {
		char key[16];
		snprintf(key, sizeof(key), "s%d", i);
		kit_append(store, "d", key);
		KIT_OK(mf_store_sync(store, NULL, &error), &error);
		KIT_OK(store->ops->maintain(store, &error), &error);
	}
	assert_int_equal(vfs_shim_count(SHIM_LOG, SHIM_SYNC), 50);
	assert_int_equal(vfs_shim_count(SHIM_DB, SHIM_SYNC), 0);
	assert_int_equal(vfs_shim_count(SHIM_DB, SHIM_WRITE), 0);
	kit_close(store);
}

static void a_sync_of_nothing_new_does_nothing(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(0);
	struct mf_error error;
	int64_t synced;
	KIT_OK(mf_store_sync(store, &synced, &error), &error);
	assert_int_equal(synced, 0);
	kit_append(store, "d", "k");
	for (int i = 0; i < 3; i++)
		KIT_OK(mf_store_sync(store, &synced, &error), &error);
	assert_int_equal(synced, 1);
	assert_int_equal(vfs_shim_count(SHIM_LOG, SHIM_SYNC), 1);
	kit_write_snapshot(store, "d", 1, 10); /* a snapshot is something new */
	KIT_OK(mf_store_sync(store, &synced, &error), &error);
	assert_int_equal(vfs_shim_count(SHIM_LOG, SHIM_SYNC), 2);
	assert_int_equal(watermark_lsn(), 1);
	kit_close(store);
}

/* The record comes first: events that went without one would be a hole. */
static void a_compaction_whose_record_cannot_be_written_deletes_nothing(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_error error;
	struct kit_findings findings;
	kit_append_many(store, "d", "k", 10);
	kit_write_snapshot(store, "d", 8, 100);
	kit_sql(kit_dir, "CREATE TRIGGER refuse BEFORE INSERT ON compactions BEGIN SELECT RAISE(ABORT, 'no'); END");
	assert_int_not_equal(mf_store_compact(store, "d", 8, &error), MF_OK);
	kit_sql(kit_dir, "DROP TRIGGER refuse");
	assert_int_equal(kit_count(store, "d", 0), 10);
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	KIT_OK(mf_store_compact(store, "d", 8, &error), &error);
	kit_close(store);
}

static void a_key_of_the_greatest_length_is_known_after_reopening(void **state)
{
	(void)state;
	char longest[MF_ID_MAX + 1];
	memset(longest, 'k', MF_ID_MAX);
	longest[MF_ID_MAX] = '\0';
	struct mf_store *store = kit_open(kit_dir);
	kit_append(store, "d", longest);
	kit_close(store);
	store = kit_open(kit_dir);
	struct mf_event event = kit_event("d", longest);
	struct mf_error error;
	assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_DUPLICATE_KEY);
	assert_int_equal(error.lsn, 1);
	kit_close(store);
}

static void the_watermark_follows_each_sync(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_error error;
	assert_int_equal(watermark_lsn(), 0);
	kit_append_many(store, "d", "a", 3);
	assert_int_equal(watermark_lsn(), 0);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	assert_int_equal(watermark_lsn(), 3);
	kit_append_many(store, "d", "b", 3);
	kit_close(store);
	assert_int_equal(watermark_lsn(), 6);
}

/* What the environment was asked to do to the watermark: "w" written, "s" synced. */
static struct {
	char calls[64];
	int fd;
} on_watermark;

static void note_on_watermark(int fd, char call)
{
	size_t len = strlen(on_watermark.calls);
	if (fd == on_watermark.fd && len + 1 < sizeof(on_watermark.calls))
		on_watermark.calls[len] = call;
}

static int watermark_open(void *user, const char *path, int flags, mode_t mode)
{
	int fd = mf_env_os()->open(user, path, flags, mode);
	if (strstr(path, "/watermark") && (flags & O_CREAT))
		on_watermark.fd = fd;
	return fd;
}

static ssize_t watermark_pwrite(void *user, int fd, const void *bytes, size_t len, int64_t offset)
{
	note_on_watermark(fd, 'w');
	return mf_env_os()->pwrite(user, fd, bytes, len, offset);
}

static int watermark_fsync(void *user, int fd)
{
	note_on_watermark(fd, 's');
	return mf_env_os()->fsync(user, fd);
}

static int syncs_of_watermark(void)
{
	int count = 0;
	for (const char *call = on_watermark.calls; *call; call++)
		count += *call == 's';
	return count;
}

/* Opens with this environment and appends; expected: syncs of the watermark while opening, after its last write. There are none later. */
static void expect_syncs_of_watermark(int expected, const char *key)
{
	struct mf_env env = *mf_env_os();
	struct mf_error error;
	env.open = watermark_open;
	env.pwrite = watermark_pwrite;
	env.fsync = watermark_fsync;
	memset(&on_watermark, 0, sizeof(on_watermark));
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env});
	assert_int_equal(syncs_of_watermark(), expected);
	assert_int_equal(on_watermark.calls[strlen(on_watermark.calls) - 1], expected ? 's' : 'w');
	kit_append(store, "d", key);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	kit_close(store);
	assert_int_equal(syncs_of_watermark(), expected);
}

/* Found by the power-loss simulator: the file's name was there after a power loss, empty, and verify called that damage. */
static void the_watermark_is_synced_once_an_opening_before_the_first_event(void **state)
{
	(void)state;
	expect_syncs_of_watermark(1, "a");
	expect_syncs_of_watermark(1, "b"); /* who wrote it may have been killed before it was synced */
	remove_file("watermark");
	expect_syncs_of_watermark(1, "c");
}

static int64_t log_pages(struct mf_store *store)
{
	struct mf_store_stats stats;
	struct mf_error error;
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	return stats.log_pages;
}

static void maintain_checkpoints_when_the_log_is_long_and_the_log_begins_anew(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(40);
	struct mf_error error;
	int64_t longest = 0;
	for (int i = 0; i < 300; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		kit_append(store, "d", key);
		KIT_OK(store->ops->maintain(store, &error), &error);
		assert_true(log_pages(store) < 40);
		int64_t size = kit_file_size(kit_dir, "store.db-wal");
		longest = size > longest ? size : longest;
	}
	assert_true(vfs_shim_count(SHIM_DB, SHIM_SYNC) > 5);
	assert_true(longest < 60 * 4200);
	assert_int_equal(kit_count(store, "d", 0), 300);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_close(store);
	assert_int_equal(kit_file_size(kit_dir, "store.db-wal"), 0);
}

struct hold {
	struct mf_store *store;
	bool done;
};

/* Runs inside a listing, whose read transaction keeps the log from being copied whole. */
static bool write_much(void *user, const struct mf_document_info *info)
{
	(void)info;
	struct hold *hold = user;
	struct mf_error error;
	if (!hold->done) {
		for (int i = 0; i < 200; i++) {
			char key[16];
			snprintf(key, sizeof(key), "m%d", i);
			kit_append(hold->store, "d", key);
			KIT_OK(hold->store->ops->maintain(hold->store, &error), &error);
		}
		assert_true(log_pages(hold->store) >= 40);
	}
	hold->done = true;
	return true;
}

static void a_reader_that_stays_delays_the_checkpoint_and_no_commit(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(40);
	struct mf_error error;
	kit_append(store, "d", "first");
	vfs_shim_reset();
	struct hold hold = {.store = store};
	KIT_OK(store->ops->documents(store, write_much, &hold, &error), &error);
	assert_true(hold.done);
	assert_true(vfs_shim_count(SHIM_DB, SHIM_SYNC) < 60); /* not tried again at every call */
	for (int i = 0; i < 60; i++) {
		char key[16];
		snprintf(key, sizeof(key), "n%d", i);
		kit_append(store, "d", key);
		KIT_OK(store->ops->maintain(store, &error), &error);
	}
	assert_true(log_pages(store) < 40);
	kit_close(store);
}

/* Which snapshot the events that are left follow on is not known then. */
static void a_damaged_record_of_a_compaction_costs_no_snapshot(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_snapshot snapshot;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 10);
	for (int lsn = 2; lsn <= 6; lsn += 2)
		kit_write_snapshot(store, "d", lsn, 10);
	KIT_OK(mf_store_compact(store, "d", 2, &error), &error);
	kit_close(store);
	kit_sql(kit_dir, "UPDATE compactions SET compacted_upto = compacted_upto + 64");
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir}, &error), MF_ERR_CORRUPTED);
	store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true});
	assert_int_equal(mf_store_prune_snapshots(store, "d", 1, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "compaction"));
	KIT_OK(mf_store_latest_snapshot(store, "d", 2, &snapshot, &error), &error);
	mf_snapshot_deinit(&snapshot);
	kit_close(store);
}

static void p10_compaction_frees_space_and_vacuum_gives_it_back(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_error error;
	struct mf_store_stats before, after;
	struct mf_event events[100];
	char keys[100][32], big[3000];
	memset(big, 'x', sizeof(big));
	for (int batch = 0; batch < 20; batch++) {
		for (int i = 0; i < 100; i++) {
			snprintf(keys[i], sizeof(keys[i]), "%d/%d", batch, i);
			events[i] = kit_event("d", keys[i]);
			events[i].payload = (const unsigned char *)big;
			events[i].payload_len = sizeof(big);
		}
		KIT_OK(mf_store_append_batch(store, events, 100, NULL, &error), &error);
		KIT_OK(store->ops->maintain(store, &error), &error);
	}
	kit_write_snapshot(store, "d", 1990, 1000);
	KIT_OK(mf_store_stats(store, &before, &error), &error);
	KIT_OK(mf_store_compact(store, "d", 1990, &error), &error);
	int64_t size = kit_file_size(kit_dir, "store.db");
	kit_append(store, "d", "into the space that is free");
	KIT_OK(store->ops->maintain(store, &error), &error);
	assert_true(size > 6000000);
	assert_int_equal(kit_file_size(kit_dir, "store.db"), size);
	KIT_OK(mf_store_vacuum(store, &error), &error);
	KIT_OK(mf_store_stats(store, &after, &error), &error);
	assert_true(kit_file_size(kit_dir, "store.db") < 1000000);
	assert_true(after.bytes < before.bytes / 5);
	assert_int_equal(kit_count(store, "d", 1990), 11);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_append(store, "d", "next");
	kit_close(store);
	assert_true(kit_file_size(kit_dir, "store.db") < 1000000);
}

/* ---- failures of the environment ---- */

static void open_with_failure(uint64_t n, bool read_only)
{
	struct mf_store *store = NULL;
	struct mf_error error;
	mf_mem_fail_at(n, false);
	enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, &store, &error);
	mf_mem_fail_at(0, false);
	if (status == MF_OK)
		kit_close(store);
	else if (status != MF_ERR_NO_MEMORY && !(read_only && status == MF_ERR_NOT_FOUND))
		fail_msg("allocation %d: %s: %s", (int)n, mf_status_name(status), error.message);
}

static void every_allocation_may_fail_while_opening(void **state)
{
	(void)state;
	char *inner = kit_path(kit_dir, "counted");
	mf_mem_fail_at(0, false);
	struct mf_store *store = kit_open(inner);
	uint64_t allocations = mf_mem_count();
	kit_close(store);
	free(inner);
	assert_true(allocations > 20);
	for (uint64_t n = 1; n <= allocations; n++) {
		open_with_failure(n, false);
		open_with_failure(n, true);
	}
	kit_close(kit_open(kit_dir));
}

static int call, failing;

static bool strikes(void)
{
	return ++call == failing;
}

static int env_open(void *user, const char *path, int flags, mode_t mode)
{
	return strikes() ? -EMFILE : mf_env_os()->open(user, path, flags, mode);
}

static int env_lock(void *user, int fd)
{
	return strikes() ? -ENOLCK : mf_env_os()->lock(user, fd);
}

static int env_mkdir(void *user, const char *path, mode_t mode)
{
	return strikes() ? -ENOSPC : mf_env_os()->mkdir(user, path, mode);
}

static int env_fsync(void *user, int fd)
{
	return strikes() ? -EIO : mf_env_os()->fsync(user, fd);
}

static int env_random(void *user, void *bytes, size_t len)
{
	return strikes() ? -ENOSYS : mf_env_os()->random(user, bytes, len);
}

static int64_t env_size(void *user, const char *path)
{
	return strikes() ? -EACCES : mf_env_os()->size(user, path);
}

static ssize_t env_pread(void *user, int fd, void *bytes, size_t len, int64_t offset)
{
	return strikes() ? -EIO : mf_env_os()->pread(user, fd, bytes, len, offset);
}

static void every_call_to_the_environment_may_fail_while_opening(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	env.open = env_open;
	env.lock = env_lock;
	env.mkdir = env_mkdir;
	env.fsync = env_fsync;
	env.random = env_random;
	env.size = env_size;
	env.pread = env_pread;
	char *inner = kit_path(kit_dir, "inner");
	struct mf_sqlite_options write = {.dir = inner, .env = &env};
	for (failing = 1;; failing++) {
		struct mf_store *store = NULL;
		struct mf_error error;
		call = 0;
		enum mf_status status = mf_store_open_sqlite(&write, &store, &error);
		if (status == MF_OK) {
			failing = 0;
			kit_close(store);
			break;
		}
		assert_true(status == MF_ERR_IO || status == MF_ERR_STORAGE_FULL);
		assert_true(strlen(error.message) > 20);
	}
	assert_true(call > 8);
	kit_close(kit_open(inner));
	free(inner);
}

static ssize_t no_pwrite(void *user, int fd, const void *bytes, size_t len, int64_t offset)
{
	(void)user, (void)fd, (void)bytes, (void)len, (void)offset;
	return -ENOSPC;
}

static void a_watermark_that_cannot_be_written_fails_no_sync(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &env});
	struct mf_error error;
	int64_t synced;
	env.pwrite = no_pwrite;
	kit_append(store, "d", "k");
	KIT_OK(mf_store_sync(store, &synced, &error), &error);
	assert_int_equal(synced, 1);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, "watermark", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 1);
	kit_close(store);
}

/* Whoever can write the file can fit the checksum to what he writes. */
static void expect_promise_refused(int64_t len, int64_t chunks, const char *words)
{
	struct mf_error error = {0};
	struct mf_snapshot snapshot;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 3);
	kit_write_snapshot(store, "d", 3, 1200000);
	kit_close(store);
	const int64_t numbers[] = {3, 5, 1, len, chunks, 1}; /* LSN, time, version, length, chunks, take */
	char sql[200];
	snprintf(sql, sizeof(sql), "UPDATE snapshots SET state_len = %lld, chunks = %lld, checksum = %u", (long long)len, (long long)chunks, mf_row_checksum(numbers, 6, "d", NULL, 0));
	kit_sql(kit_dir, sql);
	store = kit_open(kit_dir);
	assert_int_equal(mf_store_latest_snapshot(store, "d", INT64_MAX, &snapshot, &error), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 3);
	assert_non_null(strstr(error.message, words));
	kit_close(store);
}

static void a_row_that_promises_more_than_its_chunks_costs_no_memory(void **state)
{
	(void)state;
	expect_promise_refused((int64_t)1 << 44, 2, "chunks of the snapshot are missing");
}

static void a_row_with_less_than_no_chunks_is_not_read(void **state)
{
	(void)state;
	expect_promise_refused(1200000, -1, "does not fit");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)
	const struct CMUnitTest tests[] = {
		T(a_new_store_is_a_private_directory),
		T(the_database_is_marked_as_ours),
		T(f1_reopening_goes_on_with_numbers_and_keys),
		T(nobody_else_can_read_what_is_stored),
		T(an_interrupted_creation_is_finished_by_the_next_opening),
		T(a_creation_that_left_a_journal_is_no_store_yet),
		T(a_foreign_or_newer_database_is_refused_and_left_alone),
		T(a_store_of_version_1_is_read_as_it_is_and_upgraded_when_it_is_written),
		T(an_epoch_ends_where_the_next_one_begins),
		T(a_number_below_all_numbers_is_damage),
		T(a_damaged_checkpoint_is_found),
		T(a_follower_that_is_missing_is_damage_and_not_one_that_is_new),
		T(a_store_of_version_2_counts_its_followers_when_it_is_written),
		T(a_row_that_promises_more_than_its_chunks_costs_no_memory),
		T(a_row_with_less_than_no_chunks_is_not_read),
		T(reading_where_there_is_no_store_finds_none_and_makes_none),
		T(p7_a_second_writer_is_locked_out),
		T(a_reader_beside_the_writer_sees_what_is_written_and_cannot_write),
		T(a_reader_beside_the_writer_sees_how_far_it_has_synced),
		T(a_reader_works_when_the_writer_was_killed_and_left_its_log),
		T(a_deleted_or_emptied_database_is_a_loss_and_nothing_is_made_anew),
		T(a_log_without_a_database_is_a_loss),
		T(a_log_cut_below_the_watermark_is_a_loss_above_it_is_none),
		T(a_flipped_bit_in_the_log_is_a_loss),
		T(a_deleted_log_is_a_loss),
		T(an_accepted_loss_never_gives_a_synced_number_again),
		T(a_damaged_or_missing_watermark_is_a_warning),
		T(an_opening_remembers_what_there_was_even_without_a_watermark),
		T(after_a_failed_sync_the_next_opening_verifies_everything),
		T(a_damaged_newest_event_stops_the_opening),
		T(f21_a_commit_is_no_checkpoint_and_a_sync_is_one_sync_of_the_log),
		T(a_sync_of_nothing_new_does_nothing),
		T(a_compaction_whose_record_cannot_be_written_deletes_nothing),
		T(a_key_of_the_greatest_length_is_known_after_reopening),
		T(the_watermark_follows_each_sync),
		T(the_watermark_is_synced_once_an_opening_before_the_first_event),
		T(maintain_checkpoints_when_the_log_is_long_and_the_log_begins_anew),
		T(a_reader_that_stays_delays_the_checkpoint_and_no_commit),
		T(a_damaged_record_of_a_compaction_costs_no_snapshot),
		T(p10_compaction_frees_space_and_vacuum_gives_it_back),
		T(every_allocation_may_fail_while_opening),
		T(every_call_to_the_environment_may_fail_while_opening),
		T(a_watermark_that_cannot_be_written_fails_no_sync),
	};
	return cmocka_run_group_tests_name("sqlite store", tests, NULL, NULL);
}
