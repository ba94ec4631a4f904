/* test_oracle.c - the oracle finds a sound store sound, and each of its promises broken when it is.
 *
 * A run tells its story into memory. The story or the store is then doctored, in one place, and the oracle must say so: a
 * store that has lost what was acknowledged and a world that was told of more than there is are the same to it. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include <moduforge/runtime.h>

#include "oracle.h"
#include "scratch.h"
#include "workload.h"

#define MEMORY MF_COMMIT_MEMORY_ONLY
#define ASYNC MF_COMMIT_ASYNC_DURABLE
#define SYNC MF_COMMIT_SYNC_DURABLE
#define QUIET (WORKLOAD_UNDO | WORKLOAD_SNAPSHOTS)

static struct ledger *ledger;
static char backups[128];

/* ---- a library that is not itself: linked in between the oracle and the real one ---- */
static struct {
	const char *second; /* the second opening finds this store instead */
	unsigned openings;
	int64_t lsn_by;     /* a duplicate is said to be of an LSN so much higher */
	bool other, takes;  /* ... to have other content; or is stored */
} strange;

enum mf_status __real_mf_runtime_open(const struct mf_runtime_options *options, struct mf_runtime **out, struct mf_error *error);
enum mf_status __wrap_mf_runtime_open(const struct mf_runtime_options *options, struct mf_runtime **out, struct mf_error *error);
enum mf_status __wrap_mf_runtime_open(const struct mf_runtime_options *options, struct mf_runtime **out, struct mf_error *error)
{
	struct mf_runtime_options other = *options;
	if (strange.second && ++strange.openings == 2)
		other.data_dir = strange.second;
	return __real_mf_runtime_open(&other, out, error);
}

enum mf_status __real_mf_runtime_commit(struct mf_runtime *runtime, const char *doc_id, struct mf_transaction *transaction, int64_t *out_lsn, struct mf_error *error);
enum mf_status __wrap_mf_runtime_commit(struct mf_runtime *runtime, const char *doc_id, struct mf_transaction *transaction, int64_t *out_lsn, struct mf_error *error);
enum mf_status __wrap_mf_runtime_commit(struct mf_runtime *runtime, const char *doc_id, struct mf_transaction *transaction, int64_t *out_lsn, struct mf_error *error)
{
	enum mf_status status = __real_mf_runtime_commit(runtime, doc_id, transaction, out_lsn, error);
	if (status != MF_ERR_DUPLICATE_KEY)
		return status;
	error->lsn += strange.lsn_by;
	error->same ^= strange.other;
	return strange.takes ? MF_OK : status;
}

/* ---- the story of a run ---- */
static struct {
	pthread_mutex_t lock;
	char text[1 << 22];
	size_t len;
} story = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void write_down(void *user, const char *line, size_t len)
{
	(void)user;
	pthread_mutex_lock(&story.lock);
	assert_true(story.len + len < sizeof(story.text));
	memcpy(story.text + story.len, line, len);
	story.len += len;
	pthread_mutex_unlock(&story.lock);
}

/* One line of the story for the ledger: edit may change it, or say false, and it is left out. */
typedef bool edit_line(char *line, size_t room, size_t number);

static void tell(edit_line *edit)
{
	size_t number = 0;
	for (char *line = story.text, *end; (end = memchr(line, '\n', (size_t)(story.text + story.len - line))); line = end + 1) {
		char copy[600];
		snprintf(copy, sizeof(copy), "%.*s", (int)(end - line), line);
		if (edit && !edit(copy, sizeof(copy) - 1, number++))
			continue;
		strcat(copy, "\n");
		ledger_line_to_ledger(ledger, copy, strlen(copy));
	}
	story.len = 0;
}

static void add_line(const char *line)
{
	ledger_line_to_ledger(ledger, line, strlen(line));
}

static int setup(void **unused)
{
	(void)unused;
	scratch_make();
	snprintf(backups, sizeof(backups), "%s/backups", scratch_dir);
	ledger = ledger_new();
	story.len = 0;
	memset(&strange, 0, sizeof(strange));
	if (mkdir(backups, 0755) != 0)
		return -1;
	return proof_write_config(scratch_config, scratch_data, ", \"snapshot_every_n_events\": 50, \"full_snapshot_every\": 3") ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	ledger_free(ledger);
	return scratch_remove();
}

