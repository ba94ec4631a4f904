/* oom.c - each allocation fails in turn, once and for ever, while a store is made, written to, recovered and read.
 *
 * A run is a child of its own: the scene with allocation number n failing (starve.h), then memory is back, and the store is
 * asked: by the oracle (oracle.h) against what the run told its ledger, or, where nothing was written, by the same reading
 * again, which must succeed and see what it saw before. What the scene answered must be success or MF_ERR_NO_MEMORY.
 *
 * Of all allocations those are taken that differ in the call stack that asks (oom_plan.h). With threads in the background the
 * n-th allocation is not always the same one; what was being done when it failed is told.
 *
 * Its usage (oom --help) says how to run it. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <moduforge/backup.h>

#include "harness.h"
#include "oom_plan.h"
#include "oracle.h"
#include "scene.h"
#include "starve.h"
#include "tests/leave.h"
#include "workload.h"

#ifdef MF_SANITIZED
#define RUN_SECONDS 120
#define SANITIZED "MF_SANITIZE=1 "
#else
#define RUN_SECONDS 30
#define SANITIZED ""
#endif
#define SEED 1
#define JOBS_MAX 16
#define LINES (1 << 20)
#define PROFILE_MAX ((size_t)1 << 18)
#define NOT_REACHED UINT64_MAX /* no scene asks so often: nothing fails */
#define EACH 1 /* allocations of one call stack */
#define TRIES 5  /* see looker_died */
#define MISSES 3 /* that many indices in a row that no allocation reached end a series: threads allocate now more, now less */

static const char usage[] = "usage: oom [--tap | --help | SCENE WORLD:N:once|ever[:STACK]]\n"
			    "  MF_EACH=1         so many allocations of each call stack, 0 is all\n"
			    "  MF_STRIDE=97      instead each so many-th allocation, 1 is all\n"
			    "  MF_SCENE=commits  only this: create, commits, snapshots, followers, memory, recovery or reading\n"
			    "  MF_SEED=1         of what is done, and where it begins\n"
			    "  MF_JOBS=4         so many at once\n"
			    "SCENE and the rest, as a failure prints them: that run again.\n"
			    "The last line is \"N passed, M failed, K skipped\", in runs.\n";
#define WORLDS 3
static const char *const world_names[WORLDS] = {"all", "own", "others"};

/* What a child leaves to its parent. */
struct left {
	uint64_t count;
	bool judged; /* all that was to be done was done, and was good: only leaks are still looked for */
	struct starve_trace asked;
	size_t len;
	char lines[LINES]; /* of the ledger */
};

struct starved {
	const char *name;
	unsigned what;
	const char *mode;
	enum mf_commit_kind kind;
	uint32_t batches;
	bool late;   /* memory runs out when it is open, and has committed */
	bool hot;    /* on a store that a killed writer left */
	bool reads;  /* nothing but reads: no ledger */
};

static const struct starved scenes[] = {
	{"create", 0, "sync", MF_COMMIT_SYNC_DURABLE, 1, false, false, false},
	{"commits", WORKLOAD_UNDO | WORKLOAD_DUPLICATES, "sync", MF_COMMIT_SYNC_DURABLE, 12, true, false, false},
	{"snapshots", WORKLOAD_UNDO | WORKLOAD_SNAPSHOTS | WORKLOAD_COMPACTION | WORKLOAD_BACKUP, "async:1", MF_COMMIT_ASYNC_DURABLE, 12, true, true, false},
	{"followers", WORKLOAD_FOLLOWER | WORKLOAD_FOLLOW_SYNCED | WORKLOAD_SYNC_WAITS, "async:1", MF_COMMIT_ASYNC_DURABLE, 4, true, true, false},
	{"memory", WORKLOAD_UNDO, "memory", MF_COMMIT_MEMORY_ONLY, 12, true, false, false},
	{"recovery", 0, "sync", MF_COMMIT_SYNC_DURABLE, 1, false, true, false},
	{"reading", 0, NULL, MF_COMMIT_SYNC_DURABLE, 0, false, true, true},
};
#define SCENES_OOM (sizeof(scenes) / sizeof(scenes[0]))

static char base[64];
static char template_dir[160];
static struct left *template_lines;
static uint64_t seed;

