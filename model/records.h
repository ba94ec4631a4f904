/* records.h - the node records of a fragment, on their way into a document's map. */
#pragma once

#include "model/fragment.h"

/* One record for each node of fragment, in its order, as entries of a map; each has its children,
 * height, parent and label, but the top has no parent and no label yet. */
MF_MUST_CHECK enum mf_status mf_records_from_fragment(const struct mf_fragment *fragment, struct mf_seq_entry **out);
/* Gives back those that are not in a map. */
void mf_records_free(struct mf_seq_entry *records, size_t count);
/* Into the map, which has none of their ids; those that went in are 0 in records, whose order changes.
 * MF_ERR_NO_MEMORY: some may have gone in. */
MF_MUST_CHECK enum mf_status mf_records_add(struct mf_seq **nodes, struct mf_seq_entry *records, size_t count);
