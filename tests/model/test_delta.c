/* Differences of two states, and states put together from them. Random ones: tests/stepfactories/test_property.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "model/delta.h"
#include "model/mem.h"
#include "model/pack_stack.h"
#include "model/splice.h"
#include "model/transaction.h"
#include "model/tree.h"
#include "small_steps.h"

#define LIMIT 10

static struct mf_buffer difference(const struct mf_state *base, const struct mf_state *state)
{
	struct mf_buffer buffer = {0};
	bool fits = false;
	assert_int_equal(mf_pack_delta(&buffer, base, state, 1u << 30, &fits), MF_OK);
	assert_true(fits);
	return buffer;
}

static enum mf_status patched(const struct mf_state *base, const struct mf_buffer *delta, struct mf_state_reading *how, struct mf_state **out, struct mf_error *error)
{
	struct mf_patch *patch;
	struct mf_unpack in = {.at = delta->bytes, .end = delta->bytes + delta->len};
	enum mf_status status = mf_patch_new(base, how, &patch);
	if (status != MF_OK)
		return status;
	status = mf_patch_add(patch, &in, error);
	if (status == MF_OK && in.at != in.end)
		status = MF_ERR_CORRUPTED;
	if (status == MF_OK)
		status = mf_patch_finish(patch, out, error);
	mf_patch_free(patch);
	return status;
}

static enum mf_status apply(const struct mf_state *base, const struct mf_buffer *delta, struct mf_state **out, struct mf_error *error)
{
	struct mf_state_reading how = {.registry = small_registry, .history_limit = LIMIT};
	return patched(base, delta, &how, out, error);
}

/* As a snapshot does: written, forgotten, read. */
static struct mf_state *reread(const struct mf_state *state)
{
	struct mf_buffer buffer = {0};
	struct mf_state *back;
	assert_int_equal(mf_pack_state(&buffer, state), MF_OK);
	struct mf_unpack in = {.at = buffer.bytes, .end = buffer.bytes + buffer.len};
	assert_int_equal(mf_unpack_state(&in, small_registry, LIMIT, &back, NULL), MF_OK);
	mf_buffer_deinit(&buffer);
	return back;
}

static void assert_same(const struct mf_state *a, const struct mf_state *b)
{
	struct mf_buffer first = {0}, second = {0};
	assert_int_equal(mf_pack_state(&first, a), MF_OK);
	assert_int_equal(mf_pack_state(&second, b), MF_OK);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.bytes, second.bytes, first.len);
	mf_buffer_deinit(&first);
	mf_buffer_deinit(&second);
}

/* The difference on a base that was read back makes the state; its length. */
static size_t check(const struct mf_state *base, const struct mf_state *state)
{
	struct mf_buffer delta = difference(base, state);
	struct mf_state *read = reread(base), *made;
	struct mf_error error = {0};
	if (apply(read, &delta, &made, &error) != MF_OK)
		fail_msg("%s", error.message);
	assert_same(made, state);
	size_t len = delta.len;
	mf_state_unref(made);
	mf_state_unref(read);
	mf_buffer_deinit(&delta);
	return len;
}

/* A root with so many children, "c0" and on, each with one of its own; LSN 1. */
static struct mf_state *wide_state(int children)
{
	struct mf_transaction *transaction = small_transaction_new();
	for (int i = 0; i < children; i++)
		small_steps_add(transaction, small_registry, "test_insert",
				"{\"parent\":\"root\",\"node\":{\"id\":\"c%d\",\"type\":\"item\",\"children\":[{\"id\":\"g%d\",\"type\":\"item\",\"attrs\":{\"k\":%d}}]}}", i, i, i);
	struct mf_state *state = small_steps_commit(small_state_new(LIMIT), transaction, 1);
	return state;
}

static void add(struct mf_transaction *transaction, const char *type, const char *json)
{
	small_steps_add(transaction, small_registry, type, "%s", json);
}

static struct mf_state *after(const struct mf_state *state, const char *type, const char *json)
{
	struct mf_transaction *transaction = small_transaction_new();
	add(transaction, type, json);
	return small_steps_commit(mf_state_ref(state), transaction, mf_state_lsn(state) + 1);
}

