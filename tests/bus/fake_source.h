/* fake_source.h - events in memory as a source for followers, which fails, lags and loses what a test wants. */
#pragma once

#include <moduforge/follow.h>

#include <pthread.h>
#include <stdatomic.h>

#define FAKE_EVENTS 20000

struct fake_source {
	struct mf_event_source source;
	struct mf_committer committer; /* for mf_bus_set_committer */
	pthread_mutex_t mutex;
	int64_t last, synced, epoch;
	int64_t epoch_of[FAKE_EVENTS + 1]; /* by LSN; 0: not there (compacted) */
	enum mf_action action_of[FAKE_EVENTS + 1];
	size_t payload_len; /* of every event */
	int64_t epoch_ends; /* of any epoch but the present one */
	int64_t undecodable_lsn;
	int64_t saved_epoch, saved_lsn, saves; /* the checkpoint; saved_lsn -1: none */
	char saved_name[32];
	enum mf_status read_error, save_error, load_error, epoch_error; /* while set */
	atomic_int reads, tries_to_save;
	void (*when_asked)(void); /* called when it is asked for its last event */
	const struct mf_event_listener *listener;
};

void fake_source_init(struct fake_source *fake); /* empty, epoch 1 */
void fake_source_deinit(struct fake_source *fake);
/* The next event, stored; and published on the bus, unless bus is NULL. */
int64_t fake_source_add(struct fake_source *fake, struct mf_bus *bus, enum mf_action action);
void fake_source_add_many(struct fake_source *fake, struct mf_bus *bus, int count);
void fake_source_sync(struct fake_source *fake, int64_t lsn); /* and tells the listener */
void fake_source_fail(struct fake_source *fake, enum mf_status *which, enum mf_status status);
int64_t fake_source_saved(struct fake_source *fake); /* the LSN of the checkpoint */
int64_t fake_source_saves(struct fake_source *fake); /* how often one was saved: the last may still be under way when all is handled */