static void work(enum mf_commit_kind kind, uint32_t life, unsigned what)
{
	static const char *const modes[] = {"memory", "async:5", "sync"};
	struct mf_error error = {0};
	struct workload workload = {.config = scratch_config, .mode = modes[kind], .kind = kind, .seed = 7, .life = life, .batches = 60, .batch_max = 100, .docs = 3, .what = what,
				    .backups = backups, .out = {write_down, NULL}};
	if (workload_run(&workload, &error) != MF_OK)
		fail_msg("%s", error.message);
}

static struct oracle_report ask(enum oracle_crash crash, unsigned leave)
{
	struct oracle_report report;
	struct oracle_plan plan = {.dir = scratch_data, .config = scratch_config, .backups = backups, .crash = crash, .leave = leave, .seed = 3};
	bool sound = oracle_check(&plan, ledger, &report);
	assert_int_equal(sound, report.verdict == ORACLE_SOUND);
	return report;
}

static void expect(enum oracle_verdict verdict, const char *text, enum oracle_crash crash, unsigned leave)
{
	struct oracle_report report = ask(crash, leave);
	if (report.verdict != verdict || !strstr(report.text, text))
		fail_msg("verdict %d, expected was %d with \"%s\":\n%s", (int)report.verdict, (int)verdict, text, report.text);
}

static void expect_broken(const char *text)
{
	expect(ORACLE_BROKEN, text, ORACLE_KILLED, 0);
}

static void must(enum mf_status status, const struct mf_error *error)
{
	if (status != MF_OK)
		fail_msg("%s", error->message);
}

/* Snapshots of all documents, and perhaps events gone, for certain: of what work() has done by the way that depends on the snapshotter's
 * thread. */
static void snapshots(bool compaction)
{
	static const char *const docs[] = {"d0", "d1", "d2"};
	struct mf_error error = {0};
	struct mf_runtime *runtime;
	int64_t upto = 0;
	must(mf_runtime_open(&(struct mf_runtime_options){.config_path = scratch_config, .mode = "sync"}, &runtime, &error), &error);
	for (size_t i = 0; i < 3; i++)
		must(mf_runtime_snapshot(runtime, docs[i], &upto, &error), &error);
	if (compaction) {
		ledger_say_compacting(&(struct ledger_out){write_down, NULL}, docs[0]);
		must(mf_runtime_compact_keep(runtime, docs[0], 1, &upto, &error), &error);
		assert_true(upto > 0);
	}
	must(mf_runtime_close(runtime, 10000, &error), &error);
}

static void change(const char *sql)
{
	char path[192];
	sqlite3 *db;
	snprintf(path, sizeof(path), "%s/store.db", scratch_data);
	assert_int_equal(SQLITE_OK, sqlite3_open(path, &db));
	char *message = NULL;
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s", message);
	assert_int_equal(SQLITE_OK, sqlite3_close(db));
}

static int64_t newest(void)
{
	return ledger->lives[ledger->life_count - 1].newest;
}

/* ---- sound ---- */

static void a_sound_store_is_found_sound_life_after_life(void **unused)
{
	(void)unused;
	static const enum mf_commit_kind kinds[] = {ASYNC, SYNC, MEMORY, ASYNC};
	size_t looked_at = 0, checkpoints = 0, compacted = 0;
	for (uint32_t life = 0; life < 4; life++) {
		work(kinds[life], life, WORKLOAD_ALL);
		tell(NULL);
		struct oracle_report report = ask(life % 2 ? ORACLE_POWER_LOST : ORACLE_KILLED, 0); /* closed in good order it is the same */
		if (report.verdict != ORACLE_SOUND)
			fail_msg("%s", report.text);
		assert_true(kinds[life] == MEMORY || report.acknowledged > 100);
		looked_at += report.backups;
		checkpoints += report.checkpoints;
		compacted += report.compacted;
	}
	assert_true(looked_at > 0 && checkpoints > 0 && compacted > 0);
}

static void what_a_kill_cut_off_was_never_said(void **unused)
{
	(void)unused;
	static const char cut[] = "O 2 1 0\nS 1 0 1 0 2 d k -\nE 1 4";
	struct ledger_tail tail = {.len = 0};
	ledger_feed(ledger, &tail, cut, strlen(cut));
	assert_int_equal(2, ledger->lines);
	assert_int_equal(LEDGER_SUBMITTED, ledger_find(ledger, "k")->level);
	ledger_feed(ledger, &tail, " 1\n", 3);
	assert_int_equal(LEDGER_SYNCED, ledger_find(ledger, "k")->level);
	assert_string_equal("", ledger->wrong);
}

