#include "picture.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "model/pack.h"

const char *const picture_kind_names[PICTURE_KINDS] = {"state", "state at", "log", "whole log", "key", "checkpoint", "listing"};

uint64_t picture_state_hash(const struct mf_state *state)
{
	struct mf_buffer bytes = {0};
	uint64_t hash = mf_pack_state(&bytes, state) == MF_OK ? XXH3_64bits(bytes.bytes, bytes.len) : 0;
	mf_buffer_deinit(&bytes);
	return hash;
}

static struct picture_item *add(struct picture *picture, enum picture_kind kind, const char *name, int64_t at)
{
	static struct picture_item spare;
	struct picture_item *item = picture->count < PICTURE_ITEMS ? &picture->items[picture->count++] : &spare;
	memset(item, 0, sizeof(*item));
	item->kind = kind;
	item->at = at;
	snprintf(item->name, sizeof(item->name), "%s", name);
	return item;
}

static void told(struct picture_item *item, enum mf_status status, const struct mf_error *error)
{
	item->status = status;
	if (status == MF_OK)
		return;
	snprintf(item->told, sizeof(item->told), "%.199s", error->message);
	item->lsn = error->lsn;
}

/* ---- states ---- */

static void take_state(struct mf_runtime *runtime, struct picture_item *item)
{
	struct mf_error error = {0};
	struct mf_state *state = NULL;
	struct mf_recovery_report report;
	enum mf_status status = item->kind == PICTURE_STATE ? mf_runtime_state(runtime, item->name, &state, &error)
							    : mf_runtime_state_at(runtime, item->name, item->at, &state, &report, &error);
	told(item, status, &error);
	if (status != MF_OK)
		return;
	item->hash = picture_state_hash(state);
	item->lsn = mf_state_lsn(state);
	mf_state_unref(state);
}

/* ---- events ---- */

static uint64_t fold(uint64_t hash, uint64_t number)
{
	return XXH3_64bits_withSeed(&number, sizeof(number), hash);
}

/* All fields are under the event's checksum, which the store has compared; the payload is hashed all the same. */
static uint64_t fold_event(uint64_t hash, const struct mf_event *event)
{
	hash = fold(fold(hash, (uint64_t)event->lsn), event->checksum);
	return fold(hash, XXH3_64bits(event->payload, event->payload_len));
}

static void take_log(struct mf_store *store, struct picture_item *item, int64_t upto_lsn)
{
	struct mf_error error = {0};
	struct mf_event_list list;
	for (int64_t since = 0;;) {
		enum mf_status status = mf_store_load_since(store, item->kind == PICTURE_LOG ? item->name : NULL, since, 100, &list, &error);
		told(item, status, &error);
		if (status != MF_OK)
			return;
		size_t count = list.count;
		for (size_t i = 0; i < list.count; i++) {
			since = list.events[i].lsn;
			if (upto_lsn > 0 && since > upto_lsn)
				continue;
			item->lsn = since;
			item->hash = fold_event(item->hash, &list.events[i]);
		}
		mf_event_list_deinit(&list);
		if (count == 0)
			return;
	}
}

/* ---- keys, checkpoints, listings ---- */

static void take_key(struct mf_store *store, struct picture_item *item)
{
	struct mf_error error = {0};
	struct mf_key_info info = {0};
	told(item, store->ops->find_key(store, item->name, &info, &error), &error);
	if (item->status != MF_OK)
		return;
	item->lsn = info.lsn;
	item->hash = XXH3_64bits(info.content_hash, sizeof(info.content_hash));
}

static void take_checkpoint(struct mf_store *store, struct picture_item *item)
{
	struct mf_error error = {0};
	struct mf_checkpoint checkpoint = {0};
	told(item, mf_store_load_checkpoint(store, item->name, &checkpoint, &error), &error);
	if (item->status != MF_OK)
		return;
	item->lsn = checkpoint.lsn;
	item->hash = (uint64_t)checkpoint.epoch;
}

