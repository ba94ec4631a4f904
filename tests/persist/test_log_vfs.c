/* The VFS of a connection's own over one that does what a test says: what a file system's own never shows. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "persist/sqlite_log.h"

#define MOST 8
#define HEADER 24
#define TOO_MUCH (16 * (24 + 4096) + 1) /* to be gathered */

/* ---- the VFS below ---- */

struct opening {
	int rc, system_errno;
	const sqlite3_io_methods *methods; /* NULL: none, though it may be OK */
	int flags;
};

static struct opening openings[MOST]; /* answers of xOpen, in turn */
static int opened, closed, shm_asked;
static int write_answers[MOST]; /* of xWrite, in turn */
static struct {
	int len;
	sqlite3_int64 at;
} writes[MOST]; /* as they came */
static int written;
static int shm_rc, shm_errno, close_rc;
static void *shm_region; /* what is mapped */

static int stub_close(sqlite3_file *file)
{
	(void)file;
	closed++;
	return close_rc;
}

static int stub_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	(void)file, (void)bytes;
	assert_true(written < MOST);
	writes[written].len = len;
	writes[written].at = at;
	return write_answers[written++];
}

static int stub_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at)
{
	(void)file, (void)at;
	memset(bytes, 0, (size_t)len);
	return SQLITE_OK;
}

static int stub_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	(void)file, (void)size;
	return SQLITE_OK;
}

static int stub_size(sqlite3_file *file, sqlite3_int64 *out)
{
	(void)file;
	*out = 4711;
	return SQLITE_OK;
}

static int stub_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
	(void)file, (void)region, (void)size, (void)extend;
	shm_asked++;
	*out = shm_region;
	errno = shm_errno;
	return shm_rc;
}

static const sqlite3_io_methods stub_methods = {.iVersion = 2, .xClose = stub_close, .xRead = stub_read, .xWrite = stub_write, .xTruncate = stub_truncate, .xFileSize = stub_size, .xShmMap = stub_shm_map};
static const sqlite3_io_methods other_methods = {.iVersion = 1, .xClose = stub_close, .xRead = stub_read, .xWrite = stub_write, .xTruncate = stub_truncate, .xFileSize = stub_size};

static int stub_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	(void)base, (void)name;
	assert_true(opened < MOST);
	const struct opening *answer = &openings[opened++];
	file->pMethods = answer->methods;
	if (out_flags)
		*out_flags = answer->flags ? answer->flags : flags;
	errno = answer->system_errno;
	return answer->rc;
}

static sqlite3_vfs stub = {.iVersion = 1, .szOsFile = sizeof(sqlite3_file), .mxPathname = 512, .zName = "stub", .xOpen = stub_open};

/* ---- the one above ---- */

static struct mf_log_vfs *own;
static sqlite3_vfs *vfs;
static sqlite3_file *file;
static struct mf_error error;
static char *name;

static int set_up(void **state)
{
	kit_set_up(state);
	name = kit_path(kit_dir, "one");
	memset(openings, 0, sizeof(openings));
	memset(write_answers, 0, sizeof(write_answers));
	opened = closed = written = shm_asked = shm_rc = shm_errno = close_rc = 0;
	shm_region = NULL;
	for (int i = 0; i < MOST; i++)
		openings[i].methods = &stub_methods;
	assert_int_equal(sqlite3_vfs_register(&stub, 0), SQLITE_OK);
	KIT_OK(mf_log_vfs_new("stub", true, &own, &error), &error);
	vfs = sqlite3_vfs_find(mf_log_vfs_name(own));
	file = calloc(1, (size_t)vfs->szOsFile);
	assert_non_null(file);
	return 0;
}

static int tear_down(void **state)
{
	free(file);
	mf_log_vfs_free(own);
	mf_log_vfs_free(NULL);
	sqlite3_vfs_unregister(&stub);
	free(name);
	return kit_tear_down(state);
}

#define DB (SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB)
#define LOG (SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_WAL)

static int open_file(const char *path, int flags)
{
	int out_flags;
	return vfs->xOpen(vfs, path, file, flags, &out_flags);
}

static void open_log(void)
{
	assert_int_equal(open_file(name, LOG), SQLITE_OK);
	assert_true(mf_log_is_one(file));
}

