#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "model/mem.h"
#include "model/state.h"
#include "model/step.h"
#include "model/transaction.h"
#include "model/tree.h"
#include "small_fields.h"
#include "small_steps.h"

static struct mf_step_registry *registry; /* with all fields */

static struct mf_state *new_state(const struct mf_step_registry *with)
{
	struct mf_state *state;
	struct mf_error error = {0};
	if (mf_state_new_with_fields(with, 100, &state, &error) != MF_OK)
		fail_msg("%s", error.message);
	return state;
}

static struct mf_state *insert(struct mf_state *state, const char *id, int64_t lsn)
{
	struct mf_transaction *transaction = small_transaction_new();
	mf_transaction_set_id(transaction, (uint64_t)lsn);
	ADD_INSERT(transaction, "root", 0, id);
	return small_steps_commit(state, transaction, lsn);
}

/* ---- registry ---- */
static void assert_refused(const struct mf_state_field *field, const char *why)
{
	struct mf_step_registry *empty;
	struct mf_error error = {0};
	assert_int_equal(mf_step_registry_new(&empty), MF_OK);
	assert_int_equal(mf_step_registry_add_field(empty, field, &error), MF_ERR_INVALID);
	if (!strstr(error.message, why))
		fail_msg("'%s' does not say '%s'", error.message, why);
	assert_int_equal(mf_step_registry_field_count(empty), 0);
	mf_step_registry_free(empty);
}

static void an_incomplete_field_is_refused(void **unused)
{
	(void)unused;
	static char long_key[257];
	memset(long_key, 'k', 256);
	struct mf_state_field field = small_nodes_field;
	assert_refused(NULL, "0 bytes");
	field.size--;
	assert_refused(&field, "rebuild");
	const char *const keys[] = {NULL, "", long_key, "\xff"};
	for (size_t i = 0; i < 4; i++) {
		field = small_nodes_field;
		field.key = keys[i];
		assert_refused(&field, "key");
	}
	field = small_nodes_field;
	field.oldest_version = 2;
	assert_refused(&field, "oldest_version");
	field = small_nodes_field, field.init = NULL;
	assert_refused(&field, "'init'");
	field = small_nodes_field, field.apply = NULL;
	assert_refused(&field, "'apply'");
	field = small_nodes_field, field.encode = NULL;
	assert_refused(&field, "'encode'");
	field = small_nodes_field, field.decode = NULL;
	assert_refused(&field, "'decode'");
	field = small_nodes_field, field.free = NULL;
	assert_refused(&field, "'free'");
}

static void fields_lie_in_the_order_of_their_keys_and_a_taken_key_is_refused(void **unused)
{
	(void)unused;
	struct mf_step_registry *some;
	struct mf_state_field twin = small_moody_field;
	struct mf_error error = {0};
	assert_int_equal(mf_step_registry_new(&some), MF_OK);
	for (const struct mf_state_field *const *field = small_all_fields; *field; field++)
		assert_int_equal(mf_step_registry_add_field(some, *field, NULL), MF_OK);
	assert_int_equal(mf_step_registry_field_count(some), 3);
	assert_ptr_equal(mf_step_registry_field(some, 0), &small_moody_field);
	assert_ptr_equal(mf_step_registry_field(some, 1), &small_nodes_field);
	assert_ptr_equal(mf_step_registry_field(some, 2), &small_trail_field);
	assert_null(mf_step_registry_field(some, 3));
	assert_int_equal(mf_step_registry_add_field(some, &twin, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "test_moody"));
	mf_step_registry_remove_field(some, &twin); /* not in it */
	mf_step_registry_remove_field(some, &small_nodes_field);
	assert_int_equal(mf_step_registry_field_count(some), 2);
	assert_ptr_equal(mf_step_registry_field(some, 1), &small_trail_field);
	mf_step_registry_freeze(some);
	assert_int_equal(mf_step_registry_add_field(some, &small_nodes_field, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "frozen"));
	mf_step_registry_remove_field(some, &small_trail_field);
	assert_int_equal(mf_step_registry_field_count(some), 2);
	mf_step_registry_free(some);
}

/* ---- values ---- */
static void a_field_begins_with_the_document_and_goes_from_event_to_event(void **unused)
{
	(void)unused;
	struct mf_state *state = new_state(registry);
	assert_int_equal(small_field_number(state, "test_nodes"), 1);
	assert_int_equal(small_field_number(state, "test_moody"), 0);
	state = insert(insert(state, "a", 1), "b", 2);
	assert_int_equal(small_field_number(state, "test_nodes"), 3);
	assert_int_equal(small_field_number(state, "test_moody"), 2);
	mf_state_unref(state);
	assert_int_equal(small_fields_alive(), 0);
}

