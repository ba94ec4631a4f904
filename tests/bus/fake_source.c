#include "fake_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/mem.h"
#include <moduforge/value.h>

#define KEY_SIZE 32

/* ---- events ---- */
static char payload[1 << 20];

static void make_event(const struct fake_source *fake, int64_t lsn, char key[KEY_SIZE], struct mf_event *out)
{
	snprintf(key, KEY_SIZE, "key-%lld", (long long)lsn);
	*out = (struct mf_event){
		.lsn = lsn,
		.epoch = fake->epoch_of[lsn],
		.tr_id = (uint64_t)lsn,
		.ts_us = lsn * 10,
		.action = fake->action_of[lsn],
		.doc_id = "d",
		.idempotency_key = key,
		.meta = "{}",
		.meta_len = 2,
		.payload = (const unsigned char *)payload,
		.payload_len = fake->payload_len,
	};
}

int64_t fake_source_add(struct fake_source *fake, struct mf_bus *bus, enum mf_action action)
{
	static const enum mf_topic topics[] = {MF_TR_APPLY, MF_TR_UNDO, MF_TR_REDO};
	char key[KEY_SIZE];
	struct mf_event event;
	pthread_mutex_lock(&fake->mutex);
	int64_t lsn = ++fake->last;
	assert_true(lsn <= FAKE_EVENTS);
	fake->epoch_of[lsn] = fake->epoch;
	fake->action_of[lsn] = action;
	make_event(fake, lsn, key, &event);
	pthread_mutex_unlock(&fake->mutex);
	const struct mf_publication publication = {.topic = topics[action], .doc_id = "d", .lsn = lsn, .epoch = event.epoch, .event = &event};
	if (bus)
		mf_bus_publish(bus, &publication);
	return lsn;
}

void fake_source_add_many(struct fake_source *fake, struct mf_bus *bus, int count)
{
	for (int i = 0; i < count; i++)
		fake_source_add(fake, bus, MF_ACTION_APPLY);
}

/* ---- the source ---- */
static enum mf_status refused(enum mf_status status, const char *what, struct mf_error *error)
{
	return mf_error_set(error, status, "the test wants %s to fail", what);
}

static enum mf_status read_events(void *user, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	struct fake_source *fake = user;
	atomic_fetch_add(&fake->reads, 1);
	pthread_mutex_lock(&fake->mutex);
	enum mf_status status = fake->read_error;
	struct mf_event *events = status == MF_OK ? mf_calloc(limit, sizeof(*events)) : NULL;
	char(*keys)[KEY_SIZE] = events ? mf_calloc(limit, sizeof(*keys)) : NULL;
	size_t count = 0;
	for (int64_t lsn = from_lsn + 1; keys && lsn <= fake->last && count < limit; lsn++) {
		if (fake->epoch_of[lsn] == 0)
			continue;
		make_event(fake, lsn, keys[count], &events[count]);
		count++;
	}
	pthread_mutex_unlock(&fake->mutex);
	if (status != MF_OK)
		return refused(status, "reading", error);
	if (!keys) {
		mf_free(events);
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a page");
	}
	*out = (struct mf_event_list){.events = events, .count = count, .memory = keys};
	return MF_OK;
}

static void free_events(struct mf_event_list *list)
{
	mf_free(list->events);
	mf_free(list->memory);
	memset(list, 0, sizeof(*list));
}

static enum mf_status decode(void *user, const struct mf_event *event, struct mf_transaction **out, struct mf_error *error)
{
	struct fake_source *fake = user;
	if (event->lsn == fake->undecodable_lsn)
		return mf_error_set(error, MF_ERR_UNKNOWN_STEP, "no such step");
	enum mf_status status = mf_transaction_new(out);
	return status == MF_OK ? MF_OK : mf_error_set(error, status, "no memory");
}

static int64_t number(struct fake_source *fake, const int64_t *which)
{
	pthread_mutex_lock(&fake->mutex);
	int64_t value = *which;
	pthread_mutex_unlock(&fake->mutex);
	return value;
}

static int64_t committed_lsn(void *user)
{
	struct fake_source *fake = user;
	if (fake->when_asked)
		fake->when_asked();
	return number(fake, &fake->last);
}

static int64_t synced_lsn(void *user)
{
	struct fake_source *fake = user;
	return number(fake, &fake->synced);
}

static int64_t epoch(void *user)
{
	struct fake_source *fake = user;
	return number(fake, &fake->epoch);
}

