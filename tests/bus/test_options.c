/* Option tables: sound or not, read from JSON, described. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/edit_distance.h"
#include "bus/option_table.h"
#include "bus/option_value.h"
#include "bus/options.h"
#include "model/mem.h"

static const struct mf_option table[] = {
	{.name = "store.dir", .type = MF_OPTION_STRING, .help = "where the data is"},
	{.name = "store.backend", .type = MF_OPTION_ENUM, .default_text = "sqlite", .choices = "sqlite|memory", .help = "which store"},
	{.name = "commit_mode", .type = MF_OPTION_COMMIT_MODE, .default_text = "{\"async_durable\": {\"group_window_ms\": 10}}", .help = "how durable"},
	{.name = "every_n", .type = MF_OPTION_INT, .default_text = "1000", .min = 1, .max = 5000, .help = "events"},
	{.name = "any_int", .type = MF_OPTION_INT, .default_text = "-7", .help = "any"},
	{.name = "compression", .type = MF_OPTION_BOOL, .default_text = "true", .help = "compress"},
	{.name = "ratio", .type = MF_OPTION_DOUBLE, .default_text = "0.5", .help = "a ratio"},
	{.name = "password", .type = MF_OPTION_STRING, .default_text = "hunter2", .secret = true, .help = "a secret"},
	{.name = "pin", .type = MF_OPTION_INT, .default_text = "4", .min = 1, .max = 9, .secret = true, .help = "a secret"},
	{.name = "kind", .type = MF_OPTION_ENUM, .default_text = "a", .choices = "a|b", .secret = true, .help = "a secret"},
	{.name = NULL},
};

static const struct mf_json_place place = {.file = "plugins.json", .pointer = "/plugins/3/config"};

/* Reads json over the table; the configuration is freed again unless out is given. */
static enum mf_status try(const char *json, struct mf_config **out, struct mf_error *error)
{
	struct mf_config *config;
	struct mf_value *value;
	assert_int_equal(mf_value_parse_json(json, strlen(json), &value, error), MF_OK);
	assert_int_equal(mf_config_new(table, &config, error), MF_OK);
	enum mf_status status = mf_config_read(config, value, &place, error);
	if (status == MF_OK)
		status = mf_config_finish(config, &place, error);
	mf_value_unref(value);
	if (status == MF_OK && out)
		*out = config;
	else
		mf_config_free(config);
	return status;
}

static void refused(const char *json, const char *message)
{
	struct mf_error error = {0};
	assert_int_equal(try(json, NULL, &error), MF_ERR_INVALID);
	assert_string_equal(error.message, message);
	assert_int_equal(error.status, MF_ERR_INVALID);
}

/* ---- reading ---- */
static void every_option_of_the_table_has_a_value(void **state)
{
	(void)state;
	struct mf_config *config;
	struct mf_error error;
	uint32_t window = 0;
	assert_int_equal(try("{\"store\": {\"dir\": \"./data\"}}", &config, &error), MF_OK);
	assert_string_equal(mf_config_string(config, "store.dir"), "./data");
	assert_string_equal(mf_config_string(config, "store.backend"), "sqlite");
	assert_int_equal(mf_config_commit_mode(config, "commit_mode", &window), MF_COMMIT_ASYNC_DURABLE);
	assert_int_equal(window, 10);
	assert_int_equal(mf_config_int(config, "every_n"), 1000);
	assert_int_equal(mf_config_int(config, "any_int"), -7);
	assert_true(mf_config_bool(config, "compression"));
	assert_true(mf_config_double(config, "ratio") == 0.5);
	assert_string_equal(mf_config_string(config, "password"), "hunter2");
	mf_config_free(config);
}

static void what_the_user_says_goes_over_the_defaults(void **state)
{
	(void)state;
	struct mf_config *config;
	struct mf_error error;
	uint32_t window = 1;
	assert_int_equal(try("{\"store\": {\"dir\": \"/x\", \"backend\": \"memory\"}, \"commit_mode\": \"memory_only\", \"every_n\": 5000,"
			     " \"any_int\": 9223372036854775807, \"compression\": false, \"ratio\": 2, \"password\": \"\"}", &config, &error), MF_OK);
	assert_string_equal(mf_config_string(config, "store.backend"), "memory");
	assert_int_equal(mf_config_commit_mode(config, "commit_mode", &window), MF_COMMIT_MEMORY_ONLY);
	assert_int_equal(window, 0);
	assert_int_equal(mf_config_int(config, "every_n"), 5000);
	assert_true(mf_config_int(config, "any_int") == INT64_MAX);
	assert_false(mf_config_bool(config, "compression"));
	assert_true(mf_config_double(config, "ratio") == 2.0);
	assert_string_equal(mf_config_string(config, "password"), "");
	mf_config_free(config);
}

