/* Devices that fail: what an error means for the event under way, for the store, and after reopening. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "persist/env.h"
#include "persist/watermark.h"
#include "vfs_shim.h"

static int tear_down(void **state)
{
	vfs_shim_reset();
	return kit_tear_down(state);
}

static struct mf_store *open_shim(uint32_t checkpoint_pages)
{
	return kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = vfs_shim_env(), .checkpoint_pages = checkpoint_pages});
}

static enum mf_status try_append(struct mf_store *store, const char *doc_id, const char *key, struct mf_error *error)
{
	struct mf_event event = kit_event(doc_id, key);
	return mf_store_append(store, &event, NULL, error);
}

/* Poisoned: every write is refused with a sentence, every read goes on. */
static void expect_poisoned(struct mf_store *store, size_t events_at_least)
{
	struct mf_error error;
	struct mf_event_list list;
	assert_int_equal(try_append(store, "d", "refused", &error), MF_ERR_IO);
	assert_non_null(strstr(error.message, "reopened"));
	assert_int_equal(mf_store_sync(store, NULL, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(store->ops->maintain(store, &error), MF_ERR_IO);
	assert_int_equal(store->ops->snapshot_chunk(store, "d", 1, 0, "x", 1, &error), MF_ERR_IO);
	assert_int_equal(mf_store_compact(store, "d", 1, &error), MF_ERR_IO);
	KIT_OK(mf_store_load_since(store, "d", 0, 1000, &list, &error), &error);
	assert_true(list.count >= events_at_least);
	mf_event_list_deinit(&list);
	struct mf_key_info info;
	assert_int_equal(store->ops->find_key(store, "never", &info, &error), MF_ERR_NOT_FOUND);
}

static bool watermark_is_suspect(void)
{
	struct mf_watermark mark;
	enum mf_watermark_state found;
	struct mf_error error;
	char *path = kit_path(kit_dir, "watermark");
	KIT_OK(mf_watermark_read(mf_env_os(), path, &mark, &found, &error), &error);
	free(path);
	assert_int_equal(found, MF_WATERMARK_GOOD);
	return mark.sync_failed;
}

/* ---- writes ---- */

static void p8_a_failed_write_is_an_unknown_outcome_and_the_key_tells(void **state)
{
	(void)state;
	/* Each write of an append in turn, refused or carried out and then reported as failed. */
	for (int round = 0;; round++) {
		bool done_first = round % 2;
		int64_t at = round / 2 + 1;
		struct mf_store *store = open_shim(0);
		kit_append_many(store, "d", "before", 5);
		struct mf_error error;
		KIT_OK(mf_store_sync(store, NULL, &error), &error);
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = at, .times = 1, .rc = SQLITE_IOERR_WRITE, .system_errno = EIO, .done_first = done_first});
		enum mf_status status = try_append(store, "d", "the one", &error);
		bool struck = vfs_shim_failed() > 0;
		vfs_shim_reset();
		if (!struck) {
			KIT_OK(status, &error);
			assert_true(round >= 8);
			kit_close(store);
			return;
		}
		assert_int_equal(status, MF_ERR_UNKNOWN_OUTCOME);
		expect_poisoned(store, 5);
		assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
		assert_true(watermark_is_suspect());
		store = kit_open(kit_dir);
		size_t there = kit_count(store, "d", 0);
		status = try_append(store, "d", "the one", &error);
		assert_int_equal(status, there == 6 ? MF_ERR_DUPLICATE_KEY : MF_OK);
		assert_true(there == 5 || there == 6);
		assert_int_equal(kit_count(store, "d", 0), 6);
		struct kit_findings findings;
		assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
		kit_close(store);
		kit_remove_dir(kit_dir);
		kit_dir = kit_make_dir();
	}
}

