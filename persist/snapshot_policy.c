/* snapshot_policy.c - see persist/snapshot_policy.h. */
#include "persist/snapshot_policy.h"

#include <pthread.h>
#include <string.h>

#include "model/mem.h"
#include "persist/env.h"
#include "persist/strmap.h"

#define RATE_WINDOW_US 1000000
#define COST_EVERY 64     /* events between two measurements of a replay */
#define COST_WEIGHT 0.125 /* of a new measurement in the average */

void mf_persist_options_init(struct mf_persist_options *options)
{
	*options = (struct mf_persist_options){
		.size = sizeof(*options),
		.commit_mode = {.kind = MF_COMMIT_ASYNC_DURABLE, .group_window_ms = 10},
		.snapshot_every_n_events = 1000,
		.snapshot_every_bytes = 100000000,
		.snapshot_every_ms = 300000,
		.strategy = MF_STRATEGY_FIXED,
		.recovery_target_ms = 0,
		.keep_snapshots = 2,
		.full_snapshot_every = 8,
		.compression = true,
		.compression_level = 3,
		.compression_threshold = 1024,
		.history_limit = 1000,
		.recovery_batch = 1000,
		.fallback_max_events = 1000000,
		.metrics = true,
	};
}

bool mf_should_snapshot(const struct mf_persist_options *options, const struct mf_snapshot_counters *counters)
{
	if (options->snapshot_every_n_events && counters->events_since >= options->snapshot_every_n_events)
		return true;
	if (options->snapshot_every_bytes && counters->bytes_since >= options->snapshot_every_bytes)
		return true;
	int64_t elapsed = counters->now_ms - counters->last_snapshot_ms;
	return options->snapshot_every_ms && elapsed >= 0 && (uint64_t)elapsed >= options->snapshot_every_ms;
}

void mf_adaptive_limits(double events_per_s, double bytes_per_event, struct mf_persist_options *limits)
{
	limits->snapshot_every_n_events = events_per_s > 100 ? 200 : 1000;
	limits->snapshot_every_bytes = bytes_per_event > 10000 ? 10000000 : 100000000;
}

/* ---- the counters of one document ---- */
struct counted {
	uint64_t events, bytes;             /* since the last attempt that has ended */
	uint64_t attempt_events, attempt_bytes;
	bool attempt, forgotten;
	bool owed;                          /* an attempt was withdrawn */
	int64_t lsn, snapshot_us;           /* newest event; when the last attempt began */
	int64_t window_us;                  /* when the present window of the rate began */
	uint64_t window_events, window_rate; /* in this window; in the one before */
	uint64_t all_events, all_bytes;     /* counted in this process */
	double cost_us;                     /* of replaying one event; 0: not measured */
	uint64_t cost_asked;
	char doc_id[];
};

struct mf_snapshot_policy {
	pthread_mutex_t mutex;
	const struct mf_persist_options *options;
	const struct mf_env *env;
	struct mf_strmap documents; /* doc_id -> struct counted */
};

enum mf_status mf_snapshot_policy_new(const struct mf_persist_options *options, struct mf_snapshot_policy **out)
{
	struct mf_snapshot_policy *policy = mf_calloc(1, sizeof(*policy));
	if (!policy)
		return MF_ERR_NO_MEMORY;
	policy->options = options;
	policy->env = mf_env_or_default(options->env);
	uint64_t seed = 0;
	(void)policy->env->random(policy->env->user, &seed, sizeof(seed)); /* a fixed seed is still right, only guessable */
	mf_strmap_init(&policy->documents, seed);
	pthread_mutex_init(&policy->mutex, NULL);
	*out = policy;
	return MF_OK;
}

void mf_snapshot_policy_free(struct mf_snapshot_policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->documents.capacity; i++)
		if (policy->documents.slots[i].key)
			mf_free(policy->documents.slots[i].value);
	mf_strmap_deinit(&policy->documents);
	pthread_mutex_destroy(&policy->mutex);
	mf_free(policy);
}

