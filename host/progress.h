/* progress.h - one line on standard error that says how far a long command is: only on a terminal,
 * only after a second, rewritten a few times a second. One at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mf_progress {
	const char *what; /* "lines" */
	bool terminal;
	int64_t next_ms; /* when to write again */
	uint64_t count;
};

void mf_progress_init(struct mf_progress *progress, const char *what);
void mf_progress_step(struct mf_progress *progress);
/* Takes the line away, also for the moment, so that something else can be written. Thread: any. */
void mf_progress_hide(void);
