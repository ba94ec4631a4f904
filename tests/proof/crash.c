/* crash.c - kill -9 at random moments, in every mode, with everything going on; the oracle after each.
 *
 * Its usage (crash --help) says how to run it.
 *
 * A cycle is a store with one to five lives. In each a child commits (workload.h) and says what it is told into a pipe,
 * snapshots are taken, documents compacted, followers keep checkpoints, a thread or another process backs up; then it is
 * killed: so long after its start (which may be in the middle of its recovery), or a moment after so many acknowledgements,
 * compactions, snapshots or backups that had begun. Afterwards, mostly, the oracle (oracle.h) is asked; sometimes only
 * after several kills in a row.
 *
 * In one life in four the files are also copied while they are written to, as cp would: such a copy is no backup, but it opens
 * with what its own watermark says at least, or is refused as damaged (the oracle's ORACLE_COPIED), and the original is as sound
 * as ever.
 *
 * What a seed decides is what is submitted and what a kill waits for; to the microsecond the moment is the machine's. So what
 * the oracle was asked in a cycle that failed is left (evidence.h), and --ask asks it once more, exactly.
 * Told to stop it says what it has seen by then. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crash_cycle.h"
#include "evidence.h"
#include "harness.h"
#include "tests/leave.h"

#define WORKERS 2
#define CYCLE_SECONDS 120 /* then it hangs */
#define ASKED_MAX 20

/* Shared with the workers. */
struct worker {
	pid_t pid;
	uint64_t next; /* the cycle that it is at */
	struct crash_figures figures;
};

static const char usage[] = "usage: crash [--ask FOLDER | --help]\n"
			    "  MF_COUNT=1000   so many cycles, two at once\n"
			    "  MF_SEED=1       what they do; the clock's, if it is not set, and printed\n"
			    "  MF_CYCLE=17     only this one of them\n"
			    "  MF_KEEP=1       leaves the files of a cycle that failed\n"
			    "  MF_LIE=1        the oracle is told of a commit that never was, at the end: most cycles must fail\n"
			    "  MF_LIE=2        who asks the oracle dies of it: all must fail\n"
			    "  MF_EVIDENCE=DIR where a cycle that failed leaves the store, the ledger and the answer (crash/ in the build)\n"
			    "  --ask FOLDER    asks the oracle about one of these again, in a copy\n"
			    "The last line is \"N passed, M failed\", in cycles.\n";
static struct worker *workers;
static uint64_t worker_count;

static void work(struct worker *worker, uint64_t seed, uint64_t end)
{
	for (; worker->next < end; worker->next += worker_count) {
		alarm(CYCLE_SECONDS);
		harness_count(crash_cycle(seed, worker->next, &worker->figures));
	}
	alarm(0);
}

static void start(struct worker *worker, uint64_t seed, uint64_t end)
{
	pid_t pid = harness_fork();
	if (pid == 0) {
		work(worker, seed, end);
		leave(0);
	}
	worker->pid = pid; /* shared: the child must not set it */
}

