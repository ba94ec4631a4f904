/* Sessions: which load, how many cuts, which state the next life begins in. */
#include "power_parts.h"

#include <moduforge/backup.h>
#include <moduforge/runtime.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "recorder.h"
#include "tests/leave.h"
#include "workload.h"

#define SECONDS 120 /* that recording one life may take */
#define SAVED 20    /* recordings, at most */
#define CHOICES (DISK_EXTREMES + 2) /* of a cut, where there is that much to choose from */
#define IN_VAIN 6   /* choices one after the other that bring nothing new: the cut has no more */

#define SMALL_LOG ", \"checkpoint_pages\": 24"
#define SNAPSHOTS ", \"snapshot_every_n_events\": 12, \"full_snapshot_every\": 3"

#define UPKEEP 0x10000u /* opened once more: vacuum, backup, restore */
#define EVERYTHING 9 /* one after the other, so that a backup and a compaction come for certain in a long life */

static const struct load {
	const char *name, *mode, *options;
	enum mf_commit_kind kind;
	uint32_t batches, batch_max, docs;
	unsigned what;
} loads[] = {
	{"sync, one by one", "sync", "", MF_COMMIT_SYNC_DURABLE, 30, 1, 2, WORKLOAD_UNDO | WORKLOAD_DUPLICATES | WORKLOAD_WATCH},
	{"sync, batches and checkpoints", "sync", SMALL_LOG, MF_COMMIT_SYNC_DURABLE, 40, 30, 3, WORKLOAD_UNDO | WORKLOAD_TICKETS | WORKLOAD_WATCH},
	{"async, batches", "async:2", "", MF_COMMIT_ASYNC_DURABLE, 40, 20, 3, WORKLOAD_UNDO | WORKLOAD_RAISE | WORKLOAD_SYNC_WAITS},
	{"async, checkpoints", "async:1", SMALL_LOG, MF_COMMIT_ASYNC_DURABLE, 60, 20, 3, WORKLOAD_TICKETS | WORKLOAD_RAISE | WORKLOAD_SYNC_WAITS | WORKLOAD_BIG | WORKLOAD_WATCH},
	{"sync, snapshots and compaction", "sync", SMALL_LOG SNAPSHOTS, MF_COMMIT_SYNC_DURABLE, 50, 12, 2, WORKLOAD_UNDO | WORKLOAD_SNAPSHOTS | WORKLOAD_COMPACTION},
	{"async, snapshots, compaction and followers", "async:2", SMALL_LOG SNAPSHOTS, MF_COMMIT_ASYNC_DURABLE, 50, 12, 2,
	 WORKLOAD_UNDO | WORKLOAD_SNAPSHOTS | WORKLOAD_COMPACTION | WORKLOAD_FOLLOWER | WORKLOAD_FOLLOW_SYNCED | WORKLOAD_SYNC_WAITS},
	{"sync, backups and followers", "sync", SNAPSHOTS, MF_COMMIT_SYNC_DURABLE, 80, 3, 2, WORKLOAD_UNDO | WORKLOAD_BACKUP | WORKLOAD_FOLLOWER | WORKLOAD_FOLLOW_SYNCED},
	{"async, everything at once", "async:2", SMALL_LOG SNAPSHOTS, MF_COMMIT_ASYNC_DURABLE, 40, 20, 4, WORKLOAD_ALL | WORKLOAD_WATCH},
	{"sync, everything at once", "sync", SMALL_LOG SNAPSHOTS, MF_COMMIT_SYNC_DURABLE, 40, 20, 4, WORKLOAD_ALL | WORKLOAD_WATCH},
	{"sync, everything in turn", "sync", SMALL_LOG SNAPSHOTS, MF_COMMIT_SYNC_DURABLE, 80, 4, 3, WORKLOAD_ALL & ~(unsigned)WORKLOAD_BESIDE},
	{"sync, then vacuum, backup and restore", "sync", SNAPSHOTS, MF_COMMIT_SYNC_DURABLE, 20, 10, 2, WORKLOAD_UNDO | WORKLOAD_COMPACTION | WORKLOAD_SNAPSHOTS | UPKEEP},
	{"async, then vacuum, backup and restore", "async:2", SMALL_LOG, MF_COMMIT_ASYNC_DURABLE, 20, 10, 2, WORKLOAD_UNDO | UPKEEP},
	{"memory", "memory", "", MF_COMMIT_MEMORY_ONLY, 20, 12, 2, WORKLOAD_UNDO | WORKLOAD_SNAPSHOTS},
};

