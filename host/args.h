/* args.h - the command line as the commands see it. What there is to be said is in two tables: options.c and
 * commands.c; the parser, the help, the man page and the completions read them, and nothing else knows a name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mf_exit { MF_EXIT_OK = 0, MF_EXIT_FAILED = 1, MF_EXIT_USAGE = 2, MF_EXIT_STORAGE = 3 };

#define MF_OPERANDS_MAX 2

struct mf_args {
	unsigned given; /* option bits */
	const char *config, *data, *mode, *input, *acks, *doc, *format, *completion;
	int64_t at_lsn, since, limit, interval_ms, keep;
	const char *operands[MF_OPERANDS_MAX + 1]; /* the words after the command; NULL ends them */
};

struct mf_command;

/* The command and its arguments, or NULL: *out_exit is then what to end with, and what was to say has been said. */
const struct mf_command *mf_args_parse(int argc, char **argv, struct mf_args *out, enum mf_exit *out_exit);
/* The command of these words (NULL ends them), which must be all there are; else says what is wrong, and NULL. */
const struct mf_command *mf_args_command(const char *const *words);
