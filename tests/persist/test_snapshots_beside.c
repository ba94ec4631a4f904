/* Snapshots, whole and incremental, taken while eight threads write to an SQLite store: each must be a replay of the
 * events up to its LSN, and of nothing else. */
#include "store_kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/transaction.h"
#include "persist/recovery.h"
#include "small_steps.h"
#include <moduforge/backup.h>
#include <moduforge/value.h>

#define THREADS 8
#define NODES 300 /* of each document, in its first transaction */
#define EACH 150
#define BY_HAND 25 /* commits between two snapshots in the writer itself */

static struct mf_step_registry *registry;
static struct mf_snapshot_subscriber *subscriber;
static const struct mf_committer *committer;

struct writer {
	char doc_id[16];
	struct mf_state *state;
	enum mf_status status;
};

static void ignore_done(void *user, const struct mf_commit_result *result)
{
	*(enum mf_status *)user = result->status;
}

static enum mf_status commit(struct writer *writer, struct mf_transaction *transaction)
{
	struct mf_key_answer answer;
	struct mf_state *next;
	struct mf_ticket *ticket;
	enum mf_status told = MF_OK, status = committer->reserve(committer->user, writer->doc_id, transaction, &answer, NULL);
	if (status == MF_OK)
		status = mf_state_apply(writer->state, transaction, &next, NULL);
	if (status != MF_OK)
		return status;
	struct mf_proposal proposal = {
		.doc_id = writer->doc_id,
		.transaction = transaction,
		.old_state = writer->state,
		.new_state = next,
		.reservation = answer.reservation,
		.generation = committer->generation(committer->user),
		.done = ignore_done,
		.done_user = &told,
	};
	status = committer->commit(committer->user, &proposal, 1, MF_COMMIT_ASYNC_DURABLE, &ticket, NULL);
	if (status == MF_OK) {
		status = mf_ticket_wait(ticket, MF_LEVEL_WRITTEN, MF_WAIT_FOREVER, NULL, NULL);
		mf_ticket_unref(ticket);
	}
	mf_state_unref(writer->state);
	writer->state = next;
	return status == MF_OK ? told : status;
}

static void fill(const struct mf_doc *doc, struct mf_transaction *transaction, int number)
{
	char before[16];
	int len = snprintf(before, sizeof(before), "m%d", number - 1);
	for (int i = 0; number == 0 && i < NODES; i++)
		small_steps_add(transaction, registry, "test_insert", "{\"parent\":\"root\",\"node\":{\"id\":\"n%d\",\"type\":\"item\"}}", i);
	if (number % 3 == 1)
		small_steps_add(transaction, registry, "test_insert", "{\"parent\":\"n%d\",\"index\":0,\"node\":{\"id\":\"m%d\",\"type\":\"item\"}}", number % 50, number);
	else if (number % 3 == 2 && number % 2 && mf_doc_find(doc, before, (size_t)len)) /* it may have been undone */
		small_steps_add(transaction, registry, "test_remove", "{\"id\":\"%s\"}", before);
	else
		small_steps_add(transaction, registry, "test_set", "{\"id\":\"n%d\",\"key\":\"k\",\"value\":%d}", number % NODES, number);
}

static enum mf_status write_one(struct writer *writer, int number)
{
	struct mf_transaction *transaction;
	int64_t upto;
	enum mf_status status = number % 7 == 6 ? mf_state_make_undo(writer->state, &transaction, NULL) : mf_transaction_new(&transaction);
	if (status != MF_OK)
		return status;
	if (number % 7 != 6)
		fill(mf_state_doc(writer->state), transaction, number);
	status = commit(writer, transaction);
	mf_transaction_free(transaction);
	if (status == MF_OK && number % BY_HAND == BY_HAND - 1)
		status = committer->snapshot(committer->user, writer->doc_id, writer->state, &upto, NULL);
	return status;
}

static void *write_all(void *user)
{
	struct writer *writer = user;
	writer->status = mf_state_new(100, &writer->state);
	for (int i = 0; i < EACH && writer->status == MF_OK; i++)
		writer->status = write_one(writer, i);
	mf_state_unref(writer->state);
	return NULL;
}

