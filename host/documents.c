#include "host/documents.h"

#include <string.h>

#include "model/mem.h"
#include "model/thread.h"
#include "model/utf8.h"

#define FIRST_BUCKETS 64

/* ---- life cycle ---- */
enum mf_status mf_documents_init(struct mf_documents *documents, const struct mf_committer *committer, size_t max_loaded)
{
	memset(documents, 0, sizeof(*documents));
	documents->buckets = mf_calloc(FIRST_BUCKETS, sizeof(struct mf_document *));
	if (!documents->buckets)
		return MF_ERR_NO_MEMORY;
	documents->bucket_count = FIRST_BUCKETS;
	documents->max_loaded = max_loaded;
	documents->committer = committer;
	documents->seed = (uint64_t)mf_now_us() ^ (uint64_t)(uintptr_t)documents;
	pthread_mutex_init(&documents->lock, NULL);
	return MF_OK;
}

void mf_documents_deinit(struct mf_documents *documents)
{
	for (size_t i = 0; i < documents->bucket_count; i++) {
		for (struct mf_document *document = documents->buckets[i], *next; document; document = next) {
			next = document->next;
			mf_document_free(document);
		}
	}
	mf_free(documents->buckets);
	if (documents->buckets)
		pthread_mutex_destroy(&documents->lock);
	memset(documents, 0, sizeof(*documents));
}

/* ---- the hash table: all under the table's lock ---- */
/* FNV-1a from a seed that an outsider does not know. */
static uint64_t hash_of(const struct mf_documents *documents, const char *doc_id)
{
	uint64_t hash = documents->seed ^ 0xcbf29ce484222325u;
	for (const unsigned char *c = (const unsigned char *)doc_id; *c; c++)
		hash = (hash ^ *c) * 0x100000001b3u;
	return hash ^ (hash >> 32);
}

static struct mf_document **slot_of(struct mf_documents *documents, const char *doc_id, uint64_t hash)
{
	struct mf_document **slot = &documents->buckets[hash & (documents->bucket_count - 1)];
	while (*slot && ((*slot)->hash != hash || strcmp((*slot)->doc_id, doc_id) != 0))
		slot = &(*slot)->next;
	return slot;
}

/* Longer chains are all that happens when there is no memory for more buckets. */
static void grow(struct mf_documents *documents)
{
	size_t bucket_count = documents->bucket_count * 2;
	struct mf_document **buckets = mf_calloc(bucket_count, sizeof(*buckets));
	if (!buckets)
		return;
	for (size_t i = 0; i < documents->bucket_count; i++) {
		for (struct mf_document *document = documents->buckets[i], *next; document; document = next) {
			next = document->next;
			struct mf_document **slot = &buckets[document->hash & (bucket_count - 1)];
			document->next = *slot;
			*slot = document;
		}
	}
	mf_free(documents->buckets);
	documents->buckets = buckets;
	documents->bucket_count = bucket_count;
}

static void insert(struct mf_documents *documents, struct mf_document *document)
{
	if (documents->count >= documents->bucket_count)
		grow(documents);
	struct mf_document **slot = &documents->buckets[document->hash & (documents->bucket_count - 1)];
	document->next = *slot;
	*slot = document;
	documents->count++;
}

static void take_out(struct mf_documents *documents, struct mf_document *document)
{
	struct mf_document **slot = slot_of(documents, document->doc_id, document->hash);
	*slot = document->next;
	documents->count--;
}

/* ---- idle documents: all under the table's lock ---- */
static void idle_push(struct mf_documents *documents, struct mf_document *document)
{
	document->idle_before = documents->idle_last;
	document->idle_after = NULL;
	*(documents->idle_last ? &documents->idle_last->idle_after : &documents->idle_first) = document;
	documents->idle_last = document;
}

static void idle_remove(struct mf_documents *documents, struct mf_document *document)
{
	*(document->idle_before ? &document->idle_before->idle_after : &documents->idle_first) = document->idle_after;
	*(document->idle_after ? &document->idle_after->idle_before : &documents->idle_last) = document->idle_before;
}