/* ---- 1. acknowledged, recovered, submitted ---- */

static void an_acknowledged_event_that_is_not_there_is_missed(void **unused)
{
	(void)unused;
	work(ASYNC, 0, QUIET);
	tell(NULL);
	char line[128];
	add_line("S 999 0 1 0 1 d0 ghost -\n");
	snprintf(line, sizeof(line), "E 999 3 %" PRId64 "\n", newest() + 1);
	add_line(line);
	expect_broken("key ghost, was acknowledged as written and is not there");
}

static bool without_the_third_key(char *line, size_t room, size_t number)
{
	(void)room;
	(void)number;
	return !strstr(line, " k0-3 ");
}

static void an_event_that_nobody_submitted_is_noticed(void **unused)
{
	(void)unused;
	work(ASYNC, 0, QUIET);
	tell(without_the_third_key);
	expect_broken("has key k0-3, which nobody submitted");
}

static void replace(char *line, size_t room, const char *what, const char *by)
{
	char rest[600];
	char *at = strstr(line, what);
	if (!at)
		return;
	snprintf(rest, sizeof(rest), "%s", at + strlen(what));
	snprintf(at, room - (size_t)(at - line), "%s%s", by, rest);
}

static bool the_third_key_for_another_document(char *line, size_t room, size_t number)
{
	(void)number;
	if (line[0] == 'S' && strstr(line, " k0-3 "))
		replace(line, room, " d", " e");
	return true;
}

static void an_event_of_another_document_is_noticed(void **unused)
{
	(void)unused;
	work(ASYNC, 0, QUIET);
	tell(the_third_key_for_another_document);
	expect_broken("key k0-3, is action 0 of document d");
}

static bool the_fifth_batch_one_later(char *line, size_t room, size_t number)
{
	long long lsn;
	(void)number;
	if (strncmp(line, "E 5 ", 4) == 0 && sscanf(line, "E 5 3 %lld", &lsn) == 1)
		snprintf(line, room, "E 5 3 %lld", lsn + 1);
	return true;
}

static void an_event_under_another_lsn_is_noticed(void **unused)
{
	(void)unused;
	work(ASYNC, 0, QUIET);
	tell(the_fifth_batch_one_later);
	expect_broken("was acknowledged as LSN");
}

/* ---- 2. and 5. LSNs and keys ---- */

static void a_hole_is_a_refusal(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_UNDO);
	tell(NULL);
	change("DELETE FROM events WHERE lsn = 7");
	expect(ORACLE_REFUSED, "of the events with LSN 7 to 7, 1 are missing", ORACLE_KILLED, ORACLE_LEAVE_VERIFY);
}

static void a_hole_that_the_store_explains_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_UNDO);
	snapshots(false); /* so that nobody reads there */
	tell(NULL);
	change("DELETE FROM events WHERE lsn = 7; INSERT INTO compacted_keys VALUES (7, 'stranger', x'00', 0)");
	expect(ORACLE_BROKEN, "LSN 7 is missing", ORACLE_KILLED, ORACLE_LEAVE_VERIFY);
}

static bool without_compaction(char *line, size_t room, size_t number)
{
	(void)room;
	(void)number;
	return line[0] != 'c' && line[0] != 'C';
}

static void a_compaction_that_nobody_asked_for_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_SNAPSHOTS | WORKLOAD_COMPACTION);
	snapshots(true);
	tell(without_compaction);
	expect_broken("is gone, and no compaction was asked for");
}

static void a_key_that_compaction_forgot_is_missed(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_SNAPSHOTS | WORKLOAD_COMPACTION);
	snapshots(true);
	tell(NULL);
	change("UPDATE compacted_keys SET idempotency_key = 'other' WHERE lsn = (SELECT min(lsn) FROM compacted_keys)");
	expect(ORACLE_BROKEN, "was acknowledged as synced and is not there", ORACLE_KILLED, ORACLE_LEAVE_VERIFY);
}

