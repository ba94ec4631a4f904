#include "store_kit.h"

#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* ---- directories ---- */

char *kit_make_dir(void)
{
	const char *base = getenv("TMPDIR");
	char *path = malloc(4096);
	assert_non_null(path);
	snprintf(path, 4096, "%s/moduforge-test-XXXXXX", base && base[0] ? base : "/tmp");
	assert_non_null(mkdtemp(path));
	return path;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
	(void)info;
	(void)type;
	(void)where;
	return remove(path);
}

void kit_remove_dir(char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

char *kit_dir;

int kit_set_up(void **state)
{
	(void)state;
	kit_dir = kit_make_dir();
	return 0;
}

int kit_tear_down(void **state)
{
	(void)state;
	kit_remove_dir(kit_dir);
	return 0;
}

char *kit_path(const char *dir, const char *name)
{
	size_t size = strlen(dir) + strlen(name) + 2;
	char *path = malloc(size);
	assert_non_null(path);
	snprintf(path, size, "%s/%s", dir, name);
	return path;
}

int64_t kit_file_size(const char *dir, const char *name)
{
	struct stat info;
	char *path = kit_path(dir, name);
	int result = stat(path, &info);
	free(path);
	return result == 0 ? info.st_size : -1;
}

static int open_in(const char *dir, const char *name, int flags)
{
	char *path = kit_path(dir, name);
	int fd = open(path, flags | O_CLOEXEC, 0600);
	free(path);
	assert_true(fd >= 0);
	return fd;
}

void kit_copy_file(const char *dir, const char *from, const char *to)
{
	char block[65536];
	int in = open_in(dir, from, O_RDONLY), out = open_in(dir, to, O_WRONLY | O_CREAT | O_TRUNC);
	ssize_t got;
	while ((got = read(in, block, sizeof(block))) > 0)
		assert_int_equal(write(out, block, (size_t)got), got);
	assert_int_equal(got, 0);
	close(in);
	close(out);
}

void kit_poke(const char *dir, const char *name, int64_t offset, const void *bytes, size_t len)
{
	int fd = open_in(dir, name, O_WRONLY);
	int64_t at = offset >= 0 ? offset : kit_file_size(dir, name) + offset;
	assert_int_equal(pwrite(fd, bytes, len, at), len);
	close(fd);
}

int64_t kit_find(const char *dir, const char *name, const void *bytes, size_t len)
{
	size_t size = (size_t)kit_file_size(dir, name);
	unsigned char *all = malloc(size);
	assert_non_null(all);
	int fd = open_in(dir, name, O_RDONLY);
	assert_int_equal(pread(fd, all, size, 0), size);
	close(fd);
	const unsigned char *at = memmem(all, size, bytes, len);
	int64_t offset = at ? at - all : -1;
	free(all);
	assert_true(offset >= 0);
	return offset;
}

void kit_truncate(const char *dir, const char *name, int64_t size)
{
	char *path = kit_path(dir, name);
	assert_int_equal(truncate(path, size), 0);
	free(path);
}

void kit_sql(const char *dir, const char *sql)
{
	char *path = kit_path(dir, "store.db"), *message = NULL;
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(path);
}

/* ---- events ---- */

static unsigned char payload[KIT_PAYLOAD_LEN];

struct mf_event kit_event(const char *doc_id, const char *key)
{
	static _Thread_local unsigned char bytes[KIT_PAYLOAD_LEN];
	memcpy(bytes, payload, sizeof(bytes));
	uint64_t hash = XXH3_64bits(key, strlen(key));
	memcpy(bytes + 2, &hash, sizeof(hash));
	return (struct mf_event){
		.tr_id = 7, .ts_us = 1700000000000000, .doc_id = doc_id, .idempotency_key = key, .meta = "{}", .meta_len = 2, .payload = bytes, .payload_len = sizeof(bytes)};
}

int64_t kit_append(struct mf_store *store, const char *doc_id, const char *key)
{
	struct mf_event event = kit_event(doc_id, key);
	struct mf_error error;
	int64_t lsn = 0;
	KIT_OK(mf_store_append(store, &event, &lsn, &error), &error);
	assert_int_equal(event.lsn, lsn);
	return lsn;
}

void kit_append_many(struct mf_store *store, const char *doc_id, const char *prefix, int count)
{
	for (int i = 0; i < count; i++) {
		char key[128];
		snprintf(key, sizeof(key), "%s-%d", prefix, i);
		kit_append(store, doc_id, key);
	}
}

size_t kit_count(struct mf_store *store, const char *doc_id, int64_t from_lsn)
{
	size_t count = 0;
	for (;;) {
		struct mf_event_list list;
		struct mf_error error;
		KIT_OK(mf_store_load_since(store, doc_id, from_lsn, 100, &list, &error), &error);
		for (size_t i = 0; i < list.count; i++) {
			assert_true(list.events[i].lsn > from_lsn);
			from_lsn = list.events[i].lsn;
		}
		size_t got = list.count;
		mf_event_list_deinit(&list);
		count += got;
		if (got == 0)
			return count;
	}
}

enum mf_status kit_try_snapshot(struct mf_store *store, const char *doc_id, int64_t upto_lsn, int64_t base_lsn, size_t len, struct mf_error *error)
{
	unsigned char *bytes = malloc(len);
	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (unsigned char)(i * 31 + (size_t)upto_lsn);
	struct mf_snapshot snapshot = {.doc_id = doc_id, .upto_lsn = upto_lsn, .created_at = 5, .version = 1, .state_blob = bytes, .state_len = len, .base_lsn = base_lsn};
	enum mf_status status = mf_store_write_snapshot(store, &snapshot, error);
	free(bytes);
	return status;
}

void kit_write_snapshot(struct mf_store *store, const char *doc_id, int64_t upto_lsn, size_t len)
{
	struct mf_error error;
	KIT_OK(kit_try_snapshot(store, doc_id, upto_lsn, 0, len, &error), &error);
}

/* ---- stores ---- */

struct mf_store *kit_open_with(const struct mf_sqlite_options *options)
{
	struct mf_store *store = NULL;
	struct mf_error error;
	KIT_OK(mf_store_open_sqlite(options, &store, &error), &error);
	return store;
}

struct mf_store *kit_open(const char *dir)
{
	return kit_open_with(&(struct mf_sqlite_options){.dir = dir});
}

struct mf_store *kit_open_reader(const char *dir)
{
	return kit_open_with(&(struct mf_sqlite_options){.dir = dir, .read_only = true});
}

void kit_close(struct mf_store *store)
{
	struct mf_error error;
	KIT_OK(mf_store_close(store, &error), &error);
}

enum mf_status kit_open_fails(const struct mf_sqlite_options *options, struct mf_error *error)
{
	struct mf_store *store = NULL;
	enum mf_status status = mf_store_open_sqlite(options, &store, error);
	assert_int_not_equal(status, MF_OK);
	assert_null(store);
	assert_int_equal(error->status, status);
	return status;
}

/* ---- findings ---- */

static void note(void *user, const struct mf_damage *damage)
{
	struct kit_findings *out = user;
	if (out->count++ == 0) {
		snprintf(out->what, sizeof(out->what), "%s", damage->what);
		snprintf(out->doc_id, sizeof(out->doc_id), "%.60s", damage->doc_id ? damage->doc_id : "");
		out->lsn = damage->lsn;
	}
	if (out->kind && strcmp(out->kind, damage->what) == 0)
		out->of_kind++;
	assert_true(damage->message[0] != '\0');
}

enum mf_status kit_verify(struct mf_store *store, const char *kind, struct kit_findings *out)
{
	struct mf_error error;
	*out = (struct kit_findings){.kind = kind};
	enum mf_status status = mf_store_verify(store, note, out, &error);
	if (status != MF_ERR_IO) /* of what could be read */
		assert_int_equal(status == MF_ERR_CORRUPTED, out->count > 0);
	return status;
}

void kit_expect_refused(bool read_only, const char *words, struct mf_error *error)
{
	assert_int_equal(kit_open_fails(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = read_only}, error), MF_ERR_CORRUPTED);
	if (!strstr(error->message, words))
		fail_msg("'%s' is not in: %s", words, error->message);
}

struct mf_store *kit_open_all_the_same(void)
{
	return kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .accept_damage = true});
}

struct mf_store *kit_open_damaged(void)
{
	return kit_open_with(&(struct mf_sqlite_options){.dir = kit_dir, .read_only = true, .accept_damage = true});
}

void kit_expect_finding(const char *kind, const char *doc_id, int64_t lsn)
{
	struct kit_findings findings;
	struct mf_store *store = kit_open_damaged();
	assert_int_equal(kit_verify(store, kind, &findings), MF_ERR_CORRUPTED);
	assert_string_equal(findings.what, kind);
	assert_string_equal(findings.doc_id, doc_id);
	assert_int_equal(findings.lsn, lsn);
	kit_close(store);
}

struct mf_store *kit_open_after_a_loss(const char *dir)
{
	struct mf_error error;
	struct mf_store *store = kit_open(dir);
	kit_append_many(store, "d", "k", 10);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	kit_close(store);
	kit_sql(dir, "DELETE FROM events WHERE lsn > 7");
	store = kit_open_with(&(struct mf_sqlite_options){.dir = dir, .accept_damage = true});
	assert_int_equal(kit_append(store, "d", "after"), 11);
	return store;
}
