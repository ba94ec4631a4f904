/* pending.c - the outcome of a proposal: the new state becomes the document's, and everybody is told.
 *
 * Called by the committer in LSN order, one at a time, from whichever thread stored the group. Nothing
 * here can fail: all memory was taken on the way in. */
#include "host/walk.h"
#include "model/transaction.h"

#include <moduforge/value.h>

static void publish_outcome(const struct mf_pending *pending, const struct mf_commit_result *result)
{
	static const enum mf_topic topics[] = {[MF_ACTION_APPLY] = MF_TR_APPLY, [MF_ACTION_UNDO] = MF_TR_UNDO, [MF_ACTION_REDO] = MF_TR_REDO};
	struct mf_publication publication = {
		.topic = MF_NOTICE_TR_FAILED,
		.doc_id = pending->document->doc_id,
		.transaction = pending->transaction,
		.status = result->status,
		.message = result->error ? result->error->message : "",
	};
	if (result->status == MF_OK) {
		publication.topic = topics[mf_transaction_action(pending->transaction)];
		publication.lsn = result->lsn;
		publication.epoch = result->epoch;
		publication.ts_us = result->ts_us;
		publication.old_state = pending->old_state;
		publication.new_state = pending->new_state;
		publication.event = result->event;
	}
	mf_runtime_publish(pending->runtime, &publication);
}

void mf_pending_free(struct mf_pending *pending)
{
	if (!pending)
		return;
	mf_transaction_free(pending->transaction);
	mf_state_unref(pending->old_state);
	mf_state_unref(pending->new_state);
	if (pending->document)
		mf_documents_put(&pending->runtime->documents, pending->document);
	mf_free(pending);
}

void mf_pending_done(void *user, const struct mf_commit_result *result)
{
	struct mf_pending *pending = user;
	mf_document_end_pending(pending->document, result->status == MF_OK ? pending->new_state : NULL);
	if (result->status != MF_OK)
		mf_runtime_count_error(pending->runtime, result->status);
	publish_outcome(pending, result);
	mf_documents_put(&pending->runtime->documents, pending->document);
	pending->document = NULL;
}

void mf_pending_release(void *user)
{
	mf_pending_free(user);
}
