/* Prints what plugin files say of themselves: for each a line "= NAME SUMMARY", then its options as docs/configuration.md has them.
 *
 * usage: print_options FILE... */
#include <stdio.h>

#include "bus/option_table.h"
#include "bus/plugin.h"

static void put(void *user, const char *text, size_t len)
{
	(void)user;
	fwrite(text, 1, len, stdout);
}

static enum mf_status print(const char *path, struct mf_error *error)
{
	struct mf_plugin_file file;
	struct mf_plugin plugin;
	enum mf_status status = mf_plugin_file_check(path, false, &file, error);
	if (status != MF_OK)
		return status;
	status = mf_plugin_open(&file, NULL, &plugin, error);
	mf_plugin_file_deinit(&file);
	if (status != MF_OK)
		return status;
	printf("= %s %s\n", plugin.name, plugin.summary);
	if (plugin.options)
		mf_options_describe(plugin.options, put, NULL);
	return MF_OK;
}

int main(int argc, char **argv)
{
	struct mf_error error = {0};
	for (int i = 1; i < argc; i++)
		if (print(argv[i], &error) != MF_OK)
			return fprintf(stderr, "%s: %s\n", argv[i], error.message), 1;
	return 0;
}