/* Takes what is too many out of the table; a list, linked by next, to be freed without the lock. */
static struct mf_document *evict(struct mf_documents *documents)
{
	struct mf_document *victims = NULL;
	while (documents->count > documents->max_loaded && documents->idle_first) {
		struct mf_document *document = documents->idle_first;
		idle_remove(documents, document);
		take_out(documents, document);
		document->next = victims;
		victims = document;
	}
	return victims;
}

/* ---- loading ---- */
static enum mf_status check_id(const char *doc_id, struct mf_error *error)
{
	size_t len = strlen(doc_id);
	if (len == 0 || len > MF_ID_MAX)
		return mf_error_set(error, MF_ERR_INVALID, "the document id is %zu bytes long, it must be 1 to %d", len, MF_ID_MAX);
	if (!mf_utf8_valid(doc_id, len))
		return mf_error_set(error, MF_ERR_INVALID, "the document id is not valid UTF-8");
	return MF_OK;
}

/* The present one or a new one that this caller is to load (*out_fresh). */
static enum mf_status find_or_add(struct mf_documents *documents, const char *doc_id, struct mf_document **out, bool *out_fresh)
{
	uint64_t hash = hash_of(documents, doc_id);
	pthread_mutex_lock(&documents->lock);
	struct mf_document *document = *slot_of(documents, doc_id, hash);
	bool fresh = !document;
	if (fresh) {
		document = mf_document_new(doc_id, hash);
		if (document) {
			document->number = ++documents->numbers;
			insert(documents, document);
		}
	} else if (document->users++ == 0) {
		idle_remove(documents, document);
	}
	pthread_mutex_unlock(&documents->lock);
	if (!document)
		return MF_ERR_NO_MEMORY;
	*out = document;
	*out_fresh = fresh;
	return MF_OK;
}

static void load(struct mf_documents *documents, struct mf_document *document)
{
	const struct mf_committer *committer = documents->committer;
	struct mf_recovery_report report;
	struct mf_error error = {0};
	struct mf_state *state = NULL;
	enum mf_status status = committer->recover(committer->user, document->doc_id, INT64_MAX, &state, &report, &error);
	if (status != MF_OK) {
		pthread_mutex_lock(&documents->lock);
		take_out(documents, document);
		document->dead = true;
		pthread_mutex_unlock(&documents->lock);
	}
	pthread_mutex_lock(&document->lock);
	document->committed = state;
	document->load_error = error;
	document->load_error.status = status;
	document->phase = status == MF_OK ? MF_DOCUMENT_LOADED : MF_DOCUMENT_FAILED;
	mf_cond_broadcast(&document->changed);
	pthread_mutex_unlock(&document->lock);
}

enum mf_status mf_documents_get(struct mf_documents *documents, const char *doc_id, struct mf_document **out, struct mf_error *error)
{
	struct mf_document *document;
	bool fresh;
	enum mf_status status = check_id(doc_id, error);
	if (status != MF_OK)
		return status;
	if (find_or_add(documents, doc_id, &document, &fresh) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "document '%s': no memory to load it", doc_id);
	if (fresh)
		load(documents, document);
	pthread_mutex_lock(&document->lock);
	while (document->phase == MF_DOCUMENT_LOADING)
		mf_cond_wait(&document->changed, &document->lock);
	struct mf_error load_error = document->load_error;
	pthread_mutex_unlock(&document->lock);
	if (load_error.status != MF_OK) {
		mf_documents_put(documents, document);
		if (error)
			*error = load_error;
		return load_error.status;
	}
	*out = document;
	return MF_OK;
}

void mf_documents_use(struct mf_documents *documents, struct mf_document *document)
{
	pthread_mutex_lock(&documents->lock);
	document->users++;
	pthread_mutex_unlock(&documents->lock);
}

void mf_documents_put(struct mf_documents *documents, struct mf_document *document)
{
	struct mf_document *victims = NULL;
	pthread_mutex_lock(&documents->lock);
	if (--document->users == 0) {
		if (document->dead) {
			document->next = NULL;
			victims = document;
		} else {
			idle_push(documents, document);
			victims = evict(documents);
		}
	}
	pthread_mutex_unlock(&documents->lock);
	for (struct mf_document *next; victims; victims = next) {
		next = victims->next;
		if (documents->committer->forget)
			documents->committer->forget(documents->committer->user, victims->doc_id);
		mf_document_free(victims);
	}
}
