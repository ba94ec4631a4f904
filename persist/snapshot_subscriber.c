/* snapshot_subscriber.c - the committer over an event store: keys, queue, policy and snapshots put together. */
#include "persist/subscriber_parts.h"

#include <string.h>

#include "model/mem.h"
#include "model/probes.h"
#include "persist/env.h"
#include "persist/recovery.h"
#include <moduforge/value.h>

#define OPENINGS_MAX ((int64_t)1 << (63 - MF_ID_COUNTER_BITS))

static uint64_t generation(void *user)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return mf_commit_queue_generation(subscriber->queue);
}

/* ---- snapshots in the background ---- */

static void tell_listener(struct mf_snapshot_subscriber *subscriber, const char *doc_id, int64_t upto_lsn, const struct mf_error *error)
{
	if (subscriber->listener)
		subscriber->listener(subscriber->listener_user, doc_id, upto_lsn, error);
}

/* The attempt has ended. Who let the document go meanwhile could not know of the state that the snapshot left to build on. */
static void end_attempt(struct mf_snapshot_subscriber *subscriber, const char *doc_id, const struct mf_error *error)
{
	if (mf_snapshot_policy_end(subscriber->policy, doc_id))
		mf_snapshotter_forget(subscriber->snapshotter, doc_id);
	if (!error)
		return;
	mf_recorder_snapshot_failed(subscriber->recorder);
	mf_logf(&subscriber->options.logger, MF_LOG_WARNING, "a snapshot in the background failed, and is tried again after another interval: %s", error->message);
}

static void snapshot_ended(void *user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error)
{
	end_attempt(user, doc_id, error);
	tell_listener(user, doc_id, upto_lsn, error);
}

#define LATE_TOLD_EVERY_US 60000000

/* More snapshots are due than are taken: recoveries get longer meanwhile. Told once a minute. */
static void tell_late(struct mf_snapshot_subscriber *subscriber, const struct mf_error *error)
{
	int64_t now = subscriber->env->monotonic_us(subscriber->env->user), told = atomic_load(&subscriber->late_told_us);
	if (told && now - told < LATE_TOLD_EVERY_US)
		return;
	atomic_store(&subscriber->late_told_us, now);
	mf_logf(&subscriber->options.logger, MF_LOG_WARNING, "snapshots are taken more slowly than they become due: %s; one is due again at its next event", error->message);
}

static enum mf_status add_snapshot(struct mf_snapshot_subscriber *subscriber, const char *doc_id, const struct mf_state *state, struct mf_error *error)
{
	enum mf_status status = mf_snapshotter_add(subscriber->snapshotter, doc_id, state, error);
	if (status == MF_ERR_BUSY) {
		mf_snapshot_policy_withdraw(subscriber->policy, doc_id);
		tell_late(subscriber, error);
		return MF_OK;
	}
	if (status != MF_OK)
		end_attempt(subscriber, doc_id, error);
	return status;
}

void mf_subscriber_snapshot_due(struct mf_snapshot_subscriber *subscriber, const char *doc_id, const struct mf_state *state)
{
	struct mf_error error = {0};
	if (add_snapshot(subscriber, doc_id, state, &error) != MF_OK)
		tell_listener(subscriber, doc_id, mf_state_lsn(state), &error);
}

/* ---- recovery, snapshots, compaction ---- */

/* A recovery that took longer than one should gets its snapshot at once, in the background. The listener hears of none
 * that could not begin: a handler that it calls may be who reads this document. */
static void count_recovery(struct mf_snapshot_subscriber *subscriber, const char *doc_id, const struct mf_state *state, const struct mf_replay_report *report, int64_t elapsed_us)
{
	const struct mf_recovered recovered = {.lsn = mf_state_lsn(state), .events = report->events, .bytes = report->bytes, .elapsed_us = elapsed_us};
	struct mf_error error = {0};
	if (mf_snapshot_policy_loaded(subscriber->policy, doc_id, &recovered))
		(void)!add_snapshot(subscriber, doc_id, state, &error);
}

