#include "tests/fuzz/stores.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moduforge/backup.h>
#include <moduforge/persist.h>

#include "model/transaction.h"
#include "persist/env.h"
#include "persist/snapshot_codec.h"
#include "tests/fuzz/target.h"

static struct mf_error why;
static bool may_ask_for_much; /* as of the probe under way */
#define OK(expression) expect_ok((expression), #expression)
#define HISTORY_LIMIT 100

static void expect_ok(enum mf_status status, const char *what)
{
	if (status == MF_OK)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, mf_status_name(status), why.status == status ? why.message : "");
	__builtin_trap();
}

/* ---- making one ---- */

/* A line an event: document, then its steps; "undo", "redo"; "snapshot", "on" (incremental), "pieces", "compact"; "again": opened anew. */
static const char *const history[] = {
	"a:[{\"type_id\":\"insert_node\",\"data\":{\"parent\":\"root\",\"node\":{\"id\":\"n1\",\"type\":\"p\",\"attrs\":{\"text\":\"the same words, the same words, the same words\",\"n\":1}}}}]",
	"a:[{\"type_id\":\"insert_node\",\"data\":{\"parent\":\"root\",\"node\":{\"id\":\"n2\",\"type\":\"list\",\"children\":[{\"id\":\"n3\",\"type\":\"item\"}]}}},{\"type_id\":\"update_attrs\",\"data\":{\"id\":\"n1\",\"set\":{\"n\":2}}}]",
	"b:[{\"type_id\":\"insert_node\",\"data\":{\"parent\":\"root\",\"node\":{\"id\":\"x\",\"type\":\"p\",\"attrs\":{\"text\":\"h\u00e9llo\"}}}}]",
	"a:snapshot",
	"a:[{\"type_id\":\"replace_text\",\"data\":{\"id\":\"n1\",\"pos\":4,\"delete\":5,\"insert\":\"other\"}}]",
	"a:undo",
	"b:[{\"type_id\":\"add_mark\",\"data\":{\"id\":\"x\",\"mark\":{\"type\":\"bold\",\"attrs\":{\"by\":\"ann\"}}}}]",
	"a:on",
	"b:pieces",
	"again",
	"a:[{\"type_id\":\"move_node\",\"data\":{\"id\":\"n3\",\"parent\":\"root\",\"index\":0}}]",
	"a:[{\"type_id\":\"delete_node\",\"data\":{\"id\":\"n2\"}}]",
	"b:[{\"type_id\":\"replace_text\",\"data\":{\"id\":\"x\",\"pos\":0,\"delete\":2,\"insert\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}}]",
	"b:undo",
	"a:snapshot",
	"a:compact",
	"a:[{\"type_id\":\"update_attrs\",\"data\":{\"id\":\"n1\",\"set\":{\"n\":3},\"unset\":[\"gone\"]}}]",
	"b:redo",
	"a:on",
};

struct making {
	struct fuzz_base *base;
	struct mf_store *store;
	struct mf_persist_options options;
	struct mf_state *states[FUZZ_DOCS];
	struct mf_state *snapshots[FUZZ_DOCS]; /* what an incremental one builds on */
};

const char *fuzz_doc(int number)
{
	return number == 0 ? "a" : "b";
}

static void open_store(struct making *making)
{
	OK(mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = FUZZ_DIR}, &making->store, &why));
}

static struct mf_transaction *transaction_of(const struct making *making, int doc, const char *what)
{
	struct mf_transaction *transaction;
	struct mf_value *steps;
	if (strcmp(what, "undo") == 0 || strcmp(what, "redo") == 0) {
		OK((what[0] == 'u' ? mf_state_make_undo : mf_state_make_redo)(making->states[doc], &transaction, &why));
		return transaction;
	}
	OK(mf_transaction_new(&transaction));
	OK(mf_value_parse_json(what, strlen(what), &steps, &why));
	for (size_t i = 0; i < mf_value_count(steps); i++) {
		char *data;
		size_t len;
		const struct mf_value *step = mf_value_item(steps, i);
		OK(mf_value_to_json(mf_value_get(step, "data"), &data, &len));
		OK(mf_transaction_add_json(transaction, fuzz_steps(), mf_value_string_flat(mf_value_get(step, "type_id")), data, &why));
		mf_free(data);
	}
	mf_value_unref(steps);
	return transaction;
}

