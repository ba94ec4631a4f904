/* page_pool.h - a few blocks of memory for pages of events, used again and again.
 *
 * A recovery reads page after page of some hundred KiB. Taken from malloc and freed each time, such a block goes back
 * to the kernel and comes back empty: the page faults cost more than reading the events.
 *
 * Thread: any; who finds another thread here goes to malloc instead (also a child of a fork in such a moment, for ever). */
#pragma once

#include <stddef.h>

enum mf_page_part { MF_PAGE_EVENTS, MF_PAGE_BYTES, MF_PAGE_PARTS };

void *mf_page_pool_take(enum mf_page_part part, size_t *out_size); /* NULL: there is none */
void mf_page_pool_give(enum mf_page_part part, void *memory, size_t size); /* keeps it or frees it; NULL is fine */