static void f21_each_commit_mode_is_understood_and_its_window_kept(void **state)
{
	(void)state;
	struct mf_config *config;
	struct mf_error error;
	uint32_t window = 1;
	assert_int_equal(try("{\"store\":{\"dir\":\"d\"},\"commit_mode\":\"sync_durable\"}", &config, &error), MF_OK);
	assert_int_equal(mf_config_commit_mode(config, "commit_mode", NULL), MF_COMMIT_SYNC_DURABLE);
	mf_config_free(config);
	assert_int_equal(try("{\"store\":{\"dir\":\"d\"},\"commit_mode\":{\"async_durable\":{\"group_window_ms\":60000}}}", &config, &error), MF_OK);
	assert_int_equal(mf_config_commit_mode(config, "commit_mode", &window), MF_COMMIT_ASYNC_DURABLE);
	assert_int_equal(window, 60000);
	mf_config_free(config);
}

static void a_string_of_any_reasonable_length_is_kept_whole(void **state)
{
	(void)state;
	struct mf_config *config;
	struct mf_error error;
	char json[5100], expected[5001];
	memset(expected, 'x', 5000);
	expected[5000] = '\0';
	snprintf(json, sizeof(json), "{\"store\":{\"dir\":\"%s\"}}", expected);
	assert_int_equal(try(json, &config, &error), MF_OK);
	assert_string_equal(mf_config_string(config, "store.dir"), expected);
	mf_config_free(config);
}

static void an_unknown_key_is_named_with_its_pointer_and_the_nearest_option(void **state)
{
	(void)state;
	refused("{\"evry_n\": 5}", "plugins.json: /plugins/3/config/evry_n: there is no such option; the nearest is every_n");
	refused("{\"store\": {\"dri\": \"x\"}}",
		"plugins.json: /plugins/3/config/store/dri: there is no such option; the nearest is store.dir (a dot stands for a nested object)");
	refused("{\"store.dir\": \"x\"}",
		"plugins.json: /plugins/3/config/store.dir: there is no such option; the nearest is store.dir (a dot stands for a nested object)");
	refused("{\"a/b~c\": 1}", "plugins.json: /plugins/3/config/a~1b~0c: there is no such option; the nearest is ratio");
	refused("{\"compression\": true, \"\": 1}", "plugins.json: /plugins/3/config/: there is no such option; the nearest is pin");
}

static void a_wrong_type_is_named_with_both_types(void **state)
{
	(void)state;
	refused("{\"every_n\": \"5\"}", "plugins.json: /plugins/3/config/every_n: must be an integer, is a string");
	refused("{\"every_n\": 5.0}", "plugins.json: /plugins/3/config/every_n: must be an integer, is a decimal number");
	refused("{\"compression\": 1}", "plugins.json: /plugins/3/config/compression: must be a boolean, is an integer");
	refused("{\"ratio\": null}", "plugins.json: /plugins/3/config/ratio: must be a number, is null");
	refused("{\"store\": \"x\"}", "plugins.json: /plugins/3/config/store: must be an object, is a string");
	refused("{\"store\": {\"dir\": [1]}}", "plugins.json: /plugins/3/config/store/dir: must be a string, is an array");
	refused("{\"store\": {\"dir\": {\"x\": 1}}}", "plugins.json: /plugins/3/config/store/dir: must be a string, is an object");
	refused("[]", "plugins.json: /plugins/3/config: must be an object, is an array");
}