static void a_difference_is_as_large_as_the_change_not_as_the_document(void **unused)
{
	(void)unused;
	size_t small[4], large[4];
	for (int n = 0; n < 2; n++) {
		struct mf_state *base = wide_state(n ? 5000 : 50), *state;
		size_t *len = n ? large : small;
		state = after(base, "test_set", "{\"id\":\"c7\",\"key\":\"a\",\"value\":1}");
		len[0] = check(base, state);
		mf_state_unref(state);
		state = after(base, "test_insert", "{\"parent\":\"root\",\"index\":30,\"node\":{\"id\":\"new\",\"type\":\"item\"}}");
		len[1] = check(base, state);
		mf_state_unref(state);
		state = after(base, "test_remove", "{\"id\":\"c20\"}");
		len[2] = check(base, state);
		mf_state_unref(state);
		state = after(base, "test_insert", "{\"parent\":\"g40\",\"node\":{\"id\":\"deep\",\"type\":\"item\"}}");
		len[3] = check(base, state);
		mf_state_unref(state);
		mf_state_unref(base);
	}
	for (int i = 0; i < 4; i++) {
		assert_true(small[i] < 200);
		assert_true(large[i] <= small[i] + 16);
	}
}

/* LSN 1: a node with this text, and another attribute. */
static struct mf_state *text_state(const char *text)
{
	struct mf_transaction *transaction = small_transaction_new();
	small_steps_add(transaction, small_registry, "test_insert", "{\"parent\":\"root\",\"node\":{\"id\":\"t\",\"type\":\"item\",\"attrs\":{\"a\":1,\"text\":\"%s\",\"z\":true}}}", text);
	return small_steps_commit(small_state_new(LIMIT), transaction, 1);
}

static size_t check_text(const struct mf_state *base, const char *text)
{
	struct mf_transaction *transaction = small_transaction_new();
	small_steps_add(transaction, small_registry, "test_insert", "{\"parent\":\"root\",\"node\":{\"id\":\"other\",\"type\":\"item\"}}");
	small_steps_add(transaction, small_registry, "test_set", "{\"id\":\"t\",\"key\":\"text\",\"value\":\"%s\"}", text);
	struct mf_state *state = small_steps_commit(mf_state_ref(base), transaction, 2);
	size_t len = check(base, state);
	mf_state_unref(state);
	return len;
}

static void a_long_text_is_told_by_what_was_typed(void **unused)
{
	(void)unused;
	enum { LEN = 200 };
	static char old[3 * LEN + 1], now[6 * LEN + 200];
	for (size_t i = 0; i < LEN; i++)
		memcpy(old + 3 * i, "\u20ac", 3); /* three bytes each */
	struct mf_state *base = text_state(old), *state;
	size_t undo = 3 * LEN; /* the inverse holds the old text as it is */
	for (size_t at = 0; at <= LEN; at += LEN / 2) {
		snprintf(now, sizeof(now), "%.*styped \xe2\x82\xad%s", (int)(3 * at), old, old + 3 * at); /* a euro and a kip begin alike */
		assert_true(check_text(base, now) < undo + 300);
	}
	snprintf(now, sizeof(now), "%.*s%s", 3 * 50, old, old + 3 * 100);
	assert_true(check_text(base, now) < undo + 300);
	assert_true(check_text(base, "") < undo + 300);
	assert_true(check_text(base, "quite another, and not a short one at all: it is told as it is") < undo + 300);
	state = after(base, "test_set", "{\"id\":\"t\",\"key\":\"a\",\"value\":2}"); /* the text is as it was */
	assert_true(check(base, state) < 300);
	mf_state_unref(state);
	state = after(base, "test_set", "{\"id\":\"t\",\"key\":\"text\",\"value\":7}");
	check(base, state);
	mf_state_unref(state);
	mf_state_unref(base);
}

static void a_node_that_goes_and_comes_back_is_told_whole(void **unused)
{
	(void)unused;
	struct mf_state *base = wide_state(20), *gone = after(base, "test_remove", "{\"id\":\"c3\"}");
	struct mf_state *back = after(gone, "test_insert", "{\"parent\":\"c4\",\"node\":{\"id\":\"c3\",\"type\":\"other\"}}");
	check(base, back);
	check(gone, back);
	check(base, gone);
	mf_state_unref(back);
	mf_state_unref(gone);
	mf_state_unref(base);
}

/* Between the same two it gets the same label. Where ids share hashes (meson.build) one in 32 has that of the other, too. */
static void a_node_in_the_place_of_another_is_told_whole(void **unused)
{
	(void)unused;
	struct mf_state *base = wide_state(20), *gone = after(base, "test_remove", "{\"id\":\"c3\"}");
	for (int i = 0; i < 200; i++) {
		char json[120];
		snprintf(json, sizeof(json), "{\"parent\":\"root\",\"index\":3,\"node\":{\"id\":\"n%d\",\"type\":\"item\"}}", i);
		struct mf_state *state = after(gone, "test_insert", json);
		check(base, state);
		mf_state_unref(state);
	}
	mf_state_unref(gone);
	mf_state_unref(base);
}

