/* place.h - where a node stands: its parent, its position there, its height. The changes that
 * keep node.h's invariants 1 to 3 true.
 *
 * All of them work on a document that is still private (an edit's). Each may fail half-way with
 * MF_ERR_NO_MEMORY: the caller keeps the old root of the map and goes back to it.
 * A record from mf_place_own stays where it is until the map is shared again. */
#pragma once

#include "model/node.h"

/* The record of id, which must be there, ready to be changed. */
MF_MUST_CHECK enum mf_status mf_place_own(struct mf_doc *doc, const struct mf_str *id, struct mf_node **out);
/* Puts child, a record that is the caller's to change, under parent at index (at most the child count).
 * Sets its parent and label; whether it is in the map already is the caller's business. */
MF_MUST_CHECK enum mf_status mf_place_attach(struct mf_doc *doc, const struct mf_str *parent, size_t index, struct mf_node *child);
/* Takes child out of its parent's list; its own parent and label are left as they were. */
MF_MUST_CHECK enum mf_status mf_place_detach(struct mf_doc *doc, const struct mf_node *child);

/* ---- labels ---- */
#define MF_LABEL_FIRST ((uint64_t)1 << 63)
#define MF_LABEL_GAP ((uint64_t)1 << 32) /* between children that were appended */