/* A frame's header, which is gathered: no page follows. */
static void gather(sqlite3_int64 at)
{
	static const unsigned char header[HEADER];
	int before = written;
	assert_int_equal(file->pMethods->xWrite(file, header, HEADER, at), SQLITE_OK);
	assert_int_equal(written, before);
}

/* ---- writing ---- */

static void each_byte_of_the_commit_mark_ends_a_commit(void **state)
{
	(void)state;
	static const unsigned char page[512];
	open_log();
	for (int i = 4; i < 8; i++) {
		unsigned char header[HEADER] = {0};
		header[i] = 1;
		assert_int_equal(file->pMethods->xWrite(file, header, HEADER, 32), SQLITE_OK);
		assert_int_equal(file->pMethods->xWrite(file, page, sizeof(page), 32 + HEADER), SQLITE_OK);
		assert_int_equal(written, i - 3);
		assert_int_equal(writes[written - 1].len, HEADER + (int)sizeof(page));
	}
	assert_int_equal(file->pMethods->xClose(file), SQLITE_OK);
}

static void what_is_too_large_to_be_gathered_is_written_behind_what_is(void **state)
{
	(void)state;
	unsigned char *large = calloc(1, TOO_MUCH);
	assert_non_null(large);
	open_log();
	gather(32);
	assert_int_equal(file->pMethods->xWrite(file, large, TOO_MUCH, 56), SQLITE_OK);
	assert_int_equal(written, 2);
	assert_int_equal(writes[0].len, HEADER);
	assert_int_equal(writes[1].len, TOO_MUCH);
	/* And not at all when that fails. */
	write_answers[2] = SQLITE_FULL;
	gather(32);
	assert_int_equal(file->pMethods->xWrite(file, large, TOO_MUCH, 56), SQLITE_FULL);
	assert_int_equal(written, 3);
	assert_int_equal(mf_log_failure(file), SQLITE_FULL);
	/* The first failure is what is told. */
	write_answers[3] = SQLITE_IOERR_WRITE;
	assert_int_equal(file->pMethods->xWrite(file, large, TOO_MUCH, 56), SQLITE_IOERR_WRITE);
	assert_int_equal(mf_log_failure(file), SQLITE_FULL);
	mf_log_forget_failure(file);
	assert_int_equal(mf_log_failure(file), SQLITE_OK);
	assert_int_equal(file->pMethods->xClose(file), SQLITE_OK);
	free(large);
}

static void every_call_but_a_write_first_writes_what_is_gathered_and_tells_when_that_fails(void **state)
{
	(void)state;
	sqlite3_int64 size = 0;
	open_log();
	for (int i = 0; i < 3; i++)
		write_answers[i] = SQLITE_IOERR_WRITE;
	gather(32);
	assert_int_equal(file->pMethods->xTruncate(file, 0), SQLITE_IOERR_WRITE);
	gather(32);
	assert_int_equal(file->pMethods->xFileSize(file, &size), SQLITE_IOERR_WRITE);
	assert_int_equal(size, 0);
	assert_int_equal(file->pMethods->xFileSize(file, &size), SQLITE_OK);
	assert_int_equal(size, 4711);
	gather(32);
	close_rc = SQLITE_IOERR_CLOSE;
	closed = 0;
	assert_int_equal(file->pMethods->xClose(file), SQLITE_IOERR_WRITE); /* it is closed all the same */
	assert_int_equal(closed, 1);
	assert_int_equal(written, 3);
}

/* ---- opening ---- */

static void a_log_that_is_not_there_and_must_not_be_made_is_told(void **state)
{
	(void)state;
	openings[0] = (struct opening){.rc = SQLITE_CANTOPEN, .system_errno = ENOENT};
	assert_int_equal(open_file(name, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL), SQLITE_CANTOPEN);
	assert_null(file->pMethods);
	assert_int_equal(opened, 1);
	assert_int_equal(access(name, F_OK), -1);
}