uint32_t power_kinds(void)
{
	return sizeof(loads) / sizeof(loads[0]);
}

const char *power_kind_name(uint32_t kind)
{
	return loads[kind].name;
}

struct session {
	const struct power_plan *plan;
	struct power_tally *tally;
	const struct load *load;
	uint64_t random;
	uint32_t life;
	struct power_answer *answer; /* shared with the children */
	char work[POWER_PATH], recording[POWER_PATH], config[POWER_PATH];
	bool saved; /* this life's recording */
	size_t states; /* tried, of all lives */
	/* Where the next life begins: */
	size_t cut;
	uint32_t choice, candidates;
};

/* ---- one life, recorded ---- */

static enum mf_status back_up_and_restore(const struct session *session, const struct ledger_out *out, struct mf_store *store, struct mf_error *error)
{
	char name[32], file[POWER_PATH + 64], dir[POWER_PATH + 32];
	struct mf_store_stats stats;
	struct mf_backup_info info;
	snprintf(name, sizeof(name), "last-%" PRIu32, session->life);
	snprintf(file, sizeof(file), "%s/backups/%s", session->work, name);
	snprintf(dir, sizeof(dir), "%s/restored-%" PRIu32, session->work, session->life);
	enum mf_status status = mf_store_stats(store, &stats, error);
	if (status != MF_OK)
		return status;
	ledger_say_backing_up(out, name, stats.last_lsn);
	status = mf_store_backup(store, file, NULL, NULL, &info, error);
	if (status != MF_OK)
		return status;
	ledger_say_backed_up(out, name, info.lsn);
	status = mf_store_restore(&(struct mf_restore_options){.file = file, .dir = dir}, &info, error);
	if (status == MF_OK)
		power_say_restored(session->life, info.lsn);
	return status;
}

/* What is done to a store now and then by hand, in an opening of its own. */
static enum mf_status keep_up(const struct session *session, const struct workload *workload, struct mf_error *error)
{
	struct mf_runtime *runtime;
	struct mf_store_stats stats;
	ledger_say_opening(&workload->out, workload->kind);
	enum mf_status status = mf_runtime_open(&(struct mf_runtime_options){.config_path = workload->config, .mode = workload->mode}, &runtime, error);
	if (status != MF_OK)
		return status;
	status = mf_store_stats(mf_runtime_store(runtime), &stats, error);
	if (status == MF_OK) {
		ledger_say_opened(&workload->out, workload->kind, stats.epoch, stats.last_lsn);
		status = mf_runtime_vacuum(runtime, error);
	}
	if (status == MF_OK)
		status = back_up_and_restore(session, &workload->out, mf_runtime_store(runtime), error);
	enum mf_status closed = mf_runtime_close(runtime, 60000, status == MF_OK ? error : NULL);
	ledger_say_closed(&workload->out, closed);
	return status == MF_OK ? closed : status;
}

static struct oplog *live(const struct session *session, const struct oplog *before, enum mf_status *out_status)
{
	char store[POWER_PATH + 16], backups[POWER_PATH + 16];
	snprintf(store, sizeof(store), "%s/store", session->work);
	snprintf(backups, sizeof(backups), "%s/backups", session->work);
	struct workload workload = {
		.config = session->config, .dir = store, .backups = backups, .mode = session->load->mode, .kind = session->load->kind, .seed = session->plan->seed, .life = session->life,
		.batches = (session->plan->batches ? session->plan->batches : session->load->batches) / (session->life + 1), .batch_max = session->load->batch_max, .docs = session->load->docs, .what = session->load->what & ~UPKEEP,
		.out = {recorder_mark, NULL}};
	struct mf_error error = {0};
	recorder_begin(session->work, session->plan->lies);
	for (size_t i = 0; before && i < session->cut; i++)
		if (before->ops[i].kind == OP_MARK)
			recorder_mark(NULL, (const char *)before->ops[i].bytes, before->ops[i].len);
	if (before)
		ledger_say_power_lost(&workload.out);
	*out_status = workload_run(&workload, &error);
	if (session->load->what & UPKEEP) {
		if (*out_status == MF_OK)
			*out_status = keep_up(session, &workload, &error);
		workload.life += POWER_LIVES; /* keys of its own */
		workload.batches = 8;
		if (*out_status == MF_OK) /* so that there are cuts behind the restore */
			*out_status = workload_run(&workload, &error);
	}
	struct oplog *log = recorder_end();
	log->seed = session->plan->seed + session->life;
	if (*out_status != MF_OK)
		fprintf(stderr, "the load ended with %s: %s\n", mf_status_name(*out_status), error.message);
	return log;
}

