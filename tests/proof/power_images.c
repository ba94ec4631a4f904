/* power_images.c - the states that were tried already: an open table of hashes, 0 for a free place. */
#include "power_parts.h"

#include <stdlib.h>

static bool put(uint64_t *slots, size_t room, uint64_t hash)
{
	size_t at = hash & (room - 1);
	while (slots[at] && slots[at] != hash)
		at = (at + 1) & (room - 1);
	bool is_new = slots[at] == 0;
	slots[at] = hash;
	return is_new;
}

static void grow(struct power_images *images)
{
	size_t room = images->room ? 2 * images->room : 1024;
	uint64_t *slots = calloc(room, sizeof(*slots));
	if (!slots)
		abort();
	for (size_t i = 0; i < images->room; i++)
		if (images->slots[i])
			put(slots, room, images->slots[i]);
	free(images->slots);
	images->slots = slots;
	images->room = room;
}

bool power_images_add(struct power_images *images, uint64_t image, size_t heard)
{
	uint64_t hash = (image ^ (image >> 32)) + (heard + 1) * 0x9e3779b97f4a7c15U;
	if (2 * images->count >= images->room)
		grow(images);
	bool is_new = put(images->slots, images->room, hash ? hash : 1);
	images->count += is_new;
	return is_new;
}

void power_images_free(struct power_images *images)
{
	free(images->slots);
	*images = (struct power_images){0};
}
