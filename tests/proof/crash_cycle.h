/* crash_cycle.h - one cycle of crash.c: a store of its own, a few lives, each ended by a kill, and the oracle. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What was seen, added up. */
struct crash_figures {
	uint64_t cycles, failed, kills, early_kills, closed, mode_lives[3];
	uint64_t submitted, acknowledged, recovered, unheard, compacted;
	uint64_t checkpoints, backups, backup_kills, side_kills;
	uint64_t copies, copies_refused; /* of stores that were written to */
	uint64_t oracle_ms, life_ms, evidence_us;
};

/* Where the stores will be, and the evidence, once for all cycles. Ends with 2 if there is no room to write. */
void crash_make_places(void);
/* Prints what is wrong, if anything. The figures are added to. */
bool crash_cycle(uint64_t seed, uint64_t cycle, struct crash_figures *figures);
/* Of a cycle whose process has died: leaves the question that it was at (evidence.h), with text for the answer, and prints
 * how the cycle is run again. Before the figures count it as failed. */
void crash_leave_evidence(uint64_t seed, uint64_t cycle, struct crash_figures *figures, const char *text);
