#include "persist/strmap.h"

#include <string.h>
#include <xxhash.h>

#include <moduforge/value.h>

#include "model/mem.h"

#define CAPACITY_MIN 64

void mf_strmap_init(struct mf_strmap *map, uint64_t seed)
{
	memset(map, 0, sizeof(*map));
	map->seed = seed;
}

void mf_strmap_deinit(struct mf_strmap *map)
{
	mf_free(map->slots);
	map->slots = NULL;
	map->capacity = map->count = 0;
}

/* The slot that holds key, or the empty one where it belongs. capacity is not 0. */
static struct mf_strmap_slot *find_slot(const struct mf_strmap *map, const char *key)
{
	size_t mask = map->capacity - 1;
	size_t at = XXH3_64bits_withSeed(key, strlen(key), map->seed) & mask;
	while (map->slots[at].key && strcmp(map->slots[at].key, key) != 0)
		at = (at + 1) & mask;
	return &map->slots[at];
}

enum mf_status mf_strmap_reserve(struct mf_strmap *map, size_t more)
{
	if (more > SIZE_MAX / 4 - map->count)
		return MF_ERR_NO_MEMORY;
	size_t capacity = map->capacity ? map->capacity : CAPACITY_MIN;
	while (capacity / 2 < map->count + more)
		capacity *= 2;
	if (capacity == map->capacity)
		return MF_OK;
	struct mf_strmap grown = {.capacity = capacity, .count = map->count, .seed = map->seed};
	grown.slots = mf_calloc(capacity, sizeof(*grown.slots));
	if (!grown.slots)
		return MF_ERR_NO_MEMORY;
	for (size_t i = 0; i < map->capacity; i++)
		if (map->slots[i].key)
			*find_slot(&grown, map->slots[i].key) = map->slots[i];
	mf_free(map->slots);
	*map = grown;
	return MF_OK;
}

void mf_strmap_put(struct mf_strmap *map, const char *key, void *value)
{
	*find_slot(map, key) = (struct mf_strmap_slot){key, value};
	map->count++;
}

void *mf_strmap_get(const struct mf_strmap *map, const char *key)
{
	return map->capacity ? find_slot(map, key)->value : NULL;
}
