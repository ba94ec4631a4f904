/* reserve.c - a key is looked up before anything else: known, pending, or from now on ours.
 *
 * A walk that has to wait for somebody else's key first gives back those it holds already, so that two
 * batches with the same keys in another order cannot wait for each other. */
#include <string.h>

#include "host/walk.h"
#include "model/thread.h"

void mf_walk_release(struct mf_walk *walk)
{
	const struct mf_committer *committer = walk->runtime->committer;
	for (size_t i = 0; i < walk->count; i++) {
		if (walk->items[i].reservation)
			committer->release(committer->user, walk->items[i].reservation);
		walk->items[i].reservation = NULL;
	}
}

/* Does an earlier item of this very batch hold the key? */
static bool comes_twice(const struct mf_walk *walk, size_t index)
{
	const char *key = mf_transaction_key(walk->items[index].request);
	for (size_t i = 0; i < index; i++)
		if (strcmp(mf_transaction_key(walk->items[i].request), key) == 0)
			return true;
	return false;
}

static enum mf_status duplicate(const struct mf_walk *walk, size_t index, const struct mf_key_answer *answer, struct mf_error *error)
{
	const char *key = mf_transaction_key(walk->items[index].request);
	if (answer->found == MF_KEY_STORED)
		mf_error_set(error, MF_ERR_DUPLICATE_KEY, "key '%s' was used before, for LSN %lld with %s content", key, (long long)answer->lsn,
			     answer->same ? "the same" : "other");
	else
		mf_error_set(error, MF_ERR_DUPLICATE_KEY, "key '%s' comes twice in the batch", key);
	error->lsn = answer->lsn;
	error->same = answer->same;
	return MF_ERR_DUPLICATE_KEY;
}

/* Somebody else has the key: wait for the outcome, or a moment if it was not even submitted. */
static void wait_for_key(struct mf_walk *walk, struct mf_ticket *ticket)
{
	if (!ticket) {
		unsigned exponent = walk->naps < 6 ? walk->naps++ : 6;
		mf_sleep_us((int64_t)100 << exponent);
		return;
	}
	enum mf_status ignored = mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL);
	(void)ignored; /* the next look at the key tells */
	mf_ticket_unref(ticket);
}

enum mf_status mf_walk_reserve(struct mf_walk *walk, enum mf_walk_step *out_step, struct mf_error *error)
{
	const struct mf_committer *committer = walk->runtime->committer;
	for (size_t i = 0; i < walk->count; i++) {
		struct mf_walk_item *item = &walk->items[i];
		struct mf_key_answer answer = {0};
		walk->item = i;
		enum mf_status status = committer->reserve(committer->user, item->doc_id, item->request, &answer, error);
		if (status != MF_OK)
			return status;
		if (answer.found == MF_KEY_NEW) {
			item->reservation = answer.reservation;
			continue;
		}
		if (answer.found == MF_KEY_STORED || comes_twice(walk, i)) {
			mf_ticket_unref(answer.ticket);
			return duplicate(walk, i, &answer, error);
		}
		mf_walk_release(walk);
		wait_for_key(walk, answer.ticket);
		*out_step = MF_WALK_AGAIN;
		return MF_OK;
	}
	return MF_OK;
}
