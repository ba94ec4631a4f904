/* The snapshot subscriber at its limits: ids that run out, stores that fail without a word, a handler that closes, memory at one exact point. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "model/transaction.h"
#include "persist/subscriber_parts.h"
#include "subscriber_kit.h"
#include "turns.h"
#include <moduforge/value.h>

/* ---- a store that says something else ---- */

static struct {
	struct mf_store_ops truth;
	enum mf_status finds, lists, counts, finishes, closes; /* what it answers; MF_OK: the truth */
	const char *reason;                                     /* NULL: it does not tell */
	int64_t openings, epoch;                                /* -2: the truth */
	int saves, saves_here; /* of the counters; on the thread of the test */
	pthread_t here;
} says;

static enum mf_status answer(enum mf_status status, struct mf_error *error)
{
	return status && says.reason ? mf_error_set(error, status, "%s", says.reason) : status;
}

static enum mf_status find_key(struct mf_store *store, const char *key, struct mf_key_info *out, struct mf_error *error)
{
	enum mf_status status = answer(says.finds, error);
	return status ? status : says.truth.find_key(store, key, out, error);
}

static enum mf_status last_lsn(struct mf_store *store, const char *doc_id, int64_t *out_lsn, struct mf_error *error)
{
	enum mf_status status = answer(says.lists, error);
	return status ? status : says.truth.last_lsn(store, doc_id, out_lsn, error);
}

static enum mf_status stats(struct mf_store *store, struct mf_store_stats *out, struct mf_error *error)
{
	enum mf_status status = answer(says.counts, error);
	if (status == MF_OK)
		status = says.truth.stats(store, out, error);
	if (status == MF_OK && says.openings != -2) {
		out->openings = says.openings;
		out->epoch = says.epoch;
	}
	return status;
}

static enum mf_status finish(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_error *error)
{
	enum mf_status status = answer(says.finishes, error);
	return status ? status : says.truth.snapshot_finish(store, snapshot, error);
}

static enum mf_status save_metrics(struct mf_store *store, const void *bytes, size_t len, struct mf_error *error)
{
	(void)store, (void)bytes, (void)len, (void)error;
	says.saves++;
	says.saves_here += pthread_equal(says.here, pthread_self()) != 0;
	return MF_OK;
}

static enum mf_status close_store(struct mf_store *store, struct mf_error *error)
{
	enum mf_status closed = says.truth.close(store, NULL), status = answer(says.closes, error);
	return status ? status : closed;
}

static struct fake_store *new_store(void)
{
	struct fake_store *fake = fake_store_new(true);
	memset(&says, 0, sizeof(says));
	says.truth = fake->ops;
	says.openings = -2;
	says.here = pthread_self();
	fake->ops.find_key = find_key;
	fake->ops.last_lsn = last_lsn;
	fake->ops.stats = stats;
	fake->ops.snapshot_finish = finish;
	fake->ops.save_metrics = save_metrics;
	fake->ops.close = close_store;
	return fake;
}

/* With every option as it is by itself; a test may change some and open again. */
static void open_saying(void)
{
	mf_persist_options_init(&options);
	open_on(new_store());
}

/* ---- ids and keys ---- */

static enum mf_status reserve_status(struct mf_transaction *transaction, struct mf_key_answer *out, struct mf_error *error)
{
	memset(out, 0, sizeof(*out));
	return subject.committer->reserve(subject.committer->user, "doc", transaction, out, error);
}

static void release(struct mf_key_answer *answer)
{
	subject.committer->release(subject.committer->user, answer->reservation);
}

