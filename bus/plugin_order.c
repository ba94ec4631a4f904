#include "bus/plugin_order.h"

#include <assert.h>
#include <string.h>

size_t mf_order_find(const struct mf_order_item *items, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!items[i].left_out && strcmp(items[i].name, name) == 0)
			return i;
	return count;
}

static bool contains(const size_t *list, size_t len, size_t item)
{
	for (size_t i = 0; i < len; i++)
		if (list[i] == item)
			return true;
	return false;
}

/* The first requirement of item that has no place yet; NULL: it can be placed. */
static const char *waits_for(const struct mf_order_item *items, size_t count, size_t item, const size_t *order, size_t placed)
{
	const char *const *name = items[item].requires_plugins;
	for (; name && *name; name++)
		if (!contains(order, placed, mf_order_find(items, count, *name)))
			return *name;
	return NULL;
}

size_t mf_plugin_order(const struct mf_order_item *items, size_t count, size_t *out_order)
{
	size_t placed = 0;
	for (size_t i = 0; i < count;) {
		bool next = !items[i].left_out && !contains(out_order, placed, i) && !waits_for(items, count, i, out_order, placed);
		if (next)
			out_order[placed++] = i;
		i = next ? 0 : i + 1; /* the earliest in the configuration goes first, always */
	}
	return placed;
}

/* Walks from item along what it waits for until something comes again: that is a ring. */
static size_t walk(const struct mf_order_item *items, size_t count, size_t item, const size_t *order, size_t placed, size_t *out_ring)
{
	size_t len = 0;
	while (!contains(out_ring, len, item)) {
		out_ring[len++] = item;
		const char *name = waits_for(items, count, item, order, placed);
		assert(name); /* else it had found a place */
		item = mf_order_find(items, count, name);
		if (item == count)
			return 0;
	}
	size_t start = 0;
	while (out_ring[start] != item)
		start++;
	memmove(out_ring, out_ring + start, (len - start) * sizeof(out_ring[0]));
	return len - start;
}

size_t mf_plugin_ring(const struct mf_order_item *items, size_t count, const size_t *order, size_t placed, size_t *out_ring)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = items[i].left_out || contains(order, placed, i) ? 0 : walk(items, count, i, order, placed, out_ring);
		if (len > 0)
			return len;
	}
	return 0;
}
