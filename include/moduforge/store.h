/* moduforge/store.h - the event store: an append-only log, snapshots, and keys.
 *
 * The interface is small and synchronous. Commit modes, groups, tickets and
 * policy live once, above it (persist.h), so a new backend is a few hundred
 * lines and inherits them.
 *
 * Invariants of every backend
 * 1. append_batch is atomic: all events with consecutive LSNs, or none. LSNs
 *    start at 1 and have no gaps.
 * 2. An error other than MF_ERR_UNKNOWN_OUTCOME means: nothing was stored. After
 *    MF_ERR_UNKNOWN_OUTCOME every further write is refused until the store is reopened; reads go on.
 * 3. Every event and snapshot that is read has been checked against its checksum;
 *    one that does not fit is MF_ERR_CORRUPTED with document and LSN, never skipped.
 * 4. idempotency keys are unique for the life of the store, compaction included.
 *
 * Thread: every function may be called from any thread; the store serialises writers itself, and
 * sync may run beside append_batch. close needs that no other call is in flight. */
#pragma once

#include <moduforge/event.h>
#include <moduforge/log.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_store;
struct mf_env; /* opaque; NULL: the operating system's clock, randomness and files */

struct mf_key_info {
	int64_t lsn;              /* first given */
	uint8_t content_hash[16]; /* XXH3-128 of document, operation and encoded steps */
};

struct mf_document_info {
	const char *doc_id;
	int64_t last_lsn;
	int64_t events;        /* stored now (compaction takes some away) */
	int64_t snapshots;
};
struct mf_snapshot_info {
	const char *doc_id;
	int64_t upto_lsn, created_at, bytes;
	int32_t version;
	int64_t base_lsn; /* of the snapshot that it builds on; 0: none, it is whole */
};
/* Listings call back in order of doc_id (then newest first); the info is borrowed for the call; stop by returning false. */
typedef bool mf_document_visit(void *user, const struct mf_document_info *info);
typedef bool mf_snapshot_visit(void *user, const struct mf_snapshot_info *info);

struct mf_store_stats {
	int64_t last_lsn;     /* newest event that is stored */
	int64_t synced_lsn;   /* newest event known to be on the device; read-only: the writer's watermark, read at each call, never above last_lsn */
	int64_t epoch;        /* of this opening; of the newest one when read-only */
	int64_t events, snapshots, documents;
	int64_t bytes;        /* on disk, log included */
	int64_t log_pages;    /* of the write-ahead log that are not yet checkpointed */
	int64_t log_checkpoints; /* made since this opening: log moved into the database */
	int64_t log_bytes;    /* of the log's file */
	int64_t free_bytes;   /* on the device, for this user; negative: not known, or there is none */
	enum mf_status writing; /* MF_OK; MF_ERR_STORAGE_FULL: the last write found no room; MF_ERR_IO: stopped until it is reopened */
	int64_t openings;     /* for writing so far, this one included; 0: not counted. Epochs may leave numbers out */
};

/* How far a follower has come: it has seen every event up to lsn that the store held in epoch. */
struct mf_checkpoint {
	const char *name; /* of the follower, 1 to MF_ID_MAX bytes */
	int64_t epoch, lsn;
};
typedef bool mf_checkpoint_visit(void *user, const struct mf_checkpoint *checkpoint);

/* One finding of verify. */
struct mf_damage {
	const char *what;     /* "event", "snapshot", "key", "index", "chain", "watermark", "follower", "database" */
	const char *doc_id;   /* or NULL */
	int64_t lsn;          /* or 0 */
	const char *message;
};
typedef void mf_damage_visit(void *user, const struct mf_damage *damage);

/* moduforge/backup.h tells of these. */
struct mf_backup_info {
	int64_t lsn;       /* it holds every event up to here, and none above */
	int64_t epoch;     /* of the store's opening then */
	int64_t time_us;   /* when it was complete, since 1970 UTC */
	int64_t events, documents;
	int64_t bytes;     /* of the file */
};
typedef bool mf_backup_progress(void *user, int64_t done_bytes, int64_t total_bytes); /* false: stop */

