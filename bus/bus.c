/* bus.c - commit through guards to the committer, publish to followers.
 *
 * The subscribers are an immutable roster (roster.h) that is swapped under the bus's mutex. No
 * handler is ever called with that mutex held. Each call is counted on its subscriber while it
 * runs, so that unsubscribing can wait for the calls of other threads to end.
 *
 * Invariants
 * 1. A call begins only on a subscriber that is not removed, and that check and the count of calls
 *    in flight are one step under the mutex: after removal the count only falls.
 * 2. Unsubscribing cannot fail for want of memory: if no smaller roster can be made, the removed
 *    subscriber stays in the old one, marked, until the next change.
 * 3. A thread is inside at most one call, of any bus: from there it can neither commit nor publish.
 *
 * Two handlers in two threads that unsubscribe each other would wait for ever, as two threads that join
 * each other do: a handler removes itself, or others from its own thread. */
#include <moduforge/bus.h>

#include <stdio.h>

#include "bus/bus_parts.h"
#include "bus/foreign.h"
#include "model/callback.h"
#include "model/mem.h"
#include "model/probes.h"

/* The call that this thread is inside of; NULL: none. Layers that do not know the bus ask model/callback.h. */
static _Thread_local struct {
	struct mf_bus *bus;
	struct mf_subscriber *subscriber;
} current;

/* ---- life cycle ---- */
enum mf_status mf_bus_new(struct mf_bus **out)
{
	struct mf_bus *bus = mf_calloc(1, sizeof(*bus));
	if (!bus)
		return MF_ERR_NO_MEMORY;
	bus->roster = mf_roster_new(NULL, NULL);
	if (!bus->roster) {
		mf_free(bus);
		return MF_ERR_NO_MEMORY;
	}
	mf_feed_init(&bus->feed);
	pthread_mutex_init(&bus->mutex, NULL);
	mf_cond_init(&bus->call_ended);
	*out = bus;
	return MF_OK;
}

void mf_bus_free(struct mf_bus *bus)
{
	if (!bus)
		return;
	mf_feed_deinit(&bus->feed);
	mf_roster_unref(bus->roster);
	mf_cond_destroy(&bus->call_ended);
	pthread_mutex_destroy(&bus->mutex);
	mf_free(bus);
}

/* ---- calls ---- */
bool mf_bus_in_callback(void)
{
	return mf_callback_inside();
}

static bool call_begin(struct mf_bus *bus, struct mf_subscriber *subscriber)
{
	pthread_mutex_lock(&bus->mutex);
	bool allowed = !subscriber->removed;
	if (allowed)
		subscriber->in_flight++;
	pthread_mutex_unlock(&bus->mutex);
	if (allowed) {
		current.bus = bus;
		current.subscriber = subscriber;
		mf_callback_begin();
	}
	return allowed;
}

static void call_end(struct mf_bus *bus, struct mf_subscriber *subscriber, bool failed, int64_t lsn)
{
	mf_callback_end();
	current.bus = NULL;
	current.subscriber = NULL;
	pthread_mutex_lock(&bus->mutex);
	subscriber->delivered++;
	subscriber->failures += failed;
	if (lsn > 0)
		subscriber->last_lsn = lsn;
	subscriber->in_flight--;
	if (subscriber->removed)
		mf_cond_broadcast(&bus->call_ended);
	pthread_mutex_unlock(&bus->mutex);
}

static void count_failure(struct mf_bus *bus, struct mf_subscriber *subscriber)
{
	pthread_mutex_lock(&bus->mutex);
	subscriber->failures++;
	pthread_mutex_unlock(&bus->mutex);
}

static struct mf_roster *roster_take(struct mf_bus *bus)
{
	pthread_mutex_lock(&bus->mutex);
	struct mf_roster *roster = mf_roster_ref(bus->roster);
	pthread_mutex_unlock(&bus->mutex);
	return roster;
}

static void roster_drop(struct mf_bus *bus, struct mf_roster *roster)
{
	pthread_mutex_lock(&bus->mutex);
	mf_roster_unref(roster);
	pthread_mutex_unlock(&bus->mutex);
}

/* ---- subscribing ---- */
static void swap_roster(struct mf_bus *bus, struct mf_roster *next)
{
	mf_roster_unref(bus->roster);
	bus->roster = next;
}

