/* path_policy.h - may anybody but the owner change this file?
 *
 * The strict policy refuses a file that its group or others can write to, and a file in a directory
 * that they can write to (they could put another one in its place), unless the directory is sticky as /tmp
 * is. Of a symbolic link both directories count: the link's and the target's. Directories further up
 * are not looked at. */
#pragma once

#include <moduforge/status.h>
#include <sys/stat.h>

/* stat: of the opened file. MF_ERR_PLUGIN names path and rule. */
enum mf_status mf_path_policy_check(const char *path, const struct stat *stat, struct mf_error *error);
