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
enum mf_status small_replay(const struct mf_state *state, const struct mf_transaction *transaction, int64_t lsn, struct mf_state **out); /* one event */
struct mf_state *small_steps_commit(struct mf_state *state, struct mf_transaction *transaction, int64_t lsn);
struct mf_digest small_steps_digest(const struct mf_state *state);

/* One registry for a whole program: setup and teardown of its group of tests. */
extern struct mf_step_registry *small_registry;
int small_make_registry(void **unused);
int small_free_registry(void **unused);
struct mf_state *small_state_new(size_t limit);
struct mf_transaction *small_transaction_new(void);
/* The next three take state and commit as lsn. Sets root.n; the transaction's id is lsn + 1000. */
struct mf_state *small_set_number(struct mf_state *state, int number, int64_t lsn);
struct mf_state *small_undo(struct mf_state *state, int64_t lsn);
struct mf_state *small_redo(struct mf_state *state, int64_t lsn);
int small_number_in(const struct mf_state *state); /* root.n, or -1 if it is unset */
void small_assert_digest(const struct mf_state *state, const struct mf_digest *expected);

#define ADD_INSERT(transaction, parent, index, id) \
	small_steps_add(transaction, small_registry, "test_insert", "{\"parent\":\"%s\",\"index\":%d,\"node\":{\"id\":\"%s\",\"type\":\"item\"}}", parent, index, id)
#define ADD_SET(transaction, id, key, value) \
	small_steps_add(transaction, small_registry, "test_set", "{\"id\":\"%s\",\"key\":\"%s\",\"value\":%d}", id, key, value)
#define ADD_UNSET(transaction, id, key) \
	small_steps_add(transaction, small_registry, "test_set", "{\"id\":\"%s\",\"key\":\"%s\"}", id, key)
