#include "fault_scene.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <moduforge/backup.h>
#include <moduforge/runtime.h>

#include "workload.h"

#define WAIT_MS 20000
#define PAD 300

/* ---- findings ---- */

static void complain(struct scene *scene, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct scene *scene, const char *format, ...)
{
	if (scene->wrong[0])
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(scene->wrong, 300, format, args);
	va_end(args);
}

static void now_doing(struct scene *scene, const char *what)
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
static bool judge(struct scene *scene, enum mf_status status, const struct mf_error *error)
{
	if (status == MF_OK)
		return true;
	if (status == MF_ERR_UNKNOWN_OUTCOME)
		scene->stopped = true;
	if (!may_be(scene, status))
		complain(scene, "%s: %s: %.200s", scene->doing, mf_status_name(status), error->message);
	else if (error->status != status || strlen(error->message) < 20)
		complain(scene, "%s: %s without a sentence: '%.100s'", scene->doing, mf_status_name(status), error->message);
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
	if (judge(scene, status, &error))
		ledger_say_opened(&scene->out, mode, stats.epoch, stats.last_lsn);
}

bool scene_open(struct scene *scene)
{
	struct mf_error error;
	struct mf_runtime_options options = {.config_path = scene->config, .mode = scene->mode, .plugin_path = ""};
	now_doing(scene, "opening");
	fault_plan_reopened();
	scene->report->sync_failed = scene->stopped = false;
	enum mf_status status = mf_runtime_open(&options, &scene->runtime, &error);
	if (status != MF_OK)
		scene->runtime = NULL;
	else
		say_opened(scene);
	return judge(scene, status, &error);
}

static void leave(struct scene *scene)
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
			complain(scene, "%s: the descriptor of %.150s is left open", scene->doing, target);
	}
	if (dir)
		closedir(dir);
}

bool scene_close(struct scene *scene)
{
	struct mf_error error;
	if (!scene->runtime)
		return false;
	now_doing(scene, "closing");
	scene->follower = 0;
	enum mf_status status = mf_runtime_close(scene->runtime, WAIT_MS, &error);
	ledger_say_closed(&scene->out, status);
	leave(scene);
	return judge(scene, status, &error);
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
	if (!judge(scene, status, &error))
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
	judge(scene, status, error);
	if (status == MF_OK) {
		if (was_stopped)
			complain(scene, "%s: LSN %lld was given after the store had stopped", scene->doing, (long long)lsn);
		if (sync_failed)
			complain(scene, "%s: LSN %lld was acknowledged as synced after a failed sync", scene->doing, (long long)lsn);
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
	now_doing(scene, count > 1 ? "a batch" : "a commit");
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
		complain(scene, "%s: a transaction could not be made: %s", scene->doing, mf_status_name(status));
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
	now_doing(scene, "an undo");
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
	now_doing(scene, "waiting for the sync");
	struct mf_store *store = mf_runtime_store(scene->runtime);
	const struct mf_committer *committer = mf_bus_committer(mf_runtime_bus(scene->runtime));
	enum mf_status status = committer->drain(committer->user, WAIT_MS, &error);
	struct mf_store_stats stats;
	if (status == MF_OK)
		status = mf_store_stats(store, &stats, &error);
	if (status == MF_OK)
		synced = stats.synced_lsn;
	if (status == MF_OK && synced < scene->last_lsn)
		complain(scene, "%s: drained, and LSN %lld of %lld is synced", scene->doing, (long long)synced, (long long)scene->last_lsn);
	if (status == MF_OK && scene->report->sync_failed)
		complain(scene, "%s: LSN %lld was said to be synced after a failed sync", scene->doing, (long long)synced);
	if (synced > 0)
		ledger_say_synced(&scene->out, synced);
	return judge(scene, status, &error);
}

/* The same key again, after it ended absent or unknown: it is stored once. The ledger hears of it as a new submission, but
 * when it turns out to have been stored the first time. */
static void try_again(struct scene *scene, const struct scene_try *refused)
{
	struct mf_transaction *transaction;
	struct mf_error error;
	int64_t lsn = 0;
	now_doing(scene, "the same transaction again");
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
		complain(scene, "%s: it had ended as %s, and now: %s: %.150s", scene->doing, mf_status_name(refused->status), mf_status_name(status), error.message);
	} else if (unknown) {
		ledger_say_ended(&scene->out, refused->batch, LEDGER_ABSENT, 0);
		say_submitted(scene, &item, batch, 0, 1, MF_ACTION_APPLY);
	}
	mf_transaction_free(transaction);
	if (lsn > 0)
		ledger_say_ended(&scene->out, batch, level_of(scene, MF_OK), lsn);
	scene->last_lsn = lsn > scene->last_lsn ? lsn : scene->last_lsn;
}

