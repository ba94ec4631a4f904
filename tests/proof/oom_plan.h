/* oom_plan.h - which allocations of a scene are let fail, where all would take too long: of each call stack that asks for memory some.
 *
 * The scene was run once with nothing failing, and each allocation's call stack was noted (starve.h). Allocations of one stack differ only in
 * what was there before them, so of each stack `each` are taken: the first, the last, and those in between at even distances.
 *
 * Where threads allocate now more, now less, number n is not always asked for by the same stack. So what really failed is noted
 * too, and a stack that no run has struck is aimed at itself (starve_begin_at).
 *
 * Thread: one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oom_plan;

/* stacks[n - 1] is that of allocation n. each 0: all. NULL: no memory. */
struct oom_plan *oom_plan_new(const uint64_t *stacks, size_t count, uint64_t each);
void oom_plan_free(struct oom_plan *plan);

uint64_t oom_plan_next(struct oom_plan *plan); /* 0: all were taken */
void oom_plan_struck(struct oom_plan *plan, uint64_t stack);
/* After all were taken: a stack that was not struck, each in its turn and a few times in all; 0: there is none. */
uint64_t oom_plan_next_missed(struct oom_plan *plan);

size_t oom_plan_allocations(const struct oom_plan *plan);
size_t oom_plan_stacks(const struct oom_plan *plan);
size_t oom_plan_missed(const struct oom_plan *plan); /* stacks that no run has struck */
