/* moduforge/ticket.h - the outcome of a submitted transaction (or batch), to be waited for.
 *
 *   pending -> written -> synced        stored; synced only where the store is durable
 *           -> absent                   not stored, state as before (typed error)
 *           -> unknown                  MF_ERR_UNKNOWN_OUTCOME: reopen, retry with the same key
 *
 * Thread: any. Ownership: _ref/_unref. */
#pragma once

#include <moduforge/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_ticket;

enum mf_level {
	MF_LEVEL_COMMITTED = 0, /* what the transaction's own commit mode promises */
	MF_LEVEL_WRITTEN = 1,   /* handed to the operating system (memory store: in the log), and visible */
	MF_LEVEL_SYNCED = 2,    /* on the device (memory store: MF_ERR_INVALID) */
};

#define MF_WAIT_FOREVER ((int64_t)-1)

MF_API struct mf_ticket *mf_ticket_ref(struct mf_ticket *ticket);
MF_API void mf_ticket_unref(struct mf_ticket *ticket); /* NULL is fine; the work goes on */
/* Wait until the level is reached: MF_OK and the (last) LSN, or the outcome's own error, or MF_ERR_TIMEOUT
 * after timeout_ms (0 = only look): the transaction is still under way. MF_ERR_STATE: it is under way, and this is inside a guard or the
 * handler of a synchronous follower, where only a look is allowed. */
MF_API MF_MUST_CHECK enum mf_status mf_ticket_wait(struct mf_ticket *ticket, enum mf_level level, int64_t timeout_ms, int64_t *out_lsn, struct mf_error *error);

#ifdef __cplusplus
}
#endif
