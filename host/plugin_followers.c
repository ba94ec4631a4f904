#include "host/plugin_followers.h"

#include <stdio.h>
#include <string.h>

#include <moduforge/value.h>

struct writing {
	struct mf_store *store; /* NULL: there is none */
	const char *plugin;
	struct mf_buffer *out;
	bool first;
	enum mf_status status;
};

static void put(struct writing *writing, const char *text)
{
	if (writing->status == MF_OK)
		writing->status = mf_buffer_append(writing->out, text, strlen(text));
}

static void put_text(struct writing *writing, const char *key, const char *text)
{
	struct mf_value *value;
	char *json;
	put(writing, key);
	if (writing->status != MF_OK || (writing->status = mf_value_new_string(text, strlen(text), &value, NULL)) != MF_OK)
		return;
	writing->status = mf_value_to_json(value, &json, NULL);
	mf_value_unref(value);
	if (writing->status != MF_OK)
		return;
	put(writing, json);
	mf_free(json);
}

static void put_number(struct writing *writing, const char *key, int64_t number, bool known)
{
	char text[24];
	snprintf(text, sizeof(text), "%lld", (long long)number);
	put(writing, key);
	put(writing, known ? text : "null");
}

static bool put_follower(void *user, const struct mf_subscriber_info *info)
{
	struct writing *writing = user;
	struct mf_checkpoint checkpoint = {0};
	int64_t last = 0;
	if (info->topics == 0 || strcmp(info->name, writing->plugin) != 0)
		return true;
	bool known = writing->store && mf_store_load_checkpoint(writing->store, info->name, &checkpoint, NULL) == MF_OK &&
		     writing->store->ops->last_lsn(writing->store, NULL, &last, NULL) == MF_OK;
	put(writing, writing->first ? "{" : ",{");
	writing->first = false;
	put_text(writing, "\"name\":", info->name);
	put_text(writing, ",\"state\":", mf_follower_state_name(info->state));
	put_number(writing, ",\"lsn\":", checkpoint.lsn, known);
	put_number(writing, ",\"lag\":", last > checkpoint.lsn ? last - checkpoint.lsn : 0, known); /* ahead: it was set back, and has not taken that */
	put_number(writing, ",\"failures\":", (int64_t)info->failures, true);
	put_text(writing, ",\"last_error\":", info->last_error);
	put(writing, "}");
	return writing->status == MF_OK;
}

enum mf_status mf_plugin_followers_json(struct mf_runtime *runtime, struct mf_store *store, const char *plugin, struct mf_buffer *out)
{
	struct writing writing = {.store = store, .plugin = plugin, .out = out, .first = true};
	put(&writing, "[");
	mf_bus_subscribers(mf_runtime_bus(runtime), put_follower, &writing);
	put(&writing, "]");
	return writing.status;
}
