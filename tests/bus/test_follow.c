/* Followers on threads of their own: order, catching up and joining live, failures, gaps, checkpoints, ends. */
#include "follow_kit.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/bus_parts.h"
#include "bus/follower.h"
#include "bus/plugin_entry.h"
#include "model/mem.h"

static void unfollow(struct seen *seen)
{
	OK(mf_bus_unsubscribe(kit.bus, SEEN_GET(seen, id), &kit.error));
}

/* ---- order ---- */
static void what_is_committed_is_seen_in_order_each_once(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 100);
	SEEN_WAIT(&seen, seen.count == 100);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	struct mf_subscriber_info info = info_of(seen.id, NULL);
	assert_string_equal(mf_follower_state_name(info.state), "live");
	assert_int_equal(info.lag, 0);
	assert_int_equal(info.last_lsn, 100);
	assert_int_equal(info.delivered, 100);
	assert_int_equal(info.checkpoint_lsn, -1);
	assert_true(seen.had_transaction);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void what_was_there_before_is_read_from_the_store_then_it_is_live(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	fake_source_add_many(&kit.fake, kit.bus, 1000);
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 1000);
	SEEN_WAIT(&seen, seen.count == 2000);
	int reads = atomic_load(&kit.fake.reads);
	assert_true(reads >= 4);
	for (int i = 0; i < 100; i++) { /* one by one: from memory */
		fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
		SEEN_WAIT(&seen, seen.count == 2001 + i);
	}
	assert_int_equal(atomic_load(&kit.fake.reads), reads);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void it_begins_where_it_is_told_to(void **state)
{
	(void)state;
	struct seen now, place;
	struct mf_follow_options options = named("now");
	seen_init(&now);
	seen_init(&place);
	fake_source_add_many(&kit.fake, kit.bus, 10);
	options.from = MF_FOLLOW_FROM_NOW;
	now.last = 10;
	follow(&now, &options); /* now is when this returns, whenever its thread begins */
	options = named("place");
	options.from = MF_FOLLOW_FROM_PLACE;
	options.start_lsn = 7;
	place.last = 7;
	follow(&place, &options);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	SEEN_WAIT(&now, now.count == 5);
	SEEN_WAIT(&place, place.count == 8);
	mf_bus_free(kit.bus); /* ends those that are left */
	OK(mf_bus_new(&kit.bus));
	seen_deinit(&now);
	seen_deinit(&place);
}

static void only_the_topics_that_it_asks_for_are_seen(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	seen.gaps_allowed = true;
	options.topics = MF_TR_UNDO;
	follow(&seen, &options);
	for (int i = 0; i < 30; i++)
		fake_source_add(&kit.fake, kit.bus, (enum mf_action)(i % 3));
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	assert_int_equal(SEEN_GET(&seen, count), 10);
	assert_int_equal(info_of(seen.id, NULL).last_lsn, 30);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void events_that_are_stored_but_not_yet_visible_are_not_read(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	fake_source_add_many(&kit.fake, NULL, 5); /* under way */
	follow(&seen, &options);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	assert_int_equal(SEEN_GET(&seen, count), 5);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY); /* in order: those before it are */
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	assert_int_equal(SEEN_GET(&seen, count), 11);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void one_that_wants_synced_events_waits_for_the_sync(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.synced_only = true;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 10);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	assert_int_equal(SEEN_GET(&seen, count), 0);
	assert_int_equal(info_of(seen.id, NULL).lag, 10);
	fake_source_sync(&kit.fake, 6);
	SEEN_WAIT(&seen, seen.count == 6);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	assert_int_equal(SEEN_GET(&seen, count), 6);
	fake_source_sync(&kit.fake, 10);
	SEEN_WAIT(&seen, seen.count == 10);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void an_event_that_cannot_be_decoded_is_given_as_it_is_stored(void **state)
{
	(void)state;
	struct seen seen, raw;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	seen_init(&raw);
	kit.fake.undecodable_lsn = 1;
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.count == 1);
	assert_int_equal(seen.last_status, MF_ERR_UNKNOWN_STEP);
	assert_false(seen.had_transaction);
	assert_string_equal(seen.message, "no such step");
	options = named("raw");
	options.undecoded = true;
	follow(&raw, &options);
	SEEN_WAIT(&raw, raw.count == 1);
	assert_int_equal(raw.last_status, MF_OK);
	assert_false(raw.had_transaction);
	unfollow(&seen);
	unfollow(&raw);
	seen_deinit(&seen);
	seen_deinit(&raw);
}

static void a_follower_waits_for_the_bus_to_get_its_committer(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
	fake_source_add_many(&kit.fake, NULL, 3);
	follow(&seen, &options);
	assert_int_equal(info_of(seen.id, NULL).state, MF_FOLLOWER_WAITING);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error));
	SEEN_WAIT(&seen, seen.count == 3);
	OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
	fake_source_add_many(&kit.fake, NULL, 3);
	OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error));
	SEEN_WAIT(&seen, seen.count == 6);
	unfollow(&seen);
	seen_deinit(&seen);
}

/* ---- the slow and the failing ---- */
static void p1_a_blocked_follower_delays_no_commit_and_no_other_follower_and_misses_nothing(void **state)
{
	(void)state;
	struct seen blocked, free_one;
	struct mf_follow_options options = named("blocked");
	seen_init(&blocked);
	seen_init(&free_one);
	options.queue_events = 16;
	blocked.hold = true;
	follow(&blocked, &options);
	options = named("free");
	options.queue_events = 16;
	follow(&free_one, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&blocked, blocked.holding == 1);
	fake_source_add_many(&kit.fake, kit.bus, 5000);
	SEEN_WAIT(&free_one, free_one.count == 5001);
	assert_int_equal(SEEN_GET(&blocked, count), 0);
	assert_int_equal(info_of(blocked.id, NULL).lag, 5001);
	assert_int_equal(mf_bus_await_followers(kit.bus, 1, &kit.error), MF_ERR_TIMEOUT);
	assert_non_null(strstr(kit.error.message, "blocked"));
	SEEN_SET(&blocked, hold = false);
	SEEN_WAIT(&blocked, blocked.count == 5001);
	unfollow(&blocked);
	unfollow(&free_one);
	seen_deinit(&blocked);
	seen_deinit(&free_one);
}

static void p3_a_failing_follower_says_so_gets_the_event_again_and_loses_none(void **state)
{
	(void)state;
	struct seen seen;
	char last_error[MF_ERROR_MESSAGE_SIZE];
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.retry_max_ms = 2;
	seen.fail_times = -1;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 3);
	SEEN_WAIT(&seen, seen.entered >= 5);
	await_state(seen.id, MF_FOLLOWER_RETRYING);
	struct mf_subscriber_info info = info_of(seen.id, last_error);
	assert_int_equal(info.last_lsn, 0);
	assert_int_equal(info.lag, 3);
	assert_true(info.failures >= 4);
	assert_non_null(strstr(last_error, "the disk of the test is away"));
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error)); /* who fails is not waited for */
	SEEN_SET(&seen, fail_times = 0);
	SEEN_WAIT(&seen, seen.count == 3);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	await_state(seen.id, MF_FOLLOWER_LIVE);
	(void)info_of(seen.id, last_error);
	assert_string_equal(last_error, "");
	unfollow(&seen);
	assert_non_null(strstr(kit.log, "warning: follower 'f': its handler: the disk of the test is away"));
	assert_non_null(strstr(kit.log, "info: follower 'f': goes on after"));
	seen_deinit(&seen);
}

static void p3_one_that_gives_up_is_stopped_with_its_reason(void **state)
{
	(void)state;
	struct seen seen;
	char last_error[MF_ERROR_MESSAGE_SIZE];
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.give_up_after = 3;
	seen.fail_times = -1;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	await_state(seen.id, MF_FOLLOWER_STOPPED);
	assert_int_equal(seen.entered, 3);
	assert_int_equal(info_of(seen.id, last_error).lag, 1);
	assert_non_null(strstr(last_error, "gives up after 3 failures in a row: its handler: the disk"));
	assert_non_null(strstr(kit.log, "error: follower 'f': gives up"));
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	unfollow(&seen);
	assert_int_equal(seen.entered, 3);
	seen_deinit(&seen);
}

