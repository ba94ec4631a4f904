/* The store without a disk: the log, the keys and the snapshots in memory, under one mutex.
 *
 * It keeps every promise of the interface but durability: order, keys, checksums, compaction. sync says that
 * everything up to the last LSN is as safe as it will ever be.
 * Its inside and the invariants: memory_store.h. */
#include "persist/memory_store.h"

#include <stdlib.h>
#include <string.h>

#include "model/mem.h"
#include "persist/checksum.h"
#include "persist/event_page.h"
#include "persist/fork_guard.h"
#include "persist/record.h"

enum mf_status mf_memory_no_memory(struct mf_error *error)
{
	return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory in the memory store; nothing changed");
}

enum mf_status mf_memory_enter(struct mf_memory *store, struct mf_error *error)
{
	if (mf_forked_since(store->generation))
		return mf_error_set(error, MF_ERR_STATE, "this store belongs to the process that opened it, not to its child");
	pthread_mutex_lock(&store->lock);
	return MF_OK;
}

/* Every call ends here. */
enum mf_status mf_memory_leave(struct mf_memory *store, enum mf_status status)
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

static struct mf_memory_event *copy_event(const struct mf_event *event)
{
	size_t doc_len = strlen(event->doc_id), key_len = strlen(event->idempotency_key), actor_len = event->actor ? strlen(event->actor) : 0;
	struct mf_memory_event *copy = mf_malloc(sizeof(*copy) + doc_len + key_len + actor_len + event->meta_len + event->payload_len + 5);
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

static struct mf_memory_key *make_key(const struct mf_event *event)
{
	size_t len = strlen(event->idempotency_key) + 1;
	struct mf_memory_key *key = mf_calloc(1, sizeof(*key) + len);
	if (!key)
		return NULL;
	const uint8_t *hash = mf_record_content_hash(event->payload, event->payload_len);
	if (hash)
		memcpy(key->info.content_hash, hash, sizeof(key->info.content_hash));
	memcpy(key->key, event->idempotency_key, len);
	return key;
}

struct mf_memory_doc *mf_memory_doc_for(struct mf_memory *store, const char *doc_id)
{
	struct mf_memory_doc *document = mf_strmap_get(&store->documents, doc_id);
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

bool mf_memory_grow(void *array_pointer, size_t *capacity, size_t need)
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
	struct mf_memory_event *event;
	struct mf_memory_key *key;
	struct mf_memory_doc *document;
};

static enum mf_status duplicate(const struct mf_event *event, size_t index, const struct mf_memory_key *stored, struct mf_error *error)
{
	mf_error_set(error, MF_ERR_DUPLICATE_KEY, "event %zu: the key '%.200s' was used before, for LSN %lld", index, event->idempotency_key, (long long)stored->info.lsn);
	if (!error)
		return MF_ERR_DUPLICATE_KEY;
	const uint8_t *hash = mf_record_content_hash(event->payload, event->payload_len);
	error->lsn = stored->info.lsn;
	error->same = hash && memcmp(hash, stored->info.content_hash, sizeof(stored->info.content_hash)) == 0;
	return MF_ERR_DUPLICATE_KEY;
}

static enum mf_status check_keys(const struct mf_memory *store, const struct mf_event *events, size_t count, struct mf_error *error)
{
	for (size_t i = 0; i < count; i++) {
		const struct mf_memory_key *stored = mf_strmap_get(&store->keys, events[i].idempotency_key);
		if (stored)
			return duplicate(&events[i], i, stored, error);
	}
	if (count == 1)
		return MF_OK;
	struct mf_strmap seen;
	mf_strmap_init(&seen, store->seed);
	enum mf_status status = mf_strmap_reserve(&seen, count);
	if (status != MF_OK)
		mf_memory_no_memory(error);
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
static bool prepare(struct mf_memory *store, const struct mf_event *event, struct prepared *out)
{
	out->event = copy_event(event);
	out->key = make_key(event);
	out->document = out->event && out->key ? mf_memory_doc_for(store, event->doc_id) : NULL;
	if (!out->document)
		return false;
	out->document->coming++;
	return mf_memory_grow(&out->document->events, &out->document->capacity, out->document->count + out->document->coming);
}

static void accept(struct mf_memory *store, struct prepared *from, struct mf_event *event)
{
	struct mf_memory_doc *document = from->document;
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

static enum mf_status append_locked(struct mf_memory *store, struct mf_event *events, size_t count, struct mf_error *error)
{
	enum mf_status status = check_keys(store, events, count, error);
	if (status != MF_OK)
		return status;
	struct prepared *prepared = mf_calloc(count, sizeof(*prepared));
	if (!prepared || !mf_memory_grow(&store->log, &store->capacity, store->last + count) || mf_strmap_reserve(&store->keys, count) != MF_OK)
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
	return status == MF_OK ? MF_OK : mf_memory_no_memory(error);
}

static enum mf_status memory_append(struct mf_store *base, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	status = append_locked(store, events, count, error);
	if (status == MF_OK && out_last_lsn)
		*out_last_lsn = (int64_t)store->last;
	return mf_memory_leave(store, status);
}

static enum mf_status memory_sync(struct mf_store *base, int64_t *out_synced_lsn, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	if (out_synced_lsn)
		*out_synced_lsn = (int64_t)store->last;
	return mf_memory_leave(store, MF_OK);
}

static enum mf_status memory_maintain(struct mf_store *base, struct mf_error *error)
{
	(void)base;
	(void)error;
	return MF_OK;
}

/* ---- reading ---- */

size_t mf_memory_first_after(struct mf_memory_event *const *events, size_t count, int64_t lsn)
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

static enum mf_status load_locked(const struct mf_memory *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_page *page)
{
	const struct mf_memory_doc *document = doc_id ? mf_strmap_get(&store->documents, doc_id) : NULL;
	if (doc_id && !document)
		return MF_OK;
	struct mf_memory_event *const *events = document ? document->events : store->log;
	size_t count = document ? document->count : store->last;
	size_t at = document ? mf_memory_first_after(events, count, from_lsn) : (size_t)from_lsn;
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
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	struct mf_event_page page;
	mf_event_page_init(&page);
	status = load_locked(store, doc_id, from_lsn, limit, &page);
	if (status == MF_OK) {
		mf_event_page_finish(&page, out);
	} else {
		mf_event_page_deinit(&page);
		mf_memory_no_memory(error);
	}
	return mf_memory_leave(store, status);
}

static enum mf_status memory_last_lsn(struct mf_store *base, const char *doc_id, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	const struct mf_memory_doc *document = doc_id ? mf_strmap_get(&store->documents, doc_id) : NULL;
	*out_lsn = !doc_id ? (int64_t)store->last : document ? document->last_lsn : 0;
	return mf_memory_leave(store, MF_OK);
}

static enum mf_status memory_find_key(struct mf_store *base, const char *key, struct mf_key_info *out, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	const struct mf_memory_key *stored = mf_strmap_get(&store->keys, key);
	if (stored)
		*out = stored->info;
	else
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "no event has the key '%.200s'", key);
	return mf_memory_leave(store, status);
}

static int by_doc_id(const void *a, const void *b)
{
	return strcmp(((const struct mf_document_info *)a)->doc_id, ((const struct mf_document_info *)b)->doc_id);
}

/* The documents as they are now; the strings live as long as the store. */
enum mf_status mf_memory_list_documents(struct mf_memory *store, struct mf_document_info **out, size_t *out_count)
{
	struct mf_document_info *list = mf_calloc(store->documents.count, sizeof(*list));
	if (!list)
		return MF_ERR_NO_MEMORY;
	size_t count = 0;
	for (size_t i = 0; i < store->documents.capacity; i++) {
		const struct mf_memory_doc *document = store->documents.slots[i].value;
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
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	struct mf_document_info *list = NULL;
	size_t count = 0;
	status = mf_memory_leave(store, mf_memory_list_documents(store, &list, &count));
	if (status != MF_OK)
		return mf_memory_no_memory(error);
	for (size_t i = 0; i < count && visit(user, &list[i]); i++)
		;
	mf_free(list);
	return MF_OK;
}

/* ---- the rest ---- */

static enum mf_status memory_vacuum(struct mf_store *base, struct mf_error *error)
{
	(void)base;
	(void)error;
	return MF_OK; /* freed memory is free */
}

static enum mf_status memory_verify(struct mf_store *base, mf_damage_visit *visit, void *user, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
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
	return mf_memory_leave(store, status);
}

static enum mf_status memory_stats(struct mf_store *base, struct mf_store_stats *out, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	struct mf_store_stats stats = {
		.last_lsn = (int64_t)store->last, .synced_lsn = (int64_t)store->last, .epoch = 1, .openings = 1,
		.events = (int64_t)(store->last - store->compacted), .bytes = store->bytes, .free_bytes = -1};
	for (size_t i = 0; i < store->documents.capacity; i++) {
		const struct mf_memory_doc *document = store->documents.slots[i].value;
		if (!document)
			continue;
		stats.documents += document->last_lsn > 0;
		stats.snapshots += (int64_t)document->snapshot_count;
	}
	*out = stats;
	return mf_memory_leave(store, MF_OK);
}

static void free_document(struct mf_memory_doc *document)
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
	struct mf_memory *store = mf_memory_of(base);
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
	for (size_t i = 0; i < store->followers.capacity; i++)
		mf_free(store->followers.slots[i].value);
	mf_strmap_deinit(&store->documents);
	mf_strmap_deinit(&store->keys);
	mf_strmap_deinit(&store->followers);
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
	.latest_snapshot = mf_memory_latest,
	.snapshot_chunk = mf_memory_chunk,
	.snapshot_finish = mf_memory_finish,
	.compact = mf_memory_compact,
	.documents = memory_documents,
	.snapshots = mf_memory_snapshots,
	.verify = memory_verify,
	.stats = memory_stats,
	.close = memory_close,
	.load_checkpoint = mf_memory_load_checkpoint,
	.save_checkpoint = mf_memory_save_checkpoint,
	.checkpoints = mf_memory_checkpoints,
	.epoch_end = mf_memory_epoch_end,
	.prune_snapshots = mf_memory_prune,
	.vacuum = memory_vacuum,
};

enum mf_status mf_store_open_memory(const struct mf_env *env, struct mf_store **out, struct mf_error *error)
{
	struct mf_memory *store = mf_calloc(1, sizeof(*store));
	if (!store)
		return mf_memory_no_memory(error);
	store->base.ops = &memory_ops;
	store->env = mf_env_or_default(env);
	store->generation = mf_fork_generation();
	int result = store->env->random(store->env->user, &store->seed, sizeof(store->seed));
	if (result < 0) {
		mf_free(store);
		return mf_error_set(error, MF_ERR_IO, "no random numbers: %s", strerror(-result));
	}
	mf_strmap_init(&store->documents, store->seed);
	mf_strmap_init(&store->keys, store->seed);
	mf_strmap_init(&store->followers, store->seed);
	pthread_mutex_init(&store->lock, NULL);
	*out = &store->base;
	return MF_OK;
}
