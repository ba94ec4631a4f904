/* health.c - see moduforge/health.h. The order is that of the seed: connection, disk, integrity; a store that does not
 * answer is not asked further. */
#include "persist/health.h"

#include <inttypes.h>
#include <string.h>

#include "model/mem.h"
#include "model/message.h"
#include "persist/env.h"
#include <moduforge/value.h>

#define PROBE_DOC "_health"
/* Opening for writing makes the index of the log (64 KiB) and writes its record, a few pages, into the log: with less than about 64 KiB it
 * fails. Twice that, because files grow in steps and others write too. */
#define ROOM_TO_OPEN ((int64_t)128 << 10)

const char *mf_health_level_name(enum mf_health_level level)
{
	switch (level) {
	case MF_HEALTHY: return "healthy";
	case MF_HEALTH_WARNING: return "warning";
	case MF_HEALTH_CRITICAL: return "critical";
	case MF_HEALTH_UNHEALTHY: return "unhealthy";
	}
	return "unknown";
}

void mf_health_options_init(struct mf_health_options *options)
{
	*options = (struct mf_health_options){
		.size = sizeof(*options),
		.min_free_bytes = 100000000,
		.max_log_bytes = 100000000,
		.sample_events = 200,
		.sample_snapshots = 8,
	};
}

/* ---- findings ---- */

void mf_health_find(struct mf_health_check *check, enum mf_health_level level, const char *what, const char *format, ...)
{
	char message[MF_ERROR_MESSAGE_SIZE];
	struct mf_health_finding finding = {level, what, message};
	va_list args;
	va_start(args, format);
	mf_message_format(message, format, args);
	va_end(args);
	if (level > check->report.level) {
		check->report.level = level;
		memcpy(check->report.message, message, sizeof(message));
	}
	if (check->visit)
		check->visit(check->user, &finding);
}

/* A read that failed: memory is the caller's trouble, all else the store's. */
static enum mf_status find_failure(struct mf_health_check *check, const char *doing, enum mf_status status, const struct mf_error *why, struct mf_error *error)
{
	if (status == MF_ERR_NO_MEMORY)
		return mf_error_set(error, status, "no memory to check the store's health");
	if (status == MF_ERR_CORRUPTED)
		mf_health_find(check, MF_HEALTH_CRITICAL, "integrity", "data is damaged: %.400s", why->message);
	else
		mf_health_find(check, MF_HEALTH_UNHEALTHY, "connection", "%s failed with %s: %.350s", doing, mf_status_name(status), why->message);
	return MF_OK;
}

/* ---- connection, disk, log ---- */

static enum mf_status check_connection(struct mf_health_check *check, struct mf_store *store, struct mf_store_stats *out_stats, struct mf_error *error)
{
	struct mf_event_list list;
	struct mf_error why = {0};
	enum mf_status status = mf_store_load_since(store, PROBE_DOC, 0, 1, &list, &why);
	if (status == MF_OK) {
		mf_event_list_deinit(&list);
		status = mf_store_stats(store, out_stats, &why);
	}
	return status == MF_OK ? MF_OK : find_failure(check, "reading the store", status, &why, error);
}

static void check_disk(struct mf_health_check *check, const struct mf_store_stats *stats, const struct mf_health_options *options)
{
	if (options->min_free_bytes <= 0 || stats->free_bytes < 0 || stats->free_bytes >= options->min_free_bytes)
		return;
	if (stats->free_bytes < ROOM_TO_OPEN)
		mf_health_find(check, MF_HEALTH_CRITICAL, "disk", "%" PRId64 " bytes are free on the store's device, which may be too little to open the store for writing (%" PRId64 "): free some", stats->free_bytes, ROOM_TO_OPEN);
	else
		mf_health_find(check, MF_HEALTH_WARNING, "disk", "%" PRId64 " bytes are free on the store's device, less than %" PRId64 ": free some before writes are refused", stats->free_bytes, options->min_free_bytes);
}

static void check_room(struct mf_health_check *check, const struct mf_store_stats *stats, const struct mf_health_options *options)
{
	check->report.free_bytes = stats->free_bytes;
	check->report.log_bytes = stats->log_bytes;
	if (stats->writing == MF_ERR_IO)
		mf_health_find(check, MF_HEALTH_UNHEALTHY, "writing", "a write or sync failed, and writes have stopped: check the device, then open the store for writing again, which verifies it");
	if (stats->writing == MF_ERR_STORAGE_FULL)
		mf_health_find(check, MF_HEALTH_CRITICAL, "writing", "the last write found no room on the device: free some, writes go on by themselves");
	check_disk(check, stats, options);
	if (options->max_log_bytes > 0 && stats->log_bytes > options->max_log_bytes)
		mf_health_find(check, MF_HEALTH_WARNING, "log", "the write-ahead log has %" PRId64 " bytes, more than %" PRId64 ": see which program keeps a reading open for so long", stats->log_bytes, options->max_log_bytes);
}

/* ---- integrity of a sample ---- */

static enum mf_status read_events(struct mf_health_check *check, struct mf_store *store, int64_t from_lsn, uint32_t count, struct mf_error *error)
{
	struct mf_event_list list;
	struct mf_error why = {0};
	enum mf_status status = mf_store_load_since(store, NULL, from_lsn, count, &list, &why);
	if (status != MF_OK)
		return find_failure(check, "reading events", status, &why, error);
	check->report.events_checked += (int64_t)list.count;
	mf_event_list_deinit(&list);
	return MF_OK;
}

