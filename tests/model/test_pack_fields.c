#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model/field.h"
#include "model/mem.h"
#include "model/pack.h"
#include "model/transaction.h"
#include "model/tree.h"
#include "small_fields.h"
#include "small_steps.h"

static struct mf_step_registry *all, *honest; /* registries */

static struct mf_state *example_state(const struct mf_step_registry *registry)
{
	struct mf_state *state;
	assert_int_equal(mf_state_new_with_fields(registry, 10, &state, NULL), MF_OK);
	for (int lsn = 1; lsn <= 3; lsn++) {
		struct mf_transaction *transaction = small_transaction_new();
		const char id[2] = {(char)('a' + lsn), 0};
		ADD_INSERT(transaction, "root", 0, id);
		state = small_steps_commit(state, transaction, lsn);
	}
	return small_undo(state, 4);
}

/* The section alone. */
static struct mf_buffer pack(const struct mf_state *state)
{
	struct mf_buffer buffer = {0};
	struct mf_error error = {0};
	if (mf_pack_fields(&buffer, state, &error) != MF_OK)
		fail_msg("%s", error.message);
	return buffer;
}

/* Into a copy of the document of example_state. */
static enum mf_status unpack(const void *bytes, size_t len, const struct mf_step_registry *registry, enum mf_fields_policy policy, struct mf_state **out, struct mf_error *error)
{
	unsigned char *copy = mf_memdup(bytes ? bytes : "", len); /* so that reading beyond it is seen */
	struct mf_unpack in = {.at = copy, .end = copy + len};
	struct mf_state *plain = small_state_new(10), *state;
	struct mf_transaction *transaction = small_transaction_new();
	ADD_INSERT(transaction, "root", 0, "a");
	ADD_INSERT(transaction, "root", 0, "b");
	state = small_steps_commit(plain, transaction, 4);
	enum mf_status status = mf_unpack_fields(&in, registry, policy, state, error);
	if (status == MF_OK)
		assert_ptr_equal(in.at, in.end);
	mf_free(copy);
	if (status == MF_OK)
		*out = state;
	else
		mf_state_unref(state);
	return status;
}

static enum mf_status read_all(const struct mf_buffer *buffer, enum mf_fields_policy policy, struct mf_state **out, struct mf_error *error)
{
	return unpack(buffer->bytes, buffer->len, all, policy, out, error);
}

static void the_values_read_back(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(all), *back;
	struct mf_buffer buffer = pack(state), again;
	assert_int_equal(read_all(&buffer, MF_FIELDS_COMPLETE, &back, NULL), MF_OK);
	small_assert_same_fields(state, back, small_all_fields);
	assert_int_equal(small_field_number(back, "test_moody"), 4);
	assert_int_equal(mf_state_fields_note(back).begun_anew, 0);
	assert_int_equal(mf_state_fields_note(back).dropped, 0);
	again = pack(back);
	assert_int_equal(again.len, buffer.len);
	assert_memory_equal(again.bytes, buffer.bytes, again.len);
	mf_state_unref(state);
	back = small_redo(small_undo(back, 5), 6); /* and go on */
	assert_int_equal(small_field_number(back, "test_moody"), 6);
	mf_state_unref(back);
	mf_buffer_deinit(&buffer);
	mf_buffer_deinit(&again);
	assert_int_equal(small_fields_alive(), 0);
}

static void a_state_without_fields_has_no_section(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(small_registry), *back;
	struct mf_buffer buffer = pack(state);
	assert_int_equal(buffer.len, 0);
	assert_int_equal(unpack("", 0, small_registry, MF_FIELDS_COMPLETE, &back, NULL), MF_OK);
	assert_null(mf_state_field_value(back, "test_nodes"));
	mf_state_unref(back);
	mf_state_unref(state);
}

/* ---- other plugins than then ---- */
static void a_field_that_nothing_here_brings_is_passed_over_and_counted(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(all), *back;
	struct mf_buffer buffer = pack(state);
	assert_int_equal(unpack(buffer.bytes, buffer.len, honest, MF_FIELDS_COMPLETE, &back, NULL), MF_OK);
	assert_int_equal(mf_state_fields_note(back).dropped, 1);
	assert_null(mf_state_field_value(back, "test_moody"));
	small_assert_same_fields(state, back, small_honest_fields);
	mf_state_unref(back);
	assert_int_equal(unpack(buffer.bytes, buffer.len, NULL, MF_FIELDS_COMPLETE, &back, NULL), MF_OK);
	assert_int_equal(mf_state_fields_note(back).dropped, 3);
	mf_state_unref(back);
	mf_state_unref(state);
	mf_buffer_deinit(&buffer);
	assert_int_equal(small_fields_alive(), 0);
}

