#include "persist/page_pool.h"

#include <pthread.h>

#include <moduforge/value.h>

#define BLOCKS 2
#define BLOCK_MIN (32u << 10) /* smaller ones malloc keeps by itself */
#define BLOCK_MAX (2u << 20)

static struct {
	void *memory; /* NULL: an empty place */
	size_t size;
} blocks[MF_PAGE_PARTS][BLOCKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void *mf_page_pool_take(enum mf_page_part part, size_t *out_size)
{
	void *memory = NULL;
	if (pthread_mutex_trylock(&lock) != 0)
		return NULL;
	for (size_t i = 0; i < BLOCKS && !memory; i++) {
		memory = blocks[part][i].memory;
		*out_size = blocks[part][i].size;
		blocks[part][i].memory = NULL;
	}
	pthread_mutex_unlock(&lock);
	return memory;
}

void mf_page_pool_give(enum mf_page_part part, void *memory, size_t size)
{
	if (memory && size >= BLOCK_MIN && size <= BLOCK_MAX && pthread_mutex_trylock(&lock) == 0) {
		for (size_t i = 0; i < BLOCKS && memory; i++) {
			if (blocks[part][i].memory)
				continue;
			blocks[part][i].memory = memory;
			blocks[part][i].size = size;
			memory = NULL;
		}
		pthread_mutex_unlock(&lock);
	}
	mf_free(memory);
}
