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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_reaches_the_callback_with_its_level),
		cmocka_unit_test(no_logger_and_an_empty_one_are_silent),
		cmocka_unit_test(control_characters_of_hostile_ids_become_question_marks),
		cmocka_unit_test(a_long_message_is_cut_between_characters),
		cmocka_unit_test(each_level_has_its_name),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
