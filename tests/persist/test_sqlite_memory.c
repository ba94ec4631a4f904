/* SQLite runs out of memory: each of its own allocations fails in turn, in every call of the store. The call says so, or had all that it
 * needed; the next one works; nothing is broken, and nothing is there that was refused. Our own allocations: test_store_contract.c. */
#include "store_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include <moduforge/backup.h>


/* ---- SQLite's memory ---- */
static sqlite3_mem_methods real;
static int64_t fail_at, made; /* 0: none fails */
static bool for_ever;

static bool fails(void)
{
	made++;
	return fail_at > 0 && (for_ever ? made >= fail_at : made == fail_at);
}

static void *allocate(int size)
{
	return fails() ? NULL : real.xMalloc(size);
}

static void *reallocate(void *memory, int size)
{
	return fails() ? NULL : real.xRealloc(memory, size);
}

static void begin_to_fail(int64_t n, bool forever)
{
	made = 0;
	for_ever = forever;
	fail_at = n;
}

static int take_memory_over(void **state)
{
	sqlite3_mem_methods ours;
	(void)state;
	sqlite3_shutdown();
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real), SQLITE_OK);
	ours = real;
	ours.xMalloc = allocate;
	ours.xRealloc = reallocate;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours), SQLITE_OK);
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK); /* every allocation is one of these */
	return 0;
}

/* ---- the calls ---- */
struct work {
	struct mf_store *store;
	int round; /* so that keys and names are new */
	int64_t last;
};

static bool all_documents(void *user, const struct mf_document_info *info)
{
	(void)user, (void)info;
	return true;
}

static bool all_snapshots(void *user, const struct mf_snapshot_info *info)
{
	(void)user, (void)info;
	return true;
}

static bool all_checkpoints(void *user, const struct mf_checkpoint *checkpoint)
{
	(void)user, (void)checkpoint;
	return true;
}

static void no_damage(void *user, const struct mf_damage *damage)
{
	*(bool *)user = true;
	print_error("%s %lld: %s\n", damage->what, (long long)damage->lsn, damage->message);
}

static enum mf_status append(struct work *work, struct mf_error *error)
{
	char keys[3][32];
	struct mf_event events[3];
	for (int i = 0; i < 3; i++) {
		snprintf(keys[i], sizeof(keys[i]), "%d/%d", work->round, i);
		events[i] = kit_event(i == 1 ? "other" : "d", keys[i]);
	}
	return mf_store_append_batch(work->store, events, 3, &work->last, error);
}

static enum mf_status append_again(struct work *work, struct mf_error *error)
{
	struct mf_event event = kit_event("d", "first");
	int64_t lsn;
	enum mf_status status = mf_store_append(work->store, &event, &lsn, error);
	return status == MF_ERR_DUPLICATE_KEY ? MF_OK : status;
}

static enum mf_status sync_it(struct work *work, struct mf_error *error)
{
	int64_t lsn;
	return mf_store_sync(work->store, &lsn, error);
}

static enum mf_status maintain(struct work *work, struct mf_error *error)
{
	return work->store->ops->maintain(work->store, error);
}

static enum mf_status load(struct work *work, struct mf_error *error)
{
	struct mf_event_list list;
	enum mf_status status = mf_store_load_since(work->store, work->round % 2 ? "d" : NULL, 0, 10, &list, error);
	if (status != MF_OK)
		return status;
	assert_true(list.count >= 4);
	mf_event_list_deinit(&list);
	return MF_OK;
}

static enum mf_status find(struct work *work, struct mf_error *error)
{
	struct mf_key_info info;
	int64_t lsn;
	enum mf_status status = work->store->ops->find_key(work->store, "first", &info, error);
	if (status != MF_OK)
		return status;
	assert_int_equal(info.lsn, 1);
	status = work->store->ops->find_key(work->store, "never", &info, error);
	if (status != MF_ERR_NOT_FOUND)
		return status;
	return work->store->ops->last_lsn(work->store, "d", &lsn, error);
}

static enum mf_status write_snapshot(struct work *work, struct mf_error *error)
{
	struct mf_snapshot snapshot = {.doc_id = "d", .upto_lsn = work->last, .version = 1, .state_blob = (const unsigned char *)"state", .state_len = 5};
	if (work->round % 2)
		return mf_store_write_snapshot(work->store, &snapshot, error);
	enum mf_status status = work->store->ops->snapshot_chunk(work->store, "d", work->last, 0, "st", 2, error);
	if (status == MF_OK)
		status = work->store->ops->snapshot_chunk(work->store, "d", work->last, 1, "ate", 3, error);
	snapshot.state_blob = NULL;
	return status == MF_OK ? work->store->ops->snapshot_finish(work->store, &snapshot, error) : status;
}

