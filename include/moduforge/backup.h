/* moduforge/backup.h - a store as one file, taken while it is written to, and made a store again.
 *
 *   mf_store_backup(mf_runtime_store(runtime), "monday.backup", NULL, NULL, &info, &error);
 *   ...
 *   struct mf_restore_options options = { .file = "monday.backup", .dir = "data-of-monday" };
 *   mf_store_restore(&options, &info, &error);
 *
 * 1. A backup is the store at one moment: every event up to one LSN with its key, every snapshot, nothing above it.
 *    Commits go on meanwhile, in this process and in others.
 * 2. A file has its final name only when it is complete and on the device. A backup that failed, or was killed,
 *    leaves at most FILE.*.partial and its journal, a restore DIR.*.partial; they may be deleted.
 * 3. The file ends with its own digest: one that was cut off or changed in any bit is refused, never half restored.
 * 4. A restored store is one of its own: what is committed to it has an epoch that the old one never had.
 *
 * The file is a database that the sqlite3 program can read (docs/backup.md); never write to it.
 *
 * Thread: any. Both functions may take long: they read and write every byte of the store. */
#pragma once

#include <moduforge/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* path: of a file that does not exist yet (MF_ERR_INVALID), on any file system. progress and out_info may be NULL.
 * MF_ERR_STORAGE_FULL, MF_ERR_IO: nothing is left of the backup, and the store is as it was. MF_ERR_STATE: progress stopped it.
 * MF_ERR_CORRUPTED: the store is damaged so that it cannot be copied; else it is copied with its damage, also one that was opened with
 * accept_damage. MF_ERR_INVALID: this kind of store has no backup (one in memory). */
MF_API MF_MUST_CHECK enum mf_status mf_store_backup(struct mf_store *store, const char *path, mf_backup_progress *progress, void *user,
						    struct mf_backup_info *out_info, struct mf_error *error);
/* What a backup's last bytes say of it; the rest is not read. MF_ERR_CORRUPTED: cut off, or not a backup. */
MF_API MF_MUST_CHECK enum mf_status mf_backup_look(const char *path, struct mf_backup_info *out, struct mf_error *error);

struct mf_restore_options {
	const char *file;
	const char *dir;      /* of the new store: does not exist yet, or is empty. Its parent exists. */
	int64_t at_lsn;       /* 0 = all; else what is above this LSN is left out, damaged or not: events, their keys (free again), snapshots; indexes are made anew */
	mf_backup_progress *progress; /* may be NULL */
	void *user;
	const struct mf_env *env; /* NULL */
};
/* Everything is verified (mf_store_verify) before the directory gets its name. *out_info is of the restored store; may be NULL.
 * MF_ERR_NOT_FOUND: no such file; at_lsn is above what it holds, or so old that compaction has taken what it needs (error->lsn: the
 * first that is possible). MF_ERR_CORRUPTED: the file is damaged, or the store was, at or below at_lsn; what is
 * wrong with followers alone is left for verify of the new store to tell. MF_ERR_INVALID: dir is not empty. MF_ERR_STORAGE_FULL, MF_ERR_IO,
 * MF_ERR_STATE: in a child of fork, as mf_store_open_sqlite. Whatever it is, dir is as it was. */
MF_API MF_MUST_CHECK enum mf_status mf_store_restore(const struct mf_restore_options *options, struct mf_backup_info *out_info, struct mf_error *error);

#ifdef __cplusplus
}
#endif
