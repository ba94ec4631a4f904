#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model/mem.h"
#include "model/pack.h"
#include "model/transaction.h"
#include "model/tree.h"
#include "small_steps.h"

/* Three events, the last one undone: lsn 4, two entries to undo (1, 2), one to redo (3). */
static struct mf_state *example_state(void)
{
	struct mf_state *state = small_set_number(small_state_new(10), 1, 1);
	struct mf_transaction *transaction = small_transaction_new();
	ADD_INSERT(transaction, "root", 0, "a");
	ADD_INSERT(transaction, "a", 0, "b");
	ADD_SET(transaction, "b", "x", 7);
	state = small_steps_commit(state, transaction, 2);
	transaction = small_transaction_new();
	small_steps_add(transaction, small_registry, "test_remove", "{\"id\":\"a\"}");
	return small_undo(small_steps_commit(state, transaction, 3), 4);
}

static struct mf_buffer pack(const struct mf_state *state)
{
	struct mf_buffer buffer = {0};
	assert_int_equal(mf_pack_state(&buffer, state), MF_OK);
	return buffer;
}

static enum mf_status unpack(const struct mf_buffer *buffer, const struct mf_step_registry *registry, size_t limit, struct mf_state **out, struct mf_error *error)
{
	struct mf_unpack in = {.at = buffer->bytes, .end = buffer->bytes + buffer->len};
	enum mf_status status = mf_unpack_state(&in, registry, limit, out, error);
	if (status == MF_OK)
		assert_ptr_equal(in.at, in.end);
	else
		assert_ptr_equal(in.at, buffer->bytes);
	return status;
}

/* pack, free, unpack */
static struct mf_state *restart(struct mf_state *state, size_t limit)
{
	struct mf_buffer buffer = pack(state);
	struct mf_state *back;
	struct mf_error error = {0};
	mf_state_unref(state);
	if (unpack(&buffer, small_registry, limit, &back, &error) != MF_OK)
		fail_msg("%s", error.message);
	mf_buffer_deinit(&buffer);
	return back;
}

static void a_state_reads_back_with_its_stacks(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state();
	struct mf_buffer buffer = pack(state), again;
	struct mf_digest digest = small_steps_digest(state);
	state = restart(state, 10);
	small_assert_digest(state, &digest);
	assert_int_equal(mf_state_lsn(state), 4);
	assert_int_equal(mf_state_undo_depth(state), 2);
	assert_int_equal(mf_state_redo_depth(state), 1);
	assert_int_equal(mf_state_history_limit(state), 10);
	again = pack(state);
	assert_int_equal(again.len, buffer.len);
	assert_memory_equal(again.bytes, buffer.bytes, buffer.len);
	mf_buffer_deinit(&buffer);
	mf_buffer_deinit(&again);
	mf_state_unref(state);
}

static void a_new_state_reads_back(void **unused)
{
	(void)unused;
	struct mf_state *state = restart(small_state_new(3), 5);
	assert_int_equal(mf_state_lsn(state), 0);
	assert_int_equal(mf_state_undo_depth(state), 0);
	assert_int_equal(mf_doc_node_count(mf_state_doc(state)), 1);
	mf_state_unref(state);
}

static void p13_undo_and_redo_work_after_a_restart(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(100), *twin;
	int64_t lsn = 0;
	for (int i = 1; i <= 30; i++)
		state = small_set_number(state, i, ++lsn);
	for (int i = 0; i < 10; i++)
		state = small_undo(state, ++lsn);
	twin = mf_state_ref(state);
	state = restart(state, 100);
	for (int i = 0; i < 60; i++) {
		bool forward = i < 10 || i >= 40;
		struct mf_digest digest;
		lsn++;
		twin = forward ? small_redo(twin, lsn) : small_undo(twin, lsn);
		state = forward ? small_redo(state, lsn) : small_undo(state, lsn);
		digest = small_steps_digest(twin);
		small_assert_digest(state, &digest);
		if (i % 7 == 0)
			state = restart(state, 100);
	}
	assert_int_equal(small_number_in(state), 20);
	mf_state_unref(state);
	mf_state_unref(twin);
}

