/* random_steps.h - random steps that mostly fit a document, from a seed that replays exactly. */
#pragma once

#include "tests/stepfactories/steps_fixture.h"

struct random {
	uint64_t state;
};
uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound); /* bound > 0 */

/* A step of any of the seven types. Most fit doc; some name nodes, positions or parents that do not. */
struct mf_step *random_step(struct random *random, const struct mf_doc *doc);
