#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <moduforge/backup.h>

#include "harness.h"
#include "tests/leave.h"

const char *const scene_names[SCENES] = {"closed", "hot", "beside", "large", "backup"};

static const char *const docs[] = {"alpha", "beta", "gamma", "old", "still", NULL};
_Static_assert(sizeof(docs) / sizeof(docs[0]) == SCENE_DOCS + 1, "a place for each document");
static const char *const large_docs[] = {"alpha", "large", NULL};
static const char *const keys[] = {"old-1", "old-12", "still-2", "alpha-1", "alpha-20", "alpha-33", "beta-2", "beta-70", "gamma-5", "gamma-90", "batch-3", "hot-201", "hot-217", NULL};
static const char *const large_keys[] = {"alpha-1", "large-1", "large-4", NULL};
static const char *const followers[] = {"keeper", "reader", NULL};
static const int64_t moments[] = {30, 80, 150, 0};
static const int64_t large_moments[] = {3, 0};
static const char *const files[] = {"store.db", "store.db-wal", "store.db-shm", "watermark", "metrics", "backup", NULL};

const char *scene_file(size_t i)
{
	return files[i];
}

/* ---- files ---- */

static bool copy_file(const char *from, const char *to)
{
	struct stat stat;
	int in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return (unlink(to) == 0 || errno == ENOENT);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = out >= 0 && fstat(in, &stat) == 0;
	for (off_t at = 0; good && at < stat.st_size;)
		good = sendfile(out, in, &at, (size_t)(stat.st_size - at)) > 0;
	close(in);
	close(out);
	return good;
}

bool scene_copy(const char *from, const char *to)
{
	char source[200], target[200];
	if (mkdir(to, 0700) != 0 && errno != EEXIST)
		return false;
	for (size_t i = 0; files[i]; i++) {
		snprintf(source, sizeof(source), "%s/%s", from, files[i]);
		snprintf(target, sizeof(target), "%s/%s", to, files[i]);
		if (!copy_file(source, target))
			return false;
	}
	return true;
}

/* ---- transactions ---- */

static enum mf_status add_steps(struct mf_transaction *tr, const struct mf_step_registry *steps, const char *doc, int value, size_t bytes, struct mf_error *error)
{
	/* Digits that do not compress well, so that what is large stays large. */
	char *text = malloc(bytes + 1);
	uint64_t x = (uint64_t)value * 0x9e3779b97f4a7c15u + 1;
	for (size_t i = 0; text && i < bytes; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		text[i] = (char)('!' + (x >> 40) % 90);
		if (text[i] == '"' || text[i] == '\\')
			text[i] = 'x';
	}
	if (!text)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory for a text");
	text[bytes] = '\0';
	char id[48];
	snprintf(id, sizeof(id), "%s-%d", doc, value);
	enum mf_status status = value % 3 == 0
					? mf_transaction_add_format(tr, steps, "insert_node", error, "{\"parent\":\"root\",\"node\":{\"id\":%s,\"type\":\"item\",\"attrs\":{\"text\":%s}}}", id, text)
					: mf_transaction_add_format(tr, steps, "update_attrs", error, "{\"id\":\"root\",\"set\":{\"n\":%lld,\"text\":%s}}", (long long)value, text);
	free(text);
	return status;
}

static enum mf_status commit(struct mf_runtime *runtime, const char *doc, const char *key, int value, size_t bytes, int64_t *out_lsn, struct mf_error *error)
{
	struct mf_transaction *tr;
	enum mf_status status = mf_transaction_new(&tr);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory for a transaction");
	status = add_steps(tr, mf_runtime_steps(runtime), doc, value, bytes, error);
	if (status == MF_OK)
		status = mf_transaction_set_key(tr, key, error);
	if (status == MF_OK)
		status = mf_runtime_commit(runtime, doc, tr, out_lsn, error);
	mf_transaction_free(tr);
	return status;
}

enum mf_status scene_commit(struct mf_runtime *runtime, const char *doc, const char *key, int value, int64_t *out_lsn, struct mf_error *error)
{
	return commit(runtime, doc, key, value, 20, out_lsn, error);
}

uint64_t scene_digest(struct mf_runtime *runtime, const char *doc, struct mf_error *error)
{
	struct mf_state *state;
	struct mf_digest digest;
	uint64_t folded = 0;
	if (mf_runtime_state(runtime, doc, &state, error) != MF_OK)
		return 0;
	if (mf_doc_digest(mf_state_doc(state), &digest) == MF_OK)
		memcpy(&folded, digest.bytes, sizeof(folded));
	mf_state_unref(state);
	return folded;
}