static void a_smaller_limit_keeps_the_newest_entries(void **unused)
{
	(void)unused;
	struct mf_state *state = small_state_new(100);
	for (int i = 1; i <= 30; i++)
		state = small_set_number(state, i, i);
	state = restart(state, 5);
	assert_int_equal(mf_state_undo_depth(state), 5);
	for (int i = 0; i < 5; i++)
		state = small_undo(state, 31 + i);
	assert_int_equal(small_number_in(state), 25);
	assert_int_equal(mf_state_undo_depth(state), 0);
	state = restart(restart(state, 2), 0);
	assert_int_equal(mf_state_redo_depth(state), 0);
	mf_state_unref(state);
}

static void a_state_that_is_not_committed_is_not_packed(void **unused)
{
	(void)unused;
	struct mf_state *old = small_state_new(10), *next;
	struct mf_transaction *transaction = small_transaction_new();
	struct mf_buffer buffer = {0};
	ADD_SET(transaction, "root", "n", 1);
	assert_int_equal(mf_state_apply(old, transaction, &next, NULL), MF_OK);
	assert_int_equal(mf_pack_state(&buffer, next), MF_ERR_STATE);
	mf_buffer_deinit(&buffer);
	mf_transaction_free(transaction);
	mf_state_unref(old);
	mf_state_unref(next);
}

/* ---- step types ---- */
static struct mf_step_registry *registry_of(const struct mf_step_type *const *types, size_t count)
{
	struct mf_step_registry *registry;
	assert_int_equal(mf_step_registry_new(&registry), MF_OK);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(mf_step_registry_add(registry, types[i], NULL), MF_OK);
	return registry;
}

static void f19_a_missing_step_type_is_named(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(), *back = NULL;
	struct mf_buffer buffer = pack(state);
	const struct mf_step_type *types[] = {small_steps_set()};
	struct mf_step_registry *registry = registry_of(types, 1);
	struct mf_error error = {0};
	assert_int_equal(unpack(&buffer, registry, 10, &back, &error), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "'test_remove'"));
	assert_null(back);
	mf_step_registry_free(registry);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
}

static void p5_another_version_of_a_step_type_is_told(void **unused)
{
	(void)unused;
	struct mf_state *state = small_set_number(small_state_new(10), 1, 1), *back = NULL;
	struct mf_buffer buffer = pack(state);
	struct mf_step_type newer = *small_steps_set();
	newer.version = 2;
	const struct mf_step_type *types[] = {&newer};
	struct mf_step_registry *registry = registry_of(types, 1);
	struct mf_error error = {0};
	assert_int_equal(unpack(&buffer, registry, 10, &back, &error), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "'test_set' version 1"));
	assert_non_null(strstr(error.message, "version 2"));
	assert_null(back);
	mf_step_registry_free(registry);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
}

static void p5_without_a_registry_the_document_is_still_read(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(), *back;
	struct mf_buffer buffer = pack(state);
	struct mf_digest digest = small_steps_digest(state);
	assert_int_equal(unpack(&buffer, NULL, 10, &back, NULL), MF_OK);
	small_assert_digest(back, &digest);
	assert_int_equal(mf_state_lsn(back), 4);
	assert_int_equal(mf_state_undo_depth(back), 0);
	assert_int_equal(mf_state_redo_depth(back), 0);
	mf_state_unref(back);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
}

/* ---- damage ---- */
#define DOC "\x95\xa4root\xa3""doc\x80\x80\x00"
#define TYPES "\x91\x92\xa8test_set\x01"
#define ENTRY(lsn) "\x93" lsn "\x05\x91\x92\x00\xc4\x01\x80"
#define DAMAGED(text, why) assert_damaged(text, sizeof(text) - 1, why)

