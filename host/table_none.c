#include "host/table.h"

bool mf_table_is_available(void)
{
	return false;
}

struct mf_table *mf_table_new(const struct mf_column *columns, int fd)
{
	(void)columns;
	(void)fd;
	return NULL;
}

void mf_table_free(struct mf_table *table)
{
	(void)table;
}

bool mf_table_add(struct mf_table *table, const struct mf_cell *cells)
{
	(void)table;
	(void)cells;
	return false;
}

size_t mf_table_rows(const struct mf_table *table)
{
	(void)table;
	return 0;
}

bool mf_table_print(struct mf_table *table, struct mf_output *out)
{
	(void)table;
	(void)out;
	return false;
}
