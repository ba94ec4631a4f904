/* verify of a reading opening while a writer goes on: nothing of what comes meanwhile is damage. */
#include "store_kit.h"

#include <string.h>

/* A damaged watermark is the first finding: its visit is the moment in which the writer goes on. */
static struct mf_store *writer;
static int findings, ahead;

static void write_meanwhile(void *user, const struct mf_damage *damage)
{
	(void)user;
	if (findings++ == 0) {
		kit_append_many(writer, "d", "later", 5);
		kit_write_snapshot(writer, "d", 10, 100);
	}
	ahead += strcmp(damage->what, "snapshot") == 0;
}

static void a_snapshot_that_a_writer_takes_meanwhile_is_no_damage(void **state)
{
	(void)state;
	struct mf_error error = {0};
	char *dir = kit_make_dir();
	writer = kit_open(dir);
	kit_append_many(writer, "d", "first", 5);
	kit_write_snapshot(writer, "d", 5, 100);
	kit_poke(dir, "watermark", 0, "x", 1);
	struct mf_store *reader = kit_open_reader(dir);
	assert_int_equal(reader->ops->verify(reader, write_meanwhile, NULL, &error), MF_ERR_CORRUPTED);
	assert_int_equal(findings, 1);
	assert_int_equal(ahead, 0);
	kit_close(reader);
	kit_close(writer);
	kit_remove_dir(dir);
}

static void a_snapshot_ahead_of_all_events_is_damage(void **state)
{
	(void)state;
	struct kit_findings found;
	char *dir = kit_make_dir();
	struct mf_store *store = kit_open(dir);
	kit_append_many(store, "d", "k", 5);
	kit_write_snapshot(store, "d", 5, 100);
	kit_close(store);
	kit_sql(dir, "DELETE FROM events WHERE lsn > 3; UPDATE epochs SET first_lsn = 1");
	struct mf_sqlite_options options = {.dir = dir, .read_only = true, .accept_damage = true};
	store = kit_open_with(&options);
	assert_int_equal(kit_verify(store, "snapshot", &found), MF_ERR_CORRUPTED);
	assert_true(found.of_kind >= 1);
	kit_close(store);
	kit_remove_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_snapshot_that_a_writer_takes_meanwhile_is_no_damage),
		cmocka_unit_test(a_snapshot_ahead_of_all_events_is_damage),
	};
	return cmocka_run_group_tests_name("verify beside", tests, NULL, NULL);
}