static void stacks_are_told_by_what_was_popped_and_pushed(void **unused)
{
	(void)unused;
	struct mf_state *base = small_state_new(LIMIT), *state;
	int64_t lsn = 0;
	for (int i = 1; i <= 2 * LIMIT + 3; i++)
		base = small_set_number(base, i, ++lsn);
	size_t one = check(base, state = small_set_number(mf_state_ref(base), 99, lsn + 1));
	assert_true(one < 120); /* LIMIT entries would be more */
	for (int i = 0; i < 4; i++) {
		state = small_undo(state, mf_state_lsn(state) + 1);
		check(base, state);
	}
	for (int i = 0; i < 2; i++) {
		state = small_redo(state, mf_state_lsn(state) + 1);
		check(base, state);
	}
	mf_state_unref(base);
	base = mf_state_ref(state);
	state = small_set_number(state, 5, mf_state_lsn(state) + 1); /* the redo stack goes */
	check(base, state);
	while (mf_state_undo_depth(state) > 0)
		state = small_undo(state, mf_state_lsn(state) + 1);
	check(base, state);
	for (int i = 0; i < 3 * LIMIT; i++)
		state = small_set_number(state, i, mf_state_lsn(state) + 1);
	check(base, state);
	mf_state_unref(state);
	mf_state_unref(base);
}

static void a_difference_longer_than_wanted_is_given_up(void **unused)
{
	(void)unused;
	struct mf_state *base = small_set_number(small_state_new(LIMIT), 1, 1);
	struct mf_transaction *transaction = small_transaction_new();
	for (int i = 0; i < 200; i++)
		small_steps_add(transaction, small_registry, "test_insert", "{\"parent\":\"root\",\"node\":{\"id\":\"c%d\",\"type\":\"item\"}}", i);
	struct mf_state *state = small_steps_commit(mf_state_ref(base), transaction, 2);
	struct mf_buffer buffer = {0};
	bool fits = true;
	assert_int_equal(mf_pack_delta(&buffer, base, state, 500, &fits), MF_OK);
	assert_false(fits);
	assert_true(buffer.len < 1700); /* 500, and the node that was at work: maybe the root with its 200 children */
	mf_state_unref(state);
	state = mf_state_ref(base);
	for (int i = 2; i <= LIMIT; i++)
		state = small_set_number(state, i, i);
	buffer.len = 0;
	assert_int_equal(mf_pack_delta(&buffer, base, state, 100, &fits), MF_OK); /* the document's part fits, the history's does not */
	assert_false(fits);
	assert_in_range(buffer.len, 100, 200);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
	mf_state_unref(base);
}

static void states_that_do_not_follow_have_no_difference(void **unused)
{
	(void)unused;
	struct mf_state *base = small_set_number(small_state_new(LIMIT), 1, 1), *state = small_set_number(mf_state_ref(base), 2, 2);
	struct mf_buffer buffer = {0};
	bool fits;
	assert_int_equal(mf_pack_delta(&buffer, state, base, 1000, &fits), MF_ERR_STATE);
	assert_int_equal(mf_pack_delta(&buffer, base, base, 1000, &fits), MF_ERR_STATE);
	struct mf_state *next;
	struct mf_transaction *transaction = small_transaction_new();
	ADD_SET(transaction, "root", "n", 3);
	assert_int_equal(mf_state_apply(state, transaction, &next, NULL), MF_OK);
	assert_int_equal(mf_pack_delta(&buffer, next, state, 1000, &fits), MF_ERR_STATE); /* not committed */
	mf_state_unref(next);
	mf_transaction_free(transaction);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
	mf_state_unref(base);
}

static void a_difference_fits_its_base_only(void **unused)
{
	(void)unused;
	struct mf_state *base = wide_state(10), *state = after(base, "test_remove", "{\"id\":\"c3\"}"), *later = after(state, "test_remove", "{\"id\":\"c4\"}"), *made;
	struct mf_buffer delta = difference(state, later);
	struct mf_error error = {0};
	assert_int_equal(apply(base, &delta, &made, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "head"));
	mf_buffer_deinit(&delta);
	mf_state_unref(later);
	mf_state_unref(state);
	mf_state_unref(base);
}

