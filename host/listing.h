/* listing.h - what a command lists: its columns are named once, its rows come out as JSON lines or as a table for people.
 *
 *   static const struct mf_column columns[] = {
 *           {"doc", "DOCUMENT", MF_COLUMN_TEXT, NULL},
 *           {"bytes", "SIZE", MF_COLUMN_BYTES, NULL},
 *           {"created_at", "CREATED", MF_COLUMN_TIME, "time"},
 *           {0}};
 *   mf_listing_init(&listing, args, &out, columns);        out: as for JSON lines, mf_output_init'ed
 *   mf_listing_row(&listing, (const struct mf_cell[]){{.text = doc}, {.number = bytes}, {.number = us}});
 *   mf_listing_end(&listing);                              then flush out, as always
 *
 * The command takes MF_ARGS_LISTING: --json and --table; without them a table where standard output is a terminal, else
 * JSON lines. Programs read the JSON: members are added, never renamed or moved. A table may change its face at any time.
 *
 * Invariants
 * 1. What reaches a terminal has no control characters and nothing that reorders text (visible.h), whatever is stored.
 * 2. A table is written a page of rows at a time: its memory is bounded. The columns of a later page are at least as wide.
 * 3. A table fits the terminal: prose is broken at spaces, other text is cut, with a mark; numbers, times and words of our own never. Elsewhere nothing is cut.
 * 4. Colour only on a terminal that has it, without NO_COLOR, and only where it says something: a cell's tone.
 *
 * Failures (of memory, too) are out->error. Thread: one. */
#pragma once

#include "host/args.h"
#include "host/output.h"

#define MF_COLUMNS_MAX 16

enum mf_column_kind {
	MF_COLUMN_TEXT,    /* text; NULL is null, and an empty cell */
	MF_COLUMN_WORD,    /* text of our own, that is short and never cut */
	MF_COLUMN_PROSE,   /* text in words; the last column */
	MF_COLUMN_INT,     /* number */
	MF_COLUMN_BYTES,   /* number; a table says KiB, MiB */
	MF_COLUMN_TIME,    /* number: microseconds since 1970; as JSON two members: RFC 3339 by the name of column.time, and the number */
	MF_COLUMN_BOOL,    /* number */
	MF_COLUMN_DECIMAL, /* text: a JSON number */
	MF_COLUMN_JSON,    /* text: JSON, len bytes of it; a table has cell.shown, broken at spaces */
};

struct mf_column {
	const char *name;   /* of the JSON member; NULL: only in the table */
	const char *header; /* of the table's column; NULL: only in the JSON */
	enum mf_column_kind kind;
	const char *time;
};

enum mf_tone { MF_TONE_PLAIN, MF_TONE_GOOD, MF_TONE_WARNING, MF_TONE_BAD };

struct mf_cell {
	const char *text;
	size_t len;
	int64_t number;
	const char *shown; /* in the table, instead of the value; not for numbers */
	enum mf_tone tone;
};

struct mf_listing {
	struct mf_output *out;
	const struct mf_column *columns;
	struct mf_table *table; /* NULL: JSON lines */
	bool has_rows;
};

void mf_listing_init(struct mf_listing *listing, const struct mf_args *args, struct mf_output *out, const struct mf_column *columns);
bool mf_listing_is_table(const struct mf_listing *listing);
/* cells: one a column, in their order; borrowed during the call. */
void mf_listing_row(struct mf_listing *listing, const struct mf_cell *cells);
/* Writes out what has been gathered, so that a stream that is idle holds nothing back. */
void mf_listing_flush(struct mf_listing *listing);
/* The last page, with the header even if there was no row; frees. */
void mf_listing_end(struct mf_listing *listing);
/* The same, but a table without rows is no table. */
void mf_listing_end_quietly(struct mf_listing *listing);