static void store_event(struct making *making, int doc, const char *what)
{
	struct mf_event event;
	struct mf_state *after;
	void *memory;
	int64_t lsn;
	char key[32];
	struct mf_transaction *transaction = transaction_of(making, doc, what);
	snprintf(key, sizeof(key), "k%lld", (long long)making->base->last_lsn + 1);
	OK(mf_transaction_set_key(transaction, key, &why));
	mf_transaction_set_id(transaction, (uint64_t)making->base->last_lsn + 1);
	OK(mf_state_apply(making->states[doc], transaction, &after, &why));
	OK(mf_event_encode(fuzz_doc(doc), transaction, &making->options, &event, &memory, &why));
	event.doc_id = fuzz_doc(doc);
	event.ts_us = making->options.env->wall_us(NULL);
	OK(mf_store_append(making->store, &event, &lsn, &why));
	OK(mf_store_sync(making->store, NULL, &why));
	mf_state_set_lsn(after, lsn);
	mf_state_unref(making->states[doc]);
	making->states[doc] = after;
	making->base->last_lsn = lsn;
	struct fuzz_moment *moment = &making->base->moments[lsn];
	moment->doc = doc;
	OK(mf_doc_digest(mf_state_doc(after), &moment->digest));
	mf_transaction_free(transaction);
	mf_free(memory);
}

static void write_pieces(const struct making *making, struct mf_snapshot *snapshot)
{
	uint32_t index = 0;
	for (size_t at = 0, piece = snapshot->state_len / 3 + 1; at < snapshot->state_len; at += piece) {
		size_t len = snapshot->state_len - at < piece ? snapshot->state_len - at : piece;
		OK(making->store->ops->snapshot_chunk(making->store, snapshot->doc_id, snapshot->upto_lsn, index++, snapshot->state_blob + at, len, &why));
	}
	struct mf_snapshot row = *snapshot;
	row.state_blob = NULL;
	OK(making->store->ops->snapshot_finish(making->store, &row, &why));
}

static void write_snapshot(struct making *making, int doc, const char *what)
{
	struct mf_snapshot snapshot;
	struct mf_snapshot_base base = {.state = making->snapshots[doc], .raw_max = SIZE_MAX / 2};
	bool fits, on = strcmp(what, "on") == 0;
	if (on)
		OK(mf_doc_digest(mf_state_doc(base.state), &base.digest));
	OK(mf_snapshot_encode_on(fuzz_doc(doc), on ? &base : NULL, making->states[doc], &making->options, &snapshot, &fits, &why));
	if (strcmp(what, "pieces") == 0)
		write_pieces(making, &snapshot);
	else
		OK(mf_store_write_snapshot(making->store, &snapshot, &why));
	mf_snapshot_deinit(&snapshot);
	mf_state_unref(making->snapshots[doc]);
	making->snapshots[doc] = mf_state_ref(making->states[doc]);
}

static void take_line(struct making *making, const char *line)
{
	int doc = line[0] == 'b';
	if (strcmp(line, "again") == 0) {
		OK(mf_store_close(making->store, &why));
		open_store(making);
	} else if (line[2] == '[' || line[2] == 'u' || line[2] == 'r') {
		store_event(making, doc, line + 2);
	} else if (line[2] == 'c') {
		OK(mf_store_compact(making->store, fuzz_doc(doc), mf_state_lsn(making->snapshots[doc]), &why));
	} else {
		write_snapshot(making, doc, line + 2);
	}
}

static void finish(struct making *making, bool closed)
{
	static const char counters[] = "{\"committed\":12}";
	const struct mf_checkpoint checkpoint = {.name = "f", .epoch = 2, .lsn = 5};
	struct mf_backup_info info;
	OK(mf_store_save_checkpoint(making->store, &checkpoint, &why));
	OK(making->store->ops->save_metrics(making->store, counters, sizeof(counters) - 1, &why));
	OK(mf_store_backup(making->store, FUZZ_BACKUP, NULL, NULL, &info, &why));
	if (!closed)
		making->base->image = memfs_save();
	OK(mf_store_close(making->store, &why));
	if (closed)
		making->base->image = memfs_save();
}

