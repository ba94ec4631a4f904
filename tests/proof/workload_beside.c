/* workload_beside.c - snapshots, compaction, backups, followers: what goes on while events are committed. */
#include <stdio.h>
#include <time.h>

#include <moduforge/backup.h>

#include "workload_parts.h"

static void snapshot(struct run *run, const char *doc)
{
	int64_t upto = 0;
	if (mf_runtime_snapshot(run->runtime, doc, &upto, NULL) == MF_OK)
		ledger_say_snapshot(&run->w->out, doc, upto);
}

static void compact(struct run *run, const char *doc, bool all)
{
	int64_t upto = 0;
	ledger_say_compacting(&run->w->out, doc);
	enum mf_status status = all ? mf_runtime_compact_keep(run->runtime, doc, 1, &upto, NULL) : mf_runtime_compact(run->runtime, doc, &upto, NULL);
	if (status == MF_OK)
		ledger_say_compacted(&run->w->out, doc, upto);
}

static void vacuum(struct run *run)
{
	enum mf_status status = mf_runtime_vacuum(run->runtime, NULL);
	(void)status;
}

static void back_up(struct run *run)
{
	char path[512], name[LEDGER_NAME];
	struct mf_store *store = mf_runtime_store(run->runtime);
	struct mf_store_stats stats;
	struct mf_backup_info info = {0};
	if (!run->w->backups || run->w->kind == MF_COMMIT_MEMORY_ONLY || mf_store_stats(store, &stats, NULL) != MF_OK)
		return;
	snprintf(name, sizeof(name), "b%u-%u", run->w->life, atomic_fetch_add(&run->backups, 1));
	snprintf(path, sizeof(path), "%s/%s", run->w->backups, name);
	ledger_say_backing_up(&run->w->out, name, stats.last_lsn);
	if (mf_store_backup(store, path, NULL, NULL, &info, NULL) == MF_OK)
		ledger_say_backed_up(&run->w->out, name, info.lsn);
}

void workload_side_work(struct run *run, uint64_t *random)
{
	const char *doc = run->names[proof_below(random, run->w->docs)];
	uint32_t kind = proof_below(random, 8);
	if (kind < 4 && (run->w->what & WORKLOAD_SNAPSHOTS))
		snapshot(run, doc);
	else if (kind < 7 && (run->w->what & WORKLOAD_COMPACTION))
		compact(run, doc, proof_below(random, 2) == 0);
	if (kind == 4 && (run->w->what & WORKLOAD_VACUUM))
		vacuum(run);
	if (kind == 7 && (run->w->what & WORKLOAD_BACKUP))
		back_up(run);
}

static void *work_beside(void *user)
{
	struct run *run = user;
	uint64_t random = run->w->seed ^ 0x62657369646573U;
	while (!atomic_load(&run->stop)) {
		struct timespec pause = {.tv_nsec = 1000 * (long)proof_below(&random, 3000)};
		workload_side_work(run, &random);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* ---- followers ---- */

static enum mf_status follow_event(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	const struct follower *follower = user;
	(void)error;
	if (publication->topic & (MF_NOTICE_GAP | MF_NOTICE_SET_BACK))
		ledger_say_placed(&follower->out, follower->name, publication->lsn);
	else
		ledger_say_handled(&follower->out, follower->name, follower->synced_only, publication->lsn, publication->event->idempotency_key);
	return MF_OK;
}

static enum mf_status follow(struct run *run, struct follower *follower, struct mf_error *error)
{
	struct mf_follow_options options;
	uint64_t id;
	mf_follow_options_init(&options);
	options.name = follower->name;
	options.topics = MF_TOPICS_FOLLOW;
	options.synced_only = follower->synced_only;
	options.keep_checkpoint = true;
	options.checkpoint_events = 5;
	options.checkpoint_ms = 20;
	options.retry_ms = 1;
	options.retry_max_ms = 10;
	return mf_runtime_follow(run->runtime, &options, follow_event, follower, &id, error);
}

/* Within the commit, in the thread that stores: whatever is visible now was stored as its mode promises. */
static enum mf_status watch_event(void *user, const struct mf_publication *publication)
{
	const struct run *run = user;
	struct ledger_state seen;
	struct mf_state *state;
	ledger_say_handled(&run->w->out, "at-once", false, publication->lsn, publication->event->idempotency_key);
	if (mf_runtime_state(run->runtime, publication->doc_id, &state, NULL) != MF_OK)
		return MF_OK;
	if (ledger_state_of(state, &seen))
		ledger_say_seen(&run->w->out, publication->doc_id, mf_state_lsn(state), &seen);
	mf_state_unref(state);
	return MF_OK;
}

static enum mf_status watch(struct run *run, struct mf_error *error)
{
	struct mf_store_stats stats;
	uint64_t id;
	enum mf_status status = mf_store_stats(mf_runtime_store(run->runtime), &stats, error);
	if (status != MF_OK)
		return status;
	ledger_say_placed(&run->w->out, "at-once", stats.last_lsn);
	return mf_bus_subscribe(mf_runtime_bus(run->runtime), "at-once", MF_TOPICS_EVENTS, watch_event, run, &id, error);
}

enum mf_status workload_begin_beside(struct run *run, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	run->followers[0] = (struct follower){.out = run->w->out, .name = "proof"};
	run->followers[1] = (struct follower){.out = run->w->out, .name = "proof-synced", .synced_only = true};
	if (run->w->what & WORKLOAD_FOLLOWER)
		status = follow(run, &run->followers[0], error);
	if (status == MF_OK && (run->w->what & WORKLOAD_FOLLOW_SYNCED) && run->w->kind != MF_COMMIT_MEMORY_ONLY)
		status = follow(run, &run->followers[1], error);
	if (status == MF_OK && (run->w->what & WORKLOAD_WATCH))
		status = watch(run, error);
	if (status == MF_OK && (run->w->what & WORKLOAD_BESIDE)) {
		if (pthread_create(&run->thread, NULL, work_beside, run) != 0)
			return mf_error_set(error, MF_ERR_NO_MEMORY, "no thread for the work beside");
		run->has_thread = true;
	}
	return status;
}

void workload_end_beside(struct run *run)
{
	atomic_store(&run->stop, true);
	if (run->has_thread)
		pthread_join(run->thread, NULL);
	run->has_thread = false;
}
