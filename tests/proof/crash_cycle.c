/* crash_cycle.c - the seed's plan of a cycle, its children, the kills, and what the oracle says. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <moduforge/backup.h>

#include "crash_cycle.h"
#include "evidence.h"
#include "harness.h"
#include "oracle.h"
#include "tests/leave.h"
#include "workload.h"

#define LIVES_MAX 5
#define PART_MAX 2000
#define PATIENCE_MS 500 /* for what a kill waits for; then it comes all the same */

/* When the writer is killed: so long after its start, or when so many lines of a kind were said; then a moment later. */
struct kill_plan {
	char word; /* 0: time alone */
	uint32_t count, delay_us;
};

struct life {
	char mode[16];
	struct workload workload;
	struct kill_plan kill;
	bool reader, reader_first; /* a process that backs up; killed before the writer */
	bool copy;                 /* of the files, with the writer at work */
	bool ask;                  /* the oracle, afterwards */
	bool last;
};

struct cycle {
	uint64_t seed, number, random;
	char dir[96], data[128], copy[128], backups[128], config[128], options[512];
	struct ledger *ledger;
	FILE *lines; /* of the ledger, for the evidence */
	struct evidence evidence;
	struct crash_figures *figures;
	uint32_t lives;
};

static uint32_t below(struct cycle *cycle, uint32_t limit)
{
	return proof_below(&cycle->random, limit);
}

/* ---- the plan ---- */

static char places[2][72];
static char evidence_folder[256];

static void choose_evidence_folder(void)
{
	const char *said = getenv("MF_EVIDENCE");
	int len = snprintf(evidence_folder, sizeof(evidence_folder), "%s", said && said[0] ? said : MF_TEST_BUILD "/crash");
	errno = ENAMETOOLONG;
	if ((size_t)len < sizeof(evidence_folder) && evidence_can_be_left(evidence_folder))
		return;
	fprintf(stderr, "cannot write in the directory %s, where evidence is to be left: %s\n", evidence_folder, strerror(errno));
	exit(2);
}

/* Where nobody says where, most are where a sync is nothing: more kills; and one in four where it is something. */
void crash_make_places(void)
{
	const char *said = getenv("TMPDIR");
	choose_evidence_folder();
	harness_make_place(places[0], sizeof(places[0]), "crash");
	if (said && said[0])
		memcpy(places[1], places[0], sizeof(places[1]));
	else
		harness_make_place_in(places[1], sizeof(places[1]), "crash", "/tmp");
}

static void name_place(struct cycle *cycle)
{
	snprintf(cycle->dir, sizeof(cycle->dir), "%s/%" PRIu64, places[cycle->number % 4 == 0], cycle->number);
	snprintf(cycle->evidence.asked, sizeof(cycle->evidence.asked), "%s/asked", cycle->dir);
	snprintf(cycle->evidence.ledger, sizeof(cycle->evidence.ledger), "%s/ledger", cycle->dir);
}

static bool make_place(struct cycle *cycle)
{
	name_place(cycle);
	if (mkdir(cycle->dir, 0700) != 0 || !(cycle->lines = fopen(cycle->evidence.ledger, "we")))
		return false;
	ledger_keep(cycle->ledger, cycle->lines);
	snprintf(cycle->data, sizeof(cycle->data), "%s/store", cycle->dir);
	snprintf(cycle->copy, sizeof(cycle->copy), "%s/copy", cycle->dir);
	snprintf(cycle->backups, sizeof(cycle->backups), "%s/backups", cycle->dir);
	snprintf(cycle->config, sizeof(cycle->config), "%s/plugins.json", cycle->dir);
	return mkdir(cycle->backups, 0755) == 0;
}

