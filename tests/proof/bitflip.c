/* bitflip.c - damages stores in every way that a device can, and looks whether anybody is told.
 *
 * Each case damages a copy of a sound store (scene.h, damage.h), then
 *   reads   everything a reader can get (picture.h), and has it verified;
 *   writes  on another damaged copy: known keys again, a commit and an undo on each document, a compaction or a vacuum now
 *           and then; closes, and reads it all again.
 *
 * What comes out is one of:
 *   detected  the opening, or every reading that would be wrong, is an error with a sentence, or verify has a finding
 *   harmless  all that can be read is as it was, and what was written is as on the sound store
 *   silent    something is wrong and was given out as right, whatever verify says: a failure. So are: a finding that verify
 *             lacks, an error of another kind, files changed by an opening that was refused, a known key that was taken, a
 *             commit on another state than the acknowledged one, a write that made worse what could be read before, a
 *             crash, a case that does not end; and where all that was hit are values of one event or snapshot (damage_rows.h)
 *             an error or a finding that does not name its document and LSN, or another document that is not as it was
 *
 * Its usage (bitflip --help) says how to run it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <moduforge/backup.h>

#include "damage.h"
#include "harness.h"
#include "tests/leave.h"

#define CASE_SECONDS 30 /* a case takes some hundredths; a sanitizer and a busy machine are slow */
#define JOBS_MAX 16
#define ALL_KEYS 32
#define ATTEMPTS 100

static const char usage[] = "usage: bitflip [--tap | --help]\n"
			    "  MF_COUNT=500      so many cases\n"
			    "  MF_SEED=1         what they damage; the clock's, if it is not set, and printed\n"
			    "  MF_CASE=17        only this one of them, and all that is seen of it\n"
			    "  MF_SCENE=hot      only this store: closed, hot, beside, large or backup\n"
			    "  MF_EXHAUSTIVE=1   each bit of the small things instead, up to MF_COUNT (200000)\n"
			    "  MF_JOBS=4         so many at once\n"
			    "  MF_KEEP=1         leaves the stores\n"
			    "The last line is \"N passed, M failed\", in cases that damaged something.\n";