struct attempt {
	const struct starved *scene;
	enum starve_world world;
	uint64_t n;     /* NOT_REACHED: none fails */
	uint64_t stack; /* n counts what this one asks for; 0: all */
	bool forever;
	struct left *left;
	bool begun;
	char dir[128], store[160], backups[160], config[160];
};

/* ---- places ---- */

static bool make_place(struct attempt *attempt, const char *name)
{
	snprintf(attempt->dir, sizeof(attempt->dir), "%s/%s", base, name);
	snprintf(attempt->store, sizeof(attempt->store), "%s/store", attempt->dir);
	snprintf(attempt->backups, sizeof(attempt->backups), "%s/backups", attempt->dir);
	snprintf(attempt->config, sizeof(attempt->config), "%s/plugins.json", attempt->dir);
	if (mkdir(attempt->dir, 0700) != 0 || mkdir(attempt->backups, 0700) != 0)
		return false;
	return proof_write_config(attempt->config, attempt->store,
				  ", \"snapshot_every_n_events\": 4, \"full_snapshot_every\": 3, \"keep_snapshots\": 1, \"checkpoint_pages\": 20, \"compression_threshold\": 100");
}

/* ---- scenes that write ---- */

static pthread_mutex_t keeping = PTHREAD_MUTEX_INITIALIZER; /* whoever ends the process while others run holds it, so that no line is half there */

static void keep_line(void *user, const char *line, size_t len)
{
	struct left *left = user;
	pthread_mutex_lock(&keeping);
	if (left->len + len <= LINES)
		memcpy(left->lines + left->len, line, len);
	left->len += len;
	pthread_mutex_unlock(&keeping);
}

static void begin_starving(void *user)
{
	struct attempt *attempt = user;
	if (!attempt->begun && attempt->stack)
		starve_begin_at(attempt->world, attempt->stack, attempt->n, attempt->forever);
	else if (!attempt->begun)
		starve_begin(attempt->world, attempt->n, attempt->forever);
	attempt->begun = true;
}

static enum mf_status write_scene(struct attempt *attempt, struct mf_error *error)
{
	const struct starved *scene = attempt->scene;
	struct workload workload = {.config = attempt->config, .mode = scene->mode, .kind = scene->kind, .seed = seed, .life = scene->hot, .batches = scene->batches, .batch_max = 4, .docs = 2,
				    .what = scene->what, .backups = attempt->backups, .out = {keep_line, attempt->left},
				    .between = scene->late ? begin_starving : NULL, .user = attempt};
	return workload_run(&workload, error);
}

static bool ask_oracle(const struct attempt *attempt)
{
	struct oracle_report report;
	struct ledger_tail tail = {0};
	struct ledger *ledger = ledger_new();
	if (attempt->scene->hot)
		ledger_feed(ledger, &tail, template_lines->lines, template_lines->len);
	ledger_feed(ledger, &tail, attempt->left->lines, attempt->left->len < LINES ? attempt->left->len : LINES);
	struct oracle_plan plan = {.dir = attempt->store, .config = attempt->config, .backups = attempt->backups, .crash = ORACLE_KILLED, .seed = seed};
	bool sound = oracle_check(&plan, ledger, &report);
	if (!sound)
		fprintf(stderr, "  the oracle: %s", report.text);
	ledger_free(ledger);
	return sound;
}

/* ---- the scene that reads ---- */

static void see_damage(void *user, const struct mf_damage *damage)
{
	(void)damage;
	++*(int *)user;
}

static enum mf_status read_state(struct mf_runtime *runtime, const char *doc, uint64_t *seen, struct mf_error *error)
{
	struct mf_state *state;
	struct mf_digest digest;
	enum mf_status status = mf_runtime_state(runtime, doc, &state, error);
	if (status != MF_OK)
		return status;
	status = mf_doc_digest(mf_state_doc(state), &digest);
	for (size_t i = 0; i < sizeof(digest.bytes) && status == MF_OK; i++)
		*seen = *seen * 31 + digest.bytes[i];
	mf_state_unref(state);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "no memory for a digest");
}