static void add(struct crash_figures *sum, const struct crash_figures *more)
{
	const uint64_t *from = (const uint64_t *)(const void *)more;
	uint64_t *to = (uint64_t *)(void *)sum;
	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static struct crash_figures sum_of_all(void)
{
	struct crash_figures sum = {0};
	for (uint64_t i = 0; i < worker_count; i++)
		add(&sum, &workers[i].figures);
	return sum;
}

static void tell_died(struct worker *worker, int status, uint64_t seed)
{
	char text[128];
	snprintf(text, sizeof(text), "the oracle's process ended with status %d (%s)", status, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit");
	printf("# cycle %" PRIu64 ": %s\n", worker->next, text);
	fflush(stdout);
	crash_leave_evidence(seed, worker->next, &worker->figures, text);
}

/* Waits for all; a worker that a cycle has taken with it goes on with the one after it. */
static void supervise(uint64_t seed, uint64_t end)
{
	bool terminal = isatty(STDERR_FILENO);
	for (uint64_t running = worker_count; running > 0;) {
		int status;
		pid_t pid = waitpid(-1, &status, terminal ? WNOHANG : 0);
		if (pid == 0) {
			nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
			fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " cycles ", sum_of_all().cycles, end);
			continue;
		}
		if (pid < 0 && errno != EINTR) {
			perror("waitpid");
			return;
		}
		for (uint64_t i = 0; i < worker_count; i++) {
			if (workers[i].pid != pid)
				continue;
			running--;
			if (status == 0)
				continue;
			tell_died(&workers[i], status, seed);
			workers[i].figures.cycles++;
			workers[i].figures.failed++;
			harness_count(false);
			workers[i].next += worker_count;
			running++;
			start(&workers[i], seed, end);
		}
	}
	if (terminal)
		fprintf(stderr, "\r\033[K");
}

static void print_figures(const struct crash_figures *f)
{
	printf("# %" PRIu64 " kills (%" PRIu64 " before the store was open, %" PRIu64 " with compactions or backups), %" PRIu64 " runs that ended before; lives in memory, async, sync: %" PRIu64
	       ", %" PRIu64 ", %" PRIu64 "\n",
	       f->kills, f->early_kills, f->side_kills, f->closed, f->mode_lives[0], f->mode_lives[1], f->mode_lives[2]);
	printf("# the oracle looked at %" PRIu64 " events submitted (again after each kill), %" PRIu64 " acknowledged, %" PRIu64 " recovered (%" PRIu64 " of them unheard of, %" PRIu64 " compacted)\n", f->submitted, f->acknowledged,
	       f->recovered, f->unheard, f->compacted);
	printf("# %" PRIu64 " follower checkpoints looked at, %" PRIu64 " backups restored, %" PRIu64 " lives with a backup that was killed\n", f->checkpoints, f->backups, f->backup_kills);
	printf("# %" PRIu64 " copies of a store that was written to, %" PRIu64 " of them refused as damaged; %" PRIu64 " ms with the oracle, of them %" PRIu64 " ms to keep what it is asked, %" PRIu64 " ms with what was killed\n",
	       f->copies, f->copies_refused, f->oracle_ms, f->evidence_us / 1000, f->life_ms);
}

static void print_all_figures(void)
{
	struct crash_figures sum = sum_of_all();
	print_figures(&sum);
}

static void print_answer(const char *text)
{
	printf("%s%s", text[0] ? text : "sound", text[0] && text[strlen(text) - 1] == '\n' ? "" : "\n");
}

/* What threads of the store do while the oracle has it open (a snapshot by time, say) is not in a question. So it is asked until the
 * answer is the run's. 0: none was worse than it must be. */
static int ask_again(const char *folder)
{
	static char place[72], copy[96], answer[EVIDENCE_TEXT], said[EVIDENCE_TEXT];
	struct oracle_report report;
	enum oracle_crash crash;
	bool fine = true, same = false;
	int times = 0;
	harness_make_place(place, sizeof(place), "crash");
	harness_begin(0, NULL);
	while (times < ASKED_MAX && !same) {
		snprintf(copy, sizeof(copy), "%s/%d", place, ++times);
		alarm(CYCLE_SECONDS);
		if (mkdir(copy, 0700) != 0 || !evidence_ask(folder, copy, &crash, &report, answer, said))
			return 2;
		same = strcmp(answer, said) == 0;
		fine = fine && oracle_is_fine(crash, &report);
		if (!getenv("MF_KEEP"))
			harness_remove_place(copy);
	}
	print_answer(answer);
	if (same && times > 1)
		printf("# as the run said, the %d. time that it was asked\n", times);
	if (!same) {
		printf("# asked %d times it never said what the run said:\n", times);
		print_answer(said);
	}
	printf("%d passed, %d failed\n", fine, !fine);
	return !fine;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--ask") == 0)
		return ask_again(argv[2]);
	if (argc > 1)
		harness_usage(usage, argv[1]);
	uint64_t seed = harness_number("MF_SEED", (uint64_t)time(NULL), 0, UINT64_MAX), one = harness_number("MF_CYCLE", UINT64_MAX, 0, HARNESS_MANY);
	uint64_t first = one == UINT64_MAX ? 0 : one, end = one == UINT64_MAX ? harness_number("MF_COUNT", 1000, 1, HARNESS_MANY) : one + 1;
	(void)harness_number("MF_LIE", 0, 0, 2); /* a wrong one is refused before there are workers */
	worker_count = end - first < WORKERS ? 1 : WORKERS;
	workers = mmap(NULL, WORKERS * sizeof(*workers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (workers == MAP_FAILED)
		return 1;
	printf("# seed %" PRIu64 "\n", seed);
	crash_make_places();
	harness_begin(end - first, print_all_figures);
	for (uint64_t i = 0; i < worker_count; i++) {
		workers[i].next = first + i;
		start(&workers[i], seed, end);
	}
	supervise(seed, end);
	struct crash_figures sum = sum_of_all();
	print_figures(&sum);
	bool idle = sum.kills == 0 && end - first > 1; /* what a single cycle waits for need not come */
	bool fine = sum.failed == 0 && !idle;
	if (idle)
		printf("# nobody was killed, which proves nothing\n");
	if (getenv("MF_TAP"))
		printf("1..1\n%s 1 - %" PRIu64 " cycles\n", fine ? "ok" : "not ok", sum.cycles);
	else
		printf("%" PRIu64 " passed, %" PRIu64 " failed\n", sum.cycles - sum.failed, sum.failed);
	return fine ? 0 : 1;
}
