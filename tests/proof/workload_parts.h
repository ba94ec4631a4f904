/* workload_parts.h - one run: the thread that submits (workload.c), and what goes on beside it (workload_beside.c). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <moduforge/runtime.h>

#include "workload.h"

#define WORKLOAD_DOCS 8
#define WORKLOAD_WAITING 4
#define WORKLOAD_BATCH 100
#define WORKLOAD_PAYLOAD 65536

struct waiting {
	struct mf_ticket *ticket;
	uint64_t batch;
	enum mf_commit_kind mode;
};

/* What a follower's handler needs. */
struct follower {
	struct ledger_out out;
	const char *name;
	bool synced_only;
};

struct run {
	const struct workload *w;
	struct mf_runtime *runtime;
	uint64_t random, batch, keys;
	char names[WORKLOAD_DOCS][8];
	struct mf_state *states[WORKLOAD_DOCS]; /* as what was submitted makes them; NULL: ask the runtime */
	bool drain;                             /* something failed: nothing new before all that is under way has ended */
	struct mf_batch_item items[WORKLOAD_BATCH];
	struct waiting queue[WORKLOAD_WAITING];
	uint32_t first, waiting, failures;
	struct follower followers[2];
	pthread_t thread;
	bool has_thread;
	atomic_bool stop;
	atomic_uint backups;
	char payload[WORKLOAD_PAYLOAD];
};

/* A snapshot, a compaction or a backup, as the workload has them. Failures are the store's business. */
void workload_side_work(struct run *run, uint64_t *random);
enum mf_status workload_begin_beside(struct run *run, struct mf_error *error);
void workload_end_beside(struct run *run);
