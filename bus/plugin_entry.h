/* plugin_entry.h - one configured plugin through its life.
 *
 *   find -> open -> configure -> create and init -> start -> stop -> destroy
 *
 * Each step is called once, in this order, and only after the one before it succeeded; destroy undoes whatever there
 * is and may always be called. Errors begin with "plugin NAME". Thread: one. */
#pragma once

#include "bus/config.h"
#include "bus/options.h"
#include "bus/plugin.h"
#include "bus/plugin_set.h"
#include "bus/registrar.h"
#include "bus/search.h"

enum mf_entry_state { MF_ENTRY_LOADED, MF_ENTRY_STARTED, MF_ENTRY_STOPPED, MF_ENTRY_FAILED };

struct mf_entry {
	const struct mf_plugins_entry *configured;
	struct mf_plugin_file file; /* path NULL: not found */
	struct mf_plugin plugin;    /* name NULL: not opened */
	struct mf_config *config;
	void *instance;
	bool created;
	enum mf_entry_state state;
	struct mf_registrar registrar;
	struct mf_error failure; /* MF_ENTRY_FAILED */
	bool is_fatal;           /* ... and the set cannot go on without it */
};

enum mf_status mf_entry_find(struct mf_entry *entry, const struct mf_plugin_search *search, bool strict_paths, struct mf_error *error);
enum mf_status mf_entry_open(struct mf_entry *entry, struct mf_error *error);
/* Overrides go over what plugins.json says; taken[i] is set for each that this plugin has an option for. */
enum mf_status mf_entry_configure(struct mf_entry *entry, const struct mf_plugin_override *overrides, struct mf_value *const *override_values,
				  size_t override_count, bool *taken, struct mf_error *error);
enum mf_status mf_entry_init(struct mf_entry *entry, struct mf_error *error);
enum mf_status mf_entry_start(struct mf_entry *entry, struct mf_error *error);
enum mf_status mf_entry_stop(struct mf_entry *entry, struct mf_error *error); /* its deliveries end first */
void mf_entry_destroy(struct mf_entry *entry); /* takes back what it registered */
void mf_entry_deinit(struct mf_entry *entry);
struct mf_plugin_entry_info mf_entry_info(const struct mf_entry *entry);
