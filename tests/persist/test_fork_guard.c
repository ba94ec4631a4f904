/* test_fork_guard.c - what a child of fork has of the locks of its parent: nothing, and it holds up nobody. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/value.h>

#include "forks.h"
#include "model/mem.h"
#include "persist/env.h"
#include "persist/fork_guard.h"
#include "tests/leave.h"

/* Until it is killed; nobody waits for the child of a test that failed. */
static _Noreturn void live_on(void)
{
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	alarm(60);
	for (;;)
		pause();
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(wait_for(child), -SIGKILL);
}

static int open_lock(void)
{
	char *path = kit_path(kit_dir, "lock");
	int fd = mf_env_os()->open(NULL, path, O_RDWR | O_CREAT | MF_OPEN_TO_LOCK, 0600);
	assert_true(fd >= 0);
	free(path);
	return fd;
}

static int try_lock(void)
{
	int fd = open_lock(), result = mf_env_os()->lock(NULL, fd);
	mf_env_os()->close(NULL, fd);
	return result;
}

/* ---- of a store ---- */

static void a_child_that_lives_on_does_not_hold_a_store_that_was_closed(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	pid_t child = noticed_fork();
	if (child == 0)
		live_on();
	kit_append(store, "d", "k");
	kit_close(store);
	store = kit_open(kit_dir);
	kit_append(store, "d", "next");
	kit_close(store);
	end(child);
}

/* The descriptor is in the child still: only unlocking helps. */
static void nor_does_one_that_was_not_noticed(void **state)
{
	(void)state;
	struct mf_store *store = kit_open(kit_dir);
	pid_t child = unnoticed_fork();
	if (child == 0)
		live_on();
	kit_append(store, "d", "k");
	kit_close(store);
	kit_close(kit_open(kit_dir));
	end(child);
}

static void a_child_that_lives_on_does_not_hold_the_store_of_a_killed_process(void **state)
{
	(void)state;
	int ends[2];
	pid_t grandchild = 0;
	assert_int_equal(pipe(ends), 0);
	pid_t child = noticed_fork();
	if (child == 0) {
		kit_append(kit_open(kit_dir), "d", "k");
		grandchild = noticed_fork();
		if (grandchild != 0)
			live_on();
		grandchild = getpid();
		if (write(ends[1], &grandchild, sizeof(grandchild)) == sizeof(grandchild))
			live_on();
		_exit(1);
	}
	assert_int_equal(read(ends[0], &grandchild, sizeof(grandchild)), sizeof(grandchild)); /* it has returned from fork */
	end(child);
	assert_int_equal(kill(grandchild, 0), 0);
	struct mf_store *store = kit_open(kit_dir);
	assert_int_equal(kit_append(store, "d", "next"), 2);
	kit_close(store);
	kill(grandchild, SIGKILL);
	close(ends[0]);
	close(ends[1]);
}

/* An opening that a fork cuts in two: its lock is closed in the child, whose own file has the number now. */
static struct mf_env parting;
static pid_t parted;
static int lock_fd, own_fd;

static int note_lock(void *user, int fd)
{
	lock_fd = fd;
	return mf_env_os()->lock(user, fd);
}

static int64_t part(void *user, const char *path)
{
	if (parted != 0)
		return mf_env_os()->size(user, path);
	parted = noticed_fork();
	if (parted != 0)
		return mf_env_os()->size(user, path);
	parted = getpid();
	own_fd = fcntl(STDERR_FILENO, F_DUPFD, lock_fd); /* the number, if it is free */
	return -EIO;
}

static void a_number_that_the_child_uses_again_is_not_closed(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store;
	pid_t self = getpid();
	parting = *mf_env_os();
	parting.lock = note_lock;
	parting.size = part;
	parted = 0;
	enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = kit_dir, .env = &parting}, &store, &error);
	if (getpid() != self)
		leave(status == MF_ERR_IO && own_fd == lock_fd && fcntl(own_fd, F_GETFD) >= 0 ? 0 : 1);
	KIT_OK(status, &error);
	assert_int_equal(wait_for(parted), 0);
	assert_int_equal(try_lock(), -EWOULDBLOCK);
	kit_append(store, "d", "k");
	kit_close(store);
}

/* ---- of the list ---- */

#define MANY 20

