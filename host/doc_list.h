/* doc_list.h - the names of a store's documents, taken first, so that nothing is read while it lists. */
#pragma once

#include <moduforge/store.h>

/* names: zero-initialised by the caller, who deinits it. */
enum mf_status mf_doc_list(struct mf_store *store, struct mf_buffer *names, struct mf_error *error);
/* The first (after NULL), the next; NULL at the end. Borrowed from names. */
const char *mf_doc_list_next(const struct mf_buffer *names, const char *name);

/* MF_ERR_NOT_FOUND with a sentence for a document without events. */
enum mf_status mf_doc_exists(struct mf_store *store, const char *doc_id, struct mf_error *error);
