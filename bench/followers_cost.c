/* followers_cost.c - what do followers cost the one who commits, and how soon do they see it?
 *
 * Cost: the same commits with 0, 1 and 4 followers on threads of their own, taking turns in one run; processor time of the
 * committing thread alone (what the followers do is theirs) and elapsed time, as medians of the rounds' ratios to none.
 * Latency: from the publication, where a synchronous follower stands, to the handler; commits one by one with a pause, so that the
 * follower sleeps, and commits without a pause.
 *
 *   followers_cost BUILD WORK_DIR [ROUNDS [EVENTS]] */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <moduforge/runtime.h>

#include "bench/samples.h"

#define AHEAD 256 /* submits before their tickets are waited for */
#define ROUNDS_MAX 1000
#define FOLLOWERS_MAX 4
#define LATENCY_EVENTS 20000

static char config[600];
static const char *work_dir;
static int opened;

static void must(enum mf_status status, const struct mf_error *error)
{
	if (status == MF_OK)
		return;
	fprintf(stderr, "followers_cost: %s: %s\n", mf_status_name(status), error ? error->message : "");
	exit(2);
}

static double thread_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* ---- writing ---- */
static struct mf_transaction *change(struct mf_runtime *runtime, int n)
{
	struct mf_transaction *transaction;
	char json[120];
	struct mf_error error;
	snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"n\":%d,\"text\":\"forty characters that say next to nothing\"}}", n);
	must(mf_transaction_new(&transaction), NULL);
	must(mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "update_attrs", json, &error), &error);
	return transaction;
}

static void write_all(struct mf_runtime *runtime, int events, int ahead)
{
	struct mf_ticket *tickets[AHEAD];
	struct mf_transaction *transactions[AHEAD];
	struct mf_error error;
	for (int n = 0; n < events;) {
		int count = 0;
		for (; count < ahead && n < events; n++, count++) {
			transactions[count] = change(runtime, n);
			must(mf_runtime_submit(runtime, "d", transactions[count], MF_COMMIT_MEMORY_ONLY, &tickets[count], &error), &error);
		}
		for (int i = 0; i < count; i++) {
			must(mf_ticket_wait(tickets[i], MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, &error), &error);
			mf_ticket_unref(tickets[i]);
			mf_transaction_free(transactions[i]);
		}
	}
}

/* ---- a runtime with followers ---- */
static struct mf_runtime *open_runtime(const char *mode)
{
	struct mf_runtime *runtime;
	struct mf_error error;
	char dir[512];
	snprintf(dir, sizeof(dir), "%s/followers-%d", work_dir, opened++);
	struct mf_runtime_options options = {.config_path = config, .data_dir = dir, .mode = mode};
	must(mf_runtime_open(&options, &runtime, &error), &error);
	return runtime;
}

static void follow(struct mf_runtime *runtime, const char *name, mf_event_handler *handler, void *user)
{
	struct mf_follow_options options;
	struct mf_error error;
	uint64_t id;
	mf_follow_options_init(&options);
	options.name = name;
	must(mf_runtime_follow(runtime, &options, handler, user, &id, &error), &error);
}

static enum mf_status count_one(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	(void)publication, (void)error;
	++*(int64_t *)user;
	return MF_OK;
}

/* ---- cost ---- */
struct cost {
	double thread, elapsed; /* nanoseconds an event */
};

static struct cost measure(const char *mode, int ahead, int events, int followers)
{
	struct mf_runtime *runtime = open_runtime(mode);
	struct mf_error error;
	int64_t counts[FOLLOWERS_MAX] = {0};
	for (int i = 0; i < followers; i++)
		follow(runtime, "f", count_one, &counts[i]);
	double thread = thread_ns(), elapsed = now_ns();
	write_all(runtime, events, ahead);
	struct cost cost = {(thread_ns() - thread) / events, (now_ns() - elapsed) / events};
	must(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error), &error);
	for (int i = 0; i < followers; i++)
		if (counts[i] != events)
			exit(3);
	return cost;
}

