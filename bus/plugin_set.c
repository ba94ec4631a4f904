#include "bus/plugin_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/plugin_entry.h"
#include "bus/plugin_order.h"
#include "model/mem.h"

/* Invariants
 * 1. Entries stay where they are: registrars point to each other and plugins keep pointers to them.
 * 2. order[0..order_count) are the entries that were created, in that order; started[0..started_count) those that run.
 * 3. A failed entry has no instance, nothing on the bus, and a failure that says why. */
struct mf_plugin_set {
	struct mf_plugins_file file;
	struct mf_registrar_host host;
	struct mf_entry *entries;
	size_t count;
	size_t order[MF_PLUGINS_MAX], order_count;
	size_t started[MF_PLUGINS_MAX], started_count;
	size_t first_failure; /* the fatal failure that came first; count: none */
	bool was_started, busy;
};

struct overrides {
	const struct mf_plugin_override *items;
	size_t count;
	struct mf_value **values;
	bool *taken;
};

/* ---- failures: noted with their entry, told together ---- */
static void fail(struct mf_plugin_set *set, struct mf_entry *entry, const struct mf_error *why, bool is_fatal)
{
	entry->failure = *why;
	entry->state = MF_ENTRY_FAILED;
	entry->is_fatal = is_fatal || entry->configured->required || why->status == MF_ERR_NO_MEMORY;
	if (entry->is_fatal && set->first_failure == set->count)
		set->first_failure = (size_t)(entry - set->entries);
	if (!entry->is_fatal)
		mf_logf(&set->host.logger, MF_LOG_WARNING, "a plugin that is not required was skipped: %s", entry->failure.message);
}

static void fail_status(struct mf_plugin_set *set, struct mf_entry *entry, enum mf_status status, struct mf_error *why, bool is_fatal)
{
	if (status == MF_OK)
		return;
	why->status = status;
	fail(set, entry, why, is_fatal);
}

/* " (2 more failed: a, b)" */
static void list_others(const struct mf_plugin_set *set, char *text, size_t size)
{
	size_t others = 0, len;
	for (size_t i = 0; i < set->count; i++)
		others += set->entries[i].state == MF_ENTRY_FAILED && i != set->first_failure;
	text[0] = '\0';
	if (others == 0)
		return;
	len = (size_t)snprintf(text, size, " (%zu more failed:", others);
	for (size_t i = 0; i < set->count && len < size; i++)
		if (set->entries[i].state == MF_ENTRY_FAILED && i != set->first_failure)
			len += (size_t)snprintf(text + len, size - len, " %s", set->entries[i].configured->name);
	if (len < size - 1)
		memcpy(text + len, ")", sizeof(")"));
}

/* MF_OK as long as no plugin failed that the set needs. */
static enum mf_status report(const struct mf_plugin_set *set, struct mf_error *error)
{
	if (set->first_failure == set->count)
		return MF_OK;
	const struct mf_error *first = &set->entries[set->first_failure].failure;
	char others[160];
	list_others(set, others, sizeof(others));
	if (!error)
		return first->status;
	*error = *first;
	size_t len = strlen(error->message), room = sizeof(error->message) - 1 - strlen(others);
	size_t at = len < room ? len : room;
	while (at < len && (error->message[at] & 0xC0) == 0x80) /* it begins with "plugin" */
		at--; /* not within a UTF-8 sequence */
	snprintf(error->message + at, sizeof(error->message) - at, "%s", others);
	return first->status;
}

/* ---- files ---- */
static struct mf_entry *same_file(const struct mf_plugin_set *set, const struct mf_entry *entry)
{
	for (struct mf_entry *earlier = set->entries; earlier < entry; earlier++)
		if (earlier->file.path && earlier->file.dev == entry->file.dev && earlier->file.ino == entry->file.ino)
			return earlier;
	return NULL;
}

static enum mf_status refuse_same_file(const struct mf_plugin_set *set, const struct mf_entry *entry, struct mf_error *error)
{
	const struct mf_entry *earlier = same_file(set, entry);
	if (!earlier)
		return MF_OK;
	return mf_error_set(error, MF_ERR_PLUGIN, "plugin %s: it is the same file as plugin %s, and a file can be loaded once: %s",
			    entry->configured->name, earlier->configured->name, entry->file.path);
}

