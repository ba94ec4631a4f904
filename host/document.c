/* document.c - one loaded document: its life, what is pending on it, and being quiet. See documents.h. */
#include "host/documents.h"
#include "model/mem.h"
#include "model/thread.h"

/* ---- life cycle ---- */
struct mf_document *mf_document_new(const char *doc_id, uint64_t hash)
{
	struct mf_document *document = mf_calloc(1, sizeof(*document));
	if (!document)
		return NULL;
	document->doc_id = mf_strdup(doc_id);
	if (!document->doc_id) {
		mf_free(document);
		return NULL;
	}
	document->hash = hash;
	document->users = 1;
	pthread_mutex_init(&document->walk, NULL);
	pthread_mutex_init(&document->lock, NULL);
	mf_cond_init(&document->changed);
	return document;
}

void mf_document_free(struct mf_document *document)
{
	mf_ticket_unref(document->last_ticket);
	mf_state_unref(document->head);
	mf_state_unref(document->committed);
	mf_cond_destroy(&document->changed);
	pthread_mutex_destroy(&document->lock);
	pthread_mutex_destroy(&document->walk);
	mf_free(document->doc_id);
	mf_free(document);
}

struct mf_state *mf_document_committed(struct mf_document *document)
{
	pthread_mutex_lock(&document->lock);
	struct mf_state *state = mf_state_ref(document->committed);
	pthread_mutex_unlock(&document->lock);
	return state;
}

/* ---- pending proposals ---- */
void mf_document_add_pending(struct mf_document *document)
{
	pthread_mutex_lock(&document->lock);
	document->pending++;
	pthread_mutex_unlock(&document->lock);
}

void mf_document_set_ticket(struct mf_document *document, struct mf_ticket *ticket)
{
	pthread_mutex_lock(&document->lock);
	struct mf_ticket *old = document->last_ticket;
	document->last_ticket = mf_ticket_ref(ticket);
	mf_cond_broadcast(&document->changed);
	pthread_mutex_unlock(&document->lock);
	mf_ticket_unref(old);
}

void mf_document_end_pending(struct mf_document *document, struct mf_state *committed)
{
	struct mf_state *old = NULL;
	pthread_mutex_lock(&document->lock);
	if (committed) {
		old = document->committed;
		document->committed = mf_state_ref(committed);
	}
	document->pending--;
	mf_cond_broadcast(&document->changed);
	pthread_mutex_unlock(&document->lock);
	mf_state_unref(old);
}

/* ---- quiet ---- */
void mf_document_pass_gate(struct mf_document *document)
{
	pthread_mutex_lock(&document->lock);
	while (document->quiet_wanted > 0)
		mf_cond_wait(&document->changed, &document->lock);
	pthread_mutex_unlock(&document->lock);
}

void mf_document_want_quiet(struct mf_document *document)
{
	pthread_mutex_lock(&document->lock);
	document->quiet_wanted++;
	pthread_mutex_unlock(&document->lock);
}

void mf_document_unwant_quiet(struct mf_document *document)
{
	pthread_mutex_lock(&document->lock);
	document->quiet_wanted--;
	mf_cond_broadcast(&document->changed);
	pthread_mutex_unlock(&document->lock);
}

/* Waiting for the ticket makes this thread the leader where one is wanted; done may end a moment after it. */
void mf_document_wait_quiet(struct mf_document *document)
{
	pthread_mutex_lock(&document->lock);
	while (document->pending > 0) {
		struct mf_ticket *ticket = document->last_ticket ? mf_ticket_ref(document->last_ticket) : NULL;
		pthread_mutex_unlock(&document->lock);
		enum mf_status ignored = ticket ? mf_ticket_wait(ticket, MF_LEVEL_COMMITTED, MF_WAIT_FOREVER, NULL, NULL) : MF_OK;
		(void)ignored; /* its submitter hears of it */
		pthread_mutex_lock(&document->lock);
		while (document->pending > 0 && document->last_ticket == ticket)
			mf_cond_wait(&document->changed, &document->lock);
		mf_ticket_unref(ticket);
	}
	pthread_mutex_unlock(&document->lock);
}
