/* Small pieces of the persistence layer where memory or a lock is not to be had. */
#include <errno.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "fake_store.h"
#include "persist/key_filter.h"
#include "persist/page_pool.h"
#include "persist/pending_keys.h"
#include <moduforge/value.h>

/* ---- the pool of pages ---- */

static bool lock_is_busy;

/* In place of the C library's: as if another thread held the lock just now. */
int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	int (*real)(pthread_mutex_t *mutex);
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_trylock");
	return lock_is_busy ? EBUSY : real(mutex);
}

static void a_pool_that_is_in_use_is_not_waited_for(void **unused)
{
	(void)unused;
	size_t size = 64u << 10, taken = 0;
	void *memory = mf_malloc(size);
	assert_non_null(memory);
	lock_is_busy = true;
	mf_page_pool_give(MF_PAGE_EVENTS, memory, size); /* freed, not kept */
	lock_is_busy = false;
	assert_null(mf_page_pool_take(MF_PAGE_EVENTS, &taken));
	memory = mf_malloc(size);
	assert_non_null(memory);
	mf_page_pool_give(MF_PAGE_EVENTS, memory, size);
	lock_is_busy = true;
	assert_null(mf_page_pool_take(MF_PAGE_EVENTS, &taken));
	lock_is_busy = false;
	assert_ptr_equal(mf_page_pool_take(MF_PAGE_EVENTS, &taken), memory);
	assert_int_equal(taken, size);
	mf_free(memory);
}

static void a_pool_keeps_two_of_a_kind(void **unused)
{
	(void)unused;
	void *memory[3];
	size_t size = 64u << 10, taken;
	for (int i = 0; i < 3; i++) {
		memory[i] = mf_malloc(size);
		assert_non_null(memory[i]);
	}
	for (int i = 0; i < 3; i++)
		mf_page_pool_give(MF_PAGE_BYTES, memory[i], size); /* the third is freed */
	for (int i = 0; i < 2; i++) {
		assert_ptr_equal(mf_page_pool_take(MF_PAGE_BYTES, &taken), memory[i]);
		mf_free(memory[i]);
	}
	assert_null(mf_page_pool_take(MF_PAGE_BYTES, &taken));
}

/* ---- pending keys ---- */

#define KEYS 2000

static struct mf_ticket_source source;

static void keep_source(struct mf_ticket_source *gone)
{
	(void)gone;
}

static struct mf_reservation *reservation_of(int number)
{
	struct mf_reservation *reservation;
	char key[32];
	snprintf(key, sizeof(key), "key-%d", number);
	assert_int_equal(mf_reservation_new(key, &source, &reservation), MF_OK);
	return reservation;
}

static bool is_pending(struct mf_pending_keys *keys, int number)
{
	struct mf_reservation *again = reservation_of(number);
	struct mf_ticket *ticket = NULL;
	bool same;
	bool added = mf_pending_keys_add(keys, again, &ticket, &same);
	if (added)
		mf_pending_keys_remove(keys, again);
	mf_ticket_unref(ticket);
	mf_reservation_free(again);
	return !added;
}

static void a_table_of_keys_that_cannot_grow_still_finds_them(void **unused)
{
	(void)unused;
	static struct mf_reservation *reservations[KEYS];
	struct mf_pending_keys *keys;
	struct mf_ticket *ticket;
	bool same;
	mf_ticket_source_init(&source, mf_env_os(), true);
	source.free = keep_source;
	assert_int_equal(mf_pending_keys_new(mf_env_os(), &keys), MF_OK);
	for (int i = 0; i < KEYS; i++)
		reservations[i] = reservation_of(i);
	mf_mem_fail_at(1, true);
	for (int i = 0; i < KEYS / 2; i++)
		assert_true(mf_pending_keys_add(keys, reservations[i], &ticket, &same));
	assert_true(mf_mem_count() > 0); /* it tried */
	mf_mem_fail_at(0, false);
	for (int i = KEYS / 2; i < KEYS; i++) /* and now it grows */
		assert_true(mf_pending_keys_add(keys, reservations[i], &ticket, &same));
	for (int i = 0; i < KEYS; i++)
		assert_true(is_pending(keys, i));
	for (int i = 0; i < KEYS; i++) {
		mf_pending_keys_remove(keys, reservations[i]);
		mf_reservation_free(reservations[i]);
		assert_false(is_pending(keys, i));
	}
	mf_pending_keys_free(keys);
	mf_ticket_source_deinit(&source);
}

/* ---- the filter ---- */

static void a_filter_that_has_all_its_layers_gives_up(void **unused)
{
	(void)unused;
	struct mf_key_filter filter;
	mf_key_filter_init(&filter);
	mf_key_filter_add(&filter, "a", 1);
	assert_false(mf_key_filter_may_have(&filter, "never added", 11));
	filter.layer_count = MF_FILTER_LAYERS; /* as after 34 billion keys */
	filter.room = 0;
	mf_key_filter_add(&filter, "b", 1);
	assert_int_equal(filter.layer_count, MF_FILTER_LAYERS);
	assert_true(mf_key_filter_may_have(&filter, "a", 1));
	assert_true(mf_key_filter_may_have(&filter, "never added", 11));
	mf_key_filter_deinit(&filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool_that_is_in_use_is_not_waited_for),
		cmocka_unit_test(a_pool_keeps_two_of_a_kind),
		cmocka_unit_test(a_table_of_keys_that_cannot_grow_still_finds_them),
		cmocka_unit_test(a_filter_that_has_all_its_layers_gives_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