enum outcome { HARMLESS, DETECTED, UNCHANGED, SILENT, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {"harmless", "detected", "without effect", "silent"};

/* What a worker tells its parent, in shared memory. */
struct worker {
	volatile uint64_t at;      /* the case under way */
	volatile int64_t began_ms; /* 0: none is */
	volatile uint64_t attempt; /* which damage of that case */
	volatile uint64_t outcomes[SCENES][OUTCOMES];
};

static struct scene scenes[SCENES];
static struct damage_map *maps[SCENES];
static uint64_t run_seed, run_count, only_scene;
static bool exhaustive, verbose;
static char base[64], config[128];

/* ---- one case ---- */

struct bitflip {
	uint64_t number, seed;
	uint64_t attempt;
	const struct scene *scene;
	struct damage damage;
	const struct damage_row *row; /* all that is hit is a value of it; NULL */
	bool named;                   /* and neither its document nor its LSN */
	char work[128];
	struct picture *read, *again;
	enum outcome outcome;
	int problems;
};

static void tell_case(const struct bitflip *one)
{
	char damage[200];
	fprintf(stderr, "case %llu, scene %s: %s\n  again: %s", (unsigned long long)one->number, scene_names[one->scene->number], damage_tell(&one->damage, damage, sizeof(damage)), exhaustive ? "MF_EXHAUSTIVE=1 " : "");
	if (only_scene < SCENES)
		fprintf(stderr, "MF_SCENE=%s ", scene_names[only_scene]);
	fprintf(stderr, "MF_SEED=%llu MF_CASE=%llu ./dev bitflip\n", (unsigned long long)run_seed, (unsigned long long)one->number);
}

static void problem(struct bitflip *one, enum outcome outcome, const char *format, ...) MF_PRINTF(3, 4);

static void problem(struct bitflip *one, enum outcome outcome, const char *format, ...)
{
	char text[600];
	va_list args;
	if (outcome > one->outcome)
		one->outcome = outcome;
	if (outcome != SILENT && !verbose)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (one->problems++ == 0)
		tell_case(one);
	fprintf(stderr, "  %s: %s\n", outcome_names[outcome], text);
}

static bool typed(enum mf_status status)
{
	return status == MF_ERR_CORRUPTED || status == MF_ERR_INVALID;
}

/* Of what is no row's: a person must learn from it where to look. */
static bool names_something(const char *text)
{
	static const char *const words[] = {"LSN", "document", "database", "watermark", "store", "SQLite", "backup", "snapshot", "follower"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

/* Document and LSN, in the sentence, and the LSN as a number too. (4.9, 4.11) */
static bool names_row(const struct damage_row *row, const char *text, int64_t lsn)
{
	char doc[64], number[40];
	int len = snprintf(number, sizeof(number), "LSN %lld", (long long)row->lsn);
	snprintf(doc, sizeof(doc), "document '%s'", row->doc);
	const char *at = strstr(text, number);
	return strstr(text, doc) && at && (at[len] < '0' || at[len] > '9') && lsn == row->lsn;
}

static void expect_typed(struct bitflip *one, enum mf_status status, const char *told, int64_t lsn, const char *what, const char *name)
{
	if (one->outcome < DETECTED)
		one->outcome = DETECTED;
	if (!typed(status))
		problem(one, SILENT, "%s of '%s' is %s: %s", what, name, mf_status_name(status), told);
	else if (!names_something(told))
		problem(one, SILENT, "%s of '%s' does not say what is damaged: %s", what, name, told);
	else if (one->row && one->named && !names_row(one->row, told, lsn))
		problem(one, SILENT, "%s of '%s' does not name the row of %s of document '%s', LSN %lld, but LSN %lld: %s", what, name, one->row->table, one->row->doc, (long long)one->row->lsn, (long long)lsn,
			told);
}

/* What was hit is a row of another document. */
static bool is_anothers(const struct bitflip *one, const char *doc)
{
	return one->row && one->named && strcmp(one->row->doc, doc) != 0;
}

/* ---- reading ---- */

static bool same_answer(const struct picture_item *a, const struct picture_item *b)
{
	return a->status == b->status && (a->status != MF_OK || (a->hash == b->hash && a->lsn == b->lsn));
}

/* Listings and checkpoints promise nothing by themselves, and nobody asks a reader for a key: there verify is the one who must
 * see it. (A writer is asked: resubmit.) */
static bool promises(enum picture_kind kind)
{
	return kind != PICTURE_LISTING && kind != PICTURE_CHECKPOINT && kind != PICTURE_KEY;
}

static void judge_item(struct bitflip *one, const struct picture_item *item, const struct picture_item *good)
{
	const char *kind = picture_kind_names[item->kind];
	if (same_answer(item, good))
		return;
	if ((item->kind == PICTURE_STATE || item->kind == PICTURE_STATE_AT || item->kind == PICTURE_LOG) && is_anothers(one, item->name))
		problem(one, SILENT, "the %s of '%s' is not as it was, and what was hit is of document '%s': %s", kind, item->name, one->row->doc, item->told);
	if (item->status != MF_OK && item->status != MF_ERR_NOT_FOUND) {
		expect_typed(one, item->status, item->told, item->lsn, kind, item->name);
		if (one->read->verified == MF_OK)
			problem(one, SILENT, "verify finds nothing, but the %s of '%s' is refused: %s", kind, item->name, item->told);
		return;
	}
	enum outcome outcome = one->read->verified == MF_OK || promises(item->kind) ? SILENT : DETECTED;
	problem(one, outcome, "the %s of '%s' (%lld) is %s up to LSN %lld, not %s up to %lld; verify: %s", kind, item->name, (long long)item->at, mf_status_name(item->status),
		(long long)item->lsn, mf_status_name(good->status), (long long)good->lsn, one->read->finding[0]);
}

/* Whether one of its findings is the row that was hit. (More than a few of one row there are not.) */
static bool verify_names_row(const struct bitflip *one)
{
	char name[80];
	snprintf(name, sizeof(name), "'%.40s' LSN %lld:", one->row->doc, (long long)one->row->lsn);
	for (int i = 0; i < one->read->findings && i < PICTURE_FINDINGS; i++)
		if (strstr(one->read->finding[i], name))
			return true;
	return false;
}

static void judge_reading(struct bitflip *one)
{
	const struct picture *read = one->read, *good = &one->scene->good;
	if (read->verified != MF_OK) {
		one->outcome = DETECTED;
		if (!typed(read->verified))
			problem(one, SILENT, "verify is %s: %s", mf_status_name(read->verified), read->finding[0]);
		if (one->row && one->named && !verify_names_row(one))
			problem(one, SILENT, "verify does not name the row of %s of document '%s', LSN %lld: %s", one->row->table, one->row->doc, (long long)one->row->lsn, read->finding[0]);
	}
	if (read->opened != MF_OK) {
		expect_typed(one, read->opened, read->told, read->told_lsn, "the opening", one->work);
		if (read->verified == MF_OK)
			problem(one, SILENT, "verify finds nothing, but the opening is refused: %s", read->told);
		return;
	}
	for (size_t i = 0; i < read->count && i < good->count; i++)
		judge_item(one, &read->items[i], &good->items[i]);
}

/* ---- writing ---- */

static bool same_file(const char *dir, const char *other, const char *name)
{
	static char bytes[2][65536];
	char path[256];
	int fds[2];
	bool same = true;
	snprintf(path, sizeof(path), "%.200s/%s", dir, name);
	fds[0] = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%.200s/%s", other, name);
	fds[1] = open(path, O_RDONLY | O_CLOEXEC);
	if (fds[0] < 0 || fds[1] < 0) {
		same = fds[0] < 0 && fds[1] < 0;
	} else {
		ssize_t got;
		do {
			got = read(fds[0], bytes[0], sizeof(bytes[0]));
			same = read(fds[1], bytes[1], sizeof(bytes[1])) == got && (got <= 0 || memcmp(bytes[0], bytes[1], (size_t)got) == 0);
		} while (same && got > 0);
	}
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return same;
}

static const struct picture_item *item_at(const struct picture *picture, enum picture_kind kind, const char *name, int64_t at)
{
	for (size_t i = 0; i < picture->count; i++)
		if (picture->items[i].kind == kind && picture->items[i].at == at && strcmp(picture->items[i].name, name) == 0)
			return &picture->items[i];
	return NULL;
}

static const struct picture_item *item_of(const struct picture *picture, enum picture_kind kind, const char *name)
{
	return item_at(picture, kind, name, 0);
}

static void resubmit_key(struct bitflip *one, struct mf_runtime *runtime, const char *doc, const char *key, int64_t first)
{
	struct mf_error error = {0};
	int64_t lsn = 0;
	enum mf_status status = scene_commit(runtime, doc, key, 6000, &lsn, &error);
	if (status == MF_OK)
		problem(one, SILENT, "the key '%s' of LSN %lld was taken again, for LSN %lld; verify: %s", key, (long long)first, (long long)lsn, one->read->finding[0]);
	else if (status == MF_ERR_DUPLICATE_KEY && error.lsn != first)
		problem(one, SILENT, "the key '%s' is said to be that of LSN %lld, not %lld", key, (long long)error.lsn, (long long)first);
	else if (status != MF_ERR_DUPLICATE_KEY)
		expect_typed(one, status, error.message, error.lsn, "the known key", key);
}

/* Some keys; each there is where it is their place that was hit. */
static void resubmit(struct bitflip *one, struct mf_runtime *runtime)
{
	const char *key;
	int64_t lsn;
	for (size_t i = 0; one->scene->plan.keys[i]; i++) {
		const struct picture_item *good = item_of(&one->scene->good, PICTURE_KEY, one->scene->plan.keys[i]);
		if (good && good->status == MF_OK)
			resubmit_key(one, runtime, one->scene->plan.docs[i % 2], good->name, good->lsn);
	}
	for (int i = 0; damage_of_keys(&one->damage) && damage_key(maps[one->scene->number], i, &key, &lsn); i++)
		resubmit_key(one, runtime, one->scene->plan.docs[i % 2], key, lsn);
}

static bool after_damage(enum mf_status status)
{
	return typed(status) || status == MF_ERR_IO || status == MF_ERR_UNKNOWN_OUTCOME || status == MF_ERR_BUSY || status == MF_ERR_STATE;
}

static void write_to(struct bitflip *one, struct mf_runtime *runtime, size_t i, bool committed[SCENE_DOCS])
{
	struct mf_error error = {0};
	const char *doc = one->scene->plan.docs[i];
	enum mf_status status = scene_commit(runtime, doc, doc, 5000, NULL, &error);
	committed[i] = status == MF_OK;
	if (status != MF_OK) {
		if (one->outcome < DETECTED)
			one->outcome = DETECTED;
		if (!after_damage(status))
			problem(one, SILENT, "a commit on '%s' is %s: %s", doc, mf_status_name(status), error.message);
		else if (is_anothers(one, doc))
			problem(one, SILENT, "a commit on '%s' is refused, and what was hit is of document '%s': %s", doc, one->row->doc, error.message);
		else if (typed(status))
			expect_typed(one, status, error.message, error.lsn, "a commit", doc);
		return;
	}
	if (scene_digest(runtime, doc, &error) != one->scene->next[i].after_commit)
		problem(one, SILENT, "a commit on '%s' was built on a wrong state; verify: %s", doc, one->read->finding[0]);
	status = mf_runtime_undo(runtime, doc, 1, NULL, NULL, NULL, &error);
	if (status != MF_OK && !after_damage(status))
		problem(one, SILENT, "an undo on '%s' is %s: %s", doc, mf_status_name(status), error.message);
	else if (status == MF_OK && scene_digest(runtime, doc, &error) != one->scene->next[i].after_undo)
		problem(one, SILENT, "an undo on '%s' leads to another document; verify: %s", doc, one->read->finding[0]);
}

/* What else a writer does to what lies there. */
static void work_on(const struct bitflip *one, struct mf_runtime *runtime)
{
	struct mf_error error;
	int64_t upto;
	uint64_t choice = one->seed >> 7 & 7;
	for (size_t i = 0; one->scene->plan.docs[i]; i++) {
		if (choice < 3)
			(void)!mf_runtime_snapshot(runtime, one->scene->plan.docs[i], &upto, &error);
		if (choice < 2)
			(void)!mf_runtime_compact_keep(runtime, one->scene->plan.docs[i], 1 + (uint32_t)choice, &upto, &error);
	}
	if (choice == 3)
		(void)!mf_runtime_vacuum(runtime, &error);
}

/* Compaction takes events, so moments and logs of the past may be gone, by a NOT_FOUND or as a shorter log. */
static bool excused(const struct bitflip *one, const struct picture_item *now)
{
	return (one->seed >> 7 & 7) < 2 && (now->kind == PICTURE_STATE_AT || now->kind == PICTURE_LOG || now->kind == PICTURE_WHOLE_LOG);
}

static void judge_item_again(struct bitflip *one, const struct picture_item *good, const struct picture_item *before)
{
	const struct picture_item *now = item_at(one->again, good->kind, good->name, good->at);
	if (good->kind == PICTURE_LISTING || good->kind == PICTURE_STATE || excused(one, good) || !same_answer(before, good) || (now && same_answer(now, good)))
		return;
	problem(one, SILENT, "the %s of '%s' (%lld) was right, and after writing it is %s up to LSN %lld: %s; before: %s", picture_kind_names[good->kind], good->name, (long long)good->at,
		now ? mf_status_name(now->status) : "gone", now ? (long long)now->lsn : 0, now ? now->told : "", one->read->finding[0]);
}

static void judge_again(struct bitflip *one, const bool committed[SCENE_DOCS])
{
	const struct picture *before = one->read, *now = one->again, *good = &one->scene->good;
	if (now->opened != MF_OK) {
		if (before->opened == MF_OK)
			problem(one, SILENT, "what was written to does not open any more: %s; before: %s", now->told, before->finding[0]);
		return;
	}
	if (before->verified == MF_OK && now->verified != MF_OK)
		problem(one, SILENT, "verify had no finding, and after writing: %s", now->finding[0]);
	for (size_t i = 0; before->opened == MF_OK && i < good->count; i++)
		judge_item_again(one, &good->items[i], &before->items[i]);
	for (size_t i = 0; one->scene->plan.docs[i]; i++) {
		const struct picture_item *key = item_of(now, PICTURE_KEY, one->scene->plan.docs[i]);
		if (committed[i] && (!key || key->status == MF_ERR_NOT_FOUND))
			problem(one, SILENT, "the commit on '%s' was acknowledged and is not there", one->scene->plan.docs[i]);
	}
}

static void judge_writing(struct bitflip *one, const char *dir)
{
	bool committed[SCENE_DOCS] = {false};
	char untouched[160];
	struct mf_error error = {0};
	struct mf_runtime *runtime = NULL;
	snprintf(untouched, sizeof(untouched), "%s-untouched", one->work);
	if (!scene_copy(dir, untouched))
		problem(one, SILENT, "cannot copy: %s", strerror(errno));
	enum mf_status status = mf_runtime_open(&(struct mf_runtime_options){.config_path = config, .data_dir = dir, .mode = "sync"}, &runtime, &error);
	if (status != MF_OK) {
		expect_typed(one, status, error.message, error.lsn, "the opening for writing", dir);
		if (same_file(dir, untouched, "store.db") && same_file(dir, untouched, "store.db-wal"))
			return;
		/* The store was opened, and what it was opened for refused it: there may be a new epoch, and nothing worse. */
		picture_take(&one->scene->plan, dir, one->again);
		judge_again(one, committed);
		return;
	}
	resubmit(one, runtime);
	for (size_t i = 0; one->scene->plan.docs[i]; i++)
		write_to(one, runtime, i, committed);
	work_on(one, runtime);
	status = mf_runtime_close(runtime, MF_WAIT_FOREVER, &error);
	if (status != MF_OK && !after_damage(status))
		problem(one, SILENT, "closing is %s: %s", mf_status_name(status), error.message);
	const char *keys[ALL_KEYS];
	size_t count = 0;
	struct picture_plan plan = one->scene->plan;
	for (size_t i = 0; plan.keys[i] && count < ALL_KEYS - SCENE_DOCS - 1; i++)
		keys[count++] = plan.keys[i];
	for (size_t i = 0; plan.docs[i]; i++)
		keys[count++] = plan.docs[i];
	keys[count] = NULL;
	plan.keys = keys;
	picture_take(&plan, dir, one->again);
	judge_again(one, committed);
}

/* ---- a backup ---- */

static void judge_backup(struct bitflip *one, const char *dir)
{
	char file[200], restored[200];
	struct mf_error error = {0};
	snprintf(file, sizeof(file), "%s/backup", dir);
	snprintf(restored, sizeof(restored), "%s-restored", dir);
	enum mf_status status = mf_store_restore(&(struct mf_restore_options){.file = file, .dir = restored}, NULL, &error);
	if (status != MF_OK) {
		expect_typed(one, status, error.message, error.lsn, "restoring", file);
		if (access(restored, F_OK) == 0)
			problem(one, SILENT, "a refused backup left %s", restored);
		return;
	}
	picture_take(&one->scene->plan, restored, one->read);
	if (one->read->verified != MF_OK || one->read->opened != MF_OK)
		problem(one, SILENT, "a damaged backup was restored to a damaged store: %s%s", one->read->told, one->read->finding[0]);
	else
		problem(one, SILENT, "a damaged backup was restored");
	if (!harness_remove_place(restored))
		problem(one, SILENT, "cannot remove %s", restored);
}

/* ---- cases ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t z = a * 0x9e3779b97f4a7c15u + b * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 29) * 0x94d049bb133111ebu;
	return z ^ z >> 32;
}

/* Scenes in turn, the slow one seldom. */
static enum scene_number scene_of(uint64_t number)
{
	static const enum scene_number turns[] = {SCENE_CLOSED, SCENE_HOT, SCENE_CLOSED, SCENE_BESIDE, SCENE_CLOSED, SCENE_HOT, SCENE_CLOSED, SCENE_BACKUP,
						  SCENE_CLOSED, SCENE_HOT, SCENE_CLOSED, SCENE_BESIDE, SCENE_CLOSED, SCENE_HOT, SCENE_LARGE, SCENE_BACKUP};
	return only_scene < SCENES ? (enum scene_number)only_scene : turns[number % (sizeof(turns) / sizeof(turns[0]))];
}

static bool choose(struct bitflip *one)
{
	if (exhaustive) {
		uint64_t scene = only_scene < SCENES ? only_scene : one->number % SCENES;
		one->scene = &scenes[scene];
		return damage_enumerate(maps[scene], only_scene < SCENES ? one->number : one->number / SCENES, &one->damage);
	}
	enum scene_number scene = scene_of(one->number);
	one->scene = &scenes[scene];
	damage_choose(maps[scene], mix(one->seed, one->attempt), &one->damage);
	return true;
}

static enum outcome run_case(struct bitflip *one, struct worker *shared)
{
	one->outcome = HARMLESS;
	one->problems = 0;
	if (!scene_copy(one->scene->dir, one->work)) {
		problem(one, SILENT, "cannot copy the store: %s", strerror(errno));
		return SILENT;
	}
	while (!damage_do(&one->damage, one->work)) /* the bytes were so already: another one */
		if (exhaustive || ++one->attempt == ATTEMPTS || !choose(one))
			return UNCHANGED;
	shared->attempt = one->attempt;
	one->row = damage_row(maps[one->scene->number], &one->damage, &one->named);
	if (verbose && one->row)
		fprintf(stderr, "case %llu hits the row of %s of document '%s', LSN %lld%s\n", (unsigned long long)one->number, one->row->table, one->row->doc, (long long)one->row->lsn,
			one->named ? "" : ", where it says so");
	if (one->scene->number == SCENE_BACKUP) {
		judge_backup(one, one->work);
		return one->outcome;
	}
	char writing[160];
	snprintf(writing, sizeof(writing), "%s-writing", one->work);
	if (!scene_copy(one->work, writing))
		problem(one, SILENT, "cannot copy the store: %s", strerror(errno));
	picture_take(&one->scene->plan, one->work, one->read);
	judge_reading(one);
	judge_writing(one, writing);
	return one->outcome;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool prepare(struct bitflip *one, uint64_t number, uint64_t attempt)
{
	one->number = number;
	one->attempt = attempt;
	one->seed = mix(run_seed, number);
	return choose(one);
}

static void work(struct worker *shared, int job, uint64_t from, uint64_t step)
{
	struct bitflip one = {.read = malloc(sizeof(struct picture)), .again = malloc(sizeof(struct picture))};
	if (!one.read || !one.again)
		_exit(1);
	snprintf(one.work, sizeof(one.work), "%s/job-%d", base, job);
	for (uint64_t number = from; number < run_count; number += step) {
		shared->at = number;
		shared->began_ms = now_ms();
		if (!prepare(&one, number, 0))
			continue;
		enum outcome outcome = run_case(&one, shared);
		shared->outcomes[one.scene->number][outcome]++;
		if (outcome != UNCHANGED)
			harness_count(outcome != SILENT);
	}
	shared->began_ms = 0;
	leave(0);
}

/* ---- the workers ---- */

struct job {
	pid_t pid;
	bool killed;
};

static struct worker *workers;
static uint64_t step, first_case;

static void start(struct job *job, int index, uint64_t from)
{
	job->killed = false;
	workers[index].began_ms = 0;
	job->pid = from < run_count ? harness_fork() : 0;
	if (job->pid == 0 && from < run_count)
		work(&workers[index], index, from, step);
}

/* One that died or hung has failed in the case it was in; another goes on behind it. */
static void ended(struct job *job, int index, int status)
{
	struct worker *worker = &workers[index];
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		job->pid = 0;
		return;
	}
	struct bitflip one = {0};
	uint64_t number = worker->at;
	(void)prepare(&one, number, worker->attempt);
	tell_case(&one);
	fprintf(stderr, "  %s %d\n", job->killed ? "did not end in time, signal" : "crashed, wait status", status);
	worker->outcomes[one.scene->number][SILENT]++;
	harness_count(false);
	start(job, index, number + step);
}

static void show_progress(void)
{
	uint64_t done = 0;
	for (uint64_t i = 0; i < step; i++)
		for (int scene = 0; scene < SCENES; scene++)
			for (int outcome = 0; outcome < OUTCOMES; outcome++)
				done += workers[i].outcomes[scene][outcome];
	if (isatty(2))
		fprintf(stderr, "\r%llu of %llu ", (unsigned long long)done, (unsigned long long)(run_count - first_case));
}

static void run_all(void)
{
	struct job jobs[JOBS_MAX];
	int running = 0;
	for (uint64_t i = 0; i < step; i++) {
		start(&jobs[i], (int)i, first_case + i);
		running += jobs[i].pid > 0;
	}
	while (running > 0) {
		running = 0;
		usleep(20000);
		for (uint64_t i = 0; i < step; i++) {
			int status;
			if (jobs[i].pid > 0 && waitpid(jobs[i].pid, &status, WNOHANG) == jobs[i].pid)
				ended(&jobs[i], (int)i, status);
			if (jobs[i].pid > 0 && workers[i].began_ms > 0 && now_ms() - workers[i].began_ms > CASE_SECONDS * 1000) {
				jobs[i].killed = true;
				kill(jobs[i].pid, SIGKILL);
			}
			running += jobs[i].pid > 0;
		}
		show_progress();
	}
}

/* ---- figures ---- */

static void add_up(int scene, uint64_t counts[OUTCOMES])
{
	for (uint64_t i = 0; i < step; i++)
		for (int outcome = 0; outcome < OUTCOMES; outcome++)
			counts[outcome] += workers[i].outcomes[scene][outcome];
}

static void tell_row(const char *name, const uint64_t counts[OUTCOMES])
{
	printf("%-8s", name);
	for (int i = 0; i < OUTCOMES; i++)
		printf("  %llu %s%s", (unsigned long long)counts[i], outcome_names[i], i + 1 < OUTCOMES ? "," : "\n");
}

/* 0: all passed, and some did. */
static int tell(bool tap)
{
	uint64_t all[OUTCOMES] = {0};
	if (tap)
		printf("1..%d\n", SCENES);
	for (int scene = 0; scene < SCENES; scene++) {
		uint64_t counts[OUTCOMES] = {0};
		add_up(scene, counts);
		add_up(scene, all);
		if (tap)
			printf("%s %d - damage_of_the_%s_store_is_detected_or_harmless\n", counts[SILENT] || counts[HARMLESS] + counts[DETECTED] == 0 ? "not ok" : "ok", scene + 1, scene_names[scene]);
		else
			tell_row(scene_names[scene], counts);
	}
	uint64_t passed = all[HARMLESS] + all[DETECTED], failed = all[SILENT];
	if (!tap) {
		tell_row("all", all);
		printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
	}
	return failed > 0 || passed == 0;
}

/* ---- the program ---- */

static bool write_config(void)
{
	snprintf(config, sizeof(config), "%s/plugins.json", base);
	FILE *file = fopen(config, "w");
	if (!file)
		return false;
	fprintf(file,
		"{\"plugin_dirs\": [\"%s/plugins\", \"%s/stepfactories\"], \"path_policy\": \"off\", \"plugins\": [{\"name\": \"node_steps\"},\n"
		"{\"name\": \"snapshot_subscriber\", \"config\": {\"store\": {\"dir\": \"%s/none\"}, \"snapshot_every_n_events\": 0, \"snapshot_every_ms\": 0,"
		" \"keep_snapshots\": 2, \"compression_threshold\": 200}}]}\n",
		MF_TEST_BUILD, MF_TEST_BUILD, base);
	return fclose(file) == 0;
}

static bool make_scenes(void)
{
	for (int i = 0; i < SCENES; i++) {
		if (!scene_make((enum scene_number)i, base, config, &scenes[i])) {
			fprintf(stderr, "bitflip: cannot make the scene %s\n", scene_names[i]);
			return false;
		}
		if (scenes[i].good.opened != MF_OK || scenes[i].good.verified != MF_OK) {
			fprintf(stderr, "bitflip: the scene %s is not sound: %s%s\n", scene_names[i], scenes[i].good.told, scenes[i].good.finding[0]);
			return false;
		}
		maps[i] = damage_map_new(&scenes[i]);
		if (!maps[i]) {
			fprintf(stderr, "bitflip: cannot read the scene %s\n", scene_names[i]);
			return false;
		}
	}
	return true;
}

static void read_environment(void)
{
	run_seed = harness_number("MF_SEED", (uint64_t)time(NULL), 0, UINT64_MAX);
	exhaustive = harness_number("MF_EXHAUSTIVE", 0, 0, 1) != 0;
	only_scene = harness_choice("MF_SCENE", scene_names, SCENES);
	run_count = harness_number("MF_COUNT", exhaustive ? 200000 : 500, 1, HARNESS_MANY);
	step = harness_jobs(2, JOBS_MAX); /* a fourth of their time they wait for threads of their own */
	uint64_t one = harness_number("MF_CASE", UINT64_MAX, 0, HARNESS_MANY);
	verbose = harness_number("MF_VERBOSE", 0, 0, 1) != 0 || one != UINT64_MAX;
	if (one != UINT64_MAX) {
		first_case = one;
		run_count = one + 1;
		step = 1;
	}
}

int main(int argc, char **argv)
{
	bool tap = harness_only_tap(argc, argv, usage);
	struct bitflip one = {0};
	read_environment();
	workers = mmap(NULL, sizeof(*workers) * JOBS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (workers == MAP_FAILED) {
		perror("bitflip");
		return 1;
	}
	harness_make_place(base, sizeof(base), "bitflip");
	harness_begin(run_count - first_case, NULL);
	if (!write_config() || !make_scenes())
		return 1;
	if (run_count == first_case + 1 && !prepare(&one, first_case, 0)) {
		fprintf(stderr, "there is no case %llu\n", (unsigned long long)first_case);
		return 2;
	}
	printf("# seed %llu\n", (unsigned long long)run_seed);
	run_all();
	return tell(tap);
}