static void undo_and_redo_are_events_too(void **unused)
{
	(void)unused;
	struct mf_state *state = insert(insert(new_state(registry), "a", 1), "b", 2);
	state = small_undo(state, 3);
	assert_int_equal(small_field_number(state, "test_nodes"), 2);
	assert_int_equal(small_field_number(state, "test_moody"), 3);
	state = small_redo(state, 4);
	assert_int_equal(small_field_number(state, "test_nodes"), 3);
	assert_int_equal(small_field_number(state, "test_moody"), 4);
	mf_state_unref(state);
	assert_int_equal(small_fields_alive(), 0);
}

static void the_old_state_keeps_its_values_and_unchanged_ones_are_shared(void **unused)
{
	(void)unused;
	struct mf_state *old = insert(new_state(registry), "a", 1), *next = small_set_number(mf_state_ref(old), 5, 2);
	assert_ptr_equal(mf_state_field_value(old, "test_nodes"), mf_state_field_value(next, "test_nodes"));
	assert_int_equal(small_field_number(old, "test_moody"), 1);
	assert_int_equal(small_field_number(next, "test_moody"), 2);
	mf_state_unref(old);
	assert_int_equal(small_field_number(next, "test_nodes"), 2);
	mf_state_unref(next);
	assert_int_equal(small_fields_alive(), 0);
}

static void a_state_has_only_the_fields_of_its_registry(void **unused)
{
	(void)unused;
	struct mf_digest digest;
	struct mf_error error = {0};
	struct mf_state *state = new_state(small_registry);
	assert_null(mf_state_field_value(state, "test_nodes"));
	assert_int_equal(mf_state_field_digest(state, "test_nodes", &digest, &error), MF_ERR_NOT_FOUND);
	assert_non_null(strstr(error.message, "test_nodes"));
	state = insert(state, "a", 1);
	assert_null(mf_state_field_value(state, "test_nodes"));
	mf_state_unref(state);
}

static void the_digest_of_a_field_is_that_of_its_encoding(void **unused)
{
	(void)unused;
	static const unsigned char expected[] = {0x7f, 0xd5, 0xa2, 0xc1}; /* xxh128sum of 02 00 00 00 00 00 00 00 */
	struct mf_state *state = insert(new_state(registry), "a", 1), *other = insert(new_state(registry), "b", 7);
	struct mf_digest digest, before = small_steps_digest(state);
	assert_int_equal(mf_state_field_digest(state, "test_nodes", &digest, NULL), MF_OK);
	assert_memory_equal(digest.bytes, expected, sizeof(expected));
	const struct mf_state_field *const nodes[] = {&small_nodes_field, NULL};
	small_assert_same_fields(state, other, nodes); /* whatever way led there */
	struct mf_state *plain = insert(new_state(small_registry), "a", 1);
	small_assert_digest(plain, &before); /* the document's does not cover it */
	mf_state_unref(plain);
	mf_state_unref(state);
	mf_state_unref(other);
}

/* Commits onto a state of its own, and lets go of the shared one. */
static void *commit_some(void *shared)
{
	struct mf_state *state = shared;
	for (int64_t lsn = 2; lsn < 200; lsn++)
		state = lsn % 3 ? small_set_number(state, (int)lsn, lsn) : small_undo(state, lsn);
	mf_state_unref(state);
	return NULL;
}

static void threads_share_values_and_the_last_one_frees_them(void **unused)
{
	(void)unused;
	pthread_t threads[8];
	struct mf_state *state = insert(new_state(registry), "a", 1);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, commit_some, mf_state_ref(state)), 0);
	mf_state_unref(state);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(small_fields_alive(), 0);
}

/* ---- what a plugin may do wrong ---- */
static void assert_apply_fails(enum mf_status expected, const char *message)
{
	struct mf_state *state = new_state(registry), *next = NULL;
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_error error = {0};
	int alive = small_fields_alive();
	ADD_SET(transaction, "root", "n", 5);
	small_moods.apply = expected == MF_ERR_PLUGIN ? small_moods.apply : (int)expected;
	assert_int_equal(mf_state_apply(state, transaction, &next, &error), expected);
	assert_string_equal(error.message, message);
	assert_int_equal(mf_state_apply(state, transaction, &next, NULL), expected);
	assert_null(next);
	assert_int_equal(small_fields_alive(), alive);
	assert_int_equal(mf_state_undo_depth(state), 0);
	memset(&small_moods, 0, sizeof(small_moods));
	assert_int_equal(mf_state_apply(state, transaction, &next, NULL), MF_OK); /* the next one can be tried */
	mf_transaction_free(transaction);
	mf_state_unref(next);
	mf_state_unref(state);
	assert_int_equal(small_fields_alive(), 0);
}