static void when_the_ids_of_an_opening_run_out_it_says_so(void **unused)
{
	(void)unused;
	open_saying();
	struct mf_key_answer answer;
	struct mf_error error = {0};
	struct mf_transaction *last = insert("a", NULL), *late = insert("b", NULL), *own = insert("c", "key");
	atomic_store(&subject.subscriber->counter, (UINT64_C(1) << MF_ID_COUNTER_BITS) - 2);
	assert_int_equal(reserve_status(last, &answer, NULL), MF_OK);
	assert_int_equal(mf_transaction_id(last), (UINT64_C(1) << MF_ID_COUNTER_BITS | ((UINT64_C(1) << MF_ID_COUNTER_BITS) - 1)));
	release(&answer);
	assert_int_equal(reserve_status(late, &answer, &error), MF_ERR_STATE);
	assert_non_null(strstr(error.message, "close it and open it again"));
	mf_transaction_set_id(own, 5); /* with an id and a key it needs none */
	assert_int_equal(reserve_status(own, &answer, NULL), MF_OK);
	release(&answer);
	mf_transaction_free(last);
	mf_transaction_free(late);
	mf_transaction_free(own);
	close_fake();
}

static void an_id_that_is_there_stays(void **unused)
{
	(void)unused;
	open_saying();
	struct mf_key_answer answer;
	struct mf_transaction *transaction = insert("a", NULL);
	mf_transaction_set_id(transaction, 77);
	assert_int_equal(reserve_status(transaction, &answer, NULL), MF_OK);
	assert_int_equal(mf_transaction_id(transaction), 77);
	assert_non_null(mf_transaction_key(transaction));
	release(&answer);
	mf_transaction_free(transaction);
	close_fake();
}

static void openings_number_the_ids_and_have_an_end(void **unused)
{
	(void)unused;
	static const struct {
		int64_t openings, epoch;
		enum mf_status status;
		uint64_t id;
	} cases[] = {
		{3, 9, MF_OK, 3},
		{0, 5, MF_OK, 5}, /* a store that does not count them */
		{(1 << 23) - 1, 9, MF_OK, (1 << 23) - 1},
		{1 << 23, 9, MF_ERR_STATE, 0},
		{-1, 9, MF_ERR_STATE, 0},
	};
	mf_persist_options_init(&options);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake_store *fake = new_store();
		says.openings = cases[i].openings;
		says.epoch = cases[i].epoch;
		struct mf_error error = {0};
		struct mf_snapshot_subscriber *none = NULL;
		if (cases[i].status != MF_OK) {
			assert_int_equal(mf_snapshot_subscriber_new(&fake->base, &options, small_registry, &none, &error), cases[i].status);
			assert_non_null(strstr(error.message, "more than transaction ids allow for"));
			assert_null(none);
			fake_store_free(fake);
			continue;
		}
		open_on(fake);
		struct mf_key_answer answer;
		struct mf_transaction *transaction = insert("a", NULL);
		assert_int_equal(reserve_status(transaction, &answer, NULL), MF_OK);
		assert_int_equal(mf_transaction_id(transaction) >> MF_ID_COUNTER_BITS, cases[i].id);
		release(&answer);
		mf_transaction_free(transaction);
		close_fake();
	}
}

static void a_key_that_cannot_be_looked_for_is_given_back(void **unused)
{
	(void)unused;
	open_saying();
	struct mf_key_answer answer;
	struct mf_error error = {0};
	struct mf_transaction *transaction = insert("a", "key");
	says.finds = MF_ERR_IO;
	says.reason = "the device does not answer";
	assert_int_equal(reserve_status(transaction, &answer, NULL), MF_ERR_IO);
	assert_int_equal(reserve_status(transaction, &answer, &error), MF_ERR_IO);
	assert_string_equal(error.message, says.reason);
	says.finds = MF_OK;
	assert_int_equal(reserve_status(transaction, &answer, NULL), MF_OK);
	assert_int_equal(answer.found, MF_KEY_NEW); /* nobody holds it */
	release(&answer);
	mf_transaction_free(transaction);
	close_fake();
}

/* ---- batches ---- */

static void a_batch_of_nothing_is_invalid(void **unused)
{
	(void)unused;
	open_saying();
	struct mf_ticket *ticket = NULL;
	struct mf_error error = {0};
	assert_int_equal(commit(NULL, 0, MF_COMMIT_ASYNC_DURABLE, &ticket, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "at least one"));
	assert_null(ticket);
	close_fake();
}