/* ---- entries that cannot be read ---- */

/* All types of the small ones, test_remove in a version of its own. */
static struct mf_step_registry *with_newer_remove(void)
{
	static struct mf_step_type newer;
	struct mf_step_registry *registry;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	for (size_t i = 0; i < mf_step_registry_count(small_registry); i++) {
		const struct mf_step_type *type = mf_step_registry_item(small_registry, i);
		if (strcmp(type->type_id, "test_remove") == 0) {
			newer = *type;
			newer.version++;
			type = &newer;
		}
		assert_int_equal(mf_step_registry_add(registry, type, NULL), MF_OK);
	}
	return registry;
}

static void p13_the_history_limit_cuts_the_result_and_not_what_leads_there(void **unused)
{
	(void)unused;
	struct mf_state *base = small_state_new(LIMIT), *made = NULL;
	for (int i = 1; i <= 8; i++)
		base = small_set_number(base, i, i);
	struct mf_state *state = mf_state_ref(base);
	for (int64_t lsn = 9; lsn <= 13; lsn++)
		state = small_undo(state, lsn);
	struct mf_buffer delta = difference(base, state);
	struct mf_state_reading low = {.registry = small_registry, .history_limit = 2};
	struct mf_error error = {0};
	if (patched(base, &delta, &low, &made, &error) != MF_OK)
		fail_msg("%s", error.message);
	assert_int_equal(mf_state_undo_depth(made), 2);
	assert_int_equal(mf_state_redo_depth(made), 2);
	assert_int_equal(low.dropped, 0);
	made = small_undo(small_undo(made, 14), 15);
	assert_int_equal(small_number_in(made), 1);
	assert_int_equal(mf_state_undo_depth(made), 0);
	mf_state_unref(made);
	low.history_limit = 0;
	assert_int_equal(patched(base, &delta, &low, &made, &error), MF_OK);
	assert_int_equal(mf_state_undo_depth(made) + mf_state_redo_depth(made), 0);
	mf_state_unref(made);
	mf_buffer_deinit(&delta);
	mf_state_unref(state);
	mf_state_unref(base);
}

static void p5_the_stacks_end_above_what_cannot_be_read(void **unused)
{
	(void)unused;
	struct mf_state *base = small_set_number(small_state_new(LIMIT), 1, 1), *made = NULL;
	struct mf_state *state = after(base, "test_insert", "{\"parent\":\"root\",\"node\":{\"id\":\"a\",\"type\":\"item\"}}"); /* its inverse: test_remove */
	state = small_set_number(small_set_number(state, 2, 3), 3, 4);
	struct mf_buffer delta = difference(base, state), whole = {0};
	struct mf_digest digest = small_steps_digest(state);
	struct mf_step_registry *registry = with_newer_remove();
	struct mf_state_reading strict = {.registry = registry, .history_limit = LIMIT}, lenient = {.registry = registry, .history_limit = LIMIT, .drop_changed = true};
	struct mf_error error = {0};
	assert_int_equal(patched(base, &delta, &strict, &made, &error), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "test_remove"));
	assert_int_equal(patched(base, &delta, &lenient, &made, &error), MF_OK);
	small_assert_digest(made, &digest);
	assert_int_equal(mf_state_undo_depth(made), 2);
	assert_int_equal(lenient.dropped, 2);
	mf_state_unref(made);

	assert_int_equal(mf_pack_state(&whole, state), MF_OK);
	struct mf_unpack in = {.at = whole.bytes, .end = whole.bytes + whole.len};
	lenient.dropped = 0;
	assert_int_equal(mf_unpack_state_with(&in, &lenient, &made, &error), MF_OK);
	small_assert_digest(made, &digest);
	assert_int_equal(mf_state_undo_depth(made), 2);
	assert_int_equal(lenient.dropped, 2);
	made = small_undo(small_undo(made, 5), 6);
	assert_int_equal(small_number_in(made), 1);
	mf_state_unref(made);
	mf_buffer_deinit(&whole);
	mf_buffer_deinit(&delta);
	mf_step_registry_free(registry);
	mf_state_unref(state);
	mf_state_unref(base);
}

