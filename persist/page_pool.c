#include "persist/page_pool.h"

#include <pthread.h>

#define BLOCKS 2
#define BLOCK_MIN (32u << 10) /* smaller ones malloc keeps by itself */
#define BLOCK_MAX (2u << 20)

static struct {
	void *memory; /* NULL: an empty place */
	size_t size;
	bool lent;
} blocks[MF_PAGE_PARTS][BLOCKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void *mf_page_pool_take(enum mf_page_part part, size_t *out_size)
{
	void *memory = NULL;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < BLOCKS && !memory; i++) {
		if (!blocks[part][i].memory || blocks[part][i].lent)
			continue;
		memory = blocks[part][i].memory;
		*out_size = blocks[part][i].size;
		blocks[part][i].memory = NULL;
	}
	pthread_mutex_unlock(&lock);
	return memory;
}

void mf_page_pool_lend(enum mf_page_part part, void *memory, size_t size)
{
	if (size < BLOCK_MIN || size > BLOCK_MAX)
		return;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < BLOCKS; i++) {
		if (blocks[part][i].memory)
			continue;
		blocks[part][i].memory = memory;
		blocks[part][i].size = size;
		blocks[part][i].lent = true;
		break;
	}
	pthread_mutex_unlock(&lock);
}

bool mf_page_pool_return(enum mf_page_part part, void *memory)
{
	bool ours = false;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < BLOCKS && memory && !ours; i++) {
		ours = blocks[part][i].memory == memory && blocks[part][i].lent;
		if (ours)
			blocks[part][i].lent = false;
	}
	pthread_mutex_unlock(&lock);
	return ours;
}
