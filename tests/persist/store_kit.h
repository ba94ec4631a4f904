/* store_kit.h - what the tests of the stores share: temporary directories, events, opening. Failures end the test. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <moduforge/store.h>

/* ---- directories ---- */
char *kit_make_dir(void);             /* under TMPDIR or /tmp; the caller gives it to kit_remove_dir */
extern char *kit_dir; /* of the test that runs */
int kit_set_up(void **state); /* fixtures for cmocka: a new kit_dir for each test */
int kit_tear_down(void **state);
void kit_remove_dir(char *dir);       /* with all that is in it; frees the string */
char *kit_path(const char *dir, const char *name); /* to be freed */
int64_t kit_file_size(const char *dir, const char *name); /* -1: there is none */
void kit_copy_file(const char *dir, const char *from, const char *to);
/* Overwrites len bytes at offset (negative: from the end). */
void kit_poke(const char *dir, const char *name, int64_t offset, const void *bytes, size_t len);
int64_t kit_find(const char *dir, const char *name, const void *bytes, size_t len); /* where these bytes are first; they must be there */
void kit_truncate(const char *dir, const char *name, int64_t size);
/* Runs SQL on store.db of a closed store with a connection of its own. */
void kit_sql(const char *dir, const char *sql);

/* ---- events ---- */
#define KIT_PAYLOAD_LEN 40
struct mf_event kit_event(const char *doc_id, const char *key); /* payload with a content hash made from the key */
/* Appends one event, count events with keys "PREFIX-0" ... */
int64_t kit_append(struct mf_store *store, const char *doc_id, const char *key);
void kit_append_many(struct mf_store *store, const char *doc_id, const char *prefix, int count);
/* How many events, and their numbers checked: ascending. */
size_t kit_count(struct mf_store *store, const char *doc_id, int64_t from_lsn);
void kit_write_snapshot(struct mf_store *store, const char *doc_id, int64_t upto_lsn, size_t len);
enum mf_status kit_try_snapshot(struct mf_store *store, const char *doc_id, int64_t upto_lsn, int64_t base_lsn, size_t len, struct mf_error *error);

/* ---- stores ---- */
struct mf_store *kit_open(const char *dir);
struct mf_store *kit_open_with(const struct mf_sqlite_options *options);
struct mf_store *kit_open_reader(const char *dir);
void kit_close(struct mf_store *store);
/* The status of an opening that fails, and its error. */
enum mf_status kit_open_fails(const struct mf_sqlite_options *options, struct mf_error *error);

/* ---- findings of verify ---- */
struct kit_findings {
	int count;
	char what[32];    /* of the first */
	char doc_id[64];
	int64_t lsn;
	int of_kind;      /* findings whose what is kind */
	const char *kind;
};
enum mf_status kit_verify(struct mf_store *store, const char *kind, struct kit_findings *out);
/* The store in kit_dir is not opened: it is damaged, and the error has these words. */
void kit_expect_refused(bool read_only, const char *words, struct mf_error *error);
/* A new store of document d: events 1 to 7, 8 to 10 lost and the loss accepted, 11. */
struct mf_store *kit_open_after_a_loss(const char *dir);
/* For writing, with what is wrong in it, and not looked at. */
struct mf_store *kit_open_all_the_same(void);
/* The store in kit_dir for reading, with what is wrong in it, and not looked at. */
struct mf_store *kit_open_damaged(void);
/* The first finding of verify in it. */
void kit_expect_finding(const char *kind, const char *doc_id, int64_t lsn);

#define KIT_OK(expression, error) \
	do { \
		enum mf_status kit_status_ = (expression); \
		if (kit_status_ != MF_OK) \
			fail_msg("%s: %s: %s", #expression, mf_status_name(kit_status_), (error)->message); \
	} while (0)
