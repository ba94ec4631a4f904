#include "subscriber_kit.h"

#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct mf_persist_options options;
struct subject subject;

void done(void *user, const struct mf_commit_result *result)
{
	enum mf_status *out = user;
	pthread_mutex_lock(&subject.mutex);
	subject.dones++;
	if (result->status == MF_OK) {
		subject.in_order = subject.in_order && result->lsn == subject.last_lsn + 1 && !result->error && result->ts_us > 0;
		subject.last_lsn = result->lsn;
	} else {
		subject.failures++;
		subject.in_order = subject.in_order && result->error;
	}
	pthread_mutex_unlock(&subject.mutex);
	if (out)
		*out = result->status;
}

static void snapshot_told(void *user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error)
{
	(void)user, (void)doc_id;
	if (error)
		subject.snapshot_error = *error;
	atomic_store(&subject.last_snapshot, upto_lsn);
	atomic_fetch_add(error ? &subject.failed_snapshots : &subject.snapshots, 1);
	FAKE_SET(subject.fake, read_error = MF_OK); /* wakes who waits for the fake */
}

void open_on(struct fake_store *fake)
{
	memset(&subject, 0, sizeof(subject));
	pthread_mutex_init(&subject.mutex, NULL);
	subject.fake = fake;
	subject.in_order = true;
	struct mf_store_stats stats;
	assert_int_equal(mf_store_stats(&fake->base, &stats, NULL), MF_OK);
	subject.last_lsn = stats.last_lsn;
	struct mf_error error = {0};
	if (mf_snapshot_subscriber_new(&fake->base, &options, small_registry, &subject.subscriber, &error) != MF_OK)
		fail_msg("%s", error.message);
	subject.committer = mf_snapshot_subscriber_committer(subject.subscriber);
	subject.committer->on_snapshot(subject.committer->user, snapshot_told, NULL);
}

void open_fake(enum mf_commit_kind kind)
{
	mf_persist_options_init(&options);
	options.commit_mode = (struct mf_commit_mode){.kind = kind, .group_window_ms = 10};
	open_on(fake_store_new(kind != MF_COMMIT_MEMORY_ONLY));
}

void close_fake(void)
{
	assert_int_equal(mf_snapshot_subscriber_close(subject.subscriber, MF_WAIT_FOREVER, NULL), MF_OK);
	assert_true(subject.in_order);
	pthread_mutex_destroy(&subject.mutex);
}

/* ---- a proposer ---- */

struct mf_transaction *insert(const char *id, const char *key)
{
	struct mf_transaction *transaction = small_transaction_new();
	ADD_INSERT(transaction, "root", 0, id);
	if (key)
		assert_int_equal(mf_transaction_set_key(transaction, key, NULL), MF_OK);
	return transaction;
}

struct mf_key_answer reserve(const char *doc_id, struct mf_transaction *transaction)
{
	struct mf_key_answer answer = {0};
	if (subject.committer->reserve(subject.committer->user, doc_id, transaction, &answer, NULL) != MF_OK)
		abort();
	return answer;
}

struct mf_proposal propose(const char *doc_id, struct mf_state *state, struct mf_transaction *transaction, struct mf_reservation *reservation, enum mf_status *told)
{
	struct mf_proposal proposal = {
		.doc_id = doc_id,
		.transaction = transaction,
		.old_state = state,
		.reservation = reservation,
		.generation = subject.committer->generation(subject.committer->user),
		.done = done,
		.done_user = told,
	};
	if (mf_state_apply(state, transaction, &proposal.new_state, NULL) != MF_OK)
		abort();
	return proposal;
}

enum mf_status commit(struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error)
{
	return subject.committer->commit(subject.committer->user, proposals, count, mode, out_ticket, error);
}

enum mf_status walk(const char *doc_id, struct mf_state **state, struct mf_transaction *transaction, enum mf_commit_kind mode, int64_t *out_lsn)
{
	struct mf_key_answer answer = reserve(doc_id, transaction);
	struct mf_ticket *ticket;
	if (answer.found != MF_KEY_NEW)
		abort();
	struct mf_proposal proposal = propose(doc_id, *state, transaction, answer.reservation, NULL);
	enum mf_status status = commit(&proposal, 1, mode, &ticket, NULL);
	if (status == MF_OK)
		status = wait_for(ticket, MF_LEVEL_COMMITTED, out_lsn);
	mf_transaction_free(transaction);
	if (status != MF_OK) {
		mf_state_unref(proposal.new_state);
		return status;
	}
	mf_state_unref(*state);
	*state = proposal.new_state;
	return MF_OK;
}

void assert_recovers(const char *doc_id, const struct mf_state *expected)
{
	struct mf_state *state;
	struct mf_recovery_report report;
	struct mf_digest digest = small_steps_digest(expected);
	assert_int_equal(subject.committer->recover(subject.committer->user, doc_id, INT64_MAX, &state, &report, NULL), MF_OK);
	small_assert_digest(state, &digest);
	assert_int_equal(mf_state_lsn(state), mf_state_lsn(expected));
	assert_int_equal(report.lsn, mf_state_lsn(expected));
	mf_state_unref(state);
}