static void p5_a_field_that_was_not_stored_makes_the_snapshot_stale_or_begins_anew(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(honest), *back = NULL;
	struct mf_buffer buffer = pack(state);
	struct mf_error error = {0};
	assert_int_equal(read_all(&buffer, MF_FIELDS_COMPLETE, &back, &error), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "'test_moody'"));
	assert_int_equal(unpack("", 0, all, MF_FIELDS_COMPLETE, &back, &error), MF_ERR_UNKNOWN_STEP);
	assert_null(back);
	assert_int_equal(read_all(&buffer, MF_FIELDS_ANEW, &back, NULL), MF_OK);
	assert_int_equal(mf_state_fields_note(back).begun_anew, 1);
	assert_int_equal(small_field_number(back, "test_moody"), 0);
	small_assert_same_fields(state, back, small_honest_fields);
	mf_state_unref(back);
	assert_int_equal(unpack("", 0, all, MF_FIELDS_ANEW, &back, NULL), MF_OK);
	assert_int_equal(mf_state_fields_note(back).begun_anew, 3);
	assert_int_equal(small_field_number(back, "test_nodes"), 3); /* init saw the document */
	mf_state_unref(back);
	mf_state_unref(state);
	mf_buffer_deinit(&buffer);
	assert_int_equal(small_fields_alive(), 0);
}

static void p5_a_version_that_decode_does_not_read_makes_the_snapshot_stale_or_begins_anew(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(all), *back = NULL;
	struct mf_buffer buffer = pack(state);
	struct mf_error error = {0};
	for (uint32_t today = 0; today < 4; today++) { /* stored is 1 */
		bool reads = today == 1 || today == 2;
		small_moody_field.version = today;
		small_moody_field.oldest_version = today == 3 ? 2 : today == 0 ? 0
									       : 1;
		enum mf_status status = read_all(&buffer, MF_FIELDS_COMPLETE, &back, &error);
		assert_int_equal(status, reads ? MF_OK : MF_ERR_UNKNOWN_STEP);
		if (reads)
			mf_state_unref(back);
		else
			assert_non_null(strstr(error.message, "version 1"));
		assert_int_equal(read_all(&buffer, MF_FIELDS_ANEW, &back, NULL), MF_OK);
		assert_int_equal(mf_state_fields_note(back).begun_anew, reads ? 0 : 1);
		assert_int_equal(small_field_number(back, "test_moody"), reads ? 4 : 0);
		mf_state_unref(back);
	}
	small_moody_field.version = small_moody_field.oldest_version = 1;
	mf_state_unref(state);
	mf_buffer_deinit(&buffer);
	assert_int_equal(small_fields_alive(), 0);
}

/* ---- what a plugin may do wrong ---- */
static void a_value_that_cannot_be_encoded_is_an_error_with_its_key(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(all);
	struct mf_buffer buffer = {0};
	struct mf_error error = {0};
	small_moods.encode = MF_ERR_IO;
	assert_int_equal(mf_pack_fields(&buffer, state, &error), MF_ERR_IO);
	assert_string_equal(error.message, "state field 'test_moody': MF_ERR_IO");
	small_moods.encode = 99;
	assert_int_equal(mf_pack_fields(&buffer, state, &error), MF_ERR_PLUGIN);
	assert_string_equal(error.message, "state field 'test_moody': its encode returned 99, which is no status");
	small_moods.encode = 0;
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
}

static void assert_unreadable(const struct mf_buffer *buffer, struct small_moods moods, const char *why)
{
	struct mf_state *back = NULL;
	struct mf_error error = {0};
	small_moods = moods;
	assert_int_equal(read_all(buffer, MF_FIELDS_COMPLETE, &back, &error), MF_ERR_UNKNOWN_STEP);
	if (!strstr(error.message, why))
		fail_msg("'%s' does not say '%s'", error.message, why);
	assert_null(back);
	small_moods = (struct small_moods){0};
	assert_int_equal(small_fields_alive(), 0);
}

