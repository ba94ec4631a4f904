/* Each allocation of a call fails in turn:
 *
 *	for (uint64_t n = 1, failed = true; failed; n++) {
 *		memory_fails_at(n);
 *		status = call();
 *		failed = memory_failed(n);
 *		...
 *	}
 *
 * Success ends no loop: some can be done without (a buffer that is made to fit), and one that failed and was not told would end it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/mem.h"
#include "model/tree.h"

/* Allocation n of what comes next fails. Spare nodes from before would be used in its place. */
static inline void memory_fails_at(uint64_t n)
{
	mf_tree_trim();
	mf_mem_fail_at(n, false);
}

/* ... and did it come to that? */
static inline bool memory_failed(uint64_t n)
{
	bool failed = mf_mem_count() >= n;
	mf_mem_fail_at(0, false);
	return failed;
}