static void a_missing_step_type_is_never_passed_over(void **unused)
{
	(void)unused;
	struct mf_state *base = small_set_number(small_state_new(LIMIT), 1, 1), *state = small_set_number(mf_state_ref(base), 2, 2), *made = NULL;
	struct mf_buffer delta = difference(base, state);
	struct mf_step_registry *registry;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	struct mf_state_reading lenient = {.registry = registry, .history_limit = LIMIT, .drop_changed = true};
	assert_int_equal(patched(base, &delta, &lenient, &made, NULL), MF_ERR_UNKNOWN_STEP);
	mf_buffer_deinit(&delta);
	mf_step_registry_free(registry);
	struct mf_state_reading bare = {.registry = NULL, .history_limit = LIMIT}; /* the document alone */
	struct mf_digest digest = small_steps_digest(state);
	delta = difference(base, state);
	assert_int_equal(patched(base, &delta, &bare, &made, NULL), MF_OK);
	small_assert_digest(made, &digest);
	assert_int_equal(bare.dropped, 0);
	mf_state_unref(made);
	delta.len--; /* an entry that ends within is seen all the same */
	assert_int_equal(patched(base, &delta, &bare, &made, NULL), MF_ERR_CORRUPTED);
	delta.len++;
	mf_buffer_deinit(&delta);
	mf_state_unref(state);
	mf_state_unref(base);
}

static enum mf_status decode_to_nothing(const struct mf_step_type *type, const void *bytes, size_t len, struct mf_step **out, struct mf_error *error)
{
	(void)type, (void)bytes, (void)len, (void)error;
	*out = NULL;
	return MF_OK;
}

static void f19_a_decode_that_makes_no_step_is_seen(void **unused)
{
	(void)unused;
	static struct mf_step_type lazy;
	struct mf_state *base = small_set_number(small_state_new(LIMIT), 1, 1), *state = small_set_number(mf_state_ref(base), 2, 2), *made = NULL;
	struct mf_buffer delta = difference(base, state);
	struct mf_step_registry *registry;
	lazy = *small_steps_set();
	lazy.decode = decode_to_nothing;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	assert_int_equal(mf_step_registry_add(registry, &lazy, NULL), MF_OK);
	struct mf_state_reading how = {.registry = registry, .history_limit = LIMIT};
	assert_int_equal(patched(base, &delta, &how, &made, NULL), MF_ERR_CORRUPTED);
	assert_null(made);
	mf_buffer_deinit(&delta);
	mf_step_registry_free(registry);
	mf_state_unref(state);
	mf_state_unref(base);
}

static void a_history_of_many_types_is_told(void **unused)
{
	(void)unused;
	enum { TYPES = 40 };
	static struct mf_step_type types[TYPES];
	static char names[TYPES][16];
	static const char json[] = "{\"id\":\"a\",\"key\":\"k\"}";
	struct mf_step_registry *registry;
	struct mf_stack_writer writer = {0};
	struct mf_entry *entry;
	struct mf_buffer out = {0};
	uint32_t count;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	assert_int_equal(mf_entry_new(TYPES, 7, 7, &entry), MF_OK);
	for (int i = 0; i < TYPES; i++) {
		types[i] = *small_steps_set();
		snprintf(names[i], sizeof(names[i]), "type_%d", i);
		types[i].type_id = names[i];
		assert_int_equal(mf_step_registry_add(registry, &types[i], NULL), MF_OK);
		struct mf_value *data;
		assert_int_equal(mf_value_parse_json(json, sizeof(json) - 1, &data, NULL), MF_OK);
		assert_int_equal(mf_step_registry_create(registry, names[i], strlen(names[i]), data, &entry->steps[i], NULL), MF_OK);
		mf_value_unref(data);
	}
	writer.out = &out;
	assert_int_equal(mf_stack_writer_note(&writer, entry), MF_OK);
	assert_int_equal(mf_stack_writer_note(&writer, entry), MF_OK); /* each type once */
	assert_int_equal(mf_stack_writer_types(&writer), MF_OK);
	struct mf_unpack in = {.at = out.bytes, .end = out.bytes + out.len};
	assert_int_equal(mf_unpack_array(&in, &count), MF_OK);
	assert_int_equal(count, TYPES);
	atomic_store(&entry->lsn, MF_LSN_UNKNOWN);
	assert_int_equal(mf_stack_writer_entry(&writer, entry), MF_ERR_STATE); /* an event that is not committed is not told */
	mf_stack_writer_deinit(&writer);
	mf_buffer_deinit(&out);
	mf_entry_unref(entry);
	mf_step_registry_free(registry);
}

/* ---- damage ---- */

