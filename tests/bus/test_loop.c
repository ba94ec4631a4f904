/* Followers on the application's loop: the descriptor, turns, what is due by itself. */
#include "follow_kit.h"
#include "bus/bus_parts.h"
#include "sys_fail.h"

#include <errno.h>

#include <sched.h>

#include "tests/memory_fails.h"

static struct mf_follow_options on_loop(const char *name)
{
	struct mf_follow_options options = named(name);
	options.on = MF_FOLLOW_ON_LOOP;
	return options;
}

static void dispatch(size_t max_events)
{
	OK(mf_bus_dispatch(kit.bus, max_events, &kit.error));
}

/* As a loop does: until nothing is to be done now. */
static void run_loop(void)
{
	while (readable(mf_bus_fd(kit.bus), 0))
		dispatch(0);
}

static void the_descriptor_is_readable_when_there_is_something(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	int fd = mf_bus_fd(kit.bus);
	assert_true(fd >= 0);
	assert_false(readable(fd, 0));
	dispatch(0); /* nothing to do is fine */
	follow(&seen, &options);
	assert_true(readable(fd, 0)); /* it wants to begin */
	run_loop();
	assert_false(readable(fd, 0));
	fake_source_add_many(&kit.fake, kit.bus, 3);
	assert_true(readable(fd, 0));
	assert_true(readable(fd, 0)); /* until it is dispatched */
	assert_int_equal(seen.count, 0);
	run_loop();
	assert_int_equal(seen.count, 3);
	assert_int_equal(mf_bus_fd(kit.bus), fd);
	struct mf_subscriber_info info = info_of(seen.id, NULL);
	assert_true(info.on_loop);
	assert_int_equal(info.state, MF_FOLLOWER_LIVE);
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static void it_stays_readable_while_there_is_more_than_was_asked_for(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	follow(&seen, &options);
	run_loop();
	fake_source_add_many(&kit.fake, kit.bus, 10);
	for (int64_t before = 0; before < 10; before = seen.count) {
		assert_true(readable(mf_bus_fd(kit.bus), 0));
		dispatch(3);
		assert_true(seen.count - before <= 3);
	}
	assert_int_equal(seen.count, 10);
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static void several_followers_share_it_and_take_turns(void **state)
{
	(void)state;
	struct seen seen[3];
	struct mf_follow_options options = on_loop("f");
	fake_source_add_many(&kit.fake, kit.bus, 200);
	for (int i = 0; i < 3; i++) {
		seen_init(&seen[i]);
		follow(&seen[i], &options);
	}
	dispatch(3 * 32 + 10);
	for (int i = 0; i < 3; i++)
		assert_true(seen[i].count > 0);
	run_loop();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(seen[i].count, 200);
		OK(mf_bus_unsubscribe(kit.bus, seen[i].id, &kit.error));
		seen_deinit(&seen[i]);
	}
}

static void a_failure_makes_it_readable_again_when_the_delay_is_over(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	seen.fail_times = 3;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	while (seen.count == 0) {
		assert_true(readable(mf_bus_fd(kit.bus), -1));
		dispatch(0);
	}
	assert_int_equal(seen.entered, 4);
	assert_int_equal(info_of(seen.id, NULL).failures, 3);
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static void a_checkpoint_that_is_due_makes_it_readable(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	options.keep_checkpoint = true;
	options.checkpoint_ms = 1;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 2);
	while (fake_source_saved(&kit.fake) != 2) {
		assert_true(readable(mf_bus_fd(kit.bus), -1));
		dispatch(0);
	}
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static void leave(struct seen *seen, const struct mf_publication *publication)
{
	if (publication->lsn == 2)
		OK(mf_bus_unsubscribe(kit.bus, seen->id, &kit.error));
}

static void a_handler_may_unsubscribe_itself_in_the_middle(void **state)
{
	(void)state;
	struct seen seen, other;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	seen_init(&other);
	options.keep_checkpoint = true;
	seen.act = leave;
	follow(&seen, &options);
	options = on_loop("other");
	follow(&other, &options);
	fake_source_add_many(&kit.fake, kit.bus, 4);
	run_loop();
	assert_int_equal(seen.count, 2);
	assert_int_equal(kit.fake.saved_lsn, 2);
	assert_int_equal(other.count, 4);
	OK(mf_bus_unsubscribe(kit.bus, other.id, &kit.error));
	seen_deinit(&seen);
	seen_deinit(&other);
}

static void dispatch_again(struct seen *seen, const struct mf_publication *publication)
{
	(void)seen;
	(void)publication;
	assert_int_equal(mf_bus_dispatch(kit.bus, 0, &kit.error), MF_ERR_STATE);
}

static void dispatching_is_not_done_twice_at_once(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	seen.act = dispatch_again;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	run_loop();
	assert_int_equal(seen.count, 1);
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static enum mf_status place_of_another_store(void *user, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	(void)user, (void)error;
	*out_epoch = 1;
	*out_lsn = 99;
	return MF_OK;
}

/* Though it begins at the first dispatch only, and it cannot be told whether its place was true then. */
static void who_is_set_back_is_given_all_that_came_since_it_follows(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	options.place = place_of_another_store;
	options.topics = MF_TOPICS_FOLLOW;
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	run_loop();
	assert_int_equal(seen.notices, 1);
	assert_int_equal(seen.notice_from, 1);
	assert_int_equal(seen.count, 5);
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static struct mf_bus *inner_bus;
static enum mf_status waited;

static void wait_for_the_outer(struct seen *seen, const struct mf_publication *publication)
{
	(void)seen, (void)publication;
	waited = mf_bus_await_followers(kit.bus, -1, NULL);
}

static void run_the_inner_loop(struct seen *seen, const struct mf_publication *publication)
{
	(void)seen, (void)publication;
	while (readable(mf_bus_fd(inner_bus), 0))
		OK(mf_bus_dispatch(inner_bus, 0, &kit.error));
	assert_true(mf_bus_inside_follower(kit.bus));
	assert_false(mf_bus_inside_follower(inner_bus));
}

/* A handler that runs another bus's loop is still a handler of its own. */
static void a_handler_inside_a_handlers_loop_is_inside_both(void **state)
{
	(void)state;
	struct fake_source source;
	struct seen outer, inner;
	struct mf_follow_options options = on_loop("f");
	uint64_t id;
	seen_init(&outer);
	seen_init(&inner);
	fake_source_init(&source);
	OK(mf_bus_new(&inner_bus));
	OK(mf_bus_set_committer(inner_bus, &source.committer, &kit.error));
	inner.act = wait_for_the_outer;
	OK(mf_bus_follow(inner_bus, &options, seen_handle, &inner, &id, &kit.error));
	fake_source_add(&source, inner_bus, MF_ACTION_APPLY);
	outer.act = run_the_inner_loop;
	follow(&outer, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	waited = MF_OK;
	run_loop();
	assert_int_equal(inner.count, 1);
	assert_int_equal(waited, MF_ERR_STATE);
	assert_false(mf_bus_inside_follower(kit.bus));
	mf_bus_free(inner_bus);
	fake_source_deinit(&source);
	OK(mf_bus_unsubscribe(kit.bus, outer.id, &kit.error));
	seen_deinit(&outer);
	seen_deinit(&inner);
}

static void one_that_gives_up_leaves_the_loop_quiet(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	options.give_up_after = 1;
	seen.fail_times = -1;
	follow(&seen, &options);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	run_loop();
	assert_int_equal(info_of(seen.id, NULL).state, MF_FOLLOWER_STOPPED);
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	assert_false(readable(mf_bus_fd(kit.bus), 0));
	OK(mf_bus_stop_followers(kit.bus, 0, &kit.error));
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static void *publish_all(void *user)
{
	for (int i = 0; i < *(int *)user; i++) {
		fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
		if (i % 3 == 0)
			sched_yield();
	}
	return NULL;
}

static void no_wake_up_is_lost(void **state)
{
	(void)state;
	struct seen seen;
	pthread_t thread;
	int count = 5000;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	options.queue_events = 64;
	follow(&seen, &options);
	assert_int_equal(pthread_create(&thread, NULL, publish_all, &count), 0);
	while (seen.count < count) {
		assert_true(readable(mf_bus_fd(kit.bus), -1));
		dispatch(7);
	}
	pthread_join(thread, NULL);
	run_loop();
	assert_int_equal(seen.count, count);
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static void one_with_a_thread_of_its_own_is_not_the_loops_business(void **state)
{
	(void)state;
	struct seen own, seen;
	struct mf_follow_options thread = named("thread"), options = on_loop("loop");
	seen_init(&own);
	seen_init(&seen);
	follow(&own, &thread);
	follow(&seen, &options);
	fake_source_add_many(&kit.fake, kit.bus, 5);
	SEEN_WAIT(&own, own.count == 5);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error)); /* it waits for threads only: this one might be the loop's */
	assert_int_equal(seen.count, 0);
	mf_bus_abandon_followers(kit.bus); /* nobody is at work for the loop's */
	OK(mf_bus_dispatch(kit.bus, 100, &kit.error));
	assert_int_equal(seen.count, 5);
	OK(mf_bus_stop_followers(kit.bus, -1, &kit.error));
	fake_source_add(&kit.fake, kit.bus, MF_ACTION_APPLY);
	OK(mf_bus_await_followers(kit.bus, -1, &kit.error)); /* nor for those that were stopped */
	OK(mf_bus_unsubscribe(kit.bus, own.id, &kit.error));
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&own);
	seen_deinit(&seen);
}

static void without_descriptors_there_is_no_loop(void **state)
{
	(void)state;
	static const enum sys_call calls[] = {SYS_EPOLL_CREATE, SYS_EVENTFD, SYS_TIMERFD, SYS_EPOLL_CTL, SYS_EPOLL_CTL};
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	uint64_t id;
	seen_init(&seen);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int n = i == 4 ? 2 : 1;
		sys_fail(calls[i], n, EMFILE);
		assert_int_equal(mf_bus_fd(kit.bus), -1);
		sys_fail(calls[i], n, EMFILE);
		assert_int_equal(mf_bus_follow(kit.bus, &options, seen_handle, &seen, &id, &kit.error), MF_ERR_IO);
		assert_non_null(strstr(kit.error.message, "no descriptor"));
		sys_fail(calls[i], 0, 0);
	}
	OK(mf_bus_dispatch(kit.bus, 0, &kit.error)); /* nobody is on a loop: nothing to do */
	assert_true(mf_bus_fd(kit.bus) >= 0);
	seen_deinit(&seen);
}

static void without_a_store_there_is_nothing_to_dispatch(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	fake_source_add_many(&kit.fake, kit.bus, 3);
	OK(mf_bus_set_committer(kit.bus, NULL, &kit.error));
	follow(&seen, &options);
	OK(mf_bus_dispatch(kit.bus, 10, &kit.error));
	assert_int_equal(seen.entered, 0);
	assert_false(readable(mf_bus_fd(kit.bus), 0));
	OK(mf_bus_set_committer(kit.bus, &kit.fake.committer, &kit.error));
	assert_true(readable(mf_bus_fd(kit.bus), -1));
	OK(mf_bus_dispatch(kit.bus, 10, &kit.error));
	assert_int_equal(seen.count, 3);
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static void that_it_was_set_back_is_told_in_a_turn_of_its_own_and_again_if_that_fails(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	fake_source_add_many(&kit.fake, kit.bus, 3);
	options.topics = MF_TOPICS_FOLLOW;
	options.from = MF_FOLLOW_FROM_PLACE;
	options.start_lsn = 9;
	seen.fail_times = 1;
	follow(&seen, &options);
	OK(mf_bus_dispatch(kit.bus, 1, &kit.error)); /* it begins */
	assert_int_equal(seen.entered, 0);
	assert_true(readable(mf_bus_fd(kit.bus), 0));
	OK(mf_bus_dispatch(kit.bus, 1, &kit.error));
	assert_int_equal(seen.entered, 1);
	assert_int_equal(seen.notices, 0);
	assert_true(readable(mf_bus_fd(kit.bus), -1)); /* when the delay is over */
	OK(mf_bus_dispatch(kit.bus, 1, &kit.error));
	assert_int_equal(seen.notices, 1);
	assert_int_equal(seen.notice_topic, MF_NOTICE_SET_BACK);
	OK(mf_bus_unsubscribe(kit.bus, seen.id, &kit.error));
	seen_deinit(&seen);
}

static void without_memory_there_is_no_descriptor_and_no_follower(void **state)
{
	(void)state;
	struct seen seen;
	struct mf_follow_options options = on_loop("f");
	seen_init(&seen);
	mf_mem_fail_at(1, false);
	assert_int_equal(mf_bus_fd(kit.bus), -1);
	bool failed = true;
	for (uint64_t n = 1; failed; n++) {
		uint64_t id;
		memory_fails_at(n);
		enum mf_status status = mf_bus_follow(kit.bus, &options, seen_handle, &seen, &id, &kit.error);
		failed = memory_failed(n);
		if (status == MF_OK)
			OK(mf_bus_unsubscribe(kit.bus, id, &kit.error));
		else
			assert_int_equal(status, MF_ERR_NO_MEMORY);
		assert_true(n < 30);
	}
	seen_deinit(&seen);
}

#define T(test) cmocka_unit_test_setup_teardown(test, kit_set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_descriptor_is_readable_when_there_is_something),
		T(it_stays_readable_while_there_is_more_than_was_asked_for),
		T(several_followers_share_it_and_take_turns),
		T(a_failure_makes_it_readable_again_when_the_delay_is_over),
		T(a_checkpoint_that_is_due_makes_it_readable),
		T(a_handler_may_unsubscribe_itself_in_the_middle),
		T(dispatching_is_not_done_twice_at_once),
		T(a_handler_inside_a_handlers_loop_is_inside_both),
		T(who_is_set_back_is_given_all_that_came_since_it_follows),
		T(one_that_gives_up_leaves_the_loop_quiet),
		T(no_wake_up_is_lost),
		T(one_with_a_thread_of_its_own_is_not_the_loops_business),
		T(without_descriptors_there_is_no_loop),
		T(without_a_store_there_is_nothing_to_dispatch),
		T(that_it_was_set_back_is_told_in_a_turn_of_its_own_and_again_if_that_fails),
		T(without_memory_there_is_no_descriptor_and_no_follower),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