static enum mf_status add(struct mf_bus *bus, struct mf_subscriber *subscriber, uint64_t *out_id, struct mf_error *error)
{
	pthread_mutex_lock(&bus->mutex);
	struct mf_roster *next = mf_roster_new(bus->roster, subscriber);
	if (next) {
		subscriber->id = ++bus->last_id;
		*out_id = subscriber->id;
		swap_roster(bus, next);
	}
	mf_subscriber_unref(subscriber); /* the roster has its own reference */
	pthread_mutex_unlock(&bus->mutex);
	if (!next)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for one more subscriber");
	return MF_OK;
}

static enum mf_status check_name(const char *name, struct mf_error *error)
{
	if (!name || !name[0])
		return mf_error_set(error, MF_ERR_INVALID, "a subscriber needs a name");
	return MF_OK;
}

enum mf_status mf_bus_subscribe(struct mf_bus *bus, const char *name, uint32_t topics, mf_follower *handler, void *user, uint64_t *out_id, struct mf_error *error)
{
	enum mf_status status = check_name(name, error);
	if (status != MF_OK)
		return status;
	if (topics == 0 || (topics & ~(uint32_t)MF_TOPICS_ALL))
		return mf_error_set(error, MF_ERR_INVALID, "subscriber %s: topics are 0x%x, must be some of 0x%x", name, (unsigned)topics, (unsigned)MF_TOPICS_ALL);
	if (!handler)
		return mf_error_set(error, MF_ERR_INVALID, "subscriber %s has no handler", name);
	struct mf_subscriber *subscriber = mf_subscriber_new(name, topics, user);
	if (!subscriber)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for subscriber %s", name);
	subscriber->follower = handler;
	return add(bus, subscriber, out_id, error);
}

enum mf_status mf_bus_add_guard(struct mf_bus *bus, const char *name, mf_guard *guard, void *user, uint64_t *out_id, struct mf_error *error)
{
	enum mf_status status = check_name(name, error);
	if (status != MF_OK)
		return status;
	if (!guard)
		return mf_error_set(error, MF_ERR_INVALID, "guard %s has no function", name);
	struct mf_subscriber *subscriber = mf_subscriber_new(name, 0, user);
	if (!subscriber)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for guard %s", name);
	subscriber->guard = guard;
	return add(bus, subscriber, out_id, error);
}

/* MF_ERR_NOT_FOUND, without a sentence: it may be one of follow.c. */
static enum mf_status unsubscribe(struct mf_bus *bus, uint64_t id)
{
	pthread_mutex_lock(&bus->mutex);
	struct mf_subscriber *subscriber = mf_roster_find(bus->roster, id);
	if (!subscriber) {
		pthread_mutex_unlock(&bus->mutex);
		return MF_ERR_NOT_FOUND;
	}
	subscriber->removed = true;
	subscriber->refs++;
	struct mf_roster *next = mf_roster_new(bus->roster, NULL);
	if (next)
		swap_roster(bus, next);
	while (subscriber->in_flight > 0 && current.subscriber != subscriber)
		mf_cond_wait(&bus->call_ended, &bus->mutex);
	mf_subscriber_unref(subscriber);
	pthread_mutex_unlock(&bus->mutex);
	return MF_OK;
}

enum mf_status mf_bus_unsubscribe(struct mf_bus *bus, uint64_t id, struct mf_error *error)
{
	return mf_bus_unsubscribe_within(bus, id, -1, error);
}

enum mf_status mf_bus_unsubscribe_within(struct mf_bus *bus, uint64_t id, int64_t timeout_ms, struct mf_error *error)
{
	enum mf_status status = unsubscribe(bus, id);
	return status == MF_ERR_NOT_FOUND ? mf_bus_unfollow(bus, id, timeout_ms, error) : status;
}

void mf_bus_subscribers(struct mf_bus *bus, bool (*visit)(void *user, const struct mf_subscriber_info *info), void *user)
{
	struct mf_roster *roster = roster_take(bus);
	bool go_on = true;
	for (size_t i = 0; go_on && i < roster->count; i++) {
		const struct mf_subscriber *subscriber = roster->items[i];
		pthread_mutex_lock(&bus->mutex);
		bool removed = subscriber->removed;
		struct mf_subscriber_info info = {
			.id = subscriber->id,
			.name = subscriber->name,
			.topics = subscriber->topics,
			.delivered = subscriber->delivered,
			.failures = subscriber->failures,
			.last_lsn = subscriber->last_lsn,
			.checkpoint_lsn = -1,
			.last_error = "",
		};
		pthread_mutex_unlock(&bus->mutex);
		if (!removed)
			go_on = visit(user, &info);
	}
	roster_drop(bus, roster);
	if (go_on)
		mf_bus_visit_followers(bus, visit, user);
}