static bool write_config(struct cycle *cycle)
{
	static const uint32_t pages[] = {8, 50, 1000};
	snprintf(cycle->options, sizeof(cycle->options),
		 ", \"snapshot_every_n_events\": %" PRIu32 ", \"full_snapshot_every\": %" PRIu32 ", \"keep_snapshots\": %" PRIu32 ", \"checkpoint_pages\": %" PRIu32
		 ", \"snapshot_every_ms\": %" PRIu32 ", \"history_limit\": %" PRIu32 ", \"compression_threshold\": %" PRIu32,
		 5 + below(cycle, 60), 1 + below(cycle, 4), 1 + below(cycle, 3), pages[below(cycle, 3)], below(cycle, 2) ? 5 : 0, below(cycle, 3) ? 1000 : 5, 64u << below(cycle, 6));
	return proof_write_config(cycle->config, cycle->data, cycle->options);
}

static void plan_mode(struct cycle *cycle, struct life *life)
{
	static const uint32_t windows[] = {0, 1, 5, 10, 50};
	uint32_t kind = below(cycle, 20);
	if (kind < 9) {
		life->workload.kind = MF_COMMIT_ASYNC_DURABLE;
		snprintf(life->mode, sizeof(life->mode), "async:%" PRIu32, windows[below(cycle, 5)]);
	} else {
		life->workload.kind = kind < 17 ? MF_COMMIT_SYNC_DURABLE : MF_COMMIT_MEMORY_ONLY;
		snprintf(life->mode, sizeof(life->mode), "%s", kind < 17 ? "sync" : "memory");
	}
}

/* A quarter each: by time, by acknowledgements, in the middle of a compaction, by what else goes on beside them. */
static void plan_kill(struct cycle *cycle, struct kill_plan *kill, struct workload *workload)
{
	unsigned *what = &workload->what;
	static const char beside[] = "bbCNHOY";
	switch (below(cycle, 4)) {
	case 0:
		*kill = (struct kill_plan){.delay_us = below(cycle, below(cycle, 4) == 0 ? 3000 : 60000)};
		break;
	case 1:
		*kill = (struct kill_plan){.word = 'E', .count = 1 + below(cycle, 150), .delay_us = below(cycle, 500)};
		break;
	case 2:
		*kill = (struct kill_plan){.word = 'c', .count = 3 + below(cycle, 6), .delay_us = below(cycle, PART_MAX)};
		*what = (*what | WORKLOAD_COMPACTION | WORKLOAD_SNAPSHOTS) & ~(unsigned)WORKLOAD_BESIDE; /* few, and so with much to do */
		workload->docs = 1;
		break;
	default:
		*kill = (struct kill_plan){.word = beside[below(cycle, sizeof(beside) - 1)], .count = 1 + below(cycle, 10), .delay_us = below(cycle, PART_MAX)};
		if (kill->word == 'O')
			kill->count = 1;
		if (kill->word == 'b')
			*what |= WORKLOAD_BACKUP;
	}
}

static void plan_life(struct cycle *cycle, struct life *life, uint32_t number)
{
	memset(life, 0, sizeof(*life));
	plan_mode(cycle, life);
	life->workload.config = cycle->config;
	life->workload.mode = life->mode;
	life->workload.seed = cycle->seed ^ cycle->number << 20;
	life->workload.life = number;
	life->workload.batches = below(cycle, 10) == 0 ? 1 + below(cycle, 60) : 3000; /* now and then it ends before it is killed */
	life->workload.batch_max = below(cycle, 3) == 0 ? 1 : 100;
	life->workload.docs = 1 + below(cycle, 5);
	life->workload.what = (unsigned)below(cycle, WORKLOAD_ALL + 1) | WORKLOAD_UNDO | (below(cycle, 4) == 0 ? WORKLOAD_VACUUM : 0);
	life->workload.backups = cycle->backups;
	plan_kill(cycle, &life->kill, &life->workload);
	life->reader = life->workload.kind != MF_COMMIT_MEMORY_ONLY && below(cycle, 4) == 0;
	life->reader_first = below(cycle, 2) == 0;
	life->copy = life->workload.kind != MF_COMMIT_MEMORY_ONLY && below(cycle, 4) == 0;
	life->last = number + 1 == cycle->lives;
	life->ask = life->last || below(cycle, 3) > 0;
}

