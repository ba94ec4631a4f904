#include "fault_scene_parts.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <moduforge/runtime.h>

#define PAD 300

/* ---- findings ---- */

void scene_complain(struct scene *scene, const char *format, ...)
{
	if (scene->wrong[0])
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(scene->wrong, 300, format, args);
	va_end(args);
}

void scene_now_doing(struct scene *scene, const char *what)
{
	snprintf(scene->doing, 300, "%s%s", what, scene->lifted ? ", the fault lifted" : "");
	if (getenv("MF_TRACE"))
		fprintf(stderr, "%s\n", scene->doing);
}

static bool one_of(enum mf_status status, enum mf_status a, enum mf_status b, enum mf_status c)
{
	return status == a || status == b || status == c;
}

static bool may_be(const struct scene *scene, enum mf_status status)
{
	const struct fault_report *report = scene->report;
	if (scene->stopped || report->sync_failed)
		return one_of(status, MF_ERR_IO, MF_ERR_UNKNOWN_OUTCOME, MF_ERR_STORAGE_FULL);
	if (scene->lifted || report->struck == 0)
		return false;
	bool syncs = scene->plan->kind == CALLS_SYNC || scene->plan->kind == CALLS_DATASYNC;
	switch (scene->plan->fault->weight) {
	case FAULT_FULL: return one_of(status, MF_ERR_STORAGE_FULL, syncs ? MF_ERR_IO : MF_ERR_STORAGE_FULL, syncs ? MF_ERR_UNKNOWN_OUTCOME : MF_ERR_STORAGE_FULL);
	case FAULT_HANDLES: return one_of(status, MF_ERR_IO, MF_ERR_NO_MEMORY, MF_ERR_IO);
	case FAULT_BROKEN: return one_of(status, MF_ERR_IO, MF_ERR_UNKNOWN_OUTCOME, scene->plan->kind == CALLS_LOCK ? MF_ERR_BUSY : MF_ERR_IO);
	default: return false;
	}
}

/* Judges what an operation said. */
bool scene_judge(struct scene *scene, enum mf_status status, const struct mf_error *error)
{
	if (status == MF_OK)
		return true;
	if (status == MF_ERR_UNKNOWN_OUTCOME)
		scene->stopped = true;
	if (!may_be(scene, status))
		scene_complain(scene, "%s: %s: %.200s", scene->doing, mf_status_name(status), error->message);
	else if (error->status != status || strlen(error->message) < 20)
		scene_complain(scene, "%s: %s without a sentence: '%.100s'", scene->doing, mf_status_name(status), error->message);
	return false;
}

/* ---- the run ---- */

void scene_begin(struct scene *scene, unsigned life)
{
	scene->life = life;
	scene->batches = (uint64_t)life * 1000;
}

void scene_expect(struct scene *scene)
{
	ledger_say_opened(&scene->out, MF_COMMIT_SYNC_DURABLE, 0, 0);
}

void scene_arm(struct scene *scene)
{
	(void)scene;
	fault_plan_arm();
}

static void say_opened(struct scene *scene)
{
	struct mf_store_stats stats;
	struct mf_error error;
	enum mf_status status = mf_store_stats(mf_runtime_store(scene->runtime), &stats, &error);
	enum mf_commit_kind mode = scene->mode[0] == 's' ? MF_COMMIT_SYNC_DURABLE : MF_COMMIT_ASYNC_DURABLE;
	if (scene_judge(scene, status, &error))
		ledger_say_opened(&scene->out, mode, stats.epoch, stats.last_lsn);
}

bool scene_open(struct scene *scene)
{
	struct mf_error error;
	struct mf_runtime_options options = {.config_path = scene->config, .mode = scene->mode, .plugin_path = ""};
	scene_now_doing(scene, "opening");
	fault_plan_reopened();
	scene->report->sync_failed = scene->stopped = false;
	enum mf_status status = mf_runtime_open(&options, &scene->runtime, &error);
	if (status != MF_OK)
		scene->runtime = NULL;
	else
		say_opened(scene);
	return scene_judge(scene, status, &error);
}