static void rich_pair(struct mf_state **out_base, struct mf_state **out_state)
{
	struct mf_state *base = wide_state(6), *text = after(base, "test_set", "{\"id\":\"root\",\"key\":\"text\",\"value\":\"a text that is long enough to be spliced\"}");
	mf_state_unref(base);
	base = small_undo(small_set_number(text, 1, 3), 4);
	struct mf_transaction *transaction = small_transaction_new();
	add(transaction, "test_remove", "{\"id\":\"c2\"}");
	add(transaction, "test_set", "{\"id\":\"c1\",\"key\":\"k\",\"value\":[1,{\"a\":null}]}");
	add(transaction, "test_set", "{\"id\":\"root\",\"key\":\"text\",\"value\":\"a text that is long enough to be spliced, and was\"}");
	add(transaction, "test_insert", "{\"parent\":\"root\",\"index\":1,\"node\":{\"id\":\"n\",\"type\":\"item\",\"marks\":[{\"type\":\"m\"}],\"children\":[{\"id\":\"o\",\"type\":\"item\"}]}}");
	*out_base = base;
	*out_state = small_undo(small_set_number(small_steps_commit(mf_state_ref(base), transaction, 5), 7, 6), 7);
}

static void every_prefix_of_a_difference_is_corrupted(void **unused)
{
	(void)unused;
	struct mf_state *base, *state, *made;
	rich_pair(&base, &state);
	check(base, state);
	struct mf_buffer delta = difference(base, state);
	for (size_t len = 0; len < delta.len; len++) {
		struct mf_buffer cut = {.bytes = mf_memdup(delta.bytes, len ? len : 1), .len = len};
		assert_int_equal(apply(base, &cut, &made, NULL), MF_ERR_CORRUPTED);
		mf_buffer_deinit(&cut);
	}
	mf_buffer_deinit(&delta);
	mf_state_unref(state);
	mf_state_unref(base);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void flipped_bits_give_an_error_or_a_sound_state(void **unused)
{
	(void)unused;
	struct mf_state *base, *state, *made;
	rich_pair(&base, &state);
	struct mf_buffer delta = difference(base, state);
	uint64_t seed = 4711;
	unsigned refused = 0, made_count = 0;
	for (unsigned i = 0; i < 20000; i++) {
		struct mf_buffer copy = {.bytes = mf_memdup(delta.bytes, delta.len), .len = delta.len};
		for (unsigned flips = 1 + i % 3; flips > 0; flips--)
			copy.bytes[next_random(&seed) % copy.len] ^= (unsigned char)(1u << (next_random(&seed) % 8));
		struct mf_error error = {0};
		enum mf_status status = apply(base, &copy, &made, &error);
		if (status == MF_OK) {
			struct mf_state *again = reread(made);
			assert_same(again, made);
			mf_state_unref(again);
			mf_state_unref(made);
			made_count++;
		} else {
			assert_true(status == MF_ERR_CORRUPTED || status == MF_ERR_UNKNOWN_STEP);
			refused++;
		}
		mf_buffer_deinit(&copy);
	}
	assert_true(refused > 1000 && made_count > 1000);
	mf_buffer_deinit(&delta);
	mf_state_unref(state);
	mf_state_unref(base);
}

#define HEAD "\x97\x01\x01\x02\x90"                  /* from LSN 1 to 2, no step types */
#define STACKS "\x93\x00\x01\x90\x93\x00\x00\x90"
#define ITEM "\x94\xa4item\x80\x80\x90"
#define HOSTILE(text) assert_hostile(text, sizeof(text) - 1)

static enum mf_status apply_bytes(const char *text, size_t len)
{
	struct mf_state *base = wide_state(3), *made = NULL;
	struct mf_buffer delta = {.bytes = mf_memdup(text, len), .len = len};
	enum mf_status status = apply(base, &delta, &made, NULL);
	mf_buffer_deinit(&delta);
	mf_state_unref(made);
	mf_state_unref(base);
	return status;
}

static void assert_hostile(const char *text, size_t len)
{
	assert_int_equal(apply_bytes(text, len), MF_ERR_CORRUPTED);
}

/* The base is root with c0, c1, c2 and below them g0, g1, g2: 7 nodes. */
static void differences_that_make_no_tree_are_corrupted(void **unused)
{
	(void)unused;
	static const char good[] = HEAD "\x94\x08\xa1x" ITEM "\x90" STACKS; /* count is wrong: x is in no list */
	HOSTILE(good);
	static const char listed[] = HEAD "\x97\x08\xa1x" ITEM "\x90\xa4root\xc0\x92\x92\x00\x03\xa1x" STACKS;
	assert_int_equal(apply_bytes(listed, sizeof(listed) - 1), MF_OK);
	HOSTILE("\x96\x01\x01\x02\x90\x91\x07" STACKS);                                      /* six items */
	HOSTILE("\x97\x02\x01\x02\x90\x91\x07" STACKS);                                      /* another format */
	HOSTILE("\x97\x01\x01\x01\x90\x91\x07" STACKS);                                      /* leads nowhere */
	HOSTILE("\x97\x01\x00\x02\x90\x91\x07" STACKS);                                      /* another base */
	HOSTILE(HEAD "\x91\x08" STACKS);                                                     /* a node less than promised */
	HOSTILE(HEAD "\x94\x07\xa2""c0\xc0\x91\xa1y" STACKS);                                /* lists what there is not */
	HOSTILE(HEAD "\x94\x07\xa2""g0\xc0\x91\xa2""c0" STACKS);                             /* a circle: c0 over g0 over c0 */
	HOSTILE(HEAD "\x94\x08\xa4root\xc0\x92\x92\x00\x03\xa2""g1" STACKS);                 /* g1 twice */
	HOSTILE(HEAD "\x94\x08\xa4root\xc0\x92\x92\x00\x03\x92\x00\x01" STACKS);             /* a run that goes back */
	HOSTILE(HEAD "\x94\x07\xa4root\xc0\x91\x92\x00\x04" STACKS);                         /* a run that is too long */
	HOSTILE(HEAD "\x94\x08\xa1x" ITEM "\x91\x92\x00\x00" STACKS);                        /* a run of nothing, of a node that was not there */
	HOSTILE(HEAD "\x94\x07\xa4root\xc0\x91\x92\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x01" STACKS);
	HOSTILE(HEAD "\x94\x07\xa4root\xc0\x91\x92\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff" STACKS);
	HOSTILE(HEAD "\x97\x08\xa1x\xc0\x90\xa4root\xc0\x92\x92\x00\x03\xa1x" STACKS);       /* a new node without content */
	HOSTILE(HEAD "\x97\x08\xa1x" ITEM "\xc0\xa4root\xc0\x92\x92\x00\x03\xa1x" STACKS);   /* a new node without a list */
	HOSTILE(HEAD "\x94\x07\xa4root" ITEM "\xc0" STACKS);                                 /* the root is of type doc */
	HOSTILE(HEAD "\x94\x07\xa2""c0\x94\xa0\x80\x80\x90\xc0" STACKS);                         /* a type without a name */
	HOSTILE(HEAD "\x94\x07\xa2""c0\x94\xa4item\x82\xa1k\x01\xa1k\x01\x80\x90\xc0" STACKS);   /* an attribute twice */
	HOSTILE(HEAD "\x94\x07\xa2""c0\x94\xa4item\x80\x81\xa1m\x01\x90\xc0" STACKS);            /* a mark that is a number */
	HOSTILE(HEAD "\x94\x07\xa2""c0\x94\xa4item\x80\x80\x94\xa1k\x00\x00\xa1x\xc0" STACKS); /* a splice of what was not there */
	HOSTILE(HEAD "\x94\x07\xa2""g0\x94\xa4item\x80\x80\x94\xa1k\x00\x00\xa1x\xc0" STACKS); /* ... and of a number */
	HOSTILE(HEAD "\x94\x07\xa2""g0\x94\xa4item\x80\x80\x93\xa1k\x00\x00\xc0" STACKS);
	HOSTILE(HEAD "\x93\x07\xa2""c0\xc0" STACKS);
	HOSTILE(HEAD "\x94\x07\xa4root\xc0\x91\xdc\xff\xff" STACKS);                          /* a run that is longer than what is left */
	HOSTILE(HEAD "\x94\x07\xa4root\xc0\x91\x93\x00\x01\x01" STACKS);                     /* a run of three numbers */
	HOSTILE(HEAD "\x94\x07\xa2""g0\x94\xa4item\x81\xa1k\xa1v\x80\x94\xa1k\x00\x00\xa1x\xc0" STACKS); /* an attribute and a splice of it */
	HOSTILE(HEAD "\xdd\xff\xff\xff\xff\x07" STACKS);
	HOSTILE(HEAD "\x91\x07\x93\x00\x01\xdd\xff\xff\xff\xff");
}

/* ---- out of memory ---- */

static enum mf_status write_and_apply(const struct mf_state *base, const struct mf_state *state)
{
	struct mf_buffer buffer = {0};
	struct mf_state *made = NULL;
	bool fits = false;
	mf_tree_trim();
	enum mf_status status = mf_pack_delta(&buffer, base, state, 1u << 30, &fits);
	if (status == MF_OK)
		status = apply(base, &buffer, &made, NULL);
	mf_buffer_deinit(&buffer);
	mf_state_unref(made);
	return status;
}

static void every_failed_allocation_is_reported_as_such(void **unused)
{
	(void)unused;
	mf_mem_tight(true); /* each piece that is appended may find no room */
	struct mf_state *base, *state;
	rich_pair(&base, &state);
	uint64_t n = 0, reached;
	do {
		mf_mem_fail_at(++n, false);
		enum mf_status status = write_and_apply(base, state);
		reached = mf_mem_count();
		mf_mem_fail_at(0, false);
		/* a shrink that fails is no failure, so MF_OK does not end the loop */
		assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && reached >= n));
	} while (reached >= n);
	assert_true(n > 20);
	mf_state_unref(state);
	mf_state_unref(base);
	mf_mem_tight(false);
	mf_patch_free(NULL);
}

