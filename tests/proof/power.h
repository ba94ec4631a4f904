/* power.h - lives of a store that end by a power loss: recorded, cut everywhere, recovered, held against the ledger.
 *
 * A session is a seed: it decides the kind of load, which is run and recorded (recorder.h) in a child. Then, for cuts all over
 * the recording and several choices a cut, a state is made that a power loss may leave (disk.h), and the oracle (oracle.h) opens
 * it in a child of its own: a crash or hang there is a failure like any other. Then a state that was found sound is taken,
 * the next life begins in it and is recorded as well: so recovery is cut, too, and the recovery of that.
 *
 * A recording is not made twice alike: threads run as they like. So one that had a failure is saved, and replayed from there.
 *
 * Thread: one session at a time in a process, which has no other thread. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Counted by several processes: lies in shared memory. */
struct power_tally {
	atomic_size_t states;       /* different ones: within a recording none comes twice */
	atomic_size_t repeats;      /* choices that made a state which had been tried */
	atomic_size_t failures, sessions, recordings, ops;
	atomic_size_t later;        /* states of a second or third life: the recovery after a power loss was cut */
	atomic_size_t acknowledged, lost, unheard; /* events, over all states; lost: acknowledged as written, and rightly lost */
	atomic_size_t lossy;        /* states that lost such events */
	atomic_size_t most_lost;    /* in one state */
	atomic_size_t backups;      /* files found whole */
	atomic_size_t restored;     /* stores that a recorded restore had made, found whole */
	atomic_size_t empty;        /* states without any event */
	atomic_size_t saved;        /* recordings */
};

struct power_plan {
	const char *scratch; /* a directory, better in memory; what is in it is overwritten */
	const char *save;    /* directory for recordings with a failure; NULL: they are not saved */
	uint64_t seed;
	size_t states;       /* of the session, about */
	unsigned lies;       /* recorder.h */
	bool stop_at_failure; /* one is enough */
	uint32_t kind;       /* of load; POWER_ANY: the seed decides */
	uint32_t batches;    /* of the first life; 0: as the load says */
	void (*tell)(const char *text); /* a failure, in one piece */
};
#define POWER_ANY UINT32_MAX
#define POWER_MEMORY (power_kinds() - 1)
#define POWER_EVERYTHING (UINT32_MAX - 1) /* sync, all of it in turn */

/* Opens a runtime once, so that plugins are loaded before there are children. */
bool power_load_plugins(const char *scratch);

struct oplog;

uint32_t power_kinds(void);
const char *power_kind_name(uint32_t kind);

/* false: it could not be carried out (no room, no fork); failures of the store are in the tally. */
bool power_session(const struct power_plan *plan, struct power_tally *tally);

/* One life of the load on dir/store, recorded in this process (save: the recording's file): for those who want to see that nothing
 * passes by. dir is emptied. */
bool power_live(const struct power_plan *plan, const char *dir);

/* One state of a saved recording, which has that cut; it is left in keep, if that is not NULL, as it was before it was opened, and said in words.
 * Whether it is sound. */
bool power_replay(const struct oplog *recording, size_t cut, uint32_t choice, const char *scratch, const char *keep);
