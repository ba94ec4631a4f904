#include "host/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FIRST_MS 1000
#define EVERY_MS 200

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void mf_progress_init(struct mf_progress *progress, const char *what)
{
	*progress = (struct mf_progress){.what = what, .terminal = isatty(STDERR_FILENO)};
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
	progress->shown = true;
	progress->next_ms = now + EVERY_MS;
}

void mf_progress_end(struct mf_progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
