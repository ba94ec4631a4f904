/* Prints the options of the plugin that it is linked with, as docs/configuration.md has them. */
#include <stdio.h>

#include "bus/option_table.h"

static void put(void *user, const char *text, size_t len)
{
	(void)user;
	fwrite(text, 1, len, stdout);
}

int main(void)
{
	mf_options_describe(moduforge_plugin()->options, put, NULL);
	return 0;
}
