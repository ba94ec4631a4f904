/* model_look.c - everything that can be read, compared with what the reference says. */
#include <string.h>

#include "model_parts.h"

#define JSON_MAX 8192

/* ---- states ---- */
struct text {
	char bytes[JSON_MAX];
	size_t len;
};

static enum mf_status collect(void *user, const void *bytes, size_t len)
{
	struct text *text = user;
	if (len >= sizeof(text->bytes) - text->len)
		return MF_ERR_NO_MEMORY;
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
	text->bytes[text->len] = '\0';
	return MF_OK;
}

bool model_compare(const struct ref_log *log, int doc, const struct mf_state *state)
{
	static struct text found, wanted;
	static struct ref_state expected;
	int64_t lsn = mf_state_lsn(state);
	char digest[MF_DIGEST_HEX + 1] = "";
	struct mf_digest raw;
	ref_state_at(log, doc, lsn, &expected);
	wanted.len = ref_json(&expected.doc, wanted.bytes, sizeof(wanted.bytes));
	found.len = 0;
	if (mf_doc_write_json(mf_state_doc(state), collect, &found) != MF_OK || mf_doc_digest(mf_state_doc(state), &raw) != MF_OK)
		model_fail("%s cannot be written as JSON", model_doc_name(doc));
	mf_digest_hex(&raw, digest);
	model_trace(" %s@%lld %.8s %zu/%zu", model_doc_name(doc), (long long)lsn, digest, mf_state_undo_depth(state), mf_state_redo_depth(state));
	CHECK(expected.lsn == lsn, "%s is at LSN %lld, its newest event up to there is %lld", model_doc_name(doc), (long long)lsn, (long long)expected.lsn);
	CHECK(found.len == wanted.len && memcmp(found.bytes, wanted.bytes, found.len) == 0, "%s at LSN %lld is\n  %.200s\nand should be\n  %.200s", model_doc_name(doc), (long long)lsn, found.bytes,
	      wanted.bytes);
	CHECK(mf_state_undo_depth(state) == expected.undos && mf_state_redo_depth(state) == expected.redos, "%s at LSN %lld can be undone %zu and redone %zu times, not %u and %u", model_doc_name(doc),
	      (long long)lsn, mf_state_undo_depth(state), mf_state_redo_depth(state), expected.undos, expected.redos);
	return expected.lsn == lsn;
}

static int64_t newest_of(int doc, int64_t upto)
{
	while (upto > 0 && the.world->log.events[upto].doc != doc)
		upto--;
	return upto;
}

/* What is acknowledged is visible; what is only submitted may be, and is then as good as acknowledged. */
void model_look(void)
{
	for (int doc = 0; doc < REF_DOCS; doc++) {
		struct mf_state *state;
		struct mf_error error;
		enum mf_status status = mf_runtime_state(the.runtime, model_doc_name(doc), &state, &error);
		CHECK(status == MF_OK || model_excuses_read(status), "the state of %s cannot be had: %s", model_doc_name(doc), status ? error.message : "");
		if (status != MF_OK)
			return;
		int64_t lsn = mf_state_lsn(state);
		CHECK(lsn >= newest_of(doc, the.world->acked) && lsn <= the.world->log.last, "%s is at LSN %lld, acknowledged is %lld", model_doc_name(doc), (long long)lsn,
		      (long long)newest_of(doc, the.world->acked));
		model_compare(&the.world->log, doc, state);
		mf_state_unref(state);
		if (lsn <= the.world->log.last)
			model_seen(lsn);
	}
}

