/* fake_store.h - a store for tests: a memory store behind a gate that counts, refuses, blocks, and may say it is durable.
 *
 * All fields may be set and read at any time through the functions below. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <moduforge/persist.h>
#include <moduforge/ticket.h>

#include "persist/env.h"
#include "tests/memory_fails.h"

struct fake_store {
	struct mf_store base;
	struct mf_store_ops ops; /* its own, so that a test may change one */
	struct mf_store *inner;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int appends, syncs, maintains, finds, snapshots_read; /* calls so far */
	size_t largest_batch;
	pthread_t appender; /* of the last append */
	bool hold_appends, hold_syncs, hold_snapshots;
	int in_append, in_sync, in_snapshot; /* waiting there now */
	enum mf_status append_error, sync_error, snapshot_error; /* returned instead of working, while set */
	int append_errors_left;                                  /* so many times; negative: always */
	const char *poisoned_key;                                /* a batch with it is refused with poison_error */
	enum mf_status poison_error;
	int64_t last_lsn, synced_lsn;
	/* Damage as a reader sees it. */
	int64_t hidden_lsn;             /* load_since omits this event */
	int64_t spoiled_lsn;            /* ... spoils the payload of this one */
	int64_t spoiled_snapshots[12];  /* latest_snapshot spoils these */
	int64_t refused_snapshot;       /* ... finds this one damaged itself */
	int64_t hidden_snapshot;        /* ... gives the one below instead of this */
	enum mf_status read_error;      /* every read fails, while set */
	size_t largest_page;
};

struct fake_store *fake_store_new(bool durable); /* asserts */
void fake_store_free(struct fake_store *fake);   /* when nobody closed it */

enum mf_status wait_for(struct mf_ticket *ticket, enum mf_level level, int64_t *out_lsn); /* for ever; lets go of the ticket */

/* Set a field, wake who is held. */
#define FAKE_SET(fake, assignment) \
	do { \
		pthread_mutex_lock(&(fake)->mutex); \
		(fake)->assignment; \
		pthread_cond_broadcast(&(fake)->changed); \
		pthread_mutex_unlock(&(fake)->mutex); \
	} while (0)
/* Read a field. */
#define FAKE_GET(fake, field) \
	__extension__({ \
		pthread_mutex_lock(&(fake)->mutex); \
		__typeof__((fake)->field) fake_value = (fake)->field; \
		pthread_mutex_unlock(&(fake)->mutex); \
		fake_value; \
	})
/* Wait until a condition on fields holds. */
#define FAKE_WAIT(fake, condition) \
	do { \
		pthread_mutex_lock(&(fake)->mutex); \
		while (!(condition)) \
			pthread_cond_wait(&(fake)->changed, &(fake)->mutex); \
		pthread_mutex_unlock(&(fake)->mutex); \
	} while (0)

/* A clock that goes when it is told to. */
struct fake_env {
	struct mf_env env;
	atomic_int_least64_t now_us, wall_us;
};
void fake_env_init(struct fake_env *fake);
