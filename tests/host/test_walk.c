/* test_walk.c - the walk over a store that waits and fails when the test wants it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "host/runtime.h"
#include "model/mem.h"
#include "persist/fork_guard.h"
#include "moody_store.h"
#include "small_steps.h"

#define OK(call) assert_int_equal(MF_OK, (call))

/* ---- a runtime without plugin files ---- */
static struct mf_runtime runtime;
static struct mf_store *store;
static struct mf_snapshot_subscriber *subscriber;
static struct mf_committer counting; /* the subscriber's, with recoveries counted */
static atomic_int recoveries, forgotten, keys_pending;
static _Atomic int64_t recovered_at;

static enum mf_status count_recover(void *user, const char *doc_id, int64_t at_lsn, struct mf_state **out, struct mf_recovery_report *out_report, struct mf_error *error)
{
	atomic_fetch_add(&recoveries, 1);
	atomic_store(&recovered_at, at_lsn);
	return mf_snapshot_subscriber_committer(subscriber)->recover(user, doc_id, at_lsn, out, out_report, error);
}

static void count_forget(void *user, const char *doc_id)
{
	atomic_fetch_add(&forgotten, 1);
	mf_snapshot_subscriber_committer(subscriber)->forget(user, doc_id);
}

static enum mf_status count_pending(void *user, const char *doc_id, struct mf_transaction *transaction, struct mf_key_answer *out, struct mf_error *error)
{
	enum mf_status status = mf_snapshot_subscriber_committer(subscriber)->reserve(user, doc_id, transaction, out, error);
	if (status == MF_OK && out->found == MF_KEY_PENDING && out->ticket)
		atomic_fetch_add(&keys_pending, 1);
	return status;
}

static void open_with(size_t max_loaded)
{
	struct mf_persist_options options;
	mf_persist_options_init(&options);
	options.commit_mode.kind = MF_COMMIT_MEMORY_ONLY;
	memset(&runtime, 0, sizeof(runtime));
	store = moody_store_new();
	OK(mf_snapshot_subscriber_new(store, &options, small_registry, &subscriber, NULL));
	counting = *mf_snapshot_subscriber_committer(subscriber);
	counting.recover = count_recover;
	counting.forget = count_forget;
	counting.reserve = count_pending;
	OK(mf_bus_new(&runtime.bus));
	OK(mf_bus_set_committer(runtime.bus, &counting, NULL));
	runtime.registry = small_registry;
	runtime.committer = &counting;
	runtime.generation = mf_fork_generation();
	pthread_mutex_init(&runtime.publish_lock, NULL);
	OK(mf_documents_init(&runtime.documents, &counting, max_loaded));
	atomic_store(&recoveries, 0);
	atomic_store(&forgotten, 0);
	atomic_store(&keys_pending, 0);
}

static int setup(void **unused)
{
	(void)unused;
	open_with(100);
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	OK(mf_snapshot_subscriber_close(subscriber, MF_WAIT_FOREVER, NULL));
	mf_documents_deinit(&runtime.documents);
	mf_bus_free(runtime.bus);
	pthread_mutex_destroy(&runtime.publish_lock);
	return 0;
}

/* ---- short words ---- */
static struct mf_transaction *set_n(const char *key, int n)
{
	struct mf_transaction *transaction = small_transaction_new();
	OK(mf_transaction_set_key(transaction, key, NULL));
	ADD_SET(transaction, "root", "n", n);
	return transaction;
}

static struct mf_ticket *submit(const char *doc_id, struct mf_transaction *transaction)
{
	struct mf_ticket *ticket;
	OK(mf_runtime_submit(&runtime, doc_id, transaction, MF_COMMIT_MEMORY_ONLY, &ticket, NULL));
	mf_transaction_free(transaction);
	return ticket;
}

static enum mf_status outcome(struct mf_ticket *ticket, int64_t *out_lsn)
{
	enum mf_status status = mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, out_lsn, NULL);
	mf_ticket_unref(ticket);
	return status;
}

static enum mf_status commit_n(const char *doc_id, const char *key, int n, struct mf_error *error)
{
	int64_t lsn;
	struct mf_transaction *transaction = set_n(key, n);
	enum mf_status status = mf_runtime_commit(&runtime, doc_id, transaction, &lsn, error);
	mf_transaction_free(transaction);
	return status;
}

