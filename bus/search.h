/* search.h - from a plugin's name to its file.
 *
 * NAME.so is looked for in the directories of MF_PLUGIN_PATH, then in plugin_dirs, then in the installed
 * directory. The first directory that has an entry of that name decides, whatever the entry is. Empty and relative parts
 * of MF_PLUGIN_PATH are passed over, since they would mean "wherever the program was started". */
#pragma once

#include <moduforge/status.h>

struct mf_plugin_search {
	const char *plugin_path; /* directories divided by ':'; NULL: none */
	char *const *dirs;
	size_t dir_count;
	const char *installed_dir; /* NULL: none */
};

/* *out_path is the caller's, for mf_free. MF_ERR_NOT_FOUND lists the directories tried and the parts passed over;
 * MF_ERR_PLUGIN: a directory could not be looked into. */
enum mf_status mf_plugin_search(const struct mf_plugin_search *search, const char *name, char **out_path, struct mf_error *error);
