/* See persist/snapshot_bases.h. */
#include "persist/snapshot_bases.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "model/mem.h"
#include "persist/env.h"
#include "persist/record.h"
#include "persist/strmap.h"

struct last {
	struct mf_state *state;
	struct mf_digest digest;
	size_t whole_len; /* of the whole one in its chain, before compression */
	uint32_t members; /* of its chain so far */
	char doc_id[];
};

struct mf_snapshot_bases {
	pthread_mutex_t mutex;
	uint32_t members_max;
	struct mf_strmap documents; /* doc_id -> struct last */
};

enum mf_status mf_snapshot_bases_new(const struct mf_persist_options *options, struct mf_snapshot_bases **out)
{
	const struct mf_env *env = mf_env_or_default(options->env);
	struct mf_snapshot_bases *bases = mf_calloc(1, sizeof(*bases));
	uint64_t seed = 0;
	if (!bases)
		return MF_ERR_NO_MEMORY;
	(void)env->random(env->user, &seed, sizeof(seed)); /* a fixed seed is still right, only guessable */
	bases->members_max = options->full_snapshot_every < MF_SNAPSHOT_CHAIN_MAX ? options->full_snapshot_every : MF_SNAPSHOT_CHAIN_MAX;
	mf_strmap_init(&bases->documents, seed);
	pthread_mutex_init(&bases->mutex, NULL);
	*out = bases;
	return MF_OK;
}

static void free_last(struct last *last)
{
	if (last)
		mf_state_unref(last->state);
	mf_free(last);
}

void mf_snapshot_bases_free(struct mf_snapshot_bases *bases)
{
	for (size_t i = 0; i < bases->documents.capacity; i++)
		if (bases->documents.slots[i].key)
			free_last(bases->documents.slots[i].value);
	mf_strmap_deinit(&bases->documents);
	pthread_mutex_destroy(&bases->mutex);
	mf_free(bases);
}

bool mf_snapshot_bases_get(struct mf_snapshot_bases *bases, const char *doc_id, int64_t lsn, struct mf_snapshot_base *out)
{
	pthread_mutex_lock(&bases->mutex);
	const struct last *last = mf_strmap_get(&bases->documents, doc_id);
	bool usable = last && last->members < bases->members_max && mf_state_lsn(last->state) < lsn;
	if (usable)
		*out = (struct mf_snapshot_base){.state = mf_state_ref(last->state), .digest = last->digest, .raw_max = last->whole_len / 2};
	pthread_mutex_unlock(&bases->mutex);
	return usable;
}

/* Mutex held. Out of the map, for the caller to free outside of it: that may take long. */
static struct last *take_out(struct mf_snapshot_bases *bases, const char *doc_id)
{
	struct last *last = mf_strmap_get(&bases->documents, doc_id);
	if (last)
		mf_strmap_remove(&bases->documents, last->doc_id);
	return last;
}

static struct last *new_last(const struct mf_snapshot *snapshot, const struct mf_state *state)
{
	struct mf_snapshot_head head;
	size_t len = strlen(snapshot->doc_id) + 1;
	enum mf_status status = mf_snapshot_read_head(snapshot, &head, NULL, NULL);
	assert(status == MF_OK); /* it was made here, just now */
	(void)status;
	struct last *last = mf_malloc(sizeof(*last) + len);
	if (!last)
		return NULL;
	last->state = mf_state_ref(state);
	last->digest = head.digest;
	last->whole_len = (size_t)head.raw_len;
	last->members = 1;
	memcpy(last->doc_id, snapshot->doc_id, len);
	return last;
}

void mf_snapshot_bases_put(struct mf_snapshot_bases *bases, const struct mf_snapshot *snapshot, const struct mf_state *state)
{
	struct last *last = bases->members_max > 1 ? new_last(snapshot, state) : NULL;
	pthread_mutex_lock(&bases->mutex);
	struct last *before = mf_strmap_get(&bases->documents, snapshot->doc_id);
	if (before && mf_state_lsn(before->state) > snapshot->upto_lsn) { /* of an older state, by hand: the newest one stays */
		pthread_mutex_unlock(&bases->mutex);
		free_last(last);
		return;
	}
	before = take_out(bases, snapshot->doc_id);
	if (last && before && snapshot->base_lsn) {
		last->whole_len = before->whole_len;
		last->members = before->members + 1;
	}
	bool known = last && (!snapshot->base_lsn || before) && mf_strmap_reserve(&bases->documents, 1) == MF_OK;
	if (known)
		mf_strmap_put(&bases->documents, last->doc_id, last);
	pthread_mutex_unlock(&bases->mutex);
	free_last(before);
	if (!known)
		free_last(last);
}

void mf_snapshot_bases_forget(struct mf_snapshot_bases *bases, const char *doc_id)
{
	pthread_mutex_lock(&bases->mutex);
	struct last *last = take_out(bases, doc_id);
	pthread_mutex_unlock(&bases->mutex);
	free_last(last);
}
