/* file_edits.h - a file of memfs.h changed as a script says, by units: pages, frames of the log.
 *
 * And the checksums of SQLite's log, of our watermark and of a backup made to fit what they cover. */
#pragma once

#include "tests/fuzz/script.h"

struct file_shape {
	size_t header, unit;
	bool pages;       /* its units are pages of a database, from offset skip in each: fields and cells are aimed at */
	size_t skip;
};
extern const struct file_shape fuzz_database_shape, fuzz_log_shape, fuzz_plain_shape;

/* One change. Returns how many bytes of it are other ones, in one stretch; SIZE_MAX: more, or in several, or the length. */
size_t fuzz_edit_file(const char *path, const struct file_shape *shape, struct script *script);

void fuzz_repair_log(const char *path, bool salts); /* salts: those of the frames too */
void fuzz_repair_watermark(const char *path);
void fuzz_repair_backup(const char *path);
void fuzz_repair_counters(const char *path); /* of the file of metrics */
