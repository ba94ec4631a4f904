/* snapshotter.h - takes the snapshots that the policy finds due, on a thread of its own.
 *
 * The thread starts with the first job. One job a document at most: a newer state replaces the one that waits.
 * States are immutable, so nothing is held up while they are written. A snapshot builds on the one before, where
 * that pays (snapshot_bases.h); when it is stored, older ones that are not needed any more go.
 *
 * Thread: any. */
#pragma once

#include <moduforge/persist.h>

struct mf_recorder;
struct mf_snapshotter;

struct mf_snapshotter_options {
	struct mf_store *store;
	const struct mf_persist_options *persist; /* borrowed */
	/* A job has ended: error NULL = stored. From the thread. */
	void (*ended)(void *user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error);
	void *user;
	struct mf_recorder *recorder; /* may be NULL */
};

enum mf_status mf_snapshotter_new(const struct mf_snapshotter_options *options, struct mf_snapshotter **out);
/* Never waits, and calls nobody: a recovery in a handler adds too. MF_ERR_BUSY: as many wait as may. */
MF_MUST_CHECK enum mf_status mf_snapshotter_add(struct mf_snapshotter *snapshotter, const char *doc_id, const struct mf_state *state, struct mf_error *error);
/* One snapshot, here and now; serialised with the thread's. */
enum mf_status mf_snapshotter_take(struct mf_snapshotter *snapshotter, const char *doc_id, const struct mf_state *state, struct mf_error *error);
/* The document was let go: its next snapshot is whole, unless a job of it is stored after this; who ends that forgets once more. */
void mf_snapshotter_forget(struct mf_snapshotter *snapshotter, const char *doc_id);
/* Compaction and snapshots do not run at the same time. */
void mf_snapshotter_lock(struct mf_snapshotter *snapshotter);
void mf_snapshotter_unlock(struct mf_snapshotter *snapshotter);
/* Drops the jobs that wait and waits for the one at work. MF_ERR_TIMEOUT: it still works, and more can be added. */
enum mf_status mf_snapshotter_stop(struct mf_snapshotter *snapshotter, int64_t timeout_ms, struct mf_error *error);
void mf_snapshotter_free(struct mf_snapshotter *snapshotter); /* stopped. NULL is fine */
