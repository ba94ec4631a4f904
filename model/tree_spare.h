/* tree_spare.h - spare tree nodes, a short list that each thread keeps.
 *
 * Two reasons: an operation that has reserved its nodes cannot fail half-way, and the nodes
 * that an old version gives back serve the next one while they are still in the cache.
 * The list is freed when its thread ends (the main thread's: when the process ends).
 *
 * Thread: each thread sees its own list only. */
#pragma once

#include "model/tree.h"

/* After true the next count calls of mf_tree_spare_take succeed. */
bool mf_tree_spare_reserve(size_t count);
struct mf_tree *mf_tree_spare_take(void); /* its content is undefined */
void mf_tree_spare_give(struct mf_tree *node);
