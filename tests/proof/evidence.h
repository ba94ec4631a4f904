/* evidence.h - a question to the oracle, kept, so that it can be asked once more exactly as it was.
 *
 * The oracle writes to the store that it is asked about, and the ledger is in the memory of who asks. So before it is asked
 * the question is put down: the store and the backups as they are, how much of the ledger was told, and the oracle's plan. If
 * the answer is ill the question is left in a folder that stays, with what was said:
 *
 *   store/ backups/   as the oracle found them; not there if they were not
 *   ledger            the lines, in the order in which they were heard; what the oracle found before is among them
 *   question          the plan
 *   said              the answer, a sentence a line
 *
 * Invariants
 * 1. What is left is never written to again: it is asked about in a copy.
 * 2. A question that is put down is whole: its plan is written last, and goes first.
 * 3. Sentences name the store "store", wherever it lay: the same question has the same answer.
 *
 * Thread: one. A folder belongs to one process at a time. */
#pragma once

#include "oracle.h"

#define EVIDENCE_TEXT 4608

struct evidence {
	char asked[128];  /* the folder of the question that is being asked */
	char ledger[128]; /* the file that the lines go to (ledger_keep) */
};

/* Puts the question down, in place of the one before. told: bytes of the ledger. options: of proof_write_config. */
bool evidence_put(const struct evidence *evidence, const struct oracle_plan *plan, const char *options, long told);
void evidence_forget(const struct evidence *evidence); /* it was answered well */
/* Whether something can be made in the folder; errno. One that is not there is not left there, but those above it are. */
bool evidence_can_be_left(const char *folder);
/* Leaves it as folder/name, or folder/name.2 ... where that is there; out: which. false: there is no question, and out is as it was; or it cannot be
 * written there, errno. */
bool evidence_leave(const struct evidence *evidence, const char *folder, const char *name, const char *said, char *out, size_t size);

/* The oracle's words, with the paths of the plan taken out. */
void evidence_plain(const struct oracle_plan *plan, const char *text, char out[EVIDENCE_TEXT]);

/* Asks about a copy, in the empty directory place. answer: evidence_plain; said: what was said then. false: it cannot be
 * asked, which is told on stderr. */
bool evidence_ask(const char *folder, const char *place, enum oracle_crash *crash, struct oracle_report *report, char answer[EVIDENCE_TEXT], char said[EVIDENCE_TEXT]);
