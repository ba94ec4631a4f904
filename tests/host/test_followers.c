/* test_followers.c - followers at their own pace with the real plugins, through the public API only. */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/runtime.h>
#include <moduforge/value.h>

#include "scratch.h"
#include "tests/leave.h"

#define OK(call)                                                                                  \
	do {                                                                                      \
		mf_error_clear(&error);                                                           \
		enum mf_status ok_status_ = (call);                                               \
		if (ok_status_ != MF_OK)                                                          \
			fail_msg("%s: %s: %s", #call, mf_status_name(ok_status_), error.message); \
	} while (0)

static struct mf_error error;
static struct mf_runtime *runtime;
static char logged[2000];
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- a runtime in a scratch directory ---- */
static void write_config(const char *more)
{
	scratch_write_config(&(struct scratch_plan){.top = ", \"path_policy\": \"off\"", .dirs = ", \"" MF_TEST_BUILD "/tests/host\"",
		.options = ", \"snapshot_every_n_events\": 0", .after = more});
}

static int setup(void **unused)
{
	(void)unused;
	scratch_make();
	write_config("");
	runtime = NULL;
	logged[0] = '\0';
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	OK(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error));
	return scratch_remove();
}

static void write_log(void *user, enum mf_log_level level, const char *message)
{
	(void)user;
	(void)level;
	pthread_mutex_lock(&log_mutex);
	size_t len = strlen(logged);
	snprintf(logged + len, sizeof(logged) - len, "%s\n", message);
	pthread_mutex_unlock(&log_mutex);
}

static void open_runtime(const char *mode)
{
	struct mf_runtime_options options = {.config_path = scratch_config, .mode = mode, .log = write_log};
	OK(mf_runtime_open(&options, &runtime, &error));
}

static void close_runtime(void)
{
	OK(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error));
	runtime = NULL;
}

static enum mf_status commit_n(const char *doc_id, int n, int64_t *out_lsn, struct mf_error *why)
{
	char json[64];
	struct mf_transaction *transaction;
	enum mf_status status = mf_transaction_new(&transaction);
	snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"n\":%d}}", n);
	if (status == MF_OK)
		status = mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "update_attrs", json, why);
	if (status == MF_OK)
		status = mf_runtime_commit(runtime, doc_id, transaction, out_lsn, why);
	mf_transaction_free(transaction);
	return status;
}

static void commit_many(const char *doc_id, int count)
{
	for (int n = 1; n <= count; n++)
		OK(commit_n(doc_id, n, NULL, &error));
}

/* ---- a follower that writes down what it sees ---- */
struct seen {
	_Atomic int64_t last, count, early;
	atomic_bool hold, entered;
	enum mf_status (*act)(const struct mf_publication *publication, struct mf_error *error);
};

static enum mf_status handle(void *user, const struct mf_publication *publication, struct mf_error *why)
{
	struct seen *seen = user;
	struct mf_state *state;
	atomic_store(&seen->entered, true);
	while (atomic_load(&seen->hold))
		sched_yield();
	assert_int_equal(publication->lsn, atomic_load(&seen->last) + 1);
	assert_non_null(publication->transaction);
	assert_true(mf_transaction_step_count(publication->transaction) >= 1);
	assert_int_equal(publication->event->lsn, publication->lsn);
	if (mf_runtime_state(runtime, publication->doc_id, &state, why) == MF_OK) { /* not while it is being closed */
		if (mf_state_lsn(state) < publication->lsn)
			atomic_fetch_add(&seen->early, 1);
		mf_state_unref(state);
	}
	if (seen->act) {
		enum mf_status status = seen->act(publication, why);
		if (status != MF_OK)
			return status;
	}
	atomic_store(&seen->last, publication->lsn);
	atomic_fetch_add(&seen->count, 1);
	return MF_OK;
}

static uint64_t follow(struct seen *seen, const char *name, enum mf_follow_on on, bool keep_checkpoint)
{
	struct mf_follow_options options;
	uint64_t id;
	mf_follow_options_init(&options);
	options.name = name;
	options.on = on;
	options.keep_checkpoint = keep_checkpoint;
	OK(mf_runtime_follow(runtime, &options, handle, seen, &id, &error));
	return id;
}

