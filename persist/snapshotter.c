/* snapshotter.c - see persist/snapshotter.h. */
#include "persist/snapshotter.h"

#include <string.h>

#include "model/mem.h"
#include "model/probes.h"
#include "model/thread.h"
#include "persist/env.h"
#include "persist/metrics.h"
#include "persist/record.h"
#include "persist/snapshot_bases.h"
#include "persist/ticket.h"
#include <moduforge/value.h>

#define JOBS_MAX 64

struct job {
	struct job *next;
	struct mf_state *state;
	char doc_id[];
};

struct mf_snapshotter {
	struct mf_snapshotter_options options;
	struct mf_snapshot_bases *bases;
	pthread_mutex_t writing; /* one snapshot or compaction at a time; taken before mutex */
	pthread_mutex_t mutex;   /* guards what follows */
	pthread_cond_t changed;
	struct job *head, **tail;
	size_t count;
	bool running, working, paused, ending;
	pthread_t thread;
};

enum mf_status mf_snapshotter_new(const struct mf_snapshotter_options *options, struct mf_snapshotter **out)
{
	struct mf_snapshotter *snapshotter = mf_calloc(1, sizeof(*snapshotter));
	if (!snapshotter)
		return MF_ERR_NO_MEMORY;
	if (mf_snapshot_bases_new(options->persist, &snapshotter->bases) != MF_OK) {
		mf_free(snapshotter);
		return MF_ERR_NO_MEMORY;
	}
	mf_cond_init(&snapshotter->changed);
	pthread_mutex_init(&snapshotter->writing, NULL);
	pthread_mutex_init(&snapshotter->mutex, NULL);
	snapshotter->options = *options;
	snapshotter->tail = &snapshotter->head;
	*out = snapshotter;
	return MF_OK;
}

void mf_snapshotter_free(struct mf_snapshotter *snapshotter)
{
	if (!snapshotter)
		return;
	pthread_mutex_destroy(&snapshotter->mutex);
	pthread_mutex_destroy(&snapshotter->writing);
	mf_cond_destroy(&snapshotter->changed);
	mf_snapshot_bases_free(snapshotter->bases);
	mf_free(snapshotter);
}

void mf_snapshotter_lock(struct mf_snapshotter *snapshotter)
{
	pthread_mutex_lock(&snapshotter->writing);
}

void mf_snapshotter_unlock(struct mf_snapshotter *snapshotter)
{
	pthread_mutex_unlock(&snapshotter->writing);
}

/* ---- the work ---- */

static const struct mf_env *env_of(const struct mf_snapshotter *snapshotter)
{
	return mf_env_or_default(snapshotter->options.persist->env);
}

static enum mf_status encode_on(const struct mf_snapshotter *snapshotter, const char *doc_id, const struct mf_state *state, struct mf_snapshot *out, bool *out_fits,
				struct mf_error *error)
{
	struct mf_snapshot_base base;
	*out_fits = false;
	if (!mf_snapshot_bases_get(snapshotter->bases, doc_id, mf_state_lsn(state), &base))
		return MF_OK;
	enum mf_status status = mf_snapshot_encode_on(doc_id, &base, state, snapshotter->options.persist, out, out_fits, error);
	mf_state_unref((struct mf_state *)base.state);
	return status;
}

/* writing held. Incremental if it can be: MF_ERR_NOT_FOUND then says that its base has gone meanwhile. */
static enum mf_status store_snapshot(struct mf_snapshotter *snapshotter, const char *doc_id, const struct mf_state *state, bool whole, struct mf_snapshot *out, struct mf_error *error)
{
	struct mf_snapshot snapshot;
	bool fits = false;
	enum mf_status status = whole ? MF_OK : encode_on(snapshotter, doc_id, state, &snapshot, &fits, error);
	if (status == MF_OK && !fits)
		status = mf_snapshot_encode(doc_id, state, snapshotter->options.persist, &snapshot, error);
	if (status != MF_OK)
		return status;
	status = mf_store_write_snapshot(snapshotter->options.store, &snapshot, error);
	if (status == MF_OK)
		*out = snapshot;
	else
		mf_snapshot_deinit(&snapshot);
	return status;
}

/* writing held. A snapshot that is stored is stored, whatever becomes of the older ones. */
static void prune(const struct mf_snapshotter *snapshotter, const char *doc_id)
{
	struct mf_store *store = snapshotter->options.store;
	struct mf_error error = {0};
	if (store->ops->prune_snapshots && mf_store_prune_snapshots(store, doc_id, snapshotter->options.persist->keep_snapshots, &error) != MF_OK)
		mf_logf(&snapshotter->options.persist->logger, MF_LOG_WARNING, "document '%.100s': older snapshots could not be deleted, and are tried again after the next one: %s", doc_id,
			error.message);
}

enum mf_status mf_snapshotter_take(struct mf_snapshotter *snapshotter, const char *doc_id, const struct mf_state *state, struct mf_error *error)
{
	struct mf_snapshot snapshot;
	const struct mf_env *env = env_of(snapshotter);
	mf_snapshotter_lock(snapshotter);
	int64_t begun = env->monotonic_us(env->user);
	enum mf_status status = store_snapshot(snapshotter, doc_id, state, false, &snapshot, error);
	if (status == MF_ERR_NOT_FOUND)
		status = store_snapshot(snapshotter, doc_id, state, true, &snapshot, error);
	if (status == MF_OK) {
		int64_t us = env->monotonic_us(env->user) - begun;
		MF_PROBE4(snapshot, doc_id, snapshot.upto_lsn, us, snapshot.state_len);
		mf_recorder_snapshot(snapshotter->options.recorder, us, snapshot.state_len, mf_snapshot_raw_len(&snapshot));
		mf_snapshot_bases_put(snapshotter->bases, &snapshot, state);
		prune(snapshotter, doc_id);
		mf_snapshot_deinit(&snapshot);
	}
	mf_snapshotter_unlock(snapshotter);
	return status;
}

