/* ladder_kit.h - a document with snapshots one above the other, over a fake store. */
#pragma once

#include "fake_store.h"
#include "persist/recovery.h"
#include "persist/snapshotter.h"
#include "small_steps.h"

#define DOC "doc"
#define NODES 40

/* A document of NODES events, then a snapshot every tenth. */
struct ladder {
	struct fake_store *fake;
	struct mf_persist_options options;
	struct mf_snapshotter *snapshotter;
	struct mf_state *state;
};

void set_up(struct ladder *ladder, uint32_t keep);
void write_ladder(struct ladder *ladder, int snapshots); /* and three events above the last */
void tear_down(struct ladder *ladder);
void restart(struct ladder *ladder); /* what is known of earlier snapshots is forgotten */
void ladder_commit(struct ladder *ladder, struct mf_transaction *transaction);
void commit_undo(struct ladder *ladder);
void write_events(struct ladder *ladder, int count, bool insert); /* insert: its inverse is test_remove; set: test_set */
void take_snapshot(struct ladder *ladder);
void spoil(struct ladder *ladder, int at, int64_t lsn);

void assert_snapshots(struct ladder *ladder, const char *expected); /* "70<60 60 ": the first builds on the second */
void compacts_to(struct ladder *ladder, int64_t lsn);
enum mf_status recover_with(struct ladder *ladder, const struct mf_step_registry *registry, uint64_t limit, struct mf_state **out, struct mf_recovery_report *out_report,
			    struct mf_error *error);
struct mf_recovery_report recovers_from(struct ladder *ladder, int64_t snapshot_lsn); /* the newest state, from the snapshot at this LSN */
enum mf_status fails(struct ladder *ladder, const struct mf_step_registry *registry, uint64_t limit, struct mf_error *error); /* gives no state */
