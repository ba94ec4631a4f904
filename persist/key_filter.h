/* key_filter.h - tells at once that a key is new, without a look into the database.
 *
 * Nearly every key that is looked up is new, and the database would search two b-trees to say so. The
 * filter is a blocked Bloom filter (Putze, Sanders, Singler 2007): one cache line a key, 16 bits a key,
 * about 2 wrong alarms in 1,000, never a wrong all-clear. It grows by layers, each twice the one before.
 *
 * Invariants
 * 1. A key that was added is never reported as absent.
 * 2. When memory runs out the filter gives up: from then on everything may be present.
 *
 * Thread: one adds at a time; any may ask at the same time. Who asks sees the keys that were added before, as far
 * as something else orders the two (the table of pending keys does). */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MF_FILTER_LAYERS 20 /* 2^30 blocks: 34 billion keys */

struct mf_filter_layer;

struct mf_key_filter {
	struct mf_filter_layer *_Atomic layers[MF_FILTER_LAYERS + 1]; /* oldest first, NULL behind them */
	size_t layer_count, room;                                  /* room: keys that the newest layer still takes */
	atomic_bool gave_up;
};

void mf_key_filter_init(struct mf_key_filter *filter);
void mf_key_filter_deinit(struct mf_key_filter *filter);
void mf_key_filter_add(struct mf_key_filter *filter, const char *key, size_t len);
bool mf_key_filter_may_have(const struct mf_key_filter *filter, const char *key, size_t len);
