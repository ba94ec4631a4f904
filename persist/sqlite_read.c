/* Reading events and keys. Every row is checked against its checksum, and a document's rows against their chain:
 * a flipped bit in an index makes a plain query leave rows out without a word. */
#include "persist/sqlite_store.h"

#include <assert.h>
#include <string.h>

#include <moduforge/value.h>

#include "model/mem.h"
#include "persist/checksum.h"
#include "persist/event_page.h"
#include "persist/record.h"

#define DENSE 2 /* LSNs an event, at most: then most of them are the document's */

/* ---- rows ---- */

enum mf_status mf_sqlite_read_event(struct mf_stmt *stmt, struct mf_event *out, struct mf_error *error)
{
	struct mf_event event = {
		.lsn = mf_stmt_int(stmt, 0),
		.tr_id = (uint64_t)mf_stmt_int(stmt, 1),
		.doc_id = mf_stmt_text(stmt, 2, NULL),
		.ts_us = mf_stmt_int(stmt, 3),
		.actor = mf_stmt_text(stmt, 4, NULL),
		.idempotency_key = mf_stmt_text(stmt, 5, NULL),
		.epoch = mf_stmt_int(stmt, 9),
		.prev_lsn = mf_stmt_int(stmt, 10),
		.source_lsn = mf_stmt_int(stmt, 12),
	};
	event.meta = mf_stmt_text(stmt, 6, &event.meta_len);
	event.payload = mf_stmt_blob(stmt, 7, &event.payload_len);
	int64_t checksum = mf_stmt_int(stmt, 8), action = mf_stmt_int(stmt, 11);
	if (mf_stmt_no_memory(stmt))
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading LSN %lld", (long long)event.lsn);
	if (!event.doc_id || !event.idempotency_key || !event.meta)
		return mf_sqlite_corrupted(error, event.doc_id, event.lsn, "a field of the event is missing");
	event.action = (enum mf_action)action;
	event.checksum = (uint32_t)checksum;
	if (action < MF_ACTION_APPLY || action > MF_ACTION_REDO || checksum != mf_event_checksum(&event))
		return mf_sqlite_corrupted(error, event.doc_id, event.lsn, "the event's checksum does not fit its fields");
	if (!event.payload)
		event.payload = (const unsigned char *)"";
	*out = event;
	return MF_OK;
}

void mf_sqlite_event_hash(const struct mf_event *event, uint8_t out[16])
{
	const uint8_t *hash = mf_record_content_hash(event->payload, event->payload_len);
	if (hash)
		memcpy(out, hash, 16);
	else
		memset(out, 0, 16);
}

uint32_t mf_sqlite_key_checksum(int64_t lsn, const char *key, const uint8_t hash[16])
{
	return mf_row_checksum(&lsn, 1, key, hash, 16);
}

enum mf_status mf_sqlite_read_compacted_key(struct mf_stmt *stmt, const char **out_key, struct mf_key_info *out, struct mf_error *error)
{
	int64_t lsn = mf_stmt_int(stmt, 0);
	const char *key = mf_stmt_text(stmt, 1, NULL);
	size_t len;
	const void *hash = mf_stmt_blob(stmt, 2, &len);
	if (mf_stmt_no_memory(stmt))
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading a key");
	if (!key || len != sizeof(out->content_hash) || mf_stmt_int(stmt, 3) != mf_sqlite_key_checksum(lsn, key, hash))
		return mf_sqlite_corrupted(error, NULL, lsn, "the key of a compacted event does not fit its checksum");
	out->lsn = lsn;
	memcpy(out->content_hash, hash, sizeof(out->content_hash));
	*out_key = key;
	return MF_OK;
}

/* ---- events ---- */

struct reading {
	struct mf_sqlite *store;
	const char *doc_id; /* NULL: all documents */
	int64_t from_lsn, previous; /* previous: LSN of the event before, or from_lsn */
	struct mf_event_page page;
};

/* The first event of a page may follow on events that compaction took away. */
static enum mf_status check_first(struct reading *reading, const struct mf_event *event, struct mf_error *error)
{
	if (event->prev_lsn <= reading->from_lsn)
		return MF_OK;
	struct mf_sqlite_compaction record;
	enum mf_status status = mf_sqlite_find_compaction(reading->store->read[MF_READ_CHAIN], reading->doc_id, &record, error);
	if (status != MF_OK || event->prev_lsn <= record.upto_lsn)
		return status;
	return mf_sqlite_corrupted(error, event->doc_id, event->prev_lsn, "the document's next event follows on this one, which is missing");
}