static void a_store_that_cannot_be_read_is_tried_again(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	fake_source_add_many(&kit.fake, kit.bus, 10);
	kit.fake.read_error = MF_ERR_CORRUPTED;
	follow(&seen, &options);
	await_state(seen.id, MF_FOLLOWER_RETRYING);
	assert_int_equal(SEEN_GET(&seen, count), 0);
	fake_source_fail(&kit.fake, &kit.fake.read_error, MF_OK);
	SEEN_WAIT(&seen, seen.count == 10);
	unfollow(&seen);
	seen_deinit(&seen);
}

/* ---- gaps ---- */
static void compact(int64_t from, int64_t upto)
{
	pthread_mutex_lock(&kit.fake.mutex);
	for (int64_t lsn = from; lsn <= upto; lsn++)
		kit.fake.epoch_of[lsn] = 0;
	pthread_mutex_unlock(&kit.fake.mutex);
}

static void events_that_are_gone_stop_a_follower_that_does_not_ask_for_gaps(void **state)
{
	(void)state;
	struct seen seen;
	char last_error[MF_ERROR_MESSAGE_SIZE];
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	fake_source_add_many(&kit.fake, kit.bus, 10);
	compact(3, 5);
	follow(&seen, &options);
	await_state(seen.id, MF_FOLLOWER_STOPPED);
	assert_int_equal(seen.count, 2);
	(void)info_of(seen.id, last_error);
	assert_non_null(strstr(last_error, "LSN 3 to 5 are not in the store any more"));
	unfollow(&seen);
	seen_deinit(&seen);
}

static void a_gap_is_told_to_who_asks_for_it_and_then_it_goes_on(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	seen.gaps_allowed = true;
	seen.fail_times = 1; /* the first notice, which is the first of all */
	options.topics = MF_TOPICS_EVENTS | MF_NOTICE_GAP;
	fake_source_add_many(&kit.fake, kit.bus, 10);
	compact(1, 4);
	compact(8, 10);
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.notices == 2);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.notice_topic, MF_NOTICE_GAP);
	assert_int_equal(seen.notice_from, 8);
	assert_int_equal(seen.notice_lsn, 10);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.last == 11);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void what_a_follower_has_not_seen_is_asked_of_compaction(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	options.keep_checkpoint = true;
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.count == 5);
	const struct mf_event_listener *listener = kit.fake.listener;
	assert_int_equal(listener->needed_above(listener->user), fake_source_saved(&kit.fake) < 0 ? 0 : fake_source_saved(&kit.fake));
	SEEN_SET(&seen, hold = true);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.holding == 1);
	SEEN_SET(&seen, hold = false);
	OK(mf_bus_stop_followers(kit.bus, -1, &kit.error));
	assert_true(listener->needed_above(listener->user) == INT64_MAX);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void a_source_that_was_taken_away_has_no_listener_any_more(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	follow(&seen, &options);
	assert_non_null(kit.fake.listener);
	unfollow(&seen);
	OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
	assert_null(kit.fake.listener);
	seen_deinit(&seen);
}

/* ---- checkpoints ---- */
static void check_saved(struct seen *seen, const struct mf_publication *publication)
{
	(void)seen;
	assert_true(fake_source_saved(&kit.fake) < publication->lsn);
}

static void p2_a_checkpoint_is_never_ahead_of_what_was_delivered(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	options.checkpoint_events = 3;
	seen.act = check_saved;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 100);
	SEEN_WAIT(&seen, seen.count == 100);
	unfollow(&seen);
	assert_int_equal(kit.fake.saved_lsn, 100);
	assert_true(kit.fake.saves >= 33);
	assert_string_equal(kit.fake.saved_name, "f");
	SEEN_SET(&seen, fail_times = -1);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	follow(&seen, &options);
	await_state(seen.id, MF_FOLLOWER_RETRYING);
	unfollow(&seen);
	assert_int_equal(kit.fake.saved_lsn, 100);
	seen_deinit(&seen);
}

static void it_goes_on_from_its_checkpoint(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	for (int round = 1; round <= 5; round++) {
		fake_source_add_many(&kit.fake, kit.bus, 10);
		follow(&seen, &options);
		SEEN_WAIT(&seen, seen.count == 10 * round);
		unfollow(&seen);
	}
	options = named("other"); /* has none */
	options.keep_checkpoint = true;
	seen.last = seen.count = 0;
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.count == 50);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void one_that_begins_now_begins_there_again_after_a_crash(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	options.from = MF_FOLLOW_FROM_NOW;
	fake_source_add_many(&kit.fake, kit.bus, 4);
	follow(&seen, &options);
	await_state(seen.id, MF_FOLLOWER_LIVE);
	assert_int_equal(fake_source_saved(&kit.fake), 4);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void an_idle_follower_saves_after_a_while(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	options.checkpoint_ms = 1;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	while (fake_source_saved(&kit.fake) != 5)
		sched_yield();
	unfollow(&seen);
	seen_deinit(&seen);
}

static void a_checkpoint_that_cannot_be_saved_is_reported_and_tried_again(void **state)
{
	(void)state;
	struct seen seen;
	char last_error[MF_ERROR_MESSAGE_SIZE] = "";
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	options.checkpoint_ms = 1;
	kit.fake.save_error = MF_ERR_STORAGE_FULL;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	while (!strstr(last_error, "checkpoint could not be saved"))
		(void)info_of(seen.id, last_error);
	SEEN_WAIT(&seen, seen.count == 5);
	fake_source_fail(&kit.fake, &kit.fake.save_error, MF_OK);
	while (fake_source_saved(&kit.fake) != 5)
		sched_yield();
	unfollow(&seen);
	seen_deinit(&seen);
}

static void a_checkpoint_that_cannot_be_saved_is_not_tried_at_each_event(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	options.checkpoint_events = 1;
	options.checkpoint_ms = 3600000;
	kit.fake.save_error = MF_ERR_STORAGE_FULL;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 50);
	SEEN_WAIT(&seen, seen.count == 50);
	unfollow(&seen);
	assert_int_equal(atomic_load(&kit.fake.tries_to_save), 2); /* when it began, and when it ended */
	const char *told = strstr(kit.log, "checkpoint could not be saved");
	assert_non_null(told);
	assert_null(strstr(told + 1, "checkpoint could not be saved"));
	seen_deinit(&seen);
}

static void a_checkpoint_ahead_of_the_store_is_reported_and_set_back(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	options.topics = MF_TOPICS_FOLLOW;
	kit.fake.saved_lsn = 50;
	kit.fake.saved_epoch = 1;
	snprintf(kit.fake.saved_name, sizeof(kit.fake.saved_name), "f");
	fake_source_add_many(&kit.fake, kit.bus, 20);
	kit.fake.epoch = 2; /* a crash took the others */
	kit.fake.epoch_ends = 20;
	seen.last = 20;
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.notices == 1);
	assert_int_equal(seen.notice_topic, MF_NOTICE_SET_BACK);
	assert_int_equal(seen.notice_from, 21);
	assert_int_equal(seen.notice_lsn, 20);
	assert_non_null(strstr(seen.message, "LSN 50 of epoch 1"));
	fake_source_add_many(&kit.fake, kit.bus, 5);
	SEEN_WAIT(&seen, seen.count == 5);
	assert_non_null(strstr(kit.log, "set back"));
	assert_int_equal(fake_source_saved(&kit.fake), 20);
	unfollow(&seen);
	assert_int_equal(kit.fake.saved_lsn, 25);
	assert_int_equal(kit.fake.saved_epoch, 2);
	seen_deinit(&seen);
}

static void a_set_back_that_was_not_taken_is_told_again_after_a_restart(void **state)
{
	(void)state;
	struct seen seen, again;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	seen_init(&again);
	options.keep_checkpoint = true;
	options.checkpoint_ms = 0;
	options.topics = MF_TOPICS_FOLLOW;
	kit.fake.saved_lsn = 50;
	kit.fake.saved_epoch = 1;
	snprintf(kit.fake.saved_name, sizeof(kit.fake.saved_name), "f");
	fake_source_add_many(&kit.fake, kit.bus, 20);
	kit.fake.epoch = 2;
	kit.fake.epoch_ends = 20;
	seen.last = again.last = 20;
	seen.fail_times = -1; /* it cannot take anything back now */
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.entered >= 3);
	unfollow(&seen);
	assert_int_equal(kit.fake.saved_lsn, 50); /* what it had seen */
	assert_int_equal(kit.fake.saved_epoch, 1);
	assert_int_equal(kit.fake.saves, 0);
	follow(&again, &options);
	SEEN_WAIT(&again, again.notices == 1);
	while (fake_source_saved(&kit.fake) != 20)
		sched_yield();
	fake_source_add_many(&kit.fake, kit.bus, 5);
	SEEN_WAIT(&again, again.count == 5);
	unfollow(&again);
	assert_int_equal(again.notices, 1);
	assert_int_equal(again.notice_from, 21);
	assert_int_equal(kit.fake.saved_epoch, 2);
	seen_deinit(&seen);
	seen_deinit(&again);
}

