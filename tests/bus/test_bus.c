/* The bus: guards, the committer, followers; subscribers that come and go. */
#include <moduforge/bus.h>

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bus/publication.h"
#include "model/mem.h"
#include "model/transaction.h"

/* ---- a committer that writes down what it was asked ---- */
struct fake {
	struct mf_committer committer;
	int commits, releases;
	size_t last_count;
	enum mf_commit_kind last_mode;
	enum mf_status answer;
};

static void fake_release(void *user, struct mf_reservation *reservation)
{
	assert_non_null(reservation);
	((struct fake *)user)->releases++;
}

static enum mf_status fake_commit(void *user, struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error)
{
	struct fake *fake = user;
	(void)proposals;
	(void)out_ticket;
	fake->commits++;
	fake->last_count = count;
	fake->last_mode = mode;
	return fake->answer == MF_OK ? MF_OK : mf_error_set(error, fake->answer, "as the test says");
}

struct fixture {
	struct mf_bus *bus;
	struct fake fake;
	struct mf_proposal proposals[2];
	struct mf_error error;
	char log[400];
};

static int setup(void **state)
{
	struct fixture *f = mf_calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(mf_bus_new(&f->bus), MF_OK);
	f->fake.committer = (struct mf_committer){.size = sizeof(f->fake.committer), .name = "fake", .user = &f->fake, .release = fake_release, .commit = fake_commit};
	assert_int_equal(mf_bus_set_committer(f->bus, &f->fake.committer, &f->error), MF_OK);
	for (size_t i = 0; i < 2; i++)
		f->proposals[i] = (struct mf_proposal){.doc_id = i ? "second" : "first", .reservation = (struct mf_reservation *)&f->proposals[i]};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	mf_bus_free(f->bus);
	mf_free(f);
	return 0;
}

static enum mf_status commit(struct fixture *f, size_t count)
{
	struct mf_ticket *ticket = NULL;
	return mf_bus_commit(f->bus, f->proposals, count, MF_COMMIT_SYNC_DURABLE, &ticket, &f->error);
}

static void publish(struct fixture *f, enum mf_topic topic, int64_t lsn)
{
	const struct mf_publication publication = {.topic = topic, .doc_id = "d", .lsn = lsn};
	mf_bus_publish(f->bus, &publication);
}

/* ---- subscribers that write down that they were called ---- */
struct note {
	struct fixture *f;
	const char *name;
	enum mf_status answer;
	const char *message;
	uint64_t id;
};

static enum mf_status note_publication(void *user, const struct mf_publication *publication)
{
	struct note *note = user;
	size_t len = strlen(note->f->log);
	snprintf(note->f->log + len, sizeof(note->f->log) - len, "%s%lld ", note->name, (long long)publication->lsn);
	assert_true(mf_bus_in_callback());
	return note->answer;
}

static enum mf_status note_proposal(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	struct note *note = user;
	size_t len = strlen(note->f->log);
	snprintf(note->f->log + len, sizeof(note->f->log) - len, "%s:%s ", note->name, proposal->doc_id);
	if (note->answer != MF_OK && note->message)
		return mf_error_set(error, note->answer, "%s", note->message);
	return note->answer;
}

static void follow(struct fixture *f, const char *name, uint32_t topics, struct note *storage)
{
	*storage = (struct note){.f = f, .name = name};
	assert_int_equal(mf_bus_subscribe(f->bus, name, topics, note_publication, storage, &storage->id, &f->error), MF_OK);
}

static void guard(struct fixture *f, const char *name, struct note *storage)
{
	*storage = (struct note){.f = f, .name = name};
	assert_int_equal(mf_bus_add_guard(f->bus, name, note_proposal, storage, &storage->id, &f->error), MF_OK);
}

static bool find_info(void *user, const struct mf_subscriber_info *info)
{
	struct mf_subscriber_info *wanted = user;
	if (info->id == wanted->id)
		*wanted = *info;
	return info->id != wanted->id;
}

static struct mf_subscriber_info info_of(struct fixture *f, uint64_t id)
{
	struct mf_subscriber_info info = {.id = id};
	mf_bus_subscribers(f->bus, find_info, &info);
	return info;
}

static bool count_one(void *user, const struct mf_subscriber_info *info)
{
	(void)info;
	++*(size_t *)user;
	return true;
}

