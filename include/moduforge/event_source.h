/* moduforge/event_source.h - where followers read what they have missed, and keep how far they have come.
 *
 * The bus calls this interface; the snapshot subscriber (persist.h) implements it over its store, and the
 * committer hands it out (struct mf_committer, event_source).
 *
 * Invariants
 * 1. What committed_lsn and synced_lsn say never shrinks.
 * 2. read gives stored events, checked, in LSN order. It may give some that are not committed yet: the caller cuts them off.
 *
 * Thread: any, several at once. Errors: as those of the store. */
#pragma once

#include <moduforge/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a source tells, and asks, from any thread and without a lock of its own. */
struct mf_event_listener {
	void *user;
	void (*synced)(void *user);         /* synced_lsn has grown */
	int64_t (*needed_above)(void *user); /* events above this LSN are still to be read: compaction leaves them; INT64_MAX: none are */
};

struct mf_event_source {
	size_t size; /* sizeof(struct mf_event_source) */
	void *user;
	/* Events of all documents with an LSN above from_lsn: at most limit, and at most about 16 MiB but at least one. LSNs
	 * that are missing between them were compacted away, or lost with the loss accepted. */
	enum mf_status (*read)(void *user, int64_t from_lsn, uint32_t limit, struct mf_event_list *out, struct mf_error *error);
	void (*free_events)(struct mf_event_list *list); /* what read gave; may also be called after the source has gone */
	enum mf_status (*decode)(void *user, const struct mf_event *event, struct mf_transaction **out, struct mf_error *error);
	int64_t (*committed_lsn)(void *user);
	int64_t (*synced_lsn)(void *user); /* a store without a device: committed_lsn */
	int64_t (*epoch)(void *user);      /* of this opening of the store */
	/* The last LSN that was given before an epoch newer than this one began; INT64_MAX: there is no newer one. */
	enum mf_status (*epoch_end)(void *user, int64_t epoch, int64_t *out_lsn, struct mf_error *error);
	/* MF_ERR_NOT_FOUND: none was saved under this name. MF_ERR_CORRUPTED: it cannot be believed. */
	enum mf_status (*load_checkpoint)(void *user, const char *name, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error);
	enum mf_status (*save_checkpoint)(void *user, const char *name, int64_t epoch, int64_t lsn, struct mf_error *error);
	/* One listener, borrowed; NULL takes it away, and returns when no call to it is under way. */
	void (*listen)(void *user, const struct mf_event_listener *listener);
};

#ifdef __cplusplus
}
#endif