static void p9_a_full_disk_refuses_and_resumes_without_a_restart(void **state)
{
	(void)state;
	static const struct {
		int rc, system_errno;
	} full[] = {{SQLITE_FULL, 0}, {SQLITE_IOERR_WRITE, ENOSPC}, {SQLITE_IOERR_WRITE, EDQUOT}};
	struct mf_store *store = open_shim(0);
	struct mf_error error;
	kit_append_many(store, "d", "before", 5);
	int64_t lsn = 5;
	for (size_t kind = 0; kind < 3; kind++) {
		for (int64_t at = 1;; at++) {
			char key[32];
			snprintf(key, sizeof(key), "%d/%d", (int)kind, (int)at);
			vfs_shim_plan(&(struct shim_plan){
				.file = SHIM_LOG, .call = SHIM_WRITE, .at = at, .times = 1000, .rc = full[kind].rc, .system_errno = full[kind].system_errno});
			enum mf_status status = try_append(store, "d", key, &error);
			bool struck = vfs_shim_failed() > 0;
			if (struck) {
				if (status != MF_ERR_STORAGE_FULL)
					fail_msg("kind %d, write %d: %s: %s", (int)kind, (int)at, mf_status_name(status), error.message);
				assert_int_equal(try_append(store, "e", "still full", &error), MF_ERR_STORAGE_FULL);
				assert_int_equal(kit_count(store, NULL, 0), lsn);
			}
			vfs_shim_reset();
			if (!struck) {
				lsn++;
				break;
			}
			assert_int_equal(kit_append(store, at % 2 ? "d" : "f", key), ++lsn);
		}
	}
	assert_true(lsn > 15);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_close(store);
	store = kit_open(kit_dir);
	assert_int_equal(kit_count(store, NULL, 0), lsn);
	kit_close(store);
}

#define CHUNKS_ARE(count) "CREATE TEMP TABLE t (n CHECK (n = " #count ")); INSERT INTO t SELECT count(*) FROM snapshot_chunks"

/* Each try is of a later LSN: what is left of one would be in the way of commits, and more with every try. */
static void p9_a_full_disk_keeps_no_part_of_a_snapshot(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(0);
	struct mf_error error;
	struct shim_plan full = {.file = SHIM_LOG, .call = SHIM_WRITE, .at = 1500, .times = 1, .rc = SQLITE_FULL, .system_errno = ENOSPC};
	kit_append_many(store, "d", "k", 10);
	for (int lsn = 1; lsn <= 8; lsn++) {
		full.times = lsn < 5 ? 1 : 1000000; /* the second kind is full for the sweep too: the next try begins with it */
		vfs_shim_plan(&full);
		assert_int_equal(kit_try_snapshot(store, "d", lsn, 0, 5000000, &error), MF_ERR_STORAGE_FULL);
		vfs_shim_reset();
		kit_sql(kit_dir, lsn < 5 ? CHUNKS_ARE(0) : CHUNKS_ARE(2));
	}
	kit_write_snapshot(store, "d", 9, 5000000);
	kit_sql(kit_dir, CHUNKS_ARE(5));
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_close(store);
}

/* The index of the log grows by 32 KiB when the log has 4062 pages, and then every 4096. */
static void p9_a_disk_too_full_for_the_index_of_the_log_refuses_and_resumes(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(1000000);
	struct mf_error error;
	enum mf_status status = MF_OK;
	int64_t lsn = 0;
	char key[32];
	kit_append_many(store, "d", "before", 10);
	lsn = 10;
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_SHM, .at = 1, .times = 1000, .rc = SQLITE_IOERR_SHMSIZE, .system_errno = ENOSPC});
	for (int i = 0; i < 5000 && status == MF_OK; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		status = try_append(store, "d", key, &error);
		lsn += status == MF_OK;
	}
	if (status != MF_ERR_STORAGE_FULL || !strstr(error.message, "store.db-shm"))
		fail_msg("%s: %s", mf_status_name(status), error.message);
	assert_int_equal(try_append(store, "e", "still full", &error), MF_ERR_STORAGE_FULL);
	vfs_shim_reset(); /* which also refused what readers map, and a disk would not */
	assert_int_equal(kit_count(store, NULL, 0), lsn);
	for (int i = 0; i < 1500; i++) { /* on into the new region */
		snprintf(key, sizeof(key), "after%d", i);
		assert_int_equal(kit_append(store, "d", key), ++lsn);
	}
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_close(store);
	store = kit_open(kit_dir);
	assert_int_equal(kit_count(store, NULL, 0), lsn);
	kit_close(store);
}