static size_t subscriber_count(struct mf_bus *bus)
{
	size_t count = 0;
	mf_bus_subscribers(bus, count_one, &count);
	return count;
}

/* ---- committing ---- */
static void guards_are_asked_in_order_for_each_proposal_and_then_the_committer(void **state)
{
	struct fixture *f = *state;
	struct note a, b;
	guard(f, "a", &a);
	guard(f, "b", &b);
	assert_int_equal(commit(f, 2), MF_OK);
	assert_string_equal(f->log, "a:first b:first a:second b:second ");
	assert_int_equal(f->fake.commits, 1);
	assert_int_equal(f->fake.last_count, 2);
	assert_int_equal(f->fake.last_mode, MF_COMMIT_SYNC_DURABLE);
	assert_int_equal(f->fake.releases, 0);
}

static void f10_the_first_guard_that_refuses_ends_the_commit_and_nothing_is_stored(void **state)
{
	struct fixture *f = *state;
	struct note a, b;
	guard(f, "schema", &a);
	guard(f, "later", &b);
	a.answer = MF_ERR_INVALID;
	a.message = "no such field";
	assert_int_equal(commit(f, 2), MF_ERR_INVALID);
	assert_string_equal(f->log, "schema:first ");
	assert_string_equal(f->error.message, "guard schema: no such field");
	assert_int_equal(f->error.status, MF_ERR_INVALID);
	assert_int_equal(f->fake.commits, 0);
	assert_int_equal(f->fake.releases, 2);
	assert_int_equal(info_of(f, a.id).failures, 1);
}

static void a_guard_that_refuses_without_a_word_still_gives_a_sentence(void **state)
{
	struct fixture *f = *state;
	struct note a;
	guard(f, "mute", &a);
	a.answer = MF_ERR_CONFLICT;
	assert_int_equal(commit(f, 1), MF_ERR_CONFLICT);
	assert_string_equal(f->error.message, "guard mute failed with MF_ERR_CONFLICT and gave no reason");
}

static void a_guard_that_returns_an_unknown_status_is_a_plugin_error(void **state)
{
	struct fixture *f = *state;
	struct note a;
	guard(f, "odd", &a);
	a.answer = (enum mf_status)99;
	assert_int_equal(commit(f, 1), MF_ERR_PLUGIN);
	assert_non_null(strstr(f->error.message, "guard odd"));
	assert_non_null(strstr(f->error.message, "99"));
	assert_int_equal(f->fake.releases, 1);
}

static void a_guards_refusal_needs_no_error_to_write_to(void **state)
{
	struct fixture *f = *state;
	struct note a;
	struct mf_ticket *ticket = NULL;
	guard(f, "a", &a);
	a.answer = MF_ERR_INVALID;
	a.message = "no";
	assert_int_equal(mf_bus_commit(f->bus, f->proposals, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL), MF_ERR_INVALID);
}

static void without_a_committer_a_commit_is_a_state_error(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(mf_bus_set_committer(f->bus, NULL, &f->error), MF_OK);
	assert_null(mf_bus_committer(f->bus));
	assert_int_equal(commit(f, 1), MF_ERR_STATE);
	assert_non_null(strstr(f->error.message, "no committer"));
}

static void a_second_committer_is_a_state_error_and_the_first_stays(void **state)
{
	struct fixture *f = *state;
	struct mf_committer other = f->fake.committer;
	assert_int_equal(mf_bus_set_committer(f->bus, &other, &f->error), MF_ERR_STATE);
	assert_non_null(strstr(f->error.message, "fake"));
	assert_ptr_equal(mf_bus_committer(f->bus), &f->fake.committer);
}

static void an_incomplete_committer_is_refused(void **state)
{
	struct fixture *f = *state;
	struct mf_committer other = f->fake.committer;
	assert_int_equal(mf_bus_set_committer(f->bus, NULL, &f->error), MF_OK);
	other.size = 8;
	assert_int_equal(mf_bus_set_committer(f->bus, &other, &f->error), MF_ERR_INVALID);
	other = f->fake.committer;
	other.commit = NULL;
	assert_int_equal(mf_bus_set_committer(f->bus, &other, &f->error), MF_ERR_INVALID);
	assert_null(mf_bus_committer(f->bus));
}