void scene_leave(struct scene *scene)
{
	scene->runtime = NULL;
	char path[64], target[512];
	DIR *dir = opendir("/proc/self/fd");
	for (const struct dirent *entry; dir && (entry = readdir(dir));) {
		snprintf(path, sizeof(path), "/proc/self/fd/%.20s", entry->d_name);
		ssize_t len = readlink(path, target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = '\0';
		if (strncmp(target, scene->root, strlen(scene->root)) == 0)
			scene_complain(scene, "%s: the descriptor of %.150s is left open", scene->doing, target);
	}
	if (dir)
		closedir(dir);
}

bool scene_close(struct scene *scene)
{
	struct mf_error error;
	if (!scene->runtime)
		return false;
	scene_now_doing(scene, "closing");
	scene->follower = 0;
	enum mf_status status = mf_runtime_close(scene->runtime, WAIT_MS, &error);
	if (!scene->reader)
		ledger_say_closed(&scene->out, status);
	scene->reader = false;
	scene_leave(scene);
	return scene_judge(scene, status, &error);
}

/* ---- transactions ---- */

static enum mf_status make(struct scene *scene, const char *key, struct mf_transaction **out)
{
	char json[PAD + 100];
	uint64_t seed = 0;
	for (const char *c = key; *c; c++)
		seed = seed * 131 + (unsigned char)*c;
	int len = snprintf(json, sizeof(json), "{\"id\":\"root\",\"set\":{\"%c\":\"", 'a' + (int)(seed % 7));
	for (int i = 0; i < PAD; i++, seed = seed * 6364136223846793005u + 1442695040888963407u)
		json[len++] = (char)('#' + (seed >> 33) % 57); /* neither quote nor backslash; does not compress */
	snprintf(json + len, sizeof(json) - (size_t)len, "\"}}");
	struct mf_transaction *transaction;
	enum mf_status status = mf_transaction_new(&transaction);
	if (status != MF_OK)
		return status;
	status = mf_transaction_set_key(transaction, key, NULL);
	if (status == MF_OK)
		status = mf_transaction_add_json(transaction, mf_runtime_steps(scene->runtime), "update_attrs", json, NULL);
	if (status == MF_OK)
		*out = transaction;
	else
		mf_transaction_free(transaction);
	return status;
}

static void say_seen(struct scene *scene, const char *doc)
{
	struct mf_state *state;
	struct ledger_state seen;
	struct mf_error error;
	enum mf_status status = mf_runtime_state(scene->runtime, doc, &state, &error);
	if (!scene_judge(scene, status, &error))
		return;
	if (ledger_state_of(state, &seen))
		ledger_say_seen(&scene->out, doc, mf_state_lsn(state), &seen);
	mf_state_unref(state);
}

static enum ledger_level level_of(const struct scene *scene, enum mf_status status)
{
	if (status == MF_OK)
		return scene->mode[0] == 's' ? LEDGER_SYNCED : LEDGER_WRITTEN;
	return status == MF_ERR_UNKNOWN_OUTCOME ? LEDGER_UNKNOWN : LEDGER_ABSENT;
}

/* What was refused before it was in order is absent; what was accepted is what its ticket says. */
static enum mf_status wait_for(struct mf_ticket *ticket, int64_t *out_lsn, struct mf_error *error)
{
	enum mf_status status = mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, WAIT_MS, out_lsn, error);
	mf_ticket_unref(ticket);
	return status;
}

static void say_submitted(struct scene *scene, const struct mf_batch_item *item, uint64_t batch, unsigned index, unsigned count, enum mf_action action)
{
	struct ledger_item said = {.action = action, .batch = batch, .index = index, .count = count};
	snprintf(said.doc, sizeof(said.doc), "%s", item->doc_id);
	snprintf(said.key, sizeof(said.key), "%s", mf_transaction_key(item->transaction));
	ledger_say_submitted(&scene->out, &said);
}

