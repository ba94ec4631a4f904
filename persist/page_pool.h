/* page_pool.h - a few blocks of memory for pages of events, used again and again.
 *
 * A recovery reads page after page of some hundred KiB. Taken from malloc and freed each time, such a block goes back
 * to the kernel and comes back empty: the page faults cost more than reading the events.
 *
 * A block is taken out, filled, lent to whoever asked for the page, and returned by mf_event_list_deinit. The pool
 * knows lent blocks by their address; a block that it does not know is not its own.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum mf_page_part { MF_PAGE_EVENTS, MF_PAGE_BYTES, MF_PAGE_PARTS };

/* A block that is the caller's now, or NULL. */
void *mf_page_pool_take(enum mf_page_part part, size_t *out_size);
/* Remembers a block that is about to be given away. It stays the caller's to free, if it does not come back. */
void mf_page_pool_lend(enum mf_page_part part, void *memory, size_t size);
/* true: the pool has taken it. false: free it. */
bool mf_page_pool_return(enum mf_page_part part, void *memory);
