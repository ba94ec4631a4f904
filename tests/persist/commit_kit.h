/* commit_kit.h - requests for a commit queue over a fake store, and what it has told of them. One queue at a time. */
#pragma once

#include "fake_store.h"
#include "persist/commit_queue_parts.h"

#define TOLD_MAX 16384

/* What done has told, in order. */
struct told {
	pthread_mutex_t mutex;
	size_t count;
	int64_t lsns[TOLD_MAX];
	enum mf_status statuses[TOLD_MAX];
	uint64_t generation_at_first_failure;
	int alive; /* at the last one */
	struct mf_commit_queue *queue;
	bool try_forbidden; /* call the queue from inside done */
	struct mf_ticket *other; /* ... and wait for this */
	enum mf_status forbidden[4];
};

extern struct told told;
extern atomic_int alive; /* requests that were made and not freed */

struct request {
	struct mf_commit_request base;
	struct mf_event event;
	char key[32];
	char doc_id[16];
};

struct mf_commit_queue *new_queue(struct fake_store *fake, uint32_t window_ms, const struct mf_env *env);
struct mf_commit_queue *new_queue_with(struct mf_commit_queue_options *options); /* the same, with all that it may say */
void close_all(struct mf_commit_queue *queue, struct fake_store *fake);
struct request *new_request(struct mf_commit_queue *queue, const char *doc_id, const char *key, bool sync, struct mf_ticket **out_ticket);
struct mf_ticket *submit(struct mf_commit_queue *queue, const char *key, bool sync);
struct mf_ticket *submit_large(struct mf_commit_queue *queue, const char *key, size_t bytes); /* as it says of itself */
enum mf_status submit_status(struct mf_commit_queue *queue, const char *key, uint64_t generation, struct mf_error *error);
