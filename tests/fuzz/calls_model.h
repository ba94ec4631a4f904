/* calls_model.h - what a runtime must answer, kept as plainly as can be: a list of what was stored, and of each document the
 * digests before and after what can be undone and redone.
 *
 * It knows nothing of stores, snapshots, queues or recovery. Whether steps fit a document it asks the document itself. */
#pragma once

#include <stdbool.h>

#include <moduforge/transaction.h>
#include <moduforge/value.h>

#define CALLS_DOCS 3
#define CALLS_FACTS_MAX 512
#define CALLS_HISTORY_MAX 64
#define CALLS_STEPS_MAX 3

/* What is handed in, as numbers. */
struct request {
	int doc;
	enum mf_action action;
	int key;        /* negative: none */
	int64_t expect; /* MF_EXPECT_ANY: whatever the document's LSN is */
	size_t steps;
	struct request_step {
		unsigned char kind, node, other, value;
	} step[CALLS_STEPS_MAX];
};

struct fact { /* facts[lsn] */
	struct request request;
	struct mf_digest digest; /* of the document after it */
};

struct moves { /* what undo and redo go along */
	struct move {
		struct mf_digest before, after;
	} items[CALLS_HISTORY_MAX];
	size_t count;
};

struct model {
	size_t history_limit;
	int64_t last_lsn;
	struct fact facts[CALLS_FACTS_MAX + 1];
	struct model_doc {
		struct mf_state *state; /* asked whether steps fit */
		struct mf_digest digest;
		int64_t lsn, compacted_upto;
		struct moves undo, redo;
	} docs[CALLS_DOCS];
};

void model_init(struct model *model, size_t history_limit);
void model_deinit(struct model *model);

/* What a batch of requests must be answered with; nothing changes. *out_known: the fact of the first key that is known, 0: none,
 * or it comes twice within the batch; *out_same: whether that fact is of the same content. */
enum mf_status model_ask(const struct model *model, const struct request *requests, size_t count, int64_t *out_known, bool *out_same);
/* It was accepted: facts with the next LSNs. Traps if the document would refuse it. */
void model_take(struct model *model, const struct request *requests, size_t count);
/* The digest of a document after an LSN. */
const struct mf_digest *model_at(const struct model *model, int doc, int64_t lsn);

/* The transaction that a request stands for, without its key. */
struct mf_transaction *request_transaction(const struct request *request);
