/* documents.h - the table of loaded documents.
 *
 * A document is recovered through the committer on first use, once, however many threads ask; different
 * documents are recovered in parallel. The store can always rebuild one, so those that nobody uses are
 * let go, least recently used first, when more than max_loaded are in memory.
 *
 * Invariants
 * 1. While a document has pending proposals it has users (each proposal is one), so it is never evicted.
 * 2. committed is exactly what is stored of the document whenever pending is 0.
 * 3. head (under walk) may run ahead of committed; it is only built upon while head_generation is the
 *    committer's, and starts again from committed whenever pending is 0.
 *
 * Locks, in this order; none is held while waiting for a ticket:
 *   walk    one transaction of the document at a time is checked, applied and handed over
 *   lock    the fields below it, for a few instructions
 *   the table's own lock: users, the hash chains and the list of idle documents
 * Thread: any. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <moduforge/committer.h>

struct mf_document {
	/* the table's */
	struct mf_document *next; /* in its bucket */
	struct mf_document *idle_before, *idle_after;
	size_t users;
	bool dead; /* could not be loaded: out of the table, freed by its last user */
	uint64_t hash;
	uint64_t number; /* of those in memory, in the order in which they came: the order of locks */
	char *doc_id;

	pthread_mutex_t walk;
	struct mf_state *head;
	uint64_t head_generation;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* anything below */
	enum { MF_DOCUMENT_LOADING, MF_DOCUMENT_LOADED, MF_DOCUMENT_FAILED } phase;
	struct mf_error load_error;
	struct mf_state *committed;
	size_t pending;                /* proposals whose done has not run */
	size_t quiet_wanted;           /* walks that need pending to be 0: newcomers let them pass */
	struct mf_ticket *last_ticket; /* of the newest proposal; NULL before the first */

	atomic_bool announced; /* MF_NOTICE_CREATE was published */
};

struct mf_documents {
	pthread_mutex_t lock;
	struct mf_document **buckets;
	size_t bucket_count; /* a power of two */
	size_t count, max_loaded;
	uint64_t numbers; /* given so far */
	struct mf_document *idle_first, *idle_last; /* least recently used first */
	uint64_t seed;
	const struct mf_committer *committer; /* borrowed */
};

enum mf_status mf_documents_init(struct mf_documents *documents, const struct mf_committer *committer, size_t max_loaded);
void mf_documents_deinit(struct mf_documents *documents); /* nobody uses any of them */

/* Loaded, and the caller a user of it. MF_ERR_INVALID for a bad id, or what recovery says. */
enum mf_status mf_documents_get(struct mf_documents *documents, const char *doc_id, struct mf_document **out, struct mf_error *error);
void mf_documents_use(struct mf_documents *documents, struct mf_document *document); /* one more user, by a user */
void mf_documents_put(struct mf_documents *documents, struct mf_document *document);

/* ---- one document (document.c) ---- */
struct mf_document *mf_document_new(const char *doc_id, uint64_t hash); /* loading, with one user; NULL: no memory */
void mf_document_free(struct mf_document *document);
struct mf_state *mf_document_committed(struct mf_document *document); /* a reference */

/* ---- pending proposals ---- */
void mf_document_add_pending(struct mf_document *document);
void mf_document_set_ticket(struct mf_document *document, struct mf_ticket *ticket); /* takes a reference of its own */
/* committed: the new state, NULL if it failed or was not accepted. Wakes who waits. */
void mf_document_end_pending(struct mf_document *document, struct mf_state *committed);

/* ---- quiet: no proposal pending ---- */
void mf_document_pass_gate(struct mf_document *document); /* wait while another walk wants quiet */
void mf_document_want_quiet(struct mf_document *document);
void mf_document_unwant_quiet(struct mf_document *document);
void mf_document_wait_quiet(struct mf_document *document); /* it was quiet at one instant */
