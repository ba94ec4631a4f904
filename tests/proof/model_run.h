/* model_run.h - one seed of ./dev model: a list of calls made from it, carried out on the library in a simulated process,
 * each answer held against reference.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MODEL_CALLS_MAX 400

struct model_plan {
	uint64_t seed;
	unsigned calls;               /* how many to make */
	const bool *left_out;         /* of them; NULL: none. The others are the same with and without it */
	const char *config;           /* plugins.json */
	FILE *trace;                  /* NULL: nobody reads it */
	unsigned lies;                /* percent of syncs that do nothing: to show that it is found */
};

struct model_result {
	bool failed;
	unsigned failed_call;   /* 1 is the first */
	char why[600];
	uint64_t trace_hash;    /* of every call, answer and change to a file */
	uint64_t trace_lines, io_calls, events, deaths, power_losses, faults, switches;
	int64_t simulated_us;
};

/* Once in a process, which ends without cleaning up. */
void model_run(const struct model_plan *plan, struct model_result *out);
