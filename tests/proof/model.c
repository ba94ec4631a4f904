/* model.c - many seeds of model_run.h, each in a process of its own; what fails is made as short as it can be.
 *
 * Its usage (model --help) says how to run it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "model_run.h"
#include "reference.h"
#include "tests/leave.h"

#define SECONDS_A_SEED 120
#define JOBS_MAX 32
#define SHRINK_TRIES 300

static const char usage[] = "usage: model [--self-test COUNT | --help]\n"
			    "  MF_COUNT=2000      so many seeds, from MF_SEED or MF_FIRST (1) on\n"
			    "  MF_SEED=17         without MF_COUNT: only this one, with its trace\n"
			    "  MF_CALLS=60        calls of each\n"
			    "  MF_WITHOUT=3,7-9   without these calls\n"
			    "  MF_TRACE_IO=1      a trace with the calls on files\n"
			    "  MF_JOBS=4          so many at once\n"
			    "  MF_LIES=PERCENT, MF_FAULTS=BITS   of the device's syncs, of the reference's rules (reference.h), to see that it is found\n"
			    "--self-test, as TAP: COUNT seeds, is it exact, has it teeth? The last line is \"N passed, M failed\", in seeds.\n";
static char config[256];
static unsigned seconds_a_seed = SECONDS_A_SEED;

/* ---- a configuration with everything small ---- */
static void write_config(void)
{
	char dir[200];
	harness_make_place(dir, sizeof(dir), "model");
	snprintf(config, sizeof(config), "%s/plugins.json", dir);
	FILE *file = fopen(config, "w");
	if (!file) {
		fprintf(stderr, "%s: %s\n", config, strerror(errno));
		exit(2);
	}
	fprintf(file,
		"{\"plugin_dirs\": [\"%s/plugins\", \"%s/stepfactories\"], \"max_loaded_documents\": 2, \"plugins\": [{\"name\": \"node_steps\"}, {\"name\": \"mark_steps\"}, {\"name\": \"text_steps\"},\n"
		"{\"name\": \"snapshot_subscriber\", \"config\": {\"history_limit\": %d, \"snapshot_every_n_events\": 7, \"snapshot_every_ms\": 60000, \"keep_snapshots\": 2,\n"
		"\"full_snapshot_every\": 3, \"checkpoint_pages\": 30, \"compression_threshold\": 64}}]}\n",
		MF_TEST_BUILD, MF_TEST_BUILD, REF_LIMIT);
	if (fclose(file) != 0)
		exit(2);
}

/* ---- one seed in a child ---- */
struct child {
	pid_t pid; /* 0: none */
	int from;
	uint64_t seed;
};

static void be_child(const struct model_plan *plan, int to)
{
	struct model_result result;
	alarm(seconds_a_seed);
	model_run(plan, &result);
	if (plan->trace)
		fflush(plan->trace);
	ssize_t put = write(to, &result, sizeof(result));
	leave(put == (ssize_t)sizeof(result) ? 0 : 4); /* threads of dead processes are still there */
}

static struct child begin(const struct model_plan *plan)
{
	int ends[2];
	pid_t pid = pipe(ends) == 0 ? harness_fork() : -1;
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid == 0) {
		close(ends[0]);
		be_child(plan, ends[1]);
	}
	close(ends[1]);
	return (struct child){pid, ends[0], plan->seed};
}