/* What a backend implements. user data of a backend: embed struct mf_store as the first member. */
struct mf_store_ops {
	size_t size;
	const char *name;
	bool durable; /* false: nothing survives the process */
	/* Sets lsn, epoch, prev_lsn and checksum of each event. MF_ERR_DUPLICATE_KEY names the index in the message. */
	enum mf_status (*append_batch)(struct mf_store *store, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error);
	/* Makes everything appended before the call durable; *out_synced_lsn says up to where. Failure is final (MF_ERR_UNKNOWN_OUTCOME). */
	enum mf_status (*sync)(struct mf_store *store, int64_t *out_synced_lsn, struct mf_error *error);
	/* Housekeeping that may take a while and is due now and then (a checkpoint): call it off the caller's path. */
	enum mf_status (*maintain)(struct mf_store *store, struct mf_error *error);
	/* Events of doc_id (NULL = of all documents) with lsn > from_lsn, at most limit, and at most about 16 MiB but at least one. */
	enum mf_status (*load_since)(struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error);
	enum mf_status (*last_lsn)(struct mf_store *store, const char *doc_id, int64_t *out_lsn, struct mf_error *error); /* 0 for an unknown document */
	enum mf_status (*find_key)(struct mf_store *store, const char *key, struct mf_key_info *out, struct mf_error *error); /* MF_ERR_NOT_FOUND */
	/* Newest with upto_lsn <= at_most; MF_ERR_NOT_FOUND if there is none. MF_ERR_CORRUPTED: error->lsn is the damaged one's
	 * upto_lsn, so the one before it can be asked for. */
	enum mf_status (*latest_snapshot)(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error);
	/* Chunks 0, 1, 2 ... of one snapshot, each its own short transaction; nothing is visible before finish.
	 * finish gets the snapshot with the whole blob when no chunk was written, else with state_len = the total and state_blob NULL.
	 * MF_ERR_NOT_FOUND: it has a base, which is not stored. */
	enum mf_status (*snapshot_chunk)(struct mf_store *store, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error);
	enum mf_status (*snapshot_finish)(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_error *error);
	/* Delete the document's events <= upto_lsn and its snapshots < upto_lsn that no later one builds on; keys stay. upto_lsn must
	 * be that of a stored snapshot. */
	enum mf_status (*compact)(struct mf_store *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error);
	enum mf_status (*documents)(struct mf_store *store, mf_document_visit *visit, void *user, struct mf_error *error);
	enum mf_status (*snapshots)(struct mf_store *store, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error); /* doc_id NULL = all */
	/* Everything that can be checked; calls visit, which is not NULL, for each finding. MF_ERR_CORRUPTED: there was one; MF_ERR_IO: and something could not
	 * be read, so that what was found may not be there. */
	enum mf_status (*verify)(struct mf_store *store, mf_damage_visit *visit, void *user, struct mf_error *error);
	enum mf_status (*stats)(struct mf_store *store, struct mf_store_stats *out, struct mf_error *error);
	enum mf_status (*close)(struct mf_store *store, struct mf_error *error); /* frees the store whatever it returns */
	/* The checkpoint that a follower of that name has saved; out's name is the caller's. MF_ERR_NOT_FOUND: none.
	 * MF_ERR_CORRUPTED: it does not fit its checksum. */
	enum mf_status (*load_checkpoint)(struct mf_store *store, const char *name, struct mf_checkpoint *out, struct mf_error *error);
	/* Replaces it, in a short transaction without a sync of its own: one that is lost in a crash is only older. */
	enum mf_status (*save_checkpoint)(struct mf_store *store, const struct mf_checkpoint *checkpoint, struct mf_error *error);
	enum mf_status (*checkpoints)(struct mf_store *store, mf_checkpoint_visit *visit, void *user, struct mf_error *error); /* in order of name */
	/* The last LSN that was given before an opening newer than epoch: what came behind it in epoch was lost in a crash.
	 * INT64_MAX: there is no newer one. */
	enum mf_status (*epoch_end)(struct mf_store *store, int64_t epoch, int64_t *out_lsn, struct mf_error *error);
	/* The whole store as one file; see moduforge/backup.h. NULL: this backend has none. */
	enum mf_status (*backup)(struct mf_store *store, const char *path, mf_backup_progress *progress, void *user, struct mf_backup_info *out, struct mf_error *error);
	/* Counters beside the data, no part of it: one line of text, replaced as a whole, never synced. One thread at a time. NULL: not kept.
	 * load: into an empty buffer; MF_ERR_NOT_FOUND: none were saved. */
	enum mf_status (*save_metrics)(struct mf_store *store, const void *text, size_t len, struct mf_error *error);
	enum mf_status (*load_metrics)(struct mf_store *store, struct mf_buffer *out, struct mf_error *error);
	/* Delete the document's snapshots but the keep newest, those that they build on, and the one that the events which
	 * compaction left follow on. Events stay. Short transactions; what a crash leaves goes the next time. */
	enum mf_status (*prune_snapshots)(struct mf_store *store, const char *doc_id, uint32_t keep, struct mf_error *error);
	/* Gives unused space back to the file system. Commits wait meanwhile, and it may need as much room again for a while. */
	enum mf_status (*vacuum)(struct mf_store *store, struct mf_error *error);
};
struct mf_store {
	const struct mf_store_ops *ops;
};

