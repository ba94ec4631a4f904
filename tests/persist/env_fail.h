/* env_fail.h - the operating system's environment, in which calls fail when a test wants it. One plan for the process. */
#pragma once

#include "persist/env.h"

const struct mf_env *env_fail(void);
/* The calls that follow: number n (from 1; 0: none) and those after it, times in all, fail with -code; nothing is carried out, but for
 * close. Clocks do not count. */
void env_fail_begin(int64_t n, int64_t times, int code);
void env_fail_end(void);
int64_t env_fail_made(void); /* since env_fail_begin */
