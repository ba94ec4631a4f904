#include "bus/recent.h"

#include <string.h>

#include "model/mem.h"
#include <moduforge/value.h>

#define BATCH_EVENTS 64
#define BATCH_BYTES ((size_t)64 << 10)

/* ---- copies ---- */
static size_t room_for(const struct mf_event *event)
{
	return strlen(event->doc_id) + strlen(event->idempotency_key) + (event->actor ? strlen(event->actor) : 0) + event->meta_len + event->payload_len + 5;
}

static void *put(char **at, const void *bytes, size_t len)
{
	char *place = *at;
	if (len > 0)
		memcpy(place, bytes, len);
	place[len] = '\0';
	*at += len + 1;
	return place;
}

static void copy(const struct mf_event *event, struct mf_event *out, char **at)
{
	*out = *event;
	out->doc_id = put(at, event->doc_id, strlen(event->doc_id));
	out->idempotency_key = put(at, event->idempotency_key, strlen(event->idempotency_key));
	if (event->actor)
		out->actor = put(at, event->actor, strlen(event->actor));
	out->meta = put(at, event->meta, event->meta_len);
	out->payload = put(at, event->payload, event->payload_len);
}

/* ---- the ring ---- */
static struct mf_recent_place *place_of(const struct mf_recent *recent, int64_t lsn)
{
	return &recent->places[(uint64_t)lsn % recent->capacity];
}

static void empty_place(struct mf_recent *recent, struct mf_recent_place *place)
{
	recent->bytes -= place->size;
	mf_free(place->bytes);
	*place = (struct mf_recent_place){0};
}

void mf_recent_clear(struct mf_recent *recent)
{
	for (size_t i = 0; i < recent->capacity; i++)
		empty_place(recent, &recent->places[i]);
	recent->oldest = recent->newest + 1;
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
		struct mf_recent_place *places = mf_calloc(events, sizeof(*places));
		if (!places)
			return MF_ERR_NO_MEMORY;
		mf_recent_clear(recent);
		mf_free(recent->places);
		recent->places = places;
		recent->capacity = events;
	}
	if (bytes > recent->max_bytes)
		recent->max_bytes = bytes;
	return MF_OK;
}

/* Oldest first, until there is room for so many bytes more. False: there never will be. */
static bool make_room(struct mf_recent *recent, size_t need)
{
	if (need > recent->max_bytes)
		return false;
	while (recent->bytes + need > recent->max_bytes && recent->oldest <= recent->newest)
		empty_place(recent, place_of(recent, recent->oldest++));
	if (recent->bytes + need > recent->max_bytes) /* places of long ago */
		mf_recent_clear(recent);
	return true;
}

/* The place's memory, large enough, or NULL. */
static char *memory_for(struct mf_recent *recent, struct mf_recent_place *place, size_t need)
{
	if (need <= place->size)
		return place->bytes;
	empty_place(recent, place);
	size_t size = need + need / 2;
	if (!make_room(recent, size))
		return NULL;
	place->bytes = mf_malloc(size);
	if (!place->bytes)
		return NULL;
	place->size = size;
	recent->bytes += size;
	return place->bytes;
}

void mf_recent_add(struct mf_recent *recent, const struct mf_event *event)
{
	if (event->lsn != recent->newest + 1) /* something is not here: who needs it reads the store */
		recent->oldest = event->lsn;
	recent->newest = event->lsn;
	if (recent->capacity == 0)
		return;
	if (recent->newest - recent->oldest >= (int64_t)recent->capacity)
		recent->oldest = recent->newest - (int64_t)recent->capacity + 1;
	struct mf_recent_place *place = place_of(recent, event->lsn);
	recent->newest--; /* not there while room is made for it */
	char *at = memory_for(recent, place, room_for(event));
	recent->newest++;
	if (at)
		copy(event, &place->event, &at);
	else
		recent->oldest = recent->newest + 1;
}

/* ---- taking ---- */
void mf_event_batch_deinit(struct mf_event_batch *batch)
{
	mf_free(batch->events);
	mf_free(batch->bytes);
	memset(batch, 0, sizeof(*batch));
}

static bool make_batch(struct mf_event_batch *batch, size_t first)
{
	if (!batch->events) {
		batch->events = mf_malloc(BATCH_EVENTS * sizeof(*batch->events));
		batch->capacity = batch->events ? BATCH_EVENTS : 0;
	}
	size_t size = first > BATCH_BYTES ? first : BATCH_BYTES;
	if (size != batch->size) {
		mf_free(batch->bytes);
		batch->bytes = mf_malloc(size);
		batch->size = batch->bytes ? size : 0;
	}
	return batch->events && batch->bytes;
}

enum mf_recent_answer mf_recent_take(const struct mf_recent *recent, int64_t from_lsn, int64_t upto_lsn, struct mf_event_batch *batch)
{
	batch->count = 0;
	if (recent->capacity == 0 || from_lsn + 1 < recent->oldest || from_lsn >= recent->newest)
		return MF_RECENT_NOT_HERE;
	if (upto_lsn > recent->newest)
		upto_lsn = recent->newest;
	if (!make_batch(batch, room_for(&place_of(recent, from_lsn + 1)->event)))
		return MF_RECENT_NOT_HERE;
	char *at = batch->bytes;
	for (int64_t lsn = from_lsn + 1; lsn <= upto_lsn && batch->count < BATCH_EVENTS; lsn++) {
		const struct mf_event *event = &place_of(recent, lsn)->event;
		if (room_for(event) > batch->size - (size_t)(at - batch->bytes))
			break;
		copy(event, &batch->events[batch->count++], &at);
	}
	return batch->count > 0 ? MF_RECENT_TAKEN : MF_RECENT_NOT_HERE;
}
