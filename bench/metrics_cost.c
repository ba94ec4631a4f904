/* metrics_cost.c - what does counting cost? The same commits with metrics on and off, taking turns in one run.
 *
 * Over a store in memory, where a commit is cheapest and the share of the counting largest, and over SQLite in async mode;
 * waiting for each commit, and submitting ahead. Time is processor time of the whole process: what others
 * do on the machine hits it least. The order within a pair changes from round to round; medians of the rounds' ratios.
 *
 *   metrics_cost BUILD WORK_DIR [ROUNDS [EVENTS]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moduforge/persist.h>
#include <moduforge/plugin.h>

#include "bench/samples.h"

#define AHEAD 256 /* submits before their tickets are waited for */
#define ROUNDS_MAX 1000

static struct mf_step_registry *steps;
static const char *work_dir;
static int opened;

static void must(enum mf_status status, const struct mf_error *error)
{
	if (status == MF_OK)
		return;
	fprintf(stderr, "metrics_cost: %s: %s\n", mf_status_name(status), error ? error->message : "");
	exit(2);
}

/* ---- a document that is written ---- */

struct writer {
	const struct mf_committer *committer;
	struct mf_state *state;
};

struct under_way {
	struct mf_ticket *ticket;
	struct mf_transaction *transaction;
};

static void done(void *user, const struct mf_commit_result *result)
{
	(void)user;
	must(result->status, result->error);
}

static struct mf_transaction *change(int n)
{
	struct mf_transaction *transaction;
	char json[120];
	struct mf_error error;
	snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"n\":%d,\"text\":\"forty characters that say next to nothing\"}}", n);
	must(mf_transaction_new(&transaction), NULL);
	must(mf_transaction_add_json(transaction, steps, "update_attrs", json, &error), &error);
	return transaction;
}

static struct under_way submit(struct writer *writer, int n)
{
	struct under_way out = {.transaction = change(n)};
	struct mf_key_answer answer;
	struct mf_state *state;
	struct mf_error error;
	must(writer->committer->reserve(writer->committer->user, "d", out.transaction, &answer, &error), &error);
	must(mf_state_apply(writer->state, out.transaction, &state, &error), &error);
	struct mf_proposal proposal = {
		.doc_id = "d",
		.transaction = out.transaction,
		.old_state = writer->state,
		.new_state = state,
		.reservation = answer.reservation,
		.generation = writer->committer->generation(writer->committer->user),
		.done = done,
	};
	must(writer->committer->commit(writer->committer->user, &proposal, 1, MF_COMMIT_MEMORY_ONLY, &out.ticket, &error), &error);
	mf_state_unref(writer->state);
	writer->state = state;
	return out;
}

static void finish(struct under_way *one)
{
	struct mf_error error;
	must(mf_ticket_wait(one->ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, &error), &error);
	mf_ticket_unref(one->ticket);
	mf_transaction_free(one->transaction);
}

static void write_all(struct writer *writer, int events, int ahead)
{
	struct under_way some[AHEAD];
	for (int n = 0; n < events;) {
		int count = 0;
		for (; count < ahead && n < events; n++)
			some[count++] = submit(writer, n);
		for (int i = 0; i < count; i++)
			finish(&some[i]);
	}
}

/* ---- one side of one round ---- */

static struct mf_store *open_store(bool durable)
{
	struct mf_store *store;
	struct mf_error error;
	char dir[512];
	if (!durable) {
		must(mf_store_open_memory(NULL, &store, &error), &error);
		return store;
	}
	snprintf(dir, sizeof(dir), "%s/metrics-%d", work_dir, opened++);
	must(mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = dir}, &store, &error), &error);
	return store;
}

static double cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Nanoseconds an event. */
static double measure(bool durable, int ahead, int events, bool metrics)
{
	struct mf_snapshot_subscriber *subscriber;
	struct mf_persist_options options;
	struct mf_recovery_report report;
	struct mf_error error;
	struct writer writer;
	mf_persist_options_init(&options);
	options.commit_mode.kind = durable ? MF_COMMIT_ASYNC_DURABLE : MF_COMMIT_MEMORY_ONLY;
	options.snapshot_every_n_events = options.snapshot_every_bytes = options.snapshot_every_ms = 0;
	options.metrics = metrics;
	must(mf_snapshot_subscriber_new(open_store(durable), &options, steps, &subscriber, &error), &error);
	writer.committer = mf_snapshot_subscriber_committer(subscriber);
	must(writer.committer->recover(writer.committer->user, "d", INT64_MAX, &writer.state, &report, &error), &error);
	double begun = cpu_ns();
	write_all(&writer, events, ahead);
	double ns = (cpu_ns() - begun) / events;
	must(mf_snapshot_subscriber_close(subscriber, MF_WAIT_FOREVER, &error), &error);
	mf_state_unref(writer.state);
	return ns;
}

static void compare(const char *name, bool durable, int ahead, int rounds, int events)
{
	double on[ROUNDS_MAX], off[ROUNDS_MAX], ratio[ROUNDS_MAX];
	measure(durable, ahead, events, true); /* warm */
	for (int i = 0; i < rounds; i++) {
		bool first = i % 2;
		double one = measure(durable, ahead, events, first), other = measure(durable, ahead, events, !first);
		on[i] = first ? one : other;
		off[i] = first ? other : one;
		ratio[i] = on[i] / off[i];
	}
	double middle = median(ratio, (size_t)rounds);
	printf("%-28s on %7.0f ns  off %7.0f ns  ratio %.4f  (quarters %.4f %.4f)\n", name, median(on, (size_t)rounds), median(off, (size_t)rounds), middle,
	       ratio[rounds / 4], ratio[rounds - 1 - rounds / 4]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char path[512];
	struct mf_error error;
	if (argc < 3) {
		fprintf(stderr, "usage: metrics_cost BUILD WORK_DIR [ROUNDS [EVENTS]]\n");
		return 2;
	}
	int rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 21, events = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 50000;
	if (rounds < 1 || rounds > ROUNDS_MAX || events < 1)
		return 2;
	work_dir = argv[2];
	snprintf(path, sizeof(path), "%s/stepfactories/node_steps.so", argv[1]);
	must(mf_step_registry_new(&steps), NULL);
	must(mf_step_registry_load(steps, path, &error), &error);
	mf_step_registry_freeze(steps);
	compare("memory, commit and wait", false, 1, rounds, events);
	compare("memory, submit ahead", false, AHEAD, rounds, events);
	compare("async, commit and wait", true, 1, rounds, events);
	compare("async, submit ahead", true, AHEAD, rounds, events);
	mf_step_registry_free(steps);
	return 0;
}
