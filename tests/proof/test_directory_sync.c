/* test_directory_sync.c - the names of a store's files are on the device before anything is said to be stored, and are those
 * of the files that are written to.
 *
 * SQLite syncs a directory too when it makes a file there, and does not look whether that failed; and the kernel tells of a
 * failure once, so that a sync after it would succeed. So no sync of a directory may fail and the opening go on, but for those
 * of the rollback journal of a database in which nothing is yet. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/store.h>

#include "calls.h"

static char dir[64], store_dir[80];
static int64_t failing, synced, made;

static bool has_journal(void)
{
	char path[120];
	snprintf(path, sizeof(path), "%s/store.db-journal", store_dir);
	return access(path, F_OK) == 0;
}

static struct calls_verdict before(void *user, const struct calls_call *call)
{
	(void)user;
	bool counts = (call->kind == CALLS_SYNC || call->kind == CALLS_DATASYNC) && call->is_dir && !has_journal();
	if (!counts || ++synced != failing)
		return (struct calls_verdict){.action = CALLS_PASS};
	return (struct calls_verdict){.action = CALLS_FAIL, .error = EIO};
}

static void make_store_dir(struct calls_verdict (*hook)(void *user, const struct calls_call *call))
{
	const char *base = getenv("TMPDIR");
	snprintf(dir, sizeof(dir), "%.40s/mf-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(store_dir, sizeof(store_dir), "%s/store", dir);
	assert_true(calls_watch(dir, &(struct calls_hooks){.before = hook}));
}

static void remove_store_dir(void)
{
	char command[100];
	calls_unwatch();
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(0, system(command));
}

static void no_failed_sync_of_a_directory_is_passed_over(void **state)
{
	(void)state;
	enum mf_status status = MF_ERR_IO;
	for (failing = 1; status != MF_OK; failing++) {
		struct mf_store *store;
		struct mf_error error;
		make_store_dir(before);
		synced = 0;
		status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = store_dir}, &store, &error);
		assert_int_equal(status, synced >= failing ? MF_ERR_IO : MF_OK);
		if (status == MF_OK)
			assert_int_equal(MF_OK, mf_store_close(store, &error));
		remove_store_dir();
	}
	assert_true(failing > 3); /* of the directory above, of the store's own for the database, and for the log */
}

/* Another process makes the log just when it was found missing. */
static struct calls_verdict make_log(void *user, const struct calls_call *call)
{
	(void)user;
	size_t len = strlen(call->path);
	bool finds = call->kind == CALLS_OPEN && (call->flags & O_ACCMODE) == O_RDWR && !(call->flags & O_CREAT) && len > 4 && strcmp(call->path + len - 4, "-wal") == 0;
	if (!finds || access(call->path, F_OK) == 0)
		return (struct calls_verdict){.action = CALLS_PASS};
	int fd = open(call->path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	close(fd);
	made++;
	return (struct calls_verdict){.action = CALLS_FAIL, .error = ENOENT};
}

static void a_log_that_another_process_makes_meanwhile_can_be_written(void **state)
{
	(void)state;
	struct mf_store *store;
	struct mf_error error = {.message = ""};
	made = 0;
	make_store_dir(make_log);
	if (mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = store_dir}, &store, &error) != MF_OK)
		fail_msg("%s", error.message);
	assert_int_equal(MF_OK, mf_store_close(store, &error));
	assert_true(made > 0);
	remove_store_dir();
}

static enum { NOTHING, GONE, GONE_FOR_GOOD } journal; /* of the database; and then there may be something in the log */
static int early, logged;

static void watch_journal(void *user, const struct calls_call *call)
{
	(void)user;
	size_t len = strlen(call->path);
	if (call->kind == CALLS_UNLINK && len > 8 && strcmp(call->path + len - 8, "-journal") == 0)
		journal = GONE;
	if ((call->kind == CALLS_SYNC || call->kind == CALLS_DATASYNC) && call->is_dir && journal == GONE)
		journal = GONE_FOR_GOOD;
	if (call->kind == CALLS_WRITE && len > 4 && strcmp(call->path + len - 4, "-wal") == 0) {
		logged++;
		early += journal != GONE_FOR_GOOD;
	}
}

/* Power lost twice: in the store's first moments, so that journal and log were both there, and again while the journal was played
 * back, so that an empty database lay beside a log. (./dev powerloss, seed 1881832925) */
static void the_journal_of_a_new_database_is_gone_for_good_before_there_is_a_log(void **state)
{
	(void)state;
	struct mf_store *store;
	struct mf_error error = {.message = ""};
	journal = NOTHING;
	early = logged = 0;
	make_store_dir(NULL);
	calls_unwatch();
	assert_true(calls_watch(dir, &(struct calls_hooks){.after = watch_journal}));
	if (mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = store_dir}, &store, &error) != MF_OK)
		fail_msg("%s", error.message);
	assert_int_equal(MF_OK, mf_store_close(store, &error));
	assert_true(logged > 0);
	assert_int_equal(early, 0);
	remove_store_dir();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_failed_sync_of_a_directory_is_passed_over),
		cmocka_unit_test(the_journal_of_a_new_database_is_gone_for_good_before_there_is_a_log),
		cmocka_unit_test(a_log_that_another_process_makes_meanwhile_can_be_written),
	};
	return cmocka_run_group_tests_name("directory sync", tests, NULL, NULL);
}