static void who_begins_at_a_state_that_is_committed_and_not_yet_published_has_lost_nothing(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	fake_source_add(&kit.fake, NULL, MF_ACTION_APPLY); /* synchronous followers are still at work on it */
	options.from = MF_FOLLOW_FROM_PLACE;
	options.start_lsn = 6;
	options.start_epoch = 1;
	options.topics = MF_TOPICS_FOLLOW;
	seen.last = 6;
	follow(&seen, &options);
	await_state(seen.id, MF_FOLLOWER_LIVE);
	fake_source_add_many(&kit.fake, kit.bus, 3);
	SEEN_WAIT(&seen, seen.count == 3);
	unfollow(&seen);
	assert_int_equal(seen.notices, 0);
	assert_string_equal(kit.log, "");
	seen_deinit(&seen);
}

/* Only the number of events shows it, which grows: if nothing were saved, the next beginning would believe the place. */
static void a_set_back_in_an_epoch_is_saved_before_it_is_told(int64_t epoch)
{
	struct seen seen, again;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	seen_init(&again);
	options.keep_checkpoint = true;
	options.topics = MF_TOPICS_FOLLOW;
	options.from = MF_FOLLOW_FROM_PLACE;
	options.start_lsn = 50;
	options.start_epoch = epoch;
	kit.fake.epoch = 2;
	kit.fake.epoch_ends = 20;
	fake_source_add_many(&kit.fake, kit.bus, 20);
	seen.fail_times = -1;
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.entered >= 2);
	unfollow(&seen);
	assert_int_equal(kit.fake.saved_lsn, 20);
	fake_source_add_many(&kit.fake, kit.bus, 40);
	kit.fake.epoch = 3;
	kit.fake.epoch_ends = 60;
	again.last = 20;
	follow(&again, &options);
	SEEN_WAIT(&again, again.count == 40); /* from 21 on */
	unfollow(&again);
	seen_deinit(&seen);
	seen_deinit(&again);
}

static void a_set_back_that_a_restart_would_not_find_again_is_saved_before_it_is_told(void **state)
{
	(void)state;
	a_set_back_in_an_epoch_is_saved_before_it_is_told(0); /* not known */
}

static void a_set_back_from_an_epoch_that_the_store_has_not_had_is_saved_before_it_is_told(void **state)
{
	(void)state;
	a_set_back_in_an_epoch_is_saved_before_it_is_told(7); /* a copy of an older store was put in its place */
}

static void numbers_given_again_in_a_newer_epoch_are_not_taken_for_seen_ones(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	kit.fake.saved_lsn = 15;
	kit.fake.saved_epoch = 1;
	snprintf(kit.fake.saved_name, sizeof(kit.fake.saved_name), "f");
	fake_source_add_many(&kit.fake, kit.bus, 10);
	kit.fake.epoch = 2;
	kit.fake.epoch_ends = 10;
	fake_source_add_many(&kit.fake, kit.bus, 10); /* 11 to 20, where 11 to 15 were seen in epoch 1 */
	seen.last = 10;
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.count == 10);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void a_checkpoint_that_cannot_be_believed_means_everything_again(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	options.from = MF_FOLLOW_FROM_NOW;
	fake_source_add_many(&kit.fake, kit.bus, 10);
	kit.fake.load_error = MF_ERR_CORRUPTED;
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.count == 10);
	unfollow(&seen);
	assert_non_null(strstr(kit.log, "error: follower 'f': it is given everything again"));
	seen_deinit(&seen);
}

static atomic_int places;

static enum mf_status place(void *user, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	const struct seen *seen = user;
	if (atomic_fetch_add(&places, 1) == 0)
		return mf_error_set(error, MF_ERR_IO, "not yet");
	*out_epoch = 1;
	*out_lsn = seen->last;
	return MF_OK;
}

static void a_follower_may_keep_its_place_itself(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	atomic_store(&places, 0);
	options.place = place;
	seen.last = 6;
	fake_source_add_many(&kit.fake, kit.bus, 10);
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.count == 4);
	unfollow(&seen);
	assert_int_equal(atomic_load(&places), 2);
	assert_int_equal(kit.fake.saves, 0);
	seen_deinit(&seen);
}

static atomic_bool place_asked, place_known;

static enum mf_status late_place(void *user, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	(void)user;
	(void)error;
	atomic_store(&place_asked, true);
	while (!atomic_load(&place_known))
		sched_yield();
	*out_epoch = 1;
	*out_lsn = 5;
	return MF_OK;
}

/* Time for the follower to begin too early, if it could. */
static void give_the_place(void)
{
	atomic_store(&place_known, true);
	for (int i = 0; i < 10000; i++)
		sched_yield();
}

static void one_that_begins_while_the_committer_comes_knows_what_there_is(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	atomic_store(&place_asked, false);
	atomic_store(&place_known, false);
	options.place = late_place;
	seen.last = 5;
	follow(&seen, &options);
	while (!atomic_load(&place_asked))
		sched_yield();
	OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
	fake_source_add_many(&kit.fake, NULL, 7);
	kit.fake.when_asked = give_the_place;
	OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error));
	SEEN_WAIT(&seen, seen.last == 7);
	unfollow(&seen);
	assert_null(strstr(kit.log, "set back"));
	seen_deinit(&seen);
}

static int64_t lag_not_begun(enum mf_follow_from from, bool keep_checkpoint, bool own_place)
{
	struct seen seen;
	struct mf_follow_options options = named("not begun");
	seen_init(&seen);
	options.on = MF_FOLLOW_ON_LOOP; /* which is not run */
	options.from = from;
	options.start_lsn = from == MF_FOLLOW_FROM_PLACE ? 4 : 0;
	options.keep_checkpoint = keep_checkpoint;
	options.place = own_place ? place : NULL;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	int64_t lag = info_of(seen.id, NULL).lag;
	unfollow(&seen);
	seen_deinit(&seen);
	return lag;
}

static void one_that_has_not_begun_is_behind_by_all_that_it_may_be_given(void **state)
{
	(void)state;
	fake_source_add_many(&kit.fake, kit.bus, 10);
	assert_int_equal(lag_not_begun(MF_FOLLOW_FROM_FIRST, false, false), 11);
	assert_int_equal(lag_not_begun(MF_FOLLOW_FROM_NOW, false, false), 1);
	assert_int_equal(lag_not_begun(MF_FOLLOW_FROM_PLACE, false, false), 13 - 4);
	assert_int_equal(lag_not_begun(MF_FOLLOW_FROM_NOW, true, false), 14);
	assert_int_equal(lag_not_begun(MF_FOLLOW_FROM_FIRST, false, true), 15);
}

static int64_t gathered, written; /* of the handler below */

static enum mf_status gather(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	struct seen *seen = user;
	assert_true(fake_source_saved(&kit.fake) <= written);
	gathered = publication->lsn;
	if (!publication->more)
		written = gathered;
	return seen_handle(seen, publication, error);
}

static void p2_what_a_handler_has_gathered_only_is_not_counted(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	gathered = written = 0;
	options.keep_checkpoint = options.gathers = true;
	options.checkpoint_events = 1;
	fake_source_add_many(&kit.fake, kit.bus, 1000);
	OK(mf_bus_follow(kit.bus, &options, gather, &seen, &seen.id, &kit.error));
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	assert_int_equal(written, 1000);
	assert_true(fake_source_saves(&kit.fake) < 100);
	fake_source_add_many(&kit.fake, kit.bus, 100);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	unfollow(&seen);
	assert_int_equal(kit.fake.saved_lsn, 1100);
	seen_deinit(&seen);
}

