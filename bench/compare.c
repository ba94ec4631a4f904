/* compare.c - ModuForge against hand-written SQLite on the seed's schema: the same events, the same
 * durability, the same machine, turn about in one process.
 *
 * usage: compare PLUGINS_BUILD_DIR WORK_DIR ROUNDS [NAME]
 * Prints one JSON line a round: {"name":..., "ours":events per second, "theirs":events per second}.
 *
 * What is timed on our side: look-up of the key, check, apply, inverse for the undo stack, encoding, commit.
 * What is not, on either side: making the transaction's own bytes (the application's work), opening, closing. */
#include <moduforge/runtime.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/baseline.h"

enum { DOCUMENTS = 1000, STEP_BYTES = 193 };

struct item {
	char doc_id[16], key[33], step[STEP_BYTES + 64];
	struct mf_transaction *transaction;
};

static const char *build_dir, *work_dir;
static uint64_t serial; /* so that no key comes twice in a run of the program */

static void die(const char *what, const struct mf_error *error)
{
	fprintf(stderr, "compare: %s: %s\n", what, error ? error->message : "");
	exit(1);
}

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t random64(void)
{
	static uint64_t state = 0x9E3779B97F4A7C15u;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void fresh_dir(const char *name, char out[4096])
{
	snprintf(out, 4096, "%s/%s-%llu", work_dir, name, (unsigned long long)serial++);
	mkdir(out, 0700);
}

/* ---- our side ---- */
static struct mf_runtime *open_ours(const char *dir, const char *mode)
{
	char path[4200], data[4200];
	struct mf_error error;
	snprintf(path, sizeof(path), "%s/plugins.json", dir);
	snprintf(data, sizeof(data), "%s/data", dir);
	FILE *file = fopen(path, "w");
	if (!file)
		die(path, NULL);
	fprintf(file,
		"{\"plugin_dirs\":[\"%s/plugins\",\"%s/stepfactories\"],\"path_policy\":\"off\",\"plugins\":["
		"{\"name\":\"node_steps\"},{\"name\":\"snapshot_subscriber\",\"config\":{\"snapshot_every_n_events\":0,"
		"\"snapshot_every_bytes\":0,\"snapshot_every_ms\":0}}]}",
		build_dir, build_dir);
	fclose(file);
	struct mf_runtime_options options = {.config_path = path, .data_dir = data, .mode = mode};
	struct mf_runtime *runtime = NULL;
	if (mf_runtime_open(&options, &runtime, &error) != MF_OK)
		die("open", &error);
	return runtime;
}

static void close_ours(struct mf_runtime *runtime)
{
	struct mf_error error;
	if (mf_runtime_close(runtime, MF_WAIT_FOREVER, &error) != MF_OK)
		die("close", &error);
}

/* Documents with one node each, so that the timed steps have something to change. */
static void prepare_ours(struct mf_runtime *runtime, int documents)
{
	struct mf_error error;
	struct mf_ticket *ticket = NULL;
	for (int i = 0; i < documents; i++) {
		char doc_id[16];
		struct mf_transaction *transaction = NULL;
		snprintf(doc_id, sizeof(doc_id), "doc-%04d", i);
		if (mf_transaction_new(&transaction) != MF_OK ||
		    mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "insert_node",
					    "{\"parent\":\"root\",\"node\":{\"id\":\"item\",\"type\":\"item\"}}", &error) != MF_OK)
			die("prepare", &error);
		mf_ticket_unref(ticket);
		if (mf_runtime_submit(runtime, doc_id, transaction, MF_COMMIT_MEMORY_ONLY, &ticket, &error) != MF_OK)
			die("prepare", &error);
		mf_transaction_free(transaction);
	}
	if (mf_ticket_wait(ticket, MF_LEVEL_WRITTEN, MF_WAIT_FOREVER, NULL, &error) != MF_OK)
		die("prepare", &error);
	mf_ticket_unref(ticket);
}