static void a_batch_of_two_generations_is_refused_whole(void **unused)
{
	(void)unused;
	open_saying();
	struct mf_state *state = small_state_new(100);
	struct mf_transaction *first = insert("a", "k1"), *second = insert("b", "k2");
	struct mf_proposal proposals[2];
	struct mf_ticket *ticket = NULL;
	struct mf_error error = {0};
	struct mf_key_answer answer;
	proposals[0] = propose("doc", state, first, reserve("doc", first).reservation, NULL);
	proposals[1] = propose("doc", proposals[0].new_state, second, reserve("doc", second).reservation, NULL);
	proposals[1].generation--;
	assert_int_equal(commit(proposals, 2, MF_COMMIT_ASYNC_DURABLE, &ticket, &error), MF_ERR_BUSY);
	assert_non_null(strstr(error.message, "start again from the committed state"));
	assert_null(ticket);
	assert_int_equal(subject.dones, 0);
	for (int i = 0; i < 2; i++) {
		assert_null(proposals[i].reservation);
		assert_int_equal(reserve_status(i ? second : first, &answer, NULL), MF_OK);
		assert_int_equal(answer.found, MF_KEY_NEW);
		release(&answer);
		mf_state_unref(proposals[i].new_state);
	}
	mf_transaction_free(first);
	mf_transaction_free(second);
	mf_state_unref(state);
	close_fake();
}

static void a_state_that_has_its_lsn_keeps_it(void **unused)
{
	(void)unused;
	open_saying();
	struct mf_state *state = small_state_new(100);
	struct mf_transaction *transaction = insert("a", NULL);
	struct mf_ticket *ticket;
	struct mf_proposal proposal = propose("doc", state, transaction, reserve("doc", transaction).reservation, NULL);
	mf_state_set_lsn(proposal.new_state, 9); /* no state that came of mf_state_apply alone */
	assert_int_equal(commit(&proposal, 1, MF_COMMIT_ASYNC_DURABLE, &ticket, NULL), MF_OK);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(mf_state_lsn(proposal.new_state), 9);
	mf_state_unref(proposal.new_state);
	mf_transaction_free(transaction);
	mf_state_unref(state);
	close_fake();
}

/* ---- snapshots ---- */

/* The snapshots' thread takes one when a test gives it a turn. */
static void open_due_every(uint64_t events, struct mf_logger logger)
{
	turns_begin();
	mf_persist_options_init(&options);
	options.env = &turns.env.env;
	options.snapshot_every_n_events = events;
	options.logger = logger;
	open_on(new_store());
}

