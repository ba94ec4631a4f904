/* fault_plan.h - one fault at one system call: which calls there are, what may happen to them, and what was seen.
 *
 * A point is named by what is asked for (calls.h), by the file it is about and by a number: the third write of the log.
 * That does not depend on what other threads do to other files, so a plan that is printed strikes the same call again.
 *
 *   append-sync:write:log:3:enospc:ever     scene : kind : file : number : fault : once or ever
 *
 * "ever": from that call on, every call that the fault can strike fails, on any file, until the plan is lifted: a device that
 * is broken (eio: all that reads, or all that writes), a disk that is full (enospc: all that may need room).
 *
 * Invariants
 * 1. What is told to the parent lies in memory that it shares, so it survives any death of the process.
 * 2. A failed sync is final: another sync of that file before fault_plan_reopened is itself a finding (report->again). Not
 *    while a new database has its rollback journal: nothing is in it yet, and SQLite goes back to that.
 *
 * Thread: hooks come from any thread, one at a time (calls.h); all else from the one that runs the scene. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calls.h"

enum fault_file { FAULT_DB, FAULT_LOG, FAULT_INDEX, FAULT_WATERMARK, FAULT_LOCK, FAULT_METRICS, FAULT_DIR, FAULT_COPY, FAULT_OTHER, FAULT_FILES };

/* What the product owes when it strikes. */
enum fault_weight {
	FAULT_HARMLESS, /* a call that is done in pieces, or interrupted: nothing may be noticed */
	FAULT_FULL,     /* no room: refused, and usable again without a restart */
	FAULT_HANDLES,  /* no descriptors, no memory for a mapping: an error, and usable again */
	FAULT_BROKEN,   /* the device: an error; what was to be written is unknown */
	FAULT_KILL,     /* the process ends */
};

struct fault {
	const char *name;
	enum fault_weight weight;
	struct calls_verdict verdict;
	bool (*strikes)(const struct calls_call *call, bool creates);
	bool once_only;
};
extern const struct fault fault_list[];
extern const size_t fault_count;

struct fault_plan {
	enum calls_kind kind;
	enum fault_file file;
	int64_t number; /* 0: nothing fails */
	const struct fault *fault;
	bool ever;
};

#define FAULT_MOST 1024 /* calls of one kind on one file that can be looked at: fewer than so many */
extern int64_t fault_most; /* FAULT_MOST; less where it is shown that too many are told */

typedef uint16_t fault_traits[CALLS_KINDS][FAULT_FILES][FAULT_MOST]; /* bit i: fault i may strike the call of that number */

struct fault_report {
	int64_t counts[CALLS_KINDS][FAULT_FILES]; /* while armed */
	fault_traits *traits; /* filled in, if there is any */
	char beyond[80];      /* where there were too many calls for it: "read of db"; else "" */
	/* Looked at while threads of the library are struck: */
	_Atomic int64_t struck;
	_Atomic bool wrote, read; /* a call that changes something was struck; one that does not */
	_Atomic bool sync_failed; /* of the database or its log: the store must stop */
	char first[200];  /* the call that was struck first */
	char again[200];  /* a sync after a failed one; "": none */
};

const char *fault_file_name(enum fault_file file);
/* "write:log:3:enospc:ever". Returns buffer. */
const char *fault_plan_tell(const struct fault_plan *plan, char *buffer, size_t size);
bool fault_plan_parse(const char *text, struct fault_plan *out);

/* Watches the directory; counts from fault_plan_arm on, and strikes as planned until fault_plan_lift. */
bool fault_plan_watch(const char *directory, const struct fault_plan *plan, struct fault_report *report);
/* Another plan from now on; while not armed. */
void fault_plan_change(const struct fault_plan *plan);
void fault_plan_arm(void);
void fault_plan_lift(void);
void fault_plan_reopened(void); /* the files are opened anew: they may be synced again */