static bool record(struct session *session, const struct oplog *before, struct oplog *out)
{
	int status;
	pid_t child = harness_fork();
	if (child == 0) {
		enum mf_status ended;
		alarm(SECONDS);
		const struct oplog *log = live(session, before, &ended);
		leave(ended == MF_OK && oplog_save(log, session->recording) ? 0 : 1);
	}
	while (child > 0 && waitpid(child, &status, 0) != child)
		if (errno != EINTR)
			return false;
	if (child < 0 || status != 0)
		return false;
	return oplog_load(out, session->recording);
}

/* ---- its states ---- */

static void tell_failure(struct session *session, const struct power_walk *walk, size_t cut, uint32_t choice, const char *what)
{
	static char text[8192];
	char op[600] = "the end", saved[POWER_PATH], again[POWER_PATH + 100];
	if (cut < walk->log->count)
		op_tell(walk->log, cut, op, sizeof(op));
	snprintf(again, sizeof(again), "its recording is not kept");
	snprintf(saved, sizeof(saved), "%.200s/%" PRIu64 "-%" PRIu32 ".oplog", session->plan->save ? session->plan->save : "", session->plan->seed, session->life);
	if (session->plan->save && !session->saved && atomic_fetch_add(&session->tally->saved, 1) < SAVED) {
		session->saved = oplog_save(walk->log, saved);
		if (!session->saved)
			snprintf(again, sizeof(again), "its recording cannot be kept as %s: %s", saved, strerror(errno));
	}
	if (session->saved)
		snprintf(again, sizeof(again), "again: ./dev powerloss --replay %s %zu %" PRIu32, saved, cut, choice);
	snprintf(text, sizeof(text), "failed: seed %" PRIu64 ", life %" PRIu32 " (%s), cut %zu of %zu (before: %.400s), choice %" PRIu32 ": %s\n  the power loss: %s\n%s  %s\n",
		 session->plan->seed, session->life, session->load->name, cut, walk->log->count, op, choice, what, session->answer->story, session->answer->report.text, again);
	if (session->plan->tell)
		session->plan->tell(text);
}

static void raise_to(atomic_size_t *most, size_t value)
{
	size_t now = atomic_load(most);
	while (now < value && !atomic_compare_exchange_weak(most, &now, value))
		;
}

static void count_report(struct session *session)
{
	const struct oracle_report *report = &session->answer->report;
	struct power_tally *tally = session->tally;
	atomic_fetch_add(&tally->acknowledged, report->acknowledged);
	atomic_fetch_add(&tally->lost, report->lost);
	atomic_fetch_add(&tally->unheard, report->unheard);
	atomic_fetch_add(&tally->lossy, report->lost > 0);
	atomic_fetch_add(&tally->backups, report->backups);
	atomic_fetch_add(&tally->restored, session->answer->restored);
	atomic_fetch_add(&tally->empty, report->last_lsn == 0);
	raise_to(&tally->most_lost, report->lost);
}

/* Of the state that was made. Whether the harness works; what it found is counted. */
static bool try_state(struct session *session, const struct power_walk *walk, size_t cut, uint32_t choice, bool *out_sound)
{
	char what[64] = "";
	int signal;
	enum power_outcome outcome = power_check(walk, choice, session->plan->scratch, session->answer, &signal);
	*out_sound = outcome == POWER_SOUND;
	if (outcome == POWER_BROKEN)
		return false;
	session->states++;
	atomic_fetch_add(&session->tally->states, 1);
	atomic_fetch_add(&session->tally->later, session->life > 0);
	if (outcome == POWER_HUNG)
		snprintf(what, sizeof(what), "recovery hung");
	else if (outcome == POWER_CRASHED)
		snprintf(what, sizeof(what), "recovery crashed (signal %d)", signal);
	if (outcome == POWER_SOUND) {
		count_report(session);
	} else {
		atomic_fetch_add(&session->tally->failures, 1);
		tell_failure(session, walk, cut, choice, what);
	}
	harness_count(outcome == POWER_SOUND);
	return true;
}