static enum mf_status recover(void *user, const char *doc_id, int64_t at_lsn, struct mf_state **out, struct mf_recovery_report *out_report, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	int64_t begun = subscriber->env->monotonic_us(subscriber->env->user);
	bool held = at_lsn == INT64_MAX, newest = held || at_lsn == MF_LSN_NEWEST_TO_LOOK_AT;
	struct mf_replay_options options = {
		.batch = subscriber->options.recovery_batch,
		.history_limit = subscriber->options.history_limit,
		.at_lsn = newest ? INT64_MAX : at_lsn,
		.committed = mf_commit_queue_committed(subscriber->queue),
		.snapshot_at_most = INT64_MAX,
		.fallback_max_events = subscriber->options.fallback_max_events,
	};
	struct mf_replay_report report;
	if (at_lsn < 0)
		return mf_error_set(error, MF_ERR_INVALID, "LSN %lld: there are no negative ones", (long long)at_lsn);
	enum mf_status status = mf_replay(subscriber->store, doc_id, subscriber->registry, &options, out, &report, error);
	if (status != MF_OK)
		return status;
	int64_t elapsed = subscriber->env->monotonic_us(subscriber->env->user) - begun;
	MF_PROBE4(recovery, doc_id, mf_state_lsn(*out), report.events, elapsed);
	struct mf_recovery_report told;
	mf_replay_fill_report(&report, *out, &told);
	told.elapsed_us = elapsed;
	mf_recovery_warn(&told, doc_id, &subscriber->options.logger);
	if (newest)
		mf_recorder_recovery(subscriber->recorder, elapsed);
	if (held && mf_state_lsn(*out) > 0)
		count_recovery(subscriber, doc_id, *out, &report, elapsed);
	if (out_report)
		*out_report = told;
	return MF_OK;
}

static enum mf_status preflight(void *user, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return mf_preflight(subscriber->store, subscriber->registry, error);
}

static enum mf_status snapshot(void *user, const char *doc_id, const struct mf_state *state, int64_t *out_upto_lsn, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	struct mf_error reason = {0};
	int64_t lsn = mf_state_lsn(state);
	if (lsn <= 0)
		return mf_error_set(error, MF_ERR_STATE, "document '%.100s' has no committed event yet: there is nothing to take a snapshot of", doc_id);
	bool counted = mf_snapshot_policy_begin(subscriber->policy, doc_id, lsn);
	enum mf_status status = mf_snapshotter_take(subscriber->snapshotter, doc_id, state, &reason);
	if (status != MF_OK)
		mf_recorder_snapshot_failed(subscriber->recorder);
	if (counted)
		end_attempt(subscriber, doc_id, NULL);
	if (status != MF_OK && reason.status == MF_OK)
		mf_error_set(&reason, status, "document '%.100s': the snapshot failed with %s", doc_id, mf_status_name(status));
	tell_listener(subscriber, doc_id, lsn, status == MF_OK ? NULL : &reason);
	if (status == MF_OK)
		*out_upto_lsn = lsn;
	else if (error)
		*error = reason;
	return status;
}

static enum mf_status compact_keep(void *user, const char *doc_id, uint32_t keep, int64_t *out_upto_lsn, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	struct mf_persist_options options = subscriber->options;
	options.keep_snapshots = keep;
	mf_snapshotter_lock(subscriber->snapshotter);
	enum mf_status status = mf_compact_upto(subscriber->store, doc_id, subscriber->registry, &options, mf_subscriber_needed_above(subscriber), out_upto_lsn, error);
	mf_snapshotter_unlock(subscriber->snapshotter);
	return status;
}

static enum mf_status compact(void *user, const char *doc_id, int64_t *out_upto_lsn, struct mf_error *error)
{
	const struct mf_snapshot_subscriber *subscriber = user;
	return compact_keep(user, doc_id, subscriber->options.keep_snapshots, out_upto_lsn, error);
}

static struct mf_store *store_of(void *user)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return subscriber->store;
}

static enum mf_status drain(void *user, int64_t timeout_ms, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return mf_commit_queue_drain(subscriber->queue, timeout_ms, error);
}

static void on_snapshot(void *user, mf_snapshot_listener *notify, void *notify_user)
{
	struct mf_snapshot_subscriber *subscriber = user;
	subscriber->listener = notify;
	subscriber->listener_user = notify_user;
}

static void forget(void *user, const char *doc_id)
{
	struct mf_snapshot_subscriber *subscriber = user;
	mf_snapshot_policy_forget(subscriber->policy, doc_id);
	mf_snapshotter_forget(subscriber->snapshotter, doc_id);
}

/* ---- life ---- */

