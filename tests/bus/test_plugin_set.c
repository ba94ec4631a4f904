/* The plugins of one host, through their whole life, with real plugins that do what their configuration says. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/plugin_set.h"
#include "model/mem.h"
#include "model/utf8.h"
#include "tests/bus/scratch.h"
#include "tests/bus/sys_fail.h"

/* ---- what the fixtures call ---- */
static char calls[4000];

MF_API void fixture_called(const char *plugin, const char *what);
MF_API void fixture_noted(const char *plugin, const char *what, int status);
MF_API const char *fixture_clash(void);

void fixture_called(const char *plugin, const char *what)
{
	size_t len = strlen(calls);
	snprintf(calls + len, sizeof(calls) - len, "%s:%s ", plugin, what);
}

void fixture_noted(const char *plugin, const char *what, int status)
{
	size_t len = strlen(calls);
	snprintf(calls + len, sizeof(calls) - len, "%s:%s=%d ", plugin, what, status);
}

const char *fixture_clash(void)
{
	return "program";
}

/* ---- one host ---- */
struct host {
	struct scratch *scratch;
	struct mf_bus *bus;
	struct mf_step_registry *steps;
	struct mf_plugin_set *set;
	struct mf_error error;
	struct mf_plugin_set_options options;
	char config[600];
};

static void host_init(struct host *host)
{
	assert_int_equal(mf_bus_new(&host->bus), MF_OK);
	assert_int_equal(mf_step_registry_new(&host->steps), MF_OK);
}

static void host_deinit(struct host *host)
{
	mf_plugin_set_free(host->set);
	mf_bus_free(host->bus);
	mf_step_registry_free(host->steps);
	host->set = NULL;
}

static int setup(void **state)
{
	struct host *host = mf_calloc(1, sizeof(*host));
	void *scratch;
	scratch_setup(&scratch);
	host->scratch = scratch;
	host_init(host);
	host->options.plugin_path = "";
	calls[0] = '\0';
	*state = host;
	return 0;
}

static int teardown(void **state)
{
	struct host *host = *state;
	void *scratch = host->scratch;
	host_deinit(host);
	mf_free(host);
	return scratch_teardown(&scratch);
}

/* plugins: the text of the array, with ' for ". */
static void configure(struct host *host, const char *plugins)
{
	char text[4000];
	int len = snprintf(text, sizeof(text), "{'path_policy': 'off', 'plugin_dirs': ['%s'], 'plugins': [%s]}", FIXTURES, plugins);
	assert_true(len > 0 && (size_t)len < sizeof(text));
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	strcpy(host->config, scratch_write(host->scratch, "plugins.json", text));
	host->options.config_path = host->config;
}

static enum mf_status load(struct host *host, const char *plugins)
{
	configure(host, plugins);
	return mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, &host->error);
}

static void must_load(struct host *host, const char *plugins)
{
	if (load(host, plugins) != MF_OK)
		fail_msg("%s", host->error.message);
}

static void must_start(struct host *host)
{
	if (mf_plugin_set_start(host->set, &host->error) != MF_OK)
		fail_msg("%s", host->error.message);
}

static void says(const struct mf_error *error, const char *part)
{
	if (!strstr(error->message, part))
		fail_msg("\"%s\" does not say \"%s\"", error->message, part);
}

static bool count_one(void *user, const struct mf_subscriber_info *info)
{
	(void)info;
	++*(size_t *)user;
	return true;
}

static size_t subscribers(const struct host *host)
{
	size_t count = 0;
	mf_bus_subscribers(host->bus, count_one, &count);
	return count;
}

/* A load that fails leaves nothing behind. */
static void refused(struct host *host, const char *plugins, enum mf_status status, const char *message)
{
	assert_int_equal(load(host, plugins), status);
	assert_int_equal(host->error.status, status);
	says(&host->error, message);
	assert_null(host->set);
	assert_int_equal(subscribers(host), 0);
	assert_int_equal(mf_step_registry_count(host->steps), 0);
	assert_null(mf_bus_committer(host->bus));
}

struct wanted {
	const char *name;
	struct mf_plugin_entry_info info;
};

static bool pick(void *user, const struct mf_plugin_entry_info *info)
{
	struct wanted *wanted = user;
	if (strcmp(info->name, wanted->name) == 0)
		wanted->info = *info;
	return strcmp(info->name, wanted->name) != 0;
}

static struct mf_plugin_entry_info info_of(const struct host *host, const char *name)
{
	struct wanted wanted = {.name = name};
	mf_plugin_set_each(host->set, pick, &wanted);
	assert_non_null(wanted.info.name);
	return wanted.info;
}

static void publish(const struct host *host)
{
	const struct mf_publication publication = {.topic = MF_TR_APPLY, .doc_id = "d", .lsn = 1};
	mf_bus_publish(host->bus, &publication);
}

static enum mf_status commit(const struct host *host)
{
	struct mf_proposal proposal = {.doc_id = "d"};
	struct mf_ticket *ticket = NULL;
	return mf_bus_commit(host->bus, &proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL);
}

/* ---- a good life ---- */
static void plugins_are_created_started_and_in_reverse_stopped_and_destroyed(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'b'}, {'name': 'a'}");
	assert_string_equal(info_of(host, "a").state, "loaded");
	must_start(host);
	assert_string_equal(info_of(host, "a").state, "started");
	assert_int_equal(mf_plugin_set_stop(host->set, &host->error), MF_OK);
	assert_string_equal(info_of(host, "a").state, "stopped");
	mf_plugin_set_free(host->set);
	host->set = NULL;
	assert_string_equal(calls, "b:create b:init a:create a:init b:start a:start a:stop b:stop a:destroy b:destroy ");
}

static void what_a_plugin_registers_works_until_it_is_stopped(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'config': {'step': 'grow', 'guard': true, 'follower': true, 'committer': true}}");
	assert_non_null(mf_step_registry_find(host->steps, "grow", 4));
	assert_null(mf_bus_committer(host->bus));
	assert_string_equal(mf_plugin_set_default_doc(host->set), "the_doc");
	must_start(host);
	assert_non_null(mf_bus_committer(host->bus));
	assert_int_equal(commit(host), MF_OK);
	publish(host);
	assert_int_equal(mf_plugin_set_stop(host->set, &host->error), MF_OK);
	assert_null(mf_bus_committer(host->bus));
	assert_int_equal(subscribers(host), 0);
	publish(host);
	assert_string_equal(calls, "a:create a:init a:start a:guard a:commit a:follower a:stop ");
}

