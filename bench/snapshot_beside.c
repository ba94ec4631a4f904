/* snapshot_beside.c - what does a snapshot of a large document cost those who commit meanwhile? One thread commits to the document
 * and waits, in async mode; times of single commits alone and beside a snapshot, taking turns in one run: whole
 * snapshots, then incremental ones. Also how long a snapshot takes, how large it is, and what the digest alone costs.
 *
 *   snapshot_beside BUILD WORK_DIR [NODES [ROUNDS]]        WORK_DIR/whole and WORK_DIR/incremental must not exist */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <moduforge/runtime.h>

#include "bench/samples.h"

#define SAMPLES_MAX 2000000
#define DOC "large"
#define NODES_AT_ONCE 1000
#define FEW 100

static struct mf_runtime *runtime;
static double alone_ns[SAMPLES_MAX], beside_ns[SAMPLES_MAX];
static size_t alone_count, beside_count;
static int nodes = 100000, commits;

static void must(enum mf_status status, const struct mf_error *error)
{
	if (status == MF_OK)
		return;
	fprintf(stderr, "snapshot_beside: %s: %s\n", mf_status_name(status), error->message);
	exit(2);
}

static void add(struct mf_transaction *transaction, const char *type_id, const char *json)
{
	struct mf_error error = {0};
	must(mf_transaction_add_json(transaction, mf_runtime_steps(runtime), type_id, json, &error), &error);
}

static struct mf_transaction *new_transaction(void)
{
	struct mf_transaction *transaction;
	struct mf_error error = {0};
	must(mf_transaction_new(&transaction), &error);
	return transaction;
}

static double commit(struct mf_transaction *transaction)
{
	struct mf_error error = {0};
	int64_t lsn;
	double begun = now_ns();
	must(mf_runtime_commit(runtime, DOC, transaction, &lsn, &error), &error);
	double ns = now_ns() - begun;
	mf_transaction_free(transaction);
	return ns;
}

static void fill(void)
{
	char json[200];
	for (int n = 0; n < nodes;) {
		struct mf_transaction *transaction = new_transaction();
		for (int i = 0; i < NODES_AT_ONCE && n < nodes; i++, n++) {
			char parent[32] = "root";
			if (n >= 1000) /* a thousand parents with the rest below them */
				snprintf(parent, sizeof(parent), "n%d", n % 1000);
			snprintf(json, sizeof(json), "{\"parent\":\"%s\",\"node\":{\"id\":\"n%d\",\"type\":\"p\",\"attrs\":{\"text\":\"node number %d\",\"k\":%d}}}", parent, n, n, n);
			add(transaction, "insert_node", json);
		}
		commit(transaction);
	}
}

static double commit_once(void)
{
	char json[100];
	struct mf_transaction *transaction = new_transaction();
	unsigned n = (unsigned)commits++ * 7919u % (unsigned)nodes;
	snprintf(json, sizeof(json), "{\"id\":\"n%u\",\"set\":{\"k\":%d}}", n, commits);
	add(transaction, "update_attrs", json);
	return commit(transaction);
}

/* ---- the two sides ---- */

static atomic_bool finished;
static double snapshot_ms;

static void *take_snapshot(void *unused)
{
	(void)unused;
	struct mf_error error = {0};
	int64_t upto;
	double begun = now_ns();
	must(mf_runtime_snapshot(runtime, DOC, &upto, &error), &error);
	snapshot_ms = (now_ns() - begun) / 1e6;
	atomic_store(&finished, true);
	return NULL;
}

static void beside(void)
{
	pthread_t thread;
	atomic_store(&finished, false);
	if (pthread_create(&thread, NULL, take_snapshot, NULL))
		exit(2);
	while (!atomic_load(&finished) && beside_count < SAMPLES_MAX)
		beside_ns[beside_count++] = commit_once();
	pthread_join(thread, NULL);
}

