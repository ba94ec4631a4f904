/* The queue where two threads meet at an exact point: its thread has a turn where a test says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "commit_kit.h"
#include "turns.h"

#define MIB ((size_t)1 << 20)

/* The background thread has a turn. */
static void worker_turn(void)
{
	told.queue->place = WORKER_AWAKE;
	turn_of("commit");
}

static void pass(int64_t us)
{
	atomic_fetch_add(&turns.env.now_us, us);
}

/* ---- the store ---- */

static struct {
	struct fake_store *fake;
	enum mf_status (*append)(struct mf_store *store, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error);
	enum mf_status (*sync)(struct mf_store *store, int64_t *out_synced_lsn, struct mf_error *error);
	enum mf_status append_says, sync_says, maintain_says; /* without a word of why */
	bool only_alone;                                      /* batches of several events are refused */
	void (*in_append)(void), (*in_sync)(void);            /* once, after the work is done, before it is told */
	size_t batches[8], batch_count;
} store;

static void once(void (**what)(void))
{
	void (*now)(void) = *what;
	*what = NULL;
	if (now)
		now();
}

static enum mf_status append(struct mf_store *base, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error)
{
	if (store.batch_count < sizeof(store.batches) / sizeof(store.batches[0]))
		store.batches[store.batch_count++] = count;
	if (store.append_says)
		return store.append_says;
	if (store.only_alone && count > 1)
		return mf_error_set(error, MF_ERR_INVALID, "only one at a time");
	enum mf_status status = store.append(base, events, count, out_last_lsn, error);
	once(&store.in_append);
	return status;
}

static enum mf_status sync_store(struct mf_store *base, int64_t *out_synced_lsn, struct mf_error *error)
{
	enum mf_status says = store.sync_says, status = store.sync(base, out_synced_lsn, error);
	once(&store.in_sync);
	return says ? says : status;
}

static enum mf_status maintain(struct mf_store *base, struct mf_error *error)
{
	FAKE_SET((struct fake_store *)base, maintains++);
	return store.maintain_says ? mf_error_set(error, store.maintain_says, "the log cannot be shortened") : MF_OK;
}

static struct {
	int count;
	char last[300];
} logged;

static void note_line(void *user, enum mf_log_level level, const char *message)
{
	(void)user;
	if (level > MF_LOG_WARNING)
		return;
	logged.count++;
	snprintf(logged.last, sizeof(logged.last), "%s", message);
}

/* ---- a queue ---- */

static int saves; /* of the counters */

static void note_save(void *user)
{
	assert_ptr_equal(user, &saves);
	saves++;
}

static struct mf_commit_queue *queue_that_saves(bool durable, uint32_t window_ms, void (*save)(void *user))
{
	turns_begin();
	memset(&store, 0, sizeof(store));
	memset(&logged, 0, sizeof(logged));
	store.fake = fake_store_new(durable);
	store.append = store.fake->ops.append_batch;
	store.sync = store.fake->ops.sync;
	store.fake->ops.append_batch = append;
	store.fake->ops.sync = sync_store;
	store.fake->ops.maintain = maintain;
	struct mf_commit_queue_options options = {
		.store = &store.fake->base,
		.group_window_ms = window_ms,
		.env = &turns.env.env,
		.logger = {.write = note_line},
		.save = save,
		.save_user = &saves,
	};
	saves = 0;
	return new_queue_with(&options);
}

static struct mf_commit_queue *queue_over(bool durable, uint32_t window_ms)
{
	return queue_that_saves(durable, window_ms, NULL);
}

static void close_queue(struct mf_commit_queue *queue)
{
	turns.meanwhile = worker_turn;
	close_all(queue, store.fake);
	turns_end();
}

/* With the sentence that it fails with, if it does. */
static enum mf_status outcome(struct mf_ticket *ticket, enum mf_level level, struct mf_error *error)
{
	mf_error_clear(error);
	enum mf_status status = mf_ticket_wait(ticket, level, MF_WAIT_FOREVER, NULL, error);
	mf_ticket_unref(ticket);
	return status;
}