static void f19_a_value_that_cannot_be_decoded_is_as_stale_as_another_version(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(all), *back;
	struct mf_buffer buffer = pack(state);
	mf_state_unref(state);
	assert_unreadable(&buffer, (struct small_moods){.decode = MF_ERR_IO, .message = "cannot"}, "'test_moody': its stored value cannot be read: cannot");
	assert_unreadable(&buffer, (struct small_moods){.decode = 99}, "'test_moody'");
	assert_unreadable(&buffer, (struct small_moods){.no_value = true}, "gave no value");
	assert_unreadable(&buffer, (struct small_moods){.other_bytes = true}, "not encoded to the same bytes");
	assert_unreadable(&buffer, (struct small_moods){.encode = MF_ERR_INVALID}, "not encoded to the same bytes");
	small_moods = (struct small_moods){.decode = MF_ERR_CORRUPTED};
	assert_int_equal(read_all(&buffer, MF_FIELDS_ANEW, &back, NULL), MF_OK);
	assert_int_equal(small_field_number(back, "test_moody"), 0);
	small_moods = (struct small_moods){0};
	mf_state_unref(back);
	mf_buffer_deinit(&buffer);
	assert_int_equal(small_fields_alive(), 0);
}

/* ---- damage ---- */
static void assert_damaged(const struct mf_buffer *buffer, enum mf_fields_policy policy)
{
	struct mf_state *back = NULL;
	struct mf_error error = {0};
	enum mf_status status = read_all(buffer, policy, &back, &error);
	if (status != MF_ERR_UNKNOWN_STEP) /* a version */
		assert_int_equal(status, MF_ERR_CORRUPTED);
	assert_int_equal(error.status, status);
	assert_null(back);
}

static void every_prefix_is_corrupted_and_so_are_bytes_behind_the_end(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(all);
	struct mf_buffer buffer = pack(state);
	size_t whole = buffer.len;
	assert_int_equal(mf_buffer_append(&buffer, "\xc0", 1), MF_OK);
	assert_damaged(&buffer, MF_FIELDS_ANEW);
	for (buffer.len = 1; buffer.len < whole; buffer.len++)
		assert_damaged(&buffer, MF_FIELDS_ANEW);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
	assert_int_equal(small_fields_alive(), 0);
}

