/* What a scene does beside transactions: snapshots, compaction, backup, followers, reading. */
#include "fault_scene_parts.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moduforge/backup.h>
#include <moduforge/runtime.h>

#include "workload.h"

bool scene_snapshot(struct scene *scene, const char *doc)
{
	struct mf_error error;
	int64_t lsn = 0;
	if (!scene->runtime)
		return false;
	scene_now_doing(scene, "a snapshot");
	enum mf_status status = mf_runtime_snapshot(scene->runtime, doc, &lsn, &error);
	if (status == MF_OK)
		ledger_say_snapshot(&scene->out, doc, lsn);
	return scene_judge(scene, status, &error);
}

bool scene_compact(struct scene *scene, const char *doc)
{
	struct mf_error error;
	int64_t lsn = 0;
	if (!scene->runtime)
		return false;
	scene_now_doing(scene, "a compaction");
	ledger_say_compacting(&scene->out, doc);
	enum mf_status status = mf_runtime_compact(scene->runtime, doc, &lsn, &error);
	if (status == MF_OK && lsn > 0)
		ledger_say_compacted(&scene->out, doc, lsn);
	return scene_judge(scene, status, &error);
}

/* What the background thread does now and then, here at once. */
bool scene_maintain(struct scene *scene)
{
	struct mf_error error;
	if (!scene->runtime)
		return false;
	scene_now_doing(scene, "housekeeping");
	struct mf_store *store = mf_runtime_store(scene->runtime);
	return scene_judge(scene, store->ops->maintain(store, &error), &error);
}

bool scene_vacuum(struct scene *scene)
{
	struct mf_error error;
	if (!scene->runtime)
		return false;
	scene_now_doing(scene, "a vacuum");
	return scene_judge(scene, mf_runtime_vacuum(scene->runtime, &error), &error);
}

/* What a backup or a restore has left; while a fault lasts it cannot remove it. */
static void nothing_partial(struct scene *scene, const char *where)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", scene->root, where);
	DIR *dir = opendir(path);
	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		if (strstr(entry->d_name, ".partial"))
			scene_complain(scene, "%s: it left %.100s", scene->doing, entry->d_name);
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
	scene_now_doing(scene, "a backup");
	snprintf(name, sizeof(name), "%llu.backup", (unsigned long long)++scene->batches);
	snprintf(path, sizeof(path), "%s/backups/%s", scene->root, name);
	ledger_say_backing_up(&scene->out, name, scene->last_lsn);
	enum mf_status status = mf_store_backup(mf_runtime_store(scene->runtime), path, NULL, NULL, &info, &error);
	if (status == MF_OK)
		ledger_say_backed_up(&scene->out, name, info.lsn);
	else if (access(path, F_OK) == 0 && !scene->plan->ever)
		scene_complain(scene, "%s: it failed, and the file is there", scene->doing);
	if (!scene->plan->ever)
		nothing_partial(scene, "backups");
	return scene_judge(scene, status, &error);
}

bool scene_restore(struct scene *scene)
{
	struct mf_error error;
	struct mf_backup_info info;
	char file[256], dir[256];
	scene_now_doing(scene, "a restore");
	snprintf(file, sizeof(file), "%s/prepared.backup", scene->root);
	snprintf(dir, sizeof(dir), "%s/restored", scene->root);
	const struct mf_restore_options options = {.file = file, .dir = dir};
	enum mf_status status = mf_store_restore(&options, &info, &error);
	if (status != MF_OK && access(dir, F_OK) == 0 && !scene->plan->ever)
		scene_complain(scene, "%s: it failed, and the directory is there", scene->doing);
	if (status != MF_OK && !scene->plan->ever)
		nothing_partial(scene, ".");
	if (status == MF_ERR_CORRUPTED && scene->plan->kind == CALLS_READ && scene->plan->fault->weight == FAULT_BROKEN)
		return false; /* it was being verified: bytes that cannot be read are a finding */
	return scene_judge(scene, status, &error);
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
	scene_now_doing(scene, "following");
	mf_follow_options_init(&options);
	options.name = "proof";
	options.keep_checkpoint = true;
	options.checkpoint_events = 2;
	options.retry_ms = 1;
	options.retry_max_ms = 2;
	enum mf_status status = mf_runtime_follow(scene->runtime, &options, handle, scene, &scene->follower, &error);
	return scene_judge(scene, status, &error);
}

