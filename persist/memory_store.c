/* The store without a disk: the log, the keys and the snapshots in memory, under one mutex.
 *
 * It keeps every promise of the interface but durability: order, keys, checksums, compaction. sync says that
 * everything up to the last LSN is as safe as it will ever be.
 *
 * Invariants
 * 1. log[lsn - 1] is the event with that LSN, or NULL once compacted; a document's events are a subset, in order.
 * 2. A document in the map without any event ever (last_lsn 0) is invisible: what a failed append may leave. */
#include <moduforge/store.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "model/mem.h"
#include "persist/checksum.h"
#include "persist/env.h"
#include "persist/event_page.h"
#include "persist/fork_guard.h"
#include "persist/record.h"
#include "persist/strmap.h"

struct stored_event {
	struct mf_event event;
	char bytes[];
};

struct stored_key {
	struct mf_key_info info;
	char key[];
};

struct stored_snapshot {
	struct mf_snapshot snapshot; /* doc_id is the document's, state_blob is bytes */
	unsigned char bytes[];
};

struct document {
	int64_t last_lsn, compacted_upto;
	struct stored_event **events;
	size_t count, capacity, coming; /* coming: of the batch under way */
	struct stored_snapshot **snapshots; /* by upto_lsn */
	size_t snapshot_count;
	int64_t taking_upto; /* the snapshot whose chunks are arriving */
	uint32_t next_chunk;
	unsigned char *taking;
	size_t taking_len;
	char doc_id[];
};

struct memory_store {
	struct mf_store base;
	const struct mf_env *env;
	unsigned generation; /* of forks: a child must keep its hands off */
	pthread_mutex_t lock;
	struct stored_event **log;
	size_t last, capacity; /* last: newest LSN */
	size_t compacted;
	int64_t bytes;
	struct mf_strmap documents, keys;
	uint64_t seed;
};

static struct memory_store *of(struct mf_store *store)
{
	return (struct memory_store *)store;
}

static enum mf_status no_memory(struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory in the memory store; nothing changed");
}

static enum mf_status enter(struct memory_store *store, struct mf_error *error)
{
	if (mf_forked_since(store->generation))
		return mf_error_set(error, MF_ERR_STATE, "this store belongs to the process that opened it, not to its child");
	pthread_mutex_lock(&store->lock);
	return MF_OK;
}

/* Every call ends here. */
static enum mf_status leave(struct memory_store *store, enum mf_status status)
{
	pthread_mutex_unlock(&store->lock);
	return status;
}

/* ---- append ---- */

static void *put(char **at, const void *bytes, size_t len)
{
	char *place = *at;
	if (len > 0)
		memcpy(place, bytes, len);
	place[len] = '\0';
	*at += len + 1;
	return place;
}

static struct stored_event *copy_event(const struct mf_event *event)
{
	size_t doc_len = strlen(event->doc_id), key_len = strlen(event->idempotency_key), actor_len = event->actor ? strlen(event->actor) : 0;
	struct stored_event *copy = mf_malloc(sizeof(*copy) + doc_len + key_len + actor_len + event->meta_len + event->payload_len + 5);
	if (!copy)
		return NULL;
	char *at = copy->bytes;
	copy->event = *event;
	copy->event.doc_id = put(&at, event->doc_id, doc_len);
	copy->event.idempotency_key = put(&at, event->idempotency_key, key_len);
	if (event->actor)
		copy->event.actor = put(&at, event->actor, actor_len);
	copy->event.meta = put(&at, event->meta, event->meta_len);
	copy->event.payload = put(&at, event->payload, event->payload_len);
	return copy;
}

static struct stored_key *make_key(const struct mf_event *event)
{
	size_t len = strlen(event->idempotency_key) + 1;
	struct stored_key *key = mf_calloc(1, sizeof(*key) + len);
	if (!key)
		return NULL;
	const uint8_t *hash = mf_record_content_hash(event->payload, event->payload_len);
	if (hash)
		memcpy(key->info.content_hash, hash, sizeof(key->info.content_hash));
	memcpy(key->key, event->idempotency_key, len);
	return key;
}