static int n_of(const char *doc_id)
{
	struct mf_state *state;
	OK(mf_runtime_state(&runtime, doc_id, &state, NULL));
	int n = small_number_in(state);
	mf_state_unref(state);
	return n;
}

static int64_t lsn_of(const char *doc_id)
{
	struct mf_state *state;
	OK(mf_runtime_state(&runtime, doc_id, &state, NULL));
	int64_t lsn = mf_state_lsn(state);
	mf_state_unref(state);
	return lsn;
}

struct notices {
	int events, failed, created;
	enum mf_status status;
	int64_t last_lsn;
	char message[MF_ERROR_MESSAGE_SIZE];
};

static enum mf_status take_notice(void *user, const struct mf_publication *publication)
{
	struct notices *notices = user;
	if (publication->topic & MF_TOPICS_EVENTS) {
		notices->events++;
		assert_true(publication->lsn > notices->last_lsn);
		notices->last_lsn = publication->lsn;
	}
	if (publication->topic == MF_NOTICE_CREATE)
		notices->created++;
	if (publication->topic == MF_NOTICE_TR_FAILED) {
		notices->failed++;
		notices->status = publication->status;
		snprintf(notices->message, sizeof(notices->message), "%s", publication->message);
	}
	return MF_OK;
}

static void listen_to(struct notices *notices)
{
	uint64_t id;
	memset(notices, 0, sizeof(*notices));
	OK(mf_bus_subscribe(runtime.bus, "test", MF_TOPICS_ALL, take_notice, notices, &id, NULL));
}

/* ---- failures of the store ---- */
static void a_transaction_that_was_not_stored_can_be_handed_over_again(void **unused)
{
	(void)unused;
	struct notices notices;
	struct mf_error error;
	int64_t lsn = 0;
	listen_to(&notices);
	OK(commit_n("d", "first", 1, NULL));
	struct mf_transaction *transaction = set_n("k", 2);
	moody_store_fail(store, MF_ERR_STORAGE_FULL, 1);
	assert_int_equal(MF_ERR_STORAGE_FULL, mf_runtime_commit(&runtime, "d", transaction, &lsn, &error));
	assert_int_equal(1, n_of("d"));
	assert_int_equal(1, lsn_of("d"));
	assert_int_equal(1, notices.failed);
	assert_int_equal(MF_ERR_STORAGE_FULL, notices.status);
	OK(mf_runtime_commit(&runtime, "d", transaction, &lsn, &error));
	assert_int_equal(2, lsn);
	assert_int_equal(2, n_of("d"));
	mf_transaction_free(transaction);
}

static void f03_what_was_built_on_a_failed_transaction_fails_with_it_and_leaves_no_hole(void **unused)
{
	(void)unused;
	int64_t lsn = 0;
	OK(commit_n("d", "first", 1, NULL));
	moody_store_hold(store);
	struct mf_ticket *tickets[4];
	tickets[0] = submit("d", set_n("k2", 2));
	moody_store_await_append(store);
	tickets[1] = submit("d", set_n("k3", 3));
	tickets[2] = submit("other", set_n("k4", 4));
	tickets[3] = submit("d", set_n("k5", 5));
	assert_int_equal(1, n_of("d"));
	moody_store_fail(store, MF_ERR_STORAGE_FULL, 1);
	moody_store_let_go(store);
	for (int i = 0; i < 4; i++)
		assert_int_not_equal(MF_OK, outcome(tickets[i], NULL));
	assert_int_equal(1, n_of("d"));
	assert_int_equal(0, lsn_of("other"));
	struct mf_ticket *ticket = submit("d", set_n("k3", 33));
	OK(outcome(ticket, &lsn));
	assert_int_equal(2, lsn);
	assert_int_equal(33, n_of("d"));
}