static void a_child_has_none_of_many_locks_and_the_parent_keeps_them(void **state)
{
	(void)state;
	const struct mf_env *env = mf_env_os();
	char *plain = kit_path(kit_dir, "plain");
	int fds[MANY], other = env->open(env->user, plain, O_RDWR | O_CREAT, 0600);
	assert_true(other >= 0);
	free(plain);
	for (int i = 0; i < MANY; i++) {
		char name[16];
		snprintf(name, sizeof(name), "lock-%d", i);
		char *path = kit_path(kit_dir, name);
		fds[i] = env->open(env->user, path, O_RDWR | O_CREAT | MF_OPEN_TO_LOCK, 0600);
		assert_int_equal(env->lock(env->user, fds[i]), 0);
		free(path);
	}
	pid_t child = noticed_fork();
	if (child == 0) {
		int left = fcntl(other, F_GETFD) >= 0 ? 0 : 100;
		for (int i = 0; i < MANY; i++)
			left += fcntl(fds[i], F_GETFD) >= 0;
		leave(left);
	}
	assert_int_equal(wait_for(child), 0);
	for (int i = 0; i < MANY; i++) {
		assert_true(mf_fork_forget_lock(fds[i]));
		assert_false(mf_fork_forget_lock(fds[i]));
		env->close(env->user, fds[i]);
	}
	env->close(env->user, other);
}

static void a_child_that_was_not_noticed_does_not_unlock_what_it_closes(void **state)
{
	(void)state;
	int fd = open_lock();
	assert_int_equal(mf_env_os()->lock(NULL, fd), 0);
	pid_t child = unnoticed_fork();
	if (child == 0)
		leave(mf_env_os()->close(NULL, fd) == 0 ? 0 : 1);
	assert_int_equal(wait_for(child), 0);
	assert_int_equal(try_lock(), -EWOULDBLOCK);
	mf_env_os()->close(NULL, fd);
	assert_int_equal(try_lock(), 0);
}

/* It closed all descriptors that it did not know, and opened a file of its own. */
static void a_file_that_got_the_number_of_a_lock_stays_open_in_a_child(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "own");
	int first = open_lock(), second = open_lock(), third = open_lock();
	int own = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), far = open("/proc/self/status", O_RDONLY | O_CLOEXEC); /* on another device */
	assert_int_equal(dup2(own, first), first);
	assert_int_equal(close(second), 0);
	pid_t child = noticed_fork();
	if (child == 0)
		leave(fcntl(first, F_GETFD) >= 0 && fcntl(third, F_GETFD) < 0 ? 0 : 1);
	assert_int_equal(wait_for(child), 0);
	assert_true(mf_fork_forget_lock(first));
	assert_true(mf_fork_forget_lock(second));
	assert_int_equal(dup2(far, third), third);
	child = noticed_fork();
	if (child == 0)
		leave(fcntl(third, F_GETFD) >= 0 ? 0 : 1);
	assert_int_equal(wait_for(child), 0);
	assert_true(mf_fork_forget_lock(third));
	close(first);
	close(third);
	close(own);
	close(far);
	free(path);
}

static void without_memory_for_the_list_there_is_no_lock(void **state)
{
	(void)state;
	char *path = kit_path(kit_dir, "lock"), *missing = kit_path(kit_dir, "missing/lock");
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_env_os()->open(NULL, path, O_RDWR | O_CREAT | MF_OPEN_TO_LOCK, 0600), -ENOMEM);
	mf_mem_fail_at(0, false);
	assert_int_equal(try_lock(), 0);
	assert_false(mf_fork_add_lock(1023));
	assert_int_equal(mf_env_os()->open(NULL, missing, O_RDWR | O_CREAT | MF_OPEN_TO_LOCK, 0600), -ENOENT);
	free(path);
	free(missing);
}

static void holding_may_be_nested_and_goes_on_on_both_sides_of_a_fork(void **state)
{
	(void)state;
	unsigned generation = mf_fork_generation();
	mf_fork_hold();
	mf_fork_hold();
	pid_t child = noticed_fork();
	mf_fork_go_on();
	mf_fork_go_on();
	if (child == 0) {
		pid_t second = noticed_fork();
		if (second == 0)
			leave(mf_forked_since(generation) && mf_fork_generation() == generation + 2 ? 0 : 1);
		leave(wait_for(second));
	}
	assert_int_equal(wait_for(child), 0);
	assert_false(mf_forked_since(generation));
}

