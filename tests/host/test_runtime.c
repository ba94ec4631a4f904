/* test_runtime.c - the one door with the real plugins, through the public API only. */
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <moduforge/follow.h>
#include <moduforge/runtime.h>

#include "scratch.h"
#include "tests/leave.h"

#define OK(call) assert_int_equal(MF_OK, (call))
#define THREADS 8
#define DOCS 4

/* ---- a scratch directory with a plugins.json of its own ---- */
static struct mf_runtime *runtime;

static void write_config(const char *more_top, const char *more_options)
{
	scratch_write_config(&(struct scratch_plan){.top = more_top, .before = ", {\"name\": \"mark_steps\"}, {\"name\": \"text_steps\"}", .options = more_options});
}

static int setup(void **unused)
{
	(void)unused;
	scratch_make();
	write_config("", "");
	runtime = NULL;
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	OK(mf_runtime_close(runtime, MF_WAIT_FOREVER, NULL));
	return scratch_remove();
}

static enum mf_status try_open(const char *mode, struct mf_error *error)
{
	struct mf_runtime_options options = {.config_path = scratch_config, .mode = mode};
	return mf_runtime_open(&options, &runtime, error);
}

static void open_runtime(const char *mode)
{
	struct mf_error error;
	if (try_open(mode, &error) != MF_OK)
		fail_msg("%s", error.message);
}

static void close_runtime(void)
{
	struct mf_error error;
	if (mf_runtime_close(runtime, MF_WAIT_FOREVER, &error) != MF_OK)
		fail_msg("%s", error.message);
	runtime = NULL;
}

static void reopen(const char *mode)
{
	close_runtime();
	open_runtime(mode);
}

/* ---- transactions ---- */
static struct mf_transaction *transaction_of(const char *key, const char *type_id, const char *json)
{
	struct mf_transaction *transaction;
	struct mf_error error;
	OK(mf_transaction_new(&transaction));
	OK(mf_transaction_set_key(transaction, key, NULL));
	if (mf_transaction_add_json(transaction, mf_runtime_steps(runtime), type_id, json, &error) != MF_OK)
		fail_msg("%s", error.message);
	return transaction;
}

static struct mf_transaction *set_n(const char *key, int n)
{
	char json[64];
	snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"n\":%d}}", n);
	return transaction_of(key, "update_attrs", json);
}

static enum mf_status commit_n(const char *doc_id, const char *key, int n, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_transaction *transaction = set_n(key, n);
	enum mf_status status = mf_runtime_commit(runtime, doc_id, transaction, out_lsn, error);
	mf_transaction_free(transaction);
	return status;
}

struct seen {
	int64_t lsn, n; /* n -1: not set */
	struct mf_digest digest;
};

static struct seen look_at(const char *doc_id)
{
	struct mf_state *state;
	struct seen seen = {.n = -1};
	OK(mf_runtime_state(runtime, doc_id, &state, NULL));
	const struct mf_value *n = mf_node_attr(mf_doc_root(mf_state_doc(state)), "n", 1);
	seen.lsn = mf_state_lsn(state);
	if (n)
		seen.n = mf_value_as_int(n);
	OK(mf_doc_digest(mf_state_doc(state), &seen.digest));
	mf_state_unref(state);
	return seen;
}

static void assert_same(const struct mf_digest *a, const struct mf_digest *b)
{
	assert_memory_equal(a->bytes, b->bytes, MF_DIGEST_BYTES);
}

/* ---- commits ---- */
static void a_commit_is_visible_and_has_the_next_lsn(void **unused)
{
	(void)unused;
	int64_t lsn;
	open_runtime("sync");
	for (int i = 1; i <= 5; i++) {
		OK(commit_n("d", NULL, i, &lsn, NULL));
		assert_int_equal(i, lsn);
		assert_int_equal(i, look_at("d").n);
		assert_int_equal(i, look_at("d").lsn);
	}
	reopen("async:5");
	assert_int_equal(5, look_at("d").n);
	OK(commit_n("d", NULL, 6, &lsn, NULL));
	assert_int_equal(6, lsn);
}

static void without_a_document_id_it_is_the_default_one(void **unused)
{
	(void)unused;
	int64_t lsn;
	write_config("", ", \"default_doc_id\": \"mine\"");
	open_runtime(NULL);
	assert_string_equal("mine", mf_runtime_default_doc(runtime));
	OK(commit_n(NULL, NULL, 1, &lsn, NULL));
	assert_int_equal(1, look_at("mine").n);
	assert_int_equal(1, look_at(NULL).lsn);
}

static void f02_a_duplicate_changes_nothing_and_the_next_commit_works(void **unused)
{
	(void)unused;
	struct mf_error error;
	int64_t lsn;
	open_runtime("sync");
	OK(commit_n("d", "k", 1, &lsn, NULL));
	for (int round = 0; round < 2; round++) {
		assert_int_equal(MF_ERR_DUPLICATE_KEY, commit_n("d", "k", 1, &lsn, &error));
		assert_int_equal(1, error.lsn);
		assert_int_equal(1, error.same);
		assert_int_equal(MF_ERR_DUPLICATE_KEY, commit_n("d", "k", 2, &lsn, &error));
		assert_int_equal(0, error.same);
		assert_int_equal(MF_ERR_DUPLICATE_KEY, commit_n("e", "k", 1, &lsn, &error));
		assert_int_equal(0, error.same);
		reopen("sync");
	}
	OK(commit_n("e", "other", 3, &lsn, NULL));
	assert_int_equal(2, lsn);
}

static void a_stronger_mode_can_be_asked_for_but_not_out_of_memory(void **unused)
{
	(void)unused;
	struct mf_ticket *ticket;
	struct mf_error error;
	int64_t lsn;
	open_runtime("async:60000");
	struct mf_transaction *transaction = set_n("k", 1);
	OK(mf_runtime_submit(runtime, "d", transaction, MF_COMMIT_SYNC_DURABLE, &ticket, NULL));
	OK(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, &lsn, NULL));
	OK(mf_ticket_wait(ticket, MF_LEVEL_SYNCED, 0, &lsn, NULL));
	mf_ticket_unref(ticket);
	close_runtime();
	open_runtime("memory");
	mf_transaction_free(transaction);
	transaction = set_n("k", 1);
	assert_int_equal(MF_ERR_INVALID, mf_runtime_submit(runtime, "d", transaction, MF_COMMIT_SYNC_DURABLE, &ticket, &error));
	mf_transaction_free(transaction);
	assert_int_equal(0, look_at("d").lsn);
}

