/* What the SQLite store tells its logger, and what it does not. */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "persist/env.h"
#include "store_kit.h"
#include "vfs_shim.h"

/* ---- who listens ---- */

static struct {
	int count[4];
	char last[4][600];
} heard;

static void hear(void *user, enum mf_log_level level, const char *message)
{
	assert_ptr_equal(user, &heard);
	heard.count[level]++;
	snprintf(heard.last[level], sizeof(heard.last[level]), "%s", message);
}

static struct mf_store *open_heard(uint32_t checkpoint_pages, const struct mf_env *env)
{
	return kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .checkpoint_pages = checkpoint_pages, .env = env, .logger = {hear, &heard}});
}

static int set_up(void **state)
{
	memset(&heard, 0, sizeof(heard));
	vfs_shim_reset();
	return kit_set_up(state);
}

static void says(enum mf_log_level level, int count, const char *part)
{
	assert_int_equal(heard.count[level], count);
	if (part && !strstr(heard.last[level], part))
		fail_msg("'%s' is not in '%s'", part, heard.last[level]);
}

static void says_nothing(void)
{
	for (int level = MF_LOG_ERROR; level <= MF_LOG_DEBUG; level++)
		says((enum mf_log_level)level, 0, NULL);
}

/* ---- the tests ---- */

static void a_store_that_is_well_says_nothing(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		struct mf_error error;
		struct mf_store *store = open_heard(10, NULL);
		for (int i = 0; i < 50; i++) {
			char key[32];
			snprintf(key, sizeof(key), "%d/%d", round, i);
			kit_append(store, "d", key);
			KIT_OK(store->ops->maintain(store, &error), &error);
		}
		kit_write_snapshot(store, "d", 50, 5000);
		kit_close(store);
	}
	says_nothing();
}

static void a_full_disk_is_told_once_and_room_once(void **state)
{
	(void)state;
	struct mf_store *store = open_heard(0, vfs_shim_env());
	struct mf_error error;
	kit_append(store, "d", "a");
	for (int round = 1; round <= 2; round++) {
		vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = 1, .times = 1000, .rc = SQLITE_FULL});
		for (int i = 0; i < 3; i++) {
			struct mf_event event = kit_event("d", "b");
			assert_int_equal(mf_store_append(store, &event, NULL, &error), MF_ERR_STORAGE_FULL);
		}
		says(MF_LOG_ERROR, round, "has no room: writes are refused until there is some, reads go on");
		says(MF_LOG_INFO, round - 1, NULL);
		vfs_shim_reset();
		char key[16];
		snprintf(key, sizeof(key), "after %d", round);
		kit_append(store, "d", key);
		says(MF_LOG_INFO, round, "has room again: writes go on");
	}
	kit_close(store);
}

static void a_watermark_that_is_missing_or_damaged_is_told_by_the_writer(void **state)
{
	(void)state;
	kit_close(open_heard(0, NULL));
	struct mf_store *store = open_heard(0, NULL);
	kit_append(store, "d", "a");
	kit_close(store);
	says_nothing();
	char *path = kit_path(kit_dir, "watermark");
	assert_int_equal(unlink(path), 0);
	free(path);
	kit_close(kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .logger = {hear, &heard}}));
	says_nothing(); /* verify tells it; a reader mends nothing */
	kit_close(open_heard(0, NULL));
	says(MF_LOG_WARNING, 1, "the watermark is missing: a loss before this opening would not be noticed; it was made anew");
	kit_poke(kit_dir, "watermark", 9, "x", 1);
	kit_close(open_heard(0, NULL));
	says(MF_LOG_WARNING, 2, "the watermark is damaged");
	kit_close(open_heard(0, NULL));
	says(MF_LOG_WARNING, 2, NULL);
}

static void an_empty_store_without_a_watermark_is_no_finding(void **state)
{
	(void)state;
	for (int opening = 1; opening <= 3; opening++) { /* as if each were killed between its epoch and its watermark */
		kit_close(open_heard(0, NULL));
		kit_truncate(kit_dir, "watermark", 0);
	}
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true});
	struct kit_findings found;
	assert_int_equal(kit_verify(store, NULL, &found), MF_OK);
	kit_close(store);
	says_nothing();
}