static void a_host_without_plugins_or_committer_is_fine(void **state)
{
	struct host *host = *state;
	must_load(host, "");
	must_start(host);
	assert_null(mf_plugin_set_default_doc(host->set));
	assert_false(mf_plugin_set_recover_all(host->set));
	assert_int_equal(mf_plugin_set_max_loaded_documents(host->set), 0);
	assert_int_equal(commit(host), MF_ERR_STATE);
}

static void the_hosts_own_settings_are_handed_out(void **state)
{
	struct host *host = *state;
	strcpy(host->config, scratch_write(host->scratch, "plugins.json", "{\"plugins\": [], \"recover_at_open\": \"all\", \"max_loaded_documents\": 3}"));
	host->options.config_path = host->config;
	assert_int_equal(mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, &host->error), MF_OK);
	assert_true(mf_plugin_set_recover_all(host->set));
	assert_int_equal(mf_plugin_set_max_loaded_documents(host->set), 3);
}

static void each_plugin_is_described(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'required': false}, {'name': 'nowhere', 'required': false}");
	struct mf_plugin_entry_info info = info_of(host, "a");
	assert_string_equal(info.version, "1.2.3");
	assert_string_equal(info.summary, "Does what it is told.");
	assert_non_null(strstr(info.path, "/a.so"));
	assert_false(info.required);
	assert_string_equal(info.message, "");
	info = info_of(host, "nowhere");
	assert_string_equal(info.state, "skipped");
	assert_string_equal(info.version, "");
	assert_string_equal(info.path, "");
	assert_non_null(strstr(info.message, "plugin nowhere: no file nowhere.so in: "));
}

static void the_read_only_wish_of_the_host_reaches_the_plugin(void **state)
{
	struct host *host = *state;
	host->options.read_only = true;
	must_load(host, "{'name': 'a'}");
	assert_string_equal(calls, "a:create a:init a:read_only ");
}

static void loading_and_stopping_many_times_in_one_process_leaves_nothing_behind(void **state)
{
	struct host *host = *state;
	size_t files = open_file_count();
	for (int i = 0; i < 200; i++) {
		calls[0] = '\0';
		must_load(host, "{'name': 'a', 'config': {'step': 'grow', 'committer': true}}, {'name': 'b', 'config': {'guard': true}}");
		must_start(host);
		assert_int_equal(mf_plugin_set_stop(host->set, &host->error), MF_OK);
		host_deinit(host);
		host_init(host);
	}
	assert_int_equal(open_file_count(), files);
}

static void two_hosts_in_one_process_use_the_same_plugin_side_by_side(void **state)
{
	struct host *host = *state;
	struct host other = {.scratch = host->scratch, .options = {.plugin_path = ""}};
	host_init(&other);
	must_load(host, "{'name': 'a', 'config': {'follower': true}}");
	must_load(&other, "{'name': 'a', 'config': {'step': 'grow'}}");
	must_start(host);
	must_start(&other);
	host_deinit(&other);
	calls[0] = '\0';
	publish(host);
	assert_string_equal(calls, "a:follower ");
}

static void *lead_a_life(void *user)
{
	struct host *host = user;
	must_load(host, "{'name': 'a', 'config': {'thread_key': true}}");
	must_start(host);
	host_deinit(host);
	host_init(host);
	fixture_called("a", "gone");
	return NULL;
}

static void p14_what_a_plugin_left_with_a_thread_still_works_when_it_is_gone(void **state)
{
	struct host *host = *state;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, lead_a_life, host), 0);
	pthread_join(thread, NULL);
	assert_string_equal(calls, "a:create a:init a:start a:stop a:destroy a:gone a:thread_ends ");
}

/* ---- order ---- */
static void what_a_plugin_requires_comes_first_else_the_configurations_order(void **state)
{
	struct host *host = *state;
	for (int i = 0; i < 100; i++) {
		calls[0] = '\0';
		must_load(host, "{'name': 'c'}, {'name': 'needs_needs_a'}, {'name': 'needs_a'}, {'name': 'b'}, {'name': 'a'}");
		assert_string_equal(calls, "c:create c:init b:create b:init a:create a:init needs_a:create needs_a:init needs_needs_a:create needs_needs_a:init ");
		host_deinit(host);
		host_init(host);
	}
}

static void the_committer_and_what_it_requires_are_started_first_and_stopped_last(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'b'}, {'name': 'a'}, {'name': 'needs_a', 'config': {'committer': true}}, {'name': 'c'}");
	calls[0] = '\0';
	must_start(host);
	assert_int_equal(mf_plugin_set_stop(host->set, &host->error), MF_OK);
	assert_string_equal(calls, "a:start needs_a:start b:start c:start c:stop b:stop needs_a:stop a:stop ");
}

static void a_ring_of_one_two_or_three_is_printed_whole(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'ring'}", MF_ERR_PLUGIN, "plugin ring requires itself: ring -> ring");
	refused(host, "{'name': 'ring_y'}, {'name': 'ring_x'}", MF_ERR_PLUGIN, "requires itself: ring_y -> ring_x -> ring_y");
	refused(host, "{'name': 'a'}, {'name': 'ring_1'}, {'name': 'ring_2'}, {'name': 'ring_3'}", MF_ERR_PLUGIN, "ring_1 -> ring_2 -> ring_3 -> ring_1");
	assert_string_equal(calls, "");
}

static void a_ring_of_optional_plugins_is_skipped(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'ring_x', 'required': false}, {'name': 'b'}, {'name': 'ring_y', 'required': false}");
	assert_string_equal(info_of(host, "ring_x").state, "skipped");
	assert_string_equal(info_of(host, "ring_y").state, "skipped");
	assert_string_equal(info_of(host, "b").state, "loaded");
}

static void a_requirement_that_is_not_configured_is_named(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'a'}, {'name': 'needs_absent'}", MF_ERR_PLUGIN, "plugin needs_absent requires plugin absent, which is not in ");
	must_load(host, "{'name': 'a'}, {'name': 'needs_absent', 'required': false}");
	assert_string_equal(info_of(host, "needs_absent").state, "skipped");
}

