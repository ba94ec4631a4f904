/* ledger.h - what a run told the world outside its crash domain, line by line, and the world's book of it.
 *
 * A run says what it submits before it submits it, and what it was told at once when it was told: one line, one write,
 * into a pipe (or into memory, for a harness in one process). What the pipe holds when the run dies is what the world
 * knows; a last line without its newline was never said. The oracle (oracle.h) holds a store against the book.
 *
 * Invariants
 * 1. A line is written with one call of the sink, so that threads may share it; it is shorter than PIPE_BUF.
 * 2. Neither keys, documents nor follower names have white space; each is shorter than LEDGER_NAME.
 * 3. Saying allocates nothing: it can be done while every allocation fails.
 * 4. A key is said to be submitted once; once more only after it ended absent or was lost, with a new batch. Batch numbers
 *    are unique. What is tried again after an unknown end is not said anew: the old batch ends a second time.
 *
 * 5. A ledger that is fed the lines that another one kept is that one's equal.
 *
 * Thread: saying is as safe as the sink; a ledger belongs to one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <moduforge/persist.h>

#define LEDGER_NAME 48

/* ---- saying ---- */
struct ledger_out {
	void (*line)(void *user, const char *line, size_t len); /* with its newline */
	void *user;
};
/* A sink into a descriptor: user is (void *)(intptr_t)fd. Writes all of it; a reader that has gone is ignored. */
void ledger_line_to_fd(void *user, const char *line, size_t len);

/* What a document is after a transaction, as far as the one who says it knows. */
struct ledger_state {
	bool known;
	struct mf_digest digest;
	uint32_t undo, redo; /* depths */
};
bool ledger_state_of(const struct mf_state *state, struct ledger_state *out); /* false: no memory */

struct ledger_item {
	char key[LEDGER_NAME], doc[LEDGER_NAME];
	enum mf_action action;
	uint64_t batch;        /* number of the batch; a single transaction is a batch of one */
	uint32_t index, count; /* its place in the batch */
	enum mf_commit_kind mode; /* its own, when it was raised */
	struct ledger_state after;
	/* The rest is the book's: */
	uint32_t life;
	int64_t lsn; /* 0: not known */
	int64_t found; /* the oracle's: where it is in the store; 0: nowhere */
	enum ledger_level { LEDGER_SUBMITTED, LEDGER_ABSENT, LEDGER_UNKNOWN, LEDGER_WRITTEN, LEDGER_SYNCED, LEDGER_LOST, LEDGER_REPLACED } level;
};

/* Before an opening: if that is killed, the world knows that there may be a database. */
void ledger_say_opening(const struct ledger_out *out, enum mf_commit_kind mode);
/* A life of the store begins: it was opened for writing, and had so much. In mode memory epoch and last_lsn are 0. */
void ledger_say_opened(const struct ledger_out *out, enum mf_commit_kind mode, int64_t epoch, int64_t last_lsn);
void ledger_say_submitted(const struct ledger_out *out, const struct ledger_item *item); /* each of a batch, in order, before it is */
/* LEDGER_WRITTEN, LEDGER_SYNCED with the batch's last LSN; LEDGER_ABSENT, LEDGER_UNKNOWN. */
void ledger_say_ended(const struct ledger_out *out, uint64_t batch, enum ledger_level level, int64_t last_lsn);
void ledger_say_synced(const struct ledger_out *out, int64_t lsn); /* the store says: synced up to here */
/* A reader saw the document so, after the event lsn. */
void ledger_say_seen(const struct ledger_out *out, const char *doc, int64_t lsn, const struct ledger_state *state);
/* A follower is about to return MF_OK for this event. It must say so before it returns. What a follower sees is committed:
 * that counts as an acknowledgement. */
