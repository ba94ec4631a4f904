/* Calls of a runtime, as a script says, held against a model (calls_model.h): commits, batches, known keys, undo, redo, snapshots,
 * compaction, old states, closing and opening again, being killed. Over a store in memory, or over SQLite on files in memory.
 *
 *   1 byte   1: SQLite; 2: sync instead of async; 4: no compression; 8: documents are let go at once; 16, 32: the history is short
 *   1 byte   automatic snapshots: every so many events (3 bits), how many are kept (2 bits), how many stand on a whole one (2 bits)
 *   calls    see call()
 *
 * Promises: every answer is the one that the model gives; every document is what the model says, always and after each opening;
 * verify finds nothing. */
#include <stdio.h>
#include <string.h>

#include "host/runtime.h"
#include "persist/fork_guard.h"
#include "tests/fuzz/calls_model.h"
#include "tests/fuzz/memfs.h"
#include "tests/fuzz/script.h"
#include "tests/fuzz/target.h"

#define CALLS_MAX 40
#define BATCH_MAX 4
#define DIR "/s"

static const char *const names[CALLS_DOCS] = {"a", "b", "c"};

struct calls {
	bool sqlite;
	size_t max_loaded;
	struct mf_persist_options options;
	struct model model;
	struct mf_runtime runtime; /* without plugin files */
	struct mf_snapshot_subscriber *subscriber;
};

static void wrong(const struct calls *calls, const char *what, enum mf_status got, enum mf_status wanted, const char *message)
{
	fprintf(stderr, "%s at LSN %lld: %s instead of %s: %s\n", what, (long long)calls->model.last_lsn, mf_status_name(got), mf_status_name(wanted), message);
	__builtin_trap();
}

#define MUST(calls, expression) \
	do { \
		struct mf_error error_ = {0}; \
		enum mf_status status_ = (expression); \
		if (status_ != MF_OK) \
			wrong(calls, #expression, status_, MF_OK, error_.message); \
	} while (0)

/* ---- opening and closing ---- */

static void open_runtime(struct calls *calls)
{
	struct mf_runtime *runtime = &calls->runtime;
	struct mf_store *store = NULL;
	if (calls->sqlite)
		MUST(calls, mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = DIR}, &store, &error_));
	else
		MUST(calls, mf_store_open_memory(NULL, &store, &error_));
	MUST(calls, mf_snapshot_subscriber_new(store, &calls->options, fuzz_steps(), &calls->subscriber, &error_));
	memset(runtime, 0, sizeof(*runtime));
	fuzz_expect(mf_bus_new(&runtime->bus), MF_OK, MF_OK);
	runtime->registry = (struct mf_step_registry *)fuzz_steps();
	runtime->committer = mf_snapshot_subscriber_committer(calls->subscriber);
	runtime->generation = mf_fork_generation();
	pthread_mutex_init(&runtime->publish_lock, NULL);
	MUST(calls, mf_bus_set_committer(runtime->bus, runtime->committer, &error_));
	fuzz_expect(mf_documents_init(&runtime->documents, runtime->committer, calls->max_loaded), MF_OK, MF_OK);
	MUST(calls, runtime->committer->preflight(runtime->committer->user, &error_));
}

static void close_runtime(struct calls *calls)
{
	MUST(calls, mf_snapshot_subscriber_close(calls->subscriber, MF_WAIT_FOREVER, &error_));
	mf_documents_deinit(&calls->runtime.documents);
	mf_bus_free(calls->runtime.bus);
	pthread_mutex_destroy(&calls->runtime.publish_lock);
}

/* A store in memory forgets everything. */
static void forget(struct calls *calls)
{
	size_t limit = calls->model.history_limit;
	if (calls->sqlite)
		return;
	model_deinit(&calls->model);
	model_init(&calls->model, limit);
}

static void open_again(struct calls *calls)
{
	close_runtime(calls);
	forget(calls);
	open_runtime(calls);
}

/* What the files are at this moment is what the next opening finds. */
static void be_killed(struct calls *calls)
{
	struct memfs_image *image = memfs_save();
	close_runtime(calls);
	memfs_load(image);
	memfs_image_free(image);
	forget(calls);
	open_runtime(calls);
}

/* ---- what must hold ---- */

static void expect_state(const struct calls *calls, const struct mf_state *state, const struct mf_digest *wanted, const char *what)
{
	struct mf_digest digest;
	fuzz_expect(mf_doc_digest(mf_state_doc(state), &digest), MF_OK, MF_OK);
	if (memcmp(digest.bytes, wanted->bytes, MF_DIGEST_BYTES) == 0)
		return;
	fprintf(stderr, "%s at LSN %lld is another document than the model's\n", what, (long long)calls->model.last_lsn);
	__builtin_trap();
}

