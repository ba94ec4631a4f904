#include "persist/key_filter.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model/mem.h"
#include <moduforge/value.h>

#define BLOCK_WORDS 8 /* 64 bytes, a cache line */
#define KEYS_PER_BLOCK 32
#define BITS_PER_KEY_SET 6
#define FIRST_LAYER_BLOCKS 1024

struct mf_filter_layer {
	size_t blocks;
	_Atomic uint64_t words[];
};

/* Where a key's bits are: the block from the upper half of its hash, the bits from the lower. */
struct spot {
	uint32_t block, start, stride;
};

static struct spot spot_of(const char *key, size_t len)
{
	uint64_t hash = XXH3_64bits(key, len);
	uint32_t low = (uint32_t)hash;
	return (struct spot){.block = (uint32_t)(hash >> 32), .start = low & 511, .stride = (low >> 9 & 511) | 1};
}

static _Atomic uint64_t *block_of(struct mf_filter_layer *layer, const struct spot *spot)
{
	return &layer->words[((uint64_t)spot->block * layer->blocks >> 32) * BLOCK_WORDS];
}

void mf_key_filter_init(struct mf_key_filter *filter)
{
	for (size_t i = 0; i <= MF_FILTER_LAYERS; i++)
		atomic_init(&filter->layers[i], NULL);
	filter->layer_count = filter->room = 0;
	atomic_init(&filter->gave_up, false);
}

void mf_key_filter_deinit(struct mf_key_filter *filter)
{
	for (size_t i = 0; i < filter->layer_count; i++)
		mf_free(atomic_load_explicit(&filter->layers[i], memory_order_relaxed));
	mf_key_filter_init(filter);
}

static bool grow(struct mf_key_filter *filter)
{
	struct mf_filter_layer *layer = NULL;
	if (filter->layer_count < MF_FILTER_LAYERS) {
		size_t blocks = (size_t)FIRST_LAYER_BLOCKS << filter->layer_count;
		layer = mf_calloc(1, sizeof(*layer) + blocks * BLOCK_WORDS * sizeof(layer->words[0]));
		if (layer)
			layer->blocks = blocks;
	}
	if (!layer) {
		atomic_store_explicit(&filter->gave_up, true, memory_order_release);
		return false;
	}
	filter->room = layer->blocks * KEYS_PER_BLOCK;
	atomic_store_explicit(&filter->layers[filter->layer_count++], layer, memory_order_release);
	return true;
}

void mf_key_filter_add(struct mf_key_filter *filter, const char *key, size_t len)
{
	if (atomic_load_explicit(&filter->gave_up, memory_order_relaxed))
		return;
	if (filter->room == 0 && !grow(filter))
		return;
	filter->room--;
	struct spot spot = spot_of(key, len);
	_Atomic uint64_t *block = block_of(atomic_load_explicit(&filter->layers[filter->layer_count - 1], memory_order_relaxed), &spot);
	for (uint32_t i = 0, bit = spot.start; i < BITS_PER_KEY_SET; i++, bit = (bit + spot.stride) & 511) {
		_Atomic uint64_t *word = &block[bit >> 6];
		atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) | UINT64_C(1) << (bit & 63), memory_order_relaxed);
	}
}

static bool layer_may_have(struct mf_filter_layer *layer, const struct spot *spot)
{
	const _Atomic uint64_t *block = block_of(layer, spot);
	for (uint32_t i = 0, bit = spot->start; i < BITS_PER_KEY_SET; i++, bit = (bit + spot->stride) & 511)
		if (!(atomic_load_explicit(&block[bit >> 6], memory_order_relaxed) >> (bit & 63) & 1))
			return false;
	return true;
}

bool mf_key_filter_may_have(const struct mf_key_filter *filter, const char *key, size_t len)
{
	if (atomic_load_explicit(&filter->gave_up, memory_order_acquire))
		return true;
	struct spot spot = spot_of(key, len);
	struct mf_filter_layer *layer;
	for (size_t i = 0; (layer = atomic_load_explicit(&filter->layers[i], memory_order_acquire)); i++)
		if (layer_may_have(layer, &spot))
			return true;
	return false;
}
