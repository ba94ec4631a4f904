/* memory_store.h - the inside of the store without a disk, shared by memory_store.c, memory_snapshots.c and memory_followers.c.
 *
 * Invariants
 * 1. log[lsn - 1] is the event with that LSN, or NULL once compacted; a document's events are a subset, in order.
 * 2. A document in the map without any event ever (last_lsn 0) is invisible: what a failed append may leave.
 *
 * Thread: everything but the locks' own functions wants the lock held. */
#pragma once

#include <moduforge/store.h>

#include <pthread.h>

#include "persist/env.h"
#include "persist/strmap.h"

struct mf_memory_event {
	struct mf_event event;
	char bytes[];
};

struct mf_memory_key {
	struct mf_key_info info;
	char key[];
};

struct mf_memory_snapshot {
	struct mf_snapshot snapshot; /* doc_id is the document's, state_blob is bytes */
	unsigned char bytes[];
};

struct mf_memory_doc {
	int64_t last_lsn, compacted_upto;
	struct mf_memory_event **events;
	size_t count, capacity, coming; /* coming: of the batch under way */
	struct mf_memory_snapshot **snapshots; /* by upto_lsn */
	size_t snapshot_count;
	int64_t taking_upto; /* the snapshot whose chunks are arriving */
	uint32_t next_chunk;
	unsigned char *taking;
	size_t taking_len;
	char doc_id[];
};

struct mf_memory_checkpoint {
	int64_t epoch, lsn;
	char name[];
};

struct mf_memory {
	struct mf_store base;
	const struct mf_env *env;
	unsigned generation; /* of forks: a child must keep its hands off */
	pthread_mutex_t lock;
	struct mf_memory_event **log;
	size_t last, capacity; /* last: newest LSN */
	size_t compacted;
	int64_t bytes;
	struct mf_strmap documents, keys, followers;
	uint64_t seed;
};

static inline struct mf_memory *mf_memory_of(struct mf_store *store)
{
	return (struct mf_memory *)store;
}

enum mf_status mf_memory_no_memory(struct mf_error *error);
enum mf_status mf_memory_enter(struct mf_memory *store, struct mf_error *error);         /* takes the lock */
enum mf_status mf_memory_leave(struct mf_memory *store, enum mf_status status);          /* gives it back; every call ends here */
struct mf_memory_doc *mf_memory_doc_for(struct mf_memory *store, const char *doc_id);    /* made if it is not there; NULL: no memory */
bool mf_memory_grow(void *array_pointer, size_t *capacity, size_t need);                 /* an array of pointers */
size_t mf_memory_first_after(struct mf_memory_event *const *events, size_t count, int64_t lsn); /* the index of the first event above lsn */
/* Those with events, by doc_id; the caller frees the array. */
enum mf_status mf_memory_list_documents(struct mf_memory *store, struct mf_document_info **out, size_t *out_count);

/* ---- memory_snapshots.c ---- */
size_t mf_memory_snapshot_place(const struct mf_memory_doc *document, int64_t upto_lsn); /* of the first with at least upto_lsn */
void mf_memory_drop_taking(struct mf_memory_doc *document);
enum mf_status mf_memory_compact(struct mf_store *store, const char *doc_id, int64_t upto_lsn, struct mf_error *error);
enum mf_status mf_memory_prune(struct mf_store *store, const char *doc_id, uint32_t keep, struct mf_error *error);
enum mf_status mf_memory_chunk(struct mf_store *store, const char *doc_id, int64_t upto_lsn, uint32_t index, const void *bytes, size_t len, struct mf_error *error);
enum mf_status mf_memory_finish(struct mf_store *store, const struct mf_snapshot *snapshot, struct mf_error *error);
enum mf_status mf_memory_latest(struct mf_store *store, const char *doc_id, int64_t at_most, struct mf_snapshot *out, struct mf_error *error);
enum mf_status mf_memory_snapshots(struct mf_store *store, const char *doc_id, mf_snapshot_visit *visit, void *user, struct mf_error *error);

/* ---- memory_followers.c ---- */
enum mf_status mf_memory_load_checkpoint(struct mf_store *store, const char *name, struct mf_checkpoint *out, struct mf_error *error);
enum mf_status mf_memory_save_checkpoint(struct mf_store *store, const struct mf_checkpoint *checkpoint, struct mf_error *error);
enum mf_status mf_memory_checkpoints(struct mf_store *store, mf_checkpoint_visit *visit, void *user, struct mf_error *error);
enum mf_status mf_memory_epoch_end(struct mf_store *store, int64_t epoch, int64_t *out_lsn, struct mf_error *error);
