/* power_parts.h - between power.c, which runs sessions, and power_check.c, which holds one state against the oracle. */
#pragma once

#include "disk.h"
#include "oracle.h"
#include "power.h"

#define POWER_PATH 256
#define POWER_LIVES 3 /* of a session */

/* A recording on its way from cut to cut. */
struct power_walk {
	const struct oplog *log;
	struct disk disk;
	struct ledger *ledger;
	struct ledger_tail tail;
	int64_t restored[POWER_LIVES]; /* 0, or the newest LSN of the store that was restored in that life, into "restored-LIFE" */
};
/* Said of a restore that has returned: a mark that is not the ledger's. */
void power_say_restored(uint32_t life, int64_t lsn);
void power_walk_init(struct power_walk *walk, const struct oplog *log);
void power_walk_to(struct power_walk *walk, size_t cut);
void power_walk_deinit(struct power_walk *walk);

/* What a child found out. Lies in shared memory. */
struct power_answer {
	struct oracle_report report;
	size_t restored; /* stores found whole */
	char reader[600]; /* what a reader that came before the writer complained of */
	char story[2048];
	bool made; /* the state */
};

enum power_outcome { POWER_SOUND, POWER_UNSOUND, POWER_CRASHED, POWER_HUNG, POWER_BROKEN /* the harness */ };

/* In a child: makes the state in a directory below scratch and asks the oracle. */
enum power_outcome power_check(const struct power_walk *walk, uint32_t choice, const char *scratch, struct power_answer *answer, int *out_signal);
/* Empties a directory, makes it if need be. */
bool power_clear(const char *dir);
