#include "bus/plugin_entry.h"

#include <stdio.h>
#include <string.h>

#include "bus/foreign.h"
#include "model/mem.h"
#include "model/probes.h"

#define WHO_SIZE (MF_PLUGIN_NAME_MAX + 32)

static enum mf_status prefixed(const struct mf_entry *entry, enum mf_status status, struct mf_error *error)
{
	return status == MF_OK ? MF_OK : mf_error_prefix(error, status, "plugin %s", entry->configured->name);
}

/* ---- before any of its code runs ---- */
static enum mf_status find(struct mf_entry *entry, const struct mf_plugin_search *search, bool strict_paths, struct mf_error *error)
{
	if (entry->configured->path)
		return mf_plugin_file_check(entry->configured->path, strict_paths, &entry->file, error);
	char *path = NULL;
	enum mf_status status = mf_plugin_search(search, entry->configured->name, &path, error);
	if (status == MF_OK)
		status = mf_plugin_file_check(path, strict_paths, &entry->file, error);
	mf_free(path);
	return status;
}

enum mf_status mf_entry_find(struct mf_entry *entry, const struct mf_plugin_search *search, bool strict_paths, struct mf_error *error)
{
	return prefixed(entry, find(entry, search, strict_paths, error), error);
}

/* ---- opened, not yet alive ---- */
enum mf_status mf_entry_open(struct mf_entry *entry, struct mf_error *error)
{
	return prefixed(entry, mf_plugin_open(&entry->file, entry->configured->name, &entry->plugin, error), error);
}

static enum mf_status read_config(struct mf_entry *entry, struct mf_error *error)
{
	const struct mf_plugins_entry *configured = entry->configured;
	return configured->config ? mf_config_read(entry->config, configured->config, &configured->config_place, error) : MF_OK;
}

static enum mf_status override(struct mf_entry *entry, const struct mf_plugin_override *override, const struct mf_value *value, bool *taken, struct mf_error *error)
{
	if (!mf_config_has(entry->config, override->option))
		return MF_OK;
	char what[200];
	snprintf(what, sizeof(what), "override of %s", override->option);
	const struct mf_json_place place = {.file = what};
	*taken = true;
	return mf_config_set(entry->config, override->option, value, &place, error);
}

enum mf_status mf_entry_configure(struct mf_entry *entry, const struct mf_plugin_override *overrides, struct mf_value *const *override_values,
				  size_t override_count, bool *taken, struct mf_error *error)
{
	enum mf_status status = mf_config_new(entry->plugin.options, &entry->config, error);
	if (status == MF_OK)
		status = read_config(entry, error);
	for (size_t i = 0; status == MF_OK && i < override_count; i++)
		status = override(entry, &overrides[i], override_values[i], &taken[i], error);
	if (status == MF_OK)
		status = mf_config_finish(entry->config, &entry->configured->config_place, error);
	return prefixed(entry, status, error);
}

/* ---- alive: from here on its own functions run ---- */
static enum mf_status foreign(const struct mf_entry *entry, const char *function, enum mf_status status, struct mf_error *given, struct mf_error *error)
{
	char who[WHO_SIZE];
	if (status == MF_OK)
		return MF_OK;
	snprintf(who, sizeof(who), "plugin %s: %s", entry->configured->name, function);
	return mf_foreign_failure(error, status, given, who);
}

/* "/store/dir: ..." of create: the place of an option of its own. A path of a file begins like that too. */
static bool find_place(const struct mf_entry *entry, const char *message, struct mf_json_place *out)
{
	char option[MF_POINTER_SIZE];
	size_t len = strcspn(message, ":");
	*out = entry->configured->config_place;
	size_t at = strlen(out->pointer);
	if (message[0] != '/' || !message[len] || at + len >= sizeof(out->pointer))
		return false;
	memcpy(out->pointer + at, message, len);
	out->pointer[at + len] = '\0';
	memcpy(option, message + 1, len - 1);
	option[len - 1] = '\0';
	for (char *slash = option; (slash = strchr(slash, '/'));)
		*slash = '.';
	return mf_config_has(entry->config, option);
}

/* Every call into a plugin but those of the bus. */
static enum mf_status called(const struct mf_entry *entry, const char *what, enum mf_status status)
{
	MF_PROBE3(plugin_call, entry->configured->name, what, (int)status);
	return status;
}

static enum mf_status create(struct mf_entry *entry, struct mf_error *error)
{
	struct mf_error given = {0};
	enum mf_status status = entry->plugin.create ? called(entry, "create", entry->plugin.create(entry->config, &entry->instance, &given)) : MF_OK;
	entry->created = status == MF_OK;
	struct mf_json_place place;
	given.message[sizeof(given.message) - 1] = '\0';
	if (status == MF_ERR_INVALID && find_place(entry, given.message, &place)) {
		const char *text = strchr(given.message, ':') + 1;
		return prefixed(entry, mf_json_place_error(&place, error, "%s", text + strspn(text, " ")), error);
	}
	return foreign(entry, "create", status, &given, error);
}