/* ---- the calls, for any backend ---- */
MF_API MF_MUST_CHECK enum mf_status mf_store_append(struct mf_store *store, struct mf_event *event, int64_t *out_lsn, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_append_batch(struct mf_store *store, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_sync(struct mf_store *store, int64_t *out_synced_lsn, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_load_since(struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_latest_snapshot(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_write_snapshot(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_error *error); /* in chunks of at most 1 MiB */
MF_API MF_MUST_CHECK enum mf_status mf_store_compact(struct mf_store *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_prune_snapshots(struct mf_store *store, const char *doc_id, uint32_t keep, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_vacuum(struct mf_store *store, struct mf_error *error);
/* visit NULL: the result alone is told. */
MF_API MF_MUST_CHECK enum mf_status mf_store_verify(struct mf_store *store, mf_damage_visit *visit, void *user, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_stats(struct mf_store *store, struct mf_store_stats *out, struct mf_error *error);
/* MF_ERR_INVALID also for a backend that keeps no checkpoints. visit of a list is not NULL. */
MF_API MF_MUST_CHECK enum mf_status mf_store_load_checkpoint(struct mf_store *store, const char *name, struct mf_checkpoint *out, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_save_checkpoint(struct mf_store *store, const struct mf_checkpoint *checkpoint, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_checkpoints(struct mf_store *store, mf_checkpoint_visit *visit, void *user, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_epoch_end(struct mf_store *store, int64_t epoch, int64_t *out_lsn, struct mf_error *error);
MF_API enum mf_status mf_store_close(struct mf_store *store, struct mf_error *error); /* NULL is fine */

/* ---- backends ---- */
struct mf_sqlite_options {
	const char *dir;         /* created (one level) if absent, unless read_only */
	bool read_only;          /* no lock, no write, beside a writer in another process */
	bool accept_damage;      /* open a store below its watermark all the same: to verify or salvage it; not read_only: the loss is accepted, and recorded */
	uint32_t checkpoint_pages; /* checkpoint when the log has this many pages; 0 = 1000 */
	const struct mf_env *env;
	struct mf_logger logger; /* silent by default */
};
/* MF_ERR_LOCKED: another writer. MF_ERR_CORRUPTED {expected, found}: less in it than its watermark says.
 * MF_ERR_NOT_FOUND: read_only and there is no store. MF_ERR_INVALID: not a store of ours, or of a newer version.
 * MF_ERR_STATE: in a child of fork whose parent (or the parent of that) had such a store open then; after exec it is opened. */
MF_API MF_MUST_CHECK enum mf_status mf_store_open_sqlite(const struct mf_sqlite_options *options, struct mf_store **out, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_store_open_memory(const struct mf_env *env, struct mf_store **out, struct mf_error *error);

#ifdef __cplusplus
}
#endif
