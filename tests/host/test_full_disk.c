/* test_full_disk.c - acceptance on file systems that are really full: a small tmpfs, and a small ext4 in a file.
 *
 * They are mounted in a mount namespace of this process, which the system takes away with it. That needs root; without
 * it the tests are skipped, and say so. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/runtime.h>

#include "scratch.h"

#define OK(call) assert_int_equal(MF_OK, (call))
#define PAD 1500
#define MOST 100000 /* commits: a disk that is not full by then never is */

/* ---- a small disk, with a plugins.json beside it ---- */
static char disk[96], image[96], filler[128], ballast[128];
static char why[200]; /* no disk can be mounted at all */
static bool mounted;
static struct mf_runtime *runtime, *reader; /* closed at the end of a test, also of one that failed */
static int acked; /* commits n = 0 ... acked - 1 are stored, with LSN n + 1 */

static void write_config(const char *more_options)
{
	char options[128];
	snprintf(options, sizeof(options), ", \"snapshot_every_n_events\": 0%s", more_options);
	scratch_write_config(&(struct scratch_plan){.before = ", {\"name\": \"mark_steps\"}, {\"name\": \"text_steps\"}", .options = options});
}

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...)
{
	char command[600];
	va_list args;
	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

static bool mount_disk(const char *kind)
{
	int block = strcmp(kind, "ext4 of small blocks") == 0 ? 1024 : 4096;
	if (strcmp(kind, "tmpfs") == 0)
		return mount("tmpfs", disk, "tmpfs", 0, "size=6m") == 0;
	return shell("{ truncate -s 8m '%s' && mkfs.ext4 -q -F -m 0 -b %d -O ^has_journal '%s' && mount -o loop '%s' '%s'; } >/dev/null 2>&1", image, block, image, image, disk) == 0;
}

static void name_paths(void)
{
	snprintf(disk, sizeof(disk), "%s/disk", scratch_dir);
	snprintf(image, sizeof(image), "%s/image", scratch_dir);
	snprintf(scratch_data, sizeof(scratch_data), "%s/store", disk);
	snprintf(filler, sizeof(filler), "%s/filler", disk);
	snprintf(ballast, sizeof(ballast), "%s/ballast", disk);
}

static int setup(void **state)
{
	scratch_make();
	name_paths();
	runtime = reader = NULL;
	acked = 0;
	assert_int_equal(0, mkdir(disk, 0700));
	mounted = !why[0] && mount_disk(*state);
	if (!mounted) /* the tests skip */
		print_message("# skipped: %s\n", why[0] ? why : "needs root, and for ext4 a loop device and mkfs.ext4, to mount this kind of file system");
	return 0;
}

static void name_holders(void)
{
	print_message("# %s is busy; this process has there:\n", disk);
	(void)shell("ls -l /proc/%d/fd /proc/%d/cwd /proc/%d/map_files 2>/dev/null | grep -F '%s' | sed 's/^/# /'", getpid(), getpid(), getpid(), disk);
}

/* Nothing of this process has a file there any more. Who looks at its descriptors from outside may hold one for a moment: the
 * disk is asked for again, and in the end taken out of sight, so that its directory can go. */
static int unmount_disk(void)
{
	const struct timespec moment = {.tv_nsec = 20000000};
	for (int i = 0; i < 100; i++) {
		if (!mounted || umount(disk) == 0)
			return 0;
		if (errno != EBUSY)
			break;
		if (i == 0)
			name_holders();
		(void)nanosleep(&moment, NULL);
	}
	(void)umount2(disk, MNT_DETACH);
	return -1;
}

static int end_runtime(struct mf_runtime *which)
{
	struct mf_error error;
	if (mf_runtime_close(which, MF_WAIT_FOREVER, &error) == MF_OK)
		return 0;
	print_message("# at the end: %s\n", error.message);
	return -1;
}

static int teardown(void **unused)
{
	(void)unused;
	int closed = end_runtime(reader) | end_runtime(runtime);
	int unmounted = unmount_disk(), removed = scratch_remove();
	return closed || unmounted || removed;
}

#define NEEDS_DISK(state) \
	do { \
		(void)(state); \
		if (!mounted) \
			skip(); \
	} while (0)

/* A file of len bytes, or as much as there is room for. */
static void write_file(const char *path, size_t len)
{
	char page[4096] = {1};
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	for (size_t size = sizeof(page); size > 0; size /= 4) /* to the last byte */
		while (len > 0 && write(fd, page, size < len ? size : len) > 0)
			len -= size < len ? size : len;
	(void)fsync(fd);
	close(fd);
}

static void fill_disk(void)
{
	write_file(filler, SIZE_MAX / 2);
}

static void free_disk(const char *path)
{
	assert_int_equal(0, unlink(path));
}

/* ---- the runtime ---- */
struct heard {
	int errors, infos;
	char last[600];
};
static struct heard heard;
static pthread_mutex_t heard_lock = PTHREAD_MUTEX_INITIALIZER; /* any thread calls */

static void hear(void *user, enum mf_log_level level, const char *message)
{
	(void)user;
	pthread_mutex_lock(&heard_lock);
	heard.errors += level == MF_LOG_ERROR;
	heard.infos += level == MF_LOG_INFO && strstr(message, "has room again");
	if (level == MF_LOG_ERROR)
		snprintf(heard.last, sizeof(heard.last), "%s", message);
	pthread_mutex_unlock(&heard_lock);
}

static struct heard heard_so_far(void)
{
	pthread_mutex_lock(&heard_lock);
	struct heard copy = heard;
	pthread_mutex_unlock(&heard_lock);
	return copy;
}

static enum mf_status try_open(const char *mode, bool read_only, struct mf_runtime **out, struct mf_error *error)
{
	struct mf_runtime_options options = {.config_path = scratch_config, .mode = mode, .read_only = read_only, .log = hear};
	return mf_runtime_open(&options, out, error);
}

static void open_runtime(const char *mode)
{
	struct mf_error error;
	memset(&heard, 0, sizeof(heard));
	if (try_open(mode, false, &runtime, &error) != MF_OK)
		fail_msg("%s", error.message);
}

static void close_runtime(struct mf_runtime **which)
{
	struct mf_error error;
	enum mf_status status = mf_runtime_close(*which, MF_WAIT_FOREVER, &error);
	*which = NULL;
	if (status != MF_OK)
		fail_msg("%s", error.message);
}

/* Commit number n: a change that does not compress to nothing. */
static enum mf_status commit(int n, struct mf_error *error)
{
	struct mf_transaction *transaction;
	char json[PAD + 100], key[32];
	unsigned random = (unsigned)n * 2654435761u + 1;
	int len = snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"n\":%d,\"pad\":\"", n);
	for (int i = 0; i < PAD; i++, random = random * 1103515245u + 12345)
		json[len++] = (char)('#' + (random >> 16) % 57); /* neither quote nor backslash */
	snprintf(json + len, sizeof(json) - (size_t)len, "\"}}");
	snprintf(key, sizeof(key), "k%d", n);
	OK(mf_transaction_new(&transaction));
	OK(mf_transaction_set_key(transaction, key, NULL));
	OK(mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "update_attrs", json, error));
	int64_t lsn = 0;
	enum mf_status status = mf_runtime_commit(runtime, "d", transaction, &lsn, error);
	mf_transaction_free(transaction);
	if (status == MF_OK)
		assert_int_equal(n + 1, lsn);
	return status;
}

