/* The keys of a SQLite store, and the filter in front of them.
 *
 * The filter is filled when the store is opened, up to FIRST_KEYS keys (some tenths of a second), and a slice at a
 * time from maintain where there are more: until it knows every key, each look-up asks the database. */
#include "persist/sqlite_store.h"

#include <string.h>

#define FIRST_KEYS 1000000
#define SLICE_KEYS 50000

static const char *const texts[] = {
	"SELECT idempotency_key FROM events WHERE idempotency_key > ?1 ORDER BY idempotency_key LIMIT ?2",
	"SELECT idempotency_key FROM compacted_keys WHERE idempotency_key > ?1 ORDER BY idempotency_key LIMIT ?2",
};

/* Adds what stmt gives; leaves the last key in after, "" at the end. */
static enum mf_status add_rows(struct mf_sqlite *store, struct mf_stmt *stmt, int64_t limit, char after[MF_ID_MAX + 1], struct mf_error *error)
{
	int64_t rows = 0;
	bool row = false;
	char last[MF_ID_MAX + 1] = "";
	enum mf_status status;
	while ((status = mf_stmt_step(stmt, &row, error)) == MF_OK && row) {
		size_t len;
		const char *key = mf_stmt_text(stmt, 0, &len);
		if (!key || len > MF_ID_MAX)
			return mf_stmt_no_memory(stmt) ? mf_error_set(error, MF_ERR_NO_MEMORY, "out of memory while reading keys")
						       : mf_sqlite_corrupted(error, NULL, 0, "a key is missing or too long");
		mf_key_filter_add(&store->keys, key, len);
		memcpy(last, key, len + 1);
		rows++;
	}
	if (rows < limit)
		last[0] = '\0';
	memcpy(after, last, strlen(last) + 1);
	return status;
}

static enum mf_status load_slice(struct mf_sqlite *store, int64_t limit, struct mf_error *error)
{
	struct mf_stmt *stmt = NULL;
	struct mf_key_load *load = &store->key_load;
	enum mf_status status = mf_sql_prepare(load->sql, texts[load->table], &stmt, error);
	if (status != MF_OK)
		return status;
	mf_stmt_bind_text(stmt, 1, load->after, strlen(load->after));
	mf_stmt_bind_int(stmt, 2, limit);
	status = add_rows(store, stmt, limit, load->after, error);
	mf_stmt_free(stmt);
	if (status != MF_OK || load->after[0])
		return status;
	load->table++;
	return MF_OK;
}

static void end_load(struct mf_sqlite *store, bool sound)
{
	mf_sqlite_close_reader(store, store->key_load.sql, sound);
	store->key_load.sql = NULL;
}

/* A filter that could not be filled is left out: every look-up asks the database then. */
static void load_keys(struct mf_sqlite *store, int64_t limit)
{
	enum mf_status status = load_slice(store, limit, NULL);
	if (status == MF_OK && store->key_load.table < sizeof(texts) / sizeof(texts[0]))
		return;
	end_load(store, status == MF_OK);
	atomic_store_explicit(&store->keys_known, status == MF_OK, memory_order_release);
}

void mf_sqlite_open_keys(struct mf_sqlite *store)
{
	mf_key_filter_init(&store->keys);
	if (store->read_only || mf_sqlite_open_reader(store, &store->key_load.sql, NULL) != MF_OK)
		return;
	for (size_t tables = 0; store->key_load.sql && tables < sizeof(texts) / sizeof(texts[0]); tables++)
		load_keys(store, FIRST_KEYS);
}

/* Appends add to the filter too, so a slice is loaded under the writer's lock. */
void mf_sqlite_maintain_keys(struct mf_sqlite *store)
{
	if (atomic_load_explicit(&store->keys_known, memory_order_acquire))
		return;
	pthread_mutex_lock(&store->write_lock);
	if (store->key_load.sql)
		load_keys(store, SLICE_KEYS);
	pthread_mutex_unlock(&store->write_lock);
}

void mf_sqlite_close_keys(struct mf_sqlite *store)
{
	end_load(store, false);
	mf_key_filter_deinit(&store->keys);
}

bool mf_sqlite_key_is_new(const struct mf_sqlite *store, const char *key)
{
	return atomic_load_explicit(&store->keys_known, memory_order_acquire) && !mf_key_filter_may_have(&store->keys, key, strlen(key));
}