static enum mf_status check_chain(struct reading *reading, const struct mf_event *event, struct mf_error *error)
{
	if (reading->page.count == 0)
		return check_first(reading, event, error);
	if (event->prev_lsn == reading->previous)
		return MF_OK;
	return mf_sqlite_corrupted(error, event->doc_id, event->lsn, "the event does not follow on the one before: events are missing between them");
}

/* LSNs that are missing between two events must have been compacted away, or accepted as lost. */
static enum mf_status check_hole(struct reading *reading, const struct mf_event *event, struct mf_error *error)
{
	int64_t first = reading->previous + 1, last = event->lsn - 1;
	if (first > last)
		return MF_OK;
	bool row;
	struct mf_stmt *stmt = reading->store->read[MF_READ_EXPLAIN];
	mf_stmt_bind_int(stmt, 1, first);
	mf_stmt_bind_int(stmt, 2, last);
	enum mf_status status = mf_stmt_step(stmt, &row, error);
	if (status != MF_OK)
		return status;
	assert(row); /* an aggregate */
	int64_t explained = mf_stmt_int(stmt, 0);
	mf_stmt_reset(stmt);
	if (explained == last - first + 1)
		return MF_OK;
	mf_error_set(error, MF_ERR_CORRUPTED, "of the events with LSN %lld to %lld, %lld are missing; run 'mf verify', then restore a backup", (long long)first,
		     (long long)last, (long long)(last - first + 1 - explained));
	if (error)
		error->lsn = first;
	return MF_ERR_CORRUPTED;
}

static enum mf_status take_event(struct reading *reading, struct mf_stmt *stmt, struct mf_error *error)
{
	struct mf_event event = {0};
	enum mf_status status = mf_sqlite_read_event(stmt, &event, error);
	if (status != MF_OK)
		return status;
	if (event.lsn <= reading->previous) /* who asks for what comes behind it would go round for ever */
		return mf_sqlite_corrupted(error, event.doc_id, event.lsn, "the event comes behind a later one: an index or a page is damaged");
	status = reading->doc_id ? check_chain(reading, &event, error) : check_hole(reading, &event, error);
	if (status != MF_OK)
		return status;
	reading->previous = event.lsn;
	if (mf_event_page_add(&reading->page, &event) != MF_OK)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading events");
	return MF_OK;
}

static enum mf_status read_rows(struct reading *reading, enum mf_sqlite_read_stmt which, uint32_t limit, struct mf_error *error)
{
	struct mf_stmt *stmt = reading->store->read[which];
	mf_stmt_bind_int(stmt, 1, reading->from_lsn);
	mf_stmt_bind_int(stmt, 2, limit);
	if (reading->doc_id)
		mf_stmt_bind_text(stmt, 3, reading->doc_id, strlen(reading->doc_id));
	if (which == MF_READ_DENSE_EVENTS)
		mf_stmt_bind_int(stmt, 4, reading->from_lsn + (int64_t)limit * DENSE);
	enum mf_status status = MF_OK;
	while (reading->page.len < MF_EVENT_PAGE_BYTES) {
		bool row;
		status = mf_stmt_step(stmt, &row, error);
		if (status != MF_OK || !row)
			break;
		status = take_event(reading, stmt, error);
		if (status != MF_OK)
			break;
	}
	mf_stmt_reset(stmt);
	return status;
}

/* A document that has most events of its part of the store is read along the table, a third faster than through its
 * index. What that may look at in vain is bounded, and a document that ends there is asked for through the index. */
static enum mf_status read_page(struct reading *reading, uint32_t limit, struct mf_error *error)
{
	struct mf_sqlite *store = reading->store;
	if (!reading->doc_id)
		return read_rows(reading, MF_READ_ALL_EVENTS, limit, error);
	enum mf_status status = MF_OK;
	if (reading->from_lsn > 0 && reading->from_lsn == store->dense_at && reading->from_lsn <= INT64_MAX - (int64_t)UINT32_MAX * DENSE)
		status = read_rows(reading, MF_READ_DENSE_EVENTS, limit, error);
	if (status == MF_OK && reading->page.count == 0)
		status = read_rows(reading, MF_READ_DOC_EVENTS, limit, error);
	if (reading->page.count > 0 && reading->previous - reading->from_lsn <= (int64_t)reading->page.count * DENSE)
		store->dense_at = reading->previous;
	return status;
}