static void a_value_out_of_range_or_not_a_choice_is_named_with_what_is_allowed(void **state)
{
	(void)state;
	refused("{\"every_n\": 0}", "plugins.json: /plugins/3/config/every_n: is 0, must be 1 to 5000");
	refused("{\"every_n\": 5001}", "plugins.json: /plugins/3/config/every_n: is 5001, must be 1 to 5000");
	refused("{\"store\": {\"backend\": \"sqlit\"}}", "plugins.json: /plugins/3/config/store/backend: is \"sqlit\", must be one of sqlite|memory");
	refused("{\"store\": {\"backend\": \"\"}}", "plugins.json: /plugins/3/config/store/backend: is \"\", must be one of sqlite|memory");
	refused("{\"store\": {\"backend\": \"sqlite|memory\"}}", "plugins.json: /plugins/3/config/store/backend: is \"sqlite|memory\", must be one of sqlite|memory");
	refused("{\"store\": {\"dir\": \"a\\u0000b\"}}", "plugins.json: /plugins/3/config/store/dir: must not contain the character U+0000");
}

static void a_commit_mode_of_another_form_is_refused(void **state)
{
	(void)state;
	const char *form = "plugins.json: /plugins/3/config/commit_mode: must be \"memory_only\", \"sync_durable\", or {\"async_durable\": {\"group_window_ms\": N}}";
	refused("{\"commit_mode\": \"async_durable\"}", form);
	refused("{\"commit_mode\": 1}", form);
	refused("{\"commit_mode\": {}}", "plugins.json: /plugins/3/config/commit_mode: must have exactly one member, \"async_durable\"");
	refused("{\"commit_mode\": {\"async_durable\": {\"group_window_ms\": 1}, \"x\": 1}}",
		"plugins.json: /plugins/3/config/commit_mode: must have exactly one member, \"async_durable\"");
	refused("{\"commit_mode\": {\"async_durable\": 5}}", "plugins.json: /plugins/3/config/commit_mode/async_durable: must be an object, is an integer");
	refused("{\"commit_mode\": {\"async_durable\": {\"group_window\": 5}}}",
		"plugins.json: /plugins/3/config/commit_mode/async_durable: must have exactly one member, \"group_window_ms\"");
	refused("{\"commit_mode\": {\"async_durable\": {\"group_window_ms\": 60001}}}",
		"plugins.json: /plugins/3/config/commit_mode/async_durable/group_window_ms: is 60001, must be 0 to 60000");
	refused("{\"commit_mode\": {\"async_durable\": {\"group_window_ms\": -1}}}",
		"plugins.json: /plugins/3/config/commit_mode/async_durable/group_window_ms: is -1, must be 0 to 60000");
}

static void a_missing_required_option_is_named_with_its_meaning(void **state)
{
	(void)state;
	refused("{}", "plugins.json: /plugins/3/config/store/dir: the required option store.dir is missing: where the data is");
}

static void a_secret_is_never_in_a_message(void **state)
{
	(void)state;
	struct mf_error error;
	assert_int_equal(try("{\"pin\": 7731}", NULL, &error), MF_ERR_INVALID);
	assert_null(strstr(error.message, "7731"));
	assert_non_null(strstr(error.message, "1 to 9"));
	assert_int_equal(try("{\"kind\": \"swordfish\"}", NULL, &error), MF_ERR_INVALID);
	assert_null(strstr(error.message, "swordfish"));
	assert_int_equal(try("{\"password\": 99887766}", NULL, &error), MF_ERR_INVALID);
	assert_null(strstr(error.message, "99887766"));
	static const struct mf_option bad[] = {{.name = "pin", .type = MF_OPTION_INT, .default_text = "7731", .min = 1, .max = 9, .secret = true}, {.name = NULL}};
	struct mf_config *config;
	assert_int_equal(mf_config_new(bad, &config, &error), MF_ERR_PLUGIN);
	assert_null(strstr(error.message, "7731"));
}

static void a_plugin_without_options_takes_no_configuration(void **state)
{
	(void)state;
	struct mf_config *config;
	struct mf_value *value;
	struct mf_error error;
	assert_int_equal(mf_config_new(NULL, &config, &error), MF_OK);
	assert_int_equal(mf_value_parse_json("{\"x\":1}", 7, &value, &error), MF_OK);
	assert_int_equal(mf_config_read(config, value, &place, &error), MF_ERR_INVALID);
	assert_string_equal(error.message, "plugins.json: /plugins/3/config/x: the plugin takes no configuration");
	assert_int_equal(mf_config_finish(config, &place, &error), MF_OK);
	mf_value_unref(value);
	mf_config_free(config);
	mf_config_free(NULL);
}

