/* test_errors.c - each status is provoked through the public API, where it should come from, and its sentence names
 * what it is about and says what to do.
 *
 * The library is linked in whole, so that memory can run out and a sync can fail on demand. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/runtime.h>

#include "model/mem.h"
#include "scratch.h"
#include "vfs_shim.h"

#define OK(call) assert_int_equal(MF_OK, (call))

static struct mf_runtime *runtime;

static void write_config(const char *plugins)
{
	scratch_write_config(&(struct scratch_plan){.top = ", \"path_policy\": \"off\"", .before = plugins});
}

static int setup(void **unused)
{
	(void)unused;
	scratch_make();
	write_config(", {\"name\": \"text_steps\"}");
	runtime = NULL;
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	(void)mf_runtime_close(runtime, MF_WAIT_FOREVER, NULL);
	return scratch_remove();
}

static enum mf_status try_open(const char *mode, bool in_order, struct mf_error *error)
{
	struct mf_runtime_options options = {.config_path = scratch_config, .mode = mode, .stop_at_failure = in_order};
	return mf_runtime_open(&options, &runtime, error);
}

static void open_runtime(const char *mode)
{
	OK(try_open(mode, false, NULL));
}

static void close_runtime(void)
{
	OK(mf_runtime_close(runtime, MF_WAIT_FOREVER, NULL));
	runtime = NULL;
}

static struct mf_transaction *change(const char *key, const char *type_id, const char *json)
{
	struct mf_transaction *transaction;
	OK(mf_transaction_new(&transaction));
	OK(mf_transaction_set_key(transaction, key, NULL));
	OK(mf_transaction_add_json(transaction, mf_runtime_steps(runtime), type_id, json, NULL));
	return transaction;
}

static enum mf_status commit(const char *doc_id, const char *key, const char *type_id, const char *json, struct mf_error *error)
{
	struct mf_transaction *transaction = change(key, type_id, json);
	int64_t lsn;
	enum mf_status status = mf_runtime_commit(runtime, doc_id, transaction, &lsn, error);
	mf_transaction_free(transaction);
	return status;
}

static enum mf_status commit_n(const char *key, struct mf_error *error)
{
	return commit("shop", key, "update_attrs", "{\"id\":\"root\",\"set\":{\"n\":1,\"text\":\"some more bytes than none\"}}", error);
}

static void change_store(const char *sql)
{
	char path[160];
	sqlite3 *db;
	snprintf(path, sizeof(path), "%s/store.db", scratch_data);
	assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
	assert_int_equal(SQLITE_OK, sqlite3_exec(db, sql, NULL, NULL, NULL));
	assert_int_equal(SQLITE_OK, sqlite3_close(db));
}

/* ---- how each status comes about ---- */

static enum mf_status invalid(struct mf_error *error)
{
	open_runtime("sync");
	return commit("shop", "k", "update_attrs", "{\"id\":\"nobody\",\"set\":{}}", error);
}

static enum mf_status not_found(struct mf_error *error)
{
	int64_t lsn;
	open_runtime("sync");
	return mf_runtime_snapshot(runtime, "nowhere", &lsn, error);
}

static enum mf_status duplicate_key(struct mf_error *error)
{
	open_runtime("sync");
	OK(commit_n("order-17", NULL));
	enum mf_status status = commit_n("order-17", error);
	assert_int_equal(1, error->lsn);
	assert_int_equal(1, error->same);
	OK(commit_n("another", NULL)); /* and the next one is tried */
	return status;
}

static enum mf_status conflict(struct mf_error *error)
{
	int64_t lsn;
	open_runtime("sync");
	OK(commit_n("a", NULL));
	struct mf_transaction *transaction = change("b", "update_attrs", "{\"id\":\"root\",\"set\":{\"n\":2}}");
	mf_transaction_set_expect(transaction, 7);
	enum mf_status status = mf_runtime_commit(runtime, "shop", transaction, &lsn, error);
	mf_transaction_free(transaction);
	assert_int_equal(7, error->expected);
	assert_int_equal(1, error->found);
	return status;
}

static enum mf_status state(struct mf_error *error)
{
	int64_t lsn;
	open_runtime("sync");
	return mf_runtime_undo(runtime, "shop", 1, NULL, NULL, &lsn, error);
}

