/* record.h - one event as bytes: the payload column of an event.
 *
 * Layout of the first bytes, the same in every format version (docs/formats.md has the rest)
 *
 *   offset  size
 *   0       1    format version
 *   1       1    flags
 *   2       16   content hash: XXH3-128 of document, operation and encoded steps
 *   18      ...  body
 *
 * The store reads nothing but the content hash, which it keeps with the key when an event is compacted away. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MF_RECORD_HASH_AT 2
#define MF_RECORD_HASH_LEN 16
#define MF_RECORD_HEADER_LEN 18

/* Borrowed from payload; NULL for a payload that is too short to have one. */
static inline const uint8_t *mf_record_content_hash(const unsigned char *payload, size_t len)
{
	return len < MF_RECORD_HEADER_LEN ? NULL : payload + MF_RECORD_HASH_AT;
}
