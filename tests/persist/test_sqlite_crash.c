/* Killed processes, readers in other processes, and threads that append, sync, checkpoint and read at once. */
#include "store_kit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/leave.h"
#include "vfs_shim.h"

static int tear_down(void **state)
{
	vfs_shim_reset();
	return kit_tear_down(state);
}

/* A key that tells its batch: "ROUND/BATCH/INDEX/SIZE". */
static void make_batch(struct mf_event *events, char keys[][48], int round, int batch, int size)
{
	for (int i = 0; i < size; i++) {
		snprintf(keys[i], 48, "%d/%d/%d/%d", round, batch, i, size);
		events[i] = kit_event(i % 2 ? "odd" : "even", keys[i]);
	}
}

/* ---- kill -9 ---- */

/* In the child: batches of 1 to 7 events, each last LSN told to the parent once it is acknowledged. */
static void append_for_ever(int round, int acks)
{
	struct mf_store *store;
	struct mf_event events[7];
	char keys[7][48];
	if (mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = kit_dir, .checkpoint_pages = 30}, &store, NULL) != MF_OK)
		_exit(1);
	for (int batch = 0;; batch++) {
		int64_t last;
		int size = batch % 7 + 1;
		make_batch(events, keys, round, batch, size);
		if (mf_store_append_batch(store, events, (size_t)size, &last, NULL) != MF_OK || write(acks, &last, sizeof(last)) != sizeof(last))
			_exit(2);
		if (batch % 5 == 0 && mf_store_sync(store, NULL, NULL) != MF_OK)
			_exit(3);
		if (store->ops->maintain(store, NULL) != MF_OK)
			_exit(4);
	}
}

/* Every batch that is there is there whole. Returns the last LSN. */
static int64_t check_batches(struct mf_store *store)
{
	int64_t lsn = 0;
	int expected = 0, of = 0;
	for (;;) {
		struct mf_event_list list;
		struct mf_error error;
		KIT_OK(mf_store_load_since(store, NULL, lsn, 500, &list, &error), &error);
		size_t count = list.count;
		for (size_t i = 0; i < count; i++) {
			int round, batch, index, size;
			assert_int_equal(list.events[i].lsn, ++lsn);
			assert_int_equal(sscanf(list.events[i].idempotency_key, "%d/%d/%d/%d", &round, &batch, &index, &size), 4);
			assert_int_equal(index, expected);
			of = size;
			expected = index + 1 == size ? 0 : index + 1;
		}
		mf_event_list_deinit(&list);
		if (count == 0)
			break;
	}
	if (expected != 0)
		fail_msg("the last batch has %d of %d events", expected, of);
	return lsn;
}

static void kill_9_in_the_middle_of_appends_keeps_every_acknowledged_one(void **state)
{
	(void)state;
	int64_t acked = 0;
	for (int round = 0; round < 20; round++) {
		int pipe_fds[2];
		assert_int_equal(pipe(pipe_fds), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			close(pipe_fds[0]);
			append_for_ever(round, pipe_fds[1]);
		}
		close(pipe_fds[1]);
		int64_t lsn;
		assert_int_equal(read(pipe_fds[0], &lsn, sizeof(lsn)), sizeof(lsn));
		acked = lsn;
		nanosleep(&(struct timespec){.tv_nsec = 1000000 * (1 + round * 7 % 23)}, NULL);
		kill(child, SIGKILL);
		while (read(pipe_fds[0], &lsn, sizeof(lsn)) == sizeof(lsn))
			acked = lsn;
		close(pipe_fds[0]);
		int result;
		assert_int_equal(waitpid(child, &result, 0), child);
		if (!WIFSIGNALED(result))
			fail_msg("the child ended with code %d", WEXITSTATUS(result));
		struct mf_store *reader = kit_open_reader(kit_dir);
		int64_t found = check_batches(reader);
		kit_close(reader);
		if (found < acked)
			fail_msg("round %d: %d acknowledged, %d found", round, (int)acked, (int)found);
	}
	struct mf_store *store = kit_open(kit_dir);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_close(store);
}

