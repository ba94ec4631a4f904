/* run_acks.h - the answers of `mf run`: a bounded window of lines under way, and the thread that waits for
 * their outcomes in input order and writes one line each.
 *
 * Invariants
 * 1. An answer is written only after its ticket said committed: the commit mode's promise holds by then.
 * 2. Before the thread waits for anything, what it has gathered is flushed: no answer is withheld.
 * 3. After the first storage error every line that did not get its own good outcome is answered with that
 *    error, stop_fd becomes readable and nothing more is taken.
 *
 * Thread: the reader pushes, the writer thread (made by start, ended by finish) answers. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <moduforge/runtime.h>

#include "host/output.h"

#define MF_ACKS_WINDOW 1024
#define MF_ACKS_BYTES ((size_t)64 * 1024 * 1024) /* input under way, at least one line */

struct mf_ack {
	int64_t line;
	size_t bytes;
	struct mf_ticket *ticket; /* NULL: status and lsn are the outcome */
	enum mf_status status;
	int64_t lsn;
	struct mf_error error;
	char doc[MF_ID_MAX + 1]; /* empty: not known */
	char key[MF_ID_MAX + 1]; /* for a duplicate */
};

struct mf_acks {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t pushed, popped;
	size_t head, count, bytes;
	bool closing;
	int stop_fd;
	atomic_bool stopped;
	/* the writer's */
	bool silent; /* --acks none */
	bool failed;
	struct mf_error storage_error; /* status MF_OK: none */
	struct mf_output out;
	struct mf_ack ring[MF_ACKS_WINDOW];
};

enum mf_status mf_acks_start(struct mf_acks *acks, bool silent, struct mf_error *error);
/* The next place of the window, empty; waits for room. To be filled in and pushed. */
struct mf_ack *mf_acks_next(struct mf_acks *acks, size_t bytes);
void mf_acks_push(struct mf_acks *acks);
void mf_acks_drain(struct mf_acks *acks);  /* until all that was pushed is answered */
void mf_acks_finish(struct mf_acks *acks); /* and the thread has ended */
