/* moduforge/runtime.h - the one door: open from a configuration, commit, read, undo, close.
 *
 *   struct mf_runtime_options options = { .config_path = "plugins.json" };
 *   mf_runtime_open(&options, &runtime, &error);
 *   mf_transaction_new(&tr); mf_transaction_add_json(tr, mf_runtime_steps(runtime), "insert_node", json, &error);
 *   mf_runtime_commit(runtime, "doc", tr, &lsn, &error);
 *   mf_transaction_free(tr);
 *   mf_runtime_close(runtime, MF_WAIT_FOREVER, &error);
 *
 * What commit has returned is stored as the commit mode promises, visible to mf_runtime_state, and delivered to
 * synchronous followers. doc_id NULL is the configuration's default_doc_id.
 *
 * Thread: any, any number. Not from inside a handler or guard (MF_ERR_STATE), nor in a child after fork (MF_ERR_STATE); nor does
 * a child open one on files whose parent had one open when it forked, but after exec. */
#pragma once

#include <moduforge/follow.h>
#include <moduforge/health.h>
#include <moduforge/log.h>
#include <moduforge/persist.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_runtime;

struct mf_runtime_options {
	const char *config_path; /* plugins.json */
	const char *data_dir;    /* overrides store.dir; NULL = the configuration's */
	const char *mode;        /* overrides commit_mode: "memory", "async", "async:MS", "sync"; NULL = the configuration's */
	bool read_only;          /* no lock, no writes: beside a writer in another process */
	bool accept_damage;      /* see mf_sqlite_options */
	const char *plugin_path; /* MF_PLUGIN_PATH instead of the environment's; NULL = the environment's */
	/* For a stream whose later transactions mean something only after the earlier ones: once an accepted one could not be
	 * stored, every later one is MF_ERR_BUSY, until the runtime is opened anew. Else what is submitted after the failure
	 * builds on the committed state. */
	bool stop_at_failure;
	mf_log *log; /* what a person should hear of (log.h); NULL = silent */
	void *log_user;
};

MF_API MF_MUST_CHECK enum mf_status mf_runtime_open(const struct mf_runtime_options *options, struct mf_runtime **out, struct mf_error *error);
/* Drains, gives followers with a thread up to 10 seconds (and no more than timeout_ms) to see what is committed, ends
 * them, stops the plugins in reverse order, frees; NULL is fine. After MF_ERR_TIMEOUT the runtime is still open, after any other
 * error it is not. MF_ERR_PLUGIN: a plugin or a follower's handler did not stop in time; what it may still use is kept for ever.
 * After such a handler no plugin is stopped, and the store stays open, locked by this process; everything committed is in it. Nothing of it
 * calls the application any more, but for that handler's own calls.
 * No other call may be in flight, or come later, but those that followers make. */
MF_API enum mf_status mf_runtime_close(struct mf_runtime *runtime, int64_t timeout_ms, struct mf_error *error);

MF_API const struct mf_step_registry *mf_runtime_steps(const struct mf_runtime *runtime);
MF_API struct mf_bus *mf_runtime_bus(struct mf_runtime *runtime);
MF_API struct mf_store *mf_runtime_store(struct mf_runtime *runtime); /* for reading */
MF_API const char *mf_runtime_default_doc(const struct mf_runtime *runtime);

