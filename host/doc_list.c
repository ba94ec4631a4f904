#include "host/doc_list.h"

#include <stdbool.h>
#include <string.h>

struct listing {
	struct mf_buffer *names;
	enum mf_status status;
};

static bool add_name(void *user, const struct mf_document_info *info)
{
	struct listing *listing = user;
	listing->status = mf_buffer_append(listing->names, info->doc_id, strlen(info->doc_id) + 1);
	return listing->status == MF_OK;
}

enum mf_status mf_doc_list(struct mf_store *store, struct mf_buffer *names, struct mf_error *error)
{
	struct listing listing = {.names = names, .status = MF_OK};
	enum mf_status status = store->ops->documents(store, add_name, &listing, error);
	if (status == MF_OK && listing.status != MF_OK)
		status = mf_error_set(error, listing.status, "no memory to list the documents");
	return status;
}

const char *mf_doc_list_next(const struct mf_buffer *names, const char *name)
{
	const char *next = name ? name + strlen(name) + 1 : (const char *)names->bytes;
	return next && next < (const char *)names->bytes + names->len ? next : NULL;
}

enum mf_status mf_doc_exists(struct mf_store *store, const char *doc_id, struct mf_error *error)
{
	int64_t last;
	enum mf_status status = store->ops->last_lsn(store, doc_id, &last, error);
	if (status == MF_OK && last == 0)
		return mf_error_set(error, MF_ERR_NOT_FOUND, "document '%s' has no events in this store", doc_id);
	return status;
}