/* ---- everything else ---- */

bool scene_snapshot(struct scene *scene, const char *doc)
{
	struct mf_error error;
	int64_t lsn = 0;
	if (!scene->runtime)
		return false;
	now_doing(scene, "a snapshot");
	enum mf_status status = mf_runtime_snapshot(scene->runtime, doc, &lsn, &error);
	if (status == MF_OK)
		ledger_say_snapshot(&scene->out, doc, lsn);
	return judge(scene, status, &error);
}

bool scene_compact(struct scene *scene, const char *doc)
{
	struct mf_error error;
	int64_t lsn = 0;
	if (!scene->runtime)
		return false;
	now_doing(scene, "a compaction");
	ledger_say_compacting(&scene->out, doc);
	enum mf_status status = mf_runtime_compact(scene->runtime, doc, &lsn, &error);
	if (status == MF_OK && lsn > 0)
		ledger_say_compacted(&scene->out, doc, lsn);
	return judge(scene, status, &error);
}

/* What the background thread does now and then, here at once. */
bool scene_maintain(struct scene *scene)
{
	struct mf_error error;
	if (!scene->runtime)
		return false;
	now_doing(scene, "housekeeping");
	struct mf_store *store = mf_runtime_store(scene->runtime);
	return judge(scene, store->ops->maintain(store, &error), &error);
}

bool scene_vacuum(struct scene *scene)
{
	struct mf_error error;
	if (!scene->runtime)
		return false;
	now_doing(scene, "a vacuum");
	return judge(scene, mf_runtime_vacuum(scene->runtime, &error), &error);
}

/* What a backup or a restore has left; while a fault lasts it cannot remove it. */
static void nothing_partial(struct scene *scene, const char *where)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", scene->root, where);
	DIR *dir = opendir(path);
	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		if (strstr(entry->d_name, ".partial"))
			complain(scene, "%s: it left %.100s", scene->doing, entry->d_name);
	if (dir)
		closedir(dir);
}

bool scene_back_up(struct scene *scene)
{
	struct mf_error error;
	struct mf_backup_info info;
	char path[256], name[32];
	if (!scene->runtime)
		return false;
	now_doing(scene, "a backup");
	snprintf(name, sizeof(name), "%llu.backup", (unsigned long long)++scene->batches);
	snprintf(path, sizeof(path), "%s/backups/%s", scene->root, name);
	ledger_say_backing_up(&scene->out, name, scene->last_lsn);
	enum mf_status status = mf_store_backup(mf_runtime_store(scene->runtime), path, NULL, NULL, &info, &error);
	if (status == MF_OK)
		ledger_say_backed_up(&scene->out, name, info.lsn);
	else if (access(path, F_OK) == 0 && !scene->plan->ever)
		complain(scene, "%s: it failed, and the file is there", scene->doing);
	if (!scene->plan->ever)
		nothing_partial(scene, "backups");
	return judge(scene, status, &error);
}

