/* disk_parts.h - between disk.c, which keeps what is durable and what is not, and disk_crash.c, which picks a state. */
#pragma once

#include "disk.h"

struct disk_file {
	bool is_dir, mapped;
	unsigned char *bytes; /* durable */
	size_t size, capacity;
	uint32_t *pending; /* ops, in order: writes and truncations since the last sync */
	size_t pending_count;
};

struct disk_name {
	uint32_t dir, file;
	const char *text; /* the log's */
};

/* A growing array whose capacity is the next power of two; ends the process without memory. */
void *disk_grown(void *array, size_t count, size_t size);
/* An op on names, done to a list of them. */
void disk_name_apply(struct disk_name **names, size_t *count, const struct op *op);
/* At least size bytes, new ones zero. */
void disk_file_reserve(struct disk_file *file, size_t size);
