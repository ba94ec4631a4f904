/* sim.h - a process whose threads run one at a time, on a clock of its own: what makes a seed replay exactly.
 *
 * It takes the place of model/thread.h. Threads of the library are real ones, but only the one that has the turn
 * runs; the turn passes where a thread waits, ends or is waited for, to one that a seeded choice picks. Time stands still
 * while anybody can go on; when nobody can, it jumps to the nearest deadline. So windows, timers and retries
 * happen exactly when the simulated time comes, and never because a machine is slow.
 *
 * The caller of sim_begin is the driver. What an application would do it does in a thread that belongs to the simulated
 * process (sim_call), so that the process can die anywhere in it: its threads then never get a turn again, as after kill -9.
 *
 * Invariants
 * 1. At most one thread runs. Who runs next depends on the seed alone.
 * 2. A thread may lose its turn where it waits, where it unlocks a mutex, and in a call of the system (sim_take); nowhere else.
 * 3. sim_now_us grows in sim_spend, and when nobody can go on.
 *
 * The library's mutexes are ours too, by the linker: an executable with a simulation is linked with sim_link_args (meson.build).
 *
 * One simulation in a process: it ends with _exit. Nobody can be stuck unseen: when all wait for ever it says so and exits with 3. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

void sim_begin(uint64_t seed);

/* ---- the driver ---- */
/* The application's thread does it. False: the process died meanwhile. */
bool sim_call(void (*work)(void *user), void *user);
bool sim_advance(int64_t us); /* what is due until then happens. False: the process died of it */
bool sim_settle(void);        /* who can go on without time passing does */
void sim_kill(void);          /* the process dies between two calls */

/* ---- anybody who has the turn ---- */
void sim_seed(uint64_t seed); /* of all choices from now on */
uint64_t sim_random(void);
uint32_t sim_below(uint32_t limit); /* 0 to limit - 1 */
int64_t sim_now_us(void);
void sim_spend(int64_t us); /* something took so long; nobody else runs meanwhile */
void sim_take(int64_t us);  /* a call of the system takes so long; others run meanwhile */
/* A thread of the process: the process dies here, the driver goes on. Does not return. */
_Noreturn void sim_die(void);
uint64_t sim_switches(void); /* turns given so far */
