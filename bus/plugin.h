/* plugin.h - one plugin file: checked, opened, its descriptor checked.
 *
 * Two steps, so that all files can be checked before the first one runs code (constructors run
 * inside dlopen):
 *   check   a regular file, an ELF shared object of this machine, whole, not writable by others
 *   open    dlopen, the entry point, the descriptor: magic, versions, size, functions, name
 *
 * A plugin is never unmapped (RTLD_NODELETE, no dlclose): what it registered with the C library,
 * and its threads, may outlive it. For the life of the process this module remembers which file it opened under
 * which path: the same file again is the same plugin, another file at that path is refused, because
 * the old code would go on running under the new file's name.
 *
 * Thread: any. */
#pragma once

#include <limits.h>
#include <moduforge/plugin.h>
#include <sys/types.h>

/* The first version of struct mf_plugin ended here; what comes after it may be absent. */
#define MF_PLUGIN_SIZE_MIN (offsetof(struct mf_plugin, start))

struct mf_plugin_file {
	char *path; /* the real one: absolute, links resolved */
	dev_t dev;
	ino_t ino;
};

/* The folder `moduforge` beside the library itself, so that an installation finds its plugins wherever it was put or moved; where there
 * is none (a build tree, a program that holds the library) the folder that the build was configured for. */
const char *mf_plugin_installed_dir(char buffer[PATH_MAX]);

/* Errors are MF_ERR_NOT_FOUND and MF_ERR_PLUGIN (MF_ERR_NO_MEMORY): a sentence with rule and file; the caller puts the plugin's name before it. */
enum mf_status mf_plugin_file_check(const char *path, bool strict_paths, struct mf_plugin_file *out, struct mf_error *error);
void mf_plugin_file_deinit(struct mf_plugin_file *file);

/* Runs the plugin's constructors. name: what its descriptor must say (NULL: anything). *out is a copy, zero beyond the plugin's own size;
 * what it points to is the plugin's, and stays. */
enum mf_status mf_plugin_open(const struct mf_plugin_file *file, const char *name, struct mf_plugin *out, struct mf_error *error);
/* What open asks of a descriptor. path: for the messages. */
enum mf_status mf_plugin_descriptor_check(const struct mf_plugin *descriptor, const char *name, const char *path, struct mf_plugin *out, struct mf_error *error);