static void await(void)
{
	OK(mf_bus_await_followers(mf_runtime_bus(runtime), MF_WAIT_FOREVER, &error));
}

/* ---- tests ---- */
static void *commit_some(void *user)
{
	int64_t lsn;
	struct mf_error why;
	for (int n = 0; n < 200; n++)
		assert_int_equal(commit_n(user, n, &lsn, &why), MF_OK);
	return NULL;
}

static void eight_threads_commit(const char *mode, int64_t before)
{
	static const char *const docs[] = {"a", "b", "c", "d"};
	struct seen early = {0}, late = {.last = before};
	pthread_t threads[8];
	open_runtime(mode);
	follow(&early, "early", MF_FOLLOW_ON_THREAD, false);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, commit_some, (void *)(uintptr_t)docs[i % 4]), 0);
	follow(&late, "late", MF_FOLLOW_ON_THREAD, true);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	await();
	assert_int_equal(atomic_load(&early.count), before + 1600);
	assert_int_equal(atomic_load(&late.count), 1600);
	assert_int_equal(atomic_load(&early.early) + atomic_load(&late.early), 0);
	close_runtime();
}

static void what_eight_threads_commit_is_seen_in_order_and_never_before_readers_see_it(void **unused)
{
	(void)unused;
	eight_threads_commit("async", 0);
	eight_threads_commit("sync", 1600); /* late goes on from its checkpoint */
	eight_threads_commit("memory", 0);
}

static enum mf_status commit_answer(const struct mf_publication *publication, struct mf_error *why)
{
	int64_t lsn;
	if (strcmp(publication->doc_id, "question") != 0)
		return MF_OK;
	enum mf_status status = commit_n("answer", (int)publication->lsn, &lsn, why);
	return status == MF_OK && lsn <= publication->lsn ? mf_error_set(why, MF_ERR_STATE, "the answer came before the question") : status;
}

static void f9_a_handler_commits_transactions_of_its_own_after_the_event(void **unused)
{
	(void)unused;
	struct seen seen = {.act = commit_answer};
	struct mf_state *state;
	open_runtime("async");
	follow(&seen, "f", MF_FOLLOW_ON_THREAD, false);
	commit_many("question", 50);
	while (atomic_load(&seen.count) < 100)
		sched_yield();
	OK(mf_runtime_state(runtime, "answer", &state, &error));
	assert_true(mf_state_lsn(state) > 50);
	mf_state_unref(state);
}

static void it_goes_on_from_its_checkpoint_after_a_restart(void **unused)
{
	(void)unused;
	struct seen seen = {0};
	for (int round = 0; round < 3; round++) {
		open_runtime("async");
		commit_many("d", 100);
		follow(&seen, "f", MF_FOLLOW_ON_THREAD, true);
		commit_many("d", 100);
		close_runtime();
		assert_int_equal(atomic_load(&seen.count), 200 * (round + 1)); /* closing waits for it */
	}
}

static void closed_while_it_catches_up_it_goes_on_where_it_was(void **unused)
{
	(void)unused;
	struct seen seen = {0};
	open_runtime("async");
	commit_many("d", 300);
	enum mf_status status;
	while (atomic_load(&seen.count) < 300) {
		int64_t before = atomic_load(&seen.count);
		follow(&seen, "f", MF_FOLLOW_ON_THREAD, true);
		while (atomic_load(&seen.count) == before)
			sched_yield();
		while ((status = mf_runtime_close(runtime, 0, &error)) == MF_ERR_TIMEOUT) /* no time to see everything */
			;
		assert_int_equal(status, MF_OK);
		open_runtime("async");
	}
	assert_int_equal(atomic_load(&seen.last), 300); /* each once: its handler sees to that */
}

