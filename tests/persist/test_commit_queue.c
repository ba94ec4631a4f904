/* The queue over a fake store: order, groups, syncs, failures. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "commit_kit.h"
#include "model/mem.h"

#define THREADS 8
#define EACH 200

/* ---- the normal path ---- */

static void a_lone_writer_commits_in_its_own_thread(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(false);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	int own = 0;
	for (int i = 0; i < 200; i++) {
		char key[16];
		int64_t lsn = 0;
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(wait_for(submit(queue, key, false), MF_LEVEL_COMMITTED, &lsn), MF_OK);
		assert_int_equal(lsn, i + 1);
		assert_int_equal(told.count, i + 1); /* told before the wait returned */
		own += pthread_equal(FAKE_GET(fake, appender), pthread_self()) ? 1 : 0;
	}
	assert_true(own > 100); /* the background thread may have been quicker now and then */
	close_all(queue, fake);
}

static void nobody_needs_to_wait(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(false);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	for (int i = 0; i < 2000; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		mf_ticket_unref(submit(queue, key, false));
	}
	assert_int_equal(mf_commit_queue_drain(queue, MF_WAIT_FOREVER, NULL), MF_OK);
	assert_int_equal(told.count, 2000);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(told.lsns[i], i + 1);
	assert_true(FAKE_GET(fake, largest_batch) <= 1024);
	close_all(queue, fake);
}

static void a_submit_into_a_sleeping_store_is_stored_by_itself(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	for (int i = 0; i < 3; i++) {
		char key[16];
		struct timespec a_while = {.tv_nsec = 40000000}; /* long enough for it to fall asleep; the test is right without */
		snprintf(key, sizeof(key), "k%d", i);
		nanosleep(&a_while, NULL);
		mf_ticket_unref(submit(queue, key, false));
		FAKE_WAIT(fake, fake->synced_lsn == i + 1);
	}
	close_all(queue, fake);
}

struct writer {
	struct mf_commit_queue *queue;
	int number;
	bool sync, ok;
};

static void *write_many(void *user)
{
	struct writer *writer = user;
	int64_t before = 0;
	writer->ok = true;
	for (int i = 0; i < EACH; i++) {
		char key[32], doc_id[16];
		int64_t lsn = 0;
		struct mf_ticket *ticket;
		snprintf(key, sizeof(key), "%d-%d", writer->number, i);
		snprintf(doc_id, sizeof(doc_id), "d%d", writer->number);
		struct request *request = new_request(writer->queue, doc_id, key, writer->sync, &ticket);
		if (mf_commit_queue_submit(writer->queue, &request->base, NULL) != MF_OK)
			abort();
		bool poll = i % 7 == 0;
		while (poll && mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 0, &lsn, NULL) == MF_ERR_TIMEOUT)
			;
		writer->ok = wait_for(ticket, MF_LEVEL_COMMITTED, &lsn) == MF_OK && lsn > before && writer->ok;
		before = lsn;
	}
	return NULL;
}

static void run_writers(struct mf_commit_queue *queue, bool sync)
{
	pthread_t threads[THREADS];
	struct writer writers[THREADS];
	for (int i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){.queue = queue, .number = i, .sync = sync};
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(writers[i].ok);
	}
	assert_int_equal(told.count, THREADS * EACH);
	for (int i = 0; i < THREADS * EACH; i++)
		assert_int_equal(told.lsns[i], i + 1);
}

static void f05_eight_threads_see_lsns_in_commit_order_without_gaps(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(false);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	run_writers(queue, false);
	close_all(queue, fake);
}

static void eight_threads_that_wait_for_syncs_are_served_in_order(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	run_writers(queue, true);
	assert_true(FAKE_GET(fake, syncs) <= FAKE_GET(fake, appends));
	assert_int_equal(FAKE_GET(fake, synced_lsn), THREADS * EACH);
	close_all(queue, fake);
}

static void eight_threads_and_a_window_that_syncs_beside_them(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 1, NULL);
	run_writers(queue, false);
	assert_int_equal(mf_commit_queue_drain(queue, MF_WAIT_FOREVER, NULL), MF_OK);
	assert_int_equal(FAKE_GET(fake, synced_lsn), THREADS * EACH);
	close_all(queue, fake);
}

