/* How far followers have come, for as long as the process lives. */
#include "persist/memory_store.h"

#include <stdlib.h>
#include <string.h>

#include "model/mem.h"

static struct mf_memory_checkpoint *add(struct mf_memory *store, const char *name)
{
	size_t len = strlen(name) + 1;
	if (mf_strmap_reserve(&store->followers, 1) != MF_OK)
		return NULL;
	struct mf_memory_checkpoint *checkpoint = mf_malloc(sizeof(*checkpoint) + len);
	if (!checkpoint)
		return NULL;
	memcpy(checkpoint->name, name, len);
	mf_strmap_put(&store->followers, checkpoint->name, checkpoint);
	return checkpoint;
}

enum mf_status mf_memory_save_checkpoint(struct mf_store *base, const struct mf_checkpoint *from, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	struct mf_memory_checkpoint *checkpoint = mf_strmap_get(&store->followers, from->name);
	if (!checkpoint)
		checkpoint = add(store, from->name);
	if (!checkpoint)
		return mf_memory_leave(store, mf_memory_no_memory(error));
	checkpoint->epoch = from->epoch;
	checkpoint->lsn = from->lsn;
	return mf_memory_leave(store, MF_OK);
}

enum mf_status mf_memory_load_checkpoint(struct mf_store *base, const char *name, struct mf_checkpoint *out, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	const struct mf_memory_checkpoint *found = mf_strmap_get(&store->followers, name);
	if (found)
		*out = (struct mf_checkpoint){name, found->epoch, found->lsn};
	else
		status = mf_error_set(error, MF_ERR_NOT_FOUND, "no follower '%.200s' has saved a checkpoint", name);
	return mf_memory_leave(store, status);
}

/* ---- listing ---- */

static int compare(const void *a, const void *b)
{
	const struct mf_checkpoint *one = a, *other = b;
	return strcmp(one->name, other->name);
}

/* Names are never removed, so they may be borrowed without the lock. */
static enum mf_status copy_all(struct mf_memory *store, struct mf_checkpoint **out, size_t *out_count)
{
	struct mf_checkpoint *all = mf_calloc(store->followers.count, sizeof(*all));
	size_t count = 0;
	if (!all)
		return MF_ERR_NO_MEMORY;
	for (size_t i = 0; i < store->followers.capacity; i++) {
		const struct mf_memory_checkpoint *one = store->followers.slots[i].value;
		if (one)
			all[count++] = (struct mf_checkpoint){one->name, one->epoch, one->lsn};
	}
	qsort(all, count, sizeof(*all), compare);
	*out = all;
	*out_count = count;
	return MF_OK;
}

enum mf_status mf_memory_checkpoints(struct mf_store *base, mf_checkpoint_visit *visit, void *user, struct mf_error *error)
{
	struct mf_memory *store = mf_memory_of(base);
	struct mf_checkpoint *all = NULL;
	size_t count = 0;
	enum mf_status status = mf_memory_enter(store, error);
	if (status != MF_OK)
		return status;
	if (store->followers.count > 0 && copy_all(store, &all, &count) != MF_OK)
		status = mf_memory_no_memory(error);
	(void)mf_memory_leave(store, status);
	for (size_t i = 0; i < count && visit(user, &all[i]); i++)
		;
	mf_free(all);
	return status;
}

/* There is one epoch. */
enum mf_status mf_memory_epoch_end(struct mf_store *base, int64_t epoch, int64_t *out_lsn, struct mf_error *error)
{
	(void)base;
	(void)error;
	*out_lsn = epoch < 1 ? 0 : INT64_MAX;
	return MF_OK;
}