static void compare(const char *name, const char *mode, int ahead, int rounds, int events)
{
	static const int numbers[] = {0, 1, 4};
	double thread[3][ROUNDS_MAX], elapsed[3][ROUNDS_MAX], none = 0;
	measure(mode, ahead, events, 1); /* warm */
	for (int i = 0; i < rounds; i++) {
		struct cost costs[3];
		for (int k = 0; k < 3; k++)
			costs[(i + k) % 3] = measure(mode, ahead, events, numbers[(i + k) % 3]);
		none = costs[0].thread;
		for (int k = 0; k < 3; k++) {
			thread[k][i] = costs[k].thread / costs[0].thread;
			elapsed[k][i] = costs[k].elapsed / costs[0].elapsed;
		}
	}
	for (int k = 1; k < 3; k++)
		printf("%-26s %d follower%s thread x%.3f  elapsed x%.3f  (none: about %.0f ns of the thread)\n", name, numbers[k], numbers[k] == 1 ? " " : "s", median(thread[k], (size_t)rounds),
		       median(elapsed[k], (size_t)rounds), none);
	fflush(stdout);
}

/* ---- latency ---- */
static double published[LATENCY_EVENTS + 1], latency[LATENCY_EVENTS];
static atomic_int latencies;

static enum mf_status note_published(void *user, const struct mf_publication *publication)
{
	(void)user;
	published[publication->lsn] = now_ns();
	return MF_OK;
}

static enum mf_status note_seen(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	(void)user, (void)error;
	latency[atomic_fetch_add(&latencies, 1)] = now_ns() - published[publication->lsn];
	return MF_OK;
}

static void show_latency(const char *name, const char *mode, int events, long pause_ns)
{
	struct mf_runtime *runtime = open_runtime(mode);
	struct mf_error error;
	uint64_t id;
	atomic_store(&latencies, 0);
	must(mf_bus_subscribe(mf_runtime_bus(runtime), "published", MF_TOPICS_EVENTS, note_published, NULL, &id, &error), &error);
	follow(runtime, "f", note_seen, NULL);
	for (int n = 0; n < events; n++) {
		write_all(runtime, 1, 1);
		if (pause_ns)
			nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
	}
	must(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error), &error);
	double middle = median(latency, (size_t)events);
	printf("%-26s p50 %.1f us  p90 %.1f us  p99 %.1f us\n", name, middle / 1e3, latency[events * 9 / 10] / 1e3, latency[events * 99 / 100] / 1e3);
	fflush(stdout);
}

static void write_config(const char *build)
{
	snprintf(config, sizeof(config), "%s/followers.json", work_dir);
	FILE *file = fopen(config, "w");
	if (!file) {
		perror(config);
		exit(2);
	}
	fprintf(file,
		"{\"path_policy\": \"off\", \"plugin_dirs\": [\"%s/plugins\", \"%s/stepfactories\"], \"plugins\": [{\"name\": \"node_steps\"},"
		" {\"name\": \"snapshot_subscriber\", \"config\": {\"snapshot_every_n_events\": 0, \"snapshot_every_bytes\": 0, \"snapshot_every_ms\": 0}}]}\n",
		build, build);
	fclose(file);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: followers_cost BUILD WORK_DIR [ROUNDS [EVENTS]]\n");
		return 2;
	}
	int rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 15, events = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 30000;
	if (rounds < 1 || rounds > ROUNDS_MAX || events < 1)
		return 2;
	work_dir = argv[2];
	write_config(argv[1]);
	compare("memory, commit and wait", "memory", 1, rounds, events);
	compare("memory, submit ahead", "memory", AHEAD, rounds, events);
	compare("async, commit and wait", "async", 1, rounds, events);
	compare("async, submit ahead", "async", AHEAD, rounds, events);
	show_latency("latency, asleep", "memory", LATENCY_EVENTS / 20, 500000);
	show_latency("latency, without a pause", "memory", LATENCY_EVENTS, 0);
	show_latency("latency, async", "async", LATENCY_EVENTS, 0);
	return 0;
}
