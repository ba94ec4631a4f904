/* turns.h - exact points where threads meet: the library's threads are none, but functions that a test calls when they have a
 * turn. A turn ends where the thread would wait; the next begins its function anew, so this is for threads that keep all
 * that they know in what they share. Locks are real, and never in the way: there is one thread.
 *
 * (tests/proof/sim.h is for whole processes, and for any order; this is for one order.) */
#pragma once

#include "fake_store.h"

extern struct turns {
	void (*meanwhile)(void); /* what happens while the test itself waits, once; NULL: every thread has a turn */
	int signals;             /* wakes of anybody so far */
	struct fake_env env;     /* its clock is everybody's */
} turns;

void turns_begin(void); /* before anything is open */
void turns_end(void);
void turn_of(const char *name); /* of the thread that was started under this name; nothing if there is none */
