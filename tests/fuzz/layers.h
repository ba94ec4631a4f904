/* layers.h - what lies between a fuzzer and the bytes that matter, taken off and put on again: zstd inside records and
 * snapshots, digests of documents and of state fields, CRCs.
 *
 * The layouts are those of persist/record.h, persist/snapshot_codec.c and model/pack_fields.c, written down a second time. */
#pragma once

#include "tests/fuzz/target.h"

uint64_t fuzz_get_le(const uint8_t *in, unsigned bytes);
void fuzz_put_le(uint8_t *out, uint64_t value, unsigned bytes);

/* fuzz_inside for a record, and for the blob of a snapshot. */
size_t fuzz_inside_record(uint8_t *bytes, size_t len, size_t max_len, fuzz_change *change);
size_t fuzz_inside_snapshot(uint8_t *bytes, size_t len, size_t max_len, fuzz_change *change);

/* fuzz_repair for the section of state fields, and for a blob. Of an incremental one base is the state that it builds on, and
 * what it builds on is written into it. */
struct mf_state;
void fuzz_repair_fields(uint8_t *bytes, size_t len);
void fuzz_repair_snapshot(uint8_t *bytes, size_t len, const struct mf_state *base);
