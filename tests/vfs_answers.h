/* vfs_answers.h - what a VFS in memory answers where files have nothing to say (https://www.sqlite.org/c3ref/io_methods.html). */
#pragma once

#include <sqlite3.h>

static int vfs_control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	if (op == SQLITE_FCNTL_LAST_ERRNO)
		*(int *)arg = 0;
	else if (op == SQLITE_FCNTL_MMAP_SIZE)
		*(sqlite3_int64 *)arg = 0;
	else
		return SQLITE_NOTFOUND;
	return SQLITE_OK;
}

static int vfs_sector(sqlite3_file *file)
{
	(void)file;
	return 4096;
}

/* As SQLite's own VFS says of disks. */
static int vfs_device(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}
