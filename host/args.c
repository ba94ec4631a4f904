#include "host/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/commands.h"
#include "host/nearest.h"
#include "host/table.h"
#include "host/say.h"
#include "host/session.h"

#ifndef MF_VERSION
#define MF_VERSION "unknown"
#endif
#define WORDS_MAX (2 + MF_OPERANDS_MAX + 1) /* a command, its operands, and one too many to be told of */

/* The words that are no options: a command of one word or two, then operands. */
struct words {
	const char *list[WORDS_MAX + 1];
	size_t count;
	bool help, version, only_words;
};

/* ---- what is wrong ---- */
static const struct mf_command *usage_error(const char *what, const char *which)
{
	mf_say("MF_ERR_INVALID: %s%s%s%s; see 'mf help'", what, which ? " '" : "", which ? which : "", which ? "'" : "");
	return NULL;
}

static const struct mf_command *did_you_mean(const char *what, const char *which, const char *before, const char *nearest)
{
	mf_say("MF_ERR_INVALID: %s '%s'; did you mean '%s%s'?", what, which, before, nearest);
	return NULL;
}

static const struct mf_command *not_a_command(const char *const *words)
{
	char both[80];
	const char *nearest = mf_nearest_command(words);
	if (!nearest)
		return usage_error("no such command:", words[0]);
	snprintf(both, sizeof(both), "%s%s%s", words[0], words[1] ? " " : "", words[1] ? words[1] : "");
	return did_you_mean("no such command:", both, "mf ", nearest);
}

/* ---- one argument ---- */
static const struct mf_option *find_option(const char *text, const char **out_value)
{
	size_t len = strcspn(text, "=");
	*out_value = text[len] ? text + len + 1 : NULL;
	for (const struct mf_option *option = mf_options; option->name; option++)
		if (strlen(option->name) == len && memcmp(option->name, text, len) == 0)
			return option;
	return NULL;
}

/* NULL, or what is wrong with the value. */
static const char *read_number(const struct mf_option *option, const char *text, int64_t *out)
{
	char *end;
	errno = 0;
	long long number = strtoll(text, &end, 10);
	if (errno || end == text || *end || number < 0 || *text < '0' || *text > '9')
		return "a number from 0 on is wanted after";
	if (option->most > 0 && (number < option->least || number > option->most))
		return "a number outside the bounds (see the help of the command) after";
	*out = number;
	return NULL;
}

static const char *store_option(const struct mf_option *option, const char *value, struct mf_args *args)
{
	char *field = (char *)args + option->place;
	args->given |= option->bit;
	if (option->kind == MF_WORD_NONE || !value)
		return NULL;
	if (option->kind == MF_WORD_NUMBER)
		return read_number(option, value, (int64_t *)(void *)field);
	memcpy(field, &value, sizeof(value));
	return *value ? NULL : "an empty value after";
}

static const char *take_option(char **argv, int argc, int *at, struct mf_args *args, const char **out_nearest)
{
	const char *value;
	const struct mf_option *option = find_option(argv[*at], &value);
	if (!option) {
		*out_nearest = mf_nearest_option(argv[*at]);
		return "no such option:";
	}
	if (!option->value)
		return value ? "this option takes no value:" : store_option(option, NULL, args);
	if (!value && *at + 1 < argc)
		value = argv[++*at];
	return value ? store_option(option, value, args) : "a value is missing after";
}

static const char *take_word(struct words *words, const char *word)
{
	if (words->count == WORDS_MAX)
		return "one word too many:";
	words->list[words->count++] = word;
	return NULL;
}

/* NULL, or what is wrong with *out_which. All is said where help or the version is asked for. */
static const char *read_arguments(int argc, char **argv, struct mf_args *args, struct words *words, const char **out_which, const char **out_nearest)
{
	const char *fault = NULL;
	for (int i = 1; i < argc && !fault && !words->help && !words->version; i++) {
		*out_which = argv[i];
		if (words->only_words || argv[i][0] != '-' || argv[i][1] == '\0')
			fault = take_word(words, argv[i]);
		else if (strcmp(argv[i], "--") == 0)
			words->only_words = true;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			words->help = true;
		else if (strcmp(argv[i], "--version") == 0)
			words->version = true;
		else
			fault = take_option(argv, argc, &i, args, out_nearest);
	}
	return fault;
}