static void a_batch_larger_than_the_cache_is_still_all_or_nothing(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(0);
	struct mf_error error;
	size_t len = 4u << 20;
	unsigned char *large = calloc(1, len);
	struct mf_event events[24];
	char keys[24][16];
	for (int i = 0; i < 24; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		events[i] = kit_event("d", keys[i]);
		events[i].payload = large;
		events[i].payload_len = len;
	}
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = 30000, .times = 1000, .rc = SQLITE_FULL});
	assert_int_equal(mf_store_append_batch(store, events, 24, NULL, &error), MF_ERR_STORAGE_FULL);
	assert_true(vfs_shim_failed() > 0);
	vfs_shim_reset();
	assert_int_equal(kit_count(store, NULL, 0), 0);
	assert_int_equal(events[0].lsn, 0);
	assert_int_equal(kit_append(store, "d", "k0"), 1);
	kit_close(store);
	free(large);
}

static void damage_in_an_interrupted_compaction_does_not_lock_the_store(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(0);
	struct mf_error error;
	kit_append_many(store, "bad", "b", 10);
	kit_append_many(store, "good", "g", 10);
	kit_write_snapshot(store, "bad", 9, 100);
	kit_write_snapshot(store, "good", 19, 100);
	for (int i = 0; i < 2; i++) { /* the record of the compaction is written, the disk is full before an event is moved */
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = 3, .times = 1000, .rc = SQLITE_FULL, .system_errno = ENOSPC});
		assert_int_equal(mf_store_compact(store, i ? "good" : "bad", i ? 19 : 9, &error), MF_ERR_STORAGE_FULL);
		vfs_shim_reset();
	}
	kit_close(store);
	kit_sql(kit_dir, "UPDATE events SET payload = zeroblob(40) WHERE lsn = 5");
	store = kit_open(kit_dir);
	kit_append_many(store, "good", "more", 5);
	assert_int_equal(kit_count(store, "good", 19), 6);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_ERR_CORRUPTED);
	assert_string_equal(findings.doc_id, "bad");
	assert_int_equal(findings.lsn, 5);
	kit_close(store);
}

/* ---- syncs ---- */

static void a_failed_sync_is_final(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(0);
	struct mf_error error;
	kit_append_many(store, "d", "a", 3);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	kit_append_many(store, "d", "b", 3);
	/* The kernel tells once: the second sync would succeed. */
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO});
	assert_int_equal(mf_store_sync(store, NULL, &error), MF_ERR_UNKNOWN_OUTCOME);
	expect_poisoned(store, 6);
	assert_int_equal(vfs_shim_count(SHIM_LOG, SHIM_SYNC), 1);
	struct mf_store_stats stats;
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.synced_lsn, 3);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	assert_int_equal(vfs_shim_count(SHIM_LOG, SHIM_SYNC), 1);
	assert_int_equal(vfs_shim_count(SHIM_DB, SHIM_WRITE), 0);
	assert_true(watermark_is_suspect());
	store = kit_open(kit_dir);
	assert_int_equal(kit_count(store, "d", 0), 6);
	assert_false(watermark_is_suspect());
	kit_close(store);
}

static struct {
	struct mf_env env;
	bool no_watermark;
	int db, log; /* dropped */
} device;

static int drop_cache(void *user, const char *path)
{
	*(strstr(path, "-wal") ? &device.log : &device.db) += 1;
	return mf_env_os()->drop_cache(user, path);
}

static ssize_t write_watermark(void *user, int fd, const void *bytes, size_t len, int64_t offset)
{
	return device.no_watermark ? -EIO : mf_env_os()->pwrite(user, fd, bytes, len, offset);
}

static struct mf_store *open_device(void)
{
	device.db = device.log = 0;
	device.env = *vfs_shim_env();
	device.env.drop_cache = drop_cache;
	device.env.pwrite = write_watermark;
	return kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = &device.env});
}