static void free_job(struct job *job)
{
	mf_state_unref(job->state);
	mf_free(job);
}

static void do_job(struct mf_snapshotter *snapshotter, const struct job *job)
{
	struct mf_error error = {0};
	enum mf_status status = mf_snapshotter_take(snapshotter, job->doc_id, job->state, &error);
	if (status != MF_OK && error.status == MF_OK)
		mf_error_set(&error, status, "document '%.100s': the snapshot failed with %s", job->doc_id, mf_status_name(status));
	snapshotter->options.ended(snapshotter->options.user, job->doc_id, mf_state_lsn(job->state), status == MF_OK ? NULL : &error);
}

static struct job *pop(struct mf_snapshotter *snapshotter)
{
	struct job *job = snapshotter->head;
	if (!job)
		return NULL;
	snapshotter->head = job->next;
	if (!snapshotter->head)
		snapshotter->tail = &snapshotter->head;
	snapshotter->count--;
	return job;
}

static void *work(void *argument)
{
	struct mf_snapshotter *snapshotter = argument;
	pthread_mutex_lock(&snapshotter->mutex);
	while (!snapshotter->ending) {
		struct job *job = snapshotter->paused ? NULL : pop(snapshotter);
		if (!job) {
			mf_cond_wait(&snapshotter->changed, &snapshotter->mutex);
			continue;
		}
		snapshotter->working = true;
		pthread_mutex_unlock(&snapshotter->mutex);
		do_job(snapshotter, job);
		free_job(job);
		pthread_mutex_lock(&snapshotter->mutex);
		snapshotter->working = false;
		mf_cond_broadcast(&snapshotter->changed);
	}
	pthread_mutex_unlock(&snapshotter->mutex);
	return NULL;
}

/* ---- adding ---- */

/* Mutex held. The newest state of a document is the one worth keeping. */
static bool replace(struct mf_snapshotter *snapshotter, const char *doc_id, const struct mf_state *state)
{
	struct job *job = snapshotter->head;
	while (job && strcmp(job->doc_id, doc_id) != 0)
		job = job->next;
	if (!job)
		return false;
	mf_state_unref(job->state);
	job->state = mf_state_ref(state);
	return true;
}

/* Mutex held. */
static enum mf_status enqueue(struct mf_snapshotter *snapshotter, const char *doc_id, const struct mf_state *state, struct mf_error *error)
{
	if (replace(snapshotter, doc_id, state))
		return MF_OK;
	if (snapshotter->count >= JOBS_MAX)
		return mf_error_set(error, MF_ERR_BUSY, "document '%.100s': %d snapshots are waiting already", doc_id, JOBS_MAX);
	size_t len = strlen(doc_id) + 1;
	struct job *job = mf_malloc(sizeof(*job) + len);
	if (!job)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "document '%.100s': no memory for a snapshot", doc_id);
	if (!snapshotter->running && mf_thread_start(&snapshotter->thread, "snapshots", work, snapshotter)) {
		mf_free(job);
		return mf_error_set(error, MF_ERR_NO_MEMORY, "document '%.100s': the thread that takes snapshots could not be started", doc_id);
	}
	snapshotter->running = true;
	memcpy(job->doc_id, doc_id, len);
	job->state = mf_state_ref(state);
	job->next = NULL;
	*snapshotter->tail = job;
	snapshotter->tail = &job->next;
	snapshotter->count++;
	mf_cond_broadcast(&snapshotter->changed);
	return MF_OK;
}

enum mf_status mf_snapshotter_add(struct mf_snapshotter *snapshotter, const char *doc_id, const struct mf_state *state, struct mf_error *error)
{
	pthread_mutex_lock(&snapshotter->mutex);
	enum mf_status status = enqueue(snapshotter, doc_id, state, error);
	pthread_mutex_unlock(&snapshotter->mutex);
	return status;
}

void mf_snapshotter_forget(struct mf_snapshotter *snapshotter, const char *doc_id)
{
	mf_snapshot_bases_forget(snapshotter->bases, doc_id);
}

/* ---- the end ---- */

static bool wait_idle(struct mf_snapshotter *snapshotter, int64_t timeout_ms)
{
	const struct mf_env *env = env_of(snapshotter);
	bool forever = timeout_ms < 0 || timeout_ms > INT64_MAX / 2000;
	int64_t deadline = forever ? 0 : env->monotonic_us(env->user) + timeout_ms * 1000;
	while (snapshotter->working) {
		int64_t left = forever ? -1 : deadline - env->monotonic_us(env->user);
		if (!forever && left <= 0)
			return false;
		mf_cond_wait_us(&snapshotter->changed, &snapshotter->mutex, left);
	}
	return true;
}

enum mf_status mf_snapshotter_stop(struct mf_snapshotter *snapshotter, int64_t timeout_ms, struct mf_error *error)
{
	pthread_mutex_lock(&snapshotter->mutex);
	snapshotter->paused = true;
	bool idle = wait_idle(snapshotter, timeout_ms);
	bool join = idle && snapshotter->running;
	for (struct job *job = idle ? pop(snapshotter) : NULL; job; job = pop(snapshotter))
		free_job(job);
	snapshotter->paused = snapshotter->ending = idle;
	mf_cond_broadcast(&snapshotter->changed);
	pthread_mutex_unlock(&snapshotter->mutex);
	if (!idle)
		return mf_error_set(error, MF_ERR_TIMEOUT, "a snapshot is still being written after %lld ms", (long long)timeout_ms);
	if (join)
		mf_thread_join(snapshotter->thread);
	return MF_OK;
}
