/* test_guest.c - the library is a guest in the process: it leaves signals, streams, descriptors and threads as it found them. */
#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/follow.h>
#include <moduforge/runtime.h>

#include "scratch.h"

#define OK(call) assert_int_equal(MF_OK, (call))
#define SIGNALS 65 /* 1 to 64 */

static struct mf_runtime *runtime;

static void write_config(const char *options)
{
	scratch_write_config(&(struct scratch_plan){.options = options});
}

static int setup(void **unused)
{
	(void)unused;
	scratch_make();
	write_config(", \"snapshot_every_n_events\": 2");
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	return scratch_remove();
}

static void open_runtime(const char *mode)
{
	struct mf_runtime_options options = {.config_path = scratch_config, .mode = mode};
	struct mf_error error;
	if (mf_runtime_open(&options, &runtime, &error) != MF_OK)
		fail_msg("%s", error.message);
}

static void close_runtime(void)
{
	OK(mf_runtime_close(runtime, MF_WAIT_FOREVER, NULL));
}

static enum mf_status commit(int n)
{
	struct mf_transaction *transaction;
	char json[64];
	int64_t lsn;
	OK(mf_transaction_new(&transaction));
	snprintf(json, sizeof(json), "{\"id\":\"%s\",\"set\":{\"n\":%d}}", n < 0 ? "nobody" : "root", n);
	OK(mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "update_attrs", json, NULL));
	enum mf_status status = mf_runtime_commit(runtime, "d", transaction, &lsn, NULL);
	mf_transaction_free(transaction);
	return status;
}

/* What an application does, and what goes wrong in it. */
static void work_in(const char *mode)
{
	int64_t lsn;
	open_runtime(mode);
	for (int n = 0; n < 5; n++)
		OK(commit(n));
	assert_int_equal(MF_ERR_INVALID, commit(-1));
	OK(mf_runtime_undo(runtime, "d", 2, NULL, NULL, &lsn, NULL));
	OK(mf_runtime_snapshot(runtime, "d", &lsn, NULL));
}

static void fail_to_open(void)
{
	struct mf_runtime_options options = {.config_path = scratch_config};
	struct mf_runtime *none;
	write_config(", \"no_such_option\": 1");
	assert_int_equal(MF_ERR_INVALID, mf_runtime_open(&options, &none, NULL));
	write_config("");
}

/* ---- threads ---- */
/* Calls see for each thread of the process but this one; returns how many there were. */
static int other_threads(void (*see)(const char *status))
{
	DIR *tasks = opendir("/proc/self/task");
	int count = 0;
	assert_non_null(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));) {
		char path[300], status[4096] = "";
		if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
			continue;
		count++;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		FILE *file = fopen(path, "r");
		if (!file)
			continue; /* it ended just now */
		status[fread(status, 1, sizeof(status) - 1, file)] = '\0';
		assert_int_equal(0, fclose(file));
		if (see)
			see(status);
	}
	closedir(tasks);
	return count;
}

/* A test that waits for ever fails by its time limit. */
static void await_threads(int count)
{
	while (other_threads(NULL) != count)
		sched_yield();
}

static enum mf_status see_nothing(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	(void)user;
	(void)publication;
	(void)error;
	return MF_OK;
}

static void follow(const char *name, enum mf_follow_on on)
{
	struct mf_follow_options options;
	uint64_t id;
	mf_follow_options_init(&options);
	options.name = name;
	options.on = on;
	OK(mf_bus_follow(mf_runtime_bus(runtime), &options, see_nothing, NULL, &id, NULL));
}

static void no_thread_runs_that_nobody_asked_for(void **unused)
{
	(void)unused;
	int before = other_threads(NULL);
	open_runtime("sync");
	assert_int_equal(before + 1, other_threads(NULL)); /* the store's background thread */
	OK(commit(1));
	assert_int_equal(before + 1, other_threads(NULL));
	OK(commit(2)); /* a snapshot is due */
	await_threads(before + 2);
	follow("on the loop", MF_FOLLOW_ON_LOOP);
	assert_int_equal(before + 2, other_threads(NULL));
	follow("on a thread", MF_FOLLOW_ON_THREAD);
	assert_int_equal(before + 3, other_threads(NULL));
	OK(commit(3));
	OK(mf_bus_dispatch(mf_runtime_bus(runtime), 0, NULL));
	OK(mf_bus_await_followers(mf_runtime_bus(runtime), MF_WAIT_FOREVER, NULL));
	assert_int_equal(before + 3, other_threads(NULL));
	close_runtime();
	await_threads(before); /* joined, and still listed for a moment */
	struct mf_runtime_options reader = {.config_path = scratch_config, .read_only = true};
	OK(mf_runtime_open(&reader, &runtime, NULL));
	assert_int_equal(before, other_threads(NULL));
	close_runtime();
}

static bool blocks(const char *status, int signal_number)
{
	const char *line = strstr(status, "SigBlk:");
	return line && strtoull(line + strlen("SigBlk:"), NULL, 16) >> (signal_number - 1) & 1;
}

static int deaf;