bool scene_restore(struct scene *scene)
{
	struct mf_error error;
	struct mf_backup_info info;
	char file[256], dir[256];
	now_doing(scene, "a restore");
	snprintf(file, sizeof(file), "%s/prepared.backup", scene->root);
	snprintf(dir, sizeof(dir), "%s/restored", scene->root);
	const struct mf_restore_options options = {.file = file, .dir = dir};
	enum mf_status status = mf_store_restore(&options, &info, &error);
	if (status != MF_OK && access(dir, F_OK) == 0 && !scene->plan->ever)
		complain(scene, "%s: it failed, and the directory is there", scene->doing);
	if (status != MF_OK && !scene->plan->ever)
		nothing_partial(scene, ".");
	if (status == MF_ERR_CORRUPTED && scene->plan->kind == CALLS_READ && scene->plan->fault->weight == FAULT_BROKEN)
		return false; /* it was being verified: bytes that cannot be read are a finding */
	return judge(scene, status, &error);
}

static enum mf_status handle(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	const struct scene *scene = user;
	(void)error;
	if (publication->event)
		ledger_say_handled(&scene->out, "proof", false, publication->event->lsn, publication->event->idempotency_key);
	return MF_OK;
}

bool scene_follow(struct scene *scene)
{
	struct mf_error error;
	struct mf_follow_options options;
	if (!scene->runtime)
		return false;
	now_doing(scene, "following");
	mf_follow_options_init(&options);
	options.name = "proof";
	options.keep_checkpoint = true;
	options.checkpoint_events = 2;
	options.retry_ms = 1;
	options.retry_max_ms = 2;
	enum mf_status status = mf_runtime_follow(scene->runtime, &options, handle, scene, &scene->follower, &error);
	return judge(scene, status, &error);
}

bool scene_unfollow(struct scene *scene)
{
	struct mf_error error;
	if (!scene->runtime || !scene->follower)
		return false;
	now_doing(scene, "the end of following");
	enum mf_status status = mf_bus_await_followers(mf_runtime_bus(scene->runtime), WAIT_MS, &error);
	if (status == MF_OK)
		status = mf_runtime_unfollow(scene->runtime, scene->follower, WAIT_MS, &error);
	scene->follower = 0;
	return judge(scene, status, &error);
}

bool scene_read(struct scene *scene)
{
	struct mf_error error;
	struct mf_event_list list;
	struct mf_state *state;
	if (!scene->runtime)
		return false;
	now_doing(scene, "reading");
	enum mf_status status = mf_store_load_since(mf_runtime_store(scene->runtime), "d", 0, 1000, &list, &error);
	if (status == MF_OK)
		mf_event_list_deinit(&list);
	if (status == MF_OK)
		status = mf_runtime_state(scene->runtime, "d", &state, &error);
	if (status == MF_OK)
		mf_state_unref(state);
	return judge(scene, status, &error);
}

bool scene_workload(struct scene *scene, uint32_t batches)
{
	char backups[256];
	struct mf_error error;
	bool sync = scene->mode[0] == 's';
	snprintf(backups, sizeof(backups), "%s/backups", scene->root);
	const struct workload workload = {
		.config = scene->config, .mode = scene->mode, .kind = sync ? MF_COMMIT_SYNC_DURABLE : MF_COMMIT_ASYNC_DURABLE, .seed = scene->seed,
		.life = scene->life, .batches = batches, .batch_max = 5, .docs = 2, .backups = backups, .out = scene->out,
		.what = WORKLOAD_UNDO | WORKLOAD_SNAPSHOTS | WORKLOAD_COMPACTION | WORKLOAD_BACKUP | WORKLOAD_RAISE | WORKLOAD_DUPLICATES | WORKLOAD_SYNC_WAITS | WORKLOAD_VACUUM};
	now_doing(scene, "a drawn workload");
	enum mf_status status = workload_run(&workload, &error);
	bool done = judge(scene, status, &error);
	leave(scene);
	fault_plan_reopened(); /* it has closed the store */
	scene->report->sync_failed = scene->stopped = false;
	return done;
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
		complain(scene, "%s: the store went on after a failure that is final", scene->doing);
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
		complain(scene, "synced again after a failed sync: %s", scene->report->again);
}