enum mf_status mf_entry_init(struct mf_entry *entry, struct mf_error *error)
{
	enum mf_status status = create(entry, error);
	if (status != MF_OK)
		return status;
	struct mf_error given = {0};
	entry->registrar.open = true;
	status = called(entry, "init", entry->plugin.init(entry->instance, &entry->registrar, &given));
	entry->registrar.open = false;
	if (status == MF_OK)
		return MF_OK;
	mf_entry_destroy(entry);
	return foreign(entry, "init", status, &given, error);
}

/* What says that the store cannot be used, and not what is wrong with the plugin. */
static bool is_about_the_store(enum mf_status status)
{
	return status == MF_ERR_NOT_FOUND || status == MF_ERR_LOCKED || status == MF_ERR_BUSY || status == MF_ERR_STORAGE_FULL || status == MF_ERR_IO ||
	       status == MF_ERR_CORRUPTED || status == MF_ERR_UNKNOWN_OUTCOME;
}

/* The committer's sentence about its store is for a person, who need not know which plugin has it. */
static enum mf_status committer_failed(const struct mf_entry *entry, enum mf_status status, struct mf_error *given, struct mf_error *error)
{
	given->message[sizeof(given->message) - 1] = '\0';
	if (!is_about_the_store(status) || !given->message[0])
		return foreign(entry, "start", status, given, error);
	given->status = status;
	*error = *given;
	return status;
}

/* A storage error is one of the store. Any other plugin that cannot write is a plugin that failed. */
static enum mf_status other_failed(const struct mf_entry *entry, enum mf_status status, struct mf_error *given, struct mf_error *error)
{
	bool storage = status == MF_ERR_STORAGE_FULL || status == MF_ERR_IO || status == MF_ERR_CORRUPTED || status == MF_ERR_UNKNOWN_OUTCOME;
	status = foreign(entry, "start", status, given, error);
	if (!storage)
		return status;
	error->status = MF_ERR_PLUGIN;
	return MF_ERR_PLUGIN;
}

enum mf_status mf_entry_start(struct mf_entry *entry, struct mf_error *error)
{
	bool is_committer = entry->registrar.host->committer_owner == &entry->registrar;
	struct mf_error given = {0};
	enum mf_status status = entry->plugin.start ? called(entry, "start", entry->plugin.start(entry->instance, &given)) : MF_OK;
	if (status == MF_OK)
		entry->state = MF_ENTRY_STARTED;
	return is_committer ? committer_failed(entry, status, &given, error) : other_failed(entry, status, &given, error);
}

enum mf_status mf_entry_stop(struct mf_entry *entry, struct mf_error *error)
{
	struct mf_error given = {0};
	enum mf_status status = mf_registrar_unsubscribe(&entry->registrar, error);
	if (status != MF_OK) /* its handler is at work: what that uses may not be taken away */
		return prefixed(entry, status, error);
	status = entry->plugin.stop ? called(entry, "stop", entry->plugin.stop(entry->instance, &given)) : MF_OK;
	entry->state = MF_ENTRY_STOPPED;
	return foreign(entry, "stop", status, &given, error);
}

void mf_entry_destroy(struct mf_entry *entry)
{
	if (!entry->created)
		return;
	mf_registrar_take_back(&entry->registrar);
	if (entry->plugin.destroy)
		entry->plugin.destroy(entry->instance);
	entry->instance = NULL;
	entry->created = false;
}

void mf_entry_deinit(struct mf_entry *entry)
{
	mf_entry_destroy(entry);
	mf_registrar_deinit(&entry->registrar);
	mf_config_free(entry->config);
	mf_plugin_file_deinit(&entry->file);
}

/* ---- queries ---- */
static const char *state_name(enum mf_entry_state state)
{
	switch (state) {
	case MF_ENTRY_LOADED: return "loaded";
	case MF_ENTRY_STARTED: return "started";
	case MF_ENTRY_STOPPED: return "stopped";
	case MF_ENTRY_FAILED: return "skipped";
	}
	return "unknown";
}

struct mf_plugin_entry_info mf_entry_info(const struct mf_entry *entry)
{
	const char *configured_path = entry->configured->path ? entry->configured->path : "";
	return (struct mf_plugin_entry_info){
		.name = entry->configured->name,
		.version = entry->plugin.version ? entry->plugin.version : "",
		.summary = entry->plugin.summary ? entry->plugin.summary : "",
		.path = entry->file.path ? entry->file.path : configured_path,
		.state = state_name(entry->state),
		.message = entry->state == MF_ENTRY_FAILED ? entry->failure.message : "",
		.required = entry->configured->required,
	};
}
