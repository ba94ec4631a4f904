/* main.c - the `mf` program. docs/cli.md describes its commands, commands.c has the table of them. */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <unistd.h>

#include "host/commands.h"

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
	setlocale(LC_CTYPE, ""); /* which characters can be shown */
	signal(SIGPIPE, SIG_IGN); /* a closed output is an error of write */
	signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow any more */
	const struct mf_command *command = mf_args_parse(argc, argv, &args, &code);
	return command ? command->run(&args) : code;
}
