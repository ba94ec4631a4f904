/* plugins.json: read, and refused where it is wrong. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/config.h"
#include "model/mem.h"
#include "tests/bus/scratch.h"
#include "tests/bus/sys_fail.h"

static enum mf_status read_text(struct scratch *scratch, const char *text, struct mf_plugins_file *out, struct mf_error *error)
{
	return mf_plugins_file_read(scratch_write(scratch, "plugins.json", text), out, error);
}

/* message: what follows "FILE: ". */
static void refused(struct scratch *scratch, const char *text, const char *message)
{
	struct mf_plugins_file file;
	struct mf_error error = {0};
	char expected[700];
	assert_int_equal(read_text(scratch, text, &file, &error), MF_ERR_INVALID);
	snprintf(expected, sizeof(expected), "%s: %s", scratch_path(scratch, "plugins.json"), message);
	assert_string_equal(error.message, expected);
}

static void a_whole_file_is_understood(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	char expected[700];
	assert_int_equal(read_text(scratch, "{\"plugin_dirs\": [\"plugins\", \"/abs\"], \"recover_at_open\": \"all\", \"max_loaded_documents\": 5, \"path_policy\": \"off\","
					    "\"plugins\": [{\"name\": \"a\"}, {\"name\": \"b-2.x_\", \"path\": \"sub/b.so\", \"required\": false, \"config\": {\"k\": 1}},"
					    "{\"name\": \"c\", \"path\": \"/opt/c.so\", \"required\": true}]}", &file, &error), MF_OK);
	assert_int_equal(file.plugin_dir_count, 2);
	snprintf(expected, sizeof(expected), "%s/plugins", scratch->dir);
	assert_string_equal(file.plugin_dirs[0], expected);
	assert_string_equal(file.plugin_dirs[1], "/abs");
	assert_int_equal(file.entry_count, 3);
	assert_string_equal(file.entries[0].name, "a");
	assert_null(file.entries[0].path);
	assert_true(file.entries[0].required);
	assert_null(file.entries[0].config);
	snprintf(expected, sizeof(expected), "%s/sub/b.so", scratch->dir);
	assert_string_equal(file.entries[1].path, expected);
	assert_false(file.entries[1].required);
	assert_int_equal(mf_value_count(file.entries[1].config), 1);
	assert_string_equal(file.entries[1].config_place.pointer, "/plugins/1/config");
	assert_string_equal(file.entries[2].path, "/opt/c.so");
	assert_true(file.recover_all);
	assert_int_equal(file.max_loaded_documents, 5);
	assert_false(file.strict_paths);
	mf_plugins_file_deinit(&file);
}

static void what_is_left_out_has_its_default(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	assert_int_equal(read_text(scratch, "{\"plugins\": []}", &file, &error), MF_OK);
	assert_true(file.strict_paths);
	assert_false(file.recover_all);
	assert_int_equal(file.max_loaded_documents, 0);
	assert_int_equal(file.plugin_dir_count, 0);
	assert_int_equal(file.entry_count, 0);
	mf_plugins_file_deinit(&file);
}

static void a_file_in_the_current_directory_needs_no_slash(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	char before[4096];
	assert_non_null(getcwd(before, sizeof(before)));
	scratch_write(scratch, "plugins.json", "{\"plugin_dirs\": [\"p\", \".\", \"././/q/.r\", \"./\", \"../s\"], \"plugins\": []}");
	assert_int_equal(chdir(scratch->dir), 0);
	enum mf_status status = mf_plugins_file_read("plugins.json", &file, &error);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(status, MF_OK);
	static const char *const joined[] = {"./p", ".", "./q/.r", ".", "./../s"};
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(file.plugin_dirs[i], joined[i]);
	mf_plugins_file_deinit(&file);
}

static void what_is_not_json_is_refused_with_line_and_column(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	assert_int_equal(read_text(scratch, "{\"plugins\": [\n  {\"name\" \"a\"}]}", &file, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "plugins.json: JSON line 2, column "));
	assert_int_equal(read_text(scratch, "", &file, &error), MF_ERR_INVALID);
	assert_int_equal(read_text(scratch, "hello", &file, &error), MF_ERR_INVALID);
	assert_int_equal(read_text(scratch, "{\"plugins\": []} x", &file, &error), MF_ERR_INVALID);
}

static void duplicate_keys_are_refused_at_every_level(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	assert_int_equal(read_text(scratch, "{\"plugins\": [], \"plugins\": []}", &file, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "duplicate"));
	assert_non_null(strstr(error.message, "line 1"));
	assert_int_equal(read_text(scratch, "{\"plugins\": [{\"name\":\"a\",\n\"config\":{\"x\":{\"y\":1,\"y\":2}}}]}", &file, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "duplicate"));
	assert_non_null(strstr(error.message, "line 2"));
}

