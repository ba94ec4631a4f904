/* ticket.c - see persist/ticket.h; the public half is moduforge/ticket.h. */
#include "persist/ticket.h"

#include "model/callback.h"
#include "model/mem.h"
#include <moduforge/value.h>

struct mf_ticket_failure {
	atomic_uint refs;
	struct mf_error error;
};

/* ---- the source ---- */

void mf_ticket_source_init(struct mf_ticket_source *source, const struct mf_env *env, bool durable)
{
	*source = (struct mf_ticket_source){.env = env, .durable = durable};
	atomic_init(&source->refs, 1);
	mf_cond_init(&source->synced);
	pthread_mutex_init(&source->mutex, NULL);
}

void mf_ticket_source_deinit(struct mf_ticket_source *source)
{
	pthread_mutex_destroy(&source->mutex);
	mf_cond_destroy(&source->synced);
}

void mf_ticket_source_ref(struct mf_ticket_source *source)
{
	atomic_fetch_add_explicit(&source->refs, 1, memory_order_relaxed);
}

void mf_ticket_source_unref(struct mf_ticket_source *source)
{
	if (atomic_fetch_sub_explicit(&source->refs, 1, memory_order_acq_rel) == 1)
		source->free(source);
}

/* ---- life ---- */

enum mf_status mf_ticket_new(struct mf_ticket_source *source, struct mf_ticket **out)
{
	struct mf_ticket *ticket = mf_calloc(1, sizeof(*ticket));
	if (!ticket)
		return MF_ERR_NO_MEMORY;
	mf_cond_init(&ticket->settled);
	atomic_init(&ticket->refs, 1);
	mf_ticket_source_ref(source);
	ticket->source = source;
	*out = ticket;
	return MF_OK;
}

struct mf_ticket *mf_ticket_ref(struct mf_ticket *ticket)
{
	atomic_fetch_add_explicit(&ticket->refs, 1, memory_order_relaxed);
	return ticket;
}

void mf_ticket_unref(struct mf_ticket *ticket)
{
	if (!ticket || atomic_fetch_sub_explicit(&ticket->refs, 1, memory_order_acq_rel) != 1)
		return;
	struct mf_ticket_source *source = ticket->source;
	mf_ticket_failure_unref(ticket->failure);
	mf_cond_destroy(&ticket->settled);
	mf_free(ticket);
	mf_ticket_source_unref(source);
}

struct mf_ticket_failure *mf_ticket_failure_new(const struct mf_error *error)
{
	struct mf_ticket_failure *failure = mf_malloc(sizeof(*failure));
	if (!failure)
		return NULL;
	atomic_init(&failure->refs, 1);
	failure->error = *error;
	return failure;
}

void mf_ticket_failure_unref(struct mf_ticket_failure *failure)
{
	if (failure && atomic_fetch_sub_explicit(&failure->refs, 1, memory_order_acq_rel) == 1)
		mf_free(failure);
}

/* ---- settling ---- */

void mf_ticket_settle(struct mf_ticket *ticket, enum mf_status status, struct mf_ticket_failure *failure)
{
	if (status == MF_OK) {
		ticket->phase = MF_TICKET_DONE;
		return;
	}
	ticket->phase = MF_TICKET_FAILED;
	ticket->status = status;
	ticket->failure = failure;
	if (failure)
		atomic_fetch_add_explicit(&failure->refs, 1, memory_order_relaxed);
}

void mf_ticket_wake(struct mf_ticket *ticket)
{
	mf_cond_broadcast(&ticket->settled);
}

void mf_ticket_withdraw(struct mf_ticket *ticket, enum mf_status status, const char *sentence)
{
	/* Nobody else knows it: nobody can be told. */
	if (atomic_load_explicit(&ticket->refs, memory_order_acquire) == 1)
		return;
	struct mf_error error;
	mf_error_set(&error, status, "%s", sentence);
	struct mf_ticket_failure *failure = mf_ticket_failure_new(&error);
	pthread_mutex_lock(&ticket->source->mutex);
	mf_ticket_settle(ticket, status, failure);
	pthread_mutex_unlock(&ticket->source->mutex);
	mf_ticket_wake(ticket);
	mf_ticket_failure_unref(failure);
}