/* Pages that a failed sync did not write are clean for the kernel. A log that goes on behind such a hole is lost from there on. */
static void a_log_that_was_not_closed_is_read_from_the_device(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = open_device();
	assert_int_equal(device.db, 1); /* there is no watermark yet, and what there is may be the rest of a creation that failed */
	assert_int_equal(device.log, 0);
	kit_append_many(store, "d", "a", 3);
	kit_close(store);
	store = open_device();
	assert_int_equal(device.db + device.log, 0); /* a clean end leaves nothing to be doubted */
	kit_append_many(store, "d", "b", 3);
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO});
	device.no_watermark = true; /* nor can it be written down that the sync failed */
	assert_int_equal(mf_store_sync(store, NULL, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	device.no_watermark = false;
	vfs_shim_reset();
	assert_false(watermark_is_suspect());
	store = open_device();
	assert_int_equal(device.log, 1);
	assert_int_equal(kit_count(store, "d", 0), 6); /* this device has them */
	kit_close(store);
}

/* Nobody has handed in an event yet. */
static void an_opening_whose_sync_fails_has_no_unknown_outcome(void **state)
{
	(void)state;
	struct mf_store *store = NULL;
	struct mf_error error = {0};
	const struct mf_sqlite_options options = {.dir = kit_dir, .env = vfs_shim_env()};
	kit_close(open_shim(0));
	for (int i = 0; i < 2; i++) {
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO});
		assert_int_equal(mf_store_open_sqlite(&options, &store, i ? &error : NULL), MF_ERR_IO);
		assert_int_equal(vfs_shim_failed(), 1);
		vfs_shim_reset();
	}
	assert_int_equal(error.status, MF_ERR_IO);
	kit_close(open_shim(0));
}

static void a_watermark_that_could_not_be_written_is_told_until_one_is(void **state)
{
	(void)state;
	struct mf_error error;
	struct kit_findings findings;
	kit_close(open_device());
	device.no_watermark = true;
	device.env = *vfs_shim_env();
	device.env.pwrite = write_watermark;
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .env = &device.env}, &error), MF_ERR_IO); /* before there is anything to lose */
	device.no_watermark = false;
	struct mf_store *store = open_device();
	kit_append(store, "d", "a");
	device.no_watermark = true;
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	assert_int_equal(kit_verify(store, "watermark", &findings), MF_ERR_CORRUPTED);
	assert_int_equal(findings.of_kind, 1);
	device.no_watermark = false;
	kit_append(store, "d", "b");
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_close(store);
}

static void a_close_whose_sync_fails_says_so(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = open_shim(0);
	kit_append_many(store, "d", "before", 5);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	kit_append(store, "d", "not synced");
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO});
	assert_int_equal(mf_store_close(store, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(vfs_shim_failed(), 1);
	assert_true(watermark_is_suspect());
}

static void a_failed_sync_for_want_of_space_is_as_final(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(0);
	struct mf_error error;
	kit_append(store, "d", "k");
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = ENOSPC});
	assert_int_equal(mf_store_sync(store, NULL, &error), MF_ERR_UNKNOWN_OUTCOME);
	expect_poisoned(store, 1);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
}

static void the_sync_inside_the_first_commit_after_a_checkpoint_is_final_too(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(1);
	struct mf_error error;
	kit_append_many(store, "d", "a", 3);
	KIT_OK(store->ops->maintain(store, &error), &error);
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO});
	assert_int_equal(try_append(store, "d", "b", &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(vfs_shim_failed(), 1);
	expect_poisoned(store, 3);
	assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
	store = kit_open(kit_dir);
	assert_true(kit_count(store, "d", 0) >= 3);
	kit_close(store);
}

static void a_failed_checkpoint_is_reported_not_swallowed(void **state)
{
	(void)state;
	static const struct shim_plan plans[] = {
		{.file = SHIM_DB, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO},
		{.file = SHIM_DB, .call = SHIM_WRITE, .at = 2, .times = 1, .rc = SQLITE_IOERR_WRITE, .system_errno = EIO},
		{.file = SHIM_LOG, .call = SHIM_SYNC, .at = 2, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO},
	};
	for (size_t i = 0; i < 6; i++) {
		struct mf_store *store = open_shim(1);
		struct mf_error error;
		kit_append_many(store, "d", i < 3 ? "a" : "b", 3);
		vfs_shim_plan(&plans[i % 3]);
		if (i < 3) {
			assert_int_equal(store->ops->maintain(store, &error), MF_ERR_UNKNOWN_OUTCOME);
			assert_int_equal(vfs_shim_failed(), 1);
			expect_poisoned(store, 3);
			assert_int_equal(mf_store_close(store, &error), MF_ERR_IO);
		} else {
			assert_int_equal(mf_store_close(store, &error), MF_ERR_UNKNOWN_OUTCOME);
			assert_int_equal(vfs_shim_failed(), 1);
		}
		assert_true(watermark_is_suspect());
		vfs_shim_reset();
		store = kit_open(kit_dir);
		assert_int_equal(kit_count(store, "d", 0), 3);
		kit_close(store);
		kit_remove_dir(kit_dir);
		kit_dir = kit_make_dir();
	}
}

static void a_checkpoint_without_space_is_put_off(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(1);
	struct mf_error error;
	kit_append_many(store, "d", "a", 3);
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_WRITE, .at = 1, .times = 1000, .rc = SQLITE_FULL});
	assert_int_equal(store->ops->maintain(store, &error), MF_ERR_STORAGE_FULL);
	kit_append(store, "d", "b");
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	vfs_shim_reset();
	KIT_OK(store->ops->maintain(store, &error), &error);
	kit_append(store, "d", "c");
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_WRITE, .at = 1, .times = 1000, .rc = SQLITE_FULL});
	KIT_OK(mf_store_close(store, &error), &error); /* everything is on the device, in the log */
	vfs_shim_reset();
	store = kit_open(kit_dir);
	assert_int_equal(kit_count(store, "d", 0), 5);
	kit_close(store);
}