static void a_value_set_from_elsewhere_is_checked_in_the_same_way(void **state)
{
	(void)state;
	struct mf_config *config;
	struct mf_value *good, *bad;
	struct mf_error error;
	const struct mf_json_place elsewhere = {.file = "override"};
	assert_int_equal(mf_config_new(table, &config, &error), MF_OK);
	assert_int_equal(mf_value_new_string("/tmp", 4, &good, &error), MF_OK);
	assert_int_equal(mf_value_new_int(1, &bad), MF_OK);
	assert_int_equal(mf_config_set(config, "store.dir", good, &elsewhere, &error), MF_OK);
	assert_int_equal(mf_config_set(config, "store.dir", bad, &elsewhere, &error), MF_ERR_INVALID);
	assert_string_equal(error.message, "override: must be a string, is an integer");
	assert_string_equal(mf_config_string(config, "store.dir"), "/tmp");
	assert_int_equal(mf_config_set(config, "store.dirr", good, &elsewhere, &error), MF_ERR_INVALID);
	assert_true(mf_config_has(config, "store.dir"));
	assert_false(mf_config_has(config, "store"));
	mf_value_unref(good);
	mf_value_unref(bad);
	mf_config_free(config);
}

/* ---- the table itself ---- */
static void unsound(const struct mf_option *bad, const char *message)
{
	struct mf_config *config;
	struct mf_error error;
	assert_int_equal(mf_config_new(bad, &config, &error), MF_ERR_PLUGIN);
	if (!strstr(error.message, message))
		fail_msg("\"%s\" does not say \"%s\"", error.message, message);
}

#define TABLE(...) (const struct mf_option[]){__VA_ARGS__, {.name = NULL}}

static void a_table_that_is_not_sound_is_the_plugins_fault_and_names_the_option(void **state)
{
	(void)state;
	unsound(TABLE({.name = "", .type = MF_OPTION_BOOL}), "option number 1 has a bad name");
	unsound(TABLE({.name = "a..b", .type = MF_OPTION_BOOL}), "bad name \"a..b\"");
	unsound(TABLE({.name = ".a", .type = MF_OPTION_BOOL}), "bad name");
	unsound(TABLE({.name = "a.", .type = MF_OPTION_BOOL}), "bad name");
	unsound(TABLE({.name = "a/b", .type = MF_OPTION_BOOL}), "bad name");
	unsound(TABLE({.name = "a", .type = (enum mf_option_type)7}), "option a has type 7");
	unsound(TABLE({.name = "a", .type = (enum mf_option_type)0}), "option a has type 0");
	unsound(TABLE({.name = "a", .type = MF_OPTION_ENUM}), "option a is an enum without choices");
	unsound(TABLE({.name = "a", .type = MF_OPTION_ENUM, .choices = ""}), "option a is an enum without choices");
	unsound(TABLE({.name = "a{", .type = MF_OPTION_BOOL}), "bad name");
	unsound(TABLE({.name = "a@", .type = MF_OPTION_BOOL}), "bad name");
	unsound(TABLE({.name = "a:", .type = MF_OPTION_BOOL}), "bad name");
	unsound(TABLE({.name = "Upper", .type = (enum mf_option_type)7}), "option Upper has type 7");
	unsound(TABLE({.name = "a^", .type = MF_OPTION_BOOL}), "bad name");
	char endless[200];
	memset(endless, 'n', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	unsound(TABLE({.name = endless, .type = MF_OPTION_BOOL}), "bad name");
	unsound(TABLE({.name = "a", .type = MF_OPTION_INT, .min = 2, .max = 1}), "option a has minimum 2 above maximum 1");
	unsound(TABLE({.name = "a", .type = MF_OPTION_INT}, {.name = "a", .type = MF_OPTION_INT}), "option a is in the table twice");
	unsound(TABLE({.name = "a", .type = MF_OPTION_INT}, {.name = "a.b", .type = MF_OPTION_INT}), "option a is both a value and an object");
	unsound(TABLE({.name = "a", .type = MF_OPTION_INT, .default_text = "x"}), "option a is declared wrongly");
	unsound(TABLE({.name = "a", .type = MF_OPTION_INT, .default_text = "9", .min = 1, .max = 5}), "is 9, must be 1 to 5");
	unsound(TABLE({.name = "a", .type = MF_OPTION_ENUM, .choices = "x|y", .default_text = "z"}), "is \"z\", must be one of x|y");
}

static void a_table_without_an_end_is_not_followed_for_ever(void **state)
{
	(void)state;
	static struct mf_option long_table[MF_OPTIONS_MAX + 1];
	static char names[MF_OPTIONS_MAX + 1][16];
	for (size_t i = 0; i <= MF_OPTIONS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "o%zu", i);
		long_table[i] = (struct mf_option){.name = names[i], .type = MF_OPTION_BOOL};
	}
	unsound(long_table, "more than 256 options");
}