static void a_publication_without_its_event_is_read_from_the_store(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	follow(&seen, &options);
	for (int64_t lsn = 1; lsn <= 20; lsn++) {
		struct mf_publication publication = {.topic = MF_TR_APPLY, .doc_id = "d", .lsn = lsn};
		if (lsn % 3 == 0)
			fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
		else
			assert_int_equal(fake_source_add(&kit.fake, NULL, MF_ACTION_APPLY), lsn);
		if (lsn % 3 != 0)
			mf_bus_publish(kit.bus, &publication);
	}
	SEEN_WAIT(&seen, seen.count == 20);
	unfollow(&seen);
	seen_deinit(&seen);
}

static enum mf_status wrong_place(void *user, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	(void)user, (void)error;
	*out_epoch = 1;
	*out_lsn = -5;
	return MF_OK;
}

static enum mf_status place_at_what_was_just_committed(void *user, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	(void)user, (void)error;
	fake_source_add_many(&kit.fake, NULL, 3); /* between the call that follows and this one */
	*out_epoch = 1;
	*out_lsn = 8;
	return MF_OK;
}

static void a_place_may_be_of_a_state_that_is_younger_than_the_follower(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	options.place = place_at_what_was_just_committed;
	options.topics = MF_TOPICS_FOLLOW;
	seen.last = 8;
	follow(&seen, &options);
	await_state(seen.id, MF_FOLLOWER_LIVE);
	fake_source_add_many(&kit.fake, kit.bus, 2);
	SEEN_WAIT(&seen, seen.count == 2);
	unfollow(&seen);
	assert_int_equal(seen.notices, 0);
	assert_string_equal(kit.log, "");
	seen_deinit(&seen);
}

static enum mf_status waits_inside;

static enum mf_status nonsense_place(void *user, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	(void)user, (void)out_epoch, (void)out_lsn, (void)error;
	waits_inside = mf_bus_await_followers(kit.bus, MF_WAIT_FOREVER, NULL);
	return (enum mf_status)4711;
}

static void a_place_that_answers_nonsense_is_named(void **state)
{
	(void)state;
	struct seen seen;
	char last_error[MF_ERROR_MESSAGE_SIZE];
	struct mf_follow_options options = named("wrong");
	seen_init(&seen);
	options.place = nonsense_place;
	follow(&seen, &options);
	await_state(seen.id, MF_FOLLOWER_RETRYING);
	(void)info_of(seen.id, last_error);
	assert_non_null(strstr(last_error, "its place returned status 4711"));
	unfollow(&seen);
	assert_int_equal(waits_inside, MF_ERR_STATE); /* it would wait for itself */
	seen_deinit(&seen);
}

static void places_that_cannot_be_are_refused_or_set_back(void **state)
{
	(void)state;
	struct seen seen, ahead;
	char last_error[MF_ERROR_MESSAGE_SIZE];
	struct mf_follow_options options = named("wrong");
	seen_init(&seen);
	seen_init(&ahead);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	options.place = wrong_place;
	follow(&seen, &options);
	await_state(seen.id, MF_FOLLOWER_RETRYING);
	(void)info_of(seen.id, last_error);
	assert_non_null(strstr(last_error, "LSN -5"));
	unfollow(&seen);
	options = named("ahead");
	options.from = MF_FOLLOW_FROM_PLACE;
	options.start_lsn = 99;
	ahead.last = 5;
	follow(&ahead, &options);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	SEEN_WAIT(&ahead, ahead.count == 5);
	unfollow(&ahead);
	assert_non_null(strstr(kit.log, "it had seen LSN 99"));
	seen_deinit(&seen);
	seen_deinit(&ahead);
}

/* ---- ending ---- */
static void leave(struct seen *seen, const struct mf_publication *publication)
{
	if (publication->lsn == 3)
		OK(mf_bus_unsubscribe(kit.bus, SEEN_GET(seen, id), &kit.error));
}

static void a_follower_may_unsubscribe_itself(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	seen.act = leave;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 10);
	SEEN_WAIT(&seen, seen.count == 3);
	while (fake_source_saved(&kit.fake) != 3)
		sched_yield();
	assert_int_equal(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error), MF_ERR_NOT_FOUND);
	mf_bus_free(kit.bus);
	OK(mf_bus_new(&kit.bus));
	assert_int_equal(seen.count, 3);
	seen_deinit(&seen);
}

static void unsubscribing_waits_for_the_call_under_way_or_says_that_it_has_not_ended(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	seen.hold = true;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 10);
	SEEN_WAIT(&seen, seen.holding == 1);
	assert_int_equal(mf_bus_unsubscribe_within(kit.bus, seen.id, 1, &kit.error), MF_ERR_TIMEOUT);
	assert_non_null(strstr(kit.error.message, "'f' is still at work"));
	assert_int_equal(mf_bus_stop_followers(kit.bus, 1, &kit.error), MF_ERR_TIMEOUT);
	assert_int_equal(info_of(seen.id, NULL).id, seen.id);
	SEEN_SET(&seen, hold = false);
	unfollow(&seen);
	assert_int_equal(seen.entered, 1);
	seen_deinit(&seen);
}

static void stopping_all_saves_and_leaves_them_to_be_seen(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 10);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	OK(mf_bus_stop_followers(kit.bus, -1, &kit.error));
	assert_int_equal(kit.fake.saved_lsn, 10);
	OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
	struct mf_subscriber_info info = info_of(seen.id, NULL);
	assert_int_equal(info.state, MF_FOLLOWER_STOPPED);
	assert_int_equal(info.last_lsn, 10);
	unfollow(&seen);
	assert_int_equal(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error), MF_ERR_NOT_FOUND);
	seen_deinit(&seen);
}

static void a_follower_can_be_ended_while_it_catches_up(void **state)
{
	(void)state;
	fake_source_add_many(&kit.fake, kit.bus, 10000);
	for (int i = 0; i < 20; i++) {
		struct seen seen;
		struct mf_follow_options options = named("f");
		seen_init(&seen);
		options.keep_checkpoint = true;
		kit.fake.saved_lsn = -1;
		follow(&seen, &options);
		SEEN_WAIT(&seen, seen.count > i * 10);
		unfollow(&seen);
		assert_int_equal(kit.fake.saved_lsn, seen.last);
		seen_deinit(&seen);
	}
}

static void wait_for_itself(struct seen *seen, const struct mf_publication *publication)
{
	(void)publication;
	(void)seen;
	assert_int_equal(mf_bus_await_followers(kit.bus, -1, NULL), MF_ERR_STATE);
}

static void a_handler_may_not_wait_for_itself(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	seen.act = wait_for_itself;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.count == 1);
	unfollow(&seen);
	seen_deinit(&seen);
}

/* ---- without a store, and as it goes ---- */
static void one_without_a_store_waits_and_nobody_waits_for_it(void **state)
{
	(void)state;
	struct seen seen, idle;
	struct mf_follow_options options = named("f");
	const struct mf_publication publication = {.topic = MF_TR_APPLY, .doc_id = "d", .lsn = 1};
	seen_init(&seen);
	seen_init(&idle);
	OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
	options.synced_only = true;
	follow(&seen, &options);
	mf_bus_publish(kit.bus, &publication); /* of whom? nothing is there to be read */
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	options = named("idle");
	follow(&idle, &options);
	unfollow(&idle); /* before its thread ever began */
	OK(mf_bus_stop_followers(kit.bus, -1, &kit.error));
	OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error)); /* the one that was stopped does not begin */
	assert_int_equal(SEEN_GET(&seen, entered), 0);
	assert_int_equal(info_of(seen.id, NULL).state, MF_FOLLOWER_STOPPED);
	unfollow(&seen);
	seen_deinit(&seen);
	seen_deinit(&idle);
}

static void one_that_is_tried_again_later_is_not_waited_for(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	options.retry_ms = options.retry_max_ms = 3600 * 1000;
	seen_init(&seen);
	seen.fail_times = -1;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	await_state(seen.id, MF_FOLLOWER_RETRYING);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	assert_int_equal(SEEN_GET(&seen, count), 0);
	unfollow(&seen);
	seen_deinit(&seen);
}

static atomic_int reading;
static atomic_bool read_on;
static enum mf_status (*real_read)(void *user, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error);

static enum mf_status read_slowly(void *user, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	reading++;
	while (!read_on)
		sched_yield();
	return real_read(user, from_lsn, limit, out, error);
}

