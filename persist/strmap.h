/* strmap.h - a hash map from strings to pointers.
 *
 * Open addressing, linear probing, at most half full. Keys are borrowed: they live inside the values.
 *
 * Invariant: after mf_strmap_reserve for n more, n puts cannot fail.
 * Thread: one at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <moduforge/status.h>

struct mf_strmap_slot {
	const char *key; /* NULL: empty */
	void *value;
};

struct mf_strmap {
	struct mf_strmap_slot *slots;
	size_t capacity, count; /* capacity: 0 or a power of two */
	uint64_t seed;
};

void mf_strmap_init(struct mf_strmap *map, uint64_t seed);
void mf_strmap_deinit(struct mf_strmap *map);
MF_MUST_CHECK enum mf_status mf_strmap_reserve(struct mf_strmap *map, size_t more);
/* The key must not be in it yet. */
void mf_strmap_put(struct mf_strmap *map, const char *key, void *value);
void mf_strmap_remove(struct mf_strmap *map, const char *key); /* fine when it is absent */
void *mf_strmap_get(const struct mf_strmap *map, const char *key); /* NULL if absent */
