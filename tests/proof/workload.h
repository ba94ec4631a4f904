/* workload.h - a seeded run over the runtime that tells the ledger everything.
 *
 * One thread submits; what it submits follows from seed, life and what the store holds when it opens, and from nothing
 * else (with WORKLOAD_TICKETS neither from when a ticket ends). It computes the state after each transaction itself before
 * it submits it, so that the ledger knows the digest also of what was never acknowledged.
 *
 * Errors are told to the ledger (absent, unknown) and the run goes on where the contract says that it can; it returns the
 * first that it cannot go on after, closed in any case. It never asserts. It allocates nothing but through the library.
 *
 * Thread: several runs at once are fine, each with its own options. */
#pragma once

#include "dice.h"
#include "ledger.h"

enum workload_what {
	WORKLOAD_UNDO = 1,          /* and redo */
	WORKLOAD_SNAPSHOTS = 2,     /* asked for now and then; beside those by policy, which the configuration decides */
	WORKLOAD_COMPACTION = 4,
	WORKLOAD_BACKUP = 8,        /* into backups, a new file each */
	WORKLOAD_FOLLOWER = 16,     /* "proof", on a thread, with a durable checkpoint every few events */
	WORKLOAD_FOLLOW_SYNCED = 32, /* "proof-synced": synced events only */
	WORKLOAD_RAISE = 64,        /* mode async: now and then a commit is sync */
	WORKLOAD_DUPLICATES = 128,  /* resubmits what it has committed; a wrong answer is MF_ERR_STATE */
	WORKLOAD_TICKETS = 256,     /* several batches under way before one is waited for */
	WORKLOAD_BESIDE = 512,      /* snapshots, compaction and backups on a thread of their own, without pause */
	WORKLOAD_BIG = 1024,        /* now and then a payload of up to 64 KiB */
	WORKLOAD_SYNC_WAITS = 2048, /* mode async: now and then waits until all is synced, and says so */
	WORKLOAD_ALL = 4095,
	WORKLOAD_VACUUM = 4096,     /* not in all: gives space back after some compactions */
	WORKLOAD_WATCH = 8192,      /* not in all: "at-once", told of each event within its commit, says that and what a reader gets at that moment */
};

struct workload {
	const char *config;     /* plugins.json (oracle.h: proof_write_config) */
	const char *dir;        /* of the store; NULL: the configuration's */
	const char *mode;       /* "memory", "async:10", "sync" */
	enum mf_commit_kind kind; /* what mode says */
	uint64_t seed;
	uint32_t life;          /* 0, 1, ...: keys are unique in a store by life */
	uint32_t batches;       /* to submit; 0: until killed */
	uint32_t batch_max;     /* items of the largest batch, 1 to 100 */
	uint32_t docs;          /* 1 to 8 */
	unsigned what;
	const char *backups;    /* directory for WORKLOAD_BACKUP */
	struct ledger_out out;
	void (*between)(void *user); /* called between two batches; may be NULL */
	void *user;
};

enum mf_status workload_run(const struct workload *workload, struct mf_error *error);