static struct document *document_for(struct memory_store *store, const char *doc_id)
{
	struct document *document = mf_strmap_get(&store->documents, doc_id);
	if (document)
		return document;
	size_t len = strlen(doc_id) + 1;
	if (mf_strmap_reserve(&store->documents, 1) != MF_OK)
		return NULL;
	document = mf_calloc(1, sizeof(*document) + len);
	if (!document)
		return NULL;
	memcpy(document->doc_id, doc_id, len);
	mf_strmap_put(&store->documents, document->doc_id, document);
	return document;
}

static bool grow(void *array_pointer, size_t *capacity, size_t need)
{
	void **array = array_pointer;
	if (need <= *capacity)
		return true;
	size_t wanted = *capacity ? *capacity : 8;
	while (wanted < need)
		wanted *= 2;
	void *grown = mf_realloc(*array, wanted * sizeof(void *));
	if (!grown)
		return false;
	*array = grown;
	*capacity = wanted;
	return true;
}

struct prepared {
	struct stored_event *event;
	struct stored_key *key;
	struct document *document;
};

static enum mf_status duplicate(const struct mf_event *event, size_t index, const struct stored_key *stored, struct mf_error *error)
{
	mf_error_set(error, MF_ERR_DUPLICATE_KEY, "event %zu: the key '%.200s' was used before, for LSN %lld", index, event->idempotency_key, (long long)stored->info.lsn);
	if (!error)
		return MF_ERR_DUPLICATE_KEY;
	const uint8_t *hash = mf_record_content_hash(event->payload, event->payload_len);
	error->lsn = stored->info.lsn;
	error->same = hash && memcmp(hash, stored->info.content_hash, sizeof(stored->info.content_hash)) == 0;
	return MF_ERR_DUPLICATE_KEY;
}

static enum mf_status check_keys(const struct memory_store *store, const struct mf_event *events, size_t count, struct mf_error *error)
{
	for (size_t i = 0; i < count; i++) {
		const struct stored_key *stored = mf_strmap_get(&store->keys, events[i].idempotency_key);
		if (stored)
			return duplicate(&events[i], i, stored, error);
	}
	if (count == 1)
		return MF_OK;
	struct mf_strmap seen;
	mf_strmap_init(&seen, store->seed);
	enum mf_status status = mf_strmap_reserve(&seen, count);
	if (status != MF_OK)
		no_memory(error);
	for (size_t i = 0; i < count && status == MF_OK; i++) {
		const struct mf_event *first = mf_strmap_get(&seen, events[i].idempotency_key);
		if (first)
			status = mf_error_set(error, MF_ERR_DUPLICATE_KEY, "event %zu: the key '%.200s' is that of event %zu of the same batch", i, events[i].idempotency_key, (size_t)(first - events));
		else
			mf_strmap_put(&seen, events[i].idempotency_key, (void *)(uintptr_t)&events[i]);
	}
	mf_strmap_deinit(&seen);
	return status;
}

/* All that can fail, for one event. */
static bool prepare(struct memory_store *store, const struct mf_event *event, struct prepared *out)
{
	out->event = copy_event(event);
	out->key = make_key(event);
	out->document = out->event && out->key ? document_for(store, event->doc_id) : NULL;
	if (!out->document)
		return false;
	out->document->coming++;
	return grow(&out->document->events, &out->document->capacity, out->document->count + out->document->coming);
}

static void accept(struct memory_store *store, struct prepared *from, struct mf_event *event)
{
	struct document *document = from->document;
	event->lsn = (int64_t)++store->last;
	event->epoch = 1;
	event->prev_lsn = document->last_lsn;
	event->checksum = mf_event_checksum(event);
	struct mf_event *copy = &from->event->event;
	copy->lsn = event->lsn;
	copy->epoch = event->epoch;
	copy->prev_lsn = event->prev_lsn;
	copy->checksum = event->checksum;
	from->key->info.lsn = event->lsn;
	store->log[event->lsn - 1] = from->event;
	mf_strmap_put(&store->keys, from->key->key, from->key);
	document->events[document->count++] = from->event;
	document->last_lsn = event->lsn;
	store->bytes += (int64_t)(event->payload_len + event->meta_len);
}

