/* model_ill.c - the device is ill for some calls: a call on a file fails, once or from then on, and what the library says of it is held
 * against docs/errors.md. A full disk stores nothing and the same runtime goes on; after any other error the store is opened anew, and
 * has what was acknowledged, or, where a sync failed, what was promised. */
#include <errno.h>
#include <string.h>

#include "memory_files.h"
#include "model_parts.h"

static struct memory_fault fault;

void model_fall_ill(void)
{
	fault = (struct memory_fault){.error = sim_below(3) ? EIO : ENOSPC, .in = 1 + sim_below(sim_below(2) ? 6 : 40), .ever = sim_below(2)};
	fault.reads = fault.error == EIO && sim_below(4) == 0;
	the.ill = fault.error == ENOSPC ? MODEL_FULL : MODEL_BROKEN;
	the.ill_calls = 1 + sim_below(6);
	memory_files_fail(&fault);
	model_trace("%s%s%s after %u calls, for %u of ours", fault.error == ENOSPC ? "ENOSPC" : "EIO", fault.reads ? " of reads" : "", fault.ever ? " for ever" : "", fault.in, the.ill_calls);
}

bool model_is_struck(void)
{
	return the.ill != MODEL_WELL && memory_files_struck() > 0;
}

/* A status that the illness explains. */
bool model_excuses(enum mf_status status)
{
	if (!model_is_struck() || status == MF_OK)
		return false;
	bool explained = the.ill == MODEL_FULL ? status == MF_ERR_STORAGE_FULL : status == MF_ERR_IO || status == MF_ERR_UNKNOWN_OUTCOME;
	the.hurt |= explained;
	return explained;
}

bool model_excuses_read(enum mf_status status)
{
	return memory_files_struck() > 0 && fault.reads && model_excuses(status);
}

void model_get_well(void)
{
	the.result->faults += memory_files_struck();
	the.had_been_ill |= model_is_struck();
	memory_files_fail(NULL);
	the.ill = MODEL_WELL;
	the.hurt = false;
}
