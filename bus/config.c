#include "bus/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/edit_distance.h"
#include "bus/path_policy.h"
#include "model/mem.h"

/* ---- the bytes ---- */
static enum mf_status read_bytes(int fd, const char *path, char *bytes, size_t size, struct mf_error *error)
{
	for (size_t at = 0; at < size;) {
		ssize_t got = read(fd, bytes + at, size - at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mf_error_set(error, MF_ERR_IO, "cannot read %s: %s", path, strerror(errno));
		if (got == 0)
			return mf_error_set(error, MF_ERR_IO, "%s became shorter while it was read: try again", path);
		at += (size_t)got;
	}
	return MF_OK;
}

static enum mf_status read_open_file(int fd, const char *path, char **out_bytes, struct stat *out_stat, struct mf_error *error)
{
	if (fstat(fd, out_stat) != 0)
		return mf_error_set(error, MF_ERR_IO, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISREG(out_stat->st_mode))
		return mf_error_set(error, MF_ERR_INVALID, "%s is not a regular file", path);
	if (out_stat->st_size > MF_PLUGINS_FILE_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "%s has %lld bytes, at most %d are read", path, (long long)out_stat->st_size, MF_PLUGINS_FILE_MAX);
	char *bytes = mf_malloc((size_t)out_stat->st_size);
	if (!bytes)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %s", path);
	enum mf_status status = read_bytes(fd, path, bytes, (size_t)out_stat->st_size, error);
	if (status == MF_OK)
		*out_bytes = bytes;
	else
		mf_free(bytes);
	return status;
}

/* O_NONBLOCK: a FIFO by this name must not make us wait. */
static enum mf_status read_file(const char *path, char **out_bytes, struct stat *out_stat, struct mf_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return mf_error_set(error, errno == ENOENT || errno == ENOTDIR ? MF_ERR_NOT_FOUND : MF_ERR_IO, "cannot open %s: %s", path, strerror(errno));
	enum mf_status status = read_open_file(fd, path, out_bytes, out_stat, error);
	close(fd);
	return status;
}

static enum mf_status parse(const char *path, const char *bytes, size_t len, struct mf_value **out, struct mf_error *error)
{
	struct mf_error given = {0};
	enum mf_status status = mf_value_parse_json(bytes, len, out, &given);
	if (status == MF_OK)
		return MF_OK;
	const struct mf_json_place place = {.file = path};
	if (status == MF_ERR_NO_MEMORY)
		return mf_error_set(error, status, "no memory to parse %s", path);
	return mf_json_place_error(&place, error, "%s", given.message);
}

/* ---- pieces ---- */
static enum mf_status unknown_member(const struct mf_json_place *place, const char *key, const char *const *known, struct mf_error *error)
{
	const char *nearest = known[0];
	for (size_t i = 1; known[i]; i++)
		if (mf_edit_distance(key, known[i]) < mf_edit_distance(key, nearest))
			nearest = known[i];
	struct mf_json_place at = mf_json_place_member(place, key);
	return mf_json_place_error(&at, error, "there is no such member; the nearest is \"%s\"", nearest);
}

static bool is_known(const char *key, const char *const *known)
{
	for (; *known; known++)
		if (strcmp(key, *known) == 0)
			return true;
	return false;
}

static enum mf_status check_members(const struct mf_value *object, const char *const *known, const struct mf_json_place *place, struct mf_error *error)
{
	enum mf_status status = mf_json_place_expect(place, object, MF_VALUE_OBJECT, error);
	for (size_t i = 0; status == MF_OK && i < mf_value_count(object); i++) {
		const char *key;
		(void)mf_value_member(object, i, &key, NULL);
		if (!is_known(key, known))
			status = unknown_member(place, key, known, error);
	}
	return status;
}

static enum mf_status read_string(const struct mf_value *value, const struct mf_json_place *place, char **out, struct mf_error *error)
{
	struct mf_error given = {0};
	char *text = mf_json_place_string(place, value, PATH_MAX - 1, &given);
	if (text && !text[0]) {
		mf_free(text);
		text = NULL;
		(void)mf_json_place_error(place, &given, "must not be empty");
	}
	if (!text) {
		if (error)
			*error = given;
		return given.status;
	}
	*out = text;
	return MF_OK;
}

/* Without "./" before it; "." becomes nothing. */
static const char *without_dots(const char *path)
{
	while (path[0] == '.' && (path[1] == '/' || path[1] == '\0'))
		path += 1 + strspn(path + 1, "/");
	return path;
}

/* Takes path: joined to dir if it is relative. */
static enum mf_status join_take(const char *dir, char *path, char **out, struct mf_error *error)
{
	if (path[0] == '/') {
		*out = path;
		return MF_OK;
	}
	const char *rest = without_dots(path), *slash = rest[0] && strcmp(dir, "/") != 0 ? "/" : "";
	size_t size = strlen(dir) + strlen(rest) + 2;
	char *joined = mf_malloc(size);
	if (joined) {
		snprintf(joined, size, "%s%s%s", dir, slash, rest);
		*out = joined;
	}
	mf_free(path);
	return joined ? MF_OK : mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a path of %zu bytes", size);
}

static enum mf_status read_path(const struct mf_value *value, const char *dir, const struct mf_json_place *place, char **out, struct mf_error *error)
{
	char *path = NULL;
	enum mf_status status = read_string(value, place, &path, error);
	return status == MF_OK ? join_take(dir, path, out, error) : status;
}

bool mf_plugin_name_is_sound(const char *name)
{
	size_t len = strnlen(name, MF_PLUGIN_NAME_MAX + 1); /* NOLINT(clang-analyzer-core.NonNullParamChecker): a name was read if that gave MF_OK */
	if (len == 0 || len > MF_PLUGIN_NAME_MAX || name[0] == '.' || strstr(name, ".."))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == len;
}

/* ---- the plugins ---- */
static enum mf_status read_name(const struct mf_plugins_file *file, const struct mf_value *object, const struct mf_json_place *place,
				char **out, struct mf_error *error)
{
	const struct mf_value *value = mf_value_get(object, "name");
	struct mf_json_place at = mf_json_place_member(place, "name");
	if (!value)
		return mf_json_place_error(&at, error, "is missing: every plugin needs a name");
	char *name = NULL;
	enum mf_status status = read_string(value, &at, &name, error);
	if (status != MF_OK)
		return status;
	if (!mf_plugin_name_is_sound(name))
		status = mf_json_place_error(&at, error, "\"%.*s\" is not a plugin's name: 1 to %d letters, digits, _, - and ., without \"..\" and \"/\"",
					     mf_text_cut(name, 80), name, MF_PLUGIN_NAME_MAX);
	for (size_t i = 0; status == MF_OK && i < file->entry_count; i++)
		if (strcmp(file->entries[i].name, name) == 0)
			status = mf_json_place_error(&at, error, "\"%s\" is the name of /plugins/%zu already", name, i);
	if (status == MF_OK)
		*out = name;
	else
		mf_free(name);
	return status;
}

static enum mf_status read_required(const struct mf_value *object, const struct mf_json_place *place, bool *out, struct mf_error *error)
{
	const struct mf_value *value = mf_value_get(object, "required");
	struct mf_json_place at = mf_json_place_member(place, "required");
	enum mf_status status = value ? mf_json_place_expect(&at, value, MF_VALUE_BOOL, error) : MF_OK;
	if (status == MF_OK)
		*out = !value || mf_value_as_bool(value);
	return status;
}

static enum mf_status read_entry_config(const struct mf_value *object, const struct mf_json_place *place, struct mf_plugins_entry *entry, struct mf_error *error)
{
	entry->config_place = mf_json_place_member(place, "config");
	entry->config = mf_value_get(object, "config");
	return entry->config ? mf_json_place_expect(&entry->config_place, entry->config, MF_VALUE_OBJECT, error) : MF_OK;
}

static enum mf_status read_entry(const struct mf_plugins_file *file, const struct mf_value *object, const struct mf_json_place *place,
				 struct mf_plugins_entry *entry, struct mf_error *error)
{
	static const char *const known[] = {"name", "path", "required", "config", NULL};
	enum mf_status status = check_members(object, known, place, error);
	if (status == MF_OK)
		status = read_name(file, object, place, &entry->name, error);
	const struct mf_value *path = status == MF_OK ? mf_value_get(object, "path") : NULL;
	struct mf_json_place at = mf_json_place_member(place, "path");
	if (path)
		status = read_path(path, file->dir, &at, &entry->path, error);
	if (status == MF_OK)
		status = read_required(object, place, &entry->required, error);
	if (status == MF_OK)
		status = read_entry_config(object, place, entry, error);
	return status;
}

static enum mf_status read_plugins(struct mf_plugins_file *file, const struct mf_json_place *top, struct mf_error *error)
{
	const struct mf_value *plugins = mf_value_get(file->json, "plugins");
	struct mf_json_place place = mf_json_place_member(top, "plugins");
	if (!plugins)
		return mf_json_place_error(&place, error, "is missing: an array of {\"name\": ...}");
	enum mf_status status = mf_json_place_expect(&place, plugins, MF_VALUE_ARRAY, error);
	if (status != MF_OK)
		return status;
	size_t count = mf_value_count(plugins);
	if (count > MF_PLUGINS_MAX)
		return mf_json_place_error(&place, error, "has %zu plugins, at most %d are possible", count, MF_PLUGINS_MAX);
	file->entries = mf_calloc(count, sizeof(file->entries[0]));
	if (!file->entries)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %zu plugins", count);
	for (size_t i = 0; status == MF_OK && i < count; i++) {
		struct mf_json_place at = mf_json_place_item(&place, i);
		struct mf_plugins_entry entry = {0};
		status = read_entry(file, mf_value_item(plugins, i), &at, &entry, error);
		file->entries[file->entry_count++] = entry;
	}
	return status;
}

/* ---- the other members ---- */
static enum mf_status read_plugin_dirs(struct mf_plugins_file *file, const struct mf_json_place *top, struct mf_error *error)
{
	const struct mf_value *dirs = mf_value_get(file->json, "plugin_dirs");
	struct mf_json_place place = mf_json_place_member(top, "plugin_dirs");
	if (!dirs)
		return MF_OK;
	enum mf_status status = mf_json_place_expect(&place, dirs, MF_VALUE_ARRAY, error);
	if (status != MF_OK)
		return status;
	size_t count = mf_value_count(dirs);
	file->plugin_dirs = mf_calloc(count, sizeof(file->plugin_dirs[0]));
	if (!file->plugin_dirs)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for %zu plugin_dirs", count);
	for (size_t i = 0; status == MF_OK && i < count; i++) {
		struct mf_json_place at = mf_json_place_item(&place, i);
		status = read_path(mf_value_item(dirs, i), file->dir, &at, &file->plugin_dirs[i], error);
		file->plugin_dir_count += status == MF_OK;
	}
	return status;
}

/* *out: is it the second of the two words? Absent: the first. */
static enum mf_status read_choice(const struct mf_plugins_file *file, const struct mf_json_place *top, const char *member,
				  const char *first, const char *second, bool *out, struct mf_error *error)
{
	const struct mf_value *value = mf_value_get(file->json, member);
	struct mf_json_place at = mf_json_place_member(top, member);
	if (!value)
		return MF_OK;
	const char *text = mf_value_kind(value) == MF_VALUE_STRING ? mf_value_string_flat(value) : NULL;
	bool is_first = text && strcmp(text, first) == 0, is_second = text && strcmp(text, second) == 0;
	if (!is_first && !is_second)
		return mf_json_place_error(&at, error, "must be \"%s\" or \"%s\"", first, second);
	*out = is_second;
	return MF_OK;
}

static enum mf_status read_max_loaded(struct mf_plugins_file *file, const struct mf_json_place *top, struct mf_error *error)
{
	const struct mf_value *value = mf_value_get(file->json, "max_loaded_documents");
	struct mf_json_place at = mf_json_place_member(top, "max_loaded_documents");
	if (!value)
		return MF_OK;
	enum mf_status status = mf_json_place_expect(&at, value, MF_VALUE_INT, error);
	if (status != MF_OK)
		return status;
	if (mf_value_as_int(value) < 1)
		return mf_json_place_error(&at, error, "is %lld, must be at least 1; leave it out for no limit", (long long)mf_value_as_int(value));
	file->max_loaded_documents = (size_t)mf_value_as_int(value);
	return MF_OK;
}

static enum mf_status read_members(struct mf_plugins_file *file, struct mf_error *error)
{
	static const char *const known[] = {"plugin_dirs", "plugins", "path_policy", "recover_at_open", "max_loaded_documents", NULL};
	const struct mf_json_place top = {.file = file->path};
	bool policy_is_off = false;
	enum mf_status status = check_members(file->json, known, &top, error);
	if (status == MF_OK)
		status = read_choice(file, &top, "path_policy", "strict", "off", &policy_is_off, error);
	if (status == MF_OK)
		status = read_choice(file, &top, "recover_at_open", "default", "all", &file->recover_all, error);
	if (status == MF_OK)
		status = read_max_loaded(file, &top, error);
	if (status == MF_OK)
		status = read_plugin_dirs(file, &top, error);
	if (status == MF_OK)
		status = read_plugins(file, &top, error);
	file->strict_paths = !policy_is_off;
	return status;
}

/* ---- the whole ---- */
static enum mf_status set_paths(struct mf_plugins_file *file, const char *path, struct mf_error *error)
{
	const char *slash = strrchr(path, '/');
	file->path = mf_strdup(path);
	file->dir = mf_strdup(!slash ? "." : slash == path ? "/" : path);
	if (!file->path || !file->dir)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the path of %s", path);
	if (slash && slash != path)
		file->dir[slash - path] = '\0';
	else if (slash)
		file->dir[1] = '\0';
	return MF_OK;
}

static enum mf_status load(struct mf_plugins_file *file, const char *path, struct mf_error *error)
{
	enum mf_status status = set_paths(file, path, error);
	if (status != MF_OK)
		return status;
	char *bytes = NULL;
	struct stat stat;
	status = read_file(path, &bytes, &stat, error);
	if (status != MF_OK)
		return status;
	status = parse(path, bytes, (size_t)stat.st_size, &file->json, error);
	mf_free(bytes);
	if (status == MF_OK)
		status = read_members(file, error);
	if (status == MF_OK && file->strict_paths)
		status = mf_path_policy_check(path, &stat, error);
	return status;
}

enum mf_status mf_plugins_file_read(const char *path, struct mf_plugins_file *out, struct mf_error *error)
{
	struct mf_plugins_file file = {0};
	enum mf_status status = load(&file, path, error);
	if (status == MF_OK)
		*out = file;
	else
		mf_plugins_file_deinit(&file);
	return status;
}

void mf_plugins_file_deinit(struct mf_plugins_file *file)
{
	for (size_t i = 0; i < file->entry_count; i++) {
		mf_free(file->entries[i].name);
		mf_free(file->entries[i].path);
	}
	for (size_t i = 0; i < file->plugin_dir_count; i++)
		mf_free(file->plugin_dirs[i]);
	mf_free(file->entries);
	mf_free(file->plugin_dirs);
	if (file->json)
		mf_value_unref(file->json);
	mf_free(file->path);
	mf_free(file->dir);
	*file = (struct mf_plugins_file){0};
}
