/* test_neighbours.c - other processes at a store that is open: a second writer, and children of the first by fork.
 *
 * Whatever they do, the second writer is told MF_ERR_LOCKED, and the first goes on unharmed: the oracle is asked about what
 * it was told. As `test_neighbours open CONFIG` it is the second process: it ends with the status of its opening. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/runtime.h>

#include "oracle.h"
#include "scratch.h"
#include "tests/leave.h"
#include "workload.h"

#define WHAT (WORKLOAD_UNDO | WORKLOAD_SNAPSHOTS | WORKLOAD_COMPACTION | WORKLOAD_FOLLOWER | WORKLOAD_FOLLOW_SYNCED | WORKLOAD_BESIDE | WORKLOAD_TICKETS)

/* With all that runs at the end of a process. (With the leak check there too, which would miss the parent's threads.) */
#ifdef MF_SANITIZED
#define LEAVE _exit
/* How often a child that hung is asked again: the memory of AddressSanitizer, unlike that of the C library, stays locked in a child of fork where
 * another thread was at it. */
#define LEFT_LOCKED 5
#else
#define LEAVE exit
#define LEFT_LOCKED 0
#endif

static struct ledger *ledger;

static int setup(void **unused)
{
	(void)unused;
	scratch_make();
	ledger = ledger_new();
	return proof_write_config(scratch_config, scratch_data, ", \"snapshot_every_n_events\": 30") ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	ledger_free(ledger);
	return scratch_remove();
}

/* ---- the others ---- */

static int open_here(const char *config)
{
	struct mf_runtime *runtime;
	struct mf_runtime_options options = {.config_path = config, .mode = "sync"};
	enum mf_status status = mf_runtime_open(&options, &runtime, NULL);
	if (status == MF_OK)
		status = mf_runtime_close(runtime, MF_WAIT_FOREVER, NULL);
	return (int)status;
}

static int wait_for(pid_t child)
{
	int status = -1;
	assert_true(child > 0);
	assert_int_equal(child, waitpid(child, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A child that has the store open for writing, in which it is 0; ends: a pipe from it. */
static pid_t fork_a_writer(int ends[2])
{
	struct mf_runtime *runtime;
	struct mf_runtime_options options = {.config_path = scratch_config, .mode = "sync"};
	assert_int_equal(0, pipe(ends));
	fflush(NULL);
	pid_t child = fork();
	if (child == 0 && mf_runtime_open(&options, &runtime, NULL) != MF_OK)
		_exit(1);
	return child;
}

/* The status with which another program opens the store for writing. */
static int open_elsewhere(void)
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		execl("/proc/self/exe", "test_neighbours", "open", scratch_config, (char *)NULL);
		_exit(99);
	}
	return wait_for(child);
}

static void try_a_second_writer(void)
{
	assert_int_equal(MF_ERR_LOCKED, open_elsewhere());
}

static void fork_a_child_that_exits(void)
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		LEAVE(0);
	assert_int_equal(0, wait_for(child));
	try_a_second_writer();
}

static void fork_a_child_that_closes_everything(void)
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		for (int fd = 3; fd < 256; fd++)
			close(fd);
		_exit(0);
	}
	assert_int_equal(0, wait_for(child));
	try_a_second_writer();
}

static int open_in_a_child(void)
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		alarm(60);
		leave(open_here(scratch_config));
	}
	return wait_for(child);
}

static void fork_a_child_that_opens_too(void)
{
	int status = open_in_a_child();
	for (int i = 0; i < LEFT_LOCKED && status == -SIGALRM; i++)
		status = open_in_a_child();
	assert_int_equal(MF_ERR_STATE, status);
	try_a_second_writer();
}

static void fork_a_child_that_is_killed(void)
{
	pid_t child = fork();
	if (child == 0)
		pause();
	kill(child, SIGKILL);
	assert_int_equal(-SIGKILL, wait_for(child));
	try_a_second_writer();
}

static pid_t living[16];
static size_t alive;

/* Until it is killed; nobody waits for the child of a test that failed. */
static void fork_a_child_that_lives_on(void)
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		close(STDOUT_FILENO);
		close(STDERR_FILENO);
		alarm(60);
		for (;;)
			pause();
	}
	assert_true(alive < sizeof(living) / sizeof(living[0]));
	living[alive++] = child;
	try_a_second_writer();
}

/* ---- the first ---- */

struct visit {
	void (*visit)(void);
	unsigned batches;
};

static void between(void *user)
{
	struct visit *visit = user;
	if (++visit->batches % 25 == 0)
		visit->visit();
}