static enum mf_status read_more(struct mf_runtime *runtime, const struct attempt *attempt, struct mf_error *error)
{
	int findings = 0;
	char file[200], dir[200];
	struct mf_store *store = mf_runtime_store(runtime);
	struct mf_health_report health = {.size = sizeof(health)};
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	enum mf_status status = mf_store_verify(store, see_damage, &findings, error);
	if (status == MF_OK)
		status = mf_runtime_metrics(runtime, &metrics, error);
	if (status == MF_OK)
		status = mf_runtime_health(runtime, NULL, NULL, NULL, &health, error);
	snprintf(file, sizeof(file), "%s/b", attempt->backups);
	snprintf(dir, sizeof(dir), "%s/restored", attempt->dir);
	if (status == MF_OK)
		status = mf_store_backup(store, file, NULL, NULL, NULL, error);
	if (status == MF_OK)
		status = mf_store_restore(&(struct mf_restore_options){.file = file, .dir = dir}, NULL, error);
	return status;
}

static enum mf_status read_scene(const struct attempt *attempt, uint64_t *seen, struct mf_error *error)
{
	struct mf_runtime *runtime;
	struct mf_runtime_options options = {.config_path = attempt->config, .read_only = true};
	enum mf_status status = mf_runtime_open(&options, &runtime, error);
	if (status != MF_OK)
		return status;
	*seen = 0;
	for (int i = 0; i < 2 && status == MF_OK; i++)
		status = read_state(runtime, i ? "d1" : "d0", seen, error);
	if (status == MF_OK)
		status = read_more(runtime, attempt, error);
	enum mf_status closed = mf_runtime_close(runtime, 60000, status == MF_OK ? error : NULL);
	return status == MF_OK ? closed : status;
}

/* Nothing under a final name unless it is whole, and the same reading works now. */
static bool read_again(const struct attempt *attempt, enum mf_status before, uint64_t seen)
{
	char path[200];
	uint64_t again = 0;
	struct mf_error error = {0};
	snprintf(path, sizeof(path), "%s/restored", attempt->dir);
	if (access(path, F_OK) == 0)
		harness_remove_place(path);
	snprintf(path, sizeof(path), "%s/b", attempt->backups);
	if (access(path, F_OK) == 0 && mf_backup_look(path, &(struct mf_backup_info){0}, &error) != MF_OK) {
		fprintf(stderr, "  a backup was left that is none: %s\n", error.message);
		return false;
	}
	(void)unlink(path);
	enum mf_status status = read_scene(attempt, &again, &error);
	if (status != MF_OK)
		fprintf(stderr, "  with memory again reading is %s: %s\n", mf_status_name(status), error.message);
	else if (before == MF_OK && again != seen)
		fprintf(stderr, "  with memory again the documents are others\n");
	return status == MF_OK && (before != MF_OK || again == seen);
}

/* ---- one run ---- */

/* Out of memory the dynamic linker says whatever comes to it ("No such file"): then the plugin is named. */
static bool is_linker(enum mf_status status, const struct mf_error *error)
{
	return status == MF_ERR_PLUGIN && strstr(error->message, "it cannot be linked");
}

static bool run_and_ask(struct attempt *attempt)
{
	uint64_t seen = 0;
	struct mf_error error = {0};
	starve_trace_to(&attempt->left->asked);
	if (!attempt->scene->late)
		begin_starving(attempt);
	enum mf_status status = attempt->scene->reads ? read_scene(attempt, &seen, &error) : write_scene(attempt, &error);
	starve_end();
	attempt->left->count = starve_count();
	bool good = status == MF_OK || status == MF_ERR_NO_MEMORY || is_linker(status, &error);
	if (!good)
		fprintf(stderr, "  it is %s: %s\n", mf_status_name(status), error.message);
	if (status != MF_OK && error.message[0] == '\0') {
		fprintf(stderr, "  it is %s without a sentence\n", mf_status_name(status));
		good = false;
	}
	bool sound = attempt->scene->reads ? read_again(attempt, status, seen) : ask_oracle(attempt);
	return good && sound;
}

static void tell_attempt(const struct attempt *attempt)
{
	fprintf(stderr, "  again: " SANITIZED);
	if (seed != SEED)
		fprintf(stderr, "MF_SEED=%llu ", (unsigned long long)seed);
	fprintf(stderr, "./dev oom %s %s:%llu:%s", attempt->scene->name, world_names[attempt->world], (unsigned long long)attempt->n, attempt->forever ? "ever" : "once");
	if (attempt->stack)
		fprintf(stderr, ":%llx", (unsigned long long)attempt->stack);
	fprintf(stderr, "\n");
}

