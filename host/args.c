#include "host/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/edit_distance.h"

#ifndef MF_VERSION
#define MF_VERSION "unknown"
#endif

static const struct option {
	const char *name, *value; /* value NULL: takes none */
	unsigned bit;
	bool number;
	size_t place; /* of its field in struct mf_args */
	const char *help;
} options[] = {
	{"--input", "FILE", MF_ARG_INPUT, false, offsetof(struct mf_args, input), "read from FILE instead of standard input"},
	{"--acks", "none|all", MF_ARG_ACKS, false, offsetof(struct mf_args, acks), "answer every line (the default), or none: then failures go to standard error"},
	{"--doc", "D", MF_ARG_DOC, false, offsetof(struct mf_args, doc), "the document"},
	{"--at-lsn", "N", MF_ARG_AT_LSN, true, offsetof(struct mf_args, at_lsn), "as it was just after LSN N"},
	{"--digest", NULL, MF_ARG_DIGEST, false, 0, "print only the digest of the tree, in lower-case hex"},
	{"--since", "N", MF_ARG_SINCE, true, offsetof(struct mf_args, since), "only events after LSN N"},
	{"--limit", "N", MF_ARG_LIMIT, true, offsetof(struct mf_args, limit), "at most N events"},
	{"--accept-loss", NULL, MF_ARG_ACCEPT_LOSS, false, 0, "if synced events were lost: record that, so that the store can be written again"},
	{"--mode", "M", MF_ARG_MODE, false, offsetof(struct mf_args, mode), "commit mode, instead of the configuration's: memory, async, async:MS, sync"},
	{"--config", "FILE", MF_ARG_CONFIG, false, offsetof(struct mf_args, config),
	 "plugins.json (default: the one here, else that of the build or the installation)"},
	{"--data", "DIR", MF_ARG_DATA, false, offsetof(struct mf_args, data), "the store's directory, instead of the configuration's"},
};
#define OPTION_COUNT (sizeof(options) / sizeof(*options))
#define SLIPS_MAX 2 /* a word that is wrong in more bytes was not mistyped: another was meant */

/* ---- help ---- */
static void print_synopsis(FILE *to, const struct mf_command *command)
{
	fprintf(to, "mf %s", command->name);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (!(command->options & options[i].bit))
			continue;
		const char *frame = command->needs & options[i].bit ? "" : "[]";
		fprintf(to, " %.1s%s%s%s%s", frame, options[i].name, options[i].value ? " " : "", options[i].value ? options[i].value : "", *frame ? "]" : "");
	}
	fputc('\n', to);
}

static void print_options(FILE *to, unsigned bits)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (bits & options[i].bit)
			fprintf(to, "  %-13s %-8s  %s\n", options[i].name, options[i].value ? options[i].value : "", options[i].help);
}

static void print_command_help(const struct mf_command *command)
{
	fputs("usage: ", stdout);
	print_synopsis(stdout, command);
	printf("\n%s.\n\n", command->help);
	print_options(stdout, command->options | MF_ARGS_COMMON);
}

static void print_help(const struct mf_command *commands)
{
	puts("usage: mf COMMAND [OPTIONS]\n");
	for (const struct mf_command *command = commands; command->name; command++) {
		fputs("  ", stdout);
		print_synopsis(stdout, command);
		printf("        %s\n", command->help);
	}
	puts("  mf help [COMMAND]\n  mf --version\n\noptions of every command:");
	print_options(stdout, MF_ARGS_COMMON);
	puts("\nexit: 0 done; 1 something failed, or damage was found; 2 wrong usage or configuration; 3 storage error");
}

/* ---- parsing ---- */
static const struct mf_command *usage_error(enum mf_exit *out_exit, const char *what, const char *which)
{
	fprintf(stderr, "mf: MF_ERR_INVALID: %s", what);
	if (which)
		fprintf(stderr, " '%s'", which);
	fputs("; see 'mf help'\n", stderr);
	*out_exit = MF_EXIT_USAGE;
	return NULL;
}

static const struct mf_command *did_you_mean(enum mf_exit *out_exit, const char *what, const char *which, const char *before, const char *nearest)
{
	fprintf(stderr, "mf: MF_ERR_INVALID: %s '%s'; did you mean '%s%s'?\n", what, which, before, nearest);
	*out_exit = MF_EXIT_USAGE;
	return NULL;
}

/* A slip of the keyboard, and nearer than *least, which becomes its distance. */
static bool is_slip(const char *word, const char *name, size_t *least)
{
	size_t distance = mf_edit_distance(word, name);
	if (distance >= *least || distance >= strlen(word))
		return false;
	*least = distance;
	return true;
}

static const char *nearest_option(const char *text)
{
	const char *nearest = NULL;
	char name[32];
	size_t least = SLIPS_MAX + 1;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, "="), text);
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (is_slip(name, options[i].name, &least))
			nearest = options[i].name;
	return nearest;
}

static const struct option *find_option(const char *text, const char **out_value)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);
	*out_value = equals ? equals + 1 : NULL;
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (strlen(options[i].name) == len && memcmp(options[i].name, text, len) == 0)
			return &options[i];
	return NULL;
}

static bool read_number(const char *text, int64_t *out)
{
	char *end;
	errno = 0;
	long long number = strtoll(text, &end, 10);
	if (errno || end == text || *end || number < 0 || *text < '0' || *text > '9')
		return false;
	*out = number;
	return true;
}