bool scene_unfollow(struct scene *scene)
{
	struct mf_error error;
	if (!scene->runtime || !scene->follower)
		return false;
	scene_now_doing(scene, "the end of following");
	enum mf_status status = mf_bus_await_followers(mf_runtime_bus(scene->runtime), WAIT_MS, &error);
	if (status == MF_OK)
		status = mf_runtime_unfollow(scene->runtime, scene->follower, WAIT_MS, &error);
	scene->follower = 0;
	return scene_judge(scene, status, &error);
}

bool scene_read(struct scene *scene)
{
	struct mf_error error;
	struct mf_event_list list;
	struct mf_state *state;
	if (!scene->runtime)
		return false;
	scene_now_doing(scene, "reading");
	enum mf_status status = mf_store_load_since(mf_runtime_store(scene->runtime), "d", 0, 1000, &list, &error);
	if (status == MF_OK)
		mf_event_list_deinit(&list);
	if (status == MF_OK)
		status = mf_runtime_state(scene->runtime, "d", &state, &error);
	if (status == MF_OK)
		mf_state_unref(state);
	return scene_judge(scene, status, &error);
}

bool scene_open_reader(struct scene *scene)
{
	struct mf_error error;
	struct mf_runtime_options options = {.config_path = scene->config, .read_only = true, .plugin_path = ""};
	scene_now_doing(scene, "opening to read");
	enum mf_status status = mf_runtime_open(&options, &scene->runtime, &error);
	scene->reader = status == MF_OK;
	if (status != MF_OK)
		scene->runtime = NULL;
	return scene_judge(scene, status, &error);
}

static void note_damage(void *user, const struct mf_damage *damage)
{
	struct scene *scene = user;
	if (scene->report->struck == 0)
		scene_complain(scene, "%s: %s, LSN %lld: %.150s", scene->doing, damage->what, (long long)damage->lsn, damage->message);
}

bool scene_verify(struct scene *scene)
{
	struct mf_error error;
	if (!scene->runtime)
		return false;
	scene_now_doing(scene, "a verify");
	return scene_judge(scene, mf_store_verify(mf_runtime_store(scene->runtime), note_damage, scene, &error), &error);
}

void scene_die_at(struct scene *scene, const char *plan)
{
	struct fault_plan parsed;
	if (fault_plan_parse(plan, &parsed)) {
		fault_plan_change(&parsed);
		fault_plan_arm();
	} else {
		scene_complain(scene, "'%s' is no plan", plan);
	}
}

void scene_look_for_file(struct scene *scene, const char *name, int64_t least)
{
	struct stat info;
	char path[256];
	snprintf(path, sizeof(path), "%s/store/%s", scene->root, name);
	int64_t size = stat(path, &info) == 0 ? info.st_size : -1;
	if (least < 0 ? size >= 0 : size < least)
		scene_complain(scene, "%s is prepared with %lld bytes", name, (long long)size);
}

/* How many events are not stored any more. It closes. */
static int64_t events_gone(struct scene *scene)
{
	struct mf_error error;
	struct mf_store_stats stats = {0};
	if (scene->runtime)
		(void)scene_judge(scene, mf_store_stats(mf_runtime_store(scene->runtime), &stats, &error), &error);
	(void)scene_close(scene);
	return stats.last_lsn - stats.events;
}

void scene_look_for_compaction(struct scene *scene)
{
	(void)scene_open_reader(scene);
	int64_t before = events_gone(scene);
	(void)scene_open(scene);
	int64_t after = events_gone(scene);
	if (before != 0 || after == 0)
		scene_complain(scene, "no opening goes on with a compaction: before it %lld events were gone, after it %lld", (long long)before, (long long)after);
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
	scene_now_doing(scene, "a drawn workload");
	enum mf_status status = workload_run(&workload, &error);
	bool done = scene_judge(scene, status, &error);
	scene_leave(scene);
	fault_plan_reopened(); /* it has closed the store */
	scene->report->sync_failed = scene->stopped = false;
	return done;
}