/* The committed state, a reference. A document that nobody wrote is a new state (LSN 0). */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_state(struct mf_runtime *runtime, const char *doc_id, struct mf_state **out, struct mf_error *error);
/* The state just after at_lsn (1 or more; INT64_MAX: the newest), from the store. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_state_at(struct mf_runtime *runtime, const char *doc_id, int64_t at_lsn, struct mf_state **out, struct mf_recovery_report *out_report, struct mf_error *error);

/* Once handed over a transaction is sealed: it can be read, freed, and (if it ended absent or unknown) handed over again.
 * MF_ERR_DUPLICATE_KEY: error->lsn is the LSN first given, error->same whether the content is the same. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_commit(struct mf_runtime *runtime, const char *doc_id, struct mf_transaction *transaction, int64_t *out_lsn, struct mf_error *error);
/* Checked, applied and in order when it returns; the ticket tells the rest. mode: MF_COMMIT_MEMORY_ONLY = the default. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_submit(struct mf_runtime *runtime, const char *doc_id, struct mf_transaction *transaction, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error);

struct mf_batch_item {
	const char *doc_id;
	struct mf_transaction *transaction;
};
/* One atomic unit, over one or several documents: all events with consecutive LSNs, or none. The ticket's LSN is the last one.
 * A key that is known (or comes twice) refuses the whole batch and names the item. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_submit_batch(struct mf_runtime *runtime, const struct mf_batch_item *items, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error);

/* The newest n entries, as n events in one batch. actor and key may be NULL; key needs n == 1. MF_ERR_STATE: fewer than n. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_undo(struct mf_runtime *runtime, const char *doc_id, size_t n, const char *actor, const char *key, int64_t *out_lsn, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_runtime_redo(struct mf_runtime *runtime, const char *doc_id, size_t n, const char *actor, const char *key, int64_t *out_lsn, struct mf_error *error);
/* The general form: with meta, expect and mode of the transaction prepared by mf_transaction_set_..., without steps. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_submit_undo(struct mf_runtime *runtime, const char *doc_id, enum mf_action action, struct mf_transaction *request, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error);

MF_API MF_MUST_CHECK enum mf_status mf_runtime_snapshot(struct mf_runtime *runtime, const char *doc_id, int64_t *out_upto_lsn, struct mf_error *error);
/* Deletes the events up to the oldest of the keep_snapshots newest snapshots, proved first; *out_upto_lsn is that LSN, 0: there are
 * fewer. The space is used again; mf_runtime_vacuum gives it back to the file system. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_compact(struct mf_runtime *runtime, const char *doc_id, int64_t *out_upto_lsn, struct mf_error *error);
/* The same with the keep newest (1 to 1000) instead of the configured number, for this call: keep 1 compacts to the newest snapshot. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_compact_keep(struct mf_runtime *runtime, const char *doc_id, uint32_t keep, int64_t *out_upto_lsn, struct mf_error *error);
/* Rewrites the database without its unused space. Commits wait meanwhile, and it may need as much room again for a while. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_vacuum(struct mf_runtime *runtime, struct mf_error *error);

/* What this process has done with its store; a read-only runtime gives mf_store_metrics. out->size is set by the caller. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_metrics(struct mf_runtime *runtime, struct mf_metrics *out, struct mf_error *error);

/* mf_check_storage_health of the runtime's store, with what bus and runtime know. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_health(struct mf_runtime *runtime, const struct mf_health_options *options, mf_health_visit *visit, void *user,
						      struct mf_health_report *out, struct mf_error *error);

/* ---- followers at their own pace (follow.h) ---- */
/* Sees every event from the first on, or as the options say. MF_ERR_STATE: the runtime only reads. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_follow(struct mf_runtime *runtime, const struct mf_follow_options *options, mf_event_handler *handler, void *user, uint64_t *out_id, struct mf_error *error);
/* Waits for the call under way, no longer than timeout_ms (MF_ERR_TIMEOUT), and saves its checkpoint; MF_ERR_NOT_FOUND. */
MF_API MF_MUST_CHECK enum mf_status mf_runtime_unfollow(struct mf_runtime *runtime, uint64_t id, int64_t timeout_ms, struct mf_error *error);
/* For followers on the application's loop: as mf_bus_fd and mf_bus_dispatch. -1 also in a child after fork. */
MF_API int mf_runtime_get_fd(struct mf_runtime *runtime);
MF_API MF_MUST_CHECK enum mf_status mf_runtime_dispatch(struct mf_runtime *runtime, size_t max_events, struct mf_error *error);

struct mf_plugin_info {
	const char *name, *version, *summary, *path;
	const char *state; /* "started", "skipped" */
	const char *message; /* why it was skipped; else "" */
	bool required;
};
MF_API void mf_runtime_plugins(struct mf_runtime *runtime, bool (*visit)(void *user, const struct mf_plugin_info *info), void *user);

#ifdef __cplusplus
}
#endif