static enum mf_status check_options(const struct mf_store *store, const struct mf_persist_options *options, struct mf_error *error)
{
	enum mf_commit_kind kind = options->commit_mode.kind;
	if ((unsigned)kind > MF_COMMIT_SYNC_DURABLE)
		return mf_error_set(error, MF_ERR_INVALID, "%d is not a commit mode", (int)kind);
	if (store->ops->durable != (kind != MF_COMMIT_MEMORY_ONLY))
		return mf_error_set(error, MF_ERR_INVALID, store->ops->durable ? "commit mode memory_only needs a store in memory, this one is durable" : "a store in memory knows commit mode memory_only only");
	if (options->commit_mode.group_window_ms > 60000)
		return mf_error_set(error, MF_ERR_INVALID, "group_window_ms is %u, it must be 0 to 60000", options->commit_mode.group_window_ms);
	if (options->compression_level < 1 || options->compression_level > 19)
		return mf_error_set(error, MF_ERR_INVALID, "compression_level is %d, it must be 1 to 19", options->compression_level);
	if ((unsigned)options->strategy > MF_STRATEGY_ADAPTIVE)
		return mf_error_set(error, MF_ERR_INVALID, "%d is not a snapshot strategy", (int)options->strategy);
	return MF_OK;
}

/* The caller's options over the defaults: an older caller's struct is shorter. */
static enum mf_status take_options(struct mf_snapshot_subscriber *subscriber, const struct mf_persist_options *options, struct mf_error *error)
{
	mf_persist_options_init(&subscriber->options);
	if (options && (options->size < sizeof(size_t) || options->size > sizeof(*options)))
		return mf_error_set(error, MF_ERR_INVALID, "the options say they are %zu bytes long, %zu are known; begin with mf_persist_options_init", options->size, sizeof(*options));
	if (options)
		memcpy(&subscriber->options, options, options->size);
	subscriber->options.size = sizeof(subscriber->options);
	if (subscriber->options.recovery_batch == 0)
		subscriber->options.recovery_batch = 1000;
	subscriber->env = mf_env_or_default(subscriber->options.env);
	subscriber->options.env = subscriber->env;
	return check_options(subscriber->store, &subscriber->options, error);
}

static enum mf_status identify(struct mf_snapshot_subscriber *subscriber, int64_t *out_synced, struct mf_error *error)
{
	struct mf_store_stats stats;
	enum mf_status status = subscriber->store->ops->stats(subscriber->store, &stats, error);
	if (status != MF_OK)
		return status;
	subscriber->opening = stats.openings ? stats.openings : stats.epoch; /* a restored store's epochs jump ahead */
	if (subscriber->opening < 0 || subscriber->opening >= OPENINGS_MAX)
		return mf_error_set(error, MF_ERR_STATE, "the store was opened %lld times, more than transaction ids allow for; copy it into a new one", (long long)subscriber->opening);
	if (subscriber->env->random(subscriber->env->user, &subscriber->random, sizeof(subscriber->random)) < 0)
		return mf_error_set(error, MF_ERR_IO, "the system has no random bytes for the keys of this opening");
	subscriber->epoch = stats.epoch;
	*out_synced = stats.synced_lsn;
	subscriber->opened_us = subscriber->env->wall_us(subscriber->env->user);
	return MF_OK;
}

static enum mf_status make_recorder(struct mf_snapshot_subscriber *subscriber)
{
	if (!subscriber->options.metrics)
		return MF_OK;
	subscriber->recorder = mf_recorder_new();
	return subscriber->recorder ? MF_OK : MF_ERR_NO_MEMORY;
}

static enum mf_status make_parts(struct mf_snapshot_subscriber *subscriber, int64_t synced, struct mf_error *error)
{
	struct mf_snapshotter_options snapshotter = {.store = subscriber->store, .persist = &subscriber->options, .ended = snapshot_ended, .user = subscriber, .recorder = subscriber->recorder};
	struct mf_commit_queue_options queue = {
		.store = subscriber->store,
		.synced = synced,
		.group_window_ms = subscriber->options.commit_mode.group_window_ms,
		.env = subscriber->env,
		.recorder = subscriber->recorder,
		.logger = subscriber->options.logger,
		.save = subscriber->recorder && subscriber->store->ops->save_metrics ? mf_subscriber_save_metrics : NULL,
		.save_user = subscriber,
	};
	enum mf_status status = subscriber->store->ops->last_lsn(subscriber->store, NULL, &queue.committed, error);
	if (status != MF_OK)
		return status;
	status = mf_pending_keys_new(subscriber->env, &subscriber->keys);
	if (status == MF_OK)
		status = mf_snapshot_policy_new(&subscriber->options, &subscriber->policy);
	if (status == MF_OK)
		status = mf_snapshotter_new(&snapshotter, &subscriber->snapshotter);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory for the snapshot subscriber");
	return mf_commit_queue_new(&queue, &subscriber->queue, error); /* last: it starts a thread */
}