static void what_requires_a_skipped_plugin_is_skipped_too_or_stops_the_start(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'needs_needs_a', 'required': false}, {'name': 'needs_a', 'required': false}, {'name': 'b'},"
			"{'name': 'a', 'required': false, 'path': 'nowhere.so'}");
	assert_string_equal(info_of(host, "needs_needs_a").state, "skipped");
	assert_non_null(strstr(info_of(host, "needs_needs_a").message, "plugin needs_needs_a requires plugin needs_a, which was not loaded: plugin needs_a requires plugin a, "
								       "which was not loaded: plugin a: cannot open the file"));
	assert_string_equal(info_of(host, "b").state, "loaded");
	host_deinit(host);
	host_init(host);
	refused(host, "{'name': 'a', 'required': false, 'path': 'nowhere.so'}, {'name': 'needs_a'}", MF_ERR_PLUGIN, "plugin needs_a requires plugin a, which was not loaded: ");
}

/* ---- failures while loading ---- */
static void all_failures_of_a_run_are_told_at_once_and_no_code_ran(void **state)
{
	struct host *host = *state;
	scratch_write(host->scratch, "text.so", "this is a text file that is long enough to have a header, if it were one: it is not");
	refused(host, "{'name': 'a'}, {'name': 'gone'}, {'name': 'b', 'path': 'text.so'}, {'name': 'c', 'path': 'none.so', 'required': false}",
		MF_ERR_NOT_FOUND, "plugin gone: no file gone.so in: ");
	says(&host->error, "(2 more failed: b c)");
	assert_string_equal(calls, "");
}

static void an_optional_plugin_that_failed_first_is_told_beside_the_one_that_is_needed(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'b', 'path': 'none.so', 'required': false}, {'name': 'gone'}", MF_ERR_NOT_FOUND, "plugin gone: no file gone.so in: ");
	says(&host->error, "(1 more failed: b)");
}

static void abi_failures_of_a_run_are_told_together_before_any_plugin_is_created(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'a'}, {'name': 'new_major'}, {'name': 'bad_magic'}", MF_ERR_PLUGIN, "plugin new_major: it speaks ABI 2.0, this host 1.0");
	says(&host->error, "/new_major.so");
	says(&host->error, "(1 more failed: bad_magic)");
	assert_string_equal(calls, "");
}

static void p16_each_cause_has_its_own_words(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'no_entry'}", MF_ERR_PLUGIN, "plugin no_entry: it does not export moduforge_plugin");
	refused(host, "{'name': 'other_name'}", MF_ERR_PLUGIN, "plugin other_name: it says its name is \"somebody\", the configuration says \"other_name\"");
	refused(host, "{'name': 'undefined'}", MF_ERR_PLUGIN, "plugin undefined: it cannot be linked: ");
	refused(host, "{'name': 'lame'}", MF_ERR_PLUGIN, "plugin lame: option n is declared wrongly: ");
}

static void a_table_that_is_not_sound_only_skips_an_optional_plugin(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'lame', 'required': false}, {'name': 'needs_lame', 'required': false}, {'name': 'a'}");
	assert_string_equal(info_of(host, "lame").state, "skipped");
	assert_string_equal(info_of(host, "needs_lame").state, "skipped");
}

static void the_same_file_twice_is_refused_also_by_hard_link(void **state)
{
	struct host *host = *state;
	char path[600];
	strcpy(path, scratch_copy(host->scratch, FIXTURES "/a.so", "one.so"));
	assert_int_equal(link(path, scratch_path(host->scratch, "two.so")), 0);
	refused(host, "{'name': 'a', 'path': 'one.so'}, {'name': 'b', 'path': 'two.so'}", MF_ERR_PLUGIN, "plugin b: it is the same file as plugin a");
	refused(host, "{'name': 'a', 'path': 'one.so'}, {'name': 'c', 'path': 'one.so'}", MF_ERR_PLUGIN, "plugin c: it is the same file as plugin a");
}

static void files_of_one_number_on_two_devices_are_two(void **state)
{
	struct host *host = *state;
	char first[600], path[600];
	strcpy(first, scratch_copy(host->scratch, FIXTURES "/a.so", "one.so"));
	strcpy(path, scratch_copy(host->scratch, FIXTURES "/b.so", "two.so"));
	sys_other_device(path, first);
	must_load(host, "{'name': 'a', 'path': 'one.so'}, {'name': 'b', 'path': 'two.so'}");
	sys_other_device(NULL, NULL);
	assert_string_equal(info_of(host, "b").path, path);
}

static void a_relative_path_is_relative_to_the_file_that_says_it(void **state)
{
	struct host *host = *state;
	char before[4096];
	scratch_mkdir(host->scratch, "sub", 0755);
	scratch_copy(host->scratch, FIXTURES "/a.so", "sub/other.so");
	configure(host, "{'name': 'a', 'path': 'sub/other.so'}");
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir("/"), 0);
	enum mf_status status = mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, &host->error);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(status, MF_OK);
	assert_string_equal(info_of(host, "a").path, scratch_path(host->scratch, "sub/other.so"));
}

static void the_plugin_path_goes_before_the_configured_directories(void **state)
{
	struct host *host = *state;
	scratch_copy(host->scratch, FIXTURES "/a.so", "a.so");
	host->options.plugin_path = host->scratch->dir;
	must_load(host, "{'name': 'a'}");
	assert_string_equal(info_of(host, "a").path, scratch_path(host->scratch, "a.so"));
	host_deinit(host);
	host_init(host);
	host->options.plugin_path = NULL;
	assert_int_equal(setenv("MF_PLUGIN_PATH", host->scratch->dir, 1), 0);
	enum mf_status status = load(host, "{'name': 'a'}");
	assert_int_equal(unsetenv("MF_PLUGIN_PATH"), 0);
	assert_int_equal(status, MF_OK);
	assert_string_equal(info_of(host, "a").path, scratch_path(host->scratch, "a.so"));
}

