#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "fake_store.h"
#include "model/callback.h"
#include "model/mem.h"
#include "persist/ticket.h"

struct source {
	struct mf_ticket_source base;
	bool *freed;
	struct mf_ticket *to_settle; /* by help */
	bool leading;
};

static void free_source(struct mf_ticket_source *base)
{
	struct source *source = (struct source *)base;
	*source->freed = true;
	mf_ticket_source_deinit(base);
	free(source);
}

static struct source *new_source(bool durable, bool *freed)
{
	struct source *source = calloc(1, sizeof(*source));
	assert_non_null(source);
	*freed = false;
	mf_ticket_source_init(&source->base, mf_env_os(), durable);
	source->base.free = free_source;
	source->freed = freed;
	return source;
}

static struct mf_ticket *new_ticket(struct source *source)
{
	struct mf_ticket *ticket;
	assert_int_equal(mf_ticket_new(&source->base, &ticket), MF_OK);
	return ticket;
}

static void settle(struct mf_ticket *ticket, int64_t lsn, enum mf_status status, const char *sentence)
{
	struct mf_error error;
	mf_error_set(&error, status, "%s", sentence);
	struct mf_ticket_failure *failure = status ? mf_ticket_failure_new(&error) : NULL;
	pthread_mutex_lock(&ticket->source->mutex);
	ticket->lsn = lsn;
	mf_ticket_settle(ticket, status, failure);
	pthread_mutex_unlock(&ticket->source->mutex);
	mf_ticket_wake(ticket);
	mf_ticket_failure_unref(failure);
}

static void a_pending_ticket_says_timeout(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *ticket = new_ticket(source);
	struct mf_error error = {0};
	int64_t lsn = -7;
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 0, &lsn, &error), MF_ERR_TIMEOUT);
	ticket->queued = true; /* of a source that cannot help */
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 1, &lsn, NULL), MF_ERR_TIMEOUT);
	assert_int_equal(error.status, MF_ERR_TIMEOUT);
	assert_int_equal(lsn, -7);
	mf_ticket_unref(ticket);
	mf_ticket_source_unref(&source->base);
	assert_true(freed);
}

static void a_stored_ticket_gives_its_lsn(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *ticket = new_ticket(source);
	int64_t lsn = 0;
	settle(ticket, 42, MF_OK, "");
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 0, &lsn, NULL), MF_OK);
	assert_int_equal(lsn, 42);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_WRITTEN, MF_WAIT_FOREVER, &lsn, NULL), MF_OK);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_SYNCED, 0, &lsn, NULL), MF_ERR_TIMEOUT);
	mf_ticket_unref(ticket);
	mf_ticket_source_unref(&source->base);
}

static void a_failed_ticket_gives_its_sentence(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *ticket = new_ticket(source);
	struct mf_error error = {0};
	settle(ticket, 0, MF_ERR_STORAGE_FULL, "no space left");
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_SYNCED, MF_WAIT_FOREVER, NULL, &error), MF_ERR_STORAGE_FULL);
	assert_int_equal(error.status, MF_ERR_STORAGE_FULL);
	assert_string_equal(error.message, "no space left");
	mf_ticket_unref(ticket);
	mf_ticket_source_unref(&source->base);
}

static void a_failure_without_memory_keeps_its_status(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *ticket = new_ticket(source);
	struct mf_error error = {0};
	mf_mem_fail_at(1, true);
	settle(ticket, 0, MF_ERR_STORAGE_FULL, "no space left");
	mf_mem_fail_at(0, false);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 0, NULL, &error), MF_ERR_STORAGE_FULL);
	assert_int_equal(error.status, MF_ERR_STORAGE_FULL);
	mf_ticket_unref(ticket);
	mf_ticket_source_unref(&source->base);
}

