/* The snapshotter alone: what waits, what is left out, how it ends. Over a fake store that holds and fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "fake_store.h"
#include "model/mem.h"
#include "model/thread.h"
#include "model/transaction.h"
#include "persist/snapshotter.h"
#include "small_steps.h"

static struct fixture {
	struct fake_store *fake;
	struct mf_persist_options persist;
	struct mf_snapshotter *snapshotter;
	struct mf_state *state; /* of "doc", LSN 1 */
	atomic_int stored, failed;
	enum mf_status last;
	char message[MF_ERROR_MESSAGE_SIZE], log[2 * MF_ERROR_MESSAGE_SIZE];
} f;

static void ended(void *user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error)
{
	(void)user, (void)doc_id, (void)upto_lsn;
	f.last = error ? error->status : MF_OK;
	snprintf(f.message, sizeof(f.message), "%s", error ? error->message : "");
	atomic_fetch_add(error ? &f.failed : &f.stored, 1);
	FAKE_SET(f.fake, read_error = MF_OK); /* wakes who waits */
}

static void hear(void *user, enum mf_log_level level, const char *message)
{
	(void)user, (void)level;
	snprintf(f.log, sizeof(f.log), "%s", message);
}

static int set_up(void **unused)
{
	(void)unused;
	memset(&f, 0, sizeof(f));
	f.fake = fake_store_new(true);
	mf_persist_options_init(&f.persist);
	f.persist.logger = (struct mf_logger){hear, NULL};
	const struct mf_snapshotter_options options = {.store = &f.fake->base, .persist = &f.persist, .ended = ended};
	assert_int_equal(mf_snapshotter_new(&options, &f.snapshotter), MF_OK);
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_event event;
	void *memory;
	int64_t lsn;
	ADD_INSERT(transaction, "root", 0, "a");
	assert_int_equal(mf_transaction_set_key(transaction, "k", NULL), MF_OK);
	assert_int_equal(mf_event_encode("doc", transaction, NULL, &event, &memory, NULL), MF_OK);
	assert_int_equal(mf_store_append(&f.fake->base, &event, &lsn, NULL), MF_OK);
	mf_free(memory);
	f.state = small_steps_commit(small_state_new(10), transaction, lsn);
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	assert_int_equal(mf_snapshotter_stop(f.snapshotter, -1, NULL), MF_OK);
	mf_snapshotter_free(f.snapshotter);
	mf_snapshotter_free(NULL);
	mf_state_unref(f.state);
	fake_store_free(f.fake);
	return 0;
}

static void add(const char *doc_id)
{
	assert_int_equal(mf_snapshotter_add(f.snapshotter, doc_id, f.state, NULL), MF_OK);
}

static void more_than_can_wait_is_refused(void **unused)
{
	(void)unused;
	char name[16];
	FAKE_SET(f.fake, hold_snapshots = true);
	add("doc");
	FAKE_WAIT(f.fake, f.fake->in_snapshot == 1);
	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "%d", i);
		add(name);
		add(name); /* takes the place of the one that waits */
	}
	assert_int_equal(f.failed, 0);
	struct mf_error error = {0};
	assert_int_equal(mf_snapshotter_add(f.snapshotter, "one more", f.state, &error), MF_ERR_BUSY);
	assert_non_null(strstr(error.message, "64 snapshots are waiting"));
	assert_int_equal(f.failed, 0);
	assert_int_equal(mf_snapshotter_stop(f.snapshotter, 1, NULL), MF_ERR_TIMEOUT);
	assert_int_equal(mf_snapshotter_stop(f.snapshotter, 0, NULL), MF_ERR_TIMEOUT);
	FAKE_SET(f.fake, hold_snapshots = false);
	FAKE_WAIT(f.fake, f.stored > 0);
	assert_int_equal(mf_snapshotter_stop(f.snapshotter, INT64_MAX, NULL), MF_OK); /* those that still wait are dropped */
}

static void a_snapshot_that_waits_is_dropped_at_the_end(void **unused)
{
	(void)unused;
	FAKE_SET(f.fake, hold_snapshots = true);
	add("doc");
	FAKE_WAIT(f.fake, f.fake->in_snapshot == 1);
	add("other");
	FAKE_SET(f.fake, hold_snapshots = false);
	assert_int_equal(mf_snapshotter_stop(f.snapshotter, 3600 * 1000, NULL), MF_OK);
	assert_in_range(f.stored + f.failed, 1, 2);
}

