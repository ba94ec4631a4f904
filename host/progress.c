#include "host/progress.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS 1000
#define EVERY_MS 200

static atomic_bool shown;

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void mf_progress_init(struct mf_progress *progress, const char *what)
{
	const char *term = getenv("TERM");
	bool can_erase = term && *term && strcmp(term, "dumb") != 0;
	*progress = (struct mf_progress){.what = what, .terminal = can_erase && isatty(STDERR_FILENO)};
	progress->next_ms = now_ms() + FIRST_MS;
}

void mf_progress_step(struct mf_progress *progress)
{
	progress->count++;
	if (!progress->terminal)
		return;
	int64_t now = now_ms();
	if (now < progress->next_ms)
		return;
	fprintf(stderr, "\r%llu %s", (unsigned long long)progress->count, progress->what);
	fflush(stderr);
	atomic_store(&shown, true);
	progress->next_ms = now + EVERY_MS;
}

void mf_progress_hide(void)
{
	if (!atomic_exchange(&shown, false))
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
}
