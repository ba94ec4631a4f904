/* test_memory_files.c - the simulated process and its files; and what a store on them keeps when it dies while it is made. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/store.h>

#include "memory_files.h"
#include "model/thread.h"
#include "sim.h"
#include "tests/leave.h"

/* In the application's thread: cmocka's own would leave it by a longjmp. */
#define HERE(condition) \
	do { \
		if (!(condition)) { \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition); \
			fflush(NULL); \
			_exit(1); \
		} \
	} while (0)

/* ---- the process ---- */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond;
static int64_t woke_at;
static bool stop;

static void *wait_a_second(void *user)
{
	pthread_mutex_lock(&lock);
	while (!stop)
		mf_cond_wait_us(&cond, &lock, 1000000);
	woke_at = mf_now_us();
	pthread_mutex_unlock(&lock);
	return user;
}

static void start_waiter(void *user)
{
	stop = false;
	woke_at = 0;
	HERE(mf_thread_start(user, "waiter", wait_a_second, NULL) == 0);
}

static void stop_waiter(void *user)
{
	pthread_mutex_lock(&lock);
	stop = true;
	mf_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
	mf_thread_join(*(pthread_t *)user);
}

static void time_passes_only_when_it_is_waited_for(void **state)
{
	(void)state;
	pthread_t waiter;
	int64_t begun = mf_now_us();
	assert_true(sim_call(start_waiter, &waiter));
	assert_true(sim_settle());
	assert_true(mf_now_us() == begun);
	assert_true(sim_advance(3600000000));
	assert_true(mf_now_us() == begun + 3600000000);
	assert_true(sim_call(stop_waiter, &waiter));
	assert_true(woke_at == begun + 3600000000);
}

static void die_here(void *user)
{
	(void)user;
	sim_die();
}

static void a_process_that_died_never_runs_again(void **state)
{
	(void)state;
	pthread_t waiter;
	assert_true(sim_call(start_waiter, &waiter));
	assert_true(sim_settle());
	assert_false(sim_call(die_here, NULL));
	stop = true;
	assert_true(sim_advance(10000000));
	assert_true(woke_at == 0);
	assert_true(sim_call(start_waiter, &waiter)); /* another one */
	assert_true(sim_call(stop_waiter, &waiter));
	assert_true(woke_at > 0);
}

/* ---- the files ---- */
static const struct mf_env *env;

static void write_two_files(void *unused)
{
	(void)unused;
	int kept = env->open(env->user, "/kept", O_RDWR | O_CREAT, 0600), lost = env->open(env->user, "/lost", O_RDWR | O_CREAT, 0600);
	HERE(env->pwrite(env->user, kept, "synced", 6, 0) == 6);
	HERE(env->fsync(env->user, kept) == 0);
	HERE(mf_env_sync_dir(env, "/") == 0);
	HERE(env->pwrite(env->user, kept, "later", 5, 0) == 5);
	HERE(env->pwrite(env->user, lost, "later", 5, 0) == 5);
	HERE(env->lock(env->user, kept) == 0);
}

static void read_kept(void *out)
{
	char *bytes = out;
	int fd = env->open(env->user, "/kept", O_RDWR, 0);
	HERE(fd >= 0);
	ssize_t got = env->pread(env->user, fd, bytes, 10, 0);
	HERE(got >= 0);
	bytes[got] = '\0';
	HERE(env->lock(env->user, fd) == 0); /* nobody has it any more */
	HERE(env->close(env->user, fd) == 0);
}

static void power_takes_what_was_not_synced_and_a_kill_nothing(void **state)
{
	(void)state;
	char bytes[11];
	unsigned old = 0, fresh = 0;
	assert_true(sim_call(write_two_files, NULL));
	sim_kill();
	memory_files_process_died();
	assert_true(sim_call(read_kept, bytes));
	assert_string_equal(bytes, "laterd");
	for (unsigned i = 0; i < 40; i++) {
		assert_true(sim_call(write_two_files, NULL));
		sim_kill();
		memory_files_power_lost();
		assert_true(sim_call(read_kept, bytes));
		old += strcmp(bytes, "synced") == 0;
		fresh += strcmp(bytes, "laterd") == 0;
	}
	assert_true(old > 0 && fresh > 0 && old + fresh == 40);
}

/* ---- a store on them ---- */
static const char *dir;
static char watched[40];
static bool dir_synced, watermark_synced, written_before_its_log;

static void open_store(void *out)
{
	struct mf_sqlite_options options = {.dir = dir};
	struct mf_error error;
	HERE(mf_store_open_sqlite(&options, out, &error) == MF_OK);
}

static void close_store(void *store)
{
	HERE(mf_store_close(*(struct mf_store **)store, NULL) == MF_OK);
}