/* The whole life of a store, up to the call at which the child is killed. */
static int live(const struct mf_env *env)
{
	struct mf_store *store;
	struct mf_event events[5];
	char keys[5][48];
	unsigned char *state = calloc(1, 1300000);
	if (mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = kit_dir, .checkpoint_pages = 20, .env = env}, &store, NULL) != MF_OK)
		return 1;
	for (int batch = 0; batch < 12; batch++) {
		make_batch(events, keys, 0, batch, 5);
		if (mf_store_append_batch(store, events, 5, NULL, NULL) != MF_OK || mf_store_sync(store, NULL, NULL) != MF_OK || store->ops->maintain(store, NULL) != MF_OK)
			return 2;
	}
	struct mf_snapshot small = {.doc_id = "even", .upto_lsn = 21, .version = 1, .state_blob = state, .state_len = 10};
	struct mf_snapshot large = {.doc_id = "even", .upto_lsn = 41, .version = 1, .state_blob = state, .state_len = 1300000};
	if (mf_store_write_snapshot(store, &small, NULL) != MF_OK || mf_store_write_snapshot(store, &large, NULL) != MF_OK)
		return 3;
	if (mf_store_compact(store, "even", 41, NULL) != MF_OK)
		return 4;
	free(state);
	return mf_store_close(store, NULL) == MF_OK ? 0 : 5;
}

static bool killed_at(enum shim_file file, enum shim_call call, int64_t at)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct mf_env *env = vfs_shim_env();
		vfs_shim_plan(&(struct shim_plan){.file = file, .call = call, .at = at, .times = 1, .kill = true});
		leave(live(env));
	}
	int result;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFSIGNALED(result) || WEXITSTATUS(result) == 0);
	return WIFSIGNALED(result);
}

static void a_kill_at_any_write_or_sync_leaves_a_sound_store(void **state)
{
	(void)state;
	static const struct {
		enum shim_file file;
		enum shim_call call;
		int64_t step;
	} kinds[] = {{SHIM_LOG, SHIM_WRITE, 41}, {SHIM_DB, SHIM_WRITE, 13}, {SHIM_LOG, SHIM_SYNC, 2}, {SHIM_DB, SHIM_SYNC, 1}, {SHIM_LOG, SHIM_TRUNCATE, 1}, {SHIM_DB, SHIM_TRUNCATE, 1}};
	int kills = 0;
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		for (int64_t at = 1; killed_at(kinds[kind].file, kinds[kind].call, at); at += kinds[kind].step) {
			kills++;
			struct mf_store *store = kit_open(kit_dir);
			struct kit_findings findings;
			if (kit_verify(store, NULL, &findings) != MF_OK)
				fail_msg("killed at %d/%d/%d: %s of '%s', LSN %d", (int)kinds[kind].file, (int)kinds[kind].call, (int)at, findings.what, findings.doc_id, (int)findings.lsn);
			struct mf_error error;
			struct mf_event again = kit_event("even", "0/3/2/5");
			enum mf_status status = mf_store_append(store, &again, NULL, &error);
			int64_t last;
			KIT_OK(store->ops->last_lsn(store, NULL, &last, &error), &error);
			assert_int_equal(status, last > 18 ? MF_ERR_DUPLICATE_KEY : MF_OK);
			kit_close(store);
			kit_remove_dir(kit_dir);
			kit_dir = kit_make_dir();
		}
		kit_remove_dir(kit_dir);
		kit_dir = kit_make_dir();
	}
	assert_true(kills > 60);
}

/* What a store did last decides what the next opening finds in the log, and where it goes on writing. */
static void work_and_die(int kind)
{
	struct mf_store *store;
	struct mf_error error;
	struct mf_snapshot snapshot = {.doc_id = "d", .version = 1, .state_blob = (const unsigned char *)"abc", .state_len = 3};
	if (mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = kit_dir, .checkpoint_pages = 20}, &store, &error) != MF_OK)
		_exit(1);
	struct mf_store_stats stats;
	if (mf_store_stats(store, &stats, &error) != MF_OK)
		_exit(2);
	char prefix[32];
	snprintf(prefix, sizeof(prefix), "e%d", (int)stats.epoch);
	if (kind > 0)
		kit_append_many(store, "d", prefix, kind > 1 ? 30 : 1);
	if (kind > 1 && store->ops->maintain(store, &error) != MF_OK) /* all of the log is in the database: it begins anew */
		_exit(3);
	snapshot.upto_lsn = stats.last_lsn + 1;
	if (kind > 2 && mf_store_write_snapshot(store, &snapshot, &error) != MF_OK) /* touches no page of the events */
		_exit(4);
	raise(SIGKILL);
}