static void one_on_the_loop_is_woken_by_the_descriptor(void **unused)
{
	(void)unused;
	struct seen seen = {0};
	open_runtime("async");
	struct pollfd poll_fd = {.fd = mf_runtime_get_fd(runtime), .events = POLLIN};
	assert_true(poll_fd.fd >= 0);
	uint64_t id = follow(&seen, "f", MF_FOLLOW_ON_LOOP, false);
	commit_many("d", 100);
	while (atomic_load(&seen.count) < 100) {
		assert_int_equal(poll(&poll_fd, 1, -1), 1);
		OK(mf_runtime_dispatch(runtime, 10, &error));
	}
	OK(mf_runtime_unfollow(runtime, id, MF_WAIT_FOREVER, &error));
	assert_int_equal(mf_runtime_unfollow(runtime, id, 0, &error), MF_ERR_NOT_FOUND);
}

/* Threads by name: one that has been joined may still be listed for a moment. */
static int count_threads(const char *name)
{
	int count = 0;
	DIR *tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));) {
		char path[300], comm[32] = "";
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		FILE *file = fopen(path, "r");
		if (file && fgets(comm, sizeof(comm), file))
			count += strncmp(comm, name, strlen(name)) == 0;
		if (file)
			fclose(file);
	}
	closedir(tasks);
	return count;
}

static void a_follower_has_one_thread_and_one_on_the_loop_has_none(void **unused)
{
	(void)unused;
	struct seen seen = {0}, looped = {0};
	open_runtime("async");
	follow(&looped, "looped", MF_FOLLOW_ON_LOOP, false);
	uint64_t id = follow(&seen, "solo", MF_FOLLOW_ON_THREAD, false);
	commit_many("d", 10);
	await();
	assert_int_equal(count_threads("mf:solo"), 1);
	assert_int_equal(count_threads("mf:looped"), 0);
	OK(mf_runtime_unfollow(runtime, id, MF_WAIT_FOREVER, &error));
}

static void one_that_wants_synced_events_gets_them_when_the_window_ends(void **unused)
{
	(void)unused;
	struct seen seen = {0};
	struct mf_follow_options options;
	struct mf_store_stats stats;
	uint64_t id;
	open_runtime("async:5");
	mf_follow_options_init(&options);
	options.name = "f";
	options.synced_only = true;
	OK(mf_runtime_follow(runtime, &options, handle, &seen, &id, &error));
	commit_many("d", 20);
	while (atomic_load(&seen.count) < 20)
		sched_yield();
	OK(mf_store_stats(mf_runtime_store(runtime), &stats, &error));
	assert_int_equal(stats.synced_lsn, 20);
}

static struct seen blocked;

static void f8_a_handler_that_does_not_return_is_named_when_the_runtime_is_closed(void **unused)
{
	(void)unused;
	struct mf_error why;
	atomic_store(&blocked.hold, true);
	open_runtime("async");
	follow(&blocked, "stubborn", MF_FOLLOW_ON_THREAD, true);
	commit_many("d", 3);
	while (!atomic_load(&blocked.entered))
		sched_yield();
	enum mf_status status;
	while ((status = mf_runtime_close(runtime, 100, &why)) == MF_ERR_TIMEOUT) /* until the store is drained */
		;
	assert_int_equal(status, MF_ERR_PLUGIN);
	assert_non_null(strstr(why.message, "'stubborn' is still at work"));
	assert_non_null(strstr(logged, "'stubborn' has come up to LSN 0 only"));
	atomic_store(&blocked.hold, false); /* what it uses is still there */
	while (atomic_load(&blocked.count) < 1)
		sched_yield();
	struct mf_runtime_options again = {.config_path = scratch_config};
	assert_int_equal(mf_runtime_open(&again, &runtime, &why), MF_ERR_LOCKED); /* and the store, until the process ends */
	runtime = NULL;
}

static atomic_bool at_it, go_on;
static atomic_int told;
static enum mf_status late_commit, late_read, asked_again;
static uint64_t late_id;

static enum mf_status count_told(void *user, const struct mf_publication *publication)
{
	(void)user, (void)publication;
	atomic_fetch_add(&told, 1);
	return MF_OK;
}

static void stay(void)
{
	atomic_store(&at_it, true);
	while (!atomic_load(&go_on))
		sched_yield();
}

