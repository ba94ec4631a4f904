/* The snapshots of the store without a disk, and compaction. */
#include "persist/memory_store.h"

#include <string.h>

#include "model/mem.h"
#include "persist/snapshot_keep.h"

size_t mf_memory_snapshot_place(const struct mf_memory_doc *document, int64_t upto_lsn)
{
	size_t at = 0;
	while (at < document->snapshot_count && document->snapshots[at]->snapshot.upto_lsn < upto_lsn)
		at++;
	return at;
}

void mf_memory_drop_taking(struct mf_memory_doc *document)
{
	mf_free(document->taking);
	document->taking = NULL;
	document->taking_len = 0;
	document->next_chunk = 0;
	document->taking_upto = 0;
}

static enum mf_status chunk_locked(struct mf_memory *store, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error)
{
	struct mf_memory_doc *document = mf_memory_doc_for(store, doc_id);
	if (!document)
		return mf_memory_no_memory(error);
	if (index == 0) {
		mf_memory_drop_taking(document);
		document->taking_upto = upto_lsn;
	}
	if (document->taking_upto != upto_lsn || document->next_chunk != index)
		return mf_error_set(error, MF_ERR_STATE, "chunk %u of the snapshot of '%.200s' up to LSN %lld is out of order", index, doc_id, (long long)upto_lsn);
	unsigned char *grown = mf_realloc(document->taking, document->taking_len + len);
	if (!grown)
		return mf_memory_no_memory(error);
	memcpy(grown + document->taking_len, bytes, len);
	document->taking = grown;
	document->taking_len += len;
	document->next_chunk++;
	return MF_OK;
}

enum mf_status mf_memory_chunk(struct mf_store *base, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	return mf_memory_leave(store, chunk_locked(store, doc_id, upto_lsn, index, bytes, len, error));
}

static bool has_snapshot(const struct mf_memory_doc *document, int64_t upto_lsn)
{
	size_t at = mf_memory_snapshot_place(document, upto_lsn);
	return at < document->snapshot_count && document->snapshots[at]->snapshot.upto_lsn == upto_lsn;
}

static enum mf_status finish_locked(struct mf_memory *store, const struct mf_snapshot *from, struct mf_error *error)
{
	if (from->upto_lsn > (int64_t)store->last)
		return mf_error_set(error, MF_ERR_INVALID, "a snapshot of '%.200s' up to LSN %lld, but the newest event is %zu", from->doc_id, (long long)from->upto_lsn, store->last);
	struct mf_memory_doc *document = mf_memory_doc_for(store, from->doc_id);
	if (!document)
		return mf_memory_no_memory(error);
	if (from->base_lsn && !has_snapshot(document, from->base_lsn))
		return mf_error_set(error, MF_ERR_NOT_FOUND, "the snapshot of '%.200s' up to LSN %lld builds on the one up to LSN %lld, which is not stored", from->doc_id,
				    (long long)from->upto_lsn, (long long)from->base_lsn);
	const unsigned char *bytes = from->state_blob;
	if (!bytes) {
		if (document->taking_upto != from->upto_lsn || document->taking_len != from->state_len)
			return mf_error_set(error, MF_ERR_STATE, "chunks of the snapshot of '%.200s' up to LSN %lld are missing", from->doc_id, (long long)from->upto_lsn);
		bytes = document->taking;
	}
	struct mf_memory_snapshot *copy = mf_malloc(sizeof(*copy) + from->state_len);
	struct mf_memory_snapshot **grown = mf_realloc(document->snapshots, (document->snapshot_count + 1) * sizeof(*grown));
	if (grown)
		document->snapshots = grown;
	if (!copy || !grown) {
		mf_free(copy);
		return mf_memory_no_memory(error);
	}
	memcpy(copy->bytes, bytes, from->state_len);
	copy->snapshot = *from;
	copy->snapshot.doc_id = document->doc_id;
	copy->snapshot.state_blob = copy->bytes;
	copy->snapshot.memory = NULL;
	mf_memory_drop_taking(document);
	size_t at = mf_memory_snapshot_place(document, from->upto_lsn);
	if (at < document->snapshot_count && grown[at]->snapshot.upto_lsn == from->upto_lsn) {
		mf_free(grown[at]);
	} else {
		memmove(grown + at + 1, grown + at, (document->snapshot_count - at) * sizeof(*grown));
		document->snapshot_count++;
	}
	grown[at] = copy;
	return MF_OK;
}

enum mf_status mf_memory_finish(struct mf_store *base, const struct mf_snapshot *snapshot, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	return mf_memory_leave(store, finish_locked(store, snapshot, error));
}

static enum mf_status copy_snapshot(const struct mf_snapshot *from, struct mf_snapshot *out)
{
	size_t id_len = strlen(from->doc_id) + 1;
	unsigned char *memory = mf_malloc(from->state_len + id_len);
	if (!memory)
		return MF_ERR_NO_MEMORY;
	memcpy(memory, from->state_blob, from->state_len);
	memcpy(memory + from->state_len, from->doc_id, id_len);
	*out = *from;
	out->state_blob = memory;
	out->doc_id = (const char *)memory + from->state_len;
	out->memory = memory;
	return MF_OK;
}

