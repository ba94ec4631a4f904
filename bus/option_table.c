#include "bus/option_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bus/edit_distance.h"

#define NAME_MAX_BYTES 128

/* ---- is it sound? ---- */
static bool name_is_sound(const char *name)
{
	size_t len = strnlen(name, NAME_MAX_BYTES + 1);
	if (len == 0 || len > NAME_MAX_BYTES || name[len - 1] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = name[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
		bool divider = c == '.' && i > 0 && name[i - 1] != '.';
		if (!letter && !divider)
			return false;
	}
	return true;
}

static enum mf_status check_option(const struct mf_option *option, size_t index, struct mf_error *error)
{
	if (!name_is_sound(option->name))
		return mf_error_set(error, MF_ERR_PLUGIN, "option number %zu has a bad name \"%.40s\": letters, digits and _ in parts divided by dots", index + 1, option->name);
	if ((int)option->type < MF_OPTION_BOOL || (int)option->type > MF_OPTION_COMMIT_MODE)
		return mf_error_set(error, MF_ERR_PLUGIN, "option %s has type %d, which this host does not know", option->name, (int)option->type);
	if (option->type == MF_OPTION_ENUM && (!option->choices || !option->choices[0]))
		return mf_error_set(error, MF_ERR_PLUGIN, "option %s is an enum without choices", option->name);
	if (option->min > option->max)
		return mf_error_set(error, MF_ERR_PLUGIN, "option %s has minimum %" PRId64 " above maximum %" PRId64, option->name, option->min, option->max);
	return MF_OK;
}

enum mf_status mf_option_table_check(const struct mf_option *table, size_t *out_count, struct mf_error *error)
{
	size_t count = 0;
	for (; table && table[count].name; count++) {
		const struct mf_option *option = &table[count];
		if (count == MF_OPTIONS_MAX)
			return mf_error_set(error, MF_ERR_PLUGIN, "more than %d options, or the table does not end with a NULL name", MF_OPTIONS_MAX);
		enum mf_status status = check_option(option, count, error);
		if (status != MF_OK)
			return status;
		if (mf_option_table_find(table, option->name) != option)
			return mf_error_set(error, MF_ERR_PLUGIN, "option %s is in the table twice", option->name);
	}
	for (size_t i = 0; i < count; i++)
		if (mf_option_table_has_object(table, table[i].name))
			return mf_error_set(error, MF_ERR_PLUGIN, "option %s is both a value and an object of other options", table[i].name);
	*out_count = count;
	return MF_OK;
}

/* ---- what is in it ---- */
const struct mf_option *mf_option_table_find(const struct mf_option *table, const char *name)
{
	for (; table && table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

bool mf_option_table_has_object(const struct mf_option *table, const char *name)
{
	size_t len = strlen(name);
	for (; table && table->name; table++)
		if (strncmp(table->name, name, len) == 0 && table->name[len] == '.')
			return true;
	return false;
}

const char *mf_option_table_nearest(const struct mf_option *table, const char *name)
{
	const char *nearest = NULL;
	size_t nearest_distance = SIZE_MAX;
	for (; table && table->name; table++) {
		size_t distance = mf_edit_distance(name, table->name);
		if (distance < nearest_distance) {
			nearest_distance = distance;
			nearest = table->name;
		}
	}
	return nearest;
}

bool mf_option_has_choice(const struct mf_option *option, const char *choice)
{
	size_t len = strlen(choice);
	if (len == 0 || strchr(choice, '|'))
		return false;
	for (const char *at = option->choices; at; at = strchr(at, '|')) {
		at += *at == '|';
		if (strncmp(at, choice, len) == 0 && (at[len] == '|' || at[len] == '\0'))
			return true;
	}
	return false;
}

bool mf_option_is_limited(const struct mf_option *option)
{
	return option->type == MF_OPTION_INT && (option->min != 0 || option->max != 0);
}

/* ---- how to print it ---- */
struct printer {
	mf_text_sink *sink;
	void *user;
};

static void put(const struct printer *to, const char *text)
{
	to->sink(to->user, text, strlen(text));
}

/* In a cell a bar would end the cell, a newline the table. */
static void put_cell(const struct printer *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			put(to, "\\|");
		else
			to->sink(to->user, *text == '\n' ? " " : text, 1);
	}
}

static const char *type_name(enum mf_option_type type)
{
	switch (type) {
	case MF_OPTION_BOOL: return "boolean";
	case MF_OPTION_INT: return "integer";
	case MF_OPTION_DOUBLE: return "number";
	case MF_OPTION_STRING: return "string";
	case MF_OPTION_ENUM: return "choice";
	case MF_OPTION_COMMIT_MODE: return "commit mode";
	}
	return "unknown";
}

static void put_default(const struct printer *to, const struct mf_option *option)
{
	if (!option->default_text) {
		put(to, "(required)");
	} else if (option->secret) {
		put(to, "(secret)");
	} else {
		put(to, "`");
		put_cell(to, option->default_text);
		put(to, "`");
	}
}

static void put_limit(const struct printer *to, int64_t limit)
{
	char number[24];
	snprintf(number, sizeof(number), "%" PRId64, limit);
	put(to, limit == INT64_MIN ? "any" : limit == INT64_MAX ? "any" : number);
}

static void put_range(const struct printer *to, const struct mf_option *option)
{
	if (option->type == MF_OPTION_ENUM) {
		put_cell(to, option->choices);
	} else if (option->type == MF_OPTION_COMMIT_MODE) {
		put(to, "`\"memory_only\"`, `\"sync_durable\"`, `{\"async_durable\": {\"group_window_ms\": 0..60000}}`");
	} else if (mf_option_is_limited(option)) {
		put_limit(to, option->min);
		put(to, " to ");
		put_limit(to, option->max);
	}
}

void mf_options_describe(const struct mf_option *table, mf_text_sink *sink, void *user)
{
	const struct printer to = {sink, user};
	put(&to, "| option | type | default | range | meaning |\n|---|---|---|---|---|\n");
	for (; table && table->name; table++) {
		put(&to, "| `");
		put(&to, table->name);
		put(&to, "` | ");
		put(&to, type_name(table->type));
		put(&to, " | ");
		put_default(&to, table);
		put(&to, " | ");
		put_range(&to, table);
		put(&to, " | ");
		put_cell(&to, table->help ? table->help : "");
		put(&to, " |\n");
	}
}
