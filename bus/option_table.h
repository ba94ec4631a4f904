/* option_table.h - the table in which a plugin declares its options: is it sound, what is in it, how to print it.
 *
 * A table comes from a plugin, so it is checked before it is believed:
 * 1. at most MF_OPTIONS_MAX entries; a name is 1 to 128 bytes of letters, digits and _, in parts divided by dots;
 * 2. no name twice, and none that is both a value and an object ("store" beside "store.dir");
 * 3. the type exists; ENUM has choices; min <= max.
 * That the defaults fit their own options is checked when they are read (options.h). */
#pragma once

#include <moduforge/plugin.h>

#define MF_OPTIONS_MAX 256

/* table may be NULL: no options. MF_ERR_PLUGIN names the option and the rule. */
enum mf_status mf_option_table_check(const struct mf_option *table, size_t *out_count, struct mf_error *error);
const struct mf_option *mf_option_table_find(const struct mf_option *table, const char *name);
bool mf_option_table_has_object(const struct mf_option *table, const char *name); /* is there an option "NAME.something"? */
const char *mf_option_table_nearest(const struct mf_option *table, const char *name); /* by edit distance; NULL: no options */
bool mf_option_has_choice(const struct mf_option *option, const char *choice);
bool mf_option_is_limited(const struct mf_option *option); /* INT with a range */

/* Writes a Markdown table: name, type, default, range, meaning. A secret's default is not shown. */
typedef void mf_text_sink(void *user, const char *text, size_t len);
void mf_options_describe(const struct mf_option *table, mf_text_sink *sink, void *user);