/* ---- what waits ---- */

/* A file server: has a lease on the file, says so, says when it is asked to give it back, and does so when it is told to. */
static _Noreturn void lease(const char *path, int end)
{
	sigset_t set;
	int got;
	char byte;
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
		leave(77);
	if (write(end, "l", 1) == 1 && sigwait(&set, &got) == 0 && write(end, "b", 1) == 1 && read(end, &byte, 1) == 1)
		fcntl(fd, F_SETLEASE, F_UNLCK);
	leave(0);
}

static void *open_what_is_leased(void *fd)
{
	*(int *)fd = open_lock();
	return NULL;
}

static void a_fork_waits_for_nobody_who_opens_a_lock_that_is_leased(void **state)
{
	(void)state;
	int ends[2], fd = -1;
	char byte = 0;
	char *path = kit_path(kit_dir, "lock");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid_t server = noticed_fork();
	if (server == 0) {
		close(ends[0]);
		lease(path, ends[1]);
	}
	close(ends[1]);
	free(path);
	if (read(ends[0], &byte, 1) != 1) { /* this file system has none */
		close(ends[0]);
		assert_int_equal(wait_for(server), 77);
		skip();
	}
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, open_what_is_leased, &fd), 0);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	alarm(20); /* the kernel takes the lease back after 45 s */
	pid_t child = noticed_fork();
	if (child == 0)
		leave(0);
	alarm(0);
	assert_int_equal(wait_for(child), 0);
	assert_int_equal(write(ends[0], "x", 1), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(wait_for(server), 0);
	close(ends[0]);
	assert_int_equal(mf_env_os()->lock(NULL, fd), 0);
	assert_int_equal(try_lock(), -EWOULDBLOCK);
	mf_env_os()->close(NULL, fd);
	assert_int_equal(try_lock(), 0);
}

/* ---- the first of all ---- */

static sem_t is_held;

static void *hold_first(void *unused)
{
	(void)unused;
	mf_fork_hold();
	sem_post(&is_held);
	usleep(20000); /* the fork goes on meanwhile, if nothing keeps it */
	mf_fork_go_on();
	return NULL;
}

/* Of this program, so that it runs before those of the library. */
static void let_another_hold(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, hold_first, NULL) == 0 && pthread_detach(thread) == 0)
		sem_wait(&is_held);
}

/* As `test_fork_guard first`: no other call of the library before. */
static int fork_beside_the_first_holder(void)
{
	int ended = -1;
	sem_init(&is_held, 0, 0);
	pthread_atfork(let_another_hold, NULL, NULL);
	pid_t child = noticed_fork();
	if (child == 0) {
		alarm(10); /* who waits for a thread that is not there waits for ever */
		mf_fork_hold();
		mf_fork_go_on();
		leave(0);
	}
	return waitpid(child, &ended, 0) == child && ended == 0 ? 0 : 1;
}

static void a_child_finds_free_what_another_thread_is_the_first_to_hold(void **state)
{
	(void)state;
	pid_t child = noticed_fork();
	if (child == 0) {
		execl("/proc/self/exe", "test_fork_guard", "first", (char *)NULL);
		_exit(99);
	}
	assert_int_equal(wait_for(child), 0);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "first") == 0)
		return fork_beside_the_first_holder();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_child_that_lives_on_does_not_hold_a_store_that_was_closed, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(nor_does_one_that_was_not_noticed, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_child_that_lives_on_does_not_hold_the_store_of_a_killed_process, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_number_that_the_child_uses_again_is_not_closed, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_child_has_none_of_many_locks_and_the_parent_keeps_them, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_child_that_was_not_noticed_does_not_unlock_what_it_closes, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_got_the_number_of_a_lock_stays_open_in_a_child, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(without_memory_for_the_list_there_is_no_lock, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(holding_may_be_nested_and_goes_on_on_both_sides_of_a_fork, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(a_fork_waits_for_nobody_who_opens_a_lock_that_is_leased, kit_set_up, kit_tear_down),
		cmocka_unit_test(a_child_finds_free_what_another_thread_is_the_first_to_hold),
	};
	return cmocka_run_group_tests_name("fork_guard", tests, NULL, NULL);
}
