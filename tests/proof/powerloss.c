/* powerloss.c - the row `./dev powerloss`: sessions (power.h) on several processes until enough states were tried.
 *
 * Its usage (powerloss --help) says how to run it. */
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

#include "calls.h"
#include "harness.h"
#include "oplog.h"
#include "power.h"
#include "recorder.h"
#include "tests/leave.h"

#define PER_SESSION 2500 /* states, at most */
#define JOBS 16

static const char usage[] = "usage: powerloss [--seed N] [--states N] [--jobs N] [--save DIR] [--kind N] [--lies N]\n"
			    "       powerloss --replay RECORDING CUT CHOICE [KEEP_DIR]   one state again, as a failure prints it; KEEP_DIR: it is left there\n"
			    "       powerloss --show RECORDING                           what is in it\n"
			    "       powerloss --live DIR                                 one life on an empty directory; MF_RECORDING: its recording\n"
			    "  MF_COUNT=50000   so many states\n"
			    "  MF_SEED=1        what is done; the clock's, if it is not set, and printed\n"
			    "  MF_JOBS=2        so many at once\n"
			    "--kind: one load only (power.c); --lies: what the device does not do (recorder.h). The last line is \"N passed, M failed\", in states.\n";
static char scratch[128];
static struct power_tally *tally;
static atomic_size_t *next_session;

static void tell(const char *text)
{
	static size_t told;
	if (told++ < 10 && write(STDERR_FILENO, text, strlen(text)) < 0)
		told--;
}

struct job {
	uint64_t seed;
	size_t states, jobs;
	const char *save;
	uint32_t kind;
	unsigned lies;
};

static int work(const struct job *job, int number)
{
	char dir[160];
	snprintf(dir, sizeof(dir), "%s/%d", scratch, number);
	if (mkdir(dir, 0700) != 0) {
		perror(dir);
		harness_count(false);
		return 1;
	}
	while (atomic_load(&tally->states) < job->states) {
		size_t session = atomic_fetch_add(next_session, 1), done = atomic_load(&tally->states);
		size_t left = done < job->states ? (job->states - done) / job->jobs + 1 : 1, share = job->states / (2 * power_kinds()) + 1;
		share = share < PER_SESSION ? share : PER_SESSION;
		/* One kind of load after the other, so that a short run has them all. */
		struct power_plan plan = {.scratch = dir, .save = job->save, .seed = job->seed + 1000003 * session, .states = left < share ? left : share, .lies = job->lies, .tell = tell};
		plan.kind = job->kind != POWER_ANY ? job->kind : (uint32_t)(session % power_kinds());
		if (plan.kind == POWER_MEMORY) /* of a life in memory little is left to look at */
			plan.states = plan.states / 10 + 1;
		if (!power_session(&plan, tally)) {
			fprintf(stderr, "session with seed %" PRIu64 " (%s) could not be carried out\n", plan.seed, power_kind_name(plan.kind));
			atomic_fetch_add(&tally->failures, 1);
			harness_count(false);
			return 1;
		}
	}
	return 0;
}

static void show_progress(size_t states, time_t begun)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%zu of %zu states, %zu failed, %lld s ", atomic_load(&tally->states), states, atomic_load(&tally->failures), (long long)(time(NULL) - begun));
}

static int run(const struct job *job)
{
	int running = 0, failed = 0;
	time_t begun = time(NULL);
	printf("powerloss: seed %" PRIu64 "\n", job->seed);
	for (; running < (int)job->jobs; running++) {
		pid_t child = harness_fork();
		if (child == 0)
			leave(work(job, running));
		if (child < 0)
			break;
	}
	while (running > 0) {
		int status;
		pid_t child = waitpid(-1, &status, WNOHANG);
		if (child > 0) {
			running--;
			failed += status != 0;
		} else {
			show_progress(job->states, begun);
			nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
		}
	}
	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
	size_t states = atomic_load(&tally->states), failures = atomic_load(&tally->failures) + (size_t)failed;
	printf("powerloss: %zu states (%zu repeats left out) of %zu recordings (%zu operations) in %zu sessions, %lld s; in %zu the recovery from a power loss was cut\n", states,
	       atomic_load(&tally->repeats), atomic_load(&tally->recordings), atomic_load(&tally->ops), atomic_load(&tally->sessions), (long long)(time(NULL) - begun), atomic_load(&tally->later));
	printf("  %zu acknowledged events looked for; %zu states rightly lost some that were only written, %zu at most; %zu events there whose acknowledgement was never heard\n",
	       atomic_load(&tally->acknowledged), atomic_load(&tally->lossy), atomic_load(&tally->most_lost), atomic_load(&tally->unheard));
	printf("  %zu states without any event; %zu backup files and %zu restored stores that were there, each whole\n", atomic_load(&tally->empty), atomic_load(&tally->backups),
	       atomic_load(&tally->restored));
	printf("%zu passed, %zu failed\n", states - atomic_load(&tally->failures), failures);
	return failures == 0 && states > 0 ? 0 : 1;
}