static void a_field_that_refuses_an_event_refuses_the_transaction(void **unused)
{
	(void)unused;
	assert_apply_fails(MF_ERR_STATE, "state field 'test_moody': MF_ERR_STATE");
	small_moods.message = "not today";
	assert_apply_fails(MF_ERR_INVALID, "state field 'test_moody': not today");
}

static void f19_a_field_that_breaks_its_rules_is_a_plugin_error(void **unused)
{
	(void)unused;
	struct mf_state *state = NULL;
	struct mf_error error = {0};
	struct mf_step_registry *moody = small_fields_registry((const struct mf_state_field *const[]){&small_moody_field, NULL});
	small_moods.init = 4711;
	assert_int_equal(mf_state_new_with_fields(moody, 10, &state, &error), MF_ERR_PLUGIN);
	assert_string_equal(error.message, "state field 'test_moody': its init returned 4711, which is no status");
	small_moods.init = MF_ERR_INVALID;
	assert_int_equal(mf_state_new_with_fields(moody, 10, &state, &error), MF_ERR_INVALID);
	small_moods = (struct small_moods){.no_value = true};
	assert_int_equal(mf_state_new_with_fields(moody, 10, &state, &error), MF_ERR_PLUGIN);
	assert_string_equal(error.message, "state field 'test_moody': its init gave no value");
	assert_null(state);
	small_moods = (struct small_moods){0};
	state = new_state(moody);
	small_moods.encode = MF_ERR_IO;
	struct mf_digest digest;
	assert_int_equal(mf_state_field_digest(state, "test_moody", &digest, &error), MF_ERR_IO);
	assert_string_equal(error.message, "state field 'test_moody': MF_ERR_IO");
	mf_state_unref(state);
	mf_step_registry_free(moody);
	small_moods = (struct small_moods){.apply = -3};
	assert_apply_fails(MF_ERR_PLUGIN, "state field 'test_moody': its apply returned -3, which is no status");
	assert_int_equal(small_fields_alive(), 0);
}

static void an_apply_that_gives_no_value_is_a_plugin_error(void **unused)
{
	(void)unused;
	struct mf_state *state = new_state(registry), *next = NULL;
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_error error = {0};
	ADD_SET(transaction, "root", "n", 5);
	small_moods.no_value = true;
	assert_int_equal(mf_state_apply(state, transaction, &next, &error), MF_ERR_PLUGIN);
	assert_string_equal(error.message, "state field 'test_moody': its apply gave no value");
	small_moods.no_value = false;
	mf_transaction_free(transaction);
	mf_state_unref(state);
}

/* ---- replay ---- */
#define EVENTS 60

struct event {
	struct mf_transaction *transaction;
	int64_t lsn;
};

/* A state, and the events that led there. */
static struct mf_state *live(struct event *events, struct mf_state *state)
{
	for (int i = 0; i < EVENTS; i++) {
		struct mf_transaction *transaction = NULL;
		struct mf_state *next;
		char name[16];
		snprintf(name, sizeof(name), "n%d", i);
		if (i % 7 == 5)
			assert_int_equal(mf_state_make_undo(state, &transaction, NULL), MF_OK);
		else if (i % 7 == 6)
			assert_int_equal(mf_state_make_redo(state, &transaction, NULL), MF_OK);
		else
			transaction = small_transaction_new();
		if (i % 7 < 5 && i % 3 == 0)
			ADD_SET(transaction, "root", "n", i);
		else if (i % 7 < 5)
			ADD_INSERT(transaction, "root", 0, name);
		mf_transaction_set_id(transaction, (uint64_t)i + 1);
		assert_int_equal(mf_transaction_set_actor(transaction, i % 2 ? "ann" : NULL, NULL), MF_OK);
		events[i] = (struct event){.transaction = transaction, .lsn = 2 * i + 1};
		assert_int_equal(mf_state_apply(state, transaction, &next, NULL), MF_OK);
		mf_state_set_lsn(next, events[i].lsn);
		mf_state_unref(state);
		state = next;
	}
	return state;
}

