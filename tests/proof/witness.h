/* witness.h - what the threads of one run saw of a store, to be held against the store when it has been opened again.
 *
 * A synchronous follower of the bus writes down every event: its LSN, document, key and the digest of the state after it.
 * Everybody who commits writes down what was acknowledged. Nothing here takes a lock: the bus delivers one event at a time
 * (bus.h, 2), whatever thread it comes from, and ThreadSanitizer sees whether that is so; acknowledgements belong to
 * their thread until it has been joined.
 *
 * What does not fit is told by complain(), which counts: a run with a complaint has failed. */
#pragma once

#include <stdatomic.h>

#include <moduforge/runtime.h>

#define DOCS 5
#define EVENTS_MAX 60000 /* of one store */
#define KEY_ROOM 40

extern _Atomic long complaints;
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

extern const char *const doc_names[DOCS];

struct witness {
	int64_t first, last; /* of this opening: the LSNs that were published */
	uint64_t id;
	int64_t newest[DOCS]; /* the document's last LSN */
	_Atomic int64_t gone[DOCS]; /* compacted up to */
	struct witnessed {
		char key[KEY_ROOM];
		struct mf_digest digest;
		signed char doc;
	} *events; /* by LSN */
};

enum mf_status witness_new(struct witness **out);
void witness_free(struct witness *witness);
/* For a store that keeps nothing. */
void witness_forget(struct witness *witness);
/* Begins to watch an opened runtime; stops by itself when it is closed. */
void witness_watch(struct witness *witness, struct mf_runtime *runtime);

/* What one thread has been told. */
struct ack {
	char key[KEY_ROOM];
	int64_t lsn;
	struct mf_ticket *ticket; /* not waited for yet: lsn is unknown */
	unsigned back;            /* the ticket is a batch's, whose last LSN is so many behind this one */
	int64_t expect;           /* the document's LSN that it asked for; MF_EXPECT_ANY */
};
struct acks {
	struct ack *items;
	size_t count, room;
};
/* The new one, for more to be said of it; until the next. */
struct ack *acks_add(struct acks *acks, const char *key, int64_t lsn, struct mf_ticket *ticket, unsigned back);
/* Waits for the outcome of the tickets that are left, after the runtime was closed too: all have been settled. */
void acks_settle(struct acks *acks);
/* Each acknowledged key is that of the event with this LSN, which follows on the one that it expected. */
void acks_check(const struct acks *acks, const struct witness *witness);
void acks_deinit(struct acks *acks);

/* What a follower was told to be gone was compacted. */
void witness_check_gap(const struct witness *witness, const char *name, int64_t from_lsn, int64_t upto_lsn);

/* The store of an opened runtime against what was seen and acknowledged: every event, key, state and checksum. */
void witness_check(const struct witness *witness, struct mf_runtime *runtime, uint64_t seed);
/* Each key again: answered with the LSN that it was given. */
void acks_resubmit(const struct acks *acks, struct mf_runtime *runtime);
