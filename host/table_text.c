#include "host/table_text.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "host/visible.h"

static bool append(struct mf_buffer *out, const char *text, size_t len)
{
	return mf_buffer_append(out, text, len) == MF_OK;
}

/* ---- values ---- */
static bool append_visible(struct mf_buffer *out, const char *text)
{
	char piece[MF_VISIBLE_MAX];
	bool ascii = mf_visible_is_ascii(), ok = true;
	while (ok && text && *text) {
		text += mf_visible_next(text, ascii, piece);
		ok = append(out, piece, strlen(piece));
	}
	return ok;
}

/* 1023 B, 1.0 KiB, 17.3 MiB */
static void format_bytes(int64_t bytes, char *out, size_t size)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double amount = (double)bytes / 1024;
	size_t unit = 0;
	if (bytes < 1024) {
		snprintf(out, size, "%lld B", (long long)bytes);
		return;
	}
	for (; amount >= 1023.95 && unit + 1 < sizeof(units) / sizeof(*units); unit++) /* which would be rounded to 1024.0 */
		amount /= 1024;
	snprintf(out, size, "%.1f %s", amount, units[unit]);
}

/* RFC 3339 to the second: the rest is in the JSON. */
static void format_time(int64_t us, char out[MF_TIME_TEXT])
{
	mf_time_format(us, out);
	char *fraction = strchr(out, '.');
	if (fraction)
		memcpy(fraction, "Z", 2);
}

bool mf_table_format(const struct mf_column *column, const struct mf_cell *cell, struct mf_buffer *out)
{
	char text[MF_TIME_TEXT] = "";
	const char *shown = cell->shown ? cell->shown : cell->text;
	switch (column->kind) {
	case MF_COLUMN_INT: snprintf(text, sizeof(text), "%lld", (long long)cell->number); break;
	case MF_COLUMN_BYTES: format_bytes(cell->number, text, sizeof(text)); break;
	case MF_COLUMN_TIME: format_time(cell->number, text); break;
	case MF_COLUMN_BOOL: snprintf(text, sizeof(text), "%s", cell->number ? "yes" : "no"); break;
	case MF_COLUMN_JSON: return append_visible(out, cell->shown) && append(out, "", 1);
	case MF_COLUMN_TEXT:
	case MF_COLUMN_WORD:
	case MF_COLUMN_PROSE:
	case MF_COLUMN_DECIMAL: return append_visible(out, shown) && append(out, "", 1);
	}
	return append(out, text, strlen(text) + 1);
}

/* ---- widths ---- */
/* One character of visible text and its width. */
static size_t next(const char *text, size_t *out_width)
{
	unsigned code = 0;
	size_t len = mf_utf8_next(text, &code);
	int width = len > 0 ? wcwidth((wchar_t)code) : 1;
	*out_width = width > 0 ? (size_t)width : 0;
	return len > 0 ? len : 1;
}

size_t mf_table_width(const char *text)
{
	size_t total = 0, width;
	while (*text) {
		text += next(text, &width);
		total += width;
	}
	return total;
}

/* How many bytes of text are at most width wide; at least one character, so that it ends. */
static size_t fitting(const char *text, size_t width)
{
	size_t at = 0, one;
	while (text[at]) {
		size_t len = next(text + at, &one);
		if (one > width && at > 0)
			break;
		at += len;
		width -= one < width ? one : width;
	}
	return at;
}

bool mf_table_cut(const char *text, size_t width, struct mf_buffer *out)
{
	const char *mark = mf_visible_is_ascii() ? "~" : "…";
	return append(out, text, fitting(text, width > 1 ? width - 1 : 1)) && append(out, mark, strlen(mark) + 1);
}

/* Where a line ends that begins at text: *out_rest is where the next one begins. */
static size_t line_end(const char *text, size_t width, size_t *out_rest)
{
	size_t end = fitting(text, width);
	*out_rest = end;
	if (text[end] == '\0')
		return end;
	for (size_t space = end; space > 0; space--) {
		if (text[space] != ' ')
			continue;
		*out_rest = space + 1;
		return space;
	}
	return end;
}

bool mf_table_break(const char *text, size_t width, struct mf_buffer *out)
{
	bool ok = true;
	while (ok && *text) {
		size_t rest, end = line_end(text, width, &rest);
		ok = append(out, text, end);
		text += rest;
		if (ok && *text)
			ok = append(out, "\n", 1);
	}
	return ok && append(out, "", 1);
}