static struct mf_state *replay(const struct event *events, struct mf_state *from, int page)
{
	for (int i = 0; i < EVENTS; i += page) {
		struct mf_replayer *replayer;
		assert_int_equal(mf_replayer_new(from, &replayer), MF_OK);
		for (int j = i; j < i + page && j < EVENTS; j++)
			assert_int_equal(mf_replayer_apply(replayer, events[j].transaction, events[j].lsn, NULL), MF_OK);
		mf_state_unref(from);
		from = mf_replayer_finish(replayer);
	}
	return from;
}

static void a_replay_gives_the_values_of_the_live_run_whatever_its_pages(void **unused)
{
	(void)unused;
	static const int pages[] = {1, 7, EVENTS};
	struct event events[EVENTS];
	struct mf_state *state = live(events, new_state(registry));
	struct mf_digest digest = small_steps_digest(state);
	assert_int_equal(small_field_number(state, "test_moody"), EVENTS);
	for (int i = 0; i < 3; i++) {
		struct mf_state *again = replay(events, new_state(registry), pages[i]);
		small_assert_digest(again, &digest);
		small_assert_same_fields(again, state, small_all_fields);
		assert_int_equal(mf_state_undo_depth(again), mf_state_undo_depth(state));
		mf_state_unref(again);
	}
	for (int i = 0; i < EVENTS; i++)
		mf_transaction_free(events[i].transaction);
	mf_state_unref(state);
	assert_int_equal(small_fields_alive(), 0);
}

static void a_replay_that_a_field_refuses_is_a_plugin_error_and_changes_nothing(void **unused)
{
	(void)unused;
	struct event events[EVENTS];
	struct mf_state *state = live(events, new_state(registry)), *from = new_state(registry);
	struct mf_replayer *replayer;
	struct mf_error error = {0};
	small_moods.refuse_from = 2;
	assert_int_equal(mf_replayer_new(from, &replayer), MF_OK);
	assert_int_equal(mf_replayer_apply(replayer, events[0].transaction, 1, &error), MF_OK);
	assert_int_equal(mf_replayer_apply(replayer, events[1].transaction, 3, &error), MF_ERR_PLUGIN);
	assert_int_equal(error.status, MF_ERR_PLUGIN);
	assert_string_equal(error.message, "state field 'test_moody': no more than 1 events");
	mf_replayer_free(replayer);
	small_moods.refuse_from = 0;
	assert_int_equal(small_field_number(from, "test_moody"), 0);
	for (int i = 0; i < EVENTS; i++)
		mf_transaction_free(events[i].transaction);
	mf_state_unref(from);
	mf_state_unref(state);
	assert_int_equal(small_fields_alive(), 0);
}

/* ---- out of memory ---- */
static enum mf_status walk(const struct mf_transaction *transaction)
{
	struct mf_state *state = NULL, *next = NULL, *again = NULL;
	struct mf_digest digest;
	enum mf_status status = mf_state_new_with_fields(registry, 10, &state, NULL);
	if (status == MF_OK)
		status = mf_state_apply(state, transaction, &next, NULL);
	if (status == MF_OK)
		status = small_replay(state, transaction, 1, &again);
	if (status == MF_OK)
		status = mf_state_field_digest(again, "test_trail", &digest, NULL);
	mf_state_unref(state);
	mf_state_unref(next);
	mf_state_unref(again);
	return status;
}

static void every_failed_allocation_is_reported_and_leaves_nothing(void **unused)
{
	(void)unused;
	struct mf_transaction *transaction = small_transaction_new();
	ADD_INSERT(transaction, "root", 0, "a");
	for (int forever = 0; forever < 2; forever++) {
		uint64_t n = 0, reached;
		do {
			mf_tree_trim();
			mf_mem_fail_at(++n, forever);
			enum mf_status status = walk(transaction);
			reached = mf_mem_count();
			mf_mem_fail_at(0, false);
			assert_int_equal(small_fields_alive(), 0);
			/* a shrink that fails is no failure, so MF_OK does not end the loop; a replay calls every refusal the plugin's but this one */
			assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && reached >= n));
		} while (reached >= n);
		assert_true(n > 20);
	}
	mf_transaction_free(transaction);
	struct mf_step_registry *some;
	assert_int_equal(mf_step_registry_new(&some), MF_OK);
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_step_registry_add_field(some, &small_nodes_field, NULL), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	assert_int_equal(mf_step_registry_field_count(some), 0);
	mf_step_registry_free(some);
}