static enum mf_status hold_the_late_one(void *user, const struct mf_proposal *proposal, struct mf_error *why)
{
	(void)user, (void)why;
	if (strcmp(proposal->doc_id, "late") == 0)
		stay();
	return MF_OK;
}

/* In a call of the runtime when it is closed. */
static enum mf_status commit_late(void *user, const struct mf_publication *publication, struct mf_error *why)
{
	(void)user;
	int64_t lsn;
	struct mf_state *state;
	late_commit = commit_n("late", 1, &lsn, why);
	late_read = mf_runtime_store(runtime)->ops->last_lsn(mf_runtime_store(runtime), "late", &lsn, why);
	asked_again = mf_runtime_state(runtime, publication->doc_id, &state, why);
	atomic_store(&at_it, false);
	return MF_OK;
}

static enum mf_status leave_and_read_late(void *user, const struct mf_publication *publication, struct mf_error *why)
{
	(void)user;
	int64_t lsn;
	enum mf_status status = mf_runtime_unfollow(runtime, late_id, MF_WAIT_FOREVER, why);
	stay();
	late_read = status == MF_OK ? mf_runtime_store(runtime)->ops->last_lsn(mf_runtime_store(runtime), publication->doc_id, &lsn, why) : status;
	atomic_store(&at_it, false);
	return MF_OK;
}

/* The runtime is lost, with its store, until the process ends. */
static void close_beside(mf_event_handler *handler, const char *named)
{
	struct mf_follow_options options;
	struct mf_runtime_options again = {.config_path = scratch_config};
	struct mf_runtime *other;
	struct mf_error why;
	enum mf_status status;
	uint64_t id;
	atomic_store(&at_it, false);
	atomic_store(&go_on, false);
	open_runtime("async");
	OK(mf_bus_add_guard(mf_runtime_bus(runtime), "hold", hold_the_late_one, NULL, &id, &error));
	OK(mf_bus_subscribe(mf_runtime_bus(runtime), "told", MF_TOPICS_ALL, count_told, NULL, &id, &error));
	mf_follow_options_init(&options);
	options.name = "late";
	OK(mf_runtime_follow(runtime, &options, handler, NULL, &late_id, &error));
	commit_many("d", 1);
	while (!atomic_load(&at_it))
		sched_yield();
	while ((status = mf_runtime_close(runtime, 100, &why)) == MF_ERR_TIMEOUT)
		;
	assert_int_equal(status, MF_ERR_PLUGIN);
	assert_non_null(strstr(why.message, named));
	assert_non_null(strstr(logged, "plugins and store stay as they are"));
	int before = atomic_load(&told);
	atomic_store(&go_on, true);
	while (atomic_load(&at_it))
		sched_yield();
	assert_int_equal(late_read, MF_OK);
	assert_int_equal(atomic_load(&told), before); /* who closed may be gone */
	assert_int_equal(mf_runtime_open(&again, &other, &why), MF_ERR_LOCKED);
	runtime = NULL;
}

static void f8_what_a_handler_uses_that_does_not_return_stays_and_nobody_else_is_called(void **unused)
{
	(void)unused;
	close_beside(commit_late, "'late' is still at work");
	assert_int_equal(late_commit, MF_OK); /* it had begun */
	assert_int_equal(asked_again, MF_ERR_STATE); /* no new call */
}

static void f8_one_that_has_unsubscribed_itself_is_waited_for_too(void **unused)
{
	(void)unused;
	close_beside(leave_and_read_late, "unsubscribed itself");
}

/* ---- the follower of a plugin: dawdler.so calls these ---- */
enum mf_status dawdler_called(const struct mf_publication *publication, struct mf_error *why);
void dawdler_ended(void);
static atomic_bool dawdler_holds, dawdler_entered, dawdler_left, dawdler_gone;
static atomic_int dawdler_events, dawdler_fails;

enum mf_status dawdler_called(const struct mf_publication *publication, struct mf_error *why)
{
	atomic_store(&dawdler_entered, true);
	while (atomic_load(&dawdler_holds))
		sched_yield();
	atomic_store(&dawdler_left, true);
	if (atomic_load(&dawdler_fails) > 0 && atomic_fetch_sub(&dawdler_fails, 1) > 0)
		return mf_error_set(why, MF_ERR_IO, "not now");
	assert_int_equal(publication->lsn, atomic_fetch_add(&dawdler_events, 1) + 1);
	return MF_OK;
}

