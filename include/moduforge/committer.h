/* moduforge/committer.h - the subscriber whose acceptance makes a commit.
 *
 * The bus and the runtime call this interface; the snapshot subscriber
 * (persist.h) implements it over an event store. One bus has one committer.
 *
 * The walk: reserve (key known?) -> [check, apply, guards] -> commit or release.
 *
 * Invariants
 * 1. The order of commit calls is the order of LSNs.
 * 2. done is called once for each accepted proposal, in LSN order, one at a
 *    time, from any thread, with no lock of the committer held, before the ticket reaches COMMITTED.
 * 3. When a group fails, every proposal accepted and not yet stored fails with it
 *    (they may build on it), generation() grows, and a proposal built on an older generation is refused. */
#pragma once

#include <moduforge/event_source.h>
#include <moduforge/ticket.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mf_commit_kind { MF_COMMIT_MEMORY_ONLY, MF_COMMIT_ASYNC_DURABLE, MF_COMMIT_SYNC_DURABLE };

struct mf_commit_result {
	enum mf_status status;        /* MF_OK: committed */
	const struct mf_error *error; /* NULL when committed */
	int64_t lsn, epoch, ts_us;
	const struct mf_event *event; /* as stored, borrowed for the call; NULL when it was not */
};
typedef void mf_commit_done(void *user, const struct mf_commit_result *result);

struct mf_metrics; /* metrics.h */
struct mf_reservation; /* a key held for a transaction under way */

/* What reserve found. */
struct mf_key_answer {
	enum { MF_KEY_NEW, MF_KEY_STORED, MF_KEY_PENDING } found;
	struct mf_reservation *reservation; /* MF_KEY_NEW: to be given to commit or release */
	int64_t lsn;                        /* MF_KEY_STORED: first given */
	bool same;                          /* MF_KEY_STORED, MF_KEY_PENDING: same content */
	struct mf_ticket *ticket;           /* MF_KEY_PENDING: a reference; wait for it, then reserve again. NULL: not even submitted, try again soon */
};

struct mf_proposal {
	const char *doc_id;
	struct mf_transaction *transaction; /* reserved: has id and key */
	const struct mf_state *old_state;
	struct mf_state *new_state;         /* from mf_state_apply; the committer gives it its LSN, before done */
	struct mf_reservation *reservation; /* taken, on success and on failure */
	uint64_t generation;                /* that the old state belongs to */
	mf_commit_done *done;               /* not called when commit itself fails */
	void *done_user;
	void (*release)(void *done_user); /* once, some time after done, from any thread: memory is freed where that is cheapest; NULL: nothing */
};

struct mf_recovery_report {
	int64_t lsn;             /* the state's */
	int64_t snapshot_lsn;    /* 0: none used */
	int64_t events_replayed;
	int64_t damaged_snapshots; /* passed over */
	int64_t elapsed_us;
	struct mf_digest digest; /* only when asked for */
	int64_t stale_snapshots; /* made with another version of a format, step type or state field: passed over, or used without what cannot be read */
	int64_t dropped_entries; /* of the undo and redo stacks, for that */
	int64_t fields_anew;     /* state fields that the snapshot used has no value for, and its events are gone: begun from its document */
	int64_t fields_left_out; /* state fields in the snapshot used that nothing here brings */
	char passed_over[256];   /* why the newest damaged or stale snapshot could not be used as it is; "": there was none */
};

#define MF_LSN_NEWEST_TO_LOOK_AT (INT64_MAX - 1)

struct mf_committer {
	size_t size; /* sizeof(struct mf_committer) */
	const char *name;
	void *user;
	/* Gives the transaction its id, and a key if it has none; looks the key up among pending and stored ones. */
	enum mf_status (*reserve)(void *user, const char *doc_id, struct mf_transaction *transaction, struct mf_key_answer *out, struct mf_error *error);
	void (*release)(void *user, struct mf_reservation *reservation);
	/* Accept a batch: one atomic unit. mode: MF_COMMIT_MEMORY_ONLY = the configured default, else at least this.
	 * On success *out_ticket is a reference. MF_ERR_BUSY: a proposal's generation is old: start again from the committed state. */
	enum mf_status (*commit)(void *user, struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error);
	uint64_t (*generation)(void *user);
	/* The document's state at at_lsn, from snapshot and events. INT64_MAX: the newest, of a document that is held from now on, until forget.
	 * MF_LSN_NEWEST_TO_LOOK_AT: the newest, and nothing is to be kept of it. Unknown document: a new state. */
	enum mf_status (*recover)(void *user, const char *doc_id, int64_t at_lsn, struct mf_state **out, struct mf_recovery_report *out_report, struct mf_error *error);
	/* Are all step types here that the store needs? MF_ERR_UNKNOWN_STEP lists every missing one with count and first LSN. */
	enum mf_status (*preflight)(void *user, struct mf_error *error);
	enum mf_status (*snapshot)(void *user, const char *doc_id, const struct mf_state *state, int64_t *out_upto_lsn, struct mf_error *error); /* now, in the caller */
	enum mf_status (*compact)(void *user, const char *doc_id, int64_t *out_upto_lsn, struct mf_error *error);
	struct mf_store *(*store)(void *user); /* borrowed, for reading */
	/* Drain: everything accepted is stored (and synced if durable) or has failed with an error. */
	enum mf_status (*drain)(void *user, int64_t timeout_ms, struct mf_error *error);
	/* Called when a snapshot was stored or failed, from any thread, but never from inside recover, which a handler may call; NULL =
	 * nobody listens. Set before the first commit. */
	void (*on_snapshot)(void *user, void (*notify)(void *notify_user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error), void *notify_user);
	/* The document was let go from memory, and so may what is kept for it; it may have been recovered again meanwhile. NULL: nothing is kept. */
	void (*forget)(void *user, const char *doc_id);
	/* What it has done and how fast (metrics.h); out->size is set by the caller. NULL: nothing is counted. */
	enum mf_status (*metrics)(void *user, struct mf_metrics *out, struct mf_error *error);
	/* Where followers read what they missed; borrowed until the committer leaves the bus. NULL, or returns NULL: nowhere. */
	const struct mf_event_source *(*event_source)(void *user);
	/* As compact, but keep (1 or more) snapshots of the document instead of the configured number. NULL: it cannot be asked for. */
	enum mf_status (*compact_keep)(void *user, const char *doc_id, uint32_t keep, int64_t *out_upto_lsn, struct mf_error *error);
};

#ifdef __cplusplus
}
#endif