static void steps_that_do_not_fit_are_refused_and_named(void **unused)
{
	(void)unused;
	struct mf_error error;
	int64_t lsn;
	open_runtime("memory");
	struct mf_transaction *transaction = set_n("k", 1);
	OK(mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "delete_node", "{\"id\":\"nobody\"}", NULL));
	assert_int_equal(MF_ERR_INVALID, mf_runtime_commit(runtime, "d", transaction, &lsn, &error));
	assert_non_null(strstr(error.message, "'d'"));
	assert_non_null(strstr(error.message, "nobody"));
	mf_transaction_free(transaction);
	OK(mf_transaction_new(&transaction));
	assert_int_equal(MF_ERR_INVALID, mf_runtime_commit(runtime, "d", transaction, &lsn, &error));
	mf_transaction_free(transaction);
	assert_int_equal(0, look_at("d").lsn);
	OK(commit_n("d", "k", 1, &lsn, NULL)); /* the key is free */
}

static void f11_a_batch_over_documents_is_one_unit(void **unused)
{
	(void)unused;
	struct mf_ticket *ticket;
	struct mf_error error;
	int64_t lsn;
	open_runtime("sync");
	struct mf_transaction *bad = transaction_of("b3", "delete_node", "{\"id\":\"nobody\"}");
	struct mf_batch_item items[3] = {{"d", set_n("b1", 1)}, {"e", set_n("b2", 2)}, {"f", bad}};
	assert_int_equal(MF_ERR_INVALID, mf_runtime_submit_batch(runtime, items, 3, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	assert_non_null(strstr(error.message, "item 3 of 3"));
	assert_int_equal(0, look_at("d").lsn + look_at("e").lsn + look_at("f").lsn);
	OK(mf_runtime_submit_batch(runtime, items, 2, MF_COMMIT_MEMORY_ONLY, &ticket, NULL));
	OK(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, &lsn, NULL));
	mf_ticket_unref(ticket);
	assert_int_equal(2, lsn);
	assert_int_equal(1, look_at("d").lsn);
	assert_int_equal(2, look_at("e").lsn);
	assert_int_equal(MF_ERR_DUPLICATE_KEY, mf_runtime_submit_batch(runtime, items, 2, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	assert_non_null(strstr(error.message, "item 1 of 2"));
	assert_int_equal(1, error.lsn);
	for (int i = 0; i < 3; i++)
		mf_transaction_free(items[i].transaction);
	reopen("sync");
	assert_int_equal(2, look_at("e").n);
}

/* ---- undo and redo ---- */
static void f13_undo_and_redo_of_several_are_stored_and_survive(void **unused)
{
	(void)unused;
	struct mf_error error;
	struct seen seen[6];
	int64_t lsn;
	open_runtime("async");
	seen[0] = look_at("d");
	for (int i = 1; i <= 5; i++) {
		OK(commit_n("d", NULL, i, &lsn, NULL));
		seen[i] = look_at("d");
	}
	OK(mf_runtime_undo(runtime, "d", 3, "ann", NULL, &lsn, NULL));
	assert_int_equal(8, lsn);
	struct seen undone = look_at("d");
	assert_same(&seen[2].digest, &undone.digest);
	reopen("async");
	assert_int_equal(2, look_at("d").n);
	OK(mf_runtime_redo(runtime, "d", 2, NULL, NULL, &lsn, NULL));
	assert_int_equal(4, look_at("d").n);
	reopen("async");
	OK(mf_runtime_snapshot(runtime, "d", &lsn, NULL));
	assert_int_equal(10, lsn);
	reopen("async");
	assert_int_equal(MF_ERR_STATE, mf_runtime_redo(runtime, "d", 2, NULL, NULL, &lsn, &error));
	assert_int_equal(4, look_at("d").n);
	OK(mf_runtime_redo(runtime, "d", 1, NULL, NULL, &lsn, NULL));
	OK(mf_runtime_undo(runtime, "d", 5, NULL, NULL, &lsn, NULL));
	assert_int_equal(-1, look_at("d").n);
	assert_int_equal(MF_ERR_STATE, mf_runtime_undo(runtime, "d", 1, NULL, NULL, &lsn, &error));
	assert_int_equal(16, look_at("d").lsn);
}

/* Runs work in a process of its own, which is killed as soon as it is done. What it reports is in digests. */
#define DONE 100
#define MUST(condition) \
	do { \
		if (!(condition)) \
			_exit(1); \
	} while (0)
static void in_a_process_that_is_killed(void (*work)(int report), struct mf_digest *digests, size_t count)
{
	int ends[2], outcome;
	OK(pipe(ends));
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		MUST(try_open("async", NULL) == MF_OK);
		work(ends[1]);
		kill(getpid(), SIGKILL);
	}
	close(ends[1]);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(sizeof(*digests), read(ends[0], &digests[i], sizeof(*digests)));
	close(ends[0]);
	assert_int_equal(child, waitpid(child, &outcome, 0));
	assert_true(WIFSIGNALED(outcome) && WTERMSIG(outcome) == SIGKILL);
}

static void report_digest(int report)
{
	struct seen seen = look_at("d");
	MUST(write(report, &seen.digest, sizeof(seen.digest)) == (ssize_t)sizeof(seen.digest));
}

static void commit_a_hundred(int report)
{
	int64_t lsn;
	for (int i = 1; i <= DONE; i++) {
		MUST(commit_n("d", NULL, i, &lsn, NULL) == MF_OK);
		if (i % 10 == 0)
			MUST(mf_runtime_snapshot(runtime, "d", &lsn, NULL) == MF_OK);
		report_digest(report);
	}
}

static void compact_and_undo_fifty(int report)
{
	int64_t lsn;
	MUST(mf_runtime_compact(runtime, "d", &lsn, NULL) == MF_OK);
	MUST(lsn > 50); /* the events that are undone are gone */
	MUST(mf_runtime_undo(runtime, "d", 50, NULL, NULL, &lsn, NULL) == MF_OK);
	MUST(lsn == DONE + 50);
	report_digest(report);
}

static void redo_fifty(int report)
{
	int64_t lsn;
	MUST(mf_runtime_snapshot(runtime, "d", &lsn, NULL) == MF_OK);
	MUST(mf_runtime_compact(runtime, "d", &lsn, NULL) == MF_OK);
	MUST(mf_runtime_redo(runtime, "d", 50, NULL, NULL, &lsn, NULL) == MF_OK);
	MUST(lsn == DONE + 100);
	report_digest(report);
}

static void p13_fifty_are_undone_in_one_call_after_a_kill_and_compaction_and_redone_after_another(void **unused)
{
	(void)unused;
	struct mf_digest digests[DONE], after;
	in_a_process_that_is_killed(commit_a_hundred, digests, DONE);
	in_a_process_that_is_killed(compact_and_undo_fifty, &after, 1);
	assert_same(&digests[DONE - 50 - 1], &after);
	in_a_process_that_is_killed(redo_fifty, &after, 1);
	assert_same(&digests[DONE - 1], &after);
	open_runtime("async");
	struct seen seen = look_at("d");
	assert_same(&digests[DONE - 1], &seen.digest);
	assert_int_equal(DONE + 100, seen.lsn);
}

static void an_undo_with_a_key_can_be_retried(void **unused)
{
	(void)unused;
	struct mf_error error;
	int64_t lsn;
	open_runtime("sync");
	OK(commit_n("d", NULL, 1, &lsn, NULL));
	OK(mf_runtime_undo(runtime, "d", 1, NULL, "u", &lsn, NULL));
	for (int round = 0; round < 2; round++) {
		assert_int_equal(MF_ERR_DUPLICATE_KEY, mf_runtime_undo(runtime, "d", 1, NULL, "u", &lsn, &error));
		assert_int_equal(2, error.lsn);
		assert_int_equal(1, error.same);
		assert_int_equal(MF_ERR_DUPLICATE_KEY, mf_runtime_redo(runtime, "d", 1, NULL, "u", &lsn, &error));
		assert_int_equal(0, error.same);
		reopen("sync");
	}
}

static void wrong_calls_of_undo_are_refused(void **unused)
{
	(void)unused;
	struct mf_error error;
	struct mf_ticket *ticket;
	int64_t lsn;
	open_runtime("memory");
	OK(commit_n("d", NULL, 1, &lsn, NULL));
	assert_int_equal(MF_ERR_INVALID, mf_runtime_undo(runtime, "d", 0, NULL, NULL, &lsn, &error));
	assert_int_equal(MF_ERR_INVALID, mf_runtime_undo(runtime, "d", 2, NULL, "k", &lsn, &error));
	assert_int_equal(MF_ERR_STATE, mf_runtime_undo(runtime, "d", SIZE_MAX, NULL, NULL, &lsn, &error));
	assert_int_equal(MF_ERR_INVALID, mf_runtime_undo(runtime, "d", 1, "", NULL, &lsn, &error));
	struct mf_transaction *with_steps = set_n("k", 1);
	assert_int_equal(MF_ERR_INVALID, mf_runtime_submit_undo(runtime, "d", MF_ACTION_UNDO, with_steps, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	mf_transaction_free(with_steps);
	struct mf_transaction *request;
	OK(mf_transaction_new(&request));
	assert_int_equal(MF_ERR_INVALID, mf_runtime_submit_undo(runtime, "d", MF_ACTION_APPLY, request, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	mf_transaction_set_expect(request, 7);
	assert_int_equal(MF_ERR_CONFLICT, mf_runtime_submit_undo(runtime, "d", MF_ACTION_UNDO, request, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	mf_transaction_free(request);
	assert_int_equal(1, look_at("d").n);
}

static void an_undo_made_from_a_state_can_be_committed_too(void **unused)
{
	(void)unused;
	struct mf_state *state;
	struct mf_transaction *undo;
	int64_t lsn;
	open_runtime("memory");
	OK(commit_n("d", NULL, 1, &lsn, NULL));
	OK(commit_n("d", NULL, 2, &lsn, NULL));
	OK(mf_runtime_state(runtime, "d", &state, NULL));
	OK(mf_state_make_undo(state, &undo, NULL));
	mf_state_unref(state);
	OK(mf_runtime_commit(runtime, "d", undo, &lsn, NULL));
	mf_transaction_free(undo);
	assert_int_equal(1, look_at("d").n);
}

/* ---- the bus ---- */
/* static where it is used: it listens until the runtime is closed, which is after the test. */
struct listener {
	int64_t last_lsn, events, created, failed, snapshots, closed;
	enum mf_status inner; /* of what a handler tried */
	bool try_inside;
};

static enum mf_status listen_in(void *user, const struct mf_publication *publication)
{
	struct listener *listener = user;
	struct mf_state *state;
	if (publication->topic == MF_NOTICE_CLOSE) {
		listener->closed++;
		return MF_OK;
	}
	listener->created += publication->topic == MF_NOTICE_CREATE;
	listener->failed += publication->topic == MF_NOTICE_TR_FAILED;
	listener->snapshots += publication->topic == MF_NOTICE_SNAPSHOT;
	if (!(publication->topic & MF_TOPICS_EVENTS))
		return MF_OK;
	listener->events++;
	assert_true(publication->lsn > listener->last_lsn); /* P1: in order, nothing skipped */
	assert_int_equal(listener->last_lsn + 1, publication->lsn);
	listener->last_lsn = publication->lsn;
	assert_int_equal(publication->lsn, mf_state_lsn(publication->new_state));
	if (listener->try_inside) {
		int64_t lsn;
		listener->inner = commit_n("inner", NULL, 1, &lsn, NULL);
		OK(mf_runtime_state(runtime, "read", &state, NULL)); /* reading is allowed */
		mf_state_unref(state);
	}
	return MF_OK;
}

static void listen_with(struct listener *listener)
{
	uint64_t id;
	memset(listener, 0, sizeof(*listener));
	OK(mf_bus_subscribe(mf_runtime_bus(runtime), "listener", MF_TOPICS_ALL, listen_in, listener, &id, NULL));
}

static enum mf_status waited_inside;
static struct mf_ticket *under_way;

static enum mf_status wait_inside(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	(void)user, (void)error;
	if (strcmp(proposal->doc_id, "second") == 0)
		waited_inside = mf_ticket_wait(under_way, MF_LEVEL_COMMITTED, 1, NULL, NULL);
	return MF_OK;
}

/* Who waits may have to commit for all, and from inside a guard nobody could be told of it. */
static void f09_a_guard_may_not_wait_for_a_ticket_and_followers_miss_nothing(void **unused)
{
	(void)unused;
	static struct listener listener;
	uint64_t id;
	int64_t lsn;
	struct mf_transaction *transaction;
	open_runtime("sync");
	listen_with(&listener);
	OK(mf_bus_add_guard(mf_runtime_bus(runtime), "impatient", wait_inside, NULL, &id, NULL));
	for (waited_inside = MF_OK; waited_inside == MF_OK;) { /* until the background thread has not been there first */
		int64_t seen = listener.events;
		transaction = set_n(NULL, 1);
		OK(mf_runtime_submit(runtime, "first", transaction, MF_COMMIT_MEMORY_ONLY, &under_way, NULL));
		OK(commit_n("second", NULL, 2, &lsn, NULL));
		assert_true(waited_inside == MF_OK || waited_inside == MF_ERR_STATE);
		assert_int_equal(listener.events, seen + 2);
		mf_ticket_unref(under_way);
		mf_transaction_free(transaction);
	}
}

static void f09_a_handler_may_not_commit_but_afterwards_one_may(void **unused)
{
	(void)unused;
	static struct listener listener;
	int64_t lsn;
	open_runtime("sync");
	listen_with(&listener);
	listener.try_inside = true;
	OK(commit_n("d", NULL, 1, &lsn, NULL));
	assert_int_equal(MF_ERR_STATE, listener.inner);
	listener.try_inside = false;
	OK(commit_n("inner", NULL, 1, &lsn, NULL));
	assert_int_equal(2, lsn);
	reopen("sync");
	assert_int_equal(2, look_at("inner").lsn);
}

static enum mf_status count_call(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	(void)proposal, (void)error;
	++*(int *)user;
	return MF_OK;
}

/* What a plugin made of an event was stored as an event of its own; recovery asks nobody to make it again. */
static void f09_recovery_applies_what_was_stored_and_calls_no_guard_and_no_follower(void **unused)
{
	(void)unused;
	static struct listener listener;
	static int guarded;
	uint64_t id;
	int64_t lsn;
	guarded = 0;
	open_runtime("sync");
	listen_with(&listener);
	OK(mf_bus_add_guard(mf_runtime_bus(runtime), "count", count_call, &guarded, &id, NULL));
	for (int i = 1; i <= 5; i++) {
		OK(commit_n("d", NULL, i, &lsn, NULL));
		OK(commit_n("log", NULL, (int)listener.events, &lsn, NULL)); /* the follow-up of the event just seen */
	}
	assert_int_equal(10, listener.events);
	assert_int_equal(10, guarded);
	guarded = 0;
	reopen("sync");
	listen_with(&listener);
	OK(mf_bus_add_guard(mf_runtime_bus(runtime), "count", count_call, &guarded, &id, NULL));
	assert_int_equal(9, look_at("d").lsn); /* recovered here, beside guard and listener */
	assert_int_equal(5, look_at("d").n);
	assert_int_equal(10, look_at("log").lsn);
	assert_int_equal(9, look_at("log").n);
	assert_int_equal(0, listener.events);
	assert_int_equal(0, guarded);
}

static void notices_tell_of_documents_snapshots_failures_and_the_end(void **unused)
{
	(void)unused;
	static struct listener listener;
	int64_t lsn;
	open_runtime("sync");
	listen_with(&listener);
	OK(commit_n("d", "k", 1, &lsn, NULL));
	OK(commit_n("d", "l", 2, &lsn, NULL));
	assert_int_equal(1, listener.created);
	assert_int_equal(MF_ERR_DUPLICATE_KEY, commit_n("d", "k", 1, &lsn, NULL));
	assert_int_equal(0, listener.failed);
	assert_int_equal(MF_ERR_STATE, mf_runtime_redo(runtime, "d", 1, NULL, NULL, &lsn, NULL));
	assert_int_equal(1, listener.failed);
	OK(mf_runtime_snapshot(runtime, "d", &lsn, NULL));
	assert_int_equal(1, listener.snapshots);
	close_runtime();
	assert_int_equal(2, listener.events);
	assert_int_equal(1, listener.closed);
}

static enum mf_status refuse_all(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	(void)user;
	(void)proposal;
	return mf_error_set(error, MF_ERR_CONFLICT, "not today");
}

static void f10_what_a_guard_refuses_never_reaches_the_store(void **unused)
{
	(void)unused;
	struct mf_error error;
	uint64_t id;
	int64_t lsn;
	open_runtime("sync");
	OK(mf_bus_add_guard(mf_runtime_bus(runtime), "no", refuse_all, NULL, &id, NULL));
	assert_int_equal(MF_ERR_CONFLICT, commit_n("d", "k", 1, &lsn, &error));
	assert_non_null(strstr(error.message, "not today"));
	OK(mf_bus_unsubscribe(mf_runtime_bus(runtime), id, NULL));
	reopen("sync");
	assert_int_equal(0, look_at("d").lsn);
	OK(commit_n("d", "k", 1, &lsn, NULL));
	assert_int_equal(1, lsn);
}

/* ---- many threads ---- */
struct writer {
	pthread_t thread;
	int number, count; /* count: of its transactions; with MF_SECONDS as many as it manages */
	time_t until;      /* 0: count */
};

static bool goes_on(struct writer *writer, int done)
{
	if (!writer->until)
		return done < writer->count;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	writer->count = done + (now.tv_sec < writer->until);
	return now.tv_sec < writer->until;
}

static time_t end_of_run(void)
{
	const char *seconds = getenv("MF_SECONDS");
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return seconds ? now.tv_sec + atoi(seconds) : 0;
}

/* Each thread numbers its own children of each document: c<thread>-<n>. */
static void *write_children(void *user)
{
	struct writer *writer = user;
	struct mf_ticket *last = NULL;
	int64_t lsn;
	for (int i = 0; goes_on(writer, i); i++) {
		char doc[8], key[32], json[128];
		snprintf(doc, sizeof(doc), "d%d", (writer->number + i) % DOCS);
		snprintf(key, sizeof(key), "%d-%d", writer->number, i);
		snprintf(json, sizeof(json), "{\"parent\":\"root\",\"node\":{\"id\":\"c%s\",\"type\":\"p\",\"attrs\":{\"t\":%d,\"i\":%d}}}", key, writer->number, i);
		struct mf_transaction *transaction = transaction_of(key, "insert_node", json);
		if (i % 3 == 0) {
			OK(mf_runtime_commit(runtime, doc, transaction, &lsn, NULL));
		} else {
			mf_ticket_unref(last);
			OK(mf_runtime_submit(runtime, doc, transaction, MF_COMMIT_MEMORY_ONLY, &last, NULL));
		}
		mf_transaction_free(transaction);
		if (i % 50 == 49) {
			enum mf_status status = mf_runtime_undo(runtime, doc, 1, NULL, NULL, &lsn, NULL);
			assert_true(status == MF_OK || status == MF_ERR_STATE);
		}
	}
	OK(mf_ticket_wait(last, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL));
	mf_ticket_unref(last);
	return NULL;
}

struct order {
	int last[THREADS];
};

/* Append only and in order of submission: each thread's numbers grow within a document. */
static bool check_child(void *user, const struct mf_node *child)
{
	struct order *order = user;
	int thread = (int)mf_value_as_int(mf_node_attr(child, "t", 1)), i = (int)mf_value_as_int(mf_node_attr(child, "i", 1));
	assert_true(i > order->last[thread]);
	order->last[thread] = i;
	return true;
}

static void check_order(const char *doc_id)
{
	struct mf_state *state;
	struct order order;
	memset(&order, 0xff, sizeof(order)); /* -1 */
	OK(mf_runtime_state(runtime, doc_id, &state, NULL));
	mf_doc_children(mf_state_doc(state), mf_doc_root(mf_state_doc(state)), check_child, &order);
	mf_state_unref(state);
}

static void run_threads(const char *mode, int count)
{
	static struct listener listener;
	struct writer writers[THREADS];
	open_runtime(mode);
	listen_with(&listener);
	time_t until = end_of_run();
	for (int i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){.number = i, .count = count, .until = until};
		assert_int_equal(0, pthread_create(&writers[i].thread, NULL, write_children, &writers[i]));
	}
	int64_t written = 0;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(writers[i].thread, NULL);
		written += writers[i].count;
	}
	if (until)
		print_message("%s: %lld events\n", mode, (long long)listener.events);
	assert_true(listener.events >= written);
	assert_int_equal(listener.events, listener.last_lsn); /* 1, 2, 3 ... without a gap */
	for (int i = 0; i < DOCS; i++) {
		char doc[8];
		struct mf_state *replayed;
		struct mf_digest digest;
		snprintf(doc, sizeof(doc), "d%d", i);
		struct seen live = look_at(doc);
		check_order(doc);
		OK(mf_runtime_state_at(runtime, doc, live.lsn, &replayed, NULL, NULL));
		assert_int_equal(live.lsn, mf_state_lsn(replayed));
		OK(mf_doc_digest(mf_state_doc(replayed), &digest));
		assert_same(&live.digest, &digest);
		mf_state_unref(replayed);
	}
	struct mf_store_stats stats;
	OK(mf_store_stats(mf_runtime_store(runtime), &stats, NULL));
	assert_int_equal(listener.last_lsn, stats.last_lsn);
}

static void f05_threads_keep_order_in_memory(void **unused)
{
	(void)unused;
	run_threads("memory", 300);
}

static void f05_threads_keep_order_in_async_mode_with_snapshots(void **unused)
{
	(void)unused;
	write_config("", ", \"snapshot_every_n_events\": 40");
	run_threads("async", 300);
	struct seen before[DOCS], after;
	char doc[DOCS][8];
	for (int i = 0; i < DOCS; i++) {
		snprintf(doc[i], sizeof(doc[i]), "d%d", i);
		before[i] = look_at(doc[i]);
	}
	reopen("async");
	for (int i = 0; i < DOCS; i++) {
		after = look_at(doc[i]);
		assert_int_equal(before[i].lsn, after.lsn);
		assert_same(&before[i].digest, &after.digest);
	}
}

static void f05_threads_keep_order_in_sync_mode(void **unused)
{
	(void)unused;
	run_threads("sync", 150);
}

/* ---- opening and closing ---- */
static void f07_close_stores_what_was_submitted(void **unused)
{
	(void)unused;
	const char *modes[] = {"async:60000", "sync"};
	int total = 0;
	for (int m = 0; m < 2; m++) {
		open_runtime(modes[m]);
		for (int i = 0; i < 300; i++) {
			char key[16];
			struct mf_ticket *ticket;
			snprintf(key, sizeof(key), "k%d", ++total);
			struct mf_transaction *transaction = set_n(key, total);
			OK(mf_runtime_submit(runtime, "d", transaction, MF_COMMIT_MEMORY_ONLY, &ticket, NULL));
			mf_transaction_free(transaction);
			mf_ticket_unref(ticket);
		}
		close_runtime();
		open_runtime("sync");
		assert_int_equal(total, look_at("d").lsn);
		assert_int_equal(total, look_at("d").n);
		close_runtime();
	}
}

static void a_second_writer_is_locked_out_and_a_reader_is_not(void **unused)
{
	(void)unused;
	struct mf_runtime_options options = {.config_path = scratch_config};
	struct mf_runtime *other;
	struct mf_error error;
	struct mf_state *state;
	struct mf_ticket *ticket;
	int64_t lsn;
	open_runtime("sync");
	OK(commit_n("d", NULL, 1, &lsn, NULL));
	assert_int_equal(MF_ERR_LOCKED, mf_runtime_open(&options, &other, &error));
	options.read_only = true;
	OK(mf_runtime_open(&options, &other, &error));
	for (int i = 2; i < 5; i++) {
		OK(mf_runtime_state(other, "d", &state, NULL));
		assert_int_equal(i - 1, mf_state_lsn(state));
		mf_state_unref(state);
		OK(commit_n("d", NULL, i, &lsn, NULL));
	}
	struct mf_transaction *transaction = set_n("k", 9);
	assert_int_equal(MF_ERR_STATE, mf_runtime_submit(other, "d", transaction, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	assert_int_equal(MF_ERR_STATE, mf_runtime_snapshot(other, "d", &lsn, &error));
	assert_int_equal(MF_ERR_STATE, mf_runtime_compact(other, "d", &lsn, &error));
	assert_int_equal(MF_ERR_STATE, mf_runtime_compact_keep(other, "d", 1, &lsn, &error));
	assert_int_equal(MF_ERR_STATE, mf_runtime_undo(other, "d", 1, NULL, NULL, &lsn, &error));
	mf_transaction_free(transaction);
	OK(mf_runtime_close(other, MF_WAIT_FOREVER, NULL));
	assert_int_equal(4, look_at("d").n);
}

static int64_t synced_lsn(struct mf_runtime *reader, int64_t last)
{
	struct mf_store_stats stats;
	struct mf_state *state;
	OK(mf_store_stats(mf_runtime_store(reader), &stats, NULL));
	assert_int_equal(last, stats.last_lsn);
	if (stats.synced_lsn > 0) {
		OK(mf_runtime_state_at(reader, "d", stats.synced_lsn, &state, NULL, NULL));
		assert_int_equal(stats.synced_lsn, mf_state_lsn(state));
		mf_state_unref(state);
	}
	return stats.synced_lsn;
}

static void wait_until_synced(struct mf_runtime *writer, enum mf_commit_kind mode, int n)
{
	struct mf_ticket *ticket;
	struct mf_transaction *transaction = set_n(NULL, n);
	OK(mf_runtime_submit(writer, "d", transaction, mode, &ticket, NULL));
	OK(mf_ticket_wait(ticket, MF_LEVEL_SYNCED, MF_WAIT_FOREVER, NULL, NULL));
	mf_ticket_unref(ticket);
	mf_transaction_free(transaction);
}

static void a_reader_learns_how_far_the_writer_has_synced(void **unused)
{
	(void)unused;
	int64_t lsn;
	struct mf_runtime *reader;
	struct mf_runtime_options options = {.config_path = scratch_config, .read_only = true};
	open_runtime("async:60000");
	OK(mf_runtime_open(&options, &reader, NULL));
	OK(commit_n("d", NULL, 1, &lsn, NULL));
	assert_int_equal(0, synced_lsn(reader, 1));
	wait_until_synced(runtime, MF_COMMIT_SYNC_DURABLE, 2);
	assert_int_equal(2, synced_lsn(reader, 2));
	OK(commit_n("d", NULL, 3, &lsn, NULL));
	assert_int_equal(2, synced_lsn(reader, 3));
	OK(mf_runtime_close(runtime, MF_WAIT_FOREVER, NULL));
	open_runtime("async:20");
	assert_int_equal(3, synced_lsn(reader, 3));
	wait_until_synced(runtime, MF_COMMIT_ASYNC_DURABLE, 4); /* by the window alone */
	assert_int_equal(4, synced_lsn(reader, 4));
	OK(mf_runtime_close(reader, MF_WAIT_FOREVER, NULL));
}

static void compaction_keeps_fewer_snapshots_when_asked(void **unused)
{
	(void)unused;
	int64_t lsn, upto_lsn = -1;
	struct mf_error error = {0};
	struct mf_event_list events;
	open_runtime("sync");
	OK(commit_n("d", NULL, 1, &lsn, NULL));
	OK(mf_runtime_snapshot(runtime, "d", &lsn, NULL));
	assert_int_equal(MF_ERR_INVALID, mf_runtime_compact_keep(runtime, "d", 0, &upto_lsn, &error));
	assert_int_equal(MF_ERR_INVALID, mf_runtime_compact_keep(runtime, "d", 1001, &upto_lsn, &error));
	assert_non_null(strstr(error.message, "1 to 1000"));
	assert_int_equal(-1, upto_lsn);
	OK(mf_runtime_compact(runtime, "d", &upto_lsn, NULL));
	assert_int_equal(0, upto_lsn); /* two are to be kept */
	OK(mf_runtime_compact_keep(runtime, "d", 1000, &upto_lsn, NULL));
	assert_int_equal(0, upto_lsn);
	OK(mf_runtime_compact_keep(runtime, "d", 1, &upto_lsn, NULL));
	assert_int_equal(1, upto_lsn);
	OK(mf_store_load_since(mf_runtime_store(runtime), "d", 0, 10, &events, NULL));
	assert_int_equal(0, events.count);
	mf_event_list_deinit(&events);
	OK(commit_n("d", NULL, 2, &lsn, NULL));
	OK(mf_runtime_undo(runtime, "d", 2, NULL, NULL, &lsn, NULL));
	assert_int_equal(4, lsn);
}

static void a_child_after_fork_is_refused(void **unused)
{
	(void)unused;
	int64_t lsn;
	open_runtime("sync");
	OK(commit_n("d", NULL, 1, &lsn, NULL));
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct mf_error error;
		struct mf_state *state;
		bool refused = commit_n("d", NULL, 2, &lsn, &error) == MF_ERR_STATE && mf_runtime_state(runtime, "d", &state, &error) == MF_ERR_STATE &&
			       mf_runtime_close(runtime, 0, &error) == MF_ERR_STATE;
		leave(refused ? 0 : 1);
	}
	int outcome;
	assert_int_equal(child, waitpid(child, &outcome, 0));
	assert_true(WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0);
	OK(commit_n("d", NULL, 3, &lsn, NULL));
	assert_int_equal(2, lsn);
}

static void a_wrong_mode_or_configuration_makes_nothing(void **unused)
{
	(void)unused;
	struct mf_error error;
	struct stat stat_buffer;
	const char *modes[] = {"", "fast", "async:", "async:x", "async:60001", "memory_only"};
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		assert_int_equal(MF_ERR_INVALID, try_open(modes[i], &error));
		assert_true(strlen(error.message) > 0);
	}
	write_config("", ", \"keep_snapshots\": \"two\"");
	assert_int_equal(MF_ERR_INVALID, try_open(NULL, &error));
	assert_non_null(strstr(error.message, "/plugins/3/config/keep_snapshots"));
	unlink(scratch_config);
	assert_int_equal(MF_ERR_NOT_FOUND, try_open(NULL, &error));
	struct mf_runtime_options none = {.config_path = NULL};
	assert_int_equal(MF_ERR_INVALID, mf_runtime_open(&none, &runtime, &error));
	runtime = NULL;
	assert_int_equal(-1, stat(scratch_data, &stat_buffer));
}

static void it_opens_and_closes_many_times(void **unused)
{
	(void)unused;
	int64_t lsn;
	for (int i = 1; i <= 20; i++) {
		open_runtime("sync");
		OK(commit_n("d", NULL, i, &lsn, NULL));
		assert_int_equal(i, lsn);
		close_runtime();
	}
}

static bool count_plugin(void *user, const struct mf_plugin_info *info)
{
	int *count = user;
	assert_string_equal("started", info->state);
	assert_non_null(strstr(info->path, info->name));
	(*count)++;
	return true;
}

static void the_plugins_can_be_listed(void **unused)
{
	(void)unused;
	int count = 0;
	open_runtime("memory");
	mf_runtime_plugins(runtime, count_plugin, &count);
	assert_int_equal(4, count);
}

static void all_documents_are_recovered_at_open_when_asked(void **unused)
{
	(void)unused;
	int64_t lsn;
	open_runtime("sync");
	for (int i = 0; i < 5; i++) {
		char doc[8];
		snprintf(doc, sizeof(doc), "d%d", i);
		OK(commit_n(doc, NULL, i, &lsn, NULL));
	}
	close_runtime();
	write_config(", \"recover_at_open\": \"all\", \"max_loaded_documents\": 2", "");
	open_runtime("sync");
	for (int i = 0; i < 5; i++) {
		char doc[8];
		snprintf(doc, sizeof(doc), "d%d", i);
		assert_int_equal(i, look_at(doc).n);
	}
}

static void a_state_of_the_past_can_be_read(void **unused)
{
	(void)unused;
	struct mf_recovery_report report;
	struct mf_state *state;
	struct mf_error error;
	int64_t lsn;
	open_runtime("sync");
	for (int i = 1; i <= 4; i++)
		OK(commit_n("d", NULL, i, &lsn, NULL));
	OK(mf_runtime_state_at(runtime, "d", 2, &state, &report, NULL));
	assert_int_equal(2, mf_state_lsn(state));
	assert_int_equal(2, report.events_replayed);
	mf_state_unref(state);
	assert_int_equal(MF_ERR_INVALID, mf_runtime_state_at(runtime, "d", 0, &state, NULL, &error));
	assert_int_equal(MF_ERR_NOT_FOUND, mf_runtime_snapshot(runtime, "nobody", &lsn, &error));
}

/* ---- metrics ---- */

static struct mf_metrics metrics_now(void)
{
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	OK(mf_runtime_metrics(runtime, &metrics, NULL));
	return metrics;
}

static void the_metrics_tell_what_was_done_and_a_reader_gets_them_as_saved(void **unused)
{
	(void)unused;
	struct mf_error error;
	int64_t lsn;
	open_runtime("sync");
	for (int i = 1; i <= 5; i++)
		OK(commit_n("d", i == 1 ? "key" : NULL, i, &lsn, NULL));
	assert_int_equal(MF_ERR_DUPLICATE_KEY, commit_n("d", "key", 1, &lsn, &error));
	assert_int_equal(MF_ERR_STATE, mf_runtime_redo(runtime, "d", 1, NULL, NULL, &lsn, &error));
	OK(mf_runtime_snapshot(runtime, "d", &lsn, &error));
	struct mf_metrics live = metrics_now();
	assert_int_equal(MF_METRICS_LIVE, live.source);
	assert_int_equal(5, live.total_events);
	assert_int_equal(5, live.commit_us.count);
	assert_int_equal(1, live.snapshot_us.count);
	assert_int_equal(1, live.duplicates);
	assert_int_equal(1, live.errors[MF_ERR_DUPLICATE_KEY]);
	assert_int_equal(1, live.errors[MF_ERR_STATE]);
	assert_int_equal(2, live.documents_loaded); /* and the default one */
	assert_true(live.store_bytes > 0 && live.synced_lsn == 5);
	close_runtime();
	struct mf_runtime_options options = {.config_path = scratch_config, .read_only = true};
	OK(mf_runtime_open(&options, &runtime, &error));
	struct mf_metrics saved = metrics_now();
	assert_int_equal(MF_METRICS_SAVED, saved.source);
	assert_int_equal(5, saved.total_events);
	assert_int_equal(5, saved.commit_us.count);
	assert_int_equal(live.commit_us.p99, saved.commit_us.p99);
	assert_int_equal(live.opened_us, saved.opened_us);
	assert_true(saved.taken_us >= live.taken_us);
	close_runtime();
	open_runtime("async:60000");
	OK(commit_n("d", NULL, 6, &lsn, NULL));
	assert_int_equal(1, metrics_now().unsynced_lsns); /* what was synced before the restart is synced */
	struct mf_metrics odd = {.size = 1};
	assert_int_equal(MF_ERR_INVALID, mf_runtime_metrics(runtime, &odd, &error));
}

/* ---- health ---- */

static enum mf_status fail_at_the_second(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	(void)user;
	if (publication->lsn < 2)
		return MF_OK;
	return mf_error_set(error, MF_ERR_IO, "the printer is out of paper");
}

static struct mf_health_report health_now(int64_t min_free_bytes)
{
	struct mf_health_options options;
	struct mf_health_report report = {.size = sizeof(report)};
	mf_health_options_init(&options);
	options.min_free_bytes = min_free_bytes;
	OK(mf_runtime_health(runtime, &options, NULL, NULL, &report, NULL));
	return report;
}

static void the_health_tells_of_room_and_of_a_follower_that_stopped(void **unused)
{
	(void)unused;
	int64_t lsn;
	uint64_t id;
	struct mf_follow_options options;
	open_runtime("sync");
	assert_int_equal(MF_HEALTHY, health_now(1).level);
	assert_int_equal(MF_HEALTH_WARNING, health_now(INT64_MAX).level);
	mf_follow_options_init(&options);
	options.name = "printer";
	options.on = MF_FOLLOW_ON_LOOP;
	options.give_up_after = 1;
	OK(mf_bus_follow(mf_runtime_bus(runtime), &options, fail_at_the_second, NULL, &id, NULL));
	OK(commit_n("d", NULL, 1, &lsn, NULL));
	assert_int_equal(1, metrics_now().follower_lag_lsns); /* it has not begun */
	OK(mf_bus_dispatch(mf_runtime_bus(runtime), 0, NULL));
	assert_int_equal(MF_HEALTHY, health_now(1).level);
	assert_int_equal(1, metrics_now().followers);
	assert_int_equal(0, metrics_now().follower_lag_lsns);
	OK(commit_n("d", NULL, 2, &lsn, NULL));
	assert_int_equal(1, metrics_now().follower_lag_lsns);
	OK(mf_bus_dispatch(mf_runtime_bus(runtime), 0, NULL));
	struct mf_health_report report = health_now(1);
	assert_int_equal(MF_HEALTH_WARNING, report.level);
	assert_non_null(strstr(report.message, "follower 'printer' has stopped, 1 events behind: "));
	assert_non_null(strstr(report.message, "out of paper"));
	assert_int_equal(1, metrics_now().follower_failures);
	OK(mf_bus_unsubscribe(mf_runtime_bus(runtime), id, NULL));
	assert_int_equal(MF_HEALTHY, health_now(1).level);
}

/* ---- a plugin that does not stop ---- */

void fixture_called(const char *plugin, const char *what);
void fixture_noted(const char *plugin, const char *what, int status);
static bool fixture_destroyed;

void fixture_called(const char *plugin, const char *what)
{
	(void)plugin;
	fixture_destroyed = fixture_destroyed || strcmp(what, "destroy") == 0;
}

void fixture_noted(const char *plugin, const char *what, int status)
{
	(void)plugin;
	(void)what;
	(void)status;
}

static bool count_subscriber(void *user, const struct mf_subscriber_info *info)
{
	(void)info;
	(*(int *)user)++;
	return true;
}

static void what_a_plugin_at_work_uses_is_not_freed(void **unused)
{
	(void)unused;
	struct mf_error error = {0};
	char at_work[128];
	snprintf(at_work, sizeof(at_work), ", {\"name\": \"a\", \"config\": {\"stop\": %d, \"message\": \"a thread is still writing\"}}", MF_ERR_TIMEOUT);
	scratch_write_config(&(struct scratch_plan){.dirs = ", \"" MF_TEST_BUILD "/tests/bus/fixtures\"", .before = at_work});
	OK(try_open("async", &error));
	struct mf_bus *bus = mf_runtime_bus(runtime);
	const struct mf_step_registry *steps = mf_runtime_steps(runtime);
	fixture_destroyed = false;
	enum mf_status status = mf_runtime_close(runtime, MF_WAIT_FOREVER, &error);
	runtime = NULL;
	assert_int_equal(status, MF_ERR_PLUGIN);
	assert_int_equal(error.status, MF_ERR_PLUGIN);
	assert_non_null(strstr(error.message, "a thread is still writing"));
	assert_false(fixture_destroyed);
	int subscribers = 0; /* as the plugin's thread may do */
	mf_bus_subscribers(bus, count_subscriber, &subscribers);
	assert_non_null(mf_step_registry_find(steps, "insert_node", strlen("insert_node")));
	write_config("", "");
	OK(try_open("async", &error)); /* the store was closed: it can be opened again */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_commit_is_visible_and_has_the_next_lsn),
		TEST(without_a_document_id_it_is_the_default_one),
		TEST(f02_a_duplicate_changes_nothing_and_the_next_commit_works),
		TEST(a_stronger_mode_can_be_asked_for_but_not_out_of_memory),
		TEST(steps_that_do_not_fit_are_refused_and_named),
		TEST(f11_a_batch_over_documents_is_one_unit),
		TEST(f13_undo_and_redo_of_several_are_stored_and_survive),
		TEST(p13_fifty_are_undone_in_one_call_after_a_kill_and_compaction_and_redone_after_another),
		TEST(an_undo_with_a_key_can_be_retried),
		TEST(wrong_calls_of_undo_are_refused),
		TEST(an_undo_made_from_a_state_can_be_committed_too),
		TEST(f09_a_guard_may_not_wait_for_a_ticket_and_followers_miss_nothing),
		TEST(f09_a_handler_may_not_commit_but_afterwards_one_may),
		TEST(f09_recovery_applies_what_was_stored_and_calls_no_guard_and_no_follower),
		TEST(notices_tell_of_documents_snapshots_failures_and_the_end),
		TEST(f10_what_a_guard_refuses_never_reaches_the_store),
		TEST(f05_threads_keep_order_in_memory),
		TEST(f05_threads_keep_order_in_async_mode_with_snapshots),
		TEST(f05_threads_keep_order_in_sync_mode),
		TEST(f07_close_stores_what_was_submitted),
		TEST(a_second_writer_is_locked_out_and_a_reader_is_not),
		TEST(a_reader_learns_how_far_the_writer_has_synced),
		TEST(compaction_keeps_fewer_snapshots_when_asked),
		TEST(a_child_after_fork_is_refused),
		TEST(a_wrong_mode_or_configuration_makes_nothing),
		TEST(it_opens_and_closes_many_times),
		TEST(the_plugins_can_be_listed),
		TEST(all_documents_are_recovered_at_open_when_asked),
		TEST(a_state_of_the_past_can_be_read),
		TEST(the_metrics_tell_what_was_done_and_a_reader_gets_them_as_saved),
		TEST(the_health_tells_of_room_and_of_a_follower_that_stopped),
		TEST(what_a_plugin_at_work_uses_is_not_freed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