void dawdler_ended(void)
{
	atomic_store(&dawdler_gone, true);
}

static bool find_dawdler(void *user, const struct mf_subscriber_info *info)
{
	if (strcmp(info->name, "dawdler") == 0)
		*(struct mf_subscriber_info *)user = *info;
	return true;
}

static void a_plugin_has_a_follower_that_begins_with_the_runtime_and_ends_before_it(void **unused)
{
	(void)unused;
	struct mf_subscriber_info info = {0};
	write_config(", {\"name\": \"dawdler\"}");
	atomic_store(&dawdler_fails, 2);
	for (int round = 1; round <= 2; round++) {
		atomic_store(&dawdler_gone, false);
		open_runtime("async");
		commit_many("d", 10);
		while (atomic_load(&dawdler_events) < 10 * round)
			sched_yield();
		mf_bus_subscribers(mf_runtime_bus(runtime), find_dawdler, &info);
		assert_int_equal(info.failures, round == 1 ? 2 : 0);
		assert_false(atomic_load(&dawdler_gone));
		close_runtime();
		assert_true(atomic_load(&dawdler_gone));
	}
	atomic_store(&dawdler_events, 0);
}

static void p14_a_plugin_whose_follower_does_not_return_is_named_and_kept(void **unused)
{
	(void)unused;
	struct mf_error why;
	enum mf_status status;
	write_config(", {\"name\": \"dawdler\"}");
	atomic_store(&dawdler_holds, true);
	atomic_store(&dawdler_gone, false);
	atomic_store(&dawdler_entered, false);
	atomic_store(&dawdler_left, false);
	open_runtime("async");
	commit_many("d", 10);
	while (!atomic_load(&dawdler_entered))
		sched_yield();
	while ((status = mf_runtime_close(runtime, 100, &why)) == MF_ERR_TIMEOUT)
		;
	runtime = NULL;
	assert_int_equal(status, MF_ERR_PLUGIN);
	assert_non_null(strstr(why.message, "'dawdler' is still at work"));
	assert_false(atomic_load(&dawdler_gone)); /* what its handler uses is still there */
	atomic_store(&dawdler_holds, false);
	while (!atomic_load(&dawdler_left))
		sched_yield();
	atomic_store(&dawdler_events, 0);
}

static void snapshot_d(void)
{
	int64_t lsn;
	OK(mf_runtime_snapshot(runtime, "d", &lsn, &error));
}

static int64_t compact_d(void)
{
	int64_t lsn = -1;
	OK(mf_runtime_compact(runtime, "d", &lsn, &error));
	return lsn;
}

static void compaction_leaves_what_a_follower_has_still_to_read(void **unused)
{
	(void)unused;
	struct seen seen = {.hold = true};
	open_runtime("async");
	for (int i = 0; i < 4; i++) {
		commit_many("d", 5);
		snapshot_d();
	}
	follow(&seen, "slow", MF_FOLLOW_ON_THREAD, true);
	while (!atomic_load(&seen.entered))
		sched_yield();
	assert_int_equal(compact_d(), 0);
	atomic_store(&seen.hold, false);
	while (atomic_load(&seen.count) < 20)
		sched_yield();
	close_runtime(); /* saves its checkpoint */
	open_runtime("async");
	seen.entered = false;
	follow(&seen, "slow", MF_FOLLOW_ON_THREAD, true);
	await();
	assert_int_equal(compact_d(), 15);
	assert_int_equal(atomic_load(&seen.count), 20);
}

/* ---- killed ---- */
static enum mf_status append_lsn(void *user, const struct mf_publication *publication, struct mf_error *why)
{
	return write(fileno(user), &publication->lsn, sizeof(publication->lsn)) == sizeof(publication->lsn) ? MF_OK : mf_error_set(why, MF_ERR_IO, "no file");
}