static bool store_option(const struct option *option, const char *value, struct mf_args *args)
{
	char *field = (char *)args + option->place;
	args->given |= option->bit;
	if (!option->value)
		return true;
	if (option->number)
		return read_number(value, (int64_t *)(void *)field);
	memcpy(field, &value, sizeof(value));
	return *value != '\0';
}

/* The words that are no options: a command, of one word or two; help may come before it. */
struct words {
	const char *first, *second;
	bool help, version;
};

static bool take_word(struct words *words, const char *word)
{
	if (!words->first && !words->help && strcmp(word, "help") == 0)
		words->help = true;
	else if (!words->first)
		words->first = word;
	else if (!words->second)
		words->second = word;
	else
		return false;
	return true;
}

static const char *read_arguments(int argc, char **argv, struct mf_args *args, struct words *words, const char **out_which, const char **out_nearest)
{
	for (int i = 1; i < argc; i++) {
		const char *value;
		*out_which = argv[i];
		if (argv[i][0] != '-') {
			if (!take_word(words, argv[i]))
				return "one word too many:";
			continue;
		}
		bool help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
		words->help |= help;
		words->version |= strcmp(argv[i], "--version") == 0;
		if (help || words->version)
			return NULL;
		const struct option *option = find_option(argv[i], &value);
		if (!option) {
			*out_nearest = nearest_option(argv[i]);
			return "no such option:";
		}
		if (!option->value && value)
			return "this option takes no value:";
		if (option->value && !value && ++i < argc)
			value = argv[i];
		if (option->value && !value)
			return "a value is missing after";
		if (!store_option(option, value, args))
			return option->number ? "a number from 0 on is wanted after" : "an empty value after";
	}
	return NULL;
}

static const struct mf_command *find_command(const struct mf_command *commands, const struct words *words)
{
	for (const struct mf_command *command = commands; command->name; command++) {
		size_t len = strlen(words->first);
		if (strncmp(command->name, words->first, len) != 0)
			continue;
		if (command->name[len] == '\0' && !words->second)
			return command;
		if (command->name[len] == ' ' && words->second && strcmp(command->name + len + 1, words->second) == 0)
			return command;
	}
	return NULL;
}

/* The command whose first word is right, or one that was mistyped; NULL: neither. */
static const char *nearest_command(const struct mf_command *commands, const char *first, const char *both)
{
	const char *nearest = NULL;
	size_t len = strlen(first), least = SLIPS_MAX + 1;
	for (const struct mf_command *command = commands; command->name; command++) {
		if (strncmp(command->name, first, len) == 0 && command->name[len] == ' ')
			return command->name;
		if (is_slip(first, command->name, &least) || is_slip(both, command->name, &least))
			nearest = command->name;
	}
	return nearest;
}

/* The words make no command: which one was meant? */
static const struct mf_command *not_a_command(const struct mf_command *commands, const struct words *words, enum mf_exit *out_exit)
{
	const struct words alone = {.first = words->first};
	if (find_command(commands, &alone))
		return usage_error(out_exit, "one word too many:", words->second);
	char both[80];
	snprintf(both, sizeof(both), "%s%s%s", words->first, words->second ? " " : "", words->second ? words->second : "");
	const char *nearest = nearest_command(commands, words->first, both);
	if (nearest)
		return did_you_mean(out_exit, "no such command:", both, "mf ", nearest);
	return usage_error(out_exit, "no such command:", words->first);
}

static const struct mf_command *help(const struct mf_command *commands, const struct words *words, enum mf_exit *out_exit)
{
	const struct mf_command *command = words->first ? find_command(commands, words) : NULL;
	if (words->first && !command)
		return not_a_command(commands, words, out_exit);
	if (command)
		print_command_help(command);
	else
		print_help(commands);
	*out_exit = MF_EXIT_OK;
	return NULL;
}

static const struct mf_command *check_options(const struct mf_command *command, const struct mf_args *args, enum mf_exit *out_exit)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (args->given & options[i].bit & ~(command->options | MF_ARGS_COMMON))
			return usage_error(out_exit, "this command does not take", options[i].name);
		if (command->needs & options[i].bit & ~args->given)
			return usage_error(out_exit, "this command needs", options[i].name);
	}
	if (args->acks && strcmp(args->acks, "none") != 0 && strcmp(args->acks, "all") != 0)
		return usage_error(out_exit, "--acks is none or all, not", args->acks);
	return command;
}

const struct mf_command *mf_args_parse(int argc, char **argv, const struct mf_command *commands, struct mf_args *out, enum mf_exit *out_exit)
{
	struct words words = {0};
	const char *which = NULL, *nearest = NULL;
	memset(out, 0, sizeof(*out));
	const char *fault = read_arguments(argc, argv, out, &words, &which, &nearest);
	if (nearest)
		return did_you_mean(out_exit, fault, which, "", nearest);
	if (fault)
		return usage_error(out_exit, fault, which);
	if (words.version) {
		puts("mf " MF_VERSION);
		*out_exit = MF_EXIT_OK;
		return NULL;
	}
	if (words.help)
		return help(commands, &words, out_exit);
	if (!words.first)
		return usage_error(out_exit, "a command is missing", NULL);
	const struct mf_command *command = find_command(commands, &words);
	if (!command)
		return not_a_command(commands, &words, out_exit);
	return check_options(command, out, out_exit);
}