static bool watermark_fails;

static ssize_t pwrite_or_not(void *user, int fd, const void *bytes, size_t len, int64_t offset)
{
	return watermark_fails ? -EIO : mf_env_os()->pwrite(user, fd, bytes, len, offset);
}

static void a_watermark_that_cannot_be_written_is_told_once(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	struct mf_error error;
	env.pwrite = pwrite_or_not;
	struct mf_store *store = open_heard(0, &env);
	watermark_fails = true;
	for (int i = 0; i < 3; i++) {
		char key[16];
		snprintf(key, sizeof(key), "%d", i);
		kit_append(store, "d", key);
		KIT_OK(mf_store_sync(store, NULL, &error), &error); /* the event is safe all the same */
	}
	watermark_fails = false;
	says(MF_LOG_WARNING, 1, "cannot write the watermark");
	kit_close(store);
}

static bool write_beside(void *user, const struct mf_document_info *info)
{
	(void)info;
	struct mf_store *store = user;
	struct mf_error error;
	for (int i = 0; i < 200 && !heard.count[MF_LOG_WARNING]; i++) {
		char key[16];
		snprintf(key, sizeof(key), "m%d", i);
		kit_append(store, "d", key);
		KIT_OK(store->ops->maintain(store, &error), &error);
	}
	return false;
}

static void a_reader_that_makes_the_log_grow_is_told(void **state)
{
	(void)state;
	struct mf_store *store = open_heard(10, NULL);
	struct mf_error error;
	kit_append(store, "d", "first");
	KIT_OK(store->ops->documents(store, write_beside, store, &error), &error); /* reads, and keeps the log, meanwhile */
	says(MF_LOG_WARNING, 1, "a reader holds");
	kit_close(store);
	says(MF_LOG_WARNING, 1, NULL);
}

static void append_some(struct mf_store *store, const char *name, int count)
{
	for (int i = 0; i < count; i++) {
		char key[32];
		snprintf(key, sizeof(key), "%s %d", name, i);
		kit_append(store, "d", key);
	}
}

static void run_sql(sqlite3 *db, const char *sql)
{
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* There is always a reader, so that the log never begins anew; now and then it could be copied whole. */
static void a_log_that_never_begins_anew_is_told_of_when_it_has_doubled(void **state)
{
	(void)state;
	sqlite3 *readers[2];
	struct mf_error error;
	struct mf_store *store = open_heard(10, NULL);
	char *path = kit_path(kit_dir, "store.db");
	for (int i = 0; i < 2; i++)
		assert_int_equal(sqlite3_open_v2(path, &readers[i], SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	free(path);
	append_some(store, "first", 1);
	run_sql(readers[0], "BEGIN; SELECT count(*) FROM events");
	append_some(store, "much", 300);
	KIT_OK(store->ops->maintain(store, &error), &error);
	says(MF_LOG_WARNING, 1, "a reader holds");
	for (int round = 0; round < 6; round++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", round);
		append_some(store, name, 12);
		if (round % 2 == 0) { /* the next reader begins at the end, so that everything is copied */
			run_sql(readers[1 - round / 2 % 2], "BEGIN; SELECT count(*) FROM events");
			run_sql(readers[round / 2 % 2], "COMMIT");
		}
		KIT_OK(store->ops->maintain(store, &error), &error);
	}
	says(MF_LOG_WARNING, 1, NULL);
	append_some(store, "as much", 450);
	KIT_OK(store->ops->maintain(store, &error), &error);
	says(MF_LOG_WARNING, 2, "a reader holds");
	for (int i = 0; i < 2; i++)
		sqlite3_close(readers[i]);
	kit_close(store);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_store_that_is_well_says_nothing),
		T(a_full_disk_is_told_once_and_room_once),
		T(a_watermark_that_is_missing_or_damaged_is_told_by_the_writer),
		T(an_empty_store_without_a_watermark_is_no_finding),
		T(a_watermark_that_cannot_be_written_is_told_once),
		T(a_reader_that_makes_the_log_grow_is_told),
		T(a_log_that_never_begins_anew_is_told_of_when_it_has_doubled),
	};
	return cmocka_run_group_tests_name("store_log", tests, NULL, NULL);
}
