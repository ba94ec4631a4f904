/* table_text.h - what stands in a table's cell: made visible, measured, cut or broken to a width. Widths are columns of the
 * terminal. Functions that return false had no memory; the buffer then holds a part. */
#pragma once

#include <moduforge/step.h>

#include "host/listing.h"

/* Appends the cell's text and a NUL. */
bool mf_table_format(const struct mf_column *column, const struct mf_cell *cell, struct mf_buffer *out);
size_t mf_table_width(const char *text);
/* Appends as much of text as goes into width, with a mark at its end, and a NUL. */
bool mf_table_cut(const char *text, size_t width, struct mf_buffer *out);
/* Appends text with newlines in place of spaces, so that no line is wider; a longer word is divided. And a NUL. */
bool mf_table_break(const char *text, size_t width, struct mf_buffer *out);