/* ---- children ---- */

struct child {
	pid_t pid;
	int fd; /* what it says */
	struct ledger_tail tail;
};

static void sleep_us(uint32_t us)
{
	struct timespec pause = {.tv_sec = us / 1000000, .tv_nsec = 1000 * (long)(us % 1000000)};
	nanosleep(&pause, NULL);
}

static int write_events(struct cycle *cycle, struct life *life, int fd)
{
	struct mf_error error = {0};
	life->workload.out = (struct ledger_out){ledger_line_to_fd, (void *)(intptr_t)fd};
	if (workload_run(&life->workload, &error) == MF_OK)
		return 0;
	fprintf(stderr, "cycle %" PRIu64 ": the run ended with %s: %s\n", cycle->number, mf_status_name(error.status), error.message);
	return 3;
}

/* Backs up again and again, as `mf backup` does: it opens to read what another process writes. */
static int back_up(struct cycle *cycle, struct life *life, int fd)
{
	struct ledger_out out = {ledger_line_to_fd, (void *)(intptr_t)fd};
	struct mf_sqlite_options options = {.dir = cycle->data, .read_only = true};
	for (unsigned n = 0; n < 1000; n++) {
		char name[LEDGER_NAME], path[192];
		struct mf_store *store;
		struct mf_store_stats stats;
		struct mf_backup_info info = {0};
		if (mf_store_open_sqlite(&options, &store, NULL) != MF_OK) {
			sleep_us(500); /* not there yet */
			continue;
		}
		snprintf(name, sizeof(name), "r%" PRIu32 "-%u", life->workload.life, n);
		snprintf(path, sizeof(path), "%s/%s", cycle->backups, name);
		if (mf_store_stats(store, &stats, NULL) == MF_OK) {
			ledger_say_backing_up(&out, name, stats.last_lsn);
			if (mf_store_backup(store, path, NULL, NULL, &info, NULL) == MF_OK)
				ledger_say_backed_up(&out, name, info.lsn);
		}
		(void)mf_store_close(store, NULL);
		sleep_us(5000);
	}
	return 0;
}

static bool start(struct cycle *cycle, struct life *life, int (*work)(struct cycle *, struct life *, int), struct child *child)
{
	int ends[2];
	*child = (struct child){.pid = -1, .fd = -1};
	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	child->pid = harness_fork();
	if (child->pid == 0) {
		close(ends[0]);
		leave(work(cycle, life, ends[1]));
	}
	close(ends[1]);
	child->fd = ends[0];
	return child->pid > 0;
}

/* Takes what is there; false at the end. */
static bool listen_to(struct cycle *cycle, struct child *child)
{
	char bytes[16384];
	ssize_t got = read(child->fd, bytes, sizeof(bytes));
	if (got > 0)
		ledger_feed(cycle->ledger, &child->tail, bytes, (size_t)got);
	if (got > 0 || (got < 0 && errno == EINTR))
		return true;
	close(child->fd);
	child->fd = -1;
	return false;
}

