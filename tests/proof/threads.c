/* threads.c - everything at once, and closed in the middle of it.
 *
 * One round is a store with three lives. In each, eight producers commit to five documents while followers come, lag, fail and
 * go, synchronous ones and guards too, snapshots are taken, documents compacted, backups made and restored, and states,
 * metrics and health are read (crew.h). At a moment that the seed decides the callers stop, and the runtime is closed while
 * followers, submitted tickets and snapshots are still under way, with time-outs and without. Then it is opened again, and what
 * was published, acknowledged and stored must be one and the same (witness.h).
 *
 * Its usage (threads --help) says how to run it.
 *
 * Threads interleave as they will: a seed decides what each of them does, not when. Built with a sanitizer it is what
 * `./dev threads` runs. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"
#include "dice.h"
#include "harness.h"

#define LIVES 3
#define ROUND_SECONDS 240 /* then it hangs */
#define AWAIT_MS 20000

struct round {
	uint64_t seed, dice;
	const char *mode;
	bool durable;
	char dir[100], config[120], data[120];
	struct witness *witness;
	struct passer named[NAMED];
	int64_t epoch;
	struct crew_figures figures;
};

static const char usage[] = "usage: threads [SEED | --help]\n"
			    "  MF_COUNT=4     so many rounds\n"
			    "  MF_SEED=1      from this seed on\n"
			    "  MF_SECONDS=60  instead as many rounds as fit\n"
			    "  MF_KEEP=1      leaves the stores\n"
			    "SEED: only its round. As TAP, a line a round.\n";
static char base[72];
static uint64_t hanging_seed;

static void give_up(int signal_number)
{
	char line[120];
	(void)signal_number;
	int len = snprintf(line, sizeof(line), "# seed %llu: hangs\nBail out! it hangs\n", (unsigned long long)hanging_seed);
	_exit(write(1, line, (size_t)len) == len ? 70 : 71);
}

/* ---- opening and closing ---- */
static bool write_config(struct round *round)
{
	FILE *file = fopen(round->config, "w");
	if (!file)
		return false;
	fprintf(file,
		"{\"plugin_dirs\": [\"%s/plugins\", \"%s/stepfactories\"], \"path_policy\": \"off\", \"plugins\": [\n"
		"{\"name\": \"node_steps\"}, {\"name\": \"text_steps\"},\n"
		"{\"name\": \"snapshot_subscriber\", \"config\": {\"store\": {\"dir\": \"%s\"}, \"snapshot_every_n_events\": %u, \"full_snapshot_every\": %u,\n"
		"\"keep_snapshots\": %u, \"checkpoint_pages\": %u, \"compression_threshold\": %u, \"history_limit\": %u}}]}\n",
		MF_TEST_BUILD, MF_TEST_BUILD, round->data, 10 + (unsigned)roll(&round->dice, 90), 1 + (unsigned)roll(&round->dice, 5),
		1 + (unsigned)roll(&round->dice, 3), 10 + (unsigned)roll(&round->dice, 200), 64u << roll(&round->dice, 6), 5 + (unsigned)roll(&round->dice, 100));
	return fclose(file) == 0;
}

static struct mf_runtime *open_runtime(struct round *round)
{
	struct mf_runtime_options options = {.config_path = round->config, .mode = round->mode};
	struct mf_runtime *runtime = NULL;
	struct mf_store_stats stats;
	struct mf_error error;
	mf_error_clear(&error);
	if (mf_runtime_open(&options, &runtime, &error) != MF_OK || mf_store_stats(mf_runtime_store(runtime), &stats, &error) != MF_OK) {
		complain("opening: %s", error.message);
		return runtime;
	}
	if (round->durable && stats.epoch <= round->epoch)
		complain("the epoch is %lld, the one before was %lld", (long long)stats.epoch, (long long)round->epoch);
	round->epoch = stats.epoch;
	return runtime;
}

/* First with little time or none: then it may still be open, and works. */
static void close_runtime(struct round *round, struct mf_runtime *runtime)
{
	static const int64_t timeouts_ms[] = {0, 1, 20};
	enum mf_status status = MF_ERR_TIMEOUT;
	struct mf_error error;
	struct mf_state *state;
	mf_error_clear(&error);
	for (uint64_t tries = roll(&round->dice, 6); tries > 0 && status == MF_ERR_TIMEOUT; tries--) {
		status = mf_runtime_close(runtime, timeouts_ms[roll(&round->dice, 3)], &error);
		if (status != MF_ERR_TIMEOUT)
			continue;
		if (mf_runtime_state(runtime, doc_names[0], &state, &error) == MF_OK)
			mf_state_unref(state);
		else
			complain("the close ran out of time, and then: %s", error.message);
	}
	if (status == MF_ERR_TIMEOUT)
		status = mf_runtime_close(runtime, MF_WAIT_FOREVER, &error);
	if (status != MF_OK)
		complain("close: %s: %s", mf_status_name(status), error.message);
}

