/* moduforge/persist.h - the snapshot subscriber: every transaction into the store,
 * snapshots by policy; and recovery of a state from them.
 *
 * snapshot_subscriber.so and mf_runtime are thin glue over this header; a C
 * program can use it alone (docs/embedding.md; examples/embed/bare_walk.c is a whole one):
 *
 *   mf_step_registry_load(registry, ".../node_steps.so", &error);      plugin.h; then freeze the registry
 *   mf_store_open_sqlite(&sqlite_options, &store, &error);
 *   mf_snapshot_subscriber_new(store, &options, registry, &subscriber, &error);
 *   mf_bus_set_committer(bus, mf_snapshot_subscriber_committer(subscriber), &error);
 *   committer->preflight, committer->recover                             before the first proposal
 *   committer->reserve, mf_state_apply, mf_bus_commit, mf_ticket_wait     for each transaction
 *   mf_snapshot_subscriber_close, mf_bus_free, mf_step_registry_free     in this order
 *
 * mf_bus_commit does not publish: the proposal's done does, with mf_bus_publish. */
#pragma once

#include <moduforge/committer.h>
#include <moduforge/log.h>
#include <moduforge/metrics.h>
#include <moduforge/store.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_commit_mode {
	enum mf_commit_kind kind;
	uint32_t group_window_ms; /* async: the most that a power loss may take, plus one sync. 0 to 60000 */
};

enum mf_strategy { MF_STRATEGY_FIXED, MF_STRATEGY_ADAPTIVE };

struct mf_persist_options {
	size_t size;
	struct mf_commit_mode commit_mode;      /* async, 10 ms */
	uint64_t snapshot_every_n_events;       /* 1000; 0 = off */
	uint64_t snapshot_every_bytes;          /* 100,000,000 of payload; 0 = off */
	uint64_t snapshot_every_ms;             /* 300,000; 0 = off */
	enum mf_strategy strategy;              /* fixed */
	uint64_t recovery_target_ms;            /* 0 = off */
	uint32_t keep_snapshots;                /* 2 */
	uint32_t full_snapshot_every;           /* 8 */
	bool compression;                       /* true */
	int compression_level;                  /* 3; 1 to 19 */
	uint32_t compression_threshold;         /* 1024: only payloads larger than this */
	uint32_t history_limit;                 /* 1000 */
	uint32_t recovery_batch;                /* 1000 events a page */
	const struct mf_env *env;               /* opaque; NULL */
	struct mf_logger logger;                /* silent */
	bool metrics;                           /* true: count and measure (metrics.h) */
	uint64_t fallback_max_events;           /* 1,000,000: to be replayed when the newest snapshot cannot be used; 0 = no limit */
};
MF_API void mf_persist_options_init(struct mf_persist_options *options); /* the defaults above */

/* Counters since a document's last snapshot. */
struct mf_snapshot_counters {
	uint64_t events_since, bytes_since;
	int64_t last_snapshot_ms, now_ms; /* on one monotonic clock */
};
MF_API bool mf_should_snapshot(const struct mf_persist_options *options, const struct mf_snapshot_counters *counters);

/* ---- the snapshot subscriber ---- */
struct mf_snapshot_subscriber;
/* Takes the store on success only. registry must outlive the subscriber. A memory store needs mode memory_only,
 * a durable store a durable mode (else MF_ERR_INVALID). Starts the store's one background thread. */
MF_API MF_MUST_CHECK enum mf_status mf_snapshot_subscriber_new(struct mf_store *store, const struct mf_persist_options *options,
							       const struct mf_step_registry *registry, struct mf_snapshot_subscriber **out, struct mf_error *error);
MF_API const struct mf_committer *mf_snapshot_subscriber_committer(struct mf_snapshot_subscriber *subscriber);
/* Drains (timeout_ms, then MF_ERR_TIMEOUT and nothing is closed), syncs, closes the store, frees the subscriber. */
MF_API enum mf_status mf_snapshot_subscriber_close(struct mf_snapshot_subscriber *subscriber, int64_t timeout_ms, struct mf_error *error);

