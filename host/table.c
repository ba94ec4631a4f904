#include "host/table.h"

#include <assert.h>
#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/table_text.h"

#define GAP "  "

/* Which columns give way first, down to which width: prose loses nothing when it does, and numbers, times and words of our own never do. */
#define KIND(kind) (1u << MF_COLUMN_##kind)
static const struct {
	unsigned kinds;
	size_t least;
} rounds[] = {
	{KIND(PROSE), 40},
	{KIND(TEXT) | KIND(JSON), 20},
	{KIND(PROSE), 24},
	{KIND(TEXT), 9},
	{KIND(JSON), 16},
	{KIND(TEXT), 5},
	{KIND(JSON) | KIND(PROSE), 5},
};

struct mf_table {
	struct libscols_table *page;
	struct libscols_line *rows[MF_TABLE_ROWS];
	size_t row_count;
	const struct mf_column *shown[MF_COLUMNS_MAX];
	struct libscols_column *made[MF_COLUMNS_MAX];
	size_t cell_at[MF_COLUMNS_MAX]; /* of a shown column */
	size_t widths[MF_COLUMNS_MAX];
	size_t count;
	int fd; /* of a terminal, or -1 */
};

bool mf_table_is_available(void)
{
	return true;
}

/* ---- making ---- */
static bool has_colours(void)
{
	const char *term = getenv("TERM"), *none = getenv("NO_COLOR");
	return (!none || !*none) && term && *term && strcmp(term, "dumb") != 0;
}

static bool is_number(const struct mf_column *column)
{
	return column->kind == MF_COLUMN_INT || column->kind == MF_COLUMN_BYTES || column->kind == MF_COLUMN_DECIMAL;
}

static bool is_broken(const struct mf_column *column)
{
	return column->kind == MF_COLUMN_PROSE || column->kind == MF_COLUMN_JSON;
}

static bool add_column(struct mf_table *table, const struct mf_column *column, size_t cell_at)
{
	assert(table->count < MF_COLUMNS_MAX);
	int flags = is_number(column) ? SCOLS_FL_RIGHT : is_broken(column) ? SCOLS_FL_WRAP : 0;
	struct libscols_column *made = scols_table_new_column(table->page, column->header, 0, flags);
	if (!made)
		return false;
	if (is_broken(column) &&
	    (scols_column_set_safechars(made, "\n") != 0 || scols_column_set_wrapfunc(made, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL) != 0))
		return false;
	table->shown[table->count] = column;
	table->made[table->count] = made;
	table->cell_at[table->count] = cell_at;
	table->widths[table->count++] = mf_table_width(column->header);
	return true;
}

static bool set_up(struct mf_table *table, const struct mf_column *columns)
{
	/* The width is our own business: where it is cut or broken here, nothing is left to be reduced. */
	if (scols_table_set_termforce(table->page, SCOLS_TERMFORCE_NEVER) != 0 || scols_table_set_column_separator(table->page, GAP) != 0 ||
	    scols_table_enable_colors(table->page, table->fd >= 0 && has_colours()) != 0)
		return false;
	for (size_t i = 0; columns[i].name || columns[i].header; i++)
		if (columns[i].header && !add_column(table, &columns[i], i))
			return false;
	return true;
}

struct mf_table *mf_table_new(const struct mf_column *columns, int fd)
{
	struct mf_table *table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	table->fd = isatty(fd) ? fd : -1;
	table->page = scols_new_table();
	if (table->page && set_up(table, columns))
		return table;
	mf_table_free(table);
	return NULL;
}

void mf_table_free(struct mf_table *table)
{
	if (table)
		scols_unref_table(table->page);
	free(table);
}

/* ---- rows ---- */
static bool set_cell(struct libscols_line *line, size_t at, const struct mf_column *column, const struct mf_cell *cell)
{
	static const char *const colours[] = {[MF_TONE_GOOD] = "green", [MF_TONE_WARNING] = "yellow", [MF_TONE_BAD] = "red"};
	struct mf_buffer text = {0};
	bool ok = mf_table_format(column, cell, &text) && scols_line_set_data(line, at, (const char *)text.bytes) == 0;
	mf_buffer_deinit(&text);
	if (ok && cell->tone != MF_TONE_PLAIN)
		ok = scols_cell_set_color(scols_line_get_cell(line, at), colours[cell->tone]) == 0;
	return ok;
}