void model_state_at(void)
{
	model_wait_all();
	int64_t last = the.world->log.last;
	int64_t lsn = 1 + (int64_t)sim_below((uint32_t)last + 2);
	int doc = (int)sim_below(REF_DOCS);
	struct mf_state *state;
	struct mf_error error = {0};
	model_trace("%s at %lld", model_doc_name(doc), (long long)lsn);
	enum mf_status status = mf_runtime_state_at(the.runtime, model_doc_name(doc), lsn, &state, NULL, &error);
	if (status != MF_OK) {
		model_trace(" -> %s", mf_status_name(status));
		CHECK((status == MF_ERR_NOT_FOUND && lsn < the.world->compacted[doc]) || model_excuses_read(status), "%s at LSN %lld (compacted up to %lld): %s (%s)", model_doc_name(doc), (long long)lsn,
		      (long long)the.world->compacted[doc], mf_status_name(status), error.message);
		return;
	}
	CHECK(mf_state_lsn(state) == newest_of(doc, lsn > last ? last : lsn), "%s at LSN %lld is at %lld", model_doc_name(doc), (long long)lsn, (long long)mf_state_lsn(state));
	model_compare(&the.world->log, doc, state);
	mf_state_unref(state);
}

/* ---- the log ---- */
static bool is_there(int64_t lsn)
{
	return lsn > the.world->compacted[the.world->log.events[lsn].doc];
}

static void compare_event(const struct mf_event *event, int64_t wanted)
{
	const struct ref_event *expected = &the.world->log.events[wanted];
	char key[24];
	snprintf(key, sizeof(key), "k%d", expected->key);
	CHECK(event->lsn == wanted, "the log has LSN %lld where %lld should be", (long long)event->lsn, (long long)wanted);
	CHECK(strcmp(event->doc_id, model_doc_name(expected->doc)) == 0 && (int)event->action == (int)expected->action, "LSN %lld is %s's, action %d; it should be %s's, action %d",
	      (long long)wanted, event->doc_id, (int)event->action, model_doc_name(expected->doc), (int)expected->action);
	CHECK(expected->key ? strcmp(event->idempotency_key, key) == 0 : strncmp(event->idempotency_key, "mf:", 3) == 0, "LSN %lld has key %s, not %s", (long long)wanted, event->idempotency_key, key);
}

static void read_log(int64_t from, int64_t to)
{
	int64_t wanted = from + 1;
	struct mf_event_list list = {0};
	struct mf_error error = {0};
	do {
		mf_event_list_deinit(&list);
		memset(&list, 0, sizeof(list));
		enum mf_status status = mf_store_load_since(mf_runtime_store(the.runtime), NULL, wanted - 1, 1 + sim_below(20), &list, &error);
		CHECK(status == MF_OK || model_excuses_read(status), "the log after LSN %lld cannot be read: %s", (long long)wanted - 1, error.message);
		if (status != MF_OK)
			return;
		for (size_t i = 0; i < list.count && wanted <= to; i++, wanted++) {
			while (wanted <= to && !is_there(wanted))
				wanted++;
			if (wanted <= to)
				compare_event(&list.events[i], wanted);
		}
	} while (list.count > 0 && wanted <= to);
	mf_event_list_deinit(&list);
	while (wanted <= to && !is_there(wanted))
		wanted++;
	CHECK(wanted > to, "the log ends before LSN %lld, %lld is stored", (long long)wanted, (long long)to);
}

void model_read_log(void)
{
	model_wait_all();
	int64_t from = (int64_t)sim_below((uint32_t)the.world->log.last + 1);
	model_trace("after %lld", (long long)from);
	read_log(from, the.world->log.last);
}

/* ---- after an opening ---- */
static void look_for_keys(void)
{
	for (int64_t lsn = 1; lsn <= the.world->log.last; lsn++) {
		char key[24];
		struct mf_key_info info = {0};
		struct mf_error error;
		struct mf_store *store = mf_runtime_store(the.runtime);
		if (the.world->log.events[lsn].key == 0)
			continue;
		snprintf(key, sizeof(key), "k%d", the.world->log.events[lsn].key);
		enum mf_status status = store->ops->find_key(store, key, &info, &error);
		CHECK(status == MF_OK && info.lsn == lsn, "key %s of LSN %lld is %s, with LSN %lld", key, (long long)lsn, mf_status_name(status), (long long)info.lsn);
	}
}

