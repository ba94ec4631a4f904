#include "persist/event_page.h"

#include <stdbool.h>
#include <string.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/page_pool.h"

void mf_event_page_init(struct mf_event_page *page)
{
	memset(page, 0, sizeof(*page));
}

void mf_event_page_deinit(struct mf_event_page *page)
{
	mf_page_pool_give(MF_PAGE_EVENTS, page->events, page->capacity * sizeof(*page->events));
	mf_page_pool_give(MF_PAGE_BYTES, page->bytes, page->size);
	mf_event_page_init(page);
}

/* At the first event: what the pool has to spare. */
static void borrow(struct mf_event_page *page)
{
	size_t size;
	struct mf_event *events = mf_page_pool_take(MF_PAGE_EVENTS, &size);
	if (events) {
		page->events = events;
		page->capacity = size / sizeof(*events);
	}
	char *bytes = mf_page_pool_take(MF_PAGE_BYTES, &size);
	if (bytes) {
		page->bytes = bytes;
		page->size = size;
	}
}

static bool make_room(struct mf_event_page *page, size_t need)
{
	if (page->capacity == 0)
		borrow(page);
	if (page->count == page->capacity) {
		size_t capacity = page->capacity ? page->capacity * 2 : 16;
		struct mf_event *events = mf_realloc(page->events, capacity * sizeof(*events));
		if (!events)
			return false;
		page->events = events;
		page->capacity = capacity;
	}
	if (need > page->size - page->len) {
		size_t size = page->size ? page->size : 4096;
		while (size - page->len < need)
			size *= 2;
		char *bytes = mf_realloc(page->bytes, size);
		if (!bytes)
			return false;
		page->bytes = bytes;
		page->size = size;
	}
	return true;
}

/* An offset, dressed as the pointer that it will be. */
static const void *put(struct mf_event_page *page, const void *bytes, size_t len)
{
	size_t at = page->len;
	if (len > 0)
		memcpy(page->bytes + at, bytes, len);
	page->bytes[at + len] = '\0';
	page->len += len + 1;
	return (const void *)(uintptr_t)at;
}

static const char *put_doc_id(struct mf_event_page *page, const char *doc_id, size_t len)
{
	if (page->count > 0) {
		const char *before = page->events[page->count - 1].doc_id;
		if (strcmp(page->bytes + (uintptr_t)before, doc_id) == 0)
			return before;
	}
	return put(page, doc_id, len);
}

enum mf_status mf_event_page_add(struct mf_event_page *page, const struct mf_event *event)
{
	size_t doc_len = strlen(event->doc_id), key_len = strlen(event->idempotency_key);
	size_t actor_len = event->actor ? strlen(event->actor) : 0;
	if (!make_room(page, doc_len + key_len + actor_len + event->meta_len + event->payload_len + 5))
		return MF_ERR_NO_MEMORY;
	struct mf_event copy = *event;
	copy.doc_id = put_doc_id(page, event->doc_id, doc_len);
	copy.idempotency_key = put(page, event->idempotency_key, key_len);
	if (event->actor)
		copy.actor = put(page, event->actor, actor_len);
	copy.meta = put(page, event->meta, event->meta_len);
	copy.payload = put(page, event->payload, event->payload_len);
	page->events[page->count++] = copy;
	return MF_OK;
}

void mf_event_page_finish(struct mf_event_page *page, struct mf_event_list *out)
{
	for (size_t i = 0; i < page->count; i++) {
		struct mf_event *event = &page->events[i];
		event->doc_id = page->bytes + (uintptr_t)event->doc_id;
		event->idempotency_key = page->bytes + (uintptr_t)event->idempotency_key;
		if (event->actor) /* never at offset 0: the document's id comes first */
			event->actor = page->bytes + (uintptr_t)event->actor;
		event->meta = page->bytes + (uintptr_t)event->meta;
		event->payload = (const unsigned char *)page->bytes + (uintptr_t)event->payload;
	}
	out->events = page->events;
	out->count = page->count;
	out->memory = page->bytes;
	out->room[MF_PAGE_EVENTS] = page->capacity * sizeof(*page->events);
	out->room[MF_PAGE_BYTES] = page->size;
	mf_event_page_init(page);
}