/* ---- the threads, real ones, but that the store goes on as soon as somebody waits for it ---- */

static void wait_and_let_go(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_us)
{
	assert_true(deadline_us == INT64_MAX);
	FAKE_SET(f.fake, hold_snapshots = false);
	pthread_cond_wait(cond, mutex);
}

static void wake(pthread_cond_t *cond, bool all)
{
	(void)(all ? pthread_cond_broadcast(cond) : pthread_cond_signal(cond));
}

static void join(pthread_t thread)
{
	pthread_join(thread, NULL);
}

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void the_end_waits_for_the_snapshot_at_work_and_for_no_other(void **unused)
{
	(void)unused;
	static const struct mf_threads watched = {.join = join, .wait = wait_and_let_go, .wake = wake, .now_us = now_us};
	FAKE_SET(f.fake, hold_snapshots = true);
	add("doc");
	FAKE_WAIT(f.fake, f.fake->in_snapshot == 1);
	add("other");
	mf_threads_replace(&watched); /* nobody but us reads it: the other thread is in the store */
	assert_int_equal(mf_snapshotter_stop(f.snapshotter, -1, NULL), MF_OK);
	mf_threads_replace(NULL);
	assert_false(f.fake->hold_snapshots);
	assert_int_equal(f.stored, 1);
	assert_int_equal(f.failed, 0);
}

static void without_memory_nothing_is_taken_and_that_is_said(void **unused)
{
	(void)unused;
	int n = 0, refused = 0;
	for (; f.stored == 0; n++) {
		int before = f.failed;
		struct mf_error error = {0};
		mf_mem_fail_at((uint64_t)n + 1, false);
		enum mf_status status = mf_snapshotter_add(f.snapshotter, "doc", f.state, &error);
		if (status == MF_OK)
			FAKE_WAIT(f.fake, f.failed > before || f.stored > 0);
		mf_mem_fail_at(0, false);
		refused += status != MF_OK;
		assert_int_equal(status, status == MF_OK ? MF_OK : MF_ERR_NO_MEMORY);
		assert_int_equal(strlen(error.message) > 0, status != MF_OK);
		if (status == MF_OK && f.stored == 0)
			assert_int_equal(f.last, MF_ERR_NO_MEMORY);
		if (status == MF_OK)
			assert_int_equal(strlen(f.message) > 0, f.stored == 0);
	}
	assert_true(n > 3);
	assert_int_equal(refused, 2); /* for the job, for the thread */
	struct mf_snapshotter *none = NULL;
	const struct mf_snapshotter_options options = {.store = &f.fake->base, .persist = &f.persist, .ended = ended};
	for (uint64_t at = 1; !none; at++) {
		mf_mem_fail_at(at, false);
		enum mf_status status = mf_snapshotter_new(&options, &none);
		mf_mem_fail_at(0, false);
		assert_int_equal(status, none ? MF_OK : MF_ERR_NO_MEMORY);
	}
	assert_int_equal(mf_snapshotter_stop(none, -1, NULL), MF_OK);
	mf_snapshotter_free(none);
}

static enum mf_status refuse_to_prune(struct mf_store *store, const char *doc_id, uint32_t keep, struct mf_error *error)
{
	(void)store, (void)doc_id, (void)keep;
	return mf_error_set(error, MF_ERR_IO, "the old ones stay");
}

static void a_snapshot_is_stored_whatever_becomes_of_older_ones(void **unused)
{
	(void)unused;
	struct mf_error error;
	f.fake->ops.prune_snapshots = refuse_to_prune;
	assert_int_equal(mf_snapshotter_take(f.snapshotter, "doc", f.state, &error), MF_OK);
	assert_non_null(strstr(f.log, "the old ones stay"));
	f.log[0] = '\0';
	f.fake->ops.prune_snapshots = NULL;
	assert_int_equal(mf_snapshotter_take(f.snapshotter, "doc", f.state, &error), MF_OK);
	assert_string_equal(f.log, "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(more_than_can_wait_is_refused),
		T(a_snapshot_that_waits_is_dropped_at_the_end),
		T(the_end_waits_for_the_snapshot_at_work_and_for_no_other),
		T(without_memory_nothing_is_taken_and_that_is_said),
		T(a_snapshot_is_stored_whatever_becomes_of_older_ones),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
