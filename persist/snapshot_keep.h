/* snapshot_keep.h - which snapshots of a document may go: never one that a kept one builds on, or that the events
 * that are left of a compacted document follow on.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_snapshot_row {
	int64_t upto_lsn, base_lsn; /* base_lsn 0: whole */
	bool kept;
};

struct mf_keep_rule {
	uint32_t newest;     /* so many of the newest */
	int64_t from_lsn;    /* all from here on; INT64_MAX: none for that */
	int64_t events_from; /* the oldest one from here on, on which the events that are left follow; INT64_MAX: none for that */
};

/* Sets kept of each; rows ascend by upto_lsn. */
void mf_snapshot_keep(struct mf_snapshot_row *rows, size_t count, const struct mf_keep_rule *rule);