static void a_key_with_two_lsns_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_UNDO);
	tell(NULL);
	change("UPDATE events SET idempotency_key = 'other' WHERE lsn = 5; UPDATE events SET idempotency_key = 'k0-4' WHERE lsn = 6;");
	struct oracle_report report = ask(ORACLE_KILLED, ORACLE_LEAVE_VERIFY);
	assert_int_not_equal(ORACLE_SOUND, report.verdict);
}

/* ---- 3. checksums ---- */

static void what_verify_finds_is_a_refusal(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_UNDO);
	tell(NULL);
	change("UPDATE events SET ts = ts + 1 WHERE lsn = 9");
	expect(ORACLE_REFUSED, "LSN 9", ORACLE_KILLED, 0);
}

/* ---- 4. batches ---- */

static bool the_fourth_batch_larger(char *line, size_t room, size_t number)
{
	unsigned index, count;
	char rest[500];
	(void)number;
	if (strncmp(line, "S 4 ", 4) == 0 && sscanf(line, "S 4 %u %u %499[^\n]", &index, &count, rest) == 3)
		snprintf(line, room, "S 4 %u %u %s", index, count + 1, rest);
	return strncmp(line, "E 4 ", 4) != 0;
}

static void a_batch_that_is_not_whole_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_UNDO);
	tell(the_fourth_batch_larger);
	expect_broken("of a batch of");
}

/* ---- 6. the watermark ---- */

static void a_watermark_above_what_is_there_is_a_refusal(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_UNDO);
	tell(NULL);
	change("DELETE FROM events WHERE lsn = (SELECT max(lsn) FROM events)");
	struct oracle_report report = ask(ORACLE_KILLED, ORACLE_LEAVE_VERIFY);
	assert_int_equal(ORACLE_REFUSED, report.verdict);
	assert_int_equal(MF_ERR_CORRUPTED, report.status);
}

/* ---- 7. states ---- */

static bool other_digests(char *line, size_t room, size_t number)
{
	char *space;
	(void)number;
	(void)room;
	if (line[0] == 'S' && (space = strchr(line, 'k')) && (space = strchr(space, ' ')))
		space[1] = space[1] == '0' ? '1' : '0';
	return line[0] != 'V';
}

static void a_document_with_another_digest_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(other_digests);
	expect_broken("recovered at LSN");
}

static bool deeper_stacks(char *line, size_t room, size_t number)
{
	(void)number;
	if (line[0] == 'S') {
		char *last = strrchr(line, ' ');
		snprintf(last, room - (size_t)(last - line), " 77");
	}
	return line[0] != 'V';
}

static void a_lost_redo_stack_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(deeper_stacks);
	expect_broken("it was");
}

/* ---- 8. recovering twice ---- */

/* A run of 40 transactions on one document, and another one of so many more, as which the store comes back the second time. */
static void come_back_as_another(uint32_t more)
{
	static char dir[160];
	struct mf_error error = {0};
	struct workload workload = {.config = scratch_config, .mode = "sync", .kind = SYNC, .seed = 7, .batches = 40, .batch_max = 1, .docs = 1, .what = WORKLOAD_UNDO, .out = {write_down, NULL}};
	must(workload_run(&workload, &error), &error);
	tell(NULL);
	snprintf(dir, sizeof(dir), "%s/another", scratch_dir);
	workload.dir = dir;
	workload.seed++;
	workload.batches += more;
	must(workload_run(&workload, &error), &error);
	story.len = 0; /* nobody hears of it */
	strange.second = dir;
}

static void a_second_recovery_with_other_events_is_noticed(void **unused)
{
	(void)unused;
	come_back_as_another(3);
	expect(ORACLE_BROKEN, "recovered a second time it has 43 events, and had 40", ORACLE_KILLED, ORACLE_LEAVE_APPEND);
}

static void a_second_recovery_with_another_digest_is_noticed(void **unused)
{
	(void)unused;
	come_back_as_another(0);
	expect(ORACLE_BROKEN, "document d0 recovered a second time at LSN 40 is", ORACLE_KILLED, ORACLE_LEAVE_APPEND);
}

/* ---- 9. duplicates ---- */

static void a_duplicate_of_another_lsn_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(NULL);
	strange.lsn_by = 1;
	expect_broken("key k0-0 is LSN 1, submitted again it is a duplicate of LSN 2 with the same content");
}

static void a_duplicate_that_is_said_to_differ_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(NULL);
	strange.other = true;
	expect_broken("key k0-0 is LSN 1, submitted again it is a duplicate of LSN 1 with other content");
}