static void *take_the_store_away(void *user)
{
	assert_int_equal(mf_bus_set_committer(kit.bus, NULL, NULL), MF_OK);
	return user;
}

static void a_store_is_not_taken_away_while_it_is_read(void **state)
{
	(void)state;
	struct seen seen, other;
	struct mf_follow_options options = named("f");
	pthread_t thread;
	seen_init(&seen);
	seen_init(&other);
	fake_source_add_many(&kit.fake, kit.bus, 10);
	reading = 0;
	read_on = false;
	real_read = kit.fake.source.read;
	kit.fake.source.read = read_slowly;
	follow(&seen, &options);
	options.name = "other";
	follow(&other, &options);
	while (reading < 2)
		sched_yield();
	assert_int_equal(pthread_create(&thread, NULL, take_the_store_away, NULL), 0);
	pthread_mutex_lock(&kit.bus->feed.mutex);
	while (kit.bus->feed.source || kit.bus->feed.waiters == 0) { /* until it waits */
		pthread_mutex_unlock(&kit.bus->feed.mutex);
		sched_yield();
		pthread_mutex_lock(&kit.bus->feed.mutex);
	}
	pthread_mutex_unlock(&kit.bus->feed.mutex);
	read_on = true;
	pthread_join(thread, NULL);
	kit.fake.source.read = real_read;
	OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error)); /* it goes on where it was */
	SEEN_WAIT(&seen, seen.count == 10);
	SEEN_WAIT(&other, other.count == 10);
	unfollow(&seen);
	unfollow(&other);
	seen_deinit(&seen);
	seen_deinit(&other);
}

static int64_t hold_at;
static void hold_there(struct seen *seen, const struct mf_publication *publication)
{
	if (publication->lsn != hold_at)
		return;
	hold_at = 0; /* once */
	SEEN_SET(seen, holding = 7);
	SEEN_WAIT(seen, seen->holding == 0);
}

static void its_store_may_go_at_any_moment_and_come_back(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct seen seen;
		struct mf_follow_options options = named("f");
		seen_init(&seen);
		seen.act = hold_there;
		hold_at = i ? 256 : 3; /* in the middle of a page, and at its end */
		options.undecoded = i;
		options.keep_checkpoint = true;
		options.checkpoint_ms = 3600 * 1000;
		options.checkpoint_events = 1000000;
		kit.fake.saved_lsn = -1;
		if (i == 0)
			fake_source_add_many(&kit.fake, kit.bus, 400);
		follow(&seen, &options);
		SEEN_WAIT(&seen, seen.holding == 7);
		OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
		SEEN_SET(&seen, holding = 0);
		pthread_mutex_lock(&kit.bus->feed.mutex);
		while (!mf_feed_find(&kit.bus->feed, seen.id)->asleep) { /* until it has noticed */
			pthread_mutex_unlock(&kit.bus->feed.mutex);
			sched_yield();
			pthread_mutex_lock(&kit.bus->feed.mutex);
		}
		pthread_mutex_unlock(&kit.bus->feed.mutex);
		assert_int_equal(SEEN_GET(&seen, count), i ? 256 : 3);
		OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error));
		SEEN_WAIT(&seen, seen.count == 400);
		OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
		int tries = atomic_load(&kit.fake.tries_to_save);
		unfollow(&seen); /* there is nothing to save its checkpoint in */
		assert_int_equal(atomic_load(&kit.fake.tries_to_save), tries);
		OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error));
		seen_deinit(&seen);
	}
}

static void a_checkpoint_is_saved_while_it_is_tried_again_and_before_a_nap_is_over(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.retry_ms = options.retry_max_ms = 3600 * 1000;
	options.nap_us = UINT32_MAX;
	options.keep_checkpoint = true;
	options.checkpoint_ms = 20;
	options.checkpoint_events = 1000000;
	fake_source_add_many(&kit.fake, kit.bus, 2);
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.count == 2);
	while (fake_source_saved(&kit.fake) != 2)
		sched_yield();
	SEEN_SET(&seen, fail_times = -1);
	unfollow(&seen);
	SEEN_SET(&seen, fail_times = 0);
	SEEN_SET(&seen, last = 2);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	seen.act = NULL;
	options.checkpoint_ms = 200;
	hold_at = 3;
	seen.act = hold_there;
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.holding == 7);
	SEEN_SET(&seen, fail_times = -1);
	SEEN_SET(&seen, holding = 0);
	await_state(seen.id, MF_FOLLOWER_RETRYING); /* the fourth fails */
	while (fake_source_saved(&kit.fake) != 3)
		sched_yield();
	assert_int_equal(info_of(seen.id, NULL).state, MF_FOLLOWER_RETRYING);
	unfollow(&seen);
	seen_deinit(&seen);
}

static void the_last_checkpoint_is_saved_after_failures_without_a_word(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	options.checkpoint_ms = 3600 * 1000;
	options.checkpoint_events = 1000000;
	fake_source_fail(&kit.fake, &kit.fake.save_error, MF_ERR_IO);
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.count == 1);
	while (atomic_load(&kit.fake.tries_to_save) == 0)
		sched_yield();
	fake_source_fail(&kit.fake, &kit.fake.save_error, MF_OK);
	unfollow(&seen);
	assert_int_equal(kit.fake.saved_lsn, 1);
	assert_null(strstr(kit.log, "saved again"));
	seen_deinit(&seen);
}

static char more[16];
static void note_more(struct seen *seen, const struct mf_publication *publication)
{
	(void)seen;
	snprintf(more + strlen(more), sizeof(more) - strlen(more), "%c", publication->topic == MF_NOTICE_GAP ? 'g' : publication->more ? '+' : '.');
}

static void more_is_promised_only_of_what_will_come(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	seen.gaps_allowed = true;
	seen.act = note_more;
	more[0] = '\0';
	static const enum mf_action actions[] = {MF_ACTION_APPLY, MF_ACTION_APPLY, MF_ACTION_UNDO, MF_ACTION_APPLY, MF_ACTION_APPLY, MF_ACTION_APPLY};
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		fake_source_add(&kit.fake, kit.bus, actions[i]);
	kit.fake.epoch_of[5] = 0; /* compacted */
	options.gathers = true;
	options.topics = MF_TR_APPLY | MF_NOTICE_GAP;
	follow(&seen, &options);
	SEEN_WAIT(&seen, seen.count == 4);
	unfollow(&seen);
	assert_string_equal(more, "+..g."); /* before the undo, that it does not want, and before the gap: none */
	seen_deinit(&seen);
}

static void *unfollow_too(void *user)
{
	assert_int_equal(mf_bus_unsubscribe(kit.bus, SEEN_GET((struct seen *)user, id), NULL), MF_OK);
	return NULL;
}

static void two_may_end_the_same_one(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	pthread_t threads[2];
	seen_init(&seen);
	seen.hold = true;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.holding == 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, unfollow_too, &seen), 0);
	for (int waiting = 0; waiting < 2; sched_yield()) {
		pthread_mutex_lock(&kit.bus->feed.mutex);
		waiting = kit.bus->feed.waiters;
		pthread_mutex_unlock(&kit.bus->feed.mutex);
	}
	SEEN_SET(&seen, hold = false);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(kit.bus->feed.count, 0);
	seen_deinit(&seen);
}

static void *release_when_waited_for(void *user)
{
	struct seen *seen = user;
	for (int waiting = 0; waiting == 0; sched_yield()) {
		pthread_mutex_lock(&kit.bus->feed.mutex);
		waiting = kit.bus->feed.waiters;
		pthread_mutex_unlock(&kit.bus->feed.mutex);
	}
	SEEN_SET(seen, hold = false);
	return NULL;
}

static void leave_and_stay(struct seen *seen, const struct mf_publication *publication)
{
	(void)publication;
	OK(mf_bus_unsubscribe(kit.bus, SEEN_GET(seen, id), &kit.error));
	SEEN_SET(seen, hold = true);
	SEEN_SET(seen, holding = 7);
	SEEN_WAIT(seen, !seen->hold);
}

static void a_bus_waits_for_one_that_ended_itself_and_is_still_at_work(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	pthread_t thread;
	seen_init(&seen);
	seen.act = leave_and_stay;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.holding == 7);
	assert_int_equal(pthread_create(&thread, NULL, release_when_waited_for, &seen), 0);
	struct mf_bus *bus = kit.bus;
	mf_bus_free(bus);
	pthread_join(thread, NULL);
	OK(mf_bus_new(&kit.bus));
	seen_deinit(&seen);
}