static void a_registry_without_fields_costs_no_allocation(void **unused)
{
	(void)unused;
	struct mf_state *plain = small_state_new(10), *bare = new_state(small_registry), *next;
	struct mf_transaction *transaction = small_transaction_new();
	ADD_SET(transaction, "root", "n", 5);
	uint64_t counts[2];
	for (int i = 0; i < 2; i++) {
		mf_tree_trim();
		mf_mem_fail_at(0, false);
		assert_int_equal(mf_state_apply(i ? bare : plain, transaction, &next, NULL), MF_OK);
		counts[i] = mf_mem_count();
		mf_state_unref(next);
	}
	assert_int_equal(counts[0], counts[1]);
	mf_transaction_free(transaction);
	mf_state_unref(plain);
	mf_state_unref(bare);
}

static int setup(void **state)
{
	registry = small_fields_registry(small_all_fields);
	return small_make_registry(state);
}

static int teardown(void **state)
{
	mf_step_registry_free(registry);
	return small_free_registry(state);
}

static void an_event_that_changes_no_field_shares_all_of_them(void **unused)
{
	(void)unused;
	static const struct mf_state_field *const nodes[] = {&small_nodes_field, NULL};
	struct mf_step_registry *only_nodes = small_fields_registry(nodes);
	struct mf_state *old = insert(new_state(only_nodes), "a", 1), *next = small_set_number(mf_state_ref(old), 5, 2);
	assert_ptr_equal(next->fields, old->fields);
	struct mf_state *more = insert(mf_state_ref(next), "b", 3);
	assert_ptr_not_equal(more->fields, old->fields);
	mf_state_unref(more);
	mf_state_unref(next);
	mf_state_unref(old);
	mf_step_registry_free(only_nodes);
	assert_int_equal(small_fields_alive(), 0);
}

static void as_many_fields_as_there_are_fit(void **unused)
{
	(void)unused;
	static char keys[20][16];
	static struct mf_state_field fields[20];
	const struct mf_state_field *list[21] = {NULL};
	for (int i = 0; i < 20; i++) {
		fields[i] = small_nodes_field;
		snprintf(keys[i], sizeof(keys[i]), "nodes_%d", i);
		fields[i].key = keys[i];
		list[i] = &fields[i];
	}
	struct mf_step_registry *many = small_fields_registry(list);
	struct mf_state *state = insert(new_state(many), "a", 1);
	for (int i = 0; i < 20; i++)
		assert_int_equal(small_field_number(state, keys[i]), 2);
	mf_state_unref(state);
	mf_step_registry_free(many);
}

static void a_field_is_found_by_its_whole_key(void **unused)
{
	(void)unused;
	const char *key = small_nodes_field.key;
	size_t len = strlen(key);
	assert_ptr_equal(mf_step_registry_find_field(registry, key, len), &small_nodes_field);
	assert_null(mf_step_registry_find_field(registry, key, len - 1));
	assert_null(mf_step_registry_find_field(registry, "test_n_des", len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_field_is_found_by_its_whole_key),
		cmocka_unit_test(an_incomplete_field_is_refused),
		cmocka_unit_test(fields_lie_in_the_order_of_their_keys_and_a_taken_key_is_refused),
		cmocka_unit_test(a_field_begins_with_the_document_and_goes_from_event_to_event),
		cmocka_unit_test(undo_and_redo_are_events_too),
		cmocka_unit_test(the_old_state_keeps_its_values_and_unchanged_ones_are_shared),
		cmocka_unit_test(a_state_has_only_the_fields_of_its_registry),
		cmocka_unit_test(the_digest_of_a_field_is_that_of_its_encoding),
		cmocka_unit_test(threads_share_values_and_the_last_one_frees_them),
		cmocka_unit_test(a_field_that_refuses_an_event_refuses_the_transaction),
		cmocka_unit_test(f19_a_field_that_breaks_its_rules_is_a_plugin_error),
		cmocka_unit_test(an_apply_that_gives_no_value_is_a_plugin_error),
		cmocka_unit_test(a_replay_gives_the_values_of_the_live_run_whatever_its_pages),
		cmocka_unit_test(a_replay_that_a_field_refuses_is_a_plugin_error_and_changes_nothing),
		cmocka_unit_test(every_failed_allocation_is_reported_and_leaves_nothing),
		cmocka_unit_test(a_registry_without_fields_costs_no_allocation),
		cmocka_unit_test(an_event_that_changes_no_field_shares_all_of_them),
		cmocka_unit_test(as_many_fields_as_there_are_fit),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
