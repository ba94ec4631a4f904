/* state.h - states from the inside, for the code that packs and unpacks them.
 *
 * Invariants
 * 1. Everything but the LSNs is fixed once another thread can reach the state.
 * 2. lsn is written once, from MF_LSN_UNKNOWN; when pushed is set, so is that of the newest
 *    undo entry, before it. */
#pragma once

#include "model/field.h"
#include "model/history.h"

struct mf_state {
	atomic_uint ref;
	bool pushed; /* made by an apply whose inverse is the top of undo */
	_Atomic int64_t lsn;
	struct mf_doc *doc;
	size_t history_limit;
	struct mf_stack undo, redo;
	struct mf_fields *fields; /* NULL: there are none */
	struct mf_fields_note fields_note; /* of the unpacking that made it */
};

/* A private state with empty stacks, to be filled in; takes doc on success and on failure. */
MF_MUST_CHECK enum mf_status mf_state_new_take(struct mf_doc *doc, int64_t lsn, size_t history_limit, struct mf_state **out);