static bool ended(struct scene *scene, uint64_t batch, const char *doc, const char *key, enum mf_status status, int64_t lsn, const struct mf_error *error)
{
	bool was_stopped = scene->stopped, sync_failed = scene->report->sync_failed && scene->mode[0] == 's';
	ledger_say_ended(&scene->out, batch, level_of(scene, status), lsn);
	scene_judge(scene, status, error);
	if (status == MF_OK) {
		if (was_stopped)
			scene_complain(scene, "%s: LSN %lld was given after the store had stopped", scene->doing, (long long)lsn);
		if (sync_failed)
			scene_complain(scene, "%s: LSN %lld was acknowledged as synced after a failed sync", scene->doing, (long long)lsn);
		scene->last_lsn = lsn;
		say_seen(scene, doc);
	} else if (scene->refused_count < SCENE_MOST && key) {
		struct scene_try *refused = &scene->refused[scene->refused_count++];
		snprintf(refused->key, sizeof(refused->key), "%s", key);
		snprintf(refused->doc, sizeof(refused->doc), "%s", doc);
		refused->batch = batch;
		refused->status = status;
	}
	return status == MF_OK;
}

bool scene_commit(struct scene *scene, const char *doc, unsigned count)
{
	struct mf_batch_item items[8];
	struct mf_error error;
	struct mf_ticket *ticket;
	char keys[8][LEDGER_NAME];
	int64_t lsn = 0;
	uint64_t batch = scene->batches + 1;
	enum mf_status status = MF_OK;
	if (!scene->runtime)
		return false;
	scene->batches = batch;
	scene_now_doing(scene, count > 1 ? "a batch" : "a commit");
	unsigned made = 0;
	for (; made < count && made < 8 && status == MF_OK; made++) {
		snprintf(keys[made], LEDGER_NAME, "b%llu.%u", (unsigned long long)batch, made);
		items[made].doc_id = doc;
		status = make(scene, keys[made], &items[made].transaction);
		if (status == MF_OK)
			say_submitted(scene, &items[made], batch, made, count, MF_ACTION_APPLY);
		else
			break;
	}
	if (status == MF_OK)
		status = mf_runtime_submit_batch(scene->runtime, items, count, MF_COMMIT_MEMORY_ONLY, &ticket, &error);
	else
		scene_complain(scene, "%s: a transaction could not be made: %s", scene->doing, mf_status_name(status));
	if (status == MF_OK)
		status = wait_for(ticket, &lsn, &error);
	for (unsigned i = 0; i < made; i++)
		mf_transaction_free(items[i].transaction);
	return ended(scene, batch, doc, count == 1 ? keys[0] : NULL, status, lsn, &error);
}

bool scene_undo(struct scene *scene, const char *doc)
{
	struct mf_error error;
	struct mf_transaction *transaction;
	char key[LEDGER_NAME];
	int64_t lsn = 0;
	if (!scene->runtime)
		return false;
	uint64_t batch = ++scene->batches;
	scene_now_doing(scene, "an undo");
	snprintf(key, sizeof(key), "u%llu", (unsigned long long)batch);
	if (mf_transaction_new(&transaction) != MF_OK)
		return false;
	if (mf_transaction_set_key(transaction, key, NULL) == MF_OK)
		say_submitted(scene, &(struct mf_batch_item){.doc_id = doc, .transaction = transaction}, batch, 0, 1, MF_ACTION_UNDO);
	mf_transaction_free(transaction);
	enum mf_status status = mf_runtime_undo(scene->runtime, doc, 1, NULL, key, &lsn, &error);
	return ended(scene, batch, doc, NULL, status, lsn, &error);
}

bool scene_wait_synced(struct scene *scene)
{
	if (!scene->runtime || scene->last_lsn == 0)
		return false;
	struct mf_error error;
	int64_t synced = 0;
	scene_now_doing(scene, "waiting for the sync");
	struct mf_store *store = mf_runtime_store(scene->runtime);
	const struct mf_committer *committer = mf_bus_committer(mf_runtime_bus(scene->runtime));
	enum mf_status status = committer->drain(committer->user, WAIT_MS, &error);
	struct mf_store_stats stats;
	if (status == MF_OK)
		status = mf_store_stats(store, &stats, &error);
	if (status == MF_OK)
		synced = stats.synced_lsn;
	if (status == MF_OK && synced < scene->last_lsn)
		scene_complain(scene, "%s: drained, and LSN %lld of %lld is synced", scene->doing, (long long)synced, (long long)scene->last_lsn);
	if (status == MF_OK && scene->report->sync_failed)
		scene_complain(scene, "%s: LSN %lld was said to be synced after a failed sync", scene->doing, (long long)synced);
	if (synced > 0)
		ledger_say_synced(&scene->out, synced);
	return scene_judge(scene, status, &error);
}