static enum mf_status stopped_inside;

static void leave_and_stop_all(struct seen *seen, const struct mf_publication *publication)
{
	(void)publication;
	OK(mf_bus_unsubscribe(kit.bus, SEEN_GET(seen, id), &kit.error));
	stopped_inside = mf_bus_stop_followers(kit.bus, -1, NULL); /* it does not wait for itself */
	SEEN_SET(seen, holding = 7);
	SEEN_SET(seen, hold = true);
	SEEN_WAIT(seen, !seen->hold);
}

static void stopping_all_waits_for_one_that_ended_itself_and_is_still_at_work(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	pthread_t thread;
	seen_init(&seen);
	seen.act = leave_and_stop_all;
	stopped_inside = MF_ERR_STATE;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.hold);
	assert_int_equal(stopped_inside, MF_OK);
	assert_int_equal(mf_bus_stop_followers(kit.bus, 1, &kit.error), MF_ERR_TIMEOUT);
	assert_non_null(strstr(kit.error.message, "unsubscribed itself"));
	assert_int_equal(pthread_create(&thread, NULL, release_when_waited_for, &seen), 0);
	OK(mf_bus_stop_followers(kit.bus, -1, &kit.error));
	pthread_join(thread, NULL);
	seen_deinit(&seen);
}

static struct seen successor;

static void leave_and_follow_anew(struct seen *seen, const struct mf_publication *publication)
{
	(void)publication;
	struct mf_follow_options options = named("anew");
	OK(mf_bus_unsubscribe(kit.bus, SEEN_GET(seen, id), &kit.error));
	SEEN_SET(seen, hold = true);
	SEEN_WAIT(seen, !seen->hold); /* until somebody waits for this call to end */
	follow(&successor, &options);
}

static void stopping_all_stops_one_that_was_begun_meanwhile(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	pthread_t thread;
	seen_init(&seen);
	seen_init(&successor);
	seen.act = leave_and_follow_anew;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.hold);
	assert_int_equal(pthread_create(&thread, NULL, release_when_waited_for, &seen), 0);
	OK(mf_bus_stop_followers(kit.bus, -1, &kit.error));
	pthread_join(thread, NULL);
	assert_int_equal(info_of(SEEN_GET(&successor, id), NULL).state, MF_FOLLOWER_STOPPED);
	OK(mf_bus_unsubscribe(kit.bus, successor.id, &kit.error));
	seen_deinit(&seen);
	seen_deinit(&successor);
}

static void stopping_all_tells_of_the_first_that_does_not_stop_in_time(void **state)
{
	(void)state;
	struct seen seen[2];
	static const char *const names[] = {"first", "second"};
	for (int i = 0; i < 2; i++) {
		struct mf_follow_options options = named(names[i]);
		seen_init(&seen[i]);
		seen[i].hold = true;
		follow(&seen[i], &options);
	}
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	for (int i = 0; i < 2; i++)
		SEEN_WAIT(&seen[i], seen[i].holding == 1);
	assert_int_equal(mf_bus_stop_followers(kit.bus, 0, &kit.error), MF_ERR_TIMEOUT);
	assert_non_null(strstr(kit.error.message, "first"));
	SEEN_SET(&seen[1], hold = false);
	mf_bus_abandon_followers(kit.bus); /* the one that is at work, and whichever was not done yet */
	mf_bus_abandon_followers(kit.bus);
	SEEN_SET(&seen[0], hold = false);
	mf_bus_free(kit.bus);
	OK(mf_bus_new(&kit.bus));
	for (int i = 0; i < 2; i++)
		seen_deinit(&seen[i]);
}

static void a_plugin_whose_follower_does_not_return_is_not_stopped(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	struct mf_registrar_host host = {.bus = kit.bus};
	struct mf_plugins_entry configured = {.name = (char[]){"dawdler"}};
	struct mf_entry entry = {.configured = &configured, .state = MF_ENTRY_STARTED};
	seen_init(&seen);
	mf_registrar_init(&entry.registrar, &host, configured.name);
	entry.registrar.open = true;
	OK(mf_register_event_follower(&entry.registrar, &options, seen_handle, &seen, &kit.error));
	entry.registrar.open = false;
	seen.hold = true;
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.holding == 1);
	assert_int_equal(mf_entry_stop(&entry, &kit.error), MF_ERR_TIMEOUT);
	assert_int_equal(strncmp(kit.error.message, "plugin dawdler: ", 16), 0);
	assert_int_equal(entry.state, MF_ENTRY_STARTED);
	SEEN_SET(&seen, hold = false);
	SEEN_WAIT(&seen, seen.count == 1);
	OK(mf_entry_stop(&entry, &kit.error));
	assert_int_equal(entry.state, MF_ENTRY_STOPPED);
	mf_registrar_take_back(&entry.registrar);
	mf_registrar_deinit(&entry.registrar);
	seen_deinit(&seen);
}

static enum mf_status place_in_no_epoch(void *user, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	(void)user, (void)error;
	*out_epoch = -3;
	*out_lsn = 0;
	return MF_OK;
}

/* ---- beginning ---- */
static void a_store_that_cannot_tell_where_to_begin_is_asked_again(void **state)
{
	(void)state;
	struct seen kept, placed, now, own;
	seen_init(&own);
	struct mf_follow_options options = named("kept");
	char last_error[MF_ERROR_MESSAGE_SIZE];
	seen_init(&kept);
	seen_init(&placed);
	seen_init(&now);
	fake_source_add_many(&kit.fake, kit.bus, 3);
	fake_source_fail(&kit.fake, &kit.fake.load_error, MF_ERR_IO);
	fake_source_fail(&kit.fake, &kit.fake.epoch_error, MF_ERR_IO);
	options.keep_checkpoint = true;
	options.from = MF_FOLLOW_FROM_NOW;
	follow(&kept, &options);
	options = named("own");
	options.from = MF_FOLLOW_FROM_NOW;
	options.place = place_in_no_epoch;
	follow(&own, &options);
	options = named("placed");
	options.from = MF_FOLLOW_FROM_PLACE;
	options.start_epoch = 99; /* an epoch that the store does not know */
	options.start_lsn = 2;
	placed.last = 2;
	follow(&placed, &options);
	options = named("now");
	options.from = MF_FOLLOW_FROM_NOW;
	now.last = 3;
	follow(&now, &options);
	await_state(kept.id, MF_FOLLOWER_RETRYING);
	await_state(placed.id, MF_FOLLOWER_RETRYING);
	await_state(now.id, MF_FOLLOWER_RETRYING);
	(void)info_of(kept.id, last_error);
	assert_non_null(strstr(last_error, "loading"));
	(void)info_of(placed.id, last_error);
	assert_non_null(strstr(last_error, "epoch"));
	assert_int_equal(kit.fake.listener->needed_above(kit.fake.listener->user), 0); /* each of them may still need all */
	unfollow(&placed);
	unfollow(&kept);
	assert_int_equal(kit.fake.listener->needed_above(kit.fake.listener->user), 0); /* one that keeps its place itself, too */
	unfollow(&own);
	seen_deinit(&own);
	assert_int_equal(kit.fake.listener->needed_above(kit.fake.listener->user), 3); /* but not one that begins now */
	kit.fake.epoch_ends = 3;
	fake_source_fail(&kit.fake, &kit.fake.load_error, MF_OK);
	fake_source_fail(&kit.fake, &kit.fake.epoch_error, MF_OK);
	options = named("placed");
	options.from = MF_FOLLOW_FROM_PLACE;
	options.start_epoch = 99;
	options.start_lsn = 2;
	follow(&placed, &options);
	SEEN_WAIT(&placed, placed.count == 1);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&now, now.count == 1);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error));
	assert_int_equal(kit.fake.listener->needed_above(kit.fake.listener->user), 4); /* without checkpoints: what they have seen */
	unfollow(&placed);
	unfollow(&now);
	seen_deinit(&kept);
	seen_deinit(&placed);
	seen_deinit(&now);
}

