#include "bus/roster.h"

#include "model/mem.h"

struct mf_subscriber *mf_subscriber_new(const char *name, uint32_t topics, void *user)
{
	struct mf_subscriber *subscriber = mf_calloc(1, sizeof(*subscriber));
	if (!subscriber)
		return NULL;
	subscriber->name = mf_strdup(name);
	if (!subscriber->name) {
		mf_free(subscriber);
		return NULL;
	}
	subscriber->topics = topics;
	subscriber->user = user;
	subscriber->refs = 1;
	return subscriber;
}

void mf_subscriber_unref(struct mf_subscriber *subscriber)
{
	if (--subscriber->refs > 0)
		return;
	mf_free(subscriber->name);
	mf_free(subscriber);
}

struct mf_roster *mf_roster_new(const struct mf_roster *old, struct mf_subscriber *added)
{
	size_t old_count = old ? old->count : 0;
	struct mf_roster *roster = mf_malloc(sizeof(*roster) + (old_count + 1) * sizeof(roster->items[0]));
	if (!roster)
		return NULL;
	roster->refs = 1;
	roster->count = 0;
	for (size_t i = 0; i < old_count; i++)
		if (!old->items[i]->removed)
			roster->items[roster->count++] = old->items[i];
	if (added)
		roster->items[roster->count++] = added;
	for (size_t i = 0; i < roster->count; i++)
		roster->items[i]->refs++;
	return roster;
}

struct mf_roster *mf_roster_ref(struct mf_roster *roster)
{
	roster->refs++;
	return roster;
}

void mf_roster_unref(struct mf_roster *roster)
{
	if (--roster->refs > 0)
		return;
	for (size_t i = 0; i < roster->count; i++)
		mf_subscriber_unref(roster->items[i]);
	mf_free(roster);
}

struct mf_subscriber *mf_roster_find(const struct mf_roster *roster, uint64_t id)
{
	for (size_t i = 0; i < roster->count; i++)
		if (roster->items[i]->id == id && !roster->items[i]->removed)
			return roster->items[i];
	return NULL;
}
