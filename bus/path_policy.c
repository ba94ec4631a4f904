#include "bus/path_policy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Who can write besides the owner; NULL: nobody. */
static const char *other_writers(const struct stat *stat)
{
	return stat->st_mode & S_IWOTH ? "everybody" : stat->st_mode & S_IWGRP ? "its group" : NULL;
}

static enum mf_status check_dir_of(const char *path, struct mf_error *error)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path); /* it could be resolved, so it fits */
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)len : 1, slash ? path : ".");
	struct stat info;
	if (stat(dir, &info) != 0)
		return mf_error_set(error, MF_ERR_PLUGIN, "cannot look at the directory %s: %s", dir, strerror(errno));
	const char *who = other_writers(&info);
	if (who && !(info.st_mode & S_ISVTX))
		return mf_error_set(error, MF_ERR_PLUGIN, "%s can write to the file's directory (mode %04o; chmod go-w it, or set \"path_policy\": \"off\"): %s",
				    who, (unsigned)(info.st_mode & 07777), dir);
	return MF_OK;
}

enum mf_status mf_path_policy_check(const char *path, const struct stat *info, struct mf_error *error)
{
	const char *who = other_writers(info);
	if (who)
		return mf_error_set(error, MF_ERR_PLUGIN, "%s can write to the file (mode %04o; chmod go-w it, or set \"path_policy\": \"off\"): %s",
				    who, (unsigned)(info->st_mode & 07777), path);
	char target[PATH_MAX];
	if (!realpath(path, target))
		return mf_error_set(error, MF_ERR_PLUGIN, "cannot resolve %s: %s", path, strerror(errno));
	enum mf_status status = check_dir_of(path, error);
	return status == MF_OK ? check_dir_of(target, error) : status;
}