static void a_syntax_error_does_not_repeat_the_text_which_may_be_a_secret(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	assert_int_equal(read_text(scratch, "{\"plugins\":[{\"name\":\"a\",\"config\":{\"password\": hunter2}}]}", &file, &error), MF_ERR_INVALID);
	assert_null(strstr(error.message, "hunter2"));
	assert_int_equal(read_text(scratch, "{\"plugins\":[{\"name\":\"a\",\"config\":{\"password\" \"duplicate object key\"}}]}", &file, &error), MF_ERR_INVALID);
	assert_null(strstr(error.message, "duplicate"));
}

static void the_wrong_shape_is_refused_with_a_pointer(void **state)
{
	struct scratch *scratch = *state;
	refused(scratch, "[]", "must be an object, is an array");
	refused(scratch, "{}", "/plugins: is missing: an array of {\"name\": ...}");
	refused(scratch, "{\"plugins\": {}}", "/plugins: must be an array, is an object");
	refused(scratch, "{\"plugins\": [1]}", "/plugins/0: must be an object, is an integer");
	refused(scratch, "{\"plugins\": [{}]}", "/plugins/0/name: is missing: every plugin needs a name");
	refused(scratch, "{\"plugins\": [{\"name\": 1}]}", "/plugins/0/name: must be a string, is an integer");
	refused(scratch, "{\"plugins\": [{\"name\": \"a\", \"required\": 1}]}", "/plugins/0/required: must be a boolean, is an integer");
	refused(scratch, "{\"plugins\": [{\"name\": \"a\", \"config\": []}]}", "/plugins/0/config: must be an object, is an array");
	refused(scratch, "{\"plugins\": [{\"name\": \"a\", \"path\": \"\"}]}", "/plugins/0/path: must not be empty");
	refused(scratch, "{\"plugins\": [{\"name\": \"a\", \"path\": \"a\\u0000b\"}]}", "/plugins/0/path: must not contain the character U+0000");
	refused(scratch, "{\"plugin_dirs\": \"x\", \"plugins\": []}", "/plugin_dirs: must be an array, is a string");
	refused(scratch, "{\"plugin_dirs\": [1], \"plugins\": []}", "/plugin_dirs/0: must be a string, is an integer");
	refused(scratch, "{\"plugin_dirs\": [\"a\", \"\"], \"plugins\": []}", "/plugin_dirs/1: must not be empty");
	refused(scratch, "{\"path_policy\": \"lax\", \"plugins\": []}", "/path_policy: must be \"strict\" or \"off\"");
	refused(scratch, "{\"path_policy\": 1, \"plugins\": []}", "/path_policy: must be \"strict\" or \"off\"");
	refused(scratch, "{\"recover_at_open\": \"none\", \"plugins\": []}", "/recover_at_open: must be \"default\" or \"all\"");
	refused(scratch, "{\"max_loaded_documents\": 0, \"plugins\": []}", "/max_loaded_documents: is 0, must be at least 1; leave it out for no limit");
	refused(scratch, "{\"max_loaded_documents\": \"9\", \"plugins\": []}", "/max_loaded_documents: must be an integer, is a string");
}

static void an_unknown_member_is_refused_with_the_nearest_name(void **state)
{
	struct scratch *scratch = *state;
	refused(scratch, "{\"plugin_dir\": [], \"plugins\": []}", "/plugin_dir: there is no such member; the nearest is \"plugin_dirs\"");
	refused(scratch, "{\"plugins\": [{\"name\": \"a\"}, {\"name\": \"b\", \"reqired\": true}]}", "/plugins/1/reqired: there is no such member; the nearest is \"required\"");
	refused(scratch, "{\"plugins\": [], \"max_loaded_docs\": 1}", "/max_loaded_docs: there is no such member; the nearest is \"max_loaded_documents\"");
}

static void a_duplicate_plugin_name_is_refused(void **state)
{
	refused(*state, "{\"plugins\": [{\"name\": \"a\"}, {\"name\": \"b\"}, {\"name\": \"a\"}]}", "/plugins/2/name: \"a\" is the name of /plugins/0 already");
}