static int64_t now_us(const struct mf_snapshot_policy *policy)
{
	return policy->env->monotonic_us(policy->env->user);
}

/* Mutex held. The present one or a new one; NULL: no memory. */
static struct counted *counted_of(struct mf_snapshot_policy *policy, const char *doc_id, bool *out_fresh)
{
	struct counted *counted = mf_strmap_get(&policy->documents, doc_id);
	*out_fresh = !counted;
	if (counted) {
		counted->forgotten = false;
		return counted;
	}
	size_t len = strlen(doc_id) + 1;
	if (mf_strmap_reserve(&policy->documents, 1) != MF_OK)
		return NULL;
	counted = mf_calloc(1, sizeof(*counted) + len);
	if (!counted)
		return NULL;
	memcpy(counted->doc_id, doc_id, len);
	counted->snapshot_us = counted->window_us = now_us(policy);
	mf_strmap_put(&policy->documents, counted->doc_id, counted);
	return counted;
}

static void count(struct counted *counted, int64_t lsn, uint64_t bytes, int64_t now)
{
	counted->events++;
	counted->bytes += bytes;
	counted->all_events++;
	counted->all_bytes += bytes;
	counted->lsn = lsn;
	if (now - counted->window_us >= RATE_WINDOW_US) {
		/* Of a window that ran longer than it should: its average. */
		counted->window_rate = counted->window_events * RATE_WINDOW_US / (uint64_t)(now - counted->window_us);
		counted->window_events = 0;
		counted->window_us = now;
	}
	counted->window_events++;
}

static bool due(const struct mf_snapshot_policy *policy, const struct counted *counted, int64_t now)
{
	struct mf_persist_options limits = *policy->options;
	if (limits.strategy == MF_STRATEGY_ADAPTIVE) {
		uint64_t rate = counted->window_events > counted->window_rate ? counted->window_events : counted->window_rate;
		mf_adaptive_limits((double)rate, counted->all_events ? (double)counted->all_bytes / (double)counted->all_events : 0, &limits);
	}
	struct mf_snapshot_counters counters = {
		.events_since = counted->events,
		.bytes_since = counted->bytes,
		.last_snapshot_ms = counted->snapshot_us / 1000,
		.now_ms = now / 1000,
	};
	if (mf_should_snapshot(&limits, &counters))
		return true;
	return limits.recovery_target_ms && counted->cost_us * (double)counted->events > (double)limits.recovery_target_ms * 1000;
}

static void begin(struct counted *counted, int64_t now)
{
	counted->attempt = true;
	counted->attempt_events = counted->events;
	counted->attempt_bytes = counted->bytes;
	counted->owed = false;
	counted->snapshot_us = now;
}

static bool was_long(const struct mf_snapshot_policy *policy, const struct counted *counted, const struct mf_recovered *recovered, int64_t now)
{
	uint64_t target_ms = policy->options->recovery_target_ms;
	if (recovered->events == 0)
		return false;
	return due(policy, counted, now) || (target_ms && recovered->elapsed_us > 0 && (uint64_t)recovered->elapsed_us / 1000 > target_ms);
}

bool mf_snapshot_policy_loaded(struct mf_snapshot_policy *policy, const char *doc_id, const struct mf_recovered *recovered)
{
	bool fresh, is_due = false;
	int64_t now = now_us(policy);
	pthread_mutex_lock(&policy->mutex);
	struct counted *counted = counted_of(policy, doc_id, &fresh);
	if (counted && fresh) {
		counted->events = recovered->events;
		counted->bytes = recovered->bytes;
		counted->lsn = recovered->lsn;
		is_due = was_long(policy, counted, recovered, now);
		if (is_due)
			begin(counted, now);
	}
	pthread_mutex_unlock(&policy->mutex);
	return is_due;
}