/* The same key again, after it ended absent or unknown: it is stored once. The ledger hears of it as a new submission, but
 * when it turns out to have been stored the first time. */
static void try_again(struct scene *scene, const struct scene_try *refused)
{
	struct mf_transaction *transaction;
	struct mf_error error;
	int64_t lsn = 0;
	scene_now_doing(scene, "the same transaction again");
	if (!scene->runtime || make(scene, refused->key, &transaction) != MF_OK)
		return;
	const struct mf_batch_item item = {.doc_id = refused->doc, .transaction = transaction};
	bool unknown = refused->status == MF_ERR_UNKNOWN_OUTCOME;
	uint64_t batch = ++scene->batches;
	if (!unknown)
		say_submitted(scene, &item, batch, 0, 1, MF_ACTION_APPLY);
	enum mf_status status = mf_runtime_commit(scene->runtime, refused->doc, transaction, &lsn, &error);
	if (unknown && status == MF_ERR_DUPLICATE_KEY && error.same) {
		lsn = error.lsn;
		batch = refused->batch;
	} else if (status != MF_OK) {
		scene_complain(scene, "%s: it had ended as %s, and now: %s: %.150s", scene->doing, mf_status_name(refused->status), mf_status_name(status), error.message);
	} else if (unknown) {
		ledger_say_ended(&scene->out, refused->batch, LEDGER_ABSENT, 0);
		say_submitted(scene, &item, batch, 0, 1, MF_ACTION_APPLY);
	}
	mf_transaction_free(transaction);
	if (lsn > 0)
		ledger_say_ended(&scene->out, batch, level_of(scene, MF_OK), lsn);
	scene->last_lsn = lsn > scene->last_lsn ? lsn : scene->last_lsn;
}

/* ---- afterwards ---- */

static void reads_go_on(struct scene *scene)
{
	if (!scene->runtime)
		return;
	bool stopped = scene->stopped, failed = scene->report->sync_failed;
	scene->stopped = false;
	scene->report->sync_failed = false; /* no excuse for a read */
	bool was_lifted = scene->lifted;
	scene->lifted = true;
	(void)scene_read(scene);
	scene->lifted = was_lifted;
	scene->stopped = stopped;
	scene->report->sync_failed = failed;
}

/* It was stopped, or a broken write may have: no commit, whatever the device says now. */
static void stays_stopped(struct scene *scene)
{
	if (!scene->runtime)
		return;
	bool must = scene->stopped || scene->report->sync_failed, done = scene_commit(scene, "d", 1);
	if (must && done && scene->mode[0] != 's' && !scene_wait_synced(scene)) /* it was written while the sync in the background failed */
		done = scene_commit(scene, "d", 1);
	if (must && done)
		scene_complain(scene, "%s: the store went on after a failure that is final", scene->doing);
	reads_go_on(scene);
	if (must || !done) {
		scene->stopped = true;
		(void)scene_close(scene);
	}
}

void scene_aftermath(struct scene *scene)
{
	const struct fault_plan *plan = scene->plan;
	if (plan->ever && scene->report->struck > 0 && !scene->report->read) {
		(void)scene_commit(scene, "d", 1);
		reads_go_on(scene);
	}
	fault_plan_lift();
	bool broken = plan->number > 0 && plan->fault->weight == FAULT_BROKEN && scene->report->wrote;
	scene->lifted = !broken;
	if (broken || scene->stopped || scene->report->sync_failed)
		stays_stopped(scene);
	scene->lifted = true;
	if (!scene->runtime)
		(void)scene_open(scene);
	size_t refused = scene->refused_count;
	for (size_t i = 0; i < refused; i++)
		try_again(scene, &scene->refused[i]);
	scene->refused_count = SCENE_MOST;
	(void)scene_read(scene);
	(void)scene_commit(scene, "d", 1);
	(void)scene_snapshot(scene, "d");
	(void)scene_close(scene);
	if (scene->report->again[0])
		scene_complain(scene, "synced again after a failed sync: %s", scene->report->again);
}
