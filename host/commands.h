/* commands.h - the table of commands. To add one: its function here, a row in commands.c. The row is all there is to do:
 * it is parsed, explained by `mf help`, in the man page and in the completions. */
#pragma once

#include "host/options.h"

/* A word that follows the command, as FILE in `mf backup FILE`; it arrives in args->operands. Must be given, unless optional. */
struct mf_operand {
	const char *name;
	enum mf_word_kind kind;
	bool optional;
	const char *help;
};

struct mf_example {
	const char *command; /* as typed into a shell */
	const char *about;   /* what it does; a clause without a full stop */
};

struct mf_command {
	const char *name;  /* one word, or two with a space */
	unsigned options;  /* that it takes besides the common ones */
	unsigned needs;    /* of all, the ones that must be given */
	enum mf_exit (*run)(const struct mf_args *args);
	const char *group; /* the heading in the help; commands of a group stand together */
	const char *help;  /* one clause without a full stop */
	const char *detail; /* paragraphs, each line of the string one; what a person wants to know who uses it first */
	struct mf_operand operands[MF_OPERANDS_MAX + 1]; /* the last one has no name */
	struct mf_example examples[4];                   /* likewise */
};

extern const struct mf_command mf_commands[]; /* in the order of the help; the last one has no name */

enum mf_exit mf_cmd_run(const struct mf_args *args);
enum mf_exit mf_cmd_state(const struct mf_args *args);
enum mf_exit mf_cmd_recover(const struct mf_args *args);
enum mf_exit mf_cmd_log(const struct mf_args *args);
enum mf_exit mf_cmd_snapshots(const struct mf_args *args);
enum mf_exit mf_cmd_docs(const struct mf_args *args);
enum mf_exit mf_cmd_plugin_list(const struct mf_args *args);
enum mf_exit mf_cmd_verify(const struct mf_args *args);
enum mf_exit mf_cmd_compact(const struct mf_args *args);
enum mf_exit mf_cmd_metrics(const struct mf_args *args);
enum mf_exit mf_cmd_health(const struct mf_args *args);
enum mf_exit mf_cmd_backup(const struct mf_args *args);
enum mf_exit mf_cmd_restore(const struct mf_args *args);
enum mf_exit mf_cmd_help(const struct mf_args *args);