static void find_files(struct mf_plugin_set *set, const char *plugin_path)
{
	char installed_dir[PATH_MAX];
	const struct mf_plugin_search search = {
		.plugin_path = plugin_path ? plugin_path : secure_getenv("MF_PLUGIN_PATH"),
		.dirs = set->file.plugin_dirs,
		.dir_count = set->file.plugin_dir_count,
		.installed_dir = mf_plugin_installed_dir(installed_dir),
	};
	for (size_t i = 0; i < set->count; i++) {
		struct mf_error error = {0};
		enum mf_status status = mf_entry_find(&set->entries[i], &search, set->file.strict_paths, &error);
		if (status == MF_OK)
			status = refuse_same_file(set, &set->entries[i], &error);
		fail_status(set, &set->entries[i], status, &error, false);
	}
}

/* ---- code and configuration ---- */
/* A wrong configuration is the user's mistake, also that of an optional plugin: never passed over. */
static void open_files(struct mf_plugin_set *set, const struct overrides *overrides)
{
	for (size_t i = 0; i < set->count; i++) {
		struct mf_entry *entry = &set->entries[i];
		struct mf_error error = {0};
		if (entry->state == MF_ENTRY_FAILED)
			continue;
		enum mf_status status = mf_entry_open(entry, &error);
		if (status == MF_OK)
			status = mf_entry_configure(entry, overrides->items, overrides->values, overrides->count, overrides->taken, &error);
		fail_status(set, entry, status, &error, status == MF_ERR_INVALID);
	}
}

static enum mf_status check_taken(const struct overrides *overrides, struct mf_error *error)
{
	for (size_t i = 0; i < overrides->count; i++)
		if (!overrides->taken[i])
			return mf_error_set(error, MF_ERR_INVALID, "no loaded plugin has the option %s, which was to be overridden%s", overrides->items[i].option,
					    overrides->items[i].hint ? overrides->items[i].hint : "");
	return MF_OK;
}

/* ---- order ---- */
static void order_items(const struct mf_plugin_set *set, struct mf_order_item *out)
{
	for (size_t i = 0; i < set->count; i++)
		out[i] = (struct mf_order_item){
			.name = set->entries[i].configured->name,
			.requires_plugins = set->entries[i].plugin.requires_plugins,
			.left_out = set->entries[i].state == MF_ENTRY_FAILED,
		};
}

static const struct mf_entry *find_entry(const struct mf_plugin_set *set, const char *name)
{
	for (size_t i = 0; i < set->count; i++)
		if (strcmp(set->entries[i].configured->name, name) == 0)
			return &set->entries[i];
	return NULL;
}

/* Fails the entry if something it requires is not there (any more). Returns whether it did. */
static bool fail_if_deserted(struct mf_plugin_set *set, struct mf_entry *entry)
{
	const char *const *name = entry->state == MF_ENTRY_FAILED ? NULL : entry->plugin.requires_plugins;
	for (; name && *name; name++) {
		const struct mf_entry *needed = find_entry(set, *name);
		struct mf_error error = {0};
		if (needed && needed->state != MF_ENTRY_FAILED)
			continue;
		if (!needed)
			(void)mf_error_set(&error, MF_ERR_PLUGIN, "plugin %s requires plugin %.64s, which is not in %s", entry->configured->name, *name, set->file.path);
		else
			(void)mf_error_set(&error, MF_ERR_PLUGIN, "plugin %s requires plugin %s, which was not loaded: %s", entry->configured->name, *name, needed->failure.message);
		fail(set, entry, &error, false);
		return true;
	}
	return false;
}

static void fail_the_deserted(struct mf_plugin_set *set)
{
	for (size_t i = 0; i < set->count;)
		i = fail_if_deserted(set, &set->entries[i]) ? 0 : i + 1;
}

static void fail_ring(struct mf_plugin_set *set, const size_t *ring, size_t len)
{
	char text[300] = "";
	size_t used = 0;
	for (size_t i = 0; i <= len && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? " -> " : "", set->entries[ring[i % len]].configured->name);
	for (size_t i = 0; i < len; i++) {
		struct mf_entry *entry = &set->entries[ring[i]];
		struct mf_error error = {0};
		(void)mf_error_set(&error, MF_ERR_PLUGIN, "plugin %s requires itself: %s", entry->configured->name, text);
		fail(set, entry, &error, false);
	}
}

