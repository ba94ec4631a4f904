/* table.h - a page of a table, through libsmartcols (table.c), or not at all where that is missing (table_none.c).
 * For listing.c alone: see there. */
#pragma once

#include "host/listing.h"

#define MF_TABLE_ROWS 500 /* a page */

struct mf_table;

bool mf_table_is_available(void);
struct mf_table *mf_table_new(const struct mf_column *columns, int fd); /* NULL: no memory */
void mf_table_free(struct mf_table *table);
/* false: no memory. Not beyond MF_TABLE_ROWS rows. */
bool mf_table_add(struct mf_table *table, const struct mf_cell *cells);
size_t mf_table_rows(const struct mf_table *table); /* not printed yet */
/* The rows and, the first time, the header. false: no memory. */
bool mf_table_print(struct mf_table *table, struct mf_output *out);
