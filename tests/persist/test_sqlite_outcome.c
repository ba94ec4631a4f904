/* A COMMIT that fails: when is it known that nothing of it is there?
 *
 * Only when the device refused the frames for want of room, or SQLite did not even try (busy). After any other error the frames may
 * lie in the log, whole, so the outcome is unknown, and the store stops. */
#include "store_kit.h"

#include <errno.h>
#include <sqlite3.h>

#include "vfs_shim.h"

static int tear_down(void **state)
{
	vfs_shim_reset();
	return kit_tear_down(state);
}

static enum mf_status try_append(struct mf_store *store, const char *key, struct mf_error *error)
{
	struct mf_event event = kit_event("d", key);
	return mf_store_append(store, &event, NULL, error);
}

/* A store of three events, whose next append writes to the log as often as is told. */
static struct mf_store *open_three(int64_t *out_writes)
{
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .env = vfs_shim_env()});
	struct mf_error error;
	kit_append_many(store, "d", "before", 2);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	vfs_shim_reset();
	kit_append(store, "d", "third");
	*out_writes = vfs_shim_count(SHIM_LOG, SHIM_WRITE);
	vfs_shim_reset();
	return store;
}

static void strike(int64_t at, int rc, int system_errno, bool done_first)
{
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_WRITE, .at = at, .times = 1, .rc = rc, .system_errno = system_errno, .done_first = done_first});
}

static void a_commit_that_was_refused_as_a_whole_is_absent_and_the_store_goes_on(void **state)
{
	static const struct {
		int rc, system_errno;
		enum mf_status status;
	} refusals[] = {
		{SQLITE_BUSY, 0, MF_ERR_BUSY},
		{SQLITE_FULL, 0, MF_ERR_STORAGE_FULL},
		{SQLITE_IOERR_WRITE, ENOSPC, MF_ERR_STORAGE_FULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		int64_t writes;
		struct mf_error error;
		struct mf_key_info info;
		struct mf_store *store = open_three(&writes);
		strike(1, refusals[i].rc, refusals[i].system_errno, false);
		assert_int_equal(try_append(store, "refused", &error), refusals[i].status);
		assert_int_equal(vfs_shim_failed(), 1);
		assert_int_equal(store->ops->find_key(store, "refused", &info, &error), MF_ERR_NOT_FOUND);
		assert_int_equal(kit_append(store, "d", "refused"), 4);
		kit_close(store);
		kit_remove_dir(kit_dir);
		kit_dir = kit_make_dir();
	}
}

static void a_commit_that_failed_otherwise_may_be_there_and_is_unknown(void **state)
{
	static const struct {
		int rc, system_errno;
	} failures[] = {{SQLITE_NOMEM, 0}, {SQLITE_CORRUPT, 0}, {SQLITE_IOERR_SHMSIZE, ENOSPC}, {SQLITE_IOERR_WRITE, EIO}};
	(void)state;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		int64_t writes;
		struct mf_error error;
		struct mf_store *store = open_three(&writes);
		strike(writes, failures[i].rc, failures[i].system_errno, true); /* the last frame is in the log, with the mark of the commit */
		enum mf_status status = try_append(store, "perhaps", &error);
		if (status != MF_ERR_UNKNOWN_OUTCOME)
			fail_msg("SQLite %d: %s: %s", failures[i].rc, mf_status_name(status), error.message);
		assert_int_equal(vfs_shim_failed(), 1);
		assert_int_equal(error.status, MF_ERR_UNKNOWN_OUTCOME);
		assert_int_equal(try_append(store, "later", &error), MF_ERR_IO);
		(void)!mf_store_close(store, &error);
		vfs_shim_reset();
		store = kit_open(kit_dir);
		size_t there = kit_count(store, "d", 0);
		assert_true(there == 3 || there == 4);
		assert_int_equal(try_append(store, "perhaps", &error), there == 4 ? MF_ERR_DUPLICATE_KEY : MF_OK);
		kit_close(store);
		kit_remove_dir(kit_dir);
		kit_dir = kit_make_dir();
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, kit_set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_commit_that_was_refused_as_a_whole_is_absent_and_the_store_goes_on),
		T(a_commit_that_failed_otherwise_may_be_there_and_is_unknown),
	};
	return cmocka_run_group_tests_name("sqlite outcome", tests, NULL, NULL);
}