/* ---- reads ---- */

static void f15_a_read_error_is_an_error_and_never_no_snapshot(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(1);
	struct mf_error error;
	kit_append_many(store, "d", "k", 50);
	kit_write_snapshot(store, "d", 20, 5000);
	kit_write_snapshot(store, "d", 30, 3000000);
	KIT_OK(store->ops->maintain(store, &error), &error);
	kit_close(store);
	int struck = 0;
	for (int64_t at = 1; at < 60; at++) {
		store = open_shim(0);
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_READ, .at = at, .times = 1000000, .rc = SQLITE_IOERR_READ, .system_errno = EIO});
		struct mf_snapshot snapshot;
		struct mf_event_list list;
		struct mf_key_info info;
		enum mf_status status = mf_store_latest_snapshot(store, "d", INT64_MAX, &snapshot, &error);
		assert_true(status == MF_OK || status == MF_ERR_IO);
		if (status == MF_OK)
			mf_snapshot_deinit(&snapshot);
		status = mf_store_load_since(store, "d", 0, 100, &list, &error);
		assert_true(status == MF_OK || status == MF_ERR_IO);
		if (status == MF_OK)
			mf_event_list_deinit(&list);
		status = store->ops->find_key(store, "k-7", &info, &error);
		assert_true(status == MF_OK || status == MF_ERR_IO);
		struck += vfs_shim_failed() > 0;
		vfs_shim_reset();
		KIT_OK(mf_store_load_since(store, "d", 0, 100, &list, &error), &error);
		assert_int_equal(list.count, 50);
		mf_event_list_deinit(&list);
		kit_close(store);
	}
	assert_true(struck > 20);
}

static void a_read_error_in_an_append_leaves_the_store_usable(void **state)
{
	(void)state;
	struct mf_store *store = open_shim(1);
	struct mf_error error;
	kit_append_many(store, "d", "k", 300);
	KIT_OK(store->ops->maintain(store, &error), &error);
	kit_close(store);
	int struck = 0;
	for (int64_t at = 1; at < 8; at++) {
		store = open_shim(0); /* its cache is cold: an append reads pages */
		char key[16];
		snprintf(key, sizeof(key), "r%d", (int)at);
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_READ, .at = at, .times = 1, .rc = SQLITE_IOERR_READ, .system_errno = EIO});
		enum mf_status status = try_append(store, "another", key, &error);
		bool failed = vfs_shim_failed() > 0;
		vfs_shim_reset();
		assert_int_equal(status, failed ? MF_ERR_IO : MF_OK);
		struck += failed;
		if (failed)
			kit_append(store, "another", key);
		kit_close(store);
	}
	assert_true(struck > 0);
	store = kit_open(kit_dir);
	assert_int_equal(kit_count(store, "another", 0), 7);
	kit_close(store);
}

