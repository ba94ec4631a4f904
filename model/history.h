/* history.h - the undo and redo stacks of a state: persistent, so that a state shares them with
 * the one before it, and bounded, so that the oldest entry falls off at the limit.
 *
 * A stack is two chains of entries: recent, where pushes go, and below it older. When recent has
 * grown to the limit it becomes older and the former older one is let go. So push, pop and the
 * drop of the oldest are O(1), and at most 2 * limit entries are kept alive.
 *
 *   top -> e9 -> e8 -> NULL      recent, recent_count 2
 *          e7 -> e6 -> e5 ...    older; depth says how many entries count in all
 *
 * Invariants
 * 1. depth <= limit, and recent and older together hold at least depth entries.
 * 2. An entry is in one place of one chain for ever; of all it holds only its LSN changes, once.
 *
 * Ownership: a stack owns a reference to the head of each chain, an entry one to the next.
 * Thread: stacks may be read by any thread; reference counts and LSNs are atomic. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include <moduforge/transaction.h>

#define MF_LSN_UNKNOWN ((int64_t)-1)

/* What undoes (on the redo stack: redoes) one event. */
struct mf_entry {
	atomic_uint ref;
	_Atomic int64_t lsn; /* of the apply event concerned; MF_LSN_UNKNOWN until it is committed */
	uint64_t tr_id;      /* of that event's transaction */
	struct mf_entry *next;
	size_t count;
	struct mf_step *steps[]; /* in the order in which they are to be applied */
};

struct mf_stack {
	struct mf_entry *recent, *older;
	size_t recent_count, depth;
};

/* ---- entries ---- */
/* With room for count steps, all NULL, to be filled in by the caller (a NULL step is fine when it is freed). */
MF_MUST_CHECK enum mf_status mf_entry_new(size_t count, int64_t lsn, uint64_t tr_id, struct mf_entry **out);
void mf_entry_unref(struct mf_entry *entry); /* NULL is fine; chains of any length without recursion */

/* ---- stacks: {0} is the empty one ---- */
struct mf_stack mf_stack_ref(const struct mf_stack *stack);
void mf_stack_unref(struct mf_stack *stack);
/* In place, for a stack that the caller alone reads. The entry is new and taken; limit 0 drops it. */
void mf_stack_push_take(struct mf_stack *stack, size_t limit, struct mf_entry *entry);
void mf_stack_pop(struct mf_stack *stack); /* not when empty */
struct mf_entry *mf_stack_top(const struct mf_stack *stack); /* NULL when empty; borrowed */

/* From the top down: for (struct mf_stack_iter i = {.stack = s}; (e = mf_stack_next(&i));) */
struct mf_stack_iter {
	const struct mf_stack *stack;
	const struct mf_entry *last;
	size_t seen;
};
const struct mf_entry *mf_stack_next(struct mf_stack_iter *iter);
