/* snapshot_load.c - a state from a snapshot: from a whole one, or from the chain that an incremental one is the end of.
 *
 * The chain is read from the new end to the old one, since each names its base; then its differences are applied
 * from the old end on, and the document is built once (model/delta.h). Only the digest of the result counts:
 * those in between are compared as the blobs tell them. */
#include "persist/snapshot_codec.h"

#include <assert.h>
#include <string.h>

#include "model/field.h"
#include "model/mem.h"

struct link {
	struct mf_snapshot snapshot;
	struct mf_snapshot_head head;
};

struct chain {
	struct mf_store *store;
	struct mf_snapshot_loading *how;
	struct link *links; /* the newest first; its snapshot is the caller's */
	size_t count, capacity;
	bool absent; /* the link to blame is not there at all */
	struct mf_error *error;
};

static void free_chain(struct chain *chain)
{
	for (size_t i = 1; i < chain->count; i++)
		mf_snapshot_deinit(&chain->links[i].snapshot);
	mf_free(chain->links);
}

/* Link at is to blame, and all that build on it are of no use. */
static enum mf_status blame(struct chain *chain, size_t at, int64_t lsn, enum mf_status status)
{
	chain->how->failed_lsn = lsn;
	chain->how->passed = at + !chain->absent;
	return status;
}

/* ---- gathering ---- */

static enum mf_status add_link(struct chain *chain, const struct mf_snapshot *snapshot)
{
	if (chain->count == chain->capacity) {
		size_t capacity = chain->capacity ? 2 * chain->capacity : 8;
		struct link *links = mf_realloc(chain->links, capacity * sizeof(*links));
		if (!links)
			return mf_error_set(chain->error, MF_ERR_NO_MEMORY, "no memory for the snapshots that it builds on");
		chain->links = links;
		chain->capacity = capacity;
	}
	struct link *link = &chain->links[chain->count++];
	link->snapshot = *snapshot;
	bool newer;
	enum mf_status status = mf_snapshot_read_head(snapshot, &link->head, &newer, chain->error);
	chain->how->stale |= newer;
	return status;
}

static enum mf_status missing(struct chain *chain, int64_t lsn, const char *what)
{
	return mf_error_set(chain->error, MF_ERR_CORRUPTED, "the snapshot at LSN %lld, on which it builds, %s", (long long)lsn, what);
}

struct search {
	int64_t upto_lsn, base_lsn;
	bool found;
};

static bool look_for(void *user, const struct mf_snapshot_info *info)
{
	struct search *search = user;
	search->found |= info->upto_lsn == search->upto_lsn && info->base_lsn == search->base_lsn;
	return !search->found;
}

/* A base that is missing: damage, unless the newest link is not stored any more either: there are newer ones, or compaction
 * has made it a whole one. */
static enum mf_status missing_base(struct chain *chain, int64_t lsn)
{
	const struct mf_snapshot *newest = &chain->links[0].snapshot;
	struct search search = {.upto_lsn = newest->upto_lsn, .base_lsn = newest->base_lsn};
	enum mf_status status = chain->store->ops->snapshots(chain->store, newest->doc_id, look_for, &search, chain->error);
	if (status != MF_OK)
		return status;
	chain->absent = true;
	if (!search.found)
		return mf_error_set(chain->error, MF_ERR_BUSY, "what it builds on was deleted while it was being read; read the newest one");
	return missing(chain, lsn, "is missing");
}

/* The base of the last link becomes the next one. */
static enum mf_status add_base(struct chain *chain)
{
	struct link *last = &chain->links[chain->count - 1];
	int64_t lsn = last->head.base_lsn;
	struct mf_digest wanted = last->head.base_digest;
	struct mf_snapshot base = {0};
	struct mf_error reason = {0};
	if (!chain->store)
		return mf_error_set(chain->error, MF_ERR_INVALID, "it builds on another one: load it with its store");
	if (chain->count > MF_SNAPSHOT_CHAIN_MAX)
		return mf_error_set(chain->error, MF_ERR_CORRUPTED, "it is the end of a chain of more than %d", MF_SNAPSHOT_CHAIN_MAX);
	enum mf_status status = chain->store->ops->latest_snapshot(chain->store, last->snapshot.doc_id, lsn, &base, &reason);
	if (status == MF_ERR_NOT_FOUND || (status == MF_OK && base.upto_lsn != lsn)) {
		mf_snapshot_deinit(&base);
		return missing_base(chain, lsn);
	}
	if (status != MF_OK)
		return mf_error_set(chain->error, status, "%.300s", reason.message);
	size_t count = chain->count;
	status = add_link(chain, &base);
	if (chain->count == count)
		mf_snapshot_deinit(&base);
	if (status == MF_OK && memcmp(chain->links[count].head.digest.bytes, wanted.bytes, MF_DIGEST_BYTES) != 0)
		status = missing(chain, lsn, "is another one than it was made from");
	return status;
}

static enum mf_status gather(struct chain *chain, const struct mf_snapshot *snapshot)
{
	enum mf_status status = add_link(chain, snapshot);
	while (status == MF_OK && chain->links[chain->count - 1].head.base_lsn > 0) {
		size_t at = chain->count;
		int64_t lsn = chain->links[at - 1].head.base_lsn;
		status = add_base(chain);
		if (status != MF_OK)
			return blame(chain, at, lsn, status);
	}
	return status;
}

/* ---- applying ---- */

