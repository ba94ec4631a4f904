#include "host/overrides.h"

#include <stdio.h>
#include <string.h>

#define MISSING "; is snapshot_subscriber missing in plugins.json?"

static void add_override(struct mf_overrides *overrides, const char *option, const char *json, const char *hint)
{
	overrides->list[overrides->count++] = (struct mf_plugin_override){.option = option, .json = json, .hint = hint};
}

static bool read_window(const char *text, unsigned *out)
{
	unsigned window = 0;
	if (*text == '\0')
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || window > 60000)
			return false;
		window = window * 10 + (unsigned)(*text - '0');
	}
	*out = window;
	return window <= 60000;
}

static enum mf_status override_mode(struct mf_overrides *overrides, const char *mode, struct mf_error *error)
{
	unsigned window = 10;
	if (strcmp(mode, "memory") == 0) {
		snprintf(overrides->mode, sizeof(overrides->mode), "\"memory_only\"");
		add_override(overrides, "store.backend", "\"memory\"", MISSING);
	} else if (strcmp(mode, "sync") == 0) {
		snprintf(overrides->mode, sizeof(overrides->mode), "\"sync_durable\"");
	} else if (strcmp(mode, "async") == 0 || (strncmp(mode, "async:", 6) == 0 && read_window(mode + 6, &window))) {
		snprintf(overrides->mode, sizeof(overrides->mode), "{\"async_durable\":{\"group_window_ms\":%u}}", window);
	} else {
		return mf_error_set(error, MF_ERR_INVALID, "the mode '%s' is none of: memory, async, async:MS (0 to 60000), sync", mode);
	}
	add_override(overrides, "commit_mode", overrides->mode, " by mode (--mode)" MISSING);
	return MF_OK;
}

static enum mf_status override_dir(struct mf_overrides *overrides, const char *dir, struct mf_error *error)
{
	struct mf_value *value = NULL;
	size_t len;
	enum mf_status status = mf_value_new_string(dir, strlen(dir), &value, error);
	if (status == MF_OK)
		status = mf_value_to_json(value, &overrides->dir, &len);
	mf_value_unref(value);
	if (status != MF_OK)
		return mf_error_set(error, status, "the data directory's name cannot be used: it is not valid UTF-8, or memory is short");
	add_override(overrides, "store.dir", overrides->dir, " by data_dir (--data)" MISSING);
	return MF_OK;
}

enum mf_status mf_overrides_make(const struct mf_runtime_options *options, struct mf_overrides *out, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	memset(out, 0, sizeof(*out));
	if (options->mode)
		status = override_mode(out, options->mode, error);
	if (status == MF_OK && options->data_dir)
		status = override_dir(out, options->data_dir, error);
	if (options->accept_damage)
		add_override(out, "store.accept_damage", "true", MISSING);
	return status;
}

void mf_overrides_deinit(struct mf_overrides *overrides)
{
	mf_free(overrides->dir);
	overrides->dir = NULL;
}