static void the_strict_policy_is_the_default(void **state)
{
	struct host *host = *state;
	const char *path = scratch_copy(host->scratch, FIXTURES "/a.so", "a.so");
	assert_int_equal(chmod(path, 0666), 0);
	strcpy(host->config, scratch_write(host->scratch, "plugins.json", "{\"plugins\": [{\"name\": \"a\", \"path\": \"a.so\"}]}"));
	host->options.config_path = host->config;
	assert_int_equal(mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, &host->error), MF_ERR_PLUGIN);
	says(&host->error, "plugin a: everybody can write to the file (mode 0666");
	assert_int_equal(chmod(scratch_path(host->scratch, "a.so"), 0644), 0);
	assert_int_equal(mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, &host->error), MF_OK);
}

/* ---- configuration ---- */
static void wrong_configuration_stops_the_start_also_of_an_optional_plugin(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'a'}, {'name': 'b', 'required': false, 'config': {'store': {'dri': 'x'}}}", MF_ERR_INVALID,
		"/plugins.json: /plugins/1/config/store/dri: there is no such option; the nearest is store.dir");
	says(&host->error, "plugin b: ");
	refused(host, "{'name': 'a', 'config': {'init': 'x'}}", MF_ERR_INVALID, "/plugins/0/config/init: must be an integer, is a string");
	refused(host, "{'name': 'plain', 'config': {'x': 1}}", MF_ERR_INVALID, "/plugins/0/config/x: the plugin takes no configuration");
	refused(host, "{'name': 'a', 'config': {'token': 5551234}}", MF_ERR_INVALID, "/plugins/0/config/token: must be a string, is an integer");
	assert_null(strstr(host->error.message, "5551234"));
	refused(host, "{'name': 'a'}, {'name': 'a'}", MF_ERR_INVALID, "/plugins/1/name: \"a\" is the name of /plugins/0 already");
	assert_string_equal(calls, "");
}

static void what_create_says_of_an_option_is_told_with_file_and_pointer(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'b'}, {'name': 'a', 'config': {'create': 1, 'message': '/store/dir: has no room'}}", MF_ERR_INVALID,
		"/plugins.json: /plugins/1/config/store/dir: has no room");
	says(&host->error, "plugin a: /");
	refused(host, "{'name': 'a', 'config': {'create': 1, 'message': '/etc/x: is not mine'}}", MF_ERR_INVALID, "plugin a: create: /etc/x: is not mine");
	refused(host, "{'name': 'a', 'config': {'create': 1, 'message': '/store/dir'}}", MF_ERR_INVALID, "plugin a: create: /store/dir");
}

static void a_missing_or_unnamed_configuration_is_an_error(void **state)
{
	struct host *host = *state;
	host->options.config_path = NULL;
	assert_int_equal(mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, &host->error), MF_ERR_INVALID);
	host->options.config_path = "/nonexistent/plugins.json";
	assert_int_equal(mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, &host->error), MF_ERR_NOT_FOUND);
	says(&host->error, "/nonexistent/plugins.json");
}

static void an_override_replaces_the_option_in_every_plugin_that_has_it(void **state)
{
	struct host *host = *state;
	const struct mf_plugin_override overrides[] = {{.option = "init", .json = "10"}, {.option = "message", .json = "\"overridden\""}};
	host->options.overrides = overrides;
	host->options.override_count = 2;
	refused(host, "{'name': 'plain'}, {'name': 'a', 'config': {'init': 5, 'message': 'said'}}", MF_ERR_IO, "plugin a: init: overridden");
}

static void an_override_that_no_plugin_takes_or_that_is_wrong_is_refused(void **state)
{
	struct host *host = *state;
	struct mf_plugin_override override = {.option = "store.dirr", .json = "\"x\""};
	host->options.overrides = &override;
	host->options.override_count = 1;
	refused(host, "{'name': 'a'}", MF_ERR_INVALID, "no loaded plugin has the option store.dirr, which was to be overridden");
	override.hint = " by somebody";
	refused(host, "{'name': 'a'}", MF_ERR_INVALID, "which was to be overridden by somebody");
	override = (struct mf_plugin_override){.option = "store.dir", .json = "5"};
	refused(host, "{'name': 'a'}", MF_ERR_INVALID, "plugin a: override of store.dir: must be a string, is an integer");
	override.json = "{";
	refused(host, "{'name': 'a'}", MF_ERR_INVALID, "override of store.dir: JSON line 1");
	assert_string_equal(calls, "");
}

/* ---- create and init ---- */
static void a_failing_init_takes_back_everything_and_ends_the_load_in_reverse(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'a', 'config': {'step': 'one', 'guard': true, 'follower': true, 'committer': true}},"
		      "{'name': 'b', 'config': {'step': 'two', 'guard': true, 'follower': true, 'init': 10, 'message': 'as told'}}, {'name': 'c'}",
		MF_ERR_IO, "plugin b: init: as told");
	assert_string_equal(calls, "a:create a:init b:create b:init b:destroy a:destroy ");
}

static void an_optional_plugin_whose_init_fails_is_taken_back_and_the_others_go_on(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'required': false, 'config': {'step': 'one', 'guard': true, 'follower': true, 'committer': true, 'init': 1}},"
			"{'name': 'needs_a', 'required': false}, {'name': 'b', 'config': {'step': 'one', 'committer': true}}");
	assert_string_equal(calls, "a:create a:init a:destroy b:create b:init ");
	assert_int_equal(subscribers(host), 0);
	assert_int_equal(mf_step_registry_count(host->steps), 1);
	assert_string_equal(info_of(host, "a").state, "skipped");
	assert_string_equal(info_of(host, "a").message, "plugin a: init failed with MF_ERR_INVALID and gave no reason");
	assert_string_equal(info_of(host, "needs_a").state, "skipped");
	must_start(host);
	assert_string_equal(info_of(host, "b").state, "started");
}

static void note_warning(void *user, enum mf_log_level level, const char *message)
{
	char *heard = user;
	assert_int_equal(level, MF_LOG_WARNING);
	strncat(heard, message, 1023 - strlen(heard));
	strncat(heard, "\n", 1023 - strlen(heard));
}

static void what_is_skipped_is_told_to_the_logger(void **state)
{
	struct host *host = *state;
	char heard[1024] = "";
	host->options.logger = (struct mf_logger){note_warning, heard};
	must_load(host, "{'name': 'a', 'required': false, 'config': {'init': 1}}, {'name': 'needs_a', 'required': false}, {'name': 'b', 'config': {'step': 'one', 'committer': true}}");
	assert_string_equal(heard, "a plugin that is not required was skipped: plugin a: init failed with MF_ERR_INVALID and gave no reason\n"
				   "a plugin that is not required was skipped: plugin needs_a requires plugin a, which was not loaded: plugin a: init failed with MF_ERR_INVALID and gave no reason\n");
}