/* ---- a plugin's own mistakes ---- */
static void dies_in_a_child(void (*work)(const struct mf_config *))
{
	struct mf_config *config;
	struct mf_error error;
	assert_int_equal(try("{\"store\":{\"dir\":\"d\"}}", &config, &error), MF_OK);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL); /* cmocka has its own handler */
		fclose(stderr);
		work(config);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	mf_config_free(config);
}

static void ask_for_an_unknown_option(const struct mf_config *config)
{
	(void)mf_config_int(config, "nonsense");
}

static void ask_by_another_type(const struct mf_config *config)
{
	(void)mf_config_bool(config, "every_n");
}

static void asking_for_what_is_not_in_the_table_is_asserted(void **state)
{
	(void)state;
	dies_in_a_child(ask_for_an_unknown_option);
	dies_in_a_child(ask_by_another_type);
}

/* ---- describing ---- */
static void append(void *user, const char *text, size_t len)
{
	(void)!mf_buffer_append(user, text, len);
}

static void the_same_table_prints_the_documentation(void **state)
{
	(void)state;
	struct mf_buffer text = {0};
	mf_options_describe(table, append, &text);
	assert_int_equal(mf_buffer_append(&text, "", 1), MF_OK);
	const char *all = (const char *)text.bytes;
	assert_non_null(strstr(all, "| option | type | default | range | meaning |\n|---|---|---|---|---|\n"));
	assert_non_null(strstr(all, "| `store.dir` | string | (required) |  | where the data is |\n"));
	assert_non_null(strstr(all, "| `store.backend` | choice | `sqlite` | sqlite\\|memory | which store |\n"));
	assert_non_null(strstr(all, "| `every_n` | integer | `1000` | 1 to 5000 | events |\n"));
	assert_non_null(strstr(all, "| `password` | string | (secret) |  | a secret |\n"));
	assert_null(strstr(all, "hunter2"));
	mf_buffer_deinit(&text);
	mf_options_describe(NULL, append, &text);
	assert_true(text.len > 0);
	mf_buffer_deinit(&text);
	static const struct mf_option odd[] = {
		{.name = "up", .type = MF_OPTION_INT, .default_text = "1", .min = 1, .max = INT64_MAX, .help = "one\ntwo"},
		{.name = "down", .type = MF_OPTION_INT, .default_text = "1", .min = INT64_MIN, .max = 1},
		{.name = "odd", .type = (enum mf_option_type)99, .default_text = "1"},
		{.name = NULL},
	};
	mf_options_describe(odd, append, &text);
	assert_int_equal(mf_buffer_append(&text, "", 1), MF_OK);
	all = (const char *)text.bytes;
	assert_non_null(strstr(all, "| `up` | integer | `1` | 1 to any | one two |\n"));
	assert_non_null(strstr(all, "| `down` | integer | `1` | any to 1 |  |\n"));
	assert_non_null(strstr(all, "| `odd` | unknown | `1` |"));
	mf_buffer_deinit(&text);
}

static void the_edit_distance_counts_bytes_inserted_deleted_and_replaced(void **state)
{
	(void)state;
	assert_int_equal(mf_edit_distance("", ""), 0);
	assert_int_equal(mf_edit_distance("abc", ""), 3);
	assert_int_equal(mf_edit_distance("kitten", "sitting"), 3);
	char long_name[1000];
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(mf_edit_distance(long_name, ""), 128);
}