static void watch(const char *call, const char *path, int64_t at, const void *bytes, int64_t len)
{
	(void)at, (void)bytes, (void)len;
	size_t in = strlen(dir);
	dir_synced |= strcmp(call, "sync") == 0 && strcmp(path, dir) == 0;
	if (strncmp(path, dir, in) != 0)
		return;
	watermark_synced = strcmp(path + in, "/watermark") == 0 ? strcmp(call, "sync") == 0 : watermark_synced;
	written_before_its_log |= strcmp(path + in, "/store.db") == 0 && strcmp(call, "write") == 0 && !dir_synced;
}

static void begin_watch(const char *of)
{
	snprintf(watched, sizeof(watched), "%s", of);
	dir = watched;
	dir_synced = watermark_synced = written_before_its_log = false;
	memory_files_watch(watch);
}

/* Else the first loss of power may take it, and a second one what nobody would miss. Also one that a process wrote
 * which was killed before it synced it. */
static void an_opening_syncs_the_watermark_once(void **state)
{
	(void)state;
	struct mf_store *store;
	for (unsigned i = 0; i < 2; i++) {
		begin_watch("/marked");
		assert_true(sim_call(open_store, &store));
		assert_true(watermark_synced);
		assert_true(sim_call(close_store, &store));
	}
	memory_files_watch(NULL);
}

/* Wherever the process that made the log was killed: before the database is written over, the log's name is on the device. */
static void a_log_of_a_killed_process_is_kept_before_it_is_needed(void **state)
{
	(void)state;
	unsigned deaths = 0;
	for (unsigned at = 1;; at++) {
		struct mf_store *store;
		char name[20];
		snprintf(name, sizeof(name), "/killed-%u", at);
		begin_watch(name);
		memory_files_die_in(at);
		bool lives = sim_call(open_store, &store);
		memory_files_die_in(0);
		if (lives)
			break;
		memory_files_process_died();
		deaths++;
		char log[40];
		snprintf(log, sizeof(log), "%s/store.db-wal", name);
		bool has_log = env->size(env->user, log) >= 0;
		begin_watch(name);
		assert_true(sim_call(open_store, &store));
		assert_false(has_log && written_before_its_log);
		sim_kill();
		memory_files_process_died();
	}
	memory_files_watch(NULL);
	assert_true(deaths > 20);
}

static void try_to_open(void *out_opened)
{
	struct mf_store *store;
	struct mf_error error;
	*(bool *)out_opened = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = dir}, &store, &error) == MF_OK;
	if (*(bool *)out_opened)
		HERE(mf_store_close(store, NULL) == MF_OK || memory_files_struck() > 0);
	else
		HERE(error.status == MF_ERR_IO);
}

static void remove_store(void)
{
	static const char *const names[] = {"/store.db", "/store.db-wal", "/store.db-shm", "/store.db-journal", "/watermark", "/lock", ""};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[60];
		snprintf(path, sizeof(path), "%s%s", watched, names[i]);
		(void)env->remove(env->user, path);
	}
}

/* Killed when its log had something, before it was used, then opened on a device that fails once, or fails a sync and with it loses what that should have kept:
 * nobody ever committed to it, so the next opening may not miss anything. (./dev model, seed 59982) */
static void a_store_whose_creation_was_killed_and_then_failed_is_opened(void **state)
{
	(void)state;
	unsigned opened_again = 0;
	bool lives = false;
	for (unsigned at = 1; !lives; at++) {
		bool struck = true;
		for (uint32_t n = 1; struck && !lives; n++) {
			struct mf_store *store;
			bool opened;
			begin_watch("/new");
			memory_files_die_in(at);
			lives = sim_call(open_store, &store);
			memory_files_die_in(0);
			if (lives)
				break;
			memory_files_process_died();
			if (env->size(env->user, "/new/store.db-wal") <= 32) /* its header */
				struck = false;
			else
				memory_files_fail(&(struct memory_fault){.error = EIO, .in = n});
			assert_true(sim_call(try_to_open, &opened));
			struck = struck && memory_files_struck() > 0;
			memory_files_fail(NULL);
			memory_files_evict();
			assert_true(sim_call(open_store, &store));
			assert_true(sim_call(close_store, &store));
			opened_again += struck;
			remove_store();
		}
	}
	memory_files_watch(NULL);
	assert_true(opened_again > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_passes_only_when_it_is_waited_for),
		cmocka_unit_test(a_process_that_died_never_runs_again),
		cmocka_unit_test(power_takes_what_was_not_synced_and_a_kill_nothing),
		cmocka_unit_test(an_opening_syncs_the_watermark_once),
		cmocka_unit_test(a_log_of_a_killed_process_is_kept_before_it_is_needed),
		cmocka_unit_test(a_store_whose_creation_was_killed_and_then_failed_is_opened),
	};
	sim_begin(1);
	memory_files_begin();
	env = mf_env_or_default(NULL);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(NULL);
	leave(failed); /* the threads of dead processes are still there */
}
