#include "fake_store.h"

#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct fake_store *of(struct mf_store *store)
{
	return (struct fake_store *)store;
}

/* Mutex held. */
static void hold(struct fake_store *fake, const bool *gate, int *inside)
{
	(*inside)++;
	pthread_cond_broadcast(&fake->changed);
	while (*gate)
		pthread_cond_wait(&fake->changed, &fake->mutex);
	(*inside)--;
	pthread_cond_broadcast(&fake->changed);
}

static bool is_poisoned(const struct fake_store *fake, const struct mf_event *events, size_t count)
{
	for (size_t i = 0; i < count && fake->poisoned_key; i++)
		if (strcmp(events[i].idempotency_key, fake->poisoned_key) == 0)
			return true;
	return false;
}

/* Mutex held. */
static enum mf_status injected(struct fake_store *fake, const struct mf_event *events, size_t count)
{
	if (is_poisoned(fake, events, count))
		return fake->poison_error;
	if (!fake->append_errors_left)
		return MF_OK;
	if (fake->append_errors_left > 0)
		fake->append_errors_left--;
	return fake->append_error;
}

static enum mf_status fake_append(struct mf_store *store, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error)
{
	struct fake_store *fake = of(store);
	pthread_mutex_lock(&fake->mutex);
	fake->appends++;
	fake->appender = pthread_self();
	if (count > fake->largest_batch)
		fake->largest_batch = count;
	hold(fake, &fake->hold_appends, &fake->in_append);
	enum mf_status status = injected(fake, events, count);
	if (status != MF_OK)
		mf_error_set(error, status, "injected %s", mf_status_name(status));
	else
		status = fake->inner->ops->append_batch(fake->inner, events, count, out_last_lsn, error);
	if (status == MF_OK)
		fake->last_lsn = *out_last_lsn;
	pthread_mutex_unlock(&fake->mutex);
	return status;
}

static enum mf_status fake_sync(struct mf_store *store, int64_t *out_synced_lsn, struct mf_error *error)
{
	struct fake_store *fake = of(store);
	pthread_mutex_lock(&fake->mutex);
	fake->syncs++;
	int64_t covered = fake->last_lsn;
	hold(fake, &fake->hold_syncs, &fake->in_sync);
	enum mf_status status = fake->sync_error;
	if (status != MF_OK) {
		mf_error_set(error, status, "injected %s in sync", mf_status_name(status));
	} else {
		fake->synced_lsn = covered;
		*out_synced_lsn = covered;
	}
	pthread_mutex_unlock(&fake->mutex);
	return status;
}

static enum mf_status fake_maintain(struct mf_store *store, struct mf_error *error)
{
	(void)error;
	FAKE_SET(of(store), maintains++);
	return MF_OK;
}

static enum mf_status read_error(struct fake_store *fake, struct mf_error *error)
{
	enum mf_status status = FAKE_GET(fake, read_error);
	return status ? mf_error_set(error, status, "injected %s in a read", mf_status_name(status)) : MF_OK;
}

static void spoil_page(struct fake_store *fake, struct mf_event_list *page)
{
	size_t kept = 0;
	for (size_t i = 0; i < page->count; i++) {
		struct mf_event event = page->events[i];
		if (event.lsn == fake->spoiled_lsn)
			((unsigned char *)event.payload)[event.payload_len - 1] ^= 0x80;
		if (event.lsn != fake->hidden_lsn)
			page->events[kept++] = event;
	}
	page->count = kept;
}

static enum mf_status fake_load_since(struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	struct fake_store *fake = of(store);
	struct mf_event_list page;
	enum mf_status status = read_error(fake, error);
	for (;;) {
		if (status == MF_OK)
			status = fake->inner->ops->load_since(fake->inner, doc_id, from_lsn, limit, &page, error);
		if (status != MF_OK)
			return status;
		size_t found = page.count;
		pthread_mutex_lock(&fake->mutex);
		if (found > fake->largest_page)
			fake->largest_page = found;
		from_lsn = fake->hidden_lsn;
		spoil_page(fake, &page);
		pthread_mutex_unlock(&fake->mutex);
		if (found == 0 || page.count > 0)
			break;
		mf_event_list_deinit(&page); /* nothing but the hidden one: not the end yet */
	}
	*out = page;
	return MF_OK;
}

static enum mf_status fake_last_lsn(struct mf_store *store, const char *doc_id, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_store *inner = of(store)->inner;
	return inner->ops->last_lsn(inner, doc_id, out_lsn, error);
}

static enum mf_status fake_find_key(struct mf_store *store, const char *key, struct mf_key_info *out, struct mf_error *error)
{
	struct mf_store *inner = of(store)->inner;
	FAKE_SET(of(store), finds++);
	return inner->ops->find_key(inner, key, out, error);
}

static enum mf_status fake_latest_snapshot(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	struct fake_store *fake = of(store);
	struct mf_snapshot snapshot;
	FAKE_SET(fake, snapshots_read++);
	enum mf_status status = read_error(fake, error);
	if (status == MF_OK && at_most == FAKE_GET(fake, hidden_snapshot))
		at_most--;
	if (status == MF_OK)
		status = fake->inner->ops->latest_snapshot(fake->inner, doc_id, at_most, &snapshot, error);
	if (status != MF_OK)
		return status;
	if (snapshot.upto_lsn == FAKE_GET(fake, refused_snapshot)) {
		mf_snapshot_deinit(&snapshot);
		return mf_error_set(error, MF_ERR_CORRUPTED, "injected damage in a snapshot");
	}
	for (size_t i = 0; i < sizeof(fake->spoiled_snapshots) / sizeof(fake->spoiled_snapshots[0]); i++)
		if (fake->spoiled_snapshots[i] == snapshot.upto_lsn)
			((unsigned char *)snapshot.state_blob)[snapshot.state_len / 2] ^= 1;
	*out = snapshot;
	return MF_OK;
}

