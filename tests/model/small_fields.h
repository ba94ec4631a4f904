/* small_fields.h - state fields for tests: two honest ones, and one that does as it is told.
 *
 *   test_nodes   the number of nodes; an event that does not change it gives the old value again
 *   test_trail   a hash over every event so far, all that is stored of it: what only a whole replay can give
 *   test_moody   the number of events, and whatever fault is set */
#pragma once

#include <moduforge/field.h>

extern const struct mf_state_field small_nodes_field, small_trail_field;

/* What test_moody does; all 0 = honest. A status without message stays silent. */
extern struct small_moods {
	int init, apply, encode, decode; /* status to fail with */
	int encodes_left; /* so many still succeed, before encode fails */
	bool no_value;                   /* MF_OK without a value */
	bool other_bytes;                /* encode gives other bytes each time */
	const char *message;
	int64_t forgets;     /* so many events go uncounted each time */
	int64_t refuse_from; /* apply fails when it would count this event; 0: never */
} small_moods;
extern struct mf_state_field small_moody_field; /* its versions may be changed */

/* small_steps_registry with the fields, NULL-terminated. */
struct mf_step_registry *small_fields_registry(const struct mf_state_field *const *fields);
extern const struct mf_state_field *const small_honest_fields[]; /* test_nodes, test_trail */
extern const struct mf_state_field *const small_all_fields[];    /* and test_moody */

int64_t small_field_number(const struct mf_state *state, const char *key); /* what the value holds; asserts that it is there */
int small_fields_alive(void); /* values that were not freed */
void small_assert_same_fields(const struct mf_state *a, const struct mf_state *b, const struct mf_state_field *const *fields); /* their digests */
