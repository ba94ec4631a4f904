/* The scenes: one for each thing that a store does, small enough that every call of it can be struck. */
#include <stdio.h>
#include <unistd.h>

#include "fault_scene.h"

static void some(struct scene *scene)
{
	if (!scene_open(scene))
		return;
	for (int i = 0; i < 4; i++)
		(void)scene_commit(scene, "d", i == 2 ? 3 : 1);
	(void)scene_commit(scene, "e", 1);
}

static void some_closed(struct scene *scene)
{
	some(scene);
	(void)scene_close(scene);
}

static void some_snapshots(struct scene *scene)
{
	some(scene);
	(void)scene_snapshot(scene, "d");
	(void)scene_commit(scene, "d", 2);
	(void)scene_snapshot(scene, "d");
	(void)scene_commit(scene, "d", 1);
}

static void with_snapshots(struct scene *scene)
{
	some_snapshots(scene);
	(void)scene_close(scene);
}

/* Snapshots, keys of events that are gone, the checkpoint of a follower. */
static void some_of_all(struct scene *scene)
{
	some_snapshots(scene);
	(void)scene_compact(scene, "d");
	(void)scene_follow(scene);
	(void)scene_commit(scene, "e", 3);
	(void)scene_unfollow(scene);
}

static void all_closed(struct scene *scene)
{
	some_of_all(scene);
	(void)scene_close(scene);
}

/* It has said how far, and falls while it writes what moves the first events. */
static void dead_in_compaction(struct scene *scene)
{
	some_snapshots(scene);
	(void)scene_follow(scene);
	(void)scene_commit(scene, "e", 3);
	(void)scene_unfollow(scene);
	scene_die_at(scene, "write:log:2:kill-torn:once");
	(void)scene_compact(scene, "d");
}

static void with_backup(struct scene *scene)
{
	char made[256], wanted[256];
	with_snapshots(scene);
	if (!scene_open(scene) || !scene_back_up(scene))
		return;
	snprintf(made, sizeof(made), "%s/backups/%llu.backup", scene->root, (unsigned long long)scene->batches);
	snprintf(wanted, sizeof(wanted), "%s/prepared.backup", scene->root);
	(void)link(made, wanted);
	(void)scene_close(scene);
}

/* Killed while the first page of a new store is written, which a rollback journal stands for. */
static void dead_with_journal(struct scene *scene)
{
	scene_expect(scene);
	scene_die_at(scene, "write:db:1:kill-torn:once");
	(void)scene_open(scene);
}

/* Killed when only the log has the tables of a new store, which is not synced. */
static void dead_with_tables(struct scene *scene)
{
	scene_expect(scene);
	scene_die_at(scene, "write:log:2:kill-after:once");
	(void)scene_open(scene);
}

static void look_for_journal(struct scene *scene)
{
	scene_look_for_file(scene, "store.db-journal", 512);
	scene_look_for_file(scene, "watermark", -1);
}

static void look_for_tables(struct scene *scene)
{
	scene_look_for_file(scene, "store.db-wal", 8192);
	scene_look_for_file(scene, "watermark", -1);
}

static void create(struct scene *scene)
{
	scene_arm(scene);
	(void)scene_open(scene);
	(void)scene_commit(scene, "d", 1);
}

static void append(struct scene *scene)
{
	(void)scene_open(scene);
	(void)scene_commit(scene, "d", 1);
	scene_arm(scene);
	(void)scene_commit(scene, "d", 1);
	(void)scene_commit(scene, "d", 4);
	(void)scene_undo(scene, "d");
	(void)scene_commit(scene, "e", 1);
	(void)scene_wait_synced(scene);
}

/* So few pages that the log is copied, and begun anew, while it goes on. */
static void checkpoint(struct scene *scene)
{
	(void)scene_open(scene);
	(void)scene_commit(scene, "d", 1);
	scene_arm(scene);
	for (int i = 0; i < 6; i++) {
		(void)scene_commit(scene, "d", 4);
		(void)scene_maintain(scene);
	}
}