/* Two of these share their first two bytes, two their last: neither is a place to cut. */
static void texts_are_cut_between_characters_only(void **unused)
{
	(void)unused;
	static const char *const starts[] = {"", "\xe2\x82\xac", "\xe2\x82\xad", "\xc3\xa9", "\xc4\xa9", "x"};
	static const char some[] = "some text that is long enough to be told by what has changed in it, and not as a whole";
	char before[300], now[300];
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		for (size_t j = 0; j < sizeof(starts) / sizeof(starts[0]); j++)
			for (int end = 0; end < 3; end++) {
				snprintf(before, sizeof(before), "%s%s%s", end == 1 ? some : "", starts[i], end == 0 ? some : end == 1 ? "" : some);
				snprintf(now, sizeof(now), "%s%s%s%s", end == 1 ? some : "", starts[j], end == 0 ? some : end == 1 ? "" : some, end == 2 ? starts[i] : "");
				struct mf_state *base = text_state(before);
				check_text(base, now);
				mf_state_unref(base);
			}
}

static bool is_spliced(const char *before, const char *after)
{
	struct mf_value *old, *new;
	struct mf_splice splice = {0};
	bool found;
	assert_int_equal(mf_value_new_string(before, strlen(before), &old, NULL), MF_OK);
	assert_int_equal(mf_value_new_string(after, strlen(after), &new, NULL), MF_OK);
	assert_int_equal(mf_splice_find(old, new, &splice, &found), MF_OK);
	mf_free(splice.insert);
	mf_value_unref(old);
	mf_value_unref(new);
	return found;
}

