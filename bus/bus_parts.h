/* bus_parts.h - the bus's inside, shared by bus.c (guards, committer, synchronous followers) and follow.c (the others). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "bus/feed.h"
#include "bus/roster.h"

struct mf_bus {
	pthread_mutex_t mutex;
	pthread_cond_t call_ended; /* of a removed subscriber */
	struct mf_roster *roster;
	_Atomic uint64_t last_id;
	_Atomic(const struct mf_committer *) committer;
	struct mf_feed feed; /* with a mutex of its own */
};

/* ---- follow.c ---- */
void mf_bus_visit_followers(struct mf_bus *bus, bool (*visit)(void *user, const struct mf_subscriber_info *info), void *user);
/* given over the defaults: an older caller's struct is shorter; NULL: the defaults. */
enum mf_status mf_follow_options_take(const struct mf_follow_options *given, struct mf_follow_options *out, struct mf_error *error);
void mf_bus_abandon_followers(struct mf_bus *bus); /* those that did not stop: the bus is to be kept for ever */
bool mf_bus_inside_follower(const struct mf_bus *bus); /* is this thread in the handler of a follower at its own pace? */
enum mf_status mf_bus_unfollow(struct mf_bus *bus, uint64_t id, int64_t timeout_ms, struct mf_error *error); /* MF_ERR_NOT_FOUND: no such subscriber */