/* ---- recovery ---- */
struct mf_recovery_options {
	uint32_t batch;         /* events a page; 0 = 1000 */
	uint32_t history_limit; /* 0 = 1000 */
	int64_t at_lsn;         /* 0 = the newest; else the state just after this LSN */
	bool want_digest;
	uint64_t fallback_max_events; /* to be replayed when the newest snapshot cannot be used (else MF_ERR_CORRUPTED); 0 = 1,000,000; UINT64_MAX: no limit */
};
/* Newest valid snapshot plus every later event, through the step factories. A document without events is a new state. */
MF_API MF_MUST_CHECK enum mf_status mf_recover_state(struct mf_store *store, const char *doc_id, const struct mf_step_registry *registry,
						     const struct mf_recovery_options *options, struct mf_state **out, struct mf_recovery_report *out_report,
						     struct mf_error *error);

/* Tells the logger, at level warning, what of a report a person should hear: snapshots that were passed over and why,
 * undo entries and state fields that could not be read. */
MF_API void mf_recovery_warn(const struct mf_recovery_report *report, const char *doc_id, const struct mf_logger *logger);

/* Does the registry have every step type that the documents' events after their newest snapshots need? MF_ERR_UNKNOWN_STEP
 * lists the missing ones with counts and first LSN. Reads those events (type ids only). */
MF_API MF_MUST_CHECK enum mf_status mf_preflight(struct mf_store *store, const struct mf_step_registry *registry, struct mf_error *error);

/* The steps of a stored event, decoded through the registry, as a transaction (id, actor, key, meta, action, source_lsn set). */
MF_API MF_MUST_CHECK enum mf_status mf_event_decode(const struct mf_event *event, const struct mf_step_registry *registry, struct mf_transaction **out, struct mf_error *error);
/* The other way: fills tr_id, action, source_lsn, actor, key, meta, payload. *out_memory holds what the event points to: mf_free it. */
MF_API MF_MUST_CHECK enum mf_status mf_event_encode(const char *doc_id, const struct mf_transaction *transaction, const struct mf_persist_options *options,
						    struct mf_event *out, void **out_memory, struct mf_error *error);
/* Appends one JSON object, as `mf log` prints it, without a newline: {"lsn","epoch","doc","key","tr_id","time" (RFC 3339),
 * "ts_us","actor","action","source_lsn","meta","steps":[{"type_id","data"}]}. transaction NULL: "steps" is null, and
 * "payload" has the stored bytes in hexadecimal. MF_ERR_NO_MEMORY, or what a step's to_value says: out is as before. */
MF_API MF_MUST_CHECK enum mf_status mf_event_to_json(const struct mf_event *event, const struct mf_transaction *transaction, struct mf_buffer *out, struct mf_error *error);
/* A snapshot of a state, to be given to mf_store_write_snapshot; mf_snapshot_deinit it. */
MF_API MF_MUST_CHECK enum mf_status mf_snapshot_encode(const char *doc_id, const struct mf_state *state, const struct mf_persist_options *options,
						       struct mf_snapshot *out, struct mf_error *error);
/* Checked: checksum, format, digest. MF_ERR_CORRUPTED; MF_ERR_UNKNOWN_STEP. MF_ERR_INVALID: it is incremental (base_lsn is not 0). */
MF_API MF_MUST_CHECK enum mf_status mf_snapshot_decode(const struct mf_snapshot *snapshot, const struct mf_step_registry *registry, size_t history_limit,
						       struct mf_state **out, struct mf_error *error);
/* The same for any snapshot of the store: what an incremental one builds on is read from there. MF_ERR_BUSY: what it
 * builds on was deleted meanwhile, since there are newer ones. */
MF_API MF_MUST_CHECK enum mf_status mf_snapshot_load(struct mf_store *store, const struct mf_snapshot *snapshot, const struct mf_step_registry *registry, size_t history_limit,
						     struct mf_state **out, struct mf_error *error);

#ifdef __cplusplus
}
#endif