static void child(struct attempt *attempt, const char *name)
{
	if (!make_place(attempt, name) || (attempt->scene->hot && !scene_copy(template_dir, attempt->store))) {
		perror("oom: cannot make a place");
		_exit(2);
	}
	alarm(RUN_SECONDS);
	bool good = run_and_ask(attempt);
	if (!good) {
		tell_attempt(attempt);
		fflush(stderr);
		backtrace_symbols_fd(attempt->left->asked.at, attempt->left->asked.frames, 2);
	}
	attempt->left->judged = good;
#ifdef MF_SANITIZED
	exit(good ? 0 : 1); /* leaks are looked for */
#else
	leave(good ? 0 : 1);
#endif
}

/* ---- a store that a killed writer left ---- */

static void die_at_last(void *user)
{
	if (--*(int *)user != 0)
		return;
	pthread_mutex_lock(&keeping);
	leave(0);
}

static bool make_template(void)
{
	struct attempt attempt = {.scene = &scenes[2], .left = template_lines};
	int batches = 14, ended = 0;
	if (!make_place(&attempt, "template"))
		return false;
	snprintf(template_dir, sizeof(template_dir), "%s", attempt.store);
	pid_t pid = harness_fork();
	if (pid == 0) {
		struct mf_error error;
		struct workload workload = {.config = attempt.config, .mode = "sync", .kind = MF_COMMIT_SYNC_DURABLE, .seed = seed, .batches = 20, .batch_max = 4, .docs = 2,
					    .what = WORKLOAD_UNDO | WORKLOAD_SNAPSHOTS | WORKLOAD_COMPACTION | WORKLOAD_FOLLOWER, .out = {keep_line, template_lines}, .between = die_at_last, .user = &batches};
		enum mf_status status = workload_run(&workload, &error);
		fprintf(stderr, "oom: the template was not killed: %s\n", mf_status_name(status));
		_exit(1);
	}
	return pid > 0 && waitpid(pid, &ended, 0) == pid && ended == 0;
}

/* ---- all indices ---- */

struct job {
	pid_t pid;
	struct attempt attempt;
	struct left *left;
	char name[32];
	int64_t began_ms;
	int tries; /* of one run */
};

struct series {
	const struct starved *scene;
	enum starve_world world;
	bool forever, ended, profiling, aiming;
	struct oom_plan *plan; /* NULL: each so many-th, until there is none */
	uint64_t next, passed, failed, unlooked, misses;
};

static struct job jobs[JOBS_MAX];
static size_t job_count;
static uint64_t stride, each, runs; /* stride 0: by call stacks, each of them so many times */

/* Where the allocations of a scene are asked for, noted by a child. */
static struct profile {
	uint64_t stacks[PROFILE_MAX];
} *profile;

static void begin(struct job *job, const struct series *series, uint64_t n, uint64_t stack)
{
	struct left *left = job->left;
	left->count = left->len = 0;
	left->asked.frames = 0;
	left->judged = false;
	job->tries = 1;
	job->attempt = (struct attempt){.scene = series->scene, .world = series->world, .n = n, .stack = stack, .forever = series->forever, .left = left};
	snprintf(job->name, sizeof(job->name), "run-%llu", (unsigned long long)runs++);
	job->pid = harness_fork();
	if (job->pid == 0)
		child(&job->attempt, job->name);
}

