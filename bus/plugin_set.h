/* plugin_set.h - the plugins of one host: plugins.json read, files resolved, order made, lives led.
 *
 * Order of work: parse -> resolve and check every file -> open, check the ABI and the configuration -> order by
 * requires (deterministic) -> create -> init (the registration window) -> freeze -> start -> stop and
 * destroy in reverse. Nothing is created on disk before start; no code of a plugin runs before all files are checked.
 *
 * Failures of a step are collected: the error tells the first in full, and names the others. A required plugin
 * that fails, or wrong configuration of any plugin, ends the load; an optional plugin is skipped with its reason, and so is
 * what requires it.
 * Thread: one. */
#pragma once

#include <moduforge/plugin.h>

struct mf_plugin_set;

struct mf_plugin_override { /* replaces an option's value in every plugin whose table has it */
	const char *option; /* "store.dir" */
	const char *json;   /* as JSON text */
	const char *hint;   /* ends the error when no plugin has the option; may be NULL */
};

struct mf_plugin_set_options {
	const char *config_path;
	const char *plugin_path; /* NULL: MF_PLUGIN_PATH from the environment (secure_getenv) */
	const struct mf_plugin_override *overrides;
	size_t override_count;
	bool read_only;
	struct mf_logger logger;
};

/* Parse to freeze. The registry is filled and frozen, guards and followers are on the bus. Configuration errors are
 * MF_ERR_INVALID with file and JSON pointer; plugin errors MF_ERR_PLUGIN, MF_ERR_NOT_FOUND with plugin, file, rule. */
enum mf_status mf_plugin_set_load(const struct mf_plugin_set_options *options, struct mf_bus *bus, struct mf_step_registry *registry,
				  struct mf_plugin_set **out, struct mf_error *error);
enum mf_status mf_plugin_set_start(struct mf_plugin_set *set, struct mf_error *error); /* a failure stops what was started; sets the bus's committer */
/* Reverse order; goes on after an error and returns the first one. */
enum mf_status mf_plugin_set_stop(struct mf_plugin_set *set, struct mf_error *error);
bool mf_plugin_set_busy(const struct mf_plugin_set *set); /* a plugin's stop was MF_ERR_TIMEOUT: it still uses the set, bus and registry */
void mf_plugin_set_free(struct mf_plugin_set *set); /* stopped; destroys the instances. NULL is fine */

const char *mf_plugin_set_default_doc(const struct mf_plugin_set *set); /* NULL: no committer plugin */
/* Settings of plugins.json that are the host's own. */
bool mf_plugin_set_recover_all(const struct mf_plugin_set *set);              /* "recover_at_open": "all" */
size_t mf_plugin_set_max_loaded_documents(const struct mf_plugin_set *set);   /* 0: no limit */

struct mf_plugin_entry_info {
	const char *name, *version, *summary, *path;
	const char *state;   /* "loaded", "started", "stopped", "skipped" */
	const char *message; /* why it was skipped; else "" */
	bool required;
};
/* In the order of the configuration. Everything is borrowed from the set. */
void mf_plugin_set_each(const struct mf_plugin_set *set, bool (*visit)(void *user, const struct mf_plugin_entry_info *info), void *user);