static void each_opening_after_a_kill_is_whole_at_once(void **state)
{
	(void)state;
	int64_t epoch = 0, events = 0;
	static const int kinds[] = {0, 3, 0, 3, 3, 2, 0, 1, 3, 1, 0, 0, 2, 2, 0, 3, 1};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0)
			work_and_die(kinds[i]);
		int result;
		assert_int_equal(waitpid(child, &result, 0), child);
		if (!WIFSIGNALED(result))
			fail_msg("opening %d ended with code %d", (int)i, WEXITSTATUS(result));
		events += kinds[i] == 0 ? 0 : kinds[i] == 1 ? 1 : 30;
		struct mf_store *reader = kit_open_reader(kit_dir);
		struct mf_store_stats stats;
		struct mf_error error;
		KIT_OK(mf_store_stats(reader, &stats, &error), &error);
		assert_int_equal(stats.epoch, ++epoch);
		assert_int_equal(kit_count(reader, "d", 0), events);
		struct kit_findings findings;
		assert_int_equal(kit_verify(reader, NULL, &findings), MF_OK);
		kit_close(reader);
	}
}

/* ---- readers in other processes ---- */

static int read_until_200(void)
{
	struct mf_store *store = NULL;
	while (mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true}, &store, NULL) == MF_ERR_NOT_FOUND)
		;
	if (!store)
		return 1;
	int64_t lsn = 0;
	while (lsn < 200) {
		struct mf_event_list list;
		if (mf_store_load_since(store, NULL, lsn, 50, &list, NULL) != MF_OK)
			return 2;
		for (size_t i = 0; i < list.count; i++)
			if (list.events[i].lsn != ++lsn)
				return 3;
		mf_event_list_deinit(&list);
	}
	return mf_store_close(store, NULL) == MF_OK ? 0 : 4;
}

static void readers_in_other_processes_follow_the_writer_without_gaps(void **state)
{
	(void)state;
	pid_t children[2];
	for (int i = 0; i < 2; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0)
			leave(read_until_200());
	}
	struct mf_store *store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .checkpoint_pages = 25});
	struct mf_error error;
	for (int i = 0; i < 200; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		kit_append(store, i % 3 ? "a" : "b", key);
		KIT_OK(store->ops->maintain(store, &error), &error);
	}
	for (int i = 0; i < 2; i++) {
		int result;
		assert_int_equal(waitpid(children[i], &result, 0), children[i]);
		assert_int_equal(result, 0);
	}
	kit_close(store);
}

/* ---- all at once ---- */

struct crowd {
	struct mf_store *store;
	atomic_bool stop;
	atomic_int failures;
	_Atomic int64_t appended;
};

static void failed(struct crowd *crowd, int line)
{
	if (atomic_fetch_add(&crowd->failures, 1) == 0)
		print_error("the first failure is in line %d\n", line);
}

static void *append_batches(void *user)
{
	struct crowd *crowd = user;
	static atomic_int next;
	int round = atomic_fetch_add(&next, 1);
	for (int batch = 0; !atomic_load(&crowd->stop); batch++) {
		struct mf_event events[5];
		char keys[5][48];
		int size = batch % 5 + 1;
		make_batch(events, keys, round, batch, size);
		if (mf_store_append_batch(crowd->store, events, (size_t)size, NULL, NULL) != MF_OK)
			failed(crowd, __LINE__);
		atomic_fetch_add(&crowd->appended, size);
	}
	return NULL;
}