bool mf_snapshot_policy_committed(struct mf_snapshot_policy *policy, const char *doc_id, int64_t lsn, uint64_t bytes)
{
	bool fresh, is_due = false;
	int64_t now = now_us(policy);
	pthread_mutex_lock(&policy->mutex);
	struct counted *counted = counted_of(policy, doc_id, &fresh);
	if (counted) {
		count(counted, lsn, bytes, now);
		is_due = !counted->attempt && (counted->owed || due(policy, counted, now));
		if (is_due)
			begin(counted, now);
	}
	pthread_mutex_unlock(&policy->mutex);
	return is_due;
}

bool mf_snapshot_policy_begin(struct mf_snapshot_policy *policy, const char *doc_id, int64_t lsn)
{
	pthread_mutex_lock(&policy->mutex);
	struct counted *counted = mf_strmap_get(&policy->documents, doc_id);
	bool begun = counted && !counted->attempt && counted->lsn == lsn;
	if (begun)
		begin(counted, now_us(policy));
	pthread_mutex_unlock(&policy->mutex);
	return begun;
}

/* Mutex held. */
static void forget(struct mf_snapshot_policy *policy, struct counted *counted)
{
	mf_strmap_remove(&policy->documents, counted->doc_id);
	mf_free(counted);
}

void mf_snapshot_policy_forget(struct mf_snapshot_policy *policy, const char *doc_id)
{
	pthread_mutex_lock(&policy->mutex);
	struct counted *counted = mf_strmap_get(&policy->documents, doc_id);
	if (counted && counted->attempt)
		counted->forgotten = true;
	else if (counted)
		forget(policy, counted);
	pthread_mutex_unlock(&policy->mutex);
}

/* Its counters, if an attempt of it has ended and they go on; whether they went is *out_forgotten. Mutex held. */
static struct counted *end_attempt(struct mf_snapshot_policy *policy, const char *doc_id, bool *out_forgotten)
{
	struct counted *counted = mf_strmap_get(&policy->documents, doc_id);
	*out_forgotten = counted && counted->attempt && counted->forgotten;
	if (!counted || !counted->attempt)
		return NULL;
	counted->attempt = false;
	if (!*out_forgotten)
		return counted;
	forget(policy, counted);
	return NULL;
}

bool mf_snapshot_policy_end(struct mf_snapshot_policy *policy, const char *doc_id)
{
	bool forgotten;
	pthread_mutex_lock(&policy->mutex);
	struct counted *counted = end_attempt(policy, doc_id, &forgotten);
	if (counted) {
		counted->events -= counted->attempt_events;
		counted->bytes -= counted->attempt_bytes;
	}
	pthread_mutex_unlock(&policy->mutex);
	return forgotten;
}

void mf_snapshot_policy_withdraw(struct mf_snapshot_policy *policy, const char *doc_id)
{
	bool forgotten;
	pthread_mutex_lock(&policy->mutex);
	struct counted *counted = end_attempt(policy, doc_id, &forgotten);
	if (counted)
		counted->owed = true;
	pthread_mutex_unlock(&policy->mutex);
}

bool mf_snapshot_policy_wants_cost(struct mf_snapshot_policy *policy, const char *doc_id)
{
	if (!policy->options->recovery_target_ms)
		return false;
	pthread_mutex_lock(&policy->mutex);
	struct counted *counted = mf_strmap_get(&policy->documents, doc_id);
	bool wants = counted && counted->cost_asked++ % COST_EVERY == 0;
	pthread_mutex_unlock(&policy->mutex);
	return wants;
}

void mf_snapshot_policy_cost(struct mf_snapshot_policy *policy, const char *doc_id, int64_t us)
{
	pthread_mutex_lock(&policy->mutex);
	struct counted *counted = mf_strmap_get(&policy->documents, doc_id);
	double cost = us < 1 ? 1 : (double)us;
	if (counted)
		counted->cost_us = counted->cost_us > 0 ? counted->cost_us + COST_WEIGHT * (cost - counted->cost_us) : cost;
	pthread_mutex_unlock(&policy->mutex);
}
