/* subscriber_source.c - what followers of the bus read from the store: the snapshot subscriber's event source. */
#include "persist/subscriber_parts.h"

/* ---- reading ---- */

static enum mf_status read_events(void *user, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return mf_store_load_since(subscriber->store, NULL, from_lsn, limit, out, error);
}

static enum mf_status decode(void *user, const struct mf_event *event, struct mf_transaction **out, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return mf_event_decode(event, subscriber->registry, out, error);
}

static int64_t committed_lsn(void *user)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return mf_commit_queue_committed(subscriber->queue);
}

static int64_t synced_lsn(void *user)
{
	struct mf_snapshot_subscriber *subscriber = user;
	if (!subscriber->store->ops->durable)
		return mf_commit_queue_committed(subscriber->queue);
	return mf_commit_queue_synced_lsn(subscriber->queue);
}

static int64_t epoch(void *user)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return subscriber->epoch;
}

static enum mf_status epoch_end(void *user, int64_t of_epoch, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return mf_store_epoch_end(subscriber->store, of_epoch, out_lsn, error);
}

/* ---- checkpoints ---- */

static enum mf_status load_checkpoint(void *user, const char *name, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	struct mf_checkpoint checkpoint;
	enum mf_status status = mf_store_load_checkpoint(subscriber->store, name, &checkpoint, error);
	if (status == MF_OK) {
		*out_epoch = checkpoint.epoch;
		*out_lsn = checkpoint.lsn;
	}
	return status;
}

static enum mf_status save_checkpoint(void *user, const char *name, int64_t of_epoch, int64_t lsn, struct mf_error *error)
{
	struct mf_snapshot_subscriber *subscriber = user;
	const struct mf_checkpoint checkpoint = {name, of_epoch, lsn};
	return mf_store_save_checkpoint(subscriber->store, &checkpoint, error);
}

/* ---- the listener ---- */

/* Called under the lock, so that who takes it away knows that no call is under way. */
static void tell_synced(void *user)
{
	struct mf_snapshot_subscriber *subscriber = user;
	pthread_mutex_lock(&subscriber->follow_lock);
	if (subscriber->follow_listener)
		subscriber->follow_listener->synced(subscriber->follow_listener->user);
	pthread_mutex_unlock(&subscriber->follow_lock);
}

static void listen(void *user, const struct mf_event_listener *listener)
{
	struct mf_snapshot_subscriber *subscriber = user;
	pthread_mutex_lock(&subscriber->follow_lock);
	subscriber->follow_listener = listener;
	pthread_mutex_unlock(&subscriber->follow_lock);
}

int64_t mf_subscriber_needed_above(struct mf_snapshot_subscriber *subscriber)
{
	pthread_mutex_lock(&subscriber->follow_lock);
	const struct mf_event_listener *listener = subscriber->follow_listener;
	int64_t lsn = listener ? listener->needed_above(listener->user) : INT64_MAX;
	pthread_mutex_unlock(&subscriber->follow_lock);
	return lsn;
}

/* ---- making it ---- */

void mf_subscriber_make_source(struct mf_snapshot_subscriber *subscriber)
{
	subscriber->source = (struct mf_event_source){
		.size = sizeof(subscriber->source),
		.user = subscriber,
		.read = read_events,
		.free_events = mf_event_list_deinit,
		.decode = decode,
		.committed_lsn = committed_lsn,
		.synced_lsn = synced_lsn,
		.epoch = epoch,
		.epoch_end = epoch_end,
		.load_checkpoint = load_checkpoint,
		.save_checkpoint = save_checkpoint,
		.listen = listen,
	};
	mf_commit_queue_on_synced(subscriber->queue, tell_synced, subscriber);
}

const struct mf_event_source *mf_subscriber_source(void *user)
{
	struct mf_snapshot_subscriber *subscriber = user;
	return &subscriber->source;
}
