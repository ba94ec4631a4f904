/* plugin_order.h - in which order plugins live: what a plugin requires comes before it, else the
 * order of the configuration. The same input gives the same order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct mf_order_item {
	const char *name;
	const char *const *requires_plugins; /* NULL-terminated; NULL: none */
	bool left_out;                       /* neither ordered nor there for others */
};

/* Fills out_order (room for count) with indexes; returns how many found a place. Fewer than are not left out: a ring, or
 * a requirement that is not there. */
size_t mf_plugin_order(const struct mf_order_item *items, size_t count, size_t *out_order);
/* The first ring among those that found no place, each requiring the next; its length; 0: none. out_ring has room for count. */
size_t mf_plugin_ring(const struct mf_order_item *items, size_t count, const size_t *order, size_t placed, size_t *out_ring);
/* The item of that name that is not left out; count: none. */
size_t mf_order_find(const struct mf_order_item *items, size_t count, const char *name);
