#include "bus/publication.h"

enum mf_topic mf_topic_of_action(enum mf_action action)
{
	switch (action) {
	case MF_ACTION_APPLY: return MF_TR_APPLY;
	case MF_ACTION_UNDO: return MF_TR_UNDO;
	case MF_ACTION_REDO: return MF_TR_REDO;
	}
	return MF_TR_APPLY;
}

struct mf_publication mf_publication_of(const struct mf_proposal *proposal, const struct mf_commit_result *result)
{
	if (result->status != MF_OK)
		return (struct mf_publication){
			.topic = MF_NOTICE_TR_FAILED,
			.doc_id = proposal->doc_id,
			.transaction = proposal->transaction,
			.status = result->status,
			.message = result->error ? result->error->message : mf_status_name(result->status),
		};
	return (struct mf_publication){
		.topic = mf_topic_of_action(mf_transaction_action(proposal->transaction)),
		.doc_id = proposal->doc_id,
		.lsn = result->lsn,
		.epoch = result->epoch,
		.ts_us = result->ts_us,
		.transaction = proposal->transaction,
		.old_state = proposal->old_state,
		.new_state = proposal->new_state,
		.event = result->event,
	};
}
