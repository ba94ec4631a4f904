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

static size_t home_of(const struct mf_strmap *map, const char *key)
{
	return XXH3_64bits_withSeed(key, strlen(key), map->seed) & (map->capacity - 1);
}

/* The slot that holds key, or the empty one where it belongs. capacity is not 0. */
static struct mf_strmap_slot *find_slot(const struct mf_strmap *map, const char *key)
{
	size_t mask = map->capacity - 1, at = home_of(map, key);
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

/* What stands behind the gap and may stand in it moves up, so that no search ends too early. */
void mf_strmap_remove(struct mf_strmap *map, const char *key)
{
	struct mf_strmap_slot *slot = map->capacity ? find_slot(map, key) : NULL;
	if (!slot || !slot->key)
		return;
	size_t mask = map->capacity - 1, gap = (size_t)(slot - map->slots);
	for (size_t at = (gap + 1) & mask; map->slots[at].key; at = (at + 1) & mask) {
		size_t from_home = (at - home_of(map, map->slots[at].key)) & mask, from_gap = (at - gap) & mask;
		if (from_home < from_gap)
			continue;
		map->slots[gap] = map->slots[at];
		gap = at;
	}
	map->slots[gap] = (struct mf_strmap_slot){0};
	map->count--;
}

void *mf_strmap_get(const struct mf_strmap *map, const char *key)
{
	return map->capacity ? find_slot(map, key)->value : NULL;
}