static void commit_some(int count)
{
	struct mf_error error;
	for (int i = 0; i < count; i++, acked++)
		if (commit(acked, &error) != MF_OK)
			fail_msg("%d: %s: %s", acked, mf_status_name(error.status), error.message);
}

static struct mf_error commit_until_full(void)
{
	struct mf_error error = {0};
	enum mf_status status = MF_OK;
	for (int i = 0; i < MOST && status == MF_OK; i++) {
		status = commit(acked, &error);
		acked += status == MF_OK;
	}
	if (status != MF_ERR_STORAGE_FULL)
		fail_msg("after %d commits: %s: %s", acked, mf_status_name(status), error.message);
	return error;
}

/* ---- is everything there, and nothing else? ---- */
static int64_t n_of(const struct mf_state *state)
{
	const struct mf_doc *doc = mf_state_doc(state);
	const struct mf_value *n = mf_node_attr(mf_doc_root(doc), "n", 1);
	return n ? mf_value_as_int(n) : -1;
}

static void reads_go_on_in(struct mf_runtime *reading)
{
	struct mf_state *state;
	struct mf_event_list list;
	char key[32];
	OK(mf_runtime_state(reading, "d", &state, NULL));
	assert_int_equal(acked, mf_state_lsn(state));
	assert_int_equal(acked - 1, n_of(state));
	mf_state_unref(state);
	int n = 0;
	do {
		OK(mf_store_load_since(mf_runtime_store(reading), "d", n, 100, &list, NULL));
		for (size_t i = 0; i < list.count; i++, n++) {
			snprintf(key, sizeof(key), "k%d", n);
			assert_string_equal(key, list.events[i].idempotency_key);
			assert_int_equal(n + 1, list.events[i].lsn);
		}
		bool more = list.count > 0;
		mf_event_list_deinit(&list);
		if (!more)
			break;
	} while (true);
	assert_int_equal(acked, n);
}

