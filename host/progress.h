/* progress.h - one line on standard error that says how far a long command is: only on a terminal,
 * only after a second, rewritten a few times a second. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mf_progress {
	const char *what; /* "lines" */
	bool terminal, shown;
	int64_t next_ms; /* when to write again */
	uint64_t count;
};

void mf_progress_init(struct mf_progress *progress, const char *what);
void mf_progress_step(struct mf_progress *progress);
void mf_progress_end(struct mf_progress *progress); /* takes the line away */