/* SQLite has a name of its own for EIO, and takes it for a damaged database. */
static void f15_a_device_that_cannot_be_read_is_an_io_error_and_not_damage(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	struct mf_error error;
	kit_append_many(store, "d", "k", 40);
	kit_close(store);
	int64_t struck = 0;
	for (int round = 0; round < 40; round++) {
		enum shim_file file = round % 2 ? SHIM_LOG : SHIM_DB;
		store = open_shim(0);
		kit_append_many(store, "e", round % 2 ? "odd" : "even", 0);
		vfs_shim_plan(&(struct shim_plan){.file = file, .call = SHIM_READ, .at = round / 2 + 1, .times = 1, .rc = SQLITE_IOERR_CORRUPTFS, .system_errno = EIO});
		struct mf_event_list list;
		char key[32];
		snprintf(key, sizeof(key), "key %d", round);
		enum mf_status status = try_append(store, "d", key, &error);
		if (status == MF_OK)
			status = mf_store_load_since(store, "d", 0, 1000, &list, &error);
		if (status == MF_OK)
			mf_event_list_deinit(&list);
		bool hit = vfs_shim_failed() > 0;
		vfs_shim_reset();
		assert_int_equal(status, hit ? MF_ERR_IO : MF_OK);
		struck += hit;
		kit_close(store);
	}
	assert_true(struck > 0);
	struct mf_sqlite_options write = {.dir = kit_dir, .env = vfs_shim_env()};
	for (int64_t at = 1;; at++) {
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_READ, .at = at, .times = 1, .rc = SQLITE_IOERR_CORRUPTFS, .system_errno = EIO});
		enum mf_status status = mf_store_open_sqlite(&write, &store, &error);
		bool hit = vfs_shim_failed() > 0;
		vfs_shim_reset();
		if (status == MF_OK) /* SQLite can do without the first 100 bytes when it opens the file */
			kit_close(store);
		else
			assert_int_equal(status, MF_ERR_IO);
		if (!hit) {
			assert_int_equal(status, MF_OK);
			assert_true(at > 3);
			break;
		}
	}
}

static void a_device_that_cannot_be_read_is_no_damage_for_verify(void **state)
{
	(void)state;
	struct kit_findings findings;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 60);
	kit_write_snapshot(store, "d", 60, 3000);
	KIT_OK(mf_store_compact(store, "d", 60, NULL), &(struct mf_error){0});
	kit_append_many(store, "e", "k2", 60);
	kit_close(store);
	int struck = 0;
	for (int64_t times = 1; times <= 1000; times += 999)
		for (int64_t at = 1;; at++) {
			store = open_shim(0);
			vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_READ, .at = at, .times = times, .rc = SQLITE_IOERR_READ, .system_errno = EIO});
			enum mf_status status = kit_verify(store, NULL, &findings);
			bool hit = vfs_shim_failed() > 0;
			vfs_shim_reset();
			if (hit && status != MF_ERR_IO)
				fail_msg("read %d failed %d times: %s, %d findings", (int)at, (int)times, mf_status_name(status), findings.count);
			struck += hit;
			assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
			kit_close(store);
			if (!hit)
				break;
		}
	assert_true(struck > 20);
}

/* ---- opening, compaction ---- */

/* PRAGMA journal_mode answers before it writes: what failed then was not noticed, and the opening ended with a riddle. */
static void p9_a_disk_that_is_full_while_the_store_is_made_is_said_to_be_full(void **state)
{
	(void)state;
	for (int64_t at = 1;; at++) {
		struct mf_store *store;
		struct mf_error error;
		struct mf_sqlite_options write = {.dir = kit_dir, .env = vfs_shim_env()};
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_DB, .call = SHIM_WRITE, .at = at, .times = 1, .rc = SQLITE_FULL, .system_errno = ENOSPC});
		enum mf_status status = mf_store_open_sqlite(&write, &store, &error);
		bool hit = vfs_shim_failed() > 0;
		vfs_shim_reset();
		if (status == MF_OK)
			kit_close(store);
		else if (status != MF_ERR_STORAGE_FULL)
			fail_msg("write %d: %s: %s", (int)at, mf_status_name(status), error.message);
		if (!hit) {
			assert_true(at > 1);
			break;
		}
		kit_close(kit_open(kit_dir));
		kit_remove_dir(kit_dir);
		kit_dir = kit_make_dir();
	}
}