static void a_stream_ends_at_what_could_not_be_stored_when_that_is_asked_for(void **unused)
{
	(void)unused;
	struct mf_error error;
	runtime.stop_at_failure = true;
	runtime.first_generation = counting.generation(counting.user);
	OK(commit_n("d", "first", 1, NULL));
	moody_store_hold(store);
	struct mf_ticket *ticket = submit("d", set_n("k2", 2));
	moody_store_await_append(store);
	struct mf_ticket *behind = submit("e", set_n("k3", 3));
	moody_store_fail(store, MF_ERR_STORAGE_FULL, 1);
	moody_store_let_go(store);
	assert_int_equal(MF_ERR_STORAGE_FULL, outcome(ticket, NULL));
	assert_int_not_equal(MF_OK, outcome(behind, NULL));
	/* The store would take them now. */
	assert_int_equal(MF_ERR_BUSY, commit_n("d", "k4", 4, &error));
	assert_non_null(strstr(error.message, "an earlier transaction could not be stored"));
	assert_int_equal(MF_ERR_BUSY, commit_n("new", "k5", 5, &error));
	assert_int_equal(1, n_of("d"));
	runtime.stop_at_failure = false;
	OK(commit_n("d", "k4", 4, NULL));
}

static void after_an_unknown_outcome_nothing_more_is_taken_but_reads_go_on(void **unused)
{
	(void)unused;
	struct mf_error error;
	OK(commit_n("d", "first", 1, NULL));
	moody_store_fail(store, MF_ERR_UNKNOWN_OUTCOME, 1);
	assert_int_equal(MF_ERR_UNKNOWN_OUTCOME, commit_n("d", "k2", 2, &error));
	assert_int_not_equal(MF_OK, commit_n("d", "k3", 3, &error));
	assert_int_not_equal(MF_OK, commit_n("e", "k4", 3, &error));
	assert_int_equal(1, n_of("d"));
}

static void f04_nothing_is_visible_before_it_is_stored(void **unused)
{
	(void)unused;
	struct notices notices;
	int64_t lsn;
	listen_to(&notices);
	OK(commit_n("d", "first", 1, NULL));
	moody_store_hold(store);
	struct mf_ticket *ticket = submit("d", set_n("k", 2));
	moody_store_await_append(store);
	assert_int_equal(1, n_of("d"));
	assert_int_equal(1, notices.events);
	assert_int_equal(MF_ERR_TIMEOUT, mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 0, NULL, NULL));
	moody_store_let_go(store);
	OK(outcome(ticket, &lsn));
	assert_int_equal(2, n_of("d"));
	assert_int_equal(2, notices.events);
}

/* ---- keys and expectations that wait ---- */
struct job {
	pthread_t thread;
	const char *doc_id, *key;
	int n;
	int64_t expect;
	bool undo;
	enum mf_status status;
	struct mf_error error;
};

static void *do_job(void *user)
{
	struct job *job = user;
	int64_t lsn;
	if (job->undo) {
		job->status = mf_runtime_undo(&runtime, job->doc_id, 1, NULL, job->key, &lsn, &job->error);
		return NULL;
	}
	struct mf_transaction *transaction = set_n(job->key, job->n);
	mf_transaction_set_expect(transaction, job->expect);
	job->status = mf_runtime_commit(&runtime, job->doc_id, transaction, &lsn, &job->error);
	mf_transaction_free(transaction);
	return NULL;
}

static void start_job(struct job *job)
{
	assert_int_equal(0, pthread_create(&job->thread, NULL, do_job, job));
}

static void await_pending_keys(int count)
{
	while (atomic_load(&keys_pending) < count)
		usleep(100);
}

static void await_one_who_wants_quiet(const char *doc_id)
{
	struct mf_document *document;
	size_t wanted = 0;
	OK(mf_documents_get(&runtime.documents, doc_id, &document, NULL));
	while (wanted == 0) {
		usleep(100);
		pthread_mutex_lock(&document->lock);
		wanted = document->quiet_wanted;
		pthread_mutex_unlock(&document->lock);
	}
	mf_documents_put(&runtime.documents, document);
}

