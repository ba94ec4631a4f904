/* samples.h - what the programs that time single calls share. */
#pragma once

#include <stdlib.h>
#include <time.h>

static inline double now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline int compare_samples(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

/* Sorts them. */
static inline double median(double *samples, size_t count)
{
	qsort(samples, count, sizeof(*samples), compare_samples);
	return samples[count / 2];
}
