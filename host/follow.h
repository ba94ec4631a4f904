/* follow.h - to wait for more until somebody says that it is enough: SIGINT, SIGTERM, or a reader that has gone.
 *
 * From init to deinit the two signals do not end the program: they end the waiting. Thread: the first one, before others. */
#pragma once

#include <signal.h>

#include "host/output.h"

struct mf_follow {
	int signals; /* a file descriptor */
	sigset_t before;
};

/* false: said why. */
bool mf_follow_init(struct mf_follow *follow);
void mf_follow_deinit(struct mf_follow *follow);
/* false: it is enough; where the reader has gone out->error says so. Writes nothing. */
bool mf_follow_wait(struct mf_follow *follow, struct mf_output *out, int timeout_ms);