static enum mf_status commit(struct mf_commit_queue *queue, const char *key, bool sync)
{
	return wait_for(submit(queue, key, sync), MF_LEVEL_COMMITTED, NULL);
}

/* ---- a store that gives no reason ---- */

static void a_refusal_without_a_word_gets_its_sentence(void **unused)
{
	(void)unused;
	struct mf_error error;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	store.append_says = MF_ERR_STORAGE_FULL;
	assert_int_equal(outcome(submit(queue, "a", false), MF_LEVEL_COMMITTED, &error), MF_ERR_STORAGE_FULL);
	assert_int_equal(error.status, MF_ERR_STORAGE_FULL);
	assert_string_equal(error.message, "the store refused 1 events with MF_ERR_STORAGE_FULL");
	store.append_says = MF_OK;
	assert_int_equal(commit(queue, "a", false), MF_OK); /* a full disk is no end */
	close_queue(queue);
}

static void a_leaders_sync_that_fails_without_a_word_gets_its_sentence(void **unused)
{
	(void)unused;
	struct mf_error error;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	store.sync_says = MF_ERR_IO;
	assert_int_equal(outcome(submit(queue, "a", true), MF_LEVEL_COMMITTED, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_string_equal(error.message, "the sync failed with MF_ERR_IO");
	assert_int_equal(submit_status(queue, "b", mf_commit_queue_generation(queue), &error), MF_ERR_IO);
	close_queue(queue);
}

static void a_background_sync_that_fails_without_a_word_gets_its_sentence(void **unused)
{
	(void)unused;
	struct mf_error error;
	struct mf_commit_queue *queue = queue_over(true, 0);
	store.sync_says = MF_ERR_IO;
	struct mf_ticket *ticket = submit(queue, "a", false);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	worker_turn();
	assert_int_equal(outcome(ticket, MF_LEVEL_SYNCED, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_string_equal(error.message, "the sync failed with MF_ERR_IO");
	close_queue(queue);
}

/* ---- groups ---- */

static void what_is_refused_together_may_be_stored_one_by_one(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	uint64_t generation = mf_commit_queue_generation(queue);
	struct mf_ticket *tickets[3] = {submit(queue, "a", false), submit(queue, "b", true), submit(queue, "c", false)};
	store.only_alone = true;
	for (int i = 0; i < 3; i++) {
		int64_t lsn = 0;
		assert_int_equal(wait_for(tickets[i], MF_LEVEL_SYNCED, &lsn), MF_OK);
		assert_int_equal(lsn, i + 1);
		assert_int_equal(told.statuses[i], MF_OK);
	}
	assert_int_equal(store.batch_count, 4);
	assert_int_equal(mf_commit_queue_generation(queue), generation); /* nothing failed */
	close_queue(queue);
}

static void an_invalid_one_fails_alone(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	struct mf_ticket *before = submit(queue, "before", false), *culprit = submit(queue, "culprit", false);
	FAKE_SET(store.fake, poisoned_key = "culprit");
	FAKE_SET(store.fake, poison_error = MF_ERR_INVALID);
	assert_int_equal(wait_for(before, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(wait_for(culprit, MF_LEVEL_COMMITTED, NULL), MF_ERR_INVALID);
	close_queue(queue);
}

static void a_lone_one_that_is_refused_is_not_tried_again(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	store.append_says = MF_ERR_INVALID;
	assert_int_equal(commit(queue, "a", true), MF_ERR_INVALID);
	assert_int_equal(store.batch_count, 1);
	store.append_says = MF_OK;
	close_queue(queue);
}

static void a_sync_that_fails_decides_for_those_that_were_refused_too(void **unused)
{
	(void)unused;
	struct mf_error error;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	struct mf_ticket *before = submit(queue, "before", true), *culprit = submit(queue, "culprit", false), *behind = submit(queue, "behind", false);
	FAKE_SET(store.fake, poisoned_key = "culprit");
	FAKE_SET(store.fake, poison_error = MF_ERR_DUPLICATE_KEY);
	store.sync_says = MF_ERR_IO;
	assert_int_equal(wait_for(before, MF_LEVEL_COMMITTED, NULL), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(outcome(culprit, MF_LEVEL_COMMITTED, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_string_equal(error.message, "the sync failed with MF_ERR_IO");
	assert_int_equal(wait_for(behind, MF_LEVEL_COMMITTED, NULL), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(told.count, 3);
	assert_int_equal(mf_commit_queue_committed(queue), 0);
	close_queue(queue);
}

static void a_group_ends_before_it_has_too_many_bytes(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(false, 0);
	mf_ticket_unref(submit_large(queue, "a", 3 * MIB));
	mf_ticket_unref(submit_large(queue, "b", 1 * MIB)); /* just fits */
	struct mf_ticket *last = submit_large(queue, "c", 1);
	for (int turn = 0; turn < 2; turn++)
		assert_int_equal(mf_ticket_wait(last, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	mf_ticket_unref(last);
	assert_int_equal(store.batch_count, 2);
	assert_int_equal(store.batches[0], 2);
	assert_int_equal(store.batches[1], 1);
	close_queue(queue);
}

/* ---- two syncs at a time ---- */

static struct mf_commit_queue *shared;

static void sync_fails_in_the_background(void)
{
	store.sync_says = MF_ERR_IO;
	worker_turn();
	store.sync_says = MF_OK;
}

static void a_sync_that_succeeds_after_another_failed_acknowledges_nothing(void **unused)
{
	(void)unused;
	struct mf_error error;
	struct mf_commit_queue *queue = queue_over(true, 10);
	assert_int_equal(commit(queue, "weak", false), MF_OK);
	pass(10000);
	store.in_sync = sync_fails_in_the_background;
	assert_int_equal(outcome(submit(queue, "strong", true), MF_LEVEL_COMMITTED, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_string_equal(error.message, "the sync failed with MF_ERR_IO");
	assert_int_equal(mf_commit_queue_synced_lsn(queue), 0);
	assert_int_equal(mf_commit_queue_committed(queue), 1);
	close_queue(queue);
}

static int notices;

static void note_synced(void *user)
{
	(void)user;
	notices++;
}

static void a_leaders_sync_may_be_the_later_of_two(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 10);
	notices = 0;
	mf_commit_queue_on_synced(queue, note_synced, NULL);
	assert_int_equal(commit(queue, "weak", false), MF_OK);
	pass(10000);
	store.in_sync = worker_turn; /* covers both: they are written */
	assert_int_equal(commit(queue, "strong", true), MF_OK);
	assert_int_equal(mf_commit_queue_synced_lsn(queue), 2);
	assert_int_equal(FAKE_GET(store.fake, syncs), 2);
	assert_int_equal(notices, 1);
	close_queue(queue);
}

static void commit_strongly(void)
{
	assert_int_equal(commit(shared, "strong", true), MF_OK);
}

static void what_is_synced_never_shrinks(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = shared = queue_over(true, 10);
	notices = 0;
	mf_commit_queue_on_synced(queue, note_synced, NULL);
	assert_int_equal(commit(queue, "weak", false), MF_OK);
	pass(10000);
	store.in_sync = commit_strongly; /* while the background's sync of the first is under way */
	worker_turn();
	assert_int_equal(mf_commit_queue_synced_lsn(queue), 2);
	assert_int_equal(notices, 0); /* of the background's, which told nothing new */
	close_queue(queue);
}

static void what_a_sync_beside_the_append_has_covered_needs_no_other(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 10);
	assert_int_equal(commit(queue, "first", false), MF_OK);
	pass(10000);
	store.in_append = worker_turn; /* the second is in the store, and nobody has noted it */
	assert_int_equal(wait_for(submit(queue, "second", false), MF_LEVEL_SYNCED, NULL), MF_OK);
	pass(10000);
	worker_turn();
	assert_int_equal(FAKE_GET(store.fake, syncs), 1);
	assert_int_equal(mf_commit_queue_drain(queue, MF_WAIT_FOREVER, NULL), MF_OK);
	close_queue(queue);
}

/* ---- who is woken ---- */

static void the_end_of_a_window_wakes_only_who_would_miss_it(void **unused)
{
	(void)unused;
	static const struct {
		uint32_t window_ms;
		enum worker_place place;
		int signals;
	} cases[] = {
		{60000, WORKER_NAPS, 0}, /* it looks soon enough by itself */
		{0, WORKER_NAPS, 1},     /* too late for this */
		{60000, WORKER_SLEEPS, 1},
		{0, WORKER_AWAKE, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mf_commit_queue *queue = queue_over(true, cases[i].window_ms);
		struct mf_ticket *ticket = submit(queue, "a", false);
		queue->place = cases[i].place;
		turns.signals = 0;
		assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
		assert_int_equal(turns.signals, cases[i].signals + 1); /* and one for who waits for the ticket */
		mf_ticket_unref(ticket);
		close_queue(queue);
	}
}

static void many_bytes_end_a_nap(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(false, 0);
	queue->place = WORKER_NAPS;
	mf_ticket_unref(submit_large(queue, "a", MIB - 1));
	assert_int_equal(turns.signals, 0);
	mf_ticket_unref(submit_large(queue, "b", 1));
	assert_int_equal(turns.signals, 1);
	close_queue(queue);
}

/* ---- giving up ---- */

static struct mf_ticket *waited_for;

static void wait_and_be_refused(void)
{
	assert_int_equal(mf_ticket_wait(waited_for, MF_LEVEL_COMMITTED, 1, NULL, NULL), MF_ERR_STATE);
}

static void who_leads_may_not_wait_and_wakes_nobody_for_it(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	waited_for = submit_large(queue, "a", MF_GROUP_BYTES);
	struct mf_ticket *behind = submit(queue, "b", false);
	queue->place = WORKER_NAPS;
	store.in_append = wait_and_be_refused; /* the first is at work, and the second waits for the next leader */
	assert_int_equal(wait_for(behind, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(wait_for(waited_for, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(store.batch_count, 2);
	close_queue(queue);
}

/* A leader in another thread, which is let go when the test waits. */
static void *lead(void *ticket)
{
	return (void *)(intptr_t)wait_for(ticket, MF_LEVEL_COMMITTED, NULL);
}

static pthread_t leader;

static void let_the_leader_end(void)
{
	void *status;
	FAKE_SET(store.fake, hold_appends = false);
	pthread_join(leader, &status);
	assert_int_equal((intptr_t)status, MF_OK);
	pass(1000); /* all the time that who waits has */
}

static void who_gives_up_leaves_the_work_to_the_thread(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	struct mf_ticket *first = submit(queue, "a", false);
	FAKE_SET(store.fake, hold_appends = true);
	assert_int_equal(pthread_create(&leader, NULL, lead, first), 0);
	FAKE_WAIT(store.fake, store.fake->in_append == 1);
	struct mf_ticket *second = submit(queue, "b", false);
	queue->place = WORKER_SLEEPS;
	turns.meanwhile = let_the_leader_end; /* it hands over to who waits, whose time is over */
	assert_int_equal(mf_ticket_wait(second, MF_LEVEL_COMMITTED, 1, NULL, NULL), MF_ERR_TIMEOUT);
	assert_int_equal(queue->place, WORKER_AWAKE); /* woken in its place */
	worker_turn();
	assert_int_equal(wait_for(second, MF_LEVEL_COMMITTED, NULL), MF_OK);
	close_queue(queue);
}

/* ---- another thread ---- */

struct elsewhere {
	struct mf_commit_queue *queue;
	size_t bytes;
};

static void *submit_elsewhere(void *user)
{
	const struct elsewhere *elsewhere = user;
	return submit_large(elsewhere->queue, "elsewhere", elsewhere->bytes);
}

static struct mf_ticket *submit_from_another_thread(struct mf_commit_queue *queue, size_t bytes)
{
	struct elsewhere elsewhere = {queue, bytes};
	pthread_t thread;
	void *ticket;
	assert_int_equal(pthread_create(&thread, NULL, submit_elsewhere, &elsewhere), 0);
	assert_int_equal(pthread_join(thread, &ticket), 0);
	return ticket;
}

static void what_has_ended_is_freed_at_once_when_it_is_large_or_nobody_else_would(void **unused)
{
	(void)unused;
	static const struct {
		size_t bytes;
		enum worker_place place;
		int alive;
	} cases[] = {
		{MF_RETIRED_BYTES, WORKER_NAPS, 1},
		{MF_RETIRED_BYTES + 1, WORKER_NAPS, 0},
		{1, WORKER_SLEEPS, 0}, /* nobody else would */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mf_commit_queue *queue = queue_over(false, 0);
		struct mf_ticket *ticket = submit_from_another_thread(queue, cases[i].bytes);
		queue->place = cases[i].place;
		assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
		assert_int_equal(atomic_load(&alive), cases[i].alive);
		close_queue(queue);
	}
}

/* ---- room, draining, looking ---- */

static void room_is_made_by_the_thread(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(false, 0);
	struct mf_ticket *large = submit_large(queue, "large", MF_QUEUE_BYTES);
	assert_int_equal(mf_commit_queue_make_room(queue, NULL), MF_OK); /* just enough is left */
	assert_int_equal(store.batch_count, 0);
	struct mf_ticket *more = submit_large(queue, "more", 1);
	turns.meanwhile = worker_turn;
	assert_int_equal(mf_commit_queue_make_room(queue, NULL), MF_OK);
	assert_int_equal(store.batch_count, 2);
	assert_int_equal(wait_for(large, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(wait_for(more, MF_LEVEL_COMMITTED, NULL), MF_OK);
	close_queue(queue);
}

static void too_many_events_leave_no_room(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(false, 0);
	struct mf_ticket *ticket;
	struct request *request = new_request(queue, "d", "k", false, &ticket);
	struct mf_event *events = calloc(MF_QUEUE_EVENTS + 1, sizeof(*events));
	assert_non_null(events);
	request->base.events = events;
	request->base.count = MF_QUEUE_EVENTS + 1;
	assert_int_equal(mf_commit_queue_submit(queue, &request->base, NULL), MF_OK);
	store.append_says = MF_ERR_STORAGE_FULL; /* they are none */
	turns.meanwhile = worker_turn;
	assert_int_equal(mf_commit_queue_make_room(queue, NULL), MF_OK);
	assert_int_equal(store.batches[0], MF_QUEUE_EVENTS + 1);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_ERR_STORAGE_FULL);
	store.append_says = MF_OK;
	free(events);
	close_queue(queue);
}

static void a_drain_may_take_for_ever(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	mf_ticket_unref(submit(queue, "a", false));
	turns.meanwhile = worker_turn;
	assert_int_equal(mf_commit_queue_drain(queue, INT64_MAX, NULL), MF_OK);
	assert_int_equal(mf_commit_queue_synced_lsn(queue), 1);
	close_queue(queue);
}

static void a_wait_may_take_for_ever(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	struct mf_ticket *ticket = submit(queue, "a", true);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_SYNCED, INT64_MAX, NULL, NULL), MF_OK);
	mf_ticket_unref(ticket);
	close_queue(queue);
}

static void make_room(void)
{
	assert_int_equal(mf_commit_queue_make_room(shared, NULL), MF_OK);
}

static void sync_and_then_store(void)
{
	pass(60000000);
	worker_turn(); /* first the window's end, which comes before the work, and tells who wants room too */
	assert_int_equal(FAKE_GET(store.fake, syncs), 2); /* ... and for the large one, at the same clock: its window began with it */
}

static void a_sync_tells_who_waits_for_room(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = shared = queue_over(true, 0);
	assert_int_equal(commit(queue, "first", false), MF_OK);
	struct mf_ticket *large = submit_large(queue, "large", MF_QUEUE_BYTES + 1);
	turns.meanwhile = sync_and_then_store;
	make_room();
	assert_int_equal(wait_for(large, MF_LEVEL_SYNCED, NULL), MF_OK);
	close_queue(queue);
}

static struct mf_metrics looked;

static void look(void)
{
	memset(&looked, 0, sizeof(looked));
	pass(5);
	mf_commit_queue_look(shared, &looked);
}

static void what_is_not_synced_yet_is_told(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = shared = queue_over(true, 10);
	memset(&looked, 0, sizeof(looked));
	assert_int_equal(commit(queue, "a", false), MF_OK);
	mf_commit_queue_look(queue, &looked);
	assert_int_equal(looked.unsynced_lsns, 1);
	assert_int_equal(looked.unsynced_us, 0); /* at the same moment */
	look();
	assert_int_equal(looked.unsynced_us, 5);
	pass(9995);
	store.in_sync = look; /* the window's, which began with the commit */
	worker_turn();
	assert_int_equal(looked.unsynced_lsns, 1);
	assert_int_equal(looked.unsynced_us, 10005);
	look();
	assert_int_equal(looked.unsynced_lsns, 0);
	assert_int_equal(looked.unsynced_us, 0);
	close_queue(queue);
	queue = shared = queue_over(false, 10);
	assert_int_equal(commit(queue, "a", false), MF_OK);
	look();
	assert_int_equal(looked.unsynced_lsns, 0); /* nothing is to be synced */
	close_queue(queue);
}

/* ---- housekeeping ---- */

static void housekeeping_that_fails_again_is_told_once(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	store.maintain_says = MF_ERR_BUSY;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(commit(queue, i ? "b" : "a", false), MF_OK);
		worker_turn();
	}
	assert_int_equal(FAKE_GET(store.fake, maintains), 2);
	assert_int_equal(logged.count, 1);
	assert_string_equal(logged.last, "housekeeping of the store failed, and is tried again: the log cannot be shortened");
	store.maintain_says = MF_OK;
	assert_int_equal(commit(queue, "c", false), MF_OK);
	worker_turn();
	assert_int_equal(logged.count, 1);
	close_queue(queue);
}

static void housekeeping_whose_outcome_is_unknown_stops_writes(void **unused)
{
	(void)unused;
	struct mf_error error = {0};
	struct mf_commit_queue *queue = queue_over(true, 60000);
	store.maintain_says = MF_ERR_UNKNOWN_OUTCOME;
	assert_int_equal(commit(queue, "a", false), MF_OK);
	worker_turn();
	assert_int_equal(submit_status(queue, "b", mf_commit_queue_generation(queue), &error), MF_ERR_IO);
	assert_non_null(strstr(error.message, "the log cannot be shortened"));
	assert_int_equal(logged.count, 2); /* that it failed, and what that means */
	close_queue(queue);
}

static void housekeeping_after_the_end_of_writes_is_not_told(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 0);
	store.sync_says = MF_ERR_IO;
	store.maintain_says = MF_ERR_IO;
	assert_int_equal(commit(queue, "a", false), MF_OK);
	worker_turn();
	assert_int_equal(FAKE_GET(store.fake, maintains), 1);
	assert_int_equal(logged.count, 1); /* the sync's failure: all else follows from it */
	close_queue(queue);
}

static void a_store_without_housekeeping_needs_none(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	store.fake->ops.maintain = NULL;
	assert_int_equal(commit(queue, "a", false), MF_OK);
	worker_turn();
	assert_int_equal(logged.count, 0);
	close_queue(queue);
}

static void counters_are_saved_once_a_second_while_there_is_something_to_count(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_that_saves(true, 60000, note_save);
	worker_turn();
	assert_int_equal(saves, 0); /* nothing has come */
	assert_int_equal(commit(queue, "a", false), MF_OK);
	worker_turn();
	assert_int_equal(saves, 1);
	assert_int_equal(commit(queue, "b", false), MF_OK);
	pass(999999);
	worker_turn();
	assert_int_equal(saves, 1);
	pass(1);
	worker_turn();
	assert_int_equal(saves, 2);
	pass(5000000);
	worker_turn();
	assert_int_equal(saves, 2); /* nothing has come since */
	close_queue(queue);
}

/* With all that was counted. */
static void the_end_saves_the_counters(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_that_saves(true, 60000, note_save);
	assert_int_equal(commit(queue, "a", false), MF_OK);
	mf_commit_queue_close(queue);
	assert_int_equal(saves, 1);
	assert_int_equal(FAKE_GET(store.fake, synced_lsn), 1);
	fake_store_free(store.fake);
	turns_end();
}

static void the_end_syncs_what_no_window_has(void **unused)
{
	(void)unused;
	struct mf_commit_queue *queue = queue_over(true, 60000);
	assert_int_equal(commit(queue, "a", false), MF_OK);
	mf_commit_queue_close(queue); /* without a drain: its thread does not end before */
	assert_int_equal(FAKE_GET(store.fake, synced_lsn), 1);
	fake_store_free(store.fake);
	turns_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refusal_without_a_word_gets_its_sentence),
		cmocka_unit_test(a_leaders_sync_that_fails_without_a_word_gets_its_sentence),
		cmocka_unit_test(a_background_sync_that_fails_without_a_word_gets_its_sentence),
		cmocka_unit_test(what_is_refused_together_may_be_stored_one_by_one),
		cmocka_unit_test(an_invalid_one_fails_alone),
		cmocka_unit_test(a_lone_one_that_is_refused_is_not_tried_again),
		cmocka_unit_test(a_sync_that_fails_decides_for_those_that_were_refused_too),
		cmocka_unit_test(a_group_ends_before_it_has_too_many_bytes),
		cmocka_unit_test(a_sync_that_succeeds_after_another_failed_acknowledges_nothing),
		cmocka_unit_test(a_leaders_sync_may_be_the_later_of_two),
		cmocka_unit_test(what_is_synced_never_shrinks),
		cmocka_unit_test(what_a_sync_beside_the_append_has_covered_needs_no_other),
		cmocka_unit_test(the_end_of_a_window_wakes_only_who_would_miss_it),
		cmocka_unit_test(many_bytes_end_a_nap),
		cmocka_unit_test(who_leads_may_not_wait_and_wakes_nobody_for_it),
		cmocka_unit_test(who_gives_up_leaves_the_work_to_the_thread),
		cmocka_unit_test(what_has_ended_is_freed_at_once_when_it_is_large_or_nobody_else_would),
		cmocka_unit_test(room_is_made_by_the_thread),
		cmocka_unit_test(too_many_events_leave_no_room),
		cmocka_unit_test(a_drain_may_take_for_ever),
		cmocka_unit_test(a_wait_may_take_for_ever),
		cmocka_unit_test(a_sync_tells_who_waits_for_room),
		cmocka_unit_test(what_is_not_synced_yet_is_told),
		cmocka_unit_test(housekeeping_that_fails_again_is_told_once),
		cmocka_unit_test(housekeeping_whose_outcome_is_unknown_stops_writes),
		cmocka_unit_test(housekeeping_after_the_end_of_writes_is_not_told),
		cmocka_unit_test(a_store_without_housekeeping_needs_none),
		cmocka_unit_test(counters_are_saved_once_a_second_while_there_is_something_to_count),
		cmocka_unit_test(the_end_saves_the_counters),
		cmocka_unit_test(the_end_syncs_what_no_window_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