static void a_duplicate_that_is_taken_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(NULL);
	strange.takes = true;
	expect_broken("key k0-0 is LSN 1, submitted again it was stored");
}

/* ---- 10. a clean append ---- */

static void a_store_that_takes_no_append_is_refused(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(NULL);
	char sql[128];
	snprintf(sql, sizeof(sql), "ALTER TABLE events ADD COLUMN more INTEGER CHECK (lsn <= %" PRId64 ")", newest());
	change(sql);
	expect(ORACLE_REFUSED, "a clean append", ORACLE_KILLED, ORACLE_LEAVE_VERIFY);
}

/* ---- 11. absent ---- */

static bool the_fifth_batch_absent(char *line, size_t room, size_t number)
{
	(void)number;
	if (strncmp(line, "E 5 ", 4) == 0)
		snprintf(line, room, "E 5 1 0");
	return line[0] != 'V';
}

static void what_ended_absent_and_is_there_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(the_fifth_batch_absent);
	expect_broken("ended absent, and is there");
}

/* ---- 12. epochs ---- */

static bool a_later_epoch(char *line, size_t room, size_t number)
{
	(void)number;
	if (line[0] == 'O')
		snprintf(line, room, "O 2 40 0");
	return true;
}

static void an_event_of_another_epoch_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(a_later_epoch);
	expect_broken("it was submitted in epoch 40");
}

static void an_epoch_that_comes_again_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(NULL);
	add_line("O 2 2 0\n"); /* the oracle's own opening will be the second */
	expect_broken("this opening has epoch 2, one before it had 2");
}

/* ---- 13. readers and followers ---- */

static void show_what_is_not_there(enum mf_commit_kind kind)
{
	char line[128];
	work(kind, 0, QUIET);
	tell(NULL);
	snprintf(line, sizeof(line), "V d0 %" PRId64 " -\n", newest() + 3);
	add_line(line);
}

static void what_a_reader_saw_and_is_not_there_is_missed(void **unused)
{
	(void)unused;
	show_what_is_not_there(ASYNC);
	expect_broken("a reader saw LSN");
}

static void after_a_power_cut_what_a_reader_saw_in_mode_sync_is_there(void **unused)
{
	(void)unused;
	show_what_is_not_there(SYNC);
	expect(ORACLE_BROKEN, "a reader saw LSN", ORACLE_POWER_LOST, 0);
}

static void after_a_power_cut_what_a_reader_saw_in_mode_async_may_be_gone(void **unused)
{
	(void)unused;
	show_what_is_not_there(ASYNC);
	expect(ORACLE_SOUND, "", ORACLE_POWER_LOST, 0);
}

static void what_a_reader_saw_in_mode_sync_is_missed_in_the_life_after_a_power_cut(void **unused)
{
	(void)unused;
	show_what_is_not_there(SYNC);
	add_line("Z\n");
	work(SYNC, 1, QUIET); /* goes beyond it, so that its LSN is there, but another event's */
	tell(NULL);
	expect(ORACLE_BROKEN, "in mode sync, and after a power loss the newest was", ORACLE_POWER_LOST, 0);
}

static bool follower_up_to_twenty(char *line, size_t room, size_t number)
{
	long long lsn;
	(void)room;
	(void)number;
	return sscanf(line, "H proof 0 %lld", &lsn) != 1 || lsn <= 20;
}

static void a_checkpoint_ahead_of_what_was_handled_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_FOLLOWER);
	tell(follower_up_to_twenty);
	expect_broken("it had handled those up to 20");
}

static bool follower_without_nine(char *line, size_t room, size_t number)
{
	(void)room;
	(void)number;
	return strncmp(line, "H proof 0 9 ", 12) != 0;
}

static void a_follower_that_passed_over_an_event_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, WORKLOAD_FOLLOWER);
	tell(follower_without_nine);
	expect_broken("was given LSN 10 after LSN 8");
}

static void what_a_follower_was_shown_and_is_not_there_is_missed(void **unused)
{
	(void)unused;
	work(ASYNC, 0, QUIET);
	tell(NULL);
	char line[128];
	add_line("S 999 0 1 0 1 d0 ghost -\n");
	snprintf(line, sizeof(line), "P f %" PRId64 "\n", newest());
	add_line(line);
	snprintf(line, sizeof(line), "H f 0 %" PRId64 " ghost\n", newest() + 1);
	add_line(line);
	expect_broken("key ghost, was acknowledged as written and is not there");
}