static enum mf_status unknown_step(struct mf_error *error)
{
	open_runtime("sync");
	OK(commit("shop", "a", "insert_node", "{\"parent\":\"root\",\"node\":{\"id\":\"t\",\"type\":\"p\",\"attrs\":{\"text\":\"\"}}}", NULL));
	OK(commit("shop", "b", "replace_text", "{\"id\":\"t\",\"pos\":0,\"delete\":0,\"insert\":\"hello\"}", NULL));
	close_runtime();
	write_config("");
	return try_open("sync", false, error);
}

/* EFBIG is to a process what ENOSPC is to a disk. */
static enum mf_status storage_full(struct mf_error *error)
{
	struct rlimit before, small;
	enum mf_status status = MF_OK;
	open_runtime("sync");
	OK(commit_n("before", NULL));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &before));
	small = before;
	small.rlim_cur = 100000;
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &small));
	for (int i = 0; i < 1000 && status == MF_OK; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		status = commit_n(key, error);
	}
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &before));
	OK(commit_n("after", NULL)); /* no restart */
	return status;
}

static enum mf_status corrupted(struct mf_error *error)
{
	struct mf_state *read;
	open_runtime("sync");
	OK(commit_n("a", NULL));
	OK(commit_n("b", NULL));
	close_runtime();
	change_store("UPDATE events SET actor = 'mallory' WHERE lsn = 1");
	struct mf_runtime_options options = {.config_path = scratch_config, .read_only = true};
	OK(mf_runtime_open(&options, &runtime, NULL));
	enum mf_status status = mf_runtime_state(runtime, "shop", &read, error);
	assert_int_equal(1, error->lsn);
	return status;
}

static enum mf_status locked(struct mf_error *error)
{
	struct mf_runtime *second;
	struct mf_runtime_options options = {.config_path = scratch_config};
	open_runtime("sync");
	return mf_runtime_open(&options, &second, error);
}

/* Where the directory should be there is a file. */
static enum mf_status io(struct mf_error *error)
{
	FILE *file = fopen(scratch_data, "w");
	assert_non_null(file);
	assert_int_equal(0, fclose(file));
	return try_open("sync", false, error);
}

/* Of a stream in which one could not be stored: those after it would mean something else without it. */
static enum mf_status busy(struct mf_error *error)
{
	struct rlimit before, small;
	OK(try_open("sync", true, NULL));
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &before));
	small = before;
	small.rlim_cur = 4096;
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &small));
	enum mf_status first = commit_n("a", NULL);
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &before));
	assert_int_equal(MF_ERR_STORAGE_FULL, first);
	return commit_n("b", error);
}

static enum mf_status unknown_outcome(struct mf_error *error)
{
	struct mf_store *store;
	struct mf_sqlite_options options = {.dir = scratch_data, .env = vfs_shim_env()};
	struct mf_event event = {.tr_id = 1, .doc_id = "shop", .idempotency_key = "a", .meta = "{}", .meta_len = 2, .payload = (const unsigned char *)"0123456789012345678901234567890", .payload_len = 31};
	int64_t lsn;
	vfs_shim_reset();
	OK(mf_store_open_sqlite(&options, &store, NULL));
	OK(mf_store_append(store, &event, &lsn, NULL));
	vfs_shim_plan(&(struct shim_plan){.file = SHIM_LOG, .call = SHIM_SYNC, .at = 1, .times = 1, .rc = SQLITE_IOERR_FSYNC, .system_errno = EIO});
	enum mf_status status = mf_store_sync(store, &lsn, error);
	vfs_shim_reset();
	event.idempotency_key = "b";
	assert_int_equal(MF_ERR_IO, mf_store_append(store, &event, &lsn, NULL)); /* it never guesses */
	assert_int_equal(MF_ERR_IO, mf_store_close(store, NULL));
	return status;
}