static void short_texts_are_repeated(void **unused)
{
	(void)unused;
	const char *text = "0123456789012345678901234567890123456789", *longer = "0123456789012345678901234567890123456789x";
	assert_true(is_spliced(text, longer));
	assert_true(is_spliced(longer, text));
	assert_false(is_spliced("0123456789", longer)); /* either of them */
	assert_false(is_spliced(longer, "0123456789"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_texts_are_repeated),
		cmocka_unit_test(a_difference_is_as_large_as_the_change_not_as_the_document),
		cmocka_unit_test(a_long_text_is_told_by_what_was_typed),
		cmocka_unit_test(a_node_that_goes_and_comes_back_is_told_whole),
		cmocka_unit_test(a_node_in_the_place_of_another_is_told_whole),
		cmocka_unit_test(stacks_are_told_by_what_was_popped_and_pushed),
		cmocka_unit_test(a_difference_longer_than_wanted_is_given_up),
		cmocka_unit_test(states_that_do_not_follow_have_no_difference),
		cmocka_unit_test(a_difference_fits_its_base_only),
		cmocka_unit_test(p13_the_history_limit_cuts_the_result_and_not_what_leads_there),
		cmocka_unit_test(p5_the_stacks_end_above_what_cannot_be_read),
		cmocka_unit_test(a_missing_step_type_is_never_passed_over),
		cmocka_unit_test(f19_a_decode_that_makes_no_step_is_seen),
		cmocka_unit_test(a_history_of_many_types_is_told),
		cmocka_unit_test(every_prefix_of_a_difference_is_corrupted),
		cmocka_unit_test(flipped_bits_give_an_error_or_a_sound_state),
		cmocka_unit_test(differences_that_make_no_tree_are_corrupted),
		cmocka_unit_test(every_failed_allocation_is_reported_as_such),
		cmocka_unit_test(texts_are_cut_between_characters_only),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
