/* options.h - a plugin's checked configuration (struct mf_config of plugin.h): made step by step.
 *
 *   new      every default of the table
 *   read     the "config" object of plugins.json: unknown keys, wrong types, out of range are errors
 *   set      one value from elsewhere (an override)
 *   finish   nothing required is missing
 *
 * Keys of the JSON object are the parts of the dotted names: "store.dir" is {"store": {"dir": ...}}. */
#pragma once

#include <moduforge/plugin.h>

#include "bus/json_place.h"

/* table (may be NULL: no options) must outlive the configuration. MF_ERR_PLUGIN: the table is not sound. */
enum mf_status mf_config_new(const struct mf_option *table, struct mf_config **out, struct mf_error *error);
void mf_config_free(struct mf_config *config); /* NULL is fine */
enum mf_status mf_config_read(struct mf_config *config, const struct mf_value *object, const struct mf_json_place *place, struct mf_error *error);
bool mf_config_has(const struct mf_config *config, const char *name);
enum mf_status mf_config_set(struct mf_config *config, const char *name, const struct mf_value *json, const struct mf_json_place *place, struct mf_error *error);
/* place: of the "config" object. MF_ERR_INVALID names the required option that has no value. */
enum mf_status mf_config_finish(const struct mf_config *config, const struct mf_json_place *place, struct mf_error *error);
