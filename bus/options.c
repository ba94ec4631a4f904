#include "bus/options.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "bus/option_table.h"
#include "bus/option_value.h"
#include "model/mem.h"

#define NAME_SIZE 256 /* of a dotted name while it is put together; longer than any name in a table */

struct mf_config {
	const struct mf_option *table;
	size_t count;
	struct mf_option_value values[]; /* in the table's order */
};

/* ---- life cycle ---- */
enum mf_status mf_config_new(const struct mf_option *table, struct mf_config **out, struct mf_error *error)
{
	size_t count;
	enum mf_status status = mf_option_table_check(table, &count, error);
	if (status != MF_OK)
		return status;
	struct mf_config *config = mf_calloc(1, sizeof(*config) + count * sizeof(config->values[0]));
	if (!config)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %zu options", count);
	config->table = table;
	config->count = count;
	for (size_t i = 0; status == MF_OK && i < count; i++)
		if (table[i].default_text)
			status = mf_option_value_read_default(&config->values[i], &table[i], error);
	if (status != MF_OK) {
		mf_config_free(config);
		return status;
	}
	*out = config;
	return MF_OK;
}

void mf_config_free(struct mf_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->count; i++)
		mf_option_value_deinit(&config->values[i]);
	mf_free(config);
}

/* ---- filling it ---- */
static enum mf_status unknown_key(const struct mf_config *config, const char *name, const struct mf_json_place *place, struct mf_error *error)
{
	const char *nearest = mf_option_table_nearest(config->table, name);
	if (!nearest)
		return mf_json_place_error(place, error, "the plugin takes no configuration");
	return mf_json_place_error(place, error, "there is no such option; the nearest is %s%s", nearest,
				   strchr(nearest, '.') ? " (a dot stands for a nested object)" : "");
}

static enum mf_status read_object(struct mf_config *config, const char *prefix, const struct mf_value *object, const struct mf_json_place *place, struct mf_error *error);

/* A key that holds a dot itself would be a second way to write a nested object: unknown. */
static enum mf_status read_member(struct mf_config *config, const char *prefix, const char *key, const struct mf_value *json,
				  const struct mf_json_place *place, struct mf_error *error)
{
	char name[NAME_SIZE];
	int len = snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] ? "." : "", key);
	bool possible = (size_t)len < sizeof(name) && !strchr(key, '.');
	if (possible && mf_config_has(config, name))
		return mf_config_set(config, name, json, place, error);
	if (possible && key[0] && mf_option_table_has_object(config->table, name))
		return read_object(config, name, json, place, error);
	return unknown_key(config, name, place, error);
}

/* Nesting is bounded: only prefixes of names in the table are entered. */
static enum mf_status read_object(struct mf_config *config, const char *prefix, const struct mf_value *object, const struct mf_json_place *place, struct mf_error *error)
{
	enum mf_status status = mf_json_place_expect(place, object, MF_VALUE_OBJECT, error);
	for (size_t i = 0; status == MF_OK && i < mf_value_count(object); i++) {
		const char *key;
		const struct mf_value *json = mf_value_member(object, i, &key, NULL);
		struct mf_json_place at = mf_json_place_member(place, key);
		status = read_member(config, prefix, key, json, &at, error);
	}
	return status;
}

enum mf_status mf_config_read(struct mf_config *config, const struct mf_value *object, const struct mf_json_place *place, struct mf_error *error)
{
	return read_object(config, "", object, place, error);
}

bool mf_config_has(const struct mf_config *config, const char *name)
{
	return mf_option_table_find(config->table, name) != NULL;
}

enum mf_status mf_config_set(struct mf_config *config, const char *name, const struct mf_value *json, const struct mf_json_place *place, struct mf_error *error)
{
	const struct mf_option *option = mf_option_table_find(config->table, name);
	if (!option)
		return unknown_key(config, name, place, error);
	return mf_option_value_read(&config->values[option - config->table], option, json, place, error);
}

/* "store.dir" under /plugins/3/config is /plugins/3/config/store/dir. */
static struct mf_json_place place_of(const char *name, const struct mf_json_place *place)
{
	struct mf_json_place at = *place;
	char part[NAME_SIZE];
	while (*name) {
		size_t len = strcspn(name, ".");
		snprintf(part, sizeof(part), "%.*s", (int)len, name);
		at = mf_json_place_member(&at, part);
		name += len + (name[len] == '.');
	}
	return at;
}

enum mf_status mf_config_finish(const struct mf_config *config, const struct mf_json_place *place, struct mf_error *error)
{
	for (size_t i = 0; i < config->count; i++) {
		if (config->values[i].is_set)
			continue;
		struct mf_json_place at = place_of(config->table[i].name, place);
		const char *help = config->table[i].help;
		return mf_json_place_error(&at, error, "the required option %s is missing%s%s", config->table[i].name, help ? ": " : "", help ? help : "");
	}
	return MF_OK;
}

/* ---- reading it: a wrong name or type is the plugin's own mistake, not the user's ---- */
static const struct mf_option_value *value_of(const struct mf_config *config, const char *name, enum mf_option_type type, enum mf_option_type other)
{
	const struct mf_option *option = mf_option_table_find(config->table, name);
	assert(option && "the plugin asks for an option that is not in its table");
	assert((option->type == type || option->type == other) && "the plugin asks for an option by another type than its table says");
	return &config->values[option - config->table];
}

bool mf_config_bool(const struct mf_config *config, const char *name)
{
	return value_of(config, name, MF_OPTION_BOOL, MF_OPTION_BOOL)->boolean;
}

int64_t mf_config_int(const struct mf_config *config, const char *name)
{
	return value_of(config, name, MF_OPTION_INT, MF_OPTION_INT)->integer;
}

double mf_config_double(const struct mf_config *config, const char *name)
{
	return value_of(config, name, MF_OPTION_DOUBLE, MF_OPTION_DOUBLE)->real;
}

const char *mf_config_string(const struct mf_config *config, const char *name)
{
	return value_of(config, name, MF_OPTION_STRING, MF_OPTION_ENUM)->text;
}

enum mf_commit_kind mf_config_commit_mode(const struct mf_config *config, const char *name, uint32_t *out_group_window_ms)
{
	const struct mf_option_value *value = value_of(config, name, MF_OPTION_COMMIT_MODE, MF_OPTION_COMMIT_MODE);
	if (out_group_window_ms)
		*out_group_window_ms = (uint32_t)value->integer;
	return value->kind;
}