static void a_pending_key_is_waited_for_and_is_then_a_duplicate(void **unused)
{
	(void)unused;
	moody_store_hold(store);
	struct mf_ticket *ticket = submit("d", set_n("k", 1));
	moody_store_await_append(store);
	struct job same = {.doc_id = "d", .key = "k", .n = 1, .expect = MF_EXPECT_ANY};
	struct job other = {.doc_id = "e", .key = "k", .n = 2, .expect = MF_EXPECT_ANY};
	start_job(&same);
	start_job(&other);
	await_pending_keys(2);
	moody_store_let_go(store);
	OK(outcome(ticket, NULL));
	pthread_join(same.thread, NULL);
	pthread_join(other.thread, NULL);
	assert_int_equal(MF_ERR_DUPLICATE_KEY, same.status);
	assert_int_equal(1, same.error.lsn);
	assert_int_equal(1, same.error.same);
	assert_int_equal(MF_ERR_DUPLICATE_KEY, other.status);
	assert_int_equal(0, other.error.same);
}

static void a_pending_key_whose_transaction_fails_is_free_for_the_next(void **unused)
{
	(void)unused;
	moody_store_hold(store);
	struct mf_ticket *ticket = submit("d", set_n("k", 1));
	moody_store_await_append(store);
	struct job job = {.doc_id = "d", .key = "k", .n = 2, .expect = MF_EXPECT_ANY};
	start_job(&job);
	await_pending_keys(1);
	moody_store_fail(store, MF_ERR_STORAGE_FULL, 1);
	moody_store_let_go(store);
	assert_int_equal(MF_ERR_STORAGE_FULL, outcome(ticket, NULL));
	pthread_join(job.thread, NULL);
	OK(job.status);
	assert_int_equal(2, n_of("d"));
}

static void an_expectation_waits_for_what_is_pending(void **unused)
{
	(void)unused;
	moody_store_hold(store);
	struct mf_ticket *ticket = submit("d", set_n("k1", 1));
	moody_store_await_append(store);
	struct job good = {.doc_id = "d", .key = "k2", .n = 2, .expect = 1};
	start_job(&good);
	await_one_who_wants_quiet("d");
	moody_store_let_go(store);
	OK(outcome(ticket, NULL));
	pthread_join(good.thread, NULL);
	OK(good.status);
	struct job late = {.doc_id = "d", .key = "k3", .n = 3, .expect = 1};
	do_job(&late);
	assert_int_equal(MF_ERR_CONFLICT, late.status);
	assert_int_equal(1, late.error.expected);
	assert_int_equal(2, late.error.found);
}

static void an_expectation_is_met_when_what_was_pending_fails(void **unused)
{
	(void)unused;
	moody_store_hold(store);
	struct mf_ticket *ticket = submit("d", set_n("k1", 1));
	moody_store_await_append(store);
	struct job job = {.doc_id = "d", .key = "k2", .n = 2, .expect = 0};
	start_job(&job);
	await_one_who_wants_quiet("d");
	moody_store_fail(store, MF_ERR_STORAGE_FULL, 1);
	moody_store_let_go(store);
	assert_int_equal(MF_ERR_STORAGE_FULL, outcome(ticket, NULL));
	pthread_join(job.thread, NULL);
	OK(job.status);
}

static void an_undo_takes_back_what_was_pending(void **unused)
{
	(void)unused;
	OK(commit_n("d", "k1", 1, NULL));
	moody_store_hold(store);
	struct mf_ticket *ticket = submit("d", set_n("k2", 2));
	moody_store_await_append(store);
	struct job job = {.doc_id = "d", .key = "u", .undo = true};
	start_job(&job);
	await_one_who_wants_quiet("d");
	moody_store_let_go(store);
	OK(outcome(ticket, NULL));
	pthread_join(job.thread, NULL);
	OK(job.status);
	assert_int_equal(1, n_of("d"));
}

/* Many threads, all wanting to be alone on one document: everybody gets a turn. */
static void *climb(void *user)
{
	int *done = user;
	for (int i = 0; i < 30;) {
		char key[64];
		int64_t at = lsn_of("d"), lsn;
		snprintf(key, sizeof(key), "%p-%d-%lld", user, i, (long long)at);
		struct mf_transaction *transaction = set_n(key, i);
		mf_transaction_set_expect(transaction, at);
		enum mf_status status = mf_runtime_commit(&runtime, "d", transaction, &lsn, NULL);
		mf_transaction_free(transaction);
		assert_true(status == MF_OK || status == MF_ERR_CONFLICT);
		i += status == MF_OK;
		*done += status == MF_OK;
	}
	return NULL;
}

