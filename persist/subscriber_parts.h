/* subscriber_parts.h - the snapshot subscriber's inside, shared by its files only:
 * snapshot_subscriber.c (life, recovery, snapshots), subscriber_commit.c (the committer's way in and out),
 * subscriber_metrics.c and subscriber_source.c (what followers read). */
#pragma once

#include "persist/commit_queue.h"
#include "persist/metrics.h"
#include "persist/pending_keys.h"
#include "persist/snapshot_policy.h"
#include "persist/snapshotter.h"

#define MF_ID_COUNTER_BITS 40 /* a transaction id is opening << 40 | counter */

typedef void mf_snapshot_listener(void *user, const char *doc_id, int64_t upto_lsn, const struct mf_error *error);

struct mf_snapshot_subscriber {
	struct mf_committer committer;
	struct mf_store *store;
	struct mf_persist_options options;
	const struct mf_env *env;
	const struct mf_step_registry *registry;
	struct mf_commit_queue *queue;
	struct mf_pending_keys *keys;
	struct mf_snapshot_policy *policy;
	struct mf_snapshotter *snapshotter;
	struct mf_recorder *recorder; /* NULL: nothing is measured */
	int64_t opened_us;
	int64_t epoch, opening;
	uint64_t random;              /* of this opening, for the keys that are made here */
	atomic_uint_fast64_t counter; /* transactions so far */
	_Atomic int64_t late_told_us; /* when it was told that the snapshots come late; 0: never */
	mf_snapshot_listener *listener;
	void *listener_user;
	struct mf_event_source source; /* subscriber_source.c */
	pthread_mutex_t follow_lock;
	const struct mf_event_listener *follow_listener; /* NULL: nobody follows */
};

/* ---- snapshot_subscriber.c ---- */
/* The policy found one due, and its attempt has begun: to the thread. If as many wait as may, it is due again at the document's next event. */
void mf_subscriber_snapshot_due(struct mf_snapshot_subscriber *subscriber, const char *doc_id, const struct mf_state *state);

/* ---- subscriber_metrics.c ---- */
enum mf_status mf_subscriber_metrics(void *user, struct mf_metrics *out, struct mf_error *error);
void mf_subscriber_save_metrics(void *user); /* beside the store, which takes them, and of a recorder; what fails is only lost */

/* ---- subscriber_source.c ---- */
void mf_subscriber_make_source(struct mf_snapshot_subscriber *subscriber);
const struct mf_event_source *mf_subscriber_source(void *user); /* of the committer; user is the subscriber */
int64_t mf_subscriber_needed_above(struct mf_snapshot_subscriber *subscriber); /* events above it are still to be read by a follower */

/* Of the committer; user is the subscriber. */
enum mf_status mf_subscriber_reserve(void *user, const char *doc_id, struct mf_transaction *transaction, struct mf_key_answer *out, struct mf_error *error);
void mf_subscriber_release(void *user, struct mf_reservation *reservation);
enum mf_status mf_subscriber_commit(void *user, struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error);