static void work_beside(void (*visit)(void))
{
	static const char *const modes[] = {"async:5", "sync"};
	struct mf_error error = {0};
	struct oracle_report report;
	struct oracle_plan plan = {.dir = scratch_data, .config = scratch_config, .crash = ORACLE_KILLED};
	for (uint32_t life = 0; life < 2; life++) {
		struct visit at = {.visit = visit};
		struct workload workload = {.config = scratch_config, .mode = modes[life], .kind = life ? MF_COMMIT_SYNC_DURABLE : MF_COMMIT_ASYNC_DURABLE, .seed = 11, .life = life, .batches = 110,
					    .batch_max = 20, .docs = 3, .what = WHAT, .out = {ledger_line_to_ledger, ledger}, .between = between, .user = &at};
		if (workload_run(&workload, &error) != MF_OK)
			fail_msg("%s", error.message);
		assert_int_equal(0, ledger->ended[LEDGER_ABSENT] + ledger->ended[LEDGER_UNKNOWN]);
		if (!oracle_check(&plan, ledger, &report))
			fail_msg("%s", report.text);
	}
	assert_int_equal(MF_OK, open_elsewhere()); /* closed: it is free */
}

static void a_second_process_is_locked_out_and_the_first_unharmed(void **unused)
{
	(void)unused;
	work_beside(try_a_second_writer);
}

static void a_child_that_exits_harms_nothing(void **unused)
{
	(void)unused;
	work_beside(fork_a_child_that_exits);
}

static void a_child_that_closes_every_descriptor_harms_nothing(void **unused)
{
	(void)unused;
	work_beside(fork_a_child_that_closes_everything);
}

static void a_child_that_opens_the_store_too_is_refused_and_harms_nothing(void **unused)
{
	(void)unused;
	work_beside(fork_a_child_that_opens_too);
}

static void a_child_that_is_killed_harms_nothing(void **unused)
{
	(void)unused;
	work_beside(fork_a_child_that_is_killed);
}

static void a_child_that_lives_on_does_not_hold_the_store_that_its_parent_closes(void **unused)
{
	(void)unused;
	alive = 0;
	work_beside(fork_a_child_that_lives_on);
	assert_true(alive > 0);
	for (size_t i = 0; i < alive; i++) {
		kill(living[i], SIGKILL);
		assert_int_equal(-SIGKILL, wait_for(living[i]));
	}
}

/* As a daemon that opened too early: its parent is gone, and the lock with it, but what SQLite in it takes for its locks is not. */
static void a_child_opens_what_its_parent_had_open_only_after_exec(void **unused)
{
	(void)unused;
	int ends[2], gone[2];
	char answers[2] = {0};
	assert_int_equal(0, pipe(gone));
	pid_t first = fork_a_writer(ends);
	if (first == 0) {
		if (fork() != 0)
			_exit(0);
		alarm(60);
		close(gone[1]);
		if (read(gone[0], answers, 1) != 0) /* getppid would tell of the parent's end while its other threads still end, and keep its files */
			_exit(1);
		answers[0] = (char)open_here(scratch_config);
		answers[1] = (char)open_elsewhere();
		_exit(write(ends[1], answers, 2) == 2 ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(0, wait_for(first));
	close(gone[0]);
	close(gone[1]);
	assert_int_equal(2, read(ends[0], answers, 2));
	close(ends[0]);
	assert_int_equal(MF_ERR_STATE, answers[0]);
	assert_int_equal(MF_OK, answers[1]);
}

/* The lock of a writer goes with it. */
static void after_a_kill_the_next_process_gets_in(void **unused)
{
	(void)unused;
	int ends[2];
	char byte;
	pid_t first = fork_a_writer(ends);
	if (first == 0) {
		if (write(ends[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(1, read(ends[0], &byte, 1));
	assert_int_equal(MF_ERR_LOCKED, open_elsewhere());
	kill(first, SIGKILL);
	assert_int_equal(-SIGKILL, wait_for(first));
	assert_int_equal(MF_OK, open_elsewhere());
	close(ends[0]);
	close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_second_process_is_locked_out_and_the_first_unharmed),
		TEST(a_child_that_exits_harms_nothing),
		TEST(a_child_that_closes_every_descriptor_harms_nothing),
		TEST(a_child_that_opens_the_store_too_is_refused_and_harms_nothing),
		TEST(a_child_that_is_killed_harms_nothing),
		TEST(a_child_that_lives_on_does_not_hold_the_store_that_its_parent_closes),
		TEST(a_child_opens_what_its_parent_had_open_only_after_exec),
		TEST(after_a_kill_the_next_process_gets_in),
	};
	if (argc == 3 && strcmp(argv[1], "open") == 0)
		return open_here(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