static enum mf_status fake_chunk(struct mf_store *store, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error)
{
	struct mf_store *inner = of(store)->inner;
	return inner->ops->snapshot_chunk(inner, doc_id, upto_lsn, index, bytes, len, error);
}

static enum mf_status fake_finish(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_error *error)
{
	struct fake_store *fake = of(store);
	pthread_mutex_lock(&fake->mutex);
	hold(fake, &fake->hold_snapshots, &fake->in_snapshot);
	enum mf_status status = fake->snapshot_error;
	pthread_mutex_unlock(&fake->mutex);
	if (status != MF_OK)
		return mf_error_set(error, status, "injected %s in snapshot", mf_status_name(status));
	return fake->inner->ops->snapshot_finish(fake->inner, snapshot, error);
}

static enum mf_status fake_prune(struct mf_store *store, const char *doc_id, uint32_t keep, struct mf_error *error)
{
	struct mf_store *inner = of(store)->inner;
	return inner->ops->prune_snapshots(inner, doc_id, keep, error);
}

static enum mf_status fake_compact(struct mf_store *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	struct mf_store *inner = of(store)->inner;
	return inner->ops->compact(inner, doc_id, upto_lsn, error);
}

static enum mf_status fake_documents(struct mf_store *store, mf_document_visit *visit, void *user, struct mf_error *error)
{
	struct mf_store *inner = of(store)->inner;
	return inner->ops->documents(inner, visit, user, error);
}

static enum mf_status fake_snapshots(struct mf_store *store, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error)
{
	struct mf_store *inner = of(store)->inner;
	return inner->ops->snapshots(inner, doc_id, visit, user, error);
}

static enum mf_status fake_verify(struct mf_store *store, mf_damage_visit *visit, void *user, struct mf_error *error)
{
	struct mf_store *inner = of(store)->inner;
	return inner->ops->verify(inner, visit, user, error);
}

static enum mf_status fake_stats(struct mf_store *store, struct mf_store_stats *out, struct mf_error *error)
{
	struct mf_store *inner = of(store)->inner;
	return inner->ops->stats(inner, out, error);
}

static enum mf_status fake_close(struct mf_store *store, struct mf_error *error)
{
	struct fake_store *fake = of(store);
	enum mf_status status = mf_store_close(fake->inner, error);
	pthread_cond_destroy(&fake->changed);
	pthread_mutex_destroy(&fake->mutex);
	free(fake);
	return status;
}

struct fake_store *fake_store_new(bool durable)
{
	struct fake_store *fake = calloc(1, sizeof(*fake));
	assert_non_null(fake);
	assert_int_equal(mf_store_open_memory(NULL, &fake->inner, NULL), MF_OK);
	pthread_mutex_init(&fake->mutex, NULL);
	pthread_cond_init(&fake->changed, NULL);
	fake->ops = (struct mf_store_ops){
		.size = sizeof(fake->ops),
		.name = "fake",
		.durable = durable,
		.append_batch = fake_append,
		.sync = fake_sync,
		.maintain = fake_maintain,
		.load_since = fake_load_since,
		.last_lsn = fake_last_lsn,
		.find_key = fake_find_key,
		.latest_snapshot = fake_latest_snapshot,
		.snapshot_chunk = fake_chunk,
		.snapshot_finish = fake_finish,
		.compact = fake_compact,
		.prune_snapshots = fake_prune,
		.documents = fake_documents,
		.snapshots = fake_snapshots,
		.verify = fake_verify,
		.stats = fake_stats,
		.close = fake_close,
	};
	fake->base.ops = &fake->ops;
	return fake;
}

void fake_store_free(struct fake_store *fake)
{
	assert_int_equal(mf_store_close(&fake->base, NULL), MF_OK);
}

enum mf_status wait_for(struct mf_ticket *ticket, enum mf_level level, int64_t *out_lsn)
{
	enum mf_status status = mf_ticket_wait(ticket, level, MF_WAIT_FOREVER, out_lsn, NULL);
	mf_ticket_unref(ticket);
	return status;
}

/* ---- the clock ---- */

static int64_t wall_us(void *user)
{
	return atomic_load(&((struct fake_env *)user)->wall_us);
}

static int64_t monotonic_us(void *user)
{
	return atomic_load(&((struct fake_env *)user)->now_us);
}

static int fixed_random(void *user, void *bytes, size_t len)
{
	(void)user;
	memset(bytes, 0x5a, len);
	return 0;
}

void fake_env_init(struct fake_env *fake)
{
	fake->env = *mf_env_os();
	fake->env.user = fake;
	fake->env.wall_us = wall_us;
	fake->env.monotonic_us = monotonic_us;
	fake->env.random = fixed_random;
	atomic_init(&fake->now_us, 1000000);
	atomic_init(&fake->wall_us, 1700000000000000);
}
