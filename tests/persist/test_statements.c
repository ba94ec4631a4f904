/* What SQLite needs beside the store's files to answer the store's statements: nothing. A table of its own, for sorting or remembering,
 * goes to a file in the directory of temporary files when it is large, and that may be full, or one that must not be written. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moduforge/backup.h>

#include "store_calls.h"

/* ---- what is asked ---- */

#define TEXTS_MAX 400

static struct {
	char *texts[TEXTS_MAX];
	size_t count;
	int connections, in_memory; /* opened; told to make no temporary files */
} asked;

static int note(unsigned kind, void *db, void *stmt, void *text)
{
	(void)kind, (void)db, (void)text;
	const char *sql = sqlite3_sql(stmt);
	asked.in_memory += strcmp(sql, "PRAGMA temp_store = MEMORY") == 0;
	for (size_t i = 0; i < asked.count; i++)
		if (strcmp(asked.texts[i], sql) == 0)
			return 0;
	assert_true(asked.count < TEXTS_MAX);
	asked.texts[asked.count] = strdup(sql);
	assert_non_null(asked.texts[asked.count++]);
	return 0;
}

static int listen(sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
	(void)message, (void)api;
	asked.connections++;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, note, NULL);
}

static int set_up(void **state)
{
	memset(&asked, 0, sizeof(asked));
	sqlite3_auto_extension((void (*)(void))listen);
	return kit_set_up(state);
}

static int tear_down(void **state)
{
	sqlite3_reset_auto_extension();
	for (size_t i = 0; i < asked.count; i++)
		free(asked.texts[i]);
	return kit_tear_down(state);
}

/* Every call of a store: made, read, copied, made from its copy. */
static void ask_everything(void)
{
	struct mf_error error;
	struct store_work work = {.store = kit_open(kit_dir)};
	kit_append(work.store, "d", "first");
	for (size_t i = 0; i < store_call_count; i++) {
		work.round++;
		if (store_calls[i].before)
			KIT_OK(store_calls[i].before(&work, &error), &error);
		KIT_OK(store_calls[i].call(&work, &error), &error);
	}
	int64_t middle = kit_append(work.store, "d", "middle");
	kit_append(work.store, "d", "last");
	char *file = kit_path(kit_dir, "copy"), *fresh = kit_path(kit_dir, "fresh");
	KIT_OK(mf_store_backup(work.store, file, NULL, NULL, NULL, &error), &error);
	kit_close(work.store);
	KIT_OK(mf_store_restore(&(struct mf_restore_options){.file = file, .dir = fresh, .at_lsn = middle}, NULL, &error), &error);
	kit_close(kit_open(kit_dir));
	work.store = kit_open_reader(kit_dir);
	KIT_OK(mf_store_verify(work.store, NULL, NULL, &error), &error);
	kit_close(work.store);
	free(file);
	free(fresh);
}

/* ---- what it needs ---- */

/* Of few rows, whatever the store is, or of small ones that are as few as snapshots. */
static const struct {
	const char *text;
	int most;
	const char *why;
} small[] = {
	{"ORDER BY lsn DESC LIMIT 256) GROUP BY doc_id", 2, "256 rows"},
	{"WITH RECURSIVE ids(id, before)", 1, "the queue of a recursion that goes from row to row: one"},
	{"ORDER BY s.doc_id, s.upto_lsn DESC", 2, "the row of base_lsn; and what lists snapshots, from the rows and not through an index that may lack some: a name and five numbers each"},
	{"(SELECT 0 AS base_lsn) CROSS JOIN snapshots s", 1, "one row"},
	{"(SELECT 0 AS base_lsn) CROSS JOIN whole.snapshots s", 1, "one row"},
	{"name IN ('events',", 1, "six names"},
};

static int allowed(const char *text)
{
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
		if (strstr(text, small[i].text))
			return small[i].most;
	return 0;
}

/* SQLite's own, of a VACUUM, and what does not read rows. */
static bool is_ours(const char *text)
{
	static const char *const reads[] = {"SELECT", "WITH", "INSERT", "DELETE", "UPDATE"};
	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
		if (strncmp(text, reads[i], strlen(reads[i])) == 0)
			return !strstr(text, "vacuum_db") && !strstr(text, "sqlite_sequence");
	return false;
}

