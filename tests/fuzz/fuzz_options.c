/* A plugin's table of options, and a configuration for it: the table is refused, or sound; the configuration is refused, or
 * every option has a value of its type, in its range.
 *
 *   a line an option: name, type, default, least, most, choices, secret, help, divided by tabs ("-": there is none)
 *   an empty line
 *   the configuration, JSON */
#include "tests/fuzz/target.h"

#include <stdlib.h>
#include <string.h>

#include "bus/option_table.h"
#include "bus/option_value.h"
#include "bus/options.h"

#define OPTIONS_MAX 300 /* more than a table may have */
#define PARTS 8

/* The text up to a mark, or to the end; it becomes a string. */
static char *next_part(char **at, char mark)
{
	char *part = *at, *end = strchr(part, mark);
	*at = end ? end + 1 : part + strlen(part);
	if (end)
		*end = '\0';
	return part;
}

static const char *absent(const char *part)
{
	return strcmp(part, "-") == 0 || part[0] == '\0' ? NULL : part;
}

static struct mf_option read_option(char *line)
{
	char *parts[PARTS];
	for (size_t i = 0; i < PARTS; i++)
		parts[i] = next_part(&line, '\t');
	return (struct mf_option){
		.name = parts[0], .type = (enum mf_option_type)atoi(parts[1]), .default_text = strcmp(parts[2], "-") == 0 ? NULL : parts[2], .min = strtoll(parts[3], NULL, 10),
		.max = strtoll(parts[4], NULL, 10), .choices = absent(parts[5]), .secret = parts[6][0] == '1', .help = absent(parts[7])};
}

static void read_table(char **text, struct mf_option table[OPTIONS_MAX + 1])
{
	size_t count = 0;
	while (**text && count < OPTIONS_MAX) {
		char *line = next_part(text, '\n');
		if (!line[0])
			break;
		table[count++] = read_option(line);
	}
	table[count] = (struct mf_option){0};
}

/* ---- promises ---- */

static void count_text(void *user, const char *text, size_t len)
{
	*(size_t *)user += strnlen(text, len);
}

static void expect_value(const struct mf_config *config, const struct mf_option *option)
{
	uint32_t window = 0;
	int64_t number;
	switch (option->type) {
	case MF_OPTION_BOOL: (void)mf_config_bool(config, option->name); return;
	case MF_OPTION_DOUBLE: (void)mf_config_double(config, option->name); return;
	case MF_OPTION_INT:
		number = mf_config_int(config, option->name);
		if (mf_option_is_limited(option) && (number < option->min || number > option->max))
			__builtin_trap();
		return;
	case MF_OPTION_STRING:
	case MF_OPTION_ENUM:
		if (!mf_config_string(config, option->name) || (option->type == MF_OPTION_ENUM && !mf_option_has_choice(option, mf_config_string(config, option->name))))
			__builtin_trap();
		return;
	case MF_OPTION_COMMIT_MODE:
		if (mf_config_commit_mode(config, option->name, &window) == MF_COMMIT_ASYNC_DURABLE ? window > MF_GROUP_WINDOW_MS_MAX : window != 0)
			__builtin_trap();
		return;
	}
	__builtin_trap(); /* a type that the table should not have passed with */
}

static void read_config(struct mf_config *config, const struct mf_option *table, const char *json)
{
	const struct mf_json_place place = {.file = "fuzz.json", .pointer = ""};
	struct mf_error error = {0};
	struct mf_value *object;
	enum mf_status status = mf_value_parse_json(json, strlen(json), &object, NULL);
	if (status != MF_OK)
		return;
	status = mf_config_read(config, object, &place, &error);
	if (status == MF_OK)
		status = mf_config_finish(config, &place, &error);
	fuzz_expect(status, MF_OK, MF_ERR_INVALID);
	if (status != error.status || (status != MF_OK && !error.message[0]))
		__builtin_trap();
	for (size_t i = 0; status == MF_OK && table[i].name; i++)
		expect_value(config, &table[i]);
	mf_value_unref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct mf_option table[OPTIONS_MAX + 1];
	char *text = malloc(len + 1), *at = text;
	struct mf_config *config;
	size_t described = 0, count = 0;
	if (!text)
		__builtin_trap();
	if (len > 0)
		memcpy(text, bytes, len);
	text[len] = '\0';
	read_table(&at, table);
	enum mf_status checked = mf_option_table_check(table, &count, NULL), status = mf_config_new(table, &config, NULL);
	fuzz_expect(checked, MF_OK, MF_ERR_PLUGIN);
	fuzz_expect(status, MF_OK, MF_ERR_PLUGIN);
	if (checked != MF_OK && status == MF_OK)
		__builtin_trap();
	if (checked == MF_OK) {
		mf_options_describe(table, count_text, &described);
		if (described == 0 || count > MF_OPTIONS_MAX)
			__builtin_trap();
	}
	if (status == MF_OK) {
		read_config(config, table, at);
		mf_config_free(config);
	}
	free(text);
	return 0;
}
