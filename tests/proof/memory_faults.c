/* memory_faults.c - calls on the files in memory that fail. */
#include <errno.h>
#include <string.h>

#include "memory_files_parts.h"
#include "sim.h"

static struct memory_fault fault;
static uint32_t fails_in; /* 0: never */
static uint64_t struck;
static bool over; /* it struck, and not again */

void memory_files_fail(const struct memory_fault *next)
{
	fault = next ? *next : (struct memory_fault){0};
	fails_in = fault.in;
	over = false;
	struck = 0;
}

void memory_files_fail_no_more(void)
{
	over = true;
}

uint64_t memory_files_struck(void)
{
	return struck;
}

static bool is_meant(enum memory_call call)
{
	switch (call) {
	case MEMORY_READS: return fault.reads;
	case MEMORY_GROWS: return !fault.reads;
	default: return !fault.reads && fault.error != ENOSPC;
	}
}

int memory_fails(enum memory_call call)
{
	if (fails_in == 0 || over || !is_meant(call))
		return 0;
	if (fails_in > 1) {
		fails_in--;
		return 0;
	}
	over = !fault.ever;
	struck++;
	return fault.error;
}

bool memory_is_full(void)
{
	return struck > 0 && !over && fault.error == ENOSPC;
}
