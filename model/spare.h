/* spare.h - spare nodes for the persistent structures, short lists that each thread keeps.
 *
 * Two reasons: an operation that has reserved its nodes cannot fail half-way, and the nodes
 * that an old version gives back serve the next one while they are still in the cache.
 * The lists are freed when their thread ends (the main thread's: when the process ends).
 *
 * Thread: each thread sees its own lists only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum mf_spare_kind { MF_SPARE_TREE, MF_SPARE_SEQ, MF_SPARE_KINDS }; /* struct mf_tree, struct mf_seq */

/* After true the next count calls of mf_spare_take for this kind succeed. */
bool mf_spare_reserve(enum mf_spare_kind kind, size_t count);
void *mf_spare_take(enum mf_spare_kind kind); /* its content is undefined */
void mf_spare_give(enum mf_spare_kind kind, void *node);