static void a_snapshot_that_fails_without_a_word_gets_its_sentence(void **unused)
{
	(void)unused;
	open_due_every(2, (struct mf_logger){0});
	struct mf_state *state = small_state_new(100);
	struct mf_error error = {0};
	int64_t upto;
	says.finishes = MF_ERR_IO;
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	assert_int_equal(subject.committer->snapshot(subject.committer->user, "doc", state, &upto, &error), MF_ERR_IO);
	assert_string_equal(error.message, "document 'doc': the snapshot failed with MF_ERR_IO");
	assert_string_equal(subject.snapshot_error.message, error.message); /* and that is what is told */
	memset(&subject.snapshot_error, 0, sizeof(subject.snapshot_error));
	for (int i = 0; i < 2; i++)
		assert_int_equal(walk("doc", &state, insert(i ? "c" : "b", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	turn_of("snapshots");
	assert_int_equal(subject.failed_snapshots, 2);
	assert_string_equal(subject.snapshot_error.message, error.message);
	says.finishes = MF_OK;
	mf_state_unref(state);
	close_fake();
	turns_end();
}

/* A document with an event that no snapshot will cover: each attempt fails. */
static struct mf_state *open_with_one_to_cover(void)
{
	open_due_every(1, (struct mf_logger){0});
	struct mf_state *state = small_state_new(100);
	says.finishes = MF_ERR_IO;
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	return state;
}

/* The attempt, if there is one, ends: it fails and is told. */
static void let_it_fail(void)
{
	turn_of("snapshots");
	atomic_store(&subject.failed_snapshots, 0);
}

static uint64_t snapshot_failures(void)
{
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	assert_int_equal(subject.committer->metrics(subject.committer->user, &metrics, NULL), MF_OK);
	return metrics.snapshot_failures;
}

/* It may be read by a handler that the listener would call: the thread would wait for itself. */
static void a_recovery_whose_snapshot_cannot_begin_counts_that_and_tells_nobody(void **unused)
{
	(void)unused;
	struct mf_state *state = open_with_one_to_cover();
	int without = 0;
	for (uint64_t n = 1, failed = true; failed; n++) {
		struct mf_state *recovered;
		let_it_fail();
		subject.committer->forget(subject.committer->user, "doc");
		uint64_t before = snapshot_failures();
		memory_fails_at(n);
		enum mf_status status = subject.committer->recover(subject.committer->user, "doc", INT64_MAX, &recovered, NULL, NULL);
		failed = memory_failed(n);
		assert_int_equal(atomic_load(&subject.failed_snapshots), 0);
		assert_true(status == MF_OK || failed);
		if (status != MF_OK)
			continue;
		without += snapshot_failures() == before + 1;
		mf_state_unref(recovered);
	}
	assert_int_equal(without, 1); /* of all that can fail */
	let_it_fail();
	mf_state_unref(state);
	close_fake();
	turns_end();
}

static void a_commit_whose_snapshot_cannot_begin_tells_that(void **unused)
{
	(void)unused;
	struct mf_state *state = open_with_one_to_cover();
	int without = 0;
	for (uint64_t n = 1, failed = true; failed; n++) {
		struct mf_ticket *ticket;
		struct mf_transaction *transaction = insert("b", NULL);
		let_it_fail();
		struct mf_proposal proposal = propose("doc", state, transaction, reserve("doc", transaction).reservation, NULL);
		assert_int_equal(commit(&proposal, 1, MF_COMMIT_ASYNC_DURABLE, &ticket, NULL), MF_OK);
		memory_fails_at(n);
		enum mf_status status = wait_for(ticket, MF_LEVEL_COMMITTED, NULL);
		failed = memory_failed(n);
		if (status == MF_OK && atomic_load(&subject.failed_snapshots) == 1) {
			assert_int_equal(subject.snapshot_error.status, MF_ERR_NO_MEMORY);
			without++;
		}
		mf_state_unref(proposal.new_state);
		mf_transaction_free(transaction);
	}
	assert_int_equal(without, 1);
	let_it_fail();
	mf_state_unref(state);
	close_fake();
	turns_end();
}

static int warnings;

static void count_warnings(void *user, enum mf_log_level level, const char *message)
{
	(void)user;
	warnings += level == MF_LOG_WARNING && strstr(message, "64 snapshots are waiting already");
}

static void commit_to(const char *doc_id)
{
	struct mf_state *state = small_state_new(10);
	assert_int_equal(walk(doc_id, &state, insert("a", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	mf_state_unref(state);
}

static void that_snapshots_come_late_is_told_once_a_minute(void **unused)
{
	(void)unused;
	open_due_every(1, (struct mf_logger){count_warnings, NULL});
	char name[16];
	warnings = 0;
	atomic_fetch_add(&turns.env.now_us, 1);
	for (int i = 0; i < 64 + 2; i++) { /* nobody takes any */
		snprintf(name, sizeof(name), "d%d", i);
		commit_to(name);
	}
	assert_int_equal(warnings, 1);
	atomic_fetch_add(&turns.env.now_us, 59999999);
	commit_to("late");
	assert_int_equal(warnings, 1);
	atomic_fetch_add(&turns.env.now_us, 1);
	commit_to("later");
	assert_int_equal(warnings, 2);
	assert_int_equal(snapshot_failures(), 0);
	close_fake();
	turns_end();
}

static void a_state_that_is_only_looked_at_makes_no_snapshot_due(void **unused)
{
	(void)unused;
	struct mf_state *state = open_with_one_to_cover(), *seen;
	let_it_fail();
	subject.committer->forget(subject.committer->user, "doc");
	assert_int_equal(subject.committer->recover(subject.committer->user, "doc", MF_LSN_NEWEST_TO_LOOK_AT, &seen, NULL, NULL), MF_OK);
	assert_int_equal(mf_state_lsn(seen), 1);
	mf_state_unref(seen);
	turn_of("snapshots");
	assert_int_equal(atomic_load(&subject.failed_snapshots), 0);
	assert_int_equal(subject.committer->recover(subject.committer->user, "doc", INT64_MAX, &seen, NULL, NULL), MF_OK);
	mf_state_unref(seen);
	turn_of("snapshots");
	assert_int_equal(atomic_load(&subject.failed_snapshots), 1); /* as one that is held does */
	mf_state_unref(state);
	close_fake();
	turns_end();
}

/* ---- opening and closing ---- */

static void a_store_that_cannot_tell_its_newest_event_is_not_opened(void **unused)
{
	(void)unused;
	struct mf_error error = {0};
	struct mf_snapshot_subscriber *none = NULL;
	struct fake_store *fake = new_store();
	mf_persist_options_init(&options);
	says.lists = MF_ERR_IO;
	says.reason = "the device does not answer";
	assert_int_equal(mf_snapshot_subscriber_new(&fake->base, &options, small_registry, &none, &error), MF_ERR_IO);
	assert_string_equal(error.message, says.reason);
	assert_null(none);
	fake_store_free(fake);
}

static enum mf_status from_inside;

static void close_from_inside(void *user, const struct mf_commit_result *result)
{
	struct mf_error error = {0};
	done(user, result);
	from_inside = mf_snapshot_subscriber_close(subject.subscriber, MF_WAIT_FOREVER, &error);
	assert_int_equal(error.status, from_inside);
}

static void a_handler_may_not_close_and_nothing_is_closed_by_its_trying(void **unused)
{
	(void)unused;
	turns_begin();
	mf_persist_options_init(&options);
	options.env = &turns.env.env;
	open_on(new_store());
	struct mf_state *state = small_state_new(100);
	struct mf_transaction *transaction = insert("a", NULL);
	struct mf_ticket *ticket;
	struct mf_proposal proposal = propose("doc", state, transaction, reserve("doc", transaction).reservation, NULL);
	proposal.done = close_from_inside;
	assert_int_equal(commit(&proposal, 1, MF_COMMIT_ASYNC_DURABLE, &ticket, NULL), MF_OK);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(from_inside, MF_ERR_STATE);
	assert_int_equal(walk("doc", &proposal.new_state, insert("b", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	mf_state_unref(proposal.new_state);
	mf_transaction_free(transaction);
	mf_state_unref(state);
	close_fake();
	turns_end();
}

/* Its threads run when a test gives them a turn, and a group waits a minute of simulated time for others. */
static void open_with_turns(void)
{
	turns_begin();
	mf_persist_options_init(&options);
	options.env = &turns.env.env;
	options.commit_mode.group_window_ms = 60000;
	open_on(new_store());
}

static void time_is_over(void)
{
	atomic_fetch_add(&turns.env.now_us, 2000);
}

static void a_close_that_times_out_says_why(void **unused)
{
	(void)unused;
	open_with_turns();
	struct mf_state *state = small_state_new(100);
	struct mf_error error = {0};
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	turns.meanwhile = time_is_over;
	assert_int_equal(mf_snapshot_subscriber_close(subject.subscriber, 1, &error), MF_ERR_TIMEOUT);
	assert_int_equal(error.status, MF_ERR_TIMEOUT);
	assert_int_equal(walk("doc", &state, insert("b", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	mf_state_unref(state);
	close_fake();
	turns_end();
}

static void drained_too_late(void)
{
	turn_of("commit");
	atomic_fetch_add(&turns.env.now_us, 5000);
}

static void a_close_that_drained_in_more_than_its_time_still_closes(void **unused)
{
	(void)unused;
	open_with_turns();
	struct mf_state *state = small_state_new(100);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	turns.meanwhile = drained_too_late; /* nothing is left to wait for, and no time to do it in */
	assert_int_equal(mf_snapshot_subscriber_close(subject.subscriber, 1, NULL), MF_OK);
	mf_state_unref(state);
	turns_end();
}

static void what_closing_the_store_says_is_said(void **unused)
{
	(void)unused;
	struct mf_error error = {0};
	open_saying();
	says.closes = MF_ERR_IO;
	says.reason = "it was not closed";
	assert_int_equal(mf_snapshot_subscriber_close(subject.subscriber, MF_WAIT_FOREVER, &error), MF_ERR_IO);
	assert_string_equal(error.message, "it was not closed");
	open_saying();
	says.closes = MF_ERR_IO;
	assert_int_equal(mf_snapshot_subscriber_close(subject.subscriber, MF_WAIT_FOREVER, NULL), MF_ERR_IO);
}

static void what_was_not_synced_goes_before_what_closing_says(void **unused)
{
	(void)unused;
	struct mf_error error = {0};
	open_saying();
	struct mf_state *state = small_state_new(100);
	FAKE_SET(subject.fake, sync_error = MF_ERR_IO);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_ERR_UNKNOWN_OUTCOME);
	says.closes = MF_ERR_BUSY;
	assert_int_equal(mf_snapshot_subscriber_close(subject.subscriber, MF_WAIT_FOREVER, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_non_null(strstr(error.message, "injected MF_ERR_IO in sync"));
	mf_state_unref(state);
}

/* ---- counters ---- */

static void metrics_of_a_store_that_cannot_be_counted_fail(void **unused)
{
	(void)unused;
	open_saying();
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	struct mf_error error = {0};
	says.counts = MF_ERR_IO;
	says.reason = "the device does not answer";
	assert_int_equal(subject.committer->metrics(subject.committer->user, &metrics, &error), MF_ERR_IO);
	assert_string_equal(error.message, says.reason);
	says.counts = MF_OK;
	close_fake();
}

static char heard[300];

static void hear(void *user, enum mf_log_level level, const char *message)
{
	(void)user;
	if (level == MF_LOG_DEBUG)
		snprintf(heard, sizeof(heard), "%s", message);
}

static void counters_that_cannot_be_written_are_only_lost(void **unused)
{
	(void)unused;
	turns_begin();
	mf_persist_options_init(&options);
	options.env = &turns.env.env;
	options.logger.write = hear;
	open_on(new_store());
	struct mf_state *state = small_state_new(100);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	memory_fails_at(1);
	mf_subscriber_save_metrics(subject.subscriber);
	assert_true(memory_failed(1));
	assert_int_equal(says.saves, 0);
	assert_non_null(strstr(heard, "the counters could not be saved"));
	mf_subscriber_save_metrics(subject.subscriber);
	assert_int_equal(says.saves, 1);
	mf_state_unref(state);
	close_fake();
	turns_end();
}

/* The store takes them from one thread at a time: closing may not save while the background thread does. */
static void closing_leaves_it_to_the_background_thread_to_save_the_counters(void **unused)
{
	(void)unused;
	open_saying();
	struct mf_state *state = small_state_new(100);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	close_fake();
	assert_true(says.saves > 0);
	assert_int_equal(says.saves_here, 0);
	mf_state_unref(state);
}

/* ---- memory ---- */

static struct mf_state *open_with_one(uint64_t recovery_target_ms)
{
	struct mf_state *state = small_state_new(100);
	mf_persist_options_init(&options);
	options.env = &turns.env.env;
	options.recovery_target_ms = recovery_target_ms;
	open_on(new_store());
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_ASYNC_DURABLE, NULL), MF_OK);
	return state;
}

/* Measuring what a replay costs is a courtesy: the commit has succeeded whatever becomes of it. */
static void every_failed_allocation_of_a_measurement_costs_only_that(void **unused)
{
	(void)unused;
	turns_begin();
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_state *state = open_with_one(1000); /* the second commit of a document is measured */
		struct mf_transaction *transaction = insert("b", NULL);
		struct mf_ticket *ticket;
		enum mf_status outcome = MF_ERR_TIMEOUT;
		struct mf_proposal proposal = propose("doc", state, transaction, reserve("doc", transaction).reservation, &outcome);
		assert_int_equal(commit(&proposal, 1, MF_COMMIT_ASYNC_DURABLE, &ticket, NULL), MF_OK);
		memory_fails_at(n);
		enum mf_status status = wait_for(ticket, MF_LEVEL_COMMITTED, NULL);
		failed = memory_failed(n);
		assert_int_equal(outcome, status);
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && failed)); /* the store's own need */
		assert_int_equal(mf_state_lsn(proposal.new_state), status == MF_OK ? 2 : -1);
		mf_state_unref(proposal.new_state);
		mf_transaction_free(transaction);
		mf_state_unref(state);
		close_fake();
	}
	turns_end();
}

/* Of a transaction whose steps are encoded when it is reserved, and of an undo, whose steps are known later. */
static void every_failed_allocation_of_a_submit_gives_everything_back(void **unused)
{
	(void)unused;
	turns_begin();
	for (int undo = 0; undo < 2; undo++) {
		struct mf_state *state = open_with_one(0);
		struct mf_transaction *transaction = NULL;
		bool failed = true;
		for (uint64_t n = 1; failed; n++) {
			struct mf_ticket *ticket = NULL;
			if (undo)
				assert_int_equal(mf_state_make_undo(state, &transaction, NULL), MF_OK);
			else
				transaction = insert("b", "key");
			struct mf_proposal proposal = propose("doc", state, transaction, reserve("doc", transaction).reservation, NULL);
			memory_fails_at(n);
			enum mf_status status = commit(&proposal, 1, MF_COMMIT_ASYNC_DURABLE, &ticket, NULL);
			failed = memory_failed(n);
			assert_null(proposal.reservation);
			assert_true(status == MF_OK ? !failed : status == MF_ERR_NO_MEMORY && failed && !ticket);
			if (status == MF_OK)
				assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
			mf_state_unref(proposal.new_state);
			mf_transaction_free(transaction);
		}
		mf_state_unref(state);
		close_fake();
	}
	turns_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(when_the_ids_of_an_opening_run_out_it_says_so),
		cmocka_unit_test(an_id_that_is_there_stays),
		cmocka_unit_test(openings_number_the_ids_and_have_an_end),
		cmocka_unit_test(a_key_that_cannot_be_looked_for_is_given_back),
		cmocka_unit_test(a_batch_of_nothing_is_invalid),
		cmocka_unit_test(a_batch_of_two_generations_is_refused_whole),
		cmocka_unit_test(a_state_that_has_its_lsn_keeps_it),
		cmocka_unit_test(a_snapshot_that_fails_without_a_word_gets_its_sentence),
		cmocka_unit_test(a_recovery_whose_snapshot_cannot_begin_counts_that_and_tells_nobody),
		cmocka_unit_test(a_commit_whose_snapshot_cannot_begin_tells_that),
		cmocka_unit_test(that_snapshots_come_late_is_told_once_a_minute),
		cmocka_unit_test(a_state_that_is_only_looked_at_makes_no_snapshot_due),
		cmocka_unit_test(a_store_that_cannot_tell_its_newest_event_is_not_opened),
		cmocka_unit_test(a_handler_may_not_close_and_nothing_is_closed_by_its_trying),
		cmocka_unit_test(a_close_that_times_out_says_why),
		cmocka_unit_test(a_close_that_drained_in_more_than_its_time_still_closes),
		cmocka_unit_test(what_closing_the_store_says_is_said),
		cmocka_unit_test(what_was_not_synced_goes_before_what_closing_says),
		cmocka_unit_test(closing_leaves_it_to_the_background_thread_to_save_the_counters),
		cmocka_unit_test(metrics_of_a_store_that_cannot_be_counted_fail),
		cmocka_unit_test(counters_that_cannot_be_written_are_only_lost),
		cmocka_unit_test(every_failed_allocation_of_a_measurement_costs_only_that),
		cmocka_unit_test(every_failed_allocation_of_a_submit_gives_everything_back),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