static void a_failing_create_leaves_no_instance_to_destroy(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'a'}, {'name': 'b', 'config': {'create': 9}}", MF_ERR_LOCKED, "plugin b: create failed with MF_ERR_LOCKED and gave no reason");
	assert_string_equal(calls, "a:create a:init b:create a:destroy ");
}

static void an_unknown_status_is_a_plugin_error(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'a', 'config': {'init': 77}}", MF_ERR_PLUGIN, "plugin a: init returned status 77, which does not exist");
	refused(host, "{'name': 'a', 'config': {'init': -1}}", MF_ERR_PLUGIN, "plugin a: init returned status -1");
}

static void a_step_type_of_another_plugin_is_refused_and_the_first_keeps_working(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'a', 'config': {'step': 'one'}}, {'name': 'b', 'config': {'step': 'one'}}", MF_ERR_INVALID,
		"plugin b: init: the step type one is taken by plugin a, which keeps it");
	must_load(host, "{'name': 'a', 'config': {'step': 'one'}}, {'name': 'b', 'required': false, 'config': {'step': 'one'}}");
	assert_non_null(mf_step_registry_find(host->steps, "one", 3));
}

static void a_state_field_of_another_plugin_is_refused_and_the_first_keeps_working(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'a', 'config': {'field': 'one'}}, {'name': 'b', 'config': {'field': 'one'}}", MF_ERR_INVALID,
		"plugin b: init: the state field one is taken by plugin a, which keeps it");
	must_load(host, "{'name': 'a', 'config': {'field': 'one'}}, {'name': 'b', 'required': false, 'config': {'field': 'one'}}");
	assert_int_equal(mf_step_registry_field_count(host->steps), 1);
	assert_string_equal(mf_step_registry_field(host->steps, 0)->key, "one");
}

static void the_state_fields_of_a_plugin_whose_init_fails_are_taken_back(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'required': false, 'config': {'field': 'one', 'init': 5}}, {'name': 'b', 'config': {'field': 'one'}}, {'name': 'c', 'config': {'field': 'another'}}");
	assert_int_equal(mf_step_registry_field_count(host->steps), 2);
	assert_string_equal(mf_step_registry_field(host->steps, 1)->key, "one");
}

static void a_second_committer_is_refused_and_names_the_first(void **state)
{
	struct host *host = *state;
	refused(host, "{'name': 'a', 'config': {'committer': true}}, {'name': 'b', 'config': {'committer': true}}", MF_ERR_STATE,
		"plugin b: init: plugin a brings the committer already");
	refused(host, "{'name': 'a', 'config': {'committer': true, 'incomplete': true}}", MF_ERR_INVALID, "plugin a: init: the committer is incomplete");
}

static void registering_outside_of_init_is_a_state_error(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'config': {'late': true, 'step': 'one'}}");
	calls[0] = '\0';
	must_start(host);
	assert_string_equal(calls, "a:start a:late=5 a:late=5 a:late=5 a:late=5 a:late=5 ");
	assert_int_equal(subscribers(host), 0);
}

static void the_smallest_plugin_lives_with_init_alone(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'plain'}, {'name': 'short'}");
	must_start(host);
	assert_int_equal(mf_plugin_set_stop(host->set, &host->error), MF_OK);
}

/* ---- start and stop ---- */
static void a_failing_start_stops_what_was_started_in_reverse_and_destroys_all(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'config': {'guard': true, 'committer': true}}, {'name': 'b'}, {'name': 'c', 'config': {'start': 9, 'message': 'it is locked', 'follower': true}}");
	calls[0] = '\0';
	assert_int_equal(mf_plugin_set_start(host->set, &host->error), MF_ERR_LOCKED);
	assert_string_equal(host->error.message, "plugin c: start: it is locked");
	assert_string_equal(calls, "a:start b:start c:start c:destroy b:stop a:stop b:destroy a:destroy ");
	assert_int_equal(subscribers(host), 0);
	assert_null(mf_bus_committer(host->bus));
	assert_null(mf_plugin_set_default_doc(host->set));
	assert_int_equal(mf_plugin_set_start(host->set, &host->error), MF_ERR_STATE);
	assert_int_equal(mf_plugin_set_stop(host->set, &host->error), MF_OK);
}

static void an_optional_plugin_that_fails_to_start_is_skipped_with_what_requires_it(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'required': false, 'config': {'start': 10, 'guard': true}}, {'name': 'needs_a', 'required': false, 'config': {'follower': true}}, {'name': 'b'}");
	calls[0] = '\0';
	must_start(host);
	assert_string_equal(calls, "a:start a:destroy needs_a:destroy b:start ");
	assert_int_equal(subscribers(host), 0);
	assert_string_equal(info_of(host, "a").message, "plugin a: start failed with MF_ERR_IO and gave no reason");
	assert_string_equal(info_of(host, "needs_a").state, "skipped");
}

static void a_committer_that_fails_to_start_stops_the_start_even_if_it_is_optional(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'b'}, {'name': 'a', 'required': false, 'config': {'start': 9, 'committer': true}}");
	calls[0] = '\0';
	assert_int_equal(mf_plugin_set_start(host->set, &host->error), MF_ERR_LOCKED);
	assert_string_equal(calls, "a:start a:destroy b:destroy ");
}

static void assert_start_fails(struct host *host, const char *plugins, enum mf_status status, const char *message)
{
	must_load(host, plugins);
	assert_int_equal(mf_plugin_set_start(host->set, &host->error), status);
	assert_string_equal(host->error.message, message);
	assert_int_equal(host->error.status, status);
	host_deinit(host);
	host_init(host);
}

