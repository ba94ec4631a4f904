/* oracle.h - what a store must be after a crash, held against the ledger of what the world was told.
 *
 *   struct oracle_plan plan = {.dir = dir, .config = config, .crash = ORACLE_KILLED};
 *   struct oracle_report report;
 *   if (!oracle_check(&plan, ledger, &report))
 *           puts(report.text);
 *
 * It opens the store in this process by the runtime with the plugins of the build tree, twice, and checks:
 *  1. acknowledged is a part of recovered, and that of submitted: under its LSN, for its document, with its action
 *  2. LSNs are contiguous from 1, but for what a compaction that was asked for took away (its keys are there)
 *  3. mf_store_verify finds nothing: every checksum, chain and index is right
 *  4. batches are whole, with consecutive LSNs in their order
 *  5. no key twice
 *  6. the watermark, read by the oracle's own means, is not above what was recovered
 *  7. each document has the digest, and undo and redo depths, that the live run had at that LSN
 *  8. recovering twice gives the same
 *  9. a key that is there, submitted again, is a duplicate with its LSN and the same content; it changes nothing
 * 10. a clean append works, gets the next LSN, and is there afterwards
 * 11. what ended absent is not there; what ended unknown may be
 * 12. epochs never fall along the log, belong to the life that wrote, and the new one is above them all
 * 13. what readers and followers were shown is stored as the mode promises; a follower's checkpoint is not ahead of
 *     what it handled, and it passed over nothing
 * 14. a backup file is absent or whole, and a prefix of what was submitted that has what was committed when it began
 * 15. the mode's promise for this kind of crash:
 *                     ORACLE_KILLED                  ORACLE_POWER_LOST
 *     memory          nothing is there, LSNs begin anew
 *     async           all that was acknowledged      all up to the newest reported synced; what survives is a prefix
 *     sync            all that was acknowledged      all that was acknowledged
 *
 * ORACLE_COPIED is a copy that was made while the store was written to: it may be refused; if it opens, it has at least
 * what its own watermark says, and what it has is a prefix. (Its epochs may be the original's once more.)
 *
 * With faults injected it is ORACLE_KILLED where the files kept what was written, ORACLE_POWER_LOST where a failed
 * sync or a power cut may have taken it away; what the errors said is in the ledger (absent, unknown).
 *
 * Afterwards the ledger knows what was found (what was there is from now on acknowledged and synced, what was lost is
 * lost for ever), so that the store can be used and killed again with the same ledger.
 *
 * It never asserts and never ends the process. Thread: one at a time in a process. */
#pragma once

#include "ledger.h"

enum oracle_crash { ORACLE_KILLED, ORACLE_POWER_LOST, ORACLE_COPIED };

enum oracle_leave { /* out, to be faster or to leave the store as it is */
	ORACLE_LEAVE_VERIFY = 1,
	ORACLE_LEAVE_APPEND = 2, /* 9 and 10 */
	ORACLE_LEAVE_SECOND = 4, /* 8 */
};

struct oracle_plan {
	const char *dir;     /* of the store */
	const char *config;  /* a plugins.json as proof_write_config makes it */
	const char *backups; /* the directory that the ledger's backups are in; NULL: they are not looked at */
	enum oracle_crash crash;
	unsigned leave;
	uint64_t seed;       /* for what it picks at random */
};

enum oracle_verdict {
	ORACLE_SOUND,
	ORACLE_REFUSED, /* opening, verifying or reading said that it is not sound: after damage that is an answer, after a crash it is a fault */
	ORACLE_BROKEN,  /* a promise was broken and nobody said so */
};

struct oracle_report {
	enum oracle_verdict verdict;
	enum mf_status status; /* REFUSED: what it was refused with */
	int64_t lsn;           /* REFUSED: of the error */
	char text[4096];       /* a sentence on each finding, each with its newline; "" when sound */
	unsigned findings;
	int64_t last_lsn;      /* recovered */
	size_t submitted, acknowledged, recovered;
	size_t lost;           /* acknowledged as written only, and allowed to be lost */
	size_t unheard;        /* there, though the acknowledgement was never heard */
	size_t compacted, checkpoints, backups;
	size_t warnings;       /* after a power loss: the watermark did not fit its CRC */
};

/* Whether it is sound. */
bool oracle_check(const struct oracle_plan *plan, struct ledger *ledger, struct oracle_report *report);
/* Whether the answer is as it must be after this crash: sound, or, of a copy, refused as damaged. */
bool oracle_is_fine(enum oracle_crash crash, const struct oracle_report *report);

/* A plugins.json over dir with the step factories and the snapshot subscriber of the build tree. options: members of the
 * subscriber's configuration, each beginning with a comma; NULL. Returns false when it cannot be written. */
bool proof_write_config(const char *path, const char *dir, const char *options);
