/* subscriber_kit.h - a snapshot subscriber over a fake store, and a proposer. One at a time. */
#pragma once

#include "fake_store.h"
#include "small_steps.h"

extern struct mf_persist_options options;

/* A committer and what it told. */
struct subject {
	struct fake_store *fake;
	struct mf_snapshot_subscriber *subscriber;
	const struct mf_committer *committer;
	pthread_mutex_t mutex;
	int dones, failures; /* told */
	int64_t last_lsn;
	atomic_int snapshots, failed_snapshots;
	atomic_int_least64_t last_snapshot;
	struct mf_error snapshot_error; /* the last one; written by who takes it */
	bool in_order;
};
extern struct subject subject;

void open_on(struct fake_store *fake); /* with options as they are */
void open_fake(enum mf_commit_kind kind);
void close_fake(void);

struct mf_transaction *insert(const char *id, const char *key);
struct mf_key_answer reserve(const char *doc_id, struct mf_transaction *transaction);
/* A proposal for a transaction on state; the new state is the caller's. told: gets the outcome; may be NULL. */
struct mf_proposal propose(const char *doc_id, struct mf_state *state, struct mf_transaction *transaction, struct mf_reservation *reservation, enum mf_status *told);
void done(void *user, const struct mf_commit_result *result); /* of a proposal; user is told */
enum mf_status commit(struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error);
/* Reserve, apply, commit, wait; *state becomes the new one on success. Takes the transaction. */
enum mf_status walk(const char *doc_id, struct mf_state **state, struct mf_transaction *transaction, enum mf_commit_kind mode, int64_t *out_lsn);
void assert_recovers(const char *doc_id, const struct mf_state *expected);