/* Every op but what the world was told may be the first that did not happen; with few states only some are. */
static size_t *pick_cuts(struct session *session, const struct oplog *log, size_t states, size_t *out_count)
{
	size_t *cuts = malloc((log->count + 1) * sizeof(*cuts)), count = 0, kept = 0;
	if (!cuts)
		return NULL;
	for (size_t i = log->base; i <= log->count; i++)
		if (i == log->count || log->ops[i].kind != OP_MARK)
			cuts[count++] = i;
	size_t wanted = states / CHOICES + 1;
	wanted = wanted < count ? wanted : count;
	for (size_t offset = proof_random(&session->random) % count; kept < wanted; kept++) /* evenly */
		cuts[kept] = cuts[(kept * count + offset) / wanted];
	*out_count = kept;
	return cuts;
}

/* One of those that were drawn is where the next life begins; an extreme one where none was. */
static void consider(struct session *session, size_t cut, uint32_t choice)
{
	bool drawn = choice >= DISK_EXTREMES;
	if (drawn ? proof_random(&session->random) % ++session->candidates != 0 : session->candidates > 0)
		return;
	session->cut = cut;
	session->choice = choice;
}

static bool may_stop(const struct session *session)
{
	return session->plan->stop_at_failure && atomic_load(&session->tally->failures) > 0;
}

/* So many states that this recording has not had, if there are. */
static bool try_cut(struct session *session, const struct power_walk *walk, struct power_images *images, size_t wanted)
{
	size_t cut = walk->disk.at, in_vain = 0;
	for (uint32_t choice = 0; wanted > 0 && in_vain < IN_VAIN && !may_stop(session); choice++) {
		uint64_t image;
		bool sound;
		if (!power_make(walk, choice, session->plan->scratch, session->answer, &image))
			return false;
		if (!power_images_add(images, image, walk->heard)) {
			atomic_fetch_add(&session->tally->repeats, 1);
			in_vain++;
			continue;
		}
		if (!try_state(session, walk, cut, choice, &sound))
			return false;
		if (sound)
			consider(session, cut, choice);
		in_vain = 0;
		wanted--;
	}
	return true;
}

/* Until so many states were tried in this session. What a cut does not have is left to those after it, and to the next life. */
static bool try_recording(struct session *session, const struct oplog *log, size_t upto)
{
	size_t count = 0;
	size_t *cuts = pick_cuts(session, log, upto > session->states ? upto - session->states : 1, &count);
	struct power_walk walk;
	struct power_images images = {0};
	bool good = cuts != NULL;
	session->cut = SIZE_MAX;
	session->candidates = 0;
	power_walk_init(&walk, log);
	for (size_t i = 0; good && !may_stop(session) && i < count; i++) {
		size_t left = upto > session->states ? upto - session->states : 1;
		power_walk_to(&walk, cuts[i]);
		good = try_cut(session, &walk, &images, (left + count - i - 1) / (count - i));
	}
	power_walk_deinit(&walk);
	power_images_free(&images);
	free(cuts);
	return good;
}

/* ---- a session ---- */

/* What the next life begins in: the state once more. */
static bool make_state(struct session *session, const struct oplog *log)
{
	struct power_walk walk;
	power_walk_init(&walk, log);
	power_walk_to(&walk, session->cut);
	bool good = power_clear(session->work) && disk_lose_power(&walk.disk, &(struct disk_choice){log->seed, session->choice}, session->work, NULL, 0, NULL);
	power_walk_deinit(&walk);
	return good;
}

/* For a life in the directory work. */
static bool begin(struct session *session, const char *work)
{
	char backups[POWER_PATH + 16], store[POWER_PATH + 16];
	snprintf(session->work, sizeof(session->work), "%s", work);
	snprintf(session->recording, sizeof(session->recording), "%.200s/recording", session->plan->scratch);
	snprintf(session->config, sizeof(session->config), "%.200s/work.json", session->plan->scratch);
	snprintf(backups, sizeof(backups), "%s/backups", session->work);
	snprintf(store, sizeof(store), "%s/store", session->work);
	return power_clear(session->work) && mkdir(backups, 0700) == 0 && proof_write_config(session->config, store, session->load->options);
}