static void make(struct fuzz_base *base, enum fuzz_base_kind kind)
{
	struct making making = {.base = base};
	mf_env_replace(memfs_env());
	memfs_reset();
	mf_persist_options_init(&making.options);
	making.options.env = memfs_env();
	making.options.compression = kind < FUZZ_PLAIN_OPEN;
	making.options.compression_threshold = 16;
	for (int i = 0; i < FUZZ_DOCS; i++)
		OK(mf_state_new(HISTORY_LIMIT, &making.states[i]));
	open_store(&making);
	for (size_t i = 0; i < sizeof(history) / sizeof(history[0]); i++)
		take_line(&making, history[i]);
	finish(&making, kind == FUZZ_CLOSED || kind == FUZZ_PLAIN_CLOSED);
	for (int i = 0; i < FUZZ_DOCS; i++) {
		mf_state_unref(making.states[i]);
		mf_state_unref(making.snapshots[i]);
	}
}

const struct fuzz_base *fuzz_base(enum fuzz_base_kind kind)
{
	static struct fuzz_base bases[FUZZ_BASES];
	if (!bases[kind].image)
		make(&bases[kind], kind);
	return &bases[kind];
}

void fuzz_base_load(const struct fuzz_base *base)
{
	memfs_load(base->image);
}

/* ---- reading ---- */

struct reading {
	const struct fuzz_probe *probe;
	struct mf_store *store;
	bool whole; /* nothing failed so far */
	size_t findings, of_followers;
};

/* What a damaged store may answer. */
static enum mf_status expect_sound(enum mf_status status)
{
	bool asked_for_much = status == MF_ERR_NO_MEMORY && may_ask_for_much && why.status == status && strstr(why.message, "(SQLite 7)");
	switch (status) {
	case MF_OK:
	case MF_ERR_CORRUPTED:
	case MF_ERR_INVALID:
	case MF_ERR_NOT_FOUND:
	case MF_ERR_UNKNOWN_STEP: return status;
	default:
		if (asked_for_much)
			return status;
		fprintf(stderr, "a damaged store gave %s: %s\n", mf_status_name(status), why.status == status ? why.message : "");
		__builtin_trap();
	}
}

static void note(struct reading *reading, enum mf_status status)
{
	if (expect_sound(status) != MF_OK)
		reading->whole = false;
}

static void count_finding(void *user, const struct mf_damage *damage)
{
	struct reading *reading = user;
	reading->findings++;
	if (!damage->what || !damage->message || !damage->message[0])
		__builtin_trap();
	reading->of_followers += strcmp(damage->what, "follower") == 0;
	if (reading->probe->tell_findings)
		FUZZ_BEHIND(damage->message, strlen(damage->message));
}

static void expect_digest(const struct reading *reading, const char *doc_id, int64_t lsn, const struct mf_digest *digest)
{
	const struct fuzz_base *base = reading->probe->base;
	if (!reading->probe->honest || lsn == 0)
		return;
	if (lsn > base->last_lsn || strcmp(fuzz_doc(base->moments[lsn].doc), doc_id) != 0 || memcmp(base->moments[lsn].digest.bytes, digest->bytes, MF_DIGEST_BYTES) != 0) {
		fprintf(stderr, "document %s was recovered at LSN %lld, but is not what it was there\n", doc_id, (long long)lsn);
		__builtin_trap();
	}
}

/* No document was ever like this. */
static void tell_other(const struct fuzz_base *base, const struct mf_digest *digest)
{
	for (int64_t lsn = 1; lsn <= base->last_lsn; lsn++)
		if (memcmp(base->moments[lsn].digest.bytes, digest->bytes, MF_DIGEST_BYTES) == 0)
			return;
	FUZZ_BEHIND(digest->bytes, MF_DIGEST_BYTES);
}