static void follow_until_killed(const char *path)
{
	struct mf_follow_options options;
	uint64_t id;
	FILE *file = fopen(path, "ab");
	if (!file)
		_exit(1);
	open_runtime("async");
	mf_follow_options_init(&options);
	options.name = "f";
	options.keep_checkpoint = true;
	options.checkpoint_events = 3;
	OK(mf_runtime_follow(runtime, &options, append_lsn, file, &id, &error));
	for (int n = 0;; n++)
		OK(commit_n("d", n, NULL, &error));
}

/* The LSNs in the file; the caller frees them. */
static int64_t *read_lsns(const char *path, size_t *out_count)
{
	FILE *file = fopen(path, "rb");
	int64_t *lsns = calloc(1 << 20, sizeof(*lsns));
	assert_non_null(lsns);
	*out_count = file ? fread(lsns, sizeof(*lsns), 1 << 20, file) : 0;
	if (file)
		fclose(file);
	return lsns;
}

static int64_t checkpoint_of_f(void)
{
	struct mf_store *store;
	struct mf_checkpoint checkpoint = {0};
	const struct mf_sqlite_options options = {.dir = scratch_data, .read_only = true};
	OK(mf_store_open_sqlite(&options, &store, &error));
	enum mf_status status = mf_store_load_checkpoint(store, "f", &checkpoint, &error);
	assert_true(status == MF_OK || status == MF_ERR_NOT_FOUND);
	mf_store_close(store, NULL);
	return checkpoint.lsn;
}

static void p2_after_kill_9_it_goes_on_from_a_checkpoint_that_is_not_ahead_of_what_it_did(void **unused)
{
	(void)unused;
	char path[128];
	size_t before = 0, count;
	int64_t checkpoint = 0;
	int rounds = getenv("MF_ROUNDS") ? atoi(getenv("MF_ROUNDS")) : 5;
	snprintf(path, sizeof(path), "%s/seen", scratch_dir);
	for (int round = 0; round < rounds; round++) {
		pid_t child = fork();
		if (child == 0)
			follow_until_killed(path);
		struct stat info = {0};
		while ((stat(path, &info) != 0 || info.st_size < (off_t)((before + 50 + (size_t)round * 37) * sizeof(int64_t))) && waitpid(child, NULL, WNOHANG) == 0)
			sched_yield();
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		int64_t *lsns = read_lsns(path, &count);
		assert_true(count > before);
		assert_int_equal(lsns[before], checkpoint + 1); /* at least once: from the checkpoint on */
		for (size_t i = before + 1; i < count; i++)
			assert_int_equal(lsns[i], lsns[i - 1] + 1);
		checkpoint = checkpoint_of_f();
		assert_true(checkpoint <= lsns[count - 1] && checkpoint >= lsns[before] - 1);
		before = count;
		free(lsns);
	}
}

static void a_reader_cannot_follow(void **unused)
{
	(void)unused;
	struct seen seen = {0};
	struct mf_follow_options options;
	uint64_t id;
	open_runtime("async");
	close_runtime();
	struct mf_runtime_options reading = {.config_path = scratch_config, .read_only = true};
	OK(mf_runtime_open(&reading, &runtime, &error));
	mf_follow_options_init(&options);
	options.name = "f";
	assert_int_equal(mf_runtime_follow(runtime, &options, handle, &seen, &id, &error), MF_ERR_STATE);
	assert_int_equal(mf_bus_follow(mf_runtime_bus(runtime), &options, handle, &seen, &id, &error), MF_ERR_STATE);
}

static enum mf_status try_to_close(const struct mf_publication *publication, struct mf_error *why)
{
	(void)publication;
	enum mf_status status = mf_runtime_close(runtime, 0, NULL);
	return status == MF_ERR_STATE ? MF_OK : mf_error_set(why, MF_ERR_STATE, "closing said %s", mf_status_name(status));
}

static void a_handler_may_not_close_the_runtime(void **unused)
{
	(void)unused;
	struct seen seen = {.act = try_to_close};
	open_runtime("async");
	follow(&seen, "f", MF_FOLLOW_ON_THREAD, false);
	commit_many("d", 1);
	await();
	assert_int_equal(atomic_load(&seen.count), 1);
}

