/* crew_watch.c - who works beside the commits: snapshots, compaction, backups; health, metrics and states being read. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <moduforge/backup.h>
#include <moduforge/pack.h>

#include "crew.h"
#include "dice.h"

/* ---- snapshots and compaction ---- */
static void note_gone(struct witness *witness, int doc, int64_t upto)
{
	if (upto > atomic_load(&witness->gone[doc]))
		atomic_store(&witness->gone[doc], upto); /* one thread compacts */
}

void take_snapshots(struct worker *worker)
{
	struct crew *crew = worker->crew;
	while (!atomic_load(&crew->stopping)) {
		int doc = (int)roll(&worker->dice, DOCS);
		struct mf_error error;
		int64_t upto = 0;
		uint64_t what = roll(&worker->dice, 40);
		enum mf_status status;
		mf_error_clear(&error);
		if (what < 30) {
			status = mf_runtime_snapshot(crew->runtime, doc_names[doc], &upto, &error);
		} else if (what < 39) {
			status = what % 2 ? mf_runtime_compact(crew->runtime, doc_names[doc], &upto, &error) : mf_runtime_compact_keep(crew->runtime, doc_names[doc], 1, &upto, &error);
			if (status == MF_OK)
				note_gone(crew->witness, doc, upto);
		} else {
			status = crew->durable ? mf_runtime_vacuum(crew->runtime, &error) : MF_OK;
		}
		if (status != MF_OK && status != MF_ERR_NOT_FOUND) /* nobody has written to it yet */
			complain("%s of %s: %s: %s", what < 30 ? "snapshot" : what < 39 ? "compaction" : "vacuum", doc_names[doc], mf_status_name(status), error.message);
		if (status == MF_OK && upto > 0)
			atomic_fetch_add(what < 30 ? &crew->snapshots : &crew->compactions, 1);
		sleep_us((unsigned)roll(&worker->dice, 8000));
	}
}

/* ---- backups, each restored ---- */
static void restore(const char *file, const char *dir, const struct mf_backup_info *made)
{
	char command[300];
	struct mf_restore_options options = {.file = file, .dir = dir};
	struct mf_backup_info info;
	struct mf_error error;
	mf_error_clear(&error);
	if (mf_store_restore(&options, &info, &error) != MF_OK)
		complain("restoring a backup up to LSN %lld: %s", (long long)made->lsn, error.message);
	else if (info.lsn != made->lsn || info.events > made->events) /* fewer: a compaction that was under way has been ended */
		complain("a backup of %lld events up to LSN %lld was restored as %lld up to %lld", (long long)made->events, (long long)made->lsn, (long long)info.events, (long long)info.lsn);
	snprintf(command, sizeof(command), "rm -rf '%.250s'", dir);
	if (system(command) != 0)
		complain("cannot remove %s", dir);
}

void take_backups(struct worker *worker)
{
	char file[200], dir[200];
	int64_t last = 0;
	snprintf(file, sizeof(file), "%.150s/backup", worker->crew->dir);
	snprintf(dir, sizeof(dir), "%.150s/restored", worker->crew->dir);
	while (!atomic_load(&worker->crew->stopping)) {
		struct mf_backup_info info;
		struct mf_error error;
		mf_error_clear(&error);
		if (mf_store_backup(mf_runtime_store(worker->crew->runtime), file, NULL, NULL, &info, &error) != MF_OK) {
			complain("backup: %s", error.message);
		} else {
			if (info.lsn < last)
				complain("a backup holds LSN %lld, the one before it %lld", (long long)info.lsn, (long long)last);
			last = info.lsn;
			restore(file, dir, &info);
			atomic_fetch_add(&worker->crew->backups, 1);
		}
		(void)unlink(file);
		sleep_us((unsigned)roll(&worker->dice, 60000));
	}
}

/* ---- everything that can be read ---- */
static bool see_subscriber(void *user, const struct mf_subscriber_info *info)
{
	*(uint64_t *)user += info->delivered;
	return info->name != NULL;
}

static void read_health(struct crew *crew)
{
	struct mf_health_report health = {.size = sizeof(health)};
	struct mf_health_options options;
	struct mf_error error;
	mf_error_clear(&error);
	mf_health_options_init(&options);
	options.min_free_bytes = 0;
	if (mf_runtime_health(crew->runtime, &options, NULL, NULL, &health, &error) != MF_OK)
		complain("health: %s", error.message);
	else if (health.level >= MF_HEALTH_CRITICAL)
		complain("the health is %s: %s", mf_health_level_name(health.level), health.message);
}

static void read_metrics(struct crew *crew, enum mf_metrics_format format)
{
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	struct mf_buffer text = {0};
	struct mf_error error;
	mf_error_clear(&error);
	enum mf_status status = mf_runtime_metrics(crew->runtime, &metrics, &error);
	if (status == MF_OK)
		status = mf_metrics_report(&metrics, format, &text, &error);
	if (status != MF_OK)
		complain("metrics: %s: %s", mf_status_name(status), error.message);
	mf_buffer_deinit(&text);
}

/* A document's LSN never falls. */
static void read_state(struct crew *crew, int doc, int64_t *seen)
{
	struct mf_state *state;
	struct mf_error error;
	mf_error_clear(&error);
	if (mf_runtime_state(crew->runtime, doc_names[doc], &state, &error) != MF_OK) {
		complain("reading %s: %s", doc_names[doc], error.message);
		return;
	}
	if (mf_state_lsn(state) < *seen)
		complain("%s was at LSN %lld and is at %lld", doc_names[doc], (long long)*seen, (long long)mf_state_lsn(state));
	*seen = mf_state_lsn(state);
	mf_state_unref(state);
}

static void read_past(struct crew *crew, int doc, int64_t lsn)
{
	struct mf_state *state;
	struct mf_error error;
	mf_error_clear(&error);
	enum mf_status status = lsn > 0 ? mf_runtime_state_at(crew->runtime, doc_names[doc], lsn, &state, NULL, &error) : MF_ERR_NOT_FOUND;
	if (status == MF_OK)
		mf_state_unref(state);
	else if (status != MF_ERR_NOT_FOUND) /* compacted */
		complain("%s at LSN %lld: %s: %s", doc_names[doc], (long long)lsn, mf_status_name(status), error.message);
}

void watch(struct worker *worker)
{
	int64_t seen[DOCS] = {0};
	uint64_t delivered;
	while (!atomic_load(&worker->crew->stopping)) {
		int doc = (int)roll(&worker->dice, DOCS);
		delivered = 0;
		switch (roll(&worker->dice, 8)) {
		case 0: read_health(worker->crew); break;
		case 1: read_metrics(worker->crew, (enum mf_metrics_format)roll(&worker->dice, 3)); break;
		case 2: mf_bus_subscribers(mf_runtime_bus(worker->crew->runtime), see_subscriber, &delivered); break;
		case 3: read_past(worker->crew, doc, seen[doc] ? 1 + (int64_t)roll(&worker->dice, (uint64_t)seen[doc]) : 0); break;
		default: read_state(worker->crew, doc, &seen[doc]); break;
		}
		sleep_us((unsigned)roll(&worker->dice, 3000));
	}
}
