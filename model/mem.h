/* mem.h - the one place memory comes from, so that a test can let it run out.
 *
 * Thread: any. mf_mem_fail_at is for tests: the allocation number n (1 = the next)
 * of the process fails, and with forever all after it; 0 switches off. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mf_malloc(size_t size);
void *mf_calloc(size_t count, size_t size); /* NULL on overflow */
void *mf_realloc(void *memory, size_t size);
void *mf_memdup(const void *bytes, size_t len);
char *mf_strdup(const char *text); /* NULL in, NULL out */
/* mf_free is public: moduforge/value.h */

void mf_mem_fail_at(uint64_t n, bool forever);
/* For tests too: a buffer that grows gets just the room that it needs, so that each append of an encoding is one that may
 * find no memory. */
void mf_mem_tight(bool tight);
bool mf_mem_is_tight(void);
uint64_t mf_mem_count(void); /* allocations since the last mf_mem_fail_at */
