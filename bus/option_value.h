/* option_value.h - one option's value, read from JSON and checked against its type and range. */
#pragma once

#include <moduforge/plugin.h>

#include "bus/json_place.h"

#define MF_GROUP_WINDOW_MS_MAX 60000

/* Zero: not set. Which field holds the value is the option's type. */
struct mf_option_value {
	bool is_set;
	bool boolean;
	int64_t integer; /* COMMIT_MODE: group_window_ms */
	double real;
	enum mf_commit_kind kind;
	char *text; /* STRING, ENUM */
};

/* MF_ERR_INVALID with the place; the value itself is shown unless the option is secret. On failure out is as before. */
enum mf_status mf_option_value_read(struct mf_option_value *out, const struct mf_option *option, const struct mf_value *json,
				    const struct mf_json_place *place, struct mf_error *error);
/* From the table's own default_text. MF_ERR_PLUGIN if it does not fit. */
enum mf_status mf_option_value_read_default(struct mf_option_value *out, const struct mf_option *option, struct mf_error *error);
void mf_option_value_deinit(struct mf_option_value *value);
