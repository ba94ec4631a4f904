/* The snapshot subscriber as bus and runtime see it: reserve, commit, done, snapshots, close. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "subscriber_kit.h"
#include "model/mem.h"
#include "model/transaction.h"
#include "persist/recovery.h"
#include <moduforge/value.h>

#define THREADS 8
#define EACH 60

/* ---- the normal path ---- */

static void f04_a_commit_is_stored_before_it_is_told(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_SYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	for (int i = 0; i < 10; i++) {
		char id[16];
		int64_t lsn = 0;
		snprintf(id, sizeof(id), "n%d", i);
		assert_int_equal(walk("doc", &state, insert(id, id), MF_COMMIT_MEMORY_ONLY, &lsn), MF_OK);
		assert_int_equal(lsn, i + 1);
		assert_int_equal(mf_state_lsn(state), lsn);
		assert_int_equal(subject.dones, i + 1);
		assert_int_equal(FAKE_GET(subject.fake, synced_lsn), lsn);
	}
	assert_recovers("doc", state);
	mf_state_unref(state);
	close_fake();
}

static void f04_what_is_stored_and_not_yet_synced_is_not_recovered(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_SYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	int64_t lsn;
	assert_int_equal(walk("doc", &state, insert("a", "a"), MF_COMMIT_MEMORY_ONLY, &lsn), MF_OK);
	struct mf_transaction *transaction = insert("b", "b");
	struct mf_proposal proposal = propose("doc", state, transaction, reserve("doc", transaction).reservation, NULL);
	struct mf_ticket *ticket;
	FAKE_SET(subject.fake, hold_syncs = true);
	assert_int_equal(commit(&proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL), MF_OK);
	FAKE_WAIT(subject.fake, subject.fake->in_sync > 0);
	assert_int_equal(FAKE_GET(subject.fake, last_lsn), 2); /* it is in the store */
	assert_recovers("doc", state);
	FAKE_SET(subject.fake, hold_syncs = false);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_recovers("doc", proposal.new_state);
	mf_transaction_free(transaction);
	mf_state_unref(proposal.new_state);
	mf_state_unref(state);
	close_fake();
}

struct told_state {
	struct mf_state *state;
	int64_t state_lsn, result_lsn;
};

static void note_state_lsn(void *user, const struct mf_commit_result *result)
{
	struct told_state *told = user;
	told->state_lsn = mf_state_lsn(told->state);
	told->result_lsn = result->lsn;
}

static void the_new_state_has_its_lsn_when_done_is_called(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_SYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	struct mf_transaction *transaction = insert("n", "k");
	struct mf_proposal proposal = propose("doc", state, transaction, reserve("doc", transaction).reservation, NULL);
	struct told_state told = {.state = proposal.new_state};
	struct mf_ticket *ticket;
	assert_int_equal(mf_state_lsn(proposal.new_state), -1);
	proposal.done = note_state_lsn;
	proposal.done_user = &told;
	assert_int_equal(commit(&proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL), MF_OK);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(told.result_lsn, 1);
	assert_int_equal(told.state_lsn, 1);
	mf_transaction_free(transaction);
	mf_state_unref(proposal.new_state);
	mf_state_unref(state);
	close_fake();
}

static enum mf_status encode_nothing(const struct mf_step *step, struct mf_buffer *out)
{
	(void)step, (void)out;
	return MF_ERR_INVALID;
}

