/* ticket.h - tickets, and the source that settles them.
 *
 * All tickets of one source share its mutex: settling a group is one critical section, and
 * a waiting thread can decide under the same mutex whether to do the work itself (help).
 *
 * Invariants
 * 1. A ticket is settled once: done with its LSN, or failed with a status.
 * 2. Synced is no phase: it is lsn <= the source's synced_lsn, which never shrinks.
 * 3. A ticket holds a reference to its source.
 * 4. A thread counted in waiters calls help, or leave, between being signalled and going away. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <moduforge/ticket.h>

#include "model/thread.h"
#include "persist/env.h"

struct mf_ticket_source {
	pthread_mutex_t mutex;
	pthread_cond_t synced; /* synced_lsn grew, or sync_error was set */
	const struct mf_env *env;
	bool durable;
	int64_t synced_lsn;
	struct mf_error sync_error; /* status MF_OK: none; else what is not synced never will be */
	bool (*help)(struct mf_ticket_source *source);      /* mutex held, may let go of it; true: look again. May be NULL */
	void (*leave)(struct mf_ticket_source *source);     /* mutex held: a waiter gives up. May be NULL */
	bool (*in_callback)(struct mf_ticket_source *source); /* mutex held: is this thread in a call of the source's own? May be NULL */
	void (*free)(struct mf_ticket_source *source);      /* the last reference is gone */
	atomic_uint refs;
};

struct mf_ticket_failure;

struct mf_ticket {
	atomic_uint refs;
	struct mf_ticket_source *source;
	struct mf_ticket *next; /* of whoever settles it */
	pthread_cond_t settled;
	unsigned waiters;
	bool queued; /* help makes sense */
	enum { MF_TICKET_PENDING, MF_TICKET_DONE, MF_TICKET_FAILED } phase;
	int64_t submitted_us; /* monotonic; only while commits are measured */
	int64_t lsn; /* written by the one who settles, read when done */
	enum mf_status status;
	struct mf_ticket_failure *failure; /* the sentence; NULL: none could be kept */
};

/* ---- the source ---- */
void mf_ticket_source_init(struct mf_ticket_source *source, const struct mf_env *env, bool durable); /* one reference */
void mf_ticket_source_deinit(struct mf_ticket_source *source); /* from free */
void mf_ticket_source_ref(struct mf_ticket_source *source);
void mf_ticket_source_unref(struct mf_ticket_source *source);

/* ---- tickets ---- */
enum mf_status mf_ticket_new(struct mf_ticket_source *source, struct mf_ticket **out);
/* A sentence that many tickets share. NULL when memory is short: they keep the status. */
struct mf_ticket_failure *mf_ticket_failure_new(const struct mf_error *error);
void mf_ticket_failure_unref(struct mf_ticket_failure *failure);
/* With the mutex held. The ticket's lsn is already set. The caller wakes the waiters afterwards. */
void mf_ticket_settle(struct mf_ticket *ticket, enum mf_status status, struct mf_ticket_failure *failure);
void mf_ticket_wake(struct mf_ticket *ticket); /* with or without the mutex */
/* Settle and wake one ticket that was never queued. Takes the mutex. */
void mf_ticket_withdraw(struct mf_ticket *ticket, enum mf_status status, const char *sentence);
