/* config.h - plugins.json as a checked structure. docs/plugins.md describes the file.
 *
 * Strict: an unknown member, a wrong type, a duplicate key or plugin name is MF_ERR_INVALID, with file and line and
 * column (syntax) or JSON pointer (meaning). What is under a plugin's "config" is checked later, against its options. */
#pragma once

#include <moduforge/value.h>

#include "bus/json_place.h"

#define MF_PLUGINS_FILE_MAX (1024 * 1024)
#define MF_PLUGINS_MAX 256
#define MF_PLUGIN_NAME_MAX 64

struct mf_plugins_entry {
	char *name;
	char *path;    /* NULL: to be searched; a relative path was joined to the file's directory */
	bool required;
	const struct mf_value *config; /* borrowed from the file; NULL: none */
	struct mf_json_place config_place;
};

struct mf_plugins_file {
	char *path, *dir;
	struct mf_value *json;
	char **plugin_dirs; /* relative ones were joined to dir */
	size_t plugin_dir_count;
	struct mf_plugins_entry *entries;
	size_t entry_count;
	bool strict_paths;           /* "path_policy": "strict" (default) or "off" */
	bool recover_all;            /* "recover_at_open": "default" or "all" */
	size_t max_loaded_documents; /* 0: no limit */
};

/* MF_ERR_NOT_FOUND, MF_ERR_IO, MF_ERR_INVALID; MF_ERR_PLUGIN: others may change the file (strict path policy). */
enum mf_status mf_plugins_file_read(const char *path, struct mf_plugins_file *out, struct mf_error *error);
void mf_plugins_file_deinit(struct mf_plugins_file *file);

/* 1 to MF_PLUGIN_NAME_MAX letters, digits, '_', '-' and '.', not beginning with '.', without "..". */
bool mf_plugin_name_is_sound(const char *name);