/* ---- a child of fork ---- */
static void sum_of_files(char *out, size_t size)
{
	char command[200];
	snprintf(command, sizeof(command), "cd '%s' && cksum store.db store.db-wal", scratch_data);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	size_t len = fread(out, 1, size - 1, pipe);
	out[len] = '\0';
	assert_int_equal(pclose(pipe), 0);
}

static const char *first_open_door_to_write(struct mf_transaction *transaction)
{
	int64_t lsn;
	struct mf_ticket *ticket;
	struct mf_batch_item item = {"d", transaction};
	if (mf_runtime_commit(runtime, "d", transaction, &lsn, &error) != MF_ERR_STATE)
		return "commit";
	if (mf_runtime_submit(runtime, "d", transaction, MF_COMMIT_MEMORY_ONLY, &ticket, &error) != MF_ERR_STATE)
		return "submit";
	if (mf_runtime_submit_batch(runtime, &item, 1, MF_COMMIT_MEMORY_ONLY, &ticket, &error) != MF_ERR_STATE)
		return "submit_batch";
	if (mf_runtime_undo(runtime, "d", 1, NULL, NULL, &lsn, &error) != MF_ERR_STATE)
		return "undo";
	if (mf_runtime_redo(runtime, "d", 1, NULL, NULL, &lsn, &error) != MF_ERR_STATE)
		return "redo";
	if (mf_runtime_submit_undo(runtime, "d", MF_ACTION_UNDO, transaction, MF_COMMIT_MEMORY_ONLY, &ticket, &error) != MF_ERR_STATE)
		return "submit_undo";
	if (mf_runtime_snapshot(runtime, "d", &lsn, &error) != MF_ERR_STATE)
		return "snapshot";
	if (mf_runtime_compact(runtime, "d", &lsn, &error) != MF_ERR_STATE)
		return "compact";
	if (mf_runtime_compact_keep(runtime, "d", 1, &lsn, &error) != MF_ERR_STATE)
		return "compact_keep";
	return mf_runtime_vacuum(runtime, &error) != MF_ERR_STATE ? "vacuum" : NULL;
}

static const char *first_open_door_to_read(uint64_t id)
{
	struct mf_state *state;
	struct mf_follow_options options;
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	struct mf_health_report report = {.size = sizeof(report)};
	mf_follow_options_init(&options);
	options.name = "g";
	if (mf_runtime_state(runtime, "d", &state, &error) != MF_ERR_STATE)
		return "state";
	if (mf_runtime_state_at(runtime, "d", 1, &state, NULL, &error) != MF_ERR_STATE)
		return "state_at";
	if (mf_runtime_metrics(runtime, &metrics, &error) != MF_ERR_STATE)
		return "metrics";
	if (mf_runtime_health(runtime, NULL, NULL, NULL, &report, &error) != MF_ERR_STATE)
		return "health";
	if (mf_runtime_follow(runtime, &options, handle, NULL, &id, &error) != MF_ERR_STATE)
		return "follow";
	if (mf_runtime_unfollow(runtime, id, MF_WAIT_FOREVER, &error) != MF_ERR_STATE)
		return "unfollow";
	if (mf_runtime_get_fd(runtime) != -1)
		return "get_fd";
	if (mf_runtime_dispatch(runtime, 0, &error) != MF_ERR_STATE)
		return "dispatch";
	return mf_runtime_close(runtime, MF_WAIT_FOREVER, &error) != MF_ERR_STATE ? "close" : NULL;
}

/* In a child: the name of what did not answer MF_ERR_STATE on standard error, and 1. */
static int try_every_door(uint64_t id, struct mf_transaction *transaction)
{
	const char *open = first_open_door_to_write(transaction);
	if (!open)
		open = first_open_door_to_read(id);
	if (open)
		fprintf(stderr, "%s answered: %s\n", open, error.message);
	return open ? 1 : 0;
}

