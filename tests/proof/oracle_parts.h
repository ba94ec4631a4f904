/* oracle_parts.h - the rooms of the oracle: oracle.c opens and closes, oracle_events.c holds the log against the ledger,
 * oracle_states.c the documents, oracle_doors.c what can be done with the store, oracle_backup.c the backups. */
#pragma once

#include <moduforge/runtime.h>

#include "oracle.h"

#define ORACLE_DOCS 64

struct oracle_doc {
	char id[LEDGER_NAME];
	const struct ledger_item *last; /* its newest event that was found */
	int64_t lsn;                    /* as recovered the first time */
	struct ledger_state state;
};

struct oracle {
	const struct oracle_plan *plan;
	struct ledger *ledger;
	struct oracle_report *report;
	struct mf_runtime *runtime;
	struct mf_store *store;
	struct mf_store_stats stats; /* just after the opening */
	int64_t watermark;           /* before it; -1: none */
	struct ledger_item **by_lsn; /* 1 to stats.last_lsn; NULL: not there */
	bool *is_event;              /* else its key alone is left */
	struct oracle_doc docs[ORACLE_DOCS];
	size_t doc_count;
	uint64_t random;
};

/* One finding more: a promise was broken. */
void oracle_broken(struct oracle *oracle, const char *format, ...) MF_PRINTF(2, 3);
/* The store refused: where is what was asked of it. Returns false. */
bool oracle_refused(struct oracle *oracle, const char *where, enum mf_status status, const struct mf_error *error);

/* Each returns false when it was refused; findings are in the report. */
bool oracle_read_events(struct oracle *oracle);  /* fills by_lsn and the items' found */
void oracle_check_items(struct oracle *oracle);  /* promises, batches, levels, what was seen */
bool oracle_check_states(struct oracle *oracle); /* digests and depths, now and of the past */
bool oracle_same_states(struct oracle *oracle);  /* recovered a second time */
bool oracle_check_followers(struct oracle *oracle);
bool oracle_try_duplicates(struct oracle *oracle);
bool oracle_try_append(struct oracle *oracle);
void oracle_check_backups(struct oracle *oracle);

struct oracle_doc *oracle_doc(struct oracle *oracle, const char *id); /* made if need be; NULL: too many */
/* Whether it has to be there. */
bool oracle_is_promised(const struct oracle *oracle, const struct ledger_item *item);