static enum mf_status epoch_end(void *user, int64_t of_epoch, int64_t *out_lsn, struct mf_error *error)
{
	struct fake_source *fake = user;
	pthread_mutex_lock(&fake->mutex);
	enum mf_status status = fake->epoch_error;
	if (status == MF_OK)
		*out_lsn = of_epoch >= fake->epoch ? INT64_MAX : fake->epoch_ends;
	pthread_mutex_unlock(&fake->mutex);
	return status == MF_OK ? MF_OK : refused(status, "asking for an epoch", error);
}

static enum mf_status load_checkpoint(void *user, const char *name, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	struct fake_source *fake = user;
	pthread_mutex_lock(&fake->mutex);
	enum mf_status status = fake->load_error;
	bool found = fake->saved_lsn >= 0 && strcmp(name, fake->saved_name) == 0;
	if (status == MF_OK && found) {
		*out_epoch = fake->saved_epoch;
		*out_lsn = fake->saved_lsn;
	}
	pthread_mutex_unlock(&fake->mutex);
	if (status != MF_OK)
		return refused(status, "loading", error);
	return found ? MF_OK : mf_error_set(error, MF_ERR_NOT_FOUND, "no checkpoint");
}

static enum mf_status save_checkpoint(void *user, const char *name, int64_t of_epoch, int64_t lsn, struct mf_error *error)
{
	struct fake_source *fake = user;
	atomic_fetch_add(&fake->tries_to_save, 1);
	pthread_mutex_lock(&fake->mutex);
	enum mf_status status = fake->save_error;
	if (status == MF_OK) {
		fake->saved_epoch = of_epoch;
		fake->saved_lsn = lsn;
		fake->saves++;
		snprintf(fake->saved_name, sizeof(fake->saved_name), "%s", name);
	}
	pthread_mutex_unlock(&fake->mutex);
	return status == MF_OK ? MF_OK : refused(status, "saving", error);
}

static void listen(void *user, const struct mf_event_listener *listener)
{
	struct fake_source *fake = user;
	pthread_mutex_lock(&fake->mutex);
	fake->listener = listener;
	pthread_mutex_unlock(&fake->mutex);
}

/* ---- what a test does to it ---- */
void fake_source_sync(struct fake_source *fake, int64_t lsn)
{
	pthread_mutex_lock(&fake->mutex);
	fake->synced = lsn;
	const struct mf_event_listener *listener = fake->listener;
	pthread_mutex_unlock(&fake->mutex);
	if (listener)
		listener->synced(listener->user);
}

void fake_source_fail(struct fake_source *fake, enum mf_status *which, enum mf_status status)
{
	pthread_mutex_lock(&fake->mutex);
	*which = status;
	pthread_mutex_unlock(&fake->mutex);
}

int64_t fake_source_saved(struct fake_source *fake)
{
	return number(fake, &fake->saved_lsn);
}

int64_t fake_source_saves(struct fake_source *fake)
{
	return number(fake, &fake->saves);
}

static const struct mf_event_source *give_source(void *user)
{
	struct fake_source *fake = user;
	return &fake->source;
}

static void release(void *user, struct mf_reservation *reservation)
{
	(void)user, (void)reservation;
}

static enum mf_status commit(void *user, struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error)
{
	(void)user, (void)proposals, (void)count, (void)mode, (void)out_ticket, (void)error;
	return MF_OK;
}

void fake_source_init(struct fake_source *fake)
{
	memset(fake, 0, sizeof(*fake));
	pthread_mutex_init(&fake->mutex, NULL);
	fake->epoch = 1;
	fake->saved_lsn = -1;
	fake->payload_len = 40;
	fake->source = (struct mf_event_source){
		.size = sizeof(fake->source),
		.user = fake,
		.read = read_events,
		.free_events = free_events,
		.decode = decode,
		.committed_lsn = committed_lsn,
		.synced_lsn = synced_lsn,
		.epoch = epoch,
		.epoch_end = epoch_end,
		.load_checkpoint = load_checkpoint,
		.save_checkpoint = save_checkpoint,
		.listen = listen,
	};
	fake->committer = (struct mf_committer){.size = sizeof(fake->committer), .name = "fake", .user = fake, .release = release, .commit = commit, .event_source = give_source};
}

void fake_source_deinit(struct fake_source *fake)
{
	pthread_mutex_destroy(&fake->mutex);
}