/* ---- waiting ---- */

/* Mutex held. True: the question is answered, with *status. */
static bool decided(const struct mf_ticket *ticket, enum mf_level level, enum mf_status *status, struct mf_error *error)
{
	const struct mf_ticket_source *source = ticket->source;
	if (ticket->phase == MF_TICKET_PENDING)
		return false;
	if (ticket->phase == MF_TICKET_FAILED) {
		*status = ticket->status;
		if (error && ticket->failure)
			*error = ticket->failure->error;
		else
			mf_error_set(error, ticket->status, "the transaction failed with %s; memory was too short to keep the reason", mf_status_name(ticket->status));
		return true;
	}
	*status = MF_OK;
	if (level != MF_LEVEL_SYNCED || ticket->lsn <= source->synced_lsn)
		return true;
	if (source->sync_error.status == MF_OK)
		return false;
	*status = source->sync_error.status;
	if (error)
		*error = source->sync_error;
	return true;
}

static int64_t deadline_of(const struct mf_ticket_source *source, int64_t timeout_ms)
{
	int64_t now = source->env->monotonic_us(source->env->user);
	return timeout_ms > (INT64_MAX - now) / 1000 ? INT64_MAX : now + timeout_ms * 1000;
}

/* Mutex held. Would it wait for itself? Inside any guard or handler: what it helps to commit could not be told to anybody from
 * there, and who commits it may wait for this delivery to end. */
static bool may_not_wait(struct mf_ticket_source *source)
{
	return mf_callback_inside() || (source->in_callback && source->in_callback(source));
}

/* Mutex held, not decided. False: the time is over. */
static bool wait_once(struct mf_ticket *ticket, int64_t deadline)
{
	struct mf_ticket_source *source = ticket->source;
	int64_t left = -1;
	if (deadline != INT64_MAX) {
		left = deadline - source->env->monotonic_us(source->env->user);
		if (left <= 0)
			return false;
	}
	bool pending = ticket->phase == MF_TICKET_PENDING;
	if (pending && ticket->queued && source->help && source->help(source))
		return true;
	mf_cond_wait_us(pending ? &ticket->settled : &source->synced, &source->mutex, left);
	return true;
}

enum mf_status mf_ticket_wait(struct mf_ticket *ticket, enum mf_level level, int64_t timeout_ms, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_ticket_source *source = ticket->source;
	if (level == MF_LEVEL_SYNCED && !source->durable)
		return mf_error_set(error, MF_ERR_INVALID, "this store is kept in memory: nothing in it is ever synced; wait for committed or written");
	enum mf_status status = MF_ERR_TIMEOUT;
	int64_t deadline = timeout_ms > 0 ? deadline_of(source, timeout_ms) : timeout_ms < 0 ? INT64_MAX : 0;
	pthread_mutex_lock(&source->mutex);
	ticket->waiters++;
	while (!decided(ticket, level, &status, error)) {
		if (timeout_ms != 0 && may_not_wait(source)) {
			status = mf_error_set(error, MF_ERR_STATE, "a handler or guard may not wait for a ticket: the delivery it is part of must end first");
			break;
		}
		if (timeout_ms == 0 || !wait_once(ticket, deadline)) {
			status = mf_error_set(error, MF_ERR_TIMEOUT, "the transaction is still under way after %lld ms; it goes on", (long long)timeout_ms);
			break;
		}
	}
	ticket->waiters--;
	if (timeout_ms != 0 && source->leave && ticket->phase == MF_TICKET_PENDING)
		source->leave(source);
	int64_t lsn = status == MF_OK ? ticket->lsn : 0; /* not yet to be read while it is pending */
	pthread_mutex_unlock(&source->mutex);
	if (status == MF_OK && out_lsn)
		*out_lsn = lsn;
	return status;
}