static void hear_damage(void *user, const struct mf_damage *damage)
{
	(void)user;
	if (the.had_been_ill && strcmp(damage->what, "watermark") == 0)
		the.torn_watermark = true;
	else
		model_fail("verify found damage: %s of %s, LSN %lld: %.200s", damage->what, damage->doc_id ? damage->doc_id : "-", (long long)damage->lsn, damage->message);
}

/* Where the process died in a compaction, or the device lost one, the log says how far it came. */
static void find_compacted(void)
{
	for (int doc = 0; doc < REF_DOCS; doc++) {
		struct mf_event_list list = {0};
		struct mf_error error = {0};
		if (mf_store_load_since(mf_runtime_store(the.runtime), model_doc_name(doc), 0, 1, &list, &error) != MF_OK)
			model_fail("the log of %s cannot be read: %s", model_doc_name(doc), error.message);
		int64_t first = list.count ? list.events[0].lsn : the.world->log.last + 1;
		the.world->compacted[doc] = newest_of(doc, first - 1);
		mf_event_list_deinit(&list);
	}
}

void model_look_deeply(void)
{
	struct mf_error error = {0};
	if (the.world->compaction_unknown)
		find_compacted();
	the.world->compaction_unknown = false;
	model_look();
	read_log(0, the.world->log.last);
	look_for_keys();
	if (the.kind != MF_COMMIT_MEMORY_ONLY) {
		the.torn_watermark = false;
		enum mf_status status = mf_store_verify(mf_runtime_store(the.runtime), hear_damage, NULL, &error);
		CHECK(status == (the.torn_watermark ? MF_ERR_CORRUPTED : MF_OK), "verify: %s", error.message);
	}
}

/* ---- snapshots, compaction ---- */
static void take_snapshot(int doc)
{
	int64_t upto = 0;
	struct mf_error error = {0};
	model_wait_all();
	int64_t newest = newest_of(doc, the.world->log.last);
	model_trace("%s", model_doc_name(doc));
	enum mf_status status = mf_runtime_snapshot(the.runtime, model_doc_name(doc), &upto, &error);
	model_trace(" -> %s %lld", mf_status_name(status), (long long)upto);
	CHECK((status == (newest ? MF_OK : MF_ERR_NOT_FOUND) && upto == newest) || model_excuses(status), "expected a snapshot up to LSN %lld, got %s %lld (%s)", (long long)newest, mf_status_name(status), (long long)upto, error.message);
}

void model_snapshot(void)
{
	take_snapshot((int)sim_below(REF_DOCS));
}

void model_compact(void)
{
	int doc = (int)sim_below(REF_DOCS);
	int64_t upto = 0;
	uint32_t keep = sim_below(5) < 3 ? 1 : 2 + sim_below(2);
	struct mf_error error = {0};
	struct world *world = the.world;
	if (sim_below(2))
		take_snapshot(doc);
	model_wait_all();
	model_trace(" %s, keep %u", model_doc_name(doc), keep);
	world->compaction_unknown = true; /* if the process dies in it */
	enum mf_status status = mf_runtime_compact_keep(the.runtime, model_doc_name(doc), keep, &upto, &error);
	world->compaction_unknown = status != MF_OK;
	world->compaction_failed |= status != MF_OK;
	model_trace(" -> %s %lld", mf_status_name(status), (long long)upto);
	CHECK(status == MF_OK || model_excuses(status), "compaction: %s", error.message);
	for (unsigned i = 0; i < FOLLOWERS; i++) {
		const struct model_follower *follower = &model_followers()[i];
		CHECK(!follower->id || upto <= follower->seen, "compacted up to LSN %lld, follower %s has seen %lld", (long long)upto, follower->name, (long long)follower->seen);
	}
	CHECK(upto <= world->log.last && upto == newest_of(doc, upto), "compacted up to LSN %lld, which is no event of %s", (long long)upto, model_doc_name(doc));
	if (status == MF_OK && upto > world->compacted[doc])
		world->compacted[doc] = upto;
}