static void every_allocation_that_fails_in_reading_is_reported_and_leaks_nothing(void **state)
{
	(void)state;
	struct mf_value *value;
	struct mf_error error;
	const char *json = "{\"store\": {\"dir\": \"x\"}, \"password\": \"y\"}";
	assert_int_equal(mf_value_parse_json(json, strlen(json), &value, &error), MF_OK);
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 1;
	for (; status == MF_ERR_NO_MEMORY; n++) {
		struct mf_config *config = NULL;
		mf_mem_fail_at(n, false);
		status = mf_config_new(table, &config, &error);
		if (status == MF_OK)
			status = mf_config_read(config, value, &place, &error);
		mf_mem_fail_at(0, false);
		mf_config_free(config);
	}
	assert_int_equal(status, MF_OK);
	assert_true(n > 5);
	mf_value_unref(value);
}

static void keys_of_any_length_and_form_are_only_unknown(void **state)
{
	(void)state;
	char json[700];
	struct mf_error error = {0};
	memset(json, 'k', sizeof(json));
	memcpy(json, "{\"", 2);
	strcpy(json + 600, "\": 1}");
	assert_int_equal(try(json, NULL, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "there is no such option"));
	assert_int_equal(try("{\"\": {}}", NULL, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "there is no such option"));
	assert_int_equal(try("{\"store.dir\": \"d\"}", NULL, &error), MF_ERR_INVALID);
}

static void a_required_option_without_a_meaning_is_named_all_the_same(void **state)
{
	(void)state;
	struct mf_config *config;
	struct mf_error error = {0};
	struct mf_value *number;
	assert_int_equal(mf_config_new(TABLE({.name = "bare", .type = MF_OPTION_STRING}), &config, &error), MF_OK);
	assert_int_equal(mf_config_finish(config, &place, &error), MF_ERR_INVALID);
	assert_string_equal(error.message, "plugins.json: /plugins/3/config/bare: the required option bare is missing");
	assert_int_equal(mf_value_new_int(1, &number), MF_OK);
	assert_int_equal(mf_config_set(config, "bare", number, &place, NULL), MF_ERR_INVALID); /* nobody asks why */
	mf_value_unref(number);
	mf_config_free(config);
	assert_int_equal(mf_config_new(TABLE({.name = "mode", .type = MF_OPTION_COMMIT_MODE, .default_text = "sync_durable"}), &config, &error), MF_OK);
	uint32_t window;
	assert_int_equal(mf_config_commit_mode(config, "mode", &window), MF_COMMIT_SYNC_DURABLE);
	mf_config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_option_of_the_table_has_a_value),
		cmocka_unit_test(what_the_user_says_goes_over_the_defaults),
		cmocka_unit_test(f21_each_commit_mode_is_understood_and_its_window_kept),
		cmocka_unit_test(a_string_of_any_reasonable_length_is_kept_whole),
		cmocka_unit_test(an_unknown_key_is_named_with_its_pointer_and_the_nearest_option),
		cmocka_unit_test(a_wrong_type_is_named_with_both_types),
		cmocka_unit_test(a_value_out_of_range_or_not_a_choice_is_named_with_what_is_allowed),
		cmocka_unit_test(a_commit_mode_of_another_form_is_refused),
		cmocka_unit_test(a_missing_required_option_is_named_with_its_meaning),
		cmocka_unit_test(a_secret_is_never_in_a_message),
		cmocka_unit_test(a_plugin_without_options_takes_no_configuration),
		cmocka_unit_test(a_value_set_from_elsewhere_is_checked_in_the_same_way),
		cmocka_unit_test(a_table_that_is_not_sound_is_the_plugins_fault_and_names_the_option),
		cmocka_unit_test(a_table_without_an_end_is_not_followed_for_ever),
		cmocka_unit_test(asking_for_what_is_not_in_the_table_is_asserted),
		cmocka_unit_test(the_same_table_prints_the_documentation),
		cmocka_unit_test(the_edit_distance_counts_bytes_inserted_deleted_and_replaced),
		cmocka_unit_test(every_allocation_that_fails_in_reading_is_reported_and_leaks_nothing),
		cmocka_unit_test(keys_of_any_length_and_form_are_only_unknown),
		cmocka_unit_test(a_required_option_without_a_meaning_is_named_all_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