static void snapshots(struct scene *scene)
{
	(void)scene_open(scene);
	scene_arm(scene);
	(void)scene_snapshot(scene, "d");
	(void)scene_commit(scene, "d", 1);
	(void)scene_snapshot(scene, "d");
}

static void compaction(struct scene *scene)
{
	(void)scene_open(scene);
	scene_arm(scene);
	(void)scene_compact(scene, "d");
	(void)scene_commit(scene, "d", 1);
	(void)scene_vacuum(scene);
}

static void backup(struct scene *scene)
{
	(void)scene_open(scene);
	scene_arm(scene);
	(void)scene_back_up(scene);
	(void)scene_restore(scene);
}

static void follower(struct scene *scene)
{
	(void)scene_open(scene);
	scene_arm(scene);
	(void)scene_follow(scene);
	for (int i = 0; i < 3; i++)
		(void)scene_commit(scene, "d", 1);
	(void)scene_unfollow(scene);
}

/* The store was left as a kill leaves it: all is in the log. */
static void recovery(struct scene *scene)
{
	scene_arm(scene);
	(void)scene_open(scene);
	(void)scene_read(scene);
	(void)scene_commit(scene, "d", 1);
}

/* It was closed well, and is so again. */
static void opening(struct scene *scene)
{
	scene_arm(scene);
	(void)scene_open(scene);
	(void)scene_read(scene);
	(void)scene_commit(scene, "d", 1);
	(void)scene_close(scene);
}

static void reading(struct scene *scene)
{
	scene_arm(scene);
	(void)scene_open_reader(scene);
	(void)scene_read(scene);
	(void)scene_verify(scene);
	(void)scene_close(scene);
}

static void closing(struct scene *scene)
{
	(void)scene_open(scene);
	(void)scene_commit(scene, "d", 2);
	scene_arm(scene);
	(void)scene_close(scene);
}

static void some_drawn(struct scene *scene)
{
	(void)scene_workload(scene, 10);
}

static void drawn(struct scene *scene)
{
	scene_arm(scene);
	(void)scene_workload(scene, 12);
}

const struct scene_kind scene_kinds[] = {
	{"create", "sync", NULL, scene_expect, create, SCENE_STEADY, NULL},
	{"create-journal", "sync", NULL, dead_with_journal, create, SCENE_STEADY, look_for_journal},
	{"create-tables", "sync", NULL, dead_with_tables, create, SCENE_STEADY, look_for_tables},
	{"append-sync", "sync", NULL, some_closed, append, SCENE_STEADY, NULL},
	{"append-async", "async:2", NULL, some_closed, append, SCENE_BESIDE, NULL},
	{"checkpoint", "async:1", ", \"checkpoint_pages\": 12", some_closed, checkpoint, SCENE_BESIDE, NULL},
	{"snapshot", "sync", NULL, some_closed, snapshots, SCENE_STEADY, NULL},
	{"compaction", "sync", NULL, with_snapshots, compaction, SCENE_STEADY, NULL},
	{"backup", "sync", NULL, with_backup, backup, SCENE_STEADY, NULL},
	{"follower", "sync", NULL, some_closed, follower, SCENE_BESIDE, NULL},
	{"recovery", "sync", NULL, some, recovery, SCENE_STEADY, NULL},
	{"recovery-compaction", "sync", NULL, dead_in_compaction, recovery, SCENE_STEADY, scene_look_for_compaction},
	{"open", "sync", NULL, all_closed, opening, SCENE_STEADY, NULL},
	{"reading", "sync", NULL, all_closed, reading, SCENE_STEADY, NULL},
	{"reading-killed", "sync", NULL, some_of_all, reading, SCENE_STEADY, NULL},
	{"close", "async:60000", NULL, some_closed, closing, SCENE_BESIDE, NULL},
	{"drawn-sync", "sync", NULL, some_drawn, drawn, SCENE_BESIDE, NULL},
	{"drawn-async", "async:1", ", \"checkpoint_pages\": 60", some_drawn, drawn, SCENE_BESIDE, NULL},
};
const size_t scene_fixed_count = sizeof(scene_kinds) / sizeof(scene_kinds[0]) - 2;
const size_t scene_kind_count = sizeof(scene_kinds) / sizeof(scene_kinds[0]);
