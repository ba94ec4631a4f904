#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <moduforge/log.h>

struct heard {
	unsigned count;
	enum mf_log_level level;
	char message[2 * MF_ERROR_MESSAGE_SIZE];
};

static void hear(void *user, enum mf_log_level level, const char *message)
{
	struct heard *heard = user;
	heard->count++;
	heard->level = level;
	assert_true(strlen(message) < sizeof(heard->message));
	strcpy(heard->message, message);
}

static void a_message_reaches_the_callback_with_its_level(void **state)
{
	(void)state;
	struct heard heard = {0};
	struct mf_logger logger = {hear, &heard};
	mf_logf(&logger, MF_LOG_WARNING, "the sync took %d ms", 31);
	assert_int_equal(heard.count, 1);
	assert_int_equal(heard.level, MF_LOG_WARNING);
	assert_string_equal(heard.message, "the sync took 31 ms");
}

static void no_logger_and_an_empty_one_are_silent(void **state)
{
	(void)state;
	struct mf_logger logger = {0};
	mf_logf(NULL, MF_LOG_ERROR, "%s", "nobody");
	mf_logf(&logger, MF_LOG_ERROR, "%s", "nobody");
}

static void control_characters_of_hostile_ids_become_question_marks(void **state)
{
	(void)state;
	struct heard heard = {0};
	struct mf_logger logger = {hear, &heard};
	mf_logf(&logger, MF_LOG_INFO, "document '%s'", "a\nb\033[2J");
	assert_string_equal(heard.message, "document 'a?b?[2J'");
}

static void a_long_message_is_cut_between_characters(void **state)
{
	(void)state;
	char text[2 * MF_ERROR_MESSAGE_SIZE];
	struct heard heard = {0};
	struct mf_logger logger = {hear, &heard};
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 3);
	mf_logf(&logger, MF_LOG_DEBUG, "%s", text);
	assert_int_equal(strlen(heard.message), MF_ERROR_MESSAGE_SIZE - 2);
}

static void each_level_has_its_name(void **state)
{
	(void)state;
	assert_string_equal(mf_log_level_name(MF_LOG_ERROR), "error");
	assert_string_equal(mf_log_level_name(MF_LOG_WARNING), "warning");
	assert_string_equal(mf_log_level_name(MF_LOG_INFO), "info");
	assert_string_equal(mf_log_level_name(MF_LOG_DEBUG), "debug");
	assert_string_equal(mf_log_level_name((enum mf_log_level)99), "unknown");
}

static void a_message_of_nothing_but_half_characters_is_cut_too(void **state)
{
	(void)state;
	char text[2 * MF_ERROR_MESSAGE_SIZE];
	struct mf_error error;
	memset(text, 0x80, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(mf_error_set(&error, MF_ERR_INVALID, "%s", text), MF_ERR_INVALID);
	assert_int_equal(strlen(error.message), MF_ERROR_MESSAGE_SIZE - 1);
	memset(text, 'a', sizeof(text) - 1);
	mf_error_set(&error, MF_ERR_INVALID, "%s", text); /* cut between plain letters: none is lost */
	assert_int_equal(strlen(error.message), MF_ERROR_MESSAGE_SIZE - 1);
}

static void a_prefix_longer_than_a_message_leaves_no_room_for_the_rest(void **state)
{
	(void)state;
	char text[2 * MF_ERROR_MESSAGE_SIZE];
	struct mf_error error;
	memset(text, 'p', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	mf_error_set(&error, MF_ERR_IO, "the rest");
	assert_int_equal(mf_error_prefix(&error, MF_ERR_IO, "%s", text), MF_ERR_IO);
	assert_int_equal(strlen(error.message), MF_ERROR_MESSAGE_SIZE - 1);
	assert_int_equal(strspn(error.message, "p"), MF_ERROR_MESSAGE_SIZE - 1);
	mf_error_set(&error, MF_ERR_IO, "the rest");
	mf_error_prefix(&error, MF_ERR_IO, "%s", "first");
	assert_string_equal(error.message, "first: the rest");
}

static void a_status_that_is_none_has_a_name_too(void **state)
{
	(void)state;
	assert_string_equal(mf_status_name((enum mf_status)-1), "MF_ERR_UNKNOWN");
	assert_string_equal(mf_status_name(MF_OK), "MF_OK");
	assert_string_equal(mf_status_name(MF_ERR_TIMEOUT), "MF_ERR_TIMEOUT");
}

static void an_error_that_is_set_keeps_nothing_of_the_one_before(void **state)
{
	(void)state;
	struct mf_error error = {.status = MF_ERR_CONFLICT, .lsn = 1, .expected = 2, .found = 3, .same = 1, .message = "another"};
	assert_int_equal(mf_error_set(&error, MF_ERR_BUSY, "%s", ""), MF_ERR_BUSY);
	assert_int_equal(error.status, MF_ERR_BUSY);
	assert_true(error.lsn == 0 && error.expected == 0 && error.found == 0 && error.same == 0);
	assert_string_equal(error.message, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_reaches_the_callback_with_its_level),
		cmocka_unit_test(no_logger_and_an_empty_one_are_silent),
		cmocka_unit_test(control_characters_of_hostile_ids_become_question_marks),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(each_level_has_its_name),
		cmocka_unit_test(a_message_of_nothing_but_half_characters_is_cut_too),
		cmocka_unit_test(a_prefix_longer_than_a_message_leaves_no_room_for_the_rest),
		cmocka_unit_test(a_status_that_is_none_has_a_name_too),
		cmocka_unit_test(an_error_that_is_set_keeps_nothing_of_the_one_before),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