/* One of ours, to which only its own faults come through. */
static void count_deaf(const char *status)
{
	static const int theirs[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGALRM, SIGPIPE, SIGXFSZ};
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	bool good = strstr(status, "\tmf:commit\n") || strstr(status, "\tmf:snapshots\n");
	for (size_t i = 0; good && i < sizeof(theirs) / sizeof(theirs[0]); i++)
		good = blocks(status, theirs[i]);
	for (size_t i = 0; good && i < sizeof(faults) / sizeof(faults[0]); i++)
		good = !blocks(status, faults[i]);
	deaf += good;
}

static void a_signal_never_runs_its_handler_in_a_thread_of_the_library(void **unused)
{
	(void)unused;
	work_in("async");
	for (deaf = 0; deaf != 2; sched_yield()) { /* the C library and the name come a moment after the thread */
		deaf = 0;
		other_threads(count_deaf);
	}
	close_runtime();
}

/* ---- signals ---- */
static void handle(int signal_number)
{
	(void)signal_number;
}

static void signals_have_the_handlers_and_the_mask_of_the_application(void **unused)
{
	(void)unused;
	struct sigaction before[SIGNALS], after, own = {.sa_handler = handle};
	sigset_t mask_before, mask_after;
	assert_int_equal(0, sigaction(SIGUSR1, &own, NULL));
	for (int i = 1; i < SIGNALS; i++)
		if (sigaction(i, NULL, &before[i]) != 0)
			before[i].sa_handler = NULL;
	assert_int_equal(0, pthread_sigmask(SIG_SETMASK, NULL, &mask_before));
	for (int round = 0; round < 2; round++) { /* while it runs, and when it has gone */
		if (round == 0)
			work_in("async");
		else
			close_runtime();
		for (int i = 1; i < SIGNALS; i++)
			if (sigaction(i, NULL, &after) == 0)
				assert_ptr_equal(before[i].sa_handler, after.sa_handler);
		assert_int_equal(0, pthread_sigmask(SIG_SETMASK, NULL, &mask_after));
		for (int i = 1; i < SIGNALS; i++)
			assert_int_equal(sigismember(&mask_before, i), sigismember(&mask_after, i));
	}
}

/* ---- streams, descriptors, the rest of the process ---- */
static void nothing_is_printed_also_when_something_fails(void **unused)
{
	(void)unused;
	char path[128];
	struct stat info;
	int own[2] = {dup(1), dup(2)};
	snprintf(path, sizeof(path), "%s/printed", scratch_dir);
	fflush(NULL);
	int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(file > 2 && dup2(file, 1) == 1 && dup2(file, 2) == 2);
	work_in("async");
	close_runtime();
	fail_to_open();
	fflush(NULL);
	assert_true(dup2(own[0], 1) == 1 && dup2(own[1], 2) == 2);
	assert_int_equal(0, fstat(file, &info));
	close(own[0]), close(own[1]), close(file);
	assert_int_equal(0, info.st_size);
}

static int open_descriptors(void)
{
	int count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void every_descriptor_is_closed_again_and_none_goes_to_a_new_program(void **unused)
{
	(void)unused;
	bool ours[1024];
	for (int fd = 0; fd < 1024; fd++)
		ours[fd] = fcntl(fd, F_GETFD) >= 0;
	int before = open_descriptors();
	work_in("sync");
	for (int fd = 0; fd < 1024; fd++)
		if (!ours[fd] && fcntl(fd, F_GETFD) >= 0)
			assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close_runtime();
	fail_to_open();
	assert_int_equal(before, open_descriptors());
}

static void folder_umask_locale_and_environment_stay(void **unused)
{
	(void)unused;
	char before[4096], after[4096];
	mode_t mask = umask(022);
	const char *locale = setlocale(LC_ALL, NULL);
	assert_non_null(getcwd(before, sizeof(before)));
	size_t variables = 0, variables_after = 0;
	while (environ[variables])
		variables++;
	work_in("sync");
	close_runtime();
	while (environ[variables_after])
		variables_after++;
	assert_int_equal(variables, variables_after);
	assert_int_equal(022, umask(mask));
	assert_string_equal(locale, setlocale(LC_ALL, NULL));
	assert_non_null(getcwd(after, sizeof(after)));
	assert_string_equal(before, after);
}

static void *end_at_once(void *tid)
{
	*(pid_t *)tid = gettid();
	return NULL;
}

/* The first thread of a process, with which a sanitizer starts one of its own. False: there is none. */
static bool thread_once(void)
{
	pthread_t thread;
	pid_t tid;
	char path[64];
	if (pthread_create(&thread, NULL, end_at_once, &tid) != 0 || pthread_join(thread, NULL) != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d", (int)tid);
	while (access(path, F_OK) == 0)
		sched_yield();
	return true;
}

int main(void)
{
	if (!thread_once())
		return 1;
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(no_thread_runs_that_nobody_asked_for),
		T(a_signal_never_runs_its_handler_in_a_thread_of_the_library),
		T(signals_have_the_handlers_and_the_mask_of_the_application),
		T(nothing_is_printed_also_when_something_fails),
		T(every_descriptor_is_closed_again_and_none_goes_to_a_new_program),
		T(folder_umask_locale_and_environment_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