static void each_status_of_a_store_is_the_committers_own_and_another_plugins_failure(void **state)
{
	struct host *host = *state;
	static const enum mf_status of_the_store[] = {MF_ERR_NOT_FOUND, MF_ERR_LOCKED, MF_ERR_BUSY, MF_ERR_STORAGE_FULL, MF_ERR_IO, MF_ERR_CORRUPTED, MF_ERR_UNKNOWN_OUTCOME};
	char plugins[200];
	for (int status = MF_ERR_INVALID; status <= MF_ERR_TIMEOUT; status++) {
		bool about = false, storage = status == MF_ERR_STORAGE_FULL || status == MF_ERR_IO || status == MF_ERR_CORRUPTED || status == MF_ERR_UNKNOWN_OUTCOME;
		for (size_t i = 0; i < sizeof(of_the_store) / sizeof(of_the_store[0]); i++)
			about |= (int)of_the_store[i] == status;
		snprintf(plugins, sizeof(plugins), "{'name': 'a', 'config': {'start': %d, 'message': 'so it is', 'committer': true}}", status);
		assert_start_fails(host, plugins, (enum mf_status)status, about ? "so it is" : "plugin a: start: so it is");
		snprintf(plugins, sizeof(plugins), "{'name': 'a', 'config': {'start': %d, 'message': 'so it is'}}", status);
		assert_start_fails(host, plugins, storage ? MF_ERR_PLUGIN : (enum mf_status)status, "plugin a: start: so it is");
	}
	must_load(host, "{'name': 'a', 'config': {'start': 9, 'message': 'it is locked', 'committer': true}}");
	assert_int_equal(mf_plugin_set_start(host->set, NULL), MF_ERR_LOCKED); /* nobody asks why */
	host_deinit(host);
	host_init(host);
	must_load(host, "{'name': 'a', 'config': {'start': 10}}");
	assert_int_equal(mf_plugin_set_start(host->set, NULL), MF_ERR_PLUGIN);
}

static void a_plugin_that_does_not_stop_in_time_is_not_destroyed(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'config': {'stop': 15}}, {'name': 'b', 'config': {'start': 10}}");
	calls[0] = '\0';
	assert_int_equal(mf_plugin_set_start(host->set, &host->error), MF_ERR_PLUGIN);
	assert_string_equal(calls, "a:start b:start b:destroy a:stop ");
}

static void more_failures_than_a_message_holds_are_told_in_part(void **state)
{
	struct host *host = *state;
	char plugins[3500];
	for (size_t shift = 0; shift < 2; shift++) { /* so that one of them is cut within a character */
		size_t len = (size_t)snprintf(plugins, sizeof(plugins), "{'name': 'first', 'path': '/%s", shift ? "x" : "");
		for (int i = 0; i < 300; i++, len += 2)
			memcpy(plugins + len, "\xc3\xa9", 2);
		len += (size_t)snprintf(plugins + len, sizeof(plugins) - len, "'}");
		for (int i = 0; i < 40; i++)
			len += (size_t)snprintf(plugins + len, sizeof(plugins) - len, ", {'name': 'not_there_at_all_%02d'}", i);
		assert_int_not_equal(load(host, plugins), MF_OK);
		says(&host->error, "(40 more failed: not_there_at_all_00");
		assert_true(mf_utf8_valid(host->error.message, strlen(host->error.message)));
		assert_null(host->set);
		assert_int_not_equal(mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, NULL), MF_OK);
		assert_null(host->set);
	}
}

static void a_message_of_create_that_is_no_place_is_told_as_it_is(void **state)
{
	struct host *host = *state;
	char plugins[600], place[300];
	refused(host, "{'name': 'a', 'config': {'create': 1, 'message': 'no place'}}", MF_ERR_INVALID, "plugin a: create: no place");
	refused(host, "{'name': 'a', 'config': {'create': 1, 'message': '/message without an end'}}", MF_ERR_INVALID, "plugin a: create: /message without an end");
	memset(place, 'p', 250);
	strcpy(place + 250, ": too long for a place");
	snprintf(plugins, sizeof(plugins), "{'name': 'a', 'config': {'create': 1, 'message': '/%s'}}", place);
	refused(host, plugins, MF_ERR_INVALID, "plugin a: create: /ppp");
}

static void a_ring_of_long_names_is_printed_in_part(void **state)
{
	struct host *host = *state;
	char plugins[1000] = "";
	for (int i = 0; i < 6; i++)
		snprintf(plugins + strlen(plugins), sizeof(plugins) - strlen(plugins), "%s{'name': 'ring_of_plugins_with_names_that_are_long_enough_to_fill_it_%d'}", i ? ", " : "", i);
	refused(host, plugins, MF_ERR_PLUGIN, "requires itself: ring_of_plugins_with_names_that_are_long_enough_to_fill_it_0 -> ring_of");
}

static void a_configuration_without_a_name_is_none(void **state)
{
	struct host *host = *state;
	host->options.config_path = "";
	assert_int_equal(mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, &host->error), MF_ERR_INVALID);
	says(&host->error, "no configuration file was named");
}

static void what_the_committer_says_of_its_store_is_told_as_it_is(void **state)
{
	struct host *host = *state;
	assert_start_fails(host, "{'name': 'a', 'config': {'start': 9, 'message': 'it is locked', 'committer': true}}", MF_ERR_LOCKED, "it is locked");
	assert_start_fails(host, "{'name': 'a', 'config': {'start': 10, 'message': 'no device', 'committer': true}}", MF_ERR_IO, "no device");
	assert_start_fails(host, "{'name': 'a', 'config': {'start': 1, 'message': 'bad', 'committer': true}}", MF_ERR_INVALID, "plugin a: start: bad");
	assert_start_fails(host, "{'name': 'a', 'config': {'start': 9, 'committer': true}}", MF_ERR_LOCKED, "plugin a: start failed with MF_ERR_LOCKED and gave no reason");
}

static void a_storage_error_of_another_plugin_is_a_failure_of_that_plugin(void **state)
{
	struct host *host = *state;
	assert_start_fails(host, "{'name': 'a', 'config': {'committer': true}}, {'name': 'b', 'config': {'start': 10, 'message': 'no file'}}", MF_ERR_PLUGIN, "plugin b: start: no file");
}