/* Every round orders all that is left, or fails at least one. */
static void settle_order(struct mf_plugin_set *set)
{
	struct mf_order_item items[MF_PLUGINS_MAX];
	size_t ring[MF_PLUGINS_MAX], ring_len;
	do {
		fail_the_deserted(set);
		order_items(set, items);
		set->order_count = mf_plugin_order(items, set->count, set->order);
		ring_len = mf_plugin_ring(items, set->count, set->order, set->order_count, ring);
		if (ring_len > 0)
			fail_ring(set, ring, ring_len);
	} while (ring_len > 0);
}

/* ---- create and init ---- */
static void init_all(struct mf_plugin_set *set)
{
	for (size_t i = 0; i < set->order_count && set->first_failure == set->count; i++) {
		struct mf_entry *entry = &set->entries[set->order[i]];
		struct mf_error error = {0};
		if (!fail_if_deserted(set, entry))
			fail_status(set, entry, mf_entry_init(entry, &error), &error, false);
	}
}

static void destroy_all(struct mf_plugin_set *set)
{
	for (size_t i = set->order_count; i > 0; i--)
		mf_entry_destroy(&set->entries[set->order[i - 1]]);
}

/* ---- load ---- */
static enum mf_status overrides_init(struct overrides *overrides, const struct mf_plugin_set_options *options, struct mf_error *error)
{
	size_t count = options->override_count;
	*overrides = (struct overrides){
		.items = options->overrides,
		.count = count,
		.values = mf_calloc(count, sizeof(overrides->values[0])),
		.taken = mf_calloc(count, sizeof(overrides->taken[0])),
	};
	enum mf_status status = overrides->values && overrides->taken ? MF_OK : mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %zu overrides", count);
	for (size_t i = 0; status == MF_OK && i < count; i++) {
		const char *json = overrides->items[i].json;
		status = mf_value_parse_json(json, strlen(json), &overrides->values[i], error);
		if (status != MF_OK)
			(void)mf_error_prefix(error, status, "override of %s", overrides->items[i].option);
	}
	return status;
}

static void overrides_deinit(struct overrides *overrides)
{
	for (size_t i = 0; overrides->values && i < overrides->count; i++)
		if (overrides->values[i])
			mf_value_unref(overrides->values[i]);
	mf_free(overrides->values);
	mf_free(overrides->taken);
}

static enum mf_status make_entries(struct mf_plugin_set *set, struct mf_error *error)
{
	set->entries = mf_calloc(set->file.entry_count, sizeof(set->entries[0]));
	if (!set->entries)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %zu plugins", set->file.entry_count);
	set->count = set->file.entry_count;
	set->first_failure = set->count;
	for (size_t i = 0; i < set->count; i++) {
		set->entries[i].configured = &set->file.entries[i];
		mf_registrar_init(&set->entries[i].registrar, &set->host, set->file.entries[i].name);
	}
	return MF_OK;
}

static enum mf_status load(struct mf_plugin_set *set, const struct mf_plugin_set_options *options, const struct overrides *overrides, struct mf_error *error)
{
	enum mf_status status = mf_plugins_file_read(options->config_path, &set->file, error);
	if (status == MF_OK)
		status = make_entries(set, error);
	if (status != MF_OK)
		return status;
	find_files(set, options->plugin_path);
	status = report(set, error);
	if (status != MF_OK)
		return status;
	open_files(set, overrides);
	settle_order(set);
	status = report(set, error);
	if (status == MF_OK)
		status = check_taken(overrides, error);
	if (status != MF_OK)
		return status;
	init_all(set);
	return report(set, error);
}

enum mf_status mf_plugin_set_load(const struct mf_plugin_set_options *options, struct mf_bus *bus, struct mf_step_registry *registry,
				  struct mf_plugin_set **out, struct mf_error *error)
{
	if (!options->config_path || !options->config_path[0])
		return mf_error_set(error, MF_ERR_INVALID, "no configuration file was named");
	struct mf_plugin_set *set = mf_calloc(1, sizeof(*set));
	if (!set)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the plugins");
	set->host = (struct mf_registrar_host){.bus = bus, .steps = registry, .read_only = options->read_only, .logger = options->logger};
	struct overrides overrides;
	enum mf_status status = overrides_init(&overrides, options, error);
	if (status == MF_OK)
		status = load(set, options, &overrides, error);
	overrides_deinit(&overrides);
	if (status != MF_OK) {
		mf_plugin_set_free(set);
		return status;
	}
	mf_step_registry_freeze(registry);
	set->host.frozen = true;
	*out = set;
	return MF_OK;
}