static void synced_is_what_the_source_has_synced(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *early = new_ticket(source), *late = new_ticket(source);
	struct mf_error error = {0};
	int64_t lsn = 0;
	settle(early, 5, MF_OK, "");
	settle(late, 6, MF_OK, "");
	source->base.synced_lsn = 5;
	assert_int_equal(mf_ticket_wait(early, MF_LEVEL_SYNCED, 0, &lsn, NULL), MF_OK);
	assert_int_equal(mf_ticket_wait(late, MF_LEVEL_SYNCED, 0, &lsn, NULL), MF_ERR_TIMEOUT);
	mf_error_set(&source->base.sync_error, MF_ERR_UNKNOWN_OUTCOME, "the device is gone");
	assert_int_equal(mf_ticket_wait(early, MF_LEVEL_SYNCED, 0, &lsn, NULL), MF_OK);
	assert_int_equal(mf_ticket_wait(late, MF_LEVEL_SYNCED, MF_WAIT_FOREVER, &lsn, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_string_equal(error.message, "the device is gone");
	assert_int_equal(mf_ticket_wait(late, MF_LEVEL_WRITTEN, 0, &lsn, NULL), MF_OK);
	mf_ticket_unref(early);
	mf_ticket_unref(late);
	mf_ticket_source_unref(&source->base);
}

static void a_store_in_memory_syncs_nothing(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(false, &freed);
	struct mf_ticket *ticket = new_ticket(source);
	struct mf_error error = {0};
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_SYNCED, MF_WAIT_FOREVER, NULL, &error), MF_ERR_INVALID);
	assert_int_equal(error.status, MF_ERR_INVALID);
	mf_ticket_unref(ticket);
	mf_ticket_source_unref(&source->base);
}

static void a_ticket_outlives_its_queue(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *ticket = new_ticket(source);
	settle(ticket, 3, MF_OK, "");
	mf_ticket_source_unref(&source->base);
	assert_false(freed);
	int64_t lsn;
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 0, &lsn, NULL), MF_OK);
	mf_ticket_unref(ticket);
	assert_true(freed);
	mf_ticket_unref(NULL);
}

static void *wait_for_it(void *ticket)
{
	return (void *)(intptr_t)mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL);
}

static void a_withdrawn_ticket_wakes_who_waits(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *ticket = new_ticket(source);
	pthread_t thread;
	void *status;
	mf_ticket_ref(ticket);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_it, ticket), 0);
	mf_ticket_withdraw(ticket, MF_ERR_BUSY, "withdrawn");
	pthread_join(thread, &status);
	assert_int_equal((intptr_t)status, MF_ERR_BUSY);
	mf_ticket_unref(ticket);
	mf_ticket_unref(ticket);
	mf_ticket_source_unref(&source->base);
	assert_true(freed);
}

static bool help(struct mf_ticket_source *base)
{
	struct source *source = (struct source *)base;
	source->to_settle->lsn = 9;
	mf_ticket_settle(source->to_settle, MF_OK, NULL);
	return true;
}

static void a_waiting_thread_does_the_work_itself(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *ticket = new_ticket(source);
	int64_t lsn = 0;
	source->base.help = help;
	source->to_settle = ticket;
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 0, &lsn, NULL), MF_ERR_TIMEOUT); /* only a look */
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 1, &lsn, NULL), MF_ERR_TIMEOUT); /* not queued */
	ticket->queued = true;
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, &lsn, NULL), MF_OK);
	assert_int_equal(lsn, 9);
	mf_ticket_unref(ticket);
	mf_ticket_source_unref(&source->base);
}

static bool always(struct mf_ticket_source *base)
{
	(void)base;
	return true;
}

static void nobody_waits_for_himself(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *ticket = new_ticket(source);
	source->base.in_callback = always;
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_ERR_STATE);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 0, NULL, NULL), MF_ERR_TIMEOUT);
	source->base.in_callback = NULL;
	mf_callback_begin(); /* a handler of any bus */
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_ERR_STATE);
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, 0, NULL, NULL), MF_ERR_TIMEOUT);
	settle(ticket, 1, MF_OK, "");
	assert_int_equal(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL), MF_OK);
	mf_callback_end();
	mf_ticket_unref(ticket);
	mf_ticket_source_unref(&source->base);
}

static void no_memory_makes_no_ticket(void **unused)
{
	(void)unused;
	bool freed;
	struct source *source = new_source(true, &freed);
	struct mf_ticket *ticket = NULL;
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_ticket_new(&source->base, &ticket), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	assert_null(ticket);
	mf_ticket_source_unref(&source->base);
	assert_true(freed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pending_ticket_says_timeout),
		cmocka_unit_test(a_stored_ticket_gives_its_lsn),
		cmocka_unit_test(a_failed_ticket_gives_its_sentence),
		cmocka_unit_test(a_failure_without_memory_keeps_its_status),
		cmocka_unit_test(synced_is_what_the_source_has_synced),
		cmocka_unit_test(a_store_in_memory_syncs_nothing),
		cmocka_unit_test(a_ticket_outlives_its_queue),
		cmocka_unit_test(a_withdrawn_ticket_wakes_who_waits),
		cmocka_unit_test(a_waiting_thread_does_the_work_itself),
		cmocka_unit_test(nobody_waits_for_himself),
		cmocka_unit_test(no_memory_makes_no_ticket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