static void a_log_that_cannot_be_made_is_told_and_what_was_opened_of_it_closed(void **state)
{
	(void)state;
	openings[0] = (struct opening){.rc = SQLITE_CANTOPEN, .system_errno = EIO, .methods = &stub_methods};
	openings[1] = (struct opening){.rc = SQLITE_CANTOPEN, .system_errno = EIO};
	assert_int_equal(open_file(name, LOG), SQLITE_CANTOPEN);
	assert_int_equal(opened, 2);
	assert_int_equal(closed, 1);
	assert_null(file->pMethods);
}

/* It can be made: so it is asked for once more, and what the first try had opened is closed. */
static void a_file_that_could_be_made_after_all_is_opened_again(void **state)
{
	(void)state;
	openings[0] = (struct opening){.rc = SQLITE_CANTOPEN, .system_errno = ENOENT, .methods = &stub_methods};
	assert_int_equal(open_file(name, DB), SQLITE_OK);
	assert_int_equal(opened, 2);
	assert_int_equal(closed, 1);
	assert_int_equal(access(name, F_OK), -1); /* only a log and its index stay */
	openings[2] = (struct opening){.rc = SQLITE_CANTOPEN, .system_errno = ENOENT};
	assert_int_equal(open_file(name, DB), SQLITE_OK);
	assert_int_equal(opened, 4);
	assert_int_equal(closed, 1);
}

/* Whoever does not want it made finds that out for itself. */
static void a_file_that_is_not_to_be_made_is_not_made(void **state)
{
	(void)state;
	openings[0] = (struct opening){.rc = SQLITE_CANTOPEN, .system_errno = ENOENT};
	assert_int_equal(open_file(name, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB), SQLITE_CANTOPEN);
	assert_int_equal(opened, 1);
	assert_int_equal(access(name, F_OK), -1);
}

/* Another process made it between the two tries of the VFS below, the second of which is for reading. */
static void a_log_that_came_meanwhile_is_opened_for_writing(void **state)
{
	(void)state;
	int out_flags = 0;
	openings[0].flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_WAL;
	assert_int_equal(vfs->xOpen(vfs, name, file, LOG, &out_flags), SQLITE_OK);
	assert_int_equal(opened, 2);
	assert_int_equal(closed, 1);
	assert_false(out_flags & SQLITE_OPEN_READONLY);
	assert_true(mf_log_is_one(file));
	assert_int_equal(file->pMethods->xClose(file), SQLITE_OK);
}

static void a_file_without_a_name_is_not_asked_for_again(void **state)
{
	(void)state;
	openings[0] = (struct opening){.rc = SQLITE_CANTOPEN, .system_errno = ENOENT};
	assert_int_equal(open_file(NULL, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_TEMP_DB), SQLITE_CANTOPEN);
	assert_int_equal(opened, 1);
}

static void a_file_of_other_methods_is_left_as_it_is(void **state)
{
	(void)state;
	openings[1].methods = &other_methods;
	assert_int_equal(open_file(name, DB), SQLITE_OK);
	assert_ptr_not_equal(file->pMethods, &stub_methods);
	const sqlite3_io_methods *taken_over = file->pMethods;
	assert_int_equal(open_file(name, DB), SQLITE_OK);
	assert_ptr_equal(file->pMethods, &other_methods);
	assert_int_equal(open_file(name, DB), SQLITE_OK);
	assert_ptr_equal(file->pMethods, taken_over);
}

/* ---- the log's index ---- */

/* Of a database at path: the result code, and how often the VFS below was asked. */
static int map_index(const char *path, int *out_asked)
{
	void volatile *region;
	shm_asked = 0;
	assert_int_equal(open_file(path, DB), SQLITE_OK);
	int rc = file->pMethods->xShmMap(file, 0, 32768, 1, &region);
	*out_asked = shm_asked;
	return rc;
}

static void an_index_that_could_be_made_is_asked_for_again(void **state)
{
	(void)state;
	int asked;
	char *index = kit_path(kit_dir, "one-shm");
	shm_rc = SQLITE_CANTOPEN;
	shm_errno = ENOENT;
	assert_int_equal(map_index(name, &asked), SQLITE_CANTOPEN);
	assert_int_equal(asked, 2);
	assert_int_equal(access(index, F_OK), 0); /* another process may have opened it by now */
	assert_int_equal(map_index(name, &asked), SQLITE_CANTOPEN); /* there is one: that is not why */
	assert_int_equal(asked, 1);
	free(index);
}