/* ---- start ---- */
/* The committer's plugin and all that it requires, directly or not. The order has requirements before
 * their users, so one walk backwards finds them. */
static void mark_first(const struct mf_plugin_set *set, bool *first)
{
	for (size_t i = set->order_count; i > 0; i--) {
		const struct mf_entry *entry = &set->entries[set->order[i - 1]];
		if (&entry->registrar == set->host.committer_owner)
			first[set->order[i - 1]] = true;
		if (!first[set->order[i - 1]])
			continue;
		for (const char *const *name = entry->plugin.requires_plugins; name && *name; name++)
			first[find_entry(set, *name) - set->entries] = true;
	}
}

static void start_one(struct mf_plugin_set *set, size_t index)
{
	struct mf_entry *entry = &set->entries[index];
	struct mf_error error = {0};
	bool is_committer = &entry->registrar == set->host.committer_owner;
	if (entry->state == MF_ENTRY_FAILED)
		return;
	if (!fail_if_deserted(set, entry))
		fail_status(set, entry, mf_entry_start(entry, &error), &error, is_committer);
	if (entry->state == MF_ENTRY_FAILED)
		mf_entry_destroy(entry);
	else
		set->started[set->started_count++] = index;
}

static void start_all(struct mf_plugin_set *set)
{
	bool first[MF_PLUGINS_MAX] = {0};
	mark_first(set, first);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < set->order_count && set->first_failure == set->count; i++)
			if (first[set->order[i]] == (pass == 0))
				start_one(set, set->order[i]);
}

enum mf_status mf_plugin_set_start(struct mf_plugin_set *set, struct mf_error *error)
{
	if (set->was_started)
		return mf_error_set(error, MF_ERR_STATE, "the plugins were started before: load them again");
	set->was_started = true;
	start_all(set);
	enum mf_status status = report(set, error);
	if (status == MF_OK && set->host.committer)
		status = mf_bus_set_committer(set->host.bus, set->host.committer, error);
	if (status == MF_OK)
		return MF_OK;
	set->host.committer = NULL; /* not on the bus */
	(void)mf_plugin_set_stop(set, NULL);
	if (!set->busy)
		destroy_all(set);
	return status;
}

/* ---- stop ---- */
enum mf_status mf_plugin_set_stop(struct mf_plugin_set *set, struct mf_error *error)
{
	enum mf_status first = MF_OK;
	if (set->started_count > 0 && set->host.committer)
		(void)!mf_bus_set_committer(set->host.bus, NULL, NULL);
	while (set->started_count > 0) {
		struct mf_entry *entry = &set->entries[set->started[--set->started_count]];
		enum mf_status status = mf_entry_stop(entry, first == MF_OK ? error : NULL);
		set->busy = set->busy || status == MF_ERR_TIMEOUT;
		first = first == MF_OK ? status : first;
	}
	return first;
}

bool mf_plugin_set_busy(const struct mf_plugin_set *set)
{
	return set->busy;
}

void mf_plugin_set_free(struct mf_plugin_set *set)
{
	if (!set)
		return;
	(void)mf_plugin_set_stop(set, NULL);
	destroy_all(set);
	for (size_t i = 0; i < set->count; i++)
		mf_entry_deinit(&set->entries[i]);
	mf_free(set->entries);
	mf_plugins_file_deinit(&set->file);
	mf_free(set);
}

/* ---- queries ---- */
const char *mf_plugin_set_default_doc(const struct mf_plugin_set *set)
{
	return set->host.default_doc_id;
}

bool mf_plugin_set_recover_all(const struct mf_plugin_set *set)
{
	return set->file.recover_all;
}

size_t mf_plugin_set_max_loaded_documents(const struct mf_plugin_set *set)
{
	return set->file.max_loaded_documents;
}

void mf_plugin_set_each(const struct mf_plugin_set *set, bool (*visit)(void *user, const struct mf_plugin_entry_info *info), void *user)
{
	for (size_t i = 0; i < set->count; i++) {
		struct mf_plugin_entry_info info = mf_entry_info(&set->entries[i]);
		if (!visit(user, &info))
			return;
	}
}