/* ---- 14. backups ---- */

static char *a_backup(void)
{
	static char path[256];
	work(SYNC, 0, WORKLOAD_BACKUP);
	work(SYNC, 1, WORKLOAD_BACKUP);
	tell(NULL);
	assert_true(ledger->backup_count > 0);
	snprintf(path, sizeof(path), "%s/%s", backups, ledger->backups[ledger->backup_count - 1].file);
	return path;
}

static void a_backup_that_is_cut_off_is_noticed(void **unused)
{
	(void)unused;
	const char *path = a_backup();
	struct stat about;
	assert_int_equal(0, stat(path, &about));
	assert_int_equal(0, truncate(path, about.st_size - 4096));
	expect_broken("is there and is not whole");
}

static void a_backup_with_a_changed_byte_is_noticed(void **unused)
{
	(void)unused;
	int fd = open(a_backup(), O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(1, pwrite(fd, "x", 1, 5000));
	close(fd);
	expect_broken("is there and cannot be restored");
}

static void a_backup_that_is_gone_is_missed(void **unused)
{
	(void)unused;
	assert_int_equal(0, unlink(a_backup()));
	expect_broken("was said to be complete, and is not there");
}

static void a_backup_that_lacks_what_was_committed_is_noticed(void **unused)
{
	(void)unused;
	a_backup();
	ledger->backups[0].at_least = newest() + 1;
	expect_broken("was committed when it began");
}

static bool as_not_synced(char *line, size_t room, size_t number)
{
	(void)room;
	(void)number;
	return line[0] != 'Y' && line[0] != 'X';
}

/* What the store was, kept and put back. */
static void keep_store(bool back)
{
	char command[512], kept[160];
	snprintf(kept, sizeof(kept), "%s.kept", scratch_data);
	snprintf(command, sizeof(command), "rm -rf %s && cp -a %s %s", back ? scratch_data : kept, back ? kept : scratch_data, back ? scratch_data : kept);
	assert_int_equal(0, system(command));
}

/* A life of which only the opening is left after a power loss, and one that gives its LSNs again: the backup of the first is not of that history. */
static void a_backup_of_what_a_power_loss_took_back_is_not_compared_with_what_came_after(void **unused)
{
	(void)unused;
	struct mf_runtime *runtime;
	struct mf_runtime_options options = {.config_path = scratch_config, .mode = "sync"};
	work(SYNC, 0, 0);
	tell(NULL);
	keep_store(false);
	work(ASYNC, 1, WORKLOAD_BACKUP);
	tell(as_not_synced);
	int64_t lost = newest();
	keep_store(true);
	assert_int_equal(MF_OK, mf_runtime_open(&options, &runtime, NULL));
	assert_int_equal(MF_OK, mf_runtime_close(runtime, MF_WAIT_FOREVER, NULL));
	add_line("Z\n");
	for (uint32_t life = 2; life < 4; life++) {
		work(ASYNC, life, 0);
		tell(NULL);
	}
	struct oracle_report report = ask(ORACLE_POWER_LOST, 0);
	if (report.verdict != ORACLE_SOUND)
		fail_msg("%s", report.text);
	assert_true(report.backups > 0 && report.last_lsn >= lost);
}

/* ---- 15. the modes' promises ---- */

static void lose_the_last_batch(void)
{
	char line[128];
	tell(NULL);
	add_line("S 999 0 1 0 1 d0 ghost -\n");
	snprintf(line, sizeof(line), "E 999 3 %" PRId64 "\n", newest() + 1);
	add_line(line);
}

static void after_a_power_cut_async_may_lose_what_was_not_reported_synced(void **unused)
{
	(void)unused;
	char line[64];
	work(ASYNC, 0, QUIET);
	lose_the_last_batch();
	struct oracle_report report = ask(ORACLE_POWER_LOST, 0);
	assert_int_equal(ORACLE_SOUND, report.verdict);
	assert_int_equal(1, report.lost);
	work(ASYNC, 1, QUIET);
	lose_the_last_batch();
	snprintf(line, sizeof(line), "Y %" PRId64 "\n", newest());
	add_line(line);
	expect(ORACLE_BROKEN, "was acknowledged as written and is not there", ORACLE_POWER_LOST, 0);
}

static bool as_sync(char *line, size_t room, size_t number)
{
	unsigned long long batch;
	long long lsn;
	(void)number;
	if (sscanf(line, "E %llu 3 %lld", &batch, &lsn) == 2)
		snprintf(line, room, "E %llu 4 %lld", batch, lsn);
	return true;
}

static void after_a_power_cut_sync_may_lose_nothing(void **unused)
{
	(void)unused;
	char line[64];
	work(ASYNC, 0, QUIET);
	tell(as_sync);
	add_line("S 999 0 1 0 2 d0 ghost -\n");
	snprintf(line, sizeof(line), "E 999 4 %" PRId64 "\n", newest() + 1);
	add_line(line);
	expect(ORACLE_BROKEN, "was acknowledged as synced and is not there", ORACLE_POWER_LOST, 0);
}

static bool as_memory(char *line, size_t room, size_t number)
{
	(void)number;
	if (line[0] == 'o')
		snprintf(line, room, "o 0");
	if (line[0] == 'O')
		snprintf(line, room, "O 0 0 0");
	return true;
}

static void a_database_after_mode_memory_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(as_memory);
	expect_broken("mode memory has left a database");
}