static void alone(double ms)
{
	double begun = now_ns();
	while (now_ns() - begun < ms * 1e6 && alone_count < SAMPLES_MAX)
		alone_ns[alone_count++] = commit_once();
}

static void print(const char *name, double *samples, size_t count)
{
	double middle = median(samples, count);
	printf("  %-8s %7zu commits  p50 %6.1f us  p99 %7.1f us  max %9.1f us\n", name, count, middle / 1e3, samples[count * 99 / 100] / 1e3, samples[count - 1] / 1e3);
}

static bool print_size(void *user, const struct mf_snapshot_info *info)
{
	(void)user;
	printf("  after %d changes: %s, %lld bytes\n", FEW, info->base_lsn ? "incremental" : "whole", (long long)info->bytes);
	return false;
}

static double cpu_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void print_digest_cost(void)
{
	struct mf_state *state;
	struct mf_digest digest;
	struct mf_error error = {0};
	must(mf_runtime_state(runtime, DOC, &state, &error), &error);
	double begun = cpu_ms();
	must(mf_doc_digest(mf_state_doc(state), &digest), &error);
	printf("  the digest of %zu nodes takes %.1f ms of one core\n", mf_doc_node_count(mf_state_doc(state)), cpu_ms() - begun);
	mf_state_unref(state);
}

static void open_store(const char *build, const char *work, const char *name, int full_every)
{
	char config[512], data[512];
	struct mf_error error = {0};
	snprintf(config, sizeof(config), "%.400s/%s.json", work, name);
	snprintf(data, sizeof(data), "%.400s/%s", work, name);
	FILE *file = fopen(config, "w");
	if (!file)
		exit(2);
	fprintf(file,
		"{\"plugin_dirs\": [\"%s/plugins\", \"%s/stepfactories\"], \"plugins\": [{\"name\": \"node_steps\"},\n"
		"{\"name\": \"snapshot_subscriber\", \"config\": {\"store\": {\"dir\": \"%s\"}, \"snapshot_every_n_events\": 0, \"snapshot_every_bytes\": 0,\n"
		"\"snapshot_every_ms\": 0, \"full_snapshot_every\": %d}}]}\n",
		build, build, data, full_every);
	fclose(file);
	struct mf_runtime_options options = {.config_path = config};
	must(mf_runtime_open(&options, &runtime, &error), &error);
}

static void measure(const char *build, const char *work, const char *name, int full_every, int rounds)
{
	struct mf_error error = {0};
	double total_ms = 0;
	printf("%s\n", name);
	open_store(build, work, name, full_every);
	fill();
	alone_count = beside_count = 0;
	take_snapshot(NULL); /* what the incremental ones build on */
	for (int round = 0; round < rounds; round++) {
		alone(snapshot_ms);
		beside();
		total_ms += snapshot_ms;
	}
	print("alone", alone_ns, alone_count);
	print("beside", beside_ns, beside_count);
	printf("  a snapshot takes %.1f ms (mean of %d)\n", total_ms / rounds, rounds);
	take_snapshot(NULL);
	for (int i = 0; i < FEW; i++)
		commit_once();
	double begun = cpu_ms();
	take_snapshot(NULL);
	printf("  after %d changes: %.1f ms of one core\n", FEW, cpu_ms() - begun);
	struct mf_store *store = mf_runtime_store(runtime);
	must(store->ops->snapshots(store, DOC, print_size, NULL, &error), &error);
	print_digest_cost();
	must(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error), &error);
}

int main(int argc, char **argv)
{
	int rounds = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 20;
	if (argc < 3) {
		fprintf(stderr, "usage: snapshot_beside BUILD WORK_DIR [NODES [ROUNDS]]\n");
		return 2;
	}
	if (argc > 3)
		nodes = (int)strtol(argv[3], NULL, 10);
	if (nodes < 1 || rounds < 1)
		return 2;
	measure(argv[1], argv[2], "whole", 1, rounds);
	measure(argv[1], argv[2], "incremental", 1000, rounds);
	return 0;
}
