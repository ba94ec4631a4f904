/* starve.h - memory runs out: the n-th allocation of the process fails, once or with all that follow.
 *
 * In an ordinary build every allocation counts: malloc and its kin are defined in the harness' own executable, which exports
 * them, so those of libmoduforge, SQLite, zstd, the plugins, the dynamic linker and the C library itself come here.
 * Under a sanitizer, which has its own malloc, there are two smaller worlds: the library's own (model/mem.h) and SQLite's.
 *
 * Thread: any allocation from any thread counts; the calls below belong to one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum starve_world { STARVE_ALL, STARVE_OWN, STARVE_OTHERS };

/* Before SQLite is used. Names the worlds of this build. */
void starve_prepare(void);
bool starve_has(enum starve_world world);
/* Counts from 1. n 0: only counts. */
void starve_begin(enum starve_world world, uint64_t n, bool forever);
/* The same, but it counts only what this call stack asks for (starve_profile_to). Slow: each allocation is looked at. Not in STARVE_OWN. */
void starve_begin_at(enum starve_world world, uint64_t stack, uint64_t n, bool forever);
void starve_end(void);
uint64_t starve_count(void);

/* Where the first one that failed was asked for; frames 0: none did. Written when it fails, so that in memory which is shared
 * it outlives a process that dies of it. */
#define STARVE_FRAMES 24
struct starve_trace {
	_Atomic int frames;
	void *at[STARVE_FRAMES];
};
void starve_trace_to(struct starve_trace *out); /* from now on; NULL: nowhere */

/* From where each allocation is asked for: out[n - 1] is the call stack of number n, as starve_stack has it. In STARVE_OWN none is seen. */
void starve_profile_to(uint64_t *out, size_t most); /* from now on; NULL: nowhere */
/* A call stack as a number, the same in each child wherever its plugins are loaded; never 0. */
uint64_t starve_stack(void *const *at, int frames);