static void an_epoch_that_cannot_be_is_refused(void **state)
{
	(void)state;
	struct seen seen;
	char last_error[MF_ERROR_MESSAGE_SIZE];
	struct mf_follow_options options = named("wrong");
	seen_init(&seen);
	options.place = place_in_no_epoch;
	follow(&seen, &options);
	await_state(seen.id, MF_FOLLOWER_RETRYING);
	(void)info_of(seen.id, last_error);
	assert_non_null(strstr(last_error, "epoch -3"));
	unfollow(&seen);
	seen_deinit(&seen);
}

static void two_of_other_names_may_both_keep_checkpoints(void **state)
{
	(void)state;
	struct seen seen[3];
	static const char *const names[] = {"plain", "one", "other"};
	for (int i = 0; i < 3; i++) {
		struct mf_follow_options options = named(names[i]);
		options.keep_checkpoint = i > 0;
		seen_init(&seen[i]);
		follow(&seen[i], &options);
	}
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	for (int i = 0; i < 3; i++)
		SEEN_WAIT(&seen[i], seen[i].count == 1);
	for (int i = 0; i < 3; i++) {
		unfollow(&seen[i]);
		seen_deinit(&seen[i]);
	}
}

static void a_committer_whose_followers_cannot_start_is_refused(void **state)
{
	(void)state;
	struct seen seen[2];
	static const char *const names[] = {"one", "other"};
	OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
	for (int i = 0; i < 2; i++) {
		struct mf_follow_options options = named(names[i]);
		seen_init(&seen[i]);
		follow(&seen[i], &options);
	}
	mf_mem_fail_at(1, false); /* the first thread's */
	assert_int_equal(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error), MF_ERR_NO_MEMORY);
	mf_mem_fail_at(0, false);
	assert_null(mf_bus_committer(kit.bus));
	OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error));
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	for (int i = 0; i < 2; i++) {
		SEEN_WAIT(&seen[i], seen[i].count == 1);
		unfollow(&seen[i]);
		seen_deinit(&seen[i]);
	}
}

static void a_handler_knows_whose_follower_it_is(struct seen *seen, const struct mf_publication *publication)
{
	(void)seen, (void)publication;
	struct mf_bus *other;
	assert_int_equal(mf_bus_new(&other), MF_OK);
	assert_true(mf_bus_inside_follower(kit.bus));
	assert_false(mf_bus_inside_follower(other));
	mf_bus_free(other);
}

static void a_thread_is_inside_of_followers_of_its_bus_only(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	seen.act = a_handler_knows_whose_follower_it_is;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.count == 1);
	unfollow(&seen);
	assert_false(mf_bus_inside_follower(kit.bus));
	seen_deinit(&seen);
}

/* ---- options ---- */
static void wrong_options_are_refused_with_a_sentence(void **state)
{
	(void)state;
	uint64_t id = 77;
	struct seen seen;
	seen_init(&seen);
#define REFUSED(expected, change, words)                                                                           \
	do {                                                                                                       \
		struct mf_follow_options options = named("f");                                                     \
		options.change;                                                                                    \
		assert_int_equal(mf_bus_follow(kit.bus, &options, seen_handle, &seen, &id, &kit.error), expected); \
		if (!strstr(kit.error.message, words))                                                             \
			fail_msg("no '%s' in: %s", words, kit.error.message);                                      \
	} while (0)
	REFUSED(MF_ERR_INVALID, name = NULL, "name");
	REFUSED(MF_ERR_INVALID, name = "\xff", "UTF-8");
	REFUSED(MF_ERR_INVALID, size = 3, "mf_follow_options_init");
	REFUSED(MF_ERR_INVALID, topics = 0, "topics");
	REFUSED(MF_ERR_INVALID, topics = MF_NOTICE_CLOSE, "synchronous");
	REFUSED(MF_ERR_INVALID, queue_events = 0, "queue_events");
	REFUSED(MF_ERR_INVALID, retry_ms = 0, "retry_ms");
	REFUSED(MF_ERR_INVALID, checkpoint_events = 0, "checkpoint_events");
	REFUSED(MF_ERR_INVALID, on = (enum mf_follow_on)7, "on is 7");
	REFUSED(MF_ERR_INVALID, start_lsn = -1, "no place to begin");
	REFUSED(MF_ERR_INVALID, start_epoch = -1, "no place to begin");
	REFUSED(MF_ERR_INVALID, from = (enum mf_follow_from)9, "from is 9");
	REFUSED(MF_ERR_INVALID, name = "", "name");
	char long_name[MF_ID_MAX + 2];
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	REFUSED(MF_ERR_INVALID, name = long_name, "name");
	REFUSED(MF_ERR_INVALID, queue_events = UINT32_MAX, "queue_events");
	REFUSED(MF_ERR_INVALID, retry_max_ms = 0, "retry_max_ms");
	REFUSED(MF_ERR_INVALID, size = sizeof(options) + 8, "mf_follow_options_init");
	assert_int_equal(mf_bus_follow(kit.bus, NULL, seen_handle, &seen, &id, &kit.error), MF_ERR_INVALID); /* the defaults have no name */
	for (int state_number = MF_FOLLOWER_SYNCHRONOUS; state_number <= MF_FOLLOWER_STOPPED; state_number++)
		assert_string_not_equal(mf_follower_state_name((enum mf_follower_state)state_number), "unknown");
	assert_string_equal(mf_follower_state_name((enum mf_follower_state)99), "unknown");
	REFUSED(MF_ERR_INVALID, place = place; options.keep_checkpoint = true, "its own place");
	struct mf_follow_options options = named("f");
	assert_int_equal(mf_bus_follow(kit.bus, &options, NULL, &seen, &id, &kit.error), MF_ERR_INVALID);
	options.keep_checkpoint = true;
	follow(&seen, &options);
	assert_int_equal(mf_bus_follow(kit.bus, &options, seen_handle, &seen, &id, &kit.error), MF_ERR_STATE);
	assert_non_null(strstr(kit.error.message, "already"));
	unfollow(&seen);
	OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
	kit.fake.committer.event_source = NULL; /* as of one that only reads */
	OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error));
	assert_int_equal(mf_bus_follow(kit.bus, &options, seen_handle, &seen, &id, &kit.error), MF_ERR_STATE);
	assert_int_equal(id, 77);
	seen_deinit(&seen);
}

static void an_incomplete_source_is_refused(void **state)
{
	(void)state;
	const struct mf_event_source whole = kit.fake.source;
	void (**slots)(void) = (void (**)(void))&kit.fake.source;
	size_t first = offsetof(struct mf_event_source, read) / sizeof(slots[0]), count = sizeof(whole) / sizeof(slots[0]);
	assert_int_equal(count - first, 10);
	for (size_t i = first; i < count; i++) {
		OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
		slots[i] = NULL;
		assert_int_equal(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error), MF_ERR_INVALID);
		assert_null(mf_bus_committer(kit.bus));
		kit.fake.source = whole;
	}
	kit.fake.source.size--;
	assert_int_equal(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error), MF_ERR_INVALID);
	kit.fake.source = whole;
}

static void options_of_an_older_caller_get_the_defaults(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = named("f");
	seen_init(&seen);
	memset((char *)&options + offsetof(struct mf_follow_options, queue_events), 0xee, sizeof(options) - offsetof(struct mf_follow_options, queue_events));
	options.size = offsetof(struct mf_follow_options, queue_events);
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	SEEN_WAIT(&seen, seen.count == 1);
	unfollow(&seen);
	seen_deinit(&seen);
}

/* ---- many at once ---- */
static int rounds_of(const char *name, int usual)
{
	const char *text = getenv(name);
	return text ? atoi(text) : usual;
}

static void no_wake_up_is_lost(void **state)
{
	(void)state;
	struct seen seen[2];
	int count = rounds_of("MF_COUNT", 5000);
	for (int i = 0; i < 2; i++) {
		struct mf_follow_options options = named(i ? "one" : "other");
		options.nap_us = (uint32_t)i * 20;
		seen_init(&seen[i]);
		follow(&seen[i], &options);
	}
	for (int n = 1; n <= count; n++) { /* each time they fall asleep, or are about to */
		fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
		SEEN_WAIT(&seen[n & 1], seen[n & 1].count == n);
	}
	for (int i = 0; i < 2; i++) {
		SEEN_WAIT(&seen[i], seen[i].count == count);
		unfollow(&seen[i]);
		seen_deinit(&seen[i]);
	}
}

struct crowd {
	pthread_mutex_t order; /* publications come one at a time, as the bus asks for */
	int each;
	unsigned seed;
};

