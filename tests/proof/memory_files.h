/* memory_files.h - a file system in memory, for the library (struct mf_env) and for SQLite (a VFS), that can lose power.
 *
 * Each file has what is written and what is on the device; what lies between the two is remembered call by call, for
 * names as for contents. Everything is seeded by sim.h, costs simulated time, and can be the moment at which the process dies.
 *
 * Invariants
 * 1. Death of the process loses nothing that was written; its descriptors, locks and mapped memory go.
 * 2. Loss of power keeps of each file what was synced, and of what came later what a device may keep: nothing, all, the first
 *    calls, any of them; the last one that is kept may be torn between sectors of 512 bytes.
 * 3. A name is on the device when its directory was synced after it was made, changed or removed; later changes of names are
 *    kept in their order, up to some point. Syncing a file does not keep its name.
 * 4. What a failed sync should have covered may be on the device in parts, and a later sync does not bring the rest, as with Linux, which takes
 *    those pages for written. They can be read until they leave the cache: then the file is what the device has, and what was written since.
 *
 * Thread: whoever has the turn of sim.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "persist/env.h"

#define MEMORY_VFS "memory-files"

/* Registers the VFS as SQLite's default, replaces the library's env. Once. The root directory is "/". */
void memory_files_begin(void);

/* After so many more changing calls of the system (1: the next) the process dies, before or after the call took effect. 0: not. */
void memory_files_die_in(uint32_t calls);
void memory_files_process_died(void); /* invariant 1 */
void memory_files_power_lost(void);   /* invariants 2 and 3; includes the other */

void memory_files_jump_us(int64_t us); /* of the wall clock */
int64_t memory_files_wall_us(void);

uint64_t memory_files_calls(void); /* changing ones so far */
/* Told of every changing call, before it is done. NULL: nobody. */
void memory_files_watch(void (*see)(const char *call, const char *path, int64_t at, const void *bytes, int64_t len));

/* A call that fails: EIO, of any changing call; ENOSPC, of one that needs room; EIO of reads alone. */
struct memory_fault {
	int error;   /* an errno */
	uint32_t in; /* so many calls that it means (1: the next) */
	bool reads, ever;
};
void memory_files_fail(const struct memory_fault *fault); /* from now on; NULL: the device is well again */
void memory_files_fail_no_more(void); /* but what has struck counts on */
uint64_t memory_files_struck(void); /* calls that failed since then */
/* A sync has failed, and what it should have covered will not reach the device by another one. */
bool memory_files_lost_writes(void);
void memory_files_forgive(void); /* lost_writes: from now on */
void memory_files_evict(void); /* invariant 4: no file is open */
/* A device that lies: so many percent of the syncs do nothing. For the test that this is found. */
void memory_files_lie(unsigned percent);