static enum mf_status read_snapshot(struct work *work, struct mf_error *error)
{
	struct mf_snapshot snapshot;
	enum mf_status status = mf_store_latest_snapshot(work->store, "d", INT64_MAX, &snapshot, error);
	if (status == MF_OK)
		mf_snapshot_deinit(&snapshot);
	return status;
}

static enum mf_status list(struct work *work, struct mf_error *error)
{
	struct mf_store_stats stats;
	int64_t lsn;
	enum mf_status status = work->store->ops->documents(work->store, all_documents, NULL, error);
	if (status == MF_OK)
		status = work->store->ops->snapshots(work->store, work->round % 2 ? "d" : NULL, all_snapshots, NULL, error);
	if (status == MF_OK)
		status = mf_store_checkpoints(work->store, all_checkpoints, NULL, error);
	if (status == MF_OK)
		status = mf_store_epoch_end(work->store, 1, &lsn, error);
	return status == MF_OK ? mf_store_stats(work->store, &stats, error) : status;
}

static enum mf_status follow(struct work *work, struct mf_error *error)
{
	char name[32];
	snprintf(name, sizeof(name), "f%d", work->round);
	const struct mf_checkpoint checkpoint = {name, 1, work->last};
	struct mf_checkpoint out;
	enum mf_status status = mf_store_save_checkpoint(work->store, &checkpoint, error);
	if (status == MF_OK)
		status = mf_store_load_checkpoint(work->store, name, &out, error);
	if (status == MF_OK)
		assert_int_equal(out.lsn, work->last);
	return status;
}

static enum mf_status count(struct work *work, struct mf_error *error)
{
	struct mf_buffer out = {0};
	enum mf_status status = work->store->ops->save_metrics(work->store, "{}", 2, error);
	if (status == MF_OK)
		status = work->store->ops->load_metrics(work->store, &out, error);
	mf_buffer_deinit(&out);
	return status;
}

static enum mf_status verify(struct work *work, struct mf_error *error)
{
	bool damaged = false;
	enum mf_status status = mf_store_verify(work->store, no_damage, &damaged, error);
	assert_false(damaged);
	return status;
}

static enum mf_status prune(struct work *work, struct mf_error *error)
{
	return mf_store_prune_snapshots(work->store, "d", 1, error);
}

static enum mf_status vacuum(struct work *work, struct mf_error *error)
{
	return mf_store_vacuum(work->store, error);
}

static enum mf_status compact(struct work *work, struct mf_error *error)
{
	return mf_store_compact(work->store, "d", work->last, error);
}

static enum mf_status back_up(struct work *work, struct mf_error *error)
{
	char *path = kit_path(kit_dir, "backup");
	enum mf_status status = mf_store_backup(work->store, path, NULL, NULL, NULL, error);
	assert_int_equal(access(path, F_OK) == 0, status == MF_OK);
	(void)unlink(path);
	free(path);
	return status;
}

typedef enum mf_status call(struct work *work, struct mf_error *error);

static const struct {
	const char *name;
	call *call;
	call *before; /* each round, without failures */
} calls[] = {
	{"append", append, NULL},
	{"append again", append_again, NULL},
	{"sync", sync_it, append},
	{"maintain", maintain, append},
	{"load", load, NULL},
	{"find", find, NULL},
	{"write a snapshot", write_snapshot, append},
	{"read a snapshot", read_snapshot, NULL},
	{"list", list, NULL},
	{"follow", follow, NULL},
	{"count", count, NULL},
	{"verify", verify, NULL},
	{"prune", prune, write_snapshot},
	{"vacuum", vacuum, NULL},
	{"back up", back_up, NULL},
	{"compact", compact, NULL},
};

static struct mf_store *reopened(struct mf_store *store)
{
	struct mf_error error;
	(void)mf_store_close(store, &error);
	return kit_open(kit_dir);
}