static enum mf_status no_memory(struct mf_error *error)
{
	open_runtime("sync");
	struct mf_transaction *transaction = change("a", "update_attrs", "{\"id\":\"root\",\"set\":{\"n\":2}}");
	int64_t lsn;
	mf_mem_fail_at(1, false);
	enum mf_status status = mf_runtime_commit(runtime, "shop", transaction, &lsn, error);
	mf_mem_fail_at(0, false);
	OK(mf_runtime_commit(runtime, "shop", transaction, &lsn, NULL));
	mf_transaction_free(transaction);
	return status;
}

static enum mf_status plugin(struct mf_error *error)
{
	char path[128], entry[200];
	snprintf(path, sizeof(path), "%s/broken.so", scratch_dir);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("this is no shared library", file);
	assert_int_equal(0, fclose(file));
	snprintf(entry, sizeof(entry), ", {\"name\": \"broken\", \"path\": \"%s\"}", path);
	write_config(entry);
	return try_open("sync", false, error);
}

static enum mf_status timeout(struct mf_error *error)
{
	struct mf_ticket *ticket;
	int64_t lsn;
	open_runtime("async:60000");
	struct mf_transaction *transaction = change("a", "update_attrs", "{\"id\":\"root\",\"set\":{\"n\":2}}");
	OK(mf_runtime_submit(runtime, "shop", transaction, MF_COMMIT_MEMORY_ONLY, &ticket, NULL));
	enum mf_status status = mf_ticket_wait(ticket, MF_LEVEL_SYNCED, 0, &lsn, error);
	mf_ticket_unref(ticket);
	mf_transaction_free(transaction);
	return status;
}

/* ---- the table ---- */

static const struct row {
	enum mf_status status;
	enum mf_status (*provoke)(struct mf_error *error);
	const char *what, *where; /* parts of the sentence */
} rows[] = {
	{MF_ERR_INVALID, invalid, "step", "nobody"},
	{MF_ERR_NOT_FOUND, not_found, "no events", "nowhere"},
	{MF_ERR_DUPLICATE_KEY, duplicate_key, "LSN 1", "order-17"},
	{MF_ERR_CONFLICT, conflict, "7", "shop"},
	{MF_ERR_STATE, state, "undo", "shop"},
	{MF_ERR_UNKNOWN_STEP, unknown_step, "replace_text", "LSN 2"},
	{MF_ERR_STORAGE_FULL, storage_full, "free some space", "/store/store.db"},
	{MF_ERR_CORRUPTED, corrupted, "restore a backup", "document 'shop', LSN 1"},
	{MF_ERR_LOCKED, locked, "another", "/store"},
	{MF_ERR_IO, io, "directory", "/store"},
	{MF_ERR_BUSY, busy, "earlier", "until the runtime is opened anew"},
	{MF_ERR_UNKNOWN_OUTCOME, unknown_outcome, "reopen the store and retry", "/store/store.db"},
	{MF_ERR_NO_MEMORY, no_memory, "memory", ""},
	{MF_ERR_PLUGIN, plugin, "plugin broken", "broken.so"},
	{MF_ERR_TIMEOUT, timeout, "still under way", "it goes on"},
};

static void its_sentence_names_what_and_where(void **unused)
{
	const struct row *row = *unused;
	struct mf_error error;
	memset(&error, 0x55, sizeof(error)); /* every member is set */
	enum mf_status status = row->provoke(&error);
	if (status != row->status || error.status != status)
		fail_msg("%s, and in the error %s: %s", mf_status_name(status), mf_status_name(error.status), error.message);
	if (!strstr(error.message, row->what) || !strstr(error.message, row->where))
		fail_msg("'%s' or '%s' is not in: %s", row->what, row->where, error.message);
	for (const char *c = error.message; *c; c++)
		assert_true((unsigned char)*c >= 0x20);
	print_message("# %s: %s\n", mf_status_name(status), error.message);
}

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static int setup_row(void **state_of_row)
{
	return setup(state_of_row); /* which stays the row */
}

int main(void)
{
	struct CMUnitTest tests[ROWS];
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].status != (enum mf_status)(i + 1))
			return 1; /* each of them, once */
		tests[i] = (struct CMUnitTest){mf_status_name(rows[i].status), its_sentence_names_what_and_where, setup_row, teardown, (void *)(uintptr_t)&rows[i]};
	}
	if (ROWS != MF_STATUS_COUNT - 1)
		return 1;
	return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