static void what_was_done_in_memory_and_is_there_is_noticed(void **unused)
{
	(void)unused;
	work(SYNC, 0, QUIET);
	tell(as_memory);
	add_line("O 2 900 0\n"); /* a durable life as well */
	expect_broken("was lost, and is there");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sound_store_is_found_sound_life_after_life),
		TEST(what_a_kill_cut_off_was_never_said),
		TEST(an_acknowledged_event_that_is_not_there_is_missed),
		TEST(an_event_that_nobody_submitted_is_noticed),
		TEST(an_event_of_another_document_is_noticed),
		TEST(an_event_under_another_lsn_is_noticed),
		TEST(a_hole_is_a_refusal),
		TEST(a_hole_that_the_store_explains_is_noticed),
		TEST(a_compaction_that_nobody_asked_for_is_noticed),
		TEST(a_key_that_compaction_forgot_is_missed),
		TEST(a_key_with_two_lsns_is_noticed),
		TEST(what_verify_finds_is_a_refusal),
		TEST(a_batch_that_is_not_whole_is_noticed),
		TEST(a_watermark_above_what_is_there_is_a_refusal),
		TEST(a_document_with_another_digest_is_noticed),
		TEST(a_lost_redo_stack_is_noticed),
		TEST(a_second_recovery_with_other_events_is_noticed),
		TEST(a_second_recovery_with_another_digest_is_noticed),
		TEST(a_duplicate_of_another_lsn_is_noticed),
		TEST(a_duplicate_that_is_said_to_differ_is_noticed),
		TEST(a_duplicate_that_is_taken_is_noticed),
		TEST(a_store_that_takes_no_append_is_refused),
		TEST(what_ended_absent_and_is_there_is_noticed),
		TEST(an_event_of_another_epoch_is_noticed),
		TEST(an_epoch_that_comes_again_is_noticed),
		TEST(what_a_reader_saw_and_is_not_there_is_missed),
		TEST(after_a_power_cut_what_a_reader_saw_in_mode_sync_is_there),
		TEST(after_a_power_cut_what_a_reader_saw_in_mode_async_may_be_gone),
		TEST(what_a_reader_saw_in_mode_sync_is_missed_in_the_life_after_a_power_cut),
		TEST(a_checkpoint_ahead_of_what_was_handled_is_noticed),
		TEST(a_follower_that_passed_over_an_event_is_noticed),
		TEST(what_a_follower_was_shown_and_is_not_there_is_missed),
		TEST(a_backup_that_is_cut_off_is_noticed),
		TEST(a_backup_with_a_changed_byte_is_noticed),
		TEST(a_backup_that_is_gone_is_missed),
		TEST(a_backup_that_lacks_what_was_committed_is_noticed),
		TEST(a_backup_of_what_a_power_loss_took_back_is_not_compared_with_what_came_after),
		TEST(after_a_power_cut_async_may_lose_what_was_not_reported_synced),
		TEST(after_a_power_cut_sync_may_lose_nothing),
		TEST(a_database_after_mode_memory_is_noticed),
		TEST(what_was_done_in_memory_and_is_there_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
