#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "persist/env.h"
#include "persist/watermark.h"

static char *dir, *path;
static int fd;

static int set_up(void **state)
{
	(void)state;
	dir = kit_make_dir();
	path = kit_path(dir, "watermark");
	fd = -1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (fd >= 0)
		close(fd);
	free(path);
	kit_remove_dir(dir);
	return 0;
}

static void write_it(int64_t lsn, int64_t epoch, bool sync_failed)
{
	struct mf_error error;
	if (fd < 0)
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	KIT_OK(mf_watermark_write(mf_env_os(), fd, &(struct mf_watermark){lsn, epoch, sync_failed}, &error), &error);
}

static enum mf_watermark_state read_it(struct mf_watermark *out)
{
	enum mf_watermark_state found;
	struct mf_error error;
	KIT_OK(mf_watermark_read(mf_env_os(), path, out, &found, &error), &error);
	return found;
}

static void what_was_written_is_read_back(void **state)
{
	(void)state;
	struct mf_watermark mark;
	write_it(0x0123456789abcdef, 77, false);
	assert_int_equal(read_it(&mark), MF_WATERMARK_GOOD);
	assert_int_equal(mark.synced_lsn, 0x0123456789abcdef);
	assert_int_equal(mark.epoch, 77);
	assert_false(mark.sync_failed);
	write_it(5, 78, true);
	assert_int_equal(read_it(&mark), MF_WATERMARK_GOOD);
	assert_int_equal(mark.synced_lsn, 5);
	assert_true(mark.sync_failed);
	assert_int_equal(kit_file_size(dir, "watermark"), MF_WATERMARK_LEN);
}

static void the_layout_is_that_of_the_formats_page(void **state)
{
	(void)state;
	unsigned char bytes[MF_WATERMARK_LEN];
	write_it(258, 3, false);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_memory_equal(bytes, "MFWM", 4);
	assert_memory_equal(bytes + 8, "\x02\x01\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
}

static void none_and_an_empty_one_are_missing(void **state)
{
	(void)state;
	struct mf_watermark mark;
	assert_int_equal(read_it(&mark), MF_WATERMARK_MISSING);
	assert_int_equal(mark.synced_lsn, 0);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(read_it(&mark), MF_WATERMARK_MISSING);
}

static void every_flipped_bit_and_every_cut_is_seen(void **state)
{
	(void)state;
	struct mf_watermark mark;
	unsigned char bytes[MF_WATERMARK_LEN];
	write_it(1000, 3, false);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
		assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		assert_int_equal(read_it(&mark), MF_WATERMARK_DAMAGED);
		assert_int_equal(mark.synced_lsn, 0);
		bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
	}
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(read_it(&mark), MF_WATERMARK_GOOD);
	for (int64_t size = MF_WATERMARK_LEN - 1; size > 0; size--) {
		kit_truncate(dir, "watermark", size);
		assert_int_equal(read_it(&mark), MF_WATERMARK_DAMAGED);
	}
}

static ssize_t refuse_pread(void *user, int file, void *bytes, size_t len, int64_t offset)
{
	(void)user, (void)file, (void)bytes, (void)len, (void)offset;
	return -EIO;
}

static ssize_t refuse_pwrite(void *user, int file, const void *bytes, size_t len, int64_t offset)
{
	(void)user, (void)file, (void)bytes, (void)len, (void)offset;
	return -EIO;
}

static int refuse_open(void *user, const char *name, int flags, mode_t mode)
{
	(void)user, (void)name, (void)flags, (void)mode;
	return -EACCES;
}

static void io_errors_are_io_errors(void **state)
{
	(void)state;
	struct mf_env env = *mf_env_os();
	struct mf_watermark mark = {1, 1, false};
	enum mf_watermark_state found;
	struct mf_error error;
	write_it(1, 1, false);
	env.pwrite = refuse_pwrite;
	assert_int_equal(mf_watermark_write(&env, fd, &mark, &error), MF_ERR_IO);
	env.pread = refuse_pread;
	assert_int_equal(mf_watermark_read(&env, path, &mark, &found, &error), MF_ERR_IO);
	env.open = refuse_open;
	assert_int_equal(mf_watermark_read(&env, path, &mark, &found, &error), MF_ERR_IO);
	assert_non_null(strstr(error.message, path));
}

static void numbers_that_cannot_be_counted_on_from_are_no_watermark(void **state)
{
	(void)state;
	static const struct {
		int64_t lsn, epoch;
	} wrong[] = {{-1, 1}, {INT64_MAX, 1}, {1, -1}, {1, INT64_MAX}};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct mf_watermark read;
		enum mf_watermark_state found;
		struct mf_error error;
		write_it(wrong[i].lsn, wrong[i].epoch, false);
		KIT_OK(mf_watermark_read(mf_env_os(), path, &read, &found, &error), &error);
		assert_int_equal(found, MF_WATERMARK_DAMAGED);
	}
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(what_was_written_is_read_back),
		T(the_layout_is_that_of_the_formats_page),
		T(none_and_an_empty_one_are_missing),
		T(every_flipped_bit_and_every_cut_is_seen),
		T(numbers_that_cannot_be_counted_on_from_are_no_watermark),
		T(io_errors_are_io_errors),
	};
	return cmocka_run_group_tests_name("watermark", tests, NULL, NULL);
}