static void a_bus_that_has_a_committer_already_stops_the_start(void **state)
{
	struct host *host = *state;
	struct host other = {.scratch = host->scratch, .options = {.plugin_path = ""}, .bus = host->bus};
	must_load(host, "{'name': 'a', 'config': {'committer': true}}");
	must_start(host);
	assert_int_equal(mf_step_registry_new(&other.steps), MF_OK);
	must_load(&other, "{'name': 'b', 'config': {'committer': true}}");
	assert_int_equal(mf_plugin_set_start(other.set, &other.error), MF_ERR_STATE);
	assert_string_equal(mf_bus_committer(host->bus)->name, "a");
	mf_plugin_set_free(other.set);
	mf_step_registry_free(other.steps);
	assert_string_equal(mf_bus_committer(host->bus)->name, "a");
}

static void stopping_goes_on_after_an_error_and_returns_the_first(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'config': {'stop': 10}}, {'name': 'b', 'config': {'stop': 15, 'message': 'too slow'}}, {'name': 'c'}");
	must_start(host);
	calls[0] = '\0';
	assert_int_equal(mf_plugin_set_stop(host->set, &host->error), MF_ERR_TIMEOUT);
	assert_string_equal(host->error.message, "plugin b: stop: too slow");
	assert_string_equal(calls, "c:stop b:stop a:stop ");
	assert_int_equal(mf_plugin_set_stop(host->set, &host->error), MF_OK);
	assert_string_equal(calls, "c:stop b:stop a:stop ");
}

static void freeing_a_running_set_stops_it_first(void **state)
{
	struct host *host = *state;
	must_load(host, "{'name': 'a', 'config': {'follower': true, 'committer': true}}");
	must_start(host);
	calls[0] = '\0';
	mf_plugin_set_free(host->set);
	host->set = NULL;
	assert_string_equal(calls, "a:stop a:destroy ");
	assert_null(mf_bus_committer(host->bus));
	mf_plugin_set_free(NULL);
}

static void every_allocation_that_fails_in_loading_is_reported_and_leaves_nothing(void **state)
{
	struct host *host = *state;
	const struct mf_plugin_override override = {.option = "store.dir", .json = "\"x\""};
	host->options.overrides = &override;
	host->options.override_count = 1;
	configure(host, "{'name': 'a', 'config': {'step': 'one', 'guard': true, 'follower': true, 'committer': true, 'message': 'm'}}, {'name': 'needs_a', 'required': false}");
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 1;
	for (; status == MF_ERR_NO_MEMORY; n++) {
		mf_mem_fail_at(n, false);
		status = mf_plugin_set_load(&host->options, host->bus, host->steps, &host->set, &host->error);
		mf_mem_fail_at(0, false);
		if (status == MF_OK)
			break;
		assert_null(host->set);
		assert_int_equal(host->error.status, status);
		assert_int_equal(subscribers(host), 0);
		assert_int_equal(mf_step_registry_count(host->steps), 0);
	}
	if (status != MF_OK)
		fail_msg("allocation %d: %s", (int)n, host->error.message);
	assert_true(n > 60);
	must_start(host);
}

/* ---- step types without a plugins.json ---- */
/* The fixtures may lie where others can write: the strict policy wants a copy. */
static enum mf_status load_steps(struct host *host, const char *from, const char *as)
{
	char path[300];
	snprintf(path, sizeof(path), "%s/%s", FIXTURES, from);
	calls[0] = '\0';
	return mf_step_registry_load(host->steps, scratch_copy(host->scratch, path, as), &host->error);
}

static void the_step_types_of_a_file_come_without_a_configuration_and_stay(void **state)
{
	struct host *host = *state;
	if (load_steps(host, "steps_only.so", "steps_only.so") != MF_OK)
		fail_msg("%s", host->error.message);
	assert_string_equal(calls, "steps_only:create steps_only:init ");
	const struct mf_step_type *type = mf_step_registry_find(host->steps, "only_step", strlen("only_step"));
	assert_non_null(type);
	mf_step_registry_free(host->steps);
	assert_int_equal(mf_step_registry_new(&host->steps), MF_OK);
	assert_string_equal(type->type_id, "only_step");
	assert_int_equal(mf_step_registry_load(host->steps, host->scratch->path, &host->error), MF_OK); /* once more, for another registry */
	assert_int_equal(mf_step_registry_count(host->steps), 1);
	assert_int_equal(mf_step_registry_field_count(host->steps), 1);
	assert_null(strstr(calls, "destroy"));
}

static void a_step_type_that_is_taken_is_refused_and_what_failed_is_taken_back(void **state)
{
	struct host *host = *state;
	assert_int_equal(load_steps(host, "steps_only.so", "steps_only.so"), MF_OK);
	assert_int_equal(mf_step_registry_load(host->steps, host->scratch->path, &host->error), MF_ERR_INVALID);
	says(&host->error, "plugin steps_only: init: ");
	assert_int_equal(mf_step_registry_count(host->steps), 1);
	assert_non_null(strstr(calls, "destroy"));
}

static void what_is_no_step_type_is_refused_where_only_those_are_taken(void **state)
{
	static const char *const plugins[] = {"steps_guard", "steps_follower", "steps_committer"};
	struct host *host = *state;
	for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
		char file[40];
		snprintf(file, sizeof(file), "%s.so", plugins[i]);
		assert_int_equal(load_steps(host, file, file), MF_ERR_STATE);
		says(&host->error, "where only step types and state fields are taken");
		assert_int_equal(mf_step_registry_count(host->steps), 0);
		assert_non_null(strstr(calls, "destroy"));
	}
}

static void a_step_file_is_checked_as_the_loader_does(void **state)
{
	struct host *host = *state;
	assert_int_equal(mf_step_registry_load(host->steps, "/absent/steps_only.so", &host->error), MF_ERR_NOT_FOUND);
	says(&host->error, "cannot open the file");
	assert_int_equal(mf_step_registry_load(host->steps, scratch_write(host->scratch, "text.so", "no ELF"), &host->error), MF_ERR_PLUGIN);
	assert_int_equal(mf_step_registry_load(host->steps, "steps_only.dll", &host->error), MF_ERR_PLUGIN);
	says(&host->error, "NAME.so");
	assert_int_equal(mf_step_registry_load(host->steps, "/tmp/.so", &host->error), MF_ERR_PLUGIN);
	assert_int_equal(mf_step_registry_load(host->steps, "a b.so", &host->error), MF_ERR_PLUGIN);
	char endless[300];
	memset(endless, 'n', 200);
	strcpy(endless + 200, ".so");
	assert_int_equal(mf_step_registry_load(host->steps, endless, &host->error), MF_ERR_PLUGIN);
	says(&host->error, "with a name of at most");
	assert_int_equal(load_steps(host, "steps_only.so", "renamed.so"), MF_ERR_PLUGIN);
	says(&host->error, "they must be equal");
	assert_int_equal(load_steps(host, "new_major.so", "new_major.so"), MF_ERR_PLUGIN);
	assert_int_equal(load_steps(host, "steps_only.so", "steps_only.so"), MF_OK);
	assert_int_equal(chmod(host->scratch->path, 0777), 0);
	assert_int_equal(mf_step_registry_load(host->steps, host->scratch->path, &host->error), MF_ERR_PLUGIN);
}

