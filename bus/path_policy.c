#include "bus/path_policy.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool others_can_write(const struct stat *stat)
{
	return stat->st_mode & (S_IWGRP | S_IWOTH);
}

static enum mf_status check_dir_of(const char *path, struct mf_error *error)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
	if (len >= sizeof(dir))
		return mf_error_set(error, MF_ERR_PLUGIN, "the path has %zu bytes, at most %d are possible: %s", len, PATH_MAX - 1, path);
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)len : 1, slash ? path : ".");
	struct stat info;
	if (stat(dir, &info) != 0)
		return mf_error_set(error, MF_ERR_PLUGIN, "cannot look at the directory %s: %s", dir, strerror(errno));
	if (others_can_write(&info) && !(info.st_mode & S_ISVTX))
		return mf_error_set(error, MF_ERR_PLUGIN, "others can write to its directory (mode %04o; chmod go-w it, or set \"path_policy\": \"off\"): %s",
				    (unsigned)(info.st_mode & 07777), dir);
	return MF_OK;
}

enum mf_status mf_path_policy_check(const char *path, const struct stat *info, struct mf_error *error)
{
	if (others_can_write(info))
		return mf_error_set(error, MF_ERR_PLUGIN, "others can write to the file (mode %04o; chmod go-w it, or set \"path_policy\": \"off\"): %s",
				    (unsigned)(info->st_mode & 07777), path);
	char target[PATH_MAX];
	if (!realpath(path, target))
		return mf_error_set(error, MF_ERR_PLUGIN, "cannot resolve %s: %s", path, strerror(errno));
	enum mf_status status = check_dir_of(path, error);
	return status == MF_OK ? check_dir_of(target, error) : status;
}
