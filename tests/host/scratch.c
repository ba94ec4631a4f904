#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

char scratch_dir[64], scratch_config[96], scratch_data[128];

void scratch_make(void)
{
	const char *base = getenv("TMPDIR");
	snprintf(scratch_dir, sizeof(scratch_dir), "%.40s/mf-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(scratch_dir));
	snprintf(scratch_config, sizeof(scratch_config), "%s/plugins.json", scratch_dir);
	snprintf(scratch_data, sizeof(scratch_data), "%s/store", scratch_dir);
}

int scratch_remove(void)
{
	char command[96];
	snprintf(command, sizeof(command), "rm -rf '%s'", scratch_dir);
	return system(command);
}

static const char *text(const char *more)
{
	return more ? more : "";
}

void scratch_write_config(const struct scratch_plan *plan)
{
	FILE *file = fopen(scratch_config, "w");
	assert_non_null(file);
	fprintf(file,
		"{\"plugin_dirs\": [\"%s/plugins\", \"%s/stepfactories\"%s]%s, \"plugins\": [\n"
		"{\"name\": \"node_steps\"}%s,\n"
		"{\"name\": \"snapshot_subscriber\", \"config\": {\"store\": {\"dir\": \"%s\"}%s}}%s]}\n",
		MF_TEST_BUILD, MF_TEST_BUILD, text(plan->dirs), text(plan->top), text(plan->before), scratch_data, text(plan->options), text(plan->after));
	assert_int_equal(0, fclose(file));
}