/* Its follower is in a call: there is no thread in the child that could end it. */
static void a_child_of_fork_is_refused_at_every_door_and_leaves_the_files_alone(void **unused)
{
	(void)unused;
	struct seen seen = {.hold = true};
	struct mf_transaction *transaction;
	char before[200], after[200];
	open_runtime("sync");
	uint64_t id = follow(&seen, "f", MF_FOLLOW_ON_THREAD, false);
	commit_many("d", 1);
	while (!atomic_load(&seen.entered))
		sched_yield();
	OK(mf_transaction_new(&transaction));
	OK(mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "update_attrs", "{\"id\":\"root\",\"set\":{\"n\":2}}", &error));
	sum_of_files(before, sizeof(before));
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60); /* who waits for a thread that is not there waits for ever */
		leave(try_every_door(id, transaction));
	}
	int outcome;
	assert_int_equal(waitpid(child, &outcome, 0), child);
	assert_int_equal(outcome, 0);
	sum_of_files(after, sizeof(after));
	assert_string_equal(after, before);
	mf_transaction_free(transaction);
	atomic_store(&seen.hold, false);
	commit_many("d", 1);
	await();
	assert_int_equal(atomic_load(&seen.count), 2);
	OK(mf_runtime_unfollow(runtime, id, MF_WAIT_FOREVER, &error));
}

/* ---- an event as JSON ---- */
static void an_event_without_its_steps_keeps_its_bytes(void **unused)
{
	(void)unused;
	struct mf_buffer json = {0};
	struct mf_value *value;
	const struct mf_event event = {.lsn = 3, .epoch = 2, .doc_id = "d\"1", .idempotency_key = "k", .meta = "{\"a\":1}", .meta_len = 7, .payload = (const unsigned char *)"\x01\xfe", .payload_len = 2, .ts_us = -1, .action = MF_ACTION_REDO, .source_lsn = 1};
	OK(mf_buffer_append(&json, ">", 1));
	OK(mf_event_to_json(&event, NULL, &json, &error));
	OK(mf_value_parse_json((const char *)json.bytes + 1, json.len - 1, &value, &error));
	mf_value_unref(value);
	static const char expected[] = ">{\"lsn\":3,\"epoch\":2,\"doc\":\"d\\\"1\",\"key\":\"k\",\"tr_id\":0,\"time\":\"1969-12-31T23:59:59.999999Z\",\"ts_us\":-1,\"actor\":null,"
				       "\"action\":\"redo\",\"source_lsn\":1,\"meta\":{\"a\":1},\"steps\":null,\"payload\":\"01fe\"}";
	assert_int_equal(json.len, strlen(expected));
	assert_memory_equal(json.bytes, expected, json.len);
	mf_buffer_deinit(&json);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_eight_threads_commit_is_seen_in_order_and_never_before_readers_see_it),
		T(f9_a_handler_commits_transactions_of_its_own_after_the_event),
		T(it_goes_on_from_its_checkpoint_after_a_restart),
		T(closed_while_it_catches_up_it_goes_on_where_it_was),
		T(one_on_the_loop_is_woken_by_the_descriptor),
		T(a_follower_has_one_thread_and_one_on_the_loop_has_none),
		T(one_that_wants_synced_events_gets_them_when_the_window_ends),
		T(a_plugin_has_a_follower_that_begins_with_the_runtime_and_ends_before_it),
		T(compaction_leaves_what_a_follower_has_still_to_read),
		T(p2_after_kill_9_it_goes_on_from_a_checkpoint_that_is_not_ahead_of_what_it_did),
		T(a_reader_cannot_follow),
		T(a_handler_may_not_close_the_runtime),
		T(a_child_of_fork_is_refused_at_every_door_and_leaves_the_files_alone),
		cmocka_unit_test(an_event_without_its_steps_keeps_its_bytes),
		/* What these leave behind has threads until the process ends: no test that forks comes after them. */
		T(f8_what_a_handler_uses_that_does_not_return_stays_and_nobody_else_is_called),
		T(f8_one_that_has_unsubscribed_itself_is_waited_for_too),
		T(f8_a_handler_that_does_not_return_is_named_when_the_runtime_is_closed),
		T(p14_a_plugin_whose_follower_does_not_return_is_named_and_kept),
	};
	return cmocka_run_group_tests_name("followers", tests, NULL, NULL);
}