static int live(const char *dir)
{
	struct power_plan plan = {.scratch = scratch, .save = getenv("MF_RECORDING"), .seed = harness_number("MF_SEED", 1, 0, UINT64_MAX), .kind = POWER_EVERYTHING, .batches = 400};
	if (!power_live(&plan, dir))
		return 1;
	for (int kind = 0; kind < CALLS_KINDS; kind++)
		printf("%s %lld\n", calls_kind_name((enum calls_kind)kind), (long long)calls_seen_of((enum calls_kind)kind));
	return 0;
}

/* Ends with 2 if it cannot. */
static void load(struct oplog *log, const char *recording)
{
	if (oplog_load(log, recording))
		return;
	if (errno)
		fprintf(stderr, "%s cannot be read: %s\n", recording, strerror(errno));
	else
		fprintf(stderr, "%s is no recording\n", recording);
	exit(2);
}

/* What is in a recording, a line each. */
static int show(const char *recording)
{
	struct oplog log;
	char line[600];
	load(&log, recording);
	for (size_t i = 0; i < log.count; i++)
		printf("%zu %s%s\n", i, i < log.base ? "(there) " : "", op_tell(&log, i, line, sizeof(line)));
	oplog_deinit(&log);
	return 0;
}

static void read_option(struct job *job, const char *name, const char *value)
{
	if (!value)
		harness_usage(usage, name);
	if (strcmp(name, "--seed") == 0)
		job->seed = harness_parse(name, value, 0, UINT64_MAX);
	else if (strcmp(name, "--states") == 0)
		job->states = harness_parse(name, value, 1, HARNESS_MANY);
	else if (strcmp(name, "--jobs") == 0)
		job->jobs = harness_parse(name, value, 1, JOBS);
	else if (strcmp(name, "--save") == 0)
		job->save = value;
	else if (strcmp(name, "--kind") == 0)
		job->kind = (uint32_t)harness_parse(name, value, 0, power_kinds() - 1);
	else if (strcmp(name, "--lies") == 0)
		job->lies = (unsigned)harness_parse(name, value, 0, RECORDER_LIES_MAX);
	else
		harness_usage(usage, name);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	bool replays = strcmp(what, "--replay") == 0 && (argc == 5 || argc == 6), lives = strcmp(what, "--live") == 0 && argc == 3;
	struct job job = {.seed = harness_number("MF_SEED", (uint64_t)time(NULL), 0, UINT64_MAX), .states = harness_number("MF_COUNT", 50000, 1, HARNESS_MANY), .kind = POWER_ANY};
	job.jobs = harness_jobs(1, JOBS);
	size_t cut = 0;
	uint32_t choice = 0;
	struct oplog recording = {0};
	if (strcmp(what, "--show") == 0 && argc == 3)
		return show(argv[2]);
	if (replays) {
		load(&recording, argv[2]);
		cut = harness_parse("CUT", argv[3], 0, recording.count);
		choice = (uint32_t)harness_parse("CHOICE", argv[4], 0, UINT32_MAX);
	} else if (!lives) {
		for (int i = 1; i < argc; i += 2)
			read_option(&job, argv[i], argv[i + 1]);
	}
	tally = mmap(NULL, sizeof(*tally) + sizeof(*next_session), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED) {
		perror("powerloss");
		return 1;
	}
	next_session = (atomic_size_t *)(tally + 1);
	harness_make_place(scratch, sizeof(scratch), "powerloss");
	harness_begin(replays ? 1 : lives ? 0 : job.states, NULL);
	if (!power_load_plugins(scratch))
		return 1;
	if (lives)
		return live(argv[2]);
	int ended = replays ? !power_replay(&recording, cut, choice, scratch, argc > 5 ? argv[5] : NULL) : run(&job);
	oplog_deinit(&recording);
	return ended;
}
