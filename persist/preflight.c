/* preflight.c - which step types do stored events need that nobody brought? Only the type ids are looked at.
 *
 * The cost is that of reading the events: mf_preflight reads, for each document, those after its newest snapshot.
 * What a snapshot itself needs shows when it is decoded. */
#include <stdio.h>
#include <string.h>

#include "model/mem.h"
#include "persist/record.h"
#include "persist/recovery.h"
#include <moduforge/value.h>

#define TYPES_MAX 64 /* distinct ones that are counted; a damaged store may name any number */
#define TYPE_ID_MAX 255
#define DEFAULT_BATCH 1000

struct missing_type {
	char type_id[TYPE_ID_MAX + 1];
	uint64_t steps;
	int64_t first_lsn;
};

struct missing {
	const struct mf_step_registry *registry;
	struct missing_type *types; /* room for TYPES_MAX once there is one */
	size_t count;
	bool more;
};

static enum mf_status note(struct missing *missing, const struct mf_frame *frame, int64_t lsn)
{
	for (size_t i = 0; i < missing->count; i++) {
		struct missing_type *type = &missing->types[i];
		if (strlen(type->type_id) != frame->type_id_len || memcmp(type->type_id, frame->type_id, frame->type_id_len) != 0)
			continue;
		type->steps++;
		if (lsn < type->first_lsn)
			type->first_lsn = lsn;
		return MF_OK;
	}
	missing->more = missing->more || missing->count == TYPES_MAX;
	if (missing->more)
		return MF_OK;
	if (!missing->types)
		missing->types = mf_calloc(TYPES_MAX, sizeof(*missing->types));
	if (!missing->types)
		return MF_ERR_NO_MEMORY;
	struct missing_type *type = &missing->types[missing->count++];
	memcpy(type->type_id, frame->type_id, frame->type_id_len); /* at most 255: the reader saw to it */
	type->steps = 1;
	type->first_lsn = lsn;
	return MF_OK;
}

static enum mf_status scan_event(struct missing *missing, const struct mf_event *event, struct mf_error *error)
{
	struct mf_record record;
	struct mf_frame frame;
	struct mf_error reason = {0};
	enum mf_status status = mf_record_open(&record, event->payload, event->payload_len, &reason);
	if (status == MF_OK) {
		while (status == MF_OK && record.left > 0) {
			status = mf_record_next(&record, &frame, &reason);
			if (status == MF_OK && !mf_step_registry_find(missing->registry, frame.type_id, frame.type_id_len))
				status = note(missing, &frame, event->lsn);
		}
		mf_record_close(&record);
	}
	if (status == MF_OK)
		return MF_OK;
	mf_error_set(error, status, "document '%.100s', LSN %lld: %.300s", event->doc_id, (long long)event->lsn, reason.status ? reason.message : mf_status_name(status));
	if (error)
		error->lsn = event->lsn;
	return status;
}

static enum mf_status scan(struct missing *missing, struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t batch, struct mf_error *error)
{
	for (;;) {
		struct mf_event_list page = {0};
		enum mf_status status = store->ops->load_since(store, doc_id, from_lsn, batch, &page, error);
		bool end = status != MF_OK || page.count == 0;
		for (size_t i = 0; i < page.count && status == MF_OK; i++) {
			from_lsn = page.events[i].lsn;
			status = scan_event(missing, &page.events[i], error);
		}
		mf_event_list_deinit(&page);
		if (end || status != MF_OK)
			return status;
	}
}

/* The finding as one sentence, as many types as fit. */
static enum mf_status report(const struct missing *missing, struct mf_error *error)
{
	char list[400];
	size_t used = 0, shown = 0;
	if (missing->count == 0)
		return MF_OK;
	for (; shown < missing->count; shown++) {
		const struct missing_type *type = &missing->types[shown];
		int len = snprintf(list + used, sizeof(list) - used, "%s'%.80s' (%llu steps, first LSN %lld)", shown ? ", " : "", type->type_id, (unsigned long long)type->steps,
				   (long long)type->first_lsn);
		if ((size_t)len >= sizeof(list) - used)
			break;
		used += (size_t)len;
	}
	list[used] = '\0';
	bool cut = missing->more || shown < missing->count;
	mf_error_set(error, MF_ERR_UNKNOWN_STEP, "no step factory for %s%s; load the plugins that bring them", list, cut ? " and more" : "");
	if (error)
		error->lsn = missing->types[0].first_lsn;
	return MF_ERR_UNKNOWN_STEP;
}

enum mf_status mf_missing_types(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry, int64_t from_lsn, uint32_t batch, struct mf_error *error)
{
	struct missing missing = {.registry = registry};
	enum mf_status status = scan(&missing, store, doc_id, from_lsn, batch, error);
	if (status == MF_OK)
		status = report(&missing, error);
	mf_free(missing.types);
	return status;
}

/* ---- the whole store ---- */

/* The documents that have events: their ids, one behind the other. */
struct names {
	struct mf_buffer bytes;
	bool failed;
};

static bool note_name(void *user, const struct mf_document_info *info)
{
	struct names *names = user;
	names->failed = info->events > 0 && mf_buffer_append(&names->bytes, info->doc_id, strlen(info->doc_id) + 1) != MF_OK;
	return !names->failed;
}

enum mf_status mf_preflight(struct mf_store *store, const struct mf_step_registry *registry, struct mf_error *error)
{
	struct missing missing = {.registry = registry};
	struct names names = {0};
	enum mf_status status = store->ops->documents(store, note_name, &names, error);
	if (status == MF_OK && names.failed)
		status = mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to list the documents");
	for (size_t at = 0; at < names.bytes.len && status == MF_OK;) {
		const char *doc_id = (const char *)names.bytes.bytes + at;
		int64_t from_lsn;
		at += strlen(doc_id) + 1;
		status = mf_newest_snapshot_lsn(store, doc_id, INT64_MAX, &from_lsn, error);
		if (status == MF_OK)
			status = scan(&missing, store, doc_id, from_lsn, DEFAULT_BATCH, error);
	}
	if (status == MF_OK)
		status = report(&missing, error);
	mf_free(missing.types);
	mf_buffer_deinit(&names.bytes);
	return status;
}