static void names_that_could_be_paths_are_refused(void **state)
{
	struct scratch *scratch = *state;
	static const char *const bad[] = {"a/b", "/a", "..", "a..b", ".", ".hidden", "a b", "a\\n", "é",
					  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mf_plugins_file file;
		struct mf_error error;
		char text[200];
		snprintf(text, sizeof(text), "{\"plugins\": [{\"name\": \"%s\"}]}", bad[i]);
		assert_int_equal(read_text(scratch, text, &file, &error), MF_ERR_INVALID);
		assert_non_null(strstr(error.message, "/plugins/0/name: "));
		assert_non_null(strstr(error.message, "is not a plugin's name"));
	}
	refused(scratch, "{\"plugins\": [{\"name\": \"\"}]}", "/plugins/0/name: must not be empty");
}

static void too_many_plugins_or_too_many_bytes_are_refused(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	static char text[MF_PLUGINS_FILE_MAX + 2];
	size_t len = (size_t)sprintf(text, "{\"plugins\": [");
	for (size_t i = 0; i <= MF_PLUGINS_MAX; i++)
		len += (size_t)sprintf(text + len, "%s{\"name\": \"p%zu\"}", i ? "," : "", i);
	sprintf(text + len, "]}");
	refused(scratch, text, "/plugins: has 257 plugins, at most 256 are possible");
	memset(text, ' ', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(read_text(scratch, text, &file, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "at most 1048576 are read"));
}

static void a_file_that_is_missing_or_not_a_file_is_refused_without_waiting(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	assert_int_equal(mf_plugins_file_read(scratch_path(scratch, "none.json"), &file, &error), MF_ERR_NOT_FOUND);
	assert_non_null(strstr(error.message, "none.json"));
	assert_int_equal(mf_plugins_file_read(scratch_mkdir(scratch, "dir.json", 0700), &file, &error), MF_ERR_INVALID);
	assert_int_equal(mkfifo(scratch_path(scratch, "fifo.json"), 0600), 0);
	assert_int_equal(mf_plugins_file_read(scratch_path(scratch, "fifo.json"), &file, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "is not a regular file"));
}

static void the_strict_policy_refuses_a_file_that_others_may_write(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	const char *path = scratch_write(scratch, "plugins.json", "{\"plugins\": []}");
	assert_int_equal(chmod(path, 0646), 0);
	assert_int_equal(mf_plugins_file_read(path, &file, &error), MF_ERR_PLUGIN);
	assert_non_null(strstr(error.message, "everybody can write to the file (mode 0646"));
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(mf_plugins_file_read(path, &file, &error), MF_ERR_PLUGIN);
	assert_non_null(strstr(error.message, "its group can write to the file (mode 0664"));
	path = scratch_write(scratch, "plugins.json", "{\"plugins\": [], \"path_policy\": \"off\"}");
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(mf_plugins_file_read(path, &file, &error), MF_OK);
	mf_plugins_file_deinit(&file);
}

static void the_strict_policy_refuses_a_file_in_a_directory_that_others_may_write(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	scratch_mkdir(scratch, "open", 0777);
	scratch_write(scratch, "open/plugins.json", "{\"plugins\": []}");
	assert_int_equal(mf_plugins_file_read(scratch_path(scratch, "open/plugins.json"), &file, &error), MF_ERR_PLUGIN);
	assert_non_null(strstr(error.message, "everybody can write to the file's directory (mode 0777"));
	assert_int_equal(chmod(scratch_path(scratch, "open"), 01777), 0);
	assert_int_equal(mf_plugins_file_read(scratch_path(scratch, "open/plugins.json"), &file, &error), MF_OK);
	mf_plugins_file_deinit(&file);
}

static void a_long_path_leaves_room_for_the_rule(void **state)
{
	(void)state;
	char name[3000];
	struct mf_error error;
	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	const struct mf_json_place place = {.file = name, .pointer = "/plugins"};
	(void)mf_json_place_error(&place, &error, "is wrong");
	assert_non_null(strstr(error.message, "ddd: /plugins: is wrong"));
	struct mf_json_place deep = place;
	for (int i = 0; i < 100; i++)
		deep = mf_json_place_member(&deep, "member~/");
	assert_true(strlen(deep.pointer) < MF_POINTER_SIZE);
}

static void a_text_is_never_cut_within_a_character(void **state)
{
	(void)state;
	const struct mf_json_place place = {.file = "f"};
	char key[600];
	for (size_t shift = 0; shift < 4; shift++) {
		memset(key, 'k', shift);
		key[shift] = '\0';
		while (strlen(key) < 500)
			strcat(key, "\xF0\x9F\x98\x80");
		struct mf_json_place at = mf_json_place_member(&place, key);
		size_t len = strlen(at.pointer);
		assert_true(len > MF_POINTER_SIZE - 8);
		assert_int_equal((len - 1 - shift) % 4, 0);
		assert_int_equal((mf_text_cut(key, 64) - (int)shift) % 4, 0);
	}
	assert_int_equal(mf_text_cut("abc", 3), 3);
	assert_int_equal(mf_text_cut("abc", 2), 2);
}

static void every_allocation_that_fails_is_reported_and_leaks_nothing(void **state)
{
	struct scratch *scratch = *state;
	struct mf_error error;
	const char *path = scratch_write(scratch, "plugins.json", "{\"plugin_dirs\":[\"a\",\"/b\"],\"plugins\":[{\"name\":\"a\",\"path\":\"x.so\",\"config\":{\"k\":\"v\"}},{\"name\":\"b\"}]}");
	enum mf_status status = MF_ERR_NO_MEMORY;
	size_t files = open_file_count();
	uint64_t n = 1;
	for (; status == MF_ERR_NO_MEMORY; n++) {
		struct mf_plugins_file file = {0};
		mf_mem_fail_at(n, false);
		status = mf_plugins_file_read(path, &file, &error);
		mf_mem_fail_at(0, false);
		mf_plugins_file_deinit(&file);
	}
	assert_int_equal(status, MF_OK);
	assert_true(n > 15);
	assert_int_equal(open_file_count(), files);
}

static void expect_read_fails(struct scratch *scratch, enum sys_call call, int error_number, enum mf_status status, const char *words)
{
	struct mf_plugins_file file;
	struct mf_error error = {0};
	const char *path = scratch_write(scratch, "plugins.json", "{\"plugins\": []}");
	sys_fail(call, 1, error_number);
	enum mf_status got = mf_plugins_file_read(path, &file, &error);
	sys_fail(call, 0, 0);
	assert_int_equal(got, status);
	if (!strstr(error.message, words) || !strstr(error.message, scratch->dir))
		fail_msg("no '%s' in: %s", words, error.message);
}

static void a_file_that_cannot_be_opened_looked_at_or_read_is_an_io_error(void **state)
{
	struct scratch *scratch = *state;
	expect_read_fails(scratch, SYS_OPEN, EACCES, MF_ERR_IO, "cannot open");
	expect_read_fails(scratch, SYS_OPEN, ENOTDIR, MF_ERR_NOT_FOUND, "cannot open");
	expect_read_fails(scratch, SYS_FSTAT, EIO, MF_ERR_IO, "cannot look at");
	expect_read_fails(scratch, SYS_READ, EIO, MF_ERR_IO, "cannot read");
	expect_read_fails(scratch, SYS_READ, 0, MF_ERR_IO, "became shorter");
	expect_read_fails(scratch, SYS_STAT, EIO, MF_ERR_PLUGIN, "cannot look at the directory");
	expect_read_fails(scratch, SYS_REALPATH, EIO, MF_ERR_PLUGIN, "cannot resolve");
}

static void a_reading_that_a_signal_interrupts_goes_on(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	sys_fail(SYS_READ, 1, EINTR);
	assert_int_equal(read_text(scratch, "{\"plugins\": [{\"name\": \"a\"}], \"path_policy\": \"strict\"}", &file, &error), MF_OK);
	assert_int_equal(sys_calls(), 2);
	sys_fail(SYS_READ, 0, 0);
	assert_int_equal(file.entry_count, 1);
	assert_true(file.strict_paths);
	mf_plugins_file_deinit(&file);
}

static void a_text_that_speaks_of_duplicate_keys_is_not_shown_all_the_same(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error = {0};
	assert_int_equal(read_text(scratch, "{\"password\": \"duplicate object key hunter2\\q\"}", &file, &error), MF_ERR_INVALID);
	assert_null(strstr(error.message, "hunter2"));
	assert_non_null(strstr(error.message, "line 1"));
}

static void a_choice_that_is_no_text_is_refused(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	refused(scratch, "{\"path_policy\": 7, \"plugins\": []}", "/path_policy: must be \"strict\" or \"off\"");
	assert_int_equal(read_text(scratch, "{\"path_policy\": 7, \"plugins\": []}", &file, NULL), MF_ERR_INVALID);
	assert_int_equal(read_text(scratch, "{\"plugins\": [{\"name\": 7}]}", &file, NULL), MF_ERR_INVALID);
	assert_false(mf_plugin_name_is_sound(""));
	char json[5000];
	struct mf_error error = {0};
	int len = snprintf(json, sizeof(json), "{\"plugins\": [{\"name\": \"a\", \"path\": \"");
	memset(json + len, 'p', 4200);
	strcpy(json + len + 4200, "\"}]}");
	assert_int_equal(read_text(scratch, json, &file, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "is 4200 bytes long"));
}

static void a_path_may_be_as_long_as_the_system_takes_and_no_longer(void **state)
{
	struct scratch *scratch = *state;
	for (size_t len = PATH_MAX - 1; len <= PATH_MAX; len++) {
		char json[PATH_MAX + 100];
		struct mf_plugins_file file;
		struct mf_error error = {0};
		int before = snprintf(json, sizeof(json), "{\"plugins\": [{\"name\": \"a\", \"path\": \"/");
		memset(json + before, 'p', len - 1);
		strcpy(json + before + len - 1, "\"}]}");
		assert_int_equal(read_text(scratch, json, &file, &error), len < PATH_MAX ? MF_OK : MF_ERR_INVALID);
		if (len < PATH_MAX) {
			assert_int_equal(strlen(file.entries[0].path), len);
			mf_plugins_file_deinit(&file);
		}
	}
}

/* Nobody writes into the root of the file system for a test: it is another file that is opened there. */
static void a_file_in_the_root_directory_has_a_sound_one_of_its_own(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugins_file file;
	struct mf_error error;
	char path[600];
	strcpy(path, scratch_write(scratch, "plugins.json", "{\"path_policy\": \"off\", \"plugin_dirs\": [\"plugins\", \".\"], \"plugins\": []}"));
	sys_redirect("/plugins.json", path);
	assert_int_equal(mf_plugins_file_read("/plugins.json", &file, &error), MF_OK);
	sys_redirect(NULL, NULL);
	assert_string_equal(file.dir, "/");
	assert_string_equal(file.plugin_dirs[0], "/plugins");
	assert_string_equal(file.plugin_dirs[1], "/");
	mf_plugins_file_deinit(&file);
	assert_int_equal(mf_plugins_file_read("no such file of this name", &file, &error), MF_ERR_NOT_FOUND);
}

static void places_are_cut_between_characters(void **state)
{
	(void)state;
	char file[400], key[2 * MF_POINTER_SIZE];
	struct mf_error error;
	struct mf_json_place place = {.file = file};
	for (size_t i = 0; i < sizeof(file) - 1; i++)
		file[i] = "\xe2\x82\xac"[i % 3];
	file[sizeof(file) - 1] = '\0';
	for (size_t shift = 0; shift < 3; shift++) {
		place.file = file + shift;
		(void)mf_json_place_error(&place, &error, "wrong");
		assert_true(strncmp(error.message, "...\xe2\x82\xac", 6) == 0);
	}
	place.file = "\x82\xac";
	(void)mf_json_place_error(&place, &error, "wrong"); /* it is no text from its beginning on: nothing was cut */
	assert_string_equal(error.message, "\x82\xac: wrong");
	memset(key, 0x82, sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	assert_int_equal(mf_text_cut(key, 20), 0);
	assert_string_equal(mf_value_kind_name((enum mf_value_kind)99), "something else");
}

#define T(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_whole_file_is_understood),
		T(what_is_left_out_has_its_default),
		T(a_file_in_the_current_directory_needs_no_slash),
		T(what_is_not_json_is_refused_with_line_and_column),
		T(duplicate_keys_are_refused_at_every_level),
		T(a_syntax_error_does_not_repeat_the_text_which_may_be_a_secret),
		T(the_wrong_shape_is_refused_with_a_pointer),
		T(an_unknown_member_is_refused_with_the_nearest_name),
		T(a_duplicate_plugin_name_is_refused),
		T(names_that_could_be_paths_are_refused),
		T(too_many_plugins_or_too_many_bytes_are_refused),
		T(a_file_that_is_missing_or_not_a_file_is_refused_without_waiting),
		T(the_strict_policy_refuses_a_file_that_others_may_write),
		T(the_strict_policy_refuses_a_file_in_a_directory_that_others_may_write),
		T(a_long_path_leaves_room_for_the_rule),
		cmocka_unit_test(a_text_is_never_cut_within_a_character),
		T(every_allocation_that_fails_is_reported_and_leaks_nothing),
		T(a_file_that_cannot_be_opened_looked_at_or_read_is_an_io_error),
		T(a_reading_that_a_signal_interrupts_goes_on),
		T(a_text_that_speaks_of_duplicate_keys_is_not_shown_all_the_same),
		T(a_choice_that_is_no_text_is_refused),
		T(a_path_may_be_as_long_as_the_system_takes_and_no_longer),
		T(a_file_in_the_root_directory_has_a_sound_one_of_its_own),
		T(places_are_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