enum mf_status mf_sqlite_load_since(struct mf_store *base, const char *doc_id, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_readable(store, error);
	if (status != MF_OK)
		return status;
	struct reading reading = {.store = store, .doc_id = doc_id, .from_lsn = from_lsn, .previous = from_lsn};
	mf_event_page_init(&reading.page);
	pthread_mutex_lock(&store->read_lock);
	status = read_page(&reading, limit, error);
	pthread_mutex_unlock(&store->read_lock);
	if (status == MF_OK)
		mf_event_page_finish(&reading.page, out);
	else
		mf_event_page_deinit(&reading.page);
	return status;
}

/* ---- last LSN, keys ---- */

enum mf_status mf_sqlite_newest(struct mf_sql *sql, int64_t *out_lsn, struct mf_error *error)
{
	return mf_sql_number(sql,
			     "SELECT max(ifnull((SELECT max(lsn) FROM events), 0), ifnull((SELECT max(lsn) FROM compacted_keys), 0),"
			     " ifnull((SELECT max(first_lsn) - 1 FROM epochs WHERE lost_from > 0), 0))",
			     out_lsn, error);
}

static enum mf_status first_number(struct mf_stmt *stmt, const char *text, int64_t *out, struct mf_error *error)
{
	bool row;
	mf_stmt_bind_text(stmt, 1, text, strlen(text));
	enum mf_status status = mf_stmt_step(stmt, &row, error);
	if (status == MF_OK) {
		assert(row); /* an aggregate */
		*out = mf_stmt_int(stmt, 0);
	}
	mf_stmt_reset(stmt);
	return status;
}

/* The events before the record: a compaction beside us writes that first. */
static enum mf_status find_head(struct mf_sqlite *store, const char *doc_id, int64_t *out, struct mf_error *error)
{
	struct mf_sqlite_compaction record;
	enum mf_status status = first_number(store->read[MF_READ_HEAD], doc_id, out, error);
	if (status != MF_OK || *out > 0)
		return status;
	status = mf_sqlite_find_compaction(store->read[MF_READ_CHAIN], doc_id, &record, error);
	if (status == MF_OK)
		*out = record.chain_lsn;
	return status;
}

enum mf_status mf_sqlite_last_lsn(struct mf_store *base, const char *doc_id, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_readable(store, error);
	if (status != MF_OK)
		return status;
	if (!doc_id && !store->read_only) {
		*out_lsn = atomic_load(&store->last_lsn);
		return MF_OK;
	}
	int64_t lsn = 0;
	pthread_mutex_lock(&store->read_lock);
	if (!doc_id)
		status = mf_sqlite_newest(store->reader, &lsn, error);
	else
		status = find_head(store, doc_id, &lsn, error);
	pthread_mutex_unlock(&store->read_lock);
	if (status == MF_OK)
		*out_lsn = lsn;
	return status;
}

/* One of the two places of a key. MF_ERR_NOT_FOUND leaves error alone. */
static enum mf_status find_in(struct mf_sqlite *store, enum mf_sqlite_read_stmt place, const char *key, struct mf_key_info *out, struct mf_error *error)
{
	bool row;
	struct mf_stmt *stmt = store->read[place];
	mf_stmt_bind_text(stmt, 1, key, strlen(key));
	enum mf_status status = mf_stmt_step(stmt, &row, error);
	if (status != MF_OK || !row)
		return status != MF_OK ? status : MF_ERR_NOT_FOUND;
	if (place == MF_READ_COMPACTED_KEY) {
		const char *stored;
		status = mf_sqlite_read_compacted_key(stmt, &stored, out, error);
	} else {
		struct mf_event event = {0};
		status = mf_sqlite_read_event(stmt, &event, error);
		if (status == MF_OK) {
			out->lsn = event.lsn;
			mf_sqlite_event_hash(&event, out->content_hash);
		}
	}
	mf_stmt_reset(stmt);
	return status;
}

enum mf_status mf_sqlite_find_key(struct mf_store *base, const char *key, struct mf_key_info *out, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_readable(store, error);
	if (status != MF_OK)
		return status;
	struct mf_key_info found;
	if (mf_sqlite_key_is_new(store, key))
		return mf_error_set(error, MF_ERR_NOT_FOUND, "no event has the key '%.200s'", key);
	pthread_mutex_lock(&store->read_lock);
	/* Keys move from the first place to the second, so asking in this order meets each. */
	status = find_in(store, MF_READ_KEY, key, &found, error);
	if (status == MF_ERR_NOT_FOUND)
		status = find_in(store, MF_READ_COMPACTED_KEY, key, &found, error);
	pthread_mutex_unlock(&store->read_lock);
	if (status == MF_ERR_NOT_FOUND)
		return mf_error_set(error, status, "no event has the key '%.200s'", key);
	if (status == MF_OK)
		*out = found;
	return status;
}

/* ---- documents ---- */

