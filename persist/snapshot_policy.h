/* snapshot_policy.h - when a document's next snapshot is due.
 *
 * The rule itself is mf_should_snapshot (moduforge/persist.h), pure and the seed's. Here are the counters it is
 * asked with, one set a document, the limits that strategy "adaptive" moves, and the replay cost that
 * recovery_target_ms is compared with.
 *
 * Invariants
 * 1. At most one attempt a document is under way; until it has ended nothing is due.
 * 2. An attempt covers what was counted when it began; what came later counts for the next one. A failed attempt
 *    covers it as well: the next try comes after another full interval, not at the next commit.
 *
 * Thread: any. */
#pragma once

#include <moduforge/persist.h>

struct mf_snapshot_policy;

/* options are borrowed and must outlive the policy. */
enum mf_status mf_snapshot_policy_new(const struct mf_persist_options *options, struct mf_snapshot_policy **out);
void mf_snapshot_policy_free(struct mf_snapshot_policy *policy); /* NULL is fine */

/* A document was recovered: what had to be replayed since its snapshot, and how long it took. Kept if it is counted already.
 * True: it was more than the limits allow, a snapshot is due, and the attempt has begun. */
struct mf_recovered {
	int64_t lsn;
	uint64_t events, bytes;
	int64_t elapsed_us;
};
bool mf_snapshot_policy_loaded(struct mf_snapshot_policy *policy, const char *doc_id, const struct mf_recovered *recovered);
/* An event was committed. True: a snapshot is due, and the attempt has begun. Without memory for a new document: false. */
bool mf_snapshot_policy_committed(struct mf_snapshot_policy *policy, const char *doc_id, int64_t lsn, uint64_t bytes);
/* An attempt of the caller's own, of the state at lsn. False: another one is under way, or there is newer work to count. */
bool mf_snapshot_policy_begin(struct mf_snapshot_policy *policy, const char *doc_id, int64_t lsn);
/* True: the document was let go meanwhile, and its counters with it. */
bool mf_snapshot_policy_end(struct mf_snapshot_policy *policy, const char *doc_id);
/* The attempt did not take place, and covers nothing: one is due again at the next event. */
void mf_snapshot_policy_withdraw(struct mf_snapshot_policy *policy, const char *doc_id);
/* The document was let go: its counters go too, once no attempt needs them. Recovering it counts anew. */
void mf_snapshot_policy_forget(struct mf_snapshot_policy *policy, const char *doc_id);

/* recovery_target_ms: is it time to measure a replay of this document again? */
bool mf_snapshot_policy_wants_cost(struct mf_snapshot_policy *policy, const char *doc_id);
void mf_snapshot_policy_cost(struct mf_snapshot_policy *policy, const char *doc_id, int64_t us); /* of replaying one event */

/* The seed's adaptive limits: more than 100 events a second: 200 events, else 1000; average event above 10,000 bytes: 10 MB, else 100 MB. */
void mf_adaptive_limits(double events_per_s, double bytes_per_event, struct mf_persist_options *limits);