static void check_document(struct calls *calls, int number)
{
	const struct model_doc *doc = &calls->model.docs[number];
	struct mf_state *state;
	MUST(calls, mf_runtime_state(&calls->runtime, names[number], &state, &error_));
	expect_state(calls, state, &doc->digest, names[number]);
	if (mf_state_lsn(state) != doc->lsn || mf_state_undo_depth(state) != doc->undo.count || mf_state_redo_depth(state) != doc->redo.count) {
		fprintf(stderr, "document %s: LSN %lld, undo %zu, redo %zu; the model: LSN %lld, undo %zu, redo %zu\n", names[number], (long long)mf_state_lsn(state), mf_state_undo_depth(state),
			mf_state_redo_depth(state), (long long)doc->lsn, doc->undo.count, doc->redo.count);
		__builtin_trap();
	}
	mf_state_unref(state);
}

static void check_documents(struct calls *calls)
{
	for (int i = 0; i < CALLS_DOCS; i++)
		check_document(calls, i);
}

static void tell_damage(void *user, const struct mf_damage *damage)
{
	(void)user;
	fprintf(stderr, "verify: %s %s %lld: %s\n", damage->what, damage->doc_id ? damage->doc_id : "", (long long)damage->lsn, damage->message);
}

static void key_text(int key, char out[16])
{
	snprintf(out, 16, "k%d", key);
}

/* Every event that compaction has left, in order, and nothing else. */
static void check_events(struct calls *calls)
{
	const struct model *model = &calls->model;
	struct mf_store *store = mf_runtime_store(&calls->runtime);
	struct mf_event_list list;
	size_t at = 0;
	MUST(calls, mf_store_load_since(store, NULL, 0, CALLS_FACTS_MAX + 1, &list, &error_));
	for (int64_t lsn = 1; lsn <= model->last_lsn; lsn++) {
		const struct request *request = &model->facts[lsn].request;
		char key[16];
		key_text(request->key, key);
		bool gone = lsn <= model->docs[request->doc].compacted_upto;
		if (at < list.count && list.events[at].lsn == lsn) {
			const struct mf_event *event = &list.events[at++];
			if (gone || strcmp(event->doc_id, names[request->doc]) != 0 || event->action != request->action || (request->key >= 0 && strcmp(event->idempotency_key, key) != 0))
				__builtin_trap();
		} else if (!gone) {
			fprintf(stderr, "the event with LSN %lld is missing\n", (long long)lsn);
			__builtin_trap();
		}
	}
	if (at != list.count)
		__builtin_trap();
	mf_event_list_deinit(&list);
}

/* ---- calls ---- */

static struct request read_request(const struct calls *calls, struct script *script, enum mf_action action)
{
	struct request request = {.doc = (int)script_choice(script, CALLS_DOCS), .action = action, .key = -1, .expect = MF_EXPECT_ANY};
	uint8_t how = script_byte(script);
	if (how & 1)
		request.key = script_byte(script) % 32;
	if ((how & 6) == 6)
		request.expect = how & 8 ? calls->model.docs[request.doc].lsn : script_byte(script) % 16;
	request.steps = action == MF_ACTION_APPLY ? (how >> 4) % (CALLS_STEPS_MAX + 1) : 0;
	for (size_t i = 0; i < request.steps; i++)
		request.step[i] = (struct request_step){script_byte(script), script_byte(script), script_byte(script), script_byte(script)};
	return request;
}

static struct mf_transaction *transaction_of(const struct request *request)
{
	char key[16];
	struct mf_transaction *transaction = request_transaction(request);
	key_text(request->key, key);
	if (request->key >= 0)
		fuzz_expect(mf_transaction_set_key(transaction, key, NULL), MF_OK, MF_OK);
	return transaction;
}

static enum mf_status submit(struct calls *calls, const struct request *requests, size_t count, enum mf_commit_kind mode, struct mf_ticket **out, struct mf_error *error)
{
	struct mf_batch_item items[BATCH_MAX];
	for (size_t i = 0; i < count; i++)
		items[i] = (struct mf_batch_item){names[requests[i].doc], transaction_of(&requests[i])};
	enum mf_status status;
	if (requests[0].action != MF_ACTION_APPLY)
		status = mf_runtime_submit_undo(&calls->runtime, items[0].doc_id, requests[0].action, items[0].transaction, mode, out, error);
	else if (count == 1)
		status = mf_runtime_submit(&calls->runtime, items[0].doc_id, items[0].transaction, mode, out, error);
	else
		status = mf_runtime_submit_batch(&calls->runtime, items, count, mode, out, error);
	for (size_t i = 0; i < count; i++)
		mf_transaction_free(items[i].transaction);
	return status;
}

