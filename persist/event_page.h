/* event_page.h - builds a struct mf_event_list: copies events, one by one, into one block of memory.
 *
 * While it grows, the events hold offsets into the block instead of pointers, since the block may move;
 * mf_event_page_finish turns them into pointers.
 *
 * Ownership: _finish moves everything into the list, for mf_event_list_deinit alone: blocks of the usual size go back
 * to a pool (page_pool.h), others to mf_free. _deinit drops what was not finished.
 * Thread: one. */
#pragma once

#include <moduforge/event.h>

#define MF_EVENT_PAGE_BYTES (16u << 20) /* a page is full at this size */

struct mf_event_page {
	struct mf_event *events;
	size_t count, capacity;
	char *bytes;
	size_t len, size;
};

void mf_event_page_init(struct mf_event_page *page);
void mf_event_page_deinit(struct mf_event_page *page);
MF_MUST_CHECK enum mf_status mf_event_page_add(struct mf_event_page *page, const struct mf_event *event);
/* The page is empty afterwards. */
void mf_event_page_finish(struct mf_event_page *page, struct mf_event_list *out);
