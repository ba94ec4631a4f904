/* moduforge/transaction.h - transactions, and the state they lead from and to.
 *
 * A transaction is an ordered list of steps, applied all or none. A state is a
 * document with its version (LSN) and its undo and redo stacks; like a document
 * it is immutable and shared.
 *
 * Thread: a transaction belongs to one thread until it is handed over; states may be read by any. */
#pragma once

#include <moduforge/step.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mf_action { MF_ACTION_APPLY = 0, MF_ACTION_UNDO = 1, MF_ACTION_REDO = 2 }; /* stored: never renumbered */

#define MF_EXPECT_ANY ((int64_t)-1)

/* ---- transactions ---- */
struct mf_transaction;
MF_API MF_MUST_CHECK enum mf_status mf_transaction_new(struct mf_transaction **out);
MF_API void mf_transaction_free(struct mf_transaction *transaction); /* NULL is fine */
/* Strings are copied. actor: NULL = none. key: NULL = made by the library. 1 to MF_ID_MAX bytes of UTF-8. */
MF_API MF_MUST_CHECK enum mf_status mf_transaction_set_actor(struct mf_transaction *transaction, const char *actor, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_transaction_set_key(struct mf_transaction *transaction, const char *key, struct mf_error *error);
MF_API void mf_transaction_set_meta(struct mf_transaction *transaction, const struct mf_value *meta); /* any JSON value; NULL = {} */
/* Commit only if the document's last LSN is version (0 = new document); MF_EXPECT_ANY = no check. */
MF_API void mf_transaction_set_expect(struct mf_transaction *transaction, int64_t version);
MF_API MF_MUST_CHECK enum mf_status mf_transaction_add(struct mf_transaction *transaction, const struct mf_step *step); /* takes a reference of its own */
/* type_id and JSON data in one call. */
MF_API MF_MUST_CHECK enum mf_status mf_transaction_add_json(struct mf_transaction *transaction, const struct mf_step_registry *registry,
							    const char *type_id, const char *json, struct mf_error *error);
/* The same, for what comes from outside: in the format %s stands for a whole JSON string, which is quoted and escaped, so that
 * no text of a user becomes structure; %lld for a long long; %% for a percent sign. Anything else is MF_ERR_INVALID.
 *   mf_transaction_add_format(tr, steps, "delete_node", &error, "{\"id\":%s}", id); */
MF_API MF_MUST_CHECK enum mf_status mf_transaction_add_format(struct mf_transaction *transaction, const struct mf_step_registry *registry,
							      const char *type_id, struct mf_error *error, const char *format, ...) MF_PRINTF(5, 6);

MF_API uint64_t mf_transaction_id(const struct mf_transaction *transaction); /* 0 until the library has given one; then unique for life */
MF_API enum mf_action mf_transaction_action(const struct mf_transaction *transaction);
MF_API int64_t mf_transaction_source_lsn(const struct mf_transaction *transaction); /* undo, redo: the apply event concerned; else 0 */
MF_API const char *mf_transaction_actor(const struct mf_transaction *transaction);  /* NULL if none */
MF_API const char *mf_transaction_key(const struct mf_transaction *transaction);    /* NULL if not given */
MF_API const struct mf_value *mf_transaction_meta(const struct mf_transaction *transaction); /* never NULL */
MF_API int64_t mf_transaction_expect(const struct mf_transaction *transaction);
MF_API size_t mf_transaction_step_count(const struct mf_transaction *transaction);
MF_API const struct mf_step *mf_transaction_step(const struct mf_transaction *transaction, size_t index);

/* ---- states ---- */
struct mf_state;
/* A new document: the root alone, LSN 0, empty stacks of at most history_limit entries. */
MF_API MF_MUST_CHECK enum mf_status mf_state_new(size_t history_limit, struct mf_state **out);
MF_API struct mf_state *mf_state_ref(const struct mf_state *state);
MF_API void mf_state_unref(struct mf_state *state);
MF_API const struct mf_doc *mf_state_doc(const struct mf_state *state);
MF_API int64_t mf_state_lsn(const struct mf_state *state); /* of the last event in it; 0 for a new document, -1 while not yet committed */
/* For a committer, once at the commit: the state's LSN, and that of the entry on the undo stack that its transaction pushed. */
MF_API void mf_state_set_lsn(struct mf_state *state, int64_t lsn);
MF_API size_t mf_state_undo_depth(const struct mf_state *state);
MF_API size_t mf_state_redo_depth(const struct mf_state *state);

/* Check and apply all steps, or none: the new state on success, the old one untouched either way.
 * Action apply pushes the inverse on the undo stack and clears the redo stack; undo and redo move
 * the top entry over. MF_ERR_INVALID for a transaction without steps, or with the step number that
 * does not fit; MF_ERR_STATE for undo or redo that does not match the top of its stack. */
MF_API MF_MUST_CHECK enum mf_status mf_state_apply(const struct mf_state *state, const struct mf_transaction *transaction, struct mf_state **out, struct mf_error *error);

/* The transaction that undoes (redoes) the newest entry: inverse steps, action and source_lsn set.
 * MF_ERR_STATE when the stack is empty. The caller owns it and may set actor, key, meta. */
MF_API MF_MUST_CHECK enum mf_status mf_state_make_undo(const struct mf_state *state, struct mf_transaction **out, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_state_make_redo(const struct mf_state *state, struct mf_transaction **out, struct mf_error *error);

#ifdef __cplusplus
}
#endif