static void complain(void *user, const struct mf_damage *damage)
{
	(void)user;
	print_message("# %s, LSN %lld: %s\n", damage->what, (long long)damage->lsn, damage->message);
}

static void nothing_is_lost_or_damaged(void)
{
	reads_go_on_in(runtime);
	OK(mf_store_verify(mf_runtime_store(runtime), complain, NULL, NULL));
}

static enum mf_health_level health(int64_t min_free_bytes)
{
	struct mf_health_options options;
	struct mf_health_report report = {.size = sizeof(report)};
	mf_health_options_init(&options);
	options.min_free_bytes = min_free_bytes;
	OK(mf_runtime_health(runtime, &options, NULL, NULL, &report, NULL));
	return report.level;
}

/* ---- the tests: the state is the kind of the file system ---- */
static void a_full_disk_in(const char *mode)
{
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	write_config(", \"checkpoint_pages\": 1000000"); /* the log alone grows */
	write_file(ballast, 1000000);
	write_file(filler, 1500000);
	open_runtime(mode);
	struct mf_error error = commit_until_full();
	assert_non_null(strstr(error.message, "/disk/store"));
	assert_non_null(strstr(error.message, "free some space"));
	assert_true(acked > 100);
	assert_non_null(strstr(error.message, "/disk/store"));
	int full = 1, times = 1;
	for (int in_a_row = 0; in_a_row < 20 && full < MOST; in_a_row++) {
		if (commit(acked, &error) == MF_OK) { /* ext4 finds some blocks once it has written what it had put off */
			acked++;
			error = commit_until_full();
			in_a_row = 0;
			times++;
		}
		assert_int_equal(MF_ERR_STORAGE_FULL, error.status);
		full++;
	}
	reads_go_on_in(runtime);
	OK(try_open(NULL, true, &reader, &error));
	reads_go_on_in(reader);
	close_runtime(&reader);
	assert_int_equal(MF_HEALTH_CRITICAL, health(100000000));
	assert_int_equal(times, heard_so_far().errors);
	struct heard told = heard_so_far();
	assert_non_null(strstr(told.last, "has no room"));
	OK(mf_runtime_metrics(runtime, &metrics, &error));
	assert_int_equal(full, metrics.errors[MF_ERR_STORAGE_FULL]);
	free_disk(ballast);
	commit_some(50); /* the same process, the same keys */
	assert_int_equal(times, heard_so_far().infos);
	assert_int_equal(MF_HEALTHY, health(1));
	assert_int_equal(MF_HEALTH_WARNING, health(100000000)); /* the whole disk is smaller */
	nothing_is_lost_or_damaged();
	close_runtime(&runtime);
	free_disk(filler); /* the log is moved into the database, which needs room for it */
	open_runtime(mode);
	nothing_is_lost_or_damaged();
	commit_some(10);
}

static void p9_a_full_disk_refuses_and_resumes_in_async_mode(void **state)
{
	NEEDS_DISK(state);
	a_full_disk_in("async:5");
}