/* ---- making, in a child ---- */

static struct mf_error error;

#define TRY(call)                                                                                                    \
	do {                                                                                                         \
		enum mf_status try_status_ = (call);                                                                 \
		if (try_status_ != MF_OK) {                                                                          \
			fprintf(stderr, "scene: %s: %s: %s\n", #call, mf_status_name(try_status_), error.message); \
			return false;                                                                                \
		}                                                                                                    \
	} while (0)

static bool commit_many(struct mf_runtime *runtime, const char *doc, const char *name, int from, int to, size_t bytes)
{
	for (int i = from; i <= to; i++) {
		char key[48];
		snprintf(key, sizeof(key), "%s-%d", name, i);
		TRY(commit(runtime, doc, key, i, bytes + (size_t)(i * 7 % 60), NULL, &error));
	}
	return true;
}

static bool commit_batch(struct mf_runtime *runtime)
{
	struct mf_batch_item items[4];
	struct mf_ticket *ticket;
	int64_t lsn;
	for (size_t i = 0; i < 4; i++) {
		char key[32];
		snprintf(key, sizeof(key), "batch-%zu", i);
		items[i].doc_id = docs[i % 3];
		TRY(mf_transaction_new(&items[i].transaction));
		TRY(mf_transaction_set_key(items[i].transaction, key, &error));
		TRY(add_steps(items[i].transaction, mf_runtime_steps(runtime), docs[i % 3], 1000 + (int)i, 30, &error));
	}
	TRY(mf_runtime_submit_batch(runtime, items, 4, MF_COMMIT_MEMORY_ONLY, &ticket, &error));
	TRY(mf_ticket_wait(ticket, MF_LEVEL_WRITTEN, MF_WAIT_FOREVER, &lsn, &error));
	mf_ticket_unref(ticket);
	for (size_t i = 0; i < 4; i++)
		mf_transaction_free(items[i].transaction);
	return true;
}

static bool snapshot(struct mf_runtime *runtime, const char *doc)
{
	int64_t upto;
	TRY(mf_runtime_snapshot(runtime, doc, &upto, &error));
	return true;
}

static bool first_life(struct mf_runtime *runtime)
{
	int64_t upto;
	struct mf_store *store = mf_runtime_store(runtime);
	bool good = commit_many(runtime, "old", "old", 1, 12, 20) && commit_many(runtime, "still", "still", 1, 3, 20) && snapshot(runtime, "still") && commit_many(runtime, "alpha", "alpha", 1, 20, 20) && snapshot(runtime, "alpha") &&
		    commit_many(runtime, "alpha", "alpha", 21, 40, 20) && snapshot(runtime, "alpha") && commit_many(runtime, "beta", "beta", 1, 5, 600);
	if (!good)
		return false;
	for (int i = 0; i < 3; i++) /* each on the one before: a chain of incremental ones */
		if (!commit_many(runtime, "beta", "beta", 6 + i * 10, 15 + i * 10, 30) || !snapshot(runtime, "beta"))
			return false;
	TRY(mf_runtime_compact(runtime, "alpha", &upto, &error));
	TRY(mf_runtime_compact(runtime, "still", &upto, &error)); /* all of it: only its record tells where it goes on */
	TRY(mf_runtime_undo(runtime, "beta", 3, "ann", NULL, NULL, &error));
	TRY(mf_runtime_redo(runtime, "beta", 1, NULL, NULL, NULL, &error));
	TRY(mf_store_save_checkpoint(store, &(struct mf_checkpoint){"keeper", 1, 60}, &error));
	return true;
}

static bool second_life(struct mf_runtime *runtime)
{
	bool good = commit_many(runtime, "beta", "beta", 40, 130, 40) && commit_many(runtime, "gamma", "gamma", 1, 100, 30) && snapshot(runtime, "gamma") && commit_batch(runtime) &&
		    commit_many(runtime, "gamma", "gamma", 101, 160, 30);
	if (!good)
		return false;
	TRY(mf_runtime_undo(runtime, "gamma", 2, NULL, "undo-gamma", NULL, &error) == MF_ERR_INVALID ? MF_OK : MF_ERR_STATE); /* a key is for one */
	TRY(mf_runtime_undo(runtime, "gamma", 1, NULL, "undo-gamma", NULL, &error));
	TRY(mf_store_save_checkpoint(mf_runtime_store(runtime), &(struct mf_checkpoint){"reader", 2, 300}, &error));
	return true;
}

static bool hot_life(struct mf_runtime *runtime)
{
	return commit_many(runtime, "gamma", "hot", 201, 217, 40) && snapshot(runtime, "gamma") && commit_many(runtime, "alpha", "hot-alpha", 41, 55, 30) && commit_many(runtime, "old", "hot-old", 13, 14, 30);
}

static bool large_life(struct mf_runtime *runtime)
{
	return commit_many(runtime, "alpha", "alpha", 1, 2, 20) && commit_many(runtime, "large", "large", 3, 4, 700000) && commit_many(runtime, "large", "large", 1, 1, 700000) &&
	       commit_many(runtime, "large", "large", 6, 6, 700000) && snapshot(runtime, "large") && commit_many(runtime, "large", "large", 7, 9, 30);
}

static bool live(const struct scene *scene, const char *dir, bool (*life)(struct mf_runtime *runtime), bool killed)
{
	struct mf_runtime *runtime;
	struct mf_runtime_options options = {.config_path = scene->plan.config, .data_dir = dir, .mode = "sync"};
	TRY(mf_runtime_open(&options, &runtime, &error));
	if (!life(runtime))
		return false;
	if (killed)
		leave(0); /* as kill -9: the log stays */
	TRY(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error));
	return true;
}

