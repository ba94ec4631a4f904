/* metrics.h - the counters of one opening, and struct mf_metrics made from them.
 *
 * Who writes what, so that the commit path needs no locked instruction:
 *   the leader, one thread at a time      commit_us, group_events, event_...
 *   whoever holds the queue's mutex       sync_us, queue_events_max
 *   any thread                            the rest, under mutex or by atomic addition: rare
 *
 * Thread: reading: any. */
#pragma once

#include <pthread.h>

#include "persist/histogram.h"
#include <moduforge/store.h>

struct mf_recorder {
	struct mf_histogram commit_us, group_events;
	_Atomic uint64_t events, event_bytes, event_raw_bytes, queue_events_max;
	struct mf_histogram sync_us;
	_Atomic uint64_t duplicates, errors[MF_STATUS_COUNT], snapshot_failures;
	pthread_mutex_t mutex; /* for adding to what follows */
	struct mf_histogram snapshot_us, recovery_us;
	_Atomic uint64_t snapshot_bytes, snapshot_raw_bytes;
};

/* NULL is a recorder that is switched off. */
struct mf_recorder *mf_recorder_new(void); /* NULL: no memory */
void mf_recorder_free(struct mf_recorder *recorder);
void mf_recorder_event(struct mf_recorder *recorder, const struct mf_event *event); /* stored; the leader */
void mf_recorder_error(struct mf_recorder *recorder, enum mf_status status);        /* a transaction ended in it; MF_OK is nothing */
void mf_recorder_duplicate(struct mf_recorder *recorder);
/* A snapshot was written; raw_bytes: before compression. */
void mf_recorder_snapshot(struct mf_recorder *recorder, int64_t us, uint64_t bytes, uint64_t raw_bytes);
void mf_recorder_snapshot_failed(struct mf_recorder *recorder);
void mf_recorder_recovery(struct mf_recorder *recorder, int64_t us);
/* Its counters into out, whose other members stay. */
void mf_recorder_read(const struct mf_recorder *recorder, struct mf_metrics *out);

/* ---- struct mf_metrics ---- */
void mf_metrics_totals(const struct mf_store_stats *stats, struct mf_metrics *out);
void mf_metrics_derive(struct mf_metrics *metrics); /* averages, ratio, mean and sum from what they are made of */
/* As much of full as *out knows (its size). MF_ERR_INVALID: a size that cannot be. */
enum mf_status mf_metrics_give(const struct mf_metrics *full, struct mf_metrics *out, struct mf_error *error);