static enum mf_status read_bytes(const char *text, size_t len, struct mf_error *error)
{
	struct mf_buffer buffer = {.bytes = mf_memdup(text, len), .len = len, .capacity = len};
	struct mf_state *state = NULL;
	enum mf_status status = unpack(&buffer, small_registry, 10, &state, error);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
	return status;
}

static void assert_damaged(const char *text, size_t len, const char *why)
{
	struct mf_error error = {0};
	assert_int_equal(read_bytes(text, len, &error), MF_ERR_CORRUPTED);
	if (!strstr(error.message, why))
		fail_msg("'%s' does not say '%s'", error.message, why);
}

static void what_does_not_add_up_is_corrupted(void **unused)
{
	(void)unused;
	static const char good[] = "\x96\x01\x09" TYPES DOC "\x92" ENTRY("\x05") ENTRY("\x03") "\x92" ENTRY("\x07") ENTRY("\x09");
	assert_int_equal(read_bytes(good, sizeof(good) - 1, NULL), MF_OK);
	DAMAGED("\x95\x01\x09" TYPES DOC "\x90", "head");
	DAMAGED("\x96\x02\x09" TYPES DOC "\x90\x90", "format 2");
	DAMAGED("\x96\x01\xff" TYPES DOC "\x90\x90", "head");
	DAMAGED("\x96\x01\x09\x91\x91\xa8test_set" DOC "\x90\x90", "step types");
	DAMAGED("\x96\x01\x09" TYPES "\x90\x90\x90", "document");
	DAMAGED("\x96\x01\x09" TYPES DOC "\x92" ENTRY("\x05") ENTRY("\x05") "\x90", "undo");                /* undo must fall */
	DAMAGED("\x96\x01\x09" TYPES DOC "\x92" ENTRY("\x03") ENTRY("\x05") "\x90", "undo");
	DAMAGED("\x96\x01\x09" TYPES DOC "\x91" ENTRY("\x0a") "\x90", "undo");                             /* newer than the state */
	DAMAGED("\x96\x01\x09" TYPES DOC "\x91" ENTRY("\x00") "\x90", "undo");                             /* no such event */
	DAMAGED("\x96\x01\x09" TYPES DOC "\x91" ENTRY("\xff") "\x90", "undo");
	DAMAGED("\x96\x01\x09" TYPES DOC "\x90\x92" ENTRY("\x05") ENTRY("\x03"), "redo");                   /* redo must rise */
	DAMAGED("\x96\x01\x09" TYPES DOC "\x91" ENTRY("\x05") "\x91" ENTRY("\x04"), "redo");                /* and lie above undo */
	DAMAGED("\x96\x01\x09" TYPES DOC "\x90\x91" ENTRY("\x0a"), "redo");
	DAMAGED("\x96\x01\x09" TYPES DOC "\x91\x93\x05\x05\x90\x90", "undo");                              /* no steps */
	DAMAGED("\x96\x01\x09" TYPES DOC "\x91\x93\x05\x05\x91\x92\x01\xc4\x01\x80\x90", "undo");          /* no such type */
	DAMAGED("\x96\x01\x09" TYPES DOC "\x91\x93\x05\x05\x91\x92\x00\xc4\x01\xc1\x90", "undo");          /* the step's own bytes */
	DAMAGED("\x96\x01\x09" TYPES DOC "\x91\x93\x05\x05\x91\x92\x00\xc4\x02\x80\x80\x90", "undo");
	DAMAGED("\x96\x01\x09" TYPES DOC "\xdd\x7f\xff\xff\xff", "undo");
}

