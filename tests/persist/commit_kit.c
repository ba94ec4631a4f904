#include "commit_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "persist/record.h"

struct told told;
atomic_int alive;

static const unsigned char payload[MF_RECORD_HEADER_LEN + 1] = {MF_RECORD_VERSION};

static void try_forbidden(void)
{
	struct mf_ticket *ticket;
	struct request *request = new_request(told.queue, "d", "forbidden", false, &ticket);
	told.forbidden[0] = mf_commit_queue_submit(told.queue, &request->base, NULL);
	told.forbidden[1] = mf_commit_queue_drain(told.queue, MF_WAIT_FOREVER, NULL);
	told.forbidden[2] = mf_ticket_wait(told.other, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL);
	told.forbidden[3] = mf_commit_queue_make_room(told.queue, NULL);
	if (told.forbidden[0] == MF_OK)
		abort();
	mf_ticket_unref(ticket);
	mf_ticket_unref(request->base.tickets);
	request->base.free(&request->base);
}

static void done(struct mf_commit_request *base, const struct mf_error *error)
{
	struct request *request = (struct request *)base;
	pthread_mutex_lock(&told.mutex);
	if (error && told.generation_at_first_failure == 0)
		told.generation_at_first_failure = mf_commit_queue_generation(told.queue);
	told.lsns[told.count] = request->event.lsn;
	told.statuses[told.count++] = error ? error->status : MF_OK;
	told.alive = atomic_load(&alive);
	bool forbidden = told.try_forbidden;
	told.try_forbidden = false;
	pthread_mutex_unlock(&told.mutex);
	if (forbidden)
		try_forbidden();
}

static void free_request(struct mf_commit_request *base)
{
	atomic_fetch_sub(&alive, 1);
	free(base);
}

struct request *new_request(struct mf_commit_queue *queue, const char *doc_id, const char *key, bool sync, struct mf_ticket **out_ticket)
{
	struct request *request = calloc(1, sizeof(*request));
	atomic_fetch_add(&alive, 1);
	if (!request || mf_ticket_new(mf_commit_queue_source(queue), &request->base.tickets) != MF_OK)
		abort();
	snprintf(request->key, sizeof(request->key), "%s", key);
	snprintf(request->doc_id, sizeof(request->doc_id), "%s", doc_id);
	request->event = (struct mf_event){
		.tr_id = 1,
		.doc_id = request->doc_id,
		.idempotency_key = request->key,
		.meta = "{}",
		.meta_len = 2,
		.payload = payload,
		.payload_len = sizeof(payload),
	};
	request->base.events = &request->event;
	request->base.count = 1;
	request->base.bytes = sizeof(payload);
	request->base.sync = sync;
	request->base.generation = mf_commit_queue_generation(queue);
	request->base.done = done;
	request->base.free = free_request;
	*out_ticket = mf_ticket_ref(request->base.tickets);
	return request;
}

struct mf_ticket *submit(struct mf_commit_queue *queue, const char *key, bool sync)
{
	struct mf_ticket *ticket;
	struct request *request = new_request(queue, "d", key, sync, &ticket);
	if (mf_commit_queue_submit(queue, &request->base, NULL) != MF_OK)
		abort();
	return ticket;
}

struct mf_ticket *submit_large(struct mf_commit_queue *queue, const char *key, size_t bytes)
{
	struct mf_ticket *ticket;
	struct request *request = new_request(queue, "d", key, false, &ticket);
	request->base.bytes = bytes;
	if (mf_commit_queue_submit(queue, &request->base, NULL) != MF_OK)
		abort();
	return ticket;
}

enum mf_status submit_status(struct mf_commit_queue *queue, const char *key, uint64_t generation, struct mf_error *error)
{
	struct mf_ticket *ticket;
	struct request *request = new_request(queue, "d", key, false, &ticket);
	request->base.generation = generation;
	enum mf_status status = mf_commit_queue_submit(queue, &request->base, error);
	mf_ticket_unref(ticket);
	if (status != MF_OK) {
		mf_ticket_unref(request->base.tickets);
		free_request(&request->base);
	}
	return status;
}

struct mf_commit_queue *new_queue_with(struct mf_commit_queue_options *options)
{
	struct mf_commit_queue *queue;
	assert_int_equal(mf_commit_queue_new(options, &queue, NULL), MF_OK);
	memset(&told, 0, sizeof(told));
	pthread_mutex_init(&told.mutex, NULL);
	told.queue = queue;
	return queue;
}

struct mf_commit_queue *new_queue(struct fake_store *fake, uint32_t window_ms, const struct mf_env *env)
{
	struct mf_commit_queue_options options = {.store = &fake->base, .group_window_ms = window_ms, .env = env ? env : mf_env_os()};
	return new_queue_with(&options);
}

void close_all(struct mf_commit_queue *queue, struct fake_store *fake)
{
	mf_commit_queue_refuse(queue, true);
	(void)!mf_commit_queue_drain(queue, MF_WAIT_FOREVER, NULL);
	mf_commit_queue_close(queue);
	assert_int_equal(atomic_load(&alive), 0);
	fake_store_free(fake);
	pthread_mutex_destroy(&told.mutex);
}

