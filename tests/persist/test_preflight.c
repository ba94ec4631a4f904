/* Which step types of a history have no factory: what is told of many, of long ones, and of a store that cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "fake_store.h"
#include "persist/record.h"
#include "persist/recovery.h"

static struct mf_step_registry *empty;
static struct mf_error error;

static int set_up(void **state)
{
	*state = fake_store_new(true);
	assert_int_equal(mf_step_registry_new(&empty), MF_OK);
	mf_step_registry_freeze(empty);
	return 0;
}

static int tear_down(void **state)
{
	mf_step_registry_free(empty);
	fake_store_free(*state);
	return 0;
}

/* One event with a step of each type from "PREFIX<from>" on, without data. */
static void append(struct fake_store *fake, const char *prefix, int from, int count)
{
	static int keys;
	unsigned char payload[8192] = {MF_RECORD_VERSION};
	char key[16], type[128];
	int64_t lsn;
	size_t len = MF_RECORD_HEADER_LEN;
	payload[len++] = (unsigned char)count;
	for (int i = 0; i < count; i++) {
		int type_len = snprintf(type, sizeof(type), "%s%d", prefix, from + i);
		payload[len++] = (unsigned char)type_len;
		memcpy(payload + len, type, (size_t)type_len);
		len += (size_t)type_len;
		payload[len++] = 0;
	}
	snprintf(key, sizeof(key), "k%d", keys++);
	struct mf_event event = {.doc_id = "d", .idempotency_key = key, .action = MF_ACTION_APPLY, .meta = "{}", .meta_len = 2, .payload = payload, .payload_len = len};
	assert_int_equal(mf_store_append(&fake->base, &event, &lsn, &error), MF_OK);
}

static enum mf_status ask(struct fake_store *fake)
{
	return mf_missing_types(&fake->base, "d", empty, 0, 10, &error);
}

static void types_of_one_length_are_told_apart(void **state)
{
	append(*state, "type-", 1, 1);
	append(*state, "type-", 1, 2);
	append(*state, "type-", 2, 1);
	assert_int_equal(ask(*state), MF_ERR_UNKNOWN_STEP);
	assert_string_equal(error.message, "no step factory for 'type-1' (2 steps, first LSN 1), 'type-2' (2 steps, first LSN 2); load the plugins that bring them");
	assert_int_equal(error.lsn, 1);
	assert_int_equal(mf_missing_types(&((struct fake_store *)*state)->base, "d", empty, 0, 10, NULL), MF_ERR_UNKNOWN_STEP);
}

static void what_does_not_fit_into_a_sentence_is_said_to_be_more(void **state)
{
	append(*state, "a-type-with-a-name-that-is-rather-long-", 10, 20);
	assert_int_equal(ask(*state), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "-long-10'"));
	assert_null(strstr(error.message, "-long-29'"));
	assert_non_null(strstr(error.message, ") and more;"));
	assert_int_equal(error.lsn, 1);
}

/* A damaged store may name any number. */
static void more_types_than_are_counted_are_said_to_be_more(void **state)
{
	append(*state, "t", 0, 60);
	append(*state, "t", 60, 60);
	append(*state, "t", 0, 1);
	assert_int_equal(ask(*state), MF_ERR_UNKNOWN_STEP);
	assert_non_null(strstr(error.message, "'t0' (2 steps, first LSN 1)"));
	assert_non_null(strstr(error.message, ") and more;"));
}

static void an_event_of_a_newer_format_is_told_with_what_to_do(void **state)
{
	static const unsigned char newer[MF_RECORD_HEADER_LEN + 1] = {MF_RECORD_VERSION + 1};
	struct fake_store *fake = *state;
	int64_t lsn;
	append(fake, "type-", 1, 1);
	struct mf_event event = {.doc_id = "d", .idempotency_key = "newer", .action = MF_ACTION_APPLY, .meta = "{}", .meta_len = 2, .payload = newer, .payload_len = sizeof(newer)};
	assert_int_equal(mf_store_append(&fake->base, &event, &lsn, &error), MF_OK);
	assert_int_equal(ask(fake), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 2);
	assert_memory_equal(error.message, "document 'd', LSN 2: ", 21);
	assert_non_null(strstr(error.message, "use a newer one"));
	assert_int_equal(mf_missing_types(&fake->base, "d", empty, 0, 10, NULL), MF_ERR_CORRUPTED);
	assert_int_equal(mf_missing_types(&fake->base, "d", empty, 2, 10, &error), MF_OK); /* behind it all is well */
}

static void a_store_that_cannot_be_read_has_no_missing_types(void **state)
{
	struct fake_store *fake = *state;
	append(fake, "type-", 1, 1);
	fake->read_error = MF_ERR_IO;
	assert_int_equal(ask(fake), MF_ERR_IO);
	fake->read_error = MF_OK;
	assert_int_equal(ask(fake), MF_ERR_UNKNOWN_STEP);
}

/* The second of its steps says that its type is longer than what is left. */
static void a_damaged_record_is_told_with_its_event(void **state)
{
	struct fake_store *fake = *state;
	unsigned char payload[MF_RECORD_HEADER_LEN + 7] = {MF_RECORD_VERSION};
	int64_t lsn;
	append(fake, "type-", 1, 1);
	memcpy(payload + MF_RECORD_HEADER_LEN, "\2\1t\0\5xx", 7);
	struct mf_event event = {.doc_id = "d", .idempotency_key = "cut", .action = MF_ACTION_APPLY, .meta = "{}", .meta_len = 2, .payload = payload, .payload_len = sizeof(payload)};
	assert_int_equal(mf_store_append(&fake->base, &event, &lsn, &error), MF_OK);
	assert_int_equal(ask(fake), MF_ERR_CORRUPTED);
	assert_int_equal(error.lsn, 2);
	assert_non_null(strstr(error.message, "document 'd', LSN 2"));
	assert_int_equal(mf_preflight(&fake->base, empty, &error), MF_ERR_CORRUPTED);
}

/* Nothing of it will be replayed, whatever its steps were. */
static void a_document_without_events_lacks_no_types(void **state)
{
	struct fake_store *fake = *state;
	append(fake, "type-", 1, 2);
	assert_int_equal(mf_preflight(&fake->base, empty, &error), MF_ERR_UNKNOWN_STEP);
	struct mf_snapshot snapshot = {.doc_id = "d", .upto_lsn = 1, .version = 1, .state_blob = (unsigned char *)"state", .state_len = 5};
	assert_int_equal(mf_store_write_snapshot(&fake->base, &snapshot, &error), MF_OK);
	assert_int_equal(mf_store_compact(&fake->base, "d", 1, &error), MF_OK);
	fake->read_error = MF_ERR_IO; /* none is looked for */
	assert_int_equal(mf_preflight(&fake->base, empty, &error), MF_OK);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(types_of_one_length_are_told_apart),
		T(what_does_not_fit_into_a_sentence_is_said_to_be_more),
		T(more_types_than_are_counted_are_said_to_be_more),
		T(an_event_of_a_newer_format_is_told_with_what_to_do),
		T(a_store_that_cannot_be_read_has_no_missing_types),
		T(a_damaged_record_is_told_with_its_event),
		T(a_document_without_events_lacks_no_types),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
