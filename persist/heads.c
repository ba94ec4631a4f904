#include "persist/heads.h"

#include <string.h>
#include <xxhash.h>

#include <moduforge/value.h>

#include "model/mem.h"

#define SETS 16384
#define WAYS 4 /* 65536 documents */

struct head {
	uint64_t hash;
	int64_t lsn;
	char doc_id[];
};

struct mf_heads {
	uint64_t seed;
	size_t count; /* of all heads: closing a store looks no further than it must, for what was never written to is not even there */
	struct head *sets[SETS][WAYS]; /* most recently used first; no holes */
};

enum mf_status mf_heads_new(uint64_t seed, struct mf_heads **out)
{
	struct mf_heads *heads = mf_calloc(1, sizeof(*heads));
	if (!heads)
		return MF_ERR_NO_MEMORY;
	heads->seed = seed;
	*out = heads;
	return MF_OK;
}

void mf_heads_free(struct mf_heads *heads)
{
	if (!heads)
		return;
	for (size_t i = 0; heads->count > 0; i++)
		for (size_t way = 0; way < WAYS && heads->sets[i][way]; way++, heads->count--)
			mf_free(heads->sets[i][way]);
	mf_free(heads);
}

/* Brings the document's head to the front of its set; NULL if it is not there. */
static struct head *find(struct mf_heads *heads, const char *doc_id, uint64_t *out_hash, struct head ***out_set)
{
	uint64_t hash = XXH3_64bits_withSeed(doc_id, strlen(doc_id), heads->seed);
	struct head **set = heads->sets[hash % SETS];
	*out_hash = hash;
	*out_set = set;
	for (size_t way = 0; way < WAYS && set[way]; way++) {
		struct head *head = set[way];
		if (head->hash != hash || strcmp(head->doc_id, doc_id) != 0)
			continue;
		memmove(set + 1, set, way * sizeof(*set));
		set[0] = head;
		return head;
	}
	return NULL;
}

bool mf_heads_get(struct mf_heads *heads, const char *doc_id, int64_t *out_lsn)
{
	uint64_t hash;
	struct head **set;
	const struct head *head = find(heads, doc_id, &hash, &set);
	if (head)
		*out_lsn = head->lsn;
	return head != NULL;
}

void mf_heads_put(struct mf_heads *heads, const char *doc_id, int64_t lsn)
{
	uint64_t hash;
	struct head **set;
	struct head *head = find(heads, doc_id, &hash, &set);
	if (!head) {
		size_t len = strlen(doc_id) + 1;
		head = mf_malloc(sizeof(*head) + len);
		if (!head)
			return;
		head->hash = hash;
		memcpy(head->doc_id, doc_id, len);
		heads->count += set[WAYS - 1] == NULL;
		mf_free(set[WAYS - 1]);
		memmove(set + 1, set, (WAYS - 1) * sizeof(*set));
		set[0] = head;
	}
	head->lsn = lsn;
}

void mf_heads_drop(struct mf_heads *heads, const char *doc_id)
{
	uint64_t hash;
	struct head **set;
	struct head *head = find(heads, doc_id, &hash, &set);
	if (!head)
		return;
	memmove(set, set + 1, (WAYS - 1) * sizeof(*set));
	set[WAYS - 1] = NULL;
	heads->count--;
	mf_free(head);
}
