/* The write path of the SQLite store: append, sync, checkpoint.
 *
 * An append gives LSNs, epoch, previous LSN and checksum inside its transaction, in order. If the transaction is
 * absent, the numbers were never given. What was learnt about documents on the way is forgotten again. */
#include "persist/sqlite_store.h"

#include <string.h>

#include "persist/checksum.h"
#include "persist/record.h"

struct append {
	struct mf_event *events;
	size_t count;
	int64_t last; /* before the batch */
	int64_t new_documents;
};

/* ---- append ---- */

/* Of a document without events: where the next one follows on those that compaction took away. */
static enum mf_status find_chain(struct mf_sqlite *store, const char *doc_id, int64_t *out, struct mf_error *error)
{
	struct mf_sqlite_compaction record;
	enum mf_status status = mf_sqlite_find_compaction(store->write[MF_WRITE_CHAIN], doc_id, &record, error);
	if (status == MF_OK)
		*out = record.chain_lsn;
	return status;
}

/* 0: it has none. The index says which it is; the row decides. */
static enum mf_status find_newest_event(struct mf_stmt *stmt, const char *doc_id, int64_t *out, struct mf_error *error)
{
	bool row, is_there = false;
	mf_stmt_bind_text(stmt, 1, doc_id, strlen(doc_id));
	enum mf_status status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK) { /* an aggregate has a row */
		*out = mf_stmt_int(stmt, 0);
		is_there = mf_stmt_int(stmt, 1) == 1;
	}
	mf_stmt_reset(stmt);
	if (status == MF_OK && *out != 0 && !is_there)
		return mf_sqlite_corrupted(error, doc_id, *out, "the index of documents leads to an event that is not there, or is of another document");
	return status;
}

/* LSN of the document's newest event, this transaction's included; 0 for a new document. */
static enum mf_status find_head(struct mf_sqlite *store, const char *doc_id, int64_t *out, struct mf_error *error)
{
	if (mf_heads_get(store->heads, doc_id, out))
		return MF_OK;
	enum mf_status status = find_newest_event(store->write[MF_WRITE_HEAD], doc_id, out, error);
	return status == MF_OK && *out == 0 ? find_chain(store, doc_id, out, error) : status;
}

static enum mf_status insert(struct mf_sqlite *store, const struct mf_event *event, struct mf_error *error)
{
	struct mf_stmt *stmt = store->write[MF_WRITE_EVENT];
	mf_stmt_bind_int(stmt, 1, event->lsn);
	mf_stmt_bind_int(stmt, 2, (int64_t)event->tr_id);
	mf_stmt_bind_text(stmt, 3, event->doc_id, strlen(event->doc_id));
	mf_stmt_bind_int(stmt, 4, event->ts_us);
	mf_stmt_bind_text(stmt, 5, event->actor, event->actor ? strlen(event->actor) : 0);
	mf_stmt_bind_text(stmt, 6, event->idempotency_key, strlen(event->idempotency_key));
	mf_stmt_bind_text(stmt, 7, event->meta, event->meta_len);
	mf_stmt_bind_blob(stmt, 8, event->payload, event->payload_len);
	mf_stmt_bind_int(stmt, 9, event->checksum);
	mf_stmt_bind_int(stmt, 10, event->epoch);
	mf_stmt_bind_int(stmt, 11, event->prev_lsn);
	mf_stmt_bind_int(stmt, 12, event->action);
	mf_stmt_bind_int(stmt, 13, event->source_lsn);
	int64_t before = mf_sql_total_changes(store->writer);
	enum mf_status status = mf_stmt_run(stmt, error);
	if (status != MF_OK || mf_sql_total_changes(store->writer) == before + 1)
		return status;
	return mf_error_set(error, MF_ERR_IO, "SQLite took LSN %lld without a word and did not store it: an authorizer or extension that the application gave SQLite passes over it; take that away",
			    (long long)event->lsn);
}

