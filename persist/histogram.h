/* histogram.h - a distribution of whole numbers in fixed memory, cheap to add to and safe to read beside.
 *
 * Log-linear: values below 16 have a bucket each, above them every power of two has 16 buckets of equal width, up to
 * 2^40 (12 days, in microseconds; what is larger counts as that). A percentile is the middle of its bucket, so it is
 * within 1/32, about 3 %, of the true value; count, sum and max are exact.
 *
 * Invariants
 * 1. One thread at a time adds (whoever calls sees to that); any number read meanwhile, without a lock.
 * 2. A reading is of one moment for each number alone: a sum may be ahead of its count by what is being added. */
#pragma once

#include <stdatomic.h>

#include <moduforge/metrics.h>

#define MF_HISTOGRAM_STEPS 16 /* a power of two; a power of two itself */
#define MF_HISTOGRAM_POWERS 40
#define MF_HISTOGRAM_BUCKETS ((MF_HISTOGRAM_POWERS - 4 + 1) * MF_HISTOGRAM_STEPS)

struct mf_histogram { /* all zero: empty */
	_Atomic uint64_t sum, max;
	_Atomic uint64_t buckets[MF_HISTOGRAM_BUCKETS];
};

void mf_histogram_add(struct mf_histogram *histogram, int64_t value); /* negative counts as 0 */
void mf_histogram_read(const struct mf_histogram *histogram, struct mf_distribution *out);

/* For counters with one writer at a time: no locked instruction. */
static inline void mf_counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint64_t mf_counter_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}