/* Not dropped, not stored without the step: refused at the door, with a word. */
static void f17_a_step_that_does_not_serialise_refuses_its_transaction_and_harms_no_other(void **unused)
{
	(void)unused;
	struct mf_step_type dumb = *small_steps_set();
	struct mf_transaction *transaction = insert("a", "k1");
	struct mf_key_answer answer = {0};
	struct mf_value *data;
	struct mf_step *step;
	struct mf_error error = {0};
	dumb.encode = encode_nothing;
	static const char json[] = "{\"id\":\"root\",\"key\":\"n\",\"value\":1}";
	assert_int_equal(mf_value_parse_json(json, strlen(json), &data, NULL), MF_OK);
	assert_int_equal(dumb.from_value(&dumb, data, &step, NULL), MF_OK);
	assert_int_equal(mf_transaction_add(transaction, step), MF_OK);
	open_fake(MF_COMMIT_MEMORY_ONLY);
	assert_int_equal(subject.committer->reserve(subject.committer->user, "doc", transaction, &answer, &error), MF_ERR_INVALID);
	assert_non_null(strstr(error.message, "step 2"));
	assert_int_equal(FAKE_GET(subject.fake, appends), 0);
	struct mf_state *state = small_state_new(100);
	assert_int_equal(walk("doc", &state, insert("a", "k1"), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK); /* its key is free */
	assert_recovers("doc", state);
	close_fake();
	mf_state_unref(state);
	mf_step_unref(step);
	mf_value_unref(data);
	mf_transaction_free(transaction);
}

static void f22_a_commit_reads_no_snapshot(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = 2;
	open_on(fake_store_new(true));
	struct mf_state *state = small_state_new(100);
	for (int i = 0; i < 40; i++) {
		char id[16];
		snprintf(id, sizeof(id), "n%d", i);
		assert_int_equal(walk("doc", &state, insert(id, id), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	}
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) > 0);
	assert_int_equal(FAKE_GET(subject.fake, snapshots_read), 0);
	assert_recovers("doc", state);
	assert_true(FAKE_GET(subject.fake, snapshots_read) > 0); /* so it would have been seen */
	mf_state_unref(state);
	close_fake();
}

static void f20_events_are_stored_under_the_document_that_the_caller_named(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	struct mf_state *one = small_state_new(100), *two = small_state_new(100);
	assert_int_equal(walk("one", &one, insert("a", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_int_equal(walk("two", &two, insert("b", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_int_equal(walk("one", &one, insert("c", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_recovers("one", one);
	assert_recovers("two", two);
	mf_state_unref(one);
	mf_state_unref(two);
	close_fake();
}

static void undo_is_reserved_before_its_steps_are_known(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	struct mf_state *state = small_state_new(100);
	struct mf_transaction *request = small_transaction_new(), *undo;
	struct mf_ticket *ticket;
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_int_equal(mf_transaction_set_key(request, "undo-1", NULL), MF_OK);
	mf_transaction_set_action(request, MF_ACTION_UNDO, 0);
	struct mf_key_answer answer = reserve("doc", request);
	assert_int_equal(answer.found, MF_KEY_NEW);
	assert_int_equal(mf_state_make_undo(state, &undo, NULL), MF_OK);
	mf_transaction_set_id(undo, mf_transaction_id(request));
	assert_int_equal(mf_transaction_assign_key(undo, "undo-1"), MF_OK);
	struct mf_proposal proposal = propose("doc", state, undo, answer.reservation, NULL);
	assert_int_equal(commit(&proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL), MF_OK);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_recovers("doc", proposal.new_state);
	answer = reserve("doc", request); /* the same request again */
	assert_int_equal(answer.found, MF_KEY_STORED);
	assert_int_equal(answer.lsn, 2);
	assert_true(answer.same);
	mf_state_unref(proposal.new_state);
	mf_state_unref(state);
	mf_transaction_free(request);
	mf_transaction_free(undo);
	close_fake();
}

static void f11_a_batch_is_one_atomic_append_with_one_ticket(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	enum { COUNT = 5 };
	struct mf_state *states[COUNT + 1] = {small_state_new(100)};
	struct mf_transaction *transactions[COUNT];
	struct mf_proposal proposals[COUNT];
	struct mf_ticket *ticket;
	for (int i = 0; i < COUNT; i++) {
		char id[16];
		snprintf(id, sizeof(id), "n%d", i);
		transactions[i] = insert(id, i % 2 ? id : NULL);
		proposals[i] = propose("doc", states[i], transactions[i], reserve("doc", transactions[i]).reservation, NULL);
		states[i + 1] = proposals[i].new_state;
	}
	assert_int_equal(commit(proposals, COUNT, MF_COMMIT_MEMORY_ONLY, &ticket, NULL), MF_OK);
	int64_t lsn;
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, &lsn), MF_OK);
	assert_int_equal(lsn, COUNT);
	assert_int_equal(FAKE_GET(subject.fake, appends), 1);
	assert_int_equal(FAKE_GET(subject.fake, largest_batch), COUNT);
	for (int i = 0; i <= COUNT; i++) {
		assert_int_equal(mf_state_lsn(states[i]), i);
		if (i == COUNT)
			assert_recovers("doc", states[i]);
	}
	for (int i = 0; i <= COUNT; i++)
		mf_state_unref(states[i]);
	for (int i = 0; i < COUNT; i++)
		mf_transaction_free(transactions[i]);
	close_fake();
}

struct writer {
	int number;
	bool ok;
};

static void *write_many(void *user)
{
	struct writer *writer = user;
	struct mf_state *state;
	char doc_id[16];
	snprintf(doc_id, sizeof(doc_id), "doc-%d", writer->number);
	if (mf_state_new(100, &state) != MF_OK)
		abort();
	writer->ok = true;
	for (int i = 0; i < EACH; i++) {
		char id[16], key[32];
		snprintf(id, sizeof(id), "n%d", i);
		snprintf(key, sizeof(key), "%d/%d", writer->number, i);
		writer->ok = walk(doc_id, &state, insert(id, i % 2 ? key : NULL), i % 10 ? MF_COMMIT_MEMORY_ONLY : MF_COMMIT_SYNC_DURABLE, NULL) == MF_OK && writer->ok;
	}
	struct mf_state *recovered;
	struct mf_digest a, b;
	writer->ok = subject.committer->recover(subject.committer->user, doc_id, INT64_MAX, &recovered, NULL, NULL) == MF_OK && writer->ok;
	writer->ok = writer->ok && mf_doc_digest(mf_state_doc(recovered), &a) == MF_OK && mf_doc_digest(mf_state_doc(state), &b) == MF_OK && memcmp(&a, &b, sizeof(a)) == 0;
	mf_state_unref(recovered);
	mf_state_unref(state);
	return NULL;
}

static void run_writers(void)
{
	pthread_t threads[THREADS];
	struct writer writers[THREADS];
	for (int i = 0; i < THREADS; i++) {
		writers[i].number = i;
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(writers[i].ok);
	}
	assert_int_equal(subject.dones, THREADS * EACH);
	assert_int_equal(subject.last_lsn, THREADS * EACH);
}

static void f05_eight_threads_are_told_in_lsn_order(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_ASYNC_DURABLE);
	run_writers();
	close_fake();
}

/* Every snapshot that policy took while eight threads wrote, against a replay. */
static bool check_snapshot(void *user, const struct mf_snapshot_info *info)
{
	int64_t (*found)[64] = user;
	size_t at = 0;
	while ((*found)[at])
		at++;
	(*found)[at] = info->upto_lsn;
	return at < 62;
}

/* The document of a writer, and the LSNs of its snapshots, ended by 0. */
static void list_snapshots(struct fake_store *fake, int writer, char (*doc_id)[16], int64_t (*lsns)[64])
{
	snprintf(*doc_id, sizeof(*doc_id), "doc-%d", writer);
	memset(lsns, 0, sizeof(*lsns));
	assert_int_equal(fake->ops.snapshots(&fake->base, *doc_id, check_snapshot, lsns, NULL), MF_OK);
}

static bool has_snapshot(struct fake_store *fake)
{
	char doc_id[16];
	int64_t lsns[64] = {0};
	for (int i = 0; i < THREADS && !lsns[0]; i++)
		list_snapshots(fake, i, &doc_id, &lsns);
	return lsns[0] > 0;
}

static void f06_snapshots_taken_while_eight_threads_write_hold_exactly_their_lsn(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = 7;
	options.keep_snapshots = 1000;
	options.full_snapshot_every = 4;
	open_on(fake_store_new(true));
	run_writers();
	assert_int_equal(subject.committer->drain(subject.committer->user, MF_WAIT_FOREVER, NULL), MF_OK);
	struct fake_store *fake = subject.fake;
	while (!has_snapshot(fake)) /* on a busy machine the first may come after the last commit */
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	const struct mf_replay_options from_events = {.batch = 100, .history_limit = 100, .committed = INT64_MAX, .snapshot_at_most = 0};
	int compared = 0;
	for (int i = 0; i < THREADS; i++) {
		int64_t lsns[64];
		char doc_id[16];
		list_snapshots(fake, i, &doc_id, &lsns);
		for (size_t at = 0; lsns[at]; at++, compared++) {
			struct mf_snapshot snapshot;
			struct mf_state *kept, *replayed;
			assert_int_equal(mf_store_latest_snapshot(&fake->base, doc_id, lsns[at], &snapshot, NULL), MF_OK);
			assert_int_equal(snapshot.upto_lsn, lsns[at]);
			assert_int_equal(mf_snapshot_load(&fake->base, &snapshot, small_registry, 100, &kept, NULL), MF_OK);
			mf_snapshot_deinit(&snapshot);
			struct mf_replay_options replay = from_events;
			replay.at_lsn = lsns[at];
			assert_int_equal(mf_replay(&fake->base, doc_id, small_registry, &replay, &replayed, NULL, NULL), MF_OK);
			struct mf_digest digest = small_steps_digest(replayed);
			small_assert_digest(kept, &digest);
			assert_int_equal(mf_state_lsn(replayed), lsns[at]);
			mf_state_unref(kept);
			mf_state_unref(replayed);
		}
	}
	assert_true(compared > 0);
	close_fake();
}

/* ---- keys ---- */

static void a_stored_key_is_found_with_lsn_and_content(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	struct mf_state *state = small_state_new(100);
	struct mf_transaction *again = insert("a", "key"), *other = insert("b", "key");
	assert_int_equal(walk("doc", &state, insert("a", "key"), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	struct mf_key_answer answer = reserve("doc", again);
	assert_int_equal(answer.found, MF_KEY_STORED);
	assert_int_equal(answer.lsn, 1);
	assert_true(answer.same);
	answer = reserve("doc", other);
	assert_int_equal(answer.found, MF_KEY_STORED);
	assert_false(answer.same);
	answer = reserve("doc2", again);
	assert_int_equal(answer.found, MF_KEY_STORED); /* unique across documents */
	assert_false(answer.same);
	mf_transaction_free(again);
	mf_transaction_free(other);
	mf_state_unref(state);
	close_fake();
}

static void a_pending_key_is_waited_for_and_then_stored(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	struct mf_state *state = small_state_new(100);
	struct mf_transaction *first = insert("a", "key"), *same = insert("a", "key"), *other = insert("b", "key");
	struct mf_ticket *ticket;
	struct mf_key_answer mine = reserve("doc", first), answer = reserve("doc", same);
	assert_int_equal(answer.found, MF_KEY_PENDING);
	assert_true(answer.same);
	assert_int_equal(mf_ticket_wait(answer.ticket, MF_LEVEL_COMMITTED, 1, NULL, NULL), MF_ERR_TIMEOUT);
	struct mf_key_answer different = reserve("doc", other);
	assert_int_equal(different.found, MF_KEY_PENDING);
	assert_false(different.same);
	mf_ticket_unref(different.ticket);
	struct mf_proposal proposal = propose("doc", state, first, mine.reservation, NULL);
	assert_int_equal(commit(&proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL), MF_OK);
	assert_int_equal(wait_for(answer.ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
	assert_int_equal(reserve("doc", same).found, MF_KEY_STORED);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
	mf_state_unref(proposal.new_state);
	mf_state_unref(state);
	mf_transaction_free(first);
	mf_transaction_free(same);
	mf_transaction_free(other);
	close_fake();
}

static void a_released_key_is_free_again(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	struct mf_transaction *first = insert("a", "key"), *second = insert("a", "key");
	struct mf_key_answer mine = reserve("doc", first), answer = reserve("doc", second);
	assert_int_equal(answer.found, MF_KEY_PENDING);
	subject.committer->release(subject.committer->user, mine.reservation);
	assert_int_equal(wait_for(answer.ticket, MF_LEVEL_COMMITTED, NULL), MF_ERR_BUSY);
	answer = reserve("doc", second);
	assert_int_equal(answer.found, MF_KEY_NEW);
	subject.committer->release(subject.committer->user, answer.reservation);
	subject.committer->release(subject.committer->user, NULL);
	mf_transaction_free(first);
	mf_transaction_free(second);
	close_fake();
}

static void *race_for_a_key(void *user)
{
	int *won = user;
	for (int round = 0; round < 200; round++) {
		char key[16];
		snprintf(key, sizeof(key), "race-%d", round);
		struct mf_transaction *transaction = insert("a", key);
		struct mf_state *state, *next;
		struct mf_key_answer answer = reserve("doc", transaction);
		while (answer.found == MF_KEY_PENDING) {
			(void)!wait_for(answer.ticket, MF_LEVEL_COMMITTED, NULL);
			answer = reserve("doc", transaction);
		}
		if (answer.found == MF_KEY_NEW && round % 3 == 0 && *won % 2 == 0) {
			subject.committer->release(subject.committer->user, answer.reservation); /* somebody else may */
			answer.found = MF_KEY_STORED;
			++*won;
			mf_transaction_free(transaction);
			continue;
		}
		if (answer.found == MF_KEY_NEW) {
			struct mf_ticket *ticket;
			if (mf_state_new(10, &state) != MF_OK)
				abort();
			struct mf_proposal proposal = propose("doc", state, transaction, answer.reservation, NULL);
			next = proposal.new_state;
			if (commit(&proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL) != MF_OK || wait_for(ticket, MF_LEVEL_COMMITTED, NULL) != MF_OK)
				abort();
			mf_state_unref(next);
			mf_state_unref(state);
			++*won;
		}
		mf_transaction_free(transaction);
	}
	return NULL;
}

static void one_of_many_threads_gets_a_key(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	pthread_t threads[4];
	int won[4] = {0};
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race_for_a_key, &won[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(subject.dones <= 200);
	assert_int_equal(subject.failures, 0); /* the store never saw a key twice */
	assert_true(subject.dones >= 133);
	close_fake();
}

static void f01_made_keys_and_ids_never_repeat(void **unused)
{
	(void)unused;
	struct mf_transaction *first = insert("a", NULL), *second = insert("a", NULL), *third = insert("a", NULL);
	open_fake(MF_COMMIT_MEMORY_ONLY);
	struct mf_key_answer answers[2] = {reserve("doc", first), reserve("doc", second)};
	assert_int_equal(answers[0].found, MF_KEY_NEW);
	assert_string_not_equal(mf_transaction_key(first), mf_transaction_key(second));
	assert_true(mf_transaction_id(first) != mf_transaction_id(second));
	assert_int_equal(FAKE_GET(subject.fake, finds), 0); /* no look-up for what cannot be there */
	for (int i = 0; i < 2; i++)
		subject.committer->release(subject.committer->user, answers[i].reservation);
	uint64_t id = mf_transaction_id(first);
	answers[0] = reserve("doc", first); /* handed over again: keeps id and key */
	assert_int_equal(mf_transaction_id(first), id);
	subject.committer->release(subject.committer->user, answers[0].reservation);
	close_fake();
	open_fake(MF_COMMIT_MEMORY_ONLY); /* another opening has other random bits, whatever its epoch */
	answers[0] = reserve("doc", third);
	assert_string_not_equal(mf_transaction_key(first), mf_transaction_key(third));
	subject.committer->release(subject.committer->user, answers[0].reservation);
	assert_true(mf_transaction_id(third) <= INT64_MAX);
	close_fake();
	mf_transaction_free(first);
	mf_transaction_free(second);
	mf_transaction_free(third);
}

/* ---- modes ---- */

static void a_mode_can_be_raised_for_one_transaction(void **unused)
{
	(void)unused;
	struct fake_env env;
	fake_env_init(&env);
	mf_persist_options_init(&options);
	options.env = &env.env; /* its clock stands still: no window ever ends */
	open_on(fake_store_new(true));
	struct mf_state *state = small_state_new(100);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_int_equal(FAKE_GET(subject.fake, syncs), 0);
	assert_int_equal(walk("doc", &state, insert("b", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	assert_int_equal(FAKE_GET(subject.fake, synced_lsn), 2);
	mf_state_unref(state);
	close_fake();
}

static void memory_cannot_be_made_durable(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	struct mf_state *state = small_state_new(100);
	assert_int_equal(walk("doc", &state, insert("a", "key"), MF_COMMIT_ASYNC_DURABLE, NULL), MF_ERR_INVALID);
	assert_int_equal(walk("doc", &state, insert("a", "key"), MF_COMMIT_SYNC_DURABLE, NULL), MF_ERR_INVALID);
	assert_int_equal(walk("doc", &state, insert("a", "key"), (enum mf_commit_kind)9, NULL), MF_ERR_INVALID);
	assert_int_equal(subject.dones, 0);
	assert_int_equal(walk("doc", &state, insert("a", "key"), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK); /* its key was given back */
	mf_state_unref(state);
	close_fake();
}

static int no_random(void *user, void *bytes, size_t len)
{
	(void)user, (void)bytes, (void)len;
	return -5;
}

static void wrong_options_are_refused(void **unused)
{
	(void)unused;
	struct fake_store *durable = fake_store_new(true), *memory = fake_store_new(false);
	struct mf_snapshot_subscriber *subscriber = NULL;
	struct mf_persist_options good, bad;
	mf_persist_options_init(&good);
	assert_int_equal(mf_snapshot_subscriber_new(&memory->base, &good, small_registry, &subscriber, NULL), MF_ERR_INVALID);
	bad = good, bad.commit_mode.kind = MF_COMMIT_MEMORY_ONLY;
	assert_int_equal(mf_snapshot_subscriber_new(&durable->base, &bad, small_registry, &subscriber, NULL), MF_ERR_INVALID);
	bad = good, bad.commit_mode.kind = (enum mf_commit_kind)7;
	assert_int_equal(mf_snapshot_subscriber_new(&durable->base, &bad, small_registry, &subscriber, NULL), MF_ERR_INVALID);
	bad = good, bad.commit_mode.group_window_ms = 60001;
	assert_int_equal(mf_snapshot_subscriber_new(&durable->base, &bad, small_registry, &subscriber, NULL), MF_ERR_INVALID);
	bad = good, bad.compression_level = 20;
	assert_int_equal(mf_snapshot_subscriber_new(&durable->base, &bad, small_registry, &subscriber, NULL), MF_ERR_INVALID);
	bad = good, bad.compression_level = 0;
	assert_int_equal(mf_snapshot_subscriber_new(&durable->base, &bad, small_registry, &subscriber, NULL), MF_ERR_INVALID);
	bad = good, bad.strategy = (enum mf_strategy)9;
	assert_int_equal(mf_snapshot_subscriber_new(&durable->base, &bad, small_registry, &subscriber, NULL), MF_ERR_INVALID);
	bad = good, bad.size = 1;
	assert_int_equal(mf_snapshot_subscriber_new(&durable->base, &bad, small_registry, &subscriber, NULL), MF_ERR_INVALID);
	bad = good, bad.size = sizeof(bad) + 1;
	assert_int_equal(mf_snapshot_subscriber_new(&durable->base, &bad, small_registry, &subscriber, NULL), MF_ERR_INVALID);
	struct mf_env blind = *mf_env_os();
	blind.random = no_random;
	bad = good, bad.env = &blind;
	assert_int_equal(mf_snapshot_subscriber_new(&durable->base, &bad, small_registry, &subscriber, NULL), MF_ERR_IO);
	assert_null(subscriber);
	struct fake_store *usual = fake_store_new(true); /* with the defaults, and with a page size that is left to the library */
	assert_int_equal(mf_snapshot_subscriber_new(&usual->base, NULL, small_registry, &subscriber, NULL), MF_OK);
	const struct mf_committer *committer = mf_snapshot_subscriber_committer(subscriber);
	struct mf_state *state = NULL;
	assert_int_equal(committer->recover(committer->user, "doc", -1, &state, NULL, NULL), MF_ERR_INVALID);
	assert_null(state);
	assert_int_equal(mf_snapshot_subscriber_close(subscriber, MF_WAIT_FOREVER, NULL), MF_OK);
	usual = fake_store_new(true);
	bad = good, bad.recovery_batch = 0;
	assert_int_equal(mf_snapshot_subscriber_new(&usual->base, &bad, small_registry, &subscriber, NULL), MF_OK);
	assert_int_equal(mf_snapshot_subscriber_close(subscriber, MF_WAIT_FOREVER, NULL), MF_OK);
	fake_store_free(durable); /* the store is still the caller's */
	fake_store_free(memory);
}

static void options_at_their_limits_are_taken(void **unused)
{
	(void)unused;
	const struct {
		int level;
		uint32_t window_ms;
	} limits[] = {{1, 0}, {19, 60000}};
	for (size_t i = 0; i < 2; i++) {
		struct fake_store *store = fake_store_new(true);
		struct mf_snapshot_subscriber *subscriber;
		struct mf_persist_options chosen;
		mf_persist_options_init(&chosen);
		chosen.compression_level = limits[i].level;
		chosen.commit_mode.group_window_ms = limits[i].window_ms;
		assert_int_equal(mf_snapshot_subscriber_new(&store->base, &chosen, small_registry, &subscriber, NULL), MF_OK);
		assert_int_equal(mf_snapshot_subscriber_close(subscriber, MF_WAIT_FOREVER, NULL), MF_OK);
	}
}

static void wrong_document_ids_are_refused(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	struct mf_transaction *transaction = insert("a", NULL);
	struct mf_key_answer answer;
	const struct mf_committer *committer = subject.committer;
	char long_id[MF_ID_MAX + 2];
	memset(long_id, 'x', sizeof(long_id));
	long_id[MF_ID_MAX + 1] = '\0';
	assert_int_equal(committer->reserve(committer->user, "", transaction, &answer, NULL), MF_ERR_INVALID);
	assert_int_equal(committer->reserve(committer->user, long_id, transaction, &answer, NULL), MF_ERR_INVALID);
	assert_int_equal(committer->reserve(committer->user, "\xc3", transaction, &answer, NULL), MF_ERR_INVALID);
	mf_transaction_free(transaction);
	close_fake();
}

/* ---- failures ---- */

static void a_failed_group_gives_its_keys_back_and_outdates_what_was_built_on_it(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_SYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	struct mf_transaction *first = insert("a", "k1"), *second = insert("b", "k2"), *third = insert("c", "k3");
	enum mf_status told[2] = {MF_OK, MF_OK};
	struct mf_ticket *tickets[3];
	FAKE_SET(subject.fake, hold_appends = true);
	struct mf_proposal one = propose("doc", state, first, reserve("doc", first).reservation, &told[0]);
	assert_int_equal(commit(&one, 1, MF_COMMIT_MEMORY_ONLY, &tickets[0], NULL), MF_OK);
	struct mf_proposal two = propose("doc", one.new_state, second, reserve("doc", second).reservation, &told[1]);
	assert_int_equal(commit(&two, 1, MF_COMMIT_MEMORY_ONLY, &tickets[1], NULL), MF_OK);
	struct mf_proposal three = propose("doc", two.new_state, third, reserve("doc", third).reservation, NULL);
	FAKE_SET(subject.fake, append_error = MF_ERR_STORAGE_FULL);
	FAKE_SET(subject.fake, append_errors_left = 1);
	FAKE_SET(subject.fake, hold_appends = false);
	assert_int_equal(wait_for(tickets[1], MF_LEVEL_COMMITTED, NULL), MF_ERR_STORAGE_FULL);
	assert_int_equal(wait_for(tickets[0], MF_LEVEL_COMMITTED, NULL), MF_ERR_STORAGE_FULL);
	assert_int_equal(told[0], MF_ERR_STORAGE_FULL);
	assert_int_equal(told[1], MF_ERR_STORAGE_FULL);
	assert_int_equal(mf_state_lsn(one.new_state), -1);
	assert_int_equal(commit(&three, 1, MF_COMMIT_MEMORY_ONLY, &tickets[2], NULL), MF_ERR_BUSY);
	mf_state_unref(one.new_state);
	mf_state_unref(two.new_state);
	mf_state_unref(three.new_state);
	/* From the committed state, with the same keys. */
	assert_int_equal(walk("doc", &state, first, MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_int_equal(walk("doc", &state, third, MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_recovers("doc", state);
	mf_transaction_free(second);
	mf_state_unref(state);
	close_fake();
}

static void p08_after_an_unknown_outcome_nothing_is_accepted(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_SYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	FAKE_SET(subject.fake, sync_error = MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(walk("doc", &state, insert("a", "k1"), MF_COMMIT_MEMORY_ONLY, NULL), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(walk("doc", &state, insert("b", "k2"), MF_COMMIT_MEMORY_ONLY, NULL), MF_ERR_IO);
	struct mf_error error = {0};
	struct mf_key_answer answer;
	struct mf_transaction *again = insert("a", "k1");
	/* It is in the store, and may be lost yet: a duplicate would say that it is done. */
	assert_int_equal(subject.committer->reserve(subject.committer->user, "doc", again, &answer, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_non_null(strstr(error.message, "LSN 1"));
	mf_transaction_free(again);
	assert_int_equal(mf_snapshot_subscriber_close(subject.subscriber, MF_WAIT_FOREVER, &error), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(error.status, MF_ERR_UNKNOWN_OUTCOME);
	mf_state_unref(state);
}

static void f07_close_says_when_it_could_not_drain(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_SYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	struct mf_transaction *transaction = insert("a", "k1");
	struct mf_ticket *ticket;
	FAKE_SET(subject.fake, hold_syncs = true);
	struct mf_proposal proposal = propose("doc", state, transaction, reserve("doc", transaction).reservation, NULL);
	assert_int_equal(commit(&proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL), MF_OK);
	FAKE_WAIT(subject.fake, subject.fake->in_sync == 1);
	assert_int_equal(mf_snapshot_subscriber_close(subject.subscriber, 1, NULL), MF_ERR_TIMEOUT);
	FAKE_SET(subject.fake, hold_syncs = false);
	assert_int_equal(wait_for(ticket, MF_LEVEL_SYNCED, NULL), MF_OK); /* nothing was closed */
	mf_state_unref(proposal.new_state);
	mf_state_unref(state);
	mf_transaction_free(transaction);
	close_fake();
}

static void f07_close_stores_what_nobody_waited_for(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_ASYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	struct mf_ticket *last = NULL;
	for (int i = 0; i < 50; i++) {
		char id[16];
		snprintf(id, sizeof(id), "n%d", i);
		struct mf_transaction *transaction = insert(id, NULL);
		struct mf_proposal proposal = propose("doc", state, transaction, reserve("doc", transaction).reservation, NULL);
		mf_ticket_unref(last);
		assert_int_equal(commit(&proposal, 1, MF_COMMIT_MEMORY_ONLY, &last, NULL), MF_OK);
		mf_state_unref(state);
		state = proposal.new_state;
		mf_transaction_free(transaction);
	}
	close_fake();
	assert_int_equal(subject.dones, 50);
	int64_t lsn;
	assert_int_equal(wait_for(last, MF_LEVEL_SYNCED, &lsn), MF_OK); /* also after the subscriber is gone */
	assert_int_equal(lsn, 50);
	mf_state_unref(state);
}

/* ---- snapshots ---- */

static void a_due_snapshot_is_taken_beside_the_commits(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = 3;
	open_on(fake_store_new(true));
	struct mf_state *state = small_state_new(100);
	FAKE_SET(subject.fake, hold_snapshots = true);
	for (int i = 0; i < 10; i++) {
		char id[16];
		snprintf(id, sizeof(id), "n%d", i);
		assert_int_equal(walk("doc", &state, insert(id, NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK); /* also while a snapshot hangs */
	}
	FAKE_WAIT(subject.fake, subject.fake->in_snapshot == 1);
	FAKE_SET(subject.fake, hold_snapshots = false);
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) == 1);
	assert_int_equal(subject.last_snapshot, 3);
	assert_recovers("doc", state);
	mf_state_unref(state);
	close_fake();
}

static void a_failed_snapshot_is_told_and_harms_nothing(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = 2;
	open_on(fake_store_new(true));
	struct mf_state *state = small_state_new(100);
	FAKE_SET(subject.fake, snapshot_error = MF_ERR_STORAGE_FULL);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_int_equal(walk("doc", &state, insert("b", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	FAKE_WAIT(subject.fake, atomic_load(&subject.failed_snapshots) == 1);
	FAKE_SET(subject.fake, snapshot_error = MF_OK);
	assert_int_equal(walk("doc", &state, insert("c", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_int_equal(walk("doc", &state, insert("d", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) == 1);
	assert_recovers("doc", state);
	mf_state_unref(state);
	close_fake();
}

/* A store with a document of so many events, as another process left it. */
static struct fake_store *store_with_events(int count)
{
	struct fake_store *fake = fake_store_new(true);
	for (int i = 0; i < count; i++) {
		char id[16];
		struct mf_event event;
		void *memory;
		int64_t lsn;
		snprintf(id, sizeof(id), "n%d", i);
		struct mf_transaction *transaction = insert(id, id);
		assert_int_equal(mf_event_encode("doc", transaction, &options, &event, &memory, NULL), MF_OK);
		assert_int_equal(mf_store_append(&fake->base, &event, &lsn, NULL), MF_OK);
		mf_free(memory);
		mf_transaction_free(transaction);
	}
	return fake;
}

static void a_long_recovery_is_followed_by_a_snapshot(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = 10;
	open_on(store_with_events(12));
	struct mf_state *state;
	struct mf_recovery_report report;
	assert_int_equal(subject.committer->recover(subject.committer->user, "doc", 5, &state, NULL, NULL), MF_OK); /* one of the past */
	mf_state_unref(state);
	assert_int_equal(subject.committer->recover(subject.committer->user, "doc", INT64_MAX, &state, &report, NULL), MF_OK);
	assert_int_equal(report.events_replayed, 12);
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) == 1);
	assert_int_equal(atomic_load(&subject.last_snapshot), 12);
	mf_state_unref(state);
	assert_int_equal(subject.committer->recover(subject.committer->user, "doc", INT64_MAX, &state, &report, NULL), MF_OK);
	assert_int_equal(report.snapshot_lsn, 12);
	mf_state_unref(state);
	close_fake();
}

static void snapshots_that_cannot_wait_for_their_turn_are_due_again_at_the_next_event(void **unused)
{
	(void)unused;
	enum { DOCUMENTS = 1 + 64 + 3 }; /* one at work, as many as can wait, and three more */
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = 1;
	open_on(fake_store_new(true));
	FAKE_SET(subject.fake, hold_snapshots = true);
	char name[16];
	struct mf_state *state = NULL;
	for (int i = 0; i < DOCUMENTS; i++) {
		mf_state_unref(state);
		state = small_state_new(10);
		snprintf(name, sizeof(name), "d%d", i);
		assert_int_equal(walk(name, &state, insert("a", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
		if (i == 0)
			FAKE_WAIT(subject.fake, subject.fake->in_snapshot == 1);
	}
	FAKE_SET(subject.fake, hold_snapshots = false);
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) == 65);
	assert_int_equal(walk(name, &state, insert("b", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) == 66);
	assert_int_equal(atomic_load(&subject.last_snapshot), mf_state_lsn(state));
	assert_int_equal(atomic_load(&subject.failed_snapshots), 0); /* they were only late */
	mf_state_unref(state);
	close_fake();
}

static int64_t newest_base(void)
{
	struct mf_snapshot snapshot;
	assert_int_equal(mf_store_latest_snapshot(&subject.fake->base, "doc", INT64_MAX, &snapshot, NULL), MF_OK);
	int64_t base_lsn = snapshot.base_lsn;
	mf_snapshot_deinit(&snapshot);
	return base_lsn;
}

static void done_and_let_go(void *user, const struct mf_commit_result *result)
{
	done(user, result);
	subject.committer->forget(subject.committer->user, "doc");
}

static void nothing_is_kept_of_a_document_that_was_let_go_as_its_snapshot_became_due(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = 1;
	options.keep_snapshots = 10;
	open_on(fake_store_new(true));
	struct mf_state *state = small_state_new(10);
	struct mf_transaction *many = small_transaction_new();
	for (int i = 0; i < 200; i++) {
		char id[16];
		snprintf(id, sizeof(id), "n%d", i);
		ADD_INSERT(many, "root", 0, id);
	}
	struct mf_ticket *ticket;
	struct mf_key_answer answer = reserve("doc", many);
	struct mf_proposal proposal = propose("doc", state, many, answer.reservation, NULL);
	proposal.done = done_and_let_go;
	assert_int_equal(commit(&proposal, 1, MF_COMMIT_SYNC_DURABLE, &ticket, NULL), MF_OK);
	assert_int_equal(wait_for(ticket, MF_LEVEL_COMMITTED, NULL), MF_OK);
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) == 1);
	assert_int_equal(walk("doc", &proposal.new_state, insert("x", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) == 2);
	assert_int_equal(newest_base(), 0); /* as the first after it was let go is */
	assert_int_equal(walk("doc", &proposal.new_state, insert("y", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) == 3);
	assert_int_equal(newest_base(), 2); /* the next one need not be */
	mf_transaction_free(many);
	mf_state_unref(proposal.new_state);
	mf_state_unref(state);
	close_fake();
}

static void a_document_that_was_let_go_gets_a_whole_snapshot(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	options.keep_snapshots = 10;
	open_on(store_with_events(60));
	const struct mf_committer *committer = subject.committer;
	struct mf_snapshot snapshot;
	struct mf_state *state;
	int64_t upto;
	assert_int_equal(committer->recover(committer->user, "doc", INT64_MAX, &state, NULL, NULL), MF_OK);
	for (int i = 0; i < 3; i++) {
		char id[16];
		snprintf(id, sizeof(id), "m%d", i);
		assert_int_equal(committer->snapshot(committer->user, "doc", state, &upto, NULL), MF_OK);
		assert_int_equal(mf_store_latest_snapshot(&subject.fake->base, "doc", INT64_MAX, &snapshot, NULL), MF_OK);
		assert_int_equal(snapshot.base_lsn, i == 1 ? 60 : 0);
		mf_snapshot_deinit(&snapshot);
		if (i == 1)
			committer->forget(committer->user, "doc");
		assert_int_equal(walk("doc", &state, insert(id, NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	}
	assert_int_equal(committer->snapshot(committer->user, "doc", state, &upto, NULL), MF_OK);
	assert_int_equal(committer->snapshot(committer->user, "doc", state, &upto, NULL), MF_OK); /* the same state again */
	assert_int_equal(mf_store_latest_snapshot(&subject.fake->base, "doc", INT64_MAX, &snapshot, NULL), MF_OK);
	assert_int_equal(snapshot.base_lsn, 0);
	mf_snapshot_deinit(&snapshot);
	assert_recovers("doc", state);
	mf_state_unref(state);
	close_fake();
}

static void snapshots_and_compaction_by_hand(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	const struct mf_committer *committer = subject.committer;
	struct mf_state *state = small_state_new(100);
	int64_t upto = -1;
	assert_int_equal(committer->snapshot(committer->user, "doc", state, &upto, NULL), MF_ERR_STATE);
	for (int i = 0; i < 3; i++) {
		char id[16];
		snprintf(id, sizeof(id), "n%d", i);
		assert_int_equal(walk("doc", &state, insert(id, NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
		assert_int_equal(committer->snapshot(committer->user, "doc", state, &upto, NULL), MF_OK);
		assert_int_equal(upto, i + 1);
	}
	assert_int_equal(subject.snapshots, 3);
	assert_int_equal(committer->snapshot(committer->user, "doc", state, &upto, NULL), MF_OK); /* again: the same */
	assert_int_equal(committer->compact(committer->user, "doc", &upto, NULL), MF_OK);
	assert_int_equal(upto, 2);
	assert_recovers("doc", state);
	assert_int_equal(committer->preflight(committer->user, NULL), MF_OK);
	assert_ptr_equal(committer->store(committer->user), &subject.fake->base);
	FAKE_SET(subject.fake, snapshot_error = MF_ERR_IO);
	assert_int_equal(committer->snapshot(committer->user, "doc", state, &upto, NULL), MF_ERR_IO);
	assert_int_equal(subject.failed_snapshots, 1);
	mf_state_unref(state);
	close_fake();
}

static void the_recovery_target_measures_replays(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	options.snapshot_every_n_events = options.snapshot_every_bytes = options.snapshot_every_ms = 0;
	options.recovery_target_ms = 1;
	open_on(fake_store_new(true));
	struct mf_state *state = small_state_new(100);
	/* Every replay costs at least a microsecond, so a millisecond is over after 1000 at the latest. */
	for (int i = 0; i < 1002; i++) {
		char id[16];
		snprintf(id, sizeof(id), "n%d", i);
		assert_int_equal(walk("doc", &state, insert(id, NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	}
	FAKE_WAIT(subject.fake, atomic_load(&subject.snapshots) >= 1);
	mf_state_unref(state);
	close_fake();
}

/* ---- metrics and log ---- */

static struct mf_metrics metrics_now(void)
{
	struct mf_metrics metrics = {.size = sizeof(metrics)};
	assert_int_equal(subject.committer->metrics(subject.committer->user, &metrics, NULL), MF_OK);
	return metrics;
}

static void only_snapshots_that_failed_are_counted_as_such(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_SYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	int64_t upto;
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_int_equal(subject.committer->snapshot(subject.committer->user, "doc", state, &upto, NULL), MF_OK);
	assert_int_equal(metrics_now().snapshot_failures, 0);
	assert_int_equal(walk("doc", &state, insert("b", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	FAKE_SET(subject.fake, snapshot_error = MF_ERR_IO);
	assert_int_equal(subject.committer->snapshot(subject.committer->user, "doc", state, &upto, NULL), MF_ERR_IO);
	assert_int_equal(metrics_now().snapshot_failures, 1);
	mf_state_unref(state);
	close_fake();
}

static void what_was_committed_is_measured(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_SYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	assert_int_equal(walk("doc", &state, insert("a", "key"), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	assert_int_equal(walk("doc", &state, insert("b", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	struct mf_transaction *again = insert("a", "key");
	assert_int_equal(reserve("doc", again).found, MF_KEY_STORED);
	mf_transaction_free(again);
	int64_t upto;
	assert_int_equal(subject.committer->snapshot(subject.committer->user, "doc", state, &upto, NULL), MF_OK);
	assert_recovers("doc", state);
	struct mf_metrics metrics = metrics_now();
	assert_int_equal(metrics.source, MF_METRICS_LIVE);
	assert_true(metrics.opened_us > 0 && metrics.taken_us >= metrics.opened_us);
	assert_int_equal(metrics.total_events, 2);
	assert_int_equal(metrics.total_snapshots, 1);
	assert_int_equal(metrics.events_measured, 2);
	assert_int_equal(metrics.commit_us.count, 2);
	assert_int_equal(metrics.sync_us.count, 2);
	assert_int_equal(metrics.group_events.count, 2);
	assert_int_equal(metrics.group_events.sum, 2);
	assert_int_equal(metrics.queue_events_max, 1);
	assert_int_equal(metrics.queue_events, 0);
	assert_int_equal(metrics.unsynced_lsns, 0);
	assert_int_equal(metrics.duplicates, 1);
	assert_int_equal(metrics.snapshot_us.count, 1);
	assert_int_equal(metrics.recovery_us.count, 1);
	assert_true(metrics.snapshot_bytes > 0 && metrics.snapshot_raw_bytes >= metrics.snapshot_bytes);
	assert_true(metrics.event_raw_bytes == metrics.event_bytes && metrics.avg_event_size == metrics.event_bytes / 2);
	assert_true(metrics.compression_ratio > 0 && metrics.compression_ratio <= 1);
	mf_state_unref(state);
	close_fake();
}

static void what_was_not_committed_is_counted_by_status(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_SYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	FAKE_SET(subject.fake, append_error = MF_ERR_STORAGE_FULL);
	FAKE_SET(subject.fake, append_errors_left = 1);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_ERR_STORAGE_FULL);
	struct mf_transaction *transaction = insert("a", NULL);
	struct mf_key_answer answer;
	assert_int_equal(subject.committer->reserve(subject.committer->user, "", transaction, &answer, NULL), MF_ERR_INVALID);
	mf_transaction_free(transaction);
	struct mf_metrics metrics = metrics_now();
	assert_int_equal(metrics.errors[MF_ERR_STORAGE_FULL], 1);
	assert_int_equal(metrics.errors[MF_ERR_INVALID], 1);
	assert_int_equal(metrics.errors[MF_OK], 0);
	assert_int_equal(metrics.commit_us.count, 0);
	assert_int_equal(metrics.events_measured, 0);
	mf_state_unref(state);
	close_fake();
}

static void what_waits_and_what_is_not_synced_is_seen(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_ASYNC_DURABLE);
	struct mf_state *state = small_state_new(100);
	FAKE_SET(subject.fake, hold_syncs = true);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_MEMORY_ONLY, NULL), MF_OK);
	FAKE_WAIT(subject.fake, subject.fake->in_sync == 1);
	assert_int_equal(metrics_now().unsynced_lsns, 1);
	FAKE_SET(subject.fake, hold_appends = true);
	struct mf_transaction *transaction = insert("b", NULL);
	struct mf_key_answer answer = reserve("doc", transaction);
	struct mf_proposal proposal = propose("doc", state, transaction, answer.reservation, NULL);
	struct mf_ticket *ticket;
	assert_int_equal(commit(&proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL), MF_OK);
	assert_int_equal(metrics_now().queue_events, 1); /* nobody leads: the one thread is in the sync */
	FAKE_SET(subject.fake, hold_appends = subject.fake->hold_syncs = false);
	assert_int_equal(wait_for(ticket, MF_LEVEL_SYNCED, NULL), MF_OK);
	assert_int_equal(metrics_now().queue_events, 0);
	assert_int_equal(metrics_now().unsynced_lsns, 0);
	mf_transaction_free(transaction);
	mf_state_unref(proposal.new_state);
	mf_state_unref(state);
	close_fake();
}

static void switched_off_nothing_is_measured(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	options.metrics = false;
	open_on(fake_store_new(true));
	struct mf_state *state = small_state_new(100);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	struct mf_metrics metrics = metrics_now();
	assert_int_equal(metrics.total_events, 1);
	assert_int_equal(metrics.commit_us.count, 0);
	assert_int_equal(metrics.sync_us.count, 0);
	mf_state_unref(state);
	close_fake();
}

struct heard {
	pthread_mutex_t mutex;
	int infos, warnings, errors;
	char last[600];
};

static void hear(void *user, enum mf_log_level level, const char *message)
{
	struct heard *heard = user;
	pthread_mutex_lock(&heard->mutex);
	heard->infos += level == MF_LOG_INFO;
	heard->warnings += level == MF_LOG_WARNING;
	heard->errors += level == MF_LOG_ERROR;
	if (level <= MF_LOG_WARNING)
		snprintf(heard->last, sizeof(heard->last), "%s", message);
	pthread_mutex_unlock(&heard->mutex);
}

static void what_fails_in_the_background_is_told_to_the_logger(void **unused)
{
	(void)unused;
	struct heard heard = {.mutex = PTHREAD_MUTEX_INITIALIZER};
	mf_persist_options_init(&options);
	options.logger = (struct mf_logger){hear, &heard};
	options.snapshot_every_n_events = 1;
	open_on(fake_store_new(true));
	struct mf_state *state = small_state_new(100);
	FAKE_SET(subject.fake, snapshot_error = MF_ERR_STORAGE_FULL);
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	FAKE_WAIT(subject.fake, atomic_load(&subject.failed_snapshots) == 1);
	assert_int_equal(heard.warnings, 1);
	assert_int_equal(strncmp(heard.last, "a snapshot in the background failed", 35), 0);
	assert_int_equal(metrics_now().snapshot_failures, 1);
	FAKE_SET(subject.fake, sync_error = MF_ERR_IO);
	assert_int_equal(walk("doc", &state, insert("b", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_ERR_UNKNOWN_OUTCOME);
	assert_int_equal(heard.errors, 1);
	assert_int_equal(strncmp(heard.last, "writes have stopped until the store is reopened: ", 49), 0);
	assert_int_equal(metrics_now().errors[MF_ERR_UNKNOWN_OUTCOME], 1);
	mf_state_unref(state);
	(void)mf_snapshot_subscriber_close(subject.subscriber, MF_WAIT_FOREVER, NULL);
	pthread_mutex_destroy(&subject.mutex);
}

static _Atomic int64_t clock_us, clock_step_us;

static int64_t stepping_clock(void *user)
{
	(void)user;
	return atomic_fetch_add(&clock_us, atomic_load(&clock_step_us)) + atomic_load(&clock_step_us);
}

static void a_sync_that_is_slower_than_the_window_is_told_once_a_minute(void **unused)
{
	(void)unused;
	struct heard heard = {.mutex = PTHREAD_MUTEX_INITIALIZER};
	struct mf_env env = *mf_env_os();
	env.monotonic_us = stepping_clock;
	clock_step_us = 0;
	mf_persist_options_init(&options);
	options.commit_mode = (struct mf_commit_mode){.kind = MF_COMMIT_SYNC_DURABLE, .group_window_ms = 10};
	options.logger = (struct mf_logger){hear, &heard};
	options.env = &env;
	open_on(fake_store_new(true));
	struct mf_state *state = small_state_new(100);
	assert_int_equal(walk("doc", &state, insert("quick", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	assert_int_equal(heard.infos + heard.warnings, 0);
	clock_step_us = 11000; /* all that reads the clock twice took 11 ms */
	assert_int_equal(walk("doc", &state, insert("a", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	assert_int_equal(heard.infos, 1);
	assert_int_equal(walk("doc", &state, insert("b", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	assert_int_equal(heard.infos, 1);
	clock_us += 60000000;
	clock_step_us = 1100000; /* a second and more is worth a look */
	assert_int_equal(walk("doc", &state, insert("c", NULL), MF_COMMIT_SYNC_DURABLE, NULL), MF_OK);
	assert_int_equal(heard.warnings, 1);
	assert_non_null(strstr(heard.last, "a sync took 1100 ms, longer than the group window of 10 ms"));
	clock_step_us = 0;
	mf_state_unref(state);
	close_fake();
}

/* ---- memory ---- */

static void every_failed_allocation_makes_no_subscriber(void **unused)
{
	(void)unused;
	mf_persist_options_init(&options);
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		struct mf_snapshot_subscriber *subscriber = NULL;
		struct fake_store *fake = fake_store_new(true);
		memory_fails_at(n);
		enum mf_status status = mf_snapshot_subscriber_new(&fake->base, &options, small_registry, &subscriber, NULL);
		failed = memory_failed(n);
		assert_int_equal(status, failed ? MF_ERR_NO_MEMORY : MF_OK);
		assert_int_equal(subscriber != NULL, status == MF_OK);
		if (subscriber)
			assert_int_equal(mf_snapshot_subscriber_close(subscriber, MF_WAIT_FOREVER, NULL), MF_OK);
		else
			fake_store_free(fake); /* it is still ours */
		assert_true(failed || n > 5);
	}
}

static void every_failed_allocation_of_a_commit_leaves_nothing_half_done(void **unused)
{
	(void)unused;
	open_fake(MF_COMMIT_MEMORY_ONLY);
	struct mf_state *state = small_state_new(100);
	const struct mf_committer *committer = subject.committer;
	int64_t lsn = 0;
	for (uint64_t n = 1; lsn == 0; n++) {
		struct mf_transaction *transaction = insert("a", "key");
		struct mf_key_answer answer = {0};
		struct mf_ticket *ticket = NULL;
		mf_mem_fail_at(n, false);
		enum mf_status status = committer->reserve(committer->user, "doc", transaction, &answer, NULL);
		mf_mem_fail_at(0, false);
		if (status == MF_OK) {
			assert_int_equal(answer.found, MF_KEY_NEW); /* nobody holds it since the last try */
			struct mf_proposal proposal = propose("doc", state, transaction, answer.reservation, NULL);
			mf_mem_fail_at(n, false);
			status = commit(&proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL);
			if (status == MF_OK)
				status = wait_for(ticket, MF_LEVEL_COMMITTED, &lsn);
			mf_mem_fail_at(0, false);
			if (status == MF_OK)
				assert_int_equal(mf_state_lsn(proposal.new_state), 1);
			mf_state_unref(proposal.new_state);
		}
		if (status != MF_OK)
			assert_int_equal(status, MF_ERR_NO_MEMORY);
		mf_transaction_free(transaction);
	}
	assert_int_equal(lsn, 1);
	mf_state_unref(state);
	close_fake();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(f04_a_commit_is_stored_before_it_is_told),
		cmocka_unit_test(f04_what_is_stored_and_not_yet_synced_is_not_recovered),
		cmocka_unit_test(the_new_state_has_its_lsn_when_done_is_called),
		cmocka_unit_test(f17_a_step_that_does_not_serialise_refuses_its_transaction_and_harms_no_other),
		cmocka_unit_test(f20_events_are_stored_under_the_document_that_the_caller_named),
		cmocka_unit_test(f22_a_commit_reads_no_snapshot),
		cmocka_unit_test(undo_is_reserved_before_its_steps_are_known),
		cmocka_unit_test(f11_a_batch_is_one_atomic_append_with_one_ticket),
		cmocka_unit_test(f05_eight_threads_are_told_in_lsn_order),
		cmocka_unit_test(f06_snapshots_taken_while_eight_threads_write_hold_exactly_their_lsn),
		cmocka_unit_test(a_stored_key_is_found_with_lsn_and_content),
		cmocka_unit_test(a_pending_key_is_waited_for_and_then_stored),
		cmocka_unit_test(a_released_key_is_free_again),
		cmocka_unit_test(one_of_many_threads_gets_a_key),
		cmocka_unit_test(f01_made_keys_and_ids_never_repeat),
		cmocka_unit_test(a_mode_can_be_raised_for_one_transaction),
		cmocka_unit_test(memory_cannot_be_made_durable),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(options_at_their_limits_are_taken),
		cmocka_unit_test(wrong_document_ids_are_refused),
		cmocka_unit_test(a_failed_group_gives_its_keys_back_and_outdates_what_was_built_on_it),
		cmocka_unit_test(p08_after_an_unknown_outcome_nothing_is_accepted),
		cmocka_unit_test(f07_close_says_when_it_could_not_drain),
		cmocka_unit_test(f07_close_stores_what_nobody_waited_for),
		cmocka_unit_test(a_due_snapshot_is_taken_beside_the_commits),
		cmocka_unit_test(a_failed_snapshot_is_told_and_harms_nothing),
		cmocka_unit_test(a_long_recovery_is_followed_by_a_snapshot),
		cmocka_unit_test(snapshots_that_cannot_wait_for_their_turn_are_due_again_at_the_next_event),
		cmocka_unit_test(nothing_is_kept_of_a_document_that_was_let_go_as_its_snapshot_became_due),
		cmocka_unit_test(a_document_that_was_let_go_gets_a_whole_snapshot),
		cmocka_unit_test(snapshots_and_compaction_by_hand),
		cmocka_unit_test(the_recovery_target_measures_replays),
		cmocka_unit_test(only_snapshots_that_failed_are_counted_as_such),
		cmocka_unit_test(what_was_committed_is_measured),
		cmocka_unit_test(what_was_not_committed_is_counted_by_status),
		cmocka_unit_test(what_waits_and_what_is_not_synced_is_seen),
		cmocka_unit_test(switched_off_nothing_is_measured),
		cmocka_unit_test(what_fails_in_the_background_is_told_to_the_logger),
		cmocka_unit_test(a_sync_that_is_slower_than_the_window_is_told_once_a_minute),
		cmocka_unit_test(every_failed_allocation_makes_no_subscriber),
		cmocka_unit_test(every_failed_allocation_of_a_commit_leaves_nothing_half_done),
	};
	return cmocka_run_group_tests(tests, small_make_registry, small_free_registry);
}