static void every_call_may_fail_while_opening_and_the_next_opening_works(void **state)
{
	(void)state;
	static const struct {
		enum shim_call call;
		int rc;
	} kinds[] = {{SHIM_READ, SQLITE_IOERR_READ}, {SHIM_WRITE, SQLITE_IOERR_WRITE}, {SHIM_SYNC, SQLITE_IOERR_FSYNC}, {SHIM_SHM, SQLITE_IOERR_SHMMAP}};
	for (size_t kind = 0; kind < 8; kind++) {
		enum shim_file file = kind < 4 ? SHIM_DB : SHIM_LOG;
		for (int64_t at = 1; at < 100; at++) {
			struct mf_store *store = NULL;
			struct mf_error error;
			struct mf_sqlite_options write = {.dir = kit_dir, .env = vfs_shim_env()};
			vfs_shim_plan(&(struct shim_plan){.file = file, .call = kinds[kind % 4].call, .at = at, .times = 1, .rc = kinds[kind % 4].rc, .system_errno = EIO});
			enum mf_status status = mf_store_open_sqlite(&write, &store, &error);
			bool struck = vfs_shim_failed() > 0;
			vfs_shim_reset();
			if (status == MF_OK) {
				kit_append_many(store, "d", "k", 0);
				kit_close(store);
			} else {
				assert_int_equal(status, MF_ERR_IO);
				kit_close(kit_open(kit_dir));
			}
			if (!struck)
				break;
			if (at % 3 == 0) { /* a new one, and an old one */
				kit_remove_dir(kit_dir);
				kit_dir = kit_make_dir();
			}
		}
	}
}

static void a_compaction_that_fails_anywhere_goes_on_later(void **state)
{
	(void)state;
	for (int64_t at = 1;; at += 7) {
		struct mf_store *store = open_shim(20);
		struct mf_error error;
		kit_append_many(store, "d", "k", 60);
		kit_append_many(store, "e", "e", 10);
		kit_write_snapshot(store, "d", 10, 100);
		kit_write_snapshot(store, "d", 20, 1200000);
		kit_write_snapshot(store, "d", 50, 100);
		bool unknown = at % 2;
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = at, .times = 1, .rc = unknown ? SQLITE_IOERR_WRITE : SQLITE_FULL, .system_errno = unknown ? EIO : 0});
		enum mf_status status = mf_store_compact(store, "d", 50, &error);
		bool struck = vfs_shim_failed() > 0;
		vfs_shim_reset();
		struct kit_findings findings;
		assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
		if (status != MF_OK)
			assert_int_equal(status, unknown ? MF_ERR_UNKNOWN_OUTCOME : MF_ERR_STORAGE_FULL);
		(void)mf_store_close(store, NULL);
		store = kit_open(kit_dir);
		if (status == MF_OK || kit_count(store, "d", 0) < 60) {
			assert_int_equal(kit_count(store, "d", 0), 10);
			assert_int_equal(kit_count(store, NULL, 0), 20);
		}
		assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
		assert_int_equal(try_append(store, "d", "k-3", &error), MF_ERR_DUPLICATE_KEY);
		KIT_OK(mf_store_compact(store, "d", 50, &error), &error);
		assert_int_equal(kit_count(store, "d", 50), 10);
		kit_close(store);
		kit_remove_dir(kit_dir);
		kit_dir = kit_make_dir();
		if (!struck)
			break;
		assert_true(at < 1000);
	}
}

static void a_pruning_that_fails_anywhere_leaves_every_snapshot_its_base(void **state)
{
	(void)state;
	for (int64_t at = 1;; at++) {
		struct mf_store *store = open_shim(20);
		struct mf_error error;
		struct kit_findings findings;
		kit_append_many(store, "d", "k", 20);
		kit_write_snapshot(store, "d", 2, 100);
		for (int lsn = 4; lsn <= 12; lsn += 2)
			KIT_OK(kit_try_snapshot(store, "d", lsn, lsn - 2, 100, &error), &error);
		kit_write_snapshot(store, "d", 14, 100);
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = at, .times = 1, .rc = SQLITE_FULL});
		enum mf_status status = mf_store_prune_snapshots(store, "d", 1, &error);
		bool struck = vfs_shim_failed() > 0;
		vfs_shim_reset();
		if (status != MF_OK)
			assert_int_equal(status, MF_ERR_STORAGE_FULL);
		assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
		KIT_OK(mf_store_prune_snapshots(store, "d", 1, &error), &error);
		assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
		kit_close(store);
		kit_remove_dir(kit_dir);
		kit_dir = kit_make_dir();
		if (!struck) {
			assert_true(at > 5); /* a write for each that went, at least */
			break;
		}
	}
}