static void wait_for(struct calls *calls, struct mf_ticket *ticket, int64_t lsn, bool synced)
{
	int64_t found = 0;
	MUST(calls, mf_ticket_wait(ticket, synced ? MF_LEVEL_SYNCED : MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, &found, &error_));
	if (found != lsn) {
		fprintf(stderr, "LSN %lld instead of %lld\n", (long long)found, (long long)lsn);
		__builtin_trap();
	}
	mf_ticket_unref(ticket);
}

static void commit(struct calls *calls, const struct request *requests, size_t count, uint8_t how)
{
	int64_t known;
	bool same;
	struct mf_ticket *ticket;
	struct mf_error error = {0};
	enum mf_commit_kind mode = calls->sqlite && (how & 1) ? MF_COMMIT_SYNC_DURABLE : MF_COMMIT_MEMORY_ONLY;
	enum mf_status wanted = model_ask(&calls->model, requests, count, &known, &same), status = submit(calls, requests, count, mode, &ticket, &error);
	if (status != wanted)
		wrong(calls, "a commit", status, wanted, error.message);
	if (status == MF_ERR_DUPLICATE_KEY && known && (error.lsn != known || error.same != same))
		wrong(calls, same ? "a known key, same content" : "a known key, other content", status, wanted, error.message);
	if (status != MF_OK)
		return;
	model_take(&calls->model, requests, count);
	wait_for(calls, ticket, calls->model.last_lsn, mode == MF_COMMIT_SYNC_DURABLE);
}

static void commit_batch(struct calls *calls, struct script *script, uint8_t how)
{
	struct request requests[BATCH_MAX];
	size_t count = (how >> 4) % BATCH_MAX + 1;
	for (size_t i = 0; i < count; i++)
		requests[i] = read_request(calls, script, MF_ACTION_APPLY);
	commit(calls, requests, count, how);
}

/* Several of one stack at once: as many events, or none. */
static void go_back(struct calls *calls, struct script *script, bool undo)
{
	struct request requests[BATCH_MAX] = {{.doc = (int)script_choice(script, CALLS_DOCS), .action = undo ? MF_ACTION_UNDO : MF_ACTION_REDO, .key = -1, .expect = MF_EXPECT_ANY}};
	size_t count = script_byte(script) % BATCH_MAX + 1;
	int64_t known, lsn = 0;
	bool same;
	struct mf_error error = {0};
	for (size_t i = 1; i < count; i++)
		requests[i] = requests[0];
	enum mf_status wanted = model_ask(&calls->model, requests, count, &known, &same);
	enum mf_status status = (undo ? mf_runtime_undo : mf_runtime_redo)(&calls->runtime, names[requests[0].doc], count, "ann", NULL, &lsn, &error);
	if (status != wanted)
		wrong(calls, undo ? "undo" : "redo", status, wanted, error.message);
	if (status != MF_OK)
		return;
	model_take(&calls->model, requests, count);
	if (lsn != calls->model.last_lsn)
		__builtin_trap();
}

/* Handed in one after the other, waited for in the end. */
static void commit_many(struct calls *calls, struct script *script)
{
	struct mf_ticket *tickets[BATCH_MAX];
	int64_t lsns[BATCH_MAX], known;
	size_t count = 0;
	bool same;
	for (size_t i = 0; i < BATCH_MAX; i++) {
		struct request request = read_request(calls, script, MF_ACTION_APPLY);
		struct mf_error error = {0};
		enum mf_status wanted = model_ask(&calls->model, &request, 1, &known, &same);
		enum mf_status status = submit(calls, &request, 1, MF_COMMIT_MEMORY_ONLY, &tickets[count], &error);
		/* The event that has the key may still be under way: then it is told without its LSN. */
		if (status != wanted)
			wrong(calls, "a submission", status, wanted, error.message);
		if (status != MF_OK)
			continue;
		model_take(&calls->model, &request, 1);
		lsns[count++] = calls->model.last_lsn;
	}
	for (size_t i = 0; i < count; i++)
		wait_for(calls, tickets[i], lsns[i], false);
}

static void take_snapshot(struct calls *calls, struct script *script)
{
	int doc = (int)script_choice(script, CALLS_DOCS);
	int64_t upto = 0, lsn = calls->model.docs[doc].lsn;
	struct mf_error error = {0};
	enum mf_status status = mf_runtime_snapshot(&calls->runtime, names[doc], &upto, &error), wanted = lsn == 0 ? MF_ERR_NOT_FOUND : MF_OK;
	if (status != wanted || (status == MF_OK && upto != lsn))
		wrong(calls, "a snapshot", status, wanted, error.message);
}