void ledger_say_handled(const struct ledger_out *out, const char *follower, bool synced_only, int64_t lsn, const char *key);
/* It was told that events are not in the store any more, or that it is set back: it goes on after lsn. */
void ledger_say_placed(const struct ledger_out *out, const char *follower, int64_t lsn);
void ledger_say_snapshot(const struct ledger_out *out, const char *doc, int64_t upto_lsn);
void ledger_say_compacting(const struct ledger_out *out, const char *doc); /* before it is asked for */
void ledger_say_compacted(const struct ledger_out *out, const char *doc, int64_t upto_lsn);
/* Only its last name is kept. at_least: what was committed when it began. */
void ledger_say_backing_up(const struct ledger_out *out, const char *file, int64_t at_least);
void ledger_say_backed_up(const struct ledger_out *out, const char *file, int64_t lsn);
void ledger_say_closed(const struct ledger_out *out, enum mf_status status);
/* By the harness, between two lives: the power went. What was not promised may be gone, and is so for ever if the next opening
 * does not have it; what that opening has is on the device. */
void ledger_say_power_lost(const struct ledger_out *out);

/* ---- the book ---- */
struct ledger_follower {
	char name[LEDGER_NAME];
	uint32_t life;   /* in which it was last told of an event */
	int64_t last;    /* that event, or after what it was placed */
	int64_t handled; /* the newest event that it ever handled, or was placed after */
};
struct ledger_life {
	enum mf_commit_kind mode;
	int64_t epoch, last_lsn;
	int64_t newest; /* acknowledged in it */
	bool closed; /* in good order: then all of it is synced */
};
struct ledger_seen {
	char doc[LEDGER_NAME];
	int64_t lsn;
	enum mf_commit_kind mode; /* of the life in which it was: in mode sync nothing is seen that a power loss may take */
	struct ledger_state state;
};
struct ledger_backup {
	char file[LEDGER_NAME];
	int64_t at_least, lsn; /* lsn 0: it was not said to be complete */
};
struct ledger_place { /* of a document */
	char doc[LEDGER_NAME];
	bool compacting;
	int64_t snapshot, compacted;
};

struct ledger {
	struct ledger_item *items;
	size_t count;
	struct ledger_life *lives;
	size_t life_count;
	struct ledger_follower *followers;
	size_t follower_count;
	struct ledger_seen *seen;
	size_t seen_count;
	struct ledger_backup *backups;
	size_t backup_count;
	struct ledger_place *places;
	size_t place_count;
	bool durable;       /* it may have been opened in a durable mode, ever */
	int64_t synced_lsn; /* the most that was reported synced, by whatever means */
	uint64_t lines;
	uint64_t said[128]; /* lines by their first letter (ledger_say.c) */
	uint64_t ended[8];  /* batches by how they ended, enum ledger_level */
	char wrong[512];    /* what was told cannot be true, whatever the store holds; "" */
	struct ledger_more *more;
};

struct ledger *ledger_new(void); /* aborts without memory: a book that is not complete proves nothing */
struct ledger *ledger_copy(const struct ledger *ledger); /* for a second store, made from the first */
void ledger_free(struct ledger *ledger);
/* More of one stream, in pieces of any size; each stream (of a process) has a tail of its own, zero-initialised. */
struct ledger_tail {
	char line[512];
	size_t len;
};
void ledger_feed(struct ledger *ledger, struct ledger_tail *tail, const char *bytes, size_t len);
/* To the end of file. The number of lines. */
size_t ledger_read(struct ledger *ledger, int fd);
/* A sink into a ledger of the same process: user is the ledger. Any thread, as long as nobody reads it. */
void ledger_line_to_ledger(void *user, const char *line, size_t len);

/* From now on each line goes there, too, the moment it is taken; NULL: no more. A copy of the ledger does not. */
void ledger_keep(struct ledger *ledger, FILE *file);
/* By the oracle: what it found (item->found) is there for good, and what it did not find is lost for good. */
void ledger_settle(struct ledger *ledger, int64_t last_lsn, int64_t synced_lsn);
void ledger_forget_backups(struct ledger *ledger); /* they are looked at, and gone */

struct ledger_item *ledger_find(const struct ledger *ledger, const char *key); /* NULL: it was never submitted */
struct ledger_place *ledger_place(struct ledger *ledger, const char *doc);     /* made if need be */
