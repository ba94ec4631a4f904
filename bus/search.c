#include "bus/search.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "model/mem.h"

struct note { /* text that grows until it is full */
	char text[MF_ERROR_MESSAGE_SIZE];
	size_t len;
};

struct hunt {
	const char *name;
	char path[PATH_MAX];
	bool found;
	struct note tried, ignored;
};

static void note_add(struct note *note, const char *text, size_t len, const char *why)
{
	size_t room = sizeof(note->text) - note->len;
	int written = snprintf(note->text + note->len, room, "%s%.*s%s", note->len ? ", " : "", (int)len, text, why);
	note->len += (size_t)written < room ? (size_t)written : room - 1;
}

static enum mf_status look_in(struct hunt *hunt, const char *dir, int dir_len, struct mf_error *error)
{
	int len = snprintf(hunt->path, sizeof(hunt->path), "%.*s/%s.so", dir_len, dir, hunt->name);
	if ((size_t)len >= sizeof(hunt->path))
		return mf_error_set(error, MF_ERR_PLUGIN, "a directory of the search path has %d bytes: too long", dir_len);
	struct stat info;
	hunt->found = lstat(hunt->path, &info) == 0;
	if (!hunt->found && errno != ENOENT && errno != ENOTDIR)
		return mf_error_set(error, MF_ERR_PLUGIN, "cannot look for %s: %s", hunt->path, strerror(errno));
	if (!hunt->found)
		note_add(&hunt->tried, dir, (size_t)dir_len, "");
	return MF_OK;
}

static enum mf_status look_in_plugin_path(struct hunt *hunt, const char *plugin_path, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	const char *part = plugin_path;
	while (part && status == MF_OK && !hunt->found) {
		size_t len = strcspn(part, ":");
		if (len == 0)
			note_add(&hunt->ignored, "", 0, "an empty part");
		else if (part[0] != '/')
			note_add(&hunt->ignored, part, len < 80 ? len : 80, ", which is relative");
		else
			status = look_in(hunt, part, len < PATH_MAX ? (int)len : PATH_MAX, error);
		part = part[len] ? part + len + 1 : NULL;
	}
	return status;
}

static enum mf_status not_found(const struct hunt *hunt, struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_NOT_FOUND, "no file %s.so in: %s%s%s%s; set plugin_dirs, or MF_PLUGIN_PATH", hunt->name, hunt->tried.len ? hunt->tried.text : "(no directories)",
			    hunt->ignored.len ? " (ignored in MF_PLUGIN_PATH: " : "", hunt->ignored.text, hunt->ignored.len ? ")" : "");
}

enum mf_status mf_plugin_search(const struct mf_plugin_search *search, const char *name, char **out_path, struct mf_error *error)
{
	struct hunt hunt = {.name = name};
	enum mf_status status = MF_OK;
	if (search->plugin_path && search->plugin_path[0])
		status = look_in_plugin_path(&hunt, search->plugin_path, error);
	for (size_t i = 0; status == MF_OK && !hunt.found && i < search->dir_count; i++)
		status = look_in(&hunt, search->dirs[i], (int)strnlen(search->dirs[i], PATH_MAX), error);
	if (status == MF_OK && !hunt.found && search->installed_dir)
		status = look_in(&hunt, search->installed_dir, (int)strnlen(search->installed_dir, PATH_MAX), error);
	if (status != MF_OK)
		return status;
	if (!hunt.found)
		return not_found(&hunt, error);
	char *path = mf_strdup(hunt.path);
	if (!path)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a path");
	*out_path = path;
	return MF_OK;
}