static void many_waiters_share_one_sync(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	struct mf_ticket *tickets[101];
	FAKE_SET(fake, hold_syncs = true);
	tickets[0] = submit(queue, "first", true);
	FAKE_WAIT(fake, fake->in_sync == 1);
	for (int i = 1; i <= 100; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		tickets[i] = submit(queue, key, true);
	}
	for (int i = 0; i <= 100; i++)
		assert_int_equal(mf_ticket_wait(tickets[i], MF_LEVEL_COMMITTED, 0, NULL, NULL), MF_ERR_TIMEOUT);
	assert_int_equal(told.count, 0);
	FAKE_SET(fake, hold_syncs = false);
	for (int i = 0; i <= 100; i++) {
		int64_t lsn;
		assert_int_equal(wait_for(tickets[i], MF_LEVEL_SYNCED, &lsn), MF_OK);
		assert_int_equal(lsn, i + 1);
	}
	assert_int_equal(FAKE_GET(fake, syncs), 2);
	assert_int_equal(FAKE_GET(fake, appends), 2);
	close_all(queue, fake);
}

static void a_weaker_commit_in_the_group_waits_for_the_sync_too(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	FAKE_SET(fake, hold_appends = true);
	struct mf_ticket *first = submit(queue, "first", false);
	FAKE_WAIT(fake, fake->in_append == 1);
	struct mf_ticket *weak = submit(queue, "weak", false), *strong = submit(queue, "strong", true);
	FAKE_SET(fake, hold_syncs = true);
	FAKE_SET(fake, hold_appends = false);
	FAKE_WAIT(fake, fake->in_sync == 1);
	assert_int_equal(wait_for(first, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(mf_ticket_wait(weak, MF_LEVEL_WRITTEN, 0, NULL, NULL), MF_ERR_TIMEOUT);
	FAKE_SET(fake, hold_syncs = false);
	assert_int_equal(wait_for(strong, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(wait_for(weak, MF_LEVEL_SYNCED, NULL), MF_OK); /* made durable with it */
	close_all(queue, fake);
}

/* Whatever place in the group asks for the sync. */
static void a_stronger_commit_in_the_group_is_synced_wherever_it_stands(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	FAKE_SET(fake, hold_appends = true);
	struct mf_ticket *first = submit(queue, "first", false);
	FAKE_WAIT(fake, fake->in_append == 1);
	struct mf_ticket *strong = submit(queue, "strong", true), *weak = submit(queue, "weak", false);
	FAKE_SET(fake, hold_appends = false);
	assert_int_equal(wait_for(first, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(mf_ticket_wait(strong, MF_LEVEL_COMMITTED, -1, NULL, NULL), MF_OK);
	assert_int_equal(mf_ticket_wait(strong, MF_LEVEL_SYNCED, 0, NULL, NULL), MF_OK);
	assert_int_equal(wait_for(strong, MF_LEVEL_SYNCED, NULL), MF_OK);
	assert_int_equal(wait_for(weak, MF_LEVEL_SYNCED, NULL), MF_OK);
	close_all(queue, fake);
}

static void a_stronger_commit_makes_earlier_weaker_ones_durable(void **unused)
{
	(void)unused;
	struct fake_env env;
	fake_env_init(&env);
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, &env.env);
	struct mf_ticket *weak = submit(queue, "weak", false);
	assert_int_equal(mf_ticket_wait(weak, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	assert_int_equal(mf_ticket_wait(weak, MF_LEVEL_SYNCED, 0, NULL, NULL), MF_ERR_TIMEOUT);
	assert_int_equal(wait_for(submit(queue, "strong", true), MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(wait_for(weak, MF_LEVEL_SYNCED, NULL), MF_OK);
	assert_int_equal(FAKE_GET(fake, syncs), 1);
	close_all(queue, fake);
}

static void a_large_batch_is_a_group_of_its_own(void **unused)
{
	(void)unused;
	enum { LARGE = 3000 };
	struct fake_store *fake = fake_store_new(false);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	struct mf_ticket *ticket;
	struct request *request = new_request(queue, "d", "k", false, &ticket);
	struct mf_event *events = calloc(LARGE, sizeof(*events));
	char (*keys)[16] = calloc(LARGE, sizeof(*keys));
	for (int i = 0; i < LARGE; i++) {
		events[i] = request->event;
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		events[i].idempotency_key = keys[i];
	}
	request->base.events = events;
	request->base.count = LARGE;
	FAKE_SET(fake, hold_appends = true);
	struct mf_ticket *before = submit(queue, "before", false);
	FAKE_WAIT(fake, fake->in_append == 1);
	assert_int_equal(mf_commit_queue_submit(queue, &request->base, NULL), MF_OK);
	struct mf_ticket *behind = submit(queue, "behind", false);
	FAKE_SET(fake, hold_appends = false);
	int64_t lsn = 0;
	assert_int_equal(wait_for(behind, MF_LEVEL_COMMITTED, &lsn), MF_OK);
	assert_int_equal(lsn, LARGE + 2);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, &lsn), MF_OK);
	assert_int_equal(lsn, LARGE + 1);
	assert_int_equal(wait_for(before, MF_LEVEL_COMMITTED, &lsn), MF_OK);
	assert_int_equal(FAKE_GET(fake, appends), 3);
	for (int i = 0; i < LARGE; i++)
		assert_int_equal(events[i].lsn, i + 2);
	free(events);
	free(keys);
	close_all(queue, fake);
}

static void stored_time_never_steps_back(void **unused)
{
	(void)unused;
	struct fake_env env;
	fake_env_init(&env);
	struct fake_store *fake = fake_store_new(false);
	struct mf_commit_queue *queue = new_queue(fake, 0, &env.env);
	assert_int_equal(wait_for(submit(queue, "a", false), MF_LEVEL_COMMITTED, NULL), MF_OK);
	atomic_fetch_sub(&env.wall_us, 3600000000);
	assert_int_equal(wait_for(submit(queue, "b", false), MF_LEVEL_COMMITTED, NULL), MF_OK);
	struct mf_event_list list;
	assert_int_equal(mf_store_load_since(&fake->base, "d", 0, 10, &list, NULL), MF_OK);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.events[0].ts_us, 1700000000000000);
	assert_int_equal(list.events[1].ts_us, list.events[0].ts_us);
	mf_event_list_deinit(&list);
	close_all(queue, fake);
}

static void the_store_is_maintained(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 1, NULL);
	assert_int_equal(wait_for(submit(queue, "a", false), MF_LEVEL_COMMITTED, NULL), MF_OK);
	FAKE_WAIT(fake, fake->maintains > 0);
	close_all(queue, fake);
}

static struct mf_commit_queue *drained_queue;
static atomic_bool keeping_house, fails_beside_a_drain;

/* Fails when somebody has begun to wait for the queue to drain. */
static enum mf_status fail_beside_a_drain(struct mf_store *store, struct mf_error *error)
{
	(void)store;
	if (!atomic_exchange(&fails_beside_a_drain, false))
		return MF_OK;
	atomic_store(&keeping_house, true);
	for (bool waits = false; !waits;) {
		pthread_mutex_lock(&drained_queue->source.mutex);
		bool unsynced = drained_queue->written_lsn > drained_queue->source.synced_lsn; /* else the drain has been served, and only still counts */
		waits = (drained_queue->drainers > 0 && unsynced) || drained_queue->stopped.status; /* once more at the end, which waits for it */
		pthread_mutex_unlock(&drained_queue->source.mutex);
		sched_yield();
	}
	return mf_error_set(error, MF_ERR_UNKNOWN_OUTCOME, "the log could not be synced");
}

static void a_drain_ends_when_housekeeping_stops_the_writes(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_error error = {0};
	fake->ops.maintain = fail_beside_a_drain;
	atomic_store(&keeping_house, false);
	atomic_store(&fails_beside_a_drain, true);
	drained_queue = new_queue(fake, 60000, NULL);
	assert_int_equal(wait_for(submit(drained_queue, "a", false), MF_LEVEL_COMMITTED, NULL), MF_OK);
	alarm(60); /* for ever is too long */
	while (!atomic_load(&keeping_house))
		sched_yield();
	assert_int_equal(mf_commit_queue_drain(drained_queue, MF_WAIT_FOREVER, &error), MF_ERR_UNKNOWN_OUTCOME);
	alarm(0);
	assert_non_null(strstr(error.message, "the log could not be synced"));
	close_all(drained_queue, fake);
}

/* ---- the window ---- */

static void f21_the_window_is_real_and_runs_on_the_monotonic_clock(void **unused)
{
	(void)unused;
	struct fake_env env;
	fake_env_init(&env);
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 10, &env.env);
	struct mf_ticket *ticket = submit(queue, "a", false);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	atomic_fetch_add(&env.now_us, 9999);
	atomic_fetch_add(&env.wall_us, 86400000000);
	struct timespec a_while = {.tv_nsec = 30000000};
	nanosleep(&a_while, NULL); /* gives a wrong sync time to happen */
	assert_int_equal(FAKE_GET(fake, syncs), 0);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_SYNCED, 0, NULL, NULL), MF_ERR_TIMEOUT);
	atomic_fetch_add(&env.now_us, 1);
	assert_int_equal(wait_for(ticket, MF_LEVEL_SYNCED, NULL), MF_OK);
	assert_int_equal(FAKE_GET(fake, syncs), 1);
	close_all(queue, fake);
}

static void a_window_of_zero_syncs_at_once_in_the_background(void **unused)
{
	(void)unused;
	struct fake_env env;
	fake_env_init(&env);
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 0, &env.env);
	FAKE_SET(fake, hold_syncs = true);
	struct mf_ticket *ticket = submit(queue, "a", false);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	FAKE_WAIT(fake, fake->in_sync == 1);
	FAKE_SET(fake, hold_syncs = false);
	assert_int_equal(wait_for(ticket, MF_LEVEL_SYNCED, NULL), MF_OK);
	close_all(queue, fake);
}

static void commits_go_on_while_the_window_syncs(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	FAKE_SET(fake, hold_syncs = true);
	struct mf_ticket *first = submit(queue, "a", false);
	assert_int_equal(mf_ticket_wait(first, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	FAKE_WAIT(fake, fake->in_sync == 1);
	struct mf_ticket *second = submit(queue, "b", false);
	assert_int_equal(mf_ticket_wait(second, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	FAKE_SET(fake, hold_syncs = false);
	assert_int_equal(wait_for(first, MF_LEVEL_SYNCED, NULL), MF_OK);
	assert_int_equal(wait_for(second, MF_LEVEL_SYNCED, NULL), MF_OK); /* by a sync of its own: the first did not cover it */
	assert_true(FAKE_GET(fake, syncs) >= 2);
	close_all(queue, fake);
}

/* ---- failures ---- */

static void f03_a_failed_append_fails_what_follows_and_leaves_no_hole(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	uint64_t generation = mf_commit_queue_generation(queue);
	FAKE_SET(fake, hold_appends = true);
	struct mf_ticket *first = submit(queue, "first", true);
	FAKE_WAIT(fake, fake->in_append == 1);
	struct mf_ticket *second = submit(queue, "second", true), *third = submit(queue, "third", false);
	FAKE_SET(fake, append_error = MF_ERR_STORAGE_FULL);
	FAKE_SET(fake, append_errors_left = 1);
	FAKE_SET(fake, hold_appends = false);
	assert_int_equal(wait_for(third, MF_LEVEL_COMMITTED, NULL), MF_ERR_STORAGE_FULL);
	assert_int_equal(wait_for(second, MF_LEVEL_COMMITTED, NULL), MF_ERR_STORAGE_FULL);
	assert_int_equal(wait_for(first, MF_LEVEL_COMMITTED, NULL), MF_ERR_STORAGE_FULL);
	assert_int_equal(told.count, 3);
	assert_int_equal(FAKE_GET(fake, appends), 1); /* the others were not even tried */
	assert_true(told.generation_at_first_failure > generation);
	struct mf_error error = {0};
	assert_int_equal(submit_status(queue, "stale", generation, &error), MF_ERR_BUSY);
	int64_t lsn = 0;
	assert_int_equal(wait_for(submit(queue, "again", true), MF_LEVEL_COMMITTED, &lsn), MF_OK); /* no restart needed */
	assert_int_equal(lsn, 1);
	close_all(queue, fake);
}

static void f02_one_refused_transaction_does_not_harm_those_before_it(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	FAKE_SET(fake, hold_appends = true);
	struct mf_ticket *gate = submit(queue, "gate", false);
	FAKE_WAIT(fake, fake->in_append == 1);
	struct mf_ticket *before = submit(queue, "before", true), *culprit = submit(queue, "culprit", false), *behind = submit(queue, "behind", false);
	FAKE_SET(fake, poisoned_key = "culprit");
	FAKE_SET(fake, poison_error = MF_ERR_DUPLICATE_KEY);
	FAKE_SET(fake, hold_appends = false);
	int64_t lsn = 0;
	assert_int_equal(wait_for(behind, MF_LEVEL_COMMITTED, NULL), MF_ERR_BUSY);
	assert_int_equal(wait_for(culprit, MF_LEVEL_COMMITTED, NULL), MF_ERR_DUPLICATE_KEY);
	assert_int_equal(wait_for(before, MF_LEVEL_SYNCED, &lsn), MF_OK);
	assert_int_equal(lsn, 2);
	assert_int_equal(wait_for(gate, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(told.statuses[1], MF_OK);
	assert_int_equal(told.statuses[2], MF_ERR_DUPLICATE_KEY);
	assert_int_equal(told.statuses[3], MF_ERR_BUSY);
	assert_int_equal(wait_for(submit(queue, "next", true), MF_LEVEL_COMMITTED, &lsn), MF_OK);
	assert_int_equal(lsn, 3);
	close_all(queue, fake);
}

static void p08_an_unknown_outcome_stops_all_writes(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	FAKE_SET(fake, hold_appends = true);
	struct mf_ticket *first = submit(queue, "first", false);
	FAKE_WAIT(fake, fake->in_append == 1);
	struct mf_ticket *second = submit(queue, "second", false);
	FAKE_SET(fake, append_error = MF_ERR_UNKNOWN_OUTCOME);
	FAKE_SET(fake, append_errors_left = 1);
	FAKE_SET(fake, hold_appends = false);
	assert_int_equal(wait_for(first, MF_LEVEL_COMMITTED, NULL), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(wait_for(second, MF_LEVEL_COMMITTED, NULL), MF_ERR_UNKNOWN_OUTCOME);
	struct mf_error error = {0};
	assert_int_equal(submit_status(queue, "late", mf_commit_queue_generation(queue), &error), MF_ERR_IO);
	assert_non_null(strstr(error.message, "reopen the store"));
	assert_int_equal(FAKE_GET(fake, appends), 1);
	close_all(queue, fake);
}

static void a_failed_sync_ends_unknown_and_is_not_tried_again(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	struct mf_ticket *weak = submit(queue, "weak", false);
	assert_int_equal(mf_ticket_wait(weak, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	FAKE_SET(fake, sync_error = MF_ERR_IO);
	assert_int_equal(wait_for(submit(queue, "strong", true), MF_LEVEL_COMMITTED, NULL), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(told.statuses[1], MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(wait_for(weak, MF_LEVEL_SYNCED, NULL), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(submit_status(queue, "late", mf_commit_queue_generation(queue), NULL), MF_ERR_IO);
	struct mf_error error = {0};
	assert_int_equal(mf_commit_queue_drain(queue, MF_WAIT_FOREVER, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(error.status, MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(FAKE_GET(fake, syncs), 1);
	close_all(queue, fake);
}

static void a_failed_sync_in_the_background_stops_too(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	FAKE_SET(fake, hold_syncs = true);
	FAKE_SET(fake, sync_error = MF_ERR_UNKNOWN_OUTCOME);
	struct mf_ticket *ticket = submit(queue, "a", false);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	FAKE_WAIT(fake, fake->in_sync == 1);
	FAKE_SET(fake, hold_appends = true);
	struct mf_ticket *queued = submit(queue, "b", false);
	FAKE_WAIT(fake, fake->in_sync == 1);
	FAKE_SET(fake, hold_syncs = false);
	assert_int_equal(wait_for(ticket, MF_LEVEL_SYNCED, NULL), MF_ERR_UNKNOWN_OUTCOME);
	FAKE_SET(fake, hold_appends = false);
	assert_int_equal(wait_for(queued, MF_LEVEL_COMMITTED, NULL), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(submit_status(queue, "late", mf_commit_queue_generation(queue), NULL), MF_ERR_IO);
	close_all(queue, fake);
}

/* ---- time-outs and the end ---- */

static void f08_a_time_out_does_not_cancel_the_commit(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	FAKE_SET(fake, hold_syncs = true);
	struct mf_ticket *first = submit(queue, "a", true);
	FAKE_WAIT(fake, fake->in_sync == 1);
	struct mf_ticket *second = submit(queue, "b", true);
	assert_int_equal(mf_ticket_wait(second, MF_LEVEL_COMMITTED, 1, NULL, NULL), MF_ERR_TIMEOUT);
	FAKE_SET(fake, hold_syncs = false);
	assert_int_equal(wait_for(second, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(wait_for(first, MF_LEVEL_COMMITTED, NULL), MF_OK);
	close_all(queue, fake);
}

static void f07_draining_stores_and_syncs_everything_or_says_that_it_did_not(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	FAKE_SET(fake, hold_syncs = true);
	for (int i = 0; i < 10; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		mf_ticket_unref(submit(queue, key, i == 0));
	}
	FAKE_WAIT(fake, fake->in_sync == 1);
	struct mf_error error = {0};
	mf_commit_queue_refuse(queue, true);
	assert_int_equal(mf_commit_queue_drain(queue, 1, &error), MF_ERR_TIMEOUT);
	assert_int_equal(error.status, MF_ERR_TIMEOUT);
	assert_int_equal(submit_status(queue, "late", mf_commit_queue_generation(queue), NULL), MF_ERR_STATE);
	FAKE_SET(fake, hold_syncs = false);
	assert_int_equal(mf_commit_queue_drain(queue, MF_WAIT_FOREVER, NULL), MF_OK);
	assert_int_equal(told.count, 10);
	assert_int_equal(FAKE_GET(fake, synced_lsn), 10);
	close_all(queue, fake);
}

static void done_may_not_call_the_queue(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(false);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	FAKE_SET(fake, hold_appends = true);
	struct mf_ticket *first = submit(queue, "a", false);
	FAKE_WAIT(fake, fake->in_append == 1);
	told.other = submit(queue, "b", false);
	told.try_forbidden = true;
	FAKE_SET(fake, hold_appends = false);
	assert_int_equal(wait_for(first, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(wait_for(told.other, MF_LEVEL_COMMITTED, NULL), MF_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(told.forbidden[i], MF_ERR_STATE);
	close_all(queue, fake);
}

static void *make_room(void *queue)
{
	return (void *)(intptr_t)mf_commit_queue_make_room(queue, NULL);
}

static void a_queue_that_is_too_long_makes_reserving_wait(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(false);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	assert_int_equal(mf_commit_queue_make_room(queue, NULL), MF_OK);
	FAKE_SET(fake, hold_appends = true);
	struct mf_ticket *gate = submit(queue, "gate", false);
	FAKE_WAIT(fake, fake->in_append == 1);
	struct mf_ticket *ticket;
	struct request *request = new_request(queue, "d", "huge", false, &ticket);
	request->base.bytes = (size_t)65 << 20;
	assert_int_equal(mf_commit_queue_submit(queue, &request->base, NULL), MF_OK);
	pthread_t thread;
	void *status;
	assert_int_equal(pthread_create(&thread, NULL, make_room, queue), 0);
	FAKE_SET(fake, hold_appends = false);
	pthread_join(thread, &status);
	assert_int_equal((intptr_t)status, MF_OK);
	assert_true(FAKE_GET(fake, appends) >= 2); /* it came after the huge one had left the queue */
	assert_int_equal(wait_for(gate, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
	close_all(queue, fake);
}

/* ---- memory ---- */

static void every_failed_allocation_makes_no_queue(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue_options options = {.store = &fake->base, .group_window_ms = 1, .env = mf_env_os()};
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_commit_queue *queue = NULL;
		memory_fails_at(n);
		enum mf_status status = mf_commit_queue_new(&options, &queue, NULL);
		failed = memory_failed(n);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		assert_int_equal(queue != NULL, status == MF_OK);
		assert_true(failed || n > 1);
		mf_commit_queue_close(queue);
	}
	fake_store_free(fake);
}

static void a_commit_needs_no_memory_of_the_queue(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(true);
	struct mf_commit_queue *queue = new_queue(fake, 60000, NULL);
	FAKE_SET(fake, append_error = MF_ERR_NO_MEMORY); /* the store's own lack is another matter */
	FAKE_SET(fake, append_errors_left = -1);
	struct mf_ticket *tickets[3];
	struct request *requests[3];
	for (int i = 0; i < 3; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		requests[i] = new_request(queue, "d", key, true, &tickets[i]);
	}
	mf_mem_fail_at(1, true);
	FAKE_SET(fake, hold_appends = true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mf_commit_queue_submit(queue, &requests[i]->base, NULL), MF_OK);
	FAKE_SET(fake, hold_appends = false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_for(tickets[i], MF_LEVEL_COMMITTED, NULL), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	FAKE_SET(fake, append_errors_left = 0);
	assert_int_equal(wait_for(submit(queue, "k9", true), MF_LEVEL_COMMITTED, NULL), MF_OK);
	close_all(queue, fake);
}

/* ---- what is left of those that have ended ---- */

static void what_has_ended_never_piles_up(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(false);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	FAKE_SET(fake, hold_appends = true);
	for (int i = 0; i < 12000; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		mf_ticket_unref(submit(queue, key, false));
	}
	FAKE_SET(fake, hold_appends = false); /* now nobody submits, and all of them are stored at a stretch */
	assert_int_equal(mf_commit_queue_drain(queue, MF_WAIT_FOREVER, NULL), MF_OK);
	assert_int_equal(told.count, 12000);
	assert_in_range(told.alive, 1, MF_RETIRED_EVENTS + MF_GROUP_EVENTS);
	close_all(queue, fake);
}

static void an_idle_queue_keeps_nothing(void **unused)
{
	(void)unused;
	struct fake_store *fake = fake_store_new(false);
	struct mf_commit_queue *queue = new_queue(fake, 0, NULL);
	for (int i = 0; i < 100; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		mf_ticket_unref(submit(queue, key, false));
	}
	for (int tries = 0; atomic_load(&alive) > 0 && tries < 10000; tries++)
		usleep(1000);
	assert_int_equal(atomic_load(&alive), 0);
	close_all(queue, fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lone_writer_commits_in_its_own_thread),
		cmocka_unit_test(nobody_needs_to_wait),
		cmocka_unit_test(a_submit_into_a_sleeping_store_is_stored_by_itself),
		cmocka_unit_test(f05_eight_threads_see_lsns_in_commit_order_without_gaps),
		cmocka_unit_test(eight_threads_that_wait_for_syncs_are_served_in_order),
		cmocka_unit_test(eight_threads_and_a_window_that_syncs_beside_them),
		cmocka_unit_test(many_waiters_share_one_sync),
		cmocka_unit_test(a_weaker_commit_in_the_group_waits_for_the_sync_too),
		cmocka_unit_test(a_stronger_commit_in_the_group_is_synced_wherever_it_stands),
		cmocka_unit_test(a_stronger_commit_makes_earlier_weaker_ones_durable),
		cmocka_unit_test(a_large_batch_is_a_group_of_its_own),
		cmocka_unit_test(stored_time_never_steps_back),
		cmocka_unit_test(the_store_is_maintained),
		cmocka_unit_test(a_drain_ends_when_housekeeping_stops_the_writes),
		cmocka_unit_test(f21_the_window_is_real_and_runs_on_the_monotonic_clock),
		cmocka_unit_test(a_window_of_zero_syncs_at_once_in_the_background),
		cmocka_unit_test(commits_go_on_while_the_window_syncs),
		cmocka_unit_test(f03_a_failed_append_fails_what_follows_and_leaves_no_hole),
		cmocka_unit_test(f02_one_refused_transaction_does_not_harm_those_before_it),
		cmocka_unit_test(p08_an_unknown_outcome_stops_all_writes),
		cmocka_unit_test(a_failed_sync_ends_unknown_and_is_not_tried_again),
		cmocka_unit_test(a_failed_sync_in_the_background_stops_too),
		cmocka_unit_test(f08_a_time_out_does_not_cancel_the_commit),
		cmocka_unit_test(f07_draining_stores_and_syncs_everything_or_says_that_it_did_not),
		cmocka_unit_test(done_may_not_call_the_queue),
		cmocka_unit_test(a_queue_that_is_too_long_makes_reserving_wait),
		cmocka_unit_test(what_has_ended_never_piles_up),
		cmocka_unit_test(an_idle_queue_keeps_nothing),
		cmocka_unit_test(every_failed_allocation_makes_no_queue),
		cmocka_unit_test(a_commit_needs_no_memory_of_the_queue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