static bool see_document(void *user, const struct mf_document_info *info)
{
	struct picture_item *item = user;
	item->hash = fold(fold(item->hash, XXH3_64bits(info->doc_id, strlen(info->doc_id))), (uint64_t)info->last_lsn);
	item->hash = fold(fold(item->hash, (uint64_t)info->events), (uint64_t)info->snapshots);
	return true;
}

static bool see_snapshot(void *user, const struct mf_snapshot_info *info)
{
	struct picture_item *item = user;
	item->hash = fold(fold(item->hash, XXH3_64bits(info->doc_id, strlen(info->doc_id))), (uint64_t)info->upto_lsn);
	item->hash = fold(fold(item->hash, (uint64_t)info->bytes), (uint64_t)info->base_lsn);
	return true;
}

static void take_listings(struct mf_store *store, struct picture *out)
{
	struct mf_error error = {0};
	struct picture_item *item = add(out, PICTURE_LISTING, "documents", 0);
	told(item, store->ops->documents(store, see_document, item, &error), &error);
	item = add(out, PICTURE_LISTING, "snapshots", 0);
	told(item, store->ops->snapshots(store, NULL, see_snapshot, item, &error), &error);
}

/* ---- the whole ---- */

static void see_damage(void *user, const struct mf_damage *damage)
{
	struct picture *picture = user;
	if (picture->findings < PICTURE_FINDINGS)
		snprintf(picture->finding[picture->findings], sizeof(picture->finding[0]), "%s '%.40s' LSN %lld: %.110s", damage->what, damage->doc_id ? damage->doc_id : "",
			 (long long)damage->lsn, damage->message);
	picture->findings++;
}

void picture_verify(const char *dir, struct picture *out)
{
	struct mf_error error = {0};
	struct mf_store *store = NULL;
	struct mf_sqlite_options options = {.dir = dir, .read_only = true, .accept_damage = true};
	out->verified = mf_store_open_sqlite(&options, &store, &error);
	if (out->verified == MF_OK)
		out->verified = mf_store_verify(store, see_damage, out, &error);
	if (out->verified != MF_OK && out->findings == 0)
		snprintf(out->finding[0], sizeof(out->finding[0]), "%.199s", error.message);
	mf_store_close(store, NULL);
}

static void take_document(struct mf_runtime *runtime, const struct picture_plan *plan, const char *doc, struct picture *out)
{
	take_state(runtime, add(out, PICTURE_STATE, doc, 0));
	for (size_t i = 0; plan->moments[i] > 0; i++)
		take_state(runtime, add(out, PICTURE_STATE_AT, doc, plan->moments[i]));
	take_log(mf_runtime_store(runtime), add(out, PICTURE_LOG, doc, 0), plan->upto_lsn);
}

void picture_take(const struct picture_plan *plan, const char *dir, struct picture *out)
{
	struct mf_error error = {0};
	struct mf_runtime *runtime = NULL;
	struct mf_runtime_options options = {.config_path = plan->config, .data_dir = dir, .read_only = true};
	memset(out, 0, sizeof(*out));
	out->opened = mf_runtime_open(&options, &runtime, &error);
	if (out->opened != MF_OK) {
		snprintf(out->told, sizeof(out->told), "%.199s", error.message);
		out->told_lsn = error.lsn;
		picture_verify(dir, out);
		return;
	}
	for (size_t i = 0; plan->docs[i]; i++)
		take_document(runtime, plan, plan->docs[i], out);
	take_log(mf_runtime_store(runtime), add(out, PICTURE_WHOLE_LOG, "", 0), plan->upto_lsn);
	for (size_t i = 0; plan->keys[i]; i++)
		take_key(mf_runtime_store(runtime), add(out, PICTURE_KEY, plan->keys[i], 0));
	for (size_t i = 0; plan->followers[i]; i++)
		take_checkpoint(mf_runtime_store(runtime), add(out, PICTURE_CHECKPOINT, plan->followers[i], 0));
	take_listings(mf_runtime_store(runtime), out);
	mf_runtime_close(runtime, MF_WAIT_FOREVER, &error);
	picture_verify(dir, out);
}
