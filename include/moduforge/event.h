/* moduforge/event.h - the stored record of one transaction.
 *
 * An event that was read from a store has been checked: its checksum fits every field.
 *
 * Ownership: pointers are borrowed from whoever gave the event (a list, or the caller of append). */
#pragma once

#include <moduforge/transaction.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_event {
	int64_t lsn;        /* log sequence number, 1, 2, 3 ... per store; given at append */
	int64_t epoch;      /* which opening for writing stored it; given at append */
	int64_t prev_lsn;   /* LSN of the document's previous event, 0 for its first; given at append */
	uint64_t tr_id;     /* transaction id, unique for the life of the store, at most INT64_MAX */
	int64_t ts_us;      /* wall clock, microseconds since 1970-01-01 UTC; never decides anything; within one opening it never falls: after a jump ahead it waits for the clock */
	int64_t source_lsn; /* undo and redo: LSN of the apply event concerned; else 0 */
	enum mf_action action;
	uint32_t checksum;  /* CRC-32 (zlib's) over every other field, layout in docs/formats.md; given at append */
	const char *doc_id; /* 1 to MF_ID_MAX bytes of UTF-8 */
	const char *actor;  /* NULL if none */
	const char *idempotency_key; /* 1 to MF_ID_MAX bytes, unique for the life of the store */
	const char *meta;   /* canonical JSON text */
	size_t meta_len;
	const unsigned char *payload; /* encoded steps (docs/formats.md) */
	size_t payload_len;
};

/* Events read from a store, in LSN order. Only mf_event_list_deinit may free its parts. */
struct mf_event_list {
	struct mf_event *events;
	size_t count;
	void *memory; /* what the events point into */
	size_t room[2]; /* the library's own: bytes of the two blocks, to be used again; 0 in a list that somebody else made */
};
MF_API void mf_event_list_deinit(struct mf_event_list *list);

/* A document's whole state up to an event. */
struct mf_snapshot {
	const char *doc_id;
	int64_t upto_lsn;    /* holds exactly the effects of the document's events <= upto_lsn */
	int64_t created_at;  /* microseconds since 1970-01-01 UTC */
	int32_t version;     /* format of state_blob */
	const unsigned char *state_blob; /* docs/formats.md; carries its own checksum and digest */
	size_t state_len;
	void *memory;        /* set when a store gave the snapshot */
	int64_t base_lsn;    /* incremental: what changed since the document's snapshot up to this LSN; 0: whole */
};
MF_API void mf_snapshot_deinit(struct mf_snapshot *snapshot); /* frees memory; for snapshots that a store gave */

#ifdef __cplusplus
}
#endif
