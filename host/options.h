/* options.h - the table of options. To add one: a name at the end of MF_OPTIONS, a field in struct mf_args if it has a value,
 * a line in options.c; then name the bit in the commands that take it (commands.c). */
#pragma once

#include "host/args.h"

/* Each name is a bit of its own, MF_ARG_CONFIG and so on. */
#define MF_OPTIONS(X) \
	X(CONFIG) X(DATA) X(MODE) X(INPUT) X(ACKS) X(DOC) X(AT_LSN) X(DIGEST) X(SINCE) X(LIMIT) \
	X(ACCEPT_LOSS) X(JSON) X(TABLE) X(FOLLOW) X(INTERVAL) X(FORMAT) X(FULL) X(MAN) \
	X(COMPLETION) X(NO_PROOF) X(VACUUM) X(KEEP) X(SYNCED)

#define MF_OPTION_AT(name) MF_OPTION_AT_##name,
#define MF_OPTION_BIT(name) MF_ARG_##name = 1 << MF_OPTION_AT_##name,
enum mf_option_at { MF_OPTIONS(MF_OPTION_AT) };
enum mf_option_bit { MF_OPTIONS(MF_OPTION_BIT) };
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