static void p9_a_full_disk_refuses_and_resumes_in_sync_mode(void **state)
{
	NEEDS_DISK(state);
	a_full_disk_in("sync");
}

/* The log would be moved into the database, which cannot grow either. */
static void p9_a_checkpoint_on_a_full_disk_loses_nothing(void **state)
{
	NEEDS_DISK(state);
	struct mf_error error;
	write_config(", \"checkpoint_pages\": 20");
	open_runtime("async:1");
	commit_some(30);
	for (int round = 0; round < 3; round++) {
		fill_disk();
		(void)commit_until_full();
		reads_go_on_in(runtime);
		for (int i = 0; i < 20; i++)
			assert_int_equal(MF_ERR_STORAGE_FULL, commit(acked, &error));
		free_disk(filler);
		commit_some(40);
		nothing_is_lost_or_damaged();
	}
	fill_disk();
	close_runtime(&runtime); /* the last checkpoint finds no room: all is in the log */
	free_disk(filler);
	open_runtime("sync");
	nothing_is_lost_or_damaged();
}

static void a_snapshot_and_a_compaction_on_a_full_disk_fail_and_are_made_later(void **state)
{
	NEEDS_DISK(state);
	struct mf_error error;
	int64_t lsn;
	write_config("");
	open_runtime("sync");
	commit_some(30);
	OK(mf_runtime_snapshot(runtime, "d", &lsn, &error));
	commit_some(10);
	OK(mf_runtime_snapshot(runtime, "d", &lsn, &error));
	fill_disk();
	(void)commit_until_full();
	assert_int_equal(MF_ERR_STORAGE_FULL, mf_runtime_snapshot(runtime, "d", &lsn, &error));
	enum mf_status status = mf_runtime_compact(runtime, "d", &lsn, &error);
	if (status != MF_OK)
		assert_int_equal(MF_ERR_STORAGE_FULL, status);
	OK(mf_store_verify(mf_runtime_store(runtime), complain, NULL, NULL));
	free_disk(filler);
	OK(mf_runtime_snapshot(runtime, "d", &lsn, &error));
	OK(mf_runtime_compact(runtime, "d", &lsn, &error));
	commit_some(10);
	OK(mf_store_verify(mf_runtime_store(runtime), complain, NULL, NULL));
	close_runtime(&runtime);
	open_runtime("sync");
	struct mf_state *recovered;
	OK(mf_runtime_state(runtime, "d", &recovered, &error));
	assert_int_equal(acked - 1, n_of(recovered));
	mf_state_unref(recovered);
}

static void opening_on_a_full_disk_is_refused_and_works_when_there_is_room(void **state)
{
	NEEDS_DISK(state);
	struct mf_error error;
	write_config("");
	fill_disk();
	assert_int_equal(MF_ERR_STORAGE_FULL, try_open("sync", false, &runtime, &error));
	assert_non_null(strstr(error.message, scratch_data));
	free_disk(filler);
	open_runtime("sync");
	commit_some(100);
	close_runtime(&runtime);
	fill_disk();
	enum mf_status status = try_open("sync", false, &runtime, &error);
	if (status == MF_OK)
		close_runtime(&runtime);
	else
		assert_int_equal(MF_ERR_STORAGE_FULL, status);
	free_disk(filler);
	open_runtime("sync");
	nothing_is_lost_or_damaged();
	commit_some(10);
}

/* No room for another file: SQLite would say of one that it could not make that it is not there. */
static void p9_a_disk_without_room_for_another_file_is_said_to_be_full(void **state)
{
	NEEDS_DISK(state);
	struct mf_error error;
	bool opened = false;
	int full = 0;
	write_config("");
	for (int files = 1; files < 20 && !opened; files++) {
		char options[64];
		snprintf(options, sizeof(options), "size=6m,nr_inodes=%d", files);
		assert_int_equal(0, umount(disk));
		mounted = mount("tmpfs", disk, "tmpfs", 0, options) == 0;
		assert_true(mounted);
		enum mf_status status = try_open("sync", false, &runtime, &error);
		opened = status == MF_OK;
		full += status == MF_ERR_STORAGE_FULL;
		if (!opened && status != MF_ERR_STORAGE_FULL)
			fail_msg("%d files: %s: %s", files, mf_status_name(status), error.message);
	}
	assert_true(opened);
	assert_true(full >= 5); /* the directory, lock, database, log, its index, at least */
	commit_some(10);
	nothing_is_lost_or_damaged();
}