static bool make_backup(const struct scene *scene)
{
	char path[200];
	struct mf_store *store;
	snprintf(path, sizeof(path), "%s/backup", scene->dir);
	TRY(mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = scene->dir, .read_only = true}, &store, &error));
	TRY(mf_store_backup(store, path, NULL, NULL, NULL, &error));
	mf_store_close(store, NULL);
	return true;
}

static bool make_in_child(const struct scene *scene)
{
	if (scene->number == SCENE_LARGE)
		return live(scene, scene->dir, large_life, false);
	if (!live(scene, scene->dir, first_life, false) || !live(scene, scene->dir, second_life, false))
		return false;
	if (scene->number == SCENE_BACKUP)
		return make_backup(scene);
	return scene->number == SCENE_CLOSED || live(scene, scene->dir, hot_life, true);
}

/* ---- what comes next ---- */

/* On a copy that is not damaged: a commit on each document, then an undo. */
static bool foresee(struct scene *scene)
{
	char copy[160];
	struct mf_runtime *runtime;
	snprintf(copy, sizeof(copy), "%s-next", scene->dir);
	if (!scene_copy(scene->dir, copy))
		return false;
	TRY(mf_runtime_open(&(struct mf_runtime_options){.config_path = scene->plan.config, .data_dir = copy, .mode = "sync"}, &runtime, &error));
	for (size_t i = 0; scene->plan.docs[i]; i++) {
		const char *doc = scene->plan.docs[i];
		TRY(mf_runtime_store(runtime)->ops->last_lsn(mf_runtime_store(runtime), doc, &scene->next[i].lsn, &error));
		TRY(scene_commit(runtime, doc, doc, 5000, NULL, &error));
		scene->next[i].after_commit = scene_digest(runtime, doc, &error);
		TRY(mf_runtime_undo(runtime, doc, 1, NULL, NULL, NULL, &error));
		scene->next[i].after_undo = scene_digest(runtime, doc, &error);
	}
	TRY(mf_runtime_close(runtime, MF_WAIT_FOREVER, &error));
	return true;
}

bool scene_make(enum scene_number number, const char *base, const char *config, struct scene *out)
{
	memset(out, 0, sizeof(*out));
	out->number = number;
	bool large = number == SCENE_LARGE;
	out->plan = (struct picture_plan){config, large ? large_docs : docs, large ? large_keys : keys, followers, large ? large_moments : moments, 0};
	snprintf(out->dir, sizeof(out->dir), "%.90s/%s", base, scene_names[number]);
	pid_t child = harness_fork();
	if (child == 0)
		leave(make_in_child(out) ? 0 : 1);
	int ended;
	if (child < 0 || waitpid(child, &ended, 0) < 0 || ended != 0)
		return false;
	char path[200];
	snprintf(path, sizeof(path), "%s/store.db-shm", out->dir);
	if (number != SCENE_BESIDE)
		(void)unlink(path);
	picture_take(&out->plan, out->dir, &out->good);
	for (size_t i = 0; i < out->good.count; i++)
		if (out->good.items[i].kind == PICTURE_WHOLE_LOG)
			out->plan.upto_lsn = out->good.items[i].lsn;
	return foresee(out);
}
