#include "model/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <moduforge/value.h>

static atomic_uint_fast64_t fail_at; /* 0: never */
static atomic_bool fail_forever;
static atomic_uint_fast64_t count;
static atomic_bool is_tight;
static atomic_bool counting; /* keeps the counter's cache line out of normal runs */

static bool allowed(void)
{
	if (!atomic_load_explicit(&counting, memory_order_relaxed))
		return true;
	uint64_t number = atomic_fetch_add(&count, 1) + 1;
	uint64_t limit = atomic_load(&fail_at);
	if (limit == 0)
		return true;
	return atomic_load(&fail_forever) ? number < limit : number != limit;
}

void *mf_malloc(size_t size)
{
	return allowed() ? malloc(size ? size : 1) : NULL;
}

void *mf_calloc(size_t items, size_t size)
{
	return allowed() ? calloc(items ? items : 1, size ? size : 1) : NULL;
}

void *mf_realloc(void *memory, size_t size)
{
	return allowed() ? realloc(memory, size ? size : 1) : NULL;
}

void *mf_memdup(const void *bytes, size_t len)
{
	void *copy = mf_malloc(len);
	if (copy && len)
		memcpy(copy, bytes, len);
	return copy;
}

char *mf_strdup(const char *text)
{
	return text ? mf_memdup(text, strlen(text) + 1) : NULL;
}

void mf_free(void *memory)
{
	free(memory);
}

void mf_mem_fail_at(uint64_t n, bool forever)
{
	atomic_store(&count, 0);
	atomic_store(&fail_at, n);
	atomic_store(&fail_forever, forever);
	atomic_store(&counting, true);
}

void mf_mem_tight(bool tight)
{
	atomic_store(&is_tight, tight);
}

bool mf_mem_is_tight(void)
{
	return atomic_load_explicit(&is_tight, memory_order_relaxed);
}

uint64_t mf_mem_count(void)
{
	return atomic_load(&count);
}
