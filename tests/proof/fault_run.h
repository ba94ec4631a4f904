/* fault_run.h - one scene under one plan, each part in a process of its own: played, then held against the oracle.
 *
 * The ledger, the report and the findings lie outside the crash domain (a file, shared memory); a part that crashes, or
 * does not end, is a finding. */
#pragma once

#include "fault_scene.h"

enum fault_outcome { FAULT_PASSED, FAULT_FAILED, FAULT_NOT_REACHED };

struct fault_bench; /* a place to run in; one run at a time */

struct fault_bench *fault_bench_new(const char *base, unsigned number, uint64_t seed); /* aborts without memory */
void fault_bench_free(struct fault_bench *bench);

/* What the scene begins with, prepared without a fault, and looked at. false: it could not, why says so. */
bool fault_bench_prepare(struct fault_bench *bench, const struct scene_kind *kind, const char *template_dir, char *why, size_t size);
/* Adds the calls of the scene, of one time that it is played, to traits. false also: more than traits has room for. */
bool fault_bench_count(struct fault_bench *bench, const struct scene_kind *kind, const char *template_dir, fault_traits *traits, char *why, size_t size);
/* why: what was wrong, one or more lines; "" when it passed. tell: what is struck is printed. */
enum fault_outcome fault_bench_run(struct fault_bench *bench, const struct scene_kind *kind, const char *template_dir, const struct fault_plan *plan, char *why, size_t size);
