#include "host/run_acks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/session.h"
#include "host/say.h"

/* ---- one answer ---- */
static void write_ok(struct mf_output *out, const struct mf_ack *ack)
{
	mf_output_text(out, "status", "ok");
	mf_output_text(out, "doc", ack->doc);
	mf_output_int(out, "lsn", ack->lsn);
}

static void write_duplicate(struct mf_output *out, const struct mf_ack *ack)
{
	mf_output_text(out, "status", "duplicate");
	mf_output_text(out, "doc", ack->doc);
	mf_output_int(out, "lsn", ack->error.lsn);
	mf_output_text(out, "key", ack->key);
	mf_output_bool(out, "same", ack->error.same);
}

static void write_error(struct mf_output *out, const struct mf_ack *ack)
{
	mf_output_text(out, "status", "error");
	if (ack->doc[0])
		mf_output_text(out, "doc", ack->doc);
	mf_output_text(out, "code", mf_status_name(ack->status));
	mf_output_text(out, "message", ack->error.message);
}

static void write_ack(struct mf_output *out, const struct mf_ack *ack)
{
	mf_output_open(out);
	mf_output_int(out, "line", ack->line);
	if (ack->status == MF_OK)
		write_ok(out, ack);
	else if (ack->status == MF_ERR_DUPLICATE_KEY)
		write_duplicate(out, ack);
	else
		write_error(out, ack);
	mf_output_close(out);
}

/* ---- the writer thread ---- */
static void stop(struct mf_acks *acks)
{
	uint64_t one = 1;
	if (atomic_exchange(&acks->stopped, true))
		return;
	ssize_t written = write(acks->stop_fd, &one, sizeof(one));
	(void)written; /* an eventfd takes it */
}

static void flush(struct mf_acks *acks)
{
	mf_output_flush(&acks->out);
	if (acks->out.error)
		stop(acks);
}

static void wait_outcome(struct mf_acks *acks, struct mf_ack *ack)
{
	ack->status = mf_ticket_wait(ack->ticket, MF_LEVEL_COMMITTED, 0, &ack->lsn, &ack->error);
	if (ack->status == MF_ERR_TIMEOUT) {
		flush(acks);
		ack->status = mf_ticket_wait(ack->ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, &ack->lsn, &ack->error);
	}
	mf_ticket_unref(ack->ticket);
	ack->ticket = NULL;
}

static void judge(struct mf_acks *acks, struct mf_ack *ack)
{
	bool good = ack->status == MF_OK || (ack->status == MF_ERR_DUPLICATE_KEY && ack->error.same);
	if (good)
		return;
	acks->failed = true;
	if (acks->storage_error.status != MF_OK) {
		ack->status = acks->storage_error.status;
		ack->error = acks->storage_error;
	} else if (mf_is_storage_error(ack->status)) {
		acks->storage_error = ack->error;
		acks->storage_error.status = ack->status;
		stop(acks);
	}
	if (acks->silent)
		mf_say("line %lld: %s: %s", (long long)ack->line, mf_status_name(ack->status), ack->error.message);
}

static void answer(struct mf_acks *acks, struct mf_ack *ack)
{
	if (ack->ticket)
		wait_outcome(acks, ack);
	judge(acks, ack);
	if (!acks->silent)
		write_ack(&acks->out, ack);
	if (acks->out.error)
		stop(acks);
}

/* The oldest line that is not answered; NULL when there will be no more. */
static struct mf_ack *oldest(struct mf_acks *acks)
{
	pthread_mutex_lock(&acks->lock);
	if (acks->count == 0) {
		pthread_mutex_unlock(&acks->lock);
		flush(acks);
		pthread_mutex_lock(&acks->lock);
	}
	while (acks->count == 0 && !acks->closing)
		pthread_cond_wait(&acks->pushed, &acks->lock);
	struct mf_ack *ack = acks->count > 0 ? &acks->ring[acks->head] : NULL;
	pthread_mutex_unlock(&acks->lock);
	return ack;
}

static void pop(struct mf_acks *acks)
{
	pthread_mutex_lock(&acks->lock);
	acks->bytes -= acks->ring[acks->head].bytes;
	acks->head = (acks->head + 1) % MF_ACKS_WINDOW;
	acks->count--;
	pthread_cond_signal(&acks->popped);
	pthread_mutex_unlock(&acks->lock);
}

static void *write_acks(void *user)
{
	struct mf_acks *acks = user;
	for (struct mf_ack *ack; (ack = oldest(acks)); pop(acks))
		answer(acks, ack);
	return NULL;
}

/* ---- the reader's side ---- */
enum mf_status mf_acks_start(struct mf_acks *acks, bool silent, struct mf_error *error)
{
	acks->silent = silent;
	acks->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (acks->stop_fd < 0)
		return mf_error_set(error, MF_ERR_STATE, "no event descriptor: %s", strerror(errno));
	pthread_mutex_init(&acks->lock, NULL);
	pthread_cond_init(&acks->pushed, NULL);
	pthread_cond_init(&acks->popped, NULL);
	mf_output_init(&acks->out, STDOUT_FILENO);
	if (pthread_create(&acks->thread, NULL, write_acks, acks) == 0)
		return MF_OK;
	close(acks->stop_fd);
	return mf_error_set(error, MF_ERR_NO_MEMORY, "the thread that writes the answers could not be started");
}

struct mf_ack *mf_acks_next(struct mf_acks *acks, size_t bytes)
{
	pthread_mutex_lock(&acks->lock);
	while (acks->count == MF_ACKS_WINDOW || (acks->count > 0 && acks->bytes + bytes > MF_ACKS_BYTES))
		pthread_cond_wait(&acks->popped, &acks->lock);
	struct mf_ack *ack = &acks->ring[(acks->head + acks->count) % MF_ACKS_WINDOW];
	pthread_mutex_unlock(&acks->lock);
	ack->bytes = bytes;
	ack->ticket = NULL;
	ack->status = MF_OK;
	ack->lsn = 0;
	ack->error.status = MF_OK;
	ack->error.message[0] = '\0';
	ack->doc[0] = ack->key[0] = '\0';
	return ack;
}

void mf_acks_push(struct mf_acks *acks)
{
	pthread_mutex_lock(&acks->lock);
	acks->bytes += acks->ring[(acks->head + acks->count) % MF_ACKS_WINDOW].bytes;
	acks->count++;
	pthread_cond_signal(&acks->pushed);
	pthread_mutex_unlock(&acks->lock);
}

void mf_acks_drain(struct mf_acks *acks)
{
	pthread_mutex_lock(&acks->lock);
	while (acks->count > 0)
		pthread_cond_wait(&acks->popped, &acks->lock);
	pthread_mutex_unlock(&acks->lock);
}

void mf_acks_finish(struct mf_acks *acks)
{
	pthread_mutex_lock(&acks->lock);
	acks->closing = true;
	pthread_cond_signal(&acks->pushed);
	pthread_mutex_unlock(&acks->lock);
	pthread_join(acks->thread, NULL);
	close(acks->stop_fd);
}
