/* backup_beside.c - what does a backup cost those who commit meanwhile? One thread commits and waits, in async mode; times
 * of single commits alone and beside a backup, taking turns in one run. The backup is made by another process.
 *
 *   backup_beside BUILD WORK_DIR [EVENTS [ROUNDS]]        WORK_DIR/beside must not exist; EVENTS are stored first */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/backup.h>
#include <moduforge/runtime.h>

#include "bench/samples.h"

#define SAMPLES_MAX 2000000
#define DOCUMENTS 100

static struct mf_runtime *runtime;
static char data[512], file[512], log_path[512];
static double samples[SAMPLES_MAX];

static void must(enum mf_status status, const struct mf_error *error)
{
	if (status == MF_OK)
		return;
	fprintf(stderr, "backup_beside: %s: %s\n", mf_status_name(status), error->message);
	exit(2);
}

static struct mf_transaction *change(int n)
{
	struct mf_transaction *transaction;
	char json[256];
	struct mf_error error = {0};
	snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"n\":%d,\"text\":\"%0150d\"}}", n, n * 7919);
	must(mf_transaction_new(&transaction), &error);
	must(mf_transaction_add_json(transaction, mf_runtime_steps(runtime), "update_attrs", json, &error), &error);
	return transaction;
}

static const char *document(int n)
{
	static char name[16];
	snprintf(name, sizeof(name), "d%d", n % DOCUMENTS);
	return name;
}

static void fill(int events)
{
	enum { AHEAD = 1000 };
	struct mf_error error = {0};
	for (int n = 0; n < events;) {
		struct mf_batch_item items[AHEAD];
		char names[AHEAD][16];
		struct mf_ticket *ticket;
		size_t count = 0;
		for (; count < AHEAD && n < events; n++, count++) {
			snprintf(names[count], sizeof(names[count]), "%s", document(n / AHEAD)); /* a batch a document: it is one change of state */
			items[count] = (struct mf_batch_item){names[count], change(n)};
		}
		must(mf_runtime_submit_batch(runtime, items, count, MF_COMMIT_MEMORY_ONLY, &ticket, &error), &error);
		must(mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, &error), &error);
		mf_ticket_unref(ticket);
		for (size_t i = 0; i < count; i++)
			mf_transaction_free(items[i].transaction);
	}
}

static double commit_once(int n)
{
	struct mf_error error = {0};
	int64_t lsn;
	struct mf_transaction *transaction = change(n);
	double begun = now_ns();
	must(mf_runtime_commit(runtime, document(n), transaction, &lsn, &error), &error);
	double ns = now_ns() - begun;
	mf_transaction_free(transaction);
	return ns;
}

static void print(const char *name, size_t count, double seconds)
{
	double middle = median(samples, count);
	printf("%-8s %8.2f s  %7zu commits  p50 %6.1f us  p99 %7.1f us  p99.9 %8.1f us  max %9.1f us\n", name, seconds, count, middle / 1e3, samples[count * 99 / 100] / 1e3,
	       samples[count * 999 / 1000] / 1e3, samples[count - 1] / 1e3);
	fflush(stdout);
}

static int64_t size_of(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
}

/* The other process: this program again. */
static pid_t start_backup(const char *self)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0)
		execl(self, self, "--backup", data, file, (char *)NULL);
	return child;
}

static int back_up(const char *dir, const char *path)
{
	struct mf_store *store;
	struct mf_error error = {0};
	struct mf_backup_info info;
	must(mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = dir, .read_only = true}, &store, &error), &error);
	double begun = now_ns();
	must(mf_store_backup(store, path, NULL, NULL, &info, &error), &error);
	printf("backup   %8.2f s  %lld events, %.1f MiB\n", (now_ns() - begun) / 1e9, (long long)info.events, (double)info.bytes / 1048576);
	return mf_store_close(store, &error) != MF_OK;
}

static double beside(const char *self, int *n)
{
	double begun = now_ns(), log = 0;
	size_t count = 0;
	pid_t child = start_backup(self);
	while (waitpid(child, NULL, WNOHANG) == 0 && count < SAMPLES_MAX)
		samples[count++] = commit_once((*n)++);
	log = (double)size_of(log_path) / 1048576;
	double seconds = (now_ns() - begun) / 1e9;
	print("beside", count, seconds);
	printf("the log has %.1f MiB\n", log);
	unlink(file);
	return seconds;
}

static void alone(double seconds, int *n)
{
	double begun = now_ns();
	size_t count = 0;
	while (now_ns() - begun < seconds * 1e9 && count < SAMPLES_MAX)
		samples[count++] = commit_once((*n)++);
	print("alone", count, (now_ns() - begun) / 1e9);
}

int main(int argc, char **argv)
{
	char config[512];
	struct mf_error error = {0};
	if (argc == 4 && strcmp(argv[1], "--backup") == 0)
		return back_up(argv[2], argv[3]);
	if (argc < 3) {
		fprintf(stderr, "usage: backup_beside BUILD WORK_DIR [EVENTS [ROUNDS]]\n");
		return 2;
	}
	int n = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 1000000, rounds = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 3;
	snprintf(config, sizeof(config), "%s/plugins.json", argv[1]);
	snprintf(data, sizeof(data), "%s/beside", argv[2]);
	snprintf(file, sizeof(file), "%s/beside.backup", argv[2]);
	snprintf(log_path, sizeof(log_path), "%s/store.db-wal", data);
	must(mf_runtime_open(&(struct mf_runtime_options){.config_path = config, .data_dir = data, .mode = "async"}, &runtime, &error), &error);
	fill(n);
	double seconds = 2;
	for (int i = 0; i < rounds; i++) {
		alone(seconds, &n);
		seconds = beside(argv[0], &n);
	}
	must(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error), &error);
	return 0;
}