static enum mf_status append_locked(struct memory_store *store, struct mf_event *events, size_t count, struct mf_error *error)
{
	enum mf_status status = check_keys(store, events, count, error);
	if (status != MF_OK)
		return status;
	struct prepared *prepared = mf_calloc(count, sizeof(*prepared));
	if (!prepared || !grow(&store->log, &store->capacity, store->last + count) || mf_strmap_reserve(&store->keys, count) != MF_OK)
		status = MF_ERR_NO_MEMORY;
	for (size_t i = 0; i < count && status == MF_OK; i++)
		if (!prepare(store, &events[i], &prepared[i]))
			status = MF_ERR_NO_MEMORY;
	for (size_t i = 0; prepared && i < count; i++) {
		if (prepared[i].document)
			prepared[i].document->coming = 0;
		if (status == MF_OK)
			continue;
		mf_free(prepared[i].event);
		mf_free(prepared[i].key);
	}
	for (size_t i = 0; i < count && status == MF_OK; i++)
		accept(store, &prepared[i], &events[i]);
	mf_free(prepared);
	return status == MF_OK ? MF_OK : no_memory(error);
}

static enum mf_status memory_append(struct mf_store *base, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	status = append_locked(store, events, count, error);
	if (status == MF_OK && out_last_lsn)
		*out_last_lsn = (int64_t)store->last;
	return leave(store, status);
}

static enum mf_status memory_sync(struct mf_store *base, int64_t *out_synced_lsn, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	if (out_synced_lsn)
		*out_synced_lsn = (int64_t)store->last;
	return leave(store, MF_OK);
}

static enum mf_status memory_maintain(struct mf_store *base, struct mf_error *error)
{
	(void)base;
	(void)error;
	return MF_OK;
}

/* ---- reading ---- */

static size_t first_after(struct stored_event *const *events, size_t count, int64_t lsn)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (events[middle]->event.lsn <= lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum mf_status load_locked(const struct memory_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_page *page)
{
	const struct document *document = doc_id ? mf_strmap_get(&store->documents, doc_id) : NULL;
	if (doc_id && !document)
		return MF_OK;
	struct stored_event *const *events = document ? document->events : store->log;
	size_t count = document ? document->count : store->last;
	size_t at = document ? first_after(events, count, from_lsn) : (size_t)from_lsn;
	for (; at < count && page->count < limit && page->len < MF_EVENT_PAGE_BYTES; at++) {
		if (!events[at])
			continue;
		enum mf_status status = mf_event_page_add(page, &events[at]->event);
		if (status != MF_OK)
			return status;
	}
	return MF_OK;
}

static enum mf_status memory_load_since(struct mf_store *base, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	struct mf_event_page page;
	mf_event_page_init(&page);
	status = load_locked(store, doc_id, from_lsn, limit, &page);
	if (status == MF_OK) {
		mf_event_page_finish(&page, out);
	} else {
		mf_event_page_deinit(&page);
		no_memory(error);
	}
	return leave(store, status);
}

static enum mf_status memory_last_lsn(struct mf_store *base, const char *doc_id, int64_t *out_lsn, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	const struct document *document = doc_id ? mf_strmap_get(&store->documents, doc_id) : NULL;
	*out_lsn = !doc_id ? (int64_t)store->last : document ? document->last_lsn : 0;
	return leave(store, MF_OK);
}

static enum mf_status memory_find_key(struct mf_store *base, const char *key, struct mf_key_info *out, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	const struct stored_key *stored = mf_strmap_get(&store->keys, key);
	if (stored)
		*out = stored->info;
	else
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "no event has the key '%.200s'", key);
	return leave(store, status);
}

