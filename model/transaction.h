/* transaction.h - what the commit path and recovery may do to transactions and states
 * beyond the public header: number them, seal them, rebuild them. */
#pragma once

#include <moduforge/transaction.h>

struct mf_transaction *mf_transaction_ref(struct mf_transaction *transaction);
/* After this the setters and mf_transaction_add return MF_ERR_STATE (set_meta and set_expect do nothing). */
void mf_transaction_seal(struct mf_transaction *transaction);
void mf_transaction_set_id(struct mf_transaction *transaction, uint64_t id);
/* Also on a sealed transaction, for a key that the library makes. Copies. */
enum mf_status mf_transaction_assign_key(struct mf_transaction *transaction, const char *key);
void mf_transaction_set_action(struct mf_transaction *transaction, enum mf_action action, int64_t source_lsn);

/* ---- replay: many stored events in a row, without the states between ----
 *
 * A stored event is a fact, and its steps are all there, so an undo or redo is also accepted when its stack is
 * empty (the entry was dropped here, because the history limit is smaller than it was then). A stack that is not
 * empty must fit, as ever: MF_ERR_STATE. A state field that refuses the event is MF_ERR_PLUGIN. After a failed apply
 * only free is left. */
struct mf_replayer;
MF_MUST_CHECK enum mf_status mf_replayer_new(const struct mf_state *from, struct mf_replayer **out);
MF_MUST_CHECK enum mf_status mf_replayer_apply(struct mf_replayer *replayer, const struct mf_transaction *transaction, int64_t lsn, struct mf_error *error);
int64_t mf_replayer_lsn(const struct mf_replayer *replayer); /* of the last event applied, else of the state it began from */
struct mf_state *mf_replayer_finish(struct mf_replayer *replayer); /* frees it */
void mf_replayer_free(struct mf_replayer *replayer); /* NULL is fine */

size_t mf_state_history_limit(const struct mf_state *state);
