/* What fails while a store is backed up or restored: a typed error, nothing left, the store as it was. */
#include "backup_kit.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "model/mem.h"
#include "persist/env.h"
#include "vfs_shim.h"

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

static int fail_remove(void *user, const char *path)
{
	return strikes() ? failing_with : mf_env_os()->remove(user, path);
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
	env.remove = fail_remove;
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
			if (status == MF_ERR_IO && round) /* but for what is only read */
				assert_null(strstr(error.message, "cannot write"));
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

#define T(test) cmocka_unit_test_setup_teardown(test, backup_set_up, backup_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_call_to_the_environment_may_fail),
		T(every_call_of_sqlite_may_fail),
		T(every_allocation_may_fail),
	};
	return cmocka_run_group_tests_name("backup faults", tests, NULL, NULL);
}