/* Two lists that are in order already, and one comes out: in one query SQLite would sort them, in a file that is as large as both. */
static const char *const documents[] = {
	"SELECT doc_id, max(lsn), count(*), (SELECT count(*) FROM snapshots s WHERE s.doc_id = e.doc_id) FROM events e INDEXED BY ix_events_doc_lsn"
	" GROUP BY doc_id ORDER BY doc_id",
	"SELECT doc_id, chain_lsn, 0, (SELECT count(*) FROM snapshots s WHERE s.doc_id = c.doc_id) FROM compactions c"
	" WHERE chain_lsn > 0 AND NOT EXISTS (SELECT 1 FROM events e WHERE e.doc_id = c.doc_id) ORDER BY doc_id",
};
#define LISTS (sizeof(documents) / sizeof(documents[0]))

struct listing {
	struct mf_sql *sql;
	struct mf_stmt *stmts[LISTS];
	struct mf_document_info next[LISTS]; /* without doc_id: there is no more */
	char *last; /* what was visited last; NULL: nothing yet */
	size_t room;
};

static enum mf_status next_document(struct listing *listing, size_t i, struct mf_error *error)
{
	bool row;
	struct mf_stmt *stmt = listing->stmts[i];
	enum mf_status status = mf_stmt_step(stmt, &row, error);
	listing->next[i] = (struct mf_document_info){0};
	if (status != MF_OK || !row)
		return status;
	const struct mf_document_info info = {mf_stmt_text(stmt, 0, NULL), mf_stmt_int(stmt, 1), mf_stmt_int(stmt, 2), mf_stmt_int(stmt, 3)};
	if (!info.doc_id)
		return mf_stmt_no_memory(stmt) ? mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while listing documents")
					       : mf_sqlite_corrupted(error, NULL, info.last_lsn, "an event without a document");
	listing->next[i] = info;
	return MF_OK;
}

static enum mf_status begin_listing(struct listing *listing, struct mf_error *error)
{
	enum mf_status status = mf_sql_begin_reading(listing->sql, error); /* one moment for both */
	for (size_t i = 0; i < LISTS && status == MF_OK; i++) {
		status = mf_sql_prepare(listing->sql, documents[i], &listing->stmts[i], error);
		if (status == MF_OK)
			status = next_document(listing, i, error);
	}
	return status;
}

/* Which of the lists has the first of the documents that are left; LISTS: none are. */
static size_t first_of(const struct listing *listing)
{
	const char *events = listing->next[0].doc_id, *compacted = listing->next[1].doc_id;
	if (!events)
		return compacted ? 1 : LISTS;
	return compacted && strcmp(compacted, events) < 0;
}

/* Damage may lead to where the list has been, for ever. */
static enum mf_status check_order(struct listing *listing, const struct mf_document_info *info, struct mf_error *error)
{
	if (listing->last && strcmp(info->doc_id, listing->last) <= 0)
		return mf_sqlite_corrupted(error, info->doc_id, info->last_lsn, "the index of documents, or the records of compactions, are out of order");
	size_t size = strlen(info->doc_id) + 1;
	if (size > listing->room) {
		mf_free(listing->last);
		listing->room = 2 * size;
		listing->last = mf_malloc(listing->room);
	}
	if (!listing->last)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while listing documents");
	memcpy(listing->last, info->doc_id, size);
	return MF_OK;
}

static enum mf_status visit_all(struct listing *listing, mf_document_visit *visit, void *user, struct mf_error *error)
{
	enum mf_status status = begin_listing(listing, error);
	while (status == MF_OK) {
		size_t i = first_of(listing);
		if (i == LISTS)
			return MF_OK;
		status = check_order(listing, &listing->next[i], error);
		if (status != MF_OK || !visit(user, &listing->next[i]))
			return status;
		status = next_document(listing, i, error);
	}
	return status;
}

enum mf_status mf_sqlite_documents(struct mf_store *base, mf_document_visit *visit, void *user, struct mf_error *error)
{
	struct mf_sqlite *store = mf_sqlite_of(base);
	enum mf_status status = mf_sqlite_check_owner(store, error);
	struct listing listing = {0};
	if (status == MF_OK)
		status = mf_sqlite_open_reader(store, &listing.sql, error); /* of its own: the visitor may call the store */
	if (status != MF_OK)
		return status;
	status = visit_all(&listing, visit, user, error);
	for (size_t i = 0; i < LISTS; i++)
		mf_stmt_free(listing.stmts[i]);
	mf_free(listing.last);
	mf_sqlite_close_reader(store, listing.sql, status == MF_OK);
	return status;
}
