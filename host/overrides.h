/* overrides.h - the options of mf_runtime_open as values for the plugins' options. */
#pragma once

#include <moduforge/runtime.h>

#include "bus/plugin_set.h"

struct mf_overrides {
	struct mf_plugin_override list[4];
	size_t count;
	char mode[64]; /* JSON text */
	char *dir;     /* JSON text */
};

/* MF_ERR_INVALID for a mode that is none; MF_ERR_NO_MEMORY. */
enum mf_status mf_overrides_make(const struct mf_runtime_options *options, struct mf_overrides *out, struct mf_error *error);
void mf_overrides_deinit(struct mf_overrides *overrides);