static int by_doc_id(const void *a, const void *b)
{
	return strcmp(((const struct mf_document_info *)a)->doc_id, ((const struct mf_document_info *)b)->doc_id);
}

/* The documents as they are now; the strings live as long as the store. */
static enum mf_status list_documents(struct memory_store *store, struct mf_document_info **out, size_t *out_count)
{
	struct mf_document_info *list = mf_calloc(store->documents.count, sizeof(*list));
	if (!list)
		return MF_ERR_NO_MEMORY;
	size_t count = 0;
	for (size_t i = 0; i < store->documents.capacity; i++) {
		const struct document *document = store->documents.slots[i].value;
		if (!document || document->last_lsn == 0)
			continue;
		list[count++] = (struct mf_document_info){document->doc_id, document->last_lsn, (int64_t)document->count, (int64_t)document->snapshot_count};
	}
	qsort(list, count, sizeof(*list), by_doc_id);
	*out = list;
	*out_count = count;
	return MF_OK;
}

static enum mf_status memory_documents(struct mf_store *base, mf_document_visit *visit, void *user, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	struct mf_document_info *list = NULL;
	size_t count = 0;
	status = leave(store, list_documents(store, &list, &count));
	if (status != MF_OK)
		return no_memory(error);
	for (size_t i = 0; i < count && visit(user, &list[i]); i++)
		;
	mf_free(list);
	return MF_OK;
}

/* ---- snapshots ---- */

static size_t snapshot_place(const struct document *document, int64_t upto_lsn)
{
	size_t at = 0;
	while (at < document->snapshot_count && document->snapshots[at]->snapshot.upto_lsn < upto_lsn)
		at++;
	return at;
}

static void drop_taking(struct document *document)
{
	mf_free(document->taking);
	document->taking = NULL;
	document->taking_len = 0;
	document->next_chunk = 0;
	document->taking_upto = 0;
}

static enum mf_status chunk_locked(struct memory_store *store, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error)
{
	struct document *document = document_for(store, doc_id);
	if (!document)
		return no_memory(error);
	if (index == 0) {
		drop_taking(document);
		document->taking_upto = upto_lsn;
	}
	if (document->taking_upto != upto_lsn || document->next_chunk != index)
		return mf_error_set(error, MF_ERR_STATE, "chunk %u of the snapshot of '%.200s' up to LSN %lld is out of order", index, doc_id, (long long)upto_lsn);
	unsigned char *grown = mf_realloc(document->taking, document->taking_len + len);
	if (!grown)
		return no_memory(error);
	memcpy(grown + document->taking_len, bytes, len);
	document->taking = grown;
	document->taking_len += len;
	document->next_chunk++;
	return MF_OK;
}

static enum mf_status memory_chunk(struct mf_store *base, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	return leave(store, chunk_locked(store, doc_id, upto_lsn, index, bytes, len, error));
}

static enum mf_status finish_locked(struct memory_store *store, const struct mf_snapshot *from, struct mf_error *error)
{
	if (from->upto_lsn > (int64_t)store->last)
		return mf_error_set(error, MF_ERR_INVALID, "a snapshot of '%.200s' up to LSN %lld, but the newest event is %zu", from->doc_id, (long long)from->upto_lsn, store->last);
	struct document *document = document_for(store, from->doc_id);
	if (!document)
		return no_memory(error);
	const unsigned char *bytes = from->state_blob;
	if (!bytes) {
		if (document->taking_upto != from->upto_lsn || document->taking_len != from->state_len)
			return mf_error_set(error, MF_ERR_STATE, "chunks of the snapshot of '%.200s' up to LSN %lld are missing", from->doc_id, (long long)from->upto_lsn);
		bytes = document->taking;
	}
	struct stored_snapshot *copy = mf_malloc(sizeof(*copy) + from->state_len);
	struct stored_snapshot **grown = mf_realloc(document->snapshots, (document->snapshot_count + 1) * sizeof(*grown));
	if (grown)
		document->snapshots = grown;
	if (!copy || !grown) {
		mf_free(copy);
		return no_memory(error);
	}
	memcpy(copy->bytes, bytes, from->state_len);
	copy->snapshot = *from;
	copy->snapshot.doc_id = document->doc_id;
	copy->snapshot.state_blob = copy->bytes;
	copy->snapshot.memory = NULL;
	drop_taking(document);
	size_t at = snapshot_place(document, from->upto_lsn);
	if (at < document->snapshot_count && grown[at]->snapshot.upto_lsn == from->upto_lsn) {
		mf_free(grown[at]);
	} else {
		memmove(grown + at + 1, grown + at, (document->snapshot_count - at) * sizeof(*grown));
		document->snapshot_count++;
	}
	grown[at] = copy;
	return MF_OK;
}

