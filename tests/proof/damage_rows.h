/* damage_rows.h - whose row it is that a byte of a database belongs to: events, snapshots and their chunks, by LSN and document.
 *
 * A second reading of SQLite's file format (its published one), so that what the library says of a damage can be held against
 * what was hit. Known are the bytes of values only, on the row's page and on its overflow pages. What SQLite itself needs to
 * find a row (page headers, pointers, lengths, row ids, the types of values, the links of overflow pages) is no value: where
 * that is hit, SQLite may not know which row it is, nor may we.
 *
 * Invariant: of a sound file every row of these tables is known. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct damage_row {
	const char *table;
	char doc[48];
	int64_t lsn; /* of a snapshot or chunk: up to which it goes */
	int64_t name_at[2], name_len[2]; /* the file's bytes that say document and LSN: who loses these is not known by them; len 0: not a value */
};

struct damage_rows;
/* Of the pages (from 0) of one table, which is appended to rows (NULL: a new one). NULL: no memory, or the file is not as it must be. */
struct damage_rows *damage_rows_add(struct damage_rows *rows, const char *path, const char *table, const int *pages, int count);
/* The row that has all these bytes as values; NULL: none has. named: they touch neither document nor LSN. */
const struct damage_row *damage_rows_at(const struct damage_rows *rows, int64_t at, int64_t len, bool *named);
/* A byte of a value of a row that a seed picks, an event or not as likely; of a long one within its first bytes as often as anywhere. */
int64_t damage_rows_pick(const struct damage_rows *rows, uint64_t *seed, const struct damage_row **out);
int damage_rows_count(const struct damage_rows *rows, const char *table);
