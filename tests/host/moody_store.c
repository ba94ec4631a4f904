#include "moody_store.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct moody {
	struct mf_store base;
	struct mf_store *inner;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool held;
	int waiting, failures, read_failures;
	enum mf_status status;
};

static struct moody *moody_of(struct mf_store *store)
{
	return (struct moody *)store;
}

static struct mf_store *inner_of(struct mf_store *store)
{
	return moody_of(store)->inner;
}

static bool take_one(struct moody *moody, int *count)
{
	pthread_mutex_lock(&moody->mutex);
	bool taken = *count > 0;
	*count -= taken;
	pthread_mutex_unlock(&moody->mutex);
	return taken;
}

static enum mf_status append_batch(struct mf_store *store, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error)
{
	struct moody *moody = moody_of(store);
	pthread_mutex_lock(&moody->mutex);
	moody->waiting++;
	pthread_cond_broadcast(&moody->changed);
	while (moody->held)
		pthread_cond_wait(&moody->changed, &moody->mutex);
	moody->waiting--;
	pthread_mutex_unlock(&moody->mutex);
	if (take_one(moody, &moody->failures))
		return mf_error_set(error, moody->status, "the store is in a bad mood");
	return moody->inner->ops->append_batch(moody->inner, events, count, out_last_lsn, error);
}

static enum mf_status load_since(struct mf_store *store, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	struct moody *moody = moody_of(store);
	if (take_one(moody, &moody->read_failures))
		return mf_error_set(error, MF_ERR_IO, "the store cannot read now");
	return moody->inner->ops->load_since(moody->inner, doc_id, from_lsn, limit, out, error);
}

/* ---- the rest as it is ---- */
static enum mf_status sync_store(struct mf_store *store, int64_t *out, struct mf_error *error)
{
	return inner_of(store)->ops->sync(inner_of(store), out, error);
}

static enum mf_status maintain(struct mf_store *store, struct mf_error *error)
{
	return inner_of(store)->ops->maintain(inner_of(store), error);
}

static enum mf_status last_lsn(struct mf_store *store, const char *doc_id, int64_t *out, struct mf_error *error)
{
	return inner_of(store)->ops->last_lsn(inner_of(store), doc_id, out, error);
}

static enum mf_status find_key(struct mf_store *store, const char *key, struct mf_key_info *out, struct mf_error *error)
{
	return inner_of(store)->ops->find_key(inner_of(store), key, out, error);
}

static enum mf_status latest_snapshot(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error)
{
	return inner_of(store)->ops->latest_snapshot(inner_of(store), doc_id, at_most, out, error);
}

static enum mf_status snapshot_chunk(struct mf_store *store, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error)
{
	return inner_of(store)->ops->snapshot_chunk(inner_of(store), doc_id, upto_lsn, index, bytes, len, error);
}

static enum mf_status snapshot_finish(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_error *error)
{
	return inner_of(store)->ops->snapshot_finish(inner_of(store), snapshot, error);
}

static enum mf_status compact(struct mf_store *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error)
{
	return inner_of(store)->ops->compact(inner_of(store), doc_id, upto_lsn, error);
}

static enum mf_status documents(struct mf_store *store, mf_document_visit *visit, void *user, struct mf_error *error)
{
	return inner_of(store)->ops->documents(inner_of(store), visit, user, error);
}

static enum mf_status snapshots(struct mf_store *store, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error)
{
	return inner_of(store)->ops->snapshots(inner_of(store), doc_id, visit, user, error);
}

static enum mf_status verify(struct mf_store *store, mf_damage_visit *visit, void *user, struct mf_error *error)
{
	return inner_of(store)->ops->verify(inner_of(store), visit, user, error);
}

static enum mf_status stats(struct mf_store *store, struct mf_store_stats *out, struct mf_error *error)
{
	return inner_of(store)->ops->stats(inner_of(store), out, error);
}

static enum mf_status close_store(struct mf_store *store, struct mf_error *error)
{
	enum mf_status status = inner_of(store)->ops->close(inner_of(store), error);
	pthread_cond_destroy(&moody_of(store)->changed);
	pthread_mutex_destroy(&moody_of(store)->mutex);
	free(store);
	return status;
}

static const struct mf_store_ops ops = {
	.size = sizeof(ops),
	.name = "moody",
	.durable = false,
	.append_batch = append_batch,
	.sync = sync_store,
	.maintain = maintain,
	.load_since = load_since,
	.last_lsn = last_lsn,
	.find_key = find_key,
	.latest_snapshot = latest_snapshot,
	.snapshot_chunk = snapshot_chunk,
	.snapshot_finish = snapshot_finish,
	.compact = compact,
	.documents = documents,
	.snapshots = snapshots,
	.verify = verify,
	.stats = stats,
	.close = close_store,
};

/* ---- for tests ---- */
struct mf_store *moody_store_new(void)
{
	struct moody *moody = calloc(1, sizeof(*moody));
	assert(moody);
	moody->base.ops = &ops;
	pthread_mutex_init(&moody->mutex, NULL);
	pthread_cond_init(&moody->changed, NULL);
	enum mf_status status = mf_store_open_memory(NULL, &moody->inner, NULL);
	assert(status == MF_OK);
	(void)status;
	return &moody->base;
}

void moody_store_hold(struct mf_store *store)
{
	pthread_mutex_lock(&moody_of(store)->mutex);
	moody_of(store)->held = true;
	pthread_mutex_unlock(&moody_of(store)->mutex);
}

void moody_store_await_append(struct mf_store *store)
{
	struct moody *moody = moody_of(store);
	pthread_mutex_lock(&moody->mutex);
	while (moody->waiting == 0)
		pthread_cond_wait(&moody->changed, &moody->mutex);
	pthread_mutex_unlock(&moody->mutex);
}

void moody_store_let_go(struct mf_store *store)
{
	pthread_mutex_lock(&moody_of(store)->mutex);
	moody_of(store)->held = false;
	pthread_cond_broadcast(&moody_of(store)->changed);
	pthread_mutex_unlock(&moody_of(store)->mutex);
}

void moody_store_fail(struct mf_store *store, enum mf_status status, int times)
{
	pthread_mutex_lock(&moody_of(store)->mutex);
	moody_of(store)->status = status;
	moody_of(store)->failures = times;
	pthread_mutex_unlock(&moody_of(store)->mutex);
}

void moody_store_fail_reads(struct mf_store *store, int times)
{
	pthread_mutex_lock(&moody_of(store)->mutex);
	moody_of(store)->read_failures = times;
	pthread_mutex_unlock(&moody_of(store)->mutex);
}