static void recover(struct reading *reading, const char *doc_id, int64_t at_lsn)
{
	const struct mf_recovery_options options = {.history_limit = HISTORY_LIMIT, .batch = 4, .at_lsn = at_lsn, .want_digest = true};
	struct mf_recovery_report report;
	struct mf_state *state;
	enum mf_status status = mf_recover_state(reading->store, doc_id, fuzz_steps(), &options, &state, &report, &why);
	if (at_lsn == 0)
		note(reading, status);
	else
		(void)expect_sound(status);
	if (status != MF_OK)
		return;
	expect_digest(reading, doc_id, mf_state_lsn(state), &report.digest);
	tell_other(reading->probe->base, &report.digest);
	mf_state_unref(state);
}

static bool visit_document(void *user, const struct mf_document_info *info)
{
	char(*names)[64] = user;
	for (int i = 0; i < 4; i++) {
		if (names[i][0])
			continue;
		snprintf(names[i], sizeof(names[i]), "%s", info->doc_id);
		break;
	}
	return true;
}

static bool visit_snapshot(void *user, const struct mf_snapshot_info *info)
{
	size_t *count = user;
	return info->doc_id != NULL && ++*count < 100;
}

static bool visit_checkpoint(void *user, const struct mf_checkpoint *checkpoint)
{
	size_t *count = user;
	return checkpoint->name != NULL && ++*count < 100;
}

static void read_events(struct reading *reading, const char *doc_id)
{
	int64_t from = 0;
	enum mf_status status = MF_OK;
	for (size_t pages = 0, count = 1; count > 0 && pages < 50; pages++) {
		struct mf_event_list list;
		status = mf_store_load_since(reading->store, doc_id, from, 5, &list, &why);
		if (status != MF_OK)
			break;
		count = list.count;
		for (size_t i = 0; i < count; i++) {
			if (list.events[i].lsn <= from)
				__builtin_trap();
			from = list.events[i].lsn;
		}
		mf_event_list_deinit(&list);
	}
	note(reading, status);
}

static void read_one(struct reading *reading, const char *doc_id)
{
	struct mf_snapshot snapshot;
	int64_t lsn = 0, below = INT64_MAX;
	enum mf_status status = MF_OK;
	note(reading, reading->store->ops->last_lsn(reading->store, doc_id, &lsn, &why));
	for (int i = 0; i < 8 && status == MF_OK; i++) {
		status = mf_store_latest_snapshot(reading->store, doc_id, below, &snapshot, &why);
		if (status != MF_OK)
			break;
		if (snapshot.upto_lsn > below)
			__builtin_trap();
		below = snapshot.upto_lsn - 1;
		mf_snapshot_deinit(&snapshot);
	}
	note(reading, status == MF_ERR_NOT_FOUND ? MF_OK : status);
	read_events(reading, doc_id);
	recover(reading, doc_id, 0);
	recover(reading, doc_id, 6);
}

static void read_rest(struct reading *reading)
{
	struct mf_store *store = reading->store;
	struct mf_store_stats stats;
	struct mf_key_info key;
	struct mf_checkpoint checkpoint;
	struct mf_buffer counters = {0};
	int64_t end;
	size_t count = 0;
	note(reading, mf_store_stats(store, &stats, &why));
	for (int i = 1; i <= 4; i++) {
		char name[16];
		snprintf(name, sizeof(name), "k%d", i);
		enum mf_status status = store->ops->find_key(store, name, &key, &why);
		note(reading, status == MF_ERR_NOT_FOUND ? MF_OK : status);
	}
	note(reading, store->ops->snapshots(store, NULL, visit_snapshot, &count, &why));
	note(reading, mf_store_checkpoints(store, visit_checkpoint, &count, &why));
	enum mf_status status = mf_store_load_checkpoint(store, "f", &checkpoint, &why);
	note(reading, status == MF_ERR_NOT_FOUND ? MF_OK : status);
	note(reading, mf_store_epoch_end(store, 1, &end, &why));
	(void)expect_sound(store->ops->load_metrics(store, &counters, &why));
	mf_buffer_deinit(&counters);
	(void)expect_sound(mf_preflight(store, fuzz_steps(), &why));
}