static void a_frozen_registry_takes_no_file(void **state)
{
	struct host *host = *state;
	mf_step_registry_freeze(host->steps);
	assert_int_equal(load_steps(host, "steps_only.so", "steps_only.so"), MF_ERR_INVALID);
	assert_int_equal(mf_step_registry_count(host->steps), 0);
}

static void every_allocation_that_fails_in_loading_step_types_is_reported_and_leaves_nothing(void **state)
{
	struct host *host = *state;
	enum mf_status status;
	uint64_t n = 0;
	scratch_copy(host->scratch, FIXTURES "/steps_only.so", "steps_only.so");
	do {
		mf_mem_fail_at(++n, false);
		status = mf_step_registry_load(host->steps, host->scratch->path, &host->error);
		mf_mem_fail_at(0, false);
		assert_int_equal(mf_step_registry_count(host->steps), status == MF_OK);
		assert_int_equal(mf_step_registry_field_count(host->steps), status == MF_OK);
		if (status != MF_OK)
			assert_int_equal(status, MF_ERR_NO_MEMORY);
	} while (status != MF_OK);
	assert_true(n > 5);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(plugins_are_created_started_and_in_reverse_stopped_and_destroyed),
		T(what_a_plugin_registers_works_until_it_is_stopped),
		T(a_host_without_plugins_or_committer_is_fine),
		T(the_hosts_own_settings_are_handed_out),
		T(each_plugin_is_described),
		T(the_read_only_wish_of_the_host_reaches_the_plugin),
		T(loading_and_stopping_many_times_in_one_process_leaves_nothing_behind),
		T(two_hosts_in_one_process_use_the_same_plugin_side_by_side),
		T(p14_what_a_plugin_left_with_a_thread_still_works_when_it_is_gone),
		T(what_a_plugin_requires_comes_first_else_the_configurations_order),
		T(the_committer_and_what_it_requires_are_started_first_and_stopped_last),
		T(a_ring_of_one_two_or_three_is_printed_whole),
		T(a_ring_of_optional_plugins_is_skipped),
		T(a_requirement_that_is_not_configured_is_named),
		T(what_requires_a_skipped_plugin_is_skipped_too_or_stops_the_start),
		T(all_failures_of_a_run_are_told_at_once_and_no_code_ran),
		T(an_optional_plugin_that_failed_first_is_told_beside_the_one_that_is_needed),
		T(abi_failures_of_a_run_are_told_together_before_any_plugin_is_created),
		T(p16_each_cause_has_its_own_words),
		T(a_table_that_is_not_sound_only_skips_an_optional_plugin),
		T(the_same_file_twice_is_refused_also_by_hard_link),
		T(files_of_one_number_on_two_devices_are_two),
		T(a_relative_path_is_relative_to_the_file_that_says_it),
		T(the_plugin_path_goes_before_the_configured_directories),
		T(the_strict_policy_is_the_default),
		T(wrong_configuration_stops_the_start_also_of_an_optional_plugin),
		T(what_create_says_of_an_option_is_told_with_file_and_pointer),
		T(a_missing_or_unnamed_configuration_is_an_error),
		T(an_override_replaces_the_option_in_every_plugin_that_has_it),
		T(an_override_that_no_plugin_takes_or_that_is_wrong_is_refused),
		T(a_failing_init_takes_back_everything_and_ends_the_load_in_reverse),
		T(an_optional_plugin_whose_init_fails_is_taken_back_and_the_others_go_on),
		T(what_is_skipped_is_told_to_the_logger),
		T(a_failing_create_leaves_no_instance_to_destroy),
		T(an_unknown_status_is_a_plugin_error),
		T(a_step_type_of_another_plugin_is_refused_and_the_first_keeps_working),
		T(a_state_field_of_another_plugin_is_refused_and_the_first_keeps_working),
		T(the_state_fields_of_a_plugin_whose_init_fails_are_taken_back),
		T(a_second_committer_is_refused_and_names_the_first),
		T(registering_outside_of_init_is_a_state_error),
		T(the_smallest_plugin_lives_with_init_alone),
		T(a_failing_start_stops_what_was_started_in_reverse_and_destroys_all),
		T(an_optional_plugin_that_fails_to_start_is_skipped_with_what_requires_it),
		T(a_committer_that_fails_to_start_stops_the_start_even_if_it_is_optional),
		T(what_the_committer_says_of_its_store_is_told_as_it_is),
		T(a_storage_error_of_another_plugin_is_a_failure_of_that_plugin),
		T(a_bus_that_has_a_committer_already_stops_the_start),
		T(stopping_goes_on_after_an_error_and_returns_the_first),
		T(freeing_a_running_set_stops_it_first),
		T(every_allocation_that_fails_in_loading_is_reported_and_leaves_nothing),
		T(the_step_types_of_a_file_come_without_a_configuration_and_stay),
		T(a_step_type_that_is_taken_is_refused_and_what_failed_is_taken_back),
		T(what_is_no_step_type_is_refused_where_only_those_are_taken),
		T(a_step_file_is_checked_as_the_loader_does),
		T(a_frozen_registry_takes_no_file),
		T(every_allocation_that_fails_in_loading_step_types_is_reported_and_leaves_nothing),
		T(each_status_of_a_store_is_the_committers_own_and_another_plugins_failure),
		T(a_plugin_that_does_not_stop_in_time_is_not_destroyed),
		T(more_failures_than_a_message_holds_are_told_in_part),
		T(a_message_of_create_that_is_no_place_is_told_as_it_is),
		T(a_ring_of_long_names_is_printed_in_part),
		T(a_configuration_without_a_name_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