static int64_t size_of(const char *name)
{
	char path[256];
	struct stat info;
	snprintf(path, sizeof(path), "%s/%s", scratch_data, name);
	return stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
}

static void small_disk(const char *mode)
{
	struct mf_error error;
	assert_int_equal(0, umount(disk));
	mounted = mount("tmpfs", disk, "tmpfs", 0, "size=2m") == 0;
	assert_true(mounted);
	write_config("");
	open_runtime(mode);
	error = commit_until_full();
	assert_non_null(strstr(error.message, "free some space"));
	reads_go_on_in(runtime);
}

/* The log would have this disk for itself long before it is copied for its length. */
static void p9_a_small_disk_is_filled_by_events_and_not_by_the_log(void **state)
{
	NEEDS_DISK(state);
	small_disk("sync");
	int64_t database = size_of("store.db"), log = size_of("store.db-wal");
	print_message("# %d commits of %d bytes: database %lld, log %lld of 2097152 bytes\n", acked, PAD, (long long)database, (long long)log);
	assert_true(acked > 500); /* a third of the disk is theirs; their index, what is free in pages and the log take the rest */
	nothing_is_lost_or_damaged();
	close_runtime(&runtime);
}

static int fill_and_die(const char *child_dir)
{
	snprintf(scratch_dir, sizeof(scratch_dir), "%s", child_dir);
	snprintf(scratch_config, sizeof(scratch_config), "%s/plugins.json", child_dir);
	name_paths();
	open_runtime("async:1");
	(void)commit_until_full();
	if (write(STDOUT_FILENO, &acked, sizeof(acked)) == (ssize_t)sizeof(acked))
		(void)kill(getpid(), SIGKILL);
	return 1;
}

/* A child fills the disk, tells what was acknowledged, and is killed while it is full. */
static void a_kill_while_the_disk_is_full_loses_nothing(void **state)
{
	NEEDS_DISK(state);
	int tell[2], status;
	write_config(", \"checkpoint_pages\": 50");
	write_file(ballast, 1000000);
	assert_int_equal(0, pipe(tell));
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(tell[1], STDOUT_FILENO);
		execl("/proc/self/exe", "test_full_disk", scratch_dir, (char *)NULL);
		_exit(1);
	}
	close(tell[1]);
	assert_int_equal(sizeof(acked), read(tell[0], &acked, sizeof(acked)));
	close(tell[0]);
	assert_int_equal(child, waitpid(child, &status, 0));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	free_disk(ballast);
	open_runtime("sync");
	nothing_is_lost_or_damaged();
	commit_some(20);
}

#define ON(kind, name) {#name " (" kind ")", name, setup, teardown, (void *)(uintptr_t)(kind)}
#define ON_EACH(name) ON("tmpfs", name), ON("ext4", name), ON("ext4 of small blocks", name)

int main(int argc, char **argv)
{
	if (argc > 1)
		return fill_and_die(argv[1]);
	const struct CMUnitTest tests[] = {
		ON_EACH(p9_a_full_disk_refuses_and_resumes_in_async_mode),
		ON_EACH(p9_a_full_disk_refuses_and_resumes_in_sync_mode),
		ON_EACH(p9_a_checkpoint_on_a_full_disk_loses_nothing),
		ON_EACH(a_snapshot_and_a_compaction_on_a_full_disk_fail_and_are_made_later),
		ON_EACH(opening_on_a_full_disk_is_refused_and_works_when_there_is_room),
		ON_EACH(a_kill_while_the_disk_is_full_loses_nothing),
		ON("tmpfs", p9_a_small_disk_is_filled_by_events_and_not_by_the_log),
		ON("tmpfs", p9_a_disk_without_room_for_another_file_is_said_to_be_full),
	};
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		snprintf(why, sizeof(why), "needs root to mount a small file system (%s)", strerror(errno));
	return cmocka_run_group_tests_name("full disk", tests, NULL, NULL);
}