static void compact(struct calls *calls, struct script *script)
{
	int doc = (int)script_choice(script, CALLS_DOCS);
	int64_t upto = 0;
	MUST(calls, mf_runtime_compact_keep(&calls->runtime, names[doc], script_byte(script) % 3 + 1, &upto, &error_));
	if (upto > calls->model.docs[doc].lsn)
		__builtin_trap();
	if (upto > calls->model.docs[doc].compacted_upto)
		calls->model.docs[doc].compacted_upto = upto;
}

static void look_back(struct calls *calls, struct script *script)
{
	const struct model *model = &calls->model;
	int doc = (int)script_choice(script, CALLS_DOCS);
	int64_t lsn = script_byte(script) % (model->last_lsn + 2) + 1;
	struct mf_state *state;
	struct mf_error error = {0};
	enum mf_status status = mf_runtime_state_at(&calls->runtime, names[doc], lsn, &state, NULL, &error);
	if (status != MF_OK && lsn >= model->docs[doc].compacted_upto)
		wrong(calls, "an old state", status, MF_OK, error.message);
	if (status != MF_OK)
		return;
	expect_state(calls, state, model_at(model, doc, lsn < model->last_lsn ? lsn : model->last_lsn), "an old state");
	mf_state_unref(state);
}

static void call(struct calls *calls, struct script *script)
{
	struct mf_store *store = mf_runtime_store(&calls->runtime);
	uint8_t how = script_byte(script);
	struct request request;
	switch (how % 16) {
	case 0: case 1: case 2: case 3:
		request = read_request(calls, script, MF_ACTION_APPLY);
		commit(calls, &request, 1, how >> 4);
		break;
	case 4: commit_batch(calls, script, how); break;
	case 5: commit_many(calls, script); break;
	case 6: case 7:
		request = read_request(calls, script, how % 16 == 6 ? MF_ACTION_UNDO : MF_ACTION_REDO);
		commit(calls, &request, 1, how >> 4);
		break;
	case 8: go_back(calls, script, true); break;
	case 9: go_back(calls, script, false); break;
	case 10: take_snapshot(calls, script); break;
	case 11: compact(calls, script); break;
	case 12: look_back(calls, script); break;
	case 13: open_again(calls); break;
	case 14: be_killed(calls); break;
	default:
		check_events(calls);
		if (how & 16)
			MUST(calls, mf_store_verify(store, tell_damage, NULL, &error_));
		if ((how & 32) && calls->sqlite)
			MUST(calls, store->ops->maintain(store, &error_));
		if ((how & 64) && calls->sqlite)
			MUST(calls, mf_runtime_vacuum(&calls->runtime, &error_));
	}
	check_documents(calls);
}

static void prepare(struct calls *calls, struct script *script)
{
	static const size_t limits[] = {CALLS_HISTORY_MAX, 5, 2, 1};
	uint8_t how = script_byte(script), snapshots = script_byte(script);
	struct mf_persist_options *options = &calls->options;
	mf_env_replace(memfs_env());
	memfs_reset();
	calls->sqlite = how & 1;
	calls->max_loaded = how & 8 ? 1 : 100;
	mf_persist_options_init(options);
	options->env = memfs_env();
	options->commit_mode.kind = !calls->sqlite ? MF_COMMIT_MEMORY_ONLY : how & 2 ? MF_COMMIT_SYNC_DURABLE : MF_COMMIT_ASYNC_DURABLE;
	options->compression = !(how & 4);
	options->compression_threshold = 16;
	options->compression_level = 1;
	options->history_limit = (uint32_t)limits[how >> 4 & 3];
	options->snapshot_every_n_events = snapshots & 7;
	options->snapshot_every_ms = 0;
	options->keep_snapshots = (snapshots >> 3 & 3) + 1;
	options->full_snapshot_every = (snapshots >> 5 & 3) + 1;
	options->recovery_batch = 3;
	model_init(&calls->model, options->history_limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct calls calls;
	struct script script = {bytes, bytes + len};
	prepare(&calls, &script);
	open_runtime(&calls);
	for (int i = 0; i < CALLS_MAX && !script_ended(&script) && calls.model.last_lsn + BATCH_MAX <= CALLS_FACTS_MAX; i++)
		call(&calls, &script);
	if (calls.sqlite && calls.model.last_lsn > 0) {
		open_again(&calls);
		check_documents(&calls);
		MUST(&calls, mf_store_verify(mf_runtime_store(&calls.runtime), tell_damage, NULL, &error_));
	}
	close_runtime(&calls);
	model_deinit(&calls.model);
	memfs_reset();
	return 0;
}