static void read_store(struct reading *reading)
{
	char names[4][64] = {"a", "b"};
	note(reading, reading->store->ops->documents(reading->store, visit_document, names, &why));
	read_events(reading, NULL);
	for (int i = 0; i < 4; i++)
		if (names[i][0] && (i < 2 || (strcmp(names[i], "a") != 0 && strcmp(names[i], "b") != 0)))
			read_one(reading, names[i]);
	read_rest(reading);
}

bool fuzz_probe_reading(const struct fuzz_probe *probe, const char *dir, bool *out_clean)
{
	struct reading reading = {.probe = probe, .whole = true};
	*out_clean = false;
	if (expect_sound(mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = dir, .read_only = true}, &reading.store, &why)) != MF_OK)
		return false;
	enum mf_status status = expect_sound(mf_store_verify(reading.store, count_finding, &reading, &why));
	if (status != MF_ERR_NO_MEMORY && (status == MF_ERR_CORRUPTED) != (reading.findings > 0))
		__builtin_trap();
	*out_clean = status == MF_OK || (status == MF_ERR_CORRUPTED && reading.findings == reading.of_followers);
	read_store(&reading);
	fuzz_expect(mf_store_close(reading.store, &why), MF_OK, MF_OK);
	if (status == MF_OK && !reading.whole && probe->honest) {
		fprintf(stderr, "verify called it clean, but not all of it could be read\n");
		__builtin_trap();
	}
	return true;
}

/* ---- writing ---- */

static enum mf_status append_one(struct mf_store *store, struct mf_event *out)
{
	int64_t lsn;
	*out = (struct mf_event){
		.tr_id = 1000, .ts_us = 1700000000000000, .doc_id = "c", .idempotency_key = "new", .meta = "{}", .meta_len = 2,
		.payload = (const unsigned char *)"\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", .payload_len = 19};
	return mf_store_append(store, out, &lsn, &why);
}

static bool is_stored(struct mf_store *store, const struct mf_event *event)
{
	struct mf_key_info key;
	struct mf_event_list list;
	if (expect_sound(store->ops->find_key(store, "new", &key, &why)) != MF_OK || key.lsn != event->lsn)
		return false;
	if (expect_sound(mf_store_load_since(store, NULL, event->lsn - 1, 1, &list, &why)) != MF_OK)
		return false;
	bool stored = list.count == 1 && list.events[0].lsn == event->lsn && strcmp(list.events[0].idempotency_key, "new") == 0;
	mf_event_list_deinit(&list);
	return stored;
}

/* An opening does not look at everything: what was damaged before may have swallowed it. */
static void expect_stored(struct mf_store *store, const struct mf_event *event)
{
	const struct fuzz_probe probe = {0};
	struct reading reading = {.probe = &probe};
	if (is_stored(store, event) || mf_store_verify(store, count_finding, &reading, &why) != MF_OK)
		return;
	fprintf(stderr, "an event that was synced is not there at the next opening, and verify finds nothing\n");
	__builtin_trap();
}

static void probe_writing(void)
{
	struct mf_store *store;
	struct mf_event event;
	int64_t synced = 0;
	struct mf_sqlite_options options = {.dir = FUZZ_DIR};
	if (expect_sound(mf_store_open_sqlite(&options, &store, &why)) != MF_OK)
		return;
	enum mf_status status = append_one(store, &event);
	if (status != MF_ERR_DUPLICATE_KEY && status != MF_ERR_STATE) /* the latter: no LSNs are left */
		(void)expect_sound(status);
	if (status == MF_OK && (mf_store_sync(store, &synced, NULL) != MF_OK || synced < event.lsn))
		__builtin_trap();
	fuzz_expect(mf_store_close(store, &why), MF_OK, MF_ERR_CORRUPTED);
	if (status != MF_OK)
		return;
	options.read_only = true;
	if (expect_sound(mf_store_open_sqlite(&options, &store, &why)) != MF_OK)
		return;
	expect_stored(store, &event);
	fuzz_expect(mf_store_close(store, &why), MF_OK, MF_OK);
}

void fuzz_probe(const struct fuzz_probe *probe)
{
	bool clean;
	may_ask_for_much = probe->pages;
	if (probe->reading)
		(void)fuzz_probe_reading(probe, FUZZ_DIR, &clean);
	if (probe->writing)
		probe_writing();
}