static void threads_that_expect_versions_all_get_their_turn(void **unused)
{
	(void)unused;
	pthread_t threads[4];
	int done[4] = {0};
	for (int i = 0; i < 4; i++)
		assert_int_equal(0, pthread_create(&threads[i], NULL, climb, &done[i]));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(120, done[0] + done[1] + done[2] + done[3]);
	assert_int_equal(120, lsn_of("d"));
}

/* ---- batches ---- */
static void *swap_order(void *user)
{
	int number = *(int *)user;
	for (int i = 0; i < 50; i++) {
		char key[2][32];
		struct mf_ticket *ticket;
		struct mf_batch_item items[2];
		for (int j = 0; j < 2; j++) {
			snprintf(key[j], sizeof(key[j]), "%d-%d-%d", number, i, j);
			items[j].doc_id = (j + number) % 2 ? "a" : "b";
			items[j].transaction = set_n(key[j], i);
		}
		OK(mf_runtime_submit_batch(&runtime, items, 2, MF_COMMIT_MEMORY_ONLY, &ticket, NULL));
		mf_transaction_free(items[0].transaction);
		mf_transaction_free(items[1].transaction);
		OK(outcome(ticket, NULL));
	}
	return NULL;
}

static void batches_in_opposite_orders_do_not_block_each_other(void **unused)
{
	(void)unused;
	pthread_t threads[4];
	int numbers[4] = {0, 1, 2, 3};
	for (int i = 0; i < 4; i++)
		assert_int_equal(0, pthread_create(&threads[i], NULL, swap_order, &numbers[i]));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	int64_t a = lsn_of("a"), b = lsn_of("b");
	assert_int_equal(400, a > b ? a : b);
}

static void *same_keys(void *user)
{
	int number = *(int *)user;
	for (int i = 0; i < 50; i++) {
		char key[2][32];
		struct mf_ticket *ticket;
		struct mf_batch_item items[2];
		for (int j = 0; j < 2; j++) {
			snprintf(key[j], sizeof(key[j]), "%d-%d", i, (j + number) % 2);
			items[j].doc_id = number % 2 ? "a" : "b";
			items[j].transaction = set_n(key[j], i);
		}
		enum mf_status status = mf_runtime_submit_batch(&runtime, items, 2, MF_COMMIT_MEMORY_ONLY, &ticket, NULL);
		mf_transaction_free(items[0].transaction);
		mf_transaction_free(items[1].transaction);
		assert_true(status == MF_OK || status == MF_ERR_DUPLICATE_KEY);
		if (status == MF_OK)
			OK(outcome(ticket, NULL));
	}
	return NULL;
}

static void batches_with_the_same_keys_in_opposite_orders_are_stored_once(void **unused)
{
	(void)unused;
	pthread_t threads[2];
	int numbers[2] = {0, 1};
	for (int i = 0; i < 2; i++)
		assert_int_equal(0, pthread_create(&threads[i], NULL, same_keys, &numbers[i]));
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	int64_t a = lsn_of("a"), b = lsn_of("b");
	assert_int_equal(100, a > b ? a : b);
}