/* The child has ended, or will soon. */
static void finish(const struct child *child, struct model_result *out)
{
	int how = 0;
	if (read(child->from, out, sizeof(*out)) != (ssize_t)sizeof(*out)) {
		memset(out, 0, sizeof(*out));
		out->failed = true;
	}
	close(child->from);
	while (waitpid(child->pid, &how, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(how)) {
		out->failed = true;
		snprintf(out->why, sizeof(out->why), WTERMSIG(how) == SIGALRM ? "it did not end within %u s" : "it ended by signal %d", WTERMSIG(how) == SIGALRM ? seconds_a_seed : (unsigned)WTERMSIG(how));
	} else if (WEXITSTATUS(how) != 0) {
		out->failed = true;
		snprintf(out->why, sizeof(out->why), "it exited with %d", WEXITSTATUS(how));
	}
}

static struct model_result run_one(const struct model_plan *plan)
{
	struct model_result result;
	struct child child = begin(plan);
	finish(&child, &result);
	return result;
}

/* ---- shrinking: calls are left out as long as it still fails ---- */
static bool fails_without(const struct model_plan *plan, unsigned from, unsigned to, bool *left_out, unsigned *tries)
{
	bool before[MODEL_CALLS_MAX + 1], any = false;
	memcpy(before, left_out, sizeof(before));
	for (unsigned call = from; call <= to; call++) {
		any |= !left_out[call];
		left_out[call] = true;
	}
	if (any && *tries < SHRINK_TRIES) {
		++*tries;
		if (run_one(plan).failed)
			return true;
	}
	memcpy(left_out, before, sizeof(before));
	return false;
}

static void print_left_out(FILE *out, const bool *left_out, unsigned calls)
{
	const char *comma = "";
	for (unsigned call = 1; call <= calls; call++) {
		unsigned last = call;
		while (left_out[call] && last < calls && left_out[last + 1])
			last++;
		if (left_out[call])
			fprintf(out, last > call ? "%s%u-%u" : "%s%u", comma, call, last);
		if (left_out[call])
			comma = ",";
		call = last;
	}
}

/* What plays it again: all that decides what is done. */
static void print_replay(const struct model_plan *plan)
{
	bool any = false;
	printf("replay: ");
	if (plan->lies)
		printf("MF_LIES=%u ", plan->lies);
	if (ref_faults)
		printf("MF_FAULTS=%u ", ref_faults);
	printf("MF_SEED=%llu MF_CALLS=%u ", (unsigned long long)plan->seed, plan->calls);
	for (unsigned call = 1; call <= plan->calls; call++)
		any = any || plan->left_out[call];
	if (any) {
		printf("MF_WITHOUT=");
		print_left_out(stdout, plan->left_out, plan->calls);
		printf(" ");
	}
	printf("./dev model\n");
}

static void shrink(struct model_plan plan, unsigned failed_call)
{
	static bool left_out[MODEL_CALLS_MAX + 1];
	unsigned tries = 0;
	memcpy(left_out, plan.left_out, sizeof(left_out)); /* what the user leaves out stays out */
	plan.left_out = left_out;
	plan.trace = NULL;
	if (!run_one(&plan).failed) {
		printf("seed %llu does not fail again: what failed was beside it (its build, the machine), or the seed is not exact\n", (unsigned long long)plan.seed);
		return;
	}
	if (failed_call && failed_call < plan.calls)
		(void)fails_without(&plan, failed_call + 1, plan.calls, left_out, &tries);
	for (unsigned size = plan.calls / 2; size > 0; size /= 2)
		for (unsigned from = 1; from <= plan.calls; from += size)
			(void)fails_without(&plan, from, from + size - 1 < plan.calls ? from + size - 1 : plan.calls, left_out, &tries);
	unsigned kept = 0;
	for (unsigned call = 1; call <= plan.calls; call++)
		kept += !left_out[call];
	printf("seed %llu fails with %u of its %u calls (%u tries):\n", (unsigned long long)plan.seed, kept, plan.calls, tries);
	plan.trace = stdout;
	(void)run_one(&plan);
	print_replay(&plan);
}

/* ---- many ---- */
struct sums {
	uint64_t passed, failed, calls, io_calls, events, deaths, power_losses, faults, switches;
	int64_t simulated_us;
};

static void add(struct sums *sums, const struct model_plan *plan, const struct model_result *result)
{
	sums->calls += result->trace_lines;
	sums->io_calls += result->io_calls;
	sums->events += result->events;
	sums->deaths += result->deaths;
	sums->power_losses += result->power_losses;
	sums->faults += result->faults;
	sums->switches += result->switches;
	sums->simulated_us += result->simulated_us;
	*(result->failed ? &sums->failed : &sums->passed) += 1;
	if (result->failed) {
		printf("failed: seed %llu, call %u: %s\n", (unsigned long long)plan->seed, result->failed_call, result->why);
		print_replay(plan);
	}
	harness_count(!result->failed);
	if (result->failed && sums->failed <= 3)
		shrink(*plan, result->failed_call);
}

/* Children end in any order; they are taken in the order of their seeds, so that what is printed is the same each time. */
static struct sums run_many(const struct model_plan *plan, uint64_t count, unsigned jobs, bool progress)
{
	struct child children[JOBS_MAX];
	struct sums sums = {0};
	uint64_t begun = 0, ended = 0;
	while (ended < count) {
		struct model_plan next = *plan;
		for (; begun < count && begun - ended < jobs; begun++) {
			next.seed = plan->seed + begun;
			children[begun % JOBS_MAX] = begin(&next);
		}
		struct model_result result;
		next.seed = plan->seed + ended;
		finish(&children[ended % JOBS_MAX], &result);
		add(&sums, &next, &result);
		ended++;
		if (progress && (ended % 20 == 0 || ended == count))
			fprintf(stderr, "\r%llu of %llu seeds, %llu failed", (unsigned long long)ended, (unsigned long long)count, (unsigned long long)sums.failed);
	}
	if (progress)
		fprintf(stderr, "\n");
	return sums;
}

static int report(const struct sums *sums)
{
	printf("%llu calls, %llu events at the end, %llu deaths of the process (%llu of them losses of power), %llu changing file calls, %llu file calls that failed, %llu thread switches, %.1f hours of simulated time\n",
	       (unsigned long long)sums->calls, (unsigned long long)sums->events, (unsigned long long)sums->deaths, (unsigned long long)sums->power_losses, (unsigned long long)sums->io_calls, (unsigned long long)sums->faults,
	       (unsigned long long)sums->switches, (double)sums->simulated_us / 3.6e9);
	printf("%llu passed, %llu failed\n", (unsigned long long)sums->passed, (unsigned long long)sums->failed);
	return sums->failed > 0 || sums->passed == 0;
}

/* ---- the harness itself ---- */
static int tap_number, tap_failed;

static void tap(bool good, const char *name)
{
	printf("%s %d - %s\n", good ? "ok" : "not ok", ++tap_number, name);
	tap_failed += !good;
}

static bool caught(struct model_plan plan, unsigned within)
{
	for (unsigned i = 0; i < within; i++, plan.seed++)
		if (run_one(&plan).failed)
			return true;
	return false;
}

static int self_test(struct model_plan plan, uint64_t count)
{
	bool exact = true;
	printf("1..6\n");
	struct sums sums = run_many(&plan, count, 1, false);
	tap(sums.failed == 0 && sums.passed == count, "seeds agree with the reference");
	for (unsigned i = 0; i < 8; i++) {
		struct model_result first = run_one(&plan), second = run_one(&plan);
		exact = exact && !first.failed && first.trace_hash == second.trace_hash && first.io_calls == second.io_calls && first.switches == second.switches;
		plan.seed++;
	}
	tap(exact, "a seed replays exactly: calls, answers, files and switches");
	static const char *const names[] = {"a move that counts before is caught", "an undo that keeps what could be redone is caught", "a key that is forgotten is caught"};
	for (unsigned i = 0; i < 3; i++) {
		ref_faults = 1u << i;
		tap(caught(plan, 60), names[i]);
	}
	ref_faults = 0;
	plan.lies = 30;
	tap(caught(plan, 60), "a device that does not sync is caught");
	return tap_failed > 0;
}

/* ---- what is asked for ---- */
/* "3,7-9" */
static void read_left_out(const char *text, bool *left_out)
{
	for (const char *at = text; at && *at;) {
		unsigned from = 0, to = 0;
		int len = 0;
		bool range = sscanf(at, "%4u-%4u%n", &from, &to, &len) == 2 && len > 0;
		if (!range && sscanf(at, "%4u%n", &from, &len) == 1)
			to = from;
		if (from < 1 || to < from || to > MODEL_CALLS_MAX || (at[len] && (at[len] != ',' || !at[len + 1]))) {
			fprintf(stderr, "MF_WITHOUT is '%s', it must be numbers of calls like 3,7-9\n", text);
			exit(2);
		}
		for (; from <= to; from++)
			left_out[from] = true;
		at += len + (at[len] == ',');
	}
}

static int show_one(struct model_plan plan)
{
	struct sums sums = {0};
	plan.trace = stdout;
	struct model_result result = run_one(&plan);
	printf("trace hash %016llx\n", (unsigned long long)result.trace_hash);
	if (result.failed)
		printf("call %u: %s\n", result.failed_call, result.why);
	*(result.failed ? &sums.failed : &sums.passed) = 1;
	printf("%llu passed, %llu failed\n", (unsigned long long)sums.passed, (unsigned long long)sums.failed);
	return result.failed;
}

int main(int argc, char **argv)
{
	static bool left_out[MODEL_CALLS_MAX + 1];
	struct model_plan plan = {.config = config, .left_out = left_out};
	bool self_tests = argc == 3 && strcmp(argv[1], "--self-test") == 0;
	if (argc > 1 && !self_tests)
		harness_usage(usage, argv[1]);
	plan.calls = (unsigned)harness_number("MF_CALLS", 60, 1, MODEL_CALLS_MAX);
	plan.lies = (unsigned)harness_number("MF_LIES", 0, 0, 100);
	ref_faults = (unsigned)harness_number("MF_FAULTS", 0, 0, 7);
	uint64_t seed = harness_number("MF_SEED", 0, 1, UINT64_MAX - HARNESS_MANY), count = harness_number("MF_COUNT", 0, 1, HARNESS_MANY);
	uint64_t jobs = harness_jobs(2, JOBS_MAX); /* a fourth of their time they wait for threads of their own */
	bool one = seed > 0 && count == 0;
	plan.seed = seed > 0 ? seed : harness_number("MF_FIRST", 1, 1, UINT64_MAX - HARNESS_MANY);
	if (self_tests) {
		count = harness_parse("COUNT", argv[2], 1, HARNESS_MANY);
		plan.seed = 1;
	} else {
		read_left_out(getenv("MF_WITHOUT"), left_out);
	}
	if (count == 0)
		count = one ? 1 : 2000;
	write_config();
	harness_begin(self_tests ? HARNESS_OPEN : count, NULL);
	if (self_tests)
		return self_test(plan, count);
	if (one)
		return show_one(plan);
	printf("seeds %llu to %llu\n", (unsigned long long)plan.seed, (unsigned long long)(plan.seed + count - 1));
	struct sums sums = run_many(&plan, count, (unsigned)jobs, isatty(2));
	return report(&sums);
}
