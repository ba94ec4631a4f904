/* harness.h - what the programs behind ./dev share: their settings, a directory to work in, their children, and how they are stopped.
 *
 * A setting that is wrong is never guessed at: a sentence says what it must be, and the program ends with status 2.
 *
 * harness_begin forks: the rest of the program goes on in a child, and what was the program only watches. Told to stop (SIGINT,
 * SIGTERM, SIGHUP) it kills the child, waits until all that the child had started is gone, removes the places, says how far it
 * came, and exits with 128 + the signal's number. So nothing that is under way then is ever judged. It does the same, with a sentence and
 * status 2, where something failed and a place was removed by somebody else: what fails without its files says nothing. And with status 1
 * after the first failure, where MF_FAIL_FAST=1 says that one is enough.
 *
 * Invariants
 * 1. Whoever is started by harness_fork dies with who started it; all of them ignore the signals that stop.
 * 2. A place is there until the program ends, however it ends, and no longer, but for SIGKILL and MF_KEEP.
 *
 * Thread: one, before others are started; harness_count is any thread's and any child's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HARNESS_MANY 1000000000u /* of anything that is counted */
#define HARNESS_OPEN UINT64_MAX	 /* nobody knows how many */

/* A decimal number from least to most. */
uint64_t harness_parse(const char *name, const char *text, uint64_t least, uint64_t most);
/* One of the environment; otherwise where it is not set or empty. */
uint64_t harness_number(const char *name, uint64_t otherwise, uint64_t least, uint64_t most);
/* MF_JOBS, how many are at work at once: 1 to most, otherwise so many for each processor. */
uint64_t harness_jobs(uint64_t for_each, uint64_t most);
/* Which of the names the environment has; count where it is not set or empty. */
size_t harness_choice(const char *name, const char *const *names, size_t count);

/* Prints the usage and ends: with 0 if it was asked for ("--help", "-h"), else with 2, after what is wrong with the argument. */
_Noreturn void harness_usage(const char *usage, const char *argument);
/* For programs that take "--tap" or nothing; whether it was said. */
bool harness_only_tap(int argc, char **argv, const char *usage);

/* Makes a directory, "mf-NAME-XXXXXX": in TMPDIR if that is set, else in memory where that can be. Ends with 2 if it cannot. */
void harness_make_place(char *out, size_t size, const char *name);
void harness_make_place_in(char *out, size_t size, const char *name, const char *from);
/* With all that is in it. false: it is left, and that is said. */
bool harness_remove_place(const char *dir);

/* After the places were made. of: how many there will be, HARNESS_OPEN, or 0 of a program that does not count. figures (or NULL) tells more of a
 * run that was stopped; it sees the memory that is shared with the child. */
void harness_begin(uint64_t of, void (*figures)(void));
/* One that has ended; what is wrong with it was told before. Does not return if the run is stopped for it: one is enough, or a place is gone. */
void harness_count(bool passed);
pid_t harness_fork(void);
