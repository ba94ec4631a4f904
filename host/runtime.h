/* runtime.h - the rooms of mf_runtime: runtime.c opens and closes, documents.c holds the loaded
 * documents, commit.c is the walk of a transaction, undo.c makes its requests for the stacks. */
#pragma once

#include <sys/types.h>

#include <moduforge/runtime.h>

#include "host/documents.h"

struct mf_plugin_set;

struct mf_runtime {
	struct mf_bus *bus;
	struct mf_step_registry *registry;
	struct mf_plugin_set *plugins;
	const struct mf_committer *committer; /* borrowed from its plugin */
	struct mf_documents documents;
	pthread_mutex_t publish_lock; /* events in LSN order, notices between them; guards published_end */
	bool published_end;           /* MF_NOTICE_CLOSE: nothing comes after it */
	unsigned generation;          /* of forks: a child is not the writer */
	bool read_only, started;
	bool stop_at_failure;
	uint64_t first_generation; /* the committer's, at the opening */
	atomic_bool closed;
	_Atomic uint64_t errors[MF_STATUS_COUNT]; /* transactions that ended so, by status */
	struct mf_logger logger; /* what everybody is given: writes to the application's */
	struct mf_logger application;
	atomic_int logging;      /* calls of it under way */
	atomic_bool silent;      /* closed, but something still runs in it: nothing is logged any more */
	bool followers_busy; /* at the closing: a handler did not return */
	struct mf_runtime *next_kept; /* closed, but a plugin is still at work in it */
};

/* Not in a child after fork. */
enum mf_status mf_runtime_check_process(const struct mf_runtime *runtime, struct mf_error *error);
/* This, and open; to write: also not read-only, and not from inside a callback. */
enum mf_status mf_runtime_check(struct mf_runtime *runtime, bool to_write, struct mf_error *error);
/* doc_id NULL is the default one. Loaded and announced; the caller is a user of it. */
enum mf_status mf_runtime_get_document(struct mf_runtime *runtime, const char *doc_id, struct mf_document **out, struct mf_error *error);
const char *mf_runtime_doc_id(const struct mf_runtime *runtime, const char *doc_id);
/* A transaction ended otherwise than committed. */
void mf_runtime_count_error(struct mf_runtime *runtime, enum mf_status status);
/* Events from done, notices from anywhere but a callback. */
void mf_runtime_publish(struct mf_runtime *runtime, const struct mf_publication *publication);

/* ---- followers.c ---- */
bool mf_runtime_inside_follower(const struct mf_runtime *runtime);
/* Lets those with a thread see what is committed, then ends all. MF_ERR_TIMEOUT: a handler is still in its call. */
enum mf_status mf_runtime_end_followers(struct mf_runtime *runtime, int64_t timeout_ms, struct mf_error *error);
