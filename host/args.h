/* args.h - the command line: one table of options and one of commands feed the parser and the help. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mf_exit { MF_EXIT_OK = 0, MF_EXIT_FAILED = 1, MF_EXIT_USAGE = 2, MF_EXIT_STORAGE = 3 };

enum mf_option_bit {
	MF_ARG_CONFIG = 1 << 0,
	MF_ARG_DATA = 1 << 1,
	MF_ARG_MODE = 1 << 2,
	MF_ARG_INPUT = 1 << 3,
	MF_ARG_ACKS = 1 << 4,
	MF_ARG_DOC = 1 << 5,
	MF_ARG_AT_LSN = 1 << 6,
	MF_ARG_DIGEST = 1 << 7,
	MF_ARG_SINCE = 1 << 8,
	MF_ARG_LIMIT = 1 << 9,
	MF_ARG_ACCEPT_LOSS = 1 << 10,
};
#define MF_ARGS_COMMON (MF_ARG_CONFIG | MF_ARG_DATA)

struct mf_args {
	unsigned given; /* option bits */
	const char *config, *data, *mode, *input, *acks, *doc;
	int64_t at_lsn, since, limit;
};

struct mf_command {
	const char *name; /* one word, or two with a space */
	unsigned options; /* that it takes besides the common ones */
	unsigned needs;   /* of those, the ones that must be given */
	enum mf_exit (*run)(const struct mf_args *args);
	const char *help;
};

/* The command and its arguments, or NULL: *out_exit is then what to end with, and what was to say has been said. */
const struct mf_command *mf_args_parse(int argc, char **argv, const struct mf_command *commands, struct mf_args *out, enum mf_exit *out_exit);