static int tables_of(sqlite3 *db, const char *text)
{
	static const char *const making[] = {"OpenEphemeral", "OpenAutoindex", "SorterOpen"};
	int made = 0;
	sqlite3_stmt *stmt;
	char *explain = sqlite3_mprintf("EXPLAIN %s", text);
	assert_non_null(explain);
	if (sqlite3_prepare_v2(db, explain, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", explain, sqlite3_errmsg(db));
	while (sqlite3_step(stmt) == SQLITE_ROW)
		for (size_t i = 0; i < sizeof(making) / sizeof(making[0]); i++)
			made += strcmp((const char *)sqlite3_column_text(stmt, 1), making[i]) == 0;
	sqlite3_finalize(stmt);
	sqlite3_free(explain);
	return made;
}

/* As a restore up to an LSN has it. */
static void attach_copy(sqlite3 *db)
{
	char *copy = kit_path(kit_dir, "copy"), *text = sqlite3_mprintf("ATTACH %Q AS whole", copy);
	assert_non_null(text);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_free(text);
	free(copy);
}

static void no_statement_needs_a_table_that_grows_with_the_store(void **state)
{
	(void)state;
	sqlite3 *db;
	size_t looked_at = 0, made = 0;
	ask_everything();
	sqlite3_reset_auto_extension();
	char *path = kit_path(kit_dir, "store.db");
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	attach_copy(db);
	for (size_t i = 0; i < asked.count; i++) {
		if (!is_ours(asked.texts[i]))
			continue;
		looked_at++;
		int tables = tables_of(db, asked.texts[i]);
		made += tables > 0;
		if (tables > allowed(asked.texts[i]))
			fail_msg("SQLite makes tables of its own (%d) for: %s", tables, asked.texts[i]);
	}
	sqlite3_close(db);
	free(path);
	assert_true(looked_at > 60 && made > 2); /* it would see one */
}

static void every_connection_keeps_its_own_tables_in_memory(void **state)
{
	(void)state;
	ask_everything();
	assert_true(asked.connections > 10);
	assert_true(asked.in_memory >= asked.connections); /* and again after a VACUUM */
}

static bool note_name(void *user, const struct mf_document_info *info)
{
	char *names = user;
	strcat(names, info->doc_id);
	return true;
}

/* Some in both lists, some in one of them. */
static void documents_with_and_without_events_are_listed_in_one_order_and_counted_once(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store_stats stats;
	char names[16] = "";
	struct mf_store *store = kit_open(kit_dir);
	for (char name[2] = "f"; name[0] >= 'a'; name[0]--)
		kit_append(store, name, name); /* "f" is 1 */
	for (char name[2] = "b"; name[0] <= 'f'; name[0]++) {
		if (name[0] == 'c')
			continue;
		kit_write_snapshot(store, name, 'f' - name[0] + 1, 10);
		KIT_OK(mf_store_compact(store, name, 'f' - name[0] + 1, &error), &error);
	}
	kit_append(store, "e", "another");
	kit_close(store);
	store = kit_open_reader(kit_dir);
	KIT_OK(store->ops->documents(store, note_name, names, &error), &error);
	assert_string_equal(names, "abcdef");
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	assert_int_equal(stats.documents, 6);
	kit_close(store);
}

/* Else a listing, and a count, could go round for ever. */
static void an_index_of_documents_in_another_order_ends_listing_and_counting(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store_stats stats;
	char names[16] = "";
	struct mf_store *store = kit_open(kit_dir);
	for (char name[2] = "a"; name[0] <= 'd'; name[0]++)
		kit_append(store, name, name);
	kit_close(store);
	kit_sql(kit_dir, "DROP INDEX ix_events_doc_lsn; CREATE INDEX ix_events_doc_lsn ON events(doc_id DESC, lsn)");
	kit_sql(kit_dir, "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE INDEX ix_events_doc_lsn ON events(doc_id, lsn)' WHERE name = 'ix_events_doc_lsn'");
	store = kit_open_damaged();
	assert_int_equal(store->ops->documents(store, note_name, names, &error), MF_ERR_CORRUPTED);
	assert_non_null(strstr(error.message, "out of order"));
	assert_int_equal(error.lsn, 3);
	assert_string_equal(names, "d");
	KIT_OK(mf_store_stats(store, &stats, &error), &error);
	kit_close(store);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_statement_needs_a_table_that_grows_with_the_store),
		T(every_connection_keeps_its_own_tables_in_memory),
		T(documents_with_and_without_events_are_listed_in_one_order_and_counted_once),
		T(an_index_of_documents_in_another_order_ends_listing_and_counting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
