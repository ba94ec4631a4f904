/* checksum.h - the CRC-32 of an event: of every stored field, so that no flipped bit in any column passes.
 *
 * CRC-32 is zlib's crc32 (polynomial 0xEDB88320, initial value 0) over this layout; integers are little-endian.
 *
 *   size   field
 *   8      lsn
 *   8      epoch
 *   8      prev_lsn
 *   8      tr_id
 *   8      ts_us
 *   8      source_lsn
 *   1      action
 *   4 + n  doc_id           length, bytes
 *   1      has actor        0 or 1
 *   4 + n  actor            length 0 if there is none
 *   4 + n  idempotency_key
 *   4 + n  meta
 *   4 + n  payload
 *
 * Thread: any; pure. */
#pragma once

#include <moduforge/event.h>

uint32_t mf_event_checksum(const struct mf_event *event);

/* MF_ERR_INVALID names the field that cannot be stored: ids empty or too long, numbers out of range, meta or payload missing. */
enum mf_status mf_event_check(const struct mf_event *event, struct mf_error *error);

/* Of a row of any other table: its numbers (8 bytes each, in the order of docs/formats.md), then its text and
 * its bytes, each after its length in 4 bytes. text NULL counts as empty. */
uint32_t mf_row_checksum(const int64_t *numbers, size_t count, const char *text, const void *bytes, size_t len);
/* The CRC-32 itself, for the other formats: of bytes, going on from crc (0 to begin). */
uint32_t mf_crc32(uint32_t crc, const void *bytes, size_t len);
