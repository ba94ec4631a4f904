/* plugin_followers.h - the followers of a plugin, as `mf plugin list` shows them. */
#pragma once

#include <moduforge/runtime.h>

/* Appends [{"name","state","lsn","lag","failures","last_error"}]. lsn is that of the checkpoint that the follower has in the store,
 * and lag what the store has behind it; null when it has none, or store is NULL. */
MF_MUST_CHECK enum mf_status mf_plugin_followers_json(struct mf_runtime *runtime, struct mf_store *store, const char *plugin, struct mf_buffer *out);
