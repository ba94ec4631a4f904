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
	size_t heard; /* lines, by the world: up to the cut */
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
	bool judged; /* to the end */
};

enum power_outcome { POWER_SOUND, POWER_UNSOUND, POWER_CRASHED, POWER_HUNG, POWER_BROKEN /* the harness */ };

/* The states of a recording that were tried. A state is an image of the files and what the world had heard by then: the same image after
 * another acknowledgement is another question. */
struct power_images {
	uint64_t *slots;
	size_t count, room;
};
bool power_images_add(struct power_images *images, uint64_t image, size_t heard); /* whether it is new */
void power_images_free(struct power_images *images);

/* Makes the state in a directory below scratch; the answer is emptied, and has its story. false: it could not be made. */
bool power_make(const struct power_walk *walk, uint32_t choice, const char *scratch, struct power_answer *answer, uint64_t *out_image);
/* In a child: asks the oracle about the state that was made. */
enum power_outcome power_check(const struct power_walk *walk, uint32_t choice, const char *scratch, struct power_answer *answer, int *out_signal);
/* Empties a directory, makes it if need be. */
bool power_clear(const char *dir);