/* Every flip of one bit is seen; only a version may change into another that is none of ours, or a key into a stranger's. */
static void f22_a_flipped_bit_never_gives_another_value(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(all), *back;
	struct mf_buffer buffer = pack(state);
	for (size_t bit = 0; bit < 8 * buffer.len; bit++) {
		buffer.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_damaged(&buffer, MF_FIELDS_COMPLETE);
		if (read_all(&buffer, MF_FIELDS_ANEW, &back, NULL) == MF_OK) {
			assert_true(mf_state_fields_note(back).begun_anew > 0);
			mf_state_unref(back);
		}
		buffer.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	assert_int_equal(read_all(&buffer, MF_FIELDS_COMPLETE, &back, NULL), MF_OK);
	mf_state_unref(back);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
	assert_int_equal(small_fields_alive(), 0);
}

static void keys_that_do_not_rise_are_corrupted(void **unused)
{
	(void)unused;
	struct mf_state *state = example_state(all);
	struct mf_buffer buffer = pack(state), twice = {0};
	size_t one = (buffer.len - 3) / 3; /* the three have keys of 10 bytes */
	assert_int_equal(buffer.len, 3 + 3 * one);
	assert_int_equal(mf_buffer_append(&twice, buffer.bytes, 3 + one), MF_OK);
	for (int i = 0; i < 2; i++)
		assert_int_equal(mf_buffer_append(&twice, buffer.bytes + 3, one), MF_OK);
	assert_damaged(&twice, MF_FIELDS_COMPLETE);
	assert_damaged(&twice, MF_FIELDS_ANEW);
	mf_buffer_deinit(&twice);
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
	assert_int_equal(small_fields_alive(), 0);
}

/* ---- out of memory ---- */
static enum mf_status write_and_read(const struct mf_state *state, struct mf_state *into)
{
	struct mf_buffer buffer = {0};
	enum mf_status status = mf_pack_fields(&buffer, state, NULL);
	struct mf_unpack in = {.at = buffer.bytes, .end = buffer.bytes + buffer.len};
	if (status == MF_OK)
		status = mf_unpack_fields(&in, all, MF_FIELDS_COMPLETE, into, NULL);
	if (status == MF_ERR_NO_MEMORY)
		assert_null(mf_state_field_value(into, "test_nodes"));
	mf_buffer_deinit(&buffer);
	return status;
}

/* ---- a field whose value is always the same ---- */
static int the_only_value;
static size_t only_len; /* of its encoding */

static enum mf_status only_init(const struct mf_state_field *field, const struct mf_doc *doc, void **out_value, struct mf_error *error)
{
	(void)field, (void)doc, (void)error;
	*out_value = &the_only_value;
	return MF_OK;
}

static enum mf_status only_apply(const struct mf_state_field *field, const struct mf_field_change *change, const void *old_value, void **out_value, struct mf_error *error)
{
	(void)field, (void)change, (void)error;
	*out_value = (void *)old_value;
	return MF_OK;
}

static enum mf_status only_encode(const struct mf_state_field *field, const void *value, struct mf_buffer *out)
{
	(void)field, (void)value;
	return mf_buffer_append(out, "12345678", only_len);
}

static enum mf_status only_decode(const struct mf_state_field *field, uint32_t version, const void *bytes, size_t len, void **out_value, struct mf_error *error)
{
	(void)field, (void)version, (void)bytes, (void)len, (void)error;
	*out_value = &the_only_value;
	return MF_OK;
}

static void only_free(const struct mf_state_field *field, void *value)
{
	(void)field, (void)value;
}

static void a_value_of_no_bytes_reads_back(void **unused)
{
	(void)unused;
	static const struct mf_state_field only = {.size = sizeof(struct mf_state_field), .key = "test_only", .version = 1, .oldest_version = 1,
						   .init = only_init, .apply = only_apply, .encode = only_encode, .decode = only_decode, .free = only_free};
	static const struct mf_state_field *const fields[] = {&only, NULL};
	struct mf_step_registry *registry = small_fields_registry(fields);
	struct mf_state *state = example_state(registry), *back;
	struct mf_buffer buffer = pack(state);
	assert_int_equal(unpack(buffer.bytes, buffer.len, registry, MF_FIELDS_COMPLETE, &back, NULL), MF_OK);
	assert_ptr_equal(mf_state_field_value(back, "test_only"), &the_only_value);
	assert_int_equal(mf_state_fields_note(back).begun_anew, 0);
	mf_state_unref(back);
	only_len = 3; /* today: not what was stored */
	assert_int_equal(unpack(buffer.bytes, buffer.len, registry, MF_FIELDS_COMPLETE, &back, NULL), MF_ERR_UNKNOWN_STEP);
	only_len = 0;
	mf_buffer_deinit(&buffer);
	mf_state_unref(state);
	mf_step_registry_free(registry);
}

static void every_failed_allocation_is_reported_as_such(void **unused)
{
	(void)unused;
	mf_mem_tight(true); /* each piece that is appended may find no room */
	struct mf_state *state = example_state(all);
	for (int forever = 0; forever < 2; forever++) {
		enum mf_status status = MF_ERR_NO_MEMORY;
		for (uint64_t n = 1; status != MF_OK; n++) {
			struct mf_state *into = small_state_new(10);
			mf_mem_fail_at(n, forever);
			status = write_and_read(state, into);
			mf_mem_fail_at(0, false);
			assert_true(status == MF_OK || status == MF_ERR_NO_MEMORY);
			mf_state_unref(into);
			assert_true(status == MF_ERR_NO_MEMORY || n > 8);
		}
	}
	mf_state_unref(state);
	assert_int_equal(small_fields_alive(), 0);
	mf_mem_tight(false);
}

static int setup(void **state)
{
	all = small_fields_registry(small_all_fields);
	honest = small_fields_registry(small_honest_fields);
	return small_make_registry(state);
}

static int teardown(void **state)
{
	mf_step_registry_free(all);
	mf_step_registry_free(honest);
	return small_free_registry(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_values_read_back),
		cmocka_unit_test(a_state_without_fields_has_no_section),
		cmocka_unit_test(a_field_that_nothing_here_brings_is_passed_over_and_counted),
		cmocka_unit_test(p5_a_field_that_was_not_stored_makes_the_snapshot_stale_or_begins_anew),
		cmocka_unit_test(p5_a_version_that_decode_does_not_read_makes_the_snapshot_stale_or_begins_anew),
		cmocka_unit_test(a_value_that_cannot_be_encoded_is_an_error_with_its_key),
		cmocka_unit_test(f19_a_value_that_cannot_be_decoded_is_as_stale_as_another_version),
		cmocka_unit_test(every_prefix_is_corrupted_and_so_are_bytes_behind_the_end),
		cmocka_unit_test(f22_a_flipped_bit_never_gives_another_value),
		cmocka_unit_test(keys_that_do_not_rise_are_corrupted),
		cmocka_unit_test(a_value_of_no_bytes_reads_back),
		cmocka_unit_test(every_failed_allocation_is_reported_as_such),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
