/* roster.h - who is subscribed to a bus: an array that is never changed, only replaced.
 *
 * A publication in flight keeps the roster that it began with, so subscribers may come and
 * go meanwhile: one that came is in the next roster, one that went is marked as removed.
 *
 * Invariants
 * 1. items and count never change after the roster was made.
 * 2. A roster holds one reference to each of its subscribers.
 * 3. Every counter and flag below, and every function, is under the mutex of the bus. */
#pragma once

#include <moduforge/bus.h>

struct mf_subscriber {
	uint64_t id;
	char *name;
	uint32_t topics; /* 0: a guard */
	mf_follower *follower;
	mf_guard *guard;
	void *user;
	uint32_t refs;
	uint32_t in_flight; /* calls under way, in all threads */
	bool removed;       /* no call begins any more */
	uint64_t delivered, failures;
	int64_t last_lsn;
};

struct mf_roster {
	uint32_t refs;
	size_t count;
	struct mf_subscriber *items[];
};

/* One reference for the caller; NULL when there is no memory. Copies name. */
struct mf_subscriber *mf_subscriber_new(const char *name, uint32_t topics, void *user);
void mf_subscriber_unref(struct mf_subscriber *subscriber);

/* The subscribers of old (NULL: none) that are not removed, then added (NULL: nobody). NULL when there is no memory. */
struct mf_roster *mf_roster_new(const struct mf_roster *old, struct mf_subscriber *added);
struct mf_roster *mf_roster_ref(struct mf_roster *roster);
void mf_roster_unref(struct mf_roster *roster);
struct mf_subscriber *mf_roster_find(const struct mf_roster *roster, uint64_t id); /* NULL: not there, or removed */
