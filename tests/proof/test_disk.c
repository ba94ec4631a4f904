/* test_disk.c - the model of a device: what may be there after a power loss, and what must. Each test draws many states and looks
 * at which were seen: all that are legal in a small case, and no other. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "calls.h"
#include "power_parts.h"
#include "recorder.h"

#define STATES 400

static char work[96], state[112], path[160];
static uint64_t image; /* of the state that was looked at last */
static struct oplog *log_of_test;

static int setup(void **unused)
{
	(void)unused;
	const char *base = getenv("TMPDIR");
	snprintf(work, sizeof(work), "%.40s/mf-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(work));
	snprintf(state, sizeof(state), "%s-state", work);
	recorder_begin(work, 0);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	char command[256];
	oplog_deinit(log_of_test);
	free(log_of_test);
	log_of_test = NULL;
	snprintf(command, sizeof(command), "rm -rf '%s' '%s'", work, state);
	return system(command);
}

static const char *in(const char *dir, const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int create(const char *name)
{
	int fd = open(in(work, name), O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void sync_dir(void)
{
	int fd = open(work, O_RDONLY | O_DIRECTORY);
	assert_int_equal(0, fsync(fd) + close(fd));
}

static void put(int fd, char what, size_t len, off_t at)
{
	char bytes[4096];
	memset(bytes, what, len);
	assert_int_equal(len, pwrite(fd, bytes, len, at));
}

/* The file in the state that number picks, of all that was done; its size, -1: it is not there. */
static ssize_t look(uint32_t number, const char *name, char *bytes, size_t size)
{
	struct disk disk;
	if (!log_of_test)
		log_of_test = recorder_end();
	assert_true(power_clear(state));
	disk_init(&disk, log_of_test);
	disk_advance(&disk, log_of_test->count);
	assert_true(disk_lose_power(&disk, &(struct disk_choice){7, number}, state, NULL, 0, &image));
	disk_deinit(&disk);
	int fd = open(in(state, name), O_RDONLY);
	if (fd < 0)
		return -1;
	ssize_t got = read(fd, bytes, size);
	close(fd);
	return got;
}

static bool all(const char *bytes, size_t from, size_t to, char what)
{
	for (size_t i = from; i < to; i++)
		if (bytes[i] != what)
			return false;
	return true;
}

static void what_was_synced_is_always_there(void **unused)
{
	(void)unused;
	char bytes[4096];
	int fd = create("f");
	put(fd, 'a', 1000, 0);
	assert_int_equal(0, fdatasync(fd));
	close(fd);
	sync_dir();
	for (uint32_t n = 0; n < STATES / 8; n++) {
		assert_int_equal(1000, look(n, "f", bytes, sizeof(bytes)));
		assert_true(all(bytes, 0, 1000, 'a'));
	}
}

static void a_write_is_there_or_not_or_in_part_by_sectors(void **unused)
{
	(void)unused;
	char bytes[4096];
	size_t old = 0, new = 0, torn = 0, garbage = 0;
	int fd = create("f");
	put(fd, 'a', 1500, 0);
	assert_int_equal(0, fsync(fd));
	sync_dir();
	put(fd, 'b', 1100, 200); /* sectors 0 and 2 in part */
	close(fd);
	for (uint32_t n = 0; n < STATES; n++) {
		assert_int_equal(1500, look(n, "f", bytes, sizeof(bytes)));
		assert_true(all(bytes, 0, 200, 'a') && all(bytes, 1300, 1500, 'a')); /* beside the write, in its sectors */
		static const size_t edges[] = {200, 512, 1024, 1300};
		size_t as = 0, bs = 0;
		for (size_t s = 0; s < 3; s++) {
			as += all(bytes, edges[s], edges[s + 1], 'a');
			bs += all(bytes, edges[s], edges[s + 1], 'b');
		}
		old += as == 3;
		new += bs == 3;
		torn += as + bs == 3 && as > 0 && bs > 0;
		garbage += as + bs < 3;
	}
	assert_true(old > 0 && new > 0 && torn > 0 && garbage > 0);
}

static void in_a_sector_a_later_write_brings_the_earlier_one(void **unused)
{
	(void)unused;
	char bytes[4096];
	size_t none = 0, first = 0, both = 0;
	int fd = create("f");
	put(fd, '.', 512, 0);
	assert_int_equal(0, fsync(fd));
	sync_dir();
	put(fd, 'a', 100, 0);
	put(fd, 'b', 100, 300);
	close(fd);
	for (uint32_t n = 0; n < STATES; n++) {
		assert_int_equal(512, look(n, "f", bytes, sizeof(bytes)));
		bool a = all(bytes, 0, 100, 'a'), b = all(bytes, 300, 400, 'b');
		bool no_a = all(bytes, 0, 100, '.'), no_b = all(bytes, 300, 400, '.');
		assert_false(b && no_a);
		none += no_a && no_b;
		first += a && no_b;
		both += a && b;
	}
	assert_true(none > 0 && first > 0 && both > 0);
}

static void a_file_may_have_grown_without_its_data(void **unused)
{
	(void)unused;
	char bytes[4096];
	size_t empty = 0, whole = 0, zeros = 0;
	int fd = create("f");
	sync_dir();
	put(fd, 'a', 512, 0);
	close(fd);
	for (uint32_t n = 0; n < STATES; n++) {
		ssize_t size = look(n, "f", bytes, sizeof(bytes));
		assert_true(size == 0 || size == 512);
		empty += size == 0;
		whole += size == 512 && all(bytes, 0, 512, 'a');
		zeros += size == 512 && all(bytes, 0, 512, '\0');
	}
	assert_true(empty > 0 && whole > 0 && zeros > 0);
}

static void a_truncation_is_there_or_not(void **unused)
{
	(void)unused;
	char bytes[4096];
	size_t cut = 0, uncut = 0;
	int fd = create("f");
	put(fd, 'a', 1024, 0);
	assert_int_equal(0, fsync(fd));
	sync_dir();
	assert_int_equal(0, ftruncate(fd, 10));
	close(fd);
	for (uint32_t n = 0; n < STATES / 4; n++) {
		ssize_t size = look(n, "f", bytes, sizeof(bytes));
		assert_true((size == 10 && all(bytes, 0, 10, 'a')) || (size == 1024 && all(bytes, 0, 1024, 'a')));
		cut += size == 10;
		uncut += size == 1024;
	}
	assert_true(cut > 0 && uncut > 0);
}

static void a_name_needs_the_sync_of_its_directory(void **unused)
{
	(void)unused;
	char bytes[8];
	size_t there = 0, missing = 0;
	int fd = create("f");
	put(fd, 'a', 5, 0);
	assert_int_equal(0, fsync(fd)); /* the data, not the name */
	close(fd);
	for (uint32_t n = 0; n < STATES / 4; n++) {
		ssize_t size = look(n, "f", bytes, sizeof(bytes));
		assert_true(size == -1 || (size == 5 && all(bytes, 0, 5, 'a')));
		there += size == 5;
		missing += size == -1;
	}
	assert_true(there > 0 && missing > 0);
}

static void a_rename_is_atomic(void **unused)
{
	(void)unused;
	char bytes[8], other[160];
	size_t before = 0, after = 0;
	int fd = create("old");
	put(fd, 'a', 5, 0);
	assert_int_equal(0, fsync(fd) + close(fd));
	fd = create("new");
	put(fd, 'b', 5, 0);
	assert_int_equal(0, fsync(fd) + close(fd));
	sync_dir();
	snprintf(other, sizeof(other), "%s/old", work);
	assert_int_equal(0, rename(other, in(work, "new")));
	for (uint32_t n = 0; n < STATES / 4; n++) {
		assert_int_equal(5, look(n, "new", bytes, sizeof(bytes)));
		bool done = bytes[0] == 'a', gone = access(in(state, "old"), F_OK) != 0;
		assert_int_equal(done, gone);
		after += done;
		before += !done;
	}
	assert_true(before > 0 && after > 0);
}

static void what_is_named_anew_does_not_come_before_what_it_replaces_is_gone(void **unused)
{
	(void)unused;
	char bytes[8];
	size_t a = 0, b = 0, none = 0;
	int fd = create("f");
	put(fd, 'a', 1, 0);
	assert_int_equal(0, fsync(fd) + close(fd));
	sync_dir();
	assert_int_equal(0, unlink(in(work, "f")));
	fd = create("f");
	put(fd, 'b', 1, 0);
	assert_int_equal(0, fsync(fd) + close(fd));
	for (uint32_t n = 0; n < STATES; n++) {
		ssize_t size = look(n, "f", bytes, sizeof(bytes));
		a += size == 1 && bytes[0] == 'a';
		b += size == 1 && bytes[0] == 'b';
		none += size == -1;
	}
	assert_int_equal(STATES, a + b + none);
	assert_true(a > 0 && b > 0 && none > 0);
}

static void a_recording_comes_back_from_its_file(void **unused)
{
	(void)unused;
	struct oplog back;
	char one[600], two[600];
	int fd = create("f");
	put(fd, 'a', 700, 3);
	assert_int_equal(0, ftruncate(fd, 9) + fsync(fd) + close(fd));
	recorder_mark(NULL, "line\n", 5);
	assert_int_equal(0, mkdir(in(work, "d"), 0700) + rmdir(in(work, "d")));
	log_of_test = recorder_end();
	log_of_test->seed = 77;
	assert_true(oplog_save(log_of_test, in(work, "log")));
	assert_true(oplog_load(&back, in(work, "log")));
	assert_int_equal(9, back.count - back.base); /* file, name, write, truncate, sync, line, directory, name, unlink */
	assert_int_equal(log_of_test->count, back.count);
	assert_int_equal(77, back.seed);
	for (size_t i = 0; i < back.count; i++)
		assert_string_equal(op_tell(log_of_test, i, one, sizeof(one)), op_tell(&back, i, two, sizeof(two)));
	assert_memory_equal(log_of_test->ops[2].bytes, back.ops[2].bytes, 700);
	oplog_deinit(&back);
}

static void what_was_there_before_is_durable(void **unused)
{
	(void)unused;
	char bytes[8];
	int fd = create("f");
	put(fd, 'a', 3, 0);
	close(fd);
	struct oplog *first = recorder_end();
	oplog_deinit(first);
	free(first);
	recorder_begin(work, 0);
	assert_int_equal(3, look(DISK_DROP_ALL, "f", bytes, sizeof(bytes)));
	assert_true(all(bytes, 0, 3, 'a'));
}

/* Two files of a sector each, and so four images; the same bytes in another file are another image. */
static void images_are_alike_where_the_files_are(void **unused)
{
	(void)unused;
	uint64_t images[4] = {0};
	char f[4096], g[4096];
	int fd[] = {create("f"), create("g")};
	for (size_t i = 0; i < 2; i++) {
		put(fd[i], 'a', 512, 0);
		assert_int_equal(0, fsync(fd[i]));
	}
	sync_dir();
	for (size_t i = 0; i < 2; i++) {
		put(fd[i], 'b', 512, 0);
		close(fd[i]);
	}
	for (uint32_t n = 0; n < STATES; n++) {
		assert_int_equal(512, look(n, "f", f, sizeof(f)));
		assert_int_equal(512, look(n, "g", g, sizeof(g)));
		bool garbage = (!all(f, 0, 512, 'a') && !all(f, 0, 512, 'b')) || (!all(g, 0, 512, 'a') && !all(g, 0, 512, 'b'));
		size_t which = (size_t)(f[0] == 'b') + 2 * (size_t)(g[0] == 'b');
		for (size_t i = 0; i < 4; i++)
			assert_true(images[i] == 0 || (images[i] == image) == (!garbage && i == which));
		if (!garbage)
			images[which] = image;
	}
	for (size_t i = 0; i < 4; i++)
		assert_true(images[i] != 0);
}

static void a_state_that_was_tried_is_known(void **unused)
{
	(void)unused;
	struct power_images images = {0};
	for (uint64_t again = 0; again < 2; again++)
		for (uint64_t n = 0; n < 5000; n++)
			assert_int_equal(again == 0, power_images_add(&images, n / 2, n % 2)); /* the same image, before and after the world heard a line */
	power_images_free(&images);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_synced_is_always_there),
		TEST(a_write_is_there_or_not_or_in_part_by_sectors),
		TEST(in_a_sector_a_later_write_brings_the_earlier_one),
		TEST(a_file_may_have_grown_without_its_data),
		TEST(a_truncation_is_there_or_not),
		TEST(a_name_needs_the_sync_of_its_directory),
		TEST(a_rename_is_atomic),
		TEST(what_is_named_anew_does_not_come_before_what_it_replaces_is_gone),
		TEST(a_recording_comes_back_from_its_file),
		TEST(what_was_there_before_is_durable),
		TEST(images_are_alike_where_the_files_are),
		cmocka_unit_test(a_state_that_was_tried_is_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
