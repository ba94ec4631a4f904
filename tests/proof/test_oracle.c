/* test_oracle.c - the oracle finds a sound store sound, and each promise broken when it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "oracle.h"
#include "scratch.h"
#include "workload.h"

static struct ledger *ledger;
static char backups[128];

static int setup(void **unused)
{
	(void)unused;
	scratch_make();
	snprintf(backups, sizeof(backups), "%s/backups", scratch_dir);
	ledger = ledger_new();
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

static void work(const char *mode, enum mf_commit_kind kind, uint32_t life, unsigned what)
{
	struct mf_error error = {0};
	struct workload workload = {.config = scratch_config, .mode = mode, .kind = kind, .seed = 7, .life = life, .batches = 120, .batch_max = 100, .docs = 3, .what = what,
				    .backups = backups, .out = {ledger_line_to_ledger, ledger}};
	if (workload_run(&workload, &error) != MF_OK)
		fail_msg("%s", error.message);
}

static struct oracle_report ask(enum oracle_crash crash)
{
	struct oracle_report report;
	struct oracle_plan plan = {.dir = scratch_data, .config = scratch_config, .backups = backups, .crash = crash, .seed = 3};
	oracle_check(&plan, ledger, &report);
	return report;
}

static void assert_sound(void)
{
	struct oracle_report report = ask(ORACLE_KILLED);
	if (report.verdict != ORACLE_SOUND)
		fail_msg("%s", report.text);
	assert_true(report.acknowledged > 0);
}

static void a_sound_store_is_found_sound_life_after_life(void **unused)
{
	(void)unused;
	for (uint32_t life = 0; life < 3; life++) {
		work("async:5", MF_COMMIT_ASYNC_DURABLE, life, WORKLOAD_UNDO | WORKLOAD_SNAPSHOTS | WORKLOAD_COMPACTION);
		assert_sound();
	}
}

static void a_run_with_everything_beside_it_is_found_sound(void **unused)
{
	(void)unused;
	static const struct {
		const char *mode;
		enum mf_commit_kind kind;
	} modes[] = {{"async:5", MF_COMMIT_ASYNC_DURABLE}, {"sync", MF_COMMIT_SYNC_DURABLE}, {"memory", MF_COMMIT_MEMORY_ONLY}, {"async:1", MF_COMMIT_ASYNC_DURABLE}};
	size_t looked_at = 0, checkpoints = 0, compacted = 0;
	for (uint32_t life = 0; life < 4; life++) {
		work(modes[life].mode, modes[life].kind, life, WORKLOAD_ALL);
		struct oracle_report report = ask(life % 2 ? ORACLE_POWER_LOST : ORACLE_KILLED); /* closed in good order it is the same */
		if (report.verdict != ORACLE_SOUND)
			fail_msg("%s", report.text);
		looked_at += report.backups;
		checkpoints += report.checkpoints;
		compacted += report.compacted;
	}
	assert_true(looked_at > 0);
	assert_true(checkpoints > 0);
	assert_true(compacted > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sound_store_is_found_sound_life_after_life),
		TEST(a_run_with_everything_beside_it_is_found_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