/* ---- the command ---- */
/* *out_used: how many of the words are its name. */
static const struct mf_command *find_command(const char *const *words, size_t *out_used)
{
	size_t len = strlen(words[0]);
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		const char *rest = command->name + len;
		if (strncmp(command->name, words[0], len) != 0)
			continue;
		*out_used = *rest ? 2 : 1;
		if (*rest == '\0' || (*rest == ' ' && words[1] && strcmp(rest + 1, words[1]) == 0))
			return command;
	}
	return NULL;
}

const struct mf_command *mf_args_command(const char *const *words)
{
	size_t used = 0;
	const struct mf_command *command = find_command(words, &used);
	if (!command)
		return not_a_command(words);
	return words[used] ? usage_error("one word too many:", words[used]) : command;
}

static const struct mf_command *take_operands(const struct mf_command *command, const char *const *words, struct mf_args *args)
{
	size_t at = 0;
	for (; words[at]; at++) {
		if (at == MF_OPERANDS_MAX || !command->operands[at].name)
			return usage_error("one word too many:", words[at]);
		args->operands[at] = words[at];
	}
	const struct mf_operand *missing = &command->operands[at];
	return missing->name && !missing->optional ? usage_error("this command needs", missing->name) : command;
}

static const struct mf_command *check_form(const struct mf_command *command, const struct mf_args *args)
{
	if (!(args->given & MF_ARG_TABLE))
		return command;
	if (args->given & MF_ARG_JSON)
		return usage_error("it is one or the other: '--json' or", "--table");
	return mf_table_is_available() ? command : usage_error("this build has no tables (it was made without libsmartcols):", "--table");
}

static const struct mf_command *check_options(const struct mf_command *command, const struct mf_args *args)
{
	for (const struct mf_option *option = mf_options; option->name; option++) {
		if (args->given & option->bit & ~(command->options | MF_ARGS_COMMON))
			return usage_error("this command does not take", option->name);
		if (command->needs & option->bit & ~args->given)
			return usage_error("this command needs", option->name);
		if (!(args->given & option->bit) || option->kind != MF_WORD_CHOICE)
			continue;
		const char *value;
		memcpy(&value, (const char *)args + option->place, sizeof(value));
		if (!mf_option_allows(option, value)) {
			mf_say("MF_ERR_INVALID: %s is one of %s, not '%s'; see 'mf help'", option->name, option->value, value);
			return NULL;
		}
	}
	return check_form(command, args);
}

/* `mf help X`, `mf --help X` and `mf X --help` are the same. What it asks about is a command, of one word or two. */
static const struct mf_command *explain(const char *const *words, struct mf_args *args)
{
	static const char *const help[] = {"help", NULL};
	if (words[0] && !mf_args_command(words))
		return NULL;
	for (size_t i = 0; i < MF_OPERANDS_MAX && words[i]; i++)
		args->operands[i] = words[i];
	return check_options(mf_args_command(help), args);
}

static const struct mf_command *choose(const struct words *words, struct mf_args *args)
{
	size_t used = 0;
	bool named = words->count > 0 && strcmp(words->list[0], "help") == 0;
	if (words->help)
		memset(args, 0, sizeof(*args));
	if (words->help || named)
		return explain(words->list + named, args);
	if (words->count == 0)
		return usage_error("a command is missing", NULL);
	const struct mf_command *command = find_command(words->list, &used);
	if (!command)
		return not_a_command(words->list);
	if (!take_operands(command, words->list + used, args))
		return NULL;
	return check_options(command, args);
}

const struct mf_command *mf_args_parse(int argc, char **argv, struct mf_args *out, enum mf_exit *out_exit)
{
	struct words words = {.count = 0};
	const char *which = NULL, *nearest = NULL;
	memset(out, 0, sizeof(*out));
	*out_exit = MF_EXIT_USAGE;
	const char *fault = read_arguments(argc, argv, out, &words, &which, &nearest);
	if (nearest)
		return did_you_mean(fault, which, "", nearest);
	if (fault)
		return usage_error(fault, which);
	if (!words.version)
		return choose(&words, out);
	puts("mf " MF_VERSION);
	*out_exit = mf_stdout_end();
	return NULL;
}
