/* scratch.h - a folder of a test's own, with a plugins.json and a place for a store. One at a time in a program. */
#pragma once

extern char scratch_dir[64], scratch_config[96], scratch_data[128];

/* Makes the folder, in $TMPDIR or /tmp, and names what will be in it: scratch_config, and scratch_data, which a test
 * may set to another place. Asserts. */
void scratch_make(void);
/* Removes the folder and what is in it. 0, or what rm ended with. */
int scratch_remove(void);

/* What plugins.json says beside node_steps and the snapshot subscriber on scratch_data, with the plugins of the build
 * tree. Each is NULL or JSON that begins with a comma. */
struct scratch_plan {
	const char *top;     /* members of the whole */
	const char *dirs;    /* further plugin_dirs */
	const char *before;  /* plugins before the subscriber */
	const char *options; /* of the subscriber */
	const char *after;   /* plugins after it */
};

/* Writes scratch_config anew. Asserts. */
void scratch_write_config(const struct scratch_plan *plan);
