#include "persist/histogram.h"

static size_t bucket_of(uint64_t value)
{
	if (value < MF_HISTOGRAM_STEPS)
		return (size_t)value;
	unsigned power = 63 - (unsigned)__builtin_clzll(value);
	if (power >= MF_HISTOGRAM_POWERS)
		return MF_HISTOGRAM_BUCKETS - 1;
	return (power - 3) * MF_HISTOGRAM_STEPS + (size_t)(value >> (power - 4)) - MF_HISTOGRAM_STEPS;
}

static uint64_t middle_of(size_t bucket)
{
	if (bucket < MF_HISTOGRAM_STEPS)
		return bucket;
	unsigned shift = (unsigned)(bucket / MF_HISTOGRAM_STEPS) - 1;
	uint64_t first = (MF_HISTOGRAM_STEPS + bucket % MF_HISTOGRAM_STEPS) << shift;
	return first + ((uint64_t)1 << shift) / 2;
}

void mf_histogram_add(struct mf_histogram *histogram, int64_t value)
{
	uint64_t v = value > 0 ? (uint64_t)value : 0;
	mf_counter_add(&histogram->buckets[bucket_of(v)], 1);
	mf_counter_add(&histogram->sum, v);
	if (v > mf_counter_read(&histogram->max))
		atomic_store_explicit(&histogram->max, v, memory_order_relaxed);
}

struct reading {
	uint64_t count, max;
	uint64_t buckets[MF_HISTOGRAM_BUCKETS];
};

/* The smallest value that at least per_mille of a thousand are not above. */
static uint64_t percentile(const struct reading *reading, unsigned per_mille)
{
	uint64_t wanted = reading->count - reading->count * (1000 - per_mille) / 1000, seen = 0;
	size_t bucket = 0;
	for (; bucket < MF_HISTOGRAM_BUCKETS - 1; bucket++) {
		seen += reading->buckets[bucket];
		if (seen >= wanted)
			break;
	}
	uint64_t value = middle_of(bucket);
	return value < reading->max ? value : reading->max;
}

void mf_histogram_read(const struct mf_histogram *histogram, struct mf_distribution *out)
{
	struct reading reading = {.max = mf_counter_read(&histogram->max)};
	for (size_t i = 0; i < MF_HISTOGRAM_BUCKETS; i++)
		reading.count += reading.buckets[i] = mf_counter_read(&histogram->buckets[i]);
	*out = (struct mf_distribution){0};
	if (reading.count == 0)
		return;
	*out = (struct mf_distribution){
		.count = reading.count,
		.sum = mf_counter_read(&histogram->sum),
		.p50 = percentile(&reading, 500),
		.p90 = percentile(&reading, 900),
		.p99 = percentile(&reading, 990),
		.p999 = percentile(&reading, 999),
		.max = reading.max,
	};
}