static void a_key_that_comes_twice_in_a_batch_names_the_item(void **unused)
{
	(void)unused;
	struct mf_ticket *ticket;
	struct mf_error error;
	struct mf_batch_item items[3] = {{"a", set_n("x", 1)}, {"b", set_n("y", 2)}, {"c", set_n("x", 3)}};
	assert_int_equal(MF_ERR_DUPLICATE_KEY, mf_runtime_submit_batch(&runtime, items, 3, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	assert_non_null(strstr(error.message, "item 3 of 3"));
	assert_non_null(strstr(error.message, "twice"));
	struct mf_batch_item twice[2] = {{"a", items[1].transaction}, {"b", items[1].transaction}};
	assert_int_equal(MF_ERR_DUPLICATE_KEY, mf_runtime_submit_batch(&runtime, twice, 2, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	assert_int_equal(MF_ERR_INVALID, mf_runtime_submit_batch(&runtime, twice, 0, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	for (int i = 0; i < 3; i++)
		mf_transaction_free(items[i].transaction);
	assert_int_equal(0, lsn_of("a") + lsn_of("b") + lsn_of("c"));
}

static void in_a_batch_each_transaction_builds_on_the_one_before(void **unused)
{
	(void)unused;
	int64_t lsn;
	struct mf_ticket *ticket;
	struct mf_error error;
	struct mf_batch_item items[3] = {{"d", set_n("1", 1)}, {"e", set_n("2", 2)}, {"d", set_n("3", 3)}};
	mf_transaction_set_expect(items[0].transaction, 0);
	OK(mf_runtime_submit_batch(&runtime, items, 3, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	OK(outcome(ticket, &lsn));
	assert_int_equal(3, lsn);
	assert_int_equal(3, lsn_of("d"));
	assert_int_equal(2, lsn_of("e"));
	for (int i = 0; i < 3; i++)
		mf_transaction_free(items[i].transaction);
	OK(mf_runtime_undo(&runtime, "d", 2, NULL, NULL, &lsn, &error));
	assert_int_equal(-1, n_of("d"));
	assert_int_equal(5, lsn);
	struct mf_batch_item late[2] = {{"d", set_n("4", 1)}, {"d", set_n("5", 2)}};
	mf_transaction_set_expect(late[1].transaction, 5);
	assert_int_equal(MF_ERR_INVALID, mf_runtime_submit_batch(&runtime, late, 2, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	assert_non_null(strstr(error.message, "item 2 of 2"));
	mf_transaction_free(late[0].transaction);
	mf_transaction_free(late[1].transaction);
}

/* ---- documents ---- */
static void *read_state(void *user)
{
	*(int64_t *)user = lsn_of("d");
	return NULL;
}

static void a_document_is_recovered_once_however_many_ask(void **unused)
{
	(void)unused;
	struct notices notices;
	pthread_t threads[8];
	int64_t lsns[8];
	listen_to(&notices);
	for (int i = 0; i < 8; i++)
		assert_int_equal(0, pthread_create(&threads[i], NULL, read_state, &lsns[i]));
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(1, atomic_load(&recoveries));
	assert_int_equal(1, notices.created);
}

static void documents_beyond_the_limit_are_let_go_and_come_back(void **unused)
{
	teardown(unused);
	open_with(3);
	for (int i = 0; i < 200; i++) {
		char doc[16], key[16];
		snprintf(doc, sizeof(doc), "d%d", i % 10);
		snprintf(key, sizeof(key), "k%d", i);
		OK(commit_n(doc, key, i, NULL));
		assert_true(runtime.documents.count <= 3);
	}
	for (int i = 0; i < 10; i++) {
		char doc[16];
		snprintf(doc, sizeof(doc), "d%d", i);
		assert_int_equal(190 + i, n_of(doc));
	}
	assert_int_equal(210, atomic_load(&recoveries));
	assert_int_equal(207, atomic_load(&forgotten)); /* three are still there */
}

/* The committer keeps something of whom it recovers for good. */
static void a_document_whose_newest_state_is_only_read_is_not_held(void **unused)
{
	(void)unused;
	struct mf_state *state;
	OK(commit_n("d", NULL, 1, NULL));
	OK(mf_runtime_state_at(&runtime, "d", INT64_MAX, &state, NULL, NULL));
	mf_state_unref(state);
	assert_int_equal(atomic_load(&recovered_at), MF_LSN_NEWEST_TO_LOOK_AT);
	OK(mf_runtime_state(&runtime, "other", &state, NULL));
	mf_state_unref(state);
	assert_int_equal(atomic_load(&recovered_at), INT64_MAX);
}

static int forgotten_in_time;

static enum mf_status load_others(void *user, const char *doc_id, const struct mf_state *state, int64_t *out_upto_lsn, struct mf_error *error)
{
	assert_int_equal(n_of("other"), -1);
	forgotten_in_time = atomic_load(&forgotten);
	return mf_snapshot_subscriber_committer(subscriber)->snapshot(user, doc_id, state, out_upto_lsn, error);
}

/* The committer keeps the state of its last snapshot, until it hears that the document was let go. */
static void a_document_is_held_while_a_snapshot_of_it_is_taken(void **unused)
{
	(void)unused;
	int64_t lsn;
	OK(teardown(NULL));
	open_with(1);
	counting.snapshot = load_others;
	OK(commit_n("d", NULL, 1, NULL));
	OK(mf_runtime_snapshot(&runtime, "d", &lsn, NULL));
	assert_int_equal(forgotten_in_time, 1); /* the other one */
	assert_int_equal(n_of("other"), -1);
	assert_int_equal(atomic_load(&forgotten), 2); /* and now this one */
}

static void a_document_with_something_pending_stays(void **unused)
{
	teardown(unused);
	open_with(1);
	moody_store_hold(store);
	struct mf_ticket *ticket = submit("busy", set_n("k", 1));
	moody_store_await_append(store);
	for (int i = 0; i < 10; i++) {
		char doc[16];
		snprintf(doc, sizeof(doc), "d%d", i);
		assert_int_equal(0, lsn_of(doc));
	}
	moody_store_let_go(store);
	OK(outcome(ticket, NULL));
	assert_int_equal(1, n_of("busy"));
}

static void a_document_that_cannot_be_read_is_an_error_now_and_not_later(void **unused)
{
	(void)unused;
	struct mf_state *state;
	struct mf_error error;
	OK(commit_n("d", "k", 1, NULL));
	moody_store_fail_reads(store, 1);
	assert_int_equal(MF_ERR_IO, mf_runtime_state(&runtime, "e", &state, &error));
	assert_int_equal(0, lsn_of("e"));
	assert_int_equal(1, n_of("d"));
}

static void a_document_id_that_breaks_the_rules_is_refused(void **unused)
{
	(void)unused;
	char long_id[MF_ID_MAX + 2];
	memset(long_id, 'x', sizeof(long_id) - 1);
	long_id[sizeof(long_id) - 1] = '\0';
	const char *bad[] = {"", "\xff", long_id};
	for (size_t i = 0; i < 3; i++) {
		struct mf_error error;
		assert_int_equal(MF_ERR_INVALID, commit_n(bad[i], "k", 1, &error));
	}
	long_id[MF_ID_MAX] = '\0';
	OK(commit_n(long_id, "k", 1, NULL));
}

static void many_documents_are_found_again(void **unused)
{
	teardown(unused);
	open_with(SIZE_MAX);
	for (int i = 0; i < 1000; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", i);
		OK(commit_n(name, name, i, NULL));
	}
	for (int i = 0; i < 1000; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(i, n_of(name));
	}
	assert_int_equal(1000, runtime.documents.count);
	assert_int_equal(1000, atomic_load(&recoveries));
}

/* ---- guards ---- */
static enum mf_status refuse_odd(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	(void)user;
	if (small_number_in(proposal->new_state) % 2 == 0)
		return MF_OK;
	return mf_error_set(error, MF_ERR_INVALID, "odd numbers are not allowed here");
}

static void f10_what_a_guard_refuses_is_not_stored(void **unused)
{
	(void)unused;
	struct notices notices;
	struct mf_error error;
	uint64_t id;
	listen_to(&notices);
	OK(mf_bus_add_guard(runtime.bus, "even", refuse_odd, NULL, &id, NULL));
	assert_int_equal(MF_ERR_INVALID, commit_n("d", "k", 1, &error));
	assert_non_null(strstr(error.message, "odd numbers"));
	assert_int_equal(1, notices.failed);
	assert_non_null(strstr(notices.message, "odd numbers"));
	assert_int_equal(0, lsn_of("d"));
	OK(commit_n("d", "k", 2, &error));
	assert_int_equal(2, n_of("d"));
	assert_int_equal(1, lsn_of("d"));
}

/* ---- memory ---- */
static void each_allocation_that_fails_leaves_everything_as_it_was(void **unused)
{
	(void)unused;
	int refused = 0;
	OK(commit_n("d", "first", 1, NULL));
	bool reached = true;
	for (uint64_t i = 1; reached; i++) {
		char key[32];
		int64_t lsn, before = lsn_of("d");
		snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
		struct mf_transaction *transaction = set_n(key, 2);
		mf_mem_fail_at(i, false);
		enum mf_status status = mf_runtime_commit(&runtime, "d", transaction, &lsn, NULL);
		reached = mf_mem_count() >= i;
		mf_mem_fail_at(0, false);
		mf_transaction_free(transaction);
		assert_int_equal(status == MF_OK ? 2 : 1, n_of("d"));
		if (status == MF_OK) {
			OK(mf_runtime_undo(&runtime, "d", 1, NULL, NULL, &lsn, NULL));
			continue;
		}
		assert_int_equal(MF_ERR_NO_MEMORY, status);
		assert_int_equal(before, lsn_of("d"));
		refused++;
	}
	assert_true(refused > 5);
}

static void each_allocation_that_fails_in_an_undo_leaves_everything_as_it_was(void **unused)
{
	(void)unused;
	int refused = 0;
	OK(commit_n("d", "1", 1, NULL));
	OK(commit_n("d", "2", 2, NULL));
	OK(commit_n("d", "3", 3, NULL));
	bool reached = true;
	for (uint64_t i = 1; reached; i++) {
		int64_t lsn, before = lsn_of("d");
		mf_mem_fail_at(i, false);
		enum mf_status status = mf_runtime_undo(&runtime, "d", 2, "ann", NULL, &lsn, NULL);
		reached = mf_mem_count() >= i;
		mf_mem_fail_at(0, false);
		assert_int_equal(status == MF_OK ? 1 : 3, n_of("d"));
		if (status == MF_OK) {
			OK(mf_runtime_redo(&runtime, "d", 2, NULL, NULL, &lsn, NULL));
			continue;
		}
		assert_int_equal(MF_ERR_NO_MEMORY, status);
		assert_int_equal(before, lsn_of("d"));
		refused++;
	}
	assert_true(refused > 10);
}

static void each_allocation_that_fails_while_loading_is_an_error_and_no_leak(void **unused)
{
	(void)unused;
	OK(commit_n("d", "1", 7, NULL));
	enum mf_status status = MF_ERR_NO_MEMORY;
	for (uint64_t i = 1; status != MF_OK; i++) {
		struct mf_state *state;
		mf_documents_deinit(&runtime.documents);
		OK(mf_documents_init(&runtime.documents, &counting, 100));
		mf_mem_fail_at(i, false);
		status = mf_runtime_state(&runtime, "d", &state, NULL);
		mf_mem_fail_at(0, false);
		if (status == MF_OK)
			mf_state_unref(state);
		else
			assert_int_equal(MF_ERR_NO_MEMORY, status);
		assert_int_equal(7, n_of("d"));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_transaction_that_was_not_stored_can_be_handed_over_again),
		TEST(f03_what_was_built_on_a_failed_transaction_fails_with_it_and_leaves_no_hole),
		TEST(a_stream_ends_at_what_could_not_be_stored_when_that_is_asked_for),
		TEST(after_an_unknown_outcome_nothing_more_is_taken_but_reads_go_on),
		TEST(f04_nothing_is_visible_before_it_is_stored),
		TEST(a_pending_key_is_waited_for_and_is_then_a_duplicate),
		TEST(a_pending_key_whose_transaction_fails_is_free_for_the_next),
		TEST(an_expectation_waits_for_what_is_pending),
		TEST(an_expectation_is_met_when_what_was_pending_fails),
		TEST(an_undo_takes_back_what_was_pending),
		TEST(threads_that_expect_versions_all_get_their_turn),
		TEST(batches_in_opposite_orders_do_not_block_each_other),
		TEST(batches_with_the_same_keys_in_opposite_orders_are_stored_once),
		TEST(a_key_that_comes_twice_in_a_batch_names_the_item),
		TEST(in_a_batch_each_transaction_builds_on_the_one_before),
		TEST(a_document_is_recovered_once_however_many_ask),
		TEST(documents_beyond_the_limit_are_let_go_and_come_back),
		TEST(a_document_whose_newest_state_is_only_read_is_not_held),
		TEST(a_document_is_held_while_a_snapshot_of_it_is_taken),
		TEST(a_document_with_something_pending_stays),
		TEST(a_document_that_cannot_be_read_is_an_error_now_and_not_later),
		TEST(a_document_id_that_breaks_the_rules_is_refused),
		TEST(many_documents_are_found_again),
		TEST(f10_what_a_guard_refuses_is_not_stored),
		TEST(each_allocation_that_fails_leaves_everything_as_it_was),
		TEST(each_allocation_that_fails_in_an_undo_leaves_everything_as_it_was),
		TEST(each_allocation_that_fails_while_loading_is_an_error_and_no_leak),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