static void free_subscriber(struct mf_snapshot_subscriber *subscriber)
{
	mf_commit_queue_close(subscriber->queue);
	mf_snapshotter_free(subscriber->snapshotter);
	mf_snapshot_policy_free(subscriber->policy);
	mf_pending_keys_free(subscriber->keys);
	mf_recorder_free(subscriber->recorder);
	pthread_mutex_destroy(&subscriber->follow_lock);
	mf_free(subscriber);
}

static void fill_committer(struct mf_snapshot_subscriber *subscriber)
{
	subscriber->committer = (struct mf_committer){
		.size = sizeof(subscriber->committer),
		.name = "snapshot_subscriber",
		.user = subscriber,
		.reserve = mf_subscriber_reserve,
		.release = mf_subscriber_release,
		.commit = mf_subscriber_commit,
		.generation = generation,
		.recover = recover,
		.preflight = preflight,
		.snapshot = snapshot,
		.compact = compact,
		.store = store_of,
		.drain = drain,
		.on_snapshot = on_snapshot,
		.forget = forget,
		.metrics = mf_subscriber_metrics,
		.event_source = mf_subscriber_source,
		.compact_keep = compact_keep,
	};
}

enum mf_status mf_snapshot_subscriber_new(struct mf_store *store, const struct mf_persist_options *options, const struct mf_step_registry *registry,
					  struct mf_snapshot_subscriber **out, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = mf_calloc(1, sizeof(*subscriber));
	if (!subscriber)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the snapshot subscriber");
	subscriber->store = store;
	subscriber->registry = registry;
	pthread_mutex_init(&subscriber->follow_lock, NULL);
	atomic_init(&subscriber->counter, 0);
	int64_t synced = 0;
	enum mf_status status = take_options(subscriber, options, error);
	if (status == MF_OK)
		status = identify(subscriber, &synced, error);
	if (status == MF_OK && make_recorder(subscriber) != MF_OK)
		status = mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for the counters of the snapshot subscriber");
	if (status == MF_OK)
		status = make_parts(subscriber, synced, error);
	if (status != MF_OK) {
		free_subscriber(subscriber);
		return status;
	}
	fill_committer(subscriber);
	mf_subscriber_make_source(subscriber);
	*out = subscriber;
	return MF_OK;
}

const struct mf_committer *mf_snapshot_subscriber_committer(struct mf_snapshot_subscriber *subscriber)
{
	return &subscriber->committer;
}

enum mf_status mf_snapshot_subscriber_close(struct mf_snapshot_subscriber *subscriber, int64_t timeout_ms, struct mf_error *error)
{
	struct mf_error drain_error = {0};
	int64_t begun = subscriber->env->monotonic_us(subscriber->env->user);
	mf_commit_queue_refuse(subscriber->queue, true);
	enum mf_status drained = mf_commit_queue_drain(subscriber->queue, timeout_ms, &drain_error);
	enum mf_status status = drained;
	if (drained != MF_ERR_TIMEOUT && drained != MF_ERR_STATE) {
		int64_t left = timeout_ms - (subscriber->env->monotonic_us(subscriber->env->user) - begun) / 1000;
		status = mf_snapshotter_stop(subscriber->snapshotter, timeout_ms < 0 ? timeout_ms : left < 0 ? 0 : left, &drain_error);
	}
	if (status == MF_ERR_TIMEOUT || status == MF_ERR_STATE) {
		mf_commit_queue_refuse(subscriber->queue, false);
		if (error)
			*error = drain_error;
		return status;
	}
	struct mf_store *store = subscriber->store;
	free_subscriber(subscriber); /* which saves the counters */
	struct mf_error close_error = {0};
	enum mf_status closed = mf_store_close(store, &close_error);
	if (drained == MF_OK && closed == MF_OK)
		return MF_OK;
	if (error)
		*error = drained ? drain_error : close_error;
	return drained ? drained : closed;
}
