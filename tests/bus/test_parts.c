/* Small parts of the bus: the ring of recent events, the order of plugins, what becomes a publication. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "bus/plugin_order.h"
#include "bus/publication.h"
#include "bus/recent.h"
#include "bus/search.h"
#include "model/mem.h"

/* ---- recent events ---- */
static void add(struct mf_recent *recent, int64_t lsn, const char *actor, size_t len)
{
	static const unsigned char payload[200000] = {7};
	const struct mf_event event = {.lsn = lsn, .doc_id = "d", .idempotency_key = "k", .actor = actor, .meta = "", .payload = payload, .payload_len = len};
	mf_recent_add(recent, &event);
}

static size_t taken(const struct mf_recent *recent, int64_t from, int64_t upto)
{
	struct mf_event_batch batch = {.count = 0};
	bool any = mf_recent_take(recent, from, upto, &batch);
	size_t count = batch.count;
	assert_int_equal(any, count > 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(batch.copies[i]->event.lsn, from + 1 + (int64_t)i);
	mf_event_batch_release(&batch);
	return count;
}

static void a_ring_without_room_holds_nothing(void **state)
{
	(void)state;
	struct mf_recent recent = {0};
	add(&recent, 1, NULL, 10);
	assert_int_equal(recent.newest, 1);
	assert_int_equal(taken(&recent, 0, 1), 0);
	mf_recent_deinit(&recent);
}

static void an_event_is_copied_with_all_that_it_has_and_without_what_it_has_not(void **state)
{
	(void)state;
	struct mf_recent recent = {0};
	struct mf_event_batch batch = {.count = 0};
	assert_int_equal(mf_recent_reserve(&recent, 10, 1 << 20), MF_OK);
	add(&recent, 1, "ann", 10);
	add(&recent, 2, NULL, 0);
	assert_true(mf_recent_take(&recent, 0, 9, &batch)); /* what is not there yet is not waited for */
	assert_int_equal(batch.count, 2);
	assert_string_equal(batch.copies[0]->event.actor, "ann");
	assert_int_equal(batch.copies[0]->event.payload[0], 7);
	assert_null(batch.copies[1]->event.actor);
	assert_int_equal(batch.copies[1]->event.payload_len, 0);
	mf_event_batch_release(&batch);
	assert_int_equal(taken(&recent, 2, 9), 0);
	mf_recent_deinit(&recent);
}

static void an_event_that_is_too_large_or_without_memory_empties_the_ring(void **state)
{
	(void)state;
	struct mf_recent recent = {0};
	assert_int_equal(mf_recent_reserve(&recent, 10, 1000), MF_OK);
	add(&recent, 1, NULL, 10);
	add(&recent, 2, NULL, 2000);
	assert_int_equal(taken(&recent, 0, 2), 0);
	add(&recent, 3, NULL, 10);
	assert_int_equal(taken(&recent, 2, 3), 1);
	mf_mem_fail_at(1, false);
	add(&recent, 4, NULL, 10);
	mf_mem_fail_at(0, false);
	assert_int_equal(taken(&recent, 2, 4), 0);
	add(&recent, 9, NULL, 10); /* not the next one */
	assert_int_equal(taken(&recent, 4, 9), 0);
	assert_int_equal(taken(&recent, 8, 9), 1);
	mf_recent_deinit(&recent);
}

static void a_batch_ends_at_its_number_and_at_its_bytes(void **state)
{
	(void)state;
	struct mf_recent recent = {0};
	assert_int_equal(mf_recent_reserve(&recent, 200, 4 << 20), MF_OK);
	for (int64_t lsn = 1; lsn <= 100; lsn++)
		add(&recent, lsn, NULL, 10);
	assert_int_equal(taken(&recent, 0, 100), MF_BATCH_EVENTS);
	for (int64_t lsn = 101; lsn <= 110; lsn++)
		add(&recent, lsn, NULL, 200000);
	assert_int_equal(taken(&recent, 100, 110), 2);
	mf_recent_deinit(&recent);
}

/* ---- the order of plugins ---- */
#define REQUIRES(...) (const char *const[]){__VA_ARGS__, NULL}

static void what_a_plugin_requires_comes_first(void **state)
{
	(void)state;
	const struct mf_order_item items[] = {{"a", REQUIRES("c"), false}, {"b", NULL, true}, {"c", NULL, false}, {"d", REQUIRES("a", "c"), false}};
	size_t order[4], ring[4];
	assert_int_equal(mf_plugin_order(items, 4, order), 3);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 0);
	assert_int_equal(order[2], 3);
	assert_int_equal(mf_plugin_ring(items, 4, order, 3, ring), 0);
	assert_int_equal(mf_order_find(items, 4, "d"), 3);
	assert_int_equal(mf_order_find(items, 4, "b"), 4); /* left out */
	assert_int_equal(mf_order_find(items, 4, "absent"), 4);
}

