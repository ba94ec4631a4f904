/* walk.h - what the files of the walk share: one transaction, or one batch, under way.
 *
 * commit.c is the walk itself, reserve.c looks the keys up, build.c checks and applies, pending.c is what
 * happens once the outcome is known. Thread: each walk belongs to one. */
#pragma once

#include "host/runtime.h"

/* One proposal's, from the walk to done. */
struct mf_pending {
	struct mf_runtime *runtime;
	struct mf_document *document; /* a user of it; NULL when done */
	struct mf_transaction *transaction;
	struct mf_state *old_state, *new_state;
};

/* One transaction of the walk. The caller fills in the first three. */
struct mf_walk_item {
	const char *doc_id;
	struct mf_transaction *request; /* borrowed */
	bool from_stack;                /* undo, redo: its steps are made on the way */
	/* under way */
	struct mf_document *document;
	size_t place;                       /* of its document in the walk's list */
	struct mf_reservation *reservation; /* until the bus takes it */
	struct mf_pending *pending;         /* until the committer accepts it: then it is done's */
};

/* A document of the walk. */
struct mf_walk_place {
	struct mf_document *document;
	struct mf_state *tip; /* after the items so far; NULL: none built yet */
	bool wants_quiet;
};

struct mf_walk {
	struct mf_runtime *runtime;
	struct mf_walk_item *items;
	size_t count;
	struct mf_walk_place *places; /* in the order of their numbers, no document twice */
	size_t place_count;
	struct mf_proposal *proposals;
	enum mf_commit_kind mode;
	size_t item; /* the one at work, for messages; count: all of them */
	unsigned naps;
};

/* How an attempt goes on. */
enum mf_walk_step { MF_WALK_ON, MF_WALK_AGAIN, MF_WALK_AGAIN_WHEN_QUIET };

/* The walk of one transaction or one batch (docs/architecture.md, steps 0 to 4). */
enum mf_status mf_walk(struct mf_runtime *runtime, struct mf_walk_item *items, size_t count, enum mf_commit_kind mode,
		       struct mf_ticket **out_ticket, struct mf_error *error);

/* Step 0. MF_ERR_DUPLICATE_KEY; MF_WALK_AGAIN after having waited for somebody who has a key. */
enum mf_status mf_walk_reserve(struct mf_walk *walk, enum mf_walk_step *out_step, struct mf_error *error);
void mf_walk_release(struct mf_walk *walk);
/* Step 1, under the walk locks: the new states. */
enum mf_status mf_walk_build(struct mf_walk *walk, enum mf_walk_step *out_step, struct mf_error *error);

/* A proposal's done and release; user is a struct mf_pending. */
void mf_pending_done(void *user, const struct mf_commit_result *result);
void mf_pending_release(void *user);
void mf_pending_free(struct mf_pending *pending); /* NULL is fine */
