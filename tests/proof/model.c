/* model.c - many seeds of model_run.h, each in a process of its own; what fails is made as short as it can be.
 *
 *   model                        MF_COUNT seeds (2000) from MF_FIRST (1) on, MF_CALLS calls each (60), MF_JOBS at once
 *   MF_SEED=N model              one, with its trace; MF_WITHOUT=3,7-9: without these calls; MF_TRACE_IO=1: with its files
 *   model --self-test COUNT      as TAP: COUNT seeds, is it exact, has it teeth? (meson test)
 * MF_LIES=PERCENT, MF_FAULTS=BITS: of the device's syncs, of the reference's rules (reference.h), to see that it is found. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model_run.h"
#include "reference.h"
#include "tests/leave.h"

#define SECONDS_A_SEED 120
#define JOBS_MAX 32
#define SHRINK_TRIES 300

static char config[256];
static unsigned seconds_a_seed = SECONDS_A_SEED;

/* ---- a configuration with everything small ---- */
static void remove_config(void)
{
	unlink(config);
}

static void write_config(void)
{
	const char *base = getenv("TMPDIR");
	snprintf(config, sizeof(config), "%.100s/mf-model-XXXXXX", base ? base : "/tmp");
	int fd = mkstemp(config);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
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
	atexit(remove_config);
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
	fflush(NULL);
	pid_t pid = pipe(ends) == 0 ? fork() : -1;
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

static void shrink(struct model_plan plan, unsigned failed_call)
{
	static bool left_out[MODEL_CALLS_MAX + 1];
	unsigned tries = 0;
	memset(left_out, 0, sizeof(left_out));
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
	printf("replay: MF_SEED=%llu MF_CALLS=%u MF_WITHOUT=", (unsigned long long)plan.seed, plan.calls);
	print_left_out(stdout, left_out, plan.calls);
	printf(" ./dev model\n");
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
	if (!result->failed)
		return;
	printf("failed: seed %llu, call %u: %s\nreplay: MF_SEED=%llu MF_CALLS=%u ./dev model\n", (unsigned long long)plan->seed, result->failed_call, result->why, (unsigned long long)plan->seed, plan->calls);
	if (sums->failed <= 3)
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
static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	if (!text || !*text)
		return otherwise;
	uint64_t value = strtoull(text, &end, 10);
	if (*end) {
		fprintf(stderr, "%s is '%s', it must be a number\n", name, text);
		exit(2);
	}
	return value;
}

static void read_left_out(const char *text, bool *left_out)
{
	while (text && *text) {
		char *end;
		unsigned long from = strtoul(text, &end, 10), to = *end == '-' ? strtoul(end + 1, &end, 10) : from;
		for (; from <= to && from <= MODEL_CALLS_MAX; from++)
			left_out[from] = true;
		text = *end == ',' ? end + 1 : "";
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
	uint64_t calls = from_environment("MF_CALLS", 60), jobs = from_environment("MF_JOBS", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	plan.calls = calls < MODEL_CALLS_MAX ? (unsigned)calls : MODEL_CALLS_MAX;
	plan.lies = (unsigned)from_environment("MF_LIES", 0);
	ref_faults = (unsigned)from_environment("MF_FAULTS", 0);
	write_config();
	if (argc > 2 && strcmp(argv[1], "--self-test") == 0) {
		plan.seed = 1;
		return self_test(plan, strtoull(argv[2], NULL, 10));
	}
	read_left_out(getenv("MF_WITHOUT"), left_out);
	plan.seed = from_environment("MF_SEED", 0);
	if (plan.seed)
		return show_one(plan);
	plan.seed = from_environment("MF_FIRST", 1);
	struct sums sums = run_many(&plan, from_environment("MF_COUNT", 2000), jobs < 1 ? 1 : jobs < JOBS_MAX ? (unsigned)jobs : JOBS_MAX, isatty(2));
	return report(&sums);
}