void model_vacuum(void)
{
	struct mf_error error = {0};
	enum mf_status status = mf_runtime_vacuum(the.runtime, &error);
	model_trace(" -> %s", mf_status_name(status));
	CHECK(status == (the.kind == MF_COMMIT_MEMORY_ONLY ? MF_ERR_INVALID : MF_OK) || status == MF_OK || model_excuses(status), "vacuum: %s", error.message);
}

/* ---- backup, and what is restored from it ---- */
static void compare_restored(const char *dir, int64_t lsn)
{
	struct mf_runtime *copy;
	struct mf_runtime_options options = {.config_path = the.plan->config, .data_dir = dir, .read_only = true, .mode = "sync"};
	struct mf_error error = {0};
	enum mf_status status = mf_runtime_open(&options, &copy, &error);
	CHECK(status == MF_OK || model_excuses(status), "the restored store cannot be opened: %s", error.message);
	for (int doc = 0; status == MF_OK && doc < REF_DOCS; doc++) {
		struct mf_state *state;
		enum mf_status had = mf_runtime_state(copy, model_doc_name(doc), &state, &error);
		CHECK(had == MF_OK || model_excuses_read(had), "restored: %s", error.message);
		if (had != MF_OK)
			continue;
		CHECK(mf_state_lsn(state) == newest_of(doc, lsn), "restored: %s is at LSN %lld, not %lld", model_doc_name(doc), (long long)mf_state_lsn(state), (long long)newest_of(doc, lsn));
		model_compare(&the.world->log, doc, state);
		mf_state_unref(state);
	}
	if (status == MF_OK && (status = mf_runtime_close(copy, MF_WAIT_FOREVER, &error)) != MF_OK && !model_excuses(status))
		model_fail("the restored store cannot be closed: %s", error.message);
}

void model_backup(void)
{
	if (the.kind == MF_COMMIT_MEMORY_ONLY || the.backups >= 4)
		return;
	char file[40], dir[40];
	struct mf_error error = {0};
	struct mf_backup_info info = {0}, restored = {0};
	snprintf(file, sizeof(file), "/backup-%u", the.backups);
	snprintf(dir, sizeof(dir), "/restored-%u", the.backups++);
	enum mf_status status = mf_store_backup(mf_runtime_store(the.runtime), file, NULL, NULL, &info, &error);
	model_trace("%s -> %s %lld", file, mf_status_name(status), (long long)info.lsn);
	CHECK((status == MF_OK && info.lsn >= the.world->acked && info.lsn <= the.world->log.last) || model_excuses(status), "backup: %s %lld (%s)", mf_status_name(status), (long long)info.lsn, error.message);
	if (status != MF_OK)
		return;
	int64_t floor = 1; /* not before what compaction took */
	for (int doc = 0; doc < REF_DOCS; doc++)
		floor = the.world->compacted[doc] > floor ? the.world->compacted[doc] : floor;
	struct mf_restore_options options = {.file = file, .dir = dir};
	if (sim_below(2) && info.lsn >= floor)
		options.at_lsn = floor + (int64_t)sim_below((uint32_t)(info.lsn - floor) + 1);
	status = mf_store_restore(&options, &restored, &error);
	model_trace(", restored at %lld -> %s", (long long)options.at_lsn, mf_status_name(status));
	/* One that failed has written down how far it is to go. */
	bool below = status == MF_ERR_NOT_FOUND && options.at_lsn > 0 && the.world->compaction_failed && error.lsn > options.at_lsn;
	CHECK(status == MF_OK || below || model_excuses(status), "restore of %s at %lld: %s", file, (long long)options.at_lsn, error.message);
	if (status == MF_OK)
		compare_restored(dir, options.at_lsn ? options.at_lsn : info.lsn);
}
