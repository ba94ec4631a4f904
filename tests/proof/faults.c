/* faults.c - every system call of every scene is struck in turn, once and for ever.
 *
 *   faults                                        all of it; the last line is "N passed, M failed"
 *   faults --tap --every 30                       one plan in 30, as a test of the suite
 *   faults --tap --name "what it shows" PLAN      a plan that once found something
 *   faults --self-test                            whether a call that is never struck fails it
 *   faults append-sync                            one scene
 *   faults append-sync:write:log:3:enospc:ever    exactly that plan
 *
 * MF_WORKLOADS=3: after the scenes two more sets of workloads, drawn from MF_SEED and the number after it; MF_SEED also chooses
 * which one of so many; MF_JOBS how many run at once. A plan counts as one. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault_run.h"
#include "harness.h"
#include "tests/leave.h"

#define MOST_JOBS 16
#define WHY 3000
#define MOST_TOLD 20 /* findings of a scene that are printed */
#define TRIES 10     /* a call that did not come, because another thread makes it when it does, is tried again */
#define COUNTS 3     /* times that the calls of a scene are counted, for all that come now and then */

struct tally {
	_Atomic unsigned passed, failed, missed, told;
	_Atomic unsigned missed_steady; /* of those missed: calls that are made each time */
	_Atomic unsigned done;
};

static const char *program;
static bool tap, alone;
static const char *test_name;
static unsigned every = 1, jobs = 2;
static unsigned invented; /* plans of calls that there are not, added to each scene: a test of the test */
static unsigned long long seed, drawn_from;
static char base[128];
static struct tally *tally; /* shared */
static fault_traits *traits, *counted; /* shared: of all counts, of one */

/* ---- the plans of a scene ---- */

struct plans {
	struct fault_plan *list;
	size_t count, room;
};

static void add(struct plans *plans, const struct fault_plan *plan)
{
	if (plans->count == plans->room) {
		plans->room = plans->room ? plans->room * 2 : 256;
		plans->list = realloc(plans->list, plans->room * sizeof(*plans->list));
		if (!plans->list)
			abort();
	}
	plans->list[plans->count++] = *plan;
}

/* Of one call: each fault that it may suffer, once and for ever. Returns whether there is one. */
static bool add_call(struct plans *plans, struct fault_plan plan)
{
	uint16_t may = (*traits)[plan.kind][plan.file][plan.number];
	for (size_t i = 0; i < fault_count; i++) {
		if (!(may & 1u << i))
			continue;
		plan.fault = &fault_list[i];
		for (int ever = 0; ever <= !fault_list[i].once_only; ever++) {
			plan.ever = ever;
			add(plans, &plan);
		}
	}
	return may != 0;
}

static unsigned list_plans(struct plans *plans)
{
	unsigned calls = 0;
	struct fault_plan plan = {0};
	for (int kind = 0; kind < CALLS_KINDS; kind++)
		for (int file = 0; file < FAULT_FILES; file++)
			for (int64_t number = 1; number < FAULT_MOST; number++) {
				plan.kind = (enum calls_kind)kind;
				plan.file = (enum fault_file)file;
				plan.number = number;
				calls += add_call(plans, plan);
			}
	return calls;
}

/* A part of them, spread over all kinds of calls. */
static void thin_out(struct plans *plans)
{
	size_t kept = 0;
	for (size_t i = seed % every; i < plans->count; i += every)
		plans->list[kept++] = plans->list[i];
	plans->count = kept;
}

/* ---- running them ---- */