static struct item *make_items(int count, int documents)
{
	struct item *items = calloc((size_t)count, sizeof(*items));
	for (int i = 0; i < count; i++) {
		struct item *item = &items[i];
		uint64_t a = random64(), b = random64();
		snprintf(item->doc_id, sizeof(item->doc_id), "doc-%04d", (int)(random64() % (uint64_t)documents));
		snprintf(item->key, sizeof(item->key), "%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
		int len = snprintf(item->step, sizeof(item->step), "{\"id\":\"item\",\"set\":{\"name\":\"%llu\",\"note\":\"", (unsigned long long)(a % 1000000));
		while (len < STEP_BYTES - 3)
			item->step[len++] = (char)('a' + random64() % 26);
		memcpy(item->step + len, "\"}}", sizeof("\"}}"));
	}
	return items;
}

static void give_transactions(struct item *items, int count, const struct mf_step_registry *steps)
{
	struct mf_error error;
	for (int i = 0; i < count; i++)
		if (mf_transaction_new(&items[i].transaction) != MF_OK ||
		    mf_transaction_set_key(items[i].transaction, items[i].key, &error) != MF_OK ||
		    mf_transaction_add_json(items[i].transaction, steps, "update_attrs", items[i].step, &error) != MF_OK)
			die("transaction", &error);
}

static void free_items(struct item *items, int count)
{
	for (int i = 0; i < count; i++)
		mf_transaction_free(items[i].transaction);
	free(items);
}

/* ---- their side ---- */
static struct baseline_event event_of(const struct item *item, int number)
{
	return (struct baseline_event){.tr_id = (uint64_t)number, .doc_id = item->doc_id, .key = item->key, .payload = item->step, .payload_len = STEP_BYTES};
}

static struct baseline *open_theirs(const char *synchronous)
{
	char dir[4096];
	fresh_dir("theirs", dir);
	struct baseline *baseline = baseline_open(dir, synchronous);
	struct item *items = make_items(DOCUMENTS, DOCUMENTS);
	baseline_begin(baseline);
	for (int i = 0; i < DOCUMENTS; i++) {
		struct baseline_event event = event_of(&items[i], i);
		baseline_insert(baseline, &event);
	}
	baseline_commit(baseline);
	free_items(items, DOCUMENTS);
	return baseline;
}

static double theirs_batched(const char *synchronous, struct item *items, int count, int batch)
{
	struct baseline *baseline = open_theirs(synchronous);
	double start = now_s();
	for (int i = 0; i < count; i += batch) {
		baseline_begin(baseline);
		for (int j = i; j < i + batch && j < count; j++) {
			struct baseline_event event = event_of(&items[j], j);
			baseline_insert(baseline, &event);
		}
		baseline_commit(baseline);
	}
	double seconds = now_s() - start;
	baseline_close(baseline);
	return count / seconds;
}

/* ---- the comparisons ---- */
struct measured {
	double ours, theirs;
};

static struct mf_runtime *ours_ready(const char *mode, struct item *items, int count)
{
	char dir[4096];
	fresh_dir("ours", dir);
	struct mf_runtime *runtime = open_ours(dir, mode);
	prepare_ours(runtime, DOCUMENTS);
	give_transactions(items, count, mf_runtime_steps(runtime));
	return runtime;
}

static struct measured commit_and_wait(void)
{
	enum { COUNT = 5000 };
	struct mf_error error;
	struct item *items = make_items(COUNT, DOCUMENTS);
	struct mf_runtime *runtime = ours_ready("async", items, COUNT);
	double start = now_s();
	for (int i = 0; i < COUNT; i++)
		if (mf_runtime_commit(runtime, items[i].doc_id, items[i].transaction, NULL, &error) != MF_OK)
			die("commit", &error);
	double ours = COUNT / (now_s() - start);
	double theirs = theirs_batched("NORMAL", items, COUNT, 1);
	free_items(items, COUNT);
	close_ours(runtime);
	return (struct measured){ours, theirs};
}

static struct measured submit_with_tickets(void)
{
	enum { COUNT = 20000 };
	struct mf_error error;
	struct item *items = make_items(COUNT, DOCUMENTS);
	struct mf_runtime *runtime = ours_ready("async", items, COUNT);
	struct mf_ticket **tickets = calloc(COUNT, sizeof(*tickets));
	double start = now_s();
	for (int i = 0; i < COUNT; i++)
		if (mf_runtime_submit(runtime, items[i].doc_id, items[i].transaction, MF_COMMIT_MEMORY_ONLY, &tickets[i], &error) != MF_OK)
			die("submit", &error);
	for (int i = 0; i < COUNT; i++)
		if (mf_ticket_wait(tickets[i], MF_LEVEL_WRITTEN, MF_WAIT_FOREVER, NULL, &error) != MF_OK)
			die("wait", &error);
	double ours = COUNT / (now_s() - start);
	for (int i = 0; i < COUNT; i++)
		mf_ticket_unref(tickets[i]);
	free(tickets);
	double theirs = theirs_batched("NORMAL", items, COUNT, 1);
	free_items(items, COUNT);
	close_ours(runtime);
	return (struct measured){ours, theirs};
}

static struct measured batches(void)
{
	enum { COUNT = 50000, BATCH = 1000 };
	struct mf_error error;
	struct item *items = make_items(COUNT, DOCUMENTS);
	struct mf_runtime *runtime = ours_ready("async", items, COUNT);
	struct mf_batch_item *batch = calloc(BATCH, sizeof(*batch));
	double start = now_s();
	for (int i = 0; i < COUNT; i += BATCH) {
		struct mf_ticket *ticket = NULL;
		for (int j = 0; j < BATCH; j++)
			batch[j] = (struct mf_batch_item){items[i + j].doc_id, items[i + j].transaction};
		if (mf_runtime_submit_batch(runtime, batch, BATCH, MF_COMMIT_MEMORY_ONLY, &ticket, &error) != MF_OK ||
		    mf_ticket_wait(ticket, MF_LEVEL_WRITTEN, MF_WAIT_FOREVER, NULL, &error) != MF_OK)
			die("batch", &error);
		mf_ticket_unref(ticket);
	}
	double ours = COUNT / (now_s() - start);
	free(batch);
	double theirs = theirs_batched("NORMAL", items, COUNT, BATCH);
	free_items(items, COUNT);
	close_ours(runtime);
	return (struct measured){ours, theirs};
}

/* Eight threads, each with its own slice of the items. */
enum { THREADS = 8, PER_THREAD = 400 };
struct slice {
	struct item *items;
	struct mf_runtime *runtime;
	struct baseline *baseline;
	pthread_mutex_t *mutex;
};

static void *commit_slice(void *arg)
{
	struct slice *slice = arg;
	struct mf_error error;
	for (int i = 0; i < PER_THREAD; i++)
		if (mf_runtime_commit(slice->runtime, slice->items[i].doc_id, slice->items[i].transaction, NULL, &error) != MF_OK)
			die("commit", &error);
	return NULL;
}

static void *insert_slice(void *arg)
{
	struct slice *slice = arg;
	for (int i = 0; i < PER_THREAD; i++) {
		struct baseline_event event = event_of(&slice->items[i], i);
		pthread_mutex_lock(slice->mutex);
		baseline_begin(slice->baseline);
		baseline_insert(slice->baseline, &event);
		baseline_commit(slice->baseline);
		pthread_mutex_unlock(slice->mutex);
	}
	return NULL;
}

static double run_threads(void *(*work)(void *), struct slice *slices)
{
	pthread_t threads[THREADS];
	double start = now_s();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, &slices[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return THREADS * PER_THREAD / (now_s() - start);
}

static struct measured eight_threads_sync(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	struct slice slices[THREADS];
	struct item *items = make_items(THREADS * PER_THREAD, DOCUMENTS);
	struct mf_runtime *runtime = ours_ready("sync", items, THREADS * PER_THREAD);
	struct baseline *baseline = open_theirs("FULL");
	for (int i = 0; i < THREADS; i++)
		slices[i] = (struct slice){&items[i * PER_THREAD], runtime, baseline, &mutex};
	double ours = run_threads(commit_slice, slices);
	double theirs = run_threads(insert_slice, slices);
	baseline_close(baseline);
	free_items(items, THREADS * PER_THREAD);
	close_ours(runtime);
	return (struct measured){ours, theirs};
}

/* ---- recovery: written by one process, recovered by a new one, as it happens ---- */
static void write_history(const char *dir, int count)
{
	struct mf_error error;
	struct item *items = make_items(count, 1);
	struct mf_runtime *runtime = open_ours(dir, "async");
	prepare_ours(runtime, 1);
	give_transactions(items, count, mf_runtime_steps(runtime));
	struct mf_ticket *ticket = NULL;
	for (int i = 0; i < count; i++) {
		mf_ticket_unref(ticket);
		if (mf_runtime_submit(runtime, items[i].doc_id, items[i].transaction, MF_COMMIT_MEMORY_ONLY, &ticket, &error) != MF_OK)
			die("submit", &error);
	}
	if (mf_ticket_wait(ticket, MF_LEVEL_WRITTEN, MF_WAIT_FOREVER, NULL, &error) != MF_OK)
		die("wait", &error);
	mf_ticket_unref(ticket);
	free_items(items, count);
	close_ours(runtime);
}

/* Through the steps, against a SELECT of the same rows with CRC. */
static struct measured recover_history(const char *dir)
{
	char path[4200];
	struct mf_error error;
	struct mf_runtime *runtime = open_ours(dir, "async");
	struct mf_state *state = NULL;
	struct mf_recovery_report report;
	double start = now_s();
	if (mf_recover_state(mf_runtime_store(runtime), "doc-0000", mf_runtime_steps(runtime), NULL, &state, &report, &error) != MF_OK)
		die("recover", &error);
	double ours = (double)report.events_replayed / (now_s() - start);
	mf_state_unref(state);
	snprintf(path, sizeof(path), "%s/data/store.db", dir);
	start = now_s();
	int64_t rows = baseline_scan(path, "doc-0000");
	double theirs = (double)rows / (now_s() - start);
	close_ours(runtime);
	return (struct measured){ours, theirs};
}

static struct measured recovery(void)
{
	char dir[4096], answer[128];
	int ends[2], status;
	fresh_dir("ours", dir);
	write_history(dir, 50000);
	if (pipe(ends) != 0)
		die("pipe", NULL);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/proc/self/exe", "compare", build_dir, dir, "recover", (char *)NULL);
		_exit(1);
	}
	close(ends[1]);
	ssize_t len = read(ends[0], answer, sizeof(answer) - 1);
	close(ends[0]);
	if (waitpid(child, &status, 0) != child || status != 0 || len <= 0)
		die("recovery in a new process", NULL);
	answer[len] = '\0';
	char *rest;
	double ours = strtod(answer, &rest);
	return (struct measured){ours, strtod(rest, NULL)};
}

static const struct {
	const char *name;
	struct measured (*run)(void);
} comparisons[] = {
	{"commit and wait, async", commit_and_wait},
	{"submit with tickets, async", submit_with_tickets},
	{"8 threads, sync", eight_threads_sync},
	{"batches of 1000, async", batches},
	{"recovery", recovery},
};

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: compare BUILD_DIR WORK_DIR ROUNDS [NAME]\n");
		return 2;
	}
	build_dir = argv[1];
	work_dir = argv[2];
	if (strcmp(argv[3], "recover") == 0) { /* the new process */
		struct measured measured = recover_history(work_dir);
		printf("%f %f\n", measured.ours, measured.theirs);
		return 0;
	}
	for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
		if (argc > 4 && !strstr(comparisons[i].name, argv[4]))
			continue;
		for (int round = 0; round < strtol(argv[3], NULL, 10); round++) {
			struct measured measured = comparisons[i].run();
			printf("{\"name\":\"%s\",\"ours\":%.0f,\"theirs\":%.0f}\n", comparisons[i].name, measured.ours, measured.theirs);
			fflush(stdout);
		}
	}
	return 0;
}