static void *sync_often(void *user)
{
	struct crowd *crowd = user;
	int64_t before = 0;
	while (!atomic_load(&crowd->stop)) {
		int64_t appended = atomic_load(&crowd->appended), synced;
		if (mf_store_sync(crowd->store, &synced, NULL) != MF_OK || synced < before || synced < appended)
			failed(crowd, __LINE__);
		before = synced;
	}
	return NULL;
}

static void *maintain_often(void *user)
{
	struct crowd *crowd = user;
	while (!atomic_load(&crowd->stop))
		if (crowd->store->ops->maintain(crowd->store, NULL) != MF_OK)
			failed(crowd, __LINE__);
	return NULL;
}

static void *read_often(void *user)
{
	struct crowd *crowd = user;
	while (!atomic_load(&crowd->stop)) {
		int64_t lsn = 0;
		struct mf_event_list list;
		for (;;) {
			if (mf_store_load_since(crowd->store, "even", lsn, 200, &list, NULL) != MF_OK) {
				failed(crowd, __LINE__);
				break;
			}
			size_t count = list.count;
			if (count > 0)
				lsn = list.events[count - 1].lsn;
			mf_event_list_deinit(&list);
			if (count == 0)
				break;
		}
	}
	return NULL;
}

static void *snapshot_and_compact(void *user)
{
	struct crowd *crowd = user;
	unsigned char *bytes = calloc(1, 1500000);
	for (int i = 0; !atomic_load(&crowd->stop); i++) {
		int64_t lsn;
		if (crowd->store->ops->last_lsn(crowd->store, "odd", &lsn, NULL) != MF_OK)
			failed(crowd, __LINE__);
		struct mf_snapshot snapshot = {.doc_id = "odd", .upto_lsn = lsn, .version = 1, .state_blob = bytes, .state_len = i % 2 ? 1500000 : 1000};
		if (lsn > 0 && (mf_store_write_snapshot(crowd->store, &snapshot, NULL) != MF_OK || mf_store_compact(crowd->store, "odd", lsn, NULL) != MF_OK))
			failed(crowd, __LINE__);
	}
	free(bytes);
	return NULL;
}

static void *look_around(void *user)
{
	struct crowd *crowd = user;
	while (!atomic_load(&crowd->stop)) {
		struct mf_store_stats stats;
		struct kit_findings findings;
		if (mf_store_stats(crowd->store, &stats, NULL) != MF_OK || stats.synced_lsn > stats.last_lsn || stats.events > stats.last_lsn)
			failed(crowd, __LINE__);
		if (kit_verify(crowd->store, NULL, &findings) != MF_OK)
			failed(crowd, __LINE__);
	}
	return NULL;
}

static void p12_threads_append_sync_checkpoint_compact_and_read_at_once(void **state)
{
	(void)state;
	void *(*const work[])(void *) = {append_batches, append_batches, append_batches, sync_often, maintain_often, read_often, snapshot_and_compact, look_around};
	enum { WORKERS = sizeof(work) / sizeof(work[0]) };
	pthread_t threads[WORKERS];
	struct crowd crowd = {.store = kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .checkpoint_pages = 10})};
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work[i], &crowd), 0);
	nanosleep(&(struct timespec){.tv_sec = 3}, NULL);
	atomic_store(&crowd.stop, true);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&crowd.failures), 0);
	struct kit_findings findings;
	assert_int_equal(kit_verify(crowd.store, NULL, &findings), MF_OK);
	int64_t last;
	struct mf_error error;
	KIT_OK(crowd.store->ops->last_lsn(crowd.store, NULL, &last, &error), &error);
	assert_int_equal(last, atomic_load(&crowd.appended));
	kit_close(crowd.store);
	struct mf_store *again = kit_open(kit_dir);
	assert_int_equal(kit_verify(again, NULL, &findings), MF_OK);
	kit_close(again);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(kill_9_in_the_middle_of_appends_keeps_every_acknowledged_one),
		T(a_kill_at_any_write_or_sync_leaves_a_sound_store),
		T(each_opening_after_a_kill_is_whole_at_once),
		T(readers_in_other_processes_follow_the_writer_without_gaps),
		T(p12_threads_append_sync_checkpoint_compact_and_read_at_once),
	};
	return cmocka_run_group_tests_name("sqlite crash", tests, NULL, NULL);
}