/* Finds the key among stored events, this transaction's included, then among compacted ones. */
static enum mf_status find_key(struct mf_sqlite *store, const char *key, struct mf_key_info *out, struct mf_error *error)
{
	bool row;
	struct mf_stmt *stmt = store->write[MF_WRITE_FIND_KEY];
	mf_stmt_bind_text(stmt, 1, key, strlen(key));
	enum mf_status status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK && row) {
		struct mf_event event;
		status = mf_sqlite_read_event(stmt, &event, error);
		if (status == MF_OK) {
			out->lsn = event.lsn;
			mf_sqlite_event_hash(&event, out->content_hash);
		}
		mf_stmt_reset(stmt);
		return status;
	}
	if (status != MF_OK)
		return status;
	stmt = store->write[MF_WRITE_FIND_COMPACTED_KEY];
	mf_stmt_bind_text(stmt, 1, key, strlen(key));
	status = mf_stmt_step(stmt, &row, error);
	if (status != MF_OK)
		return status;
	if (!row)
		return MF_ERR_NOT_FOUND;
	const char *stored_key;
	status = mf_sqlite_read_compacted_key(stmt, &stored_key, out, error);
	mf_stmt_reset(stmt);
	return status;
}

static enum mf_status refuse_duplicate(struct mf_sqlite *store, const struct append *job, size_t index, struct mf_error *error)
{
	const struct mf_event *event = &job->events[index];
	struct mf_key_info found;
	enum mf_status status = find_key(store, event->idempotency_key, &found, error);
	if (status == MF_ERR_NOT_FOUND)
		return mf_sqlite_corrupted(error, event->doc_id, event->lsn, "the number is taken, or the index of keys is damaged");
	if (status != MF_OK)
		return status;
	if (found.lsn > job->last)
		return mf_error_set(error, MF_ERR_DUPLICATE_KEY, "event %zu: the key '%.200s' is that of event %lld of the same batch", index, event->idempotency_key,
				    (long long)(found.lsn - job->last - 1));
	mf_error_set(error, MF_ERR_DUPLICATE_KEY, "event %zu: the key '%.200s' was used before, for LSN %lld", index, event->idempotency_key, (long long)found.lsn);
	const uint8_t *hash = mf_record_content_hash(event->payload, event->payload_len);
	error->lsn = found.lsn;
	error->same = hash && memcmp(hash, found.content_hash, sizeof(found.content_hash)) == 0;
	return MF_ERR_DUPLICATE_KEY;
}

/* The index over stored events refuses their keys; the compacted ones have to be asked. */
static enum mf_status check_compacted(struct mf_sqlite *store, const struct append *job, size_t index, struct mf_error *error)
{
	const char *key = job->events[index].idempotency_key;
	if (!store->any_compacted_keys || mf_sqlite_key_is_new(store, key))
		return MF_OK;
	bool row;
	struct mf_stmt *stmt = store->write[MF_WRITE_FIND_COMPACTED_KEY];
	mf_stmt_bind_text(stmt, 1, key, strlen(key));
	enum mf_status status = mf_stmt_step(stmt, &row, error);
	if (status != MF_OK || !row)
		return status;
	mf_stmt_reset(stmt);
	return refuse_duplicate(store, job, index, error);
}

static enum mf_status append_one(struct mf_sqlite *store, struct append *job, size_t index, struct mf_error *error)
{
	struct mf_event *event = &job->events[index];
	enum mf_status status = check_compacted(store, job, index, error);
	if (status == MF_OK)
		status = find_head(store, event->doc_id, &event->prev_lsn, error);
	if (status != MF_OK)
		return status;
	event->lsn = job->last + 1 + (int64_t)index;
	event->epoch = store->epoch;
	event->checksum = mf_event_checksum(event);
	mf_key_filter_add(&store->keys, event->idempotency_key, strlen(event->idempotency_key)); /* stays if rolled back: only a wrong alarm */
	status = insert(store, event, error);
	if (status == MF_ERR_DUPLICATE_KEY)
		return refuse_duplicate(store, job, index, error);
	if (status != MF_OK)
		return status;
	mf_heads_put(store->heads, event->doc_id, event->lsn);
	job->new_documents += event->prev_lsn == 0;
	return MF_OK;
}

