/* test_powerloss.c - the power-loss row in small; and its teeth: what a device or a product that leaves out a sync loses is noticed.
 *
 * A failure leaves its recording in the current directory; `./dev powerloss --replay` tells how to go on from there. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "harness.h"
#include "power.h"
#include "recorder.h"

static char scratch[128];
static struct power_tally *tally;

static int setup(void **unused)
{
	(void)unused;
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	harness_make_place(scratch, sizeof(scratch), "power");
	return tally != MAP_FAILED && power_load_plugins(scratch) ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	munmap(tally, sizeof(*tally));
	return harness_remove_place(scratch) ? 0 : -1;
}

static void tell(const char *text)
{
	fputs(text, stderr);
}

static void run(uint32_t kind, unsigned lies, size_t states)
{
	struct power_plan plan = {.scratch = scratch, .save = lies ? NULL : ".", .seed = harness_number("MF_SEED", 1, 0, UINT32_MAX) + kind, .states = states, .lies = lies, .stop_at_failure = lies != 0, .kind = kind, .tell = lies ? NULL : tell};
	memset(tally, 0, sizeof(*tally));
	if (!power_session(&plan, tally))
		fail_msg("the session of %s with seed %" PRIu64 " could not be carried out", power_kind_name(kind), plan.seed);
}

static void p11_every_kind_of_load_survives_power_losses_and_those_of_its_recovery(void **unused)
{
	(void)unused;
	for (uint32_t kind = 0; kind < power_kinds(); kind++) {
		run(kind, 0, 30);
		assert_int_equal(0, atomic_load(&tally->failures));
		assert_true(atomic_load(&tally->later) > 0);
		if (kind == POWER_MEMORY) /* it leaves nothing, and nothing is tried once */
			assert_int_equal(atomic_load(&tally->recordings), atomic_load(&tally->states));
		else
			assert_true(atomic_load(&tally->states) >= 15);
	}
}

/* The loads are those of power.c: 1 is in mode sync and has batches and checkpoints. */
#define BATCHES 1

static void expect_failures(unsigned lies)
{
	run(BATCHES, lies, 240);
	assert_true(atomic_load(&tally->failures) > 0);
}

static void syncs_of_the_log_that_are_left_out_are_noticed(void **unused)
{
	(void)unused;
	expect_failures(RECORDER_NO_LOG_SYNC);
}

static void syncs_of_directories_that_are_left_out_are_noticed(void **unused)
{
	(void)unused;
	expect_failures(RECORDER_NO_DIR_SYNC);
}

static void syncs_of_the_database_that_are_left_out_are_noticed(void **unused)
{
	(void)unused;
	expect_failures(RECORDER_NO_DB_SYNC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(p11_every_kind_of_load_survives_power_losses_and_those_of_its_recovery),
		cmocka_unit_test(syncs_of_the_log_that_are_left_out_are_noticed),
		cmocka_unit_test(syncs_of_directories_that_are_left_out_are_noticed),
		cmocka_unit_test(syncs_of_the_database_that_are_left_out_are_noticed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
