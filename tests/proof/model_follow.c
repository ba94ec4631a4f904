/* model_follow.c - followers with durable checkpoints, on a thread and on the loop: each event once and in order while the
 * process lives, from the checkpoint on after it died, and up to the newest when there was time. */
#include <string.h>

#include "model_parts.h"

struct model_follower *model_followers(void)
{
	return the.followers[the.kind != MF_COMMIT_MEMORY_ONLY];
}

/* ---- what they are given ---- */
static void given_event(struct model_follower *follower, const struct mf_publication *publication)
{
	const struct ref_event *expected = &the.world->log.events[publication->lsn];
	int64_t next = follower->seen + 1;
	int64_t upper = the.world->upper > the.world->log.last ? the.world->upper : the.world->log.last;
	if (follower->fresh)
		CHECK(publication->lsn > follower->floor && publication->lsn <= next, "follower %s begins at LSN %lld, its checkpoint is %lld or more and it had seen %lld", follower->name,
		      (long long)publication->lsn, (long long)follower->floor, (long long)follower->seen);
	else
		CHECK(publication->lsn == next, "follower %s is given LSN %lld after %lld", follower->name, (long long)publication->lsn, (long long)follower->seen);
	CHECK(publication->lsn <= upper, "follower %s is given LSN %lld, which nobody submitted", follower->name, (long long)publication->lsn);
	CHECK(publication->transaction && publication->event && strcmp(publication->doc_id, model_doc_name(expected->doc)) == 0, "follower %s: LSN %lld is not the event that was stored", follower->name,
	      (long long)publication->lsn);
	follower->seen = publication->lsn;
	follower->fresh = false;
}

static enum mf_status handle(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	struct model_follower *follower = user;
	model_trace("\n      %s: topic %d, LSN %lld", follower->name, (int)publication->topic, (long long)publication->lsn);
	if (follower->fails > 0) {
		follower->fails--;
		return mf_error_set(error, MF_ERR_IO, "it fails, as was asked");
	}
	if (publication->topic == MF_NOTICE_GAP) {
		for (int64_t lsn = publication->from_lsn; lsn <= publication->lsn && lsn <= the.world->log.last; lsn++)
			CHECK(the.world->compaction_unknown || lsn <= the.world->compacted[the.world->log.events[lsn].doc], "follower %s is told that LSN %lld is gone, which was not compacted", follower->name,
			      (long long)lsn);
		CHECK(publication->from_lsn <= follower->seen + 1, "follower %s is told of a gap from LSN %lld on, and has seen %lld", follower->name, (long long)publication->from_lsn, (long long)follower->seen);
		if (publication->lsn > follower->seen || follower->fresh)
			follower->seen = publication->lsn;
		follower->fresh = false;
	} else if (publication->topic == MF_NOTICE_SET_BACK) {
		follower->seen = publication->lsn;
		follower->fresh = true;
	} else {
		given_event(follower, publication);
	}
	return MF_OK;
}

/* ---- the calls ---- */
void model_follow(void)
{
	unsigned index = sim_below(FOLLOWERS);
	struct model_follower *follower = &model_followers()[index];
	if (follower->id)
		return;
	struct mf_follow_options options;
	struct mf_error error = {0};
	mf_follow_options_init(&options);
	snprintf(follower->name, sizeof(follower->name), "f%u", index);
	follower->on_loop = sim_below(2);
	follower->synced_only = index == 1 && the.kind != MF_COMMIT_MEMORY_ONLY;
	follower->fails = sim_below(4) == 0;
	follower->fresh = true;
	options.name = follower->name;
	options.topics = MF_TOPICS_FOLLOW;
	options.on = follower->on_loop ? MF_FOLLOW_ON_LOOP : MF_FOLLOW_ON_THREAD;
	options.synced_only = follower->synced_only;
	options.keep_checkpoint = true;
	options.checkpoint_events = 1 + sim_below(8);
	options.checkpoint_ms = 1 + sim_below(100);
	options.queue_events = 1 + sim_below(16);
	model_trace("%s on %s%s", follower->name, follower->on_loop ? "the loop" : "a thread", follower->synced_only ? ", synced only" : "");
	if (mf_runtime_get_fd(the.runtime) < 0)
		model_fail("there is no loop");
	enum mf_status status = mf_runtime_follow(the.runtime, &options, handle, follower, &follower->id, &error);
	CHECK(status == MF_OK || model_excuses(status), "follow: %s", error.message);
	if (status != MF_OK)
		follower->id = 0;
}

void model_unfollow(void)
{
	struct model_follower *follower = &model_followers()[sim_below(FOLLOWERS)];
	struct mf_error error = {0};
	if (!follower->id)
		return;
	model_trace("%s", follower->name);
	enum mf_status status = mf_runtime_unfollow(the.runtime, follower->id, 10000, &error);
	CHECK(status == MF_OK || model_excuses(status), "unfollow: %s", error.message);
	follower->id = 0;
	if (!follower->fresh && status == MF_OK && !model_is_struck())
		follower->floor = follower->seen;
}

void model_dispatch(void)
{
	struct mf_error error = {0};
	size_t most = sim_below(3) ? 0 : 1 + sim_below(4);
	model_trace("at most %zu", most);
	enum mf_status status = mf_runtime_dispatch(the.runtime, most, &error);
	CHECK(status == MF_OK || model_excuses(status), "dispatch: %s", error.message);
}

/* After there was time for retries, windows and naps. */
void model_follow_catch_up(void)
{
	struct mf_error error = {0};
	struct mf_store_stats stats = {0};
	for (int i = 0; i < 100; i++)
		if (mf_runtime_dispatch(the.runtime, 0, &error) != MF_OK)
			model_fail("dispatch: %s", error.message);
	CHECK(mf_store_stats(mf_runtime_store(the.runtime), &stats, &error) == MF_OK, "stats: %s", error.message);
	for (unsigned i = 0; i < FOLLOWERS; i++) {
		const struct model_follower *follower = &model_followers()[i];
		int64_t wanted = the.world->log.last;
		if (follower->id && !follower->fails)
			CHECK(follower->seen == wanted, "follower %s is at LSN %lld, the store at %lld (synced %lld)", follower->name, (long long)follower->seen, (long long)wanted, (long long)stats.synced_lsn);
	}
}

/* ---- the end ---- */
void model_followers_closed(bool struck)
{
	for (unsigned i = 0; i < FOLLOWERS; i++) {
		struct model_follower *follower = &model_followers()[i];
		if (follower->id && !follower->fresh && !struck)
			follower->floor = follower->seen;
		follower->id = 0;
	}
}

void model_followers_died(void)
{
	for (unsigned i = 0; i < FOLLOWERS; i++) {
		the.followers[0][i] = (struct model_follower){0}; /* their store is gone */
		the.followers[1][i].id = 0;
	}
}