static void an_empty_batch_is_refused(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(commit(f, 0), MF_ERR_INVALID);
	assert_int_equal(f->fake.commits, 0);
}

static void the_committers_error_reaches_the_caller_and_its_reservations_are_its_own(void **state)
{
	struct fixture *f = *state;
	f->fake.answer = MF_ERR_STORAGE_FULL;
	assert_int_equal(commit(f, 1), MF_ERR_STORAGE_FULL);
	assert_string_equal(f->error.message, "as the test says");
	assert_int_equal(f->fake.releases, 0);
}

/* ---- publishing ---- */
static void followers_are_called_in_order_for_their_topics(void **state)
{
	struct fixture *f = *state;
	struct note a, b, c, d;
	follow(f, "a", MF_TOPICS_ALL, &a);
	follow(f, "b", MF_TR_UNDO, &b);
	follow(f, "c", MF_TOPICS_EVENTS, &c);
	guard(f, "d", &d);
	publish(f, MF_TR_APPLY, 1);
	publish(f, MF_TR_UNDO, 2);
	publish(f, MF_NOTICE_CLOSE, 0);
	assert_string_equal(f->log, "a1 c1 a2 b2 c2 a0 ");
	assert_int_equal(info_of(f, a.id).delivered, 3);
	assert_int_equal(info_of(f, a.id).last_lsn, 2);
	assert_int_equal(info_of(f, b.id).delivered, 1);
	assert_string_equal(info_of(f, b.id).name, "b");
	assert_int_equal(info_of(f, b.id).topics, MF_TR_UNDO);
	assert_false(mf_bus_in_callback());
}

static void a_snapshot_notice_does_not_move_the_last_lsn(void **state)
{
	struct fixture *f = *state;
	struct note a;
	follow(f, "a", MF_TOPICS_ALL, &a);
	publish(f, MF_TR_APPLY, 7);
	publish(f, MF_NOTICE_SNAPSHOT, 3);
	assert_int_equal(info_of(f, a.id).last_lsn, 7);
}

static void f3_a_followers_failure_is_counted_and_holds_up_nobody(void **state)
{
	struct fixture *f = *state;
	struct note a, b;
	follow(f, "a", MF_TOPICS_ALL, &a);
	follow(f, "b", MF_TOPICS_ALL, &b);
	a.answer = MF_ERR_IO;
	publish(f, MF_TR_APPLY, 1);
	a.answer = (enum mf_status)1234;
	publish(f, MF_TR_APPLY, 2);
	a.answer = MF_OK;
	publish(f, MF_TR_APPLY, 3);
	assert_string_equal(f->log, "a1 b1 a2 b2 a3 b3 ");
	assert_int_equal(info_of(f, a.id).failures, 2);
	assert_int_equal(info_of(f, b.id).failures, 0);
}

