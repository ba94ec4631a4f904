#include "harness.h"

#include <ctype.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRONG 2 /* exit status */
#define PLACES_MAX 4

static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
#define STOPS (sizeof(stops) / sizeof(*stops))

static struct counts {
	atomic_uint_least64_t passed, failed;
	atomic_uint gone; /* the number of a place that somebody has removed, from 1 */
	uint64_t of;
	bool fail_fast; /* the first failure is enough */
} *counts; /* shared */

static char places[PLACES_MAX][256];
static size_t place_count;
static pid_t owner; /* of the places */
static pid_t watcher;

/* ---- settings ---- */

uint64_t harness_parse(const char *name, const char *text, uint64_t least, uint64_t most)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (isdigit((unsigned char)text[0]) && *end == '\0' && errno == 0 && value >= least && value <= most)
		return value;
	fprintf(stderr, "%s is '%s', it must be a number from %llu to %llu\n", name, text, (unsigned long long)least, (unsigned long long)most);
	exit(WRONG);
}

uint64_t harness_number(const char *name, uint64_t otherwise, uint64_t least, uint64_t most)
{
	const char *text = getenv(name);
	return text && *text ? harness_parse(name, text, least, most) : otherwise;
}

uint64_t harness_jobs(uint64_t for_each, uint64_t most)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t wanted = processors < 1 ? 1 : for_each * (uint64_t)processors;
	return harness_number("MF_JOBS", wanted < most ? wanted : most, 1, most);
}

size_t harness_choice(const char *name, const char *const *names, size_t count)
{
	const char *text = getenv(name);
	if (!text || !*text)
		return count;
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	fprintf(stderr, "%s is '%s'; there are:", name, text);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, " %s", names[i]);
	fprintf(stderr, "\n");
	exit(WRONG);
}

void harness_usage(const char *usage, const char *argument)
{
	bool asked = argument && (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0);
	if (argument && !asked)
		fprintf(stderr, "'%s' is not understood here\n", argument);
	fputs(usage, asked ? stdout : stderr);
	exit(asked ? 0 : WRONG);
}

bool harness_only_tap(int argc, char **argv, const char *usage)
{
	bool tap = argc > 1 && strcmp(argv[1], "--tap") == 0;
	if (argc > 1 + tap)
		harness_usage(usage, argv[1 + tap]);
	return tap;
}

/* ---- places ---- */

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
	(void)about;
	(void)kind;
	(void)walk;
	return remove(path);
}

bool harness_remove_place(const char *dir)
{
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
		return true;
	fprintf(stderr, "%s is left\n", dir);
	return false;
}

/* As the program ends, not a child of it. With MF_KEEP only those that are empty. */
static void remove_places(void)
{
	for (size_t i = 0; i < place_count && owner == getpid(); i++)
		if (!getenv("MF_KEEP"))
			harness_remove_place(places[i]);
		else if (rmdir(places[i]) != 0)
			fprintf(stderr, "%s is kept\n", places[i]);
}

void harness_make_place_in(char *out, size_t size, const char *name, const char *from)
{
	int len = snprintf(out, size, "%s/mf-%s-XXXXXX", from, name);
	bool fits = len > 0 && (size_t)len < size && (size_t)len < sizeof(places[0]) && place_count < PLACES_MAX;
	errno = ENAMETOOLONG;
	if (!fits || !mkdtemp(out)) {
		fprintf(stderr, "cannot write in the directory %s: %s\n", from, strerror(errno));
		exit(WRONG);
	}
	if (place_count == 0) {
		owner = getpid();
		atexit(remove_places);
	}
	memcpy(places[place_count++], out, (size_t)len + 1);
}

void harness_make_place(char *out, size_t size, const char *name)
{
	const char *from = getenv("TMPDIR");
	if (!from || !from[0])
		from = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	harness_make_place_in(out, size, name, from);
}

/* ---- children ---- */

pid_t harness_fork(void)
{
	pid_t parent = getpid();
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)) /* gone before it was asked for */
		_exit(1);
	return pid;
}

static void wait_for_all(void)
{
	while (wait(NULL) > 0 || errno == EINTR)
		;
}

static void tell_stopped(void (*figures)(void))
{
	unsigned long long passed = counts->passed, failed = counts->failed;
	printf("%sstopped", isatty(STDOUT_FILENO) ? "\r\033[K" : "");
	if (counts->of > 0)
		printf(" after %llu", passed + failed);
	if (counts->of > 0 && counts->of != HARNESS_OPEN)
		printf(" of %llu", (unsigned long long)counts->of);
	printf("\n");
	if (figures)
		figures();
	if (counts->of > 0)
		printf("%llu passed, %llu failed\n", passed, failed);
}

static _Noreturn void stop(pid_t child, int signal_number, void (*figures)(void))
{
	unsigned gone = counts->gone;
	bool enough = counts->fail_fast && counts->failed > 0;
	kill(child, SIGKILL);
	wait_for_all();
	if (gone > 0)
		fprintf(stderr, "%s was removed while it was in use, so what fails now says nothing\n", places[gone - 1]);
	tell_stopped(figures);
	exit(gone > 0 ? WRONG : enough ? 1 : 128 + signal_number);
}

static _Noreturn void watch(pid_t child, const sigset_t *awaited, void (*figures)(void))
{
	int status, got = 0;
	pid_t ended;
	signal(SIGPIPE, SIG_IGN); /* who reads may be stopped too, and the places are still to be removed */
	while ((ended = waitpid(-1, &status, WNOHANG)) != child) {
		if (ended == 0 && sigwait(awaited, &got) == 0 && got != SIGCHLD)
			stop(child, got, figures);
	}
	wait_for_all();
	if (WIFSIGNALED(status))
		fprintf(stderr, "the harness itself ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
	exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

void harness_begin(uint64_t of, void (*figures)(void))
{
	sigset_t awaited, before;
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	for (size_t i = 0; i < STOPS; i++)
		sigaddset(&awaited, stops[i]);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || sigprocmask(SIG_BLOCK, &awaited, &before) != 0) {
		perror("harness");
		exit(WRONG);
	}
	counts->of = of;
	counts->fail_fast = harness_number("MF_FAIL_FAST", 0, 0, 1) != 0;
	watcher = getpid();
	setvbuf(stdout, NULL, _IOLBF, 0); /* what was printed is not lost with the child */
	pid_t child = harness_fork();
	if (child < 0) {
		perror("fork");
		exit(WRONG);
	}
	if (child > 0)
		watch(child, &awaited, figures);
	for (size_t i = 0; i < STOPS; i++)
		signal(stops[i], SIG_IGN);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Who watches kills all, this one too. */
static _Noreturn void ask_to_stop(void)
{
	kill(watcher, SIGTERM);
	for (;;)
		pause();
}

static void stop_if_gone(void)
{
	for (unsigned i = 0; i < place_count; i++) {
		if (access(places[i], F_OK) == 0 || errno != ENOENT)
			continue;
		counts->gone = i + 1;
		ask_to_stop();
	}
}

void harness_count(bool passed)
{
	if (!counts)
		return;
	if (!passed)
		stop_if_gone();
	atomic_fetch_add(passed ? &counts->passed : &counts->failed, 1);
	if (!passed && counts->fail_fast)
		ask_to_stop();
}
