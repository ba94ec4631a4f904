#include "bus/recent.h"

#include <string.h>

#include "model/mem.h"
#include <moduforge/value.h>

#define BATCH_BYTES ((size_t)256 << 10)

/* ---- copies ---- */
static void *put(char **at, const void *bytes, size_t len)
{
	char *place = *at;
	if (len > 0)
		memcpy(place, bytes, len);
	place[len] = '\0';
	*at += len + 1;
	return place;
}

static struct mf_event_copy *copy_event(const struct mf_event *event, size_t most)
{
	size_t doc_len = strlen(event->doc_id), key_len = strlen(event->idempotency_key), actor_len = event->actor ? strlen(event->actor) : 0;
	size_t size = sizeof(struct mf_event_copy) + doc_len + key_len + actor_len + event->meta_len + event->payload_len + 5;
	struct mf_event_copy *copy = size <= most ? mf_malloc(size) : NULL;
	if (!copy)
		return NULL;
	char *at = copy->bytes;
	atomic_init(&copy->refs, 1);
	copy->size = size;
	copy->event = *event;
	copy->event.doc_id = put(&at, event->doc_id, doc_len);
	copy->event.idempotency_key = put(&at, event->idempotency_key, key_len);
	if (event->actor)
		copy->event.actor = put(&at, event->actor, actor_len);
	copy->event.meta = put(&at, event->meta, event->meta_len);
	copy->event.payload = put(&at, event->payload, event->payload_len);
	return copy;
}

static void unref(struct mf_event_copy *copy)
{
	if (atomic_fetch_sub_explicit(&copy->refs, 1, memory_order_acq_rel) == 1)
		mf_free(copy);
}

/* ---- the ring ---- */
static struct mf_event_copy **place_of(const struct mf_recent *recent, int64_t lsn)
{
	return &recent->places[(uint64_t)lsn % recent->capacity];
}

static void drop_oldest(struct mf_recent *recent)
{
	struct mf_event_copy **place = place_of(recent, recent->oldest++);
	recent->bytes -= (*place)->size;
	unref(*place);
	*place = NULL;
}

void mf_recent_clear(struct mf_recent *recent)
{
	while (recent->capacity > 0 && recent->oldest <= recent->newest)
		drop_oldest(recent);
}

void mf_recent_deinit(struct mf_recent *recent)
{
	mf_recent_clear(recent);
	mf_free(recent->places);
	memset(recent, 0, sizeof(*recent));
}

enum mf_status mf_recent_reserve(struct mf_recent *recent, size_t events, size_t bytes)
{
	if (events > recent->capacity) {
		struct mf_event_copy **places = mf_calloc(events, sizeof(*places));
		if (!places)
			return MF_ERR_NO_MEMORY;
		mf_recent_clear(recent);
		recent->oldest = recent->newest + 1;
		mf_free(recent->places);
		recent->places = places;
		recent->capacity = events;
	}
	if (bytes > recent->max_bytes)
		recent->max_bytes = bytes;
	return MF_OK;
}

void mf_recent_add(struct mf_recent *recent, const struct mf_event *event)
{
	struct mf_event_copy *copy = recent->capacity > 0 ? copy_event(event, recent->max_bytes) : NULL;
	if (!copy || event->lsn != recent->newest + 1) { /* something is not here: who needs it reads the store */
		mf_recent_clear(recent);
		recent->oldest = copy ? event->lsn : event->lsn + 1;
	}
	recent->newest = event->lsn;
	if (!copy)
		return;
	while (recent->oldest < event->lsn && (recent->bytes + copy->size > recent->max_bytes || event->lsn - recent->oldest >= (int64_t)recent->capacity))
		drop_oldest(recent);
	*place_of(recent, event->lsn) = copy;
	recent->bytes += copy->size;
}

/* ---- taking ---- */
void mf_event_batch_release(struct mf_event_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		unref(batch->copies[i]);
	batch->count = 0;
}

bool mf_recent_take(const struct mf_recent *recent, int64_t from_lsn, int64_t upto_lsn, struct mf_event_batch *batch)
{
	size_t bytes = 0;
	if (recent->capacity == 0 || from_lsn + 1 < recent->oldest || from_lsn >= recent->newest)
		return false;
	if (upto_lsn > recent->newest)
		upto_lsn = recent->newest;
	for (int64_t lsn = from_lsn + 1; lsn <= upto_lsn && batch->count < MF_BATCH_EVENTS && bytes < BATCH_BYTES; lsn++) {
		struct mf_event_copy *copy = *place_of(recent, lsn);
		atomic_fetch_add_explicit(&copy->refs, 1, memory_order_relaxed);
		batch->copies[batch->count++] = copy;
		bytes += copy->size;
	}
	return batch->count > 0;
}