static enum mf_status append_all(struct mf_sqlite *store, void *user, struct mf_error *error)
{
	struct append *job = user;
	job->last = atomic_load(&store->last_lsn);
	if (job->count > (uint64_t)(INT64_MAX - job->last))
		return mf_error_set(error, MF_ERR_STATE, "the store has no LSNs left");
	for (size_t i = 0; i < job->count; i++) {
		enum mf_status status = append_one(store, job, i, error);
		if (status != MF_OK)
			return status;
	}
	store->next_last_lsn = job->last + (int64_t)job->count;
	return MF_OK;
}

static void forget(struct mf_sqlite *store, const struct append *job)
{
	for (size_t i = 0; i < job->count; i++) {
		mf_heads_drop(store->heads, job->events[i].doc_id);
		job->events[i].lsn = job->events[i].epoch = job->events[i].prev_lsn = 0;
		job->events[i].checksum = 0;
	}
}

static void keep_room(struct mf_sqlite *store);

enum mf_status mf_sqlite_append_batch(struct mf_store *base, struct mf_event *events, size_t count, int64_t *out_last_lsn, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_writable(store, error);
	if (status != MF_OK)
		return status;
	struct append job = {.events = events, .count = count};
	mf_sqlite_lock_writer(store);
	keep_room(store);
	status = mf_sqlite_transact_locked(store, append_all, &job, error);
	if (status == MF_OK)
		atomic_fetch_add(&store->new_documents, job.new_documents);
	else
		forget(store, &job);
	pthread_mutex_unlock(&store->write_lock);
	if (status == MF_OK && out_last_lsn)
		*out_last_lsn = job.last + (int64_t)count;
	return status;
}

/* ---- sync ---- */

/* sync_lock is held. commits is read before last_lsn, the writer changes them in the other order: so an event
 * whose commit is counted here is below synced_lsn too. */
static enum mf_status sync_locked(struct mf_sqlite *store, struct mf_error *error)
{
	if (atomic_load(&store->poisoned)) {
		struct mf_error reason;
		mf_sqlite_check_writable(store, &reason);
		return mf_error_set(error, MF_ERR_UNKNOWN_OUTCOME, "%s", reason.message);
	}
	int64_t commits = atomic_load(&store->commits), last = atomic_load(&store->last_lsn);
	struct mf_error reason;
	enum mf_status status = commits == store->synced_commits ? MF_OK : mf_sql_sync_log(store->writer, &reason);
	if (status != MF_OK) {
		mf_sqlite_end_write(store, status, &reason);
		return mf_error_set(error, status, "%s", reason.message);
	}
	status = mf_sqlite_check_files(store, error);
	if (status != MF_OK || commits == store->synced_commits)
		return status;
	store->synced_commits = commits;
	atomic_store(&store->synced_lsn, last);
	(void)mf_sqlite_write_watermark(store, NULL);
	return MF_OK;
}

enum mf_status mf_sqlite_sync(struct mf_store *base, int64_t *out_synced_lsn, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_owner(store, error);
	if (status != MF_OK)
		return status;
	if (store->read_only)
		return mf_error_set(error, MF_ERR_STATE, "the store in %.200s was opened for reading only", store->dir);
	pthread_mutex_lock(&store->sync_lock);
	status = sync_locked(store, error);
	int64_t synced = atomic_load(&store->synced_lsn);
	pthread_mutex_unlock(&store->sync_lock);
	if (status == MF_OK && out_synced_lsn)
		*out_synced_lsn = synced;
	return status;
}

/* ---- checkpoint ---- */

#define LOG_WORTH_TELLING 4 /* times checkpoint_pages */

static void tell_log(struct mf_sqlite *store, int64_t pages, int64_t done)
{
	store->log_told_at = pages;
	mf_logf(&store->logger, MF_LOG_WARNING,
		"the store in %.200s: a reader holds %lld of the %lld pages of the log, which grows as long as somebody, here or in another program, reads whenever it could begin anew:"
		" see who reads for so long, or so often",
		store->dir, (long long)(pages - done), (long long)pages);
}