/* ---- lives ---- */
/* All there, and unchanged when it is opened once more. */
static void check(struct round *round, struct crew *crew)
{
	for (int times = 0; times < 2; times++) {
		struct mf_runtime *runtime = open_runtime(round);
		if (!runtime)
			return;
		witness_check(round->witness, runtime, round->seed + (uint64_t)times);
		if (times == 0)
			crew_resubmit(crew, runtime);
		close_runtime(round, runtime);
	}
}

static void forget(struct round *round)
{
	witness_forget(round->witness);
	for (int i = 0; i < NAMED; i++)
		round->named[i].last = 0;
}

/* Nothing comes any more that would wake one that was forgotten. */
static void await_followers(struct mf_runtime *runtime)
{
	struct mf_error error;
	mf_error_clear(&error);
	if (mf_bus_await_followers(mf_runtime_bus(runtime), AWAIT_MS, &error) != MF_OK)
		complain("waiting for the followers: %s", error.message);
}

static void live(struct round *round, unsigned life)
{
	struct crew *crew = calloc(1, sizeof(*crew));
	struct mf_runtime *runtime = open_runtime(round);
	if (!crew || !runtime)
		abort();
	*crew = (struct crew){.runtime = runtime, .witness = round->witness, .dir = round->dir, .seed = round->seed, .life = life, .count = 1000, 
			      .durable = round->durable, .eager = round->seed % 2, .named = round->named};
	witness_watch(round->witness, runtime);
	crew_start(crew);
	sleep_us((unsigned)roll(&round->dice, 300000));
	crew_stop(crew);
	if (roll(&round->dice, 2) == 0)
		await_followers(runtime);
	close_runtime(round, runtime);
	crew_settle(crew, &round->figures);
	if (round->durable)
		check(round, crew);
	else
		forget(round);
	crew_free(crew);
}

static bool run_round(uint64_t seed)
{
	static const char *const modes[] = {"async:5", "sync", "memory", "async:0", "async:50", "sync"};
	struct round round = {.seed = seed, .dice = seed};
	long before = atomic_load(&complaints);
	hanging_seed = seed;
	alarm(ROUND_SECONDS);
	round.mode = modes[roll(&round.dice, sizeof(modes) / sizeof(*modes))];
	round.durable = strcmp(round.mode, "memory") != 0;
	snprintf(round.dir, sizeof(round.dir), "%s/%llu", base, (unsigned long long)seed);
	if (mkdir(round.dir, 0700) != 0)
		return false;
	snprintf(round.config, sizeof(round.config), "%s/plugins.json", round.dir);
	snprintf(round.data, sizeof(round.data), "%s/store", round.dir);
	if (!write_config(&round) || witness_new(&round.witness) != MF_OK)
		return false;
	for (unsigned life = 0; life < LIVES && atomic_load(&complaints) == before; life++)
		live(&round, life);
	bool passed = atomic_load(&complaints) == before;
	printf("# seed %llu: %s events=%llu deliveries=%llu followers=%llu snapshots=%llu compactions=%llu backups=%llu%s\n", (unsigned long long)seed, round.mode,
	       (unsigned long long)round.figures.events, (unsigned long long)round.figures.deliveries, (unsigned long long)round.figures.followers,
	       (unsigned long long)round.figures.snapshots, (unsigned long long)round.figures.compactions, (unsigned long long)round.figures.backups,
	       passed ? "" : "; again: tests/proof/threads SEED, in the build directory");
	witness_free(round.witness);
	alarm(0);
	return (getenv("MF_KEEP") || harness_remove_place(round.dir)) && passed;
}

int main(int argc, char **argv)
{
	bool one = argc == 2 && argv[1][0] != '-';
	if (argc > 1 && !one)
		harness_usage(usage, argv[1]);
	uint64_t seed = one ? harness_parse("SEED", argv[1], 0, UINT64_MAX) : harness_number("MF_SEED", 1, 0, UINT64_MAX - HARNESS_MANY);
	long count = one ? 1 : (long)harness_number("MF_COUNT", 4, 1, HARNESS_MANY), seconds = one ? 0 : (long)harness_number("MF_SECONDS", 0, 1, HARNESS_MANY), done = 0, failed = 0;
	time_t end = time(NULL) + seconds;
	harness_make_place_in(base, sizeof(base), "threads", getenv("TMPDIR") && *getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	harness_begin(seconds ? HARNESS_OPEN : (uint64_t)count, NULL);
	signal(SIGALRM, give_up);
	while (seconds ? time(NULL) < end : done < count) {
		bool passed = run_round(seed + (uint64_t)done);
		printf("%s %ld - threads, seed %llu\n", passed ? "ok" : "not ok", done + 1, (unsigned long long)seed + (unsigned long long)done);
		failed += !passed;
		harness_count(passed);
		done++;
	}
	printf("1..%ld\n", done);
	return failed || done == 0;
}