static void an_index_without_a_name_is_not_asked_for_again(void **state)
{
	(void)state;
	int asked;
	shm_rc = SQLITE_CANTOPEN;
	shm_errno = ENOENT;
	assert_int_equal(map_index(NULL, &asked), SQLITE_CANTOPEN);
	assert_int_equal(asked, 1);
}

static void an_index_whose_name_is_too_long_is_not_asked_for_again(void **state)
{
	(void)state;
	int asked;
	char path[600];
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	shm_rc = SQLITE_CANTOPEN;
	shm_errno = ENOENT;
	assert_int_equal(map_index(path, &asked), SQLITE_CANTOPEN);
	assert_int_equal(asked, 1);
}

/* A full disk answers EFAULT, a kernel that does not know the question EINVAL, as for what does not begin with a page. */
static void room_for_an_index_that_cannot_be_asked_for_is_no_failure(void **state)
{
	(void)state;
	int asked;
	static _Alignas(4096) unsigned char region[4096 + 32768];
	shm_region = region + 1;
	assert_int_equal(map_index(name, &asked), SQLITE_OK);
	assert_int_equal(asked, 1);
}

/* A write behind the end of a file, as one to a block that a full disk does not have, would end the process. */
static void room_for_an_index_that_is_not_there_is_told_as_a_full_disk(void **state)
{
	(void)state;
	int asked, empty = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(empty >= 0);
	void *mapped = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, empty, 0);
	assert_ptr_not_equal(mapped, MAP_FAILED);
	shm_region = mapped;
	assert_int_equal(map_index(name, &asked), SQLITE_IOERR_SHMSIZE);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(asked, 1);
	assert_int_equal(ftruncate(empty, 32768), 0);
	shm_region = mapped;
	assert_int_equal(map_index(name, &asked), SQLITE_OK);
	assert_int_equal(munmap(mapped, 32768), 0);
	close(empty);
}

/* ---- the VFS itself ---- */

static void a_vfs_below_that_knows_no_last_error_has_none(void **state)
{
	(void)state;
	char said[8] = "nothing";
	assert_int_equal(vfs->xGetLastError(vfs, sizeof(said), said), 0);
	assert_string_equal(said, "nothing");
}

static void without_any_vfs_there_is_none_to_build_on(void **state)
{
	(void)state;
	sqlite3_vfs *all[16];
	size_t count = 0;
	for (sqlite3_vfs *found; count < 16 && (found = sqlite3_vfs_find(NULL)); count++) {
		all[count] = found;
		sqlite3_vfs_unregister(found);
	}
	struct mf_log_vfs *out;
	enum mf_status status = mf_log_vfs_new(NULL, true, &out, &error);
	for (size_t i = count; i > 0; i--)
		sqlite3_vfs_register(all[i - 1], i == 1);
	assert_int_equal(status, MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "(default)"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_byte_of_the_commit_mark_ends_a_commit),
		T(what_is_too_large_to_be_gathered_is_written_behind_what_is),
		T(every_call_but_a_write_first_writes_what_is_gathered_and_tells_when_that_fails),
		T(a_log_that_is_not_there_and_must_not_be_made_is_told),
		T(a_log_that_cannot_be_made_is_told_and_what_was_opened_of_it_closed),
		T(a_file_that_could_be_made_after_all_is_opened_again),
		T(a_file_that_is_not_to_be_made_is_not_made),
		T(a_log_that_came_meanwhile_is_opened_for_writing),
		T(a_file_without_a_name_is_not_asked_for_again),
		T(a_file_of_other_methods_is_left_as_it_is),
		T(an_index_that_could_be_made_is_asked_for_again),
		T(an_index_without_a_name_is_not_asked_for_again),
		T(an_index_whose_name_is_too_long_is_not_asked_for_again),
		T(room_for_an_index_that_cannot_be_asked_for_is_no_failure),
		T(room_for_an_index_that_is_not_there_is_told_as_a_full_disk),
		T(a_vfs_below_that_knows_no_last_error_has_none),
		T(without_any_vfs_there_is_none_to_build_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