/* ---- a really full file system ---- */

static void fill_up(const char *name)
{
	char block[4096] = {1};
	char *path = kit_path(kit_dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
	free(path);
}

static void p9_a_really_full_file_system_refuses_and_resumes(void **state)
{
	(void)state;
	if (geteuid() != 0 || mount("tmpfs", kit_dir, "tmpfs", 0, "size=3m") != 0) {
		print_message("skipped: needs root to mount a small tmpfs\n");
		skip();
	}
	char *inner = kit_path(kit_dir, "data");
	struct mf_store *store = kit_open(inner);
	struct mf_error error;
	kit_append_many(store, "d", "before", 20);
	fill_up("ballast");
	enum mf_status status = MF_OK;
	char key[32];
	int stored = 20;
	for (int i = 0; i < 1000 && status == MF_OK; i++) {
		snprintf(key, sizeof(key), "until full %d", i);
		status = try_append(store, "d", key, &error);
		stored += status == MF_OK;
	}
	assert_int_equal(status, MF_ERR_STORAGE_FULL);
	assert_int_equal(kit_count(store, "d", 0), stored);
	assert_int_equal(try_append(store, "d", "again", &error), MF_ERR_STORAGE_FULL);
	char *ballast = kit_path(kit_dir, "ballast");
	assert_int_equal(unlink(ballast), 0);
	assert_int_equal(kit_append(store, "d", key), stored + 1);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	fill_up("ballast");
	kit_close(store);
	struct mf_store *reader = kit_open_reader(inner);
	assert_int_equal(kit_count(reader, "d", 0), stored + 1);
	kit_close(reader);
	assert_int_equal(unlink(ballast), 0);
	store = kit_open(inner);
	kit_append(store, "d", "last");
	kit_close(store);
	free(ballast);
	free(inner);
	assert_int_equal(umount(kit_dir), 0);
}

static int tear_down_mount(void **state)
{
	umount2(kit_dir, MNT_DETACH);
	return tear_down(state);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(p8_a_failed_write_is_an_unknown_outcome_and_the_key_tells),
		T(p9_a_full_disk_refuses_and_resumes_without_a_restart),
		T(p9_a_full_disk_keeps_no_part_of_a_snapshot),
		T(p9_a_disk_too_full_for_the_index_of_the_log_refuses_and_resumes),
		T(a_batch_larger_than_the_cache_is_still_all_or_nothing),
		T(damage_in_an_interrupted_compaction_does_not_lock_the_store),
		T(a_failed_sync_is_final),
		T(a_log_that_was_not_closed_is_read_from_the_device),
		T(a_watermark_that_could_not_be_written_is_told_until_one_is),
		T(an_opening_whose_sync_fails_has_no_unknown_outcome),
		T(a_close_whose_sync_fails_says_so),
		T(a_failed_sync_for_want_of_space_is_as_final),
		T(the_sync_inside_the_first_commit_after_a_checkpoint_is_final_too),
		T(a_failed_checkpoint_is_reported_not_swallowed),
		T(a_checkpoint_without_space_is_put_off),
		T(f15_a_read_error_is_an_error_and_never_no_snapshot),
		T(a_read_error_in_an_append_leaves_the_store_usable),
		T(f15_a_device_that_cannot_be_read_is_an_io_error_and_not_damage),
		T(a_device_that_cannot_be_read_is_no_damage_for_verify),
		T(p9_a_disk_that_is_full_while_the_store_is_made_is_said_to_be_full),
		T(every_call_may_fail_while_opening_and_the_next_opening_works),
		T(a_compaction_that_fails_anywhere_goes_on_later),
		T(a_pruning_that_fails_anywhere_leaves_every_snapshot_its_base),
		cmocka_unit_test_setup_teardown(p9_a_really_full_file_system_refuses_and_resumes, kit_set_up, tear_down_mount),
	};
	return cmocka_run_group_tests_name("sqlite faults", tests, NULL, NULL);
}
