#include "host/listing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/options.h"
#include "host/progress.h"
#include "host/table.h"

static bool wants_table(const struct mf_args *args, int fd)
{
	if (args->given & (MF_ARG_JSON | MF_ARG_TABLE))
		return args->given & MF_ARG_TABLE;
	return mf_table_is_available() && isatty(fd);
}

static void no_memory(struct mf_listing *listing)
{
	if (!listing->out->error)
		listing->out->error = ENOMEM;
}

void mf_listing_init(struct mf_listing *listing, const struct mf_args *args, struct mf_output *out, const struct mf_column *columns)
{
	*listing = (struct mf_listing){.out = out, .columns = columns};
	if (!wants_table(args, out->fd))
		return;
	out->veiled = false; /* what a table says is visible, and its colours are meant */
	listing->table = mf_table_new(columns, out->fd);
	if (!listing->table)
		no_memory(listing);
}

bool mf_listing_is_table(const struct mf_listing *listing)
{
	return listing->table;
}

static void write_member(struct mf_output *out, const struct mf_column *column, const struct mf_cell *cell)
{
	switch (column->kind) {
	case MF_COLUMN_TEXT:
	case MF_COLUMN_WORD:
	case MF_COLUMN_PROSE: mf_output_text(out, column->name, cell->text); break;
	case MF_COLUMN_INT:
	case MF_COLUMN_BYTES:
	case MF_COLUMN_TIME: mf_output_int(out, column->name, cell->number); break;
	case MF_COLUMN_BOOL: mf_output_bool(out, column->name, cell->number); break;
	case MF_COLUMN_DECIMAL: mf_output_json(out, column->name, cell->text, strlen(cell->text)); break;
	case MF_COLUMN_JSON: mf_output_json(out, column->name, cell->text, cell->len); break;
	}
}

static void write_object(struct mf_listing *listing, const struct mf_cell *cells)
{
	mf_output_open(listing->out);
	for (const struct mf_column *column = listing->columns; column->name || column->header; column++, cells++) {
		if (column->name && column->kind == MF_COLUMN_TIME)
			mf_output_time(listing->out, column->time, cells->number);
		if (column->name)
			write_member(listing->out, column, cells);
	}
	mf_output_close(listing->out);
}

void mf_listing_row(struct mf_listing *listing, const struct mf_cell *cells)
{
	listing->has_rows = true;
	if (listing->out->error)
		return;
	if (!listing->table) {
		write_object(listing, cells);
		return;
	}
	if (!mf_table_add(listing->table, cells))
		no_memory(listing);
	else if (mf_table_rows(listing->table) == MF_TABLE_ROWS)
		mf_listing_flush(listing);
}

static void print_page(struct mf_listing *listing)
{
	mf_progress_hide();
	if (listing->table && !listing->out->error && !mf_table_print(listing->table, listing->out))
		no_memory(listing);
}

void mf_listing_flush(struct mf_listing *listing)
{
	if (listing->table && mf_table_rows(listing->table) > 0)
		print_page(listing);
	mf_output_flush(listing->out);
}

void mf_listing_end(struct mf_listing *listing)
{
	if (listing->table && (!listing->has_rows || mf_table_rows(listing->table) > 0))
		print_page(listing);
	mf_table_free(listing->table);
	listing->table = NULL;
}

void mf_listing_end_quietly(struct mf_listing *listing)
{
	if (listing->has_rows) {
		mf_listing_end(listing);
		return;
	}
	mf_table_free(listing->table);
	listing->table = NULL;
}