/* Both locks are held. Told again each time that the log has doubled. A log that was copied whole is as large as it was, until
 * it begins anew. */
static void note_log(struct mf_sqlite *store, int64_t pages, int64_t done)
{
	if (pages < (int64_t)store->checkpoint_pages * LOG_WORTH_TELLING)
		store->log_told_at = 0;
	else if (done < pages && pages >= store->log_told_at * 2)
		tell_log(store, pages, done);
}

/* Both locks are held. */
static enum mf_status checkpoint_locked(struct mf_sqlite *store, bool truncate, struct mf_error *error)
{
	/* By our own sync, so that its failure is ours and the watermark is right. */
	enum mf_status status = sync_locked(store, error);
	if (status != MF_OK)
		return status;
	int64_t done;
	struct mf_error reason;
	store->log_may_restart = true;
	status = mf_sql_checkpoint(store->writer, truncate, &done, &reason);
	mf_sqlite_end_write(store, status, &reason);
	if (status != MF_OK)
		return mf_error_set(error, status, "%s", reason.message);
	int64_t pages = mf_sql_log_pages(store->writer);
	atomic_store(&store->log_pages, pages);
	atomic_store(&store->log_done, done);
	atomic_fetch_add_explicit(&store->checkpoints, 1, memory_order_relaxed);
	note_log(store, pages, done);
	/* Readers may keep pages in the log: another try pays when it has grown by as much again. */
	store->retry_checkpoint_at = done < pages ? pages + store->checkpoint_pages : 0;
	return MF_OK;
}

#define LOG_PAGE_BYTES 4120
#define LOOK_EVERY 64 /* pages */

/* Would the database still have the room that all of it may need, but not twice as much? */
static bool room_is_scarce(const struct mf_sqlite *store, int64_t waiting)
{
	int64_t free_bytes = store->env->free_bytes(store->env->user, store->home), needed = waiting * LOG_PAGE_BYTES;
	return needed <= free_bytes && needed > free_bytes / 2;
}

/* write_lock is held. On a small disk the log would have all the room before it is long enough to be copied, and could never be
 * copied then: it is copied while that is sure to go well. (Measured on 2 MB: 129 commits without this.) */
static void keep_room(struct mf_sqlite *store)
{
	int64_t pages = atomic_load(&store->log_pages), waiting = pages - atomic_load(&store->log_done);
	if (waiting < LOOK_EVERY)
		store->look_at_room = LOOK_EVERY;
	if (waiting < store->look_at_room || pages < atomic_load(&store->retry_checkpoint_at))
		return;
	store->look_at_room = waiting + LOOK_EVERY;
	if (!room_is_scarce(store, waiting))
		return;
	pthread_mutex_lock(&store->sync_lock);
	(void)checkpoint_locked(store, false, NULL); /* what cannot be undone stops the store */
	pthread_mutex_unlock(&store->sync_lock);
}

enum mf_status mf_sqlite_checkpoint(struct mf_sqlite *store, bool truncate, struct mf_error *error)
{
	mf_sqlite_lock_writer(store);
	pthread_mutex_lock(&store->sync_lock);
	enum mf_status status = checkpoint_locked(store, truncate, error);
	pthread_mutex_unlock(&store->sync_lock);
	pthread_mutex_unlock(&store->write_lock);
	return status;
}

enum mf_status mf_sqlite_maintain(struct mf_store *base, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_writable(store, error);
	if (status != MF_OK)
		return store->read_only ? MF_OK : status;
	mf_sqlite_maintain_keys(store);
	int64_t pages = atomic_load(&store->log_pages);
	if (pages - atomic_load(&store->log_done) < store->checkpoint_pages || pages < atomic_load(&store->retry_checkpoint_at))
		return MF_OK;
	/* First without holding up the appends, so that little is left to sync in the checkpoint. */
	status = mf_sqlite_sync(base, NULL, error);
	return status == MF_OK ? mf_sqlite_checkpoint(store, false, error) : status;
}