/* Into out, a private state; rest is what came behind the newest link. */
static enum mf_status finish(struct chain *chain, struct mf_unpack *rest, struct mf_state *state)
{
	struct mf_digest digest;
	const struct link *newest = &chain->links[0];
	const struct mf_state_reading *stacks = &chain->how->stacks;
	enum mf_status status = mf_unpack_fields(rest, stacks->registry, chain->how->fields, state, chain->error);
	if (status != MF_OK)
		return status;
	assert(rest->at == rest->end); /* the fields are the last of it, and bytes behind them were damage */
	if (mf_state_lsn(state) != newest->snapshot.upto_lsn)
		return mf_error_set(chain->error, MF_ERR_CORRUPTED, "its state is of LSN %lld", (long long)mf_state_lsn(state));
	mf_digest_of_doc(mf_state_doc(state), &digest);
	if (memcmp(digest.bytes, newest->head.digest.bytes, MF_DIGEST_BYTES) != 0)
		return mf_error_set(chain->error, MF_ERR_CORRUPTED, "its document has another digest than it says");
	return MF_OK;
}

static enum mf_status open_whole(struct chain *chain, struct mf_unpack *body, void **memory, struct mf_state **out)
{
	struct link *whole = &chain->links[chain->count - 1];
	enum mf_status status = mf_snapshot_open_body(&whole->snapshot, body, memory, chain->error);
	if (status == MF_OK)
		status = mf_unpack_state_with(body, &chain->how->stacks, out, chain->error);
	return status == MF_OK ? MF_OK : blame(chain, chain->count - 1, whole->snapshot.upto_lsn, status);
}

static enum mf_status load_whole(struct chain *chain, struct mf_state **out)
{
	struct mf_unpack body;
	void *memory = NULL;
	struct mf_state *state = NULL;
	enum mf_status status = open_whole(chain, &body, &memory, &state);
	if (status == MF_OK)
		status = finish(chain, &body, state);
	mf_free(memory);
	if (status == MF_OK)
		*out = state;
	else
		mf_state_unref(state);
	return status;
}

/* The differences, the oldest first; *body and *memory are then those of the newest. */
static enum mf_status apply_differences(struct chain *chain, struct mf_patch *patch, struct mf_unpack *body, void **memory)
{
	for (size_t i = chain->count - 1; i-- > 0;) {
		const struct mf_snapshot *snapshot = &chain->links[i].snapshot;
		mf_free(*memory);
		*memory = NULL;
		enum mf_status status = mf_snapshot_open_body(snapshot, body, memory, chain->error);
		if (status == MF_OK)
			status = mf_patch_add(patch, body, chain->error);
		if (status != MF_OK)
			return blame(chain, i, snapshot->upto_lsn, status);
	}
	return MF_OK;
}

static enum mf_status patch_base(struct chain *chain, const struct mf_state *base, struct mf_state **out)
{
	struct mf_patch *patch = NULL;
	struct mf_unpack body = {0};
	void *memory = NULL;
	struct mf_state *state = NULL;
	enum mf_status status = mf_patch_new(base, &chain->how->stacks, &patch);
	if (status != MF_OK)
		return mf_error_set(chain->error, status, "no memory to apply differences");
	status = apply_differences(chain, patch, &body, &memory);
	if (status == MF_OK)
		status = mf_patch_finish(patch, &state, chain->error);
	mf_patch_free(patch);
	if (status == MF_OK)
		status = finish(chain, &body, state);
	mf_free(memory);
	if (status == MF_OK)
		*out = state;
	else
		mf_state_unref(state);
	return status;
}

static enum mf_status load_chain(struct chain *chain, struct mf_state **out)
{
	struct mf_unpack body;
	void *memory = NULL;
	struct mf_state *base = NULL;
	size_t limit = chain->how->stacks.history_limit;
	chain->how->stacks.history_limit = SIZE_MAX; /* of the result, not of what leads there */
	enum mf_status status = open_whole(chain, &body, &memory, &base);
	chain->how->stacks.history_limit = limit;
	mf_free(memory);
	if (status == MF_OK)
		status = patch_base(chain, base, out);
	mf_state_unref(base);
	return status;
}

/* ---- the calls ---- */

enum mf_status mf_snapshot_load_with(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_snapshot_loading *how, struct mf_state **out, struct mf_error *error)
{
	struct mf_error reason = {0};
	struct chain chain = {.store = store, .how = how, .error = &reason};
	how->stale = false;
	how->failed_lsn = snapshot->upto_lsn;
	how->passed = 1;
	enum mf_status status = gather(&chain, snapshot);
	if (status == MF_OK)
		status = chain.count > 1 ? load_chain(&chain, out) : load_whole(&chain, out);
	free_chain(&chain);
	how->stale |= status == MF_ERR_UNKNOWN_STEP || how->stacks.dropped > 0 || (status == MF_OK && mf_state_fields_note(*out).begun_anew > 0);
	if (status == MF_OK)
		return MF_OK;
	mf_error_set(error, status, "document '%.100s', snapshot at LSN %lld: %.330s", snapshot->doc_id ? snapshot->doc_id : "", (long long)snapshot->upto_lsn,
		     reason.status ? reason.message : mf_status_name(status));
	if (error)
		error->lsn = snapshot->upto_lsn;
	return status;
}

enum mf_status mf_snapshot_load(struct mf_store *store, const struct mf_snapshot *snapshot, const struct mf_step_registry *registry, size_t history_limit,
				struct mf_state **out, struct mf_error *error)
{
	struct mf_snapshot_loading how = {.stacks = {.registry = registry, .history_limit = history_limit}, .fields = MF_FIELDS_COMPLETE};
	return mf_snapshot_load_with(store, snapshot, &how, out, error);
}

enum mf_status mf_snapshot_decode(const struct mf_snapshot *snapshot, const struct mf_step_registry *registry, size_t history_limit, struct mf_state **out,
				  struct mf_error *error)
{
	return mf_snapshot_load(NULL, snapshot, registry, history_limit, out, error);
}