static void tell(const struct scene_kind *kind, const struct fault_plan *plan, const char *why)
{
	char name[80];
	fault_plan_tell(plan, name, sizeof(name));
	printf("# %s:%s\n", kind->name, name);
	for (const char *line = why; *line;) {
		size_t len = strcspn(line, "\n");
		printf("#   %.*s\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
	printf("#   again: MF_SEED=%llu %s %s:%s\n", drawn_from, program, kind->name, name);
	fflush(stdout);
}

static void run_one(struct fault_bench *bench, const struct scene_kind *kind, const char *template_dir, const struct fault_plan *plan)
{
	char why[WHY];
	enum fault_outcome outcome = FAULT_NOT_REACHED;
	for (int i = 0; i < TRIES && outcome == FAULT_NOT_REACHED; i++)
		outcome = fault_bench_run(bench, kind, template_dir, plan, why, sizeof(why));
	tally->done++;
	tally->passed += outcome == FAULT_PASSED;
	tally->missed += outcome == FAULT_NOT_REACHED;
	tally->missed_steady += outcome == FAULT_NOT_REACHED && kind->calls == SCENE_STEADY && plan->file != FAULT_METRICS;
	tally->failed += outcome == FAULT_FAILED;
	if (outcome == FAULT_FAILED && (tally->told++ < MOST_TOLD || alone))
		tell(kind, plan, why);
	if (outcome == FAULT_NOT_REACHED && (tally->told++ < MOST_TOLD || alone))
		tell(kind, plan, "the call was not made");
	if (outcome != FAULT_NOT_REACHED)
		harness_count(outcome == FAULT_PASSED);
}

static void work(unsigned job, const struct scene_kind *kind, const char *template_dir, const struct plans *plans)
{
	struct fault_bench *bench = fault_bench_new(base, job, drawn_from);
	for (size_t i = job; i < plans->count; i += jobs)
		run_one(bench, kind, template_dir, &plans->list[i]);
	fault_bench_free(bench);
	fflush(stdout);
	leave(0);
}

static void show_progress(const struct scene_kind *kind, size_t count, bool last)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%-14s %u of %zu%s", kind->name, tally->done, count, last ? "\r\033[K" : "");
}

static void run_all(const struct scene_kind *kind, const char *template_dir, const struct plans *plans)
{
	pid_t workers[MOST_JOBS];
	const struct timespec moment = {.tv_nsec = 100000000};
	for (unsigned job = 0; job < jobs; job++) {
		workers[job] = harness_fork();
		if (workers[job] == 0)
			work(job, kind, template_dir, plans);
		if (workers[job] < 0)
			abort();
	}
	for (unsigned job = 0; job < jobs; job++) {
		int status;
		while (waitpid(workers[job], &status, WNOHANG) == 0) {
			show_progress(kind, plans->count, false);
			(void)nanosleep(&moment, NULL);
		}
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			tally->failed++;
	}
	show_progress(kind, plans->count, true);
}

/* ---- a scene ---- */

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* All calls that there ever were; but of the file of counters, which is saved beside everything, those that there always are. */
static void add_counted(bool first)
{
	for (int kind = 0; kind < CALLS_KINDS; kind++)
		for (int file = 0; file < FAULT_FILES; file++)
			for (int number = 0; number < FAULT_MOST; number++) {
				uint16_t *may = &(*traits)[kind][file][number], again = (*counted)[kind][file][number];
				*may = first ? again : file == FAULT_METRICS ? *may & again : *may | again;
			}
}

static bool prepare(const struct scene_kind *kind, const char *template_dir)
{
	char why[WHY];
	struct fault_bench *bench = fault_bench_new(base, MOST_JOBS, drawn_from);
	bool fine = fault_bench_prepare(bench, kind, template_dir, why, sizeof(why));
	for (int i = 0; fine && i < COUNTS; i++) {
		memset(counted, 0, sizeof(*counted));
		fine = fault_bench_count(bench, kind, template_dir, counted, why, sizeof(why));
		add_counted(i == 0);
	}
	fault_bench_free(bench);
	if (!fine)
		printf("# %s, without a fault: %s", kind->name, why);
	return fine;
}

/* What is never struck proves nothing: of the calls that are made each time nothing is left out, of others next to nothing. */
static bool missed_too_many(size_t count)
{
	return tally->missed_steady > 0 || tally->missed > count / 20 + 2 || tally->passed + tally->failed == 0;
}

static void invent(struct plans *plans)
{
	struct fault_plan plan = {.kind = CALLS_LINK, .file = FAULT_INDEX, .fault = &fault_list[0]};
	for (plan.number = 1; plan.number <= (int64_t)invented; plan.number++)
		add(plans, &plan);
}

/* only NULL: every plan. Returns whether nothing failed; adds to *passed and *failed. */
static bool run_scene(const struct scene_kind *kind, const struct fault_plan *only, unsigned *passed, unsigned *failed)
{
	char template_dir[200];
	struct plans plans = {0};
	double began = seconds();
	memset(tally, 0, sizeof(*tally));
	snprintf(template_dir, sizeof(template_dir), "%s/%s-%llu", base, kind->name, drawn_from);
	if (!prepare(kind, template_dir)) {
		harness_count(false);
		*failed += 1;
		return false;
	}
	unsigned calls = list_plans(&plans);
	if (only) {
		plans.count = 0;
		add(&plans, only);
	} else {
		thin_out(&plans);
		invent(&plans);
	}
	run_all(kind, template_dir, &plans);
	bool missed = missed_too_many(plans.count);
	if (kind >= &scene_kinds[scene_fixed_count])
		printf("# seed %llu\n", drawn_from);
	printf("# %s: %u calls, %zu plans: %u passed, %u failed, %u not reached, %.1f s\n", kind->name, calls, plans.count, tally->passed, tally->failed, tally->missed, seconds() - began);
	fflush(stdout);
	*passed += tally->passed;
	*failed += tally->failed + missed;
	free(plans.list);
	return tally->failed == 0 && !missed;
}

/* ---- which ones ---- */

static const struct scene_kind *find_scene(const char *text, struct fault_plan *plan, bool *out_one)
{
	size_t len = strcspn(text, ":");
	*out_one = text[len] == ':';
	for (size_t i = 0; i < scene_kind_count; i++)
		if (strlen(scene_kinds[i].name) == len && strncmp(scene_kinds[i].name, text, len) == 0)
			return !*out_one || fault_plan_parse(text + len + 1, plan) ? &scene_kinds[i] : NULL;
	return NULL;
}

static bool make_base(void)
{
	char *real;
	harness_make_place(base, sizeof(base), "faults");
	if (!(real = realpath(base, NULL)))
		return false;
	snprintf(base, sizeof(base), "%.120s", real);
	free(real);
	return true;
}

/* That a call which is not reached fails a scene, as a test. */
static int self_test(void)
{
	bool one;
	const struct scene_kind *steady = find_scene("append-sync", NULL, &one), *beside = find_scene("append-async", NULL, &one);
	unsigned passed = 0, failed = 0;
	every = 20;
	invented = 1;
	bool told = steady->calls == SCENE_STEADY && !run_scene(steady, NULL, &passed, &failed) && failed == 1 && tally->missed_steady == 1;
	printf("1..3\n%s 1 - a call that is not reached fails a scene whose calls are the same each time\n", told ? "ok" : "not ok");
	invented = 10;
	failed = 0;
	told = beside->calls == SCENE_BESIDE && !run_scene(beside, NULL, &passed, &failed) && failed == 1 && tally->missed_steady == 0;
	printf("%s 2 - many calls that are not reached fail any scene\n", told ? "ok" : "not ok");
	invented = 0;
	fault_most = 4;
	failed = 0;
	told = !run_scene(steady, NULL, &passed, &failed) && failed == 1;
	fault_most = FAULT_MOST;
	told = told && run_scene(steady, NULL, &passed, &failed);
	printf("%s 3 - more calls than can be looked at fail a scene\n", told ? "ok" : "not ok");
	return 0;
}

static _Noreturn void tell_usage(const char *argument)
{
	char usage[2000];
	int len = snprintf(usage, sizeof(usage),
			   "usage: faults [--tap] [--every N] [SCENE | SCENE:KIND:FILE:NUMBER:FAULT:once|ever]\n"
			   "  MF_WORKLOADS=3   two more sets of workloads, drawn from MF_SEED\n"
			   "  MF_SEED=0        of what is drawn, and which one of so many\n"
			   "  MF_JOBS=2        so many at once\n"
			   "The last line is \"N passed, M failed\", in plans.\nscenes:");
	for (size_t i = 0; i < scene_kind_count; i++)
		len += snprintf(usage + len, sizeof(usage) - (size_t)len, " %s", scene_kinds[i].name);
	snprintf(usage + len, sizeof(usage) - (size_t)len, "\n");
	harness_usage(usage, argument);
}

int main(int argc, char **argv)
{
	const struct scene_kind *wanted = NULL;
	struct fault_plan plan;
	unsigned passed = 0, failed = 0;
	bool one = false, tests_itself = false;
	program = getenv("MF_REPLAY") ? getenv("MF_REPLAY") : argv[0];
	jobs = (unsigned)harness_number("MF_JOBS", 2, 1, MOST_JOBS);
	seed = harness_number("MF_SEED", 0, 0, UINT64_MAX);
	size_t sets = harness_number("MF_WORKLOADS", 1, 1, 1000) - 1;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--tap") == 0)
			tap = true;
		else if (strcmp(argv[i], "--self-test") == 0)
			tests_itself = true;
		else if (strcmp(argv[i], "--name") == 0 && i + 1 < argc)
			test_name = argv[++i];
		else if (strcmp(argv[i], "--every") == 0 && i + 1 < argc)
			every = (unsigned)harness_parse("--every", argv[++i], 1, 1000000);
		else if (wanted || !(wanted = find_scene(argv[i], &plan, &one)))
			tell_usage(argv[i]);
	}
	alone = one;
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	traits = mmap(NULL, 2 * sizeof(*traits), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	counted = traits + 1;
	if (tally == MAP_FAILED || traits == MAP_FAILED || !make_base()) {
		perror("faults");
		return 2;
	}
	if (one)
		jobs = 1;
	harness_begin(one ? 1 : HARNESS_OPEN, NULL);
	if (tests_itself)
		return self_test();
	size_t count = wanted ? scene_kind_count : scene_fixed_count + sets * (scene_kind_count - scene_fixed_count);
	if (tap)
		printf("1..%zu\n", wanted ? (size_t)1 : count);
	drawn_from = seed;
	for (size_t i = 0, n = 0; i < count; i++) {
		if (i >= scene_kind_count) /* the next set */
			drawn_from = seed + (i - scene_fixed_count) / (scene_kind_count - scene_fixed_count);
		const struct scene_kind *kind = &scene_kinds[i < scene_kind_count ? i : scene_fixed_count + (i - scene_fixed_count) % (scene_kind_count - scene_fixed_count)];
		if (wanted && wanted != kind)
			continue;
		bool fine = run_scene(kind, one ? &plan : NULL, &passed, &failed);
		if (tap && one && passed + failed == 1 && tally->missed) /* another SQLite makes other calls */
			printf("ok 1 # SKIP %s: the call was not made\n", test_name ? test_name : argv[argc - 1]);
		else if (tap)
			printf("%s %zu - %s\n", fine ? "ok" : "not ok", ++n, test_name ? test_name : kind->name);
	}
	if (!tap)
		printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 && passed > 0 ? 0 : 1;
}