static void run_writers(void)
{
	pthread_t threads[THREADS];
	struct writer writers[THREADS];
	for (int i = 0; i < THREADS; i++) {
		snprintf(writers[i].doc_id, sizeof(writers[i].doc_id), "doc-%d", i);
		assert_int_equal(pthread_create(&threads[i], NULL, write_all, &writers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(writers[i].status, MF_OK);
	}
}

/* ---- what was stored ---- */

struct found {
	struct mf_store *store;
	int whole, incremental;
};

static void compare(struct mf_store *store, const struct mf_snapshot_info *info)
{
	const struct mf_replay_options options = {.batch = 100, .history_limit = 100, .at_lsn = info->upto_lsn, .committed = INT64_MAX, .snapshot_at_most = 0};
	struct mf_snapshot snapshot;
	struct mf_state *kept, *replayed;
	struct mf_replay_report report;
	struct mf_error error = {0};
	KIT_OK(mf_store_latest_snapshot(store, info->doc_id, info->upto_lsn, &snapshot, &error), &error);
	assert_int_equal(snapshot.upto_lsn, info->upto_lsn);
	KIT_OK(mf_snapshot_load(store, &snapshot, registry, 100, &kept, &error), &error);
	mf_snapshot_deinit(&snapshot);
	KIT_OK(mf_replay(store, info->doc_id, registry, &options, &replayed, &report, &error), &error);
	assert_int_equal(report.snapshot_lsn, 0);
	assert_int_equal(mf_state_lsn(replayed), info->upto_lsn);
	struct mf_digest digest = small_steps_digest(replayed);
	small_assert_digest(kept, &digest);
	assert_int_equal(mf_state_undo_depth(kept), mf_state_undo_depth(replayed));
	assert_int_equal(mf_state_redo_depth(kept), mf_state_redo_depth(replayed));
	mf_state_unref(kept);
	mf_state_unref(replayed);
}

static bool check(void *user, const struct mf_snapshot_info *info)
{
	struct found *found = user;
	*(info->base_lsn ? &found->incremental : &found->whole) += 1;
	compare(found->store, info);
	return true;
}

static void f06_each_snapshot_taken_while_eight_threads_write_is_a_replay_to_its_lsn(void **unused)
{
	(void)unused;
	struct mf_persist_options options;
	struct mf_error error = {0};
	registry = small_steps_registry();
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = 10;
	options.keep_snapshots = 1000;
	options.full_snapshot_every = 5;
	KIT_OK(mf_snapshot_subscriber_new(kit_open(kit_dir), &options, registry, &subscriber, &error), &error);
	committer = mf_snapshot_subscriber_committer(subscriber);
	run_writers();
	KIT_OK(mf_snapshot_subscriber_close(subscriber, MF_WAIT_FOREVER, &error), &error);
	struct mf_store *store = kit_open_reader(kit_dir);
	struct found found = {.store = store};
	struct kit_findings findings;
	KIT_OK(store->ops->snapshots(store, NULL, check, &found, &error), &error);
	print_message("# %d whole, %d incremental\n", found.whole, found.incremental);
	assert_true(found.whole >= THREADS);
	assert_true(found.incremental >= THREADS);
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_close(store);
	mf_step_registry_free(registry);
}

/* ---- everything at once ---- */

static atomic_bool ended;
static const char *backup_path;

static void doc_name(int i, char out[16])
{
	snprintf(out, 16, "doc-%d", i % THREADS);
}

static void *compact_all(void *user)
{
	enum mf_status *status = user;
	char doc_id[16];
	int64_t upto;
	for (int i = 0; *status == MF_OK && !atomic_load(&ended); i++) {
		doc_name(i, doc_id);
		*status = committer->compact(committer->user, doc_id, &upto, NULL);
		committer->forget(committer->user, doc_id); /* as when a document is let go: the next snapshot is a whole one */
	}
	return NULL;
}

static void *recover_all(void *user)
{
	enum mf_status *status = user;
	char doc_id[16];
	for (int i = 0; *status == MF_OK && !atomic_load(&ended); i++) {
		struct mf_state *state;
		struct mf_recovery_report report;
		doc_name(i, doc_id);
		*status = committer->recover(committer->user, doc_id, INT64_MAX, &state, &report, NULL);
		if (*status == MF_OK && report.damaged_snapshots + report.stale_snapshots > 0)
			*status = MF_ERR_CORRUPTED;
		if (*status == MF_OK || *status == MF_ERR_CORRUPTED)
			mf_state_unref(state);
	}
	return NULL;
}

static void *back_up_all(void *user)
{
	enum mf_status *status = user;
	while (*status == MF_OK && !atomic_load(&ended)) {
		*status = mf_store_backup(committer->store(committer->user), backup_path, NULL, NULL, NULL, NULL);
		if (*status == MF_OK && remove(backup_path) != 0)
			*status = MF_ERR_IO;
	}
	return NULL;
}

static void f06_compaction_pruning_backup_and_recovery_go_on_beside_eight_writers(void **unused)
{
	(void)unused;
	struct mf_persist_options options;
	struct mf_error error = {0};
	void *(*const workers[])(void *user) = {compact_all, recover_all, back_up_all};
	pthread_t threads[3];
	enum mf_status told[3] = {MF_OK, MF_OK, MF_OK};
	char *path = kit_path(kit_dir, "copy");
	backup_path = path;
	registry = small_steps_registry();
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = 5;
	options.keep_snapshots = 2;
	options.full_snapshot_every = 4;
	KIT_OK(mf_snapshot_subscriber_new(kit_open(kit_dir), &options, registry, &subscriber, &error), &error);
	committer = mf_snapshot_subscriber_committer(subscriber);
	atomic_store(&ended, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, workers[i], &told[i]), 0);
	run_writers();
	atomic_store(&ended, true);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(told[i], MF_OK);
	}
	KIT_OK(mf_snapshot_subscriber_close(subscriber, MF_WAIT_FOREVER, &error), &error);
	struct mf_store *store = kit_open_reader(kit_dir);
	struct kit_findings findings;
	assert_int_equal(kit_verify(store, NULL, &findings), MF_OK);
	kit_close(store);
	free(path);
	mf_step_registry_free(registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(f06_each_snapshot_taken_while_eight_threads_write_is_a_replay_to_its_lsn, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(f06_compaction_pruning_backup_and_recovery_go_on_beside_eight_writers, kit_set_up, kit_tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
