/* buffer.c - the growing byte buffer that encoders append to.
 *
 * Capacity doubles, so that n appends cost O(n) bytes copied in all.
 *
 * Invariants
 * 1. len <= capacity; bytes is NULL only while capacity is 0.
 * 2. A failed append leaves the buffer as it was. */
#include <moduforge/step.h>

#include <string.h>

#include "model/mem.h"

#define FIRST_CAPACITY 64

static enum mf_status grow(struct mf_buffer *buffer, size_t need)
{
	size_t capacity = mf_mem_is_tight() ? need : buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
	while (capacity < need)
		capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
	unsigned char *bytes = mf_realloc(buffer->bytes, capacity);
	if (!bytes)
		return MF_ERR_NO_MEMORY;
	buffer->bytes = bytes;
	buffer->capacity = capacity;
	return MF_OK;
}

enum mf_status mf_buffer_append(struct mf_buffer *buffer, const void *bytes, size_t len)
{
	if (len > SIZE_MAX - buffer->len)
		return MF_ERR_NO_MEMORY;
	if (len > buffer->capacity - buffer->len) {
		enum mf_status status = grow(buffer, buffer->len + len);
		if (status != MF_OK)
			return status;
	}
	if (len > 0)
		memcpy(buffer->bytes + buffer->len, bytes, len);
	buffer->len += len;
	return MF_OK;
}

void mf_buffer_deinit(struct mf_buffer *buffer)
{
	mf_free(buffer->bytes);
	*buffer = (struct mf_buffer){0};
}