static void tell_death(const struct job *job, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		return; /* it has told */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		fprintf(stderr, "  it did not end\n");
	else
		fprintf(stderr, "  it ended with %s %d\n", WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	tell_attempt(&job->attempt);
	fflush(stderr);
	backtrace_symbols_fd(job->left->asked.at, job->left->asked.frames, 2);
}

/* LeakSanitizer stops all threads to look, and at times dies of that ("Tracer caught signal 11"), for some runs each time; what it
 * finds it tells by its exit status. All else was done and was good by then: it is tried again, and at last told as not looked at. */
static bool looker_died(const struct job *job, int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM && job->left->judged;
}

static void end(struct job *job, struct series *series, int status)
{
	char dir[128];
	job->pid = 0;
	snprintf(dir, sizeof(dir), "%s/%s", base, job->name);
	if (looker_died(job, status) && job->tries < TRIES) {
		int tries = job->tries;
		harness_remove_place(dir);
		begin(job, series, job->attempt.n, job->attempt.stack);
		job->tries = tries + 1;
		return;
	}
	if (series->plan && job->left->asked.frames > 0)
		oom_plan_struck(series->plan, starve_stack(job->left->asked.at, job->left->asked.frames));
	if (looker_died(job, status)) {
		series->unlooked++;
	} else if (status != 0) {
		tell_death(job, status);
		series->failed++;
		harness_count(false);
	} else if (job->attempt.stack ? job->left->asked.frames > 0 : job->attempt.n <= job->left->count) {
		series->passed++;
		series->misses = 0;
		harness_count(true);
	} else if (++series->misses >= MISSES) {
		series->ended = !series->plan;
	}
	harness_remove_place(dir);
}

/* Waits for one of them. */
static bool reap(struct series *series)
{
	int status;
	pid_t pid = wait(&status);
	if (pid < 0)
		return false;
	for (size_t i = 0; i < job_count; i++)
		if (jobs[i].pid == pid)
			end(&jobs[i], series, status);
	return true;
}

static struct job *idle_job(void)
{
	for (size_t i = 0; i < job_count; i++)
		if (jobs[i].pid == 0)
			return &jobs[i];
	return NULL;
}

/* False: there is no more. */
static bool choose(struct series *series, uint64_t *n, uint64_t *stack)
{
	uint64_t step = stride > 0 ? stride : 1;
	*stack = 0;
	if (series->profiling) {
		*n = NOT_REACHED;
		return series->next++ == 0;
	}
	if (!series->plan) {
		*n = series->next += series->next == 0 ? 1 + seed % step : step;
		return true;
	}
	*n = oom_plan_next(series->plan);
	if (*n > 0)
		return true;
	while (!series->aiming && reap(series)) /* what was struck is not known before */
		;
	series->aiming = true;
	*n = 1;
	*stack = oom_plan_next_missed(series->plan);
	return *stack != 0;
}

static void run_series(struct series *series)
{
	uint64_t n, stack;
	while (!series->ended && series->failed < 50 && choose(series, &n, &stack)) {
		struct job *job;
		while (!(job = idle_job()))
			if (!reap(series))
				return;
		begin(job, series, n, stack);
		if (isatty(2) && runs % 50 == 0)
			fprintf(stderr, "\r%s %llu ", series->scene->name, (unsigned long long)n);
	}
	while (reap(series))
		;
}

/* From what the scene was seen to ask for with nothing failing. */
static void make_plan(struct series *series)
{
	uint64_t count = jobs[0].left->count;
	if (series->failed == 0 && count <= PROFILE_MAX)
		series->plan = oom_plan_new(profile->stacks, (size_t)count, each);
	series->failed += series->plan == NULL;
	series->misses = 0;
}

/* The profile is of a run like all others, called from the same place: what lies below the scene is part of a stack. */
static void run_scene(struct series *series)
{
	for (int round = stride > 0 || series->world == STARVE_OWN; round < 2 && series->failed == 0; round++) {
		series->profiling = round == 0;
		starve_profile_to(series->profiling ? profile->stacks : NULL, PROFILE_MAX);
		run_series(series);
		if (series->profiling)
			make_plan(series);
	}
}

static void tell_series(const struct series *series)
{
	printf("%-10s %-6s %s: %llu passed, %llu failed", series->scene->name, world_names[series->world], series->forever ? "ever" : "once", (unsigned long long)series->passed,
	       (unsigned long long)series->failed);
	if (series->plan)
		printf("; %zu allocations from %zu call stacks, of which %zu were not struck", oom_plan_allocations(series->plan), oom_plan_stacks(series->plan), oom_plan_missed(series->plan));
	printf("\n");
}

/* ---- the program ---- */

static bool prepare(void)
{
	size_t size = sizeof(struct left) * (JOBS_MAX + 1) + sizeof(struct profile);
	struct left *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return false;
	template_lines = &shared[JOBS_MAX];
	profile = (struct profile *)&shared[JOBS_MAX + 1];
	job_count = harness_jobs(2, JOBS_MAX); /* half of them wait for threads of their own */
	for (size_t i = 0; i < job_count; i++)
		jobs[i].left = &shared[i];
	seed = harness_number("MF_SEED", SEED, 0, UINT64_MAX);
	stride = harness_number("MF_STRIDE", 0, 1, HARNESS_MANY);
	each = harness_number("MF_EACH", EACH, 0, HARNESS_MANY);
	return true;
}

/* "own:12:ever", and ":" and the stack, if it is one's */
static bool parse(const char *scene, const char *text, struct series *out, uint64_t *out_n, uint64_t *out_stack)
{
	char world[16], how[8], again[80];
	unsigned long long n, stack = 0;
	if (sscanf(text, "%15[a-z]:%20llu:%7[a-z]:%16llx", world, &n, how, &stack) < 3)
		return false;
	int len = snprintf(again, sizeof(again), "%s:%llu:%s", world, n, how);
	if (stack)
		snprintf(again + len, sizeof(again) - (size_t)len, ":%llx", stack);
	if (strcmp(again, text) != 0 || n == 0 || (strcmp(how, "ever") != 0 && strcmp(how, "once") != 0))
		return false;
	memset(out, 0, sizeof(*out));
	out->world = WORLDS;
	for (size_t i = 0; i < SCENES_OOM; i++)
		if (strcmp(scenes[i].name, scene) == 0)
			out->scene = &scenes[i];
	for (int i = 0; i < WORLDS; i++)
		if (strcmp(world_names[i], world) == 0)
			out->world = (enum starve_world)i;
	out->forever = strcmp(how, "ever") == 0;
	*out_n = n;
	*out_stack = stack;
	return out->scene && out->world < WORLDS && starve_has(out->world);
}

static int replay(struct series series, uint64_t n, uint64_t stack)
{
	begin(&jobs[0], &series, n, stack);
	while (reap(&series))
		;
	printf("%llu allocations\n", (unsigned long long)jobs[0].left->count);
	if (series.misses > 0) {
		printf("this one was not asked for\n0 passed, 1 failed\n");
		return 1;
	}
	printf("%d passed, %d failed, %d skipped\n", (int)(series.failed + series.unlooked == 0), (int)(series.failed > 0), (int)(series.unlooked > 0));
	return series.failed > 0;
}

static int run_all(size_t only, bool tap)
{
	uint64_t passed = 0, failed = 0, unlooked = 0;
	int number = 0;
	for (size_t i = 0; i < SCENES_OOM; i++) {
		if (only < SCENES_OOM && only != i)
			continue;
		if (!tap)
			printf("%s:\n", scenes[i].name);
		uint64_t before = failed, counted = passed;
		for (int j = 0; j < 6; j++) {
			struct series series = {.scene = &scenes[i], .world = (enum starve_world)(j / 2), .forever = j % 2};
			if (!starve_has(series.world))
				continue;
			run_scene(&series);
			passed += series.passed;
			failed += series.failed;
			unlooked += series.unlooked;
			if (!tap)
				tell_series(&series);
			oom_plan_free(series.plan);
		}
		if (tap)
			printf("%s %d - no_allocation_that_fails_in_%s_harms_the_store\n", failed > before || passed == counted ? "not ok" : "ok", ++number, scenes[i].name);
	}
	if (tap)
		printf("1..%d\n", number);
	if (unlooked > 0)
		printf("%s%llu runs in which LeakSanitizer died as it looked\n", tap ? "# " : "skipped: oom: ", (unsigned long long)unlooked);
	if (!tap)
		printf("%llu passed, %llu failed, %llu skipped\n", (unsigned long long)passed, (unsigned long long)failed, (unsigned long long)unlooked);
	return failed > 0 || passed == 0;
}

int main(int argc, char **argv)
{
	const char *names[SCENES_OOM];
	struct series series;
	uint64_t n = 0, stack = 0;
	bool one = argc == 3, tap = !one && harness_only_tap(argc, argv, usage);
	for (size_t i = 0; i < SCENES_OOM; i++)
		names[i] = scenes[i].name;
	size_t only = harness_choice("MF_SCENE", names, SCENES_OOM);
	starve_prepare();
	if (one && !parse(argv[1], argv[2], &series, &n, &stack)) {
		fprintf(stderr, "there is no run '%s %s'\n", argv[1], argv[2]);
		harness_usage(usage, NULL);
	}
	harness_make_place(base, sizeof(base), "oom");
	if (!prepare()) {
		perror("oom: cannot begin");
		return 1;
	}
	harness_begin(one ? 1 : HARNESS_OPEN, NULL);
	if (!make_template()) {
		perror("oom: cannot begin");
		return 1;
	}
	return one ? replay(series, n, stack) : run_all(only, tap);
}
