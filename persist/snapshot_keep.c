/* See persist/snapshot_keep.h. */
#include "persist/snapshot_keep.h"

/* A base is older than what builds on it. */
static void keep_base(struct mf_snapshot_row *rows, size_t at)
{
	for (size_t i = at; rows[at].base_lsn > 0 && i-- > 0 && rows[i].upto_lsn >= rows[at].base_lsn;)
		if (rows[i].upto_lsn == rows[at].base_lsn)
			rows[i].kept = true;
}

void mf_snapshot_keep(struct mf_snapshot_row *rows, size_t count, const struct mf_keep_rule *rule)
{
	bool followed = false;
	for (size_t i = 0; i < count; i++) {
		bool follows = !followed && rows[i].upto_lsn >= rule->events_from;
		followed |= follows;
		rows[i].kept = count - i <= rule->newest || rows[i].upto_lsn >= rule->from_lsn || follows;
	}
	for (size_t i = count; i-- > 0;)
		if (rows[i].kept)
			keep_base(rows, i);
}
