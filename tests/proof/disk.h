/* disk.h - a device and a file system that promise as little as POSIX does, and what they may hold after a power loss.
 *
 * The model is stricter than any file system that we know: it has no journal, and nothing is durable but what a completed sync
 * covered. So a state that it makes may never be seen on ext4; a store that survives all of them needs no promise of ext4's.
 * The same idea is in SQLite's crash tests (https://www.sqlite.org/testing.html#crash_testing) and in ALICE (Pillai and
 * others, "All File Systems Are Not Created Equal", OSDI 2014), whose weakest model this is, at the granularity of sectors.
 *
 * What is legal after the power went, and why
 * 1. A file's data is durable once fsync or fdatasync of that file has returned after the write did: POSIX's "synchronized
 *    I/O data integrity completion", which includes the size that is needed to read it. Until then:
 *    a. Each 512-byte sector is as it was after some number of the writes that touched it since its last sync: none, all, or
 *       any in between. Sectors are independent of each other, so a write may be dropped, kept, or torn; writes may arrive in any
 *       order; but within a sector a later write never arrives without the earlier one, since the sector is one place in the
 *       page cache.
 *    b. A sector that was written and not synced may also hold garbage: in the bytes that were written. Bytes beside them in
 *       the same sector stay (SQLite's "powersafe overwrite", which its log relies on, and so do we).
 *    c. A truncation is kept or not, independently of the writes round it.
 *    d. The size is kept or not, independently of the data: a file may have grown without its data (zeros or garbage there), and
 *       what lies beyond a kept write that was lost is zeros.
 *    e. Files are independent of each other.
 * 2. Names (create, mkdir, rename, unlink) are durable once fsync of their directory has returned; fsync of the file does not
 *    make its name durable. Until then any of them may have happened, but for one that concerns the same name or the same
 *    file as an earlier one that did not. A rename is atomic: never both names gone.
 * 3. A name without its file's data is an empty file, not a damaged one.
 * 4. What was in a mapped file is not known: it is missing data, garbage, or gone.
 * 5. sync_file_range and close promise nothing. What was read does not count as written.
 *
 * What is not in the model: a device that loses what it acknowledged (tests plant that by recorder_lie), damage of sectors that
 * were not being written, hard links, renames between directories. */
#pragma once

#include "oplog.h"

struct disk {
	const struct oplog *log;
	size_t at; /* so many ops have happened */
	struct disk_file *files; /* by number */
	size_t file_count;
	struct disk_name *names; /* durable ones */
	size_t name_count;
	uint32_t *pending_names; /* ops, in order */
	size_t pending_name_count;
};

/* Everything is as the log's base says, and durable. The log must outlive it. */
void disk_init(struct disk *disk, const struct oplog *log);
void disk_deinit(struct disk *disk);
void disk_advance(struct disk *disk, size_t to); /* the ops before `to` have happened; never backwards */

/* Which of the legal states: the first few of each cut are the extremes, the others are drawn. */
enum disk_extreme {
	DISK_DROP_ALL,        /* only what was synced */
	DISK_KEEP_ALL,        /* as if the process had been killed */
	DISK_KEEP_NAMES,      /* all names, no data */
	DISK_KEEP_DATA,       /* all data, no name that was not synced */
	DISK_EXTREMES
};
struct disk_choice {
	uint64_t seed;
	uint32_t number; /* below DISK_EXTREMES: that; else drawn from seed and number */
};
/* Writes the state into the directory, which exists and is empty. story: what was lost, in words, for a person; may be NULL.
 * out_image: a hash of names and contents, in no order, so that two choices that leave the same are known for that; without files that were
 * mapped, whose content is garbage in any case. May be NULL. false: it could not be written. */
bool disk_lose_power(const struct disk *disk, const struct disk_choice *choice, const char *dir, char *story, size_t story_size, uint64_t *out_image);