static enum mf_status sample_events(struct mf_health_check *check, struct mf_store *store, int64_t last, const struct mf_health_options *options, struct mf_error *error)
{
	const struct mf_env *env = mf_env_or_default(options->env);
	uint32_t newest = options->sample_events - options->sample_events / 2, others = options->sample_events / 2;
	int64_t before = last > newest ? last - newest : 0;
	enum mf_status status = last > 0 && newest > 0 ? read_events(check, store, before, newest, error) : MF_OK;
	for (uint32_t i = 0; i < others && before > 0 && status == MF_OK && check->report.level < MF_HEALTH_CRITICAL; i++) {
		uint64_t random;
		if (env->random(env->user, &random, sizeof(random)) < 0)
			return mf_error_set(error, MF_ERR_IO, "the system has no random numbers to choose a sample by");
		status = read_events(check, store, (int64_t)(random % (uint64_t)before), 1, error);
	}
	return status;
}

struct snapshot_list {
	uint32_t count, most;
	enum mf_status status;
	struct snapshot_place {
		char *doc_id;
		int64_t upto_lsn;
	} *places;
};

/* They come newest first within a document. */
static bool note_snapshot(void *user, const struct mf_snapshot_info *info)
{
	struct snapshot_list *list = user;
	if (list->count > 0 && strcmp(list->places[list->count - 1].doc_id, info->doc_id) == 0)
		return true;
	if (list->count == list->most)
		return false;
	char *doc_id = mf_strdup(info->doc_id);
	list->status = doc_id ? MF_OK : MF_ERR_NO_MEMORY;
	if (doc_id)
		list->places[list->count++] = (struct snapshot_place){doc_id, info->upto_lsn};
	return doc_id;
}

static enum mf_status read_snapshot(struct mf_health_check *check, struct mf_store *store, const struct snapshot_place *place, struct mf_error *error)
{
	struct mf_snapshot snapshot;
	struct mf_error why = {0};
	enum mf_status status = mf_store_latest_snapshot(store, place->doc_id, place->upto_lsn, &snapshot, &why);
	if (status == MF_ERR_NOT_FOUND) /* compacted meanwhile */
		return MF_OK;
	if (status != MF_OK)
		return find_failure(check, "reading a snapshot", status, &why, error);
	check->report.snapshots_checked++;
	mf_snapshot_deinit(&snapshot);
	return MF_OK;
}

static enum mf_status sample_snapshots(struct mf_health_check *check, struct mf_store *store, const struct mf_health_options *options, struct mf_error *error)
{
	struct snapshot_list list = {.most = options->sample_snapshots};
	struct mf_error why = {0};
	if (list.most == 0 || !store->ops->snapshots)
		return MF_OK;
	list.places = mf_calloc(list.most, sizeof(*list.places));
	enum mf_status status = list.places ? store->ops->snapshots(store, NULL, note_snapshot, &list, &why) : MF_ERR_NO_MEMORY;
	if (status == MF_OK)
		status = list.status;
	if (status != MF_OK)
		status = find_failure(check, "listing the snapshots", status, &why, error);
	for (uint32_t i = 0; i < list.count && status == MF_OK; i++)
		status = read_snapshot(check, store, &list.places[i], error);
	for (uint32_t i = 0; i < list.count; i++)
		mf_free(list.places[i].doc_id);
	mf_free(list.places);
	return status;
}

/* ---- integrity of everything ---- */

static void find_damage(void *user, const struct mf_damage *damage)
{
	mf_health_find(user, MF_HEALTH_CRITICAL, "integrity", "data is damaged: %.400s", damage->message);
}

static enum mf_status check_everything(struct mf_health_check *check, struct mf_store *store, const struct mf_store_stats *stats, struct mf_error *error)
{
	struct mf_error why = {0};
	enum mf_status status = mf_store_verify(store, find_damage, check, &why);
	if (status != MF_OK && status != MF_ERR_CORRUPTED)
		return find_failure(check, "verifying the store", status, &why, error);
	check->report.events_checked = stats->events;
	check->report.snapshots_checked = stats->snapshots;
	return MF_OK;
}

/* ---- the check ---- */

enum mf_status mf_health_check_store(struct mf_health_check *check, struct mf_store *store, const struct mf_health_options *options, struct mf_error *error)
{
	struct mf_health_options full;
	struct mf_store_stats stats = {0};
	mf_health_options_init(&full);
	if (options && (options->size < sizeof(size_t) || options->size > sizeof(full)))
		return mf_error_set(error, MF_ERR_INVALID, "the options say they are %zu bytes long, %zu are known; begin with mf_health_options_init", options->size, sizeof(full));
	if (options)
		memcpy(&full, options, options->size);
	check->report.size = sizeof(check->report);
	check->report.free_bytes = -1;
	enum mf_status status = check_connection(check, store, &stats, error);
	if (status != MF_OK || check->report.level >= MF_HEALTH_CRITICAL)
		return status;
	check_room(check, &stats, &full);
	if (full.full)
		return check_everything(check, store, &stats, error);
	status = sample_events(check, store, stats.last_lsn, &full, error);
	return status == MF_OK ? sample_snapshots(check, store, &full, error) : status;
}

enum mf_status mf_health_give(const struct mf_health_check *check, struct mf_health_report *out, struct mf_error *error)
{
	size_t size = out->size;
	if (size < sizeof(size_t) || size > sizeof(*out))
		return mf_error_set(error, MF_ERR_INVALID, "the report says it is %zu bytes long, %zu are known; set its size before it is filled", size, sizeof(*out));
	memcpy(out, &check->report, size);
	out->size = size;
	return MF_OK;
}

enum mf_status mf_check_storage_health(struct mf_store *store, const struct mf_health_options *options, mf_health_visit *visit, void *user, struct mf_health_report *out,
				       struct mf_error *error)
{
	struct mf_health_check check = {.visit = visit, .user = user};
	enum mf_status status = mf_health_check_store(&check, store, options, error);
	return status == MF_OK ? mf_health_give(&check, out, error) : status;
}