static void a_ring_begins_where_it_closes_and_what_is_not_there_is_none(void **state)
{
	(void)state;
	const struct mf_order_item items[] = {{"into", REQUIRES("x"), false}, {"x", REQUIRES("y"), false}, {"y", REQUIRES("x"), false}};
	const struct mf_order_item lost[] = {{"a", REQUIRES("absent"), false}};
	size_t order[3], ring[3];
	assert_int_equal(mf_plugin_order(items, 3, order), 0);
	assert_int_equal(mf_plugin_ring(items, 3, order, 0, ring), 2); /* without what only leads into it */
	assert_int_equal(ring[0], 1);
	assert_int_equal(ring[1], 2);
	assert_int_equal(mf_plugin_order(lost, 1, order), 0);
	assert_int_equal(mf_plugin_ring(lost, 1, order, 0, ring), 0);
}

/* ---- publications ---- */
static void an_action_that_is_none_counts_as_an_application_and_a_failure_has_words(void **state)
{
	(void)state;
	assert_int_equal(mf_topic_of_action((enum mf_action)99), MF_TR_APPLY);
	assert_int_equal(mf_topic_of_action(MF_ACTION_UNDO), MF_TR_UNDO);
	assert_int_equal(mf_topic_of_action(MF_ACTION_REDO), MF_TR_REDO);
	const struct mf_error error = {.status = MF_ERR_IO, .message = "the disk"};
	const struct mf_proposal proposal = {.doc_id = "d"};
	const struct mf_commit_result silent = {.status = MF_ERR_IO}, told = {.status = MF_ERR_IO, .error = &error};
	assert_string_equal(mf_publication_of(&proposal, &silent).message, "MF_ERR_IO");
	assert_string_equal(mf_publication_of(&proposal, &told).message, "the disk");
}

/* ---- names and directories ---- */
static void a_search_says_where_it_could_not_look(void **state)
{
	(void)state;
	char deep[400] = "/", both[900], *path = NULL;
	struct mf_error error = {0};
	memset(deep + 1, 'd', 300);
	char empty[] = "", file[] = "/proc/version", nowhere[] = "/nowhere", *const dirs[] = {empty, file, nowhere};
	struct mf_plugin_search search = {.dirs = dirs, .dir_count = 3};
	assert_int_equal(mf_plugin_search(&search, "no_plugin_has_this_name", &path, &error), MF_ERR_NOT_FOUND);
	assert_non_null(strstr(error.message, "/proc/version, /nowhere")); /* a file is no directory: nothing lies in it */
	char *const too_deep[] = {deep};
	search = (struct mf_plugin_search){.dirs = too_deep, .dir_count = 1};
	assert_int_equal(mf_plugin_search(&search, "p", &path, &error), MF_ERR_PLUGIN);
	assert_non_null(strstr(error.message, "cannot look for"));
	snprintf(both, sizeof(both), "%s:/nowhere", deep); /* the first part ends it */
	search = (struct mf_plugin_search){.plugin_path = both, .dirs = dirs, .dir_count = 3};
	assert_int_equal(mf_plugin_search(&search, "p", &path, &error), MF_ERR_PLUGIN);
	assert_null(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_without_room_holds_nothing),
		cmocka_unit_test(an_event_is_copied_with_all_that_it_has_and_without_what_it_has_not),
		cmocka_unit_test(an_event_that_is_too_large_or_without_memory_empties_the_ring),
		cmocka_unit_test(a_batch_ends_at_its_number_and_at_its_bytes),
		cmocka_unit_test(what_a_plugin_requires_comes_first),
		cmocka_unit_test(a_ring_begins_where_it_closes_and_what_is_not_there_is_none),
		cmocka_unit_test(an_action_that_is_none_counts_as_an_application_and_a_failure_has_words),
		cmocka_unit_test(a_search_says_where_it_could_not_look),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
