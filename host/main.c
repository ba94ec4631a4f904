/* main.c - the `mf` program: one table of commands. docs/cli.md describes them. */
#include <signal.h>

#include "host/commands.h"

static const struct mf_command commands[] = {
	{"run", MF_ARG_INPUT | MF_ARG_ACKS, 0, mf_cmd_run, "Commit transactions, one JSON object a line; answer each line"},
	{"state", MF_ARG_DOC | MF_ARG_AT_LSN | MF_ARG_DIGEST, MF_ARG_DOC, mf_cmd_state, "Print a document as canonical JSON"},
	{"recover", MF_ARG_DOC, 0, mf_cmd_recover, "Recover every document, or one, and tell how"},
	{"log", MF_ARG_DOC | MF_ARG_SINCE | MF_ARG_LIMIT, MF_ARG_DOC, mf_cmd_log, "Print a document's events, decoded"},
	{"snapshots", MF_ARG_DOC, 0, mf_cmd_snapshots, "List the snapshots"},
	{"docs", 0, 0, mf_cmd_docs, "List the documents"},
	{"verify", 0, 0, mf_cmd_verify, "Check everything that is stored"},
	{"compact", MF_ARG_DOC, 0, mf_cmd_compact, "Delete events that snapshots have made unnecessary"},
	{"plugin list", 0, 0, mf_cmd_plugin_list, "List the plugins that the configuration loads"},
	{0},
};

int main(int argc, char **argv)
{
	struct mf_args args;
	enum mf_exit code;
	signal(SIGPIPE, SIG_IGN); /* a closed output is an error of write */
	const struct mf_command *command = mf_args_parse(argc, argv, commands, &args, &code);
	return command ? command->run(&args) : code;
}