bool mf_table_add(struct mf_table *table, const struct mf_cell *cells)
{
	struct libscols_line *line = scols_table_new_line(table->page, NULL);
	bool ok = line;
	for (size_t i = 0; ok && i < table->count; i++)
		ok = set_cell(line, i, table->shown[i], &cells[table->cell_at[i]]);
	if (ok)
		table->rows[table->row_count++] = line;
	return ok;
}

size_t mf_table_rows(const struct mf_table *table)
{
	return table->row_count;
}

/* ---- widths ---- */
static const char *cell_text(const struct mf_table *table, size_t row, size_t column)
{
	const char *text = scols_cell_get_data(scols_line_get_cell(table->rows[row], column));
	return text ? text : "";
}

static void measure(struct mf_table *table)
{
	for (size_t row = 0; row < table->row_count; row++) {
		for (size_t i = 0; i < table->count; i++) {
			size_t width = mf_table_width(cell_text(table, row, i));
			table->widths[i] = width > table->widths[i] ? width : table->widths[i];
		}
	}
}

static size_t terminal_width(int fd)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");
	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	long width = columns ? strtol(columns, NULL, 10) : 0;
	return width > 0 ? (size_t)width : 80;
}

/* The widest column of these kinds that may still be narrowed, or table->count. */
static size_t widest(const struct mf_table *table, unsigned kinds, size_t least)
{
	size_t found = table->count;
	for (size_t i = 0; i < table->count; i++) {
		const struct mf_column *column = table->shown[i];
		if (!(kinds & 1u << column->kind) || table->widths[i] <= least || table->widths[i] <= mf_table_width(column->header))
			continue;
		if (found == table->count || table->widths[i] > table->widths[found])
			found = i;
	}
	return found;
}

static void narrow(struct mf_table *table)
{
	size_t total = (table->count - 1) * strlen(GAP), limit = terminal_width(table->fd);
	for (size_t i = 0; i < table->count; i++)
		total += table->widths[i];
	for (size_t round = 0; total > limit && round < sizeof(rounds) / sizeof(*rounds);) {
		size_t column = widest(table, rounds[round].kinds, rounds[round].least);
		if (column == table->count) {
			round++;
			continue;
		}
		table->widths[column]--;
		total--;
	}
}

static bool fit_cell(struct mf_table *table, size_t row, size_t column)
{
	struct mf_buffer text = {0};
	const char *old = cell_text(table, row, column);
	size_t width = table->widths[column];
	if (mf_table_width(old) <= width)
		return true;
	bool ok = is_broken(table->shown[column]) ? mf_table_break(old, width, &text) : mf_table_cut(old, width, &text);
	ok = ok && scols_line_set_data(table->rows[row], column, (const char *)text.bytes) == 0;
	mf_buffer_deinit(&text);
	return ok;
}

/* ---- printing ---- */
static bool fit(struct mf_table *table)
{
	bool ok = true;
	measure(table);
	if (table->fd >= 0)
		narrow(table);
	for (size_t row = 0; table->fd >= 0 && row < table->row_count; row++)
		for (size_t i = 0; ok && i < table->count; i++)
			ok = fit_cell(table, row, i);
	for (size_t i = 0; ok && i < table->count; i++)
		ok = scols_column_set_whint(table->made[i], (double)table->widths[i]) == 0;
	return ok;
}

/* NULL: no memory. A table without rows would be nothing at all: the header is that of one with an empty row. */
static char *page_text(struct mf_table *table)
{
	char *text = NULL;
	if (table->row_count == 0 && !scols_table_new_line(table->page, NULL))
		return NULL;
	if (scols_print_table_to_string(table->page, &text) != 0 || !text) {
		free(text);
		return NULL;
	}
	if (table->row_count == 0)
		text[strcspn(text, "\n")] = '\0';
	return text;
}

bool mf_table_print(struct mf_table *table, struct mf_output *out)
{
	char *text = fit(table) ? page_text(table) : NULL;
	if (!text)
		return false;
	mf_output_bytes(out, text, strlen(text));
	mf_output_bytes(out, "\n", 1); /* the last one is left out */
	free(text);
	scols_table_remove_lines(table->page);
	table->row_count = 0;
	return scols_table_enable_noheadings(table->page, 1) == 0;
}