static void wrong_subscriptions_are_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t id = 77;
	assert_int_equal(mf_bus_subscribe(f->bus, NULL, MF_TR_APPLY, note_publication, NULL, &id, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_bus_subscribe(f->bus, "", MF_TR_APPLY, note_publication, NULL, &id, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_bus_subscribe(f->bus, "a", 0, note_publication, NULL, &id, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_bus_subscribe(f->bus, "a", 0x100, note_publication, NULL, &id, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_bus_subscribe(f->bus, "a", MF_TR_APPLY, NULL, NULL, &id, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_bus_add_guard(f->bus, "", note_proposal, NULL, &id, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_bus_add_guard(f->bus, "a", NULL, NULL, &id, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_bus_unsubscribe(f->bus, 12, &f->error), MF_ERR_NOT_FOUND);
	assert_int_equal(id, 77);
	assert_int_equal(subscriber_count(f->bus), 0);
}

/* ---- from inside a handler ---- */
struct inside {
	struct fixture *f;
	enum mf_status status;
	uint64_t id, other;
	int calls;
	struct note late;
};

static enum mf_status try_to_commit(void *user, const struct mf_publication *publication)
{
	struct inside *inside = user;
	(void)publication;
	inside->status = commit(inside->f, 2);
	return MF_OK;
}

static void a_commit_from_inside_a_handler_is_a_state_error_and_gives_the_reservations_back(void **state)
{
	struct fixture *f = *state;
	struct inside inside = {.f = f};
	assert_int_equal(mf_bus_subscribe(f->bus, "a", MF_TOPICS_ALL, try_to_commit, &inside, &inside.id, &f->error), MF_OK);
	publish(f, MF_TR_APPLY, 1);
	assert_int_equal(inside.status, MF_ERR_STATE);
	assert_int_equal(f->fake.commits, 0);
	assert_int_equal(f->fake.releases, 2);
	assert_int_equal(commit(f, 1), MF_OK);
}

static enum mf_status try_to_commit_in_guard(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	struct inside *inside = user;
	(void)proposal;
	(void)error;
	struct mf_ticket *ticket = NULL;
	inside->status = mf_bus_commit(inside->f->bus, &(struct mf_proposal){.doc_id = "x"}, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL);
	return MF_OK;
}

static void a_commit_from_inside_a_guard_is_a_state_error(void **state)
{
	struct fixture *f = *state;
	struct inside inside = {.f = f};
	assert_int_equal(mf_bus_add_guard(f->bus, "a", try_to_commit_in_guard, &inside, &inside.id, &f->error), MF_OK);
	assert_int_equal(commit(f, 1), MF_OK);
	assert_int_equal(inside.status, MF_ERR_STATE);
	assert_int_equal(f->fake.commits, 1);
}

static enum mf_status publish_again(void *user, const struct mf_publication *publication)
{
	struct inside *inside = user;
	inside->calls++;
	mf_bus_publish(inside->f->bus, publication);
	return MF_OK;
}

static void a_publication_from_inside_a_handler_is_not_delivered_and_counts_against_it(void **state)
{
	struct fixture *f = *state;
	struct inside inside = {.f = f};
	assert_int_equal(mf_bus_subscribe(f->bus, "a", MF_TOPICS_ALL, publish_again, &inside, &inside.id, &f->error), MF_OK);
	publish(f, MF_TR_APPLY, 1);
	assert_int_equal(inside.calls, 1);
	assert_int_equal(info_of(f, inside.id).failures, 1);
	assert_int_equal(info_of(f, inside.id).delivered, 1);
}

static enum mf_status leave(void *user, const struct mf_publication *publication)
{
	struct inside *inside = user;
	(void)publication;
	inside->calls++;
	inside->status = mf_bus_unsubscribe(inside->f->bus, inside->other ? inside->other : inside->id, &inside->f->error);
	return MF_OK;
}

static void a_handler_can_remove_itself_and_is_not_called_again(void **state)
{
	struct fixture *f = *state;
	struct inside inside = {.f = f};
	struct note after;
	assert_int_equal(mf_bus_subscribe(f->bus, "a", MF_TOPICS_ALL, leave, &inside, &inside.id, &f->error), MF_OK);
	follow(f, "b", MF_TOPICS_ALL, &after);
	publish(f, MF_TR_APPLY, 1);
	publish(f, MF_TR_APPLY, 2);
	assert_int_equal(inside.calls, 1);
	assert_int_equal(inside.status, MF_OK);
	assert_string_equal(f->log, "b1 b2 ");
	assert_int_equal(subscriber_count(f->bus), 1);
}

static void a_handler_can_remove_a_later_one_which_is_then_not_called_for_this_publication(void **state)
{
	struct fixture *f = *state;
	struct inside inside = {.f = f};
	struct note after;
	assert_int_equal(mf_bus_subscribe(f->bus, "a", MF_TOPICS_ALL, leave, &inside, &inside.id, &f->error), MF_OK);
	follow(f, "b", MF_TOPICS_ALL, &after);
	inside.other = after.id;
	publish(f, MF_TR_APPLY, 1);
	assert_int_equal(inside.status, MF_OK);
	assert_string_equal(f->log, "");
	publish(f, MF_TR_APPLY, 2);
	assert_int_equal(inside.status, MF_ERR_NOT_FOUND);
}

static enum mf_status add_another(void *user, const struct mf_publication *publication)
{
	struct inside *inside = user;
	(void)publication;
	if (inside->calls++ == 0)
		follow(inside->f, "late", MF_TOPICS_ALL, &inside->late);
	return MF_OK;
}

static void a_subscriber_that_a_handler_adds_sees_the_next_publication_not_this_one(void **state)
{
	struct fixture *f = *state;
	struct inside inside = {.f = f};
	assert_int_equal(mf_bus_subscribe(f->bus, "a", MF_TOPICS_ALL, add_another, &inside, &inside.id, &f->error), MF_OK);
	publish(f, MF_TR_APPLY, 1);
	assert_string_equal(f->log, "");
	publish(f, MF_TR_APPLY, 2);
	assert_string_equal(f->log, "late2 ");
}

/* ---- threads ---- */
struct gate {
	struct fixture *f;
	sem_t entered, go_on;
	atomic_bool left;
	uint64_t id;
	bool was_left_when_unsubscribed;
};

static enum mf_status wait_at_the_gate(void *user, const struct mf_publication *publication)
{
	struct gate *gate = user;
	(void)publication;
	sem_post(&gate->entered);
	sem_wait(&gate->go_on);
	atomic_store(&gate->left, true);
	return MF_OK;
}

static void *publish_one(void *user)
{
	publish(((struct gate *)user)->f, MF_TR_APPLY, 1);
	return NULL;
}

static void *unsubscribe_the_gate(void *user)
{
	struct gate *gate = user;
	struct mf_error error;
	assert_int_equal(mf_bus_unsubscribe(gate->f->bus, gate->id, &error), MF_OK);
	gate->was_left_when_unsubscribed = atomic_load(&gate->left);
	return NULL;
}

/* The handler is let go only after the subscriber is gone from the bus: so the unsubscriber is waiting then, or has
 * returned too early, which the flag tells. */
static void unsubscribing_waits_for_the_call_in_flight_in_another_thread(void **state)
{
	struct fixture *f = *state;
	struct gate gate = {.f = f};
	pthread_t publisher, unsubscriber;
	sem_init(&gate.entered, 0, 0);
	sem_init(&gate.go_on, 0, 0);
	assert_int_equal(mf_bus_subscribe(f->bus, "gate", MF_TOPICS_ALL, wait_at_the_gate, &gate, &gate.id, &f->error), MF_OK);
	assert_int_equal(pthread_create(&publisher, NULL, publish_one, &gate), 0);
	sem_wait(&gate.entered);
	assert_int_equal(pthread_create(&unsubscriber, NULL, unsubscribe_the_gate, &gate), 0);
	while (subscriber_count(f->bus) > 0)
		sched_yield();
	sem_post(&gate.go_on);
	pthread_join(unsubscriber, NULL);
	pthread_join(publisher, NULL);
	assert_true(gate.was_left_when_unsubscribed);
	sem_destroy(&gate.entered);
	sem_destroy(&gate.go_on);
}

#define ROUNDS 400

struct crowd {
	struct fixture *f;
	atomic_int wrong;
};

struct member {
	struct crowd *crowd;
	bool alive; /* not atomic on purpose: unsubscribing must order it */
};

static enum mf_status member_called(void *user, const struct mf_publication *publication)
{
	struct member *member = user;
	(void)publication;
	if (!member->alive)
		atomic_fetch_add(&member->crowd->wrong, 1);
	return MF_OK;
}

static enum mf_status member_asked(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	(void)proposal;
	(void)error;
	return member_called(user, NULL);
}

static void *come_and_go(void *user)
{
	struct crowd *crowd = user;
	for (int i = 0; i < ROUNDS; i++) {
		struct member member = {.crowd = crowd, .alive = true};
		uint64_t follower, guard_id;
		if (mf_bus_subscribe(crowd->f->bus, "member", MF_TOPICS_ALL, member_called, &member, &follower, NULL) != MF_OK ||
		    mf_bus_add_guard(crowd->f->bus, "member", member_asked, &member, &guard_id, NULL) != MF_OK ||
		    mf_bus_unsubscribe(crowd->f->bus, follower, NULL) != MF_OK || mf_bus_unsubscribe(crowd->f->bus, guard_id, NULL) != MF_OK)
			atomic_fetch_add(&crowd->wrong, 1);
		member.alive = false;
	}
	return NULL;
}

static void *publish_many(void *user)
{
	struct crowd *crowd = user;
	for (int i = 1; i <= ROUNDS; i++)
		publish(crowd->f, MF_TR_APPLY, i);
	return NULL;
}

static void *commit_many(void *user)
{
	struct crowd *crowd = user;
	struct mf_proposal proposal = {.doc_id = "d"};
	struct mf_ticket *ticket = NULL;
	for (int i = 0; i < ROUNDS; i++)
		if (mf_bus_commit(crowd->f->bus, &proposal, 1, MF_COMMIT_MEMORY_ONLY, &ticket, NULL) != MF_OK)
			atomic_fetch_add(&crowd->wrong, 1);
	return NULL;
}

static void threads_that_subscribe_unsubscribe_publish_and_commit_at_once_never_call_who_has_left(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = {.f = f};
	void *(*const work[])(void *) = {come_and_go, come_and_go, publish_many, commit_many};
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work[i], &crowd), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&crowd.wrong), 0);
	assert_int_equal(f->fake.commits, ROUNDS);
	assert_int_equal(subscriber_count(f->bus), 0);
}

/* ---- publications made from proposals ---- */
static void a_committed_proposal_becomes_an_event_and_a_failed_one_a_notice(void **state)
{
	(void)state;
	struct mf_transaction *transaction;
	struct mf_error error = {.status = MF_ERR_IO, .message = "disk"};
	assert_int_equal(mf_transaction_new(&transaction), MF_OK);
	mf_transaction_set_action(transaction, MF_ACTION_UNDO, 3);
	const struct mf_proposal proposal = {.doc_id = "d", .transaction = transaction};
	struct mf_commit_result result = {.status = MF_OK, .lsn = 4, .epoch = 2, .ts_us = 9};
	struct mf_publication publication = mf_publication_of(&proposal, &result);
	assert_int_equal(publication.topic, MF_TR_UNDO);
	assert_int_equal(publication.lsn, 4);
	assert_int_equal(publication.epoch, 2);
	result = (struct mf_commit_result){.status = MF_ERR_IO, .error = &error};
	publication = mf_publication_of(&proposal, &result);
	assert_int_equal(publication.topic, MF_NOTICE_TR_FAILED);
	assert_int_equal(publication.status, MF_ERR_IO);
	assert_string_equal(publication.message, "disk");
	assert_int_equal(publication.lsn, 0);
	assert_int_equal(mf_topic_of_action(MF_ACTION_APPLY), MF_TR_APPLY);
	assert_int_equal(mf_topic_of_action(MF_ACTION_REDO), MF_TR_REDO);
	mf_transaction_free(transaction);
}

/* ---- memory ---- */
static void every_allocation_that_fails_in_subscribing_leaves_the_bus_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct note a, b;
	follow(f, "a", MF_TOPICS_ALL, &a);
	b = (struct note){.f = f, .name = "b"};
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 1;
	for (; status == MF_ERR_NO_MEMORY; n++) {
		mf_mem_fail_at(n, false);
		status = mf_bus_subscribe(f->bus, "b", MF_TOPICS_ALL, note_publication, &b, &b.id, &f->error);
		mf_mem_fail_at(0, false);
		assert_int_equal(subscriber_count(f->bus), status == MF_OK ? 2 : 1);
	}
	assert_int_equal(status, MF_OK);
	assert_true(n > 3);
	for (n = 1, status = MF_ERR_NO_MEMORY; status == MF_ERR_NO_MEMORY; n++) {
		mf_mem_fail_at(n, false);
		status = mf_bus_add_guard(f->bus, "c", note_proposal, &b, &b.id, &f->error);
		mf_mem_fail_at(0, false);
	}
	assert_int_equal(status, MF_OK);
	assert_true(n > 3);
}

static void unsubscribing_works_when_there_is_no_memory_at_all(void **state)
{
	struct fixture *f = *state;
	struct note a, b;
	follow(f, "a", MF_TOPICS_ALL, &a);
	follow(f, "b", MF_TOPICS_ALL, &b);
	mf_mem_fail_at(1, true);
	enum mf_status status = mf_bus_unsubscribe(f->bus, a.id, &f->error);
	enum mf_status again = mf_bus_unsubscribe(f->bus, a.id, &f->error);
	publish(f, MF_TR_APPLY, 1);
	mf_mem_fail_at(0, false);
	assert_int_equal(status, MF_OK);
	assert_int_equal(again, MF_ERR_NOT_FOUND);
	assert_string_equal(f->log, "b1 ");
	assert_int_equal(subscriber_count(f->bus), 1);
	follow(f, "a", MF_TOPICS_ALL, &a);
	assert_int_equal(subscriber_count(f->bus), 2);
}

static void a_bus_without_memory_is_an_error(void **state)
{
	(void)state;
	struct mf_bus *bus = NULL;
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 1;
	for (; status == MF_ERR_NO_MEMORY; n++) {
		mf_mem_fail_at(n, false);
		status = mf_bus_new(&bus);
		mf_mem_fail_at(0, false);
		assert_int_equal(bus != NULL, status == MF_OK);
	}
	assert_true(n > 3);
	mf_bus_free(bus);
	mf_bus_free(NULL);
}

static struct {
	struct mf_bus *bus;
	uint64_t other;
} guards;

static enum mf_status take_the_other_away(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	(void)user, (void)proposal;
	return mf_bus_unsubscribe(guards.bus, guards.other, error);
}

static enum mf_status refuse_all(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	(void)user, (void)proposal;
	return mf_error_set(error, MF_ERR_INVALID, "never");
}

static void a_guard_that_was_taken_away_meanwhile_is_not_asked(void **state)
{
	struct fixture *f = *state;
	uint64_t first;
	guards.bus = f->bus;
	assert_int_equal(mf_bus_add_guard(f->bus, "first", take_the_other_away, NULL, &first, &f->error), MF_OK);
	assert_int_equal(mf_bus_add_guard(f->bus, "other", refuse_all, NULL, &guards.other, &f->error), MF_OK);
	assert_int_equal(commit(f, 1), MF_OK);
	assert_int_equal(f->fake.commits, 1);
}

static void a_committer_without_a_name_a_commit_or_a_release_is_refused(void **state)
{
	struct fixture *f = *state;
	struct mf_committer nameless = f->fake.committer, idle = nameless, greedy = nameless;
	assert_int_equal(mf_bus_set_committer(f->bus, NULL, &f->error), MF_OK);
	nameless.name = NULL;
	idle.commit = NULL;
	greedy.release = NULL;
	assert_int_equal(mf_bus_set_committer(f->bus, &nameless, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_bus_set_committer(f->bus, &idle, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_bus_set_committer(f->bus, &greedy, &f->error), MF_ERR_INVALID);
	assert_null(mf_bus_committer(f->bus));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(guards_are_asked_in_order_for_each_proposal_and_then_the_committer),
		T(f10_the_first_guard_that_refuses_ends_the_commit_and_nothing_is_stored),
		T(a_guard_that_refuses_without_a_word_still_gives_a_sentence),
		T(a_guard_that_returns_an_unknown_status_is_a_plugin_error),
		T(a_guards_refusal_needs_no_error_to_write_to),
		T(without_a_committer_a_commit_is_a_state_error),
		T(a_second_committer_is_a_state_error_and_the_first_stays),
		T(an_incomplete_committer_is_refused),
		T(an_empty_batch_is_refused),
		T(the_committers_error_reaches_the_caller_and_its_reservations_are_its_own),
		T(followers_are_called_in_order_for_their_topics),
		T(a_snapshot_notice_does_not_move_the_last_lsn),
		T(f3_a_followers_failure_is_counted_and_holds_up_nobody),
		T(wrong_subscriptions_are_refused),
		T(a_commit_from_inside_a_handler_is_a_state_error_and_gives_the_reservations_back),
		T(a_commit_from_inside_a_guard_is_a_state_error),
		T(a_publication_from_inside_a_handler_is_not_delivered_and_counts_against_it),
		T(a_handler_can_remove_itself_and_is_not_called_again),
		T(a_handler_can_remove_a_later_one_which_is_then_not_called_for_this_publication),
		T(a_subscriber_that_a_handler_adds_sees_the_next_publication_not_this_one),
		T(unsubscribing_waits_for_the_call_in_flight_in_another_thread),
		T(threads_that_subscribe_unsubscribe_publish_and_commit_at_once_never_call_who_has_left),
		cmocka_unit_test(a_committed_proposal_becomes_an_event_and_a_failed_one_a_notice),
		T(every_allocation_that_fails_in_subscribing_leaves_the_bus_as_it_was),
		T(unsubscribing_works_when_there_is_no_memory_at_all),
		cmocka_unit_test(a_bus_without_memory_is_an_error),
		T(a_guard_that_was_taken_away_meanwhile_is_not_asked),
		T(a_committer_without_a_name_a_commit_or_a_release_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
