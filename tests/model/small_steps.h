/* small_steps.h - three honest step types for tests, and some that break the rules.
 *
 *   test_insert   {"parent":ID,"index":N or absent,"node":{...}}
 *   test_remove   {"id":ID}
 *   test_set      {"id":ID,"key":K,"value":V or absent = unset}
 *   test_refuse   {}   apply fails and says nothing
 *   test_oneway   {}   apply gives no inverse */
#pragma once

#include <moduforge/transaction.h>

struct mf_step_registry *small_steps_registry(void); /* with all of the above, frozen; asserts */
const struct mf_step_type *small_steps_set(void);
/* Adds a step from a printf-made JSON text; asserts that it works. */
void small_steps_add(struct mf_transaction *transaction, const struct mf_step_registry *registry, const char *type_id, const char *format, ...) MF_PRINTF(4, 5);
/* A state after a one-step transaction on state, committed as lsn; takes state. */
struct mf_state *small_steps_commit(struct mf_state *state, struct mf_transaction *transaction, int64_t lsn);
struct mf_digest small_steps_digest(const struct mf_state *state);