enum mf_status mf_memory_latest(struct mf_store *base, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	const struct mf_memory_doc *document = mf_strmap_get(&store->documents, doc_id);
	size_t after = !document ? 0 : at_most == INT64_MAX ? document->snapshot_count : mf_memory_snapshot_place(document, at_most + 1);
	if (after == 0)
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "'%.200s' has no snapshot up to LSN %lld", doc_id, (long long)at_most);
	else if (copy_snapshot(&document->snapshots[after - 1]->snapshot, out) != MF_OK)
		status = mf_memory_no_memory(error);
	return mf_memory_leave(store, status);
}

struct listed {
	struct mf_snapshot_info *infos;
	size_t count;
};

static void list_of(const struct mf_memory_doc *document, struct listed *list)
{
	for (size_t i = document->snapshot_count; i > 0; i--) {
		const struct mf_snapshot *from = &document->snapshots[i - 1]->snapshot;
		list->infos[list->count++] = (struct mf_snapshot_info){document->doc_id, from->upto_lsn, from->created_at, (int64_t)from->state_len, from->version, from->base_lsn};
	}
}

static enum mf_status list_snapshots(struct mf_memory *store, const char *doc_id, struct listed *list)
{
	struct mf_document_info *documents;
	size_t count, total = 0;
	enum mf_status status = mf_memory_list_documents(store, &documents, &count);
	if (status != MF_OK)
		return status;
	for (size_t i = 0; i < count; i++)
		total += (size_t)documents[i].snapshots;
	list->infos = mf_calloc(total, sizeof(*list->infos));
	for (size_t i = 0; list->infos && i < count; i++)
		if (!doc_id || strcmp(doc_id, documents[i].doc_id) == 0)
			list_of(mf_strmap_get(&store->documents, documents[i].doc_id), list);
	mf_free(documents);
	return list->infos ? MF_OK : MF_ERR_NO_MEMORY;
}

enum mf_status mf_memory_snapshots(struct mf_store *base, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	struct listed list = {0};
	status = mf_memory_leave(store, list_snapshots(store, doc_id, &list));
	if (status != MF_OK)
		return mf_memory_no_memory(error);
	for (size_t i = 0; i < list.count && visit(user, &list.infos[i]); i++)
		;
	mf_free(list.infos);
	return MF_OK;
}

/* ---- those that are not needed any more ---- */

static enum mf_status drop_unkept(struct mf_memory_doc *document, const struct mf_keep_rule *rule)
{
	size_t left = 0;
	struct mf_snapshot_row *rows = mf_calloc(document->snapshot_count + 1, sizeof(*rows));
	if (!rows)
		return MF_ERR_NO_MEMORY;
	for (size_t i = 0; i < document->snapshot_count; i++) {
		const struct mf_snapshot *snapshot = &document->snapshots[i]->snapshot;
		rows[i] = (struct mf_snapshot_row){.upto_lsn = snapshot->upto_lsn, .base_lsn = snapshot->base_lsn};
	}
	mf_snapshot_keep(rows, document->snapshot_count, rule);
	for (size_t i = 0; i < document->snapshot_count; i++)
		if (rows[i].kept)
			document->snapshots[left++] = document->snapshots[i];
		else
			mf_free(document->snapshots[i]);
	document->snapshot_count = left;
	mf_free(rows);
	return MF_OK;
}

enum mf_status mf_memory_prune(struct mf_store *base, const char *doc_id, uint32_t keep, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	struct mf_memory_doc *document = mf_strmap_get(&store->documents, doc_id);
	if (document) {
		const struct mf_keep_rule rule = {.newest = keep, .from_lsn = INT64_MAX, .events_from = document->compacted_upto ? document->compacted_upto : INT64_MAX};
		status = drop_unkept(document, &rule) == MF_OK ? MF_OK : mf_memory_no_memory(error);
	}
	return mf_memory_leave(store, status);
}

static enum mf_status compact_locked(struct mf_memory *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct mf_memory_doc *document = mf_strmap_get(&store->documents, doc_id);
	size_t keep = document ? mf_memory_snapshot_place(document, upto_lsn) : 0;
	if (!document || keep == document->snapshot_count || document->snapshots[keep]->snapshot.upto_lsn != upto_lsn)
		return mf_error_set(error, MF_ERR_INVALID, "'%.200s' has no snapshot up to LSN %lld to compact to", doc_id, (long long)upto_lsn);
	const struct mf_keep_rule rule = {.from_lsn = upto_lsn, .events_from = INT64_MAX};
	if (drop_unkept(document, &rule) != MF_OK)
		return mf_memory_no_memory(error);
	size_t gone = mf_memory_first_after(document->events, document->count, upto_lsn);
	for (size_t i = 0; i < gone; i++) {
		struct mf_event *event = &document->events[i]->event;
		store->bytes -= (int64_t)(event->payload_len + event->meta_len);
		store->log[event->lsn - 1] = NULL;
		mf_free(document->events[i]);
	}
	document->count -= gone;
	memmove(document->events, document->events + gone, document->count * sizeof(*document->events));
	document->compacted_upto = upto_lsn;
	store->compacted += gone;
	return MF_OK;
}

enum mf_status mf_memory_compact(struct mf_store *base, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	return mf_memory_leave(store, compact_locked(store, doc_id, upto_lsn, error));
}