static enum mf_status memory_finish(struct mf_store *base, const struct mf_snapshot *snapshot, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	return leave(store, finish_locked(store, snapshot, error));
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

static enum mf_status memory_latest(struct mf_store *base, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	const struct document *document = mf_strmap_get(&store->documents, doc_id);
	size_t after = !document ? 0 : at_most == INT64_MAX ? document->snapshot_count : snapshot_place(document, at_most + 1);
	if (after == 0)
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "'%.200s' has no snapshot up to LSN %lld", doc_id, (long long)at_most);
	else if (copy_snapshot(&document->snapshots[after - 1]->snapshot, out) != MF_OK)
		status = no_memory(error);
	return leave(store, status);
}

struct listed {
	struct mf_snapshot_info *infos;
	size_t count;
};

static void list_of(const struct document *document, struct listed *list)
{
	for (size_t i = document->snapshot_count; i > 0; i--) {
		const struct mf_snapshot *from = &document->snapshots[i - 1]->snapshot;
		list->infos[list->count++] = (struct mf_snapshot_info){document->doc_id, from->upto_lsn, from->created_at, (int64_t)from->state_len, from->version};
	}
}

static enum mf_status list_snapshots(struct memory_store *store, const char *doc_id, struct listed *list)
{
	struct mf_document_info *documents;
	size_t count, total = 0;
	enum mf_status status = list_documents(store, &documents, &count);
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

static enum mf_status memory_snapshots(struct mf_store *base, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	struct listed list = {0};
	status = leave(store, list_snapshots(store, doc_id, &list));
	if (status != MF_OK)
		return no_memory(error);
	for (size_t i = 0; i < list.count && visit(user, &list.infos[i]); i++)
		;
	mf_free(list.infos);
	return MF_OK;
}

/* ---- the rest ---- */

static enum mf_status compact_locked(struct memory_store *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct document *document = mf_strmap_get(&store->documents, doc_id);
	size_t keep = document ? snapshot_place(document, upto_lsn) : 0;
	if (!document || keep == document->snapshot_count || document->snapshots[keep]->snapshot.upto_lsn != upto_lsn)
		return mf_error_set(error, MF_ERR_INVALID, "'%.200s' has no snapshot up to LSN %lld to compact to", doc_id, (long long)upto_lsn);
	size_t gone = first_after(document->events, document->count, upto_lsn);
	for (size_t i = 0; i < gone; i++) {
		struct mf_event *event = &document->events[i]->event;
		store->bytes -= (int64_t)(event->payload_len + event->meta_len);
		store->log[event->lsn - 1] = NULL;
		mf_free(document->events[i]);
	}
	document->count -= gone;
	memmove(document->events, document->events + gone, document->count * sizeof(*document->events));
	for (size_t i = 0; i < keep; i++)
		mf_free(document->snapshots[i]);
	document->snapshot_count -= keep;
	memmove(document->snapshots, document->snapshots + keep, document->snapshot_count * sizeof(*document->snapshots));
	document->compacted_upto = upto_lsn;
	store->compacted += gone;
	return MF_OK;
}

static enum mf_status memory_compact(struct mf_store *base, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	return leave(store, compact_locked(store, doc_id, upto_lsn, error));
}

static enum mf_status memory_verify(struct mf_store *base, mf_damage_visit *visit, void *user, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	for (size_t i = 0; i < store->last; i++) {
		const struct mf_event *event = store->log[i] ? &store->log[i]->event : NULL;
		if (!event || event->checksum == mf_event_checksum(event))
			continue;
		struct mf_damage damage = {"event", event->doc_id, event->lsn, "the checksum does not fit"};
		visit(user, &damage);
		status = mf_error_set(error, MF_ERR_CORRUPTED, "the event with LSN %lld was overwritten in memory", (long long)event->lsn);
	}
	return leave(store, status);
}

static enum mf_status memory_stats(struct mf_store *base, struct mf_store_stats *out, struct mf_error *error)
{
	struct memory_store *store = of(base);
	enum mf_status status = enter(store, error);
	if (status != MF_OK)
		return status;
	struct mf_store_stats stats = {
		.last_lsn = (int64_t)store->last, .synced_lsn = (int64_t)store->last, .epoch = 1,
		.events = (int64_t)(store->last - store->compacted), .bytes = store->bytes};
	for (size_t i = 0; i < store->documents.capacity; i++) {
		const struct document *document = store->documents.slots[i].value;
		if (!document)
			continue;
		stats.documents += document->last_lsn > 0;
		stats.snapshots += (int64_t)document->snapshot_count;
	}
	*out = stats;
	return leave(store, MF_OK);
}

static void free_document(struct document *document)
{
	for (size_t i = 0; i < document->snapshot_count; i++)
		mf_free(document->snapshots[i]);
	mf_free(document->snapshots);
	mf_free(document->events);
	mf_free(document->taking);
	mf_free(document);
}

static enum mf_status memory_close(struct mf_store *base, struct mf_error *error)
{
	struct memory_store *store = of(base);
	if (mf_forked_since(store->generation))
		return mf_error_set(error, MF_ERR_STATE, "this store belongs to the process that opened it, not to its child");
	for (size_t i = 0; i < store->last; i++)
		mf_free(store->log[i]);
	mf_free(store->log);
	for (size_t i = 0; i < store->documents.capacity; i++)
		if (store->documents.slots[i].value)
			free_document(store->documents.slots[i].value);
	for (size_t i = 0; i < store->keys.capacity; i++)
		mf_free(store->keys.slots[i].value);
	mf_strmap_deinit(&store->documents);
	mf_strmap_deinit(&store->keys);
	pthread_mutex_destroy(&store->lock);
	mf_free(store);
	return MF_OK;
}

static const struct mf_store_ops memory_ops = {
	.size = sizeof(struct mf_store_ops),
	.name = "memory",
	.durable = false,
	.append_batch = memory_append,
	.sync = memory_sync,
	.maintain = memory_maintain,
	.load_since = memory_load_since,
	.last_lsn = memory_last_lsn,
	.find_key = memory_find_key,
	.latest_snapshot = memory_latest,
	.snapshot_chunk = memory_chunk,
	.snapshot_finish = memory_finish,
	.compact = memory_compact,
	.documents = memory_documents,
	.snapshots = memory_snapshots,
	.verify = memory_verify,
	.stats = memory_stats,
	.close = memory_close,
};

enum mf_status mf_store_open_memory(const struct mf_env *env, struct mf_store **out, struct mf_error *error)
{
	struct memory_store *store = mf_calloc(1, sizeof(*store));
	if (!store)
		return no_memory(error);
	store->base.ops = &memory_ops;
	store->env = env ? env : mf_env_os();
	store->generation = mf_fork_generation();
	int result = store->env->random(store->env->user, &store->seed, sizeof(store->seed));
	if (result < 0) {
		mf_free(store);
		return mf_error_set(error, MF_ERR_IO, "no random numbers: %s", strerror(-result));
	}
	mf_strmap_init(&store->documents, store->seed);
	mf_strmap_init(&store->keys, store->seed);
	pthread_mutex_init(&store->lock, NULL);
	*out = &store->base;
	return MF_OK;
}