static const struct load *load_of(const struct power_plan *plan, uint64_t *random)
{
	uint32_t drawn = proof_below(random, power_kinds());
	return &loads[plan->kind < power_kinds() ? plan->kind : plan->kind == POWER_EVERYTHING ? EVERYTHING : drawn];
}

bool power_live(const struct power_plan *plan, const char *dir)
{
	struct session session = {.plan = plan, .random = plan->seed};
	enum mf_status status = MF_ERR_IO;
	session.load = load_of(plan, &session.random);
	if (!begin(&session, dir))
		return false;
	struct oplog *log = live(&session, NULL, &status);
	bool good = status == MF_OK && (!plan->save || oplog_save(log, plan->save));
	oplog_deinit(log);
	free(log);
	return good;
}

bool power_session(const struct power_plan *plan, struct power_tally *tally)
{
	struct session session = {.plan = plan, .tally = tally, .random = plan->seed};
	char work[POWER_PATH];
	session.load = load_of(plan, &session.random);
	snprintf(work, sizeof(work), "%.200s/work", plan->scratch);
	session.answer = mmap(NULL, sizeof(*session.answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (session.answer == MAP_FAILED)
		return false;
	static const size_t tenths[POWER_LIVES] = {5, 8, 10}; /* up to the end of each life */
	struct oplog before = {0};
	bool good = begin(&session, work), goes_on = true;
	for (; good && goes_on && session.life < POWER_LIVES; session.life++) {
		struct oplog log = {0};
		session.saved = false;
		good = record(&session, session.life ? &before : NULL, &log);
		if (!good)
			break;
		atomic_fetch_add(&tally->recordings, 1);
		atomic_fetch_add(&tally->ops, log.count - log.base);
		good = try_recording(&session, &log, plan->states * tenths[session.life] / 10);
		goes_on = good && !may_stop(&session) && session.cut != SIZE_MAX && make_state(&session, &log);
		oplog_deinit(&before);
		before = log;
	}
	oplog_deinit(&before);
	munmap(session.answer, sizeof(*session.answer));
	atomic_fetch_add(&tally->sessions, 1);
	return good;
}

bool power_load_plugins(const char *scratch)
{
	char config[POWER_PATH];
	struct mf_runtime *runtime;
	struct mf_error error = {0};
	snprintf(config, sizeof(config), "%.200s/plugins.json", scratch);
	struct mf_runtime_options options = {.config_path = config, .mode = "memory"};
	if (proof_write_config(config, scratch, NULL) && mf_runtime_open(&options, &runtime, &error) == MF_OK && mf_runtime_close(runtime, 10000, &error) == MF_OK)
		return true;
	fprintf(stderr, "cannot open a runtime: %s\n", error.message);
	return false;
}

/* ---- one state again ---- */

bool power_replay(const struct oplog *recording, size_t cut, uint32_t choice, const char *scratch, const char *keep)
{
	struct power_walk walk;
	char op[600] = "the end";
	int signal = 0;
	struct power_answer *answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (answer == MAP_FAILED)
		return false;
	power_walk_init(&walk, recording);
	power_walk_to(&walk, cut);
	if (keep && (!power_clear(keep) || !disk_lose_power(&walk.disk, &(struct disk_choice){recording->seed, choice}, keep, NULL, 0, NULL)))
		fprintf(stderr, "cannot write the state into %s\n", keep);
	enum power_outcome outcome = power_make(&walk, choice, scratch, answer, NULL) ? power_check(&walk, choice, scratch, answer, &signal) : POWER_BROKEN;
	if (cut < recording->count)
		op_tell(recording, cut, op, sizeof(op));
	printf("cut %zu of %zu, before: %s\nthe power loss: %s\n%s", cut, recording->count, op, answer->story, answer->report.text);
	static const char *const words[] = {"sound", "not sound", "recovery crashed", "recovery hung", "the state could not be made"};
	printf("%s\n", words[outcome]);
	power_walk_deinit(&walk);
	munmap(answer, sizeof(*answer));
	return outcome == POWER_SOUND;
}
