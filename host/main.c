/* main.c - the `mf` program: one table of commands. docs/cli.md describes them. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "host/commands.h"

static const struct mf_command commands[] = {
	{"run", MF_ARG_INPUT | MF_ARG_ACKS | MF_ARG_MODE, 0, mf_cmd_run, "Commit transactions, one JSON object a line; answer each line"},
	{"state", MF_ARG_DOC | MF_ARG_AT_LSN | MF_ARG_DIGEST, MF_ARG_DOC, mf_cmd_state, "Print a document as canonical JSON"},
	{"recover", MF_ARG_DOC, 0, mf_cmd_recover, "Recover every document, or one, and tell how"},
	{"log", MF_ARG_DOC | MF_ARG_SINCE | MF_ARG_LIMIT, MF_ARG_DOC, mf_cmd_log, "Print a document's events, decoded"},
	{"snapshots", MF_ARG_DOC, 0, mf_cmd_snapshots, "List the snapshots"},
	{"docs", 0, 0, mf_cmd_docs, "List the documents"},
	{"verify", MF_ARG_ACCEPT_LOSS, 0, mf_cmd_verify, "Check everything that is stored"},
	{"compact", MF_ARG_DOC, 0, mf_cmd_compact, "Delete events that snapshots have made unnecessary"},
	{"plugin list", 0, 0, mf_cmd_plugin_list, "List the plugins that the configuration loads"},
	{0},
};

/* A standard stream that is closed would be the next file opened, one of the store's: answers would be written
 * into it. Its place is taken the wrong way round, so that to use it is still an error. */
static bool fill_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct mf_args args;
	enum mf_exit code;
	if (!fill_standard_streams())
		return MF_EXIT_FAILED;
	signal(SIGPIPE, SIG_IGN); /* a closed output is an error of write */
	signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow any more */
	const struct mf_command *command = mf_args_parse(argc, argv, commands, &args, &code);
	return command ? command->run(&args) : code;
}