static void *publish_some(void *user)
{
	struct crowd *crowd = user;
	for (int i = 0; i < crowd->each; i++) {
		pthread_mutex_lock(&crowd->order);
		crowd->seed = crowd->seed * 1103515245 + 12345;
		pthread_mutex_lock(&kit.fake.mutex);
		kit.fake.payload_len = crowd->seed >> 16 & 1 ? 20 : crowd->seed >> 17 & 0xffff;
		pthread_mutex_unlock(&kit.fake.mutex);
		fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
		pthread_mutex_unlock(&crowd->order);
	}
	return NULL;
}

static void dawdle(struct seen *seen, const struct mf_publication *publication)
{
	(void)seen;
	for (int64_t i = publication->lsn * 7 % 31; i > 25; i--)
		sched_yield();
}

static void from_full_to_catching_up_to_live_nothing_is_missing_and_nothing_twice(void **state)
{
	(void)state;
	enum { THREADS = 4,
	       FOLLOWERS = 4 };
	struct seen seen[FOLLOWERS];
	pthread_t threads[THREADS];
	struct crowd crowd = {.each = rounds_of("MF_COUNT", 1000) % 5000, .seed = (unsigned)rounds_of("MF_SEED", 1)};
	pthread_mutex_init(&crowd.order, NULL);
	for (int i = 0; i < FOLLOWERS; i++) {
		char name[8];
		struct mf_follow_options options = named(name);
		snprintf(name, sizeof(name), "f%d", i);
		options.queue_events = i < 2 ? 3 : 40;
		options.queue_bytes = 100000;
		seen_init(&seen[i]);
		seen[i].act = i & 1 ? dawdle : NULL;
		seen[i].fail_times = i == 3 ? 5 : 0;
		follow(&seen[i], &options);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, publish_some, &crowd), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < FOLLOWERS; i++) {
		SEEN_WAIT(&seen[i], seen[i].count == THREADS * crowd.each);
		unfollow(&seen[i]);
		seen_deinit(&seen[i]);
	}
	pthread_mutex_destroy(&crowd.order);
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct seen seen;
		struct mf_follow_options options = named("f");
		struct mf_bus *bus = kit.bus;
		seen_init(&seen);
		options.keep_checkpoint = true;
		options.topics = MF_TOPICS_FOLLOW;
		fake_source_deinit(&kit.fake);
		fake_source_init(&kit.fake);
		fake_source_add_many(&kit.fake, NULL, 3);
		kit.fake.saved_epoch = 1;
		kit.fake.saved_lsn = 9;
		kit.fake.saved_name[0] = 'f';
		seen.last = 3;
		mf_mem_fail_at(n, false);
		enum mf_status status = mf_bus_new(&bus);
		if (status == MF_OK) {
			assert_int_equal(mf_bus_set_committer(bus, &kit.fake.committer, &kit.error), MF_OK);
			status = mf_bus_follow(bus, &options, seen_handle, &seen, &seen.id, &kit.error);
		}
		if (status == MF_OK) {
			fake_source_add_many(&kit.fake, bus, 20);
			SEEN_WAIT(&seen, seen.count == 20);
		}
		uint64_t made = mf_mem_count();
		mf_mem_fail_at(0, false);
		assert_true(status == MF_OK || status == MF_ERR_NO_MEMORY);
		if (bus != kit.bus)
			mf_bus_free(bus);
		assert_int_equal(SEEN_GET(&seen, notices), status == MF_OK);
		seen_deinit(&seen);
		if (made < n)
			break;
		assert_true(n < 1000);
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_committed_is_seen_in_order_each_once),
		T(what_was_there_before_is_read_from_the_store_then_it_is_live),
		T(it_begins_where_it_is_told_to),
		T(only_the_topics_that_it_asks_for_are_seen),
		T(events_that_are_stored_but_not_yet_visible_are_not_read),
		T(one_that_wants_synced_events_waits_for_the_sync),
		T(an_event_that_cannot_be_decoded_is_given_as_it_is_stored),
		T(a_follower_waits_for_the_bus_to_get_its_committer),
		T(p1_a_blocked_follower_delays_no_commit_and_no_other_follower_and_misses_nothing),
		T(p3_a_failing_follower_says_so_gets_the_event_again_and_loses_none),
		T(p3_one_that_gives_up_is_stopped_with_its_reason),
		T(a_store_that_cannot_be_read_is_tried_again),
		T(events_that_are_gone_stop_a_follower_that_does_not_ask_for_gaps),
		T(a_gap_is_told_to_who_asks_for_it_and_then_it_goes_on),
		T(what_a_follower_has_not_seen_is_asked_of_compaction),
		T(a_source_that_was_taken_away_has_no_listener_any_more),
		T(p2_a_checkpoint_is_never_ahead_of_what_was_delivered),
		T(it_goes_on_from_its_checkpoint),
		T(one_that_begins_now_begins_there_again_after_a_crash),
		T(an_idle_follower_saves_after_a_while),
		T(a_checkpoint_that_cannot_be_saved_is_reported_and_tried_again),
		T(a_checkpoint_that_cannot_be_saved_is_not_tried_at_each_event),
		T(a_checkpoint_ahead_of_the_store_is_reported_and_set_back),
		T(a_set_back_that_was_not_taken_is_told_again_after_a_restart),
		T(a_set_back_that_a_restart_would_not_find_again_is_saved_before_it_is_told),
		T(a_set_back_from_an_epoch_that_the_store_has_not_had_is_saved_before_it_is_told),
		T(who_begins_at_a_state_that_is_committed_and_not_yet_published_has_lost_nothing),
		T(numbers_given_again_in_a_newer_epoch_are_not_taken_for_seen_ones),
		T(a_checkpoint_that_cannot_be_believed_means_everything_again),
		T(a_follower_may_keep_its_place_itself),
		T(one_that_begins_while_the_committer_comes_knows_what_there_is),
		T(one_that_has_not_begun_is_behind_by_all_that_it_may_be_given),
		T(p2_what_a_handler_has_gathered_only_is_not_counted),
		T(a_publication_without_its_event_is_read_from_the_store),
		T(a_place_may_be_of_a_state_that_is_younger_than_the_follower),
		T(a_place_that_answers_nonsense_is_named),
		T(places_that_cannot_be_are_refused_or_set_back),
		T(a_follower_may_unsubscribe_itself),
		T(unsubscribing_waits_for_the_call_under_way_or_says_that_it_has_not_ended),
		T(stopping_all_saves_and_leaves_them_to_be_seen),
		T(a_follower_can_be_ended_while_it_catches_up),
		T(a_handler_may_not_wait_for_itself),
		T(wrong_options_are_refused_with_a_sentence),
		T(an_incomplete_source_is_refused),
		T(options_of_an_older_caller_get_the_defaults),
		T(no_wake_up_is_lost),
		T(from_full_to_catching_up_to_live_nothing_is_missing_and_nothing_twice),
		T(every_allocation_may_fail),
		T(one_without_a_store_waits_and_nobody_waits_for_it),
		T(one_that_is_tried_again_later_is_not_waited_for),
		T(a_store_is_not_taken_away_while_it_is_read),
		T(two_may_end_the_same_one),
		T(a_bus_waits_for_one_that_ended_itself_and_is_still_at_work),
		T(stopping_all_waits_for_one_that_ended_itself_and_is_still_at_work),
		T(stopping_all_stops_one_that_was_begun_meanwhile),
		T(stopping_all_tells_of_the_first_that_does_not_stop_in_time),
		T(a_plugin_whose_follower_does_not_return_is_not_stopped),
		T(a_store_that_cannot_tell_where_to_begin_is_asked_again),
		T(an_epoch_that_cannot_be_is_refused),
		T(two_of_other_names_may_both_keep_checkpoints),
		T(a_committer_whose_followers_cannot_start_is_refused),
		T(a_thread_is_inside_of_followers_of_its_bus_only),
		T(its_store_may_go_at_any_moment_and_come_back),
		T(a_checkpoint_is_saved_while_it_is_tried_again_and_before_a_nap_is_over),
		T(the_last_checkpoint_is_saved_after_failures_without_a_word),
		T(more_is_promised_only_of_what_will_come),
	};
	return cmocka_run_group_tests_name("followers", tests, NULL, NULL);
}
