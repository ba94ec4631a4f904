/* options.h - the table of options. To add one: a bit at the end of the enum, a field in struct mf_args if it has a value,
 * a line in options.c; then name the bit in the commands that take it (commands.c). */
#pragma once

#include "host/args.h"

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
	MF_ARG_JSON = 1 << 11,
	MF_ARG_TABLE = 1 << 12,
	MF_ARG_FOLLOW = 1 << 13,
	MF_ARG_INTERVAL = 1 << 14,
	MF_ARG_FORMAT = 1 << 15,
	MF_ARG_FULL = 1 << 16,
	MF_ARG_MAN = 1 << 16,
	MF_ARG_COMPLETION = 1 << 17,
};
#define MF_ARGS_COMMON (MF_ARG_CONFIG | MF_ARG_DATA | MF_ARG_JSON)
#define MF_ARGS_LISTING MF_ARG_TABLE /* of a command that writes a listing (listing.h) */

enum mf_word_kind {
	MF_WORD_NONE, /* a flag: there is no value */
	MF_WORD_TEXT,
	MF_WORD_NUMBER, /* the field is an int64_t, else a const char * */
	MF_WORD_CHOICE, /* one of the words of value, as "none|all" */
	MF_WORD_FILE,
	MF_WORD_DIRECTORY,
	MF_WORD_COMMAND,
};

struct mf_option {
	const char *name;  /* "--doc" */
	const char *value; /* "D": what the help calls it; NULL: takes none */
	unsigned bit;
	enum mf_word_kind kind;
	size_t place; /* of its field in struct mf_args */
	int64_t least, most; /* of a number; most 0: any from 0 on */
	const char *help;
};

extern const struct mf_option mf_options[]; /* in the order of the help; the last one has no name */

/* Whether value is one of the words of a choice. */
bool mf_option_allows(const struct mf_option *option, const char *value);