/* How it ended: 0, its exit code, or minus the signal. */
static int end(struct cycle *cycle, struct child *child, bool by_kill)
{
	int status = 0;
	if (child->pid <= 0)
		return 0;
	if (by_kill)
		kill(child->pid, SIGKILL);
	while (child->fd >= 0)
		listen_to(cycle, child);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	child->pid = -1;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- a copy, as cp makes one, which is no backup ---- */

static void copy_file(struct cycle *cycle, int from_dir, int to_dir, const char *name)
{
	char bytes[32768];
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC), to = openat(to_dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	for (ssize_t got; from >= 0 && to >= 0 && (got = read(from, bytes, sizeof(bytes))) > 0;) {
		if (write(to, bytes, (size_t)got) != got)
			break;
		if (below(cycle, 4) == 0)
			sleep_us(below(cycle, 500));
	}
	close(from);
	close(to);
}

/* In one of the orders in which a directory can be read. False: there is nothing to be copied yet. */
static bool copy_store(struct cycle *cycle)
{
	static const char *const names[] = {"watermark", "store.db", "store.db-wal", "store.db-shm", "lock"};
	enum { NAMES = sizeof(names) / sizeof(*names) };
	int from = open(cycle->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC), to = -1;
	uint32_t first = below(cycle, NAMES), step = below(cycle, 2) ? 1 : NAMES - 1;
	if (from >= 0 && faccessat(from, "store.db", R_OK, 0) == 0 && mkdir(cycle->copy, 0755) == 0)
		to = open(cycle->copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (uint32_t i = 0; to >= 0 && i < NAMES; i++)
		if (faccessat(from, names[(first + i * step) % NAMES], R_OK, 0) == 0)
			copy_file(cycle, from, to, names[(first + i * step) % NAMES]);
	close(from);
	close(to);
	return to >= 0;
}

/* ---- a life ---- */

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t heard(const struct ledger *ledger, char word)
{
	return ledger->said[(unsigned char)word & 127];
}

/* How long the newest work of a kind took, as it was heard: 'c' begins what 'C' ends. */
struct watch {
	uint64_t begun, ended;
	int64_t since, took;
};

static void watch(struct cycle *cycle, char word, struct watch *watch)
{
	char end = (char)(word - 'a' + 'A');
	if (heard(cycle->ledger, word) != watch->begun)
		watch->since = now_us();
	if (heard(cycle->ledger, end) != watch->ended)
		watch->took = now_us() - watch->since;
	watch->begun = heard(cycle->ledger, word);
	watch->ended = heard(cycle->ledger, end);
}

/* Listens until the plan says that it is time, or the writer has ended. What was waited for to begin is then, by what the
 * one before took, at any point between its beginning and its end. */
static void wait_for_kill(struct cycle *cycle, const struct kill_plan *plan, struct child *writer, struct child *reader)
{
	uint64_t wanted = plan->word ? heard(cycle->ledger, plan->word) + plan->count : 0;
	int64_t until = now_us() + 1000 * PATIENCE_MS;
	bool has_end = plan->word == 'b' || plan->word == 'c';
	struct watch last = {.since = 0};
	if (has_end)
		watch(cycle, plan->word, &last); /* what was heard before this life is none of it */
	last.took = 0;
	while (plan->word && heard(cycle->ledger, plan->word) < wanted && writer->fd >= 0 && now_us() < until) {
		struct pollfd fds[2] = {{.fd = writer->fd, .events = POLLIN}, {.fd = reader->fd, .events = POLLIN}};
		if (poll(fds, 2, 20) <= 0)
			continue;
		if (fds[0].revents)
			listen_to(cycle, writer);
		if (fds[1].revents)
			listen_to(cycle, reader);
		if (has_end)
			watch(cycle, plan->word, &last);
	}
	if (last.took > 1000 * PATIENCE_MS)
		last.took = 1000 * PATIENCE_MS;
	sleep_us(last.took > 0 ? (uint32_t)(last.took * plan->delay_us / PART_MAX) : plan->delay_us);
}

/* ---- the oracle ---- */

#define EVIDENCE_MAX 10 /* so many of a worker's failures leave theirs */

static void say(const char *text, size_t len)
{
	if (write(STDOUT_FILENO, text, len) < 0)
		perror("stdout");
}

static void say_again(struct cycle *cycle, const char *text)
{
	char name[64], left[350] = "", lie[32] = "", out[1024];
	uint64_t lies = harness_number("MF_LIE", 0, 0, 2);
	snprintf(name, sizeof(name), "%" PRIu64 "-%" PRIu64, cycle->seed, cycle->number);
	if (lies)
		snprintf(lie, sizeof(lie), "MF_LIE=%" PRIu64 " ", lies);
	int len = snprintf(out, sizeof(out), "#   again: %sMF_SEED=%" PRIu64 " MF_CYCLE=%" PRIu64 " ./dev crash\n", lie, cycle->seed, cycle->number);
	if (cycle->figures->failed < EVIDENCE_MAX && evidence_leave(&cycle->evidence, evidence_folder, name, text, left, sizeof(left)))
		len += snprintf(out + len, sizeof(out) - (size_t)len, "#   exactly: ./dev crash --ask %s\n", left);
	else if (left[0])
		len += snprintf(out + len, sizeof(out) - (size_t)len, "#   its evidence cannot be left in %s: %s\n", left, strerror(errno));
	say(out, (size_t)len);
}

/* of: whose the answer is, in paths. */
static void tell(struct cycle *cycle, const struct life *life, const struct oracle_plan *of, const char *text)
{
	char plain[EVIDENCE_TEXT], out[EVIDENCE_TEXT + 256];
	evidence_plain(of, text, plain);
	int len = snprintf(out, sizeof(out), "# cycle %" PRIu64 ", life %" PRIu32 ", %s, killed %" PRIu32 " us after %" PRIu32 " x '%c'%s: %s%s", cycle->number, life->workload.life, life->mode,
			   life->kill.delay_us, life->kill.count, life->kill.word ? life->kill.word : '-', of->crash == ORACLE_COPIED ? ", of a copy" : "", plain, plain[0] && plain[strlen(plain) - 1] == '\n' ? "" : "\n");
	say(out, (size_t)len);
	say_again(cycle, plain);
}

/* An acknowledgement that nobody gave: what a store that has lost one looks like. */
static void lie(struct cycle *cycle)
{
	struct ledger_out out = {ledger_line_to_ledger, cycle->ledger};
	struct ledger_item item = {.key = "never", .doc = "never", .count = 1, .mode = MF_COMMIT_SYNC_DURABLE, .batch = (uint64_t)1 << 62};
	ledger_say_submitted(&out, &item);
	ledger_say_ended(&out, item.batch, LEDGER_SYNCED, 1000000);
}

/* Puts the question down, and asks. */
static bool ask(struct cycle *cycle, const struct life *life, const struct oracle_plan *plan, struct ledger *ledger, struct oracle_report *report)
{
	int64_t began = now_us();
	fflush(cycle->lines);
	bool put = evidence_put(&cycle->evidence, plan, cycle->options, ftell(cycle->lines));
	cycle->figures->evidence_us += (uint64_t)(now_us() - began);
	if (!put) {
		tell(cycle, life, plan, strerror(errno));
		return false;
	}
	if (life->last && harness_number("MF_LIE", 0, 0, 2) == 2)
		raise(SIGKILL);
	(void)oracle_check(plan, ledger, report);
	return true;
}

static bool ask_oracle(struct cycle *cycle, const struct life *life)
{
	struct crash_figures *figures = cycle->figures;
	struct oracle_report report;
	struct oracle_plan plan = {.dir = cycle->data, .config = cycle->config, .backups = cycle->backups, .crash = ORACLE_KILLED, .seed = cycle->seed + cycle->number};
	if (life->last && harness_number("MF_LIE", 0, 0, 2) == 1)
		lie(cycle);
	int64_t began = now_us();
	if (!ask(cycle, life, &plan, cycle->ledger, &report))
		return false;
	figures->oracle_ms += (uint64_t)(now_us() - began) / 1000;
	figures->submitted += report.submitted;
	figures->acknowledged += report.acknowledged;
	figures->recovered += report.recovered;
	figures->unheard += report.unheard;
	figures->compacted += report.compacted;
	figures->checkpoints += report.checkpoints;
	figures->backups += report.backups;
	if (report.verdict != ORACLE_SOUND)
		tell(cycle, life, &plan, report.text);
	evidence_forget(&cycle->evidence);
	return report.verdict == ORACLE_SOUND;
}

/* It opens with what its watermark says at least, or says that it is damaged. */
static bool ask_about_copy(struct cycle *cycle, const struct life *life)
{
	struct ledger *ledger = ledger_copy(cycle->ledger);
	struct oracle_report report;
	struct oracle_plan plan = {.dir = cycle->copy, .config = cycle->config, .crash = ORACLE_COPIED, .seed = cycle->seed + cycle->number};
	bool asked = ask(cycle, life, &plan, ledger, &report), fine = asked && oracle_is_fine(ORACLE_COPIED, &report);
	cycle->figures->copies++;
	cycle->figures->copies_refused += asked && report.verdict == ORACLE_REFUSED;
	if (asked && !fine)
		tell(cycle, life, &plan, report.text);
	evidence_forget(&cycle->evidence);
	ledger_free(ledger);
	if (fine || !getenv("MF_KEEP"))
		harness_remove_place(cycle->copy);
	return fine;
}

/* There is no answer: what asked has died, or was not come to. */
void crash_leave_evidence(uint64_t seed, uint64_t number, struct crash_figures *figures, const char *text)
{
	struct cycle cycle = {.seed = seed, .number = number, .figures = figures};
	name_place(&cycle);
	say_again(&cycle, text);
}

/* The writer ended by itself: that is the failure, whatever the oracle would say. */
static void tell_ended(struct cycle *cycle, const struct life *life, int how)
{
	char text[64];
	struct oracle_plan plan = {.dir = cycle->data, .backups = cycle->backups, .crash = ORACLE_KILLED, .seed = cycle->seed + cycle->number};
	snprintf(text, sizeof(text), "the run ended with %d", how);
	fflush(cycle->lines);
	(void)evidence_put(&cycle->evidence, &plan, cycle->options, ftell(cycle->lines));
	tell(cycle, life, &plan, text);
}

static bool live(struct cycle *cycle, uint32_t number)
{
	struct life life;
	struct child writer, reader = {.pid = -1, .fd = -1};
	int64_t began = now_us();
	plan_life(cycle, &life, number);
	uint64_t openings = heard(cycle->ledger, 'O'), begun = heard(cycle->ledger, 'b'), done = heard(cycle->ledger, 'B');
	if (!start(cycle, &life, write_events, &writer) || (life.reader && !start(cycle, &life, back_up, &reader)))
		return false;
	wait_for_kill(cycle, &life.kill, &writer, &reader);
	bool copied = life.copy && copy_store(cycle);
	if (life.reader_first)
		(void)end(cycle, &reader, true);
	int how = end(cycle, &writer, true);
	(void)end(cycle, &reader, true);
	cycle->figures->life_ms += (uint64_t)(now_us() - began) / 1000;
	cycle->figures->kills += how == -SIGKILL;
	cycle->figures->early_kills += how == -SIGKILL && heard(cycle->ledger, 'O') == openings;
	cycle->figures->side_kills += how == -SIGKILL && heard(cycle->ledger, 'c') + heard(cycle->ledger, 'b') > 0;
	cycle->figures->backup_kills += heard(cycle->ledger, 'b') - begun > heard(cycle->ledger, 'B') - done;
	cycle->figures->closed += how == 0;
	cycle->figures->mode_lives[life.workload.kind]++;
	if (how != 0 && how != -SIGKILL) {
		tell_ended(cycle, &life, how);
		return false;
	}
	if (copied && !ask_about_copy(cycle, &life))
		return false;
	return !life.ask || ask_oracle(cycle, &life);
}

bool crash_cycle(uint64_t seed, uint64_t number, struct crash_figures *figures)
{
	struct cycle cycle = {.seed = seed, .number = number, .random = seed ^ number << 32, .figures = figures};
	bool passed = true;
	cycle.lives = 1 + (below(&cycle, 2) ? below(&cycle, LIVES_MAX) : 0);
	cycle.ledger = ledger_new();
	if (!make_place(&cycle) || !write_config(&cycle)) {
		perror(cycle.dir);
		passed = false;
	}
	for (uint32_t i = 0; passed && i < cycle.lives; i++)
		passed = live(&cycle, i);
	if (cycle.lines)
		fclose(cycle.lines);
	ledger_free(cycle.ledger);
	if (passed || !getenv("MF_KEEP"))
		harness_remove_place(cycle.dir);
	figures->cycles++;
	figures->failed += !passed;
	return passed;
}
