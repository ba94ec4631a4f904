/* moduforge/metrics.h - what a store has done and how fast: counters, percentiles, and their report.
 *
 *   mf_runtime_metrics(runtime, &metrics, &error);                    runtime.h; or the committer's metrics
 *   mf_metrics_report(&metrics, MF_METRICS_PROMETHEUS, &text, &error);
 *   ... text.bytes, text.len ...
 *   mf_buffer_deinit(&text);
 *
 * Recording is always on (mf_persist_options.metrics switches it off): a few additions a transaction and two readings
 * of the clock, no lock. docs/metrics.md says what it costs.
 *
 * Invariants
 * 1. Totals are those of the store; counters and distributions are those of one opening for writing, since opened_us.
 * 2. Times are on the monotonic clock, in microseconds unless the name says otherwise.
 * 3. A percentile is within 4 % of the true value; counts, sums and maxima are exact.
 * 4. What was never measured is 0 with a count of 0, and what the source cannot know is 0; reports say null, or leave it out.
 *
 * Thread: any; the functions are pure. */
#pragma once

#include <moduforge/store.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MF_STATUS_COUNT 16 /* MF_OK to MF_ERR_TIMEOUT */

struct mf_distribution {
	uint64_t count, sum; /* mean = sum / count */
	uint64_t p50, p90, p99, p999, max;
};

enum mf_metrics_source {
	MF_METRICS_LIVE = 0,  /* counters of this process, now */
	MF_METRICS_SAVED = 1, /* those that the writing process last saved beside the store, at taken_us */
	MF_METRICS_NONE = 2,  /* only totals: nobody has saved counters */
};

/* Only appended to; size tells how much the caller knows. */
struct mf_metrics {
	size_t size; /* sizeof(struct mf_metrics), set by the caller before it is filled */
	enum mf_metrics_source source;
	int64_t taken_us;  /* wall clock, microseconds since 1970-01-01 UTC: when the counters were read */
	int64_t opened_us; /* ... and since when they count; 0: nobody knows */

	/* ---- the seed's seven ---- */
	uint64_t total_events;      /* that the store holds now (compaction takes some away) */
	uint64_t total_snapshots;   /* ... as stored now */
	uint64_t avg_event_size;    /* bytes: mean stored payload of the events measured */
	uint64_t avg_snapshot_size; /* bytes: mean stored size of the snapshots measured */
	double compression_ratio;   /* (event_bytes + snapshot_bytes) / (event_raw_bytes + snapshot_raw_bytes): 0.25 = a quarter is left */
	double write_latency_ms;    /* mean of commit_us */
	double recovery_time_ms;    /* sum of recovery_us: all documents recovered since the opening */

	/* ---- what the averages are made of: written since the opening, or a sample of the newest (source not live) ---- */
	uint64_t events_measured, event_bytes, event_raw_bytes;          /* payloads as stored, and before compression */
	uint64_t snapshots_measured, snapshot_bytes, snapshot_raw_bytes; /* raw 0: not known */

	/* ---- the store ---- */
	uint64_t documents, last_lsn, synced_lsn, epoch;
	uint64_t store_bytes; /* on disk, log included */
	uint64_t log_pages;   /* of the write-ahead log, not yet moved into the database */

	/* ---- commits ---- */
	struct mf_distribution commit_us;    /* transactions: from submit until stored as the commit mode promises; not what followers do then */
	struct mf_distribution sync_us;      /* syncs that the commit queue made */
	struct mf_distribution group_events; /* events a group: what one append, and at most one sync, covered */
	uint64_t duplicates;                 /* transactions whose key was known */
	uint64_t errors[MF_STATUS_COUNT];    /* transactions that ended otherwise than committed, by status; [MF_OK] is 0 */
	uint64_t queue_events, queue_bytes;  /* waiting now */
	uint64_t queue_events_max;           /* most that waited at once */
	uint64_t unsynced_lsns, unsynced_us; /* written and not synced now: how many, and since when the oldest waits */
	uint64_t log_checkpoints;            /* of the write-ahead log: moved into the database, as far as readers let it */

	/* ---- snapshots and recovery ---- */
	struct mf_distribution snapshot_us; /* snapshots taken: encode and write */
	uint64_t snapshot_failures;
	struct mf_distribution recovery_us; /* documents recovered */

	/* ---- bus and runtime; 0 without them ---- */
	uint64_t documents_loaded;   /* in memory */
	uint64_t followers;          /* subscribers that are no guards */
	uint64_t follower_lag_lsns;  /* committed and not yet delivered, of the slowest */
	uint64_t follower_failures;  /* deliveries that a follower failed */
};

enum mf_metrics_format {
	MF_METRICS_TEXT,       /* for people: the seed's report, then the rest */
	MF_METRICS_JSON,       /* one object, one line */
	MF_METRICS_PROMETHEUS, /* text exposition format 0.0.4; seconds and bytes. https://prometheus.io/docs/instrumenting/exposition_formats/ */
};

/* Appends the report. MF_ERR_INVALID: no such format. */
MF_API MF_MUST_CHECK enum mf_status mf_metrics_report(const struct mf_metrics *metrics, enum mf_metrics_format format, struct mf_buffer *out, struct mf_error *error);
/* Of a store that is only read: its totals; the counters of the process that writes it, as last saved (once a second while
 * it works, and when it closes); and when there are none, sizes of the newest 1000 events and of all snapshots, whose
 * bytes before compression are not known. A committer's metrics are those of the process itself. */
MF_API MF_MUST_CHECK enum mf_status mf_store_metrics(struct mf_store *store, struct mf_metrics *out, struct mf_error *error);
/* The counters of a JSON report, as source MF_METRICS_SAVED; members that are missing are 0. MF_ERR_INVALID: not such a report. */
MF_API MF_MUST_CHECK enum mf_status mf_metrics_parse(const char *json, size_t len, struct mf_metrics *out, struct mf_error *error);

#ifdef __cplusplus
}
#endif