static void every_prefix_of_a_packed_state_is_corrupted(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state();
	struct mf_buffer buffer = pack(state);
	for (size_t len = 0; len < buffer.len; len++)
		assert_int_equal(read_bytes((const char *)buffer.bytes, len, NULL), MF_ERR_CORRUPTED);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* A state that was accepted must hold: it is packed and read again, and undone as far as it goes. */
static void use(struct mf_state *state)
{
	state = restart(state, 10);
	while (mf_state_undo_depth(state) > 0) {
		struct mf_transaction *transaction;
		struct mf_state *next;
		assert_int_equal(mf_state_make_undo(state, &transaction, NULL), MF_OK);
		enum mf_status status = mf_state_apply(state, transaction, &next, NULL);
		mf_transaction_free(transaction);
		if (status != MF_OK)
			break;
		mf_state_unref(state);
		state = next;
	}
	mf_state_unref(state);
}

static void flipped_bits_give_an_error_or_a_state_that_works(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state();
	struct mf_buffer buffer = pack(state);
	uint64_t seed = 4711;
	unsigned refused = 0, read = 0;
	for (unsigned i = 0; i < 20000; i++) {
		struct mf_buffer copy = {.bytes = mf_memdup(buffer.bytes, buffer.len), .len = buffer.len};
		for (unsigned flips = 1 + i % 3; flips > 0; flips--)
			copy.bytes[next_random(&seed) % copy.len] ^= (unsigned char)(1u << (next_random(&seed) % 8));
		struct mf_unpack in = {.at = copy.bytes, .end = copy.bytes + copy.len};
		struct mf_error error = {0};
		struct mf_state *back;
		enum mf_status status = mf_unpack_state(&in, small_registry, 10, &back, &error);
		if (status == MF_OK) {
			use(back);
			read++;
		} else {
			assert_true(status == MF_ERR_CORRUPTED || status == MF_ERR_UNKNOWN_STEP);
			assert_int_equal(error.status, status);
			assert_true(error.message[0] != '\0');
			refused++;
		}
		mf_buffer_deinit(&copy);
	}
	assert_true(refused > 1000 && read > 1000);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
}

/* ---- out of memory ---- */
static enum mf_status write_and_read(const struct mf_state *state)
{
	struct mf_buffer buffer = {0};
	struct mf_state *back = NULL;
	enum mf_status status = mf_pack_state(&buffer, state);
	if (status == MF_OK)
		status = unpack(&buffer, small_registry, 10, &back, NULL);
	mf_state_unref(back);
	mf_buffer_deinit(&buffer);
	return status;
}

static void every_failed_allocation_is_reported_as_such(void **unused)
{
	(void)unused;
	mf_mem_tight(true); /* each piece that is appended may find no room */
	struct mf_state *state = example_state();
	for (int forever = 0; forever < 2; forever++) {
		uint64_t n = 0, reached;
		do {
			mf_tree_trim();
			mf_mem_fail_at(++n, forever);
			enum mf_status status = write_and_read(state);
			reached = mf_mem_count();
			mf_mem_fail_at(0, false);
			/* a shrink that fails is no failure, so MF_OK does not end the loop */
			assert_true(status == MF_OK || (status == MF_ERR_NO_MEMORY && reached >= n));
		} while (reached >= n);
		assert_true(n > 40);
	}
	mf_state_unref(state);
	mf_mem_tight(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_reads_back_with_its_stacks),
		cmocka_unit_test(a_new_state_reads_back),
		cmocka_unit_test(p13_undo_and_redo_work_after_a_restart),
		cmocka_unit_test(a_smaller_limit_keeps_the_newest_entries),
		cmocka_unit_test(a_state_that_is_not_committed_is_not_packed),
		cmocka_unit_test(f19_a_missing_step_type_is_named),
		cmocka_unit_test(p5_another_version_of_a_step_type_is_told),
		cmocka_unit_test(p5_without_a_registry_the_document_is_still_read),
		cmocka_unit_test(what_does_not_add_up_is_corrupted),
		cmocka_unit_test(every_prefix_of_a_packed_state_is_corrupted),
		cmocka_unit_test(flipped_bits_give_an_error_or_a_state_that_works),
		cmocka_unit_test(every_failed_allocation_is_reported_as_such),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
