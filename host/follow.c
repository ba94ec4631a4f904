#include "host/follow.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/say.h"

bool mf_follow_init(struct mf_follow *follow)
{
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	follow->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	if (follow->signals < 0) {
		mf_say("MF_ERR_IO: signals cannot be waited for: %s", strerror(errno));
		return false;
	}
	pthread_sigmask(SIG_BLOCK, &ends, &follow->before);
	return true;
}

void mf_follow_deinit(struct mf_follow *follow)
{
	struct signalfd_siginfo taken;
	while (read(follow->signals, &taken, sizeof(taken)) > 0) /* else it would end the program now */
		continue;
	close(follow->signals);
	pthread_sigmask(SIG_SETMASK, &follow->before, NULL);
}

bool mf_follow_wait(struct mf_follow *follow, struct mf_output *out, int timeout_ms)
{
	struct pollfd fds[] = {{.fd = follow->signals, .events = POLLIN}, {.fd = out->fd}};
	if (poll(fds, 2, timeout_ms) <= 0)
		return true;
	if (fds[1].revents != 0 && !out->error)
		out->error = EPIPE;
	return fds[0].revents == 0 && fds[1].revents == 0;
}