/* ---- committing ---- */
static const struct mf_event_source *source_of(const struct mf_committer *committer)
{
	return committer->event_source ? committer->event_source(committer->user) : NULL;
}

enum mf_status mf_bus_set_committer(struct mf_bus *bus, const struct mf_committer *committer, struct mf_error *error)
{
	if (!committer) {
		atomic_store(&bus->committer, NULL);
		return mf_feed_set_source(&bus->feed, NULL, error);
	}
	if (committer->size < sizeof(*committer))
		return mf_error_set(error, MF_ERR_INVALID, "a committer of %zu bytes, this host needs %zu: build it against this version", committer->size, sizeof(*committer));
	if (!committer->name || !committer->commit || !committer->release)
		return mf_error_set(error, MF_ERR_INVALID, "a committer needs a name, commit and release");
	const struct mf_committer *none = NULL;
	if (!atomic_compare_exchange_strong(&bus->committer, &none, committer))
		return mf_error_set(error, MF_ERR_STATE, "the bus has a committer already, %s: one bus has one", none->name);
	enum mf_status status = mf_feed_set_source(&bus->feed, source_of(committer), error);
	if (status != MF_OK)
		atomic_store(&bus->committer, NULL);
	return status;
}

const struct mf_committer *mf_bus_committer(const struct mf_bus *bus)
{
	return atomic_load(&bus->committer);
}

static enum mf_status ask_guard(struct mf_bus *bus, struct mf_subscriber *guard, const struct mf_proposal *proposal, struct mf_error *error)
{
	if (!call_begin(bus, guard))
		return MF_OK;
	struct mf_error given = {0};
	enum mf_status status = guard->guard(guard->user, proposal, &given);
	MF_PROBE3(plugin_call, guard->name, "guard", (int)status);
	if (status != MF_OK) {
		char who[160];
		snprintf(who, sizeof(who), "guard %s", guard->name);
		status = mf_foreign_failure(error, status, &given, who);
	}
	call_end(bus, guard, status != MF_OK, 0);
	return status;
}

static enum mf_status ask_guards(struct mf_bus *bus, const struct mf_proposal *proposals, size_t count, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	struct mf_roster *roster = roster_take(bus);
	for (size_t i = 0; status == MF_OK && i < count; i++)
		for (size_t k = 0; status == MF_OK && k < roster->count; k++)
			if (roster->items[k]->guard)
				status = ask_guard(bus, roster->items[k], &proposals[i], error);
	roster_drop(bus, roster);
	return status;
}

static enum mf_status may_commit(struct mf_bus *bus, const struct mf_proposal *proposals, size_t count, struct mf_error *error)
{
	if (mf_bus_in_callback())
		return mf_error_set(error, MF_ERR_STATE, "a handler or guard must not commit: submit the transaction after it has returned");
	if (count == 0)
		return mf_error_set(error, MF_ERR_INVALID, "nothing to commit: the batch is empty");
	return ask_guards(bus, proposals, count, error);
}

enum mf_status mf_bus_commit(struct mf_bus *bus, struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error)
{
	const struct mf_committer *committer = mf_bus_committer(bus);
	if (!committer)
		return mf_error_set(error, MF_ERR_STATE, "the bus has no committer: load the plugin snapshot_subscriber, or set one with mf_bus_set_committer");
	enum mf_status status = may_commit(bus, proposals, count, error);
	if (status == MF_OK)
		return committer->commit(committer->user, proposals, count, mode, out_ticket, error);
	for (size_t i = 0; i < count; i++)
		if (proposals[i].reservation)
			committer->release(committer->user, proposals[i].reservation);
	return status;
}

/* ---- publishing ---- */
void mf_bus_publish(struct mf_bus *bus, const struct mf_publication *publication)
{
	/* Delivered, it would overtake the publication under way, and could call its publisher without end. */
	if (current.subscriber) {
		count_failure(current.bus, current.subscriber);
		return;
	}
	struct mf_roster *roster = roster_take(bus);
	for (size_t i = 0; i < roster->count; i++) {
		struct mf_subscriber *follower = roster->items[i];
		if (!(follower->topics & (uint32_t)publication->topic) || !call_begin(bus, follower))
			continue;
		enum mf_status status = follower->follower(follower->user, publication);
		MF_PROBE3(plugin_call, follower->name, "follower", (int)status);
		call_end(bus, follower, status != MF_OK, publication->topic & MF_TOPICS_EVENTS ? publication->lsn : 0);
	}
	roster_drop(bus, roster);
	if (publication->topic & MF_TOPICS_EVENTS)
		mf_feed_publish(&bus->feed, publication);
}
