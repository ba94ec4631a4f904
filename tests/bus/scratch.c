#include "tests/bus/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

int scratch_setup(void **state)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));
	assert_non_null(scratch);
	const char *base = getenv("TMPDIR");
	snprintf(scratch->dir, sizeof(scratch->dir), "%s/mf-bus-XXXXXX", base && base[0] ? base : "/tmp");
	assert_non_null(mkdtemp(scratch->dir));
	char *real = realpath(scratch->dir, NULL);
	assert_non_null(real);
	assert_true(strlen(real) < sizeof(scratch->dir));
	strcpy(scratch->dir, real);
	free(real);
	*state = scratch;
	return 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
	(void)info;
	(void)kind;
	(void)walk;
	return remove(path);
}

int scratch_teardown(void **state)
{
	struct scratch *scratch = *state;
	int result = nftw(scratch->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(scratch);
	return result;
}

const char *scratch_path(struct scratch *scratch, const char *name)
{
	char path[600];
	assert_true(snprintf(path, sizeof(path), "%s/%s", scratch->dir, name) < (int)sizeof(path));
	strcpy(scratch->path, path);
	return scratch->path;
}

const char *scratch_write_bytes(struct scratch *scratch, const char *name, const void *bytes, size_t len)
{
	const char *path = scratch_path(scratch, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, 0644), 0);
	close(fd);
	return path;
}

const char *scratch_write(struct scratch *scratch, const char *name, const char *text)
{
	return scratch_write_bytes(scratch, name, text, strlen(text));
}

size_t scratch_read(const char *path, unsigned char *bytes, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	size_t len = 0;
	ssize_t got;
	while ((got = read(fd, bytes + len, size - len)) > 0)
		len += (size_t)got;
	assert_int_equal(got, 0);
	assert_true(len < size);
	close(fd);
	return len;
}

const char *scratch_copy(struct scratch *scratch, const char *from, const char *name)
{
	static unsigned char bytes[4 * 1024 * 1024];
	size_t len = scratch_read(from, bytes, sizeof(bytes));
	return scratch_write_bytes(scratch, name, bytes, len);
}

const char *scratch_mkdir(struct scratch *scratch, const char *name, mode_t mode)
{
	const char *path = scratch_path(scratch, name);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

size_t open_file_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	size_t count = 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}