/* After a commit whose outcome is unknown, the store is opened anew, as the contract asks. */
static void each_call_says_that_there_was_no_memory_and_the_next_one_works(void **state)
{
	(void)state;
	struct mf_error error;
	struct work work = {.store = kit_open(kit_dir)};
	kit_append(work.store, "d", "first");
	int64_t total = 0;
	begin_to_fail(0, false);
	KIT_OK(append(&work, &error), &error);
	for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
		int64_t n = 0, reached;
		do {
			work.round++;
			begin_to_fail(0, false);
			if (calls[c].before)
				KIT_OK(calls[c].before(&work, &error), &error);
			work.round++;
			n += n < 120 ? 1 : 11; /* most of the others are pages alike */
			begin_to_fail(n, n % 3 == 0);
			enum mf_status status = calls[c].call(&work, n % 5 ? &error : NULL);
			reached = made;
			begin_to_fail(0, false);
			if (status == MF_ERR_UNKNOWN_OUTCOME) {
				work.store = reopened(work.store);
				struct mf_store_stats stats;
				KIT_OK(mf_store_stats(work.store, &stats, &error), &error);
				work.last = stats.last_lsn > work.last ? stats.last_lsn : work.last;
			} else if (status != MF_OK && status != MF_ERR_NO_MEMORY) {
				fail_msg("%s, allocation %d: %s: %s", calls[c].name, (int)n, mf_status_name(status), n % 5 ? error.message : "");
			}
			work.round++;
			if (calls[c].call != compact)
				KIT_OK(calls[c].call(&work, &error), &error);
		} while (reached >= n && n < 2000);
		total += n;
	}
	assert_true(total > 300);
	KIT_OK(verify(&work, &error), &error);
	kit_close(work.store);
}

static void an_opening_says_that_there_was_no_memory_and_the_next_one_works(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	kit_append_many(store, "d", "k", 5);
	kit_close(store);
	for (int reader = 0; reader < 2; reader++) {
		const struct mf_sqlite_options options = {.dir = kit_dir, .read_only = reader};
		int64_t n = 0, reached;
		do {
			store = NULL;
			n++;
			begin_to_fail(n, n % 3 == 0);
			enum mf_status status = mf_store_open_sqlite(&options, &store, &error);
			if (status == MF_OK)
				status = mf_store_close(store, &error);
			reached = made;
			begin_to_fail(0, false);
			if (status != MF_OK && status != MF_ERR_NO_MEMORY && status != MF_ERR_UNKNOWN_OUTCOME)
				fail_msg("reader %d, allocation %d: %s: %s", reader, (int)n, mf_status_name(status), error.message);
		} while (reached >= n && n < 2000);
		assert_true(n > 50);
		store = kit_open(kit_dir);
		assert_int_equal(kit_count(store, "d", 0), 5);
		kit_close(store);
	}
}

static void a_restore_says_that_there_was_no_memory_and_the_next_one_works(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store = kit_open(kit_dir);
	char *file = kit_path(kit_dir, "backup"), *dir = kit_path(kit_dir, "restored");
	kit_append_many(store, "d", "k", 5);
	kit_write_snapshot(store, "d", 5, 300);
	kit_append_many(store, "d", "l", 3);
	KIT_OK(mf_store_backup(store, file, NULL, NULL, NULL, &error), &error);
	kit_close(store);
	for (int cut = 0; cut < 2; cut++) {
		const struct mf_restore_options options = {.file = file, .dir = dir, .at_lsn = cut ? 6 : 0};
		int64_t n = 0, reached;
		do {
			n += n < 300 ? 1 : 7;
			begin_to_fail(n, n % 3 == 0);
			enum mf_status status = mf_store_restore(&options, NULL, &error);
			reached = made;
			begin_to_fail(0, false);
			if (status != MF_OK && status != MF_ERR_NO_MEMORY && status != MF_ERR_UNKNOWN_OUTCOME)
				fail_msg("allocation %d: %s: %s", (int)n, mf_status_name(status), error.message);
			assert_int_equal(access(dir, F_OK) == 0, status == MF_OK);
			if (status == MF_OK)
				kit_remove_dir(strdup(dir));
		} while (reached >= n && n < 4000);
		assert_true(n > 50);
	}
	free(file);
	free(dir);
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_call_says_that_there_was_no_memory_and_the_next_one_works),
		T(an_opening_says_that_there_was_no_memory_and_the_next_one_works),
		T(a_restore_says_that_there_was_no_memory_and_the_next_one_works),
	};
	return cmocka_run_group_tests(tests, take_memory_over, NULL);
}
