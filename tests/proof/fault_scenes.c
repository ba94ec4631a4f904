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

static void with_snapshots(struct scene *scene)
{
	some(scene);
	(void)scene_snapshot(scene, "d");
	(void)scene_commit(scene, "d", 2);
	(void)scene_snapshot(scene, "d");
	(void)scene_commit(scene, "d", 1);
	(void)scene_close(scene);
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
	{"create", "sync", NULL, scene_expect, create},
	{"append-sync", "sync", NULL, some_closed, append},
	{"append-async", "async:2", NULL, some_closed, append},
	{"checkpoint", "async:1", ", \"checkpoint_pages\": 12", some_closed, checkpoint},
	{"snapshot", "sync", NULL, some_closed, snapshots},
	{"compaction", "sync", NULL, with_snapshots, compaction},
	{"backup", "sync", NULL, with_backup, backup},
	{"follower", "sync", NULL, some_closed, follower},
	{"recovery", "sync", NULL, some, recovery},
	{"close", "async:60000", NULL, some_closed, closing},
	{"drawn-sync", "sync", NULL, some_drawn, drawn},
	{"drawn-async", "async:1", ", \"checkpoint_pages\": 60", some_drawn, drawn},
};
const size_t scene_fixed_count = sizeof(scene_kinds) / sizeof(scene_kinds[0]) - 2;
const size_t scene_kind_count = sizeof(scene_kinds) / sizeof(scene_kinds[0]);
